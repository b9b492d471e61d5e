//! Forecasts of counted things by hand, beside naive sums and closed forms.

use proptest::prelude::*;

use super::*;

const DAY: i64 = Micros::DAY.0;

fn day(age: i64, days: i64, bad: i64, total: i64) -> Day {
    Day { age: Micros(age * DAY), agreed: Micros(days * DAY), bad, total }
}

fn say(allowed: Allowed, counts: (i64, i64), rest_days: i64, days: &[Day]) -> Forecast {
    forecast_counts(allowed, counts, Micros(rest_days * DAY), days).expect("a forecast")
}

fn assert_near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() < within, "found {found}, expected {expected}");
}

const HALF: Allowed = Allowed::Share(500_000_000);

#[test]
fn r29_the_page_of_counted_forecasts() {
    // One error in 15 days, two allowed, 15 days to come: 1.5 in as much time as was seen. None comes with (1 + 1)^-1.5,
    // one with half of 1.5 times that: more than one is what is left of 1.
    let found = say(Allowed::Number(2), (1, 1), 15, &[day(0, 15, 1, 1)]);
    assert_near(found.breach_probability, 1.0 - 0.353_553_39 * 1.75, 1e-7);
    const PAGE: &str = include_str!("../../../../docs/rules/r29-forecast.md");
    let told = format!("More than one breaks the promise: {:.2} %.", 100.0 * found.breach_probability);
    assert!(PAGE.contains(&told), "{told} does not stand on the page");
    // One more at one in 15 days.
    assert_eq!(found.spent_after, Some(Micros(15 * DAY)));
    // 9,900 of 10,000 good in 15 days, 99 % promised, 15 days to come: as likely below as above, for all is as it was.
    let even = say(Allowed::Share(10_000_000), (100, 10_000), 15, &[day(0, 15, 100, 10_000)]);
    assert_near(even.breach_probability, 0.5, 0.02);
    // 99.5 % so far: 50 are left, and those to come would have to be bad twice as often.
    let good = say(Allowed::Share(10_000_000), (50, 10_000), 15, &[day(0, 15, 50, 10_000)]);
    assert!(good.breach_probability < 0.001 && good.spent_after.is_none(), "{good:?}");
}

#[test]
fn r29_nothing_counted_is_no_forecast_and_what_cannot_be_mended_is_certain() {
    assert_eq!(forecast_counts(HALF, (0, 0), Micros(DAY), &[]), None);
    assert_eq!(forecast_counts(HALF, (0, 0), Micros(DAY), &[day(0, 1, 0, 0)]), None);
    assert_eq!(say(Allowed::Number(2), (3, 3), 15, &[day(0, 15, 3, 3)]).breach_probability, 1.0);
    // No time to come: what is, is what becomes of it.
    assert_eq!(say(HALF, (2, 3), 0, &[day(0, 9, 2, 3)]).breach_probability, 1.0);
    assert_eq!(say(HALF, (1, 3), 0, &[day(0, 9, 1, 3)]).breach_probability, 0.0);
    assert_eq!(say(Allowed::Number(1), (1, 3), 0, &[day(0, 9, 1, 3)]).breach_probability, 0.0);
}

#[test]
fn r29_bursts_make_a_forecast_less_sure() {
    // Ten days of 1,000 things each, 100 bad in all: ten each day, or all on one.
    let even: Vec<Day> = (0..10).map(|age| day(age, 1, 10, 1_000)).collect();
    let burst: Vec<Day> = (0..10).map(|age| day(age, 1, if age == 5 { 100 } else { 0 }, 1_000)).collect();
    // 1.5 % are allowed, 50 more than were bad: twenty days to come.
    let risk = |days: &[Day]| say(Allowed::Share(15_000_000), (100, 10_000), 20, days).breach_probability;
    assert!(risk(&even) < 0.01, "{}", risk(&even));
    assert!(risk(&burst) > 0.05, "{}", risk(&burst));
    let number = |days: &[Day]| say(Allowed::Number(350), (100, 10_000), 20, days).breach_probability;
    assert!(number(&even) < 0.05 && number(&burst) > 2.0 * number(&even), "{} {}", number(&even), number(&burst));
}

#[test]
fn r29_what_was_counted_long_ago_weighs_less() {
    // Bad then and good now, or good then and bad now.
    let of =
        |then: i64, now: i64| say(HALF, (0, 0), 30, &[day(60, 10, then, 10), day(0, 10, now, 10)]).breach_probability;
    assert!(of(9, 1) < 0.3 && of(1, 9) > 0.7, "{} {}", of(9, 1), of(1, 9));
}

