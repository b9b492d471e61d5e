//! Counts by their place in time, and the levels that steps add up to.

use plimsoll_schemas::Micros;
use plimsoll_schemas::ratio::Share;

use super::*;

fn window(start: i64, end: i64) -> Window {
    Window { start: Instant(start), end: Instant(end) }
}

fn bin(latency: i64) -> Option<Bin> {
    Some(Bin::of(Micros(latency)))
}

#[test]
fn r13_a_window_has_the_counts_from_its_start_until_before_its_end() {
    let mut tally = Tally::default();
    for (start, good, total) in [(0, 2, 3), (10, 3, 5), (10, 4, 9), (20, 1, 1)] {
        tally.count(Instant(start), None, good, total);
    }
    assert_eq!(tally.sums(window(0, 10)), (2, 3));
    assert_eq!(tally.sums(window(0, 20)), (9, 17));
    assert_eq!(tally.sums(window(10, 21)), (8, 15));
    assert_eq!(tally.sums(window(1, 10)), (0, 0));
    // Zeros are counted too (R11).
    tally.count(Instant(30), None, 0, 0);
    let counted = [(20, 30), (21, 30), (30, 40), (31, 40)].map(|(start, end)| tally.is_counted(window(start, end)));
    assert_eq!(counted, [true, false, true, false]);
    tally.forget_before(Instant(10));
    assert_eq!((tally.sums(window(0, 100)), tally.sums(window(0, 10))), ((8, 15), (0, 0)));
}

#[test]
fn r10_latencies_of_a_window_are_those_that_were_not_taken_back() {
    let mut tally = Tally::default();
    for (start, latency, total) in [(0, 7, 1), (0, 9, 2), (10, 9, 1), (10, 11, 1), (10, 11, -1), (20, 5, 1)] {
        tally.count(Instant(start), bin(latency), 0, total);
    }
    // A count without a latency is none of them.
    tally.count(Instant(0), None, 1, 1);
    let latencies = |start, end| {
        let latencies = tally.latencies(window(start, end));
        latencies.iter().map(|(bin, count)| (bin.last().0, count)).collect::<Vec<_>>()
    };
    assert_eq!(latencies(0, 10), [(7, 1), (9, 2)]);
    assert_eq!(latencies(0, 20), [(7, 1), (9, 3)]);
    assert_eq!(latencies(20, 21), [(5, 1)]);
    // The fourth of five, by nearest rank.
    assert_eq!(tally.latencies(window(0, 21)).percentile(Share(800_000_000)), Some(Micros(9)));
}

#[test]
fn r10_steps_before_a_segment_are_its_first_level() {
    let mut tally = Tally::default();
    for (at, in_time, open) in [(10, 1, 1), (20, 1, 1), (20, -1, 0), (30, 1, 1), (40, -1, -2)] {
        tally.step(Instant(at), in_time, open);
    }
    // At 10 one is open, at 20 two of which one is overdue, at 30 a third is opened, at 40 two are done.
    let level = |in_time, open| Level { in_time, open };
    let step = |at, step| (Instant(at), step);
    let levels = |start, first, steps: &[(Instant, Counts)]| Levels::new(Instant(start), first, steps.iter().copied());
    assert_eq!(tally.levels(window(0, 10)), levels(0, level(0, 0), &[]));
    assert_eq!(tally.levels(window(15, 30)), levels(15, level(1, 1), &[step(20, (0, 1))]));
    // What steps at the start holds from it on.
    assert_eq!(tally.levels(window(20, 50)), levels(20, level(1, 2), &[step(30, (1, 1)), step(40, (-1, -2))]));
    // A step that is taken back leaves nothing.
    tally.step(Instant(30), -1, -1);
    assert_eq!(tally.levels(window(20, 50)), levels(20, level(1, 2), &[step(40, (-1, -2))]));
    assert_eq!(tally.counts.len(), 3);
}

#[test]
fn r21_levels_stay_as_they_are_when_earlier_steps_become_one() {
    let steps = [(10, 1, 1), (20, 1, 1), (30, -1, 0), (40, -1, -2)];
    let mut tally = Tally::default();
    for (at, in_time, open) in steps {
        tally.step(Instant(at), in_time, open);
    }
    let before = tally.clone();
    tally.merge_before(Instant(30));
    assert_eq!(tally.levels(window(30, 50)), before.levels(window(30, 50)));
    assert_eq!(tally.levels(window(25, 30)), before.levels(window(25, 30)));
    let place = |at| (Instant(at), None);
    let merged = BTreeMap::from([(place(i64::MIN), (2, 2)), (place(30), (-1, 0)), (place(40), (-1, -2))]);
    assert_eq!(tally.counts, merged);
    tally.merge_before(Instant(41));
    assert_eq!(tally.counts, BTreeMap::new(), "nobody is open any more");
}
