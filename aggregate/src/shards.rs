//! Shards in the lake: what is measured where, who else keeps the tables, and how far all of them are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use plimsoll_engine::lane::LaneGroup;
use plimsoll_engine::portfolio::Portfolio;
use plimsoll_engine::shards::{Placement, PlacementError, Shard};
use plimsoll_engine::watermark::Watermarks;
use plimsoll_lake::{Claim, Lake, LakeError, lane_group};
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::{EpochRow, Table};

use crate::error::AggregateError;

/// The least into which work is cut: who keeps all of a lake reads by itself.
pub const SHARDS_MIN: u32 = 2;

/// What is measured where, as it is recorded; `None` where no shards were ever started.
///
/// # Errors
/// When the lake cannot be read, or the record is not understood.
pub async fn placement(lake: &Lake) -> Result<Option<Placement>, AggregateError> {
    lake.placement().await?.map(|(_, bytes)| parse(&bytes)).transpose()
}

/// Places what is new in definitions among so many shards, and records it. Whoever else does so at the same time sees it,
/// or is seen.
///
/// # Errors
/// When the lake is kept by another number of shards, or definitions join what lies in two of them.
pub async fn place(lake: &Lake, definitions: &Definitions, shards: u32) -> Result<Placement, AggregateError> {
    loop {
        let (number, mut placement) = match lake.placement().await? {
            Some((number, bytes)) => (number, parse(&bytes)?),
            None => (0, Placement::new(shards)),
        };
        if placement.shards() != shards {
            return Err(AggregateError::OtherShards { found: placement.shards(), asked: shards });
        }
        let is_any_new = placement.place(definitions)?;
        if !is_any_new && number > 0 {
            return Ok(placement);
        }
        let bytes = serde_json::to_vec(&placement).map_err(|error| AggregateError::Placement(error.to_string()))?;
        if lake.put_placement(number + 1, bytes.into()).await? {
            return Ok(placement);
        }
    }
}

/// Why definitions cannot be measured by the shards of a lake, as all that was ever defined is placed; `None` when they can,
/// or no shards were ever started.
///
/// # Errors
/// As `placement`.
pub async fn misfit(lake: &Lake, definitions: &Definitions) -> Result<Option<PlacementError>, AggregateError> {
    let placement = placement(lake).await?;
    Ok(placement.and_then(|mut placement| placement.place(definitions).err()))
}

fn parse(bytes: &[u8]) -> Result<Placement, AggregateError> {
    let placement: Placement =
        serde_json::from_slice(bytes).map_err(|error| AggregateError::Placement(error.to_string()))?;
    match placement.is_sound() {
        true => Ok(placement),
        false => Err(AggregateError::Placement("it names shards that there are not".to_owned())),
    }
}

/// What a shard measures of definitions. `placement` has all of them, and is there where there are several shards.
pub fn portfolio_of(definitions: &Definitions, placement: Option<&Placement>, shard: Shard) -> Portfolio {
    let whole = Portfolio::new(definitions);
    let Some(placement) = placement.filter(|_| !shard.is_whole()) else { return whole };
    let mut part = Portfolio::new(&placement.part_of(definitions, shard));
    part.be_part_of(&whole);
    part
}

/// Claims a lake for a group in so many shards, so that nobody else keeps it, or refuses it.
///
/// # Errors
/// When others keep it, or it cannot be read or written.
pub async fn claim(lake: &Lake, group: &str, shards: u32) -> Result<(), AggregateError> {
    let found = lake.claim(&Claim { group: group.to_owned(), shards }).await?;
    refuse_others(found, group, shards)
}

/// Refuses a lake that others keep than a group in so many shards.
///
/// # Errors
/// `OtherGroup` and its like.
pub fn refuse_others(found: Claim, group: &str, shards: u32) -> Result<(), AggregateError> {
    let group = group.to_owned();
    match found {
        Claim { group: found, shards: count } if found == group && count == shards => Ok(()),
        Claim { group: found, shards: 1 } if shards > 1 => Err(AggregateError::WholeGroup { group, found }),
        Claim { group: found, shards: count } if count > 1 && shards == 1 => {
            Err(AggregateError::ShardedGroup { group, found, shards: count })
        }
        Claim { group: found, shards: count } if found == group => {
            Err(AggregateError::OtherShards { found: count, asked: shards })
        }
        Claim { group: found, .. } => Err(AggregateError::OtherGroup { group, found }),
    }
}

