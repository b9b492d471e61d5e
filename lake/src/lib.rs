//! The lake: every table of Plimsoll as a Delta table in one folder, and the state from which a worker recovers.
//!
//! What comes in: Arrow batches in the schemas of `plimsoll_schemas::table`, with a lane group and an epoch. What goes
//! out: Parquet files that any Delta reader opens, the list of active files for the query service, and the recorded
//! epochs and snapshots for recovery. When `commit` returns, its rows are on the disk and visible.
//!
//! ```text
//! LAKE/events/_delta_log/00000000000000000017.json     what happened to the table, one file a version
//! LAKE/events/date=2026-01-31/GROUP-EPOCH-PART-HASH.parquet
//! LAKE/events/date=2026-01-31/GROUP-FIRST_LAST-ID-HASH.parquet   merged from such
//! LAKE/attainment/...                                   one folder for each of Table::ALL
//! LAKE/_plimsoll/snapshots/GROUP/EPOCH.zst
//! LAKE/_plimsoll/definitions/DIGEST.zst
//! LAKE/_plimsoll/retries/NUMBER.zst
//! LAKE/_plimsoll/told/RECEIVER.zst                      what a receiver of warnings was told
//! LAKE/_plimsoll/claim.json                             who keeps it
//! LAKE/_plimsoll/shards/NUMBER.json                     what is measured where, if several groups keep it
//! ```
//! Modules in reading order: `epoch` explains the protocol; `append` is one commit, for which `encode` makes the files
//! (`order` sorts their rows, `statistics` describes them); `log` reads what was committed and `files` hands it out;
//! `snapshot` keeps state and `definitions` what it was made under; `lost` tells whether a table has lost anything;
//! `shards` is who keeps a lake; `maintain` does the upkeep, `compact` the merging of small files and `vacuum` the removal
//! of what nobody needs; `told` is what people were told; `inspect` finds what is damaged; `table` is what a table looks
//! like, `store` where it lies, `bucket` what is particular to a lake in one and `requests` how they end.

mod anew;
mod append;
mod bucket;
mod checkpoint;
mod compact;
mod definitions;
mod encode;
mod epoch;
mod error;
mod files;
mod inspect;
mod log;
mod lost;
mod maintain;
mod order;
mod requests;
mod retries;
mod shards;
mod snapshot;
mod statistics;
mod store;
mod table;
mod told;
mod vacuum;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::future::try_join_all;
use object_store::ObjectStore;
use plimsoll_schemas::table::Table;
use tokio::sync::{Mutex, MutexGuard};
use url::Url;
use uuid::Uuid;

pub use crate::append::{Appended, GROUP_LENGTH_MAX, is_group};
pub use crate::encode::EncodedTable;
pub use crate::error::LakeError;
pub use crate::files::{ActiveFile, TableFiles};
pub use crate::inspect::{Damage, Inspection, Report, damaged_sources, inspect, try_write};
use crate::log::{TableLog, entry_path};
pub use crate::lost::Recovery;
use crate::lost::refuse_lost_tables;
pub use crate::shards::{Claim, SHARDS_MAX, lane_group, of_lane_group};
pub use crate::snapshot::snapshot_path;
use crate::store::Store;
pub use crate::vacuum::{KEPT_MAX, KEPT_MIN, Removed};

/// An open lake. Cheap to clone; all clones share what is known of the logs.
#[derive(Clone, Debug)]
pub struct Lake(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    /// By which commits of this open lake are known from those of others.
    writer_id: Uuid,
    /// In the order of `Table::ALL`.
    tables: Vec<OpenTable>,
    /// How often another writer was faster, so that a commit had to be made again.
    conflicts: AtomicU64,
    /// How many data files were damaged when it was last looked.
    damaged: AtomicUsize,
}

#[derive(Debug)]
struct OpenTable {
    url: Url,
    /// How many files are active, as far as the log was read.
    active: Arc<AtomicUsize>,
    /// Held across a refresh or a commit, so that tasks of one process never race each other for a version.
    log: Mutex<TableLog>,
}

impl Lake {
    /// Opens the lake in a local folder (a path or a `file://` URL) or a bucket (`s3://BUCKET/PREFIX`, with keys, region
    /// and endpoint from the environment, as AWS's tools read them) and creates what is missing: the folder, and each
    /// table with its first log entry. A bucket must be there.
    ///
    /// # Errors
    /// `Invalid` for a location that cannot be a lake, a store that cannot keep two writers apart, or tables of another
    /// version; `Unavailable` when the location cannot be read or written; `Corrupt` when a table's log makes no sense, or
    /// is gone though the lake was written to.
    pub async fn open(location: &str) -> Result<Lake, LakeError> {
        Lake::open_or_create(Store::open(location, true).await?).await
    }

    /// Opens the lake at the root of a store and creates what is missing, like `open`. `url` is what the store's root is
    /// called, ending in a slash. What the store says it has written is taken to be durable.
    ///
    /// # Errors
    /// Those of `open`.
    pub async fn open_in(objects: Arc<dyn ObjectStore>, url: Url) -> Result<Lake, LakeError> {
        Lake::open_or_create(Store::on(objects, url)).await
    }

