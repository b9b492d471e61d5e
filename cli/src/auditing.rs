//! From a result to the definitions, facts and events that it stands on, and whether it follows from them (R26), as it is
//! asked on the command line and over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use plimsoll_aggregate::replay::{History, Replay};
use plimsoll_engine::evidence::{Evidence, Facts};
use plimsoll_engine::portfolio::{ObjectiveKey, Portfolio};
use plimsoll_engine::window::Window;
use plimsoll_lake::Damage;
use plimsoll_query::{Asked, Format, QueryService, StoredEvents, encode_batch, texts};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::{EventBatch, event_schema};
use plimsoll_schemas::table::{AttainmentRow, to_batch};

use crate::commands::instant;
use crate::definitions::counted;

/// How many rows of a kind are shown to people.
const ROWS_SHOWN_MAX: usize = 50;

/// Which result is meant.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Question {
    /// The agreement
    #[arg(long, value_name = "ID")]
    pub agreement: String,
    /// The service
    #[arg(long, value_name = "ID")]
    pub service: String,
    /// The objective
    #[arg(long, value_name = "ID")]
    pub objective: String,
    /// The window: its window_start, or an instant within it; RFC 3339 or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub window: Instant,
    /// The agreement's version, where several have results for the window
    #[arg(long, value_name = "NUMBER")]
    pub agreement_version: Option<i32>,
    /// The revision. Default: the newest
    #[arg(long, value_name = "NUMBER")]
    pub revision: Option<i32>,
    /// The row that this epoch wrote. Default: the newest
    #[arg(long, value_name = "NUMBER")]
    pub epoch: Option<i64>,
    /// The row as it was known then: RFC 3339 or a date in UTC. Default: the newest
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub known_at: Option<Instant>,
}

/// A question that does not mean one result.
#[derive(Debug)]
pub struct NotOne {
    /// What was asked for.
    question: Box<Question>,
    /// Versions of the agreement and starts of windows that have one each; none when nothing has.
    pub found: Vec<(i32, Instant)>,
}

impl fmt::Display for NotOne {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { agreement, service, objective, window, .. } = &*self.question;
        if self.found.is_empty() {
            return write!(
                formatter,
                "no result of agreement {agreement}, service {service}, objective {objective} for a window with {window} is \
                 stored; look for it with SELECT agreement, agreement_version, service, objective, window_start, revision, \
                 epoch FROM history.attainment"
            );
        }
        let told = self.found.iter().map(|(version, start)| format!("agreement version {version}, window {start}"));
        write!(
            formatter,
            "{} results are meant; say which: {}",
            self.found.len(),
            told.collect::<Vec<_>>().join("; or ")
        )
    }
}

impl std::error::Error for NotOne {}

/// A result and all that was found out about it.
pub struct Audited {
    stored: AttainmentRow,
    /// What the same epoch says when it is made again; `None` when it says nothing of this result.
    recomputed: Option<AttainmentRow>,
    epochs_count: usize,
    events_count: usize,
    definitions: Defined,
    facts: Facts,
    /// The events with the columns of the table.
    events: RecordBatch,
    /// What it was made again from and is damaged, where another result follows.
    damages: Vec<Damage>,
}

/// Where the promise stands.
struct Defined {
    /// Of all definitions, as the lake keeps them.
    digest: String,
    /// File and line; `None` when the version is no longer defined, and what is audited takes its result back.
    place: Option<String>,
    in_force: Option<Window>,
}

/// Audits a result of a lake. All that was ever stored of a service may be one answer, so the service has no limit of rows.
///
/// # Errors
/// `NotOne` when not exactly one result is meant; and when the tables cannot be read.
pub async fn audit(question: &Question, service: &QueryService) -> Result<Audited> {
    let stored = question.result(service).await?;
    let replay = Replay::open(service.lake(), stored.epoch).await?;
    let service = service.until_epoch(stored.epoch);
    let behind = replay.services_behind(&stored.service);
    let names: Vec<&str> = behind.iter().map(String::as_str).collect();
    let events = taken(&replay, service.events_about(&names).await?);
    let mut recomputed = None;
    let history = history(&replay, &service, &events).await?;
    replay.run(&stored.agreement, &behind, &history, |epoch, facts| {
        if epoch == stored.epoch {
            recomputed = facts.attainment.into_iter().find(|row| is_same(row, &stored));
        }
    })?;
    let Some((digest, definitions)) = replay.last_definitions() else {
        bail!("epoch {} is not recorded", stored.epoch)
    };
    let all = Facts {
        transitions: service.facts_about(&names).await?,
        outages: service.facts_about(&names).await?,
        clocks: service.facts_about(&names).await?,
    };
    let portfolio = Portfolio::new(definitions);
    let (facts, rows) = evidence(&portfolio, &stored, all, &events)?;
    let mut audited = Audited {
        definitions: defined(definitions, &portfolio, digest, &stored),
        epochs_count: replay.epochs_count(),
        events_count: events.iter().map(|stored| stored.events.num_rows()).sum(),
        stored,
        recomputed,
        facts,
        events: rows,
        damages: Vec::new(),
    };
    if !audited.is_confirmed() {
        audited.damages = service.lake().damaged_sources().await?;
    }
    Ok(audited)
}

