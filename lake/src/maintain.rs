//! Upkeep that no commit waits for: checkpoints, so that opening a table does not read its whole history, and litter.

use chrono::{TimeDelta, Utc};
use deltalake_core::logstore::{StorageConfig, logstore_with};
use deltalake_core::protocol::checkpoints::{cleanup_metadata, create_checkpoint};
use deltalake_core::{DeltaResult, DeltaTable, DeltaTableError};
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::error::LakeError;
use crate::log::last_checkpoint;
use crate::store::STAGING;

/// Commits after which a table gets a checkpoint: opening reads a hundred small files at most.
const COMMITS_PER_CHECKPOINT: i64 = 100;

/// A staged file this old belongs to no writer that is still at work.
const STAGING_AGE_MAX: TimeDelta = TimeDelta::hours(1);

impl Lake {
    /// Does what is due: a checkpoint of each table that has a hundred commits more than its last one, and removal of
    /// files that a crash left behind. Call it every minute or so from a task of its own.
    ///
    /// # Errors
    /// Those of `files` and `checkpoint`.
    pub async fn maintain(&self) -> Result<(), LakeError> {
        for table in Table::ALL {
            let version = self.files(table).await?.version;
            let since = last_checkpoint(self.root(), table).await?.unwrap_or(0);
            if version - since >= COMMITS_PER_CHECKPOINT {
                self.checkpoint(table).await?;
            }
        }
        let oldest = Utc::now() - STAGING_AGE_MAX;
        for staged in self.root().list(&StorePath::from(STAGING), None).await? {
            if staged.last_modified < oldest {
                self.root().delete(&staged.location).await?;
            }
        }
        Ok(())
    }

    /// Writes a checkpoint of a table at its newest version, by delta-rs, and deletes log entries that are older than
    /// both a checkpoint and the table's `delta.logRetentionDuration` (30 days).
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written; otherwise those of `files`.
    pub async fn checkpoint(&self, table: Table) -> Result<(), LakeError> {
        let version = self.files(table).await?.version;
        let version = u64::try_from(version)
            .map_err(|_| LakeError::Corrupt(format!("table {} has no version; restore its log", table.name())))?;
        let written = async {
            let mut opened = self.delta_table(table)?;
            opened.load_version(version).await?;
            create_checkpoint(&opened, None).await?;
            cleanup_metadata(&opened, None).await
        };
        let written: DeltaResult<usize> = written.await;
        written
            .map(drop)
            .map_err(|error| LakeError::Unavailable(format!("cannot write a checkpoint of {}: {error}", table.name())))
    }

    /// A table as delta-rs sees it, in our own store.
    fn delta_table(&self, table: Table) -> DeltaResult<DeltaTable> {
        let in_store = self.root().for_delta().and_then(|(objects, root)| {
            let url = root.join(&format!("{}/", table.name()))?;
            Ok((objects, url))
        });
        let (objects, url) = in_store.map_err(|error| DeltaTableError::Generic(error.to_string()))?;
        Ok(DeltaTable::new(logstore_with(objects, &url, StorageConfig::default())?))
    }
}
