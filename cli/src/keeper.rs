//! Who keeps which shard, among the processes of `plimsoll aggregate`.
//!
//! ```text
//! GROUP.shards, a topic without records: partition i stands for shard i
//!      │  the consumer group gives partitions and takes them away
//! keeper ──starts, stops──▶ a thread a shard:  GROUP.exchange ──ExchangeReader──▶ worker thread ──▶ lake
//! ```
//! A partition that is given opens the shard: its state is restored from the lake, and the exchange is read from where that
//! goes on. One that is taken away is stopped first: what waits is committed, the state is saved, and only then does the
//! group hear that it is free. Nothing depends on that being heard in time: epochs fence, so of two processes that believe
//! they keep a shard exactly one commits. The other says so and opens the shard anew, which ends when the group has told it
//! that the shard is not its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use plimsoll_aggregate::metrics::{family, labelled, render, together};
use plimsoll_aggregate::shards::not_stored;
use plimsoll_aggregate::{AggregateError, Input, Live, Progress, Shown, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::exchange::{ExchangeReader, Heard, shards_topic};
use plimsoll_ingest::kafka::KafkaSettings;
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::commands::run::Tables;
use crate::in_force::InForce;
use crate::maintenance;
use crate::pipeline::{INPUTS_MAX, LOOK_EVERY, Stored};
use crate::restore::{Restorer, patiently};
use crate::retries;
use crate::shutdown::Shutdown;

/// How long a shard rests that another process was at work on, before it is opened anew.
const FENCED_WAIT: Duration = Duration::from_secs(1);

/// How often it is looked whether siblings have stored what is to be taken again.
const STORED_LOOK_EVERY: Duration = Duration::from_millis(500);

/// After how many such looks it is told what is waited for.
const STORED_LOOKS_UNTOLD: u32 = 10;

/// How often a request for dead letters is asked for that the exchange mentions and the storage does not give.
const REQUEST_LOOK_EVERY: Duration = Duration::from_secs(1);

/// After how many such looks that is told.
const REQUEST_LOOKS_UNTOLD: u32 = 5;

/// What shards are kept with.
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How each worker works; the shard is put in.
    pub worker: WorkerSettings,
    /// How many shards there are.
    pub shards: u32,
    /// What is promised.
    pub definitions: Arc<InForce>,
    /// The tables.
    pub lake: Lake,
    /// What they hold.
    pub stored: Tables,
    /// Where to wait.
    pub runtime: tokio::runtime::Handle,
    /// How long observations that came too late for the state wait until stored events are taken again for them (R22).
    pub deferred_wait_max: Duration,
    /// How often small files are merged, and how long they stay after that: by whoever keeps the first shard.
    pub upkeep: (Duration, Duration),
    /// Which objectives of each shard a scrape sees.
    pub shown: Shown,
}

/// Keeps the shards that the group gives to this process.
#[derive(Clone)]
pub struct Keeper {
    settings: Arc<Settings>,
    kept: Kept,
    /// Why a shard that was given could not be started.
    failed: Arc<Mutex<Option<anyhow::Error>>>,
}

/// The shards that are kept here, by number.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<BTreeMap<u32, KeptShard>>>);

