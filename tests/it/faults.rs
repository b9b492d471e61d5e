//! What Kafka may do to a `run`: records that are deleted unread, topics that are made anew, and
//! partitions that go to somebody else.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use plimsoll_ingest::kafka::{self, KafkaSettings};
use plimsoll_tests::broker::Broker;

use crate::recovery::{World, ask, source, wait_for_answer};
use crate::support::{Running, get, run, run_until_caught_up};

const SCORES: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [events]}
";

/// Scores of a service, whose ids are these numbers.
fn scores(ids: std::ops::Range<i32>) -> impl Iterator<Item = String> {
    ids.map(|id| {
        format!(r#"{{"id":"{id}","time":"2026-03-05T12:00:00Z","kind":"feedback","service":"web","score":5}}"#)
    })
}

#[test]
fn records_that_retention_deleted_unread_are_a_gap_that_is_told_once() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.produce("events", 0, scores(0..10)).expect("records");
    // Nobody had a claim to what was deleted before the first start.
    broker.delete_records("events", 0, 2).expect("deleted");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    let gaps = "SELECT topic, \"partition\", from_offset, until_offset, lost_count FROM gaps";
    assert_eq!(ask(&lake, gaps), "");

    // Offsets 10 to 14 go before anybody reads them.
    broker.produce("events", 0, scores(10..20)).expect("records");
    broker.delete_records("events", 0, 15).expect("deleted");
    let (definitions, location) = (world.definitions(), lake.clone());
    let (definitions, location) = (definitions.to_string_lossy(), location.to_string_lossy());
    let bootstrap = broker.bootstrap();
    let doctor = || {
        let asked = ["doctor", "--lake", &location, "--definitions", &definitions, "--bootstrap", &bootstrap];
        String::from_utf8(run(&asked).stdout).expect("text")
    };
    let told = doctor();
    assert!(
        told.contains("FAULT   kafka        partition 0 of topic events: the tables are at 10, but kafka begins at 15"),
        "{told}"
    );
    let (mut running, address) = world.run(&broker.bootstrap(), "lake", &[]);
    let told = running.wait_for("lost 5 records");
    assert!(told.contains("lost 5 records of partition 0 of topic events, offsets 10 to 14: "), "{told}");
    wait_for_answer(&lake, gaps, "events,0,10,15,5");
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("plimsoll_lost_records_total{partition=\"0\",topic=\"events\"} 5\n"), "{metrics}");
    wait_for_answer(&lake, "SELECT count(*), min(\"offset\"), max(\"offset\") FROM events", "13,2,19");
    running.signal("KILL");
    running.end();

    // What was told is not told again, neither after a crash nor after a stop.
    for _ in 0..2 {
        run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    }
    assert_eq!(ask(&lake, gaps), "events,0,10,15,5");
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM events"), "13,13");
    let told = doctor();
    assert!(told.contains("notice  gaps         1 gap: up to 5 records") && !told.contains("FAULT"), "{told}");
}

#[test]
fn a_gap_is_told_with_roles_apart_too_before_any_state_is_saved() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.produce("events", 0, scores(0..10)).expect("records");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    let (definitions, location) = (world.definitions(), lake.clone());
    let (definitions, location) = (definitions.to_string_lossy(), location.to_string_lossy());
    let bootstrap = broker.bootstrap();
    let start = |role: &[&str]| {
        let all = ["-d", &definitions, "--lake", &location, "--bootstrap", &bootstrap, "--listen", "127.0.0.1:0"];
        Running::start(&[role, &all].concat())
    };
    let aggregate = start(&["aggregate", "--shards", "2"]);
    aggregate.wait_for("keeping shards of 2");
    let mut ingest = start(&["ingest"]);
    wait_for_answer(&lake, "SELECT count(*) FROM events", "10");
    ingest.signal("TERM");
    assert!(ingest.end().success());

    // Offsets 10 to 14 go before anybody reads them. That 0 to 9 went, too, is no loss.
    broker.produce("events", 0, scores(10..20)).expect("records");
    broker.delete_records("events", 0, 15).expect("deleted");
    let _ingest = start(&["ingest"]);
    let told = aggregate.wait_for("lost 5 records");
    assert!(told.contains("lost 5 records of partition 0 of topic events, offsets 10 to 14: "), "{told}");
    let gaps = "SELECT topic, \"partition\", from_offset, until_offset, lost_count FROM gaps";
    wait_for_answer(&lake, gaps, "events,0,10,15,5");
    wait_for_answer(&lake, "SELECT count(*), count(DISTINCT id), max(\"offset\") FROM events", "15,15,19");
}

