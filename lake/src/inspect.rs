//! Whether everything that a lake consists of is there and whole: what `plimsoll doctor` asks of it.
//!
//! In: a location. Out: a `Report` of each table, and every `Damage` with its repair. Nothing is written. A lake of which
//! parts cannot be read at all is inspected all the same, so that all damage is known at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_schemas::table::{EpochRow, Table, from_batch};
use uuid::Uuid;

use crate::Lake;
use crate::append::{Span, content_hash, hash_of_name};
use crate::definitions;
use crate::error::LakeError;
use crate::files::ActiveFile;
use crate::log::TableLog;
use crate::snapshot::unpack;
use crate::store::{STAGING, Store};

/// Files that are read at the same time: enough to hide the latency of a bucket, few enough to be held in memory.
const FILES_AT_ONCE: usize = 4;

/// What is wrong with one file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The file, relative to the lake; a table's folder when its log is meant as a whole.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub repair: String,
}

/// What a table consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The table.
    pub table: Table,
    /// Its newest version.
    pub version: i64,
    /// Its active files.
    pub files_count: usize,
    /// Their rows, as the log tells them.
    pub rows: u64,
    /// Their size in bytes.
    pub size_bytes: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The tables whose log can be read, in the order of `Table::ALL`.
    pub tables: Vec<Report>,
    /// By path.
    pub damages: Vec<Damage>,
    /// The newest recorded epoch of each lane group.
    pub epochs: BTreeMap<String, i64>,
    /// The newest snapshot of each lane group that is whole, by its epoch.
    pub snapshots: BTreeMap<String, i64>,
}

/// Tables from which the others can be made anew; what they have lost only a backup or Kafka has.
const SOURCES: [Table; 3] = [Table::Events, Table::DeadLetters, Table::Epochs];

/// Inspects a lake. With `deep` every data file is read and compared with what was written; otherwise only their sizes
/// are.
///
/// # Errors
/// `Invalid` when there is no lake; `Unavailable` when the storage cannot be read.
pub async fn inspect(location: &str, deep: bool) -> Result<Inspection, LakeError> {
    let store = Store::open(location, false).await?;
    let mut found = Inspection::default();
    let mut logs = Vec::new();
    for table in Table::ALL {
        match TableLog::load(&store, table).await.and_then(|log| log.check().map(|()| log)) {
            Ok(log) => logs.push((table, log)),
            Err(error @ (LakeError::Unavailable(_) | LakeError::Internal(_))) => return Err(error),
            Err(error) => found.damages.push(Damage {
                path: format!("{}/_delta_log", table.name()),
                what: error.to_string(),
                repair: repair(table),
            }),
        }
    }
    if logs.is_empty() && !any_file(&store).await? {
        return Err(crate::store::no_lake(location));
    }
    found.snapshots(&store).await?;
    let mut digests = BTreeSet::new();
    for (table, mut log) in logs {
        found.table(&store, table, &mut log, deep, &mut digests).await?;
    }
    for digest in digests {
        if let Err(LakeError::Corrupt(what)) = definitions::read(&store, &digest).await {
            found.damages.push(Damage {
                path: definitions::path(&digest).to_string(),
                what,
                repair: "restore it from a backup; epochs that were folded under it cannot be made again without it"
                    .to_owned(),
            });
        }
    }
    found.damages.sort();
    Ok(found)
}

impl Inspection {
    async fn table(
        &mut self,
        store: &Store,
        table: Table,
        log: &mut TableLog,
        deep: bool,
        digests: &mut BTreeSet<String>,
    ) -> Result<(), LakeError> {
        let files = log.files();
        self.tables.push(Report {
            table,
            version: files.version,
            files_count: files.files.len(),
            rows: files.files.iter().filter_map(|file| file.rows).sum(),
            size_bytes: files.files.iter().map(|file| file.size_bytes).sum(),
        });
        let listed = store.list(&StorePath::from(table.name()), None).await?;
        let sizes: HashMap<String, u64> =
            listed.into_iter().map(|object| (object.location.to_string(), object.size)).collect();
        let reads = deep || table == Table::Epochs;
        let looks = files.files.iter().map(|file| look(store, table, file, sizes.get(&file.path).copied(), reads));
        let mut looks = futures::stream::iter(looks).buffered(FILES_AT_ONCE);
        while let Some(look) = looks.try_next().await? {
            match look {
                Err(damage) => self.damages.push(damage),
                Ok(rows) => digests.extend(rows.into_iter().map(|row| row.definitions)),
            }
        }
        self.lost_entries(table, log, sizes.keys());
        if table == Table::Epochs {
            self.epochs = log.groups().map(|(group, epoch)| (group.to_owned(), epoch)).collect();
        }
        Ok(())
    }

