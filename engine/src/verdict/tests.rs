//! Verdicts by hand calculation.

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{
    self, ClockRule, Closure, CountRule, Denominator, ExcludedPolicy, Indicator, RatioRule, UnknownPolicy, WindowKind,
};
use plimsoll_schemas::event::EventKind;

use super::*;
use crate::calendar::{AGREED_FROM, Calendar};
use crate::state::State;
use crate::state::service::Segment;
use crate::window::Window;

const POLICY: StatePolicy = StatePolicy {
    unknown: UnknownPolicy::Remove,
    excluded: ExcludedPolicy::Remove,
    denominator: Denominator::Elapsed,
    min_outage: Micros::ZERO,
    degraded_good: Share(Share::WHOLE),
    min_duration: Micros::ZERO,
};

/// What is promised of a signal over a month.
pub fn objective(signal: Signal, target: Target) -> Objective {
    Objective {
        id: "o".into(),
        indicator: Indicator { signal, calendar: "24x7".into() },
        target,
        window: WindowKind::Month,
        warn_at: vec![Share(900_000_000)],
        burn_rate_warnings: false,
        min_coverage: Share(900_000_000),
        min_sample: 0,
        met_when_empty: false,
        weight: 1,
        credits: Vec::new(),
    }
}

fn at_least(text: &str) -> Target {
    Target::AtLeast(Share::parse(text).expect("a share"))
}

fn measured(good: i64, bad: i64, unknown: i64, agreed: i64) -> Measured {
    Measured {
        good: Micros(good),
        bad: Micros(bad),
        unknown: Micros(unknown),
        agreed: Micros(agreed),
        ..Measured::default()
    }
}

#[test]
fn r12_exactly_on_target_is_met_and_a_microsecond_less_is_not() {
    let promise = objective(Signal::Availability(POLICY), at_least("99.9 %"));
    // 99.9 % of a 30-day month of 2,592,000,000,000 us allows 2,592,000,000 us.
    let month = 2_592_000_000_000;
    let on = judge(&promise, &measured(month - 2_592_000_000, 2_592_000_000, 0, month), true);
    assert_eq!((on.verdict, on.budget, on.budget_left), (Verdict::Met, Some(Micros(2_592_000_000)), Some(Micros(0))));
    let below = judge(&promise, &measured(month - 2_592_000_001, 2_592_000_001, 0, month), true);
    assert_eq!((below.verdict, below.budget_left), (Verdict::Breached, Some(Micros(-1))));
    assert_eq!(below.attainment, Some(Share(998_999_999)), "rounded down, for display only");
}

#[test]
fn r27_an_open_window_is_judged_against_the_budget_of_the_whole() {
    let promise = objective(Signal::Availability(POLICY), at_least("90 %"));
    // Budget 100 of 1,000; 300 have passed.
    for (bad, verdict) in
        [(0, Verdict::Met), (89, Verdict::Met), (90, Verdict::AtRisk), (100, Verdict::AtRisk), (101, Verdict::Breached)]
    {
        assert_eq!(judge(&promise, &measured(300 - bad, bad, 0, 1_000), false).verdict, verdict, "{bad} bad");
    }
    // Of outages 90 % of what is allowed are at risk, too: 9 of 10.
    for (count, verdict) in [(0, Verdict::Met), (8, Verdict::Met), (9, Verdict::AtRisk), (10, Verdict::AtRisk)] {
        let promise = objective(Signal::OutageCount(POLICY), Target::AtMostCount(10));
        let sums = Measured { outage_count: count, ..measured(290, 10, 0, 1_000) };
        assert_eq!(judge(&promise, &sums, false).verdict, verdict, "{count} outages");
    }
    // Where nothing bad is allowed, nothing bad is no risk.
    for (signal, target) in
        [(Signal::Availability(POLICY), at_least("100 %")), (Signal::OutageCount(POLICY), Target::AtMostCount(0))]
    {
        assert_eq!(judge(&objective(signal, target), &measured(300, 0, 0, 1_000), false).verdict, Verdict::Met);
    }
}

#[test]
fn r11_as_much_bad_as_good_time_is_something_measured() {
    // 50 up and 50 down in one outage: half of it was good, and 50 lie between failures.
    let sums = Measured { outage_count: 1, ..measured(50, 50, 0, 100) };
    for (signal, target) in [
        (Signal::Availability(POLICY), at_least("50 %")),
        (Signal::OutageCount(POLICY), Target::AtMostCount(1)),
        (Signal::Mtbf(POLICY), Target::AtLeastTime(Micros(50))),
    ] {
        let judged = judge(&objective(signal, target), &sums, true);
        assert_eq!((judged.verdict, judged.attainment), (Verdict::Met, Some(Share(500_000_000))), "{target}");
    }
}

#[test]
fn r4_unknown_is_removed_counted_or_too_much() {
    let promise = objective(Signal::Availability(POLICY), at_least("90 %"));
    // 95 known of 100 is enough; 10 bad of 95 measured is 89.47 %.
    assert_eq!(judge(&promise, &measured(85, 10, 5, 100), true).verdict, Verdict::Breached);
    assert_eq!(judge(&promise, &measured(80, 0, 20, 100), true).verdict, Verdict::InsufficientData);
    assert_eq!(judge(&promise, &measured(0, 0, 100, 100), true).verdict, Verdict::NoData);
    let counted = |unknown| objective(Signal::Availability(StatePolicy { unknown, ..POLICY }), at_least("90 %"));
    // 5 unknown of 100: as good 90/100, as bad 85/100.
    assert_eq!(judge(&counted(UnknownPolicy::Good), &measured(85, 10, 5, 100), true).verdict, Verdict::Met);
    assert_eq!(
        judge(&counted(UnknownPolicy::Bad), &measured(85, 10, 5, 100), true).attainment,
        Some(Share(850_000_000))
    );
}

#[test]
fn r8_degraded_time_has_a_weight() {
    let policy = StatePolicy { degraded_good: Share(250_000_000), ..POLICY };
    let found = Measured { good: Micros(60), degraded: Micros(40), agreed: Micros(100), ..Measured::default() };
    // 60 + 40 x 0.25 = 70 of 100.
    assert_eq!(judge(&objective(Signal::Availability(policy), at_least("70 %")), &found, true).verdict, Verdict::Met);
    assert_eq!(
        judge(&objective(Signal::Availability(policy), at_least("70.0000001 %")), &found, true).verdict,
        Verdict::Breached
    );
}

