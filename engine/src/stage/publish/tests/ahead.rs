//! What time alone brings about is said when it is reached (R27, R28).

use super::warns::{DAILY, DOWN, MINUTE, UP, close_at, told, world};
use super::*;

const SECOND: i64 = 1_000_000;

/// The instants at which an objective over states is looked at one after the other from this step on, with what is said at
/// each, until so many were looked at.
fn looks(
    state: &mut ObjectiveState,
    portfolio: &Portfolio,
    states: &[(i64, State)],
    count: usize,
) -> Vec<(i64, Vec<String>)> {
    let next = |state: &mut ObjectiveState| {
        let at = state.look_at?.0;
        let due = |at: i64| state.is_due(&step(1, at, false), portfolio.grace());
        assert_eq!((due(at - 1), due(at)), (false, true));
        let facts = close_at(state, portfolio, (at, false), states);
        assert!(facts.rescheduled, "who makes the step again looks then, too");
        Some((at, told(&facts)))
    };
    std::iter::from_fn(|| next(state)).take(count).collect()
}

#[test]
fn r28_what_an_outage_uses_up_is_said_when_it_is() {
    let portfolio = world(DAILY, 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    assert!(!close_at(&mut state, &portfolio, (600 * MINUTE, true), &[(0, UP)]).rescheduled, "nothing is bad");
    // Down from 10:00 on: 144 minutes are allowed, of which 72 are a half, 108 three quarters and 129.6 nine tenths. A
    // microsecond after 144 it is breached, and with the day another budget begins.
    let states = [(0, UP), (600, DOWN)];
    assert!(close_at(&mut state, &portfolio, (601 * MINUTE, true), &states).rescheduled);
    let minutes = |minutes: i64| (600 + minutes) * MINUTE;
    let said = |what: &str| vec![what.to_owned()];
    let expected = vec![
        (minutes(72), said("warning 50 % at 672 min r0")),
        (minutes(108), said("warning 75 % at 708 min r0")),
        (minutes(129) + 36 * SECOND, said("warning 90 % at 729 min r0")),
        (minutes(144) + 1, said("breach at 744 min r0")),
    ];
    assert_eq!(looks(&mut state, &portfolio, &states, 4), expected);
    assert_eq!(state.look_at, Some(Instant(DAY + 1)));
    // Once it is up nothing is awaited.
    let states = [(0, UP), (600, DOWN), (800, UP)];
    let facts = close_at(&mut state, &portfolio, (801 * MINUTE, true), &states);
    assert_eq!((state.look_at, facts.rescheduled), (None, true));
    assert!(!close_at(&mut state, &portfolio, (802 * MINUTE, true), &states).rescheduled);
}

#[test]
fn r28_it_is_at_risk_when_it_is_whatever_it_warns_of() {
    let portfolio = world(&format!("{DAILY}, warn_at: []"), 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    // All of 144 minutes are used up at 12:24, and it is breached a microsecond later.
    let states = [(0, UP), (600, DOWN)];
    close_at(&mut state, &portfolio, (601 * MINUTE, true), &states);
    assert_eq!(state.look_at, Some(Instant(744 * MINUTE)));
    let facts = close_at(&mut state, &portfolio, (744 * MINUTE, false), &states);
    assert_eq!(facts.attainment.iter().map(|row| &*row.verdict).collect::<Vec<_>>(), ["at_risk"]);
    assert_eq!(state.look_at, Some(Instant(744 * MINUTE + 1)));
}

#[test]
fn r27_that_a_budget_burns_too_fast_and_no_longer_is_said_when_it_is() {
    let text = "indicator: {signal: availability}, target: {at_least: 99.9 %}, warn_at: [], burn_rate_warnings: true";
    let portfolio = world(text, 1, "{calendar: month}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    // January has 744 h, of which 44.64 min are allowed, and 2 % of these are 53.568 s. Down from noon of the 5th on.
    let noon = 4 * 1_440 + 720;
    let at = |micros: i64| noon * MINUTE + micros;
    let states = [(0, UP), (noon, DOWN)];
    close_at(&mut state, &portfolio, (at(SECOND), true), &states);
    let paged = "warning 1488 % over 1h at 6480 min r0".to_owned();
    assert_eq!(looks(&mut state, &portfolio, &states, 1), [(at(53_568_000), vec![paged])]);
    // 5 % are 133.92 s in six hours.
    assert_eq!(state.look_at, Some(Instant(at(133_920_000))));
    // Up again after two minutes: the 5 minutes have 1.488 %, 4.464 s, until 12:07 less so much.
    let states = [(0, UP), (noon, DOWN), (noon + 2, UP)];
    state.touch(Instant(at(2 * MINUTE)));
    close_at(&mut state, &portfolio, (at(2 * MINUTE + 1), false), &states);
    let ended_at = at(7 * MINUTE - 4_464_000 + 1);
    let ended = format!("warning 1488 % over 1h at 6480 min until {} s r1", ended_at / SECOND);
    assert_eq!(looks(&mut state, &portfolio, &states, 2), [(ended_at, vec![ended])]);
    assert_eq!(state.look_at, None);
}

#[test]
fn r27_what_burns_when_its_window_is_over_ends_with_it() {
    let text = "indicator: {signal: availability}, target: {at_least: 99 %}, warn_at: [], burn_rate_warnings: true";
    let portfolio = world(text, 1, "{calendar: week}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    // The first week has four days, of which it is promised: 57.6 min are allowed. 2 % of them are 69.12 s in an hour, and
    // 5 % in six would be a rate below 1. Down from five minutes before its end on; it ends on Sunday at midnight.
    let end = 4 * 1_440;
    let states = [(0, UP), (end - 5, DOWN)];
    close_at(&mut state, &portfolio, ((end - 5) * MINUTE + 1, true), &states);
    let begun = (end - 5) * MINUTE + 69_120_000;
    let paged = "warning 192 % over 1h at 5756 min";
    assert_eq!(looks(&mut state, &portfolio, &states, 1), [(begun, vec![format!("{paged} r0")])]);
    // A microsecond later something is known of the next week, too.
    assert_eq!(state.look_at, Some(Instant(end * MINUTE + 1)));
    let over = format!("{paged} until {} s r1", end * 60);
    assert_eq!(told(&close_at(&mut state, &portfolio, (end * MINUTE + 1, false), &states)), [over]);
}

#[test]
fn r27_counted_things_are_looked_at_when_their_minute_is_over() {
    let text = "indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 95 %}, burn_rate_warnings: true";
    let portfolio = world(text, 1, "{calendar: month}");
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    let count = |state: &mut ObjectiveState, at: i64, good, total| {
        let (objective, at) = (crate::portfolio::ObjectiveIndex(0), Instant(at));
        state.contribute(plan, Contribution { objective, at, good, total, speaks: false, bin: None });
    };
    // Good ones alone burn nothing.
    count(&mut state, 610 * MINUTE, 10, 10);
    close_at(&mut state, &portfolio, (610 * MINUTE + SECOND, false), &[]);
    assert_eq!(state.look_at, None);
    // Ten of ten at 11:00:20, ten of twenty of all: too fast over six hours, a day and three, from 11:01 on, as
    // `r27_a_budget_of_counts_that_burns_too_fast_is_warned_of_once` says.
    count(&mut state, 660 * MINUTE + 20 * SECOND, 0, 10);
    close_at(&mut state, &portfolio, (660 * MINUTE + 21 * SECOND, false), &[]);
    let burning = |span: &str, more: &str| format!("warning {span} at 661 min{more}");
    let begun = ["620 % over 6h", "310 % over 24h", "103.3333333 % over 72h"];
    assert_eq!(
        looks(&mut state, &portfolio, &[], 1),
        [(661 * MINUTE, begun.map(|span| burning(span, " r0")).to_vec())]
    );
    // They leave the half hour with the minute that ends at 11:31, the two hours at 13:01, the six at 17:01.
    let ended: Vec<_> =
        looks(&mut state, &portfolio, &[], 9).into_iter().filter(|(_, said)| !said.is_empty()).collect();
    let until = |span: &str, minute: i64| vec![burning(span, &format!(" until {} s r1", minute * 60))];
    let expected = [(691, begun[0]), (781, begun[1]), (1_021, begun[2])];
    assert_eq!(ended, expected.map(|(minute, span)| (minute * MINUTE, until(span, minute))));
    assert_eq!(state.look_at, None);
}
