//! `/metrics` and the rules, as Prometheus and its promtool take them.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Running, get, output, repository, run};

/// How long Prometheus may take for what it does every second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where `prometheus` and `promtool` are; `None`, after one line that says so, where they are not and `CI` is not `true`.
pub fn tools() -> Option<PathBuf> {
    let folder = std::env::var_os("PLIMSOLL_PROMETHEUS_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| repository("target")).join("prometheus")
    });
    let fetched = folder.join("usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(fetched)
        .chain(std::env::split_paths(&path))
        .find(|folder| ["promtool", "prometheus"].iter().all(|name| folder.join(name).exists()));
    if found.is_none() {
        let absent =
            format!("prometheus is neither in {} nor on the PATH; run tests/fetch-prometheus.sh", folder.display());
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{absent}");
        eprintln!("skipped: {absent}");
    }
    found
}

/// What promtool says of something, which must be sound.
fn promtool(tools: &Path, arguments: &[&str], input: &str) -> String {
    let mut promtool = Command::new(tools.join("promtool"));
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool starts");
    promtool.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let done = promtool.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "promtool {}: {told}", arguments.join(" "));
    told
}

/// The demo, and a Prometheus that scrapes it and evaluates its rules each second.
pub struct Watched {
    _folder: tempfile::TempDir,
    _demo: Running,
    /// The address of the demo's HTTP.
    pub http: String,
    /// `postgresql://...` of its Postgres wire.
    pub postgres: String,
    prometheus: Child,
    address: String,
}

