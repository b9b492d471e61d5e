//! Records that Kafka deleted after they were read, and before the state was saved, or whose topic was deleted and is named
//! by no source any more: the tables have them still.
//!
//! ```text
//!   Kafka: lost 40..90 ──▶ Restorer ──▶ what the epochs up to the crash took of 40..70, as stored
//!                              └──────▶ lost 70..90
//! ```
//! Recorded epochs are made again from what is stored of them, as `plimsoll rebuild` makes all of them, and read with those
//! that follow, as far as there is memory for more than one. Copies are not
//! stored, and have no part in any result. An epoch that the crash interrupted may lack dead letters, so its range is told
//! to be lost besides, with the events that are there, unless there is something at each of its offsets. So it is with one
//! of a shard when a sibling, which stores a part of what it read, was not as far.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result};
use plimsoll_aggregate::collector::{Losses, RecordedEpoch};
use plimsoll_aggregate::rebuild::{StoredEpochs, deliveries_of};
use plimsoll_aggregate::shards::{stored_by_all, whole_until};
use plimsoll_aggregate::worker::EPOCH_ROWS_MAX;
use plimsoll_aggregate::{AggregateError, Live, WorkerSettings};
use plimsoll_lake::Lake;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use tokio::runtime::Handle;

use crate::pipeline::Stored;
use crate::retries;

/// How long storage that is away rests before it is asked again, and for how long.
const AWAY_WAIT: Duration = Duration::from_secs(2);
const AWAY_MAX: Duration = Duration::from_secs(10 * 60);

/// What is told of a step that reads what is stored.
pub const UNREAD: &str = "what is stored cannot be read";

/// See the head of this module.
pub struct Restorer {
    lake: Lake,
    worker: WorkerSettings,
    runtime: Handle,
    live: Arc<Live>,
    recorded: Vec<RecordedEpoch>,
    losses: Losses,
    /// What is stored, once that was looked at.
    stored: OnceCell<Whole>,
    read: RefCell<Read>,
}

/// What was read last: that of recorded epochs which follow each other, by their places.
#[derive(Debug, Default)]
struct Read {
    places: Range<usize>,
    records: StoredEpochs,
}

/// Of which epochs all is stored.
#[derive(Clone, Debug, Default)]
struct Whole {
    until_epoch: i64,
    /// Before which offsets all shards have stored all events; `None` where there is one.
    by_all: Option<HashMap<PartitionId, i64>>,
}

impl Restorer {
    /// For a worker that is to make these epochs again; it waits for the lake on `runtime`, and `live` tells that.
    pub fn new(
        lake: Lake,
        worker: WorkerSettings,
        runtime: Handle,
        live: Arc<Live>,
        recorded: Vec<RecordedEpoch>,
    ) -> Restorer {
        let losses = Losses::of(&recorded);
        let (stored, read) = Default::default();
        Restorer { lake, worker, runtime, live, recorded, losses, stored, read }
    }

    /// What recorded epochs read of these topics, an epoch at a time, as if Kafka had deleted it.
    pub fn recorded_of(&self, topics: &BTreeSet<Arc<str>>) -> Vec<Delivery> {
        let ranges = self.recorded.iter().flat_map(|recorded| &recorded.ranges);
        let ranges = ranges.filter(|(id, (from, until, _))| from < until && topics.contains(&id.topic));
        ranges.map(|(id, (from, until, _))| Delivery::lost(id.clone(), *from, *until)).collect()
    }

    /// Hands over what is to be taken in place of records that Kafka has deleted: what is stored of them, an epoch at a
    /// time, and then the loss of the rest. False when it was to end, or nobody takes them any more. Storage that is away is
    /// asked again for minutes.
    ///
    /// # Errors
    /// When what was read is neither in Kafka any more nor can it be read from the tables.
    pub fn restore(
        &self,
        lost: Delivery,
        tables: &(impl Stored + ?Sized),
        is_to_end: impl Fn() -> bool,
        hand_over: impl Fn(Delivery) -> bool,
    ) -> Result<bool> {
        let mut next = lost.from_offset;
        for (place, recorded) in self.recorded.iter().enumerate() {
            let Some((from, until, _)) = recorded.ranges.get(&lost.partition) else { continue };
            if *until <= next || *from >= lost.until_offset {
                continue;
            }
            let read = || self.stored(tables).and_then(|whole| self.of_epoch(place, &lost, tables, &whole));
            let Some(deliveries) = patiently(&self.live, UNREAD, read, &is_to_end)? else { return Ok(false) };
            next = *until;
            for delivery in deliveries {
                if is_to_end() || !hand_over(delivery) {
                    return Ok(false);
                }
            }
        }
        let is_rest = next < lost.until_offset;
        Ok(!is_rest || hand_over(Delivery { from_offset: next, ..lost }))
    }

