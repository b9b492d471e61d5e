//! The Postgres wire, asked by real clients: psycopg 3, SQLAlchemy, the JDBC driver, and psql where there is one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::flight::over_tls;
use crate::support::{Running, output, plimsoll, request};

/// The question that every door is asked.
pub const QUESTION: &str = "SELECT verdict, count(*) AS windows, sum(good_us) AS good_us FROM attainment GROUP BY verdict \
                        ORDER BY verdict";

/// Where the clients are; `None`, after one line that says so, where they are not and `CI` is not `true`.
pub fn clients() -> Option<PathBuf> {
    let folder = std::env::var_os("PLIMSOLL_CLIENTS_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("clients")
    });
    if folder.join("complete").exists() {
        return Some(folder.join("venv/bin/python"));
    }
    let absent = format!("the clients are not in {}; run tests/fetch-clients.sh", folder.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{absent}");
    eprintln!("skipped: {absent}");
    None
}

/// A month of the demo and who answers for it: to `ana`, who sees everything, and to `guest`, who sees one customer's
/// agreements. The password of both is `pencil`.
pub struct Doors {
    folder: tempfile::TempDir,
    pub running: Running,
    pub postgres: u16,
    pub flight: u16,
    pub http: String,
    /// Ana's over HTTP.
    pub token: String,
}

/// The customer whose agreements `guest` sees.
const CUSTOMER: &str = "acme";

/// A line of the users' file, and what was said beside it.
pub fn line(arguments: &[&str]) -> (String, String) {
    let mut line = plimsoll();
    line.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut line = line.spawn().expect("the program starts");
    line.stdin.take().expect("piped").write_all(b"pencil\n").expect("a password");
    let done = line.wait_with_output().expect("a line");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(done.stdout), text(done.stderr))
}

