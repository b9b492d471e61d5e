//! Holidays from iCalendar files: what events close, and every way in which they can be wrong.

use chrono::NaiveDate;

use super::{BASE, listed};
use crate::definition::{Calendar, File, Problem, load};

/// A calendar in Berlin that names one file, as text.
const CALENDAR: &str = "
{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: tested}, spec: {time_zone: Europe/Berlin,
hours: [{days: mon-fri, from: 08:00, until: 17:00}], holidays: [2026-01-01, ./days/../free.ics]}}
";

/// One event of these properties in a file; its first property is line 3.
fn file(properties: &str) -> String {
    format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{properties}\nEND:VEVENT\nEND:VCALENDAR\n")
}

fn read(text: &str) -> Result<Calendar, Vec<Problem>> {
    let files = [("base.yaml", BASE), ("test.yaml", CALENDAR), ("free.ics", text)];
    let definitions = load(&files.map(|(name, text)| File { name, text }))?;
    Ok(definitions.calendars["tested"][0].clone())
}

fn good(text: &str) -> Calendar {
    read(text).unwrap_or_else(|problems| panic!("{text}\n{}", listed(&problems).join("\n")))
}

/// The days of an event beside New Year's, which the calendar lists itself: `2026-12-25 Christmas Day`.
fn days(properties: &str) -> Vec<String> {
    let days = good(&file(properties)).holidays;
    let listed = NaiveDate::from_ymd_opt(2026, 1, 1).expect("valid");
    let others = days.iter().filter(|(day, _)| **day != listed);
    others.map(|(day, name)| format!("{day} {name}").trim().to_owned()).collect()
}

/// What a timed event closes: `2026-05-04T10:00:00Z/2026-05-04T12:00:00Z`.
fn times(properties: &str) -> Vec<String> {
    good(&file(properties)).closures.iter().map(|closure| format!("{}/{}", closure.from, closure.until)).collect()
}

/// Checks that a file has exactly this problem.
fn check(text: &str, expected: &str) {
    let found = listed(&read(text).err().unwrap_or_default());
    assert!(found.len() == 1 && found[0].starts_with(expected), "in {text}\nfound {found:?}\nexpected {expected}");
}

#[test]
fn r2_events_of_whole_days_are_holidays() {
    assert_eq!(
        days("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227\nSUMMARY:Christmas"),
        ["2026-12-25 Christmas", "2026-12-26 Christmas"]
    );
    assert_eq!(days("DTSTART;VALUE=DATE:20261225"), ["2026-12-25"]);
    assert_eq!(days("DTSTART:20261225\nDURATION:P2D"), ["2026-12-25", "2026-12-26"]);
    // A day that ends on itself, and one that is free for everybody and thus "transparent".
    assert_eq!(days("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261225\nTRANSP:TRANSPARENT"), ["2026-12-25"]);
    assert_eq!(days("DTSTART;VALUE=DATE:20261225\nSTATUS:CANCELLED"), Vec::<String>::new());
    // The calendar lists New Year's Day; the file knows its name.
    let calendar = good(&file("DTSTART;VALUE=DATE:20260101\nSUMMARY:New Year"));
    assert_eq!(calendar.holidays.into_values().collect::<Vec<_>>(), ["New Year"]);
}

#[test]
fn lines_are_unfolded_and_texts_unescaped() {
    let text = "\u{feff}BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:x\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\n\
                END:STANDARD\r\nEND:VTIMEZONE\r\n\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE;X-A=\"a;b:c\":202\r\n 61003\r\n\
                SUMMARY:Day of German \r\n Unity\\, a\\nholi\r\n\tday\r\nBEGIN:VALARM\r\nDTSTART:x\r\nEND:VALARM\r\n\
                END:VEVENT\r\nEND:VCALENDAR";
    let holidays = good(text).holidays;
    let day = NaiveDate::from_ymd_opt(2026, 10, 3).expect("valid");
    assert_eq!(holidays[&day], "Day of German Unity, a holiday");
}

