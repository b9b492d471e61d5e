//! `plimsoll rebuild`: the tables of a damaged lake made anew in another one, from what it has recorded.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_aggregate::WorkerSettings;
use plimsoll_aggregate::rebuild::{Rebuild, StoredEpochs, StoredInput};
use plimsoll_aggregate::worker::{EPOCH_ROWS_MAX, REMEMBERED};
use plimsoll_engine::shards::Shard;
use plimsoll_lake::Lake;
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
    ensure!(arguments.lake != arguments.into, "--into names the lake itself; name a place where nothing is yet");
    let runtime = threads.waiting.handle();
    let from = runtime.block_on(Lake::open_damaged(&arguments.lake))?;
    let groups = runtime.block_on(from.groups())?;
    let mut groups = groups.into_iter();
    let group = match (groups.next(), groups.next()) {
        (Some(group), None) => group,
        (None, _) => bail!("nothing was recorded in {}; there is nothing to make anew", arguments.lake),
        (Some(one), Some(other)) => {
            bail!("{} is kept by several groups ({one}, {other}, ...); rebuild is for lakes of one", arguments.lake)
        }
    };
    let into = runtime.block_on(Lake::open(&arguments.into))?;
    let settings = WorkerSettings {
        group,
        shard: Shard::WHOLE,
        lanes: 1,
        epoch_interval: Duration::ZERO,
        epoch_rows_max: EPOCH_ROWS_MAX,
        publish_interval: Duration::ZERO,
        snapshot_every: SNAPSHOT_EVERY,
        remembered: REMEMBERED,
        clock: Arc::new(|| Instant::from(chrono::Utc::now())),
    };
    let service = runtime.block_on(QueryService::open(from.clone(), Limits::default(), threads.questions()))?;
    let tables = Tables {
        lake: from.clone(),
        service: Arc::new(service),
        waiting: runtime.clone(),
        questions: threads.questions(),
    };
    let rebuild = runtime.block_on(Rebuild::begin(&from, into, settings))?;
    let rebuild = rebuild.context("no epoch is recorded")?;
    let count = rebuild.epochs_count();
    let mut last = 0;
    rebuild.run(runtime, &mut Recorded(tables), |epoch| last = epoch)?;
    println!(
        "made {} anew in {}, up to epoch {last}; check it with `plimsoll doctor`, then let it take the place of {}",
        counted(count, "epoch"),
        arguments.into,
        arguments.lake
    );
    Ok(ExitCode::SUCCESS)
}

/// What the old tables hold.
struct Recorded(Tables);

impl StoredInput for Recorded {
    type Error = anyhow::Error;

    fn epochs(&mut self, first: i64, last: i64) -> Result<StoredEpochs> {
        self.0.epochs(first, last)
    }

    fn recount(&mut self, before: HashMap<PartitionId, i64>, take: &mut dyn FnMut(&EventBatch)) -> Result<()> {
        self.0.events(before, take)
    }
}

/// What these epochs took, as it is stored.
///
/// # Errors
/// When the tables cannot be read.
pub async fn stored_epochs(service: &QueryService, first: i64, last: i64) -> Result<StoredEpochs> {
    let mut found = StoredEpochs::new();
    let mut requests = Requests::new();
    for StoredEvents { epoch, partition, retry, events } in service.events_of_epochs(first, last).await? {
        match retry {
            Some(number) => requests.entry((epoch, number)).or_default().0 = Some(events),
            None => found.entry((epoch, partition)).or_default().events.push(events),
        }
    }
    let mut letters = service.dead_letters_of_epochs(first, last).await?;
    letters.sort_by_key(|row| (row.epoch, row.offset));
    for row in letters {
        let partition = PartitionId { topic: row.topic.as_str().into(), partition: row.partition };
        match row.retry {
            Some(number) => requests.entry((row.epoch, number)).or_default().1.push(row),
            None => found.entry((row.epoch, partition)).or_default().dead_letters.push(letter(row)?),
        }
    }
    for ((epoch, number), (events, rows)) in requests {
        let request = request(number, events, rows)?;
        found.entry((epoch, PartitionId::retries())).or_default().requests.push(request);
    }
    Ok(found)
}

/// What became of each request of each epoch: the events that counted, and a row for each of its dead letters.
type Requests = BTreeMap<(i64, i64), (Option<EventBatch>, Vec<DeadLetterRow>)>;

/// A request as it was delivered, but for events that did not count.
fn request(number: i64, events: Option<EventBatch>, rows: Vec<DeadLetterRow>) -> Result<Delivery> {
    let first = rows.first().context("a request has no row in dead_letters")?;
    let partition = PartitionId { topic: first.topic.as_str().into(), partition: first.partition };
    let refused = rows.iter().filter(|row| row.outcome.is_none()).cloned();
    Ok(Delivery {
        from_offset: number,
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