impl Watched {
    pub fn start(tools: &Path) -> Watched {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let demo = Running::start(&["demo", "--folder", &path("demo"), "--listen", "127.0.0.1:0"]);
        let line = demo.wait_for("curl http://");
        let http =
            line.split("curl http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
        let line = demo.wait_for("psql postgresql://");
        let postgres = line.split_whitespace().nth(1).expect("an address").to_owned();
        std::fs::write(path("rules.yaml"), output(&["rules", "-d", &path("demo/definitions")])).expect("a file");
        let config = format!(
            "global: {{scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 1s}}\nrule_files: [rules.yaml]\nscrape_configs:\n\
             - job_name: plimsoll\n  static_configs: [{{targets: [\"{http}\"]}}]\n"
        );
        std::fs::write(path("prometheus.yaml"), config).expect("a file");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let prometheus = Command::new(tools.join("prometheus"))
            .arg(format!("--config.file={}", path("prometheus.yaml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address={address}"))
            .args(["--log.level=error"])
            .stdin(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        let watched = Watched { _demo: demo, http, postgres, prometheus, address, _folder: folder };
        watched.wait_until_ready();
        // A rate needs two scrapes, and a rule that is recorded comes after it.
        watched.wait_for("topic:plimsoll_events:rate5m");
        watched.wait_for("verdict:plimsoll_objectives:count");
        watched
    }

    /// Waits until it answers at all: it listens before it does.
    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        let is_ready = || {
            std::net::TcpStream::connect(&self.address).is_ok() && get(&self.address, "/-/ready").contains(" 200 OK")
        };
        while !is_ready() {
            assert!(Instant::now() < deadline, "prometheus is not ready");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a question has an answer.
    pub fn wait_for(&self, question: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.query(question).is_empty() {
            assert!(Instant::now() < deadline, "prometheus knows no {question}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What Prometheus says to a question about now: each series, with its labels in `metric` and its `value`.
    pub fn query(&self, question: &str) -> Vec<Value> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(question)));
        assert_eq!(answer["status"], "success", "{question}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    fn ask(&self, path: &str) -> Value {
        let answer = get(&self.address, path);
        serde_json::from_str(&body(&answer)).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.prometheus.kill();
        let _ = self.prometheus.wait();
    }
}

fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => (byte as char).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// The body of an answer, whose chunks are joined.
fn body(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut joined) = (body, String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        joined += &after[..length];
        rest = &after[length + 2..];
        if length == 0 {
            break;
        }
    }
    joined
}

#[test]
fn the_rules_of_the_examples_are_those_of_the_repository_and_do_as_was_worked_out_by_hand() {
    let Some(tools) = tools() else { return };
    let definitions = repository("docs/examples/definitions").to_string_lossy().into_owned();
    let made = output(&["rules", "-d", &definitions, "--url", "https://plimsoll.example/"]);
    let path = repository("deploy/prometheus/rules.yaml");
    let command = "plimsoll rules -d docs/examples/definitions --url https://plimsoll.example";
    assert_eq!(made, std::fs::read_to_string(&path).expect("the rules"), "made by `{command}`");
    assert!(promtool(&tools, &["check", "rules", &path.to_string_lossy()], "").contains("SUCCESS"));
    let worked_out = repository("tests/prometheus/rules.test.yaml");
    assert!(promtool(&tools, &["test", "rules", &worked_out.to_string_lossy()], "").contains("SUCCESS"));
}

#[test]
fn rules_are_made_of_what_definitions_ask_to_be_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let definitions = folder.path().to_string_lossy().into_owned();
    let alerts = |objective: &str, more: &[&str]| {
        let text = format!(
            "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: web}}\n---\napiVersion: plimsoll/v1\n\
             kind: Agreement\nmetadata: {{id: ola}}\nspec:\n  type: ola\n  services: [web]\n  \
             effective: {{from: 2026-01-01}}\n  objectives:\n  - {{id: one, window: {{calendar: month}}, {objective}}}\n"
        );
        std::fs::write(folder.path().join("ola.yaml"), text).expect("a file");
        output(&[&["rules", "-d", &definitions] as &[&str], more].concat())
    };
    let asked =
        ["PlimsollErrorBudgetBurn", "PlimsollErrorBudgetUsed", "PlimsollTicketOverdue", "PlimsollObjectiveBreached"];
    let of = |objective: &str| {
        let text = alerts(objective, &[]);
        asked.map(|name| text.matches(&format!("alert: {name}\n")).count())
    };
    let availability = "indicator: {signal: availability}, target: {at_least: 99 %}";
    assert_eq!(of(&format!("{availability}, burn_rate_warnings: true")), [4, 1, 0, 1]);
    assert_eq!(of(&format!("{availability}, warn_at: []")), [0, 0, 0, 1]);
    let clock = "indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}";
    assert_eq!(of(clock), [0, 0, 1, 1]);
    let of_job = alerts(clock, &["--job", "levels"]).replace('\\', "");
    assert!(of_job.contains("up{job=\"levels\"} == 0"), "{of_job}");
    assert!(!alerts(clock, &[]).contains("evidence"), "without --url there are no links");
    for url in ["plimsoll.example", "https://", "https://{{ x }}", "https://a?b=c"] {
        let refused = run(&["rules", "-d", &definitions, "--url", url]);
        assert_eq!(refused.status.code(), Some(2), "{url}");
    }
}

#[test]
fn prometheus_takes_what_is_told_in_each_format_and_the_rules_have_no_errors() {
    let Some(tools) = tools() else { return };
    let watched = Watched::start(&tools);
    // What is wrong with names, types and helps would be told.
    let text = body(&get(&watched.http, "/metrics"));
    assert_eq!(promtool(&tools, &["check", "metrics"], &text), "");
    assert!(text.lines().filter(|line| !line.starts_with('#')).count() > 1_000, "{text}");

    // Prometheus asks for OpenMetrics, of which it calls a counter's family as they do: without `_total`.
    let metadata = watched.ask("/api/v1/metadata?metric=plimsoll_events");
    assert_eq!(metadata["data"]["plimsoll_events"][0]["type"], "counter", "{metadata}");
    let unit = watched.ask("/api/v1/metadata?metric=plimsoll_watermark_delay_seconds");
    assert_eq!(unit["data"]["plimsoll_watermark_delay_seconds"][0]["unit"], "seconds", "{unit}");
    let told = "count({__name__=~\"plimsoll_.*\"})";
    watched.wait_for(told);
    let told = watched.query(told);
    assert!(told[0]["value"][1].as_str().and_then(|count| count.parse::<usize>().ok()) > Some(1_000), "{told:?}");

    let rules = watched.ask("/api/v1/rules");
    let groups = rules["data"]["groups"].as_array().expect("groups");
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    assert!(rules.len() > 15, "{rules:?}");
    for rule in rules {
        assert_eq!((&rule["health"], &rule["lastError"]), (&"ok".into(), &Value::Null), "{rule}");
    }
    // The month of the demo has breached promises, and nothing is wrong with the demo itself.
    watched.wait_for("ALERTS{alertstate=\"firing\",alertname=\"PlimsollObjectiveBreached\"}");
    let firing = watched.query("count by (alertname) (ALERTS{alertstate=\"firing\"})");
    let firing: Vec<_> = firing.iter().map(|series| series["metric"]["alertname"].as_str().expect("a name")).collect();
    assert!(firing.contains(&"PlimsollObjectiveBreached"), "{firing:?}");
    assert!(!firing.iter().any(|name| ["PlimsollTargetDown", "PlimsollLakeDamaged"].contains(name)), "{firing:?}");

    for (encoding, decode) in [("gzip", gunzip as fn(&[u8]) -> Vec<u8>), ("zstd", unzstd)] {
        let (head, bytes) = compressed(&watched.http, encoding);
        for line in [&format!("content-encoding: {encoding}"), "vary: Accept, Accept-Encoding"] {
            assert!(head.contains(line), "{line}: {head}");
        }
        let decoded = String::from_utf8(decode(&bytes)).expect("UTF-8");
        let lines = |text: &str| text.lines().filter(|line| line.starts_with("plimsoll_objective")).count();
        assert!(bytes.len() * 4 < decoded.len(), "{encoding}: {} of {}", bytes.len(), decoded.len());
        assert_eq!(lines(&decoded), lines(&text), "{encoding}");
        assert!(decoded.ends_with("# EOF\n"), "OpenMetrics was asked for");
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).expect("gzip");
    text
}

fn unzstd(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).expect("zstd")
}

/// Head and body of an answer of OpenMetrics in an encoding.
fn compressed(address: &str, encoding: &str) -> (String, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(address).expect("the door is open");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Accept: application/openmetrics-text; version=1.0.0\r\nAccept-Encoding: {encoding}\r\n\r\n"
    )
    .expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}
