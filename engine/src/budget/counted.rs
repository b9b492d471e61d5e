//! The error budget of counted things (R27): how fast it burns, and what is left of it.
//!
//! How many things a window will have counted is not known in advance, so neither is what it may have of bad ones. What
//! is known is the share of them that may be bad, `a`. So, as the SRE workbook has it, the burn rate over a span is
//!
//! ```text
//! (bad things in the span / things in the span) / a
//! ```
//!
//! and what is left is the allowance on what was counted so far less what was bad of it, `a * n - b`. A target that
//! allows a number `N` of bad things in all is known in advance as a budget of time is: its rate over a span `L` is
//! `(b / L) / (N / W)`, with `W` the agreed time of the segment.
//!
//! Counts are held by the minute, and the minutes that are not the newest by the quarter of an hour. A span ends with a
//! whole minute and begins with the first minute that has less agreed time before that end than it is long; one of a day
//! or more begins with a whole quarter. Things counted before the segment count in a span as good: nothing of this
//! budget was spent then. What is counted outside agreed time is seen when agreed time goes on.

use std::collections::BTreeMap;

use plimsoll_schemas::definition::{Objective, Signal, Target};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::{Burn, BurnPair, Burning, PRESENT, SPANS, Spending};
use crate::calendar::Calendar;
use crate::verdict::{WHOLE, in_a_column};
use crate::window::Window;

#[cfg(test)]
mod tests;

/// Spans up to this are of whole minutes, longer ones begin with a whole quarter of an hour.
const MINUTES_UNTIL: Micros = Micros(6 * Micros::HOUR.0);

/// The longest span.
const LONGEST: Micros = SPANS[SPANS.len() - 1];

/// Every civil time that a window begins with is a multiple of it in UTC.
const QUARTER: Micros = Micros(15 * Micros::MINUTE.0);

/// When there are more minutes in which something was counted, all but the newest [`MINUTES_KEPT`] become quarters ...
const MINUTES_MAX: usize = 1_024;

/// ... which are twelve hours where something is counted in every minute: six for a span, six for what comes late.
const MINUTES_KEPT: usize = 768;

/// How many quarters are kept: five days where something is counted in each, of which a span takes three.
const QUARTERS_KEPT: usize = 512;

/// How many days are kept in which something was counted: what is longer ago weighs little in a forecast (R29).
const DAYS_KEPT: usize = 128;

/// How many bad things the long span must have for a warning: one is no rate.
const BAD_LEAST: i128 = 2;

/// What a target allows of counted things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This share of them, in billionths.
    Share(i128),
    /// So many bad ones in the whole segment.
    Number(i64),
}

impl Allowed {
    /// What an objective allows; `None` when it is not one over counted things of which some may be bad.
    pub fn of(objective: &Objective) -> Option<Allowed> {
        let allowed = match (&objective.indicator.signal, objective.target) {
            (Signal::ErrorCount { .. }, Target::AtMostCount(limit)) => Allowed::Number(limit),
            (Signal::LatencyPercentile { percentile }, Target::AtMostTime(_)) => {
                Allowed::Share(WHOLE - i128::from(percentile.0))
            }
            (Signal::EmergencyChangeShare, Target::AtMost(share)) => Allowed::Share(share.0.into()),
            (
                Signal::ResponseTime(_)
                | Signal::ResolutionTime(_)
                | Signal::FulfilmentTime(_)
                | Signal::GoodRatio(_)
                | Signal::ChangeSuccess
                | Signal::ChangesOnTime
                | Signal::Satisfaction { .. }
                | Signal::Latency { .. },
                Target::AtLeast(share),
            ) => Allowed::Share(WHOLE - i128::from(share.0)),
            _ => return None,
        };
        (allowed != Allowed::Share(0) && allowed != Allowed::Number(0)).then_some(allowed)
    }

