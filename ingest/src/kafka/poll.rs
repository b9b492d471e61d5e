//! The poll thread: one loop over everything that happens, in the order in which it happens.
//!
//! Each turn: take a batch and decode it, act on the group's news, cut what is due, ask the brokers where idle
//! partitions end, announce trouble, send. Only sending may wait for the receiver.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::PartitionId;
use rdkafka::types::RDKafkaErrorCode;

use super::native::{Answer, NativeConsumer, News, TopicIds};
use super::partition::{PartitionReader, Range};
use super::queue::{KafkaEvents, Push};
use super::reading::{Reading, sources_by_topic};
use super::trouble::Cause;
use super::{KafkaEvent, KafkaMetrics, KafkaSettings};
use crate::error::IngestError;

/// How long a turn waits for messages: short enough that stopping, cutting and announcing are prompt.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// By how much longer a partition may be silent while others are busy: each may have to wait for its turn.
const BUSY_PATIENCE: u32 = 10;

/// How long the receiver may stall before partitions are paused and polling goes on. librdkafka keeps its fetched
/// messages that long; pausing throws them away, and the group waits for us meanwhile, so neither is done lightly.
const STALL_BEFORE_PAUSE: Duration = Duration::from_secs(5);

/// How often a waiting sender looks whether it should stop.
const SEND_WAIT: Duration = Duration::from_millis(50);

/// How often lag is measured, and after which silence the brokers are asked for a sign of life.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// How much time lies between two questions to the brokers at least.
const ASK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// When brokers that do not tell ids of topics are asked again.
const IDENTIFY_AGAIN: Duration = Duration::from_secs(60);

/// How long leaving the group may take before it is given up.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What every event weighs in the queue besides its payload, so that empty ones are bounded too.
const EVENT_BYTES: usize = 1_024;

/// What the handle and the poll thread share: requests one way, numbers the other.
#[derive(Default)]
pub(super) struct Control {
    stop: AtomicBool,
    commits: Mutex<HashMap<PartitionId, i64>>,
    starts: Mutex<HashMap<PartitionId, i64>>,
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

    pub fn begin_at(&self, offsets: HashMap<PartitionId, i64>) {
        *lock(&self.starts) = offsets;
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
    /// Whether the ids of all topics are waited for.
    identifies: bool,
    /// Partitions that the group gave us and that are not read before their topic's id is known, with their start.
    unassigned: Vec<(PartitionId, Option<i64>)>,
    /// When the brokers are to be asked for the ids of topics; `None` while an answer is to come.
    identify_at: Option<Moment>,
    /// When the brokers were last asked something, and whether the answer is still to come.
    asked: Asked,
    /// When the brokers last said anything.
    heard_at: Moment,
    /// When the last turn began.
    polled_at: Moment,
    stalled_since: Option<Moment>,
    /// What is paused. The client remembers that of a partition whoever has it meanwhile, so all of it is resumed; and none
    /// that is not paused, for then the client drops what it has fetched.
    paused: BTreeSet<PartitionId>,
}

/// One question to the brokers.
pub(super) struct Asked {
    question: Question,
    /// By the clock that dates proofs.
    pub at: Instant,
    pub moment: Moment,
    is_open: bool,
}

/// What the brokers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Whether somebody is there.
    Alive,
    /// Where idle partitions end.
    Ends,
    /// Where partitions begin at whose position Kafka stopped reading.
    Beginnings,
    /// Where those of them end that do not begin behind it.
    Limits,
}