impl Doors {
    pub fn open(more: impl Fn(&Path) -> Vec<String>) -> Doors {
        let folder = tempfile::tempdir().expect("a folder");
        let demo = folder.path().join("demo");
        output(&["demo", "--once", "--folder", &demo.to_string_lossy(), "--listen", "127.0.0.1:0"]);
        let users = folder.path().join("users");
        let (ana, guest) = (line(&["password", "ana"]).0, line(&["password", "guest", "--customer", CUSTOMER]).0);
        let (ana_over_http, token) = line(&["token", "ana over HTTP"]);
        let token = token.trim().rsplit(' ').next().expect("a token").to_owned();
        std::fs::write(&users, [ana, guest, ana_over_http].concat()).expect("a file");
        let (lake, users) = (demo.join("lake").to_string_lossy().into_owned(), users.to_string_lossy().into_owned());
        let mut arguments: Vec<String> =
            ["query", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0"]
                .into_iter()
                .chain(["--lake", &lake, "--users", &users])
                .map(str::to_owned)
                .collect();
        arguments.extend(more(folder.path()));
        let running = Running::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let postgres = running.wait_for("answering on postgres://127.0.0.1:");
        let postgres = postgres.rsplit(':').next().and_then(|end| end.split('/').next()).expect("a port");
        let flight = running.wait_for("answering on grpc");
        let flight = flight.rsplit(':').next().expect("a port").parse().expect("a port");
        let http = running.wait_for("answering on http");
        let http = http.rsplit("://").next().expect("an address").to_owned();
        Doors { postgres: postgres.parse().expect("a port"), flight, folder, running, http, token }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the question has to come to, as CSV.
    pub fn expected(&self) -> String {
        output(&["sql", "--lake", &self.lake(), "--format", "csv", QUESTION])
    }

    pub fn lake(&self) -> String {
        self.folder.path().join("demo/lake").to_string_lossy().into_owned()
    }
}

/// What a program has said.
pub fn told(done: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&done.stdout) + &text(&done.stderr)
}

#[test]
fn clients_of_postgres_are_answered_as_everybody_else_is_and_may_only_ask() {
    let Some(python) = clients() else { return };
    let doors = Doors::open(|_| Vec::new());
    let sql = |question: &str| output(&["sql", "--lake", &doors.lake(), "--format", "csv", question]);
    let expected = doors.expected();
    let headers = format!("text/plain\r\nAccept: text/csv\r\nAuthorization: Bearer {}", doors.token);
    let over_http = request(&doors.http, "POST /v1/sql", &headers, QUESTION);
    assert!(expected.lines().all(|line| over_http.contains(line)), "{over_http}");
    let events = sql("SELECT count(*) FROM events");
    let events = events.lines().nth(1).expect("a count");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/postgres.py");
    let done = Command::new(python).arg(script).args([&doors.postgres.to_string(), events, &expected]).output();
    let done = done.expect("Python");
    assert!(done.status.success(), "{}", told(&done));
    assert_eq!(told(&done).matches(": as expected").count(), 9, "{}", told(&done));
}

/// The question of `tests/clients/Jdbc.java` and `FlightJdbc.java`, as they print its answer.
pub const MET: &str = "SELECT agreement, objective, window_start, good_us, attainment_ratio FROM attainment \
    WHERE verdict = 'met' AND window_start >= '2026-10-01' AND good_us > 0 ORDER BY 1, 2, service, 3 LIMIT 3";

#[test]
fn the_jdbc_driver_finds_what_there_is_and_asks_with_parameters() {
    let Some(python) = clients() else { return };
    let jars = python.ancestors().nth(3).expect("the folder of the clients").join("jars/*");
    let doors = Doors::open(|_| Vec::new());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/Jdbc.java");
    let done = Command::new("java").arg("-cp").arg(jars).arg(program).arg(doors.postgres.to_string()).output();
    let done = done.expect("java");
    assert!(done.status.success(), "{}", told(&done));
    let said = told(&done);
    for line in [
        "catalog|plimsoll",
        "schema|history",
        "table|outages|VIEW|one maximal interval in which a service was down (R3)",
        "table|calendar_days|VIEW|",
        "stored|outages|TABLE",
        "column|service|text|NO|id of the service",
        "column|ended_at|timestamptz|YES|when it was no longer down, UTC; null while it is",
        "type|int8|-5",
        "bound|true|true",
        "recovered|2",
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{line}: {said}");
    }
    for none in ["key|", "imported|", "exported|", "index|", "function|", "procedure|", "identifier|"] {
        assert!(!said.lines().any(|said| said.starts_with(none)), "{none}: {said}");
    }
    let met = output(&["sql", "--lake", &doors.lake(), "--format", "csv", MET]);
    let rows: Vec<&str> = met.lines().skip(1).collect();
    assert_eq!(rows.len(), 3, "{met}");
    let answers: Vec<&str> = said.lines().skip_while(|line| *line != rows[0]).collect();
    assert_eq!(answers, rows.repeat(7), "{said}");
}

/// What a user of the demo pastes works: each line that it ends with, but for those of cargo.
#[test]
fn the_lines_that_the_demo_prints_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo").to_string_lossy().into_owned();
    let mut demo = Running::start(&["demo", "--folder", &path, "--listen", "127.0.0.1:0"]);
    demo.wait_for("Still up");
    let lines: Vec<String> =
        std::iter::from_fn(|| demo.next_line().filter(|line| !line.contains(" -- check "))).collect();
    let mut printed = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.starts_with("cargo ")) {
        let client = line.split(' ').next().unwrap_or_default();
        printed.push(client);
        if Command::new(client).arg("--version").output().is_err() {
            let absent = format!("{client} is not there; install it (Debian: apt-get install postgresql-client curl)");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{absent}");
            eprintln!("skipped: {absent}");
            continue;
        }
        let done = Command::new("sh").args(["-c", line]).output().expect("a shell");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.len() > 200, "{line}\n{}", told(&done));
        assert!(!said.contains("urn:plimsoll:problem"), "{line}\n{said}");
    }
    assert_eq!(printed, ["curl", "curl", "curl", "psql"]);
    demo.signal("TERM");
    assert!(demo.end().success());
}

