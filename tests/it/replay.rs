//! What a recorded epoch says when it is made again: what it said at first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use plimsoll_aggregate::collector::RecordedEpoch;
use plimsoll_aggregate::definitions::touching_the_past;
use plimsoll_aggregate::rebuild::{StoredRecords, deliveries_of};
use plimsoll_aggregate::worker::REMEMBERED;
use plimsoll_aggregate::{Input, Live, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::{Decoder, Record};
use plimsoll_lake::Lake;
use plimsoll_query::{Format, Limits, QueryService, encode};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason, Delivery, PartitionId};
use plimsoll_schemas::table::{EpochRow, Table};
use tokio::runtime::Handle;

use crate::tables::defined;

pub const GROUP: &str = "test";

const PROMISE: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: site}
spec:
  type: ola
  services: [web]
  effective: {from: 2026-03-01}
  objectives:
  - {id: up, indicator: {signal: availability}, target: {at_least: 95 %}, window: {calendar: month}}
";

pub fn at(time: &str) -> Instant {
    Instant::from(time.parse::<chrono::DateTime<chrono::Utc>>().expect("a time"))
}

fn id(partition: i32) -> PartitionId {
    PartitionId { topic: "events.ndjson".into(), partition }
}

async fn lake() -> Lake {
    let url = "memory:///".parse().expect("a URL");
    Lake::open_in(Arc::new(InMemory::new()), url).await.expect("a lake")
}

/// A worker that publishes every thirteen hours, by this clock.
async fn worker(
    lake: &Lake,
    definitions: &Arc<Definitions>,
    clock: impl Fn() -> Instant + Send + Sync + 'static,
) -> Worker {
    worker_of(Shard::WHOLE, lake, definitions, clock).await
}

/// A worker that keeps one of several shards.
pub async fn worker_of(
    shard: Shard,
    lake: &Lake,
    definitions: &Arc<Definitions>,
    clock: impl Fn() -> Instant + Send + Sync + 'static,
) -> Worker {
    let settings = WorkerSettings {
        group: GROUP.to_owned(),
        shard,
        lanes: 1,
        epoch_interval: Duration::ZERO,
        epoch_rows_max: usize::MAX,
        publish_interval: Duration::from_hours(13),
        snapshot_every: i64::MAX,
        remembered: REMEMBERED,
        clock: Arc::new(clock),
    };
    Worker::open(settings, lake.clone(), definitions.clone(), Arc::new(Live::default())).await.expect("a worker")
}

