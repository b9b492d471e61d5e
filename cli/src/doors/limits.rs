//! What questions may take of a process, and how that is raised.

use std::time::Duration;

use plimsoll_query::Limits;

use crate::commands::run::duration;

/// What questions may take.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// How long a question may take, from its arrival to its last row, 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = time)]
    question_time: Duration,
    /// How many rows an answer may have
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    question_rows: u64,
    /// How much memory all questions together may take, e.g. 2GiB
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    question_memory: u64,
    /// How much disk space sorts and joins of all questions together may take
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = size)]
    question_spill: u64,
    /// How many questions are answered at a time; others wait
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    questions: u16,
}

impl Arguments {
    /// The limits of the service.
    pub fn limits(&self) -> Limits {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Limits {
            time_max: self.question_time,
            rows_max: bytes(self.question_rows),
            memory_bytes_max: bytes(self.question_memory),
            spill_bytes_max: self.question_spill,
            concurrent_max: self.questions.into(),
            ..Limits::default()
        }
    }
}

/// How long a question may take: files that were merged stay for an hour at least.
fn time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let allowed = Duration::from_secs(1)..=Duration::from_hours(1);
    if allowed.contains(&time) { Ok(time) } else { Err("expected a duration from 1s to 1h".to_owned()) }
}

/// A number of bytes.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let found = units.iter().find_map(|(unit, shift)| {
        let count: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        count.checked_mul(1 << shift).filter(|bytes| (1 << 20..1 << 50).contains(bytes))
    });
    found.ok_or_else(|| "expected a size such as 512MiB or 4GiB, at least 1MiB and less than 1024TiB".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Told {
        #[command(flatten)]
        limits: Arguments,
    }

    #[test]
    fn what_is_not_said_is_the_default_and_what_is_said_holds() {
        assert_eq!(Told::parse_from(["plimsoll"]).limits.limits(), Limits::default());
        let told = ["--question-time", "90s", "--question-rows", "7", "--question-memory", "2GiB"];
        let told = [&["plimsoll"], &told[..], &["--question-spill", "1 MiB", "--questions", "3"]].concat();
        let expected = Limits {
            time_max: Duration::from_secs(90),
            rows_max: 7,
            memory_bytes_max: 2_147_483_648,
            spill_bytes_max: 1_048_576,
            concurrent_max: 3,
            ..Limits::default()
        };
        assert_eq!(Told::parse_from(told).limits.limits(), expected);
        for (option, wrong) in [("--question-time", "2h"), ("--question-memory", "512"), ("--question-spill", "1KiB")] {
            assert!(Told::try_parse_from(["plimsoll", option, wrong]).is_err(), "{option} {wrong}");
        }
    }
}
