//! What a batch changes: the readers of the partitions, what waits to be sent, and what is wrong.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant as Moment;

use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use rdkafka::types::RDKafkaErrorCode;

use super::KafkaEvent;
use super::native::{Item, Offsets, Topic};
use super::partition::{PartitionReader, Range};
use super::poll::Asked;
use super::trouble::{Cause, Troubles};
use crate::decode::Record;
use crate::error::IngestError;

/// What a batch changes.
pub(super) struct Reading {
    pub sources: BTreeMap<String, Arc<Source>>,
    /// Where each partition that is not assigned would start.
    pub starts: HashMap<PartitionId, i64>,
    /// The ids of the topics that are read.
    pub topic_ids: BTreeMap<Arc<str>, Arc<str>>,
    pub readers: Vec<PartitionReader>,
    /// Where a topic's handle and a partition lead in `readers`; forgotten at each rebalance.
    pub places: HashMap<(usize, i32), usize>,
    /// The last of them, because messages of a partition come in runs.
    pub last_place: Option<((usize, i32), usize)>,
    pub outbox: VecDeque<(KafkaEvent, usize)>,
    pub troubles: Troubles,
    pub fatal: Option<IngestError>,
    pub records_count: u64,
    pub payload_bytes: u64,
    /// The brokers talked to us in this batch.
    pub heard: bool,
}

