//! Duplicates (R20): an event that a producer sent twice counts once.
//!
//! An event is a duplicate when one of the same source and id counts already on its own UTC day or on a neighbouring
//! one. So of two that lie a day apart or less one counts, whichever comes first, and of two that lie two days apart or
//! more both do, wherever epochs are cut. Only what counts is remembered, so no chain of copies reaches further.
//!
//! What is remembered of an event is the 128-bit hash of its source and id, in one set a day. A day is forgotten when
//! the watermark has passed the end of the day after it, and likewise the end of the day after the one that the
//! watermark had reached when the day was last added to. So a copy is recognised while the watermark is at most a day
//! further than after the first one was read, however late both are and however far it moves at once; and with events
//! in order there are two or three sets. With 10^9 events remembered, the chance that any two different ones share a
//! hash is below 10^-20. A record that Kafka delivers twice is recognised before this, by its partition and offset, at
//! any distance.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashSet;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// How long a duplicate is recognised, in event time: a day covers a producer's retries and a nightly re-run.
pub const DUPLICATE_HORIZON: Micros = Micros(24 * 3_600 * 1_000_000);

/// The number of a day since 1970, in UTC.
type Day = i64;

/// What is remembered of an event: the hash of its source and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventHash(u128);

impl EventHash {
    /// The hash of an event's id, under the seed of its source.
    pub fn new(source_seed: u64, id: &str) -> EventHash {
        EventHash(xxh3_128_with_seed(id.as_bytes(), source_seed))
    }

    /// Which of so many lanes remembers it: the same for all copies, whatever else they say.
    pub fn lane(self, lanes: usize) -> usize {
        // The other half is for the place within its set.
        ((self.0 >> 64) as u64 % lanes as u64) as usize
    }
}

impl std::hash::Hash for EventHash {
    /// It is uniform already, so half of it is as good a hash as any made from it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

/// Passes an `EventHash` on as it is.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // Only `write_u64` is called; folding keeps the trait's promise for any other use.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type EventHashes = HashSet<EventHash, BuildHasherDefault<AsItIs>>;

/// The events seen lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SeenEvents {
    /// The day of the last event: the next is most often of the same.
    day: Day,
    /// What was seen on the day before, on that day, and on the day after.
    near: [EventHashes; 3],
    /// What was seen on other days.
    far: BTreeMap<Day, EventHashes>,
    /// The days in `near` and `far` by the day of the watermark after they were last added to; `READING` until it is
    /// known.
    kept_since: BTreeMap<Day, Day>,
}

/// Stands for the watermark after what is being read.
const READING: Day = Day::MAX;

/// The seed under which the ids of one source are hashed.
pub fn source_seed(source: &str) -> u64 {
    xxh3_64(source.as_bytes())
}

impl SeenEvents {
    /// Remembers an event that happened at `time`; `false` when it was already seen.
    #[inline]
    pub fn insert(&mut self, event: EventHash, time: Instant) -> bool {
        let day = day_of(time);
        if day != self.day {
            self.turn_to(day);
        }
        let [before, today, after] = &mut self.near;
        !before.contains(&event) && !after.contains(&event) && today.insert(event)
    }

    /// Brings the sets of a day and its neighbours near.
    #[cold]
    fn turn_to(&mut self, day: Day) {
        let left = (self.day - 1..).zip(std::mem::take(&mut self.near));
        self.far.extend(left.filter(|(_, events)| !events.is_empty()));
        self.day = day;
        self.kept_since.insert(day, READING);
        self.near = [day - 1, day, day + 1].map(|near| self.far.remove(&near).unwrap_or_default());
        let [before, today, _] = &mut self.near;
        if today.is_empty() {
            // A day brings about as many as the day before; growing by doubling would move them all again and again.
            today.reserve(before.len());
        }
    }

