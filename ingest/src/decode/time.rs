//! Times as records write them, into microseconds since 1970 UTC (R1).

use std::borrow::Cow;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, LocalResult, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::TimeFormat;

use super::decimal::{Scaled, scale};
use super::raw::Written;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const DAY_MICROS: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// No zone is further than this from UTC, so a local time read as UTC is less than this away from its instant.
const OFFSET_HOURS_MAX: i64 = 15;

/// How one field's times are read.
#[derive(Clone, Debug)]
pub(super) enum TimeReader {
    /// RFC 3339; the zone is for times without an offset.
    Rfc3339(Tz),
    /// A number since 1970; its unit is a second times 10^-(6 - this power).
    Epoch(i32),
    /// A strftime pattern and its items; `None` when chrono does not know it, which no record can then satisfy.
    Pattern(String, Option<Vec<Item<'static>>>, Tz),
}

/// Why a time cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeFault {
    /// It is written as a number where a text is needed.
    WrongType,
    /// It cannot be read.
    Unreadable,
    /// It lies outside `Instant::EARLIEST..Instant::LATEST`.
    Absurd,
}

impl TimeReader {
    /// The reader of a format, with the zone of times that name none.
    pub(super) fn new(format: &TimeFormat, zone: Tz) -> TimeReader {
        match (format.unit_power(), format) {
            (Some(power), _) => TimeReader::Epoch(power),
            (None, TimeFormat::Pattern(pattern)) => {
                TimeReader::Pattern(pattern.clone(), StrftimeItems::new(pattern).parse_to_owned().ok(), zone)
            }
            (None, _) => TimeReader::Rfc3339(zone),
        }
    }

    /// Microseconds since 1970.
    pub(super) fn read(&self, text: &str, written: Written) -> Result<i64, TimeFault> {
        let micros = match self {
            TimeReader::Epoch(power) => match scale(text, *power) {
                Scaled::Whole { value, .. } => value,
                Scaled::OutOfRange => return Err(TimeFault::Absurd),
                Scaled::NotANumber => return Err(TimeFault::Unreadable),
            },
            TimeReader::Rfc3339(_) if written != Written::Text => return Err(TimeFault::WrongType),
            TimeReader::Rfc3339(zone) => read_rfc3339(text, *zone).ok_or(TimeFault::Unreadable)?,
            TimeReader::Pattern(_, items, zone) => {
                let items = items.as_deref().ok_or(TimeFault::Unreadable)?;
                read_pattern(text, items, *zone).ok_or(TimeFault::Unreadable)?
            }
        };
        if (Instant::EARLIEST.0..Instant::LATEST.0).contains(&micros) { Ok(micros) } else { Err(TimeFault::Absurd) }
    }

    /// What it reads, for messages.
    pub(super) fn expects(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            TimeReader::Rfc3339(_) => "RFC 3339, e.g. 2026-01-31T08:00:00Z",
            TimeReader::Epoch(6) => "seconds since 1970",
            TimeReader::Epoch(3) => "milliseconds since 1970",
            TimeReader::Epoch(0) => "microseconds since 1970",
            TimeReader::Epoch(_) => "nanoseconds since 1970",
            TimeReader::Pattern(pattern, Some(_), _) => return format!("the time pattern {pattern}").into(),
            TimeReader::Pattern(_, None, _) => "a time pattern that strftime knows; correct the source",
        })
    }
}

/// RFC 3339, and what is often written in its place: a space or `t` for the `T`, an offset without colon or minutes or
/// none at all, a date alone (its midnight), 24:00:00 (the next midnight).
fn read_rfc3339(text: &str, zone: Tz) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = digits(bytes, 0, 4)?;
    let days = days_since_1970(year, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?)?;
    if bytes.len() == 10 {
        return Some(local_to_utc(days * DAY_MICROS, zone));
    }
    if bytes.len() < 19 || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (digits(bytes, 11, 2)?, digits(bytes, 14, 2)?, digits(bytes, 17, 2)?);
    if second == 60 {
        // A leap second is the library's affair.
        return DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros());
    }
    let (fraction, rest) = read_fraction(&bytes[19..])?;
    let midnight = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    if (hour > 23 && !midnight) || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
    let local = seconds * MICROS_PER_SECOND + fraction;
    match rest {
        b"Z" | b"z" => Some(local),
        b"" => Some(local_to_utc(local, zone)),
        _ => Some(local - read_offset_seconds(rest)? * MICROS_PER_SECOND),
    }
}

