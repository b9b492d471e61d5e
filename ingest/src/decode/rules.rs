//! What an event of each kind must have, beyond what its columns' types ask for.
//!
//! `good_count` and `total_count` are two parts of one ratio, so an event has both or neither: one alone would count
//! everything as bad, or nothing at all. Only an incident may name one of them, for what a later record of a ticket
//! leaves out stays as it was. The counts of a change are those of the record alone, so its service stands beside them.

use plimsoll_schemas::delivery::DeadLetterReason;
use plimsoll_schemas::event::{EventColumn, EventKind, Vocabulary};

use super::columns::Cell;
use super::rejection::Rejection;

/// What is known of a row while it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    /// One bit for each column that is filled.
    filled: u32,
    kind: Option<EventKind>,
    good_count: i64,
    total_count: i64,
}

impl Row {
    /// Takes note of a cell.
    #[inline]
    pub(super) fn note(&mut self, column: EventColumn, cell: &Cell<'_>) {
        self.filled |= 1 << column as u32;
        match (column, cell) {
            (EventColumn::Kind, Cell::Word(key)) => self.kind = EventKind::from_key(*key),
            (EventColumn::GoodCount, Cell::Number(count)) => self.good_count = *count,
            (EventColumn::TotalCount, Cell::Number(count)) => self.total_count = *count,
            _ => {}
        }
    }

    /// True when the row has a value in this column.
    #[inline]
    pub(super) fn has(&self, column: EventColumn) -> bool {
        self.filled & (1 << column as u32) != 0
    }

    /// True when the row is a check's result that does not say which check it was.
    #[inline]
    pub(super) fn lacks_check(&self) -> bool {
        self.kind == Some(EventKind::Monitoring) && self.has(EventColumn::Status) && !self.has(EventColumn::Check)
    }

    /// Whether the row has what its kind needs.
    ///
    /// # Errors
    /// `MissingField`, also for a count without its other half or its service; `OutOfRange` when more is good than
    /// there is.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Box<Rejection>> {
        let kind = match self.kind {
            Some(kind) if self.has(EventColumn::Time) => kind,
            Some(_) => return Err(missing("time", "every event")),
            None => return Err(missing("kind", "every event")),
        };
        let needs: &[EventColumn] = match kind {
            EventKind::Monitoring => &[EventColumn::Service],
            EventKind::Incident | EventKind::Change => &[EventColumn::Ticket, EventColumn::Action],
            EventKind::Feedback => &[EventColumn::Score],
        };
        if let Some(column) = needs.iter().find(|column| !self.has(**column)) {
            return Err(missing(column.field_name(), kind.as_str()));
        }
        let (good, total) = (self.has(EventColumn::GoodCount), self.has(EventColumn::TotalCount));
        if good != total && kind != EventKind::Incident {
            let (lacks, has) = if good { ("total_count", "good_count") } else { ("good_count", "total_count") };
            return Err(missing(lacks, has));
        }
        let counted = good && total;
        if counted && kind == EventKind::Change && !self.has(EventColumn::Service) {
            return Err(missing("service", "a change with good_count and total_count"));
        }
        if kind == EventKind::Monitoring
            && !(counted || self.has(EventColumn::Status) || self.has(EventColumn::LatencyUs))
        {
            return Err(missing("status, good_count with total_count, or latency_ms", kind.as_str()));
        }
        if counted && self.good_count > self.total_count {
            let (good, total) = (self.good_count, self.total_count);
            let detail = format!("good_count: found {good}, expected at most the total_count, {total}");
            return Err(Rejection::new(DeadLetterReason::OutOfRange, detail));
        }
        Ok(())
    }
}

#[cold]
fn missing(field: &str, needed_by: &str) -> Box<Rejection> {
    let detail = format!("{field}: missing, but {needed_by} needs it");
    Rejection::new(DeadLetterReason::MissingField, detail)
}
