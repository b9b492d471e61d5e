//! Single values as people write them: durations, shares, dates, times of day, time zones, references.
//!
//! Each reader takes the node at which the value stands, tells what is wrong with it, and gives `None` then. What the
//! JSON Schemas have told already is not told twice (`Problems`).

use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use chrono_tz::Tz;

use crate::ratio::Share;
use crate::time::Micros;

use super::document::Node;
use super::problem::{Problems, one_of};

/// The longest duration: a hundred years of 365 days, far from where sums of instants and durations would overflow.
const DURATION_MAX: Micros = Micros(100 * 365 * Micros::DAY.0);

/// What a duration is, as messages and the schema say it.
pub(super) const DURATION: &str = "a duration such as 90s, 15m, 4h, 2d (of 24 hours), 1h 30m or 500ms; at most 36500d \
                                   and in whole microseconds";

/// What a share is, as messages and the schema say it.
pub(super) const SHARE: &str = "a share from 0 % to 100 %, with at most 7 decimals, such as 99.9 %; or from 0 to 1, \
                                with at most 9 decimals, such as 0.999";

/// Parses `90s`, `15m`, `4h`, `2d` (of 24 hours), `500ms`, `1.5h` and combinations such as `1h 30m`. `None` when it is
/// anything else, finer than a microsecond or longer than a hundred years.
pub fn parse_duration(text: &str) -> Option<Micros> {
    let mut rest = text.trim();
    let mut total = 0i64;
    while !rest.is_empty() {
        let number_end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(number_end);
        let after = after.trim_start();
        let unit_end = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = match unit {
            "ms" => Micros::SECOND.0 / 1_000,
            "s" => Micros::SECOND.0,
            "m" => Micros::MINUTE.0,
            "h" => Micros::HOUR.0,
            "d" => Micros::DAY.0,
            _ => return None,
        };
        total = total.checked_add(times(number, unit)?)?;
        rest = after.trim_start();
    }
    (!text.trim().is_empty() && total <= DURATION_MAX.0).then_some(Micros(total))
}

/// A decimal number times a unit, exactly; `None` when it is no number or the product is not whole.
fn times(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction.parse::<i64>().ok()?.checked_mul(unit)?;
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    (fraction % scale == 0).then(|| whole.checked_add(fraction / scale))?
}

/// A duration of zero or more.
pub(super) fn duration(node: &Node<'_>, problems: &mut Problems) -> Option<Micros> {
    let duration = node.text().and_then(parse_duration);
    if duration.is_none() {
        problems.wrong(node, DURATION);
    }
    duration
}

/// A duration of more than zero.
pub(super) fn positive_duration(node: &Node<'_>, problems: &mut Problems) -> Option<Micros> {
    let duration = duration(node, problems)?;
    if duration <= Micros::ZERO {
        problems.wrong(node, "a duration longer than 0s");
        return None;
    }
    Some(duration)
}

/// A share from 0 % to 100 %.
pub(super) fn share(node: &Node<'_>, problems: &mut Problems) -> Option<Share> {
    share_in(0, "a share from 0 % to 100 %", node, problems)
}

/// A share of more than 0 %: what nothing could miss, or would warn at once, is no promise.
pub(super) fn positive_share(node: &Node<'_>, problems: &mut Problems) -> Option<Share> {
    share_in(1, "a share of more than 0 %, up to 100 %", node, problems)
}

/// How much of what is degraded is good: `up` all of it, `down` nothing, or a share (R8).
pub(super) fn degraded_good(node: &Node<'_>, problems: &mut Problems) -> Share {
    let text = node.scalar().unwrap_or_default();
    match text {
        "up" => Share(Share::WHOLE),
        "down" => Share(0),
        _ => Share::parse(text).filter(|share| share.0 <= Share::WHOLE).unwrap_or_else(|| {
            problems.wrong(node, format!("up, down or {SHARE}"));
            Share(Share::WHOLE)
        }),
    }
}

