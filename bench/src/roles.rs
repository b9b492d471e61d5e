//! The same way with roles apart: what is decoded goes into the exchange, a topic of the same broker, and into tables from
//! there. All roles are in this process, so its processor time and memory are those of all of them together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use plimsoll_aggregate::{Input, Live, Worker};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::exchange::{ExchangeReader, ExchangeWriter, Heard, Message, create_topics};
use plimsoll_ingest::kafka::{KafkaEvent, KafkaSettings, start};
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::Definitions;
use tokio::runtime::Handle;

use crate::measure::Measurement;
use crate::pipeline::{WAIT_MAX, check_tables, definitions, worker_settings};
use crate::workload::Workload;

/// The name that topics and groups begin with.
const GROUP: &str = "bench-roles";

/// How often the ingest worker looks whether the others are done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads the whole topic into tables, through the exchange and by so many shards.
///
/// # Errors
/// When anything on the way fails, or the tables do not hold every event afterwards.
pub fn measure(bootstrap: &str, topic: &str, workload: &Workload, shards: u32) -> Result<Measurement> {
    let definitions = Arc::new(definitions(topic, workload)?);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let lake = runtime.block_on(Lake::open(&folder.path().to_string_lossy()))?;
    let kafka = KafkaSettings::new(bootstrap, GROUP);
    runtime.block_on(create_topics(&kafka, None))?;
    let writer = ExchangeWriter::new(&kafka)?;
    let name = format!("plimsoll, {shards} shard{} apart", if shards == 1 { "" } else { "s" });
    let measurement = Measurement::of(name, || {
        std::thread::scope(|scope| {
            let aggregate = |number| {
                let (kafka, definitions, lake, runtime) = (&kafka, &definitions, &lake, runtime.handle());
                let partitions_count = workload.partitions_count as usize;
                scope.spawn(move || {
                    let shard = Shard::new(number, shards).context("a shard")?;
                    aggregate(kafka, partitions_count, shard, definitions.clone(), lake.clone(), runtime)
                })
            };
            let aggregating: Vec<_> = (0..shards).map(aggregate).collect();
            ingest(&kafka, &definitions, &writer, &aggregating)?;
            let counts = aggregating.into_iter().map(|one| one.join().map_err(|_| anyhow!("a shard panicked"))?);
            counts.sum()
        })
    })?;
    let (messages_count, bytes) = writer.counts();
    println!(
        "exchange: {messages_count} messages, {:.1} bytes an event, {:.0} MB/s before they are compressed",
        bytes as f64 / workload.events_count as f64,
        bytes as f64 / 1e6 / measurement.elapsed.as_secs_f64()
    );
    check_tables(&runtime, &lake, workload)?;
    Ok(measurement)
}

/// Passes on what the topic has, until the shards have all of it.
fn ingest(
    kafka: &KafkaSettings,
    definitions: &Definitions,
    writer: &ExchangeWriter,
    aggregating: &[ScopedJoinHandle<'_, Result<u64>>],
) -> Result<()> {
    let sources: Vec<_> = definitions.sources.values().cloned().map(Arc::new).collect();
    let source = start(kafka.clone(), &sources, HashMap::new(), BTreeMap::new())?;
    let is_done = || aggregating.iter().all(ScopedJoinHandle::is_finished);
    let mut begun = HashSet::new();
    while !is_done() {
        let message = match source.events().receive(LOOK_EVERY) {
            None => continue,
            Some(KafkaEvent::Delivery(delivery)) => {
                let is_beginning = begun.insert(delivery.partition.clone());
                Message::Delivery { delivery, is_beginning }
            }
            Some(KafkaEvent::Assigned(partitions)) => Message::Partitions(partitions),
            Some(KafkaEvent::Fatal(error)) => return Err(error.into()),
            Some(other) => bail!("the broker failed during the run: {other:?}"),
        };
        writer.send(message, is_done)?;
    }
    Ok(())
}

/// Keeps a shard until it has read the topic to its end, and says how many events it stored.
fn aggregate(
    kafka: &KafkaSettings,
    partitions_count: usize,
    shard: Shard,
    definitions: Arc<Definitions>,
    lake: Lake,
    runtime: &Handle,
) -> Result<u64> {
    let settings = worker_settings(GROUP, shard);
    let (lane_group, live) = (settings.lane_group(), Arc::new(Live::default()));
    let worker = runtime.block_on(Worker::open(settings, lake, definitions, live.clone()))?;
    let mut reader = ExchangeReader::start(kafka, &lane_group, HashMap::new(), BTreeMap::new())?;
    let (inputs, queue) = sync_channel(16);
    let threads = runtime.clone();
    let worker = std::thread::spawn(move || worker.run(threads, || false, queue, |_| ()));
    let mut behind: BTreeMap<_, bool> = BTreeMap::new();
    while behind.len() < partitions_count || behind.values().any(|behind| *behind) {
        let input = match reader.next(WAIT_MAX)?.context("nothing came through the exchange for a minute")? {
            Heard::Delivery(delivery) => {
                behind.insert(delivery.partition.clone(), delivery.complete_until.is_none());
                Input::Delivery(delivery)
            }
            Heard::Partitions(partitions) => Input::Assigned(partitions),
        };
        if inputs.send(input).is_err() {
            break;
        }
    }
    drop(inputs);
    let progress = worker.join().map_err(|_| anyhow!("the worker panicked"))??;
    reader.close(&progress.saved);
    Ok(live.pipeline().events.values().sum())
}
