//! Budgets by hand calculation. Instants are minutes since the start of the segment unless they say otherwise.

use plimsoll_schemas::definition::{self, Denominator, ExcludedPolicy, UnknownPolicy};

use super::*;
use crate::calendar::AGREED_FROM;
use crate::state::service::Segment;
use crate::verdict::stretches;
use crate::verdict::tests::objective as promised;

mod rules_page;

const MINUTE: i64 = Micros::MINUTE.0;
const HOUR: i64 = Micros::HOUR.0;
const DAY: i64 = Micros::DAY.0;

const POLICY: StatePolicy = StatePolicy {
    unknown: UnknownPolicy::Remove,
    excluded: ExcludedPolicy::Remove,
    denominator: Denominator::Elapsed,
    min_outage: Micros::ZERO,
    degraded_good: Share(Share::WHOLE),
    min_duration: Micros::ZERO,
};

fn objective(signal: Signal, target: Target, min_coverage: &str) -> Objective {
    Objective {
        warn_at: Vec::new(),
        burn_rate_warnings: true,
        min_coverage: share(min_coverage),
        ..promised(signal, target)
    }
}

fn share(text: &str) -> Share {
    Share::parse(text).expect("a share")
}

fn at_least(text: &str) -> Target {
    Target::AtLeast(share(text))
}

/// States one after another from the segment's start on, each until an instant in microseconds.
fn states(until: &[(State, i64)]) -> Vec<Segment> {
    let mut start = Instant(0);
    let next = |&(state, end): &(State, i64)| {
        let segment = Segment { start, end: Instant(end), state, causes: Vec::new() };
        start = segment.end;
        segment
    };
    until.iter().map(next).collect()
}

fn course_of<'a>(
    objective: &'a Objective,
    policy: &StatePolicy,
    states: &[Segment],
    calendar: &'a Calendar,
    segment: Window,
    now: Instant,
) -> Course<'a> {
    Course::new(objective, policy, &stretches(states, &[], policy, segment, now), calendar, segment)
}

/// When a share is used up of a segment of so many microseconds, of all time agreed.
fn used_up(
    objective: &Objective,
    policy: &StatePolicy,
    length: i64,
    until: &[(State, i64)],
    used: &str,
) -> Option<i64> {
    let states = states(until);
    let (segment, now) = (Window { start: Instant(0), end: Instant(length) }, states.last().expect("a state").end);
    let calendar = Calendar::always();
    course_of(objective, policy, &states, &calendar, segment, now).used_up(share(used)).map(|at| at.0)
}

#[test]
fn r28_shares_of_the_budget_are_used_up_at_an_instant() {
    use State::{Down, Up};
    // 90 % of 1,000 allow 100: 50 are used at 150, 75 in the second outage, after 25 of it; 100 never.
    let course = [(Up, 100), (Down, 150), (Up, 300), (Down, 340), (Up, 400)];
    let promise = objective(Signal::Availability(POLICY), at_least("90 %"), "90 %");
    for (used, at) in [("50 %", Some(150)), ("50.0000001 %", Some(301)), ("75 %", Some(325)), ("90 %", Some(340))] {
        assert_eq!(used_up(&promise, &POLICY, 1_000, &course, used), at, "{used}");
    }
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "100 %"), None);
    // At most 60: 45 are used up in the first outage, 54 after 4 of the second.
    let promise = objective(Signal::Downtime(POLICY), Target::AtMostTime(Micros(60)), "90 %");
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "75 %"), Some(145));
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "90 %"), Some(304));
    // An outage of at most 50: the first one uses 45 at 145, and all of it at 150.
    let promise = objective(Signal::LongestOutage(POLICY), Target::AtMostTime(Micros(50)), "90 %");
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "90 %"), Some(145));
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "100 %"), Some(150));
    // At most 3 outages: the first is 33 %, the second 67 %, from the instant at which it begins.
    let promise = objective(Signal::OutageCount(POLICY), Target::AtMostCount(3), "90 %");
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "33 %"), Some(100));
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "50 %"), Some(300));
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "75 %"), None);
}

