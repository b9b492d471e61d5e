//! In: the records of one ticket in order. Out: what happened to it (R19). The choices are listed at the head of
//! `ticket`.

use std::iter;
use std::mem;

use plimsoll_schemas::Instant;
use plimsoll_schemas::event::{Action, TicketState, TicketType};

use super::TicketRecord;
use crate::Name;

/// What happened to a ticket, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketHistory {
    /// When it was opened. Nothing below lies before.
    pub opened_at: Instant,
    /// The cycles that ended in a resolution which did not last, in order.
    pub earlier_cycles: Vec<Cycle>,
    /// The present cycle: since the opening, or since the last reopening.
    pub cycle: Cycle,
    /// When it waited for somebody outside the provider, in order; no two overlap or touch, none is empty. A
    /// cancellation that was withdrawn is a pause too: nobody was to work on it.
    pub pauses: Vec<Pause>,
    /// When it was closed; `None` while it is in any other state.
    pub closed_at: Option<Instant>,
    /// Its last closing, even if it was reopened since; `None` while it is cancelled (R17).
    pub last_closing: Option<Closing>,
    /// When it was cancelled; `None` while it is in any other state.
    pub cancelled_at: Option<Instant>,
    /// What it was from each instant on, in order; the first since the opening, neighbours differ.
    pub attributes: Vec<(Instant, Attributes)>,
    /// What it counts, as last said.
    pub counts: Counts,
    /// What single records of it counted, in order.
    pub counted: Vec<Counted>,
}

/// From the opening or a reopening of a ticket until its resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The opening or reopening.
    pub started_at: Instant,
    /// The first response; `None` while there is none.
    pub acknowledged_at: Option<Instant>,
    /// The resolution; `None` while there is none.
    pub resolved_at: Option<Instant>,
}

/// A time in which a ticket's clocks stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pause {
    /// Its first instant.
    pub paused_at: Instant,
    /// The first instant after it; `None` while it lasts.
    pub resumed_at: Option<Instant>,
}

/// What decides under which objectives a ticket falls (R37), and whether it takes its service down (R3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The service it is about; `None` when nobody ever said (R38).
    pub service: Option<Name>,
    /// Whose ticket it is; `None` when nobody ever said.
    pub customer: Option<Name>,
    /// Its priority; `None` when nobody ever said.
    pub priority: Option<Name>,
    /// What it is for; an incident when nobody ever said.
    pub ticket_type: TicketType,
    /// Whether its service is down because of it.
    pub outage: bool,
}

/// The end of a ticket, with what it counted then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// When it was closed.
    pub closed_at: Instant,
    /// What it counted, as last said while it was closed.
    pub counts: Counts,
}

/// What one record counted, which named both counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The record's time.
    pub at: Instant,
    /// How many things were good.
    pub good: i64,
    /// How many things there were.
    pub total: i64,
    /// What the ticket was then.
    pub attributes: Attributes,
}

/// Good things among all things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many were good; `None` when nobody ever said.
    pub good: Option<i64>,
    /// How many there were; `None` when nobody ever said.
    pub total: Option<i64>,
}

/// A time in which a service was down because a ticket says so (R3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredOutage {
    /// The service.
    pub service: Name,
    /// Its first instant.
    pub started_at: Instant,
    /// The first instant after it; `None` while it lasts.
    pub ended_at: Option<Instant>,
}

/// A time in which a ticket's attributes stayed as they were.
pub(super) struct Segment<'a> {
    pub(super) from: Instant,
    pub(super) until: Option<Instant>,
    pub(super) attributes: &'a Attributes,
}

impl Cycle {
    fn starting(started_at: Instant) -> Cycle {
        Cycle { started_at, acknowledged_at: None, resolved_at: None }
    }
}

impl TicketHistory {
    /// Reads records that are in order; `None` when there is none.
    pub(super) fn read(records: &[TicketRecord]) -> Option<TicketHistory> {
        let first = records.first()?;
        let opened_at = opening(records).unwrap_or(first.time);
        let attributes = Attributes {
            service: records.iter().find_map(|record| record.service.clone()),
            customer: records.iter().find_map(|record| record.customer.clone()),
            priority: records.iter().find_map(|record| record.priority.clone()),
            ticket_type: records.iter().find_map(|record| record.ticket_type).unwrap_or(TicketType::Incident),
            // Unlike a name, an outage that is said later began later.
            outage: first.outage.unwrap_or(false),
        };
        let mut history = TicketHistory {
            opened_at,
            earlier_cycles: Vec::new(),
            cycle: Cycle::starting(opened_at),
            pauses: Vec::new(),
            closed_at: None,
            last_closing: None,
            cancelled_at: None,
            attributes: vec![(opened_at, attributes)],
            counts: Counts::default(),
            counted: Vec::new(),
        };
        for record in records {
            history.learn(record);
            history.follow(record);
            history.correct(record);
        }
        if history.cancelled_at.is_some() {
            history.last_closing = None;
        }
        Some(history)
    }