/// `count` digits from `start` on as a number.
#[inline]
fn digits(bytes: &[u8], start: usize, count: usize) -> Option<i64> {
    let mut value = 0;
    for &byte in bytes.get(start..start + count)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// A point with digits, if there is one, in microseconds rounded down; and the bytes behind it.
fn read_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = &fraction[..count.min(6)];
    let shown = kept.iter().fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    let micros = shown * [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1][kept.len()];
    (count > 0).then_some((micros, &fraction[count..]))
}

/// `+hh:mm`, `+hhmm` or `+hh` in seconds east of UTC.
fn read_offset_seconds(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let minutes = match bytes.len() {
        3 => 0,
        5 => digits(bytes, 3, 2)?,
        6 if bytes[3] == b':' => digits(bytes, 4, 2)?,
        _ => return None,
    };
    let hours = digits(bytes, 1, 2)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970-01-01 to a civil date; `None` when there is no such date. After Howard Hinnant, "chrono-compatible
/// low-level date algorithms", `days_from_civil`.
#[inline]
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > month_days {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year.
    let shifted = year - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// A text by a pattern; a pattern without a time of day means midnight.
fn read_pattern(text: &str, items: &[Item<'static>], zone: Tz) -> Option<i64> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    if parsed.offset().is_some() {
        return parsed.to_datetime().ok().map(|time| time.timestamp_micros());
    }
    if parsed.timestamp().is_some() {
        return parsed.to_naive_datetime_with_offset(0).ok().map(|time| time.and_utc().timestamp_micros());
    }
    let local = match parsed.to_naive_datetime_with_offset(0) {
        Ok(local) => local,
        Err(_) if parsed.hour_mod_12().is_none() && parsed.minute().is_none() => {
            parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN)
        }
        Err(_) => return None,
    };
    Some(local_to_utc(local.and_utc().timestamp_micros(), zone))
}

/// The instant of a local time, both in microseconds since 1970 on their own axis. A time that the zone skips moves
/// forward by the gap; of two instants it means the earlier one (R1).
fn local_to_utc(local: i64, zone: Tz) -> i64 {
    let plausible = Instant::EARLIEST.0 - 2 * DAY_MICROS..Instant::LATEST.0 + 2 * DAY_MICROS;
    if zone == Tz::UTC || !plausible.contains(&local) {
        // What no zone can move into the allowed range is refused anyway.
        return local;
    }
    let Some(civil) = DateTime::from_timestamp_micros(local).map(|time| time.naive_utc()) else {
        return local;
    };
    match zone.from_local_datetime(&civil) {
        LocalResult::Single(time) => time.timestamp_micros(),
        LocalResult::Ambiguous(one, other) => one.timestamp_micros().min(other.timestamp_micros()),
        LocalResult::None => local - offset_before_gap(&civil, zone) * MICROS_PER_SECOND,
    }
}

/// Seconds east of UTC before the gap in which a local time lies. Read with that offset, the time moves forward by the
/// gap's length.
fn offset_before_gap(civil: &NaiveDateTime, zone: Tz) -> i64 {
    let before = *civil - TimeDelta::hours(OFFSET_HOURS_MAX);
    i64::from(zone.offset_from_utc_datetime(&before).fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: TimeFormat, zone: Tz, text: &str, expected: &str) {
        let micros = TimeReader::new(&format, zone).read(text, Written::Text);
        let read = match micros {
            Ok(micros) => Instant(micros).to_string(),
            Err(fault) => format!("{fault:?}"),
        };
        assert_eq!(read, expected, "{text} as {format:?} in {zone}");
    }

    #[test]
    fn r1_rfc3339_in_all_its_dresses() {
        for (text, expected) in [
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31t08:00:00z", "2026-01-31T08:00:00Z"),
            ("2026-01-31 08:00:00.5+01:00", "2026-01-31T07:00:00.500Z"),
            ("2026-01-31T08:00:00.123456789-0330", "2026-01-31T11:30:00.123456Z"),
            ("2026-01-31T08:00:00+01", "2026-01-31T07:00:00Z"),
            ("2026-01-31T24:00:00Z", "2026-02-01T00:00:00Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z"), // midnight in Berlin
            ("2026-01-31T08:00:00", "2026-01-31T07:00:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"), // a leap second
            ("2026-02-29T00:00:00Z", "Unreadable"),
            ("2026-01-31T24:00:01Z", "Unreadable"),
            ("2026-13-01T00:00:00Z", "Unreadable"),
            ("2026-01-31T08:60:00Z", "Unreadable"),
            ("2026-01-31T08:00Z", "Unreadable"),
            ("2026-01-31T08:00:00.Z", "Unreadable"),
            ("2026-01-31T08:00:00Zulu", "Unreadable"),
            ("2026-01-31T08:00:00+1:00", "Unreadable"),
            ("2026-01-31T08:00:00+24:00", "Unreadable"),
            ("2026-01-3\u{661}T08:00:00Z", "Unreadable"),
            ("yesterday", "Unreadable"),
            ("1969-12-31T23:59:59Z", "Absurd"),
            ("2200-01-01T00:00:00Z", "Absurd"),
            ("9999-12-31T23:59:59Z", "Absurd"),
            ("0000-01-01T00:00:00Z", "Absurd"),
        ] {
            check(TimeFormat::Rfc3339, Tz::Europe__Berlin, text, expected);
        }
    }

    #[test]
    fn r1_numbers_since_1970_are_exact() {
        use TimeFormat::*;
        for (format, text, expected) in [
            (Seconds, "1767225600", "2026-01-01T00:00:00Z"), // date -u -d 2026-01-01 +%s
            (Seconds, "1767225600.000001", "2026-01-01T00:00:00.000001Z"),
            (Seconds, "1.7672256e9", "2026-01-01T00:00:00Z"),
            (Milliseconds, "1767225600123", "2026-01-01T00:00:00.123Z"),
            (Milliseconds, "1767225600123.4569", "2026-01-01T00:00:00.123456Z"),
            (Microseconds, "1767225600123456", "2026-01-01T00:00:00.123456Z"),
            (Nanoseconds, "1767225600123456999", "2026-01-01T00:00:00.123456Z"),
            (Seconds, "-1", "Absurd"),
            (Seconds, "1767225600000", "Absurd"),
            (Seconds, "1e300", "Absurd"),
            (Seconds, "noon", "Unreadable"),
        ] {
            check(format, Tz::UTC, text, expected);
        }
    }

    #[test]
    fn r1_patterns_gaps_and_ambiguities() {
        let pattern = |text: &str| TimeFormat::Pattern(text.to_owned());
        for (format, zone, text, expected) in [
            (pattern("%d/%m/%Y %H:%M"), Tz::UTC, "29/2/2016 1:16", "2016-02-29T01:16:00Z"),
            (pattern("%d.%m.%Y"), Tz::Europe__Berlin, "1.7.2026", "2026-06-30T22:00:00Z"),
            (pattern("%Y%m%dT%H%M%S%z"), Tz::UTC, "20260131T080000+0100", "2026-01-31T07:00:00Z"),
            (pattern("%s"), Tz::Europe__Berlin, "1767225600", "2026-01-01T00:00:00Z"),
            (pattern("%d/%m/%Y %I:%M %p"), Tz::UTC, "31/01/2026 12:05 AM", "2026-01-31T00:05:00Z"),
            (pattern("%d/%m/%Y %H:%M"), Tz::UTC, "2026-01-31", "Unreadable"),
            (pattern("%Q"), Tz::UTC, "2026-01-31", "Unreadable"),
            // Berlin skips 02:00 to 03:00 on 2026-03-29: 02:30 becomes 03:30 CEST = 01:30 UTC.
            (TimeFormat::Rfc3339, Tz::Europe__Berlin, "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            // 02:30 happens twice on 2026-10-25: the earlier is CEST, 00:30 UTC.
            (TimeFormat::Rfc3339, Tz::Europe__Berlin, "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
            // Samoa had no 2011-12-30: noon moves forward by 24 hours to noon of the 31st at +14, 22:00 UTC of the
            // 30th.
            (TimeFormat::Rfc3339, Tz::Pacific__Apia, "2011-12-30T12:00:00", "2011-12-30T22:00:00Z"),
        ] {
            check(format, zone, text, expected);
        }
        assert_eq!(
            TimeReader::new(&TimeFormat::Rfc3339, Tz::UTC).read("5", Written::Number),
            Err(TimeFault::WrongType)
        );
    }

    #[test]
    fn what_a_pattern_expects_is_shown() {
        let expects = |pattern: &str| TimeReader::new(&TimeFormat::Pattern(pattern.to_owned()), Tz::UTC).expects();
        assert_eq!(expects("%d/%m/%Y %H:%M"), "the time pattern %d/%m/%Y %H:%M");
        assert_eq!(expects("%Q"), "a time pattern that strftime knows; correct the source");
    }

    #[test]
    fn days_agree_with_chrono() {
        use chrono::{Datelike, NaiveDate};
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
        for days in (-719_162..3_000_000).step_by(97) {
            let date = epoch + TimeDelta::days(days);
            let (month, day) = (i64::from(date.month()), i64::from(date.day()));
            assert_eq!(days_since_1970(i64::from(date.year()), month, day), Some(days));
        }
    }
}
