//! Who may ask, as the file of users says it at the time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_tests::broker::Broker;

use crate::postgres::{Doors, clients, line};
use crate::recovery::World;
use crate::support::{Running, request};

/// A token, and the line of who has it.
pub fn token(arguments: &[&str]) -> (String, String) {
    let (line, told) = line(&[&["token"], arguments].concat());
    (told.trim().rsplit(' ').next().expect("a token").to_owned(), line)
}

/// The status of an answer to who has this token.
fn status(address: &str, path: &str, token: &str) -> u16 {
    let headers = format!("text/plain\r\nAuthorization: Bearer {token}");
    let answer = request(address, &format!("GET {path}"), &headers, "");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks on one connection, and asks again whenever there is a line to read.
const ASK_AGAIN: &str = "import psycopg, sys
with psycopg.connect(host='127.0.0.1', port=sys.argv[1], user='ana', password='pencil', dbname='plimsoll', autocommit=True) as open:
    while True:
        try:
            print(open.execute('SELECT 6 * 7').fetchone()[0], flush=True)
        except psycopg.Error as error:
            print(error.sqlstate, flush=True)
        sys.stdin.readline()
";

#[test]
fn who_may_ask_is_who_is_in_the_file_now() {
    let Some(python) = clients() else { return };
    let doors = Doors::open(|_| Vec::new());
    let file = doors.folder().join("users");
    let before = std::fs::read_to_string(&file).expect("the file");
    let (new, new_line) = token(&["new"]);
    let of = |token: &str| status(&doors.http, "/v1/customers", token);
    let mut asking = Command::new(python)
        .args(["-c", ASK_AGAIN, &doors.postgres.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let (mut again, told) = (asking.stdin.take().expect("a pipe"), asking.stdout.take().expect("a pipe"));
    let mut told = BufReader::new(told).lines();
    let mut next = || told.next().expect("a line").expect("text");
    assert_eq!((of(&doors.token), of(&new), next().as_str()), (200, 401, "42"));

    // One more, and a file that has a problem: it changes nothing.
    std::fs::write(&file, format!("{before}{new_line}")).expect("the file");
    wait_for("the new one may ask", || of(&new) == 200);
    std::fs::write(&file, "nobody").expect("the file");
    doors
        .running
        .wait_for("line 1 is no user (expected ident); have it written by `plimsoll password` or `plimsoll token`");
    assert_eq!((of(&doors.token), of(&new)), (200, 200));

    // Only the new one is left; also on a connection that is open.
    std::fs::write(&file, &new_line).expect("the file");
    wait_for("the others may ask no more", || of(&doors.token) == 401);
    assert_eq!(of(&new), 200);
    writeln!(again).expect("a pipe");
    assert_eq!(next(), "28000");
    asking.kill().expect("it runs");
    asking.wait().expect("it ends");
}

#[test]
fn metrics_of_who_only_reads_topics_are_for_who_may_ask_for_them() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 1).expect("topic");
    let world = World::new(
        "apiVersion: plimsoll/v1\nkind: Source\nmetadata: {id: checks}\nspec:\n  topics: [checks]\n  kind: monitoring\n  \
         map: {id: /id, time: /at, service: /of, status: {constant: up}}\n",
    );
    let ((reads, reads_line), (scrapes, scrapes_line)) = (token(&["reads"]), token(&["scrapes", "--scope", "metrics"]));
    let users = world.lake("users");
    std::fs::write(&users, reads_line + &scrapes_line).expect("a file");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (definitions, lake, users) = (text(&world.definitions()), text(&world.lake("lake")), text(&users));
    let running =
        ["ingest", "-d", &definitions, "--lake", &lake, "--bootstrap", &broker.bootstrap(), "--users", &users];
    let running = Running::start(&[&running[..], &["--listen", "127.0.0.1:0"]].concat());
    let address = running.wait_for("metrics on http://").rsplit("http://").next().expect("an address").to_owned();
    wait_for("it answers", || std::net::TcpStream::connect(&address).is_ok());
    let of = |token: &str| status(&address, "/metrics", token);
    assert_eq!((of("plimsoll_nobody"), of(&reads), of(&scrapes)), (401, 403, 200));
    assert_eq!(status(&address, "/healthz", "plimsoll_nobody"), 200);
}
