//! Who spent a budget, as it is said, said again and taken back.

use super::*;
use crate::portfolio::Portfolio;
use crate::portfolio::tests::portfolio_of;

/// An agreement that rests on two others of one version number, and its promises of time and of counted things.
const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {depends_on: [db, net]}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: db}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: net}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Agreement, metadata: {id: inner}, spec: {type: ola, services: [db],
  effective: {from: 1970-01-01}, objectives: [{id: up, indicator: {signal: availability}, target: {at_least: 90 %},
  window: {calendar: day}}]}}
---
{apiVersion: plimsoll/v1, kind: Agreement, metadata: {id: outer}, spec: {type: uc, services: [net],
  effective: {from: 1970-01-01}, objectives: [{id: up, indicator: {signal: availability}, target: {at_least: 90 %},
  window: {calendar: day}}]}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla, version: 3}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 1970-01-01}
  rests_on: [inner, outer]
  objectives:
    - {id: down, indicator: {signal: downtime}, target: {at_most: 1m}, window: {calendar: day}}
    - {id: good, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: day}}
";

const SECOND: i64 = 1_000_000;

fn plan<'a>(portfolio: &'a Portfolio, objective: &str) -> &'a ObjectivePlan {
    let mut plans = portfolio.objectives().iter();
    plans.find(|plan| &*plan.key.agreement == "sla" && &*plan.key.objective == objective).expect("an objective")
}

/// What is said of the window with this start in the step of this number.
fn said(
    attributions: &mut Attributions,
    plan: &ObjectivePlan,
    (start, epoch): (i64, i64),
    budget: Option<Micros>,
    spent: &[(Option<usize>, &str, i64)],
) -> Vec<AttributionRow> {
    let at = Instant(100 * SECOND);
    let step = Step { epoch, tick: at, watermark: at, publish: true, closed_until: Instant(i64::MIN) };
    let spent = spent.iter().map(|&(support, service, amount)| Spent { support, service: service.into(), amount });
    let spent: Vec<Spent> = spent.collect();
    let mut facts = Facts::default();
    attributions.restate(plan, Instant(start), budget, &spent, &step, &mut facts);
    facts.attributions
}

/// Nobody's part of nothing, of a breach of `down`.
fn nothing(start: i64, epoch: i64) -> AttributionRow {
    AttributionRow {
        agreement: "sla".to_owned(),
        agreement_version: 3,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        service: "web".to_owned(),
        objective: "down".to_owned(),
        signal: "downtime".to_owned(),
        ticket: None,
        cycle: None,
        window_start: Instant(start),
        supporting_agreement: None,
        supporting_version: None,
        supporting_type: None,
        supporting_service: "web".to_owned(),
        spent_us: None,
        total_us: None,
        spent_count: None,
        total_count: None,
        spent_ratio: None,
        budget_us: None,
        revision: 0,
        retracted: false,
        recorded_at: Instant(100 * SECOND),
        epoch,
    }
}

/// A part of 60 s that were allowed, in billionths of the whole.
fn part(
    named: Option<(&str, &str)>,
    service: &str,
    (spent, total, ratio): (i64, i64, i64),
    row: AttributionRow,
) -> AttributionRow {
    AttributionRow {
        supporting_agreement: named.map(|(agreement, _)| agreement.to_owned()),
        supporting_version: named.map(|_| 1),
        supporting_type: named.map(|(_, kind)| kind.to_owned()),
        supporting_service: service.to_owned(),
        spent_us: Some(spent * SECOND),
        total_us: Some(total * SECOND),
        spent_ratio: Some(Decimal(Share(ratio))),
        budget_us: Some(60 * SECOND),
        ..row
    }
}

const INNER: Option<(&str, &str)> = Some(("inner", "ola"));
const OUTER: Option<(&str, &str)> = Some(("outer", "uc"));

