//! Several lane groups that keep one lake together, as shards: their names, and the record of what is measured where.
//!
//! The lane group of shard 1 of 4 of `plimsoll` is called `plimsoll-1-of-4`. Shards number their epochs in turn: of four,
//! shard 1 has 2, 6, 10 and so on. So the epoch that stands in every row names its shard, and no two groups of a lake have
//! an epoch of the same number. A group that is alone is the one shard of one, and counts by ones.
//!
//! In: the record as bytes, whatever it says, under ascending numbers, each put only where none was. Out: the newest. It is
//! small, changes when definitions bring something new, and is never deleted.

use bytes::Bytes;
use object_store::path::Path as StorePath;

use crate::Lake;
use crate::error::LakeError;

/// Where the records lie.
const FOLDER: &str = "_plimsoll/shards";

/// The name of the lane group of one of so many shards.
pub fn lane_group(group: &str, shard: u32, shards: u32) -> String {
    if shards == 1 { group.to_owned() } else { format!("{group}-{shard}-of-{shards}") }
}

/// What the name of a lane group says: the name that its siblings share, its shard, and how many there are.
pub fn of_lane_group(name: &str) -> (&str, u32, u32) {
    let parsed = || {
        let (rest, shards) = name.rsplit_once("-of-")?;
        let (group, shard) = rest.rsplit_once('-')?;
        let (shard, shards) = (shard.parse().ok()?, shards.parse().ok()?);
        (shard < shards && lane_group(group, shard, shards) == name).then_some((group, shard, shards))
    };
    parsed().unwrap_or((name, 0, 1))
}

/// The number of a lane group's first epoch, and how far each is from the one before.
pub(crate) fn numbering(name: &str) -> (i64, i64) {
    let (_, shard, shards) = of_lane_group(name);
    (i64::from(shard) + 1, i64::from(shards))
}

impl Lake {
    /// How many shards keep this lake, which is for good; `None` while nobody does.
    ///
    /// # Errors
    /// Those of `groups`.
    pub async fn shards(&self) -> Result<Option<u32>, LakeError> {
        let groups = self.groups().await?;
        Ok(groups.iter().map(|name| of_lane_group(name).2).max())
    }

    /// The newest record of what is measured where, and its number; `None` when there is none.
    ///
    /// # Errors
    /// `Unavailable` when the storage cannot be read.
    pub async fn placement(&self) -> Result<Option<(u64, Bytes)>, LakeError> {
        let found = self.root().list(&StorePath::from(FOLDER), None).await?;
        let number = |path: &StorePath| path.filename()?.strip_suffix(".json")?.parse::<u64>().ok();
        let newest = found.into_iter().filter_map(|object| Some((number(&object.location)?, object.location))).max();
        let Some((number, path)) = newest else { return Ok(None) };
        let bytes = self.root().get(&path).await?;
        let bytes = bytes.ok_or_else(|| LakeError::Corrupt(format!("{path} is missing; restore it from a backup")))?;
        Ok(Some((number, bytes)))
    }

    /// Puts the record of this number, if there is none. Returns whether it was put.
    ///
    /// # Errors
    /// `Unavailable` when the storage does not take it.
    pub async fn put_placement(&self, number: u64, bytes: Bytes) -> Result<bool, LakeError> {
        self.root().put_if_absent(&StorePath::from(format!("{FOLDER}/{number:010}.json")), bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lane_groups_say_which_shard_they_are_and_others_are_whole() {
        assert_eq!(lane_group("plimsoll", 1, 4), "plimsoll-1-of-4");
        assert_eq!(lane_group("plimsoll", 0, 1), "plimsoll");
        assert_eq!(of_lane_group("plimsoll-1-of-4"), ("plimsoll", 1, 4));
        assert_eq!(of_lane_group("a-0-of-2-11-of-12"), ("a-0-of-2", 11, 12));
        // Of four, shard 1 has the epochs 2, 6, 10 and so on.
        assert_eq!((numbering("plimsoll"), numbering("plimsoll-1-of-4")), ((1, 1), (2, 4)));
        for whole in ["plimsoll", "plimsoll-4-of-4", "plimsoll-0-of-1", "a-01-of-2", "a--of-2", "one-of-2", "-of-"] {
            assert_eq!(of_lane_group(whole), (whole, 0, 1));
        }
    }

    #[tokio::test]
    async fn a_record_is_put_once_and_the_newest_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(&folder.path().to_string_lossy()).await.expect("a lake");
        assert_eq!(lake.placement().await.expect("no record"), None);
        for (number, text, is_put) in [(1, "one", true), (1, "other", false), (2, "two", true)] {
            assert_eq!(lake.put_placement(number, text.into()).await.expect("a record"), is_put);
        }
        assert_eq!(lake.placement().await.expect("a record"), Some((2, "two".into())));
        assert_eq!(lake.shards().await.expect("groups"), None);
    }
}
