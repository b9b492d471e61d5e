//! One idempotent append: data files first, then one log entry that names them and the lane group's epoch.
//!
//! The entry is put under the next version's name only if that name is free, so of several writers exactly one gets it.
//! A blind append needs to know nothing of the table's files, only the newest version and its own group's epoch; its
//! cost does not grow with the table's history.
//!
//! The answer to a put may be lost on its way: the entry is there, and whoever tries again is refused by its own. So each
//! commit has an id, of the open lake that makes it and of the files that it names, and who finds its id in the log has
//! written the entry.

use arrow_array::RecordBatch;
use chrono::{NaiveDate, Utc};
use futures::future::try_join_all;
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;
use serde_json::json;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::Lake;
use crate::encode::{EncodedFile, EncodedTable};
use crate::error::LakeError;
use crate::log::{Mark, entry_path, entry_text};
use crate::table::{DATE, engine_info, partition_columns};

/// Races for the next version that one commit may lose before it gives up: with more writers than that on one table,
/// something is wrong with the deployment.
pub(crate) const RACES_MAX: usize = 100;

/// What is wrong with a file whose content is not that of its name.
pub(crate) const OTHER_BYTES: &str = "holds other bytes than were written";

/// The longest name of a lane group.
pub const GROUP_LENGTH_MAX: usize = 64;

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The rows are in the table, from this version on, by this call or an earlier one of this open lake.
    Written {
        /// The version.
        version: i64,
    },
    /// The table was at this epoch of the lane group by another, or at a later one, already; nothing was written.
    AlreadyThere,
}

impl Lake {
    /// Encodes rows and commits them: see `encode` and `commit`.
    ///
    /// # Errors
    /// Those of `encode` and `commit`.
    pub async fn append(
        &self,
        table: Table,
        batches: Vec<RecordBatch>,
        group: &str,
        epoch: i64,
    ) -> Result<Appended, LakeError> {
        let encoded = tokio::task::spawn_blocking(move || Lake::encode(table, &batches)).await;
        let encoded = encoded.map_err(|error| LakeError::Internal(format!("encoding was aborted: {error}")))??;
        self.commit(table, encoded, group, epoch).await
    }

    /// Appends encoded rows in one commit that carries `txn(app_id = group, version = epoch)`. Without rows, the commit
    /// carries just that. A group must commit its epochs to a table in order.
    ///
    /// # Errors
    /// `Fenced` when another worker moves the group's epoch past this one meanwhile; `Unavailable` when the storage
    /// does not take it: the same commit may be tried again, its rows are written once at most; `Invalid` for rows of
    /// another table, a group or an epoch that cannot be, or a table that this version does not know.
    pub async fn commit(
        &self,
        table: Table,
        encoded: EncodedTable,
        group: &str,
        epoch: i64,
    ) -> Result<Appended, LakeError> {
        if encoded.table != table {
            let (rows, table) = (encoded.table.name(), table.name());
            return Err(LakeError::Invalid(format!("rows of table {rows} cannot be appended to table {table}")));
        }
        check_group(group)?;
        if epoch < 0 {
            return Err(LakeError::Invalid(format!("epoch {epoch} is negative; epochs count from 0")));
        }
        let paths = encoded.files.iter().enumerate().map(|(part, file)| (data_path(group, epoch, part, file), file));
        let files: Vec<(String, &EncodedFile)> = paths.collect();
        let id = self.commit_id(&files);
        if let Some(mark) = self.mark(table, group).await?.filter(|mark| mark.epoch >= epoch) {
            return self.found(table, &mark, &id).await;
        }
        try_join_all(files.iter().map(async |(path, file)| {
            let path = StorePath::from(format!("{}/{path}", table.name()));
            self.root().put(&path, file.bytes.clone()).await
        }))
        .await?;
        self.put_entry(table, entry(table, group, epoch, &files, &id), &id, group, epoch).await
    }

    /// The newest epoch of a lane group in a table; `None` when it has written none.
    ///
    /// # Errors
    /// Those of `files`.
    pub async fn last_epoch(&self, table: Table, group: &str) -> Result<Option<i64>, LakeError> {
        Ok(self.mark(table, group).await?.map(|mark| mark.epoch))
    }

    async fn mark(&self, table: Table, group: &str) -> Result<Option<Mark>, LakeError> {
        let mut log = self.log(table).await;
        log.refresh(self.root()).await?;
        Ok(log.mark(group).cloned())
    }

    /// What to say of an epoch that is there: that it was written, when it is the commit of this id that did so.
    async fn found(&self, table: Table, mark: &Mark, id: &str) -> Result<Appended, LakeError> {
        let Some(version) = mark.version_of(id) else { return Ok(Appended::AlreadyThere) };
        self.root().settle(&entry_path(table, version)).await?;
        Ok(Appended::Written { version })
    }

    /// The id of a commit of these files by this open lake.
    fn commit_id(&self, files: &[(String, &EncodedFile)]) -> String {
        let paths = files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join("\n");
        format!("{}-{:016x}", self.writer_id(), xxh3_64(paths.as_bytes()))
    }

    pub(crate) async fn put_entry(
        &self,
        table: Table,
        entry: String,
        id: &str,
        group: &str,
        epoch: i64,
    ) -> Result<Appended, LakeError> {
        let mut log = self.log(table).await;
        for _ in 0..RACES_MAX {
            // The log holds every version before the next one, so this is the whole truth until the put succeeds.
            match log.mark(group) {
                Some(mark) if mark.epoch == epoch => return self.found(table, mark, id).await,
                Some(mark) if mark.epoch > epoch => {
                    return Err(LakeError::Fenced { table, group: group.to_owned(), epoch, found: mark.epoch });
                }
                _ => log.check()?,
            }
            if let Some(version) = log.commit(self.root(), &entry).await? {
                return Ok(Appended::Written { version });
            }
            self.lost_a_race();
        }
        Err(LakeError::Unavailable(format!(
            "table {} changed {RACES_MAX} times while epoch {epoch} was to be committed; run fewer writers, or try again",
            table.name()
        )))
    }
}

