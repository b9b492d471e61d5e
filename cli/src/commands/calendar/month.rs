//! A month as people read a calendar: weeks as rows, and in each day its hours or why there are none.

use std::io::Write;

use anyhow::Result;
use chrono::{Datelike, Days, Months, NaiveDate, Timelike, Weekday};
use comfy_table::presets::UTF8_FULL;
use comfy_table::{CellAlignment, Table};
use plimsoll_engine::calendar::Calendar;
use plimsoll_schemas::{Instant, Micros};

use super::chosen::{Chosen, in_hours};
use crate::definitions::counted;

/// How wide a day may be: as wide as hours, so that names do not make the table wider than it needs to be.
const DAY_LETTERS_MAX: usize = 13;

/// Prints the month that starts on this day.
pub(super) fn show(chosen: &Chosen, first: NaiveDate) -> Result<()> {
    let end = first + Months::new(1);
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day < end).collect();
    let agreed = |from: NaiveDate, until: NaiveDate| chosen.time.elapsed(chosen.midnight(from), chosen.midnight(until));
    let mut table = Table::new();
    table.load_preset(UTF8_FULL);
    let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    table.set_header(std::iter::once("week").chain(weekdays).chain(["agreed"]));
    for week in days.chunk_by(|_, day| day.weekday() != Weekday::Mon) {
        let (monday, next) = (week[0], week[week.len() - 1] + Days::new(1));
        let mut cells = vec![String::new(); 7];
        for day in week {
            cells[day.weekday().num_days_from_monday() as usize] = of_day(chosen, *day).join("\n");
        }
        let number = monday.iso_week().week().to_string();
        table.add_row(std::iter::once(number).chain(cells).chain([in_hours(agreed(monday, next))]));
    }
    if let Some(column) = table.column_mut(weekdays.len() + 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let version = chosen.version_on(end - Days::new(1));
    let working = days.iter().filter(|day| agreed(**day, **day + Days::new(1)) > Micros::ZERO).count();
    let mut output = std::io::stdout().lock();
    writeln!(
        output,
        "{}: {}, version {}, {}",
        first.format("%B %Y"),
        version.id,
        version.version,
        version.time_zone.name()
    )?;
    writeln!(output, "{table}")?;
    writeln!(output, "agreed: {} on {}", in_hours(agreed(first, end)), counted(working, "day"))?;
    Ok(())
}

/// The lines of a day: its number, what is special about it, its hours.
fn of_day(chosen: &Chosen, day: NaiveDate) -> Vec<String> {
    let version = chosen.version_on(day);
    let (from, until) = (chosen.midnight(day), chosen.midnight(day + Days::new(1)));
    let mut lines = vec![day.day().to_string()];
    if version.effective_from == Some(day) {
        lines.push(format!("version {}", version.version));
    }
    let has_ended = version.effective_until.is_some_and(|end| end <= day);
    if has_ended || version.effective_from.is_some_and(|from| day < from) {
        lines.push("no version".to_owned());
    } else if version.exceptions.contains_key(&day) {
        lines.push("own hours".to_owned());
    } else if let Some(name) = version.holidays.get(&day) {
        lines.extend(wrapped(if name.is_empty() { "holiday" } else { name }));
    }
    for closure in version.closures.iter().filter(|closure| closure.from < until && from < closure.until) {
        lines.extend(wrapped(if closure.name.is_empty() { "closed in part" } else { &closure.name }));
    }
    let length = until - from;
    if length != Micros::DAY {
        let by = (Micros::DAY - length).0;
        lines.push(format!("clocks {}{}", if by > 0 { "+" } else { "-" }, Micros(by.abs())));
    }
    lines.extend(hours(chosen, &chosen.time, from, until));
    lines
}

/// The agreed spans of a day as its clocks show them: `08:00-12:00`; the day's end is 24:00.
fn hours(chosen: &Chosen, time: &Calendar, from: Instant, until: Instant) -> Vec<String> {
    let shown = |instant: Instant| {
        let local = chosen.local(instant);
        local.format(if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
    };
    let spans = time.spans(from, until);
    let end_shown = |end: Instant| if end == until { "24:00".to_owned() } else { shown(end) };
    spans.map(|(start, end)| format!("{}-{}", shown(start), end_shown(end))).collect()
}

/// A name in lines that fit a day, parted between words where it can be.
fn wrapped(name: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(DAY_LETTERS_MAX) {
            let piece: String = piece.iter().filter(|letter| !letter.is_control()).collect();
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= DAY_LETTERS_MAX => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
}
