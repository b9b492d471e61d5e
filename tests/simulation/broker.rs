//! A broker without a network, and a consumer of it: it keeps the rules of the real one (`plimsoll_ingest::kafka`) and
//! reads with its partition reader, so that deliveries, and proofs that a partition is complete (R23), are cut as they
//! are there.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use plimsoll_aggregate::{Input, Worker};
use plimsoll_ingest::Record;
use plimsoll_ingest::kafka::{PartitionReader, Range};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};

use crate::chance::Dice;
use crate::world::{DESK, Stored, World};

/// How many records of a partition one turn reads at most.
const READ_MAX: i64 = 12;

/// For how many turns the leader of a partition that is given to somebody may be away.
const AWAY_MAX: i64 = 40;

/// What the brokers do to the records of the world.
#[derive(Debug, Default)]
pub struct Broker {
    /// Where a partition begins whose first records were deleted.
    beginnings: RefCell<BTreeMap<PartitionId, i64>>,
    /// Whether another topic has the name of one.
    is_another: Cell<bool>,
    was_another: Cell<bool>,
}

/// Another topic is found under the name of one that was read.
#[derive(Debug)]
pub struct TopicMadeAnew;

impl Broker {
    /// Deletes what lies before an offset of a partition.
    pub fn delete_before(&self, id: &PartitionId, offset: i64) {
        self.beginnings.borrow_mut().insert(id.clone(), offset);
    }

    /// Where partitions begin whose first records were deleted.
    pub fn beginnings(&self) -> BTreeMap<PartitionId, i64> {
        self.beginnings.borrow().clone()
    }

    /// Where a partition begins.
    pub fn beginning(&self, id: &PartitionId) -> i64 {
        self.beginnings.borrow().get(id).copied().unwrap_or(0)
    }

    /// From now on another topic has the name of one, or no longer.
    pub fn replace_topic(&self, is_another: bool) {
        self.is_another.set(is_another);
        self.was_another.set(self.was_another.get() || is_another);
    }

    /// Whether another topic ever had the name of one.
    pub fn was_replaced(&self) -> bool {
        self.was_another.get()
    }

    /// Whether another topic has the name of one.
    pub fn is_replaced(&self) -> bool {
        self.is_another.get()
    }

    /// The id of the topic that has this name.
    fn topic_id(&self, topic: &str) -> Arc<str> {
        if self.is_another.get() && topic == DESK { "another".into() } else { topic.into() }
    }

    /// The records of a partition that came until `now`, and where it ends.
    fn records<'world>(&self, world: &'world World, id: &PartitionId, now: Instant) -> (Vec<&'world Stored>, i64) {
        let is_another = self.is_another.get() && &*id.topic == DESK;
        let stored = if is_another { &world.other_desk } else { &world.partitions[id] };
        let until = stored.partition_point(|record| record.appended_at <= now);
        let from = stored.partition_point(|record| record.offset < self.beginning(id)).min(until);
        let end = stored[..until].last().map_or(0, |record| record.offset + 1);
        let there = stored[from..until].iter().filter(|record| is_another || !world.is_lost(id, record.offset));
        (there.collect(), end)
    }
}

/// One member of the consumer group.
pub struct Client<'world> {
    world: &'world World,
    broker: &'world Broker,
    /// The ids of the topics that were read.
    topic_ids: BTreeMap<Arc<str>, Arc<str>>,
    sources: BTreeMap<String, Arc<Source>>,
    /// Where each partition that is not assigned would start.
    starts: HashMap<PartitionId, i64>,
    readers: Vec<PartitionReader>,
    /// Those that nobody ever read, and of which nothing was handed on yet.
    unheard: BTreeSet<PartitionId>,
    /// Partitions whose leader is away, and for how many turns it is.
    away: BTreeMap<PartitionId, i64>,
    /// No time passes between two turns but by the simulated clock.
    moment: Moment,
}

