//! Source, worker and lake in one process: what `run` and `demo` have in common.
//!
//! ```text
//! kafka-poll thread --KafkaEvent--> feeder thread --Input--> worker thread --> lake-encoder, lake-writer threads
//!                                                                 |-- commits offsets back, as a hint
//! ```
//! Every queue is bounded, so a slow disk slows the consumer. The worker ends when the feeder stops feeding it, which is
//! when the shutdown is requested, the source or the worker fails, or everything is read and that was asked for. Epochs
//! that were recorded under former definitions are first finished under these, by a worker and a source of their own.
//! When other definitions are in force, or observations were deferred for long enough, the next worker goes on by them.
//! When everything is read and observations were deferred, one more applies them. What Kafka deleted before recorded epochs
//! were made again comes from the tables (`restore`).

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result, anyhow, bail};
use plimsoll_aggregate::collector::{Losses, RecordedEpoch};
use plimsoll_aggregate::rebuild::StoredEpochs;
use plimsoll_aggregate::{AggregateError, Input, Live, Progress, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::kafka::{self, KafkaEvent, KafkaEvents, KafkaMetrics, KafkaSettings, KafkaSource};
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::AttainmentRow;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};

use crate::in_force::InForce;
use crate::restore::{Restorer, UNREAD, patiently};
use crate::retries::Retries;
use crate::shutdown::Shutdown;

/// How many inputs may wait for the worker. The bytes are bounded before, by the source's own queue.
pub const INPUTS_MAX: usize = 16;

/// How long the broker may take to say which partitions there are.
const METADATA_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long after partitions were lost, and how often then, it is looked who has them.
const SHARING_LOOK_INTERVAL: Duration = Duration::from_secs(3);

/// How often the feeder looks whether it is to end.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a pipeline is made of.
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How the worker works.
    pub worker: WorkerSettings,
    /// What is promised, and where events come from.
    pub definitions: Arc<InForce>,
    /// The tables.
    pub lake: Lake,
    /// What they hold.
    pub stored: Box<dyn Stored + Send>,
    /// End when every partition has been read to its end.
    pub until_caught_up: bool,
    /// How long observations that came too late for the state wait until stored events are taken again for them (R22).
    pub deferred_wait_max: Duration,
}

/// What the tables hold from before this start.
pub trait Stored {
    /// The newest result of each objective.
    fn newest(&self) -> Vec<AttainmentRow>;

    /// Hands over every event before these offsets of partitions.
    ///
    /// # Errors
    /// When they cannot be read.
    fn events(&self, before: HashMap<PartitionId, i64>, take: &mut dyn FnMut(&EventBatch)) -> Result<()>;

    /// Whether what is stored is what was written.
    ///
    /// # Errors
    /// When it is not, or cannot be read.
    fn check(&self) -> Result<()>;

    /// What these epochs of a shard took, which follow each other and never read what it lost.
    ///
    /// # Errors
    /// When that cannot be read.
    fn epochs(&self, shard: Shard, epochs: &[&RecordedEpoch], losses: &Losses) -> Result<StoredEpochs>;
}

/// A running pipeline.
pub struct Pipeline {
    source: CurrentSource,
    /// The newest numbers.
    pub live: Arc<Live>,
    feeder: JoinHandle<Result<Progress>>,
}

/// Whoever reads Kafka at present. Cheap to clone.
#[derive(Clone, Default)]
pub struct CurrentSource(Arc<Mutex<Option<KafkaSource>>>);

impl CurrentSource {
    /// Its own numbers now; those of nobody while one hands over to the next.
    pub fn metrics(&self) -> KafkaMetrics {
        self.present().as_ref().map(KafkaSource::metrics).unwrap_or_default()
    }

