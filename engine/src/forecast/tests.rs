//! Forecasts by hand calculation, beside a naive sum over all numbers of spells, and laws.

use plimsoll_schemas::Instant;
use plimsoll_schemas::ratio::Share;
use proptest::prelude::*;

use super::*;
use crate::verdict::tests::objective as promised;

mod rules_page;

const MINUTE: i64 = Micros::MINUTE.0;
const DAY: i64 = Micros::DAY.0;

fn objective(signal: Signal, target: Target) -> Objective {
    Objective { warn_at: Vec::new(), min_coverage: Share(0), ..promised(signal, target) }
}

fn downtime() -> Objective {
    objective(Signal::Downtime(StatePolicy::default()), Target::AtMostTime(Micros(i64::MAX)))
}

fn longest(limit: i64) -> Objective {
    objective(Signal::LongestOutage(StatePolicy::default()), Target::AtMostTime(Micros(limit)))
}

fn count(limit: i64) -> Objective {
    objective(Signal::OutageCount(StatePolicy::default()), Target::AtMostCount(limit))
}

/// So many days, of which all was measured. Each bad spell lies a day after the one before, the last one ends with the
/// days.
fn past(days: i64, minutes: &[i64]) -> Past {
    let (agreed, last) = (Micros(days * DAY), minutes.len() as i64 - 1);
    let spell = |(place, minutes): (usize, &i64)| Spell {
        ended: agreed - Micros((last - place as i64) * DAY),
        length: Micros(minutes * MINUTE),
    };
    Past { agreed, measured: agreed, spells: minutes.iter().enumerate().map(spell).collect(), current: None }
}

/// As `past`, but all of it has just been: what is older weighs less.
fn just_now(days: i64, minutes: &[i64]) -> Belief {
    let mut belief = Belief::new(Cost::BadTime, [&past(days, minutes)].into_iter());
    belief.shape = PRIOR_SHAPE + minutes.len() as f64;
    belief
}

/// What is said of a window of which so much budget is left, with so many days to come.
fn say(objective: &Objective, left_minutes: i64, rest_days: i64, past: &Past) -> Forecast {
    let measured = Measured { outage_count: past.spells.len() as i64, ..Measured::default() };
    let left = Some(Micros(left_minutes * MINUTE));
    forecast(objective, &measured, left, Micros(rest_days * DAY), past, std::iter::empty()).expect("a forecast")
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-5, "found {found}, expected {expected}");
}

#[test]
fn r29_without_a_past_the_prior_speaks() {
    let nothing = Past::default();
    // Half an episode in 15 days is believed. That none begins in 30: (1 + 30 / 15)^-0.5 = 1 / sqrt(3) = 0.57735.
    assert_near(say(&count(0), 0, 30, &nothing).breach_probability, 1.0 - 0.577350);
    // One: 0.57735 x 0.5 x 2/3 = 0.19245. Two: that x 1.5 / 2 x 2/3 = 0.096225.
    assert_near(say(&count(1), 0, 30, &nothing).breach_probability, 1.0 - 0.577350 - 0.192450);
    assert_near(say(&count(2), 0, 30, &nothing).breach_probability, 1.0 - 0.577350 - 0.192450 - 0.096225);
    // A quarter of all last longer than 30 min, for (30 / 60)^2 = 0.25. One that does must begin 30 min before the end,
    // in 29.979167 days: (1 + 0.25 x 29.979167 / 15)^-0.5 = 1.499653^-0.5 = 0.816591.
    assert_near(say(&longest(30 * MINUTE), 0, 30, &nothing).breach_probability, 1.0 - 0.816591);
    // Nothing at all is left: any bad time is too much.
    assert_near(say(&downtime(), 0, 30, &nothing).breach_probability, 1.0 - 0.577350);
    // Half an episode in 15 days, of 30 min at the mean, is a minute a day: 20 minutes last 20 days.
    assert_eq!(say(&downtime(), 20, 30, &nothing).spent_after, Some(Micros(20 * DAY)));
    assert_eq!(say(&downtime(), 30, 30, &nothing).spent_after, Some(Micros(30 * DAY)), "the very end is within");
    assert_eq!(say(&downtime(), 31, 30, &nothing).spent_after, None);
}