/// A check of partition 0 that found `web` up, and until when the partition is complete.
fn check(definitions: &Definitions, offset: i64, time: &str, complete_until: Option<Instant>) -> Delivery {
    let source = Arc::new(definitions.sources.values().next().expect("a source").clone());
    let mut decoder = Decoder::new(source, id(0));
    let json = format!(r#"{{"id":"{offset}","time":"{time}","kind":"monitoring","service":"web","status":"up"}}"#);
    decoder.decode(Record { offset, payload: Some(json.as_bytes()), record_time: None });
    decoder.take(offset, offset + 1, complete_until).expect("columns")
}

async fn results(lake: &Lake) -> Vec<String> {
    lake.files(Table::Attainment).await.expect("files").files.iter().map(|file| file.path.clone()).collect()
}

/// Runs of an epoch may end between any two records, and dead letters come back where they stood.
#[test]
fn r25_what_an_epoch_took_comes_back_in_its_order_though_it_is_stored_in_parts() {
    let definitions = defined(PROMISE).expect("good definitions");
    let letter = |offset| DeadLetter {
        offset,
        source: "plain".into(),
        reason: DeadLetterReason::Empty,
        detail: String::new(),
        payload: Vec::new(),
        payload_bytes: 0,
        record_time: None,
    };
    let event = |offset| check(&definitions, offset, "2026-03-02T08:00:00Z", None).events;
    let stored = StoredRecords {
        events: vec![(at("2026-03-02T08:00:00Z"), event(16)), (at("2026-03-02T09:00:00Z"), event(20))],
        dead_letters: [15, 18, 22].map(letter).into(),
        requests: Vec::new(),
    };
    let row = EpochRow {
        epoch: 7,
        topic: Some("events.ndjson".into()),
        partition: Some(0),
        from_offset: Some(15),
        until_offset: Some(25),
        ..EpochRow::default()
    };
    let recorded = RecordedEpoch::from_rows(vec![row]).pop_front().expect("an epoch");
    let told = deliveries_of(&recorded, &id(0), stored).into_iter().map(|part| {
        let letters: Vec<i64> = part.dead_letters.iter().map(|letter| letter.offset).collect();
        (part.from_offset, part.until_offset, letters, part.read_at)
    });
    let expected = [
        (15, 17, vec![15], Some(at("2026-03-02T08:00:00Z"))),
        (17, 25, vec![18, 22], Some(at("2026-03-02T09:00:00Z"))),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn r23_an_epoch_made_again_starts_from_the_watermark_that_it_tells() {
    let definitions = Arc::new(defined(PROMISE).expect("good definitions"));
    let (midnight, noon) = (at("2026-03-02T00:00:00Z"), at("2026-03-02T12:00:00Z"));
    let first = check(&definitions, 0, "2026-03-01T23:59:00Z", Some(midnight));
    let second = check(&definitions, 1, "2026-03-02T13:00:00Z", None);
    let now = Arc::new(std::sync::Mutex::new(midnight));
    let (told, is) = (now.clone(), |time| *now.lock().expect("a clock") = time);

    let original = lake().await;
    let mut live = worker(&original, &definitions, move || *told.lock().expect("a clock")).await;
    let committer = live.committer();
    let commit = async |order: Option<plimsoll_aggregate::Order>| {
        let order = order.expect("an epoch").encode().expect("files");
        committer.carry_out(order).await.expect("a commit");
    };
    live.take(Input::Delivery(first.clone()));
    commit(live.cut(false).expect("columns")).await;
    assert_eq!(live.watermark(), midnight);
    // A step that reads nothing is not recorded, and the watermark goes on to noon.
    is(noon);
    live.take(Input::Delivery(Delivery::news(id(0), 1, Some(noon))));
    assert!(live.cut(false).expect("columns").is_none());
    assert_eq!(live.watermark(), noon);
    // A partition is added of which nothing is heard, so it stays there; the results until noon are published.
    is(at("2026-03-02T13:00:00Z"));
    live.take(Input::Assigned(vec![id(1)]));
    live.take(Input::Delivery(second.clone()));
    commit(live.cut(false).expect("columns")).await;
    assert_eq!(live.watermark(), noon);

    let anew = lake().await;
    for epoch in [1, 2] {
        let rows = original.epochs_after(GROUP, epoch - 1).await.expect("epochs");
        let rows: Vec<_> = rows.into_iter().filter(|row| row.epoch == epoch).collect();
        anew.record_intent(GROUP, epoch, &rows).await.expect("an intent");
    }
    let mut again = worker(&anew, &definitions, || at("2026-03-09T00:00:00Z")).await;
    let committer = again.committer();
    [first, second].into_iter().for_each(|delivery| again.take(Input::Delivery(delivery)));
    while let Some(order) = again.replay().expect("columns") {
        committer.carry_out(order.encode().expect("files")).await.expect("a commit");
    }
    assert!(again.is_replayed());
    assert_eq!((again.watermark(), results(&anew).await), (noon, results(&original).await));
    assert_eq!(results(&original).await.len(), 2, "both epochs published");
}

#[tokio::test]
async fn an_epoch_tells_that_a_partition_was_read_from_its_first_record_on() {
    let definitions = Arc::new(defined(PROMISE).expect("good definitions"));
    let lake = lake().await;
    let mut live = worker(&lake, &definitions, || at("2026-03-02T13:00:00Z")).await;
    let committer = live.committer();
    let commit = async |order: Option<plimsoll_aggregate::Order>| {
        let order = order.expect("an epoch").encode().expect("files");
        committer.carry_out(order).await.expect("a commit");
    };
    // The first epoch tells the definitions.
    live.take(Input::Delivery(Delivery::news(id(1), 0, None)));
    commit(live.cut(false).expect("columns")).await;
    // Kafka deleted its first five records before anybody read it, which nobody knows when the partition is assigned.
    live.take(Input::Assigned(vec![id(0)]));
    assert!(live.cut(false).expect("columns").is_none());
    live.take(Input::Delivery(check(&definitions, 5, "2026-03-02T12:00:00Z", None)));
    commit(live.cut(false).expect("columns")).await;
    let rows = lake.epochs_after(GROUP, 1).await.expect("epochs");
    let ranges: Vec<_> = rows.iter().map(|row| (row.partition, row.from_offset, row.until_offset)).collect();
    assert_eq!(ranges, [(Some(0), Some(5), Some(6))]);
}

/// Of two shards the second lacks what the first has read, because the exchange was deleted meanwhile.
#[tokio::test]
async fn a_loss_is_told_by_each_shard_that_suffers_it_and_shown_once() {
    let definitions = Arc::new(defined(PROMISE).expect("good definitions"));
    let lake = lake().await;
    let tell = async |shard: u32, losses: &[(i64, i64)]| {
        let shard = Shard::new(shard, 2).expect("a shard");
        let mut live = worker_of(shard, &lake, &definitions, || at("2026-03-02T13:00:00Z")).await;
        for (from, until) in losses {
            live.take(Input::Delivery(Delivery::lost(id(0), *from, *until)));
        }
        let order = live.cut(false).expect("columns").expect("an epoch").encode().expect("files");
        live.committer().carry_out(order).await.expect("a commit");
    };
    tell(0, &[(0, 5), (15, 20)]).await;
    tell(1, &[(0, 5), (10, 20), (30, 31)]).await;
    let service = QueryService::open(lake.clone(), Limits::default(), Handle::current()).await.expect("a service");
    let answer = service.sql("SELECT from_offset, until_offset, lost_count, epoch FROM gaps ORDER BY 1").await;
    let rows = encode(answer.expect("gaps"), Format::Csv).try_collect::<Vec<_>>().await.expect("rows").concat();
    let text = String::from_utf8(rows).expect("text");
    // Shard 0 has the epochs 1, 3, ..., shard 1 has 2, 4, ...
    assert_eq!(text, "from_offset,until_offset,lost_count,epoch\n0,5,5,1\n10,20,10,1\n30,31,1,2\n");
}

/// Nobody knows where a partition begins of which an epoch only says that it is there.
#[tokio::test]
async fn a_partition_that_was_only_expected_is_read_from_its_beginning_after_a_crash() {
    let definitions = Arc::new(defined(PROMISE).expect("good definitions"));
    let lake = lake().await;
    let open = || worker(&lake, &definitions, || at("2026-03-02T13:00:00Z"));
    let mut live = open().await;
    let committer = live.committer();
    let commit = async |order: Option<plimsoll_aggregate::Order>| {
        committer.carry_out(order.expect("an epoch").encode().expect("files")).await.expect("a commit");
    };
    live.take(Input::Assigned(vec![id(0), id(1)]));
    live.take(Input::Delivery(check(&definitions, 0, "2026-03-02T12:00:00Z", None)));
    commit(live.cut(false).expect("columns")).await;
    assert_eq!(open().await.start_offsets(), HashMap::from([(id(0), 0)]));
    // Kafka had deleted the first fifteen records of the other before anybody read them: that is no loss.
    let begun = Delivery { partition: id(1), ..check(&definitions, 15, "2026-03-02T12:30:00Z", None) };
    live.take(Input::Delivery(begun));
    commit(live.cut(false).expect("columns")).await;
    assert_eq!(open().await.start_offsets(), HashMap::from([(id(0), 0), (id(1), 15)]));
}

/// Definitions changed between the crash and the next start, so that who makes the epoch again makes no other.
#[tokio::test]
async fn what_a_recorded_epoch_lost_is_told_though_definitions_changed() {
    let before = Arc::new(defined(PROMISE).expect("good definitions"));
    let after = Arc::new(defined(&PROMISE.replace("95 %", "96 %")).expect("good definitions"));
    let lake = lake().await;
    let clock = || at("2026-03-02T13:00:00Z");
    let mut live = worker(&lake, &before, clock).await;
    let order = {
        live.take(Input::Delivery(check(&before, 0, "2026-03-02T12:00:00Z", None)));
        live.cut(false).expect("columns").expect("an epoch")
    };
    live.committer().carry_out(order.encode().expect("files")).await.expect("a commit");

    let mut former = worker(&lake, &after, clock).await;
    assert!(former.is_former());
    let committer = former.committer();
    former.take(Input::Delivery(Delivery::lost(id(0), 0, 1)));
    let again = former.replay().expect("columns").expect("the epoch");
    let (orders, _) = former.rest().expect("a state");
    for order in [again].into_iter().chain(orders) {
        committer.carry_out(order.encode().expect("files")).await.expect("a commit");
    }
    let rows = lake.epochs_after(GROUP, 1).await.expect("epochs");
    let losses: Vec<_> =
        rows.iter().filter_map(|row| Some((row.from_offset?, row.until_offset?, row.lost_count?))).collect();
    assert_eq!(losses, [(0, 1, 1)]);
    assert!(!worker(&lake, &after, clock).await.is_former(), "the next one goes on by the definitions in force");
}

/// The promise in office hours, with a version 2 of the agreement or of the calendar from these days on.
fn versions(agreement: Option<&str>, calendar: Option<&str>) -> Definitions {
    let hours = |version: u8, effective: &str, from: &str| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Calendar\nmetadata: {{id: office, version: {version}}}\n\
             spec: {{time_zone: UTC, effective: {effective}, \
             hours: [{{days: mon-sun, from: \"{from}\", until: \"16:00\"}}]}}\n"
        )
    };
    let in_hours = PROMISE.replace("signal: availability", "signal: availability, calendar: office");
    let mut text = in_hours.clone() + &hours(1, "{from: 2026-01-01}", "08:00");
    if let Some(effective) = agreement {
        let (_, second) = in_hours.rsplit_once("---\n").expect("an agreement");
        let second = second.replace("{id: site}", "{id: site, version: 2}");
        text += &format!("---\n{}", second.replace("{from: 2026-03-01}", effective).replace("95 %", "99 %"));
    }
    text += &calendar.map_or(String::new(), |effective| hours(2, effective, "10:00"));
    defined(&text).expect("good definitions")
}

/// A lake in which one epoch read two months of history, at whose beginning nothing was known.
async fn lake_with_history(definitions: Definitions) -> Lake {
    let before = Arc::new(definitions);
    let lake = lake().await;
    let mut live = worker(&lake, &before, || at("2026-05-02T12:00:00Z")).await;
    let committer = live.committer();
    live.take(Input::Delivery(check(&before, 0, "2026-03-02T12:00:00Z", None)));
    live.take(Input::Delivery(check(&before, 1, "2026-05-02T11:00:00Z", Some(at("2026-05-02T11:59:00Z")))));
    let order = live.cut(false).expect("columns").expect("an epoch").encode().expect("files");
    committer.carry_out(order).await.expect("a commit");
    assert_eq!(live.watermark(), at("2026-05-02T11:59:00Z"));
    assert_eq!(lake.epochs_after(GROUP, 0).await.expect("epochs")[0].watermark, None);
    lake
}

/// Its days would fall back to the version before it, whose results would stand beside its own.
#[tokio::test]
async fn r24_a_version_that_came_into_force_does_not_leave_while_an_older_one_stays() {
    let told = async |before: &str, now: Definitions| {
        let lake = lake_with_history(versions(Some(before), None)).await;
        let told = touching_the_past(&lake, &now, &BTreeSet::new()).await.expect("a lake");
        told.map(|told| (told.version, told.start, told.falls_back_to, told.to_string()))
    };
    let april = at("2026-04-01T00:00:00Z");
    let (version, start, falls_back_to, text) =
        told("{from: 2026-04-01}", versions(None, None)).await.expect("it is refused");
    assert_eq!((version, start, falls_back_to), (2, april, Some(1)));
    assert!(text.starts_with("agreement site: version 2, in force from 2026-04-01"), "{text}");
    assert_eq!(told("{from: 2026-05-03}", versions(None, None)).await, None, "it had not begun");
    let mut none = versions(None, None);
    none.agreements.clear();
    assert_eq!(told("{from: 2026-04-01}", none).await, None, "what leaves as a whole keeps its results");
    let mut second = versions(Some("{from: 2026-04-01}"), None);
    second.agreements.retain(|agreement| agreement.version == 2);
    assert_eq!(told("{from: 2026-04-01}", second).await, None, "so does an older version");
}

#[tokio::test]
async fn r24_a_version_that_touches_what_the_newest_epoch_made_known_is_refused() {
    let lake = lake_with_history(versions(None, None)).await;
    let told = async |definitions: Definitions| {
        let told = touching_the_past(&lake, &definitions, &BTreeSet::new()).await.expect("a lake");
        told.map(|told| (told.of, told.id.to_string(), told.version, told.start))
    };
    assert_eq!(told(versions(None, None)).await, None, "what is in force");
    let april = at("2026-04-01T00:00:00Z");
    let agreement = |effective| versions(Some(effective), None);
    let calendar = |effective| versions(None, Some(effective));
    assert_eq!(told(agreement("{from: 2026-04-01}")).await, Some(("agreement", "site".to_owned(), 2, april)));
    assert_eq!(told(calendar("{from: 2026-04-01}")).await, Some(("calendar", "office".to_owned(), 2, april)));
    assert_eq!(told(agreement("{from: 2026-04-01, retroactive: true}")).await, None);
    assert_eq!(told(calendar("{from: 2026-04-01, retroactive: true}")).await, None);
    assert_eq!(told(agreement("{from: 2026-05-03}")).await, None, "nothing is known of it");
    assert_eq!(told(calendar("{from: 2026-05-03}")).await, None, "nothing is known of it");
    // Who has read it knows better than the lake.
    let known = BTreeSet::from([GROUP.to_owned()]);
    assert_eq!(touching_the_past(&lake, &agreement("{from: 2026-04-01}"), &known).await.expect("a lake"), None);
}
