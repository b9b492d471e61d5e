//! What the tables hold, as rows by the names of their columns.

use std::collections::{BTreeMap, HashMap};

use arrow_array::RecordBatch;
use arrow_json::LineDelimitedWriter;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_ingest::Decoder;
use plimsoll_lake::{ActiveFile, Lake, LakeError};
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::{DeadLetterRow, Table, from_batch};
use serde_json::{Map, Value};

use crate::broker::as_read;
use crate::world::{Change, World};

/// A row, without its columns that are null.
pub type Row = Map<String, Value>;

/// The rows of all tables.
pub struct Tables(BTreeMap<Table, Vec<Row>>);

impl Tables {
    /// Reads them.
    pub async fn of(lake: &Lake) -> Tables {
        let mut tables = BTreeMap::new();
        for table in Table::ALL {
            tables.insert(table, rows(lake, table).await.expect("rows"));
        }
        Tables(tables)
    }

    /// The rows of one.
    pub fn rows(&self, table: Table) -> &[Row] {
        &self.0[&table]
    }
}

/// The rows of a table's files, file by file.
pub async fn rows(lake: &Lake, table: Table) -> Result<Vec<Row>, LakeError> {
    let mut rows = Vec::new();
    for batches in batches(lake, table).await? {
        let mut lines = LineDelimitedWriter::new(Vec::new());
        batches.iter().for_each(|batch| lines.write(batch).expect("lines"));
        lines.finish().expect("lines");
        let lines = serde_json::Deserializer::from_slice(&lines.into_inner()).into_iter::<Row>().collect::<Vec<_>>();
        rows.extend(lines.into_iter().map(|row| row.expect("a row")));
    }
    Ok(rows)
}

/// The batches of each of a table's files.
async fn batches(lake: &Lake, table: Table) -> Result<Vec<Vec<RecordBatch>>, LakeError> {
    let mut files = Vec::new();
    for file in &lake.files(table).await?.files {
        let bytes = bytes(lake, file).await?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
        files.push(reader.expect(&file.path).map(|batch| batch.expect(&file.path)).collect());
    }
    Ok(files)
}

/// What a file of a table holds.
pub async fn bytes(lake: &Lake, file: &ActiveFile) -> Result<Bytes, LakeError> {
    let unavailable = |error: object_store::Error| LakeError::Unavailable(error.to_string());
    let object = lake.store().get(&Path::from(file.path.as_str())).await.map_err(unavailable)?;
    let bytes = object.bytes().await.map_err(unavailable)?;
    assert_eq!(bytes.len() as u64, file.size_bytes, "{} is as long as the log says", file.path);
    Ok(bytes)
}

/// The dead letters, a row each time that one was set aside or taken again.
pub async fn dead_letters(lake: &Lake) -> Result<Vec<DeadLetterRow>, LakeError> {
    let files = batches(lake, Table::DeadLetters).await?;
    Ok(files.iter().flatten().flat_map(|batch| from_batch(batch).expect("dead letters")).collect())
}

/// The active files of a table. Their names tell what is in them, by a hash of all their bytes.
pub async fn files(lake: &Lake, table: Table) -> Vec<String> {
    let files = lake.files(table).await.expect("the files of a table");
    files.files.iter().map(|file| file.path.clone()).collect()
}

/// Rows as text, with how often each is there.
pub fn counted(rows: &[Row]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for row in rows {
        *counted.entry(Value::Object(row.clone()).to_string()).or_default() += 1;
    }
    counted
}

/// A column as text.
pub fn text<'row>(row: &'row Row, column: &str) -> &'row str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// A column as a number.
pub fn number(row: &Row, column: &str) -> i64 {
    row.get(column).and_then(Value::as_i64).unwrap_or_default()
}

/// A column as an instant.
pub fn instant(row: &Row, column: &str) -> Instant {
    Instant::from(text(row, column).parse::<DateTime<Utc>>().expect("an instant"))
}

/// Where the record of a row stands.
pub fn place(row: &Row) -> (PartitionId, i64) {
    let partition = number(row, "partition").try_into().expect("a partition");
    (PartitionId { topic: text(row, "topic").into(), partition }, number(row, "offset"))
}

/// The stored events before these offsets of partitions, as they were counted.
pub async fn stored_events(
    lake: &Lake,
    world: &World,
    before: &HashMap<PartitionId, i64>,
) -> Result<Vec<EventBatch>, LakeError> {
    let records: BTreeMap<_, _> = world.records().map(|(id, record)| ((id.clone(), record.offset), record)).collect();
    let rows = rows(lake, Table::Events).await?;
    // What was a dead letter is read when its request is.
    let is_before = |row: &&Row| {
        let (id, offset) = match row.contains_key("retry") {
            true => (PartitionId::retries(), number(row, "retry")),
            false => place(row),
        };
        before.get(&id).is_some_and(|next| offset < *next)
    };
    let mended = Change { is_mapping: true, ..Change::default() }.number();
    let taken = rows.iter().filter(is_before).map(|row| {
        let (id, offset) = place(row);
        let sources = world.definitions[mended].sources.values();
        let source = sources.clone().find(|source| source.topics.iter().any(|topic| **topic == *id.topic));
        let mut decoder = Decoder::new(source.expect("a source").clone().into(), id.clone());
        decoder.decode(as_read(records[&(id, offset)]));
        let delivery = decoder.take(offset, offset + 1, None).expect("a delivery");
        delivery.events.counted_at(instant(row, "read_at")).expect("an event")
    });
    Ok(taken.collect())
}
