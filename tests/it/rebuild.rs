//! A lake that is damaged: what `doctor` finds, what a question says, and tables made anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_lake::Lake;
use plimsoll_schemas::table::Table;
use plimsoll_tests::broker::Broker;

use crate::recovery::{World, change_definitions, changes, wait_for_answer};
use crate::support::{output, plimsoll, run, run_until_caught_up};

/// The data files of a lake, by table and name. A file's name tells its epoch and a hash of its content.
pub fn files(lake: &Path) -> BTreeMap<String, PathBuf> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let opened = Lake::open_existing(&lake.to_string_lossy()).await.expect("a lake");
        let mut found = BTreeMap::new();
        for table in Table::ALL {
            let active = opened.files(table).await.expect("files");
            found.extend(active.files.iter().map(|file| (file.path.clone(), lake.join(&file.path))));
        }
        found
    })
}

fn damaged(lake: &Path) -> (bool, String) {
    let done = run(&["doctor", "--lake", &lake.to_string_lossy()]);
    (done.status.success(), String::from_utf8(done.stdout).expect("text"))
}

#[test]
fn r24_r25_tables_made_anew_are_the_same_to_the_byte_over_restarts_edits_and_dead_letters() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for (topic, numbers) in [("old", 0..5), ("new", 5..10)] {
        broker.create_topic(topic, 1).expect("topic");
        broker.produce(topic, 0, changes(numbers)).expect("records");
        broker.produce(topic, 0, ["no json".to_owned()]).expect("a record");
    }
    let world = World::new(&change_definitions(90, "old", "failed"));
    let lake = world.lake("lake");
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    // A topic more, with another target, and a crash before the state is saved; then again another target.
    world.define(&change_definitions(95, "old, new", "failed"));
    let (mut running, _) = world.run(&broker.bootstrap(), "lake", &[]);
    wait_for_answer(&lake, "SELECT verdict, good_count, total_count FROM attainment", "breached,9,10");
    running.signal("KILL");
    running.end();
    world.define(&change_definitions(85, "old, new", "failed"));
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);

    let anew = world.lake("anew");
    let told = output(&["rebuild", "--lake", &lake.to_string_lossy(), "--into", &anew.to_string_lossy()]);
    assert!(told.starts_with("made ") && told.contains(" epochs anew in "), "{told}");
    let (before, after) = (files(&lake), files(&anew));
    // Each start tells the definitions, and only the first that has them is made again.
    let told = |name: &&String| ["agreements", "calendars", "services"].iter().all(|table| !name.starts_with(table));
    assert_eq!(before.keys().filter(told).collect::<Vec<_>>(), after.keys().filter(told).collect::<Vec<_>>());
    assert!(before.keys().any(|name| name.starts_with("dead_letters")));
    assert!(before.keys().any(|name| name.starts_with("corrections")));
    for table in ["agreements", "services", "attainment"] {
        let rows = |lake: &Path| {
            let question = format!("SELECT * EXCLUDE (recorded_at, epoch) FROM {table}");
            output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", &question])
        };
        assert_eq!(rows(&lake), rows(&anew), "{table}");
    }
    // The new lake goes on where the old one was.
    run_until_caught_up(&broker, &world.definitions(), &anew, &[]);
    let (sound, told) = damaged(&anew);
    assert!(sound, "{told}");
    wait_for_answer(&anew, "SELECT count(*), count(DISTINCT id) FROM events", "10,10");
}

