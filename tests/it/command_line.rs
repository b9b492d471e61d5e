//! Wrong use and missing things: one clear line, the right exit code, no panic.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Running, output, plimsoll, repository, run};

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
fn the_page_shows_all_commands() {
    let page = std::fs::read_to_string(repository("docs/reference/command-line.md")).expect("the page");
    let shown = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let told = String::from_utf8(run(&["--help"]).stdout).expect("text");
    // The program wraps its lines.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let commands = told.split("Commands:").nth(1).and_then(|rest| rest.split("\n  help ").next()).expect("commands");
    assert!(commands.lines().count() > 9, "{told}");
    assert_eq!(words(shown.trim_start_matches("Commands:")), words(commands));
}

#[test]
fn wrong_usage_exits_2() {
    fails(&["demo", "--sed", "1"], 2, "unexpected argument '--sed'");
    fails(&["demo", "--month", "2026-13"], 2, "expected a month such as 2026-10");
    fails(&["judge"], 2, "--events");
    fails(&["run", "--epoch-interval", "soon"], 2, "expected a duration");
    fails(&["run", "--property", "novalue"], 2, "expected NAME=VALUE");
    fails(&["nonsense"], 2, "unrecognized subcommand");
    fails(&["run", "--group", "a b"], 2, "expected 1 to 64 letters, digits, - and _");
    fails(&["run", "--group", ""], 2, "expected 1 to 64 letters");
    fails(&["run", "--bootstrap", ""], 2, "expected HOST:PORT");
    fails(&["run", "--bootstrap", "a:9092,,b:9092"], 2, "expected HOST:PORT");
    fails(&["run", "--bootstrap", "a:port"], 2, "expected HOST:PORT");
    fails(&["run", "--property", "nonsense=1"], 2, "No such configuration property: \"nonsense\"");
    fails(&["run", "--lake", ""], 2, "--lake");
    fails(&["query", "--lake", ""], 2, "--lake");
    fails(&["sql", ""], 2, "expected one SQL statement");
    fails(&["sql", " ;\n"], 2, "expected one SQL statement");
    fails(&["judge", "--events", "x", "--format", "csv"], 2, "csv holds one table");
    fails(&["judge", "--events", "x", "--format", "parquet"], 2, "--output <DIR>");
    fails(&["judge", "--events", "x", "--output", "there"], 2, "only --format parquet writes files");
    fails(&["judge", "--events", "x", "--show", "clocks,clocks"], 2, "names a table twice");
    let gate = |from, until, more: &[&'static str]| {
        let change = ["gate", "-e", "x", "--service", "web", "--as-of", "2026-03-01T00:00:00Z", "--from", from];
        [&change, &["--until", until] as &[_], more].concat()
    };
    fails(&["gate", "-e", "x"], 2, "--service <ID>");
    fails(
        &gate("2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", &[]),
        2,
        "the end, 2026-03-02T00:00:00Z, is not after the start",
    );
    fails(&gate("2026-02-02T00:00:00Z", "2026-03-02T00:00:00Z", &[]), 2, "give a change that is still to come");
    let hour = |more| gate("2026-03-02T00:00:00Z", "2026-03-02T01:00:00Z", more);
    fails(&hour(&["--downtime", "2h"]), 2, "a downtime of 2h is longer than the planned time, 1h");
    fails(&hour(&["--downtime", "0s"]), 2, "expected a duration such as");
    fails(&hour(&["--emergency", "--approved-at", "2026-03-01T00:00:00Z"]), 2, "cannot be used with");
    fails(&["backtest", "draft.yaml"], 2, "--lake <DIR>");
    fails(&["backtest", "draft.yaml", "--lake", "x", "-e", "y"], 2, "cannot be used with");
    fails(&["calendar", "elapsed", "-c", "24x7", "2026-01-01"], 2, "expected FROM UNTIL, or - alone");
    fails(&["calendar", "due", "2026-01-01", "4h"], 2, "--calendar <ID>");
    fails(&["calendar", "show", "-c", "24x7", "--month", "2026"], 2, "expected a month such as 2026-10");
}

