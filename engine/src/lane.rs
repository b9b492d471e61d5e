//! A lane group: everything that is measured from one set of partitions, as a pure function
//! `(state, deliveries, step) -> (state, facts)`.
//!
//! Rows go to the lane of their key: incidents and changes by ticket, monitoring and feedback by service; what is
//! remembered of them, so that a copy is recognised, by source and id. The number of lanes changes nothing but who does
//! the work (`facts` come out sorted). `fold` takes a delivery; `close` ends the step: first every lane's first stage,
//! then, with what it found out, every lane's second stage, by ranks: first the services that follow no other, then the
//! composites of these, and so on; between two ranks what was found out goes to the lanes of those that follow. Last
//! comes what needs the results of several services: the credits of agreements, and whether their customers are
//! satisfied.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::Name;
use crate::dedup::SeenEvents;
use crate::gate::{Effect, Impact, PlannedChange, effects};
use crate::memory::{Edge, Memory};
use crate::past::{TouchesThePast, refuse_agreements};
use crate::portfolio::{ObjectiveKey, ObjectivePlan, Portfolio, ServiceIndex};
use crate::stage::change::ChangeStage;
use crate::stage::credit::CreditStage;
use crate::stage::outlook::Forecasts;
use crate::stage::service::{ServiceSnapshot, ServiceStage};
use crate::stage::ticket::TicketStage;
use crate::stage::watermelon::WatermelonStage;
use crate::stage::{Contribution, Derived, Facts, Step};
use crate::watermark::{BEGINNING, Watermarks};

mod fold;

pub use fold::counted;

#[cfg(test)]
mod tests;

/// One part of the state: a set of tickets and a set of services.
#[derive(Debug)]
struct Lane {
    seen: SeenEvents,
    tickets: TicketStage,
    changes: ChangeStage,
    services: ServiceStage,
}

/// What became of a delivery's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The rows that count, ascending; `None` when all of them do.
    pub accepted: Option<Vec<u32>>,
    /// Events that were seen before under the same source and id (R20).
    pub duplicates: u64,
    /// Events whose offset had been read before (R20).
    pub already_read: u64,
    /// Events from the future, whose time was taken to be the tick (R23).
    pub clamped: u64,
}

/// See the head of this module.
#[derive(Debug)]
pub struct LaneGroup {
    portfolio: Arc<Portfolio>,
    lanes: Vec<Lane>,
    credits: CreditStage,
    watermelons: WatermelonStage,
    watermarks: Watermarks,
    memory: Memory,
    /// Events that lie in time that is closed.
    closed_events: u64,
    /// Whether no step follows, or, once it is restored, none had followed.
    at_rest: bool,
    /// Whether the present step has read something.
    has_read: bool,
    forecasts: Forecasts,
}

/// The state of a lane.
type LaneSnapshot<'a> = (Cow<'a, SeenEvents>, Cow<'a, TicketStage>, Cow<'a, ChangeStage>, ServiceSnapshot<'a>);

/// The state of a lane group by names, so that it outlives its portfolio and its process. It is borrowed where it is
/// written, for there may be no room for two.
#[derive(Debug, Serialize, Deserialize)]
struct LaneGroupSnapshot<'a> {
    lanes: Vec<LaneSnapshot<'a>>,
    credits: Cow<'a, CreditStage>,
    watermelons: Cow<'a, WatermelonStage>,
    watermarks: Cow<'a, Watermarks>,
    memory: Memory,
    closed_events: u64,
    at_rest: bool,
}

