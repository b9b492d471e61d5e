//! A draft beside what is in force (R31): which version of it is judged when, and what stands beside what.
//!
//! In: the versions of drafted agreements and the first event, then the results under the draft and those under what is in
//! force. Out: the versions as if they had been in force since then, and beside each result of the draft those of the same
//! promise in the same window.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveTime};
use plimsoll_schemas::Instant;
use plimsoll_schemas::civil::{instant_of_local, local_of_instant};
use plimsoll_schemas::definition::Agreement;
use plimsoll_schemas::table::AttainmentRow;

use crate::Name;

#[cfg(test)]
mod tests;

/// Drafted agreements as they are to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The versions that are judged, each with the days of which it is.
    pub agreements: Vec<Agreement>,
    /// The versions that are not, and why.
    pub not_judged: Vec<NotJudged>,
}

/// A drafted version of which no day is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotJudged {
    /// The agreement's id.
    pub agreement: String,
    /// Its version.
    pub version: u32,
    /// Why, as a clause for people.
    pub because: String,
}

/// Drafted agreements as if they had been in force from a day on, that of the `first` event unless said, and nothing
/// ended them before `as_of`. Of several versions of one agreement that which is in force on that day begins with it, or
/// the first one where none is; each ends with the day on which the next one takes effect.
pub fn as_if_in_force(agreements: Vec<Agreement>, from: Option<NaiveDate>, first: Instant, as_of: Instant) -> Draft {
    let mut by_id: BTreeMap<String, Vec<Agreement>> = BTreeMap::new();
    for agreement in agreements {
        by_id.entry(agreement.id.clone()).or_default().push(agreement);
    }
    let mut draft = Draft { agreements: Vec::new(), not_judged: Vec::new() };
    for mut versions in by_id.into_values() {
        versions.sort_by_key(|agreement| (agreement.effective_from, agreement.version));
        let begin = from.unwrap_or_else(|| local_of_instant(versions[0].time_zone, first).date());
        let in_force = versions.iter().rposition(|agreement| agreement.effective_from <= begin).unwrap_or(0);
        versions[in_force].effective_from = begin;
        let starts: Vec<NaiveDate> = versions.iter().map(|agreement| agreement.effective_from).collect();
        for (place, mut agreement) in versions.into_iter().enumerate() {
            agreement.effective_until = starts.get(place + 1).copied();
            let because = if place < in_force {
                format!("a later one is in force on {begin}, when what is judged begins")
            } else if instant_of_local(agreement.time_zone, starts[place].and_time(NaiveTime::MIN)) >= as_of {
                format!("it takes effect on {}, which is not before {as_of}", starts[place])
            } else {
                draft.agreements.push(agreement);
                continue;
            };
            let Agreement { id, version, .. } = agreement;
            draft.not_judged.push(NotJudged { agreement: id, version, because });
        }
    }
    draft
}

/// A result of the draft, and what is in force beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The result of the draft.
    pub draft: AttainmentRow,
    /// All results of the same promise in the same window, under whatever version.
    pub in_force: Vec<AttainmentRow>,
}

/// Puts beside each result of the draft those of what is in force: of the same agreement, or else of all agreements of the
/// same customer, in each case for the same service, an objective of the same id and the same window. What is promised to
/// no customer stands beside nothing but the agreement of its own id.
pub fn beside(draft: Vec<AttainmentRow>, in_force: &[AttainmentRow]) -> Vec<Compared> {
    let mut by_window: BTreeMap<_, Vec<&AttainmentRow>> = BTreeMap::new();
    for row in in_force {
        by_window.entry(window_of(row)).or_default().push(row);
    }
    let compared = |draft: AttainmentRow| {
        let same_window = || by_window.get(&window_of(&draft)).into_iter().flatten().copied().cloned();
        let mut in_force: Vec<_> = same_window().filter(|row| row.agreement == draft.agreement).collect();
        if in_force.is_empty() && draft.customer.is_some() {
            in_force = same_window().filter(|row| row.customer == draft.customer).collect();
        }
        Compared { draft, in_force }
    };
    draft.into_iter().map(compared).collect()
}

/// A service's promise in one window.
fn window_of(row: &AttainmentRow) -> (Name, Name, Instant, Instant) {
    (row.service.clone(), row.objective.clone(), row.window_start, row.window_end)
}

/// The results that stand beside some of the draft, each once.
pub fn in_force_of<'a>(compared: impl Iterator<Item = &'a Compared>) -> Vec<&'a AttainmentRow> {
    let mut seen = BTreeSet::new();
    let all = compared.flat_map(|compared| &compared.in_force);
    all.filter(|row| {
        let AttainmentRow { agreement, agreement_version, window_start, segment_start, .. } = row;
        seen.insert((agreement, agreement_version, &row.service, &row.objective, window_start, segment_start))
    })
    .collect()
}
