//! What nobody needs any more is removed: files that were merged into others, files that no commit ever named, and entries
//! of a log that a checkpoint stands for.
//!
//! A question keeps reading the files that were active when it began, and a Delta reader those of the version that it
//! opened. So a file stays for a while after it was taken away, a day unless said, which is longer than any question may
//! take. To ask for what was known earlier no old file is needed: rows carry when they were recorded, and merging keeps
//! them.
//!
//! A file that no commit names is litter of a crash, a lost race or a put whose answer came too late. It is removed only
//! when no commit can ever name it: an epoch's file once the table is past the epoch, for it is written only until then; a
//! merged file when it is old and the log has gone on since, for its name is never given again, and is committed soon or
//! never. Otherwise whoever makes the epoch again could commit the file in the very moment in which it is removed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;
use serde_json::json;

use crate::Lake;
use crate::append::{RACES_MAX, Span};
use crate::checkpoint;
use crate::error::LakeError;
use crate::log::{TableLog, entry_text};
use crate::store::STAGING;
use crate::table::engine_info;

/// How long files stay at most after they were taken away, and unless said: longer is not known, for the log itself
/// remembers it no longer.
pub const KEPT_MAX: Duration = Duration::from_hours(24);

/// How long they stay at least: longer than a question may take.
pub const KEPT_MIN: Duration = Duration::from_hours(1);

/// A staged file this old belongs to no writer that is still at work.
const STAGING_AGE_MAX: TimeDelta = TimeDelta::hours(1);

/// Files removed at the same time: enough to hide the latency of a bucket.
const REMOVED_AT_ONCE: usize = 16;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Data files, and files that were left half-written.
    pub files: usize,
    /// Entries and checkpoints of logs.
    pub log_entries: usize,
}

/// The data files of a table that nobody needs.
#[derive(Debug, Default)]
struct Removable {
    /// Those that were taken away, and those of epochs that were committed otherwise.
    taken_away: Vec<StorePath>,
    /// Those that no commit ever named.
    litter: Vec<StorePath>,
}

impl Lake {
    /// Removes files that were taken away, or written and never committed, longer ago than `kept`, and entries of logs that
    /// are older and that a checkpoint stands for. Call it every hour or so.
    ///
    /// # Errors
    /// `Invalid` when `kept` is not between `KEPT_MIN` and `KEPT_MAX`; `Unavailable` when the storage does not let it;
    /// otherwise those of `files` and `checkpoint`. Of several tables the first error is told, and the others are looked
    /// after all the same.
    pub async fn vacuum(&self, kept: Duration) -> Result<Removed, LakeError> {
        if !(KEPT_MIN..=KEPT_MAX).contains(&kept) {
            let hours = |span: Duration| span.as_secs() / 3600;
            return Err(LakeError::Invalid(format!(
                "files cannot be kept for {} s after they were taken away; keep them between {} and {} hours",
                kept.as_secs(),
                hours(KEPT_MIN),
                hours(KEPT_MAX)
            )));
        }
        let kept = TimeDelta::from_std(kept).unwrap_or(TimeDelta::MAX);
        self.vacuum_before(Utc::now() - kept, Utc::now() - STAGING_AGE_MAX).await
    }

