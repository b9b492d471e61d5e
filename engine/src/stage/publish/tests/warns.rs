//! Warnings and breaches of windows that are open: said once, moved and taken back (R27, R28).

use super::*;

pub const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

/// One objective of `web` from this day of January 1970 on, without grace.
pub fn world(objective: &str, from: u32, window: &str) -> Portfolio {
    portfolio_of(&format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: plain}}, spec: {{topics: [t], lateness: 0s}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: ola}}, spec: {{type: ola, services: [web],\n  \
         effective: {{from: 1970-01-0{from}}}, objectives: [{{id: promise, {objective}, window: {window}}}]}}}}\n"
    ))
}

/// What a step at this minute says when the service was so from these minutes on: the steps say of which window, what, and
/// at which minute.
fn close(
    state: &mut ObjectiveState,
    portfolio: &Portfolio,
    (minute, publish): (i64, bool),
    states: &[(i64, State)],
) -> Vec<String> {
    told(&close_at(state, portfolio, (minute * MINUTE, publish), states))
}

/// The same at an instant.
pub fn close_at(
    state: &mut ObjectiveState,
    portfolio: &Portfolio,
    (now, publish): (i64, bool),
    states: &[(i64, State)],
) -> Facts {
    let end = |place: usize| states.get(place + 1).map_or(now, |(minute, _)| (minute * MINUTE).min(now));
    let segments = states.iter().enumerate().map(|(place, (minute, state))| Segment {
        start: Instant(minute * MINUTE),
        end: Instant(end(place)),
        state: *state,
        causes: Vec::new(),
    });
    let segments: Vec<Segment> = segments.filter(|segment| segment.start < segment.end).collect();
    let (mut facts, mut forecasts) = (Facts::default(), Forecasts::default());
    let mut known = Known::new(&segments, NO_MAINTENANCE, &mut forecasts);
    let step = step(1, now, publish);
    state.publish(&portfolio.objectives()[0], portfolio.grace(), &step, &mut known, &[], &mut facts);
    facts
}

pub fn told(facts: &Facts) -> Vec<String> {
    let row = |row: &plimsoll_schemas::table::BreachRow| {
        let what = row.threshold_ratio.map(|share| format!(" {}", share.0)).unwrap_or_default();
        let span = row.span_us.map(|span| format!(" over {}h", span / HOUR)).unwrap_or_default();
        let until = row.ended_at.map(|ended_at| format!(" until {} s", ended_at.0 / 1_000_000)).unwrap_or_default();
        format!("{}{what}{span} at {} min{until} r{}", row.event, row.at.0 / MINUTE, row.revision)
    };
    facts.breaches.iter().map(row).collect()
}

pub const UP: State = State::Up;
pub const DOWN: State = State::Down;

/// 144 minutes of a day may be down.
pub const DAILY: &str = "indicator: {signal: availability}, target: {at_least: 90 %}";

