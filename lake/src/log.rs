//! A table's log, read: which files are active, and how far each lane group has come.
//!
//! In: the entries below `_delta_log/` (a checkpoint, if there is one, then one JSON file per version). Out: a
//! `TableLog` that knows the newest version and is brought up to date by reading only the entries that it has not seen.
//! A checkpoint's rows are turned into the same JSON lines that an entry has, so there is one reader of actions.
//!
//! An entry's first line tells a hash of all that follows it, which other programs leave out and pass over. So an entry
//! in which anything changed is not read as if it were what was written; a checkpoint tells a digest of its state.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Moment, SystemTime};

use bytes::Bytes;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::Table;
use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::{self, announced};
use crate::error::LakeError;
use crate::files::{ActiveFile, TableFiles};
use crate::store::Store;
use crate::table::{self, DATE, Metadata, Protocol};

/// Entries fetched at the same time when a log is first read: enough to hide the latency of a bucket.
const ENTRIES_AT_ONCE: usize = 16;

/// After so long the entry that follows the newest one read may have been removed, as `vacuum` removes entries that are an
/// hour old or older. Then the log is read anew, from the newest checkpoint.
const READ_ANEW_AFTER: Duration = Duration::from_mins(30);

/// When a log was read to its end, and which version that was; by two clocks: one stands still while the machine sleeps, the
/// other may be set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) moment: Moment,
    pub(crate) time: SystemTime,
    version: Option<i64>,
}

impl Seen {
    fn now() -> Seen {
        Seen { moment: Moment::now(), time: SystemTime::now(), version: None }
    }

    fn up_to(self, version: Option<i64>) -> Seen {
        Seen { version, ..self }
    }

    fn is_old(&self) -> bool {
        self.moment.elapsed().max(self.time.elapsed().unwrap_or_default()) >= READ_ANEW_AFTER
    }
}

/// What is known of a table's log.
#[derive(Debug)]
pub(crate) struct TableLog {
    table: Table,
    /// The newest version read; `None` before the first.
    pub(crate) version: Option<i64>,
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    /// By the path as the log writes it.
    files: BTreeMap<String, Arc<ActiveFile>>,
    marks: BTreeMap<String, Mark>,
    /// Files that were taken away, as the log writes them, and when: milliseconds since 1970.
    removed: BTreeMap<String, i64>,
    /// When it was last read to its end.
    pub(crate) seen: Seen,
    /// How many files are active, for whoever does not want to wait for the log.
    pub(crate) active: Arc<AtomicUsize>,
    /// Checkpoints that are announced and not there, or do not say what was written, by the names of their files.
    pub(crate) torn: Vec<String>,
    /// `files` as it was last handed out; `None` since it changed.
    published: Option<Arc<TableFiles>>,
}

/// How far a lane group has come in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: i64,
    /// The version that brought it there, and the id of its commit; a checkpoint does not tell them.
    commit: Option<(i64, String)>,
}

impl Mark {
    /// The version that brought it there, when this commit did.
    pub(crate) fn version_of(&self, commit_id: &str) -> Option<i64> {
        self.commit.as_ref().filter(|(_, id)| id == commit_id).map(|(version, _)| *version)
    }
}

/// One line of an entry; actions that do not matter here are left out.
#[derive(Deserialize)]
struct Action {
    #[serde(rename = "commitInfo")]
    commit_info: Option<CommitInfo>,
    add: Option<Add>,
    remove: Option<Remove>,
    txn: Option<Txn>,
    protocol: Option<Protocol>,
    #[serde(rename = "metaData")]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfo {
    txn_id: Option<String>,
    actions_xxh3: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    size: u64,
    modification_time: Option<i64>,
    #[serde(default)]
    partition_values: HashMap<String, Option<String>>,
    stats: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remove {
    path: String,
    deletion_timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: Option<u64>,
}

/// The path of the log entry of a version.
pub(crate) fn entry_path(table: Table, version: i64) -> StorePath {
    StorePath::from(format!("{}/_delta_log/{version:020}.json", table.name()))
}

/// The text of an entry: one action a line, after what was done and a hash of the actions.
pub(crate) fn entry_text(mut commit_info: Value, actions: impl IntoIterator<Item = Value>) -> String {
    let actions = lines(actions);
    commit_info["actionsXxh3"] = hash(actions.as_bytes()).into();
    json!({"commitInfo": commit_info}).to_string() + "\n" + &actions
}

/// Actions, one a line.
pub(crate) fn lines(actions: impl IntoIterator<Item = Value>) -> String {
    actions.into_iter().map(|action| action.to_string() + "\n").collect()
}

fn hash(actions: &[u8]) -> String {
    format!("{:016x}", xxh3_64(actions))
}

impl TableLog {
    /// Nothing known yet.
    pub(crate) fn new(table: Table) -> TableLog {
        TableLog {
            table,
            version: None,
            protocol: None,
            metadata: None,
            files: BTreeMap::new(),
            marks: BTreeMap::new(),
            removed: BTreeMap::new(),
            seen: Seen::now(),
            active: Arc::default(),
            torn: Vec::new(),
            published: None,
        }
    }

