//! `plimsoll notify`: receivers are told of what stands in tables that other processes keep.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_lake::Lake;
use plimsoll_query::{Limits, QueryService};

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::Connection;
use crate::definitions::counted;
use crate::shutdown::Shutdown;
use crate::threads::Threads;
use crate::{doors, notifying};

/// Tell receivers.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    #[command(flatten)]
    notifying: notifying::Arguments,
    #[command(flatten)]
    connection: Connection,
    /// Where to listen for /metrics and /healthz
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7375")]
    listen: SocketAddr,
    #[command(flatten)]
    access: doors::access::Arguments,
}

/// Tells them until it is told to end.
pub fn run(arguments: Arguments, threads: &Threads) -> Result<ExitCode> {
    let shutdown = Shutdown::on_signals(threads.waiting.handle())?;
    threads.waiting.block_on(async {
        let kafka = arguments.connection.settings("plimsoll")?;
        let notifier = arguments.notifying.receivers(&kafka, None)?;
        if notifier.receivers_count() == 0 {
            bail!("nobody is to be told; name a file of receivers with --receivers");
        }
        let lake = Lake::open_existing(&arguments.lake).await?;
        let service = Arc::new(QueryService::open(lake.clone(), Limits::default(), threads.questions()).await?);
        let listener = doors::listen(arguments.listen, "--listen").await?;
        let access = arguments.access.read()?;
        println!(
            "telling {}, answering on {}://{}",
            counted(notifier.receivers_count(), "receiver"),
            access.scheme(),
            listener.local_addr()?
        );
        let numbers = notifier.numbers();
        let metrics = doors::open_metrics(listener, move || numbers.metrics(), access, shutdown.clone());
        tokio::join!(metrics, notifier.tell(service, lake, shutdown));
        Ok(ExitCode::SUCCESS)
    })
}
