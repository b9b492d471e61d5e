//! Checkpoints of a table's log: all that its entries up to a version say, in one Parquet file as every Delta reader takes
//! it, so that nobody has to read the entries.
//!
//! Upkeep removes entries because a checkpoint stands for them. So it is written whole or not at all, and it tells a digest
//! of the state that it says: one whose state is another is not believed, and no entry is removed for it. None is ever
//! removed by its name either, under which somebody may have written a good one meanwhile; it goes when it is old.
//!
//! `_last_checkpoint` tells readers where to look first; whatever it says, a newer checkpoint that is there counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_json::{LineDelimitedWriter, ReaderBuilder};
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use object_store::path::Path as StorePath;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use plimsoll_schemas::guard::guarded;
use plimsoll_schemas::table::Table;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Failure, LakeError};
use crate::store::Store;

/// The key of the digest among what a Parquet file tells of itself, and how the digest is made.
const DIGEST: &str = "plimsoll.state.2";

/// The columns that matter here.
const ACTIONS: [&str; 5] = ["add", "remove", "txn", "protocol", "metaData"];

/// The content of `_last_checkpoint`, as far as it matters here.
#[derive(Deserialize)]
struct LastCheckpoint {
    version: i64,
}

/// Where a table's newest checkpoint is announced.
fn announcement(table: Table) -> StorePath {
    StorePath::from(format!("{}/_delta_log/_last_checkpoint", table.name()))
}

/// The name of a checkpoint in one part.
pub(crate) fn file_name(version: i64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

/// Where it lies.
pub(crate) fn path(table: Table, version: i64) -> StorePath {
    StorePath::from(format!("{}/_delta_log/{}", table.name(), file_name(version)))
}

/// The version of the checkpoint that is announced; `None` when there is none, or its announcement is not understood.
pub(crate) async fn announced(store: &Store, table: Table) -> Result<Option<i64>, LakeError> {
    let bytes = store.get(&announcement(table)).await?;
    Ok(bytes.and_then(|bytes| version_of(&bytes)))
}

/// Where a checkpoint is announced, when the announcement is there and is not understood. Whoever opens the table then
/// lists all of its log, and other programs may refuse it.
pub(crate) async fn torn_announcement(store: &Store, table: Table) -> Result<Option<StorePath>, LakeError> {
    let path = announcement(table);
    let bytes = store.get(&path).await?;
    Ok(bytes.filter(|bytes| version_of(bytes).is_none()).map(|_| path))
}

fn version_of(announcement: &[u8]) -> Option<i64> {
    serde_json::from_slice::<LastCheckpoint>(announcement).ok().map(|last| last.version)
}

/// Announces a checkpoint of so many actions, unless a newer one is announced that is there.
pub(crate) async fn announce(store: &Store, table: Table, version: i64, actions: usize) -> Result<(), LakeError> {
    if let Some(newer) = announced(store, table).await?.filter(|known| *known > version)
        && store.get(&path(table, newer)).await?.is_some()
    {
        return Ok(());
    }
    store.put(&announcement(table), json!({"version": version, "size": actions}).to_string().into()).await
}

/// The checkpoints all of whose parts are there, the newest last: `V.checkpoint.parquet` or
/// `V.checkpoint.PART.PARTS.parquet`.
pub(crate) fn complete<'a>(names: &[&'a str]) -> Vec<(i64, Vec<&'a str>)> {
    let mut checkpoints: BTreeMap<(i64, usize), Vec<&'a str>> = BTreeMap::new();
    for name in names {
        let pieces: Vec<&str> = name.split('.').collect();
        let (version, parts) = match pieces[..] {
            [version, "checkpoint", "parquet"] => (version.parse(), Ok(1)),
            [version, "checkpoint", _, parts, "parquet"] => (version.parse(), parts.parse()),
            _ => continue,
        };
        if let (Ok(version), Ok(parts)) = (version, parts) {
            checkpoints.entry((version, parts)).or_default().push(name);
        }
    }
    checkpoints
        .into_iter()
        .filter(|((_, parts), names)| names.len() == *parts)
        .map(|((version, _), names)| (version, names))
        .collect()
}