    /// Reads the whole log: the newest checkpoint, then the entries after it. `version` stays `None` when there is no
    /// table.
    ///
    /// A checkpoint that is lost, or not what was written, is passed over while an older one or the entries say the same. An
    /// entry that is removed while the log is read is looked for in the newer checkpoint that stands for it.
    pub(crate) async fn load(store: &Store, table: Table) -> Result<TableLog, LakeError> {
        let mut announcement = announced(store, table).await?;
        loop {
            let loaded = TableLog::load_from(store, table, announcement).await;
            if !matches!(loaded, Err(LakeError::Corrupt(_))) {
                return loaded;
            }
            let newer = announced(store, table).await?;
            if newer <= announcement {
                return loaded;
            }
            announcement = newer;
        }
    }

    /// The same, when this checkpoint is announced.
    async fn load_from(store: &Store, table: Table, announcement: Option<i64>) -> Result<TableLog, LakeError> {
        let (seen, folder) = (Seen::now(), StorePath::from(format!("{}/_delta_log", table.name())));
        // `.` sorts before every suffix, so the checkpoint itself is listed.
        let after = announcement.map(|version| StorePath::from(format!("{folder}/{version:020}.")));
        let mut found = store.list(&folder, after.as_ref()).await?;
        let (mut torn, mut reason, mut unlisted) = (Vec::new(), None, None);
        if let Some(version) = announcement
            && checkpoint::complete(&names_of(&found)).is_empty()
        {
            let name = checkpoint::file_name(version);
            found = store.list(&folder, None).await?;
            // A list may be older than the announcement.
            if store.get(&checkpoint::path(table, version)).await?.is_some() {
                unlisted = Some(name);
            } else {
                reason = Some(unreadable(table, &name, "is announced and not there"));
                torn.push(name);
            }
        }
        loop {
            let mut names = names_of(&found);
            if let Some(name) = unlisted.as_deref().filter(|name| !names.contains(name)) {
                names.push(name);
            }
            names.retain(|name| !torn.iter().any(|torn| torn == name));
            let mut log = TableLog::new(table);
            if let Some((version, parts)) = checkpoint::complete(&names).pop() {
                match log.begin_at(store, version, &parts).await {
                    Err(error @ LakeError::Corrupt(_)) => {
                        torn.extend(parts.into_iter().map(str::to_owned));
                        reason.get_or_insert(error);
                        found = store.list(&folder, None).await?;
                        continue;
                    }
                    begun => begun?,
                };
            }
            let followed = log.follow(store, &names).await;
            let is_known = followed.is_ok() && log.version.is_some();
            return match (followed, reason) {
                (Ok(()) | Err(LakeError::Corrupt(_)), Some(reason)) if !is_known => Err(reason),
                (followed, _) => followed.map(|()| TableLog { torn, seen: seen.up_to(log.version), ..log }),
            };
        }
    }

    /// Whether a checkpoint in these parts tells a digest, and is what was written.
    pub(crate) async fn is_whole(
        store: &Store,
        table: Table,
        (version, parts): &(i64, Vec<&str>),
    ) -> Result<bool, LakeError> {
        match TableLog::new(table).begin_at(store, *version, parts).await {
            Err(LakeError::Corrupt(_)) => Ok(false),
            told => told,
        }
    }

    /// Whether a checkpoint that was just made says what it is to say.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_checkpoint(table: Table, version: i64, bytes: &Bytes) -> Result<(), String> {
        let told = TableLog::new(table).take_in(version, &[(&checkpoint::file_name(version), bytes.clone())]);
        told.map(drop).map_err(|error| error.to_string())
    }

