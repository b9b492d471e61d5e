//! What a Delta table of the lake looks like: its schema, its first log entry, and whether one that was found still
//! fits this version.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arrow_schema::{DataType, Field};
use chrono::Utc;
use plimsoll_schemas::table::Table;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::LakeError;
use crate::log::entry_text;

/// The partition column, derived from the table's partition time; it stands in the paths, not in the files.
pub(crate) const DATE: &str = "date";

/// The newest protocol this version reads and writes: no table features, so that every Delta reader can follow.
const READER_VERSION: i32 = 1;
const WRITER_VERSION: i32 = 2;

/// The `protocol` action: what a reader and a writer must be able to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    min_reader_version: i32,
    min_writer_version: i32,
}

impl Protocol {
    /// As a checkpoint tells it.
    pub(crate) fn action(&self) -> Value {
        json!({"protocol": {"minReaderVersion": self.min_reader_version, "minWriterVersion": self.min_writer_version}})
    }
}

/// The `metaData` action: the columns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    schema_string: String,
    #[serde(default)]
    partition_columns: Vec<String>,
    /// What else it tells, in whatever order.
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// What it tells else, as the protocol names it; a checkpoint has no room for more.
const REST: [&str; 6] = ["configuration", "createdTime", "description", "format", "id", "name"];

impl Metadata {
    /// As a checkpoint tells it.
    pub(crate) fn action(&self) -> Value {
        let mut told = json!({"schemaString": self.schema_string, "partitionColumns": self.partition_columns});
        for name in REST {
            if let Some(value) = self.rest.get(name).filter(|value| !value.is_null()) {
                told[name] = plain(value);
            }
        }
        json!({"metaData": told})
    }
}

/// A value as it is read from a checkpoint: names in order, and none without a value.
fn plain(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let members: BTreeMap<&String, &Value> = members.iter().filter(|(_, value)| !value.is_null()).collect();
    Value::Object(members.into_iter().map(|(name, value)| (name.clone(), plain(value))).collect())
}

#[derive(Deserialize)]
struct DeltaSchema {
    fields: Vec<DeltaField>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct DeltaField {
    name: String,
    #[serde(rename = "type")]
    data_type: Value,
    nullable: bool,
}

/// Tables from which the others can be made anew; what they have lost only a backup or Kafka has.
pub(crate) const SOURCES: [Table; 3] = [Table::Events, Table::DeadLetters, Table::Epochs];

/// What to do about a table that is damaged or gone.
pub(crate) fn repair(table: Table) -> &'static str {
    match SOURCES.contains(&table) {
        true => {
            "restore it from a backup, or read the topics from their beginning into a fresh lake, if Kafka has all of \
             them still"
        }
        false => "restore it from a backup, or make the tables anew from stored events: plimsoll rebuild",
    }
}

