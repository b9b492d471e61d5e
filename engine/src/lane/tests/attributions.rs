//! Who spent the budget in random small worlds, beside a naive computation half hour by half hour (R33, R21).

use std::collections::{BTreeMap, BTreeSet};

use super::composites::{Composite, FIRST, NAMES, arriving, composites, services, states};
use super::*;
use crate::state::State;

/// Which services, as bits, each service depends on, and each of three agreements covers.
#[derive(Clone, Debug)]
struct World {
    composites: Vec<Composite>,
    depends_on: Vec<u32>,
    covers: Vec<u32>,
}

fn worlds() -> impl Strategy<Value = World> {
    let depends_on =
        (0..NAMES.len()).map(|place| (0..1_u32 << place).prop_map(|bits| bits & (bits >> 1))).collect::<Vec<_>>();
    let covers = prop::collection::vec(1..1_u32 << NAMES.len(), 3);
    (composites(), depends_on, covers).prop_map(|(composites, depends_on, covers)| World {
        composites,
        depends_on,
        covers,
    })
}

fn chosen(bits: u32) -> Vec<usize> {
    (0..NAMES.len()).filter(|place| bits >> place & 1 == 1).collect()
}

/// The day on which each supporting agreement begins, and the one on which it ends.
const IN_FORCE: [(i64, i64); 3] = [(0, 8), (1, 2), (0, 2)];

impl World {
    /// What an agreement covers: at least one service that `s6` needs.
    fn covered(&self, number: usize) -> u32 {
        self.covers[number] | 1 << self.composites[2].needs()
    }

    fn portfolio(&self) -> Arc<Portfolio> {
        let names = |bits: u32| chosen(bits).into_iter().map(|place| NAMES[place]).collect::<Vec<_>>().join(", ");
        let mut text = services(&self.composites, |place| format!(", depends_on: [{}]", names(self.depends_on[place])));
        for (number, (from, until)) in IN_FORCE.into_iter().enumerate() {
            text.push_str(&format!(
                "{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: o{number}}}, spec: {{type: ola, services: [{}], \
                 effective: {{from: 1970-01-0{}, until: 1970-01-0{}}}, objectives: [{{id: any, indicator: {{signal: \
                 downtime}}, target: {{at_most: 1h}}, window: {{calendar: day}}}}]}}}}\n---\n",
                names(self.covered(number)),
                from + 1,
                until + 1
            ));
        }
        text.push_str(
            "apiVersion: plimsoll/v1
kind: Customer
metadata: {id: all}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla}
spec:
  type: sla
  customer: all
  services: [s6]
  effective: {from: 1970-01-01}
  rests_on: [o2, o0, o1]
  objectives:
    - id: uptime
      indicator: {signal: availability, degraded: 50 %}
      target: {at_least: 99.9999 %}
      window: {calendar: day}
      min_coverage: 0 %
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [t], lateness: 1h}
",
        );
        portfolio_of(&text)
    }

    /// The services just below one that matter, those of them that are culprits by themselves, at a half hour.
    fn below(&self, place: usize, states: &[State]) -> (Vec<usize>, Vec<usize>) {
        let (mut ways, mut culprits) = (Vec::new(), Vec::new());
        if let Some(composite) = place.checked_sub(FIRST).map(|place| &self.composites[place]) {
            let causes = composite.causes(states[place], states);
            ways.extend(&causes);
            culprits.extend(&causes);
        }
        for needed in chosen(self.depends_on[place]) {
            if states[needed] != State::Up {
                ways.push(needed);
            }
            if states[needed] == State::Down || (states[needed] == State::Degraded && states[6] == State::Degraded) {
                culprits.push(needed);
            }
        }
        (ways, culprits)
    }

    /// All that can be reached from a service.
    fn reached(&self, place: usize, states: &[State]) -> BTreeSet<usize> {
        let (ways, _) = self.below(place, states);
        ways.iter().flat_map(|below| self.reached(*below, states)).chain(ways.iter().copied()).collect()
    }

    fn support(&self, place: usize, tick: i64) -> Option<usize> {
        let day = tick / 48;
        let is_so = |number: &usize| {
            let (from, until) = IN_FORCE[*number];
            from <= day && day < until && self.covered(*number) >> place & 1 == 1
        };
        [2, 0, 1].into_iter().find(is_so)
    }

    /// Who has the half hour in which `s6` is bad.
    fn spender(&self, all: &[Vec<State>], tick: i64) -> (Option<usize>, usize) {
        let states = &all[tick as usize];
        let mut above = self.reached(6, states);
        above.insert(6);
        let culprits: BTreeSet<usize> = above.iter().flat_map(|place| self.below(*place, states).1).collect();
        let supported: BTreeSet<_> =
            culprits.iter().copied().filter(|place| self.support(*place, tick).is_some()).collect();
        let pool = if supported.is_empty() { culprits } else { supported };
        let last = pool.iter().filter(|place| self.reached(**place, states).is_disjoint(&pool));
        let since = |place: usize| {
            let is_so = |state| state == State::Down || (state == State::Degraded && states[place] == State::Degraded);
            (0..=tick).rev().take_while(|tick| is_so(all[*tick as usize][place])).last()
        };
        let first = last.min_by_key(|place| (since(**place), NAMES[**place]));
        let spender = first.copied().unwrap_or(6);
        (self.support(spender, tick), spender)
    }

    /// By day, agreement and service: microseconds spent.
    fn expected(&self, events: &[Happening], now: i64) -> BTreeMap<(i64, Option<usize>, usize), i64> {
        let all: Vec<Vec<State>> = (0..now).map(|tick| states(events, &self.composites, tick)).collect();
        let mut spent = BTreeMap::new();
        for tick in 0..now {
            let time = match all[tick as usize][6] {
                State::Down => HOUR / 2,
                State::Degraded => HOUR / 4,
                _ => continue,
            };
            let (support, service) = self.spender(&all, tick);
            *spent.entry((tick / 48, support, service)).or_default() += time;
        }
        spent
    }
}

