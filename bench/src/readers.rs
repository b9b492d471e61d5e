//! Many readers of one agreement's month over HTTP, while the program reads a backlog of workload W1 as fast as it can.
//!
//! In: the program, how many readers, and how many requests a second they make together. Out: what the program reads a
//! second alone and beside them, and how the readers fared. It fails when a request does, when fewer are answered than
//! were to be, or when the program reads less than half as much as alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use plimsoll_tests::broker::Broker;
use reqwest::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::workload::Workload;

/// The topic of the workload.
const TOPIC: &str = "checks";

/// How often it is looked at how far the program is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the program may take to read the backlog.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/plimsoll")]
    program: PathBuf,
    /// How many events there are to read
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1_000_000..))]
    events: u64,
    /// How many readers
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    readers: u32,
    /// How many requests a second they make together
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// About how many agreements they ask in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    agreements: u32,
}

/// How many services the workload has, and agreements.
const SERVICES: u32 = 2_000;

/// Measures, and prints it.
///
/// # Errors
/// When anything on the way fails, or a limit is missed.
pub fn measure(arguments: &Arguments) -> Result<()> {
    let broker = Broker::start()?;
    let workload = Workload { events_count: arguments.events, services_count: SERVICES, partitions_count: 4, seed: 1 };
    broker.create_topic(TOPIC, workload.partitions_count)?;
    workload.produce(&broker.bootstrap(), TOPIC)?;
    let folder = tempfile::tempdir()?;
    let definitions = folder.path().join("definitions");
    std::fs::create_dir(&definitions)?;
    std::fs::write(definitions.join("all.yaml"), self::definitions())?;
    let runtime = Runtime::new()?;
    let run = |name: &str| Running::start(&arguments.program, &broker, &definitions, &folder.path().join(name), name);
    let alone = run("alone")?;
    let alone_speed = runtime.block_on(alone.read(arguments.events))?;
    drop(alone);
    println!("alone: {alone_speed:.0} events/s");
    let beside = run("beside")?;
    let (beside_speed, told) = runtime.block_on(async {
        let told = Arc::new(Told::default());
        let mut readers = JoinSet::new();
        for number in 0..arguments.readers {
            readers.spawn(reader(beside.address.clone(), number, ReadersOf::from(arguments), told.clone()));
        }
        let speed = beside.read(arguments.events).await;
        told.is_over.store(true, Ordering::SeqCst);
        while let Some(done) = readers.join_next().await {
            done??;
        }
        anyhow::Ok((speed?, told))
    })?;
    let share = beside_speed / alone_speed;
    println!("beside {} readers: {beside_speed:.0} events/s, {share:.2} of that", arguments.readers);
    let mut times = std::mem::take(&mut *told.times.lock().map_err(|_| anyhow!("a reader panicked"))?);
    times.sort_unstable();
    ensure!(!times.is_empty(), "no reader was answered");
    let at = |share: f64| times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1];
    let rate = times.len() as f64 / Duration::from_micros(told.took_us.load(Ordering::SeqCst)).as_secs_f64();
    println!(
        "{} requests, {rate:.0} a second: median {:?}, 99th percentile {:?}, longest {:?}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    // They are made at the beat of a clock, of which the last is not counted.
    ensure!(rate >= 0.99 * f64::from(arguments.rate), "{rate:.0} requests a second were to be {}", arguments.rate);
    ensure!(share >= 0.5, "the program reads {share:.2} of what it reads alone");
    Ok(())
}

/// What readers do.
#[derive(Clone, Copy)]
struct ReadersOf {
    every: Duration,
    agreements: u32,
}

impl From<&Arguments> for ReadersOf {
    fn from(arguments: &Arguments) -> ReadersOf {
        let every = Duration::from_secs_f64(f64::from(arguments.readers) / f64::from(arguments.rate));
        ReadersOf { every, agreements: arguments.agreements }
    }
}

/// What readers tell.
#[derive(Default)]
struct Told {
    times: std::sync::Mutex<Vec<Duration>>,
    /// How long the last of them read.
    took_us: AtomicU64,
    is_over: AtomicBool,
}