#[test]
fn r8_degraded_time_that_is_held_or_lies_below_an_exclusion_has_its_weight() {
    // 60 up, 20 unknown for which degraded is held, 20 excluded that were degraded: 60 + 40 x 0.25 = 70 of 100.
    let policy = StatePolicy {
        degraded_good: Share(250_000_000),
        unknown: UnknownPolicy::Hold,
        excluded: ExcludedPolicy::CountActual,
        ..POLICY
    };
    let degraded = [Micros(0), Micros(0), Micros(20), Micros(0)];
    let found = Measured { excluded: Micros(20), held: degraded, below: degraded, ..measured(60, 0, 20, 100) };
    let judged = judge(&objective(Signal::Availability(policy), at_least("70 %")), &found, true);
    // Nothing is removed, so all 100 are measured and 30 of them may be bad.
    assert_eq!((judged.attainment, judged.budget), (Some(Share(700_000_000)), Some(Micros(30))));
    // What is half good and half bad is not removed either: 70 + 30 x 0.5 = 85 of 100.
    let half = StatePolicy { degraded_good: Share(500_000_000), ..POLICY };
    let found = Measured { degraded: Micros(30), ..measured(70, 0, 0, 100) };
    let judged = judge(&objective(Signal::Availability(half), at_least("70 %")), &found, true);
    assert_eq!((judged.attainment, judged.budget), (Some(Share(850_000_000)), Some(Micros(30))));
}

#[test]
fn r27_all_is_good_when_nothing_is_bad_and_nothing_is_removed() {
    let as_good = StatePolicy { unknown: UnknownPolicy::Good, ..POLICY };
    assert!(measured(90, 0, 0, 100).is_all_good(&POLICY), "whatever is still to come");
    assert!(!measured(89, 1, 0, 100).is_all_good(&POLICY));
    assert!(!measured(89, 0, 1, 100).is_all_good(&POLICY));
    assert!(measured(89, 0, 1, 100).is_all_good(&as_good));
}

fn states(stretches: &[(State, i64, i64)]) -> Vec<Segment> {
    let segment = |&(state, start, end): &(State, i64, i64)| Segment {
        start: Instant(start),
        end: Instant(end),
        state,
        causes: Vec::new(),
    };
    stretches.iter().map(segment).collect()
}

/// What an objective with this policy measures at any time of the day, up to `now`.
fn measured_under(
    policy: &StatePolicy,
    states: &[Segment],
    excluded: &[(i64, i64)],
    window: Window,
    now: i64,
) -> Measured {
    let excluded: Vec<_> =
        excluded.iter().map(|&(start, end)| Window { start: Instant(start), end: Instant(end) }).collect();
    let found = stretches(states, &excluded, policy, window, Instant(now));
    measure_states(&found, policy, &Calendar::always(), window.end - window.start)
}

#[test]
fn r10_outages_downtime_and_the_longest() {
    let month = Window { start: Instant(0), end: Instant(1_000) };
    let found = states(&[
        (State::Up, 0, 100),
        (State::Down, 100, 150),
        (State::Up, 150, 300),
        (State::Down, 300, 310),
        (State::Degraded, 310, 320),
        (State::Down, 320, 340),
        (State::Up, 340, 400),
    ]);
    let found = stretches(&found, &[], &POLICY, month, Instant(400));
    let sums = measure_states(&found, &POLICY, &Calendar::always(), Micros(1_000));
    assert_eq!(
        (sums.bad, sums.outage_count, sums.longest_outage, sums.agreed),
        (Micros(80), 3, Micros(50), Micros(1_000))
    );
    assert_eq!(sums.passed(), Micros(400), "the parts add up to the time that has passed");
    for (signal, target, verdict, at) in [
        (Signal::Downtime(POLICY), Target::AtMostTime(Micros(80)), Verdict::AtRisk, None),
        // 60 are used up in the third outage: 50 + 10, so the 61st microsecond is at 320 + 1.
        (Signal::Downtime(POLICY), Target::AtMostTime(Micros(60)), Verdict::Breached, Some(321)),
        (Signal::LongestOutage(POLICY), Target::AtMostTime(Micros(50)), Verdict::AtRisk, None),
        (Signal::LongestOutage(POLICY), Target::AtMostTime(Micros(49)), Verdict::Breached, Some(150)),
        (Signal::OutageCount(POLICY), Target::AtMostCount(3), Verdict::AtRisk, None),
        (Signal::OutageCount(POLICY), Target::AtMostCount(2), Verdict::Breached, Some(320)),
        // 90 % of 1,000 allow 100.
        (Signal::Availability(POLICY), at_least("90 %"), Verdict::Met, None),
        // 93 % allow 70: 50 + 10 + 10, so the 71st is at 320 + 11.
        (Signal::Availability(POLICY), at_least("93 %"), Verdict::Breached, Some(331)),
    ] {
        let promise = objective(signal, target);
        let judged = judge(&promise, &sums, false);
        let reached = breached_at(&promise, &POLICY, &sums, &found, &Calendar::always());
        assert_eq!((judged.verdict, reached), (verdict, at.map(Instant)), "{target}");
    }
}

