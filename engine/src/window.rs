//! Calendar windows: the stretches of time over which objectives are judged (R13).
//!
//! In: a kind of window, a zone, and instants. Out: the half-open windows in which these instants lie. A window starts
//! where its first civil day starts, midnight by R1, and ends where the next one starts; so windows of one kind and
//! zone tile the time axis, whatever the zone's clocks do at midnight.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::WindowKind;
use serde::{Deserialize, Serialize};

use crate::calendar::civil::{instant_of_local, local_of_instant};

#[cfg(test)]
mod tests;

/// A stretch of time, half-open: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first instant within.
    pub start: Instant,
    /// The first instant after it.
    pub end: Instant,
}

impl Window {
    /// Whether an instant lies within.
    pub fn contains(self, t: Instant) -> bool {
        self.start <= t && t < self.end
    }

    /// What two windows have in common; `None` when that is nothing.
    pub fn clip(self, other: Window) -> Option<Window> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Window { start, end })
    }
}

/// The day, ISO week (from Monday), month, quarter or year of `zone` that contains `t`. Beyond the years 1 to 9999,
/// where no event can lie, the answer is a window at the edge of these years.
///
/// It costs three look-ups in the zone's table; ask [`Window::contains`] of the last answer first where instants come
/// in order.
pub fn window_containing(kind: WindowKind, zone: Tz, t: Instant) -> Window {
    let mut first = first_day(kind, local_of_instant(zone, t).date());
    let mut window = window_from(kind, zone, first);
    // The civil date misleads only around midnights that are skipped or repeated: a midnight in a gap moves behind the
    // first moments of its day, and clocks put back across midnight show the old date again in the new day.
    if t < window.start {
        first = first_day(kind, first.pred_opt().unwrap_or(first));
        window = window_from(kind, zone, first);
    } else if t >= window.end {
        window = window_from(kind, zone, next_first_day(kind, first));
    }
    window
}

/// Every window that shares time with `[from, until)`, in order; none when that is empty.
pub fn windows_between(kind: WindowKind, zone: Tz, from: Instant, until: Instant) -> impl Iterator<Item = Window> {
    let first = (from < until).then(|| window_containing(kind, zone, from));
    let next = move |last: &Window| Some(window_containing(kind, zone, last.end)).filter(|next| next.start >= last.end);
    std::iter::successors(first, next).take_while(move |window| window.start < until)
}

/// The window whose first civil day is given; empty when the zone skips all its days.
fn window_from(kind: WindowKind, zone: Tz, first: NaiveDate) -> Window {
    let start_of = |day: NaiveDate| instant_of_local(zone, day.and_time(NaiveTime::MIN));
    Window { start: start_of(first), end: start_of(next_first_day(kind, first)) }
}

/// The first civil day of the window in which a day lies.
fn first_day(kind: WindowKind, day: NaiveDate) -> NaiveDate {
    let first_month = match kind {
        WindowKind::Day => return day,
        WindowKind::Week => return day - Days::new(u64::from(day.weekday().num_days_from_monday())),
        WindowKind::Month => day.month(),
        WindowKind::Quarter => day.month0() / 3 * 3 + 1,
        WindowKind::Year => 1,
    };
    NaiveDate::from_ymd_opt(day.year(), first_month, 1).unwrap_or(day)
}

/// The first civil day of the window after the one that starts at `first`.
fn next_first_day(kind: WindowKind, first: NaiveDate) -> NaiveDate {
    match kind {
        WindowKind::Day => first + Days::new(1),
        WindowKind::Week => first + Days::new(7),
        WindowKind::Month => first + Months::new(1),
        WindowKind::Quarter => first + Months::new(3),
        WindowKind::Year => first + Months::new(12),
    }
}
