//! The watermark: the event time up to which input is believed complete (R23).
//!
//! Only what was read moves it. A partition is complete until the instant at which its end was last proved; between
//! proofs it holds the watermark there, or at the newest event time it has shown, whichever is later. The watermark is
//! the least of all partitions, and never goes back. Neither the clock nor a proof of yesterday lets it go on: a broker
//! that cannot be reached proves nothing. A partition from which nothing was heard yet holds it at the beginning of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use serde::{Deserialize, Serialize};

/// The progress of every partition read by a lane group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    partitions: BTreeMap<PartitionId, Progress>,
    watermark: Instant,
    /// The ids of the topics that were read, where they have one.
    topic_ids: BTreeMap<Arc<str>, Arc<str>>,
}

/// How far one partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The first offset not yet read.
    pub next_offset: i64,
    /// The newest event time seen; `None` before the first event.
    pub newest: Option<Instant>,
    /// Everything that it held at this instant has been read; `None` before the first proof.
    pub complete_until: Option<Instant>,
    /// False when its topic is read no more, so that it holds nothing.
    pub is_followed: bool,
}

impl Progress {
    const NONE: Progress = Progress { next_offset: 0, newest: None, complete_until: None, is_followed: true };

    /// True once the partition itself was heard from.
    pub fn is_heard(&self) -> bool {
        self.next_offset > 0 || self.newest.is_some() || self.complete_until.is_some()
    }
}

/// Before anything is known.
pub const BEGINNING: Instant = Instant(i64::MIN);

impl Default for Watermarks {
    fn default() -> Watermarks {
        Watermarks { partitions: BTreeMap::new(), watermark: BEGINNING, topic_ids: BTreeMap::new() }
    }
}

impl Watermarks {
    /// Says which topics are read from now on. What was read of other topics is kept and holds nothing. A topic of which
    /// nothing is known, perhaps because it does not exist, holds the watermark by its partition 0, which every topic
    /// has.
    pub fn follow(&mut self, topics: &BTreeSet<Arc<str>>) {
        for (partition, progress) in &mut self.partitions {
            progress.is_followed = topics.contains(&partition.topic);
        }
        for topic in topics {
            self.expect(&PartitionId { topic: topic.clone(), partition: 0 });
        }
    }

    /// Makes a partition known, so that it holds the watermark until it is heard from; but the log of dead letters that are
    /// taken again says nothing of how complete the input is.
    pub fn expect(&mut self, partition: &PartitionId) {
        let is_followed = !partition.is_retries();
        self.partitions.entry(partition.clone()).or_insert(Progress { is_followed, ..Progress::NONE });
    }

    /// Records the id of the topic that was read.
    pub fn identify(&mut self, topic: &Arc<str>, id: &Arc<str>) {
        if self.topic_ids.get(topic) != Some(id) {
            self.topic_ids.insert(topic.clone(), id.clone());
        }
    }

    /// The ids of the topics that were read: a topic of the same name and another id holds other records.
    pub fn topic_ids(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.topic_ids
    }

    /// Records that a partition was read up to `next_offset`, what its newest event was and until when it is proved to
    /// be complete.
    pub fn read(
        &mut self,
        partition: &PartitionId,
        next_offset: i64,
        newest: Option<Instant>,
        complete_until: Option<Instant>,
    ) {
        self.expect(partition);
        if let Some(progress) = self.partitions.get_mut(partition) {
            progress.next_offset = progress.next_offset.max(next_offset);
            progress.newest = progress.newest.max(newest);
            progress.complete_until = progress.complete_until.max(complete_until);
        }
    }

    /// The first offset not yet read of a partition; `None` when nothing was read.
    pub fn next_offset(&self, partition: &PartitionId) -> Option<i64> {
        self.partitions.get(partition).map(|progress| progress.next_offset)
    }

