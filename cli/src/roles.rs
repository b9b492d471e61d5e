//! What the roles that stand apart have in common: the topics between them, and how an ingest worker passes on what it
//! reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use anyhow::{Result, bail};
use plimsoll_aggregate::AggregateError;
use plimsoll_aggregate::shards::{self, Starts};
use plimsoll_engine::shards::PlacementError;
use plimsoll_ingest::IngestError;
use plimsoll_ingest::exchange::{ExchangeWriter, Message, create_topics};
use plimsoll_ingest::kafka::{self, KafkaEvent, KafkaSettings, KafkaSource};
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::model::Agreement;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::definition::{Definitions, Problem};
use plimsoll_schemas::delivery::PartitionId;

use crate::in_force::Fits;
use crate::pipeline::{LOOK_EVERY, partitions_of};
use crate::retries::Mentions;
use crate::shutdown::Shutdown;

/// How long to wait before a broker that did not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long what was read may take to reach the exchange at the end.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often a partition that is read to its end proves that again: each proof is a message of the exchange.
const PROVE_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked how far the tables are, for partitions that this member takes over from another.
const STARTS_LOOK_EVERY: Duration = Duration::from_secs(60);

/// Makes the topics between the roles, and waits for a broker that does not answer; false when the shutdown came first.
///
/// # Errors
/// When a topic cannot be as it is needed.
pub fn make_topics(
    settings: &KafkaSettings,
    shards: Option<u32>,
    runtime: &tokio::runtime::Handle,
    shutdown: &Shutdown,
) -> Result<bool> {
    let mut is_told = false;
    while !shutdown.is_requested() {
        match runtime.block_on(create_topics(settings, shards)) {
            Ok(()) => return Ok(true),
            Err(error @ IngestError::KafkaClient(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    eprintln!("warning: {error}; still trying");
                }
                let until = Moment::now() + ASK_AGAIN_AFTER;
                while Moment::now() < until && !shutdown.is_requested() {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Definitions that join what is measured in two shards are refused like any others that have a problem, by all roles.
pub fn fits_shards(lake: &Lake, runtime: &tokio::runtime::Handle) -> Fits {
    let (lake, runtime) = (lake.clone(), runtime.clone());
    Box::new(move |definitions| {
        let misfit = runtime.block_on(shards::misfit(&lake, definitions))?;
        Ok(misfit.map(|misfit| problem(&misfit, definitions)).into_iter().collect())
    })
}

/// It is told of the agreement that joins, where one of the two is an agreement: that has a line.
fn problem(misfit: &PlacementError, definitions: &Definitions) -> Problem {
    let PlacementError::Joined { one, shard, other, other_shard } = misfit;
    let is_named =
        |agreement: &&Agreement| [one, other].iter().any(|thing| **thing == format!("agreement {}", agreement.id));
    let place = definitions.agreements.iter().find(is_named).and_then(|agreement| agreement.place.rsplit_once(':'));
    let (file, line) = place.unwrap_or_default();
    Problem {
        file: file.to_owned(),
        line: line.parse().unwrap_or(1),
        field: String::new(),
        found: format!("{one}, measured in shard {shard}, joined with {other}, measured in shard {other_shard}"),
        allowed: "what keeps them apart (services covered, composed_of, rests_on, depends_on below an agreement that rests on \
                  others), or new tables, where they are placed together"
            .to_owned(),
    }
}

/// An ingest worker: from Kafka's topics into the exchange.
pub struct Passing<'a> {
    settings: &'a KafkaSettings,
    sources: &'a [Arc<Source>],
    lake: &'a Lake,
    runtime: &'a tokio::runtime::Handle,
    source: &'a KafkaSource,
    writer: &'a ExchangeWriter,
    /// Partitions that begin in the middle for all shards, or of which something was sent.
    begun: HashSet<PartitionId>,
    /// Where shards began to read what others know nothing of, once that was looked for.
    beginnings: HashMap<PartitionId, i64>,
    /// When the tables are looked at next.
    look_at: Moment,
    /// Requests for dead letters to be taken again.
    mentions: Mentions,
}

/// Where partitions are to begin.
///
/// # Errors
/// When the lake is kept by one process that reads by itself, or cannot be read.
pub fn starts(
    lake: &Lake,
    group: &str,
    began: &mut HashMap<PartitionId, i64>,
    runtime: &tokio::runtime::Handle,
) -> Result<Starts> {
    Ok(runtime.block_on(shards::starts(lake, group, began))?)
}

impl<'a> Passing<'a> {
    /// Passes on what the source reads, which begins at `starts`.
    pub fn new(
        settings: &'a KafkaSettings,
        sources: &'a [Arc<Source>],
        lake: &'a Lake,
        runtime: &'a tokio::runtime::Handle,
        (source, writer): (&'a KafkaSource, &'a ExchangeWriter),
        starts: &Starts,
    ) -> Passing<'a> {
        let begun = starts.offsets.keys().cloned().collect();
        let next = starts.offsets.get(&PartitionId::retries()).copied().unwrap_or(0);
        let mentions = Mentions::start(lake.clone(), runtime, next);
        let look_at = Moment::now() + STARTS_LOOK_EVERY;
        let beginnings = starts.beginnings.clone();
        Passing { settings, sources, lake, runtime, source, writer, begun, beginnings, look_at, mentions }
    }

    /// Passes on until it is to end. Returns whether all that was read is in the exchange then.
    ///
    /// # Errors
    /// When the source or the exchange fails for good.
    pub fn run(&mut self, is_to_end: impl Fn() -> bool) -> Result<bool> {
        while !is_to_end() {
            let stored = self.writer.stored()?;
            if !stored.is_empty() {
                self.source.commit(stored);
            }
            self.look_at_tables()?;
            if let Some(delivery) = self.mentions.take() {
                let is_beginning = delivery.from_offset == 0;
                self.writer.send(Message::Delivery { delivery, is_beginning }, &is_to_end)?;
            }
            match self.source.events().receive(LOOK_EVERY) {
                None if self.source.events().is_finished() => bail!("the kafka consumer ended unexpectedly"),
                None => {}
                // Whoever else reads may keep the tables, too.
                Some(KafkaEvent::Revoked(_)) => self.look_at = Moment::now(),
                Some(KafkaEvent::Delivery(delivery)) => {
                    let is_beginning = self.begun.insert(delivery.partition.clone());
                    self.writer.send(Message::Delivery { delivery, is_beginning }, &is_to_end)?;
                }
                Some(KafkaEvent::Assigned(given)) => {
                    // All of them, for whoever has the others may be away.
                    let there = partitions_of(self.settings, self.sources);
                    let there = there.map_or(given, |there| there.into_iter().collect());
                    self.writer.send(Message::Partitions(there), &is_to_end)?;
                }
                Some(KafkaEvent::Unavailable { why, .. }) => eprintln!("warning: {why}; still trying"),
                Some(KafkaEvent::Recovered) => eprintln!("kafka can be read again"),
                Some(KafkaEvent::Fatal(error)) => return Err(error.into()),
            }
        }
        let is_all = self.writer.flush(FLUSH_WAIT_MAX);
        self.source.commit(self.writer.stored()?);
        Ok(is_all)
    }

    fn look_at_tables(&mut self) -> Result<()> {
        if Moment::now() < self.look_at {
            return Ok(());
        }
        self.look_at = Moment::now() + STARTS_LOOK_EVERY;
        match starts(self.lake, &self.settings.group, &mut self.beginnings, self.runtime) {
            Ok(Starts { offsets, beginnings, .. }) => {
                self.begun.extend(offsets.keys().cloned());
                self.source.begin_at(offsets.into_iter().chain(beginnings).collect());
            }
            Err(error) if error.downcast_ref().is_some_and(AggregateError::is_of_others) => return Err(error),
            Err(error) => tracing::warn!("{error:#}"),
        }
        Ok(())
    }
}

/// A consumer that begins where the tables are, and the end of the exchange to pass on to.
///
/// # Errors
/// When a setting cannot be used, or the lake cannot be read.
pub fn open(
    settings: &KafkaSettings,
    sources: &[Arc<Source>],
    Starts { offsets, beginnings, topic_ids }: Starts,
) -> Result<(KafkaSource, ExchangeWriter)> {
    let writer = ExchangeWriter::new(settings)?;
    let offsets = offsets.into_iter().chain(beginnings).collect();
    let settings = KafkaSettings { identifies: true, caught_up_interval: PROVE_EVERY, ..settings.clone() };
    Ok((kafka::start(settings, sources, offsets, topic_ids)?, writer))
}
