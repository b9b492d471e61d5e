//! What a new version may not touch unless it says that it does (R24): the time of which results are known.
//!
//! In: definitions, the versions on which results stand already, and up to when they are known. Out: the first version that
//! is new beside others of the same agreement or calendar, begins before that instant, and is not declared retroactive.

use std::collections::BTreeSet;

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;

use crate::portfolio::{AgreementPlan, Portfolio};
use crate::{Name, calendar};

/// Versions on which results may stand already, each as an id and a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Versions of agreements.
    pub agreements: BTreeSet<(Name, u32)>,
    /// Versions of the calendars that agreements go by.
    pub calendars: BTreeSet<(Name, u32)>,
}

/// A new version begins in the past, and does not say that it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{of} {id}: version {version} is new and in force from {start} on, but results are known up to {known_until}; a new \
     version never touches the past: let it begin later, or declare `retroactive: true` beside `from` to have what is known \
     restated"
)]
pub struct TouchesThePast {
    /// What it is a version of: `agreement` or `calendar`.
    pub of: &'static str,
    /// Whose version it is.
    pub id: Name,
    /// The new version.
    pub version: u32,
    /// When it comes into force.
    pub start: Instant,
    /// Up to when results are known.
    pub known_until: Instant,
}

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
        Known {
            agreements: agreements.map(|agreement| (agreement.id.as_str().into(), agreement.version)).collect(),
            calendars: calendars.map(|calendar| (calendar.id.as_str().into(), calendar.version)).collect(),
        }
    }

    /// Tells of a new version in these definitions that touches the past, when results are known until `known_until`.
    ///
    /// # Errors
    /// The first such version.
    pub fn refuse(&self, definitions: &Definitions, known_until: Instant) -> Result<(), TouchesThePast> {
        refuse_agreements(&Portfolio::new(definitions), &self.agreements, known_until)?;
        for (id, versions) in &definitions.calendars {
            for (calendar, in_force) in versions.iter().zip(calendar::in_force(versions)) {
                let (id, version, start) = (Name::from(id.as_str()), calendar.version, in_force.start);
                if !calendar.retroactive && start < known_until && is_new(&self.calendars, &id, version) {
                    return Err(TouchesThePast { of: "calendar", id, version, start, known_until });
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
            let (id, version, start) = (id.clone(), *version, in_force.start);
            return Err(TouchesThePast { of: "agreement", id, version, start, known_until });
        }
    }
    Ok(())
}

/// Whether other versions are known, and not this one.
fn is_new(known: &BTreeSet<(Name, u32)>, id: &Name, version: u32) -> bool {
    let has_others = known.range((id.clone(), 0)..=(id.clone(), u32::MAX)).next().is_some();
    has_others && !known.contains(&(id.clone(), version))
}
