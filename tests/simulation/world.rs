//! What happens: a few days of monitoring, tickets, changes and feedback, made up from a seed, as records in the
//! partitions of two topics, and what was promised of them.
//!
//! Records arrive in the order of their offsets. Some tell of what happened long before, some are sent a second time, in
//! whichever partition, and some can be no event. What each record is, is known here from the making of it: the laws hold
//! the tables against that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use plimsoll_schemas::definition::{Definitions, File, load};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::{Instant, Micros};
use serde_json::{Map, Value, json};

use crate::chance::{Dice, Part};

/// One minute.
pub const MINUTE: i64 = 60 * 1_000_000;
/// One hour.
pub const HOUR: i64 = 60 * MINUTE;

/// When it begins: 2026-03-02T00:00:00Z, a Monday.
pub const START: Instant = Instant(1_772_409_600_000_000);

/// When everybody looks back: every window is over and final.
pub const FINAL: Instant = Instant(START.0 + 14 * 24 * HOUR);

/// A record in a partition.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its place; some places hold no record, as after the mark of a transaction.
    pub offset: i64,
    /// When the broker has it.
    pub appended_at: Instant,
    /// Its bytes; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// What it is.
    pub is: Meaning,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// An event of this source and id; there may be other records of it.
    Event(&'static str, String),
    /// The same, but the first mapping does not know its word.
    Mendable(&'static str, String),
    /// Nothing that can be used.
    Garbage,
}

/// Everything that happens.
#[derive(Clone)]
pub struct World {
    /// The records of each partition, in order.
    pub partitions: BTreeMap<PartitionId, Vec<Stored>>,
    /// Records that were deleted before anybody read them.
    pub lost: BTreeSet<(PartitionId, i64)>,
    /// When a partition was added that was not there from the beginning.
    pub added: BTreeMap<PartitionId, Instant>,
    /// The records of another topic that has the name of one of these for a while.
    pub other_desk: Vec<Stored>,
    /// Whether copies come so late that their first may be forgotten (R20), so that some count.
    pub has_late_copies: bool,
    /// What was promised and how records are mapped: at first, and as `Change` numbers it.
    pub definitions: Vec<Arc<Definitions>>,
    /// When the last record has come.
    pub end: Instant,
}

/// The topic of which there is another one.
pub const DESK: &str = "desk";

/// What becomes of definitions in the middle of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// More is promised.
    pub is_promise: bool,
    /// The mapping is mended.
    pub is_mapping: bool,
}

impl Change {
    /// The number of the definitions that follow.
    pub fn number(self) -> usize {
        usize::from(self.is_promise) + 2 * usize::from(self.is_mapping)
    }
}

const SERVICES: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {stale_after: 2h}, depends_on: [mail]}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [web, mail]}}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: desk}, spec: {topics: [desk]}}
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {id: office}
spec: {time_zone: Europe/Berlin, hours: [{days: mon-fri, from: \"08:00\", until: \"17:30\"}]}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: to-acme}
spec:
  type: sla
  customer: acme
  services: [shop, web]
  effective: {from: 2026-03-02, until: 2026-03-09}
  charge: {amount: 700.00, currency: EUR, for: each_service}
  rests_on: [inside]
  exclusions: {maintenance: {at_most: 3h}}
  objectives:
    - {id: uptime, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}, burn_rate_warnings: true, credits: [{below: 99 %, credit: 10 %}]}
    - {id: by-day, indicator: {signal: availability, calendar: office, unknown: hold}, target: {at_least: 95 %}, window: {calendar: day}}
    - {id: rolling, indicator: {signal: availability, unknown: bad}, target: {at_least: 90 %}, window: {rolling: 1d}}
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 60 %}, window: {calendar: week}}
    - {id: response, indicator: {signal: response_time, within: 30m}, target: {at_least: 90 %}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: inside}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 2026-03-02, until: 2026-03-09}
  objectives:
    - {id: resolution, indicator: {signal: resolution_time, within: 4h, calendar: office}, target: {at_least: 80 %}, window: {calendar: week}}
    - {id: good, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: fast, indicator: {signal: latency, within: 250ms}, target: {at_least: 50 %}, window: {calendar: week}, burn_rate_warnings: true}
    - {id: changes, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: week}}
";

