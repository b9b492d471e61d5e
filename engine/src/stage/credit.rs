//! What agreements give back for missed promises, said once, and said again when it changes (R22, R34).
//!
//! In: the step's rows of attainment, of which it remembers what their ladders give back. Out: rows of `credits`, written
//! like those rows: provisional until all of a window's results are final, then final, then as revisions beside
//! corrections. An agreement is looked at when a ladder's share, a segment or the finality of one of its windows
//! changed, or its terms were defined anew; never because time passes.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::minor_digits;
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{AttainmentRow, CorrectionRow, CreditRow, Decimal};
use serde::{Deserialize, Serialize};

use super::{Facts, Step};
use crate::Name;
use crate::credit::{Credit, CreditKey, Limit, Missed, Reached, WindowOfVersion, credits};
use crate::portfolio::{AgreementPlan, CreditPlan, ObjectiveKey, Portfolio};
use crate::window::Window;

/// See the head of this module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditStage {
    accounts: BTreeMap<Name, Account>,
    /// Agreements whose terms are others than those by which their credits were stated.
    anew: BTreeSet<Name>,
}

/// What is remembered of one agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// What its ladders give back.
    missed: BTreeMap<WindowOfVersion, Missed>,
    /// What was last written.
    written: BTreeMap<CreditKey, Written>,
    /// The digest of the terms by which it was stated.
    stated_by: u64,
}

/// A credit as it was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    credit: Credit,
    currency: String,
    segment: Window,
    months: i64,
    detail: String,
    revision: i32,
    /// True when it was taken back: no result of its window is left, or no charge.
    retracted: bool,
}

impl CreditStage {
    /// Takes up a remembered state under terms that may have changed since (R24): then every credit is stated anew.
    pub fn resume(&mut self, portfolio: &Portfolio) {
        for (id, account) in &mut self.accounts {
            let Some(plan) = portfolio.credit_plan(id) else { continue };
            if account.stated_by != plan.digest {
                account.forget_ladders_without_objective(portfolio, id);
                self.anew.insert(id.clone());
            }
        }
    }

    /// Forgets windows that end before any that is not closed begins: what these give back stands on no other.
    pub fn forget(&mut self, kept_from: Instant) {
        let is_kept = |place: &WindowOfVersion| place.window.end > kept_from;
        for account in self.accounts.values_mut() {
            account.missed.retain(|place, _| is_kept(place));
            account.written.retain(|(place, _), _| is_kept(place));
        }
        self.accounts.retain(|_, account| !(account.missed.is_empty() && account.written.is_empty()));
    }

    /// Takes the step's results, and writes the credits that changed.
    pub fn close(&mut self, portfolio: &Portfolio, step: &Step, facts: &mut Facts) {
        let mut touched: BTreeSet<Name> = BTreeSet::new();
        for row in facts.attainment.iter().filter(|row| row.credit_ratio.is_some()) {
            touched.extend(self.take(portfolio, row));
        }
        touched.extend(std::mem::take(&mut self.anew));
        for id in touched {
            if let (Some(account), Some(plan)) = (self.accounts.get_mut(&id), portfolio.credit_plan(&id)) {
                account.restate(plan, step, facts);
            }
        }
    }

    /// Remembers what a result's ladder gives back, or forgets it where the result was taken back; the agreement's id, if
    /// that is news.
    fn take(&mut self, portfolio: &Portfolio, row: &AttainmentRow) -> Option<Name> {
        let key = ObjectiveKey::of(row);
        let months = portfolio.objective(portfolio.objective_place(&key)?).objective.window.months()?;
        let plan = portfolio.credit_plan(&key.agreement)?;
        let account = self.accounts.entry(key.agreement.clone()).or_default();
        if account.missed.is_empty() {
            account.stated_by = plan.digest;
        }
        let window = Window { start: row.window_start, end: row.window_end };
        let segment = Window { start: row.segment_start, end: row.segment_end };
        let place = WindowOfVersion { window, version: key.version };
        let missed =
            account.missed.entry(place).or_insert_with(|| Missed { segment, months, ladders: BTreeMap::new() });
        let ladder = (key.service, key.objective);
        let is_news = if row.retracted {
            missed.ladders.remove(&ladder).is_some()
        } else {
            let reached = Reached { share: row.credit_ratio?.0, is_final: &*row.finality == "final" };
            let is_segment_news = std::mem::replace(&mut missed.segment, segment) != segment;
            missed.ladders.insert(ladder, reached) != Some(reached) || is_segment_news
        };
        is_news.then_some(key.agreement)
    }
}

impl Account {
    /// Drops what ladders gave back that stand in the definitions no more.
    fn forget_ladders_without_objective(&mut self, portfolio: &Portfolio, agreement: &Name) {
        for (place, missed) in &mut self.missed {
            missed.ladders.retain(|(service, objective), _| {
                let (agreement, version) = (agreement.clone(), place.version);
                let key = ObjectiveKey { agreement, version, objective: objective.clone(), service: service.clone() };
                let plan = portfolio.objective_place(&key).map(|place| portfolio.objective(place));
                plan.is_some_and(|plan| !plan.objective.credits.is_empty())
            });
        }
    }

