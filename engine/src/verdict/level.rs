//! How many tickets are open at once, and how many of them are overdue (R10): levels that step up and down. And how many
//! errors there were since the start: they are open and never in time, and only step up.
//!
//! In: signed steps of two levels, the open tickets and those of them that are in time; the rest is overdue. The levels
//! at an instant are the sums of all steps until then and at it, so several steps of one instant are one. Out: what
//! stood when most were overdue, and when a number of overdue tickets was reached.

use plimsoll_schemas::Instant;
use plimsoll_schemas::ratio::Share;

use super::parts::WHOLE;

/// The levels of one segment of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The instant from which each holds until the next, in order; the first is the segment's start.
    levels: Vec<(Instant, Level)>,
}

/// Tickets at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Open and not overdue.
    pub in_time: i128,
    /// Open.
    pub open: i128,
}

impl Level {
    /// Open and overdue.
    pub fn overdue(self) -> i128 {
        self.open - self.in_time
    }

    /// After a step of (in time, open).
    pub fn after(self, (in_time, open): (i128, i128)) -> Level {
        Level { in_time: self.in_time + in_time, open: self.open + open }
    }
}

impl Levels {
    /// The levels from `start` on, where `first` holds, with the steps after it in order.
    pub fn new(start: Instant, first: Level, steps: impl Iterator<Item = (Instant, (i128, i128))>) -> Levels {
        let mut levels = vec![(start, first)];
        let mut level = first;
        for (at, step) in steps {
            level = level.after(step);
            levels.push((at, level));
        }
        Levels { levels }
    }

    /// The level at which most tickets were overdue; where several are, the one of them at which most were open.
    pub fn worst(&self) -> Level {
        let levels = self.levels.iter().map(|(_, level)| *level);
        levels.max_by_key(|level| (level.overdue(), level.open)).unwrap_or_default()
    }

    /// The first instant at which more tickets than this were overdue; `None` when they never were.
    pub fn exceeds(&self, limit: i64) -> Option<Instant> {
        self.first(|level| level.overdue() > i128::from(limit))
    }

    /// The first instant at which this share of a limit was used up (R28); `None` when it never was, and when the limit
    /// allows nothing.
    pub fn used_up(&self, share: Share, limit: i64) -> Option<Instant> {
        let wanted = i128::from(share.0) * i128::from(limit);
        self.first(|level| limit > 0 && level.overdue() * WHOLE >= wanted)
    }

    fn first(&self, wanted: impl Fn(Level) -> bool) -> Option<Instant> {
        self.levels.iter().find(|(_, level)| wanted(*level)).map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r10_levels_are_sums_of_steps() {
        // Two open at the start, one of them overdue. At 10 one more is opened, at 20 two are overdue more, at 30 one of
        // those is resolved and one opened, at 40 all are resolved.
        let steps = [(10, (1, 1)), (20, (-2, 0)), (30, (1, 0)), (40, (-1, -3))];
        let steps = steps.into_iter().map(|(at, step)| (Instant(at), step));
        let levels = Levels::new(Instant(0), Level { in_time: 1, open: 2 }, steps);
        assert_eq!(levels.worst(), Level { in_time: 0, open: 3 });
        let exceeds = [0, 1, 2, 3].map(|limit| levels.exceeds(limit).map(|at| at.0));
        assert_eq!(exceeds, [Some(0), Some(20), Some(20), None]);
        // Half of 2 is 1, of 3 is 1.5, of 6 is 3, of 7 is 3.5.
        let half = [0, 2, 3, 6, 7].map(|limit| levels.used_up(Share(500_000_000), limit).map(|at| at.0));
        assert_eq!(half, [None, Some(0), Some(20), Some(20), None]);
        assert_eq!(Levels::new(Instant(0), Level::default(), std::iter::empty()).worst(), Level::default());
    }

    #[test]
    fn r10_of_equally_many_overdue_the_level_with_most_open_tickets_is_the_worst() {
        let steps = [(10, (2, 2)), (20, (-2, -2))].into_iter().map(|(at, step)| (Instant(at), step));
        assert_eq!(Levels::new(Instant(0), Level::default(), steps).worst(), Level { in_time: 2, open: 2 });
    }
}
