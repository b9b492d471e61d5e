//! Epochs: how a lane group's input becomes rows exactly once. This is the protocol; the other modules are its parts.
//!
//! ```text
//!   worker of a lane group                         lake
//!
//!   what is there to read?
//!     definitions, once a worker ────────────────▶ 0. definitions _plimsoll/definitions/DIGEST.zst
//!     epoch n = ranges of offsets + tick
//!               + digest of the definitions ─────▶ 1. intent      epochs/_delta_log: txn(group, n)
//!                                                     (exactly one worker gets n; any other is fenced)
//!   apply: (state, events, tick)
//!            -> (state, rows)                      2. apply       no I/O, no clock: replaying gives the same bytes;
//!                                                                   it may run before 1 is there, 3 may not
//!
//!     rows, encoded ─────────────────────────────▶ 3. commit      for each table with rows, in Table::ALL's order:
//!                                                       put  TABLE/[date=D/]GROUP-n-PART-HASH.parquet
//!                                                       put  TABLE/_delta_log/VERSION.json  if absent
//!                                                            = txn(group, n) + the files' names and statistics
//!                                                     a table whose txn is n or later is skipped
//!     state, every k-th epoch ───────────────────▶ 4. snapshot    _plimsoll/snapshots/GROUP/n.zst
//! ```
//! **Recovery**: read the newest snapshot (of epoch s); read the intents after s; replay each from the recorded ranges
//! and tick under the definitions that it names, and commit it. Tables that have the epoch are skipped, tables that lag
//! get the very rows they would have got. An epoch whose intent is not there never was.
//!
//! **Why nothing is lost or counted twice.** A commit is one file put under a name that was free, so an epoch is in a
//! table or not, never in part; it carries its epoch, so it is never there twice. Offsets ride in the data's commits;
//! Kafka's own committed offsets are only a hint.
//!
//! **Fencing.** Two workers that both believe they own a group race for the next intent; the loser gets
//! `LakeError::Fenced` and stops. A worker whose own intent was written, but not confirmed, finds its id there and goes on
//! (see `append`). What a worker left behind was still committing is an epoch that its successor replays
//! with the same bytes, so whoever comes first, the rows are the same.
//!
//! A reader between two commits of an epoch sees the earlier tables ahead of the later ones for some milliseconds:
//! facts first, results after them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::{EpochRow, Table, from_batch, to_batch};

use crate::Lake;
use crate::append::{Appended, OTHER_BYTES, Span, check_group};
use crate::encode::EncodedTable;
use crate::error::{Failure, LakeError};
use crate::files::ActiveFile;

impl Lake {
    /// Step 1: records what an epoch is going to read, one row per input range (one row without a range when it reads
    /// nothing).
    ///
    /// # Errors
    /// `Fenced` when the epoch, or a later one, is recorded already: another worker has the group, or this one should
    /// have replayed it. `Invalid` when there is no row or a row of another epoch. Otherwise those of `commit`.
    pub async fn record_intent(&self, group: &str, epoch: i64, ranges: &[EpochRow]) -> Result<(), LakeError> {
        if ranges.is_empty() || ranges.iter().any(|range| range.epoch != epoch) {
            return Err(LakeError::Invalid(format!("the intent of epoch {epoch} must have rows, all of that epoch")));
        }
        let batch = to_batch(ranges)
            .map_err(|error| LakeError::Internal(format!("the intent of epoch {epoch} cannot be encoded: {error}")))?;
        match self.append(Table::Epochs, vec![batch], group, epoch).await? {
            Appended::Written { .. } => Ok(()),
            Appended::AlreadyThere => {
                let found = self.last_epoch(Table::Epochs, group).await?.unwrap_or(epoch);
                Err(LakeError::Fenced { table: Table::Epochs, group: group.to_owned(), epoch, found })
            }
        }
    }

