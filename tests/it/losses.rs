//! What shards say of records that the exchange and Kafka have deleted: what was read of them before counts, and what none
//! or not all of them have read is lost, is told, and stays out of what follows from the rest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use plimsoll_aggregate::shards::starts;
use plimsoll_aggregate::{Input, Order, Worker};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::{Decoder, Record};
use plimsoll_lake::Lake;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_tests::broker::Broker;

use crate::recovery::{World, ask, wait_for_answer};
use crate::replay::{GROUP, at, worker_of};
use crate::support::{Running, output, run};
use crate::tables::defined;

/// A promise about the scores of each of these services.
fn promises(services: &[String]) -> String {
    let of_service = |service: &String| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: {service}}}\n---\napiVersion: plimsoll/v1\nkind: \
             Agreement\nmetadata: {{id: of-{service}}}\nspec:\n  type: ola\n  services: [{service}]\n  effective: {{from: \
             2026-01-01}}\n  objectives:\n  - {{id: scores, indicator: {{signal: satisfaction}}, target: {{at_least: 60 \
             %}}, window: {{calendar: month}}}}\n"
        )
    };
    services.iter().map(of_service).collect()
}

const SOURCE: &str =
    "---\napiVersion: plimsoll/v1\nkind: Source\nmetadata: {id: plain}\nspec: {topics: [events.ndjson]}\n";

/// The score of a service whose id is this number.
fn score(service: &str, id: i64) -> String {
    format!(r#"{{"id":"{id}","time":"2026-03-05T12:00:00Z","kind":"feedback","service":"{service}","score":5}}"#)
}

fn audit(lake: &Path, service: &str) -> String {
    let (lake, agreement) = (lake.to_string_lossy(), format!("of-{service}"));
    let named = ["audit", "--lake", &lake, "--agreement", &agreement, "--service", service, "--objective", "scores"];
    output(&[&named[..], &["--window", "2026-03-01"]].concat())
}

#[test]
fn what_shards_read_before_a_crash_and_the_exchange_and_kafka_deleted_after_it_still_counts() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events.ndjson", 1).expect("topic");
    let world = World::new(&(promises(&["web".to_owned()]) + SOURCE));
    let lake = world.lake("lake");
    let (definitions, location, bootstrap) = (world.definitions(), lake.clone(), broker.bootstrap());
    let (definitions, location) = (definitions.to_string_lossy(), location.to_string_lossy());
    let start = |role: &[&str]| {
        let all = ["-d", &definitions, "--lake", &location, "--bootstrap", &bootstrap, "--listen", "127.0.0.1:0"];
        Running::start(&[role, &all, &["-X", "session.timeout.ms=6000"]].concat())
    };
    let produce = |ids: std::ops::Range<i64>, more: Option<&str>| {
        let records = ids.map(|id| score("web", id)).chain(more.map(str::to_owned));
        broker.produce("events.ndjson", 0, records).expect("records");
    };
    let counted = "SELECT total_count FROM attainment WHERE window_start = '2026-03-01T00:00:00Z'";
    let read =
        "SELECT count(*), min(until) FROM (SELECT max(until_offset) AS until FROM history.epochs GROUP BY epoch % 2)";

    // No state is saved, so what was read is to be read again.
    let (mut aggregate, mut ingest) = (start(&["aggregate", "--shards", "2"]), start(&["ingest"]));
    produce(0..6, Some("no event"));
    wait_for_answer(&lake, counted, "6");
    produce(6..10, None);
    wait_for_answer(&lake, counted, "10");
    wait_for_answer(&lake, read, "2,11");
    aggregate.signal("KILL");
    aggregate.end();
    ingest.signal("TERM");
    assert!(ingest.end().success(), "{}", ingest.rest());
    broker.delete_topic("plimsoll.exchange").expect("deleted");
    let doctor = || {
        let asked = ["doctor", "--lake", &location, "--definitions", &definitions, "--bootstrap", &bootstrap];
        String::from_utf8(run(&asked).stdout).expect("text")
    };
    let told = doctor();
    assert!(told.contains("nobody reads in group plimsoll now; start plimsoll ingest\n"), "{told}");
    // Offsets 0 to 8 go, which recorded epochs of both shards read; 9 and 10 are there still.
    broker.delete_records("events.ndjson", 0, 9).expect("deleted");

    let (_aggregate, _ingest) = (start(&["aggregate", "--shards", "2"]), start(&["ingest"]));
    produce(10..12, None);
    wait_for_answer(&lake, counted, "12");
    assert_eq!(ask(&lake, "SELECT * FROM gaps"), "");
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM events"), "12,12");
    assert_eq!(ask(&lake, "SELECT count(*) FROM dead_letters"), "1");
    let told = audit(&lake, "web");
    assert!(told.contains("confirmed: "), "{told}");
    let told = doctor();
    for line in
        ["1 member of group plimsoll for all partitions\n", "1 member of group plimsoll.aggregate for all shards\n"]
    {
        assert!(told.contains(line), "{told}");
    }
}

