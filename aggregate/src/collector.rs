//! Cuts the stream of deliveries into epochs: as recorded, where intents from before a crash are to be replayed; by
//! size and time, where nothing is recorded.
//!
//! Within an epoch deliveries are put in the order of partition and offset, so that a replay folds the very same
//! sequence whatever order they arrive in. Where several shards read one log, the order is that of the log, which all of
//! them meet alike: of two copies in different partitions each has to count the same one, wherever it cuts its epochs. Then
//! the order is recorded, as runs of offsets, and a replay goes by it. Records that are sent a second time are left out, so
//! an epoch never reads back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use plimsoll_schemas::delivery::{DeadLetter, Delivery, PartitionId};
use plimsoll_schemas::table::EpochRow;
use plimsoll_schemas::{Instant, Micros};

/// An epoch that was recorded before and is to be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEpoch {
    /// Its number.
    pub epoch: i64,
    /// Its tick.
    pub tick: Instant,
    /// Whether it published.
    pub publish: bool,
    /// The watermark before it; `None` when nothing was known.
    pub watermark: Option<Instant>,
    /// The digest of the definitions under which it was folded.
    pub definitions: String,
    /// How far behind the watermark was remembered.
    pub remembered: Micros,
    /// Whether stored events were taken again before it.
    pub recounted: bool,
    /// What it read: from, until, and until when the partition was complete.
    pub ranges: BTreeMap<PartitionId, (i64, i64, Option<Instant>)>,
    /// In which order it read them: of which partition, and until where.
    pub runs: Vec<(PartitionId, i64)>,
    /// What it told to be lost.
    pub losses: Vec<Loss>,
    /// The ids of the topics that it read, where they have one.
    pub topic_ids: BTreeMap<Arc<str>, Arc<str>>,
}

impl RecordedEpoch {
    /// Intents, in the order of their epochs.
    pub fn from_rows(rows: Vec<EpochRow>) -> VecDeque<RecordedEpoch> {
        let mut epochs: BTreeMap<i64, RecordedEpoch> = BTreeMap::new();
        for row in rows {
            let recorded = epochs.entry(row.epoch).or_insert_with(|| RecordedEpoch::without_ranges(&row));
            if let (Some(topic), Some(partition), Some(from), Some(until)) =
                (row.topic, row.partition, row.from_offset, row.until_offset)
            {
                let id = PartitionId { topic: topic.into(), partition };
                if let Some(topic_id) = row.topic_id {
                    recorded.topic_ids.insert(id.topic.clone(), topic_id.into());
                }
                match row.lost_count {
                    Some(count) => {
                        recorded.losses.push(Loss { partition: id, from, until, is_whole: count == until - from })
                    }
                    None => recorded.add(id, (from, until, row.complete_until)),
                }
            }
        }
        epochs.into_values().collect()
    }

    fn add(&mut self, id: PartitionId, (from, until, complete_until): (i64, i64, Option<Instant>)) {
        if from < until {
            self.runs.push((id.clone(), until));
        }
        let range = self.ranges.entry(id).or_insert((from, until, None));
        *range = (range.0.min(from), range.1.max(until), range.2.max(complete_until));
    }

    /// Its runs, and then the partitions of which it read nothing but news.
    fn in_order(&self) -> impl Iterator<Item = (&PartitionId, i64)> {
        let news = self.ranges.iter().filter(|(id, _)| self.runs.iter().all(|(read, _)| read != *id));
        let runs = self.runs.iter().map(|(id, until)| (id, *until));
        runs.chain(news.map(|(id, (_, until, _))| (id, *until)))
    }

    fn without_ranges(row: &EpochRow) -> RecordedEpoch {
        RecordedEpoch {
            epoch: row.epoch,
            tick: row.tick,
            publish: row.publish,
            watermark: row.watermark,
            definitions: row.definitions.clone(),
            remembered: Micros(row.remembered_us),
            recounted: row.recounted,
            ranges: BTreeMap::new(),
            runs: Vec::new(),
            losses: Vec::new(),
            topic_ids: BTreeMap::new(),
        }
    }

