//! What must hold of the tables that a run left behind, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_aggregate::{Input, Live, Worker};
use plimsoll_lake::Lake;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::{DeadLetterRow, EpochRow, Table};
use serde_json::Value;

use crate::broker::{Broker, Client};
use crate::process::{GROUP, Shape, carry_out, settings, url};
use crate::requests::{Requests, newest};
use crate::run::Outcome;
use crate::store::{Disk, Faults, Mortal, SimulatedStore};
use crate::tables::{Row, Tables, counted, dead_letters, files, place, rows, stored_events, text};
use crate::world::{Change, FINAL, Meaning, World};

/// The columns that say when and how often something was said, not what: they depend on how the input was cut.
const BOOKKEEPING: [&str; 7] = ["verdict_before", "revision", "read_at", "recorded_at", "epoch", "retracted", "retry"];

/// What a run left behind, read once.
pub struct Found {
    tables: Tables,
    epochs: Vec<EpochRow>,
    letters: Vec<DeadLetterRow>,
    requests: i64,
}

impl Found {
    /// Reads it.
    pub async fn of(lake: &Lake) -> Found {
        let (tables, requests) = (Tables::of(lake).await, lake.next_retry().await.expect("a number"));
        let epochs = lake.epochs_after(GROUP, 0).await.expect("epochs");
        let letters = dead_letters(lake).await.expect("dead letters");
        Found { tables, epochs, letters, requests }
    }

    /// The events that count, by where they stood.
    pub fn events(&self) -> BTreeSet<(PartitionId, i64)> {
        self.tables.rows(Table::Events).iter().map(place).collect()
    }

    /// The partition, and from where until where, of each row of an intent that has them: of losses, or of what was read.
    fn ranges(&self, are_lost: bool) -> impl Iterator<Item = (i64, PartitionId, i64, i64)> {
        let rows = self.epochs.iter().filter(move |row| row.lost_count.is_some() == are_lost);
        rows.filter_map(|row| {
            let id = PartitionId { topic: row.topic.as_deref()?.into(), partition: row.partition? };
            Some((row.epoch, id, row.from_offset?, row.until_offset?))
        })
    }
}

/// What is told to be lost is lost, and is told once. Returns the records that nobody read: those, and what was deleted of a
/// partition before anything was read of it.
pub fn what_is_lost_is_told_once(
    world: &World,
    found: &Found,
    beginnings: &BTreeMap<PartitionId, i64>,
) -> BTreeSet<(PartitionId, i64)> {
    let mut lost = BTreeSet::new();
    let beginning = |id: &PartitionId| beginnings.get(id).copied().unwrap_or(0);
    for (epoch, id, from, until) in found.ranges(true) {
        assert!(from < until && until <= beginning(&id), "epoch {epoch} tells that {id:?} lost {from}..{until}");
        let again = (from..until).find(|offset| !lost.insert((id.clone(), *offset)));
        assert_eq!(again, None, "epoch {epoch} tells again what {id:?} lost");
    }
    for (id, stored) in &world.partitions {
        let first = found.ranges(false).find(|(_, of, from, until)| of == id && from < until);
        let first = first.map_or(i64::MAX, |(_, _, from, _)| from).min(beginning(id));
        lost.extend(stored.iter().filter(|record| record.offset < first).map(|record| (id.clone(), record.offset)));
    }
    lost
}

/// The recorded epochs read every partition from its beginning to its end, each record in one of them.
pub fn every_range_is_read_once(world: &World, found: &Found) {
    let mut read: BTreeMap<PartitionId, i64> = BTreeMap::new();
    let mut last_epoch = 0;
    for row in &found.epochs {
        assert!(row.epoch == last_epoch || row.epoch == last_epoch + 1, "epoch {} follows {last_epoch}", row.epoch);
        last_epoch = row.epoch;
    }
    for (epoch, id, from, until) in found.ranges(false) {
        let next = read.entry(id.clone()).or_insert(from);
        let is_new = *next <= world.first_of(&id).map_or(0, |first| first.offset);
        assert!(from == *next || is_new, "epoch {epoch} reads {id:?} from {from}, and not from {next}");
        assert!(until >= from, "epoch {epoch} reads {id:?} back from {from} until {until}");
        *next = until;
    }
    let mut ends = world.partitions.keys().map(|id| (id.clone(), world.end_of(id))).collect::<BTreeMap<_, _>>();
    if found.requests > 0 {
        ends.insert(PartitionId::retries(), found.requests);
    }
    assert_eq!(read, ends, "everything was read");
}

