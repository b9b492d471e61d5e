//! Second, naive computations of what is counted, from the raw events alone.

use plimsoll_schemas::table::AttainmentRow;

use super::*;

/// How long a probe took, in microseconds, as `delivery` has it.
fn latency(time: i64) -> i64 {
    time * 37_000 % 500_000
}

/// By nearest rank from the latencies themselves: the `ceil(percent * n / 100)`-th of the sorted ones.
fn nearest_rank(mut latencies: Vec<i64>, percent: usize) -> Option<i64> {
    latencies.sort_unstable();
    latencies.get((percent * latencies.len()).div_ceil(100).checked_sub(1)?).copied()
}

/// Whether a row says of a percentile what the latencies say: the verdict exactly, the value within its bound and on
/// the side of the limit on which the percentile is.
fn agrees(row: &AttainmentRow, latencies: Vec<i64>, percent: usize) -> bool {
    let limit = row.target_us.expect("a limit");
    let Some(exact) = nearest_rank(latencies, percent) else {
        return &*row.verdict == "no_data" && row.value_us.is_none();
    };
    let Some(shown) = row.value_us else { return false };
    let verdict = if exact <= limit { "met" } else { "breached" };
    &*row.verdict == verdict && (shown <= limit) == (exact <= limit) && shown >= exact && (shown - exact) * 128 <= exact
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r10_percentiles_agree_with_the_sorted_latencies(times in prop::collection::vec(0..330_i64, 1..80)) {
        let events: Vec<_> = times.iter().map(|&time| Happening::Probe(time, Status::Up)).enumerate().collect();
        let mut group = LaneGroup::new(portfolio(), 1);
        group.fold(&delivery(&events, 0, true), NOW);
        let facts = group.close(1, NOW, true);
        for (objective, percent, windows) in [("fastest", 80, 7), ("median", 50, 8)] {
            let rows = facts.attainment.iter().filter(|row| &*row.objective == objective && &*row.service == "web");
            let rows: Vec<_> = rows.collect();
            prop_assert_eq!(rows.len(), windows, "windows of {}", objective);
            for row in rows {
                let within = |time: &&i64| (row.segment_start.0..row.segment_end.0).contains(&(**time * HOUR / 2));
                let latencies = times.iter().filter(within).map(|time| latency(*time)).collect();
                prop_assert!(agrees(row, latencies, percent), "{row:?}");
            }
        }
    }

    #[test]
    fn r10_the_rows_of_measures_are_the_histogram(times in prop::collection::vec(0..330_i64, 1..80)) {
        let events: Vec<_> = times.iter().map(|&time| Happening::Probe(time, Status::Up)).enumerate().collect();
        let (early, late) = events.split_at(events.len() / 2);
        let mut group = LaneGroup::new(portfolio(), 1);
        let mut rows = Vec::new();
        for (epoch, part) in [early, late].into_iter().enumerate() {
            group.fold(&delivery(part, (epoch * early.len()) as i64, true), NOW);
            rows.extend(group.close(epoch as i64 + 1, NOW, true).measures);
        }
        rows.retain(|row| row.indicator == "latency_percentile at most 0.4s");
        let day = |time: i64| time / 48;
        for wanted in 0..7 {
            let of_day = rows.iter().filter(|row| day(row.bucket_start.0 / (HOUR / 2)) == wanted);
            // What any SQL engine would do: bins in order, and the first at which 80 % of all are passed.
            let mut bins: Vec<_> = of_day.map(|row| (row.latency_at_most_us.expect("a bin"), row.total_count)).collect();
            bins.sort_unstable();
            let total: i64 = bins.iter().map(|(_, count)| count).sum();
            let mut passed = 0;
            let found = bins.iter().find(|(_, count)| { passed += count; 100 * passed >= 80 * total }).map(|(last, _)| *last);
            let latencies: Vec<i64> = times.iter().filter(|time| day(**time) == wanted).map(|time| latency(*time)).collect();
            prop_assert_eq!(total, latencies.len() as i64);
            match (found, nearest_rank(latencies, 80)) {
                (Some(found), Some(exact)) => prop_assert!(found >= exact && (found - exact) * 128 <= exact),
                (found, exact) => prop_assert_eq!(found, exact),
            }
        }
    }
}

#[test]
fn r20_one_id_counts_once_whatever_its_copies_say_and_however_many_lanes_there_are() {
    // Each of 40 ids is that of a result of `web`, then of an outage by a ticket of its own, then of a score.
    let of_id = |id: usize| {
        let at = id as i64;
        [Happening::Probe(at, Status::Up), Happening::Ticket(at, id as u8, Action::Opened), Happening::Score(at, 9)]
    };
    let events: Vec<_> = (0..40).flat_map(|id| of_id(id).map(|happening| (id, happening))).collect();
    for lanes in 1..=5 {
        let folded = LaneGroup::new(portfolio(), lanes).fold(&delivery(&events, 0, true), NOW);
        let first_of_each: Vec<u32> = (0..40).map(|id| 3 * id).collect();
        assert_eq!((folded.accepted, folded.duplicates), (Some(first_of_each), 80), "{lanes} lanes");
    }
}
