//! Holidays from iCalendar files (RFC 5545): text in, closed days and closed stretches of time out.
//!
//! - An event of whole days (its `DTSTART` is a `DATE`) closes those days in the zone of whatever calendar names the
//!   file: no hours start on them.
//! - A timed event is a [`Closure`]: exactly its time does not count. Times without a zone are those of the calendar.
//! - A cancelled event closes nothing. Whether an event shows its owner as busy (`TRANSP`) does not matter: public
//!   holidays are mostly published as free.
//! - Recurrence is worked out in the civil time of the event, by the crate `rrule`, until [`RECURRING_UNTIL`]. Each civil
//!   time that this gives becomes an instant by R1; what is an instant already (a time in UTC or in another zone) stays
//!   that instant, also within an hour that clocks show twice.
//! - With `DTEND` every occurrence lasts exactly as long as the first; with `DURATION` its days are civil days (RFC 5545,
//!   section 3.8.5.3).
//! - Of events with the same `UID` and `RECURRENCE-ID` those of the highest `SEQUENCE` hold (section 3.8.7.4).
//!
//! What is not understood is a problem and never skipped, for a holiday that is missing makes a wrong result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use rrule::{RRule, Unvalidated};

use crate::civil::{instant_of_local, local_of_instant};
use crate::time::{Instant, Micros};

use super::content_line::{Property, properties};
use super::document::Node;
use super::model::Closure;
use super::problem::{Problem, Problems, one_of, quoted};
use super::resolve::File;

/// Recurring events are worked out up to this day: no calendar has agreed time from 2060 on, in whatever zone.
const RECURRING_UNTIL: NaiveDate = NaiveDate::from_ymd_opt(2060, 1, 2).expect("a date");
/// How many days and times the events of one file may close: more than one on each day of the 160 years that they may
/// lie in. A rule that gives more is a slip of the finger or an attack.
const OCCURRENCES_MAX: u16 = u16::MAX;
/// How many events of one file may be wrong before the rest is left unread: each may cost as much as a long rule.
const EVENTS_TOLD_MAX: usize = 20;
/// The longest event. Longer ones are mistakes, and each day of them costs.
const LENGTH_MAX: Micros = Micros(3_660 * Micros::DAY.0);

/// What the events of files close.
#[derive(Debug, Default)]
pub(super) struct Holidays {
    /// Days with their names; a name is empty where none is known.
    pub(super) days: BTreeMap<NaiveDate, String>,
    /// Times.
    pub(super) closures: Vec<Closure>,
}

impl Holidays {
    /// Closes a day; the first name that it is given stays.
    pub(super) fn name_day(&mut self, day: NaiveDate, name: &str) {
        let known = self.days.entry(day).or_default();
        if known.is_empty() {
            name.clone_into(known);
        }
    }
}

/// The iCalendar files among those of a folder, by their names.
pub(super) struct HolidayFiles<'a>(BTreeMap<PathBuf, &'a File<'a>>);

impl<'a> HolidayFiles<'a> {
    /// Parts the iCalendar files from the others.
    pub(super) fn split(files: &'a [File<'a>]) -> (HolidayFiles<'a>, Vec<&'a File<'a>>) {
        let (own, others): (Vec<&File<'_>>, Vec<_>) = files.iter().partition(|file| Self::is_name_of_one(file.name));
        let by_name = own.into_iter().map(|file| (normal(Path::new(file.name)), file)).collect();
        (HolidayFiles(by_name), others)
    }

    /// Whether a file of this name is an iCalendar file.
    pub(super) fn is_name_of_one(name: &str) -> bool {
        Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ics"))
    }

    /// Adds what the file closes that is named at a node, relative to the node's own file.
    pub(super) fn read(&self, node: &Node<'_>, zone: Tz, holidays: &mut Holidays, problems: &mut Problems) {
        let name = node.text().unwrap_or_default();
        let folder = Path::new(node.file()).parent().unwrap_or(Path::new(""));
        let Some(file) = self.0.get(&normal(&folder.join(name))) else {
            let known = self.0.values().map(|file| file.name);
            let what = "the name, relative to this file, of an iCalendar file in the folder of definitions";
            return problems.wrong(node, one_of(name, known, what));
        };
        let events = match events(file) {
            Ok(events) => events,
            Err(problem) => return problems.add(problem),
        };
        let mut reading = Reading {
            file: file.name,
            zone,
            replaced: BTreeMap::new(),
            revisions: BTreeMap::new(),
            left: OCCURRENCES_MAX,
            holidays,
        };
        let noted = events.iter().map(|event| reading.note(event)).collect::<Vec<_>>();
        let closed = events.iter().map(|event| reading.close(event));
        for problem in noted.into_iter().chain(closed).filter_map(Result::err).take(EVENTS_TOLD_MAX) {
            problems.add(problem);
        }
    }
}

