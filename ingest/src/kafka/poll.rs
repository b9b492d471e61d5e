//! The poll thread: one loop over everything that happens, in the order in which it happens.
//!
//! Each turn: take a batch and decode it, act on the group's news, cut what is due, ask the brokers where idle
//! partitions end, announce trouble, send. Only sending may wait for the receiver.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use rdkafka::types::RDKafkaErrorCode;

use super::native::{Answer, Item, NativeConsumer, News, Topic};
use super::partition::PartitionReader;
use super::queue::{KafkaEvents, Push};
use super::trouble::{Cause, Troubles};
use super::{KafkaEvent, KafkaMetrics, KafkaSettings};
use crate::decode::Record;
use crate::error::IngestError;

/// How long a turn waits for messages: short enough that stopping, cutting and announcing are prompt.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// How long the receiver may stall before partitions are paused and polling goes on. librdkafka keeps its fetched
/// messages that long; pausing throws them away, and the group waits for us meanwhile, so neither is done lightly.
const STALL_BEFORE_PAUSE: Duration = Duration::from_secs(5);

/// How often a waiting sender looks whether it should stop.
const SEND_WAIT: Duration = Duration::from_millis(50);

/// How often lag is measured, and after which silence the brokers are asked for a sign of life.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// How much time lies between two questions to the brokers at least.
const ASK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How long leaving the group may take before it is given up.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What every event weighs in the queue besides its payload, so that empty ones are bounded too.
const EVENT_BYTES: usize = 1_024;

/// What the handle and the poll thread share: requests one way, numbers the other.
#[derive(Default)]
pub(super) struct Control {
    stop: AtomicBool,
    commits: Mutex<HashMap<PartitionId, i64>>,
    records_count: AtomicU64,
    payload_bytes: AtomicU64,
    lag_count: Mutex<BTreeMap<PartitionId, i64>>,
}

impl Control {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub fn commit(&self, offsets: HashMap<PartitionId, i64>) {
        lock(&self.commits).extend(offsets);
    }

    pub fn metrics(&self) -> KafkaMetrics {
        KafkaMetrics {
            records_count: self.records_count.load(Ordering::Relaxed),
            payload_bytes: self.payload_bytes.load(Ordering::Relaxed),
            lag_count: lock(&self.lag_count).clone(),
            ..KafkaMetrics::default()
        }
    }
}

/// A poisoned lock is taken all the same: what these guard is complete after every change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The consumer and everything it knows.
pub(super) struct PollThread {
    native: NativeConsumer,
    reading: Reading,
    events: KafkaEvents,
    control: Arc<Control>,
    bootstrap: String,
    group: String,
    caught_up_interval: Duration,
    housekeeping_at: Moment,
    clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// When the brokers were last asked something, and whether the answer is still to come.
    asked: Asked,
    /// When the brokers last said anything.
    heard_at: Moment,
    stalled_since: Option<Moment>,
    paused: bool,
}

/// One question to the brokers.
struct Asked {
    /// By the clock that dates proofs.
    at: Instant,
    moment: Moment,
    is_open: bool,
}

/// What a batch changes.
struct Reading {
    sources: BTreeMap<String, Arc<Source>>,
    /// Where each partition that is not assigned would start.
    starts: HashMap<PartitionId, i64>,
    readers: Vec<PartitionReader>,
    /// Where a topic's handle and a partition lead in `readers`; forgotten at each rebalance.
    places: HashMap<(usize, i32), usize>,
    /// The last of them, because messages of a partition come in runs.
    last_place: Option<((usize, i32), usize)>,
    outbox: VecDeque<(KafkaEvent, usize)>,
    troubles: Troubles,
    fatal: Option<IngestError>,
    records_count: u64,
    payload_bytes: u64,
    /// The brokers talked to us in this batch.
    heard: bool,
}

impl PollThread {
    /// Makes the client and subscribes; nothing is read before `run`.
    pub fn new(
        settings: &KafkaSettings,
        sources: &[Arc<Source>],
        starts: HashMap<PartitionId, i64>,
        events: KafkaEvents,
        control: Arc<Control>,
    ) -> Result<PollThread, IngestError> {
        let sources = sources_by_topic(sources)?;
        let native = NativeConsumer::new(&settings.client_config()?)?;
        native.subscribe(sources.keys().map(String::as_str))?;
        Ok(PollThread {
            native,
            reading: Reading::new(sources, starts),
            events,
            control,
            bootstrap: settings.bootstrap.clone(),
            group: settings.group.clone(),
            caught_up_interval: settings.caught_up_interval,
            housekeeping_at: Moment::now(),
            clock: settings.clock.clone(),
            asked: Asked { at: (settings.clock)(), moment: Moment::now(), is_open: false },
            heard_at: Moment::now(),
            stalled_since: None,
            paused: false,
        })
    }

