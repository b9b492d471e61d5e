//! Windows: the stretches of time over which objectives are judged (R13).
//!
//! In: a kind of window, a zone, and instants. Out: the half-open windows in which these instants lie. A calendar
//! window starts where its first civil day starts, midnight by R1, and ends where the next one starts; so windows of
//! one kind and zone tile the time axis, whatever the zone's clocks do at midnight. Rolling windows overlap: each ends
//! where a civil day, an hour or a minute does, and each is the newest one from the end of the one before it until its
//! own.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use plimsoll_schemas::civil::{instant_of_local, local_of_instant};
use plimsoll_schemas::definition::{Every, WindowKind};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

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

/// The day, ISO week (from Monday), month, quarter or year of `zone` that contains `t`; of rolling windows the newest
/// one at `t`, the first that ends after it. Beyond the years 1 to 9999, where no event can lie, the answer is a window
/// at the edge of these years.
///
/// It costs three look-ups in the zone's table; ask [`Window::contains`] of the last answer first where instants come
/// in order.
pub fn window_containing(kind: WindowKind, zone: Tz, t: Instant) -> Window {
    if let WindowKind::Rolling { length, every } = kind {
        let end = turn_containing(every, zone, t).end;
        return Window { start: end - length, end };
    }
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

/// Every window that is the newest of its kind somewhere in `[from, until)`, in order; none when that is empty.
/// Calendar windows are those that share time with it.
pub fn windows_between(kind: WindowKind, zone: Tz, from: Instant, until: Instant) -> impl Iterator<Item = Window> {
    windows_from(kind, zone, (from < until).then(|| window_containing(kind, zone, from)), until)
}

/// This window and every later one that is the newest of its kind somewhere before `until`, in order.
pub fn windows_from(kind: WindowKind, zone: Tz, first: Option<Window>, until: Instant) -> impl Iterator<Item = Window> {
    // A window is the newest from the end of the one before it.
    let next = move |last: &Window| (last.end < until).then(|| window_containing(kind, zone, last.end));
    std::iter::successors(first, move |last| next(last).filter(|next| next.end > last.end))
}

/// The instant from which a window is the newest of its kind: the end of the one before it.
pub fn newest_from(kind: WindowKind, zone: Tz, window: Window) -> Instant {
    match kind {
        WindowKind::Rolling { every, .. } => turn_containing(every, zone, window.end - Micros(1)).start,
        _ => window.start,
    }
}

/// The longest stretch around `t` that no window of the kind cuts: every window holds all of it or nothing of it. So
/// what is counted needs to be kept by stretch alone.
pub fn uncut_stretch(kind: WindowKind, zone: Tz, t: Instant) -> Window {
    let WindowKind::Rolling { length, every } = kind else { return window_containing(kind, zone, t) };
    let ends = turn_containing(every, zone, t);
    let starts = turn_containing(every, zone, t + length);
    Window { start: ends.start.max(starts.start - length), end: ends.end.min(starts.end - length) }
}

/// The minute or hour of UTC or the civil day in which rolling windows that end with it are the newest.
fn turn_containing(every: Every, zone: Tz, t: Instant) -> Window {
    let length = match every {
        Every::Day => return window_containing(WindowKind::Day, zone, t),
        Every::Hour => Micros::HOUR,
        Every::Minute => Micros::MINUTE,
    };
    let start = Instant(t.0 - t.0.rem_euclid(length.0));
    Window { start, end: start + length }
}

/// The window whose first civil day is given; empty when the zone skips all its days.
fn window_from(kind: WindowKind, zone: Tz, first: NaiveDate) -> Window {
    let start_of = |day: NaiveDate| instant_of_local(zone, day.and_time(NaiveTime::MIN));
    Window { start: start_of(first), end: start_of(next_first_day(kind, first)) }
}

/// The first civil day of the calendar window in which a day lies.
fn first_day(kind: WindowKind, day: NaiveDate) -> NaiveDate {
    let (months, first_month) = match kind {
        WindowKind::Week => return day - Days::new(u64::from(day.weekday().num_days_from_monday())),
        WindowKind::Month => (1, 1),
        WindowKind::Quarter { first_month } => (3, first_month),
        WindowKind::Year { first_month } => (12, first_month),
        WindowKind::Day | WindowKind::Rolling { .. } => return day,
    };
    let months_since = (day.month() + 12 - first_month) % months;
    day.with_day(1).and_then(|first| first.checked_sub_months(Months::new(months_since))).unwrap_or(day)
}

/// The first civil day of the calendar window after the one that starts at `first`.
fn next_first_day(kind: WindowKind, first: NaiveDate) -> NaiveDate {
    match kind {
        WindowKind::Day | WindowKind::Rolling { .. } => first + Days::new(1),
        WindowKind::Week => first + Days::new(7),
        WindowKind::Month => first + Months::new(1),
        WindowKind::Quarter { .. } => first + Months::new(3),
        WindowKind::Year { .. } => first + Months::new(12),
    }
}
