//! `plimsoll gate`: whether the downtime of a planned change fits into what is left of the promises that it touches.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;
use clap::error::ErrorKind;
use plimsoll_engine::gate::PlannedChange;
use plimsoll_engine::window::Window;
use plimsoll_query::Format as AnswerFormat;
use plimsoll_schemas::{Instant, Micros};

use crate::commands::instant;
use crate::definitions;
use crate::gating;
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
    #[arg(long, value_name = "DURATION", value_parser = gating::downtime)]
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

/// Reads, judges with and without the change, prints a row for each promise and window.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let as_of = arguments.as_of.unwrap_or_else(|| Instant::from(chrono::Utc::now()));
    let change = arguments.change(as_of);
    let wrong = |what: String| clap::Error::raw(ErrorKind::ValueValidation, format!("{what}\n"));
    gating::check(&change, as_of).map_err(wrong)?;
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
    let impacts = group.gate(service, &change);
    std::io::stdout().lock().write_all(&gating::write(&impacts, arguments.format.into())?)?;
    Ok(if gating::is_go(&impacts) { ExitCode::SUCCESS } else { ExitCode::from(NO_GO) })
}

impl Arguments {
    fn change(&self, as_of: Instant) -> PlannedChange {
        PlannedChange {
            id: self.change.as_str().into(),
            window: Window { start: self.from, end: self.until },
            downtime: self.downtime,
            approved_at: (!self.emergency).then(|| self.approved_at.unwrap_or(as_of)),
            customer: self.customer.as_deref().map(Into::into),
        }
    }
}

impl From<Format> for AnswerFormat {
    fn from(format: Format) -> AnswerFormat {
        match format {
            Format::Table => AnswerFormat::Table,
            Format::Json => AnswerFormat::Json,
            Format::Csv => AnswerFormat::Csv,
        }
    }
}