#[test]
fn r28_a_target_that_allows_nothing_warns_of_nothing() {
    let course = [(State::Down, 50), (State::Up, 100)];
    for (signal, target) in [
        (Signal::Availability(POLICY), at_least("100 %")),
        (Signal::Downtime(POLICY), Target::AtMostTime(Micros(0))),
        (Signal::LongestOutage(POLICY), Target::AtMostTime(Micros(0))),
        (Signal::OutageCount(POLICY), Target::AtMostCount(0)),
    ] {
        let promise = objective(signal, target, "90 %");
        assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "50 %"), None);
        let (states, calendar) = (states(&course), Calendar::always());
        let segment = Window { start: Instant(0), end: Instant(1_000) };
        let course = course_of(&promise, &POLICY, &states, &calendar, segment, Instant(100));
        assert_eq!(course.burn(SPANS[0]), None);
        assert_eq!(course.spending(), None);
    }
    // Where nothing bad happened none of it is used up, even when removed time takes all of it along.
    let promise = objective(Signal::Availability(POLICY), at_least("90 %"), "0 %");
    assert_eq!(used_up(&promise, &POLICY, 1_000, &[(State::Unknown, 1_000)], "50 %"), None);
}

#[test]
fn r28_removed_time_neither_ends_nor_prolongs_an_outage() {
    use State::{Down, Unknown, Up};
    let used_up = |promise: &Objective, until: &[(State, i64)], excluded: (i64, i64), used| {
        let (states, calendar) = (states(until), Calendar::always());
        let excluded = [Window { start: Instant(excluded.0), end: Instant(excluded.1) }];
        let segment = Window { start: Instant(0), end: Instant(1_000) };
        let stretches = stretches(&states, &excluded, &POLICY, segment, states.last().expect("a state").end);
        Course::new(promise, &POLICY, &stretches, &calendar, segment).used_up(share(used)).map(|at| at.0)
    };
    // Down 100-200 but for 140-160: 40 and 40.
    let (course, excluded) = ([(Up, 100), (Down, 200), (Up, 400)], (140, 160));
    let longest = objective(Signal::LongestOutage(POLICY), Target::AtMostTime(Micros(100)), "0 %");
    let used = |used| used_up(&longest, &course, excluded, used);
    assert_eq!([used("75 %"), used("80 %"), used("80.0000001 %")], [Some(195), Some(200), None]);
    let counted = |limit, min| objective(Signal::OutageCount(POLICY), Target::AtMostCount(limit), min);
    let used = |used| used_up(&counted(2, "0 %"), &course, excluded, used);
    assert_eq!([used("50 %"), used("50.0000001 %")], [Some(100), None], "one outage");
    // Unknown until 100, down until 160, excluded until 180: half of what is to be known is known at 220, 100 of 200.
    let course = [(Unknown, 100), (Down, 160), (Up, 400)];
    assert_eq!(used_up(&counted(1, "50 %"), &course, (160, 180), "50 %"), Some(220));
}

#[test]
fn r28_an_outage_in_no_agreed_time_uses_nothing_up() {
    let at = |second: i64| AGREED_FROM + Micros(second * Micros::SECOND.0);
    let closure = definition::Closure { from: at(100), until: at(200), name: String::new() };
    let calendar = Calendar::compile(&[definition::Calendar {
        closures: vec![closure],
        ..definition::Calendar::around_the_clock()
    }]);
    let promise = objective(Signal::OutageCount(POLICY), Target::AtMostCount(1), "0 %");
    let used_up = |until| {
        let stretch = |start, end, state| Segment { start: at(start), end: at(end), state, causes: Vec::new() };
        let states = [stretch(0, 100, State::Up), stretch(100, until, State::Down), stretch(until, 300, State::Up)];
        let segment = Window { start: at(0), end: at(1_000) };
        course_of(&promise, &POLICY, &states, &calendar, segment, at(300)).used_up(share("100 %"))
    };
    assert_eq!([used_up(200), used_up(201)], [None, Some(at(200))]);
}

