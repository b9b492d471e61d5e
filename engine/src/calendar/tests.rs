//! Agreed time: cases calculated by hand; `laws` has what holds for every calendar.

use std::slice::from_ref;

use chrono::{NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use plimsoll_schemas::civil::instant_of_local;
use plimsoll_schemas::definition::DaySpan;

use super::*;

mod laws;

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
        holidays: holidays.iter().map(|day| (day.parse().expect("date"), String::new())).collect(),
        ..definition::Calendar::default()
    }
}

fn compiled(zone: &str, hours: &str, holidays: &[&str]) -> Calendar {
    Calendar::compile(&[defined(zone, hours, holidays)])
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
    // Beirut and Cairo go from 24:00 (+02:00) to 01:00 (+03:00) at 22:00Z: 00:30 becomes 01:30+03:00.
    check_civil("Asia/Beirut", "2026-03-29T00:00:00", "2026-03-28T22:00:00Z");
    check_civil("Africa/Cairo", "2026-04-24T00:30:00", "2026-04-23T22:30:00Z");
    // Samoa had no 30th of December 2011: from 24:00 on the 29th (-10:00) to 00:00 on the 31st (+14:00) at 10:00Z.
    check_civil("Pacific/Apia", "2011-12-30T09:00:00", "2011-12-30T19:00:00Z");
}

