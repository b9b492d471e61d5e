//! A delivery's rows, handed to their lanes straight from the columns.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{BooleanArray, DictionaryArray, Int8Array, Int64Array, StringArray, TimestampMicrosecondArray};
use plimsoll_schemas::delivery::Delivery;
use plimsoll_schemas::event::{
    Action, EventBatch, EventColumn, EventKind, Outcome, Status, TicketState, TicketType, Vocabulary, counted_time,
};
use plimsoll_schemas::{Instant, Micros};

use super::{Folded, Lane, LaneGroup, lane_of};
use crate::Name;
use crate::dedup::{EventHash, source_seed};
use crate::portfolio::{ObjectiveIndex, Portfolio, ServiceIndex};
use crate::stage::change::ChangeRecord;
use crate::stage::service::Counts;
use crate::ticket::TicketRecord;

/// Takes a delivery into the state of its lanes; see `LaneGroup::fold`.
///
/// In three passes, each a tight loop: which rows are new by offset, which of them are new by id, and what they say.
/// The second pass looks up one random place in a large table per row; on its own, many of these wait for memory at
/// once.
pub fn fold(group: &mut LaneGroup, delivery: &Delivery, tick: Instant) -> Folded {
    let mut rows = Rows::new(&delivery.events);
    let read_until = group.watermarks.next_offset(&delivery.partition).unwrap_or(i64::MIN);
    let total = delivery.events.num_rows();
    let unread = match delivery.partition.is_retries() {
        // A request is taken as a whole; its rows have the offsets at which their records stood.
        true if delivery.until_offset <= read_until => total,
        true => 0,
        false => rows.offsets.values().partition_point(|offset| *offset < read_until),
    };
    let mut folded = Folded { already_read: unread as u64, ..Folded::default() };

    // Here and not when a step ends: every step that reads is recorded, so a replay forgets the same events. And once a
    // step, for a replay cuts what it reads into other deliveries.
    if unread < total && !std::mem::replace(&mut group.has_read, true) {
        for lane in &mut group.lanes {
            lane.seen.advance(group.watermarks.watermark());
        }
    }
    let hashes: Vec<EventHash> = (unread..total).map(|row| rows.hash(row)).collect();
    let read_at = delivery.read_at.unwrap_or(tick);
    let time_of = |told: Instant| counted_time(told, read_at);
    let mut accepted: Vec<u32> = Vec::with_capacity(hashes.len());
    let lanes = group.lanes.len();
    for (row, hash) in (unread..total).zip(hashes) {
        if group.lanes[hash.lane(lanes)].seen.insert(hash, time_of(Instant(rows.times.value(row)))) {
            accepted.push(row as u32);
        }
    }
    folded.duplicates = (total - unread - accepted.len()) as u64;

    let mut newest = None;
    for &row in &accepted {
        let row = row as usize;
        let told = Instant(rows.times.value(row));
        let time = time_of(told);
        folded.clamped += u64::from(time != told);
        newest = newest.max(Some(time));
        if time < group.memory.closed_until() {
            group.closed_events += 1;
            continue;
        }
        rows.hand_over(&group.portfolio, &mut group.lanes, row, time);
    }
    if accepted.len() < total {
        folded.accepted = Some(accepted);
    }
    group.watermarks.read(&delivery.partition, delivery.until_offset, newest, delivery.complete_until);
    if let Some(id) = &delivery.topic_id {
        group.watermarks.identify(&delivery.partition.topic, id);
    }
    folded
}

/// Takes events anew; see `LaneGroup::recount`.
pub fn recount(group: &mut LaneGroup, events: &EventBatch) {
    let mut rows = Rows::new(events);
    for row in 0..events.num_rows() {
        let Some(kind) = rows.kind(row) else { continue };
        let Some(service) = rows.service(&group.portfolio, row) else { continue };
        let lane = lane_of(rows.service_names.text(row).unwrap_or_default(), group.lanes.len());
        let (services, time) = (&mut group.lanes[lane].services, Instant(rows.times.value(row)));
        if let Some((check, status)) = rows.observation(row, kind) {
            services.reobserve(group.portfolio.service(service), service, check, time, status);
        }
        services.recount(&group.portfolio, service, &rows.counts(row, kind, time));
    }
}

/// The events of a batch that count under an objective which single events feed, each with its row, its time, and the
/// good and total that it counts.
pub fn counted(
    portfolio: &Portfolio,
    objective: ObjectiveIndex,
    events: &EventBatch,
) -> Vec<(usize, Instant, (i64, i64))> {
    let plan = portfolio.objective(objective);
    let mut rows = Rows::new(events);
    let count = |row: usize| {
        let kind = rows.kind(row)?;
        let is_about = rows.service(portfolio, row) == Some(plan.service);
        let event = rows.counts(row, kind, Instant(rows.times.value(row)));
        let counts = event.under(plan).filter(|_| is_about)?;
        Some((row, event.time, counts))
    };
    (0..events.num_rows()).filter_map(count).collect()
}

