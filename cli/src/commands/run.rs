//! `plimsoll run`: all roles in one process.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_aggregate::collector::{Losses, RecordedEpoch};
use plimsoll_aggregate::rebuild::StoredEpochs;
use plimsoll_aggregate::worker::EPOCH_ROWS_MAX;
use plimsoll_aggregate::{Live, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::kafka::KafkaSettings;
use plimsoll_lake::{GROUP_LENGTH_MAX, Lake, is_group, of_lane_group};
use plimsoll_query::{Limits, QueryService, Stored as StoredEvents};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::parse_duration;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::{AttainmentRow, Table};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use tokio::runtime::Handle;

use crate::commands::DEFAULT_LAKE;
use crate::commands::maintain::{interval, kept};
use crate::commands::rebuild::{epochs_of_shard, stored_epochs};
use crate::doors::definitions::Accepts;
use crate::in_force::{InForce, fits_the_past};
use crate::pipeline::{Pipeline, Settings, Stored};
use crate::shutdown::Shutdown;
use crate::threads::Threads;
use crate::{definitions, doors, maintenance, notifying};

/// Consume, keep the tables, answer.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// The folder with the tables, or s3://BUCKET/PREFIX; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    #[command(flatten)]
    connection: Connection,
    /// The consumer group, and the name under which epochs are kept
    #[arg(long, value_name = "NAME", default_value = "plimsoll", value_parser = group)]
    group: String,
    #[command(flatten)]
    keeping: Keeping,
    /// Where to listen for HTTP
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    #[command(flatten)]
    access: doors::access::Arguments,
    #[command(flatten)]
    metrics: doors::scrape::Arguments,
    #[command(flatten)]
    postgres: doors::postgres::Arguments,
    #[command(flatten)]
    flight: doors::flight::Arguments,
    #[command(flatten)]
    limits: doors::limits::Arguments,
    #[command(flatten)]
    accepting: Accepting,
    #[command(flatten)]
    notifying: notifying::Arguments,
    /// End as soon as every partition has been read to its end
    #[arg(long)]
    until_caught_up: bool,
}

/// How tables are kept.
#[derive(clap::Args)]
#[group(skip)]
pub struct Keeping {
    /// How many lanes share the state
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    lanes: u16,
    /// How long records wait for company before they are committed
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    epoch_interval: Duration,
    /// How often provisional results are written; changes of verdict, and what is warned of, are written at once
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    publish_interval: Duration,
    /// Every how many epochs the state is saved; a restart replays the epochs since
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    snapshot_every: i64,
    /// How far behind the watermark results may be restated, besides what is open; older ones stand and are forgotten
    #[arg(long, value_name = "DURATION", default_value = "800d", value_parser = duration)]
    remember: Duration,
    /// How long results of checks that came too late for the state wait until stored events are taken again for them
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = duration)]
    pub apply_late_after: Duration,
    /// How often small files of the tables are merged
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = interval)]
    pub maintain_every: Duration,
    /// How long files stay after they were merged into others, 1h to 24h: longer than any question takes
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = kept)]
    pub keep_files: Duration,
}

impl Keeping {
    /// How the workers of a group work.
    pub fn worker(&self, group: &str) -> WorkerSettings {
        WorkerSettings {
            group: group.to_owned(),
            shard: Shard::WHOLE,
            lanes: self.lanes.into(),
            epoch_interval: self.epoch_interval,
            epoch_rows_max: EPOCH_ROWS_MAX,
            publish_interval: self.publish_interval,
            snapshot_every: self.snapshot_every,
            remembered: self.remember,
            clock: Arc::new(|| Instant::from(chrono::Utc::now())),
        }
    }
}

/// Whose changed definitions are taken.
#[derive(clap::Args)]
#[group(skip)]
pub struct Accepting {
    /// Take changed definitions over HTTP from whoever reaches --listen. Otherwise they are taken only where that is an
    /// address of this machine alone, such as 127.0.0.1; files that change in the folder are always taken
    #[arg(long)]
    accept_definitions: bool,
}

impl Accepting {
    /// From whom they are taken, where the doors listen at this address.
    pub fn at(&self, listen: SocketAddr) -> Accepts {
        match (self.accept_definitions, listen.ip().is_loopback()) {
            (true, _) => Accepts::Everything,
            (false, true) => Accepts::FromHere,
            (false, false) => Accepts::Nothing,
        }
    }
}

