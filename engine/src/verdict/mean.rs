//! Means over outages: time between failures, between incidents, and to restore (R10).
//!
//! With `n` outages, `u` the time up, `d` the time down and `t` the target:
//!
//! ```text
//! mtbf   u / n >= t         breached when n * t > u
//! mtbsi  (u + d) / n >= t   breached when n * t > u + d
//! mtrs   d / n <= t         breached when d > n * t
//! ```
//!
//! In an open segment all time that can still turn out measured counts as time up: then a breach says that even an
//! untroubled rest cannot mend it. A mean time to restore can be mended by a shorter outage until the segment is over.
//! Without an outage nothing failed, so the first two are met; there was nothing to restore, so the third is empty.

use plimsoll_schemas::Micros;
use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};

use super::parts::{Measured, WHOLE};
use super::{Judged, Value, Verdict, risk_share, share_of, to_micros, too_little_known};

/// Judges a mean over the outages of a segment; `over` says that all of it has passed.
pub(super) fn judge_mean(objective: &Objective, policy: &StatePolicy, measured: &Measured, over: bool) -> Judged {
    let (good, bad, removed) = measured.weighed(policy);
    let outages = measured.outage_count;
    let target = match objective.target {
        Target::AtLeastTime(target) | Target::AtMostTime(target) => target,
        // Nothing else can be promised of a mean; definitions that do are refused.
        _ => Micros::ZERO,
    };
    let wanted = i128::from(outages) * i128::from(target.0) * WHOLE;
    let measurable = i128::from((measured.agreed - removed).0) * WHOLE;
    let (sum, best) = match objective.indicator.signal {
        Signal::Mtbf(_) => (good, measurable - bad),
        Signal::Mtbsi(_) => (good + bad, measurable),
        _ => (bad, 0),
    };
    let restores = matches!(objective.indicator.signal, Signal::Mtrs(_));
    let verdict = too_little_known(objective, good + bad, measured).unwrap_or(match (restores, outages) {
        (true, 0) if objective.met_when_empty => Verdict::Met,
        (true, 0) => Verdict::NoData,
        (true, _) if sum <= wanted => Verdict::Met,
        (true, _) if over => Verdict::Breached,
        (true, _) => Verdict::AtRisk,
        (false, _) if wanted > best => Verdict::Breached,
        // Rounded to microseconds first: what warns needs no more, and billionths of billionths would overflow.
        (false, 1..) if !over && wanted >= best / WHOLE * i128::from(risk_share(objective).0) => Verdict::AtRisk,
        (false, _) => Verdict::Met,
    });
    Judged {
        verdict,
        value: (outages > 0).then(|| Value::Time(to_micros(sum.div_euclid(i128::from(outages.max(1)))))),
        attainment: measured.attainment(policy),
        budget: None,
        budget_left: None,
        budget_left_share: if restores { None } else { share_of(best - wanted, best) },
        credit: None,
    }
}