    fn present(&self) -> MutexGuard<'_, Option<KafkaSource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// Restores the state and starts the threads.
    ///
    /// # Errors
    /// When the state cannot be restored, or a setting cannot be used.
    pub fn start(
        mut settings: Settings,
        live: Arc<Live>,
        shutdown: Shutdown,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Pipeline> {
        settings.kafka.clock = settings.worker.clock.clone();
        let source = CurrentSource::default();
        let work = Work { settings, live: live.clone(), source: source.clone(), shutdown, runtime: runtime.clone() };
        let opened = work.open()?;
        let feeder = std::thread::Builder::new().name("feeder".to_owned());
        let feeder = feeder.spawn(move || work.run(opened));
        Ok(Pipeline { source, live, feeder: feeder.context("cannot start a thread")? })
    }

    /// A handle on the consumer's own numbers that outlives this value.
    pub fn source(&self) -> CurrentSource {
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

/// A worker and what feeds it.
struct Opened {
    worker: Worker,
    events: KafkaEvents,
    /// The number of the definitions that were in force then.
    number: u64,
    /// When it ends by itself: once all of these were read to their end.
    expected: Option<BTreeSet<PartitionId>>,
    /// See `Work::gone`.
    gone: BTreeSet<Arc<str>>,
    sources: Vec<Arc<Source>>,
}

/// What there is to do: one worker after the other, each fed by the sources of its own definitions, as if the process had
/// been stopped and started between them.
struct Work {
    settings: Settings,
    live: Arc<Live>,
    source: CurrentSource,
    shutdown: Shutdown,
    runtime: tokio::runtime::Handle,
}

impl Work {
    fn run(&self, mut opened: Opened) -> Result<Progress> {
        loop {
            let (number, is_expected) = (opened.number, opened.expected.is_some());
            let progress = self.feed(opened)?;
            let is_next = progress.is_former || self.settings.definitions.number() != number;
            // Who stays up goes on; who is to end makes good what was deferred before.
            let is_done = is_expected && !is_next && progress.deferred == 0;
            if is_done || self.shutdown.is_requested() {
                return Ok(progress);
            }
            // Its consumer leaves the group before the next one joins.
            let former = self.source.present().take();
            drop(former);
            // Only a start needs storage that is there.
            let is_to_end = || self.shutdown.is_requested();
            match patiently(&self.live, UNREAD, || self.open(), is_to_end)? {
                Some(next) => opened = next,
                None => return Ok(progress),
            }
        }
    }

    fn open(&self) -> Result<Opened> {
        let Settings { kafka, worker, lake, definitions, until_caught_up, .. } = &self.settings;
        let (number, definitions) = definitions.now();
        let opening = Worker::open(worker.clone(), lake.clone(), definitions.clone(), self.live.clone());
        let mut worker = self.runtime.block_on(opening)?;
        let stored = &self.settings.stored;
        if let Some(before) = worker.wants_recount() {
            tracing::info!("taking stored events again: definitions are new or edited, or some came very late");
            worker.begin_recount();
            let taken = stored.events(before, &mut |events| worker.recount(events));
            taken.context(
                "stored events cannot be taken again, for definitions that are new or edited or very late events",
            )?;
            worker.end_recount();
        }
        self.live.take(&stored.newest());
        let expected = match until_caught_up {
            true => Some(partitions_of(kafka, &sources(&definitions))?),
            false => None,
        };
        let gone = self.gone(&worker)?;
        let sources = self.sources_of(&worker, &gone);
        let events = self.subscribe(&worker, &sources)?;
        Ok(Opened { expected: expected.filter(|_| !worker.is_former()), worker, events, number, gone, sources })
    }

    /// The topics that no source names any more and that Kafka does not have as they were read: what recorded epochs read of
    /// them can only come from the tables.
    fn gone(&self, worker: &Worker) -> Result<BTreeSet<Arc<str>>> {
        let (_, current) = self.settings.definitions.now();
        let named: BTreeSet<&str> = current.topics().collect();
        let mut unnamed = worker.topic_ids();
        unnamed.retain(|topic, _| worker.is_former() && !named.contains(&**topic));
        Ok(kafka::changed_topics(&self.settings.kafka, &unnamed)?.into_keys().collect())
    }

    /// The sources that feed a worker.
    fn sources_of(&self, worker: &Worker, gone: &BTreeSet<Arc<str>>) -> Vec<Arc<Source>> {
        let mut feeding = worker.definitions().clone();
        for source in feeding.sources.values_mut() {
            source.topics.retain(|topic| !gone.contains(topic.as_str()));
        }
        // Who has none left is fed by the tables alone, and what it is told besides is left to the next.
        match feeding.topics().next() {
            Some(_) => sources(&feeding),
            None => sources(&self.settings.definitions.now().1),
        }
    }

    fn subscribe(&self, worker: &Worker, sources: &[Arc<Source>]) -> Result<KafkaEvents> {
        let source = kafka::start(self.settings.kafka.clone(), sources, worker.start_offsets(), worker.topic_ids())?;
        let events = source.events().clone();
        *self.source.present() = Some(source);
        Ok(events)
    }

    /// Lets a worker work until it has done everything or is to end.
    fn feed(&self, opened: Opened) -> Result<Progress> {
        let Opened { worker, events, number, expected, gone, sources } = opened;
        // Who only finishes what was recorded is not disturbed.
        let number = (!worker.is_former()).then_some(number);
        let next = worker.start_offsets().get(&PartitionId::retries()).copied().unwrap_or(0);
        let Settings { lake, worker: settings, .. } = &self.settings;
        let restorer =
            Restorer::new(lake.clone(), settings.clone(), self.runtime.clone(), self.live.clone(), worker.recorded());
        let retries = Retries::new(lake.clone(), self.runtime.clone(), next);
        let (inputs, queue) = sync_channel(INPUTS_MAX);
        let committing = self.source.clone();
        let commit = move |progress: &Progress| {
            if let Some(source) = &*committing.present() {
                source.commit(progress.offsets.clone());
            }
        };
        std::thread::scope(|scope| {
            let working = std::thread::Builder::new().name("worker".to_owned());
            let (runtime, shutdown) = (self.runtime.clone(), self.shutdown.clone());
            let is_stopping = move || shutdown.is_requested();
            let working = working.spawn_scoped(scope, move || worker.run(runtime, is_stopping, queue, commit));
            let working = working.context("cannot start a thread")?;
            let fed =
                Feeder { events, inputs, work: self, sources, retries, restorer, gone, number, expected }.run(&working);
            let progress = working.join().map_err(|_| anyhow!("the worker thread ended unexpectedly"))??;
            fed.map(|()| progress)
        })
    }
}

pub fn sources(definitions: &Definitions) -> Vec<Arc<Source>> {
    definitions.sources.values().cloned().map(Arc::new).collect()
}

/// What a client was last told to be wrong: a failed request says only that it failed.
#[derive(Default)]
pub struct LastWords(Mutex<Option<(Option<RDKafkaErrorCode>, String)>>);

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

/// A client that asks questions and reads nothing.
///
/// # Errors
/// When a setting cannot be used.
pub fn client(settings: &KafkaSettings) -> Result<BaseConsumer<LastWords>> {
    let mut config = ClientConfig::new();
    config.extend(settings.properties.clone());
    config.set("bootstrap.servers", &settings.bootstrap);
    config.create_with_context(LastWords::default()).context("cannot make a kafka client")
}

/// Every partition of the sources' topics. While a member that died is still in the group, this one is given only some
/// of them, so what was assigned does not say what there is to read.
pub fn partitions_of(settings: &KafkaSettings, sources: &[Arc<Source>]) -> Result<BTreeSet<PartitionId>> {
    let client = client(settings)?;
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
struct Feeder<'work> {
    events: KafkaEvents,
    inputs: SyncSender<Input>,
    work: &'work Work,
    sources: Vec<Arc<Source>>,
    retries: Retries,
    restorer: Restorer,
    gone: BTreeSet<Arc<str>>,
    /// The number of the definitions that are worked by; it ends when others are in force.
    number: Option<u64>,
    /// When to end by itself: once all of these were read to their end.
    expected: Option<BTreeSet<PartitionId>>,
}

impl Feeder<'_> {
    /// Feeds until there is a reason to end. What the worker waits for is then dropped, so that it ends, too.
    fn run(mut self, worker: &ScopedJoinHandle<'_, Result<Progress, AggregateError>>) -> Result<()> {
        let mut caught_up: BTreeSet<PartitionId> = BTreeSet::new();
        let mut sharing = Sharing::default();
        let Settings { kafka, definitions, deferred_wait_max, .. } = &self.work.settings;
        let is_superseded = || self.number.is_some_and(|number| number != definitions.number());
        let began = Moment::now();
        let is_overdue = || began.elapsed() >= *deferred_wait_max && self.work.live.deferred() > 0;
        for lost in self.restorer.recorded_of(&self.gone) {
            if !self.restore(lost)? {
                return Ok(());
            }
        }
        let is_ending = || self.work.shutdown.is_requested() || worker.is_finished();
        while !is_ending() && !is_superseded() && !is_overdue() {
            self.contest(sharing.look(|| partitions_of(kafka, &self.sources)));
            let retried = self.retries.take()?.map(KafkaEvent::Delivery);
            let input = match retried.or_else(|| self.events.receive(LOOK_EVERY)) {
                None if self.events.is_finished() => bail!("the kafka consumer ended unexpectedly"),
                None => continue,
                Some(KafkaEvent::Delivery(lost)) if lost.is_lost => {
                    caught_up.remove(&lost.partition);
                    if !self.restore(lost)? {
                        return Ok(());
                    }
                    continue;
                }
                Some(KafkaEvent::Delivery(delivery)) => {
                    if delivery.complete_until.is_some() {
                        caught_up.insert(delivery.partition.clone());
                    } else {
                        caught_up.remove(&delivery.partition);
                    }
                    Input::Delivery(delivery)
                }
                Some(KafkaEvent::Assigned(partitions)) => {
                    self.contest(sharing.gain(&partitions, || partitions_of(kafka, &self.sources)));
                    Input::Assigned(partitions)
                }
                Some(KafkaEvent::Revoked(partitions)) => {
                    sharing.lose(partitions);
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
            if !self.hand_over(input) {
                return Ok(());
            }
            if self.expected.as_ref().is_some_and(|expected| expected.is_subset(&caught_up)) {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Feeder<'_> {
    /// False when the worker ended; it says why.
    fn hand_over(&self, input: Input) -> bool {
        self.inputs.send(input).is_ok()
    }

    /// Hands over what the tables have of records that Kafka deleted, and what of them is lost. False when the worker ended.
    fn restore(&self, lost: Delivery) -> Result<bool> {
        let is_to_end = || self.work.shutdown.is_requested();
        let hand_over = |delivery| self.hand_over(Input::Delivery(delivery));
        self.restorer.restore(lost, &*self.work.settings.stored, is_to_end, hand_over)
    }

    /// Says that another member reads some of the partitions, and lets the worker find out which of them keeps the tables.
    fn contest(&self, warning: Option<String>) {
        if let Some(warning) = warning {
            let group = &self.work.settings.kafka.group;
            eprintln!("warning: {warning} of group {group}; a group is one process: stop the other");
            let _ = self.inputs.send(Input::Contested); // That the worker ended is seen elsewhere.
        }
    }
}

/// Which partitions the group took from this member and did not give back. A rebalance takes all of them and gives them
/// anew, also when there is no other member: when a topic grows, or after an outage.
#[derive(Default)]
struct Sharing {
    lost: BTreeSet<PartitionId>,
    /// When it was last looked whether they came back.
    looked_at: Option<Moment>,
    is_told: bool,
}

impl Sharing {
    fn lose(&mut self, partitions: Vec<PartitionId>) {
        self.lost.extend(partitions);
        self.looked_at = Some(Moment::now());
    }

    /// The same as `gain` some time after partitions were lost: the cooperative protocol does not say that it gives none.
    fn look(&mut self, there: impl FnOnce() -> Result<BTreeSet<PartitionId>>) -> Option<String> {
        let is_due = self.looked_at.is_some_and(|looked| looked.elapsed() >= SHARING_LOOK_INTERVAL);
        if is_due && !self.is_told { self.gain(&[], there) } else { None }
    }

    /// What is to be told once the group has given partitions: that another member has some of those that were lost and
    /// are `there` still. Told once, and again only when all had come back.
    fn gain(
        &mut self,
        partitions: &[PartitionId],
        there: impl FnOnce() -> Result<BTreeSet<PartitionId>>,
    ) -> Option<String> {
        self.lost.retain(|id| !partitions.contains(id));
        self.looked_at = (!self.lost.is_empty()).then(Moment::now);
        self.is_told &= !self.lost.is_empty();
        if self.lost.is_empty() || self.is_told {
            return None;
        }
        let Ok(there) = there() else { return None }; // What cannot be read is told elsewhere.
        self.lost.retain(|id| there.contains(id));
        self.is_told = !self.lost.is_empty();
        self.is_told.then(|| match self.lost.len() {
            1 => "1 partition is read by another member".to_owned(),
            count => format!("{count} partitions are read by another member"),
        })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_partition_is_with_another_member_only_when_it_was_lost_for_good_and_is_still_there() {
        let ids = |numbers: &[i32]| -> Vec<PartitionId> {
            numbers.iter().map(|number| PartitionId { topic: "t".into(), partition: *number }).collect()
        };
        let mut sharing = Sharing::default();
        let mut rebalance = |lost: &[i32], gained: &[i32], there: &[i32]| {
            sharing.lose(ids(lost));
            sharing.gain(&ids(gained), || Ok(ids(there).into_iter().collect()))
        };
        assert_eq!(rebalance(&[], &[0], &[0]), None, "the first assignment");
        assert_eq!(rebalance(&[0], &[0, 1, 2], &[0, 1, 2]), None, "the topic has grown");
        assert_eq!(rebalance(&[0, 1, 2], &[0, 1], &[0, 1]), None, "partition 2 was deleted with its topic");
        assert_eq!(rebalance(&[0, 1], &[0], &[0, 1]).as_deref(), Some("1 partition is read by another member"));
        assert_eq!(rebalance(&[0], &[0], &[0, 1]), None, "that is known");
        assert_eq!(rebalance(&[0], &[0, 1], &[0, 1]), None, "the other is gone");
        assert_eq!(rebalance(&[0, 1], &[], &[0, 1]).as_deref(), Some("2 partitions are read by another member"));
        sharing = Sharing::default();
        sharing.lose(ids(&[0]));
        assert_eq!(sharing.gain(&[], || Err(anyhow!("no answer"))), None, "what is not known is not told");
    }
}
