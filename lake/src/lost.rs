//! Whether the tables still have all that was committed: what is asked before a worker goes on.
//!
//! A log that lost its newest entries looks like that of a table which was written to less, and a table that is gone looks
//! like one that nobody has made yet. Who went on there would write an epoch a second time with other rows, or leave a hole
//! that nobody finds. But what is committed can be told from elsewhere:
//!
//! - a saved state says how far each table was when it was saved (see `snapshot`), and tables only grow;
//! - the epochs of a lane group are numbered without a hole;
//! - an epoch is recorded before any table has rows of it, so none is further than `epochs`;
//! - every table is made before the first epoch is recorded.
//!
//! In: what logs, `epochs` and the saved state say. Out: nothing, or `Corrupt`, with the table and its repair. What lacks
//! an epoch after the saved state is no damage: recovery commits it again.

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::path::Path as StorePath;
use plimsoll_schemas::table::{EpochRow, Table};

use crate::Lake;
use crate::error::LakeError;
use crate::log::{TableLog, entry_path};
use crate::shards::numbering;
use crate::snapshot::Marks;
use crate::store::Store;
use crate::table::{SOURCES, repair};

/// What a worker goes on from.
#[derive(Debug)]
pub struct Recovery {
    /// The newest saved state that is whole, and its epoch; `None` when there is none.
    pub snapshot: Option<(i64, Bytes)>,
    /// The recorded intents from that epoch on, in order; all, when there is none.
    pub intents: Vec<EpochRow>,
}

impl Lake {
    /// What the worker of a lane group goes on from.
    ///
    /// # Errors
    /// `Corrupt` when a table has lost what was committed to it, or cannot be read; `Unavailable` when the storage does not
    /// let us read; `Invalid` for a group that cannot be.
    pub async fn recovery(&self, group: &str) -> Result<Recovery, LakeError> {
        let saved = self.newest_saved(group).await?;
        // In the order opposite to that in which they are written, for another process may be at it.
        let marks = self.marks(group).await?;
        let intents = self.epochs_after(group, saved.as_ref().map_or(-1, |saved| saved.epoch - 1)).await?;
        if let Some(saved) = &saved
            && let Some((table, what)) = behind(group, &saved.marks, &marks)
        {
            return Err(lost(table, &what));
        }
        let mut epochs: Vec<i64> = intents.iter().map(|row| row.epoch).collect();
        epochs.dedup();
        if let Some(hole) = first_hole(group, saved.as_ref().map(|saved| saved.epoch), &epochs) {
            return Err(lost(Table::Epochs, &hole));
        }
        if let Some((table, what)) = beyond(group, epochs.last().copied(), &marks) {
            return Err(lost(table, &what));
        }
        Ok(Recovery { snapshot: saved.map(|saved| (saved.epoch, saved.bytes)), intents })
    }

    /// The newest epoch of a lane group in each table that has any.
    ///
    /// # Errors
    /// As `recovery`.
    pub async fn marks(&self, group: &str) -> Result<BTreeMap<Table, i64>, LakeError> {
        let mut marks = BTreeMap::new();
        for table in Table::ALL {
            if let Some(epoch) = self.last_epoch(table, group).await? {
                marks.insert(table, epoch);
            }
        }
        Ok(marks)
    }
}

fn lost(table: Table, what: &str) -> LakeError {
    LakeError::Corrupt(format!("table {}: {what}; {}", table.name(), repair(table)))
}

/// A table that is not as far any more as it was when a state was saved.
pub(crate) fn behind(group: &str, saved: &Marks, marks: &BTreeMap<Table, i64>) -> Option<(Table, String)> {
    let lacks = |table: &Table| marks.get(table) < saved.get(table.name());
    let table = Table::ALL.into_iter().find(lacks)?;
    let was = saved.get(table.name()).copied().unwrap_or_default();
    let is = match marks.get(&table) {
        Some(epoch) => format!("now ends with epoch {epoch}"),
        None => "now has none".to_owned(),
    };
    Some((
        table,
        format!("its log had epoch {was} of group {group} when the state was saved and {is}: it lost entries"),
    ))
}

/// The first epoch that is missing among those that are recorded, in order: from the one whose state is saved, or from the
/// first.
pub(crate) fn first_hole(group: &str, saved: Option<i64>, epochs: &[i64]) -> Option<String> {
    let (first, step) = numbering(group);
    let mut expected = saved.unwrap_or(first);
    for epoch in epochs {
        if *epoch != expected {
            return Some(format!("epoch {expected} of group {group} is missing before epoch {epoch}"));
        }
        expected += step;
    }
    let saved = saved.filter(|_| epochs.is_empty())?;
    Some(format!("epoch {saved} of group {group} is missing, whose state is saved"))
}