/// How to reach Kafka.
#[derive(clap::Args)]
#[group(skip)]
pub struct Connection {
    /// One or more brokers, with commas between them
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", env = "PLIMSOLL_BOOTSTRAP", value_parser = brokers)]
    pub bootstrap: String,
    /// A property of the Kafka client, e.g. security.protocol=SASL_SSL; may be given many times
    #[arg(long = "property", short = 'X', value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// A file of such properties, one NAME=VALUE a line, for passwords that no process list may show; # begins a
    /// comment
    #[arg(long, value_name = "FILE")]
    properties_file: Option<PathBuf>,
}

impl Connection {
    /// What the client of a consumer group is told.
    ///
    /// # Errors
    /// When the file of properties cannot be read, or names one that there is not.
    pub fn settings(&self, group: &str) -> Result<KafkaSettings> {
        let mut settings = KafkaSettings::new(&self.bootstrap, group);
        if let Some(path) = &self.properties_file {
            settings.properties = properties_of(path)?;
        }
        settings.properties.extend(self.properties.iter().cloned());
        Ok(settings)
    }
}

/// A property that Kafka's client knows. What is wrong with its value is told when the client is made, with what to do
/// about it.
pub fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
    match ClientConfig::new().set(&name, &value).create_native_config() {
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, reason, ..)) => Err(reason),
        _ => Ok((name, value)),
    }
}

/// `host:port` of one or more brokers.
fn brokers(text: &str) -> Result<String, String> {
    // Without a port Kafka's client takes its own.
    let is_broker = |broker: &str| match broker.trim().rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => !broker.trim().is_empty(),
    };
    if text.split(',').all(is_broker) {
        Ok(text.to_owned())
    } else {
        Err("expected HOST:PORT, e.g. localhost:9092; several with commas between them".to_owned())
    }
}

/// The name of a lane group.
pub fn group(text: &str) -> Result<String, String> {
    match is_group(text) {
        false => Err(format!("expected 1 to {GROUP_LENGTH_MAX} letters, digits, - and _")),
        true if of_lane_group(text).2 > 1 => {
            Err("a shard is named so; name the group that its shards share".to_owned())
        }
        true => Ok(text.to_owned()),
    }
}

/// The properties of a file, as Kafka's own tools read them.
pub fn properties_of(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let told = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    told.map(|(line, number)| property(line).map_err(|expected| anyhow!("{}:{number}: {expected}", path.display())))
        .collect()
}

/// A duration as definitions write it: `500ms`, `1m 30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let micros = parse_duration(text).ok_or("expected a duration such as 500ms, 10s or 1m 30s, at most 36500d")?;
    u64::try_from(micros.0)
        .map(Duration::from_micros)
        .map_err(|_| "expected a duration that is not negative".to_owned())
}

