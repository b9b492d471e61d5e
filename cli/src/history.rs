//! What happened so far, for the commands that judge it anew: event files, or the events that tables hold.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_lake::Lake;
use plimsoll_query::{Limits, QueryService, Stored};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::EventColumn;
use tokio::runtime::Handle;

use crate::commands::instant;
use crate::judging::read_files;
use crate::threads::Threads;

/// Where events come from.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Take the events that these tables hold
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "events", conflicts_with = "events")]
    lake: Option<String>,
    /// Take event files, as `judge` reads them
    #[arg(long, short = 'e', value_name = "FILE", num_args = 1..)]
    events: Vec<PathBuf>,
    /// Take the tables as they were known then: RFC 3339 or a date in UTC. Default: as they are
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "events")]
    known_at: Option<Instant>,
}

/// Events that can be read more than once.
pub enum History<'a> {
    /// Those of files.
    Files(&'a [PathBuf]),
    /// Those that tables hold, and on which days there are any.
    Tables(Handle, Box<QueryService>, Vec<String>),
}

impl Arguments {
    /// Opens the tables, if it is them that are asked.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub fn open(&self, threads: &Threads) -> Result<History<'_>> {
        let Some(lake) = &self.lake else { return Ok(History::Files(&self.events)) };
        let runtime = threads.waiting.handle().clone();
        // All of history is one answer.
        let limits = Limits { rows_max: usize::MAX, time_max: Duration::from_hours(24), ..Limits::default() };
        let service = runtime.block_on(async {
            QueryService::open(Lake::open_existing(lake).await?, limits, threads.questions())
                .await
                .context("cannot ask the tables")
        })?;
        let service = service.known_at(self.known_at);
        let days = runtime.block_on(service.event_days())?;
        Ok(History::Tables(runtime, Box::new(service), days))
    }
}

impl History<'_> {
    /// The time of the first event; `None` when there is none.
    ///
    /// # Errors
    /// As `read`.
    pub fn first(&self, definitions: &Definitions) -> Result<Option<Instant>> {
        let mut first = None;
        let mut look = |delivery: Delivery| {
            let earliest = delivery.events.times(EventColumn::Time).values().iter().min().copied();
            first = first.into_iter().chain(earliest).min();
            Ok(())
        };
        match self {
            History::Tables(runtime, service, days) => {
                days.first().map_or(Ok(()), |day| read_day(runtime, service, day, &mut look))?;
            }
            History::Files(_) => self.read(definitions, &mut look)?,
        }
        Ok(first.map(Instant))
    }

    /// All events, those of tables a day after the other: states take what comes late by days at the most.
    ///
    /// # Errors
    /// When a file or a table cannot be read, and those of `take`.
    pub fn read(&self, definitions: &Definitions, take: &mut dyn FnMut(Delivery) -> Result<()>) -> Result<()> {
        match self {
            History::Files(paths) => read_files(definitions, paths, take),
            History::Tables(runtime, service, days) => {
                days.iter().try_for_each(|day| read_day(runtime, service, day, take))
            }
        }
    }
}

fn read_day(
    runtime: &Handle,
    service: &QueryService,
    day: &str,
    take: &mut dyn FnMut(Delivery) -> Result<()>,
) -> Result<()> {
    for (number, events) in runtime.block_on(service.events_of(day, &Stored::All))?.into_iter().enumerate() {
        let partition = PartitionId { topic: day.into(), partition: number as i32 };
        // Each batch is all there is of its own.
        let read = Delivery::news(partition, events.num_rows() as i64, Some(Instant(i64::MAX)));
        take(Delivery { from_offset: 0, events, ..read })?;
    }
    Ok(())
}