#[test]
fn r2_recurring_days_are_worked_out_until_2060() {
    let labour_day = days("DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY");
    assert_eq!((labour_day.len(), labour_day[39].as_str()), (40, "2059-05-01"));
    // Thanksgiving is the fourth Thursday of November: 2024 the 28th, 2025 the 27th, 2026 the 26th.
    let thanksgiving = "DTSTART;VALUE=DATE:20241128\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH";
    assert_eq!(days(&format!("{thanksgiving};COUNT=3")), ["2024-11-28", "2025-11-27", "2026-11-26"]);
    assert_eq!(days(&format!("{thanksgiving};UNTIL=20251127")), ["2024-11-28", "2025-11-27"]);
    // Some programs end a rule of days at a time.
    assert_eq!(days(&format!("{thanksgiving};UNTIL=20251127T000000Z")), ["2024-11-28", "2025-11-27"]);
    // The last Monday of May, without that of 2025 and with the Tuesday after it.
    let memorial = "DTSTART;VALUE=DATE:20240527\nRRULE:FREQ=MONTHLY;INTERVAL=12;BYDAY=-1MO;COUNT=3";
    let changed = "EXDATE;VALUE=DATE:20250526,20290101\nRDATE;VALUE=DATE:20250527";
    assert_eq!(days(&format!("{memorial}\n{changed}")), ["2024-05-27", "2025-05-27", "2026-05-25"]);
    // What begins after 2060 is a day like any other.
    assert_eq!(days("DTSTART;VALUE=DATE:20610501\nRRULE:FREQ=YEARLY"), ["2061-05-01"]);
}

#[test]
fn r2_timed_events_close_exactly_their_time() {
    // Berlin in summer: 12:00+02:00.
    assert_eq!(
        times("DTSTART;TZID=Europe/Berlin:20260504T120000\nDTEND;TZID=Europe/Berlin:20260504T150000"),
        ["2026-05-04T10:00:00Z/2026-05-04T13:00:00Z"]
    );
    // UTC, the calendar's own zone, another zone (New York is four hours behind UTC in summer), a name with a prefix.
    for (start, end) in [
        (":20260504T100000Z", ":20260504T130000Z"),
        (":20260504T120000", ":20260504T150000"),
        (";TZID=America/New_York:20260504T060000", ":20260504T130000Z"),
        (";TZID=/example.org/20260101/Europe/Berlin:20260504T120000", ";TZID=\"Europe/Berlin\":20260504T150000"),
    ] {
        let closed = times(&format!("DTSTART{start}\nDTEND{end}"));
        assert_eq!(closed, ["2026-05-04T10:00:00Z/2026-05-04T13:00:00Z"], "{start} {end}");
    }
    assert_eq!(times("DTSTART:20260504T100000Z\nDURATION:PT1H30M"), ["2026-05-04T10:00:00Z/2026-05-04T11:30:00Z"]);
    // Clocks go forward on 29 March at 01:00Z. A day of civil time from Saturday noon is 23 hours, 24 hours are 24.
    assert_eq!(times("DTSTART:20260328T120000\nDURATION:P1D"), ["2026-03-28T11:00:00Z/2026-03-29T10:00:00Z"]);
    assert_eq!(times("DTSTART:20260328T120000\nDURATION:PT24H"), ["2026-03-28T11:00:00Z/2026-03-29T11:00:00Z"]);
    // Each week at noon by the clock, whatever the clock does, without the one on Easter Monday (6 April).
    assert_eq!(
        times(
            "DTSTART:20260323T120000\nDTEND:20260323T130000\nRRULE:FREQ=WEEKLY;UNTIL=20260413\nEXDATE:20260406T100000Z"
        ),
        [
            "2026-03-23T11:00:00Z/2026-03-23T12:00:00Z",
            "2026-03-30T10:00:00Z/2026-03-30T11:00:00Z",
            "2026-04-13T10:00:00Z/2026-04-13T11:00:00Z"
        ]
    );
}

