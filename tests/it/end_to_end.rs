//! The whole way on small, readable input: the same rows through Kafka and through `judge`, whatever happens between.

use std::path::{Path, PathBuf};

use plimsoll_tests::broker::Broker;

use crate::support::{Running, assert_same, get, judged, output, run, run_until_caught_up, table};

const DEFINITIONS: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Service
metadata: {id: mail}
spec: {state: {from: incidents}}
---
apiVersion: plimsoll/v1
kind: Customer
metadata: {id: acme}
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {id: office}
spec:
  time_zone: Europe/Berlin
  hours: [{days: mon-fri, from: \"08:00\", until: \"17:00\"}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: acme-gold}
spec:
  type: sla
  customer: acme
  services: [web, mail]
  time_zone: Europe/Berlin
  effective: {from: 2026-03-01, until: 2026-04-01}
  objectives:
    - {id: availability, indicator: {signal: availability}, target: {at_least: 99.9 %}, window: {calendar: month}}
    - {id: weekly, indicator: {signal: availability, unknown: hold}, target: {at_least: 99 %}, window: {calendar: week}}
    - {id: outages, indicator: {signal: outage_count}, target: {at_most: 3}, window: {calendar: month}}
    - {id: resolution, indicator: {signal: resolution_time, calendar: office, within: 4h}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: response, indicator: {signal: response_time, calendar: office, within: 30m}, target: {at_least: 90 %}, window: {calendar: week}}
    - {id: changes, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: users, indicator: {signal: satisfaction}, target: {at_least: 80 %}, window: {calendar: month}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [events], files: [\"*.ndjson\"], lateness: 1m}
";

/// A month of events: probes of `web` each ten minutes with some outages, tickets, changes and scores; some records
/// that cannot be used, some sent twice, some late. Deterministic.
fn events() -> Vec<String> {
    let start = 1_772_323_200; // 2026-03-01T00:00:00Z
    let time = |seconds: i64| {
        format!("\"{}\"", chrono::DateTime::from_timestamp(start + seconds, 0).expect("a time").to_rfc3339())
    };
    let mut events = Vec::new();
    for number in 0..31 * 144 {
        let status = if number % 500 < 2 || number == 777 { "down" } else { "up" };
        events.push(format!(
            r#"{{"id":"p{number}","time":{},"kind":"monitoring","service":"web","check":"http","status":"{status}"}}"#,
            time(number * 600)
        ));
        if number % 97 == 5 {
            let ticket = number / 97;
            let service = if ticket % 3 == 0 { "mail" } else { "web" };
            let outage = ticket % 3 == 0;
            let actions = [
                ("opened", 0),
                ("acknowledged", 300 + ticket * 60),
                ("paused", 4_000),
                ("resumed", 9_000),
                ("resolved", 12_000 + ticket * 900),
            ];
            for (place, (action, after)) in actions.into_iter().enumerate() {
                if ticket % 7 == 6 && action == "resolved" {
                    continue;
                }
                events.push(format!(
                    r#"{{"id":"t{ticket}-{place}","time":{},"kind":"incident","service":"{service}","customer":"acme","ticket":"T{ticket}","action":"{action}","priority":"P2","outage":{outage}}}"#,
                    time(number * 600 + after)
                ));
            }
            events.push(format!(
                r#"{{"id":"c{ticket}","time":{},"kind":"change","service":"web","ticket":"C{ticket}","action":"finished","outcome":"{}"}}"#,
                time(number * 600),
                if ticket % 11 == 3 { "failed" } else { "success" }
            ));
            events.push(format!(
                r#"{{"id":"f{ticket}","time":{},"kind":"feedback","service":"web","customer":"acme","score":{}}}"#,
                time(number * 600),
                ticket % 5 + 1
            ));
        }
        if number % 400 == 11 {
            events.push(format!(r#"{{"id":"broken{number}","time":"yesterday","kind":"monitoring"}}"#));
            // A copy of the one before: how long one is recognised depends on when the watermark moves on, which is chance
            // where a process stops in between.
            events.push(events[events.len() - 2].clone());
        }
    }
    // A displaced stretch: late by half a month, but within the history kept.
    let late = events.drain(1_000..1_100).collect::<Vec<_>>();
    events.splice(2_000..2_000, late);
    events
}

pub struct World {
    folder: tempfile::TempDir,
    pub definitions: PathBuf,
    pub file: PathBuf,
    pub events: Vec<String>,
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let definitions = folder.path().join("definitions");
        std::fs::create_dir(&definitions).expect("a folder");
        std::fs::write(definitions.join("all.yaml"), DEFINITIONS).expect("a file");
        let events = events();
        let file = folder.path().join("march.ndjson");
        std::fs::write(&file, events.join("\n")).expect("a file");
        World { definitions, file, events, folder }
    }

    pub fn lake(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub const TABLES: [&str; 5] = ["attainment", "breaches", "clocks", "outages", "transitions"];

pub fn assert_as_judged(world: &World, lake: &Path, what: &str) {
    for name in TABLES {
        let expected = judged(&world.definitions, std::slice::from_ref(&world.file), name);
        assert_same(&format!("{what}: rows of {name} from the tables and from judge"), &table(lake, name), &expected);
    }
}

/// Over each segment that is known whole, the function of SQL says what the results say.
fn assert_availability_as_judged(lake: &Path) {
    let ask = |statement: &str| {
        let text = output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", statement]);
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let segments =
        ask("SELECT service, segment_start, segment_end, agreed_us, good_us, bad_us, unknown_us, outage_count, \
         longest_outage_us, attainment_ratio FROM attainment WHERE signal = 'availability' AND objective = 'weekly' \
         AND segment_end <= known_until() ORDER BY 1, 2");
    assert!(segments.len() >= 8, "four weeks of two services: {segments:#?}");
    for segment in segments {
        let cells: Vec<&str> = segment.split(',').collect();
        let asked = format!(
            "SELECT agreed_us, up_us, down_us, unknown_us, outage_count, longest_outage_us, availability_ratio \
             FROM availability('{}', '{}', '{}')",
            cells[0], cells[1], cells[2]
        );
        assert_eq!(ask(&asked), [cells[3..].join(",")], "{segment}");
    }
}

/// Spreads records over partitions: a key would keep a service together, this does not.
pub fn produce(broker: &Broker, topic: &str, partitions: usize, events: &[String]) {
    for partition in 0..partitions {
        let share = events.iter().skip(partition).step_by(partitions);
        broker.produce(topic, partition as i32, share).expect("records");
    }
}

#[test]
fn the_same_rows_through_kafka_and_through_judge() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 3).expect("topic");
    produce(&broker, "events", 3, &world.events);
    run_until_caught_up(&broker, &world.definitions, &world.lake("lanes"), &["--lanes", "4"]);
    assert_as_judged(&world, &world.lake("lanes"), "four lanes");
    assert_availability_as_judged(&world.lake("lanes"));
    let dead = table(&world.lake("lanes"), "dead_letters");
    assert_eq!(dead.len(), 12, "4,464 probes hold 12 numbers that leave 11 when divided by 400: {dead:#?}");
    let counted = output(&[
        "sql",
        "--lake",
        &world.lake("lanes").to_string_lossy(),
        "--format",
        "csv",
        "SELECT count(*) AS events, count(DISTINCT id) AS ids FROM events",
    ]);
    let (events, ids) = counted.lines().nth(1).and_then(|line| line.split_once(',')).expect("two counts");
    assert_eq!(events, ids, "each event is in the table once");
}

#[test]
fn a_restart_goes_on_where_the_tables_are() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 2).expect("topic");
    let lake = world.lake("lake");
    for part in world.events.chunks(world.events.len() / 3 + 1) {
        produce(&broker, "events", 2, part);
        run_until_caught_up(&broker, &world.definitions, &lake, &["--snapshot-every", "2"]);
    }
    assert_as_judged(&world, &lake, "three runs");
    let (bootstrap, definitions, location) =
        (broker.bootstrap(), world.definitions.to_string_lossy(), lake.to_string_lossy());
    let settings = ["--bootstrap", &bootstrap, "--definitions", &definitions, "--lake", &location];
    let other = run(&[&["run", "--listen", "127.0.0.1:0", "--group", "other"], settings.as_slice()].concat());
    let told = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1), "{told}");
    assert!(told.contains("these tables are kept by group plimsoll; group other would store every event"), "{told}");
}

#[test]
fn a_killed_worker_replays_its_epochs() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 2).expect("topic");
    let lake = world.lake("lake");
    let (bootstrap, definitions, location) =
        (broker.bootstrap(), world.definitions.to_string_lossy().into_owned(), lake.to_string_lossy().into_owned());
    for part in world.events.chunks(world.events.len() / 3 + 1) {
        let mut running = Running::start(&[
            "run",
            "--bootstrap",
            &bootstrap,
            "--definitions",
            &definitions,
            "--lake",
            &location,
            "--listen",
            "127.0.0.1:0",
            "--epoch-interval",
            "20ms",
            "--snapshot-every",
            "1000000",
            // The broker waits for a member that died as long as this.
            "-X",
            "session.timeout.ms=6000",
        ]);
        running.wait_for("answering on");
        produce(&broker, "events", 2, part);
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        running.signal("KILL");
        assert!(!running.end().success());
    }
    run_until_caught_up(&broker, &world.definitions, &lake, &[]);
    assert_as_judged(&world, &lake, "killed three times");
}