    /// What is left when so many of so many were bad, in billionths of a thing; negative when it is overspent.
    fn left(self, bad: i128, total: i128) -> i128 {
        match self {
            Allowed::Share(share) => share * total - bad * WHOLE,
            Allowed::Number(limit) => (i128::from(limit) - bad) * WHOLE,
        }
    }
}

/// What is left of a budget of counted things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountsLeft {
    /// Bad things less than what is allowed of those that were counted so far, with nine decimals, rounded down; negative
    /// when there were more.
    pub left: Share,
    /// How many more could come now, all of them bad, without missing the target; `None` when any number could.
    pub headroom: Option<i64>,
}

impl CountsLeft {
    fn new(allowed: Allowed, bad: i128, total: i128) -> CountsLeft {
        let left = allowed.left(bad, total);
        let headroom = match allowed {
            // Each of them counts as one more of all, too: bad + k <= share * (total + k).
            Allowed::Share(share) => (share < WHOLE).then(|| left.max(0) / (WHOLE - share)),
            Allowed::Number(_) => Some(left.max(0) / WHOLE),
        };
        CountsLeft { left: Share(in_a_column(left)), headroom: headroom.map(in_a_column) }
    }
}

/// (bad, total).
type Counts = (i64, i64);

/// What was counted lately for one objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// By the start of the minute, which is the last of its quarter where it is not agreed time.
    minutes: BTreeMap<Instant, Counts>,
    /// By the start of the quarter, before `minutes_from`.
    quarters: BTreeMap<Instant, Counts>,
    /// By the start of the day of UTC.
    days: BTreeMap<Instant, Counts>,
    /// How often something was counted, so that what follows from it is worked out anew only then.
    #[serde(skip)]
    edition: u64,
    /// The start of a quarter from which minutes are kept.
    minutes_from: Instant,
    /// Up to which minute it was looked for burning.
    looked_until: Instant,
}

impl Default for Recent {
    fn default() -> Self {
        let never = Instant(i64::MIN);
        Recent {
            minutes: BTreeMap::new(),
            quarters: BTreeMap::new(),
            days: BTreeMap::new(),
            edition: 0,
            minutes_from: never,
            looked_until: never,
        }
    }
}

impl Recent {
    /// Counts something, or takes it back. A sum beyond i64 stays at its end.
    pub fn count(&mut self, calendar: &Calendar, at: Instant, bad: i64, total: i64) {
        let quarter = floor(at, QUARTER);
        let sums = if quarter < self.minutes_from {
            self.quarters.entry(quarter).or_default()
        } else {
            let minute = floor(at, Micros::MINUTE);
            let last = quarter + QUARTER - Micros::MINUTE;
            self.minutes.entry(if calendar.is_agreed(minute) { minute } else { last }).or_default()
        };
        add(sums, (bad, total));
        add(self.days.entry(floor(at, Micros::DAY)).or_default(), (bad, total));
        self.edition = self.edition.wrapping_add(1);
    }

    /// What was counted on each day of UTC on which something was, by the start of the day: (bad, total).
    pub fn days(&self) -> &BTreeMap<Instant, Counts> {
        &self.days
    }

    /// Differs when something was counted in between.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// Says that it was looked for burning up to `now`; forgets what no span needs any more.
    pub fn looked(&mut self, now: Instant) {
        self.looked_until = self.looked_until.max(floor(now, Micros::MINUTE));
        if self.minutes.len() > MINUTES_MAX {
            let first = self.minutes.keys().nth(self.minutes.len() - MINUTES_KEPT);
            self.minutes_from = first.map_or(self.minutes_from, |first| floor(*first, QUARTER));
            let kept = self.minutes.split_off(&self.minutes_from);
            for (minute, counts) in std::mem::replace(&mut self.minutes, kept) {
                add(self.quarters.entry(floor(minute, QUARTER)).or_default(), counts);
            }
        }
        while self.quarters.len() > QUARTERS_KEPT {
            self.quarters.pop_first();
        }
        while self.days.len() > DAYS_KEPT {
            self.days.pop_first();
        }
    }

