//! `plimsoll query`: the doors over tables that another process keeps.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use plimsoll_lake::Lake;
use plimsoll_query::{More, QueryService};
use plimsoll_schemas::Instant;

use crate::commands::{DEFAULT_LAKE, instant};
use crate::doors;
use crate::shutdown::Shutdown;
use crate::threads::Threads;

/// Answer over HTTP, Postgres' wire and Flight SQL.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    /// Answer everything as the tables were known then: RFC 3339 or a date in UTC. Default: as they are
    #[arg(long, value_name = "TIME", value_parser = instant)]
    known_at: Option<Instant>,
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
}

/// Serves until it is told to end.
pub fn run(arguments: Arguments, threads: &Threads) -> Result<ExitCode> {
    let shutdown = Shutdown::on_signals(threads.waiting.handle())?;
    threads.waiting.block_on(async {
        let lake = Lake::open_existing(&arguments.lake).await?;
        let service = QueryService::open(lake, arguments.limits.limits(), threads.questions()).await?;
        let known_at = arguments.known_at;
        let service = Arc::new(service.known_at(known_at));
        let listener = doors::listen(arguments.listen, "--listen").await?;
        let access = arguments.access.read()?;
        let postgres = arguments.postgres.door(access.clone()).await?;
        let flight = arguments.flight.door(access.clone()).await?;
        println!("answering on {}://{}", access.scheme(), listener.local_addr()?);
        let (asked, shown) = (service.clone(), arguments.metrics.shown());
        let metrics = move || {
            let service = asked.clone();
            let now = Instant::from(chrono::Utc::now());
            let now = known_at.map_or(now, |known_at| known_at.min(now));
            async move { doors::table_metrics(&service, shown, now).await }
        };
        let postgres = doors::postgres::open(postgres, service.clone(), shutdown.clone());
        let flight = doors::flight::open(flight, service.clone(), shutdown.clone());
        let http = doors::open(listener, service, Arc::new(|| Ok(())), metrics, More::default(), access, shutdown);
        tokio::join!(http, postgres, flight);
        Ok(ExitCode::SUCCESS)
    })
}
