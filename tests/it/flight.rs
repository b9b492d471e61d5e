//! Arrow Flight SQL, asked by real clients: ADBC's driver for Python and the JDBC driver of Arrow.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::postgres::{Doors, MET, QUESTION, clients, told};
use crate::support::{Running, output, repository, request};

/// Asks through ADBC; returns what it said, which has so many checks.
fn ask(doors: &Doors, arguments: &[&str], checks: usize) {
    let python = clients().expect("it was there a moment ago");
    let done =
        Command::new(python).arg(repository("tests/clients/flight.py")).args(arguments).output().expect("Python");
    assert!(done.status.success(), "{}", told(&done));
    assert_eq!(told(&done).matches(": as expected").count(), checks, "{}", told(&done));
    assert!(doors.expected().lines().count() > 3, "the question has answers");
}

/// With a certificate, Flight SQL speaks TLS and nothing else; called where there is such a server.
pub fn over_tls(doors: &Doors) {
    if clients().is_none() {
        return;
    }
    let certificate = doors.folder().join("certificate.pem").to_string_lossy().into_owned();
    ask(doors, &[&format!("grpc+tls://localhost:{}", doors.flight), &certificate, &doors.expected()], 1);
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", doors.flight)).expect("a connection");
    plain.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
    std::io::Write::write_all(&mut plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("a preface");
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut said);
    assert!(said.first().is_none_or(|first| *first == 21), "an alert of TLS, or nothing: {said:?}");
}

#[test]
fn clients_of_flight_sql_are_answered_as_everybody_else_is_and_may_only_ask() {
    let Some(python) = clients() else { return };
    let mut doors = Doors::open(|_| Vec::new());
    let expected = doors.expected();
    let headers = format!("text/plain\r\nAccept: text/csv\r\nAuthorization: Bearer {}", doors.token);
    let over_http = request(&doors.http, "POST /v1/sql", &headers, QUESTION);
    assert!(expected.lines().all(|line| over_http.contains(line)), "{over_http}");
    let address = format!("grpc://127.0.0.1:{}", doors.flight);
    let process = doors.running.process.id().to_string();
    ask(&doors, &[&address, &process, &doors.token, &expected], 7);
    over_jdbc(&doors);

    // Without users, whoever reaches the address may ask.
    let mut open =
        Running::start(&["query", "--listen", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--lake", &doors.lake()]);
    let answering = open.wait_for("answering on grpc://127.0.0.1:");
    ask(&doors, &[answering.rsplit(' ').next().expect("an address"), &expected], 1);
    open.signal("TERM");
    assert!(open.end().success());

    // A stop waits for no client that holds an answer.
    let mut holding = Command::new(python);
    let holding = holding.args(["-c", HOLD, &address]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holding = holding.spawn().expect("Python");
    let mut said = [0; 1];
    std::io::Read::read_exact(holding.stdout.as_mut().expect("a pipe"), &mut said).expect("the answer begins");
    let asked = Instant::now();
    doors.running.signal("TERM");
    assert!(doors.running.end().success());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    drop(holding.stdin.take());
    holding.wait().expect("it ends");
}

/// Reads the beginning of an answer and keeps the rest waiting until there is a line to read.
const HOLD: &str = "import adbc_driver_flightsql.dbapi as flight, os, sys
open = flight.connect(sys.argv[1], db_kwargs={'username': 'ana', 'password': 'pencil'}, autocommit=True)
cursor = open.cursor()
cursor.execute(\"SELECT value, 'some text that makes the answer large' FROM generate_series(1, 900000)\")
next(cursor.fetch_record_batch())
print('!', end='', flush=True)
sys.stdin.readline()
os._exit(0)
";

fn over_jdbc(doors: &Doors) {
    let jars: PathBuf = clients().expect("clients").ancestors().nth(3).expect("their folder").join("jars/*");
    let program = repository("tests/clients/FlightJdbc.java");
    // Without the first, Arrow has no access to memory outside the heap (Java 17).
    let mut java = Command::new("java");
    let java = java.arg("--add-opens=java.base/java.nio=ALL-UNNAMED").arg("-cp").arg(jars).arg(program);
    let done = java.args([&doors.flight.to_string(), &doors.token]).output().expect("java");
    assert!(done.status.success(), "{}", told(&done));
    let said = told(&done);
    for line in [
        "product|Plimsoll|true|\"",
        "catalog|plimsoll",
        "schema|history",
        "kind|VIEW",
        "table|outages|VIEW",
        "table|calendar_days|VIEW",
        "stored|outages|TABLE",
        "column|service|VARCHAR|NO|id of the service",
        "column|ended_at|TIMESTAMP_WITH_TIMEZONE|YES|when it was no longer down, UTC; null while it is",
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{line}: {said}");
    }
    for (what, word) in [
        ("update", "only read"),
        ("copy", "only read"),
        ("error", "nothing"),
        ("password", "nobody has this name and this password"),
        ("token", "nobody has this token"),
    ] {
        let line = format!("refused|{what}|");
        assert!(said.lines().any(|said| said.starts_with(&line) && said.contains(word)), "{line} {word}: {said}");
    }
    for none in ["key|", "imported|", "exported|", "crossed|", "answered|"] {
        assert!(!said.lines().any(|said| said.starts_with(none)), "{none}: {said}");
    }
    let met = output(&["sql", "--lake", &doors.lake(), "--format", "csv", MET]);
    let rows: Vec<&str> = met.lines().skip(1).collect();
    assert_eq!(rows.len(), 3, "{met}");
    let answers: Vec<&str> = said.lines().filter(|line| rows.contains(line)).collect();
    assert_eq!(answers, rows.repeat(6), "{said}");
}
