//! Real processes that are killed at random moments, again and again: the program, as a whole or its roles apart, and the
//! broker, with tables on a local disk and in a bucket. Whatever they were doing, the tables are in the end those that
//! `judge` prints.
//!
//! `PLIMSOLL_KILLS` says how often (a few, unless told), `PLIMSOLL_KILLS_SEED` with which dice.

use std::collections::HashSet;
use std::iter::repeat_n;
use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll_tests::broker::Broker;
use plimsoll_tests::object_store::{BUCKET, ObjectStore};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::end_to_end::{TABLES, World};
use crate::support::{Running, assert_same, current, judged, plimsoll, request, rows};

/// One kill in so many is the broker's, beginning with the second.
const BROKER_EVERY: usize = 8;

/// One event in so many is sent twice.
const COPIES_EVERY: usize = 5;

/// When a process is killed after its start, in milliseconds: it takes a second until it reads.
const LIVES_MS: std::ops::Range<u64> = 100..3_000;

/// How many partitions the events are spread over.
const PARTITIONS: usize = 3;

/// How many shards there are where roles are apart: one of `web`, one of `mail`, and one that only stores events.
const SHARDS: &str = "3";

/// Two processes of each role that writes, and one that answers.
const ROLES: [&str; 5] = ["ingest", "aggregate", "ingest", "aggregate", "query"];

/// Its place among them.
const QUERY: usize = 4;

/// How long roles may take to come to their end: a broker that was just killed keeps its members for a while.
const END_WAIT_MAX: Duration = Duration::from_secs(120);

fn setting(name: &str, unless_told: u64) -> u64 {
    let told = std::env::var(name).ok();
    told.map_or(unless_told, |told| told.parse().unwrap_or_else(|_| panic!("{name}={told} is no number")))
}

/// The program with a lake somewhere.
struct Deployment {
    lake: String,
    environment: Vec<(String, String)>,
    definitions: String,
    bootstrap: String,
}

impl Deployment {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = plimsoll();
        command.args(arguments).envs(self.environment.clone());
        command
    }

    fn role(&self, role: &str, more: &[&str]) -> Command {
        if role == "query" {
            return self.command(&["query", "--lake", &self.lake, "--listen", "127.0.0.1:0"]);
        }
        let settings = [role, "--bootstrap", &self.bootstrap, "--definitions", &self.definitions, "--lake", &self.lake];
        let quick = ["--epoch-interval", "50ms", "--snapshot-every", "7", "--publish-interval", "200ms"];
        let quick = if role == "ingest" { [].as_slice() } else { &quick };
        // Who does not end when all is read applies what came very late while it runs.
        let shards = ["--shards", SHARDS, "--apply-late-after", "2s"];
        let shards = if role == "aggregate" { shards.as_slice() } else { &[] };
        let group = ["--listen", "127.0.0.1:0", "-X", "session.timeout.ms=1000", "-X", "heartbeat.interval.ms=300"];
        self.command(&[settings.as_slice(), quick, shards, &group, more].concat())
    }

    fn run(&self, more: &[&str]) -> Command {
        self.role("run", more)
    }

    fn said(&self, mut command: Command) -> String {
        let done = command.output().expect("the program starts");
        let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{:?} ended with {}: {out}{errors}", command.get_args(), done.status);
        out.into_owned()
    }

    fn ask(&self, statement: &str) -> String {
        self.said(self.command(&["sql", "--lake", &self.lake, "--format", "csv", statement]))
    }
}

fn below(dice: &mut ChaCha8Rng, range: std::ops::Range<u64>) -> u64 {
    range.start + dice.next_u64() % (range.end - range.start)
}

/// The events, each once: whether a copy that another partition holds is recognised depends on how far the clock moved the
/// watermark before it came, which is chance here.
fn without_copies(world: &World) -> Vec<&String> {
    let mut known = HashSet::new();
    world.events.iter().filter(|event| known.insert(*event)).collect()
}

