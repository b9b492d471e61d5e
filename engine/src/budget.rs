//! The error budget as it is spent: when shares of it are used up (R28), how fast it burns (R27), what is left of it
//! now.
//!
//! In: the stretches of one segment of a window, as the objective counts them, up to now. They are laid out on the axis
//! of agreed time, on which bad, removed and known time are sums that grow linearly between two changes of state. So
//! every question is one of where linear functions are not negative, and its answer is exact to the microsecond. What
//! holds at an instant follows from what happened until then: a warning that was given stays, whatever happens later.
//!
//! The burn rate over a span `L` of agreed time is, with `W` the agreed time of the segment,
//!
//! ```text
//! (bad time in the span / measured time in the span) / (allowance / W)
//! ```
//!
//! so at a rate of 1 the budget lasts just until the end. Before the segment's start a span counts as good: nothing of
//! this budget was spent then. A pair of spans warns when the rate over both is so high that a share `p` of the budget
//! would be spent in the long one, `p * W / L`; the short one says that it still burns. Pairs and shares are those of
//! the SRE workbook, chapter 5, table 5-8, where `W` is 30 days.
//!
//! Bad time and allowances are billionths of microseconds as in `verdict`; products are held in i128. The largest has a
//! percentage, an allowance and a span as factors: 10 x 10^25 (a billion x a window of 300 years) x 3 x 10^11 < 10^38.

use std::fmt;

use plimsoll_schemas::definition::{Objective, Signal, StatePolicy, Target};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::state::State;
use crate::verdict::{Judged, Stretch, WHOLE, allowance, allowed_share, weights};
use crate::window::Window;

mod counted;
#[cfg(test)]
mod tests;

pub use counted::{Allowed, CountedCourse, CountsLeft, Recent};

/// The spans over which burn rates are told, in agreed time (R27).
pub const SPANS: [Micros; 7] = [
    Micros(5 * Micros::MINUTE.0),
    Micros(30 * Micros::MINUTE.0),
    Micros::HOUR,
    Micros(2 * Micros::HOUR.0),
    Micros(6 * Micros::HOUR.0),
    Micros::DAY,
    Micros(3 * Micros::DAY.0),
];

/// Long span, short span, percent of the budget spent in the long one, what to do. The third pair is not in the table
/// of the SRE workbook but in the rules that follow it in practice.
const PAIRS: [(Micros, Micros, i64, Severity); 4] = [
    (SPANS[2], SPANS[0], 2, Severity::Page),
    (SPANS[4], SPANS[1], 5, Severity::Page),
    (SPANS[5], SPANS[3], 10, Severity::Ticket),
    (SPANS[6], SPANS[4], 10, Severity::Ticket),
];

/// How urgent a warning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Somebody must look now.
    Page,
    /// Somebody must look within days.
    Ticket,
}

impl Severity {
    /// As tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

/// Two spans over which the budget must burn at a rate for a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BurnPair {
    /// The span in which so much would be spent, in agreed time.
    pub long: Micros,
    /// The span that says that it still burns, in agreed time.
    pub short: Micros,
    /// The percentage of the budget that would be spent in the long span.
    pub percent: i64,
    /// The rate at which it would, rounded down to nine decimals; comparisons do not use it.
    pub factor: Share,
    /// How urgent it is.
    pub severity: Severity,
}

impl BurnPair {
    /// The pairs for a window with so much agreed time. Those that would warn of a rate below 1 are left out: at such a
    /// rate the budget lasts. So are all spans longer than the window.
    pub fn of(agreed: Micros) -> Vec<BurnPair> {
        let scaled = |&(long, short, percent, severity): &(Micros, Micros, i64, Severity)| {
            let (part, whole) = (i128::from(percent) * i128::from(agreed.0), 100 * i128::from(long.0));
            let factor = Burn { part, whole }.rounded();
            (part >= whole).then_some(BurnPair { long, short, percent, factor, severity })
        };
        PAIRS.iter().filter_map(scaled).collect()
    }

    /// For people, how fast the budget burns over the long and the short span.
    fn describe(&self, long: Burn, short: Burn) -> String {
        let factor = Burn { part: i128::from(self.factor.0), whole: WHOLE };
        let BurnPair { long: long_span, short: short_span, .. } = self;
        format!("burn rate {long} over {long_span} and {short} over {short_span}, {factor} is too fast")
    }
}

