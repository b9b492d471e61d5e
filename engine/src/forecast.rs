//! What is likely to become of an open window (R29): the probability that it ends breached, and when its budget is
//! expected to be spent.
//!
//! In: the past of the very indicator, as bad spells on the axis of agreed time, and where the window stands. Out: a
//! probability. Floats are allowed here, for nothing that is judged rests on them; nothing is drawn at random, so the
//! same facts give the same forecast.
//!
//! Trouble comes in episodes: bad spells less than [`EPISODE_GAP`] apart. They begin at a rate that nobody knows. What is
//! believed of it is a Gamma distribution: a declared prior, and what was seen, `n` episodes in `T` of measured time, where
//! what was seen long ago weighs less:
//!
//! ```text
//! rate ~ Gamma(SHAPE + n, EXPOSURE + T)
//! ```
//!
//! so the number of episodes that begin in the rest of the window is negative binomial. What one costs (its bad time, its
//! longest outage, its number of outages) is distributed as with those that were seen, mixed with a prior that weighs as
//! much as [`PRIOR_EPISODES`] of them. For times that is a Pareto distribution of the second kind with exponent 2, of
//! which `E[min(X, x)] = s x / (s + x)`; for numbers it is 1. A spell that goes on belongs to an episode of which is known
//! that it costs more than until now. What is still to come is the sum of all these. Its distribution is computed on a
//! lattice whose last point is what is left, by Panjer's recursion (ASTIN Bulletin 12, 1981); masses are put on the
//! lattice so that means are kept.
//!
//! With few data the prior decides, with many it vanishes; [the page of R29](../../docs/rules/r29-forecast.md) tells how
//! well that did.

use std::f64::consts::LN_2;

use plimsoll_schemas::Micros;
use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::state::State;
use crate::verdict::{Measured, Stretch, WHOLE, weights};

mod counted;
#[cfg(test)]
mod tests;

pub use counted::{Day, forecast_counts};

/// Bad spells with less agreed time between them are one episode.
const EPISODE_GAP: Micros = Micros(6 * Micros::HOUR.0);

/// The prior belief in how often episodes begin, as if so many had been seen ...
const PRIOR_SHAPE: f64 = 0.5;

/// ... in so much agreed time: one in 30 days, but very unsure.
const PRIOR_EXPOSURE: f64 = 15.0 * Micros::DAY.0 as f64;

/// As how many episodes the prior of their costs weighs.
const PRIOR_EPISODES: f64 = 3.0;

/// The scale of that prior: half of all episodes are shorter than 12 minutes, one in ten is longer than 65.
const PRIOR_SCALE: f64 = 30.0 * Micros::MINUTE.0 as f64;

/// What was seen so much agreed time ago weighs half: services become better and worse, and trouble ends.
const HALF_LIFE: f64 = 20.0 * Micros::DAY.0 as f64;

/// How many points the lattice has besides zero, at least: more change a probability in its third decimal.
const POINTS_MIN: usize = 128;

/// And at most, for the cost grows with the square. Four to a spell of mean length are taken where that is less: spells
/// that are much shorter than a step blur the sum of many of them.
const POINTS_MAX: usize = 512;

/// Of outages it has a point for each and is exact, up to so many: more are hardly ever left, and a limit of any size must
/// be answered at once. For those few numbers that episodes were seen to cost, it costs little.
const OUTAGES_MAX: usize = 8_192;

/// Less than that of all episodes on a point of the lattice is what rounding leaves of none.
const MASS_MIN: f64 = 1e-11;

/// What was seen of an indicator in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Past {
    /// How long it is, in agreed time.
    pub agreed: Micros,
    /// How much of that was measured.
    pub measured: Micros,
    /// The bad spells that are over.
    pub spells: Vec<Spell>,
    /// The bad time so far of the one that goes on.
    pub current: Option<Micros>,
}

/// A bad spell that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spell {
    /// When it ended, in agreed time since the start of the stretch.
    pub ended: Micros,
    /// Its bad time.
    pub length: Micros,
}

