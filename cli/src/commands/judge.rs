//! `plimsoll judge`: definitions and event files in, results out. The same decoder and the same engine as the server,
//! with no server and no table.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use arrow_array::RecordBatch;
use clap::ValueEnum;
use clap::error::ErrorKind;
use parquet::arrow::ArrowWriter;
use plimsoll_query::{Format as AnswerFormat, encode_batch};
use plimsoll_schemas::Instant;
use plimsoll_schemas::table::{Table, to_batch};

use crate::commands::instant;
use crate::definitions;
use crate::judging::{Judged, Judging, read_files};

/// Judge event files.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// Event files: NDJSON, CSV or Parquet, plain, gzip or zstd. The Source whose `files` match a file's name maps it;
    /// without one, the plain form is read
    #[arg(long, short = 'e', value_name = "FILE", num_args = 1.., required = true)]
    events: Vec<PathBuf>,
    /// Judge as if it were then: 2026-02-01T08:00:00Z, or 2026-02-01 for its midnight UTC. Later events are not known yet.
    /// Default: now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<Instant>,
    /// How the results are written
    #[arg(long, default_value = "table")]
    format: Format,
    /// Which results
    #[arg(
        long,
        value_name = "TABLE,..",
        value_delimiter = ',',
        default_value = "attainment,clocks,outages,breaches,attributions"
    )]
    show: Vec<Shown>,
    /// The folder for the files that --format parquet writes, one a table
    #[arg(long, value_name = "DIR", required_if_eq("format", "parquet"))]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned, for people
    Table,
    /// One object with an array a table
    Json,
    /// One table, with a line of names
    Csv,
    /// A file a table, into --output
    Parquet,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Shown {
    /// Objectives judged
    Attainment,
    /// What is given back for missed promises
    Credits,
    /// Scores below their target while everything else is met
    Watermelons,
    /// Response and resolution clocks of tickets
    Clocks,
    /// When services were down
    Outages,
    /// Promises that were missed
    Breaches,
    /// Who spent the budget of each promise that was missed and rests on others
    Attributions,
    /// Changes of state
    Transitions,
    /// Records that could not be used
    DeadLetters,
}

/// Reads, judges, prints. Records that cannot be used are counted on standard error.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    arguments.check()?;
    let definitions = definitions::read(&arguments.definitions)?;
    let as_of = arguments.as_of.unwrap_or_else(|| Instant::from(chrono::Utc::now()));
    let mut judging = Judging::new(&definitions, as_of);
    read_files(&definitions, &arguments.events, |delivery| judging.fold(delivery))?;
    judging.tell();
    let judged = judging.finish();
    judged.tell_unassigned();
    let tables = tables(&judged, &arguments.show)?;
    match arguments.format {
        Format::Table => print_tables(&tables)?,
        Format::Json => print_json(&tables)?,
        Format::Csv => print_csv(&tables)?,
        Format::Parquet => write_parquet(&tables, arguments.output.as_deref().unwrap_or(Path::new(".")))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// Whether the arguments go together, beyond what their declarations say.
    fn check(&self) -> Result<(), clap::Error> {
        let conflict = |what: &str| Err(clap::Error::raw(ErrorKind::ArgumentConflict, format!("{what}\n")));
        if self.format == Format::Csv && self.show.len() != 1 {
            return conflict("csv holds one table; choose it with --show, e.g. --show attainment");
        }
        if self.format != Format::Parquet && self.output.is_some() {
            return conflict("only --format parquet writes files; leave --output out, or add --format parquet");
        }
        let repeated = self.show.iter().enumerate().any(|(place, shown)| self.show[..place].contains(shown));
        if repeated {
            return conflict("--show names a table twice; name each once");
        }
        Ok(())
    }
}