#[test]
fn r10_an_outage_counts_from_its_least_duration_on() {
    let window = Window { start: Instant(0), end: Instant(1_000) };
    // 40, then 60 in two parts with causes of their own, then 59, which is one too short, then 60 of which it is known
    // at 460 that they are 60.
    let found = states(&[
        (State::Down, 0, 40),
        (State::Up, 40, 100),
        (State::Down, 100, 130),
        (State::Down, 130, 160),
        (State::Up, 160, 300),
        (State::Down, 300, 359),
        (State::Up, 359, 400),
        (State::Down, 400, 500),
        (State::Up, 500, 1_000),
    ]);
    let policy = StatePolicy { min_duration: Micros(60), ..POLICY };
    let found = stretches(&found, &[], &policy, window, Instant(1_000));
    let sums = measure_states(&found, &policy, &Calendar::always(), Micros(1_000));
    assert_eq!((sums.outage_count, sums.longest_outage), (2, Micros(100)));
    let reached = |limit| {
        let promise = objective(Signal::OutageCount(policy), Target::AtMostCount(limit));
        let judged = judge(&promise, &sums, true);
        (judged.verdict, breached_at(&promise, &policy, &sums, &found, &Calendar::always()))
    };
    assert_eq!(reached(2), (Verdict::Met, None));
    assert_eq!(reached(1), (Verdict::Breached, Some(Instant(460))));
    assert_eq!(reached(0), (Verdict::Breached, Some(Instant(160))));
    // Removed time within an outage: it has its 60 at 40 + 10 + 20, or at 60, and counts once.
    for (removed, counted) in [((40, 50), 70), ((60, 70), 60)] {
        let removed = Window { start: Instant(removed.0), end: Instant(removed.1) };
        let found = stretches(&states(&[(State::Down, 0, 100)]), &[removed], &policy, window, Instant(100));
        let sums = measure_states(&found, &policy, &Calendar::always(), Micros(1_000));
        assert_eq!(sums.outage_count, 1);
        let reached = |limit| {
            let promise = objective(Signal::OutageCount(policy), Target::AtMostCount(limit));
            breached_at(&promise, &policy, &sums, &found, &Calendar::always())
        };
        assert_eq!([reached(0), reached(1)], [Some(Instant(counted)), None]);
    }
}

#[test]
fn r10_what_is_left_may_be_used_up_to_its_last_microsecond() {
    let reached = |signal, target, found: &[(State, i64, i64)], window: Window, calendar: &Calendar| {
        let found = stretches(&states(found), &[], &POLICY, window, window.end);
        let agreed = calendar.elapsed(window.start, window.end);
        let sums = measure_states(&found, &POLICY, calendar, agreed);
        breached_at(&objective(signal, target), &POLICY, &sums, &found, calendar)
    };
    use State::{Down, Unknown, Up};
    let thrice = [
        (Up, 0, 100),
        (Down, 100, 200),
        (Up, 200, 300),
        (Down, 300, 400),
        (Up, 400, 500),
        (Down, 500, 600),
        (Up, 600, 1_000),
    ];
    let always = Calendar::always();
    // Between failures: two times 400 and the 200 of both outages are all 1,000, so the third is too many. Between
    // incidents: two times 500 are.
    let mean = |target| Target::AtLeastTime(Micros(target));
    assert_eq!(reached(Signal::Mtbf(POLICY), mean(400), &thrice, THOUSAND, &always), Some(Instant(500)));
    assert_eq!(reached(Signal::Mtbsi(POLICY), mean(500), &thrice, THOUSAND, &always), Some(Instant(500)));
    // 10 % of 1,000 are 100; 500 of which nothing is known take 50 along, so the 51st is too many.
    let unknown = [(Unknown, 0, 500), (Up, 500, 600), (Down, 600, 700), (Up, 700, 1_000)];
    assert_eq!(
        reached(Signal::Availability(POLICY), at_least("90 %"), &unknown, THOUSAND, &always),
        Some(Instant(651))
    );
    // An outage in no agreed time is none. Of 1,000 seconds 100-200 are taken out: two times 400 and the 100 of the second
    // outage use the rest up, and the first microsecond of the third is too many.
    let at = |second: i64| AGREED_FROM + Micros(second * Micros::SECOND.0);
    let closure = Closure { from: at(100), until: at(200), name: String::new() };
    let closed = definition::Calendar { closures: vec![closure], ..definition::Calendar::around_the_clock() };
    let seconds = thrice.map(|(state, start, end)| (state, at(start).0, at(end).0));
    let thousand = Window { start: at(0), end: at(1_000) };
    let target = mean(400 * Micros::SECOND.0);
    assert_eq!(
        reached(Signal::Mtbf(POLICY), target, &seconds, thousand, &Calendar::compile(&[closed])),
        Some(at(500) + Micros(1))
    );
}

#[test]
fn r10_means_over_outages() {
    // November has 720 h. Outages of 1 h, 2 h and 3 h leave 714 h up: 238 h between failures, 240 h between incidents,
    // 2 h to restore.
    let hours = |hours: i64| Micros(hours * Micros::HOUR.0);
    let month = Window { start: Instant(0), end: Instant(hours(720).0) };
    let at = |hour: i64| hour * Micros::HOUR.0;
    let found = states(&[
        (State::Up, 0, at(100)),
        (State::Down, at(100), at(101)),
        (State::Up, at(101), at(200)),
        (State::Down, at(200), at(202)),
        (State::Up, at(202), at(300)),
        (State::Down, at(300), at(303)),
        (State::Up, at(303), at(720)),
    ]);
    let found = stretches(&found, &[], &POLICY, month, month.end);
    let sums = measure_states(&found, &POLICY, &Calendar::always(), hours(720));
    let ask = |signal: fn(StatePolicy) -> Signal, target| {
        let promise = objective(signal(POLICY), target);
        let judged = judge(&promise, &sums, true);
        let reached = breached_at(&promise, &POLICY, &sums, &found, &Calendar::always());
        (judged.value, judged.verdict, reached.filter(|_| judged.verdict == Verdict::Breached))
    };
    let least = |time| Target::AtLeastTime(time);
    let value = |time| Some(Value::Time(time));
    let microsecond = Micros(1);
    assert_eq!(ask(Signal::Mtbf, least(hours(238))), (value(hours(238)), Verdict::Met, None));
    // 3 x (238 h + 1 us) leave 6 h - 3 us for outages: 1 h, 2 h, and 3 h less 2 us of the third.
    let reached = Some(Instant(at(303) - 2));
    assert_eq!(ask(Signal::Mtbf, least(hours(238) + microsecond)), (value(hours(238)), Verdict::Breached, reached));
    // Three times 240 h are all 720 h; the third outage of ever so little more is one too many.
    assert_eq!(ask(Signal::Mtbsi, least(hours(240))), (value(hours(240)), Verdict::Met, None));
    let reached = Some(Instant(at(300)));
    assert_eq!(ask(Signal::Mtbsi, least(hours(240) + microsecond)), (value(hours(240)), Verdict::Breached, reached));
    assert_eq!(ask(Signal::Mtbf, least(hours(360))), (value(hours(238)), Verdict::Breached, Some(Instant(at(200)))));
    assert_eq!(ask(Signal::Mtrs, Target::AtMostTime(hours(2))), (value(hours(2)), Verdict::Met, None));
    let below = Target::AtMostTime(hours(2) - microsecond);
    assert_eq!(ask(Signal::Mtrs, below), (value(hours(2)), Verdict::Breached, Some(month.end)));
}

