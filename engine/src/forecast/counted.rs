//! What an open window of counted things may come to (R29).
//!
//! In: how many things were counted on each day, how many of them were bad, and where the window stands. Out: the
//! probability that it ends below its target.
//!
//! Things come at a rate that is believed to be Gamma distributed around what was seen, days long ago weighing less. What
//! share of those to come is bad nobody knows: `Beta(a + bad / f, b + good / f)`, with a declared prior of
//! [`PRIOR_THINGS`] things of which half of what the target allows were bad. Bad things come in bursts, so days differ by
//! more than chance alone. By how much, `f`, is what the days tell: the mean of `(bad - expected)^2 / variance` (Pearson),
//! which is 1 where only chance is at work, with a prior of 1 that weighs as much as [`PRIOR_DAYS`] days. So many bad ones
//! tell as much as one would by itself.
//!
//! Where few things are to come, their number is negative binomial and the bad ones among them are beta binomial, summed
//! term by term. Where many are, their share is taken to be Beta distributed with the mean and the variance that it has.
//! A number of bad ones in all is negative binomial, in steps of `f`.

use plimsoll_schemas::Micros;

use super::{Forecast, weight};
use crate::budget::Allowed;

#[cfg(test)]
mod tests;

/// As how many things the prior of the bad share weighs.
const PRIOR_THINGS: f64 = 2.0;

/// As how many days the prior weighs that days differ by chance alone.
const PRIOR_DAYS: f64 = 3.0;

/// The prior belief in how often things come: as if half a thing had been seen in no time.
const PRIOR_SHAPE: f64 = 0.5;

/// Up to how many things to come they are summed term by term.
const FEW: f64 = 40.0;

/// In how many steps a number of bad things is summed at most.
const STEPS_MAX: f64 = 4_096.0;

/// What was counted on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    /// How much agreed time ago it ended; zero for the day that is under way.
    pub age: Micros,
    /// How much agreed time of it was seen.
    pub agreed: Micros,
    /// How many things were bad.
    pub bad: i64,
    /// How many there were.
    pub total: i64,
}

/// Forecasts a window in which `bad` of `total` were bad so far and of whose agreed time `rest` is still to come. `None`
/// when nothing was ever counted.
pub fn forecast_counts(allowed: Allowed, (bad, total): (i64, i64), rest: Micros, days: &[Day]) -> Option<Forecast> {
    let belief = Belief::new(allowed, days)?;
    let (bad, total, rest) = (bad as f64, total as f64, rest.0.max(0) as f64);
    let odds = rest / belief.exposure;
    let (breach_probability, left, loss) = match allowed {
        Allowed::Share(share) => {
            let share = share as f64 / 1e9;
            let left = share * total - bad;
            let mean = belief.bad / (belief.bad + belief.good);
            (belief.breaks(share, left, odds), left, belief.things / belief.exposure * (mean - share))
        }
        Allowed::Number(limit) => {
            let left = limit as f64 - bad;
            (belief.exceeds(left, odds), left, belief.bad_things / belief.exposure)
        }
    };
    let after = (left > 0.0).then(|| left / loss).filter(|after| (0.0..=rest).contains(after));
    Some(Forecast { breach_probability, spent_after: after.map(|after| Micros(after.ceil() as i64)) })
}

/// What is believed of things to come.
#[derive(Debug)]
struct Belief {
    /// Weighed agreed time that was seen, in microseconds.
    exposure: f64,
    /// Weighed things in it.
    things: f64,
    /// Weighed bad things in it.
    bad_things: f64,
    /// The parameters of the bad share.
    bad: f64,
    good: f64,
    /// By how much more than by chance days differ in their bad things.
    burst: f64,
}

impl Belief {
    fn new(allowed: Allowed, days: &[Day]) -> Option<Belief> {
        let (mut exposure, mut things, mut bad_things, mut weights) = (0.0, 0.0, 0.0, 0.0);
        for day in days {
            let weight = weight(day.age.0 as f64);
            exposure += weight * day.agreed.0 as f64;
            things += weight * day.total as f64;
            bad_things += weight * day.bad as f64;
            weights += weight;
        }
        if things <= 0.0 || exposure <= 0.0 {
            return None;
        }
        let share = bad_things / things;
        // How far one day is from what all days tell, as a share of its variance.
        let apart = |day: &Day| {
            let (expected, variance) = match allowed {
                Allowed::Share(_) => (share * day.total as f64, share * (1.0 - share) * day.total as f64),
                Allowed::Number(_) => {
                    let expected = bad_things / exposure * day.agreed.0 as f64;
                    (expected, expected)
                }
            };
            if variance > 0.0 { (day.bad as f64 - expected).powi(2) / variance } else { 0.0 }
        };
        let sum: f64 = days.iter().map(|day| weight(day.age.0 as f64) * apart(day)).sum();
        let burst = ((PRIOR_DAYS + sum) / (PRIOR_DAYS + weights)).max(1.0);
        let prior = match allowed {
            Allowed::Share(share) => PRIOR_THINGS * share as f64 / 2e9,
            Allowed::Number(_) => PRIOR_SHAPE,
        };
        let (bad, good) = (prior + bad_things / burst, PRIOR_THINGS - prior + (things - bad_things) / burst);
        Some(Belief { exposure, things: PRIOR_SHAPE + things, bad_things, bad, good, burst })
    }

