//! `plimsoll backtest`: what a draft would have come to, had it been in force, beside the agreement that was.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::NaiveDate;
use clap::ValueEnum;
use plimsoll_engine::backtest::{Compared, NotJudged, as_if_in_force, beside, in_force_of};
use plimsoll_query::{Format as AnswerFormat, encode_batch};
use plimsoll_schemas::definition::{Agreement, Definitions};
use plimsoll_schemas::table::AttainmentRow;
use plimsoll_schemas::{Instant, Micros};

use crate::commands::instant;
use crate::definitions::{self, Folder, counted};
use crate::history;
use crate::judging::Judging;
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
    let mut drafted = with_draft(&arguments.definitions, &arguments.draft)?;
    drafted.agreements.retain(|agreement| is_new(agreement, &in_force));
    if drafted.agreements.is_empty() {
        bail!("{} has no agreement; give the draft of one", arguments.draft.display());
    }
    let as_of = arguments.as_of.unwrap_or_else(|| Instant::from(chrono::Utc::now()));
    let history = arguments.history.open(threads)?;
    let Some(first) = history.first(&drafted)? else { bail!("there is no event to judge the draft by") };
    let laid_out = as_if_in_force(drafted.agreements, arguments.from, first, as_of);
    for NotJudged { agreement, version, because } in &laid_out.not_judged {
        eprintln!("warning: version {version} of {agreement} is not judged: {because}");
    }
    drafted.agreements = laid_out.agreements;
    let (mut draft, mut current) = (Judging::new(&drafted, as_of), Judging::new(&in_force, as_of));
    history.read(&drafted, &mut |delivery| {
        current.fold(delivery.clone())?;
        draft.fold(delivery)
    })?;
    draft.tell();
    print(&beside(draft.finish().facts.attainment, &current.finish().facts.attainment), arguments.format)?;
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

/// Whether an agreement's version is none that is in force.
fn is_new(agreement: &Agreement, in_force: &Definitions) -> bool {
    let is_same = |known: &Agreement| known.id == agreement.id && known.version == agreement.version;
    !in_force.agreements.iter().any(is_same)
}

/// A result of the draft, and one that stands beside it, if there is one.
type Pair<'a> = (&'a AttainmentRow, Option<&'a AttainmentRow>);

/// One of the two.
type Side = for<'a> fn(&Pair<'a>) -> Option<&'a AttainmentRow>;

/// A line for each result of the draft and each that stands beside it.
fn pairs(compared: &[Compared]) -> Vec<Pair<'_>> {
    let mut pairs = Vec::new();
    for Compared { draft, in_force } in compared {
        pairs.extend(in_force.iter().map(|row| (draft, Some(row))));
        pairs.extend(in_force.is_empty().then_some((draft, None)));
    }
    pairs
}

fn print(compared: &[Compared], format: Format) -> Result<()> {
    let pairs = &pairs(compared);
    let mut output = std::io::stdout().lock();
    match format {
        Format::Table => {
            writeln!(output, "{}", counted(compared.len(), "window"))?;
            if !pairs.is_empty() {
                output.write_all(&encode_batch(&for_people(pairs)?, AnswerFormat::Table)?)?;
            }
        }
        Format::Json => output.write_all(&encode_batch(&columns(pairs)?, AnswerFormat::Json)?)?,
        Format::Csv => output.write_all(&encode_batch(&columns(pairs)?, AnswerFormat::Csv)?)?,
    }
    summarise(compared);
    Ok(())
}

/// How often each promise would have been kept and was, on standard error.
fn summarise(compared: &[Compared]) {
    let mut promises: BTreeMap<(&str, &str, &str), Vec<&Compared>> = BTreeMap::new();
    for one in compared {
        promises.entry((&*one.draft.agreement, &*one.draft.service, &*one.draft.objective)).or_default().push(one);
    }
    for ((agreement, service, objective), compared) in promises {
        let draft = verdicts(compared.iter().map(|one| &one.draft));
        let in_force = verdicts(in_force_of(compared.into_iter()).into_iter());
        eprintln!("{agreement}, {service}, {objective}: draft {draft}; in force {in_force}");
    }
}

/// `3 breached, 9 met`.
fn verdicts<'a>(rows: impl Iterator<Item = &'a AttainmentRow>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(&*row.verdict).or_default() += 1;
    }
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect::<Vec<_>>().join(", ")
}

