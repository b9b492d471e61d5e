//! `plimsoll maintain`: the upkeep that `run` does by itself, once and now.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use plimsoll_lake::{KEPT_MAX, KEPT_MIN, Lake};

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::duration;
use crate::definitions::counted;
use crate::threads::Threads;

/// Keep tables small.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// How long files stay after they were merged into others, 1h to 24h: longer than any question takes
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = kept)]
    keep_files: Duration,
}

/// How long files stay: no shorter than a question may take, and no longer than the log tells.
pub fn kept(text: &str) -> Result<Duration, String> {
    let kept = duration(text)?;
    if (KEPT_MIN..=KEPT_MAX).contains(&kept) { Ok(kept) } else { Err("expected 1h to 24h".to_owned()) }
}

/// How often: each time every table is looked at.
pub fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval >= Duration::from_secs(1) { Ok(interval) } else { Err("expected at least 1s".to_owned()) }
}

/// Merges what is due, and removes what is old.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    threads.waiting.block_on(async {
        let lake = Lake::open_existing(&arguments.lake).await?;
        let mut merged = 0;
        loop {
            match lake.maintain().await? {
                0 => break,
                more => merged += more,
            }
        }
        let removed = lake.vacuum(arguments.keep_files).await?;
        let active = lake.file_counts().map(|(_, count)| count).sum();
        println!(
            "merged {}, removed {} and {}; the tables consist of {}",
            counted(merged, "file"),
            counted(removed.files, "file"),
            match removed.log_entries {
                1 => "1 log entry".to_owned(),
                count => format!("{count} log entries"),
            },
            counted(active, "file")
        );
        Ok(ExitCode::SUCCESS)
    })
}
