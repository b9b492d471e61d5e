//! Services that are defined in another way after a restart (R24, R32): whoever goes over to the new definitions ends with
//! the rows of one who knew them from the start.

use super::composites::{Composite, FIRST, NAMES, arriving, composites};
use super::*;

/// How services are defined: how long the checks of each are believed, where its state comes from, and of what the last
/// three are composed, of those that are.
#[derive(Clone, Debug)]
struct World {
    rules: Vec<(i64, &'static str)>,
    composites: Vec<Option<Composite>>,
}

fn worlds() -> impl Strategy<Value = World> {
    let evidence = prop::sample::select(vec!["both", "checks", "both", "incidents"]);
    let rules = prop::collection::vec((1..5_i64, evidence), NAMES.len());
    let is_composed = prop::collection::vec(prop::bool::weighted(0.8), NAMES.len() - FIRST);
    (rules, composites(), is_composed).prop_map(|(rules, composites, is_composed)| World {
        rules,
        composites: composites.into_iter().zip(is_composed).map(|(one, is_one)| is_one.then_some(one)).collect(),
    })
}

impl World {
    fn portfolio(&self) -> Arc<Portfolio> {
        let mut text = String::new();
        for ((place, name), (stale_after, evidence)) in NAMES.iter().enumerate().zip(&self.rules) {
            let composed = place.checked_sub(FIRST).and_then(|place| self.composites[place].as_ref());
            let composed = composed.map_or(String::new(), |one| format!(", composed_of: {}", one.definition()));
            let believed =
                if *evidence == "incidents" { String::new() } else { format!(", stale_after: {}m", stale_after * 30) };
            text.push_str(&format!(
                "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {name}}}, spec: {{state: {{from: {evidence}\
                 {believed}}}{composed}}}}}\n---\n"
            ));
        }
        text.push_str(
            "apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [s0, s1, s2, s3, s4, s5, s6]
  effective: {from: 1970-01-01, until: 1970-01-04}
  objectives:
    - {id: uptime, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}, min_coverage: 0 %}
    - {id: held, indicator: {signal: longest_outage, unknown: hold}, target: {at_most: 3h}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: top}
spec:
  type: ola
  services: [s4, s5, s6]
  effective: {from: 1970-01-01, until: 1970-01-04}
  rests_on: [ola]
  objectives:
    - {id: uptime, indicator: {signal: availability, min_outage: 90m}, target: {at_least: 99 %}, window: {calendar: week}, min_coverage: 0 %}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [t], lateness: 1h}
",
        );
        portfolio_of(&text)
    }
}

/// When all is over and final.
const END: i64 = 120;

/// All rows that hold, with who spent which budget.
fn rows(all: &[Facts]) -> Vec<String> {
    let mut spent = std::collections::BTreeMap::new();
    for row in all.iter().flat_map(|facts| &facts.attributions) {
        let spender = (&row.supporting_agreement, &row.supporting_service);
        let key = format!("spent {} {} {} {spender:?}", row.service, row.objective, row.window_start);
        spent.insert(key, (!row.retracted).then_some((row.spent_us, row.spent_count)));
    }
    let spent = spent.into_iter().filter_map(|(key, spent)| Some(format!("{key}: {:?}", spent?)));
    current(all).into_iter().chain(spent).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn r24_services_defined_otherwise_end_as_if_they_had_always_been_so(
        worlds in prop::collection::vec(worlds(), 2..4),
        events in prop::collection::vec(arriving(), 1..100),
        every in 5..60_i64,
        lanes in 1..4_usize,
    ) {
        // Each step is closed by one world after the other, so that the last of them goes on with events of its own.
        let portfolios: Vec<_> = worlds.iter().map(World::portfolio).collect();
        let mut group = LaneGroup::new(portfolios[0].clone(), lanes);
        let (mut all, mut offset, mut number) = (Vec::new(), 0, 0);
        let mut waiting: Vec<_> = events.iter().map(|(event, delay)| (*event, event.time() + *delay)).enumerate().collect();
        let steps = (END + 60) / every + 1;
        for step in 1..=steps {
            let now = step * every;
            let new: Vec<_> = waiting.extract_if(.., |(_, (_, at))| *at <= now).map(|(id, (event, _))| (id, event)).collect();
            group.fold(&delivery(&new, offset, true), Instant(now * HOUR / 2));
            offset += new.len() as i64;
            number += 1;
            all.push(group.close(number, Instant(now * HOUR / 2), step % 3 != 1));
            let world = (step as usize * portfolios.len() / steps as usize).min(portfolios.len() - 1);
            let bytes = group.snapshot().expect("a snapshot");
            group = LaneGroup::restore(portfolios[world].clone(), lanes, &bytes).expect("restored");
        }
        all.push(group.close(number + 1, NOW, true));

        let numbered: Vec<_> = events.iter().map(|(event, _)| *event).enumerate().collect();
        let mut batch = LaneGroup::new(portfolios[portfolios.len() - 1].clone(), 1);
        batch.fold(&delivery(&numbered, 0, true), NOW);
        let expected = rows(&[batch.close(1, NOW, true)]);
        let found = rows(&all);
        let lacking: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        let added: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        prop_assert!(lacking.is_empty() && added.is_empty(), "lacking {lacking:#?}, added {added:#?}");
    }
}

