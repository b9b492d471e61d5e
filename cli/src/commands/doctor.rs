//! `plimsoll doctor`: whether everything that a pipeline stands on is there and whole, and what to do where it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use clap::builder::NonEmptyStringValueParser;
use futures::TryStreamExt;
use plimsoll_ingest::exchange::shards_topic;
use plimsoll_ingest::kafka::{KafkaSettings, changed_topics};
use plimsoll_lake::{Inspection, Lake, inspect, of_lane_group, try_write};
use plimsoll_query::{Limits, QueryService};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::{Instant, Micros};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::commands::DEFAULT_LAKE;
use crate::commands::run::Connection;
use crate::definitions::{Folder, counted};
use crate::pipeline::{client, partitions_of};
use crate::threads::Threads;

/// Check the tables, the definitions, Kafka and the clock.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with the tables, or the bucket
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAKE, env = "PLIMSOLL_LAKE", value_parser = NonEmptyStringValueParser::new())]
    lake: String,
    /// The folder of definitions; their sources say which topics are looked at
    #[arg(long, short = 'd', value_name = "DIR")]
    definitions: Option<PathBuf>,
    /// Look only whether files are there and have their size, instead of reading them
    #[arg(long)]
    quick: bool,
    /// Do not try whether the tables can be written
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    kafka: Connection,
}

/// How long a broker may take to say where a partition begins and ends.
const WATERMARKS_WAIT_MAX: Duration = Duration::from_secs(10);

/// How far the clock may be behind the newest recorded tick: clocks of machines differ by less.
const CLOCK_TOLERANCE: Micros = Micros(60_000_000);

/// How far the watermark may be behind the newest epoch before somebody should know: much longer than the lateness that
/// sources usually declare.
const WATERMARK_TOLERANCE: Micros = Micros(10 * 60_000_000);

/// How grave something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Good,
    /// Nothing is broken, but somebody should know.
    Notice,
    Fault,
}

