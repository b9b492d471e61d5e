//! Civil time and instants: the only two crossings between them (R1).
//!
//! In: a zone and a local time, or an instant. Out: the other of the two, never an error.

use chrono::{LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::time::Instant;

/// No zone was ever further ahead of UTC (the Philippines before 1844 and Alaska before 1867 come closest, with under
/// 16 hours), so a local time read as UTC and put back by this much lies before the instant it could mean.
const FURTHEST_AHEAD: TimeDelta = TimeDelta::hours(16);

/// 0001-01-01T00:00:00Z and 9999-12-31T00:00:00Z, the years RFC 3339 can write. Within them no civil arithmetic
/// overflows.
const CIVIL_RANGE: (Instant, Instant) = (Instant(-62_135_596_800_000_000), Instant(253_402_214_400_000_000));

/// The instant of a local time (R1): one that the zone skips moves forward by the gap, an ambiguous one is the earlier.
pub fn instant_of_local(zone: Tz, local: NaiveDateTime) -> Instant {
    let seconds_ahead = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) => seconds_ahead(&offset),
        LocalResult::Ambiguous(one, other) => seconds_ahead(&one).max(seconds_ahead(&other)),
        // The offset before the gap, applied within it, gives the time as far after the gap as it was wanted in it.
        LocalResult::None => seconds_ahead(&zone.offset_from_utc_datetime(&(local - FURTHEST_AHEAD))),
    };
    Instant(local.and_utc().timestamp_micros() - seconds_ahead * 1_000_000)
}

/// The local time that clocks in `zone` show at an instant; instants outside the years 1 to 9999 are clamped to them.
pub fn local_of_instant(zone: Tz, instant: Instant) -> NaiveDateTime {
    let utc = instant.clamp(CIVIL_RANGE.0, CIVIL_RANGE.1).to_utc().naive_utc();
    utc + TimeDelta::seconds(seconds_ahead(&zone.offset_from_utc_datetime(&utc)))
}

fn seconds_ahead(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc())
}
