//! Service credits: what is given back for missed promises, in minor units of a currency (R34).
//!
//! In: what the ladders of an agreement's objectives give back in each window (shares of the charge), and the terms of
//! its versions. Out: an amount for each window and charge. With `m` the monthly charge, `n` the months of the window,
//! `s` the shares of its ladders combined, `a` the time of the window in which the version is in force (or all of it,
//! where clipped windows count whole), `w` the time of the window, and `l` the most that a window gives back:
//!
//! ```text
//! charge = round(m * n * a / w)
//! credit = min(round(m * n * a / w * min(s, l)), floor(m * n * a / w * l))
//! ```
//!
//! Each is one fraction of integers that is rounded once, as declared; limits are rounded down, so that they hold. The
//! limit of a year is `floor(12 * m * share)` with the charges of all services; windows take from it in the order in
//! which they end. A year is twelve civil months: a segment lies in it whose first civil day, in the zone of its version,
//! does, so versions share it whatever their zones are, and whether they have a limit or not. All products fit into i128:
//! m < 10^14, n <= 12, a < 4 * 10^13, s <= 10^9.

use std::collections::BTreeMap;

use chrono::{Months, NaiveDate};
use chrono_tz::Tz;
use plimsoll_schemas::civil::local_of_instant;
use plimsoll_schemas::definition::{Charge, Clipped, Combine, CreditTerms, Rounding, WindowKind};
use plimsoll_schemas::ratio::Share;
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::window::{Window, window_containing};

/// A window of one version of an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WindowOfVersion {
    /// The window.
    pub window: Window,
    /// The agreement's version.
    pub version: u32,
}

/// What the ladders say of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The part of the window in which the version is in force.
    pub segment: Window,
    /// The months of the window.
    pub months: i64,
    /// What each objective's ladder gives back, by service and objective.
    pub ladders: BTreeMap<(Name, Name), Reached>,
}

/// What one ladder gives back in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// A share of the charge.
    pub share: Share,
    /// Whether the result that it follows from is final (R22).
    pub is_final: bool,
}

impl Missed {
    /// The ladders whose credits are for this charge.
    pub fn ladders_of<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a (Name, Name), &'a Reached)> + Clone {
        self.ladders.iter().filter(move |((of, _), _)| service.is_none_or(|service| **of == *service))
    }
}

/// What a credit is for: a window, and the service that is charged for; `None` for all services together.
pub type CreditKey = (WindowOfVersion, Option<Name>);

/// What is given back for one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// What is charged in the segment, in minor units.
    pub charge: i64,
    /// The share of it that the ladders give back together, within the limit of a window.
    pub share: Share,
    /// What is given back, in minor units.
    pub amount: i64,
    /// The limit that made it less.
    pub limited_by: Option<Limit>,
    /// Whether all that it follows from is final.
    pub is_final: bool,
}

/// A limit of credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Of one window.
    Window,
    /// Of one year.
    Year,
}

impl Limit {
    /// As tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Window => "window",
            Limit::Year => "year",
        }
    }
}

