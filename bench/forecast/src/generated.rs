//! Services made up from a seed. They differ from each other and change in time, and their outages come in bursts and
//! mostly in working hours, none of which the forecast is told: it would be no test to draw from its own assumptions.

use plimsoll_engine::state::State;
use plimsoll_engine::state::service::Segment;
use plimsoll_schemas::{Instant, Micros};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::replay::Service;

/// 2024-01-01T00:00:00Z, a Monday.
pub const START: Instant = Instant(1_704_067_200_000_000);

/// The months are as long as this for the generator; windows are real months.
const MONTH: Micros = Micros(30 * Micros::DAY.0 + 12 * Micros::HOUR.0);

/// So many services over so many months.
pub fn services(seed: u64, count: usize, months: u32) -> Vec<Service> {
    let end = START + Micros(i64::from(months) * MONTH.0);
    (0..count).map(|number| service(&mut ChaCha8Rng::seed_from_u64(seed.wrapping_add(number as u64)), end)).collect()
}

/// One service: outages and degraded times between times that are up, and a watch that now and then sees nothing.
fn service(dice: &mut ChaCha8Rng, end: Instant) -> Service {
    let mut outages_a_month = 1.2 * (1.1 * normal(dice)).exp();
    let typical_minutes = 14.0 * (0.7 * normal(dice)).exp();
    let bursts = dice.random_range(0.0..0.4);
    let mut states = Vec::new();
    let (mut at, mut next_regime) = (START, START + MONTH);
    while at < end {
        if at >= next_regime {
            next_regime = next_regime + MONTH;
            if dice.random_bool(0.12) {
                outages_a_month *= (0.9 * normal(dice)).exp();
            }
        }
        let gap = if !states.is_empty() && dice.random_bool(bursts) {
            exponential(dice) * 25.0 * Micros::MINUTE.0 as f64
        } else {
            exponential(dice) * MONTH.0 as f64 / outages_a_month
        };
        // A month at the most, so that regimes change; where it is cut nothing happens, as an exponential gap allows.
        let is_cut = gap > MONTH.0 as f64;
        let from = Instant(at.0 + (gap as i64).clamp(1, MONTH.0));
        push(&mut states, at, from.min(end), State::Up);
        at = from;
        // Half of what would happen at night or on weekends does not.
        if is_cut || at >= end || (!is_working_time(at) && dice.random_bool(0.5)) {
            continue;
        }
        let minutes = if dice.random_bool(0.04) {
            120.0 / dice.random_range(0.05f64..1.0)
        } else {
            typical_minutes * (1.1 * normal(dice)).exp()
        };
        let until = Instant(at.0 + ((minutes * Micros::MINUTE.0 as f64) as i64).max(Micros::SECOND.0));
        let state = match dice.random_range(0..20) {
            0 => State::Unknown,
            1 | 2 => State::Degraded,
            _ => State::Down,
        };
        push(&mut states, at, until.min(end), state);
        at = until;
    }
    Service { states, end }
}

fn push(states: &mut Vec<Segment>, start: Instant, end: Instant, state: State) {
    if start < end {
        states.push(Segment { start, end, state, causes: Vec::new() });
    }
}

fn is_working_time(at: Instant) -> bool {
    let hours = (at - START).0 / Micros::HOUR.0;
    (hours / 24) % 7 < 5 && (7..18).contains(&(hours % 24))
}

/// Of mean 1.
fn exponential(dice: &mut ChaCha8Rng) -> f64 {
    -(1.0 - dice.random_range(0.0f64..1.0)).ln()
}

/// Of mean 0 and variance 1, by Box and Muller.
pub fn normal(dice: &mut ChaCha8Rng) -> f64 {
    let (radius, turn) = (2.0 * exponential(dice), dice.random_range(0.0f64..1.0));
    radius.sqrt() * (std::f64::consts::TAU * turn).cos()
}
