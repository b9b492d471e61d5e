//! The tables in a bucket of an S3-compatible store: the same rows as in a folder, writers that do not harm each other,
//! and failures that say what to do.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use plimsoll_lake::{Appended, Lake, LakeError};
use plimsoll_schemas::Instant;
use plimsoll_schemas::table::{EpochRow, ServiceRow, Table, to_batch};
use plimsoll_tests::broker::Broker;
use plimsoll_tests::object_store::{BUCKET, ObjectStore};

use crate::end_to_end::{TABLES, World, produce};
use crate::proxy::{FAULTS, Proxy};
use crate::support::{Running, assert_same, current, get, judged, plimsoll, rows};

fn run(store: &ObjectStore, arguments: &[&str]) -> Output {
    plimsoll().args(arguments).envs(store.environment()).output().expect("the program starts")
}

/// What the program says to standard output, or why it failed.
fn said(store: &ObjectStore, arguments: &[&str]) -> Result<String, String> {
    let done = run(store, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

fn assert_as_judged(store: &ObjectStore, world: &World, lake: &str, what: &str) {
    for name in TABLES {
        let expected = judged(&world.definitions, std::slice::from_ref(&world.file), name);
        let question = current(name);
        let found = said(store, &["sql", "--lake", lake, "--format", "csv", &question]).expect(name);
        assert_same(&format!("{what}: rows of {name} and those of judge"), &rows(&found), &expected);
    }
}

#[test]
fn the_same_tables_in_a_bucket_as_judge_says() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let world = World::new();
    let lake = format!("s3://{BUCKET}/of/acme");
    broker.create_topic("events", 2).expect("topic");
    let (bootstrap, definitions) = (broker.bootstrap(), world.definitions.to_string_lossy().into_owned());
    for part in world.events.chunks(world.events.len() / 2 + 1) {
        produce(&broker, "events", 2, part);
        let run = ["run", "--until-caught-up", "--listen", "127.0.0.1:0", "--bootstrap", &bootstrap];
        let tables = ["--definitions", &definitions, "--lake", &lake, "--snapshot-every", "2"];
        said(&store, &[run.as_slice(), &tables].concat()).expect("it runs to its end");
    }
    assert_as_judged(&store, &world, &lake, "from the bucket");
    let merged = said(&store, &["maintain", "--lake", &lake]).expect("it is maintained");
    assert!(merged.starts_with("merged "), "{merged}");
    assert_as_judged(&store, &world, &lake, "from the bucket, merged");
    let ask = |statement: &str| said(&store, &["sql", "--lake", &lake, "--format", "csv", statement]).expect(statement);
    // What others ask of the tables goes the same way.
    let before = ask("SELECT tick - interval '1 millisecond' AS at FROM history.epochs ORDER BY tick LIMIT 1");
    let before = before.lines().nth(1).expect("a first epoch").to_owned();
    let known =
        |at: &str| said(&store, &["sql", "--lake", &lake, "--known-at", at, "SELECT count(*) AS n FROM events"]);
    assert!(known(&before).expect("an answer").contains(" 0 "), "nothing was known before the first epoch");
    assert!(said(&store, &["dead-letters", "list", "--lake", &lake]).expect("an answer").contains("bad_time"));
    let window = ["--objective", "availability", "--window", "2026-03-01"];
    let audit = ["audit", "--lake", &lake, "--agreement", "acme-gold", "--service", "web"];
    let audited = said(&store, &[audit.as_slice(), &window].concat()).expect("an audit");
    assert!(audited.contains("availability"), "{audited}");
}

#[test]
fn a_bucket_that_does_not_answer_for_a_while_lacks_nothing_afterwards() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let world = World::new();
    let lake = format!("s3://{BUCKET}/away");
    broker.create_topic("events", 1).expect("topic");
    let (bootstrap, definitions) = (broker.bootstrap(), world.definitions.to_string_lossy().into_owned());
    let places = ["--bootstrap", &bootstrap, "--definitions", &definitions, "--lake", &lake];
    let run = [["run", "--listen", "127.0.0.1:0"].as_slice(), &places].concat();
    let mut running = Running::of(plimsoll().args(&run).envs(store.environment()));
    running.wait_for("answering on");
    let half = world.events.len() / 2;
    produce(&broker, "events", 1, &world.events[..half]);
    // Requests are taken and not answered: those on their way are carried out later, when nobody waits for them any more.
    store.pause(true);
    produce(&broker, "events", 1, &world.events[half..]);
    let told = running.wait_for("trying again");
    assert!(told.contains("no answer from the store"), "{told}");
    store.pause(false);
    running.wait_for("the tables can be written again");
    running.signal("TERM");
    let ended = running.end();
    assert!(ended.success(), "{ended}: {}", running.rest());
    said(&store, &[run.as_slice(), &["--until-caught-up"]].concat()).expect("it runs to its end");
    assert_as_judged(&store, &world, &lake, "after the outage");
}

