//! `plimsoll doctor`: whether everything that a pipeline stands on is there and whole, and what to do where it is not.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use clap::builder::NonEmptyStringValueParser;
use futures::TryStreamExt;
use plimsoll_ingest::kafka::KafkaSettings;
use plimsoll_lake::{Inspection, Lake, inspect, try_write};
use plimsoll_query::{Limits, QueryService};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::{Instant, Micros};
use rdkafka::consumer::Consumer;

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::Connection;
use crate::definitions::{Folder, counted};
use crate::pipeline::{client, partitions_of};
use crate::threads::Threads;

/// Check the tables, the definitions, Kafka and the clock.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or the bucket
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// The folder of definitions; their sources say which topics are looked at
    #[arg(long, short = 'd', value_name = "DIR")]
    definitions: Option<PathBuf>,
    /// Look only whether files are there and have their size, instead of reading them
    #[arg(long)]
    quick: bool,
    /// Do not try whether the tables can be written
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    kafka: Connection,
}

/// How long a broker may take to say where a partition begins and ends.
const WATERMARKS_WAIT_MAX: Duration = Duration::from_secs(10);

/// How far the clock may be behind the newest recorded tick: clocks of machines differ by less.
const CLOCK_TOLERANCE: Micros = Micros(60_000_000);

/// How grave something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Good,
    /// Nothing is broken, but somebody should know.
    Notice,
    Fault,
}

