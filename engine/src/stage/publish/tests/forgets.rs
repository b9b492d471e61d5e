//! What is left out, forgotten and taken back of an objective's windows, and what a correction tells.

use super::*;
use crate::histogram::Bin;
use crate::portfolio::ObjectiveIndex;

const HOUR: i64 = 3_600_000_000;

/// Three days of UTC, or until another day, of one objective of `web`.
fn world(objective: &str, until: u32, window: &str) -> Portfolio {
    portfolio_of(&format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: plain}}, spec: {{topics: [t], lateness: 0s}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: ola}}, spec: {{type: ola, services: [web],\n  \
         effective: {{from: 1970-01-01, until: 1970-01-0{until}}}, objectives: [{{id: promise, {objective}, window: {window}}}]}}}}\n"
    ))
}

const RATIO: &str = "indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}";
const DAY_WINDOW: &str = "{calendar: day}";

fn count(state: &mut ObjectiveState, portfolio: &Portfolio, at: i64, bin: Option<i64>, (good, total): (i64, i64)) {
    let (objective, bin) = (ObjectiveIndex(0), bin.map(|latency| Bin::of(Micros(latency))));
    state.contribute(
        &portfolio.objectives()[0],
        Contribution { objective, at: Instant(at), good, total, speaks: false, bin },
    );
}

fn close(state: &mut ObjectiveState, portfolio: &Portfolio, step: Step, states: &[Segment]) -> Facts {
    let (mut facts, mut forecasts) = (Facts::default(), Forecasts::default());
    let mut known = Known::new(states, NO_MAINTENANCE, &mut forecasts);
    state.publish(&portfolio.objectives()[0], portfolio.grace(), &step, &mut known, &[], &mut facts);
    facts
}

#[test]
fn r22_what_begins_in_time_that_is_closed_is_left_out() {
    let begun = |portfolio: &Portfolio, closed_until: i64| {
        let plan = &portfolio.objectives()[0];
        let mut state = ObjectiveState::new(plan);
        state.begin_whole(plan, Instant(closed_until));
        (state.stated_from.0, state.next_end.0)
    };
    let days = world(RATIO, 4, DAY_WINDOW);
    assert_eq!(begun(&days, i64::MIN), (i64::MIN, DAY));
    // A day that begins where nothing is closed any more is whole, one that begins before is not.
    assert_eq!(begun(&days, DAY), (DAY, DAY));
    assert_eq!(begun(&days, DAY + 1), (2 * DAY, DAY));
    assert_eq!(begun(&days, 2 * DAY - 1), (2 * DAY, DAY));
    // The agreement ends with the third day, so that nothing of it is left.
    assert_eq!(begun(&days, 2 * DAY + 1), (3 * DAY, i64::MAX));
    assert_eq!(begun(&days, 3 * DAY), (3 * DAY, i64::MAX));
    // 36 hours that end with each hour: those are whole that begin where nothing is closed, the first of which is the newest
    // 36 hours later.
    assert_eq!(begun(&world(RATIO, 4, "{rolling: 36h, every: hour}"), 20 * HOUR), (56 * HOUR, HOUR));
    let mut state = ObjectiveState::new(&days.objectives()[0]);
    state.begin_whole(&days.objectives()[0], Instant(DAY + 1));
    let facts = close(&mut state, &days, step(1, 4 * DAY, true), &[]);
    assert_eq!(said(&facts), ["day 2 final no_data 0/0 r1"]);
}

#[test]
fn r24_what_was_left_out_of_the_definitions_is_stated_anew_when_it_returns() {
    let days = world(RATIO, 4, DAY_WINDOW);
    let plan = &days.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    assert!(!state.resume(plan, Instant(i64::MIN)));
    state.leave();
    assert!(state.resume(plan, Instant(i64::MIN)));
}

#[test]
fn r21_windows_that_are_closed_are_forgotten_with_what_only_they_stood_on() {
    let days = world(RATIO, 6, DAY_WINDOW);
    let plan = &days.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    for (at, good) in [(HOUR, 0), (DAY, 0), (2 * DAY + HOUR, 5)] {
        count(&mut state, &days, at, None, (good, 10));
    }
    close(&mut state, &days, step(1, 3 * DAY, true), &[]);
    let windows = |state: &ObjectiveState| state.written.iter().map(|(start, _)| start.0 / DAY).collect::<Vec<_>>();
    let breaches = |state: &ObjectiveState| state.breaches.iter().map(|(start, _)| start.0 / DAY).collect::<Vec<_>>();
    assert_eq!((windows(&state), breaches(&state)), (vec![0, 1, 2], vec![0, 1, 2]));
    state.forget(Some(plan), Instant(DAY - 1));
    assert_eq!((windows(&state), breaches(&state)), (vec![0, 1, 2], vec![0, 1, 2]));
    state.forget(Some(plan), Instant(DAY));
    assert_eq!((windows(&state), breaches(&state)), (vec![1, 2], vec![1, 2]));
    let sums =
        |from: i64, until: i64| state.tally.sums(Window { start: Instant(from * DAY), end: Instant(until * DAY) });
    assert_eq!((sums(-9, 1), sums(1, 3)), ((0, 0), (5, 20)));
    let mut kept = Tally::default();
    kept.count(Instant(DAY), None, 0, 10);
    kept.count(Instant(2 * DAY), None, 5, 10);
    assert_eq!(state.tally, kept);
    // What the definitions lack is forgotten likewise, but its counts: they may be levels.
    let mut absent = state.clone();
    absent.forget(None, Instant(2 * DAY));
    assert_eq!((windows(&absent), breaches(&absent), absent.is_closed()), (vec![2], vec![2], false));
    assert_eq!(absent.tally, state.tally);
    absent.forget(None, Instant(3 * DAY));
    assert!(absent.is_closed());
}

