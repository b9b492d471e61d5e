//! The roles as processes of their own: whatever dies, comes and goes, the tables are those of one process (R20, R24, R26).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_tests::broker::Broker;

use crate::support::{Running, assert_same, get, output, run, run_until_caught_up, table};

/// Four things that are measured apart: `web`; `mail`; `shop` with the `database` that it is made of; and `desk`, of which
/// only tickets tell.
const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: database}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [database]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: desk}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [events], lateness: 1m}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: hosting}
spec:
  type: ola
  services: [web]
  effective: {from: FROM, until: UNTIL}
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 99.9 %}, window: {calendar: day}}
    - {id: outages, indicator: {signal: outage_count}, target: {at_most: 3}, window: {calendar: day}}
    - {id: response, indicator: {signal: response_time, within: 30m}, target: {at_least: 90 %}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: post}
spec:
  type: ola
  services: [mail]
  effective: {from: FROM, until: UNTIL}
  objectives:
    - {id: down, indicator: {signal: downtime}, target: {at_most: 4h}, window: {calendar: day}}
    - {id: fix, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: trade}
spec:
  type: ola
  services: [shop, database]
  effective: {from: FROM, until: UNTIL}
  objectives:
    - {id: up, indicator: {signal: availability, unknown: hold}, target: {at_least: 99 %}, window: {calendar: day}}
    - {id: longest, indicator: {signal: longest_outage}, target: {at_most: 1h}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: help}
spec:
  type: ola
  services: [desk]
  effective: {from: FROM, until: UNTIL}
  objectives:
    - {id: fix, indicator: {signal: resolution_time, within: 8h}, target: {at_least: 80 %}, window: {calendar: day}}
    - {id: liked, indicator: {signal: satisfaction}, target: {at_least: 80 %}, window: {calendar: day}}
";

/// The first day of the five: results of checks that come more than eight days late would wait for the next start (R22).
fn first_day() -> chrono::NaiveDate {
    chrono::Utc::now().date_naive() - chrono::Days::new(6)
}

fn definitions() -> String {
    let until = first_day() + chrono::Days::new(5);
    DEFINITIONS.replace("FROM", &first_day().to_string()).replace("UNTIL", &until.to_string())
}

