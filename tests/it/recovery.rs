//! What `run` says while Kafka is away, and after it was killed: nothing that it cannot know, and nothing less.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use plimsoll_ingest::kafka::{self, KafkaSettings};
use plimsoll_schemas::definition::source::Source;
use plimsoll_tests::broker::Broker;

use crate::support::{Running, get, output, run_until_caught_up};

/// A folder with definitions and lakes.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub fn new(definitions: &str) -> World {
        let world = World { folder: tempfile::tempdir().expect("a folder") };
        std::fs::create_dir(world.definitions()).expect("a folder");
        world.define(definitions);
        world
    }

    pub fn definitions(&self) -> PathBuf {
        self.folder.path().join("definitions")
    }

    pub fn define(&self, text: &str) {
        std::fs::write(self.definitions().join("all.yaml"), text).expect("a file");
    }

    pub fn lake(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `run` on one of its lakes, once its doors are open, and where they are.
    pub fn run(&self, bootstrap: &str, lake: &str, more: &[&str]) -> (Running, String) {
        let (definitions, lake) = (self.definitions(), self.lake(lake));
        let (definitions, lake) = (definitions.to_string_lossy(), lake.to_string_lossy());
        let settings = ["run", "--bootstrap", bootstrap, "-d", &definitions, "--lake", &lake];
        let more = [&["--listen", "127.0.0.1:0", "-X", "session.timeout.ms=6000"], more].concat();
        let running = Running::start(&[settings.as_slice(), &more].concat());
        let line = running.wait_for("answering on http://");
        (running, line.split("http://").nth(1).expect("an address").trim().to_owned())
    }
}

/// The answer to a question as CSV without its header.
pub fn ask(lake: &Path, question: &str) -> String {
    let answer = output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", question]);
    answer.split_once('\n').map_or(String::new(), |(_, rows)| rows.trim_end().to_owned())
}

/// Asks until this is the answer.
pub fn wait_for_answer(lake: &Path, question: &str, expected: &str) {
    let mut found = String::new();
    for _ in 0..1_200 {
        found = ask(lake, question);
        if found == expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{question} was answered by {found:?} instead of {expected:?}");
}

/// A ticket has to be resolved within this time.
const WITHIN: TimeDelta = TimeDelta::seconds(20);

const TICKETS: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: desk}
spec:
  type: ola
  services: [web]
  effective: {from: 2026-01-01}
  objectives:
    - {id: resolution, indicator: {signal: resolution_time, within: 20s}, target: {at_least: 90 %}, window: {calendar: month}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [events]}
";

fn ticket(id: &str, action: &str, at: chrono::DateTime<Utc>) -> [String; 1] {
    let at = at.to_rfc3339();
    [format!(
        r#"{{"id":"{id}-{action}","time":"{at}","kind":"incident","service":"web","ticket":"{id}","action":"{action}"}}"#
    )]
}

fn sleep_until(time: chrono::DateTime<Utc>) {
    std::thread::sleep((time - Utc::now()).to_std().unwrap_or_default());
}

#[test]
fn r23_nothing_is_breached_by_the_clock_while_kafka_is_away() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let (world, bootstrap) = (World::new(TICKETS), broker.bootstrap());
    let lake = world.lake("lake");
    let breaches = "SELECT ticket FROM breaches WHERE event = 'breach' ORDER BY ticket";
    let clocks = "SELECT ticket, verdict FROM clocks ORDER BY ticket";
    let past_due = WITHIN + TimeDelta::seconds(3);

    // The broker hangs before the ticket falls due. It is resolved in time, which is known only afterwards.
    let (mut running, _) = world.run(&bootstrap, "lake", &[]);
    let opened = Utc::now();
    broker.produce("events", 0, ticket("T1", "opened", opened)).expect("a record");
    wait_for_answer(&lake, clocks, "T1,running");
    broker.hang(true).expect("a signal");
    assert!(Utc::now() < opened + WITHIN, "this machine is too slow to show anything");
    sleep_until(opened + past_due);
    let told = ask(&lake, breaches);
    broker.hang(false).expect("a signal");
    assert_eq!(told, "", "nobody can know that T1 was not resolved");
    broker.produce("events", 0, ticket("T1", "resolved", opened + TimeDelta::seconds(5))).expect("a record");
    wait_for_answer(&lake, clocks, "T1,met");

    // A new start that reaches no broker knows nothing either.
    let opened = Utc::now();
    broker.produce("events", 0, ticket("T2", "opened", opened)).expect("a record");
    wait_for_answer(&lake, clocks, "T1,met\nT2,running");
    running.signal("TERM");
    assert!(running.end().success());
    assert!(Utc::now() < opened + WITHIN, "this machine is too slow to show anything");
    sleep_until(opened + past_due);
    let (mut running, address) = world.run("127.0.0.1:1", "lake", &[]);
    std::thread::sleep(Duration::from_secs(3));
    let metrics = get(&address, "/metrics");
    let delay = metrics.lines().find_map(|line| line.strip_prefix("plimsoll_watermark_delay_seconds "));
    let delay: f64 = delay.and_then(|delay| delay.parse().ok()).expect("a delay");
    assert!(delay > 5.0, "the delay grows: {delay}");
    running.signal("TERM");
    assert!(running.end().success());
    assert_eq!(ask(&lake, breaches), "", "nobody can know that T2 was not resolved");

    // Once the topic has been read to its end, it is known.
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    assert_eq!(ask(&lake, breaches), "T2");
}

