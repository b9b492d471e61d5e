//! Agreed time: cases calculated by hand, the laws of R2, and a reference that counts minute by minute.

use chrono::{NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use plimsoll_schemas::definition::DaySpan;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::civil::local_of_instant;
use super::*;

const WEEKDAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
const BUSINESS: &str = "mon,tue,wed,thu,fri 08:00-17:00";

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).expect("RFC 3339")
}

fn hours(count: f64) -> Micros {
    Micros((count * 3_600e6) as i64)
}

/// A calendar from text: days, then spans, and `;` before the next days: `mon,tue 08:00-12:00,13:00-24:00; sat ...`.
fn defined(zone: &str, hours: &str, holidays: &[&str]) -> definition::Calendar {
    let time = |text: &str| if text == "24:00" { NaiveTime::MIN } else { text.parse().expect("time") };
    let mut spans = Vec::new();
    for rule in hours.split(';').filter(|rule| !rule.is_empty()) {
        let (days, times) = rule.trim().split_once(' ').expect("days and spans");
        for day in days.split(',') {
            for (from, until) in times.split(',').map(|span| span.split_once('-').expect("from-until")) {
                spans.push((day.parse().expect("weekday"), DaySpan { from: time(from), until: time(until) }));
            }
        }
    }
    definition::Calendar {
        id: "test".to_owned(),
        time_zone: zone.parse().expect("zone"),
        hours: spans,
        holidays: holidays.iter().map(|day| day.parse().expect("date")).collect(),
    }
}

fn compiled(zone: &str, hours: &str, holidays: &[&str]) -> Calendar {
    Calendar::compile(&defined(zone, hours, holidays))
}

/// The instant of a local time, both as text.
fn check_civil(zone: &str, local: &str, expected: &str) {
    let zone: Tz = zone.parse().expect("zone");
    let local: NaiveDateTime = local.parse().expect("local time");
    assert_eq!(instant_of_local(zone, local).to_string(), expected, "{local} in {zone}");
}

/// The agreed hours within a civil day or any other stretch.
fn check_elapsed(calendar: &Calendar, from: &str, until: &str, expected_hours: f64) {
    assert_eq!(calendar.elapsed(at(from), at(until)), hours(expected_hours), "{from} to {until}");
    assert_eq!(calendar.elapsed(at(until), at(from)), hours(-expected_hours), "{until} to {from}");
}

fn check_due(calendar: &Calendar, start: &str, amount: Micros, expected: &str) {
    assert_eq!(calendar.due(at(start), amount), Some(at(expected)), "{start} and {amount}");
}

#[test]
fn limits_are_the_days_they_say() {
    assert_eq!(AGREED_FROM.to_string(), "1990-01-01T00:00:00Z");
    assert_eq!(AGREED_UNTIL.to_string(), "2060-01-01T00:00:00Z");
}

#[test]
fn r1_plain_local_times_have_the_offset_of_their_zone() {
    check_civil("Europe/Berlin", "2026-01-15T12:00:00", "2026-01-15T11:00:00Z");
    check_civil("Europe/Berlin", "2026-07-15T12:00:00", "2026-07-15T10:00:00Z");
    check_civil("Asia/Kathmandu", "2026-01-15T09:00:00", "2026-01-15T03:15:00Z"); // UTC+5:45
    check_civil("Pacific/Kiritimati", "2026-01-15T09:00:00", "2026-01-14T19:00:00Z"); // UTC+14
}

#[test]
fn r1_skipped_local_times_move_forward_by_the_gap() {
    // Berlin goes from 02:00 (+01:00) to 03:00 (+02:00) at 01:00Z: 02:30 becomes 03:30+02:00.
    check_civil("Europe/Berlin", "2026-03-29T02:00:00", "2026-03-29T01:00:00Z");
    check_civil("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z");
    check_civil("Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z");
    // Lord Howe goes half an hour, from 02:00 (+10:30) to 02:30 (+11:00) at 15:30Z: 02:15 becomes 02:45+11:00.
    check_civil("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:45:00Z");
    // Dublin's summer is its standard time, which changes nothing: 01:00 (+00:00) to 02:00 (+01:00) at 01:00Z.
    check_civil("Europe/Dublin", "2026-03-29T01:30:00", "2026-03-29T01:30:00Z");
    // São Paulo had no midnight: 00:00 (-03:00) to 01:00 (-02:00) at 03:00Z.
    check_civil("America/Sao_Paulo", "2018-11-04T00:00:00", "2018-11-04T03:00:00Z");
    check_civil("America/Sao_Paulo", "2018-11-04T01:00:00", "2018-11-04T03:00:00Z");
    // Samoa had no 30th of December 2011: from 24:00 on the 29th (-10:00) to 00:00 on the 31st (+14:00) at 10:00Z.
    check_civil("Pacific/Apia", "2011-12-30T09:00:00", "2011-12-30T19:00:00Z");
}

