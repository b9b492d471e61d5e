//! What works for the tables of `run` works for those that shards keep: definitions over HTTP, dead letters that are taken
//! again, and tables that are made anew (R20, R24).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use plimsoll_tests::broker::Broker;

use crate::rebuild::files;
use crate::recovery::{World, ask, wait_for_answer};
use crate::support::{Running, get, output, request, run, run_until_caught_up};

/// Checks that come more than eight days late would wait (R22); these are a few days old.
fn first_day() -> chrono::NaiveDate {
    chrono::Utc::now().date_naive() - chrono::Days::new(4)
}

/// Two services that are measured in two shards, and a mapping that knows the word HALT or not. A third agreement, if there
/// is one, joins them.
fn definitions(knows_halt: bool, joined: &str) -> String {
    let halt = if knows_halt { ", HALT: down" } else { "" };
    let until = first_day() + chrono::Days::new(3);
    let agreement = |id: &str, services: &str| {
        format!(
            "---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: {id}}}
spec:
  type: ola
  services: [{services}]
  effective: {{from: {}, until: {until}}}
  objectives:
  - {{id: up, indicator: {{signal: availability}}, target: {{at_least: 95 %}}, window: {{calendar: day}}}}
",
            first_day()
        )
    };
    let source = format!(
        "apiVersion: plimsoll/v1
kind: Source
metadata: {{id: checks}}
spec:
  topics: [checks]
  kind: monitoring
  map: {{id: /id, time: /at, service: /of, status: {{pointer: /word, values: {{OK: up, KO: down{halt}}}}}}}
"
    );
    let services = ["web", "mail"]
        .map(|id| format!("---\n{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {id}}}}}\n"))
        .concat();
    let joined = if joined.is_empty() { String::new() } else { agreement("joined", joined) };
    source + &services + &agreement("site", "web") + &agreement("post", "mail") + &joined
}