impl PollThread {
    /// Makes the client and subscribes; nothing is read before `run`.
    pub fn new(
        settings: &KafkaSettings,
        sources: &[Arc<Source>],
        known: (HashMap<PartitionId, i64>, BTreeMap<Arc<str>, Arc<str>>),
        events: KafkaEvents,
        control: Arc<Control>,
    ) -> Result<PollThread, IngestError> {
        let sources = sources_by_topic(sources)?;
        let native = NativeConsumer::new(&settings.client_config()?)?;
        native.subscribe(sources.keys().map(String::as_str))?;
        Ok(PollThread {
            native,
            reading: Reading::new(sources, known),
            events,
            control,
            bootstrap: settings.bootstrap.clone(),
            group: settings.group.clone(),
            caught_up_interval: settings.caught_up_interval,
            housekeeping_at: Moment::now(),
            clock: settings.clock.clone(),
            identifies: settings.identifies,
            unassigned: Vec::new(),
            identify_at: Some(Moment::now()),
            asked: Asked { question: Question::Alive, at: (settings.clock)(), moment: Moment::now(), is_open: false },
            heard_at: Moment::now(),
            polled_at: Moment::now(),
            stalled_since: None,
            paused: BTreeSet::new(),
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
        self.read_again()?;
        let now = Moment::now();
        self.reading.cut_due(now)?;
        self.keep_house(now)?;
        self.reading.announce(now);
        self.send()
    }

    fn poll(&mut self) {
        let now = Moment::now();
        // What lies between two turns beside the waiting is our own doing.
        let passed = now.duration_since(std::mem::replace(&mut self.polled_at, now)).min(POLL_WAIT);
        let reading = &mut self.reading;
        self.native.poll(POLL_WAIT, |item| reading.visit(item, now));
        self.control.records_count.store(reading.records_count, Ordering::Relaxed);
        self.control.payload_bytes.store(reading.payload_bytes, Ordering::Relaxed);
        let is_busy = std::mem::take(&mut reading.heard);
        if is_busy {
            reading.troubles.end(&Cause::Connection);
            self.heard_at = now;
        }
        if self.paused.is_empty() {
            let silent = if is_busy { passed / BUSY_PATIENCE } else { passed };
            reading.readers.iter_mut().for_each(|reader| reader.wait(silent));
        }
    }

    fn handle(&mut self, news: News) -> Result<(), IngestError> {
        match news {
            News::Assign(ids) => {
                self.reading.starts.extend(std::mem::take(&mut *lock(&self.control.starts)));
                self.unassigned.extend(self.reading.gain(ids));
                // A topic of which no id is known yet need not be compared. Who is given nothing takes it at once, too: the
                // group waits for that.
                let is_to_wait = |topic: &Arc<str>| self.identifies || self.reading.topic_ids.contains_key(topic);
                if self.unassigned.iter().any(|(id, _)| is_to_wait(&id.topic)) {
                    self.identify_at = self.identify_at.map(|_| Moment::now());
                } else {
                    let given = std::mem::take(&mut self.unassigned);
                    self.assign(&given)?;
                }
            }
            News::Revoke(ids) => {
                self.assign_unread()?;
                self.reading.lose(&ids, Moment::now())?;
                self.native.unassign(&ids)?;
            }
            News::ClientError(code, text) => self.note_client_error(code, &text),
        }
        Ok(())
    }

    /// Takes what was given and not read yet, for the client gives nothing back that was not taken.
    fn assign_unread(&mut self) -> Result<(), IngestError> {
        let unread = std::mem::take(&mut self.unassigned);
        if unread.is_empty() { Ok(()) } else { self.assign(&unread) }
    }

    /// Reads these, too; not yet while the others are paused.
    fn assign(&mut self, partitions: &[(PartitionId, Option<i64>)]) -> Result<(), IngestError> {
        self.native.assign(partitions)?;
        if self.paused.is_empty() {
            return Ok(());
        }
        self.pause(partitions.iter().map(|(id, _)| id.clone()).collect())
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
        match self.native.take_answer() {
            None => {}
            Some(Answer::Topics(topics)) => self.identify(topics, now)?,
            Some(Answer::NoTopics(reason)) => self.stay_unidentified(&reason, now),
            Some(answer) => {
                self.asked.is_open = false;
                self.hear(answer, now)?;
            }
        }
        self.ask_topics(now);
        let commits = std::mem::take(&mut *lock(&self.control.commits));
        self.commit(commits);
        if now.duration_since(self.housekeeping_at) >= HOUSEKEEPING_INTERVAL {
            self.housekeeping_at = now;
            self.measure_lag();
        }
        if self.asked.is_open || now.duration_since(self.asked.moment) < ASK_INTERVAL_MIN {
            return Ok(());
        }
        let Some(question) = self.question(now) else { return Ok(()) };
        // Before the question goes out, so that whatever the brokers have then is older than the answer.
        self.asked = Asked { question, at: (self.clock)(), moment: now, is_open: true };
        let readers = &mut self.reading.readers;
        match question {
            Question::Alive => {
                let topic = self.reading.sources.keys().next();
                self.native.ask_alive(topic.map_or("plimsoll", |topic| topic));
            }
            Question::Ends => {
                let wanted = readers.iter().filter(|reader| reader.wants_end());
                self.native.ask_ends(wanted.map(|reader| &reader.id))?;
                readers.iter_mut().for_each(|reader| reader.ask(now));
            }
            Question::Beginnings => {
                let stopped = readers.iter().filter(|reader| reader.range() == Range::Unknown);
                self.native.ask_beginnings(stopped.map(|reader| &reader.id))?;
            }
            Question::Limits => {
                let stopped = readers.iter().filter(|reader| matches!(reader.range(), Range::BeginsBefore(_)));
                self.native.ask_ends(stopped.map(|reader| &reader.id))?;
            }
        }
        Ok(())
    }

    /// What is to be asked now: first what keeps records from being read.
    fn question(&self, now: Moment) -> Option<Question> {
        let readers = &self.reading.readers;
        if readers.iter().any(|reader| reader.range() == Range::Unknown) {
            Some(Question::Beginnings)
        } else if readers.iter().any(|reader| matches!(reader.range(), Range::BeginsBefore(_))) {
            Some(Question::Limits)
        } else if readers.iter().any(|reader| reader.needs_proof(self.caught_up_interval, now)) {
            Some(Question::Ends)
        } else {
            (now.duration_since(self.heard_at) >= HOUSEKEEPING_INTERVAL).then_some(Question::Alive)
        }
    }

    /// Takes the brokers' answer. That nobody answers is trouble since the question was asked.
    fn hear(&mut self, answer: Answer, now: Moment) -> Result<(), IngestError> {
        let is_silent = match answer {
            Answer::Alive => false,
            // The client knows no leader of these partitions, perhaps because nobody told it.
            Answer::Refused(RDKafkaErrorCode::NoEnt, _) => return Ok(()),
            Answer::Refused(code, reason) => {
                tracing::debug!(%code, reason, "a question to the brokers");
                is_silence(code)
            }
            // Heard elsewhere.
            Answer::Topics(_) | Answer::NoTopics(_) => return Ok(()),
            Answer::Offsets(offsets) => {
                let is_silent = offsets.iter().all(|(_, offset)| offset.is_err_and(is_silence));
                match self.asked.question {
                    _ if is_silent => {}
                    Question::Beginnings | Question::Limits => self.go_on(&offsets, now)?,
                    _ => self.reading.confirm_ends(offsets, &self.asked, now),
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
        Ok(())
    }

    fn ask_topics(&mut self, now: Moment) {
        let readers = &mut self.reading.readers;
        if self.identify_at.is_some_and(|at| at <= now) && !readers.is_empty() {
            readers.iter_mut().for_each(PartitionReader::ask_identity);
            let topics: BTreeSet<&str> = readers.iter().map(|reader| &*reader.id.topic).collect();
            self.native.ask_topics(topics.into_iter());
            self.identify_at = None;
        }
    }

    /// Goes on without the ids of topics, where none waits for them.
    fn stay_unidentified(&mut self, reason: &str, now: Moment) {
        tracing::debug!(reason, "the ids of topics are not told");
        for (id, _) in &self.unassigned {
            let topic = id.topic.to_string();
            let why = format!(
                "topic {topic} is not read before it is known to be the one that was read, and the brokers do not tell its \
                 id: {reason}; check that the cluster's controller runs"
            );
            self.reading.troubles.begin(Cause::Topic(topic), why, now);
        }
        self.identify_at = Some(now + if self.waits_for_ids() { HOUSEKEEPING_INTERVAL } else { IDENTIFY_AGAIN });
    }

    /// Whether something is not read before the id of its topic is known.
    fn waits_for_ids(&self) -> bool {
        let is_withheld = |reader: &PartitionReader| reader.range() == Range::Withheld;
        !self.unassigned.is_empty() || self.reading.readers.iter().any(is_withheld)
    }

    /// Compares the ids of topics with those that were read, and begins to read what waited for that.
    fn identify(&mut self, topics: TopicIds, now: Moment) -> Result<(), IngestError> {
        use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownTopicOrPartition};
        let mut identified = BTreeSet::new();
        for (topic, id) in topics {
            match id {
                Ok(id) => {
                    self.reading.identify(&topic, id)?;
                    identified.insert(topic);
                }
                Err(code @ (UnknownTopicOrPartition | TopicAuthorizationFailed)) => {
                    self.reading.note_error(Some(&topic), -1, code, &code.to_string(), now);
                    // There is nothing to be read of it, and others are not to wait for that.
                    identified.insert(topic);
                }
                Err(code) => tracing::debug!(topic, %code, "the id of a topic is not known yet"),
            }
        }
        self.identify_at = Some(now + if self.waits_for_ids() { ASK_INTERVAL_MIN } else { HOUSEKEEPING_INTERVAL });
        let is_identified = |(id, _): &(PartitionId, Option<i64>)| identified.contains(&*id.topic);
        let (ready, rest): (Vec<_>, Vec<_>) = self.unassigned.drain(..).partition(is_identified);
        self.unassigned = rest;
        // The client takes what it was given at once or, without the cooperative protocol, as a whole.
        if self.unassigned.is_empty() && !ready.is_empty() {
            for (id, _) in &ready {
                self.reading.troubles.end(&Cause::Topic(id.topic.to_string()));
            }
            return self.assign(&ready);
        }
        self.unassigned.extend(ready);
        Ok(())
    }

    /// Reads partitions again from where a record may have been passed over.
    fn read_again(&mut self) -> Result<(), IngestError> {
        if !self.unassigned.is_empty() {
            return Ok(()); // What is not assigned yet may be among them; they wait for it.
        }
        let mut passed_over = Vec::new();
        for reader in self.reading.readers.iter_mut().filter(|reader| reader.range() == Range::PassedOver) {
            reader.read_again();
            passed_over.push(reader.id.clone());
        }
        passed_over.iter().try_for_each(|id| self.assign_anew(id))
    }

    fn assign_anew(&mut self, id: &PartitionId) -> Result<(), IngestError> {
        let readers = &self.reading.readers;
        let all: Vec<_> = readers.iter().map(|reader| (reader.id.clone(), reader.position())).collect();
        self.native.assign_anew(id, &all)
    }

    /// Goes on with partitions at whose position Kafka stopped, now that it is known where they begin, or end.
    fn go_on(
        &mut self,
        offsets: &[(PartitionId, Result<i64, RDKafkaErrorCode>)],
        now: Moment,
    ) -> Result<(), IngestError> {
        if !self.unassigned.is_empty() {
            return Ok(()); // It is asked again.
        }
        for (id, offset) in offsets {
            // Who does not know it is asked again.
            if let Ok(offset) = *offset
                && self.reading.go_on(id, offset, now)?
            {
                self.assign_anew(id)?;
            }
        }
        Ok(())
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
            let wait = if self.paused.is_empty() { SEND_WAIT } else { Duration::ZERO };
            match self.events.push(event, bytes + EVENT_BYTES, wait) {
                Push::Done => self.stalled_since = None,
                Push::Closed => {
                    self.control.stop();
                    return Ok(());
                }
                Push::Full(event) => {
                    self.reading.outbox.push_front((*event, bytes));
                    if !self.paused.is_empty() || self.control.is_stopped() {
                        return Ok(());
                    }
                    let since = *self.stalled_since.get_or_insert_with(Moment::now);
                    if since.elapsed() >= STALL_BEFORE_PAUSE {
                        return self.pause(self.reading.readers.iter().map(|reader| reader.id.clone()).collect());
                    }
                }
            }
        }
        let resumed = std::mem::take(&mut self.paused);
        if resumed.is_empty() { Ok(()) } else { self.native.pause(resumed.iter(), false) }
    }

    fn pause(&mut self, partitions: Vec<PartitionId>) -> Result<(), IngestError> {
        let new: Vec<PartitionId> = partitions.into_iter().filter(|id| !self.paused.contains(id)).collect();
        self.native.pause(new.iter(), true)?;
        self.paused.extend(new);
        Ok(())
    }

    /// Says why it ends, if nobody asked for it, and leaves the group.
    fn end(mut self) {
        let commits = std::mem::take(&mut *lock(&self.control.commits));
        self.commit(commits);
        if let Err(error) = self.assign_unread() {
            tracing::debug!(%error, "taking partitions at the end");
        }
        if let Some(error) = self.reading.fatal.take() {
            self.reading.outbox.push_back((KafkaEvent::Fatal(error), 0));
        }
        while !self.control.is_stopped()
            && let Some((event, bytes)) = self.reading.outbox.pop_front()
        {
            match self.events.push(event, bytes + EVENT_BYTES, SEND_WAIT) {
                Push::Done => {}
                Push::Full(event) => self.reading.outbox.push_front((*event, bytes)),
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

/// True when a question was not answered at all.
fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, RequestTimedOut};
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | RequestTimedOut)
}