impl Past {
    /// Reads it off the stretches of a window as its objective counts them. Spells of objectives over outages are
    /// outages; of others any time that is bad to some share, which counts by that share.
    pub fn read(signal: &Signal, policy: &StatePolicy, stretches: &[Stretch], calendar: &Calendar) -> Past {
        let is_of_outages = is_of_outages(signal);
        let mut past = Past::default();
        for stretch in stretches {
            let time = calendar.elapsed(stretch.start, stretch.end);
            let began = past.agreed;
            past.agreed += time;
            let (good, bad) = weights(policy, stretch.counted);
            if good + bad > 0 {
                past.measured += time;
            }
            let bad = match stretch.counted {
                State::Down => WHOLE,
                _ if is_of_outages => 0,
                _ => bad,
            };
            if bad > 0 {
                let so_far = past.current.unwrap_or(Micros::ZERO);
                past.current = Some(so_far + Micros((bad * i128::from(time.0) / WHOLE) as i64));
            } else if !stretch.in_outage() && time > Micros::ZERO {
                let over = past.current.take().filter(|length| *length > Micros::ZERO);
                past.spells.extend(over.map(|length| Spell { ended: began, length }));
            }
        }
        past
    }
}

/// Whether the spells of an objective are outages and nothing else that is bad.
pub fn is_of_outages(signal: &Signal) -> bool {
    matches!(signal, Signal::LongestOutage(_) | Signal::OutageCount(_))
}

/// What is likely to become of a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The probability that the window ends breached, from 0 to 1.
    pub breach_probability: f64,
    /// After how much agreed time the budget is expected to be spent; `None` when that is not within the window, when it
    /// is spent already, and when the target allows no bad time in total.
    pub spent_after: Option<Micros>,
}

/// Forecasts a window that stands at `measured`, of whose agreed time `rest` is still to come. `earlier` is what was seen
/// before it, the newest first, `past` what was seen in it. `None` for signals that are not forecast.
pub fn forecast<'a>(
    objective: &Objective,
    measured: &Measured,
    budget_left: Option<Micros>,
    rest: Micros,
    past: &'a Past,
    earlier: impl Iterator<Item = &'a Past> + Clone,
) -> Option<Forecast> {
    let pasts = || [past].into_iter().chain(earlier.clone());
    let rest = rest.0.max(0) as f64;
    let sure = |is_breached: bool| Forecast { breach_probability: f64::from(u8::from(is_breached)), spent_after: None };
    match (&objective.indicator.signal, objective.target) {
        (Signal::Availability(_) | Signal::Downtime(_), _) => {
            let left = budget_left?.0 as f64;
            if left < 0.0 || left >= rest {
                return Some(sure(left < 0.0));
            }
            let belief = Belief::new(Cost::BadTime, pasts());
            let spent_after = belief.spends(left).filter(|after| *after <= rest).map(|after| Micros(after as i64));
            Some(Forecast { breach_probability: 1.0 - belief.keeps_within(left, rest), spent_after })
        }
        (Signal::LongestOutage(_), Target::AtMostTime(limit)) => {
            if measured.longest_outage > limit {
                return Some(sure(true));
            }
            let (belief, limit) = (Belief::new(Cost::Longest, pasts()), limit.0 as f64);
            // One that is to become longer must begin early enough.
            let others_keep = belief.none_begins(belief.more_than(limit), (rest - limit).max(0.0));
            let current = belief.current.filter(|length| length + rest > limit);
            let current_keeps = current.map_or(1.0, |length| 1.0 - belief.more_than(limit) / belief.more_than(length));
            Some(Forecast { breach_probability: 1.0 - current_keeps * others_keep, spent_after: None })
        }
        (Signal::OutageCount(policy), Target::AtMostCount(limit)) => {
            let more = limit - measured.outage_count;
            if more < 0 {
                return Some(sure(true));
            }
            let belief = Belief::new(Cost::Number(policy.min_duration), pasts());
            Some(Forecast { breach_probability: 1.0 - belief.keeps_within(more as f64, rest), spent_after: None })
        }
        _ => None,
    }
}

/// What an episode costs.
#[derive(Clone, Copy, Debug)]
enum Cost {
    /// Its bad time.
    BadTime,
    /// The longest spell of it.
    Longest,
    /// The number of its spells of at least this length.
    Number(Micros),
}

impl Cost {
    fn and(self, cost: f64, length: Micros) -> f64 {
        match self {
            Cost::BadTime => cost + length.0 as f64,
            Cost::Longest => cost.max(length.0 as f64),
            Cost::Number(least) => cost + f64::from(u8::from(length >= least)),
        }
    }
}