    /// Forgets minutes and quarters that no span reaches which ends at this instant or later.
    pub fn forget_before(&mut self, calendar: &Calendar, first: Instant) {
        for counts in [&mut self.minutes, &mut self.quarters] {
            let is_passed = |start: Instant| calendar.elapsed(floor(start, QUARTER) + QUARTER, first) >= LONGEST;
            while counts.first_key_value().is_some_and(|(start, _)| is_passed(*start)) {
                counts.pop_first();
            }
        }
    }

    /// Makes all that is remembered be looked at anew.
    pub fn look_anew(&mut self) {
        self.looked_until = Instant(i64::MIN);
    }

    /// The minute from which burning may differ from what was found before, when counts from `touched` on are new: what
    /// was found until then stands. Before it has enough minutes behind it, nobody can tell any more.
    pub fn unsure_from(&self, calendar: &Calendar, touched: Option<Instant>) -> Instant {
        let touched = touched.map_or(self.looked_until, |touched| touched.min(self.looked_until));
        let known_from = calendar.due(self.minutes_from, MINUTES_UNTIL);
        known_from.map_or(touched, |known| touched.max(known)).max(Instant(i64::MIN + QUARTER.0))
    }
}

fn floor(at: Instant, unit: Micros) -> Instant {
    Instant(at.0 - at.0.rem_euclid(unit.0))
}

/// A sum beyond i64 stays at its end.
fn add(sums: &mut Counts, more: Counts) {
    *sums = (sums.0.saturating_add(more.0), sums.1.saturating_add(more.1));
}

/// The first whole minute at or after an instant.
fn minute_after(at: Instant) -> Instant {
    floor(at + Micros(Micros::MINUTE.0 - 1), Micros::MINUTE)
}

/// One segment of a window as its things were counted.
#[derive(Debug)]
pub struct CountedCourse<'a> {
    allowed: Allowed,
    min_sample: i64,
    calendar: &'a Calendar,
    segment: Window,
    /// Agreed time of the whole segment.
    agreed: Micros,
    /// The start of each minute or quarter, in order, with what was counted before it: (bad, total).
    sums: Vec<(Instant, (i128, i128))>,
    /// What was counted in all.
    all: (i128, i128),
}

