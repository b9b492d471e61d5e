//! What the engine costs on one core. `cargo bench -p plimsoll-bench-engine`; a filter follows `--`.

use std::cell::RefCell;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use plimsoll_bench_engine::{SAMPLE_EVERY, SERVICES, START, group, samples};
use plimsoll_engine::lane::LaneGroup;
use plimsoll_schemas::{Instant, Micros};

fn main() {
    divan::main();
}

/// Samples that one delivery holds: what a poll of the consumer brings under load.
const ROWS: usize = 16 * 1024;

/// A monitoring sample, all that `fold` does with it, under so many agreements. State grows with the run, as it does in
/// real life, and a step ends with every million samples.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 200)]
fn sample(bencher: Bencher<'_, '_>, agreements: usize) {
    let state = RefCell::new((group(agreements), 0_usize, 0_i64));
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| {
            let (group, next, epoch) = &mut *state.borrow_mut();
            let delivery = samples(*next, ROWS);
            *next += ROWS;
            if *next % (64 * ROWS) == 0 {
                *epoch += 1;
                black_box(group.close(*epoch, at(*next), false));
            }
            delivery
        })
        .bench_local_refs(|delivery| {
            let (group, next, _) = &mut *state.borrow_mut();
            black_box(group.fold(delivery, at(*next)));
        });
}

/// A step that ends a minute and publishes every objective, under so many agreements with two weeks behind them.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 20)]
fn minute_tick(bencher: Bencher<'_, '_>, agreements: usize) {
    let state = RefCell::new(after_minutes(agreements, 14 * 24 * 60));
    bencher
        .with_inputs(|| {
            let (group, next, epoch) = &mut *state.borrow_mut();
            let delivery = samples(*next, SERVICES);
            *next += SERVICES;
            group.fold(&delivery, at(*next));
            *epoch += 1;
        })
        .bench_local_refs(|()| {
            let (group, next, epoch) = &mut *state.borrow_mut();
            black_box(group.close(*epoch, at(*next), true))
        });
}

/// A group that has read so many minutes of samples.
fn after_minutes(agreements: usize, minutes: usize) -> (LaneGroup, usize, i64) {
    let mut group = group(agreements);
    let (mut next, mut epoch) = (0, 0);
    while next < minutes * SERVICES {
        let delivery = samples(next, 60 * SERVICES);
        next += 60 * SERVICES;
        // At the time of its newest sample: what lies in the future would be taken to be from now.
        group.fold(&delivery, at(next));
        epoch += 1;
        group.close(epoch, at(next), false);
    }
    (group, next, epoch)
}

/// The clock when so many samples were taken.
fn at(samples: usize) -> Instant {
    START + Micros((samples / SERVICES) as i64 * SAMPLE_EVERY.0 + Micros::MINUTE.0)
}