/// Everything that was found out, in the order in which it was.
#[derive(Default)]
struct Findings(Vec<(Weight, &'static str, String)>);

impl Findings {
    fn add(&mut self, weight: Weight, about: &'static str, what: impl Into<String>) {
        self.0.push((weight, about, what.into()));
    }

    fn faults(&self) -> usize {
        self.0.iter().filter(|(weight, ..)| *weight == Weight::Fault).count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (weight, about, what) in &self.0 {
            let weight = match weight {
                Weight::Good => "ok",
                Weight::Notice => "notice",
                Weight::Fault => "FAULT",
            };
            writeln!(formatter, "{weight:<7} {about:<12} {what}")?;
        }
        Ok(())
    }
}

/// Prints what was found, a line each. Exits 1 when there is a fault.
pub fn run(arguments: &Arguments, threads: &Threads) -> Result<ExitCode> {
    let mut findings = Findings::default();
    let (mut read, mut readers) = (Read::default(), BTreeSet::new());
    match threads.waiting.block_on(inspect(&arguments.lake, !arguments.quick)) {
        Ok(inspection) => {
            tell_lake(&mut findings, &arguments.lake, &inspection);
            readers.extend(inspection.epochs.keys().flat_map(|group| Readers::of(group)));
            if !arguments.read_only
                && let Err(error) = threads.waiting.block_on(try_write(&arguments.lake))
            {
                findings.add(Weight::Fault, "lake", error.to_string());
            }
            if inspection.damages.is_empty() {
                let asked = threads.waiting.block_on(ask_tables(&mut findings, &arguments.lake, threads));
                read = asked.unwrap_or_else(|error| {
                    findings.add(Weight::Fault, "tables", format!("{error:#}"));
                    Read::default()
                });
            }
        }
        Err(error) => findings.add(Weight::Fault, "lake", error.to_string()),
    }
    if let Some(folder) = &arguments.definitions {
        let definitions = Folder::read(folder)?.definitions();
        match &definitions {
            Ok(found) => {
                let (services, agreements) = (found.services.len(), found.agreements.len());
                let counts = format!("{}, {}", counted(services, "service"), counted(agreements, "agreement"));
                findings.add(Weight::Good, "definitions", format!("{}: {counts}", folder.display()));
                let settings = arguments.kafka.settings("plimsoll-doctor")?;
                let sources: Vec<_> = found.sources.values().cloned().map(Arc::new).collect();
                let partitions = partitions_of(&settings, &sources);
                let told = partitions.and_then(|ids| {
                    let passed_on = readers.iter().find(|readers| readers.role == Role::Ingest);
                    let passed_on =
                        passed_on.map(|readers| passed_on_by(&settings, &readers.group, &ids)).transpose()?;
                    tell_kafka(&mut findings, &settings, &ids, &read.positions, &passed_on.unwrap_or_default())?;
                    read.topic_ids.retain(|topic, _| ids.iter().any(|id| id.topic == *topic));
                    tell_topics(&mut findings, &settings, &read.topic_ids)?;
                    readers.iter().try_for_each(|readers| tell_group(&mut findings, &settings, readers, &ids))
                });
                if let Err(error) = told {
                    findings.add(Weight::Fault, "kafka", format!("{error:#}"));
                }
            }
            Err(problems) => {
                for problem in problems {
                    findings.add(Weight::Fault, "definitions", problem.to_string());
                }
            }
        }
    }
    print!("{findings}");
    match findings.faults() {
        0 => Ok(ExitCode::SUCCESS),
        count => {
            println!("{}", counted(count, "fault"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn tell_lake(findings: &mut Findings, location: &str, inspection: &Inspection) {
    let Inspection { tables, damages, epochs, snapshots, .. } = inspection;
    let files: usize = tables.iter().map(|table| table.files_count).sum();
    let bytes: u64 = tables.iter().map(|table| table.size_bytes).sum();
    if damages.is_empty() {
        let (tables, files) = (counted(tables.len(), "table"), counted(files, "file"));
        findings.add(Weight::Good, "lake", format!("{location}: {tables}, {files}, {bytes} bytes, all whole"));
    }
    for (group, epoch) in epochs {
        let saved = match snapshots.get(group) {
            Some(saved) => format!("the state of epoch {saved} is saved"),
            None => "no state is saved".to_owned(),
        };
        findings.add(Weight::Good, "epochs", format!("group {group} is at epoch {epoch}; {saved}"));
    }
    for damage in damages {
        findings.add(Weight::Fault, "lake", format!("{}: {}; {}", damage.path, damage.what, damage.repair));
    }
}

/// What the tables say was read.
#[derive(Default)]
struct Read {
    /// Where each partition goes on.
    positions: BTreeMap<PartitionId, i64>,
    /// The id that each topic had, where Kafka told it.
    topic_ids: BTreeMap<Arc<str>, Arc<str>>,
}

/// What the tables know of trouble, and what was read.
async fn ask_tables(findings: &mut Findings, location: &str, threads: &Threads) -> Result<Read> {
    let lake = Lake::open_existing(location).await?;
    let shards = lake.claimed().await?.map_or(1, |claim| claim.shards);
    let service = QueryService::open(lake, Limits::default(), threads.questions()).await?;
    let newest = "SELECT max(tick) FROM history.epochs";
    let ticks: Vec<_> = service.sql(newest).await?.try_collect().await?;
    let tick =
        ticks.iter().flat_map(|batch| batch.column(0).as_primitive::<TimestampMicrosecondType>().iter()).flatten();
    if let Some(tick) = tick.max().map(Instant) {
        let now = Instant::from(chrono::Utc::now());
        if tick - now > CLOCK_TOLERANCE {
            let told = format!("it is {now}, but the newest epoch says {tick}; set this machine's clock right (NTP)");
            findings.add(Weight::Fault, "clock", told);
        } else {
            findings.add(Weight::Good, "clock", format!("it is {now}; the newest epoch is of {tick}"));
        }
    }
    let letters = "SELECT count(*) FROM dead_letters WHERE outcome IS NULL";
    let counts: Vec<_> = service.sql(letters).await?.try_collect().await?;
    match counts.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0)) {
        0 => findings.add(Weight::Good, "dead letters", "none is open"),
        count => {
            let told = counted(count as usize, "record");
            let told = format!("{told} could not be used; `plimsoll dead-letters list` says why");
            findings.add(Weight::Notice, "dead letters", told);
        }
    }
    let gaps = "SELECT count(*), CAST(coalesce(sum(lost_count), 0) AS BIGINT) FROM gaps";
    let counts: Vec<_> = service.sql(gaps).await?.try_collect().await?;
    let count = |column: usize| counts.first().map_or(0, |row| row.column(column).as_primitive::<Int64Type>().value(0));
    match count(0) {
        0 => findings.add(Weight::Good, "gaps", "none"),
        gaps => {
            let (gaps, records) = (counted(gaps as usize, "gap"), count(1));
            let told = format!(
                "{gaps}: up to {records} records were deleted by kafka before they were read; see the view gaps"
            );
            findings.add(Weight::Notice, "gaps", told);
        }
    }
    what_was_read(findings, &service, shards).await
}

/// What was read by all of so many shards, after it was told how complete that is.
async fn what_was_read(findings: &mut Findings, service: &QueryService, shards: u32) -> Result<Read> {
    let read = format!(
        "SELECT CAST(topic AS VARCHAR), partition, min(until_offset), min(complete_until) FROM (
             SELECT topic, partition, max(until_offset) AS until_offset, max(complete_until) AS complete_until
             FROM history.epochs WHERE topic IS NOT NULL GROUP BY topic, partition, epoch % {shards})
         GROUP BY topic, partition"
    );
    let (mut positions, mut complete) = (BTreeMap::new(), Vec::new());
    for batch in service.sql(&read).await?.try_collect::<Vec<_>>().await? {
        let topics = batch.column(0).as_string_view();
        let (partitions, offsets) =
            (batch.column(1).as_primitive::<Int32Type>(), batch.column(2).as_primitive::<Int64Type>());
        let until = batch.column(3).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let id = PartitionId { topic: topics.value(row).into(), partition: partitions.value(row) };
            if id != PartitionId::retries() {
                complete.push((until.is_valid(row).then(|| Instant(until.value(row))), id.clone()));
            }
            positions.insert(id, offsets.value(row));
        }
    }
    // Of several shards the one that is least far says how far all are.
    let newest = format!(
        "SELECT max(tick), CASE WHEN count(known_until) = count(*) THEN min(known_until) END FROM (
             SELECT tick, known_until, row_number() OVER (PARTITION BY epoch % {shards} ORDER BY epoch DESC) AS place
             FROM history.epochs)
         WHERE place = 1 HAVING count(*) > 0"
    );
    for batch in service.sql(&newest).await?.try_collect::<Vec<_>>().await?.iter().filter(|batch| batch.num_rows() > 0)
    {
        let time = |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>().iter().next();
        let (tick, watermark) = (time(0).flatten().map(Instant), time(1).flatten().map(Instant));
        tell_watermark(findings, tick, watermark, complete.iter().min());
    }
    let mut topic_ids = BTreeMap::new();
    let ids = "SELECT CAST(topic AS VARCHAR), CAST(topic_id AS VARCHAR) FROM (
                   SELECT topic, topic_id, row_number() OVER (PARTITION BY topic ORDER BY epoch DESC) AS place
                   FROM history.epochs WHERE topic_id IS NOT NULL)
               WHERE place = 1";
    for batch in service.sql(ids).await?.try_collect::<Vec<_>>().await? {
        let (topics, ids) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
        topic_ids.extend(topics.iter().flatten().map(Arc::from).zip(ids.iter().flatten().map(Arc::from)));
    }
    Ok(Read { positions, topic_ids })
}

/// How complete the input was when the newest epoch was made, and which partition was behind all others.
fn tell_watermark(
    findings: &mut Findings,
    tick: Option<Instant>,
    watermark: Option<Instant>,
    last: Option<&(Option<Instant>, PartitionId)>,
) {
    let Some(tick) = tick else { return };
    let told = match watermark {
        Some(watermark) if tick - watermark <= WATERMARK_TOLERANCE => {
            return findings.add(Weight::Good, "watermark", format!("{watermark}, when the newest epoch was made"));
        }
        Some(watermark) => format!("it stood at {watermark} when the newest epoch was made, at {tick}"),
        None => format!("there was none when the newest epoch was made, at {tick}: not every topic was heard from"),
    };
    let why = match last {
        Some((until, PartitionId { topic, partition })) => {
            let until = until.map_or("not proved to be complete".to_owned(), |until| format!("complete until {until}"));
            format!("; the last is partition {partition} of topic {topic}, {until}")
        }
        None => String::new(),
    };
    let advice = "no window ends meanwhile: run may be behind, or a broker, topic or partition cannot be read";
    findings.add(Weight::Notice, "watermark", format!("{told}{why}; {advice}"));
}

/// What Kafka still has of what the tables need next.
fn tell_kafka(
    findings: &mut Findings,
    settings: &KafkaSettings,
    partitions: &BTreeSet<PartitionId>,
    positions: &BTreeMap<PartitionId, i64>,
    passed_on: &BTreeMap<PartitionId, i64>,
) -> Result<()> {
    let client = client(settings)?;
    let (mut count, mut waiting) = (0, 0);
    for id in partitions {
        let (low, high) = client
            .fetch_watermarks(&id.topic, id.partition, WATERMARKS_WAIT_MAX)
            .with_context(|| format!("partition {} of topic {} does not say where it ends", id.partition, id.topic))?;
        let position = positions.get(id).copied().unwrap_or(low);
        (count, waiting) = (count + 1, waiting + (high - position.max(low)).max(0));
        let of = format!("partition {} of topic {}", id.partition, id.topic);
        if position < low && passed_on.get(id).is_some_and(|offset| *offset >= low) {
            let told = format!(
                "{of}: the tables are at {position}, and kafka begins at {low}: what lies between is in the exchange alone \
                 until the shards have read it; keep records longer (retention.ms)"
            );
            findings.add(Weight::Notice, "kafka", told);
        } else if position < low {
            let lost = low - position;
            let told = format!(
                "{of}: the tables are at {position}, but kafka begins at {low}; up to {lost} records were deleted before \
                 they were read: reading goes on behind them, and the gap is told; keep records longer (retention.ms)"
            );
            findings.add(Weight::Fault, "kafka", told);
        } else if position > high {
            let told = format!(
                "{of}: the tables are at {position}, but kafka ends at {high}; the topic was made anew, or lost its newest records: \
                 read another in its place"
            );
            findings.add(Weight::Fault, "kafka", told);
        }
    }
    let told = format!("{} at {}, {waiting} records wait", counted(count, "partition"), settings.bootstrap);
    findings.add(Weight::Good, "kafka", told);
    Ok(())
}

/// Whether the topics are those that were read, with the ids that they had.
fn tell_topics(
    findings: &mut Findings,
    settings: &KafkaSettings,
    topic_ids: &BTreeMap<Arc<str>, Arc<str>>,
) -> Result<()> {
    for (topic, found) in changed_topics(settings, topic_ids)? {
        if let (Some(found), Some(known)) = (found, topic_ids.get(&topic)) {
            let told = format!(
                "topic {topic} was deleted and created anew: its id is {found} and was {known}; run reads nothing of it: let \
                 producers write to a topic of another name, and name that in the source"
            );
            findings.add(Weight::Fault, "kafka", told);
        }
    }
    Ok(())
}

/// Those who read under the name of a consumer group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Readers {
    role: Role,
    group: String,
    /// How many shards are kept; 1 where one process keeps all.
    shards: u32,
}

