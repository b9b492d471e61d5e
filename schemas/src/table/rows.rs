//! The columns of each table and the row type that mirrors them, table by table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Type::{Boolean, Bytes, Integer, Ratio, SmallInteger, Text, Time};
use super::{Column, Decimal, OPTIONAL, REQUIRED, Table, TableRow};
use crate::delivery::{DEAD_LETTER_PAYLOAD_BYTES_MAX, DeadLetter, PartitionId};
use crate::time::Instant;

pub(super) const READ_AT: Column =
    ("read_at", Time, REQUIRED, "when it was read, UTC: a `time` more than five minutes ahead counts as this (R23)");
pub(super) const RECORDED_AT: Column = ("recorded_at", Time, REQUIRED, "tick at which this row became known, UTC");
pub(super) const EPOCH: Column = ("epoch", Integer, REQUIRED, "epoch that wrote this row");
pub(super) const RETRY: Column = (
    "retry",
    Integer,
    OPTIONAL,
    "number of the request by which a dead letter was taken again; null for a record itself",
);
pub(super) const REVISION: Column = (
    "revision",
    SmallInteger,
    REQUIRED,
    "one more for each time the row was written anew; of attainment: 0 while provisional, 1 when first final (R22)",
);
pub(super) const RETRACTED: Column = ("retracted", Boolean, REQUIRED, "true when later facts took this row back");
pub(super) const SERVICE: Column = ("service", Text, REQUIRED, "id of the service");

pub(super) const DEAD_LETTERS: &[Column] = &[
    ("topic", Text, REQUIRED, "topic or file of the record"),
    ("partition", SmallInteger, REQUIRED, "partition of the record"),
    ("offset", Integer, REQUIRED, "offset of the record"),
    ("source", Text, REQUIRED, "id of the source that tried to map it"),
    ("reason", Text, REQUIRED, "why it could not be used, as a code"),
    ("detail", Text, REQUIRED, "why it could not be used: field, value found, what is allowed"),
    ("payload", Bytes, OPTIONAL, "the record's bytes, cut at 16 KiB"),
    ("payload_bytes", Integer, REQUIRED, "length of the whole record in bytes"),
    ("record_time", Time, OPTIONAL, "the broker's timestamp of the record, UTC"),
    ("outcome", Text, OPTIONAL, "what became of it when it was taken again: event or duplicate; null while it is open"),
    RETRY,
    RECORDED_AT,
    EPOCH,
];