    /// Runs until it is told to stop or cannot go on.
    pub fn run(mut self) {
        let topics = self.reading.sources.keys().cloned().collect::<Vec<_>>().join(", ");
        let why = format!(
            "group {} has been given no partition of {topics} by {}; check that a broker runs there, that the topics \
             exist, and that no other member of the group hangs",
            self.group, self.bootstrap
        );
        self.reading.troubles.begin(Cause::Start, why, Moment::now());
        while !self.control.is_stopped() && self.reading.fatal.is_none() {
            if let Err(error) = self.turn() {
                self.reading.fatal = Some(error);
            }
        }
        self.end();
    }

    fn turn(&mut self) -> Result<(), IngestError> {
        self.poll();
        for news in self.native.take_news() {
            self.handle(news)?;
        }
        let now = Moment::now();
        self.reading.cut_due(now)?;
        self.keep_house(now)?;
        self.reading.announce(now);
        self.send()
    }

    fn poll(&mut self) {
        let now = Moment::now();
        let reading = &mut self.reading;
        self.native.poll(POLL_WAIT, |item| reading.visit(item, now));
        self.control.records_count.store(reading.records_count, Ordering::Relaxed);
        self.control.payload_bytes.store(reading.payload_bytes, Ordering::Relaxed);
        if std::mem::take(&mut reading.heard) {
            reading.troubles.end(&Cause::Connection);
            self.heard_at = now;
        }
    }

    fn handle(&mut self, news: News) -> Result<(), IngestError> {
        match news {
            News::Assign(ids) => {
                self.native.assign(&self.reading.gain(ids))?;
                self.paused = false;
            }
            News::Revoke(ids) => {
                self.reading.lose(&ids, Moment::now())?;
                self.native.unassign(&ids)?;
            }
            News::ClientError(code, text) => self.note_client_error(code, &text),
        }
        Ok(())
    }

    fn note_client_error(&mut self, code: RDKafkaErrorCode, text: &str) {
        use RDKafkaErrorCode::{AllBrokersDown, Authentication, Fatal, Resolve, SSL};
        let bootstrap = &self.bootstrap;
        let (cause, why) = match code {
            Fatal => {
                self.reading.fatal = Some(IngestError::KafkaClient(text.to_owned()));
                return;
            }
            Authentication => {
                (Cause::Connection, format!("{bootstrap} refuses our credentials: {text}; check the sasl.* properties"))
            }
            SSL => (Cause::Connection, format!("no TLS with {bootstrap}: {text}; check the ssl.* properties")),
            AllBrokersDown | Resolve => (
                Cause::Connection,
                format!("no broker answers at {bootstrap}: {text}; check the address and that the broker runs"),
            ),
            // One broker of several, or a connection that is made anew: not worth an announcement by itself.
            _ => {
                tracing::debug!(%code, text, "kafka client");
                return;
            }
        };
        // A refusal explains more than the outage that follows from it.
        if code != AllBrokersDown || !self.reading.troubles.has(&cause) {
            self.reading.troubles.begin(cause, why, Moment::now());
        }
    }

    /// Commit hints, lag, and the question where idle partitions end.
    fn keep_house(&mut self, now: Moment) -> Result<(), IngestError> {
        if let Some(answer) = self.native.take_answer() {
            self.asked.is_open = false;
            self.hear(answer, now);
        }
        let commits = std::mem::take(&mut *lock(&self.control.commits));
        self.commit(commits);
        if now.duration_since(self.housekeeping_at) >= HOUSEKEEPING_INTERVAL {
            self.housekeeping_at = now;
            self.measure_lag();
        }
        if self.asked.is_open || now.duration_since(self.asked.moment) < ASK_INTERVAL_MIN {
            return Ok(());
        }
        let readers = &mut self.reading.readers;
        let needs_proof = readers.iter().any(|reader| reader.needs_proof(self.caught_up_interval, now));
        let is_silent = now.duration_since(self.heard_at) >= HOUSEKEEPING_INTERVAL;
        if needs_proof || is_silent {
            // Before the question goes out, so that whatever the brokers have then is older than the answer.
            self.asked = Asked { at: (self.clock)(), moment: now, is_open: true };
        }
        if needs_proof {
            let at_end = || readers.iter().filter(|reader| reader.is_at_end());
            self.native.ask_ends(at_end().map(|reader| &reader.id))?;
            readers.iter_mut().for_each(|reader| reader.ask(now));
        } else if is_silent {
            self.native.ask_alive();
        }
        Ok(())
    }