fn id() -> PartitionId {
    PartitionId { topic: "events.ndjson".into(), partition: 0 }
}

/// The scores of these services, one after the other, from an offset on.
fn scores(definitions: &Definitions, services: &[String], from: i64) -> Delivery {
    let source = Arc::new(definitions.sources.values().next().expect("a source").clone());
    let mut decoder = Decoder::new(source, id());
    let offsets = from..from + services.len() as i64;
    for (service, offset) in services.iter().zip(offsets.clone()) {
        let json = score(service, offset);
        decoder.decode(Record { offset, payload: Some(json.as_bytes()), record_time: None });
    }
    decoder.take(offsets.start, offsets.end, None).expect("columns")
}

/// The shard of this number, of two.
fn shard(number: u32) -> Shard {
    Shard::new(number, 2).expect("a shard")
}

/// Lets a shard take these and record them in an epoch each, and rest.
async fn keep(lake: &Lake, definitions: &Arc<Definitions>, shard: Shard, deliveries: Vec<Delivery>) {
    let mut worker: Worker = worker_of(shard, lake, definitions, || at("2026-03-06T00:00:00Z")).await;
    let committer = worker.committer();
    let carry_out = async |order: Order| committer.carry_out(order.encode().expect("files")).await.expect("a commit");
    let count = deliveries.len();
    for (place, delivery) in deliveries.into_iter().enumerate() {
        worker.take(Input::Delivery(delivery));
        carry_out(worker.cut(place + 1 == count).expect("columns").expect("an epoch")).await;
    }
    for order in worker.rest().expect("a state").0 {
        carry_out(order).await;
    }
}

