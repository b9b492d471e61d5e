//! `plimsoll dead-letters replay`: open dead letters that can be used now are handed to the worker, to be taken again.
//!
//! Nothing is folded here: requests go to a log that the group's workers read (docs/decisions/0047-dead-letters-again.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result, bail};
use plimsoll_aggregate::definitions::keep;
use plimsoll_ingest::retry;
use plimsoll_lake::Lake;
use plimsoll_query::{Limits, QueryService};
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::table::DeadLetterRow;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::Which;
use crate::commands::run::{properties_of, property};
use crate::definitions;
use crate::pipeline::sources;
use crate::retries::{self, Request, requests};
use crate::threads::Threads;

/// How long a record may take to be read again.
const RECORD_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often a request may lose its number to another command before something must be wrong.
const RACES_MAX: usize = 100;

/// Where the mended mapping is, and where long records are.
#[derive(clap::Args)]
pub struct Replay {
    #[command(flatten)]
    which: Which,
    /// The folder of definitions, with the mapping as it is now
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// The brokers from which records are read again of which the table holds the beginning only
    #[arg(long, value_name = "HOST:PORT", env = "PLIMSOLL_BOOTSTRAP")]
    bootstrap: Option<String>,
    /// A property of the Kafka client, e.g. security.protocol=SASL_SSL; may be given many times
    #[arg(long = "property", short = 'X', value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// A file of such properties, one NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    properties_file: Option<PathBuf>,
}

/// What became of the letters that were looked at.
#[derive(Default)]
struct Found {
    /// With their whole records, and usable.
    usable: Vec<DeadLetterRow>,
    /// How many cannot be used by this mapping either, by reason.
    unusable: BTreeMap<&'static str, usize>,
    /// Of how many the table holds the beginning only, and no broker was named.
    cut: usize,
    /// How many of these Kafka has no longer.
    gone: usize,
}

/// Hands over what can be used, and says what cannot.
pub fn run(arguments: &Replay, threads: &Threads) -> Result<ExitCode> {
    let definitions = definitions::read(&arguments.definitions)?;
    let sources = sources(&definitions);
    let runtime = &threads.waiting;
    let lake = runtime.block_on(Lake::open_existing(&arguments.which.lake))?;
    // All of them are one question.
    let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
    let service = runtime.block_on(QueryService::open(lake.clone(), limits, threads.questions()))?;
    let mut handed_over = 0;
    for _ in 0..RACES_MAX {
        let (letters, first) = runtime.block_on(open_letters(&lake, &service, &arguments.which))?;
        let found = look(letters, &sources, arguments)?;
        if runtime.block_on(hand_over(&lake, first, &found.usable, &definitions, &mut handed_over))? {
            tell(&found, handed_over);
            return Ok(ExitCode::SUCCESS);
        }
    }
    bail!("other commands ask for dead letters all the time; try again when they are done")
}

/// The open letters that no request names yet, and the number of the next request.
async fn open_letters(lake: &Lake, service: &QueryService, which: &Which) -> Result<(Vec<DeadLetterRow>, i64)> {
    // Requests first: what is taken again meanwhile is then named by a request or is open no more.
    let taken = service.taken_retries().await?;
    let letters = service.open_dead_letters(&which.condition()).await?;
    let next = lake.next_retry().await?;
    let mut named = BTreeSet::new();
    for number in (0..next).filter(|number| !taken.contains(number)) {
        let request = retries::read(lake, number).await?;
        let request = request.with_context(|| format!("request {number} is missing; restore _plimsoll/retries"))?;
        named.extend(request.letters.iter().map(place));
    }
    Ok((letters.into_iter().filter(|letter| !named.contains(&place(letter))).collect(), next))
}

/// What names one row of a letter.
fn place(letter: &DeadLetterRow) -> (String, i32, i64, i64) {
    (letter.topic.clone(), letter.partition, letter.offset, letter.epoch)
}

