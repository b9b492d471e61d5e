//! What is remembered for forecasts, in which steps they are told, and that they are those that the formulas give.

use plimsoll_schemas::Micros;

use super::*;
use crate::forecast::Spell;
use crate::portfolio::Portfolio;
use crate::portfolio::tests::portfolio_of;
use crate::verdict::{Verdict, judge};

const DAY: i64 = Micros::DAY.0;
const HOUR: i64 = Micros::HOUR.0;

/// One objective of `web` from 1970-01-09 on.
fn world(objective: &str) -> Portfolio {
    portfolio_of(&format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\n\
         {{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: ola}}, spec: {{type: ola, services: [web],\n  \
         effective: {{from: 1970-01-09}}, objectives: [{{id: promise, {objective}, window: {{calendar: month}}}}]}}}}\n"
    ))
}

const RATIO: &str = "indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}";

fn at(days: f64) -> Instant {
    Instant((days * DAY as f64) as i64)
}

fn segment(start: i64, end: i64) -> Window {
    Window { start: Instant(start * DAY), end: Instant(end * DAY) }
}

#[test]
fn r29_time_passes_in_thousandths_and_probabilities_in_ten_thousandths() {
    let steps = [(57, 10_000), (60, 10_000), (-57, 10_000), (57, 999), (0, 10_000), (9_999, 10_000), (10_000, 10_000)];
    let taken = steps.map(|(time, whole)| in_steps(Micros(time), Micros(whole)).0);
    assert_eq!(taken, [50, 60, -60, 57, 0, 9_990, 10_000]);
    let told = [0.0, 0.123_449, 0.123_45, 1.0, 0.000_04].map(|probability| rounded(probability).0);
    assert_eq!(told, [0, 123_400_000, 123_500_000, 1_000_000_000, 0]);
}

#[test]
fn r29_days_are_those_from_the_first_count_until_now() {
    let portfolio = world(RATIO);
    let plan = &portfolio.objectives()[0];
    let mut recent = Recent::default();
    // Days since the epoch, the version is in force from the eighth on.
    for (day, bad, total) in [(8.5, 2, 10), (10.0, 1, 4), (14.9, 0, 3)] {
        recent.count(&plan.calendar, at(day), bad, total);
    }
    let seen = |passed: f64| {
        let basis = CountedBasis { segment: segment(10, 20), passed: Micros(at(passed).0), counts: (0, 0), edition: 0 };
        days(plan, &basis, std::iter::once(&recent))
    };
    let day =
        |age: f64, agreed: f64, bad, total| Day { age: Micros(at(age).0), agreed: Micros(at(agreed).0), bad, total };
    // 5.5 days have passed: half of the fifteenth, on which nothing was counted.
    let expected = [
        day(6.5, 1.0, 2, 10),
        day(5.5, 1.0, 0, 0),
        day(4.5, 1.0, 1, 4),
        day(3.5, 1.0, 0, 0),
        day(2.5, 1.0, 0, 0),
        day(1.5, 1.0, 0, 0),
        day(0.5, 1.0, 0, 3),
        day(0.0, 0.5, 0, 0),
    ];
    assert_eq!(seen(5.5), expected);
    // Until the end of the fourteenth there is no more of it, and of a day that lies ahead nothing has passed.
    let ages = |passed| seen(passed).iter().map(|day| (day.age.0 / HOUR, day.agreed.0 / HOUR)).collect::<Vec<_>>();
    assert_eq!(ages(5.0), [(144, 24), (120, 24), (96, 24), (72, 24), (48, 24), (24, 24), (0, 24)]);
    assert_eq!(ages(4.0), [(120, 24), (96, 24), (72, 24), (48, 24), (24, 24), (0, 24), (0, 0)]);
    assert_eq!(
        days(
            plan,
            &CountedBasis { segment: segment(10, 20), passed: Micros(0), counts: (0, 0), edition: 0 },
            [].into_iter()
        ),
        []
    );
}

#[test]
fn r29_days_reach_four_hundred_back_and_not_before_the_version() {
    let portfolio = world(RATIO);
    let plan = &portfolio.objectives()[0];
    let seen = |first: f64| {
        let mut recent = Recent::default();
        recent.count(&plan.calendar, at(first), 1, 1);
        recent.count(&plan.calendar, at(500.0), 0, 1);
        let basis = CountedBasis { segment: segment(490, 520), passed: Micros(11 * DAY), counts: (0, 0), edition: 0 };
        days(plan, &basis, std::iter::once(&recent))
    };
    let found = seen(20.0);
    // From the day 100 until the day 500, which is over.
    assert_eq!((found.len(), found[0].age, found[400].age), (401, Micros(400 * DAY), Micros(0)));
    // What was counted before the version was in force lies in no time that it has seen.
    let mut recent = Recent::default();
    recent.count(&plan.calendar, at(7.5), 1, 1);
    let basis = CountedBasis { segment: segment(8, 20), passed: Micros(DAY / 2), counts: (0, 0), edition: 0 };
    let found: Vec<_> = days(plan, &basis, std::iter::once(&recent)).iter().map(|day| (day.age, day.agreed)).collect();
    assert_eq!(found, [(Micros(DAY / 2), Micros(0)), (Micros(0), Micros(DAY / 2))]);
}

