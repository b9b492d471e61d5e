//! Source, worker and lake in one process: what `run` and `demo` have in common.
//!
//! ```text
//! kafka-poll thread --KafkaEvent--> feeder thread --Input--> worker thread --> lake-encoder, lake-writer threads
//!                                                                 |-- commits offsets back, as a hint
//! ```
//! Every queue is bounded, so a slow disk slows the consumer. The worker ends when the feeder stops feeding it, which is
//! when the shutdown is requested, the source or the worker fails, or everything is read and that was asked for.

use std::collections::BTreeSet;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use plimsoll_aggregate::{AggregateError, Input, Live, Progress, Worker, WorkerSettings};
use plimsoll_ingest::kafka::{self, KafkaEvent, KafkaSettings, KafkaSource};
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::AttainmentRow;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};

use crate::shutdown::Shutdown;

/// How many inputs may wait for the worker. The bytes are bounded before, by the source's own queue.
const INPUTS_MAX: usize = 16;

/// How long the broker may take to say which partitions there are.
const METADATA_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often the feeder looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a pipeline is made of.
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How the worker works.
    pub worker: WorkerSettings,
    /// What is promised, and where events come from.
    pub definitions: Arc<Definitions>,
    /// The tables.
    pub lake: Lake,
    /// The newest results that they hold.
    pub newest: Vec<AttainmentRow>,
    /// End when every partition has been read to its end.
    pub until_caught_up: bool,
}

/// A running pipeline.
pub struct Pipeline {
    source: Arc<KafkaSource>,
    /// The newest numbers.
    pub live: Arc<Live>,
    feeder: JoinHandle<Result<Progress>>,
}

impl Pipeline {
    /// Restores the state and starts the threads.
    ///
    /// # Errors
    /// When the state cannot be restored, or a setting cannot be used.
    pub fn start(mut settings: Settings, shutdown: Shutdown, runtime: &tokio::runtime::Handle) -> Result<Pipeline> {
        let live = Arc::new(Live::default());
        settings.kafka.clock = settings.worker.clock.clone();
        let sources: Vec<Arc<Source>> = settings.definitions.sources.values().cloned().map(Arc::new).collect();
        let worker = Worker::open(settings.worker, settings.lake, settings.definitions, live.clone(), runtime.clone())?;
        live.take(&settings.newest);
        let expected = match settings.until_caught_up {
            true => Some(partitions_of(&settings.kafka, &sources)?),
            false => None,
        };
        let source = Arc::new(kafka::start(settings.kafka, &sources, worker.start_offsets())?);
        let (inputs, queue) = sync_channel(INPUTS_MAX);
        let committing = source.clone();
        let work = move || worker.run(queue, |progress| committing.commit(progress.offsets.clone()));
        let worker =
            std::thread::Builder::new().name("worker".to_owned()).spawn(work).context("cannot start a thread")?;
        let feeding = Feeder { source: source.clone(), inputs, shutdown, expected };
        let feed = move || {
            let fed = feeding.run(&worker);
            let progress = worker.join().map_err(|_| anyhow!("the worker thread ended unexpectedly"))??;
            fed.map(|()| progress)
        };
        let feeder =
            std::thread::Builder::new().name("feeder".to_owned()).spawn(feed).context("cannot start a thread")?;
        Ok(Pipeline { source, live, feeder })
    }

    /// A handle on the consumer's own numbers that outlives this value.
    pub fn source(&self) -> Arc<KafkaSource> {
        self.source.clone()
    }

    /// True once everything is committed, or something failed.
    pub fn is_finished(&self) -> bool {
        self.feeder.is_finished()
    }

    /// Waits until everything is committed.
    ///
    /// # Errors
    /// Why the worker or the source failed.
    pub fn join(self) -> Result<Progress> {
        self.feeder.join().map_err(|_| anyhow!("the feeder thread ended unexpectedly"))?
    }
}

/// What a client was last told to be wrong: a failed request says only that it failed.
#[derive(Default)]
struct LastWords(Mutex<Option<(Option<RDKafkaErrorCode>, String)>>);

