//! Chance, made of integers only: a seed in, the same throws out on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The parts of the generator, each with throws of its own, so that a change to one leaves the others alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Catalogue,
    Outages,
    Monitoring,
    Changes,
    Tickets,
    Faults,
}

/// A stream of throws.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The throws of one part under one seed.
    pub(super) fn new(seed: u64, part: Part) -> Dice {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut throws = ChaCha8Rng::from_seed(bytes);
        throws.set_stream(part as u64);
        Dice(throws)
    }

    /// A number in `0..bound`; 0 when the bound is 0 or less. Bounds stay below 2^31, where the bias of scaling 32 bits
    /// does not matter to a demonstration.
    pub(super) fn below(&mut self, bound: i64) -> i64 {
        ((u64::from(self.0.next_u32()) * bound.max(0).unsigned_abs()) >> 32).cast_signed()
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a thousand throws.
    pub(super) fn permille(&mut self, chance: i64) -> bool {
        self.below(1_000) < chance
    }

    /// A place in a list of this length.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(i64::try_from(length).unwrap_or(i64::MAX))).unwrap_or(0)
    }

    /// A place in a list of weights, each as likely as its weight.
    pub(super) fn weighted(&mut self, weights: &[i64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0 {
                return place;
            }
        }
        0
    }

    /// A number whose quantiles are the table's entries, evenly spaced from the least to the greatest, with straight
    /// lines in between.
    pub(super) fn quantile(&mut self, table: &[i64]) -> i64 {
        let steps = i64::try_from(table.len()).unwrap_or(1) - 1;
        let position = self.below(steps * 1_000);
        let place = usize::try_from(position / 1_000).unwrap_or(0);
        match (table.get(place), table.get(place + 1)) {
            (Some(low), Some(high)) => low + (high - low) * (position % 1_000) / 1_000,
            (low, _) => low.copied().unwrap_or(0),
        }
    }

    /// So many places of a list of this length, all different, in ascending order and evenly spread.
    pub(super) fn spread(&mut self, count: usize, length: usize) -> Vec<usize> {
        let stride = length / count.max(1);
        (0..count.min(length)).map(|pick| pick * stride + self.index(stride)).collect()
    }

    /// Puts a list into a random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.index(last + 1));
        }
    }
}
