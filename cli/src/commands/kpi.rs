//! `plimsoll kpi`: how well agreements are measured, kept and looked after (R35), by what tables hold or event files tell.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_engine::kpi::{At, Judged, Kpi, kpis, since};
use plimsoll_lake::Lake;
use plimsoll_query::{Format, Limits, QueryService, encode_batch};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;

use crate::commands::{DEFAULT_LAKE, instant};
use crate::definitions;
use crate::judging::{Judging, read_files};
use crate::threads::Threads;

/// Compute indicators.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// The folder with the tables, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// Take event files, as `judge` reads them, instead of tables
    #[arg(long, short = 'e', value_name = "FILE", num_args = 1..)]
    events: Vec<PathBuf>,
    /// The instant with which spans of months end: RFC 3339, e.g. 2026-02-01T00:00:00Z. Default: now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<Instant>,
    /// Take the tables as they were known then: RFC 3339 or a date in UTC. Default: as they are
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "events")]
    known_at: Option<Instant>,
    /// How the answer is written: table, json, ndjson, csv or arrow
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Prints the indicators.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let definitions = definitions::read(&arguments.definitions)?;
    let as_of = arguments.as_of.unwrap_or_else(|| Instant::from(chrono::Utc::now()));
    let results = match arguments.events.as_slice() {
        [] => of_tables(arguments, as_of, threads)?,
        files => of_files(&definitions, files, as_of)?,
    };
    let found = kpis(&definitions, &results, definitions.grace(), At::Instant(as_of));
    std::io::stdout().write_all(&encode_batch(&batch(&found)?, arguments.format)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The current results of the tables that may matter.
fn of_tables(arguments: &Arguments, as_of: Instant, threads: &Threads) -> Result<Vec<Judged>> {
    let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
    threads.waiting.block_on(async {
        let lake = Lake::open_existing(&arguments.lake).await?;
        let service = QueryService::open(lake, limits, threads.questions()).await?.known_at(arguments.known_at);
        Ok(service.judged_between(since(At::Instant(as_of)), as_of).await?)
    })
}

/// The results that events come to.
fn of_files(definitions: &Definitions, files: &[PathBuf], as_of: Instant) -> Result<Vec<Judged>> {
    let mut judging = Judging::new(definitions, as_of);
    read_files(definitions, files, |delivery| judging.fold(delivery))?;
    judging.tell();
    Ok(judging.finish().facts.attainment.iter().map(Judged::from).collect())
}

/// Indicators as columns.
fn batch(kpis: &[Kpi]) -> Result<RecordBatch> {
    let names = StringArray::from_iter_values(kpis.iter().map(|kpi| kpi.name));
    let spans: Int64Array = kpis.iter().map(|kpi| kpi.span_months.map(i64::from)).collect();
    let ratios: Decimal128Array = kpis.iter().map(|kpi| kpi.ratio.map(|ratio| i128::from(ratio.0))).collect();
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("kpi", Arc::new(names), false),
        ("span_months", Arc::new(spans), true),
        ("part_count", Arc::new(Int64Array::from_iter_values(kpis.iter().map(|kpi| kpi.part_count))), false),
        ("whole_count", Arc::new(Int64Array::from_iter_values(kpis.iter().map(|kpi| kpi.whole_count))), false),
        ("ratio", Arc::new(ratios.with_precision_and_scale(18, 9)?), true),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}
