//! A year at compressed time: checks, tickets and the passing of time through the real lanes, epochs, tables and their
//! upkeep, with a clock that jumps from epoch to epoch.
//!
//! What comes in: how many agreements and days. What goes out: a line each month with memory, files and the size of the
//! saved state; then how long a start takes after a crash. It fails when memory or files grow.
//!
//! One partition is busy, one has fallen silent after its first record, and one is empty; the watermark has to follow the
//! clock all the same (R23).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result, anyhow, ensure};
use plimsoll_aggregate::worker::EPOCH_ROWS_MAX;
use plimsoll_aggregate::{Committer, Input, Live, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::decode::{Decoder, Record};
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::definition::{Definitions, File, load};
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::table::Table;
use tokio::runtime::Runtime;

use crate::measure::resident_bytes;

/// A simulated year, and how long a start takes at its end.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many agreements, of which each service has five.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(5..=1_000_000))]
    agreements: u32,
    /// How many days.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    days: u32,
    /// How many days the state remembers what ended. Few, so that a year is long beside it and memory has to stay flat;
    /// `run` remembers 800.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    remember_days: u32,
    /// Where its tables are left, for questions to be asked of them; nowhere unless given.
    #[arg(long)]
    lake: Option<PathBuf>,
}

/// Thursday, 2026-01-01T00:00:00Z, in seconds since 1970.
const START_S: i64 = 1_767_225_600;

/// Time between two epochs, in hours, and how often a service is checked and a ticket is opened in it.
const EPOCH_HOURS: i64 = 6;
const TICKETS_PER_EPOCH: i64 = 40;

/// A service is down for one check in so many.
const CHECKS_PER_OUTAGE: u64 = 500;

/// Every how many epochs the state is saved, as in `run`.
const SNAPSHOT_EVERY: i64 = 100;

const DAY: Duration = Duration::from_hours(24);

/// A month of it, in days.
const MONTH_DAYS: i64 = 30;

/// How many files there may be: some for each day, of the tables that are cut by days, and what is not merged yet.
const FILES_A_DAY: i64 = 4;
const FILES_NOT_MERGED: i64 = 500;

/// By how much the last third of the year may take more memory than the second, which remembers as much: a tenth. Of each
/// the day in the middle counts: what others take besides depends on when freed pages were given back, and that some day
/// took little is chance, too.
const GROWTH_MAX: (u64, u64) = (11, 10);

/// How long a start may take after a crash, with ten thousand agreements.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// The partitions: busy, silent after one record, empty.
const TOPIC: &str = "events";
const PARTITIONS: [i32; 3] = [0, 1, 2];

/// Lives through the year and prints what it costs.
///
/// # Errors
/// When anything on the way fails, the watermark is held back, or a start takes too long.
pub fn measure(arguments: &Arguments) -> Result<()> {
    let services = arguments.agreements.div_ceil(5);
    let definitions = Arc::new(definitions(services)?);
    let folder = tempfile::tempdir()?;
    let lake = arguments.lake.as_deref().unwrap_or(folder.path());
    ensure!(!lake.join("_plimsoll").exists(), "{} has tables already; name an empty folder", lake.display());
    let year = Year {
        services,
        source: Arc::new(definitions.sources.values().next().context("a source")?.clone()),
        definitions,
        runtime: Runtime::new()?,
        remembered: arguments.remember_days * DAY,
        location: lake.to_string_lossy().into_owned(),
        now: Arc::default(),
    };
    println!(
        "{} agreements, {services} services, {} days, an epoch each {EPOCH_HOURS} h",
        5 * services,
        arguments.days
    );
    let began = Moment::now();
    let last = year.live(i64::from(arguments.days) * 24 / EPOCH_HOURS)?;
    println!("lived through in {:.0} s", began.elapsed().as_secs_f64());
    year.recover(last)
}

struct Year {
    services: u32,
    definitions: Arc<Definitions>,
    source: Arc<Source>,
    runtime: Runtime,
    remembered: Duration,
    location: String,
    /// The clock of the worker, in microseconds.
    now: Arc<AtomicI64>,
}