    /// Which offsets of a loss it did not tell.
    pub fn untold(&self, lost: &Delivery) -> Vec<(i64, i64)> {
        let mut untold = vec![(lost.from_offset, lost.until_offset)];
        for Loss { from, until, .. } in self.losses.iter().filter(|loss| loss.partition == lost.partition) {
            let parts = untold.iter().flat_map(|&(first, last)| [(first, last.min(*from)), (first.max(*until), last)]);
            untold = parts.filter(|(first, last)| first < last).collect();
        }
        untold
    }
}

/// A range of offsets of a partition that an epoch tells to be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset.
    pub from: i64,
    /// The first offset behind it.
    pub until: i64,
    /// Whether nothing of it was there: of another some events had been stored, and count.
    pub is_whole: bool,
}

/// What never came to whoever recorded these epochs, because Kafka or the exchange had deleted it, and has no part in what
/// they found out. A sibling may have stored it all the same.
#[derive(Clone, Debug, Default)]
pub struct Losses(BTreeMap<PartitionId, Vec<(i64, i64)>>);

impl Losses {
    /// What these epochs tell.
    pub fn of<'a>(epochs: impl IntoIterator<Item = &'a RecordedEpoch>) -> Losses {
        let mut ranges: BTreeMap<PartitionId, Vec<(i64, i64)>> = BTreeMap::new();
        for Loss { partition, from, until, .. } in
            epochs.into_iter().flat_map(|epoch| &epoch.losses).filter(|loss| loss.is_whole)
        {
            ranges.entry(partition.clone()).or_default().push((*from, *until));
        }
        Losses(ranges)
    }

    /// Whether the record at an offset of a partition never came.
    pub fn has(&self, partition: &PartitionId, offset: i64) -> bool {
        let ranges = self.0.get(partition).map_or(&[][..], Vec::as_slice);
        ranges.iter().any(|(from, until)| (*from..*until).contains(&offset))
    }
}

/// Which of several recorded epochs took which records.
#[derive(Clone, Debug, Default)]
pub struct Takers(BTreeMap<PartitionId, Vec<(i64, i64, usize)>>);

impl Takers {
    /// Of these epochs, in their order.
    pub fn of<'a>(epochs: impl IntoIterator<Item = &'a RecordedEpoch>) -> Takers {
        let mut ranges: BTreeMap<PartitionId, Vec<(i64, i64, usize)>> = BTreeMap::new();
        for (place, epoch) in epochs.into_iter().enumerate() {
            for (partition, &(from, until, _)) in epoch.ranges.iter().filter(|(_, (from, until, _))| from < until) {
                ranges.entry(partition.clone()).or_default().push((from, until, place));
            }
        }
        Takers(ranges)
    }

    /// The place, among them, of the one that took the record at an offset of a partition; `None` when none of them did.
    pub fn place_of(&self, partition: &PartitionId, offset: i64) -> Option<usize> {
        let ranges = self.0.get(partition)?;
        let (from, _, place) = ranges.get(ranges.partition_point(|(_, until, _)| *until <= offset))?;
        (*from <= offset).then_some(*place)
    }

    /// What they took of each partition, as one range: from and until.
    pub fn spans(&self) -> Vec<(PartitionId, i64, i64)> {
        let span = |(id, ranges): (&PartitionId, &Vec<(i64, i64, usize)>)| {
            let (first, last) = ranges.first().zip(ranges.last())?;
            Some((id.clone(), first.0, last.1))
        };
        self.0.iter().filter_map(span).collect()
    }
}

/// The epochs that one worker makes again: those that follow each other under the same definitions, without stored events
/// taken again in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// In order; none when nothing is to be replayed.
    pub epochs: VecDeque<RecordedEpoch>,
    /// The digest of the definitions to work by.
    pub definitions: String,
    /// True when they are not the present ones, or further epochs follow under others or after stored events were taken
    /// again, or the state must be brought to rest first.
    pub is_former: bool,
    /// True when the first of the epochs is the first under these definitions, and so tells them.
    pub is_change: bool,
}

