//! The doors of a process: the query service's over HTTP, Postgres' wire and Arrow Flight SQL, and `/metrics` of everything
//! that runs in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use plimsoll_aggregate::metrics::{family, labelled, objectives, render};
use plimsoll_aggregate::worker::{EPOCH_BYTES_MAX, EPOCH_ROWS_MAX};
use plimsoll_aggregate::{Live, ORDERS_MAX, Shown};
use plimsoll_ingest::kafka::{KafkaMetrics, QUEUE_BYTES_MAX};
use plimsoll_lake::Lake;
use plimsoll_query::{More, Patience, Problem, QueryError, QueryService, Readiness, Tls, Users, guard, router, serve};
use plimsoll_schemas::Instant;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::commands::instant;
use crate::doors::access::Access;
use crate::doors::definitions::Accepts;
use crate::in_force::InForce;
use crate::shutdown::Shutdown;

pub mod access;
mod audit;
mod backtest;
pub mod definitions;
pub mod flight;
pub mod gate;
pub mod limits;
pub mod postgres;
pub mod scrape;

/// How long one may wait for another to end what takes long.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Takes the address that an option gives, or says who else may have it.
///
/// # Errors
/// When the port is taken, or the address is not of this machine.
pub async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; give a free one with {option}, e.g. {option} 127.0.0.1:0")
    })
}

/// A door for those who do not come over HTTP, that is about to open.
pub struct Door {
    listener: TcpListener,
    users: Option<Arc<Users>>,
    tls: Option<Tls>,
}