#[test]
fn r1_ambiguous_local_times_are_the_earlier_instant() {
    // Berlin goes from 03:00 (+02:00) back to 02:00 (+01:00) at 01:00Z: the earlier 02:30 is 00:30Z.
    check_civil("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z");
    check_civil("Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T00:00:00Z");
    check_civil("Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z");
    // Lord Howe goes from 02:00 (+11:00) back to 01:30 (+10:30) at 15:00Z.
    check_civil("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00Z");
    // Dublin goes from 02:00 (+01:00) back to 01:00 (+00:00) at 01:00Z.
    check_civil("Europe/Dublin", "2026-10-25T01:30:00", "2026-10-25T00:30:00Z");
    // St John's went from 00:01 (-02:30) back to 23:01 (-03:30) of the day before, and so had two midnights.
    check_civil("America/St_Johns", "2010-11-07T00:00:00", "2010-11-07T02:30:00Z");
}

#[test]
fn r2_24x7_is_the_whole_time_axis() {
    let always = Calendar::always();
    assert_eq!(always.elapsed(Instant(-5), Instant(7)), Micros(12));
    assert_eq!(always.due(at("1971-01-01T00:00:00Z"), Micros::DAY), Some(at("1971-01-02T00:00:00Z")));
    assert_eq!(always.due(Instant(i64::MAX), Micros(1)), None);
    assert!(always.is_agreed(Instant(i64::MIN)));
    assert_eq!(always.elapsed(Instant(i64::MIN), Instant(i64::MAX)), Micros(i64::MAX));
    assert_eq!(always.spans(Instant(1), Instant(3)).collect::<Vec<_>>(), [(Instant(1), Instant(3))]);
    assert_eq!(always.spans(Instant(3), Instant(3)).count(), 0);
    // However it is written and wherever it holds: every day to 24:00, in two halves, or with more than is needed.
    for text in ["00:00-24:00", "00:00-12:00,12:00-24:00", "00:00-13:00,11:30-24:00,05:00-06:00"] {
        for zone in ["UTC", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe"] {
            assert_eq!(compiled(zone, &format!("mon,tue,wed,thu,fri,sat,sun {text}"), &[]), always, "{text} in {zone}");
        }
    }
    assert_ne!(compiled("UTC", "mon,tue,wed,thu,fri,sat,sun 00:00-24:00", &["2026-01-01"]), always);
}

#[test]
fn r2_business_hours_rest_at_night_and_on_weekends() {
    let calendar = compiled("Europe/Berlin", BUSINESS, &[]);
    // From Friday 16:00 until Monday 09:00: one hour on each.
    check_elapsed(&calendar, "2026-01-09T16:00:00+01:00", "2026-01-12T09:00:00+01:00", 2.0);
    check_elapsed(&calendar, "2026-01-09T17:00:00+01:00", "2026-01-12T08:00:00+01:00", 0.0);
    // 2026 has 261 weekdays (it starts on a Thursday and is not a leap year: 52 weeks of five, and one Thursday).
    check_elapsed(&calendar, "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00", 261.0 * 9.0);
    assert!(calendar.is_agreed(at("2026-01-09T08:00:00+01:00")));
    assert!(!calendar.is_agreed(at("2026-01-09T07:59:59.999999+01:00")));
    assert!(!calendar.is_agreed(at("2026-01-09T17:00:00+01:00")));
}

#[test]
fn r2_due_is_the_earliest_instant() {
    let calendar = compiled("Europe/Berlin", BUSINESS, &[]);
    let friday_16 = "2026-01-09T16:00:00+01:00";
    check_due(&calendar, friday_16, Micros::HOUR, "2026-01-09T17:00:00+01:00");
    check_due(&calendar, friday_16, Micros::HOUR + Micros(1), "2026-01-12T08:00:00.000001+01:00");
    check_due(&calendar, friday_16, hours(10.0), "2026-01-12T17:00:00+01:00");
    // Asked outside hours, the time runs from the next opening; no amount at all is reached at once.
    check_due(&calendar, "2026-01-10T12:00:00+01:00", hours(0.5), "2026-01-12T08:30:00+01:00");
    check_due(&calendar, "2026-01-10T12:00:00+01:00", Micros::ZERO, "2026-01-10T12:00:00+01:00");
    check_due(&calendar, "2026-01-10T12:00:00+01:00", Micros(-1), "2026-01-10T12:00:00+01:00");
}