/// A row of `dead_letters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    pub outcome: Option<String>,
    pub retry: Option<i64>,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl DeadLetterRow {
    /// What the table keeps of the record.
    pub fn kept_payload(&self) -> &[u8] {
        &self.payload[..self.payload.len().min(DEAD_LETTER_PAYLOAD_BYTES_MAX)]
    }

    /// A dead letter of a partition, recorded at `tick` in `epoch`.
    pub fn new(partition: &PartitionId, letter: &DeadLetter, tick: Instant, epoch: i64) -> DeadLetterRow {
        DeadLetterRow {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset: letter.offset,
            source: letter.source.to_string(),
            reason: letter.reason.code().to_owned(),
            detail: letter.detail.clone(),
            payload: letter.payload.clone(),
            payload_bytes: letter.payload_bytes,
            record_time: letter.record_time,
            outcome: None,
            retry: None,
            recorded_at: tick,
            epoch,
        }
    }
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

pub(super) const TRANSITIONS: &[Column] = &[
    SERVICE,
    ("at", Time, REQUIRED, "when the state changed, UTC"),
    ("state", Text, REQUIRED, "state from then on: excluded, unknown, down, degraded or up"),
    (
        "causes",
        Text,
        REQUIRED,
        "checks and tickets that brought it about, comma-separated; of a part of a composite with its way, part/check",
    ),
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

pub(super) const OUTAGES: &[Column] = &[
    SERVICE,
    ("started_at", Time, REQUIRED, "when the service went down, UTC"),
    ("ended_at", Time, OPTIONAL, "when it was no longer down, UTC; null while it is"),
    ("duration_us", Integer, OPTIONAL, "length in microseconds of real time; null while it lasts"),
    (
        "causes",
        Text,
        REQUIRED,
        "checks and tickets that said so, comma-separated; of a part of a composite with its way, part/check",
    ),
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

pub(super) const AGREEMENT: Column = ("agreement", Text, REQUIRED, "id of the agreement");
pub(super) const AGREEMENT_VERSION: Column =
    ("agreement_version", SmallInteger, REQUIRED, "version of the agreement, from 1 (R24)");
pub(super) const AGREEMENT_TYPE: Column = ("agreement_type", Text, REQUIRED, "sla, ola or uc");
pub(super) const CUSTOMER: Column = ("customer", Text, OPTIONAL, "id of the customer of an SLA");
pub(super) const OFFERING: Column = ("offering", Text, OPTIONAL, "id of the offering that the agreement follows");
pub(super) const OBJECTIVE: Column = ("objective", Text, REQUIRED, "id of the objective within its agreement");
pub(super) const SIGNAL: Column = ("signal", Text, REQUIRED, "what is measured (R10)");

pub(super) const CLOCKS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("ticket", Text, REQUIRED, "id of the ticket"),
    (
        "cycle",
        SmallInteger,
        REQUIRED,
        "0 for the first run of the clock, one more for each reopening that starts anew (R16)",
    ),
    ("priority", Text, OPTIONAL, "priority of the ticket"),
    ("started_at", Time, REQUIRED, "when the clock started, UTC"),
    ("stopped_at", Time, OPTIONAL, "when it stopped, UTC; null while it runs"),
    ("due_at", Time, OPTIONAL, "when the time allowed is or was used up, UTC (R2); null while the clock is paused"),
    (
        "elapsed_us",
        Integer,
        REQUIRED,
        "agreed time used, without pauses, in microseconds (R14); for a clock that has not stopped, until this row was written",
    ),
    ("paused_us", Integer, REQUIRED, "agreed time spent in pauses, in microseconds, up to the same instant"),
    ("target_us", Integer, REQUIRED, "agreed time allowed, in microseconds"),
    ("verdict", Text, REQUIRED, "running, met, breached, cancelled (R17) or moved (R13, R37)"),
    ("attributed_at", Time, OPTIONAL, "instant whose window the result belongs to (R18), UTC; null while undecided"),
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

pub(super) const GOOD_US: Column = ("good_us", Integer, REQUIRED, "agreed time up, in microseconds");
pub(super) const BAD_US: Column = ("bad_us", Integer, REQUIRED, "agreed time down, in microseconds");
pub(super) const DEGRADED_US: Column = ("degraded_us", Integer, REQUIRED, "agreed time degraded, in microseconds (R8)");
pub(super) const EXCLUDED_US: Column = ("excluded_us", Integer, REQUIRED, "agreed time excluded, in microseconds (R5)");
pub(super) const UNKNOWN_US: Column = ("unknown_us", Integer, REQUIRED, "agreed time unknown, in microseconds (R4)");
pub(super) const GOOD_COUNT: Column = ("good_count", Integer, REQUIRED, "good things counted");
pub(super) const TOTAL_COUNT: Column = ("total_count", Integer, REQUIRED, "things counted");

pub(super) const MEASURES: &[Column] = &[
    SERVICE,
    ("indicator", Text, REQUIRED, "what is measured and by which rule (R10): state, or a counted signal with its rule"),
    ("calendar", Text, REQUIRED, "id of the calendar whose time counts"),
    ("time_zone", Text, REQUIRED, "zone of the bucket's edges"),
    ("customer", Text, OPTIONAL, "customer whose tickets, changes and scores count; null for everybody's"),
    ("bucket_start", Time, REQUIRED, "first instant of the day bucket, UTC"),
    ("bucket_end", Time, REQUIRED, "first instant after it, UTC"),
    (
        "latency_at_most_us",
        Integer,
        OPTIONAL,
        "longest latency of the bin that is counted, in microseconds, where a percentile is promised (R10); null for all else",
    ),
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

/// A row of `measures`; rows with the same key (service, indicator, calendar, time_zone, customer, bucket_start,
/// latency_at_most_us) add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of MEASURES, described there")]
pub struct MeasureRow {
    pub service: String,
    pub indicator: String,
    pub calendar: String,
    pub time_zone: String,
    pub customer: Option<String>,
    pub bucket_start: Instant,
    pub bucket_end: Instant,
    pub latency_at_most_us: Option<i64>,
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

pub(super) const ATTAINMENT: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    OFFERING,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("calendar", Text, REQUIRED, "id of the calendar whose time counts"),
    ("window_kind", Text, REQUIRED, "day, week, month, quarter, year or rolling (R13)"),
    ("window_start", Time, REQUIRED, "first instant of the window, UTC"),
    ("window_end", Time, REQUIRED, "first instant after the window, UTC"),
    ("segment_start", Time, REQUIRED, "first instant of the window in which this version was in force, UTC (R13)"),
    ("segment_end", Time, REQUIRED, "first instant after that, UTC"),
    ("finality", Text, REQUIRED, "provisional or final (R22)"),
    ("verdict", Text, REQUIRED, "met, at_risk, breached, no_data or insufficient_data"),
    (
        "verdict_before",
        Text,
        OPTIONAL,
        "verdict of the row before of this window; null for the first, and where that one took the result back",
    ),
    ("target", Text, REQUIRED, "what was promised, e.g. at least 99.9 %"),
    ("target_ratio", Ratio, OPTIONAL, "share promised; null for other targets"),
    ("target_us", Integer, OPTIONAL, "time promised, in microseconds; null for other targets"),
    ("target_count", Integer, OPTIONAL, "count promised; null for other targets"),
    (
        "value_ratio",
        Ratio,
        OPTIONAL,
        "what was measured, where target_ratio says what was promised; rounded down, null when nothing was (R11)",
    ),
    (
        "value_us",
        Integer,
        OPTIONAL,
        "what was measured, where target_us says what was promised, in microseconds; rounded down, null when nothing was",
    ),
    (
        "value_count",
        Integer,
        OPTIONAL,
        "what was measured, where target_count says what was promised; rounded down, null when nothing was",
    ),
    ("attainment_ratio", Ratio, OPTIONAL, "good share of what was measured, rounded down; null when nothing was (R11)"),
    GOOD_US,
    BAD_US,
    DEGRADED_US,
    EXCLUDED_US,
    UNKNOWN_US,
    ("agreed_us", Integer, REQUIRED, "agreed time of the whole segment, in microseconds, known in advance"),
    GOOD_COUNT,
    TOTAL_COUNT,
    (
        "outage_count",
        Integer,
        REQUIRED,
        "outages that touch the segment in agreed time, for at least min_duration where the objective has one",
    ),
    ("longest_outage_us", Integer, REQUIRED, "longest outage within the segment, in microseconds of agreed time"),
    (
        "budget_us",
        Integer,
        OPTIONAL,
        "bad time that the target allows in the whole segment, in microseconds (R27); null for counted signals",
    ),
    ("budget_left_us", Integer, OPTIONAL, "what is left of it, negative when overspent, in microseconds (R27)"),
    (
        "budget_left_ratio",
        Ratio,
        OPTIONAL,
        "what is left of the error budget as a share of it, negative when overspent (R27); null when there is none",
    ),
    (
        "headroom_us",
        Integer,
        OPTIONAL,
        "longest outage that could start at the watermark and still keep the promise, in microseconds of agreed time \
         (R27); null without a budget of time",
    ),
    (
        "breach_probability_ratio",
        Ratio,
        OPTIONAL,
        "forecast: how likely the window ends breached, in steps of 0.0001 (R29); null when it is over, and for signals \
         that are not forecast",
    ),
    (
        "exhaustion_at",
        Time,
        OPTIONAL,
        "forecast: when the error budget is expected to be spent (R29), or was, UTC; null when that is not within the \
         window",
    ),
    ("breached_at", Time, OPTIONAL, "when the target was out of reach, UTC; null unless breached"),
    (
        "credit_ratio",
        Ratio,
        OPTIONAL,
        "share of the charge that its ladder gives back, before several are combined (R34); null without a ladder",
    ),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `attainment`; its key is (agreement, version, service, objective, window_start). A step may write one of
/// each objective, so their texts are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of ATTAINMENT, described there")]
pub struct AttainmentRow {
    pub agreement: Arc<str>,
    pub agreement_version: i32,
    pub agreement_type: Arc<str>,
    pub customer: Option<Arc<str>>,
    pub offering: Option<Arc<str>>,
    pub service: Arc<str>,
    pub objective: Arc<str>,
    pub signal: Arc<str>,
    pub calendar: Arc<str>,
    pub window_kind: Arc<str>,
    pub window_start: Instant,
    pub window_end: Instant,
    pub segment_start: Instant,
    pub segment_end: Instant,
    pub finality: Arc<str>,
    pub verdict: Arc<str>,
    pub verdict_before: Option<Arc<str>>,
    pub target: Arc<str>,
    pub target_ratio: Option<Decimal>,
    pub target_us: Option<i64>,
    pub target_count: Option<i64>,
    pub value_ratio: Option<Decimal>,
    pub value_us: Option<i64>,
    pub value_count: Option<i64>,
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
    pub headroom_us: Option<i64>,
    pub breach_probability_ratio: Option<Decimal>,
    pub exhaustion_at: Option<Instant>,
    pub breached_at: Option<Instant>,
    pub credit_ratio: Option<Decimal>,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for AttainmentRow {
    const TABLE: Table = Table::Attainment;
}

pub(super) const CREDITS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    OFFERING,
    ("service", Text, OPTIONAL, "id of the service that is charged for; null when it is all of the agreement's"),
    ("window_kind", Text, REQUIRED, "month, quarter or year"),
    ("window_start", Time, REQUIRED, "first instant of the window, UTC"),
    ("window_end", Time, REQUIRED, "first instant after the window, UTC"),
    ("segment_start", Time, REQUIRED, "first instant of the window in which this version was in force, UTC (R13)"),
    ("segment_end", Time, REQUIRED, "first instant after that, UTC"),
    ("finality", Text, REQUIRED, "provisional or final (R22)"),
    ("currency", Text, REQUIRED, "ISO 4217 code of the amounts"),
    ("minor_digits", SmallInteger, REQUIRED, "decimals of the currency: an amount in minor units has so many"),
    ("charge_minor", Integer, REQUIRED, "what is charged in the segment, in minor units"),
    ("credit_ratio", Ratio, REQUIRED, "share of it that the ladders give back together, within the limit of a window"),
    ("credit_minor", Integer, REQUIRED, "what is given back, within all limits, in minor units"),
    ("limited_by", Text, OPTIONAL, "window or year: the limit that made it less; null when none did"),
    ("detail", Text, REQUIRED, "which promises were missed and what each gives back, for people; empty when none"),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `credits`; its key is (agreement, version, service, window_start, window_end).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of CREDITS, described there")]
pub struct CreditRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub offering: Option<String>,
    pub service: Option<String>,
    pub window_kind: String,
    pub window_start: Instant,
    pub window_end: Instant,
    pub segment_start: Instant,
    pub segment_end: Instant,
    pub finality: String,
    pub currency: String,
    pub minor_digits: i32,
    pub charge_minor: i64,
    pub credit_ratio: Decimal,
    pub credit_minor: i64,
    pub limited_by: Option<String>,
    pub detail: String,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for CreditRow {
    const TABLE: Table = Table::Credits;
}

pub(super) const BREACHES: &[Column] = &[
    ("event", Text, REQUIRED, "breach, warning or retraction (R18, R28)"),
    ("scope", Text, REQUIRED, "objective or ticket"),
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("ticket", Text, OPTIONAL, "id of the ticket whose clock it is; null for scope objective"),
    ("cycle", SmallInteger, OPTIONAL, "run of the ticket's clock; null for scope objective"),
    ("window_start", Time, OPTIONAL, "window that was missed or may be missed, UTC; null for scope ticket"),
    ("at", Time, REQUIRED, "instant at which the promise was missed, or from which the warning holds, UTC"),
    ("detail", Text, REQUIRED, "what was promised and what was measured, for people"),
    ("retracts", Text, OPTIONAL, "breach or warning: what a retraction takes back; null for others"),
    (
        "threshold_ratio",
        Ratio,
        OPTIONAL,
        "of a warning: the share of the time or budget that is used up, or the burn rate where span_us is there \
         (R27, R28)",
    ),
    (
        "span_us",
        Integer,
        OPTIONAL,
        "of a warning of the burn rate: the long span, in microseconds of agreed time (R27); null for others",
    ),
    ("severity", Text, OPTIONAL, "of a warning of the burn rate: page or ticket; null for others"),
    (
        "ended_at",
        Time,
        OPTIONAL,
        "of a warning of the burn rate: when the budget burnt so fast no longer, UTC; null while it does, and for others (R27)",
    ),
    REVISION,
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
    pub retracts: Option<String>,
    pub threshold_ratio: Option<Decimal>,
    pub span_us: Option<i64>,
    pub severity: Option<String>,
    pub ended_at: Option<Instant>,
    pub revision: i32,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for BreachRow {
    const TABLE: Table = Table::Breaches;
}

pub(super) const CORRECTIONS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    ("service", Text, OPTIONAL, "id of the service; null for a credit of all services"),
    ("objective", Text, OPTIONAL, "id of the objective within its agreement; null for a credit (R34)"),
    ("window_start", Time, REQUIRED, "window whose result changed, UTC"),
    REVISION,
    ("reason", Text, REQUIRED, "why: late_event, definition_change or retroactive_version (R24)"),
    ("before", Text, REQUIRED, "verdict and parts before, or the credit"),
    ("after", Text, REQUIRED, "verdict and parts after, or the credit"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `corrections`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of CORRECTIONS, described there")]
pub struct CorrectionRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub service: Option<String>,
    pub objective: Option<String>,
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

pub(super) const AGREEMENTS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    ("name", Text, REQUIRED, "name of the agreement for people"),
    AGREEMENT_TYPE,
    CUSTOMER,
    OFFERING,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("calendar", Text, REQUIRED, "id of the calendar whose time counts"),
    ("window_kind", Text, REQUIRED, "day, week, month, quarter, year or rolling (R13)"),
    ("target", Text, REQUIRED, "what is promised, e.g. at least 99.9 %"),
    ("time_zone", Text, REQUIRED, "zone of its windows' edges"),
    ("effective_from", Time, REQUIRED, "first instant in force, UTC"),
    ("effective_until", Time, OPTIONAL, "first instant no longer in force, UTC"),
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

pub(super) const CALENDARS: &[Column] = &[
    ("calendar", Text, REQUIRED, "id of the calendar"),
    ("calendar_version", SmallInteger, REQUIRED, "version of the calendar, from 1 (R24)"),
    ("time_zone", Text, REQUIRED, "zone of its civil times"),
    ("definition", Text, REQUIRED, "its hours and holidays"),
    ("effective_from", Time, OPTIONAL, "first instant in force, UTC; null when it was so ever since"),
    ("effective_until", Time, OPTIONAL, "first instant no longer in force, UTC"),
    RECORDED_AT,
    EPOCH,
];

/// A row of `calendars`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of CALENDARS, described there")]
pub struct CalendarRow {
    pub calendar: String,
    pub calendar_version: i32,
    pub time_zone: String,
    pub definition: String,
    pub effective_from: Option<Instant>,
    pub effective_until: Option<Instant>,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for CalendarRow {
    const TABLE: Table = Table::Calendars;
}

pub(super) const SERVICES: &[Column] = &[
    SERVICE,
    ("name", Text, REQUIRED, "name of the service for people"),
    ("tier", Text, OPTIONAL, "its tier"),
    ("owner", Text, OPTIONAL, "team that answers for it"),
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