#[test]
fn r10_a_mean_of_an_open_window_is_breached_when_nothing_can_mend_it() {
    // 100 of 1,000 have passed, 10 of them down in one outage: 90 up, but 990 if nothing more happens.
    let sums = Measured { outage_count: 1, ..measured(90, 10, 0, 1_000) };
    let ask =
        |signal: fn(StatePolicy) -> Signal, target| judge(&objective(signal(POLICY), target), &sums, false).verdict;
    // The highest warning is at 90 %: 891 of 990, 900 of 1,000.
    for (target, between_failures, between_incidents) in [
        (890, Verdict::Met, Verdict::Met),
        (891, Verdict::AtRisk, Verdict::Met),
        (900, Verdict::AtRisk, Verdict::AtRisk),
        (990, Verdict::AtRisk, Verdict::AtRisk),
        (991, Verdict::Breached, Verdict::AtRisk),
        (1_001, Verdict::Breached, Verdict::Breached),
    ] {
        assert_eq!(ask(Signal::Mtbf, Target::AtLeastTime(Micros(target))), between_failures, "{target}");
        assert_eq!(ask(Signal::Mtbsi, Target::AtLeastTime(Micros(target))), between_incidents, "{target}");
    }
    // What is left of the 990 that may lie between failures: 99 beside a target of 891.
    let promise = objective(Signal::Mtbf(POLICY), Target::AtLeastTime(Micros(891)));
    assert_eq!(judge(&promise, &sums, false).budget_left_share, Some(Share(100_000_000)));
    // Unknown time is no time up: 85 of 100 lie between failures, and no more can.
    let sums = Measured { outage_count: 1, ..measured(85, 10, 5, 100) };
    let between = |target| judge(&objective(Signal::Mtbf(POLICY), Target::AtLeastTime(Micros(target))), &sums, true);
    assert_eq!([85, 86].map(|target| between(target).verdict), [Verdict::Met, Verdict::Breached]);
    assert_eq!(ask(Signal::Mtrs, Target::AtMostTime(Micros(10))), Verdict::Met);
    assert_eq!(ask(Signal::Mtrs, Target::AtMostTime(Micros(9))), Verdict::AtRisk, "a shorter outage would mend it");
}

#[test]
fn r11_without_an_outage_nothing_failed_and_nothing_was_restored() {
    let sums = measured(100, 0, 0, 100);
    let ask = |signal: fn(StatePolicy) -> Signal, target| {
        let promise = objective(signal(POLICY), target);
        let empty = judge(&Objective { met_when_empty: true, ..promise.clone() }, &sums, true).verdict;
        let judged = judge(&promise, &sums, true);
        (judged.verdict, judged.value, empty)
    };
    let hour = Micros::HOUR;
    assert_eq!(ask(Signal::Mtbf, Target::AtLeastTime(hour)), (Verdict::Met, None, Verdict::Met));
    assert_eq!(ask(Signal::Mtbsi, Target::AtLeastTime(hour)), (Verdict::Met, None, Verdict::Met));
    assert_eq!(ask(Signal::Mtrs, Target::AtMostTime(hour)), (Verdict::NoData, None, Verdict::Met));
}

#[test]
fn r11_an_unobserved_window_is_no_data_unless_no_coverage_is_asked_for() {
    let window = Window { start: Instant(0), end: Instant(100) };
    let found = states(&[(State::Unknown, 0, 100)]);
    for (unknown, with_policy_alone) in [
        (UnknownPolicy::Remove, Verdict::NoData),
        (UnknownPolicy::Good, Verdict::Met),
        (UnknownPolicy::Bad, Verdict::Breached),
        (UnknownPolicy::Hold, Verdict::NoData),
    ] {
        let policy = StatePolicy { unknown, ..POLICY };
        let promise = objective(Signal::Availability(policy), at_least("90 %"));
        let sums = measured_under(&policy, &found, &[], window, 100);
        assert_eq!(judge(&promise, &sums, true).verdict, Verdict::NoData, "{unknown:?}");
        let promise = Objective { min_coverage: Share(0), ..promise };
        assert_eq!(judge(&promise, &sums, true).verdict, with_policy_alone, "{unknown:?}");
    }
}

#[test]
fn r4_hold_takes_the_state_before() {
    let policy = StatePolicy { unknown: UnknownPolicy::Hold, ..POLICY };
    let window = Window { start: Instant(0), end: Instant(100) };
    let found = states(&[
        (State::Unknown, 0, 10),
        (State::Up, 10, 20),
        (State::Unknown, 20, 50),
        (State::Down, 50, 60),
        (State::Unknown, 60, 100),
    ]);
    let sums = measured_under(&policy, &found, &[], window, 100);
    // 10 up, 10 down and 80 unknown, of which 20-50 counts as up and 60-100 as down.
    assert_eq!((sums.good, sums.bad, sums.unknown), (Micros(10), Micros(10), Micros(80)));
    assert_eq!((sums.held, sums.outage_count), ([Micros(30), Micros(40), Micros(0), Micros(0)], 1));
    // 10 + 30 of 10 + 30 + 10 + 40 are 44.4 %. 20 of 100 known is too little, unless no coverage is asked for.
    let promise = objective(Signal::Availability(policy), at_least("40 %"));
    let judged = judge(&promise, &sums, true);
    assert_eq!((judged.verdict, judged.attainment), (Verdict::InsufficientData, Some(Share(444_444_444))));
    assert_eq!(judge(&Objective { min_coverage: Share(0), ..promise }, &sums, true).verdict, Verdict::Met);
    // What is held was known before the window.
    let late = Window { start: Instant(30), end: Instant(100) };
    assert_eq!(measured_under(&policy, &found, &[], late, 100).held.map(|time| time.0), [20, 40, 0, 0]);
    // Of 30 unknown in a degraded state 5 are excluded.
    let found = states(&[(State::Degraded, 0, 10), (State::Unknown, 10, 40)]);
    let sums = measured_under(&policy, &found, &[(20, 25)], window, 40);
    assert_eq!((sums.held.map(|time| time.0), sums.below.map(|time| time.0)), ([0, 0, 25, 0], [0, 0, 5, 0]));
}

