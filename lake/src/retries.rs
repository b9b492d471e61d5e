//! The log of dead letters that are to be taken again: requests, numbered from 0 without a gap, each put once and never
//! changed. What a request says is not known here.
//!
//! A request that an epoch has read, and after which a state is saved, is needed by nobody; its number is not given again,
//! though, also when it is lost.

use bytes::Bytes;
use object_store::path::Path as StorePath;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::EpochRow;

use crate::Lake;
use crate::error::LakeError;
use crate::snapshot::{compute, pack, unpack};
use crate::store::Store;

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
                "{path}, dead letters to take again, is damaged ({error}); restore it from a backup, or see `plimsoll doctor`"
            ))
        })
    }

    /// The first number that no request has or had.
    ///
    /// # Errors
    /// `Unavailable` when the storage cannot be read; `Corrupt` when `epochs` cannot be.
    pub async fn next_retry(&self) -> Result<i64, LakeError> {
        let mut next = numbers(self.root()).await?.last().map_or(0, |last| last + 1);
        for group in self.groups().await? {
            next = next.max(read_until(&self.epochs_after(&group, 0).await?));
        }
        Ok(next)
    }
}

/// The numbers of the requests that are there, in order.
pub(crate) async fn numbers(store: &Store) -> Result<Vec<i64>, LakeError> {
    let found = store.list(&StorePath::from(FOLDER), None).await?;
    let number = |path: &StorePath| path.filename()?.strip_suffix(".zst")?.parse::<i64>().ok();
    let mut numbers: Vec<i64> = found.iter().filter_map(|object| number(&object.location)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The first number of a request that these epochs have not read.
pub(crate) fn read_until<'a>(epochs: impl IntoIterator<Item = &'a EpochRow>) -> i64 {
    let of_requests = |row: &&EpochRow| row.topic.as_deref() == Some(&*PartitionId::retries().topic);
    epochs.into_iter().filter(of_requests).filter_map(|row| row.until_offset).max().unwrap_or(0)
}

/// Where a request lies.
pub(crate) fn path(number: i64) -> StorePath {
    StorePath::from(format!("{FOLDER}/{number:020}.zst"))
}
