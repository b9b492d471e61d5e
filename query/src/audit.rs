//! What an audit asks of the tables (R26): the rows of a result as they were written, the facts that were known then, and
//! the stored events that may matter, with the epochs that took them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::DataType;
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, in_subquery, lit};
use datafusion::prelude::{DataFrame, col};
use futures::TryStreamExt;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::{EventBatch, EventColumn, counted_time, event_schema};
use plimsoll_schemas::table::{AttainmentRow, DeadLetterRow, TableRow, from_batch};

use crate::error::QueryError;
use crate::events::{event_batch, unfit};
use crate::known::time;
use crate::session::QueryService;

/// What names a result, or several: what is not told may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The agreement's id.
    pub agreement: String,
    /// The service's id.
    pub service: String,
    /// The objective's id.
    pub objective: Option<String>,
    /// An instant of the window.
    pub window: Option<Instant>,
    /// The agreement's version.
    pub version: Option<i32>,
    /// The revision.
    pub revision: Option<i32>,
    /// The epoch that wrote it.
    pub epoch: Option<i64>,
}

impl Asked {
    fn condition(&self) -> Expr {
        let within = |at: Instant| col("window_start").lt_eq(time(at)).and(col("window_end").gt(time(at)));
        let told = [
            self.objective.as_deref().map(|objective| col("objective").eq(lit(objective))),
            self.window.map(within),
            self.version.map(|version| col("agreement_version").eq(lit(version))),
            self.revision.map(|revision| col("revision").eq(lit(revision))),
            self.epoch.map(|epoch| col("epoch").eq(lit(epoch))),
        ];
        let named =
            col("agreement").eq(lit(self.agreement.as_str())).and(col("service").eq(lit(self.service.as_str())));
        told.into_iter().flatten().fold(named, Expr::and)
    }
}

/// Stored events of one partition that one epoch took, in the order of their offsets.
#[derive(Clone, Debug)]
pub struct StoredEvents {
    /// The epoch.
    pub epoch: i64,
    /// The partition.
    pub partition: PartitionId,
    /// The request by which they were made of dead letters, if they were.
    pub retry: Option<i64>,
    /// When they were read: one from the future counts as from then (R23).
    pub read_at: Instant,
    /// The events, as they were told.
    pub events: EventBatch,
}