/// Three days of checks each hour from this number on: partition 0 has those of `web`, partition 1 those of `mail`. Every
/// ninth says HALT, every eleventh KO.
fn send(broker: &Broker, numbers: std::ops::Range<i64>) {
    let midnight = first_day().and_time(chrono::NaiveTime::MIN).and_utc();
    for (partition, service) in ["web", "mail"].into_iter().enumerate() {
        let record = |number: i64| {
            let at = (midnight + chrono::TimeDelta::minutes(20 * number)).to_rfc3339();
            let word = if number % 9 == 4 {
                "HALT"
            } else if number % 11 == 3 {
                "KO"
            } else {
                "OK"
            };
            format!(r#"{{"id":"{service}{number}","at":"{at}","of":"{service}","word":"{word}"}}"#)
        };
        broker.produce("checks", partition as i32, numbers.clone().map(record)).expect("records");
    }
}

/// Records of each service: a third of an hour apart, for three days.
const RECORDS: i64 = 3 * 72;

/// Of these, those with a number that is 4 modulo 9.
const HALTED: i64 = RECORDS / 9;

fn start(world: &World, broker: &Broker, role: &str, lake: &str) -> Running {
    let (definitions, lake, bootstrap) = (world.definitions(), world.lake(lake), broker.bootstrap());
    let (definitions, lake) = (definitions.to_string_lossy(), lake.to_string_lossy());
    let settings = [role, "--bootstrap", &bootstrap, "-d", &definitions, "--lake", &lake, "--listen", "127.0.0.1:0"];
    let quick = ["--shards", "3", "--epoch-interval", "100ms", "--snapshot-every", "7", "--publish-interval", "1s"];
    let quick = if role == "aggregate" { [&quick[..], &["--maintain-every", "1h"]].concat() } else { Vec::new() };
    Running::start(&[&settings[..], &quick, &["-X", "session.timeout.ms=1500"]].concat())
}

fn address(aggregate: &Running) -> String {
    let line = aggregate.wait_for("answering on http://");
    line.split("http://").nth(1).expect("an address").trim().to_owned()
}

fn kill(mut running: Running) {
    running.signal("KILL");
    running.end();
}

fn stop(mut running: Running) {
    running.signal("TERM");
    assert!(running.end().success(), "{}", running.rest());
}

/// The results without how often and when they were written, the states, and the events with their places.
const TOLD: [&str; 4] = [
    "SELECT agreement, window_start, finality, verdict, good_us, bad_us, unknown_us FROM attainment ORDER BY 1, 2",
    "SELECT service, at, state FROM transitions ORDER BY 1, 2",
    "SELECT id, time, status, topic, \"partition\", \"offset\" FROM events ORDER BY id",
    "SELECT count(*) FROM dead_letters WHERE outcome IS NULL",
];

fn assert_told_as_by_one_process(broker: &Broker, world: &World, lake: &Path, whole: &str) {
    let whole = world.lake(whole);
    run_until_caught_up(broker, &world.definitions(), &whole, &["--group", "whole"]);
    for question in TOLD {
        wait_for_answer(lake, question, &ask(&whole, question));
    }
}

#[test]
fn r20_r24_shards_take_dead_letters_again_under_definitions_that_come_over_http() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 2).expect("topic");
    let world = World::new(&definitions(false, ""));
    let lake = world.lake("lake");
    let (ingest, aggregate) = (start(&world, &broker, "ingest", "lake"), start(&world, &broker, "aggregate", "lake"));
    let door = address(&aggregate);
    send(&broker, 0..RECORDS);
    let open = "SELECT count(*) FROM dead_letters WHERE outcome IS NULL";
    wait_for_answer(&lake, open, &(2 * HALTED).to_string());
    let replay = || {
        let (definitions, lake) = (world.definitions(), lake.to_string_lossy().into_owned());
        output(&["dead-letters", "replay", "-d", &definitions.to_string_lossy(), "--lake", &lake])
    };
    assert!(replay().starts_with("no dead letter is to be taken again\n48 dead letters cannot be used"));

    // What joins two shards is refused whole, at the door and in the folder, and the shards go on.
    let post = |text: &str| request(&door, "POST /v1/definitions?file=all.yaml", "application/yaml", text);
    let refused = post(&definitions(true, "web, mail"));
    assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains("measured in shard 1"), "{refused}");
    world.define(&definitions(true, "web, mail"));
    aggregate.wait_for("what was in force before stays so");
    ingest.wait_for("what was in force before stays so");
    // So is a version that touches what is known already, which the folder alone does not show (R24).
    let second = definitions(false, "").split("---\n").find(|part| part.contains("{id: site}")).expect("it").to_owned();
    let term = |days: [u64; 2]| {
        let [from, until] = days.map(|day| first_day() + chrono::Days::new(day));
        format!("{{from: {from}, until: {until}}}")
    };
    let second = second.replace("{id: site}", "{id: site, version: 2}").replace(&term([0, 3]), &term([3, 30]));
    let refused = request(&door, "POST /v1/definitions?file=second.yaml", "application/yaml", &second);
    let place = r#"{"file":"second.yaml","line":3,"field":"spec.effective.from""#;
    assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains(place), "{refused}");
    // The mended mapping is taken.
    let taken = post(&definitions(true, ""));
    assert!(taken.starts_with("HTTP/1.1 200 ") && taken.ends_with(r#"{"changed":true}"#), "{taken}");
    assert!(get(&door, "/v1/definitions").contains("HALT: down"));
    ingest.wait_for("definitions changed");
    // What touches the past is refused by a process that keeps no shard, too, and in the folder by all of them.
    let standby = start(&world, &broker, "aggregate", "lake");
    let refused = request(&address(&standby), "POST /v1/definitions?file=second.yaml", "application/yaml", &second);
    assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains(place), "{refused}");
    stop(standby);
    world.define(&format!("{}---\n{second}", definitions(true, "")));
    for running in [&ingest, &aggregate] {
        running.wait_for("version 2 of agreement site, new and in force from");
        running.wait_for("what was in force before stays so");
    }
    world.define(&definitions(true, ""));

    // Both roles are killed while the letters are taken again.
    assert!(replay().starts_with("48 dead letters will be taken again by the next epoch\n"));
    wait_for_answer(&lake, "SELECT count(*) > 0 FROM dead_letters WHERE outcome IS NOT NULL", "true");
    kill(aggregate);
    kill(ingest);
    let (ingest, aggregate) = (start(&world, &broker, "ingest", "lake"), start(&world, &broker, "aggregate", "lake"));
    wait_for_answer(&lake, "SELECT outcome, count(*) FROM dead_letters GROUP BY outcome", "event,48");
    assert!(replay().starts_with("no dead letter is to be taken again\n"));
    assert_told_as_by_one_process(&broker, &world, &lake, "whole");
    stop(ingest);
    stop(aggregate);
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id), count(retry) FROM history.events"), "432,432,48");
    let written = "SELECT count(*), count(DISTINCT retry) FROM history.dead_letters WHERE retry IS NOT NULL";
    assert_eq!(ask(&lake, written), "48,2", "a request for each partition, and an outcome for each letter");
    assert_confirmed(&lake, first_day(), &ABOUT);

    // A start under definitions that join shards ends with what is wrong.
    world.define(&definitions(true, "web, mail"));
    let ended = start(&world, &broker, "aggregate", "lake");
    ended.wait_for("the definitions do not fit the tables");
}

