//! A server's tables without a server: the worker, the lake and the query service as `run` wires them, with a clock
//! that the test sets and records that come when it says. Each epoch is a worker of its own, as after a restart.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use futures::TryStreamExt;
use plimsoll_aggregate::replay::{History, Replay};
use plimsoll_aggregate::worker::{EPOCH_ROWS_MAX, REMEMBERED};
use plimsoll_aggregate::{Input, Live, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_ingest::file::read_file;
use plimsoll_ingest::{IngestError, retry};
use plimsoll_lake::Lake;
use plimsoll_query::{Asked, Format, Limits, QueryService, Stored, StoredEvents, encode};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::definition::{Definitions, File, Problem, load};
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::{AttainmentRow, EpochRow, Table, to_batch};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// The topic, and the name of the file that is mapped as its records are.
const TOPIC: &str = "events.ndjson";

/// The name of the lane group.
const GROUP: &str = "test";

/// Stack of the threads that plan questions, in bytes: views in views of a debug build.
const STACK_BYTES: usize = 16 << 20;

pub struct Tables {
    runtime: Runtime,
    lake: Lake,
    service: QueryService,
    folder: tempfile::TempDir,
    /// What has not come yet.
    waiting: VecDeque<Delivery>,
    /// The first offset that has not come yet; lines are counted from 1.
    next_offset: i64,
}

/// The source of records that need none of their own.
const PLAIN: &str =
    "\n---\n{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [events.ndjson]}}\n";

/// What a text defines, with a plain source if it has none; its own has to read the one topic.
pub fn defined(text: &str) -> Result<Definitions, String> {
    let told = |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
    let read = |text: &str| load(&[File { name: "definitions.yaml", text }]).map_err(told);
    let definitions = read(text)?;
    let definitions = if definitions.sources.is_empty() { read(&format!("{text}{PLAIN}"))? } else { definitions };
    let reads = |source: &Source| source.topics.iter().any(|topic| topic == TOPIC);
    match definitions.sources.values().all(reads) {
        true => Ok(definitions),
        false => Err(format!("a source that is told to tables has topics: [{TOPIC}]")),
    }
}

impl Tables {
    /// Empty tables, and the records that will come, in this order, mapped by the definitions' only source.
    pub fn new(definitions: &Definitions, records: &[String]) -> Tables {
        let runtime = Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build().expect("threads");
        let folder = tempfile::tempdir().expect("a folder");
        let location = folder.path().join("lake").to_string_lossy().into_owned();
        let lake = runtime.block_on(Lake::open(&location)).expect("a lake");
        let service = QueryService::open(lake.clone(), Limits::default(), runtime.handle().clone());
        let service = runtime.block_on(service).expect("a service");
        let file = folder.path().join(TOPIC);
        std::fs::write(&file, records.iter().map(|record| format!("{record}\n")).collect::<String>()).expect("a file");
        let source = definitions.sources.values().next().expect("a source").clone();
        let mut waiting = VecDeque::new();
        read_file::<IngestError>(&file, &Arc::new(source), &mut |delivery| {
            waiting.push_back(delivery);
            Ok(())
        })
        .expect("records");
        Tables { runtime, lake, service, folder, waiting, next_offset: 1 }
    }

    /// Where the tables lie.
    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// An epoch at an instant, at which so many records more have come, and all that there is was read.
    pub fn epoch(&mut self, definitions: &Definitions, tick: Instant, records: usize) {
        let until = self.next_offset + records as i64;
        let partition = PartitionId { topic: TOPIC.into(), partition: 0 };
        let mut inputs = Vec::new();
        while let Some(delivery) = self.waiting.pop_front_if(|delivery| delivery.from_offset < until) {
            let (head, tail) = delivery.split_at(until);
            inputs.push(head);
            if tail.until_offset > tail.from_offset {
                self.waiting.push_front(tail);
            }
        }
        inputs.push(Delivery::news(partition, until, Some(tick)));
        self.next_offset = until;
        let mut worker = self.worker(definitions, tick);
        if let Some(before) = worker.wants_recount() {
            worker.begin_recount();
            self.stored(before).iter().for_each(|events| worker.recount(events));
            worker.end_recount();
        }
        let sources: Vec<_> = worker.definitions().sources.values().cloned().map(Arc::new).collect();
        let first = worker.start_offsets().get(&PartitionId::retries()).copied().unwrap_or(0);
        for number in first.. {
            let Some(request) = self.runtime.block_on(self.lake.retry(number)).expect("a request") else { break };
            let letters = serde_json::from_slice(&request).expect("letters");
            inputs.push(retry(&sources, number, letters).expect("a delivery"));
        }
        let (sender, receiver) = channel();
        inputs.into_iter().for_each(|delivery| sender.send(Input::Delivery(delivery)).expect("a place"));
        drop(sender);
        worker.run(self.runtime.handle().clone(), || false, receiver, |_| {}).expect("an epoch");
    }

    /// Asks for every open dead letter to be taken again by the next epoch.
    pub fn take_again(&self) {
        let letters = self.runtime.block_on(self.service.open_dead_letters("true")).expect("letters");
        let number = self.runtime.block_on(self.lake.next_retry()).expect("a number");
        if !letters.is_empty() {
            let request = serde_json::to_vec(&letters).expect("JSON").into();
            assert!(self.runtime.block_on(self.lake.put_retry(number, request)).expect("a place"));
        }
    }

    /// Whether the next start would only finish what was recorded.
    pub fn is_former(&self, definitions: &Definitions) -> bool {
        self.worker(definitions, Instant(0)).is_former()
    }

    /// Puts another state in the place of the newest one.
    pub fn change_state(&self, change: impl FnOnce(&[u8]) -> Vec<u8>) {
        let newest = self.runtime.block_on(self.lake.newest_snapshot(GROUP)).expect("snapshots");
        let (epoch, bytes) = newest.expect("a snapshot");
        self.runtime.block_on(self.lake.put_snapshot(GROUP, epoch, change(&bytes).into())).expect("a place");
    }

    fn worker(&self, definitions: &Definitions, tick: Instant) -> Worker {
        let settings = WorkerSettings {
            group: GROUP.to_owned(),
            shard: Shard::WHOLE,
            lanes: 1,
            epoch_interval: Duration::from_hours(1),
            epoch_rows_max: EPOCH_ROWS_MAX,
            publish_interval: Duration::ZERO,
            snapshot_every: i64::MAX,
            remembered: REMEMBERED,
            clock: Arc::new(move || tick),
        };
        let (definitions, live) = (Arc::new(definitions.clone()), Arc::new(Live::default()));
        let opening = Worker::open(settings, self.lake.clone(), definitions, live);
        self.runtime.block_on(opening).expect("a worker")
    }

    /// The rows of an answer, as it was known at an instant, or as it is.
    pub fn ask(&self, statement: &str, known_at: Option<Instant>) -> Vec<Value> {
        let answer = self.runtime.block_on(async {
            let answer = self.service.known_at(known_at).sql(statement).await.expect(statement);
            encode(answer, Format::Json).try_collect::<Vec<_>>().await.expect(statement).concat()
        });
        serde_json::from_slice(&answer).expect("rows")
    }

    fn stored(&self, before: HashMap<PartitionId, i64>) -> Vec<EventBatch> {
        let which = Stored::Before(before);
        let days = self.runtime.block_on(self.service.event_days()).expect("days");
        let events = |day: &String| self.runtime.block_on(self.service.events_of(day, &which)).expect("events");
        days.iter().flat_map(events).collect()
    }

    /// Every row of `attainment` about an agreement and a service, as it was written, in the order of epochs.
    pub fn written(&self, agreement: &str, service: &str) -> Vec<AttainmentRow> {
        let asked = Asked { agreement: agreement.into(), service: service.into(), ..Asked::default() };
        in_order(self.runtime.block_on(self.service.results(&asked)).expect("rows"))
    }

    /// Puts a row into `attainment` that no epoch has written, under the number of the next.
    pub fn forge(&self, row: AttainmentRow) {
        let last = self
            .ask("SELECT max(epoch) AS epoch, max(tick) AS tick, max(definitions) AS definitions FROM epochs", None);
        let (epoch, text) =
            (last[0]["epoch"].as_i64().expect("an epoch") + 1, |name: &str| last[0][name].as_str().unwrap_or_default());
        let (tick, digest) = (Instant::parse(text("tick")).expect("a tick"), text("definitions").to_owned());
        let intent = EpochRow { epoch, tick, definitions: digest, ..EpochRow::default() };
        let rows = to_batch(&[AttainmentRow { epoch, ..row }]).expect("columns");
        self.runtime.block_on(async {
            self.lake.record_intent("test", epoch, &[intent]).await.expect("an intent");
            self.lake.append(Table::Attainment, vec![rows], "test", epoch).await.expect("a row");
        });
    }

    /// The same rows as they follow from the stored events.
    pub fn replayed(&self, agreement: &str, service: &str) -> Vec<AttainmentRow> {
        let replay = self.runtime.block_on(Replay::open(&self.lake, i64::MAX)).expect("epochs");
        let behind = replay.services_behind(service);
        let names: Vec<&str> = behind.iter().map(String::as_str).collect();
        let mut history = History::new();
        let newest = self
            .runtime
            .block_on(self.service.newest_of_epochs(|id, offset| replay.epoch_of(id, offset)))
            .expect("times");
        for (place, newest) in newest {
            history.entry(place).or_default().newest = Some(newest);
        }
        for StoredEvents { epoch, partition, retry, read_at, events } in
            self.runtime.block_on(self.service.events_about(&names)).expect("events")
        {
            let taken = history.entry((epoch, partition)).or_default();
            let part = if retry.is_some() { &mut taken.retried } else { &mut taken.events };
            part.push((read_at, events));
        }
        let mut rows = Vec::new();
        let again = replay.run(agreement, &behind, &history, |_, facts| rows.extend(facts.attainment));
        again.expect("epochs are made again");
        rows.retain(|row| &*row.agreement == agreement && &*row.service == service);
        in_order(rows)
    }
}

fn in_order(mut rows: Vec<AttainmentRow>) -> Vec<AttainmentRow> {
    rows.sort_by_key(|row| (row.epoch, row.objective.clone(), row.agreement_version, row.window_start, row.revision));
    rows
}
