//! The observations of one check, run-length encoded, in any order of arrival.
//!
//! A *run* is a stretch of observations of one status in which no two neighbours lie further apart than
//! `stale_after`. A run's status holds from its first observation until the next run begins, but no longer than
//! `stale_after` beyond its last observation; then the check is unknown (R4). An observation in order, the usual case,
//! extends the last run in a few nanoseconds. One out of order waits in `pending` and the runs are made anew from the
//! kept observations when the check is next read, so that any order gives the same runs (R21).

use plimsoll_schemas::event::Status;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

/// How far behind the newest observation single observations are kept, so that a late one of another status can be put
/// in its place exactly. Older observations are remembered as runs alone. Eight days are a week and its weekend
/// maintenance; at one observation a minute they cost 92 kB a check.
pub const OBSERVATIONS_KEPT: Micros = Micros(8 * 86_400 * 1_000_000);

/// A stretch of observations of one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What was observed.
    pub status: Status,
    /// The first observation.
    pub first: Instant,
    /// The last observation.
    pub last: Instant,
}

/// An observation in one word: time in the upper bits, status in the lower two, so that observations sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
struct Observation(i64);

impl Observation {
    /// At one instant the worst of several statuses counts, whatever their order: the larger rank wins.
    const BY_RANK: [Status; 4] = [Status::Up, Status::Unknown, Status::Degraded, Status::Down];

    fn new(time: Instant, status: Status) -> Observation {
        let rank = match status {
            Status::Up => 0,
            Status::Unknown => 1,
            Status::Degraded => 2,
            Status::Down => 3,
        };
        Observation(time.0 << 2 | rank)
    }

    fn time(self) -> Instant {
        Instant(self.0 >> 2)
    }

    fn status(self) -> Status {
        Observation::BY_RANK[(self.0 & 3) as usize]
    }
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It said what was already held: no state changes.
    Extended,
    /// States from this instant on may differ.
    ChangedFrom(Instant),
    /// It contradicts a run whose single observations are no longer kept; it was not applied. Whoever observes all again,
    /// and settles only then, applies it.
    BeyondHistory,
}

/// All that is remembered of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckHistory {
    /// Runs whose observations are no longer kept.
    frozen: Vec<Run>,
    /// Kept observations, ascending, at most one an instant.
    kept: Vec<Observation>,
    /// Observations that came out of order.
    pending: Vec<Observation>,
    /// The runs of `kept`, when nothing is pending.
    runs: Vec<Run>,
}

impl CheckHistory {
    /// Takes one observation, in any order.
    pub fn observe(&mut self, time: Instant, status: Status, stale_after: Micros) -> Observed {
        let observation = Observation::new(time, status);
        match self.kept.last() {
            Some(&last) if observation.time() <= last.time() => self.observe_late(observation),
            _ => {
                self.kept.push(observation);
                extend_runs(&mut self.runs, observation, stale_after)
            }
        }
    }

    fn observe_late(&mut self, observation: Observation) -> Observed {
        if self.kept.binary_search(&observation).is_ok() {
            return Observed::Extended;
        }
        // All kept observations are later than the frozen runs.
        if self.frozen.last().is_some_and(|run| observation.time() <= run.last) {
            let is_held = |run: &Run| run.status == observation.status() && covers(run, observation.time());
            return if self.frozen.iter().any(is_held) { Observed::Extended } else { Observed::BeyondHistory };
        }
        self.pending.push(observation);
        Observed::ChangedFrom(observation.time())
    }

    /// Puts late observations in their place and forgets single observations that are older than the history kept.
    /// To be called before the runs are read.
    pub fn settle(&mut self, stale_after: Micros) {
        if !self.pending.is_empty() {
            self.kept.append(&mut self.pending);
            self.kept.sort_unstable();
            // Of several observations at one instant the last has the highest rank.
            self.kept.reverse();
            self.kept.dedup_by_key(|observation| observation.time());
            self.kept.reverse();
            self.read_anew(stale_after);
        }
        self.forget();
    }

