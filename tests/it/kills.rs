//! Real processes that are killed at random moments, again and again: the program and the broker, with tables on a local
//! disk and in a bucket. Whatever they were doing, the tables are in the end those that `judge` prints.
//!
//! `PLIMSOLL_KILLS` says how often (a few, unless told), `PLIMSOLL_KILLS_SEED` with which dice.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use plimsoll_tests::broker::Broker;
use plimsoll_tests::object_store::{BUCKET, ObjectStore};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::end_to_end::{TABLES, World};
use crate::support::{Running, assert_same, judged, plimsoll, rows};

/// One kill in so many is the broker's.
const BROKER_EVERY: usize = 8;

/// When a process is killed after its start, in milliseconds: it takes a second until it reads.
const LIVES_MS: std::ops::Range<u64> = 100..3_000;

/// How many partitions the events are spread over.
const PARTITIONS: usize = 3;

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

    fn run(&self, more: &[&str]) -> Command {
        let settings =
            ["run", "--bootstrap", &self.bootstrap, "--definitions", &self.definitions, "--lake", &self.lake];
        let quick = ["--epoch-interval", "50ms", "--snapshot-every", "7", "--publish-interval", "200ms"];
        let group = ["--listen", "127.0.0.1:0", "-X", "session.timeout.ms=1000", "-X", "heartbeat.interval.ms=300"];
        self.command(&[settings.as_slice(), &quick, &group, more].concat())
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

/// Sends the events piece by piece, and kills whoever reads them or keeps them after each.
fn killed(world: &World, broker: &mut Broker, deployment: &Deployment, kills: usize) {
    let seed = setting("PLIMSOLL_KILLS_SEED", 1);
    println!("PLIMSOLL_KILLS={kills} PLIMSOLL_KILLS_SEED={seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    // Whether a copy is recognised depends on how far the clock moved the watermark before it came, which is chance here.
    let mut known = HashSet::new();
    let events: Vec<&String> = world.events.iter().filter(|event| known.insert(*event)).collect();
    let mut sent = 0;
    for kill in 1..=kills {
        let mut running = Running::of(&mut deployment.run(&[]));
        let until = events.len() * kill / kills;
        for partition in 0..PARTITIONS {
            let share = (sent..until).filter(|number| number % PARTITIONS == partition);
            broker.produce("events", partition as i32, share.map(|number| events[number])).expect("records");
        }
        sent = until;
        std::thread::sleep(Duration::from_millis(below(&mut dice, LIVES_MS)));
        if kill % BROKER_EVERY == BROKER_EVERY / 2 {
            broker.kill_and_restart().expect("the broker comes back");
            std::thread::sleep(Duration::from_millis(below(&mut dice, LIVES_MS)));
        }
        let ended = running.process.try_wait().expect("a process");
        assert_eq!(ended, None, "nothing but the kill ends it, before kill {kill}: {}", running.rest());
        running.signal("KILL");
        running.end();
    }
    deployment.said(deployment.run(&["--until-caught-up"]));
    for name in TABLES {
        let expected = judged(&world.definitions, std::slice::from_ref(&world.file), name);
        let found = rows(&deployment.ask(&format!("SELECT * FROM {name}")));
        assert_same(&format!("after {kills} kills, rows of {name} from the tables and from judge"), &found, &expected);
    }
    let counted = deployment.ask("SELECT count(*), count(DISTINCT id) FROM history.events");
    let (events, ids) = counted.lines().nth(1).and_then(|line| line.split_once(',')).expect("two counts");
    assert_eq!(events, ids, "each event is in the table once");
    let letters =
        deployment.ask("SELECT count(*), count(DISTINCT concat(partition, '-', \"offset\")) FROM history.dead_letters");
    assert_eq!(letters.lines().nth(1), Some("12,12"), "and so is each record that could not be used");
    let told = deployment.said(deployment.command(&["doctor", "--lake", &deployment.lake]));
    assert!(!told.contains("FAULT"), "{told}");
}

#[test]
fn r20_killed_at_random_moments_tables_on_a_disk_are_what_judge_says() {
    let Some(mut broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", PARTITIONS as i32).expect("topic");
    let deployment = Deployment {
        lake: world.lake("lake").to_string_lossy().into_owned(),
        environment: Vec::new(),
        definitions: world.definitions.to_string_lossy().into_owned(),
        bootstrap: broker.bootstrap(),
    };
    killed(&world, &mut broker, &deployment, setting("PLIMSOLL_KILLS", 6) as usize);
}

#[test]
fn r20_killed_at_random_moments_tables_in_a_bucket_are_what_judge_says() {
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
    killed(&world, &mut broker, &deployment, setting("PLIMSOLL_KILLS", 4) as usize);
}
