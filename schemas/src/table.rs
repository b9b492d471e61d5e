//! The columns of every table, and the thin Rust types that mirror their rows.
//!
//! Tables are append-only. A row that changes is written again: rows of `attainment`, `clocks`, `outages` and
//! `transitions` carry their key, a `revision` and `retracted`; the newest revision of a key that is not retracted is
//! the current row, and the views of the query service show just those. Units stand last in names.

use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::{event_schema, timestamp_type};
use crate::ratio::Share;
use crate::time::{Instant, Micros};

/// Every table of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the table of that name; `comment` says what it holds")]
pub enum Table {
    Events,
    DeadLetters,
    Transitions,
    Outages,
    Clocks,
    Measures,
    Attainment,
    Breaches,
    Corrections,
    Agreements,
    Calendars,
    Services,
    Epochs,
}

impl Table {
    /// Every table, in the order in which an epoch commits them.
    pub const ALL: [Table; 13] = [
        Table::Events,
        Table::DeadLetters,
        Table::Transitions,
        Table::Outages,
        Table::Clocks,
        Table::Measures,
        Table::Attainment,
        Table::Breaches,
        Table::Corrections,
        Table::Agreements,
        Table::Calendars,
        Table::Services,
        Table::Epochs,
    ];

    /// Its name in SQL and its folder in the lake.
    pub fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::DeadLetters => "dead_letters",
            Table::Transitions => "transitions",
            Table::Outages => "outages",
            Table::Clocks => "clocks",
            Table::Measures => "measures",
            Table::Attainment => "attainment",
            Table::Breaches => "breaches",
            Table::Corrections => "corrections",
            Table::Agreements => "agreements",
            Table::Calendars => "calendars",
            Table::Services => "services",
            Table::Epochs => "epochs",
        }
    }

    /// What one row is.
    pub fn comment(self) -> &'static str {
        match self {
            Table::Events => "one accepted event; everything else can be rebuilt from here",
            Table::DeadLetters => "one record that could not be used, and why",
            Table::Transitions => "one change of a service's state (R3)",
            Table::Outages => "one maximal interval in which a service was down (R3)",
            Table::Clocks => "one response or resolution clock of one ticket under one objective (R14-R18)",
            Table::Measures => "what an indicator measured in one day bucket; rows of one bucket add up (signed)",
            Table::Attainment => "one objective judged in one window, one row per revision (R12, R22)",
            Table::Breaches => "one promise that was missed, or a retraction of that (R18, R22)",
            Table::Corrections => "one change of a result that was already final (R22)",
            Table::Agreements => "one objective of one version of an agreement, per service it covers",
            Table::Calendars => "one calendar as it was defined",
            Table::Services => "one service of the catalogue as it was defined",
            Table::Epochs => "one input range of one epoch: its intent (what is read, at which tick)",
        }
    }

    /// The columns of its rows as they are handed to the lake.
    pub fn schema(self) -> SchemaRef {
        match self {
            Table::Events => event_table_schema(),
            Table::DeadLetters => schema_of(DEAD_LETTERS),
            Table::Transitions => schema_of(TRANSITIONS),
            Table::Outages => schema_of(OUTAGES),
            Table::Clocks => schema_of(CLOCKS),
            Table::Measures => schema_of(MEASURES),
            Table::Attainment => schema_of(ATTAINMENT),
            Table::Breaches => schema_of(BREACHES),
            Table::Corrections => schema_of(CORRECTIONS),
            Table::Agreements => schema_of(AGREEMENTS),
            Table::Calendars => schema_of(CALENDARS),
            Table::Services => schema_of(SERVICES),
            Table::Epochs => schema_of(EPOCHS),
        }
    }

    /// The column whose UTC date partitions the table; small tables are not partitioned
    /// (docs/decisions/0004-partitions.md).
    pub fn partition_time(self) -> Option<&'static str> {
        (self == Table::Events).then_some("time")
    }
}

/// A row type and the table that it mirrors.
pub trait TableRow: Serialize + DeserializeOwned {
    /// The table.
    const TABLE: Table;
}

/// Rows as columns, in the table's schema.
///
/// # Errors
/// When a row type and its schema disagree, which is a defect of this module.
pub fn to_batch<Row: TableRow>(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let schema = Row::TABLE.schema();
    let batch = serde_arrow::to_record_batch(schema.fields(), &rows)
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    RecordBatch::try_new(schema, batch.columns().to_vec())
}

