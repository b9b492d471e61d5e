//! A process that aggregates: the real worker, fed by a consumer, with a lake of its own over the common store, as
//! `plimsoll run` puts them together, but in one order that chance decides.
//!
//! What the worker orders waits and is carried out by and by, as the writer's threads do it, so a crash may come while the
//! worker is some epochs ahead of the tables.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use futures::future::join;
use plimsoll_aggregate::{AggregateError, Committer, Input, Live, Order, Patience, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use url::Url;

use crate::broker::{Broker, Client, TopicMadeAnew};
use crate::chance::Dice;
use crate::laws;
use crate::requests::Requests;
use crate::store::SimulatedStore;
use crate::tables::stored_events;
use crate::world::{Change, MINUTE, START, World};

/// The lane group of all.
pub const GROUP: &str = "lanes";

/// How a run is shaped, besides its faults.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// How many lanes.
    pub lanes: usize,
    /// Every how many epochs the state is saved.
    pub snapshot_every: i64,
    /// How often provisional results are written.
    pub publish_minutes: i64,
    /// How often an epoch is cut, in a thousand turns.
    pub cut: i64,
    /// How many epochs may wait to be carried out.
    pub ahead: usize,
    /// How often a process is stopped in order, in a thousand turns.
    pub stop: i64,
    /// How often partitions are given to others, in a thousand turns.
    pub rebalance: i64,
    /// How often records are sent a second time, in a thousand turns.
    pub sent_again: i64,
    /// How often small files are merged, in a thousand turns.
    pub merge: i64,
    /// How far a clock may be wrong, in minutes: behind and ahead.
    pub skew: (i64, i64),
    /// How often a clock jumps, in a thousand turns.
    pub jump: i64,
    /// How long a turn lasts at most, in minutes.
    pub step: i64,
    /// How definitions change in the middle.
    pub change: Change,
    /// How often a process that runs sees that they did, and what came very late is applied, in a thousand turns.
    pub renewed: i64,
    /// How many records may wait while recorded epochs are made again.
    pub rows_max: usize,
    /// Whether a process is patient with a storage that is away.
    pub is_patient: bool,
}

impl Shape {
    /// How far a clock is ahead, in microseconds.
    pub fn any_skew(&self, dice: &mut Dice) -> i64 {
        dice.between(-self.skew.0, self.skew.1) * MINUTE
    }
}

/// What processes have in common: the time, and who reads what.
pub struct Common {
    /// The time of the world.
    pub now: Arc<AtomicI64>,
    /// The brokers.
    pub broker: Broker,
    members: RefCell<Vec<u32>>,
    turned: Cell<usize>,
    /// Since when those are under way who may need what they found then.
    since: RefCell<BTreeMap<u32, DateTime<Utc>>>,
}

impl Common {
    /// At an instant, without a member.
    pub fn new(now: Instant) -> Common {
        let now = Arc::new(AtomicI64::new(now.0));
        let (broker, members, turned, since) = Default::default();
        Common { now, broker, members, turned, since }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant(self.now.load(Ordering::Relaxed))
    }

    /// Lets time pass.
    pub fn pass(&self, minutes: i64) {
        self.now.fetch_add(minutes * MINUTE, Ordering::Relaxed);
    }

    /// A process joins the consumer group.
    pub fn join(&self, number: u32) {
        self.members.borrow_mut().push(number);
    }

    /// Somebody is under way from now on.
    pub fn begin(&self, number: u32) {
        self.since.borrow_mut().insert(number, mark());
    }

    /// Since when the oldest of those is under way who are.
    pub fn oldest(&self) -> DateTime<Utc> {
        self.since.borrow().values().min().copied().unwrap_or_else(mark)
    }

    /// A process is no more.
    pub fn leave(&self, number: u32) {
        self.members.borrow_mut().retain(|member| *member != number);
        self.since.borrow_mut().remove(&number);
    }

    /// Whether another one is a member, too.
    fn is_shared(&self) -> bool {
        self.members.borrow().len() > 1
    }

    /// The group gives partitions to others.
    pub fn rebalance(&self) {
        self.turned.set(self.turned.get() + 1);
    }

    /// The partitions that the group means for a member.
    fn assignment(&self, world: &World, number: u32) -> BTreeSet<PartitionId> {
        let members = self.members.borrow();
        let mine = |place: usize| members.get((place + self.turned.get()) % members.len().max(1)) == Some(&number);
        let ids = world.partitions_at(self.now()).into_iter().enumerate();
        ids.filter(|(place, _)| mine(*place)).map(|(_, id)| id).collect()
    }
}