#[test]
fn every_damaged_file_is_found_with_its_repair() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("old", 1).expect("topic");
    broker.produce("old", 0, changes(0..5)).expect("records");
    let world = World::new(&change_definitions(90, "old", "failed"));
    let lake = world.lake("lake");
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    let (sound, told) = damaged(&lake);
    assert!(sound && told.contains("16 tables") && told.contains("the state of epoch "), "{told}");
    // No file may be written, by whoever it is; the signal that would end the process is ignored.
    let unwritable = |more: &str| {
        let mut command = Command::new("sh");
        let doctor = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" doctor --lake \"$1\" {more}");
        command.args(["-c", &doctor]).arg(plimsoll().get_program()).arg(&lake);
        let done = command.output().expect("the program starts");
        (done.status.success(), String::from_utf8(done.stdout).expect("text"))
    };
    let (sound, told) = unwritable("");
    assert!(!sound && told.contains("FAULT   lake         cannot write "), "{told}");
    let (sound, told) = unwritable("--read-only");
    assert!(sound, "{told}");

    let of = |table: &str| {
        let found = files(&lake).into_iter().find(|(name, _)| name.starts_with(table));
        found.unwrap_or_else(|| panic!("{table} has a file"))
    };
    let (attainment, path) = of("attainment/");
    let whole = std::fs::read(&path).expect("a file");
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let rebuild = "or make the tables anew from stored events: plimsoll rebuild";
    for (bytes, what) in [
        (Some(bent), "the file holds other bytes than were written"),
        (Some(whole[..middle].to_vec()), "the file has "),
        (None, "the file is missing"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).expect("a file"),
            None => std::fs::remove_file(&path).expect("a file"),
        }
        let (sound, told) = damaged(&lake);
        let line = told.lines().find(|line| line.starts_with("FAULT   lake")).unwrap_or_default();
        assert!(!sound && line.contains(&format!("{attainment}: {what}")) && line.ends_with(rebuild), "{told}");
    }
    let asked = run(&["sql", "--lake", &lake.to_string_lossy(), "SELECT max(verdict) FROM attainment"]);
    let error = String::from_utf8(asked.stderr).expect("text");
    let is_named = error.contains(&format!("error: {attainment}: the file is missing; "));
    assert!(is_named && error.trim_end().ends_with(rebuild), "{error}");
    std::fs::write(&path, &whole).expect("a file");

    // A log that lost its newest entry looks like an older table.
    let log = lake.join("services/_delta_log/00000000000000000001.json");
    let entry = std::fs::read(&log).expect("a file");
    std::fs::remove_file(&log).expect("a file");
    let (sound, told) = damaged(&lake);
    assert!(!sound && told.contains("services/_delta_log: the log does not know services/"), "{told}");
    std::fs::write(&log, "{").expect("a file");
    let (sound, told) = damaged(&lake);
    assert!(!sound && told.contains("00000000000000000001.json cannot be read"), "{told}");
    // Whatever is wrong with it, the tables can be made anew.
    let anew = world.lake("anew");
    output(&["rebuild", "--lake", &lake.to_string_lossy(), "--into", &anew.to_string_lossy()]);
    std::fs::write(&log, entry).expect("a file");
    assert_eq!(files(&anew).keys().collect::<Vec<_>>(), files(&lake).keys().collect::<Vec<_>>());

    // What only a backup or Kafka has.
    let (events, path) = of("events/");
    std::fs::remove_file(path).expect("a file");
    let (sound, told) = damaged(&lake);
    assert!(
        !sound && told.contains(&format!("{events}: the file is missing; restore it from a backup, or read")),
        "{told}"
    );
    assert!(!told.contains("plimsoll rebuild"), "{told}");
}

#[test]
fn who_starts_or_rebuilds_says_which_table_lost_what_was_committed_to_it() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("old", 1).expect("topic");
    broker.produce("old", 0, changes(0..5)).expect("records");
    let world = World::new(&change_definitions(90, "old", "failed"));
    let (lake, anew, hidden) = (world.lake("lake"), world.lake("anew"), world.lake("hidden"));
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    let (bootstrap, definitions) = (broker.bootstrap(), world.definitions().to_string_lossy().into_owned());
    let (at, into) = (lake.to_string_lossy(), anew.to_string_lossy());
    let start = || {
        let settings = ["run", "--until-caught-up", "--listen", "127.0.0.1:0", "--bootstrap", &bootstrap];
        run(&[&settings[..], &["--definitions", &definitions, "--lake", &at]].concat())
    };
    let rebuild = || run(&["rebuild", "--lake", &at, "--into", &into]);
    let ask = || run(&["sql", "--lake", &at, "SELECT 1"]);
    let refused = |done: Output, what: &str| {
        let error = String::from_utf8(done.stderr).expect("text");
        assert!(done.status.code() == Some(1) && error.contains(what), "{what}: {error}");
        assert_eq!(error.matches("restore it from a backup").count(), 1, "{error}");
    };
    for (table, is_source) in [("events", true), ("epochs", true), ("attainment", false)] {
        let log = lake.join(table).join("_delta_log");
        let entries = std::fs::read_dir(&log).expect("a log").map(|entry| entry.expect("an entry").path());
        let newest =
            entries.filter(|path| path.extension().is_some_and(|kind| kind == "json")).max().expect("an entry");
        let entry = std::fs::read(&newest).expect("a file");
        let faulty = |what: &str| {
            let (sound, told) = damaged(&lake);
            let fault = format!("FAULT   lake         {table}/_delta_log: {what}");
            assert!(!sound && told.contains(&fault), "{fault}: {told}");
            if is_source {
                refused(rebuild(), &format!("{table}/_delta_log: {what}"));
                assert!(!anew.exists(), "nothing was begun");
            }
        };
        std::fs::remove_file(&newest).expect("a file");
        faulty(&format!("the log does not know {table}/"));
        refused(start(), &format!("table {table}: its log had epoch "));

        let changed = String::from_utf8(entry.clone()).expect("text").replace("numRecords\\\":", "numRecords\\\":1");
        std::fs::write(&newest, changed).expect("a file");
        faulty(&format!("table {table}: {table}/_delta_log/"));
        refused(start(), "it holds something else than was written");
        refused(ask(), "it holds something else than was written");
        std::fs::write(&newest, entry).expect("a file");

        std::fs::rename(lake.join(table), &hidden).expect("a folder");
        faulty(&format!("table {table} has no log"));
        refused(start(), &format!("the tables {table} are gone"));
        refused(ask(), &format!("the tables {table} are gone"));
        assert!(!lake.join(table).exists(), "it is not made anew");
        std::fs::rename(&hidden, lake.join(table)).expect("a folder");
    }
    run_until_caught_up(&broker, &world.definitions(), &lake, &[]);
    let (sound, told) = damaged(&lake);
    assert!(sound, "{told}");
}