impl<'a> CountedCourse<'a> {
    /// Lays out what was counted lately, by this version of the agreement and by those before it.
    pub fn new<'r>(
        objective: &Objective,
        allowed: Allowed,
        recent: impl Iterator<Item = &'r Recent>,
        calendar: &'a Calendar,
        segment: Window,
    ) -> CountedCourse<'a> {
        let mut counted: Vec<_> = recent.flat_map(|recent| recent.quarters.iter().chain(&recent.minutes)).collect();
        // That of one version is in order.
        counted.sort_by_key(|(start, _)| **start);
        let (mut sums, mut all) = (Vec::with_capacity(counted.len()), (0, 0));
        for (start, (bad, total)) in counted {
            sums.push((*start, all));
            all = (all.0 + i128::from(*bad), all.1 + i128::from(*total));
        }
        let agreed = calendar.elapsed(segment.start, segment.end);
        CountedCourse { allowed, min_sample: objective.min_sample, calendar, segment, agreed, sums, all }
    }

    /// Agreed time of the whole segment.
    pub fn agreed(&self) -> Micros {
        self.agreed
    }

    /// The end of the segment when it is over at `now`.
    pub fn over_at(&self, now: Instant) -> Option<Instant> {
        (self.segment.end <= now).then_some(self.segment.end)
    }

    /// What was counted before a place among the sums.
    fn before(&self, place: usize) -> (i128, i128) {
        self.sums.get(place).map_or(self.all, |(_, before)| *before)
    }

    /// From when on what began at `start` is no longer in a span.
    fn left_from(&self, span: Micros, start: Instant) -> Option<Instant> {
        let left = match span <= MINUTES_UNTIL {
            true => self.calendar.due(start, span + Micros(1)),
            false => self.calendar.due(floor(start, QUARTER) + QUARTER, span),
        };
        left.map(minute_after)
    }

    /// Bad things and all things in the span that ends with a minute.
    fn within(&self, span: Micros, end: Instant) -> (i128, i128) {
        let is_over = |start: Instant| match span <= MINUTES_UNTIL {
            true => self.calendar.elapsed(start, end) > span,
            false => self.calendar.elapsed(floor(start, QUARTER) + QUARTER, end) >= span,
        };
        let next = self.sums.partition_point(|(start, _)| self.calendar.elapsed(*start, end) > Micros::ZERO);
        let first = self.sums[..next].partition_point(|(start, _)| is_over(*start));
        let of_segment = self.sums.partition_point(|(start, _)| *start < self.segment.start);
        let (bad, total) = self.before(next);
        (bad - self.before(first.max(of_segment).min(next)).0, total - self.before(first).1)
    }

    /// The burn rate over the span that ends with a minute; `None` when nothing was counted in it.
    fn burn_at(&self, span: Micros, end: Instant) -> Option<Burn> {
        let (bad, total) = self.within(span, end);
        let (part, whole) = match self.allowed {
            Allowed::Share(share) => (bad * WHOLE, total * share),
            Allowed::Number(limit) => (bad * i128::from(self.agreed.0), i128::from(limit) * i128::from(span.0)),
        };
        (whole > 0).then_some(Burn { part, whole })
    }

    /// Whether the rate over a span is that of a pair or beyond it, and something in it was bad.
    fn burns(&self, pair: &BurnPair, span: Micros, (bad, total): (i128, i128)) -> bool {
        let long = 100 * i128::from(pair.long.0);
        let (rate, wanted) = match self.allowed {
            Allowed::Share(share) => {
                let (part, whole) = reduced(i128::from(pair.percent) * i128::from(self.agreed.0), long);
                (bad.saturating_mul(WHOLE).saturating_mul(whole), (share * part).saturating_mul(total))
            }
            Allowed::Number(limit) => {
                (bad.saturating_mul(long), i128::from(pair.percent) * i128::from(limit) * i128::from(span.0))
            }
        };
        bad > 0 && rate >= wanted
    }

    /// Whether the budget burns too fast by a pair at the end of a minute.
    fn is_burning(&self, pair: &BurnPair, end: Instant) -> bool {
        let (long, short) = (self.within(pair.long, end), self.within(pair.short, end));
        let is_enough = long.0 >= BAD_LEAST && long.1 >= i128::from(self.min_sample);
        is_enough && self.burns(pair, pair.long, long) && self.burns(pair, pair.short, short)
    }

    /// The times until `now` in which the budget burns too fast by a pair, each from the end of a minute to that of another.
    /// Of those that were said, in order, what was found until `from` stands.
    pub fn burning(
        &self,
        pair: &BurnPair,
        said: impl Iterator<Item = Burning>,
        from: Instant,
        now: Instant,
    ) -> Vec<Burning> {
        let stands = |said: &Burning| said.at <= from && self.segment.contains(said.at);
        let as_stands = |said: Burning| Burning { ended_at: said.ended_at.filter(|ended| *ended <= from), ..said };
        let mut found: Vec<Burning> = said.filter(stands).map(as_stands).collect();
        let from = floor(from.max(self.segment.start), Micros::MINUTE);
        let now = now.min(self.segment.end - Micros(1));
        if from > now {
            return found;
        }
        let mut ends: Vec<Instant> = Vec::new();
        let entering = |start| self.calendar.due(start, Micros(1)).map(minute_after);
        self.changes(entering, from, now, &mut ends);
        for span in [pair.short, pair.long] {
            self.changes(|start| self.left_from(span, start), from, now, &mut ends);
        }
        ends.sort_unstable();
        ends.dedup();
        let mut was_burning = self.is_burning(pair, from);
        if !was_burning {
            // What is older than the minutes that are kept may have come since.
            Burning::cease(&mut found, Some(from));
        }
        for end in ends {
            let is_burning = self.is_burning(pair, end);
            if is_burning && !was_burning {
                let rates = self.burn_at(pair.long, end).zip(self.burn_at(pair.short, end));
                let begins = |(long, short)| Burning { at: end, ended_at: None, detail: pair.describe(long, short) };
                found.extend(rates.map(begins));
            } else if !is_burning {
                Burning::cease(&mut found, Some(end));
            }
            was_burning = is_burning;
        }
        found
    }

    /// The first end of a minute after `now` from which, if nothing more is counted, the budget may burn too fast because
    /// something bad enters the spans, or burn so no longer by these pairs, or with which their segment is over.
    pub fn may_differ_at(&self, pairs: &[BurnPair], now: Instant) -> Option<Instant> {
        let entering = |start| self.calendar.due(start, Micros(1)).map(minute_after);
        let next = |change: &dyn Fn(Instant) -> Option<Instant>| {
            let place = self.sums.partition_point(|(start, _)| change(*start).is_some_and(|end| end <= now));
            (place, self.sums.get(place).and_then(|(start, _)| change(*start)))
        };
        let (place, enters_at) = next(&entering);
        let is_bad = self.all.0 > self.before(place).0;
        let leaves_at = pairs.iter().flat_map(|pair| [pair.short, pair.long]);
        let leaves_at = leaves_at.filter_map(|span| next(&|start| self.left_from(span, start)).1);
        let ends_at = leaves_at.chain(enters_at).chain([self.segment.end]).min().filter(|_| !pairs.is_empty());
        ends_at.or(enters_at.filter(|_| is_bad))
    }

    /// Adds the ends of minutes after `from` and until `now` at which `change`, which rises with the start, says that
    /// something comes or goes.
    fn changes(
        &self,
        change: impl Fn(Instant) -> Option<Instant>,
        from: Instant,
        now: Instant,
        ends: &mut Vec<Instant>,
    ) {
        let first = self.sums.partition_point(|(start, _)| change(*start).is_some_and(|end| end <= from));
        ends.extend(self.sums[first..].iter().map_while(|(start, _)| change(*start).filter(|end| *end <= now)));
    }

    /// How the budget is being spent at the last whole minute until `now`, when so many of so many were bad in the
    /// segment.
    pub fn spending(&self, now: Instant, bad: i64, total: i64) -> Spending {
        let end = floor(now, Micros::MINUTE);
        let (bad, total) = (i128::from(bad), i128::from(total));
        Spending {
            burn_rates: SPANS.map(|span| self.burn_at(span, end).map(Burn::rounded)),
            spent_at: self.spent_at(now, bad, total),
            counts_left: Some(CountsLeft::new(self.allowed, bad, total)),
        }
    }

    /// When nothing is left if it goes on as in the span [`PRESENT`]: now, if nothing is left.
    fn spent_at(&self, now: Instant, bad: i128, total: i128) -> Option<Instant> {
        let left = self.allowed.left(bad, total);
        if left <= 0 {
            return (bad > 0).then_some(now);
        }
        let (bad, total) = self.within(PRESENT, floor(now, Micros::MINUTE));
        let lost = match self.allowed {
            Allowed::Share(share) => bad * WHOLE - share * total,
            Allowed::Number(_) => bad * WHOLE,
        };
        if lost <= 0 {
            return None;
        }
        let lasts = (left * i128::from(PRESENT.0) + lost - 1) / lost;
        let at = self.calendar.due(now, Micros(i64::try_from(lasts).ok()?))?;
        (at <= self.segment.end).then_some(at)
    }
}

/// A ratio in its lowest terms.
fn reduced(part: i128, whole: i128) -> (i128, i128) {
    let (mut one, mut other) = (part, whole);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    (part / one.max(1), whole / one.max(1))
}
