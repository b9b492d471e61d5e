//! `plimsoll dead-letters`: which records could not be used, and why; and those that can be used now, taken again.

mod replay;

use std::process::ExitCode;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use plimsoll_query::{Format, Limits};

use crate::commands::DEFAULT_LAKE;
use crate::commands::sql::print_answer;
use crate::threads::Threads;

/// Browse dead letters, and have them taken again.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Count those that are open by source, topic and reason
    List {
        #[command(flatten)]
        which: Which,
        /// How the answer is written: table, json, ndjson, csv or arrow
        #[arg(long, default_value = "table", value_name = "FORMAT")]
        format: Format,
    },
    /// Show those that are open one by one, with what they held
    Show {
        #[command(flatten)]
        which: Which,
        /// How the answer is written: table, json, ndjson, csv or arrow
        #[arg(long, default_value = "table", value_name = "FORMAT")]
        format: Format,
        /// The most that are shown
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: u32,
    },
    /// Have those taken again that can be used now that the mapping was mended
    Replay(replay::Replay),
}

/// Which of them.
#[derive(Args)]
struct Which {
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// Only those of this source
    #[arg(long, value_name = "ID")]
    source: Option<String>,
    /// Only those of this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only those that have this reason, e.g. bad_time
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
}

impl Which {
    /// As a condition in SQL.
    fn condition(&self) -> String {
        let filters = [("source", &self.source), ("topic", &self.topic), ("reason", &self.reason)];
        let equal = |(column, wanted): (&str, &Option<String>)| {
            wanted.as_ref().map(|text| format!("{column} = '{}'", text.replace('\'', "''")))
        };
        let equal: Vec<String> = filters.into_iter().filter_map(equal).collect();
        if equal.is_empty() { "true".to_owned() } else { equal.join(" AND ") }
    }
}

/// Prints the answer.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let (which, format, statement) = match &arguments.question {
        Question::Replay(arguments) => return replay::run(arguments, threads),
        Question::List { which, format } => {
            let of = which.condition();
            let counts = "count(*) AS record_count, min(recorded_at) AS first_at, max(recorded_at) AS last_at";
            let order = "record_count DESC, source, topic, reason";
            let statement = format!(
                "SELECT source, topic, reason, {counts} FROM dead_letters WHERE outcome IS NULL AND {of} GROUP BY source, topic, reason ORDER BY {order}"
            );
            (which, format, statement)
        }
        Question::Show { which, format, limit } => {
            let of = which.condition();
            let columns = "topic, partition, \"offset\", source, reason, detail, payload_text, payload_bytes, record_time, recorded_at";
            let order = "topic, partition, \"offset\"";
            let of = format!("outcome IS NULL AND {of}");
            (which, format, format!("SELECT {columns} FROM dead_letters WHERE {of} ORDER BY {order} LIMIT {limit}"))
        }
    };
    print_answer(&statement, &which.lake, (None, Limits::default()), *format, threads)
}