#[test]
fn r4_no_warning_while_too_little_is_known() {
    use State::{Down, Unknown, Up};
    let promise = objective(Signal::Availability(POLICY), at_least("90 %"), "50 %");
    // 900 remain measurable once the first 100 are unknown, so 90 are allowed: 45 are used up at 145, when 45 of 145
    // are known, 31 %. At 200 half is known: the warning is from then.
    assert_eq!(used_up(&promise, &POLICY, 1_000, &[(Unknown, 100), (Down, 160), (Up, 400)], "50 %"), Some(200));
    // Of outages, too, from the first microsecond at which enough is known.
    let counted = objective(Signal::OutageCount(POLICY), Target::AtMostCount(1), "50 %");
    assert_eq!(used_up(&counted, &POLICY, 1_000, &[(Unknown, 100), (Down, 160), (Up, 400)], "50 %"), Some(200));
    // Of the longest outage, too, when it is over.
    let longest = objective(Signal::LongestOutage(POLICY), Target::AtMostTime(Micros(60)), "50 %");
    assert_eq!(used_up(&longest, &POLICY, 1_000, &[(Unknown, 100), (Down, 160), (Up, 400)], "100 %"), Some(200));
    assert_eq!(used_up(&promise, &POLICY, 1_000, &[(Unknown, 100), (Down, 160), (Unknown, 400)], "50 %"), None);
    // A warning that was given stays: 50 % of 100 are used up at 50, and all is known by then.
    assert_eq!(used_up(&promise, &POLICY, 1_000, &[(Down, 50), (Unknown, 999)], "50 %"), Some(50));
}

#[test]
fn r27_removed_time_takes_its_budget_along_until_a_share_of_it_is_used_up() {
    use State::{Down, Unknown, Up};
    // 40 of 100 are bad by 40. 50 % would be 40 of 80, which remain when 200 of 1,000 are removed: at 100 + 200.
    let promise = objective(Signal::Availability(POLICY), at_least("90 %"), "0 %");
    let course = [(Down, 40), (Up, 100), (Unknown, 400)];
    assert_eq!(used_up(&promise, &POLICY, 1_000, &course, "50 %"), Some(300));
    // Counted as bad, the unknown time uses up the missing 10 at 110; as good, never.
    for (unknown, at) in [(UnknownPolicy::Bad, Some(110)), (UnknownPolicy::Good, None)] {
        let policy = StatePolicy { unknown, ..POLICY };
        let promise = objective(Signal::Availability(policy), at_least("90 %"), "0 %");
        assert_eq!(used_up(&promise, &policy, 1_000, &course, "50 %"), at, "{unknown:?}");
    }
}

#[test]
fn r8_degraded_time_uses_the_budget_up_by_its_weight() {
    // A quarter is good, so each microsecond costs 0.75: 50 are used up after 66.67, in the 67th.
    let policy = StatePolicy { degraded_good: share("25 %"), ..POLICY };
    let promise = objective(Signal::Availability(policy), at_least("90 %"), "90 %");
    assert_eq!(used_up(&promise, &policy, 1_000, &[(State::Up, 10), (State::Degraded, 200)], "50 %"), Some(77));
}