    /// Takes the brokers' answer. That nobody answers is trouble since the question was asked.
    fn hear(&mut self, answer: Answer, now: Moment) {
        let is_silent = match answer {
            Answer::Alive => false,
            // The client knows no leader of these partitions, perhaps because nobody told it.
            Answer::Refused(RDKafkaErrorCode::NoEnt, _) => return,
            Answer::Refused(code, reason) => {
                tracing::debug!(%code, reason, "a question to the brokers");
                is_silence(code)
            }
            Answer::Ends(ends) => {
                let is_silent = ends.iter().all(|(_, end)| end.is_err_and(is_silence));
                if !is_silent {
                    self.reading.confirm_ends(ends, &self.asked, now);
                }
                is_silent
            }
        };
        if !is_silent {
            self.heard_at = now;
            self.reading.troubles.end(&Cause::Connection);
        } else if !self.reading.troubles.has(&Cause::Connection) {
            let why = format!(
                "no broker answers at {}; check the address, and that the broker runs and does not hang",
                self.bootstrap
            );
            self.reading.troubles.begin(Cause::Connection, why, self.asked.moment);
        }
    }

    fn commit(&self, commits: HashMap<PartitionId, i64>) {
        let assigned = |id: &PartitionId| self.reading.readers.iter().any(|reader| reader.id == *id);
        let offsets: Vec<_> = commits.into_iter().filter(|(id, _)| assigned(id)).collect();
        if !offsets.is_empty()
            && let Err(error) = self.native.commit(&offsets)
        {
            tracing::debug!(%error, "the commit hint was not sent");
        }
    }

    fn measure_lag(&self) {
        let lag = |reader: &PartitionReader| {
            let lag = self.native.high_watermark(&reader.id)? - reader.position()?;
            Some((reader.id.clone(), lag.max(0)))
        };
        *lock(&self.control.lag_count) = self.reading.readers.iter().filter_map(lag).collect();
    }

    /// Sends what the turn made. A receiver that stalls makes us wait here; one that stalls for long makes us pause the
    /// partitions and go on polling, with the rest kept for the next turn.
    fn send(&mut self) -> Result<(), IngestError> {
        while let Some((event, bytes)) = self.reading.outbox.pop_front() {
            let wait = if self.paused { Duration::ZERO } else { SEND_WAIT };
            match self.events.push(event, bytes + EVENT_BYTES, wait) {
                Push::Done => self.stalled_since = None,
                Push::Closed => {
                    self.control.stop();
                    return Ok(());
                }
                Push::Full(event) => {
                    self.reading.outbox.push_front((event, bytes));
                    if self.paused || self.control.is_stopped() {
                        return Ok(());
                    }
                    let since = *self.stalled_since.get_or_insert_with(Moment::now);
                    if since.elapsed() >= STALL_BEFORE_PAUSE {
                        return self.pause(true);
                    }
                }
            }
        }
        if self.paused { self.pause(false) } else { Ok(()) }
    }

    fn pause(&mut self, pause: bool) -> Result<(), IngestError> {
        self.paused = pause;
        self.native.pause(self.reading.readers.iter().map(|reader| &reader.id), pause)
    }

    /// Says why it ends, if nobody asked for it, and leaves the group.
    fn end(mut self) {
        let commits = std::mem::take(&mut *lock(&self.control.commits));
        self.commit(commits);
        if let Some(error) = self.reading.fatal.take() {
            self.reading.outbox.push_back((KafkaEvent::Fatal(error), 0));
        }
        while !self.control.is_stopped()
            && let Some((event, bytes)) = self.reading.outbox.pop_front()
        {
            match self.events.push(event, bytes + EVENT_BYTES, SEND_WAIT) {
                Push::Done => {}
                Push::Full(event) => self.reading.outbox.push_front((event, bytes)),
                Push::Closed => break,
            }
        }
        self.events.close();
        self.native.close(CLOSE_WAIT_MAX);
    }
}