    /// Looks what is stored, and whether that is what was written.
    fn stored(&self, tables: &(impl Stored + ?Sized)) -> Result<Whole> {
        if let Some(whole) = self.stored.get() {
            return Ok(whole.clone());
        }
        tables.check()?;
        let group = self.worker.lane_group();
        eprintln!("{group}: what its last epochs read is deleted elsewhere, and is taken from the tables");
        let WorkerSettings { group, shard, .. } = &self.worker;
        let whole = self.runtime.block_on(async {
            let by_all = match shard.is_whole() {
                true => None,
                false => Some(stored_by_all(&self.lake, group, shard.count()).await?),
            };
            let until_epoch = whole_until(&self.lake, &self.worker.lane_group()).await?;
            Ok::<_, AggregateError>(Whole { until_epoch, by_all })
        })?;
        Ok(self.stored.get_or_init(|| whole).clone())
    }

    /// Reads what is stored of the epoch at a place, and of those behind it that together have no more records than one
    /// epoch may have, unless that was done.
    fn read(&self, place: usize, tables: &(impl Stored + ?Sized)) -> Result<()> {
        if self.read.borrow().places.contains(&place) {
            return Ok(());
        }
        let mut records_left = EPOCH_ROWS_MAX as i64;
        let fits = |recorded: &&RecordedEpoch| {
            let taken = recorded.ranges.values().map(|(from, until, _)| until.saturating_sub(*from));
            records_left = taken.fold(records_left, i64::saturating_sub);
            records_left >= 0
        };
        let count = self.recorded[place..].iter().take_while(fits).count().max(1);
        let epochs: Vec<&RecordedEpoch> = self.recorded[place..place + count].iter().collect();
        // Only one of them is kept.
        self.read.take();
        let records = tables.epochs(self.worker.shard, &epochs, &self.losses).with_context(|| {
            let epoch = epochs[0].epoch;
            format!(
                "what epoch {epoch} and those after it read is deleted elsewhere, and cannot be read from the tables"
            )
        })?;
        self.read.replace(Read { places: place..place + count, records });
        Ok(())
    }

    /// What is stored of what an epoch took of a loss: Kafka has what lies behind.
    fn of_epoch(
        &self,
        place: usize,
        lost: &Delivery,
        tables: &(impl Stored + ?Sized),
        whole: &Whole,
    ) -> Result<Vec<Delivery>> {
        self.read(place, tables)?;
        let (recorded, partition) = (&self.recorded[place], &lost.partition);
        let epoch = recorded.epoch;
        let records = self.read.borrow().records.get(&(epoch, partition.clone())).cloned().unwrap_or_default();
        let deliveries = deliveries_of(recorded, partition, records).into_iter();
        let mut deliveries: Vec<Delivery> = deliveries
            .map(|delivery| delivery.split_at(lost.until_offset).0)
            .filter(|delivery| delivery.from_offset < delivery.until_offset)
            .collect();
        // With something at every offset nothing can be missing, whatever else it wrote.
        let held = deliveries.iter().map(|part| part.events.num_rows() + part.dead_letters.len()).sum::<usize>();
        let (from, until, _) = recorded.ranges.get(partition).copied().unwrap_or_default();
        let is_full = until.min(lost.until_offset) - from == held as i64;
        let is_stored = |stored: &HashMap<PartitionId, i64>| {
            stored.get(partition).is_some_and(|all| *all >= until.min(lost.until_offset))
        };
        let is_whole = epoch <= whole.until_epoch && whole.by_all.as_ref().is_none_or(is_stored);
        deliveries.iter_mut().for_each(|delivery| delivery.is_lost = !is_whole && !is_full);
        Ok(deliveries)
    }
}