/// The rows of the tables that are to be shown.
fn tables(judged: &Judged, shown: &[Shown]) -> Result<Vec<(Table, RecordBatch)>> {
    let facts = &judged.facts;
    let batch = |shown: &Shown| match shown {
        Shown::Attainment => to_batch(&facts.attainment).map(|batch| (Table::Attainment, batch)),
        Shown::Credits => to_batch(&facts.credits).map(|batch| (Table::Credits, batch)),
        Shown::Watermelons => to_batch(&facts.watermelons).map(|batch| (Table::Watermelons, batch)),
        Shown::Clocks => to_batch(&facts.clocks).map(|batch| (Table::Clocks, batch)),
        Shown::Outages => to_batch(&facts.outages).map(|batch| (Table::Outages, batch)),
        Shown::Breaches => to_batch(&facts.breaches).map(|batch| (Table::Breaches, batch)),
        Shown::Attributions => to_batch(&facts.attributions).map(|batch| (Table::Attributions, batch)),
        Shown::Transitions => to_batch(&facts.transitions).map(|batch| (Table::Transitions, batch)),
        Shown::DeadLetters => to_batch(&judged.dead_letters).map(|batch| (Table::DeadLetters, batch)),
    };
    shown.iter().map(batch).collect::<Result<_, _>>().context("cannot write the results as columns")
}

/// The columns that people read; the other formats have them all.
fn columns_for_people(table: Table) -> &'static [&'static str] {
    match table {
        Table::Attainment => &[
            "agreement",
            "service",
            "objective",
            "window_start",
            "finality",
            "verdict",
            "target",
            "attainment_ratio",
            "good_us",
            "bad_us",
            "unknown_us",
            "good_count",
            "total_count",
            "outage_count",
            "budget_left_us",
        ],
        Table::Credits => &[
            "agreement",
            "service",
            "window_start",
            "finality",
            "currency",
            "minor_digits",
            "charge_minor",
            "credit_ratio",
            "credit_minor",
            "limited_by",
            "detail",
        ],
        Table::Watermelons => {
            &["agreement", "customer", "service", "objective", "window_start", "target", "met_count", "unknown_count"]
        }
        Table::Clocks => &[
            "agreement",
            "objective",
            "service",
            "ticket",
            "priority",
            "started_at",
            "stopped_at",
            "due_at",
            "elapsed_us",
            "paused_us",
            "target_us",
            "verdict",
        ],
        Table::Outages => &["service", "started_at", "ended_at", "duration_us", "causes"],
        Table::Breaches => {
            &["event", "scope", "agreement", "service", "objective", "ticket", "window_start", "at", "detail"]
        }
        Table::Attributions => &[
            "agreement",
            "service",
            "objective",
            "ticket",
            "window_start",
            "supporting_agreement",
            "supporting_service",
            "spent_us",
            "total_us",
            "spent_count",
            "total_count",
            "budget_us",
        ],
        Table::Transitions => &["service", "at", "state", "causes"],
        _ => &["topic", "offset", "reason", "detail"],
    }
}

fn print_tables(tables: &[(Table, RecordBatch)]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    for (table, batch) in tables {
        let names = columns_for_people(*table);
        let places = names.iter().map(|name| batch.schema().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        writeln!(output, "{}: {}", table.name(), definitions::counted(batch.num_rows(), "row"))?;
        if batch.num_rows() > 0 {
            output.write_all(&encode_batch(&batch.project(&places)?, AnswerFormat::Table)?)?;
        }
    }
    Ok(())
}

fn print_json(tables: &[(Table, RecordBatch)]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    write!(output, "{{")?;
    for (index, (table, batch)) in tables.iter().enumerate() {
        write!(output, "{}\n\"{}\": ", if index == 0 { "" } else { "," }, table.name())?;
        output.write_all(encode_batch(batch, AnswerFormat::Json)?.trim_ascii_end())?;
    }
    writeln!(output, "\n}}")?;
    Ok(())
}

fn print_csv(tables: &[(Table, RecordBatch)]) -> Result<()> {
    for (_, batch) in tables {
        std::io::stdout().lock().write_all(&encode_batch(batch, AnswerFormat::Csv)?)?;
    }
    Ok(())
}

fn write_parquet(tables: &[(Table, RecordBatch)], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (table, batch) in tables {
        let path = folder.join(format!("{}.parquet", table.name()));
        let file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
        writer.write(batch)?;
        writer.close()?;
        println!("{}: {}", path.display(), definitions::counted(batch.num_rows(), "row"));
    }
    Ok(())
}
