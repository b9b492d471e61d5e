//! Where the tables of a lake are made anew: a place where nothing is yet, or where an attempt to do so was broken off.

use futures::StreamExt;
use url::Url;

use crate::Lake;
use crate::bucket::Bucket;
use crate::error::LakeError;
use crate::inspect::any_file;
use crate::store::{Store, local_folder};

impl Lake {
    /// Opens the place where the tables of this lake are to be made anew, in which nothing is written before it is known
    /// that it is one.
    ///
    /// # Errors
    /// `Invalid` when it lies within this lake or around it, holds something else, or tables whose recorded epochs are not
    /// the first of this lake; otherwise those of `open`.
    pub async fn open_anew(&self, location: &str) -> Result<Lake, LakeError> {
        let refused = |what: &str| LakeError::Invalid(format!("{location} {what}; name a place where nothing is yet"));
        let (own, other) = (&self.root().url, place(location)?);
        if own.as_str().starts_with(other.as_str()) || other.as_str().starts_with(own.as_str()) {
            return Err(refused("is the lake itself, or lies within it or around it"));
        }
        if is_vacant(location).await? {
            return Lake::open(location).await;
        }
        let there = Store::open(location, false).await?;
        if !any_file(&there).await? {
            return Err(refused("is not empty, and holds no tables"));
        }
        let into = Lake::open_damaged(location).await?;
        for group in into.groups().await? {
            let (there, here) = (into.epochs_after(&group, 0).await?, self.epochs_after(&group, 0).await?);
            if let Some(row) = there
                .iter()
                .zip(here.iter().map(Some).chain(std::iter::repeat(None)))
                .find_map(|(row, own)| (own != Some(row)).then_some(row))
            {
                let epoch = row.epoch;
                return Err(refused(&format!(
                    "holds tables with another history, from epoch {epoch} of group {group} on"
                )));
            }
        }
        Lake::open(location).await
    }
}

/// Whether nothing is there.
async fn is_vacant(location: &str) -> Result<bool, LakeError> {
    if Bucket::parse(location)?.is_none() && !local_folder(location)?.exists() {
        return Ok(true);
    }
    let store = Store::open(location, false).await?;
    let found = store.objects.list(None).next().await.transpose();
    found
        .map(|object| object.is_none())
        .map_err(|error| LakeError::Unavailable(format!("cannot list {location}: {error}")))
}

/// The URL of a place, which need not be there, ending in a slash.
fn place(location: &str) -> Result<Url, LakeError> {
    if let Some(bucket) = Bucket::parse(location)? {
        return Ok(bucket.url);
    }
    let folder = local_folder(location)?;
    let unusable = || LakeError::Invalid(format!("{} cannot be written as a URL", folder.display()));
    let absolute = std::path::absolute(&folder).map_err(|_| unusable())?;
    // What is there may be reached by links, as the lake is.
    let there = absolute.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let (ancestor, found) = there.ok_or_else(unusable)?;
    let rest = absolute.strip_prefix(ancestor).map_err(|_| unusable())?;
    Url::from_directory_path(if rest.as_os_str().is_empty() { found } else { found.join(rest) })
        .map_err(|()| unusable())
}
