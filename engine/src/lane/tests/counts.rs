//! Second, naive computations of what is counted, from the raw events alone.

use std::collections::BTreeMap;

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

/// What is said in the end of errors on a day: the verdict, when one was too many, and when each share was used up.
type Said = (String, Option<i64>, Vec<(i64, i64)>);

/// One after the other, in order of time: `delivery` has `3 + t % 2` things at each half hour `t`, of which `t % 4`
/// are good.
fn errors_by_hand(times: &[i64], day: i64, limit: i64) -> Said {
    let mut times: Vec<i64> = times.iter().copied().filter(|time| time / 48 == day).collect();
    times.sort_unstable();
    let (mut sum, mut exceeded, mut used) = (0, None, Vec::new());
    for time in &times {
        sum += 3 + time % 2 - time % 4;
        exceeded = exceeded.or((sum > limit).then_some(*time));
        for percent in [50, 75, 90] {
            if sum * 100 >= limit * percent && used.iter().all(|(_, known)| *known != percent) {
                used.push((*time, percent));
            }
        }
    }
    let verdict = if times.is_empty() {
        "no_data"
    } else if sum > limit {
        "breached"
    } else {
        "met"
    };
    (verdict.to_owned(), exceeded, used)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r12_the_error_too_many_is_found_whatever_the_order_and_the_steps(
        times in prop::collection::vec(0..96_i64, 1..40),
        cut in 1..12_usize,
        publish in any::<bool>(),
    ) {
        let events: Vec<_> = times.iter().map(|&time| Happening::Probe(time, Status::Up)).enumerate().collect();
        let mut group = LaneGroup::new(portfolio(), 1);
        let (mut verdicts, mut warnings, mut offset) = (BTreeMap::new(), BTreeMap::new(), 0);
        for part in events.chunks(cut) {
            let from = offset;
            offset += part.len() as i64;
            group.fold(&delivery(part, from, offset as usize == events.len()), NOW);
            let facts = group.close(offset, NOW, publish || offset as usize == events.len());
            for row in facts.attainment.iter().filter(|row| (&*row.objective, &*row.service) == ("errors", "web")) {
                let at = row.breached_at.map(|at| at.0 * 2 / HOUR);
                verdicts.insert(row.window_start, (row.verdict.to_string(), at));
            }
            let warned = facts.breaches.iter().filter(|row| (row.objective.as_str(), row.service.as_str()) == ("errors", "web"));
            for row in warned {
                let share = row.threshold_ratio.map(|share| share.0.0 / 10_000_000);
                let at = row.retracts.is_none().then_some(row.at.0 * 2 / HOUR);
                warnings.insert((row.window_start, share), at);
            }
        }
        for day in 0..2 {
            let start = Instant(day * 24 * HOUR);
            let (verdict, exceeded, used) = errors_by_hand(&times, day, 9);
            prop_assert_eq!(&verdicts[&start], &(verdict, exceeded), "day {}", day);
            let said = |share| warnings.get(&(Some(start), share)).copied().flatten();
            prop_assert_eq!(said(None), exceeded, "the breach of day {}", day);
            for percent in [50, 75, 90] {
                let expected = used.iter().find(|(_, known)| *known == percent).map(|(at, _)| *at);
                prop_assert_eq!(said(Some(percent)), expected, "{} % of day {}", percent, day);
            }
        }
    }
}
