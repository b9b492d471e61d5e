//! What was said, so that only what changed is said again: the revisions of rows (R22).
//!
//! A ledger remembers the last row written under each key. Given the rows that hold now, it writes those that are new
//! or differ, with the next revision, and takes back those that no longer hold. So no fold needs to know what an
//! earlier fold wrote, and a repeated fold writes nothing.
//!
//! Nearly every row is new behind all others, and most ledgers hold few: so the rows lie in one vector, in order. There may
//! be several ledgers for each objective, and a tree takes a thousand bytes for its first row.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};

/// A row and how often it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<Row> {
    /// The row as it was last written.
    pub row: Row,
    /// 0 for its first writing.
    pub revision: i32,
    /// True when it was taken back.
    pub retracted: bool,
}

/// The rows last written, by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger<Key: Ord, Row> {
    /// By their keys, ascending.
    entries: Vec<(Key, Entry<Row>)>,
}

impl<Key: Ord, Row> Default for Ledger<Key, Row> {
    fn default() -> Self {
        Ledger { entries: Vec::new() }
    }
}

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing<Key, Row> {
    /// Its key.
    pub key: Key,
    /// What to write.
    pub entry: Entry<Row>,
}

impl<Key: Ord + Clone, Row: PartialEq + Clone> Ledger<Key, Row> {
    /// Takes the rows that hold now for all keys from `from` on, and returns those to be written, in key order.
    /// Keys before `from` stay as they are.
    pub fn restate(&mut self, from: &Key, now: Vec<(Key, Row)>) -> Vec<Writing<Key, Row>> {
        self.restate_within(from.., now)
    }

    /// Takes the rows that hold now for all keys in a range, and returns those to be written, in key order. Other keys
    /// stay as they are.
    pub fn restate_within(&mut self, range: impl RangeBounds<Key>, now: Vec<(Key, Row)>) -> Vec<Writing<Key, Row>> {
        let known = self.range(range);
        // Mostly all of it was said.
        let said = known.iter().filter(|(_, entry)| !entry.retracted).map(|(key, entry)| (key, &entry.row));
        if said.eq(now.iter().map(|(key, row)| (key, row))) {
            return Vec::new();
        }
        let mut holding: BTreeMap<Key, Option<Row>> = now.into_iter().map(|(key, row)| (key, Some(row))).collect();
        for (key, _) in known {
            holding.entry(key.clone()).or_insert(None);
        }
        let put = |(key, row): (Key, Option<Row>)| self.put(key.clone(), row).map(|entry| Writing { key, entry });
        holding.into_iter().filter_map(put).collect()
    }

    /// Takes the row that holds now under one key, if any, and returns what is to be written.
    pub fn put(&mut self, key: Key, now: Option<Row>) -> Option<Entry<Row>> {
        let place = self.place(&key);
        let before = place.ok().map(|place| &self.entries[place].1);
        let entry = match (before, now) {
            (None, None) => return None,
            (None, Some(row)) => Entry { row, revision: 0, retracted: false },
            (Some(before), Some(row)) if before.row == row && !before.retracted => return None,
            (Some(before), None) if before.retracted => return None,
            (Some(before), Some(row)) => Entry { row, revision: before.revision + 1, retracted: false },
            (Some(before), None) => Entry { revision: before.revision + 1, retracted: true, ..before.clone() },
        };
        match place {
            Ok(place) => self.entries[place].1 = entry.clone(),
            Err(place) => {
                if self.entries.len() < 4 {
                    self.entries.reserve_exact(1);
                }
                self.entries.insert(place, (key, entry.clone()));
            }
        }
        Some(entry)
    }

