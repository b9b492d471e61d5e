//! Verdicts: what was measured against what was promised, by integers alone (R12).
//!
//! Time in a state is good, bad or neither by the objective's policy (R4, R5, R8). With `b` the bad time, `D` the time
//! that can still turn out measured (agreed time of the whole segment less what is removed) and `s` the share promised,
//! the target is out of reach as soon as
//!
//! ```text
//! b > (1 - s) * D
//! ```
//!
//! For a segment that is over, `D` is what was measured and this is exactly `attainment < s`; for an open one it says
//! that even an untroubled rest cannot mend it. `(1 - s) * D` is the error budget (R27). Everything is multiplied by
//! 10^9, in which shares are integers, and held in i128, where nothing overflows.

use plimsoll_schemas::definition::{ExcludedPolicy, Objective, Signal, StatePolicy, Target, UnknownPolicy};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::state::State;
use crate::state::service::Segment;
use crate::window::Window;

/// The answer to "was the promise kept?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// It was, or so far it is.
    Met,
    /// It may be missed: most of the error budget is spent, or the share so far is below the target.
    AtRisk,
    /// It was missed, or can no longer be kept.
    Breached,
    /// Nothing was measured (R11).
    NoData,
    /// Too little was measured to say (R4).
    InsufficientData,
}

impl Verdict {
    /// As tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::AtRisk => "at_risk",
            Verdict::Breached => "breached",
            Verdict::NoData => "no_data",
            Verdict::InsufficientData => "insufficient_data",
        }
    }
}

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

/// A verdict and what it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The good share of what was measured; `None` when nothing was (R11).
    pub attainment: Option<Share>,
    /// The bad time that the target allows in the whole segment (R27).
    pub budget: Option<Micros>,
    /// What is left of it, negative when overspent.
    pub budget_left: Option<Micros>,
    /// What is left as a share of the budget; `None` when the target allows nothing.
    pub budget_left_share: Option<Share>,
}

const WHOLE: i128 = Share::WHOLE as i128;