/// One reader on its own connection, until it is over.
async fn reader(address: String, number: u32, of: ReadersOf, told: Arc<Told>) -> Result<()> {
    let client = Client::builder().no_proxy().build()?;
    // They do not all come at once.
    sleep(of.every.mul_f64(f64::from(number % 97) / 97.0)).await;
    let (began, mut times) = (Instant::now(), Vec::new());
    let mut beat = interval(of.every);
    // Who waited too long for an answer makes up for it, so that nothing that stood still is left out of the rate.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for turn in 0.. {
        // What waits behind a slow answer has waited since its beat.
        let asked = beat.tick().await;
        if told.is_over.load(Ordering::SeqCst) {
            break;
        }
        let agreement = (number + turn * 7) % of.agreements;
        let url = format!("{address}/v1/attainment?agreement=a{agreement}&from=2026-03-01&until=2026-04-01");
        let answer = client.get(&url).send().await.with_context(|| format!("cannot ask {url}"))?;
        let status = answer.status();
        let body = answer.text().await?;
        times.push(asked.elapsed());
        ensure!(status.is_success(), "{url}: {status} {body}");
    }
    told.took_us.fetch_max(began.elapsed().as_micros() as u64, Ordering::SeqCst);
    told.times.lock().map_err(|_| anyhow!("a reader panicked"))?.extend(times);
    Ok(())
}

/// The program, which ends with this value.
struct Running {
    process: Child,
    /// Where it answers over HTTP.
    address: String,
}

impl Running {
    fn start(program: &Path, broker: &Broker, definitions: &Path, lake: &Path, group: &str) -> Result<Running> {
        let mut process = Command::new(program)
            .args(["run", "--listen", "127.0.0.1:0", "--group", group, "--bootstrap", &broker.bootstrap()])
            .arg("--definitions")
            .arg(definitions)
            .arg("--lake")
            .arg(lake)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut lines = BufReader::new(process.stdout.take().context("its output")?).lines();
        let address = lines.find_map(|line| line.ok()?.split_once("answering on ").map(|(_, at)| at.to_owned()));
        // It is ended also when it did not say where it answers.
        let running = Running { process, address: address.unwrap_or_default() };
        ensure!(!running.address.is_empty(), "{} ended before it answered", program.display());
        // Nobody else reads what it says, which must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(running)
    }

    /// Waits until it has read so many events; says how many it read a second, from the first tenth on.
    async fn read(&self, events: u64) -> Result<f64> {
        let client = Client::builder().no_proxy().build()?;
        let (began, mut since) = (Instant::now(), None);
        while began.elapsed() < PATIENCE {
            let metrics = client.get(format!("{}/metrics", self.address)).send().await?.text().await?;
            let read = metrics.lines().find_map(|line| line.strip_prefix("plimsoll_events_total{topic=\"checks\"} "));
            let read = read.map_or(Ok(0), str::parse::<u64>)?;
            if read >= events {
                let (first, at): (u64, Instant) =
                    since.context("it was read before it was looked at; take more events")?;
                return Ok((read - first) as f64 / at.elapsed().as_secs_f64());
            }
            if since.is_none() && read >= events / 10 {
                since = Some((read, Instant::now()));
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("{events} events were not read within {PATIENCE:?}")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The services of the workload, an agreement for each, and how its records are read.
fn definitions() -> String {
    let mut text = format!(
        "apiVersion: plimsoll/v1
kind: Source
metadata: {{id: probes}}
spec:
  topics: [{TOPIC}]
  kind: monitoring
  map:
    id: /uid
    time: /ts
    service: /svc
    check: /probe
    status: {{pointer: /state, values: {{OK: up, WARNING: degraded, CRITICAL: down}}}}
    latency_ms: /rtt_ms
"
    );
    for number in 0..SERVICES {
        let service = Workload::service(number);
        text += &format!(
            "---
apiVersion: plimsoll/v1
kind: Service
metadata: {{id: {service}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: a{number}}}
spec:
  type: ola
  services: [{service}]
  effective: {{from: 2026-03-01}}
  objectives:
    - {{id: month, indicator: {{signal: availability}}, target: {{at_least: 99.9 %}}, window: {{calendar: month}}}}
    - {{id: day, indicator: {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: day}}}}
"
        );
    }
    text
}
