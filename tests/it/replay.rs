//! What a recorded epoch says when it is made again: what it said at first.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use plimsoll_aggregate::worker::REMEMBERED;
use plimsoll_aggregate::{Input, Live, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::{Decoder, Record};
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::table::Table;

use crate::tables::defined;

const GROUP: &str = "test";

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

fn at(time: &str) -> Instant {
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
    let settings = WorkerSettings {
        group: GROUP.to_owned(),
        shard: Shard::WHOLE,
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