impl Drop for PollThread {
    /// Whatever ends the thread, the receiver must not wait for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.events.push(KafkaEvent::Fatal(IngestError::KafkaPanic), 0, SEND_WAIT);
        }
        self.events.close();
    }
}

impl Reading {
    fn new(sources: BTreeMap<String, Arc<Source>>, starts: HashMap<PartitionId, i64>) -> Reading {
        Reading {
            sources,
            starts,
            readers: Vec::new(),
            places: HashMap::new(),
            last_place: None,
            outbox: VecDeque::new(),
            troubles: Troubles::default(),
            fatal: None,
            records_count: 0,
            payload_bytes: 0,
            heard: false,
        }
    }

    fn visit(&mut self, item: Item<'_>, now: Moment) {
        match item {
            Item::Record { topic, partition, record } => self.read(topic, partition, record, now),
            Item::End { topic, partition, offset } => {
                if let Some(place) = self.place(topic, partition) {
                    self.readers[place].reach_end(offset);
                }
                self.heard(topic);
            }
            Item::Error { topic, partition, code, text } => {
                self.note_error(topic.map(Topic::name), partition, code, &text, now);
            }
        }
    }

    fn read(&mut self, topic: Topic<'_>, partition: i32, record: Record<'_>, now: Moment) {
        let Some(place) = self.place(topic, partition) else {
            return; // A last message of a partition that was taken away: its next reader will see it.
        };
        self.records_count += 1;
        self.payload_bytes += record.payload.map_or(0, |payload| payload.len() as u64);
        let reader = &mut self.readers[place];
        reader.read(record, now);
        if reader.is_full()
            && let Err(error) = self.cut(place, now)
        {
            self.fatal.get_or_insert(error);
        }
        self.heard(topic);
    }

    fn heard(&mut self, topic: Topic<'_>) {
        self.heard = true;
        if !self.troubles.is_empty() {
            self.troubles.end(&Cause::Topic(topic.name().to_owned()));
        }
    }