/// A burn rate as a ratio of integers; `whole` is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burn {
    /// Bad time x agreed time of the segment; of things that are counted see `counted`.
    pub part: i128,
    /// Measured time x allowance.
    pub whole: i128,
}

impl Burn {
    /// Rounded down to nine decimals, and held within what a table's decimal can carry.
    pub fn rounded(self) -> Share {
        if self.part == 0 {
            return Share(0);
        }
        const LARGEST: i128 = 999_999_999;
        let (mut digits, mut rest) = ((self.part / self.whole).min(LARGEST), self.part % self.whole);
        // As many decimals at a time as fit: the rest times a billion may not.
        let step = [WHOLE, 1_000].into_iter().find(|step| self.whole <= i128::MAX / step).unwrap_or(10);
        let mut scale = 1;
        while scale < WHOLE {
            (digits, rest) = (digits * step + rest * step / self.whole, rest * step % self.whole);
            scale *= step;
        }
        Share(digits as i64)
    }
}

impl fmt::Display for Burn {
    /// With at most two decimals: `14.4`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.rounded().0 / (Share::WHOLE / 100);
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// The longest outage that could start now and still keep the promise, in agreed time: what is left of the budget, but
/// not more than `rest`, what is left of the window. `None` when there is no budget of time.
pub fn headroom(judged: &Judged, rest: Micros) -> Option<Micros> {
    judged.budget_left.map(|left| left.clamp(Micros::ZERO, rest))
}

/// A time in which a budget burns too fast by a pair (R27).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burning {
    /// The first instant at which it does.
    pub at: Instant,
    /// The first instant after it at which it is known to do so no longer; `None` when it did until the last that was looked
    /// at.
    pub ended_at: Option<Instant>,
    /// For people, how fast it burns at first.
    pub detail: String,
}

impl Burning {
    /// Says of the newest that it ended, unless it had before.
    fn cease(all: &mut [Burning], ended_at: Option<Instant>) {
        if let Some(newest) = all.last_mut() {
            newest.ended_at = newest.ended_at.or(ended_at);
        }
    }

    /// Whether the newest goes on.
    fn goes_on(all: &[Burning]) -> bool {
        all.last().is_some_and(|newest| newest.ended_at.is_none())
    }
}

/// How a budget is being spent at an instant (R27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The burn rate over each of [`SPANS`]; `None` where nothing was measured.
    pub burn_rates: [Option<Share>; SPANS.len()],
    /// When all of the budget is spent if it goes on as over [`PRESENT`], or was; `None` when it lasts until the
    /// segment's end.
    pub spent_at: Option<Instant>,
    /// What is left of a budget of counted things; `None` of one of time.
    pub counts_left: Option<CountsLeft>,
}

impl Spending {
    /// Nothing bad happened, and everything was measured.
    pub const NONE: Spending =
        Spending { burn_rates: [Some(Share(0)); SPANS.len()], spent_at: None, counts_left: None };
}

/// The span of agreed time over which the budget burns at present, to tell when it will be spent: the shortest long one
/// of those that warn.
pub const PRESENT: Micros = Micros::HOUR;

/// One stretch on the axis of agreed time, which counts from the segment's start.
#[derive(Clone, Copy, Debug)]
struct Leg {
    start: i64,
    end: i64,
    /// The bad share of it, in billionths.
    bad: i128,
    /// 1 when it counts as neither good nor bad, else 0.
    removed: i128,
    /// 1 when its state is to be known, which time that is excluded need not be, else 0.
    to_know: i128,
    /// 1 when it is to be known and is, else 0.
    known: i128,
    is_down: bool,
    /// Whether an outage goes on: one that is down, or removed time within it.
    in_outage: bool,
}

/// Sums from the segment's start on.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Bad time in billionths of microseconds.
    bad: i128,
    /// Microseconds.
    removed: i128,
    /// Microseconds.
    to_know: i128,
    /// Microseconds.
    known: i128,
}

impl Sums {
    fn and(self, leg: &Leg, micros: i64) -> Sums {
        let micros = i128::from(micros);
        Sums {
            bad: self.bad + leg.bad * micros,
            removed: self.removed + leg.removed * micros,
            to_know: self.to_know + leg.to_know * micros,
            known: self.known + leg.known * micros,
        }
    }
}