    /// All cycles, in order: one more than there were reopenings.
    pub fn cycles(&self) -> impl Iterator<Item = &Cycle> {
        self.earlier_cycles.iter().chain(iter::once(&self.cycle))
    }

    /// The outages that this ticket declares, in order: while it says so, knows its service and is neither resolved nor
    /// cancelled.
    pub fn outages(&self) -> Vec<DeclaredOutage> {
        let mut outages: Vec<DeclaredOutage> = Vec::new();
        for cycle in self.cycles() {
            let over_at = earliest(cycle.resolved_at, self.cancelled_at);
            for Segment { from, until, attributes } in self.segments(cycle.started_at, over_at) {
                let Some(service) = attributes.service.as_ref().filter(|_| attributes.outage) else { continue };
                match outages.last_mut() {
                    Some(last) if last.ended_at == Some(from) && last.service == *service => last.ended_at = until,
                    _ if until == Some(from) => {}
                    _ => outages.push(DeclaredOutage { service: service.clone(), started_at: from, ended_at: until }),
                }
            }
        }
        outages
    }

    /// What the ticket was within `[from, until)`, or since `from`: at least one segment, empty if the interval is.
    pub(super) fn segments(&self, from: Instant, until: Option<Instant>) -> impl Iterator<Item = Segment<'_>> {
        let first = self.attributes.partition_point(|(since, _)| *since <= from).saturating_sub(1);
        let here = &self.attributes[first..];
        here.iter()
            .enumerate()
            .take_while(move |(index, (since, _))| *index == 0 || until.is_none_or(|until| *since < until))
            .map(move |(index, (since, attributes))| Segment {
                from: from.max(*since),
                until: earliest(here.get(index + 1).map(|(next, _)| *next), until),
                attributes,
            })
    }

    /// Takes over what the record says of the ticket itself.
    fn learn(&mut self, record: &TicketRecord) {
        let at = self.clamp(record.time);
        if let Some((_, attributes)) = self.attributes.last() {
            let after = Attributes {
                service: record.service.clone().or_else(|| attributes.service.clone()),
                customer: record.customer.clone().or_else(|| attributes.customer.clone()),
                priority: record.priority.clone().or_else(|| attributes.priority.clone()),
                ticket_type: record.ticket_type.unwrap_or(attributes.ticket_type),
                outage: record.outage.unwrap_or(attributes.outage),
            };
            self.attributes.pop_if(|(since, _)| *since == at);
            if self.attributes.last().is_none_or(|(_, before)| *before != after) {
                self.attributes.push((at, after));
            }
        }
        self.counts.good = record.good_count.or(self.counts.good);
        self.counts.total = record.total_count.or(self.counts.total);
        if let (Some(good), Some(total), Some((_, attributes))) =
            (record.good_count, record.total_count, self.attributes.last())
        {
            self.counted.push(Counted { at: record.time, good, total, attributes: attributes.clone() });
        }
    }

    /// Does what the record says was done; a snapshot says it by the state that the ticket has reached (R19).
    fn follow(&mut self, record: &TicketRecord) {
        let at = self.clamp(record.time);
        match (record.action, record.state) {
            (Action::Acknowledged, _) => self.acknowledge(at),
            (Action::Paused, _) => self.pause(at),
            (Action::Resumed, _) => self.resume(at),
            (Action::Resolved, _) => self.resolve(at, at),
            (Action::Reopened, _) => self.reopen(at),
            (Action::Closed, _) | (Action::Snapshot, Some(TicketState::Closed)) => self.close(at, record),
            (Action::Cancelled, _) | (Action::Snapshot, Some(TicketState::Cancelled)) => self.cancel(at),
            (Action::Snapshot, Some(TicketState::New)) => {
                self.reopen(at);
                self.resume(at);
            }
            (Action::Snapshot, Some(TicketState::Active)) => {
                self.reopen(at);
                self.resume(at);
                self.acknowledge(at);
            }
            (Action::Snapshot, Some(TicketState::Paused)) => {
                self.reopen(at);
                self.acknowledge(at);
                self.pause(at);
            }
            (Action::Snapshot, Some(TicketState::Resolved)) => {
                self.closed_at = None;
                self.resolve(at, at);
            }
            (Action::Snapshot, None) | (Action::Opened | Action::Updated, _) => {}
            (Action::Planned | Action::Approved | Action::Started | Action::Finished, _) => {}
        }
    }

    /// Lets the times that the record names explicitly take the place of those found so far.
    fn correct(&mut self, record: &TicketRecord) {
        if let Some(acknowledged_at) = self.own_word(record.acknowledged_at, record) {
            self.cycle.acknowledged_at = Some(acknowledged_at);
        }
        if let (Some(resolved_at), Some(_)) = (self.own_word(record.resolved_at, record), self.cycle.resolved_at) {
            self.cycle.resolved_at = Some(resolved_at);
        }
        if let (Some(closed_at), Some(_)) = (self.own_word(record.closed_at, record), self.closed_at) {
            self.closed_at = Some(closed_at);
        }
        if let Some(closed_at) = self.closed_at {
            self.last_closing = Some(Closing { closed_at, counts: self.counts });
        }
    }

    fn acknowledge(&mut self, at: Instant) {
        if self.is_open() {
            self.cycle.acknowledged_at.get_or_insert(at);
        }
    }

    fn pause(&mut self, at: Instant) {
        if self.is_open() && !self.is_paused() {
            let adjacent = self.pauses.pop_if(|last| last.resumed_at == Some(at));
            let paused_at = adjacent.map_or(at, |last| last.paused_at);
            self.pauses.push(Pause { paused_at, resumed_at: None });
        }
    }

    fn resume(&mut self, at: Instant) {
        self.pauses.pop_if(|last| last.resumed_at.is_none() && last.paused_at == at);
        if let Some(last) = self.pauses.last_mut() {
            last.resumed_at.get_or_insert(at);
        }
    }

    fn resolve(&mut self, at: Instant, resolved_at: Instant) {
        if self.is_open() {
            self.resume(at);
            self.cycle.resolved_at = Some(resolved_at);
        }
    }

    fn close(&mut self, at: Instant, record: &TicketRecord) {
        if self.cancelled_at.is_none() {
            let closed_at = self.own_word(record.closed_at, record).unwrap_or(at);
            self.resolve(at, closed_at);
            self.closed_at.get_or_insert(closed_at);
        }
    }

    fn cancel(&mut self, at: Instant) {
        if self.cancelled_at.is_none() {
            self.resume(at);
            self.closed_at = None;
            self.cancelled_at = Some(at);
        }
    }

    fn reopen(&mut self, at: Instant) {
        if let Some(cancelled_at) = self.cancelled_at.take() {
            self.pause(cancelled_at);
            self.resume(at);
        }
        if self.cycle.resolved_at.is_some() {
            self.closed_at = None;
            self.earlier_cycles.push(mem::replace(&mut self.cycle, Cycle::starting(at)));
        }
    }

    /// Whether it is neither resolved nor cancelled.
    pub fn is_open(&self) -> bool {
        self.cycle.resolved_at.is_none() && self.cancelled_at.is_none()
    }

    fn is_paused(&self) -> bool {
        self.pauses.last().is_some_and(|last| last.resumed_at.is_none())
    }

    /// The time of a record, but not before the opening.
    fn clamp(&self, time: Instant) -> Instant {
        time.max(self.opened_at)
    }

    /// A time that the record names explicitly, if it can be believed.
    fn own_word(&self, named: Option<Instant>, record: &TicketRecord) -> Option<Instant> {
        let started_at = self.cycle.started_at;
        named
            .filter(|named| *named <= record.time && (self.earlier_cycles.is_empty() || *named >= started_at))
            .map(|named| named.max(started_at))
    }
}

/// When the ticket was opened, if any record says.
fn opening(records: &[TicketRecord]) -> Option<Instant> {
    let named = records.iter().rev().find_map(|record| record.opened_at.filter(|named| *named <= record.time));
    named.or_else(|| records.iter().find(|record| record.action == Action::Opened).map(|record| record.time))
}

/// The earlier of two instants that may never come.
pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
