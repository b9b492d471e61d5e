//! Duplicates (R20): an event that a producer sent twice counts once.
//!
//! What is remembered of an event is the 128-bit hash of its source and id, in two generations by watermark: when the
//! watermark has moved on by the horizon, the older generation is forgotten. So a duplicate is recognised for at least
//! one horizon and memory is bounded by two. With 10^9 events remembered, the chance that any two different ones share
//! a hash is below 10^-20. A record that Kafka delivers twice is recognised before this, by its partition and offset,
//! at any distance.

use hashbrown::HashSet;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// How long a duplicate is recognised, in event time: a day covers a producer's retries and a nightly re-run.
pub const DUPLICATE_HORIZON: Micros = Micros(24 * 3_600 * 1_000_000);

/// The events seen lately.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenEvents {
    current: HashSet<u128>,
    previous: HashSet<u128>,
    rotated_at: Instant,
}

impl Default for SeenEvents {
    fn default() -> SeenEvents {
        SeenEvents { current: HashSet::new(), previous: HashSet::new(), rotated_at: Instant(i64::MIN) }
    }
}

/// The seed under which the ids of one source are hashed.
pub fn source_seed(source: &str) -> u64 {
    xxh3_64(source.as_bytes())
}

impl SeenEvents {
    /// Remembers an event; `false` when it was already seen.
    pub fn insert(&mut self, source_seed: u64, id: &str) -> bool {
        let hash = xxh3_128_with_seed(id.as_bytes(), source_seed);
        if self.previous.contains(&hash) {
            return false;
        }
        self.current.insert(hash)
    }

    /// Forgets what lies more than two horizons behind the watermark.
    pub fn advance(&mut self, watermark: Instant) {
        if self.rotated_at == Instant(i64::MIN) {
            self.rotated_at = watermark;
        } else if watermark - self.rotated_at >= DUPLICATE_HORIZON {
            self.previous = std::mem::take(&mut self.current);
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
        assert!(seen.insert(first, "1"));
        assert!(!seen.insert(first, "1"));
        assert!(seen.insert(other, "1"), "the same id of another source is another event");
        seen.advance(Instant(0));
        seen.advance(Instant(DUPLICATE_HORIZON.0));
        assert!(!seen.insert(first, "1"), "one horizon later it is still known");
        seen.advance(Instant(2 * DUPLICATE_HORIZON.0));
        assert!(seen.insert(first, "1"), "two horizons later it is forgotten");
        assert_eq!(seen.len(), 1);
    }
}