/// Clocks in Berlin go back on 25 October 2026 at 01:00Z: they show 02:00 to 03:00 from 00:00Z and again from 01:00Z on.
#[test]
fn r1_an_exact_time_of_an_event_stays_exact_in_an_hour_that_happens_twice() {
    // From 01:30+02:00 until the second 02:30, which is 02:30+01:00.
    assert_eq!(
        times("DTSTART;TZID=Europe/Berlin:20261025T013000\nDTEND:20261025T013000Z"),
        ["2026-10-24T23:30:00Z/2026-10-25T01:30:00Z"]
    );
    let half_hour = "DTSTART;TZID=Europe/Berlin:20261020T100000\nDURATION:PT30M";
    let first = "2026-10-20T08:00:00Z/2026-10-20T08:30:00Z";
    assert_eq!(
        times(&format!("{half_hour}\nRDATE:20261025T013000Z")),
        [first, "2026-10-25T01:30:00Z/2026-10-25T02:00:00Z"]
    );
    // The time of another zone: New York is at UTC-4 until November. 21:30 there is 01:30Z.
    assert_eq!(
        times(&format!("{half_hour}\nRDATE;TZID=America/New_York:20261024T213000")),
        [first, "2026-10-25T01:30:00Z/2026-10-25T02:00:00Z"]
    );
    // Each day at 02:30: on the 25th that is the first of the two, at 00:30Z (RFC 5545, section 3.3.5).
    let daily = "DTSTART;TZID=Europe/Berlin:20261024T023000\nDURATION:PT10M\nRRULE:FREQ=DAILY";
    let [saturday, sunday, monday] = [
        "2026-10-24T00:30:00Z/2026-10-24T00:40:00Z",
        "2026-10-25T00:30:00Z/2026-10-25T00:40:00Z",
        "2026-10-26T01:30:00Z/2026-10-26T01:40:00Z",
    ];
    assert_eq!(times(&format!("{daily};COUNT=3")), [saturday, sunday, monday]);
    // The second 02:30 is another instant, and leaves out nothing.
    assert_eq!(times(&format!("{daily};COUNT=3\nEXDATE:20261025T013000Z")), [saturday, sunday, monday]);
    assert_eq!(times(&format!("{daily};COUNT=3\nEXDATE:20261025T003000Z")), [saturday, monday]);
    // Until an instant, not until what clocks show then: 02:15 for the second time, 02:30 for the first and the second.
    for (until, ends_with_sunday) in
        [("20261025T002959Z", false), ("20261025T003000Z", true), ("20261025T011500Z", true), ("20261025", true)]
    {
        let expected = if ends_with_sunday { vec![saturday, sunday] } else { vec![saturday] };
        assert_eq!(times(&format!("{daily};UNTIL={until}")), expected, "{until}");
    }
}

/// RFC 5545, section 3.8.5.3: with DTEND the exact length of the first is that of all, with DURATION the civil length.
#[test]
fn r2_recurring_events_last_exactly_as_long_as_the_first_or_civil_days() {
    // 01:30 to 03:30 by clocks in Berlin, each Sunday from 15 March 2026 on: 2 h. On the 29th they go forward at 01:00Z:
    // 01:30 is 00:30Z, and two hours later it is 04:30 by the clock.
    let sundays = "DTSTART;TZID=Europe/Berlin:20260315T013000\nDTEND;TZID=Europe/Berlin:20260315T033000\n\
                   RRULE:FREQ=WEEKLY;COUNT=3";
    assert_eq!(
        times(sundays),
        [
            "2026-03-15T00:30:00Z/2026-03-15T02:30:00Z",
            "2026-03-22T00:30:00Z/2026-03-22T02:30:00Z",
            "2026-03-29T00:30:00Z/2026-03-29T02:30:00Z",
        ]
    );
    // The first itself is as long as it says: 01:30 to 03:30 is one hour on that day, and so one hour a week later.
    let first_is_short = "DTSTART;TZID=Europe/Berlin:20260329T013000\nDTEND;TZID=Europe/Berlin:20260329T033000\n\
                          RRULE:FREQ=WEEKLY;COUNT=2";
    assert_eq!(
        times(first_is_short),
        ["2026-03-29T00:30:00Z/2026-03-29T01:30:00Z", "2026-04-04T23:30:00Z/2026-04-05T00:30:00Z"]
    );
    // A civil day from noon to noon: 24 h, and 23 h over the change of clocks.
    assert_eq!(
        times("DTSTART:20260321T120000\nDURATION:P1D\nRRULE:FREQ=WEEKLY;COUNT=2"),
        ["2026-03-21T11:00:00Z/2026-03-22T11:00:00Z", "2026-03-28T11:00:00Z/2026-03-29T10:00:00Z"]
    );
}

#[test]
fn a_later_revision_of_an_event_takes_the_place_of_the_earlier() {
    let revision = |uid: &str, sequence: &str, day: u32| {
        format!("UID:{uid}\n{sequence}DTSTART;VALUE=DATE:202605{day:02}\nEND:VEVENT\nBEGIN:VEVENT\n")
    };
    let last = "UID:z\nDTSTART;VALUE=DATE:20261224";
    // In whatever order they stand; an event without SEQUENCE is the first revision, 0.
    let text = revision("a", "SEQUENCE:2\n", 3) + &revision("a", "", 1) + &revision("a", "SEQUENCE:1\n", 2) + last;
    assert_eq!(days(&text), ["2026-05-03", "2026-12-24"]);
    // Of the same occurrence; other events of that UID stay.
    let weekly = "UID:a\nDTSTART;VALUE=DATE:20260501\nRRULE:FREQ=WEEKLY;COUNT=2\nEND:VEVENT\nBEGIN:VEVENT\n";
    let moved = |sequence, day| {
        format!("RECURRENCE-ID;VALUE=DATE:20260508\n{}", revision("a", &format!("SEQUENCE:{sequence}\n"), day))
    };
    assert_eq!(
        days(&(weekly.to_owned() + &moved(1, 9) + &moved(2, 10) + last)),
        ["2026-05-01", "2026-05-10", "2026-12-24"]
    );
    // One that is cancelled in the end closes nothing.
    let cancelled = revision("a", "SEQUENCE:1\nSTATUS:CANCELLED\n", 1);
    assert_eq!(days(&(revision("a", "", 1) + &cancelled + last)), ["2026-12-24"]);
    // Nothing says which of equals holds, and a holiday that is missing makes a wrong result.
    assert_eq!(
        days(&(revision("a", "", 1) + &revision("a", "", 2) + last)),
        ["2026-05-01", "2026-05-02", "2026-12-24"]
    );
}