/// Each record is a dead letter, an accepted event, or a copy of one: of those with one source and id one counts. So of
/// each partition records read = accepted + duplicates + dead letters, record by record. A dead letter that can be used
/// in the end, because its mapping was mended, is an event or a copy of one, too.
pub fn every_record_is_accounted_for(world: &World, change: Change, found: &Found) {
    let events = found.tables.rows(Table::Events);
    let mut accepted = BTreeSet::new();
    for row in events {
        assert!(accepted.insert(place(row)), "event {:?} is there twice", place(row));
    }
    let mut told = BTreeSet::new();
    for letter in &found.letters {
        let place = (&letter.topic, letter.partition, letter.offset, letter.retry);
        assert!(told.insert(place), "dead letter {place:?} is there twice");
    }
    let set_aside = newest(found.letters.clone());
    let names = events.iter().map(|row| (text(row, "source").to_owned(), text(row, "id").to_owned()));
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    names.for_each(|name| *counted.entry(name).or_default() += 1);
    let (mut known, mut open, mut used) = (BTreeSet::new(), 0, 0);
    for (id, record) in world.records() {
        let place = (id.clone(), record.offset);
        let outcome = set_aside.get(&place).map(|letter| letter.outcome.as_deref());
        match &record.is {
            Meaning::Mendable(source, name) if change.is_mapping => {
                assert_ne!(outcome, Some(None), "{place:?} can be used now");
                used += usize::from(outcome.is_some());
                let is_event = outcome == Some(Some("event"));
                assert!(!is_event || accepted.contains(&place), "{place:?} is an event");
                known.insert((source.to_string(), name.clone()));
            }
            Meaning::Garbage | Meaning::Mendable(..) => {
                assert_eq!(outcome, Some(None), "{place:?} is an open dead letter");
                open += 1;
            }
            Meaning::Event(source, name) => {
                assert_eq!(outcome, None, "{place:?} is an event");
                known.insert((source.to_string(), name.clone()));
            }
        }
    }
    assert_eq!(set_aside.len(), open + used, "no other dead letters");
    let told: BTreeSet<_> = counted.keys().cloned().collect();
    assert_eq!(told, known, "every event counts");
    let is_once = world.has_late_copies || counted.values().all(|count| *count == 1);
    assert!(is_once, "no event counts twice: {counted:?}");
    assert_eq!(accepted.len(), counted.values().sum::<usize>());
}

/// A process that read everything counted every record: read = accepted + duplicates + read before + dead letters.
pub fn the_counts_add_up(world: &World, change: Change, live: &Live) {
    let counts = live.pipeline();
    let (mut garbage, mut names, mut events) = (0, BTreeSet::new(), 0);
    for (_, record) in world.records() {
        match &record.is {
            Meaning::Mendable(source, name) | Meaning::Event(source, name)
                if change.is_mapping || matches!(record.is, Meaning::Event(..)) =>
            {
                events += 1;
                names.insert((*source, name));
            }
            _ => garbage += 1,
        }
    }
    assert_eq!(counts.dead_letters.values().sum::<u64>(), garbage);
    assert_eq!(counts.events.values().sum::<u64>(), names.len() as u64);
    assert_eq!(counts.duplicates, events - names.len() as u64);
    assert_eq!(counts.already_read, 0);
}

/// When nothing is on its way, what a process counts of each partition adds up.
pub fn every_record_that_was_read_became_something(live: &Live) {
    for (id, account) in live.pipeline().accounts {
        let became = account.accepted + account.duplicates + account.already_read + account.dead_letters;
        assert_eq!(account.read, became, "{id:?}: {account:?}");
    }
}

/// The tables are what the recorded epochs make when they are made once, one after the other, by workers to which nothing
/// happens: file by file and byte by byte, or, where files were merged, row by row.
pub async fn the_tables_follow_from_the_epochs(world: &World, shape: &Shape, outcome: &Outcome, found: &Found) {
    let again = made_again(world, shape, outcome, &found.epochs).await;
    for table in Table::ALL {
        if files(&outcome.lake, table).await == files(&again, table).await {
            continue;
        }
        let expected = rows(&again, table).await.expect("rows");
        let (one, other) = (counted(found.tables.rows(table)), counted(&expected));
        same(&format!("{} as written and as it follows from the epochs", table.name()), &one, &other);
        assert!(outcome.is_merged, "the files of {} hold the same rows in other bytes", table.name());
    }
}

