//! The parts of what was measured: the states of a service summed up in agreed time, and how each part counts (R4, R5,
//! R8). Verdicts are drawn from these parts alone.

use plimsoll_schemas::definition::{ExcludedPolicy, StatePolicy, UnknownPolicy};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};

use crate::calendar::Calendar;
use crate::state::State;
use crate::state::service::Segment;
use crate::window::Window;

/// A whole in the billionths in which shares are integers.
pub(crate) const WHOLE: i128 = Share::WHOLE as i128;

/// What was measured of one objective in one segment of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Unknown time that takes the state before it under `unknown: hold`: up, down, degraded, excluded.
    pub held: [Micros; 4],
    /// Agreed time of the whole segment, also what is still to come.
    pub agreed: Micros,
    /// Good things counted.
    pub good_count: i64,
    /// Things counted.
    pub total_count: i64,
    /// Outages that touch the segment in agreed time.
    pub outage_count: i64,
    /// The longest of them, in agreed time.
    pub longest_outage: Micros,
}

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
        State::Excluded => match policy.excluded {
            ExcludedPolicy::CountGood => (WHOLE, 0),
            ExcludedPolicy::Remove | ExcludedPolicy::CountActual => (0, 0),
        },
    }
}

impl Measured {
    /// Agreed time that has passed.
    pub fn passed(&self) -> Micros {
        self.good + self.bad + self.degraded + self.excluded + self.unknown
    }

    /// (good, bad) time in billionths of microseconds, and the microseconds removed from the measure.
    pub(crate) fn weighed(&self, policy: &StatePolicy) -> (i128, i128, Micros) {
        let [up, down, degraded, excluded] = self.held;
        let parts = [
            (State::Up, self.good + up),
            (State::Down, self.bad + down),
            (State::Degraded, self.degraded + degraded),
            (State::Excluded, self.excluded + excluded),
            (State::Unknown, self.unknown - up - down - degraded - excluded),
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
}

/// What the states of a service amount to in the agreed time of `segment` up to `now`.
///
/// `states` must cover `[segment.start, min(segment.end, now))`. Under `unknown: hold` an unknown stretch counts as the
/// state before it (R4), which may lie before the segment; it is unknown all the same, and the parts say so. An outage
/// is a maximal stretch of `down` with any agreed time in the segment.
pub fn measure_states(
    states: &[Segment],
    policy: &StatePolicy,
    calendar: &Calendar,
    segment: Window,
    now: Instant,
) -> Measured {
    let mut measured = Measured { agreed: calendar.elapsed(segment.start, segment.end), ..Measured::default() };
    let mut outage = Micros::ZERO;
    for (known, state, start, end) in effective_states(states, policy, segment, now) {
        let time = calendar.elapsed(start, end);
        match known {
            State::Up => measured.good += time,
            State::Down => measured.bad += time,
            State::Degraded => measured.degraded += time,
            State::Excluded => measured.excluded += time,
            State::Unknown => measured.unknown += time,
        }
        if known != state {
            match state {
                State::Up => measured.held[0] += time,
                State::Down => measured.held[1] += time,
                State::Degraded => measured.held[2] += time,
                State::Excluded => measured.held[3] += time,
                State::Unknown => {}
            }
        }
        if state == State::Down {
            measured.outage_count += i64::from(outage.0 == 0 && time.0 > 0);
            outage += time;
            measured.longest_outage = measured.longest_outage.max(outage);
        } else {
            outage = Micros::ZERO;
        }
    }
    measured
}

/// The states as they are known and as they count, clipped to the segment and to `now`. They differ under `hold` alone.
pub(crate) fn effective_states<'a>(
    states: &'a [Segment],
    policy: &'a StatePolicy,
    segment: Window,
    now: Instant,
) -> impl Iterator<Item = (State, State, Instant, Instant)> + 'a {
    let end = segment.end.min(now);
    let mut held = State::Unknown;
    states.iter().filter_map(move |stretch| {
        let hold = policy.unknown == UnknownPolicy::Hold && stretch.state == State::Unknown;
        held = if hold { held } else { stretch.state };
        let (from, until) = (stretch.start.max(segment.start), stretch.end.min(end));
        (from < until).then_some((stretch.state, held, from, until))
    })
}