/// A checkpoint that says these lines, of a state with this digest.
///
/// # Errors
/// When the lines are not such as an entry has, which is a defect.
pub(crate) fn encode(lines: &str, digest: String) -> Result<Bytes, Failure> {
    let schema = Arc::new(schema());
    let properties = WriterProperties::builder()
        .set_created_by("plimsoll".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![KeyValue::new(DIGEST.to_owned(), digest)]))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema.clone(), options)?;
    for batch in ReaderBuilder::new(schema).build(lines.as_bytes())? {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(bytes.into())
}

/// What a part of a checkpoint says, as the lines of an entry, and the digest that it tells; another program tells none.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(bytes: Bytes) -> Result<(Vec<u8>, Option<String>), String> {
    guarded(|| read(bytes)).map_err(|error| error.to_string())
}

fn read(bytes: Bytes) -> Result<(Vec<u8>, Option<String>), Failure> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let told = reader.metadata().file_metadata().key_value_metadata();
    let told = told.and_then(|told| told.iter().find(|told| told.key == DIGEST));
    let digest = told.and_then(|told| told.value.clone());
    let wanted = ProjectionMask::columns(reader.parquet_schema(), ACTIONS);
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for batch in reader.with_projection(wanted).build()? {
        lines.write(&batch?)?;
    }
    lines.finish()?;
    Ok((lines.into_inner(), digest))
}

/// The columns of a checkpoint, as the Delta protocol names them ("Checkpoint Schema").
fn schema() -> Schema {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let long = |name| Field::new(name, DataType::Int64, true);
    let int = |name| Field::new(name, DataType::Int32, true);
    let truth = |name| Field::new(name, DataType::Boolean, true);
    let of = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    let texts_by_name = |name: &str| {
        let entries = Fields::from(vec![Field::new("key", DataType::Utf8, false), text("value")]);
        let entries = Field::new("key_value", DataType::Struct(entries), false);
        Field::new(name, DataType::Map(Arc::new(entries), false), true)
    };
    let texts = |name: &str| Field::new(name, DataType::List(Arc::new(text("element"))), true);
    Schema::new(vec![
        of("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        of(
            "add",
            vec![
                text("path"),
                texts_by_name("partitionValues"),
                long("size"),
                long("modificationTime"),
                truth("dataChange"),
                text("stats"),
            ],
        ),
        of("remove", vec![text("path"), long("deletionTimestamp"), truth("dataChange")]),
        of(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                of("format", vec![text("provider"), texts_by_name("options")]),
                text("schemaString"),
                texts("partitionColumns"),
                texts_by_name("configuration"),
                long("createdTime"),
            ],
        ),
        of("protocol", vec![int("minReaderVersion"), int("minWriterVersion")]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_count_whose_parts_are_all_there() {
        let names = [
            "00000000000000000100.checkpoint.parquet",
            "00000000000000000100.json",
            "00000000000000000200.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000200.checkpoint.0000000002.0000000002.parquet",
            "00000000000000000300.checkpoint.0000000001.0000000002.parquet",
            "_last_checkpoint",
        ];
        assert_eq!(complete(&names), [(100, vec![names[0]]), (200, vec![names[2], names[3]])]);
        assert_eq!(complete(&names[1..2]), []);
        assert_eq!(file_name(100), names[0]);
    }

    #[test]
    fn a_checkpoint_says_what_is_written_into_it() {
        let lines = concat!(
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
            "\n",
            r#"{"add":{"path":"date=2026-01-31/a.parquet","partitionValues":{"date":"2026-01-31"},"size":7}}"#,
            "\n",
            r#"{"remove":{"path":"b.parquet","deletionTimestamp":5,"dataChange":true}}"#,
            "\n",
        );
        let bytes = encode(lines, "d1".to_owned()).expect("a checkpoint");
        let (read, digest) = decode(bytes).expect("what it says");
        let values = |text: &str| -> Vec<serde_json::Value> {
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        };
        assert_eq!(values(std::str::from_utf8(&read).expect("text")), values(lines));
        assert_eq!(digest.as_deref(), Some("d1"));
    }
}
