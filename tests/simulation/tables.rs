//! What the tables hold, as rows by the names of their columns.

use std::collections::{BTreeMap, HashMap};

use arrow_json::LineDelimitedWriter;
use chrono::{DateTime, Utc};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_ingest::Decoder;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::Table;
use serde_json::{Map, Value};

use crate::broker::as_read;
use crate::world::World;

/// A row, without its columns that are null.
pub type Row = Map<String, Value>;

/// The rows of a table's files, file by file.
pub async fn rows(lake: &Lake, table: Table) -> Result<Vec<Row>, LakeError> {
    let mut rows = Vec::new();
    for file in &lake.files(table).await?.files {
        let unavailable = |error: object_store::Error| LakeError::Unavailable(error.to_string());
        let object = lake.store().get(&Path::from(file.path.as_str())).await.map_err(unavailable)?;
        let bytes = object.bytes().await.map_err(unavailable)?;
        assert_eq!(bytes.len() as u64, file.size_bytes, "{} is as long as the log says", file.path);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
        let mut lines = LineDelimitedWriter::new(Vec::new());
        for batch in reader.expect(&file.path) {
            lines.write(&batch.expect(&file.path)).expect("lines");
        }
        lines.finish().expect("lines");
        let lines = serde_json::Deserializer::from_slice(&lines.into_inner()).into_iter::<Row>().collect::<Vec<_>>();
        rows.extend(lines.into_iter().map(|row| row.expect("a row")));
    }
    Ok(rows)
}

/// The active files of a table. Their names tell what is in them, by a hash of all their bytes.
pub async fn files(lake: &Lake, table: Table) -> Vec<String> {
    let files = lake.files(table).await.expect("the files of a table");
    files.files.iter().map(|file| file.path.clone()).collect()
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
    let is_before = |(id, offset): (PartitionId, i64)| before.get(&id).is_some_and(|next| offset < *next);
    let taken = rows.iter().filter(|row| is_before(place(row))).map(|row| {
        let (id, offset) = place(row);
        let sources = world.definitions[0].sources.values();
        let source = sources.clone().find(|source| source.topics.iter().any(|topic| **topic == *id.topic));
        let mut decoder = Decoder::new(source.expect("a source").clone().into(), id.clone());
        decoder.decode(as_read(records[&(id, offset)]));
        let delivery = decoder.take(offset, offset + 1, None).expect("a delivery");
        delivery.events.counted_at(instant(row, "recorded_at")).expect("an event")
    });
    Ok(taken.collect())
}
