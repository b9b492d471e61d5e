//! `plimsoll sql`: one question, one answer.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use futures::TryStreamExt;
use plimsoll_lake::Lake;
use plimsoll_query::{Format, Limits, QueryService, encode};
use plimsoll_schemas::Instant;

use crate::commands::{DEFAULT_LAKE, instant};
use crate::doors;
use crate::threads::Threads;

/// Ask the tables.
#[derive(clap::Args)]
pub struct Arguments {
    /// The question, e.g. "SELECT verdict, count(*) FROM attainment GROUP BY verdict"
    #[arg(value_parser = statement)]
    statement: String,
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// Answer as the tables were known then: RFC 3339, e.g. 2026-02-01T00:00:00Z, or a date in UTC. What was recorded
    /// later is not there yet. Default: everything
    #[arg(long, value_name = "TIME", value_parser = instant)]
    known_at: Option<Instant>,
    /// How the answer is written: table, json, ndjson, csv or arrow
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    limits: doors::limits::Arguments,
}

fn statement(text: &str) -> Result<String, String> {
    let asks = !text.trim_matches(|letter: char| letter.is_whitespace() || letter == ';').is_empty();
    if asks { Ok(text.to_owned()) } else { Err("expected one SQL statement, e.g. SHOW TABLES".to_owned()) }
}

/// Prints the answer.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let Arguments { statement, lake, known_at, format, limits } = arguments;
    print_answer(statement, lake, (*known_at, limits.limits()), *format, threads)
}

/// Prints what the tables of a lake answer to a statement, as they were known then, within limits.
pub fn print_answer(
    statement: &str,
    lake: &str,
    (known_at, limits): (Option<Instant>, Limits),
    format: Format,
    threads: &Threads,
) -> Result<ExitCode> {
    threads.waiting.block_on(async {
        let lake = Lake::open_existing(lake).await?;
        let service = QueryService::open(lake, limits, threads.questions()).await?;
        let answer = service.known_at(known_at).sql(statement).await?;
        let mut chunks = Box::pin(encode(answer, format));
        while let Some(chunk) = chunks.try_next().await? {
            std::io::stdout().write_all(&chunk)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