/// The first scores never came to shard 1, while shard 0 stored its part of them.
#[test]
fn r26_a_shard_that_lost_what_a_sibling_stored_is_audited_and_made_anew_without_it() {
    let services: Vec<String> = (0..8).map(|number| format!("s{number}")).collect();
    let definitions = Arc::new(defined(&(promises(&services) + SOURCE)).expect("good definitions"));
    let folder = tempfile::tempdir().expect("a folder");
    let (path, anew) = (folder.path().join("lake"), folder.path().join("anew"));
    let (first, second) = (scores(&definitions, &services, 0), scores(&definitions, &services, 8));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let lake = Lake::open(&path.to_string_lossy()).await.expect("a lake");
        keep(&lake, &definitions, shard(0), vec![first, second.clone()]).await;
        keep(&lake, &definitions, shard(1), vec![Delivery::lost(id(), 0, 8), second]).await;
    });
    let lossy = "SELECT service FROM attainment WHERE epoch % 2 = 0 AND total_count = 1 ORDER BY 1";
    let lossy = ask(&path, lossy);
    let all = ask(&path, "SELECT count(*) FROM attainment WHERE epoch % 2 = 0 AND total_count > 0");
    assert_eq!(lossy.lines().count().to_string(), all, "shard 1 counted the second scores alone");
    // Of what it measures, its sibling has stored some of the first scores.
    let named: Vec<String> = lossy.lines().map(|service| format!("'{service}'")).collect();
    let stored = format!("SELECT count(*) FROM events WHERE \"offset\" < 8 AND service IN ({})", named.join(", "));
    assert_ne!(ask(&path, &stored), "0");
    for service in lossy.lines() {
        let told = audit(&path, service);
        assert!(told.contains("confirmed: 1 event of 2 epochs"), "{service}: {told}");
    }
    output(&["rebuild", "--lake", &path.to_string_lossy(), "--into", &anew.to_string_lossy()]);
    let rows = "SELECT * FROM history.attainment WHERE epoch % 2 = 0 ORDER BY epoch, service";
    let rows = (ask(&path, rows), ask(&anew, rows));
    assert!(!rows.0.is_empty() && rows.0 == rows.1, "{rows:?}");
    assert_eq!(ask(&path, "SELECT from_offset, until_offset, lost_count FROM gaps"), "0,8,8");
}

/// The process was killed after it had recorded what an epoch reads, and before anything of that was stored.
#[test]
fn an_epoch_of_which_not_all_was_stored_is_left_out_when_tables_are_made_anew() {
    let services = vec!["web".to_owned(), "mail".to_owned()];
    let definitions = Arc::new(defined(&(promises(&services) + SOURCE)).expect("good definitions"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (half, anew) = (path("half"), path("anew"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (first, second) = (scores(&definitions, &services, 0), scores(&definitions, &services, 2));
        let whole = Lake::open(&path("whole")).await.expect("a lake");
        keep(&whole, &definitions, Shard::WHOLE, vec![first.clone(), second]).await;
        let lake = Lake::open(&half).await.expect("a lake");
        keep(&lake, &definitions, Shard::WHOLE, vec![first]).await;
        let intent = whole.epochs_after(GROUP, 1).await.expect("epochs");
        lake.record_intent(GROUP, 2, &intent).await.expect("an intent");
    });
    let told = output(&["rebuild", "--lake", &half, "--into", &anew]);
    assert!(told.contains("of the last epochs of lane group test not all that they read was stored"), "{told}");
    assert!(told.contains("made 1 epoch anew"), "{told}");
    runtime.block_on(async {
        let lake = Lake::open(&anew).await.expect("a lake");
        let worker = worker_of(Shard::WHOLE, &lake, &definitions, || at("2026-03-06T00:00:00Z")).await;
        assert_eq!(worker.start_offsets(), HashMap::from([(id(), 2)]), "kafka is asked for the rest");
    });
}

/// Kafka had deleted what lies before offset 3 before anybody read it.
#[test]
fn who_knows_nothing_of_a_partition_begins_where_its_siblings_began() {
    let services = vec!["web".to_owned()];
    let definitions = Arc::new(defined(&(promises(&services) + SOURCE)).expect("good definitions"));
    let folder = tempfile::tempdir().expect("a folder");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let lake = Lake::open(&folder.path().to_string_lossy()).await.expect("a lake");
        let read = |offset| scores(&definitions, &services, offset);
        keep(&lake, &definitions, shard(0), vec![read(3), read(4)]).await;
        let found = starts(&lake, GROUP, &mut HashMap::new()).await.expect("starts");
        assert_eq!((found.offsets, found.beginnings), (HashMap::new(), HashMap::from([(id(), 3)])));
        keep(&lake, &definitions, shard(1), vec![read(3)]).await;
        let found = starts(&lake, GROUP, &mut HashMap::new()).await.expect("starts");
        assert_eq!((found.offsets, found.beginnings), (HashMap::from([(id(), 4)]), HashMap::new()));
    });
}
