//! The worker: it owns the state of one lane group and is the only one to touch it.
//!
//! Its steps neither wait nor write: `take` an input, `replay` a recorded epoch, `cut` a new one, `rest`. What a step
//! orders to be written it returns, and a `Committer` carries orders out one after the other. `run` is the loop over the
//! steps, on a thread of its own, which waits for input, for the next tick or for the stop, while the writer's threads
//! carry out. An epoch is cut when enough records wait, or when `epoch_interval` has passed since the last and the writer
//! is free: under load epochs grow, which is cheaper for each record; at rest they are small and quick, and who comes after
//! a rest does not wait. While no record waits there are four steps in that time, for what time alone brings, and up to
//! eight where something is heard, such as that all was read; but behind one that is recorded none for all of it. An epoch
//! that read nothing and found out nothing, not even when something is to be looked at next, is not written, unless it is
//! the last and such steps moved the state: what is saved in the end is the state after the epochs that are recorded, and
//! nothing besides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant as Moment};

use arrow_array::{Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow_select::take::take_record_batch;
use plimsoll_engine::lane::{Folded, LaneGroup, SnapshotError};
use plimsoll_engine::portfolio::{Portfolio, definition_rows};
use plimsoll_engine::shards::Shard;
use plimsoll_engine::watermark::BEGINNING;
use plimsoll_lake::{Lake, LakeError, Recovery, lane_group, snapshot_path};
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId, Retried};
use plimsoll_schemas::event::{EventBatch, EventColumn};
use plimsoll_schemas::table::{DeadLetterRow, EpochRow, Table};
use plimsoll_schemas::{Instant, Micros};

use crate::collector::{Collector, Recorded, RecordedEpoch};
use crate::definitions;
use crate::error::AggregateError;
use crate::input::Input;
use crate::live::Live;
use crate::patience::Patience;
use crate::shards::{claim, place, portfolio_of};
use crate::writer::{Committer, EpochOutput, Order, Writer};

/// How a worker works.
#[derive(Clone)]
pub struct WorkerSettings {
    /// The name under which epochs and snapshots are kept; that of its lane group also tells the shard.
    pub group: String,
    /// What it measures.
    pub shard: Shard,
    /// How many lanes; at least 1.
    pub lanes: usize,
    /// How long records wait for company before they are committed.
    pub epoch_interval: Duration,
    /// How many records an epoch takes at most; more wait for the next.
    pub epoch_rows_max: usize,
    /// How often provisional results are written.
    pub publish_interval: Duration,
    /// Every how many epochs the state is saved.
    pub snapshot_every: i64,
    /// How far behind the watermark results may be restated, besides what is open; older ones stand.
    pub remembered: Duration,
    /// The clock: what time it is. A worker for tests has one that stands still.
    pub clock: Arc<dyn Fn() -> Instant + Send + Sync>,
}

/// Half a million records make an epoch's Parquet files large enough to compress well, and take 200 MB at most.
pub const EPOCH_ROWS_MAX: usize = 512 * 1024;

/// And what they take in memory is bounded, too, about: records differ in size by orders of magnitude, and of one that
/// cannot be used up to 16 KiB are kept.
pub const EPOCH_BYTES_MAX: usize = 256 << 20;

/// Two years and what is late: who compares this year with the last sees both corrected.
pub const REMEMBERED: Duration = Duration::from_secs(800 * 86_400);

/// How often a worker that makes recorded epochs again looks whether another one records new ones.
const FENCE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many steps there are in an `epoch_interval` while no record waits: they cost next to nothing, are recorded only where
/// they bring something about, and what time alone brings is said soon. And how many at most where something was heard,
/// such as that partitions are read to their end, by which the watermark goes on.
const IDLE_STEPS: u32 = 4;
const HEARD_STEPS: u32 = 8;
/// How many of these are recorded in an `epoch_interval` at most; they do not make records wait.
const RESTS: u32 = 2;

/// How long the worker waits for input before it looks at the clock.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// How far the tables are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The newest committed epoch.
    pub epoch: i64,
    /// Per partition, the first offset that is not in the tables yet.
    pub offsets: HashMap<PartitionId, i64>,
    /// The same of the newest saved state, from which the next start reads; nothing before one is saved.
    pub saved: HashMap<PartitionId, i64>,
    /// How many observations the next start makes up for; told at the end alone.
    pub deferred: u64,
    /// Whether the next worker has something to do at once; told at the end alone.
    pub is_former: bool,
}