#[test]
fn r27_pairs_are_those_of_the_workbook_scaled_to_the_window() {
    let shown = |agreed: i64| {
        let show = |pair: &BurnPair| format!("{} {} {} {}", pair.long, pair.short, pair.factor, pair.severity.as_str());
        BurnPair::of(Micros(agreed)).iter().map(show).collect::<Vec<_>>()
    };
    // Table 5-8 of the SRE workbook is for 30 days: 14.4, 6, 1; and 3, which the rules for Prometheus add.
    assert_eq!(shown(30 * DAY), ["1h 5m 1440 % page", "6h 30m 600 % page", "1d 2h 300 % ticket", "3d 6h 100 % ticket"]);
    // A week is 168 h: 2 % x 168 / 1, 5 % x 168 / 6; 10 % of it in a day is slower than it allows.
    assert_eq!(shown(7 * DAY), ["1h 5m 336 % page", "6h 30m 140 % page"]);
    // 90 days are 2,160 h.
    assert_eq!(
        shown(90 * DAY),
        ["1h 5m 4320 % page", "6h 30m 1800 % page", "1d 2h 900 % ticket", "3d 6h 300 % ticket"]
    );
    assert_eq!(shown(DAY), [""; 0]);
}

/// 99.9 % of 30 days in which everything is good but what is told.
fn month(min_coverage: &str, until: &[(State, i64)], check: impl FnOnce(Course<'_>)) {
    let (states, calendar) = (states(until), Calendar::always());
    let (segment, now) = (Window { start: Instant(0), end: Instant(30 * DAY) }, states.last().expect("a state").end);
    let promise = objective(Signal::Availability(POLICY), at_least("99.9 %"), min_coverage);
    check(course_of(&promise, &POLICY, &states, &calendar, segment, now));
}

#[test]
fn r27_burn_rates_over_the_spans() {
    // 3 minutes down of the last 5: 60 % bad, 600 times what 99.9 % allow; of an hour 5 %; of 3 days 0.0694 %.
    let until = [(State::Up, 10 * DAY), (State::Down, 10 * DAY + 3 * MINUTE), (State::Up, 10 * DAY + 5 * MINUTE)];
    month("90 %", &until, |course| {
        let rates = SPANS.map(|span| course.burn(span).expect("a rate").to_string());
        assert_eq!(rates, ["600", "100", "50", "25", "8.33", "2.08", "0.69"]);
        assert_eq!(course.burn(SPANS[6]).expect("a rate").rounded(), Share(694_444_444));
    });
    // Of the last hour half is unknown: 3 of 30 minutes.
    let until = [(State::Unknown, 30 * MINUTE), (State::Down, 33 * MINUTE), (State::Up, 60 * MINUTE)];
    month("0 %", &until, |course| assert_eq!(course.burn(SPANS[2]).expect("a rate").to_string(), "100"));
    month("0 %", &[(State::Unknown, DAY)], |course| assert_eq!(course.burn(SPANS[2]), None, "nothing was measured"));
}

/// When the budget of the month is spent at the present burn, or was.
fn spent_at(until: &[(State, i64)]) -> Option<i64> {
    let mut found = None;
    month("90 %", until, |course| found = course.spending().expect("a budget").spent_at);
    found.map(|at| at.0)
}

#[test]
fn r27_when_the_budget_is_spent_at_the_present_burn() {
    use State::{Down, Unknown, Up};
    // 43 min 12 s are allowed; 3 min of them are spent, 40 min 12 s are left. Of the last hour 5 % were bad: at that
    // rate they last 804 min.
    let (start, now) = (10 * DAY, 10 * DAY + 5 * MINUTE);
    let course = [(Up, start), (Down, start + 3 * MINUTE), (Up, now)];
    assert_eq!(spent_at(&course), Some(now + 804 * MINUTE));
    // So is a budget that is promised as a time.
    let allowed = Target::AtMostTime(Micros(43 * MINUTE + 12_000_000));
    let downtime = objective(Signal::Downtime(POLICY), allowed, "90 %");
    let (states, calendar) = (states(&course), Calendar::always());
    let segment = Window { start: Instant(0), end: Instant(30 * DAY) };
    let spending = course_of(&downtime, &POLICY, &states, &calendar, segment, Instant(now)).spending();
    assert_eq!(spending.and_then(|spending| spending.spent_at), Some(Instant(now + 804 * MINUTE)));
    // A microsecond less is spent: 2,412,000,001 us are left, and 179,999,999 of 3,600,000,000 were bad. That lasts
    // 2,412,000,001 x 3,600,000,000 / 179,999,999 = 48,240,000,288.0000016 us, which the next one completes.
    let course = [(Up, start), (Down, start + 3 * MINUTE - 1), (Up, now)];
    assert_eq!(spent_at(&course), Some(now + 48_240_000_289));
    // Once the hour is over nothing burns. An hour before the end, 40 minutes are not spent at a rate of 5 %.
    assert_eq!(spent_at(&[(Up, start), (Down, start + 3 * MINUTE), (Up, start + 63 * MINUTE)]), None);
    let start = 30 * DAY - 65 * MINUTE;
    assert_eq!(spent_at(&[(Up, start), (Down, start + 3 * MINUTE), (Up, start + 5 * MINUTE)]), None);
    // Down until now: all of what was known of the last hour is bad, for the rest of it was not measured.
    let start = 10 * DAY;
    let course = [(Up, start - HOUR), (Unknown, start), (Down, start + MINUTE)];
    // The unknown hour takes 3.6 s of the budget along: 42 min 8.4 s are left.
    let left = 42 * MINUTE + 8_400_000;
    assert_eq!(spent_at(&course), Some(start + MINUTE + left));
    // What is spent already was spent after 43 min 12 s, whether enough was known then or not.
    let spent = Some(start + 43 * MINUTE + 12_000_000);
    assert_eq!(spent_at(&[(Up, start), (Down, start + HOUR), (Up, start + 9 * HOUR)]), spent);
    month("100 %", &[(Unknown, MINUTE), (Down, 2 * HOUR)], |course| {
        // A minute that is unknown takes 60 ms of the budget along.
        let at = MINUTE + 43 * MINUTE + 11_940_000;
        assert_eq!(course.spending().and_then(|spending| spending.spent_at), Some(Instant(at)));
        assert_eq!(course.used_up(Share(Share::WHOLE)), None, "but too little is known for a warning");
    });
}

/// The instants in microseconds at which the month begins to burn too fast by the pair at this place, and what is said.
fn burning(pair: usize, min_coverage: &str, until: &[(State, i64)]) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    month(min_coverage, until, |course| found = course.burning(&BurnPair::of(Micros(30 * DAY))[pair]));
    found.into_iter().map(|burning| (burning.at.0, burning.detail)).collect()
}