#[test]
fn the_doors_answer_and_a_signal_ends_everything_cleanly() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 1).expect("topic");
    produce(&broker, "events", 1, &world.events);
    let (bootstrap, definitions, lake) = (
        broker.bootstrap(),
        world.definitions.to_string_lossy().into_owned(),
        world.lake("lake").to_string_lossy().into_owned(),
    );
    let mut running = Running::start(&[
        "run",
        "--bootstrap",
        &bootstrap,
        "--definitions",
        &definitions,
        "--lake",
        &lake,
        "--listen",
        "127.0.0.1:0",
        "--publish-interval",
        "1s",
    ]);
    let line = running.wait_for("answering on http://");
    let address = line.split("http://").nth(1).expect("an address").trim().to_owned();
    // Results come with the first publication, the lag with the client's first statistics.
    let lacking = |metrics: &str| {
        let names = [
            "plimsoll_objective_attainment_ratio{",
            "plimsoll_objective_verdict{",
            "plimsoll_events_total{topic=\"events\"}",
            "plimsoll_kafka_lag_records{",
            "plimsoll_query_",
        ];
        names.into_iter().filter(|name| !metrics.contains(name)).collect::<Vec<_>>()
    };
    let mut metrics = String::new();
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        metrics = get(&address, "/metrics");
        if lacking(&metrics).is_empty() {
            break;
        }
    }
    assert_eq!(lacking(&metrics), [""; 0], "{metrics}");
    assert!(get(&address, "/healthz").contains("200 OK"));
    // The live numbers are there as soon as an epoch is folded, the tables a moment later.
    let attainment = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let answer = get(&address, "/v1/attainment?objective=availability&service=web");
        Some(answer).filter(|answer| answer.contains("\"agreement\":\"acme-gold\""))
    });
    assert!(attainment.is_some(), "attainment is answered");
    running.signal("TERM");
    assert!(running.end().success());
    run_until_caught_up(&broker, &world.definitions, &world.lake("lake"), &[]);
    assert_as_judged(&world, &world.lake("lake"), "after a signal");

    // Nothing new comes, so whatever the tables' own door and a restarted worker show of the objectives was known
    // before: seven objectives for two services, each with a verdict.
    let shown = [
        &["query", "--lake", &lake, "--listen", "127.0.0.1:0"] as &[&str],
        &["run", "--lake", &lake, "--listen", "127.0.0.1:0", "--bootstrap", &bootstrap, "--definitions", &definitions],
    ]
    .map(|arguments| {
        let running = Running::start(arguments);
        let line = running.wait_for("answering on http://");
        let address = line.split("http://").nth(1).expect("an address").trim();
        objective_metrics(&get(address, "/metrics"))
    });
    assert_eq!(shown[0], shown[1]);
    let count = |name: &str| shown[0].iter().filter(|sample| sample.starts_with(name)).count();
    assert_eq!(count("plimsoll_objective_verdict{"), 14, "{shown:?}");
    assert!(count("plimsoll_objective_error_budget_remaining_ratio{") > 0, "{shown:?}");
}