#[test]
fn psql_finds_what_there_is_and_what_it_means_also_over_tls() {
    if Command::new("psql").arg("--version").output().is_err()
        || Command::new("openssl").arg("version").output().is_err()
    {
        let absent = "psql or openssl is not there; install them (Debian: apt-get install postgresql-client openssl)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{absent}");
        eprintln!("skipped: {absent}");
        return;
    }
    let doors = Doors::open(|folder| {
        let [certificate, key] =
            ["certificate.pem", "key.pem"].map(|name| folder.join(name).to_string_lossy().into_owned());
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", &key, "-out", &certificate])
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", told(&made));
        ["--tls-certificate".to_owned(), certificate, "--tls-key".to_owned(), key].into()
    });
    let psql = |mode: &str, command: &str| {
        let address = format!("host=127.0.0.1 port={} user=ana dbname=plimsoll sslmode={mode}", doors.postgres);
        let mut psql = Command::new("psql");
        psql.args(["-X", "-P", "pager=off", "-c", command, &address]).env("PGPASSWORD", "pencil");
        told(&psql.output().expect("psql"))
    };
    for (command, parts) in [
        ("\\d", &["public | attainment ", "| view"][..]),
        ("\\dv", &["public | outages "]),
        ("\\dt history.*", &["history | attainment ", "| table"]),
        ("\\dn", &["dictionary", "history", "public"]),
        ("\\l", &["plimsoll"]),
        ("\\d attainment", &["View \"public.attainment\"", " good_us ", "| timestamp with time zone |"]),
        ("\\d+ outages", &["length in microseconds of real time; null while it lasts"]),
        ("\\conninfo", &["SSL"]),
        // No roles and no functions of others are there, as nobody's are.
        ("\\du", &["List of roles"]),
        ("\\df", &["(0 rows)"]),
        ("\\dn+", &["history", "Access privileges"]),
        ("\\dp", &["attainment", "Access privileges"]),
        ("\\drds", &["Did not find any settings"]),
        ("\\ddp", &["(0 rows)"]),
        ("\\dT", &["(0 rows)"]),
        ("\\dD", &["(0 rows)"]),
        ("\\dL", &["List of languages"]),
        ("\\db", &["List of tablespaces"]),
        ("SET TIME ZONE 'Europe/Berlin'", &["NOTICE", "UTC", "SET"]),
        ("SELECT '{a,b}'::text[] AS both", &["{a,b}"]),
        ("SELECT count(*) AS windows FROM attainment WHERE verdict = 'breached'", &["windows"]),
        (
            "SELECT comment FROM dictionary.columns WHERE table_name = 'gaps' AND column_name = 'lost_count'",
            &["(1 row)"],
        ),
    ] {
        let said = psql("require", command);
        assert!(parts.iter().all(|part| said.contains(part)), "{command}: {said}");
    }
    assert!(psql("disable", "SELECT 1").contains("(1 row)"), "TLS is offered, not asked for");
    let refused = |address: &str, password: &str| {
        let address = format!("host=127.0.0.1 port={} {address}", doors.postgres);
        let mut psql = Command::new("psql");
        psql.args(["-X", "-c", "SELECT 1", &address]).env("PGPASSWORD", password);
        told(&psql.output().expect("psql"))
    };
    assert!(refused("user=ana dbname=plimsoll", "pen").contains("failed for user \"ana\""));
    assert!(refused("user=ana dbname=other", "pencil").contains("database \"other\" does not exist"));
    over_https_alone(&doors);
    over_tls(&doors);
    sees_one_customer(&doors);
}

/// Over HTTP nothing is said without TLS, and with it the same.
fn over_https_alone(doors: &Doors) {
    const ASK: &str = "import ssl, sys, urllib.request as ask
context = ssl.create_default_context(cafile=sys.argv[1])
headers = {'Authorization': 'Bearer ' + sys.argv[3], 'Accept': 'text/csv', 'Content-Type': 'application/sql'}
print(ask.urlopen(ask.Request(sys.argv[2], b'SELECT 6 * 7 AS answer', headers), context=context).read().decode())";
    let certificate = doors.folder.path().join("certificate.pem");
    let asked = |scheme: &str| {
        let address = format!("{scheme}://{}/v1/sql", doors.http);
        let mut python = Command::new("python3");
        told(&python.args(["-c", ASK]).arg(&certificate).args([&address, &doors.token]).output().expect("python3"))
    };
    assert!(asked("https").starts_with("answer\n42\n"), "{}", asked("https"));
    let plain = asked("http");
    assert!(plain.starts_with("Traceback") && !plain.contains("answer\n42"), "{plain}");
}

/// `guest` sees one customer's agreements, and no more of anything than is about them.
fn sees_one_customer(doors: &Doors) {
    let psql = |command: &str| {
        let address = format!("host=127.0.0.1 port={} user=guest dbname=plimsoll", doors.postgres);
        let mut psql = Command::new("psql");
        psql.args(["-X", "-A", "-t", "-c", command, &address]).env("PGPASSWORD", "pencil");
        told(&psql.output().expect("psql"))
    };
    let theirs = format!("WHERE customer = '{CUSTOMER}'");
    for (what, from) in [("count(*), sum(good_us)", "attainment"), ("count(*), sum(elapsed_us)", "clocks")] {
        let all = output(&[
            "sql",
            "--lake",
            &doors.lake(),
            "--format",
            "csv",
            &format!("SELECT {what} FROM {from} {theirs}"),
        ]);
        let all = all.lines().nth(1).expect("a row").replace(',', "|");
        assert!(!all.starts_with('0'), "{from}: {all}");
        assert_eq!(psql(&format!("SELECT {what} FROM {from}")).trim(), all, "{from}");
    }
    assert_eq!(psql("SELECT DISTINCT customer FROM history.attainment").trim(), CUSTOMER);
    assert_eq!(psql("SELECT customer FROM customers").trim(), CUSTOMER);
    let refused = psql("SELECT count(*) FROM events");
    assert!(refused.contains("events is not for those who may see the agreements of some customers only"), "{refused}");
}