impl Recorded {
    /// What follows the snapshot, from the intents since the snapshot's own epoch; `current` is the digest of the present
    /// definitions.
    pub fn after(snapshot_epoch: i64, rows: Vec<EpochRow>, current: &str) -> Recorded {
        let mut epochs = RecordedEpoch::from_rows(rows);
        let before = match epochs.front() {
            Some(first) if first.epoch <= snapshot_epoch => epochs.pop_front().map(|epoch| epoch.definitions),
            _ => None,
        };
        let definitions = epochs.front().map_or_else(|| current.to_owned(), |epoch| epoch.definitions.clone());
        // Before an epoch for which stored events were taken again the state came to rest, as at the end of a worker.
        let goes_on = |(place, epoch): &(usize, &RecordedEpoch)| {
            epoch.definitions == definitions && (*place == 0 || !epoch.recounted)
        };
        let same = epochs.iter().enumerate().take_while(goes_on).count();
        let is_former = same < epochs.len() || definitions != current;
        epochs.truncate(same);
        Recorded { epochs, is_former, is_change: before.as_ref() != Some(&definitions), definitions }
    }
}

impl Recorded {
    /// How far the epochs read a partition; `None` when they did not.
    pub fn read_until(&self, partition: &PartitionId) -> Option<i64> {
        self.epochs.iter().rev().find_map(|epoch| epoch.ranges.get(partition)).map(|(_, until, _)| *until)
    }
}

/// Deliveries that no epoch has taken yet.
#[derive(Debug, Default)]
pub struct Collector {
    /// The first offset of each partition that was not taken yet.
    next_offsets: BTreeMap<PartitionId, i64>,
    waiting: BTreeMap<PartitionId, VecDeque<Delivery>>,
    /// In which order it came: of which partition, and until where; `None` when that does not matter.
    arrivals: Option<Vec<(PartitionId, i64)>>,
    rows: usize,
    bytes: usize,
}

impl Collector {
    /// Nothing waits; these are the first offsets that were not read yet.
    pub fn new(next_offsets: BTreeMap<PartitionId, i64>) -> Collector {
        Collector { next_offsets, ..Collector::default() }
    }

    /// The same, for what comes in an order that is to be kept.
    pub fn in_order_of_arrival(self) -> Collector {
        Collector { arrivals: Some(Vec::new()), ..self }
    }

    /// Takes a delivery without what was taken before, and says how many records that was (R20).
    pub fn push(&mut self, mut delivery: Delivery) -> u64 {
        let next = self.next_offsets.entry(delivery.partition.clone()).or_insert(delivery.from_offset);
        let mut again = 0;
        if delivery.from_offset < *next {
            let (before, rest) = delivery.split_at(*next);
            again = (before.events.num_rows() + before.dead_letters.len()) as u64;
            // Of what was taken whole, the news is left that it was complete.
            let until_offset = rest.until_offset.max(*next);
            delivery = Delivery { from_offset: *next, until_offset, ..rest };
        }
        *next = delivery.until_offset;
        self.add(delivery);
        again
    }

    fn add(&mut self, delivery: Delivery) {
        let (rows, bytes) = weight(&delivery);
        (self.rows, self.bytes) = (self.rows + rows, self.bytes + bytes);
        if let Some(arrivals) = self.arrivals.as_mut().filter(|_| delivery.from_offset < delivery.until_offset) {
            match arrivals.last_mut() {
                Some((partition, until)) if *partition == delivery.partition => *until = delivery.until_offset,
                _ => arrivals.push((delivery.partition.clone(), delivery.until_offset)),
            }
        }
        let waiting = self.waiting.entry(delivery.partition.clone()).or_default();
        match waiting.back_mut() {
            // News without records only joins what waits already, so that an idle source costs nothing.
            Some(last)
                if delivery.from_offset == delivery.until_offset && last.until_offset == delivery.from_offset =>
            {
                last.complete_until = last.complete_until.max(delivery.complete_until);
            }
            _ => waiting.push_back(delivery),
        }
    }

