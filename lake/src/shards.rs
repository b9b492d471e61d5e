//! Who keeps a lake: one lane group, or several together, as shards. Their names, and the record of what is measured where.
//!
//! The lane group of shard 1 of 4 of `plimsoll` is called `plimsoll-1-of-4`. Shards number their epochs in turn: of four,
//! shard 1 has 2, 6, 10 and so on. So the epoch that stands in every row names its shard, and no two groups of a lake have
//! an epoch of the same number. A group that is alone is the one shard of one, and counts by ones.
//!
//! Whoever starts on a lake first claims it for good, by an object of one name that is put only where none is: of two that
//! start at once, one is told who the other is.
//!
//! In: the record of what is measured where as bytes, whatever it says, under ascending numbers, each put only where none
//! was. Out: the newest. It is small, changes when definitions bring something new, and is never deleted.

use bytes::Bytes;
use object_store::path::Path as StorePath;
use serde::{Deserialize, Serialize};

use crate::Lake;
use crate::append::is_group;
use crate::error::LakeError;
use crate::inspect::Damage;
use crate::store::Store;

/// Where the claim lies.
pub(crate) const CLAIM: &str = "_plimsoll/claim.json";

/// How many shards there may be.
pub const SHARDS_MAX: u32 = 1_024;

/// Where the records of what is measured where lie.
const FOLDER: &str = "_plimsoll/shards";

/// Who keeps a lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The name that its lane groups share.
    pub group: String,
    /// How many they are: 1 where one keeps all of it.
    pub shards: u32,
}

impl Claim {
    /// What was put; `None` when it is not understood.
    fn read(bytes: &[u8]) -> Option<Claim> {
        let is_sound = |claim: &Claim| is_group(&claim.group) && (1..=SHARDS_MAX).contains(&claim.shards);
        serde_json::from_slice(bytes).ok().filter(is_sound)
    }

    /// What the name of a lane group says.
    fn of(name: &str) -> Claim {
        let (group, _, shards) = of_lane_group(name);
        Claim { group: group.to_owned(), shards }
    }
}

