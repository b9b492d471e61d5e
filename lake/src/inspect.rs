//! Whether everything that a lake consists of is there and whole: what `plimsoll doctor` asks of it.
//!
//! In: a location. Out: a `Report` of each table, and every `Damage` with its repair. Nothing is written. A lake of which
//! parts cannot be read at all is inspected all the same, so that all damage is known at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_schemas::guard::guarded;
use plimsoll_schemas::table::{EpochRow, Table, from_batch};
use serde_json::Value;
use uuid::Uuid;

use crate::Lake;
use crate::append::{OTHER_BYTES, Span};
use crate::checkpoint;
use crate::definitions;
use crate::error::{Failure, LakeError};
use crate::files::ActiveFile;
use crate::log::TableLog;
use crate::lost::{behind, beyond, first_hole};
use crate::retries;
use crate::shards::{CLAIM, damaged_claim};
use crate::snapshot::{Marks, unpack, unpack_state};
use crate::statistics::delta_statistics;
use crate::store::{STAGING, Store};
use crate::table::{DATE, SOURCES, repair};

/// Files that are read at the same time: enough to hide the latency of a bucket, few enough to be held in memory.
pub(crate) const FILES_AT_ONCE: usize = 4;

/// Where saved states lie.
const SNAPSHOTS: &str = "_plimsoll/snapshots";

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
    /// How far each lane group was in each table when its newest whole snapshot was saved.
    saved: BTreeMap<String, Marks>,
    /// The recorded epochs of each lane group.
    recorded: BTreeMap<String, BTreeSet<i64>>,
    /// Until which request for dead letters each lane group has read, and until which before its newest whole snapshot.
    requests: BTreeMap<String, (i64, i64)>,
}

/// Inspects a lake. With `deep` every data file is read and compared with what was written; otherwise only their sizes
/// are.
///
/// # Errors
/// `Invalid` when there is no lake; `Unavailable` when the storage cannot be read.
pub async fn inspect(location: &str, deep: bool) -> Result<Inspection, LakeError> {
    let store = Store::open(location, false).await?;
    let found = inspect_tables(&store, &Table::ALL, deep).await?;
    if found.tables.is_empty() && !any_file(&store).await? {
        return Err(crate::store::no_lake(location));
    }
    Ok(found)
}

/// What is damaged of that from which the other tables can be made anew: events, dead letters, epochs and definitions. Every
/// file of it is read.
///
/// # Errors
/// Those of `inspect`.
pub async fn damaged_sources(location: &str) -> Result<Vec<Damage>, LakeError> {
    damaged_sources_of(&Store::open(location, false).await?).await
}

async fn damaged_sources_of(store: &Store) -> Result<Vec<Damage>, LakeError> {
    let mut damages = inspect_tables(store, &SOURCES, true).await?.damages;
    damages.retain(|damage| !damage.path.starts_with(SNAPSHOTS) && damage.path != CLAIM);
    Ok(damages)
}

impl Lake {
    /// Inspects this lake; see `inspect`.
    ///
    /// # Errors
    /// `Unavailable` when the storage cannot be read.
    pub async fn inspect(&self, deep: bool) -> Result<Inspection, LakeError> {
        inspect_tables(self.root(), &Table::ALL, deep).await
    }

    /// See the function `damaged_sources`.
    ///
    /// # Errors
    /// Those of `inspect`.
    pub async fn damaged_sources(&self) -> Result<Vec<Damage>, LakeError> {
        damaged_sources_of(self.root()).await
    }
}

