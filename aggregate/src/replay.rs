//! Recorded epochs made again, away from the worker and for a part of what is measured: what an audit is made of (R26).
//!
//! The worker makes recorded epochs again after a crash, and its rows come out as they were. So do they here: the same
//! engine, ticks, watermarks and definitions. What is left out has no part in the result: agreements that the audited
//! one does not rest on, services that its service is not made of and does not depend on, and their events. Of these
//! only how far their partitions were read is told, because the watermark is the least of all.
//!
//! Where several shards keep the tables, the epochs are those of the shard that wrote the result. It read every event, and
//! each shard has stored a part of them: which epoch took an event follows from its partition and offset.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_engine::evidence::{part_of, services_behind};
use plimsoll_engine::lane::LaneGroup;
use plimsoll_engine::portfolio::Portfolio;
use plimsoll_engine::stage::Facts;
use plimsoll_engine::watermark::BEGINNING;
use plimsoll_lake::{Lake, of_lane_group};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::{EventBatch, EventColumn};
use plimsoll_schemas::table::EpochRow;

use crate::collector::{Losses, RecordedEpoch, Takers};
use crate::definitions;
use crate::error::AggregateError;

/// What an epoch took of one partition.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The events that matter, in the order of their offsets, and when they were read.
    pub events: Vec<(Instant, EventBatch)>,
    /// Those among its events that were dead letters before, whenever their records were read.
    pub retried: Vec<(Instant, EventBatch)>,
    /// The newest time of all its other events; `None` when it had none.
    pub newest: Option<Instant>,
}

/// What each epoch took.
pub type History = BTreeMap<(i64, PartitionId), Taken>;

/// The epochs up to one of them, and the definitions under which they were folded.
pub struct Replay {
    epochs: Vec<RecordedEpoch>,
    takers: Takers,
    losses: Losses,
    /// Whether stored events were taken again, with those that had never come.
    took_again: bool,
    definitions: BTreeMap<String, Definitions>,
}

impl Replay {
    /// Reads the epochs of a shard up to and with its last one, whose number tells the shard, and their definitions.
    ///
    /// # Errors
    /// When the lake cannot be read, or holds definitions that are not understood.
    pub async fn open(lake: &Lake, last_epoch: i64) -> Result<Replay, AggregateError> {
        let mut rows: Vec<EpochRow> = Vec::new();
        let groups = lake.groups().await?;
        let shards = groups.iter().map(|group| of_lane_group(group).2).max().unwrap_or(1);
        let shard = (last_epoch - 1).rem_euclid(shards.into());
        for group in groups.iter().filter(|group| i64::from(of_lane_group(group).1) == shard) {
            rows.extend(lake.epochs_after(group, 0).await?);
        }
        let mut epochs = Vec::from(RecordedEpoch::from_rows(rows));
        // What was lost is told by the epoch that was recorded when that was found out, perhaps a later one.
        let losses = Losses::of(&epochs);
        epochs.retain(|recorded| recorded.epoch <= last_epoch);
        let mut known = BTreeMap::new();
        for epoch in &epochs {
            if !known.contains_key(&epoch.definitions) {
                known.insert(epoch.definitions.clone(), definitions::recall(lake, &epoch.definitions).await?);
            }
        }
        let took_again = epochs.iter().any(|epoch| epoch.recounted);
        Ok(Replay { takers: Takers::of(&epochs), losses, took_again, epochs, definitions: known })
    }

    /// The epoch in whose range an offset of a partition lies; `None` when none of these read so far.
    pub fn epoch_of(&self, partition: &PartitionId, offset: i64) -> Option<i64> {
        Some(self.epochs.get(self.takers.place_of(partition, offset)?)?.epoch)
    }

    /// The epoch that folded the record at an offset of a partition; `None` when none of these did, as one that never came
    /// to the shard. That counts all the same where stored events were taken again.
    pub fn folded_in(&self, partition: &PartitionId, offset: i64) -> Option<i64> {
        self.epoch_of(partition, offset).filter(|_| !self.losses.has(partition, offset))
    }

    /// Events of one partition, in the order of their offsets, cut into those that each epoch took, whichever shard has
    /// stored them. What never came to this one is among them only where stored events were taken again later.
    pub fn cut(&self, partition: &PartitionId, events: &EventBatch) -> Vec<(i64, EventBatch)> {
        let epoch_of = if self.took_again { Replay::epoch_of } else { Replay::folded_in };
        let parts = runs(events, |offset| epoch_of(self, partition, offset));
        parts.into_iter().filter_map(|(epoch, part)| Some((epoch?, part))).collect()
    }

    /// The digest of the definitions under which the last of the epochs was folded, and these; `None` when there is no
    /// epoch.
    pub fn last_definitions(&self) -> Option<(&str, &Definitions)> {
        let digest = self.epochs.last()?.definitions.as_str();
        Some((digest, self.definitions.get(digest)?))
    }

    /// How many epochs there are.
    pub fn epochs_count(&self) -> usize {
        self.epochs.len()
    }

