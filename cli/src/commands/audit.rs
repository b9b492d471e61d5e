//! `plimsoll audit`: from a result to what it stands on, and whether it follows from that.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use plimsoll_lake::Lake;
use plimsoll_query::{Format as AnswerFormat, Limits, QueryService};

use crate::auditing::{Question, audit};
use crate::commands::DEFAULT_LAKE;
use crate::threads::Threads;

/// The exit code when a result does not follow from what is stored.
const DIFFERENT: u8 = 3;

/// Audit a result.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    #[command(flatten)]
    question: Question,
    /// How the answer is written
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned, for people
    Table,
    /// One object
    Json,
}

/// Prints the result and what it stands on.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let audited = threads.waiting.block_on(async {
        let lake = Lake::open_existing(&arguments.lake).await?;
        let limits = Limits { rows_max: usize::MAX, time_max: Duration::from_hours(24), ..Limits::default() };
        audit(&arguments.question, &QueryService::open(lake, limits, threads.questions()).await?).await
    })?;
    let format = match arguments.format {
        Format::Table => AnswerFormat::Table,
        Format::Json => AnswerFormat::Json,
    };
    audited.write(&mut std::io::stdout().lock(), format)?;
    Ok(if audited.is_confirmed() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