impl Year {
    /// Lives through so many epochs and stops without saving the state; returns the number of the last one.
    fn live(&self, epochs: i64) -> Result<i64> {
        println!(
            "{:>6} {:>10} {:>8} {:>8} {:>12} {:>10}",
            "day", "memory MB", "most MB", "files", "events", "epoch ms"
        );
        let (mut worker, lake) = self.open()?;
        let committer = worker.committer();
        let per_month = MONTH_DAYS * 24 / EPOCH_HOURS;
        let mut memory = Vec::new();
        let mut month = Moment::now();
        for epoch in 1..=epochs {
            self.now.store(end_of(epoch).0, Ordering::SeqCst);
            for delivery in self.deliveries(epoch)? {
                worker.take(Input::Delivery(delivery));
            }
            self.cut(&mut worker, &committer)?;
            let watermark = worker.watermark();
            ensure!(watermark == end_of(epoch), "it is {}, but the watermark is {watermark}", end_of(epoch));
            if epoch % (24 / EPOCH_HOURS) == 0 {
                self.runtime.block_on(lake.maintain())?;
                // Nobody asks anything, and a day takes no time: what was taken away may go at once.
                let now = chrono::Utc::now();
                self.runtime.block_on(lake.vacuum_before(now, now))?;
                memory.push(resident_bytes()?);
            }
            if epoch % per_month == 0 {
                let files = count_files(self.location.as_ref())?;
                let events = self.runtime.block_on(lake.files(Table::Events))?;
                let rows: u64 = events.files.iter().filter_map(|file| file.rows).sum();
                let took = month.elapsed().as_millis() as i64 / per_month;
                let day = epoch * EPOCH_HOURS / 24;
                let of_month = &memory[memory.len() - MONTH_DAYS as usize..];
                let (typical, most) = (median(of_month), of_month.iter().max().unwrap_or(&0));
                let [typical, most] = [typical, *most].map(|bytes| bytes / 1_000_000);
                println!("{day:>6} {typical:>10} {most:>8} {files:>8} {rows:>12} {took:>10}");
                let files_max = FILES_A_DAY * day + FILES_NOT_MERGED;
                ensure!(files as i64 <= files_max, "{files} files are more than {files_max} on day {day}");
                month = Moment::now();
            }
        }
        if self.remembered > memory.len() as u32 / 3 * DAY {
            println!("memory is told and not judged: it grows until as many days have passed as are remembered");
        } else {
            stays_flat(&memory)?;
        }
        Ok(epochs)
    }

    /// Starts again after a crash, and makes again what was recorded since the state was saved.
    fn recover(&self, last: i64) -> Result<()> {
        let began = Moment::now();
        let (mut worker, _) = self.open()?;
        let opened = began.elapsed();
        let committer = worker.committer();
        let mut made = 0;
        for epoch in worker.next_epoch()..=last {
            // The time that it takes to make the records up is not the worker's.
            let deliveries = self.deliveries(epoch)?;
            let began = Moment::now();
            for delivery in deliveries {
                worker.take(Input::Delivery(delivery));
            }
            while let Some(order) = worker.replay()? {
                self.runtime.block_on(committer.carry_out(order.encode()?))?;
                made += 1;
            }
            self.now.fetch_add(began.elapsed().as_micros() as i64, Ordering::SeqCst);
        }
        ensure!(worker.is_replayed(), "recorded epochs are left");
        let replaying = Duration::from_micros((self.now.load(Ordering::SeqCst) - end_of(last).0) as u64);
        let took = opened + replaying;
        let (opened, took_s) = (opened.as_secs_f64(), took.as_secs_f64());
        println!(
            "a start after a crash: {took_s:.1} s, of which {opened:.1} s to read the state; {made} epochs made again"
        );
        ensure!(took <= RECOVERY_MAX, "a start may take {} s", RECOVERY_MAX.as_secs());
        Ok(())
    }

    fn open(&self) -> Result<(Worker, Lake)> {
        let lake = self.runtime.block_on(Lake::open(&self.location))?;
        let now = self.now.clone();
        let settings = WorkerSettings {
            group: "year".to_owned(),
            shard: Shard::WHOLE,
            lanes: 1,
            epoch_interval: Duration::from_secs(1),
            epoch_rows_max: EPOCH_ROWS_MAX,
            publish_interval: Duration::from_hours(24),
            snapshot_every: SNAPSHOT_EVERY,
            remembered: self.remembered,
            clock: Arc::new(move || Instant(now.load(Ordering::SeqCst))),
        };
        let opening = Worker::open(settings, lake.clone(), self.definitions.clone(), Arc::new(Live::default()));
        Ok((self.runtime.block_on(opening)?, lake))
    }

    fn cut(&self, worker: &mut Worker, committer: &Committer) -> Result<()> {
        if let Some(order) = worker.cut(false)? {
            self.runtime.block_on(committer.carry_out(order.encode()?))?;
        }
        Ok(())
    }

    /// What there is to read in an epoch, which every call makes up alike: results of checks and tickets in the busy
    /// partition, one result at the very beginning in the silent one, and from all three the proof that this is all.
    fn deliveries(&self, epoch: i64) -> Result<Vec<Delivery>> {
        let records = self.records(epoch);
        let per_epoch = i64::from(self.services) + 2 * TICKETS_PER_EPOCH;
        let mut deliveries = Vec::new();
        for partition in PARTITIONS {
            let id = PartitionId { topic: TOPIC.into(), partition };
            let (from, records) = match partition {
                0 => ((epoch - 1) * per_epoch, records.as_slice()),
                1 if epoch == 1 => (0, &records[..1]),
                silent => (i64::from(silent == 1), [].as_slice()),
            };
            let mut decoder = Decoder::new(self.source.clone(), id);
            for (offset, record) in (from..).zip(records) {
                // The same record in two partitions would be a copy.
                let record =
                    if partition == 0 { record.clone() } else { record.replace("\"id\":\"", "\"id\":\"silent-") };
                decoder.decode(Record { offset, payload: Some(record.as_bytes()), record_time: None });
            }
            deliveries.push(decoder.take(from, from + records.len() as i64, Some(end_of(epoch)))?);
        }
        Ok(deliveries)
    }