impl Kept {
    /// What their workers say of themselves.
    pub fn lives(&self) -> Vec<Arc<Live>> {
        self.lock().values().map(|shard| shard.live.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, KeptShard>> {
        locked(&self.0)
    }
}

/// One of them.
struct KeptShard {
    stop: Shutdown,
    thread: JoinHandle<Result<()>>,
    live: Arc<Live>,
    exchange: Arc<Mutex<Exchanged>>,
}

/// Messages of the exchange that were read for a shard, and source partitions of which it lacks records.
type Exchanged = (u64, usize);

impl Keeper {
    /// Keeps nothing yet; `kept` is where it will say what it keeps.
    pub fn new(settings: Settings, kept: Kept) -> Keeper {
        Keeper { settings: Arc::new(settings), kept, failed: Arc::default() }
    }

    /// Keeps what the group gives, until the shutdown.
    ///
    /// # Errors
    /// When the group cannot be joined, or a shard cannot be kept.
    pub fn run(&self, shutdown: &Shutdown) -> Result<()> {
        let Settings { kafka, .. } = &*self.settings;
        let mut config = kafka.shared_config()?;
        let own_strategy = kafka.properties.get("partition.assignment.strategy");
        config
            .set("group.id", format!("{}.aggregate", kafka.group))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .set("partition.assignment.strategy", own_strategy.map_or("cooperative-sticky", String::as_str));
        let member: BaseConsumer<Keeper> =
            config.create_with_context(self.clone()).context("cannot make a kafka client")?;
        member.subscribe(&[&shards_topic(&kafka.group)]).context("the shards' topic cannot be read")?;
        let mut done = Ok(());
        while !shutdown.is_requested() && done.is_ok() {
            if let Some(Err(error)) = member.poll(LOOK_EVERY) {
                tracing::debug!(%error, "waiting for shards");
            }
            done = self.check();
        }
        let stopped = self.stop(|_| true);
        drop(member); // It leaves the group, whose other members take over at once.
        done.and(stopped)
    }

    /// What every shard that is kept here says of itself, in the Prometheus text format.
    pub fn metrics(&self, now: Instant) -> String {
        let kept = self.kept.lock();
        let text = |kept: &KeptShard| {
            let mut text = render(&kept.live, now);
            let (messages_count, holes_count) = *locked(&kept.exchange);
            let messages = "plimsoll_exchange_messages_total";
            family(&mut text, messages, "counter", "Messages of the exchange that were read.");
            labelled(&mut text, messages, &[], messages_count);
            let holes = "plimsoll_exchange_incomplete_partitions";
            family(&mut text, holes, "gauge", "Source partitions of which the exchange lacks records.");
            labelled(&mut text, holes, &[], holes_count);
            text
        };
        let texts: Vec<(String, String)> = kept.iter().map(|(shard, kept)| (shard.to_string(), text(kept))).collect();
        drop(kept);
        let mut all = String::new();
        family(&mut all, "plimsoll_shards", "gauge", "Shards that this process keeps.");
        labelled(&mut all, "plimsoll_shards", &[], texts.len());
        all + &together("shard", &texts)
    }

    fn start(&self, number: u32) -> Result<()> {
        let shards = self.settings.shards;
        let Some(shard) = Shard::new(number, shards) else { bail!("there is no shard {number} of {shards}") };
        let (stop, live, exchange) =
            (Shutdown::default(), Arc::new(Live::showing(self.settings.shown)), Arc::default());
        if shard.is_first() {
            let Settings { lake, upkeep: (every, kept), runtime, .. } = &*self.settings;
            runtime.spawn(maintenance::keep_small(lake.clone(), *every, *kept, stop.clone()));
        }
        let work = Work {
            settings: self.settings.clone(),
            shard,
            stop: stop.clone(),
            live: live.clone(),
            exchange: Arc::clone(&exchange),
        };
        let thread = std::thread::Builder::new().name(format!("shard-{number}"));
        let thread = thread.spawn(move || work.run()).context("cannot start a thread")?;
        self.kept.lock().insert(number, KeptShard { stop, thread, live, exchange });
        Ok(())
    }

    /// Stops the shards that are meant, and waits until all of them are saved.
    fn stop(&self, is_meant: impl Fn(u32) -> bool) -> Result<()> {
        let stopping: Vec<_> = self.kept.lock().extract_if(.., |number, _| is_meant(*number)).collect();
        stopping.iter().for_each(|(_, kept)| kept.stop.request());
        let mut done = Ok(());
        for (number, kept) in stopping {
            done = done.and(end(number, kept));
        }
        done
    }

    /// Whether every shard is still being kept.
    fn check(&self) -> Result<()> {
        if let Some(error) = locked(&self.failed).take() {
            return Err(error);
        }
        let ended: Vec<_> = self.kept.lock().extract_if(.., |_, kept| kept.thread.is_finished()).collect();
        ended.into_iter().try_for_each(|(number, kept)| end(number, kept))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(number: u32, kept: KeptShard) -> Result<()> {
    let done = kept.thread.join().map_err(|_| anyhow!("its thread ended unexpectedly"));
    done.flatten().with_context(|| format!("shard {number} cannot be kept"))
}

impl ClientContext for Keeper {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility}: {line}");
    }

    /// A broker that is away is told by `/metrics` and by whoever reads the topics; the group goes on when it is back.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Keeper {
    /// Before the group hears that they are free.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let taken = numbers(partitions);
            if let Err(error) = self.stop(|number| taken.contains(&number)) {
                tracing::warn!("{error:#}; whoever keeps it next goes on from the last committed epoch");
            }
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            for number in numbers(partitions).into_iter().filter(|number| !self.kept.lock().contains_key(number)) {
                if let Err(error) = self.start(number) {
                    locked(&self.failed).get_or_insert(error.context(format!("shard {number} cannot be kept")));
                }
            }
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<u32> {
    partitions.elements().iter().filter_map(|partition| u32::try_from(partition.partition()).ok()).collect()
}

/// A worker, what it reads, and the number of the definitions that it works by; none where it only finishes what was
/// recorded.
type Opened = (Worker, ExchangeReader, Option<u64>);

/// The work on one shard: one worker after the other, as definitions change and others take the shard over.
struct Work {
    settings: Arc<Settings>,
    shard: Shard,
    stop: Shutdown,
    live: Arc<Live>,
    exchange: Arc<Mutex<Exchanged>>,
}

impl Work {
    fn run(&self) -> Result<()> {
        let (number, count) = (self.shard.number(), self.shard.count());
        while !self.stop.is_requested() {
            let Some(opened) = self.open_patiently()? else { continue };
            match self.feed(opened) {
                Ok(progress) if self.stop.is_requested() => {
                    println!("shard {number} of {count} is free after epoch {}", progress.epoch);
                }
                Ok(_) => {}
                Err(error) => self.bear(error)?,
            }
        }
        Ok(())
    }

    /// Rests where another process was at work on the shard, which is opened anew then.
    fn bear(&self, error: anyhow::Error) -> Result<()> {
        if !is_fenced(&error) {
            return Err(error);
        }
        eprintln!("warning: shard {} of {}: {error:#}", self.shard.number(), self.shard.count());
        self.rest(FENCED_WAIT);
        Ok(())
    }

    /// Opens the shard from the lake, and tries again for as long as storage may be away; `None` when it was stopped, or
    /// others were at work on it.
    fn open_patiently(&self) -> Result<Option<Opened>> {
        let failure = format!("shard {} cannot be opened", self.shard.number());
        let opened = patiently(&self.live, &failure, || self.open(), || self.stop.is_requested());
        opened.map(Option::flatten).or_else(|error| self.bear(error).map(|()| None))
    }

    fn rest(&self, wait: Duration) {
        let until = std::time::Instant::now() + wait;
        while !self.stop.is_requested() && std::time::Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Restores the shard from the lake; `None` when it was stopped before that was done.
    fn open(&self) -> Result<Option<Opened>> {
        let Settings { kafka, worker, lake, definitions, runtime, .. } = &*self.settings;
        let (number, defined) = definitions.now();
        let settings = WorkerSettings { shard: self.shard, ..worker.clone() };
        let lane_group = settings.lane_group();
        let opening = Worker::open(settings, lake.clone(), defined, self.live.clone());
        let mut worker = runtime.block_on(opening)?;
        if let Some(before) = worker.wants_recount() {
            if !self.wait_until_stored(&before)? {
                return Ok(None);
            }
            worker.begin_recount();
            let taken = self.settings.stored.events(before, &mut |events| worker.recount(events));
            taken.context("stored events cannot be taken again")?;
            worker.end_recount();
        }
        self.live.take(&self.settings.stored.newest());
        let reader = ExchangeReader::start(kafka, &lane_group, worker.start_offsets(), worker.topic_ids())?;
        println!("keeping shard {} of {}", self.shard.number(), self.shard.count());
        // Who only finishes what was recorded is not disturbed.
        let number = (!worker.is_former()).then_some(number);
        Ok(Some((worker, reader, number)))
    }

    /// Waits until siblings have stored all events before these offsets; false when it was stopped meanwhile. All shards
    /// read the exchange in one order, so the one that is least far waits for nobody.
    fn wait_until_stored(&self, before: &HashMap<PartitionId, i64>) -> Result<bool> {
        let Settings { lake, worker, runtime, .. } = &*self.settings;
        for look in 0.. {
            let Some((sibling, id)) = runtime.block_on(not_stored(lake, &worker.group, self.shard, before))? else {
                return Ok(true);
            };
            if self.stop.is_requested() {
                return Ok(false);
            }
            if look == STORED_LOOKS_UNTOLD {
                eprintln!(
                    "shard {} waits for shard {sibling}, which stores a part of what is to be taken again, of partition {} of \
                     topic {}",
                    self.shard.number(),
                    id.partition,
                    id.topic
                );
            }
            self.rest(STORED_LOOK_EVERY);
        }
        Ok(false)
    }

    /// Lets a worker work until it is stopped, others have the shard, or other definitions are in force.
    fn feed(&self, (worker, mut reader, number): Opened) -> Result<Progress> {
        let Settings { lake, worker: settings, runtime, .. } = &*self.settings;
        let settings = WorkerSettings { shard: self.shard, ..settings.clone() };
        let restorer = Restorer::new(lake.clone(), settings, runtime.clone(), self.live.clone(), worker.recorded());
        let runtime = runtime.clone();
        let (inputs, queue) = sync_channel(INPUTS_MAX);
        let saved: Mutex<Option<HashMap<PartitionId, i64>>> = Mutex::default();
        let note = |progress: &Progress| {
            if !progress.saved.is_empty() {
                *locked(&saved) = Some(progress.saved.clone());
            }
        };
        std::thread::scope(|scope| {
            let working = std::thread::Builder::new().name("worker".to_owned());
            let stop = self.stop.clone();
            let is_stopping = move || stop.is_requested();
            let working = working.spawn_scoped(scope, move || worker.run(runtime, is_stopping, queue, note));
            let working = working.context("cannot start a thread")?;
            let feeder = Feeder { work: self, inputs, worker: &working, number, saved: &saved, restorer };
            let fed = feeder.run(&mut reader);
            let progress = working.join().map_err(|_| anyhow!("the worker thread ended unexpectedly"))??;
            reader.close(&progress.saved);
            fed.map(|()| progress)
        })
    }

    /// Dead letters that are to be taken again, as the exchange mentions them; waits for storage that is away, and is `None`
    /// when it was to end meanwhile.
    fn request(&self, number: i64, is_to_end: impl Fn() -> bool) -> Result<Option<Delivery>> {
        let Settings { lake, runtime, .. } = &*self.settings;
        for look in 0.. {
            if self.stop.is_requested() || is_to_end() {
                break;
            }
            if let Some(request) = retries::delivery(lake, runtime, number)? {
                return Ok(Some(request));
            }
            if look == REQUEST_LOOKS_UNTOLD {
                eprintln!(
                    "shard {} waits for request {number} for dead letters to be taken again, which cannot be read; when the \
                     storage answers, restore _plimsoll/retries from a backup",
                    self.shard.number()
                );
            }
            self.rest(REQUEST_LOOK_EVERY);
        }
        Ok(None)
    }
}

/// Hands the exchange on to a worker.
struct Feeder<'a> {
    work: &'a Work,
    inputs: SyncSender<Input>,
    worker: &'a ScopedJoinHandle<'a, Result<Progress, AggregateError>>,
    /// The number of the definitions that it works by; none where it only finishes what was recorded.
    number: Option<u64>,
    /// The offsets of the state that was saved last, until the reader has heard of it.
    saved: &'a Mutex<Option<HashMap<PartitionId, i64>>>,
    restorer: Restorer,
}

impl Feeder<'_> {
    /// Until there is a reason to end. What the worker waits for is then dropped, so that it ends, too.
    fn run(self, reader: &mut ExchangeReader) -> Result<()> {
        let Work { settings, stop, live, exchange, .. } = self.work;
        let is_superseded = || self.number.is_some_and(|number| number != settings.definitions.number());
        let began = std::time::Instant::now();
        let is_overdue = || began.elapsed() >= settings.deferred_wait_max && live.deferred() > 0;
        while !stop.is_requested() && !self.worker.is_finished() && !is_superseded() && !is_overdue() {
            if let Some(offsets) = locked(self.saved).take() {
                reader.saved(&offsets);
            }
            let heard = reader.next(LOOK_EVERY)?;
            *locked(exchange) = reader.counts();
            let is_fed = match heard {
                None => continue,
                Some(Heard::Partitions(ids)) => self.hand_over(Input::Assigned(ids)),
                Some(Heard::Delivery(mention)) if mention.partition.is_retries() => {
                    self.hand_over_requests(&mention)?
                }
                Some(Heard::Delivery(lost)) if lost.is_lost => self.restore(lost)?,
                Some(Heard::Delivery(delivery)) => self.hand_over(Input::Delivery(delivery)),
            };
            if !is_fed {
                break;
            }
        }
        Ok(())
    }

    /// False when the worker ended; it says why.
    fn hand_over(&self, input: Input) -> bool {
        self.inputs.send(input).is_ok()
    }

    fn hand_over_requests(&self, mention: &Delivery) -> Result<bool> {
        for number in mention.from_offset..mention.until_offset {
            let Some(request) = self.work.request(number, || self.worker.is_finished())? else { return Ok(false) };
            if !self.hand_over(Input::Delivery(Delivery { read_at: mention.read_at, ..request })) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands over what the tables have of records that were deleted, and what of them is lost.
    fn restore(&self, lost: Delivery) -> Result<bool> {
        let is_to_end = || self.work.stop.is_requested() || self.worker.is_finished();
        let hand_over = |delivery| self.hand_over(Input::Delivery(delivery));
        self.restorer.restore(lost, &self.work.settings.stored, is_to_end, hand_over)
    }
}

/// Whether another process was at work on the same shard.
fn is_fenced(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(AggregateError::is_fenced)
}