    /// How many records wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when neither records nor news wait.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Everything that waits, in the order of partition and offset, or in that of arrival, and then what is news alone.
    pub fn take_all(&mut self) -> Vec<Delivery> {
        self.rows = 0;
        self.bytes = 0;
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut taken = Vec::new();
        for (partition, until) in self.arrivals.iter_mut().flat_map(std::mem::take) {
            let Some(arrived) = waiting.get_mut(&partition) else { continue };
            while let Some(delivery) = arrived.pop_front_if(|delivery| delivery.until_offset <= until) {
                taken.push(delivery);
            }
        }
        taken.extend(waiting.into_values().flatten());
        taken
    }

    /// Exactly what a recorded epoch read; `None` until all of it has arrived.
    pub fn take_recorded(&mut self, recorded: &RecordedEpoch) -> Option<Vec<Delivery>> {
        let arrived = |(id, &(from, until, _)): (&PartitionId, &(i64, i64, Option<Instant>))| {
            let read_until = self.waiting.get(id).and_then(|waiting| waiting.back()).map(|last| last.until_offset);
            from == until || read_until.is_some_and(|read_until| read_until >= until)
        };
        if !recorded.ranges.iter().all(arrived) {
            return None;
        }
        let mut taken = Vec::new();
        for (id, until) in recorded.in_order() {
            let last_end = take_until(self.waiting.entry(id.clone()).or_default(), until, &mut taken);
            let (_, end, complete_until) = recorded.ranges[id];
            if until == end {
                let topic_id = recorded.topic_ids.get(&id.topic).cloned();
                let end = last_end.unwrap_or(until).max(until);
                taken.push(Delivery { topic_id, ..Delivery::news(id.clone(), end, complete_until) });
            }
        }
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.retain(|(id, until)| recorded.ranges.get(id).is_none_or(|(_, taken, _)| until > taken));
        }
        let left = self.waiting.values().flatten().map(weight);
        (self.rows, self.bytes) = left.fold((0, 0), |(rows, bytes), one| (rows + one.0, bytes + one.1));
        Some(taken)
    }
}

/// Takes what of a partition lies before an offset, and says where the last of it ended.
fn take_until(waiting: &mut VecDeque<Delivery>, until: i64, taken: &mut Vec<Delivery>) -> Option<i64> {
    let mut last_end = None;
    while let Some(delivery) = waiting.pop_front() {
        if delivery.from_offset >= until && delivery.until_offset > until {
            waiting.push_front(delivery);
            break;
        }
        let (mut head, tail) = delivery.split_at(until);
        head.complete_until = None;
        last_end = Some(head.until_offset);
        taken.push(head);
        // A proof from before the end of the range is told by what was recorded, and holds up nothing that follows.
        let is_later_proof = tail.complete_until.is_some() && tail.until_offset >= until;
        if tail.until_offset > tail.from_offset || is_later_proof {
            waiting.push_front(tail);
            break;
        }
    }
    last_end
}