    /// Begins with what a checkpoint says, and returns whether it tells a digest; the state then has that digest.
    async fn begin_at(&mut self, store: &Store, version: i64, parts: &[&str]) -> Result<bool, LakeError> {
        let mut read = Vec::with_capacity(parts.len());
        for part in parts {
            let path = StorePath::from(format!("{}/_delta_log/{part}", self.table.name()));
            read.push((*part, store.get(&path).await?.ok_or_else(|| missing_file(self.table, &path))?));
        }
        self.take_in(version, &read)
    }

    /// Takes in the parts of a checkpoint.
    fn take_in(&mut self, version: i64, parts: &[(&str, Bytes)]) -> Result<bool, LakeError> {
        let mut told = None;
        for (part, bytes) in parts {
            let decoded = checkpoint::decode(bytes.clone());
            let (lines, digest) =
                decoded.map_err(|error| unreadable(self.table, part, &format!("cannot be read: {error}")))?;
            self.apply(&lines, part, None)?;
            told = digest.or(told);
        }
        if let Some((part, _)) =
            parts.first().filter(|_| told.as_ref().is_some_and(|told| *told != self.digest(version)))
        {
            return Err(unreadable(self.table, part, "says something else than was written"));
        }
        self.version = Some(version);
        Ok(told.is_some())
    }

    /// A digest of all that a checkpoint of this version says: what the table looks like, which files are active, what the
    /// log tells of them, which were taken away, and how far each lane group has come.
    fn digest(&self, version: i64) -> String {
        let one = |text: String| xxh3_64(text.as_bytes());
        let looks = self.protocol.as_ref().zip(self.metadata.as_ref());
        let looks = looks.map(|(protocol, metadata)| one(format!("{} {}", protocol.action(), metadata.action())));
        let files = self.files.iter().map(|(path, file)| one(add_action(path, file).to_string()));
        let removed = self.removed.iter().map(|(path, at)| one(format!("{path} {at}")));
        let groups = self.groups().map(|(group, epoch)| one(format!("{group} {epoch}")));
        let all = looks.into_iter().chain(files).chain(removed).chain(groups).fold(0, u64::wrapping_add);
        format!("{:016x}", one(format!("{version} {all}")))
    }

    /// All that a checkpoint is to say, an action a line; with its digest.
    pub(crate) fn state(&self, version: i64) -> (Vec<Value>, String) {
        let looks = self.protocol.iter().map(Protocol::action).chain(self.metadata.iter().map(Metadata::action));
        let groups = self.groups().map(|(group, epoch)| json!({"txn": {"appId": group, "version": epoch}}));
        let files = self.files.iter().map(|(path, file)| add_action(path, file));
        let removed = self
            .removed
            .iter()
            .map(|(path, at)| json!({"remove": {"path": path, "deletionTimestamp": at, "dataChange": true}}));
        (looks.chain(groups).chain(files).chain(removed).collect(), self.digest(version))
    }

    /// Goes on with the entries among these names.
    async fn follow(&mut self, store: &Store, names: &[&str]) -> Result<(), LakeError> {
        let (table, next) = (self.table, self.next_version());
        let entries: Vec<i64> = names.iter().filter_map(|name| entry_version(name)).collect();
        let newer = entries.into_iter().filter(|version| *version >= next).map(async |version| {
            let path = entry_path(table, version);
            Ok::<_, LakeError>((version, store.get(&path).await?.ok_or_else(|| missing_file(table, &path))?))
        });
        let mut newer = futures::stream::iter(newer).buffered(ENTRIES_AT_ONCE);
        while let Some((version, entry)) = newer.try_next().await? {
            if version != self.next_version() {
                return Err(missing_file(table, &entry_path(table, self.next_version())));
            }
            self.append(version, &entry)?;
        }
        Ok(())
    }

    /// Reads the entries that are new.
    pub(crate) async fn refresh(&mut self, store: &Store) -> Result<(), LakeError> {
        let seen = Seen::now();
        while let Some(entry) = store.get(&entry_path(self.table, self.next_version())).await? {
            self.append(self.next_version(), &entry)?;
        }
        if self.may_have_gone_on(store).await? {
            self.load_again(store).await?;
        }
        self.seen = seen.up_to(self.version);
        Ok(())
    }

