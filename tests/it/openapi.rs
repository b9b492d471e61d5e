//! What the HTTP doors say of themselves, held against what they do: Schemathesis asks what the description allows, and
//! what it does not.

use std::process::Command;

use crate::postgres::clients;
use crate::support::{Running, output, repository};

#[test]
fn schemathesis_finds_nothing_that_is_not_as_described() {
    let Some(python) = clients() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let demo = folder.path().join("demo");
    output(&["demo", "--once", "--folder", &demo.to_string_lossy(), "--listen", "127.0.0.1:0"]);
    let lake = demo.join("lake").to_string_lossy().into_owned();
    let running = Running::start(&["query", "--listen", "127.0.0.1:0", "--lake", &lake]);
    let line = running.wait_for("http://");
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
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
            "--workers",
            "2",
            "--request-timeout",
            "60",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(["--warnings", "off", &format!("{}/v1/openapi.json", address.trim_end_matches('/'))])
        .output()
        .expect("schemathesis");
    let told = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{told}\n{}", String::from_utf8_lossy(&asked.stderr));
    // It asked at every address that there is, many times.
    let (_, tested) = told.split_once("Tested: ").expect("a summary");
    let count: usize = tested.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number");
    assert_eq!(count, 22, "{told}");
    let (cases, _) = told.split_once(" generated").expect("a summary");
    let cases: usize = cases.split_whitespace().last().and_then(|count| count.parse().ok()).expect("a number");
    assert!(cases > 1_000, "{told}");
}
