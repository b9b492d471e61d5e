//! What was counted for one objective, kept so that any of its windows can be summed up.
//!
//! Counts lie at the start of the longest stretch around them that no window cuts, so a window is a sum over few of
//! them; those of latencies whose percentile is wanted lie there bin by bin. Steps of levels lie at their own instants,
//! and every step since the first is part of a level. All are signed: what turns out not to have been is subtracted.
//! Sums are in 128 bits, for one record may count as many things as fit into 64.

use std::collections::BTreeMap;

use plimsoll_schemas::Instant;
use serde::{Deserialize, Serialize};

use crate::histogram::{Bin, Histogram};
use crate::verdict::{Level, Levels};
use crate::window::Window;

/// Good and total.
type Counts = (i128, i128);

/// Good and total counts by their place in time and, of latencies, their bin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    counts: BTreeMap<(Instant, Option<Bin>), Counts>,
}

impl Tally {
    /// Counts something at the start of its stretch.
    pub fn count(&mut self, stretch_start: Instant, bin: Option<Bin>, good: i128, total: i128) {
        let sums = self.counts.entry((stretch_start, bin)).or_default();
        *sums = (sums.0 + good, sums.1 + total);
    }

    /// Lets the levels of tickets in time and of open ones step up or down.
    pub fn step(&mut self, at: Instant, in_time: i128, open: i128) {
        self.count(at, None, in_time, open);
        if self.counts.get(&(at, None)) == Some(&(0, 0)) {
            self.counts.remove(&(at, None));
        }
    }

    /// Forgets counts before an instant; they lie in windows that are closed.
    pub fn forget_before(&mut self, first: Instant) {
        self.counts = self.counts.split_off(&(first, None));
    }

    /// Lets all steps of levels before an instant be one: the levels from then on stay as they are.
    pub fn merge_before(&mut self, first: Instant) {
        let kept = self.counts.split_off(&(first, None));
        let steps = std::mem::replace(&mut self.counts, kept);
        let sums = steps.values().fold(Level::default(), |level, step| level.after(*step));
        self.step(Instant(i64::MIN), sums.in_time, sums.open);
    }

    /// The levels within a segment.
    pub fn levels(&self, segment: Window) -> Levels {
        let steps = |((at, _), step): (&(Instant, Option<Bin>), &Counts)| (*at, *step);
        let before = self.counts.range(..=(segment.start, None)).map(steps);
        let first = before.fold(Level::default(), |level, (_, step)| level.after(step));
        let within = self.within(segment).map(steps).skip_while(|(at, _)| *at == segment.start);
        Levels::new(segment.start, first, within)
    }

    /// Whether something was counted in a window, if only a zero.
    pub fn is_counted(&self, window: Window) -> bool {
        self.within(window).next().is_some()
    }

    /// What was counted in a window: (good, total).
    pub fn sums(&self, window: Window) -> Counts {
        self.within(window).fold((0, 0), |sums: Counts, (_, more)| (sums.0 + more.0, sums.1 + more.1))
    }

    /// The latencies that were counted in a window.
    pub fn latencies(&self, window: Window) -> Histogram {
        self.within(window).filter_map(|((_, bin), (_, total))| Some(((*bin)?, *total))).collect()
    }

    fn within(&self, window: Window) -> impl Iterator<Item = (&(Instant, Option<Bin>), &Counts)> {
        self.counts.range((window.start, None)..(window.end, None))
    }
}

#[cfg(test)]
mod tests;