/// The instants in microseconds after noon of the eleventh day from and until which it does.
fn spans_of_burning(pair: usize, min_coverage: &str, until: &[(State, i64)]) -> Vec<(i64, Option<i64>)> {
    let mut found = Vec::new();
    month(min_coverage, until, |course| found = course.burning(&BurnPair::of(Micros(30 * DAY))[pair]));
    let since = |at: Instant| at.0 - NOON;
    found.iter().map(|burning| (since(burning.at), burning.ended_at.map(since))).collect()
}

const NOON: i64 = 10 * DAY + 12 * HOUR;

#[test]
fn r27_a_budget_burns_no_longer_when_either_span_says_so() {
    use State::{Down, Unknown, Up};
    let second = Micros::SECOND.0;
    // Down for two minutes from noon on: of the 5 minutes 4.32 s are too much, which are in them until 12:07 less so much.
    // The microsecond after that is the first with less.
    let course = |end: i64| [(Up, NOON), (Down, NOON + 2 * MINUTE), (Up, NOON + end)];
    let ended_at = 7 * MINUTE - 4_320_000 + 1;
    assert_eq!(spans_of_burning(0, "90 %", &course(2 * HOUR)), [(51_840_000, Some(ended_at))]);
    // Neither sooner nor later is more known.
    assert_eq!(spans_of_burning(0, "90 %", &course(ended_at)), [(51_840_000, Some(ended_at))]);
    assert_eq!(spans_of_burning(0, "90 %", &course(ended_at - 1)), [(51_840_000, None)]);
    // 50 s from 11:00 on leave the hour from 12:00 on. Down from 12:00:04 until 12:00:56: the hour has 46 s at 12:00:04 and
    // at 12:00:50, and 51.84 s at 12:00:55.84. The 5 minutes have 4.32 s until 12:05:51.68.
    let course = [
        (Up, NOON - HOUR),
        (Down, NOON - HOUR + 50 * second),
        (Up, NOON + 4 * second),
        (Down, NOON + 56 * second),
        (Up, NOON + 2 * HOUR),
    ];
    let ended_at = 5 * MINUTE + 51_680_000 + 1;
    assert_eq!(spans_of_burning(0, "90 %", &course), [(55_840_000, Some(ended_at))]);
    // Down again from 12:59 on for 3.84 s: the 5 minutes never have 4.32 s. For 20 s: they do, and it is the hour that says
    // so first. It has 72 s, of which 52 s leave it from 13:00:04 on: 20.16 s later there are 51.84 s left.
    let course = |length: i64| {
        let again = [(Up, NOON + 59 * MINUTE), (Down, NOON + 59 * MINUTE + length), (Up, NOON + 2 * HOUR)];
        [&course[..4], &again[..]].concat()
    };
    assert_eq!(spans_of_burning(0, "90 %", &course(3_840_000)).len(), 1);
    let twice = [(55_840_000, Some(ended_at)), (59 * MINUTE + 4_320_000, Some(HOUR + 24_160_000 + 1))];
    assert_eq!(spans_of_burning(0, "90 %", &course(20 * second)), twice);
    // Where nothing is measured in the 5 minutes, nothing bad is: the outage leaves them at 12:07.
    let course = [(Up, NOON), (Down, NOON + 2 * MINUTE), (Unknown, NOON + HOUR)];
    assert_eq!(spans_of_burning(0, "0 %", &course), [(51_840_000, Some(7 * MINUTE))]);
}

