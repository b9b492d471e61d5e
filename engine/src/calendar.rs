//! Agreed time as a monotone function of UTC instants, and its inverse (R1, R2).
//!
//! In: the versions of a calendar (weekly hours, holidays and single days in a time zone). Out: how much agreed time
//! lies between two instants, and when an amount of it is reached. Civil time is worked out once, when the calendar is
//! compiled (`calendar/compile.rs`) into sorted spans; afterwards everything is a binary search over integers.

use std::fmt;

use plimsoll_schemas::{Instant, Micros, definition};

mod compile;
#[cfg(test)]
mod tests;

pub use compile::{in_force, text};

/// 1990-01-01T00:00:00Z: before it a calendar with hours has no agreed time. Older than any ticket system whose
/// records can still be replayed.
pub const AGREED_FROM: Instant = Instant(631_152_000_000_000);

/// 2060-01-01T00:00:00Z: from it on a calendar with hours has no agreed time. More than thirty years ahead, the longest
/// contract we expect, and within the years for which the time-zone tables are written out. Each further year
/// costs about 2 KiB for every business-hours calendar.
pub const AGREED_UNTIL: Instant = Instant(2_840_140_800_000_000);

/// Agreed time as a monotone function C of UTC instants (R2).
///
/// C counts from an origin which differs between calendars, so only differences of C mean anything.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// Agreed spans; `None` is 24x7, which has no edges at all.
    spans: Option<Spans>,
}

/// Agreed spans in order, neither empty nor overlapping nor touching.
///
/// Civil time knows no fractions of a second and zones are whole seconds away from UTC, so every edge is a whole
/// second, and the seconds of seventy years fit into 32 bits. A span costs eight bytes, and a search touches few
/// cache lines: thousands of agreements share hundreds of calendars of 18,000 spans and more.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Spans {
    /// When each span starts, in seconds since [`AGREED_FROM`].
    starts: Vec<u32>,
    /// C in seconds at the start of each span, and then at the end of the last.
    agreed: Vec<u32>,
}

/// What the seconds of [`Spans`] are counted in.
const SECOND: i64 = Micros::SECOND.0;

impl Spans {
    /// From spans in order, each within the limits and neither empty nor overlapping nor touching another.
    fn new(edges: &[(Instant, Instant)]) -> Spans {
        let seconds = |length: Micros| (length.0 / SECOND) as u32;
        let mut spans = Spans { starts: Vec::with_capacity(edges.len()), agreed: Vec::with_capacity(edges.len() + 1) };
        let mut total = 0;
        for (start, end) in edges {
            debug_assert_eq!((start.0 % SECOND, end.0 % SECOND), (0, 0), "edges are whole seconds");
            spans.starts.push(seconds(*start - AGREED_FROM));
            spans.agreed.push(total);
            total += seconds(*end - *start);
        }
        spans.agreed.push(total);
        spans
    }

    fn start(&self, place: usize) -> Instant {
        AGREED_FROM + Micros(i64::from(self.starts[place]) * SECOND)
    }

    /// C at the start of a span; of the place after the last span, at its end.
    fn agreed_before(&self, place: usize) -> Micros {
        Micros(i64::from(self.agreed[place]) * SECOND)
    }

    fn length(&self, place: usize) -> Micros {
        self.agreed_before(place + 1) - self.agreed_before(place)
    }

    fn end(&self, place: usize) -> Instant {
        self.start(place) + self.length(place)
    }

    /// How many spans start at or before `t`.
    fn started_at(&self, t: Instant) -> usize {
        // A span starts on a whole second, so the seconds that are over by then decide.
        let seconds = (t.0.saturating_sub(AGREED_FROM.0)).div_euclid(SECOND);
        self.starts.partition_point(|start| i64::from(*start) <= seconds)
    }
}

impl Calendar {
    /// 24x7: all time is agreed, on the whole time axis and without limits.
    pub fn always() -> Calendar {
        Calendar { spans: None }
    }

    /// Works out every span between [`AGREED_FROM`] and [`AGREED_UNTIL`] of a calendar's versions, which are in order
    /// and do not overlap; each counts where it is [`in_force`]. Spans that overlap or touch are one span, for agreed
    /// time is a union and never a sum; hours without a gap between those limits are [`Calendar::always`].
    pub fn compile(versions: &[definition::Calendar]) -> Calendar {
        match compile::spans(versions).as_slice() {
            [(AGREED_FROM, AGREED_UNTIL)] => Calendar::always(),
            spans => Calendar { spans: Some(Spans::new(spans)) },
        }
    }

    /// C(t): the agreed time from this calendar's origin until `t`, in O(log n).
    pub fn agreed_at(&self, t: Instant) -> Micros {
        let Some(spans) = &self.spans else { return Micros(t.0) };
        match spans.started_at(t).checked_sub(1) {
            Some(place) => spans.agreed_before(place) + (t - spans.start(place)).min(spans.length(place)),
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
        // The first span that ends with the goal reached: C at its end is the first that is not below the goal, nor
        // below the whole second which the goal needs. The span before it ends short of the goal, so the goal lies
        // after this one's start, and no earlier instant will do.
        let needed = goal.0.div_euclid(SECOND) + i64::from(goal.0 % SECOND > 0);
        let place = spans.agreed[1..].partition_point(|agreed| i64::from(*agreed) < needed);
        (place < spans.starts.len()).then(|| spans.start(place) + (goal - spans.agreed_before(place)))
    }

    /// Whether the time that begins at `t` is agreed time: true at the start of a span, false at its end.
    pub fn is_agreed(&self, t: Instant) -> bool {
        match &self.spans {
            Some(spans) => spans.started_at(t).checked_sub(1).is_some_and(|place| t < spans.end(place)),
            None => true,
        }
    }

    /// The agreed spans within `[from, until)`, clipped to it, in order; none of them is empty, no two of them touch.
    pub fn spans(&self, from: Instant, until: Instant) -> impl Iterator<Item = (Instant, Instant)> {
        let whole = (self.spans.is_none() && from < until).then_some((from, until));
        let clipped = self.spans.iter().flat_map(move |spans| {
            // The span that is under way at `from`, if there is one, and those that start before `until`.
            let places = spans.started_at(from).saturating_sub(1)..spans.starts.len();
            let all = places.map(move |place| (spans.start(place), spans.end(place)));
            let touching = all.skip_while(move |(_, end)| *end <= from).take_while(move |(start, _)| *start < until);
            touching.map(move |(start, end)| (start.max(from), end.min(until)))
        });
        whole.into_iter().chain(clipped)
    }
}

impl fmt::Debug for Calendar {
    /// Says how many spans there are, for there are thousands.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spans {
            Some(spans) => write!(formatter, "Calendar({} spans)", spans.starts.len()),
            None => formatter.write_str("Calendar(24x7)"),
        }
    }
}