#[test]
fn r29_an_allowed_share_is_spent_by_what_is_bad_beyond_it() {
    // 10 % allowed, 2 bad of 10 in 15 days: (0.1 + 2) / 12 = 17.5 % are believed to be bad, 7.5 % more than allowed, of 10.5
    // in 15 days: 0.0525 a day. Of 21 things 2.1 may be bad, and are in 40 days.
    let spent = |counts, rest| say(Allowed::Share(100_000_000), counts, rest, &[day(0, 15, 2, 10)]).spent_after;
    let after = spent((0, 21), 50).expect("within the window");
    assert_near(after.0 as f64 / DAY as f64, 40.0, 1e-9);
    assert_eq!(spent((0, 21), 39), None, "not within the window");
    assert_eq!((spent((2, 20), 50), spent((3, 20), 50)), (None, None), "it is spent already");
    // Of 30 % allowed less is bad.
    assert_eq!(say(Allowed::Share(300_000_000), (0, 21), 50, &[day(0, 15, 2, 10)]).spent_after, None);
}

#[test]
fn r29_a_share_of_many_is_beta_distributed() {
    // 5 % allowed, 1 bad of 10 in 14 days: the bad share is Beta(0.05 + 1, 1.95 + 9), its mean 1.05 / 12 = 0.0875. In 377
    // days 10.5 x 377 / 14 = 282.75 things are to come: the variance is 1 / 13 + 1 / 282.75 = 7 / 87 of mean x (1 - mean).
    // That of Beta(1, 73 / 7) is, for 1 / (1 + 1 + 73 / 7) = 7 / 87, and its mean is 7 / 80 = 0.0875. It is beyond x with
    // (1 - x)^(73 / 7).
    let risk = |counts| say(Allowed::Share(50_000_000), counts, 377, &[day(0, 14, 1, 10)]).breach_probability;
    // More than 5 % of those to come, and than 5 % and the 5 % of 1,131 that are left: 56.55 of 282.75, 20 %.
    assert_near(risk((0, 0)), 0.585_719, 1e-6);
    assert_near(risk((0, 1_131)), 0.049_781, 1e-6);
}

#[test]
fn r29_bursts_are_counted_in_steps_of_their_size() {
    // None on one day and 8 on the other, where 4 were expected of each: (4^2 + 4^2) / 4 = 8, and by it and the prior days
    // differ by (3 + 8) / (3 + 2) = 2.2 as much as by chance. So 8 are 3.64 bursts, and half of one is believed: a shape of
    // 4.13636. In two days more no burst comes with 2^-4.13636 = 0.05686, one with 0.11760, two with 0.15101.
    let days = [day(0, 1, 0, 9), day(0, 1, 8, 9)];
    let risk = |limit| say(Allowed::Number(limit), (8, 18), 2, &days).breach_probability;
    // Of 2 that are left not even one burst of 2.2, of 5 two.
    assert_near(risk(10), 1.0 - 0.056_863, 1e-5);
    assert_near(risk(13), 1.0 - 0.056_863 - 0.117_604 - 0.151_014, 1e-5);
}

#[test]
fn r29_many_may_come_where_few_are_expected() {
    // One bad one in a day, 26 days to come: 39 are expected, and of those so far 30 more may be bad than half. So more
    // than 60 must come to break the promise: the naive sum of the chances that so many do and are bad.
    let found = say(HALF, (0, 60), 26, &[day(0, 1, 1, 1)]).breach_probability;
    let (shape, ratio, bad, good) = (1.5, 26.0 / 27.0, 1.5, 1.5_f64);
    let mut expected = 0.0;
    let mut chance = 27.0_f64.powf(-shape);
    for number in 0..450_usize {
        // So many bad ones: the product of all their parts, in an order in which nothing becomes too large.
        let of_them = |some: usize| {
            let first =
                (0..some).map(|k| (bad + k as f64) * (number - k) as f64 / (some - k) as f64 / (bad + good + k as f64));
            let rest = (0..number - some).map(|k| (good + k as f64) / (bad + good + (some + k) as f64));
            first.product::<f64>() * rest.product::<f64>()
        };
        let breaking = (0..=number).filter(|some| *some as f64 > 30.0 + number as f64 / 2.0);
        expected += chance * breaking.map(of_them).sum::<f64>();
        chance *= ratio * (shape + number as f64) / (number + 1) as f64;
    }
    assert!(expected > 0.01, "{expected}");
    assert_near(found, expected, 1e-5);
}