/// The good and the bad share of time in a state, in billionths; both 0 when it counts as neither.
fn weights(policy: &StatePolicy, state: State) -> (i128, i128) {
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
    fn weighed(&self, policy: &StatePolicy) -> (i128, i128, Micros) {
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

/// Judges a segment; `over` says that all of it has passed.
pub fn judge(objective: &Objective, measured: &Measured, over: bool) -> Judged {
    match &objective.indicator.signal {
        Signal::Availability(policy) | Signal::Downtime(policy) => judge_time(objective, policy, measured, over),
        Signal::LongestOutage(policy) | Signal::OutageCount(policy) => judge_outages(objective, policy, measured, over),
        _ => judge_counts(objective, measured, over),
    }
}

/// The verdict when too little is known of the service's state (R4, R11); `None` when enough is. `counted` is the good
/// and bad time by the policy: who asks for no coverage lets that alone speak for time of which nothing is known.
fn too_little_known(objective: &Objective, counted: i128, measured: &Measured) -> Option<Verdict> {
    let passed = measured.passed();
    let known = passed - measured.unknown;
    if counted == 0 || (known.0 == 0 && objective.min_coverage.0 > 0) {
        return Some(if objective.met_when_empty { Verdict::Met } else { Verdict::NoData });
    }
    let covered = objective.min_coverage.compare(known.0, passed.0).is_some_and(|order| order.is_ge());
    (!covered).then_some(Verdict::InsufficientData)
}

/// From which share of its budget on an open segment is at risk: the highest at which it warns (R28).
fn risk_share(objective: &Objective) -> i128 {
    objective.warn_at.last().map_or(WHOLE, |share| share.0.into())
}

fn judge_time(objective: &Objective, policy: &StatePolicy, measured: &Measured, over: bool) -> Judged {
    let (good, bad, removed) = measured.weighed(policy);
    let allowance = allowance(objective, measured.agreed - removed);
    let verdict = too_little_known(objective, good + bad, measured).unwrap_or(if bad > allowance {
        Verdict::Breached
    } else if !over && bad > 0 && bad * WHOLE >= allowance * risk_share(objective) {
        Verdict::AtRisk
    } else {
        Verdict::Met
    });
    let left = allowance - bad;
    Judged {
        verdict,
        attainment: share_of(good, good + bad),
        budget: Some(to_micros(allowance)),
        budget_left: Some(to_micros(left)),
        budget_left_share: share_of(left, allowance),
    }
}

/// The bad time allowed, in billionths of microseconds, where `measurable` time can turn out measured.
fn allowance(objective: &Objective, measurable: Micros) -> i128 {
    match objective.target {
        Target::AtLeast(share) => (WHOLE - i128::from(share.0)) * i128::from(measurable.0),
        Target::AtMostTime(limit) => i128::from(limit.0) * WHOLE,
        Target::AtMostCount(_) => 0,
    }
}

fn judge_outages(objective: &Objective, policy: &StatePolicy, measured: &Measured, over: bool) -> Judged {
    let (good, bad, _) = measured.weighed(policy);
    let (value, limit) = match objective.target {
        Target::AtMostTime(limit) => (measured.longest_outage.0, limit.0),
        Target::AtMostCount(limit) => (measured.outage_count, limit),
        // A share cannot be promised of outages; definitions that do are refused.
        Target::AtLeast(_) => (0, 0),
    };
    let verdict = too_little_known(objective, good + bad, measured).unwrap_or(if value > limit {
        Verdict::Breached
    } else if !over && value > 0 && i128::from(value) * WHOLE >= i128::from(limit) * risk_share(objective) {
        Verdict::AtRisk
    } else {
        Verdict::Met
    });
    Judged {
        verdict,
        attainment: share_of(good, good + bad),
        budget: None,
        budget_left: None,
        budget_left_share: share_of(i128::from(limit - value), limit.into()),
    }
}

fn judge_counts(objective: &Objective, measured: &Measured, over: bool) -> Judged {
    let (good, total) = (measured.good_count, measured.total_count);
    let Target::AtLeast(share) = objective.target else {
        // Only shares can be promised of counts; definitions that promise anything else are refused.
        return Judged {
            verdict: Verdict::NoData,
            attainment: None,
            budget: None,
            budget_left: None,
            budget_left_share: None,
        };
    };
    let verdict = match share.compare(good, total) {
        None if objective.met_when_empty => Verdict::Met,
        None => Verdict::NoData,
        Some(_) if total < objective.min_sample => Verdict::InsufficientData,
        Some(order) if order.is_ge() => Verdict::Met,
        Some(_) if over => Verdict::Breached,
        Some(_) => Verdict::AtRisk,
    };
    let allowed = (WHOLE - i128::from(share.0)) * i128::from(total);
    let left = allowed - i128::from(total - good) * WHOLE;
    Judged {
        verdict,
        attainment: Share::of(good, total),
        budget: None,
        budget_left: None,
        budget_left_share: share_of(left, allowed),
    }
}

/// Billionths of microseconds as whole microseconds, rounded down.
fn to_micros(scaled: i128) -> Micros {
    Micros(i64::try_from(scaled.div_euclid(WHOLE)).unwrap_or(i64::MAX))
}

/// `part / whole` rounded down to nine decimals and held within what a table's decimal can carry; `None` when `whole`
/// is not positive.
fn share_of(part: i128, whole: i128) -> Option<Share> {
    const LARGEST: i128 = 999_999_999 * WHOLE; // decimal(18,9) has nine digits before the point
    (whole > 0).then(|| Share((part * WHOLE).div_euclid(whole).clamp(-LARGEST, LARGEST) as i64))
}

/// What the states of a service amount to in the agreed time of `segment` up to `now`.
///
/// `states` must cover `[segment.start, min(segment.end, now))`. Under `unknown: hold` an unknown stretch counts as the
/// state before it (R4), which may lie before the segment; it is unknown all the same, and the parts say so. An outage is
/// a maximal stretch of `down` with any agreed time in the segment.
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
fn effective_states<'a>(
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

/// The instant from which the target was out of reach; `None` when it never was. Takes what `measure_states` took and
/// what it returned.
pub fn breached_at(
    objective: &Objective,
    policy: &StatePolicy,
    measured: &Measured,
    states: &[Segment],
    calendar: &Calendar,
    segment: Window,
    now: Instant,
) -> Option<Instant> {
    let (_, _, removed) = measured.weighed(policy);
    let allowance = allowance(objective, measured.agreed - removed);
    let by_outage = matches!(objective.indicator.signal, Signal::LongestOutage(_) | Signal::OutageCount(_));
    let (mut spent, mut outages, mut in_outage) = (0_i128, 0, false);
    for (_, state, start, end) in effective_states(states, policy, segment, now) {
        let time = calendar.elapsed(start, end);
        let down = state == State::Down;
        if by_outage && !down {
            spent = 0;
            in_outage = false;
        }
        if down && !in_outage && time.0 > 0 {
            outages += 1;
            in_outage = true;
            if matches!(objective.target, Target::AtMostCount(limit) if outages > limit) {
                // The outage counts from its first microsecond of agreed time on.
                return calendar.due(start, Micros(1)).map(|instant| instant - Micros(1));
            }
        }
        if matches!(objective.target, Target::AtMostCount(_)) || (by_outage && !down) {
            continue;
        }
        let (_, weight) = weights(policy, state);
        let cost = i128::from(time.0) * weight;
        if spent + cost > allowance {
            let within = (allowance - spent).div_euclid(weight) + 1;
            return calendar.due(start, Micros(within as i64));
        }
        spent += cost;
    }
    None
}

#[cfg(test)]
mod tests;
