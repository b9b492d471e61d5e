//! Definitions in the lake: kept before the first epoch that is folded under them, recalled to replay one.

use std::collections::BTreeSet;

use plimsoll_engine::lane::{LaneGroup, SnapshotError, refuse_the_past};
use plimsoll_engine::portfolio::Portfolio;
use plimsoll_engine::watermark::BEGINNING;
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::{Definitions, File, load};

use crate::error::AggregateError;

/// Keeps the texts of definitions and returns their digest.
///
/// # Errors
/// When the lake cannot be written.
pub async fn keep(lake: &Lake, definitions: &Definitions) -> Result<String, AggregateError> {
    let bytes = serde_json::to_vec(&definitions.texts).map_err(|error| AggregateError::Texts(error.to_string()))?;
    Ok(lake.keep_definitions(bytes.into()).await?)
}

/// The definitions with this digest.
///
/// # Errors
/// When the lake does not have them, cannot be read, or they are not understood.
pub async fn recall(lake: &Lake, digest: &str) -> Result<Definitions, AggregateError> {
    let bytes = lake.definitions(digest).await?;
    let texts: Vec<(String, String)> =
        serde_json::from_slice(&bytes).map_err(|error| AggregateError::Texts(error.to_string()))?;
    let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
    load(&files)
        .map_err(|problems| AggregateError::Texts(problems.first().map_or_else(String::new, ToString::to_string)))
}

/// Tells of a new version in these definitions that touches the past without saying so (R24), by what the lake has of each
/// lane group: a worker could not go on by them. The watermark may have gone on since the newest epoch.
///
/// # Errors
/// When the lake cannot be read.
pub async fn touching_the_past(
    lake: &Lake,
    definitions: &Definitions,
) -> Result<Option<SnapshotError>, AggregateError> {
    let portfolio = Portfolio::new(definitions);
    for group in lake.groups().await? {
        let (epoch, (mut known, mut known_until)) = match lake.newest_snapshot(&group).await? {
            Some((epoch, bytes)) => (epoch, LaneGroup::known_by(&bytes)?),
            None => (0, (BTreeSet::new(), BEGINNING)),
        };
        if let Some(newest) = lake.epochs_after(&group, epoch - 1).await?.last() {
            known_until = newest.watermark.map_or(known_until, |watermark| watermark.max(known_until));
            let recorded = Portfolio::new(&recall(lake, &newest.definitions).await?);
            known.extend(recorded.objectives().iter().map(|plan| (plan.key.agreement.clone(), plan.key.version)));
        }
        if let Err(error) = refuse_the_past(&portfolio, &known, known_until) {
            return Ok(Some(error));
        }
    }
    Ok(None)
}
