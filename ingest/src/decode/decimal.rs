//! Decimal numbers as text, scaled by a power of ten into whole numbers without going through floating point.

/// More significant digits than this are beyond every column, and 10^36 still fits into an i128.
const DIGITS_MAX: u32 = 36;

/// The greatest exponent that is told from others: more than a record has bytes, and ten times it still fits 32 bits.
const EXPONENT_MAX: i32 = 10_000_000;

/// What a text is as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaled {
    /// A number; rounded down unless `exact`.
    Whole {
        /// The whole number.
        value: i64,
        /// False when a fraction was dropped.
        exact: bool,
    },
    /// A number that 64 bits do not hold.
    OutOfRange,
    /// No number at all.
    NotANumber,
}

/// `text` times 10^`power`, rounded down. Takes JSON's numbers, and a leading `+`.
pub(super) fn scale(text: &str, power: i32) -> Scaled {
    if let Some(value) = plain_digits(text) {
        let factor = u32::try_from(power).ok().and_then(|power| 10_i64.checked_pow(power));
        if let Some(value) = factor.and_then(|factor| value.checked_mul(factor)) {
            return Scaled::Whole { value, exact: true };
        }
    }
    match parse(text) {
        Some(Ok(decimal)) => decimal.scale(power),
        Some(Err(TooManyDigits)) => Scaled::OutOfRange,
        None => Scaled::NotANumber,
    }
}

/// The usual case: one to eighteen digits and nothing else.
fn plain_digits(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.bytes().try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

struct TooManyDigits;

/// `mantissa` times 10^`exponent`, plus something smaller than one unit of the mantissa when `more`.
struct Decimal {
    negative: bool,
    mantissa: i128,
    exponent: i32,
    more: bool,
}

fn parse(text: &str) -> Option<Result<Decimal, TooManyDigits>> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return None;
    }
    let mut decimal = Decimal { negative, mantissa: 0, exponent, more: false };
    let mut significant = 0;
    for (place, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let in_fraction = place >= whole.len();
        if significant == DIGITS_MAX {
            if !in_fraction {
                return Some(Err(TooManyDigits));
            }
            decimal.more |= byte != b'0';
            continue;
        }
        decimal.mantissa = decimal.mantissa * 10 + i128::from(byte - b'0');
        significant += u32::from(decimal.mantissa != 0);
        decimal.exponent -= i32::from(in_fraction);
    }
    Some(Ok(decimal))
}

/// An exponent; those beyond this limit, which no record has room for digits to make up for, mean what the limit does.
fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.bytes().fold(0_i32, |size, byte| (size * 10 + i32::from(byte - b'0')).min(EXPONENT_MAX));
    Some(if text.starts_with('-') { -size } else { size })
}

impl Decimal {
    fn scale(self, power: i32) -> Scaled {
        let exponent = self.exponent + power;
        let (whole, exact) = if self.mantissa == 0 {
            (0, !self.more)
        } else if exponent >= 0 {
            let factor = 10_i128.checked_pow(exponent.unsigned_abs());
            match factor.and_then(|factor| self.mantissa.checked_mul(factor)) {
                Some(whole) => (whole, !self.more),
                None => return Scaled::OutOfRange,
            }
        } else {
            match 10_i128.checked_pow(exponent.unsigned_abs()) {
                Some(divisor) => (self.mantissa / divisor, self.mantissa % divisor == 0 && !self.more),
                None => (0, false),
            }
        };
        let signed = match (self.negative, exact) {
            (false, _) => whole,
            (true, true) => -whole,
            (true, false) => -whole - 1,
        };
        i64::try_from(signed).map_or(Scaled::OutOfRange, |value| Scaled::Whole { value, exact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_scale_exactly() {
        let exactly = |value| Scaled::Whole { value, exact: true };
        let below = |value| Scaled::Whole { value, exact: false };
        for (text, power, expected) in [
            ("0", 0, exactly(0)),
            ("5", 0, exactly(5)),
            ("+5", 0, exactly(5)),
            ("5.0", 0, exactly(5)),
            ("5.5", 0, below(5)),
            ("-5.5", 0, below(-6)),
            ("1e3", 0, exactly(1000)),
            ("1.5E+1", 0, exactly(15)),
            ("0.1", 6, exactly(100_000)),
            ("1767225600.123457", 6, exactly(1_767_225_600_123_457)),
            ("1767225600.1234569", 6, below(1_767_225_600_123_456)),
            ("1767225600123456789", -3, below(1_767_225_600_123_456)),
            ("9223372036854775807", 0, exactly(i64::MAX)),
            ("-9223372036854775808", 0, exactly(i64::MIN)),
            ("9223372036854775808", 0, Scaled::OutOfRange),
            ("1e400", 0, Scaled::OutOfRange),
            ("1e-400", 0, below(0)),
            ("-1e-400", 0, below(-1)),
            ("0e999999999999", 0, exactly(0)),
            ("99999999999999999999999999999999999999999", 0, Scaled::OutOfRange),
            ("0.00000000000000000000000000000000000000000000001", 0, below(0)),
        ] {
            assert_eq!(scale(text, power), expected, "{text}");
        }
        for text in ["", "-", "+", ".", ".5", "5.", "1e", "e1", "1e+", "0x1", "1_000", " 1", "NaN", "--1", "1.2.3"] {
            assert_eq!(scale(text, 0), Scaled::NotANumber, "{text}");
        }
    }
}
