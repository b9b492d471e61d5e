//! `plimsoll sql`: one question, one answer.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use futures::TryStreamExt;
use plimsoll_lake::Lake;
use plimsoll_query::{Format, Limits, QueryService, encode};

use crate::commands::DEFAULT_LAKE;
use crate::threads::Threads;

/// Ask the tables.
#[derive(clap::Args)]
pub struct Arguments {
    /// The question, e.g. "SELECT verdict, count(*) FROM attainment GROUP BY verdict"
    #[arg(value_parser = statement)]
    statement: String,
    /// The folder with the tables
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// How the answer is written: table, json, ndjson, csv or arrow
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

fn statement(text: &str) -> Result<String, String> {
    let asks = !text.trim_matches(|letter: char| letter.is_whitespace() || letter == ';').is_empty();
    if asks { Ok(text.to_owned()) } else { Err("expected one SQL statement, e.g. SHOW TABLES".to_owned()) }
}

/// Prints the answer.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    threads.waiting.block_on(async {
        let lake = Lake::open_existing(&arguments.lake).await?;
        let service = QueryService::open(lake, Limits::default(), threads.questions()).await?;
        let answer = service.sql(&arguments.statement).await?;
        let mut chunks = Box::pin(encode(answer, arguments.format));
        while let Some(chunk) = chunks.try_next().await? {
            std::io::stdout().write_all(&chunk)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
