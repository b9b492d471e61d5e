//! `plimsoll calendar`: what a calendar means, asked from the command line.
//!
//! In: one question as arguments, or one a line on standard input. Out: answers in the same order; `show` prints a
//! month. The engine's own calendar answers. Modules in reading order: `chosen` is the calendar that is asked,
//! `questions` answers `elapsed` and `due`, `month` prints.

mod chosen;
mod month;
mod questions;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use chrono::{Datelike, NaiveDate};
use clap::ValueEnum;

use crate::commands::month;
use chosen::Chosen;

/// Ask a calendar.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(clap::Subcommand)]
enum Question {
    /// How much agreed time lies between two instants
    Elapsed {
        #[command(flatten)]
        which: Which,
        /// RFC 3339, or civil time of the calendar: 2026-03-02T08:00, 2026-03-02. Without it, or with -, questions
        /// are read from standard input: FROM UNTIL, one a line
        from: Option<String>,
        /// In the same forms
        #[arg(requires = "from")]
        until: Option<String>,
        /// How answers are written
        #[arg(long, default_value = "table")]
        format: Format,
    },
    /// When an amount of agreed time has passed since a start: the earliest such instant
    Due {
        #[command(flatten)]
        which: Which,
        /// RFC 3339, or civil time of the calendar: 2026-03-02T08:00, 2026-03-02. Without it, or with -, questions
        /// are read from standard input: START AMOUNT, one a line
        start: Option<String>,
        /// A duration such as 4h, 1h 30m or 90s
        #[arg(requires = "start")]
        amount: Option<String>,
        /// How answers are written
        #[arg(long, default_value = "table")]
        format: Format,
    },
    /// A month, day by day: its hours, its holidays, its agreed time
    Show {
        #[command(flatten)]
        which: Which,
        /// The month; this one unless said
        #[arg(long, value_name = "YYYY-MM", value_parser = month)]
        month: Option<NaiveDate>,
    },
}

#[derive(clap::Args)]
struct Which {
    /// The folder of definitions
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// The id of the calendar
    #[arg(long, short = 'c', value_name = "ID")]
    calendar: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One object a line
    Json,
    /// Under a line of names
    Csv,
}

/// Answers.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.question {
        Question::Elapsed { which, from, until, format } => {
            let question = questions::one(from.as_deref(), until.as_deref(), "FROM UNTIL")?;
            questions::answer(&Chosen::read(which)?, questions::elapsed, question, *format)?;
        }
        Question::Due { which, start, amount, format } => {
            let question = questions::one(start.as_deref(), amount.as_deref(), "START AMOUNT")?;
            questions::answer(&Chosen::read(which)?, questions::due, question, *format)?;
        }
        Question::Show { which, month } => {
            let this_month = || chrono::Utc::now().date_naive().with_day(1);
            month::show(&Chosen::read(which)?, month.or_else(this_month).unwrap_or_default())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
