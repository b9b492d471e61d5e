//! Kafka in: one member of a consumer group, on a thread of its own.
//!
//! What comes in: records of the sources' topics, from the offsets that the tables say. What goes out: `KafkaEvent`s on
//! one bounded queue, in one order: deliveries of decoded records, partitions gained and lost, trouble and its end.
//!
//! ```text
//!  librdkafka's threads          the poll thread                                        whoever folds events
//!  fetch, decompress  ──queue──▶ poll batch ▶ decode in place ▶ cut deliveries ──queue──▶ KafkaEvents
//!                                     ▲  commit hints, stop  ◀───────────────────────── KafkaSource
//! ```
//! The tables are the truth about what was read: a partition starts at the offset that `start` was told, or where this
//! member left off, or at its beginning. Offsets committed to Kafka are a hint for people and lag monitors; nothing
//! here reads them.
//!
//! Nothing is skipped silently. Where Kafka does not have the offset that is to be read next, the brokers are asked where
//! the partition begins. Behind that offset: retention deleted records unread, a delivery says which, and reading goes on
//! where the partition begins. Before it: these are not the records that were read, and the source ends with an error.
//! Offsets without a record further on (compaction, the marks of transactions) are no loss, and neither is the beginning
//! of a partition from which nothing was read yet. Offsets alone do not show that a topic was deleted and created again,
//! so partitions are read once Kafka has told the topic's id, and the id is asked for again every second.
//!
//! A full queue makes the poll thread wait, librdkafka's own queue fills up, and fetching stops: backpressure reaches
//! the broker. If that lasts, partitions are paused and polling goes on, so that the group does not take the member for
//! dead.
//!
//! Modules in reading order: `settings` is what librdkafka is told; `queue` is the bounded queue; `native` is the only
//! unsafe code, a thin wrapper of librdkafka's batch interface; `partition` decides when a delivery is cut and when a
//! partition is complete; `trouble` decides what is worth an announcement; `reading` is what a batch changes; `poll` is the
//! loop that ties them together.

mod native;
mod partition;
mod poll;
mod queue;
mod reading;
mod settings;
mod trouble;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use rdkafka::types::RDKafkaErrorCode;

use crate::error::IngestError;
pub use partition::{PartitionReader, Range};
pub use queue::KafkaEvents;
pub use settings::{CAUGHT_UP_INTERVAL, KafkaSettings, QUEUE_BYTES_MAX};
pub use trouble::UNAVAILABLE_AFTER;

use native::{Answer, NativeConsumer};
use poll::{Control, PollThread};

/// What the poll thread has to say. The order is the order in which things happened: a partition's deliveries stand
/// between its `Assigned` and its `Revoked`.
#[derive(Debug)]
pub enum KafkaEvent {
    /// Decoded records of one partition, or the news that it is complete.
    Delivery(Delivery),
    /// Partitions that this member reads from now on, in addition to those it reads already.
    Assigned(Vec<PartitionId>),
    /// Partitions that this member no longer reads; no delivery of theirs follows.
    Revoked(Vec<PartitionId>),
    /// Kafka, or a part of it, cannot be read for longer than `UNAVAILABLE_AFTER`. The client keeps trying.
    Unavailable {
        /// When it began, by the wall clock.
        since: Instant,
        /// What is wrong and what to do.
        why: String,
    },
    /// Everything that was announced as unavailable can be read again.
    Recovered,
    /// The source has ended and no event follows: trying again is of no use before somebody acts.
    Fatal(IngestError),
}

/// The consumer's own numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaMetrics {
    /// Records decoded since the start, dead letters included.
    pub records_count: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Events that wait in the queue.
    pub queue_depth_count: usize,
    /// Payload bytes that wait in the queue.
    pub queue_bytes: usize,
    /// Per assigned partition, the records between the position and the high watermark, as the last fetch saw it.
    pub lag_count: BTreeMap<PartitionId, i64>,
}

