//! What a new version may not touch unless it says that it does (R24): the time of which results are known.
//!
//! In: definitions, the versions on which results stand already, and up to when they are known. Out: the first version that
//! is new beside others of the same agreement or calendar, begins before that instant, and is not declared retroactive; or
//! that is gone, though it began before that instant, while an older one of its agreement stays: its days would fall back to
//! that, beside its own results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;

use crate::portfolio::{AgreementPlan, Portfolio, in_force};
use crate::{Name, calendar};

/// Versions on which results may stand already, each as an id and a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Versions of agreements.
    pub agreements: BTreeSet<(Name, u32)>,
    /// Versions of the calendars that agreements go by.
    pub calendars: BTreeSet<(Name, u32)>,
    /// When each version of an agreement came into force, as far as that is known.
    pub starts: BTreeMap<(Name, u32), Instant>,
}

/// A new version begins in the past, and does not say that it may; or one is gone whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchesThePast {
    /// What it is a version of: `agreement` or `calendar`.
    pub of: &'static str,
    /// Whose version it is.
    pub id: Name,
    /// The version.
    pub version: u32,
    /// When it comes, or came, into force.
    pub start: Instant,
    /// Up to when results are known.
    pub known_until: Instant,
    /// The older version to which the days of one that is gone would fall back; `None` where it is new.
    pub falls_back_to: Option<u32>,
}

impl TouchesThePast {
    /// What was found of the version, and what is allowed instead.
    pub fn told(&self) -> (String, String) {
        let TouchesThePast { of, id, version, start, known_until, falls_back_to } = self;
        match falls_back_to {
            None => (
                format!("version {version} of {of} {id}, new and in force from {start} on"),
                format!(
                    "a day after {known_until}, up to which results are known, or `retroactive: true` beside it to have what \
                     is known restated"
                ),
            ),
            Some(older) => (
                format!("version {older} of {of} {id} without version {version}, which was in force from {start} on"),
                format!(
                    "version {version} as it was, for results are known up to {known_until} and those of its days stand; to \
                     take it back, add a version that says what is to hold, with `retroactive: true`"
                ),
            ),
        }
    }
}

impl fmt::Display for TouchesThePast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TouchesThePast { of, id, version, start, known_until, falls_back_to } = self;
        match falls_back_to {
            None => write!(
                formatter,
                "{of} {id}: version {version} is new and in force from {start} on, but results are known up to {known_until}; \
                 a new version never touches the past: let it begin later, or declare `retroactive: true` beside `from` to \
                 have what is known restated"
            ),
            Some(older) => write!(
                formatter,
                "{of} {id}: version {version}, in force from {start} on, is gone, but results are known up to {known_until}, \
                 and its days would fall back to version {older} beside its own results: put it back, and add a version that \
                 says what is to hold, with `retroactive: true`"
            ),
        }
    }
}

impl std::error::Error for TouchesThePast {}

impl Known {
    /// All versions in these definitions.
    pub fn of(definitions: &Definitions) -> Known {
        let agreements = definitions.agreements.iter();
        let used: BTreeSet<&str> = agreements
            .clone()
            .flat_map(|agreement| &agreement.objectives)
            .map(|objective| objective.indicator.calendar.as_str())
            .collect();
        let calendars = definitions.calendars.iter().filter(|(id, _)| used.contains(id.as_str()));
        let calendars = calendars.flat_map(|(_, versions)| versions);
        let starts = agreements
            .clone()
            .map(|agreement| ((agreement.id.as_str().into(), agreement.version), in_force(agreement, None).start));
        Known {
            starts: starts.collect(),
            agreements: agreements.map(|agreement| (agreement.id.as_str().into(), agreement.version)).collect(),
            calendars: calendars.map(|calendar| (calendar.id.as_str().into(), calendar.version)).collect(),
        }
    }

    /// Tells of a version that is new in these definitions, or gone from them, and touches the past, when results are known
    /// until `known_until`.
    ///
    /// # Errors
    /// The first such version.
    pub fn refuse(&self, definitions: &Definitions, known_until: Instant) -> Result<(), TouchesThePast> {
        let portfolio = Portfolio::new(definitions);
        refuse_agreements(&portfolio, &self.agreements, known_until)?;
        let there: BTreeSet<(Name, u32)> =
            definitions.agreements.iter().map(|one| (one.id.as_str().into(), one.version)).collect();
        for ((id, version), &start) in self.starts.iter().filter(|(gone, _)| !there.contains(gone)) {
            let is_it = |plan: &&AgreementPlan| {
                plan.id == *id && start < known_until && plan.in_force.start <= start && start < plan.in_force.end
            };
            if let Some(older) = portfolio.objectives().iter().map(|plan| &*plan.agreement).find(is_it) {
                let (id, version, falls_back_to) = (id.clone(), *version, Some(older.version));
                return Err(TouchesThePast { of: "agreement", id, version, start, known_until, falls_back_to });
            }
        }
        for (id, versions) in &definitions.calendars {
            for (calendar, in_force) in versions.iter().zip(calendar::in_force(versions)) {
                let (id, version, start) = (Name::from(id.as_str()), calendar.version, in_force.start);
                if !calendar.retroactive && start < known_until && is_new(&self.calendars, &id, version) {
                    let falls_back_to = None;
                    return Err(TouchesThePast { of: "calendar", id, version, start, known_until, falls_back_to });
                }
            }
        }
        Ok(())
    }
}

/// The same of agreements alone.
///
/// # Errors
/// The first such version.
pub fn refuse_agreements(
    portfolio: &Portfolio,
    known: &BTreeSet<(Name, u32)>,
    known_until: Instant,
) -> Result<(), TouchesThePast> {
    for plan in portfolio.objectives() {
        let AgreementPlan { id, version, in_force, retroactive, .. } = &*plan.agreement;
        if !retroactive && in_force.start < known_until && is_new(known, id, *version) {
            let (id, version, start, falls_back_to) = (id.clone(), *version, in_force.start, None);
            return Err(TouchesThePast { of: "agreement", id, version, start, known_until, falls_back_to });
        }
    }
    Ok(())
}

/// Whether other versions are known, and not this one.
fn is_new(known: &BTreeSet<(Name, u32)>, id: &Name, version: u32) -> bool {
    let has_others = known.range((id.clone(), 0)..=(id.clone(), u32::MAX)).next().is_some();
    has_others && !known.contains(&(id.clone(), version))
}