/// A path without `.` and, where possible, without `..`: two ways to write a file's name are one name.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            component => normal.push(component),
        }
        normal
    })
}

/// One `VEVENT`.
struct Event {
    /// Where it begins.
    line: usize,
    properties: Vec<Property>,
}

impl Event {
    fn get(&self, name: &str) -> Option<&Property> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }
}

/// The events of a file, without what is nested in them; the first defect of its frame ends the reading.
fn events(file: &File<'_>) -> Result<Vec<Event>, Problem> {
    let problem = |line, found: String, allowed: &str| Problem {
        file: file.name.to_owned(),
        line,
        field: String::new(),
        found,
        allowed: allowed.to_owned(),
    };
    let (mut events, mut open) = (Vec::<Event>::new(), Vec::<(String, usize)>::new());
    for property in properties(file.text) {
        let property = property
            .map_err(|(line, text)| problem(line, quoted(&text), "a line of iCalendar such as SUMMARY:New Year"))?;
        let value = property.value.trim().to_ascii_uppercase();
        match (property.name.as_str(), open.as_slice()) {
            ("BEGIN", []) if value == "VCALENDAR" => open.push((value, property.line)),
            (_, []) => {
                let found = quoted(&format!("{}:{}", property.name, property.value));
                return Err(problem(property.line, found, "an iCalendar file, which starts with BEGIN:VCALENDAR"));
            }
            ("BEGIN", above) => {
                if let ([_], "VEVENT") = (above, value.as_str()) {
                    events.push(Event { line: property.line, properties: Vec::new() });
                }
                open.push((value, property.line));
            }
            ("END", [.., (name, _)]) if *name == value => {
                open.pop();
            }
            ("END", [.., (name, line)]) => {
                let allowed = format!("END:{name}, which ends what line {line} begins");
                return Err(problem(property.line, quoted(&format!("END:{}", property.value)), &allowed));
            }
            (_, [_, (name, _)]) if name == "VEVENT" => {
                if let Some(event) = events.last_mut() {
                    event.properties.push(property);
                }
            }
            _ => {}
        }
    }
    match open.last() {
        Some((name, line)) => Err(problem(*line, format!("BEGIN:{name} without an end"), &format!("END:{name}"))),
        None if events.is_empty() => Err(problem(1, "no event".to_owned(), "at least one VEVENT")),
        None => Ok(events),
    }
}

/// A day or a time as an event says it.
#[derive(Clone, Copy)]
struct Moment {
    /// Midnight of a day.
    local: NaiveDateTime,
    zone: Tz,
    is_day: bool,
}

impl Moment {
    fn instant(&self) -> Instant {
        instant_of_local(self.zone, self.local)
    }

    /// The event's start that this names: midnight of its day where `start` is a day, else its instant.
    fn as_start(&self, start: &Moment) -> Start {
        if start.is_day { Start::Day(self.local.date()) } else { Start::Time(self.instant()) }
    }
}

/// When an event starts, once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Start {
    Day(NaiveDate),
    Time(Instant),
}

/// How long an event lasts: so much civil time, then so much time as a stopwatch has it (RFC 5545, section 3.3.6).
struct Length {
    civil: TimeDelta,
    exact: Micros,
}

impl Length {
    /// When an event of this length ends that starts then.
    fn end(&self, zone: Tz, from: Instant) -> Instant {
        let after_days = match self.civil.is_zero() {
            true => from,
            false => instant_of_local(zone, local_of_instant(zone, from) + self.civil),
        };
        after_days + self.exact
    }
}

/// What is the same in all revisions of an event: its `UID`, and which occurrence it replaces.
type Identity = (String, Option<Start>);

/// One file as it is read for one calendar.
struct Reading<'a> {
    file: &'a str,
    /// The calendar's.
    zone: Tz,
    /// Occurrences that events of their own replace, by the `UID` that both have.
    replaced: BTreeMap<String, Vec<Moment>>,
    /// The highest `SEQUENCE` of each event.
    revisions: BTreeMap<Identity, u32>,
    /// How many days and times may still be closed.
    left: u16,
    holidays: &'a mut Holidays,
}