#[test]
fn r1_hours_that_are_skipped_whole_are_no_span() {
    // 02:00 and 03:00 are both 01:00Z on the day on which Berlin skips what lies between.
    let nights = compiled("Europe/Berlin", "sun 02:00-03:00", &[]);
    let spans = |day: &str, next: &str| nights.spans(at(day), at(next)).count();
    assert_eq!(spans("2026-03-22T00:00:00Z", "2026-03-23T00:00:00Z"), 1);
    assert_eq!(spans("2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"), 0);
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
        ("Asia/Beirut", "2026-03-29", 23.0),
        ("America/Havana", "2026-11-01", 25.0),
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
fn r1_a_day_that_the_date_line_takes_moves_forward_as_a_whole() {
    // Samoa went from Thursday, 29 December 2011, to Saturday the 31st. By R1 Friday's hours move forward by the gap of
    // 24 hours: they are Saturday's 09:00 to 17:00, at +14:00.
    let calendar = compiled("Pacific/Apia", "thu,fri 09:00-17:00", &[]);
    let (thursday, friday) = ("2011-12-29T09:00:00-10:00", "2011-12-31T09:00:00+14:00");
    check_elapsed(&calendar, thursday, "2012-01-01T00:00:00+14:00", 16.0);
    check_due(&calendar, thursday, hours(9.0), "2011-12-31T10:00:00+14:00");
    assert!(calendar.is_agreed(at(friday)) && !calendar.is_agreed(at(friday) - Micros(1)));
    // As a holiday it has none.
    check_elapsed(
        &compiled("Pacific/Apia", "thu,fri 09:00-17:00", &["2011-12-30"]),
        thursday,
        "2012-01-01T00:00:00+14:00",
        8.0,
    );
}

#[test]
fn r2_a_day_of_its_own_is_neither_weekday_nor_holiday() {
    let time = |text: &str| text.parse().expect("time");
    let own = |day: &str, spans: &[(&str, &str)]| {
        let spans = spans.iter().map(|(from, until)| DaySpan { from: time(from), until: time(until) });
        (day.parse().expect("date"), spans.collect())
    };
    let mut definition = defined("Europe/Berlin", BUSINESS, &["2026-12-25"]);
    // Christmas Eve is a Thursday; the holiday after it and the Saturday have hours all the same; Monday has none.
    definition.exceptions = [
        own("2026-12-24", &[("08:00:00", "12:00:00")]),
        own("2026-12-25", &[("10:00:00", "11:00:00")]),
        own("2026-12-26", &[("22:00:00", "02:00:00")]),
        own("2026-12-28", &[]),
    ]
    .into();
    let calendar = Calendar::compile(from_ref(&definition));
    check_elapsed(&calendar, "2026-12-24T00:00:00+01:00", "2026-12-29T00:00:00+01:00", 4.0 + 1.0 + 4.0);
    check_due(&calendar, "2026-12-24T11:00:00+01:00", hours(1.5), "2026-12-25T10:30:00+01:00");
    check_due(&calendar, "2026-12-24T11:00:00+01:00", hours(6.5), "2026-12-29T08:30:00+01:00");
}

#[test]
fn r2_the_example_of_the_page_on_time_holds() {
    let mut definition = defined("Europe/Berlin", "mon,tue,wed,thu,fri 08:00-12:00,13:00-17:00", &["2026-12-25"]);
    let morning = DaySpan { from: "08:00:00".parse().expect("time"), until: "12:00:00".parse().expect("time") };
    definition.exceptions = [("2026-12-24".parse().expect("date"), vec![morning])].into();
    let calendar = Calendar::compile(from_ref(&definition));
    // docs/rules/r01-r02-time.md: 1.5 hours on the 23rd, 4 on the 24th, none until Monday the 28th, 2.5 on that.
    check_due(&calendar, "2026-12-23T15:30:00+01:00", hours(8.0), "2026-12-28T10:30:00+01:00");
    check_due(&calendar, "2026-12-23T15:30:00+01:00", hours(5.5), "2026-12-24T12:00:00+01:00");
}

#[test]
fn r2_what_is_closed_is_taken_out_exactly() {
    let closure =
        |from: &str, until: &str| definition::Closure { from: at(from), until: at(until), name: String::new() };
    let mut definition = defined("UTC", "mon,tue 08:00-12:00,13:00-17:00; tue 22:00-06:00", &[]);
    // Within a span; over its end and into the next; over the beginning of one; over a whole one; twice the same; at
    // night; and from the end of the night on, which touches nothing.
    definition.closures = vec![
        closure("2026-01-12T09:00:00Z", "2026-01-12T09:30:00Z"),
        closure("2026-01-12T11:30:00Z", "2026-01-12T13:15:00Z"),
        closure("2026-01-13T07:00:00Z", "2026-01-13T08:00:01Z"),
        closure("2026-01-13T13:00:00Z", "2026-01-13T17:00:00Z"),
        closure("2026-01-13T13:00:00Z", "2026-01-13T15:00:00Z"),
        closure("2026-01-14T01:00:00Z", "2026-01-14T02:00:00Z"),
        closure("2026-01-14T06:00:00Z", "2026-01-14T07:00:00Z"),
    ];
    let calendar = Calendar::compile(from_ref(&definition));
    let spans = calendar.spans(at("2026-01-12T00:00:00Z"), at("2026-01-15T00:00:00Z"));
    let found: Vec<_> =
        spans.map(|(start, end)| format!("{start}/{end}").replace("2026-01-", "").replace(":00Z", "")).collect();
    let expected = [
        "12T08:00/12T09:00",
        "12T09:30/12T11:30",
        "12T13:15/12T17:00",
        "13T08:00:01Z/13T12:00",
        "13T22:00/14T01:00",
        "14T02:00/14T06:00",
    ];
    assert_eq!(found, expected);
}

/// One version in force from one day until another; `-` for none.
fn version(zone: &str, hours: &str, from: &str, until: &str) -> definition::Calendar {
    let day = |text: &str| (text != "-").then(|| text.parse().expect("date"));
    definition::Calendar { effective_from: day(from), effective_until: day(until), ..defined(zone, hours, &[]) }
}

#[test]
fn r24_versions_are_one_function_glued_at_midnight() {
    let week = "mon,tue,wed,thu,fri";
    let calendar = Calendar::compile(&[
        version("Europe/Berlin", &format!("{week} 08:00-17:00"), "-", "2026-03-04"),
        version("Europe/Berlin", &format!("{week} 10:00-18:00"), "2026-03-04", "-"),
    ]);
    // Monday and Tuesday nine hours each, from Wednesday on eight.
    check_elapsed(&calendar, "2026-03-02T00:00:00+01:00", "2026-03-07T00:00:00+01:00", 9.0 * 2.0 + 8.0 * 3.0);
    check_due(&calendar, "2026-03-03T16:00:00+01:00", hours(2.0), "2026-03-04T11:00:00+01:00");
    // From Berlin to New York at New York's midnight, 05:00Z: Berlin's Sunday has been over for six hours by then.
    let moved = Calendar::compile(&[
        version("Europe/Berlin", "sun,mon 00:00-24:00", "-", "2026-03-02"),
        version("America/New_York", "sun,mon 08:00-17:00", "2026-03-02", "-"),
    ]);
    check_elapsed(&moved, "2026-03-01T00:00:00+01:00", "2026-03-02T00:00:00-05:00", 30.0);
    check_elapsed(&moved, "2026-03-02T00:00:00-05:00", "2026-03-03T00:00:00-05:00", 9.0);
    // A gap has no agreed time; the amount is reached after it.
    let gap = Calendar::compile(&[
        version("UTC", "mon,tue 08:00-17:00", "-", "2026-03-03"),
        version("UTC", "mon,tue 08:00-17:00", "2026-03-10", "-"),
    ]);
    check_elapsed(&gap, "2026-03-02T00:00:00Z", "2026-03-11T00:00:00Z", 18.0);
    check_due(&gap, "2026-03-02T08:00:00Z", hours(10.0), "2026-03-10T09:00:00Z");
    // The night of Monday to Tuesday is whole if both versions have it, and half if only one of them has.
    let night = "mon,tue 22:00-06:00";
    for (first, second, expected_hours) in [(night, night, 8.0), (night, "wed 08:00-09:00", 2.0), ("", night, 6.0)] {
        let calendar =
            Calendar::compile(&[version("UTC", first, "-", "2026-03-03"), version("UTC", second, "2026-03-03", "-")]);
        check_elapsed(&calendar, "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z", expected_hours);
    }
    // The same hours in two versions are the same function; before the first version there is no agreed time.
    let same = [version("UTC", night, "-", "2026-03-03"), version("UTC", night, "2026-03-03", "-")];
    assert_eq!(Calendar::compile(&same), compiled("UTC", night, &[]));
    let always = "mon,tue,wed,thu,fri,sat,sun 00:00-24:00";
    let young = Calendar::compile(&[version("UTC", always, "2026-03-03", "-")]);
    check_elapsed(&young, "2026-03-01T00:00:00Z", "2026-03-04T00:00:00Z", 24.0);
}

#[test]
fn r24_a_version_that_ends_later_than_the_next_begins_elsewhere_is_cut() {
    // The last day of one in UTC-11 ends at 11:00Z on the 2nd, when the other, in UTC+14, has had the 3rd for an hour.
    let versions = [
        version("Pacific/Niue", "mon 00:00-24:00", "-", "2026-03-02"),
        version("Pacific/Kiritimati", "", "2026-03-03", "-"),
    ];
    let ends: Vec<_> = in_force(&versions).iter().map(|window| window.end).collect();
    assert_eq!(ends, [at("2026-03-02T10:00:00Z"), Instant(i64::MAX)]);
}

#[test]
fn a_calendar_says_what_it_is_in_one_line() {
    let mut definition = defined("UTC", "mon 08:00-17:00", &["2026-12-25", "2026-12-26"]);
    definition.exceptions = [("2026-12-24".parse().expect("date"), Vec::new())].into();
    definition.closures =
        vec![definition::Closure { from: Instant(0), until: at("1970-01-01T01:00:00Z"), name: String::new() }];
    let expected = "Mon 08:00-17:00 except 2026-12-25, 2026-12-26; 2026-12-24 closed; closed \
                    1970-01-01T00:00:00Z/1970-01-01T01:00:00Z";
    assert_eq!(text(&definition), expected);
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