/// The product of `from`, `from + 1`, ... of so many factors.
fn rising(from: f64, count: usize) -> f64 {
    (0..count).map(|k| from + k as f64).product()
}

fn choose(all: usize, some: usize) -> f64 {
    (0..some).map(|k| (all - k) as f64 / (some - k) as f64).product()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn r29_few_things_agree_with_a_naive_double_sum(
        things in 1..12_i64, bad in 0..12_i64, rest in 1..20_i64, allowed in 1..10_i64, far in 0..8_i64, more in 0..8_i64,
    ) {
        let bad = bad.min(things);
        let share = allowed as f64 / 10.0;
        let so_far = (far.min(far + more), far + more);
        let found = say(Allowed::Share(i128::from(allowed) * 100_000_000), so_far, rest, &[day(0, 20, bad, things)]);
        // One day differs by nothing from itself. Gamma(0.5 + things, 20 days), Beta(share + bad, 2 - share + good).
        let (shape, odds) = (0.5 + things as f64, rest as f64 / 20.0);
        let (one, other) = (share + bad as f64, 2.0 - share + (things - bad) as f64);
        let mut expected = 0.0;
        for number in 0..80_usize {
            let chance = rising(shape, number) / rising(1.0, number) * odds.powi(number as i32) / (1.0 + odds).powf(shape + number as f64);
            for bad in 0..=number {
                let of_them = choose(number, bad) * rising(one, bad) * rising(other, number - bad) / rising(one + other, number);
                let all = so_far.1 as f64 + number as f64;
                if so_far.0 as f64 + bad as f64 > share * all + 1e-9 {
                    expected += chance * of_them;
                }
            }
        }
        prop_assert!((found.breach_probability - expected).abs() < 1e-6, "found {}, expected {expected}", found.breach_probability);
    }

    #[test]
    fn r29_a_share_of_many_is_near_that_of_few_where_both_may_be_used(bad in 1..30_i64, allowed in 1..8_i64) {
        // 39 and 41 things to come.
        let of = |rest: i64| {
            let days = [Day { age: Micros(0), agreed: Micros(1_000), bad, total: 100 }];
            let rest = Micros(rest * 10);
            forecast_counts(Allowed::Share(i128::from(allowed) * 50_000_000), (0, 10), rest, &days).expect("a forecast").breach_probability
        };
        // 100.5 x 0.39 and x 0.41.
        prop_assert!((of(39) - of(41)).abs() < 0.12, "{} {}", of(39), of(41));
    }

    #[test]
    fn r29_more_left_is_never_worse(bad in 0..50_i64, limit in 1..60_i64, rest in 0..40_i64) {
        let days = [day(20, 10, bad, bad + 30), day(0, 10, bad / 2, 40)];
        let of = |limit| say(Allowed::Number(limit), (bad / 2, 40), rest, &days).breach_probability;
        prop_assert!(of(limit + 1) <= of(limit) + 1e-12);
        prop_assert!((0.0..=1.0).contains(&of(limit)));
        let share = |tenths: i64| say(Allowed::Share(i128::from(tenths) * 10_000_000), (bad / 2, 40), rest, &days).breach_probability;
        prop_assert!((0.0..=1.0).contains(&share(limit)));
    }
}

#[test]
fn r29_the_incomplete_beta_function_agrees_with_closed_forms() {
    for x in [0.0, 0.001, 0.1, 0.35, 0.5, 0.8, 0.999, 1.0_f64] {
        assert_near(beta_within(x, 1.0, 4.0), 1.0 - (1.0 - x).powi(4), 1e-10);
        assert_near(beta_within(x, 7.0, 1.0), x.powi(7), 1e-10);
        assert_near(beta_within(x, 2.0, 3.0), 6.0 * x.powi(2) - 8.0 * x.powi(3) + 3.0 * x.powi(4), 1e-10);
        assert_near(beta_within(x, 0.5, 0.5), 2.0 / std::f64::consts::PI * x.sqrt().asin(), 1e-10);
    }
    assert_near(beta_within(0.5, 5_000.0, 5_000.0), 0.5, 1e-9);
    // 10! and the half of it: gamma(11) and gamma(1/2)^2 = pi.
    assert_near(ln_gamma(11.0), 3_628_800.0_f64.ln(), 1e-12);
    assert_near(2.0 * ln_gamma(0.5), std::f64::consts::PI.ln(), 1e-12);
}