/// What they do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Run,
    Ingest,
    Aggregate,
}

impl Readers {
    /// Those that a lane group needs.
    fn of(lane_group: &str) -> Vec<Readers> {
        let (group, _, shards) = of_lane_group(lane_group);
        let readers = |role, group: String| Readers { role, group, shards };
        match shards {
            1 => vec![readers(Role::Run, group.to_owned())],
            _ => vec![readers(Role::Ingest, group.to_owned()), readers(Role::Aggregate, format!("{group}.aggregate"))],
        }
    }

    /// What they are to read, of the partitions of the sources.
    fn to_read(&self, partitions: &BTreeSet<PartitionId>) -> BTreeSet<PartitionId> {
        let Some(group) = self.group.strip_suffix(".aggregate").filter(|_| self.role == Role::Aggregate) else {
            return partitions.clone();
        };
        let topic: Arc<str> = shards_topic(group).into();
        (0..self.shards as i32).map(|partition| PartitionId { topic: topic.clone(), partition }).collect()
    }

    fn command(&self) -> &'static str {
        match self.role {
            Role::Run => "plimsoll run",
            Role::Ingest => "plimsoll ingest",
            Role::Aggregate => "plimsoll aggregate",
        }
    }
}

/// How far `ingest` has passed partitions on into the exchange, as far as it has told.
fn passed_on_by(
    settings: &KafkaSettings,
    group: &str,
    partitions: &BTreeSet<PartitionId>,
) -> Result<BTreeMap<PartitionId, i64>> {
    let client: BaseConsumer = settings.shared_config()?.set("group.id", group).create().context("no kafka client")?;
    let mut asked = TopicPartitionList::new();
    for PartitionId { topic, partition } in partitions {
        asked.add_partition(topic, *partition);
    }
    let told = client.committed_offsets(asked, WATERMARKS_WAIT_MAX);
    let told = told.with_context(|| format!("kafka does not say how far group {group} is"))?;
    let offset = |told: &TopicPartitionListElem<'_>| match told.offset() {
        Offset::Offset(offset) => {
            Some((PartitionId { topic: told.topic().into(), partition: told.partition() }, offset))
        }
        _ => None,
    };
    Ok(told.elements().iter().filter_map(offset).collect())
}

