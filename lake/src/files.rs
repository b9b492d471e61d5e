//! Which files a table consists of: what a reader needs to plan a query.

use std::sync::Arc;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::append::{OTHER_BYTES, Span};
use crate::error::LakeError;
use crate::inspect::FILES_AT_ONCE;
use crate::table::repair;

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

    /// Compares some files of a table with what was written, as the names of ours tell it. All of each is read: it is for
    /// whoever makes something lasting of them, or could not read one.
    ///
    /// # Errors
    /// `Corrupt` for one that is missing or holds other bytes, with its repair; `Unavailable` when it cannot be read.
    pub async fn check_bytes(&self, table: Table, files: &[Arc<ActiveFile>]) -> Result<(), LakeError> {
        let checks = files.iter().cloned().map(|file| async move {
            let wrong = |what: &str| LakeError::Corrupt(format!("{}: the file {what}; {}", file.path, repair(table)));
            let bytes = self.root().get(&StorePath::from(file.path.as_str())).await?;
            let bytes = bytes.ok_or_else(|| wrong("is missing"))?;
            match Span::of(&file.path) {
                Some(span) if !span.is_of(&bytes) => Err(wrong(OTHER_BYTES)),
                _ => Ok(()),
            }
        });
        futures::stream::iter(checks).buffer_unordered(FILES_AT_ONCE).try_collect().await
    }
}
