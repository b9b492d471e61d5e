//! Agreed time as the generator plans with it: sorted spans of seconds, from a week before the month to six weeks
//! after it.
//!
//! The engine measures with its own calendars; these only let the plan know how much of an outage will count.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeZone, Weekday};
use chrono_tz::Tz;

use super::{DAY, Month, start_of_day};

/// How many days around the month are laid out: a week before, so that nothing starts before the first span, and
/// enough after for every ticket that is still worked on.
const DAYS_BEFORE: u64 = 7;
const DAYS_AFTER: i64 = 42;

/// Spans of agreed time, sorted and disjoint, in seconds since 1970.
pub(super) struct Hours {
    spans: Vec<(i64, i64)>,
}

/// One line of weekly hours: from one weekday to another, from one full hour to another; 24 is midnight.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeeklyLine {
    /// The first and last weekday, Monday first.
    pub(super) days: (Weekday, Weekday),
    /// The first hour that counts and the first that no longer does.
    pub(super) hours: (u32, u32),
}

impl Hours {
    /// All the time there is.
    pub(super) fn always(month: &Month) -> Hours {
        Hours { spans: vec![(month.start - 7 * DAY, month.end + DAYS_AFTER * DAY)] }
    }

    /// Weekly hours in a time zone, without holidays.
    pub(super) fn weekly(month: &Month, zone: Tz, lines: &[WeeklyLine], holidays: &[NaiveDate]) -> Hours {
        let first = month.first.checked_sub_days(Days::new(DAYS_BEFORE)).unwrap_or(month.first);
        let last = month.end + DAYS_AFTER * DAY;
        let mut spans = Vec::new();
        for date in first.iter_days().take_while(|date| start_of_day(*date) < last) {
            let weekday = date.weekday().num_days_from_monday();
            for line in lines {
                let (from, to) = (line.days.0.num_days_from_monday(), line.days.1.num_days_from_monday());
                if (from..=to).contains(&weekday) && !holidays.contains(&date) {
                    spans.push((civil(zone, date, line.hours.0), civil(zone, date, line.hours.1)));
                }
            }
        }
        spans.sort_unstable();
        Hours { spans }
    }

    /// How much agreed time lies between two instants, in seconds.
    pub(super) fn agreed(&self, from: i64, until: i64) -> i64 {
        let first = self.spans.partition_point(|span| span.1 <= from);
        self.spans[first..]
            .iter()
            .take_while(|span| span.0 < until)
            .map(|span| span.1.min(until) - span.0.max(from))
            .sum()
    }

    /// The earliest instant by which `amount` seconds of agreed time have passed since `from`, but not before agreed
    /// time has begun; the end of the laid out time when it never comes.
    pub(super) fn advance(&self, from: i64, amount: i64) -> i64 {
        let first = self.spans.partition_point(|span| span.1 <= from);
        let mut rest = amount;
        for span in &self.spans[first..] {
            let begin = span.0.max(from);
            if begin + rest <= span.1 {
                return begin + rest;
            }
            rest -= span.1 - begin;
        }
        self.spans.last().map_or(from, |span| span.1.max(from))
    }
}

/// The instant of a full civil hour. The hours that clocks skip lie at night, where no line begins.
fn civil(zone: Tz, date: NaiveDate, hour: u32) -> i64 {
    let (date, hour) = if hour == 24 { (date.succ_opt().unwrap_or(date), 0) } else { (date, hour) };
    let local = date.and_time(NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default());
    zone.from_local_datetime(&local).earliest().map_or(local.and_utc().timestamp(), |time| time.timestamp())
}

/// Days on which German business rests, nationwide, in one year.
pub(super) fn german_holidays(year: i32) -> Vec<NaiveDate> {
    let easter = easter_sunday(year);
    let moving =
        [-2, 1, 39, 50].map(|days| easter.and_then(|day| day.checked_add_signed(chrono::TimeDelta::days(days))));
    let fixed =
        [(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)].map(|(month, day)| NaiveDate::from_ymd_opt(year, month, day));
    sorted(moving.into_iter().chain(fixed))
}

/// Days on which business in the United States rests, in one year: the ones that every branch keeps.
pub(super) fn american_holidays(year: i32) -> Vec<NaiveDate> {
    let last_monday_of_may =
        (25..=31).filter_map(|day| NaiveDate::from_ymd_opt(year, 5, day)).find(|day| day.weekday() == Weekday::Mon);
    sorted([
        NaiveDate::from_ymd_opt(year, 1, 1),
        NaiveDate::from_weekday_of_month_opt(year, 1, Weekday::Mon, 3),
        last_monday_of_may,
        NaiveDate::from_ymd_opt(year, 7, 4),
        NaiveDate::from_weekday_of_month_opt(year, 9, Weekday::Mon, 1),
        NaiveDate::from_weekday_of_month_opt(year, 11, Weekday::Thu, 4),
        NaiveDate::from_ymd_opt(year, 12, 25),
    ])
}

fn sorted(days: impl IntoIterator<Item = Option<NaiveDate>>) -> Vec<NaiveDate> {
    let mut days: Vec<NaiveDate> = days.into_iter().flatten().collect();
    days.sort_unstable();
    days
}

/// Easter Sunday of the Gregorian calendar, by the anonymous algorithm of Nature, 20 April 1876 (Meeus, Astronomical
/// Algorithms, chapter 8). Letters are the algorithm's own.
fn easter_sunday(year: i32) -> Option<NaiveDate> {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let (d, e, f) = (b / 4, b % 4, (b + 8) / 25);
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let days = h + l - 7 * m + 114;
    NaiveDate::from_ymd_opt(year, u32::try_from(days / 31).ok()?, u32::try_from(days % 31 + 1).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_falls_where_the_almanac_has_it() {
        // Published dates: US Census Bureau's table of Easter Sundays.
        for (year, month, day) in [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2027, 3, 28), (2038, 4, 25)] {
            assert_eq!(easter_sunday(year), NaiveDate::from_ymd_opt(year, month, day), "{year}");
        }
    }

    #[test]
    fn r2_an_amount_is_reached_at_the_end_of_a_span_not_at_the_next_ones_start() {
        let month = Month::of(NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date"));
        let line = WeeklyLine { days: (Weekday::Mon, Weekday::Fri), hours: (8, 17) };
        let hours = Hours::weekly(&month, chrono_tz::Europe::Berlin, &[line], &german_holidays(2026));
        let at = |text: &str| plimsoll_schemas::Instant::parse_rfc3339(text).expect("a time").0 / 1_000_000;
        // Friday 9 January 16:00 and an hour: 17:00 that day; a second more: Monday 08:00:01.
        assert_eq!(hours.advance(at("2026-01-09T16:00:00+01:00"), 3_600), at("2026-01-09T17:00:00+01:00"));
        assert_eq!(hours.advance(at("2026-01-09T16:00:00+01:00"), 3_601), at("2026-01-12T08:00:01+01:00"));
        // January 2026 has 22 weekdays, one of them New Year's Day: 21 days of nine hours.
        assert_eq!(hours.agreed(month.start, month.end), 21 * 9 * 3_600);
    }
}
