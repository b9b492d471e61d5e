//! Calendars: hours, single days, versions.

use chrono::{NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;

use super::{check, document, good};
use crate::definition::{AROUND_THE_CLOCK, DaySpan};

#[test]
fn r2_hours_are_sorted_spans_of_civil_time() {
    let text = document(
        "Calendar",
        "
time_zone: America/New_York
hours:
  - {days: sat-mon, from: '22:00', until: '06:00'}
  - {days: [wed], from: '00:00', until: '24:00'}
holidays: [2026-12-25, 2026-01-01, 2026-01-01]
",
    );
    let definitions = good(&text);
    let calendar = &definitions.calendars["tested"][0];
    assert_eq!(calendar.time_zone, Tz::America__New_York);
    let at = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("valid");
    let spans: Vec<_> = calendar.hours.iter().map(|(day, span)| (*day, span.from, span.until)).collect();
    assert_eq!(
        spans,
        [
            (Weekday::Mon, at(22), at(6)),
            (Weekday::Wed, at(0), at(0)),
            (Weekday::Sat, at(22), at(6)),
            (Weekday::Sun, at(22), at(6)),
        ]
    );
    let date = |month, day| NaiveDate::from_ymd_opt(2026, month, day).expect("valid");
    assert_eq!(calendar.holidays.keys().copied().collect::<Vec<_>>(), [date(1, 1), date(12, 25)]);
    assert_eq!((calendar.version, calendar.effective_from, calendar.effective_until), (1, None, None));
    assert_eq!(definitions.calendars[AROUND_THE_CLOCK][0].hours.len(), 7);
}

#[test]
fn calendars_are_sound() {
    check(
        &document(
            "Calendar",
            "
time_zone: Europe/Berln
hours:
  - {days: [mon, tus], from: '8:00', until: '17:00'}
  - {days: mon-fry, from: '08:00', until: '25:00'}
  - {days: tue, from: '08:00', until: '08:00'}
  - {days: wed, from: '24:00', until: '08:00'}
holidays: [2026-02-30, 25.12.2026, 2026-12-25]
",
        ),
        &[
            "5: spec.time_zone: found \"Europe/Berln\", expected an IANA time zone such as Europe/Berlin or UTC; \
             perhaps \"Europe/Berlin\" is meant",
            "7: spec.hours[0].days[1]: found \"tus\", expected a weekday: one of mon, tue, wed, thu, fri, sat, sun; \
             perhaps",
            "7: spec.hours[0].from: found \"8:00\", expected a time of day from 00:00 to 24:00",
            "8: spec.hours[1].days: found \"mon-fry\", expected weekdays: one of mon, tue",
            "8: spec.hours[1].until: found \"25:00\", expected a time of day",
            "9: spec.hours[2].until: found \"08:00\", expected an end that differs from the start",
            "10: spec.hours[3].from: found \"24:00\", expected a time of day before 24:00",
            "11: spec.holidays[0]: found \"2026-02-30\", expected a date that exists",
            "11: spec.holidays[1]: found \"25.12.2026\", expected a date such as 2026-12-25, or the name of an iCalendar file",
        ],
    );
    check(
        &document("Calendar", "hours: []"),
        &[
            "4: spec.time_zone: found nothing, expected the IANA time zone in which",
            "5: spec.hours: found an empty list, expected at least one entry",
        ],
    );
}

#[test]
fn hours_do_not_overlap_even_across_the_end_of_the_week() {
    check(
        &document(
            "Calendar",
            "
time_zone: UTC
hours:
  - {days: mon-fri, from: '08:00', until: '12:00'}
  - {days: mon-fri, from: '12:00', until: '17:00'}
  - {days: fri, from: '16:00', until: '18:00'}
  - {days: sun, from: '22:00', until: '08:30'}
",
        ),
        &[
            "9: spec.hours[2]: found hours on fri that overlap, expected hours apart from those of spec.hours[1] \
             (test.yaml:8)",
            "10: spec.hours[3]: found hours on sun that overlap, expected hours apart from those of spec.hours[0] \
             (test.yaml:7)",
        ],
    );
}

#[test]
fn r2_single_days_have_hours_of_their_own() {
    let text = document(
        "Calendar",
        "
time_zone: Europe/Berlin
hours: [{days: mon-fri, from: 08:00, until: 17:00}]
holidays: [2026-12-25]
exceptions:
  - {date: 2026-12-24, hours: [{from: 09:00, until: 12:00}, {from: 08:00, until: 08:30}]}
  - {date: 2026-12-31, hours: []}
",
    );
    let calendar = good(&text).calendars.remove("tested").expect("there").remove(0);
    let date = |day| NaiveDate::from_ymd_opt(2026, 12, day).expect("valid");
    let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("valid");
    assert_eq!(
        calendar.exceptions.into_iter().collect::<Vec<_>>(),
        [
            (
                date(24),
                vec![DaySpan { from: at(8, 0), until: at(8, 30) }, DaySpan { from: at(9, 0), until: at(12, 0) }]
            ),
            (date(31), Vec::new())
        ]
    );
    check(
        &document(
            "Calendar",
            "
time_zone: UTC
hours: [{days: mon, from: 08:00, until: 17:00}]
exceptions:
  - {date: 2026-12-24, hours: [{from: 08:00, until: 12:00}, {from: 11:00, until: 13:00}]}
  - {date: 2026-12-24, hours: []}
  - {date: 2026-02-30, hours: []}
  - {date: 2026-12-31}
",
        ),
        &[
            "8: spec.exceptions[0].hours[1]: found hours on 2026-12-24 that overlap, expected hours apart from those of \
             spec.exceptions[0].hours[0] (test.yaml:8)",
            "9: spec.exceptions[1].date: found 2026-12-24 again, expected each date once",
            "10: spec.exceptions[2].date: found \"2026-02-30\", expected a date that exists",
            "11: spec.exceptions[3].hours: found nothing, expected its hours",
        ],
    );
}

fn version(number: u32, effective: &str) -> String {
    format!(
        "---\n{{apiVersion: plimsoll/v1, kind: Calendar, metadata: {{id: desk, version: {number}}},\nspec: {{time_zone: \
         UTC, hours: [{{days: mon, from: 08:00, until: 17:00}}]{effective}}}}}\n"
    )
}

#[test]
fn r24_versions_of_calendars_follow_one_another() {
    // The first has always been in force and ends where the second begins; between that and the third is a gap.
    let text = [
        version(3, ", effective: {from: 2027-01-01}"),
        version(1, ""),
        version(2, ", effective: {from: 2026-03-01, until: 2026-10-01}"),
    ];
    let definitions = good(&text.concat());
    let date = |text: &str| Some(text.parse::<NaiveDate>().expect("valid"));
    let versions: Vec<_> = definitions.calendars["desk"]
        .iter()
        .map(|calendar| (calendar.version, calendar.effective_from, calendar.effective_until))
        .collect();
    assert_eq!(
        versions,
        [(1, None, date("2026-03-01")), (2, date("2026-03-01"), date("2026-10-01")), (3, date("2027-01-01"), None)]
    );
}

#[test]
fn r24_versions_of_calendars_do_not_overlap() {
    for (first, second, expected) in [
        ("", "", "6: spec.effective: found nothing, expected the first day it is in force, for version 1 has none"),
        (
            ", effective: {from: 2026-01-01}",
            ", effective: {from: 2026-01-01}",
            "6: spec.effective.from: found \"2026-01-01\", expected a day after 2026-01-01, when version 1 starts",
        ),
        (
            ", effective: {until: 2026-02-01}",
            ", effective: {from: 2026-01-01}",
            "6: spec.effective.from: found \"2026-01-01\", expected 2026-02-01 or later, when version 1 ends (test.yaml:2)",
        ),
        (
            "",
            ", effective: {from: 2026-02-01, until: 2026-02-01}",
            "6: spec.effective.until: found \"2026-02-01\", expected a date after 2026-02-01",
        ),
    ] {
        check(&(version(1, first) + &version(2, second)), &[expected]);
    }
    check(
        &(version(1, "") + &version(1, ", effective: {from: 2026-01-01}")),
        &["5: metadata.id: found \"desk\" version 1 again, expected an id of its own"],
    );
}
