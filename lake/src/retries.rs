//! The log of dead letters that are to be taken again: requests, numbered from 0 without a gap, each put once and never
//! changed. What a request says is not known here.

use bytes::Bytes;
use object_store::path::Path as StorePath;

use crate::Lake;
use crate::error::LakeError;
use crate::snapshot::{compute, pack, unpack};

/// Where the log lies.
const FOLDER: &str = "_plimsoll/retries";

impl Lake {
    /// Appends a request under a number. False when another request has the number.
    ///
    /// # Errors
    /// `Unavailable` when the storage does not take it.
    pub async fn put_retry(&self, number: i64, bytes: Bytes) -> Result<bool, LakeError> {
        let packed = compute(move || pack(&bytes)).await?;
        let packed = packed.map_err(|error| LakeError::Internal(format!("a request cannot be packed: {error}")))?;
        self.root().put_if_absent(&path(number), packed.into()).await
    }

    /// The request of a number; `None` when there is none yet.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Unavailable` when the storage cannot be read.
    pub async fn retry(&self, number: i64) -> Result<Option<Bytes>, LakeError> {
        let path = path(number);
        let Some(packed) = self.root().get(&path).await? else { return Ok(None) };
        let unpacked = compute(move || unpack(&packed)).await?;
        unpacked.map(|bytes| Some(bytes.into())).map_err(|error| {
            LakeError::Corrupt(format!(
                "{path}, dead letters to take again, is damaged ({error}); restore it from a backup"
            ))
        })
    }

    /// The first number that no request has.
    ///
    /// # Errors
    /// `Unavailable` when the storage cannot be read.
    pub async fn next_retry(&self) -> Result<i64, LakeError> {
        let found = self.root().list(&StorePath::from(FOLDER), None).await?;
        let number = |path: &StorePath| path.filename()?.strip_suffix(".zst")?.parse::<i64>().ok();
        Ok(found.iter().filter_map(|object| number(&object.location)).max().map_or(0, |last| last + 1))
    }
}

fn path(number: i64) -> StorePath {
    StorePath::from(format!("{FOLDER}/{number:020}.zst"))
}
