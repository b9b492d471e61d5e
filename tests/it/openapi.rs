//! What the HTTP doors say of themselves, held against what they do: Schemathesis asks what the description allows, and
//! what it does not.

use std::path::Path;
use std::process::Command;

use crate::gate::definitions;
use crate::postgres::clients;
use crate::recovery::World;
use crate::support::{Running, output, repository};

/// Of how many addresses and methods Schemathesis finds nothing that is not as described, and in how many questions.
fn asked(python: &Path, address: &str, more: &[&str]) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = repository("tests/clients/schemathesis.toml");
    let asked = Command::new(python.with_file_name("schemathesis"))
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(config)
        .args([
            "run",
            "--seed",
            "1",
            "--max-examples",
            "5",
            "--request-timeout",
            "60",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(more)
        .args(["--warnings", "off", &format!("http://{address}/v1/openapi.json")])
        .output()
        .expect("schemathesis");
    let told = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{told}\n{}", String::from_utf8_lossy(&asked.stderr));
    let (_, tested) = told.split_once("Tested: ").expect("a summary");
    let count: usize = tested.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number");
    let (cases, _) = told.split_once(" generated").expect("a summary");
    let cases: usize = cases.split_whitespace().last().and_then(|count| count.parse().ok()).expect("a number");
    (count, cases)
}

#[test]
fn schemathesis_finds_nothing_that_is_not_as_described() {
    let Some(python) = clients() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let demo = folder.path().join("demo");
    output(&["demo", "--once", "--folder", &demo.to_string_lossy(), "--listen", "127.0.0.1:0"]);
    let lake = demo.join("lake").to_string_lossy().into_owned();
    let running = Running::start(&["query", "--listen", "127.0.0.1:0", "--lake", &lake]);
    let line = running.wait_for("http://");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("an address");
    // It asked at every address that there is, many times.
    let (count, cases) = asked(&python, address.trim_end_matches('/'), &["--workers", "2"]);
    assert_eq!(count, 22);
    assert!(cases > 1_000, "{cases}");
}

#[test]
fn schemathesis_finds_no_such_thing_where_definitions_are_kept() {
    let Some(python) = clients() else { return };
    let world = World::new(&definitions());
    // Nothing of this is Kafka's.
    let (_running, address) = world.run("127.0.0.1:1", "lake", &[]);
    let paths = "^/v1/(change-gate|backtest|definitions)$";
    let (count, cases) = asked(&python, &address, &["--workers", "1", "--include-path-regex", paths]);
    // Definitions are read, put and taken out.
    assert_eq!(count, 5);
    assert!(cases > 100, "{cases}");
}