    /// Where each partition that was heard from goes on.
    pub fn next_offsets(&self) -> impl Iterator<Item = (PartitionId, i64)> {
        let heard = self.partitions.iter().filter(|(_, progress)| progress.is_heard());
        heard.map(|(id, progress)| (id.clone(), progress.next_offset))
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
        let limit = |progress: &Progress| progress.complete_until.max(progress.newest).unwrap_or(BEGINNING).min(tick);
        let followed = self.partitions.values().filter(|progress| progress.is_followed);
        let least = followed.map(limit).min().unwrap_or(BEGINNING);
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

    fn topics(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn r23_the_slowest_partition_holds_the_watermark_and_only_a_proof_lets_it_go_on() {
        let mut watermarks = Watermarks::default();
        watermarks.expect(&partition(0));
        watermarks.expect(&partition(1));
        watermarks.read(&partition(0), 10, Some(Instant(50)), None);
        assert_eq!(watermarks.advance(Instant(1_000)), BEGINNING, "nothing was heard from partition 1");
        watermarks.read(&partition(1), 0, None, Some(Instant(990)));
        assert_eq!(watermarks.advance(Instant(1_000)), Instant(50), "an empty partition does not hold it");
        watermarks.read(&partition(0), 10, None, Some(Instant(995)));
        assert_eq!(watermarks.advance(Instant(1_001)), Instant(990), "the older proof");
        assert_eq!(watermarks.advance(Instant(9_000)), Instant(990), "no proof, no progress, whatever the clock says");
        watermarks.read(&partition(1), 0, None, Some(Instant(9_100)));
        watermarks.read(&partition(0), 11, Some(Instant(60)), None);
        assert_eq!(watermarks.advance(Instant(9_200)), Instant(995), "a late event takes no proof back");
        watermarks.read(&partition(0), 12, Some(Instant(1_200)), None);
        assert_eq!(watermarks.advance(Instant(9_200)), Instant(1_200), "newer events than the proof");
        watermarks.read(&partition(0), 12, None, Some(Instant(1_100)));
        assert_eq!(watermarks.advance(Instant(9_200)), Instant(1_200), "it never goes back");
        assert_eq!(watermarks.next_offset(&partition(0)), Some(12));
    }

    #[test]
    fn r23_a_topic_that_is_read_holds_the_watermark_though_it_may_not_exist_and_one_that_is_not_does_not() {
        let mut watermarks = Watermarks::default();
        watermarks.follow(&topics(&["t", "misspelt"]));
        watermarks.read(&partition(0), 1, Some(Instant(5)), Some(Instant(10)));
        assert_eq!(watermarks.advance(Instant(20)), BEGINNING);
        let heard: Vec<bool> = watermarks.partitions().map(|(_, progress)| progress.is_heard()).collect();
        assert_eq!(heard, [false, true], "in the order of the names");
        for heard in [
            Progress { next_offset: 1, ..Progress::NONE },
            Progress { newest: Some(Instant(5)), ..Progress::NONE },
            Progress { complete_until: Some(Instant(5)), ..Progress::NONE },
        ] {
            assert!(heard.is_heard(), "{heard:?}");
        }
        watermarks.follow(&topics(&["t"]));
        assert_eq!(watermarks.advance(Instant(20)), Instant(10));
        watermarks.follow(&topics(&["other"]));
        let other = PartitionId { topic: "other".into(), partition: 0 };
        watermarks.read(&other, 1, None, Some(Instant(30)));
        assert_eq!(watermarks.advance(Instant(40)), Instant(30), "t is kept and holds nothing");
        watermarks.follow(&topics(&["other", "t"]));
        watermarks.read(&other, 1, None, Some(Instant(50)));
        assert_eq!(watermarks.advance(Instant(60)), Instant(30), "t has to be heard from again");
        assert_eq!(watermarks.next_offset(&partition(0)), Some(1), "and goes on where it was");
    }

    #[test]
    fn r23_dead_letters_that_are_taken_again_do_not_hold_the_watermark() {
        let mut watermarks = Watermarks::default();
        watermarks.read(&PartitionId::retries(), 1, Some(Instant(5)), None);
        watermarks.read(&partition(0), 1, Some(Instant(50)), None);
        assert_eq!(watermarks.advance(Instant(100)), Instant(50));
        watermarks.follow(&topics(&["t"]));
        watermarks.read(&PartitionId::retries(), 2, Some(Instant(6)), None);
        watermarks.read(&partition(0), 2, Some(Instant(60)), None);
        assert_eq!(watermarks.advance(Instant(100)), Instant(60));
        assert_eq!(watermarks.next_offset(&PartitionId::retries()), Some(2));
    }

    #[test]
    fn r23_an_event_from_the_future_does_not_move_it_beyond_the_clock() {
        let mut watermarks = Watermarks::default();
        watermarks.read(&partition(0), 1, Some(Instant(9_999)), Some(Instant(5_000)));
        assert_eq!(watermarks.advance(Instant(100)), Instant(100));
    }
}