#[test]
fn r33_each_part_of_a_breach_is_said_and_said_again_when_it_changes() {
    let portfolio = portfolio_of(DEFINITIONS);
    let (plan, mut attributions) = (plan(&portfolio, "down"), Attributions::default());
    let budget = Some(Micros(60 * SECOND));
    // 50 s, 20 s and 10 s of 80 s.
    let spent = [(Some(0), "db", 50), (Some(1), "net", 20), (None, "web", 10)];
    let spent = spent.map(|(support, service, amount)| (support, service, amount * SECOND));
    let rows = |start, epoch| {
        [
            part(None, "web", (10, 80, 125_000_000), nothing(start, epoch)),
            part(INNER, "db", (50, 80, 625_000_000), nothing(start, epoch)),
            part(OUTER, "net", (20, 80, 250_000_000), nothing(start, epoch)),
        ]
    };
    assert_eq!(said(&mut attributions, plan, (0, 1), budget, &spent), rows(0, 1));
    assert_eq!(said(&mut attributions, plan, (0, 2), budget, &spent), [], "nothing changed");
    assert_eq!(said(&mut attributions, plan, (1, 2), budget, &spent), rows(1, 2), "another window");
    // The service itself had none of 70 s.
    let spent = &spent[..2];
    let again = |revision, row| AttributionRow { revision, ..row };
    assert_eq!(
        said(&mut attributions, plan, (0, 3), budget, spent),
        [
            AttributionRow { retracted: true, ..again(1, part(None, "web", (10, 80, 125_000_000), nothing(0, 3))) },
            again(1, part(INNER, "db", (50, 70, 714_285_714), nothing(0, 3))),
            again(1, part(OUTER, "net", (20, 70, 285_714_285), nothing(0, 3))),
        ]
    );
    // It is no breach any more; the other window's is.
    let taken_back = said(&mut attributions, plan, (0, 4), budget, &[]);
    let shown = taken_back.iter().map(|row| (&*row.supporting_service, row.revision, row.retracted));
    assert_eq!(shown.collect::<Vec<_>>(), [("db", 2, true), ("net", 2, true)]);
    // What is forgotten is not taken back.
    attributions.forget_before(Instant(1));
    assert_eq!(said(&mut attributions, plan, (0, 5), budget, &[]), []);
    assert_eq!(said(&mut attributions, plan, (1, 5), budget, &[]).len(), 3);
    attributions.forget_before(Instant(2));
    assert_eq!(attributions, Attributions::default());
}

#[test]
fn r33_parts_of_counted_things_are_counts() {
    let portfolio = portfolio_of(DEFINITIONS);
    let (plan, mut attributions) = (plan(&portfolio, "good"), Attributions::default());
    let counted = |spent, ratio| AttributionRow {
        objective: "good".to_owned(),
        signal: "good_ratio".to_owned(),
        spent_us: None,
        total_us: None,
        spent_count: Some(spent),
        total_count: Some(4),
        budget_us: None,
        ..part(INNER, "db", (0, 0, ratio), nothing(0, 1))
    };
    let itself = AttributionRow {
        supporting_agreement: None,
        supporting_version: None,
        supporting_type: None,
        supporting_service: "web".to_owned(),
        ..counted(1, 250_000_000)
    };
    let spent = [(Some(0), "db", 3), (None, "web", 1)];
    assert_eq!(said(&mut attributions, plan, (0, 1), None, &spent), [itself, counted(3, 750_000_000)]);
}

#[test]
fn r24_what_rests_on_nothing_any_more_takes_its_parts_back() {
    let (portfolio, alone) =
        (portfolio_of(DEFINITIONS), portfolio_of(&DEFINITIONS.replace("  rests_on: [inner, outer]\n", "")));
    let mut attributions = Attributions::default();
    said(&mut attributions, plan(&portfolio, "down"), (0, 1), None, &[(Some(1), "net", 5)]);
    let taken_back = said(&mut attributions, plan(&alone, "down"), (0, 2), None, &[]);
    // Which kind of agreement it was is not known any more.
    let shown = taken_back
        .iter()
        .map(|row| (row.supporting_agreement.as_deref(), row.supporting_type.as_deref(), row.retracted));
    assert_eq!(shown.collect::<Vec<_>>(), [(Some("outer"), None, true)]);
}
