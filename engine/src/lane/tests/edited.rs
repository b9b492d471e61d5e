//! Definitions that are edited: other windows, zones, hours, dates (R24). Whoever hears of it then says what he would have
//! said, had it always been so.

use std::collections::BTreeMap;

use super::versions::results;
use super::*;

/// What is promised besides, within hours.
const HOURS: &str = "
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {id: office}
spec: {time_zone: UTC, hours: [{days: mon-sun, from: \"08:00\", until: \"16:00\"}]}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: hours}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-01, until: 1970-01-08}
  objectives:
    - id: fixed
      indicator: {signal: resolution_time, within: 1h, attribution: closed, calendar: office}
      target: {at_least: 90 %}
      window: {calendar: month}
      burn_rate_warnings: true
    - {id: flow, indicator: {signal: throughput, kind: monitoring, per: 1h, calendar: office}, target: {at_least: 1}, window: {calendar: day}}
    - {id: changed, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: up, indicator: {signal: availability, calendar: office}, target: {at_least: 90 %}, window: {calendar: day}}
";

/// Edits, each of which may be made or not.
const EDITS: [(&str, &str); 10] = [
    ("window: {calendar: day}", "window: {calendar: week}"),
    ("window: {calendar: month}}", "window: {calendar: day}}"),
    ("window: {calendar: month}, burn", "window: {calendar: day}, burn"),
    ("window: {rolling: 36h}", "window: {rolling: 30h}"),
    ("window: {rolling: 5d}", "window: {calendar: day}"),
    ("  type: ola\n", "  type: ola\n  time_zone: Pacific/Apia\n"),
    ("from: \"08:00\", until: \"16:00\"", "from: \"00:00\", until: \"24:00\""),
    ("effective: {from: 1970-01-01, until: 1970-01-08}", "effective: {from: 1970-01-03, until: 1970-01-08}"),
    ("effective: {from: 1970-01-01, until: 1970-01-08}", "effective: {from: 1970-01-01, until: 1970-01-05}"),
    ("{at_least: 90 %}, window", "{at_least: 80 %}, window"),
];

fn edited(made: [bool; EDITS.len()]) -> String {
    let text = format!("{}{HOURS}", DEFINITIONS.trim_end());
    let made = EDITS.iter().zip(made).filter(|(_, made)| *made);
    made.fold(text, |text, ((one, other), _)| text.replace(one, other))
}

/// What is current once the edit is heard of after so many half hours, in steps of so many events, and what is had it
/// always been so.
fn found_and_expected(
    events: &[Happening],
    (before, after): ([bool; EDITS.len()], [bool; EDITS.len()]),
    (heard, cut, lanes): (i64, usize, usize),
) -> (Vec<String>, Vec<String>) {
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    let mut batch = LaneGroup::new(portfolio_of(&edited(after)), 1);
    batch.fold(&delivery(&numbered, 0, true), NOW);
    let expected = results(&[batch.close(1, NOW, true)]);

    let (early, late): (Vec<_>, Vec<_>) =
        numbered.iter().copied().partition(|(_, happening)| happening.time() <= heard);
    let mut group = LaneGroup::new(portfolio_of(&edited(before)), lanes);
    let (mut all, mut offset, then) = (Vec::new(), 0, Instant(heard * HOUR / 2));
    for part in early.chunks(cut) {
        group.fold(&delivery(part, offset, offset as usize + part.len() == early.len()), then);
        offset += part.len() as i64;
        all.push(group.close(offset, then, true));
    }
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio_of(&edited(after)), lanes, &bytes).expect("restored");
    group.begin_recount();
    group.recount(&delivery(&early, 0, true).events);
    group.end_recount();
    all.push(group.close(offset + 1, then, false));
    group.fold(&delivery(&late, offset, true), NOW);
    all.push(group.close(offset + 2, NOW, false));
    all.push(group.close(offset + 3, NOW, true));
    assert!(!group.close(offset + 4, NOW, true).has_rows(), "nothing is said twice");
    let mut revisions = BTreeMap::new();
    for row in all.iter().flat_map(|facts| &facts.attainment) {
        let key = (&row.agreement, row.agreement_version, &row.service, &row.objective, row.window_start);
        let before = revisions.insert(key, row.revision);
        assert!(before.is_none_or(|before| before <= row.revision), "readers take the greatest revision: {row:?}");
    }
    (results(&all), expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r24_edited_windows_zones_hours_and_dates_end_as_if_they_had_always_been_so(
        events in prop::collection::vec(happening(), 1..60),
        edits in any::<([bool; EDITS.len()], [bool; EDITS.len()])>(),
        heard in prop_oneof![Just(384_i64), 0..384_i64],
        cut in 1..40_usize,
        lanes in 1..4_usize,
    ) {
        let (found, expected) = found_and_expected(&events, edits, (heard, cut, lanes));
        let lacking: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        let added: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        prop_assert!(lacking.is_empty() && added.is_empty(), "lacking {lacking:#?}, added {added:#?}");
    }
}

#[test]
fn r24_what_an_edit_puts_before_the_agreement_counts_no_more() {
    // All that there is happens on day 0, and then the agreement begins on day 2, with weeks that hold both.
    let after = EDITS.map(|(_, edited)| edited.contains("{calendar: week}") || edited.contains("from: 1970-01-03"));
    assert_eq!(after.iter().filter(|made| **made).count(), 2);
    let (found, expected) = found_and_expected(
        &[Happening::Probe(0, Status::Up), Happening::Score(1, 9)],
        ([false; EDITS.len()], after),
        (384, 1, 1),
    );
    assert_eq!(found, expected);
}