/// Puts requests under the next numbers, and counts their letters. False when another command was faster with a number.
async fn hand_over(
    lake: &Lake,
    first: i64,
    usable: &[DeadLetterRow],
    by: &Definitions,
    count: &mut usize,
) -> Result<bool> {
    for (number, letters) in (first..).zip(requests(usable.to_vec())) {
        let (definitions, handed_over) = (keep(lake, by).await?, letters.len());
        if !retries::put(lake, number, &Request { definitions, letters }).await? {
            return Ok(false);
        }
        *count += handed_over;
    }
    Ok(true)
}

/// Finds out which of them can be used now.
fn look(letters: Vec<DeadLetterRow>, sources: &[Arc<Source>], arguments: &Replay) -> Result<Found> {
    let mut found = Found::default();
    let mut whole = Vec::new();
    let mut kafka = None;
    for mut letter in letters {
        if letter.payload_bytes > letter.payload.len() as i64 {
            let Some(bootstrap) = &arguments.bootstrap else {
                found.cut += 1;
                continue;
            };
            if kafka.is_none() {
                kafka = Some(client(bootstrap, arguments)?);
            }
            match kafka.as_ref().map(|kafka| record(kafka, &letter)).transpose()?.flatten() {
                Some(payload) => letter.payload = payload,
                None => {
                    found.gone += 1;
                    continue;
                }
            }
        }
        whole.push(letter);
    }
    for letters in requests(whole) {
        let refused = retry(sources, 0, letters.clone())?.dead_letters;
        for letter in &refused {
            *found.unusable.entry(letter.reason.code()).or_default() += 1;
        }
        let is_refused = |row: &DeadLetterRow| refused.iter().any(|letter| letter.offset == row.offset);
        found.usable.extend(letters.into_iter().filter(|row| !is_refused(row)));
    }
    Ok(found)
}

fn client(bootstrap: &str, arguments: &Replay) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    if let Some(path) = &arguments.properties_file {
        config.extend(properties_of(path)?);
    }
    config.extend(arguments.properties.clone());
    // The group is never joined: partitions are assigned by hand, and nothing is committed.
    config.set("bootstrap.servers", bootstrap).set("group.id", "plimsoll-dead-letters");
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    config.create().context("cannot make a kafka client")
}

/// The whole record of a letter; `None` when Kafka has it no longer.
fn record(kafka: &BaseConsumer, letter: &DeadLetterRow) -> Result<Option<Vec<u8>>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&letter.topic, letter.partition, Offset::Offset(letter.offset))?;
    kafka.assign(&list)?;
    let deadline = Moment::now() + RECORD_WAIT_MAX;
    while Moment::now() < deadline {
        match kafka.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                let payload = message.payload().unwrap_or_default();
                let is_it = message.offset() == letter.offset
                    && payload.len() as i64 == letter.payload_bytes
                    && payload.starts_with(&letter.payload);
                return Ok(is_it.then(|| payload.to_vec()));
            }
            // The end of the partition, an offset that is not there, a topic that is not.
            Some(Err(error)) if is_answer(&error) => return Ok(None),
            Some(Err(error)) => tracing::debug!(%error, "reading a record again"),
        }
    }
    let DeadLetterRow { topic, partition, offset, .. } = letter;
    bail!(
        "the record of {topic}/{partition} at offset {offset} does not come; check --bootstrap and that the broker runs"
    )
}

fn is_answer(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    let code = error.rdkafka_error_code();
    let unknown = [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::UnknownPartition];
    matches!(error, KafkaError::PartitionEOF(_))
        || code == Some(RDKafkaErrorCode::AutoOffsetReset)
        || code.is_some_and(|code| unknown.contains(&code))
}

/// Says what will be taken again, and what will not and why.
fn tell(found: &Found, handed_over: usize) {
    let letters = |count| definitions::counted(count, "dead letter");
    match handed_over {
        0 => println!("no dead letter is to be taken again"),
        count => println!("{} will be taken again by the next epoch", letters(count)),
    }
    for (reason, count) in &found.unusable {
        println!("{} cannot be used by these definitions either: {reason}", letters(*count));
    }
    if found.cut > 0 {
        println!(
            "{} of which the table holds 16 KiB only; read them from kafka again with --bootstrap",
            letters(found.cut)
        );
    }
    if found.gone > 0 {
        println!(
            "{} cannot be had any more: the table holds 16 KiB of them, and kafka deleted the rest",
            letters(found.gone)
        );
    }
}