/// See the head of this module.
pub struct Worker {
    settings: WorkerSettings,
    group: LaneGroup,
    collector: Collector,
    recorded: Recorded,
    /// Partitions of which nothing was heard since they were assigned.
    expected: BTreeSet<PartitionId>,
    /// News without records that steps took which were not recorded; the next intent tells them.
    unrecorded: BTreeMap<PartitionId, Delivery>,
    /// What was found to be lost while recorded epochs were made again, and is told by none of them; the next intent
    /// tells it.
    lost: Vec<Delivery>,
    /// Whether such steps moved the state.
    is_ahead: bool,
    next_epoch: i64,
    /// The newest intent that was found at the start.
    recorded_until: i64,
    /// Whether an epoch is to be recorded though it may have nothing to say.
    is_contested: bool,
    published_at: Option<Instant>,
    /// Whether stored events were taken again since the last epoch that was recorded.
    recounted: bool,
    definitions: Arc<Definitions>,
    /// The same when they are others than those of the epoch before, until an epoch has told them.
    untold: Option<Arc<Definitions>>,
    lake: Lake,
    live: Arc<Live>,
}

impl Worker {
    /// Restores the state of the lane group from the lake.
    ///
    /// What was recorded and not saved is to be replayed under the definitions by which it was folded. When these are
    /// others than `definitions`, this worker only finishes what they began (`is_former`): it is to be fed by their
    /// sources, and the next one takes its state over as after a clean stop. So it is when observations were deferred
    /// and the stop was not clean, for what was recorded was folded without them.
    ///
    /// # Errors
    /// When the lake or the snapshot cannot be read, when a table lost what was committed to it, and when another lane group
    /// keeps these tables.
    pub async fn open(
        settings: WorkerSettings,
        lake: Lake,
        definitions: Arc<Definitions>,
        live: Arc<Live>,
    ) -> Result<Worker, AggregateError> {
        let shard = settings.shard;
        claim(&lake, &settings.group, shard.count()).await?;
        let placement = match shard.is_whole() {
            true => None,
            false => Some(place(&lake, &definitions, shard.count()).await?),
        };
        let lane_group = settings.lane_group();
        let current = definitions::keep(&lake, &definitions).await?;
        let Recovery { snapshot, intents: rows } = lake.recovery(&lane_group).await?;
        let snapshot_epoch = snapshot.as_ref().map_or(0, |(epoch, _)| *epoch);
        let recorded_until = rows.last().map_or(snapshot_epoch, |row| row.epoch);
        let mut recorded = Recorded::after(snapshot_epoch, rows, &current);
        let definitions = match recorded.definitions == current {
            true => definitions,
            false => Arc::new(definitions::recall(&lake, &recorded.definitions).await?),
        };
        let portfolio = Arc::new(portfolio_of(&definitions, placement.as_ref(), shard));
        let mut group = match &snapshot {
            Some((epoch, bytes)) => {
                let recounted = recorded.epochs.front().map(|next| next.recounted);
                let restored = LaneGroup::restore_before(portfolio, settings.lanes, bytes, recounted);
                restored.map_err(|cause| match cause {
                    SnapshotError::Damaged | SnapshotError::Unreadable(_) => {
                        AggregateError::Saved { path: snapshot_path(&lane_group, *epoch).to_string(), cause }
                    }
                    cause => cause.into(),
                })?
            }
            None => LaneGroup::new(portfolio, settings.lanes),
        };
        recorded.is_former |= group.wants_rest();
        group.follow(&definitions.topics().map(Arc::from).collect());
        if !recorded.epochs.is_empty() {
            let (epochs, of_others) = (recorded.epochs.len(), recorded.is_former);
            tracing::info!(epochs, after = snapshot_epoch, of_others, "replaying recorded epochs");
        }
        live.describe(&group, &definitions);
        live.defer(group.deferred());
        let read = group.watermarks().partitions().map(|(id, progress)| (id.clone(), progress.next_offset));
        let collector = Collector::new(read.collect());
        let collector = if shard.is_whole() { collector } else { collector.in_order_of_arrival() };
        let next_epoch = match snapshot {
            Some(_) => snapshot_epoch + epoch_step(shard),
            None => first_epoch(shard),
        };
        Ok(Worker {
            next_epoch,
            recorded_until,
            is_contested: false,
            settings,
            group,
            collector,
            expected: BTreeSet::new(),
            unrecorded: BTreeMap::new(),
            lost: Vec::new(),
            is_ahead: false,
            published_at: None,
            recounted: false,
            untold: recorded.is_change.then(|| definitions.clone()),
            recorded,
            definitions,
            lake,
            live,
        })
    }

