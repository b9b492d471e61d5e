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

/// A result of January as it is said, with this verdict.
fn january(objective: &str, verdict: &str) -> AttainmentRow {
    AttainmentRow {
        agreement: "ola".into(),
        agreement_version: 1,
        service: "web".into(),
        objective: objective.into(),
        signal: if objective == "scores" { "satisfaction" } else { "good_ratio" }.into(),
        window_start: Instant(0),
        window_end: Instant(31 * Micros::DAY.0),
        segment_start: Instant(0),
        segment_end: Instant(31 * Micros::DAY.0),
        finality: "final".into(),
        verdict: verdict.into(),
        ..AttainmentRow::default()
    }
}

/// Objective, revision and whether it is taken back of what is said of these results, when this many days are closed.
fn said(
    stage: &mut WatermelonStage,
    portfolio: &Portfolio,
    closed: i64,
    results: &[AttainmentRow],
) -> Vec<(String, i32, bool)> {
    let (at, closed_until) = (Instant(40 * Micros::DAY.0), Instant(closed * Micros::DAY.0));
    let step = Step { epoch: 1, tick: at, watermark: at, publish: true, closed_until };
    let mut facts = Facts { attainment: results.to_vec(), ..Facts::default() };
    stage.close(portfolio, &step, &mut facts);
    facts.watermelons.into_iter().map(|row| (row.objective, row.revision, row.retracted)).collect()
}

#[test]
fn r36_what_is_defined_no_more_is_looked_at_once_without_any_result() {
    let portfolio = portfolio_of(DEFINITIONS);
    let mut stage = WatermelonStage::default();
    let results = [january("first", "met"), january("second", "breached"), january("scores", "breached")];
    assert_eq!(said(&mut stage, &portfolio, 0, &results), []);
    stage.resume(&portfolio);
    assert!(stage.anew.is_empty(), "nothing was lost");
    let second = DEFINITIONS.lines().find(|line| line.contains("id: second")).expect("the second");
    let portfolio = portfolio_of(&DEFINITIONS.replace(&format!("{second}\n"), ""));
    stage.resume(&portfolio);
    assert_eq!(said(&mut stage, &portfolio, 0, &[]), [("scores".to_owned(), 0, false)]);
    assert_eq!(said(&mut stage, &portfolio, 0, &[]), []);
}

#[test]
fn r22_watermelons_of_windows_that_are_closed_stand_and_are_forgotten() {
    let portfolio = portfolio_of(DEFINITIONS);
    let edge = |closed, kept| {
        let at = |days: i64| Instant(days * Micros::DAY.0);
        Edge { closed_until: at(closed), kept_from: at(kept), named_from: at(0) }
    };
    let red = [january("first", "met"), january("scores", "breached")];
    // January ends with the day 31: what ends there is closed then.
    let found = |closed| said(&mut WatermelonStage::default(), &portfolio, closed, &red);
    assert_eq!((found(31), found(30)), (vec![], vec![("scores".to_owned(), 0, false)]));

    let mut stage = WatermelonStage::default();
    said(&mut stage, &portfolio, 0, &red);
    let known = |stage: &WatermelonStage| {
        let results = stage.versions.values().next();
        results.map(|results| (results.outcomes.len(), results.said == Ledger::default()))
    };
    stage.forget(&edge(30, 30));
    assert_eq!(known(&stage), Some((2, false)));
    // Closed, but another window that is not reaches over it.
    stage.forget(&edge(31, 30));
    assert_eq!(known(&stage), Some((2, true)));
    let mut open = stage.clone();
    open.forget(&edge(31, 31));
    assert_eq!(open, WatermelonStage::default());
    // What was said is remembered as long as it may be taken back.
    let mut stage = WatermelonStage::default();
    said(&mut stage, &portfolio, 0, &red);
    stage.forget(&edge(30, 31));
    assert_eq!(known(&stage), Some((0, false)));
}
