//! Exact shares: a percentage as people write it, kept as an integer fraction so that verdicts never meet a float
//! (R12).

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A share of a whole, in billionths: `99.9 %` is `Share(999_000_000)`. Between 0 and 1 in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(pub i64);

impl Share {
    /// Billionths in a whole: nine decimals, so a percentage may carry seven.
    pub const WHOLE: i64 = 1_000_000_000;

    /// Parses `99.9 %`, `99.9%` or a plain fraction such as `0.999`; `None` when it is neither or has too many digits.
    pub fn parse(text: &str) -> Option<Share> {
        let text = text.trim();
        let (digits, decimals_max) = match text.strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 7),
            None => (text, 9),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 6
            || fraction.len() > decimals_max
            || !all_digits(whole)
            || !all_digits(fraction)
        {
            return None;
        }
        let padded = format!("{whole}{fraction:0<decimals_max$}");
        padded.parse().ok().map(Share)
    }

    /// Compares `part / whole` with this share by cross-multiplication; exact for any i64 (R12).
    /// `None` when `whole` is zero or negative: nothing measured is not a ratio (R11).
    pub fn compare(self, part: i64, whole: i64) -> Option<Ordering> {
        (whole > 0)
            .then(|| (i128::from(part) * i128::from(Share::WHOLE)).cmp(&(i128::from(self.0) * i128::from(whole))))
    }

    /// `part / whole` rounded down to nine decimals, for display and storage; `None` when `whole` is not positive.
    pub fn of(part: i64, whole: i64) -> Option<Share> {
        if whole <= 0 {
            return None;
        }
        let billionths = (i128::from(part) * i128::from(Share::WHOLE)).div_euclid(i128::from(whole));
        i64::try_from(billionths).ok().map(Share)
    }
}

impl fmt::Display for Share {
    /// As a percentage without trailing zeros: `99.9 %`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let billionths = self.0.unsigned_abs();
        let fraction = format!("{:07}", billionths % 10_000_000);
        match fraction.trim_end_matches('0') {
            "" => write!(formatter, "{sign}{} %", billionths / 10_000_000),
            digits => write!(formatter, "{sign}{}.{digits} %", billionths / 10_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_percentages_are_integers() {
        for (text, billionths) in [
            ("99.9 %", 999_000_000),
            ("99.95%", 999_500_000),
            ("0.999", 999_000_000),
            ("100 %", 1_000_000_000),
            ("0 %", 0),
        ] {
            assert_eq!(Share::parse(text), Some(Share(billionths)), "{text}");
        }
        for text in ["", "%", "99,9 %", "-1 %", "99.99999999 %", "abc", "1e2 %", "."] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
        assert_eq!(Share(999_500_000).to_string(), "99.95 %");
    }

    #[test]
    fn r12_a_third_is_never_rounded_into_a_verdict() {
        // 1/3 is below 33.3333334 % and above 33.3333333 %, whatever the size of the whole.
        let whole = i64::MAX / 3 * 3;
        assert_eq!(
            Share::parse("33.3333333 %").and_then(|share| share.compare(whole / 3, whole)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            Share::parse("33.3333334 %").and_then(|share| share.compare(whole / 3, whole)),
            Some(Ordering::Less)
        );
        assert_eq!(Share(0).compare(0, 0), None);
    }
}
