//! Upkeep that no commit waits for: few files, and a log that is opened quickly.

use deltalake_core::logstore::{StorageConfig, logstore_with};
use deltalake_core::protocol::checkpoints::create_checkpoint;
use deltalake_core::{DeltaResult, DeltaTable, DeltaTableError};
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::error::LakeError;
use crate::log::{TableLog, last_checkpoint};

/// Commits after which a table gets a checkpoint: opening reads a hundred small files at most.
const COMMITS_PER_CHECKPOINT: i64 = 100;

impl Lake {
    /// Does what is due: merges small files, and writes a checkpoint of each table that has a hundred commits more than
    /// its last one, or whose last one cannot be read. Call it every minute or so from a task of its own. Returns how many
    /// files went into others.
    ///
    /// # Errors
    /// Those of `compact` and `checkpoint`.
    pub async fn maintain(&self) -> Result<usize, LakeError> {
        let mut merged = 0;
        for table in Table::ALL {
            merged += self.compact(table).await?;
            let version = self.files(table).await?.version;
            let since = last_checkpoint(self.root(), table).await?.unwrap_or(0);
            let is_torn = !self.log(table).await.torn.is_empty();
            if is_torn || version - since >= COMMITS_PER_CHECKPOINT {
                self.checkpoint(table).await?;
            }
        }
        Ok(merged)
    }

    /// Writes a checkpoint of a table at its newest version, by delta-rs, which would read an older one that is torn: such a
    /// one is removed, for entries say the same.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written; otherwise those of `files`.
    pub async fn checkpoint(&self, table: Table) -> Result<(), LakeError> {
        let log = TableLog::load(self.root(), table).await?;
        // The hint at it first: others look for what it names.
        let hint = (!log.torn.is_empty()).then(|| "_last_checkpoint".to_owned());
        for name in hint.into_iter().chain(log.torn) {
            self.root().delete(&StorePath::from(format!("{}/_delta_log/{name}", table.name()))).await?;
        }
        let version = log.version.and_then(|version| u64::try_from(version).ok());
        let no_version = || LakeError::Corrupt(format!("table {} has no version; restore its log", table.name()));
        let version = version.ok_or_else(no_version)?;
        let write = async || -> DeltaResult<()> {
            let mut opened = self.delta_table(table)?;
            opened.load_version(version).await?;
            create_checkpoint(&opened, None).await
        };
        write().await.map_err(|error| {
            LakeError::Unavailable(format!("cannot write a checkpoint of {}: {error}", table.name()))
        })?;
        let mut log = self.log(table).await;
        log.torn.clear();
        log.whole = i64::try_from(version).ok();
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
