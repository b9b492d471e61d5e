//! Counted things made up from a seed, and forecasts of their past months. As with `generated`, they break what the model
//! supposes: volumes follow the week and grow or shrink, and bad things come with troubles that last for days.

use chrono_tz::UTC;
use plimsoll_engine::budget::Allowed;
use plimsoll_engine::forecast::{Day, forecast_counts};
use plimsoll_engine::window::windows_between;
use plimsoll_schemas::definition::WindowKind;
use plimsoll_schemas::{Instant, Micros};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::generated::{START, normal};
use crate::replay::Said;

/// How many days a part of the past is remembered, as the engine remembers it.
const DAYS_KEPT: usize = 128;

/// What is counted, how many a day, how many of them are bad, and what is allowed.
struct Kind {
    name: &'static str,
    a_day: f64,
    bad_share: f64,
    allowed: Allowed,
}

const KINDS: [Kind; 4] = [
    Kind { name: "requests", a_day: 20_000.0, bad_share: 0.004, allowed: Allowed::Share(10_000_000) },
    Kind { name: "tickets", a_day: 3.0, bad_share: 0.1, allowed: Allowed::Share(200_000_000) },
    Kind { name: "changes", a_day: 0.4, bad_share: 0.05, allowed: Allowed::Share(100_000_000) },
    Kind { name: "errors", a_day: 50.0, bad_share: 0.01, allowed: Allowed::Number(20) },
];

/// What is said of all whole months of so many services over so many months.
pub fn forecasts(seed: u64, services: usize, months: u32) -> Vec<Said> {
    let mut said = Vec::new();
    for (place, kind) in KINDS.iter().enumerate() {
        for number in 0..services {
            let seed = seed.wrapping_mul(1_000).wrapping_add((place * services + number) as u64);
            let days = days(&mut ChaCha8Rng::seed_from_u64(seed), kind, months as usize * 31);
            say_all(kind, &days, &mut said);
        }
    }
    said
}

/// (bad, total) of each day.
fn days(dice: &mut ChaCha8Rng, kind: &Kind, count: usize) -> Vec<(i64, i64)> {
    let mut a_day = kind.a_day * (0.8 * normal(dice)).exp();
    let mut share = kind.bad_share * (0.8 * normal(dice)).exp();
    let mut trouble = 1.0;
    let mut days = Vec::with_capacity(count);
    for day in 0..count {
        if day % 30 == 0 && dice.random_bool(0.15) {
            a_day *= (0.5 * normal(dice)).exp();
            share *= (0.6 * normal(dice)).exp();
        }
        // A trouble begins on one day of twenty and ends after two on average.
        trouble = match trouble > 1.0 {
            true if dice.random_bool(0.5) => trouble,
            _ if dice.random_bool(0.05) => 2.0 + 6.0 * dice.random_range(0.0f64..1.0),
            _ => 1.0,
        };
        let of_week = if day % 7 < 5 { 1.2 } else { 0.5 };
        let spread = (0.2 * normal(dice)).exp();
        let total = poisson(dice, a_day * of_week * spread);
        let bad = poisson(dice, total as f64 * (share * trouble).min(0.9)).min(total);
        days.push((bad, total));
    }
    days
}

fn poisson(dice: &mut ChaCha8Rng, mean: f64) -> i64 {
    if mean > 50.0 {
        return (mean + mean.sqrt() * normal(dice)).round().max(0.0) as i64;
    }
    let (mut number, mut product, least) = (0, dice.random_range(0.0f64..1.0), (-mean).exp());
    while product > least {
        number += 1;
        product *= dice.random_range(0.0f64..1.0);
    }
    number
}

fn sums(days: &[(i64, i64)]) -> (i64, i64) {
    days.iter().fold((0, 0), |sums, day| (sums.0 + day.0, sums.1 + day.1))
}

/// When a quarter, a half and three quarters of each month had passed.
fn say_all(kind: &Kind, days: &[(i64, i64)], said: &mut Vec<Said>) {
    let day_of = |at: Instant| ((at - START).0 / Micros::DAY.0) as usize;
    let end = START + Micros(days.len() as i64 * Micros::DAY.0);
    for window in windows_between(WindowKind::Month, UTC, START, end).take_while(|window| window.end <= end) {
        let (first, last) = (day_of(window.start), day_of(window.end));
        let whole = sums(&days[first..last]);
        if whole.1 == 0 {
            continue;
        }
        for percent in [25, 50, 75] {
            let now = first + (last - first) * percent / 100;
            let so_far = sums(&days[first..now]);
            let seen: Vec<Day> = (now.saturating_sub(DAYS_KEPT)..now)
                .map(|day| Day {
                    age: Micros((now - day - 1) as i64 * Micros::DAY.0),
                    agreed: Micros::DAY,
                    bad: days[day].0,
                    total: days[day].1,
                })
                .collect();
            let rest = Micros((last - now) as i64 * Micros::DAY.0);
            let Some(forecast) = forecast_counts(kind.allowed, so_far, rest, &seen) else { continue };
            let (straight_line, open) = match kind.allowed {
                Allowed::Share(_) => (is_missed(kind.allowed, so_far), true),
                Allowed::Number(limit) => {
                    (so_far.0 * (last - first) as i64 > limit * (now - first) as i64, so_far.0 <= limit)
                }
            };
            let breached = is_missed(kind.allowed, whole);
            let (promise, probability) = (kind.name.to_owned(), forecast.breach_probability);
            said.push(Said { promise, probability, straight_line, breached, open });
        }
    }
}

fn is_missed(allowed: Allowed, (bad, total): (i64, i64)) -> bool {
    match allowed {
        Allowed::Share(share) => i128::from(bad) * 1_000_000_000 > share * i128::from(total),
        Allowed::Number(limit) => bad > limit,
    }
}