#[test]
fn properties_that_the_client_refuses_exit_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, definitions) = (folder.path().join("lake"), examples());
    let lake = lake.to_string_lossy();
    let run = ["run", "-d", &definitions, "--lake", &lake, "--listen", "127.0.0.1:0", "--bootstrap", "127.0.0.1:1"];
    for (property, said) in [
        ("group.id=other", "group.id cannot be set"),
        ("session.timeout.ms=soon", "property session.timeout.ms: Invalid value"),
        ("security.protocol=SASL_PLAINTEXT", "sasl.mechanism = GSSAPI is not in this build"),
    ] {
        fails(&[run.as_slice(), &["-X", property]].concat(), 2, said);
    }
}

#[test]
fn missing_things_exit_1_and_are_named() {
    fails(&["check", "--definitions", "nowhere"], 1, "cannot read the definitions folder nowhere");
    fails(&["judge", "-d", &examples(), "-e", "nowhere.ndjson"], 1, "nowhere.ndjson");
    fails(&["backtest", "nowhere.yaml", "-d", &examples(), "-e", "x"], 1, "cannot read the draft nowhere.yaml");
    let gate =
        ["gate", "-d", &examples(), "-e", "x", "--service", "web", "--from", "2999-01-01", "--until", "2999-01-02"];
    let customer = "found the customer nobody, expected one that is defined: ";
    fails(&[&gate[..], &["--customer", "nobody"]].concat(), 1, customer);
    fails(&["sql", "--lake", "nowhere", "SELECT 1"], 1, "nowhere");
    fails(&["query", "--lake", "nowhere"], 1, "nowhere");
    let known = "choose one of 24x7, business-hours, night-shift with --calendar";
    fails(&["calendar", "show", "-d", &examples(), "-c", "office"], 1, known);
    for (question, said) in [
        (["elapsed", "2026-01-32", "2026-02-01"], "found \"2026-01-32\", expected a time such as"),
        (["due", "2026-01-01", "soon"], "found \"soon\", expected a duration such as 4h"),
    ] {
        fails(&[&["calendar"], &question[..], &["-d", &examples(), "-c", "24x7"]].concat(), 1, said);
    }
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
fn problems_that_nobody_reads_to_the_end_are_still_problems() {
    let folder = tempfile::tempdir().expect("a folder");
    // More than a pipe holds.
    let text: String =
        (0..2_000).map(|id| format!("---\n{{kind: Customer, metadata: {{id: c{id}}}, x: 1}}\n")).collect();
    std::fs::write(folder.path().join("a.yaml"), text).expect("a file");
    let mut process = plimsoll()
        .args(["check", "-d", &folder.path().to_string_lossy()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(process.stdout.take());
    let done = process.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(1), ""));
}

#[test]
fn what_cannot_be_read_is_a_problem_among_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    let customer =
        |id: &str| format!("{{apiVersion: plimsoll/v1, kind: Customer, metadata: {{id: {id}, colour: red}}}}\n");
    file("a.yaml", customer("a").as_bytes());
    file("SHOUTED.YAML", customer("b").as_bytes());
    file("latin.yaml", b"# Caf\xc3\xa9\n# Caf\xe9\n");
    file("notes.txt", b"\xff");
    std::fs::create_dir(folder.path().join("folder.yaml")).expect("a folder");
    std::fs::create_dir(folder.path().join(".git")).expect("a folder");
    file(".git/hidden.yaml", b"[");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link");
    link("nowhere", "dangling.yaml");
    link("itself", "itself");
    link(".", "again");
    let done = run(&["check", "-d", &folder.path().to_string_lossy()]);
    let unknown = "found the unknown field \"colour\", expected a field that exists here: one of id, name, labels";
    let expected = format!(
        "SHOUTED.YAML:1: metadata.colour: {unknown}\n\
         a.yaml:1: metadata.colour: {unknown}\n\
         dangling.yaml:1: found a link that cannot be read (No such file or directory (os error 2)), expected what this \
         user can read; mend or remove it\n\
         folder.yaml:1: found a folder, expected a file; give the folder a name that does not look like a file's\n\
         itself:1: found a link that cannot be read (Too many levels of symbolic links (os error 40)), expected what \
         this user can read; mend or remove it\n\
         latin.yaml:2: found bytes that are not UTF-8, expected a text in UTF-8; save the file in that encoding\n\
         6 problems\n"
    );
    assert_eq!(String::from_utf8_lossy(&done.stdout), expected);
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn a_mounted_folder_of_links_is_read_once() {
    // As Kubernetes mounts a ConfigMap: the files are links through a link to a folder, both with two dots in front.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("..2026")).expect("a folder");
    let text = "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}\n";
    std::fs::write(folder.path().join("..2026/services.yaml"), text).expect("a file");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link");
    link("..2026", "..data");
    link("..data/services.yaml", "services.yaml");
    let told = output(&["check", "-d", &folder.path().to_string_lossy()]);
    assert!(
        told.ends_with(": 1 file, 1 service, 0 agreements, 0 judged objectives, 0 sources: no problems\n"),
        "{told}"
    );
}

#[test]
fn the_log_has_no_colours_where_nobody_sees_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    let mut process = plimsoll()
        .args(["run", "-d", &examples(), "--bootstrap", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--lake"])
        .arg(&lake)
        .env("PLIMSOLL_LOG", "info")
        .env_remove("NO_COLOR")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let errors = BufReader::new(process.stderr.take().expect("piped"));
    let line = errors.lines().map_while(Result::ok).find(|line| line.contains("INFO"));
    process.kill().expect("it still runs");
    process.wait().expect("it ends");
    let line = line.expect("the client logs that nobody answers");
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

#[test]
fn until_caught_up_without_a_broker_ends_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, definitions) = (folder.path().join("lake"), examples());
    let lake = lake.to_string_lossy();
    let run_once = ["run", "--until-caught-up", "-d", &definitions, "--lake", &lake, "--listen", "127.0.0.1:0"];
    let done = run(&[run_once.as_slice(), &["--bootstrap", "127.0.0.1:1"]].concat());
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    assert!(told.starts_with("error: no broker answers at 127.0.0.1:1: "), "{told}");
    assert!(told.ends_with("; check the address and that the broker runs\n"), "{told}");
}

#[test]
fn a_mapped_column_that_a_file_lacks_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    file(
        "source.yaml",
        "{apiVersion: plimsoll/v1, kind: Source, metadata: {id: desk}, spec: {files: [t.csv], format: csv, kind: incident,\n\
         map: {time: /at, ticket: /number, action: /action, priority: /priorty, customer: /client}}}\n",
    );
    file("t.csv", "at,number,action,priority\n2026-03-02T08:00:00Z,T1,opened,P1\n");
    let (definitions, events) = (folder.path().to_string_lossy(), folder.path().join("t.csv"));
    let done = run(&["judge", "-d", &definitions, "-e", &events.to_string_lossy(), "--as-of", "2026-03-03T00:00:00Z"]);
    let told = String::from_utf8_lossy(&done.stderr);
    let expected = "warning: t.csv has no column client, which its source maps to customer\n\
                    warning: t.csv has no column priorty, which its source maps to priority; perhaps priority is meant\n\
                    1 event, 0 duplicates, ";
    assert!(done.status.success() && told.starts_with(expected), "{told}");
}

