//! `plimsoll ingest`: reads topics, and passes on what was read to the processes that aggregate.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use plimsoll_aggregate::metrics::{family, labelled};
use plimsoll_ingest::exchange::{ExchangeWriter, exchange_topic};
use plimsoll_ingest::kafka::{KafkaSource, QUEUE_BYTES_MAX};
use plimsoll_lake::Lake;

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::{Connection, group};
use crate::definitions::counted;
use crate::doors;
use crate::in_force::{InForce, fits_the_past};
use crate::pipeline::sources;
use crate::roles::{Passing, fits_shards, make_topics, open, starts};
use crate::shutdown::Shutdown;
use crate::threads::Threads;

/// Read topics for the processes that aggregate.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions, which is the same for all roles
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// The folder with the tables, which say where to begin, or s3://BUCKET/PREFIX; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    #[command(flatten)]
    connection: Connection,
    /// The name that topics, consumer groups and lane groups begin with, which is the same for all roles
    #[arg(long, value_name = "NAME", default_value = "plimsoll", value_parser = group)]
    group: String,
    /// Where to listen for HTTP: /metrics and /healthz
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7374")]
    listen: SocketAddr,
    #[command(flatten)]
    access: doors::access::Arguments,
}

/// Whoever reads and writes at present.
type Present = Arc<Mutex<Option<(Arc<KafkaSource>, Arc<ExchangeWriter>)>>>;

/// Passes on until it is told to end.
pub fn run(arguments: Arguments, threads: &Threads) -> Result<ExitCode> {
    let in_force = InForce::of_folder(&arguments.definitions)?;
    let runtime = threads.waiting.handle();
    let shutdown = Shutdown::on_signals(runtime)?;
    let lake = runtime.block_on(Lake::open(&arguments.lake))?;
    // Who is not to read here finds it out before topics are made.
    let mut began = HashMap::new();
    starts(&lake, &arguments.group, &mut began, runtime)?;
    let in_force = in_force.that_fit(fits_shards(&lake, runtime))?;
    let in_force = Arc::new(in_force.that_fit(fits_the_past(&lake, runtime, Vec::new))?);
    let listener = runtime.block_on(doors::listen(arguments.listen, "--listen"))?;
    let kafka = arguments.connection.settings(&arguments.group)?;
    let access = arguments.access.read()?;
    println!(
        "passing {} on from {} to {}, metrics on {}://{}",
        counted(in_force.now().1.topics().count(), "topic"),
        kafka.bootstrap,
        exchange_topic(&arguments.group),
        access.scheme(),
        listener.local_addr()?
    );
    if !make_topics(&kafka, None, runtime, &shutdown)? {
        return Ok(ExitCode::SUCCESS);
    }
    in_force.watch(shutdown.clone())?;
    let present = Present::default();
    let (scraped, standing) = (present.clone(), in_force.clone());
    let metrics = move || metrics_of(&scraped) + &doors::definitions_metrics(&standing);
    let answering = runtime.spawn(doors::open_metrics(listener, metrics, access, shutdown.clone()));
    let mut done = Ok(true);
    while !shutdown.is_requested() && done.is_ok() {
        let (number, definitions) = in_force.now();
        let sources = sources(&definitions);
        let is_to_end = || shutdown.is_requested() || in_force.number() != number;
        done = starts(&lake, &arguments.group, &mut began, runtime).and_then(|starts| {
            let (source, writer) = open(&kafka, &sources, starts.clone())?;
            let (source, writer) = (Arc::new(source), Arc::new(writer));
            *present.lock().unwrap_or_else(PoisonError::into_inner) = Some((source.clone(), writer.clone()));
            let passed = Passing::new(&kafka, &sources, &lake, runtime, (&source, &writer), &starts).run(is_to_end);
            // It leaves the group before the next one joins.
            *present.lock().unwrap_or_else(PoisonError::into_inner) = None;
            passed
        });
    }
    shutdown.request();
    runtime.block_on(answering)?;
    if done? {
        println!("all that was read is in the exchange");
    }
    Ok(ExitCode::SUCCESS)
}

fn metrics_of(present: &Present) -> String {
    let present = present.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some((source, writer)) = present else { return String::new() };
    let consumer = source.metrics();
    let mut text = doors::kafka_metrics(&consumer);
    for (name, help, bytes) in [
        ("plimsoll_queue_bytes", "Payload bytes of deliveries that wait to be passed on.", consumer.queue_bytes),
        ("plimsoll_queue_limit_bytes", "How many may wait before the consumer waits, too.", QUEUE_BYTES_MAX),
    ] {
        family(&mut text, name, "gauge", help);
        labelled(&mut text, name, &[("queue", "deliveries")], bytes);
    }
    let (messages_count, bytes) = writer.counts();
    for (name, kind, help, count) in [
        ("plimsoll_exchange_sent_messages_total", "counter", "Messages that are in the exchange.", messages_count),
        (
            "plimsoll_exchange_sent_bytes_total",
            "counter",
            "Bytes of these messages, before they are compressed.",
            bytes,
        ),
        ("plimsoll_exchange_waiting_messages", "gauge", "Messages that wait for the broker.", writer.waiting() as u64),
    ] {
        family(&mut text, name, kind, help);
        labelled(&mut text, name, &[], count);
    }
    text
}