/// The same, where nothing joins what is promised of one service with what is of another.
const APART: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {stale_after: 2h}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: desk}, spec: {topics: [desk]}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: on-web}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 2026-03-02, until: 2026-03-09}
  objectives:
    - {id: up, indicator: {signal: availability, unknown: hold}, target: {at_least: 95 %}, window: {calendar: day}}
    - {id: good, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 60 %}, window: {calendar: week}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: on-mail}
spec:
  type: ola
  services: [mail]
  effective: {from: 2026-03-02, until: 2026-03-09}
  objectives:
    - {id: resolution, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 80 %}, window: {calendar: week}}
    - {id: changes, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: week}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: on-shop}
spec:
  type: sla
  customer: acme
  services: [shop]
  effective: {from: 2026-03-02, until: 2026-03-09}
  objectives:
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 60 %}, window: {rolling: 1d}}
    - {id: response, indicator: {signal: response_time, within: 30m}, target: {at_least: 90 %}, window: {calendar: day}}
";

/// What is promised later besides.
const LATER: &str = "    - {id: emergencies, indicator: {signal: emergency_change_share}, target: {at_most: 20 %}, window: {calendar: week}}
    - {id: errors, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 9}, window: {calendar: day}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: ghost}}
";

/// How records of `events` are mapped. `WORD` stands where a mended mapping knows one more.
const MAPPING: &str = "apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec:
  topics: [events]
  lateness: 1h
  map:
    id: /id
    time: /time
    kind: {pointer: /kind, values: {monitoring: monitoring, incident: incident, change: change, feedback: feedbackWORD}}
    service: /service
    customer: /customer
    check: /check
    status: /status
    latency_ms: /latency_ms
    good_count: /good_count
    total_count: /total_count
    ticket: /ticket
    action: /action
    priority: /priority
    outage: /outage
    planned_start: /planned_start
    planned_end: /planned_end
    outcome: /outcome
    score: /score
";

static DEFINITIONS: LazyLock<Vec<Arc<Definitions>>> = LazyLock::new(|| {
    let promised = [SERVICES.to_owned(), format!("{SERVICES}{LATER}")];
    let mapped = ["", ", rumour: feedback"].map(|word| MAPPING.replace("WORD", word));
    let load = |numbers: (usize, usize)| {
        let (promised, mapped) = (File { name: "a.yaml", text: &promised[numbers.0] }, &mapped[numbers.1]);
        Arc::new(load(&[promised, File { name: "b.yaml", text: mapped }]).expect("good definitions"))
    };
    // In the order of `Change::number`.
    [(0, 0), (1, 0), (0, 1), (1, 1)].map(load).to_vec()
});

static DEFINITIONS_APART: LazyLock<Vec<Arc<Definitions>>> = LazyLock::new(|| {
    let mapping = MAPPING.replace("WORD", "");
    let files = [File { name: "a.yaml", text: APART }, File { name: "b.yaml", text: &mapping }];
    vec![Arc::new(load(&files).expect("good definitions"))]
});

/// The partitions: topic and number, and the source that reads them. The last one is added later, if at all.
const PARTITIONS: [(&str, i32, &str); 4] =
    [("events", 0, "plain"), ("events", 1, "plain"), (DESK, 0, "desk"), ("events", 2, "plain")];

/// How far behind what a check said may come and still be applied at once, and a bit more.
const VERY_LATE: i64 = 8 * 24 * HOUR + HOUR;

/// A record, before it has a place.
struct Arrival {
    appended_at: Instant,
    partition: usize,
    payload: Option<Vec<u8>>,
    is: Meaning,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> World {
        World::made(seed, true)
    }

    /// The world of a seed, in which services have nothing to do with each other, nothing is so late that stored events are
    /// taken again for it, and copies say something else than what they are copies of: it shows which one counts. Some
    /// of what is not a copy is from the future.
    pub fn apart(seed: u64) -> World {
        let mut world = World::made(seed, false);
        world.definitions = DEFINITIONS_APART.clone();
        let mut all: Vec<&mut Stored> = world.partitions.values_mut().flatten().collect();
        all.sort_by_key(|record| record.appended_at);
        let mut seen = BTreeSet::new();
        let mut dice = Dice::new(seed, Part::Apart);
        for record in all.into_iter().filter(|record| record.is != Meaning::Garbage) {
            let ahead = dice.permille(60).then(|| Micros(dice.between(6, 90) * MINUTE));
            if !seen.insert(record.is.clone()) {
                record.payload = record.payload.as_deref().map(otherwise);
            } else if let Some(ahead) = ahead {
                let time = record.appended_at + ahead;
                record.payload = record.payload.as_deref().map(|payload| told_at(payload, time));
            }
        }
        world
    }

