//! `plimsoll gate`: whether the downtime of a planned change fits into what is left of the promises that it touches.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use clap::ValueEnum;
use clap::error::ErrorKind;
use plimsoll_engine::gate::{Impact, PlannedChange};
use plimsoll_engine::portfolio::ObjectivePlan;
use plimsoll_engine::verdict::Value;
use plimsoll_engine::window::Window;
use plimsoll_query::{Format as AnswerFormat, encode_batch};
use plimsoll_schemas::definition::parse_duration;
use plimsoll_schemas::{Instant, Micros};

use crate::commands::instant;
use crate::definitions;
use crate::history;
use crate::judging::Judging;
use crate::threads::Threads;

/// The exit code when a promise would be missed: neither done as hoped nor a failure.
const NO_GO: u8 = 3;

/// Gate a planned change.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    #[command(flatten)]
    history: history::Arguments,
    /// The service that is changed
    #[arg(long, value_name = "ID")]
    service: String,
    /// The planned start: RFC 3339 or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Instant,
    /// The planned end: RFC 3339 or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Instant,
    /// How much downtime is expected within it, e.g. 20m. Default: all of it
    #[arg(long, value_name = "DURATION", value_parser = downtime)]
    downtime: Option<Micros>,
    /// When the change was or will be approved: RFC 3339 or a date in UTC. Default: when it is judged
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "emergency")]
    approved_at: Option<Instant>,
    /// An emergency change, of which no time is excluded as maintenance
    #[arg(long)]
    emergency: bool,
    /// Whom it concerns. Default: every customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// The change's id: where the events tell of it, this plan stands in for theirs
    #[arg(long, value_name = "ID", default_value = "")]
    change: String,
    /// What time it is: RFC 3339 or a date in UTC. Later events are not known yet. Default: now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<Instant>,
    /// How the answer is written
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

fn downtime(text: &str) -> Result<Micros, String> {
    let time = parse_duration(text).filter(|time| *time > Micros::ZERO);
    time.ok_or_else(|| "expected a duration such as 90s, 20m or 1h 30m".to_owned())
}

/// Reads, judges with and without the change, prints a row for each promise and window.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let as_of = arguments.as_of.unwrap_or_else(|| Instant::from(chrono::Utc::now()));
    arguments.check(as_of)?;
    let definitions = definitions::read(&arguments.definitions)?;
    if let Some(customer) = arguments.customer.as_ref().filter(|id| !definitions.customers.contains_key(*id)) {
        let known: Vec<&str> = definitions.customers.keys().map(String::as_str).collect();
        bail!("found the customer {customer}, expected one that is defined: {}", known.join(", "));
    }
    let mut judging = Judging::new(&definitions, as_of);
    arguments.history.open(threads)?.read(&definitions, &mut |delivery| judging.fold(delivery))?;
    judging.tell();
    let group = judging.finish().group;
    let Some(service) = group.portfolio().service_place(&arguments.service) else {
        let known: Vec<&str> = definitions.services.keys().map(String::as_str).collect();
        bail!("found the service {}, expected one that is defined: {}", arguments.service, known.join(", "));
    };
    let change = PlannedChange {
        id: arguments.change.as_str().into(),
        window: Window { start: arguments.from, end: arguments.until },
        downtime: arguments.downtime,
        approved_at: (!arguments.emergency).then(|| arguments.approved_at.unwrap_or(as_of)),
        customer: arguments.customer.as_deref().map(Into::into),
    };
    let impacts = group.gate(service, &change);
    let is_go = impacts.iter().all(|(_, impact)| impact.go);
    let mut output = std::io::stdout().lock();
    match arguments.format {
        Format::Table if impacts.is_empty() => writeln!(output, "go: no promise is touched")?,
        Format::Table => {
            writeln!(output, "{}", if is_go { "go" } else { "no-go" })?;
            output.write_all(&encode_batch(&for_people(&impacts)?, AnswerFormat::Table)?)?;
        }
        Format::Json => output.write_all(&encode_batch(&columns(&impacts)?, AnswerFormat::Json)?)?,
        Format::Csv => output.write_all(&encode_batch(&columns(&impacts)?, AnswerFormat::Csv)?)?,
    }
    Ok(if is_go { ExitCode::SUCCESS } else { ExitCode::from(NO_GO) })
}

