//! What a correction tells of a final result that changed: what it was, what it is, and why (R22, R24).

use plimsoll_schemas::Micros;
use plimsoll_schemas::table::CorrectionRow;

use super::{ObjectiveState, Written};
use crate::Name;
use crate::portfolio::ObjectivePlan;
use crate::stage::Step;
use crate::verdict::Measured;

impl ObjectiveState {
    /// Why a final result differs from what was said. A version touches the past of the one before it by the time that it
    /// takes of a window; what is edited in place takes none.
    fn reason(&self, plan: &ObjectivePlan, before: &Written, now: &Written) -> &'static str {
        let takes_time = now.retracted || before.segment != now.segment;
        match self.is_stated_by(plan) {
            true => "late_event",
            false if plan.agreement.restated && takes_time => "retroactive_version",
            false => "definition_change",
        }
    }

    /// The row that stands beside a result which differs from one that was final.
    pub(super) fn correction(
        &self,
        plan: &ObjectivePlan,
        before: &Written,
        now: &Written,
        step: &Step,
    ) -> CorrectionRow {
        let (stated, promised) = (&self.shown.1, &plan.labels.target);
        // The target is told where it is another one, for then it may be all that changed.
        let told = |written: &Written, target: &Name| match stated == promised || written.retracted {
            true => written.describe(),
            false => format!("{}, promised {target}", written.describe()),
        };
        CorrectionRow {
            agreement: plan.key.agreement.to_string(),
            agreement_version: plan.key.version as i32,
            service: Some(plan.key.service.to_string()),
            objective: Some(plan.key.objective.to_string()),
            window_start: now.window.start,
            revision: now.revision,
            reason: self.reason(plan, before, now).to_owned(),
            before: told(before, stated),
            after: told(now, promised),
            recorded_at: step.tick,
            epoch: step.epoch,
        }
    }
}

impl Written {
    /// For the correction row: `breached: good_us 5, bad_us 5, ...`. What is held or lies below an exclusion is told
    /// where there is any, for then it may be all that changed; so is the percentile of latencies.
    fn describe(&self) -> String {
        if self.retracted {
            return "retracted".to_owned();
        }
        let Measured { good, bad, degraded, excluded, unknown, .. } = self.measured;
        let Measured { good_count, total_count, percentile, outage_count, longest_outage, .. } = self.measured;
        let mut text = format!(
            "{}: good_us {}, bad_us {}, degraded_us {}, excluded_us {}, unknown_us {}, good_count {good_count}, \
             total_count {total_count}, outage_count {outage_count}, longest_outage_us {}",
            self.judged.verdict.as_str(),
            good.0,
            bad.0,
            degraded.0,
            excluded.0,
            unknown.0,
            longest_outage.0,
        );
        for (of, times) in [("unknown", self.measured.held), ("excluded", self.measured.below)] {
            for (state, time) in ["up", "down", "degraded", "unknown"].iter().zip(times) {
                if time > Micros::ZERO {
                    text.push_str(&format!(", {of}_{state}_us {}", time.0));
                }
            }
        }
        if percentile > Micros::ZERO {
            text.push_str(&format!(", percentile_us {}", percentile.0));
        }
        if let Some(credit) = self.judged.credit {
            text.push_str(&format!(", credit {credit}"));
        }
        text
    }
}
