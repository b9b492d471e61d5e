//! The columns in which a decoded event travels: one flat, nullable Arrow schema for all four kinds of event.
//!
//! ```text
//! where it came from   topic, partition, offset
//! every event          source, id, time, kind, service, customer
//! monitoring           check, status, latency_us
//! anything counted     good_count, total_count
//! incident and change  ticket, ticket_type, action, state, sequence, priority, outage,
//!                      opened_at, acknowledged_at, resolved_at, closed_at
//! change               planned_start, planned_end, approved_at, outcome, emergency
//! feedback             score
//! ```
//! Words from a closed list (`kind`, `status`, ...) are dictionaries of 8-bit keys whose values are the whole list in
//! its declared order, so a key *is* the word. Open sets of strings (`service`, `check`, ...) are dictionaries of
//! 32-bit keys. Times are UTC microseconds.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::{Instant, Micros};

/// The longest text that a column takes, in bytes. An id is much shorter; a longer text is a mapping to the wrong
/// place.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// How far an event's time may lie ahead of the clock before it is taken to be the clock's time: what two machines'
/// clocks may differ by.
pub const FUTURE_TOLERANCE: Micros = Micros(5 * 60 * 1_000_000);

/// The time at which an event counts that tells this time and was read at an instant: its own, but one that is further
/// ahead than clocks may differ is taken to be from when it was read (R23).
#[inline]
pub fn counted_time(told: Instant, read_at: Instant) -> Instant {
    if told > read_at + FUTURE_TOLERANCE { read_at } else { told }
}

/// A word from a closed list, stored as its place in that list.
pub trait Vocabulary: Copy + Sized + 'static {
    /// Every word, in the order of their keys.
    const WORDS: &'static [(&'static str, Self)];

    /// The word that is written like this.
    fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|&(_, value)| value)
    }

    /// The word with this key; `None` beyond the list.
    fn from_key(key: i8) -> Option<Self> {
        usize::try_from(key).ok().and_then(|index| Self::WORDS.get(index)).map(|&(_, value)| value)
    }

    /// All words as they are written, for messages.
    fn allowed() -> String {
        Self::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
    }
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[repr(i8)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl Vocabulary for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $name::$variant)),+];
        }

        impl $name {
            /// As events, definitions and tables write it.
            pub fn as_str(self) -> &'static str {
                Self::WORDS[self as usize].0
            }
        }
    };
}

vocabulary! {
    /// The kinds of event.
    EventKind {
        /// A ticket for something broken.
        Incident = "incident",
        /// A result of a check, or counts of good and total.
        Monitoring = "monitoring",
        /// A ticket for something altered.
        Change = "change",
        /// What a user thinks.
        Feedback = "feedback",
    }
}

vocabulary! {
    /// What a check saw.
    Status {
        /// It works.
        Up = "up",
        /// It works badly.
        Degraded = "degraded",
        /// It does not work.
        Down = "down",
        /// The check itself could not tell.
        Unknown = "unknown",
    }
}

vocabulary! {
    /// What happened to a ticket. `snapshot` is the whole record as it stands; the lane finds out what happened (R19).
    Action {
        /// It came into being.
        Opened = "opened",
        /// Somebody took it up: the first response.
        Acknowledged = "acknowledged",
        /// It waits for somebody outside the provider.
        Paused = "paused",
        /// It no longer waits.
        Resumed = "resumed",
        /// It was solved.
        Resolved = "resolved",
        /// It was not solved after all.
        Reopened = "reopened",
        /// It is over.
        Closed = "closed",
        /// It should never have been.
        Cancelled = "cancelled",
        /// Some field of it changed: priority, service, customer, outage.
        Updated = "updated",
        /// The whole record.
        Snapshot = "snapshot",
        /// A change got its time.
        Planned = "planned",
        /// A change was allowed.
        Approved = "approved",
        /// Work on a change began.
        Started = "started",
        /// Work on a change ended, with an outcome.
        Finished = "finished",
    }
}

vocabulary! {
    /// Where a ticket stands, as a snapshot says.
    TicketState {
        /// Nobody has taken it up.
        New = "new",
        /// Somebody works on it.
        Active = "active",
        /// It waits for somebody outside the provider.
        Paused = "paused",
        /// Solved.
        Resolved = "resolved",
        /// Over.
        Closed = "closed",
        /// Should never have been.
        Cancelled = "cancelled",
    }
}

vocabulary! {
    /// What an incident event's ticket is for.
    TicketType {
        /// Something is broken.
        Incident = "incident",
        /// Somebody wants something.
        Request = "request",
    }
}

vocabulary! {
    /// How a change ended.
    Outcome {
        /// As planned.
        Success = "success",
        /// It failed, or had to be undone.
        Failed = "failed",
    }
}

