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

use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::state::State;
use crate::state::service::Segment;
use crate::window::Window;

mod parts;

pub use parts::{Measured, measure_states};
pub(crate) use parts::{WHOLE, effective_states, weights};

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
