//! What holds for every calendar (R2, R24): the laws of agreed time, and a reference that counts minute by minute.

use std::slice::from_ref;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use plimsoll_schemas::civil::{instant_of_local, local_of_instant};
use plimsoll_schemas::definition::DaySpan;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const WEEKDAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

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
        ("Africa/Cairo", "2026-04-24"),
        ("Africa/Cairo", "2026-10-30"),
        ("Asia/Beirut", "2026-03-29"),
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

fn span() -> impl Strategy<Value = DaySpan> {
    (0..1440u32, 0..1440u32)
        .prop_map(|(from, until)| DaySpan { from: time_of_minute(from), until: time_of_minute(until) })
}

/// A place and a random calendar there, its times on whole minutes; its holidays, days of its own and closures lie near
/// the change of clocks.
fn calendars() -> impl Strategy<Value = (NaiveDate, definition::Calendar)> {
    let closure = (-5760..5760i64, 1..2880i64);
    let own = (-4..4i64, vec(span(), 0..3));
    let parts =
        (places(), vec((select(&WEEKDAYS[..]), span()), 0..8), vec(-4..4i64, 0..3), vec(own, 0..3), vec(closure, 0..3));
    parts.prop_map(|((time_zone, day), hours, holidays, exceptions, closures)| {
        let near = |days: i64| day + TimeDelta::days(days);
        let minute = |minutes: i64| midnight_utc(day) + Micros(minutes * Micros::MINUTE.0);
        let definition = definition::Calendar {
            time_zone,
            hours,
            holidays: holidays.into_iter().map(|days| (near(days), String::new())).collect(),
            exceptions: exceptions.into_iter().map(|(days, spans)| (near(days), spans)).collect(),
            closures: closures
                .into_iter()
                .map(|(from, length)| (minute(from), minute(from + length)))
                .map(|(from, until)| definition::Closure { from, until, name: String::new() })
                .collect(),
            ..definition::Calendar::default()
        };
        (day, definition)
    })
}

fn midnight_utc(day: NaiveDate) -> Instant {
    Instant::from(Utc.from_utc_datetime(&day.and_time(NaiveTime::MIN)))
}

/// What clocks show and whether time is agreed, for each minute of some weeks: no search, no merging, no table.
struct Minutes {
    first: Instant,
    shown: Vec<NaiveDateTime>,
    agreed: Vec<bool>,
}

impl Minutes {
    fn count(definition: &definition::Calendar, day: NaiveDate) -> Minutes {
        let first = midnight_utc(day - Days::new(8));
        let shown: Vec<_> = (0..16 * 1440)
            .map(|minute| local_of_instant(definition.time_zone, first + Micros(minute * Micros::MINUTE.0)))
            .collect();
        let mut minutes = Minutes { first, agreed: vec![false; shown.len()], shown };
        for day in (day - Days::new(7)).iter_days().take(13) {
            let weekly = definition.hours.iter().filter(|(weekday, _)| *weekday == day.weekday());
            let mut spans: Vec<DaySpan> = weekly.map(|(_, span)| *span).collect();
            if definition.holidays.contains_key(&day) {
                spans.clear();
            }
            if let Some(own) = definition.exceptions.get(&day) {
                spans.clone_from(own);
            }
            for span in spans {
                let end_day = if span.from < span.until { day } else { day + Days::new(1) };
                let start = minutes.when_shown(day.and_time(span.from));
                for minute in start..minutes.when_shown(end_day.and_time(span.until)).max(start) {
                    minutes.agreed[minute] = true;
                }
            }
        }
        for minute in 0..minutes.agreed.len() {
            let closed =
                |closure: &definition::Closure| (closure.from..closure.until).contains(&minutes.instant(minute));
            let is_closed = definition.closures.iter().any(closed);
            minutes.agreed[minute] &= !is_closed;
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

/// From a microsecond to thirty years, short ones as often as long ones.
fn amounts() -> impl Strategy<Value = i64> {
    const THIRTY_YEARS: i64 = 30 * 366 * Micros::DAY.0;
    prop_oneof![0..1_000i64, 0..Micros::HOUR.0, 0..90 * Micros::DAY.0, 0..THIRTY_YEARS]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn r24_a_new_version_changes_nothing_before_it(
        (day, first) in calendars(),
        (_, second) in calendars(),
        picks in vec(-20 * Micros::DAY.0..20 * Micros::DAY.0, 2..12),
    ) {
        let alone = [Calendar::compile(from_ref(&first)), Calendar::compile(from_ref(&second))];
        let glue = instant_of_local(second.time_zone, day.and_time(NaiveTime::MIN));
        let versions = [
            definition::Calendar { effective_until: Some(day), ..first },
            definition::Calendar { effective_from: Some(day), ..second },
        ];
        let glued = Calendar::compile(&versions);
        let mut picks: Vec<Instant> = picks.into_iter().map(|pick| glue + Micros(pick)).collect();
        picks.push(glue);
        picks.sort_unstable();
        for pair in picks.windows(2) {
            let in_force = &alone[usize::from(pair[0] >= glue)];
            prop_assert_eq!(glued.elapsed(pair[0], pair[1]), in_force.elapsed(pair[0], pair[1]), "{} {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn r2_agrees_with_counting_minutes(
        (day, definition) in calendars(),
        picks in vec((3..13usize, 0..1440usize), 12),
    ) {
        let calendar = Calendar::compile(from_ref(&definition));
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
        amount in amounts(),
    ) {
        let calendar = Calendar::compile(from_ref(&definition));
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
        for pair in times.windows(2) {
            // What has passed between two instants is due no later than at the second, and nothing passes in between.
            let due = calendar.due(pair[0], calendar.elapsed(pair[0], pair[1]));
            prop_assert!(due.is_some_and(|due| due <= pair[1] && calendar.elapsed(due, pair[1]) == Micros::ZERO));
        }
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
