//! Windows: cases calculated by hand, and the law that they tile the time axis (R13).

use plimsoll_schemas::Micros;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const KINDS: [WindowKind; 7] = [
    WindowKind::Day,
    WindowKind::Week,
    WindowKind::Month,
    WindowKind::QUARTER,
    WindowKind::YEAR,
    WindowKind::Quarter { first_month: 2 },
    WindowKind::Year { first_month: 10 },
];

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).expect("RFC 3339")
}

fn zone(name: &str) -> Tz {
    name.parse().expect("zone")
}

fn check(kind: WindowKind, name: &str, t: &str, start: &str, end: &str) {
    let expected = Window { start: at(start), end: at(end) };
    assert_eq!(window_containing(kind, zone(name), at(t)), expected, "{} of {t} in {name}", kind.as_str());
    // Both of its ends are in it or not, as a half-open interval wants.
    assert_eq!(window_containing(kind, zone(name), expected.start), expected);
    assert_eq!(window_containing(kind, zone(name), expected.end - Micros(1)), expected);
    assert_eq!(window_containing(kind, zone(name), expected.end).start, expected.end);
}

#[test]
fn r13_windows_of_each_kind_start_at_the_zones_midnight() {
    let (berlin, t) = ("Europe/Berlin", "2026-03-29T12:00:00Z");
    // 29 March 2026 is a Sunday and has 23 hours: from +01:00 to +02:00.
    check(WindowKind::Day, berlin, t, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
    check(WindowKind::Week, berlin, t, "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
    check(WindowKind::Month, berlin, t, "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00");
    check(WindowKind::QUARTER, berlin, t, "2026-01-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00");
    check(WindowKind::YEAR, berlin, t, "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00");
    // New year comes earlier in Kathmandu: 18:15Z is already 00:00+05:45.
    let (before, after) = ("2025-12-31T18:14:59.999999Z", "2025-12-31T18:15:00Z");
    check(WindowKind::YEAR, "Asia/Kathmandu", before, "2025-01-01T00:00:00+05:45", "2026-01-01T00:00:00+05:45");
    check(WindowKind::QUARTER, "Asia/Kathmandu", after, "2026-01-01T00:00:00+05:45", "2026-04-01T00:00:00+05:45");
}

#[test]
fn r13_iso_weeks_leap_days_and_years_of_53_weeks() {
    // 2026 starts on a Thursday and so has 53 ISO weeks, from Monday 2025-12-29 to Sunday 2027-01-03.
    check(WindowKind::Week, "UTC", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z");
    let weeks =
        windows_between(WindowKind::Week, Tz::UTC, at("2025-12-29T00:00:00Z"), at("2027-01-04T00:00:00Z")).count();
    assert_eq!(weeks, 53);
    check(WindowKind::Day, "UTC", "2028-02-29T23:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z");
    check(WindowKind::Month, "UTC", "2028-02-29T23:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
    let days =
        windows_between(WindowKind::Day, Tz::UTC, at("2028-01-01T00:00:00Z"), at("2029-01-01T00:00:00Z")).count();
    assert_eq!(days, 366);
}

#[test]
fn r1_windows_where_midnight_is_skipped_or_repeated() {
    // São Paulo skipped midnight: 4 November 2018 starts at 01:00-02:00, which is 24:00-03:00 of the 3rd.
    let day = "2018-11-04T12:00:00Z";
    check(WindowKind::Day, "America/Sao_Paulo", day, "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z");
    // It put 00:00 back to 23:00: 17 February 2018 has 25 hours.
    let day = "2018-02-17T12:00:00Z";
    check(WindowKind::Day, "America/Sao_Paulo", day, "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z");
    // St John's put 00:01 back to 23:01: the earlier midnight starts 7 November 2010, although at 03:00Z clocks show
    // 23:30 of the 6th again.
    for t in ["2010-11-07T02:30:30Z", "2010-11-07T03:00:00Z", "2010-11-07T12:00:00Z"] {
        check(WindowKind::Day, "America/St_Johns", t, "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
    }
    // Samoa had no 30 December 2011: the 29th meets the 31st.
    check(WindowKind::Day, "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    check(WindowKind::Day, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
}

#[test]
fn r13_windows_between_are_those_that_share_time() {
    let days = |from, until| {
        let windows = windows_between(WindowKind::Day, Tz::UTC, at(from), at(until));
        windows.map(|day| day.start.to_string()[..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(days("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), ["2026-01-01"]);
    assert_eq!(days("2026-01-01T23:59:59Z", "2026-01-02T00:00:00.000001Z"), ["2026-01-01", "2026-01-02"]);
    assert!(days("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z").is_empty());
    assert!(days("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z").is_empty());
}

#[test]
fn r1_half_open_windows_clip_and_contain() {
    let window = |start, end| Window { start: Instant(start), end: Instant(end) };
    assert!(window(1, 3).contains(Instant(1)) && window(1, 3).contains(Instant(2)));
    assert!(!window(1, 3).contains(Instant(3)) && !window(1, 3).contains(Instant(0)));
    assert_eq!(window(1, 5).clip(window(3, 9)), Some(window(3, 5)));
    assert_eq!(window(1, 5).clip(window(2, 3)), Some(window(2, 3)));
    assert_eq!(window(1, 5).clip(window(5, 9)), None);
}

#[test]
fn absurd_instants_end_the_windows_instead_of_the_program() {
    for kind in KINDS {
        for t in [i64::MIN, i64::MIN / 2, i64::MAX / 2, i64::MAX] {
            let window = window_containing(kind, zone("Pacific/Apia"), Instant(t));
            assert!(window.start < window.end);
            assert!(windows_between(kind, zone("Pacific/Apia"), window.start, Instant(i64::MAX)).take(400).count() > 0);
        }
        let ends = windows_between(kind, Tz::UTC, at("9999-10-01T00:00:00Z"), Instant(i64::MAX));
        assert!(ends.count() <= 94); // 92 days of the last quarter, and one or two windows after it.
    }
}

proptest! {
    #[test]
    fn r13_windows_tile_the_time_axis(
        kind in select(&KINDS[..]),
        zone in select(&chrono_tz::TZ_VARIANTS[..]),
        t in Instant::EARLIEST.0..Instant::LATEST.0,
        length in 0..400 * Micros::DAY.0,
    ) {
        let (from, until) = (Instant(t), Instant(t + length));
        let windows: Vec<Window> = windows_between(kind, zone, from, until).collect();
        prop_assert_eq!(windows.is_empty(), length == 0);
        for window in &windows {
            let shared = window.clip(Window { start: from, end: until });
            prop_assert!(shared.is_some());
            for inside in [window.start, window.end - Micros(1)] {
                prop_assert_eq!(window_containing(kind, zone, inside), *window);
            }
        }
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
        if let [first, .., last] = windows[..] {
            prop_assert!(first.contains(from) && last.contains(until - Micros(1)));
        }
    }
}

#[test]
fn r13_quarters_and_years_may_begin_with_any_month() {
    let (quarter, year) =
        (|first_month| WindowKind::Quarter { first_month }, |first_month| WindowKind::Year { first_month });
    // Quarters of a year that begins in February: February to April, May to July, August to October, November to
    // January.
    check(quarter(2), "UTC", "2026-01-31T23:59:59.999999Z", "2025-11-01T00:00:00Z", "2026-02-01T00:00:00Z");
    check(quarter(2), "UTC", "2026-04-30T00:00:00Z", "2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z");
    // Those of one that begins in December, 12 + 3 n, begin with the quarters of March, June and September, too.
    check(quarter(12), "UTC", "2026-01-15T00:00:00Z", "2025-12-01T00:00:00Z", "2026-03-01T00:00:00Z");
    check(year(4), "UTC", "2026-03-31T23:59:59Z", "2025-04-01T00:00:00Z", "2026-04-01T00:00:00Z");
    check(year(4), "Asia/Kolkata", "2026-03-31T18:30:00Z", "2026-04-01T00:00:00+05:30", "2027-04-01T00:00:00+05:30");
    check(year(12), "UTC", "2026-12-31T00:00:00Z", "2026-12-01T00:00:00Z", "2027-12-01T00:00:00Z");
}

#[test]
fn r13_rolling_windows_end_with_each_day_hour_or_minute() {
    let berlin = zone("Europe/Berlin");
    let week = WindowKind::Rolling { length: Micros(7 * Micros::DAY.0), every: Every::Day };
    // At noon of 29 March 2026, which has 23 hours, the newest ends at 00:00+02:00 of the 30th, and it began 168 h
    // before: at 22:00Z of the 22nd, 23:00+01:00.
    let newest = window_containing(week, berlin, at("2026-03-29T12:00:00+02:00"));
    assert_eq!(newest, Window { start: at("2026-03-22T23:00:00+01:00"), end: at("2026-03-30T00:00:00+02:00") });
    assert_eq!(newest_from(week, berlin, newest), at("2026-03-29T00:00:00+01:00"));
    let ends: Vec<_> = windows_between(week, berlin, at("2026-03-28T05:00:00Z"), at("2026-03-29T22:00:00Z"))
        .map(|window| window.end)
        .collect();
    assert_eq!(ends, [at("2026-03-29T00:00:00+01:00"), at("2026-03-30T00:00:00+02:00")], "until is not included");
    let hours = WindowKind::Rolling { length: Micros(90 * Micros::MINUTE.0), every: Every::Hour };
    let newest = window_containing(hours, Tz::UTC, at("2026-03-01T10:00:00Z"));
    assert_eq!(newest, Window { start: at("2026-03-01T09:30:00Z"), end: at("2026-03-01T11:00:00Z") });
    // Windows of 90 minutes start at each half hour and end at each full one, which is where they cut.
    let stretch = uncut_stretch(hours, Tz::UTC, at("2026-03-01T10:10:00Z"));
    assert_eq!(stretch, Window { start: at("2026-03-01T10:00:00Z"), end: at("2026-03-01T10:30:00Z") });
    // The 90 seconds until each full minute start at each half minute.
    let minutes = WindowKind::Rolling { length: Micros(90 * Micros::SECOND.0), every: Every::Minute };
    let newest = window_containing(minutes, Tz::UTC, at("2026-03-01T10:00:00Z"));
    assert_eq!(newest, Window { start: at("2026-03-01T09:59:30Z"), end: at("2026-03-01T10:01:00Z") });
    assert_eq!(newest_from(minutes, Tz::UTC, newest), at("2026-03-01T10:00:00Z"));
    let stretch = uncut_stretch(minutes, Tz::UTC, at("2026-03-01T10:00:40Z"));
    assert_eq!(stretch, Window { start: at("2026-03-01T10:00:30Z"), end: at("2026-03-01T10:01:00Z") });
}

proptest! {
    #[test]
    fn r13_no_window_cuts_an_uncut_stretch(
        name in select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe"]),
        seconds in 0_i64..4_000_000_000,
        halves in prop_oneof![2_i64..120, 120_i64..200_000],
        hourly in any::<bool>(),
    ) {
        let every = match halves {
            ..120 => Every::Minute,
            _ if hourly || halves < 2_880 => Every::Hour,
            _ => Every::Day,
        };
        let length = Micros(halves * Micros::MINUTE.0 / 2);
        let (zone, t) = (zone(name), Instant(seconds * Micros::SECOND.0));
        let kind = WindowKind::Rolling { length, every };
        let stretch = uncut_stretch(kind, zone, t);
        prop_assert!(stretch.contains(t));
        prop_assert_eq!(uncut_stretch(kind, zone, stretch.start), stretch);
        prop_assert_eq!(uncut_stretch(kind, zone, stretch.end - Micros(1)), stretch);
        // Windows that end from a day before it to a day after the last that can hold it.
        for window in windows_between(kind, zone, t - Micros::DAY, t + length + Micros::DAY).take(4_000) {
            let common = window.clip(stretch);
            prop_assert!(common.is_none() || common == Some(stretch), "{window:?} cuts {stretch:?}");
        }
    }
}
