//! Receivers of warnings and breaches: a real Alertmanager, a webhook, a Kafka topic.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use plimsoll_tests::alertmanager::Alertmanager;
use plimsoll_tests::broker::Broker;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use crate::recovery::World;
use crate::support::{Running, get};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const DEFINITIONS: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
spec: {state: {from: incidents}}
---
apiVersion: plimsoll/v1
kind: Service
metadata: {id: mail}
spec: {state: {from: incidents}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: desk}
spec:
  type: ola
  services: [web]
  effective: {from: 2026-01-01}
  objectives:
    - id: fix
      indicator: {signal: resolution_time, within: 1h}
      target: {at_least: 90 %}
      window: {calendar: month}
      warn_at: [50 %, 75 %, 90 %]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: outages}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 2026-01-01}
  exclusions: {maintenance: {notice: 1h}}
  objectives:
    - {id: longest, indicator: {signal: longest_outage}, target: {at_most: 2m}, window: {calendar: year}, min_coverage: 0 %}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [events]}
";

/// A webhook that keeps what it is sent, and says no as often as it is told to.
struct Webhook {
    address: String,
    got: Arc<Mutex<Vec<Sent>>>,
    refusals: Arc<Mutex<usize>>,
}

/// One request.
#[derive(Clone)]
struct Sent {
    headers: Vec<String>,
    body: Value,
}

impl Sent {
    fn header(&self, name: &str) -> &str {
        let line = self.headers.iter().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }
}

impl Webhook {
    fn start() -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let hook = Webhook { address, got: Arc::default(), refusals: Arc::default() };
        let (got, refusals) = (hook.got.clone(), hook.refusals.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let sent = read(&mut stream);
                let mut refusals = refusals.lock().expect("not poisoned");
                let status = if *refusals > 0 { "503 Service Unavailable" } else { "204 No Content" };
                *refusals = refusals.saturating_sub(1);
                got.lock().expect("not poisoned").push(sent);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        hook
    }

    fn got(&self) -> Vec<Sent> {
        self.got.lock().expect("not poisoned").clone()
    }

    /// What was told of each alert, in order: its status, its name, and whom it is about.
    fn told(&self) -> Vec<String> {
        self.got().iter().flat_map(|sent| told(&sent.body)).collect()
    }
}

fn read(stream: &mut TcpStream) -> Sent {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        headers.push(line.trim().to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    Sent { headers, body: serde_json::from_slice(&body).expect("JSON") }
}

fn told(message: &Value) -> Vec<String> {
    let alerts = message["alerts"].as_array().expect("alerts");
    let short = |alert: &Value| {
        let text = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
        let words = ["status", "alertname", "service", "ticket", "used"].map(text);
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    alerts.iter().map(short).collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The names of the alerts that fire, with their tickets and services.
fn firing(alertmanager: &Alertmanager) -> BTreeSet<String> {
    let alerts: Value = serde_json::from_str(&alertmanager.alerts().expect("an answer")).expect("JSON");
    let name = |alert: &Value| {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", label("alertname"), label("service"), label("used")).trim().to_owned()
    };
    alerts.as_array().expect("an array").iter().map(name).collect()
}

fn ticket(id: &str, action: &str, at: DateTime<Utc>) -> [String; 1] {
    let event = json!({"id": format!("{id}-{action}"), "time": at.to_rfc3339(), "kind": "incident", "service": "web",
        "ticket": id, "action": action});
    [event.to_string()]
}

fn outage(service: &str, action: &str, at: DateTime<Utc>) -> [String; 1] {
    let id = format!("{service}-out");
    let event = json!({"id": format!("{id}-{action}"), "time": at.to_rfc3339(), "kind": "incident", "service": service,
        "ticket": id, "action": action, "outage": true});
    [event.to_string()]
}

fn receivers(world: &World, lines: &[Value]) -> String {
    let path = world.lake("receivers");
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).expect("a file");
    path.to_string_lossy().into_owned()
}

/// All messages of a topic so far.
fn messages_of(broker: &Broker, topic: &str) -> Vec<Value> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).set("group.id", "reader").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("a subscription");
    let mut found = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => found.push(serde_json::from_slice(message.payload().expect("a body")).expect("JSON")),
            Some(Err(_)) => break,
            None => {}
        }
    }
    found
}

