//! The change gate (R30) over HTTP: it says what the command says, of the state that is kept.

use plimsoll_tests::broker::Broker;

use crate::access::token;
use crate::recovery::{World, wait_for_answer};
use crate::support::{Running, get, output, request};

/// Two services, each with 99 % of a day and of thirty days, and a customer.
pub fn definitions() -> String {
    let services = ["web", "mail"].map(|id| {
        format!(
            "---
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {id}}}, spec: {{state: {{stale_after: 60d}}}}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: care-for-{id}}}
spec:
  type: sla
  customer: acme
  services: [{id}]
  effective: {{from: 2026-01-01}}
  exclusions: {{maintenance: {{notice: 1h}}}}
  objectives:
  - {{id: day, indicator: {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: day}}}}
  - {{id: month, indicator: {{signal: availability}}, target: {{at_least: 99 %}}, window: {{rolling: 30d}}}}
"
        )
    });
    "{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: checks}
spec:
  topics: [checks]
  kind: monitoring
  map: {id: /id, time: /at, service: /of, status: {pointer: /word, values: {OK: up, KO: down}}}
"
    .to_owned()
        + &services.concat()
}

/// Both services were down for 40 minutes two days ago.
pub fn send(broker: &Broker) {
    let noon = (chrono::Utc::now().date_naive() - chrono::Days::new(2)).and_hms_opt(12, 0, 0).expect("noon").and_utc();
    let records = ["web", "mail"].into_iter().flat_map(|service| {
        [(-40 * 24 * 60, "OK"), (0, "KO"), (40, "OK")].map(|(minutes, word)| {
            let at = (noon + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
            format!(r#"{{"id":"{service}{minutes}","at":"{at}","of":"{service}","word":"{word}"}}"#)
        })
    });
    broker.produce("checks", 0, records).expect("records");
}

/// What `run` keeps of the topic, with tokens of one who sees all of it and of one who sees some.
pub struct Asked {
    pub world: World,
    pub _running: Running,
    pub address: String,
    pub all: String,
    pub some: String,
}

impl Asked {
    pub fn start(broker: &Broker) -> Asked {
        broker.create_topic("checks", 1).expect("topic");
        let world = World::new(&definitions());
        let ((all, all_line), (some, some_line)) = (token(&["all"]), token(&["some", "--customer", "acme"]));
        let users = world.lake("users");
        std::fs::write(&users, all_line + &some_line).expect("a file");
        let (_running, address) = world.run(&broker.bootstrap(), "lake", &["--users", &users.to_string_lossy()]);
        Asked { world, _running, address, all, some }
    }
}

/// How many agreements have an outage in their thirty days.
pub const SPENT: &str = "SELECT count(DISTINCT agreement) FROM attainment WHERE objective = 'month' AND bad_us > 0";

/// Tomorrow at this hour.
fn tomorrow(hour: u32) -> String {
    format!("{}T{hour:02}:00:00Z", chrono::Utc::now().date_naive() + chrono::Days::new(1))
}

/// The answer to a change of tomorrow from 1 to 4 o'clock.
fn post(address: &str, token: &str, accept: &str, more: &str) -> String {
    let headers = format!("application/json\r\nAuthorization: Bearer {token}\r\nAccept: {accept}");
    let body = format!(r#"{{"from":"{}","until":"{}",{more}}}"#, tomorrow(1), tomorrow(4));
    request(address, "POST /v1/change-gate", &headers, &body)
}

/// The rows of an answer.
pub fn rows(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a body").1
}

#[test]
fn r30_the_gate_over_http_says_what_the_command_says() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Asked { world, _running, address, all, some } = Asked::start(&broker);
    let (folder, lake) = (world.definitions(), world.lake("lake"));
    send(&broker);
    wait_for_answer(&lake, "SELECT count(*) FROM events", "6");
    wait_for_answer(&lake, SPENT, "2");

    // 1 % of a day are 14 min 24 s = 864 s; tomorrow nothing of that is spent. 1 % of thirty days are 7 h 12 min = 25,920 s,
    // of which the outage spent 2,400 s.
    let csv = |more: &str| post(&address, &all, "text/csv", more);
    let left = |answer: &str, objective: &str| -> Vec<String> {
        let of_columns = |line: &str| line.split(',').skip(8).take(3).map(str::to_owned).collect();
        let named = format!(",{objective},");
        rows(answer).lines().find(|line| line.contains(&named)).map(of_columns).expect("a row")
    };
    let emergency = r#""service":"web","emergency":true,"downtime":"#;
    let short = csv(&format!(r#"{emergency}"10m""#));
    assert!(short.contains("plimsoll-verdict: go\r\n"), "{short}");
    assert_eq!(left(&short, "day"), ["864000000", "600000000", "264000000"], "{short}");
    assert_eq!(left(&short, "month"), ["23520000000", "600000000", "22920000000"], "{short}");
    let long = csv(&format!(r#"{emergency}"20m""#));
    assert!(long.contains("plimsoll-verdict: no_go\r\n"), "{long}");
    assert_eq!(left(&long, "day"), ["864000000", "1200000000", "-336000000"], "{long}");
    assert_eq!(left(&long, "month"), ["23520000000", "1200000000", "22320000000"], "{long}");

    // The command takes the stored events; the worker has its state, with an outage that spent 40 minutes of thirty days.
    let approved = format!("{}T00:00:00Z", chrono::Utc::now().date_naive());
    let command = |service: &str, format: &str| {
        let (definitions, lake) = (folder.to_string_lossy(), lake.to_string_lossy());
        let (from, until) = (tomorrow(1), tomorrow(4));
        let change = ["--service", service, "--from", &from, "--until", &until, "--approved-at", &approved];
        let settings = ["gate", "-d", &definitions, "--lake", &lake, "--format", format, "--customer", "acme"];
        output(&[&settings[..], &change].concat())
    };
    for (service, accept, format) in
        [("web", "text/csv", "csv"), ("mail", "application/json", "json"), ("mail", "text/plain", "table")]
    {
        let asked = format!(r#""service":"{service}","approved_at":"{approved}","customer":"acme""#);
        let answer = post(&address, &all, accept, &asked);
        assert_eq!(rows(&answer), command(service, format), "{answer}");
        assert!(answer.contains("plimsoll-known-until: "), "{answer}");
    }

    // What cannot be answered, and who is not to know.
    for (more, status, why) in [
        (r#""service":"wbe""#, 400, "found the service wbe, expected one that is defined"),
        (r#""service":"web","customer":"nobody""#, 400, "found the customer nobody"),
        (r#""service":"web","downtime":"4h""#, 400, "a downtime of 4h is longer than the planned time, 3h"),
        (r#""service":"web","downtime":"soon""#, 400, "found downtime \\\"soon\\\", expected a duration such as 90s"),
        (r#""service":"web","emergency":true,"approved_at":"2026-01-01""#, 400, "give one of them"),
        (
            r#""service":"web","approved_at":"2026-13-01""#,
            400,
            "found approved_at \\\"2026-13-01\\\", expected RFC 3339",
        ),
        (r#""services":"web""#, 400, "unknown field `services`"),
    ] {
        let answer = post(&address, &all, "application/json", more);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(why), "{answer}");
    }
    let past = r#"{"service":"web","from":"2026-01-01","until":"2026-01-02"}"#;
    let bearer = format!("\r\nAuthorization: Bearer {all}");
    let answer = request(&address, "POST /v1/change-gate", &format!("application/json{bearer}"), past);
    assert!(answer.contains("the start, 2026-01-01T00:00:00Z, has passed at "), "{answer}");
    let answer = request(&address, "POST /v1/change-gate", &format!("text/plain{bearer}"), past);
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    let answer = post(&address, &some, "text/csv", r#""service":"web""#);
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("the change gate is not for those"), "{answer}");
    let answer = post(&address, "nobodys", "text/csv", r#""service":"web""#);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn r30_of_shards_the_one_that_measures_the_service_answers() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("checks", 1).expect("topic");
    let world = World::new(&definitions());
    let (folder, lake, bootstrap) = (world.definitions(), world.lake("lake"), broker.bootstrap());
    let (folder, lake) = (folder.to_string_lossy(), lake.to_string_lossy());
    let settings = ["--bootstrap", &bootstrap, "-d", &folder, "--lake", &lake, "--listen", "127.0.0.1:0"];
    let start = |role: &[&str]| Running::start(&[role, &settings, &["-X", "session.timeout.ms=6000"]].concat());
    let door = |running: &Running| {
        let line = running.wait_for("answering on http://");
        line.split("http://").nth(1).expect("an address").trim().to_owned()
    };
    let first = start(&["aggregate", "--shards", "2", "--epoch-interval", "200ms"]);
    let _ingest = start(&["ingest"]);
    send(&broker);
    let first_door = door(&first);
    wait_for_answer(&world.lake("lake"), SPENT, "2");
    let asked = |address: &str, service: &str| post(address, "", "text/csv", &format!(r#""service":"{service}""#));
    let whole = ["web", "mail"].map(|service| asked(&first_door, service));
    for (answer, service) in whole.iter().zip(["web", "mail"]) {
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("care-for-{service}")), "{answer}");
    }
    assert!(get(&first_door, "/v1/openapi.json").contains("/v1/change-gate"));

    // A second process takes one of the two shards: each answers for its own, and says of the other that it is not here.
    let second = start(&["aggregate"]);
    let second_door = door(&second);
    let is_split = || {
        ["web", "mail"].iter().zip(&whole).all(|(service, whole)| {
            let answers = [&first_door, &second_door].map(|door| asked(door, service));
            let is_here = |answer: &&String| answer.starts_with("HTTP/1.1 200 ") && rows(answer) == rows(whole);
            let elsewhere = format!("no shard that is kept here measures {service}");
            let is_elsewhere = |answer: &&String| answer.starts_with("HTTP/1.1 503 ") && answer.contains(&elsewhere);
            answers.iter().filter(is_here).count() == 1 && answers.iter().filter(is_elsewhere).count() == 1
        })
    };
    let mut looks = (0..150).map(|_| std::thread::sleep(std::time::Duration::from_millis(200)));
    assert!(looks.any(|()| is_split()), "{:?}", [&first_door, &second_door].map(|door| asked(door, "web")));
}