#[test]
fn r23_a_topic_that_does_not_exist_holds_the_watermark() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let world = World::new(&TICKETS.replace("topics: [events]", "topics: [events, evnets]"));
    broker.produce("events", 0, ticket("T1", "opened", Utc::now())).expect("a record");
    let (running, address) = world.run(&broker.bootstrap(), "lake", &[]);
    running.wait_for("warning: topic evnets does not exist");
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("plimsoll_events_total{topic=\"events\"} 1"), "{metrics}");
    assert!(!metrics.contains("\nplimsoll_watermark_delay_seconds "), "{metrics}");
    broker.create_topic("evnets", 1).expect("topic");
    let is_there = || get(&address, "/metrics").contains("\nplimsoll_watermark_delay_seconds ");
    let appeared = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        is_there()
    });
    assert!(appeared, "the watermark goes on once the topic is there");
}

/// Ten changes of March in two topics, one of them bad.
pub fn changes(numbers: std::ops::Range<i32>) -> impl Iterator<Item = String> {
    numbers.map(|number| {
        let result = if number == 3 { "bad" } else { "good" };
        format!(r#"{{"nr":"C{number}","at":"2026-03-1{number}T10:00:00Z","app":"web","result":"{result}"}}"#)
    })
}

pub fn change_definitions(target: i32, topics: &str, bad: &str) -> String {
    format!(
        "
apiVersion: plimsoll/v1
kind: Service
metadata: {{id: web}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: releases}}
spec:
  type: ola
  services: [web]
  effective: {{from: 2026-03-01, until: 2026-04-01}}
  objectives:
    - {{id: changes, indicator: {{signal: change_success}}, target: {{at_least: {target} %}}, window: {{calendar: month}}}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {{id: releases}}
spec:
  topics: [{topics}]
  kind: change
  map:
    id: /nr
    time: /at
    ticket: /nr
    service: /app
    action: {{constant: finished}}
    outcome: {{pointer: /result, values: {{good: success, bad: {bad}}}}}
"
    )
}

#[test]
fn r24_definitions_edited_after_a_crash_restate_results_as_after_a_clean_stop() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for (topic, numbers) in [("old", 0..5), ("new", 5..10)] {
        broker.create_topic(topic, 1).expect("topic");
        broker.produce(topic, 0, changes(numbers)).expect("records");
    }
    let results = "SELECT revision, finality, verdict, target, good_count, total_count FROM attainment";
    // 9 of 10 are 90 %. What was read is not read again, so that the value map has changed since says nothing of it; nor
    // has the topic to be named any more.
    let (before, after) = (change_definitions(90, "old, new", "failed"), change_definitions(95, "new", "success"));
    for signal in ["TERM", "KILL"] {
        let (world, group) = (World::new(&before), ["--group", signal]);
        let lake = world.lake("lake");
        let (mut running, _) = world.run(&broker.bootstrap(), "lake", &group);
        wait_for_answer(&lake, results, "1,final,met,at least 90 %,9,10");
        running.signal(signal);
        running.end();
        world.define(&after);
        run_until_caught_up(&broker, &world.definitions(), &lake, &group);
        assert_eq!(ask(&lake, results), "2,final,breached,at least 95 %,9,10", "after {signal}");
        assert_eq!(ask(&lake, "SELECT revision, reason FROM corrections"), "2,definition_change", "after {signal}");
        assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM events"), "10,10", "after {signal}");
    }
}

#[test]
fn only_what_another_member_reads_is_told_to_be_read_by_another_member() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let world = World::new(TICKETS);
    let (running, address) = world.run(&broker.bootstrap(), "lake", &[]);
    broker.produce("events", 0, ticket("T0", "opened", Utc::now())).expect("a record");
    let wait_for_events = |count: usize| {
        let line = format!("plimsoll_events_total{{topic=\"events\"}} {count}\n");
        let came = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            get(&address, "/metrics").contains(&line)
        });
        assert!(came, "{count} events are read");
    };
    wait_for_events(1);
    // The group takes the one partition and gives all three.
    broker.add_partitions("events", 3).expect("partitions");
    broker.produce("events", 2, ticket("T2", "opened", Utc::now())).expect("a record");
    wait_for_events(2);
    let other =
        kafka::start(KafkaSettings::new(broker.bootstrap(), "plimsoll"), &[source()], HashMap::new(), BTreeMap::new());
    let other = other.expect("settings are right");
    // The first warning, so there was none about the partition that came back.
    let told = running.wait_for("warning");
    let begins = told.starts_with("warning: 1 partition is read") || told.starts_with("warning: 2 partitions are read");
    let ends = told.ends_with(" by another member of group plimsoll; a group is one process: stop the other");
    assert!(begins && ends, "{told}");
    other.stop();
}