/// The outages before an instant.
#[derive(Clone, Copy, Debug, Default)]
struct Outages {
    count: i64,
    longest: i64,
    /// The length of the one that goes on; `None` when none does.
    current: Option<i64>,
}

impl Outages {
    /// When a leg begins: an outage counts from its first microsecond of agreed time on.
    fn enter(&mut self, leg: &Leg) {
        if !leg.in_outage {
            self.current = None;
        } else if leg.is_down && self.current.is_none() && leg.start < leg.end {
            self.count += 1;
            self.current = Some(0);
        }
    }

    /// When it ends.
    fn leave(&mut self, leg: &Leg) {
        let down = if leg.is_down { leg.end - leg.start } else { 0 };
        self.current = self.current.map(|length| length + down);
        self.longest = self.longest.max(self.current.unwrap_or(0));
    }
}

/// `start + slope * x` for `x` from 0 on.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: i128,
    slope: i128,
}

impl Line {
    /// The first and the last `x` within a range for which the line is not negative; `None` when there is none.
    fn not_negative(self, (first, last): (i64, i64)) -> Option<(i64, i64)> {
        let (first, last) = (i128::from(first), i128::from(last));
        let (first, last) = match self.slope.signum() {
            0 if self.start < 0 => return None,
            0 => (first, last),
            1 => (first.max(-self.start.div_euclid(self.slope)), last),
            _ => (first, last.min(self.start.div_euclid(-self.slope))),
        };
        // Both lie within the range that was given, or the range is empty.
        (first <= last).then_some((first as i64, last as i64))
    }
}

/// One segment of a window as it went.
#[derive(Debug)]
pub struct Course<'a> {
    objective: &'a Objective,
    calendar: &'a Calendar,
    start: Instant,
    /// Agreed time of the whole segment, also what is still to come.
    agreed: Micros,
    legs: Vec<Leg>,
    /// The sums at the start of each leg, and at the end of the last.
    sums: Vec<Sums>,
}