/// Where sources are to be read from.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    /// By partition. One that is neither here nor in `beginnings` is to be read from its beginning.
    pub offsets: HashMap<PartitionId, i64>,
    /// Where shards began to read partitions of which another shard knows nothing, which is to begin there, too: what Kafka
    /// has deleted since is lost.
    pub beginnings: HashMap<PartitionId, i64>,
    /// The ids of the topics that were read.
    pub topic_ids: BTreeMap<Arc<str>, Arc<str>>,
}

/// Where each partition is to be read from so that every shard finds all that it needs next: the least of where their
/// states go on. `began` are the beginnings that were found before, which stay; others join them.
///
/// # Errors
/// When the lake is kept by one process that reads by itself, or by another group, or it or a snapshot cannot be read.
pub async fn starts(lake: &Lake, group: &str, began: &mut HashMap<PartitionId, i64>) -> Result<Starts, AggregateError> {
    let Some(found) = lake.claimed().await? else { return Ok(Starts::default()) };
    // Who reads for others is theirs, however many they are.
    let shards = found.shards.max(SHARDS_MIN);
    refuse_others(found, group, shards)?;
    let mut starts = Starts::default();
    let mut known: BTreeMap<PartitionId, (u32, i64)> = BTreeMap::new();
    for shard in 0..shards {
        let (offsets, topic_ids) = goes_on(lake, &lane_group(group, shard, shards)).await?;
        starts.topic_ids.extend(topic_ids);
        for (id, offset) in offsets {
            let (count, least) = known.entry(id).or_insert((0, offset));
            (*count, *least) = (*count + 1, offset.min(*least));
        }
    }
    let (known, unknown): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, (count, _))| *count == shards);
    starts.offsets.extend(known.into_iter().map(|(id, (_, least))| (id, least)));
    let unknown = unknown.into_iter().filter(|(id, _)| !id.is_retries());
    let beginnings: HashMap<PartitionId, i64> = unknown.map(|(id, (_, least))| (id, least)).collect();
    if beginnings.keys().any(|id| !began.contains_key(id)) {
        for shard in 0..shards {
            for (id, first) in lake.first_reads(&lane_group(group, shard, shards)).await? {
                let known = began.entry(id).or_insert(first);
                *known = first.min(*known);
            }
        }
    }
    for (id, least) in beginnings {
        // One of which nobody has read a record goes on where it ended when it was looked at.
        let first = *began.entry(id.clone()).or_insert(least);
        starts.beginnings.insert(id, first);
    }
    Ok(starts)
}

/// Where a shard goes on in each partition that it knows, and the ids of their topics.
async fn goes_on(
    lake: &Lake,
    lane_group: &str,
) -> Result<(HashMap<PartitionId, i64>, BTreeMap<Arc<str>, Arc<str>>), AggregateError> {
    let (epoch, watermarks) = match lake.newest_snapshot(lane_group).await? {
        Some((epoch, bytes)) => (epoch, LaneGroup::watermarks_of(&bytes)?),
        None => (0, Watermarks::default()),
    };
    let mut topic_ids = watermarks.topic_ids().clone();
    let mut offsets: HashMap<PartitionId, i64> = watermarks.next_offsets().collect();
    // Of what the state does not know, the epochs after it tell where its reading began.
    for row in lake.epochs_after(lane_group, epoch).await?.into_iter().filter(|row| row.lost_count.is_none()) {
        let is_read = row.from_offset < row.until_offset || row.complete_until.is_some();
        if let (Some(topic), Some(partition), Some(from), true) = (row.topic, row.partition, row.from_offset, is_read) {
            let id = PartitionId { topic: topic.into(), partition };
            topic_ids.extend(row.topic_id.map(|topic_id| (id.topic.clone(), topic_id.into())));
            offsets.entry(id).or_insert(from);
        }
    }
    Ok((offsets, topic_ids))
}

