//! Deterministic simulation: the real decoder, lanes, epochs and lake in a world of which one seed decides everything.
//!
//! ```text
//!  World ── records ──▶ Client ── deliveries ──▶ Worker ── orders ──▶ Committer ──▶ Lake ──▶ SimulatedStore ──▶ Disk
//!  (made up)            (the real partition     `- all of them real, as `plimsoll run` -'    (fails, lies, is late,
//!                        reader)                   puts them together                         dies with its process)
//! ```
//! A run lets processes work, fail, be killed at any operation, be stopped, sleep while another takes their place, and have
//! clocks that are wrong; a last one, which nothing befalls, finishes. Then the laws are asked. What is not simulated: the
//! network of Kafka and the client in front of the reader, threads (a process does one thing at a time, in an order that the
//! seed decides), and the local disk below a folder.
//!
//! Modules in reading order: `chance`, `world`, `broker`, `store`, `process`, `requests`, `keeper`, `run`,
//! `tables`, `laws`; and `shards`, where several lane groups keep the tables.

mod broker;
mod chance;
mod keeper;
mod laws;
mod process;
mod requests;
mod run;
mod shards;
mod store;
mod tables;
mod world;

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use plimsoll_aggregate::{Input, Worker};
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::{Delivery, PartitionId};

use chance::{Dice, Part};
use laws::Found;
use process::Shape;
use run::{Outcome, Plan, run};
use store::{Death, Disk, Faults, Mortal, SimulatedStore};
use world::{Change, HOUR, START, World};

/// The seeds that are tried unless others are asked for.
const SEEDS: Range<u64> = 0..1_000;

/// The same for shards, of which two or three do the work of one.
const SEEDS_OF_SHARDS: Range<u64> = 0..200;

/// Does asynchronous work on this thread.
fn on_this_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(work)
}

/// The run of a seed, and all that must hold of it.
fn holds(seed: u64) -> Outcome {
    on_this_thread(async {
        let (world, plan) = (World::new(seed), Plan::new(seed));
        let outcome = run(seed, &world, &plan).await;
        let (world, found) = check(world, &plan.shape, &outcome).await;
        assert!(outcome.fenced == 0 || plan.may_fence(), "nobody else was there, and no write was late");
        let undisturbed = run(seed, &world, &plan.at_once()).await;
        let change = plan.shape.change;
        laws::the_counts_add_up(&world, change, &undisturbed.live);
        if !plan.is_wild && !world.has_late_copies {
            let expected = laws::said(&Found::of(&undisturbed.lake).await, change);
            laws::the_tables_say_the_same(&laws::said(&found, change), &expected);
        }
        outcome
    })
}

/// What must hold of a run by itself. Returns the world without what was deleted unread, and what was found.
async fn check(world: World, shape: &Shape, outcome: &Outcome) -> (World, Found) {
    let found = Found::of(&outcome.lake).await;
    let lost = laws::what_is_lost_is_told_once(&world, &found, &outcome.beginnings);
    let world = world.without(lost);
    laws::every_range_is_read_once(&world, &found);
    laws::every_record_is_accounted_for(&world, shape.change, &found);
    laws::the_tables_follow_from_the_epochs(&world, shape, outcome, &found).await;
    laws::nothing_is_damaged(&outcome.lake).await;
    (world, found)
}

/// The seeds that were asked for by `PLIMSOLL_SEEDS`: one, or from .. until; or else these.
fn asked_for(otherwise: Range<u64>) -> Vec<u64> {
    let Ok(asked) = std::env::var("PLIMSOLL_SEEDS") else { return otherwise.collect() };
    let number = |text: &str| text.parse::<u64>().expect("PLIMSOLL_SEEDS is a number, or two numbers: 0..1000");
    match asked.split_once("..") {
        Some((from, until)) => (number(from)..number(until)).collect(),
        None => vec![number(&asked)],
    }
}

/// Does all of this on as many threads as there are, and says which failed, and how to try them again.
fn for_each<T: Copy + Sync>(all: &[T], again: impl Fn(T) -> String + Sync, work: impl Fn(T) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(&one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| work(one))).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("this failed; again: {}", again(one));
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "of {} runs", all.len());
}

#[test]
fn seeds() {
    let (processes, fenced) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let again = |seed| format!("PLIMSOLL_SEEDS={seed} cargo test --workspace --test simulation -- seeds");
    for_each(&asked_for(SEEDS), again, |seed| {
        let outcome = holds(seed);
        processes.fetch_add(outcome.writes.len(), Ordering::Relaxed);
        fenced.fetch_add(outcome.fenced as usize, Ordering::Relaxed);
    });
    println!("{} processes, of which {} were fenced off", processes.into_inner(), fenced.into_inner());
}

#[test]
fn r20_shards_come_to_what_one_lane_group_does() {
    let again = |seed| format!("PLIMSOLL_SEEDS={seed} cargo test --workspace --test simulation -- r20_shards_come_to");
    for_each(&asked_for(SEEDS_OF_SHARDS), again, |seed| on_this_thread(shards::hold(seed)));
}

#[test]
fn one_seed_is_one_run() {
    let trace = |seed| on_this_thread(async { run(seed, &World::new(seed), &Plan::new(seed)).await.disk.trace() });
    let traces: BTreeSet<u64> =
        (0..20).inspect(|&seed| assert_eq!(trace(seed), trace(seed), "seed {seed}")).map(trace).collect();
    assert_eq!(traces.len(), 20, "and another seed is another run");
}

