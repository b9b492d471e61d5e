//! Values that a mapping states itself, as a constant or as what a raw value means: can the decoder read them as values
//! of their column? All that passes here the decoder takes. It takes a few forms more (`1e3` as a count), which nobody
//! needs in a definition.

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, TimeZone, Utc};

use crate::event::{ColumnType, EventColumn, TEXT_BYTES_MAX};
use crate::time::Instant;

use super::problem::one_of;
use super::source::TimeFormat;

/// What may stand in this column, when this text may not.
pub(super) fn misfit(text: &str, column: EventColumn, format: &TimeFormat) -> Option<String> {
    let field = column.field_name();
    let is_count = matches!(column, EventColumn::GoodCount | EventColumn::TotalCount);
    let (fits, allowed) = match column.column_type() {
        ColumnType::Word => {
            let words = column.words();
            (words.contains(&text), one_of(text, words, &format!("a word for {field}")))
        }
        ColumnType::Boolean => {
            let fits = ["true", "false", "1", "0"].into_iter().any(|word| text.eq_ignore_ascii_case(word));
            (fits, format!("true or false for {field}"))
        }
        ColumnType::Time => (read_time(text, format).is_some(), format!("{} for {field}", time_allowed(format))),
        _ if column == EventColumn::LatencyUs => {
            let micros = decimal(text).map(|number| number * micros_per_unit(format));
            (
                micros.is_some_and(|micros| micros < i64::MAX as f64),
                format!("a number that is not negative for {field}"),
            )
        }
        ColumnType::Integer | ColumnType::SmallInteger => {
            let least = if is_count { 0 } else { i64::MIN };
            let fits = text.parse::<i64>().is_ok_and(|number| number >= least);
            (fits, format!("a whole number from {least} to {} for {field}, in digits alone", i64::MAX))
        }
        ColumnType::Interned | ColumnType::Text => {
            (text.len() <= TEXT_BYTES_MAX, format!("a text of at most {TEXT_BYTES_MAX} bytes for {field}"))
        }
    };
    (!fits).then_some(allowed)
}

/// Why a strftime pattern cannot read times; `None` when it can. What it prints it must be able to read back.
pub(super) fn pattern_defect(pattern: &str) -> Option<&'static str> {
    if !pattern.contains('%') {
        return Some("a pattern has fields such as %Y");
    }
    let items: Vec<Item<'_>> = StrftimeItems::new(pattern).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Some("this pattern has a field that does not exist");
    }
    let readable = read_pattern(&printed(&items), &items).is_some();
    (!readable).then_some("this pattern lacks a part of the date or the time of day")
}

/// An instant that an event may carry, written in this format.
fn read_time(text: &str, format: &TimeFormat) -> Option<Instant> {
    let instant = match format {
        TimeFormat::Rfc3339 if text.is_ascii() => {
            // Without an offset the field's zone applies; which one does not matter here.
            let dressed = [text.to_owned(), format!("{text}Z"), format!("{text}T00:00:00Z")];
            dressed.iter().find_map(|text| Instant::parse_rfc3339(text))
        }
        TimeFormat::Rfc3339 => None,
        TimeFormat::Pattern(pattern) => read_pattern(text, &StrftimeItems::new(pattern).collect::<Vec<_>>()),
        // A float is exact enough to say in which century a time lies.
        unit => decimal(text).map(|number| Instant((number * micros_per_unit(unit)) as i64)),
    };
    instant.filter(|instant| (Instant::EARLIEST..Instant::LATEST).contains(instant))
}

fn read_pattern(text: &str, items: &[Item<'_>]) -> Option<Instant> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    let utc = parsed.to_datetime().map(|time| time.to_utc());
    utc.or_else(|_| parsed.to_naive_datetime_with_offset(0).map(|time| time.and_utc())).ok().map(Instant::from)
}

/// An example of what a pattern prints.
fn printed(items: &[Item<'_>]) -> String {
    let sample: Option<DateTime<Utc>> = Utc.with_ymd_and_hms(2026, 3, 4, 5, 6, 7).single();
    sample.map_or_else(String::new, |sample| sample.format_with_items(items.iter()).to_string())
}

fn time_allowed(format: &TimeFormat) -> String {
    let years = "from 1970 to 2199";
    match format {
        TimeFormat::Rfc3339 => format!("a time {years} such as 2026-03-04T05:06:07Z"),
        TimeFormat::Seconds => format!("seconds since 1970, {years}, such as 1772600767"),
        TimeFormat::Milliseconds => format!("milliseconds since 1970, {years}, such as 1772600767000"),
        TimeFormat::Microseconds => format!("microseconds since 1970, {years}, such as 1772600767000000"),
        TimeFormat::Nanoseconds => format!("nanoseconds since 1970, {years}, such as 1772600767000000000"),
        TimeFormat::Pattern(pattern) => {
            let sample = printed(&StrftimeItems::new(pattern).collect::<Vec<_>>());
            format!("a time {years} written like {sample}")
        }
    }
}

/// Digits, with a fraction if need be.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| text.parse().ok())?
}

fn micros_per_unit(format: &TimeFormat) -> f64 {
    // Milliseconds are the unit of `latency_ms` unless told.
    10_f64.powi(format.unit_power().unwrap_or(3))
}