    fn made(seed: u64, may_be_late: bool) -> World {
        let mut dice = Dice::new(seed, Part::World);
        let is_long = dice.permille(100) && may_be_late;
        let span = if is_long { dice.between(9 * 24, 13 * 24) * HOUR } else { dice.between(12, 72) * HOUR };
        let count = dice.between(10, 90);
        let end = Instant(START.0 + span);
        let grown_at = dice.permille(300).then(|| Instant(START.0 + dice.below(span)));
        let has_late_copies = may_be_late && !is_long && span > 48 * HOUR && dice.permille(400);
        let mut making = Making { dice, tickets: Tickets::default(), grown_at, has_late_copies };
        let mut arrivals = Vec::new();
        for number in 0..count {
            let appended_at = Instant(START.0 + span / count * number + making.dice.below(span / count));
            arrivals.extend(making.event(number, appended_at));
        }
        making.again(&mut arrivals, end);
        arrivals.sort_by_key(|arrival| arrival.appended_at);
        let mut partitions = making.placed(arrivals);
        let ids = PARTITIONS.map(|(topic, partition, _)| PartitionId { topic: topic.into(), partition });
        let added = grown_at.map(|grown_at| BTreeMap::from([(ids[3].clone(), grown_at)])).unwrap_or_default();
        if added.is_empty() {
            partitions.remove(&ids[3]);
        }
        let other_desk = making.other_desk();
        let (lost, definitions) = (BTreeSet::new(), DEFINITIONS.clone());
        World { partitions, lost, added, other_desk, has_late_copies, definitions, end }
    }

    /// The world of a seed, with so many records at most in each partition.
    pub fn small(seed: u64, records: usize) -> World {
        let mut world = World::new(seed);
        for stored in world.partitions.values_mut() {
            stored.truncate(records);
        }
        world
    }

    /// The same, in which nobody reads the records at these places.
    pub fn without(&self, lost: BTreeSet<(PartitionId, i64)>) -> World {
        World { lost, ..self.clone() }
    }

    /// All records that can be read, with their partitions.
    pub fn records(&self) -> impl Iterator<Item = (&PartitionId, &Stored)> {
        let all = self.partitions.iter().flat_map(|(id, stored)| stored.iter().map(move |record| (id, record)));
        all.filter(|(id, record)| !self.is_lost(id, record.offset))
    }

    /// Whether nobody reads a record.
    pub fn is_lost(&self, id: &PartitionId, offset: i64) -> bool {
        !self.lost.is_empty() && self.lost.contains(&(id.clone(), offset))
    }

    /// The first record of a partition that can be read.
    pub fn first_of(&self, id: &PartitionId) -> Option<&Stored> {
        self.partitions.get(id)?.iter().find(|record| !self.is_lost(id, record.offset))
    }

    /// The partitions that are there at an instant.
    pub fn partitions_at(&self, now: Instant) -> BTreeSet<PartitionId> {
        let is_there = |id: &&PartitionId| self.added.get(*id).is_none_or(|added| *added <= now);
        self.partitions.keys().filter(is_there).cloned().collect()
    }

    /// Where a partition ends when the last record has come.
    pub fn end_of(&self, id: &PartitionId) -> i64 {
        self.partitions[id].last().map_or(0, |record| record.offset + 1)
    }
}

/// Tickets and changes that are under way: how far each is.
#[derive(Default)]
struct Tickets {
    incidents: Vec<(i64, usize)>,
    changes: Vec<(i64, usize)>,
}

/// A world that is being made.
struct Making {
    dice: Dice,
    tickets: Tickets,
    /// When there is one more partition.
    grown_at: Option<Instant>,
    has_late_copies: bool,
}

impl Making {
    /// The places of the partitions that are there at an instant.
    fn places(&self, at: Instant) -> usize {
        PARTITIONS.len() - usize::from(self.grown_at.is_none_or(|grown_at| at < grown_at))
    }