impl Arguments {
    /// Whether the arguments go together, beyond what their declarations say.
    fn check(&self, as_of: Instant) -> Result<(), clap::Error> {
        let wrong = |what: String| Err(clap::Error::raw(ErrorKind::ValueValidation, format!("{what}\n")));
        if self.from >= self.until {
            return wrong(format!("--until {} is not after --from {}", self.until, self.from));
        }
        if self.from < as_of {
            return wrong(format!("--from {} has passed at {as_of}; give a change that is still to come", self.from));
        }
        let longest = self.until - self.from;
        match self.downtime {
            Some(downtime) if downtime > longest => {
                wrong(format!("--downtime {downtime} is longer than the planned time, {longest}"))
            }
            _ => Ok(()),
        }
    }
}

type Row<'a> = (&'a ObjectivePlan, Impact);

fn word(go: bool) -> &'static str {
    if go { "go" } else { "no_go" }
}

/// What people read: values in words.
fn for_people(impacts: &[Row<'_>]) -> Result<RecordBatch> {
    let shown = |value: Option<Value>| value.map(|value| value.to_string());
    Ok(RecordBatch::try_from_iter([
        ("verdict", text(impacts, |(_, impact)| word(impact.go).to_owned())),
        ("agreement", text(impacts, |(plan, _)| plan.key.agreement.to_string())),
        ("service", text(impacts, |(plan, _)| plan.key.service.to_string())),
        ("objective", text(impacts, |(plan, _)| plan.key.objective.to_string())),
        ("window_start", time(impacts, |(_, impact)| impact.window.start)),
        ("target", text(impacts, |(plan, _)| plan.objective.target.to_string())),
        ("left_before", maybe_text(impacts, |(_, impact)| shown(impact.left.map(|(before, _)| before)))),
        ("taken", maybe_text(impacts, |(_, impact)| shown(impact.taken()))),
        ("left_after", maybe_text(impacts, |(_, impact)| shown(impact.left.map(|(_, after)| after)))),
        ("excluded", text(impacts, |(_, impact)| impact.excluded.to_string())),
    ])?)
}

/// What programs read: units in the names.
fn columns(impacts: &[Row<'_>]) -> Result<RecordBatch> {
    let before = |impact: &Impact| impact.left.map(|(before, _)| before);
    let after = |impact: &Impact| impact.left.map(|(_, after)| after);
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("verdict", text(impacts, |(_, impact)| word(impact.go).to_owned()), false),
        ("agreement", text(impacts, |(plan, _)| plan.key.agreement.to_string()), false),
        ("agreement_version", integers(impacts, |(plan, _)| Some(plan.key.version.into())), false),
        ("service", text(impacts, |(plan, _)| plan.key.service.to_string()), false),
        ("objective", text(impacts, |(plan, _)| plan.key.objective.to_string()), false),
        ("window_start", time(impacts, |(_, impact)| impact.window.start), false),
        ("window_end", time(impacts, |(_, impact)| impact.window.end), false),
        ("target", text(impacts, |(plan, _)| plan.objective.target.to_string()), false),
        ("left_before_us", integers(impacts, |(_, impact)| micros(before(impact))), true),
        ("taken_us", integers(impacts, |(_, impact)| micros(impact.taken())), true),
        ("left_after_us", integers(impacts, |(_, impact)| micros(after(impact))), true),
        ("left_before_count", integers(impacts, |(_, impact)| count(before(impact))), true),
        ("taken_count", integers(impacts, |(_, impact)| count(impact.taken())), true),
        ("left_after_count", integers(impacts, |(_, impact)| count(after(impact))), true),
        ("excluded_us", integers(impacts, |(_, impact)| Some(impact.excluded.0)), false),
    ])?)
}

fn micros(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Time(time) => Some(time.0),
        _ => None,
    }
}

fn count(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Count(count) => Some(count),
        _ => None,
    }
}

fn text(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(impacts.iter().map(of)))
}

fn maybe_text(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(impacts.iter().map(of)))
}

fn integers(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> Option<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(impacts.iter().map(of)))
}

fn time(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> Instant) -> ArrayRef {
    let times = impacts.iter().map(|row| of(row).0);
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}