impl Question {
    /// The one row that is asked for.
    async fn result(&self, service: &QueryService) -> Result<AttainmentRow> {
        let asked = Asked {
            agreement: self.agreement.clone(),
            service: self.service.clone(),
            objective: Some(self.objective.clone()),
            window: Some(self.window),
            version: self.agreement_version,
            revision: self.revision,
            epoch: self.epoch,
        };
        let mut rows = service.known_at(self.known_at).results(&asked).await?;
        // A window that begins then is meant before one that is under way, as rolling windows are.
        if rows.iter().any(|row| row.window_start == self.window) {
            rows.retain(|row| row.window_start == self.window);
        }
        let mut newest: BTreeMap<(i32, Instant), AttainmentRow> = BTreeMap::new();
        rows.sort_by_key(|row| (row.revision, row.epoch));
        newest.extend(rows.into_iter().map(|row| ((row.agreement_version, row.window_start), row)));
        if newest.len() != 1 {
            let question = Box::new(self.clone());
            return Err(NotOne { question, found: newest.into_keys().collect() }.into());
        }
        newest.into_values().next().context("there is one")
    }
}

/// Whether two rows have the same key.
fn is_same(one: &AttainmentRow, other: &AttainmentRow) -> bool {
    (ObjectiveKey::of(one), one.window_start) == (ObjectiveKey::of(other), other.window_start)
}

/// Stored events by the epochs that took them.
fn taken(replay: &Replay, stored: Vec<StoredEvents>) -> Vec<StoredEvents> {
    let mut taken: Vec<StoredEvents> = Vec::new();
    for stored in stored {
        let StoredEvents { partition, retry, read_at, events, .. } = &stored;
        match retry {
            Some(request) => {
                let epoch = replay.epoch_of(&PartitionId::retries(), *request);
                taken.extend(epoch.map(|epoch| StoredEvents { epoch, ..stored }));
            }
            None => taken.extend(replay.cut(partition, events).into_iter().map(|(epoch, events)| StoredEvents {
                epoch,
                partition: partition.clone(),
                retry: None,
                read_at: *read_at,
                events,
            })),
        }
    }
    taken.sort_by(|one, other| (one.epoch, &one.partition).cmp(&(other.epoch, &other.partition)));
    taken
}

/// What each epoch took of each partition.
async fn history(replay: &Replay, service: &QueryService, events: &[StoredEvents]) -> Result<History> {
    let mut history = History::new();
    for (place, newest) in service.newest_of_epochs(|id, offset| replay.folded_in(id, offset)).await? {
        history.entry(place).or_default().newest = Some(newest);
    }
    for StoredEvents { epoch, partition, retry, read_at, events } in events {
        let taken = history.entry((*epoch, partition.clone())).or_default();
        let part = if retry.is_some() { &mut taken.retried } else { &mut taken.events };
        part.push((*read_at, events.clone()));
    }
    Ok(history)
}

/// Of all facts and events those that the result stands on.
fn evidence(
    portfolio: &Portfolio,
    stored: &AttainmentRow,
    all: Facts,
    events: &[StoredEvents],
) -> Result<(Facts, RecordBatch)> {
    let segment = Window { start: stored.segment_start, end: stored.segment_end };
    let counted = events.iter().map(|stored| stored.events.counted_at(stored.read_at));
    let counted: Vec<EventBatch> = counted.collect::<Result<_, _>>()?;
    let Some(objective) = portfolio.objective_place(&ObjectiveKey::of(stored)) else {
        // A version that is there no more takes its results back, and they stand on nothing.
        return Ok((Facts::default(), with_epochs(&RecordBatch::new_empty(event_schema()), Vec::new())?));
    };
    let evidence = Evidence::new(portfolio, objective, segment);
    let facts = evidence.facts(all);
    let picked = evidence.events(&facts, &counted);
    let mut epochs = Vec::new();
    let mut parts = Vec::new();
    for (rows, stored) in picked.iter().zip(events) {
        epochs.extend(rows.iter().map(|_| stored.epoch));
        let rows = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
        parts.push(take_record_batch(stored.events.record_batch(), &rows)?);
    }
    with_epochs(&concat_batches(&event_schema(), &parts)?, epochs).map(|events| (facts, events))
}