/// How often it is looked whether an answer has come.
const ANSWER_LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running consumer. Dropping it stops it like `stop`.
pub struct KafkaSource {
    events: KafkaEvents,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the poll thread, which joins the group and reads every topic of `sources`.
///
/// A partition that `start_offsets` names starts there; any other at its beginning. A topic that `topic_ids` names is read
/// only if Kafka still tells that id of it. That the broker cannot be reached
/// is no error here: it arrives as `KafkaEvent::Unavailable`.
///
/// # Errors
/// When a setting cannot be used, no source names a topic, or two sources name the same one.
pub fn start(
    settings: KafkaSettings,
    sources: &[Arc<Source>],
    start_offsets: HashMap<PartitionId, i64>,
    topic_ids: BTreeMap<Arc<str>, Arc<str>>,
) -> Result<KafkaSource, IngestError> {
    let control = Arc::new(Control::default());
    let events = KafkaEvents::new(settings.queue_bytes_max);
    let poll_thread = PollThread::new(&settings, sources, (start_offsets, topic_ids), events.clone(), control.clone())?;
    let thread = std::thread::Builder::new()
        .name("kafka-poll".to_owned())
        .spawn(move || poll_thread.run())
        .map_err(|cause| IngestError::KafkaClient(format!("the poll thread cannot be started: {cause}")))?;
    Ok(KafkaSource { events, control, thread: Some(thread) })
}

/// Of the topics that were read, with the ids that they had: those that Kafka has under another id, because they were
/// deleted and created again, and those that it does not have (`None`). It waits for the brokers' answer.
///
/// # Errors
/// When a setting cannot be used, or the brokers do not answer.
pub fn changed_topics(
    settings: &KafkaSettings,
    read: &BTreeMap<Arc<str>, Arc<str>>,
) -> Result<BTreeMap<Arc<str>, Option<Arc<str>>>, IngestError> {
    let mut changed = BTreeMap::new();
    if read.is_empty() {
        return Ok(changed);
    }
    let native = NativeConsumer::new(&settings.client_config()?)?;
    native.ask_topics(read.keys().map(|topic| &**topic));
    let told = loop {
        match native.take_answer() {
            None => std::thread::sleep(ANSWER_LOOK_EVERY), // The question has an end of its own.
            Some(Answer::Topics(topics)) => break topics,
            Some(Answer::NoTopics(reason) | Answer::Refused(_, reason)) => {
                return Err(IngestError::KafkaClient(format!("the brokers do not tell the ids of topics: {reason}")));
            }
            Some(Answer::Alive | Answer::Offsets(_)) => {}
        }
    };
    for (topic, found) in told {
        let id = match found {
            Ok(Some(id)) => Some(Arc::from(id)),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition) => None,
            // Brokers that tell no ids, or not now.
            Ok(None) | Err(_) => continue,
        };
        if let Some((topic, known)) = read.get_key_value(topic.as_str())
            && id.as_ref() != Some(known)
        {
            changed.insert(topic.clone(), id);
        }
    }
    Ok(changed)
}

impl KafkaSource {
    /// The receiving end; it may be cloned and moved to another thread, and each event goes to one receiver.
    pub fn events(&self) -> &KafkaEvents {
        &self.events
    }

    /// Tells Kafka how far the tables are: per partition, the first offset not yet in them. A hint, sent in the
    /// background; a failure is logged and changes nothing.
    pub fn commit(&self, offsets: HashMap<PartitionId, i64>) {
        self.control.commit(offsets);
    }

    /// Tells where partitions are to begin that this member is given from now on, in place of what was told before.
    pub fn begin_at(&self, offsets: HashMap<PartitionId, i64>) {
        self.control.begin_at(offsets);
    }

    /// The consumer's own numbers now.
    pub fn metrics(&self) -> KafkaMetrics {
        KafkaMetrics {
            queue_depth_count: self.events.depth_count(),
            queue_bytes: self.events.bytes(),
            ..self.control.metrics()
        }
    }

    /// Stops reading and leaves the group. What was decoded but not received is given up: it is read again from the
    /// tables' offsets at the next start.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.control.stop();
        self.events.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the kafka poll thread ended in a panic; please report it");
        }
    }
}