    async fn open_or_create(store: Store) -> Result<Lake, LakeError> {
        let mut logs = try_join_all(Table::ALL.map(|table| TableLog::load(&store, table))).await?;
        refuse_lost_tables(&store, &logs).await?;
        try_join_all(Table::ALL.into_iter().zip(&mut logs).map(|(table, log)| create(&store, table, log))).await?;
        Lake::new(store, logs)
    }

    /// Opens a lake that is there, without writing to it.
    ///
    /// # Errors
    /// `Invalid` when there is none, or one whose making was broken off; otherwise those of `open`.
    pub async fn open_existing(location: &str) -> Result<Lake, LakeError> {
        let store = Store::open(location, false).await?;
        let logs = try_join_all(Table::ALL.map(|table| TableLog::load(&store, table))).await?;
        refuse_lost_tables(&store, &logs).await?;
        let missing: Vec<&str> = Table::ALL
            .into_iter()
            .zip(&logs)
            .filter_map(|(table, log)| log.version.is_none().then_some(table.name()))
            .collect();
        match missing.len() {
            0 => Lake::new(store, logs),
            count if count == logs.len() => Err(store::no_lake(location)),
            _ => Err(LakeError::Invalid(format!(
                "the lake at {location} lacks the tables {}; let `plimsoll run` create them",
                missing.join(", ")
            ))),
        }
    }

    /// Opens what can be read of a lake that may be damaged, without writing to it: a table whose log cannot be read gives
    /// `Corrupt` when it is asked for.
    ///
    /// # Errors
    /// `Invalid` when there is none; `Unavailable` when the location cannot be read.
    pub async fn open_damaged(location: &str) -> Result<Lake, LakeError> {
        let store = Store::open(location, false).await?;
        let mut logs = Vec::new();
        for table in Table::ALL {
            logs.push(match TableLog::load(&store, table).await {
                Err(LakeError::Corrupt(_) | LakeError::Invalid(_)) => TableLog::new(table),
                loaded => loaded?,
            });
        }
        if logs.iter().all(|log| log.version.is_none()) {
            return Err(store::no_lake(location));
        }
        Lake::of_logs(store, logs)
    }

    /// The URL of a table's folder, ending in a slash: what a Delta reader opens.
    pub fn url(&self, table: Table) -> &Url {
        &self.0.tables[table as usize].url
    }

    /// How many files each table consists of, as far as this process has read. It waits for nothing.
    pub fn file_counts(&self) -> impl Iterator<Item = (Table, usize)> {
        Table::ALL.into_iter().zip(&self.0.tables).map(|(table, open)| (table, open.active.load(Ordering::Relaxed)))
    }

    /// How often another writer was faster since this lake was opened, so that a commit was made again.
    pub fn conflicts_count(&self) -> u64 {
        self.0.conflicts.load(Ordering::Relaxed)
    }

    /// How many data files were missing or of another size when `look_for_damage` last looked.
    pub fn damaged_count(&self) -> usize {
        self.0.damaged.load(Ordering::Relaxed)
    }

    /// How many requests to a bucket ended how since this lake was opened: `answered`, `failed` without an answer or by a
    /// fault of the server, `throttled`. One that was tried again counts again. None for a local folder.
    pub fn request_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.store.requests.iter().flat_map(|requests| requests.outcomes())
    }

    /// Whether it lies in a bucket, where each look is a request.
    pub fn is_in_a_bucket(&self) -> bool {
        self.0.store.requests.is_some()
    }

    /// The folder in which it lies; `None` of one in a bucket.
    pub fn folder(&self) -> Option<PathBuf> {
        self.0.store.url.to_file_path().ok()
    }

    /// The store whose root is the lake; paths of `ActiveFile` are relative to it.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.0.store.objects.clone()
    }

    fn new(store: Store, logs: Vec<TableLog>) -> Result<Lake, LakeError> {
        logs.iter().try_for_each(TableLog::check)?;
        Lake::of_logs(store, logs)
    }

    fn of_logs(store: Store, logs: Vec<TableLog>) -> Result<Lake, LakeError> {
        let tables = Table::ALL.into_iter().zip(logs).map(|(table, log)| {
            let name = table.name();
            let url = store.url.join(&format!("{name}/")).map_err(|error| {
                LakeError::Internal(format!("table {name} has no URL below {}: {error}", store.url))
            })?;
            Ok(OpenTable { url, active: log.active.clone(), log: Mutex::new(log) })
        });
        let tables = tables.collect::<Result<_, LakeError>>()?;
        let (conflicts, damaged) = (AtomicU64::new(0), AtomicUsize::new(0));
        Ok(Lake(Arc::new(Shared { store, writer_id: Uuid::new_v4(), tables, conflicts, damaged })))
    }

    fn root(&self) -> &Store {
        &self.0.store
    }

    fn damaged(&self, count: usize) {
        self.0.damaged.store(count, Ordering::Relaxed);
    }

    fn lost_a_race(&self) {
        self.0.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    fn writer_id(&self) -> Uuid {
        self.0.writer_id
    }

    async fn log(&self, table: Table) -> MutexGuard<'_, TableLog> {
        self.0.tables[table as usize].log.lock().await
    }
}

async fn create(store: &Store, table: Table, log: &mut TableLog) -> Result<(), LakeError> {
    if log.version.is_none() {
        // When another process creates the table at the same time, one entry wins and both read that one.
        store.put_if_absent(&entry_path(table, 0), table::first_entry(table)?.into()).await?;
        log.refresh(store).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