#[test]
fn r29_the_past_outweighs_the_prior_the_more_the_newer_it_is() {
    // What was seen 20 days ago weighs half, so 60 days weigh 20 / ln 2 x (1 - 1/8) = 25.247163 of today's, and with the
    // prior 40.247163. An outage now weighs 1, one of 20 days ago a half.
    let seen = |ended: &[i64]| {
        let spells = ended.iter().map(|day| Spell { ended: Micros(day * DAY), length: Micros(10 * MINUTE) });
        Past { spells: spells.collect(), ..past(60, &[]) }
    };
    // 1.5 episodes: none in 30 days is (1 + 30 / 40.247163)^-1.5 = 1.745394^-1.5 = 0.433670. Of 1: 1 / 1.745394 = 0.572936.
    assert_near(say(&count(1), 0, 30, &seen(&[60])).breach_probability, 1.0 - 0.433670);
    assert_near(say(&count(1), 0, 30, &seen(&[40])).breach_probability, 1.0 - 0.572936);
    // Of both, which weigh 1.5, the shape is 2. Their ten minutes weigh 1.5, the prior 3: so two thirds of 0.36, 0.24, is
    // longer than 20 min: (1 + 0.24 x 29.986111 / 40.247163)^-2 = 1.178812^-2 = 0.719633.
    let both = seen(&[40, 60]);
    assert_near(say(&longest(20 * MINUTE), 0, 30, &both).breach_probability, 1.0 - 0.719633);
    // Their mean is 1/3 x 10 + 2/3 x 30 = 70/3 min; two of them in 40.247163 days: 14 minutes last 12.074149 days.
    let spent_after = say(&downtime(), 14, 30, &both).spent_after.expect("within the window");
    assert_near(spent_after.0 as f64 / DAY as f64, 12.074149);
}

#[test]
fn r29_spells_that_are_near_each_other_are_one_episode() {
    let at = |hours: &[i64]| {
        let spell = |hour: &i64| Spell { ended: Micros(hour * 60 * MINUTE), length: Micros(10 * MINUTE) };
        Past { spells: hours.iter().map(spell).collect(), ..past(10, &[]) }
    };
    let belief = |cost, hours: &[i64]| Belief::new(cost, [&at(hours)].into_iter());
    // Between 11:00 and 16:50 there are less than six hours, between 17:00 and 23:50 there are more.
    let episodes = [11, 17, 24];
    assert_eq!(belief(Cost::BadTime, &episodes).costs, [10.0, 20.0].map(|minutes| minutes * MINUTE as f64));
    assert_eq!(belief(Cost::Longest, &episodes).costs, [10.0, 10.0].map(|minutes| minutes * MINUTE as f64));
    assert_eq!(belief(Cost::Number(Micros::ZERO), &episodes).costs, [1.0, 2.0]);
    assert_eq!(belief(Cost::Number(Micros(11 * MINUTE)), &episodes).costs, [0.0, 0.0]);
    // From the end at 11:00 on, one that begins at 16:59:59.999999 is near, and one at 17:00 is not.
    let apart = |rest: i64| {
        let ended = [Micros(660 * MINUTE), Micros(1_030 * MINUTE - rest)];
        let spells = ended.map(|ended| Spell { ended, length: Micros(10 * MINUTE) }).to_vec();
        Belief::new(Cost::Number(Micros::ZERO), [&Past { spells, ..at(&[]) }].into_iter()).costs
    };
    assert_eq!((apart(1), apart(0)), (vec![2.0], vec![1.0, 1.0]));
    // Also across the edge of a window, where one that goes on is cut.
    let before = Past { current: Some(Micros(5 * MINUTE)), ..at(&[]) };
    let cut = Belief::new(
        Cost::BadTime,
        [&Past { spells: vec![Spell { ended: Micros(MINUTE), length: Micros(MINUTE) }], ..at(&[]) }, &before]
            .into_iter(),
    );
    assert_eq!((cut.costs, cut.current), (vec![6.0 * MINUTE as f64], None));
}