#[test]
fn r29_a_forecast_of_counts_is_made_anew_when_something_was_counted_or_a_step_has_passed() {
    let portfolio = world(RATIO);
    let plan = &portfolio.objectives()[0];
    let allowed = Allowed::of(&plan.objective).expect("an allowance");
    let (mut recent, mut outlook) = (Recent::default(), Outlook::default());
    recent.count(&plan.calendar, at(9.0), 4, 40);
    recent.count(&plan.calendar, at(31.5), 3, 10);
    // February: 28 days of which 2.5 have passed and a few minutes, which are within a step of 40 minutes.
    let look = |outlook: &mut Outlook, recent: &Recent, now: Instant, (bad, total): (i128, i128)| {
        let segment = segment(31, 59);
        let (agreed, elapsed) = (segment.end - segment.start, now - segment.start);
        let (good_count, total_count) = (total - bad, total);
        let measured = Measured { agreed, elapsed, good_count, total_count, is_counted: true, ..Measured::default() };
        let judged = judge(&plan.objective, &measured, false);
        let sight = Sight { segment, now, measured: &measured, judged: &judged };
        outlook.look_at_counts(plan, allowed, &sight, std::iter::once(recent)).expect("a forecast")
    };
    // The same by the formula of the room that forecasts, from what it is to be given.
    let expected = |recent: &Recent, now: Instant, counts: (i64, i64)| {
        let passed = Micros((now - Instant(31 * DAY)).0 / (28 * DAY / 1_000) * (28 * DAY / 1_000));
        let basis = CountedBasis { segment: segment(31, 59), passed, counts, edition: 0 };
        let said =
            forecast_counts(allowed, counts, Micros(28 * DAY) - passed, &days(plan, &basis, std::iter::once(recent)));
        let said = said.expect("a forecast");
        let exhaustion_at = said.spent_after.map(|after| (Instant(31 * DAY) + passed + after).max(now));
        Told { breach_probability: rounded(said.breach_probability), exhaustion_at }
    };
    let now = at(33.501);
    let first = look(&mut outlook, &recent, now, (3, 10));
    assert_eq!(first, expected(&recent, now, (3, 10)));
    assert!(first.breach_probability > Share(0) && first.breach_probability < Share(Share::WHOLE), "{first:?}");
    // Ten minutes later, within the same step.
    assert_eq!(
        look(&mut outlook, &recent, now + Micros(HOUR / 6), (3, 10)).breach_probability,
        first.breach_probability
    );
    // More good things come, of which some budget is left that bad ones are expected to spend.
    recent.count(&plan.calendar, at(33.4), 0, 6);
    let second = look(&mut outlook, &recent, now, (3, 16));
    assert_eq!(second, expected(&recent, now, (3, 16)));
    assert!(second.breach_probability < first.breach_probability);
    let later = at(40.0);
    let third = look(&mut outlook, &recent, later, (3, 16));
    assert_eq!(third, expected(&recent, later, (3, 16)));
    assert_ne!(third.breach_probability, second.breach_probability);
    // Half of all is bad from now on: the rest is spent soon.
    recent.count(&plan.calendar, at(39.0), 30, 60);
    let last = look(&mut outlook, &recent, later, (3, 76));
    assert_eq!(last, expected(&recent, later, (3, 76)));
    assert!(last.exhaustion_at.is_some_and(|spent| spent > later), "{last:?}");
}

/// A month of which so much has passed, with spells that are over.
fn past(agreed: i64, spells: &[(i64, i64)]) -> Past {
    let spells = spells.iter().map(|(ended, length)| Spell { ended: Micros(*ended), length: Micros(*length) });
    Past { agreed: Micros(agreed), measured: Micros(agreed), spells: spells.collect(), current: None }
}

