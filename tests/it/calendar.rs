//! `plimsoll calendar`: questions as arguments and on standard input, and a month.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::{output, plimsoll};

/// The calendar of docs/rules/r01-r02-time.md, with a version after it, and a file of holidays.
const CALENDARS: &str = "
{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: desk}, spec: {time_zone: Europe/Berlin,
hours: [{days: mon-fri, from: '08:00', until: '12:00'}, {days: mon-fri, from: '13:00', until: '17:00'}],
holidays: [free.ics], exceptions: [{date: 2026-12-24, hours: [{from: '08:00', until: '12:00'}]}]}}
---
{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: desk, version: 2}, spec: {time_zone: Europe/Berlin,
effective: {from: 2027-01-01}, hours: [{days: mon-fri, from: '09:00', until: '17:00'}]}}
";
const HOLIDAYS: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20201225\r\nRRULE:FREQ=YEARLY\r\n\
                        SUMMARY:Christmas Day\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("calendars.yaml"), CALENDARS).expect("a file");
    std::fs::write(folder.path().join("free.ics"), HOLIDAYS).expect("a file");
    folder
}

/// Asks the calendar `desk`.
fn asked(folder: &Path, arguments: &[&str]) -> String {
    let folder = folder.to_string_lossy();
    output(&[&["calendar", arguments[0], "-d", &folder, "-c", "desk"], &arguments[1..]].concat())
}

/// Asks with these lines on standard input.
fn asked_in_lines(folder: &Path, arguments: &[&str], lines: &str) -> Output {
    let mut process = plimsoll()
        .args(["calendar", arguments[0], "-c", "desk", "-d"])
        .arg(folder)
        .args(&arguments[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    process.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("written");
    process.wait_with_output().expect("it ends")
}

#[test]
fn r2_the_example_of_the_page_on_time_is_answered() {
    let folder = folder();
    let expected = "\
start    Wed 2026-12-23 15:30:00 +01:00 Europe/Berlin  2026-12-23T14:30:00Z
amount   8h                                            28800000000 us
due      Mon 2026-12-28 10:30:00 +01:00 Europe/Berlin  2026-12-28T09:30:00Z
";
    assert_eq!(asked(folder.path(), &["due", "2026-12-23T15:30", "8h"]), expected);
    let question = ["elapsed", "2026-12-23T15:30", "2026-12-28T10:30:00+01:00", "--format", "json"];
    let expected = r#"{"from":"2026-12-23T14:30:00Z","until":"2026-12-28T09:30:00Z","elapsed_us":28800000000}"#;
    assert_eq!(asked(folder.path(), &question).trim_end(), expected);
}

#[test]
fn questions_come_a_line_each_and_a_bad_one_is_named() {
    let folder = folder();
    // Over the change of versions: Thursday, 31 December, eight hours, then Friday's from 09:00 to 10:00.
    let lines = "2026-12-31 2027-01-01T10:00\n\n2026-12-28T08:00:00+01:00, 2026-12-28T08:00:00.000001+01:00\n";
    let done = asked_in_lines(folder.path(), &["elapsed", "--format", "csv"], lines);
    let expected = "from,until,elapsed_us\n\
                    2026-12-30T23:00:00Z,2027-01-01T09:00:00Z,32400000000\n\
                    2026-12-28T07:00:00Z,2026-12-28T07:00:00.000001Z,1\n";
    assert_eq!(String::from_utf8_lossy(&done.stdout), expected);
    let done = asked_in_lines(folder.path(), &["due", "-"], "2026-12-28 1h 30m\n2059-12-31 900h\nnever\n");
    let expected = "2026-12-27T23:00:00Z        1h 30m               2026-12-28T08:30:00Z\n\
                    2059-12-30T23:00:00Z        900h                 never\n";
    assert_eq!(String::from_utf8_lossy(&done.stdout), expected);
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(told.contains("line 3 of standard input: found \"never\", expected two values"), "{told}");
}

#[test]
fn r1_the_end_of_a_day_is_the_next_midnight_and_years_have_four_digits() {
    let folder = folder();
    let question = ["elapsed", "2026-12-28T24:00", "2026-12-29T24:00:00", "--format", "json"];
    let expected = r#"{"from":"2026-12-28T23:00:00Z","until":"2026-12-29T23:00:00Z","elapsed_us":28800000000}"#;
    assert_eq!(asked(folder.path(), &question).trim_end(), expected);
    let at_the_end = asked_in_lines(folder.path(), &["due", "-"], "9999-12-31T20:00:00-05:00 1h\n");
    let told = String::from_utf8_lossy(&at_the_end.stderr);
    assert!(told.contains("it lies in the year 10000, which RFC 3339 cannot write"), "{told}");
}

#[test]
fn a_month_is_printed_as_people_read_it() {
    let folder = folder();
    let shown = asked(folder.path(), &["show", "--month", "2026-12"]);
    assert!(shown.starts_with("December 2026: desk, version 1, Europe/Berlin\n"), "{shown}");
    // 1 to 31 December has 23 weekdays; 21 of eight hours, four on the 24th, none on the 25th.
    assert!(shown.ends_with("agreed: 172h on 22 days\n"), "{shown}");
    let rows: Vec<&str> = shown.lines().filter(|line| line.contains("own hours")).collect();
    assert!(rows.len() == 1 && rows[0].contains("Christmas Day"), "{shown}");
    // Before its first version a calendar has no time, and no holidays either.
    let (before, text) = (
        tempfile::tempdir().expect("a folder"),
        CALENDARS.replace("holidays:", "effective: {from: 2026-12-28}, holidays:"),
    );
    std::fs::write(before.path().join("calendars.yaml"), text).expect("a file");
    std::fs::write(before.path().join("free.ics"), HOLIDAYS).expect("a file");
    let shown = asked(before.path(), &["show", "--month", "2026-12"]);
    // Monday the 28th to Thursday the 31st.
    assert!(shown.ends_with("agreed: 32h on 4 days\n"), "{shown}");
    assert!(shown.contains("no version") && !shown.contains("Christmas") && !shown.contains("own hours"), "{shown}");
    let next = asked(folder.path(), &["show", "--month", "2027-01"]);
    assert!(next.contains("version 2") && next.contains("09:00-17:00") && !next.contains("08:00"), "{next}");
}
