//! The definitions under which epochs were folded. Each intent names its own by a digest, so that recovery can replay an
//! epoch under them whatever the operator has changed since.
//!
//! In: definitions as bytes, whatever they say. Out: their digest, and the bytes again. They are small and never
//! deleted, so that it can always be told how a result came about.

use bytes::Bytes;
use object_store::path::Path as StorePath;
use xxhash_rust::xxh3::xxh3_128;

use crate::Lake;
use crate::error::LakeError;
use crate::snapshot::{compute, pack, unpack};
use crate::store::Store;

impl Lake {
    /// Keeps definitions under their digest, which is returned.
    ///
    /// # Errors
    /// `Unavailable` when the storage does not take them.
    pub async fn keep_definitions(&self, bytes: Bytes) -> Result<String, LakeError> {
        let digest = digest(&bytes);
        // At each start they are there, and a full disk is to be no obstacle.
        if read(self.root(), &digest).await.is_ok() {
            return Ok(digest);
        }
        let packed = compute(move || pack(&bytes)).await?;
        let packed = packed.map_err(|error| LakeError::Internal(format!("definitions cannot be packed: {error}")))?;
        self.root().put(&path(&digest), packed.into()).await?;
        Ok(digest)
    }

    /// The definitions with this digest.
    ///
    /// # Errors
    /// `Corrupt` when they are not there or damaged; `Unavailable` when the storage cannot be read.
    pub async fn definitions(&self, digest: &str) -> Result<Bytes, LakeError> {
        read(self.root(), digest).await
    }
}

/// See `Lake::definitions`.
pub(crate) async fn read(store: &Store, digest: &str) -> Result<Bytes, LakeError> {
    let path = path(digest);
    let corrupt = |what: &str| {
        LakeError::Corrupt(format!(
            "{path}, the definitions under which recorded epochs were folded, {what}; restore it from a backup"
        ))
    };
    let packed = store.get(&path).await?.ok_or_else(|| corrupt("is missing"))?;
    let bytes = compute(move || unpack(&packed)).await?.map_err(|error| corrupt(&format!("is damaged ({error})")))?;
    if self::digest(&bytes) != digest {
        return Err(corrupt("holds something else"));
    }
    Ok(bytes.into())
}

fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// Where they lie.
pub(crate) fn path(digest: &str) -> StorePath {
    StorePath::from(format!("_plimsoll/definitions/{digest}.zst"))
}
