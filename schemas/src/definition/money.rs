//! Money: amounts in minor units of a currency, and the terms on which a missed promise is paid for (R34).

use std::collections::BTreeMap;

use crate::ratio::Share;

use super::model::Target;

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// How many of the smallest units of the currency: cents of a euro, whole yen, thousandths of a dinar.
    pub amount_minor: i64,
    /// ISO 4217 code, e.g. `EUR`.
    pub currency: String,
}

impl Money {
    /// The largest amount, in minor units: a share of what it comes to in a year still fits into 128 bits when it is
    /// multiplied by microseconds.
    pub const MAX: i64 = 100_000_000_000_000;

    /// The amount that `text` writes in digits with at most as many decimals as the currency has, e.g. `1200.00`.
    /// `None` for any other text, and for an amount of more than [`Money::MAX`].
    pub fn parse(text: &str, currency: &str) -> Option<Money> {
        let digits = minor_digits(currency) as usize;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > digits || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let amount_minor = format!("{whole}{fraction:0<digits$}").parse().ok()?;
        (amount_minor <= Money::MAX).then(|| Money { amount_minor, currency: currency.to_owned() })
    }
}

/// How many decimals the minor unit of a currency has (ISO 4217, "minor unit").
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// One step of an objective's ladder of credits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreditStep {
    /// The target that must be missed for the step to be reached; of the same kind as the objective's, and not
    /// stricter.
    pub missed: Target,
    /// The share of the charge that is given back then.
    pub credit: Share,
}

/// On which terms credits are given, whatever is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CreditRule {
    /// What becomes of several credits in one window; `None` where that was not said.
    pub combine: Option<Combine>,
    /// How a fraction of a minor unit is rounded.
    pub rounding: Rounding,
    /// What a window comes to in which a version is not in force all the time.
    pub clipped: Clipped,
    /// The most that is given back in one window, as a share of what is charged in it.
    pub window_max: Share,
    /// The most that is given back in one year; `None` for no limit.
    pub year_max: Option<YearMax>,
}

impl CreditRule {
    /// Half up, pro rata, and at most what is charged.
    pub const DEFAULT: CreditRule = CreditRule {
        combine: None,
        rounding: Rounding::HalfUp,
        clipped: Clipped::ProRata,
        window_max: Share(Share::WHOLE),
        year_max: None,
    };
}

/// The most that is given back in one year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct YearMax {
    /// As a share of twelve monthly charges.
    pub share: Share,
    /// The month with which the year begins, 1 to 12.
    pub first_month: u32,
}

/// The terms of one version of an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreditTerms {
    /// On which terms.
    pub rule: CreditRule,
    /// ISO 4217 code of what is charged.
    pub currency: String,
    /// What is charged.
    pub charge: Charge,
}

/// What is charged a month, in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Charge {
    /// For all services together: their credits are combined.
    AllServices(i64),
    /// For each service, by its id: each has credits of its own.
    EachService(BTreeMap<String, i64>),
}

/// What becomes of several credits in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// They add up.
    Sum,
    /// The largest is given.
    Largest,
}

/// How a fraction of a minor unit is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the nearest, a half up.
    HalfUp,
    /// To the nearest, a half to the even one.
    HalfEven,
    /// To the nearest, a half down.
    HalfDown,
    /// Up.
    Up,
    /// Down.
    Down,
}

/// What is charged for a window in which a version is not in force all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clipped {
    /// The share of the window's time in which it is.
    ProRata,
    /// As much as for a whole window.
    Whole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r34_amounts_are_whole_minor_units_of_their_currency() {
        for (text, currency, minor) in [
            ("1200.00", "EUR", Some(120_000)),
            ("1200.5", "EUR", Some(120_050)),
            ("1200", "USD", Some(120_000)),
            ("0", "USD", Some(0)),
            ("300", "JPY", Some(300)),
            ("1.234", "KWD", Some(1_234)),
            ("1.5", "BHD", Some(1_500)),
            ("1000000000000.00", "EUR", Some(Money::MAX)),
            ("1000000000000.01", "EUR", None),
            ("12.345", "EUR", None),
            ("300.5", "JPY", None),
            ("1.2345", "KWD", None),
            ("-5", "EUR", None),
            ("1e3", "EUR", None),
            (".5", "EUR", None),
            ("", "EUR", None),
            ("99999999999999999999", "EUR", None),
        ] {
            let amount = Money::parse(text, currency).map(|money| money.amount_minor);
            assert_eq!(amount, minor, "{text} {currency}");
        }
    }
}