#[test]
fn r10_who_is_overdue_when_windows_are_forgotten_still_is() {
    let days = world("indicator: {signal: overdue_count, within: 4h}, target: {at_most: 2}", 6, DAY_WINDOW);
    let plan = &days.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    count(&mut state, &days, HOUR, None, (1, 1));
    count(&mut state, &days, 5 * HOUR, None, (-1, 0));
    close(&mut state, &days, step(1, 3 * DAY, true), &[]);
    // Half of what may be is so from 5:00 on, and on each day that follows.
    let warned =
        |state: &ObjectiveState| state.warnings.iter().map(|((start, _), _)| start.0 / DAY).collect::<Vec<_>>();
    assert_eq!(warned(&state), [0, 1, 2]);
    state.forget(Some(plan), Instant(2 * DAY));
    assert_eq!(warned(&state), [2]);
    let facts = close(&mut state, &days, step(2, 4 * DAY, true), &[]);
    // One is open, and none in time.
    assert_eq!(said(&facts), ["day 3 final met 0/1 r1", &format!("warning at {}", 3 * DAY)]);
}

#[test]
fn r24_windows_that_are_none_any_more_are_taken_back_once_and_not_where_they_are_closed() {
    let days = world(RATIO, 4, DAY_WINDOW);
    let mut state = ObjectiveState::new(&days.objectives()[0]);
    (0..3).for_each(|day| count(&mut state, &days, day * DAY, None, (day, 2)));
    let said_at_first = said(&close(&mut state, &days, step(1, 9 * DAY, true), &[]));
    assert_eq!(said_at_first.len(), 5);
    // The second day and the third are none of it any more, by what is written of them; the first one is closed.
    let shown = |facts: &Facts| {
        let row = |row: &AttainmentRow| {
            let back = if row.retracted { " back" } else { "" };
            format!("day {} {}/{} r{}{back}", row.window_start.0 / DAY, row.good_count, row.total_count, row.revision)
        };
        facts.attainment.iter().map(row).collect::<Vec<_>>()
    };
    let weeks = world(RATIO, 4, "{calendar: week}");
    assert!(state.resume(&weeks.objectives()[0], Instant(i64::MIN)));
    let closed = Step { closed_until: Instant(DAY), ..step(2, 9 * DAY, true) };
    // 1970-01-01 was a Thursday. The week began on the Monday before, and has it all.
    let facts = close(&mut state, &weeks, closed, &[]);
    assert_eq!(shown(&facts), ["day -3 3/6 r1", "day 1 1/2 r2 back", "day 2 2/2 r2 back"]);
    let reasons: Vec<_> = facts.corrections.iter().map(|row| (&*row.reason, &*row.after)).collect();
    assert_eq!(reasons, [("definition_change", "retracted"); 2]);
    // Another definition of the week: what was taken back is not taken back again.
    let stricter = world(&RATIO.replace("90 %", "95 %"), 4, "{calendar: week}");
    assert!(state.resume(&stricter.objectives()[0], Instant(i64::MIN)));
    let facts = close(&mut state, &stricter, Step { epoch: 3, ..closed }, &[]);
    assert_eq!(shown(&facts), ["day -3 3/6 r2"]);
}

/// What corrections say was and is, behind the parts that each of them tells.
fn corrected(facts: &Facts, behind: &str) -> Vec<(String, String)> {
    let rest = |text: &str| text.split_once(behind).expect("the parts").1.to_owned();
    facts.corrections.iter().map(|row| (rest(&row.before), rest(&row.after))).collect()
}

#[test]
fn r22_a_correction_tells_percentiles() {
    let objective = "indicator: {signal: latency_percentile, percentile: 50 %}, target: {at_most: 100ms}";
    let days = world(objective, 4, DAY_WINDOW);
    let mut state = ObjectiveState::new(&days.objectives()[0]);
    close(&mut state, &days, step(1, DAY, true), &[]);
    count(&mut state, &days, HOUR, Some(90_000), (1, 1));
    let facts = close(&mut state, &days, step(2, DAY, true), &[]);
    // Bins are 512 us wide there: 90 ms are in the one that ends with 176 times that, 120 ms in that of 235 times.
    assert_eq!(corrected(&facts, "longest_outage_us 0"), [(String::new(), ", percentile_us 90111".to_owned())]);
    count(&mut state, &days, HOUR, Some(120_000), (0, 1));
    count(&mut state, &days, HOUR, Some(120_000), (0, 1));
    let facts = close(&mut state, &days, step(3, DAY, true), &[]);
    let percentiles = (", percentile_us 90111".to_owned(), ", percentile_us 120319".to_owned());
    assert_eq!(corrected(&facts, "longest_outage_us 0"), [percentiles]);
}