    /// The services that have a part in the results of one.
    pub fn services_behind(&self, service: &str) -> BTreeSet<String> {
        services_behind(self.definitions.values(), service)
    }

    /// Makes the epochs again for what concerns one agreement and these services, and hands on the facts of each.
    ///
    /// # Errors
    /// When a state cannot go over to the next definitions, which it did before.
    pub fn run(
        &self,
        agreement: &str,
        services: &BTreeSet<String>,
        history: &History,
        mut take: impl FnMut(i64, Facts),
    ) -> Result<(), AggregateError> {
        let part = Part { agreement, services, history };
        let mut group: Option<LaneGroup> = None;
        let (mut digest, mut last_epoch, mut request) = ("", 0, 0);
        for epoch in &self.epochs {
            let mut going_on = match group.take() {
                Some(group) if epoch.definitions == digest && !epoch.recounted => group,
                before => self.start(before, epoch, &part, last_epoch)?,
            };
            digest = &epoch.definitions;
            going_on.remember(epoch.remembered);
            going_on.resume(epoch.watermark.unwrap_or(BEGINNING));
            for (partition, &(from, until, complete_until)) in &epoch.ranges {
                let taken = history.get(&(epoch.epoch, partition.clone()));
                for (read_at, events) in taken.iter().flat_map(|taken| &taken.events) {
                    let parts = runs(events, |offset| self.losses.has(partition, offset));
                    for (_, came) in parts.iter().filter(|(is_lost, _)| !is_lost) {
                        let until_offset = from; // What was read is told below.
                        let news = Delivery::news(partition.clone(), until_offset, None);
                        going_on.fold(&as_read(news, *read_at, came), epoch.tick);
                    }
                }
                going_on.read(partition, until, taken.and_then(|taken| taken.newest), complete_until);
            }
            for (read_at, events) in part.retried(epoch.epoch) {
                // As a partition of its own, of which nothing was read before.
                request -= 1;
                let partition = PartitionId { partition: request, ..PartitionId::retries() };
                going_on.fold(&as_read(Delivery::news(partition, 1, None), *read_at, events), epoch.tick);
            }
            take(epoch.epoch, going_on.close(epoch.epoch, epoch.tick, epoch.publish));
            last_epoch = epoch.epoch;
            group = Some(going_on);
        }
        Ok(())
    }

    /// The state with which a worker went on that took stored events again or had other definitions.
    fn start(
        &self,
        before: Option<LaneGroup>,
        epoch: &RecordedEpoch,
        part: &Part<'_>,
        last_epoch: i64,
    ) -> Result<LaneGroup, AggregateError> {
        let whole = &self.definitions[&epoch.definitions];
        let definitions = part_of(whole, part.agreement, part.services);
        let mut portfolio = Portfolio::new(&definitions);
        portfolio.be_part_of(&Portfolio::new(whole));
        let mut group = match before {
            Some(mut before) => {
                if epoch.recounted {
                    before.rest();
                }
                LaneGroup::restore(Arc::new(portfolio), 1, &before.snapshot()?)?
            }
            None => LaneGroup::new(Arc::new(portfolio), 1),
        };
        group.follow(&definitions.topics().map(Arc::from).collect());
        if epoch.recounted && group.wants_recount() {
            group.begin_recount();
            for one in self.epochs.iter().filter(|one| one.epoch <= last_epoch) {
                let all = part.of_epoch(one.epoch).flat_map(|taken| taken.events.iter().chain(&taken.retried));
                for (read_at, events) in all {
                    group.recount(&events.counted_at(*read_at)?);
                }
            }
            group.end_recount();
        }
        Ok(group)
    }
}

/// Events cut where what is said of their offsets changes.
fn runs<Said: PartialEq + Copy>(events: &EventBatch, said_of: impl Fn(i64) -> Said) -> Vec<(Said, EventBatch)> {
    let offsets = events.integers(EventColumn::Offset).values();
    let said: Vec<(usize, Said)> = offsets.iter().map(|offset| said_of(*offset)).enumerate().collect();
    let parts = said.chunk_by(|one, next| one.1 == next.1).map(|same| {
        let (from, said) = same[0];
        (said, events.slice(from, same.len()))
    });
    parts.collect()
}

/// A delivery of events that were read at an instant.
fn as_read(news: Delivery, read_at: Instant, events: &EventBatch) -> Delivery {
    Delivery { events: events.clone(), read_at: Some(read_at), ..news }
}

/// What is made again of all that was recorded.
struct Part<'a> {
    agreement: &'a str,
    services: &'a BTreeSet<String>,
    history: &'a History,
}

impl Part<'_> {
    fn of_epoch(&self, epoch: i64) -> impl Iterator<Item = &Taken> {
        self.history.range((epoch, least())..(epoch + 1, least())).map(|(_, taken)| taken)
    }

    fn retried(&self, epoch: i64) -> impl Iterator<Item = &(Instant, EventBatch)> {
        self.of_epoch(epoch).flat_map(|taken| &taken.retried)
    }
}

/// The partition before all others.
fn least() -> PartitionId {
    PartitionId { topic: "".into(), partition: i32::MIN }
}