/// The columns of an event, in their order. `column as usize` is its place in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
#[allow(missing_docs, reason = "each is the column of that name, described at the head of this module")]
pub enum EventColumn {
    Topic,
    Partition,
    Offset,
    Source,
    Id,
    Time,
    Kind,
    Service,
    Customer,
    Check,
    Status,
    LatencyUs,
    GoodCount,
    TotalCount,
    Ticket,
    TicketType,
    Action,
    State,
    Sequence,
    Priority,
    Outage,
    OpenedAt,
    AcknowledgedAt,
    ResolvedAt,
    ClosedAt,
    PlannedStart,
    PlannedEnd,
    ApprovedAt,
    Outcome,
    Emergency,
    Score,
}

/// How a column's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// An open set of strings: `Dictionary(Int32, Utf8)`.
    Interned,
    /// Strings that seldom repeat: `Utf8`.
    Text,
    /// A closed list of words: `Dictionary(Int8, Utf8)`.
    Word,
    /// `Timestamp(Microsecond, "UTC")`.
    Time,
    /// `Int64`.
    Integer,
    /// `Int32`.
    SmallInteger,
    /// `Boolean`.
    Boolean,
}

impl EventColumn {
    /// Every column, in order.
    pub const ALL: [EventColumn; 31] = {
        use EventColumn::*;
        [
            Topic,
            Partition,
            Offset,
            Source,
            Id,
            Time,
            Kind,
            Service,
            Customer,
            Check,
            Status,
            LatencyUs,
            GoodCount,
            TotalCount,
            Ticket,
            TicketType,
            Action,
            State,
            Sequence,
            Priority,
            Outage,
            OpenedAt,
            AcknowledgedAt,
            ResolvedAt,
            ClosedAt,
            PlannedStart,
            PlannedEnd,
            ApprovedAt,
            Outcome,
            Emergency,
            Score,
        ]
    };

    /// Its name in the schema and in the tables.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 31] = [
            "topic",
            "partition",
            "offset",
            "source",
            "id",
            "time",
            "kind",
            "service",
            "customer",
            "check",
            "status",
            "latency_us",
            "good_count",
            "total_count",
            "ticket",
            "ticket_type",
            "action",
            "state",
            "sequence",
            "priority",
            "outage",
            "opened_at",
            "acknowledged_at",
            "resolved_at",
            "closed_at",
            "planned_start",
            "planned_end",
            "approved_at",
            "outcome",
            "emergency",
            "score",
        ];
        NAMES[self as usize]
    }

    /// Its name in the plain JSON form and in a mapping: the column's, but `latency_ms` for `latency_us`.
    pub fn field_name(self) -> &'static str {
        if self == EventColumn::LatencyUs { "latency_ms" } else { self.name() }
    }

    /// The column with this field name, among those that a record may fill.
    pub fn from_field_name(name: &str) -> Option<EventColumn> {
        EventColumn::ALL
            .into_iter()
            .filter(|column| *column >= EventColumn::Source)
            .find(|column| column.field_name() == name)
    }

    /// How its values are stored.
    pub fn column_type(self) -> ColumnType {
        use EventColumn::*;
        match self {
            Topic | Source | Service | Customer | Check | Priority => ColumnType::Interned,
            Id | Ticket => ColumnType::Text,
            Kind | Status | TicketType | Action | State | Outcome => ColumnType::Word,
            Time | OpenedAt | AcknowledgedAt | ResolvedAt | ClosedAt | PlannedStart | PlannedEnd | ApprovedAt => {
                ColumnType::Time
            }
            Offset | LatencyUs | GoodCount | TotalCount | Sequence | Score => ColumnType::Integer,
            Partition => ColumnType::SmallInteger,
            Outage | Emergency => ColumnType::Boolean,
        }
    }

    /// The words of a `Word` column, in key order; empty for any other.
    pub fn words(self) -> Vec<&'static str> {
        fn list<V: Vocabulary>() -> Vec<&'static str> {
            V::WORDS.iter().map(|(word, _)| *word).collect()
        }
        match self {
            EventColumn::Kind => list::<EventKind>(),
            EventColumn::Status => list::<Status>(),
            EventColumn::TicketType => list::<TicketType>(),
            EventColumn::Action => list::<Action>(),
            EventColumn::State => list::<TicketState>(),
            EventColumn::Outcome => list::<Outcome>(),
            _ => Vec::new(),
        }
    }

    /// True when a row may leave it empty.
    pub fn nullable(self) -> bool {
        use EventColumn::*;
        !matches!(self, Topic | Partition | Offset | Source | Id | Time | Kind)
    }
}

/// UTC microseconds, the type of every time column.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of every `EventBatch`.
pub fn event_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let dictionary = |key| DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
        let fields = EventColumn::ALL.map(|column| {
            let data_type = match column.column_type() {
                ColumnType::Interned => dictionary(DataType::Int32),
                ColumnType::Text => DataType::Utf8,
                ColumnType::Word => dictionary(DataType::Int8),
                ColumnType::Time => timestamp_type(),
                ColumnType::Integer => DataType::Int64,
                ColumnType::SmallInteger => DataType::Int32,
                ColumnType::Boolean => DataType::Boolean,
            };
            Field::new(column.name(), data_type, column.nullable())
        });
        Arc::new(Schema::new(fields.to_vec()))
    });
    SCHEMA.clone()
}