#[test]
fn r29_what_goes_on_costs_more_than_until_now() {
    // Of the prior alone, one that has lasted 30 min lasts longer than an hour with (30 / 90)^2 / (30 / 60)^2 = 4/9. In
    // half an hour no other can. The rate does not matter then.
    let current = Past { current: Some(Micros(30 * MINUTE)), ..Past::default() };
    let limit = longest(60 * MINUTE);
    let said = |rest: i64| {
        let rest = Micros(rest * MINUTE);
        forecast(&limit, &Measured::default(), None, rest, &current, std::iter::empty()).expect("a forecast")
    };
    assert_near(said(31).breach_probability, 4.0 / 9.0);
    assert_eq!(said(30).breach_probability, 0.0, "it cannot be longer than an hour by then");
    // The mean of what remains of it is an hour: (30 - 30 x 30 / 60) / 0.25. So 40 min are spent after 40.
    assert_eq!(say(&downtime(), 40, 30, &current).spent_after, Some(Micros(40 * MINUTE)));
    // 90 min: 60 of it, then 30 min at 1.5 in 15 days, of 30 min: 3 min a day.
    assert_eq!(say(&downtime(), 90, 30, &current).spent_after, Some(Micros(10 * DAY + 60 * MINUTE)));
    assert_eq!(say(&downtime(), 0, 30, &current).breach_probability, 1.0);
}

#[test]
fn r29_what_goes_on_is_spread_on_the_lattice_beyond_what_it_has_cost() {
    // Ten minutes so far, 30 are left, and no other begins. E[min(X, x)] is 30 x / (30 + x) by the prior: 17.142857 at the
    // 40th minute and 17.185762 a step of the lattice later, 30 / 128 = 0.234375. So 0.042905 / 0.234375 = 0.183062 of
    // all, and of the (30 / 40)^2 = 0.5625 that last longer than ten 0.325444, lie beyond its last point.
    let belief = |cost, past: &Past| Belief::new(cost, [past].into_iter());
    let current = Past { current: Some(Micros(10 * MINUTE)), ..Past::default() };
    let left = 30.0 * MINUTE as f64;
    assert_near(belief(Cost::BadTime, &current).keeps_within(left, 0.0), 1.0 - 0.325444);
    // Of outages the one that goes on is counted already; without one, nothing comes of no time.
    assert_near(belief(Cost::Number(Micros::ZERO), &current).keeps_within(1.0, 0.0), 1.0);
    assert_near(belief(Cost::BadTime, &Past::default()).keeps_within(left, 0.0), 1.0);
}

#[test]
fn r29_what_is_certain_is_certain() {
    let seen = past(45, &[10; 9]);
    assert_eq!(say(&downtime(), -1, 30, &seen), Forecast { breach_probability: 1.0, spent_after: None });
    assert_eq!(say(&downtime(), 24 * 60, 1, &seen), Forecast { breach_probability: 0.0, spent_after: None });
    assert_eq!(say(&downtime(), 0, 0, &seen).breach_probability, 0.0, "just kept, and over");
    assert_eq!(say(&count(8), 0, 30, &seen).breach_probability, 1.0);
    let measured = Measured { longest_outage: Micros(2), ..Measured::default() };
    for (limit, expected) in [(1, 1.0), (2, 0.0)] {
        let said =
            forecast(&longest(limit), &measured, None, Micros(0), &seen, std::iter::empty()).expect("a forecast");
        assert_eq!(said.breach_probability, expected);
    }
    let mtbf = objective(Signal::Mtbf(StatePolicy::default()), Target::AtLeastTime(Micros(1)));
    assert_eq!(forecast(&mtbf, &measured, None, Micros(0), &seen, std::iter::empty()), None);
}

/// The probability that the sum stays within `left`, by adding up over all numbers of episodes, each the convolution of
/// so many costs.
fn naive(belief: &Belief, left: f64, rest: f64) -> f64 {
    let points = ((4.0 * left / belief.mean()) as usize).clamp(POINTS_MIN, POINTS_MAX);
    let costs = on_lattice(left, points, |cost| belief.limited_mean(cost));
    let mut sum_of = vec![0.0; points + 1];
    sum_of[0] = 1.0;
    let mut total = 0.0;
    for number in numbers(belief, rest).take(400) {
        total += number * sum_of.iter().sum::<f64>();
        sum_of = convolve(&sum_of, &costs);
    }
    total
}

