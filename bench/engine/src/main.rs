//! One figure of the engine at a time, for measures that watch a whole process: instructions (`instructions.sh`) and
//! memory. What is measured is in a function of its own, `measured`, and nothing else is. It tells the time that it was
//! on a processor too, where the system knows it, which is less blurred by other programs than the time on the clock.
//!
//! ```text
//! plimsoll-bench-engine tick AGREEMENTS DAYS [TIMES]  a minute's step that publishes, after so many days
//! plimsoll-bench-engine sample AGREEMENTS DAYS        an hour's samples of every service, after so many days
//! plimsoll-bench-engine state AGREEMENTS DAYS         what the state takes after so many days
//! plimsoll-bench-engine elapsed|due                   a thousand questions to a calendar of five years
//! ```

use std::hint::black_box;

use plimsoll_bench_engine::{History, SERVICES, business_hours, question};
use plimsoll_schemas::Micros;

/// How many questions a calendar is asked.
const QUESTIONS: i64 = 1_000;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().map_err(|_| format!("{text}: expected a whole number"));
    match words[..] {
        ["tick", agreements, days] => tick(number(agreements)?, number(days)?, 1),
        ["tick", agreements, days, times] => tick(number(agreements)?, number(days)?, number(times)?),
        ["sample", agreements, days] => {
            let mut history = History::new(number(agreements)?, number(days)?);
            // The first samples of a day make room for all of it.
            history.minute();
            let delivery = history.delivery(60 * SERVICES);
            let folded = timed(|| history.fold(&delivery));
            println!("{} samples, {} of them twice", 60 * SERVICES, folded.duplicates);
        }
        ["state", agreements, days] => {
            let before = resident_kib();
            let mut history = History::new(number(agreements)?, number(days)?);
            history.minute();
            drop(history.close(true));
            let taken = resident_kib().zip(before).map(|(after, before)| after.saturating_sub(before) / 1024);
            println!("state        {} MiB resident", taken.map_or("?".to_owned(), |taken| taken.to_string()));
            let snapshot = history.snapshot().map_err(|error| error.to_string())?;
            println!("snapshot     {} MiB", snapshot.len() >> 20);
        }
        ["elapsed"] => {
            let calendar = business_hours()?;
            timed(|| {
                for number in 0..QUESTIONS {
                    black_box(calendar.elapsed(question(number), question(number + 1)));
                }
            });
        }
        ["due"] => {
            let calendar = business_hours()?;
            timed(|| {
                for number in 0..QUESTIONS {
                    black_box(calendar.due(question(number), Micros(4 * Micros::HOUR.0)));
                }
            });
        }
        _ => return Err("expected tick, sample or state with AGREEMENTS and DAYS, or elapsed, or due".to_owned()),
    }
    Ok(())
}

fn tick(agreements: usize, days: usize, times: usize) {
    let mut history = History::new(agreements, days);
    // The first that publishes writes what no later one does.
    for publication in 0..=times {
        history.minute();
        match publication {
            0 => drop(history.close(true)),
            _ => println!("rows         {} of attainment", timed(|| history.close(true)).attainment.len()),
        }
    }
}

/// What counts. It must stay a function of its own, by this name: `instructions.sh` looks for it.
#[inline(never)]
fn measured<Found>(what: impl FnOnce() -> Found) -> Found {
    black_box(what())
}

/// What counts, and how long it was on a processor.
fn timed<Found>(what: impl FnOnce() -> Found) -> Found {
    let before = on_processor_ns();
    let found = measured(what);
    if let Some((after, before)) = on_processor_ns().zip(before) {
        println!("processor    {:.3} ms", (after - before) as f64 / 1e6);
    }
    found
}

/// How long this thread was on a processor until now, where the system tells.
fn on_processor_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// The memory of this process, where the system tells.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}