#[test]
fn r23_a_stop_records_what_moved_the_state_since_the_last_epoch() {
    on_this_thread(async {
        let store = SimulatedStore::new(Disk::new(0, Faults::default()), Mortal::new(0, None));
        let lake = Lake::open_in(Arc::new(store), process::url()).await.expect("a lake");
        let (world, shape) = (World::new(0), Plan::new(0).shape);
        let at = |hour: i64| Instant(START.0 + hour * HOUR);
        let open = async || {
            let settings = process::settings(&shape, Arc::new(move || at(9)));
            Worker::open(settings, lake.clone(), world.definitions[0].clone(), Arc::default()).await.expect("a worker")
        };
        let [desk, first, second] = [0, 1, 2].map(|place| world.partitions.keys().nth(place).expect("three").clone());
        let mut worker = open().await;
        let news = |id: &PartitionId, hour| Input::Delivery(Delivery::news(id.clone(), 0, Some(at(hour))));
        for (id, hour) in [(&desk, 1), (&first, 5), (&second, 5)] {
            worker.take(news(id, hour));
        }
        let mut orders = VecDeque::from_iter(worker.cut(false).expect("an epoch"));
        // That another partition is complete for longer moves no watermark, so nothing is to be told.
        worker.take(news(&first, 8));
        assert!(worker.cut(false).expect("a step").is_none());
        let committer = worker.committer();
        orders.extend(worker.cut(true).expect("an epoch"));
        orders.extend(worker.rest().expect("a state").0);
        process::carry_out(&committer, &mut orders, 0).await.expect("tables");
        // What is saved is what is recorded.
        let rows = lake.epochs_after(process::GROUP, 0).await.expect("epochs");
        let told: Vec<_> = rows.iter().map(|row| (row.epoch, row.partition, row.complete_until)).collect();
        let all = [
            (1, Some(0), Some(at(1))),
            (1, Some(0), Some(at(5))),
            (1, Some(1), Some(at(5))),
            (2, Some(0), Some(at(8))),
        ];
        assert_eq!(told, all);
        // A start and a stop at which nothing happens record nothing.
        let mut worker = open().await;
        assert!(worker.cut(true).expect("a step").is_none());
    });
}

/// A small world, and a process that does everything a process does: it cuts some epochs, saves its state every second
/// time, and is followed by one that finds new definitions.
fn small() -> (World, Plan) {
    let (world, plan) = (World::small(SMALL, 4), Plan::new(SMALL));
    let shape = Shape {
        lanes: 2,
        snapshot_every: 2,
        publish_minutes: 60,
        cut: 250,
        change: SMALL_CHANGE,
        ..plan.shape.clone()
    };
    (world, Plan { shape, ..plan })
}

/// The seed of the small world.
const SMALL: u64 = 7;

/// What changes in the small world.
const SMALL_CHANGE: Change = Change { is_promise: true, is_mapping: true };

/// What the tables of the small world say.
static SMALL_SAID: LazyLock<laws::Said> = LazyLock::new(|| {
    let (world, plan) = small();
    on_this_thread(async {
        let undisturbed = run(SMALL, &world, &plan.at_once()).await;
        laws::said(&Found::of(&undisturbed.lake).await, SMALL_CHANGE)
    })
});

/// The small world with these deaths, and all that must hold of it.
fn holds_with(deaths: &[(u64, Death)]) {
    let expected = &*SMALL_SAID;
    on_this_thread(async {
        let (world, plan) = small();
        let outcome = run(SMALL, &world, &plan.calm(deaths)).await;
        let (_, found) = check(world, &plan.shape, &outcome).await;
        laws::the_tables_say_the_same(&laws::said(&found, SMALL_CHANGE), expected);
    });
}

/// How many writes each process of the small world begins when none of them dies.
fn writes() -> Vec<u64> {
    let (world, plan) = small();
    on_this_thread(run(SMALL, &world, &plan.calm(&[]))).writes
}

/// How processes of the small world die thus once more.
fn again(deaths: &[(u64, Death)]) -> String {
    format!("cargo test --workspace --test simulation -- a_crash, where processes die so at these writes: {deaths:?}")
}

/// Dies of no write.
const LIVES: (u64, Death) = (u64::MAX, Death::Before);

#[test]
fn a_crash_at_every_write() {
    let writes = writes();
    assert_eq!(
        writes.len(),
        3,
        "one that works, one that is there when the mapping is mended, and the last: {writes:?}"
    );
    assert!(writes[0] > 40 && writes[1..].iter().all(|count| *count > 10), "there is something to crash: {writes:?}");
    // Before a write is after the one before it.
    let deaths = [Death::After, Death::Torn, Death::Late];
    let mut all = Vec::new();
    for (place, count) in writes.iter().enumerate() {
        let one =
            |write| deaths.map(|death| std::array::from_fn(|at| if at == place { (write, death) } else { LIVES }));
        all.extend((1..=*count).flat_map(one));
    }
    for_each(&all, |deaths: [(u64, Death); 3]| again(&deaths), |deaths| holds_with(&deaths));
}

#[test]
fn a_crash_while_another_is_recovered_from() {
    let first = writes()[0];
    let mut dice = Dice::new(SMALL, Part::Schedule);
    let deaths = [Death::Before, Death::After, Death::Torn, Death::Late];
    let mut death = |most: u64| (dice.between(1, most as i64) as u64, *dice.pick(&deaths));
    let all: Vec<_> = (0..100).map(|_| [death(first), death(12), death(12)]).collect();
    for_each(&all, |deaths| again(&deaths), |deaths| holds_with(&deaths));
}
