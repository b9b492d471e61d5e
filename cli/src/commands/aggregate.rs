//! `plimsoll aggregate`: keeps shards of the tables, from what `plimsoll ingest` passes on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use plimsoll_aggregate::shards::{SHARDS_MIN, refuse_others};
use plimsoll_lake::{Lake, SHARDS_MAX};
use plimsoll_query::QueryService;

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::{Accepting, Connection, Keeping, Tables, group};
use crate::doors;
use crate::in_force::{InForce, fits_the_past};
use crate::keeper::{Keeper, Kept, Settings};
use crate::roles::{fits_shards, make_topics};
use crate::shutdown::Shutdown;
use crate::threads::Threads;

/// How many shards there are unless that is told at the first start.
const SHARDS_DEFAULT: u32 = 4;

/// Keep shards of the tables.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions, which is the same for all roles
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// The folder with the tables, or s3://BUCKET/PREFIX; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    #[command(flatten)]
    connection: Connection,
    /// The name that topics, consumer groups and lane groups begin with, which is the same for all roles
    #[arg(long, value_name = "NAME", default_value = "plimsoll", value_parser = group)]
    group: String,
    /// Into how many shards the work is cut, fixed by the first start; more processes than these have nothing to do.
    /// Default: as it was fixed, or 4
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(SHARDS_MIN)..=i64::from(SHARDS_MAX)))]
    shards: Option<u32>,
    #[command(flatten)]
    keeping: Keeping,
    /// Where to listen for HTTP
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    #[command(flatten)]
    access: doors::access::Arguments,
    #[command(flatten)]
    flight: doors::flight::Arguments,
    #[command(flatten)]
    limits: doors::limits::Arguments,
    #[command(flatten)]
    metrics: doors::scrape::Arguments,
    #[command(flatten)]
    accepting: Accepting,
}

/// Keeps shards until it is told to end.
pub fn run(arguments: Arguments, threads: &Threads) -> Result<ExitCode> {
    let in_force = InForce::of_folder(&arguments.definitions)?;
    let access = arguments.access.read()?;
    let runtime = &threads.waiting;
    let shutdown = Shutdown::on_signals(runtime.handle())?;
    let lake = runtime.block_on(Lake::open(&arguments.lake))?;
    // It is claimed once a shard is kept: a start that fails before leaves it to anybody.
    let claimed = runtime.block_on(lake.claimed())?;
    let fixed = claimed.as_ref().map(|claim| claim.shards).filter(|shards| *shards >= SHARDS_MIN);
    let shards = arguments.shards.or(fixed).unwrap_or(SHARDS_DEFAULT);
    claimed.map_or(Ok(()), |claimed| refuse_others(claimed, &arguments.group, shards))?;
    let kept = Kept::default();
    let (workers, asked) = (kept.clone(), kept.clone());
    let in_force = in_force.that_fit(fits_shards(&lake, runtime.handle()))?;
    let fits = fits_the_past(&lake, runtime.handle(), move || workers.lives());
    let in_force = Arc::new(in_force.that_fit(fits)?);
    let listener = runtime.block_on(doors::listen(arguments.listen, "--listen"))?;
    let service =
        Arc::new(runtime.block_on(QueryService::open(lake.clone(), arguments.limits.limits(), threads.questions()))?);
    let flight = runtime.block_on(arguments.flight.door(access.clone()))?;
    let kafka = arguments.connection.settings(&arguments.group)?;
    let worker = arguments.keeping.worker(&arguments.group);
    println!(
        "keeping shards of {shards} of group {} from {}, answering on {}://{}",
        arguments.group,
        kafka.bootstrap,
        access.scheme(),
        listener.local_addr()?
    );
    let stored = Tables { lake: lake.clone(), service: service.clone(), waiting: runtime.handle().clone() };
    if !make_topics(&kafka, Some(shards), runtime.handle(), &shutdown)? {
        return Ok(ExitCode::SUCCESS);
    }
    in_force.watch(shutdown.clone())?;
    let definitions = in_force.clone();
    let Keeping { apply_late_after: deferred_wait_max, maintain_every, keep_files, .. } = arguments.keeping;
    let tables = lake.clone();
    let settings = Settings {
        kafka,
        worker,
        shards,
        definitions,
        lake,
        stored,
        runtime: runtime.handle().clone(),
        deferred_wait_max,
        upkeep: (maintain_every, keep_files),
        shown: arguments.metrics.shown(),
    };
    let keeper = Keeper::new(settings, kept);
    let more =
        doors::of_keepers(in_force.clone(), service.clone(), arguments.accepting.at(arguments.listen), move || {
            asked.lives()
        });
    let scraped = keeper.clone();
    let metrics = move || {
        let kept = scraped.metrics(chrono::Utc::now().into());
        std::future::ready(kept + &doors::definitions_metrics(&in_force) + &doors::lake_metrics(&tables))
    };
    let readiness = Arc::new(|| Ok(()));
    let flight = runtime.spawn(doors::flight::open(flight, service.clone(), shutdown.clone()));
    let answering = runtime.spawn(doors::open(listener, service, readiness, metrics, more, access, shutdown.clone()));
    let done = keeper.run(&shutdown);
    shutdown.request();
    runtime.block_on(answering)?;
    runtime.block_on(flight)?;
    done?;
    println!("all shards that were kept here are saved");
    Ok(ExitCode::SUCCESS)
}