/// Whether this can be the name of a lane group. It is a part of file names, so it is a plain word.
pub fn is_group(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=GROUP_LENGTH_MAX).contains(&name.len()) && name.bytes().all(plain)
}

pub(crate) fn check_group(group: &str) -> Result<(), LakeError> {
    if !is_group(group) {
        return Err(LakeError::Invalid(format!(
            "lane group {group:?} is no name: use 1 to {GROUP_LENGTH_MAX} letters, digits, - and _"
        )));
    }
    Ok(())
}

/// The path of a data file within its table. It follows from the epoch and the file's content: a replay writes the same
/// file again instead of leaving litter, and no file that is in use is ever given other bytes.
fn data_path(group: &str, epoch: i64, part: usize, file: &EncodedFile) -> String {
    in_date(file.date, &format!("{group}-{epoch:012}-{part:04}-{:016x}.parquet", content_hash(&file.bytes)))
}

/// The path of a file that holds the rows of a span of epochs. It is never given twice, so a file of that name which no
/// commit names will never be named by one.
pub(crate) fn merged_path(group: &str, (first, last): (i64, i64), file: &EncodedFile) -> String {
    let (id, _, _, _) = Uuid::new_v4().as_fields();
    let hash = content_hash(&file.bytes);
    in_date(file.date, &format!("{group}-{first:012}_{last:012}-{id:08x}-{hash:016x}.parquet"))
}

fn in_date(date: Option<NaiveDate>, name: &str) -> String {
    date.map_or(name.to_owned(), |date| format!("{DATE}={date}/{name}"))
}

/// What a data file's name says of its content.
fn content_hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// What the name of a data file of ours says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span<'path> {
    /// The lane group.
    pub(crate) group: &'path str,
    /// The first epoch.
    pub(crate) first: i64,
    /// The last epoch.
    pub(crate) last: i64,
    /// Whether it was merged from other files; otherwise it is an epoch's own.
    pub(crate) is_merged: bool,
    /// The hash of its content.
    hash: u64,
}

impl Span<'_> {
    /// What a data file's path tells; `None` for a file of another origin.
    pub(crate) fn of(path: &str) -> Option<Span<'_>> {
        let name = path.rsplit('/').next()?.strip_suffix(".parquet")?;
        let mut pieces = name.rsplitn(4, '-');
        let (hash, _part, epochs, group) = (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
        let hash = u64::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 16)?;
        let (first, last) = epochs.split_once('_').unwrap_or((epochs, epochs));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        Some(Span { group, first, last, is_merged: epochs.contains('_'), hash })
    }

    /// Whether a file of this name still holds what was written into it.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        self.hash == content_hash(bytes)
    }
}

fn entry(table: Table, group: &str, epoch: i64, files: &[(String, &EncodedFile)], id: &str) -> String {
    let now_ms = Utc::now().timestamp_millis();
    let rows: u64 = files.iter().map(|(_, file)| file.rows).sum();
    let commit_info = json!({
        "timestamp": now_ms,
        "operation": "WRITE",
        "operationParameters": {"mode": "Append", "partitionBy": json!(partition_columns(table)).to_string()},
        "operationMetrics": {"numFiles": files.len().to_string(), "numOutputRows": rows.to_string()},
        "isBlindAppend": true,
        "engineInfo": engine_info(),
        "txnId": id,
    });
    let txn = json!({"txn": {"appId": group, "version": epoch, "lastUpdated": now_ms}});
    let adds = files.iter().map(|(path, file)| {
        let date = file.date.map(|date| (DATE.to_owned(), json!(date.to_string())));
        json!({"add": {
            "path": path,
            "partitionValues": serde_json::Map::from_iter(date),
            "size": file.bytes.len(),
            "modificationTime": now_ms,
            "dataChange": true,
            "stats": file.statistics,
        }})
    });
    entry_text(commit_info, [txn].into_iter().chain(adds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_group_and_epochs() {
        let file = EncodedFile { date: None, rows: 0, bytes: vec![1].into(), statistics: String::new() };
        let path = data_path("lanes-0-of-4", 17, 3, &file);
        let span = Span { group: "lanes-0-of-4", first: 17, last: 17, is_merged: false, hash: content_hash(&[1]) };
        assert_eq!(Span::of(&path), Some(span));
        assert!(span.is_of(&[1]) && !span.is_of(&[2]));
        let file = EncodedFile { date: NaiveDate::from_ymd_opt(2026, 1, 31), ..file };
        let path = merged_path("lanes_1-of-4", (3, 17), &file);
        assert_ne!(merged_path("lanes_1-of-4", (3, 17), &file), path, "it is never given twice");
        assert!(path.starts_with("date=2026-01-31/lanes_1-of-4-000000000003_000000000017-"), "{path}");
        let span = Span { group: "lanes_1-of-4", first: 3, last: 17, is_merged: true, hash: content_hash(&[1]) };
        assert_eq!(Span::of(&path), Some(span));
        assert_eq!(Span::of("part-00001-c0ffee.parquet"), None);
    }

    #[test]
    fn groups_are_plain_words() {
        for (group, fits) in [("lanes-0", true), ("A_1", true), ("", false), ("../x", false), ("a/b", false)] {
            assert_eq!(check_group(group).is_ok(), fits, "{group}");
        }
    }
}