#[test]
fn r4_while_too_little_is_known_nothing_is_known_to_burn_no_longer() {
    use State::{Down, Unknown, Up};
    let ends = |until: &[(State, i64)]| {
        let found = spans_of_burning(0, "50 %", until);
        found.into_iter().map(|(_, ended_at)| ended_at.map(|ended_at| ended_at + NOON)).collect::<Vec<_>>()
    };
    // By 0:04 as much is unknown as is known. Up from 2:00 on, half is known again at 3:56: 118 of 236 minutes. Then it is
    // known that it burns no longer.
    let course = |end: i64| [(Down, 2 * MINUTE), (Unknown, 2 * HOUR), (Up, end)];
    assert_eq!(ends(&course(3 * HOUR)), [None]);
    assert_eq!(ends(&course(4 * HOUR)), [Some(236 * MINUTE)]);
    assert_eq!(ends(&course(4 * HOUR)[..2]), [None]);
}

#[test]
fn r27_a_budget_that_burns_too_fast_is_said_when_both_spans_say_so() {
    use State::{Down, Up};
    // 99.9 % of 30 days allow 43.2 min, of which 2 % are 51.84 s. Down from noon: 51.84 s later the hour has burnt so
    // much, 14.4 times what lasts; of the 5 minutes 17.28 % are bad, 172.8 times.
    let noon = 10 * DAY + 12 * HOUR;
    let said = "burn rate 14.4 over 1h and 172.8 over 5m, 14.4 is too fast".to_owned();
    let course = [(Up, noon), (Down, noon + 2 * MINUTE), (Up, noon + 3 * HOUR)];
    assert_eq!(burning(0, "90 %", &course), [(noon + 51_840_000, said.clone())]);
    // A microsecond less is not enough.
    assert_eq!(burning(0, "90 %", &[(Up, noon), (Down, noon + 51_839_999), (Up, noon + 3 * HOUR)]), []);
    // From 12:07 on nothing bad is left in the short span. At 12:30 it burns again: the hour has burnt 2 min already,
    // the 5 minutes reach 14.4 times after 1.44 % of them, 4.32 s: 124.32 s of the hour are 3.4533 %.
    let again = noon + 30 * MINUTE;
    let course = [(Up, noon), (Down, noon + 2 * MINUTE), (Up, again), (Down, again + MINUTE), (Up, again + HOUR)];
    let said_again = "burn rate 34.53 over 1h and 14.4 over 5m, 14.4 is too fast".to_owned();
    assert_eq!(burning(0, "90 %", &course), [(noon + 51_840_000, said), (again + 4_320_000, said_again)]);
    // 5 % of 43.2 min in 6 h are 2 min 9.6 s.
    let course = [(Up, noon), (Down, noon + 3 * MINUTE), (Up, noon + DAY)];
    let starts = |pair| burning(pair, "90 %", &course).into_iter().map(|(at, _)| at - noon).collect::<Vec<_>>();
    assert_eq!(starts(1), [129_600_000]);
    // 10 % in a day or in three are 4 min 19.2 s: three minutes are less.
    assert_eq!((starts(2), starts(3)), (vec![], vec![]));
}