    /// Whether there are runs whose single observations are no longer kept.
    pub fn has_frozen(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// Makes the runs of the kept observations anew. Older runs stay as they are, by the `stale_after` of their time: a
    /// longer one is read from them all the same, for a shorter one all must be observed again.
    pub fn read_anew(&mut self, stale_after: Micros) {
        self.runs.clear();
        for &observation in &self.kept {
            extend_runs(&mut self.runs, observation, stale_after);
        }
    }

    /// Freezes whole runs that ended before the history kept, once they are at least an eighth of what is kept.
    fn forget(&mut self) {
        let Some(newest) = self.kept.last().map(|last| last.time()) else { return };
        let oldest = newest - OBSERVATIONS_KEPT;
        if self.kept[self.kept.len().div_ceil(8) - 1].time() >= oldest {
            return;
        }
        let stale = self.kept.partition_point(|observation| observation.time() < oldest);
        // A run that straddles the edge is cut in two of the same status; reading joins them again.
        let edge = self.kept[stale - 1].time();
        while let Some(run) = self.runs.first().copied() {
            if run.first > edge {
                break;
            }
            let last = run.last.min(edge);
            match self.frozen.last_mut() {
                Some(previous) if previous.status == run.status && previous.last == run.first => previous.last = last,
                _ => self.frozen.push(Run { last, ..run }),
            }
            if run.last > edge {
                self.runs[0].first = edge;
                break;
            }
            self.runs.remove(0);
        }
        self.kept.drain(..stale);
    }

    /// Forgets frozen runs that cannot matter from `from` on.
    pub fn forget_before(&mut self, from: Instant) {
        self.frozen.drain(..self.over_before(from).0);
    }

    /// How many of the frozen and of the other runs hold no more at `from`: those before the last that began until then.
    fn over_before(&self, from: Instant) -> (usize, usize) {
        let begun = |runs: &[Run]| runs.partition_point(|run| run.first <= from);
        match begun(&self.runs) {
            0 => (begun(&self.frozen).saturating_sub(1), 0),
            begun => (self.frozen.len(), begun - 1),
        }
    }

    /// All runs, oldest first. Two neighbours may have one status where history was frozen or a gap lay between.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.frozen.iter().chain(&self.runs).copied()
    }

    /// The runs that can matter from `from` on: the one that holds there and all later ones.
    pub fn runs_from(&self, from: Instant) -> impl Iterator<Item = Run> + '_ {
        let (frozen, others) = self.over_before(from);
        self.frozen[frozen..].iter().chain(&self.runs[others..]).copied()
    }

    /// The last observation; `None` before any. To be called after `settle`.
    pub fn last_seen(&self) -> Option<Instant> {
        self.runs.last().or(self.frozen.last()).map(|run| run.last)
    }

    /// The first observation ever; `None` before it.
    pub fn first_seen(&self) -> Option<Instant> {
        self.runs().next().map(|run| run.first)
    }
}

fn covers(run: &Run, time: Instant) -> bool {
    run.first <= time && time <= run.last
}

