//! A watermelon over a life of late events and of definitions.

use plimsoll_schemas::{Instant, Micros};

use super::*;
use crate::portfolio::tests::portfolio_of;
use crate::stage::Contribution;
use crate::stage::known::Known;
use crate::stage::outlook::Forecasts;
use crate::stage::publish::ObjectiveState;
use crate::state::exclusion::ApprovedWindows;

const NO_MAINTENANCE: &ApprovedWindows = &ApprovedWindows::new();

/// Two shares of good things and a satisfaction, by the month from 1970-01-01 on, without grace.
const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [t], lateness: 0s}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01}
  objectives:
  - {id: first, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: month}}
  - {id: second, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}, window: {calendar: month}}
  - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 80 %}, window: {calendar: month}}
";

struct World {
    portfolio: Portfolio,
    objectives: Vec<ObjectiveState>,
    stage: WatermelonStage,
}

impl World {
    fn new() -> World {
        let portfolio = portfolio_of(DEFINITIONS);
        let objectives = portfolio.objectives().iter().map(ObjectiveState::new).collect();
        World { portfolio, objectives, stage: WatermelonStage::default() }
    }

    /// Counts something in January for the objective at this place.
    fn count(&mut self, place: usize, good: i64, total: i64) {
        let index = self.portfolio.services()[0].event_objectives[place];
        let counted = Contribution { objective: index, at: Instant(5), good, total, bin: None, speaks: true };
        self.objectives[place].contribute(self.portfolio.objective(index), counted);
    }

    /// What a step in February says.
    fn close(&mut self, day: i64) -> Vec<String> {
        let at = Instant(day * Micros::DAY.0);
        let step = Step { epoch: day, tick: at, watermark: at, publish: true, closed_until: Instant(i64::MIN) };
        let mut facts = Facts::default();
        for (plan, objective) in self.portfolio.objectives().iter().zip(&mut self.objectives) {
            objective.publish(
                plan,
                self.portfolio.grace(),
                &step,
                &mut Known::new(&[], NO_MAINTENANCE, &mut Forecasts::default()),
                &[],
                &mut facts,
            );
        }
        self.stage.close(&self.portfolio, &step, &mut facts);
        let told = |row: &WatermelonRow| {
            let taken_back = if row.retracted { " taken back" } else { "" };
            format!("{} {}+{} r{}{taken_back}", row.objective, row.met_count, row.unknown_count, row.revision)
        };
        facts.watermelons.iter().map(told).collect()
    }
}

#[test]
fn r36_late_events_take_a_watermelon_back_and_bring_it_again() {
    let mut world = World::new();
    world.count(0, 95, 100);
    world.count(2, 1, 2);
    assert_eq!(world.close(20), [""; 0], "the month is open");
    // 95 % and 50 %; nothing is known of the second.
    assert_eq!(world.close(31), ["scores 1+1 r0"]);
    assert_eq!(world.close(32), [""; 0], "nothing changed");
    world.count(1, 85, 100);
    assert_eq!(world.close(33), ["scores 2+0 r1"]);
    // 95 of 110 are 86.4 %, below 90 %.
    world.count(0, 0, 10);
    assert_eq!(world.close(34), ["scores 2+0 r2 taken back"]);
    // 145 of 160 are 90.6 %.
    world.count(0, 50, 50);
    assert_eq!(world.close(35), ["scores 2+0 r3"]);
    // 41 of 42 scores are good.
    world.count(2, 40, 40);
    assert_eq!(world.close(36), ["scores 2+0 r4 taken back"]);
}

#[test]
fn r36_an_objective_that_is_defined_no_more_counts_no_more() {
    let mut world = World::new();
    world.count(0, 95, 100);
    world.count(1, 0, 100);
    world.count(2, 1, 2);
    assert_eq!(world.close(31), [""; 0], "the second is red");
    let second = DEFINITIONS.lines().find(|line| line.contains("id: second")).expect("the second");
    world.portfolio = portfolio_of(&DEFINITIONS.replace(&format!("{second}\n"), ""));
    world.objectives.remove(1);
    world.stage.resume(&world.portfolio);
    assert_eq!(world.close(32), ["scores 1+0 r0"]);
}