/// What one agreement gives back in each of its windows; `terms` are those of each version, and the zone of its years.
/// Windows of versions without terms have no credit.
pub fn credits<'a>(
    missed: &BTreeMap<WindowOfVersion, Missed>,
    terms: impl Fn(u32) -> Option<(&'a CreditTerms, Tz)>,
) -> BTreeMap<CreditKey, Credit> {
    let mut in_order: Vec<_> = missed.iter().collect();
    in_order.sort_by_key(|(key, missed)| (missed.segment.end, key.window.end, key.window.start, key.version));
    // By currency and the first civil day of the segment.
    let mut given: BTreeMap<(&str, NaiveDate), i128> = BTreeMap::new();
    let mut credits = BTreeMap::new();
    for (key, missed) in in_order {
        let Some((terms, time_zone)) = terms(key.version) else { continue };
        for (service, monthly) in charges(&terms.charge) {
            let ladders = missed.ladders_of(service).map(|(_, reached)| *reached);
            let mut credit = credit_of_window(terms, monthly, key.window, missed, combined(terms, ladders.clone()));
            credit.is_final = ladders.clone().all(|reached| reached.is_final);
            let day_of = |instant| local_of_instant(time_zone, instant).date();
            if let Some(max) = terms.rule.year_max {
                let kind = WindowKind::Year { first_month: max.first_month };
                let first = day_of(window_containing(kind, time_zone, missed.segment.start).start);
                let year = (&*terms.currency, first)..(&*terms.currency, first + Months::new(12));
                let of_year = given.range(year).map(|(_, amount)| amount).sum::<i128>();
                let left = (year_limit(terms, max.share) - of_year).max(0);
                if i128::from(credit.amount) > left {
                    credit = Credit { amount: left as i64, limited_by: Some(Limit::Year), ..credit };
                }
            }
            let given = given.entry((&terms.currency, day_of(missed.segment.start))).or_default();
            *given += i128::from(credit.amount);
            credits.insert((*key, service.map(Name::from)), credit);
        }
    }
    credits
}

/// Each charge, and the service that it is for.
fn charges(charge: &Charge) -> Vec<(Option<&str>, i64)> {
    match charge {
        Charge::AllServices(amount) => vec![(None, *amount)],
        Charge::EachService(amounts) => {
            amounts.iter().map(|(service, amount)| (Some(service.as_str()), *amount)).collect()
        }
    }
}

fn combined(terms: &CreditTerms, ladders: impl Iterator<Item = Reached>) -> i64 {
    let shares = ladders.map(|reached| reached.share.0);
    match terms.rule.combine {
        Some(Combine::Largest) => shares.max().unwrap_or(0),
        // Where nothing was declared there is one share alone.
        Some(Combine::Sum) | None => shares.fold(0, i64::saturating_add),
    }
}

/// The credit of a window by its own limit alone.
fn credit_of_window(terms: &CreditTerms, monthly: i64, window: Window, missed: &Missed, share: i64) -> Credit {
    let whole = (window.end - window.start).0.max(1);
    let part = match terms.rule.clipped {
        Clipped::ProRata => (missed.segment.end - missed.segment.start).0,
        Clipped::Whole => whole,
    };
    let charged = i128::from(monthly) * i128::from(missed.months) * i128::from(part);
    let shared = |share: i64| (charged * i128::from(share), i128::from(whole) * i128::from(Share::WHOLE));
    let max = terms.rule.window_max.0;
    let limit = rounded(shared(max), Rounding::Down);
    let wanted = rounded(shared(share.min(max)), terms.rule.rounding);
    Credit {
        charge: rounded((charged, i128::from(whole)), terms.rule.rounding),
        share: Share(share.min(max)),
        amount: wanted.min(limit),
        limited_by: (share > max || wanted > limit).then_some(Limit::Window),
        is_final: false,
    }
}

/// The most that a year gives back, in minor units.
fn year_limit(terms: &CreditTerms, share: Share) -> i128 {
    let monthly: i128 = charges(&terms.charge).iter().map(|(_, amount)| i128::from(*amount)).sum();
    12 * monthly * i128::from(share.0) / i128::from(Share::WHOLE)
}

/// A fraction that is not negative as a whole number.
fn rounded((numerator, denominator): (i128, i128), rounding: Rounding) -> i64 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let up = match rounding {
        Rounding::HalfUp => 2 * rest >= denominator,
        Rounding::HalfDown => 2 * rest > denominator,
        Rounding::HalfEven => 2 * rest > denominator || (2 * rest == denominator && whole % 2 == 1),
        Rounding::Up => rest > 0,
        Rounding::Down => false,
    };
    i64::try_from(whole + i128::from(up)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod rules_page;
#[cfg(test)]
mod tests;
