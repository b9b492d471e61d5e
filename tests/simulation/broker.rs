//! A broker without a network, and a consumer of it: it keeps the rules of the real one (`plimsoll_ingest::kafka`) and
//! reads with its partition reader, so that deliveries, and proofs that a partition is complete (R23), are cut as they
//! are there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use plimsoll_aggregate::Input;
use plimsoll_ingest::Record;
use plimsoll_ingest::kafka::{PartitionReader, Range};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::PartitionId;

use crate::chance::Dice;
use crate::world::{Stored, World};

/// How many records of a partition one turn reads at most.
const READ_MAX: i64 = 12;

/// One member of the consumer group.
pub struct Client<'world> {
    world: &'world World,
    sources: BTreeMap<String, Arc<Source>>,
    /// Where each partition that is not assigned would start.
    starts: HashMap<PartitionId, i64>,
    readers: Vec<PartitionReader>,
    /// No time passes between two turns but by the simulated clock.
    moment: Moment,
}

impl<'world> Client<'world> {
    /// A member that reads the topics of these definitions, from these offsets on.
    pub fn new(world: &'world World, definitions: &Definitions, starts: HashMap<PartitionId, i64>) -> Client<'world> {
        let sources = definitions.sources.values().flat_map(|source| {
            let source = Arc::new(source.clone());
            source.topics.clone().into_iter().map(move |topic| (topic, source.clone()))
        });
        Client { world, sources: sources.collect(), starts, readers: Vec::new(), moment: Moment::now() }
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
            let source = self.sources[&*id.topic].clone();
            self.readers.push(PartitionReader::new(source, id.clone(), self.starts.remove(id)));
        }
        if !gained.is_empty() {
            inputs.push(Input::Assigned(gained));
        }
        inputs
    }

    /// Reads some of what the broker has at `now`. An end that it finds is proved by the process' own clock.
    pub fn poll(&mut self, now: Instant, clock: Instant, dice: &mut Dice) -> Vec<Input> {
        let mut inputs = Vec::new();
        for mut reader in std::mem::take(&mut self.readers) {
            if !dice.permille(150) {
                self.read(&mut reader, now, clock, dice.between(1, READ_MAX) as usize);
            }
            if dice.permille(700) {
                inputs.extend(self.cut(&mut reader));
            }
            self.readers.push(reader);
        }
        inputs
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
        let stored = &self.world.partitions[&reader.id];
        let known = stored.iter().filter(|record| record.appended_at <= now && record.offset < until);
        known.for_each(|record| again.read(as_read(record), self.moment));
        self.cut(&mut again)
    }

    /// Reads everything that the broker has at `now`.
    pub fn drain(&mut self, now: Instant, clock: Instant) -> Vec<Input> {
        let mut inputs = Vec::new();
        for mut reader in std::mem::take(&mut self.readers) {
            self.read(&mut reader, now, clock, usize::MAX);
            inputs.extend(self.cut(&mut reader));
            self.readers.push(reader);
        }
        inputs
    }

    fn read(&self, reader: &mut PartitionReader, now: Instant, clock: Instant, count: usize) {
        let stored = &self.world.partitions[&reader.id];
        let visible = &stored[..stored.partition_point(|record| record.appended_at <= now)];
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
            reader.set_range(Range::Inside);
            read(reader);
        }
        if unread(reader).is_empty() {
            let end = visible.last().map_or(0, |record| record.offset + 1);
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
        Some(Input::Delivery(delivery))
    }
}

/// A record as the decoder takes it.
pub fn as_read(record: &Stored) -> Record<'_> {
    Record { offset: record.offset, payload: record.payload.as_deref(), record_time: Some(record.appended_at) }
}
