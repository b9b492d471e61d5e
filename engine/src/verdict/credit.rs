//! How far a promise was missed, on the ladder of its credits (R34).
//!
//! A step is reached when its target is breached. Every step's target is judged as the objective's own is, from the same
//! parts by the same integers (R12): so too little known gives nothing (R4, R11), and in an open window a step is reached
//! when even an untroubled rest, or for counted things the end, leaves it so. A worse result reaches no fewer steps, and
//! credits rise along the ladder; so it never lowers the credit.

use plimsoll_schemas::definition::{CreditStep, Objective};
use plimsoll_schemas::ratio::Share;

use super::{Judged, Measured, Verdict, judge_target};

/// The credit of the last step that is reached, nothing when none is; `None` when the objective has no ladder.
pub(super) fn step_reached(objective: &Objective, judged: &Judged, measured: &Measured, over: bool) -> Option<Share> {
    if objective.credits.is_empty() {
        return None;
    }
    let nothing = Share(0);
    // No step is stricter than the target.
    if judged.verdict != Verdict::Breached {
        return Some(nothing);
    }
    let is_missed = |step: &&CreditStep| {
        let promise = Objective { target: step.missed, ..objective.clone() };
        judge_target(&promise, measured, over).verdict == Verdict::Breached
    };
    let reached = objective.credits.iter().take_while(is_missed).last();
    Some(reached.map_or(nothing, |step| step.credit))
}
