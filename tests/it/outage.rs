//! A disk that takes nothing for a while: what `run` says meanwhile, and that nothing is missing afterwards.
//!
//! The system is told that this process may write no file larger than a byte, which binds whoever runs the tests, root as
//! well. By itself that would end the process, as a full disk does not; so the signal for it is ignored.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_tests::broker::Broker;

use crate::end_to_end::{World, assert_as_judged, produce};
use crate::support::{Running, get, plimsoll, run_until_caught_up};

/// How long metrics may take to show something.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(broker: &Broker, definitions: &Path, lake: &Path) -> (Running, String) {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(plimsoll().get_program()).stdin(Stdio::null());
    command.args(["run", "--listen", "127.0.0.1:0", "--epoch-interval", "50ms", "--bootstrap", &broker.bootstrap()]);
    command.arg("--definitions").arg(definitions).arg("--lake").arg(lake);
    let running = Running::of(&mut command);
    let address = running.wait_for("answering on http://");
    let address = address.split("http://").nth(1).expect("an address").trim().to_owned();
    (running, address)
}

/// Lets the process write files of at most so many bytes.
fn limit(running: &Running, bytes: &str) {
    let id = running.process.id().to_string();
    let done = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bytes}:")]).status();
    assert!(done.expect("prlimit starts; it is a part of util-linux").success());
}

fn wait_until(address: &str, what: &str, is_shown: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_shown(&get(address, "/metrics")) {
        assert!(Instant::now() < deadline, "{what}: {}", get(address, "/metrics"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn tables_that_cannot_be_written_for_a_while_lack_nothing_afterwards() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 2).expect("topic");
    let lake = world.lake("lake");
    let mut parts = world.events.chunks(world.events.len() / 3 + 1);
    let mut produce_part = || produce(&broker, "events", 2, parts.next().expect("a third"));

    let (mut running, address) = start(&broker, &world.definitions, &lake);
    produce_part();
    let is_committed = |metrics: &str| !metrics.contains("plimsoll_epochs_total 0\n");
    wait_until(&address, "an epoch is committed", is_committed);
    limit(&running, "1");
    produce_part();
    let told = running.wait_for("trying again for 600 seconds");
    assert!(told.contains("cannot write"), "{told}");
    let is_away = |metrics: &str| {
        metrics.contains("plimsoll_lake_unavailable 1\n") && !metrics.contains("plimsoll_lake_retries_total 0\n")
    };
    wait_until(&address, "the outage is shown", is_away);
    limit(&running, "unlimited");
    running.wait_for("the tables can be written again");
    wait_until(&address, "it is over", |metrics| metrics.contains("plimsoll_lake_unavailable 0\n"));
    running.signal("TERM");
    assert!(running.end().success());

    // Who is told to end does not wait for the disk; the next start takes from Kafka what was not written.
    let (mut running, _) = start(&broker, &world.definitions, &lake);
    limit(&running, "1");
    produce_part();
    running.wait_for("trying again");
    let stopped = Instant::now();
    running.signal("TERM");
    running.wait_for("error: cannot write");
    assert_eq!(running.end().code(), Some(1));
    assert!(stopped.elapsed() < Duration::from_secs(30), "the end was held up for {:?}", stopped.elapsed());
    run_until_caught_up(&broker, &world.definitions, &lake, &[]);
    assert_as_judged(&world, &lake, "after two outages");
}