    /// Step 3: commits an epoch's rows, table by table in the order of `Table::ALL`. Tables without rows and tables
    /// that have the epoch already are skipped. Returns how many were written.
    ///
    /// # Errors
    /// `Invalid` when a table is given twice; otherwise those of `commit`. The tables before the failing one are
    /// written; the same call may be repeated.
    pub async fn commit_epoch(
        &self,
        group: &str,
        epoch: i64,
        mut tables: Vec<(Table, EncodedTable)>,
    ) -> Result<usize, LakeError> {
        tables.sort_by_key(|(table, _)| *table);
        if let Some(pair) = tables.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let name = pair[0].0.name();
            return Err(LakeError::Invalid(format!("epoch {epoch} has the table {name} twice; join its rows")));
        }
        let mut written = 0;
        for (table, encoded) in tables.into_iter().filter(|(_, encoded)| encoded.rows() > 0) {
            match self.commit(table, encoded, group, epoch).await? {
                Appended::Written { .. } => written += 1,
                Appended::AlreadyThere => {}
            }
        }
        Ok(written)
    }

    /// Whether what the facts and results of a recorded epoch say is in the tables, as far as that can be told: a later one
    /// of its shard is recorded, or it is in `attainment` or at least in `transitions`. Of an epoch without rows there it
    /// cannot. So many shards number their epochs in turn.
    ///
    /// # Errors
    /// Those of `files`.
    pub async fn is_told(&self, epoch: i64, shards: i64) -> Result<bool, LakeError> {
        for (table, least) in [(Table::Epochs, epoch + 1), (Table::Attainment, epoch), (Table::Transitions, epoch)] {
            let mut log = self.log(table).await;
            log.refresh(self.root()).await?;
            if log.groups().any(|(_, newest)| newest >= least && (newest - epoch) % shards == 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The recorded intents of a lane group after an epoch, in order: what recovery replays.
    ///
    /// # Errors
    /// Those of `files`; `Corrupt` when a file of the table cannot be read.
    pub async fn epochs_after(&self, group: &str, epoch: i64) -> Result<Vec<EpochRow>, LakeError> {
        check_group(group)?;
        let files = self.files(Table::Epochs).await?;
        let wanted =
            |file: &&Arc<ActiveFile>| Span::of(&file.path).is_some_and(|span| span.group == group && span.last > epoch);
        let mut rows = Vec::new();
        for file in files.files.iter().filter(wanted) {
            rows.extend(self.epoch_rows(file, epoch).await?);
        }
        rows.sort_by_key(|row| row.epoch);
        Ok(rows)
    }

    /// The first offset that a lane group read of each partition of which it read any. It goes through all that is recorded
    /// of the group, a file at a time.
    ///
    /// # Errors
    /// As `epochs_after`.
    pub async fn first_reads(&self, group: &str) -> Result<HashMap<PartitionId, i64>, LakeError> {
        check_group(group)?;
        let files = self.files(Table::Epochs).await?;
        let mut firsts = HashMap::new();
        for file in files.files.iter().filter(|file| Span::of(&file.path).is_some_and(|span| span.group == group)) {
            for row in self.epoch_rows(file, 0).await?.into_iter().filter(|row| row.from_offset < row.until_offset) {
                if let (Some(topic), Some(partition), Some(from)) = (row.topic, row.partition, row.from_offset) {
                    let first = firsts.entry(PartitionId { topic: topic.into(), partition }).or_insert(from);
                    *first = from.min(*first);
                }
            }
        }
        Ok(firsts)
    }

    /// The lane groups whose epochs are recorded here.
    ///
    /// # Errors
    /// Those of `files`.
    pub async fn groups(&self) -> Result<BTreeSet<String>, LakeError> {
        let files = self.files(Table::Epochs).await?;
        let spans = files.files.iter().filter_map(|file| Span::of(&file.path));
        Ok(spans.map(|span| span.group.to_owned()).collect())
    }

    /// The rows of a file after an epoch. Within a file, and so within a batch, they are in the order of epochs.
    async fn epoch_rows(&self, file: &ActiveFile, epoch: i64) -> Result<Vec<EpochRow>, LakeError> {
        let corrupt = |error: &dyn std::fmt::Display| {
            LakeError::Corrupt(format!("{} cannot be read: {error}; restore it from a backup", file.path))
        };
        let path = object_store::path::Path::from(file.path.as_str());
        let bytes = self.root().get(&path).await?.ok_or_else(|| corrupt(&"it is missing"))?;
        if Span::of(&file.path).is_none_or(|span| !span.is_of(&bytes)) {
            return Err(corrupt(&format!("it {OTHER_BYTES}")));
        }
        rows_after(bytes, epoch).map_err(|error| corrupt(&error))
    }
}

fn rows_after(bytes: Bytes, epoch: i64) -> Result<Vec<EpochRow>, Failure> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let before = epochs_of(&batch).partition_point(|found| *found <= epoch);
        let after = batch.slice(before, batch.num_rows() - before);
        if after.num_rows() > 0 {
            rows.extend(from_batch::<EpochRow>(&after)?);
        }
    }
    Ok(rows)
}

/// The epoch of each row.
fn epochs_of(batch: &RecordBatch) -> &[i64] {
    let column = batch.column_by_name("epoch").and_then(|column| column.as_primitive_opt::<Int64Type>());
    column.map_or(&[], |column| column.values())
}
