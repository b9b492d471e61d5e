//! The watermark: the event time up to which input is believed complete (R23).
//!
//! A partition that has not been read to its end holds the watermark at the newest event time it has shown; one that is
//! provably caught up follows the tick. The watermark is the least of all partitions, and never goes back. A partition
//! from which nothing was heard yet holds it at the beginning of time: never a timer alone.

use std::collections::BTreeMap;

use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use serde::{Deserialize, Serialize};

/// The progress of every partition read by a lane group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    partitions: BTreeMap<PartitionId, Progress>,
    watermark: Instant,
}

/// How far one partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The first offset not yet read.
    pub next_offset: i64,
    /// The newest event time seen; `None` before the first event.
    pub newest: Option<Instant>,
    /// True when nothing was left to read.
    pub caught_up: bool,
}

/// Before anything is known.
pub const BEGINNING: Instant = Instant(i64::MIN);

impl Default for Watermarks {
    fn default() -> Watermarks {
        Watermarks { partitions: BTreeMap::new(), watermark: BEGINNING }
    }
}

impl Watermarks {
    /// Makes a partition known, so that it holds the watermark until it is heard from.
    pub fn expect(&mut self, partition: &PartitionId) {
        self.partitions.entry(partition.clone()).or_insert(Progress { next_offset: 0, newest: None, caught_up: false });
    }

    /// Records that a partition was read up to `next_offset`, what its newest event was and whether it is at its end.
    pub fn read(&mut self, partition: &PartitionId, next_offset: i64, newest: Option<Instant>, caught_up: bool) {
        self.expect(partition);
        if let Some(progress) = self.partitions.get_mut(partition) {
            progress.next_offset = progress.next_offset.max(next_offset);
            progress.newest = progress.newest.max(newest);
            progress.caught_up = caught_up;
        }
    }

    /// The first offset not yet read of a partition; `None` when nothing was read.
    pub fn next_offset(&self, partition: &PartitionId) -> Option<i64> {
        self.partitions.get(partition).map(|progress| progress.next_offset)
    }

    /// Every partition and its progress.
    pub fn partitions(&self) -> impl Iterator<Item = (&PartitionId, &Progress)> {
        self.partitions.iter()
    }

    /// Moves the watermark to where it was known to be.
    pub fn resume(&mut self, watermark: Instant) {
        self.watermark = self.watermark.max(watermark);
    }

    /// Moves the watermark on as far as all partitions allow at `tick`, and returns it.
    pub fn advance(&mut self, tick: Instant) -> Instant {
        let limit = |progress: &Progress| {
            if progress.caught_up { tick } else { progress.newest.unwrap_or(BEGINNING).min(tick) }
        };
        let least = self.partitions.values().map(limit).min().unwrap_or(BEGINNING);
        self.watermark = self.watermark.max(least);
        self.watermark
    }

    /// The watermark as it was last moved.
    pub fn watermark(&self) -> Instant {
        self.watermark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> PartitionId {
        PartitionId { topic: "t".into(), partition: number }
    }

    #[test]
    fn r23_the_slowest_partition_holds_the_watermark_and_one_that_is_caught_up_follows_the_clock() {
        let mut watermarks = Watermarks::default();
        watermarks.expect(&partition(0));
        watermarks.expect(&partition(1));
        watermarks.read(&partition(0), 10, Some(Instant(50)), false);
        assert_eq!(watermarks.advance(Instant(1_000)), BEGINNING, "nothing was heard from partition 1");
        watermarks.read(&partition(1), 0, None, true);
        assert_eq!(watermarks.advance(Instant(1_000)), Instant(50), "an empty partition does not hold it");
        watermarks.read(&partition(0), 10, None, true);
        assert_eq!(watermarks.advance(Instant(1_001)), Instant(1_001));
        watermarks.read(&partition(0), 11, Some(Instant(60)), false);
        assert_eq!(watermarks.advance(Instant(1_002)), Instant(1_001), "it never goes back");
        assert_eq!(watermarks.next_offset(&partition(0)), Some(11));
    }

    #[test]
    fn r23_an_event_from_the_future_does_not_move_it_beyond_the_clock() {
        let mut watermarks = Watermarks::default();
        watermarks.read(&partition(0), 1, Some(Instant(9_999)), false);
        assert_eq!(watermarks.advance(Instant(100)), Instant(100));
    }
}