    /// Where the state that it went on from goes on in each partition, when all events before that must be taken again, for
    /// objectives or services that are new or were defined in another way (R24), or for what was deferred (R22). Then
    /// `begin_recount` is to be called, `recount` with all of them, and `end_recount`, ahead of anything else. Where there
    /// are several shards, each has stored a part of them: all must have come that far (`shards::not_stored`).
    pub fn wants_recount(&self) -> Option<HashMap<PartitionId, i64>> {
        self.group.wants_recount().then(|| self.read_until())
    }

    /// See `LaneGroup::begin_recount`.
    pub fn begin_recount(&mut self) {
        self.group.begin_recount();
    }

    /// See `LaneGroup::recount`.
    pub fn recount(&mut self, events: &EventBatch) {
        self.group.recount(events);
    }

    /// See `LaneGroup::end_recount`.
    pub fn end_recount(&mut self) {
        self.group.end_recount();
        self.live.defer(self.group.deferred());
        self.recounted = true;
    }

    /// What it works by: its sources are to feed it.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// True when it only finishes what was recorded, under other definitions than the present ones or without what was
    /// deferred.
    pub fn is_former(&self) -> bool {
        self.recorded.is_former
    }

    /// The epochs that it is to make again.
    pub fn recorded(&self) -> Vec<RecordedEpoch> {
        self.recorded.epochs.iter().cloned().collect()
    }

    /// Where each partition is to be read from, so that nothing is missing and nothing is read twice: any other from its
    /// beginning.
    pub fn start_offsets(&self) -> HashMap<PartitionId, i64> {
        let mut offsets = self.read_until();
        // The first epoch that read a partition may be one that is to be made again. One that only expected it says nothing
        // of where it begins.
        let ranges = self.recorded.epochs.iter().flat_map(|epoch| &epoch.ranges);
        for (id, (from, ..)) in ranges.filter(|(_, (from, until, complete))| from < until || complete.is_some()) {
            offsets.entry(id.clone()).or_insert(*from);
        }
        offsets
    }

    /// How far the state has read each partition that was heard from.
    fn read_until(&self) -> HashMap<PartitionId, i64> {
        let partitions = self.group.watermarks().partitions();
        let heard = partitions.filter(|(_, progress)| progress.is_heard());
        heard.map(|(id, progress)| (id.clone(), progress.next_offset)).collect()
    }

    /// The ids of the topics that were read: who reads another topic of the same name must not go on at these offsets.
    pub fn topic_ids(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut ids = self.group.watermarks().topic_ids().clone();
        ids.extend(self.recorded.epochs.iter().flat_map(|epoch| epoch.topic_ids.clone()));
        ids
    }