fn found(all: &[Facts]) -> BTreeMap<(i64, Option<usize>, usize), i64> {
    let mut rows = BTreeMap::new();
    for row in all.iter().flat_map(|facts| &facts.attributions) {
        let place = NAMES.iter().position(|name| *name == row.supporting_service).expect("a service");
        let support = row.supporting_agreement.as_ref().map(|id| id[1..].parse::<usize>().expect("a number"));
        let key = (row.window_start.0 / (24 * HOUR), support, place);
        rows.insert(key, (!row.retracted).then_some((row.spent_us.expect("time"), row.total_us.expect("time"))));
    }
    let holding: BTreeMap<_, _> = rows.into_iter().filter_map(|(key, row)| Some((key, row?))).collect();
    for (key, (_, total)) in &holding {
        let sum: i64 = holding.iter().filter(|(other, _)| other.0 == key.0).map(|(_, (spent, _))| spent).sum();
        assert_eq!(sum, *total, "the parts of day {} add up to the whole", key.0);
    }
    holding.into_iter().map(|(key, (spent, _))| (key, spent)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r33_the_split_agrees_with_a_count_of_half_hours_whatever_the_order(
        world in worlds(),
        events in prop::collection::vec(arriving(), 1..120),
        every in 1..40_i64,
        lanes in 1..4_usize,
        restart in any::<bool>(),
    ) {
        let portfolio = world.portfolio();
        let mut group = LaneGroup::new(portfolio.clone(), lanes);
        let (mut all, mut offset) = (Vec::new(), 0);
        let mut waiting: Vec<_> = events.iter().copied().enumerate().collect();
        let mut arrived = Vec::new();
        for number in 1..=150 / every + 1 {
            let now = number * every;
            let new: Vec<_> = waiting.extract_if(.., |(_, (event, delay))| event.time() + *delay <= now).collect();
            let new: Vec<_> = new.into_iter().map(|(number, (event, _))| (number, event)).collect();
            let tick = Instant(now * HOUR / 2);
            group.fold(&delivery(&new, offset, true), tick);
            offset += new.len() as i64;
            arrived.extend(new.into_iter().map(|(_, event)| event));
            let publish = number % 3 != 1;
            all.push(group.close(number, tick, publish));
            if restart {
                let bytes = group.snapshot().expect("a snapshot");
                group = LaneGroup::restore(portfolio.clone(), lanes, &bytes).expect("restored");
            }
            if publish {
                prop_assert_eq!(found(&all), world.expected(&arrived, now), "at {}", now);
            }
        }
    }
}

/// `web` depends on `s0`, which an agreement covers; of its time and of what its check counts little may be bad, or all.
const DEPENDENT: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: s0}, spec: {state: {stale_after: 24h}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {stale_after: 24h}, depends_on: [s0]}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [t], lateness: 1h}}
---
{apiVersion: plimsoll/v1, kind: Agreement, metadata: {id: inner}, spec: {type: ola, services: [s0],
  effective: {from: 1970-01-01}, objectives: [{id: down, indicator: {signal: downtime}, target: {at_most: 1h},
  window: {calendar: day}}]}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 1970-01-01}
  rests_on: [inner]
  objectives:
    - {id: down, indicator: {signal: downtime}, target: {at_most: 1h}, window: {calendar: day}}
    - {id: good, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: loose, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 1 %}, window: {calendar: day}}
