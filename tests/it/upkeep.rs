//! Tables that stay small: while `run` runs, and by `plimsoll maintain`; what was known at a time is known all the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_lake::Lake;
use plimsoll_schemas::table::Table;
use plimsoll_tests::broker::Broker;

use crate::end_to_end::{World, assert_as_judged, produce};
use crate::support::{Running, get, output, rows, run_until_caught_up};

/// How long `run` may take to merge files.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every table holds, as it was known at a time.
fn known_at(lake: &Path, time: &str) -> Vec<BTreeMap<String, usize>> {
    let ask = |table: &Table| {
        let statement = format!("SELECT * FROM history.{}", table.name());
        rows(&output(&["sql", "--lake", &lake.to_string_lossy(), "--known-at", time, "--format", "csv", &statement]))
    };
    Table::ALL.iter().map(ask).collect()
}

/// Removes every data file that is not active, as if they had been merged long ago. Returns how many.
fn remove_old_files(lake: &Path) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads");
    let opened = runtime.block_on(Lake::open_existing(&lake.to_string_lossy())).expect("a lake");
    let mut removed = 0;
    for table in Table::ALL {
        let active = runtime.block_on(opened.files(table)).expect("files");
        let mut folders = vec![lake.join(table.name())];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let within = path.strip_prefix(lake).expect("below").to_string_lossy().into_owned();
                if path.is_dir() && !path.ends_with("_delta_log") {
                    folders.push(path);
                } else if within.ends_with(".parquet") && active.files.iter().all(|file| file.path != within) {
                    std::fs::remove_file(path).expect("removed");
                    removed += 1;
                }
            }
        }
    }
    removed
}

#[test]
fn r25_what_was_known_needs_no_file_that_was_merged() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 2).expect("topic");
    let lake = world.lake("lake");
    for part in world.events.chunks(world.events.len() / 9 + 1) {
        produce(&broker, "events", 2, part);
        run_until_caught_up(&broker, &world.definitions, &lake, &[]);
    }
    let ask = |statement: &str| output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", statement]);
    let ticks = ask("SELECT DISTINCT tick FROM history.epochs ORDER BY tick");
    let ticks: Vec<&str> = ticks.lines().skip(1).collect();
    let times = [ticks[1], ticks[ticks.len() / 2], ticks[ticks.len() - 1]];
    let before = times.map(|time| known_at(&lake, time));

    let said = output(&["maintain", "--lake", &lake.to_string_lossy()]);
    assert!(said.starts_with("merged ") && said.contains(" removed 0 files and 0 log entries"), "{said}");
    assert!(!said.starts_with("merged 0"), "{said}");
    assert!(remove_old_files(&lake) > 0);
    assert_eq!(times.map(|time| known_at(&lake, time)), before);
    assert_as_judged(&world, &lake, "merged");
    // The next start reads the epochs from merged files and goes on.
    run_until_caught_up(&broker, &world.definitions, &lake, &[]);
    assert_as_judged(&world, &lake, "merged, and started again");
    output(&["doctor", "--lake", &lake.to_string_lossy(), "--bootstrap", &broker.bootstrap()]); // It finds nothing wrong.
}

#[test]
fn files_are_merged_while_it_runs_and_metrics_tell_how_many_there_are() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let world = World::new();
    broker.create_topic("events", 1).expect("topic");
    let (lake, definitions) = (world.lake("lake"), world.definitions.to_string_lossy().into_owned());
    let (bootstrap, location) = (broker.bootstrap(), lake.to_string_lossy().into_owned());
    let places = ["--bootstrap", &bootstrap, "--definitions", &definitions, "--lake", &location];
    let pace = ["run", "--listen", "127.0.0.1:0", "--epoch-interval", "20ms", "--maintain-every", "1s"];
    let mut running = Running::start(&[pace.as_slice(), &places].concat());
    let line = running.wait_for("answering on http://");
    let address = line.split("http://").nth(1).expect("an address").trim().to_owned();
    let files = || -> usize {
        let metrics = get(&address, "/metrics");
        let sample = metrics.lines().find_map(|line| line.strip_prefix("plimsoll_table_files{table=\"epochs\"} "));
        sample.expect("a sample").trim().parse().expect("a number")
    };
    let (mut parts, mut most, deadline) = (world.events.chunks(50), 0, Instant::now() + PATIENCE);
    while files() >= most {
        assert!(Instant::now() < deadline, "nothing is merged: {most} files");
        most = files();
        produce(&broker, "events", 1, parts.next().unwrap_or_default());
        std::thread::sleep(Duration::from_millis(100));
    }
    parts.for_each(|part| produce(&broker, "events", 1, part));
    std::thread::sleep(Duration::from_secs(2));
    running.signal("TERM");
    assert!(running.end().success());
    run_until_caught_up(&broker, &world.definitions, &lake, &[]);
    assert_as_judged(&world, &lake, "merged while it ran");
}