/// The negative binomial distribution of how many begin.
fn numbers(belief: &Belief, rest: f64) -> impl Iterator<Item = f64> {
    let (shape, odds) = (belief.shape, rest / belief.exposure);
    let first = (1.0 + odds).powf(-shape);
    (0..).scan(first, move |is, number| {
        let this = *is;
        *is *= (shape + f64::from(number)) / f64::from(number + 1) * odds / (1.0 + odds);
        Some(this)
    })
}

#[test]
fn r29_the_recursion_is_the_sum_over_all_numbers_of_episodes() {
    for (belief, left, rest) in [
        (just_now(0, &[]), 43, 30),
        (just_now(45, &[10; 9]), 43, 30),
        (just_now(100, &[1, 5, 5, 60, 240, 3, 3, 3]), 120, 20),
        (just_now(60, &[2; 60]), 200, 15),
    ] {
        let (left, rest) = ((left * MINUTE) as f64, (rest * DAY) as f64);
        let (found, expected) = (belief.keeps_within(left, rest), naive(&belief, left, rest));
        assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
    }
}

#[test]
fn r29_the_sum_of_episodes_that_cost_one_is_their_number() {
    // On a lattice with all mass on its first point the sum is the number of episodes, of which we know the distribution.
    for (spells, rest) in [(0, 30), (9, 30), (1_200, 2), (1_200, 10_000)] {
        let belief = just_now(spells as i64, &vec![1; spells]);
        let time = (rest * DAY) as f64;
        let mut costs = vec![0.0; 201];
        costs[1] = 1.0;
        let found = belief.sum_of_begun(&costs, time / belief.exposure).iter().sum::<f64>();
        let expected = numbers(&belief, time).take(201).sum::<f64>();
        assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
    }
}

#[test]
fn r29_a_limit_of_outages_of_any_size_is_forecast_at_once() {
    // Half an episode in 15 days is believed, of one outage: what lies beyond these limits is no chance at all.
    for limit in [20_000, 1_000_000_000_000, i64::MAX] {
        assert_near(say(&count(limit), 0, 30, &Past::default()).breach_probability, 0.0);
    }
    // Ten episodes of 200 outages each, a day apart, beside a prior that says 1. Of n that begin, k cost 200 with the
    // probability of the binomial distribution, and come to 199 k + n outages.
    let minute = |day: i64, number: i64| Micros((50 + day) * DAY + number * MINUTE);
    let outage = |ended| Spell { ended, length: Micros(1) };
    let spells = (0..10).flat_map(|day| (0..200).map(move |number| outage(minute(day, number)))).collect();
    let belief = Belief::new(Cost::Number(Micros::ZERO), [&Past { spells, ..past(60, &[]) }].into_iter());
    let (large, rest) = (belief.more_than(1.0), (30 * DAY) as f64);
    let within = |limit: i64| {
        let binomial = |n: i64, k: i64| {
            let ways: f64 = (0..k).map(|place| (n - place) as f64 / (place + 1) as f64).product();
            ways * large.powi(k as i32) * (1.0 - large).powi((n - k) as i32)
        };
        let of = |n: i64| (0..=n).filter(|k| 199 * k + n <= limit).map(|k| binomial(n, k)).sum::<f64>();
        numbers(&belief, rest).zip(0..200).map(|(number, n)| number * of(n)).sum::<f64>()
    };
    for limit in [1, 200, 512, 600, 999, 1_000, 1_001, 8_192] {
        let (found, expected) = (belief.keeps_within(limit as f64, rest), within(limit));
        assert!((found - expected).abs() < 1e-6, "at most {limit}: found {found}, expected {expected}");
    }
}

