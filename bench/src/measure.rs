//! What one run costs this process: time, processor time, peak memory. Linux only: the numbers come from `/proc/self`.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The kernel's unit of processor time in `/proc/self/stat`: `USER_HZ`, which is 100 a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The cost of one run.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// What ran.
    pub name: String,
    /// How many events went through.
    pub events_count: u64,
    /// From start to end.
    pub elapsed: Duration,
    /// Processor time of all threads of this process, user and system.
    pub processor: Duration,
    /// The most memory that was resident at once, in bytes.
    pub resident_bytes_max: u64,
}

impl Measurement {
    /// Runs something that handles as many events as it returns, and measures it.
    ///
    /// # Errors
    /// Its own, and when `/proc/self` cannot be read.
    pub fn of(name: impl Into<String>, run: impl FnOnce() -> Result<u64>) -> Result<Measurement> {
        // Sets the peak back to what is resident now; without it earlier runs would count.
        fs::write("/proc/self/clear_refs", "5").context("the peak memory cannot be set back")?;
        let (began, processor_before) = (Instant::now(), processor_time()?);
        let events_count = run()?;
        Ok(Measurement {
            name: name.into(),
            events_count,
            elapsed: began.elapsed(),
            processor: processor_time()?.saturating_sub(processor_before),
            resident_bytes_max: resident_bytes_max()?,
        })
    }

    /// Events for each second of elapsed time.
    pub fn events_per_second(&self) -> f64 {
        self.events_count as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of processor time for each event.
    pub fn processor_us_per_event(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.events_count as f64
    }
}

/// Prints each run as a line, with its share of the first one's events a second.
pub fn report(runs: &[Measurement]) {
    println!("{:<24} {:>14} {:>14} {:>10} {:>8}", "", "events/s", "CPU us/event", "peak MB", "share");
    for run in runs {
        println!(
            "{:<24} {:>14.0} {:>14.2} {:>10} {:>8.2}",
            run.name,
            run.events_per_second(),
            run.processor_us_per_event(),
            run.resident_bytes_max / 1_000_000,
            run.events_per_second() / runs[0].events_per_second()
        );
    }
}

/// Fields 14 and 15 of `/proc/self/stat`, counted after the name in brackets, which may hold blanks.
fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("/proc/self/stat has no name")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

fn resident_bytes_max() -> Result<u64> {
    of_status("VmHWM:")
}

/// The memory that is resident now, in bytes.
///
/// # Errors
/// When `/proc/self` cannot be read.
pub fn resident_bytes() -> Result<u64> {
    of_status("VmRSS:")
}

fn of_status(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("/proc/self/status has no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
