//! Credits as rows, from results that are made up: what is written whole, what is news, and what is forgotten.

use super::*;

const ANOTHER_LADDER: &str =
    "    - {id: second, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}, window: {calendar: month},
       credits: [{below: 80 %, credit: 5 %}]}
";

/// Ladders over months, a quarter and a year. A month costs 100.00; a window gives back a quarter of its charge at most, and
/// a year 240.00, which is a fifth of twelve months.
const LADDERS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: shop, version: 2}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 1970-01-01}
  charge: {amount: 100.00, currency: EUR}
  credits: {combine: sum, at_most: {window: 25 %, year: 20 %}}
  objectives:
    - {id: first, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: month},
       credits: [{below: 90 %, credit: 10 %}]}
    - {id: third, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}, window: {calendar: quarter},
       credits: [{below: 80 %, credit: 5 %}]}
    - {id: fourth, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}, window: {calendar: year},
       credits: [{below: 80 %, credit: 30 %}]}
";

fn all_ladders() -> Portfolio {
    portfolio_of(&format!("{LADDERS}{ANOTHER_LADDER}"))
}

/// A result over these days, of which the ladder gives back so many percent.
fn result(objective: &str, (start, end): (i64, i64), percent: i64, finality: &str) -> AttainmentRow {
    AttainmentRow {
        agreement: "shop".into(),
        agreement_version: 2,
        service: "web".into(),
        objective: objective.into(),
        window_start: Instant(start * DAY),
        window_end: Instant(end * DAY),
        segment_start: Instant(start * DAY),
        segment_end: Instant(end * DAY),
        finality: finality.into(),
        credit_ratio: Some(Decimal(Share(percent * Share::WHOLE / 100))),
        ..AttainmentRow::default()
    }
}

const JANUARY: (i64, i64) = (0, 31);
const FEBRUARY: (i64, i64) = (31, 59);

fn step(closed_until: i64) -> Step {
    let at = Instant(400 * DAY);
    Step { epoch: 7, tick: at, watermark: at, publish: true, closed_until: Instant(closed_until) }
}

/// What is said of these results.
fn close(stage: &mut CreditStage, portfolio: &Portfolio, results: &[AttainmentRow]) -> Facts {
    let mut facts = Facts { attainment: results.to_vec(), ..Facts::default() };
    stage.close(portfolio, &step(i64::MIN), &mut facts);
    facts
}

/// The credit of January, of which `first` gives back 10 %.
fn january(revision: i32) -> CreditRow {
    CreditRow {
        agreement: "shop".to_owned(),
        agreement_version: 2,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        offering: None,
        service: Some("web".to_owned()),
        window_kind: "month".to_owned(),
        window_start: Instant(0),
        window_end: Instant(31 * DAY),
        segment_start: Instant(0),
        segment_end: Instant(31 * DAY),
        finality: if revision > 0 { "final" } else { "provisional" }.to_owned(),
        currency: "EUR".to_owned(),
        minor_digits: 2,
        charge_minor: 10_000,
        credit_ratio: Decimal(Share(100_000_000)),
        credit_minor: 1_000,
        limited_by: None,
        detail: "first of web 10 %".to_owned(),
        revision,
        retracted: false,
        recorded_at: Instant(400 * DAY),
        epoch: 7,
    }
}