/// The samples of objectives that tables can tell, sorted.
fn objective_metrics(answer: &str) -> Vec<String> {
    // What is told of by state, or by definitions, is not in the tables.
    let of_state =
        ["burn_rate", "exhaustion", "warned_ratio"].map(|name| format!("plimsoll_objective_error_budget_{name}"));
    let lines = answer.lines().filter(|line| {
        line.starts_with("plimsoll_objective_") && !of_state.iter().any(|family| line.starts_with(family.as_str()))
    });
    let mut samples: Vec<_> = lines.map(str::to_owned).collect();
    samples.sort_unstable();
    samples
}

#[test]
fn the_same_seed_gives_the_same_demo() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = |name: &str| {
        let path = folder.path().join(name);
        let said =
            output(&["demo", "--once", "--seed", "7", "--folder", &path.to_string_lossy(), "--listen", "127.0.0.1:0"]);
        let summary = said.split_once("Attainment by offering").expect("a summary").1.to_owned();
        (summary, path.join("lake"))
    };
    let (one, lake) = demo("one");
    let (other, other_lake) = demo("other");
    assert_eq!(one, other);
    assert!(one.contains("25 set aside"), "the generator spoils 25 records: {one}");
    for name in TABLES {
        assert_same(name, &table(&lake, name), &table(&other_lake, name));
    }
}

#[test]
fn until_caught_up_names_the_topics_that_do_not_exist() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("there", 1).expect("topic");
    let folder = tempfile::tempdir().expect("a folder");
    let (definitions, lake) = (folder.path().to_string_lossy().into_owned(), folder.path().join("lake"));
    let (lake, bootstrap) = (lake.to_string_lossy(), broker.bootstrap());
    let arguments = ["run", "--until-caught-up", "-d", &definitions, "--lake", &lake, "--listen", "127.0.0.1:0"];
    let ends_with = |topics: &str, said: &str| {
        let source = format!(
            "{{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: plain}}, spec: {{topics: [{topics}]}}}}\n"
        );
        std::fs::write(folder.path().join("source.yaml"), source).expect("a file");
        let done = run(&[arguments.as_slice(), &["--bootstrap", &bootstrap]].concat());
        let told = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), told.as_ref()), (Some(1), format!("error: {said}\n").as_str()));
    };
    let what = format!("does not exist at {bootstrap}; create it, or correct the topics of its source");
    ends_with("there, gone", &format!("topic gone {what}"));
    let what = format!("do not exist at {bootstrap}; create them, or correct the topics of their sources");
    ends_with("gone, there, lost", &format!("topics gone, lost {what}"));
}