/// Of these offsets of partitions one that another shard has not stored all events before, with that shard; `None` when
/// all have.
///
/// # Errors
/// When the lake or a snapshot cannot be read.
pub async fn not_stored(
    lake: &Lake,
    group: &str,
    shard: Shard,
    offsets: &HashMap<PartitionId, i64>,
) -> Result<Option<(u32, PartitionId)>, AggregateError> {
    for other in (0..shard.count()).filter(|other| *other != shard.number()) {
        let stored = stored(lake, &lane_group(group, other, shard.count())).await?;
        let lacks = |(id, offset): &(&PartitionId, &i64)| stored.get(*id).is_none_or(|stored| stored < *offset);
        if let Some((id, _)) = offsets.iter().filter(|(_, offset)| **offset > 0).find(lacks) {
            return Ok(Some((other, id.clone())));
        }
    }
    Ok(None)
}

/// Up to and with which epoch a lane group has surely stored all events and dead letters: an epoch that another follows has,
/// and the last one when its state is saved, or when a table other than `events` has rows of it, for events are committed
/// first, and dead letters next. A table whose log is damaged says nothing.
///
/// # Errors
/// When the lake or a snapshot cannot be read.
pub async fn whole_until(lake: &Lake, lane_group: &str) -> Result<i64, AggregateError> {
    let saved = lake.newest_snapshot(lane_group).await?.map_or(0, |(epoch, _)| epoch);
    whole_of(lake, lane_group, saved, &lake.epochs_after(lane_group, saved).await?).await
}

/// The same, of the epoch whose state is saved and the intents after it.
async fn whole_of(lake: &Lake, lane_group: &str, saved: i64, rows: &[EpochRow]) -> Result<i64, AggregateError> {
    let last = rows.last().map_or(saved, |row| row.epoch);
    let followed = rows.iter().rev().map(|row| row.epoch).find(|epoch| *epoch < last);
    let mut whole = followed.unwrap_or(saved);
    for table in Table::ALL.into_iter().filter(|table| !matches!(table, Table::Epochs | Table::Events)) {
        whole = whole.max(newest_of(lake, table, lane_group).await?);
    }
    Ok(whole)
}

/// Before which offsets of partitions all of so many shards have stored all events.
///
/// # Errors
/// When the lake or a snapshot cannot be read.
pub async fn stored_by_all(lake: &Lake, group: &str, shards: u32) -> Result<HashMap<PartitionId, i64>, AggregateError> {
    let mut all = stored(lake, &lane_group(group, 0, shards)).await?;
    for shard in 1..shards {
        let other = stored(lake, &lane_group(group, shard, shards)).await?;
        all.retain(|id, _| other.contains_key(id));
        all.iter_mut().for_each(|(id, offset)| *offset = other[id].min(*offset));
    }
    Ok(all)
}

/// Before which offsets a shard has stored all events that are its own to store. An epoch has surely stored its events when
/// another follows it, a table has rows of it, or its state is saved.
async fn stored(lake: &Lake, lane_group: &str) -> Result<HashMap<PartitionId, i64>, AggregateError> {
    let snapshot = lake.newest_snapshot(lane_group).await?;
    let (epoch, mut stored): (i64, HashMap<PartitionId, i64>) = match snapshot {
        Some((epoch, bytes)) => (epoch, LaneGroup::watermarks_of(&bytes)?.next_offsets().collect()),
        None => (0, HashMap::new()),
    };
    let rows = lake.epochs_after(lane_group, epoch).await?;
    let events = newest_of(lake, Table::Events, lane_group).await?;
    let surely = whole_of(lake, lane_group, epoch, &rows).await?.max(events);
    for EpochRow { topic, partition, until_offset, .. } in rows.into_iter().filter(|row| row.epoch <= surely) {
        if let (Some(topic), Some(partition), Some(until)) = (topic, partition, until_offset) {
            let known = stored.entry(PartitionId { topic: topic.into(), partition }).or_default();
            *known = until.max(*known);
        }
    }
    Ok(stored)
}

/// The newest epoch of a lane group of which a table has rows; 0 when it has none, or its log is damaged.
async fn newest_of(lake: &Lake, table: Table, lane_group: &str) -> Result<i64, AggregateError> {
    match lake.last_epoch(table, lane_group).await {
        Ok(last) => Ok(last.unwrap_or(0)),
        Err(LakeError::Corrupt(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
