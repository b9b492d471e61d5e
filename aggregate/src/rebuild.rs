//! Tables made anew from what a lake has recorded: intents, definitions, stored events and dead letters.
//!
//! ```text
//!   old lake                                              new lake
//!   definitions, intents ───────── copied ──────────────▶ _plimsoll/definitions, epochs
//!   requests, places of shards ─── copied ──────────────▶ _plimsoll/retries, _plimsoll/shards
//!   events, dead letters ── epoch by epoch ──▶ Worker ──▶ every table, and the state after the last epoch
//! ```
//! The worker finds recorded epochs and no state, as after a crash, and makes them again with their ticks, ranges and
//! definitions. So the rows come out as they were, with when they were recorded and in which epoch, and `AS OF` answers as
//! before. Duplicates are not stored and have no part in any result.
//!
//! Shards are made anew one after the other. Each read every event, and all of them have stored a part: which epoch took an
//! event follows from its partition and offset.
//!
//! What the last epoch read was perhaps not all stored when its process was killed; and the last epochs of a shard may
//! have read what a sibling had not stored yet. These are left out, intents and all, and who goes on reads their records
//! once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{DeadLetter, Delivery, PartitionId};
use plimsoll_schemas::event::{EventBatch, EventColumn};
use plimsoll_schemas::table::EpochRow;
use tokio::runtime::Handle;

use crate::collector::{Losses, RecordedEpoch};
use crate::definitions;
use crate::error::AggregateError;
use crate::input::Input;
use crate::live::Live;
use crate::shards::{stored_by_all, whole_until};
use crate::worker::{Worker, WorkerSettings};

/// What was stored of the records that one epoch took of one partition, in the order of their offsets.
#[derive(Clone, Debug, Default)]
pub struct StoredRecords {
    /// The events that counted, and when they were read.
    pub events: Vec<(Instant, EventBatch)>,
    /// The records that could not be used.
    pub dead_letters: Vec<DeadLetter>,
    /// Of the log of dead letters that are taken again: its requests.
    pub requests: Vec<Delivery>,
}

/// By epoch and partition.
pub type StoredEpochs = BTreeMap<(i64, PartitionId), StoredRecords>;

/// Reads what is stored.
pub trait StoredInput {
    /// Why it cannot.
    type Error: From<AggregateError>;

    /// What these epochs, which follow each other, took.
    fn epochs(&mut self, epochs: &[&RecordedEpoch]) -> Result<StoredEpochs, Self::Error>;

    /// Hands over every event before these offsets of partitions, in any order.
    fn recount(
        &mut self,
        before: HashMap<PartitionId, i64>,
        take: &mut dyn FnMut(&EventBatch),
    ) -> Result<(), Self::Error>;
}

/// How many epochs are read at once: enough that reading does not begin anew for each, and few enough for memory.
const EPOCHS_AT_ONCE: usize = 64;

/// The tables of one lane group, to be made anew.
pub struct Rebuild {
    settings: WorkerSettings,
    into: Lake,
    epochs: Vec<RecordedEpoch>,
    losses: Losses,
    definitions: Arc<Definitions>,
    is_cut: bool,
}