const SHOP: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: s0}, spec: {state: {from: checks, stale_after: 15m}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: s1}, spec: {state: {from: checks, stale_after: 15m}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: s2}, spec: {composed_of: {all_of: [s0]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: s4}, spec: {composed_of: {all_of: [s2]}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: a}
spec:
  type: ola
  services: [s2, s4]
  effective: {from: 1970-01-01, until: 1970-01-03}
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: day}, min_coverage: 0 %}
";

/// What was said of outages, transitions and final days: what it was of, whether it was taken back.
fn said(facts: &Facts) -> Vec<String> {
    let minutes = |micros: i64| micros / 60_000_000;
    let retracted = |is_so: bool| if is_so { " retracted" } else { "" };
    let outages = facts.outages.iter().map(|row| format!("{} outage{}", row.service, retracted(row.retracted)));
    let transitions = facts.transitions.iter();
    let transitions = transitions
        .map(|row| format!("{} {} {}{}", row.service, minutes(row.at.0), row.state, retracted(row.retracted)));
    let days = facts.attainment.iter().map(|row| {
        let parts = [row.good_us, row.bad_us, row.unknown_us].map(minutes);
        format!(
            "{} day {} {} {parts:?} r{}",
            row.service,
            minutes(row.window_start.0) / 1440,
            row.verdict,
            row.revision
        )
    });
    let corrections = facts.corrections.iter();
    let corrections = corrections.map(|row| format!("{} {}", row.service.as_deref().unwrap_or_default(), row.reason));
    outages.chain(transitions).chain(days).chain(corrections).collect()
}

#[test]
fn r24_a_composite_that_loses_a_part_takes_back_what_it_said_by_it_and_so_do_those_above() {
    // `s0` is up at 8:00, down at 8:30, up at 9:00 and, a quarter of an hour after each, unknown. `s1` is up on the
    // next day, at 9:00, for a quarter of an hour.
    let events = [
        (0, Happening::Check(16, 0, Status::Up)),
        (1, Happening::Check(17, 0, Status::Down)),
        (2, Happening::Check(18, 0, Status::Up)),
        (3, Happening::Check(48 + 18, 1, Status::Up)),
    ];
    let mut group = LaneGroup::new(portfolio_of(SHOP), 2);
    group.fold(&delivery(&events, 0, true), NOW);
    let first = said(&group.close(1, NOW, true));
    for service in ["s2", "s4"] {
        for row in ["outage", "day 0 breached [30, 15, 1395] r1"] {
            assert!(first.contains(&format!("{service} {row}")), "{service} {row}: {first:#?}");
        }
    }
    let edited = SHOP.replace("all_of: [s0]", "all_of: [s1]");
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio_of(&edited), 2, &bytes).expect("restored");
    // Nothing was known of `s1` on day 0. On day 1 it was up for a quarter of an hour, from 33:00, minute 1980, on.
    let expected = |service: &str| {
        let mut rows = vec![format!("{service} outage retracted")];
        for (minute, state) in
            [(480, "up"), (495, "unknown"), (510, "down"), (525, "unknown"), (540, "up"), (555, "unknown")]
        {
            rows.push(format!("{service} {minute} {state} retracted"));
        }
        rows.push(format!("{service} 1980 up"));
        rows.push(format!("{service} 1995 unknown"));
        rows.push(format!("{service} day 0 no_data [0, 0, 1440] r2"));
        rows.push(format!("{service} day 1 met [15, 0, 1425] r2"));
        rows.extend([(); 2].map(|()| format!("{service} definition_change")));
        rows
    };
    let mut expected: Vec<_> = ["s2", "s4"].into_iter().flat_map(expected).collect();
    let mut found = said(&group.close(2, NOW, false));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn r32_a_composite_that_leaves_and_returns_knows_what_its_parts_were_meanwhile() {
    let mut group = LaneGroup::new(portfolio_of(SHOP), 1);
    group.fold(&delivery(&[(0, Happening::Check(2, 0, Status::Up))], 0, true), Instant(2 * HOUR));
    group.close(1, Instant(2 * HOUR), true);
    let start = SHOP.find("{apiVersion: plimsoll/v1, kind: Service, metadata: {id: s2}").expect("it");
    let bytes = group.snapshot().expect("a snapshot");
    let mut group =
        LaneGroup::restore(portfolio_of(SHOP[..start].trim_end().trim_end_matches('-')), 1, &bytes).expect("restored");
    group.fold(&delivery(&[(1, Happening::Check(16, 0, Status::Down))], 1, true), NOW);
    group.close(2, NOW, true);
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio_of(SHOP), 1, &bytes).expect("restored");
    let days = said(&group.close(3, NOW, true));
    let days: Vec<_> = days.iter().filter(|row| row.contains("day 0")).collect();
    assert_eq!(days, ["s2 day 0 breached [15, 15, 1410] r1", "s4 day 0 breached [15, 15, 1410] r1"]);
}