/// The columns of a batch, with what each dictionary value means looked up at most once.
struct Rows<'a> {
    batch: &'a EventBatch,
    offsets: &'a Int64Array,
    times: &'a TimestampMicrosecondArray,
    ids: &'a StringArray,
    sources: Interned<'a, u64>,
    services: Interned<'a, Option<ServiceIndex>>,
    service_names: Interned<'a, Name>,
    customers: Interned<'a, Name>,
    priorities: Interned<'a, Name>,
    kinds: &'a Int8Array,
    statuses: &'a Int8Array,
    checks: &'a DictionaryArray<Int32Type>,
    check_names: &'a StringArray,
}

impl<'a> Rows<'a> {
    fn new(batch: &'a EventBatch) -> Rows<'a> {
        let checks = batch.interned(EventColumn::Check);
        Rows {
            batch,
            offsets: batch.integers(EventColumn::Offset),
            times: batch.times(EventColumn::Time),
            ids: batch.text(EventColumn::Id),
            sources: Interned::new(batch, EventColumn::Source),
            services: Interned::new(batch, EventColumn::Service),
            service_names: Interned::new(batch, EventColumn::Service),
            customers: Interned::new(batch, EventColumn::Customer),
            priorities: Interned::new(batch, EventColumn::Priority),
            kinds: batch.words(EventColumn::Kind).keys(),
            statuses: batch.words(EventColumn::Status).keys(),
            checks,
            check_names: checks.values().as_string(),
        }
    }

    fn hash(&mut self, row: usize) -> EventHash {
        let seed = self.sources.get(row, source_seed).unwrap_or_default();
        EventHash::new(seed, self.ids.value(row))
    }

    fn kind(&self, row: usize) -> Option<EventKind> {
        EventKind::from_key(self.kinds.value(row))
    }

    /// The lane of a row: tickets go by ticket, everything else by service.
    fn lane(&self, row: usize, lanes: usize) -> usize {
        if lanes == 1 {
            return 0;
        }
        let by_ticket = matches!(self.kind(row), Some(EventKind::Incident | EventKind::Change));
        let key =
            if by_ticket { text(self.batch.text(EventColumn::Ticket), row) } else { self.service_names.text(row) };
        lane_of(key.unwrap_or_default(), lanes)
    }

    /// Gives a row to its lane.
    fn hand_over(&mut self, portfolio: &Portfolio, lanes: &mut [Lane], row: usize, time: Instant) {
        let lane = self.lane(row, lanes.len());
        match self.kind(row) {
            Some(EventKind::Monitoring) => self.monitoring(portfolio, lanes, lane, row, time),
            Some(EventKind::Feedback) => self.count(portfolio, lanes, lane, row, EventKind::Feedback, time),
            Some(EventKind::Incident) => {
                let record = self.ticket_record(row, time);
                if let Some(ticket) = text(self.batch.text(EventColumn::Ticket), row) {
                    lanes[lane].tickets.observe(ticket, record);
                }
                self.count_by_service(portfolio, lanes, row, EventKind::Incident, time);
            }
            Some(EventKind::Change) => {
                let record = self.change_record(row, time);
                if let Some(change) = text(self.batch.text(EventColumn::Ticket), row) {
                    lanes[lane].changes.observe(change, record);
                }
                self.count_by_service(portfolio, lanes, row, EventKind::Change, time);
            }
            None => {}
        }
    }

    fn service(&mut self, portfolio: &Portfolio, row: usize) -> Option<ServiceIndex> {
        self.services.get(row, |id| portfolio.service_place(id)).flatten()
    }

    fn monitoring(&mut self, portfolio: &Portfolio, lanes: &mut [Lane], lane: usize, row: usize, time: Instant) {
        let Some(service) = self.service(portfolio, row) else { return };
        let plan = portfolio.service(service);
        if let Some((check, status)) = self.observation(row, EventKind::Monitoring) {
            lanes[lane].services.observe(plan, service, check, time, status);
        }
        if !plan.event_objectives.is_empty() {
            self.count(portfolio, lanes, lane, row, EventKind::Monitoring, time);
        }
    }

    /// What a check saw; `None` when the row tells of none.
    fn observation(&self, row: usize, kind: EventKind) -> Option<(&'a str, Status)> {
        if kind != EventKind::Monitoring || self.statuses.is_null(row) {
            return None;
        }
        let check = self.checks.key(row).map_or("", |key| self.check_names.value(key));
        Some((check, Status::from_key(self.statuses.value(row))?))
    }

    /// Counts of tickets belong to the lane of their service, not of their ticket.
    fn count_by_service(
        &mut self,
        portfolio: &Portfolio,
        lanes: &mut [Lane],
        row: usize,
        kind: EventKind,
        time: Instant,
    ) {
        if let Some(id) = self.service_names.text(row) {
            let lane = lane_of(id, lanes.len());
            self.count(portfolio, lanes, lane, row, kind, time);
        }
    }

    fn count(
        &mut self,
        portfolio: &Portfolio,
        lanes: &mut [Lane],
        lane: usize,
        row: usize,
        kind: EventKind,
        time: Instant,
    ) {
        let Some(service) = self.service(portfolio, row) else { return };
        let event = self.counts(row, kind, time);
        lanes[lane].services.count(portfolio, service, &event);
    }

    fn counts(&mut self, row: usize, kind: EventKind, time: Instant) -> Counts {
        let good = integer(self.batch, EventColumn::GoodCount, row);
        let counted = good.zip(integer(self.batch, EventColumn::TotalCount, row));
        Counts {
            kind,
            time,
            customer: self.customers.get(row, name),
            counted,
            score: integer(self.batch, EventColumn::Score, row),
            latency: integer(self.batch, EventColumn::LatencyUs, row).map(Micros),
        }
    }

    fn ticket_record(&mut self, row: usize, time: Instant) -> TicketRecord {
        let at = |column| instant(self.batch, column, row);
        TicketRecord {
            time,
            sequence: integer(self.batch, EventColumn::Sequence, row).unwrap_or(i64::MIN),
            action: word::<Action>(self.batch, EventColumn::Action, row).unwrap_or(Action::Updated),
            state: word::<TicketState>(self.batch, EventColumn::State, row),
            service: self.service_names.get(row, name),
            customer: self.customers.get(row, name),
            priority: self.priorities.get(row, name),
            outage: boolean(self.batch.booleans(EventColumn::Outage), row),
            opened_at: at(EventColumn::OpenedAt),
            acknowledged_at: at(EventColumn::AcknowledgedAt),
            resolved_at: at(EventColumn::ResolvedAt),
            closed_at: at(EventColumn::ClosedAt),
            good_count: integer(self.batch, EventColumn::GoodCount, row),
            total_count: integer(self.batch, EventColumn::TotalCount, row),
            ticket_type: word::<TicketType>(self.batch, EventColumn::TicketType, row),
        }
    }

    fn change_record(&mut self, row: usize, time: Instant) -> ChangeRecord {
        let at = |column| instant(self.batch, column, row);
        ChangeRecord {
            time,
            sequence: integer(self.batch, EventColumn::Sequence, row).unwrap_or(i64::MIN),
            action: word::<Action>(self.batch, EventColumn::Action, row).unwrap_or(Action::Updated),
            state: word::<TicketState>(self.batch, EventColumn::State, row),
            outcome: word::<Outcome>(self.batch, EventColumn::Outcome, row),
            planned_start: at(EventColumn::PlannedStart),
            planned_end: at(EventColumn::PlannedEnd),
            approved_at: at(EventColumn::ApprovedAt),
            resolved_at: at(EventColumn::ResolvedAt),
            closed_at: at(EventColumn::ClosedAt),
            emergency: boolean(self.batch.booleans(EventColumn::Emergency), row),
            service: self.service_names.get(row, name),
            customer: self.customers.get(row, name),
        }
    }
}

/// An interned column and what each of its values means, once that was asked.
struct Interned<'a, Meaning> {
    column: &'a DictionaryArray<Int32Type>,
    values: &'a StringArray,
    meanings: Vec<Option<Meaning>>,
}