#[test]
fn who_is_given_a_shard_while_the_bucket_does_not_answer_waits_for_it() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let world = World::new();
    let lake = format!("s3://{BUCKET}/taken");
    broker.create_topic("events", 1).expect("topic");
    let (bootstrap, definitions) = (broker.bootstrap(), world.definitions.to_string_lossy().into_owned());
    let start = |role: &[&str]| {
        let places = ["--bootstrap", &bootstrap, "-d", &definitions, "--lake", &lake, "--listen", "127.0.0.1:0"];
        let arguments = [role, &places, &["-X", "session.timeout.ms=6000"]].concat();
        // What is not answered within this time is asked again.
        Running::of(plimsoll().args(arguments).envs(store.environment()).env("AWS_TIMEOUT", "3s"))
    };
    let mut first = start(&["aggregate", "--shards", "2"]);
    first.wait_for("keeping shard ");
    let mut ingest = start(&["ingest"]);
    let half = world.events.len() / 2;
    produce(&broker, "events", 1, &world.events[..half]);
    let mut second = start(&["aggregate"]);
    second.wait_for("keeping shard ");
    store.pause(true);
    first.signal("KILL");
    first.end();
    let told = second.wait_for("cannot be opened");
    assert!(told.contains("no answer from the store") && told.contains("trying again for 600 seconds"), "{told}");
    store.pause(false);
    second.wait_for("keeping shard ");
    produce(&broker, "events", 1, &world.events[half..]);

    // One process counts as many events, each once.
    let counted = |lake: &str| {
        let question = "SELECT count(*), count(DISTINCT id) FROM events";
        said(&store, &["sql", "--lake", lake, "--format", "csv", question]).expect("an answer")
    };
    let whole = format!("s3://{BUCKET}/whole");
    let places = ["--bootstrap", &bootstrap, "-d", &definitions, "--lake", &whole, "--listen", "127.0.0.1:0"];
    said(&store, &[["run", "--until-caught-up", "--group", "whole"].as_slice(), &places].concat()).expect("tables");
    let is_as_far = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        counted(&lake) == counted(&whole)
    });
    assert!(is_as_far, "{} instead of {}", counted(&lake), counted(&whole));
    for running in [&mut ingest, &mut second] {
        running.signal("TERM");
        assert!(running.end().success(), "{}", running.rest());
    }
}

/// How many of a thousand requests meet a fault.
const FAULTS_PER_MILLE: u64 = 200;

#[test]
fn a_bucket_that_throttles_fails_and_loses_answers_holds_the_tables_of_judge() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let seed = std::env::var("PLIMSOLL_FAULTS_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    println!("PLIMSOLL_FAULTS_SEED={seed}");
    let [(_, endpoint), ..] = store.environment();
    let proxy = Proxy::start(&endpoint, seed);
    let world = World::new();
    let lake = format!("s3://{BUCKET}/throttled");
    broker.create_topic("events", 2).expect("topic");
    let (bootstrap, definitions) = (broker.bootstrap(), world.definitions.to_string_lossy().into_owned());
    let through = |arguments: &[&str]| {
        let mut command = plimsoll();
        command.args(arguments).envs(store.environment()).env("AWS_ENDPOINT_URL", proxy.endpoint());
        // What is not answered within this time is asked again.
        command.env("AWS_TIMEOUT", "3s");
        command
    };
    let run = ["run", "--listen", "127.0.0.1:0", "--bootstrap", &bootstrap, "--epoch-interval", "50ms"];
    let run = [run.as_slice(), &["--definitions", &definitions, "--lake", &lake, "--snapshot-every", "5"]].concat();

    // Faults at random, once it runs: a start needs storage that answers.
    let mut running = Running::of(&mut through(&run));
    let address = running.wait_for("answering on http://");
    let address = address.split("http://").nth(1).expect("an address").trim().to_owned();
    proxy.misbehave(FAULTS_PER_MILLE);
    let (first, rest) = world.events.split_at(world.events.len() / 2);
    produce(&broker, "events", 2, first);
    let counted = "SELECT count(*), count(DISTINCT id) FROM history.events";
    let counted = || {
        let counted = said(&store, &["sql", "--lake", &lake, "--format", "csv", counted]).expect("an answer");
        let line = counted.lines().nth(1).and_then(|line| line.split_once(','));
        line.map(|(events, ids)| (events.to_owned(), ids.to_owned())).expect("two counts")
    };
    let is_written = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        counted().0 != "0"
    });
    assert!(is_written, "nothing came through the faults: {:?}", proxy.met());
    // Nothing but faults for longer than a request is tried again.
    proxy.misbehave(1_000);
    produce(&broker, "events", 2, rest);
    running.wait_for("trying again for 600 seconds");
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("plimsoll_lake_unavailable 1\n"), "{metrics}");
    for outcome in ["answered", "failed", "throttled"] {
        let line = format!("plimsoll_lake_requests_total{{outcome=\"{outcome}\"}} ");
        let count = metrics.lines().find_map(|shown| shown.strip_prefix(&line)).expect(outcome);
        assert!(count.parse::<u64>().is_ok_and(|count| count > 0), "{line}{count}");
    }
    let are_met = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let met = proxy.met();
        FAULTS.iter().all(|(fault, _)| met.contains_key(fault))
    });
    assert!(are_met, "not every fault was met: {:?}", proxy.met());
    proxy.misbehave(FAULTS_PER_MILLE);
    running.wait_for("the tables can be written again");
    proxy.misbehave(0);
    running.signal("TERM");
    let ended = running.end();
    assert!(ended.success(), "{ended}: {}", running.rest());
    let done = through(&[run.as_slice(), &["--until-caught-up"]].concat()).output().expect("the program starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = through(&["maintain", "--lake", &lake]).output().expect("the program starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    assert_as_judged(&store, &world, &lake, "from a bucket with faults");
    let (events, ids) = counted();
    assert_eq!(events, ids, "each event is in the table once");
    let told = said(&store, &["doctor", "--lake", &lake]).expect("no fault");
    assert!(!told.contains("FAULT"), "{told}");
}

