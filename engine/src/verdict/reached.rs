//! When a promise over states was out of reach: the same sums as the verdict's, walked through in time.

use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};
use plimsoll_schemas::{Instant, Micros};

use super::parts::{Measured, least_outage, weights};
use super::stretch::Stretch;
use super::{allowance, allowed_share};
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
    match (&objective.indicator.signal, objective.target) {
        (_, Target::AtMostCount(limit)) => walk.outages_exceed(limit),
        (Signal::Mtbsi(_), Target::AtLeastTime(target)) => walk.mean_falls_below(target, measured.agreed, false),
        (Signal::Mtbf(_), Target::AtLeastTime(target)) => walk.mean_falls_below(target, measured.agreed, true),
        // A shorter outage might have mended it until the end.
        (Signal::Mtrs(_), _) => stretches.last().map(|stretch| stretch.end),
        (Signal::LongestOutage(_), Target::AtMostTime(limit)) => walk.outage_exceeds(limit),
        _ => walk.bad_exceeds(objective, measured.agreed),
    }
}

impl Walk<'_> {
    /// The stretches that count as down, each with the agreed time that its outage took before it, and its own.
    fn downs(&self) -> impl Iterator<Item = (&Stretch, Micros, Micros)> {
        let mut outage = Micros::ZERO;
        self.stretches.iter().filter_map(move |stretch| {
            if !stretch.in_outage() {
                outage = Micros::ZERO;
            }
            if stretch.counted != State::Down {
                return None;
            }
            let (before, time) = (outage, self.calendar.elapsed(stretch.start, stretch.end));
            outage += time;
            Some((stretch, before, time))
        })
    }

    /// When the outage counted that is one too many. Without a least duration it counts from its first microsecond of
    /// agreed time on.
    fn outages_exceed(&self, limit: i64) -> Option<Instant> {
        let least = least_outage(self.policy);
        let mut counted = self.downs().filter(|(_, before, time)| *before < least && *before + *time >= least);
        let (stretch, before, _) = counted.nth(usize::try_from(limit).ok()?)?;
        let counted = self.calendar.due(stretch.start, least - before)?;
        Some(if self.policy.min_duration == Micros::ZERO { counted - least } else { counted })
    }

    /// When what is left of the measurable time was no longer enough for so many outages. Time that is removed is not
    /// measured as it passes, and time down is none between failures.
    fn mean_falls_below(&self, target: Micros, agreed: Micros, between_failures: bool) -> Option<Instant> {
        let mut left = i128::from(agreed.0);
        let mut in_outage = false;
        for stretch in self.stretches {
            in_outage &= stretch.in_outage();
            let time = self.calendar.elapsed(stretch.start, stretch.end);
            let down = stretch.counted == State::Down;
            if down && !in_outage && time > Micros::ZERO {
                in_outage = true;
                left -= i128::from(target.0);
                if left < 0 {
                    return self.calendar.due(stretch.start, Micros(1)).map(|counted| counted - Micros(1));
                }
            }
            if self.is_removed(stretch) || (down && between_failures) {
                if i128::from(time.0) > left {
                    return self.calendar.due(stretch.start, Micros(left as i64 + 1));
                }
                left -= i128::from(time.0);
            }
        }
        None
    }

    /// When one outage lasted longer than the limit.
    fn outage_exceeds(&self, limit: Micros) -> Option<Instant> {
        let (stretch, before, _) = self.downs().find(|(_, before, time)| *before + *time > limit)?;
        self.calendar.due(stretch.start, limit - before + Micros(1))
    }

    /// When bad time went beyond what the target allows, in billionths of microseconds. Time that is removed takes its
    /// share of the allowance of a share along as it passes.
    fn bad_exceeds(&self, objective: &Objective, agreed: Micros) -> Option<Instant> {
        let mut left = allowance(objective, agreed);
        let taken_along = allowed_share(objective.target);
        for stretch in self.stretches {
            let (_, bad) = weights(self.policy, stretch.counted);
            let weight = if self.is_removed(stretch) { taken_along } else { bad };
            let cost = i128::from(self.calendar.elapsed(stretch.start, stretch.end).0) * weight;
            if cost > left {
                let within = left.div_euclid(weight) + 1;
                return self.calendar.due(stretch.start, Micros(within as i64));
            }
            left -= cost;
        }
        None
    }

    /// Whether the time of a stretch counts as neither good nor bad.
    fn is_removed(&self, stretch: &Stretch) -> bool {
        weights(self.policy, stretch.counted) == (0, 0)
    }
}
