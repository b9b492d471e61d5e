//! A new version that says the same as the one before it changes nothing (R24).

use std::fmt::Write;
use std::sync::LazyLock;

use plimsoll_schemas::event::{TicketState, Vocabulary};
use proptest::prelude::*;

use super::*;

/// 2001-01-01T00:00:00Z, in microseconds. Before 1990 no calendar with hours has agreed time.
const START: i64 = 978_307_200_000_000;

/// An agreement for two services from the day 2001-01-02 on until the 6th, in versions that are in force from these days
/// on, with an objective for each combination of what a clock may be told. Half of them count from 08:00 to 17:00.
fn in_versions(days: &[u32]) -> Portfolio {
    let mut text = "\
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}}
---
{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: office}, spec: {time_zone: UTC,
hours: [{days: mon-sun, from: 08:00, until: 17:00}]}}
"
    .to_owned();
    for (place, from) in days.iter().enumerate() {
        let until = days.get(place + 1).unwrap_or(&6);
        let _ = write!(
            text,
            "---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: a, version: {}}}
spec:
  type: ola
  services: [web, mail]
  effective: {{from: 2001-01-0{from}, until: 2001-01-0{until}}}
  objectives:
    - {{id: each, indicator: {{signal: good_ratio, kind: incident}}, target: {{at_least: 90 %}}, window: {{calendar: day}}}}
",
            place + 1
        );
        let mut number = 0;
        for signal in ["resolution_time", "response_time"] {
            for attribution in ["outcome", "opened", "closed"] {
                for reopening in ["same_cycle", "new_cycle", "first_only", "largest"] {
                    if (signal, reopening) == ("response_time", "largest") {
                        continue;
                    }
                    for rest in ["priority_change: restart", "priorities: [P1]", "calendar: office", "calendar: 24x7"] {
                        number += 1;
                        let within = 3 + number % 11;
                        let _ = writeln!(
                            text,
                            "    - {{id: o{number}, indicator: {{signal: {signal}, within: {within}h, attribution: \
                             {attribution}, reopening: {reopening}, {rest}}}, target: {{at_least: 90 %}}, window: \
                             {{calendar: day}}, warn_at: [50 %, 90 %]}}"
                        );
                    }
                }
            }
        }
    }
    portfolio_of(&text)
}

/// Everything that is found of a ticket but the clocks, without the number of the version, in order.
fn found(portfolio: &Portfolio, history: &TicketHistory, now: Instant) -> Vec<String> {
    let found = Found::read(portfolio, history, now);
    let counts = found
        .counts
        .iter()
        .map(|(key, at, good, total)| format!("count {} {} {good}/{total} at {at}", key.service, key.objective));
    let breaches = found.breaches.iter().map(|((key, cycle), breach)| {
        format!("breach {} {} {cycle} at {}: {}", key.service, key.objective, breach.at, breach.detail)
    });
    let warnings = found.warnings.iter().map(|(((key, cycle), _), warning)| {
        format!("warning {} {} {cycle} at {}: {}", key.service, key.objective, warning.at, warning.detail)
    });
    let mut all: Vec<String> = counts.chain(breaches).chain(warnings).collect();
    all.sort_unstable();
    all
}

prop_compose! {
    fn any_record()(
        half_hour in 30..250_i64,
        sequence in 0..2_i64,
        action in prop_oneof![
            2 => Just(Action::Opened),
            3 => Just(Action::Updated),
            6 => proptest::sample::select(vec![
                Action::Acknowledged, Action::Paused, Action::Resumed, Action::Resolved, Action::Reopened,
                Action::Closed, Action::Snapshot,
            ]),
            1 => Just(Action::Cancelled),
        ],
        state in proptest::sample::select(TicketState::WORDS),
        service in proptest::option::weighted(0.4, proptest::sample::select(vec!["web", "mail", "elsewhere"])),
        priority in proptest::option::weighted(0.3, proptest::sample::select(vec!["P1", "P2"])),
        good in proptest::option::weighted(0.2, 0..3_i64),
    ) -> TicketRecord {
        TicketRecord {
            time: Instant(START + half_hour * HOUR / 2),
            sequence,
            state: (action == Action::Snapshot).then_some(state.1),
            service: service.map(Name::from),
            priority: priority.map(Name::from),
            ..record(0, action, good, good.map(|good| good + 1))
        }
    }
}

static ONE: LazyLock<Portfolio> = LazyLock::new(|| in_versions(&[2]));
static MANY: LazyLock<Portfolio> = LazyLock::new(|| in_versions(&[2, 3, 4]));

proptest! {
    #[test]
    fn r24_identical_versions_change_neither_counts_nor_breaches_nor_warnings(
        records in prop::collection::vec(any_record(), 1..9),
        now in 48..140_i64,
    ) {
        let mut log = TicketLog::default();
        for record in records {
            log.insert(record);
        }
        let now = Instant(START + now * HOUR);
        let Some(history) = log.history(now) else { return Ok(()) };
        prop_assert_eq!(found(&MANY, &history, now), found(&ONE, &history, now));
    }
}
