//! Verdicts by hand calculation.

use plimsoll_schemas::definition::{ExcludedPolicy, Indicator, UnknownPolicy, WindowKind};

use super::*;

const POLICY: StatePolicy = StatePolicy {
    unknown: UnknownPolicy::Remove,
    excluded: ExcludedPolicy::Remove,
    degraded_good: Share(Share::WHOLE),
};

fn objective(signal: Signal, target: Target) -> Objective {
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

fn states(stretches: &[(State, i64, i64)]) -> Vec<Segment> {
    let segment = |&(state, start, end): &(State, i64, i64)| Segment {
        start: Instant(start),
        end: Instant(end),
        state,
        causes: Vec::new(),
    };
    stretches.iter().map(segment).collect()
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
    let sums = measure_states(&found, &POLICY, &Calendar::always(), month, Instant(400));
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
        let reached = breached_at(&promise, &POLICY, &sums, &found, &Calendar::always(), month, Instant(400));
        assert_eq!((judged.verdict, reached), (verdict, at.map(Instant)), "{target}");
    }
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
        let sums = measure_states(&found, &policy, &Calendar::always(), window, Instant(100));
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
    let sums = measure_states(&found, &policy, &Calendar::always(), window, Instant(100));
    // 10 up, 10 down and 80 unknown, of which 20-50 counts as up and 60-100 as down.
    assert_eq!((sums.good, sums.bad, sums.unknown), (Micros(10), Micros(10), Micros(80)));
    assert_eq!((sums.held, sums.outage_count), ([Micros(30), Micros(40), Micros(0), Micros(0)], 1));
    // 10 + 30 of 10 + 30 + 10 + 40 are 44.4 %. 20 of 100 known is too little, unless no coverage is asked for.
    let promise = objective(Signal::Availability(policy), at_least("40 %"));
    let judged = judge(&promise, &sums, true);
    assert_eq!((judged.verdict, judged.attainment), (Verdict::InsufficientData, Some(Share(444_444_444))));
    assert_eq!(judge(&Objective { min_coverage: Share(0), ..promise }, &sums, true).verdict, Verdict::Met);
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
}
