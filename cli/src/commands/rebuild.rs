//! `plimsoll rebuild`: the tables of a damaged lake made anew in another one, from what it has recorded.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_aggregate::WorkerSettings;
use plimsoll_aggregate::collector::{Losses, RecordedEpoch, Takers};
use plimsoll_aggregate::rebuild::{Rebuild, StoredEpochs, StoredInput, copy};
use plimsoll_aggregate::worker::{EPOCH_ROWS_MAX, REMEMBERED};
use plimsoll_engine::shards::Shard;
use plimsoll_lake::{Damage, Lake, damaged_sources, of_lane_group};
use plimsoll_query::{Limits, QueryService, StoredEvents};
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason, Delivery, PartitionId, Retried};
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::DeadLetterRow;

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::Tables;
use crate::definitions::counted;
use crate::pipeline::Stored;
use crate::threads::Threads;

/// Make the tables anew.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or the bucket; its events, dead letters and epochs must be whole
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// Where the new tables are to lie; a rebuild that was broken off goes on there
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    into: String,
}

/// How often the state is saved meanwhile, so that a rebuild that is broken off need not begin anew.
const SNAPSHOT_EVERY: i64 = 1_000;

/// Makes them and says how many epochs they have.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let runtime = threads.waiting.handle();
    if let Some(Damage { path, what, repair }) = runtime.block_on(damaged_sources(&arguments.lake))?.first() {
        bail!("{path}: {what}; tables made anew from it would be wrong: {repair}");
    }
    let from = runtime.block_on(Lake::open_damaged(&arguments.lake))?;
    let groups = runtime.block_on(from.groups())?;
    ensure!(!groups.is_empty(), "nothing was recorded in {}; there is nothing to make anew", arguments.lake);
    let into = runtime.block_on(from.open_anew(&arguments.into)).context("the tables cannot be made anew there")?;
    runtime.block_on(copy(&from, &into))?;
    let service = runtime.block_on(QueryService::open(from.clone(), Limits::default(), threads.questions()))?;
    let tables = Tables { lake: from.clone(), service: Arc::new(service), waiting: runtime.clone() };
    let (mut count, mut made, mut last) = (0, 0, 0);
    for name in &groups {
        let (group, number, shards) = of_lane_group(name);
        let shard = Shard::new(number, shards).with_context(|| format!("{name} is no lane group"))?;
        let rebuild = runtime.block_on(Rebuild::begin(&from, into.clone(), settings(group, shard)))?;
        let Some(rebuild) = rebuild else { continue };
        if rebuild.is_cut() {
            let who = if shard.is_whole() { "`plimsoll run`" } else { "`plimsoll aggregate`" };
            println!(
                "of the last epochs of lane group {name} not all that they read was stored; they are left out, and {who} reads \
                 their records again"
            );
        }
        count += rebuild.epochs_count();
        last = last.max(rebuild.last_epoch());
        let losses = rebuild.losses().clone();
        rebuild.run(runtime, &mut Recorded { tables: &tables, shard, losses }, |_| made += 1)?;
    }
    let there = match count - made {
        0 => String::new(),
        there => format!(" (of {there} more there was the state already)"),
    };
    println!(
        "made {} anew in {}, up to epoch {last}{there}; check it with `plimsoll doctor`, then let it take the place of {}",
        counted(made, "epoch"),
        arguments.into,
        arguments.lake
    );
    Ok(ExitCode::SUCCESS)
}

fn settings(group: &str, shard: Shard) -> WorkerSettings {
    WorkerSettings {
        group: group.to_owned(),
        shard,
        lanes: 1,
        epoch_interval: Duration::ZERO,
        epoch_rows_max: EPOCH_ROWS_MAX,
        publish_interval: Duration::ZERO,
        snapshot_every: SNAPSHOT_EVERY,
        remembered: REMEMBERED,
        clock: Arc::new(|| Instant::from(chrono::Utc::now())),
    }
}

/// What the old tables hold of the epochs of a shard.
struct Recorded<'a> {
    tables: &'a Tables,
    shard: Shard,
    losses: Losses,
}

impl StoredInput for Recorded<'_> {
    type Error = anyhow::Error;

    fn epochs(&mut self, epochs: &[&RecordedEpoch]) -> Result<StoredEpochs> {
        self.tables.epochs(self.shard, epochs, &self.losses)
    }

    fn recount(&mut self, before: HashMap<PartitionId, i64>, take: &mut dyn FnMut(&EventBatch)) -> Result<()> {
        self.tables.events(before, take)
    }
}