/// Events with the epochs that took them.
fn with_epochs(events: &RecordBatch, epochs: Vec<i64>) -> Result<RecordBatch> {
    let schema = events.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let columns = names.zip(events.columns()).map(|(name, column)| (name, column.clone(), true));
    let epochs = Arc::new(Int64Array::from(epochs)) as ArrayRef;
    Ok(RecordBatch::try_from_iter_with_nullable(columns.chain([("epoch", epochs, false)]))?)
}

/// Where the promise of a result stands.
fn defined(definitions: &Definitions, portfolio: &Portfolio, digest: &str, stored: &AttainmentRow) -> Defined {
    let is_meant = |id: &str, version: u32| id == &*stored.agreement && version as i32 == stored.agreement_version;
    let agreement = definitions.agreements.iter().find(|agreement| is_meant(&agreement.id, agreement.version));
    let plan = portfolio.objectives().iter().find(|plan| is_meant(&plan.key.agreement, plan.key.version));
    Defined {
        digest: digest.to_owned(),
        place: agreement.map(|agreement| agreement.place.clone()),
        in_force: plan.map(|plan| plan.agreement.in_force),
    }
}

/// The columns of events that people read, where there is anything in them.
const EVENT_COLUMNS: [&str; 20] = [
    "epoch",
    "topic",
    "partition",
    "offset",
    "id",
    "time",
    "kind",
    "service",
    "check",
    "status",
    "latency_us",
    "ticket",
    "action",
    "state",
    "priority",
    "good_count",
    "total_count",
    "score",
    "planned_start",
    "planned_end",
];

impl Audited {
    /// Whether the result follows from what is stored.
    pub fn is_confirmed(&self) -> bool {
        self.recomputed.as_ref() == Some(&self.stored)
    }

    /// What was found out, in a line, and what may be the reason.
    fn summary(&self) -> Result<String> {
        let damaged =
            |Damage { path, what, repair }: &Damage| format!("\nit was made again from {path}, but {what}; {repair}");
        Ok(self.outcome()? + &self.damages.iter().map(damaged).collect::<String>())
    }

    fn outcome(&self) -> Result<String> {
        let of = format!("{} of {}", counted(self.events_count, "event"), counted(self.epochs_count, "epoch"));
        Ok(match &self.recomputed {
            _ if self.is_confirmed() => format!("confirmed: {of} come to the same result in every column"),
            Some(_) => {
                let differences: Vec<_> = self.columns()?.into_iter().filter(|(_, was, is)| was != is).collect();
                let told = differences.iter().map(|(name, was, is)| format!("{name} {was} is stored, {is} follows"));
                format!("DIFFERENT: of {of} follows another result: {}", told.collect::<Vec<_>>().join("; "))
            }
            None => format!("DIFFERENT: of {of} no such result follows in epoch {}", self.stored.epoch),
        })
    }

    /// Each column with the value that is stored and the one that follows.
    fn columns(&self) -> Result<Vec<(String, String, String)>> {
        let stored = to_batch(std::slice::from_ref(&self.stored))?;
        let recomputed = to_batch(self.recomputed.as_slice())?;
        let names = stored.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let follows = match self.recomputed {
            Some(_) => texts(&recomputed, 0)?,
            None => vec![String::new(); names.len()],
        };
        let columns = names.into_iter().zip(texts(&stored, 0)?).zip(follows);
        Ok(columns.map(|((name, stored), follows)| (name, stored, follows)).collect())
    }

    /// Writes it aligned, for people, or as one JSON object.
    ///
    /// # Errors
    /// When the columns do not fit together, which is a defect.
    pub fn write(&self, output: &mut impl Write, format: Format) -> Result<()> {
        match format {
            Format::Table => self.write_table(output),
            _ => self.write_json(output),
        }
    }