#[test]
fn r12_counts_are_compared_by_cross_multiplication() {
    let promise = objective(Signal::ChangeSuccess, at_least("63.4200000 %"));
    let counts = |good_count, total_count| Measured { good_count, total_count, ..Measured::default() };
    // 15,803 of 24,918 are 63.4200176 %.
    let judged = judge(&promise, &counts(15_803, 24_918), true);
    assert_eq!((judged.verdict, judged.attainment), (Verdict::Met, Some(Share(634_200_176))));
    assert_eq!(judge(&promise, &counts(15_802, 24_918), true).verdict, Verdict::Breached);
    assert_eq!(judge(&promise, &counts(15_802, 24_918), false).verdict, Verdict::AtRisk);
    assert_eq!(judge(&promise, &counts(0, 0), true).verdict, Verdict::NoData);
    assert_eq!(judge(&Objective { met_when_empty: true, ..promise }, &counts(0, 0), true).verdict, Verdict::Met);
}

/// Up, with outages at 100-150 and 300-500; unknown 600-700.
fn troubled() -> Vec<Segment> {
    states(&[
        (State::Up, 0, 100),
        (State::Down, 100, 150),
        (State::Up, 150, 300),
        (State::Down, 300, 500),
        (State::Up, 500, 600),
        (State::Unknown, 600, 700),
        (State::Up, 700, 1_000),
    ])
}

const THOUSAND: Window = Window { start: Instant(0), end: Instant(1_000) };

#[test]
fn r5_excluded_time_is_removed_good_or_what_it_was() {
    // Excluded: 120-160 (30 down, 10 up), 400-450 (down), 650-720 (50 unknown, 20 up).
    let excluded = [(120, 160), (400, 450), (650, 720)];
    for (policy, good, of) in [
        // 160 excluded, 50 unknown of the rest: 790, of which 20 + 150 are down.
        (StatePolicy { excluded: ExcludedPolicy::Remove, ..POLICY }, 620, 790),
        (StatePolicy { excluded: ExcludedPolicy::CountGood, ..POLICY }, 780, 950),
        // As if nothing were excluded: 900 known, 250 down.
        (StatePolicy { excluded: ExcludedPolicy::CountActual, ..POLICY }, 650, 900),
        (StatePolicy { excluded: ExcludedPolicy::CountActual, unknown: UnknownPolicy::Bad, ..POLICY }, 650, 1_000),
        (StatePolicy { excluded: ExcludedPolicy::CountActual, unknown: UnknownPolicy::Hold, ..POLICY }, 750, 1_000),
        (StatePolicy { unknown: UnknownPolicy::Hold, ..POLICY }, 670, 840),
    ] {
        let sums = measured_under(&policy, &troubled(), &excluded, THOUSAND, 1_000);
        assert_eq!((sums.excluded, sums.passed()), (Micros(160), Micros(1_000)), "{policy:?}");
        assert_eq!((sums.good, sums.bad, sums.unknown), (Micros(620), Micros(170), Micros(50)), "{policy:?}");
        let judged = judge(&objective(Signal::Availability(policy), at_least("10 %")), &sums, true);
        assert_eq!(judged.attainment, Share::of(good, of), "{policy:?}");
    }
}

#[test]
fn r5_removed_time_neither_ends_nor_prolongs_an_outage() {
    let outages = |excluded, times: &[(i64, i64)]| {
        let policy = StatePolicy { excluded, ..POLICY };
        let sums = measured_under(&policy, &troubled(), times, THOUSAND, 1_000);
        (sums.outage_count, sums.longest_outage.0)
    };
    // 300-400 and 450-500 are one outage of 150 without what lies between; counted as good, that ends it.
    assert_eq!(outages(ExcludedPolicy::Remove, &[(400, 450)]), (2, 150));
    assert_eq!(outages(ExcludedPolicy::CountGood, &[(400, 450)]), (3, 100));
    assert_eq!(outages(ExcludedPolicy::CountActual, &[(400, 450)]), (2, 200));
    // An outage that is excluded whole is none; two are not joined by removing the time up between them.
    assert_eq!(outages(ExcludedPolicy::Remove, &[(90, 160)]), (1, 200));
    assert_eq!(outages(ExcludedPolicy::Remove, &[(140, 310)]), (2, 190));
    // The limit of 120 is used up at 300-400 and 20 after the removed time, so the 121st is at 450 + 21.
    let policy = StatePolicy { excluded: ExcludedPolicy::Remove, ..POLICY };
    let promise = objective(Signal::LongestOutage(policy), Target::AtMostTime(Micros(120)));
    let found =
        stretches(&troubled(), &[Window { start: Instant(400), end: Instant(450) }], &policy, THOUSAND, Instant(1_000));
    let sums = measure_states(&found, &policy, &Calendar::always(), Micros(1_000));
    assert_eq!(breached_at(&promise, &policy, &sums, &found, &Calendar::always()), Some(Instant(471)));
}

#[test]
fn r4_coverage_leaves_excluded_time_out_of_both() {
    let promise = objective(Signal::Availability(POLICY), at_least("50 %"));
    let verdict = |sums: Measured| judge(&promise, &sums, true).verdict;
    // 80 known of 100 are too little; with 12 of the 20 unknown excluded it is 80 of 88, which is 90.9 %.
    assert_eq!(verdict(measured(80, 0, 20, 100)), Verdict::InsufficientData);
    assert_eq!(verdict(Measured { excluded: Micros(12), ..measured(80, 0, 8, 100) }), Verdict::Met);
    // Excluded time is no observation: 8 of 16 are known, though 92 of 100 are not unknown.
    assert_eq!(verdict(Measured { excluded: Micros(84), ..measured(8, 0, 8, 100) }), Verdict::InsufficientData);
    // All excluded is nothing measured, unless it counts as good.
    let all = Measured { excluded: Micros(100), ..measured(0, 0, 0, 100) };
    assert_eq!(verdict(all), Verdict::NoData);
    let as_good = StatePolicy { excluded: ExcludedPolicy::CountGood, ..POLICY };
    assert_eq!(judge(&objective(Signal::Availability(as_good), at_least("50 %")), &all, true).verdict, Verdict::Met);
}