impl QueryService {
    /// Every row of `attainment` that is asked for, as it was written.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn results(&self, asked: &Asked) -> Result<Vec<AttainmentRow>, QueryError> {
        let condition = asked.condition();
        let answer = self.view("history.attainment", move |rows| rows.filter(condition)).await?;
        decode(answer.try_collect().await?)
    }

    /// The rows of a view that are about one of these services.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn facts_about<Row: TableRow>(&self, services: &[&str]) -> Result<Vec<Row>, QueryError> {
        let about = is_about(services);
        let answer = self.view(Row::TABLE.name(), move |rows| rows.filter(about)?.with_column("retracted", lit(false)));
        decode(answer.await?.try_collect().await?)
    }

    /// The stored events about one of these services, and all others of their tickets and changes, each batch of one
    /// epoch, one partition and one request, read at once: in the order of epoch, topic, partition, request and offset.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn events_about(&self, services: &[&str]) -> Result<Vec<StoredEvents>, QueryError> {
        let about = is_about(services);
        self.stored_events(move |rows| {
            let tickets = rows.clone().filter(about.clone())?.select_columns(&["ticket"])?.into_unoptimized_plan();
            rows.filter(about.or(in_subquery(col("ticket"), Arc::new(tickets))))
        })
        .await
    }

    /// The stored events of the epochs from the first up to and with the last one, as `events_about`.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn events_of_epochs(&self, first: i64, last: i64) -> Result<Vec<StoredEvents>, QueryError> {
        self.stored_events(move |rows| rows.filter(col("epoch").between(lit(first), lit(last)))).await
    }

    /// The stored events that were read in these ranges of offsets of partitions, `from` and `until`, as `events_about`, but
    /// in the order of topic, partition, request and offset. Where shards stored them, `epoch_of` tells which epoch of one
    /// shard took them; what it does not know is left out.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn events_within(
        &self,
        ranges: &[(PartitionId, i64, i64)],
        epoch_of: impl Fn(&PartitionId, i64) -> Option<i64>,
    ) -> Result<Vec<StoredEvents>, QueryError> {
        let read = is_within(ranges);
        self.events_in_order(
            &["topic", "partition", "retry", "offset"],
            move |rows| rows.filter(read),
            |_, id, retry, offset| match retry {
                Some(request) => epoch_of(&PartitionId::retries(), request),
                None => epoch_of(id, offset),
            },
        )
        .await
    }

    /// The stored dead letters of these ranges, and what became of those that these requests took again, in no order.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn dead_letters_within(
        &self,
        ranges: &[(PartitionId, i64, i64)],
    ) -> Result<Vec<DeadLetterRow>, QueryError> {
        let read = is_within(ranges);
        let answer = self.view("history.dead_letters", move |rows| rows.filter(read)).await?;
        decode(answer.try_collect().await?)
    }

    /// The stored dead letters of these epochs, in no order.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn dead_letters_of_epochs(&self, first: i64, last: i64) -> Result<Vec<DeadLetterRow>, QueryError> {
        let of_epochs = col("epoch").between(lit(first), lit(last));
        let answer = self.view("history.dead_letters", move |rows| rows.filter(of_epochs)).await?;
        decode(answer.try_collect().await?)
    }

    async fn stored_events(
        &self,
        pick: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError> + Send + 'static,
    ) -> Result<Vec<StoredEvents>, QueryError> {
        let order = ["epoch", "topic", "partition", "retry", "offset"];
        self.events_in_order(&order, pick, |epoch, _, _, _| Some(epoch)).await
    }

    async fn events_in_order(
        &self,
        order: &[&str],
        pick: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError> + Send + 'static,
        epoch_of: impl Fn(i64, &PartitionId, Option<i64>, i64) -> Option<i64>,
    ) -> Result<Vec<StoredEvents>, QueryError> {
        let order: Vec<_> = order.iter().map(|name| col(*name).sort(true, false)).collect();
        let answer = self.view("history.events", move |rows| {
            let schema = event_schema();
            let names = schema.fields().iter().map(|field| field.name().as_str()).chain(["epoch", "retry", "read_at"]);
            pick(rows)?.sort(order)?.select_columns(&names.collect::<Vec<_>>())
        });
        let mut batches: Vec<RecordBatch> = answer.await?.try_collect().await?;
        let tells_requests = |batch: &RecordBatch| {
            batch.column_by_name("retry").is_some_and(|requests| requests.null_count() < requests.len())
        };
        if batches.len() > 1 && batches.iter().any(tells_requests) {
            // A request is one batch, though answers come in pieces.
            batches = vec![concat_batches(&batches[0].schema(), &batches).map_err(unfit)?];
        }
        let mut events = Vec::new();
        for batch in batches {
            cut(&batch, &epoch_of, &mut events)?;
        }
        Ok(events)
    }

    /// The newest event time of each partition that each epoch took, as the events counted: one from the future is taken to
    /// be from when it was read (R23). `epoch_of` tells which epoch took the record at an offset of a partition.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn newest_of_epochs(
        &self,
        epoch_of: impl Fn(&PartitionId, i64) -> Option<i64>,
    ) -> Result<HashMap<(i64, PartitionId), Instant>, QueryError> {
        let columns = ["topic", "partition", "offset", "time", "read_at"];
        // A dead letter that is taken again says nothing of how far its partition was read.
        let read = move |rows: DataFrame| rows.filter(col("retry").is_null())?.select_columns(&columns);
        let mut answer = self.view("history.events", read).await?;
        let mut newest: HashMap<(i64, PartitionId), Instant> = HashMap::new();
        while let Some(batch) = answer.try_next().await? {
            let (offsets, told, read_at) = (integers(&batch, 2), times(&batch, 3), times(&batch, 4));
            for (row, partition) in partitions(&batch, 0)?.into_iter().enumerate() {
                let Some(epoch) = epoch_of(&partition, offsets.value(row)) else { continue };
                let time = counted_time(Instant(told.value(row)), Instant(read_at.value(row)));
                let known = newest.entry((epoch, partition)).or_insert(time);
                *known = time.max(*known);
            }
        }
        Ok(newest)
    }
}

