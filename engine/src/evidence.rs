//! What a result stands on (R26): of all facts and events that are known, those that a row of `attainment` follows from.
//!
//! ```text
//! the promise is over   facts                                 events
//! a state               transitions from the last one before  results of the checks within the segment and the last
//!                       the segment on, outages that touch    of each before it; all records of the tickets named as
//!                       it; of the service and its parts      causes; all records of changes whose planned time
//!                                                             touches the segment, where these are excluded
//! clocks of tickets     the clocks of the segment; of overdue all records of these tickets
//!                       tickets, those that touch it
//! counts of tickets                                           all records of tickets and changes that have one within
//! and changes                                                 the segment
//! single events                                               those that count
//! ```
//! Rows are as the tables held them at some epoch, events as they were accepted until then.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Definitions, Signal};
use plimsoll_schemas::event::{EventBatch, EventColumn, EventKind, Vocabulary};
use plimsoll_schemas::table::{ClockRow, OutageRow, TransitionRow};

use crate::Name;
use crate::lane::counted;
use crate::portfolio::{Feed, ObjectiveIndex, ObjectivePlan, Portfolio};
use crate::window::Window;

/// The services that have a part in the results of one, under any of these definitions: it, those that it is made of or
/// depends on, and those below.
pub fn services_behind<'a>(all: impl Iterator<Item = &'a Definitions> + Clone, service: &str) -> BTreeSet<String> {
    let (mut known, mut waiting) = (BTreeSet::new(), vec![service.to_owned()]);
    while let Some(id) = waiting.pop() {
        for service in all.clone().filter_map(|definitions| definitions.services.get(&id)) {
            let parts = service.state.composition.iter().flat_map(|composition| &composition.parts);
            waiting.extend(parts.map(|part| part.service.clone()).chain(service.depends_on.iter().cloned()));
        }
        known.insert(id);
        waiting.retain(|id| !known.contains(id));
    }
    known
}

/// The part of definitions that results of one agreement on these services can depend on: the services, the agreement, and
/// those that it rests on.
pub fn part_of(definitions: &Definitions, agreement: &str, services: &BTreeSet<String>) -> Definitions {
    let mut part = definitions.clone();
    part.services.retain(|id, _| services.contains(id));
    let (mut resting, mut waiting) = (BTreeSet::new(), vec![agreement]);
    while let Some(id) = waiting.pop() {
        if resting.insert(id) {
            let versions = definitions.agreements.iter().filter(|agreement| agreement.id == id);
            waiting.extend(versions.flat_map(|agreement| &agreement.rests_on).map(String::as_str));
        }
    }
    part.agreements.retain(|agreement| resting.contains(agreement.id.as_str()));
    part
}

/// The facts behind a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the rows of the table of that name")]
pub struct Facts {
    pub transitions: Vec<TransitionRow>,
    pub outages: Vec<OutageRow>,
    pub clocks: Vec<ClockRow>,
}

/// One result: an objective in the segment of a window.
pub struct Evidence<'a> {
    portfolio: &'a Portfolio,
    objective: ObjectiveIndex,
    segment: Window,
    services: BTreeSet<Name>,
}

impl<'a> Evidence<'a> {
    /// Of this objective in this segment.
    pub fn new(portfolio: &'a Portfolio, objective: ObjectiveIndex, segment: Window) -> Evidence<'a> {
        let mut evidence = Evidence { portfolio, objective, segment, services: BTreeSet::new() };
        let mut waiting = vec![evidence.plan().key.service.clone()];
        while let Some(service) = waiting.pop() {
            let place = portfolio.service_place(&service).map(|place| portfolio.service(place));
            if evidence.services.insert(service) {
                let composition = place.and_then(|plan| plan.rule.composition.as_ref());
                let parts = composition.iter().flat_map(|composition| &composition.parts);
                waiting.extend(parts.map(|part| Name::from(part.service.as_str())));
            }
        }
        evidence
    }

    fn plan(&self) -> &'a ObjectivePlan {
        self.portfolio.objective(self.objective)
    }

    /// The service and its parts, and theirs.
    pub fn services(&self) -> &BTreeSet<Name> {
        &self.services
    }