impl<'a> Course<'a> {
    /// Lays out the stretches of a segment.
    pub fn new(
        objective: &'a Objective,
        policy: &StatePolicy,
        stretches: &[Stretch],
        calendar: &'a Calendar,
        segment: Window,
    ) -> Course<'a> {
        let mut legs = Vec::with_capacity(stretches.len());
        let mut sums = Vec::with_capacity(stretches.len() + 1);
        sums.push(Sums::default());
        for stretch in stretches {
            let (good, bad) = weights(policy, stretch.counted);
            let to_know = stretch.shown != State::Excluded;
            let leg = Leg {
                start: calendar.elapsed(segment.start, stretch.start).0,
                end: calendar.elapsed(segment.start, stretch.end).0,
                bad,
                removed: i128::from(good + bad == 0),
                to_know: i128::from(to_know),
                known: i128::from(to_know && stretch.shown != State::Unknown),
                is_down: stretch.counted == State::Down,
                in_outage: stretch.in_outage(),
            };
            let before = sums.last().copied().unwrap_or_default();
            sums.push(before.and(&leg, leg.end - leg.start));
            legs.push(leg);
        }
        let agreed = calendar.elapsed(segment.start, segment.end);
        Course { objective, calendar, start: segment.start, agreed, legs, sums }
    }

    /// The instant at which this share of the budget was used up while enough was known to warn (R4, R28); `None`
    /// when it was not, and when the target allows nothing, which is breached at once.
    pub fn used_up(&self, share: Share) -> Option<Instant> {
        self.reached(share, |leg, sums, reached| self.covered(leg, sums).not_negative(reached))
    }

    /// The same whether enough was known to warn or not.
    pub fn spent(&self, share: Share) -> Option<Instant> {
        self.reached(share, |_, _, used_up| Some(used_up))
    }

    /// The first instant within what `holds` leaves of the places at which a share of the budget is used up.
    fn reached(&self, share: Share, holds: impl Fn(&Leg, &Sums, (i64, i64)) -> Option<(i64, i64)>) -> Option<Instant> {
        let mut outages = Outages::default();
        for (leg, sums) in self.legs.iter().zip(&self.sums) {
            outages.enter(leg);
            let used = self.used(share, leg, sums, &outages);
            let used_up = used.and_then(|line| line.not_negative((0, leg.end - leg.start)));
            match used_up.and_then(|used_up| holds(leg, sums, used_up)) {
                // The outage that is one too many counts from the instant at which it begins.
                Some((0, _)) => return Some(self.at(leg.start + 1)? - Micros(1)),
                Some((first, _)) => return self.at(leg.start + first),
                None => outages.leave(leg),
            }
        }
        None
    }

    /// What is used beyond this share, within a leg; `None` when there is nothing to be used.
    fn used(&self, share: Share, leg: &Leg, sums: &Sums, outages: &Outages) -> Option<Line> {
        let share = i128::from(share.0);
        match (&self.objective.indicator.signal, self.objective.target) {
            (Signal::LongestOutage(_), Target::AtMostTime(limit)) if limit.0 > 0 => {
                let wanted = share * i128::from(limit.0);
                let beyond = |length: i64| i128::from(length) * WHOLE - wanted;
                match outages.current {
                    _ if beyond(outages.longest) >= 0 => Some(Line { start: beyond(outages.longest), slope: 0 }),
                    Some(length) => Some(Line { start: beyond(length), slope: if leg.is_down { WHOLE } else { 0 } }),
                    None => None,
                }
            }
            (Signal::OutageCount(policy), Target::AtMostCount(limit))
                if limit > 0 && policy.min_duration == Micros::ZERO =>
            {
                Some(Line { start: i128::from(outages.count) * WHOLE - share * i128::from(limit), slope: 0 })
            }
            (Signal::Availability(_), target @ Target::AtLeast(_))
                if self.allowance() > 0 && sums.bad + leg.bad > 0 =>
            {
                // Time that is removed takes its share of the allowance along.
                let allowed = allowed_share(target);
                let measurable = i128::from(self.agreed.0) - sums.removed;
                Some(Line {
                    start: sums.bad * WHOLE - share * allowed * measurable,
                    slope: leg.bad * WHOLE + share * allowed * leg.removed,
                })
            }
            (Signal::Downtime(_), Target::AtMostTime(_)) if self.allowance() > 0 => {
                Some(Line { start: sums.bad * WHOLE - share * self.allowance(), slope: leg.bad * WHOLE })
            }
            _ => None,
        }
    }

    /// What is known beyond the least coverage, within a leg.
    fn covered(&self, leg: &Leg, sums: &Sums) -> Line {
        let least = i128::from(self.objective.min_coverage.0);
        Line { start: sums.known * WHOLE - least * sums.to_know, slope: leg.known * WHOLE - least * leg.to_know }
    }

    /// The bad time that the target allows in the whole segment, as it is known in advance, in billionths of
    /// microseconds; 0 when there is no budget of time.
    fn allowance(&self) -> i128 {
        match self.objective.indicator.signal {
            Signal::Availability(_) | Signal::Downtime(_) => allowance(self.objective, self.agreed),
            _ => 0,
        }
    }

    /// The instant at which so much agreed time has passed since the start.
    fn at(&self, agreed: i64) -> Option<Instant> {
        self.calendar.due(self.start, Micros(agreed))
    }

    /// The sums at a place of the axis; before the start there are none.
    fn sums_at(&self, place: i64) -> Sums {
        let next = self.legs.partition_point(|leg| leg.start < place);
        match next.checked_sub(1) {
            Some(index) => {
                let leg = &self.legs[index];
                self.sums[index].and(leg, place.min(leg.end) - leg.start)
            }
            None => Sums::default(),
        }
    }

    /// Bad time in billionths of microseconds and measured microseconds within the span that ends at a place.
    fn within(&self, span: Micros, place: i64) -> (i128, i128) {
        let (from, until) = (self.sums_at(place - span.0), self.sums_at(place));
        (until.bad - from.bad, i128::from(span.0) - (until.removed - from.removed))
    }

    /// The burn rate over the span that ends at a place; `None` when nothing was measured in it, and when nothing is
    /// allowed.
    fn burn_at(&self, span: Micros, place: i64) -> Option<Burn> {
        let (bad, measured) = self.within(span, place);
        let whole = measured * self.allowance();
        (whole > 0).then_some(Burn { part: bad * i128::from(self.agreed.0), whole })
    }

    /// The burn rate over the span of agreed time that ends now (R27); `None` when nothing was measured in it, and when
    /// the target allows nothing.
    pub fn burn(&self, span: Micros) -> Option<Burn> {
        self.burn_at(span, self.end())
    }

    /// How the budget is being spent now; `None` when the target allows no bad time.
    pub fn spending(&self) -> Option<Spending> {
        (self.allowance() > 0).then(|| Spending {
            burn_rates: SPANS.map(|span| self.burn(span).map(Burn::rounded)),
            spent_at: self.spent_at(),
            counts_left: None,
        })
    }

    /// The first microsecond at which all of the budget is spent, as time goes on as in the span [`PRESENT`].
    fn spent_at(&self) -> Option<Instant> {
        let (bad, measured) = self.within(PRESENT, self.end());
        let sums = self.sums.last().copied().unwrap_or_default();
        let left = match self.objective.target {
            Target::AtMostTime(limit) => i128::from(limit.0) * WHOLE,
            target => allowed_share(target) * (i128::from(self.agreed.0) - sums.removed),
        } - sums.bad;
        if left <= 0 {
            return self.spent(Share(Share::WHOLE));
        }
        if bad == 0 {
            return None;
        }
        // So much measured time passes until the rest is bad; the last part of a microsecond takes a whole one.
        let lasts = (left * measured + bad - 1) / bad;
        let place = i128::from(self.end()) + lasts;
        (place <= i128::from(self.agreed.0)).then(|| self.at(place as i64)).flatten()
    }

    fn end(&self) -> i64 {
        self.legs.last().map_or(0, |leg| leg.end)
    }

    /// The times in which the budget burns too fast by a pair. While too little is known nothing starts to burn, and nothing
    /// ceases to (R4).
    pub fn burning(&self, pair: &BurnPair) -> Vec<Burning> {
        let mut found: Vec<Burning> = Vec::new();
        if self.allowance() == 0 {
            return found;
        }
        for (from, until) in self.pieces(pair) {
            let range = (0, until - from);
            let line = |value: &dyn Fn(i64) -> i128| {
                // It is linear between neighbouring edges, so the slope is a whole number.
                let (start, end) = (value(from), value(until));
                Line { start, slope: (end - start) / i128::from(until - from) }
            };
            let Some(known) = line(&|place| self.covered_at(place)).not_negative(range) else { continue };
            let both = [pair.long, pair.short].iter().try_fold(known, |range, &span| {
                let range = line(&|place| self.burnt_beyond(pair, span, place)).not_negative(range)?;
                // Nothing bad is no rate, even where nothing was measured.
                line(&|place| self.within(span, place).0 - 1).not_negative(range)
            });
            let Some((first, last)) = both else {
                Burning::cease(&mut found, self.at(from + known.0));
                continue;
            };
            if first > known.0 {
                Burning::cease(&mut found, self.at(from + known.0));
            }
            if !Burning::goes_on(&found) {
                let begins = self.at(from + first).zip(self.describe(pair, from + first));
                found.extend(begins.map(|(at, detail)| Burning { at, ended_at: None, detail }));
            }
            if last < known.1 {
                Burning::cease(&mut found, self.at(from + last + 1));
            }
        }
        found
    }

    /// The neighbouring places between which everything that a pair looks at is linear.
    fn pieces(&self, pair: &BurnPair) -> Vec<(i64, i64)> {
        let edges = std::iter::once(0).chain(self.legs.iter().map(|leg| leg.end));
        let seen = |edge: i64| [edge, edge + pair.short.0, edge + pair.long.0];
        let end = self.end();
        let mut places: Vec<i64> = edges.flat_map(seen).filter(|place| *place <= end).collect();
        places.sort_unstable();
        places.dedup();
        places.windows(2).map(|two| (two[0], two[1])).collect()
    }

    fn covered_at(&self, place: i64) -> i128 {
        let sums = self.sums_at(place);
        sums.known * WHOLE - i128::from(self.objective.min_coverage.0) * sums.to_know
    }

    /// How far the rate over a span is beyond that of the pair, multiplied by what is positive.
    fn burnt_beyond(&self, pair: &BurnPair, span: Micros, place: i64) -> i128 {
        let (bad, measured) = self.within(span, place);
        bad * 100 * i128::from(pair.long.0) - i128::from(pair.percent) * self.allowance() * measured
    }

    fn describe(&self, pair: &BurnPair, place: i64) -> Option<String> {
        Some(pair.describe(self.burn_at(pair.long, place)?, self.burn_at(pair.short, place)?))
    }
}