impl Reading<'_> {
    /// Remembers which occurrence an event replaces, and which revision of it this is.
    fn note(&mut self, event: &Event) -> Result<(), Problem> {
        if let (Some(property), Some(uid)) = (event.get("RECURRENCE-ID"), event.get("UID")) {
            if property.parameter("RANGE").is_some() {
                return Err(self.wrong(property, "no RANGE: an event of its own for each occurrence, or two rules"));
            }
            let moment = self.moment(property, &property.value)?;
            self.replaced.entry(uid.value.clone()).or_default().push(moment);
        }
        if let Some(identity) = self.identity(event)? {
            let sequence = self.sequence(event)?;
            let highest = self.revisions.entry(identity).or_default();
            *highest = sequence.max(*highest);
        }
        Ok(())
    }

    /// `None` without a `UID`: then nothing tells which event it is a revision of.
    fn identity(&self, event: &Event) -> Result<Option<Identity>, Problem> {
        let Some(uid) = event.get("UID") else { return Ok(None) };
        let replaced = event.get("RECURRENCE-ID").map(|property| {
            let moment = self.moment(property, &property.value)?;
            Ok(moment.as_start(&moment))
        });
        Ok(Some((uid.value.clone(), replaced.transpose()?)))
    }

    fn sequence(&self, event: &Event) -> Result<u32, Problem> {
        let Some(property) = event.get("SEQUENCE") else { return Ok(0) };
        property.value.trim().parse().map_err(|_| self.wrong(property, "the number of a revision such as 0"))
    }

    /// Closes what an event says.
    fn close(&mut self, event: &Event) -> Result<(), Problem> {
        if event.get("STATUS").is_some_and(|status| status.value.trim().eq_ignore_ascii_case("CANCELLED")) {
            return Ok(());
        }
        // What is wrong with these was told when they were noted.
        let highest = self.identity(event).ok().flatten().and_then(|identity| self.revisions.get(&identity));
        if highest.is_some_and(|highest| self.sequence(event).is_ok_and(|sequence| sequence < *highest)) {
            return Ok(());
        }
        let Some(property) = event.get("DTSTART") else {
            return Err(self.lacks(event, "DTSTART", "the day or time at which the event starts"));
        };
        let start = self.moment(property, &property.value)?;
        let length = self.length(event, &start)?;
        let name = event.get("SUMMARY").map(Property::text).unwrap_or_default();
        for occurrence in self.occurrences(event, &start)? {
            let days = if start.is_day { length.civil.num_days() as u64 } else { 1 };
            self.left = u16::try_from(days).ok().and_then(|days| self.left.checked_sub(days)).ok_or_else(|| {
                let allowed = format!("events that close at most {OCCURRENCES_MAX} days and times in one file");
                self.wrong(property, allowed)
            })?;
            match occurrence {
                Start::Day(day) => {
                    day.iter_days().take(days as usize).for_each(|day| self.holidays.name_day(day, &name));
                }
                Start::Time(from) => {
                    let until = length.end(start.zone, from);
                    self.holidays.closures.push(Closure { from, until, name: name.clone() });
                }
            }
        }
        Ok(())
    }

    /// When the event starts, each time.
    fn occurrences(&self, event: &Event, start: &Moment) -> Result<BTreeSet<Start>, Problem> {
        let mut found = BTreeSet::from([start.as_start(start)]);
        if let Some(rule) = event.get("EXRULE").or(event.all("RRULE").nth(1)) {
            return Err(self.wrong(rule, "one RRULE, with EXDATE for what it should leave out"));
        }
        if let Some(rule) = event.get("RRULE") {
            found.extend(self.recurrences(rule, start)?);
        }
        for property in event.all("RDATE") {
            for text in property.value.split(',') {
                let moment = self.moment(property, text)?;
                if moment.is_day != start.is_day {
                    let allowed = if start.is_day { "days, as DTSTART is one" } else { "times, as DTSTART is one" };
                    return Err(self.wrong(property, allowed));
                }
                found.insert(moment.as_start(start));
            }
        }
        let mut left_out = Vec::new();
        for property in event.all("EXDATE") {
            for text in property.value.split(',') {
                left_out.push(self.moment(property, text)?);
            }
        }
        if event.get("RECURRENCE-ID").is_none() {
            left_out.extend(event.get("UID").and_then(|uid| self.replaced.get(&uid.value)).into_iter().flatten());
        }
        let (days, times): (Vec<Moment>, Vec<_>) = left_out.into_iter().partition(|moment| moment.is_day);
        let days: BTreeSet<_> = days.iter().map(|moment| moment.local.date()).collect();
        let times: BTreeSet<_> = times.iter().map(|moment| moment.as_start(start)).collect();
        // A day leaves out whatever starts on it.
        found.retain(|occurrence| {
            let day = match occurrence {
                Start::Day(day) => *day,
                Start::Time(at) => local_of_instant(start.zone, *at).date(),
            };
            !days.contains(&day) && !times.contains(occurrence)
        });
        Ok(found)
    }

    /// What a rule gives until [`RECURRING_UNTIL`].
    fn recurrences(&self, property: &Property, start: &Moment) -> Result<Vec<Start>, Problem> {
        let mut parts = Vec::new();
        let mut until = None;
        for part in property.value.trim().to_ascii_uppercase().split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if name == "UNTIL" {
                let moment = self.moment(property, value)?;
                let ends_the_day = moment.is_day && !start.is_day;
                until = Some(if ends_the_day {
                    let midnight = Moment { local: moment.local + Days::new(1), zone: start.zone, is_day: true };
                    Start::Time(midnight.instant() - Micros::SECOND)
                } else {
                    moment.as_start(start)
                });
                continue;
            }
            if !RULE_PARTS.contains(&name) {
                let allowed = one_of(name, RULE_PARTS.into_iter().chain(["UNTIL"]), "a rule of these parts");
                return Err(self.wrong(property, allowed));
            }
            if name == "FREQ" && !FREQUENCIES.contains(&value) {
                return Err(self.wrong(property, one_of(value, FREQUENCIES, "a frequency of days or more")));
            }
            if ["INTERVAL", "COUNT"].contains(&name) && value.bytes().all(|digit| digit == b'0') {
                return Err(self.wrong(property, format!("a rule whose {name} is at least 1")));
            }
            parts.push(part.to_owned());
        }
        let first = in_utc(start.local);
        let not_a_rule =
            |error: rrule::RRuleError| self.wrong(property, format!("a rule that can be followed: {error}"));
        // The crate cuts words at fixed bytes, and panics inside a character of several.
        let text = parts.join(";");
        if !text.is_ascii() {
            return Err(self.wrong(property, "a rule in ASCII, as RFC 5545 writes it".to_owned()));
        }
        let mut rule: RRule<Unvalidated> = text.parse().map_err(not_a_rule)?;
        if let Some(until) = until {
            // A civil time does not say which of two equal ones is meant: a day more, and then by the instant.
            rule = rule.until(in_utc(match until {
                Start::Day(day) => day.and_time(NaiveTime::MIN),
                Start::Time(at) => local_of_instant(start.zone, at) + Days::new(1),
            }));
        }
        if start.local.date() > RECURRING_UNTIL {
            return Ok(Vec::new());
        }
        let end = in_utc(RECURRING_UNTIL.and_time(NaiveTime::MIN));
        let found = rule.build(first).map_err(not_a_rule)?.before(end).all(OCCURRENCES_MAX);
        if found.dates.first() != Some(&first) {
            return Err(self.wrong(property, "a rule of which DTSTART is the first occurrence"));
        }
        if found.limited {
            return Err(
                self.wrong(property, format!("a rule with fewer than {OCCURRENCES_MAX} occurrences until 2060"))
            );
        }
        let starts = found.dates.into_iter().map(|date| {
            let local = date.naive_utc();
            Moment { local, ..*start }.as_start(start)
        });
        Ok(starts.filter(|at| until.is_none_or(|until| *at <= until)).collect())
    }

    fn length(&self, event: &Event, start: &Moment) -> Result<Length, Problem> {
        let (property, length) = match (event.get("DTEND"), event.get("DURATION")) {
            (Some(property), _) => {
                let end = self.moment(property, &property.value)?;
                if end.is_day != start.is_day {
                    let allowed = if start.is_day { "a day, as DTSTART is one" } else { "a time, as DTSTART is one" };
                    return Err(self.wrong(property, allowed));
                }
                let days = end.local - start.local;
                let length = match start.is_day {
                    false => Length { civil: TimeDelta::zero(), exact: end.instant() - start.instant() },
                    // One day that ends on itself is what some programs write for one day.
                    true if days.is_zero() => Length { civil: TimeDelta::days(1), exact: Micros::ZERO },
                    true => Length { civil: days, exact: Micros::ZERO },
                };
                (property, length)
            }
            (None, Some(property)) => {
                let length = duration(property.value.trim()).filter(|length| !start.is_day || length.exact.0 == 0);
                let allowed =
                    if start.is_day { "a duration of days such as P3D" } else { "a duration such as PT4H30M" };
                (property, length.ok_or_else(|| self.wrong(property, allowed))?)
            }
            (None, None) if start.is_day => return Ok(Length { civil: TimeDelta::days(1), exact: Micros::ZERO }),
            (None, None) => return Err(self.lacks(event, "DTEND", "the time at which the event ends")),
        };
        let micros = length.civil.num_microseconds().unwrap_or(i64::MAX).saturating_add(length.exact.0);
        if !(1..=LENGTH_MAX.0).contains(&micros) {
            return Err(self.wrong(property, "an end after the start, within ten years"));
        }
        Ok(length)
    }

    /// A value such as `20260101` or `20260101T080000Z`.
    fn moment(&self, property: &Property, text: &str) -> Result<Moment, Problem> {
        let text = text.trim();
        let (digits, is_utc) = text.strip_suffix('Z').map_or((text, false), |digits| (digits, true));
        let (date, time) = digits.split_once('T').map_or((digits, None), |(date, time)| (date, Some(time)));
        let is_day = time.is_none();
        let local = number_of(date, 8).zip(number_of(time.unwrap_or("000000"), 6)).and_then(|(date, time)| {
            let date = NaiveDate::from_ymd_opt(date as i32 / 10_000, date / 100 % 100, date % 100)?;
            date.and_hms_opt(time / 10_000, time / 100 % 100, time % 100)
        });
        let Some(local) = local.filter(|local| YEARS.contains(&local.year()) && !(is_day && is_utc)) else {
            let years = format!("from {} to {}", YEARS.start, YEARS.end - 1);
            return Err(
                self.wrong(property, format!("a day such as 20260101 or a time such as 20260101T080000, {years}"))
            );
        };
        let zone = match property.parameter("TZID") {
            _ if is_utc => Tz::UTC,
            Some(name) if !is_day => {
                // Some programs put the name of their own table before that of the zone.
                let mut names =
                    std::iter::once(name).chain(name.match_indices('/').map(|(place, _)| &name[place + 1..]));
                names.find_map(|name| name.parse().ok()).ok_or_else(|| {
                    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
                    let what = "an IANA time zone such as Europe/Berlin as its TZID";
                    let wrong = self.wrong(property, one_of(name, zones, what));
                    Problem { found: quoted(name), ..wrong }
                })?
            }
            _ => self.zone,
        };
        Ok(Moment { local, zone, is_day })
    }

    fn wrong(&self, property: &Property, allowed: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: property.line,
            field: property.name.clone(),
            found: quoted(&property.value),
            allowed: allowed.into(),
        }
    }

    fn lacks(&self, event: &Event, name: &str, allowed: &str) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: event.line,
            field: name.to_owned(),
            found: "nothing".to_owned(),
            allowed: allowed.to_owned(),
        }
    }
}