/// Sends the events of one of so many rounds, some of them twice: the copy comes behind the first in its partition, where
/// any kill may part them.
fn send(broker: &Broker, events: &[&String], round: usize, rounds: usize) {
    let place = |round: usize| events.len() * round / rounds;
    for partition in 0..PARTITIONS {
        let share = (place(round - 1)..place(round)).filter(|number| number % PARTITIONS == partition);
        // Of what cannot be used each record is a dead letter, be it a copy or not.
        let is_twice = |number: usize| number.is_multiple_of(COPIES_EVERY) && !events[number].contains("broken");
        let sent = share.flat_map(|number| repeat_n(events[number], 1 + usize::from(is_twice(number))));
        broker.produce("events", partition as i32, sent).expect("records");
    }
}

fn dice(kills: usize) -> ChaCha8Rng {
    let seed = setting("PLIMSOLL_KILLS_SEED", 1);
    println!("PLIMSOLL_KILLS={kills} PLIMSOLL_KILLS_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// Lives for a while; now and then the broker is killed, and all live on for another while.
fn live(dice: &mut ChaCha8Rng, broker: &mut Broker, round: usize) {
    std::thread::sleep(Duration::from_millis(below(dice, LIVES_MS)));
    if round % BROKER_EVERY == 2 {
        broker.kill_and_restart().expect("the broker comes back");
        std::thread::sleep(Duration::from_millis(below(dice, LIVES_MS)));
    }
}

fn kill(running: &mut Running, role: &str, round: usize) {
    let ended = running.process.try_wait().expect("a process");
    assert_eq!(ended, None, "nothing but the kill ends {role}, before kill {round}: {}", running.rest());
    running.signal("KILL");
    running.end();
}

/// Sends the events piece by piece, and kills whoever reads them or keeps them after each.
fn killed(world: &World, broker: &mut Broker, deployment: &Deployment, kills: usize) {
    let (mut dice, events) = (dice(kills), without_copies(world));
    for round in 1..=kills {
        let mut running = Running::of(&mut deployment.run(&[]));
        send(broker, &events, round, kills);
        live(&mut dice, broker, round);
        kill(&mut running, "run", round);
    }
    deployment.said(deployment.run(&["--until-caught-up"]));
    for name in TABLES {
        let expected = judged(&world.definitions, std::slice::from_ref(&world.file), name);
        let found = rows(&deployment.ask(&current(name)));
        assert_same(&format!("after {kills} kills, rows of {name} from the tables and from judge"), &found, &expected);
    }
    assert_each_record_is_there_once(deployment);
}

/// The same with roles apart: after each piece one of the processes is killed, now and then another with it.
fn killed_apart(world: &World, broker: &mut Broker, deployment: &Deployment, kills: usize) {
    part(world);
    let (mut dice, events) = (dice(kills), without_copies(world));
    let start = |role: &str| Running::of(&mut deployment.role(role, &[]));
    let mut running: Vec<Running> = ROLES[..QUERY].iter().map(|role| start(role)).collect();
    // Two that make the topics and the tables at the same time take turns, and then there is something to answer from.
    running[1].wait_for("keeping shard");
    running.push(start(ROLES[QUERY]));
    for round in 1..=kills {
        send(broker, &events, round, kills);
        live(&mut dice, broker, round);
        let first = below(&mut dice, 0..ROLES.len() as u64) as usize;
        let second = below(&mut dice, 0..16) as usize;
        let killed: HashSet<usize> = [first, second].into_iter().filter(|place| *place < ROLES.len()).collect();
        killed.iter().for_each(|place| kill(&mut running[*place], ROLES[*place], round));
        killed.iter().for_each(|place| running[*place] = start(ROLES[*place]));
    }
    let deadline = Instant::now() + END_WAIT_MAX;
    for name in TABLES {
        let expected = judged(&world.definitions, std::slice::from_ref(&world.file), name);
        loop {
            let found = rows(&deployment.ask(&current(name)));
            if found != expected && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            let rest = || running.iter().map(Running::rest).collect::<Vec<_>>().join("--\n");
            let said = if found == expected { String::new() } else { rest() };
            let what = format!("after {kills} kills of roles, rows of {name} from the tables and from judge; {said}");
            assert_same(&what, &found, &expected);
            break;
        }
    }
    let statement = "SELECT count(*), count(DISTINCT id) FROM events";
    let line = running[QUERY].wait_for("answering on http://");
    let address = line.split("http://").nth(1).expect("an address").trim();
    let answer = request(address, "POST /v1/sql", "text/plain\r\nAccept: text/csv", statement);
    let counts = deployment.ask(statement);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(counts.lines().nth(1).expect("counts")), "{answer}");
    for mut running in running {
        running.signal("TERM");
        assert!(running.end().success(), "{}", running.rest());
    }
    assert_each_record_is_there_once(deployment);
}

/// Puts `web` and `mail` under agreements of their own, so that they are measured in two shards.
fn part(world: &World) {
    let path = world.definitions.join("all.yaml");
    let text = std::fs::read_to_string(&path).expect("definitions");
    let is_agreement = |document: &&str| document.contains("kind: Agreement");
    let agreement = text.split("\n---\n").find(is_agreement).expect("an agreement");
    let of = |id: &str, service: &str| {
        let named = agreement.replace("id: acme-gold", &format!("id: {id}"));
        named.replace("services: [web, mail]", &format!("services: [{service}]"))
    };
    let parted = text.replace(agreement, &format!("{}\n---\n{}", of("acme-web", "web"), of("acme-mail", "mail")));
    std::fs::write(&path, parted).expect("a file");
}

fn assert_each_record_is_there_once(deployment: &Deployment) {
    let counted = deployment.ask("SELECT count(*), count(DISTINCT id) FROM history.events");
    let (events, ids) = counted.lines().nth(1).and_then(|line| line.split_once(',')).expect("two counts");
    assert_eq!(events, ids, "each event is in the table once");
    let letters =
        deployment.ask("SELECT count(*), count(DISTINCT concat(partition, '-', \"offset\")) FROM history.dead_letters");
    assert_eq!(letters.lines().nth(1), Some("12,12"), "and so is each record that could not be used");
    let told = deployment.said(deployment.command(&["doctor", "--lake", &deployment.lake]));
    assert!(!told.contains("FAULT"), "{told}");
}

type Killing = fn(&World, &mut Broker, &Deployment, usize);

fn on_a_disk(killing: Killing, unless_told: u64) {
    let Some(mut broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", PARTITIONS as i32).expect("topic");
    let deployment = Deployment {
        lake: world.lake("lake").to_string_lossy().into_owned(),
        environment: Vec::new(),
        definitions: world.definitions.to_string_lossy().into_owned(),
        bootstrap: broker.bootstrap(),
    };
    killing(&world, &mut broker, &deployment, setting("PLIMSOLL_KILLS", unless_told) as usize);
}

fn in_a_bucket(killing: Killing, unless_told: u64) {
    let Some(mut broker) = Broker::start_or_skip().expect("broker") else { return };
    let Some(store) = ObjectStore::start_or_skip().expect("store") else { return };
    let world = World::new();
    broker.create_topic("events", PARTITIONS as i32).expect("topic");
    let deployment = Deployment {
        lake: format!("s3://{BUCKET}/killed"),
        environment: store.environment().map(|(name, value)| (name.to_owned(), value)).to_vec(),
        definitions: world.definitions.to_string_lossy().into_owned(),
        bootstrap: broker.bootstrap(),
    };
    killing(&world, &mut broker, &deployment, setting("PLIMSOLL_KILLS", unless_told) as usize);
}

#[test]
fn r20_killed_at_random_moments_tables_on_a_disk_are_what_judge_says() {
    on_a_disk(killed, 6);
}

#[test]
fn r20_killed_at_random_moments_tables_in_a_bucket_are_what_judge_says() {
    in_a_bucket(killed, 4);
}

#[test]
fn r20_roles_killed_at_random_moments_tables_on_a_disk_are_what_judge_says() {
    on_a_disk(killed_apart, 4);
}

#[test]
fn r20_roles_killed_at_random_moments_tables_in_a_bucket_are_what_judge_says() {
    in_a_bucket(killed_apart, 2);
}