#[test]
fn r2_a_lunch_break_does_not_count() {
    let calendar = compiled("Europe/Berlin", "thu 08:00-12:00,13:00-17:00", &[]);
    check_due(&calendar, "2026-01-15T11:30:00+01:00", Micros::HOUR, "2026-01-15T13:30:00+01:00");
    check_due(&calendar, "2026-01-15T11:30:00+01:00", hours(0.5), "2026-01-15T12:00:00+01:00");
    check_elapsed(&calendar, "2026-01-15T11:30:00+01:00", "2026-01-15T12:45:00+01:00", 0.5);
    let spans: Vec<_> =
        calendar.spans(at("2026-01-15T11:30:00+01:00"), at("2026-01-22T08:00:00+01:00")).map(|(s, e)| e - s).collect();
    assert_eq!(spans, [hours(0.5), hours(4.0)]); // 11:30-12:00 and 13:00-17:00; the next week's begins at the end.
}

#[test]
fn r2_spans_cross_midnight_and_holidays_stop_only_what_starts_on_them() {
    let night = "fri,sat 22:00-06:00";
    let (friday, sunday) = ("2026-01-09T00:00:00Z", "2026-01-11T12:00:00Z");
    check_elapsed(&compiled("UTC", night, &[]), friday, sunday, 16.0);
    check_due(&compiled("UTC", night, &[]), "2026-01-09T23:00:00Z", hours(7.0), "2026-01-10T06:00:00Z");
    // Saturday off: Friday's night runs on until Saturday 06:00. Friday off: only Saturday's night is left.
    let saturday_off = compiled("UTC", night, &["2026-01-10"]);
    check_elapsed(&saturday_off, friday, sunday, 8.0);
    assert!(saturday_off.is_agreed(at("2026-01-10T05:59:59Z")));
    assert!(!compiled("UTC", night, &["2026-01-09"]).is_agreed(at("2026-01-10T05:00:00Z")));
    // A span that starts and ends at the same time of day is a whole day long.
    check_elapsed(&compiled("UTC", "fri 22:00-22:00", &[]), friday, sunday, 24.0);
}

#[test]
fn r2_overlapping_and_touching_spans_are_a_union() {
    let calendar = compiled("UTC", "thu 08:00-12:00,12:00-14:00,10:00-13:00; wed 20:00-09:00", &[]);
    let wednesday_20_to_thursday_14 = (at("2026-01-14T20:00:00Z"), at("2026-01-15T14:00:00Z"));
    let week = (at("2026-01-12T00:00:00Z"), at("2026-01-19T00:00:00Z"));
    assert_eq!(calendar.spans(week.0, week.1).collect::<Vec<_>>(), [wednesday_20_to_thursday_14]);
    assert_eq!(calendar.elapsed(week.0, week.1), hours(18.0));
}

#[test]
fn r1_days_have_the_length_their_zone_gives_them() {
    let sundays = "sun 00:00-24:00";
    for (zone, date, expected_hours) in [
        ("Europe/Berlin", "2026-03-29", 23.0),
        ("Europe/Berlin", "2026-10-25", 25.0),
        ("Europe/Dublin", "2026-03-29", 23.0),
        ("Europe/Dublin", "2026-10-25", 25.0),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Sao_Paulo", "2018-11-04", 23.0),
        ("Asia/Kathmandu", "2026-03-29", 24.0),
    ] {
        let noon = at(&format!("{date}T12:00:00Z"));
        let calendar = compiled(zone, sundays, &[]);
        assert_eq!(calendar.elapsed(noon - hours(72.0), noon + hours(72.0)), hours(expected_hours), "{date} in {zone}");
    }
}