    /// Writes the credits that changed, and takes back those of which no result is left, or no charge.
    fn restate(&mut self, plan: &CreditPlan, step: &Step, facts: &mut Facts) {
        let terms = |version| {
            let plan = plan.versions.get(&version)?;
            Some((plan.credits.as_ref()?, plan.time_zone))
        };
        let is_defined_anew = self.stated_by != plan.digest;
        self.stated_by = plan.digest;
        self.missed.retain(|_, missed| !missed.ladders.is_empty());
        let mut now: BTreeMap<CreditKey, Written> = credits(&self.missed, terms)
            .into_iter()
            .filter_map(|(key, credit)| {
                let (missed, (terms, _)) = (self.missed.get(&key.0)?, terms(key.0.version)?);
                let detail = detail(missed, key.1.as_deref());
                let (segment, months) = (missed.segment, missed.months);
                let currency = terms.currency.clone();
                Some((key, Written { credit, currency, segment, months, detail, revision: 0, retracted: false }))
            })
            .collect();
        for (key, before) in &self.written {
            now.entry(key.clone()).or_insert_with(|| Written { retracted: true, ..before.clone() });
        }
        for (key, mut found) in now.into_iter().filter(|(key, _)| key.0.window.end > step.closed_until) {
            let Some(version) = plan.versions.get(&key.0.version) else { continue };
            let before = self.written.get(&key);
            found.revision = before.map_or(0, |before| before.revision);
            if before == Some(&found) {
                continue;
            }
            if let Some(before) = before.filter(|before| before.credit.is_final) {
                found.revision += 1;
                let reason = reason(version, &key.0, is_defined_anew, facts);
                facts.corrections.push(correction(version, &key, reason, (before, &found), step));
            } else if found.credit.is_final {
                // One that was final and open again since goes on under the revision that said so.
                found.revision = found.revision.max(1);
            }
            facts.credits.push(row(version, &key, &found, step));
            self.written.insert(key, found);
        }
    }
}

/// Why a final credit differs from what was said: as a result of its window does, or because its terms do.
fn reason(plan: &AgreementPlan, place: &WindowOfVersion, is_defined_anew: bool, facts: &Facts) -> String {
    let of_window = facts.corrections.iter().filter(|row| {
        let key = (&*row.agreement, row.agreement_version as u32, row.window_start);
        row.objective.is_some() && key == (&*plan.id, place.version, place.window.start)
    });
    let of_definition = of_window.map(|row| &row.reason).find(|reason| *reason != LATE);
    let otherwise = if is_defined_anew { "definition_change" } else { LATE };
    of_definition.cloned().unwrap_or_else(|| otherwise.to_owned())
}

const LATE: &str = "late_event";

/// Which promises were missed and what each gives back: `availability of web 10 %, resolution of web 5 %`.
fn detail(missed: &Missed, service: Option<&str>) -> String {
    let ladders = missed.ladders_of(service).filter(|(_, reached)| reached.share > Share(0));
    let texts = ladders.map(|((service, objective), reached)| format!("{objective} of {service} {}", reached.share));
    texts.collect::<Vec<_>>().join(", ")
}

impl Written {
    /// For the correction row.
    fn describe(&self) -> String {
        if self.retracted {
            return "retracted".to_owned();
        }
        let Credit { amount, charge, share, .. } = self.credit;
        format!("credit_minor {amount} {}, {share} of charge_minor {charge}", self.currency)
    }
}

fn correction(
    plan: &AgreementPlan,
    (place, service): &CreditKey,
    reason: String,
    (before, now): (&Written, &Written),
    step: &Step,
) -> CorrectionRow {
    CorrectionRow {
        agreement: plan.id.to_string(),
        agreement_version: plan.version as i32,
        service: service.as_deref().map(str::to_owned),
        objective: None,
        window_start: place.window.start,
        revision: now.revision,
        reason,
        before: before.describe(),
        after: now.describe(),
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

fn row(plan: &AgreementPlan, (place, service): &CreditKey, found: &Written, step: &Step) -> CreditRow {
    CreditRow {
        agreement: plan.id.to_string(),
        agreement_version: plan.version as i32,
        agreement_type: plan.agreement_type.as_str().to_owned(),
        customer: plan.customer.as_deref().map(str::to_owned),
        offering: plan.offering.as_deref().map(str::to_owned),
        service: service.as_deref().map(str::to_owned),
        window_kind: match found.months {
            1 => "month",
            3 => "quarter",
            _ => "year",
        }
        .to_owned(),
        window_start: place.window.start,
        window_end: place.window.end,
        segment_start: found.segment.start,
        segment_end: found.segment.end,
        finality: if found.credit.is_final { "final" } else { "provisional" }.to_owned(),
        currency: found.currency.clone(),
        minor_digits: minor_digits(&found.currency) as i32,
        charge_minor: found.credit.charge,
        credit_ratio: Decimal(found.credit.share),
        credit_minor: found.credit.amount,
        limited_by: found.credit.limited_by.map(Limit::as_str).map(str::to_owned),
        detail: found.detail.clone(),
        revision: found.revision,
        retracted: found.retracted,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

#[cfg(test)]
mod tests;