fn is_about(services: &[&str]) -> Expr {
    col("service").in_list(services.iter().map(|service| lit(*service)).collect(), false)
}

/// What lies in these ranges; dead letters that were taken again lie in those of the log of requests.
fn is_within(ranges: &[(PartitionId, i64, i64)]) -> Expr {
    let within = |(id, from, until): &(PartitionId, i64, i64)| {
        let between = |name: &str| col(name).gt_eq(lit(*from)).and(col(name).lt(lit(*until)));
        match id.is_retries() {
            true => between("retry"),
            false => {
                let of = col("topic").eq(lit(&*id.topic)).and(col("partition").eq(lit(id.partition)));
                of.and(between("offset")).and(col("retry").is_null())
            }
        }
    };
    ranges.iter().map(within).fold(lit(false), Expr::or)
}

/// Cuts sorted events where the epoch, the partition, the request or when they were read changes. `epoch_of` tells the epoch
/// that is meant by the one that stored an event, its partition, its request and its offset.
fn cut(
    batch: &RecordBatch,
    epoch_of: impl Fn(i64, &PartitionId, Option<i64>, i64) -> Option<i64>,
    found: &mut Vec<StoredEvents>,
) -> Result<(), QueryError> {
    let last = batch.num_columns() - 1;
    let (epochs, retries, read_at) = (integers(batch, last - 2), integers(batch, last - 1), times(batch, last));
    let all = event_batch(batch).map_err(unfit)?;
    let offsets = all.integers(EventColumn::Offset).values();
    let read = epochs.values().iter().zip(partitions(batch, 0)?).zip(retries.iter()).zip(offsets);
    let places = read.zip(read_at.values()).map(|((((epoch, id), retry), offset), read_at)| {
        // A request was read as a whole.
        let read_at = retry.is_none().then_some(Instant(*read_at));
        (epoch_of(*epoch, &id, retry, *offset), id, retry, read_at)
    });
    let places: Vec<_> = places.collect();
    let mut from = 0;
    for same in places.chunk_by(|one, next| one == next) {
        let (epoch, partition, retry, _) = same[0].clone();
        let read_at = Instant(read_at.value(from));
        let events = all.slice(from, same.len());
        found.extend(epoch.map(|epoch| StoredEvents { epoch, partition, retry, read_at, events }));
        from += same.len();
    }
    Ok(())
}

fn integers(batch: &RecordBatch, column: usize) -> Int64Array {
    batch.column(column).as_primitive::<Int64Type>().clone()
}

fn times(batch: &RecordBatch, column: usize) -> TimestampMicrosecondArray {
    batch.column(column).as_primitive::<TimestampMicrosecondType>().clone()
}

/// The partition of each row: its topic in one column, and its number in the next.
fn partitions(batch: &RecordBatch, column: usize) -> Result<Vec<PartitionId>, QueryError> {
    let topics = cast(batch.column(column), &DataType::Utf8).map_err(unfit)?;
    let numbers = batch.column(column + 1).as_primitive::<Int32Type>();
    let topics = topics.as_string::<i32>().iter().map(Option::unwrap_or_default);
    Ok(topics.zip(numbers.values()).map(|(topic, &partition)| PartitionId { topic: topic.into(), partition }).collect())
}

fn decode<Row: TableRow>(batches: Vec<RecordBatch>) -> Result<Vec<Row>, QueryError> {
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(from_batch(batch).map_err(|error| QueryError::Internal(error.to_string()))?);
    }
    Ok(rows)
}