/// An instant of the real clock, by which stores date what is written: what comes later has a later millisecond.
fn mark() -> DateTime<Utc> {
    let before = Utc::now().timestamp_millis();
    loop {
        let now = Utc::now();
        if now.timestamp_millis() > before {
            return now.trunc_subsecs(3);
        }
        std::hint::spin_loop();
    }
}

/// Why a process ends, but for a stop in order.
#[derive(Debug)]
pub enum End {
    /// Its worker cannot go on.
    Worker(AggregateError),
    /// Its source: another topic has the name of one.
    Topic(TopicMadeAnew),
}

impl From<AggregateError> for End {
    fn from(error: AggregateError) -> End {
        End::Worker(error)
    }
}

impl From<LakeError> for End {
    fn from(error: LakeError) -> End {
        End::Worker(error.into())
    }
}

/// One process.
pub struct Process<'run> {
    /// Its number.
    pub number: u32,
    /// What happens.
    pub world: &'run World,
    /// How it works.
    pub shape: &'run Shape,
    /// What it has in common with others.
    pub common: &'run Common,
    /// The disk, as it sees it.
    pub store: SimulatedStore,
    /// What it does by chance.
    pub dice: Dice,
    /// Whether it is the last: then it reads everything that there is, and stops.
    pub is_last: bool,
    /// Its counts.
    pub live: Arc<Live>,
    /// How far its clock is ahead of the world's time, in microseconds.
    pub skew: Arc<AtomicI64>,
}

/// What the store's root is called.
pub fn url() -> Url {
    Url::parse("memory:///").expect("a URL")
}

