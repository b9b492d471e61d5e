//! Versions with effective dates, of agreements and of calendars (R24).

use chrono::NaiveDate;

use super::document::Node;
use super::problem::Problems;
use super::scalar;

/// What has versions.
pub(super) trait Version {
    /// Its id, which all its versions share; the first day it is in force, if it has one; and its number. Versions are
    /// sorted by these.
    fn key(&self) -> (&str, Option<NaiveDate>, u32);

    /// The first day it is no longer in force.
    fn until(&mut self) -> &mut Option<NaiveDate>;

    /// Whether it ends the version before it whenever that was to end, and even from its first day on.
    fn is_retroactive(&self) -> bool {
        false
    }
}

/// The version of a document: 1 unless it says another.
pub(super) fn version_of(root: &Node<'_>, problems: &mut Problems) -> Option<u32> {
    /// More versions than this are a slip of the finger.
    const VERSION_MAX: i64 = 1_000_000;
    match root.path(&["metadata", "version"]) {
        Some(node) => scalar::integer(&node, 1..=VERSION_MAX, problems).and_then(|version| u32::try_from(version).ok()),
        None => Some(1),
    }
}

/// The first day on which a document is in force and the first on which it no longer is, as far as it says so.
pub(super) fn effective(spec: &Node<'_>, problems: &mut Problems) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let from = spec.path(&["effective", "from"]).and_then(|node| scalar::date(&node, problems));
    let until_node = spec.path(&["effective", "until"]);
    let until = until_node.as_ref().and_then(|node| scalar::date(node, problems));
    if let (Some(from), Some(until), Some(node)) = (from, until, &until_node)
        && until <= from
    {
        problems.wrong(node, format!("a date after {from}, the first day in force"));
    }
    (from, until)
}

/// Whether a document says that it may begin in the past.
pub(super) fn is_retroactive(spec: &Node<'_>) -> bool {
    spec.path(&["effective", "retroactive"]).is_some_and(|node| node.value().as_bool() == Some(true))
}

/// Sorts the versions by id and day, lets each end the one before it if that is open-ended or if it is retroactive, and
/// tells which overlap.
pub(super) fn in_order<V: Version>(mut versions: Vec<(Node<'_>, V)>, problems: &mut Problems) -> Vec<V> {
    versions.sort_by(|(_, left), (_, right)| left.key().cmp(&right.key()));
    for place in 1..versions.len() {
        let (before, after) = versions.split_at_mut(place);
        let (Some((earlier_root, earlier)), Some((root, later))) = (before.last_mut(), after.first()) else { continue };
        let (id, from, version) = later.key();
        let (earlier_id, earlier_from, earlier_version) = earlier.key();
        // A version number given twice has been told as a repeated id.
        if earlier_id != id || earlier_version == version {
            continue;
        }
        let earlier_until = *earlier.until();
        let allowed = match (earlier_until, earlier_from) {
            _ if later.is_retroactive() => None,
            (Some(until), _) if from.is_none_or(|from| from < until) => {
                Some(format!("{until} or later, when version {earlier_version} ends"))
            }
            (None, _) if from.is_none() => {
                Some(format!("the first day it is in force, for version {earlier_version} has none"))
            }
            (None, Some(day)) if from == earlier_from => {
                Some(format!("a day after {day}, when version {earlier_version} starts"))
            }
            _ => None,
        };
        if let Some(allowed) = allowed {
            let allowed = format!("{allowed} ({})", earlier_root.place());
            match (root.path(&["spec", "effective", "from"]), root.get("spec")) {
                (Some(node), _) => problems.wrong(&node, allowed),
                (None, Some(spec)) => problems.missing(&spec, "effective", allowed),
                (None, None) => {}
            }
        }
        if earlier_until.is_none_or(|until| later.is_retroactive() && from.is_some_and(|from| from < until)) {
            *earlier.until() = from;
        }
    }
    versions.into_iter().map(|(_, version)| version).collect()
}
