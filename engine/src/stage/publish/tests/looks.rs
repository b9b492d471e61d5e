//! When results are looked at, from which window on, and what is found of them besides their rows.

use super::*;
use crate::budget::CountsLeft;

const HOUR: i64 = 3_600_000_000;

/// Lets an objective over counted things publish.
fn close(state: &mut ObjectiveState, portfolio: &Portfolio, step: Step) -> (Facts, Option<Spending>) {
    let (mut facts, mut forecasts) = (Facts::default(), Forecasts::default());
    let mut known = Known::new(&[], NO_MAINTENANCE, &mut forecasts);
    let spending = state.publish(&portfolio.objectives()[0], portfolio.grace(), &step, &mut known, &[], &mut facts);
    (facts, spending)
}

fn count(state: &mut ObjectiveState, portfolio: &Portfolio, at: i64, good: i64, total: i64) {
    let objective = crate::portfolio::ObjectiveIndex(0);
    let counted = Contribution { objective, at: Instant(at), good, total, speaks: false, bin: None };
    state.contribute(&portfolio.objectives()[0], counted);
}

/// One objective of `web` over days of UTC, in force for three of them, whose end is its grace's.
fn three_days(objective: &str, window: &str) -> Portfolio {
    portfolio_of(&format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: plain}}, spec: {{topics: [t], lateness: 0s}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: ola}}, spec: {{type: ola, services: [web],\n  \
         effective: {{from: 1970-01-01, until: 1970-01-04}}, objectives: [{{id: promise, {objective}, window: {window}}}]}}}}\n"
    ))
}

#[test]
fn r22_a_result_is_looked_at_when_something_changed_and_when_its_grace_is_over() {
    let portfolio = portfolio("good_ratio", 60);
    let (plan, grace) = (&portfolio.objectives()[0], portfolio.grace());
    let mut state = ObjectiveState::new(plan);
    let is_due = |state: &ObjectiveState, at: i64| state.is_due(&step(0, at, false), grace);
    let from = |state: &ObjectiveState, at: i64| state.next_from(plan, &step(0, at, false)).map(|at| at.0);
    assert_eq!((is_due(&state, DAY), from(&state, 0), from(&state, 1)), (false, None, Some(0)));
    count(&mut state, &portfolio, 100, 1, 1);
    assert_eq!((is_due(&state, 100), is_due(&state, 101)), (false, true));
    close(&mut state, &portfolio, step(1, 150, true));
    assert!(!is_due(&state, 151));
    // What lies ahead of the watermark is looked at when that is beyond it.
    count(&mut state, &portfolio, 500, 0, 1);
    close(&mut state, &portfolio, step(1, 200, true));
    assert_eq!((is_due(&state, 201), is_due(&state, 500), is_due(&state, 501)), (false, false, true));
    close(&mut state, &portfolio, step(2, 501, false));
    assert!(!is_due(&state, 502));
    // The day is over at its end, and final a minute later.
    let (end, last) = (DAY, DAY + 60_000_000);
    close(&mut state, &portfolio, step(3, end, false));
    assert_eq!((is_due(&state, end), is_due(&state, last - 1), is_due(&state, last)), (false, false, true));
    assert_eq!(from(&state, last), Some(0));
    close(&mut state, &portfolio, step(4, last, false));
    assert_eq!((is_due(&state, last), is_due(&state, last + 1), from(&state, last)), (false, false, Some(DAY)));
    assert_eq!((state.next_start, state.next_end), (Instant(DAY), Instant(2 * DAY)));
    // A late event lets the day it lies in be looked at again, and that alone.
    count(&mut state, &portfolio, 300, 0, 1);
    assert_eq!((is_due(&state, last), from(&state, last)), (true, Some(0)));
    close(&mut state, &portfolio, step(5, last, false));
    assert_eq!((is_due(&state, last), from(&state, last)), (false, Some(DAY)));
    assert_eq!((state.next_start, state.next_end), (Instant(DAY), Instant(2 * DAY)));
    // What is closed stands.
    count(&mut state, &portfolio, 300, 0, 1);
    let closed = Step { closed_until: Instant(DAY), ..step(6, last, false) };
    assert_eq!(state.next_from(plan, &closed), Some(Instant(DAY)));
}