#[test]
fn a_bucket_that_cannot_be_used_says_why() {
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let ask = |environment: &[(&str, &str)], lake: &str| {
        let mut command = plimsoll();
        command.args(["sql", "--lake", lake, "SELECT 1"]).envs(store.environment());
        let done = command.envs(environment.iter().copied()).output().expect("the program starts");
        assert_eq!(done.status.code(), Some(1), "{lake}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let lake = format!("s3://{BUCKET}/nowhere");
    let told = ask(&[], &lake);
    assert!(told.contains(&format!("there is no lake at {lake}")), "{told}");
    let told = ask(&[], "s3://no-such-bucket/x");
    assert!(told.contains("there is no such bucket; create it"), "{told}");
    let told = ask(&[("AWS_ALLOW_HTTP", "false")], &lake);
    assert!(told.contains("is plain http; set AWS_ALLOW_HTTP=true"), "{told}");
    let told = ask(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], &lake);
    assert!(told.contains("no answer from the store") && told.contains("check AWS_ENDPOINT_URL"), "{told}");
    let told = ask(&[], "s3://key:hush@bucket/x");
    assert!(told.contains("holds a key") && !told.contains("hush"), "{told}");
    if store.checks_keys {
        let told = ask(&[("AWS_SECRET_ACCESS_KEY", "another")], &lake);
        assert!(told.contains("does not accept our key (SignatureDoesNotMatch)"), "{told}");
        assert!(!told.contains("another"), "{told}");
    }
}

/// A lake in the store, as another process would open it.
async fn open(store: &ObjectStore, prefix: &str) -> Lake {
    let mut settings =
        AmazonS3Builder::new().with_conditional_put(S3ConditionalPut::ETagMatch).with_bucket_name(BUCKET);
    for (name, value) in store.environment() {
        settings = settings.with_config(name.to_lowercase().parse().expect("a setting"), value);
    }
    let objects = PrefixStore::new(settings.build().expect("a store"), prefix);
    let url = format!("s3://{BUCKET}/{prefix}/").parse().expect("a URL");
    Lake::open_in(Arc::new(objects), url).await.expect("a lake")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_on_one_table_lose_nothing_and_two_on_one_group_do_not_both_win() {
    const EPOCHS: i64 = 20;
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let (one, other) = (open(&store, "shared").await, open(&store, "shared").await);
    let write = async |lake: &Lake, group: &str| {
        for epoch in 1..=EPOCHS {
            let row = ServiceRow { service: format!("{group}-{epoch}"), epoch, ..service() };
            let batch = to_batch(&[row]).expect("columns");
            let done = lake.append(Table::Services, vec![batch], group, epoch).await.expect("appended");
            assert!(matches!(done, Appended::Written { .. }));
        }
    };
    futures::join!(write(&one, "one"), write(&other, "other"));
    assert!(one.conflicts_count() + other.conflicts_count() > 0, "both wanted the first version");
    let reader = open(&store, "shared").await;
    let files = reader.files(Table::Services).await.expect("files");
    assert_eq!((files.version, files.files.len()), (2 * EPOCHS, 2 * EPOCHS as usize), "one version an append");
    assert_eq!(files.files.iter().filter_map(|file| file.rows).sum::<u64>(), 2 * EPOCHS as u64);

    for epoch in 1..=EPOCHS {
        // They read other offsets, as two workers would.
        let intent = |offset| [EpochRow { epoch, until_offset: Some(offset), ..EpochRow::default() }];
        let (first, second) = (intent(1), intent(2));
        let (first, second) =
            futures::join!(one.record_intent("group", epoch, &first), other.record_intent("group", epoch, &second));
        let fenced = [&first, &second].into_iter().filter(|done| matches!(done, Err(LakeError::Fenced { .. })));
        assert_eq!((fenced.count(), first.is_ok() || second.is_ok()), (1, true), "{first:?} {second:?}");
    }
}

fn service() -> ServiceRow {
    ServiceRow {
        service: String::new(),
        name: String::new(),
        tier: None,
        owner: None,
        recorded_at: Instant(0),
        epoch: 0,
    }
}