/// What people read: values in words.
fn for_people(pairs: &[Pair<'_>]) -> Result<RecordBatch> {
    let of_draft = |of: fn(&AttainmentRow) -> String| text(pairs, |(draft, _)| Some(of(draft)));
    let of_other = |of: fn(&AttainmentRow) -> String| text(pairs, |(_, in_force)| in_force.map(of));
    Ok(RecordBatch::try_from_iter([
        ("agreement", of_draft(|row| row.agreement.to_string())),
        ("version", of_draft(|row| row.agreement_version.to_string())),
        ("service", of_draft(|row| row.service.to_string())),
        ("objective", of_draft(|row| row.objective.to_string())),
        ("window_start", time(pairs, |row| row.window_start)),
        ("draft_segment", of_draft(segment)),
        ("draft_target", of_draft(|row| row.target.to_string())),
        ("draft_measured", of_draft(measured)),
        ("draft_verdict", of_draft(|row| row.verdict.to_string())),
        ("in_force", of_other(|row| row.agreement.to_string())),
        ("in_force_version", of_other(|row| row.agreement_version.to_string())),
        ("in_force_segment", of_other(segment)),
        ("in_force_target", of_other(|row| row.target.to_string())),
        ("in_force_measured", of_other(measured)),
        ("in_force_verdict", of_other(|row| row.verdict.to_string())),
    ])?)
}

/// The part of the window that is judged; empty when it is all of it.
fn segment(row: &AttainmentRow) -> String {
    match (row.segment_start, row.segment_end) {
        (start, end) if (start, end) == (row.window_start, row.window_end) => String::new(),
        (start, end) => format!("{start}/{end}"),
    }
}

/// What was measured, in the unit of the target; empty when nothing was.
fn measured(row: &AttainmentRow) -> String {
    let share = row.value_ratio.map(|decimal| decimal.0.to_string());
    let time = row.value_us.map(|time| Micros(time).to_string());
    share.or(time).or(row.value_count.map(|count| count.to_string())).unwrap_or_default()
}

/// What programs read: units in the names.
fn columns(pairs: &[Pair<'_>]) -> Result<RecordBatch> {
    let mut columns = vec![
        ("window_start".to_owned(), time(pairs, |row| row.window_start), false),
        ("window_end".to_owned(), time(pairs, |row| row.window_end), false),
        ("service".to_owned(), text(pairs, |(draft, _)| Some(draft.service.to_string())), false),
        ("objective".to_owned(), text(pairs, |(draft, _)| Some(draft.objective.to_string())), false),
    ];
    let sides: [(&str, Side); 2] = [("draft", |pair| Some(pair.0)), ("in_force", |pair| pair.1)];
    for (side, row_of) in sides {
        let words = |of: fn(&AttainmentRow) -> String| text(pairs, |pair| row_of(pair).map(of));
        let numbers = |of: fn(&AttainmentRow) -> Option<i64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter(pairs.iter().map(|pair| row_of(pair).and_then(of))))
        };
        let instants = |of: fn(&AttainmentRow) -> Instant| -> ArrayRef {
            let times = pairs.iter().map(|pair| row_of(pair).map(|row| of(row).0));
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
        };
        let ratios = pairs.iter().map(|pair| row_of(pair)?.value_ratio.map(|decimal| i128::from(decimal.0.0)));
        let ratios = Decimal128Array::from_iter(ratios).with_precision_and_scale(18, 9)?;
        for (name, column) in [
            ("agreement", words(|row| row.agreement.to_string())),
            ("agreement_version", numbers(|row| Some(row.agreement_version.into()))),
            ("segment_start", instants(|row| row.segment_start)),
            ("segment_end", instants(|row| row.segment_end)),
            ("target", words(|row| row.target.to_string())),
            ("verdict", words(|row| row.verdict.to_string())),
            ("finality", words(|row| row.finality.to_string())),
            ("value_ratio", Arc::new(ratios) as ArrayRef),
            ("value_us", numbers(|row| row.value_us)),
            ("value_count", numbers(|row| row.value_count)),
            ("bad_us", numbers(|row| Some(row.bad_us))),
            ("unknown_us", numbers(|row| Some(row.unknown_us))),
        ] {
            columns.push((format!("{side}_{name}"), column, true));
        }
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn text(pairs: &[Pair<'_>], of: impl Fn(&Pair<'_>) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(pairs.iter().map(of)))
}

fn time(pairs: &[Pair<'_>], of: impl Fn(&AttainmentRow) -> Instant) -> ArrayRef {
    let times = pairs.iter().map(|(draft, _)| of(draft).0);
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}
