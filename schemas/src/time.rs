//! Instants and durations, both in whole microseconds (rule R1).

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub i64);

/// A length of time in microseconds; negative when it runs backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Instant {
    /// The earliest instant an event may carry: 1970-01-01T00:00:00Z.
    pub const EARLIEST: Instant = Instant(0);
    /// The first instant too late for an event: 2200-01-01T00:00:00Z.
    pub const LATEST: Instant = Instant(7_258_118_400_000_000);

    /// Parses RFC 3339, e.g. `2026-01-31T08:00:00+01:00`; `None` when it is anything else.
    pub fn parse_rfc3339(text: &str) -> Option<Instant> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Instant(time.timestamp_micros()))
    }

    /// Parses what people give as an instant: RFC 3339, or a date, which means its first instant in UTC.
    pub fn parse(text: &str) -> Option<Instant> {
        Instant::parse_rfc3339(text).or_else(|| Instant::parse_rfc3339(&format!("{text}T00:00:00Z")))
    }

    /// The same instant as a chrono UTC time; instants beyond chrono's range (year 262,000) are clamped to it.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }
}

impl Micros {
    /// No time at all.
    pub const ZERO: Micros = Micros(0);
    /// One second.
    pub const SECOND: Micros = Micros(1_000_000);
    /// One minute.
    pub const MINUTE: Micros = Micros(60 * 1_000_000);
    /// One hour.
    pub const HOUR: Micros = Micros(3_600 * 1_000_000);
    /// Twenty-four hours, which is not always a civil day.
    pub const DAY: Micros = Micros(86_400 * 1_000_000);
}

impl From<DateTime<Utc>> for Instant {
    fn from(time: DateTime<Utc>) -> Instant {
        Instant(time.timestamp_micros())
    }
}

impl fmt::Display for Instant {
    /// RFC 3339 in UTC, with as many digits of the second as are needed: `2026-01-31T07:00:00Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Display for Micros {
    /// Days are 24 hours here: `3d 4h 5m 6.5s`, `-2m`, `0s`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.write_str("0s");
        }
        let total = self.0.unsigned_abs();
        let (seconds, micros) = (total / 1_000_000, total % 1_000_000);
        let mut parts = Vec::with_capacity(4);
        for (unit, size, modulus) in [("d", 86_400, u64::MAX), ("h", 3_600, 24), ("m", 60, 60)] {
            let count = seconds / size % modulus;
            if count > 0 {
                parts.push(format!("{count}{unit}"));
            }
        }
        if micros > 0 {
            let fraction = format!("{micros:06}");
            parts.push(format!("{}.{}s", seconds % 60, fraction.trim_end_matches('0')));
        } else if seconds % 60 > 0 {
            parts.push(format!("{}s", seconds % 60));
        }
        write!(formatter, "{}{}", if self.0 < 0 { "-" } else { "" }, parts.join(" "))
    }
}

impl Sub for Instant {
    type Output = Micros;
    fn sub(self, other: Instant) -> Micros {
        Micros(self.0 - other.0)
    }
}

impl Add<Micros> for Instant {
    type Output = Instant;
    fn add(self, length: Micros) -> Instant {
        Instant(self.0.saturating_add(length.0))
    }
}

impl Sub<Micros> for Instant {
    type Output = Instant;
    fn sub(self, length: Micros) -> Instant {
        Instant(self.0.saturating_sub(length.0))
    }
}

impl Add for Micros {
    type Output = Micros;
    fn add(self, other: Micros) -> Micros {
        Micros(self.0 + other.0)
    }
}

impl Sub for Micros {
    type Output = Micros;
    fn sub(self, other: Micros) -> Micros {
        Micros(self.0 - other.0)
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Micros) {
        self.0 += other.0;
    }
}

impl SubAssign for Micros {
    fn sub_assign(&mut self, other: Micros) {
        self.0 -= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_instants_are_utc_microseconds() {
        let instant = Instant::parse_rfc3339("2026-03-29T03:00:00.000001+02:00").expect("valid");
        assert_eq!(instant.0, 1_774_746_000_000_001); // date -u -d 2026-03-29T01:00:00Z +%s = 1774746000
        assert_eq!(instant.to_string(), "2026-03-29T01:00:00.000001Z");
        assert_eq!(Instant::parse_rfc3339("2026-02-30T00:00:00Z"), None);
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (micros, text) in [(0, "0s"), (90_061_500_000, "1d 1h 1m 1.5s"), (-120_000_000, "-2m"), (1, "0.000001s")] {
            assert_eq!(Micros(micros).to_string(), text);
        }
    }
}