#[test]
fn r28_what_is_used_up_while_nothing_arrives_is_said_once() {
    let portfolio = world(DAILY, 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    // Down from 10:00 on: 72 minutes are half of 144, 108 three quarters, 129.6 nine tenths.
    let states = [(0, UP), (600, DOWN)];
    let mut said = |minute, publish| close(&mut state, &portfolio, (minute, publish), &states);
    assert_eq!(said(660, true), [""; 0]);
    assert_eq!(said(690, true), ["warning 50 % at 672 min r0"]);
    assert_eq!(said(700, false), [""; 0]);
    assert_eq!(said(710, false), ["warning 75 % at 708 min r0"]);
    assert_eq!(said(711, false), [""; 0]);
    assert_eq!(said(711, true), [""; 0]);
    assert_eq!(said(730, true), ["warning 90 % at 729 min r0"]);
}

#[test]
fn r22_r28_who_is_warned_finds_a_result_that_says_so() {
    let portfolio = world(DAILY, 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    // As above: so many minutes are down and so many of 144 are left, where there is a row at all.
    let states = [(0, UP), (600, DOWN)];
    let mut rows = |minute, publish| {
        let facts = close_at(&mut state, &portfolio, (minute * MINUTE, publish), &states);
        let row = |row: &AttainmentRow| (row.bad_us / MINUTE, row.budget_left_us.map(|left| left / MINUTE));
        facts.attainment.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(600, true), [(0, Some(144))]);
    assert_eq!(rows(671, false), []);
    assert_eq!(rows(673, false), [(73, Some(71))], "half of it is used up");
    assert_eq!(rows(674, false), []);
    assert_eq!(rows(674, true), [(74, Some(70))]);
}

#[test]
fn r28_warnings_are_looked_for_only_where_they_may_differ() {
    let looks = |objective: &str, left: Option<i64>, touched: Option<i64>| {
        let portfolio = world(objective, 1, "{calendar: day}");
        let plan = &portfolio.objectives()[0];
        let mut state = ObjectiveState::new(plan);
        // 90 of 144 minutes are used at 11:30, and half of them were at 11:12.
        close(&mut state, &portfolio, (690, true), &[(0, UP), (600, DOWN)]);
        let said = *state.written.get(Instant(0)).expect("a result");
        let share = left.map_or(said.judged.budget_left_share, |left| Some(Share(left)));
        let judged = Judged { budget_left_share: share, ..said.judged };
        let touched = touched.map(|minute| Instant(minute * MINUTE));
        state.may_warn_anew(plan, said.window, (&said.measured, &judged), touched)
    };
    assert!(!looks(DAILY, None, None), "all is as it was");
    // Three quarters are the next, and an event matters that lies where something was said or before.
    assert_eq!([250_000_001, 250_000_000].map(|left| looks(DAILY, Some(left), None)), [false, true]);
    assert_eq!([673, 672].map(|minute| looks(DAILY, None, Some(minute))), [false, true]);
    assert!(looks(&format!("{DAILY}, burn_rate_warnings: true"), None, None), "how fast it burns comes and goes");
}

#[test]
fn r28_an_outage_that_lay_elsewhere_moves_its_warning() {
    let portfolio = world(DAILY, 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    let said = |state: &mut ObjectiveState, states| close(state, &portfolio, (960, true), states);
    assert_eq!(said(&mut state, &[(0, UP), (600, DOWN), (690, UP)]), ["warning 50 % at 672 min r0"]);
    // As long, two hours later; and shorter by 20 minutes.
    state.touch(Instant(600 * MINUTE));
    assert_eq!(said(&mut state, &[(0, UP), (720, DOWN), (810, UP)]), ["warning 50 % at 792 min r1"]);
    state.touch(Instant(720 * MINUTE));
    assert_eq!(said(&mut state, &[(0, UP), (740, DOWN), (810, UP)]), ["retraction 50 % at 792 min r2"]);
}

#[test]
fn r28_a_warning_that_was_taken_back_comes_again_with_time_alone() {
    let portfolio = world(DAILY, 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    assert_eq!(close(&mut state, &portfolio, (680, true), &[(0, UP), (600, DOWN)]), ["warning 50 % at 672 min r0"]);
    // It turns out that it is down since 10:20 only: 61 minutes are used up. 19 minutes later there are 80, as there were
    // when results were last published.
    let states = [(0, UP), (620, DOWN)];
    state.touch(Instant(600 * MINUTE));
    assert_eq!(close(&mut state, &portfolio, (681, false), &states), ["retraction 50 % at 672 min r1"]);
    assert_eq!(close(&mut state, &portfolio, (700, false), &states), ["warning 50 % at 692 min r2"]);
    assert!(state.warned_since);
    assert_eq!(close(&mut state, &portfolio, (701, true), &states), [""; 0]);
    assert!(!state.warned_since);
}

#[test]
fn r4_what_was_used_up_while_too_little_was_known_is_said_when_enough_is() {
    let portfolio = world(&format!("{DAILY}, min_coverage: 90 %"), 1, "{calendar: day}");
    let mut state = ObjectiveState::new(&portfolio.objectives()[0]);
    // Unknown until 2:00, down for 70 minutes of the 132 that a tenth of the other 22 hours are: 53 %. Two hours are a tenth
    // of what has passed at 20:00.
    let states = [(0, State::Unknown), (120, DOWN), (190, UP)];
    let mut said = |minute, publish| close(&mut state, &portfolio, (minute, publish), &states);
    assert_eq!(said(300, true), [""; 0]);
    assert_eq!(said(1_140, true), [""; 0]);
    assert_eq!(said(1_230, true), ["warning 50 % at 1200 min r0"]);
    assert_eq!(said(1_231, true), [""; 0]);
}

#[test]
fn r24_a_warning_of_time_before_a_later_start_is_taken_back() {
    // 74.4 h of January may be down; half of them are 37.2 h, from 0:00 on the first until 13:12 on the second.
    let whole = world(DAILY, 1, "{calendar: month}");
    let mut state = ObjectiveState::new(&whole.objectives()[0]);
    let states = [(0, DOWN), (2_400, UP)];
    assert_eq!(close(&mut state, &whole, (4_320, true), &states), ["warning 50 % at 2232 min r0"]);
    // From the third on there is a tenth of 29 days, of which nothing is down.
    let later = world(DAILY, 3, "{calendar: month}");
    assert!(state.resume(&later.objectives()[0], Instant(i64::MIN)));
    assert_eq!(close(&mut state, &later, (4_330, true), &states), ["retraction 50 % at 2232 min r1"]);
}

#[test]
fn r18_a_breach_of_an_open_window_is_said_when_it_is_and_no_more() {
    let portfolio = world(&format!("{DAILY}, warn_at: []"), 1, "{calendar: day}");
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    let states = [(0, UP), (600, DOWN)];
    assert_eq!(close(&mut state, &portfolio, (744, false), &states), [""; 0]);
    assert_eq!(close(&mut state, &portfolio, (745, false), &states), ["breach at 744 min r0"]);
    assert_eq!(
        state.breaches.iter().map(|(_, said)| &*said.detail).collect::<Vec<_>>(),
        ["promised at least 90 %, can no longer be kept"]
    );
    assert_eq!(close(&mut state, &portfolio, (760, true), &states), [""; 0]);
    // When the day is over it is known what came of it: down from 10:00 on, 14 of 24 hours.
    assert_eq!(close(&mut state, &portfolio, (1_440, false), &states), ["breach at 744 min r1"]);
    let said = state.breaches.iter().next().map(|(_, said)| &*said.detail);
    assert_eq!(said, Some("promised at least 90 %, attained 41.6666666 %"));
}

#[test]
fn r27_a_budget_of_counts_that_burns_too_fast_is_warned_of_once() {
    let text = "indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 95 %}, burn_rate_warnings: true";
    let portfolio = world(text, 1, "{calendar: month}");
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    let count = |state: &mut ObjectiveState, minute: i64, good, total| {
        let (objective, at) = (crate::portfolio::ObjectiveIndex(0), Instant(minute * MINUTE));
        state.contribute(plan, Contribution { objective, at, good, total, speaks: false, bin: None });
    };
    let said = |state: &mut ObjectiveState, portfolio: &Portfolio, minute| close(state, portfolio, (minute, true), &[]);
    count(&mut state, 610, 10, 10);
    assert_eq!(said(&mut state, &portfolio, 650), [""; 0]);
    // Ten of ten are bad at 11:00, ten of twenty in the last hour and longer: ten times what a twentieth allows, and twenty
    // times in five minutes. That is too fast over six hours, a day and three days, of which a month of 744 hours bears
    // 6.2, 3.1 and 1.03, but not over an hour, of which it bears 14.88.
    count(&mut state, 660, 0, 10);
    let burning = ["620 % over 6h", "310 % over 24h", "103.3333333 % over 72h"]
        .map(|said| format!("warning {said} at 661 min r0"));
    assert_eq!(said(&mut state, &portfolio, 661), burning);
    assert_eq!(said(&mut state, &portfolio, 662), [""; 0]);
    assert_eq!(said(&mut state, &portfolio, 670), [""; 0]);
    // Whoever wants no warnings has them taken back.
    let silent = world(&text.replace("true", "false"), 1, "{calendar: month}");
    let mut resumed = state.clone();
    assert!(resumed.resume(&silent.objectives()[0], Instant(i64::MIN)));
    let taken_back = burning.clone().map(|said| said.replace("warning", "retraction").replace("r0", "r1"));
    assert_eq!(said(&mut resumed, &silent, 671), taken_back);
    // The bad ones turn out not to have been.
    count(&mut state, 660, 0, -10);
    assert_eq!(said(&mut state, &portfolio, 680), taken_back);
}

#[test]
fn r29_a_result_is_written_again_when_only_its_forecast_differs() {
    let portfolio =
        world("indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}", 1, "{calendar: day}");
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    let counted = Contribution {
        objective: crate::portfolio::ObjectiveIndex(0),
        at: Instant(1),
        good: 17,
        total: 20,
        speaks: false,
        bin: None,
    };
    state.contribute(plan, counted);
    let mut told = |minute: i64, publish| {
        let (mut facts, mut forecasts) = (Facts::default(), Forecasts::default());
        let mut known = Known::new(&[], NO_MAINTENANCE, &mut forecasts);
        let step = step(1, minute * MINUTE, publish);
        state.publish(plan, portfolio.grace(), &step, &mut known, &[], &mut facts);
        facts.attainment.first().map(|row| row.breach_probability_ratio.expect("a forecast").0.0)
    };
    let first = told(360, true).expect("a row");
    assert_eq!(told(360, true), None, "it is the same");
    assert_eq!(told(720, false), None, "that is no other verdict");
    // The less is to come, the less likely it is that more than a fifth is bad.
    let second = told(720, true).expect("a row");
    assert!(0 < second && second < first, "{first} {second}");
}