/// What is believed of how often episodes begin and what they cost. Times are microseconds of agreed time; what was seen
/// long ago weighs less.
#[derive(Debug)]
struct Belief {
    cost: Cost,
    shape: f64,
    exposure: f64,
    /// What those cost that are over, ascending.
    costs: Vec<f64>,
    /// The sum of the first so many of them, by weight.
    sums: Vec<f64>,
    /// The sum of the weights of the first so many.
    weights: Vec<f64>,
    /// What the one that goes on has cost so far.
    current: Option<f64>,
}

impl Belief {
    /// From what was seen, the newest first.
    fn new<'a>(cost: Cost, pasts: impl Iterator<Item = &'a Past>) -> Belief {
        let (mut exposure, mut age) = (PRIOR_EXPOSURE, 0.0);
        let mut going_on = None;
        // (how long ago it began, how long ago it ended, what it cost), the newest first.
        let mut episodes: Vec<(f64, f64, f64)> = Vec::new();
        for past in pasts {
            let agreed = past.agreed.0 as f64;
            // As if what was measured were spread evenly.
            let share = past.measured.0 as f64 / agreed.max(1.0);
            exposure += share * HALF_LIFE / LN_2 * (weight(age) - weight(age + agreed));
            let current = past.current.map(|length| Spell { ended: past.agreed, length });
            going_on = going_on.or(current.filter(|_| age == 0.0));
            for spell in past.spells.iter().chain(&current).rev() {
                let ended = age + (agreed - spell.ended.0 as f64).max(0.0);
                let began = ended + spell.length.0 as f64;
                match episodes.last_mut() {
                    Some(next) if ended - next.0 < EPISODE_GAP.0 as f64 => {
                        (next.0, next.2) = (began, cost.and(next.2, spell.length));
                    }
                    _ => episodes.push((began, ended, cost.and(0.0, spell.length))),
                }
            }
            age += agreed;
        }
        let begun: f64 = episodes.iter().map(|(_, ended, _)| weight(*ended)).sum();
        let current = going_on.map(|spell| match cost {
            Cost::Longest => spell.length.0 as f64,
            Cost::BadTime | Cost::Number(_) => episodes[0].2,
        });
        let over = episodes.iter().skip(usize::from(going_on.is_some()));
        let mut over: Vec<(f64, f64)> = over.map(|(_, ended, cost)| (*cost, weight(*ended))).collect();
        over.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        let running = |of: fn(&(f64, f64)) -> f64| {
            let sums = over.iter().scan(0.0, |sum, episode| {
                *sum += of(episode);
                Some(*sum)
            });
            std::iter::once(0.0).chain(sums).collect::<Vec<f64>>()
        };
        let (sums, weights) = (running(|(cost, weight)| cost * weight), running(|(_, weight)| *weight));
        let costs = over.into_iter().map(|(cost, _)| cost).collect();
        Belief { cost, shape: PRIOR_SHAPE + begun, exposure, costs, sums, weights, current }
    }

    /// The weight of all costs that were seen and of the prior.
    fn weight(&self) -> f64 {
        self.weights[self.costs.len()] + PRIOR_EPISODES
    }

    /// The probability that an episode costs more.
    fn more_than(&self, cost: f64) -> f64 {
        let within = self.costs.partition_point(|seen| *seen <= cost);
        let seen = self.weights[self.costs.len()] - self.weights[within];
        let prior = match self.cost {
            Cost::Number(_) => f64::from(u8::from(cost < 1.0)),
            Cost::BadTime | Cost::Longest => (PRIOR_SCALE / (PRIOR_SCALE + cost)).powi(2),
        };
        (seen + PRIOR_EPISODES * prior) / self.weight()
    }

    /// The mean of what of the cost lies within: `E[min(X, cost)]`.
    fn limited_mean(&self, cost: f64) -> f64 {
        let within = self.costs.partition_point(|seen| *seen <= cost);
        let seen = self.sums[within] + (self.weights[self.costs.len()] - self.weights[within]) * cost;
        let prior = match self.cost {
            Cost::Number(_) => cost.min(1.0),
            Cost::BadTime | Cost::Longest => PRIOR_SCALE * cost / (PRIOR_SCALE + cost),
        };
        (seen + PRIOR_EPISODES * prior) / self.weight()
    }

    /// The mean cost of an episode of bad time.
    fn mean(&self) -> f64 {
        (self.sums[self.costs.len()] + PRIOR_EPISODES * PRIOR_SCALE) / self.weight()
    }

    /// The mean of what is still to come of the episode of bad time that goes on.
    fn mean_rest(&self) -> f64 {
        self.current.map_or(0.0, |current| (self.mean() - self.limited_mean(current)) / self.more_than(current))
    }

    /// The probability that none begins within a time, of those spells of which a share of all is.
    fn none_begins(&self, share: f64, time: f64) -> f64 {
        (1.0 + share * time / self.exposure).powf(-self.shape)
    }

    /// The probability that what is still to come costs at most `left`.
    fn keeps_within(&self, left: f64, rest: f64) -> f64 {
        let points = match self.cost {
            Cost::Number(_) => (left as usize).min(OUTAGES_MAX),
            Cost::BadTime | Cost::Longest => ((4.0 * left / self.mean()) as usize).clamp(POINTS_MIN, POINTS_MAX),
        };
        if left == 0.0 {
            let goes_on = self.current.is_some() && matches!(self.cost, Cost::BadTime);
            return if goes_on { 0.0 } else { self.none_begins(self.more_than(0.0), rest) };
        }
        let begun = on_lattice(left, points, |cost| self.limited_mean(cost));
        let mut total = self.sum_of_begun(&begun, rest / self.exposure);
        if let (Some(current), Cost::BadTime) = (self.current, self.cost) {
            let (before, survived) = (self.limited_mean(current), self.more_than(current));
            let lasting = on_lattice(left, points, |cost| (self.limited_mean(current + cost) - before) / survived);
            total = convolve(&total, &lasting);
        }
        total.iter().sum::<f64>().clamp(0.0, 1.0)
    }

    /// The distribution of the sum of all episodes that begin while `odds` times the time seen passes. Where so many begin
    /// that none is less likely than a float can tell, more than the lattice holds are certain, and all masses are 0.
    fn sum_of_begun(&self, costs: &[f64], odds: f64) -> Vec<f64> {
        let none = (-self.shape * (odds * (1.0 - costs[0])).ln_1p()).exp();
        let ratio = odds / (1.0 + odds);
        let parts: Vec<(usize, f64)> =
            costs.iter().copied().enumerate().skip(1).filter(|(_, mass)| *mass > MASS_MIN).collect();
        let mut sums = vec![none];
        for point in 1..costs.len() {
            let lean = (self.shape - 1.0) / point as f64;
            let term = |&(part, mass): &(usize, f64)| mass * (1.0 + lean * part as f64) * sums[point - part];
            let within = &parts[..parts.partition_point(|(part, _)| *part <= point)];
            sums.push(ratio * sum_of(within, term) / (1.0 - ratio * costs[0]));
        }
        sums
    }

    /// After how much agreed time `left` is spent, if everything goes on at its mean.
    fn spends(&self, left: f64) -> Option<f64> {
        let lasting = self.mean_rest();
        if lasting >= left && self.current.is_some() {
            return Some(left.round());
        }
        let later = (left - lasting) * self.exposure / (self.shape * self.mean());
        Some((lasting + later).round())
    }
}