/// Scores, and a promise of them.
const PROMISED: &str = "
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: desk}
spec:
  type: ola
  services: [web]
  effective: {from: 2026-01-01}
  objectives:
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 60 %}, window: {calendar: month}}
";

#[test]
fn what_was_read_before_a_crash_and_deleted_after_it_still_counts() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let world = World::new(&format!("{SCORES}{PROMISED}"));
    let lake = world.lake("lake");
    let counted = "SELECT total_count FROM attainment WHERE window_start = '2026-03-01T00:00:00Z'";
    // No state is saved, so what was read is to be read again.
    let (mut running, _) = world.run(&broker.bootstrap(), "lake", &[]);
    broker.produce("events", 0, scores(0..6).chain(["no event".to_owned()])).expect("records");
    wait_for_answer(&lake, counted, "6");
    broker.produce("events", 0, scores(6..10)).expect("records");
    wait_for_answer(&lake, counted, "10");
    running.signal("KILL");
    running.end();
    // Offsets 0 to 8 go, which recorded epochs read; 9 and 10 are there still.
    broker.delete_records("events", 0, 9).expect("deleted");
    broker.produce("events", 0, scores(10..12)).expect("records");
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    assert_eq!(ask(&lake, counted), "12");
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM events"), "12,12");
    assert_eq!(ask(&lake, "SELECT count(*) FROM dead_letters"), "1");
    assert_eq!(ask(&lake, "SELECT * FROM gaps"), "", "nothing was lost");
}

#[test]
fn a_topic_that_was_made_anew_is_never_read_on_as_if_it_were_the_old_one() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.produce("events", 0, scores(0..3)).expect("records");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    assert_eq!(ask(&lake, "SELECT count(DISTINCT topic_id) FROM epochs WHERE topic_id IS NOT NULL"), "1");

    // While `run` is up. The new topic is shorter than what was read, so that its offsets alone show it.
    let (mut running, _) = world.run(&broker.bootstrap(), "lake", &[]);
    wait_for_answer(&lake, "SELECT count(*) FROM events", "3");
    broker.delete_topic("events").expect("deleted");
    make_anew(&broker, 1);
    let told = running.wait_for("error: ");
    assert!(told.contains("events") && told.contains("created anew"), "{told}");
    assert!(!running.end().success());

    // At the start. It has grown beyond what was read, and its offsets show nothing.
    broker.produce("events", 0, scores(100..110)).expect("records");
    for _ in 0..2 {
        let (mut running, _) = world.run(&broker.bootstrap(), "lake", &[]);
        let told = running.wait_for("error: ");
        assert!(told.starts_with("error: topic events was deleted and created anew: its id is "), "{told}");
        assert!(!running.end().success());
    }
    assert_eq!(ask(&lake, "SELECT count(*), max(\"offset\") FROM events"), "3,2");

    let (definitions, location, bootstrap) = (world.definitions(), lake.to_string_lossy(), broker.bootstrap());
    let definitions = definitions.to_string_lossy();
    let told = run(&["doctor", "--lake", &location, "--definitions", &definitions, "--bootstrap", &bootstrap]).stdout;
    let told = String::from_utf8(told).expect("text");
    assert!(told.contains("FAULT   kafka        topic events was deleted and created anew: its id is "), "{told}");

    // What can be done: another name.
    broker.create_topic("events-2", 1).expect("topic");
    broker.produce("events-2", 0, scores(100..110)).expect("records");
    world.define(&SCORES.replace("[events]", "[events-2]"));
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    assert_eq!(ask(&lake, "SELECT topic, count(*) FROM events GROUP BY topic ORDER BY topic"), "events,3\nevents-2,10");
}

#[test]
fn of_a_topic_that_was_gone_nothing_is_read_before_it_is_known_which_it_is() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.produce("events", 0, scores(0..100)).expect("records");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    let (mut running, _) = world.run(&broker.bootstrap(), "lake", &[]);
    wait_for_answer(&lake, "SELECT count(*) FROM events", "100");
    // Longer than it takes to look at its id again, before and after; then it has grown beyond what was read in a moment.
    std::thread::sleep(Duration::from_secs(3));
    broker.delete_topic("events").expect("deleted");
    std::thread::sleep(Duration::from_secs(3));
    make_anew(&broker, 300);
    let told = running.wait_for("error: ");
    assert!(told.contains("created anew") && told.contains("nothing was read of it"), "{told}");
    assert!(!running.end().success());
    assert_eq!(ask(&lake, "SELECT count(*), max(\"offset\") FROM events"), "100,99");
}

