//! Agreed time as a monotone function of UTC instants, and its inverse (R1, R2).
//!
//! In: a calendar's definition (weekly hours and holidays in a time zone). Out: how much agreed time lies between two
//! instants, and when an amount of it is reached. Civil time is worked out once, when the calendar is compiled into
//! a sorted list of spans; afterwards everything is a binary search over integers.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{Datelike, Days, NaiveDate};
use plimsoll_schemas::{Instant, Micros, definition};

pub mod civil;
#[cfg(test)]
mod tests;

pub use civil::instant_of_local;

/// 1990-01-01T00:00:00Z: before it a calendar with hours has no agreed time. Older than any ticket system whose
/// records can still be replayed.
pub const AGREED_FROM: Instant = Instant(631_152_000_000_000);

/// 2060-01-01T00:00:00Z: from it on a calendar with hours has no agreed time. More than thirty years ahead, the longest
/// contract we expect, and within the years for which the time-zone tables are written out. Each further year
/// costs about 6 KiB for every business-hours calendar.
pub const AGREED_UNTIL: Instant = Instant(2_840_140_800_000_000);

/// Agreed time as a monotone function C of UTC instants (R2).
///
/// C counts from an origin which differs between calendars, so only differences of C mean anything.
#[derive(Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Agreed spans in order, neither overlapping nor touching; `None` is 24x7, which has no edges at all.
    spans: Option<Box<[Span]>>,
}

/// One stretch of agreed time, never empty.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: Instant,
    end: Instant,
    /// C(start): the agreed time of all spans before this one.
    agreed_before: Micros,
}

impl Span {
    /// C(end).
    fn agreed_after(&self) -> Micros {
        self.agreed_before + (self.end - self.start)
    }
}

impl Calendar {
    /// 24x7: all time is agreed, on the whole time axis and without limits.
    pub fn always() -> Calendar {
        Calendar { spans: None }
    }

    /// Works out every span between [`AGREED_FROM`] and [`AGREED_UNTIL`]. Spans that overlap or touch are one span, for
    /// agreed time is a union and never a sum; hours without a gap between those limits are [`Calendar::always`].
    pub fn compile(definition: &definition::Calendar) -> Calendar {
        let mut edges = edges(definition);
        edges.sort_unstable();
        let mut spans: Vec<Span> = Vec::with_capacity(edges.len());
        for (start, end) in edges {
            let agreed_before = match spans.last_mut() {
                Some(last) if start <= last.end => {
                    last.end = last.end.max(end);
                    continue;
                }
                Some(last) => last.agreed_after(),
                None => Micros::ZERO,
            };
            spans.push(Span { start, end, agreed_before });
        }
        match spans[..] {
            [Span { start: AGREED_FROM, end: AGREED_UNTIL, .. }] => Calendar::always(),
            _ => Calendar { spans: Some(spans.into_boxed_slice()) },
        }
    }

    /// C(t): the agreed time from this calendar's origin until `t`, in O(log n).
    pub fn agreed_at(&self, t: Instant) -> Micros {
        let Some(spans) = &self.spans else { return Micros(t.0) };
        match last_started(spans, t) {
            Some(span) => span.agreed_before + (t.min(span.end) - span.start),
            None => Micros::ZERO,
        }
    }

    /// The agreed time from one instant until another, C(until) - C(from); negative when `until` is the earlier.
    pub fn elapsed(&self, from: Instant, until: Instant) -> Micros {
        Micros(self.agreed_at(until).0.saturating_sub(self.agreed_at(from).0))
    }

    /// The earliest instant at which `amount` of agreed time has passed since `start` (17:00 today, not 08:00
    /// tomorrow): the inverse of C, in O(log n). No amount, or less than none, has passed at `start` itself.
    ///
    /// `None` when the amount is not reached within the calendar's limits, or when `start` lies before them.
    pub fn due(&self, start: Instant, amount: Micros) -> Option<Instant> {
        if amount <= Micros::ZERO {
            return Some(start);
        }
        let Some(spans) = &self.spans else { return start.0.checked_add(amount.0).map(Instant) };
        if start < AGREED_FROM {
            return None;
        }
        let goal = Micros(self.agreed_at(start).0.checked_add(amount.0)?);
        // The first span that ends with the goal reached. The one before it ends short of the goal, so the goal lies
        // after this one's start, and no earlier instant will do.
        let reaching = spans.get(spans.partition_point(|span| span.agreed_after() < goal))?;
        Some(reaching.start + (goal - reaching.agreed_before))
    }

    /// Whether the time that begins at `t` is agreed time: true at the start of a span, false at its end.
    pub fn is_agreed(&self, t: Instant) -> bool {
        match &self.spans {
            Some(spans) => last_started(spans, t).is_some_and(|span| t < span.end),
            None => true,
        }
    }

    /// The agreed spans within `[from, until)`, clipped to it, in order; none of them is empty, no two of them touch.
    pub fn spans(&self, from: Instant, until: Instant) -> impl Iterator<Item = (Instant, Instant)> {
        let (whole, spans) = match &self.spans {
            Some(spans) => (None, &spans[spans.partition_point(|span| span.end <= from)..]),
            None => ((from < until).then_some((from, until)), &[][..]),
        };
        let clipped = spans.iter().take_while(move |span| span.start < until);
        whole.into_iter().chain(clipped.map(move |span| (span.start.max(from), span.end.min(until))))
    }
}

impl fmt::Debug for Calendar {
    /// Says how many spans there are, for there are thousands.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spans {
            Some(spans) => write!(formatter, "Calendar({} spans)", spans.len()),
            None => formatter.write_str("Calendar(24x7)"),
        }
    }
}

/// The last span that starts at or before `t`.
fn last_started(spans: &[Span], t: Instant) -> Option<&Span> {
    spans[..spans.partition_point(|span| span.start <= t)].last()
}

/// Start and end of every span that the weekly hours ask for, clipped to the limits, neither sorted nor merged.
fn edges(definition: &definition::Calendar) -> Vec<(Instant, Instant)> {
    let holidays: BTreeSet<NaiveDate> = definition.holidays.iter().copied().collect();
    // A span that reaches into the limits starts at most two civil days before them: one for the zone's distance from
    // UTC, one for crossing midnight.
    let first = AGREED_FROM.to_utc().date_naive() - Days::new(2);
    let last = AGREED_UNTIL.to_utc().date_naive() + Days::new(1);
    let mut edges = Vec::new();
    for day in first.iter_days().take_while(|day| *day <= last).filter(|day| !holidays.contains(day)) {
        let weekday = day.weekday();
        for (_, hours) in definition.hours.iter().filter(|(start, _)| *start == weekday) {
            let end_day = if hours.until <= hours.from { day + Days::new(1) } else { day };
            let start = instant_of_local(definition.time_zone, day.and_time(hours.from)).max(AGREED_FROM);
            let end = instant_of_local(definition.time_zone, end_day.and_time(hours.until)).min(AGREED_UNTIL);
            // Hours that lie in the hour skipped by daylight saving time may come out empty or reversed.
            if start < end {
                edges.push((start, end));
            }
        }
    }
    edges
}
