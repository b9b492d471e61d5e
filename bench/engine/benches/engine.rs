//! What the engine costs on one core. `cargo bench -p plimsoll-bench-engine`; a filter follows `--`.

use std::cell::RefCell;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use plimsoll_bench_engine::{History, business_hours, question};
use plimsoll_schemas::Micros;

fn main() {
    divan::main();
}

/// Samples that one delivery holds: what a poll of the consumer brings under load.
const ROWS: usize = 16 * 1024;

/// A monitoring sample, all that `fold` does with it, under so many agreements. State grows with the run, as it does in
/// real life, and a step ends with every million samples.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 200)]
fn sample(bencher: Bencher<'_, '_>, agreements: usize) {
    let state = RefCell::new((History::new(agreements, 0), 0_usize));
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| {
            let (history, deliveries) = &mut *state.borrow_mut();
            *deliveries += 1;
            if deliveries.is_multiple_of(64) {
                black_box(history.close(false));
            }
            history.delivery(ROWS)
        })
        .bench_local_refs(|delivery| black_box(state.borrow_mut().0.fold(delivery)));
}

/// A step that ends a minute and publishes every objective, under so many agreements with two weeks behind them.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 20)]
fn minute_tick(bencher: Bencher<'_, '_>, agreements: usize) {
    let state = RefCell::new(History::new(agreements, 14));
    bencher
        .with_inputs(|| state.borrow_mut().minute())
        .bench_local_refs(|()| black_box(state.borrow_mut().close(true)));
}

/// The agreed time between two instants of a calendar of five years.
#[divan::bench]
fn elapsed(bencher: Bencher<'_, '_>) {
    let calendar = business_hours();
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        calendar.as_ref().map(|calendar| calendar.elapsed(question(number), question(number + 1)))
    });
}

/// When four hours of agreed time have passed since an instant of five years.
#[divan::bench]
fn due(bencher: Bencher<'_, '_>) {
    let calendar = business_hours();
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        calendar.as_ref().map(|calendar| calendar.due(question(number), Micros(4 * Micros::HOUR.0)))
    });
}
