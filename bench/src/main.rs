//! Plimsoll's speed, end to end, against a real broker on the same machine, beside the raw limit in the same run.
//!
//! What comes in: the size of workload W1. What goes out: one line for each way of reading it (the raw limit, the whole way
//! in one process, and the same with the exchange between the roles), with events a second,
//! processor time for each event, peak memory, and the share of the raw limit that it reaches.

mod measure;
mod pipeline;
mod raw_limit;
mod readers;
mod roles;
mod scrape;
mod warnings;
mod workload;
mod year;

use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use plimsoll_tests::broker::Broker;

use workload::Workload;

/// As in `plimsoll`: see docs/decisions/0051-allocator.md.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The topic of the workload.
const TOPIC: &str = "checks";

/// Measures the whole way of workload W1 beside the raw limit.
#[derive(Parser)]
#[command(name = "plimsoll-bench")]
struct Arguments {
    /// How many monitoring results.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// How many services they are about.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    services: u32,
    /// How many partitions they are spread over, by service.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    partitions: i32,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// By how many shards the exchange is read where roles stand apart.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    shards: u32,
    #[command(subcommand)]
    other: Option<Other>,
    /// How many threads the raw limit reads on; as many as processors unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    threads: Option<u32>,
}

/// What else can be measured.
#[derive(clap::Subcommand)]
enum Other {
    /// Live through a year at compressed time, without a broker
    Year(year::Arguments),
    /// Write what Prometheus scrapes of many objectives, without a broker
    Scrape(scrape::Arguments),
    /// Ask from many sides while the program reads a backlog
    Readers(readers::Arguments),
    /// Time what happens until its alert is in Alertmanager
    Warnings(warnings::Arguments),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.other {
        Some(Other::Year(arguments)) => return year::measure(arguments),
        Some(Other::Scrape(arguments)) => return scrape::measure(arguments),
        Some(Other::Readers(arguments)) => return readers::measure(arguments),
        Some(Other::Warnings(arguments)) => return warnings::measure(arguments),
        None => {}
    }
    let workload = Workload {
        events_count: arguments.events,
        services_count: arguments.services,
        partitions_count: arguments.partitions,
        seed: arguments.seed,
    };
    let processors = std::thread::available_parallelism()?.get();
    let threads_count = arguments.threads.map_or(processors, |threads| threads as usize);

    let broker = Broker::start()?;
    broker.create_topic(TOPIC, workload.partitions_count)?;
    let began = Instant::now();
    let bytes = workload.produce(&broker.bootstrap(), TOPIC)?;
    println!(
        "W1: {} events of {} bytes, {} services, {} days, lz4, {} partitions, seed {}; produced in {:.1} s",
        workload.events_count,
        bytes / workload.events_count,
        workload.services_count,
        workload::DAYS,
        workload.partitions_count,
        workload.seed,
        began.elapsed().as_secs_f64()
    );

    let limit = raw_limit::measure(&broker.bootstrap(), TOPIC, &workload, threads_count)?;
    let whole_way = pipeline::measure(&broker.bootstrap(), TOPIC, &workload)?;
    let apart = roles::measure(&broker.bootstrap(), TOPIC, &workload, arguments.shards)?;
    println!(
        "roles apart: {:.2} of the events a second of the whole way",
        apart.events_per_second() / whole_way.events_per_second()
    );
    measure::report(&[limit, whole_way, apart]);
    Ok(())
}
