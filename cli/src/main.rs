//! `plimsoll`: one binary, every role, wired together.
//!
//! What comes in: the command line, folders and signals. What goes out: an exit code (0 done, 1 not done, 2 wrong
//! usage, 3 no-go, or a result that does not follow, 4 another process keeps the tables) and, when something is
//! wrong, one line that says what and what to do. Modules in reading order: `commands` has one file a command;
//! `definitions` reads the folder; `in_force` has the definitions in force, which may change; `judging` judges
//! without a server; `gating` is the change gate; `pipeline` wires source, worker and lake, `roles` and `keeper` do
//! so in several processes; `maintenance` keeps tables small; `doors` serves HTTP, `/metrics`, the Postgres
//! wire and Flight SQL; `shutdown` is how everything ends; `threads` keeps what computes from what waits; `demo` is the
//! generated month.

mod auditing;
mod backtesting;
mod commands;
mod definitions;
mod demo;
mod doors;
mod gating;
mod history;
mod in_force;
mod judging;
mod keeper;
mod maintenance;
mod notifying;
mod pipeline;
mod restore;
mod retries;
mod roles;
mod shutdown;
mod threads;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use plimsoll_aggregate::AggregateError;
use plimsoll_ingest::IngestError;
use rdkafka::error::KafkaError;
use tracing_subscriber::EnvFilter;

use crate::threads::Threads;

/// The system's allocator keeps what was freed, in holes; see docs/decisions/0051-allocator.md.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The load line for service levels: exact SLA attainment from a stream of events.
#[derive(Parser)]
#[command(name = "plimsoll", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show everything at work on a generated month: no broker, no database, nothing to set up
    Demo(commands::demo::Arguments),
    /// Check a folder of definitions and name every problem in it
    Check(commands::check::Arguments),
    /// Ask a calendar how much agreed time has passed, when some is due, or what a month looks like
    Calendar(commands::calendar::Arguments),
    /// Judge event files against definitions, without a server and without tables
    Judge(commands::judge::Arguments),
    /// Ask whether a planned change's downtime fits into what is left of the promises that it touches
    Gate(commands::gate::Arguments),
    /// Judge what happened by a draft of an agreement, beside the one in force, before anyone signs it
    Backtest(commands::backtest::Arguments),
    /// Show what a result stands on, and compute it anew from that
    Audit(commands::audit::Arguments),
    /// Say how well agreements are measured, kept and looked after
    Kpi(commands::kpi::Arguments),
    /// Show which records could not be used, and why; have them taken again
    #[command(name = "dead-letters")]
    DeadLetters(commands::dead_letters::Arguments),
    /// Check the tables, the definitions, Kafka and the clock, and say what to do about each fault
    Doctor(commands::doctor::Arguments),
    /// Make the tables of a damaged lake anew in another one, from its stored events
    Rebuild(commands::rebuild::Arguments),
    /// Consume from Kafka, keep the tables, answer over HTTP, Postgres' wire and Flight SQL: all roles in one process
    Run(commands::run::Arguments),
    /// Consume from Kafka and pass on what was read to the processes that aggregate
    Ingest(commands::ingest::Arguments),
    /// Keep shards of the tables, from what other processes ingest
    Aggregate(commands::aggregate::Arguments),
    /// Answer over HTTP, Postgres' wire and Flight SQL from tables that another process keeps
    Query(commands::query::Arguments),
    /// Tell people of warnings and breaches in tables that another process keeps: Alertmanager, webhooks, a Kafka topic
    Notify(commands::notify::Arguments),
    /// Ask the tables one question in SQL
    Sql(commands::sql::Arguments),
    /// Merge small files of tables and remove old ones, as `run` does by itself
    Maintain(commands::maintain::Arguments),
    /// Write recording and alerting rules for Prometheus from definitions
    Rules(commands::rules::Arguments),
    /// Write the line of a user whose password comes from standard input, for the file that --users names
    Password(commands::password::Arguments),
    /// Draw a token for HTTP and Flight SQL, and write the line of its user, for the file that --users names
    Token(commands::token::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    let done = match arguments.command {
        Command::Demo(arguments) => with_threads(|threads| commands::demo::run(arguments, threads)),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Calendar(arguments) => commands::calendar::run(&arguments),
        Command::Judge(arguments) => commands::judge::run(&arguments),
        Command::Gate(arguments) => with_threads(|threads| commands::gate::run(&arguments, threads)),
        Command::Backtest(arguments) => with_threads(|threads| commands::backtest::run(&arguments, threads)),
        Command::Audit(arguments) => with_threads(|threads| commands::audit::run(&arguments, threads)),
        Command::Kpi(arguments) => with_threads(|threads| commands::kpi::run(&arguments, threads)),
        Command::DeadLetters(arguments) => with_threads(|threads| commands::dead_letters::run(&arguments, threads)),
        Command::Doctor(arguments) => with_threads(|threads| commands::doctor::run(&arguments, threads)),
        Command::Rebuild(arguments) => with_threads(|threads| commands::rebuild::run(&arguments, threads)),
        Command::Run(arguments) => with_threads(|threads| commands::run::run(arguments, threads)),
        Command::Ingest(arguments) => with_threads(|threads| commands::ingest::run(arguments, threads)),
        Command::Aggregate(arguments) => with_threads(|threads| commands::aggregate::run(arguments, threads)),
        Command::Query(arguments) => with_threads(|threads| commands::query::run(arguments, threads)),
        Command::Notify(arguments) => with_threads(|threads| commands::notify::run(arguments, threads)),
        Command::Sql(arguments) => with_threads(|threads| commands::sql::run(&arguments, threads)),
        Command::Maintain(arguments) => with_threads(|threads| commands::maintain::run(&arguments, threads)),
        Command::Rules(arguments) => commands::rules::run(&arguments),
        Command::Password(arguments) => commands::password::run(&arguments),
        Command::Token(arguments) => commands::token::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Says why, and whether the arguments are to blame.
fn failed(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        error.exit();
    }
    eprintln!("error: {}", in_one_line(error));
    if error.downcast_ref().is_some_and(AggregateError::is_fenced) {
        return ExitCode::from(FENCED);
    }
    let refused_by_ingest = matches!(error.downcast_ref(), Some(IngestError::KafkaSetting(_)));
    let refused_by_client = matches!(error.downcast_ref(), Some(KafkaError::ClientConfig(..)));
    if refused_by_ingest || refused_by_client { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// The exit code of a process that found another one at its work.
const FENCED: u8 = 4;

/// The exit code for wrong usage, which clap has too.
const USAGE: u8 = 2;

/// Sends the log to standard error, in colours only where a person reads it who has not asked for none
/// (https://no-color.org).
fn start_log() {
    let filter = EnvFilter::try_from_env("PLIMSOLL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !plain;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(colours).with_target(false).init();
}

/// Runs a command that needs threads beside its own.
fn with_threads(command: impl FnOnce(&Threads) -> Result<ExitCode>) -> Result<ExitCode> {
    let threads = Threads::start()?;
    let done = command(&threads);
    threads.end();
    done
}

/// An error and its causes; a cause that the line names already is not repeated.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.contains(&cause) {
        true => line,
        false if line.is_empty() => cause,
        false => format!("{line}: {cause}"),
    })
}

/// True when whoever read our output has gone, as `head` does: that is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