#[test]
fn r38_judge_tells_what_counts_nowhere_for_want_of_a_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}\n";
    std::fs::write(folder.path().join("service.yaml"), service).expect("a file");
    let mut events = String::new();
    let mut happens = |fields: &str| {
        events += &format!("{{\"time\":\"2026-03-02T08:00:00Z\",{fields}}}\n");
    };
    for (number, service) in [(1, "wbe"), (2, "web"), (3, ""), (4, "wbe"), (5, "wbe"), (6, "wbe"), (7, "wbe")] {
        let ticket = format!("\"kind\":\"incident\",\"ticket\":\"T{number}\",\"action\":\"opened\"");
        happens(&if service.is_empty() { ticket } else { format!("{ticket},\"service\":\"{service}\"") });
    }
    happens("\"kind\":\"change\",\"ticket\":\"C1\",\"action\":\"finished\",\"outcome\":\"failed\",\"service\":\"wbe\"");
    happens("\"kind\":\"feedback\",\"score\":1");
    for service in ["web", "wbe"] {
        happens(&format!("\"kind\":\"feedback\",\"score\":2,\"service\":\"{service}\""));
        happens(&format!("\"kind\":\"monitoring\",\"status\":\"up\",\"service\":\"{service}\""));
    }
    let file = folder.path().join("events.ndjson");
    std::fs::write(&file, events).expect("a file");
    let (definitions, events) = (folder.path().to_string_lossy(), file.to_string_lossy());
    let done = run(&["judge", "-d", &definitions, "-e", &events, "--as-of", "2026-03-03"]);
    let told = String::from_utf8_lossy(&done.stderr);
    // T2, one score and one result are web's.
    let expected = "6 tickets of no service that the catalogue knows: T1 (wbe), T3 (none), T4 (wbe), T5 (wbe), T6 (wbe) \
                    and 1 more\n\
                    1 change of no service that the catalogue knows: C1 (wbe)\n\
                    3 other events of no service that the catalogue knows: none (1), wbe (2)\n";
    assert!(done.status.success() && told.ends_with(expected), "{told}");
}

