//! What a calendar costs: working it out, keeping it, and asking it. Business hours with a lunch break from 1990 to
//! 2060, asked about instants of five years in an order that no cache foresees.
//!
//! `cargo run --release -p plimsoll-engine --example calendar_cost`

use std::error::Error;
use std::hint::black_box;
use std::time::Instant as Clock;

use chrono::{NaiveTime, Weekday};
use plimsoll_engine::calendar::{AGREED_FROM, AGREED_UNTIL, Calendar};
use plimsoll_schemas::definition::{self, DaySpan};
use plimsoll_schemas::{Instant, Micros};

const QUESTIONS: i64 = 2_000_000;
const FIVE_YEARS: i64 = 5 * 365 * Micros::DAY.0;

fn main() -> Result<(), Box<dyn Error>> {
    let from = Instant::parse_rfc3339("2024-01-01T00:00:00Z").ok_or("a time")?;
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
    let days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let spans = [DaySpan { from: time(8), until: time(12) }, DaySpan { from: time(13), until: time(17) }];
    let definition = definition::Calendar {
        time_zone: "Europe/Berlin".parse()?,
        hours: days.into_iter().flat_map(|day| spans.map(|span| (day, span))).collect(),
        ..definition::Calendar::default()
    };
    let clock = Clock::now();
    let calendar = Calendar::compile(&[definition]);
    println!("compile  {:>8.2} ms", clock.elapsed().as_secs_f64() * 1e3);
    let count = calendar.spans(AGREED_FROM, AGREED_UNTIL).count();
    println!("keep     {:>8.1} KiB for {count} spans", (count * 8) as f64 / 1024.0);

    // Steps of a prime number of microseconds, round and round within the five years.
    let start = |question: i64| from + Micros(question.wrapping_mul(86_028_121_000_003).rem_euclid(FIVE_YEARS));
    let clock = Clock::now();
    for question in 0..QUESTIONS {
        black_box(calendar.elapsed(black_box(start(question)), black_box(start(question + 1))));
    }
    println!("elapsed  {:>8.1} ns", clock.elapsed().as_nanos() as f64 / QUESTIONS as f64);
    let clock = Clock::now();
    for question in 0..QUESTIONS {
        black_box(calendar.due(black_box(start(question)), black_box(Micros(4 * Micros::HOUR.0))));
    }
    println!("due      {:>8.1} ns", clock.elapsed().as_nanos() as f64 / QUESTIONS as f64);
    Ok(())
}