/// A table whose log is further than the newest epoch that is recorded; the table that is told is the damaged one.
pub(crate) fn beyond(group: &str, newest: Option<i64>, marks: &BTreeMap<Table, i64>) -> Option<(Table, String)> {
    let newest_text = newest.map_or("none".to_owned(), |newest| format!("epochs up to {newest}"));
    let (table, mark) = marks.iter().filter(|(_, mark)| newest < Some(**mark)).max_by_key(|(table, mark)| {
        // The log of `epochs` itself says most about it.
        (**table == Table::Epochs, **mark)
    })?;
    let what = match table {
        Table::Epochs => {
            format!("its log says that epoch {mark} of group {group} is recorded, but it has rows of {newest_text}")
        }
        other => format!(
            "epoch {mark} of group {group} is missing, of which table {} has rows; there are {newest_text}",
            other.name()
        ),
    };
    Some((Table::Epochs, what))
}

/// Refuses to make tables that were there before: in a lake in which anything was committed, every table was made. Whoever
/// opens it may go on and make what is missing when this returns.
///
/// # Errors
/// `Corrupt`, naming the tables.
pub(crate) async fn refuse_lost_tables(store: &Store, logs: &[TableLog]) -> Result<(), LakeError> {
    let is_used = logs.iter().any(|log| log.version > Some(0) || log.groups().next().is_some());
    let missing = || Table::ALL.into_iter().zip(logs).filter(|(_, log)| log.version.is_none());
    let is_saved =
        async || store.list(&StorePath::from("_plimsoll/snapshots"), None).await.map(|found| !found.is_empty());
    if missing().next().is_none() || !(is_used || is_saved().await?) {
        return Ok(());
    }
    let mut lost = Vec::new();
    for (table, _) in missing() {
        // Another process may have made it, and more, since it was looked for; and a list may not know of that yet.
        let is_new = store.get(&entry_path(table, 0)).await?.is_some();
        if !is_new && TableLog::load(store, table).await?.version.is_none() {
            lost.push(table);
        }
    }
    let Some(first) = lost.iter().find(|table| SOURCES.contains(table)).or(lost.first()) else { return Ok(()) };
    let names = lost.iter().map(|table| table.name()).collect::<Vec<_>>().join(", ");
    Err(LakeError::Corrupt(format!(
        "of the lake at {} the tables {names} are gone, and others show that it was written to; {}",
        store.url,
        repair(*first)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_each_other_without_a_hole() {
        let hole = |saved, epochs: &[i64]| first_hole("plimsoll", saved, epochs);
        assert_eq!(hole(None, &[]), None);
        assert_eq!(hole(None, &[1, 2, 3]), None);
        assert_eq!(hole(Some(3), &[3, 4]), None);
        assert!(hole(None, &[2]).is_some_and(|what| what.starts_with("epoch 1 ")));
        assert!(hole(None, &[1, 2, 4]).is_some_and(|what| what.starts_with("epoch 3 ")));
        assert!(hole(Some(3), &[4]).is_some_and(|what| what.starts_with("epoch 3 ")));
        assert!(hole(Some(3), &[]).is_some_and(|what| what.starts_with("epoch 3 ")));
        // Of three, shard 1 has 2, 5, 8 and so on.
        assert_eq!(first_hole("plimsoll-1-of-3", None, &[2, 5, 8]), None);
        assert!(first_hole("plimsoll-1-of-3", None, &[2, 8]).is_some_and(|what| what.starts_with("epoch 5 ")));
    }

    #[test]
    fn no_table_is_behind_what_was_saved_nor_further_than_what_is_recorded() {
        let saved = Marks::from([("events".to_owned(), 3), ("epochs".to_owned(), 4)]);
        let marks = |events, epochs| BTreeMap::from([(Table::Events, events), (Table::Epochs, epochs)]);
        assert_eq!(behind("g", &saved, &marks(3, 4)), None);
        assert_eq!(behind("g", &saved, &marks(5, 6)), None);
        assert_eq!(behind("g", &saved, &marks(2, 4)).map(|(table, _)| table), Some(Table::Events));
        assert_eq!(
            behind("g", &saved, &BTreeMap::from([(Table::Events, 3)])).map(|(table, _)| table),
            Some(Table::Epochs)
        );
        assert_eq!(beyond("g", Some(4), &marks(3, 4)), None);
        assert_eq!(beyond("g", None, &BTreeMap::new()), None);
        let told = |newest, events, epochs| beyond("g", newest, &marks(events, epochs)).map(|(_, what)| what);
        assert!(
            told(Some(4), 5, 4)
                .is_some_and(|what| what.contains("epoch 5 of group g is missing, of which table events"))
        );
        assert!(
            told(Some(4), 5, 7).is_some_and(|what| what.contains("its log says that epoch 7 of group g is recorded"))
        );
    }
}