#[test]
fn r6_the_denominator_is_what_passed_or_the_whole_window() {
    let attained = |denominator, now| {
        let policy = StatePolicy { denominator, ..POLICY };
        let sums = measured_under(&policy, &troubled(), &[], THOUSAND, now);
        judge(&objective(Signal::Availability(policy), at_least("70 %")), &sums, now >= 1_000).attainment
    };
    // At 400: 250 up of 400; of the whole window 150 are bad.
    assert_eq!(attained(Denominator::Elapsed, 400), Share::of(250, 400));
    assert_eq!(attained(Denominator::FullWindow, 400), Share::of(850, 1_000));
    // At 800 another 100 are unknown and removed: 250 bad of 700 and of 900. In the end both are the same.
    assert_eq!(attained(Denominator::Elapsed, 800), Share::of(450, 700));
    assert_eq!(attained(Denominator::FullWindow, 800), Share::of(650, 900));
    assert_eq!(attained(Denominator::Elapsed, 1_000), Share::of(650, 900));
    assert_eq!(attained(Denominator::FullWindow, 1_000), Share::of(650, 900));
    // Nothing measured is nothing, also of a whole window (R11).
    assert_eq!(attained(Denominator::FullWindow, 0), None);
}

#[test]
fn r7_a_short_outage_takes_its_neighbours_state_if_both_agree() {
    let parts = |states: &[(State, i64, i64)], min_outage, now| {
        let policy = StatePolicy { min_outage: Micros(min_outage), ..POLICY };
        let sums = measured_under(&policy, &self::states(states), &[], THOUSAND, now);
        (sums.good.0, sums.bad.0, sums.degraded.0, sums.unknown.0, sums.outage_count)
    };
    use State::{Degraded, Down, Unknown, Up};
    let between = |before, after| [(before, 0, 100), (Down, 100, 150), (after, 150, 200)];
    assert_eq!(parts(&between(Up, Up), 50, 200), (150, 50, 0, 0, 1), "50 is not shorter than 50");
    assert_eq!(parts(&between(Up, Up), 51, 200), (200, 0, 0, 0, 0));
    assert_eq!(parts(&between(Degraded, Degraded), 51, 200), (0, 0, 200, 0, 0));
    assert_eq!(parts(&between(Up, Degraded), 51, 200), (100, 50, 50, 0, 1), "they differ");
    assert_eq!(parts(&between(Unknown, Unknown), 51, 200), (0, 50, 0, 150, 1), "of what is unknown nobody agrees");
    // Open at 150: it may still become long.
    assert_eq!(parts(&between(Up, Up)[..2], 51, 150), (100, 50, 0, 0, 1));
    // It reaches out of the window: all of its 80 decide, of which 30 lie within.
    let early = [(Up, -200, -50), (Down, -50, 30), (Up, 30, 100)];
    assert_eq!(parts(&early, 80, 100), (70, 30, 0, 0, 1));
    assert_eq!(parts(&early, 81, 100), (100, 0, 0, 0, 0));
    // Flapping: each outage is short by itself.
    let flapping = [(Up, 0, 10), (Down, 10, 20), (Up, 20, 21), (Down, 21, 31), (Up, 31, 40)];
    assert_eq!(parts(&flapping, 11, 40), (40, 0, 0, 0, 0));
    // It is as long as all of its causes together.
    let causes = [(Up, 0, 100), (Down, 100, 120), (Down, 120, 150), (Up, 150, 200)];
    assert_eq!(parts(&causes, 50, 200), (150, 50, 0, 0, 1));
    assert_eq!(parts(&causes, 51, 200), (200, 0, 0, 0, 0));
    assert_eq!(
        undecided_outage(&states(&between(Up, Up)[..2]), &StatePolicy { min_outage: Micros(51), ..POLICY }),
        Some(Instant(100))
    );
    assert_eq!(
        undecided_outage(&states(&between(Up, Up)[..2]), &StatePolicy { min_outage: Micros(50), ..POLICY }),
        None
    );
}
/// Judges counts (good, total) of a segment that is over; `elapsed` is its agreed time.
fn counted(signal: &Signal, target: Target, good_count: i128, total_count: i128, elapsed: Micros) -> Judged {
    let sums = Measured { good_count, total_count, is_counted: true, elapsed, agreed: elapsed, ..Measured::default() };
    judge(&objective(signal.clone(), target), &sums, true)
}

#[test]
fn r12_counts_are_judged_however_large_they_are() {
    // Two records of 9 x 10^18 things, of which one is good: a half. Then a billion times as many, of which one thing more
    // is good, and one less.
    let (signal, third) = (Signal::Satisfaction { good_from: 4 }, |whole: i128| whole / 3);
    let at_least = Target::AtLeast(Share(500_000_000));
    let ask = |good, total| {
        let judged = counted(&signal, at_least, good, total, Micros::HOUR);
        (judged.verdict, judged.attainment, judged.budget_left_share)
    };
    let half = Some(Share(500_000_000));
    for records in [2, 2_000_000_000] {
        let total = 9_000_000_000_000_000_000 * records;
        assert_eq!(ask(total / 2, total), (Verdict::Met, half, Some(Share(0))));
        assert_eq!(ask(total / 2 - 1, total), (Verdict::Breached, Some(Share(499_999_999)), Some(Share(-1))));
        // A third of what may be bad is left where two thirds are good, to a billionth.
        let (_, _, left) = ask(total - third(total), total);
        assert!(left.is_some_and(|left| (left.0 - 333_333_333).abs() <= 1), "{left:?}");
    }
    let signal = Signal::Throughput { kind: EventKind::Monitoring, per: Micros(36_500 * Micros::DAY.0) };
    let judged = counted(&signal, Target::AtLeastCount(i64::MAX), 0, 18_000_000_000_000_000_000_000_000_000, Micros(1));
    assert_eq!((judged.verdict, judged.value), (Verdict::Met, Some(Value::Count(i64::MAX))));
}