/// How much something weighs that was seen so long ago.
fn weight(age: f64) -> f64 {
    (-age / HALF_LIFE).exp2()
}

/// Puts a distribution of costs on the points of a lattice from zero until `end`, so that its mean is kept: the mass
/// between two points is shared by them. `limited_mean` is `E[min(X, x)]`. What lies beyond the last point is left out.
fn on_lattice(end: f64, points: usize, limited_mean: impl Fn(f64) -> f64) -> Vec<f64> {
    let step = end / points as f64;
    let means: Vec<f64> = (0..=points + 1).map(|point| limited_mean(step * point as f64) / step).collect();
    let inner = means.windows(3).map(|three| (2.0 * three[1] - three[0] - three[2]).max(0.0));
    std::iter::once(1.0 - means[1]).chain(inner).collect()
}

/// The sum of terms, in several sums at once: each addition waits for the one before it.
fn sum_of<Part>(parts: &[Part], term: impl Fn(&Part) -> f64) -> f64 {
    let mut sums = [0.0; 4];
    let chunks = parts.chunks_exact(sums.len());
    let rest: f64 = chunks.remainder().iter().map(&term).sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, part)| *sum += term(part));
    }
    sums.iter().sum::<f64>() + rest
}

/// The distribution of the sum of two, up to the last point.
fn convolve(one: &[f64], other: &[f64]) -> Vec<f64> {
    (0..one.len()).map(|point| (0..=point).map(|part| one[part] * other[point - part]).sum()).collect()
}
