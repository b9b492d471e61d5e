//! How far people were told of what the tables say, by the name of who was told. What it says is not known here.

use bytes::Bytes;
use object_store::path::Path as StorePath;

use crate::Lake;
use crate::error::LakeError;
use crate::snapshot::{compute, pack, unpack};

impl Lake {
    /// What was kept of a receiver; `None` when nothing was. A name has letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Unavailable` when the storage cannot be read.
    pub async fn told(&self, receiver: &str) -> Result<Option<Bytes>, LakeError> {
        let path = path(receiver);
        let Some(packed) = self.root().get(&path).await? else { return Ok(None) };
        let unpacked = compute(move || unpack(&packed)).await?;
        unpacked.map(|bytes| Some(bytes.into())).map_err(|error| {
            LakeError::Corrupt(format!(
                "{path}, what receiver was told of, is damaged ({error}); delete it, and what stands is told anew"
            ))
        })
    }

    /// Keeps that in the place of what was kept before.
    ///
    /// # Errors
    /// `Unavailable` when the storage does not take it.
    pub async fn keep_told(&self, receiver: &str, bytes: Bytes) -> Result<(), LakeError> {
        let packed = compute(move || pack(&bytes)).await?;
        let packed = packed.map_err(|error| LakeError::Internal(format!("what was told cannot be packed: {error}")))?;
        self.root().put(&path(receiver), packed.into()).await
    }
}

fn path(receiver: &str) -> StorePath {
    StorePath::from(format!("_plimsoll/told/{receiver}.zst"))
}
