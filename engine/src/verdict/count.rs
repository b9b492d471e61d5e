//! Verdicts over counted things (R10, R12): shares, sums and scores, each compared by cross-multiplication.
//!
//! With `g` good things of `n`, so `n - g` others, `s` the target and `e` the agreed time that has passed:
//!
//! ```text
//! share at least s              g >= s * n
//! share at most s               n - g <= s * n
//! percentile p at most a limit  g >= p * n           g are those within the limit
//! throughput at least s per u   n * u >= s * e
//! net promoter score            100 * g >= s * n     g is promoters less detractors
//! number at most s              n - g <= s
//! ```
//!
//! An open window that misses its target so far is at risk: what is still to come may mend it. A number that was exceeded
//! is mended by nothing: of errors, and of overdue tickets, where `n` are the tickets that were open when most were overdue,
//! and `g` those of them in time. It is at risk when the highest share at which it warns is used up.

use plimsoll_schemas::Micros;
use plimsoll_schemas::definition::{Objective, Signal, Target};

use super::parts::{Measured, WHOLE};
use super::{Judged, Value, Verdict, risk_share, share_of};

/// How far what was counted keeps a promise.
struct Standing {
    kept: bool,
    value: Value,
    /// What is left of what the target allows, and what that is; `None` where nothing bad is allowed for.
    left: Option<(i128, i128)>,
}

impl Standing {
    /// Whether this share, in billionths, of what the target allows is used up, and something is.
    fn is_used_up(&self, share: i128) -> bool {
        self.left.is_some_and(|(left, all)| left < all && (all - left) * WHOLE >= all * share)
    }
}

/// Judges what was counted in a segment; `over` says that all of it has passed.
pub(super) fn judge_counts(objective: &Objective, measured: &Measured, over: bool) -> Judged {
    let standing = standing(objective, measured);
    let is_for_good = matches!(objective.target, Target::AtMostCount(_));
    let verdict = match &standing {
        None if objective.met_when_empty => Verdict::Met,
        None => Verdict::NoData,
        Some(_) if measured.total_count < objective.min_sample.into() => Verdict::InsufficientData,
        Some(standing)
            if standing.kept && !over && is_for_good && standing.is_used_up(risk_share(objective).0.into()) =>
        {
            Verdict::AtRisk
        }
        Some(standing) if standing.kept => Verdict::Met,
        Some(_) if over || is_for_good => Verdict::Breached,
        Some(_) => Verdict::AtRisk,
    };
    Judged {
        verdict,
        value: standing.as_ref().map(|standing| standing.value),
        attainment: share_of(measured.good_count, measured.total_count),
        budget: None,
        budget_left: None,
        budget_left_share: standing.and_then(|standing| standing.left).and_then(|(left, all)| share_of(left, all)),
        credit: None,
    }
}

/// `None` when nothing was measured (R11), and for a target that cannot be promised of counts: it is refused.
fn standing(objective: &Objective, measured: &Measured) -> Option<Standing> {
    let (good, total) = (measured.good_count, measured.total_count);
    let bad = total - good;
    let is_empty = measured.total_count <= 0;
    match (&objective.indicator.signal, objective.target) {
        (Signal::Throughput { per, .. }, Target::AtLeastCount(floor)) => {
            // A service that tells of zero things has a throughput of zero; of one that tells nothing nobody knows.
            let elapsed = i128::from(measured.elapsed.0);
            // More than can be held is more than any floor.
            let done = total.saturating_mul(per.0.into());
            let kept = done >= i128::from(floor) * elapsed;
            let is_measured = measured.is_counted && elapsed > 0;
            is_measured.then(|| Standing { kept, value: count_of(done, elapsed), left: None })
        }
        _ if is_empty => None,
        (_, Target::AtLeast(share)) => {
            let allowed = (WHOLE - i128::from(share.0)) * total;
            let left = allowed - bad * WHOLE;
            Some(Standing { kept: left >= 0, value: Value::Share(share_of(good, total)?), left: Some((left, allowed)) })
        }
        (_, Target::AtMost(share)) => {
            let allowed = i128::from(share.0) * total;
            let left = allowed - bad * WHOLE;
            let value = Value::Share(share_of(bad, total)?);
            Some(Standing { kept: left >= 0, value, left: Some((left, allowed)) })
        }
        (_, Target::AtLeastCount(score)) => {
            let kept = 100 * good >= i128::from(score) * total;
            Some(Standing { kept, value: count_of(100 * good, total), left: None })
        }
        (_, Target::AtMostCount(limit)) => {
            let left = i128::from(limit) - bad;
            Some(Standing { kept: left >= 0, value: count_of(bad, 1), left: Some((left, limit.into())) })
        }
        (Signal::LatencyPercentile { percentile }, Target::AtMostTime(limit)) => {
            let allowed = (WHOLE - i128::from(percentile.0)) * total;
            let left = allowed - bad * WHOLE;
            let kept = left >= 0;
            // A histogram is not exact, the verdict is: what is shown must not contradict it.
            let shown = if kept { measured.percentile.min(limit) } else { measured.percentile.max(limit + Micros(1)) };
            Some(Standing { kept, value: Value::Time(shown), left: Some((left, allowed)) })
        }
        (_, Target::AtLeastTime(_) | Target::AtMostTime(_)) => None,
    }
}

/// `part / whole`, rounded down and held within what a column can carry.
fn count_of(part: i128, whole: i128) -> Value {
    Value::Count(in_a_column(part.div_euclid(whole)))
}

/// A count as a column holds it: the largest or the least that it can, where it is beyond. Verdicts and shares stand on
/// what was counted; what is told ahead of time does not.
pub fn in_a_column(count: i128) -> i64 {
    count.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