pub fn source() -> Arc<Source> {
    Arc::new(Source { topics: vec!["events".to_owned()], ..Source::plain("plain") })
}

/// A month's scores, of which those from `good_from` on are good, and a second version of that promise, if there is one.
fn scores(good_from: i64, second: Option<i64>) -> String {
    let agreement = |version: i64, effective: &str, good_from: i64| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: survey, version: {version}}}\nspec:\n  type: ola\n  \
             services: [web]\n  effective: {effective}\n  objectives:\n  - id: scores\n    \
             indicator: {{signal: satisfaction, good_from: {good_from}}}\n    target: {{at_least: 90 %}}\n    \
             window: {{calendar: month}}\n"
        )
    };
    let first = agreement(1, "{from: 2026-02-01}", good_from);
    let second = second.map(|good_from| agreement(2, "{from: 2026-03-11, retroactive: true}", good_from));
    format!(
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: web}}\n---\napiVersion: plimsoll/v1\nkind: Source\n\
         metadata: {{id: plain}}\nspec: {{topics: [events]}}\n{first}{}",
        second.unwrap_or_default()
    )
}

#[test]
fn r24_stored_events_are_counted_again_by_a_retroactive_version_and_by_an_edited_one() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let score = |id: &str, day: u32, score: i64| {
        format!(
            r#"{{"id":"{id}","time":"2026-03-{day:02}T12:00:00Z","kind":"feedback","service":"web","score":{score}}}"#
        )
    };
    broker.produce("events", 0, [score("f1", 5, 4), score("f2", 20, 4), score("f3", 20, 5)]).expect("records");
    let world = World::new(&scores(4, None));
    let lake = world.lake("lake");
    let march = "SELECT agreement_version, verdict, good_count, total_count, revision FROM attainment \
                 WHERE window_start = '2026-03-01T00:00:00Z' ORDER BY 1";
    let reasons = "SELECT agreement_version, reason, count(*) FROM corrections WHERE window_start = '2026-03-01T00:00:00Z' \
                   GROUP BY 1, 2 ORDER BY 1, 2";
    let run = || run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    run();
    assert_eq!((ask(&lake, march), ask(&lake, reasons)), ("1,met,3,3,1".to_owned(), String::new()));
    // From the 11th on a 4 was not good: the first version keeps the 5th, the second one has one of two, 50 %.
    world.define(&scores(4, Some(5)));
    run();
    assert_eq!(ask(&lake, march), "1,met,1,1,2\n2,breached,1,2,1");
    assert_eq!(ask(&lake, reasons), "1,retroactive_version,1");
    // No month after it is the first version's any more.
    let later = "SELECT count(*) FROM attainment WHERE agreement_version = 1 AND window_start > '2026-03-01T00:00:00Z'";
    assert_eq!(ask(&lake, later), "0");
    // What was edited is counted again as well, and a restart with the same definitions says nothing.
    world.define(&scores(5, Some(5)));
    run();
    run();
    assert_eq!(ask(&lake, march), "1,breached,0,1,3\n2,breached,1,2,1");
}

#[test]
fn r22_what_came_very_late_is_applied_while_it_runs() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    // As in stored.rs: up every hour of three weeks but at 10:00 of the first day, when it was down; that comes last.
    let world = World::new(
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: web}\nspec: {state: {stale_after: 1h}}\n---\n\
         apiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {id: promise}\nspec:\n  type: ola\n  services: [web]\n  \
         effective: {from: 2026-03-02, until: 2026-03-09}\n  objectives:\n  - id: uptime\n    \
         indicator: {signal: availability}\n    target: {at_least: 99.9 %}\n    window: {calendar: week}\n    \
         min_coverage: 0 %\n---\napiVersion: plimsoll/v1\nkind: Source\nmetadata: {id: plain}\nspec: {topics: [events]}\n",
    );
    let result = |hour: i64, status: &str| {
        let time = chrono::DateTime::from_timestamp(1_772_409_600 + hour * 3_600, 0).expect("a time").to_rfc3339();
        format!(r#"{{"id":"{hour}","time":"{time}","kind":"monitoring","service":"web","status":"{status}"}}"#)
    };
    let on_time = (0..21 * 24).filter(|hour| *hour != 10).map(|hour| result(hour, "up"));
    broker.produce("events", 0, on_time).expect("records");
    let (mut running, address) = world.run(&broker.bootstrap(), "lake", &["--apply-late-after", "1s"]);
    let week = "SELECT revision, verdict, good_us / 3600000000, bad_us / 3600000000 FROM attainment";
    let lake = world.lake("lake");
    wait_for_answer(&lake, week, "1,met,167,0");
    broker.produce("events", 0, [result(10, "down")]).expect("a record");
    wait_for_answer(&lake, week, "2,breached,167,1");
    assert_eq!(ask(&lake, "SELECT revision, reason FROM corrections"), "2,late_event");
    let none_waits = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let ended = running.process.try_wait().expect("a process");
        assert_eq!(ended, None, "it runs on: {}", running.rest());
        get(&address, "/metrics").contains("\nplimsoll_observations_deferred 0\n")
    });
    assert!(none_waits, "it was applied");
}
