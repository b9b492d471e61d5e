//! Snapshots of a lane group's state, so that recovery replays epochs from the newest one and not from the first.
//!
//! In: the state's bytes after an epoch. Out: the newest bytes that are whole. A snapshot is one zstd frame with its
//! length and checksum; one that is torn or damaged is skipped with a warning, because an older one and more replay
//! give the same state.
//!
//! Ahead of it stands a frame that zstd passes over: how far each table was at that time, by which is known whether one
//! has lost anything since (see `lost`).
//!
//! ```text
//!   magic | length | xxh3 of the marks | marks as JSON: {"events": 17, ...} | the state, a zstd frame
//!   4       4        8                   length - 8 bytes                     (numbers are little-endian)
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;
use xxhash_rust::xxh3::xxh3_64;

use crate::Lake;
use crate::append::check_group;
use crate::error::LakeError;

/// Snapshots kept per lane group: the newest, and two to fall back on.
const SNAPSHOTS_KEPT: usize = 3;

/// zstd's fastest level: snapshots are written often and read once.
const ZSTD_LEVEL: i32 = 1;

/// How a frame begins that zstd passes over (RFC 8878, 3.1.2); of the sixteen such numbers, the one that we take.
const MARKS_MAGIC: [u8; 4] = 0x184D_2A5B_u32.to_le_bytes();

/// How far a lane group was in each table, by the table's name: the newest epoch of which it has rows.
pub(crate) type Marks = BTreeMap<String, i64>;

/// A saved state.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) epoch: i64,
    pub(crate) bytes: Bytes,
    /// Nothing, when a version saved it that did not tell.
    pub(crate) marks: Marks,
}

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
        let mut marks = Marks::new();
        for table in Table::ALL {
            // What this process has read is enough: it has written the epoch itself, or found it there.
            if let Some(mark) = self.log(table).await.mark(group) {
                marks.insert(table.name().to_owned(), mark.epoch);
            }
        }
        let packed = compute(move || pack_state(&marks, &bytes)).await?;
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
        Ok(self.newest_saved(group).await?.map(|saved| (saved.epoch, saved.bytes)))
    }

    /// The same, with how far each table was.
    pub(crate) async fn newest_saved(&self, group: &str) -> Result<Option<Saved>, LakeError> {
        check_group(group)?;
        for (epoch, path) in self.snapshots(group).await? {
            let Some(packed) = self.root().get(&path).await? else { continue };
            match compute(move || unpack_state(&packed)).await? {
                Ok((marks, bytes)) => return Ok(Some(Saved { epoch, bytes: bytes.into(), marks })),
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

fn pack_state(marks: &Marks, state: &[u8]) -> io::Result<Vec<u8>> {
    let marks = serde_json::to_vec(marks)?;
    let length = u32::try_from(marks.len() + 8).map_err(io::Error::other)?;
    let mut packed = [&MARKS_MAGIC[..], &length.to_le_bytes(), &xxh3_64(&marks).to_le_bytes(), &marks].concat();
    packed.extend(pack(state)?);
    Ok(packed)
}

/// How far the tables were, and the state.
pub(crate) fn unpack_state(packed: &[u8]) -> io::Result<(Marks, Vec<u8>)> {
    let Some(rest) = packed.strip_prefix(&MARKS_MAGIC) else { return Ok((Marks::new(), unpack(packed)?)) };
    let torn = || io::Error::new(io::ErrorKind::InvalidData, "what it says of the tables is damaged");
    let (length, rest) = rest.split_first_chunk().ok_or_else(torn)?;
    let (frame, state) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(torn)?;
    let (hash, marks) = frame.split_first_chunk().ok_or_else(torn)?;
    if u64::from_le_bytes(*hash) != xxh3_64(marks) {
        return Err(torn());
    }
    Ok((serde_json::from_slice(marks)?, unpack(state)?))
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
