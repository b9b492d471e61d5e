//! Latencies counted in bins, of which percentiles are read without keeping each latency (R10).
//!
//! In: latencies in whole microseconds. Out: how many lie in each bin, and the percentile that follows. The bins are
//! log-linear: below 256 µs each microsecond is one, from there on the eight leading bits of a latency name its bin, so
//! that there are 128 in each doubling. They are the same always and everywhere, and counts are signed. So histograms
//! add up and are subtracted bin by bin, in any order, and what was added by mistake leaves no trace.
//!
//! The percentile `p` of `n` latencies is by nearest rank: the least latency `x` of which `#(latencies <= x) >= p * n`.
//! Read from a histogram it is the last microsecond of the bin in which `x` lies: never less than `x`, and more by less
//! than `x / 128` (0.8 %). Below 256 µs it is `x`.

use std::collections::BTreeMap;

use plimsoll_schemas::Micros;
use plimsoll_schemas::ratio::Share;
use serde::{Deserialize, Serialize};

/// The leading bits that name a bin, besides the first, which is always set.
const BITS: u32 = 7;

/// The bins in each doubling.
const BINS: u64 = 1 << BITS;

/// A range of latencies that are counted together. Bins are in the order of their latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bin(u16);

impl Bin {
    /// The bin of a latency; one below zero is taken as zero.
    pub fn of(latency: Micros) -> Bin {
        let micros = u64::try_from(latency.0).unwrap_or(0);
        let dropped = (u64::BITS - micros.leading_zeros()).saturating_sub(BITS + 1);
        // At most 55 * 128 + 255.
        Bin((u64::from(dropped) * BINS + (micros >> dropped)) as u16)
    }

    /// The longest latency in it.
    pub fn last(self) -> Micros {
        let number = u64::from(self.0);
        let dropped = (number / BINS).saturating_sub(1);
        Micros(((((number - dropped * BINS) + 1) << dropped) - 1) as i64)
    }
}

/// How many latencies lie in each bin; empty bins are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: BTreeMap<Bin, i128>,
}

impl Histogram {
    /// Counts so many more in a bin, or fewer.
    pub fn add(&mut self, bin: Bin, count: i128) {
        let sum = self.counts.entry(bin).or_default();
        *sum += count;
        if *sum == 0 {
            self.counts.remove(&bin);
        }
    }

    /// The bins with their counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Bin, i128)> {
        self.counts.iter().map(|(bin, count)| (*bin, *count))
    }

    /// The latency that this share of all latencies does not exceed, as the head of this module says; `None` when
    /// nothing was counted.
    pub fn percentile(&self, share: Share) -> Option<Micros> {
        let total: i128 = self.counts.values().sum();
        if total <= 0 {
            return None;
        }
        let wanted = i128::from(share.0) * total;
        let mut passed = 0;
        let reaches = |(bin, count): (&Bin, &i128)| {
            passed += count;
            (passed * i128::from(Share::WHOLE) >= wanted).then(|| bin.last())
        };
        self.counts.iter().find_map(reaches)
    }
}

impl Extend<(Bin, i128)> for Histogram {
    /// Adds what other histograms count.
    fn extend<Counts: IntoIterator<Item = (Bin, i128)>>(&mut self, counts: Counts) {
        counts.into_iter().for_each(|(bin, count)| self.add(bin, count));
    }
}

impl FromIterator<(Bin, i128)> for Histogram {
    fn from_iter<Counts: IntoIterator<Item = (Bin, i128)>>(counts: Counts) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.extend(counts);
        histogram
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(latencies: &[i64]) -> Histogram {
        latencies.iter().map(|latency| (Bin::of(Micros(*latency)), 1)).collect()
    }

    /// By nearest rank, from the latencies themselves: the one in place `ceil(p * n)` of the sorted ones.
    fn exact(latencies: &[i64], share: Share) -> i64 {
        let mut sorted = latencies.to_vec();
        sorted.sort_unstable();
        let rank = (i128::from(share.0) * sorted.len() as i128 + 999_999_999) / 1_000_000_000;
        sorted[rank.max(1) as usize - 1]
    }

    #[test]
    fn r10_bins_follow_one_another_without_gap() {
        // 255 is the last that has a bin of its own; 256 and 257 share one; 300,000 = 146.48 * 2^11 lies in
        // [146 * 2,048, 147 * 2,048) = [299,008, 301,056).
        for (latency, last) in [(0, 0), (255, 255), (256, 257), (257, 257), (258, 259), (300_000, 301_055)] {
            assert_eq!(Bin::of(Micros(latency)).last(), Micros(last), "{latency}");
        }
        assert_eq!(Bin::of(Micros(i64::MAX)).last(), Micros(i64::MAX));
        assert_eq!(Bin::of(Micros(-1)), Bin::of(Micros(0)));
        let mut bin = Bin::of(Micros(0));
        while bin.last() < Micros(i64::MAX) {
            let next = Bin::of(bin.last() + Micros(1));
            assert_eq!(next, Bin(bin.0 + 1), "after {:?}", bin.last());
            assert!(next.last() > bin.last());
            bin = next;
        }
    }

    #[test]
    fn r10_percentiles_by_nearest_rank() {
        // The ranks of 1 to 10: p50 is the 5th, p95 the 10th (9.5 rounded up), p10 the first; of 20, p95 is the 19th.
        let ten: Vec<i64> = (1..=10).collect();
        let twenty: Vec<i64> = (1..=20).collect();
        let percent = |percent: i64| Share(percent * 10_000_000);
        for (latencies, share, expected) in [
            (&ten, percent(50), 5),
            (&ten, percent(95), 10),
            (&ten, percent(10), 1),
            (&ten, percent(100), 10),
            (&twenty, percent(95), 19),
        ] {
            assert_eq!(of(latencies).percentile(share), Some(Micros(expected)));
        }
        assert_eq!(of(&[]).percentile(percent(95)), None);
    }

    fn latencies() -> impl Strategy<Value = Vec<i64>> {
        let latency =
            prop_oneof![0..300_i64, 0..100_000_i64, 0..60_000_000_i64, any::<i64>().prop_map(|any| any & i64::MAX)];
        prop::collection::vec(latency, 1..200)
    }

    proptest! {
        #[test]
        fn r10_a_percentile_is_never_too_small_and_too_large_by_less_than_a_128th(
            latencies in latencies(),
            share in 1..=Share::WHOLE,
        ) {
            let exact = exact(&latencies, Share(share));
            let found = of(&latencies).percentile(Share(share)).expect("something was counted").0;
            prop_assert!(found >= exact, "{found} for {exact}");
            prop_assert!(found == exact || i128::from(found - exact) * 128 < i128::from(exact), "{found} for {exact}");
        }

        #[test]
        fn r21_histograms_add_up_in_any_order_and_are_subtracted(one in latencies(), other in latencies()) {
            let both: Vec<i64> = one.iter().chain(&other).copied().collect();
            let mut sum = of(&other);
            sum.extend(of(&one).iter());
            prop_assert_eq!(&sum, &of(&both));
            sum.extend(of(&other).iter().map(|(bin, count)| (bin, -count)));
            prop_assert_eq!(sum, of(&one));
        }
    }
}
