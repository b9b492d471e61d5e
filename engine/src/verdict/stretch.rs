//! The states of a service as one objective counts them: short outages passed over (R7), unknown time held (R4), and
//! excluded time laid over both (R3, R5, R9).

use plimsoll_schemas::definition::{ExcludedPolicy, StatePolicy, UnknownPolicy};
use plimsoll_schemas::{Instant, Micros};

use crate::state::State;
use crate::state::service::Segment;
use crate::window::Window;

/// A stretch of time in one state, as one objective sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first instant.
    pub start: Instant,
    /// The first instant after it.
    pub end: Instant,
    /// The state that the parts show; excluded covers the others, and unknown time is unknown whatever it counts as.
    pub shown: State,
    /// The state below an exclusion; the one that is held where it is unknown.
    pub below: State,
    /// The state that it counts as. Excluded is what is removed.
    pub counted: State,
}

impl Stretch {
    /// Whether an outage is going on: where it was down, and time that is removed does not end it.
    pub fn in_outage(&self) -> bool {
        self.counted == State::Down || (self.counted == State::Excluded && self.below == State::Down)
    }
}

/// The stretches of `segment` up to `now`, without gap or overlap.
///
/// `states` must reach from `min_outage` before the segment to `now` and no further, because an outage that reaches into
/// the segment is short or not by all of its length (R7), and under `unknown: hold` back to the last known state before
/// that. `excluded` is in order and without overlap.
pub fn stretches(
    states: &[Segment],
    excluded: &[Window],
    policy: &StatePolicy,
    segment: Window,
    now: Instant,
) -> Vec<Stretch> {
    let end = segment.end.min(now);
    let mut stretches = Vec::with_capacity(states.len() + 2 * excluded.len());
    let mut held = State::Unknown;
    for (state, from, until) in without_short_outages(relevant(states, policy, segment.start, end), policy.min_outage) {
        let hold = policy.unknown == UnknownPolicy::Hold && state == State::Unknown;
        held = if hold { held } else { state };
        let (mut start, until) = (from.max(segment.start), until.min(end));
        while start < until {
            let next = excluded.get(excluded.partition_point(|window| window.end <= start));
            let is_excluded = next.is_some_and(|window| window.start <= start);
            let edge = next.map_or(until, |window| if is_excluded { window.end } else { window.start });
            let counted = match policy.excluded {
                ExcludedPolicy::Remove if is_excluded => State::Excluded,
                ExcludedPolicy::CountGood if is_excluded => State::Up,
                _ => held,
            };
            let shown = if is_excluded { State::Excluded } else { state };
            stretches.push(Stretch { start, end: edge.min(until), shown, below: held, counted });
            start = edge;
        }
    }
    stretches
}

/// The start of an outage that lasts until the end of `states` and is short so far: it may turn out to be passed over.
pub fn undecided_outage(states: &[Segment], policy: &StatePolicy) -> Option<Instant> {
    let until = states.last()?.end;
    let before = states.iter().rposition(|segment| segment.state != State::Down).map_or(0, |place| place + 1);
    states.get(before).map(|first| first.start).filter(|start| until - *start < policy.min_outage)
}

/// Those states that decide what counts from `start` until `end`.
fn relevant<'a>(states: &'a [Segment], policy: &StatePolicy, start: Instant, end: Instant) -> &'a [Segment] {
    let first = match policy.unknown {
        // A state is held however long ago it was.
        UnknownPolicy::Hold => 0,
        _ => states.partition_point(|state| state.end <= start - policy.min_outage),
    };
    let after = states.partition_point(|state| state.start < end + policy.min_outage);
    &states[first.min(after)..after]
}

/// The states with causes merged, and each outage shorter than `min_outage` in its neighbours' state if that is known
/// and the same. The first and the last have a neighbour too few to be short.
fn without_short_outages(states: &[Segment], min_outage: Micros) -> Vec<(State, Instant, Instant)> {
    let mut merged: Vec<(State, Instant, Instant)> = Vec::with_capacity(states.len());
    for segment in states {
        match merged.last_mut() {
            Some((state, _, end)) if *state == segment.state => *end = segment.end,
            _ => merged.push((segment.state, segment.start, segment.end)),
        }
    }
    for place in 1..merged.len().saturating_sub(1) {
        let (state, start, end) = merged[place];
        let neighbour = merged[place - 1].0;
        let agreed = neighbour == merged[place + 1].0 && neighbour != State::Unknown;
        // A neighbour of an outage is none, so it is not changed itself.
        if state == State::Down && end - start < min_outage && agreed {
            merged[place].0 = neighbour;
        }
    }
    merged
}
