//! What clients leave with us for later calls: so much of each of them, so much in all, and nothing for ever.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant as Moment;

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Entries of one owner; what it has not used for longest makes room for another.
    pub(super) of_one_max: usize,
    /// Entries in all; likewise.
    pub(super) in_all_max: usize,
    /// How long an entry is kept that nobody uses.
    pub(super) idle_max: Duration,
    /// How long one is kept that is used.
    pub(super) age_max: Duration,
}

/// Entries by their keys, which are not to be guessed.
#[derive(Debug)]
pub(super) struct Kept<Key, Value> {
    bounds: Bounds,
    entries: Mutex<HashMap<Key, Entry<Value>>>,
}

#[derive(Debug)]
struct Entry<Value> {
    owner: String,
    since: Moment,
    used: Moment,
    value: Value,
}

impl<Key: Clone + Eq + Hash, Value: Clone> Kept<Key, Value> {
    /// Nothing yet.
    pub(super) fn new(bounds: Bounds) -> Kept<Key, Value> {
        Kept { bounds, entries: Mutex::default() }
    }

    /// Keeps something.
    pub(super) fn put(&self, key: Key, owner: &str, value: Value, now: Moment) {
        let Bounds { of_one_max, in_all_max, .. } = self.bounds;
        let mut entries = self.entries();
        entries.retain(|_, entry| self.is_kept(entry, now));
        make_room(&mut entries, of_one_max, |entry| entry.owner == owner);
        make_room(&mut entries, in_all_max, |_| true);
        entries.insert(key, Entry { owner: owner.to_owned(), since: now, used: now, value });
    }

    /// What was kept for its owner, which uses it thereby.
    pub(super) fn get(&self, key: &Key, owner: Option<&str>, now: Moment) -> Option<Value> {
        self.change(key, owner, now, |value| value.clone())
    }

    /// Does something with what was kept for its owner, which uses it thereby. `None` asks for anybody's.
    pub(super) fn change<Done>(
        &self,
        key: &Key,
        owner: Option<&str>,
        now: Moment,
        change: impl FnOnce(&mut Value) -> Done,
    ) -> Option<Done> {
        let mut entries = self.entries();
        let entry = entries.get_mut(key).filter(|entry| owner.is_none_or(|owner| entry.owner == owner))?;
        if !self.is_kept(entry, now) {
            entries.remove(key);
            return None;
        }
        entry.used = now;
        Some(change(&mut entry.value))
    }

    /// Keeps something of an owner no longer.
    pub(super) fn remove(&self, key: &Key, owner: &str) {
        let mut entries = self.entries();
        if entries.get(key).is_some_and(|entry| entry.owner == owner) {
            entries.remove(key);
        }
    }

    fn is_kept(&self, entry: &Entry<Value>, now: Moment) -> bool {
        now < entry.used + self.bounds.idle_max && now < entry.since + self.bounds.age_max
    }

    /// A change of an entry is one step, so that one that panicked has left the others whole.
    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry<Value>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what was not used for longest from among some entries, until there is room for one more.
fn make_room<Key: Clone + Eq + Hash, Value>(
    entries: &mut HashMap<Key, Entry<Value>>,
    count_max: usize,
    is_among: impl Fn(&Entry<Value>) -> bool,
) {
    let mut found: Vec<(Moment, Key)> =
        entries.iter().filter(|(_, entry)| is_among(entry)).map(|(key, entry)| (entry.used, key.clone())).collect();
    let too_many = (found.len() + 1).saturating_sub(count_max);
    if too_many > 0 {
        found.sort_by_key(|(used, _)| *used);
        for (_, key) in found.into_iter().take(too_many) {
            entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { of_one_max: 2, in_all_max: 3, idle_max: Duration::from_secs(10), age_max: Duration::from_secs(15) };

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let kept = Kept::new(BOUNDS);
        let start = Moment::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        kept.put(1, "ana", "one", at(0));
        kept.put(2, "ana", "two", at(1));
        assert_eq!(kept.get(&1, Some("ana"), at(2)), Some("one"));
        kept.put(3, "ana", "three", at(3));
        let found = |second: u64| [1, 2, 3, 4, 5].map(|key| kept.get(&key, None, at(second)).unwrap_or("-"));
        assert_eq!(found(3), ["one", "-", "three", "-", "-"], "ana has two, and had used the first");
        kept.put(4, "eve", "four", at(4));
        assert_eq!(kept.get(&4, Some("ana"), at(4)), None, "what is eve's");
        kept.remove(&4, "ana");
        assert_eq!(kept.get(&1, None, at(5)), Some("one"));
        assert_eq!(kept.get(&4, Some("eve"), at(5)), Some("four"));
        kept.put(5, "bob", "five", at(6));
        assert_eq!(found(6), ["one", "-", "-", "four", "five"], "there are three in all");
        kept.remove(&4, "eve");
        assert_eq!(found(7), ["one", "-", "-", "-", "five"]);
    }

    #[test]
    fn nothing_is_kept_for_ever() {
        let kept = Kept::new(BOUNDS);
        let start = Moment::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        kept.put(1, "ana", "one", at(0));
        kept.put(2, "eve", "two", at(0));
        assert_eq!(kept.get(&1, None, at(9)), Some("one"));
        assert_eq!(kept.get(&2, None, at(10)), None, "not used for ten seconds");
        assert_eq!(kept.get(&1, None, at(14)), Some("one"));
        assert_eq!(kept.get(&1, None, at(15)), None, "of fifteen seconds");
    }
}
