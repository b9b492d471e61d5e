//! Records that Kafka deleted after they were read, and before the state was saved, or whose topic was deleted and is named
//! by no source any more: the tables have them still.
//!
//! ```text
//!   Kafka: lost 40..90 ──▶ Restorer ──▶ what the epochs up to the crash took of 40..70, as stored
//!                              └──────▶ lost 70..90
//! ```
//! Recorded epochs are made again from what is stored of them, as `plimsoll rebuild` makes all of them. Copies are not
//! stored, and have no part in any result. An epoch that the crash interrupted may lack dead letters, so its range is told
//! to be lost besides, with the events that are there, unless there is something at each of its offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use plimsoll_aggregate::collector::RecordedEpoch;
use plimsoll_aggregate::rebuild::{StoredEpochs, deliveries_of};
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::delivery::Delivery;
use plimsoll_schemas::table::Table;

/// See the head of this module.
pub struct Restorer {
    recorded: Vec<RecordedEpoch>,
    whole_until: i64,
}

impl Restorer {
    /// For a worker that is to make these epochs of a lane group again.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn new(lake: &Lake, lane_group: &str, recorded: Vec<RecordedEpoch>) -> Result<Restorer, LakeError> {
        let mut whole_until = 0;
        if !recorded.is_empty() {
            let marks = lake.marks(lane_group).await?;
            // Events are committed first, and dead letters before all else.
            let stored = marks.iter().filter(|(table, _)| **table != Table::Epochs);
            let whole = stored.map(|(table, newest)| newest - i64::from(*table == Table::Events));
            whole_until = whole.max().unwrap_or(0);
        }
        Ok(Restorer { recorded, whole_until })
    }

    /// What recorded epochs read of these topics, an epoch at a time, as if Kafka had deleted it.
    pub fn recorded_of(&self, topics: &BTreeSet<Arc<str>>) -> Vec<Delivery> {
        let ranges = self.recorded.iter().flat_map(|recorded| &recorded.ranges);
        let ranges = ranges.filter(|(id, (from, until, _))| from < until && topics.contains(&id.topic));
        ranges.map(|(id, (from, until, _))| Delivery::lost(id.clone(), *from, *until)).collect()
    }

    /// What is to be taken in place of records that Kafka has deleted, an epoch at a time: what is stored of them, and then
    /// the loss of the rest. `read` reads what an epoch took.
    pub fn restore(
        &self,
        lost: Delivery,
        mut read: impl FnMut(i64) -> Result<StoredEpochs>,
    ) -> impl Iterator<Item = Result<Vec<Delivery>>> {
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
        let of_epoch = move |recorded: &RecordedEpoch| {
            let epoch = recorded.epoch;
            let mut records = read(epoch).with_context(|| {
                format!("what epoch {epoch} read is neither in kafka any more nor can it be read from the tables")
            })?;
            let mut deliveries = deliveries_of(recorded, &partition, &mut records);
            // With something at every offset nothing can be missing, whatever else it wrote.
            let held = deliveries.iter().map(|part| part.events.num_rows() + part.dead_letters.len()).sum::<usize>();
            let is_full = recorded.ranges.get(&partition).is_some_and(|(from, until, _)| *until - *from == held as i64);
            deliveries.iter_mut().for_each(|delivery| delivery.is_lost = epoch > self.whole_until && !is_full);
            Ok(deliveries)
        };
        let rest = (next < lost.until_offset).then(|| Delivery::lost(lost.partition, next, lost.until_offset));
        stored.into_iter().map(of_epoch).chain(rest.map(|rest| Ok(vec![rest])))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::Instant;
    use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason, PartitionId};
    use plimsoll_schemas::table::EpochRow;

    use super::*;

    fn id() -> PartitionId {
        PartitionId { topic: "t".into(), partition: 0 }
    }

    /// A dead letter at the first offset of each epoch stands for what is stored of it.
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
        let restorer = Restorer { recorded: RecordedEpoch::from_rows(rows).into(), whole_until: 7 };
        // From, until, dead letters, and whether it is told to be lost.
        let restored = |from, until| -> Vec<(i64, i64, usize, bool)> {
            let read = |epoch: i64| Ok(stored(epoch, [10, 20, 30, 30, 40][epoch as usize - 5]));
            let parts =
                restorer.restore(Delivery::lost(id(), from, until), read).map(|part| part.expect("it is stored"));
            let told = |part: Delivery| (part.from_offset, part.until_offset, part.dead_letters.len(), part.is_lost);
            parts.flatten().map(told).collect()
        };
        assert_eq!(restored(10, 15), [(10, 20, 1, false)]);
        assert_eq!(restored(15, 30), [(10, 20, 1, false), (20, 30, 1, false)]);
        assert_eq!(restored(25, 45), [(20, 30, 1, false), (30, 40, 1, true), (40, 41, 1, false), (41, 45, 0, true)]);
        assert_eq!(restored(41, 50), [(41, 50, 0, true)]);
        let read = |_: i64| anyhow::bail!("damaged");
        let failed = restorer.restore(Delivery::lost(id(), 10, 15), read).next().expect("a part");
        let told = format!("{:#}", failed.expect_err("it cannot be read"));
        assert!(told.starts_with("what epoch 5 read is neither in kafka") && told.ends_with("damaged"), "{told}");
    }
}