    fn write_table(&self, output: &mut impl Write) -> Result<()> {
        let columns =
            self.columns()?.into_iter().filter(|(_, stored, follows)| !(stored.is_empty() && follows.is_empty()));
        let (names, values): (Vec<_>, Vec<_>) =
            columns.map(|(name, stored, follows)| (name, (stored, follows))).unzip();
        let (stored, follows): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        let text = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
        let rows = [("column", text(names)), ("stored", text(stored)), ("recomputed", text(follows))];
        output.write_all(&encode_batch(&RecordBatch::try_from_iter(rows)?, Format::Table)?)?;
        let Defined { digest, place, .. } = &self.definitions;
        let place = place.as_deref().unwrap_or("none any more");
        writeln!(output, "definition: {place}, of the definitions {digest}")?;
        for (name, batch) in self.tables()? {
            writeln!(output, "{name}: {}", counted(batch.num_rows(), "row"))?;
            if batch.num_rows() > 0 {
                let shown = for_people(name, &batch)?;
                let shown = shown.slice(0, shown.num_rows().min(ROWS_SHOWN_MAX));
                output.write_all(&encode_batch(&shown, Format::Table)?)?;
            }
            if batch.num_rows() > ROWS_SHOWN_MAX {
                writeln!(output, "and {} more; --format json has them all", batch.num_rows() - ROWS_SHOWN_MAX)?;
            }
        }
        writeln!(output, "{}", self.summary()?)?;
        Ok(())
    }

    /// What the result stands on.
    fn tables(&self) -> Result<Vec<(&'static str, RecordBatch)>> {
        let Facts { transitions, outages, clocks } = &self.facts;
        let tables =
            [("transitions", to_batch(transitions)?), ("outages", to_batch(outages)?), ("clocks", to_batch(clocks)?)];
        let told = tables.into_iter().filter(|(_, batch)| batch.num_rows() > 0);
        Ok(told.chain([("events", self.events.clone())]).collect())
    }

    fn write_json(&self, output: &mut impl Write) -> Result<()> {
        let Defined { digest, place, in_force } = &self.definitions;
        let time = |instant: Option<Instant>| {
            Arc::new(TimestampMicrosecondArray::from(vec![instant.map(|instant| instant.0)]).with_timezone("UTC"))
                as ArrayRef
        };
        let maybe = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let text = |value: &str| maybe(Some(value));
        let count = |value: usize| Arc::new(Int64Array::from(vec![value as i64])) as ArrayRef;
        let until = in_force.map(|in_force| in_force.end).filter(|end| end.0 != i64::MAX);
        let definition = RecordBatch::try_from_iter_with_nullable([
            ("definitions", text(digest), false),
            ("place", maybe(place.as_deref()), true),
            ("effective_from", time(in_force.map(|in_force| in_force.start)), true),
            ("effective_until", time(until), true),
        ])?;
        let verdict = RecordBatch::try_from_iter([
            ("audit", text(if self.is_confirmed() { "confirmed" } else { "different" })),
            ("detail", text(&self.summary()?)),
            ("event_count", count(self.events_count)),
            ("epoch_count", count(self.epochs_count)),
        ])?;
        let parts = [
            ("stored", to_batch(std::slice::from_ref(&self.stored))?),
            ("recomputed", to_batch(self.recomputed.as_slice())?),
            ("definition", definition),
            ("transitions", to_batch(&self.facts.transitions)?),
            ("outages", to_batch(&self.facts.outages)?),
            ("clocks", to_batch(&self.facts.clocks)?),
            ("events", self.events.clone()),
            ("verdict", verdict),
        ];
        write!(output, "{{")?;
        for (index, (name, batch)) in parts.iter().enumerate() {
            write!(output, "{}\n\"{name}\": ", if index == 0 { "" } else { "," })?;
            output.write_all(encode_batch(batch, Format::Json)?.trim_ascii_end())?;
        }
        writeln!(output, "\n}}")?;
        Ok(())
    }
}

/// The columns that people read of a kind of rows.
fn for_people(name: &str, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns: &[&str] = match name {
        "transitions" => &["service", "at", "state", "causes", "epoch"],
        "outages" => &["service", "started_at", "ended_at", "duration_us", "causes", "epoch"],
        "clocks" => &[
            "ticket",
            "cycle",
            "started_at",
            "stopped_at",
            "due_at",
            "elapsed_us",
            "paused_us",
            "target_us",
            "verdict",
            "epoch",
        ],
        _ => &EVENT_COLUMNS,
    };
    let schema = batch.schema();
    let places = columns.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
    let filled = places.into_iter().filter(|place| batch.column(*place).logical_null_count() < batch.num_rows());
    Ok(batch.project(&filled.collect::<Vec<_>>())?)
}
