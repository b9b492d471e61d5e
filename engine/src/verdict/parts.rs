//! The parts of what was measured: the stretches of an objective summed up in agreed time, and how each part counts
//! (R4, R5, R6, R8). Verdicts are drawn from these parts alone.

use plimsoll_schemas::Micros;
use plimsoll_schemas::definition::{Denominator, ExcludedPolicy, StatePolicy, UnknownPolicy};
use plimsoll_schemas::ratio::Share;
use serde::{Deserialize, Serialize};

use super::share_of;
use super::stretch::Stretch;
use crate::calendar::Calendar;
use crate::state::State;

/// A whole in the billionths in which shares are integers.
pub(crate) const WHOLE: i128 = Share::WHOLE as i128;

/// What was measured of one objective in one segment of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Agreed time up.
    pub good: Micros,
    /// Agreed time down.
    pub bad: Micros,
    /// Agreed time degraded.
    pub degraded: Micros,
    /// Agreed time excluded.
    pub excluded: Micros,
    /// Agreed time unknown.
    pub unknown: Micros,
    /// Unknown time by the state that it takes under `unknown: hold`.
    pub held: ByState,
    /// Excluded time by the state below it.
    pub below: ByState,
    /// Agreed time of the whole segment, also what is still to come.
    pub agreed: Micros,
    /// Agreed time of the segment that has passed, of objectives over counted things; of states see `passed`.
    pub elapsed: Micros,
    /// Something was counted, if only a zero.
    pub is_counted: bool,
    /// Good things counted.
    pub good_count: i128,
    /// Things counted.
    pub total_count: i128,
    /// The percentile of the latencies that were counted, as their histogram tells it; zero where none is wanted.
    pub percentile: Micros,
    /// Outages that touch the segment in agreed time, for at least the policy's `min_duration`.
    pub outage_count: i64,
    /// The longest of them, in agreed time.
    pub longest_outage: Micros,
}

/// Time in the states up, down, degraded and unknown.
pub type ByState = [Micros; 4];

/// The good and the bad share of time in a state, in billionths; both 0 when it counts as neither.
pub(crate) fn weights(policy: &StatePolicy, state: State) -> (i128, i128) {
    match state {
        State::Up => (WHOLE, 0),
        State::Down => (0, WHOLE),
        State::Degraded => (policy.degraded_good.0.into(), WHOLE - i128::from(policy.degraded_good.0)),
        State::Unknown => match policy.unknown {
            UnknownPolicy::Good => (WHOLE, 0),
            UnknownPolicy::Bad => (0, WHOLE),
            UnknownPolicy::Remove | UnknownPolicy::Hold => (0, 0),
        },
        // Of excluded time only what is removed counts as excluded.
        State::Excluded => (0, 0),
    }
}

impl Measured {
    /// Agreed time that has passed.
    pub fn passed(&self) -> Micros {
        self.good + self.bad + self.degraded + self.excluded + self.unknown
    }

    /// True when all time that has passed was measured and good.
    pub fn is_all_good(&self, policy: &StatePolicy) -> bool {
        let (_, bad, removed) = self.weighed(policy);
        bad == 0 && removed == Micros::ZERO
    }

    /// (good, bad) time in billionths of microseconds, and the microseconds removed from the measure.
    pub(super) fn weighed(&self, policy: &StatePolicy) -> (i128, i128, Micros) {
        let [up, down, degraded, _] = self.held;
        let nothing = [Micros::ZERO; 4];
        let (below, removed, as_good) = match policy.excluded {
            ExcludedPolicy::Remove => (nothing, self.excluded, Micros::ZERO),
            ExcludedPolicy::CountGood => (nothing, Micros::ZERO, self.excluded),
            ExcludedPolicy::CountActual => (self.below, Micros::ZERO, Micros::ZERO),
        };
        let parts = [
            (State::Up, self.good + up + below[0] + as_good),
            (State::Down, self.bad + down + below[1]),
            (State::Degraded, self.degraded + degraded + below[2]),
            (State::Unknown, self.unknown - up - down - degraded + below[3]),
            (State::Excluded, removed),
        ];
        let (mut good, mut bad, mut removed) = (0, 0, Micros::ZERO);
        for (state, time) in parts {
            let (good_weight, bad_weight) = weights(policy, state);
            good += i128::from(time.0) * good_weight;
            bad += i128::from(time.0) * bad_weight;
            if good_weight + bad_weight == 0 {
                removed += time;
            }
        }
        (good, bad, removed)
    }

    /// The good share; `None` when nothing was measured (R11). Under `denominator: full_window` what is still to come
    /// is good (R6).
    pub(super) fn attainment(&self, policy: &StatePolicy) -> Option<Share> {
        let (good, bad, _) = self.weighed(policy);
        if good + bad == 0 {
            return None;
        }
        let ahead = match policy.denominator {
            Denominator::Elapsed => 0,
            Denominator::FullWindow => i128::from((self.agreed - self.passed()).0) * WHOLE,
        };
        share_of(good + ahead, good + bad + ahead)
    }
}

/// What the stretches of a segment amount to, of which `agreed` is the agreed time of the whole.
///
/// An outage is a maximal stretch that counts as down with any agreed time in the segment; time that is removed between
/// two stretches of one outage neither ends nor prolongs it (R5).
pub fn measure_states(stretches: &[Stretch], policy: &StatePolicy, calendar: &Calendar, agreed: Micros) -> Measured {
    let mut measured = Measured { agreed, ..Measured::default() };
    let mut outage = Micros::ZERO;
    for stretch in stretches {
        let time = calendar.elapsed(stretch.start, stretch.end);
        match stretch.shown {
            State::Up => measured.good += time,
            State::Down => measured.bad += time,
            State::Degraded => measured.degraded += time,
            State::Excluded => {
                measured.excluded += time;
                add(&mut measured.below, stretch.below, time);
            }
            State::Unknown => {
                measured.unknown += time;
                if stretch.below != State::Unknown {
                    add(&mut measured.held, stretch.below, time);
                }
            }
        }
        if stretch.counted == State::Down {
            measured.outage_count += i64::from(outage < least_outage(policy) && outage + time >= least_outage(policy));
            outage += time;
            measured.longest_outage = measured.longest_outage.max(outage);
        } else if !stretch.in_outage() {
            outage = Micros::ZERO;
        }
    }
    measured
}

fn add(times: &mut ByState, state: State, time: Micros) {
    match state {
        State::Up => times[0] += time,
        State::Down => times[1] += time,
        State::Degraded => times[2] += time,
        // Nothing lies excluded below an exclusion.
        State::Unknown | State::Excluded => times[3] += time,
    }
}

/// The agreed time from which on an outage counts as one: any at all, unless the policy asks for more.
pub(crate) fn least_outage(policy: &StatePolicy) -> Micros {
    policy.min_duration.max(Micros(1))
}