impl<'world> Client<'world> {
    /// A member that reads for a worker, from where it goes on.
    pub fn new(world: &'world World, broker: &'world Broker, worker: &Worker) -> Client<'world> {
        let sources = worker.definitions().sources.values().flat_map(|source| {
            let source = Arc::new(source.clone());
            source.topics.clone().into_iter().map(move |topic| (topic, source.clone()))
        });
        let (starts, topic_ids) = (worker.start_offsets(), worker.topic_ids());
        let (sources, readers, moment) = (sources.collect(), Vec::new(), Moment::now());
        let (unheard, away) = Default::default();
        Client { world, broker, topic_ids, sources, starts, readers, unheard, away, moment }
    }

    /// The sources that map records.
    pub fn sources(&self) -> Vec<Arc<Source>> {
        self.sources.values().cloned().collect()
    }

    /// Whether these topics are those that were read before, as it is asked before anything is read.
    pub fn identify(&mut self, wanted: &BTreeSet<PartitionId>) -> Result<(), TopicMadeAnew> {
        for id in wanted {
            let found = self.broker.topic_id(&id.topic);
            let known = self.topic_ids.entry(id.topic.clone()).or_insert_with(|| found.clone());
            if *known != found {
                return Err(TopicMadeAnew);
            }
        }
        Ok(())
    }

    /// Gives it partitions and takes others away, until it has these. What was read of one that is taken away is handed on
    /// before, unless the group believed this member dead: then that is read again.
    pub fn assign(&mut self, wanted: &BTreeSet<PartitionId>, is_orderly: bool) -> Vec<Input> {
        let mut inputs = Vec::new();
        for mut reader in std::mem::take(&mut self.readers) {
            if wanted.contains(&reader.id) {
                self.readers.push(reader);
                continue;
            }
            if is_orderly {
                inputs.extend(self.cut(&mut reader));
            }
            self.starts.extend(reader.delivered_until().map(|offset| (reader.id.clone(), offset)));
        }
        let has = |id: &PartitionId| self.readers.iter().any(|reader| reader.id == *id);
        let gained: Vec<PartitionId> = wanted.iter().filter(|id| !has(id)).cloned().collect();
        for id in &gained {
            let (source, start) = (self.sources[&*id.topic].clone(), self.starts.remove(id));
            if start.is_none() {
                self.unheard.insert(id.clone());
            }
            self.readers.push(PartitionReader::new(source, id.clone(), start));
        }
        self.unheard.retain(|id| wanted.contains(id));
        if !gained.is_empty() {
            inputs.push(Input::Assigned(gained));
        }
        inputs
    }

    /// Reads some of what the broker has at `now`. An end that it finds is proved by the process' own clock.
    pub fn poll(&mut self, now: Instant, clock: Instant, dice: &mut Dice) -> Vec<Input> {
        let mut inputs = Vec::new();
        for mut reader in std::mem::take(&mut self.readers) {
            inputs.extend(self.begin_again(&mut reader));
            if !self.is_away(&reader, dice) && !dice.permille(150) {
                self.read(&mut reader, now, clock, dice.between(1, READ_MAX) as usize);
            }
            if dice.permille(700) {
                inputs.extend(self.cut(&mut reader));
            }
            self.readers.push(reader);
        }
        inputs
    }

    /// Whether the leader of a partition is away, as it may be before anything was read.
    fn is_away(&mut self, reader: &PartitionReader, dice: &mut Dice) -> bool {
        if !self.unheard.contains(&reader.id) {
            return false;
        }
        let is_away = |dice: &mut Dice| if dice.permille(200) { dice.between(1, AWAY_MAX) } else { 0 };
        let left = self.away.entry(reader.id.clone()).or_insert_with(|| is_away(dice));
        *left -= 1;
        *left >= 0
    }

    /// Whether every partition was heard from.
    pub fn has_heard_all(&self) -> bool {
        self.unheard.is_empty()
    }

    /// Hands on once more what was handed on lately of one of its partitions, as somebody may who does not know whether it
    /// arrived.
    pub fn send_again(&mut self, now: Instant, dice: &mut Dice) -> Option<Input> {
        let place = dice.below(self.readers.len() as i64) as usize;
        let reader = self.readers.get(place)?;
        let until = reader.delivered_until()?;
        let from = until - dice.between(1, READ_MAX);
        let mut again =
            PartitionReader::new(self.sources[&*reader.id.topic].clone(), reader.id.clone(), Some(from.max(0)));
        let (stored, _) = self.broker.records(self.world, &reader.id, now);
        let known = stored.iter().filter(|record| record.offset < until);
        known.for_each(|record| again.read(as_read(record), self.moment));
        self.cut(&mut again)
    }

    /// Reads everything that the broker has at `now`.
    pub fn drain(&mut self, now: Instant, clock: Instant) -> Vec<Input> {
        let mut inputs = Vec::new();
        for mut reader in std::mem::take(&mut self.readers) {
            inputs.extend(self.begin_again(&mut reader));
            self.read(&mut reader, now, clock, usize::MAX);
            inputs.extend(self.cut(&mut reader));
            self.readers.push(reader);
        }
        inputs
    }

    /// Goes on behind what was deleted unread.
    fn begin_again(&mut self, reader: &mut PartitionReader) -> Vec<Input> {
        let beginning = self.broker.beginning(&reader.id);
        if reader.position().is_none_or(|position| beginning <= position) {
            return Vec::new();
        }
        let read = reader.cut(self.moment).map(|cut| cut.expect("a delivery").0);
        reader.set_range(Range::Unknown);
        read.into_iter().chain(reader.begin_again(beginning)).map(|delivery| self.deliver(delivery)).collect()
    }

    fn read(&self, reader: &mut PartitionReader, now: Instant, clock: Instant, count: usize) {
        let (visible, end) = self.broker.records(self.world, &reader.id, now);
        let unread = |reader: &PartitionReader| {
            let from = reader.position().unwrap_or(0);
            &visible[visible.partition_point(|record| record.offset < from)..]
        };
        let read = |reader: &mut PartitionReader| {
            unread(reader).iter().take(count).for_each(|record| reader.read(as_read(record), self.moment));
        };
        read(reader);
        if reader.range() == Range::PassedOver {
            // Behind the end that was found there is a place without a record.
            reader.read_again();
            read(reader);
        }
        if unread(reader).is_empty() {
            reader.reach_end(end);
            reader.ask(self.moment);
            reader.confirm_end(end, clock);
        }
    }

    fn cut(&mut self, reader: &mut PartitionReader) -> Option<Input> {
        if !reader.is_due(self.moment + Duration::from_secs(1)) {
            return None;
        }
        let (delivery, _) = reader.cut(self.moment)?.expect("a delivery");
        Some(self.deliver(delivery))
    }

    fn deliver(&mut self, mut delivery: Delivery) -> Input {
        self.unheard.remove(&delivery.partition);
        delivery.topic_id = self.topic_ids.get(&delivery.partition.topic).cloned();
        Input::Delivery(delivery)
    }
}

/// A record as the decoder takes it.
pub fn as_read(record: &Stored) -> Record<'_> {
    Record { offset: record.offset, payload: record.payload.as_deref(), record_time: Some(record.appended_at) }
}
