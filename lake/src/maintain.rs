//! Upkeep that no commit waits for: few files, and a log that is opened quickly.

use deltalake_core::logstore::{StorageConfig, logstore_with};
use deltalake_core::protocol::checkpoints::create_checkpoint;
use deltalake_core::{DeltaResult, DeltaTable, DeltaTableError};
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::checkpoint::{announce, announced, announcement};
use crate::error::LakeError;
use crate::log::TableLog;

/// Commits after which a table gets a checkpoint: opening reads a hundred small files at most.
const COMMITS_PER_CHECKPOINT: i64 = 100;

impl Lake {
    /// Does what is due: merges small files, and writes a checkpoint of each table that has a hundred commits more than
    /// its last one, or whose last one is lost or damaged. Call it every minute or so from a task of its own. Returns how
    /// many files went into others.
    ///
    /// # Errors
    /// Those of `compact` and `checkpoint`, of the first table that has one; the others are looked after all the same.
    pub async fn maintain(&self) -> Result<usize, LakeError> {
        let (mut merged, mut failed) = (0, None);
        for table in Table::ALL {
            match self.maintain_table(table).await {
                Ok(count) => merged += count,
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(merged), Err)
    }

    async fn maintain_table(&self, table: Table) -> Result<usize, LakeError> {
        let merged = self.compact(table).await?;
        let version = self.files(table).await?.version;
        let since = announced(self.root(), table).await?.map_or(0, |known| known.version);
        let is_torn = !self.log(table).await.torn.is_empty();
        if is_torn || version - since >= COMMITS_PER_CHECKPOINT {
            self.checkpoint(table).await?;
        }
        Ok(merged)
    }

    /// Writes a checkpoint of a table at its newest version, by delta-rs, which would begin with an older one that is lost
    /// or damaged: such a one is removed, for entries say the same.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written; otherwise those of `files`.
    pub async fn checkpoint(&self, table: Table) -> Result<(), LakeError> {
        // A list of its files may not know the newest entries yet, which the log knows that was followed.
        let torn = TableLog::load(self.root(), table).await?.torn;
        self.files(table).await?;
        let (version, digest) = {
            let log = self.log(table).await;
            (log.version.unwrap_or_default(), log.digest())
        };
        // The announcement of it first: others look for what that names.
        let announcement = (!torn.is_empty()).then(|| announcement(table));
        let torn = torn.into_iter().map(|name| StorePath::from(format!("{}/_delta_log/{name}", table.name())));
        for path in announcement.into_iter().chain(torn) {
            self.root().delete(&path).await?;
        }
        let write = async || -> DeltaResult<()> {
            let mut opened = self.delta_table(table)?;
            opened.load_version(u64::try_from(version).unwrap_or_default()).await?;
            create_checkpoint(&opened, None).await
        };
        write().await.map_err(|error| {
            LakeError::Unavailable(format!("cannot write a checkpoint of {}: {error}", table.name()))
        })?;
        announce(self.root(), table, version, &digest).await?;
        self.log(table).await.torn.clear();
        Ok(())
    }

    /// A table as delta-rs sees it, in our own store.
    pub(crate) fn delta_table(&self, table: Table) -> DeltaResult<DeltaTable> {
        let in_store = self.root().for_delta().and_then(|(objects, root)| {
            let url = root.join(&format!("{}/", table.name()))?;
            Ok((objects, url))
        });
        let (objects, url) = in_store.map_err(|error| DeltaTableError::Generic(error.to_string()))?;
        Ok(DeltaTable::new(logstore_with(objects, &url, StorageConfig::default())?))
    }
}