#[test]
fn judge_takes_a_date_and_a_pipe_and_tells_what_no_source_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "{apiVersion: plimsoll/v1, kind: Source, metadata: {id: c}, spec: {files: [\"checks*.ndjson\"]}}\n";
    std::fs::write(folder.path().join("source.yaml"), source).expect("a file");
    let mut process = plimsoll()
        .args(["judge", "-d", &folder.path().to_string_lossy(), "-e", "/dev/stdin", "--as-of", "2026-03-02"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let event =
        |time| format!("{{\"time\":\"{time}\",\"kind\":\"monitoring\",\"service\":\"web\",\"status\":\"up\"}}\n");
    let events = event("2026-03-02T00:00:00Z") + &event("2026-03-02T00:00:01Z");
    process.stdin.take().expect("piped").write_all(events.as_bytes()).expect("it reads");
    let done = process.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&done.stderr);
    let expected = "warning: stdin fits the `files` of no Source, so it is read in the plain form\n\
                    1 event, 0 duplicates, 1 later than 2026-03-02T00:00:00Z, ";
    assert!(done.status.success() && told.starts_with(expected), "{told}");
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

#[test]
fn one_signal_ends_the_demo_well_whenever_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo").to_string_lossy().into_owned();
    let demo = ["demo", "--folder", &path, "--listen", "127.0.0.1:0"];
    let mut up = Running::start(&demo);
    up.wait_for("Still up");
    up.signal("TERM");
    assert!(up.end().success(), "when it is up");
    // While it produces, and while it reads: a summary of a part would be taken for that of the whole month.
    for early in [" services under ", "into the broker"] {
        let mut running = Running::start(&[demo.as_slice(), &["--once"]].concat());
        running.wait_for(early);
        running.signal("INT");
        assert!(running.end().success(), "after {early:?}");
        let told: Vec<String> = std::iter::from_fn(|| running.next_line()).collect();
        assert!(told.iter().any(|line| line == "ended as asked, before the summary"), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("Attainment by offering")), "{told:?}");
    }
}

#[test]
fn one_signal_ends_it_whatever_clients_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake").to_string_lossy().into_owned();
    let (definitions, nowhere) = (examples(), "127.0.0.1:1");
    let running = ["run", "-d", &definitions, "--lake", &lake, "--bootstrap", nowhere, "--listen", "127.0.0.1:0"];
    let mut running = Running::start(&running);
    let line = running.wait_for("answering on http://");
    let address = line.split("http://").nth(1).expect("an address").trim().to_owned();
    let send = |begun: &str| {
        let mut connection = TcpStream::connect(&address).expect("a connection");
        connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        connection.write_all(begun.as_bytes()).expect("sent");
        connection
    };
    let _half = send("GET / HT");
    // It keeps every thread that computes for minutes without a break, and no other.
    let series = "generate_series(1, 200000)";
    let join = format!("SELECT count(*) FROM {series} a, {series} b WHERE a.value < b.value");
    let _busy = send(&format!("POST /v1/sql HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{join}", join.len()));
    std::thread::sleep(Duration::from_secs(1));
    let mut answer = String::new();
    let read = send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").read_to_string(&mut answer);
    assert!(read.is_ok() && answer.ends_with("ok\n"), "{read:?} {answer}");
    running.signal("TERM");
    assert!(running.end().success(), "a requested end is a good end");
}