    /// Whether entries after the one that was the newest when the log was read to its end may have been removed, because a
    /// checkpoint stands for them. They are removed in their order, so as long as that one is there, none after it was. What
    /// is read after it may be an entry that somebody put where another's was removed.
    async fn may_have_gone_on(&self, store: &Store) -> Result<bool, LakeError> {
        match self.seen.version {
            Some(version) if self.seen.is_old() => Ok(store.get(&entry_path(self.table, version)).await?.is_none()),
            _ => Ok(false),
        }
    }

    /// Reads the log anew.
    async fn load_again(&mut self, store: &Store) -> Result<(), LakeError> {
        let loaded = TableLog::load(store, self.table).await?;
        // A list may not know the newest entries yet.
        if loaded.version > self.version {
            let active = self.active.clone();
            *self = loaded;
            active.store(self.files.len(), Ordering::Relaxed);
            self.active = active;
        }
        Ok(())
    }

    /// Puts an entry as the next version, which it returns. `None` when another has that version; and when so long passed
    /// since the log was read that the name was free only because the entry of another was removed: then this one is
    /// nowhere in the log, unless the log that was read anew says so.
    pub(crate) async fn commit(&mut self, store: &Store, entry: &str) -> Result<Option<i64>, LakeError> {
        let version = self.next_version();
        if !store.put_if_absent(&entry_path(self.table, version), entry.to_owned().into()).await? {
            return self.refresh(store).await.map(|()| None);
        }
        if self.may_have_gone_on(store).await? {
            let seen = Seen::now();
            self.load_again(store).await?;
            self.seen = seen.up_to(self.version);
            return Ok(None);
        }
        self.append(version, entry.as_bytes())?;
        Ok(Some(version))
    }

    /// The version of the next entry.
    pub(crate) fn next_version(&self) -> i64 {
        self.version.map_or(0, |version| version.saturating_add(1))
    }

    /// How far a lane group has come in this table.
    pub(crate) fn mark(&self, group: &str) -> Option<&Mark> {
        self.marks.get(group)
    }

    /// The lane groups that have written to this table, with the newest epoch of each.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, i64)> {
        self.marks.iter().map(|(group, mark)| (group.as_str(), mark.epoch))
    }

    /// Every file that is active, or was taken away and is not forgotten, by its path within the table.
    pub(crate) fn known_paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().chain(self.removed.keys()).map(String::as_str)
    }

    /// Where the active files are in the store, and the others that are not forgotten, with when they were taken away, in
    /// milliseconds since 1970. The log writes paths as URLs do.
    pub(crate) fn places(&self) -> (HashSet<&str>, HashMap<String, i64>) {
        let active = self.files.values().map(|file| file.path.as_str()).collect();
        let removed = self.removed.iter().filter_map(|(path, at)| {
            let place = StorePath::from_url_path(format!("{}/{path}", self.table.name())).ok()?;
            Some((place.to_string(), *at))
        });
        (active, removed.collect())
    }

    /// Whether a file is active, by the path as the log writes it.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Forgets what was taken away earlier.
    pub(crate) fn forget_removed(&mut self, before_ms: i64) {
        self.removed.retain(|_, at| *at >= before_ms);
    }

    /// Whether this version can read the table and append to it.
    ///
    /// # Errors
    /// `Invalid` when the protocol or the columns are others; `Corrupt` when the log does not tell them.
    pub(crate) fn check(&self) -> Result<(), LakeError> {
        let (name, repair) = (self.table.name(), table::repair(self.table));
        match (&self.protocol, &self.metadata) {
            (Some(protocol), Some(metadata)) => table::check(self.table, protocol, metadata),
            _ if self.version.is_none() => Err(LakeError::Corrupt(format!("table {name} has no log; {repair}"))),
            _ => Err(LakeError::Corrupt(format!(
                "the log of table {name} lacks its protocol or metadata, which {} had; {repair}",
                entry_path(self.table, 0)
            ))),
        }
    }

    /// The active files at the newest version read.
    pub(crate) fn files(&mut self) -> Arc<TableFiles> {
        let (version, files) = (self.version.unwrap_or(-1), &self.files);
        self.published
            .get_or_insert_with(|| Arc::new(TableFiles { version, files: files.values().cloned().collect() }))
            .clone()
    }

    /// Takes in the entry of the next version.
    pub(crate) fn append(&mut self, version: i64, entry: &[u8]) -> Result<(), LakeError> {
        self.apply(entry, entry_path(self.table, version).as_ref(), Some(version))?;
        self.version = Some(version);
        self.published = None;
        Ok(())
    }

    /// Takes in the actions of an entry, which has a version, or of a checkpoint.
    fn apply(&mut self, lines: &[u8], origin: &str, version: Option<i64>) -> Result<(), LakeError> {
        let unreadable = |error: String| {
            let repair = table::repair(self.table);
            LakeError::Corrupt(format!("table {}: {origin} cannot be read: {error}; {repair}", self.table.name()))
        };
        let actions = serde_json::Deserializer::from_slice(lines).into_iter::<Action>();
        let actions = actions.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.to_string()))?;
        if actions.is_empty() {
            return Err(unreadable("it is empty".to_owned()));
        }
        let told = actions.iter().find_map(|action| action.commit_info.as_ref()?.actions_xxh3.as_deref());
        let rest = lines.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &lines[end + 1..]);
        if told.is_some_and(|told| told != hash(rest)) {
            return Err(unreadable("it holds something else than was written".to_owned()));
        }
        let commit_id = actions.iter().find_map(|action| action.commit_info.as_ref()?.txn_id.clone());
        let commit = version.zip(commit_id);
        for action in actions {
            if let Some(add) = action.add {
                let file = active_file(self.table, &add).map_err(&unreadable)?;
                self.removed.remove(&add.path);
                self.files.insert(add.path, Arc::new(file));
            }
            if let Some(remove) = action.remove {
                self.files.remove(&remove.path);
                self.removed.insert(remove.path, remove.deletion_timestamp.unwrap_or(0));
            }
            if let Some(txn) = action.txn {
                self.marks.insert(txn.app_id, Mark { epoch: txn.version, commit: commit.clone() });
            }
            self.protocol = action.protocol.or(self.protocol.take());
            self.metadata = action.metadata.or(self.metadata.take());
        }
        self.active.store(self.files.len(), Ordering::Relaxed);
        Ok(())
    }
}