impl Process<'_> {
    /// Works until it fails, or is to stop.
    pub async fn live(mut self) -> Result<(), End> {
        let lake = Lake::open_in(Arc::new(self.store.clone()), url()).await?;
        loop {
            let number = self.definitions();
            let worker = self.open(&lake, number).await?;
            let rest = self.work(worker, &lake, number).await?;
            // As `plimsoll run` does: former definitions are followed by those of today, who stays up goes on by new ones
            // and applies what came very late, and who is to end makes good what was deferred.
            let goes_on = rest.is_former || rest.is_renewed || (self.is_last && rest.deferred > 0);
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// The number of the definitions that are in force.
    fn definitions(&self) -> usize {
        let is_later = self.common.now().0 > (self.world.end.0 + START.0) / 2;
        if is_later { self.shape.change.number() } else { 0 }
    }

    async fn open(&mut self, lake: &Lake, number: usize) -> Result<Worker, AggregateError> {
        let definitions = self.world.definitions[number].clone();
        let (now, skew) = (self.common.now.clone(), self.skew.clone());
        let clock = move || Instant(now.load(Ordering::Relaxed) + skew.load(Ordering::Relaxed));
        let settings = settings(self.shape, Arc::new(clock));
        let mut worker = Worker::open(settings, lake.clone(), definitions, self.live.clone()).await?;
        if let Some(before) = worker.wants_recount() {
            worker.begin_recount();
            stored_events(lake, self.world, &before).await?.iter().for_each(|events| worker.recount(events));
            worker.end_recount();
        }
        Ok(worker)
    }

    /// Lets a worker work.
    async fn work(&mut self, mut worker: Worker, lake: &Lake, number: usize) -> Result<Rest, End> {
        let committer = self.committer(&worker);
        let mut client = Client::new(self.world, &self.common.broker, &worker);
        let mut requests = Requests::new(lake.clone(), client.sources(), &worker);
        let mut orders = VecDeque::new();
        loop {
            let is_stopped = self.turn(&mut worker, &mut client, &mut requests).await?;
            let is_renewed = !worker.is_former() && !self.is_last && self.is_renewed(number);
            let stops = is_stopped || is_renewed;
            while let Some(order) = worker.replay()? {
                orders.push_back(order);
            }
            if !worker.is_replayed() && self.dice.permille(50) {
                worker.check_fence().await?;
            }
            if worker.is_replayed() && !worker.is_former() && (stops || self.dice.permille(self.shape.cut)) {
                let before = worker.watermark();
                orders.extend(worker.cut(stops)?);
                assert!(worker.watermark() == before || client.has_heard_all(), "a partition was not waited for (R23)");
            }
            if stops || (worker.is_replayed() && worker.is_former()) {
                let (is_former, is_replayed) = (worker.is_former(), worker.is_replayed());
                let (order, deferred) = worker.rest()?;
                orders.extend(order);
                carry_out(&committer, &mut orders, 0).await?;
                if is_replayed {
                    laws::every_record_that_was_read_became_something(&self.live);
                }
                return Ok(Rest { is_former, deferred, is_renewed: is_renewed && !is_stopped });
            }
            let ahead = if self.dice.permille(700) { 0 } else { self.shape.ahead };
            let merges = self.dice.permille(self.shape.merge);
            // When it fails, the next attempt does what is left.
            let merging = async {
                if merges {
                    drop(lake.maintain().await)
                }
            };
            join(carry_out(&committer, &mut orders, ahead), merging).await.0?;
            self.store.pause().await;
        }
    }

    fn committer(&self, worker: &Worker) -> Committer {
        if !self.shape.is_patient || self.is_last {
            return worker.committer();
        }
        let store = self.store.clone();
        let patience = Patience::new(move || store.is_dead()).waiting(Duration::ZERO, Duration::ZERO);
        worker.committer().patient(patience)
    }

    /// Whether it is time to go on by other definitions, or with what came very late.
    fn is_renewed(&mut self, number: usize) -> bool {
        (self.definitions() != number || self.live.deferred() > 0) && self.dice.permille(self.shape.renewed)
    }

    /// Some time passes, and some input comes; true when it is to stop.
    async fn turn(
        &mut self,
        worker: &mut Worker,
        client: &mut Client<'_>,
        requests: &mut Requests,
    ) -> Result<bool, End> {
        let (world, common, shape) = (self.world, self.common, self.shape);
        let mut inputs = Vec::new();
        if self.is_last {
            inputs.extend(requests.take_all().await?);
            inputs.extend(client.assign(&world.partitions_at(common.now()), true));
            inputs.extend(client.drain(common.now(), common.now()));
        } else {
            common.pass(self.dice.between(1, shape.step));
            let is_turned = self.dice.permille(shape.rebalance);
            if is_turned {
                common.rebalance();
            }
            if self.dice.permille(shape.jump) {
                self.skew.store(shape.any_skew(&mut self.dice), Ordering::Relaxed);
            }
            let clock = Instant(common.now().0 + self.skew.load(Ordering::Relaxed));
            if is_turned && self.dice.permille(300) {
                // The eager protocol takes everything first.
                inputs.extend(client.assign(&BTreeSet::new(), self.dice.permille(700)));
            }
            let wanted = common.assignment(world, self.number);
            client.identify(&wanted).map_err(End::Topic)?;
            inputs.extend(client.assign(&wanted, self.dice.permille(700)));
            inputs.extend(client.poll(common.now(), clock, &mut self.dice));
            if self.dice.permille(shape.sent_again) {
                inputs.extend(client.send_again(common.now(), &mut self.dice));
                requests.go_back(&mut self.dice);
            }
            if common.is_shared() && self.dice.permille(50) {
                inputs.push(Input::Contested);
            }
            if self.dice.permille(300) {
                // When the storage is away, it is asked again.
                inputs.extend(requests.take().await.unwrap_or_default());
            }
        }
        inputs.into_iter().for_each(|input| worker.take(input));
        Ok(self.is_last || self.dice.permille(shape.stop))
    }
}

/// How a worker ended in order.
struct Rest {
    /// Whether it worked by former definitions.
    is_former: bool,
    /// How many observations it deferred.
    deferred: u64,
    /// Whether the process goes on at once.
    is_renewed: bool,
}

/// How a worker works in a run of this shape, by this clock.
pub fn settings(shape: &Shape, clock: Arc<dyn Fn() -> Instant + Send + Sync>) -> WorkerSettings {
    WorkerSettings {
        group: GROUP.to_owned(),
        shard: Shard::WHOLE,
        lanes: shape.lanes,
        epoch_interval: Duration::ZERO,
        epoch_rows_max: shape.rows_max,
        publish_interval: Duration::from_secs(shape.publish_minutes as u64 * 60),
        snapshot_every: shape.snapshot_every,
        remembered: plimsoll_aggregate::worker::REMEMBERED,
        clock,
    }
}

/// Carries orders out until so many are left.
pub async fn carry_out(committer: &Committer, orders: &mut VecDeque<Order>, left: usize) -> Result<(), AggregateError> {
    while orders.len() > left
        && let Some(order) = orders.pop_front()
    {
        committer.carry_out(order.encode()?).await?;
    }
    Ok(())
}
