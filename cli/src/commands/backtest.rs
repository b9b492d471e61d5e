//! `plimsoll backtest`: what a draft would have come to, had it been in force, beside the agreement that was.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use clap::ValueEnum;
use plimsoll_query::Format as AnswerFormat;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;

use crate::backtesting::Question;
use crate::commands::instant;
use crate::definitions::{self, Folder};
use crate::history;
use crate::threads::Threads;

/// Back-test a draft.
#[derive(clap::Args)]
pub struct Arguments {
    /// The draft: a file of definitions with one or more agreements, and whatever they need that the folder lacks
    #[arg(value_name = "FILE")]
    draft: PathBuf,
    /// The folder of the definitions in force
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    #[command(flatten)]
    history: history::Arguments,
    /// The first civil day of the draft. Default: that of the first event
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<NaiveDate>,
    /// Judge as if it were then: RFC 3339 or a date in UTC. Later events are not known yet. Default: now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<Instant>,
    /// How the results are written
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned, for people
    Table,
    /// An array of objects
    Json,
    /// With a line of names
    Csv,
}

/// Judges the events twice, under the draft and under what is in force, and prints each window of the draft.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let in_force = definitions::read(&arguments.definitions)?;
    let drafted = with_draft(&arguments.definitions, &arguments.draft)?;
    let as_of = arguments.as_of.unwrap_or_else(|| Instant::from(chrono::Utc::now()));
    let question = Question { drafted, in_force: &in_force, from: arguments.from, as_of };
    let judged = question
        .judge(&arguments.history.open(threads)?, || Ok(()))
        .with_context(|| format!("cannot judge {}", arguments.draft.display()))?;
    judged.tell();
    let backtest = judged.compare();
    let format = match arguments.format {
        Format::Table => AnswerFormat::Table,
        Format::Json => AnswerFormat::Json,
        Format::Csv => AnswerFormat::Csv,
    };
    std::io::stdout().lock().write_all(&backtest.write(format)?)?;
    backtest.summary().iter().for_each(|line| eprintln!("{line}"));
    Ok(ExitCode::SUCCESS)
}

/// The definitions in force and the draft together: it may be a version of an agreement that is in force, and rest on
/// calendars and offerings that are.
fn with_draft(folder: &Path, draft: &Path) -> Result<Definitions> {
    let text = std::fs::read_to_string(draft).with_context(|| format!("cannot read the draft {}", draft.display()))?;
    let mut folder = Folder::read(folder)?;
    folder.texts.push((draft.display().to_string(), text));
    definitions::checked(folder, &draft.display().to_string())
}