#[test]
fn r10_throughput_is_a_floor_on_a_sum_per_agreed_time() {
    let signal = Signal::Throughput { kind: EventKind::Monitoring, per: Micros::HOUR };
    let ask = |total, elapsed| {
        let judged = counted(&signal, Target::AtLeastCount(1_000), 0, total, elapsed);
        (judged.verdict, judged.value)
    };
    let hours = |hours: i64| Micros(hours * Micros::HOUR.0);
    // 168 h need 168,000; one less is 999.99... an hour.
    assert_eq!(ask(168_000, hours(168)), (Verdict::Met, Some(Value::Count(1_000))));
    assert_eq!(ask(167_999, hours(168)), (Verdict::Breached, Some(Value::Count(999))));
    assert_eq!(ask(0, hours(168)), (Verdict::Breached, Some(Value::Count(0))), "zero was told");
    assert_eq!(ask(5, Micros::ZERO), (Verdict::NoData, None), "no agreed time");
    let untold = Measured { elapsed: hours(168), ..Measured::default() };
    let promise = objective(signal.clone(), Target::AtLeastCount(1_000));
    assert_eq!(judge(&promise, &untold, true).verdict, Verdict::NoData);
    // 500 of the 1,000 that half an hour needs at 2,000 an hour: it may still be made up for.
    let half = Measured { total_count: 500, is_counted: true, elapsed: Micros(Micros::HOUR.0 / 2), ..untold };
    assert_eq!(judge(&objective(signal, Target::AtLeastCount(2_000)), &half, false).verdict, Verdict::AtRisk);
}

#[test]
fn r10_the_net_promoter_score_is_promoters_less_detractors() {
    // 50 promoters, 20 passives, 30 detractors: 50 - 30 of 100 are a score of 20.
    let ask = |target, good, total| {
        let judged = counted(&Signal::NetPromoterScore, Target::AtLeastCount(target), good, total, Micros::ZERO);
        (judged.verdict, judged.value)
    };
    assert_eq!(ask(20, 20, 100), (Verdict::Met, Some(Value::Count(20))));
    assert_eq!(ask(21, 20, 100), (Verdict::Breached, Some(Value::Count(20))));
    // 1 promoter and 2 detractors: -33.3, rounded down.
    assert_eq!(ask(-34, -1, 3), (Verdict::Met, Some(Value::Count(-34))));
    assert_eq!(ask(-33, -1, 3), (Verdict::Breached, Some(Value::Count(-34))));
    assert_eq!(ask(0, 0, 0), (Verdict::NoData, None));
}

#[test]
fn r10_a_share_or_a_number_at_most() {
    let ask = |signal: Signal, target, good, total| {
        let judged = counted(&signal, target, good, total, Micros::ZERO);
        (judged.verdict, judged.value, judged.budget_left_share)
    };
    // 3 of 40 changes are 7.5 %; 10 % allow 4, of which one is left.
    let emergency =
        |percent: i64| ask(Signal::EmergencyChangeShare, Target::AtMost(Share(percent * 10_000_000)), 37, 40);
    let value = Some(Value::Share(Share(75_000_000)));
    assert_eq!(emergency(10), (Verdict::Met, value, Some(Share(250_000_000))));
    assert_eq!(emergency(5), (Verdict::Breached, value, Some(Share(-500_000_000))));
    let errors = |limit| ask(Signal::ErrorCount { kind: EventKind::Change }, Target::AtMostCount(limit), 90, 100);
    let value = Some(Value::Count(10));
    assert_eq!(errors(10), (Verdict::Met, value, Some(Share(0))));
    assert_eq!(errors(8), (Verdict::Breached, value, Some(Share(-250_000_000))));
    assert_eq!(errors(0), (Verdict::Breached, value, None));
}

#[test]
fn r10_a_percentile_is_judged_by_counting_and_what_is_shown_never_says_otherwise() {
    // 95 % of 20 are 19. The limit is 300 ms, of whose bin 301.055 ms is the last.
    let ask = |good, total, percentile, over| {
        let sums =
            Measured { good_count: good, total_count: total, percentile: Micros(percentile), ..Measured::default() };
        let signal = Signal::LatencyPercentile { percentile: Share(950_000_000) };
        let judged = judge(&objective(signal, Target::AtMostTime(Micros(300_000))), &sums, over);
        (judged.verdict, judged.value, judged.budget_left_share)
    };
    let time = |micros| Some(Value::Time(Micros(micros)));
    assert_eq!(ask(19, 20, 120_000, true), (Verdict::Met, time(120_000), Some(Share(0))));
    assert_eq!(ask(19, 20, 301_055, true), (Verdict::Met, time(300_000), Some(Share(0))), "not above its limit");
    // One of 20 may be above, two are: 100 % too many.
    assert_eq!(ask(18, 20, 301_055, true), (Verdict::Breached, time(301_055), Some(Share(-1_000_000_000))));
    assert_eq!(ask(18, 20, 299_999, true).1, time(300_001), "not within its limit");
    assert_eq!(ask(18, 20, 301_055, false).0, Verdict::AtRisk, "more may come");
    assert_eq!(ask(0, 0, 0, true), (Verdict::NoData, None, None));
}

/// The 95th percentile of 20 latencies: 19 from 10 ms to 190 ms, and one of 2 s.
fn latency_percentile() -> Judged {
    let latencies = (1..=19).map(|step| Micros(step * 10_000)).chain([Micros(2_000_000)]);
    let counts: crate::histogram::Histogram =
        latencies.map(|latency| (crate::histogram::Bin::of(latency), 1)).collect();
    let percentile = Share(950_000_000);
    let percentile_read = counts.percentile(percentile).expect("something was counted");
    let sums = Measured { good_count: 19, total_count: 20, percentile: percentile_read, ..Measured::default() };
    judge(&objective(Signal::LatencyPercentile { percentile }, Target::AtMostTime(Micros(300_000))), &sums, true)
}