/// A snapshot cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Its bytes are not those that were written: some are missing or others. Remove it: the state is rebuilt from the
    /// input.
    #[error(
        "the snapshot is damaged, or of an earlier version of the program; remove it and those beside it, and the state is \
         rebuilt from the input"
    )]
    Damaged,
    /// Its bytes are not a snapshot of this version of the program. Remove it: the state is rebuilt from the input.
    #[error("the snapshot cannot be read ({0}); remove it and the state is rebuilt from the input")]
    Unreadable(#[from] postcard::Error),
    /// It was taken with another number of lanes.
    #[error("the snapshot has {found} lanes, the settings say {expected}; set the number of lanes back to {found}")]
    Lanes {
        /// In the snapshot.
        found: usize,
        /// In the settings.
        expected: usize,
    },
    /// A new version begins in the past, and does not say that it may (R24).
    #[error(transparent)]
    TouchesThePast(#[from] TouchesThePast),
}

impl LaneGroup {
    /// Nothing was read yet. `lanes` is at least 1.
    pub fn new(portfolio: Arc<Portfolio>, lanes: usize) -> LaneGroup {
        let lane = |_| Lane {
            seen: SeenEvents::default(),
            tickets: TicketStage::default(),
            changes: ChangeStage::default(),
            services: ServiceStage::new(&portfolio),
        };
        LaneGroup {
            lanes: (0..lanes.max(1)).map(lane).collect(),
            credits: CreditStage::default(),
            watermelons: WatermelonStage::default(),
            watermarks: Watermarks::default(),
            memory: Memory::default(),
            closed_events: 0,
            at_rest: true,
            has_read: false,
            forecasts: Forecasts::default(),
            portfolio,
        }
    }

    /// What is measured.
    pub fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }

    /// How far each partition has been read, and the watermark.
    pub fn watermarks(&self) -> &Watermarks {
        &self.watermarks
    }

    /// Says which topics are read from now on: each holds the watermark until it is heard from, others hold nothing
    /// (R23). Where it is not said, whatever was read holds it.
    pub fn follow(&mut self, topics: &BTreeSet<Arc<str>>) {
        self.watermarks.follow(topics);
    }

    /// Remembers what is open and this span behind the watermark from the next step on, and forgets what is older;
    /// until it is told, a new group forgets nothing. See `memory`.
    pub fn remember(&mut self, span: Micros) {
        self.memory.remember(span);
    }

    /// How far behind the watermark is remembered; `None` for everything.
    pub fn remembered(&self) -> Option<Micros> {
        self.memory.remembered()
    }

    /// Moves the watermark to where it was before a recorded step: steps that read and found out nothing are not
    /// recorded, and moved it all the same.
    pub fn resume(&mut self, watermark: Instant) {
        self.watermarks.resume(watermark);
    }

    /// Takes a delivery that is known at `tick`.
    pub fn fold(&mut self, delivery: &Delivery, tick: Instant) -> Folded {
        fold::fold(self, delivery, tick)
    }

    /// Takes how far a partition was read, as `fold` would have found out of events that have no part in what is measured
    /// here: the newest of their times, each at most the tick, and until when the partition is complete.
    pub fn read(
        &mut self,
        partition: &PartitionId,
        next_offset: i64,
        newest: Option<Instant>,
        complete_until: Option<Instant>,
    ) {
        self.watermarks.read(partition, next_offset, newest, complete_until);
    }

    /// Whether events that were accepted before are to be taken again: for objectives whose definition is new or another
    /// one than when the snapshot was taken, for services that are new to the catalogue or whose checks are believed for a
    /// shorter time now, and for observations that were deferred until the group was at rest. Then `begin_recount` is to
    /// be called, `recount` with every event that was accepted before, and `end_recount`, ahead of anything else.
    pub fn wants_recount(&self) -> bool {
        self.lanes.iter().any(|lane| lane.services.wants_recount())
    }

    /// Forgets what was counted and observed where it is to be taken again.
    pub fn begin_recount(&mut self) {
        for lane in &mut self.lanes {
            lane.services.begin_recount(&self.portfolio);
        }
    }

    /// Takes events that were accepted before, in any order, for the objectives and services that want it. Their times
    /// are those by which they were counted: one from the future was taken to be from when it was read. While this goes
    /// on all observations are kept, 8 bytes each.
    pub fn recount(&mut self, events: &EventBatch) {
        fold::recount(self, events);
    }

    /// Says that all were taken.
    pub fn end_recount(&mut self) {
        for lane in &mut self.lanes {
            lane.services.end_recount(&self.portfolio);
        }
    }

    /// How many observations came too late to be applied before all are observed again, which the next group does that
    /// is restored from a snapshot of this one at rest.
    pub fn deferred(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.services.deferred()).sum()
    }

    /// Says that no step follows. Only a snapshot of a group at rest makes the next one take events again for what was
    /// deferred: steps that were recorded after any other were made without, and a replay must find the same.
    pub fn rest(&mut self) {
        self.at_rest = true;
    }

    /// Whether observations were deferred, and this state was not left at rest.
    pub fn wants_rest(&self) -> bool {
        !self.at_rest && self.deferred() > 0
    }

    /// Ends a step: moves the watermark and says what changed. The facts are sorted.
    pub fn close(&mut self, epoch: i64, tick: Instant, publish: bool) -> Facts {
        self.at_rest = false;
        self.has_read = false;
        let watermark = self.watermarks.advance(tick);
        if watermark == BEGINNING {
            // Nothing is known yet, so there is nothing to be said.
            return Facts::default();
        }
        let step = Step { epoch, tick, watermark, publish, closed_until: self.memory.closed_until() };
        let mut facts = Facts::default();
        if publish {
            facts.attainment.reserve(self.portfolio.objectives().len());
            facts.spending.reserve(self.portfolio.objectives().len());
        }
        let mut derived = Vec::new();
        for lane in &mut self.lanes {
            lane.tickets.close(&self.portfolio, &step, &mut facts, &mut derived);
            lane.changes.close(&self.portfolio, &mut derived);
        }
        self.hand_on(derived);
        let portfolio = self.portfolio.clone();
        for rank in portfolio.ranks() {
            let mut derived = Vec::new();
            for number in 0..self.lanes.len() {
                let mine = rank.iter().copied().filter(|service| self.lane_of_service(*service) == number);
                let mine: Vec<ServiceIndex> = mine.collect();
                let (services, mine) = (&mut self.lanes[number].services, mine.into_iter());
                services.close(&portfolio, &step, mine, &mut self.forecasts, &mut facts, &mut derived);
            }
            self.hand_on(derived);
        }
        if publish {
            self.forecasts.turn();
        }
        self.credits.close(&portfolio, &step, &mut facts);
        self.watermelons.close(&portfolio, &step, &mut facts);
        facts.sort();
        if publish && let Some(edge) = self.memory.advance(&portfolio, watermark) {
            self.forget(&edge);
        }
        facts
    }

    fn forget(&mut self, edge: &Edge) {
        for lane in &mut self.lanes {
            lane.tickets.forget(edge);
            lane.changes.forget(edge);
            lane.services.forget(&self.portfolio, edge);
        }
        self.credits.forget(edge.kept_from);
        self.watermelons.forget(edge);
    }

    fn lane_of_service(&self, service: ServiceIndex) -> usize {
        lane_of(&self.portfolio.service(service).id, self.lanes.len())
    }

    /// Hands what was found out to the second stage of the lanes that it concerns.
    fn hand_on(&mut self, derived: Vec<Derived>) {
        for event in derived {
            let service = match &event {
                Derived::Claims { service, .. } | Derived::Maintenance { service, .. } => *service,
                Derived::Contribution(contribution) => self.portfolio.objective(contribution.objective).service,
                Derived::States { follower, .. } => *follower,
            };
            let lane = self.lane_of_service(service);
            self.lanes[lane].services.derive(&self.portfolio, event);
        }
    }

    /// Tells objectives that are defined in another way what tickets and changes counted for them, which is to be counted
    /// elsewhere now: in other windows, or in other minutes of agreed time.
    fn retell(&mut self) {
        if !self.lanes.iter().any(|lane| lane.services.wants_retelling()) {
            return;
        }
        let portfolio = self.portfolio.clone();
        let told = self.lanes.iter().flat_map(|lane| lane.tickets.told().chain(lane.changes.told()));
        let told: Vec<Contribution> = told.filter_map(|told| told.again(&portfolio)).collect();
        for contribution in told {
            let lane = self.lane_of_service(portfolio.objective(contribution.objective).service);
            self.lanes[lane].services.retell(&portfolio, contribution);
        }
        self.lanes.iter_mut().for_each(|lane| lane.services.end_retelling());
    }

    /// Tells services that are new, or were defined in another way, what those that they follow were.
    fn catch_up(&mut self) {
        let (portfolio, known_until) = (self.portfolio.clone(), self.watermarks.watermark());
        let uninformed: BTreeSet<ServiceIndex> =
            self.lanes.iter_mut().flat_map(|lane| lane.services.take_uninformed()).collect();
        for &service in portfolio.ranks().iter().flatten() {
            let followers = || portfolio.service(service).followers.iter().filter(|index| uninformed.contains(index));
            if followers().next().is_none() {
                continue;
            }
            let lane = self.lane_of_service(service);
            let changes = self.lanes[lane].services.history_of(&portfolio, service, known_until);
            let from = Instant(i64::MIN);
            let told =
                followers().map(|&follower| Derived::States { follower, service, from, changes: changes.clone() });
            self.hand_on(told.collect());
        }
    }

    /// The clocks that have not stopped, by instant, objective and ticket: of those that are due after an instant at most
    /// `most`, the next; and as many of those that were due until then, the last.
    pub fn due_around(&self, at: Instant, most: usize) -> Vec<(Instant, &ObjectiveKey, &Name)> {
        let mut ahead: Vec<_> = self.lanes.iter().flat_map(|lane| lane.tickets.due_after(at).take(most)).collect();
        ahead.sort();
        ahead.truncate(most);
        let mut overdue: Vec<_> = self.lanes.iter().flat_map(|lane| lane.tickets.due_until(at).take(most)).collect();
        overdue.sort();
        overdue.reverse();
        overdue.truncate(most);
        ahead.extend(overdue);
        ahead
    }

    /// What a planned change of a service does to the promises that are measured by its state, and by that of services that
    /// are composed of it (R30), each for its windows that the change touches. It is asked after a step, and what happened
    /// until the watermark is known.
    pub fn gate(&self, service: ServiceIndex, change: &PlannedChange) -> Vec<(&ObjectivePlan, Impact)> {
        let now = self.watermarks.watermark();
        let of = |effect: Effect| {
            let stage = &self.lanes[self.lane_of_service(effect.service)].services;
            stage.gate(&self.portfolio, effect, change, now)
        };
        let impacts = effects(&self.portfolio, service).into_iter().flat_map(of);
        impacts.map(|(index, impact)| (self.portfolio.objective(index), impact)).collect()
    }

    /// How many events and counts came too late to be applied to what is remembered.
    pub fn beyond_history(&self) -> u64 {
        let of_lane = |lane: &Lane| {
            lane.services.beyond_history() + lane.tickets.beyond_history() + lane.changes.beyond_history()
        };
        self.closed_events + self.lanes.iter().map(of_lane).sum::<u64>()
    }

    /// How many tickets have no service that the catalogue knows (R38).
    pub fn unassigned(&self) -> usize {
        self.lanes.iter().map(|lane| lane.tickets.unassigned()).sum()
    }

    /// The tickets among them by name, each with the service that was named last.
    pub fn unassigned_tickets(&self) -> impl Iterator<Item = (&Name, Option<&Name>)> {
        self.lanes.iter().flat_map(|lane| lane.tickets.unassigned_tickets())
    }

    /// The changes that have no service that the catalogue knows, likewise.
    pub fn unassigned_changes(&self) -> impl Iterator<Item = (&Name, Option<&Name>)> {
        self.lanes.iter().flat_map(|lane| lane.changes.unassigned(&self.portfolio))
    }

    /// The whole state as bytes.
    ///
    /// # Errors
    /// When it cannot be encoded, which is a defect.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let lanes = self.lanes.iter().map(|lane| {
            let services = lane.services.snapshot(&self.portfolio);
            (Cow::Borrowed(&lane.seen), Cow::Borrowed(&lane.tickets), Cow::Borrowed(&lane.changes), services)
        });
        let snapshot = LaneGroupSnapshot {
            lanes: lanes.collect(),
            credits: Cow::Borrowed(&self.credits),
            watermelons: Cow::Borrowed(&self.watermelons),
            watermarks: Cow::Borrowed(&self.watermarks),
            memory: self.memory,
            closed_events: self.closed_events,
            at_rest: self.at_rest,
        };
        let mut bytes = postcard::to_stdvec(&snapshot)?;
        bytes.extend(checksum(&bytes));
        Ok(bytes)
    }

    /// How far the state that `snapshot` gave has read each partition.
    ///
    /// # Errors
    /// When the bytes are not a snapshot.
    pub fn watermarks_of(bytes: &[u8]) -> Result<Watermarks, SnapshotError> {
        let snapshot: LaneGroupSnapshot = postcard::from_bytes(bytes)?;
        Ok(snapshot.watermarks.into_owned())
    }

    /// The versions of agreements that the state that `snapshot` gave knows, and how far it had read.
    ///
    /// # Errors
    /// When the bytes are not a snapshot.
    pub fn known_by(bytes: &[u8]) -> Result<(BTreeSet<(Name, u32)>, Watermarks), SnapshotError> {
        let snapshot: LaneGroupSnapshot = postcard::from_bytes(bytes)?;
        let known = versions(snapshot.lanes.iter().flat_map(|(.., services)| services.objective_keys()));
        Ok((known, snapshot.watermarks.into_owned()))
    }

    /// The versions of agreements that it knows, also those that the portfolio lacks.
    pub fn known_versions(&self) -> BTreeSet<(Name, u32)> {
        versions(self.lanes.iter().flat_map(|lane| lane.services.objective_keys(&self.portfolio)))
    }

    /// The state that `snapshot` gave, for a portfolio that may have changed since: every ticket and change is read
    /// anew under it.
    ///
    /// # Errors
    /// When the bytes are not a snapshot, or one of another number of lanes, or a new version touches the past without
    /// saying so.
    pub fn restore(portfolio: Arc<Portfolio>, lanes: usize, bytes: &[u8]) -> Result<LaneGroup, SnapshotError> {
        LaneGroup::restore_before(portfolio, lanes, bytes, None)
    }

    /// The same to make the next step again, if one is recorded: whether events were taken again before it (`recounted`)
    /// says whether it was made from a state at rest. Two workers may have saved the state after one step, one of them at
    /// rest.
    ///
    /// # Errors
    /// Those of `restore`.
    pub fn restore_before(
        portfolio: Arc<Portfolio>,
        lanes: usize,
        bytes: &[u8],
        recounted: Option<bool>,
    ) -> Result<LaneGroup, SnapshotError> {
        // Nothing of it is believed before the whole of it is known to be what was written.
        let (state, found) = bytes.split_last_chunk().ok_or(SnapshotError::Damaged)?;
        if *found != checksum(state) {
            return Err(SnapshotError::Damaged);
        }
        let snapshot: LaneGroupSnapshot = postcard::from_bytes(state)?;
        if snapshot.lanes.len() != lanes.max(1) {
            return Err(SnapshotError::Lanes { found: snapshot.lanes.len(), expected: lanes.max(1) });
        }
        let known = versions(snapshot.lanes.iter().flat_map(|(.., services)| services.objective_keys()));
        refuse_agreements(&portfolio, &known, snapshot.watermarks.watermark())?;
        let heard_until = snapshot.watermarks.partitions().filter_map(|(_, progress)| progress.newest).max();
        let at_rest = recounted.unwrap_or(snapshot.at_rest);
        let lanes = snapshot.lanes.into_iter().map(|(seen, tickets, changes, services)| {
            let (mut tickets, mut changes) = (tickets.into_owned(), changes.into_owned());
            tickets.touch_all();
            changes.touch_all();
            let services = ServiceStage::restore(services, &portfolio, heard_until, at_rest);
            Lane { seen: seen.into_owned(), tickets, changes, services }
        });
        let lanes = lanes.collect();
        let (mut credits, mut watermelons) = (snapshot.credits.into_owned(), snapshot.watermelons.into_owned());
        credits.resume(&portfolio);
        watermelons.resume(&portfolio);
        let watermarks = snapshot.watermarks.into_owned();
        let (memory, closed_events) = (snapshot.memory, snapshot.closed_events);
        let mut group = LaneGroup {
            lanes,
            credits,
            watermelons,
            watermarks,
            memory,
            closed_events,
            at_rest,
            has_read: false,
            forecasts: Forecasts::default(),
            portfolio,
        };
        group.retell();
        group.catch_up();
        Ok(group)
    }
}

fn versions<'a>(keys: impl Iterator<Item = &'a ObjectiveKey>) -> BTreeSet<(Name, u32)> {
    keys.map(|key| (key.agreement.clone(), key.version)).collect()
}

/// What stands behind the state in a snapshot.
fn checksum(state: &[u8]) -> [u8; 8] {
    xxh3_64(state).to_le_bytes()
}

/// The lane of a key.
fn lane_of(key: &str, lanes: usize) -> usize {
    if lanes == 1 { 0 } else { (xxh3_64(key.as_bytes()) % lanes as u64) as usize }
}