fn unreadable(table: Table, checkpoint: &str, what: &str) -> LakeError {
    LakeError::Corrupt(format!("checkpoint {checkpoint} of table {} {what}; {}", table.name(), table::repair(table)))
}

fn missing_file(table: Table, path: &StorePath) -> LakeError {
    LakeError::Corrupt(format!("{path} is missing; {}", table::repair(table)))
}

fn active_file(table: Table, add: &Add) -> Result<ActiveFile, String> {
    // Paths in the log are percent-encoded, those of the store are not.
    let path = StorePath::from_url_path(format!("{}/{}", table.name(), add.path))
        .map_err(|error| format!("the path {} is none: {error}", add.path))?;
    let date = match add.partition_values.get(DATE).and_then(Option::as_deref) {
        Some(date) => Some(date.parse::<NaiveDate>().map_err(|_| format!("the date {date} is none"))?),
        None => None,
    };
    let rows = add.stats.as_deref().and_then(|stats| serde_json::from_str::<Stats>(stats).ok());
    Ok(ActiveFile {
        path: path.to_string(),
        size_bytes: add.size,
        rows: rows.and_then(|stats| stats.num_records),
        date,
        modified_ms: add.modification_time.unwrap_or(0),
        stats: add.stats.clone(),
    })
}

/// A file as a checkpoint tells it, by the path that the log writes.
fn add_action(path: &str, file: &ActiveFile) -> Value {
    let date = file.date.map(|date| (DATE.to_owned(), json!(date.to_string())));
    json!({"add": {
        "path": path,
        "partitionValues": serde_json::Map::from_iter(date),
        "size": file.size_bytes,
        "modificationTime": file.modified_ms,
        "dataChange": true,
        "stats": file.stats,
    }})
}

fn names_of(found: &[ObjectMeta]) -> Vec<&str> {
    found.iter().filter_map(|object| object.location.filename()).collect()
}

fn entry_version(name: &str) -> Option<i64> {
    name.strip_suffix(".json").filter(|digits| digits.len() == 20)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_its_version() {
        assert_eq!(entry_version("00000000000000000100.json"), Some(100));
        assert_eq!(entry_version("00000000000000000100.checkpoint.parquet"), None);
    }
}
