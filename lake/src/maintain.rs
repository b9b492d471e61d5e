//! Upkeep that no commit waits for: few files, and a log that is opened quickly.

use chrono::{TimeDelta, Utc};
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::checkpoint::{self, announce, announced};
use crate::error::LakeError;
use crate::log::{TableLog, lines};
use crate::snapshot::compute;
use crate::vacuum::KEPT_MAX;

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
        let since = announced(self.root(), table).await?.unwrap_or(0);
        let is_torn = !self.log(table).await.torn.is_empty();
        if is_torn || version - since >= COMMITS_PER_CHECKPOINT {
            self.checkpoint(table).await?;
        }
        Ok(merged)
    }

    /// Writes a checkpoint of a table at its newest version.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written; otherwise those of `files`.
    pub async fn checkpoint(&self, table: Table) -> Result<(), LakeError> {
        self.files(table).await?;
        let (version, (actions, digest)) = {
            let mut log = self.log(table).await;
            log.check()?;
            let kept = TimeDelta::from_std(KEPT_MAX).unwrap_or_default();
            log.forget_removed((Utc::now() - kept).timestamp_millis());
            let version = log.version.unwrap_or_default();
            (version, log.state(version))
        };
        let count = actions.len();
        let encode = move || {
            let bytes = checkpoint::encode(&lines(actions), digest).map_err(|error| error.to_string())?;
            TableLog::check_checkpoint(table, version, &bytes).map(|()| bytes)
        };
        let bytes = compute(encode).await?.map_err(|error| {
            LakeError::Internal(format!("a checkpoint of {} cannot be made: {error}", table.name()))
        })?;
        self.root().put(&checkpoint::path(table, version), bytes).await?;
        announce(self.root(), table, version, count).await?;
        self.log(table).await.torn.clear();
        Ok(())
    }
}