/// Who reads the topics under the name of a consumer group.
fn tell_group(
    findings: &mut Findings,
    settings: &KafkaSettings,
    readers: &Readers,
    partitions: &BTreeSet<PartitionId>,
) -> Result<()> {
    let group = &readers.group;
    let client = client(settings)?;
    let list = client
        .fetch_group_list(Some(group.as_str()), WATERMARKS_WAIT_MAX)
        .with_context(|| format!("kafka does not say who is in group {group}"))?;
    let found = list.groups().iter().find(|found| found.name() == group.as_str());
    let members = found.map_or(&[][..], |found| found.members());
    let given = members.iter().map(|member| assigned(member.assignment().unwrap_or_default())).collect();
    tell_members(findings, readers, members.len(), given, &readers.to_read(partitions));
    Ok(())
}

/// What the members of a group read: what each was given, if all of them say so.
fn tell_members(
    findings: &mut Findings,
    readers: &Readers,
    count: usize,
    given: Option<Vec<Vec<PartitionId>>>,
    partitions: &BTreeSet<PartitionId>,
) {
    let Readers { role, group, .. } = readers;
    let command = readers.command();
    if count == 0 {
        let told = format!("nobody reads in group {group} now; start {command}");
        return findings.add(Weight::Notice, "group", told);
    }
    let Some(given) = given else {
        // A rebalance is on, or members are not of our kind.
        let told = format!("group {group} has {}, which do not say what they read", counted(count, "member"));
        return findings.add(Weight::Notice, "group", told);
    };
    if count > 1 && *role == Role::Run {
        let told = format!(
            "group {group} has {count} members, and what one reads the others lack; a group is one process: stop the others"
        );
        findings.add(Weight::Notice, "group", told);
    }
    let read: BTreeSet<PartitionId> = given.into_iter().flatten().collect();
    for PartitionId { topic, partition } in partitions.difference(&read) {
        let what = match role {
            Role::Aggregate => {
                format!("shard {partition}: no member of group {group} keeps it, and its results wait for that")
            }
            _ => format!(
                "partition {partition} of topic {topic}: no member of group {group} reads it, and the watermark waits for it"
            ),
        };
        findings.add(Weight::Fault, "group", format!("{what}; if that stays so for a minute, start {command} anew"));
    }
    if (count == 1 || *role != Role::Run) && partitions.is_subset(&read) {
        let members = counted(count, "member");
        let all = if *role == Role::Aggregate { "shards" } else { "partitions" };
        findings.add(Weight::Good, "group", format!("{members} of group {group} for all {all}"));
    }
}