/// Inspects these tables, with what the others tell of them.
async fn inspect_tables(store: &Store, tables: &[Table], deep: bool) -> Result<Inspection, LakeError> {
    let mut found = Inspection::default();
    // Before the logs, for a log only grows.
    found.snapshots(store).await?;
    let mut logs = BTreeMap::new();
    for table in Table::ALL {
        match TableLog::load(store, table).await.and_then(|log| log.check().map(|()| log)) {
            Ok(log) => {
                logs.insert(table, log);
            }
            Err(error @ (LakeError::Unavailable(_) | LakeError::Internal(_))) => return Err(error),
            Err(error) => found.damaged_log(table, error.to_string()),
        }
    }
    if let Some(log) = logs.get_mut(&Table::Epochs) {
        // An epoch is recorded before tables have its rows; so it is read after them, for somebody may be at it.
        log.refresh(store).await?;
    }
    let mut digests = BTreeSet::new();
    logs.iter().for_each(|(table, log)| found.wrong_marks(*table, log));
    for (table, log) in logs.iter_mut().filter(|(table, _)| tables.contains(table)) {
        found.table(store, *table, log, deep, &mut digests).await?;
    }
    found.groups(&logs);
    found.lost_requests(store).await?;
    found.damages.extend(damaged_claim(store, found.epochs.keys().next().map(String::as_str)).await?);
    for digest in digests {
        if let Err(LakeError::Corrupt(what)) = definitions::read(store, &digest).await {
            let repair = "restore it from a backup";
            let what = without(&what, repair);
            let what = format!("{what}; epochs that were folded under it cannot be made again without it");
            found.damages.push(Damage {
                path: definitions::path(&digest).to_string(),
                what,
                repair: repair.to_owned(),
            });
        }
    }
    let is_meant = |damage: &Damage| {
        let folder = damage.path.split('/').next();
        !Table::ALL.iter().any(|table| folder == Some(table.name()) && !tables.contains(table))
    };
    found.damages.retain(is_meant);
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
        self.damages.extend(log.torn.iter().map(|name| Damage {
            path: format!("{}/_delta_log/{name}", table.name()),
            what: "this checkpoint is lost or not what was written, but the entries of the log say the same".to_owned(),
            repair: "have it written anew while they are there: plimsoll maintain".to_owned(),
        }));
        self.damages.extend(checkpoint::torn_announcement(store, table).await?.map(|path| Damage {
            path: path.to_string(),
            what: "it does not say which checkpoint is the newest, so readers list all of the log".to_owned(),
            repair: "remove it; the next checkpoint is announced anew".to_owned(),
        }));
        let listed = store.list(&StorePath::from(table.name()), None).await?;
        let sizes: HashMap<String, u64> =
            listed.into_iter().map(|object| (object.location.to_string(), object.size)).collect();
        let reads = deep || table == Table::Epochs;
        let looks = files.files.iter().map(|file| look(store, table, file, sizes.get(&file.path).copied(), reads));
        let mut looks = futures::stream::iter(looks).buffered(FILES_AT_ONCE);
        let mut looked_at = files.files.iter();
        while let Some(look) = looks.try_next().await? {
            let group = looked_at.next().and_then(|file| Span::of(&file.path)).map(|span| span.group);
            match look {
                Err(damage) => self.damages.push(damage),
                Ok(rows) => {
                    if let Some(group) = group.filter(|_| table == Table::Epochs) {
                        let saved = self.snapshots.get(group).copied().unwrap_or(0);
                        let (read, spared) = self.requests.entry(group.to_owned()).or_default();
                        *read = retries::read_until(&rows).max(*read);
                        *spared = retries::read_until(rows.iter().filter(|row| row.epoch <= saved)).max(*spared);
                        self.recorded.entry(group.to_owned()).or_default().extend(rows.iter().map(|row| row.epoch));
                    }
                    digests.extend(rows.into_iter().map(|row| row.definitions));
                }
            }
        }
        self.lost_entries(table, log, sizes.keys());
        if table == Table::Epochs {
            self.epochs = log.groups().map(|(group, epoch)| (group.to_owned(), epoch)).collect();
        }
        Ok(())
    }

    /// A log is damaged as a whole; of several things that are wrong with it the first is told.
    fn damaged_log(&mut self, table: Table, what: String) {
        let (path, repair) = (format!("{}/_delta_log", table.name()), repair(table));
        if self.damages.iter().all(|damage| damage.path != path) {
            self.damages.push(Damage { path, what: without(&what, repair), repair: repair.to_owned() });
        }
    }

    /// The state after an epoch is saved when every table has it, and a table that has an epoch has those before. So a table
    /// that holds a file of such an epoch, which its log does not know and no other stands for, has lost entries of its log.
    fn lost_entries<'a>(&mut self, table: Table, log: &TableLog, paths: impl Iterator<Item = &'a String>) {
        let marks: HashMap<&str, i64> = log.groups().collect();
        let known: HashSet<&str> = log.known_paths().collect();
        let epochs: HashSet<(&str, i64)> =
            known.iter().filter_map(|path| Span::of(path)).map(|span| (span.group, span.last)).collect();
        let is_lost = |path: &&String| {
            let within = path.strip_prefix(table.name()).and_then(|path| path.strip_prefix('/')).unwrap_or(path);
            let Some(span) = Span::of(path).filter(|span| !span.is_merged && !known.contains(within)) else {
                return false;
            };
            let newest = self.snapshots.get(span.group).max(marks.get(span.group));
            let is_there = || {
                let is_merged = |path: &&str| {
                    let is_beside = folder(path) == folder(within);
                    is_beside
                        && Span::of(path).is_some_and(|other| {
                            other.group == span.group && (other.first..=other.last).contains(&span.last)
                        })
                };
                epochs.contains(&(span.group, span.last)) || known.iter().any(is_merged)
            };
            newest.is_some_and(|newest| span.last <= *newest) && !is_there()
        };
        if let Some(path) = paths.filter(is_lost).max() {
            let what = format!("the log does not know {path}, which was committed; it lost entries");
            self.damaged_log(table, what);
        }
    }

    /// A commit has rows, so the newest epoch that a log tells of a lane group is that of the newest of its files; unless a
    /// program of others has put files of its own in their place.
    fn wrong_marks(&mut self, table: Table, log: &TableLog) {
        let mut newest: HashMap<&str, i64> = HashMap::new();
        for span in log.known_paths().map(Span::of) {
            let Some(span) = span else { return };
            let known = newest.entry(span.group).or_insert(span.last);
            *known = span.last.max(*known);
        }
        let wrong = log.groups().filter_map(|(group, mark)| Some((group, mark, *newest.get(group)?)));
        if let Some((group, mark, newest)) = wrong.filter(|(_, mark, newest)| mark != newest).max() {
            let what =
                format!("the log says that it is at epoch {mark} of group {group}, but its files are at {newest}");
            self.damaged_log(table, what);
        }
    }

    /// What the logs say together.
    fn groups(&mut self, logs: &BTreeMap<Table, TableLog>) {
        let names = logs.values().flat_map(|log| log.groups().map(|(group, _)| group));
        let names: BTreeSet<String> = names.chain(self.saved.keys().map(String::as_str)).map(str::to_owned).collect();
        let is_damaged = |found: &Inspection, table: &Table| {
            found.damages.iter().any(|damage| damage.path.split('/').next() == Some(table.name()))
        };
        for group in names {
            // A table of which damage is known already says nothing for sure.
            let sound = logs.iter().filter(|(table, _)| !is_damaged(self, table));
            let marks = sound.filter_map(|(table, log)| Some((*table, log.mark(&group)?.epoch)));
            let mut marks: BTreeMap<Table, i64> = marks.collect();
            let mut saved = self.saved.get(&group).cloned().unwrap_or_default();
            saved.retain(|name, _| logs.keys().any(|table| table.name() == name && !is_damaged(self, table)));
            while let Some((table, what)) = behind(&group, &saved, &marks) {
                self.damaged_log(table, what);
                saved.remove(table.name());
                marks.remove(&table);
            }
            if !logs.contains_key(&Table::Epochs) || is_damaged(self, &Table::Epochs) {
                continue;
            }
            let epochs: Vec<i64> = self.recorded.get(&group).into_iter().flatten().copied().collect();
            let hole = first_hole(&group, None, &epochs);
            let beyond = beyond(&group, epochs.last().copied(), &marks).map(|(_, what)| what);
            if let Some(what) = hole.or(beyond) {
                self.damaged_log(Table::Epochs, what);
            }
        }
    }

    /// Looks for requests for dead letters that are missing or damaged, of those that somebody may still need.
    async fn lost_requests(&mut self, store: &Store) -> Result<(), LakeError> {
        let read = self.requests.values().map(|(read, _)| *read).max().unwrap_or(0);
        let spared = self.requests.values().map(|(_, spared)| *spared).min().unwrap_or(0);
        let numbers = retries::numbers(store).await?;
        for number in spared..numbers.last().map_or(0, |last| last + 1).max(read) {
            let path = retries::path(number);
            let what = match store.get(&path).await?.map(|packed| unpack(&packed)) {
                Some(Ok(_)) => continue,
                Some(Err(error)) => format!("dead letters to take again are damaged ({error})"),
                None => "dead letters to take again are missing".to_owned(),
            };
            let repair = match number < read {
                true => "restore it from a backup",
                false => {
                    "restore it from a backup; or stop what reads it, remove it and those after it, and ask again: plimsoll dead-letters replay"
                }
            };
            self.damages.push(Damage { path: path.to_string(), what, repair: repair.to_owned() });
        }
        Ok(())
    }

    /// Looks for the newest whole snapshot of each lane group.
    async fn snapshots(&mut self, store: &Store) -> Result<(), LakeError> {
        let mut found = store.list(&StorePath::from(SNAPSHOTS), None).await?;
        found.sort_by(|one, other| other.location.cmp(&one.location));
        let mut torn = Vec::new();
        for object in found {
            let path = object.location.to_string();
            let mut pieces = path.rsplit('/');
            let epoch = pieces.next().and_then(|name| name.strip_suffix(".zst")).and_then(|name| name.parse().ok());
            let (Some(epoch), Some(group)) = (epoch, pieces.next()) else { continue };
            match store.get(&object.location).await?.map(|packed| unpack_state(&packed)) {
                Some(Ok((marks, _))) => {
                    self.snapshots.entry(group.to_owned()).or_insert(epoch);
                    self.saved.entry(group.to_owned()).or_insert(marks);
                }
                Some(Err(error)) => torn.push((group.to_owned(), path.clone(), error)),
                None => {}
            }
        }
        for (group, path, error) in torn {
            let repair = match self.snapshots.get(&group) {
                Some(whole) => format!("remove it; the next start goes on from the state after epoch {whole}"),
                None => "remove it; the next start makes the state anew from all recorded epochs".to_owned(),
            };
            self.damages.push(Damage { path, what: format!("the saved state is not whole ({error})"), repair });
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
    let damage = |what: String| Err(Damage { path: file.path.clone(), what, repair: repair(table).to_owned() });
    if let Some(date) = file.date.filter(|date| !file.path.contains(&format!("/{DATE}={date}/"))) {
        return Ok(damage(format!("the log says that its rows are of {date}")));
    }
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
    let span = Span::of(&file.path);
    if span.is_some_and(|span| !span.is_of(&bytes)) {
        return Ok(damage(format!("the file {OTHER_BYTES}")));
    }
    let is_ours = span.is_some();
    match tokio::task::spawn_blocking(move || guarded(|| read(table, bytes, is_ours))).await {
        Ok(Ok((_, Some(statistics)))) if !says(file, &statistics) => {
            Ok(damage("the log does not tell its rows as they are".to_owned()))
        }
        Ok(Ok((rows, _))) => Ok(Ok(rows)),
        Ok(Err(error)) => Ok(damage(format!("the file cannot be read ({error})"))),
        Err(error) => Err(LakeError::Internal(format!("reading {} was aborted: {error}", file.path))),
    }
}

/// Reads all of a file: the rows of an intent, and what the log has to say of it when it is ours.
fn read(table: Table, bytes: Bytes, is_ours: bool) -> Result<(Vec<EpochRow>, Option<Value>), Failure> {
    let mut rows = Vec::new();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let (schema, columns) = (table.schema(), reader.parquet_schema().num_columns());
    let is_ours = is_ours && columns == schema.fields().len();
    let statistics = is_ours.then(|| delta_statistics(&schema, reader.metadata()));
    for batch in reader.build()? {
        let batch = batch?;
        if table == Table::Epochs {
            rows.extend(from_batch::<EpochRow>(&batch)?);
        }
    }
    Ok((rows, statistics))
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

/// Bytes of the file by which it is tried whether a lake can be written to: as many as an epoch's files have.
const TRIAL_BYTES: usize = 1 << 20;

/// Whether a lake can be written to: a file is put there and taken away.
///
/// # Errors
/// `Unavailable` when it cannot, with the reason and what to do.
pub async fn try_write(location: &str) -> Result<(), LakeError> {
    let store = Store::open(location, false).await?;
    let path = StorePath::from(format!("{STAGING}/{}", Uuid::new_v4()));
    store.put(&path, vec![b'\n'; TRIAL_BYTES].into()).await?;
    store.delete(&path).await
}

/// Whether any table has a file, be it what it may.
pub(crate) async fn any_file(store: &Store) -> Result<bool, LakeError> {
    for table in Table::ALL {
        if !store.list(&StorePath::from(table.name()), None).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the statistics that a log tells of a file are those of its rows.
fn says(file: &ActiveFile, statistics: &Value) -> bool {
    let told: Option<Value> = file.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
    let Some(told) = told else { return false };
    // Which bounds are told may differ between versions, and not what they are.
    let agree = |kind: &str| {
        let told = told[kind].as_object().into_iter().flatten();
        told.into_iter().all(|(name, value)| statistics[kind].get(name).is_none_or(|found| found == value))
    };
    told["numRecords"] == statistics["numRecords"] && ["minValues", "maxValues", "nullCount"].into_iter().all(agree)
}

/// What an error says, but for the advice at its end.
fn without(what: &str, advice: &str) -> String {
    what.strip_suffix(advice).map_or(what, |what| what.trim_end_matches([';', ' '])).to_owned()
}

/// The folder of a file, which tells the date of its rows.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