    /// The state after an epoch is saved when every table has it. So a table that holds a file of such an epoch, and whose
    /// log does not know the epoch, has lost the newest entries of its log.
    fn lost_entries<'a>(&mut self, table: Table, log: &TableLog, paths: impl Iterator<Item = &'a String>) {
        let known: HashMap<&str, i64> = log.groups().collect();
        let is_lost = |path: &&String| {
            Span::of(path).is_some_and(|span| {
                let is_saved = self.snapshots.get(span.group).is_some_and(|saved| span.last <= *saved);
                is_saved && known.get(span.group).is_none_or(|known| span.last > *known)
            })
        };
        if let Some(path) = paths.filter(is_lost).max() {
            self.damages.push(Damage {
                path: format!("{}/_delta_log", table.name()),
                what: format!("the log does not know {path}, which was committed; its newest entries are missing"),
                repair: repair(table),
            });
        }
    }

    /// Looks for the newest whole snapshot of each lane group.
    async fn snapshots(&mut self, store: &Store) -> Result<(), LakeError> {
        let mut found = store.list(&StorePath::from("_plimsoll/snapshots"), None).await?;
        found.sort_by(|one, other| other.location.cmp(&one.location));
        for object in found {
            let path = object.location.to_string();
            let mut pieces = path.rsplit('/');
            let epoch = pieces.next().and_then(|name| name.strip_suffix(".zst")).and_then(|name| name.parse().ok());
            let (Some(epoch), Some(group)) = (epoch, pieces.next()) else { continue };
            match store.get(&object.location).await?.map(|packed| unpack(&packed)) {
                Some(Ok(_)) => {
                    self.snapshots.entry(group.to_owned()).or_insert(epoch);
                }
                Some(Err(error)) => self.damages.push(Damage {
                    path,
                    what: format!("the saved state is not whole ({error})"),
                    repair: "remove it; the next start goes on from the one before".to_owned(),
                }),
                None => {}
            }
        }
        Ok(())
    }
}

/// Compares one file with what the log says of it; the rows of an intent are returned.
async fn look(
    store: &Store,
    table: Table,
    file: &ActiveFile,
    size_bytes: Option<u64>,
    reads: bool,
) -> Result<Result<Vec<EpochRow>, Damage>, LakeError> {
    let damage = |what: String| Err(Damage { path: file.path.clone(), what, repair: repair(table) });
    match size_bytes {
        None => return Ok(damage("the file is missing".to_owned())),
        Some(found) if found != file.size_bytes => {
            return Ok(damage(format!("the file has {found} bytes instead of {}", file.size_bytes)));
        }
        Some(_) if !reads => return Ok(Ok(Vec::new())),
        Some(_) => {}
    }
    let Some(bytes) = store.get(&StorePath::from(file.path.as_str())).await? else {
        return Ok(damage("the file is missing".to_owned()));
    };
    if hash_of_name(&file.path).is_some_and(|hash| hash != content_hash(&bytes)) {
        return Ok(damage("the file holds other bytes than were written".to_owned()));
    }
    let reading =
        tokio::task::spawn_blocking(move || -> Result<Vec<EpochRow>, Box<dyn std::error::Error + Send + Sync>> {
            let mut rows = Vec::new();
            for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
                let batch = batch?;
                if table == Table::Epochs {
                    rows.extend(from_batch::<EpochRow>(&batch)?);
                }
            }
            Ok(rows)
        });
    match reading.await {
        Ok(Ok(rows)) => Ok(Ok(rows)),
        Ok(Err(error)) => Ok(damage(format!("the file cannot be read ({error})"))),
        Err(error) => Err(LakeError::Internal(format!("reading {} was aborted: {error}", file.path))),
    }
}

impl Lake {
    /// Counts the data files that are missing or have another size than was written, and returns the first one's path. Costs
    /// one listing of each table; `damaged_count` tells the number from then on.
    ///
    /// # Errors
    /// Those of `files`; `Unavailable` when the storage cannot be listed.
    pub async fn look_for_damage(&self) -> Result<Option<String>, LakeError> {
        let mut damaged = Vec::new();
        for table in Table::ALL {
            // First what must be there, then what is: what is committed meanwhile is not missed.
            let files = self.files(table).await?;
            let listed = self.root().list(&StorePath::from(table.name()), None).await?;
            let sizes: HashMap<&str, u64> =
                listed.iter().map(|object| (object.location.as_ref(), object.size)).collect();
            let is_damaged = |file: &&Arc<ActiveFile>| sizes.get(file.path.as_str()) != Some(&file.size_bytes);
            damaged.extend(files.files.iter().filter(is_damaged).map(|file| file.path.clone()));
        }
        self.damaged(damaged.len());
        Ok(damaged.into_iter().next())
    }
}

/// Whether a lake can be written to: a small file is put there and taken away.
///
/// # Errors
/// `Unavailable` when it cannot, with the reason and what to do.
pub async fn try_write(location: &str) -> Result<(), LakeError> {
    let store = Store::open(location, false).await?;
    let path = StorePath::from(format!("{STAGING}/{}", Uuid::new_v4()));
    store.put(&path, Bytes::from_static(b"plimsoll doctor was here\n")).await?;
    store.delete(&path).await
}

async fn any_file(store: &Store) -> Result<bool, LakeError> {
    for table in Table::ALL {
        if !store.list(&StorePath::from(table.name()), None).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What to do about a damaged file of a table.
fn repair(table: Table) -> String {
    match SOURCES.contains(&table) {
        true => {
            "restore it from a backup, or read the topics from their beginning into a fresh lake, if Kafka has all of \
                 them still"
                .to_owned()
        }
        false => "restore it from a backup, or make the tables anew from stored events: plimsoll rebuild".to_owned(),
    }
}
