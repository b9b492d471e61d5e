//! Definitions in the lake: kept before the first epoch that is folded under them, recalled to replay one.

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
