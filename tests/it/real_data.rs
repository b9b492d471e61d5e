//! Three logs that nobody of this project wrote, through Kafka and through `judge`, beside computations in Python that
//! share no code with Plimsoll. Skipped, with a line that says so, where the logs are absent.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_tests::broker::Broker;

use crate::support::{assert_same, judged, output, repository, run_until_caught_up, table};

/// Where the logs are: `$PLIMSOLL_DATA`, or `shared/data` beside the repository.
fn data(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PLIMSOLL_DATA").map_or_else(|| repository("../shared/data"), PathBuf::from);
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("skipped: {} is not there; PLIMSOLL_DATA names the folder of the logs", found.display());
    None
}

/// The lines of a log after the line of names.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).expect("the log");
    let mut text = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).expect("gzip");
    } else {
        text = bytes;
    }
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end().to_vec());
    lines.skip(1).filter(|line| !line.is_empty()).collect()
}

/// Sends a log through a real broker, and compares what the tables then hold with what `judge` says of the files.
fn through_kafka_and_judge(log: &str, topic: &str, files: &[PathBuf], tables: &[&str]) -> Option<PathBuf> {
    let broker = Broker::start_or_skip().expect("broker")?;
    broker.create_topic(topic, 2).expect("topic");
    for path in files {
        let records = records(path);
        for partition in 0..2 {
            broker.produce(topic, partition, records.iter().skip(partition as usize).step_by(2)).expect("records");
        }
    }
    let definitions = repository("tests/real").join(log).join("definitions");
    let lake = tempfile::tempdir().expect("a folder").keep();
    run_until_caught_up(&broker, &definitions, &lake, &[]);
    // A window that is open now differs from one moment to the next.
    let closed = |rows: BTreeMap<String, usize>| -> BTreeMap<String, usize> {
        rows.into_iter().filter(|(row, _)| !row.contains("finality=provisional")).collect()
    };
    for name in tables {
        let (found, expected) = (closed(table(&lake, name)), closed(judged(&definitions, files, name)));
        assert_same(&format!("{log}: {name}"), &found, &expected);
    }
    Some(lake)
}

#[test]
fn incidents_of_a_service_desk() {
    let Some(file) = data("itsm-incidents/incident_event_log.csv.gz") else { return };
    let Some(lake) = through_kafka_and_judge("incidents", "incidents-real", &[file], &["attainment", "clocks"]) else {
        return;
    };
    let question =
        "SELECT sum(good_count), sum(total_count) FROM attainment WHERE signal = 'good_ratio' AND window_kind = 'year'";
    let answer = output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", question]);
    // The log's own verdict at each incident's last closing: grep it from the last row of each number.
    assert_eq!(answer.lines().nth(1), Some("15803,24918"));
    std::fs::remove_dir_all(lake).expect("removed");
}

#[test]
fn observations_of_sites() {
    let Some(file) = data("uptime-dhbern/observations.csv.gz") else { return };
    let tables = ["attainment", "outages", "transitions"];
    if let Some(lake) = through_kafka_and_judge("uptime", "uptime-real", &[file], &tables) {
        std::fs::remove_dir_all(lake).expect("removed");
    }
}

#[test]
fn changes_that_fail_after_their_window() {
    let Some(log) = data("changes-openstack/project_config_changes.csv.gz") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = log.parent().and_then(Path::parent).expect("the folder of the logs");
    let prepared =
        Command::new("python3").arg(repository("tests/real/changes/prepare.py")).arg(data).arg(folder.path()).output();
    let prepared = prepared.expect("python3 is needed to split the log");
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    let files = ["changes_finished.csv", "changes_reverted.csv"].map(|name| folder.path().join(name));
    if let Some(lake) = through_kafka_and_judge("changes", "changes-real", &files, &["attainment"]) {
        std::fs::remove_dir_all(lake).expect("removed");
    }
}

#[test]
fn judge_agrees_with_computations_in_python() {
    let Some(_) = data("itsm-incidents") else { return };
    let done = Command::new("sh").arg(repository("tests/real/compare.sh")).arg(env!("CARGO_BIN_EXE_plimsoll")).output();
    let done = done.expect("sh starts");
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}