/// What crashes leave behind is no damage: nothing is found that would have to be repaired, but for a state, a checkpoint or
/// its announcement that was torn while it was written, in whose place an older one, or the whole log, is taken.
pub async fn nothing_is_damaged(lake: &Lake) {
    let mut damages = lake.inspect(true).await.expect("an inspection").damages;
    let endings = [".checkpoint.parquet", "/_delta_log/_last_checkpoint"];
    let is_torn =
        |path: &str| path.starts_with("_plimsoll/snapshots/") || endings.iter().any(|end| path.ends_with(end));
    damages.retain(|damage| !is_torn(&damage.path));
    assert_eq!(damages, []);
}

/// A lake in which the recorded epochs of another were made again.
async fn made_again(world: &World, shape: &Shape, outcome: &Outcome, recorded: &[EpochRow]) -> Lake {
    let store = SimulatedStore::new(Disk::new(0, Faults::default()), Mortal::new(0, None));
    let lake = Lake::open_in(Arc::new(store), url()).await.expect("a lake");
    let mut epochs: BTreeMap<i64, Vec<EpochRow>> = BTreeMap::new();
    for row in recorded {
        epochs.entry(row.epoch).or_default().push(row.clone());
    }
    let mut epochs = epochs.into_iter().peekable();
    while let Some((epoch, first)) = epochs.next() {
        let (recounted, digest) = (first[0].recounted, first[0].definitions.clone());
        lake.record_intent(GROUP, epoch, &first).await.expect("an intent");
        while let Some((epoch, rows)) = epochs.next_if(|(_, rows)| !rows[0].recounted && rows[0].definitions == digest)
        {
            lake.record_intent(GROUP, epoch, &rows).await.expect("an intent");
        }
        let bytes = outcome.lake.definitions(&digest).await.expect("definitions");
        lake.keep_definitions(bytes).await.expect("room for definitions");
        make(world, shape, &lake, &outcome.lake, &digest, recounted).await;
    }
    lake
}

/// Makes what is recorded, under one set of definitions.
async fn make(world: &World, shape: &Shape, lake: &Lake, of: &Lake, digest: &str, recounted: bool) {
    let mut worker = None;
    for definitions in &world.definitions {
        let shape = Shape { rows_max: usize::MAX, ..shape.clone() };
        let settings = settings(&shape, Arc::new(|| FINAL));
        let opened = Worker::open(settings, lake.clone(), definitions.clone(), Arc::new(Live::default())).await;
        let opened = opened.expect("a worker");
        if !opened.is_former() {
            worker = Some(opened);
            break;
        }
    }
    let mut worker = worker.unwrap_or_else(|| panic!("no definitions have the digest {digest}"));
    if let Some(before) = worker.wants_recount() {
        assert!(recounted, "epoch {} tells that stored events were taken again", worker.next_epoch());
        worker.begin_recount();
        stored_events(lake, world, &before).await.expect("events").iter().for_each(|events| worker.recount(events));
        worker.end_recount();
    }
    let broker = Broker::default();
    let mut client = Client::new(world, &broker, &worker);
    let all = world.partitions.keys().cloned().collect();
    let requests = Requests::new(of.clone(), client.sources(), &worker).take_all().await.expect("requests");
    let inputs = client.assign(&all, true).into_iter().chain(client.drain(FINAL, FINAL)).chain(requests);
    inputs.for_each(|input: Input| worker.take(input));
    let committer = worker.committer();
    let mut orders = std::collections::VecDeque::new();
    while let Some(order) = worker.replay().expect("an epoch") {
        orders.push_back(order);
    }
    assert!(worker.is_replayed(), "all that was recorded can be made again");
    orders.extend(worker.rest().expect("a state").0);
    carry_out(&committer, &mut orders, 0).await.expect("a lake");
}

/// What tables say in the end: of each what it is, and its rows with how often each stands there.
pub type Said = Vec<(String, BTreeMap<String, usize>)>;

/// What the tables say in the end, which another run of the same world must say, too. Of a key the current row counts; left
/// out are the columns of bookkeeping, and of a clock that has not stopped how much had passed when it was written. Daily
/// measures of what is promised later begin with the start that knows of it (R24), so where definitions change they are left
/// out.
pub fn said(found: &Found, change: Change) -> Said {
    let tables = &found.tables;
    let mut said = Vec::new();
    for (table, key) in CURRENT {
        said.push((format!("{}, current", table.name()), current(tables.rows(*table), *table, key)));
    }
    if !change.is_promise {
        said.push(("measures".to_owned(), measures(tables.rows(Table::Measures))));
    }
    said.push(("events".to_owned(), content(tables.rows(Table::Events))));
    said
}