    /// The same of what was taken away or written before `cutoff`, and of what was left half-written before `staged_before`:
    /// for whoever knows that no question is under way.
    ///
    /// # Errors
    /// Those of `vacuum`.
    pub async fn vacuum_before(
        &self,
        cutoff: DateTime<Utc>,
        staged_before: DateTime<Utc>,
    ) -> Result<Removed, LakeError> {
        let (mut removed, mut failed) = (Removed::default(), None);
        for table in Table::ALL {
            match self.vacuum_table(table, cutoff).await {
                Ok((files, log_entries)) => {
                    removed.files += files;
                    removed.log_entries += log_entries;
                }
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let staged = self.root().list(&StorePath::from(STAGING), None).await?;
        let staged = staged.into_iter().filter(|staged| staged.last_modified < staged_before);
        removed.files += self.remove(staged.map(|staged| staged.location).collect()).await?;
        Ok(removed)
    }

    async fn vacuum_table(&self, table: Table, cutoff: DateTime<Utc>) -> Result<(usize, usize), LakeError> {
        let mut old = self.removable(table, cutoff).await?;
        // Whoever merged files and hung just before it commits must find another's entry in its place, or its own below a
        // checkpoint; and whoever looks at the log from then on finds that it is late.
        if !old.litter.is_empty() {
            self.bar(table).await?;
            old = self.removable(table, cutoff).await?;
        }
        let removed = self.remove([old.taken_away, old.litter].concat()).await?;
        Ok((removed, self.remove_entries(table, cutoff).await?))
    }

    /// The data files of a table that nobody needs.
    async fn removable(&self, table: Table, cutoff: DateTime<Utc>) -> Result<Removable, LakeError> {
        // Listed before the log is read: whatever was committed meanwhile is seen to be active.
        let found = self.root().list(&StorePath::from(table.name()), None).await?;
        let mut log = self.log(table).await;
        log.refresh(self.root()).await?;
        log.check()?;
        let (active, removed) = log.places();
        let mut old = Removable::default();
        for path in found.into_iter().filter(|object| object.last_modified < cutoff).map(|object| object.location) {
            let is_data = path.as_ref().ends_with(".parquet") && !path.as_ref().contains("/_delta_log/");
            if !is_data || active.contains(path.as_ref()) {
                continue;
            }
            match (removed.get(path.as_ref()), Span::of(path.as_ref())) {
                (Some(at), _) if *at < cutoff.timestamp_millis() => old.taken_away.push(path),
                (Some(_), _) => {}
                (None, Some(span)) if !span.is_merged => {
                    if log.mark(span.group).is_some_and(|mark| mark.epoch >= span.last) {
                        old.taken_away.push(path);
                    }
                }
                (None, _) => old.litter.push(path),
            }
        }
        log.forget_removed(cutoff.timestamp_millis());
        Ok(old)
    }

    /// Commits nothing, so that no entry that is on its way can be the next one.
    async fn bar(&self, table: Table) -> Result<(), LakeError> {
        let now_ms = Utc::now().timestamp_millis();
        let commit_info = json!({"timestamp": now_ms, "operation": "VACUUM START", "engineInfo": engine_info()});
        let entry = entry_text(commit_info, []);
        let mut log = self.log(table).await;
        log.refresh(self.root()).await?;
        for _ in 0..RACES_MAX {
            if log.commit(self.root(), &entry).await?.is_some() {
                return Ok(());
            }
            self.lost_a_race();
        }
        Err(LakeError::Unavailable(format!(
            "table {} changed {RACES_MAX} times while it was looked after",
            table.name()
        )))
    }

    async fn remove(&self, paths: Vec<StorePath>) -> Result<usize, LakeError> {
        let count = paths.len();
        let removals = paths.into_iter().map(async |path| self.root().delete(&path).await);
        futures::stream::iter(removals).buffer_unordered(REMOVED_AT_ONCE).try_collect::<()>().await?;
        Ok(count)
    }

    /// Removes entries and checkpoints of a table's log that are older than the newest checkpoint from before `cutoff`, if
    /// that says what was written. Returns how many.
    async fn remove_entries(&self, table: Table, cutoff: DateTime<Utc>) -> Result<usize, LakeError> {
        let found = self.root().list(&StorePath::from(format!("{}/_delta_log", table.name())), None).await?;
        let names: Vec<&str> = found
            .iter()
            .filter(|object| object.last_modified < cutoff)
            .filter_map(|object| object.location.filename())
            .collect();
        let mut checkpoints = checkpoint::complete(&names);
        while let Some(newest) = checkpoints.pop() {
            if TableLog::is_whole(self.root(), table, &newest).await? {
                let (keep, _) = newest;
                let is_older = |name: &str| version_of(name).is_some_and(|version| version < keep);
                let old = names.into_iter().filter(|name| is_older(name));
                let old = old.map(|name| StorePath::from(format!("{}/_delta_log/{name}", table.name())));
                // In their order: see `TableLog::may_have_gone_on`.
                let old: Vec<StorePath> = old.collect();
                for path in &old {
                    self.root().delete(path).await?;
                }
                return Ok(old.len());
            }
        }
        Ok(0)
    }
}

/// The version of an entry or a checkpoint, by its name.
fn version_of(name: &str) -> Option<i64> {
    let (version, kind) = name.split_once('.')?;
    let is_ours = kind == "json" || (kind.starts_with("checkpoint.") && kind.ends_with(".parquet"));
    version.parse().ok().filter(|_| is_ours && version.len() == 20)
}
