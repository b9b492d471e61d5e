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
//! 10^9, in which shares are integers, and held in i128, where nothing overflows: counts are sums of records, each of which
//! counts less than 10^19 things, and there is room for 10^10 of the largest in one window.

use std::fmt;
use std::sync::LazyLock;

use plimsoll_schemas::Micros;
use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};
use plimsoll_schemas::ratio::Share;
use serde::{Deserialize, Serialize};

use crate::Name;

mod count;
mod credit;
mod level;
mod mean;
mod parts;
mod reached;
mod stretch;

pub(crate) use count::in_a_column;
pub use level::{Level, Levels};
pub use parts::{ByState, Measured, measure_states};
pub(crate) use parts::{WHOLE, least_outage, weights};
pub use reached::breached_at;
pub use stretch::{Stretch, stretches, undecided_outage};

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
    /// As tables write it; the text is shared by all rows.
    pub fn name(self) -> Name {
        const ALL: [Verdict; 5] =
            [Verdict::Met, Verdict::AtRisk, Verdict::Breached, Verdict::NoData, Verdict::InsufficientData];
        static NAMES: LazyLock<[Name; 5]> = LazyLock::new(|| ALL.map(|verdict| verdict.as_str().into()));
        NAMES[self as usize].clone()
    }

    /// Every verdict.
    pub const ALL: [Verdict; 5] =
        [Verdict::Met, Verdict::AtRisk, Verdict::Breached, Verdict::NoData, Verdict::InsufficientData];

    /// The verdict that tables write so.
    pub fn parse(text: &str) -> Option<Verdict> {
        Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

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

/// What was measured, in what the target is promised in; rounded down, for display only (R12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// A share.
    Share(Share),
    /// A duration.
    Time(Micros),
    /// A number.
    Count(i64),
}

impl fmt::Display for Value {
    /// For people: `96.3 %`, `3h`, `7`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Share(share) => share.fmt(formatter),
            Value::Time(time) => time.fmt(formatter),
            Value::Count(count) => count.fmt(formatter),
        }
    }
}

/// A verdict and what it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// What was measured, in what the target is promised in; `None` when nothing was (R11).
    pub value: Option<Value>,
    /// The good share of what was measured; `None` when nothing was (R11).
    pub attainment: Option<Share>,
    /// The bad time that the target allows in the whole segment (R27).
    pub budget: Option<Micros>,
    /// What is left of it, negative when overspent.
    pub budget_left: Option<Micros>,
    /// What is left as a share of the budget; `None` when the target allows nothing.
    pub budget_left_share: Option<Share>,
    /// The share of the charge that the ladder gives back; `None` when the objective has none (R34).
    pub credit: Option<Share>,
}

/// Judges a segment; `over` says that all of it has passed.
pub fn judge(objective: &Objective, measured: &Measured, over: bool) -> Judged {
    let judged = judge_target(objective, measured, over);
    Judged { credit: credit::step_reached(objective, &judged, measured, over), ..judged }
}

/// Judges by the target alone.
fn judge_target(objective: &Objective, measured: &Measured, over: bool) -> Judged {
    match &objective.indicator.signal {
        Signal::Availability(policy) | Signal::Downtime(policy) => judge_time(objective, policy, measured, over),
        Signal::LongestOutage(policy) | Signal::OutageCount(policy) => judge_outages(objective, policy, measured, over),
        Signal::Mtbf(policy) | Signal::Mtbsi(policy) | Signal::Mtrs(policy) => {
            mean::judge_mean(objective, policy, measured, over)
        }
        _ => count::judge_counts(objective, measured, over),
    }
}

/// The verdict when too little is known of the service's state (R4, R11); `None` when enough is. `counted` is the good
/// and bad time by the policy: who asks for no coverage lets that alone speak for time of which nothing is known.
/// Excluded time needs no observation, so it neither adds to coverage nor takes from it.
fn too_little_known(objective: &Objective, counted: i128, measured: &Measured) -> Option<Verdict> {
    let to_know = measured.passed() - measured.excluded;
    let known = to_know - measured.unknown;
    if counted == 0 || (known.0 == 0 && to_know.0 > 0 && objective.min_coverage.0 > 0) {
        return Some(if objective.met_when_empty { Verdict::Met } else { Verdict::NoData });
    }
    let covered = objective.min_coverage.compare(known.0, to_know.0).is_none_or(|order| order.is_ge());
    (!covered).then_some(Verdict::InsufficientData)
}

