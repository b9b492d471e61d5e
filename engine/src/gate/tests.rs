//! Planned changes by hand calculation, in March 2026: 31 days, 744 hours, of which 99 % leave 7 h 26 min 24 s.

use plimsoll_schemas::definition::{File, load};

use super::*;
use crate::portfolio::Portfolio;

const MINUTE: i64 = Micros::MINUTE.0;
const HOUR: i64 = Micros::HOUR.0;

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(&format!("2026-{text}:00Z")).expect("an instant")
}

/// A portfolio with one objective, which is written as in a definition; `terms` are lines of the agreement's spec.
fn portfolio(terms: &str, objective: &str) -> Portfolio {
    let text = format!(
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: web}}\n---\napiVersion: plimsoll/v1\nkind: Calendar\n\
         metadata: {{id: office}}\nspec: {{time_zone: UTC, hours: [{{days: mon-fri, from: \"08:00\", until: \"18:00\"}}]}}\n\
         ---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: ola}}\nspec:\n  type: ola\n  services: [web]\n  \
         effective: {{from: 2026-01-01}}\n{terms}  objectives:\n  - {{id: o, {objective}}}\n"
    );
    match load(&[File { name: "test.yaml", text: &text }]) {
        Ok(definitions) => Portfolio::new(&definitions),
        Err(problems) => panic!("{problems:?}"),
    }
}

const AVAILABILITY: &str = "indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}";
const TERMS: &str = "  exclusions: {maintenance: {notice: 3d, at_most: 2h}}\n";

/// The states of a service that was up from January until 2026-03-10, but for outages.
fn states(outages: &[(&str, &str)]) -> Vec<Segment> {
    let mut states = Vec::new();
    let mut start = at("01-01T00:00");
    let edges = outages.iter().map(|(from, until)| (at(from), at(until))).chain([(now(), now())]);
    for (from, until) in edges {
        for (start, end, state) in [(start, from, State::Up), (from, until, State::Down)] {
            if start < end {
                states.push(Segment { start, end, state, causes: Vec::new() });
            }
        }
        start = until;
    }
    states
}

fn now() -> Instant {
    at("03-10T00:00")
}

fn change(from: &str, until: &str) -> PlannedChange {
    let window = Window { start: at(from), end: at(until) };
    PlannedChange { id: "".into(), window, downtime: None, approved_at: Some(now()), customer: None }
}

/// Of each window: what is left before, what is left after, excluded, in minutes or counts; and whether it is a go.
fn check(portfolio: &Portfolio, outages: &[(&str, &str)], change: &PlannedChange, expected: &[(f64, f64, i64, bool)]) {
    let (states, maintenance) = (states(outages), ApprovedWindows::new());
    let number = |value: Value| match value {
        Value::Time(time) => time.0 as f64 / MINUTE as f64,
        Value::Count(count) => count as f64,
        Value::Share(_) => panic!("nothing is left in shares"),
    };
    let found = impacts(&portfolio.objectives()[0], &states, &maintenance, change, now());
    let found = found.into_iter().map(|impact| {
        let (before, after) = impact.left.expect("something is measured");
        (number(before), number(after), impact.excluded.0 / MINUTE, impact.go)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn r30_a_change_takes_its_downtime_of_what_is_left() {
    let promise = portfolio("", AVAILABILITY);
    let (three, eight) = (change("03-20T01:00", "03-20T04:00"), change("03-20T01:00", "03-20T09:00"));
    check(&promise, &[], &three, &[(446.4, 266.4, 0, true)]);
    check(&promise, &[], &eight, &[(446.4, -33.6, 0, false)]);
    // Five hours were spent before: 146.4 min are left.
    let spent = [("03-02T00:00", "03-02T05:00")];
    check(&promise, &spent, &three, &[(146.4, -33.6, 0, false)]);
    check(&promise, &spent, &PlannedChange { downtime: Some(Micros(2 * HOUR)), ..three }, &[(146.4, 26.4, 0, true)]);
    // To the microsecond: all that is left is no breach, one more is.
    let all = Micros(446 * MINUTE + 24_000_000);
    let exactly = PlannedChange { downtime: Some(all), ..eight.clone() };
    check(&promise, &[], &exactly, &[(446.4, 0.0, 0, true)]);
    let found = impacts(
        &promise.objectives()[0],
        &states(&[]),
        &ApprovedWindows::new(),
        &PlannedChange { downtime: Some(all + Micros(1)), ..eight },
        now(),
    );
    assert_eq!(found[0].taken(), Some(Value::Time(all + Micros(1))));
    assert!(!found[0].go);
}

#[test]
fn r30_maintenance_is_excluded_on_the_terms_of_the_agreement() {
    let promise = portfolio(TERMS, AVAILABILITY);
    let three = change("03-20T01:00", "03-20T04:00");
    // Two hours are maintenance, and take 1 % of themselves along: 1.2 min. The third hour counts.
    check(&promise, &[], &three, &[(446.4, 385.2, 120, true)]);
    // Half an hour of downtime falls into the third hour at the worst.
    let half = PlannedChange { downtime: Some(Micros(30 * MINUTE)), ..three.clone() };
    check(&promise, &[], &half, &[(446.4, 415.2, 120, true)]);
    // Two hours of it do not fit there: at the worst all of the planned time is an outage, an hour of which counts.
    let two = PlannedChange { downtime: Some(Micros(2 * HOUR)), ..three.clone() };
    check(&promise, &[], &two, &[(446.4, 385.2, 120, true)]);
    // Approved too late, and as an emergency: all counts.
    let late = PlannedChange { approved_at: Some(at("03-17T01:01")), ..three.clone() };
    check(&promise, &[], &late, &[(446.4, 266.4, 0, true)]);
    check(&promise, &[], &PlannedChange { approved_at: None, ..three }, &[(446.4, 266.4, 0, true)]);
    // Excluded time that counts as it was is an outage like any other.
    let actual = AVAILABILITY.replace("availability}", "availability, excluded: count_actual}");
    let three = change("03-20T01:00", "03-20T04:00");
    check(&portfolio(TERMS, &actual), &[], &three, &[(446.4, 266.4, 120, true)]);
    let good = AVAILABILITY.replace("availability}", "availability, excluded: count_good}");
    check(&portfolio(TERMS, &good), &[], &three, &[(446.4, 386.4, 120, true)]);
}

#[test]
fn r30_what_events_tell_of_the_same_change_is_replaced() {
    let promise = portfolio(TERMS, AVAILABILITY);
    let known = ApprovedWindow {
        window: Window { start: at("03-15T01:00"), end: at("03-15T03:00") },
        approved_at: at("03-01T00:00"),
        customer: None,
    };
    let maintenance = ApprovedWindows::from([("CHG-1".into(), known)]);
    let (states, three) = (states(&[]), change("03-20T01:00", "03-20T04:00"));
    let left = |id: &str| {
        let change = PlannedChange { id: id.into(), ..three.clone() };
        impacts(&promise.objectives()[0], &states, &maintenance, &change, now()).remove(0).left
    };
    let minutes = |tenths: i64| Value::Time(Micros(tenths * MINUTE / 10));
    // Moved, it has the cap for itself. Another one uses the cap up before: 1.2 min are gone, and three hours count.
    assert_eq!(left("CHG-1"), Some((minutes(4_464), minutes(3_852))));
    assert_eq!(left("CHG-2"), Some((minutes(4_452), minutes(2_652))));
}

#[test]
fn r30_each_window_that_a_change_touches_pays_its_part() {
    let promise = portfolio("", AVAILABILITY);
    // An hour of it in March, two in April, whose 30 days leave 432 min.
    let over_the_edge = change("03-31T23:00", "04-01T02:00");
    check(&promise, &[], &over_the_edge, &[(446.4, 386.4, 0, true), (432.0, 312.0, 0, true)]);
    // 90 minutes are at the worst 60 here and 90 there.
    let some = PlannedChange { downtime: Some(Micros(90 * MINUTE)), ..over_the_edge };
    check(&promise, &[], &some, &[(446.4, 386.4, 0, true), (432.0, 342.0, 0, true)]);
    // Rolling windows of 10 days: 144 min. On the 13th at noon the newest holds what happened from the 4th on; the one
    // that ends a day later no longer holds the outage of the 4th.
    let rolling = portfolio("", "indicator: {signal: availability}, target: {at_least: 99 %}, window: {rolling: 10d}");
    let spent = [("03-04T10:00", "03-04T12:00")];
    check(&rolling, &spent, &change("03-13T12:00", "03-13T12:30"), &[(24.0, -6.0, 0, false)]);
    check(&rolling, &spent, &change("03-14T12:00", "03-14T12:30"), &[(144.0, 114.0, 0, true)]);
    let over_midnight = change("03-13T23:50", "03-14T00:20");
    check(&rolling, &spent, &over_midnight, &[(24.0, 14.0, 0, true), (144.0, 114.0, 0, true)]);
}

#[test]
fn r30_time_that_is_not_agreed_costs_nothing() {
    // March has 22 working days of 10 h: 99 % leave 132 min.
    let office = AVAILABILITY.replace("availability}", "availability, calendar: office}");
    let promise = portfolio("", &office);
    check(&promise, &[], &change("03-20T18:00", "03-20T22:00"), &[(132.0, 132.0, 0, true)]);
    check(&promise, &[], &change("03-20T16:00", "03-20T22:00"), &[(132.0, 12.0, 0, true)]);
    // Nothing is left since the 2nd, and nothing is taken; a minute would be too much.
    let spent = [("03-02T08:00", "03-02T11:00")];
    check(&promise, &spent, &change("03-20T18:00", "03-20T22:00"), &[(-48.0, -48.0, 0, true)]);
    check(&promise, &spent, &change("03-20T17:59", "03-20T22:00"), &[(-48.0, -49.0, 0, false)]);
}

#[test]
fn r30_outages_are_gated_in_their_own_unit() {
    let two = change("03-20T01:00", "03-20T03:00");
    let longest =
        portfolio("", "indicator: {signal: longest_outage}, target: {at_most: 1h}, window: {calendar: month}");
    check(&longest, &[], &two, &[(60.0, -60.0, 0, false)]);
    check(&longest, &[], &PlannedChange { downtime: Some(Micros(HOUR)), ..two.clone() }, &[(60.0, 0.0, 0, true)]);
    // One that was longer before is not made worse.
    check(&longest, &[("03-02T00:00", "03-02T05:00")], &two, &[(-240.0, -240.0, 0, true)]);
    let count = portfolio("", "indicator: {signal: outage_count}, target: {at_most: 1}, window: {calendar: month}");
    check(&count, &[], &two, &[(1.0, 0.0, 0, true)]);
    check(&count, &[("03-02T00:00", "03-02T05:00")], &two, &[(0.0, -1.0, 0, false)]);
    // A minute is no outage where it must be five to be one (R7), also at a window's edge.
    let short =
        "indicator: {signal: availability, min_outage: 5m}, target: {at_least: 99 %}, window: {calendar: month}";
    let edge = change("03-31T23:58", "04-01T00:02");
    check(&portfolio("", short), &[], &edge, &[(446.4, 446.4, 0, true), (432.0, 432.0, 0, true)]);
}

#[test]
fn r30_versions_that_are_not_in_force_then_are_not_touched() {
    let over = portfolio("", AVAILABILITY).objectives()[0].clone();
    let in_force = Window { start: at("01-01T00:00"), end: at("03-20T02:00") };
    let mut plan = over;
    plan.agreement = std::sync::Arc::new(crate::portfolio::AgreementPlan { in_force, ..(*plan.agreement).clone() });
    let (states, maintenance) = (states(&[]), ApprovedWindows::new());
    let found = |from, until| impacts(&plan, &states, &maintenance, &change(from, until), now());
    assert_eq!(found("03-21T01:00", "03-21T04:00"), []);
    // Of three hours one lies within.
    assert_eq!(found("03-20T01:00", "03-20T04:00")[0].taken(), Some(Value::Time(Micros(HOUR))));
}