impl<'a, Meaning: Clone> Interned<'a, Meaning> {
    fn new(batch: &'a EventBatch, column: EventColumn) -> Interned<'a, Meaning> {
        let column = batch.interned(column);
        let values = column.values().as_string();
        Interned { column, values, meanings: vec![None; values.len()] }
    }

    fn get(&mut self, row: usize, mean: impl FnOnce(&str) -> Meaning) -> Option<Meaning> {
        let key = self.column.key(row)?;
        Some(self.meanings[key].get_or_insert_with(|| mean(self.values.value(key))).clone())
    }

    fn text(&self, row: usize) -> Option<&'a str> {
        self.column.key(row).map(|key| self.values.value(key))
    }
}

fn name(text: &str) -> Name {
    Name::from(text)
}

fn word<V: Vocabulary>(batch: &EventBatch, column: EventColumn, row: usize) -> Option<V> {
    let words = batch.words(column);
    if words.is_null(row) { None } else { V::from_key(words.keys().value(row)) }
}

fn integer(batch: &EventBatch, column: EventColumn, row: usize) -> Option<i64> {
    let integers = batch.integers(column);
    (!integers.is_null(row)).then(|| integers.value(row))
}

fn instant(batch: &EventBatch, column: EventColumn, row: usize) -> Option<Instant> {
    let times = batch.times(column);
    (!times.is_null(row)).then(|| Instant(times.value(row)))
}

fn boolean(column: &BooleanArray, row: usize) -> Option<bool> {
    (!column.is_null(row)).then(|| column.value(row))
}

fn text(column: &StringArray, row: usize) -> Option<&str> {
    (!column.is_null(row)).then(|| column.value(row))
}
