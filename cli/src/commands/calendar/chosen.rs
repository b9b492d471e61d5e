//! The calendar that is asked: its versions, its compiled form, and its civil time.

use anyhow::{Result, bail};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use plimsoll_engine::calendar::{self, Calendar};
use plimsoll_engine::window::Window;
use plimsoll_schemas::civil::instant_of_local;
use plimsoll_schemas::{Instant, Micros, definition};

use super::Which;
use crate::definitions;

/// A calendar of a folder.
pub(super) struct Chosen {
    /// Its time.
    pub(super) time: Calendar,
    /// Its versions in order, at least one, each with the time in which it is in force.
    versions: Vec<(definition::Calendar, Window)>,
}

impl Chosen {
    /// # Errors
    /// When the definitions have problems or lack the calendar.
    pub(super) fn read(which: &Which) -> Result<Chosen> {
        let mut definitions = definitions::read(&which.definitions)?;
        let Some(versions) = definitions.calendars.remove(&which.calendar) else {
            let known: Vec<_> = definitions.calendars.keys().map(String::as_str).collect();
            bail!("there is no calendar {:?}; choose one of {} with --calendar", which.calendar, known.join(", "));
        };
        let time = Calendar::compile(&versions);
        let windows = calendar::in_force(&versions);
        Ok(Chosen { time, versions: versions.into_iter().zip(windows).collect() })
    }

    /// The version in force on a day; in a gap the one before it, before all versions the first.
    pub(super) fn version_on(&self, day: NaiveDate) -> &definition::Calendar {
        self.last_that(|(version, _)| version.effective_from.is_none_or(|from| from <= day))
    }

    /// The zone in which people read an instant: that of the version in force.
    fn zone_at(&self, instant: Instant) -> Tz {
        self.last_that(|(_, window)| window.start <= instant).time_zone
    }

    fn last_that(&self, holds: impl Fn(&(definition::Calendar, Window)) -> bool) -> &definition::Calendar {
        let last = self.versions.iter().rposition(holds).unwrap_or(0);
        &self.versions[last].0
    }

    /// The first instant of a day, in the zone of the version in force.
    pub(super) fn midnight(&self, day: NaiveDate) -> Instant {
        instant_of_local(self.version_on(day).time_zone, day.and_time(NaiveTime::MIN))
    }

    /// An instant as clocks show it in the calendar's zone; instants beyond the years of RFC 3339 are clamped.
    pub(super) fn local(&self, instant: Instant) -> DateTime<Tz> {
        self.zone_at(instant).from_utc_datetime(&instant.to_utc().naive_utc())
    }

    /// An instant as RFC 3339 or as civil time of the calendar.
    ///
    /// # Errors
    /// What is expected.
    pub(super) fn instant(&self, text: &str) -> Result<Instant> {
        if let Some(instant) = Instant::parse_rfc3339(text) {
            return writable(instant);
        }
        let times = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"];
        let time = times.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let midnight = |day: &str| Some(NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
        // The end of a day is the next midnight (R1).
        let end_of = |day: &str| midnight(day)?.checked_add_days(Days::new(1));
        let end = || text.strip_suffix("T24:00").or_else(|| text.strip_suffix("T24:00:00")).and_then(end_of);
        match time.or_else(|| midnight(text)).or_else(end) {
            Some(local) => writable(instant_of_local(self.version_on(local.date()).time_zone, local)),
            None => bail!(
                "found {text:?}, expected a time such as 2026-03-02T08:00:00+01:00, or 2026-03-02T08:00 or 2026-03-02 \
                 in the calendar's zone"
            ),
        }
    }
}

/// An instant that RFC 3339 can write.
///
/// # Errors
/// When it lies beyond the years 0 to 9999.
pub(super) fn writable(instant: Instant) -> Result<Instant> {
    match instant.to_utc().year() {
        0..=9999 => Ok(instant),
        year => bail!("it lies in the year {year}, which RFC 3339 cannot write; ask for a time in the years 0 to 9999"),
    }
}

/// A length of agreed time as people read it, in hours: a day of agreed time would be taken for a working day.
pub(super) fn in_hours(length: Micros) -> String {
    let hours = length.0 / Micros::HOUR.0;
    let rest = Micros((length.0 % Micros::HOUR.0).abs());
    match (hours, rest.0) {
        (0, _) if length < Micros::ZERO => format!("-{rest}"),
        (0, _) => rest.to_string(),
        (_, 0) => format!("{hours}h"),
        _ => format!("{hours}h {rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreed_time_reads_in_hours() {
        for (micros, text) in [
            (0, "0s"),
            (90 * 3_600_000_000, "90h"),
            (5_400_000_001, "1h 30m 0.000001s"),
            (-60_000_000, "-1m"),
            (-3_660_000_000, "-1h 1m"),
        ] {
            assert_eq!(in_hours(Micros(micros)), text);
        }
    }
}
