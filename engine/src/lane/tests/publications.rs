//! How often results are published changes when they are written, never what is current (R22): so nothing that is kept
//! from one publication to the next, and nothing that one passes over, may show.

use super::*;

/// The events in order of time in steps of so many, of which all publish or only the last: what is current after it, and
/// how budgets are being spent then.
fn published(events: &[Happening], step: usize, lanes: usize, each: bool) -> (Vec<String>, String) {
    let mut group = LaneGroup::new(portfolio(), lanes);
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    let steps = numbered.len().div_ceil(step);
    let mut all = Vec::new();
    for (number, part) in numbered.chunks(step).enumerate() {
        let last = number + 1 == steps;
        group.fold(&delivery(part, (number * step) as i64, last), NOW);
        all.push(group.close(number as i64 + 1, NOW, each || last));
    }
    let spending = all.last().map(|facts| format!("{:#?}", facts.spending));
    (current(&all), spending.unwrap_or_default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r22_publishing_at_every_step_or_at_the_last_alone_leaves_the_same(
        mut events in prop::collection::vec(happening(), 1..60),
        step in 1..9_usize,
        lanes in 1..3_usize,
    ) {
        events.sort_by_key(|event| event.time());
        let (often, once) = (published(&events, step, lanes, true), published(&events, step, lanes, false));
        let lacking: Vec<_> = once.0.iter().filter(|row| !often.0.contains(row)).collect();
        let added: Vec<_> = often.0.iter().filter(|row| !once.0.contains(row)).collect();
        prop_assert!(lacking.is_empty() && added.is_empty(), "lacking {lacking:#?}, added {added:#?}");
        prop_assert_eq!(often.1, once.1);
    }
}