/// Columns as rows.
///
/// # Errors
/// When the batch lacks a column of the row or holds another type in it.
pub fn from_batch<Row: TableRow>(batch: &RecordBatch) -> Result<Vec<Row>, ArrowError> {
    serde_arrow::from_record_batch(batch).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// A column: name, type, whether it may be null, what it means with its unit.
type Column = (&'static str, Type, bool, &'static str);

#[derive(Clone, Copy)]
enum Type {
    Text,
    Time,
    Integer,
    SmallInteger,
    Boolean,
    Ratio,
    Bytes,
}

const REQUIRED: bool = false;
const OPTIONAL: bool = true;

fn schema_of(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|&(name, data_type, nullable, comment)| {
        let data_type = match data_type {
            Type::Text => DataType::Utf8,
            Type::Time => timestamp_type(),
            Type::Integer => DataType::Int64,
            Type::SmallInteger => DataType::Int32,
            Type::Boolean => DataType::Boolean,
            Type::Ratio => DataType::Decimal128(18, 9),
            Type::Bytes => DataType::Binary,
        };
        Field::new(name, data_type, nullable).with_metadata([("comment".to_owned(), comment.to_owned())].into())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// An event's columns, and when and in which epoch it was accepted.
fn event_table_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields: Vec<_> = event_schema().fields().iter().cloned().collect();
        fields.extend(schema_of(&[RECORDED_AT, EPOCH]).fields().iter().cloned());
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
}

const RECORDED_AT: Column = ("recorded_at", Type::Time, REQUIRED, "tick at which this row became known, UTC");
const EPOCH: Column = ("epoch", Type::Integer, REQUIRED, "epoch that wrote this row");
const REVISION: Column = (
    "revision",
    Type::SmallInteger,
    REQUIRED,
    "0 while provisional, 1 when first final, then one more for each correction (R22)",
);
const RETRACTED: Column = ("retracted", Type::Boolean, REQUIRED, "true when later facts took this row back");
const SERVICE: Column = ("service", Type::Text, REQUIRED, "id of the service");

const DEAD_LETTERS: &[Column] = &[
    ("topic", Type::Text, REQUIRED, "topic or file of the record"),
    ("partition", Type::SmallInteger, REQUIRED, "partition of the record"),
    ("offset", Type::Integer, REQUIRED, "offset of the record"),
    ("source", Type::Text, REQUIRED, "id of the source that tried to map it"),
    ("reason", Type::Text, REQUIRED, "why it could not be used, as a code"),
    ("detail", Type::Text, REQUIRED, "why it could not be used: field, value found, what is allowed"),
    ("payload", Type::Bytes, OPTIONAL, "the record's bytes, cut at 16 KiB"),
    ("payload_bytes", Type::Integer, REQUIRED, "length of the whole record in bytes"),
    ("record_time", Type::Time, OPTIONAL, "the broker's timestamp of the record, UTC"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `dead_letters`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of DEAD_LETTERS, described there")]
pub struct DeadLetterRow {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub source: String,
    pub reason: String,
    pub detail: String,
    #[serde(with = "bytes_as_binary")]
    pub payload: Vec<u8>,
    pub payload_bytes: i64,
    pub record_time: Option<Instant>,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for DeadLetterRow {
    const TABLE: Table = Table::DeadLetters;
}

/// Byte strings as Arrow binary values instead of lists of integers.
mod bytes_as_binary {
    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::with_capacity(sequence.size_hint().unwrap_or(0));
                while let Some(byte) = sequence.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

const TRANSITIONS: &[Column] = &[
    SERVICE,
    ("at", Type::Time, REQUIRED, "when the state changed, UTC"),
    ("state", Type::Text, REQUIRED, "state from then on: excluded, unknown, down, degraded or up"),
    ("causes", Type::Text, REQUIRED, "checks and tickets that brought it about, comma-separated"),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `transitions`; its key is (service, at).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of TRANSITIONS, described there")]
pub struct TransitionRow {
    pub service: String,
    pub at: Instant,
    pub state: String,
    pub causes: String,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for TransitionRow {
    const TABLE: Table = Table::Transitions;
}

const OUTAGES: &[Column] = &[
    SERVICE,
    ("started_at", Type::Time, REQUIRED, "when the service went down, UTC"),
    ("ended_at", Type::Time, OPTIONAL, "when it was no longer down, UTC; null while it is"),
    ("duration_us", Type::Integer, OPTIONAL, "length in microseconds of real time; null while it lasts"),
    ("causes", Type::Text, REQUIRED, "checks and tickets that said so, comma-separated"),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `outages`; its key is (service, started_at).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of OUTAGES, described there")]
pub struct OutageRow {
    pub service: String,
    pub started_at: Instant,
    pub ended_at: Option<Instant>,
    pub duration_us: Option<i64>,
    pub causes: String,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for OutageRow {
    const TABLE: Table = Table::Outages;
}

const AGREEMENT: Column = ("agreement", Type::Text, REQUIRED, "id of the agreement");
const AGREEMENT_VERSION: Column =
    ("agreement_version", Type::SmallInteger, REQUIRED, "version of the agreement, from 1 (R24)");
const AGREEMENT_TYPE: Column = ("agreement_type", Type::Text, REQUIRED, "sla, ola or uc");
const CUSTOMER: Column = ("customer", Type::Text, OPTIONAL, "id of the customer of an SLA");
const OFFERING: Column = ("offering", Type::Text, OPTIONAL, "id of the offering that the agreement follows");
const OBJECTIVE: Column = ("objective", Type::Text, REQUIRED, "id of the objective within its agreement");
const SIGNAL: Column = ("signal", Type::Text, REQUIRED, "what is measured (R10)");

const CLOCKS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("ticket", Type::Text, REQUIRED, "id of the ticket"),
    (
        "cycle",
        Type::SmallInteger,
        REQUIRED,
        "0 for the first run of the clock, one more for each reopening that starts anew (R16)",
    ),
    ("priority", Type::Text, OPTIONAL, "priority of the ticket"),
    ("started_at", Type::Time, REQUIRED, "when the clock started, UTC"),
    ("stopped_at", Type::Time, OPTIONAL, "when it stopped, UTC; null while it runs"),
    (
        "due_at",
        Type::Time,
        OPTIONAL,
        "when the time allowed is or was used up, UTC (R2); null while the clock is paused",
    ),
    (
        "elapsed_us",
        Type::Integer,
        REQUIRED,
        "agreed time used, without pauses, in microseconds (R14); for a running clock, up to recorded_at",
    ),
    ("paused_us", Type::Integer, REQUIRED, "agreed time spent in pauses, in microseconds"),
    ("target_us", Type::Integer, REQUIRED, "agreed time allowed, in microseconds"),
    ("verdict", Type::Text, REQUIRED, "running, met, breached, cancelled (R17) or moved (R37)"),
    (
        "attributed_at",
        Type::Time,
        OPTIONAL,
        "instant whose window the result belongs to (R18), UTC; null while undecided",
    ),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `clocks`; its key is (agreement, version, service, objective, ticket, cycle).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of CLOCKS, described there")]
pub struct ClockRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub service: String,
    pub objective: String,
    pub signal: String,
    pub ticket: String,
    pub cycle: i32,
    pub priority: Option<String>,
    pub started_at: Instant,
    pub stopped_at: Option<Instant>,
    pub due_at: Option<Instant>,
    pub elapsed_us: i64,
    pub paused_us: i64,
    pub target_us: i64,
    pub verdict: String,
    pub attributed_at: Option<Instant>,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for ClockRow {
    const TABLE: Table = Table::Clocks;
}

const GOOD_US: Column = ("good_us", Type::Integer, REQUIRED, "agreed time up, in microseconds");
const BAD_US: Column = ("bad_us", Type::Integer, REQUIRED, "agreed time down, in microseconds");
const DEGRADED_US: Column = ("degraded_us", Type::Integer, REQUIRED, "agreed time degraded, in microseconds (R8)");
const EXCLUDED_US: Column = ("excluded_us", Type::Integer, REQUIRED, "agreed time excluded, in microseconds (R5)");
const UNKNOWN_US: Column = ("unknown_us", Type::Integer, REQUIRED, "agreed time unknown, in microseconds (R4)");
const GOOD_COUNT: Column = ("good_count", Type::Integer, REQUIRED, "good things counted");
const TOTAL_COUNT: Column = ("total_count", Type::Integer, REQUIRED, "things counted");

const MEASURES: &[Column] = &[
    SERVICE,
    SIGNAL,
    ("calendar", Type::Text, REQUIRED, "id of the calendar whose time counts"),
    ("time_zone", Type::Text, REQUIRED, "zone of the bucket's edges"),
    ("bucket_start", Type::Time, REQUIRED, "first instant of the day bucket, UTC"),
    ("bucket_end", Type::Time, REQUIRED, "first instant after it, UTC"),
    GOOD_US,
    BAD_US,
    DEGRADED_US,
    EXCLUDED_US,
    UNKNOWN_US,
    GOOD_COUNT,
    TOTAL_COUNT,
    RECORDED_AT,
    EPOCH,
];

/// A row of `measures`; rows with the same key (service, signal, calendar, time_zone, bucket_start) add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of MEASURES, described there")]
pub struct MeasureRow {
    pub service: String,
    pub signal: String,
    pub calendar: String,
    pub time_zone: String,
    pub bucket_start: Instant,
    pub bucket_end: Instant,
    pub good_us: i64,
    pub bad_us: i64,
    pub degraded_us: i64,
    pub excluded_us: i64,
    pub unknown_us: i64,
    pub good_count: i64,
    pub total_count: i64,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for MeasureRow {
    const TABLE: Table = Table::Measures;
}

const ATTAINMENT: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    OFFERING,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("calendar", Type::Text, REQUIRED, "id of the calendar whose time counts"),
    ("window_kind", Type::Text, REQUIRED, "day, week, month, quarter or year (R13)"),
    ("window_start", Type::Time, REQUIRED, "first instant of the window, UTC"),
    ("window_end", Type::Time, REQUIRED, "first instant after the window, UTC"),
    (
        "segment_start",
        Type::Time,
        REQUIRED,
        "first instant of the window in which this version was in force, UTC (R13)",
    ),
    ("segment_end", Type::Time, REQUIRED, "first instant after that, UTC"),
    ("finality", Type::Text, REQUIRED, "provisional or final (R22)"),
    ("verdict", Type::Text, REQUIRED, "met, at_risk, breached, no_data or insufficient_data"),
    ("target", Type::Text, REQUIRED, "what was promised, e.g. at least 99.9 %"),
    ("target_ratio", Type::Ratio, OPTIONAL, "share promised at least; null for other targets"),
    ("target_us", Type::Integer, OPTIONAL, "time promised at most, in microseconds; null for other targets"),
    ("target_count", Type::Integer, OPTIONAL, "count promised at most; null for other targets"),
    (
        "attainment_ratio",
        Type::Ratio,
        OPTIONAL,
        "good share of what was measured, rounded down; null when nothing was (R11)",
    ),
    GOOD_US,
    BAD_US,
    DEGRADED_US,
    EXCLUDED_US,
    UNKNOWN_US,
    ("agreed_us", Type::Integer, REQUIRED, "agreed time of the whole segment, in microseconds, known in advance"),
    GOOD_COUNT,
    TOTAL_COUNT,
    ("outage_count", Type::Integer, REQUIRED, "outages that touch the segment in agreed time"),
    ("longest_outage_us", Type::Integer, REQUIRED, "longest outage within the segment, in microseconds of agreed time"),
    (
        "budget_us",
        Type::Integer,
        OPTIONAL,
        "bad time that the target allows in the whole segment, in microseconds (R27); null for counted signals",
    ),
    ("budget_left_us", Type::Integer, OPTIONAL, "what is left of it, negative when overspent, in microseconds (R27)"),
    (
        "budget_left_ratio",
        Type::Ratio,
        OPTIONAL,
        "what is left of the error budget as a share of it, negative when overspent (R27); null when there is none",
    ),
    ("breached_at", Type::Time, OPTIONAL, "when the target was out of reach, UTC; null unless breached"),
    REVISION,
    RECORDED_AT,
    EPOCH,
];

/// A row of `attainment`; its key is (agreement, version, service, objective, window_start).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of ATTAINMENT, described there")]
pub struct AttainmentRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub offering: Option<String>,
    pub service: String,
    pub objective: String,
    pub signal: String,
    pub calendar: String,
    pub window_kind: String,
    pub window_start: Instant,
    pub window_end: Instant,
    pub segment_start: Instant,
    pub segment_end: Instant,
    pub finality: String,
    pub verdict: String,
    pub target: String,
    pub target_ratio: Option<Decimal>,
    pub target_us: Option<i64>,
    pub target_count: Option<i64>,
    pub attainment_ratio: Option<Decimal>,
    pub good_us: i64,
    pub bad_us: i64,
    pub degraded_us: i64,
    pub excluded_us: i64,
    pub unknown_us: i64,
    pub agreed_us: i64,
    pub good_count: i64,
    pub total_count: i64,
    pub outage_count: i64,
    pub longest_outage_us: i64,
    pub budget_us: Option<i64>,
    pub budget_left_us: Option<i64>,
    pub budget_left_ratio: Option<Decimal>,
    pub breached_at: Option<Instant>,
    pub revision: i32,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for AttainmentRow {
    const TABLE: Table = Table::Attainment;
}

const BREACHES: &[Column] = &[
    ("event", Type::Text, REQUIRED, "breach, warning or retraction (R18, R28)"),
    ("scope", Type::Text, REQUIRED, "objective or ticket"),
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("ticket", Type::Text, OPTIONAL, "id of the ticket whose clock it is; null for scope objective"),
    ("cycle", Type::SmallInteger, OPTIONAL, "run of the ticket's clock; null for scope objective"),
    ("window_start", Type::Time, OPTIONAL, "window that was missed, UTC; null for scope ticket"),
    ("at", Type::Time, REQUIRED, "instant at which the promise was missed, UTC"),
    ("detail", Type::Text, REQUIRED, "what was promised and what was measured, for people"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `breaches`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of BREACHES, described there")]
pub struct BreachRow {
    pub event: String,
    pub scope: String,
    pub agreement: String,
    pub agreement_version: i32,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub service: String,
    pub objective: String,
    pub signal: String,
    pub ticket: Option<String>,
    pub cycle: Option<i32>,
    pub window_start: Option<Instant>,
    pub at: Instant,
    pub detail: String,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for BreachRow {
    const TABLE: Table = Table::Breaches;
}

const CORRECTIONS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    SERVICE,
    OBJECTIVE,
    ("window_start", Type::Time, REQUIRED, "window whose result changed, UTC"),
    REVISION,
    ("reason", Type::Text, REQUIRED, "why, e.g. late_event"),
    ("before", Type::Text, REQUIRED, "verdict and parts before"),
    ("after", Type::Text, REQUIRED, "verdict and parts after"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `corrections`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of CORRECTIONS, described there")]
pub struct CorrectionRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub service: String,
    pub objective: String,
    pub window_start: Instant,
    pub revision: i32,
    pub reason: String,
    pub before: String,
    pub after: String,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for CorrectionRow {
    const TABLE: Table = Table::Corrections;
}

const AGREEMENTS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    ("name", Type::Text, REQUIRED, "name of the agreement for people"),
    AGREEMENT_TYPE,
    CUSTOMER,
    OFFERING,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("calendar", Type::Text, REQUIRED, "id of the calendar whose time counts"),
    ("window_kind", Type::Text, REQUIRED, "day, week, month, quarter or year (R13)"),
    ("target", Type::Text, REQUIRED, "what is promised, e.g. at least 99.9 %"),
    ("time_zone", Type::Text, REQUIRED, "zone of its windows' edges"),
    ("effective_from", Type::Time, REQUIRED, "first instant in force, UTC"),
    ("effective_until", Type::Time, OPTIONAL, "first instant no longer in force, UTC"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `agreements`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of AGREEMENTS, described there")]
pub struct AgreementRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub name: String,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub offering: Option<String>,
    pub service: String,
    pub objective: String,
    pub signal: String,
    pub calendar: String,
    pub window_kind: String,
    pub target: String,
    pub time_zone: String,
    pub effective_from: Instant,
    pub effective_until: Option<Instant>,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for AgreementRow {
    const TABLE: Table = Table::Agreements;
}

const CALENDARS: &[Column] = &[
    ("calendar", Type::Text, REQUIRED, "id of the calendar"),
    ("time_zone", Type::Text, REQUIRED, "zone of its civil times"),
    ("definition", Type::Text, REQUIRED, "its hours and holidays"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `calendars`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of CALENDARS, described there")]
pub struct CalendarRow {
    pub calendar: String,
    pub time_zone: String,
    pub definition: String,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for CalendarRow {
    const TABLE: Table = Table::Calendars;
}

const SERVICES: &[Column] = &[
    SERVICE,
    ("name", Type::Text, REQUIRED, "name of the service for people"),
    ("tier", Type::Text, OPTIONAL, "its tier"),
    ("owner", Type::Text, OPTIONAL, "team that answers for it"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `services`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of SERVICES, described there")]
pub struct ServiceRow {
    pub service: String,
    pub name: String,
    pub tier: Option<String>,
    pub owner: Option<String>,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for ServiceRow {
    const TABLE: Table = Table::Services;
}

const EPOCHS: &[Column] = &[
    EPOCH,
    ("tick", Type::Time, REQUIRED, "wall-clock time of the epoch, the only one its results know, UTC"),
    ("publish", Type::Boolean, REQUIRED, "true when the epoch also wrote provisional results"),
    ("topic", Type::Text, OPTIONAL, "topic or file read from; null when the epoch read nothing"),
    ("partition", Type::SmallInteger, OPTIONAL, "partition read from"),
    ("from_offset", Type::Integer, OPTIONAL, "first offset of the range"),
    ("until_offset", Type::Integer, OPTIONAL, "first offset after the range"),
    ("caught_up", Type::Boolean, OPTIONAL, "true when the partition had nothing left to read (R23)"),
];

/// A row of `epochs`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of EPOCHS, described there")]
pub struct EpochRow {
    pub epoch: i64,
    pub tick: Instant,
    pub publish: bool,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub from_offset: Option<i64>,
    pub until_offset: Option<i64>,
    pub caught_up: Option<bool>,
}

impl TableRow for EpochRow {
    const TABLE: Table = Table::Epochs;
}

/// A share as a table holds it: an exact decimal of nine places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub Share);

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let billionths = self.0.0;
        let sign = if billionths < 0 { "-" } else { "" };
        let magnitude = billionths.unsigned_abs();
        serializer.collect_str(&format_args!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000))
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: String = text.chars().filter(|character| *character != '.').collect();
        match (text.split_once('.').map(|(_, fraction)| fraction.len()), digits.parse()) {
            (Some(9), Ok(billionths)) => Ok(Decimal(Share(billionths))),
            _ => Err(serde::de::Error::custom(format!("expected a decimal of nine places, found {text}"))),
        }
    }
}

/// Microseconds as a table column holds them.
impl From<Micros> for i64 {
    fn from(length: Micros) -> i64 {
        length.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_the_way_through_columns() {
        let row = AttainmentRow {
            agreement: "acme".into(),
            agreement_version: 1,
            agreement_type: "sla".into(),
            customer: None,
            offering: Some("gold".into()),
            service: "web".into(),
            objective: "availability".into(),
            signal: "availability".into(),
            calendar: "24x7".into(),
            window_kind: "month".into(),
            window_start: Instant(0),
            window_end: Instant(10),
            segment_start: Instant(0),
            segment_end: Instant(10),
            finality: "final".into(),
            verdict: "breached".into(),
            target: "at least 99.9 %".into(),
            target_ratio: Some(Decimal(Share(999_000_000))),
            target_us: None,
            target_count: None,
            attainment_ratio: Some(Decimal(Share(500_000_000))),
            good_us: 5,
            bad_us: 5,
            degraded_us: 0,
            excluded_us: 0,
            unknown_us: 0,
            agreed_us: 10,
            good_count: 0,
            total_count: 0,
            outage_count: 1,
            longest_outage_us: 5,
            budget_us: Some(0),
            budget_left_us: Some(-5),
            budget_left_ratio: Some(Decimal(Share(-2_500_000_001))),
            breached_at: Some(Instant(5)),
            revision: 1,
            recorded_at: Instant(20),
            epoch: 1,
        };
        let batch = to_batch(std::slice::from_ref(&row)).expect("columns");
        assert_eq!(batch.schema(), Table::Attainment.schema());
        assert_eq!(from_batch::<AttainmentRow>(&batch).expect("rows"), [row]);
    }

    #[test]
    fn a_payload_is_binary() {
        let row = DeadLetterRow {
            topic: "t".into(),
            partition: 0,
            offset: 1,
            source: "s".into(),
            reason: "empty".into(),
            detail: String::new(),
            payload: vec![0xff, 0],
            payload_bytes: 2,
            record_time: None,
            recorded_at: Instant(1),
            epoch: 1,
        };
        let batch = to_batch(std::slice::from_ref(&row)).expect("columns");
        assert_eq!(from_batch::<DeadLetterRow>(&batch).expect("rows"), [row]);
    }
}