/// What these epochs took, as it is stored.
///
/// # Errors
/// When the tables cannot be read.
pub async fn stored_epochs(service: &QueryService, first: i64, last: i64) -> Result<StoredEpochs> {
    gathered(service.events_of_epochs(first, last).await?, service.dead_letters_of_epochs(first, last).await?)
}

/// The same of epochs of a shard. Rows tell the epoch of whoever stored them, so they are found by what these epochs read,
/// without what they lost.
///
/// # Errors
/// As `stored_epochs`.
pub async fn epochs_of_shard(
    service: &QueryService,
    epochs: &[&RecordedEpoch],
    losses: &Losses,
) -> Result<StoredEpochs> {
    let takers = Takers::of(epochs.iter().copied());
    let epoch_of = |id: &PartitionId, offset| {
        let place = takers.place_of(id, offset).filter(|_| !losses.has(id, offset))?;
        Some(epochs[place].epoch)
    };
    let events = service.events_within(&takers.spans(), epoch_of).await?;
    let mut letters = service.dead_letters_within(&takers.spans()).await?;
    letters.retain_mut(|row| {
        let epoch = match row.retry {
            Some(number) => epoch_of(&PartitionId::retries(), number),
            None => epoch_of(&place(row), row.offset),
        };
        row.epoch = epoch.unwrap_or_default();
        epoch.is_some()
    });
    gathered(events, letters)
}

fn gathered(events: Vec<StoredEvents>, mut letters: Vec<DeadLetterRow>) -> Result<StoredEpochs> {
    let mut found = StoredEpochs::new();
    let mut requests = Requests::new();
    for StoredEvents { epoch, partition, retry, read_at, events } in events {
        match retry {
            Some(number) => requests.entry((epoch, number)).or_default().0 = Some((read_at, events)),
            None => found.entry((epoch, partition)).or_default().events.push((read_at, events)),
        }
    }
    letters.sort_by_key(|row| (row.epoch, row.offset));
    for row in letters {
        match row.retry {
            Some(number) => requests.entry((row.epoch, number)).or_default().1.push(row),
            None => found.entry((row.epoch, place(&row))).or_default().dead_letters.push(letter(row)?),
        }
    }
    // What became of a request is told by the first shard; where a crash came between, it is not known yet.
    for ((epoch, number), (events, rows)) in requests.into_iter().filter(|(_, (_, rows))| !rows.is_empty()) {
        let request = request(number, events, rows)?;
        found.entry((epoch, PartitionId::retries())).or_default().requests.push(request);
    }
    Ok(found)
}

/// The partition in which the record of a dead letter stood.
fn place(row: &DeadLetterRow) -> PartitionId {
    PartitionId { topic: row.topic.as_str().into(), partition: row.partition }
}

/// What became of each request of each epoch: the events that counted and when they were read, and a row for each of its
/// dead letters.
type Requests = BTreeMap<(i64, i64), (Option<(Instant, EventBatch)>, Vec<DeadLetterRow>)>;

/// A request as it was delivered, but for events that did not count.
fn request(number: i64, events: Option<(Instant, EventBatch)>, rows: Vec<DeadLetterRow>) -> Result<Delivery> {
    let first = rows.first().context("a request has no row in dead_letters")?;
    let partition = place(first);
    let refused = rows.iter().filter(|row| row.outcome.is_none()).cloned();
    let (read_at, events) = events.unzip();
    Ok(Delivery {
        from_offset: number,
        read_at,
        events: events.unwrap_or_else(EventBatch::empty),
        dead_letters: refused.map(letter).collect::<Result<_>>()?,
        retried: Some(Retried { partition, rows }),
        ..Delivery::news(PartitionId::retries(), number + 1, None)
    })
}

/// A dead letter as its source had told it.
fn letter(row: DeadLetterRow) -> Result<DeadLetter> {
    let reason = DeadLetterReason::of_code(&row.reason);
    Ok(DeadLetter {
        offset: row.offset,
        source: row.source.into(),
        reason: reason.ok_or_else(|| anyhow!("a dead letter has the reason {}, which there is not", row.reason))?,
        detail: row.detail,
        payload: row.payload,
        payload_bytes: row.payload_bytes,
        record_time: row.record_time,
    })
}