/// The partitions that a member of a group was given, as Kafka's consumer protocol writes it: a version, topics with
/// their partitions, and data of the member's own. None when it is not written so.
fn assigned(mut bytes: &[u8]) -> Option<Vec<PartitionId>> {
    fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
        let (taken, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*taken)
    }
    let bytes = &mut bytes;
    let _version = i16::from_be_bytes(take(bytes)?);
    let mut partitions = Vec::new();
    for _ in 0..i32::from_be_bytes(take(bytes)?) {
        let length = usize::try_from(i16::from_be_bytes(take(bytes)?)).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        for _ in 0..i32::from_be_bytes(take(bytes)?) {
            partitions.push(PartitionId { topic: topic.clone(), partition: i32::from_be_bytes(take(bytes)?) });
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_was_given_is_read_as_kafka_writes_it() {
        // Version 0; one topic, "ab"; two partitions, 0 and 258 (1 * 256 + 2); no data.
        let bytes = [0, 0, 0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0];
        let expected = [0, 258].map(|partition| PartitionId { topic: "ab".into(), partition });
        assert_eq!(assigned(&bytes).as_deref(), Some(&expected[..]));
        assert_eq!(assigned(&bytes[..21]), None, "it ends in the middle");
        assert_eq!(assigned(&[]), None, "nothing was said yet");
    }

    #[test]
    fn a_partition_that_nobody_reads_is_a_fault() {
        let ids = |numbers: &[i32]| -> Vec<PartitionId> {
            numbers.iter().map(|number| PartitionId { topic: "events".into(), partition: *number }).collect()
        };
        let there = ids(&[0, 1, 2]).into_iter().collect();
        let said_of = |readers: &Readers, count, given, there: &BTreeSet<PartitionId>| {
            let mut findings = Findings::default();
            tell_members(&mut findings, readers, count, given, there);
            findings.to_string()
        };
        let [run] = &Readers::of("plimsoll")[..] else { panic!("one reads for all") };
        let said = |count, given| said_of(run, count, given, &there);
        let told = said(1, Some(vec![ids(&[0, 2])]));
        assert!(
            told.starts_with("FAULT   group        partition 1 of topic events: no member of group plimsoll"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1);
        let told = said(1, Some(vec![ids(&[0, 1, 2])]));
        assert_eq!(told, "ok      group        1 member of group plimsoll for all partitions\n");
        let told = said(2, Some(vec![ids(&[0]), ids(&[1, 2])]));
        assert!(
            told.starts_with("notice  group        group plimsoll has 2 members") && !told.contains("FAULT"),
            "{told}"
        );
        assert!(said(2, None).contains("2 members, which do not say what they read"));
        assert!(said(0, Some(Vec::new())).contains("nobody reads in group plimsoll now"));
        // With roles apart several may share the work, and somebody is to keep each shard.
        let [ingest, aggregate] = &Readers::of("plimsoll-1-of-2")[..] else { panic!("two roles") };
        let told = said_of(ingest, 2, Some(vec![ids(&[0]), ids(&[1, 2])]), &ingest.to_read(&there));
        assert_eq!(told, "ok      group        2 members of group plimsoll for all partitions\n");
        let shards = aggregate.to_read(&there);
        let kept = |number: i32| PartitionId { topic: "plimsoll.shards".into(), partition: number };
        let told = said_of(aggregate, 2, Some(vec![vec![kept(0)], vec![kept(1)]]), &shards);
        assert_eq!(told, "ok      group        2 members of group plimsoll.aggregate for all shards\n");
        let told = said_of(aggregate, 1, Some(vec![vec![kept(0)]]), &shards);
        assert!(
            told.starts_with("FAULT   group        shard 1: no member of group plimsoll.aggregate keeps it"),
            "{told}"
        );
        assert!(told.ends_with("start plimsoll aggregate anew\n"), "{told}");
        let told = said_of(ingest, 0, Some(Vec::new()), &there);
        assert!(told.contains("nobody reads in group plimsoll now; start plimsoll ingest"), "{told}");
    }

    #[test]
    fn a_watermark_that_stands_names_the_partition_that_holds_it() {
        let minutes = |count: i64| Instant(count * 60_000_000);
        let said = |watermark, last: Option<&(Option<Instant>, PartitionId)>| {
            let mut findings = Findings::default();
            tell_watermark(&mut findings, Some(minutes(60)), watermark, last);
            findings.to_string()
        };
        let last = (Some(minutes(40)), PartitionId { topic: "events".into(), partition: 1 });
        assert!(said(Some(minutes(50)), Some(&last)).starts_with("ok      watermark    1970-01-01T00:50:00Z"));
        let told = said(Some(minutes(40)), Some(&last));
        let holds = "the last is partition 1 of topic events, complete until 1970-01-01T00:40:00Z";
        assert!(told.starts_with("notice  watermark") && told.contains(holds), "{told}");
        assert!(said(None, None).contains("not every topic was heard from"));
    }
}