    /// Works until all senders of `inputs` are gone, or until a former worker has replayed everything; then commits what
    /// waits, saves the state and returns how far the tables are. `on_progress` is called after each commit, on the
    /// writer's thread's behalf, which waits for the lake on `runtime`, also for minutes when it is away, unless
    /// `is_stopping`.
    ///
    /// # Errors
    /// When an epoch cannot be committed: everything committed before stays, and a new worker goes on from there.
    pub fn run(
        mut self,
        runtime: tokio::runtime::Handle,
        is_stopping: impl Fn() -> bool + Send + Sync + 'static,
        inputs: Receiver<Input>,
        mut on_progress: impl FnMut(&Progress),
    ) -> Result<Progress, AggregateError> {
        let mut writer = Writer::start(self.committer().patient(Patience::new(is_stopping)), runtime.clone())?;
        let interval = self.settings.epoch_interval;
        let (mut stepped_at, mut recorded_at, mut has_heard) = (Moment::now(), Moment::now(), false);
        let (mut looked_at, mut rested_at) = (Moment::now(), Moment::now());
        loop {
            let finished = match inputs.recv_timeout(WAIT_MAX) {
                Ok(input) => {
                    self.take(input);
                    has_heard = true;
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            while let Some(order) = self.replay()? {
                writer.order(order)?;
            }
            if !self.is_replayed() && looked_at.elapsed() >= FENCE_LOOK_INTERVAL {
                runtime.block_on(self.check_fence())?;
                looked_at = Moment::now();
            }
            if self.is_replayed() && !self.is_former() {
                self.live.questions.answer(&self.group);
            }
            let full = self.is_full();
            self.live.wait_for_epochs(self.collector.rows(), self.collector.bytes(), writer.in_flight());
            let is_at_rest = self.collector.rows() == 0;
            let steps = if has_heard { HEARD_STEPS } else { IDLE_STEPS };
            let is_time = if is_at_rest {
                rested_at.elapsed() >= interval / RESTS && stepped_at.elapsed() >= interval / steps
            } else {
                recorded_at.elapsed() >= interval
            };
            let due = is_time && writer.is_idle();
            if self.is_replayed() && !self.is_former() && (full || due || finished) {
                let order = self.cut(finished)?;
                (stepped_at, has_heard) = (Moment::now(), false);
                if let Some(order) = order {
                    *(if is_at_rest { &mut rested_at } else { &mut recorded_at }) = stepped_at;
                    writer.order(order)?;
                }
            }
            if let Some(progress) = writer.progress()? {
                on_progress(&progress);
            }
            if finished || (self.is_replayed() && self.is_former()) {
                let is_former = self.is_former();
                let (orders, deferred) = self.rest()?;
                orders.into_iter().try_for_each(|order| writer.order(order))?;
                let progress = Progress { deferred, is_former, ..writer.finish()? };
                on_progress(&progress);
                return Ok(progress);
            }
        }
    }

    /// Whether this worker alone records epochs while it makes those again that it found: until then it records none itself,
    /// and would not notice. It may wait for long, when another member of the consumer group reads what it waits for.
    ///
    /// # Errors
    /// `Fenced` when another worker recorded an epoch since this one was opened.
    pub async fn check_fence(&self) -> Result<(), AggregateError> {
        let (group, epoch) = (self.settings.lane_group(), self.recorded_until + 1);
        match self.lake.last_epoch(Table::Epochs, &group).await? {
            Some(found) if found >= epoch => {
                Err(LakeError::Fenced { table: Table::Epochs, group, epoch, found }.into())
            }
            _ => Ok(()),
        }
    }

    /// The epoch after which the state is as it is.
    fn last_epoch(&self) -> i64 {
        self.next_epoch - epoch_step(self.settings.shard)
    }

    /// Whether the state after this epoch is to be saved, by how many there were before it.
    fn is_to_be_saved(&self, epoch: i64) -> bool {
        let shard = self.settings.shard;
        ((epoch - first_epoch(shard)) / epoch_step(shard) + 1) % self.settings.snapshot_every == 0
    }

    /// Who carries out what this worker orders.
    pub fn committer(&self) -> Committer {
        Committer::new(self.settings.lane_group(), self.lake.clone(), self.live.clone())
    }

    /// Takes an input; what it brings waits for the next epoch.
    ///
    /// While recorded epochs wait for their input, what lies behind them fills the memory. When there is too much of it,
    /// the rest is left to the next worker, which reads it again.
    pub fn take(&mut self, input: Input) {
        match input {
            Input::Delivery(delivery) if self.is_surplus(&delivery) => self.recorded.is_former = true,
            Input::Delivery(delivery) => {
                let partition = delivery.partition.clone();
                let again = self.collector.push(delivery);
                if self.counts_reads() {
                    self.live.read_again(&partition, again);
                }
            }
            Input::Assigned(partitions) => self.expected.extend(partitions),
            Input::Contested => self.is_contested = true,
        }
    }

    /// Up to when the input is believed complete.
    pub fn watermark(&self) -> Instant {
        self.group.watermarks().watermark()
    }

    /// How many records wait for the next epoch.
    pub fn waiting(&self) -> usize {
        self.collector.rows()
    }

    /// True when no more is to wait for the next epoch.
    fn is_full(&self) -> bool {
        self.collector.rows() >= self.settings.epoch_rows_max || self.collector.bytes() >= EPOCH_BYTES_MAX
    }

    fn is_surplus(&self, delivery: &Delivery) -> bool {
        let read_until = || self.recorded.read_until(&delivery.partition);
        !self.is_replayed() && self.is_full() && read_until().is_none_or(|until| delivery.from_offset >= until)
    }

    /// Every shard reads all records, and each counts what became of its own part: the first counts reads for all.
    fn counts_reads(&self) -> bool {
        self.settings.shard.is_first()
    }

    /// True when no recorded epoch is left to be made again: a former worker is to rest now, any other may cut epochs.
    pub fn is_replayed(&self) -> bool {
        self.recorded.epochs.is_empty()
    }

    /// The number of the next epoch, whether it is recorded or not.
    pub fn next_epoch(&self) -> i64 {
        self.next_epoch
    }

    /// Makes the next recorded epoch again; `None` until all of its input has arrived.
    ///
    /// # Errors
    /// `Columns` or `Snapshot`, which are defects.
    pub fn replay(&mut self) -> Result<Option<Order>, AggregateError> {
        let Some(recorded) = self.recorded.epochs.front() else { return Ok(None) };
        let Some(deliveries) = self.collector.take_recorded(recorded) else { return Ok(None) };
        let &RecordedEpoch { epoch, tick, publish, watermark, remembered, .. } = recorded;
        for lost in deliveries.iter().filter(|delivery| delivery.is_lost) {
            let part = |(from, until)| lost.clone().split_at(from).1.split_at(until).0;
            self.lost.extend(recorded.untold(lost).into_iter().map(part));
        }
        self.recorded.epochs.pop_front();
        self.group.remember(remembered);
        self.group.resume(watermark.unwrap_or(BEGINNING));
        self.epoch(epoch, tick, publish, deliveries, Kind::Replayed)
    }

    /// Makes an epoch of all that waits, which publishes when that is due or it is the last; `None` when it read nothing and
    /// found out nothing. Nothing may be left to be replayed.
    ///
    /// # Errors
    /// `Columns` or `Snapshot`, which are defects.
    pub fn cut(&mut self, is_last: bool) -> Result<Option<Order>, AggregateError> {
        let tick = (self.settings.clock)();
        self.group.remember(micros(self.settings.remembered));
        let interval = micros(self.settings.publish_interval);
        let publish = is_last || self.published_at.is_none_or(|published| tick - published >= interval);
        if publish {
            self.published_at = Some(tick);
        }
        let mut deliveries = self.collector.take_all();
        for id in std::mem::take(&mut self.expected) {
            let is_known = self.group.watermarks().next_offset(&id).is_some();
            if !is_known && deliveries.iter().all(|delivery| delivery.partition != id) {
                // It holds the watermark from now on (R23), and a replay has to know since when.
                deliveries.push(Delivery::news(id, 0, None));
            }
        }
        self.epoch(self.next_epoch, tick, publish, deliveries, if is_last { Kind::Last } else { Kind::Live })
    }

    /// Ends the work: saves the state, unless recorded epochs are left, and says how many observations the next start makes
    /// up for. What was found to be lost while these were made again is told by an epoch of its own, if none has told it.
    ///
    /// # Errors
    /// `Columns` or `Snapshot`, which are defects.
    pub fn rest(mut self) -> Result<(Vec<Order>, u64), AggregateError> {
        let mut orders = Vec::new();
        if !self.is_replayed() {
            tracing::warn!(epochs = self.recorded.epochs.len(), "stopped before all recorded epochs were replayed");
        } else if self.next_epoch > first_epoch(self.settings.shard) {
            if self.next_epoch <= self.recorded_until {
                // The next number is another epoch's, which the next worker makes again: it is told, but in no table.
                self.losses(&EpochRow::default(), &[]);
            } else if !self.lost.is_empty() {
                let tick = (self.settings.clock)();
                orders.extend(self.epoch(self.next_epoch, tick, false, Vec::new(), Kind::Live)?);
            }
            self.group.rest();
            orders.push(Order::Snapshot(self.last_epoch(), self.group.snapshot()?.into()));
        }
        Ok((orders, self.group.deferred()))
    }

    /// The watermark as intents tell it; `None` before every partition was heard from.
    fn told_watermark(&self) -> Option<Instant> {
        Some(self.watermark()).filter(|watermark| *watermark > BEGINNING)
    }

    /// Folds the deliveries, closes the step and orders its rows to be written.
    fn epoch(
        &mut self,
        epoch: i64,
        tick: Instant,
        publish: bool,
        mut deliveries: Vec<Delivery>,
        kind: Kind,
    ) -> Result<Option<Order>, AggregateError> {
        let started = Moment::now();
        let watermark = self.told_watermark();
        let mut output = EpochOutput::new(epoch);
        for delivery in &mut deliveries {
            if self.counts_reads() {
                self.live.read(delivery);
            }
            self.fold(delivery, tick, &mut output)?;
        }
        let read_any = !self.lost.is_empty() || deliveries.iter().any(|read| read.until_offset > read.from_offset);
        let facts = self.group.close(epoch, tick, publish);
        self.live.update(&facts, &self.group, tick);
        let is_live = kind != Kind::Replayed;
        if is_live {
            self.live.speak_for(self.settings.lane_group());
        }
        let is_asked_for = is_live && std::mem::take(&mut self.is_contested);
        let is_told = facts.has_rows() || facts.rescheduled;
        let is_idle = is_live && !read_any && !is_told && self.untold.is_none() && !is_asked_for;
        self.is_ahead |= is_idle && (!deliveries.is_empty() || self.told_watermark() != watermark);
        let is_saved = kind == Kind::Last && (self.is_ahead || self.recounted);
        if is_idle && !is_saved {
            for mut news in deliveries {
                let known = self.unrecorded.get(&news.partition).and_then(|known| known.complete_until);
                news.complete_until = news.complete_until.max(known);
                self.unrecorded.insert(news.partition.clone(), news);
            }
            return Ok(None);
        }
        self.is_ahead = false;
        if let Some(definitions) = self.untold.take()
            && self.settings.shard.is_first()
        {
            let whole = (!self.settings.shard.is_whole()).then(|| Portfolio::new(&definitions));
            let portfolio = whole.as_ref().unwrap_or(self.group.portfolio());
            output.definitions(&definition_rows(&definitions, portfolio, tick, epoch))?;
        }
        let mut told: Vec<Delivery> = std::mem::take(&mut self.unrecorded).into_values().collect();
        told.extend(deliveries);
        if self.settings.shard.is_whole() {
            told.sort_by(|one, other| one.partition.cmp(&other.partition));
        }
        let row = EpochRow {
            epoch,
            tick,
            publish,
            watermark,
            known_until: self.told_watermark(),
            definitions: self.recorded.definitions.clone(),
            remembered_us: self.group.remembered().map_or(i64::MAX, i64::from),
            recounted: std::mem::take(&mut self.recounted),
            ..EpochRow::default()
        };
        output.intent = intent(&row, &told);
        let losses = if is_live { self.losses(&row, &told) } else { Vec::new() };
        let is_lossy = !losses.is_empty();
        // Each shard tells its own: one may have read what another lacks.
        output.intent.extend(losses);
        output.facts(facts)?;
        output.offsets = self.read_until();
        // What is lost cannot be read again: the next start is not to need what lies before.
        if self.is_to_be_saved(epoch) || is_lossy {
            output.snapshot = Some(self.group.snapshot()?.into());
        }
        output.is_replay = !is_live;
        self.next_epoch = epoch + epoch_step(self.settings.shard);
        self.live.folded(started.elapsed());
        Ok(Some(Order::Write(Box::new(output))))
    }

    /// Folds a delivery, and adds what the tables keep of it.
    fn fold(&mut self, delivery: &mut Delivery, tick: Instant, output: &mut EpochOutput) -> Result<(), AggregateError> {
        let (shard, epoch) = (self.settings.shard, output.epoch());
        let folded = self.group.fold(delivery, tick);
        match &delivery.retried {
            // Whichever shard stores the event, the first one tells what became of the letter.
            Some(retried) if shard.is_first() => {
                output.dead_letters.extend(outcomes(delivery, retried, &folded, tick, epoch));
            }
            Some(_) => {}
            None if shard.is_first() => {
                let row = |letter| DeadLetterRow::new(&delivery.partition, letter, tick, epoch);
                output.dead_letters.extend(delivery.dead_letters.iter().map(row));
            }
            None => {}
        }
        let folded = keep_own(shard, delivery, folded);
        self.live.count(delivery, &folded);
        output.events.extend(accepted_events(delivery, &folded, tick, epoch)?);
        Ok(())
    }

    /// What the epoch tells to be lost, a row each. Of a range of which something was stored only the rest counts.
    fn losses(&mut self, epoch: &EpochRow, told: &[Delivery]) -> Vec<EpochRow> {
        let mut lost = std::mem::take(&mut self.lost);
        lost.extend(told.iter().filter(|delivery| delivery.is_lost).cloned());
        let held = |delivery: &Delivery| (delivery.events.num_rows() + delivery.dead_letters.len()) as i64;
        let counted =
            lost.iter().map(|delivery| (delivery, delivery.until_offset - delivery.from_offset - held(delivery)));
        let lost: Vec<(&Delivery, i64)> = counted.filter(|(_, count)| *count > 0).collect();
        for (Delivery { partition, from_offset, until_offset, .. }, count) in &lost {
            self.live.lose(partition, *count);
            let group = self.settings.lane_group();
            tracing::warn!(
                group,
                "lost {count} record{} of partition {} of topic {}, offsets {from_offset} to {}: they were deleted before they \
                 were read; kafka is to keep records longer than plimsoll may be down (retention.ms, retention.bytes)",
                if *count == 1 { "" } else { "s" },
                partition.partition,
                partition.topic,
                until_offset - 1
            );
        }
        let row = |(delivery, count): &(&Delivery, i64)| EpochRow {
            topic: Some(delivery.partition.topic.to_string()),
            partition: Some(delivery.partition.partition),
            from_offset: Some(delivery.from_offset),
            until_offset: Some(delivery.until_offset),
            lost_count: Some(*count),
            topic_id: topic_id(delivery),
            ..epoch.clone()
        };
        lost.iter().map(row).collect()
    }
}

/// An epoch among those of a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It was recorded before.
    Replayed,
    /// It is new.
    Live,
    /// It is new, and no other follows.
    Last,
}

impl WorkerSettings {
    /// The name of its lane group.
    pub fn lane_group(&self) -> String {
        lane_group(&self.group, self.shard.number(), self.shard.count())
    }
}

/// The number of a shard's first epoch: shards number theirs in turn, so that a number tells its shard.
fn first_epoch(shard: Shard) -> i64 {
    i64::from(shard.number()) + 1
}

/// How far the number of a shard's next epoch is from the last.
fn epoch_step(shard: Shard) -> i64 {
    i64::from(shard.count())
}

/// What of a delivery that was folded is this shard's to store and to count: its own events; dead letters, and what all
/// shards see alike, are the first one's.
fn keep_own(shard: Shard, delivery: &mut Delivery, folded: Folded) -> Folded {
    if shard.is_whole() {
        return folded;
    }
    let accepted = Some(shard.stored(&delivery.events, folded.accepted.as_deref()));
    if shard.is_first() {
        return Folded { accepted, ..folded };
    }
    delivery.dead_letters.clear();
    Folded { accepted, ..Folded::default() }
}

fn micros(span: Duration) -> Micros {
    Micros(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}

/// What the epoch reads, a row for each run of offsets of one partition, in the order in which it folds them, then one for
/// each partition of which it has news alone, and one row when it reads nothing; `epoch` says the rest. The last row of a
/// partition tells until when it is complete.
fn intent(epoch: &EpochRow, deliveries: &[Delivery]) -> Vec<EpochRow> {
    let mut runs: Vec<Option<(&PartitionId, i64, i64)>> = Vec::new();
    let mut last_runs: BTreeMap<&PartitionId, usize> = BTreeMap::new();
    let mut news: BTreeMap<&PartitionId, (Option<Instant>, Option<String>)> = BTreeMap::new();
    for delivery in deliveries {
        let (id, from, until) = (&delivery.partition, delivery.from_offset, delivery.until_offset);
        let (complete_until, known_id) = news.entry(id).or_default();
        *complete_until = delivery.complete_until.max(*complete_until);
        *known_id = topic_id(delivery).or_else(|| known_id.take());
        let is_last = |place: &usize| place + 1 == runs.len();
        match last_runs.get(id).copied().map(|place| (place, runs[place])) {
            Some((place, Some((_, first, last)))) if first < last && (is_last(&place) || from == until) => {
                runs[place] = Some((id, first, until.max(last)));
                continue;
            }
            Some((_, Some((_, first, last)))) if first == last && from == until && until == last => continue,
            // Of a partition that is new, only its first record tells where it begins.
            Some((place, Some((_, first, last)))) if first == last => runs[place] = None,
            _ => {}
        }
        last_runs.insert(id, runs.len());
        runs.push(Some((id, from, until)));
    }
    let row = |(place, run): (usize, Option<(&PartitionId, i64, i64)>)| {
        let (id, from, until) = run?;
        let (complete_until, topic_id) = &news[id];
        Some(EpochRow {
            topic: Some(id.topic.to_string()),
            partition: Some(id.partition),
            from_offset: Some(from),
            until_offset: Some(until),
            complete_until: complete_until.filter(|_| last_runs[id] == place),
            topic_id: topic_id.clone(),
            ..epoch.clone()
        })
    };
    let mut rows: Vec<EpochRow> = runs.into_iter().enumerate().filter_map(row).collect();
    // What is news alone has no place in the order.
    let news = |row: &EpochRow| (row.from_offset == row.until_offset).then(|| (row.topic.clone(), row.partition));
    rows.sort_by_cached_key(news);
    if rows.is_empty() { vec![epoch.clone()] } else { rows }
}

fn topic_id(delivery: &Delivery) -> Option<String> {
    delivery.topic_id.as_ref().map(|id| id.to_string())
}

/// What became of dead letters that were taken again: a row each.
fn outcomes(delivery: &Delivery, retried: &Retried, folded: &Folded, tick: Instant, epoch: i64) -> Vec<DeadLetterRow> {
    let offsets = delivery.events.integers(EventColumn::Offset).values();
    let accepted: BTreeSet<i64> = match &folded.accepted {
        None => offsets.iter().copied().collect(),
        Some(rows) => rows.iter().map(|row| offsets[*row as usize]).collect(),
    };
    let refused: BTreeMap<i64, _> = delivery.dead_letters.iter().map(|letter| (letter.offset, letter)).collect();
    let row = |before: &DeadLetterRow| {
        let outcome = if accepted.contains(&before.offset) { "event" } else { "duplicate" };
        let after = match refused.get(&before.offset) {
            Some(letter) => DeadLetterRow::new(&retried.partition, letter, tick, epoch),
            None => DeadLetterRow {
                payload: before.kept_payload().to_vec(),
                outcome: Some(outcome.to_owned()),
                recorded_at: tick,
                epoch,
                ..before.clone()
            },
        };
        DeadLetterRow { retry: Some(delivery.from_offset), ..after }
    };
    retried.rows.iter().map(row).collect()
}

/// The delivery's events that count, with the columns that the table adds.
fn accepted_events(
    delivery: &Delivery,
    folded: &Folded,
    tick: Instant,
    epoch: i64,
) -> Result<Option<RecordBatch>, AggregateError> {
    let batch = delivery.events.record_batch();
    let accepted = match &folded.accepted {
        None => batch.clone(),
        Some(rows) => take_record_batch(batch, &UInt32Array::from(rows.clone()))?,
    };
    if accepted.num_rows() == 0 {
        return Ok(None);
    }
    let all_at = |at: Instant| TimestampMicrosecondArray::from_value(at.0, accepted.num_rows()).with_timezone("UTC");
    let mut columns = accepted.columns().to_vec();
    let retry = delivery.retried.as_ref().map(|_| delivery.from_offset);
    columns.push(Arc::new(Int64Array::from(vec![retry; accepted.num_rows()])));
    columns.push(Arc::new(all_at(delivery.read_at.unwrap_or(tick))));
    columns.push(Arc::new(all_at(tick)));
    columns.push(Arc::new(Int64Array::from_value(epoch, accepted.num_rows())));
    Ok(Some(RecordBatch::try_new(Table::Events.schema(), columns)?))
}
