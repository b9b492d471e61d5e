//! From definitions to agreed spans: the only place in which a calendar is civil time.
//!
//! In: the versions of a calendar. Out: its spans in UTC. Each version is worked out as if it held for ever and is then
//! cut to the time in which it is in force, so that a night that begins under one version and ends under the next is
//! whole if both have it.

use chrono::{Datelike, Days, NaiveDate, NaiveTime};
use plimsoll_schemas::civil::instant_of_local;
use plimsoll_schemas::definition::DaySpan;
use plimsoll_schemas::{Instant, definition};

use super::{AGREED_FROM, AGREED_UNTIL};
use crate::window::Window;

/// A stretch of time, half-open.
type Span = (Instant, Instant);

/// The spans of all versions, in order, neither empty nor overlapping nor touching, within the limits.
pub(super) fn spans(versions: &[definition::Calendar]) -> Vec<Span> {
    let mut spans = Vec::new();
    for (version, window) in versions.iter().zip(in_force(versions)) {
        let limits = (window.start.max(AGREED_FROM), window.end.min(AGREED_UNTIL));
        let open = united(edges(version, limits));
        let closed = united(version.closures.iter().map(|closure| (closure.from, closure.until)).collect());
        spans.extend(without(&open, &closed));
    }
    united(spans)
}

/// When each of a calendar's versions, which are in order, is in force: from the first midnight of its first day until
/// that of the first day after it, each in the version's own zone, but no longer than until the next version begins.
/// Without a first or last day it reaches to the end of the time axis.
pub fn in_force(versions: &[definition::Calendar]) -> Vec<Window> {
    let midnight = |version: &definition::Calendar, day: NaiveDate| {
        instant_of_local(version.time_zone, day.and_time(NaiveTime::MIN))
    };
    let start =
        |version: &definition::Calendar| version.effective_from.map_or(Instant(i64::MIN), |day| midnight(version, day));
    let mut windows: Vec<Window> = Vec::with_capacity(versions.len());
    for (place, version) in versions.iter().enumerate() {
        let next = versions.get(place + 1);
        let end = match (version.effective_until, next) {
            // The next one takes over: where its own day begins, whatever zone this one is in.
            (until, Some(next)) if until.is_none() || until == next.effective_from => start(next),
            (until, next) => {
                let own = until.map_or(Instant(i64::MAX), |day| midnight(version, day));
                next.map_or(own, |next| own.min(start(next)))
            }
        };
        windows.push(Window { start: start(version), end });
    }
    windows
}

/// Start and end of every span that a version asks for, clipped to the limits, neither sorted nor merged.
fn edges(version: &definition::Calendar, limits: Span) -> Vec<Span> {
    // A span that reaches into the limits starts at most two civil days before them: one for the zone's distance from
    // UTC, one for crossing midnight.
    let first = limits.0.to_utc().date_naive() - Days::new(2);
    let last = limits.1.to_utc().date_naive() + Days::new(1);
    let mut edges = Vec::new();
    for day in first.iter_days().take_while(|day| *day <= last) {
        let weekly = version.hours.iter().filter(|(start, _)| *start == day.weekday()).map(|(_, span)| span);
        let (own, weekly) = match version.exceptions.get(&day) {
            Some(own) => (own.as_slice(), None),
            None if version.holidays.contains_key(&day) => continue,
            None => ([].as_slice(), Some(weekly)),
        };
        for hours in own.iter().chain(weekly.into_iter().flatten()) {
            let end_day = if hours.until <= hours.from { day + Days::new(1) } else { day };
            let start = instant_of_local(version.time_zone, day.and_time(hours.from)).max(limits.0);
            let end = instant_of_local(version.time_zone, end_day.and_time(hours.until)).min(limits.1);
            // Hours that lie in the hour skipped by daylight saving time may come out empty or reversed.
            if start < end {
                edges.push((start, end));
            }
        }
    }
    edges
}

/// The same time in order, as spans that neither overlap nor touch.
fn united(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut united: Vec<Span> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match united.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => united.push((start, end)),
        }
    }
    united
}

/// What is left of the open spans outside the closed ones; both are in order and disjoint, and so is the result.
fn without(open: &[Span], closed: &[Span]) -> Vec<Span> {
    let mut left = Vec::with_capacity(open.len());
    for &(mut start, end) in open {
        let first = closed.partition_point(|(_, until)| *until <= start);
        for (from, until) in closed[first..].iter().take_while(|(from, _)| *from < end) {
            if start < *from {
                left.push((start, *from));
            }
            start = *until;
        }
        if start < end {
            left.push((start, end));
        }
    }
    left
}

/// What one version says, in one line: `Mon 08:00-17:00, ... except 2026-12-25, ...; 2026-12-24 08:00-12:00; closed
/// 2026-05-04T12:00:00Z/2026-05-04T15:00:00Z`.
pub fn text(version: &definition::Calendar) -> String {
    let span = |span: &DaySpan| format!("{}-{}", span.from.format("%H:%M"), span.until.format("%H:%M"));
    let hours: Vec<_> = version.hours.iter().map(|(day, hours)| format!("{day} {}", span(hours))).collect();
    let mut text = hours.join(", ");
    if !version.holidays.is_empty() {
        let days: Vec<_> = version.holidays.keys().map(ToString::to_string).collect();
        text.push_str(&format!(" except {}", days.join(", ")));
    }
    for (day, spans) in &version.exceptions {
        let spans: Vec<_> = spans.iter().map(span).collect();
        text.push_str(&format!("; {day} {}", if spans.is_empty() { "closed".to_owned() } else { spans.join(", ") }));
    }
    for closure in &version.closures {
        text.push_str(&format!("; closed {}/{}", closure.from, closure.until));
    }
    text
}