/// Three tickets, in minutes of the day: open from 8:00 to 11:00, from 8:30 to 10:45 and from 9:00 to 11:00, the first
/// two overdue after two hours.
fn overdue_count() -> Judged {
    let steps = [(480, 1, 1), (510, 1, 1), (540, 1, 1), (600, -1, 0), (630, -1, 0), (645, 0, -1), (660, -1, -2)];
    let steps = steps.into_iter().map(|(minute, in_time, open)| (Instant(minute), (in_time, open)));
    let levels = Levels::new(Instant(0), Level::default(), steps);
    assert_eq!((levels.exceeds(1), levels.worst().open), (Some(Instant(630)), 3));
    let Level { in_time, open } = levels.worst();
    let signal = Signal::OverdueCount(ClockRule::default());
    counted(&signal, Target::AtMostCount(1), in_time, open, Micros::ZERO)
}

#[test]
fn r10_a_number_of_overdue_tickets_that_was_too_large_is_mended_by_nothing() {
    // Of five open tickets so many are in time; at most two may be overdue.
    let ask = |in_time, over| {
        let sums = Measured { good_count: in_time, total_count: 5, ..Measured::default() };
        let promise = objective(Signal::OverdueCount(ClockRule::default()), Target::AtMostCount(2));
        let judged = judge(&promise, &sums, over);
        (judged.verdict, judged.value, judged.budget_left_share)
    };
    let number = |count| Some(Value::Count(count));
    assert_eq!(ask(5, false), (Verdict::Met, number(0), Some(Share(1_000_000_000))));
    assert_eq!(ask(4, false).0, Verdict::Met, "50 % are less than 90 %");
    assert_eq!(ask(3, false), (Verdict::AtRisk, number(2), Some(Share(0))));
    assert_eq!(ask(3, true).0, Verdict::Met);
    assert_eq!(ask(2, false), (Verdict::Breached, number(3), Some(Share(-500_000_000))));
    let none = objective(Signal::OverdueCount(ClockRule::default()), Target::AtMostCount(0));
    let all_in_time = Measured { good_count: 5, total_count: 5, ..Measured::default() };
    assert_eq!(judge(&none, &all_in_time, false).verdict, Verdict::Met, "none is overdue of none that may be");
}

#[test]
fn r10_the_examples_of_the_page() {
    const PAGE: &str = include_str!("../../../docs/rules/r10-indicators.md");
    let hours = |hours: i64| Micros(hours * Micros::HOUR.0);
    let at = |hour: i64| hour * Micros::HOUR.0;
    let found = states(&[
        (State::Up, 0, at(100)),
        (State::Down, at(100), at(101)),
        (State::Up, at(101), at(200)),
        (State::Down, at(200), at(202)),
        (State::Up, at(202), at(300)),
        (State::Down, at(300), at(303)),
        (State::Up, at(303), at(720)),
    ]);
    let month = Window { start: Instant(0), end: Instant(at(720)) };
    let in_november = |signal: Signal, target| {
        let crate::portfolio::Feed::State(policy) = crate::portfolio::feed(&signal) else { panic!("over states") };
        let found = stretches(&found, &[], &policy, month, month.end);
        let sums = measure_states(&found, &policy, &Calendar::always(), hours(720));
        judge(&objective(signal, target), &sums, true)
    };
    let long = StatePolicy { min_duration: hours(2), ..POLICY };
    let (monitoring, clock) = (EventKind::Monitoring, ClockRule::default());
    let ratio = RatioRule { kind: monitoring, count: CountRule::EachEvent };
    let share = at_least("90 %");
    let counted = |signal: Signal, target, good, total| counted(&signal, target, good, total, hours(168));
    for (said, judged) in [
        ("`availability` ", in_november(Signal::Availability(POLICY), share)),
        ("`downtime` ", in_november(Signal::Downtime(POLICY), Target::AtMostTime(hours(1)))),
        ("`longest_outage` ", in_november(Signal::LongestOutage(POLICY), Target::AtMostTime(hours(1)))),
        ("`outage_count` ", in_november(Signal::OutageCount(POLICY), Target::AtMostCount(1))),
        ("`outage_count` with `min_duration: 2h` ", in_november(Signal::OutageCount(long), Target::AtMostCount(1))),
        ("`mtbf` ", in_november(Signal::Mtbf(POLICY), Target::AtLeastTime(hours(1)))),
        ("`mtbsi` ", in_november(Signal::Mtbsi(POLICY), Target::AtLeastTime(hours(1)))),
        ("`mtrs` ", in_november(Signal::Mtrs(POLICY), Target::AtMostTime(hours(1)))),
        ("`fulfilment_time` ", counted(Signal::FulfilmentTime(clock), share, 18, 20)),
        ("`overdue_count` ", overdue_count()),
        ("`good_ratio` ", counted(Signal::GoodRatio(ratio), share, 990, 1_000)),
        ("`error_count` ", counted(Signal::ErrorCount { kind: monitoring }, Target::AtMostCount(1), 990, 1_000)),
        (
            "`throughput` of `per: 1h` ",
            counted(Signal::Throughput { kind: monitoring, per: hours(1) }, Target::AtLeastCount(1), 0, 84_000),
        ),
        ("`latency` ", counted(Signal::Latency { within: Micros(300_000) }, share, 950, 1_000)),
        ("`latency_percentile` of `percentile: 95 %` ", latency_percentile()),
        ("`change_success` ", counted(Signal::ChangeSuccess, share, 36, 40)),
        ("`changes_on_time` ", counted(Signal::ChangesOnTime, share, 38, 40)),
        (
            "`emergency_change_share` ",
            counted(Signal::EmergencyChangeShare, Target::AtMost(Share(100_000_000)), 37, 40),
        ),
        ("`net_promoter_score` ", counted(Signal::NetPromoterScore, Target::AtLeastCount(0), 50 - 30, 100)),
    ] {
        let value = judged.value.expect("something was measured");
        let (said, lines) = (format!("{said}{value}"), PAGE.replace('\n', " "));
        let ends = |at: usize| lines[at + said.len()..].starts_with([',', ' ']);
        assert!(lines.match_indices(&said).any(|(at, _)| ends(at)), "the page does not say {said}");
    }
}