/// Decoded events as columns: a `RecordBatch` whose schema is `event_schema()` and whose word columns hold exactly
/// their vocabulary, so that keys may be read as words.
#[derive(Clone, Debug)]
pub struct EventBatch(RecordBatch);

impl EventBatch {
    /// Takes a batch with the event schema.
    ///
    /// # Errors
    /// When the schema differs or a word column's dictionary is not its vocabulary.
    pub fn try_new(batch: RecordBatch) -> Result<EventBatch, ArrowError> {
        if batch.schema().fields() != event_schema().fields() {
            return Err(ArrowError::SchemaError(format!("expected the event schema, found {}", batch.schema())));
        }
        for column in EventColumn::ALL.into_iter().filter(|column| column.column_type() == ColumnType::Word) {
            let words = batch.column(column as usize).as_dictionary::<Int8Type>().values().as_string::<i32>().iter();
            if !words.eq(column.words().into_iter().map(Some)) {
                return Err(ArrowError::SchemaError(format!(
                    "the dictionary of column {} is not its vocabulary",
                    column.name()
                )));
            }
        }
        Ok(EventBatch(batch))
    }

    /// A batch of no rows.
    pub fn empty() -> EventBatch {
        let schema = event_schema();
        let columns = schema.fields().iter().zip(EventColumn::ALL).map(|(field, column)| match column.column_type() {
            ColumnType::Word => {
                let words = StringArray::from(column.words());
                Arc::new(DictionaryArray::<Int8Type>::new(Vec::<i8>::new().into(), Arc::new(words))) as _
            }
            _ => arrow_array::new_empty_array(field.data_type()),
        });
        match RecordBatch::try_new(schema.clone(), columns.collect()) {
            Ok(batch) => EventBatch(batch),
            Err(_) => EventBatch(RecordBatch::new_empty(schema.clone())),
        }
    }

    /// The columns.
    pub fn record_batch(&self) -> &RecordBatch {
        &self.0
    }

    /// The columns, given away.
    pub fn into_record_batch(self) -> RecordBatch {
        self.0
    }

    /// How many events.
    pub fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    /// `length` rows from `offset` on, without copying.
    pub fn slice(&self, offset: usize, length: usize) -> EventBatch {
        EventBatch(self.0.slice(offset, length))
    }

    /// The same events as they count when they are read at an instant: one that is further ahead of it than clocks may
    /// differ is taken to be from then (R23).
    ///
    /// # Errors
    /// When the columns do not fit together, which is a defect of this module.
    pub fn counted_at(&self, read_at: Instant) -> Result<EventBatch, ArrowError> {
        let told = self.times(EventColumn::Time).values();
        if told.iter().all(|time| *time == counted_time(Instant(*time), read_at).0) {
            return Ok(self.clone());
        }
        let times = told.iter().map(|time| counted_time(Instant(*time), read_at).0);
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        let mut columns = self.0.columns().to_vec();
        columns[EventColumn::Time as usize] = Arc::new(times);
        EventBatch::try_new(RecordBatch::try_new(event_schema(), columns)?)
    }

    fn column(&self, column: EventColumn) -> &dyn Array {
        self.0.column(column as usize).as_ref()
    }

    /// An `Interned` column.
    pub fn interned(&self, column: EventColumn) -> &DictionaryArray<Int32Type> {
        self.column(column).as_dictionary()
    }

    /// A `Word` column; its keys are the words.
    pub fn words(&self, column: EventColumn) -> &DictionaryArray<Int8Type> {
        self.column(column).as_dictionary()
    }

    /// A `Text` column.
    pub fn text(&self, column: EventColumn) -> &StringArray {
        self.column(column).as_string()
    }

    /// A `Time` column.
    pub fn times(&self, column: EventColumn) -> &TimestampMicrosecondArray {
        self.column(column).as_primitive::<TimestampMicrosecondType>()
    }

    /// An `Integer` column.
    pub fn integers(&self, column: EventColumn) -> &Int64Array {
        self.column(column).as_primitive::<Int64Type>()
    }

    /// A `SmallInteger` column.
    pub fn small_integers(&self, column: EventColumn) -> &Int32Array {
        self.column(column).as_primitive::<Int32Type>()
    }

    /// A `Boolean` column.
    pub fn booleans(&self, column: EventColumn) -> &BooleanArray {
        self.column(column).as_boolean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_know_their_own_place_and_name() {
        for (index, column) in EventColumn::ALL.into_iter().enumerate() {
            assert_eq!(column as usize, index);
            assert_eq!(event_schema().field(index).name(), column.name());
        }
        assert_eq!(EventColumn::from_field_name("latency_ms"), Some(EventColumn::LatencyUs));
        assert_eq!(EventColumn::from_field_name("offset"), None);
    }

    #[test]
    fn a_key_is_the_word() {
        assert_eq!(Status::from_key(2), Some(Status::Down));
        assert_eq!(Status::parse("down"), Some(Status::Down));
        assert_eq!(Status::from_key(4), None);
        assert_eq!(Action::Finished.as_str(), "finished");
        assert!(EventBatch::try_new(EventBatch::empty().into_record_batch()).is_ok());
    }
}
