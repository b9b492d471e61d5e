//! One run: processes start, work side by side, fail, are killed or stopped, until all has happened; then one that nothing
//! befalls reads what is left, at the end of days.
//!
//! Of the processes that are alive one at a time has its turn, which lasts until an operation of its store waits. What a
//! process awaits besides that (a thread that packs a snapshot) is waited for by all, so that nothing but the seed decides
//! the order.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake};

use futures::FutureExt;
use plimsoll_aggregate::{AggregateError, Live};
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::EpochRow;
use tokio::sync::Notify;
use tokio::task::{spawn_blocking, unconstrained};

use crate::chance::{Dice, Part};
use crate::keeper::{self, Errand, Reader};
use crate::process::{Common, End, GROUP, Process, Shape, url};
use crate::requests::ask_again;
use crate::store::{Death, Disk, Faults, Mortal, SimulatedStore};
use crate::world::{Change, DESK, FINAL, MINUTE, START, World};

/// How many processes are alive at most.
const ALIVE_MAX: usize = 2;

/// How many turns of others a process sleeps at most: some epochs.
const SLEEP_MAX: i64 = 600;

/// How a process may die.
const DEATHS: [Death; 4] = [Death::Before, Death::After, Death::Torn, Death::Late];

/// How many turns a run has at most. One that needs more hangs.
const TURNS_MAX: usize = 200_000;

/// What a seed decides about a run, besides the world.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How its processes work.
    pub shape: Shape,
    /// What goes wrong with the store.
    pub faults: Faults,
    /// How often a second process is started while one is alive, in a thousand turns.
    pub second: i64,
    /// How often a process is killed between two writes, in a thousand turns.
    pub killed: i64,
    /// How many writes a process has at most until it dies of one; 0 when none does.
    pub life: i64,
    /// How often a process sleeps while others go on, in a thousand turns.
    pub sleep: i64,
    /// Whether a process may sleep for longer than files stay that are no longer needed.
    pub naps: bool,
    /// How often somebody looks after the tables or asks for dead letters, in a thousand turns.
    pub errand: i64,
    /// How often somebody begins to read, or ends it, in a thousand turns.
    pub reader: i64,
    /// How often the brokers delete the first records of a partition while nobody works, in a thousand turns.
    pub retention: i64,
    /// How often another topic has the name of one for some time, in a thousand turns.
    pub replaced: i64,
    /// The deaths of the first processes, in their order, where none are by chance.
    pub deaths: Vec<(u64, Death)>,
    /// Whether the clocks are so wrong that what counts as late, and as from the future, depends on the run.
    pub is_wild: bool,
    /// Whether nobody works before all has happened.
    pub is_at_once: bool,
}

impl Plan {
    /// The plan of a seed. Each fault is there or not, so that some runs have few, which are then not hidden by others.
    pub fn new(seed: u64) -> Plan {
        let mut dice = Dice::new(seed, Part::Shape);
        let mut perhaps = |most: i64| if dice.permille(500) { dice.between(1, most) } else { 0 };
        let faults = Faults {
            refused: perhaps(20),
            unacknowledged: perhaps(20),
            twice: perhaps(40),
            late: perhaps(20),
            stale: perhaps(400),
            away: perhaps(3),
            delayed: true,
        };
        let (second, killed, life, sleep) = (perhaps(100), perhaps(3), perhaps(3) * 40, perhaps(10));
        let (stop, rebalance, jump) = (perhaps(80), perhaps(100), perhaps(100));
        let (sent_again, merge) = (perhaps(200), perhaps(2) * 100);
        let (errand, reader, renewed) = (perhaps(40), perhaps(30), perhaps(300));
        let is_wild = dice.permille(200);
        let mut seldom = |most: i64| if dice.permille(150) { dice.between(1, most) } else { 0 };
        let (retention, replaced) = (seldom(30), seldom(10));
        // Who does not see the newest state needs records from before it.
        let faults = if retention > 0 { Faults { stale: 0, ..faults } } else { faults };
        // Who merges must be done before files are removed that nobody names.
        let naps = dice.permille(500) && merge == 0;
        let change = Change { is_promise: dice.permille(300), is_mapping: dice.permille(300) };
        let shape = Shape {
            lanes: dice.between(1, 3) as usize,
            snapshot_every: dice.between(1, 6),
            publish_minutes: *dice.pick(&[0, 60, 600]),
            cut: dice.between(100, 500),
            ahead: dice.between(0, 3) as usize,
            stop,
            rebalance,
            sent_again,
            merge,
            skew: if is_wild { (600, 600) } else { (4, 30) },
            jump,
            step: dice.between(120, 360),
            change,
            renewed,
            rows_max: if dice.permille(300) { dice.between(5, 40) as usize } else { usize::MAX },
            is_patient: dice.permille(400),
        };
        let plan = Plan { shape, faults, second, killed, life, sleep, is_wild, ..Plan::default() };
        Plan { naps, errand, reader, retention, replaced, ..plan }
    }

