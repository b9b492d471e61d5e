//! Snapshots of a lane group's state, so that recovery replays epochs from the newest one and not from the first.
//!
//! In: the state's bytes after an epoch. Out: the newest bytes that are whole. A snapshot is one zstd frame with its
//! length and checksum; one that is torn or damaged is skipped with a warning, because an older one and more replay
//! give the same state.

use std::io::{self, Write};

use bytes::Bytes;
use object_store::path::Path as StorePath;

use crate::Lake;
use crate::append::check_group;
use crate::error::LakeError;

/// Snapshots kept per lane group: the newest, and two to fall back on.
const SNAPSHOTS_KEPT: usize = 3;

/// zstd's fastest level: snapshots are written often and read once.
const ZSTD_LEVEL: i32 = 1;

impl Lake {
    /// Keeps the state of a lane group after an epoch, and deletes all but the newest three.
    ///
    /// # Errors
    /// `Unavailable` when the storage does not take it; `Invalid` for a group or an epoch that cannot be.
    pub async fn put_snapshot(&self, group: &str, epoch: i64, bytes: Bytes) -> Result<(), LakeError> {
        check_group(group)?;
        if epoch < 0 {
            return Err(LakeError::Invalid(format!("epoch {epoch} is negative; epochs count from 0")));
        }
        let packed = compute(move || pack(&bytes)).await?;
        let packed = packed.map_err(|error| LakeError::Internal(format!("a snapshot cannot be packed: {error}")))?;
        let path = snapshot_path(group, epoch);
        self.root().put(&path, packed.into()).await?;
        for (_, old) in self.snapshots(group).await?.into_iter().skip(SNAPSHOTS_KEPT) {
            self.root().delete(&old).await?;
        }
        Ok(())
    }

    /// The newest snapshot of a lane group that is whole, and its epoch; `None` when there is none.
    ///
    /// # Errors
    /// `Unavailable` when the storage cannot be read; `Invalid` for a group that cannot be.
    pub async fn newest_snapshot(&self, group: &str) -> Result<Option<(i64, Bytes)>, LakeError> {
        check_group(group)?;
        for (epoch, path) in self.snapshots(group).await? {
            let Some(packed) = self.root().get(&path).await? else { continue };
            match compute(move || unpack(&packed)).await? {
                Ok(bytes) => return Ok(Some((epoch, bytes.into()))),
                Err(error) => tracing::warn!("skipping the snapshot {path}, which is not whole: {error}"),
            }
        }
        Ok(None)
    }

    /// Newest first.
    async fn snapshots(&self, group: &str) -> Result<Vec<(i64, StorePath)>, LakeError> {
        let found = self.root().list(&StorePath::from(folder(group)), None).await?;
        let epoch = |path: &StorePath| path.filename()?.strip_suffix(".zst")?.parse::<i64>().ok();
        let found = found.into_iter().filter_map(|object| Some((epoch(&object.location)?, object.location)));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
        Ok(found)
    }
}

/// Where the state of a lane group after an epoch lies.
pub fn snapshot_path(group: &str, epoch: i64) -> StorePath {
    StorePath::from(format!("{}/{epoch:020}.zst", folder(group)))
}

fn folder(group: &str) -> String {
    format!("_plimsoll/snapshots/{group}")
}

pub(crate) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LakeError> {
    let aborted = |error| LakeError::Internal(format!("packing was aborted: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(aborted)
}

pub(crate) fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.include_contentsize(true)?;
    encoder.include_checksum(true)?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

pub(crate) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    // An empty file is no frame at all, which the decoder would take for an empty state.
    if packed.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty"));
    }
    zstd::decode_all(packed)
}