#[test]
fn r13_the_newest_window_is_found_at_every_instant() {
    let portfolio = portfolio("good_ratio", 60);
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    close(&mut state, &portfolio, step(1, DAY + 60_000_000, true));
    assert_eq!(state.newest, Window { start: Instant(DAY), end: Instant(2 * DAY) });
    for at in [0, DAY - 1, DAY, DAY + 1, 2 * DAY - 1, 2 * DAY, 2 * DAY + 1, 9 * DAY] {
        let expected = window_containing(plan.window_kind(), plan.agreement.time_zone, Instant(at));
        assert_eq!(state.window_at(plan, Instant(at)), expected, "{at}");
    }
}

#[test]
fn r13_a_version_that_is_over_has_no_further_result() {
    let days =
        three_days("indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}", "{calendar: day}");
    let mut state = ObjectiveState::new(&days.objectives()[0]);
    let (facts, _) = close(&mut state, &days, step(1, 9 * DAY, true));
    assert_eq!(said(&facts).len(), 3);
    assert_eq!((state.next_end, state.is_due(&step(2, i64::MAX, false), days.grace())), (Instant(i64::MAX), false));
    // Rolling windows of 36 h end with each hour. Those that end after the version go on until they have nothing of it: the
    // last that is final has ended at hour 80, and the next one is so when it is the newest and over.
    let objective = "indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}";
    let rolling = three_days(objective, "{rolling: 36h, every: hour}");
    let mut state = ObjectiveState::new(&rolling.objectives()[0]);
    close(&mut state, &rolling, step(1, 80 * HOUR, true));
    assert_eq!((state.next_start, state.next_end), (Instant(80 * HOUR), Instant(80 * HOUR + 1)));
    let due = [80 * HOUR, 80 * HOUR + 1].map(|at| state.is_due(&step(2, at, false), rolling.grace()));
    assert_eq!(due, [false, true]);
    // The one that ends at hour 107 has the last hour of the version, that which ends an hour later nothing.
    close(&mut state, &rolling, step(2, 200 * HOUR, true));
    assert_eq!((state.next_start, state.next_end), (Instant(107 * HOUR), Instant(i64::MAX)));
}

#[test]
fn r27_what_has_no_budget_or_is_over_spends_none() {
    let up = |end: i64| [Segment { start: Instant(0), end: Instant(end), state: State::Up, causes: Vec::new() }];
    let spending = |objective: &str, now: i64| {
        let portfolio = three_days(objective, "{calendar: day}");
        let plan = &portfolio.objectives()[0];
        let (states, mut forecasts) = (up(now), Forecasts::default());
        let mut known = Known::new(&states, NO_MAINTENANCE, &mut forecasts);
        let mut state = ObjectiveState::new(plan);
        state.publish(plan, portfolio.grace(), &step(1, now, true), &mut known, &[], &mut Facts::default())
    };
    let availability = |least: &str| format!("indicator: {{signal: availability}}, target: {{at_least: {least}}}");
    assert_eq!(spending(&availability("90 %"), 2 * DAY + HOUR), Some(Spending::NONE));
    assert_eq!(spending(&availability("90 %"), 3 * DAY), None, "the last day is over");
    assert_eq!(spending(&availability("100 %"), 2 * DAY + HOUR), None, "nothing may be spent");
    let outages = "indicator: {signal: outage_count}, target: {at_most: 2}";
    assert_eq!(spending(outages, 2 * DAY + HOUR), None, "there is no time to be spent");

    // Of 20 things a tenth may be bad, two; one was.
    let counted =
        three_days("indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}", "{calendar: day}");
    let mut state = ObjectiveState::new(&counted.objectives()[0]);
    assert_eq!(close(&mut state, &counted, step(1, 2 * DAY + HOUR, true)).1, None, "nothing was counted");
    count(&mut state, &counted, 2 * DAY, 19, 20);
    let spent = close(&mut state, &counted, step(2, 2 * DAY + HOUR, true)).1.expect("a budget");
    // One more bad thing is 2 of 21, of which 2.1 may be; two more are 3 of 22.
    let left = CountsLeft { left: Share(Share::WHOLE), headroom: Some(1) };
    assert_eq!((spent.counts_left, spent.burn_rates[2]), (Some(left), Some(Share(500_000_000))));
    assert_eq!(close(&mut state, &counted, step(3, 3 * DAY, true)).1, None, "the last day is over");
}