    fn place(&mut self, topic: Topic<'_>, partition: i32) -> Option<usize> {
        let key = (topic.key(), partition);
        if let Some((last, place)) = self.last_place
            && last == key
        {
            return Some(place);
        }
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                let is_it = |id: &PartitionId| id.partition == partition && *id.topic == *topic.name();
                let place = self.readers.iter().position(|reader| is_it(&reader.id))?;
                self.places.insert(key, place);
                place
            }
        };
        self.last_place = Some((key, place));
        Some(place)
    }

    fn cut(&mut self, place: usize, now: Moment) -> Result<(), IngestError> {
        if let Some(cut) = self.readers[place].cut(now) {
            let (delivery, bytes): (Delivery, usize) = cut?;
            self.outbox.push_back((KafkaEvent::Delivery(delivery), bytes));
        }
        Ok(())
    }

    fn cut_due(&mut self, now: Moment) -> Result<(), IngestError> {
        (0..self.readers.len())
            .filter(|place| self.readers[*place].is_due(now))
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|place| self.cut(place, now))
    }

    /// Makes readers of the partitions that the group gives us, and says where each starts.
    fn gain(&mut self, ids: Vec<PartitionId>) -> Vec<(PartitionId, Option<i64>)> {
        self.forget_places();
        for cause in [Cause::Start, Cause::Connection, Cause::Group] {
            self.troubles.end(&cause);
        }
        let mut starts = Vec::with_capacity(ids.len());
        for id in &ids {
            let Some(source) = self.sources.get(&*id.topic) else { continue };
            self.troubles.end(&Cause::Topic(id.topic.to_string()));
            let start = self.starts.remove(id);
            self.readers.push(PartitionReader::new(source.clone(), id.clone(), start));
            starts.push((id.clone(), start));
        }
        self.outbox.push_back((KafkaEvent::Assigned(ids), 0));
        starts
    }

    /// Delivers what was read of the partitions that the group takes away, and remembers where they would go on.
    fn lose(&mut self, ids: &[PartitionId], now: Moment) -> Result<(), IngestError> {
        self.forget_places();
        for place in 0..self.readers.len() {
            if ids.contains(&self.readers[place].id) {
                self.cut(place, now)?;
            }
        }
        for id in ids {
            self.troubles.end(&Cause::Partition(id.clone()));
        }
        let starts = &mut self.starts;
        self.readers.retain(|reader| {
            let lost = ids.contains(&reader.id);
            if lost && let Some(offset) = reader.delivered_until() {
                starts.insert(reader.id.clone(), offset);
            }
            !lost
        });
        self.outbox.push_back((KafkaEvent::Revoked(ids.to_vec()), 0));
        Ok(())
    }

    fn forget_places(&mut self) {
        self.places.clear();
        self.last_place = None;
    }

    fn confirm_ends(&mut self, ends: Vec<(PartitionId, Result<i64, RDKafkaErrorCode>)>, asked: &Asked, now: Moment) {
        for (id, end) in ends {
            match end {
                Ok(end) => {
                    if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
                        reader.confirm_end(end, asked.at);
                    }
                    self.troubles.end(&Cause::Topic(id.topic.to_string()));
                    self.troubles.end(&Cause::Partition(id));
                }
                Err(
                    code @ (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed),
                ) => {
                    self.note_error(Some(&id.topic), id.partition, code, &code.to_string(), now);
                }
                Err(code) => {
                    let why = format!(
                        "the broker that leads partition {} of topic {} does not say where it ends ({code}); check that \
                         the broker runs",
                        id.partition, id.topic
                    );
                    self.troubles.begin(Cause::Partition(id), why, asked.moment);
                }
            }
        }
    }

    fn note_error(&mut self, topic: Option<&str>, partition: i32, code: RDKafkaErrorCode, text: &str, now: Moment) {
        use RDKafkaErrorCode::*;
        let name = topic.unwrap_or_default();
        let (cause, why) = match code {
            AutoOffsetReset => {
                let is_it = |reader: &&PartitionReader| reader.id.partition == partition && *reader.id.topic == *name;
                let offset = self.readers.iter().find(is_it).and_then(PartitionReader::position).unwrap_or(0);
                let detail = text.to_owned();
                self.fatal = Some(IngestError::KafkaOffset { topic: name.to_owned(), partition, offset, detail });
                return;
            }
            Fatal => {
                self.fatal = Some(IngestError::KafkaClient(text.to_owned()));
                return;
            }
            UnknownTopicOrPartition | UnknownTopic | UnknownPartition => (
                Cause::Topic(name.to_owned()),
                format!("topic {name} does not exist; create it, or correct the topics of its source"),
            ),
            TopicAuthorizationFailed => (
                Cause::Topic(name.to_owned()),
                format!("topic {name} may not be read; grant this user READ and DESCRIBE on it"),
            ),
            GroupAuthorizationFailed => (
                Cause::Group,
                "the consumer group may not be joined; grant this user READ on the group, or set another".to_owned(),
            ),
            _ if !name.is_empty() => (Cause::Topic(name.to_owned()), format!("topic {name} cannot be read: {text}")),
            _ => (Cause::Group, format!("the consumer group cannot be joined: {text}")),
        };
        self.troubles.begin(cause, why, now);
    }

    fn announce(&mut self, now: Moment) {
        let announcements = self.troubles.announcements(now);
        self.outbox.extend(announcements.into_iter().map(|event| (event, 0)));
    }
}

/// True when a question was not answered at all.
fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, RequestTimedOut};
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | RequestTimedOut)
}

/// Which source maps a topic's records.
fn sources_by_topic(sources: &[Arc<Source>]) -> Result<BTreeMap<String, Arc<Source>>, IngestError> {
    let mut by_topic: BTreeMap<String, Arc<Source>> = BTreeMap::new();
    for source in sources {
        for topic in &source.topics {
            if topic.is_empty() || topic.starts_with('^') {
                return Err(IngestError::KafkaSetting(format!(
                    "source {} names the topic {topic:?}; name one topic by its full name, patterns are not supported",
                    source.id
                )));
            }
            if let Some(other) = by_topic.insert(topic.clone(), source.clone()) {
                return Err(IngestError::KafkaSetting(format!(
                    "topic {topic} is mapped by source {} and by source {}; leave it to one of them",
                    other.id, source.id
                )));
            }
        }
    }
    if by_topic.is_empty() {
        return Err(IngestError::KafkaSetting("no source names a topic; give at least one source topics".to_owned()));
    }
    Ok(by_topic)
}