#[test]
fn r34_credits_of_windows_of_each_kind_are_written_whole() {
    let results = [
        result("first", JANUARY, 10, "provisional"),
        // What is kept is no part of what was missed.
        result("second", JANUARY, 0, "final"),
        result("third", (0, 90), 5, "final"),
        result("fourth", (0, 365), 30, "final"),
    ];
    let (mut stage, portfolio) = (CreditStage::default(), all_ladders());
    let facts = close(&mut stage, &portfolio, &results);
    // Three months are charged 300.00, of which 5 % are given back. Of twelve months 30 % would be, but no window gives back
    // more than 25 %, 300.00; and of 240.00 in the year 10.00 and 15.00 are given back already.
    let quarter = CreditRow {
        window_kind: "quarter".to_owned(),
        window_end: Instant(90 * DAY),
        segment_end: Instant(90 * DAY),
        charge_minor: 30_000,
        credit_ratio: Decimal(Share(50_000_000)),
        credit_minor: 1_500,
        detail: "third of web 5 %".to_owned(),
        ..january(1)
    };
    let year = CreditRow {
        window_kind: "year".to_owned(),
        window_end: Instant(365 * DAY),
        segment_end: Instant(365 * DAY),
        charge_minor: 120_000,
        credit_ratio: Decimal(Share(250_000_000)),
        credit_minor: 21_500,
        limited_by: Some("year".to_owned()),
        detail: "fourth of web 30 %".to_owned(),
        ..january(1)
    };
    assert_eq!(facts.credits, [january(0), quarter, year]);
    assert_eq!(facts.corrections, []);
    let facts = close(&mut stage, &portfolio, &results);
    assert_eq!((facts.credits, facts.corrections), (vec![], vec![]), "nothing is news");
    // Both ladders together, in the order of their names: 10 % and 5 %.
    let both = [result("first", JANUARY, 10, "final"), result("second", JANUARY, 5, "final")];
    let detail = "first of web 10 %, second of web 5 %".to_owned();
    let credit_ratio = Decimal(Share(150_000_000));
    let january = CreditRow { credit_ratio, credit_minor: 1_500, detail, ..january(1) };
    // The year's limit has 5.00 less for the year.
    let facts = close(&mut stage, &portfolio, &both);
    assert_eq!((&facts.credits[0], facts.credits.len()), (&january, 2));
    assert_eq!((facts.credits[1].credit_minor, facts.credits[1].revision), (21_000, 2));
}

#[test]
fn r34_a_credit_goes_with_the_segment_of_its_window_and_with_its_results() {
    let (mut stage, portfolio) = (CreditStage::default(), all_ladders());
    close(&mut stage, &portfolio, &[result("first", JANUARY, 10, "provisional")]);
    // The version ends on the 21st: 20 of 31 days of 100.00 are 64.52, of which a tenth is 6.45.
    let end = Instant(20 * DAY);
    let clipped = AttainmentRow { segment_end: end, ..result("first", JANUARY, 10, "provisional") };
    let row = CreditRow { segment_end: end, charge_minor: 6_452, credit_minor: 645, ..january(0) };
    assert_eq!(close(&mut stage, &portfolio, std::slice::from_ref(&clipped)).credits, [row]);
    let whole = result("first", JANUARY, 10, "final");
    assert_eq!(close(&mut stage, &portfolio, std::slice::from_ref(&whole)).credits, [january(1)]);
    // The result is taken back.
    let facts = close(&mut stage, &portfolio, &[AttainmentRow { retracted: true, ..whole }]);
    assert_eq!(facts.credits, [CreditRow { retracted: true, ..january(2) }]);
    let correction = CorrectionRow {
        agreement: "shop".to_owned(),
        agreement_version: 2,
        service: Some("web".to_owned()),
        objective: None,
        window_start: Instant(0),
        revision: 2,
        reason: "late_event".to_owned(),
        before: "credit_minor 1000 EUR, 10 % of charge_minor 10000".to_owned(),
        after: "retracted".to_owned(),
        recorded_at: Instant(400 * DAY),
        epoch: 7,
    };
    assert_eq!(facts.corrections, [correction]);
}

