//! The end of the exchange that an aggregator has, for one shard.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::delivery::{Delivery, PartitionId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::sequence::{Placed, Sequence};
use super::{MESSAGE_BYTES_MAX, Message, exchange_topic};
use crate::error::IngestError;
use crate::kafka::KafkaSettings;

/// How long a question to the broker may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// After which silence it is told: ingest workers say something every second.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// Reads the exchange, and hands on what follows on what the shard has.
pub struct ExchangeReader {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    sequence: Sequence,
    /// True once it began at the beginning of what is there.
    is_from_beginning: bool,
    /// Where in the exchange each message stood that was handed on and is not known to be saved: of which partition it told,
    /// and until which offset.
    unsaved: VecDeque<(i64, PartitionId, i64)>,
    /// The first offset of the exchange that was not read.
    position: Option<i64>,
    /// The hint that was given last.
    hinted: Option<i64>,
    /// Partitions of which something is missing.
    holes: HashSet<PartitionId>,
    /// Partitions of which something is of another topic than what was read.
    refused: HashSet<PartitionId>,
    heard_at: Moment,
    is_silent: bool,
    messages_count: u64,
}

/// What is to be handed on.
#[derive(Debug)]
pub enum Heard {
    /// Partitions that there are.
    Partitions(Vec<PartitionId>),
    /// Records of one.
    Delivery(Delivery),
}

/// Leaves it to us what is worth telling.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility}: {line}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

