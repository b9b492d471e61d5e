//! Chance, from one seed: each part of a run has throws of its own, so that a change to one leaves the others alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Who throws.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// What happens in the world.
    World,
    /// Which faults a run has, and how often.
    Shape,
    /// What the store does to each operation.
    Store,
    /// Whose turn it is, and who starts or is killed.
    Schedule,
    /// What is different in a world that several shards look at.
    Apart,
    /// What one process does; each has its own.
    Process(u32),
}

/// A stream of throws.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The throws of one part under one seed.
    pub fn new(seed: u64, part: Part) -> Dice {
        let stream = match part {
            Part::World => 0,
            Part::Shape => 1,
            Part::Store => 2,
            Part::Schedule => 3,
            Part::Apart => 4,
            Part::Process(number) => 100 + u64::from(number),
        };
        let mut throws = ChaCha8Rng::seed_from_u64(seed);
        throws.set_stream(stream);
        Dice(throws)
    }

    /// A number in `0..bound`; 0 when the bound is 0 or less.
    pub fn below(&mut self, bound: i64) -> i64 {
        ((u128::from(self.0.next_u64()) * bound.max(0).cast_unsigned() as u128) >> 64) as i64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a thousand throws.
    pub fn permille(&mut self, chance: i64) -> bool {
        self.below(1_000) < chance
    }

    /// One of a list that is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as i64) as usize]
    }
}
