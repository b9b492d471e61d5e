//! Shards: what is measured, cut into parts of which each can be folded alone, so that several processes can share the
//! work.
//!
//! Every shard reads every event: so all of them tell copies apart alike, know the whole life of each ticket, wherever it
//! moves, and have the same watermark. Each measures only the services and agreements that are placed in it, and says
//! nothing of others: a lane group on `Placement::part_of` the definitions. What the shards say together is what one group
//! says of all. So whatever has a part in a result must be in the shard of that result:
//!
//! ```text
//! agreement  -- the services that it covers, under each of its versions: credits and watermelons look at all of them
//!            -- the agreements that it rests on: its breaches are split among these (R33)
//! service    -- the services that it is composed of (R32)
//!            -- all below it, through parts and depends_on, where an agreement on it rests on others (R33)
//! ```
//! What these lines join is placed together, the largest first, each where least is measured so far. A place is for good,
//! for the state and all that was said of it are kept there. Definitions that join what lies in two shards are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::event::{EventBatch, EventColumn};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// One of so many shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    number: u32,
    count: u32,
}

impl Shard {
    /// The only one, which has everything.
    pub const WHOLE: Shard = Shard { number: 0, count: 1 };

    /// The one of this number among so many; `None` when there is no such.
    pub fn new(number: u32, count: u32) -> Option<Shard> {
        (number < count).then_some(Shard { number, count })
    }

    /// Which one it is, from 0 on.
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether it has everything.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// Whether it is the one that also does what is to be done once.
    pub fn is_first(self) -> bool {
        self.number == 0
    }

    /// Which of the rows of a batch that count it stores, ascending; `accepted` are those that count, `None` when all of
    /// them do. Events go by the name of their service, those without one by ticket, others by id. That does not depend on
    /// definitions, so every event is stored exactly once though shards take new ones up at different epochs.
    pub fn stored(self, events: &EventBatch, accepted: Option<&[u32]>) -> Vec<u32> {
        let services = events.interned(EventColumn::Service);
        let names = services.values().as_string::<i32>();
        let of_services: Vec<bool> = names.iter().map(|name| self.has(name.unwrap_or_default())).collect();
        let (tickets, ids) = (events.text(EventColumn::Ticket), events.text(EventColumn::Id));
        let is_own = |row: &u32| {
            let row = *row as usize;
            match services.key(row) {
                Some(key) => of_services[key],
                None if tickets.is_null(row) => self.has(ids.value(row)),
                None => self.has(tickets.value(row)),
            }
        };
        match accepted {
            Some(rows) => rows.iter().copied().filter(is_own).collect(),
            None => (0..events.num_rows() as u32).filter(is_own).collect(),
        }
    }

    fn has(self, key: &str) -> bool {
        xxh3_64(key.as_bytes()) % u64::from(self.count) == u64::from(self.number)
    }
}

/// Which shard measures what, for good: of all that was ever defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// How many shards there are.
    shards: u32,
    /// Agreements by id.
    agreements: BTreeMap<String, u32>,
    /// Services by id.
    services: BTreeMap<String, u32>,
}

/// Definitions cannot be measured by these shards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// They join what lies in two shards.
    #[error(
        "{one} is measured in shard {shard} and {other} in shard {other_shard}, and by these definitions results of one \
         depend on the other; a place is for good: keep them apart (services covered, composed_of, rests_on, depends_on \
         below an agreement that rests on others), or begin new tables, where they are placed together"
    )]
    Joined {
        /// A service or an agreement.
        one: String,
        /// Where it is.
        shard: u32,
        /// Another that must be in the same shard.
        other: String,
        /// Where that is.
        other_shard: u32,
    },
}

/// What is placed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing<'a> {
    Agreement(&'a str),
    Service(&'a str),
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Agreement(id) => write!(formatter, "agreement {id}"),
            Thing::Service(id) => write!(formatter, "service {id}"),
        }
    }
}