#[test]
fn of_a_topic_that_was_made_anew_the_exchange_gives_the_old_one_alone() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    let (definitions, location, bootstrap) = (world.definitions(), lake.clone(), broker.bootstrap());
    let (definitions, location) = (definitions.to_string_lossy(), location.to_string_lossy());
    let start = |role: &[&str]| {
        let all = ["-d", &definitions, "--lake", &location, "--bootstrap", &bootstrap, "--listen", "127.0.0.1:0"];
        Running::start(&[role, &all].concat())
    };
    let stop = |mut running: Running| {
        running.signal("TERM");
        assert!(running.end().success(), "{}", running.rest());
    };
    // `ingest` commits what is in the exchange.
    let wait_until_sent = |count: i64| {
        let is_sent = (0..1_200).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            broker.committed_offset("plimsoll", "events", 0).is_ok_and(|offset| offset == Some(count))
        });
        assert!(is_sent, "{count}");
    };
    // Both are in the exchange before anybody aggregates: the tables cannot tell `ingest` that the topic is another.
    let ingest = start(&["ingest"]);
    broker.produce("events", 0, scores(0..10)).expect("records");
    wait_until_sent(10);
    stop(ingest);
    broker.delete_topic("events").expect("deleted");
    make_anew(&broker, 0);
    broker.produce("events", 0, scores(100..115)).expect("records");
    let ingest = start(&["ingest"]);
    wait_until_sent(15);
    let aggregate = start(&["aggregate", "--shards", "2"]);
    let door = aggregate.wait_for("answering on http://");
    let told = aggregate.wait_for("topic events was deleted and created again");
    assert!(told.contains("of its partition 0 only what is of the first is taken from plimsoll.exchange"), "{told}");
    wait_for_answer(&lake, "SELECT count(*), max(\"offset\") FROM events", "10,9");
    let address = door.split("http://").nth(1).expect("an address").trim().to_owned();
    let metrics = get(&address, "/metrics");
    for shard in 0..2 {
        let line = format!("plimsoll_exchange_incomplete_partitions{{shard=\"{shard}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    // The tables know the old one now, and `ingest` does not go on.
    stop(ingest);
    let told = start(&["ingest"]).wait_for("error: ");
    assert!(told.starts_with("error: topic events was deleted and created anew: its id is "), "{told}");
    assert_eq!(ask(&lake, "SELECT count(*), max(\"offset\") FROM events"), "10,9");
}

#[test]
fn after_a_crash_what_was_read_of_a_topic_that_is_gone_comes_from_the_tables() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let counted = "SELECT total_count FROM attainment WHERE window_start = '2026-03-01T00:00:00Z'";
    for (old, new, is_made_anew) in [("events", "events-2", true), ("scores", "scores-2", false)] {
        broker.create_topic(old, 1).expect("topic");
        let promised = |topic: &str| format!("{SCORES}{PROMISED}").replace("[events]", &format!("[{topic}]"));
        let world = World::new(&promised(old));
        let lake = world.lake("lake");
        let (mut running, _) = world.run(&broker.bootstrap(), "lake", &["--group", old]);
        broker.produce(old, 0, scores(0..10)).expect("records");
        wait_for_answer(&lake, counted, "10");
        running.signal("KILL");
        running.end();
        broker.delete_topic(old).expect("deleted");
        if is_made_anew {
            make_anew(&broker, 3);
        }
        // What the error says is to be done.
        broker.create_topic(new, 1).expect("topic");
        broker.produce(new, 0, scores(10..12)).expect("records");
        world.define(&promised(new));
        run_until_caught_up(&broker, &world.definitions(), &lake, &["--group", old]);
        assert_eq!(ask(&lake, counted), "12", "{old}");
        assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM events"), "12,12", "{old}");
        assert_eq!(ask(&lake, "SELECT * FROM gaps"), "", "{old}");
    }
}

/// Creates the topic once more, with so many records, as soon as the broker lets its name go.
fn make_anew(broker: &Broker, records: i32) {
    let made = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        broker.create_topic("events", 1).is_ok()
    });
    assert!(made, "the name is free");
    broker.produce("events", 0, scores(100..100 + records)).expect("records");
}

/// The exit code of a process that found another one at its work.
const FENCED: i32 = 4;