#[test]
fn r1_hours_inside_a_change_of_clocks() {
    for (span, spring_hours, autumn_hours) in [
        ("02:30-05:00", 1.5, 3.5),  // 03:30+02:00 to 05:00+02:00; 02:30+02:00 to 05:00+01:00
        ("02:00-03:00", 0.0, 2.0),  // the hour that is skipped; the hour that comes twice, and 03:00 is unambiguous
        ("02:15-02:45", 0.5, 0.5),  // 03:15 to 03:45; both ends are the earlier instant
        ("02:30-03:15", 0.0, 1.75), // 03:30 is after 03:15; 02:30+02:00 to 03:15+01:00
        ("22:00-02:30", 4.5, 4.5),  // of Sunday evening, when all is over
    ] {
        let calendar = compiled("Europe/Berlin", &format!("sun {span}"), &[]);
        check_elapsed(&calendar, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", spring_hours);
        check_elapsed(&calendar, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", autumn_hours);
    }
    // A night shift into the change of clocks: Saturday 22:00+01:00 to Sunday 06:00+02:00.
    let nights = compiled("Europe/Berlin", "sat 22:00-06:00", &[]);
    check_elapsed(&nights, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", 7.0);
    check_elapsed(&nights, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", 9.0);
}

#[test]
fn r2_due_reaches_over_thirty_years_and_ends_with_the_limits() {
    let calendar = compiled("Europe/Berlin", BUSINESS, &[]);
    let start = at("2026-01-01T00:00:00+01:00");
    // 30 years from a Thursday on, 10,957 days: 1,565 weeks and two days, Thursday 30 and Friday 31 December 2055.
    let amount = hours((1565.0 * 5.0 + 2.0) * 9.0);
    assert_eq!(calendar.due(start, amount), Some(at("2055-12-31T17:00:00+01:00")));
    assert_eq!(calendar.due(start, Micros(i64::MAX)), None);
    assert_eq!(calendar.due(AGREED_UNTIL, Micros(1)), None);
    assert_eq!(calendar.due(AGREED_FROM - Micros(1), Micros(1)), None);
    assert_eq!(calendar.elapsed(Instant(i64::MIN), AGREED_FROM), Micros::ZERO);
    assert_eq!(calendar.elapsed(AGREED_UNTIL, Instant(i64::MAX)), Micros::ZERO);
    let never = compiled("UTC", "", &[]);
    assert_eq!((never.due(start, Micros(1)), never.elapsed(AGREED_FROM, AGREED_UNTIL)), (None, Micros::ZERO));
    assert!(!never.is_agreed(start));
}

/// Zones with changes of clocks of every sort, each with a day around which they change.
fn places() -> impl Strategy<Value = (Tz, NaiveDate)> {
    select(vec![
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("Europe/Dublin", "2026-10-25"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("America/Sao_Paulo", "2018-11-04"),
        ("America/Sao_Paulo", "2018-02-18"),
        ("America/St_Johns", "2010-11-07"),
        ("America/Havana", "2026-03-08"),
        ("Africa/Casablanca", "2026-02-15"),
        ("Asia/Kathmandu", "2026-06-01"),
        ("Pacific/Apia", "2011-12-30"),
        ("Pacific/Chatham", "2026-09-27"),
    ])
    .prop_map(|(zone, day)| (zone.parse().expect("zone"), day.parse().expect("date")))
}

fn time_of_minute(minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).expect("minute of the day")
}

/// A place and a random calendar there, its times on whole minutes, its holidays near the change of clocks.
fn calendars() -> impl Strategy<Value = (NaiveDate, definition::Calendar)> {
    let span = (select(&WEEKDAYS[..]), 0..1440u32, 0..1440u32).prop_map(|(weekday, from, until)| {
        (weekday, DaySpan { from: time_of_minute(from), until: time_of_minute(until) })
    });
    (places(), vec(span, 0..8), vec(-4..4i64, 0..3)).prop_map(|((time_zone, day), hours, holidays)| {
        let holidays = holidays.into_iter().map(|days| day + TimeDelta::days(days)).collect();
        (day, definition::Calendar { id: "random".to_owned(), time_zone, hours, holidays })
    })
}

/// What clocks show and whether time is agreed, for each minute of some weeks: no search, no merging, no table.
struct Minutes {
    first: Instant,
    shown: Vec<NaiveDateTime>,
    agreed: Vec<bool>,
}

impl Minutes {
    fn count(definition: &definition::Calendar, day: NaiveDate) -> Minutes {
        let first = Instant::from(Utc.from_utc_datetime(&(day - Days::new(8)).and_time(NaiveTime::MIN)));
        let shown: Vec<_> = (0..16 * 1440)
            .map(|minute| local_of_instant(definition.time_zone, first + Micros(minute * Micros::MINUTE.0)))
            .collect();
        let mut minutes = Minutes { first, agreed: vec![false; shown.len()], shown };
        for day in (day - Days::new(7)).iter_days().take(13).filter(|day| !definition.holidays.contains(day)) {
            for (_, span) in definition.hours.iter().filter(|(weekday, _)| *weekday == day.weekday()) {
                let end_day = if span.from < span.until { day } else { day + Days::new(1) };
                let start = minutes.when_shown(day.and_time(span.from));
                for minute in start..minutes.when_shown(end_day.and_time(span.until)).max(start) {
                    minutes.agreed[minute] = true;
                }
            }
        }
        minutes
    }

    /// The first minute at which clocks show `wanted`; if none does, as long after the change as it was wanted in it.
    fn when_shown(&self, wanted: NaiveDateTime) -> usize {
        self.shown.iter().position(|shown| *shown == wanted).unwrap_or_else(|| {
            let change = self.shown.iter().position(|shown| *shown > wanted).expect("within the weeks");
            change - 1 + (wanted - self.shown[change - 1]).num_minutes() as usize
        })
    }

    fn instant(&self, minute: usize) -> Instant {
        self.first + Micros(minute as i64 * Micros::MINUTE.0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn r2_agrees_with_counting_minutes(
        (day, definition) in calendars(),
        picks in vec((3..13usize, 0..1440usize), 12),
    ) {
        let calendar = Calendar::compile(&definition);
        let minutes = Minutes::count(&definition, day);
        for minute in 3 * 1440..13 * 1440 {
            let instant = minutes.instant(minute);
            prop_assert_eq!(calendar.is_agreed(instant), minutes.agreed[minute], "{}", instant);
        }
        let mut picks: Vec<usize> = picks.into_iter().map(|(day, minute)| day * 1440 + minute).collect();
        picks.sort_unstable();
        for pair in picks.windows(2) {
            let counted = minutes.agreed[pair[0]..pair[1]].iter().filter(|agreed| **agreed).count() as i64;
            let (from, until) = (minutes.instant(pair[0]), minutes.instant(pair[1]));
            prop_assert_eq!(calendar.elapsed(from, until), Micros(counted * Micros::MINUTE.0));
            let spans: i64 = calendar.spans(from, until).map(|(start, end)| (end - start).0).sum();
            prop_assert_eq!(spans, counted * Micros::MINUTE.0);
            // The amount of the first half of what was counted is due at the end of the minute that completes it.
            let half = counted / 2;
            let last = (pair[0]..pair[1]).filter(|minute| minutes.agreed[*minute]).take(half as usize).last();
            if let Some(minute) = last {
                prop_assert_eq!(calendar.due(from, Micros(half * Micros::MINUTE.0)), Some(minutes.instant(minute + 1)));
            }
        }
    }

    #[test]
    fn r2_laws(
        (_, definition) in calendars(),
        times in vec(AGREED_FROM.0..AGREED_UNTIL.0, 3..20),
        amount in 0..90 * Micros::DAY.0,
    ) {
        let calendar = Calendar::compile(&definition);
        let mut times: Vec<Instant> = times.into_iter().map(Instant).collect();
        times.sort_unstable();
        let mut sum = Micros::ZERO;
        for pair in times.windows(2) {
            let step = calendar.elapsed(pair[0], pair[1]);
            prop_assert!(step >= Micros::ZERO && step <= pair[1] - pair[0], "monotone, and never faster than time");
            prop_assert_eq!(calendar.elapsed(pair[1], pair[0]).0, -step.0);
            sum += step;
        }
        prop_assert_eq!(calendar.elapsed(times[0], times[times.len() - 1]), sum);
        for start in times {
            match calendar.due(start, Micros(amount)) {
                Some(due) => {
                    prop_assert_eq!(calendar.elapsed(start, due), Micros(amount));
                    prop_assert!(amount == 0 || calendar.elapsed(start, due - Micros(1)) < Micros(amount), "earliest");
                    prop_assert!(amount == 0 || calendar.is_agreed(due - Micros(1)));
                }
                None => prop_assert!(calendar.elapsed(start, AGREED_UNTIL) < Micros(amount)),
            }
        }
    }

    #[test]
    fn r1_local_times_that_exist_once_come_back((zone, day) in places(), minute in -8 * 1440..8 * 1440i64) {
        let local = day.and_time(NaiveTime::MIN) + TimeDelta::minutes(minute);
        let instant = instant_of_local(zone, local);
        let shown = local_of_instant(zone, instant);
        prop_assert!(shown >= local, "a skipped time moves forward, any other comes back");
        prop_assert_eq!(shown.second(), 0);
        // If clocks went back, the same time is shown a second time, later: within three hours at the most.
        for earlier in 1..180 {
            prop_assert_ne!(local_of_instant(zone, instant - Micros(earlier * Micros::MINUTE.0)), local);
        }
    }
}
