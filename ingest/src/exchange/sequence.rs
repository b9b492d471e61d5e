//! What a reader takes of the exchange: of each source partition the deliveries that follow on what it has.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use plimsoll_schemas::delivery::{Delivery, PartitionId};

/// Where each partition goes on.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    next: HashMap<PartitionId, i64>,
    /// The ids that Kafka gave to topics.
    topic_ids: BTreeMap<Arc<str>, Arc<str>>,
}

/// What becomes of a delivery.
#[derive(Debug)]
pub enum Placed {
    /// It follows, perhaps without what was read before.
    Next(Delivery),
    /// All of it was read before.
    Known,
    /// There is something between what was read and it.
    AfterHole {
        /// The first offset that is missing; `None` when nothing of the partition is known.
        missing_from: Option<i64>,
    },
    /// It is of another topic than what was read under this name: that was deleted and created again.
    OfAnotherTopic,
}

impl Sequence {
    /// Goes on at these offsets, in the topics of these ids; of others the first that is read is known from then on.
    pub fn new(next: HashMap<PartitionId, i64>, topic_ids: BTreeMap<Arc<str>, Arc<str>>) -> Sequence {
        Sequence { next, topic_ids }
    }

    /// Whether anything of a partition was read.
    pub fn knows(&self, partition: &PartitionId) -> bool {
        self.next.contains_key(partition)
    }

    /// Puts a delivery in its place. One of a partition of which nothing is known is taken only if none comes before it.
    pub fn place(&mut self, delivery: Delivery, is_beginning: bool) -> Placed {
        let known_id = self.topic_ids.get(&delivery.partition.topic);
        if known_id.zip(delivery.topic_id.as_ref()).is_some_and(|(known, found)| known != found) {
            return Placed::OfAnotherTopic;
        }
        let known = self.next.get(&delivery.partition).copied();
        let Some(next) = known.or(is_beginning.then_some(delivery.from_offset)) else {
            return Placed::AfterHole { missing_from: None };
        };
        if delivery.from_offset > next {
            return Placed::AfterHole { missing_from: Some(next) };
        }
        if delivery.until_offset < next || (known.is_some() && delivery.until_offset == next && !is_news(&delivery)) {
            return Placed::Known;
        }
        let (_, rest) = delivery.split_at(next);
        self.next.insert(rest.partition.clone(), rest.until_offset);
        if let Some(id) = &rest.topic_id {
            self.topic_ids.entry(rest.partition.topic.clone()).or_insert_with(|| id.clone());
        }
        Placed::Next(rest)
    }
}

/// Whether it tells more than its records.
fn is_news(delivery: &Delivery) -> bool {
    delivery.complete_until.is_some()
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::Instant;
    use proptest::prelude::*;

    use super::*;

    fn delivery(from: i64, until: i64, complete_until: Option<i64>) -> Delivery {
        let partition = PartitionId { topic: "t".into(), partition: 0 };
        Delivery { from_offset: from, ..Delivery::news(partition, until, complete_until.map(Instant)) }
    }

    fn told(placed: Placed) -> (&'static str, i64, i64) {
        match placed {
            Placed::Next(delivery) => ("next", delivery.from_offset, delivery.until_offset),
            Placed::Known => ("known", 0, 0),
            Placed::AfterHole { missing_from } => ("hole", missing_from.unwrap_or(-1), 0),
            Placed::OfAnotherTopic => ("another", 0, 0),
        }
    }

    #[test]
    fn what_was_read_is_cut_off_and_what_leaves_a_hole_is_not_taken() {
        let mut sequence = Sequence::default();
        let mut place =
            |from, until, complete, is_beginning| told(sequence.place(delivery(from, until, complete), is_beginning));
        assert_eq!(place(5, 10, None, false), ("hole", -1, 0), "nobody knows whether there was something before");
        assert_eq!(place(5, 10, None, true), ("next", 5, 10));
        assert_eq!(place(5, 10, None, true), ("known", 0, 0), "sent again");
        assert_eq!(place(10, 10, Some(7), false), ("next", 10, 10), "news without records");
        assert_eq!(place(12, 15, None, false), ("hole", 10, 0));
        assert_eq!(place(3, 12, None, true), ("next", 10, 12), "another member began before");
        assert_eq!(place(12, 15, None, false), ("next", 12, 15));
        assert_eq!(place(2, 9, Some(9), false), ("known", 0, 0), "a proof that is behind what was read proves nothing");
    }

    #[test]
    fn a_topic_that_was_made_anew_does_not_go_on_where_the_old_one_ended() {
        let of = |from, until, id: &str| Delivery { topic_id: Some(id.into()), ..delivery(from, until, None) };
        let mut sequence = Sequence::default();
        assert_eq!(told(sequence.place(of(0, 10, "old"), true)), ("next", 0, 10));
        assert_eq!(told(sequence.place(of(0, 15, "new"), true)), ("another", 0, 0));
        assert_eq!(told(sequence.place(of(10, 12, "old"), false)), ("next", 10, 12), "the rest of the old one");
        // So it is when only the state knows the old one.
        let ids = BTreeMap::from([("t".into(), "old".into())]);
        let mut sequence = Sequence::new(HashMap::new(), ids);
        assert_eq!(told(sequence.place(of(0, 15, "new"), true)), ("another", 0, 0));
        assert_eq!(told(sequence.place(delivery(0, 5, None), true)), ("next", 0, 5), "a broker that tells no ids");
    }

    proptest! {
        /// Whatever members send again, and from wherever: what is taken is one run without holes, and all of it once each
        /// member has sent all.
        #[test]
        fn r20_overlapping_runs_come_to_one(
            begin in 0..5_i64,
            runs in prop::collection::vec((0..20_i64, 1..12_i64, any::<bool>()), 0..30),
        ) {
            let mut sequence = Sequence::default();
            let mut next = None;
            let mut take = |placed: Placed| {
                if let Placed::Next(delivery) = placed {
                    assert!(next.is_none_or(|next| next == delivery.from_offset), "{next:?} {delivery:?}");
                    next = Some(delivery.until_offset);
                }
                next
            };
            for (from, length, is_beginning) in runs {
                let from = if is_beginning { begin } else { begin + from };
                take(sequence.place(delivery(from, from + length, None), is_beginning));
            }
            prop_assert_eq!(take(sequence.place(delivery(begin, begin + 40, None), true)), Some(begin + 40));
        }
    }
}