    /// An event of any kind, or garbage.
    fn event(&mut self, number: i64, appended_at: Instant) -> Option<Arrival> {
        let places = self.places(appended_at) as i64;
        let Making { dice, tickets, .. } = self;
        let partition = dice.below(places) as usize;
        let source = PARTITIONS[partition].2;
        let id = format!("e{number}");
        let since = appended_at.0 - START.0;
        if dice.permille(60) {
            let payload = garbage(dice, number);
            return Some(Arrival { appended_at, partition, payload, is: Meaning::Garbage });
        }
        let is_mendable = source == "plain" && dice.permille(40);
        let is_very_late = since > VERY_LATE && dice.permille(150);
        let lateness = match dice.below(20) {
            _ if is_very_late => dice.between(VERY_LATE, since),
            0 => dice.below(20 * HOUR),
            1 | 2 => dice.below(3 * HOUR),
            _ => dice.below(MINUTE),
        };
        let time = Instant(appended_at.0 - lateness).max(START);
        let mut fields = Map::new();
        fields.insert("id".to_owned(), json!(id));
        fields.insert("time".to_owned(), json!(time.to_string()));
        let more = match dice.below(20) {
            _ if is_very_late => monitoring(dice),
            _ if is_mendable => feedback(dice, "rumour"),
            0..=9 => monitoring(dice),
            10..=15 => incident(dice, number, tickets),
            16 | 17 => change(dice, number, time, tickets),
            _ => feedback(dice, "feedback"),
        };
        fields.extend(more.as_object().expect("fields").clone());
        let payload = Some(Value::Object(fields).to_string().into_bytes());
        let is_mendable = is_mendable && !is_very_late;
        let is = if is_mendable { Meaning::Mendable(source, id) } else { Meaning::Event(source, id) };
        Some(Arrival { appended_at, partition, payload, is })
    }

    /// Sends some events a second time, by the same source, in whichever of its partitions, within six hours, or much later.
    fn again(&mut self, arrivals: &mut Vec<Arrival>, end: Instant) {
        let mut copies = Vec::new();
        for first in arrivals.iter() {
            let source = match &first.is {
                Meaning::Event(source, _) => source,
                // Who takes it again a day later may have forgotten its copy by then.
                Meaning::Mendable(source, _) if end <= START + Micros(24 * HOUR) => source,
                _ => continue,
            };
            if self.dice.permille(100) {
                let later = self.dice.below(if self.has_late_copies { 60 * HOUR } else { 6 * HOUR });
                let appended_at = Instant(first.appended_at.0 + later).min(end);
                let own = (0..self.places(appended_at)).filter(|place| PARTITIONS[*place].2 == *source);
                let own = own.collect::<Vec<_>>();
                let (partition, payload, is) = (*self.dice.pick(&own), first.payload.clone(), first.is.clone());
                copies.push(Arrival { appended_at, partition, payload, is });
            }
        }
        arrivals.extend(copies);
    }

    /// Gives each record its place.
    fn placed(&mut self, arrivals: Vec<Arrival>) -> BTreeMap<PartitionId, Vec<Stored>> {
        let ids = PARTITIONS.map(|(topic, partition, _)| PartitionId { topic: topic.into(), partition });
        let mut partitions: BTreeMap<PartitionId, Vec<Stored>> =
            ids.iter().map(|id| (id.clone(), Vec::new())).collect();
        for Arrival { appended_at, partition, payload, is } in arrivals {
            let stored = partitions.get_mut(&ids[partition]).expect("a partition");
            let free = stored.last().map_or(0, |record: &Stored| record.offset + 1);
            let offset = free + i64::from(self.dice.permille(100));
            stored.push(Stored { offset, appended_at, payload, is });
        }
        partitions
    }

    /// The records of a topic that is none of this world: whoever reads one of them took it for another.
    fn other_desk(&mut self) -> Vec<Stored> {
        let count = self.dice.below(60);
        let record = |offset| {
            let fields = json!({"id": format!("other{offset}"), "time": START.to_string(), "kind": "feedback",
                                "service": "web", "customer": "acme", "score": 1});
            let (payload, is) = (Some(fields.to_string().into_bytes()), Meaning::Garbage);
            Stored { offset, appended_at: START, payload, is }
        };
        (0..count).map(record).collect()
    }
}

