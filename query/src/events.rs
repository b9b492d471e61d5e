//! The stored events as the batches that the engine takes, so that history can be judged again.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Int8Array, RecordBatch, StringArray, StringViewArray};
use arrow_schema::ArrowError;
use chrono::NaiveDate;
use datafusion::arrow::compute::cast;
use futures::TryStreamExt;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::{ColumnType, EventBatch, EventColumn, FUTURE_TOLERANCE, event_schema};
use plimsoll_schemas::table::Table;

use crate::error::QueryError;
use crate::session::QueryService;

/// Which of the stored events are meant.
#[derive(Clone, Debug)]
pub enum Stored {
    /// All of them.
    All,
    /// Those before these offsets of partitions, and none of other partitions.
    Before(HashMap<PartitionId, i64>),
}

impl Stored {
    /// As a condition in SQL.
    fn condition(&self) -> String {
        let Stored::Before(offsets) = self else { return "TRUE".to_owned() };
        let before = offsets.iter().map(|(id, offset)| {
            let PartitionId { topic, partition } = id;
            if id.is_retries() {
                return format!("retry < {offset}"); // Dead letters that were taken again, by their requests.
            }
            let topic = topic.replace('\'', "''");
            format!("(topic = '{topic}' AND \"partition\" = {partition} AND \"offset\" < {offset} AND retry IS NULL)")
        });
        format!("({})", before.chain(["FALSE".to_owned()]).collect::<Vec<_>>().join(" OR "))
    }
}

impl QueryService {
    /// The days in UTC on which there are stored events, such as `2026-03-02`, in order.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn event_days(&self) -> Result<Vec<String>, QueryError> {
        let mut answer =
            self.sql("SELECT CAST(date AS VARCHAR) AS day FROM history.events GROUP BY date ORDER BY date").await?;
        let mut days = Vec::new();
        while let Some(batch) = answer.try_next().await? {
            let day = cast(batch.column(0), &arrow_schema::DataType::Utf8).map_err(unfit)?;
            days.extend(day.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(days)
    }

    /// The stored events of one of these days, each once, in no order. An event from the future has the time at which it was
    /// read, as it was counted (R23).
    ///
    /// # Errors
    /// As `sql`; `Unavailable` when a file of that day is not what was written: what is judged anew lasts.
    pub async fn events_of(&self, day: &str, which: &Stored) -> Result<Vec<EventBatch>, QueryError> {
        let date = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok();
        let mut files = self.lake.files(Table::Events).await?.files.clone();
        files.retain(|file| date.is_none() || file.date == date);
        self.lake.check_bytes(Table::Events, &files).await?;
        let latest = format!("read_at + INTERVAL '{} seconds'", FUTURE_TOLERANCE.0 / 1_000_000);
        let column = |name: &str| match name == EventColumn::Time.name() {
            true => format!("CASE WHEN \"{name}\" > {latest} THEN read_at ELSE \"{name}\" END AS \"{name}\""),
            false => format!("\"{name}\""),
        };
        let names = event_schema().fields().iter().map(|field| column(field.name())).collect::<Vec<_>>();
        let names = names.join(", ");
        let question =
            format!("SELECT {names} FROM history.events WHERE date = DATE '{day}' AND {}", which.condition());
        let batches: Vec<RecordBatch> = self.sql(&question).await?.try_collect().await?;
        batches.iter().map(|batch| event_batch(batch).map_err(unfit)).collect()
    }
}

/// The columns of a question as those of an event.
pub(crate) fn event_batch(batch: &RecordBatch) -> Result<EventBatch, ArrowError> {
    let schema = event_schema();
    let columns = EventColumn::ALL.iter().zip(batch.columns()).zip(schema.fields());
    let columns = columns.map(|((column, found), field)| match column.column_type() {
        ColumnType::Word => Ok(words(*column, found.as_string_view())),
        // A dictionary cannot be made of a view at once.
        ColumnType::Interned => cast(&cast(found, &arrow_schema::DataType::Utf8)?, field.data_type()),
        _ => cast(found, field.data_type()),
    });
    EventBatch::try_new(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

/// A column of words, whose dictionary is the column's whole vocabulary.
fn words(column: EventColumn, found: &StringViewArray) -> ArrayRef {
    let vocabulary = column.words();
    let key = |word: &str| vocabulary.iter().position(|known| *known == word).map(|key| key as i8);
    let keys: Int8Array = found.iter().map(|word| word.and_then(key)).collect();
    Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(StringArray::from(vocabulary))))
}

pub(crate) fn unfit(error: ArrowError) -> QueryError {
    QueryError::Internal(format!("stored events do not have the form of events: {error}"))
}