/// How many records a delivery has, and about how much memory it takes, in bytes.
fn weight(delivery: &Delivery) -> (usize, usize) {
    let rows = delivery.events.num_rows() + delivery.dead_letters.len();
    let of_letter = |letter: &DeadLetter| size_of::<DeadLetter>() + letter.payload.len() + letter.detail.len();
    let letters: usize = delivery.dead_letters.iter().map(of_letter).sum();
    (rows, delivery.events.record_batch().get_array_memory_size() + letters)
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::delivery::DeadLetterReason;

    use super::*;

    fn id(partition: i32) -> PartitionId {
        PartitionId { topic: "t".into(), partition }
    }

    fn delivery(partition: i32, from: i64, until: i64) -> Delivery {
        Delivery { from_offset: from, until_offset: until, ..Delivery::news(id(partition), until, None) }
    }

    /// What epoch 7 read of a partition.
    fn row(partition: i32, from: i64, until: i64, complete_until: Option<Instant>) -> EpochRow {
        EpochRow {
            epoch: 7,
            topic: Some("t".into()),
            partition: Some(partition),
            from_offset: Some(from),
            until_offset: Some(until),
            complete_until,
            ..EpochRow::default()
        }
    }

    fn ranges(taken: &[Delivery]) -> Vec<(i32, i64, i64, Option<Instant>)> {
        taken
            .iter()
            .map(|part| (part.partition.partition, part.from_offset, part.until_offset, part.complete_until))
            .collect()
    }

    #[test]
    fn only_what_was_not_told_yet_is_told_to_be_lost() {
        let row = |partition, from, until, lost_count| EpochRow {
            epoch: 7,
            topic: Some("t".into()),
            partition: Some(partition),
            from_offset: Some(from),
            until_offset: Some(until),
            lost_count,
            ..EpochRow::default()
        };
        let rows = vec![row(0, 3, 40, None), row(0, 5, 10, Some(5)), row(0, 20, 30, Some(10)), row(1, 0, 9, Some(9))];
        let recorded = RecordedEpoch::from_rows(rows).pop_front().expect("an epoch");
        assert_eq!(recorded.ranges.len(), 1, "a loss is no range");
        let untold = |from, until| recorded.untold(&Delivery::lost(id(0), from, until));
        assert_eq!(untold(5, 10), []);
        assert_eq!(untold(3, 10), [(3, 5)]);
        assert_eq!(untold(3, 25), [(3, 5), (10, 20)]);
        assert_eq!(untold(25, 40), [(30, 40)]);
        assert_eq!(untold(40, 41), [(40, 41)]);
    }

    #[test]
    fn a_recorded_epoch_is_cut_exactly_where_it_was() {
        let recorded = RecordedEpoch::from_rows(vec![row(0, 0, 15, None), row(1, 3, 3, Some(Instant(9)))]);
        let mut collector = Collector::default();
        collector.push(delivery(0, 0, 10));
        assert!(collector.take_recorded(&recorded[0]).is_none(), "15 has not arrived");
        collector.push(delivery(1, 3, 8));
        collector.push(delivery(0, 10, 20));
        let taken = collector.take_recorded(&recorded[0]).map(|taken| ranges(&taken));
        let expected = vec![(0, 0, 10, None), (0, 10, 15, None), (0, 15, 15, None), (1, 3, 3, Some(Instant(9)))];
        assert_eq!(taken, Some(expected));
        assert_eq!(ranges(&collector.take_all()), [(0, 15, 20, None), (1, 3, 8, None)]);
    }

    #[test]
    fn r20_the_order_of_the_log_is_kept_however_it_is_cut_and_sliced() {
        let mut collector = Collector::default().in_order_of_arrival();
        for (partition, from, until) in [(1, 0, 4), (0, 0, 2), (0, 2, 3), (1, 4, 5), (2, 7, 7), (0, 3, 6)] {
            collector.push(delivery(partition, from, until));
        }
        let runs =
            [(1, 0, 4, None), (0, 0, 2, None), (0, 2, 3, None), (1, 4, 5, None), (0, 3, 6, None), (2, 7, 7, None)];
        assert_eq!(ranges(&collector.take_all()), runs);
        assert!(collector.is_empty());
        collector.push(delivery(0, 6, 7));
        assert_eq!(ranges(&collector.take_all()), [(0, 6, 7, None)], "what was taken is no part of what comes");

        let proof = Some(Instant(9));
        let rows =
            [row(1, 0, 4, None), row(0, 0, 3, None), row(1, 4, 5, proof), row(0, 3, 6, None), row(2, 7, 7, None)];
        let recorded = RecordedEpoch::from_rows(rows.to_vec());
        // After a crash it comes otherwise, and more with it.
        let mut again = Collector::default().in_order_of_arrival();
        for (partition, from, until) in [(0, 0, 8), (2, 7, 7), (1, 0, 2)] {
            again.push(delivery(partition, from, until));
            assert!(again.take_recorded(&recorded[0]).is_none());
        }
        again.push(delivery(1, 2, 6));
        let taken = again.take_recorded(&recorded[0]).map(|taken| ranges(&taken));
        let expected = vec![
            (1, 0, 2, None),
            (1, 2, 4, None),
            (0, 0, 3, None),
            (1, 4, 5, None),
            (1, 5, 5, proof),
            (0, 3, 6, None),
            (0, 6, 6, None),
            (2, 7, 7, None),
            (2, 7, 7, None),
        ];
        assert_eq!(taken, Some(expected));
        assert_eq!(ranges(&again.take_all()), [(0, 6, 8, None), (1, 5, 6, None)]);
    }

    #[test]
    fn r24_recorded_epochs_are_replayed_under_their_own_definitions_one_set_after_the_other() {
        let row = |epoch, definitions: &str| EpochRow { epoch, definitions: definitions.into(), ..EpochRow::default() };
        let recounted = |row| EpochRow { recounted: true, ..row };
        let twice = vec![row(4, "a"), row(5, "a"), recounted(row(6, "a")), row(7, "a")];
        let first = Recorded::after(4, twice.clone(), "a");
        assert_eq!((first.epochs.len(), first.is_former), (1, true), "events were taken again ahead of 6");
        let second = Recorded::after(5, twice[1..].to_vec(), "a");
        assert_eq!((second.epochs.len(), second.is_former), (2, false));
        let rows = [row(4, "a"), row(5, "a"), row(6, "b"), row(7, "a")];
        // Snapshot of epoch, present definitions: epochs to replay, their definitions, former, change.
        let after = |snapshot: i64, current: &str| {
            let since = rows.iter().filter(|row| row.epoch >= snapshot).cloned().collect();
            let Recorded { epochs, definitions, is_former, is_change } = Recorded::after(snapshot, since, current);
            (epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), definitions, is_former, is_change)
        };
        assert_eq!(after(3, "c"), (vec![4, 5], "a".into(), true, true), "what was before 4 is not known");
        assert_eq!(after(4, "c"), (vec![5], "a".into(), true, false));
        assert_eq!(after(4, "a"), (vec![5], "a".into(), true, false), "6 lies between");
        assert_eq!(after(5, "c"), (vec![6], "b".into(), true, true));
        assert_eq!(after(6, "c"), (vec![7], "a".into(), true, true));
        assert_eq!(after(6, "a"), (vec![7], "a".into(), false, true));
        assert_eq!(after(7, "a"), (vec![], "a".into(), false, false));
        assert_eq!(after(7, "c"), (vec![], "c".into(), false, true));
    }

    #[test]
    fn r20_records_that_are_sent_again_are_left_out_wherever_they_begin() {
        let letters = |from: i64, until: i64, complete_until| {
            let letter = |offset| DeadLetter {
                offset,
                source: "s".into(),
                reason: DeadLetterReason::Empty,
                detail: String::new(),
                payload: Vec::new(),
                payload_bytes: 0,
                record_time: None,
            };
            let dead_letters = (from..until).map(letter).collect();
            Delivery { dead_letters, complete_until, ..delivery(0, from, until) }
        };
        let mut collector = Collector::new(BTreeMap::from([(id(0), 5)]));
        // 3 and 4 were read before the start; then 5 to 7 wait; 6 and 7 are sent again with 8, and 2 to 5 with a proof.
        let sent = [(3, 8, None), (6, 9, None), (2, 6, Some(Instant(7)))];
        let again = sent.map(|(from, until, proof)| collector.push(letters(from, until, proof)));
        assert_eq!(again, [2, 2, 4]);
        assert_eq!(collector.rows(), 4);
        let taken = collector.take_all();
        let offsets: Vec<i64> = taken.iter().flat_map(|part| &part.dead_letters).map(|letter| letter.offset).collect();
        assert_eq!(offsets, [5, 6, 7, 8]);
        assert_eq!(ranges(&taken), [(0, 5, 8, None), (0, 8, 9, Some(Instant(7)))]);
        assert_eq!(collector.push(letters(6, 10, None)), 3, "also what no longer waits");
    }

    #[test]
    fn news_without_records_joins_what_waits() {
        let mut collector = Collector::default();
        collector.push(delivery(0, 0, 10));
        for proof in [Some(Instant(5)), Some(Instant(7)), None] {
            collector.push(Delivery::news(id(0), 10, proof));
        }
        assert_eq!(ranges(&collector.take_all()), [(0, 0, 10, Some(Instant(7)))]);
        assert!(collector.is_empty());
    }

    #[test]
    fn a_proof_that_comes_before_records_does_not_hold_them_up() {
        // As the exchange has them: what was proved then stands between the records.
        let mut collector = Collector::default();
        for delivery in [
            Delivery::news(id(0), 0, Some(Instant(5))),
            delivery(0, 0, 10),
            Delivery { complete_until: Some(Instant(7)), ..delivery(0, 10, 12) },
            delivery(0, 12, 20),
            Delivery::news(id(0), 20, Some(Instant(9))),
        ] {
            collector.push(delivery);
        }
        let row = |epoch, from, until, complete_until: Option<i64>| EpochRow {
            epoch,
            topic: Some("t".into()),
            partition: Some(0),
            from_offset: Some(from),
            until_offset: Some(until),
            complete_until: complete_until.map(Instant),
            ..EpochRow::default()
        };
        let recorded =
            RecordedEpoch::from_rows(vec![row(1, 0, 12, Some(5)), row(2, 12, 15, Some(7)), row(3, 15, 20, None)]);
        let mut taken = |place: usize| ranges(&collector.take_recorded(&recorded[place]).expect("all of it is there"));
        assert_eq!(taken(0), [(0, 0, 0, None), (0, 0, 10, None), (0, 10, 12, None), (0, 12, 12, Some(Instant(5)))]);
        assert_eq!(taken(1), [(0, 12, 12, None), (0, 12, 15, None), (0, 15, 15, Some(Instant(7)))]);
        assert_eq!(taken(2), [(0, 15, 20, None), (0, 20, 20, None)]);
        assert_eq!(ranges(&collector.take_all()), [(0, 20, 20, Some(Instant(9)))]);
    }

    #[test]
    fn what_waits_weighs_what_it_holds() {
        let letter = |offset| DeadLetter {
            offset,
            source: "plain".into(),
            reason: DeadLetterReason::Malformed,
            detail: "no json".to_owned(),
            payload: vec![b'x'; 16_384],
            payload_bytes: 20_000,
            record_time: None,
        };
        let mut collector = Collector::default();
        collector.push(Delivery { dead_letters: (0..10).map(letter).collect(), ..delivery(0, 0, 10) });
        assert_eq!(collector.rows(), 10);
        assert!(collector.bytes() > 10 * 16_384, "{}", collector.bytes());
        let before = collector.bytes();
        collector.push(Delivery { dead_letters: (10..20).map(letter).collect(), ..delivery(0, 10, 20) });
        assert_eq!(collector.bytes(), 2 * before, "twice as many take twice as much");
        // An epoch that took the first ten leaves the weight of the others.
        let ranges = BTreeMap::from([(id(0), (0, 10, None))]);
        let recorded = RecordedEpoch { ranges, ..RecordedEpoch::from_rows(vec![EpochRow::default()])[0].clone() };
        assert!(collector.take_recorded(&recorded).is_some());
        assert_eq!((collector.rows(), collector.bytes()), (10, before));
        collector.take_all();
        assert_eq!((collector.rows(), collector.bytes()), (0, 0));
    }
}