    /// Those of all facts from which the result follows, each kind in the order of its table.
    pub fn facts(&self, all: Facts) -> Facts {
        let Facts { mut transitions, mut outages, mut clocks } = all;
        transitions.sort_unstable();
        outages.sort_unstable();
        clocks.sort_unstable();
        match self.plan().feed() {
            Feed::State(_) => {
                Facts { transitions: self.transitions(transitions), outages: self.outages(outages), clocks: Vec::new() }
            }
            Feed::Tickets => Facts { clocks: self.clocks(clocks), ..Facts::default() },
            Feed::Changes | Feed::Events => Facts::default(),
        }
    }

    fn transitions(&self, all: Vec<TransitionRow>) -> Vec<TransitionRow> {
        let mut first: BTreeMap<&str, Instant> = BTreeMap::new();
        for row in all.iter().filter(|row| row.at <= self.segment.start) {
            let known = first.entry(&row.service).or_insert(row.at);
            *known = row.at.max(*known);
        }
        let is_behind = |row: &&TransitionRow| {
            self.services.contains(&*row.service)
                && row.at < self.segment.end
                && first.get(&*row.service).is_none_or(|first| row.at >= *first)
        };
        all.iter().filter(is_behind).cloned().collect()
    }

    fn outages(&self, mut all: Vec<OutageRow>) -> Vec<OutageRow> {
        let Window { start, end } = self.segment;
        all.retain(|row| {
            let touches = row.started_at < end && row.ended_at.is_none_or(|ended_at| ended_at > start);
            touches && self.services.contains(&*row.service)
        });
        all
    }

    fn clocks(&self, mut all: Vec<ClockRow>) -> Vec<ClockRow> {
        let Window { start, end } = self.segment;
        let key = &self.plan().key;
        all.retain(|row| {
            let is_own = *row.agreement == *key.agreement
                && row.agreement_version == key.version as i32
                && *row.service == *key.service
                && *row.objective == *key.objective;
            let touches = row.started_at < end && row.stopped_at.is_none_or(|stopped_at| stopped_at > start);
            let belongs = row.attributed_at.is_some_and(|at| self.segment.contains(at));
            is_own && if self.plan().counts_levels() { touches } else { belongs }
        });
        all
    }

    /// Of each batch the rows that the result stands on, ascending.
    pub fn events(&self, facts: &Facts, batches: &[EventBatch]) -> Vec<Vec<usize>> {
        let events: Vec<Vec<Event<'_>>> = batches.iter().map(|batch| rows(batch).collect()).collect();
        let all = || events.iter().flatten();
        match self.plan().feed() {
            Feed::State(_) => {
                let tickets = causes(facts);
                let changes = self.changes_within(all());
                let last = self.last_results(all());
                pick(&events, |event| match event.kind() {
                    Some(EventKind::Monitoring) => self.is_result(event, &last),
                    Some(EventKind::Incident) => event.ticket().is_some_and(|ticket| tickets.contains(ticket)),
                    Some(EventKind::Change) => event.ticket().is_some_and(|ticket| changes.contains(ticket)),
                    _ => false,
                })
            }
            Feed::Tickets => {
                let of_clocks: BTreeSet<&str> = facts.clocks.iter().map(|row| &*row.ticket).collect();
                let counts = matches!(self.plan().objective.indicator.signal, Signal::GoodRatio(_));
                let tickets = if counts { self.tickets_within(all(), EventKind::Incident) } else { of_clocks };
                pick(&events, |event| event.is_of(EventKind::Incident, &tickets))
            }
            Feed::Changes => {
                let changes = self.tickets_within(all(), EventKind::Change);
                pick(&events, |event| event.is_of(EventKind::Change, &changes))
            }
            Feed::Events => {
                let counts = |batch: &EventBatch| {
                    let counts = counted(self.portfolio, self.objective, batch);
                    let within = counts.into_iter().filter(|(_, at, _)| self.segment.contains(*at));
                    within.map(|(row, ..)| row).collect()
                };
                batches.iter().map(counts).collect()
            }
        }
    }

    /// The tickets or changes of the service that have a record within the segment.
    fn tickets_within<'e>(&self, events: impl Iterator<Item = &'e Event<'e>>, kind: EventKind) -> BTreeSet<&'e str> {
        let service = &*self.plan().key.service;
        let within = events.filter(|event| event.kind() == Some(kind) && self.segment.contains(event.time()));
        within.filter(|event| event.service() == Some(service)).filter_map(|event| event.ticket()).collect()
    }

