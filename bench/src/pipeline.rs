//! Plimsoll's whole way: consumer, decoder, lanes and engine, to committed tables in a temporary folder, under one
//! agreement for each service.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use chrono::NaiveDate;
use plimsoll_aggregate::worker::{EPOCH_ROWS_MAX, REMEMBERED};
use plimsoll_aggregate::{Input, Live, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::kafka::{KafkaEvent, KafkaSettings, start};
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Agreement, AgreementType, Definitions, File, Service, load};
use plimsoll_schemas::table::Table;

use crate::measure::Measurement;
use crate::workload::Workload;

/// What each service's agreement promises: the objective of a usual gold offering.
const OFFERING: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: pattern}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: pattern}
spec:
  type: ola
  services: [pattern]
  effective: {from: 2026-03-01, until: 2026-04-01}
  objectives:
    - id: availability
      indicator: {signal: availability}
      target: {at_least: 99.9 %}
      window: {calendar: month}
    - id: availability-daily
      indicator: {signal: availability}
      target: {at_least: 99 %}
      window: {calendar: day}
";

/// How long a message may take to come before the run counts as stuck.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// Reads the whole topic into tables.
///
/// # Errors
/// When anything on the way fails, or the tables do not hold every event afterwards.
pub fn measure(bootstrap: &str, topic: &str, workload: &Workload) -> Result<Measurement> {
    let definitions = Arc::new(definitions(topic, workload)?);
    let folder = tempfile::tempdir()?;
    let location = folder.path().to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let lake = runtime.block_on(Lake::open(&location))?;
    let measurement = Measurement::of("plimsoll, whole way", || {
        let read = read(bootstrap, workload, definitions.clone(), lake.clone(), runtime.handle())?;
        Ok(read)
    })?;
    check_tables(&runtime, &lake, workload)?;
    Ok(measurement)
}

/// Says what the table of events is like.
///
/// # Errors
/// When it does not hold every event.
pub fn check_tables(runtime: &tokio::runtime::Runtime, lake: &Lake, workload: &Workload) -> Result<()> {
    let files = runtime.block_on(lake.files(Table::Events))?;
    let stored: u64 = files.files.iter().map(|file| file.rows.unwrap_or(0)).sum();
    ensure!(stored == workload.events_count, "{stored} of {} events are in the tables", workload.events_count);
    let bytes: u64 = files.files.iter().map(|file| file.size_bytes).sum();
    println!("events table: {} files, {:.1} bytes an event", files.files.len(), bytes as f64 / stored as f64);
    Ok(())
}

/// How a worker works.
pub fn worker_settings(group: &str, shard: Shard) -> WorkerSettings {
    WorkerSettings {
        group: group.to_owned(),
        shard,
        lanes: 1,
        epoch_interval: Duration::from_secs(1),
        epoch_rows_max: EPOCH_ROWS_MAX,
        publish_interval: Duration::from_secs(60),
        snapshot_every: 100,
        remembered: REMEMBERED,
        clock: Arc::new(|| Instant::from(chrono::Utc::now())),
    }
}

fn read(
    bootstrap: &str,
    workload: &Workload,
    definitions: Arc<Definitions>,
    lake: Lake,
    runtime: &tokio::runtime::Handle,
) -> Result<u64> {
    let sources: Vec<_> = definitions.sources.values().cloned().map(Arc::new).collect();
    let settings = worker_settings("bench", Shard::WHOLE);
    let live = Arc::new(Live::default());
    let worker = runtime.block_on(Worker::open(settings, lake, definitions, live.clone()))?;
    let source = start(KafkaSettings::new(bootstrap, "bench"), &sources, HashMap::new(), BTreeMap::new())?;
    let (inputs, queue) = sync_channel(16);
    let threads = runtime.clone();
    let worker = std::thread::spawn(move || worker.run(threads, || false, queue, |_| ()));
    let mut behind: BTreeMap<_, bool> = BTreeMap::new();
    while behind.len() < workload.partitions_count as usize || behind.values().any(|behind| *behind) {
        let input = match source.events().receive(WAIT_MAX).context("no record came for a minute")? {
            KafkaEvent::Delivery(delivery) => {
                behind.insert(delivery.partition.clone(), delivery.complete_until.is_none());
                Input::Delivery(delivery)
            }
            KafkaEvent::Assigned(partitions) => Input::Assigned(partitions),
            KafkaEvent::Fatal(error) => return Err(error.into()),
            other => bail!("the broker failed during the run: {other:?}"),
        };
        if inputs.send(input).is_err() {
            break;
        }
    }
    drop(inputs);
    worker.join().map_err(|_| anyhow!("the worker panicked"))??;
    let pipeline = live.pipeline();
    println!(
        "epochs: {} folded in {:.1} s, {} committed in {:.1} s",
        pipeline.folded.0,
        pipeline.folded.1.as_secs_f64(),
        pipeline.committed.0,
        pipeline.committed.1.as_secs_f64()
    );
    Ok(pipeline.events.values().sum())
}

/// A service and an agreement for each service of the workload, and its source.
///
/// # Errors
/// When the pattern is not understood, which is a defect.
pub fn definitions(topic: &str, workload: &Workload) -> Result<Definitions> {
    let pattern = load(&[File { name: "pattern.yaml", text: OFFERING }])
        .map_err(|problems| anyhow!("the pattern of the agreements has problems: {problems:?}"))?;
    let agreement = pattern.agreements.first().context("the pattern has an agreement")?;
    let service = pattern.services.get("pattern").context("the pattern has a service")?;
    let mut definitions = Definitions::default();
    for number in 0..workload.services_count {
        let id = Workload::service(number);
        definitions.services.insert(id.clone(), Service { id: id.clone(), name: id.clone(), ..service.clone() });
        definitions.agreements.push(Agreement {
            id: format!("ola-{id}"),
            agreement_type: AgreementType::Ola,
            services: vec![id],
            effective_from: NaiveDate::from_ymd_opt(2026, 3, 1).context("a date")?,
            ..agreement.clone()
        });
    }
    let source = Workload::source(topic);
    definitions.sources.insert(source.id.clone(), source);
    Ok(definitions)
}