/// Everything that was found out, in the order in which it was.
#[derive(Default)]
struct Findings(Vec<(Weight, &'static str, String)>);

impl Findings {
    fn add(&mut self, weight: Weight, about: &'static str, what: impl Into<String>) {
        self.0.push((weight, about, what.into()));
    }

    fn faults(&self) -> usize {
        self.0.iter().filter(|(weight, ..)| *weight == Weight::Fault).count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (weight, about, what) in &self.0 {
            let weight = match weight {
                Weight::Good => "ok",
                Weight::Notice => "notice",
                Weight::Fault => "FAULT",
            };
            writeln!(formatter, "{weight:<7} {about:<12} {what}")?;
        }
        Ok(())
    }
}

/// Prints what was found, a line each. Exits 1 when there is a fault.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let mut findings = Findings::default();
    let mut positions = BTreeMap::new();
    match threads.waiting.block_on(inspect(&arguments.lake, !arguments.quick)) {
        Ok(inspection) => {
            tell_lake(&mut findings, &arguments.lake, &inspection);
            if !arguments.read_only
                && let Err(error) = threads.waiting.block_on(try_write(&arguments.lake))
            {
                findings.add(Weight::Fault, "lake", error.to_string());
            }
            if inspection.damages.is_empty() {
                let asked = threads.waiting.block_on(ask_tables(&mut findings, &arguments.lake, threads));
                positions = asked.unwrap_or_else(|error| {
                    findings.add(Weight::Fault, "tables", format!("{error:#}"));
                    BTreeMap::new()
                });
            }
        }
        Err(error) => findings.add(Weight::Fault, "lake", error.to_string()),
    }
    if let Some(folder) = &arguments.definitions {
        let definitions = Folder::read(folder)?.definitions();
        match &definitions {
            Ok(found) => {
                let (services, agreements) = (found.services.len(), found.agreements.len());
                let counts = format!("{}, {}", counted(services, "service"), counted(agreements, "agreement"));
                findings.add(Weight::Good, "definitions", format!("{}: {counts}", folder.display()));
                let settings = arguments.kafka.settings("plimsoll-doctor")?;
                let sources: Vec<_> = found.sources.values().cloned().map(Arc::new).collect();
                let partitions = partitions_of(&settings, &sources);
                let told = partitions.and_then(|ids| tell_kafka(&mut findings, &settings, ids, &positions));
                if let Err(error) = told {
                    findings.add(Weight::Fault, "kafka", format!("{error:#}"));
                }
            }
            Err(problems) => {
                for problem in problems {
                    findings.add(Weight::Fault, "definitions", problem.to_string());
                }
            }
        }
    }
    print!("{findings}");
    match findings.faults() {
        0 => Ok(ExitCode::SUCCESS),
        count => {
            println!("{}", counted(count, "fault"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn tell_lake(findings: &mut Findings, location: &str, inspection: &Inspection) {
    let Inspection { tables, damages, epochs, snapshots } = inspection;
    let files: usize = tables.iter().map(|table| table.files_count).sum();
    let bytes: u64 = tables.iter().map(|table| table.size_bytes).sum();
    if damages.is_empty() {
        let (tables, files) = (counted(tables.len(), "table"), counted(files, "file"));
        findings.add(Weight::Good, "lake", format!("{location}: {tables}, {files}, {bytes} bytes, all whole"));
    }
    for (group, epoch) in epochs {
        let saved = match snapshots.get(group) {
            Some(saved) => format!("the state of epoch {saved} is saved"),
            None => "no state is saved".to_owned(),
        };
        findings.add(Weight::Good, "epochs", format!("group {group} is at epoch {epoch}; {saved}"));
    }
    for damage in damages {
        findings.add(Weight::Fault, "lake", format!("{}: {}; {}", damage.path, damage.what, damage.repair));
    }
}

/// What the tables know of trouble; returned is where each partition goes on.
async fn ask_tables(findings: &mut Findings, location: &str, threads: &Threads) -> Result<BTreeMap<PartitionId, i64>> {
    let lake = Lake::open_existing(location).await?;
    let service = QueryService::open(lake, Limits::default(), threads.questions()).await?;
    let newest = "SELECT max(tick) FROM history.epochs";
    let ticks: Vec<_> = service.sql(newest).await?.try_collect().await?;
    let tick =
        ticks.iter().flat_map(|batch| batch.column(0).as_primitive::<TimestampMicrosecondType>().iter()).flatten();
    if let Some(tick) = tick.max().map(Instant) {
        let now = Instant::from(chrono::Utc::now());
        if tick - now > CLOCK_TOLERANCE {
            let told = format!("it is {now}, but the newest epoch says {tick}; set this machine's clock right (NTP)");
            findings.add(Weight::Fault, "clock", told);
        } else {
            findings.add(Weight::Good, "clock", format!("it is {now}; the newest epoch is of {tick}"));
        }
    }
    let letters = "SELECT count(*) FROM dead_letters";
    let counts: Vec<_> = service.sql(letters).await?.try_collect().await?;
    match counts.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0)) {
        0 => findings.add(Weight::Good, "dead letters", "none"),
        count => {
            let told = counted(count as usize, "record");
            let told = format!("{told} could not be used; `plimsoll dead-letters list` says why");
            findings.add(Weight::Notice, "dead letters", told);
        }
    }
    let gaps = "SELECT count(*), coalesce(sum(lost_count), 0) FROM gaps";
    let counts: Vec<_> = service.sql(gaps).await?.try_collect().await?;
    let count = |column: usize| counts.first().map_or(0, |row| row.column(column).as_primitive::<Int64Type>().value(0));
    match count(0) {
        0 => findings.add(Weight::Good, "gaps", "none"),
        gaps => {
            let (gaps, records) = (counted(gaps as usize, "gap"), count(1));
            let told = format!(
                "{gaps}: up to {records} records were deleted by kafka before they were read; see the view gaps"
            );
            findings.add(Weight::Notice, "gaps", told);
        }
    }
    let read = "SELECT CAST(topic AS VARCHAR), partition, max(until_offset) FROM history.epochs WHERE topic IS NOT NULL \
                GROUP BY topic, partition";
    let mut positions = BTreeMap::new();
    for batch in service.sql(read).await?.try_collect::<Vec<_>>().await? {
        let topics = batch.column(0).as_string_view();
        let (partitions, offsets) =
            (batch.column(1).as_primitive::<Int32Type>(), batch.column(2).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            let id = PartitionId { topic: topics.value(row).into(), partition: partitions.value(row) };
            positions.insert(id, offsets.value(row));
        }
    }
    Ok(positions)
}

/// What Kafka still has of what the tables need next.
fn tell_kafka(
    findings: &mut Findings,
    settings: &KafkaSettings,
    partitions: impl IntoIterator<Item = PartitionId>,
    positions: &BTreeMap<PartitionId, i64>,
) -> Result<()> {
    let client = client(settings)?;
    let (mut count, mut waiting) = (0, 0);
    for id in partitions {
        let (low, high) = client
            .fetch_watermarks(&id.topic, id.partition, WATERMARKS_WAIT_MAX)
            .with_context(|| format!("partition {} of topic {} does not say where it ends", id.partition, id.topic))?;
        let position = positions.get(&id).copied().unwrap_or(low);
        (count, waiting) = (count + 1, waiting + (high - position.max(low)).max(0));
        let of = format!("partition {} of topic {}", id.partition, id.topic);
        if position < low {
            let lost = low - position;
            let told = format!(
                "{of}: the tables are at {position}, but kafka begins at {low}; up to {lost} records were deleted before \
                 they were read: run goes on behind them and keeps the gap; keep records longer (retention.ms)"
            );
            findings.add(Weight::Fault, "kafka", told);
        } else if position > high {
            let told = format!(
                "{of}: the tables are at {position}, but kafka ends at {high}; the topic was made anew: read it under \
                 another name, or into a fresh lake"
            );
            findings.add(Weight::Fault, "kafka", told);
        }
    }
    let told = format!("{} at {}, {waiting} records wait", counted(count, "partition"), settings.bootstrap);
    findings.add(Weight::Good, "kafka", told);
    Ok(())
}
