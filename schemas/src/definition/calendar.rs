//! Calendars: documents and iCalendar files in, checked values out.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;

use super::catalogue::{id_of, place_of};
use super::document::Node;
use super::holidays::{HolidayFiles, Holidays};
use super::model::{Calendar, DaySpan};
use super::problem::Problems;
use super::scalar;
use super::versions::{Version, effective, is_retroactive, version_of};

/// One version of a calendar. `None` when its number is wrong; a problem has been told then.
pub(super) fn calendar(root: &Node<'_>, files: &HolidayFiles<'_>, problems: &mut Problems) -> Option<Calendar> {
    let version = version_of(root, problems);
    let zone = root.path(&["spec", "time_zone"]).and_then(|node| scalar::time_zone(&node, problems));
    let mut calendar =
        Calendar { id: id_of(root), time_zone: zone.unwrap_or(Tz::UTC), place: place_of(root), ..Calendar::default() };
    let spec = root.get("spec")?;
    (calendar.effective_from, calendar.effective_until) = effective(&spec, problems);
    calendar.retroactive = is_retroactive(&spec);
    let mut occupied = Vec::new();
    for node in spec.list("hours") {
        let Some((from, until)) = span(&node, problems) else { continue };
        for day in days(&node, problems) {
            let place = day.num_days_from_monday();
            let name = scalar::WEEKDAYS[place as usize].0;
            check_overlap(&node, name, (place * SECONDS_OF_DAY + from, length(from, until)), &mut occupied, problems);
            calendar.hours.push((day, DaySpan { from: time_at(from), until: time_at(until) }));
        }
    }
    calendar.hours.sort_by_key(|(day, span)| (day.num_days_from_monday(), span.from));
    let Holidays { days, closures } = holidays(&spec, calendar.time_zone, files, problems);
    (calendar.holidays, calendar.closures) = (days, closures);
    calendar.exceptions = exceptions(&spec, problems);
    calendar.version = version?;
    Some(calendar)
}

impl Version for Calendar {
    fn key(&self) -> (&str, Option<NaiveDate>, u32) {
        (&self.id, self.effective_from, self.version)
    }

    fn until(&mut self) -> &mut Option<NaiveDate> {
        &mut self.effective_until
    }

    fn is_retroactive(&self) -> bool {
        self.retroactive
    }
}

/// The dates that are listed and those of the iCalendar files that are named among them.
fn holidays(spec: &Node<'_>, zone: Tz, files: &HolidayFiles<'_>, problems: &mut Problems) -> Holidays {
    let mut holidays = Holidays::default();
    for node in spec.list("holidays") {
        if node.text().is_some_and(HolidayFiles::is_name_of_one) {
            files.read(&node, zone, &mut holidays, problems);
        } else if let Some(date) = scalar::date(&node, problems) {
            holidays.name_day(date, "");
        }
    }
    holidays
}

/// The hours of single days, by their dates.
fn exceptions(spec: &Node<'_>, problems: &mut Problems) -> BTreeMap<NaiveDate, Vec<DaySpan>> {
    let mut exceptions: BTreeMap<NaiveDate, Vec<DaySpan>> = BTreeMap::new();
    for node in spec.list("exceptions") {
        let Some(date_node) = node.get("date") else { continue };
        let Some(date) = scalar::date(&date_node, problems) else { continue };
        let (mut spans, mut occupied) = (Vec::new(), Vec::new());
        for node in node.list("hours") {
            let Some((from, until)) = span(&node, problems) else { continue };
            check_overlap(&node, &date.to_string(), (from, length(from, until)), &mut occupied, problems);
            spans.push(DaySpan { from: time_at(from), until: time_at(until) });
        }
        spans.sort_by_key(|span| span.from);
        if exceptions.insert(date, spans).is_some() {
            problems.found(&date_node, format!("{date} again"), "each date once, with all its hours");
        }
    }
    exceptions
}

/// The seconds of the day at which hours start and end.
fn span(node: &Node<'_>, problems: &mut Problems) -> Option<(u32, u32)> {
    let (from_node, until_node) = (node.get("from")?, node.get("until")?);
    let from = scalar::second_of_day(&from_node, problems);
    let until = scalar::second_of_day(&until_node, problems);
    let (from, until) = (from?, until?);
    if from == SECONDS_OF_DAY {
        problems.wrong(&from_node, "a time of day before 24:00");
        return None;
    }
    if from == until {
        problems.wrong(&until_node, "an end that differs from the start; a whole day is 00:00 to 24:00");
        return None;
    }
    Some((from, until))
}

fn days(node: &Node<'_>, problems: &mut Problems) -> Vec<Weekday> {
    match node.get("days") {
        Some(days) if days.text().is_some() => scalar::weekdays(&days, problems),
        _ => node.list("days").iter().flat_map(|day| scalar::weekdays(day, problems)).collect(),
    }
}

const SECONDS_OF_DAY: u32 = 86_400;

/// 24:00 becomes 00:00, which as an end lies on the next day.
fn time_at(second: u32) -> NaiveTime {
    NaiveTime::from_num_seconds_from_midnight_opt(second % SECONDS_OF_DAY, 0).unwrap_or(NaiveTime::MIN)
}

/// How long hours are, in seconds; hours that end at or before their start end on the next day.
fn length(from: u32, until: u32) -> u32 {
    if until > from { until - from } else { until + SECONDS_OF_DAY - from }
}

/// A span of the week, as its start in seconds since Monday 00:00 and its length, and the entry that says so.
type Occupied<'a> = ((u32, u32), Node<'a>);

/// Tells when hours on a weekday or a date overlap others.
fn check_overlap<'a>(
    node: &Node<'a>,
    day: &str,
    (start, length): (u32, u32),
    occupied: &mut Vec<Occupied<'a>>,
    problems: &mut Problems,
) {
    const SECONDS_OF_WEEK: u32 = 7 * SECONDS_OF_DAY;
    // Two spans on a circle overlap when one starts within the other.
    let within = |at: u32, start: u32, length: u32| (at + SECONDS_OF_WEEK - start) % SECONDS_OF_WEEK < length;
    let other = occupied
        .iter()
        .find(|((other, other_length), _)| within(start, *other, *other_length) || within(*other, start, length));
    if let Some((_, other)) = other {
        let allowed = format!("hours apart from those of {} ({})", other.field(), other.place());
        problems.found(node, format!("hours on {day} that overlap"), allowed);
    }
    occupied.push(((start, length), node.clone()));
}