    fn records(&self, epoch: i64) -> Vec<String> {
        let start = end_of(epoch - 1).0 / 1_000_000;
        let time = |seconds: i64| {
            chrono::DateTime::from_timestamp(start + seconds, 0).map_or_else(String::new, |time| time.to_rfc3339())
        };
        let span = EPOCH_HOURS * 3_600;
        let mut records = Vec::with_capacity(self.services as usize + 2 * TICKETS_PER_EPOCH as usize);
        for service in 0..self.services {
            let at = time(i64::from(service) * span / i64::from(self.services));
            let number = epoch as u64 * u64::from(self.services) + u64::from(service);
            let status = if mix(number).is_multiple_of(CHECKS_PER_OUTAGE) { "down" } else { "up" };
            records.push(format!(
                r#"{{"id":"c{number}","time":"{at}","kind":"monitoring","service":"s{service}","check":"http","status":"{status}"}}"#
            ));
        }
        for ticket in 0..TICKETS_PER_EPOCH {
            let number = epoch * TICKETS_PER_EPOCH + ticket;
            let service = mix(number as u64) % u64::from(self.services);
            for (action, after) in [("opened", 0), ("resolved", 600 + 60 * (number % 100))] {
                let at = time(ticket * 60 + after);
                records.push(format!(
                    r#"{{"id":"t{number}-{action}","time":"{at}","kind":"incident","service":"s{service}","ticket":"T{number}","action":"{action}"}}"#
                ));
            }
        }
        records
    }
}

/// Whether the last third of the days takes about as much memory as the second.
fn stays_flat(memory: &[u64]) -> Result<()> {
    let third = memory.len() / 3;
    let (second, last) = (median(&memory[third..2 * third]), median(&memory[2 * third..]));
    let (more, than) = GROWTH_MAX;
    ensure!(last * than <= second * more, "memory grew from {second} bytes to {last}");
    Ok(())
}

/// The one in the middle, the upper of two; 0 of none.
fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// The tick of an epoch, which is when all its records have come.
fn end_of(epoch: i64) -> Instant {
    Instant((START_S + epoch * EPOCH_HOURS * 3_600) * 1_000_000)
}

/// Numbers that look random (the finaliser of splitmix64).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Five agreements for each service: availability of days and months, and tickets.
fn definitions(services: u32) -> Result<Definitions> {
    let mut text = String::from(
        "apiVersion: plimsoll/v1\nkind: Source\nmetadata: {id: plain}\nspec: {topics: [events], lateness: 0s}\n",
    );
    for service in 0..services {
        text.push_str(&format!(
            "---\napiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: s{service}}}\nspec: {{state: {{stale_after: 7h}}}}\n"
        ));
        for (number, objective) in [
            "{id: o, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}}",
            "{id: o, indicator: {signal: availability}, target: {at_least: 95 %}, window: {calendar: day}}",
            "{id: o, indicator: {signal: downtime}, target: {at_most: 12h}, window: {calendar: quarter}}",
            "{id: o, indicator: {signal: resolution_time, within: 1h}, target: {at_least: 50 %}, window: {calendar: month}}",
            "{id: o, indicator: {signal: outage_count}, target: {at_most: 3}, window: {calendar: week}}",
        ]
        .into_iter()
        .enumerate()
        {
            text.push_str(&format!(
                "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: a{service}-{number}}}\nspec: {{type: ola, \
                 services: [s{service}], effective: {{from: 2026-01-01}}, objectives: [{objective}]}}\n"
            ));
        }
    }
    load(&[File { name: "year.yaml", text: &text }]).map_err(|problems| anyhow!("{}", problems[0]))
}

/// Every file below a folder.
fn count_files(folder: &std::path::Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { count_files(&entry.path())? } else { 1 };
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_takes_no_more_memory_at_its_end_than_in_its_middle() {
        measure(&Arguments { agreements: 25, days: 365, remember_days: 31, lake: None }).expect("a year");
    }

    #[test]
    fn memory_that_grows_is_told() {
        assert!(stays_flat(&[]).is_ok());
        // Those in the middle are 100 and 110, then 100 and 111.
        assert!(stays_flat(&[10, 10, 10, 20, 100, 500, 110, 90, 900]).is_ok());
        assert!(stays_flat(&[10, 10, 10, 20, 100, 500, 111, 90, 900]).is_err());
    }
}