#[test]
fn r24_r25_tables_of_shards_are_made_anew_to_the_byte_and_go_on() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 2).expect("topic");
    let world = World::new(&definitions(false, ""));
    let lake = world.lake("lake");
    let (ingest, aggregate) = (start(&world, &broker, "ingest", "lake"), start(&world, &broker, "aggregate", "lake"));
    send(&broker, 0..RECORDS / 3);
    let open = "SELECT count(*) FROM dead_letters WHERE outcome IS NULL";
    wait_for_answer(&lake, open, &(2 * HALTED / 3).to_string());
    kill(aggregate);
    world.define(&definitions(true, ""));
    let aggregate = start(&world, &broker, "aggregate", "lake");
    ingest.wait_for("definitions changed");
    let replay = |lake: &Path| {
        let (definitions, lake) = (world.definitions(), lake.to_string_lossy().into_owned());
        output(&["dead-letters", "replay", "-d", &definitions.to_string_lossy(), "--lake", &lake])
    };
    assert!(replay(&lake).starts_with("16 dead letters will be taken again"));
    wait_for_answer(&lake, "SELECT outcome, count(*) FROM dead_letters GROUP BY outcome", "event,16");
    assert_told_as_by_one_process(&broker, &world, &lake, "first");
    stop(aggregate);

    let rebuild = |from: &Path, into: &Path| {
        output(&["rebuild", "--lake", &from.to_string_lossy(), "--into", &into.to_string_lossy()])
    };
    let anew = world.lake("anew");
    let told = rebuild(&lake, &anew);
    assert!(told.starts_with("made ") && told.contains(" epochs anew in "), "{told}");
    let (before, after) = (files(&lake), files(&anew));
    // Each start tells the definitions, and only the first that has them is made again.
    let told = |name: &&String| ["agreements", "calendars", "services"].iter().all(|table| !name.starts_with(table));
    assert_eq!(before.keys().filter(told).collect::<Vec<_>>(), after.keys().filter(told).collect::<Vec<_>>());
    assert!(before.keys().any(|name| name.starts_with("dead_letters")));

    // The new tables go on; then shards are killed, each somewhere else, and once more all is made anew.
    let aggregate = start(&world, &broker, "aggregate", "anew");
    stop(ingest);
    let ingest = start(&world, &broker, "ingest", "anew");
    for third in 1..9 {
        send(&broker, RECORDS * (third + 3) / 12..RECORDS * (third + 4) / 12);
        std::thread::sleep(Duration::from_millis(60));
    }
    wait_for_answer(&anew, "SELECT count(*) > 150 FROM events", "true");
    kill(aggregate);
    stop(ingest);
    let again = world.lake("again");
    let told = rebuild(&anew, &again);
    println!("{told}");
    assert!(replay(&again).starts_with("no dead letter is to be taken again\n"));
    let (ingest, aggregate) = (start(&world, &broker, "ingest", "again"), start(&world, &broker, "aggregate", "again"));
    send(&broker, RECORDS..RECORDS + 9);
    assert_told_as_by_one_process(&broker, &world, &again, "second");
    stop(ingest);
    stop(aggregate);
    let counted = "SELECT count(*) - count(DISTINCT id), count(retry) FROM history.events";
    assert_eq!(ask(&again, counted), "0,16");
    let told = output(&["doctor", "--lake", &again.to_string_lossy()]);
    assert!(!told.contains("FAULT"), "{told}");
}

