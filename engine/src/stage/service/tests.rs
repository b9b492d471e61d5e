//! What single events count under each objective.

use super::*;
use crate::portfolio::tests::portfolio_of;
use crate::window::Window;

/// Everything that single events can count for, and what they cannot, for a customer on the day 2001-01-02; throughput in
/// office hours alone.
const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {id: office}
spec: {time_zone: UTC, hours: [{days: mon-sun, from: \"08:00\", until: \"16:00\"}]}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 2001-01-02, until: 2001-01-03}
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: each, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: day}}
    - id: closing
      indicator: {signal: good_ratio, kind: incident, count: once_per_ticket_at_closing}
      target: {at_least: 90 %}
      window: {calendar: day}
    - {id: errors, indicator: {signal: error_count, kind: change}, target: {at_most: 5}, window: {calendar: day}}
    - id: flow
      indicator: {signal: throughput, kind: monitoring, per: 1h, calendar: office}
      target: {at_least: 5}
      window: {calendar: day}
    - {id: liked, indicator: {signal: satisfaction, good_from: 4}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: promoted, indicator: {signal: net_promoter_score}, target: {at_least: 0}, window: {calendar: day}}
    - {id: fast, indicator: {signal: latency, within: 200ms}, target: {at_least: 90 %}, window: {calendar: day}}
    - id: slowest
      indicator: {signal: latency_percentile, percentile: 95 %}
      target: {at_most: 300ms}
      window: {calendar: day}
";

const HOUR: i64 = Micros::HOUR.0;

/// 2001-01-01, in microseconds.
const START: i64 = 978_307_200_000_000;

/// An event at 10:00 of that day that counts nothing.
fn event(kind: EventKind) -> Counts {
    Counts { kind, time: Instant(START + 34 * HOUR), customer: None, counted: None, score: None, latency: None }
}

/// Where an event counts, and what: good/total.
fn counts(portfolio: &Portfolio, event: &Counts) -> Vec<String> {
    let under = |plan: &ObjectivePlan| {
        let (good, total) = event.under(plan)?;
        Some(format!("{} {good}/{total}", plan.key.objective))
    };
    portfolio.objectives().iter().filter_map(under).collect()
}

#[test]
fn r10_what_an_event_counts_depends_on_its_kind() {
    let portfolio = portfolio_of(DEFINITIONS);
    let counted = |kind, hour: i64| {
        let event = Counts { counted: Some((3, 4)), time: Instant(START + hour * HOUR), ..event(kind) };
        counts(&portfolio, &event)
    };
    assert_eq!(counted(EventKind::Monitoring, 34), ["each 3/4", "flow 3/4"]);
    // The office opens at 8:00 and closes at 16:00.
    assert_eq!(counted(EventKind::Monitoring, 31), ["each 3/4"]);
    assert_eq!(counted(EventKind::Monitoring, 32), ["each 3/4", "flow 3/4"]);
    assert_eq!(counted(EventKind::Monitoring, 40), ["each 3/4"]);
    assert_eq!(counted(EventKind::Change, 34), ["errors 3/4"]);
    assert_eq!(counted(EventKind::Incident, 34), [""; 0]);
    assert_eq!(counted(EventKind::Feedback, 34), [""; 0]);
}

#[test]
fn r10_scores_and_latencies_count_by_their_limits() {
    let portfolio = portfolio_of(DEFINITIONS);
    let scored = |score| counts(&portfolio, &Counts { score: Some(score), ..event(EventKind::Feedback) });
    let both = |liked: i64, promoted: i64| vec![format!("liked {liked}/1"), format!("promoted {promoted}/1")];
    for (scores, expected) in [
        (0..=3, both(0, -1)),
        (4..=6, both(1, -1)),
        (7..=8, both(1, 0)),
        (9..=10, both(1, 1)),
        // On a scale of another kind.
        (11..=12, vec!["liked 1/1".to_owned()]),
        (-2..=-1, vec!["liked 0/1".to_owned()]),
    ] {
        for score in scores {
            assert_eq!(scored(score), expected, "{score}");
        }
    }
    let took = |latency| counts(&portfolio, &Counts { latency: Some(Micros(latency)), ..event(EventKind::Monitoring) });
    for (latency, fast, slowest) in [(200_000, 1, 1), (200_001, 0, 1), (300_000, 0, 1), (300_001, 0, 0)] {
        assert_eq!(took(latency), [format!("fast {fast}/1"), format!("slowest {slowest}/1")]);
    }
}

#[test]
fn r13_an_event_counts_while_the_version_is_in_force_and_for_its_customer() {
    let portfolio = portfolio_of(DEFINITIONS);
    let scored = |time: i64, customer: Option<&str>| {
        let event = event(EventKind::Feedback);
        let event = Counts { time: Instant(START + time), customer: customer.map(Name::from), score: Some(8), ..event };
        counts(&portfolio, &event).len()
    };
    let by_time = [24 * HOUR - 1, 24 * HOUR, 48 * HOUR - 1, 48 * HOUR].map(|time| scored(time, Some("acme")));
    assert_eq!(by_time, [0, 2, 2, 0]);
    // What concerns nobody in particular concerns everybody.
    assert_eq!([None, Some("acme"), Some("other")].map(|customer| scored(34 * HOUR, customer)), [2, 2, 0]);
}

#[test]
fn r9_maintenance_that_was_over_before_what_is_remembered_changes_nothing() {
    let mut entry = ServiceEntry::default();
    let approved = |start: i64, end: i64| {
        let window = Window { start: Instant(start), end: Instant(end) };
        Some(ApprovedWindow { window, approved_at: Instant(0), customer: None })
    };
    let maintain = |entry: &mut ServiceEntry, change: &str, approved| entry.maintain(change.into(), approved);
    assert_eq!(maintain(&mut entry, "C1", approved(50, 100)), Some(Instant(50)), "everything is remembered");
    assert_eq!(maintain(&mut entry, "C1", None), Some(Instant(50)));
    entry.history.forget_before(Instant(100));
    assert_eq!(maintain(&mut entry, "C1", approved(50, 100)), None);
    assert_eq!(maintain(&mut entry, "C1", approved(50, 101)), Some(Instant(50)));
    assert_eq!(maintain(&mut entry, "C1", approved(50, 101)), None, "nothing changed");
    assert_eq!(maintain(&mut entry, "C1", approved(60, 120)), Some(Instant(50)));
    assert_eq!(maintain(&mut entry, "C2", approved(40, 121)), Some(Instant(40)));
    entry.forget_said(Instant(120));
    assert_eq!(entry.maintenance.keys().map(|name| &**name).collect::<Vec<_>>(), ["C2"]);
    assert_eq!(maintain(&mut entry, "C2", None), Some(Instant(40)));
}

#[test]
fn r22_what_is_observed_again_reaches_no_further_back_than_what_is_remembered() {
    let portfolio = crate::stage::publish::tests::portfolio("availability", 0);
    let (plan, web) = (portfolio.service(ServiceIndex(0)), ServiceIndex(0));
    // A result a day for 40 days, of which single ones are kept for about eight.
    let day = |day: i64| Instant(day * 24 * HOUR);
    let status = |number: i64| if number % 5 == 0 { Status::Down } else { Status::Up };
    let results = || (0..40).map(|number| (day(number), status(number)));
    let seen = |stage: &ServiceStage| {
        let states = stage.services[0].history.segments(&plan.rule, day(0), day(40));
        states.into_iter().map(|segment| (segment.start, segment.state)).collect::<Vec<_>>()
    };
    let mut stage = ServiceStage::new(&portfolio);
    results().for_each(|(at, status)| stage.observe(plan, web, "http", at, status));
    let all = seen(&stage);
    stage.services[0].history.settle(&plan.rule);
    stage.services[0].history.forget_before(day(20));
    let before = seen(&stage);
    assert_ne!(before, all, "else nothing was forgotten");
    let again = |stage: &mut ServiceStage| {
        stage.reobserving.insert(web);
        stage.begin_recount(&portfolio);
        results().for_each(|(at, status)| stage.reobserve(plan, web, "http", at, status));
        stage.end_recount(&portfolio);
        seen(stage)
    };
    assert_eq!(again(&mut stage), before);
    // One that was not there when time was closed begins with that.
    let mut stage = ServiceStage::new(&portfolio);
    stage.closed_until = day(20);
    assert_eq!(again(&mut stage), before);
    assert_eq!(again(&mut ServiceStage::new(&portfolio)), all, "everything is remembered");
}

#[test]
fn r21_what_the_definitions_lack_is_forgotten_when_all_of_it_is_closed() {
    let portfolio = crate::stage::publish::tests::portfolio("satisfaction", 0);
    let mut stage = ServiceStage::new(&portfolio);
    let score = Counts { time: Instant(HOUR), score: Some(1), ..event(EventKind::Feedback) };
    stage.count(&portfolio, ServiceIndex(0), &score);
    let end = Instant(24 * HOUR);
    let step = Step { epoch: 1, tick: end, watermark: end, publish: true, closed_until: Instant(i64::MIN) };
    let (mut facts, mut derived, mut forecasts) = (Facts::default(), Vec::new(), Forecasts::default());
    stage.close(&portfolio, &step, [ServiceIndex(0)].into_iter(), &mut forecasts, &mut facts, &mut derived);
    assert_eq!(facts.attainment.iter().map(|row| &*row.finality).collect::<Vec<_>>(), ["final"]);
    let none = Portfolio::default();
    let mut stage = ServiceStage::restore(stage.snapshot(&portfolio), &none, Some(end), true);
    let edge = |at: i64| Edge { closed_until: Instant(at), kept_from: Instant(at), named_from: Instant(at) };
    let absent = |stage: &ServiceStage| (stage.absent.services.len(), stage.absent.objectives.len());
    assert_eq!(absent(&stage), (1, 1));
    stage.forget(&none, &edge(24 * HOUR - 1));
    assert_eq!(absent(&stage), (1, 1));
    stage.forget(&none, &edge(24 * HOUR));
    assert_eq!(absent(&stage), (1, 0));
    // What lies before the edge comes too late for whatever returns.
    let mut stage = ServiceStage::restore(stage.snapshot(&none), &portfolio, Some(end), true);
    stage.count(&portfolio, ServiceIndex(0), &score);
    assert_eq!(stage.beyond_history(), 1);
    stage.count(&portfolio, ServiceIndex(0), &Counts { time: end, ..score });
    assert_eq!(stage.beyond_history(), 1);
}

#[test]
fn r4_what_holds_a_state_is_looked_for_in_what_is_remembered_alone() {
    let portfolio = portfolio_of(
        "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {stale_after: 10s}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01}
  objectives:
    - {id: up, indicator: {signal: availability, unknown: hold}, target: {at_least: 90 %}, window: {calendar: day}}
",
    );
    // In seconds: down by T1 from 0, by both from 50, by T2 alone from 90 to 100; unknown afterwards. So what holds is from
    // 90, and T1, which ended there, is forgotten with what lies before. Without it T2 seems to hold from 50 on.
    let second = |number: i64| Instant(number * 1_000_000);
    let plan = &portfolio.services()[0];
    let mut entry = ServiceEntry::new(&portfolio, plan);
    entry.history.claim(&"T1".into(), vec![(second(0), Some(second(90)))]);
    entry.history.claim(&"T2".into(), vec![(second(50), Some(second(100)))]);
    assert_eq!(entry.deciding_from(&portfolio, plan, second(150)), second(90));
    entry.history.forget_before(second(90));
    assert_eq!(entry.deciding_from(&portfolio, plan, second(150)), second(90));
}
