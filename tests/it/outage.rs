//! A disk that takes nothing for a while: what `run` says meanwhile, and that nothing is missing afterwards.
//!
//! The system is told that this process may write no file larger than a byte, which binds whoever runs the tests, root as
//! well. By itself that would end the process, as a full disk does not; so the signal for it is ignored. A disk that is
//! really full is a small one in memory, which a namespace of its own lets anybody mount.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
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
    started(command, broker, definitions, lake)
}

fn started(mut command: Command, broker: &Broker, definitions: &Path, lake: &Path) -> (Running, String) {
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
    let mut parts = world.events.chunks(world.events.len() / 4 + 1);
    let mut produce_part = || produce(&broker, "events", 2, parts.next().expect("a quarter"));

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
    let is_over = |metrics: &str| metrics.contains("plimsoll_lake_unavailable 0\n");
    wait_until(&address, "it is over", is_over);
    // Small files are written, and of larger ones only the beginning.
    limit(&running, "4096");
    produce_part();
    running.wait_for("trying again for 600 seconds");
    limit(&running, "unlimited");
    running.wait_for("the tables can be written again");
    wait_until(&address, "it is over", is_over);
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

/// A disk of 64 MiB for as long as this lives: a process that has it mounted and sleeps.
struct SmallDisk {
    holder: Running,
    at: PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path) -> SmallDisk {
        std::fs::create_dir_all(at).expect("a folder");
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=64m tmpfs \"$0\" && echo mounted && exec sleep 3600";
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(at).stdin(Stdio::null());
        let holder = Running::of(&mut command);
        let told = holder.next_line();
        let why = "a user may not mount in a namespace of their own (unshare --user --map-root-user --mount); let them: \
                   kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0";
        assert_eq!(told.as_deref(), Some("mounted"), "{why}");
        SmallDisk { holder, at: at.to_owned() }
    }

    /// The same path, as others see it.
    fn seen_from_outside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.process.id());
        Path::new(&root).join(self.at.strip_prefix("/").expect("an absolute path"))
    }

    /// The program, with the disk.
    fn plimsoll(&self) -> Command {
        let mut command = Command::new("nsenter");
        let id = self.holder.process.id().to_string();
        command.args(["--target", &id, "--user", "--mount", "--preserve-credentials"]);
        command.arg(plimsoll().get_program()).stdin(Stdio::null());
        command
    }

    /// Fills the disk, but for what a small file takes.
    fn fill(&self) -> PathBuf {
        let path = self.seen_from_outside().join("something-else");
        let mut file = File::create(&path).expect("a file");
        let full = (0..).find_map(|_| file.write_all(&[1; 4096]).err()).expect("an end");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let bytes = file.metadata().expect("its size").len();
        file.set_len(bytes - 8192).expect("a shorter file");
        path
    }
}

#[test]
fn a_disk_that_is_really_full_is_told_and_lacks_nothing_when_there_is_room() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 2).expect("topic");
    let lake = world.lake("small");
    let disk = SmallDisk::mount(&lake);
    let mut parts = world.events.chunks(world.events.len() / 2 + 1);
    let mut produce_part = || produce(&broker, "events", 2, parts.next().expect("a half"));

    let (mut running, address) = started(disk.plimsoll(), &broker, &world.definitions, &lake);
    produce_part();
    wait_until(&address, "an epoch is committed", |metrics| !metrics.contains("plimsoll_epochs_total 0\n"));
    let filling = disk.fill();
    produce_part();
    let told = running.wait_for("trying again for 600 seconds");
    assert!(told.contains("the disk is full; free some space"), "{told}");
    wait_until(&address, "it is shown", |metrics| metrics.contains("plimsoll_lake_unavailable 1\n"));
    let asked = disk.plimsoll().args(["doctor", "--quick", "--lake"]).arg(&lake).output().expect("it starts");
    let told = String::from_utf8_lossy(&asked.stdout).into_owned();
    let fault = told.lines().find(|line| line.starts_with("FAULT   lake"));
    assert!(fault.is_some_and(|line| line.contains("the disk is full")), "{told}");
    std::fs::remove_file(filling).expect("it is removed");
    running.wait_for("the tables can be written again");
    running.signal("TERM");
    assert!(running.end().success());

    // What is committed is whole, and the rest comes from Kafka.
    let copy = world.lake("copy");
    let copied = Command::new("cp").arg("-r").args([disk.seen_from_outside(), copy.clone()]).status();
    assert!(copied.expect("cp starts").success());
    run_until_caught_up(&broker, &world.definitions, &copy, &[]);
    assert_as_judged(&world, &copy, "after a full disk");
}
