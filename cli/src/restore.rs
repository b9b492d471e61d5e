//! Records that Kafka deleted after they were read, and before the state was saved, or whose topic was deleted and is named
//! by no source any more: the tables have them still.
//!
//! ```text
//!   Kafka: lost 40..90 ──▶ Restorer ──▶ what the epochs up to the crash took of 40..70, as stored
//!                              └──────▶ lost 70..90
//! ```
//! Recorded epochs are made again from what is stored of them, as `plimsoll rebuild` makes all of them. Copies are not
//! stored, and have no part in any result. An epoch that the crash interrupted may lack dead letters, so its range is told
//! to be lost besides, with the events that are there, unless there is something at each of its offsets. So it is with one
//! of a shard when a sibling, which stores a part of what it read, was not as far.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result};
use plimsoll_aggregate::collector::{Losses, RecordedEpoch};
use plimsoll_aggregate::rebuild::deliveries_of;
use plimsoll_aggregate::shards::stored_by_all;
use plimsoll_aggregate::{AggregateError, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_lake::Lake;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::table::Table;

use crate::pipeline::Stored;

/// See the head of this module.
pub struct Restorer {
    recorded: Vec<RecordedEpoch>,
    shard: Shard,
    whole_until: i64,
    /// Before which offsets all shards have stored all events; `None` where there is one.
    stored_by_all: Option<HashMap<PartitionId, i64>>,
}

impl Restorer {
    /// For a worker that is to make these epochs again.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn new(
        lake: &Lake,
        worker: &WorkerSettings,
        recorded: Vec<RecordedEpoch>,
    ) -> Result<Restorer, AggregateError> {
        let WorkerSettings { group, shard, .. } = worker;
        let (mut whole_until, mut all) = (0, None);
        if !recorded.is_empty() {
            let marks = lake.marks(&worker.lane_group()).await?;
            // Events are committed first, and dead letters before all else.
            let stored = marks.iter().filter(|(table, _)| **table != Table::Epochs);
            let whole = stored.map(|(table, newest)| newest - i64::from(*table == Table::Events));
            whole_until = whole.max().unwrap_or(0);
            if !shard.is_whole() {
                all = Some(stored_by_all(lake, group, shard.count()).await?);
            }
        }
        Ok(Restorer { recorded, shard: *shard, whole_until, stored_by_all: all })
    }

    /// What recorded epochs read of these topics, an epoch at a time, as if Kafka had deleted it.
    pub fn recorded_of(&self, topics: &BTreeSet<Arc<str>>) -> Vec<Delivery> {
        let ranges = self.recorded.iter().flat_map(|recorded| &recorded.ranges);
        let ranges = ranges.filter(|(id, (from, until, _))| from < until && topics.contains(&id.topic));
        ranges.map(|(id, (from, until, _))| Delivery::lost(id.clone(), *from, *until)).collect()
    }

    /// What is to be taken in place of records that Kafka has deleted, an epoch at a time: what is stored of them, and then
    /// the loss of the rest.
    pub fn restore<'a>(
        &'a self,
        lost: Delivery,
        tables: &'a (impl Stored + ?Sized),
    ) -> impl Iterator<Item = Result<Vec<Delivery>>> + 'a {
        let mut next = lost.from_offset;
        let mut stored = Vec::new();
        for recorded in &self.recorded {
            let range = recorded.ranges.get(&lost.partition);
            if let Some((_, until, _)) = range.filter(|(from, until, _)| *until > next && *from < lost.until_offset) {
                stored.push(recorded);
                next = *until;
            }
        }
        let partition = lost.partition.clone();
        let losses = Losses::of(&self.recorded);
        let of_epoch = move |recorded: &RecordedEpoch| {
            let epoch = recorded.epoch;
            let mut records = tables.epochs(self.shard, &[recorded], &losses).with_context(|| {
                format!("what epoch {epoch} read is neither in kafka any more nor can it be read from the tables")
            })?;
            let mut deliveries = deliveries_of(recorded, &partition, &mut records);
            // With something at every offset nothing can be missing, whatever else it wrote.
            let held = deliveries.iter().map(|part| part.events.num_rows() + part.dead_letters.len()).sum::<usize>();
            let (from, until, _) = recorded.ranges.get(&partition).copied().unwrap_or_default();
            let is_stored =
                |stored: &HashMap<PartitionId, i64>| stored.get(&partition).is_some_and(|all| *all >= until);
            let is_whole = epoch <= self.whole_until && self.stored_by_all.as_ref().is_none_or(is_stored);
            let is_full = until - from == held as i64;
            deliveries.iter_mut().for_each(|delivery| delivery.is_lost = !is_whole && !is_full);
            Ok(deliveries)
        };
        let rest = (next < lost.until_offset).then(|| Delivery { from_offset: next, ..lost });
        stored.into_iter().map(of_epoch).chain(rest.map(|rest| Ok(vec![rest])))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_aggregate::rebuild::StoredEpochs;
    use plimsoll_schemas::Instant;
    use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason};
    use plimsoll_schemas::event::EventBatch;
    use plimsoll_schemas::table::{AttainmentRow, EpochRow};

    use super::*;

    fn id() -> PartitionId {
        PartitionId { topic: "t".into(), partition: 0 }
    }

    /// A dead letter at the first offset of each epoch stands for what is stored of it; `None` where nothing can be read.
    struct Letters(Option<()>);

    impl Stored for Letters {
        fn newest(&self) -> Vec<AttainmentRow> {
            Vec::new()
        }

        fn events(&self, _: HashMap<PartitionId, i64>, _: &mut dyn FnMut(&EventBatch)) -> Result<()> {
            Ok(())
        }

        fn epochs(&self, _: Shard, epochs: &[&RecordedEpoch], _: &Losses) -> Result<StoredEpochs> {
            self.0.context("damaged")?;
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

    #[test]
    fn what_recorded_epochs_took_is_taken_from_the_tables_and_only_the_rest_is_lost() {
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
        let restorer =
            |stored_by_all| Restorer { recorded: recorded.clone(), shard: Shard::WHOLE, whole_until: 7, stored_by_all };
        // From, until, dead letters, and whether it is told to be lost.
        let restored_by = |restorer: &Restorer, from, until| -> Vec<(i64, i64, usize, bool)> {
            let letters = Letters(Some(()));
            let parts = restorer.restore(Delivery::lost(id(), from, until), &letters);
            let told = |part: Delivery| (part.from_offset, part.until_offset, part.dead_letters.len(), part.is_lost);
            parts.flat_map(|part| part.expect("it is stored")).map(told).collect()
        };
        let of_one = restorer(None);
        let restored = |from, until| restored_by(&of_one, from, until);
        assert_eq!(restored(10, 15), [(10, 20, 1, false)]);
        assert_eq!(restored(15, 30), [(10, 20, 1, false), (20, 30, 1, false)]);
        assert_eq!(restored(25, 45), [(20, 30, 1, false), (30, 40, 1, true), (40, 41, 1, false), (41, 45, 0, true)]);
        assert_eq!(restored(41, 50), [(41, 50, 0, true)]);
        // A sibling has stored its part before 20 and is no farther.
        let of_two = restorer(Some(HashMap::from([(id(), 20)])));
        assert_eq!(restored_by(&of_two, 10, 30), [(10, 20, 1, false), (20, 30, 1, true)]);
        let failed = of_one.restore(Delivery::lost(id(), 10, 15), &Letters(None)).next().expect("a part");
        let told = format!("{:#}", failed.expect_err("it cannot be read"));
        assert!(told.starts_with("what epoch 5 read is neither in kafka") && told.ends_with("damaged"), "{told}");
    }
}