    /// The probability that more are bad of those to come than `left` and the share of them, while `odds` times the time
    /// seen passes.
    fn breaks(&self, share: f64, left: f64, odds: f64) -> f64 {
        let expected = self.things * odds;
        if expected > FEW {
            let threshold = (left / expected + share).clamp(0.0, 1.0);
            let weight = self.bad + self.good;
            let mean = self.bad / weight;
            // What is not known of the share, and what chance and bursts do to so many.
            let spread = (1.0 / (weight + 1.0) + self.burst / expected).min(0.999);
            let like = 1.0 / spread - 1.0;
            return 1.0 - beta_within(threshold, mean * like, (1.0 - mean) * like);
        }
        let mut probability = 0.0;
        let mut seen = 0.0;
        for (number, chance) in negative_binomial(self.things, odds).enumerate() {
            let most = share * number as f64 + left;
            let within: f64 = beta_binomial(number, self.bad, self.good)
                .enumerate()
                .take_while(|(bad, _)| *bad as f64 <= most + 1e-9)
                .map(|(_, chance)| chance)
                .sum();
            probability += chance * (1.0 - within).max(0.0);
            seen += chance;
            if seen > 1.0 - 1e-9 || number as f64 > 16.0 * FEW {
                break;
            }
        }
        probability.clamp(0.0, 1.0)
    }

    /// The probability that more than `left` bad things come while `odds` times the time seen passes.
    fn exceeds(&self, left: f64, odds: f64) -> f64 {
        if left < 0.0 {
            return 1.0;
        }
        let step = self.burst.max(left / STEPS_MAX);
        let shape = PRIOR_SHAPE + self.bad_things / step;
        let within: f64 = negative_binomial(shape, odds).take((left / step) as usize + 1).sum();
        (1.0 - within).clamp(0.0, 1.0)
    }
}

/// The chances of 0, 1, 2, ... arrivals while `odds` times the time passes in which `shape` were seen.
fn negative_binomial(shape: f64, odds: f64) -> impl Iterator<Item = f64> {
    let ratio = odds / (1.0 + odds);
    let none = (-shape * odds.ln_1p()).exp();
    let next =
        move |(number, chance): &(f64, f64)| Some((number + 1.0, chance * ratio * (shape + number) / (number + 1.0)));
    std::iter::successors(Some((0.0, none)), next).map(|(_, chance)| chance)
}

/// The chances that 0, 1, ... of a number of things are bad, when the bad share is Beta distributed.
fn beta_binomial(number: usize, bad: f64, good: f64) -> impl Iterator<Item = f64> {
    let all = number as f64;
    // None: the product of (good + k) / (bad + good + k).
    let none: f64 = (0..number).map(|k| (good + k as f64) / (bad + good + k as f64)).product();
    let next = move |(k, chance): &(f64, f64)| {
        let ratio = (all - k) / (k + 1.0) * (bad + k) / (good + all - k - 1.0);
        (*k < all).then_some((k + 1.0, chance * ratio))
    };
    std::iter::successors(Some((0.0, none)), next).map(|(_, chance)| chance)
}

/// The probability that a Beta distributed share is at most `x`, from 0 to 1: the regularized incomplete beta
/// function, by its continued fraction (DLMF 8.17.22), evaluated from front to back by Lentz's method.
fn beta_within(x: f64, bad: f64, good: f64) -> f64 {
    if x > (bad + 1.0) / (bad + good + 2.0) {
        return 1.0 - beta_within(1.0 - x, good, bad);
    }
    const TINY: f64 = 1e-300;
    let keep = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut upper, mut lower) = (1.0, 1.0 / keep(1.0 - (bad + good) * x / (bad + 1.0)));
    let mut fraction = lower;
    for step in 1..400 {
        let m = f64::from(step);
        let even = m * (good - m) * x / ((bad + 2.0 * m - 1.0) * (bad + 2.0 * m));
        let odd = -(bad + m) * (bad + good + m) * x / ((bad + 2.0 * m) * (bad + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            lower = 1.0 / keep(1.0 + term * lower);
            upper = keep(1.0 + term / upper);
            change = upper * lower;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-12 {
            break;
        }
    }
    let front = ln_gamma(bad + good) - ln_gamma(bad) - ln_gamma(good) + bad * x.ln() + good * (-x).ln_1p();
    (front.exp() * fraction / bad).clamp(0.0, 1.0)
}

/// The logarithm of the gamma function: Stirling's series (DLMF 5.11.1) from 16 on, and below it by its recurrence.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 16.0 {
        below += x.ln();
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1_260.0 - 1.0 / (1_680.0 * square)) / square) / square) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}