/// What is wrong with the claim of a lake in which an epoch of this lane group is recorded, or none; `None` when nothing is.
/// One that is gone costs nothing then, for the epochs say the same.
///
/// # Errors
/// `Unavailable` when the storage cannot be read.
pub(crate) async fn damaged_claim(store: &Store, recorded: Option<&str>) -> Result<Option<Damage>, LakeError> {
    let Some(bytes) = store.get(&StorePath::from(CLAIM)).await? else { return Ok(None) };
    let (claim, recorded) = (Claim::read(&bytes), recorded.map(Claim::of));
    let what = match (&claim, &recorded) {
        (None, _) => "it is not understood".to_owned(),
        (Some(claim), Some(recorded)) if claim != recorded => {
            format!("it names group {} with {} shards, of which no epoch is recorded", claim.group, claim.shards)
        }
        _ => return Ok(None),
    };
    let repair = match recorded {
        Some(_) => "remove it: epochs are recorded, and they say who keeps this lake",
        None => "remove it: nothing is recorded here yet, and who starts next claims the lake anew",
    };
    Ok(Some(Damage { path: CLAIM.to_owned(), what, repair: repair.to_owned() }))
}

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
    /// Who keeps this lake, which is for good; `None` while nobody does. Once an epoch is recorded that says it, whatever
    /// became of the claim.
    ///
    /// # Errors
    /// `Corrupt` when two have recorded epochs, or nobody has and the claim is not understood; otherwise those of `groups`.
    pub async fn claimed(&self) -> Result<Option<Claim>, LakeError> {
        let groups = self.groups().await?;
        let mut keepers = groups.iter().map(|name| Claim::of(name));
        if let Some(first) = keepers.next() {
            if let Some(other) = keepers.find(|other| *other != first) {
                return Err(LakeError::Corrupt(format!(
                    "group {} and group {} ({} and {} shards) have both recorded epochs here, so events are stored twice; \
                     begin new tables from Kafka",
                    first.group, other.group, first.shards, other.shards
                )));
            }
            return Ok(Some(first));
        }
        let Some(bytes) = self.root().get(&StorePath::from(CLAIM)).await? else { return Ok(None) };
        Claim::read(&bytes).map(Some).ok_or_else(|| {
            LakeError::Corrupt(format!("{CLAIM} is not understood; nothing is recorded here yet, so remove it"))
        })
    }

    /// Claims this lake, unless it is claimed. Returns who keeps it.
    ///
    /// # Errors
    /// Those of `claimed`, and `Unavailable` when the storage does not take it.
    pub async fn claim(&self, claim: &Claim) -> Result<Claim, LakeError> {
        if let Some(found) = self.claimed().await? {
            return Ok(found);
        }
        let bytes = serde_json::to_vec(claim).map_err(|error| LakeError::Internal(format!("{claim:?}: {error}")))?;
        match self.root().put_if_absent(&StorePath::from(CLAIM), bytes.into()).await? {
            true => Ok(claim.clone()),
            false => Ok(self.claimed().await?.unwrap_or_else(|| claim.clone())),
        }
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
    use plimsoll_schemas::table::EpochRow;

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
    }

    /// What an inspection says of the claim.
    async fn inspected(lake: &Lake) -> Option<Damage> {
        let found = lake.inspect(true).await.expect("an inspection");
        found.damages.into_iter().find(|damage| damage.path == CLAIM)
    }

    #[tokio::test]
    async fn of_two_that_claim_a_lake_at_once_one_keeps_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = async || Lake::open(&folder.path().to_string_lossy()).await.expect("a lake");
        let (one, other) = (open().await, open().await);
        assert_eq!(one.claimed().await.expect("no claim"), None);
        let of = |group: &str, shards| Claim { group: group.to_owned(), shards };
        let (whole, shards) = (of("plimsoll", 1), of("plimsoll", 2));
        let (first, second) = tokio::join!(one.claim(&whole), other.claim(&shards));
        let (first, second) = (first.expect("a claim"), second.expect("a claim"));
        assert!(first == second && [whole, shards].contains(&first), "{first:?}, {second:?}");
        assert_eq!(one.claim(&of("other", 3)).await.expect("a claim"), first);

        let damage = ["{", r#"{"group":"plimsoll","shards":0}"#, r#"{"group":"a/b","shards":1}"#];
        for text in damage.into_iter().chain([r#"{"group":"plimsoll","shards":4000000000}"#]) {
            std::fs::write(folder.path().join(CLAIM), text).expect("a file");
            let error = one.claimed().await.expect_err("damaged").to_string();
            assert!(error.contains("_plimsoll/claim.json is not understood; nothing is recorded here yet"), "{error}");
            assert_eq!(inspected(&one).await.map(|damage| damage.what).as_deref(), Some("it is not understood"));
        }
        // What is recorded says it by itself.
        let row = EpochRow { epoch: 1, ..EpochRow::default() };
        one.record_intent("lanes-0-of-3", 1, &[row]).await.expect("an intent");
        assert_eq!(one.claimed().await.expect("an epoch"), Some(of("lanes", 3)));
        assert_eq!(other.claim(&of("other", 1)).await.expect("an epoch"), of("lanes", 3));
        let told = inspected(&one).await.expect("damaged");
        assert!(told.what == "it is not understood" && told.repair.contains("epochs are recorded"), "{told:?}");
        let put = |text: &str| std::fs::write(folder.path().join(CLAIM), text).expect("a file");
        put(r#"{"group":"other","shards":3}"#);
        let told = inspected(&one).await.expect("another's");
        assert_eq!(told.what, "it names group other with 3 shards, of which no epoch is recorded");
        put(r#"{"group":"lanes","shards":3}"#);
        assert_eq!(inspected(&one).await, None);
        std::fs::remove_file(folder.path().join(CLAIM)).expect("a file");
        assert_eq!(inspected(&one).await, None);
        let row = EpochRow { epoch: 1, ..EpochRow::default() };
        one.record_intent("whole", 1, &[row]).await.expect("an intent");
        let error = one.claimed().await.expect_err("two keepers").to_string();
        assert!(
            error.contains("group lanes and group whole (3 and 1 shards) have both recorded epochs here"),
            "{error}"
        );
    }
}