/// Repeats a step as long as storage is away, and says so once, as this `failure`, and in `live`; `None` when it was to end
/// meanwhile.
///
/// # Errors
/// Those of the step; that storage is away when that lasts.
pub fn patiently<T>(
    live: &Live,
    failure: &str,
    step: impl Fn() -> Result<T>,
    is_to_end: impl Fn() -> bool,
) -> Result<Option<T>> {
    let began = Moment::now();
    let mut is_told = false;
    while !is_to_end() {
        match step() {
            Err(error) if retries::is_unavailable(&error) && began.elapsed() < AWAY_MAX => {
                if !std::mem::replace(&mut is_told, true) {
                    let seconds = AWAY_MAX.as_secs();
                    eprintln!("warning: {failure}: {error:#}; trying again for {seconds} seconds");
                    live.lake_is_away(true);
                }
                live.lake_is_tried_again();
                std::thread::sleep(AWAY_WAIT);
            }
            done => {
                live.lake_is_away(false);
                return done.map(Some);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use plimsoll_aggregate::worker::REMEMBERED;
    use plimsoll_engine::shards::Shard;
    use plimsoll_schemas::Instant;
    use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason};
    use plimsoll_schemas::event::EventBatch;
    use plimsoll_schemas::table::{AttainmentRow, EpochRow};

    use super::*;

    fn id() -> PartitionId {
        PartitionId { topic: "t".into(), partition: 0 }
    }

    async fn lake() -> Lake {
        Lake::open_in(Arc::new(InMemory::new()), "memory:///".parse().expect("a URL")).await.expect("a lake")
    }

    fn worker(shard: Shard) -> WorkerSettings {
        WorkerSettings {
            group: "test".to_owned(),
            shard,
            lanes: 1,
            epoch_interval: Duration::ZERO,
            epoch_rows_max: usize::MAX,
            publish_interval: Duration::ZERO,
            snapshot_every: i64::MAX,
            remembered: REMEMBERED,
            clock: Arc::new(|| Instant(0)),
        }
    }

    /// A dead letter at the first offset of each epoch stands for what is stored of it; `None` where nothing can be read.
    struct Letters {
        is_whole: bool,
        /// How often it was read, and how many epochs.
        reads: RefCell<Vec<usize>>,
    }

    impl Stored for Letters {
        fn newest(&self) -> Vec<AttainmentRow> {
            Vec::new()
        }

        fn events(&self, _: HashMap<PartitionId, i64>, _: &mut dyn FnMut(&EventBatch)) -> Result<()> {
            Ok(())
        }

        fn check(&self) -> Result<()> {
            Ok(())
        }

        fn epochs(&self, _: Shard, epochs: &[&RecordedEpoch], _: &Losses) -> Result<StoredEpochs> {
            self.reads.borrow_mut().push(epochs.len());
            anyhow::ensure!(self.is_whole, "damaged");
            Ok(epochs.iter().flat_map(|recorded| stored(recorded.epoch, recorded.ranges[&id()].0)).collect())
        }
    }

    fn stored(epoch: i64, offset: i64) -> StoredEpochs {
        let letter = DeadLetter {
            offset,
            source: "plain".into(),
            reason: DeadLetterReason::Empty,
            detail: String::new(),
            payload: Vec::new(),
            payload_bytes: 0,
            record_time: Some(Instant(0)),
        };
        let mut epochs = StoredEpochs::new();
        epochs.entry((epoch, id())).or_default().dead_letters.push(letter);
        epochs
    }

    #[tokio::test]
    async fn what_recorded_epochs_took_is_taken_from_the_tables_and_only_the_rest_is_lost() {
        let row = |epoch, from, until| EpochRow {
            epoch,
            topic: Some("t".into()),
            partition: Some(0),
            from_offset: Some(from),
            until_offset: Some(until),
            ..EpochRow::default()
        };
        // Epoch 7 read nothing, and 8 and 9 are in `events` alone, 9 with all that it read.
        let rows = vec![row(5, 10, 20), row(6, 20, 30), row(7, 30, 30), row(8, 30, 40), row(9, 40, 41)];
        let recorded: Vec<RecordedEpoch> = RecordedEpoch::from_rows(rows).into();
        let lake = lake().await;
        let restorer = |by_all: Option<HashMap<PartitionId, i64>>| {
            let shard = if by_all.is_some() { Shard::new(1, 2).expect("a shard") } else { Shard::WHOLE };
            let restorer =
                Restorer::new(lake.clone(), worker(shard), Handle::current(), Arc::default(), recorded.clone());
            Restorer { stored: OnceCell::from(Whole { until_epoch: 7, by_all }), ..restorer }
        };
        let letters = Letters { is_whole: true, reads: RefCell::default() };
        // From, until, dead letters, and whether it is told to be lost.
        let restored_by = |restorer: &Restorer, from, until| -> Vec<(i64, i64, usize, bool)> {
            let told = RefCell::new(Vec::new());
            let hand_over = |part: Delivery| {
                let letters = part.dead_letters.len();
                told.borrow_mut().push((part.from_offset, part.until_offset, letters, part.is_lost));
                true
            };
            let lost = Delivery::lost(id(), from, until);
            let is_done = restorer.restore(lost, &letters, || false, hand_over).expect("it is stored");
            assert!(is_done);
            told.into_inner()
        };
        let of_one = restorer(None);
        let restored = |from, until| restored_by(&of_one, from, until);
        assert_eq!(restored(10, 15), [(10, 15, 1, false)], "kafka has the rest");
        assert_eq!(restored(15, 30), [(10, 20, 1, false), (20, 30, 1, false)]);
        assert_eq!(restored(25, 45), [(20, 30, 1, false), (30, 40, 1, true), (40, 41, 1, false), (41, 45, 0, true)]);
        assert_eq!(restored(25, 35), [(20, 30, 1, false), (30, 35, 1, true)]);
        assert_eq!(restored(30, 31), [(30, 31, 1, false)], "it is there");
        assert_eq!(restored(41, 50), [(41, 50, 0, true)]);
        assert_eq!(*letters.reads.borrow(), [5], "all of them were read at once, for all that was lost");
        // A sibling has stored its part before 20 and is no farther.
        let of_two = restorer(Some(HashMap::from([(id(), 20)])));
        assert_eq!(restored_by(&of_two, 10, 30), [(10, 20, 1, false), (20, 30, 1, true)]);
        let damaged = Letters { is_whole: false, reads: RefCell::default() };
        let failed = restorer(None).restore(Delivery::lost(id(), 20, 25), &damaged, || false, |_| true);
        let told = format!("{:#}", failed.expect_err("it cannot be read"));
        assert!(
            told.starts_with("what epoch 6 and those after it read is deleted") && told.ends_with("damaged"),
            "{told}"
        );
    }
}