#[test]
fn what_is_no_message_is_told_with_its_place_and_the_exchange_may_be_deleted() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 2).expect("topic");
    let world = World::new(&definitions(true, ""));
    let lake = world.lake("lake");
    let (ingest, mut aggregate) =
        (start(&world, &broker, "ingest", "lake"), start(&world, &broker, "aggregate", "lake"));
    send(&broker, 0..RECORDS / 2);
    wait_for_answer(&lake, "SELECT count(*) FROM events", &RECORDS.to_string());
    broker.produce("plimsoll.exchange", 0, ["{\"id\": 1}".to_owned()]).expect("a record");
    let told = aggregate.wait_for("error: ");
    assert!(told.contains(" cannot be kept: the exchange: the message at offset "), "{told}");
    assert!(told.contains("it begins with 123") && told.contains("delete the topic, and start them"), "{told}");
    assert_eq!(aggregate.end().code(), Some(1));
    stop(ingest);
    broker.delete_topic("plimsoll.exchange").expect("deleted");
    let (ingest, aggregate) = (start(&world, &broker, "ingest", "lake"), start(&world, &broker, "aggregate", "lake"));
    send(&broker, RECORDS / 2..RECORDS);
    assert_told_as_by_one_process(&broker, &world, &lake, "whole");
    stop(ingest);
    stop(aggregate);
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM history.events"), "432,432");
}

/// How many records each of two shards has read.
const READ: &str = "SELECT epoch % 2, sum(until_offset - from_offset) FROM history.epochs GROUP BY 1 ORDER BY 1";

/// Two shards, one that cuts an epoch every twentieth of a second and one that does so every three seconds, and what
/// reads for them.
fn quick_and_slow(world: &World, broker: &Broker) -> ([Running; 3], [String; 2]) {
    let keep = |interval: &str| {
        let (definitions, lake, bootstrap) = (world.definitions(), world.lake("lake"), broker.bootstrap());
        let (definitions, lake) = (definitions.to_string_lossy(), lake.to_string_lossy());
        let settings = ["aggregate", "--bootstrap", &bootstrap, "-d", &definitions, "--lake", &lake];
        let often =
            ["--listen", "127.0.0.1:0", "--shards", "2", "--epoch-interval", interval, "--maintain-every", "1h"];
        Running::start(&[&settings[..], &often, &["-X", "session.timeout.ms=1500"]].concat())
    };
    let (quick, ingest) = (keep("50ms"), start(world, broker, "ingest", "lake"));
    let slow = keep("3s");
    let doors = [&quick, &slow].map(|running| {
        let door = address(running);
        running.wait_for("keeping shard ");
        door
    });
    ([quick, slow, ingest], doors)
}

/// Waits until what was sent then is below the watermark of every shard.
fn wait_until_complete(doors: &[String], sent: std::time::Instant) {
    for door in doors {
        let is_complete = || {
            let metrics = get(door, "/metrics");
            let delays = metrics.lines().filter(|line| line.starts_with("plimsoll_watermark_delay_seconds{"));
            let delays: Vec<f64> =
                delays.map(|line| line.rsplit(' ').next().expect("a value").parse().expect("seconds")).collect();
            !delays.is_empty() && delays.iter().all(|delay| *delay < sent.elapsed().as_secs_f64())
        };
        let done = (0..1_200).any(|_| {
            is_complete() || {
                std::thread::sleep(Duration::from_millis(100));
                false
            }
        });
        assert!(done, "{}", get(door, "/metrics"));
    }
}

/// The agreements, and what each is about.
const ABOUT: [(&str, &str); 2] = [("site", "web"), ("post", "mail")];

/// An audit of the results of a day finds the same.
fn assert_confirmed(lake: &Path, day: chrono::NaiveDate, about: &[(&str, &str)]) {
    for (agreement, service) in about {
        let (lake, day) = (lake.to_string_lossy(), day.to_string());
        let named = ["audit", "--lake", &lake, "--agreement", agreement, "--service", service, "--objective", "up"];
        let told = output(&[&named[..], &["--window", &day]].concat());
        assert!(told.contains("confirmed: "), "{told}");
    }
}