#[test]
fn of_two_runs_of_one_group_one_goes_on_and_the_other_says_why_it_ends() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let produce = |topic: &str, ids: std::ops::Range<i32>| {
        ids.for_each(|id| broker.produce(topic, id % 2, scores(id..id + 1)).expect("a record"));
    };
    let count = "SELECT count(*), count(DISTINCT id) FROM events";
    for strategy in ["range", "cooperative-sticky"] {
        let assignment = format!("partition.assignment.strategy={strategy}");
        let more = ["--group", strategy, "-X", assignment.as_str()];
        broker.create_topic(strategy, 2).expect("topic");
        produce(strategy, 0..10);
        let world = World::new(&SCORES.replace("[events]", &format!("[{strategy}]")));
        let lake = world.lake(strategy);
        let (first, _) = world.run(&broker.bootstrap(), strategy, &more);
        wait_for_answer(&lake, count, "10,10");
        let (second, _) = world.run(&broker.bootstrap(), strategy, &more);
        let mut runs = [first, second];
        // Nothing is read meanwhile, so that the two find out by themselves.
        let ended = (0..1_800).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            runs.iter_mut().position(|run| run.process.try_wait().expect("it can be waited for").is_some())
        });
        let ended = ended.expect("one of the two ends");
        assert_eq!(runs[ended].end().code(), Some(FENCED), "{strategy}");
        let told = runs[ended].wait_for("error: ");
        let beginning = format!("error: lane group {strategy} is kept by another worker, which has recorded epoch ");
        assert!(told.starts_with(&beginning), "{told}");
        // The other has all partitions again, and lost and doubled nothing.
        produce(strategy, 10..20);
        wait_for_answer(&lake, count, "20,20");
        let other = &mut runs[1 - ended];
        other.signal("TERM");
        assert!(other.end().success(), "{strategy}");
        assert_eq!(ask(&lake, count), "20,20", "{strategy}");
    }
}

/// One has nothing to read until the other ends.
#[test]
fn of_two_ingest_the_one_that_was_idle_takes_over() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for strategy in ["range", "cooperative-sticky"] {
        broker.create_topic(strategy, 1).expect("topic");
        let world = World::new(&SCORES.replace("[events]", &format!("[{strategy}]")));
        let lake = world.lake(strategy);
        let (definitions, location, bootstrap) = (world.definitions(), lake.clone(), broker.bootstrap());
        let (definitions, location) = (definitions.to_string_lossy(), location.to_string_lossy());
        let assignment = format!("partition.assignment.strategy={strategy}");
        let start = |role: &[&str]| {
            let all = ["-d", &definitions, "--lake", &location, "--bootstrap", &bootstrap, "--listen", "127.0.0.1:0"];
            let kafka = ["--group", strategy, "-X", &assignment, "-X", "session.timeout.ms=6000"];
            Running::start(&[role, &all, &kafka].concat())
        };
        let count = "SELECT count(*), count(DISTINCT id) FROM events";
        let stop = |mut running: Running| {
            running.signal("TERM");
            assert!(running.end().success(), "{}", running.rest());
        };
        let _aggregate = start(&["aggregate", "--shards", "2"]);
        let first = start(&["ingest"]);
        broker.produce(strategy, 0, scores(0..10)).expect("records");
        wait_for_answer(&lake, count, "10,10");
        let second = start(&["ingest"]);
        second.wait_for("passing 1 topic on from");
        std::thread::sleep(Duration::from_secs(5)); // It joins the group, which has nothing for it.
        broker.produce(strategy, 0, scores(10..20)).expect("records");
        wait_for_answer(&lake, count, "20,20");
        stop(first);
        broker.produce(strategy, 0, scores(20..30)).expect("records");
        wait_for_answer(&lake, count, "30,30");
        stop(second);
    }
}

#[test]
fn a_run_that_hung_while_another_took_over_commits_nothing_any_more() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.produce("events", 0, scores(0..10)).expect("records");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    let count = "SELECT count(*), count(DISTINCT id) FROM events";
    let (mut hung, _) = world.run(&broker.bootstrap(), "lake", &[]);
    wait_for_answer(&lake, count, "10,10");
    hung.signal("STOP");
    let (mut heir, _) = world.run(&broker.bootstrap(), "lake", &[]);
    broker.produce("events", 0, scores(10..20)).expect("records");
    // Once the group has given the one up.
    wait_for_answer(&lake, count, "20,20");
    hung.signal("CONT");
    broker.produce("events", 0, scores(20..30)).expect("records");
    assert_eq!(hung.end().code(), Some(FENCED));
    hung.wait_for("error: lane group plimsoll is kept by another worker");
    wait_for_answer(&lake, count, "30,30");
    heir.signal("TERM");
    assert!(heir.end().success());
    assert_eq!(ask(&lake, count), "30,30");
}

