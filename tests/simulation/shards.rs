//! Several shards that keep the tables from one log, as they do where roles stand apart: each cuts epochs where chance has
//! it, dies, and reads the log anew. What they say together is what one lane group says that takes the log delivery by
//! delivery.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plimsoll_aggregate::{AggregateError, Committer, Input, Order, Worker, WorkerSettings};
use plimsoll_engine::shards::Shard;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::Delivery;

use crate::broker::{Broker, Client};
use crate::chance::{Dice, Part};
use crate::laws::{self, Found};
use crate::process::{Shape, carry_out, settings, url};
use crate::run::Plan;
use crate::store::{Death, Disk, Faults, Mortal, SimulatedStore};
use crate::world::{Change, FINAL, MINUTE, START, World};

/// How a shard may die. Nobody takes its place before it is dead, so no write comes late.
const DEATHS: [Death; 3] = [Death::Before, Death::After, Death::Torn];

/// What is passed on, in its order, and when.
type Log = Vec<(Instant, Input)>;

/// Shards of a seed's world, and all that must hold of what they say.
pub async fn hold(seed: u64) {
    let (world, shape) = (World::apart(seed), Shape { rows_max: usize::MAX, ..Plan::new(seed).shape });
    let mut dice = Dice::new(seed, Part::Schedule);
    let log = log(&world, &shape, &mut dice).await;
    let disk = Disk::new(seed, Faults::default());
    let count = dice.between(2, 3) as u32;
    let mut keeping = Vec::new();
    for number in 0..count {
        let shard = Shard::new(number, count).expect("a shard");
        let (cut, ahead) = (dice.between(20, 500), dice.between(0, 3) as usize);
        let keeper = Keeper { shard, world: &world, shape: &shape, log: &log, disk: &disk, cut, ahead };
        keeping.push((keeper.open(&mut dice).await, keeper));
    }
    while !keeping.is_empty() {
        let place = dice.below(keeping.len() as i64) as usize;
        let (at_work, keeper) = &mut keeping[place];
        match at_work.step(keeper, &mut dice).await {
            Ok(false) => {}
            Ok(true) => drop(keeping.swap_remove(place)),
            Err(AggregateError::Lake(LakeError::Unavailable(_))) => *at_work = keeper.open(&mut dice).await,
            Err(error) => panic!("shard {} ended with {error:?}", keeper.shard.number()),
        }
    }
    let (found, expected) =
        (Found::of(&lake(&disk, None).await).await, Found::of(&whole(&world, &shape, &log).await).await);
    laws::every_record_is_accounted_for(&world, Change::default(), &found);
    assert_eq!(found.events(), expected.events(), "the same copies count");
    laws::the_tables_say_the_same(&laws::said(&found, Change::default()), &laws::said(&expected, Change::default()));
    laws::nothing_is_damaged(&lake(&disk, None).await).await;
}

/// What an ingest worker passes on of a world: now and then a second time, and in the end everything.
async fn log(world: &World, shape: &Shape, dice: &mut Dice) -> Log {
    let nothing = lake(&Disk::new(0, Faults::default()), None).await;
    let worker = Worker::open(by(shape, FINAL, Shard::WHOLE), nothing, world.definitions[0].clone(), Arc::default());
    let worker = worker.await.expect("a worker");
    let broker = Broker::default();
    let mut client = Client::new(world, &broker, &worker);
    let (mut log, mut now) = (Log::new(), START);
    while now <= world.end {
        now = Instant(now.0 + dice.between(1, shape.step) * MINUTE);
        let mut inputs = client.assign(&world.partitions_at(now), true);
        inputs.extend(client.poll(now, now, dice));
        if dice.permille(shape.sent_again) {
            inputs.extend(client.send_again(now, dice));
        }
        log.extend(inputs.into_iter().map(|input| (now, read_at(input, Some(now)))));
    }
    let mut inputs = client.assign(&world.partitions_at(FINAL), true);
    inputs.extend(client.drain(FINAL, FINAL));
    log.extend(inputs.into_iter().map(|input| (FINAL, read_at(input, Some(FINAL)))));
    log
}

/// The same, which says when it was read, or does not.
fn read_at(input: Input, at: Option<Instant>) -> Input {
    match input {
        Input::Delivery(delivery) => Input::Delivery(Delivery { read_at: at, ..delivery }),
        other => other,
    }
}