#[test]
fn an_occurrence_may_be_replaced_by_an_event_of_its_own() {
    // In 2027 the day is moved to the 2nd, in 2028 it does not take place.
    let properties = "UID:a\nDTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;COUNT=3\nSUMMARY:Outing\nEND:VEVENT\n\
                      BEGIN:VEVENT\nUID:a\nRECURRENCE-ID;VALUE=DATE:20270501\nDTSTART;VALUE=DATE:20270502\nEND:VEVENT\n\
                      BEGIN:VEVENT\nUID:a\nRECURRENCE-ID;VALUE=DATE:20280501\nDTSTART;VALUE=DATE:20280501\n\
                      STATUS:CANCELLED";
    assert_eq!(days(properties), ["2026-05-01 Outing", "2027-05-02"]);
}

#[test]
fn files_that_are_broken_are_told_with_their_line() {
    for (text, expected) in [
        ("", "free.ics:1: found no event, expected at least one VEVENT"),
        ("<html>", "free.ics:1: found \"<html>\", expected a line of iCalendar"),
        ("BEGIN:VCARD\n", "free.ics:1: found \"BEGIN:VCARD\", expected an iCalendar file, which starts with"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "free.ics:2: found BEGIN:VEVENT without an end, expected END:VEVENT"),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\n\nEND:VCALENDAR\n",
            "free.ics:4: found \"END:VCALENDAR\", expected END:VEVENT, which ends what line 2 begins",
        ),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR\n", "free.ics:1: found no event"),
    ] {
        check(text, expected);
    }
    // Nesting without end does not end the process.
    check(&("BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\n".repeat(200_000)), "free.ics:200001: found BEGIN:X without");
}

#[test]
fn events_that_mean_nothing_are_told_with_their_line() {
    let day = "DTSTART;VALUE=DATE:20260501";
    let time = "DTSTART:20260501T080000Z";
    for (properties, expected) in [
        ("SUMMARY:x".to_owned(), "2: DTSTART: found nothing, expected the day or time"),
        ("DTSTART:20260230".to_owned(), "3: DTSTART: found \"20260230\", expected a day such as 20260101"),
        ("DTSTART:20260501T0800".to_owned(), "3: DTSTART: found \"20260501T0800\""),
        ("DTSTART:16010101".to_owned(), "3: DTSTART: found \"16010101\", expected a day"),
        (
            "DTSTART;TZID=Europe/Berln:20260501T080000".to_owned(),
            "3: DTSTART: found \"Europe/Berln\", expected an IANA time zone such as Europe/Berlin as its TZID; perhaps",
        ),
        (format!("{time}\nSUMMARY:x"), "2: DTEND: found nothing, expected the time at which the event ends"),
        (format!("{time}\nDTEND:20260501T080000Z"), "4: DTEND: found \"20260501T080000Z\", expected an end after"),
        (format!("{time}\nDTEND:20260502"), "4: DTEND: found \"20260502\", expected a time, as DTSTART is one"),
        (format!("{day}\nDTEND:20260430"), "4: DTEND: found \"20260430\", expected an end after the start"),
        (format!("{day}\nDTEND:20560430"), "4: DTEND: found \"20560430\", expected an end after the start, within"),
        // 02:30 is skipped in Berlin on that day and moves to 03:30, behind the end.
        (
            "DTSTART;TZID=Europe/Berlin:20260329T023000\nDTEND;TZID=Europe/Berlin:20260329T030000".to_owned(),
            "4: DTEND: found \"20260329T030000\", expected an end after the start",
        ),
        (format!("UID:a\nSEQUENCE:x\n{day}"), "4: SEQUENCE: found \"x\", expected the number of a revision such as 0"),
        (format!("{day}\nDURATION:PT1H"), "4: DURATION: found \"PT1H\", expected a duration of days such as P3D"),
        (format!("{time}\nDURATION:-PT1H"), "4: DURATION: found \"-PT1H\", expected a duration such as PT4H30M"),
        (format!("{time}\nDURATION:PT99999999999999999H"), "4: DURATION: found \"PT99"),
        (format!("{day}\nRDATE;VALUE=PERIOD:20260501T080000Z/PT1H"), "4: RDATE: found \"20260501T08"),
        (format!("{day}\nRDATE:20260501T080000Z"), "4: RDATE: found \"20260501T080000Z\", expected days, as DTSTART"),
        (format!("{day}\nEXDATE:soon"), "4: EXDATE: found \"soon\", expected a day"),
        (format!("{day}\nEXRULE:FREQ=YEARLY"), "4: EXRULE: found \"FREQ=YEARLY\", expected one RRULE, with EXDATE"),
        (
            format!("UID:a\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260501\n{day}"),
            "4: RECURRENCE-ID: found \"20260501\", expected no RANGE",
        ),
    ] {
        check(&file(&properties), &format!("free.ics:{expected}"));
    }
}