    /// The same with nothing that goes wrong, but for these deaths of the first processes.
    pub fn calm(&self, deaths: &[(u64, Death)]) -> Plan {
        let shape = Shape {
            ahead: 0,
            stop: 0,
            rebalance: 0,
            sent_again: 0,
            merge: 0,
            skew: (0, 0),
            jump: 0,
            renewed: 0,
            rows_max: usize::MAX,
            is_patient: false,
            ..self.shape.clone()
        };
        Plan { shape, deaths: deaths.to_vec(), ..Plan::default() }
    }

    /// Whether a process may find that another one has the lane group.
    pub fn may_fence(&self) -> bool {
        self.second > 0 || self.faults.late > 0 || self.life > 0 || self.retention > 0
    }

    /// One process reads everything at the end, in one epoch.
    pub fn at_once(&self) -> Plan {
        Plan { is_at_once: true, ..self.calm(&[]) }
    }
}

/// What a run leaves behind.
pub struct Outcome {
    /// The tables.
    pub lake: Lake,
    /// The disk.
    pub disk: Arc<Disk>,
    /// How many of them another one fenced off.
    pub fenced: u32,
    /// How many writes each process began.
    pub writes: Vec<u64>,
    /// The counts of the last process.
    pub live: Arc<Live>,
    /// Where partitions begin whose first records were deleted.
    pub beginnings: BTreeMap<PartitionId, i64>,
    /// Whether files may have been merged.
    pub is_merged: bool,
}

type Running<'run> = Pin<Box<dyn Future<Output = Result<(), End>> + 'run>>;

/// A process that is alive.
struct Alive<'run> {
    mortal: Arc<Mortal>,
    number: u32,
    is_errand: bool,
    sleeps: i64,
    running: Running<'run>,
}

/// A run that is under way.
struct Run<'run> {
    seed: u64,
    world: &'run World,
    plan: &'run Plan,
    common: &'run Common,
    disk: Arc<Disk>,
    dice: Dice,
    /// Every process that was started.
    mortals: Vec<Arc<Mortal>>,
    fenced: u32,
    readers: Vec<(u32, Reader)>,
    /// What was read by somebody who is done with it.
    was_read: Vec<Reader>,
    /// How many of those who start next die early.
    hurried: u32,
}

/// Runs the plan in the world to its end.
pub async fn run(seed: u64, world: &World, plan: &Plan) -> Outcome {
    let common = Common::new(START);
    let (disk, dice) = (Disk::new(seed, plan.faults), Dice::new(seed, Part::Schedule));
    let (mortals, readers, was_read, hurried) = Default::default();
    let mut run =
        Run { seed, world, plan, common: &common, disk, dice, mortals, fenced: 0, readers, was_read, hurried };
    if !plan.is_at_once {
        run.chaos().await;
    }
    run.end().await
}

impl<'run> Run<'run> {
    /// Until the last record has come.
    async fn chaos(&mut self) {
        let mut alive: Vec<Alive<'run>> = Vec::new();
        for _ in 0..TURNS_MAX {
            if self.common.now() > self.world.end {
                return;
            }
            let working = alive.iter().filter(|process| !process.is_errand).count();
            if working == 0 || (working < ALIVE_MAX && self.dice.permille(self.plan.second)) {
                let process = self.start();
                alive.push(process);
            }
            if working == alive.len() && self.dice.permille(self.plan.errand) {
                let errand = self.errand();
                alive.push(errand);
            }
            self.meanwhile(&mut alive).await;
            let Some(place) = (!alive.is_empty()).then(|| self.dice.below(alive.len() as i64) as usize) else {
                continue;
            };
            let chosen = &mut alive[place];
            if chosen.sleeps > 0 {
                chosen.sleeps -= 1;
                continue;
            }
            let ended = turn(&chosen.mortal, &mut chosen.running).await;
            if self.dice.permille(self.plan.sleep) {
                chosen.sleeps = self.dice.between(1, SLEEP_MAX);
            }
            let is_dead = chosen.mortal.is_dead() || self.dice.permille(self.plan.killed);
            if let (Some(end), false) = (&ended, is_dead) {
                self.judge(end);
            }
            if ended.is_some() || is_dead {
                let gone = alive.remove(place);
                self.common.leave(gone.number);
                self.common.pass(if gone.is_errand { 0 } else { 20 });
            }
        }
        panic!("it does not come to an end");
    }