#[test]
fn every_record_of_a_partition_is_accounted_for() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 2).expect("topic");
    // Of partition 0 ten events, three of them a second time, and two records that cannot be used; of 1 four events.
    let bad = ["no event", ""].map(str::to_owned);
    broker.produce("events", 0, scores(0..10).chain(scores(4..7)).chain(bad)).expect("records");
    broker.produce("events", 1, scores(10..14)).expect("records");
    let world = World::new(SCORES);
    let (mut running, address) = world.run(&broker.bootstrap(), "lake", &[]);
    wait_for_answer(&world.lake("lake"), "SELECT count(*) FROM events", "14");
    let expected = [
        ("outcomes_total{outcome=\"accepted\",partition=\"0\"", 10),
        ("outcomes_total{outcome=\"already_read\",partition=\"0\"", 0),
        ("outcomes_total{outcome=\"dead_letter\",partition=\"0\"", 2),
        ("outcomes_total{outcome=\"duplicate\",partition=\"0\"", 3),
        ("outcomes_total{outcome=\"accepted\",partition=\"1\"", 4),
        ("outcomes_total{outcome=\"duplicate\",partition=\"1\"", 0),
    ];
    let metrics = get(&address, "/metrics");
    for (series, count) in expected {
        let line = format!("plimsoll_record_{series},topic=\"events\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    for (partition, count) in [(0, 15), (1, 4)] {
        let line = format!("plimsoll_records_read_total{{partition=\"{partition}\",topic=\"events\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    running.signal("TERM");
    assert!(running.end().success());
}

#[test]
fn doctor_says_who_reads() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 2).expect("topic");
    broker.produce("events", 0, scores(0..3)).expect("records");
    broker.produce("events", 1, scores(3..5)).expect("records");
    let world = World::new(SCORES);
    let (lake, definitions, bootstrap) = (world.lake("lake"), world.definitions(), broker.bootstrap());
    let (location, definitions) = (lake.to_string_lossy(), definitions.to_string_lossy());
    let asked = ["doctor", "--lake", &location, "--definitions", &definitions, "--bootstrap", &bootstrap];
    let doctor = || String::from_utf8(run(&asked).stdout).expect("text");
    let wait_until_told = |line: &str| {
        let told = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            doctor().contains(line)
        });
        assert!(told, "{line} is not in {}", doctor());
    };
    let (mut running, _) = world.run(&bootstrap, "lake", &[]);
    wait_for_answer(&lake, "SELECT count(*) FROM events", "5");
    wait_until_told("ok      group        1 member of group plimsoll for all partitions\n");
    let settings = KafkaSettings::new(bootstrap.clone(), "plimsoll");
    let other = kafka::start(settings, &[source()], HashMap::new(), BTreeMap::new()).expect("settings are right");
    wait_until_told("notice  group        group plimsoll has 2 members");
    other.stop();
    running.signal("TERM");
    running.end();
    wait_until_told("notice  group        nobody reads in group plimsoll now; start plimsoll run\n");
    assert!(!doctor().contains("FAULT"), "{}", doctor());
}

/// The first file of a table below a folder.
fn data_file(folder: &Path) -> Option<std::path::PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).ok()?.map_while(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().find_map(|path| match path.is_dir() {
        true => data_file(&path),
        false => path.extension().is_some_and(|extension| extension == "parquet").then_some(path),
    })
}

#[test]
fn a_file_that_is_gone_is_seen_by_upkeep() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.produce("events", 0, scores(0..3)).expect("records");
    let world = World::new(SCORES);
    let lake = world.lake("lake");
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    std::fs::remove_file(data_file(&lake.join("events")).expect("a file")).expect("it is removed");
    let (running, address) = world.run(&broker.bootstrap(), "lake", &["--maintain-every", "1s"]);
    let told =
        running.wait_for("warning: the tables lack 1 file or have them damaged, such as events/date=2026-03-05/");
    assert!(told.ends_with("; `plimsoll doctor` says what to do"), "{told}");
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("plimsoll_lake_damaged_files 1\n"), "{metrics}");
}