/// Both say the same.
pub fn the_tables_say_the_same(one: &Said, other: &Said) {
    for ((what, one), (_, other)) in one.iter().zip(other) {
        same(&format!("{what}, as they came about and all at once"), one, other);
    }
}

/// Of the rows with one key the one with the greatest revision counts, and of these the one of the latest epoch; when it
/// is retracted, none.
const CURRENT: &[(Table, &[&str])] = &[
    (Table::Attainment, &["agreement", "agreement_version", "service", "objective", "window_start"]),
    (Table::Credits, &["agreement", "agreement_version", "service", "window_start", "window_end"]),
    (Table::Watermelons, &["agreement", "agreement_version", "service", "objective", "window_start"]),
    (Table::Clocks, &["agreement", "agreement_version", "service", "objective", "ticket", "cycle"]),
    (Table::Outages, &["service", "started_at"]),
    (Table::Transitions, &["service", "at"]),
    (
        Table::Attributions,
        &[
            "agreement",
            "agreement_version",
            "service",
            "objective",
            "ticket",
            "cycle",
            "window_start",
            "supporting_agreement",
            "supporting_version",
            "supporting_service",
        ],
    ),
    (Table::Agreements, &["agreement", "agreement_version", "service", "objective"]),
    (Table::Calendars, &["calendar", "calendar_version"]),
    (Table::Services, &["service"]),
    (Table::DeadLetters, &["topic", "partition", "offset"]),
];

fn current(rows: &[Row], table: Table, key: &[&str]) -> BTreeMap<String, usize> {
    let mut newest: BTreeMap<String, &Row> = BTreeMap::new();
    for row in rows {
        let name = key.iter().map(|column| format!("{:?} ", row.get(*column))).collect::<String>();
        let rank = |row: &Row| ["revision", "epoch"].map(|column| row.get(column).and_then(Value::as_i64));
        if newest.get(&name).is_none_or(|known| rank(known) < rank(row)) {
            newest.insert(name, row);
        }
    }
    let mut told: Vec<Row> = newest.into_values().cloned().collect();
    // A dead letter that became an event is none any more.
    let is_over = |row: &Row| table == Table::DeadLetters && row.contains_key("outcome");
    told.retain(|row| row.get("retracted") != Some(&Value::Bool(true)) && !is_over(row));
    for row in &mut told {
        let grows = table == Table::Clocks && !row.contains_key("stopped_at");
        let grown = if grows { &["elapsed_us", "paused_us"][..] } else { &[] };
        row.retain(|name, _| !BOOKKEEPING.contains(&name.as_str()) && !grown.contains(&name.as_str()));
    }
    counted(&told)
}

/// The signed rows of each bucket, added up; buckets in which nothing is left are not told.
fn measures(rows: &[Row]) -> BTreeMap<String, usize> {
    let mut sums: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for mut row in rows.iter().cloned() {
        row.retain(|name, _| !BOOKKEEPING.contains(&name.as_str()) && name != "bucket_end");
        let is_part = |name: &str| {
            name == "good_us" || (name != "latency_at_most_us" && name.ends_with("_us")) || name.ends_with("_count")
        };
        let key: Row =
            row.iter().filter(|(name, _)| !is_part(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        let sum = sums.entry(Value::Object(key).to_string()).or_default();
        for (name, value) in row.iter().filter(|(name, _)| is_part(name)) {
            *sum.entry(name.clone()).or_default() += value.as_i64().expect("a number");
        }
    }
    sums.retain(|_, sum| sum.values().any(|part| *part != 0));
    sums.into_iter().map(|(key, sum)| (format!("{key} {sum:?}"), 1)).collect()
}

/// What accepted events say. Which of several copies counts depends on which was read first, and so where it stood does.
fn content(rows: &[Row]) -> BTreeMap<String, usize> {
    let mut told = rows.to_vec();
    for row in &mut told {
        row.retain(|name, _| !BOOKKEEPING.contains(&name.as_str()) && name != "partition" && name != "offset");
    }
    counted(&told)
}

fn same(what: &str, one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>) {
    let lacks = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| {
        let rows = one.iter().filter(|(row, count)| other.get(*row) != Some(count));
        rows.take(3).map(|(row, count)| format!("\n    {count} x {row}")).collect::<String>()
    };
    let (more, missing) = (lacks(one, other), lacks(other, one));
    assert!(
        more.is_empty() && missing.is_empty(),
        "{what}:\n  only in the first:{more}\n  only in the second:{missing}"
    );
}