    /// What happens besides: somebody reads, brokers delete records, another topic has the name of one.
    async fn meanwhile(&mut self, alive: &mut Vec<Alive<'run>>) {
        if self.dice.permille(self.plan.reader) {
            match self.readers.pop() {
                Some((number, reader)) => {
                    reader.misses_no_file().await;
                    self.common.leave(number);
                    self.was_read.push(reader);
                }
                None => {
                    let number = self.mortals.len() as u32;
                    self.mortals.push(Mortal::new(number, None));
                    self.common.begin(number);
                    self.readers.extend(Reader::begin(&self.disk, &mut self.dice).await.map(|reader| (number, reader)));
                }
            }
        }
        if self.dice.permille(self.plan.retention) {
            alive.drain(..).for_each(|gone| self.common.leave(gone.number));
            self.delete_records().await;
        }
        let is_replaced = self.common.broker.is_replaced();
        if self.dice.permille(if is_replaced { 30 } else { self.plan.replaced }) {
            let is_known = is_replaced || self.knows_the_desk().await;
            self.common.broker.replace_topic(!is_replaced && is_known);
        }
    }

    /// What is recorded, as somebody sees it to whom nothing happens; none when there are no tables yet.
    async fn recorded(&self) -> Option<(i64, Vec<EpochRow>)> {
        self.disk.settle();
        let lake = keeper::open(&self.disk).await?;
        let saved = lake.newest_snapshot(GROUP).await.expect("a state").map_or(0, |(epoch, _)| epoch);
        Some((saved, lake.epochs_after(GROUP, 0).await.expect("epochs")))
    }

    /// Whether the tables tell the id of the topic of which there is another.
    async fn knows_the_desk(&self) -> bool {
        let recorded = self.recorded().await;
        recorded.is_some_and(|(_, rows)| {
            rows.iter().any(|row| row.topic.as_deref() == Some(DESK) && row.topic_id.is_some())
        })
    }

    /// Deletes the first records of a partition, read or not; but none that a recorded epoch needs which is to be made
    /// again, for that is not what the lanes recover from by themselves (see `cli/src/restore.rs`). Who starts next dies
    /// early, so that a loss that is told is met again.
    async fn delete_records(&mut self) {
        let Some((saved, rows)) = self.recorded().await else { return };
        let ids: Vec<&PartitionId> = self.world.partitions.keys().collect();
        let id = *self.dice.pick(&ids);
        let there = self.world.partitions[id].iter().filter(|record| record.appended_at <= self.common.now());
        let offsets: Vec<i64> = there.map(|record| record.offset + 1).collect();
        if offsets.is_empty() {
            return;
        }
        let of_id = |row: &&EpochRow| row.topic.as_deref() == Some(&id.topic) && row.partition == Some(id.partition);
        let needed = rows.iter().filter(|row| row.epoch > saved).filter(of_id).find_map(|row| row.from_offset);
        let until = (*self.dice.pick(&offsets)).min(needed.unwrap_or(i64::MAX));
        if until > self.common.broker.beginning(id) {
            self.common.broker.delete_before(id, until);
            self.hurried = 2;
        }
    }