#[test]
fn r10_r11_counts_of_nothing_and_of_an_open_window() {
    let told = |objective: &str, counts: &[(i64, i64)], now: i64| {
        let portfolio = three_days(objective, "{calendar: day}");
        let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
        counts.iter().for_each(|(at, total)| count(&mut state, &portfolio, *at, 0, *total));
        let (facts, _) = close(&mut state, &portfolio, step(1, now, true));
        let row = &facts.attainment[0];
        (row.verdict.to_string(), row.value_count)
    };
    let errors = "indicator: {signal: error_count, kind: monitoring}, target: {at_most: 5}";
    assert_eq!(told(errors, &[(0, 0)], HOUR), ("no_data".to_owned(), None));
    assert_eq!(told(errors, &[(0, 4)], HOUR), ("met".to_owned(), Some(4)));
    // Whoever tells of zero things has a throughput of zero; 60 things in 12 hours are 5 an hour, 59 are not.
    let flow = "indicator: {signal: throughput, kind: monitoring, per: 1h}, target: {at_least: 5}";
    assert_eq!(told(flow, &[], 12 * HOUR).1, None);
    assert_eq!(told(flow, &[(0, 0)], 12 * HOUR).1, Some(0));
    assert_eq!(told(flow, &[(0, 60)], 12 * HOUR), ("met".to_owned(), Some(5)));
    assert_eq!(told(flow, &[(0, 59)], 12 * HOUR).1, Some(4));
    assert_eq!(told(flow, &[(0, 59)], 24 * HOUR), ("breached".to_owned(), Some(2)));
}

#[test]
fn r10_what_lies_ahead_of_the_watermark_is_no_level_yet() {
    let overdue = three_days("indicator: {signal: overdue_count, within: 4h}, target: {at_most: 0}", "{calendar: day}");
    let mut state = ObjectiveState::new(&overdue.objectives()[0]);
    // Opened at 1:00, overdue at 5:00.
    count(&mut state, &overdue, HOUR, 1, 1);
    count(&mut state, &overdue, 5 * HOUR, -1, 0);
    let told = |state: &mut ObjectiveState, now: i64| {
        let (facts, _) = close(state, &overdue, step(1, now, true));
        let rows = facts.attainment.iter().map(|row| (row.verdict.to_string(), row.value_count, row.breached_at));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(told(&mut state, 5 * HOUR), [("met".to_owned(), Some(0), None)]);
    assert_eq!(told(&mut state, 5 * HOUR + 1), [("breached".to_owned(), Some(1), Some(Instant(5 * HOUR)))]);
}

#[test]
fn r24_what_is_counted_anew_takes_the_place_of_what_was() {
    let portfolio = portfolio("good_ratio", 60);
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    count(&mut state, &portfolio, 10, 5, 10);
    assert!(state.bad.is_empty(), "nobody asks who brought it about");
    assert_eq!(said(&close(&mut state, &portfolio, step(1, HOUR, true)).0), ["day 0 provisional at_risk 5/10 r0"]);
    state.forget_counts(plan);
    assert!(state.is_due(&step(2, HOUR, false), portfolio.grace()));
    count(&mut state, &portfolio, 20, 3, 3);
    let (facts, spent) = close(&mut state, &portfolio, step(2, HOUR, true));
    assert_eq!(said(&facts), ["day 0 provisional met 3/3 r0"]);
    // Nothing bad is remembered for burn rates either; of three things 0.3 may be bad.
    let spent = spent.expect("a budget");
    assert_eq!(
        (spent.burn_rates[2], spent.counts_left.map(|left| left.left)),
        (Some(Share(0)), Some(Share(300_000_000)))
    );
}
