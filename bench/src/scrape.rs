//! What a scrape of many objectives costs on one core, beside the raw limit: copying as many bytes.

use std::fs;
use std::hint::black_box;

use anyhow::{Context, Result};
use plimsoll_aggregate::Live;
use plimsoll_aggregate::live::{LiveObjective, LiveResult};
use plimsoll_aggregate::metrics::objectives;
use plimsoll_aggregate::shown::{Labels, Shown};
use plimsoll_engine::budget::{SPANS, Spending};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};

/// How many series an objective of availability has when something was down in its window.
const SERIES_EACH: usize = 15;

/// How often each is done.
const TIMES: u32 = 50;

/// The size of a scrape.
#[derive(clap::Args)]
pub struct Arguments {
    /// About how many time series
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    series: u32,
}

/// Measures scrapes of objectives in the text format.
///
/// # Errors
/// When the system does not tell how long a thread was on a processor.
pub fn measure(arguments: &Arguments) -> Result<()> {
    let count = arguments.series as usize / SERIES_EACH;
    let live = Live::showing(Shown { objectives_max: usize::MAX, ..Shown::default() });
    live.state().objectives = (0..count as i64).map(objective).collect();
    let now = Instant(1_772_323_200_000_000);
    let text = objectives(&live, now);
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    println!("{series} time series of {count} objectives, {:.1} MB", text.len() as f64 / 1e6);
    println!("scrape   {:>8.2} ms", millis_each(|| drop(black_box(objectives(&live, now))))?);
    println!("copy     {:>8.2} ms", millis_each(|| drop(black_box(text.clone())))?);
    Ok(())
}

/// One with numbers of all lengths.
fn objective(number: i64) -> LiveObjective {
    let values = ["agreement-of-a-customer", "sla", "a-customer", "availability", "gold", "a-service-of-it", "month"];
    let (agreement, service) = (format!("{}-{number}", values[0]), format!("{}-{number}", values[5]));
    let labels = [&*agreement, values[1], values[2], values[3], values[4], &service, values[6]];
    let result = LiveResult {
        attainment: Some(Share(999_000_000 + number)),
        budget_left_share: Some(Share(500_000_000 - number * 100_000)),
        budget_left: Some(Micros(1_296_000_000 - number * 259_200)),
        headroom: Some(Micros(1_296_000_000)),
        breach_probability: Some(Share(number * 10_000)),
        exhaustion_at: Some(Instant(1_772_323_200_000_000 + number)),
        ..LiveResult::new(Instant(0), "at_risk".into())
    };
    let spending = Spending {
        burn_rates: [Some(Share(number * 1_000_000)); SPANS.len()],
        spent_at: Some(Instant(1_772_323_200_000_000 - number)),
        counts_left: None,
    };
    let newest = Some(result);
    LiveObjective { newest, spending: Some(spending), ..LiveObjective::new(Labels::ALL.write(labels)) }
}

/// How long one of many runs was on a processor on average, in milliseconds: the system may count in steps of several.
fn millis_each(mut run: impl FnMut()) -> Result<f64> {
    let before = on_processor_ns()?;
    (0..TIMES).for_each(|_| run());
    Ok((on_processor_ns()? - before) as f64 / 1e6 / f64::from(TIMES))
}

/// How long this thread was on a processor until now.
fn on_processor_ns() -> Result<u64> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").context("cannot read the time on the processor")?;
    let nanos = told.split_whitespace().next().context("/proc/thread-self/schedstat is empty")?;
    Ok(nanos.parse()?)
}
