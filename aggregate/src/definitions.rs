//! Definitions in the lake: kept before the first epoch that is folded under them, recalled to replay one.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_engine::lane::LaneGroup;
use plimsoll_engine::past::{Known, TouchesThePast};
use plimsoll_engine::watermark::Watermarks;
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::EpochRow;

use crate::error::AggregateError;

/// Keeps the texts of definitions and returns their digest.
///
/// # Errors
/// When the lake cannot be written.
pub async fn keep(lake: &Lake, definitions: &Definitions) -> Result<String, AggregateError> {
    let record = definitions.to_record().map_err(AggregateError::Texts)?;
    Ok(lake.keep_definitions(record.into()).await?)
}

/// The definitions with this digest.
///
/// # Errors
/// When the lake does not have them, cannot be read, or they are not understood.
pub async fn recall(lake: &Lake, digest: &str) -> Result<Definitions, AggregateError> {
    Definitions::from_record(&lake.definitions(digest).await?).map_err(AggregateError::Texts)
}

/// Tells of a new version in these definitions that touches the past without saying so (R24), by what the lake has of each
/// lane group, but for those that somebody speaks for who knows better: a worker could not go on by them. What was read
/// since the newest epoch is not known here; what was read since a state was saved may be as new as the epoch.
///
/// # Errors
/// When the lake cannot be read.
pub async fn touching_the_past(
    lake: &Lake,
    definitions: &Definitions,
    spoken_for: &BTreeSet<String>,
) -> Result<Option<TouchesThePast>, AggregateError> {
    for group in lake.groups().await?.into_iter().filter(|group| !spoken_for.contains(group)) {
        let (saved, (agreements, mut read)) = match lake.newest_snapshot(&group).await? {
            Some((epoch, bytes)) => (epoch, LaneGroup::known_by(&bytes)?),
            None => (0, Default::default()),
        };
        let mut known = Known { agreements, ..Known::default() };
        let rows = lake.epochs_after(&group, saved - 1).await?;
        if let Some(newest) = rows.last() {
            let recorded = recall(lake, &newest.definitions).await?;
            let of_newest = Known::of(&recorded);
            known.agreements.extend(of_newest.agreements.iter().cloned());
            known = Known { agreements: known.agreements, ..of_newest };
            read.follow(&recorded.topics().map(Arc::from).collect());
            rows.iter().filter(|row| row.epoch > saved).for_each(|row| follow(&mut read, row));
            read.advance(newest.tick);
        }
        if let Err(error) = known.refuse(definitions, read.watermark()) {
            return Ok(Some(error));
        }
    }
    Ok(None)
}

/// Takes in what an epoch read of a partition.
fn follow(read: &mut Watermarks, row: &EpochRow) {
    if let Some(watermark) = row.watermark {
        read.resume(watermark);
    }
    if let (Some(topic), Some(partition), Some(from), Some(until), None) =
        (&row.topic, row.partition, row.from_offset, row.until_offset, row.lost_count)
    {
        let id = PartitionId { topic: topic.as_str().into(), partition };
        read.read(&id, until, (from < until).then_some(row.tick), row.complete_until);
    }
}
