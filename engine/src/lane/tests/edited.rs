//! Definitions that are edited: other windows, zones, hours, dates (R24). Whoever hears of it then says what he would have
//! said, had it always been so.

use super::versions::{ALL_HEARD, Restated};
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r24_edited_windows_zones_hours_and_dates_end_as_if_they_had_always_been_so(
        events in prop::collection::vec(happening(), 1..60),
        edits in any::<([bool; EDITS.len()], [bool; EDITS.len()])>(),
        heard in prop_oneof![Just(ALL_HEARD), 0..ALL_HEARD],
        cut in 1..40_usize,
        lanes in 1..4_usize,
    ) {
        let (before, after) = (edited(edits.0), edited(edits.1));
        Restated::new(&events, (&before, &after), (heard, cut, lanes), false).check()?;
    }
}

#[test]
fn r24_what_an_edit_puts_before_the_agreement_counts_no_more() {
    // All that there is happens on day 0, and then the agreement begins on day 2, with weeks that hold both.
    let after = EDITS.map(|(_, edited)| edited.contains("{calendar: week}") || edited.contains("from: 1970-01-03"));
    assert_eq!(after.iter().filter(|made| **made).count(), 2);
    let events = [Happening::Probe(0, Status::Up), Happening::Score(1, 9)];
    let (before, after) = (edited([false; EDITS.len()]), edited(after));
    Restated::new(&events, (&before, &after), (ALL_HEARD, 1, 1), false).check().expect("the same");
}