";

#[test]
fn r33_a_late_outage_of_what_is_needed_takes_the_time_and_the_bad_things_over() {
    let mut group = LaneGroup::new(portfolio_of(DEPENDENT), 2);
    let status = |tick: i64| if (20..24).contains(&tick) { Status::Down } else { Status::Up };
    let results: Vec<_> = (0..48).map(|tick| (tick as usize, Happening::Probe(tick, status(tick)))).collect();
    let spent = |facts: &Facts| {
        let row = |row: &plimsoll_schemas::table::AttributionRow| {
            let back = if row.retracted { " back" } else { "" };
            let spent = row.spent_us.map(|spent| format!("{} min", spent * 60 / HOUR)).into_iter();
            let spent: Vec<_> = spent.chain(row.spent_count.map(|count| format!("{count} things"))).collect();
            format!("{} {} {:?} r{}{back}", row.objective, row.supporting_service, spent, row.revision)
        };
        facts.attributions.iter().map(row).collect::<Vec<_>>()
    };
    group.fold(&delivery(&results, 0, true), Instant(25 * HOUR));
    // Of each four results 3 of 3, 3 of 4, 1 of 3 and 1 of 4 things are bad, 96 in all; from 10:00 to 12:00 it was down.
    let facts = group.close(1, Instant(25 * HOUR), true);
    assert_eq!(spent(&facts), [r#"down web ["120 min"] r0"#, r#"good web ["96 things"] r0"#]);
    // What it depends on was down as long, and so for 8 of the bad things; it was the same itself.
    let late = [(0, Status::Up), (20, Status::Down), (24, Status::Up)];
    let late: Vec<_> =
        late.into_iter().map(|(tick, status)| (100 + tick as usize, Happening::Check(tick, 0, status))).collect();
    group.fold(&delivery(&late, 48, true), Instant(25 * HOUR));
    let facts = group.close(2, Instant(25 * HOUR), false);
    assert_eq!(
        spent(&facts),
        [
            r#"down web ["120 min"] r1 back"#,
            r#"down s0 ["120 min"] r0"#,
            r#"good web ["88 things"] r1"#,
            r#"good s0 ["8 things"] r0"#,
        ]
    );
    assert_eq!(facts.attainment.iter().filter(|row| &*row.service == "web").count(), 0, "the results are the same");
}