    /// The changes whose planned time touches the segment, where the agreement excludes any.
    fn changes_within<'e>(&self, events: impl Iterator<Item = &'e Event<'e>>) -> BTreeSet<&'e str> {
        let Window { start, end } = self.segment;
        let touches = |event: &&Event<'_>| {
            let planned = event.instant(EventColumn::PlannedStart).zip(event.instant(EventColumn::PlannedEnd));
            event.kind() == Some(EventKind::Change) && planned.is_some_and(|(from, until)| from < end && until > start)
        };
        let excludes = self.plan().agreement.maintenance.is_some();
        events.filter(|_| excludes).filter(touches).filter_map(|event| event.ticket()).collect()
    }

    /// Of each check the time of its last result at or before the segment's start.
    fn last_results<'e>(&self, events: impl Iterator<Item = &'e Event<'e>>) -> BTreeMap<(&'e str, &'e str), Instant> {
        let mut last = BTreeMap::new();
        for event in events.filter(|event| event.has_status() && event.time() <= self.segment.start) {
            let known = last.entry(event.check()).or_insert(event.time());
            *known = event.time().max(*known);
        }
        last
    }

    fn is_result(&self, event: &Event<'_>, last: &BTreeMap<(&str, &str), Instant>) -> bool {
        event.has_status()
            && event.service().is_some_and(|service| self.services.contains(service))
            && event.time() < self.segment.end
            && last.get(&event.check()).is_none_or(|last| event.time() >= *last)
    }
}

/// What is named as a cause of states, without the way through parts: checks and tickets.
fn causes(facts: &Facts) -> BTreeSet<&str> {
    let transitions = facts.transitions.iter().map(|row| &*row.causes);
    let named = transitions.chain(facts.outages.iter().map(|row| &*row.causes)).flat_map(|causes| causes.split(','));
    named.flat_map(|cause| [cause, cause.rsplit('/').next().unwrap_or(cause)]).collect()
}

/// Of each batch the rows that are wanted.
fn pick(events: &[Vec<Event<'_>>], wanted: impl Fn(&Event<'_>) -> bool) -> Vec<Vec<usize>> {
    let rows = |batch: &Vec<Event<'_>>| batch.iter().filter(|event| wanted(event)).map(|event| event.row).collect();
    events.iter().map(rows).collect()
}

/// A row of a batch.
struct Event<'a> {
    batch: &'a EventBatch,
    row: usize,
}

fn rows(batch: &EventBatch) -> impl Iterator<Item = Event<'_>> {
    (0..batch.num_rows()).map(move |row| Event { batch, row })
}

impl<'a> Event<'a> {
    fn kind(&self) -> Option<EventKind> {
        EventKind::from_key(self.batch.words(EventColumn::Kind).keys().value(self.row))
    }

    fn time(&self) -> Instant {
        Instant(self.batch.times(EventColumn::Time).value(self.row))
    }

    fn instant(&self, column: EventColumn) -> Option<Instant> {
        let times = self.batch.times(column);
        (!times.is_null(self.row)).then(|| Instant(times.value(self.row)))
    }

    fn service(&self) -> Option<&'a str> {
        self.interned(EventColumn::Service)
    }

    fn ticket(&self) -> Option<&'a str> {
        let tickets = self.batch.text(EventColumn::Ticket);
        (!tickets.is_null(self.row)).then(|| tickets.value(self.row))
    }

    fn is_of(&self, kind: EventKind, tickets: &BTreeSet<&str>) -> bool {
        self.kind() == Some(kind) && self.ticket().is_some_and(|ticket| tickets.contains(ticket))
    }

    fn has_status(&self) -> bool {
        self.kind() == Some(EventKind::Monitoring) && !self.batch.words(EventColumn::Status).is_null(self.row)
    }

    /// What names the check: its service and its own name, which may be left out.
    fn check(&self) -> (&'a str, &'a str) {
        (self.service().unwrap_or_default(), self.interned(EventColumn::Check).unwrap_or_default())
    }

    fn interned(&self, column: EventColumn) -> Option<&'a str> {
        let column = self.batch.interned(column);
        column.key(self.row).map(|key| column.values().as_string::<i32>().value(key))
    }
}

#[cfg(test)]
mod tests;