/// A share from `least` (in billionths) to the whole; `range` says so in words.
fn share_in(least: i64, range: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Share> {
    let text = node.scalar()?;
    match Share::parse(text) {
        Some(share) if (least..=Share::WHOLE).contains(&share.0) => return Some(share),
        Some(share) if share.0 > Share::WHOLE && !text.contains('%') => {
            problems.wrong(node, format!("{range}; write a percentage with its sign, such as 99.9 %"));
        }
        Some(_) => problems.wrong(node, range),
        None => problems.wrong(node, SHARE),
    }
    None
}

/// A date between 1970 and 2199, the years that events may lie in.
pub(super) fn date(node: &Node<'_>, problems: &mut Problems) -> Option<NaiveDate> {
    let first = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let end = NaiveDate::from_ymd_opt(2200, 1, 1)?;
    let date = node.text().and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
    let date = date.filter(|date| (first..end).contains(date));
    if date.is_none() {
        problems.wrong(node, "a date that exists, from 1970-01-01 to 2199-12-31, such as 2026-01-31");
    }
    date
}

/// A civil time of a day between 1970 and 2199; a date alone is its midnight.
pub(super) fn date_time(node: &Node<'_>, problems: &mut Problems) -> Option<NaiveDateTime> {
    let text = node.text().unwrap_or_default();
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN));
    let parse = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let time = midnight.or_else(|| parse("%Y-%m-%dT%H:%M")).or_else(|| parse("%Y-%m-%dT%H:%M:%S"));
    let time = time.filter(|time| (1970..2200).contains(&time.year()));
    if time.is_none() {
        problems.wrong(node, "a civil time that exists, from 1970 to 2199, such as 2026-01-31T08:00:00");
    }
    time
}

/// A time of day in whole seconds since midnight, 86,400 for 24:00.
pub(super) fn second_of_day(node: &Node<'_>, problems: &mut Problems) -> Option<u32> {
    let parse = |text: &str| match text {
        "24:00" | "24:00:00" => Some(86_400),
        _ => {
            let time =
                NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
            time.ok().map(|time| (time - NaiveTime::MIN).num_seconds() as u32)
        }
    };
    let second = node.text().and_then(parse);
    if second.is_none() {
        problems.wrong(node, "a time of day from 00:00 to 24:00, such as 08:00");
    }
    second
}

/// An IANA time zone.
pub(super) fn time_zone(node: &Node<'_>, problems: &mut Problems) -> Option<Tz> {
    let name = node.text()?;
    let zone = name.parse::<Tz>().ok();
    if zone.is_none() {
        let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        problems.wrong(node, one_of(name, zones, "an IANA time zone such as Europe/Berlin or UTC"));
    }
    zone
}

/// The weekdays as definitions write them, from Monday.
pub(super) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// The weekdays that `wed` or a range such as `mon-fri` or `sat-mon` names.
pub(super) fn weekdays(node: &Node<'_>, problems: &mut Problems) -> Vec<Weekday> {
    let text = node.text().unwrap_or_default();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let place = |name: &str| WEEKDAYS.iter().position(|(known, _)| *known == name);
    let (Some(first), Some(last)) = (place(first), place(last)) else {
        problems.wrong(node, "a weekday: one of mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri");
        return Vec::new();
    };
    let length = (last + 7 - first) % 7;
    (0..=length).map(|step| WEEKDAYS[(first + step) % 7].1).collect()
}

/// A word from a list, or the default when the field is absent.
pub(super) fn word<T: Copy>(node: Option<Node<'_>>, words: &[(&str, T)], default: T, problems: &mut Problems) -> T {
    let Some(node) = node else { return default };
    let text = node.text().unwrap_or_default();
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => *value,
        None => {
            problems.wrong(&node, one_of(text, words.iter().map(|(word, _)| *word), "a word that is known here"));
            default
        }
    }
}

/// A whole number in a range.
pub(super) fn integer(node: &Node<'_>, range: RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
    let number = node.value().as_i64().filter(|number| range.contains(number));
    if number.is_none() {
        problems.wrong(node, whole_number(node, range));
    }
    number
}

/// What whole numbers are allowed, and how to write one where this node does not.
pub(super) fn whole_number(node: &Node<'_>, range: RangeInclusive<i64>) -> String {
    let written = node.scalar().unwrap_or_default();
    let how = match node.text() {
        Some(_) => ", in digits and without quotes",
        None if written.contains(['.', 'e', 'E']) => ", in digits alone",
        None => "",
    };
    format!("a whole number from {} to {}{how}", range.start(), range.end())
}

/// A text, or nothing when the field is absent.
pub(super) fn optional_text(node: Option<Node<'_>>) -> Option<String> {
    node.and_then(|node| node.text()).map(str::to_owned)
}