/// An event from the future is from when it was read, for whoever stores it and whoever measures by it.
#[test]
fn r23_r26_an_event_from_the_future_is_of_one_time_for_all_shards() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 2).expect("topic");
    let until = first_day() + chrono::Days::new(3);
    let world = World::new(&definitions(false, "").replace(&format!(", until: {until}"), ""));
    let lake = world.lake("lake");
    let (running, doors) = quick_and_slow(&world, &broker);
    let (mut count, mut day, mut sent) = (0, first_day(), std::time::Instant::now());
    // Up an hour ago, down in an hour, and up now, once that was read.
    for (ahead, word) in [(-60, "OK"), (60, "KO"), (0, "OK")] {
        let record = |service: &str| {
            let at = (chrono::Utc::now() + chrono::TimeDelta::minutes(ahead)).to_rfc3339();
            format!(r#"{{"id":"{service}{count}","at":"{at}","of":"{service}","word":"{word}"}}"#)
        };
        broker.produce("checks", 0, ["web", "mail"].map(record)).expect("records");
        sent = std::time::Instant::now();
        count += 2;
        wait_for_answer(&lake, READ, &format!("0,{count}\n1,{count}"));
        day = chrono::Utc::now().date_naive();
    }
    wait_until_complete(&doors, sent);
    running.into_iter().for_each(stop);
    let elsewhere = "SELECT count(DISTINCT e.service) FROM events e JOIN attainment a ON e.service = a.service
                     WHERE e.epoch % 2 <> a.epoch % 2";
    assert_ne!(ask(&lake, elsewhere), "0", "something is stored by one shard and measured by the other");
    let told = "SELECT service, sum(bad_us) FROM attainment GROUP BY 1 ORDER BY 1";
    let follows = "SELECT service, arrow_cast(max(time) FILTER (WHERE status = 'up'), 'Int64')
                   - arrow_cast(max(read_at) FILTER (WHERE status = 'down'), 'Int64') FROM events GROUP BY 1 ORDER BY 1";
    assert_eq!(ask(&lake, told), ask(&lake, follows));
    assert_confirmed(&lake, day, &ABOUT);
}

/// Dead letters of one request that several shards store, from the future: they are of one time for all of them, and none is
/// lost when tables are made anew.
#[test]
fn r23_r25_r26_dead_letters_of_several_shards_that_are_taken_again_are_audited_and_made_anew() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 2).expect("topic");
    let about = [ABOUT[0], ABOUT[1], ("care", "crm"), ("sale", "shop")];
    let until = first_day() + chrono::Days::new(3);
    let define = |knows_halt| {
        let text = definitions(knows_halt, "").replace(&format!(", until: {until}"), "");
        let pattern = text.split("---\n").find(|part| part.contains("{id: site}")).expect("an agreement").to_owned();
        let more = about[2..].iter().map(|(agreement, service)| {
            let agreement = pattern.replace("{id: site}", &format!("{{id: {agreement}}}")).replace("web", service);
            format!("---\n{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {service}}}}}\n---\n{agreement}")
        });
        text.clone() + &more.collect::<String>()
    };
    let world = World::new(&define(false));
    let lake = world.lake("lake");
    let (running, _) = quick_and_slow(&world, &broker);
    let refused = |role: &str, group: &str, why: &str| {
        let (definitions, lake, bootstrap) = (world.definitions(), world.lake("lake"), broker.bootstrap());
        let (definitions, lake) = (definitions.to_string_lossy(), lake.to_string_lossy());
        let settings = [role, "--bootstrap", &bootstrap, "-d", &definitions, "--lake", &lake, "--group", group];
        let done = run(&[&settings[..], &["--listen", "127.0.0.1:0"]].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(why), "{said}");
    };
    // They have recorded nothing yet, but they are there.
    for group in ["plimsoll", "other"] {
        refused("run", group, "these tables are kept by 2 shards");
    }
    let say = |ahead, word: &str| {
        let record = |(_, service): (&str, &str)| {
            let at = (chrono::Utc::now() + chrono::TimeDelta::minutes(ahead)).to_rfc3339();
            format!(r#"{{"id":"{service}{ahead}","at":"{at}","of":"{service}","word":"{word}"}}"#)
        };
        broker.produce("checks", 0, about.map(record)).expect("records");
    };
    say(-60, "OK");
    say(3_000, "HALT");
    wait_for_answer(&lake, READ, "0,8\n1,8");
    refused("ingest", "other", "kept by group plimsoll");
    world.define(&define(true));
    running[2].wait_for("definitions changed");
    let (folder, name) = (world.definitions(), lake.to_string_lossy().into_owned());
    let told = output(&["dead-letters", "replay", "-d", &folder.to_string_lossy(), "--lake", &name]);
    assert!(told.starts_with("4 dead letters will be taken again"), "{told}");
    wait_for_answer(&lake, "SELECT count(*), count(DISTINCT epoch % 2) FROM history.events WHERE retry = 0", "4,2");
    say(0, "OK");
    // The request is one more of what is read.
    wait_for_answer(&lake, READ, "0,13\n1,13");
    let day = chrono::Utc::now().date_naive();
    running.into_iter().for_each(stop);
    assert_eq!(ask(&lake, "SELECT count(DISTINCT read_at) FROM events WHERE retry = 0"), "1");
    assert_confirmed(&lake, day, &about);
    let anew = world.lake("anew");
    output(&["rebuild", "--lake", &name, "--into", &anew.to_string_lossy()]);
    for question in TOLD.into_iter().chain(["SELECT outcome, count(*) FROM dead_letters GROUP BY 1"]) {
        assert_eq!(ask(&lake, question), ask(&anew, question), "{question}");
    }
}

