//! `plimsoll demo`: a generated month through the real consumer, lanes, tables and doors.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result, anyhow, bail};
use chrono::{Months, NaiveDate, NaiveTime};
use plimsoll_aggregate::live::Pipeline as Counts;
use plimsoll_aggregate::worker::{EPOCH_ROWS_MAX, REMEMBERED};
use plimsoll_aggregate::{Live, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::kafka::KafkaSettings;
use plimsoll_lake::{KEPT_MAX, Lake};
use plimsoll_query::{Grant, More, QueryService, Users};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use tokio::net::TcpListener;

use crate::commands::month;
use crate::commands::run::Tables;
use crate::demo::broker::DemoBroker;
use crate::demo::generator::Generator;
use crate::demo::summary;
use crate::doors::access::Access;
use crate::doors::{Door, flight, limits, postgres};
use crate::in_force::InForce;
use crate::pipeline::{Pipeline, Settings};
use crate::shutdown::Shutdown;
use crate::threads::Threads;
use crate::{definitions, doors, maintenance};

/// Show everything at work.
#[derive(clap::Args)]
pub struct Arguments {
    /// The same seed gives the same numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The month to make up
    #[arg(long, value_name = "YYYY-MM", default_value = "2026-10", value_parser = month)]
    month: NaiveDate,
    /// The folder for definitions and tables; what an earlier demo left there is removed
    #[arg(long, value_name = "DIR", default_value = "plimsoll-demo")]
    folder: PathBuf,
    /// Where to listen for HTTP
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    #[command(flatten)]
    flight: flight::Arguments,
    #[command(flatten)]
    limits: limits::Arguments,
    /// End after the summary instead of staying up
    #[arg(long)]
    once: bool,
}

/// Marks a folder as one that a demo may remove.
const MARKER: &str = ".plimsoll-demo";

/// What is said in place of the summary: that of a part of the month would be taken for that of the whole.
const ENDED_EARLY: &str = "ended as asked, before the summary";

/// The name and the password under which its Postgres wire answers, from this machine alone: all that it has is made up.
const USER: &str = "demo";

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Runs the month, prints the summary and stays up.
pub fn run(arguments: Arguments, threads: &Threads) -> Result<ExitCode> {
    let started = Moment::now();
    let runtime = &threads.waiting;
    let shutdown = Shutdown::on_signals(runtime.handle())?;
    let listener = runtime.block_on(doors::listen(arguments.listen, "--listen"))?;
    let address = listener.local_addr()?;

    let (generator, found) = prepare(&arguments)?;
    let told = Teller::new();
    let broker = DemoBroker::start(&generator, |records| {
        told.tell(&format!("produced {records} records"));
        !shutdown.is_requested()
    })?;
    let Some(broker) = broker else {
        told.done(ENDED_EARLY);
        return Ok(ExitCode::SUCCESS);
    };
    told.done(&format!(
        "produced {} records into the broker of this process ({:.1} s)",
        broker.records,
        started.elapsed().as_secs_f64()
    ));

    let lake = runtime.block_on(Lake::open(&arguments.folder.join("lake").to_string_lossy()))?;
    let service =
        Arc::new(runtime.block_on(QueryService::open(lake.clone(), arguments.limits.limits(), threads.questions()))?);
    let end = end_of(arguments.month);
    let kafka = KafkaSettings::new(broker.bootstrap(), "demo");
    let stored = Tables { lake: lake.clone(), service: service.clone(), waiting: runtime.handle().clone() };
    let settings = Settings {
        kafka,
        worker: worker_settings(end),
        definitions: Arc::new(InForce::fixed(found)),
        lake,
        stored: Box::new(stored),
        until_caught_up: true,
        deferred_wait_max: Duration::MAX,
    };
    let tables = settings.lake.clone();
    let upkeep =
        maintenance::keep_small(settings.lake.clone(), maintenance::MAINTAIN_EVERY, KEPT_MAX, shutdown.clone());
    runtime.spawn(upkeep);
    let pipeline = Pipeline::start(settings, Arc::new(Live::default()), shutdown.clone(), runtime.handle())?;
    let live = pipeline.live.clone();
    let door = runtime.block_on(postgres_door())?;
    let postgres = door.address()?;
    let flight = runtime.block_on(arguments.flight.door(Access::default()))?;
    let answering =
        runtime.spawn(answer(listener, door, flight, service.clone(), (&pipeline, tables), end, shutdown.clone()));
    while !pipeline.is_finished() {
        std::thread::sleep(Duration::from_millis(50));
        told.tell(&progress(&live.pipeline(), broker.records));
    }
    pipeline.join()?;
    let counts = live.pipeline();
    told.done(&format!("{} ({:.1} s)", progress(&counts, broker.records), started.elapsed().as_secs_f64()));
    if shutdown.is_requested() {
        println!("{ENDED_EARLY}");
    } else {
        runtime.block_on(summary::print(&service, &mut std::io::stdout()))?;
        print_counts(&counts);
        if !arguments.once {
            print_addresses(address, postgres, &arguments.folder);
            runtime.block_on(shutdown.requested());
        }
    }
    shutdown.request();
    runtime.block_on(answering)?;
    Ok(ExitCode::SUCCESS)
}

/// A door for Postgres clients of this machine, at a free port.
async fn postgres_door() -> Result<Door> {
    let line = Users::with_password(USER, USER, Grant::default()).map_err(|wrong| anyhow!(wrong))?;
    let users = Users::parse(&line).map_err(|wrong| anyhow!(wrong))?;
    postgres::door_at((Ipv4Addr::LOCALHOST, 0).into(), Access::of(users)).await
}

/// Answers over HTTP, Postgres' wire and, where it is asked for, Arrow Flight SQL until the shutdown.
fn answer(
    listener: TcpListener,
    door: Door,
    flight: Option<Door>,
    service: Arc<QueryService>,
    (pipeline, tables): (&Pipeline, Lake),
    end: Instant,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let (live, source) = (pipeline.live.clone(), pipeline.source());
    let metrics = move || {
        let told = doors::pipeline_metrics(&live, &source.metrics(), end);
        std::future::ready(told + &doors::lake_metrics(&tables))
    };
    let (readiness, none, access) = (Arc::new(|| Ok(())), More::default(), Access::default());
    let postgres = postgres::open(Some(door), service.clone(), shutdown.clone());
    let flight = flight::open(flight, service.clone(), shutdown.clone());
    let http = doors::open(listener, service, readiness, metrics, none, access, shutdown);
    async move { _ = tokio::join!(http, postgres, flight) }
}

/// Makes the month up and writes its definitions.
fn prepare(arguments: &Arguments) -> Result<(Generator, Arc<Definitions>)> {
    let generator = Generator::new(arguments.seed, arguments.month);
    let texts = generator.definitions();
    write_folder(&arguments.folder, &texts)?;
    let found = match definitions::parse(&texts) {
        Ok(found) => Arc::new(found),
        Err(problems) => bail!("the generated definitions have problems, please report it: {}", problems[0]),
    };
    println!(
        "{} with {} under {}, seed {}",
        arguments.month.format("%B %Y"),
        definitions::counted(found.services.len(), "service"),
        definitions::counted(found.agreements.len(), "agreement"),
        arguments.seed
    );
    Ok((generator, found))
}

fn worker_settings(end: Instant) -> WorkerSettings {
    WorkerSettings {
        group: "demo".to_owned(),
        shard: Shard::WHOLE,
        lanes: 2,
        epoch_interval: Duration::from_millis(500),
        epoch_rows_max: EPOCH_ROWS_MAX,
        publish_interval: Duration::from_secs(60),
        snapshot_every: 100,
        remembered: REMEMBERED,
        clock: Arc::new(move || end),
    }
}

/// The last microsecond of the month: what the demo's clock shows throughout.
fn end_of(month: NaiveDate) -> Instant {
    let next = month.checked_add_months(Months::new(1)).unwrap_or(month);
    Instant(next.and_time(NaiveTime::MIN).and_utc().timestamp_micros() - 1)
}

/// Makes the folder anew, unless it is somebody else's.
fn write_folder(folder: &Path, texts: &[(String, String)]) -> Result<()> {
    if folder.exists() {
        let is_empty = folder.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        if !folder.join(MARKER).exists() && !is_empty {
            bail!("{} is there and was not made by a demo; give another --folder", folder.display());
        }
        let advice = "give another --folder, or remove it yourself";
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}, which an earlier demo made; {advice}", folder.display()))?;
    }
    let definitions = folder.join("definitions");
    let written = std::fs::create_dir_all(&definitions)
        .and_then(|()| {
            std::fs::write(folder.join(MARKER), "made by plimsoll demo, which removes it when it runs again\n")
        })
        .and_then(|()| texts.iter().try_for_each(|(name, text)| std::fs::write(definitions.join(name), text)));
    written.with_context(|| format!("cannot write to {}; give another --folder", folder.display()))
}