impl Door {
    /// Takes the address that an option gives, and warns of what others can read on its way.
    ///
    /// # Errors
    /// When the port is taken.
    async fn at(address: SocketAddr, option: &str, what: &str, access: Access) -> Result<Door> {
        let Access { users, tls, .. } = access;
        let listener = listen(address, option).await?;
        if tls.is_none() && !address.ip().is_loopback() {
            eprintln!(
                "warning: {what} on {address} can be read by others on their way; give --tls-certificate and --tls-key"
            );
        }
        Ok(Door { listener, users, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }
}

/// Serves those who may ask until the shutdown. `metrics` gives what else than the query service's own counts
/// belongs into `/metrics`, and `more` are doors besides the service's.
pub async fn open<Text: Future<Output = String> + Send>(
    listener: TcpListener,
    service: Arc<QueryService>,
    readiness: Readiness,
    metrics: impl Fn() -> Text + Clone + Send + Sync + 'static,
    more: More,
    access: Access,
    shutdown: Shutdown,
) {
    let (counted, audited) = (service.clone(), audit::door(service.clone()));
    let patience = Patience::with_answers(service.time_max());
    let scraping = scrape::door(move || {
        let counted = counted.clone();
        let told = metrics();
        async move { told.await + &counted.metrics() }
    });
    let doors = router(service, readiness, scraping.and(audited).and(more));
    serve_those_who_may(listener, doors, patience, access, shutdown).await;
}

/// The doors of a process that keeps tables, over which there is a service: to the definitions that are in force, and to the
/// state that workers keep.
pub fn of_keepers(
    in_force: Arc<InForce>,
    service: Arc<QueryService>,
    accepts: Accepts,
    lives: impl Fn() -> Vec<Arc<Live>> + Send + Sync + 'static,
) -> More {
    let backtests = backtest::door(in_force.clone(), service);
    gate::door(in_force.clone(), lives).and(backtests).and(definitions::door(in_force, accepts))
}

/// Lets one after the other do what takes long.
struct Turns {
    what: &'static str,
    turn: Semaphore,
}

impl Turns {
    fn of(what: &'static str) -> Turns {
        Turns { what, turn: Semaphore::new(1) }
    }

    /// Waits for its turn.
    async fn take(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match timeout(TURN_WAIT_MAX, self.turn.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => {
                let detail = format!("another {} is under way; ask again when it has ended", self.what);
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
            }
        }
    }
}

/// An instant that a parameter tells.
fn time(name: &str, text: &str) -> Result<Instant, Problem> {
    instant(text).map_err(|expected| invalid(format!("found {name} {text:?}, {expected}")))
}

/// What is told of an error: a question's own kind, or that it is ours.
fn failed(error: anyhow::Error) -> Problem {
    match error.downcast::<QueryError>() {
        Ok(error) => error.into(),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("{error:#}")),
    }
}

/// Refuses a body that is called something else.
fn check_media_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Problem> {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    if allowed.contains(&found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let are = if allowed.len() == 1 { "is" } else { "are" };
    let detail = format!("found content type {found}, allowed {are} {}", allowed.join(", "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail))
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid", detail)
}

/// Serves `/metrics` and `/healthz` alone, until the shutdown: the doors of a process that has no tables.
pub async fn open_metrics(
    listener: TcpListener,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    access: Access,
    shutdown: Shutdown,
) {
    let scraping = scrape::door(move || std::future::ready(metrics())).doors;
    let router = scraping.route("/healthz", get(async || "ok\n")).method_not_allowed_fallback(|| async {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "allowed is GET")
    });
    serve_those_who_may(listener, router, Patience::default(), access, shutdown).await;
}

async fn serve_those_who_may(
    listener: TcpListener,
    doors: Router,
    patience: Patience,
    access: Access,
    shutdown: Shutdown,
) {
    let doors = match access.users.clone() {
        Some(users) => guard(doors, users),
        None => doors,
    };
    let ends = async move { shutdown.requested().await };
    tokio::select! {
        () = serve(listener, doors, access.tls.clone(), patience, ends) => {}
        () = access.keep_up() => {}
    }
}

/// What the tables say of the objectives, in the Prometheus text format. When they cannot be read, the families are not
/// there, and the service counts an error.
pub async fn table_metrics(service: &QueryService, shown: Shown, now: Instant) -> String {
    let (newest, open) = (service.newest_attainment().await, service.clocks_due().await);
    match (newest, open) {
        (Ok(newest), Ok(open)) => objectives(&Live::of_tables(&newest, &open, shown, now), now),
        _ => String::new(),
    }
}

/// The worker's numbers and the consumer's, in the Prometheus text format.
pub fn pipeline_metrics(live: &Live, metrics: &KafkaMetrics, now: Instant) -> String {
    let mut text = render(live, now) + &kafka_metrics(metrics);
    queues(&mut text, live, metrics);
    text
}

/// The consumer's numbers in the Prometheus text format.
pub fn kafka_metrics(metrics: &KafkaMetrics) -> String {
    let mut text = String::new();
    family(&mut text, "plimsoll_kafka_records_total", "counter", "Records decoded, dead letters included.");
    labelled(&mut text, "plimsoll_kafka_records_total", &[("role", "ingest")], metrics.records_count);
    family(
        &mut text,
        "plimsoll_kafka_lag_records",
        "gauge",
        "Records between the position and the end of the partition.",
    );
    for (id, lag) in &metrics.lag_count {
        let labels = [("partition", &*id.partition.to_string()), ("topic", &*id.topic)];
        labelled(&mut text, "plimsoll_kafka_lag_records", &labels, lag);
    }
    text
}

/// What waits on its way, and how much of it may: the consumer's queue, the next epoch, and the writer.
fn queues(text: &mut String, live: &Live, metrics: &KafkaMetrics) {
    let pipeline = live.pipeline();
    let (records, bytes) = pipeline.waiting;
    let mut gauge = |name: &str, help: &str, samples: &[(&str, usize)]| {
        family(text, name, "gauge", help);
        for (queue, value) in samples {
            labelled(text, name, &[("queue", queue)], value);
        }
    };
    gauge(
        "plimsoll_queue_bytes",
        "Bytes that wait: payload of deliveries between consumer and worker, memory of the next epoch.",
        &[("deliveries", metrics.queue_bytes), ("epoch", bytes)],
    );
    gauge(
        "plimsoll_queue_limit_bytes",
        "How many may wait before the consumer waits, too.",
        &[("deliveries", QUEUE_BYTES_MAX), ("epoch", EPOCH_BYTES_MAX)],
    );
    gauge(
        "plimsoll_queue_depth",
        "Deliveries between consumer and worker, records of the next epoch, and epochs with the writer.",
        &[("deliveries", metrics.queue_depth_count), ("epoch", records), ("writer", pipeline.writing)],
    );
    gauge(
        "plimsoll_queue_limit",
        "How many there may be before the consumer waits, too.",
        &[("epoch", EPOCH_ROWS_MAX), ("writer", ORDERS_MAX)],
    );
}

/// Whether what the folder of definitions holds is in force, and since when it changed, in the Prometheus text format.
pub fn definitions_metrics(in_force: &InForce) -> String {
    let (since, problems) = in_force.standing();
    let mut text = String::new();
    let successful = "plimsoll_definitions_last_reload_successful";
    family(&mut text, successful, "gauge", "0 while the folder holds definitions that were refused.");
    labelled(&mut text, successful, &[], u8::from(problems.is_empty()));
    let changed = "plimsoll_definitions_last_reload_success_timestamp_seconds";
    family(&mut text, changed, "gauge", "Since when the definitions in force are so.");
    labelled(&mut text, changed, &[], since.0.div_euclid(1_000_000));
    text
}

/// How many files each table consists of, and how it was to write them, in the Prometheus text format.
pub fn lake_metrics(lake: &Lake) -> String {
    let (mut text, name) = (String::new(), "plimsoll_table_files");
    family(&mut text, name, "gauge", "Files that the table consists of.");
    for (table, count) in lake.file_counts() {
        labelled(&mut text, name, &[("table", table.name())], count);
    }
    let damaged = "plimsoll_lake_damaged_files";
    family(&mut text, damaged, "gauge", "Files of tables that were missing or damaged when upkeep last looked.");
    labelled(&mut text, damaged, &[], lake.damaged_count());
    let conflicts = "plimsoll_lake_conflicts_total";
    family(&mut text, conflicts, "counter", "Commits that were made again because another writer was faster.");
    labelled(&mut text, conflicts, &[], lake.conflicts_count());
    let requests = "plimsoll_lake_requests_total";
    family(&mut text, requests, "counter", "Requests to the bucket, by how they ended; each new attempt counts.");
    for (outcome, count) in lake.request_counts() {
        labelled(&mut text, requests, &[("outcome", outcome)], count);
    }
    text
}