/// Log entry 0 of a table: protocol and metadata, one JSON action a line.
pub(crate) fn first_entry(table: Table) -> Result<String, LakeError> {
    let now_ms = Utc::now().timestamp_millis();
    let commit_info = json!({
        "timestamp": now_ms,
        "operation": "CREATE TABLE",
        "operationParameters": {},
        "engineInfo": engine_info(),
    });
    let actions = [
        json!({"protocol": {"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}}),
        json!({"metaData": {
            "id": Uuid::new_v4(),
            "name": table.name(),
            "description": table.comment(),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema_string(table)?,
            "partitionColumns": partition_columns(table),
            "createdTime": now_ms,
            // How long the log remembers entries and files that were taken away: what readers may rely on, and no longer,
            // for checkpoints carry it all. `vacuum` goes by it.
            "configuration": {
                "delta.logRetentionDuration": "interval 1 days",
                "delta.deletedFileRetentionDuration": "interval 1 days",
            },
        }}),
    ];
    Ok(entry_text(commit_info, actions))
}

/// Who wrote a log entry.
pub(crate) fn engine_info() -> &'static str {
    concat!("plimsoll/", env!("CARGO_PKG_VERSION"))
}

/// The columns that the table is partitioned by.
pub(crate) fn partition_columns(table: Table) -> &'static [&'static str] {
    if table.partition_time().is_some() { &[DATE] } else { &[] }
}

/// Whether the table that was found can be read and appended to by this version. It may have columns more, if they may
/// be null.
///
/// # Errors
/// `Invalid`, naming the first difference.
pub(crate) fn check(table: Table, protocol: &Protocol, metadata: &Metadata) -> Result<(), LakeError> {
    let name = table.name();
    if protocol.min_reader_version > READER_VERSION || protocol.min_writer_version > WRITER_VERSION {
        return Err(LakeError::Invalid(format!(
            "table {name} needs a Delta reader of version {} and a writer of version {}, this version knows \
             {READER_VERSION} and {WRITER_VERSION}; remove the table features that were added to it",
            protocol.min_reader_version, protocol.min_writer_version
        )));
    }
    if metadata.partition_columns != partition_columns(table) {
        return Err(LakeError::Invalid(format!(
            "table {name} is partitioned by {:?}, this version expects {:?}; use the version that created the lake, or \
             another folder",
            metadata.partition_columns,
            partition_columns(table)
        )));
    }
    if metadata.schema_string == schema_string(table)? {
        return Ok(());
    }
    let found: DeltaSchema = serde_json::from_str(&metadata.schema_string)
        .map_err(|error| LakeError::Corrupt(format!("the schema of table {name} cannot be read: {error}")))?;
    let expected: Vec<DeltaField> = serde_json::from_value(Value::Array(delta_fields(table)?))
        .map_err(|error| LakeError::Internal(format!("the schema of table {name} is none: {error}")))?;
    let missing = expected.iter().find(|field| !found.fields.contains(field));
    let unknown =
        found.fields.iter().find(|field| !field.nullable && expected.iter().all(|known| known.name != field.name));
    match missing.or(unknown) {
        None => Ok(()),
        Some(field) => Err(LakeError::Invalid(format!(
            "table {name} was written by another version: column {} ({}{}) does not fit; use the version that created \
             the lake, or another folder",
            field.name,
            field.data_type,
            if field.nullable { "" } else { ", not null" }
        ))),
    }
}

/// The columns as this version writes them. They are asked for at each commit, and made once.
fn schema_string(table: Table) -> Result<&'static str, LakeError> {
    static KNOWN: [OnceLock<String>; Table::ALL.len()] = [const { OnceLock::new() }; Table::ALL.len()];
    let known = &KNOWN[table as usize];
    if let Some(known) = known.get() {
        return Ok(known);
    }
    let schema = json!({"type": "struct", "fields": delta_fields(table)?}).to_string();
    Ok(known.get_or_init(|| schema))
}

fn delta_fields(table: Table) -> Result<Vec<Value>, LakeError> {
    let schema = table.schema();
    let mut fields = schema.fields().iter().map(|field| delta_field(table, field)).collect::<Result<Vec<_>, _>>()?;
    if let Some(time) = table.partition_time() {
        fields.push(json!({
            "name": DATE,
            "type": "date",
            "nullable": true,
            "metadata": {"comment": format!("UTC date of {time}; the partition")},
        }));
    }
    Ok(fields)
}

fn delta_field(table: Table, field: &Field) -> Result<Value, LakeError> {
    let data_type = match field.data_type() {
        DataType::Utf8 => "string".to_owned(),
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => "string".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => {
            return Err(LakeError::Internal(format!(
                "column {} of table {} has the type {other}, which has no Delta type here",
                field.name(),
                table.name()
            )));
        }
    };
    Ok(json!({
        "name": field.name(),
        "type": data_type,
        "nullable": field.is_nullable(),
        "metadata": field.metadata(),
    }))
}