#[test]
fn r27_what_leaves_a_span_while_more_burns_makes_up_for_it() {
    use State::{Down, Unknown, Up};
    let noon = 10 * DAY + 12 * HOUR;
    let second = Micros::SECOND.0;
    let starts = |min_coverage, until: &[(State, i64)]| -> Vec<i64> {
        burning(0, min_coverage, until).into_iter().map(|(at, _)| at - noon).collect()
    };
    // 40 s from 11:00 on, then down from 12:00:10 on, when 30 s of them are still within the hour: until 12:00:40 as much
    // leaves it as comes, then it burns up to 51.84 s, which are reached at 12:01:01.84.
    let early = noon - HOUR;
    let course = [(Up, early), (Down, early + 40 * second), (Up, noon + 10 * second), (Down, noon + 130 * second)];
    assert_eq!(starts("90 %", &course), [61_840_000]);
    // The hour has burnt enough from 11:30:51.84 on. 4 s from 12:00 on are less than 4.32 s, and when it is down again from
    // 12:05:02 on, 2 s of them leave the 5 minutes as 2 s come: 4.32 s are reached at 12:05:06.32.
    let course = [
        (Up, noon - 30 * MINUTE),
        (Down, noon - 29 * MINUTE),
        (Up, noon),
        (Down, noon + 4 * second),
        (Up, noon + 302 * second),
        (Down, noon + 360 * second),
    ];
    assert_eq!(starts("90 %", &course), [51_840_000 - 30 * MINUTE, 306_320_000]);
    // Nothing measured in the 5 minutes is nothing bad: what burns again from 12:20 on is said again.
    let course = [(Up, noon), (Down, noon + 2 * MINUTE), (Unknown, noon + 20 * MINUTE), (Down, noon + 30 * MINUTE)];
    assert_eq!(starts("0 %", &course), [51_840_000, 20 * MINUTE + 1]);
}

#[test]
fn r27_before_the_window_nothing_of_its_budget_was_spent() {
    // Down from the first instant on: after a second the hour has burnt one second, not all of what was measured in it.
    let said = burning(0, "90 %", &[(State::Down, HOUR)]);
    assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [51_840_000]);
}