/// Adds an observation later than all others.
fn extend_runs(runs: &mut Vec<Run>, observation: Observation, stale_after: Micros) -> Observed {
    let (time, status) = (observation.time(), observation.status());
    match runs.last_mut() {
        Some(run) if run.status == status && time - run.last <= stale_after => {
            run.last = time;
            Observed::Extended
        }
        last => {
            // Until now the old status, or nothing, was taken to hold from its staleness on.
            let from = last.map_or(time, |run| time.min(run.last + stale_after));
            runs.push(Run { status, first: time, last: time });
            Observed::ChangedFrom(from)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STALE: Micros = Micros(10);

    fn history(observations: &[(i64, Status)]) -> CheckHistory {
        let mut history = CheckHistory::default();
        for &(time, status) in observations {
            history.observe(Instant(time), status, STALE);
        }
        history.settle(STALE);
        history
    }

    fn runs(history: &CheckHistory) -> Vec<(Status, i64, i64)> {
        history.runs().map(|run| (run.status, run.first.0, run.last.0)).collect()
    }

    #[test]
    fn r4_a_gap_longer_than_stale_after_ends_a_run() {
        let found = history(&[(0, Status::Up), (10, Status::Up), (21, Status::Up), (25, Status::Down)]);
        assert_eq!(runs(&found), [(Status::Up, 0, 10), (Status::Up, 21, 21), (Status::Down, 25, 25)]);
    }

    #[test]
    fn r4_an_observation_in_order_says_from_when_on_states_may_differ() {
        let mut found = CheckHistory::default();
        let mut observe = |time, status| found.observe(Instant(time), status, STALE);
        assert_eq!(observe(0, Status::Up), Observed::ChangedFrom(Instant(0)));
        assert_eq!(observe(10, Status::Up), Observed::Extended);
        assert_eq!(observe(15, Status::Down), Observed::ChangedFrom(Instant(15)));
        // From 25 on it was taken to be stale.
        assert_eq!(observe(40, Status::Down), Observed::ChangedFrom(Instant(25)));
        assert_eq!(observe(50, Status::Down), Observed::Extended);
    }

    #[test]
    fn r21_observations_are_kept_for_eight_days_to_the_microsecond() {
        let days = |count: i64| Instant(0) + Micros(count * Micros::DAY.0);
        let mut found = CheckHistory::default();
        for day in [0, 1, 9] {
            found.observe(days(day), Status::Up, Micros::DAY);
        }
        assert!(!found.has_frozen());
        found.settle(Micros::DAY);
        assert!(found.has_frozen());
        assert_eq!(found.observe(days(0), Status::Down, Micros::DAY), Observed::BeyondHistory);
        assert_eq!(found.observe(days(1), Status::Down, Micros::DAY), Observed::ChangedFrom(days(1)));
        found.settle(Micros::DAY);
        let expected = [(Status::Up, 0), (Status::Down, 1), (Status::Up, 9)].map(|(status, day)| (status, days(day)));
        assert_eq!(found.runs().map(|run| (run.status, run.first)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn r21_order_and_duplication_do_not_matter() {
        let ordered = [(0, Status::Up), (5, Status::Down), (9, Status::Up), (12, Status::Up), (40, Status::Degraded)];
        let expected = runs(&history(&ordered));
        for rotation in 0..ordered.len() {
            let mut shuffled = ordered.to_vec();
            shuffled.rotate_left(rotation);
            shuffled.extend_from_slice(&ordered);
            assert_eq!(runs(&history(&shuffled)), expected, "rotated by {rotation}");
        }
    }

    #[test]
    fn r3_at_one_instant_the_worst_status_counts() {
        for pair in [[(5, Status::Up), (5, Status::Down)], [(5, Status::Down), (5, Status::Up)]] {
            assert_eq!(runs(&history(&pair)), [(Status::Down, 5, 5)]);
        }
    }

    #[test]
    fn old_observations_are_remembered_as_runs() {
        let day = 86_400_000_000;
        let mut found = CheckHistory::default();
        for hour in 0..24 * 40 {
            let status = if hour == 30 { Status::Down } else { Status::Up };
            found.observe(Instant(hour * day / 24), status, Micros::HOUR);
            found.settle(Micros::HOUR);
        }
        let whole: Vec<_> = found.runs().collect();
        assert!(found.kept.len() < 24 * 20, "{} observations kept", found.kept.len());
        assert_eq!(whole.iter().filter(|run| run.status == Status::Down).count(), 1);
        assert_eq!(whole.first().map(|run| run.first), Some(Instant(0)));
        assert_eq!(whole.last().map(|run| run.last), Some(Instant((24 * 40 - 1) * day / 24)));
        assert_eq!(found.observe(Instant(5 * day / 24), Status::Up, Micros::HOUR), Observed::Extended);
        assert_eq!(found.observe(Instant(5 * day / 24 + 1), Status::Down, Micros::HOUR), Observed::BeyondHistory);
        // Up, down at 30, and up again: the last run is cut where observations are kept from.
        assert_eq!(found.frozen.len(), 3);
        // What matters from an hour on begins with the run that holds there.
        for (from, first) in [(0, 0), (29, 0), (30, 30), (31, 31), (900, found.runs[0].first.0 * 24 / day)] {
            let from = Instant(from * day / 24);
            assert_eq!(found.runs_from(from).next().map(|run| run.first.0 * 24 / day), Some(first), "{from}");
            found.forget_before(from);
            assert_eq!(found.first_seen(), Some(Instant(first * day / 24)), "{from}");
        }
        assert_eq!(found.runs_from(Instant(-1)).count(), 1);
    }

    /// The status at an instant as runs say it; `None` before the first, and `Unknown` when stale.
    fn by_runs(runs: impl Iterator<Item = Run>, stale_after: Micros, time: Instant) -> Option<Status> {
        let run = runs.take_while(|run| run.first <= time).last()?;
        Some(if time < run.last + stale_after { run.status } else { Status::Unknown })
    }

    /// The same from all observations: the worst of the newest instant counts, until it is stale.
    fn by_observations(seen: &[Observation], stale_after: Micros, time: Instant) -> Option<Status> {
        let newest = seen.iter().filter(|seen| seen.time() <= time).max()?;
        Some(if time < newest.time() + stale_after { newest.status() } else { Status::Unknown })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn r21_late_observations_of_eight_days_are_put_in_their_place(
            steps in prop::collection::vec((0..30_i64, 0..=192_i64, 0..4_usize, any::<bool>()), 1..40),
            stale_after in 1..12_i64,
            forgotten in 0..300_i64,
        ) {
            let hours = |count: i64| Micros(count * Micros::HOUR.0);
            let at = |hour: i64| Instant(0) + hours(hour);
            let stale_after = hours(stale_after);
            let (mut history, mut seen, mut now) = (CheckHistory::default(), Vec::new(), 0);
            for (further, late, rank, is_read) in steps {
                now += further;
                // In order every other time.
                let hour = if is_read { now } else { (now - late).max(0) };
                let observation = Observation::new(at(hour), Observation::BY_RANK[rank]);
                let before = |time| by_observations(&seen, stale_after, time);
                let known: Vec<_> = (0..=now).map(|hour| before(at(hour))).collect();
                let observed = history.observe(at(hour), Observation::BY_RANK[rank], stale_after);
                seen.push(observation);
                let newest = seen.iter().map(|seen| seen.time()).max().expect("one was seen");
                let differs = (0..=now).find(|&hour| known[hour as usize] != by_observations(&seen, stale_after, at(hour)));
                match observed {
                    Observed::Extended => prop_assert!(differs.is_none_or(|differs| newest <= at(differs))),
                    Observed::ChangedFrom(from) => prop_assert!(differs.is_none_or(|differs| from <= at(differs))),
                    Observed::BeyondHistory => prop_assert!(false, "hour {hour} of {now} is kept"),
                }
                if is_read {
                    history.settle(stale_after);
                }
            }
            history.settle(stale_after);
            for hour in 0..=now + 12 {
                let expected = by_observations(&seen, stale_after, at(hour));
                prop_assert_eq!(by_runs(history.runs(), stale_after, at(hour)), expected, "at {}", hour);
                prop_assert_eq!(by_runs(history.runs_from(at(hour)), stale_after, at(hour)), expected, "from {}", hour);
            }
            let times = || seen.iter().map(|seen| seen.time());
            prop_assert_eq!((history.first_seen(), history.last_seen()), (times().min(), times().max()));
            history.forget_before(at(forgotten));
            for hour in forgotten..=now + 12 {
                let expected = by_observations(&seen, stale_after, at(hour));
                prop_assert_eq!(by_runs(history.runs(), stale_after, at(hour)), expected, "at {}", hour);
            }
        }
    }
}