#[test]
fn r29_a_forecast_of_time_is_that_of_what_was_seen_until_the_last_step() {
    let portfolio = world("indicator: {signal: downtime}, target: {at_most: 8h}");
    let plan = &portfolio.objectives()[0];
    let crate::portfolio::Feed::State(policy) = plan.feed() else { panic!("over states") };
    let mut outlook = Outlook::default();
    outlook.remember(
        WindowKind::Month,
        Instant(0),
        &Seen::new(past(31 * DAY, &[(3 * DAY, 2 * HOUR), (20 * DAY, 4 * HOUR)])),
    );
    // 12 days and 7 minutes have passed of February, of which 6 hours were bad. A step is 40 minutes and 19.2 seconds.
    let passed = 12 * DAY + 7 * HOUR / 60;
    let seen = Seen::new(past(passed, &[(2 * DAY, 2 * HOUR), (11 * DAY, 4 * HOUR)]));
    let segment = segment(31, 59);
    let (agreed, now) = (Micros(28 * DAY), segment.start + Micros(passed));
    let (bad, elapsed) = (Micros(6 * HOUR), Micros(passed));
    let measured = Measured {
        agreed,
        elapsed,
        bad,
        good: elapsed - bad,
        outage_count: 2,
        longest_outage: Micros(4 * HOUR),
        ..Measured::default()
    };
    let judged = judge(&plan.objective, &measured, false);
    assert_eq!((judged.verdict, judged.budget_left), (Verdict::Met, Some(Micros(2 * HOUR))));
    let sight = Sight { segment, now, measured: &measured, judged: &judged };
    let earlier = outlook.and(std::iter::empty());
    let told = earlier.tell(plan, &policy, &sight, &seen, &mut Forecasts::default()).expect("a forecast");
    let step = agreed.0 / 1_000;
    let taken = Micros(passed / step * step);
    let until = Past { agreed: taken, measured: taken, ..past(passed, &[(2 * DAY, 2 * HOUR), (11 * DAY, 4 * HOUR)]) };
    let before = past(31 * DAY, &[(3 * DAY, 2 * HOUR), (20 * DAY, 4 * HOUR)]);
    let left = Some(Micros(2 * HOUR));
    let said = forecast(&plan.objective, &measured, left, agreed - taken, &until, std::iter::once(&before))
        .expect("a forecast");
    assert_eq!(told.breach_probability, rounded(said.breach_probability));
    assert!(told.breach_probability > Share(0) && told.breach_probability < Share(Share::WHOLE), "{told:?}");
    assert_eq!(told.exhaustion_at, said.spent_after.map(|after| segment.start + taken + after));
    assert!(told.exhaustion_at.is_some(), "at this rate 2 hours last less than 16 days");
    // Nothing depends on how much of the step has passed.
    for more in [0, 60_000_000, 600_000_000] {
        let seen = Seen::new(past(passed + more, &[(2 * DAY, 2 * HOUR), (11 * DAY, 4 * HOUR)]));
        let sight = Sight { now: now + Micros(more), ..sight };
        let again = earlier.tell(plan, &policy, &sight, &seen, &mut Forecasts::default()).expect("a forecast");
        assert_eq!(again, told, "{more} us later");
    }
    // What is forgotten tells of nothing, and another month of another one.
    let digest = earlier.digest();
    let mut other = Outlook::default();
    other.remember(WindowKind::Month, Instant(0), &Seen::new(past(31 * DAY, &[])));
    assert_ne!(other.and(std::iter::empty()).digest(), digest);
    assert_ne!(other.and(std::iter::once(&outlook)).digest(), other.and(std::iter::empty()).digest());
    outlook.forget();
    assert_eq!(outlook, Outlook::default());
}

#[test]
fn r29_so_many_windows_are_remembered_and_no_rolling_ones() {
    let mut outlook = Outlook::default();
    let seen = |month: i64| Seen::new(past(month * DAY, &[]));
    for month in 1..=32 {
        outlook.remember(WindowKind::Month, Instant(month), &seen(month));
    }
    assert_eq!((outlook.earlier.len(), outlook.earlier.keys().next()), (32, Some(&Instant(1))));
    outlook.remember(WindowKind::Month, Instant(33), &seen(33));
    assert_eq!((outlook.earlier.len(), outlook.earlier.keys().next()), (32, Some(&Instant(2))));
    // A late event changes what was seen.
    let digest = outlook.digest;
    outlook.remember(WindowKind::Month, Instant(33), &seen(33));
    assert_eq!(outlook.digest, digest);
    outlook.remember(WindowKind::Month, Instant(33), &seen(34));
    assert_ne!(outlook.digest, digest);
    let mut rolling = Outlook::default();
    let kind = WindowKind::Rolling { length: Micros::DAY, every: plimsoll_schemas::definition::Every::Hour };
    rolling.remember(kind, Instant(1), &seen(1));
    assert_eq!(rolling, Outlook::default());
}

#[test]
fn forecasts_that_nobody_asks_for_are_forgotten() {
    let question = Question {
        signal: discriminant(&Signal::ChangeSuccess),
        policy: StatePolicy::default(),
        target: Target::AtMostCount(1),
        agreed: Micros(1),
        passed: Micros(0),
        measured: Micros(0),
        current: None,
        left: None,
        outage_count: 0,
        longest_outage: Micros(0),
        spells_digest: 0,
        earlier_digest: 0,
    };
    let said = |probability| Some(Said { probability: Share(probability), spent_after: None });
    let mut forecasts = Forecasts::default();
    let mut asked = 0;
    let mut ask = |forecasts: &mut Forecasts, question| {
        let mut say = || {
            asked += 1;
            said(asked)
        };
        forecasts.answer(question, &mut say).map(|said| said.probability.0)
    };
    assert_eq!(ask(&mut forecasts, question), Some(1));
    assert_eq!(ask(&mut forecasts, Question { outage_count: 1, ..question }), Some(2));
    forecasts.turn();
    assert_eq!(ask(&mut forecasts, question), Some(1));
    forecasts.turn();
    forecasts.turn();
    assert_eq!((forecasts.lately.len(), forecasts.before.len()), (0, 0));
    assert_eq!(ask(&mut forecasts, question), Some(3));
}
