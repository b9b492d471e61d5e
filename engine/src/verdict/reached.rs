//! When a promise over states was out of reach: the same sums as the verdict's, walked through in time.

use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};
use plimsoll_schemas::{Instant, Micros};

use super::parts::{Measured, least_outage, weights};
use super::stretch::Stretch;
use crate::calendar::Calendar;
use crate::state::State;

/// The stretches of a segment, and what the time in them counts as.
struct Walk<'a> {
    policy: &'a StatePolicy,
    stretches: &'a [Stretch],
    calendar: &'a Calendar,
}

/// The instant from which the target was out of reach; `None` when it never was. Takes what `measure_states` took and
/// what it returned.
pub fn breached_at(
    objective: &Objective,
    policy: &StatePolicy,
    measured: &Measured,
    stretches: &[Stretch],
    calendar: &Calendar,
) -> Option<Instant> {
    let walk = Walk { policy, stretches, calendar };
    let (_, _, removed) = measured.weighed(policy);
    let allowance = super::allowance(objective, measured.agreed - removed);
    match (&objective.indicator.signal, objective.target) {
        (_, Target::AtMostCount(limit)) => walk.outages_exceed(limit),
        (Signal::Mtbsi(_), Target::AtLeastTime(target)) => {
            walk.outages_exceed((measured.agreed - removed).0.div_euclid(target.0.max(1)))
        }
        (Signal::Mtbf(_), Target::AtLeastTime(target)) => walk.mean_falls_below(target, measured.agreed - removed),
        // A shorter outage might have mended it until the end.
        (Signal::Mtrs(_), _) => stretches.last().map(|stretch| stretch.end),
        (Signal::LongestOutage(_), _) => walk.bad_exceeds(allowance, true),
        _ => walk.bad_exceeds(allowance, false),
    }
}

impl Walk<'_> {
    /// When the outage counted that is one too many. Without a least duration it counts from its first microsecond of
    /// agreed time on.
    fn outages_exceed(&self, limit: i64) -> Option<Instant> {
        let least = least_outage(self.policy);
        let (mut outages, mut outage) = (0, Micros::ZERO);
        for stretch in self.stretches {
            if !stretch.in_outage() {
                outage = Micros::ZERO;
            }
            if stretch.counted != State::Down {
                continue;
            }
            let time = self.calendar.elapsed(stretch.start, stretch.end);
            if outage < least && outage + time >= least {
                outages += 1;
                if outages > limit {
                    let counted = self.calendar.due(stretch.start, least - outage)?;
                    return Some(if self.policy.min_duration == Micros::ZERO { counted - least } else { counted });
                }
            }
            outage += time;
        }
        None
    }

    /// When what is left of the measurable time, less the time down, was no longer enough for so many outages.
    fn mean_falls_below(&self, target: Micros, measurable: Micros) -> Option<Instant> {
        let mut left = i128::from(measurable.0);
        let mut in_outage = false;
        for stretch in self.stretches {
            in_outage &= stretch.in_outage();
            if stretch.counted != State::Down {
                continue;
            }
            let time = self.calendar.elapsed(stretch.start, stretch.end);
            if !in_outage && time > Micros::ZERO {
                in_outage = true;
                left -= i128::from(target.0);
                if left < 0 {
                    return self.calendar.due(stretch.start, Micros(1)).map(|counted| counted - Micros(1));
                }
            }
            if i128::from(time.0) > left {
                return self.calendar.due(stretch.start, Micros(left as i64 + 1));
            }
            left -= i128::from(time.0);
        }
        None
    }

    /// When bad time, in billionths of microseconds, went beyond the allowance: that of one outage, or all of it.
    fn bad_exceeds(&self, allowance: i128, of_one_outage: bool) -> Option<Instant> {
        let mut spent = 0_i128;
        for stretch in self.stretches {
            if of_one_outage && !stretch.in_outage() {
                spent = 0;
            }
            if of_one_outage && stretch.counted != State::Down {
                continue;
            }
            let (_, weight) = weights(self.policy, stretch.counted);
            let cost = i128::from(self.calendar.elapsed(stretch.start, stretch.end).0) * weight;
            if spent + cost > allowance {
                let within = (allowance - spent).div_euclid(weight) + 1;
                return self.calendar.due(stretch.start, Micros(within as i64));
            }
            spent += cost;
        }
        None
    }
}