#[test]
fn rules_that_are_absurd_are_told_and_do_not_hang() {
    let every_second: String = (0..60).map(|second| second.to_string()).collect::<Vec<_>>().join(",");
    for (rule, expected) in [
        ("FREQ=SECONDLY".to_owned(), "a frequency of days or more: one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("FREQ=HOURLY;COUNT=2".to_owned(), "a frequency of days or more"),
        (format!("FREQ=YEARLY;BYSECOND={every_second}"), "a rule of these parts: one of FREQ"),
        ("FREQ=YEARLY;RSCALE=HEBREW".to_owned(), "a rule of these parts"),
        ("FREQ=YEARLY;BYMONTH=13".to_owned(), "a rule that can be followed"),
        ("BYMONTH=5".to_owned(), "a rule that can be followed"),
        ("FREQ=YEARLY;UNTIL=20250101".to_owned(), "a rule that can be followed"),
        ("FREQ=YEARLY;INTERVAL=0".to_owned(), "a rule whose INTERVAL is at least 1"),
        ("FREQ=YEARLY;COUNT=00".to_owned(), "a rule whose COUNT is at least 1"),
        // The crate `rrule` knows the fifth Friday of a month, but not the fifth last.
        ("FREQ=MONTHLY;BYDAY=-5FR".to_owned(), "a rule that can be followed"),
        ("FREQ=YEARLY;UNTIL=never".to_owned(), "a day such as 20260101"),
        // Never at all, and never on its own start, a Friday.
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30".to_owned(), "a rule of which DTSTART is the first occurrence"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30".to_owned(), "a rule of which DTSTART is the first occurrence"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO".to_owned(), "a rule of which DTSTART is the first occurrence"),
        ("FREQ=WEEKLY;BYDAY=MO".to_owned(), "a rule of which DTSTART is the first occurrence"),
        // The crate that follows rules cuts words at fixed bytes: this is within a character of four.
        ("FREQ=WEEKLY;BYDAY=M🦀".to_owned(), "a rule in ASCII, as RFC 5545 writes it"),
    ] {
        let text = file(&format!("DTSTART;VALUE=DATE:20260501\nRRULE:{rule}"));
        check(
            &text,
            &format!("free.ics:4: RRULE: found {}, expected {expected}", super::super::problem::quoted(&rule)),
        );
    }
    // Ten years a time, each day: more than a file may close.
    check(
        &file("DTSTART;VALUE=DATE:20260501\nDURATION:P3650D\nRRULE:FREQ=DAILY"),
        "free.ics:3: DTSTART: found \"20260501\", expected events that close at most 65535 days and times in one file",
    );
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let found = load(&[File { name: "a/test.yaml", text: CALENDAR }, File { name: "fre.ics", text: "" }]);
    let found = listed(&found.expect_err("the file is missing"));
    let expected = "a/test.yaml:3: spec.holidays[1]: found \"./days/../free.ics\", expected the name, relative to this \
                    file, of an iCalendar file in the folder of definitions: fre.ics";
    assert_eq!(found, [expected]);
    // The same file, named from below.
    let text = CALENDAR.replace("./days/../free.ics", "../FREE.ICS");
    let event = file("DTSTART:20261225");
    let found = load(&[File { name: "a/test.yaml", text: &text }, File { name: "FREE.ICS", text: &event }]);
    assert_eq!(found.expect("sound").calendars["tested"][0].holidays.len(), 2);
}