fn progress(counts: &Counts, of: usize) -> String {
    let events: u64 = counts.events.values().sum();
    let dead: u64 = counts.dead_letters.values().sum();
    let until = counts
        .watermark
        .map_or(String::new(), |watermark| format!(", up to {}", watermark.to_utc().format("%d %b %H:%M")));
    format!(
        "read {} of {of} records{until}, {} committed",
        events + dead + counts.duplicates,
        definitions::counted(counts.committed.0 as usize, "epoch")
    )
}

fn print_counts(counts: &Counts) {
    let topics: Vec<_> = counts.events.iter().map(|(topic, count)| format!("{topic} {count}")).collect();
    println!("\nEvents: {} accepted ({})", counts.events.values().sum::<u64>(), topics.join(", "));
    println!(
        "        {} sent twice and counted once, {} set aside (above)",
        counts.duplicates,
        counts.dead_letters.values().sum::<u64>()
    );
}

fn print_addresses(address: SocketAddr, postgres: SocketAddr, folder: &Path) {
    let (lake, definitions) = (folder.join("lake"), folder.join("definitions"));
    println!("\nStill up; Ctrl-C ends it. Try:");
    println!("  curl 'http://{address}/v1/attainment?verdict=breached&window_kind=month&limit=5'");
    println!("  curl http://{address}/metrics | grep error_budget");
    println!(
        "  curl http://{address}/v1/sql -d 'SELECT service, CAST(sum(duration_us) / 60000000 AS INT) AS minutes_down FROM outages GROUP BY service ORDER BY 2 DESC LIMIT 5'"
    );
    println!(
        "  psql postgresql://{USER}:{USER}@{postgres}/plimsoll -c 'SELECT service, count(*) AS breaches FROM breaches GROUP BY service ORDER BY 2 DESC LIMIT 5'"
    );
    println!(
        "  cargo run -- sql --lake {} \"SELECT verdict, count(*) FROM attainment GROUP BY verdict\"",
        lake.display()
    );
    println!("  cargo run -- check --definitions {}", definitions.display());
}

/// Tells progress on one line of a terminal; elsewhere only what is done.
struct Teller {
    is_terminal: bool,
    told_at: std::cell::Cell<Moment>,
}

impl Teller {
    fn new() -> Teller {
        Teller { is_terminal: std::io::stdout().is_terminal(), told_at: std::cell::Cell::new(Moment::now()) }
    }

    fn tell(&self, line: &str) {
        if self.told_at.get().elapsed() < TELL_EVERY {
            return;
        }
        self.told_at.set(Moment::now());
        if self.is_terminal {
            print!("\r\x1b[K{line}");
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    fn done(&self, line: &str) {
        println!("{}{line}", if self.is_terminal { "\r\x1b[K" } else { "" });
    }
}
