//! One run: processes start, work side by side, fail, are killed or stopped, until all has happened; then one that nothing
//! befalls reads what is left, at the end of days.
//!
//! Of the processes that are alive one at a time has its turn, which lasts until an operation of its store waits. What a
//! process awaits besides that (a thread that packs a snapshot) is waited for by all, so that nothing but the seed decides
//! the order.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::task::Poll;

use plimsoll_aggregate::{AggregateError, Live};
use plimsoll_lake::{Lake, LakeError};

use crate::chance::{Dice, Part};
use crate::process::{Common, Process, Shape, url};
use crate::store::{Death, Disk, Faults, Mortal, SimulatedStore};
use crate::world::{FINAL, START, World};

/// How many processes are alive at most.
const ALIVE_MAX: usize = 2;

/// How many turns of others a process sleeps at most: some epochs.
const SLEEP_MAX: i64 = 600;

/// How many turns a run has at most. One that needs more hangs.
const TURNS_MAX: usize = 200_000;

/// What a seed decides about a run, besides the world.
#[derive(Clone, Debug)]
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
            delayed: true,
        };
        let (second, killed, life, sleep) = (perhaps(100), perhaps(3), perhaps(3) * 40, perhaps(10));
        let (stop, rebalance, jump) = (perhaps(80), perhaps(100), perhaps(100));
        let (sent_again, merge) = (perhaps(200), perhaps(2) * 100);
        let is_wild = dice.permille(200);
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
            redefined: dice.permille(300),
        };
        Plan { shape, faults, second, killed, life, sleep, deaths: Vec::new(), is_wild, is_at_once: false }
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
            ..self.shape.clone()
        };
        let (faults, deaths) = (Faults::default(), deaths.to_vec());
        Plan { shape, faults, second: 0, killed: 0, life: 0, sleep: 0, deaths, is_wild: false, is_at_once: false }
    }

    /// Whether a process may find that another one has the lane group.
    pub fn may_fence(&self) -> bool {
        self.second > 0 || self.faults.late > 0 || self.life > 0
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
}

type Running<'run> = Pin<Box<dyn Future<Output = Result<(), AggregateError>> + 'run>>;

/// A process that is alive.
struct Alive<'run> {
    mortal: Arc<Mortal>,
    number: u32,
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
}

/// Runs the plan in the world to its end.
pub async fn run(seed: u64, world: &World, plan: &Plan) -> Outcome {
    let common = Common::new(START);
    let (disk, dice) = (Disk::new(seed, plan.faults), Dice::new(seed, Part::Schedule));
    let mut run = Run { seed, world, plan, common: &common, disk, dice, mortals: Vec::new(), fenced: 0 };
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
            if alive.is_empty() || (alive.len() < ALIVE_MAX && self.dice.permille(self.plan.second)) {
                let process = self.start();
                alive.push(process);
            }
            let place = self.dice.below(alive.len() as i64) as usize;
            let chosen = &mut alive[place];
            if chosen.sleeps > 0 {
                chosen.sleeps -= 1;
                continue;
            }
            let ended = turn(chosen).await;
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
                self.common.pass(20);
            }
        }
        panic!("it does not come to an end");
    }

    fn start(&mut self) -> Alive<'run> {
        let process = self.process(false);
        let (number, mortal) = (process.number, self.mortals[process.number as usize].clone());
        self.common.join(number);
        Alive { mortal, number, sleeps: 0, running: Box::pin(process.live()) }
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
        if is_last || self.plan.life == 0 {
            return self.plan.deaths.get(number as usize).copied();
        }
        let writes = self.dice.between(1, self.plan.life) as u64;
        Some((writes, *self.dice.pick(&[Death::Before, Death::After, Death::Torn, Death::Late])))
    }

    /// Only what may go wrong does.
    fn judge(&mut self, end: &Result<(), AggregateError>) {
        match end {
            Ok(()) | Err(AggregateError::Lake(LakeError::Unavailable(_))) => {}
            Err(AggregateError::Lake(LakeError::Fenced { .. })) => self.fenced += 1,
            Err(error) => panic!("a process ended with {error:?}"),
        }
    }

    /// What is left is read, and everything is told once more.
    async fn end(mut self) -> Outcome {
        self.disk.heal();
        self.common.pass((FINAL.0 - self.common.now().0) / crate::world::MINUTE);
        assert_eq!(self.common.now(), FINAL, "whole minutes");
        let live = loop {
            let last = self.process(true);
            let (mortal, live) = (self.mortals[last.number as usize].clone(), last.live.clone());
            let end = last.live().await;
            if !mortal.is_dead() {
                end.expect("nothing goes wrong any more");
                break live;
            }
            self.disk.heal();
        };
        let store = SimulatedStore::new(self.disk.clone(), Mortal::new(0, None));
        let lake = Lake::open_in(Arc::new(store), url()).await.expect("the lake");
        let writes = self.mortals.iter().map(|mortal| mortal.writes()).collect();
        Outcome { lake, disk: self.disk, fenced: self.fenced, writes, live }
    }
}

/// The turn of a process: how it ended, if it did.
async fn turn(process: &mut Alive<'_>) -> Option<Result<(), AggregateError>> {
    poll_fn(|context| {
        match process.running.as_mut().poll(context) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending if process.mortal.waits() => Poll::Ready(None),
            // It waits for a thread.
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