impl Reading {
    pub fn new(
        sources: BTreeMap<String, Arc<Source>>,
        (starts, topic_ids): (HashMap<PartitionId, i64>, BTreeMap<Arc<str>, Arc<str>>),
    ) -> Reading {
        Reading {
            sources,
            starts,
            topic_ids,
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

    pub fn visit(&mut self, item: Item<'_>, now: Moment) {
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

    pub fn read(&mut self, topic: Topic<'_>, partition: i32, record: Record<'_>, now: Moment) {
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

    pub fn heard(&mut self, topic: Topic<'_>) {
        self.heard = true;
        if !self.troubles.is_empty() {
            self.troubles.end(&Cause::Topic(topic.name().to_owned()));
        }
    }

    pub fn place(&mut self, topic: Topic<'_>, partition: i32) -> Option<usize> {
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

    pub fn cut(&mut self, place: usize, now: Moment) -> Result<(), IngestError> {
        if let Some(cut) = self.readers[place].cut(now) {
            let (delivery, bytes): (Delivery, usize) = cut?;
            self.deliver(delivery, bytes);
        }
        Ok(())
    }

    pub fn deliver(&mut self, mut delivery: Delivery, bytes: usize) {
        delivery.topic_id = self.topic_ids.get(&delivery.partition.topic).cloned();
        self.outbox.push_back((KafkaEvent::Delivery(delivery), bytes));
    }

    /// Takes a topic's id, unless it is another than that of the topic that was read under this name.
    pub fn identify(&mut self, topic: &str, id: Option<String>) -> Result<(), IngestError> {
        match (self.topic_ids.get(topic), id) {
            (_, None) => {}
            (Some(known), Some(found)) if **known != *found => {
                let (known, read) = (known.to_string(), self.unidentified(topic));
                return Err(IngestError::KafkaTopic { topic: topic.to_owned(), known, found, read });
            }
            (_, Some(found)) => drop(self.topic_ids.insert(topic.into(), found.into())),
        }
        self.readers_of(topic).for_each(PartitionReader::identify);
        Ok(())
    }

    fn readers_of(&mut self, topic: &str) -> impl Iterator<Item = &mut PartitionReader> {
        self.readers.iter_mut().filter(move |reader| *reader.id.topic == *topic)
    }

    /// What was read of a topic since it was last known to be the one that was read, in words.
    fn unidentified(&mut self, topic: &str) -> String {
        let read = self.readers_of(topic).filter_map(|reader| {
            reader.unidentified_from().map(|from| format!("of partition {} from offset {from} on", reader.id.partition))
        });
        match read.collect::<Vec<_>>() {
            read if read.is_empty() => "nothing was read of it".to_owned(),
            read => format!("what was read {} may be of it, and counts", read.join(", ")),
        }
    }

    pub fn cut_due(&mut self, now: Moment) -> Result<(), IngestError> {
        (0..self.readers.len())
            .filter(|place| self.readers[*place].is_due(now))
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|place| self.cut(place, now))
    }

    /// Makes readers of the partitions that the group gives us, and says where each starts.
    pub fn gain(&mut self, ids: Vec<PartitionId>) -> Vec<(PartitionId, Option<i64>)> {
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
    pub fn lose(&mut self, ids: &[PartitionId], now: Moment) -> Result<(), IngestError> {
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

    /// Takes where a partition begins or, if that is known, where it ends. True when it is to be read anew: behind what was
    /// deleted unread, or where it stopped for no reason that is to be seen. False when more is to be known, or nobody
    /// waits.
    pub fn go_on(&mut self, id: &PartitionId, offset: i64, now: Moment) -> Result<bool, IngestError> {
        let waits = |reader: &PartitionReader| {
            reader.id == *id && matches!(reader.range(), Range::Unknown | Range::BeginsBefore(_))
        };
        let Some(place) = self.readers.iter().position(waits) else { return Ok(false) };
        self.cut(place, now)?;
        self.forget_places();
        let reader = &mut self.readers[place];
        let position = reader.position().unwrap_or(offset);
        if let Range::BeginsBefore(beginning) = reader.range() {
            if offset < position {
                let (topic, partition) = (id.topic.to_string(), id.partition);
                return Err(IngestError::KafkaOffset { topic, partition, offset: position, beginning });
            }
            tracing::info!(%id.topic, id.partition, position, "kafka has the offset after all");
            reader.set_range(Range::Inside);
            return Ok(true);
        }
        if offset < position || (offset == position && reader.position().is_some()) {
            reader.set_range(Range::BeginsBefore(offset));
            return Ok(false);
        }
        if let Some(lost) = reader.begin_again(offset) {
            self.deliver(lost, 0);
        }
        Ok(true)
    }

    pub fn forget_places(&mut self) {
        self.places.clear();
        self.last_place = None;
    }

    pub fn confirm_ends(&mut self, ends: Offsets, asked: &Asked, now: Moment) {
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

    pub fn note_error(&mut self, topic: Option<&str>, partition: i32, code: RDKafkaErrorCode, text: &str, now: Moment) {
        use RDKafkaErrorCode::*;
        let name = topic.unwrap_or_default();
        let (cause, why) = match code {
            AutoOffsetReset => {
                tracing::info!(topic = name, partition, "kafka does not have the next offset: {text}");
                let is_it =
                    |reader: &&mut PartitionReader| reader.id.partition == partition && *reader.id.topic == *name;
                self.readers.iter_mut().find(is_it).into_iter().for_each(|reader| reader.set_range(Range::Unknown));
                return;
            }
            Fatal => {
                self.fatal = Some(IngestError::KafkaClient(text.to_owned()));
                return;
            }
            UnknownTopicOrPartition | UnknownTopic | UnknownPartition => {
                // Another may come into being under its name at any moment.
                if code != UnknownPartition && self.topic_ids.contains_key(name) {
                    self.readers_of(name).for_each(PartitionReader::withhold);
                }
                let why = format!("topic {name} does not exist; create it, or correct the topics of its source");
                (Cause::Topic(name.to_owned()), why)
            }
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

    pub fn announce(&mut self, now: Moment) {
        let announcements = self.troubles.announcements(now);
        self.outbox.extend(announcements.into_iter().map(|event| (event, 0)));
    }
}

/// Which source maps a topic's records.
pub(super) fn sources_by_topic(sources: &[Arc<Source>]) -> Result<BTreeMap<String, Arc<Source>>, IngestError> {
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