#[test]
fn r4_a_correction_tells_what_is_held() {
    let day = |edges: &[(i64, State)]| -> Vec<Segment> {
        let end = |place: usize| edges.get(place + 1).map_or(24, |(hour, _)| *hour);
        let segment = |(place, (hour, state)): (usize, &(i64, State))| Segment {
            start: Instant(hour * HOUR),
            end: Instant(end(place) * HOUR),
            state: *state,
            causes: Vec::new(),
        };
        edges.iter().enumerate().map(segment).collect()
    };
    let days = world("indicator: {signal: availability, unknown: hold}, target: {at_least: 90 %}", 4, DAY_WINDOW);
    let mut state = ObjectiveState::new(&days.objectives()[0]);
    let (up, unknown) = (State::Up, State::Unknown);
    close(&mut state, &days, step(1, DAY, true), &day(&[(0, up), (10, unknown), (12, up)]));
    state.touch(Instant(9 * HOUR));
    let facts =
        close(&mut state, &days, step(2, DAY, true), &day(&[(0, up), (9, State::Down), (10, unknown), (12, up)]));
    let hours = |hours: i64| hours * HOUR;
    let held = (format!(", unknown_up_us {}", hours(2)), format!(", unknown_down_us {}", hours(2)));
    let rest = |text: &str| {
        text[text.find(", unknown_up").or(text.find(", unknown_down")).expect("what is held")..].to_owned()
    };
    let told: Vec<_> = facts.corrections.iter().map(|row| (rest(&row.before), rest(&row.after))).collect();
    assert_eq!(told, [held]);
}

#[test]
fn r12_errors_after_the_one_too_many_are_forgotten_where_nobody_looks_at_them() {
    // Six errors on day 0, at 1:00 to 6:00, and two on day 1; two are allowed. So the third is one too many, and of day 1
    // nothing is. A late one at 0:30 makes that of 2:00 one too many.
    let kept = |portfolio: &Portfolio| {
        let place = portfolio.objectives().iter().position(|plan| &*plan.key.objective == "promise").expect("one");
        let plan = &portfolio.objectives()[place];
        let mut state = ObjectiveState::new(plan);
        let mut kept = Vec::new();
        for (part, epoch) in
            [(&[HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 5 * HOUR, 6 * HOUR, 25 * HOUR, 26 * HOUR][..], 1), (&[HOUR / 2], 2)]
        {
            for &at in part {
                let one = Contribution {
                    objective: ObjectiveIndex(place as u32),
                    at: Instant(at),
                    good: 0,
                    total: 1,
                    speaks: false,
                    bin: None,
                };
                state.contribute(plan, one);
                // What is good is no error.
                state.contribute(plan, Contribution { at: Instant(at + 1), good: 1, ..one });
            }
            let (mut facts, mut forecasts) = (Facts::default(), Forecasts::default());
            let mut known = Known::new(&[], NO_MAINTENANCE, &mut forecasts);
            state.publish(plan, portfolio.grace(), &step(epoch, 3 * DAY, true), &mut known, &[], &mut facts);
            kept.push(state.bad.keys().map(|at| at.0 / (HOUR / 2)).collect::<Vec<_>>());
        }
        kept
    };
    let errors = "indicator: {signal: error_count, kind: monitoring}, target: {at_most: 2}";
    assert_eq!(kept(&world(errors, 4, DAY_WINDOW)), [vec![2, 4, 6, 50, 52], vec![1, 2, 4, 50, 52]]);
    // Another rolling window may begin later, and who had a part in a breach had it in all of it.
    let all = [vec![2, 4, 6, 8, 10, 12, 50, 52], vec![1, 2, 4, 6, 8, 10, 12, 50, 52]];
    assert_eq!(kept(&world(errors, 4, "{rolling: 36h}")), all);
    let split = format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: db}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}, spec: {{depends_on: [db]}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Customer, metadata: {{id: acme}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: inner}}, spec: {{type: ola, services: [db],\n  \
         effective: {{from: 1970-01-01}}, objectives: [{{id: up, indicator: {{signal: availability}}, target: {{at_least: 90 %}},\n  \
         window: {DAY_WINDOW}}}]}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: sla}}, spec: {{type: sla, customer: acme, services: [web],\n  \
         effective: {{from: 1970-01-01, until: 1970-01-04}}, rests_on: [inner], objectives: [{{id: promise, {errors}, window: {DAY_WINDOW}}}]}}}}\n"
    );
    assert_eq!(kept(&portfolio_of(&split)), all);
    // Of other counts nothing is kept.
    assert_eq!(kept(&world(RATIO, 4, DAY_WINDOW)), [vec![], Vec::<i64>::new()]);
}
