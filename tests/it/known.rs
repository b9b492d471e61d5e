//! R25 as a law: what was known at an instant is what was answered then. And the random worlds that show it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Instant, Micros};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::support::current;
use crate::tables::{Tables, defined};

/// Three services, one of the others; a customer with credits, an OLA behind it. The target may be edited.
pub fn definitions(target: u32) -> Definitions {
    defined(&format!(
        "
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}, spec: {{state: {{stale_after: 12h}}}}}}
---
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: mail}}, spec: {{state: {{from: incidents}}}}}}
---
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: shop}}, spec: {{composed_of: {{all_of: [web, mail]}}}}}}
---
{{apiVersion: plimsoll/v1, kind: Customer, metadata: {{id: acme}}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: gold}}
spec:
  type: sla
  customer: acme
  services: [shop, mail]
  effective: {{from: 2026-03-01}}
  charge: {{amount: 100.00, currency: EUR}}
  rests_on: [network]
  objectives:
    - {{id: availability, indicator: {{signal: availability, unknown: good}}, target: {{at_least: {target} %}}, window: {{calendar: day}}}}
    - {{id: fix, indicator: {{signal: resolution_time, within: 4h}}, target: {{at_least: {target} %}}, window: {{calendar: day}}}}
    - {{id: scores, indicator: {{signal: satisfaction}}, target: {{at_least: {target} %}}, window: {{calendar: day}}}}
    - id: monthly
      indicator: {{signal: satisfaction}}
      target: {{at_least: {target} %}}
      window: {{calendar: month}}
      credits: [{{below: {target} %, credit: 10 %}}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: network}}
spec:
  type: ola
  services: [web]
  effective: {{from: 2026-03-01}}
  objectives:
    - {{id: availability, indicator: {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: day}}}}
"
    ))
    .expect("good definitions")
}

const START: Instant = Instant(1_772_323_200_000_000); // 2026-03-01T00:00:00Z
const MINUTE: Micros = Micros(60_000_000);

pub fn after(minutes: i64) -> Instant {
    Instant(START.0 + minutes * MINUTE.0)
}

/// An event of the first three days, or a record that is none.
fn record() -> impl Strategy<Value = String> {
    (0..3 * 24 * 60_i64, 0..5_u8, 0..4_u8).prop_map(|(minute, kind, what)| {
        let time = after(minute);
        let service = ["web", "mail"][usize::from(what) % 2];
        match kind {
            0 | 1 => {
                let status = ["up", "down"][usize::from(kind)];
                format!(r#"{{"time":"{time}","kind":"monitoring","service":"web","check":"ping","status":"{status}"}}"#)
            }
            2 => {
                let action = ["opened", "paused", "resumed", "resolved"][usize::from(what)];
                format!(
                    r#"{{"time":"{time}","kind":"incident","service":"mail","customer":"acme","ticket":"T{}","action":"{action}","outage":true}}"#,
                    minute % 4
                )
            }
            3 => {
                let score = what + 2;
                format!(r#"{{"time":"{time}","kind":"feedback","service":"{service}","customer":"acme","score":{score}}}"#)
            }
            _ => format!(r#"{{"time":"{what}","kind":"feedback"}}"#),
        }
    })
}

/// Records in any order, cut anywhere into epochs; hours between these; and the epoch with which the target is edited.
#[derive(Clone, Debug)]
pub struct World {
    pub records: Vec<String>,
    epochs: Vec<(usize, i64)>,
    edited: usize,
}

pub fn world() -> impl Strategy<Value = World> {
    let records = prop::collection::vec(record(), 30..60);
    let epochs = prop::collection::vec((0..20_usize, 1..40_i64), 3..6);
    (records, epochs, 0..6_usize).prop_map(|(records, epochs, edited)| World { records, epochs, edited })
}

impl World {
    /// By what an epoch is folded.
    pub fn definitions(&self, epoch: usize) -> Definitions {
        definitions(if epoch < self.edited { 60 } else { 80 })
    }

    /// Tells it all, and of each epoch when it was known.
    pub fn tell(&self, tables: &mut Tables, mut known: impl FnMut(&Tables, Instant)) {
        let mut tick = after(6 * 60);
        for (number, &(records, hours)) in self.epochs.iter().enumerate() {
            tables.epoch(&self.definitions(number), tick, records);
            known(tables, tick);
            tick = Instant(tick.0 + hours * 60 * MINUTE.0);
        }
    }
}

/// Everything that can be asked: the rows of each table, as current and as written.
fn answers(tables: &Tables, known_at: Option<Instant>) -> Vec<(String, Vec<String>)> {
    let names = Table::ALL.into_iter().flat_map(|table| [table.name().to_owned(), format!("history.{}", table.name())]);
    let answer = |name: String| {
        let rows = tables.ask(&current(&name), known_at);
        let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        rows.sort_unstable();
        (name, rows)
    };
    names.map(answer).collect()
}

#[test]
fn r25_what_was_known_at_each_tick_is_what_was_answered_then() {
    let mut runner = TestRunner::new(Config { cases: 4, failure_persistence: None, ..Config::default() });
    let compared = RefCell::new(BTreeMap::<String, usize>::new());
    let law = |world: World| {
        let mut tables = Tables::new(&world.definitions(0), &world.records);
        let mut told = Vec::new();
        world.tell(&mut tables, |tables, tick| told.push((tick, answers(tables, None))));
        for (tick, then) in told {
            for (known_at, when) in [(tick, "at its tick"), (Instant(tick.0 + 59 * MINUTE.0), "until the next")] {
                for ((name, then), (_, known)) in then.iter().zip(answers(&tables, Some(known_at))) {
                    prop_assert_eq!(then, &known, "{} as known {}", name, when);
                    *compared.borrow_mut().entry(name.clone()).or_default() += known.len();
                }
            }
        }
        Ok(())
    };
    runner.run(&world(), law).unwrap_or_else(|failure| panic!("{failure}"));
    let compared = compared.into_inner();
    for name in ["attainment", "clocks", "outages", "breaches", "credits", "measures", "events", "dead_letters"] {
        assert!(compared[name] > 0, "nothing of {name} was compared");
    }
}