impl ExchangeReader {
    /// Reads the exchange of the settings' group for a lane group that goes on at these offsets of source partitions, in
    /// the topics of these ids.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn start(
        settings: &KafkaSettings,
        lane_group: &str,
        next: HashMap<PartitionId, i64>,
        topic_ids: BTreeMap<Arc<str>, Arc<str>>,
    ) -> Result<ExchangeReader, IngestError> {
        let mut config = settings.shared_config()?;
        config
            .set("group.id", lane_group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // What was deleted unread shows as a hole.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.message.max.bytes", (2 * MESSAGE_BYTES_MAX).to_string())
            .set("queued.max.messages.kbytes", "65536");
        let consumer: BaseConsumer<Quiet> = config
            .create_with_context(Quiet)
            .map_err(|error: KafkaError| IngestError::KafkaSetting(error.to_string()))?;
        let topic = exchange_topic(&settings.group);
        let is_new = next.is_empty();
        let mut reader = ExchangeReader {
            consumer,
            topic,
            sequence: Sequence::new(next, topic_ids),
            is_from_beginning: false,
            unsaved: VecDeque::new(),
            position: None,
            hinted: None,
            holes: HashSet::new(),
            refused: HashSet::new(),
            heard_at: Moment::now(),
            is_silent: false,
            messages_count: 0,
        };
        // Who knows nothing yet needs all, whatever one of its name has read before.
        let hint = if is_new { None } else { reader.hint() };
        reader.begin_at(hint)?;
        Ok(reader)
    }

    fn hint(&self) -> Option<i64> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, 0);
        let answer = self.consumer.committed_offsets(asked, ANSWER_WAIT_MAX);
        let answer = answer.inspect_err(|error| tracing::debug!(%error, "no hint where to begin")).ok()?;
        match answer.find_partition(&self.topic, 0)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    fn begin_at(&mut self, offset: Option<i64>) -> Result<(), IngestError> {
        self.is_from_beginning = offset.is_none();
        self.unsaved.clear();
        self.position = None;
        let mut list = TopicPartitionList::new();
        let offset = offset.map_or(Offset::Beginning, Offset::Offset);
        list.add_partition_offset(&self.topic, 0, offset).and_then(|()| self.consumer.assign(&list)).map_err(client)
    }

    /// The next thing to be handed on, within so long; `None` when there was none.
    ///
    /// # Errors
    /// When there is something in the exchange that is no message, or the client cannot go on.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Heard>, IngestError> {
        let deadline = Moment::now() + wait;
        loop {
            let read = match self.consumer.poll(deadline.saturating_duration_since(Moment::now())) {
                None => {
                    self.note_silence();
                    return Ok(None);
                }
                Some(Ok(read)) => {
                    let message = Message::decode(read.payload().unwrap_or_default());
                    (read.offset(), message.map_err(|why| unfit(&self.topic, read.offset(), &why))?)
                }
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => {
                    return Err(client(error));
                }
                Some(Err(error)) => {
                    // Whatever it is, the client tries again; if it lasts, the silence is told.
                    tracing::debug!(%error, topic = self.topic, "reading the exchange");
                    self.note_silence();
                    continue;
                }
            };
            self.heard_at = Moment::now();
            self.messages_count += 1;
            if std::mem::take(&mut self.is_silent) {
                tracing::warn!("{} can be read again", self.topic);
            }
            if let Some(heard) = self.take(read.0, read.1)? {
                return Ok(Some(heard));
            }
        }
    }

    fn take(&mut self, offset: i64, message: Message) -> Result<Option<Heard>, IngestError> {
        self.position = Some(offset + 1);
        let (delivery, is_beginning) = match message {
            Message::Partitions(ids) => {
                // It is needed until the state has heard of them by themselves.
                let unheard = ids.iter().filter(|id| !self.sequence.knows(id));
                self.unsaved.extend(unheard.map(|id| (offset, id.clone(), 0)));
                return Ok(Some(Heard::Partitions(ids)));
            }
            Message::Delivery { delivery, is_beginning } => (delivery, is_beginning),
        };
        let (id, from) = (delivery.partition.clone(), delivery.from_offset);
        match self.sequence.place(delivery, is_beginning) {
            Placed::Known => Ok(None),
            Placed::Next(delivery) => {
                if self.holes.remove(&id) {
                    tracing::warn!("what was missing of partition {} of topic {} has come", id.partition, id.topic);
                }
                self.unsaved.push_back((offset, id, delivery.until_offset));
                Ok(Some(Heard::Delivery(delivery)))
            }
            Placed::OfAnotherTopic => {
                if self.refused.insert(id.clone()) {
                    tracing::warn!(
                        "topic {} was deleted and created again: of its partition {} only what is of the first is taken from {}; \
                         name another topic in its source, or, if the tables have nothing of it, stop all roles, delete {}, and \
                         start them",
                        id.topic,
                        id.partition,
                        self.topic,
                        self.topic
                    );
                }
                Ok(None)
            }
            Placed::AfterHole { missing_from } if self.is_from_beginning => {
                if self.holes.insert(id.clone()) {
                    let missing = missing_from.map_or_else(
                        || format!("all before offset {from}"),
                        |missing| format!("offsets {missing} to {}", from - 1),
                    );
                    tracing::warn!(
                        "{} lacks records of partition {} of topic {}: {missing}; nothing more of it is taken until they \
                         come: start `plimsoll ingest` anew, which sends again what the tables lack",
                        self.topic,
                        id.partition,
                        id.topic
                    );
                }
                Ok(None)
            }
            Placed::AfterHole { .. } => {
                tracing::info!(topic = self.topic, "what is needed next lies further back; reading from the beginning");
                self.begin_at(None)?;
                Ok(None)
            }
        }
    }

    fn note_silence(&mut self) {
        if !self.is_silent && self.heard_at.elapsed() >= SILENT_AFTER {
            self.is_silent = true;
            tracing::warn!(
                "nothing came through {} for {} s; check that `plimsoll ingest` runs, and that the broker answers",
                self.topic,
                SILENT_AFTER.as_secs()
            );
        }
    }

    /// Hears that the state is saved with these offsets of source partitions: what lies before the first delivery that is
    /// not in it is not needed any more. A hint, sent in the background.
    pub fn saved(&mut self, offsets: &HashMap<PartitionId, i64>) {
        self.give_hint(offsets, CommitMode::Async);
    }

    /// The same at the end.
    pub fn close(mut self, offsets: &HashMap<PartitionId, i64>) {
        self.give_hint(offsets, CommitMode::Sync);
    }

    fn give_hint(&mut self, offsets: &HashMap<PartitionId, i64>, mode: CommitMode) {
        let is_saved = |(_, id, until): &(i64, PartitionId, i64)| offsets.get(id).is_some_and(|offset| offset >= until);
        while self.unsaved.pop_front_if(|delivery| is_saved(delivery)).is_some() {}
        let needed = self.unsaved.front().map(|(offset, ..)| *offset).or(self.position);
        let Some(needed) = needed.filter(|needed| !offsets.is_empty() && self.hinted != Some(*needed)) else { return };
        self.hinted = Some(needed);
        let mut list = TopicPartitionList::new();
        let sent = list
            .add_partition_offset(&self.topic, 0, Offset::Offset(needed))
            .and_then(|()| self.consumer.commit(&list, mode));
        if let Err(error) = sent {
            tracing::debug!(%error, "the hint where to begin was not sent");
        }
    }

    /// How many messages were read, and of how many source partitions something is missing.
    pub fn counts(&self) -> (u64, usize) {
        (self.messages_count, self.holes.union(&self.refused).count())
    }
}

/// What is in the exchange and no message. What it held is not known, so it is not passed over.
fn unfit(topic: &str, offset: i64, why: &str) -> IngestError {
    IngestError::Exchange(format!(
        "the message at offset {offset} of {topic} cannot be read: {why}; let all roles be of one version of plimsoll and \
         nothing else write there; stop them, delete the topic, and start them: `plimsoll ingest` sends again what the tables \
         lack"
    ))
}

fn client(error: KafkaError) -> IngestError {
    IngestError::KafkaClient(error.to_string())
}