impl ClientContext for LastWords {
    /// What the client's log says of a failed request is what `error` is told, and that is said once, by us.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        // "All brokers are down" follows every other reason and says less.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for LastWords {}

/// Every partition of the sources' topics. While a member that died is still in the group, this one is given only some
/// of them, so what was assigned does not say what there is to read.
fn partitions_of(settings: &KafkaSettings, sources: &[Arc<Source>]) -> Result<BTreeSet<PartitionId>> {
    let mut config = ClientConfig::new();
    config.extend(settings.properties.clone());
    config.set("bootstrap.servers", &settings.bootstrap);
    let client: BaseConsumer<LastWords> =
        config.create_with_context(LastWords::default()).context("cannot make a kafka client")?;
    let (mut partitions, mut missing) = (BTreeSet::new(), Vec::new());
    for topic in sources.iter().flat_map(|source| &source.topics) {
        let metadata = client
            .fetch_metadata(Some(topic), METADATA_WAIT_MAX)
            .map_err(|error| unanswered(&client, &settings.bootstrap, &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => missing.push(topic.as_str()),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                bail!("topic {topic} may not be read; grant this user READ and DESCRIBE on it")
            }
            Some(error) => bail!("topic {topic} cannot be read: {error}; try again when the broker is ready"),
        }
        let ids = found.into_iter().flat_map(|found| found.partitions()).map(|partition| partition.id());
        partitions.extend(ids.map(|partition| PartitionId { topic: topic.as_str().into(), partition }));
    }
    let bootstrap = &settings.bootstrap;
    match missing.as_slice() {
        [] => Ok(partitions),
        [topic] => bail!("topic {topic} does not exist at {bootstrap}; create it, or correct the topics of its source"),
        topics => bail!(
            "topics {} do not exist at {bootstrap}; create them, or correct the topics of their sources",
            topics.join(", ")
        ),
    }
}

/// Why a request was not answered, and what to do.
fn unanswered(client: &BaseConsumer<LastWords>, bootstrap: &str, error: &KafkaError) -> anyhow::Error {
    // Errors are told while the client is polled; there is no message to be had, for nothing is subscribed.
    let _ = client.poll(Duration::ZERO);
    match client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some((Some(RDKafkaErrorCode::Authentication), reason)) => {
            anyhow!("{bootstrap} refuses our credentials: {reason}; check the sasl.* properties")
        }
        Some((Some(RDKafkaErrorCode::SSL), reason)) => {
            anyhow!("no TLS with {bootstrap}: {reason}; check the ssl.* properties")
        }
        words => {
            let reason = words.map_or_else(|| error.to_string(), |(_, reason)| reason);
            anyhow!("no broker answers at {bootstrap}: {reason}; check the address and that the broker runs")
        }
    }
}

/// Hands the source's events to the worker, and says on standard error what an operator has to know.
struct Feeder {
    source: Arc<KafkaSource>,
    inputs: SyncSender<Input>,
    shutdown: Shutdown,
    /// When to end by itself: once all of these were read to their end.
    expected: Option<BTreeSet<PartitionId>>,
}

impl Feeder {
    /// Feeds until there is a reason to end. What the worker waits for is then dropped, so that it ends, too.
    fn run(self, worker: &JoinHandle<Result<Progress, AggregateError>>) -> Result<()> {
        let mut caught_up: BTreeSet<PartitionId> = BTreeSet::new();
        let mut is_sharing_known = false;
        while !self.shutdown.is_requested() && !worker.is_finished() {
            let input = match self.source.events().receive(LOOK_EVERY) {
                None if self.source.events().is_finished() => bail!("the kafka consumer ended unexpectedly"),
                None => continue,
                Some(KafkaEvent::Delivery(delivery)) => {
                    if delivery.complete_until.is_some() {
                        caught_up.insert(delivery.partition.clone());
                    } else {
                        caught_up.remove(&delivery.partition);
                    }
                    Input::Delivery(delivery)
                }
                Some(KafkaEvent::Assigned(partitions)) => Input::Assigned(partitions),
                Some(KafkaEvent::Revoked(partitions)) => {
                    if !is_sharing_known {
                        let count = crate::definitions::counted(partitions.len(), "partition");
                        eprintln!(
                            "warning: {count} of this group were given to another member of it; a group is one process: \
                             stop the other"
                        );
                    }
                    is_sharing_known = true;
                    continue;
                }
                Some(KafkaEvent::Unavailable { why, .. }) => {
                    eprintln!("warning: {why}; still trying");
                    continue;
                }
                Some(KafkaEvent::Recovered) => {
                    eprintln!("kafka can be read again");
                    continue;
                }
                Some(KafkaEvent::Fatal(error)) => return Err(error.into()),
            };
            if self.inputs.send(input).is_err() {
                // The worker ended; it says why.
                return Ok(());
            }
            if self.expected.as_ref().is_some_and(|expected| expected.is_subset(&caught_up)) {
                return Ok(());
            }
        }
        Ok(())
    }
}