    fn start(&mut self) -> Alive<'run> {
        let process = self.process(false);
        let (number, mortal) = (process.number, self.mortals[process.number as usize].clone());
        self.common.join(number);
        if !self.plan.naps {
            self.begin(number);
        }
        Alive { mortal, number, is_errand: false, sleeps: 0, running: Box::pin(process.live()) }
    }

    fn begin(&self, number: u32) {
        if self.plan.errand > 0 {
            self.common.begin(number);
        }
    }

    /// Somebody who looks after the tables, or asks for dead letters.
    fn errand(&mut self) -> Alive<'run> {
        let number = self.mortals.len() as u32;
        let mortal = Mortal::new(number, self.death(number, false));
        self.mortals.push(mortal.clone());
        self.begin(number);
        let errand = if self.dice.permille(500) { Errand::Upkeep } else { Errand::Replay };
        let store = SimulatedStore::new(self.disk.clone(), mortal.clone());
        let (common, dice) = (self.common, Dice::new(self.seed, Part::Process(number)));
        let running = Box::pin(async move { Ok(keeper::run(errand, store, common, dice).await?) });
        Alive { mortal, number, is_errand: true, sleeps: 0, running }
    }

    fn process(&mut self, is_last: bool) -> Process<'run> {
        let number = self.mortals.len() as u32;
        let mortal = Mortal::new(number, self.death(number, is_last));
        self.mortals.push(mortal.clone());
        let (world, common, shape) = (self.world, self.common, &self.plan.shape);
        let mut dice = Dice::new(self.seed, Part::Process(number));
        let skew = if is_last { 0 } else { shape.any_skew(&mut dice) };
        let (skew, live) = (Arc::new(AtomicI64::new(skew)), Arc::new(Live::default()));
        let store = SimulatedStore::new(self.disk.clone(), mortal);
        Process { number, world, shape, common, store, dice, is_last, live, skew }
    }

    /// When and how a process is to die, if it is.
    fn death(&mut self, number: u32, is_last: bool) -> Option<(u64, Death)> {
        if !is_last && self.hurried > 0 {
            self.hurried -= 1;
            return Some((self.dice.between(3, 30) as u64, *self.dice.pick(&DEATHS)));
        }
        if is_last || self.plan.life == 0 {
            return self.plan.deaths.get(number as usize).copied();
        }
        let writes = self.dice.between(1, self.plan.life) as u64;
        Some((writes, *self.dice.pick(&DEATHS)))
    }

    /// Only what may go wrong does.
    fn judge(&mut self, end: &Result<(), End>) {
        match end {
            Ok(()) | Err(End::Worker(AggregateError::Lake(LakeError::Unavailable(_)))) => {}
            Err(End::Worker(AggregateError::Lake(LakeError::Fenced { .. }))) => self.fenced += 1,
            // Who started before the first was recorded may have met the other one first.
            Err(End::Topic(_)) => assert!(self.common.broker.was_replaced(), "the topic is the one that was read"),
            Err(error) => panic!("a process ended with {error:?}"),
        }
    }

    /// What is left is read, and everything is told once more.
    async fn end(mut self) -> Outcome {
        self.disk.heal();
        self.common.broker.replace_topic(false);
        for (_, reader) in std::mem::take(&mut self.readers) {
            reader.misses_no_file().await;
            self.was_read.push(reader);
        }
        if self.plan.shape.change.is_mapping && !self.plan.is_at_once {
            // The mapping is mended, and all that was set aside before is taken again.
            self.last().await;
            ask_again(&self.lake().await).await.expect("nothing goes wrong any more");
        }
        self.common.pass((FINAL.0 - self.common.now().0) / MINUTE);
        assert_eq!(self.common.now(), FINAL, "whole minutes");
        let live = self.last().await;
        let lake = self.lake().await;
        for reader in &self.was_read {
            reader.what_was_said_stands(&lake).await;
        }
        let writes = self.mortals.iter().map(|mortal| mortal.writes()).collect();
        let (fenced, beginnings) = (self.fenced, self.common.broker.beginnings());
        let is_merged = self.plan.shape.merge > 0 || self.plan.errand > 0;
        Outcome { lake, disk: self.disk, fenced, writes, live, beginnings, is_merged }
    }

    /// A process reads all that there is, and its counts.
    async fn last(&mut self) -> Arc<Live> {
        loop {
            let last = self.process(true);
            let (mortal, live) = (self.mortals[last.number as usize].clone(), last.live.clone());
            let mut running: Running<'_> = Box::pin(last.live());
            let end = loop {
                if let Some(end) = turn(&mortal, &mut running).await {
                    break end;
                }
            };
            if !mortal.is_dead() {
                end.expect("nothing goes wrong any more");
                return live;
            }
            self.disk.heal();
        }
    }

    async fn lake(&self) -> Lake {
        let store = SimulatedStore::new(self.disk.clone(), Mortal::new(0, None));
        Lake::open_in(Arc::new(store), url()).await.expect("the lake")
    }
}

/// The turn of a process: how it ended, if it did.
///
/// What it gives to a thread is begun when it waits, and done before its turn is over, else it would be up to the threads
/// what comes first: the runtime has one for such work, which does one thing after the other.
async fn turn(mortal: &Mortal, running: &mut Running<'_>) -> Option<Result<(), End>> {
    mortal.begin_turn();
    loop {
        let woken = Arc::new(Woken::default());
        let waker = woken.clone().into();
        let (waits, held) = mpsc::channel::<()>();
        spawn_blocking(move || held.recv());
        // How often it may go on at once must not depend on how often the runtime had to wait.
        let polled = pin!(unconstrained(running.as_mut())).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(end) = polled {
            return Some(end);
        }
        drop(waits);
        spawn_blocking(|| ()).await.expect("a thread");
        let is_woken = woken.0.notified().now_or_never().is_some();
        if !is_woken && mortal.waits() {
            return None;
        }
        if !is_woken {
            woken.0.notified().await;
        }
    }
}

/// Whether whoever waits can go on.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Woken>) {
        self.0.notify_one();
    }
}
