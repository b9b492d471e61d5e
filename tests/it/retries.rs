//! Dead letters that are taken again once the mapping was mended: the tables are those of a mapping that was right from the
//! start.

use std::path::Path;

use plimsoll_schemas::Instant;
use plimsoll_tests::broker::Broker;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use serde_json::Value;

use crate::recovery::{World, ask, wait_for_answer};
use crate::support::{output, run_until_caught_up};
use crate::tables::{Tables, defined};

/// Checks of a service whose word HALT the mapping knows or not. 1 % of a day is 14 minutes 24 seconds.
fn definitions(topic: &str, knows_halt: bool) -> String {
    let halt = if knows_halt { ", HALT: down" } else { "" };
    format!(
        "
apiVersion: plimsoll/v1
kind: Service
metadata: {{id: web}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: up}}
spec:
  type: ola
  services: [web]
  effective: {{from: 2026-03-01, until: 2026-03-08}}
  objectives:
  - {{id: availability, indicator: {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: day}}}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {{id: checks}}
spec:
  topics: [{topic}]
  kind: monitoring
  map:
    id: /id
    time: /at
    service: {{constant: web}}
    status: {{pointer: /word, values: {{OK: up, KO: down{halt}}}}}
"
    )
}

/// The checks: id, minute of the 2nd of March, and whether the word is OK, KO or HALT.
fn check(id: usize, minute: u32, word: &str) -> String {
    format!(r#"{{"id":"{id}","at":"2026-03-02T{:02}:{:02}:00Z","word":"{word}"}}"#, minute / 60, minute % 60)
}

/// What is told in the end: the results without how often and when they were written, the states, and the events with
/// their places.
const TOLD: [&str; 3] = [
    "SELECT window_start, finality, verdict, value_ratio, good_us, bad_us, unknown_us FROM attainment ORDER BY 1",
    "SELECT service, at, state FROM transitions ORDER BY 2",
    "SELECT id, time, status, topic, \"partition\", \"offset\" FROM events ORDER BY id, \"offset\"",
];

fn told(tables: &Tables) -> Vec<Vec<Value>> {
    TOLD.iter().map(|question| tables.ask(question, None)).collect()
}

fn at(text: &str) -> Instant {
    Instant::parse(text).expect("a time")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whatever is set aside, however often the same is sent, and whenever it is asked for: nothing is lost and nothing
    /// doubled. An id may come twice, with the same record.
    #[test]
    fn r20_dead_letters_that_are_taken_again_count_once_as_if_they_had_been_understood_at_once(
        checks in prop::collection::vec(0_usize..6, 1..12),
        early in 0_usize..12,
        asks in prop::collection::vec(any::<bool>(), 4),
    ) {
        let words = ["OK", "HALT", "KO", "HALT", "OK", "HALT"];
        let record = |&id: &usize| check(id, 60 * id as u32, words[id]);
        let records: Vec<String> = checks.iter().map(record).collect();
        let (lacking, mended) = (defined(&definitions("events.ndjson", false)), defined(&definitions("events.ndjson", true)));
        let (lacking, mended) = (lacking.expect("sound"), mended.expect("sound"));
        let ticks = ["2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z", "2026-03-04T12:00:00Z", "2026-03-05T12:00:00Z"].map(at);
        let last = at("2026-03-06T12:00:00Z");
        let mut right = Tables::new(&mended, &records);
        right.epoch(&mended, ticks[0], records.len());
        ticks[1..].iter().for_each(|tick| right.epoch(&mended, *tick, 0));
        right.epoch(&mended, last, 0);

        let mut late = Tables::new(&lacking, &records);
        let early = early.min(records.len());
        for ((place, tick), asks) in ticks.iter().enumerate().zip(asks) {
            // The mapping is mended after the second epoch; before, asking is in vain.
            let by = if place < 2 { &lacking } else { &mended };
            let more = match place { 0 => early, 1 => records.len() - early, _ => 0 };
            if asks {
                late.take_again();
            }
            late.epoch(by, *tick, more);
        }
        late.take_again();
        late.epoch(&mended, last, 0);
        prop_assert_eq!(told(&late), told(&right));
        // Each record is an event, a duplicate that was seen at once, or a dead letter with an outcome.
        let open = late.ask("SELECT * FROM dead_letters WHERE outcome IS NULL", None);
        prop_assert_eq!(open, Vec::<Value>::new());
        let outcomes = late.ask("SELECT count(*) AS n FROM dead_letters", None);
        let halted = checks.iter().filter(|id| words[**id] == "HALT").count();
        prop_assert_eq!(&outcomes[0]["n"], &Value::from(halted));
        // And an audit finds every result again from the stored events.
        prop_assert_eq!(late.replayed("up", "web"), late.written("up", "web"));
    }
}

#[test]
fn r20_a_mended_mapping_gives_the_tables_of_one_that_was_right_from_the_start() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 1).expect("topic");
    let long = |word: &str| {
        format!(r#"{{"id":"9","at":"2026-03-02T09:00:00Z","word":"{word}","note":"{}"}}"#, "x".repeat(20_000))
    };
    let records = [
        check(0, 0, "OK"),
        check(1, 60, "HALT"),
        check(1, 60, "HALT"),
        check(2, 120, "OK"),
        check(3, 180, "LOST"),
        long("HALT"),
    ];
    broker.produce("checks", 0, records).expect("records");
    let world = World::new(&definitions("checks", false));
    let (lake, bootstrap) = (world.lake("lake"), broker.bootstrap());
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    let counted = "SELECT reason, count(*) FROM dead_letters WHERE outcome IS NULL GROUP BY reason ORDER BY reason";
    assert_eq!(ask(&lake, counted), "unknown_word,4");
    let replay = |more: &[&str]| {
        let (definitions, lake) = (world.definitions(), lake.to_string_lossy().into_owned());
        let settings =
            ["dead-letters", "replay", "-d", &definitions.to_string_lossy(), "--lake", &lake].map(str::to_owned);
        let all: Vec<&str> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
        output(&all)
    };

    // Before the mapping is mended nothing can be used.
    let told = replay(&[]);
    assert!(told.starts_with("no dead letter is to be taken again\n3 dead letters cannot be used"), "{told}");
    world.define(&definitions("checks", true));
    // Without a broker the long one waits; LOST is still not known. A second command finds nothing more to ask for.
    let told = replay(&[]);
    assert!(told.starts_with("2 dead letters will be taken again by the next epoch\n"), "{told}");
    assert!(told.contains("1 dead letter cannot be used by these definitions either: unknown_word\n"), "{told}");
    assert!(told.contains("1 dead letter of which the table holds 16 KiB only"), "{told}");
    assert!(replay(&[]).starts_with("no dead letter is to be taken again\n"));
    let told = replay(&["--bootstrap", &bootstrap]);
    assert!(told.starts_with("1 dead letter will be taken again by the next epoch\n"), "{told}");

    // Taken while `run` is up, which is then killed: the replay of its epochs tells the same.
    let outcomes = "SELECT \"offset\", outcome, retry FROM dead_letters ORDER BY 1";
    let expected = "1,event,0\n2,duplicate,0\n4,,\n5,event,1";
    let (mut running, _) = world.run(&bootstrap, "lake", &[]);
    wait_for_answer(&lake, outcomes, expected);
    running.signal("KILL");
    running.end();
    for _ in 0..2 {
        run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    }
    assert_eq!(ask(&lake, outcomes), expected);
    assert_eq!(ask(&lake, counted), "unknown_word,1");
    assert!(
        replay(&["--bootstrap", &bootstrap]).starts_with("no dead letter is to be taken again\n1 dead letter cannot")
    );
    let written = "SELECT count(*) FROM history.dead_letters";
    assert_eq!(ask(&lake, written), "7", "four that were set aside, three outcomes");

    let right = World::new(&definitions("checks", true));
    let right_lake = right.lake("lake");
    run_until_caught_up(&broker, &right.definitions(), &right_lake, &[]);
    for question in TOLD {
        assert_eq!(ask(&lake, question), ask(&right_lake, question), "{question}");
    }
    audit(&lake);
}

/// The day's result is computed anew from the stored events, of which some were dead letters.
fn audit(lake: &Path) {
    let audited = output(&[
        "audit",
        "--lake",
        &lake.to_string_lossy(),
        "--agreement",
        "up",
        "--service",
        "web",
        "--objective",
        "availability",
        "--window",
        "2026-03-02",
    ]);
    assert!(audited.contains("confirmed"), "{audited}");
}