#[test]
fn r34_why_a_credit_is_corrected_follows_from_the_corrections_of_its_own_window() {
    let correction = |objective: Option<&str>, agreement: &str, version: i32, day: i64, reason: &str| CorrectionRow {
        agreement: agreement.to_owned(),
        agreement_version: version,
        service: Some("web".to_owned()),
        objective: objective.map(str::to_owned),
        window_start: Instant(day * DAY),
        revision: 2,
        reason: reason.to_owned(),
        before: String::new(),
        after: String::new(),
        recorded_at: Instant(0),
        epoch: 0,
    };
    let reason = |corrections: &[CorrectionRow]| {
        let (mut stage, portfolio) = (CreditStage::default(), all_ladders());
        close(&mut stage, &portfolio, &[result("first", JANUARY, 10, "final")]);
        let attainment = vec![result("first", JANUARY, 0, "final")];
        let mut facts = Facts { attainment, corrections: corrections.to_vec(), ..Facts::default() };
        stage.close(&portfolio, &step(i64::MIN), &mut facts);
        facts.corrections.pop().expect("a correction of the credit").reason
    };
    assert_eq!(reason(&[]), "late_event");
    let late = correction(Some("first"), "shop", 2, 0, "late_event");
    let anew =
        |objective, agreement, version, day| correction(objective, agreement, version, day, "retroactive_version");
    assert_eq!(reason(&[late.clone(), anew(Some("second"), "shop", 2, 0)]), "retroactive_version");
    // Of another credit, agreement, version or window.
    for other in [anew(None, "shop", 2, 0), anew(Some("first"), "shed", 2, 0), anew(Some("first"), "shop", 1, 0)] {
        assert_eq!(reason(&[other, late.clone()]), "late_event");
    }
    assert_eq!(reason(&[anew(Some("first"), "shop", 2, 31), late]), "late_event");
}

#[test]
fn r34_a_ladder_that_is_defined_no_more_gives_nothing_back() {
    let (mut stage, portfolio) = (CreditStage::default(), all_ladders());
    close(&mut stage, &portfolio, &[result("first", JANUARY, 10, "final"), result("second", JANUARY, 5, "final")]);
    let portfolio = portfolio_of(LADDERS);
    stage.resume(&portfolio);
    let facts = close(&mut stage, &portfolio, &[]);
    assert_eq!((facts.credits, &*facts.corrections[0].reason), (vec![january(2)], "definition_change"));
    // The same terms again are no others.
    stage.resume(&portfolio);
    assert_eq!(close(&mut stage, &portfolio, &[]), Facts::default());
}

#[test]
fn r22_credits_of_windows_that_are_closed_stand_and_are_forgotten() {
    let (mut stage, portfolio) = (CreditStage::default(), all_ladders());
    close(&mut stage, &portfolio, &[result("first", JANUARY, 10, "final"), result("first", FEBRUARY, 10, "final")]);
    let known = |stage: &CreditStage| {
        let account = stage.accounts.get("shop");
        account.map(|account| (account.missed.len(), account.written.len()))
    };
    // January ends with the day 31.
    for (closed_until, rows) in [(31 * DAY, 0), (31 * DAY - 1, 1)] {
        let mut stage = stage.clone();
        let mut facts = Facts { attainment: vec![result("first", JANUARY, 0, "final")], ..Facts::default() };
        stage.close(&portfolio, &step(closed_until), &mut facts);
        assert_eq!((facts.credits.len(), facts.corrections.len()), (rows, rows));
    }
    stage.forget(Instant(31 * DAY - 1));
    assert_eq!(known(&stage), Some((2, 2)));
    stage.forget(Instant(31 * DAY));
    assert_eq!(known(&stage), Some((1, 1)));
    // What was taken back is remembered too: it may come again.
    let back = AttainmentRow { retracted: true, ..result("first", FEBRUARY, 10, "final") };
    close(&mut stage, &portfolio, &[back]);
    stage.forget(Instant(59 * DAY - 1));
    assert_eq!(known(&stage), Some((0, 1)));
    let again = close(&mut stage, &portfolio, &[result("first", FEBRUARY, 10, "final")]);
    assert_eq!(again.credits.iter().map(|row| row.revision).collect::<Vec<_>>(), [3]);
    stage.forget(Instant(59 * DAY));
    assert_eq!(stage, CreditStage::default());
}
