//! Credits over a life of windows: provisional, final, corrected; and under other terms after a restart.

use plimsoll_schemas::{Instant, Micros};

use super::*;
use crate::portfolio::tests::portfolio_of;
use crate::stage::Contribution;
use crate::stage::known::Known;
use crate::stage::outlook::Forecasts;
use crate::stage::publish::ObjectiveState;
use crate::state::exclusion::ApprovedWindows;

mod rows;

const DAY: i64 = Micros::DAY.0;
const NO_MAINTENANCE: &ApprovedWindows = &ApprovedWindows::new();

/// A service whose shares of good things are judged by the month from 1970-01-01 on, without grace. A month costs 100.00,
/// and a year gives back 1.5 % of twelve times that, 18.00.
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
  charge: {amount: 100.00, currency: EUR}
  credits: {at_most: {year: 1.5 %}}
  objectives:
    - id: good
      indicator: {signal: good_ratio, kind: monitoring}
      target: {at_least: 90 %}
      window: {calendar: month}
      credits: [{below: 90 %, credit: 10 %}, {below: 50 %, credit: 20 %}]
";

/// The objective and the stage behind it, step by step.
struct World {
    portfolio: Portfolio,
    objective: ObjectiveState,
    credits: CreditStage,
    epoch: i64,
}

impl World {
    fn new() -> World {
        let portfolio = portfolio_of(DEFINITIONS);
        let objective = ObjectiveState::new(&portfolio.objectives()[0]);
        World { portfolio, objective, credits: CreditStage::default(), epoch: 0 }
    }

    fn count(&mut self, day: i64, good: i64, total: i64) {
        let objective = self.portfolio.services()[0].event_objectives[0];
        let plan = self.portfolio.objective(objective);
        self.objective
            .contribute(plan, Contribution { objective, at: Instant(day * DAY), good, total, bin: None, speaks: true });
    }

    /// What a step at the start of this day says: credits, then their corrections.
    fn close(&mut self, day: i64) -> Vec<String> {
        self.epoch += 1;
        let at = Instant(day * DAY);
        let step = Step { epoch: self.epoch, tick: at, watermark: at, publish: true, closed_until: Instant(i64::MIN) };
        let mut facts = Facts::default();
        let plan = &self.portfolio.objectives()[0];
        self.objective.publish(
            plan,
            self.portfolio.grace(),
            &step,
            &mut Known::new(&[], NO_MAINTENANCE, &mut Forecasts::default()),
            &[],
            &mut facts,
        );
        self.credits.close(&self.portfolio, &step, &mut facts);
        let row = |row: &CreditRow| {
            let day = row.window_start.0 / DAY;
            if row.retracted {
                return format!("day {day} taken back r{}", row.revision);
            }
            format!("day {day} {} {} of {} r{}", row.finality, row.credit_minor, row.charge_minor, row.revision)
        };
        let corrections = facts.corrections.iter().filter(|row| row.objective.is_none());
        let corrections =
            corrections.map(|row| format!("{} r{}: {} -> {}", row.reason, row.revision, row.before, row.after));
        facts.credits.iter().map(row).chain(corrections).collect()
    }

    /// A restart under other definitions.
    fn restart(&mut self, text: &str) {
        self.portfolio = portfolio_of(text);
        self.objective.resume(&self.portfolio.objectives()[0], Instant(i64::MIN));
        self.credits.resume(&self.portfolio);
    }
}

#[test]
fn r34_a_credit_is_provisional_then_final_then_corrected() {
    let mut world = World::new();
    world.count(3, 8, 10);
    // Counted things are missed when the window is over, and not before.
    assert_eq!(world.close(4), ["day 0 provisional 0 of 10000 r0"]);
    world.count(4, 1, 1);
    assert_eq!(world.close(5), [""; 0], "nothing changed that is given back");
    // January ends with 9 of 11, 81.8 %; February has none yet.
    assert_eq!(world.close(31), ["day 0 final 1000 of 10000 r1"]);
    world.count(40, 0, 10);
    // February ends with 0 of 10: 20.00, of which the year has 18.00 - 10.00 left.
    assert_eq!(world.close(59), ["day 31 final 800 of 10000 r1"]);
    // 9 of 31 of January is below 50 %: it gets the whole year's limit, and February loses.
    world.count(5, 0, 20);
    assert_eq!(
        world.close(60),
        [
            "day 0 final 1800 of 10000 r2",
            "day 31 final 0 of 10000 r2",
            "day 59 provisional 0 of 10000 r0",
            "late_event r2: credit_minor 1000 EUR, 10 % of charge_minor 10000 -> credit_minor 1800 EUR, 20 % of \
             charge_minor 10000",
            "late_event r2: credit_minor 800 EUR, 20 % of charge_minor 10000 -> credit_minor 0 EUR, 20 % of \
             charge_minor 10000",
        ]
    );
}

#[test]
fn r22_a_final_credit_that_is_open_again_becomes_final_under_the_revision_that_said_so() {
    let mut world = World::new();
    world.count(3, 8, 10);
    assert_eq!(world.close(31), ["day 0 final 1000 of 10000 r1"]);
    // A source whose events may come five days late, and another promise: January is open until February the 6th.
    world.restart(&DEFINITIONS.replace("lateness: 0s", "lateness: 5d").replace("90 %", "85 %"));
    assert_eq!(
        world.close(31),
        [
            "day 0 provisional 1000 of 10000 r2",
            "definition_change r2: credit_minor 1000 EUR, 10 % of charge_minor 10000 -> credit_minor 1000 EUR, 10 % of \
             charge_minor 10000",
        ]
    );
    assert_eq!(world.close(36)[0], "day 0 final 1000 of 10000 r2");
}

#[test]
fn r34_other_terms_restate_credits_and_say_why() {
    let mut world = World::new();
    world.count(3, 8, 10);
    world.close(32);
    world.restart(DEFINITIONS);
    assert_eq!(world.close(32), [""; 0], "the same terms");
    world.restart(&DEFINITIONS.replace("amount: 100.00", "amount: 200.00"));
    assert_eq!(
        world.close(32),
        [
            "day 0 final 2000 of 20000 r2",
            "day 31 provisional 0 of 20000 r0",
            "definition_change r2: credit_minor 1000 EUR, 10 % of charge_minor 10000 -> credit_minor 2000 EUR, 10 % of \
             charge_minor 20000",
        ]
    );
    // Another ladder changes the result, and with it the credit.
    world.restart(&DEFINITIONS.replace("credit: 10 %", "credit: 5 %"));
    let said = world.close(32);
    assert_eq!(said[0], "day 0 final 500 of 10000 r3");
    assert!(said.iter().any(|line| line.starts_with("definition_change r3: credit_minor 2000 EUR")), "{said:?}");
    // One charge for all services instead of one for each: what the old one gave back is taken back.
    world.restart(&DEFINITIONS.replace("currency: EUR}", "currency: EUR, for: all_services}"));
    let said = world.close(32);
    assert!(said.contains(&"day 0 final 1000 of 10000 r1".to_owned()), "{said:?}");
    assert!(said.contains(&"day 0 taken back r4".to_owned()), "{said:?}");
}