/// Copies what stands beside the tables of all groups: the requests for dead letters, who keeps them, and what is measured
/// where.
///
/// # Errors
/// When one of the lakes cannot be read or written, or a request is damaged.
pub async fn copy(from: &Lake, into: &Lake) -> Result<(), AggregateError> {
    for number in 0..from.next_retry().await? {
        match from.retry(number).await {
            Ok(Some(request)) => drop(into.put_retry(number, request).await?),
            // `damaged_sources` has told the one that somebody needs.
            Ok(None) | Err(LakeError::Corrupt(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(claim) = from.claimed().await? {
        into.claim(&claim).await?;
    }
    if let Some((number, placement)) = from.placement().await? {
        into.put_placement(number, placement).await?;
    }
    Ok(())
}

impl Rebuild {
    /// Copies intents and definitions into a lake in which nothing is recorded; `None` when there are none. An earlier
    /// attempt that was broken off goes on.
    ///
    /// # Errors
    /// When one of the lakes cannot be read or written, or definitions are not understood.
    pub async fn begin(from: &Lake, into: Lake, settings: WorkerSettings) -> Result<Option<Rebuild>, AggregateError> {
        let (group, shard) = (&settings.lane_group(), settings.shard);
        let mut rows = from.epochs_after(group, 0).await?;
        let recorded = rows.last().map(|row| row.epoch);
        let whole_until = whole_until(from, group).await?;
        rows.retain(|row| row.epoch <= whole_until);
        if !shard.is_whole() {
            let stored = stored_by_all(from, &settings.group, shard.count()).await?;
            if let Some(first) = rows.iter().find(|row| !is_stored(row, &stored)).map(|row| row.epoch) {
                rows.retain(|row| row.epoch < first);
            }
        }
        let is_cut = rows.last().map(|row| row.epoch) != recorded;
        for digest in rows.iter().map(|row| &row.definitions).collect::<BTreeSet<_>>() {
            into.keep_definitions(from.definitions(digest).await?).await?;
        }
        let copied = into.epochs_after(group, 0).await?.last().map_or(0, |row| row.epoch);
        for intent in rows.chunk_by(|one, next| one.epoch == next.epoch) {
            if intent[0].epoch > copied {
                into.record_intent(group, intent[0].epoch, intent).await?;
            }
        }
        let epochs = Vec::from(RecordedEpoch::from_rows(rows));
        let Some(last) = epochs.last() else { return Ok(None) };
        let definitions = Arc::new(definitions::recall(&into, &last.definitions).await?);
        let losses = Losses::of(&epochs);
        Ok(Some(Rebuild { settings, into, epochs, losses, definitions, is_cut }))
    }

    /// What never came to its epochs.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Whether it leaves out epochs that read what is not all stored.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How many epochs there are.
    pub fn epochs_count(&self) -> usize {
        self.epochs.len()
    }

    /// The number of the last one; 0 when there is none.
    pub fn last_epoch(&self) -> i64 {
        self.epochs.last().map_or(0, |last| last.epoch)
    }

    /// Makes all epochs again and saves the state after the last one; it waits for the new lake on `runtime`. `on_epoch` is
    /// called after each.
    ///
    /// # Errors
    /// When the new lake cannot be written, and those of `stored`.
    pub fn run<Stored: StoredInput>(
        self,
        runtime: &Handle,
        stored: &mut Stored,
        mut on_epoch: impl FnMut(i64),
    ) -> Result<(), Stored::Error> {
        let live = Arc::new(Live::default());
        let mut worker = self.open(runtime, &live, stored)?;
        let first = worker.next_epoch();
        let epochs: Vec<&RecordedEpoch> = self.epochs.iter().filter(|recorded| recorded.epoch >= first).collect();
        for chunk in epochs.chunks(EPOCHS_AT_ONCE) {
            let mut records = stored.epochs(chunk)?;
            for recorded in chunk {
                if worker.is_replayed() && recorded.epoch >= worker.next_epoch() {
                    rest(runtime, worker)?;
                    worker = self.open(runtime, &live, stored)?;
                }
                for delivery in deliveries(recorded, &mut records) {
                    worker.take(Input::Delivery(delivery));
                }
                let committer = worker.committer();
                while let Some(order) = worker.replay()? {
                    runtime.block_on(committer.carry_out(order.encode()?))?;
                }
                on_epoch(recorded.epoch);
            }
        }
        rest(runtime, worker)?;
        Ok(())
    }

    fn open<Stored: StoredInput>(
        &self,
        runtime: &Handle,
        live: &Arc<Live>,
        stored: &mut Stored,
    ) -> Result<Worker, Stored::Error> {
        let (settings, definitions) = (self.settings.clone(), self.definitions.clone());
        let opening = Worker::open(settings, self.into.clone(), definitions, live.clone());
        let mut worker = runtime.block_on(opening)?;
        if let Some(before) = worker.wants_recount() {
            worker.begin_recount();
            stored.recount(before, &mut |events| worker.recount(events))?;
            worker.end_recount();
        }
        Ok(worker)
    }
}

/// Whether an epoch, of which this is one range, read nothing that is not stored.
fn is_stored(row: &EpochRow, stored: &HashMap<PartitionId, i64>) -> bool {
    let EpochRow { topic: Some(topic), partition: Some(partition), .. } = row else { return true };
    let id = PartitionId { topic: topic.as_str().into(), partition: *partition };
    row.from_offset == row.until_offset || stored.get(&id).copied() >= row.until_offset
}

fn rest(runtime: &Handle, worker: Worker) -> Result<(), AggregateError> {
    let committer = worker.committer();
    for order in worker.rest()?.0 {
        runtime.block_on(committer.carry_out(order.encode()?))?;
    }
    Ok(())
}

/// What an epoch took, as a source would deliver it.
fn deliveries(recorded: &RecordedEpoch, records: &mut StoredEpochs) -> Vec<Delivery> {
    let of_partition = |partition: &PartitionId| {
        let stored = records.remove(&(recorded.epoch, partition.clone())).unwrap_or_default();
        deliveries_of(recorded, partition, stored)
    };
    recorded.ranges.keys().flat_map(of_partition).collect()
}

/// What an epoch took of one partition, as a source would deliver it; it is taken out of what is stored.
pub fn deliveries_of(recorded: &RecordedEpoch, partition: &PartitionId, stored: StoredRecords) -> Vec<Delivery> {
    let Some(&(from, until, _)) = recorded.ranges.get(partition).filter(|(from, until, _)| from < until) else {
        return Vec::new();
    };
    let StoredRecords { events, mut dead_letters, requests } = stored;
    if partition.is_retries() {
        return requests;
    }
    let mut deliveries = Vec::new();
    // Each has the dead letters that stood among its events, for runs of an epoch may end anywhere between; the last of
    // them covers the rest of the range.
    let mut next = from;
    let (read_at, last, before) = match events.split_last() {
        Some(((read_at, last), before)) => (Some(*read_at), last.clone(), before),
        None => (None, EventBatch::empty(), [].as_slice()),
    };
    for (read_at, events) in before {
        let offsets = events.integers(EventColumn::Offset).values();
        let read_until = offsets.last().map_or(next, |last| last + 1);
        let later = dead_letters.split_off(dead_letters.partition_point(|letter| letter.offset < read_until));
        let dead_letters = std::mem::replace(&mut dead_letters, later);
        let news = Delivery { dead_letters, ..Delivery::news(partition.clone(), read_until, None) };
        deliveries.push(Delivery { from_offset: next, events: events.clone(), read_at: Some(*read_at), ..news });
        next = read_until;
    }
    let news = Delivery::news(partition.clone(), until, None);
    deliveries.push(Delivery { from_offset: next, events: last, dead_letters, read_at, ..news });
    deliveries
}
