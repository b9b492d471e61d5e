//! A process that aggregates: the real worker, fed by a consumer, with a lake of its own over the common store, as
//! `plimsoll run` puts them together, but in one order that chance decides.
//!
//! What the worker orders waits and is carried out by and by, as the writer's threads do it, so a crash may come while the
//! worker is some epochs ahead of the tables.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use plimsoll_aggregate::{AggregateError, Committer, Live, Order, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use url::Url;

use crate::broker::Client;
use crate::chance::Dice;
use crate::store::SimulatedStore;
use crate::tables::stored_events;
use crate::world::{FINAL, MINUTE, World};

/// The lane group of all.
pub const GROUP: &str = "lanes";

/// How a run is shaped, besides its faults.
#[derive(Clone, Debug)]
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
    /// Whether definitions change in the middle.
    pub redefined: bool,
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
    members: RefCell<Vec<u32>>,
    turned: Cell<usize>,
}

impl Common {
    /// At an instant, without a member.
    pub fn new(now: Instant) -> Common {
        Common { now: Arc::new(AtomicI64::new(now.0)), members: RefCell::default(), turned: Cell::new(0) }
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

    /// A process is no more.
    pub fn leave(&self, number: u32) {
        self.members.borrow_mut().retain(|member| *member != number);
    }

    /// The group gives partitions to others.
    pub fn rebalance(&self) {
        self.turned.set(self.turned.get() + 1);
    }

    /// The partitions that the group means for a member.
    fn assignment(&self, world: &World, number: u32) -> BTreeSet<PartitionId> {
        let members = self.members.borrow();
        let mine = |place: usize| members.get((place + self.turned.get()) % members.len().max(1)) == Some(&number);
        let ids = world.partitions.keys().enumerate();
        ids.filter(|(place, _)| mine(*place)).map(|(_, id)| id.clone()).collect()
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
    /// Whether it is the last: then it reads everything at the end of days, and stops.
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
    pub async fn live(mut self) -> Result<(), AggregateError> {
        let lake = Lake::open_in(Arc::new(self.store.clone()), url()).await?;
        loop {
            let worker = self.open(&lake).await?;
            let is_former = worker.is_former();
            let deferred = self.work(worker, &lake).await?;
            // As `plimsoll run` does: former definitions are followed by those of today, and who is to end makes good
            // what was deferred.
            let goes_on = is_former || (self.is_last && deferred > 0);
            if !goes_on {
                return Ok(());
            }
        }
    }

    async fn open(&mut self, lake: &Lake) -> Result<Worker, AggregateError> {
        let is_later = self.shape.redefined && self.common.now().0 > (self.world.end.0 + crate::world::START.0) / 2;
        let definitions = self.world.definitions[usize::from(is_later)].clone();
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

    /// Lets a worker work, and says how many observations it deferred.
    async fn work(&mut self, mut worker: Worker, lake: &Lake) -> Result<u64, AggregateError> {
        let committer = worker.committer();
        let mut client = Client::new(self.world, worker.definitions(), worker.start_offsets());
        let mut orders = VecDeque::new();
        loop {
            let stops = self.turn(&mut worker, &mut client);
            while let Some(order) = worker.replay()? {
                orders.push_back(order);
            }
            if worker.is_replayed() && !worker.is_former() && (stops || self.dice.permille(self.shape.cut)) {
                orders.extend(worker.cut(stops)?);
            }
            if stops || (worker.is_replayed() && worker.is_former()) {
                let (order, deferred) = worker.rest()?;
                orders.extend(order);
                carry_out(&committer, &mut orders, 0).await?;
                return Ok(deferred);
            }
            let ahead = if self.dice.permille(700) { 0 } else { self.shape.ahead };
            carry_out(&committer, &mut orders, ahead).await?;
            if self.dice.permille(self.shape.merge) {
                // When it fails, the next attempt does what is left.
                let _ = lake.maintain().await;
            }
            self.store.pause().await;
        }
    }

    /// Some time passes, and some input comes; true when it is to stop.
    fn turn(&mut self, worker: &mut Worker, client: &mut Client<'_>) -> bool {
        let (world, common, shape) = (self.world, self.common, self.shape);
        let inputs = if self.is_last {
            let all = world.partitions.keys().cloned().collect();
            let assigned = client.assign(&all, true);
            assigned.into_iter().chain(client.drain(FINAL, FINAL)).collect::<Vec<_>>()
        } else {
            common.pass(self.dice.between(1, shape.step));
            if self.dice.permille(shape.rebalance) {
                common.rebalance();
            }
            if self.dice.permille(shape.jump) {
                self.skew.store(shape.any_skew(&mut self.dice), Ordering::Relaxed);
            }
            let clock = Instant(common.now().0 + self.skew.load(Ordering::Relaxed));
            let mut inputs = client.assign(&common.assignment(world, self.number), self.dice.permille(700));
            inputs.extend(client.poll(common.now(), clock, &mut self.dice));
            if self.dice.permille(shape.sent_again) {
                inputs.extend(client.send_again(common.now(), &mut self.dice));
            }
            inputs
        };
        inputs.into_iter().for_each(|input| worker.take(input));
        self.is_last || self.dice.permille(shape.stop)
    }
}

/// How a worker works in a run of this shape, by this clock.
pub fn settings(shape: &Shape, clock: Arc<dyn Fn() -> Instant + Send + Sync>) -> WorkerSettings {
    WorkerSettings {
        group: GROUP.to_owned(),
        shard: Shard::WHOLE,
        lanes: shape.lanes,
        epoch_interval: Duration::ZERO,
        epoch_rows_max: usize::MAX,
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