/// Runs until it is told to end.
pub fn run(arguments: Arguments, threads: &Threads) -> Result<ExitCode> {
    let live = Arc::new(Live::showing(arguments.metrics.shown()));
    let in_force = InForce::of_folder(&arguments.definitions)?;
    let topics = in_force.now().1.topics().count();
    let runtime = &threads.waiting;
    let shutdown = Shutdown::on_signals(runtime.handle())?;
    let lake = runtime.block_on(Lake::open(&arguments.lake))?;
    let worker = live.clone();
    let fits = fits_the_past(&lake, runtime.handle(), move || vec![worker.clone()]);
    let in_force = Arc::new(in_force.that_fit(fits)?);
    let listener = runtime.block_on(doors::listen(arguments.listen, "--listen"))?;
    let service =
        Arc::new(runtime.block_on(QueryService::open(lake.clone(), arguments.limits.limits(), threads.questions()))?);
    let access = arguments.access.read()?;
    let postgres = runtime.block_on(arguments.postgres.door(access.clone()))?;
    let flight = runtime.block_on(arguments.flight.door(access.clone()))?;
    let kafka = arguments.connection.settings(&arguments.group)?;
    let address = format!("{}://{}", access.scheme(), listener.local_addr()?);
    let notifier = arguments.notifying.receivers(&kafka, Some(address))?;
    let numbers = notifier.numbers();
    let worker = arguments.keeping.worker(&arguments.group);
    let stored = Tables { lake: lake.clone(), service: service.clone(), waiting: runtime.handle().clone() };
    let until_caught_up = arguments.until_caught_up;
    let definitions = in_force.clone();
    let deferred_wait_max = arguments.keeping.apply_late_after;
    let stored = Box::new(stored);
    let settings = Settings { kafka, worker, definitions, lake, stored, until_caught_up, deferred_wait_max };
    let (tables, told) = (settings.lake.clone(), settings.lake.clone());
    let Keeping { maintain_every, keep_files, .. } = arguments.keeping;
    runtime.spawn(maintenance::keep_small(tables.clone(), maintain_every, keep_files, shutdown.clone()));
    let pipeline = Pipeline::start(settings, live.clone(), shutdown.clone(), runtime.handle())?;
    println!(
        "reading {} from {}, answering on {}://{}",
        definitions::counted(topics, "topic"),
        arguments.connection.bootstrap,
        access.scheme(),
        listener.local_addr()?
    );
    let source = pipeline.source();
    in_force.watch(shutdown.clone())?;
    let asked = live.clone();
    let more =
        doors::of_keepers(in_force.clone(), service.clone(), arguments.accepting.at(arguments.listen), move || {
            vec![asked.clone()]
        });
    let metrics = move || {
        let pipeline = doors::pipeline_metrics(&live, &source.metrics(), chrono::Utc::now().into());
        let more = [doors::definitions_metrics(&in_force), doors::lake_metrics(&tables), numbers.metrics()];
        std::future::ready(pipeline + &more.concat())
    };
    let readiness = Arc::new(|| Ok(()));
    let notifying = runtime.spawn(notifier.tell(service.clone(), told, shutdown.clone()));
    let postgres = runtime.spawn(doors::postgres::open(postgres, service.clone(), shutdown.clone()));
    let flight = runtime.spawn(doors::flight::open(flight, service.clone(), shutdown.clone()));
    let answering = runtime.spawn(doors::open(listener, service, readiness, metrics, more, access, shutdown.clone()));
    let done = pipeline.join();
    shutdown.request();
    runtime.block_on(answering)?;
    runtime.block_on(postgres)?;
    runtime.block_on(notifying)?;
    runtime.block_on(flight)?;
    let progress = done?;
    println!("committed epoch {}; the next start goes on from there", progress.epoch);
    Ok(ExitCode::SUCCESS)
}

/// The tables, and where to wait for their answers.
pub struct Tables {
    /// The lake.
    pub lake: Lake,
    /// Answers what is small.
    pub service: Arc<QueryService>,
    /// Where to wait.
    pub waiting: Handle,
}

impl Stored for Tables {
    /// Only `/metrics` starts from them: the tables are kept all the same.
    fn newest(&self) -> Vec<AttainmentRow> {
        self.waiting.block_on(self.service.newest_attainment()).unwrap_or_else(|error| {
            eprintln!("warning: the newest results cannot be read: {error}; /metrics shows each once it changes");
            Vec::new()
        })
    }

    fn events(&self, before: HashMap<PartitionId, i64>, take: &mut dyn FnMut(&EventBatch)) -> Result<()> {
        let service = self.without_limits()?;
        let which = StoredEvents::Before(before);
        for day in self.waiting.block_on(service.event_days())? {
            for events in self.waiting.block_on(service.events_of(&day, &which))? {
                take(&events);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        for table in [Table::Events, Table::DeadLetters] {
            let files = self.waiting.block_on(self.lake.files(table))?;
            self.waiting.block_on(self.lake.check_bytes(table, &files.files))?;
        }
        Ok(())
    }

    fn epochs(&self, shard: Shard, epochs: &[&RecordedEpoch], losses: &Losses) -> Result<StoredEpochs> {
        let Some((first, last)) = epochs.first().zip(epochs.last()) else { return Ok(StoredEpochs::new()) };
        let service = self.without_limits()?;
        self.waiting.block_on(async {
            match shard.is_whole() {
                // The rows of a group that is alone tell their epochs.
                true => stored_epochs(&service, first.epoch, last.epoch).await,
                false => epochs_of_shard(&service, epochs, losses).await,
            }
        })
    }
}

impl Tables {
    /// For questions whose answer is an epoch, or all of history.
    fn without_limits(&self) -> Result<QueryService> {
        let limits = Limits { rows_max: usize::MAX, time_max: Duration::from_hours(24), ..Limits::default() };
        Ok(self.waiting.block_on(self.service.with_limits(limits))?)
    }
}