/// The years in which events may lie: those of people, and of the oldest recurring events that programs write.
const YEARS: std::ops::Range<i32> = 1900..2200;
/// How often a rule may recur. Rules of hours, minutes and seconds are no holidays.
const FREQUENCIES: [&str; 4] = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
/// The other parts that a rule may have. The time of day is that of `DTSTART`.
const RULE_PARTS: [&str; 10] =
    ["FREQ", "INTERVAL", "COUNT", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", "WKST"];

/// The number that a text of so many digits is.
fn number_of(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A civil time as `rrule` is to see it: as UTC, which no clock changes.
fn in_utc(local: NaiveDateTime) -> DateTime<rrule::Tz> {
    local.and_utc().with_timezone(&rrule::Tz::UTC)
}

/// A length such as `P1W`, `P3D` or `P1DT4H30M`; `None` when it is anything else.
fn duration(text: &str) -> Option<Length> {
    let (mut days, mut exact) = (0i64, 0i64);
    let (mut rest, mut is_time) = (text.trim_start_matches('+').strip_prefix('P')?, false);
    while !rest.is_empty() {
        if let (false, Some(time)) = (is_time, rest.strip_prefix('T')) {
            (rest, is_time) = (time, true);
        }
        let (number, after) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let number: i64 = number.parse().ok()?;
        let unit = after.chars().next()?;
        match (is_time, unit) {
            (false, 'W') => days = days.checked_add(number.checked_mul(7)?)?,
            (false, 'D') => days = days.checked_add(number)?,
            (true, 'H') => exact = exact.checked_add(number.checked_mul(Micros::HOUR.0)?)?,
            (true, 'M') => exact = exact.checked_add(number.checked_mul(Micros::MINUTE.0)?)?,
            (true, 'S') => exact = exact.checked_add(number.checked_mul(Micros::SECOND.0)?)?,
            _ => return None,
        }
        rest = &after[unit.len_utf8()..];
    }
    Some(Length { civil: TimeDelta::try_days(days)?, exact: Micros(exact) })
}