/// From which share of its budget on an open segment is at risk: the highest at which it warns (R28).
pub(crate) fn risk_share(objective: &Objective) -> Share {
    objective.warn_at.last().copied().unwrap_or(Share(Share::WHOLE))
}

fn judge_time(objective: &Objective, policy: &StatePolicy, measured: &Measured, over: bool) -> Judged {
    let (good, bad, removed) = measured.weighed(policy);
    let allowance = allowance(objective, measured.agreed - removed);
    let verdict = too_little_known(objective, good + bad, measured).unwrap_or(if bad > allowance {
        Verdict::Breached
    } else if !over && bad > 0 && bad * WHOLE >= allowance * i128::from(risk_share(objective).0) {
        Verdict::AtRisk
    } else {
        Verdict::Met
    });
    let left = allowance - bad;
    let attainment = measured.attainment(policy);
    Judged {
        verdict,
        value: match objective.target {
            Target::AtLeast(_) => attainment.map(Value::Share),
            _ => attainment.map(|_| Value::Time(to_micros(bad))),
        },
        attainment,
        budget: Some(to_micros(allowance)),
        budget_left: Some(to_micros(left)),
        budget_left_share: share_of(left, allowance),
        credit: None,
    }
}

/// The bad time allowed, in billionths of microseconds, where `measurable` time can turn out measured.
pub(crate) fn allowance(objective: &Objective, measurable: Micros) -> i128 {
    match objective.target {
        Target::AtMostTime(limit) => i128::from(limit.0) * WHOLE,
        target => allowed_share(target) * i128::from(measurable.0),
    }
}

/// The share of measured time that may be bad, in billionths, which time that is removed takes along; 0 when the target
/// promises no good share.
pub(crate) fn allowed_share(target: Target) -> i128 {
    match target {
        Target::AtLeast(share) => WHOLE - i128::from(share.0),
        _ => 0,
    }
}

fn judge_outages(objective: &Objective, policy: &StatePolicy, measured: &Measured, over: bool) -> Judged {
    let (good, bad, _) = measured.weighed(policy);
    let (value, limit, shown) = match objective.target {
        Target::AtMostTime(limit) => (measured.longest_outage.0, limit.0, Value::Time(measured.longest_outage)),
        Target::AtMostCount(limit) => (measured.outage_count, limit, Value::Count(measured.outage_count)),
        // Nothing else can be promised of outages; definitions that do are refused.
        _ => (0, 0, Value::Count(0)),
    };
    let verdict = too_little_known(objective, good + bad, measured).unwrap_or(if value > limit {
        Verdict::Breached
    } else if !over && value > 0 && i128::from(value) * WHOLE >= i128::from(limit) * i128::from(risk_share(objective).0)
    {
        Verdict::AtRisk
    } else {
        Verdict::Met
    });
    let attainment = measured.attainment(policy);
    Judged {
        verdict,
        value: attainment.map(|_| shown),
        attainment,
        budget: None,
        budget_left: None,
        budget_left_share: share_of(i128::from(limit - value), limit.into()),
        credit: None,
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
    // Of what is so large, billionths are too small to be seen.
    let fits = part.unsigned_abs() < i128::MAX.unsigned_abs() / WHOLE.unsigned_abs();
    let (part, whole) = if fits { (part * WHOLE, whole) } else { (part, (whole / WHOLE).max(1)) };
    (whole > 0).then(|| Share(part.div_euclid(whole).clamp(-LARGEST, LARGEST) as i64))
}

#[cfg(test)]
mod products;
#[cfg(test)]
mod shares;
#[cfg(test)]
pub(crate) mod tests;