    /// Forgets the days that lie too far behind the watermark. To be called before more is read, with the watermark
    /// after what was read.
    pub fn advance(&mut self, watermark: Instant) {
        let now = day_of(watermark);
        self.kept_since.insert(self.day, READING);
        for since in self.kept_since.values_mut().filter(|since| **since == READING) {
            *since = now;
        }
        self.kept_since.retain(|day, since| (*day).max(*since) >= now - 1);
        self.far.retain(|day, _| self.kept_since.contains_key(day));
        let near = (self.day - 1..).zip(&mut self.near);
        for (_, events) in near.filter(|(day, _)| !self.kept_since.contains_key(day)) {
            *events = EventHashes::default();
        }
    }

    /// How many events are remembered.
    pub fn len(&self) -> usize {
        self.near.iter().chain(self.far.values()).map(|events| events.len()).sum()
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn day_of(time: Instant) -> Day {
    time.0.div_euclid(DUPLICATE_HORIZON.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instant by day and hour.
    fn at(day: i64, hour: i64) -> Instant {
        Instant((day * 24 + hour) * 3_600_000_000)
    }

    /// Which of the events "1" at these instants count, in the order in which they come.
    fn counting(times: &[Instant]) -> Vec<bool> {
        let mut seen = SeenEvents::default();
        times.iter().map(|time| seen.insert(EventHash::new(source_seed("a"), "1"), *time)).collect()
    }

    #[test]
    fn r20_an_event_counts_once_in_its_source() {
        let (first, other) = (source_seed("a"), source_seed("b"));
        let mut seen = SeenEvents::default();
        assert!(seen.is_empty());
        assert!(seen.insert(EventHash::new(first, "1"), at(0, 1)));
        assert!(!seen.insert(EventHash::new(first, "1"), at(0, 1)));
        assert!(seen.insert(EventHash::new(other, "1"), at(0, 1)), "the same id of another source is another event");
        assert_eq!((seen.len(), seen.is_empty()), (2, false));
    }

    #[test]
    fn r20_a_day_apart_is_one_event_and_two_days_are_two_in_either_order() {
        for (one, other, is_same) in [
            (at(5, 0), at(6, 0), true),
            (at(5, 23), at(6, 23), true),
            // 47 hours apart, on neighbouring days.
            (at(5, 0), at(6, 23), true),
            // 25 hours apart, with a day between them.
            (at(5, 23), at(7, 0), false),
            (at(5, 0), at(7, 0), false),
            (at(5, 0), at(39, 0), false),
            (at(-1, 23), at(0, 0), true),
            (at(-2, 23), at(0, 0), false),
        ] {
            assert_eq!(counting(&[one, other]), [true, !is_same], "{one} {other}");
            assert_eq!(counting(&[other, one]), [true, !is_same], "{other} {one}");
        }
        // Only what counts is held against what comes: the second is the first, the third is not.
        assert_eq!(counting(&[at(1, 0), at(2, 0), at(3, 0)]), [true, false, true]);
    }

    #[test]
    fn r20_a_copy_is_recognised_until_the_watermark_is_more_than_a_day_further() {
        let event = |id: &str| EventHash::new(source_seed("a"), id);
        let mut seen = SeenEvents::default();
        seen.advance(Instant(i64::MIN));
        assert!(seen.insert(event("1"), at(5, 23)));
        seen.advance(at(6, 0));
        assert!(seen.insert(event("2"), at(6, 23)));
        seen.advance(at(7, 23));
        assert_eq!(seen.len(), 2, "after the first was read the watermark was in day 6, so day 7 still knows it");
        seen.advance(at(8, 0));
        assert_eq!(seen.len(), 1, "day 5 is forgotten");
        assert!(seen.insert(event("1"), at(5, 23)), "too late to be known");
        assert!(seen.insert(event("3"), at(20, 0)));
        seen.advance(at(20, 0));
        assert!(!seen.insert(event("1"), at(5, 23)), "however late, and however far the watermark moves at once");
        assert!(!seen.insert(event("3"), at(21, 0)));
        seen.advance(at(23, 0));
        seen.insert(event("4"), at(23, 0));
        seen.advance(at(25, 0));
        assert_eq!(seen.len(), 1, "what is left is day 23");
    }
}