#[test]
fn r29_spells_are_read_as_the_objective_counts_them() {
    let policy = StatePolicy { degraded_good: Share::parse("25 %").expect("a share"), ..StatePolicy::default() };
    let states = [
        (State::Up, 100),
        (State::Down, 110),
        (State::Degraded, 130),
        (State::Up, 200),
        (State::Unknown, 250),
        (State::Down, 260),
        (State::Excluded, 300),
        (State::Down, 305),
    ];
    let mut start = 0;
    let stretches: Vec<Stretch> = states
        .map(|(state, end)| {
            let below = if state == State::Excluded { State::Down } else { state };
            let stretch = Stretch { start: Instant(start), end: Instant(end), shown: state, below, counted: state };
            start = end;
            stretch
        })
        .to_vec();
    let read = |signal: &Signal| Past::read(signal, &policy, &stretches, &Calendar::always());
    // 10 down and 75 % of 20 degraded are one spell of 25; the last one goes on through what is excluded. 50 are unknown
    // and 40 excluded of 305.
    let spell = |ended, length| vec![Spell { ended: Micros(ended), length: Micros(length) }];
    let expected =
        Past { agreed: Micros(305), measured: Micros(215), spells: spell(130, 25), current: Some(Micros(15)) };
    assert_eq!(read(&Signal::Availability(policy)), expected);
    // Degraded is no outage.
    let expected = Past { spells: spell(110, 10), ..expected };
    assert_eq!(read(&Signal::LongestOutage(policy)), expected);
}

#[test]
fn r29_time_that_is_not_agreed_neither_ends_a_spell_nor_is_one() {
    let text = "{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: office}, spec: {time_zone: UTC, hours: [{days: \
                mon-sun, from: \"08:00\", until: \"18:00\"}]}}\n";
    let office = Calendar::compile(&crate::portfolio::tests::definitions_of(text).calendars["office"]);
    let midnight = Instant::parse_rfc3339("2026-03-02T00:00:00Z").expect("an instant");
    let mut start = midnight;
    // Down in the night alone; from 17:00 until 9:00 but for the night; and from 10:00 on.
    let stretches =
        [(5, 'd'), (17, 'u'), (18, 'd'), (32, 'u'), (33, 'd'), (34, 'u'), (35, 'd')].map(|(hour, letter)| {
            let end = midnight + Micros(hour * Micros::HOUR.0);
            let state = if letter == 'd' { State::Down } else { State::Up };
            let stretch = Stretch { start, end, shown: state, below: state, counted: state };
            start = end;
            stretch
        });
    let policy = StatePolicy::default();
    let read = Past::read(&Signal::Availability(policy), &policy, &stretches, &office);
    // Agreed are ten hours of the first day and three of the second; after the tenth and one more the spell was over.
    let hours = |count: i64| Micros(count * Micros::HOUR.0);
    let spells = vec![Spell { ended: hours(11), length: hours(2) }];
    assert_eq!(read, Past { agreed: hours(13), measured: hours(13), spells, current: Some(hours(1)) });
}

proptest! {
    #[test]
    fn r29_laws(
        minutes in prop::collection::vec(1i64..600, 0..30),
        days in 30i64..300,
        left in 0i64..3_000,
        rest in 1i64..60,
        current in prop::option::of(1i64..600),
    ) {
        let seen = Past { current: current.map(|minutes| Micros(minutes * MINUTE)), ..past(days, &minutes) };
        let said = |left, rest| say(&downtime(), left, rest, &seen).breach_probability;
        let probability = said(left, rest);
        prop_assert!((0.0..=1.0).contains(&probability));
        // More left is no more dangerous, more time ahead no less: but for what the lattice rounds.
        prop_assert!(said(left + 60, rest) <= probability + 5e-3);
        prop_assert!(said(left, rest + 1) >= probability - 1e-9);
        // In how many windows the past lies tells nothing.
        let edge = Micros(days / 2 * DAY);
        let (old, new): (Vec<Spell>, Vec<Spell>) = seen.spells.iter().partition(|spell| spell.ended <= edge);
        let new = new.into_iter().map(|spell| Spell { ended: spell.ended - edge, ..spell }).collect();
        let earlier = Past { agreed: edge, measured: edge, spells: old, current: None };
        let rest_of = seen.agreed - edge;
        let later = Past { agreed: rest_of, measured: rest_of, spells: new, current: seen.current };
        let (left, rest) = (Some(Micros(left * MINUTE)), Micros(rest * DAY));
        let apart = forecast(&downtime(), &Measured::default(), left, rest, &later, [&earlier].into_iter());
        prop_assert!((apart.expect("a forecast").breach_probability - probability).abs() < 1e-9);
    }
}