/// Of two copies in different partitions the same one counts in every shard, however often each cuts epochs; a copy that
/// says the opposite shows which it was.
#[test]
fn r20_shards_that_cut_epochs_elsewhere_count_the_same_copy() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 2).expect("topic");
    let world = World::new(&definitions(false, ""));
    let lake = world.lake("lake");
    let (running, _) = quick_and_slow(&world, &broker);
    let midnight = first_day().and_time(chrono::NaiveTime::MIN).and_utc();
    const ROUNDS: i64 = 12;
    for round in 0..ROUNDS {
        for (partition, word) in [(1, "KO"), (0, "OK")] {
            let record = |service: &str| {
                let at = (midnight + chrono::TimeDelta::minutes(20 * round)).to_rfc3339();
                format!(r#"{{"id":"{service}{round}","at":"{at}","of":"{service}","word":"{word}"}}"#)
            };
            broker.produce("checks", partition, ["web", "mail"].map(record)).expect("records");
            std::thread::sleep(Duration::from_millis(250));
        }
    }
    // Both shards have read both copies of all.
    wait_for_answer(&lake, READ, "0,48\n1,48");
    wait_for_answer(&lake, "SELECT count(*), count(DISTINCT id) FROM events", "24,24");
    running.into_iter().for_each(stop);
    // The copies of both services came in the same two messages.
    let counted = "SELECT substr(id, length(service) + 1), min(status), max(status) FROM events GROUP BY 1";
    let counted = ask(&lake, counted);
    assert!(counted.lines().all(|line| line.ends_with(",down,down") || line.ends_with(",up,up")), "{counted}");
    let measured = |agreement: &str| {
        let question =
            "SELECT window_start, good_us, bad_us FROM attainment WHERE good_us + bad_us > 0 AND agreement =";
        ask(&lake, &format!("{question} '{agreement}' ORDER BY 1"))
    };
    assert_ne!(measured("site"), "");
    assert_eq!(measured("site"), measured("post"));
    assert_confirmed(&lake, first_day(), &ABOUT);
    let anew = world.lake("anew");
    output(&["rebuild", "--lake", &lake.to_string_lossy(), "--into", &anew.to_string_lossy()]);
    let names = |lake: &Path| {
        let told = |name: &String| ["agreements", "calendars", "services"].iter().all(|table| !name.starts_with(table));
        files(lake).into_keys().filter(told).collect::<BTreeSet<_>>()
    };
    let (before, after) = (names(&lake), names(&anew));
    let differing: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(differing.is_empty() && before.len() > 9, "{differing:?}");
}
