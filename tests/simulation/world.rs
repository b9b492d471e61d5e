//! What happens: a few days of monitoring, tickets, changes and feedback, made up from a seed, as records in the
//! partitions of two topics, and what was promised of them.
//!
//! Records arrive in the order of their offsets. Some tell of what happened long before, some are sent a second time, in
//! whichever partition, and some can be no event. What each record is, is known here from the making of it: the laws hold
//! the tables against that.

use std::collections::BTreeMap;
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
    /// Nothing that can be used.
    Garbage,
}

/// Everything that happens.
pub struct World {
    /// The records of each partition, in order.
    pub partitions: BTreeMap<PartitionId, Vec<Stored>>,
    /// What was promised, first and later.
    pub definitions: Vec<Arc<Definitions>>,
    /// When the last record has come.
    pub end: Instant,
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
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [events], lateness: 1h}}
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
    - {id: uptime, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}, credits: [{below: 99 %, credit: 10 %}]}
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
    - {id: fast, indicator: {signal: latency, within: 250ms}, target: {at_least: 50 %}, window: {calendar: week}}
    - {id: changes, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: week}}
";

/// What is promised later besides.
const LATER: &str = "    - {id: emergencies, indicator: {signal: emergency_change_share}, target: {at_most: 20 %}, window: {calendar: week}}
    - {id: errors, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 9}, window: {calendar: day}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: ghost}}
";

static DEFINITIONS: LazyLock<Vec<Arc<Definitions>>> = LazyLock::new(|| {
    let texts = [SERVICES.to_owned(), format!("{}{LATER}", SERVICES.trim_end_matches(' '))];
    let loaded = texts.iter().map(|text| load(&[File { name: "promised.yaml", text }]));
    loaded.map(|loaded| Arc::new(loaded.expect("good definitions"))).collect()
});

/// The partitions: topic and number, and the source that reads them.
const PARTITIONS: [(&str, i32, &str); 3] = [("events", 0, "plain"), ("events", 1, "plain"), ("desk", 0, "desk")];

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
        let mut dice = Dice::new(seed, Part::World);
        let span = dice.between(12, 72) * HOUR;
        let count = dice.between(10, 90);
        let mut arrivals = Vec::new();
        let mut tickets = Tickets::default();
        for number in 0..count {
            let appended_at = Instant(START.0 + span / count * number + dice.below(span / count));
            arrivals.extend(event(&mut dice, number, appended_at, &mut tickets));
        }
        let end = Instant(START.0 + span);
        again(&mut dice, &mut arrivals, end);
        arrivals.sort_by_key(|arrival| arrival.appended_at);
        World { partitions: placed(&mut dice, arrivals), definitions: DEFINITIONS.clone(), end }
    }

    /// The world of a seed, with so many records at most in each partition.
    pub fn small(seed: u64, records: usize) -> World {
        let mut world = World::new(seed);
        for stored in world.partitions.values_mut() {
            stored.truncate(records);
        }
        world
    }

    /// All records, with their partitions.
    pub fn records(&self) -> impl Iterator<Item = (&PartitionId, &Stored)> {
        self.partitions.iter().flat_map(|(id, stored)| stored.iter().map(move |record| (id, record)))
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

/// An event of any kind, or garbage.
fn event(dice: &mut Dice, number: i64, appended_at: Instant, tickets: &mut Tickets) -> Option<Arrival> {
    let partition = dice.below(PARTITIONS.len() as i64) as usize;
    if dice.permille(60) {
        return Some(Arrival { appended_at, partition, payload: garbage(dice, number), is: Meaning::Garbage });
    }
    let lateness = match dice.below(20) {
        0 => dice.below(20 * HOUR),
        1 | 2 => dice.below(3 * HOUR),
        _ => dice.below(MINUTE),
    };
    let time = Instant(appended_at.0 - lateness).max(START);
    let id = format!("e{number}");
    let mut fields = Map::new();
    fields.insert("id".to_owned(), json!(id));
    fields.insert("time".to_owned(), json!(time.to_string()));
    let more = match dice.below(20) {
        0..=9 => monitoring(dice),
        10..=15 => incident(dice, number, tickets),
        16 | 17 => change(dice, number, time, tickets),
        _ => {
            json!({"kind": "feedback", "service": dice.pick(&["web", "shop"]), "customer": "acme", "score": dice.between(1, 5)})
        }
    };
    fields.extend(more.as_object().expect("fields").clone());
    let payload = Some(Value::Object(fields).to_string().into_bytes());
    Some(Arrival { appended_at, partition, payload, is: Meaning::Event(PARTITIONS[partition].2, id) })
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

/// A record that is no event.
fn garbage(dice: &mut Dice, number: i64) -> Option<Vec<u8>> {
    let text = match dice.below(6) {
        0 => return None,
        1 => "{\"id\": ".to_owned(),
        2 => json!({"id": format!("g{number}"), "kind": "monitoring", "service": "web", "status": "up"}).to_string(),
        3 => json!({"id": format!("g{number}"), "time": "yesterday", "kind": "feedback", "score": 3}).to_string(),
        4 => json!({"id": format!("g{number}"), "time": START.to_string(), "kind": "rumour"}).to_string(),
        _ => return Some(vec![0xff, 0xfe, 0x00]),
    };
    Some(text.into_bytes())
}

/// Sends some events a second time, by the same source, in whichever of its partitions, within six hours.
fn again(dice: &mut Dice, arrivals: &mut Vec<Arrival>, end: Instant) {
    let mut copies = Vec::new();
    for first in arrivals.iter() {
        let Meaning::Event(source, _) = &first.is else { continue };
        if dice.permille(100) {
            let appended_at = Instant(first.appended_at.0 + dice.below(6 * HOUR)).min(end);
            let own = (0..PARTITIONS.len()).filter(|place| PARTITIONS[*place].2 == *source).collect::<Vec<_>>();
            let (partition, payload, is) = (*dice.pick(&own), first.payload.clone(), first.is.clone());
            copies.push(Arrival { appended_at, partition, payload, is });
        }
    }
    arrivals.extend(copies);
}

/// Gives each record its place.
fn placed(dice: &mut Dice, arrivals: Vec<Arrival>) -> BTreeMap<PartitionId, Vec<Stored>> {
    let ids = PARTITIONS.map(|(topic, partition, _)| PartitionId { topic: topic.into(), partition });
    let mut partitions: BTreeMap<PartitionId, Vec<Stored>> = ids.iter().map(|id| (id.clone(), Vec::new())).collect();
    for Arrival { appended_at, partition, payload, is } in arrivals {
        let stored = partitions.get_mut(&ids[partition]).expect("a partition");
        let free = stored.last().map_or(0, |record: &Stored| record.offset + 1);
        let offset = free + i64::from(dice.permille(100));
        stored.push(Stored { offset, appended_at, payload, is });
    }
    partitions
}