#[test]
fn what_happens_is_told_as_alerts_by_webhook_and_by_topic_until_it_is_over() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Some(alertmanager) = Alertmanager::start_or_skip().expect("alertmanager") else { return };
    broker.create_topic("events", 1).expect("topic");
    broker.create_topic("warnings", 1).expect("topic");
    let (world, hook) = (World::new(DEFINITIONS), Webhook::start());
    let lines = [
        json!({"name": "people", "alertmanager": alertmanager.address()}),
        json!({"name": "desk", "webhook": hook.address, "secret": SECRET}),
        json!({"name": "bus", "topic": "warnings"}),
    ];
    let path = receivers(&world, &lines);
    let (mut running, address) = world.run(&broker.bootstrap(), "lake", &["--receivers", &path]);

    // A maintenance that was approved in time: nobody is told of an outage of more than two minutes within it.
    let now = Utc::now();
    let planned = json!({"id": "C1-approved", "time": (now - TimeDelta::hours(5)).to_rfc3339(), "kind": "change",
        "service": "mail", "ticket": "C1", "action": "approved",
        "planned_start": (now - TimeDelta::hours(2)).to_rfc3339(), "planned_end": (now + TimeDelta::hours(2)).to_rfc3339()});
    broker.produce("events", 0, [planned.to_string()]).expect("a record");
    broker.produce("events", 0, outage("mail", "opened", now - TimeDelta::minutes(10))).expect("a record");
    broker.produce("events", 0, outage("web", "opened", now - TimeDelta::minutes(10))).expect("a record");
    wait_until("the outage", || firing(&alertmanager).contains("PlimsollObjectiveBreached web"));

    // 59 minutes and a half of the hour are used: 90 % are, and it is due in 30 seconds.
    let opened = Utc::now() - TimeDelta::seconds(3_570);
    broker.produce("events", 0, ticket("T1", "opened", opened)).expect("a record");
    wait_until("a warning", || firing(&alertmanager).contains("PlimsollTicketNearDue web 90 %"));
    wait_until("a breach", || firing(&alertmanager).contains("PlimsollTicketOverdue web"));
    let both = BTreeSet::from(["PlimsollObjectiveBreached web", "PlimsollTicketOverdue web"].map(str::to_owned));
    wait_until("the end of the warning", || firing(&alertmanager) == both);
    let alerts: Value = serde_json::from_str(&alertmanager.alerts().expect("an answer")).expect("JSON");
    let alert = alerts.as_array().expect("alerts").iter().find(|alert| alert["labels"]["ticket"] == "T1");
    let alert = alert.expect("the ticket's");
    assert_eq!(alert["labels"]["severity"], "page");
    assert_eq!(alert["labels"]["cause"], "ticket:T1");
    assert_eq!(alert["annotations"]["summary"], "Missed: ticket T1: fix of web for desk");
    let due = (opened + TimeDelta::hours(1)).timestamp_millis();
    let starts_at = alert["startsAt"].as_str().expect("a time").parse::<DateTime<Utc>>().expect("RFC 3339");
    assert_eq!(starts_at.timestamp_millis(), due, "it is missed when it is due");
    let evidence = alert["annotations"]["evidence"].as_str().expect("a link");
    let path = evidence.strip_prefix(&format!("http://{address}")).expect("the same address");
    assert!(get(&address, path).contains(r#""ticket":"T1""#), "{evidence} shows no evidence");

    broker.produce("events", 0, ticket("T1", "resolved", Utc::now())).expect("a record");
    let rest = BTreeSet::from(["PlimsollObjectiveBreached web".to_owned()]);
    wait_until("the end", || firing(&alertmanager) == rest);
    let expected = [
        "firing PlimsollObjectiveBreached web",
        "firing PlimsollTicketNearDue web T1 90 %",
        "firing PlimsollTicketOverdue web T1",
        "resolved PlimsollTicketOverdue web T1",
    ];
    wait_until("the webhook's message", || hook.told().len() == expected.len());
    assert_eq!(hook.told(), expected);
    // Of each the four, and that the warning was superseded.
    let shown = ["people", "desk", "bus"].map(|name| {
        let told = format!("plimsoll_notifications_total{{receiver=\"{name}\"}} 5\n");
        [told, format!("plimsoll_alerts_firing{{receiver=\"{name}\"}} 1\n")]
    });
    wait_until("the numbers of all receivers", || {
        let metrics = get(&address, "/metrics");
        shown.iter().flatten().all(|line| metrics.contains(line))
    });
    running.signal("TERM");
    assert!(running.end().success());
    let of_topic = messages_of(&broker, "warnings");
    assert_eq!(of_topic.iter().flat_map(told).collect::<Vec<_>>(), expected);
    let ids = |messages: Vec<Value>| messages.into_iter().map(|message| message["id"].clone()).collect::<Vec<_>>();
    let sent = hook.got().into_iter().map(|sent| sent.body).collect();
    assert_eq!(ids(of_topic), ids(sent), "both tell the same under the same ids");
}

#[test]
fn a_receiver_is_told_at_least_once_and_again_only_under_the_same_id() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("events", 1).expect("topic");
    let (world, hook) = (World::new(DEFINITIONS), Webhook::start());
    let path = receivers(&world, &[json!({"name": "desk", "webhook": hook.address, "secret": SECRET})]);
    let bootstrap = broker.bootstrap();

    // Nobody was to be told at first. Who is added later is told what stands, and not what is over.
    let (mut running, _) = world.run(&bootstrap, "lake", &[]);
    let late = Utc::now() - TimeDelta::hours(3);
    for (id, action) in [("T1", "opened"), ("T2", "opened"), ("T2", "resolved")] {
        let at = if action == "opened" { late } else { late + TimeDelta::hours(2) };
        broker.produce("events", 0, ticket(id, action, at)).expect("a record");
    }
    let lake = world.lake("lake");
    crate::recovery::wait_for_answer(&lake, "SELECT ticket FROM breaches ORDER BY ticket", "T1\nT2");
    running.signal("TERM");
    assert!(running.end().success());
    *hook.refusals.lock().expect("not poisoned") = 2;
    let told = notify(&lake, &path);
    wait_until("what was refused", || hook.got().len() == 3);
    assert_eq!(hook.told()[0], "firing PlimsollTicketOverdue web T1");
    let ids: BTreeSet<String> = hook.got().iter().map(|sent| sent.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 1, "it is one message, sent three times");
    assert!(hook.got().iter().all(|sent| sent.header("webhook-signature").starts_with("v1,")));
    assert!(told.wait_for("receiver desk is not told").contains("503 Service Unavailable"));

    // Another start tells nothing again, also after a kill.
    wait_until("what was told is kept", || lake.join("_plimsoll/told/desk.zst").exists());
    drop(told);
    let (mut running, _) = world.run(&bootstrap, "lake", &["--receivers", &path]);
    broker.produce("events", 0, ticket("T1", "resolved", Utc::now())).expect("a record");
    wait_until("the end", || hook.got().len() == 4);
    assert_eq!(hook.told()[3], "resolved PlimsollTicketOverdue web T1");
    running.signal("KILL");
    running.end();
    assert_eq!(hook.got().len(), 4);
}

/// `plimsoll notify`, once it tells.
fn notify(lake: &Path, receivers: &str) -> Running {
    let lake = lake.to_string_lossy();
    let running = Running::start(&["notify", "--lake", &lake, "--receivers", receivers, "--listen", "127.0.0.1:0"]);
    running.wait_for("telling 1 receiver");
    running
}
