//! Storage that is slow, and input that is not what is waited for: neither grows memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use plimsoll_aggregate::worker::REMEMBERED;
use plimsoll_aggregate::{Input, Live, ORDERS_MAX, Progress, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::IngestError;
use plimsoll_ingest::file::read_file;
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_tests::broker::Broker;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::recovery;
use crate::support::get;
use crate::tables::defined;

/// How many records an epoch takes at most, and a delivery.
const EPOCH_ROWS_MAX: usize = 1_000;
const DELIVERY_ROWS: i64 = 100;

struct World {
    runtime: Runtime,
    definitions: Arc<Definitions>,
    lake: Lake,
    live: Arc<Live>,
}

impl World {
    /// A lake in which each file takes so long to be written.
    fn new(wait_put_per_call: Duration) -> World {
        let runtime = Runtime::new().expect("threads");
        let config = ThrottleConfig { wait_put_per_call, ..ThrottleConfig::default() };
        let store = Arc::new(ThrottledStore::new(InMemory::new(), config));
        let url = "memory:///".parse().expect("a URL");
        let lake = runtime.block_on(Lake::open_in(store, url)).expect("a lake");
        let service = "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}";
        let definitions = Arc::new(defined(service).expect("good definitions"));
        World { runtime, definitions, lake, live: Arc::default() }
    }

    fn worker(&self) -> Worker {
        let settings = WorkerSettings {
            group: "test".to_owned(),
            shard: Shard::WHOLE,
            lanes: 1,
            epoch_interval: Duration::from_millis(10),
            epoch_rows_max: EPOCH_ROWS_MAX,
            publish_interval: Duration::from_hours(1),
            snapshot_every: i64::MAX,
            remembered: REMEMBERED,
            clock: Arc::new(|| Instant::from(chrono::Utc::now())),
        };
        let opening = Worker::open(settings, self.lake.clone(), self.definitions.clone(), self.live.clone());
        self.runtime.block_on(opening).expect("a worker")
    }

    /// So many good records of a partition.
    fn records(&self, partition: i32, count: i64) -> Delivery {
        let record = |number: i64| {
            let id = format!("{partition}-{number}");
            json!({"id": id, "time": "2026-03-02T00:00:00Z", "kind": "monitoring", "service": "web", "status": "up"})
        };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("events.ndjson");
        let lines: String = (0..count).map(|number| format!("{}\n", record(number))).collect();
        std::fs::write(&file, lines).expect("a file");
        let source = Arc::new(self.definitions.sources.values().next().expect("a source").clone());
        let mut all = None;
        read_file::<IngestError>(&file, &source, &mut |delivery| {
            all.get_or_insert(delivery);
            Ok(())
        })
        .expect("records");
        // Lines are counted from 1.
        Delivery { partition: id(partition), ..all.expect("a delivery") }.split_at(count + 1).0
    }

    fn stored(&self) -> u64 {
        let files = self.runtime.block_on(self.lake.files(plimsoll_schemas::table::Table::Events)).expect("files");
        files.files.iter().filter_map(|file| file.rows).sum()
    }
}

fn id(partition: i32) -> PartitionId {
    PartitionId { topic: "events.ndjson".into(), partition }
}

#[test]
fn a_slow_disk_slows_the_source_and_grows_nothing() {
    // Thirty epochs of two files and two entries each, at 5 ms a put, take longer than the records take to come.
    let world = World::new(Duration::from_millis(5));
    let count = 30 * EPOCH_ROWS_MAX as i64;
    let mut rest = world.records(0, count);
    let (inputs, queue) = sync_channel(1);
    let committed = Arc::new(AtomicI64::new(1));
    let told = committed.clone();
    let on_progress = move |progress: &Progress| {
        told.fetch_max(progress.offsets.get(&id(0)).copied().unwrap_or(1), Ordering::SeqCst);
    };
    let (worker, runtime) = (world.worker(), world.runtime.handle().clone());
    let working = std::thread::spawn(move || worker.run(runtime, || false, queue, on_progress));
    let mut most = 0;
    while rest.from_offset < rest.until_offset {
        let (next, after) = { rest.clone().split_at(rest.from_offset + DELIVERY_ROWS) };
        let until = next.until_offset;
        inputs.send(Input::Delivery(next)).expect("the worker lives");
        most = most.max(until - committed.load(Ordering::SeqCst));
        rest = after;
    }
    drop(inputs);
    working.join().expect("no panic").expect("epochs");
    // One epoch that is collected, those with the writer, one that was written and is not told yet, and what is on its way.
    let epochs_max = 1 + ORDERS_MAX as i64 + 1;
    let bound = epochs_max * (EPOCH_ROWS_MAX as i64 + DELIVERY_ROWS) + 2 * DELIVERY_ROWS;
    assert!(most <= bound, "{most} records were on their way, {bound} may be");
    assert!(most >= 2 * EPOCH_ROWS_MAX as i64, "{most} records at most: the disk was not slow");
    assert_eq!(world.stored(), count as u64, "and all of it is there in the end");
}

#[test]
fn what_lies_behind_recorded_epochs_does_not_fill_the_memory_while_they_wait() {
    let world = World::new(Duration::ZERO);
    let (slow, fast) = (world.records(0, 500), world.records(1, 5_000));
    // An epoch takes the first hundred of both, and the process dies before the state is saved.
    let mut worker = world.worker();
    let committer = worker.committer();
    let (slow_head, slow_tail) = slow.split_at(101);
    let (fast_head, fast_tail) = fast.split_at(101);
    for head in [slow_head.clone(), fast_head.clone()] {
        worker.take(Input::Delivery(head));
    }
    let order = worker.cut(false).expect("columns").expect("an epoch");
    world.runtime.block_on(committer.carry_out(order.encode().expect("files"))).expect("a commit");
    drop(worker);

    // The next one is sent all of the fast partition before it hears of the slow one.
    let mut worker = world.worker();
    assert!(!worker.is_replayed() && !worker.is_former());
    worker.take(Input::Delivery(fast_head));
    let mut rest = fast_tail;
    while rest.from_offset < rest.until_offset {
        let (next, after) = { rest.clone().split_at(rest.from_offset + DELIVERY_ROWS) };
        worker.take(Input::Delivery(next));
        rest = after;
    }
    assert!(worker.waiting() <= EPOCH_ROWS_MAX, "{} records wait", worker.waiting());
    assert!(worker.is_former(), "it leaves the rest to the next one");
    worker.take(Input::Delivery(slow_head));
    worker.take(Input::Delivery(slow_tail));
    let committer = worker.committer();
    while let Some(order) = worker.replay().expect("columns") {
        world.runtime.block_on(committer.carry_out(order.encode().expect("files"))).expect("a commit");
    }
    assert!(worker.is_replayed());
    for order in worker.rest().expect("a state").0 {
        world.runtime.block_on(committer.carry_out(order.encode().expect("files"))).expect("a state");
    }
    // The next one reads on where the epoch ended, of both.
    let worker = world.worker();
    assert!(worker.is_replayed() && !worker.is_former());
    let starts = worker.start_offsets();
    assert_eq!([starts.get(&id(0)), starts.get(&id(1))], [Some(&101), Some(&101)]);
    assert_eq!(world.stored(), 200);
}

#[test]
fn a_burst_waits_in_kafka_and_is_caught_up_in_the_same_memory() {
    const BURST: i64 = 16_000; // 2,000 MiB
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 1).expect("topic");
    let world = recovery::World::new(
        "apiVersion: plimsoll/v1
kind: Source
metadata: {id: checks}
spec:
  topics: [checks]
  kind: monitoring
  map: {id: /id, time: /at, service: /of, status: {pointer: /word, values: {up: up}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
",
    );
    let lake = world.lake("lake");
    let (mut running, address) = world.run(&broker.bootstrap(), "lake", &["--epoch-interval", "500ms"]);
    // Checks that bring a log of 128 KiB each, which nobody maps.
    let (log, at) = ("all is well. ".repeat(128 * 1024 / 13), chrono::Utc::now().to_rfc3339());
    let checks = |numbers: std::ops::Range<i64>| {
        let check = |number| format!(r#"{{"id":"{number}","at":"{at}","of":"web","word":"up","log":"{log}"}}"#);
        broker.produce("checks", 0, numbers.map(check)).expect("records");
    };
    checks(0..10);
    let count = "SELECT count(*), count(DISTINCT id) FROM events";
    recovery::wait_for_answer(&lake, count, "10,10");

    // All of it lies in Kafka before any of it is read: that is more than ten times as fast as anybody reads.
    running.signal("STOP");
    checks(10..10 + BURST);
    running.signal("CONT");
    recovery::wait_for_answer(&lake, count, "16010,16010");
    let is_caught_up =
        || get(&address, "/metrics").contains("plimsoll_kafka_lag_records{partition=\"0\",topic=\"checks\"} 0\n");
    assert!((0..100).any(|_| (std::thread::sleep(Duration::from_millis(100)), is_caught_up()).1), "the lag is told");
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.process.id())).expect("a process");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let (peak_mib, burst_mib) = (peak.expect("its memory") / 1024, BURST as u64 / 8);
    // What may wait on the way (docs/reliability.md) is 64 + 64 + 256 MiB, and some 200 is the program itself.
    assert!(peak_mib < 640, "{peak_mib} MiB of memory for a burst of {burst_mib} MiB");
    eprintln!("{peak_mib} MiB of memory for a burst of {burst_mib} MiB");
    running.signal("TERM");
    assert!(running.end().success());
}