fn feedback(dice: &mut Dice, word: &str) -> Value {
    let service = dice.pick(&["web", "shop"]);
    json!({"kind": word, "service": service, "customer": "acme", "score": dice.between(1, 5)})
}

fn monitoring(dice: &mut Dice) -> Value {
    let service = if dice.permille(50) { "ghost" } else { "web" };
    let check = dice.pick(&["probe", "login"]);
    let status = dice.pick(&["up", "up", "up", "down", "degraded"]);
    match dice.below(3) {
        0 => json!({"kind": "monitoring", "service": service, "check": check, "status": status}),
        1 => json!({"kind": "monitoring", "service": service, "check": check, "status": status,
                    "latency_ms": dice.between(100, 500)}),
        _ => json!({"kind": "monitoring", "service": service, "good_count": dice.between(5, 10), "total_count": 10}),
    }
}

/// The next that happens to a ticket, or a new one.
fn incident(dice: &mut Dice, number: i64, tickets: &mut Tickets) -> Value {
    const COURSE: [&str; 8] =
        ["opened", "acknowledged", "paused", "resumed", "resolved", "reopened", "resolved", "closed"];
    let (ticket, step) = next(dice, number, &mut tickets.incidents, COURSE.len());
    let mut record = json!({"kind": "incident", "ticket": format!("T{ticket}"), "action": COURSE[step]});
    if step == 0 {
        record["service"] = json!(dice.pick(&["web", "mail", "shop"]));
        record["priority"] = json!(dice.pick(&["P1", "P3"]));
        record["outage"] = json!(dice.permille(500));
    }
    record
}

/// The next that happens to a change, or a new one.
fn change(dice: &mut Dice, number: i64, time: Instant, tickets: &mut Tickets) -> Value {
    const COURSE: [&str; 4] = ["planned", "approved", "started", "finished"];
    let (ticket, step) = next(dice, number, &mut tickets.changes, COURSE.len());
    let mut record = json!({"kind": "change", "ticket": format!("C{ticket}"), "action": COURSE[step],
                            "service": dice.pick(&["web", "mail"])});
    if step < 2 {
        let start = time + Micros(dice.between(1, 12) * HOUR);
        record["planned_start"] = json!(start.to_string());
        record["planned_end"] = json!((start + Micros(dice.between(1, 4) * HOUR)).to_string());
    }
    if step == 3 {
        record["outcome"] = json!(dice.pick(&["success", "failed"]));
    }
    record
}

/// A ticket and its next step; of one that is over, the course begins anew under another number.
fn next(dice: &mut Dice, number: i64, under_way: &mut Vec<(i64, usize)>, steps: usize) -> (i64, usize) {
    if under_way.is_empty() || dice.permille(300) {
        under_way.push((number, 1));
        return (number, 0);
    }
    let place = dice.below(under_way.len() as i64) as usize;
    let (ticket, step) = under_way[place];
    if step + 1 == steps {
        under_way.swap_remove(place);
    } else {
        under_way[place].1 += 1;
    }
    (ticket, step)
}

/// The same event, of which something else is said.
fn otherwise(payload: &[u8]) -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(payload).expect("a record");
    if let Some(status) = record.get_mut("status") {
        *status = json!(if status == "down" { "up" } else { "down" });
    }
    for (name, whole) in [("score", 6), ("good_count", 10)] {
        if let Some(number) = record.get_mut(name) {
            *number = json!(whole - number.as_i64().expect("a number"));
        }
    }
    record.to_string().into_bytes()
}

/// The same event, told to be of another time.
fn told_at(payload: &[u8], time: Instant) -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(payload).expect("a record");
    record["time"] = json!(time.to_string());
    record.to_string().into_bytes()
}

/// A record that is no event.
fn garbage(dice: &mut Dice, number: i64) -> Option<Vec<u8>> {
    let text = match dice.below(6) {
        0 => return None,
        1 => "{\"id\": ".to_owned(),
        2 => json!({"id": format!("g{number}"), "kind": "monitoring", "service": "web", "status": "up"}).to_string(),
        3 => json!({"id": format!("g{number}"), "time": "yesterday", "kind": "feedback", "score": 3}).to_string(),
        4 => json!({"id": format!("g{number}"), "time": START.to_string(), "kind": "hearsay"}).to_string(),
        _ => return Some(vec![0xff, 0xfe, 0x00]),
    };
    Some(text.into_bytes())
}