impl Placement {
    /// Nothing is placed yet. There is one shard at least.
    pub fn new(shards: u32) -> Placement {
        Placement { shards: shards.max(1), agreements: BTreeMap::new(), services: BTreeMap::new() }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Whether everything lies in a shard that there is.
    pub fn is_sound(&self) -> bool {
        self.shards > 0 && self.agreements.values().chain(self.services.values()).all(|shard| *shard < self.shards)
    }

    /// Where an agreement is measured; `None` when it was never placed.
    pub fn shard_of_agreement(&self, id: &str) -> Option<Shard> {
        Shard::new(*self.agreements.get(id)?, self.shards)
    }

    /// Places what is new in these definitions. Returns whether anything was.
    ///
    /// # Errors
    /// When they join what lies in two shards; then nothing was placed.
    pub fn place(&mut self, definitions: &Definitions) -> Result<bool, PlacementError> {
        let mut loads = vec![0; self.shards as usize];
        let mut waiting = Vec::new();
        let mut placed = Vec::new();
        let work = work(definitions);
        for together in joined(definitions) {
            let load: usize = together.iter().filter_map(|thing| work.get(thing)).sum();
            match self.place_of(&together)? {
                Some(shard) => {
                    loads[shard as usize] += load;
                    placed.push((together, shard));
                }
                None => waiting.push((load, together)),
            }
        }
        // Those of one load stay in the order of their ids.
        waiting.sort_by_key(|(load, _)| std::cmp::Reverse(*load));
        for (load, together) in waiting {
            let least = (0..self.shards).min_by_key(|shard| loads[*shard as usize]).unwrap_or_default();
            loads[least as usize] += load;
            placed.push((together, least));
        }
        let mut is_any_new = false;
        for (together, shard) in placed {
            for thing in together {
                let before = match thing {
                    Thing::Agreement(id) => self.agreements.insert(id.to_owned(), shard),
                    Thing::Service(id) => self.services.insert(id.to_owned(), shard),
                };
                is_any_new |= before.is_none();
            }
        }
        Ok(is_any_new)
    }

    /// The shard in which any of these is.
    fn place_of(&self, together: &[Thing<'_>]) -> Result<Option<u32>, PlacementError> {
        let known = together.iter().filter_map(|thing| {
            let shard = match thing {
                Thing::Agreement(id) => self.agreements.get(*id)?,
                Thing::Service(id) => self.services.get(*id)?,
            };
            Some((thing, *shard))
        });
        let known: Vec<_> = known.collect();
        let Some(&(one, shard)) = known.first() else { return Ok(None) };
        match known.iter().find(|(_, other_shard)| *other_shard != shard) {
            None => Ok(Some(shard)),
            Some(&(other, other_shard)) => {
                let (one, other) = (one.to_string(), other.to_string());
                Err(PlacementError::Joined { one, shard, other, other_shard })
            }
        }
    }

    /// The part of definitions that a shard measures: its services and agreements, and all else as it is.
    pub fn part_of(&self, definitions: &Definitions, shard: Shard) -> Definitions {
        let mut part = definitions.clone();
        part.services.retain(|id, _| self.services.get(id) == Some(&shard.number));
        part.agreements.retain(|agreement| self.agreements.get(&agreement.id) == Some(&shard.number));
        part
    }
}

/// How much there is to measure, roughly: of a service itself, and of an agreement each objective for each service.
fn work(definitions: &Definitions) -> BTreeMap<Thing<'_>, usize> {
    let mut work: BTreeMap<Thing<'_>, usize> = definitions.services.keys().map(|id| (Thing::Service(id), 1)).collect();
    for agreement in &definitions.agreements {
        *work.entry(Thing::Agreement(&agreement.id)).or_default() +=
            agreement.objectives.len() * agreement.services.len();
    }
    work
}

/// All that is defined, each with what it must lie together with, in the order of the least of each.
fn joined(definitions: &Definitions) -> Vec<Vec<Thing<'_>>> {
    let services = definitions.services.keys().map(|id| Thing::Service(id));
    let agreements = definitions.agreements.iter().map(|agreement| Thing::Agreement(&agreement.id));
    let mut beside: BTreeMap<Thing<'_>, BTreeSet<Thing<'_>>> =
        agreements.chain(services).map(|thing| (thing, BTreeSet::new())).collect();
    let mut lines: Vec<(Thing<'_>, Thing<'_>)> = Vec::new();
    for service in definitions.services.values() {
        lines.extend(parts(definitions, &service.id).map(|part| (Thing::Service(&service.id), Thing::Service(part))));
    }
    for agreement in &definitions.agreements {
        let this = Thing::Agreement(&agreement.id);
        lines.extend(agreement.services.iter().map(|id| (this, Thing::Service(id))));
        lines.extend(agreement.rests_on.iter().map(|id| (this, Thing::Agreement(id))));
        if !agreement.rests_on.is_empty() {
            lines.extend(below(definitions, &agreement.services).into_iter().map(|id| (this, Thing::Service(id))));
        }
    }
    for (one, other) in lines.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]) {
        if let Some(beside) = beside.get_mut(&one) {
            beside.insert(other);
        }
    }
    let mut all = Vec::new();
    while let Some((first, next)) = beside.pop_first() {
        let (mut together, mut waiting) = (vec![first], Vec::from_iter(next));
        while let Some(thing) = waiting.pop() {
            // What is not there any more is among them already.
            if let Some(next) = beside.remove(&thing) {
                together.push(thing);
                waiting.extend(next);
            }
        }
        together.sort_unstable();
        all.push(together);
    }
    all
}

/// What a service is composed of.
fn parts<'a>(definitions: &'a Definitions, service: &str) -> impl Iterator<Item = &'a str> {
    let composition = definitions.services.get(service).and_then(|service| service.state.composition.as_ref());
    composition.into_iter().flat_map(|composition| &composition.parts).map(|part| part.service.as_str())
}

/// All below these services, and they.
fn below<'a>(definitions: &'a Definitions, services: &'a [String]) -> BTreeSet<&'a str> {
    let (mut known, mut waiting) = (BTreeSet::new(), services.iter().map(String::as_str).collect::<Vec<_>>());
    while let Some(id) = waiting.pop() {
        if known.insert(id) {
            let needed = definitions.services.get(id).into_iter().flat_map(|service| &service.depends_on);
            waiting.extend(parts(definitions, id).chain(needed.map(String::as_str)));
        }
    }
    known
}

#[cfg(test)]
mod tests;
