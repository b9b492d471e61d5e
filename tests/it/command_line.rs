//! Wrong use and missing things: one clear line, the right exit code, no panic.

use std::net::TcpListener;

use crate::support::{Running, output, repository, run};

/// Runs the program, which must fail with this code and say this on standard error or output, on few lines.
fn fails(arguments: &[&str], code: i32, said: &str) {
    let done = run(arguments);
    let text = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(code), "plimsoll {}: {text}", arguments.join(" "));
    assert!(text.contains(said), "plimsoll {} said: {text}", arguments.join(" "));
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
}

fn examples() -> String {
    repository("docs/examples/definitions").to_string_lossy().into_owned()
}

#[test]
fn wrong_usage_exits_2() {
    fails(&["demo", "--sed", "1"], 2, "unexpected argument '--sed'");
    fails(&["demo", "--month", "2026-13"], 2, "expected a month such as 2026-10");
    fails(&["judge"], 2, "--events");
    fails(&["run", "--epoch-interval", "soon"], 2, "expected a duration");
    fails(&["run", "--property", "novalue"], 2, "expected NAME=VALUE");
    fails(&["nonsense"], 2, "unrecognized subcommand");
}

#[test]
fn missing_things_exit_1_and_are_named() {
    fails(&["check", "--definitions", "nowhere"], 1, "cannot read the definitions folder nowhere");
    fails(&["judge", "-d", &examples(), "-e", "nowhere.ndjson"], 1, "nowhere.ndjson");
    fails(&["sql", "--lake", "nowhere", "SELECT 1"], 1, "nowhere");
    fails(&["query", "--lake", "nowhere"], 1, "nowhere");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let demo = folder.path().join("demo");
    fails(
        &["demo", "--folder", &demo.to_string_lossy(), "--listen", &address],
        1,
        &format!("cannot listen on {address}"),
    );
}

#[test]
fn the_demo_leaves_somebody_elses_folder_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("precious"), "data").expect("a file");
    fails(
        &["demo", "--folder", &folder.path().to_string_lossy(), "--listen", "127.0.0.1:0"],
        1,
        "was not made by a demo",
    );
    assert!(folder.path().join("precious").exists());
}

#[test]
fn check_names_every_problem_and_exits_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: web}\nspec: {depends_on: [gone], colour: red}\n";
    std::fs::write(folder.path().join("services.yaml"), text).expect("a file");
    let done = run(&["check", "-d", &folder.path().to_string_lossy()]);
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(told.contains("services.yaml:4: spec.colour"), "{told}");
    assert!(told.contains("services.yaml:4: spec.depends_on[0]: found \"gone\""), "{told}");
    assert!(told.contains("2 problems"), "{told}");
    assert!(output(&["check", "-d", &examples()]).contains("no problems"));
}

#[test]
fn a_broker_that_is_not_there_is_told_and_tried_again_until_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    let definitions = examples();
    let mut running = Running::start(&[
        "run",
        "--definitions",
        &definitions,
        "--lake",
        &lake.to_string_lossy(),
        "--bootstrap",
        "127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
    ]);
    let line = running.wait_for("still trying");
    assert!(line.starts_with("warning: ") && line.contains("127.0.0.1:1"), "{line}");
    running.signal("TERM");
    assert!(running.end().success(), "a requested end is a good end");
}
