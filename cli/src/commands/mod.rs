//! One file a command: its arguments, and what it does.

pub mod aggregate;
pub mod audit;
pub mod backtest;
pub mod calendar;
pub mod check;
pub mod dead_letters;
pub mod demo;
pub mod doctor;
pub mod gate;
pub mod ingest;
pub mod judge;
pub mod kpi;
pub mod maintain;
pub mod notify;
pub mod password;
pub mod query;
pub mod rebuild;
pub mod rules;
pub mod run;
pub mod sql;
pub mod token;

use chrono::NaiveDate;
use plimsoll_schemas::Instant;

/// The folder of the tables unless `--lake` names another.
const DEFAULT_LAKE: &str = "plimsoll-lake";

/// The first day of a month such as `2026-10`.
fn month(text: &str) -> Result<NaiveDate, String> {
    let first =
        NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map_err(|_| "expected a month such as 2026-10")?;
    let years = NaiveDate::from_ymd_opt(2000, 1, 1)..NaiveDate::from_ymd_opt(2100, 1, 1);
    if years.contains(&Some(first)) {
        Ok(first)
    } else {
        Err("expected a month between 2000-01 and 2099-12".to_owned())
    }
}

/// An instant in RFC 3339, or a date for its midnight in UTC.
pub fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| "expected RFC 3339, e.g. 2026-02-01T00:00:00Z, or a date in UTC".to_owned())
}
