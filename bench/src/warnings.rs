//! How long it takes from what happens to the alert in Alertmanager's own answers: through a real broker, the program itself
//! with its tables on a disk, and a real Alertmanager.
//!
//! Four kinds of cases come in turn, each of a service of its own: a ticket, or an outage, of which the event says that a
//! share was used up before, timed from when the event was given to Kafka; and one of which a share is used up some
//! seconds later, while nothing happens, timed from that instant.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use plimsoll_tests::alertmanager::Alertmanager;
use plimsoll_tests::broker::Broker;
use serde_json::json;

/// The topic of the events.
const TOPIC: &str = "events";

/// How long an alert may take until the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often Alertmanager is asked.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How long before a share is used up the event comes that leads to it.
const AHEAD: TimeDelta = TimeDelta::seconds(3);

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/plimsoll")]
    program: PathBuf,
    /// How many cases of each kind
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
}

/// How an alert comes about.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ClockByEvent,
    ClockByTime,
    BudgetByEvent,
    BudgetByTime,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::ClockByEvent, Kind::ClockByTime, Kind::BudgetByEvent, Kind::BudgetByTime];

    fn name(self) -> &'static str {
        match self {
            Kind::ClockByEvent => "clock, from the event",
            Kind::ClockByTime => "clock, from its instant",
            Kind::BudgetByEvent => "budget, from the event",
            Kind::BudgetByTime => "budget, from its instant",
        }
    }

    fn is_clock(self) -> bool {
        matches!(self, Kind::ClockByEvent | Kind::ClockByTime)
    }
}

/// The program, which ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures, and prints the median, the 99th percentile and the longest of each kind.
pub fn measure(arguments: &Arguments) -> Result<()> {
    let broker = Broker::start()?;
    broker.create_topic(TOPIC, 1)?;
    let alertmanager = Alertmanager::start_or_skip()?.context("there is no Alertmanager")?;
    let folder = tempfile::tempdir()?;
    let definitions = folder.path().join("definitions");
    std::fs::create_dir(&definitions)?;
    std::fs::write(definitions.join("all.yaml"), self::definitions(4 * arguments.count))?;
    let receivers = folder.path().join("receivers");
    std::fs::write(&receivers, json!({"name": "people", "alertmanager": alertmanager.address()}).to_string())?;
    let running = Command::new(&arguments.program)
        .args(["run", "--listen", "127.0.0.1:0", "--bootstrap", &broker.bootstrap(), "--definitions"])
        .arg(&definitions)
        .arg("--lake")
        .arg(folder.path().join("lake"))
        .arg("--receivers")
        .arg(&receivers)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be started", arguments.program.display()))?;
    let _running = Running(running);
    // The first is late for what a start takes, and is not counted.
    case(&broker, &alertmanager, Kind::ClockByEvent, 4 * arguments.count)?;
    let mut taken: [Vec<Duration>; 4] = Default::default();
    for number in 0..4 * arguments.count {
        let place = (number % 4) as usize;
        taken[place].push(case(&broker, &alertmanager, Kind::ALL[place], number)?);
        // Where in its rhythm a pipeline is met is left to chance.
        sleep(Duration::from_millis(u64::from(number * 7_919 % 1_500)));
    }
    for (kind, mut taken) in Kind::ALL.into_iter().zip(taken) {
        taken.sort_unstable();
        let at = |share: f64| taken[((taken.len() as f64 * share).ceil() as usize).clamp(1, taken.len()) - 1];
        println!(
            "{:<26} {} cases: median {:?}, 99th percentile {:?}, longest {:?}",
            kind.name(),
            taken.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

/// One case: how long its alert took.
fn case(broker: &Broker, alertmanager: &Alertmanager, kind: Kind, number: u32) -> Result<Duration> {
    // Of an hour half is used up after 30 minutes, and of 12 minutes after 6.
    let half = if kind.is_clock() { TimeDelta::minutes(30) } else { TimeDelta::minutes(6) };
    let is_by_event = matches!(kind, Kind::ClockByEvent | Kind::BudgetByEvent);
    let now = Utc::now();
    let opened = now - half + if is_by_event { -AHEAD } else { AHEAD };
    let (id, service) = (format!("T{number}"), format!("s{number}"));
    let event = json!({"id": id, "time": opened.to_rfc3339(), "kind": "incident", "service": service, "ticket": id,
        "action": "opened", "outage": !kind.is_clock()});
    let began = Instant::now();
    broker.produce(TOPIC, 0, [event.to_string()])?;
    let name = if kind.is_clock() { "PlimsollTicketNearDue" } else { "PlimsollErrorBudgetUsed" };
    let filter = format!("filter=service%3D%22{service}%22&filter=alertname%3D%22{name}%22");
    loop {
        let alerts = alertmanager.alerts_of(&filter)?;
        if alerts.contains("startsAt") {
            return if is_by_event { Ok(began.elapsed()) } else { since(&alerts) };
        }
        ensure!(began.elapsed() < PATIENCE, "no alert of case {number}, {}, within {PATIENCE:?}", kind.name());
        sleep(ASK_EVERY);
    }
}

/// How long ago the only alert of an answer started.
fn since(alerts: &str) -> Result<Duration> {
    let alerts: serde_json::Value = serde_json::from_str(alerts)?;
    let Some(starts_at) = alerts[0]["startsAt"].as_str() else { bail!("an alert that does not start: {alerts}") };
    let starts_at: DateTime<Utc> = starts_at.parse()?;
    Ok((Utc::now() - starts_at).to_std()?)
}

/// Services, each with a promise for its tickets and one for its outages.
fn definitions(last: u32) -> String {
    let mut text = String::new();
    for number in 0..=last {
        text += &format!(
            "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: s{number}}}\nspec: {{state: {{from: incidents}}}}\n---\n"
        );
    }
    let services: Vec<String> = (0..=last).map(|number| format!("s{number}")).collect();
    text + &format!(
        "apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: all}}
spec:
  type: ola
  services: [{}]
  effective: {{from: 2026-01-01}}
  objectives:
    - {{id: fix, indicator: {{signal: resolution_time, within: 1h}}, target: {{at_least: 90 %}}, window: {{calendar: month}}}}
    - {{id: longest, indicator: {{signal: longest_outage}}, target: {{at_most: 12m}}, window: {{calendar: year}}, min_coverage: 0 %}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {{id: plain}}
spec: {{topics: [{TOPIC}]}}
",
        services.join(", ")
    )
}
