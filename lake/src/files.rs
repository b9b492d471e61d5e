//! Which files a table consists of: what a reader needs to plan a query.

use std::sync::Arc;

use chrono::NaiveDate;
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::error::LakeError;

/// The active files of a table at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFiles {
    /// The version of the table.
    pub version: i64,
    /// The files, in the order of their paths: by date first, where the table is partitioned.
    pub files: Vec<Arc<ActiveFile>>,
}

/// One Parquet file of a table. Its columns are the table's, without the partition column; dictionary columns are plain
/// strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveFile {
    /// Its path relative to the root of `Lake::store`.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its rows; `None` when a foreign writer did not say.
    pub rows: Option<u64>,
    /// The UTC date of all its rows; `None` where the table is not partitioned.
    pub date: Option<NaiveDate>,
    /// When it was written, in milliseconds since 1970, as the log tells it.
    pub modified_ms: i64,
    /// Delta's statistics as JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`. A bound may be left out.
    pub stats: Option<String>,
}

impl Lake {
    /// The active files of a table at its newest version. Only log entries that are new since the last call are read;
    /// when there is none, it costs one look-up.
    ///
    /// # Errors
    /// `Unavailable` when the log cannot be read; `Corrupt` when it makes no sense; `Invalid` when another program gave
    /// the table columns or features that this version does not know.
    pub async fn files(&self, table: Table) -> Result<Arc<TableFiles>, LakeError> {
        let mut log = self.log(table).await;
        log.refresh(self.root()).await?;
        log.check()?;
        Ok(log.files())
    }
}