#[test]
fn r4_while_too_little_is_known_nothing_starts_to_burn_and_nothing_ceases_to() {
    use State::{Down, Unknown, Up};
    // Unknown for an hour, then down: half is known from 2:00 on, when it burns and is said.
    let starts =
        |until: &[(State, i64)]| burning(0, "50 %", until).into_iter().map(|(at, _)| at / MINUTE).collect::<Vec<_>>();
    assert_eq!(starts(&[(Unknown, HOUR), (Down, 3 * HOUR)]), [120]);
    // It burns from 0:00:51.84 on. By 0:04 half is unknown; it is up again from 2:00, half is known again at 2:00 +
    // 112 min or so: it is the first thing that is then known to burn no longer. The outage at 4:00 is another one.
    let course =
        [(Down, 2 * MINUTE), (Unknown, 2 * HOUR), (Up, 4 * HOUR), (Down, 4 * HOUR + 2 * MINUTE), (Up, 5 * HOUR)];
    assert_eq!(starts(&course), [0, 240]);
    // What still burns when enough is known again never ceased.
    let course = [(Down, 2 * MINUTE), (Unknown, 5 * MINUTE), (Down, 30 * MINUTE), (Up, HOUR)];
    assert_eq!(starts(&course), [0]);
}

#[test]
fn r27_spans_and_budgets_are_of_agreed_time() {
    use chrono::{NaiveTime, Weekday};
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
    let weekdays = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let span = definition::DaySpan { from: time(8), until: time(17) };
    let calendar = Calendar::compile(&[definition::Calendar {
        time_zone: chrono_tz::UTC,
        hours: weekdays.map(|day| (day, span)).to_vec(),
        ..definition::Calendar::default()
    }]);
    // March 2026 has 22 working days of 9 h, 198 h: 2 % of the budget in an hour are a rate of 3.96. 99 % allow 118.8
    // min, of which 2 % are 142.56 s. Down on Friday the 6th from 16:59 until Monday 08:10: 60 s are agreed on
    // Friday, and 82.56 s later, on Monday at 08:01:22.56, it is said.
    let at = |text: &str| Instant::parse_rfc3339(text).expect("an instant");
    let segment = Window { start: at("2026-03-01T00:00:00Z"), end: at("2026-04-01T00:00:00Z") };
    let (from, until) = (at("2026-03-06T16:59:00Z"), at("2026-03-09T08:10:00Z"));
    let stretch = |start, end, state| Segment { start, end, state, causes: Vec::new() };
    let states = [stretch(segment.start, from, State::Up), stretch(from, until, State::Down)];
    let promise = objective(Signal::Availability(POLICY), at_least("99 %"), "90 %");
    let course = course_of(&promise, &POLICY, &states, &calendar, segment, until);
    let pairs = BurnPair::of(calendar.elapsed(segment.start, segment.end));
    assert_eq!(pairs.iter().map(|pair| pair.factor).collect::<Vec<_>>(), [Share(3_960_000_000), Share(1_650_000_000)]);
    let said = course.burning(&pairs[0]);
    // Of the 5 minutes 142.56 s are 47.52 %.
    let detail = "burn rate 3.96 over 1h and 47.52 over 5m, 3.96 is too fast".to_owned();
    assert_eq!(said, [Burning { at: at("2026-03-09T08:01:22.56Z"), ended_at: None, detail }]);
    // Up from 8:10 on: the five minutes of agreed time have 3.96 % of 300 s, 11.88 s, until 8:14:48.12.
    let states = [&states[..], &[stretch(until, at("2026-03-09T12:00:00Z"), State::Up)]].concat();
    let course = course_of(&promise, &POLICY, &states, &calendar, segment, at("2026-03-09T12:00:00Z"));
    let ended_at = course.burning(&pairs[0])[0].ended_at;
    assert_eq!(ended_at, Some(at("2026-03-09T08:14:48.120001Z")));
}

#[test]
fn r27_the_headroom_is_what_is_left_but_never_more_than_the_rest_of_the_window() {
    let judged = |left| Judged {
        value: None,
        verdict: crate::verdict::Verdict::Met,
        attainment: None,
        budget: Some(Micros(100)),
        budget_left: left,
        budget_left_share: None,
        credit: None,
    };
    for (left, rest, room) in
        [(Some(60), 500, Some(60)), (Some(60), 40, Some(40)), (Some(-1), 500, Some(0)), (None, 500, None)]
    {
        assert_eq!(headroom(&judged(left.map(Micros)), Micros(rest)), room.map(Micros));
    }
}
