//! Duplicates (R20): an event that a producer sent twice counts once.
//!
//! What is remembered of an event is the 128-bit hash of its source and id, in two generations by watermark: when the
//! watermark has moved on by the horizon, the older generation is forgotten. So a duplicate is recognised for at least
//! one horizon and memory is bounded by two. With 10^9 events remembered, the chance that any two different ones share
//! a hash is below 10^-20. A record that Kafka delivers twice is recognised before this, by its partition and offset,
//! at any distance.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashSet;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// How long a duplicate is recognised, in event time: a day covers a producer's retries and a nightly re-run.
pub const DUPLICATE_HORIZON: Micros = Micros(24 * 3_600 * 1_000_000);

/// What is remembered of an event: the hash of its source and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventHash(u128);

impl EventHash {
    /// The hash of an event's id, under the seed of its source.
    pub fn new(source_seed: u64, id: &str) -> EventHash {
        EventHash(xxh3_128_with_seed(id.as_bytes(), source_seed))
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenEvents {
    current: EventHashes,
    previous: EventHashes,
    rotated_at: Instant,
}

impl Default for SeenEvents {
    fn default() -> SeenEvents {
        SeenEvents { current: EventHashes::default(), previous: EventHashes::default(), rotated_at: Instant(i64::MIN) }
    }
}

/// The seed under which the ids of one source are hashed.
pub fn source_seed(source: &str) -> u64 {
    xxh3_64(source.as_bytes())
}

impl SeenEvents {
    /// Remembers an event; `false` when it was already seen.
    pub fn insert(&mut self, event: EventHash) -> bool {
        !self.previous.contains(&event) && self.current.insert(event)
    }

    /// Forgets what lies more than two horizons behind the watermark.
    pub fn advance(&mut self, watermark: Instant) {
        if self.rotated_at == Instant(i64::MIN) {
            self.rotated_at = watermark;
        } else if watermark - self.rotated_at >= DUPLICATE_HORIZON {
            self.previous = std::mem::take(&mut self.current);
            // The next horizon will bring about as many; growing by doubling would move them all again and again.
            self.current.reserve(self.previous.len());
            self.rotated_at = watermark;
        }
    }

    /// How many events are remembered.
    pub fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_an_event_counts_once_within_the_horizon() {
        let (first, other) = (source_seed("a"), source_seed("b"));
        let mut seen = SeenEvents::default();
        assert!(seen.insert(EventHash::new(first, "1")));
        assert!(!seen.insert(EventHash::new(first, "1")));
        assert!(seen.insert(EventHash::new(other, "1")), "the same id of another source is another event");
        seen.advance(Instant(0));
        seen.advance(Instant(DUPLICATE_HORIZON.0));
        assert!(!seen.insert(EventHash::new(first, "1")), "one horizon later it is still known");
        seen.advance(Instant(2 * DUPLICATE_HORIZON.0));
        assert!(seen.insert(EventHash::new(first, "1")), "two horizons later it is forgotten");
        assert_eq!(seen.len(), 1);
    }
}