/// Five days: checks every five minutes, tickets that move from `desk` to another service, scores, records that cannot be
/// used and some that come twice. Each with the partition in which it lies.
fn events() -> Vec<(i32, String)> {
    let midnight = first_day().and_time(chrono::NaiveTime::MIN).and_utc();
    let time = |minutes: i64| (midnight + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
    let mut events = Vec::new();
    for number in 0..5 * 288_i64 {
        let at = number * 5;
        for (place, service) in ["web", "database"].into_iter().enumerate() {
            let status = if (number + 7 * place as i64) % 170 < 2 { "down" } else { "up" };
            events.push((place as i32, format!(
                r#"{{"id":"{service}{number}","time":"{}","kind":"monitoring","service":"{service}","check":"http","status":"{status}"}}"#,
                time(at)
            )));
        }
        if number % 40 == 5 {
            let ticket = number / 40;
            let to = ["web", "mail", "desk", "shop"][ticket as usize % 4];
            for (place, (action, service, after)) in
                [("opened", "desk", 0), ("acknowledged", to, 10 + ticket), ("resolved", to, 60 + 12 * ticket)]
                    .into_iter()
                    .enumerate()
            {
                events.push((ticket as i32 % 2, format!(
                    r#"{{"id":"t{ticket}-{place}","time":"{}","kind":"incident","service":"{service}","ticket":"T{ticket}","action":"{action}","outage":{}}}"#,
                    time(at + after),
                    to == "mail"
                )));
            }
            let score = ticket % 5 + 1;
            events.push((
                0,
                format!(
                    r#"{{"id":"s{ticket}","time":"{}","kind":"feedback","service":"desk","score":{score}}}"#,
                    time(at)
                ),
            ));
            events.push((1, format!(r#"{{"id":"bad{ticket}","time":"yesterday","kind":"monitoring"}}"#)));
            // Sent twice, as by a producer that heard no answer.
            events.push(events[events.len() - 3].clone());
        }
    }
    events
}

struct World {
    folder: tempfile::TempDir,
    broker: Broker,
    events: Vec<(i32, String)>,
}

impl World {
    fn new(broker: Broker) -> World {
        let world = World { folder: tempfile::tempdir().expect("a folder"), broker, events: events() };
        std::fs::create_dir(world.definitions()).expect("a folder");
        world.define(&definitions());
        world.broker.create_topic("events", 2).expect("a topic");
        world
    }

    fn definitions(&self) -> PathBuf {
        self.folder.path().join("definitions")
    }

    fn define(&self, text: &str) {
        std::fs::write(self.definitions().join("all.yaml"), text).expect("a file");
    }

    fn lake(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends so much of the events, in hundredths.
    fn send(&self, hundredths: std::ops::Range<usize>) {
        let place = |hundredths: usize| self.events.len() * hundredths / 100;
        let part = &self.events[place(hundredths.start)..place(hundredths.end)];
        for partition in 0..2 {
            let records = part.iter().filter(|(of, _)| *of == partition).map(|(_, record)| record);
            self.broker.produce("events", partition, records).expect("records");
        }
    }

    fn start(&self, role: &str, more: &[&str]) -> Running {
        let (definitions, lake, bootstrap) = (self.definitions(), self.lake("lake"), self.broker.bootstrap());
        let (definitions, lake) = (definitions.to_string_lossy(), lake.to_string_lossy());
        let settings =
            [role, "--bootstrap", &bootstrap, "-d", &definitions, "--lake", &lake, "--listen", "127.0.0.1:0"];
        Running::start(&[&settings, ["-X", "session.timeout.ms=6000"].as_slice(), more].concat())
    }

    fn ingest(&self) -> Running {
        let ingest = self.start("ingest", &[]);
        ingest.wait_for("passing 1 topic on from");
        ingest
    }

    fn aggregate(&self) -> (Running, String) {
        let more = ["--shards", "3", "--epoch-interval", "200ms", "--snapshot-every", "7", "--publish-interval", "1s"];
        let aggregate = self.start("aggregate", &more);
        let line = aggregate.wait_for("answering on http://");
        (aggregate, line.split("http://").nth(1).expect("an address").trim().to_owned())
    }

    /// What one process makes of it all.
    fn whole(&self, lake: &str) -> PathBuf {
        let lake = self.lake(lake);
        run_until_caught_up(&self.broker, &self.definitions(), &lake, &["--group", "whole"]);
        lake
    }

    fn ask(&self, question: &str) -> String {
        ask(&self.lake("lake"), question)
    }

    /// Waits until the tables have all that those of one process have, and all of it is final.
    fn wait_until_as_far_as(&self, whole: &Path) {
        for question in ["SELECT count(*) FROM events", "SELECT count(*) FROM attainment WHERE finality = 'final'"] {
            self.wait_for(question, &ask(whole, question));
        }
    }

    fn wait_for(&self, question: &str, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let found = self.ask(question);
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{question} was answered by {found} instead of {expected}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn assert_same_as(&self, whole: &Path) {
        for name in ["events", "dead_letters", "attainment", "breaches", "clocks", "outages", "transitions", "services"]
        {
            let what = format!("rows of {name} of one process and of several");
            assert_same(&what, &table(whole, name), &table(&self.lake("lake"), name));
        }
    }
}

fn ask(lake: &Path, question: &str) -> String {
    let answer = output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", question]);
    answer.split_once('\n').map_or(String::new(), |(_, rows)| rows.trim_end().to_owned())
}

fn stop(mut running: Running) {
    running.signal("TERM");
    assert!(running.end().success());
}

#[test]
fn r20_roles_that_are_killed_come_and_go_make_the_tables_of_one_process() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new(broker);
    let mut first = (world.ingest(), world.aggregate().0);
    world.send(0..25);
    first.1.wait_for("keeping shard");
    // A second of each, while events flow.
    let (second_ingest, (second, _)) = (world.ingest(), world.aggregate());
    world.send(25..40);
    second.wait_for("keeping shard");
    world.send(40..55);
    world.wait_for("SELECT count(*) > 500 FROM events", "true");
    // Both of the first are killed in the middle.
    for killed in [&mut first.0, &mut first.1] {
        killed.signal("KILL");
        killed.end();
    }
    world.send(55..70);
    let third = world.aggregate().0;
    third.wait_for("keeping shard");
    let third_ingest = world.ingest();
    world.send(70..85);
    // And back to one of each, in order.
    stop(second);
    stop(second_ingest);
    world.send(85..100);
    let whole = world.whole("whole");
    world.wait_until_as_far_as(&whole);
    stop(third_ingest);
    stop(third);
    world.assert_same_as(&whole);
    // Each event once, from whichever shard, and no two epochs of one number.
    assert_eq!(world.ask("SELECT count(*) - count(DISTINCT id) FROM history.events"), "0");
    assert_eq!(
        world.ask(
            "SELECT count(*) FROM (SELECT epoch FROM history.epochs GROUP BY epoch HAVING count(DISTINCT tick) > 1)"
        ),
        "0"
    );
}

#[test]
fn r24_r26_shards_take_stored_events_again_are_audited_and_keep_others_out() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new(broker);
    let (ingest, (aggregate, address)) = (world.ingest(), world.aggregate());
    world.send(0..100);
    let whole = world.whole("whole");
    world.wait_until_as_far_as(&whole);
    world.assert_same_as(&whole);
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("plimsoll_shards 3\n"), "{metrics}");
    assert_eq!(metrics.matches("# TYPE plimsoll_events_total counter").count(), 1, "{metrics}");
    let by_shard = metrics.lines().filter(|line| line.starts_with("plimsoll_events_total{"));
    let events: u64 =
        by_shard.map(|line| line.rsplit(' ').next().expect("a number").parse::<u64>().expect("one")).sum();
    assert_eq!(events.to_string(), world.ask("SELECT count(*) FROM events"));
    let sum = |name: &str| -> u64 {
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.map(|line| line.rsplit(' ').next().expect("a number").parse::<u64>().expect("one")).sum()
    };
    let read = sum("plimsoll_records_read_total");
    assert!(read > 0 && read == sum("plimsoll_record_outcomes_total"), "{metrics}");

    // A new objective over single events: what was stored is taken again, of all shards.
    let more = "\n    - {id: disliked, indicator: {signal: satisfaction, good_from: 2}, target: {at_least: 90 %}, window: {calendar: day}}\n";
    world.define(&format!("{}{more}", definitions().trim_end()));
    let restated = "SELECT count(*) FROM attainment WHERE objective = 'disliked' AND finality = 'final'";
    world.wait_for(restated, "5");
    stop(ingest);
    stop(aggregate);
    let whole = world.whole("anew");
    world.assert_same_as(&whole);

    // Results of every shard follow from what is stored.
    let lake = world.lake("lake");
    let lake = lake.to_string_lossy();
    let shards = world.ask("SELECT count(DISTINCT (epoch - 1) % 3) FROM history.attainment");
    assert_eq!(shards, "3", "each measures something");
    for (agreement, service, objective) in
        [("hosting", "web", "up"), ("post", "mail", "fix"), ("trade", "shop", "longest"), ("help", "desk", "disliked")]
    {
        let named =
            ["audit", "--lake", &lake, "--agreement", agreement, "--service", service, "--objective", objective];
        let told = output(&[&named, ["--window", &first_day().to_string()].as_slice()].concat());
        assert!(told.contains("confirmed: "), "{told}");
    }
    // As known at: before anything was recorded nothing, now everything.
    let known = |at: &str| world.ask(&format!("SELECT count(*) FROM attainment_known_at('{at}')"));
    assert_eq!(known(&first_day().to_string()), "0");
    assert_eq!(known("2100-01-01"), world.ask("SELECT count(*) FROM attainment"));

    // Nobody else may keep these tables, nor these anybody else's.
    let refused = |lake: &Path, arguments: &[&str]| {
        let (definitions, lake) = (world.definitions(), lake.to_string_lossy().into_owned());
        let settings = ["--bootstrap", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--lake", &lake, "-d"];
        let done = run(&[arguments, &settings, &[&*definitions.to_string_lossy()]].concat());
        assert_eq!(done.status.code(), Some(1));
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let told = refused(&world.lake("lake"), &["run"]);
    assert!(told.contains("these tables are kept by 3 shards of group plimsoll"), "{told}");
    let told = refused(&world.lake("lake"), &["aggregate", "--shards", "2"]);
    assert!(told.contains("kept by 3 shards, not by 2; the number is for good: give --shards 3"), "{told}");
    let told = refused(&world.lake("whole"), &["aggregate", "--group", "whole"]);
    assert!(told.contains("these tables are kept by group whole as a whole"), "{told}");
    let told = refused(&world.lake("whole"), &["ingest"]);
    assert!(told.contains("these tables are kept by group whole as a whole"), "{told}");
}
