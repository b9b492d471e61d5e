//! The columns of every table, and the thin Rust types that mirror their rows.
//!
//! Tables are append-only. A row that changes is written again: rows of `attainment`, `attributions`, `clocks`, `outages`
//! and `transitions` carry their key, a `revision` and `retracted`; the newest revision of a key that is not retracted is
//! the current row, and the views of the query service show just those. Units stand last in names.

use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod attribution;
mod epoch;
mod rows;
mod watermelon;

use attribution::ATTRIBUTIONS;
pub use attribution::AttributionRow;
use epoch::EPOCHS;
pub use epoch::EpochRow;
use rows::*;
pub use rows::{
    AgreementRow, AttainmentRow, BreachRow, CalendarRow, ClockRow, CorrectionRow, CreditRow, DeadLetterRow, MeasureRow,
    OutageRow, ServiceRow, TransitionRow,
};

use watermelon::WATERMELONS;
pub use watermelon::WatermelonRow;

use crate::definition::{Signal, WindowKind};
use crate::event::{event_schema, timestamp_type};
use crate::ratio::Share;
use crate::time::Micros;

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
    Credits,
    Watermelons,
    Breaches,
    Attributions,
    Corrections,
    Agreements,
    Calendars,
    Services,
    Epochs,
}

impl Table {
    /// Every table, in the order in which an epoch commits them.
    pub const ALL: [Table; 16] = [
        Table::Events,
        Table::DeadLetters,
        Table::Transitions,
        Table::Outages,
        Table::Clocks,
        Table::Measures,
        Table::Attainment,
        Table::Credits,
        Table::Watermelons,
        Table::Breaches,
        Table::Attributions,
        Table::Corrections,
        Table::Agreements,
        Table::Calendars,
        Table::Services,
        Table::Epochs,
    ];

    /// Its name in SQL and its folder in the lake.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::DeadLetters => "dead_letters",
            Table::Transitions => "transitions",
            Table::Outages => "outages",
            Table::Clocks => "clocks",
            Table::Measures => "measures",
            Table::Attainment => "attainment",
            Table::Credits => "credits",
            Table::Watermelons => "watermelons",
            Table::Breaches => "breaches",
            Table::Attributions => "attributions",
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
            Table::Credits => "what is given back for missed promises in one window, one row per revision (R34)",
            Table::Watermelons => {
                "scores that breached their target while all other results around them were met (R36)"
            }
            Table::Breaches => "one promise that was or may be missed, or a retraction of that (R18, R22, R28)",
            Table::Attributions => {
                "what one service spent of the budget of a breach, where agreements support one another (R33)"
            }
            Table::Corrections => "one change of a result that was already final (R22)",
            Table::Agreements => "one objective of one version of an agreement, per service it covers",
            Table::Calendars => "one version of a calendar as it was defined",
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
            Table::Credits => schema_of(CREDITS),
            Table::Watermelons => schema_of(WATERMELONS),
            Table::Breaches => schema_of(BREACHES),
            Table::Attributions => schema_of(ATTRIBUTIONS),
            Table::Corrections => schema_of(CORRECTIONS),
            Table::Agreements => schema_of(AGREEMENTS),
            Table::Calendars => schema_of(CALENDARS),
            Table::Services => schema_of(SERVICES),
            Table::Epochs => schema_of(EPOCHS),
        }
    }

    /// The words that may stand in a text column; `None` where any text may.
    pub fn words(self, column: &str) -> Option<&'static [&'static str]> {
        match (self, column) {
            (Table::Clocks, "verdict") => Some(&["running", "met", "breached", "cancelled", "moved"]),
            (_, "verdict" | "verdict_before") => Some(&["met", "at_risk", "breached", "no_data", "insufficient_data"]),
            (_, "supporting_type") => Some(&["ola", "uc"]),
            (_, "agreement_type") => Some(&["sla", "ola", "uc"]),
            (_, "outcome") => Some(&["event", "duplicate"]),
            (_, "event") => Some(&["warning", "breach", "retraction"]),
            (Table::Corrections, "reason") => Some(&["late_event", "definition_change", "retroactive_version"]),
            (_, "limited_by") => Some(&["window", "year"]),
            (_, "finality") => Some(&["provisional", "final"]),
            (_, "retracts") => Some(&["breach", "warning"]),
            (_, "scope") => Some(&["objective", "ticket"]),
            (_, "severity") => Some(&["page", "ticket"]),
            (_, "signal") => Some(&Signal::NAMES),
            (_, "window_kind") => Some(&WindowKind::NAMES),
            _ => None,
        }
    }

    /// The column whose UTC date partitions the table; small tables are not partitioned
    /// (docs/decisions/0004-partitions.md).
    pub fn partition_time(self) -> Option<&'static str> {
        (self == Table::Events).then_some("time")
    }

    /// The text columns by which the rows of a file are sorted, two at most, then by `partition_time`, where there is one;
    /// rows that are alike in all stand in the order in which they came. It is what rows are looked for by, so few pages
    /// hold what a question about one of many asks for; and final results, which mostly are current, stand before those
    /// that are not (docs/decisions/0066-sorted-by-agreement.md).
    pub fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Table::Events => &["service"],
            Table::Attainment => &["finality", "agreement"],
            Table::Clocks => &["agreement"],
            _ => &[],
        }
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

/// An event's columns, whether it was made of a dead letter, and when it was read, and when and in which epoch accepted.
fn event_table_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields: Vec<_> = event_schema().fields().iter().cloned().collect();
        fields.extend(schema_of(&[RETRY, READ_AT, RECORDED_AT, EPOCH]).fields().iter().cloned());
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
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
    use crate::time::Instant;

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
            verdict_before: Some("met".into()),
            target: "at least 99.9 %".into(),
            target_ratio: Some(Decimal(Share(999_000_000))),
            target_us: None,
            target_count: None,
            value_ratio: Some(Decimal(Share(500_000_000))),
            value_us: None,
            value_count: None,
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
            headroom_us: Some(0),
            breach_probability_ratio: Some(Decimal(Share(250_000_000))),
            exhaustion_at: Some(Instant(7)),
            breached_at: Some(Instant(5)),
            credit_ratio: Some(Decimal(Share(100_000_000))),
            retracted: false,
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
            outcome: Some("event".into()),
            retry: Some(3),
            recorded_at: Instant(1),
            epoch: 1,
        };
        let batch = to_batch(std::slice::from_ref(&row)).expect("columns");
        assert_eq!(from_batch::<DeadLetterRow>(&batch).expect("rows"), [row]);
    }
}