    /// Where the row under a key is, or would be.
    fn place(&self, key: &Key) -> Result<usize, usize> {
        match self.entries.last() {
            Some((last, _)) if last < key => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(known, _)| known.cmp(key)),
        }
    }

    /// The rows under the keys of a range, also those that were taken back.
    fn range(&self, range: impl RangeBounds<Key>) -> &[(Key, Entry<Row>)] {
        let before = |bound: &Key| self.entries.partition_point(|(key, _)| key < bound);
        let until = |bound: &Key| self.entries.partition_point(|(key, _)| key <= bound);
        let first = match range.start_bound() {
            Bound::Included(first) => before(first),
            Bound::Excluded(first) => until(first),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => until(last),
            Bound::Excluded(end) => before(end),
            Bound::Unbounded => self.entries.len(),
        };
        &self.entries[first.min(end)..end]
    }

    /// Forgets what was written under keys before this one: nothing is to be stated under them any more.
    pub fn forget_before(&mut self, first: &Key) {
        self.retain(|key, _| key >= first);
    }

    /// Forgets what was written and is not wanted: nothing is to be stated under those keys any more.
    pub fn retain(&mut self, is_wanted: impl Fn(&Key, &Row) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|(key, entry)| is_wanted(key, &entry.row));
        if self.entries.len() < before {
            self.entries.shrink_to_fit();
        }
    }

    /// The row that holds under a key.
    pub fn get(&self, key: &Key) -> Option<&Row> {
        let entry = self.place(key).ok().map(|place| &self.entries[place].1);
        entry.filter(|entry| !entry.retracted).map(|entry| &entry.row)
    }

    /// The newest key at or before this one under which a row holds for which `wanted` is true.
    pub fn last_where(&self, key: &Key, wanted: impl Fn(&Row) -> bool) -> Option<(&Key, &Row)> {
        let known = &self.entries[..self.entries.partition_point(|(known, _)| known <= key)];
        let holding = known.iter().rev().filter(|(_, entry)| !entry.retracted);
        holding.map(|(key, entry)| (key, &entry.row)).find(|(_, row)| wanted(row))
    }

    /// Every key of a range under which a row holds, and the row, in key order.
    pub fn within(&self, range: impl RangeBounds<Key>) -> impl Iterator<Item = (&Key, &Row)> {
        let holding = self.range(range).iter().filter(|(_, entry)| !entry.retracted);
        holding.map(|(key, entry)| (key, &entry.row))
    }

    /// Every key under which a row holds, and the row, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Row)> {
        self.entries.iter().filter(|(_, entry)| !entry.retracted).map(|(key, entry)| (key, &entry.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(writings: Vec<Writing<i32, &'static str>>) -> Vec<(i32, &'static str, i32, bool)> {
        writings
            .into_iter()
            .map(|writing| (writing.key, writing.entry.row, writing.entry.revision, writing.entry.retracted))
            .collect()
    }

    #[test]
    fn r22_only_what_changed_is_written_again() {
        let mut ledger = Ledger::default();
        assert_eq!(written(ledger.restate(&0, vec![(1, "a"), (2, "b")])), [(1, "a", 0, false), (2, "b", 0, false)]);
        assert_eq!(written(ledger.restate(&0, vec![(1, "a"), (2, "b")])), []);
        assert_eq!(written(ledger.restate(&2, vec![(3, "c")])), [(2, "b", 1, true), (3, "c", 0, false)]);
        assert_eq!(
            written(ledger.restate(&0, vec![(1, "A"), (2, "b"), (3, "c")])),
            [(1, "A", 1, false), (2, "b", 2, false)]
        );
        assert_eq!(ledger.get(&1), Some(&"A"));
        assert_eq!(ledger.put(1, Some("A")), None);
        assert_eq!(ledger.put(1, None), Some(Entry { row: "A", revision: 2, retracted: true }));
        assert_eq!(ledger.put(1, None), None);
        assert_eq!(ledger.put(7, None), None);
        assert_eq!(ledger.put(1, Some("A")), Some(Entry { row: "A", revision: 3, retracted: false }));
        assert_eq!(ledger.last_where(&9, |row| *row != "c"), Some((&2, &"b")));
        assert_eq!(ledger.within(2..).collect::<Vec<_>>(), [(&2, &"b"), (&3, &"c")]);
        ledger.put(2, None);
        assert_eq!(ledger.within(2..).collect::<Vec<_>>(), [(&3, &"c")]);
        assert_eq!(ledger.iter().collect::<Vec<_>>(), [(&1, &"A"), (&3, &"c")]);
    }

    #[test]
    fn r22_a_range_is_restated_alone_whatever_its_bounds() {
        let rows = || (1..=4).map(|key| (key, "a")).collect::<Vec<_>>();
        let gone = |range: (Bound<i32>, Bound<i32>)| {
            let mut ledger = Ledger::default();
            ledger.restate(&0, rows());
            let keys: Vec<i32> = written(ledger.restate_within(range, Vec::new())).iter().map(|row| row.0).collect();
            keys
        };
        use Bound::{Excluded, Included, Unbounded};
        assert_eq!(gone((Included(2), Included(3))), [2, 3]);
        assert_eq!(gone((Excluded(2), Excluded(4))), [3]);
        assert_eq!(gone((Unbounded, Excluded(2))), [1]);
        assert_eq!(gone((Included(4), Unbounded)), [4]);
        assert_eq!(gone((Excluded(3), Included(2))), [0; 0]);
    }

    #[test]
    fn r21_what_is_forgotten_holds_no_more_and_is_written_anew() {
        let mut ledger = Ledger::default();
        ledger.restate(&0, vec![(1, "a"), (2, "b"), (3, "c")]);
        ledger.forget_before(&2);
        assert_eq!(ledger.iter().collect::<Vec<_>>(), [(&2, &"b"), (&3, &"c")]);
        ledger.retain(|key, row| *key != 3 || *row != "c");
        assert_eq!(ledger.iter().collect::<Vec<_>>(), [(&2, &"b")]);
        assert_eq!(ledger.put(3, Some("c")), Some(Entry { row: "c", revision: 0, retracted: false }));
    }
}
