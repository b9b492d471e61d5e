//! Watermelons, said once, and taken back or said again when results change (R22, R36).
//!
//! In: the step's rows of attainment, of which it remembers verdicts, for agreements that have objectives over scores.
//! Out: rows of `watermelons`. An agreement is looked at when a verdict, a segment or the finality of one of its results
//! changed.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::definition::Signal;
use plimsoll_schemas::table::{AttainmentRow, WatermelonRow};
use serde::{Deserialize, Serialize};

use super::{Facts, Step};
use crate::Name;
use crate::ledger::{Entry, Ledger, Writing};
use crate::memory::Edge;
use crate::portfolio::{ObjectiveKey, ObjectivePlan, Portfolio};
use crate::verdict::Verdict;
use crate::watermelon::{Outcome, ResultKey, Watermelon, watermelons};
use crate::window::Window;

/// See the head of this module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermelonStage {
    versions: BTreeMap<(Name, u32), Results>,
    /// Versions that lost objectives since they were looked at.
    anew: BTreeSet<(Name, u32)>,
}

/// What is remembered of one version of an agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Results {
    outcomes: BTreeMap<ResultKey, Outcome>,
    said: Ledger<ResultKey, Said>,
}

/// A watermelon, and the result that it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    found: Watermelon,
    outcome: Outcome,
}

impl WatermelonStage {
    /// Takes up a remembered state under other definitions: results of objectives that these lack count no more.
    pub fn resume(&mut self, portfolio: &Portfolio) {
        for ((agreement, version), results) in &mut self.versions {
            let known = results.outcomes.len();
            results.outcomes.retain(|(service, objective, _), _| {
                let (agreement, service, objective) = (agreement.clone(), service.clone(), objective.clone());
                portfolio.objective_place(&ObjectiveKey { agreement, version: *version, objective, service }).is_some()
            });
            if results.outcomes.len() < known {
                self.anew.insert((agreement.clone(), *version));
            }
        }
    }

    /// Forgets what was said of windows that are closed, and results that share time with no other window.
    pub fn forget(&mut self, edge: &Edge) {
        for results in self.versions.values_mut() {
            results.outcomes.retain(|_, outcome| outcome.window.end > edge.kept_from);
            results.said.retain(|_, said| said.outcome.window.end > edge.closed_until);
        }
        self.versions.retain(|_, results| !(results.outcomes.is_empty() && results.said == Ledger::default()));
    }

    /// Takes the step's results, and writes what is a watermelon now, or is none any more.
    pub fn close(&mut self, portfolio: &Portfolio, step: &Step, facts: &mut Facts) {
        let mut touched = std::mem::take(&mut self.anew);
        if portfolio.has_any_scores() {
            for row in &facts.attainment {
                touched.extend(self.take(portfolio, row));
            }
        }
        for (agreement, version) in touched {
            let Some(results) = self.versions.get_mut(&(agreement.clone(), version)) else { continue };
            let said = |(key, found): (ResultKey, Watermelon)| {
                let outcome = *results.outcomes.get(&key)?;
                (outcome.window.end > step.closed_until).then_some((key, Said { found, outcome }))
            };
            let now = watermelons(&results.outcomes).into_iter().filter_map(said).collect();
            for Writing { key: (service, objective, _), entry } in results.said.restate_within(.., now) {
                let key = ObjectiveKey { agreement: agreement.clone(), version, objective, service };
                let Some(place) = portfolio.objective_place(&key) else { continue };
                facts.watermelons.push(row(portfolio.objective(place), entry, step));
            }
        }
    }

    /// Remembers a result's verdict, or forgets it where the result was taken back; its agreement's version, if that is
    /// news.
    fn take(&mut self, portfolio: &Portfolio, row: &AttainmentRow) -> Option<(Name, u32)> {
        let version = row.agreement_version as u32;
        if !portfolio.has_scores(&row.agreement, version) {
            return None;
        }
        let outcome = Outcome {
            window: Window { start: row.window_start, end: row.window_end },
            segment: Window { start: row.segment_start, end: row.segment_end },
            is_of_scores: Signal::OF_SCORES.contains(&&*row.signal),
            verdict: Verdict::parse(&row.verdict)?,
            is_final: &*row.finality == "final",
        };
        let key = (row.service.clone(), row.objective.clone(), row.window_start);
        let results = self.versions.entry((row.agreement.clone(), version)).or_default();
        let now = (!row.retracted).then_some(outcome);
        let before = match now {
            Some(outcome) => results.outcomes.insert(key, outcome),
            None => results.outcomes.remove(&key),
        };
        (before != now).then(|| (row.agreement.clone(), version))
    }
}

fn row(
    plan: &ObjectivePlan,
    Entry { row: Said { found, outcome }, revision, retracted }: Entry<Said>,
    step: &Step,
) -> WatermelonRow {
    WatermelonRow {
        agreement: plan.key.agreement.to_string(),
        agreement_version: plan.key.version as i32,
        agreement_type: plan.agreement.agreement_type.as_str().to_owned(),
        customer: plan.agreement.customer.as_deref().map(str::to_owned),
        offering: plan.agreement.offering.as_deref().map(str::to_owned),
        service: plan.key.service.to_string(),
        objective: plan.key.objective.to_string(),
        signal: plan.objective.indicator.signal.as_str().to_owned(),
        window_kind: plan.objective.window.as_str().to_owned(),
        window_start: outcome.window.start,
        window_end: outcome.window.end,
        segment_start: outcome.segment.start,
        segment_end: outcome.segment.end,
        target: plan.objective.target.to_string(),
        met_count: found.met_count,
        unknown_count: found.unknown_count,
        revision,
        retracted,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

#[cfg(test)]
mod tests;