/// The tables of one lane group that takes delivery by delivery.
async fn whole(world: &World, shape: &Shape, log: &Log) -> Lake {
    let lake = lake(&Disk::new(0, Faults::default()), None).await;
    let now = Arc::new(AtomicI64::new(START.0));
    let clock = now.clone();
    let settings = settings(shape, Arc::new(move || Instant(clock.load(Ordering::Relaxed))));
    let worker = Worker::open(settings, lake.clone(), world.definitions[0].clone(), Arc::default());
    let mut worker = worker.await.expect("a worker");
    let committer = worker.committer();
    let mut orders = VecDeque::new();
    for (at, input) in log {
        now.store(at.0, Ordering::Relaxed);
        worker.take(read_at(input.clone(), None));
        orders.extend(worker.cut(false).expect("an epoch"));
    }
    orders.extend(worker.cut(true).expect("an epoch"));
    orders.extend(worker.rest().expect("a state").0);
    carry_out(&committer, &mut orders, 0).await.expect("tables");
    lake
}

async fn lake(disk: &Arc<Disk>, mortal: Option<Arc<Mortal>>) -> Lake {
    let store = SimulatedStore::new(disk.clone(), mortal.unwrap_or_else(|| Mortal::new(0, None)));
    Lake::open_in(Arc::new(store), url()).await.expect("a lake")
}

/// How a shard works at an instant.
fn by(shape: &Shape, now: Instant, shard: Shard) -> WorkerSettings {
    WorkerSettings { shard, ..settings(shape, Arc::new(move || now)) }
}

/// What a shard is kept by.
struct Keeper<'run> {
    shard: Shard,
    world: &'run World,
    shape: &'run Shape,
    log: &'run Log,
    disk: &'run Arc<Disk>,
    /// How often it cuts an epoch, in a thousand steps.
    cut: i64,
    /// How many epochs may wait to be carried out.
    ahead: usize,
}

impl Keeper<'_> {
    /// Starts, now or after a death: where the tables are, and at the beginning of the log.
    async fn open(&self, dice: &mut Dice) -> AtWork {
        loop {
            let death = dice.permille(700).then(|| (dice.between(1, 60) as u64, *dice.pick(&DEATHS)));
            let mortal = Mortal::new(self.shard.number() + 1, death);
            let store = SimulatedStore::new(self.disk.clone(), mortal);
            let now = Arc::new(AtomicI64::new(START.0));
            match self.worker(store, now.clone()).await {
                Ok(worker) => {
                    let committer = worker.committer();
                    return AtWork { worker, committer, orders: VecDeque::new(), next: 0, now };
                }
                Err(AggregateError::Lake(LakeError::Unavailable(_))) => {}
                Err(error) => panic!("shard {} cannot start: {error:?}", self.shard.number()),
            }
        }
    }

    async fn worker(&self, store: SimulatedStore, now: Arc<AtomicI64>) -> Result<Worker, AggregateError> {
        let lake = Lake::open_in(Arc::new(store), url()).await?;
        let clock = move || Instant(now.load(Ordering::Relaxed));
        let settings = WorkerSettings { shard: self.shard, ..settings(self.shape, Arc::new(clock)) };
        let mut worker = Worker::open(settings, lake, self.world.definitions[0].clone(), Arc::default()).await?;
        assert!(worker.wants_recount().is_none() && !worker.is_former(), "nothing is that late");
        worker.take(Input::Assigned(self.world.partitions.keys().cloned().collect()));
        Ok(worker)
    }
}

/// A shard's worker, and how far in the log it is.
struct AtWork {
    worker: Worker,
    committer: Committer,
    orders: VecDeque<Order>,
    next: usize,
    now: Arc<AtomicI64>,
}

impl AtWork {
    /// Takes one delivery more, and cuts an epoch or does not; true when it is done with the whole log.
    async fn step(&mut self, keeper: &Keeper<'_>, dice: &mut Dice) -> Result<bool, AggregateError> {
        if let Some((at, input)) = keeper.log.get(self.next) {
            self.now.fetch_max(at.0, Ordering::Relaxed);
            self.worker.take(input.clone());
            self.next += 1;
        }
        while let Some(order) = self.worker.replay()? {
            self.orders.push_back(order);
        }
        let is_done = self.next == keeper.log.len();
        let is_replayed = self.worker.is_replayed();
        assert!(is_replayed || !is_done, "all that was recorded is in the log");
        if is_replayed && (is_done || dice.permille(keeper.cut)) {
            self.orders.extend(self.worker.cut(is_done)?);
        }
        carry_out(&self.committer, &mut self.orders, if is_done { 0 } else { keeper.ahead }).await?;
        Ok(is_done)
    }
}
