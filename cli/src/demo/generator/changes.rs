//! Changes: planned, approved, started and finished; a few of them fail, and some of those take a platform down.

use plimsoll_schemas::event::{Action, Outcome};

use super::catalogue::{Catalogue, Tier};
use super::dice::{Dice, Part};
use super::outages::Outages;
use super::{Body, DAY, HOUR, MINUTE, Month, Planned};

/// A change with its times in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) service: usize,
    pub(super) planned_start: i64,
    pub(super) planned_end: i64,
    pub(super) emergency: bool,
    pub(super) outcome: Outcome,
    planned: i64,
    approved: i64,
    started: i64,
    finished: i64,
}

/// Changes a day, on average.
const CHANGES_PER_DAY: i64 = 40;
/// Of a thousand changes that caused no outage, so many fail all the same.
const FAILED_PERMILLE: i64 = 18;
/// Of a thousand changes, so many cannot wait.
const EMERGENCY_PERMILLE: i64 = 50;
/// Every so manieth burst of outages comes from a change that failed.
const BURSTS_PER_FAILED_CHANGE: usize = 3;
/// The hour of the day at which work begins: evenings and nights more than days, Thursdays' and Tuesdays' alike.
const HOUR_WEIGHTS: [i64; 24] = [3, 3, 2, 2, 2, 3, 2, 1, 1, 2, 2, 2, 1, 2, 2, 2, 2, 3, 5, 7, 8, 8, 6, 4];

/// All changes of the month, by the time they were planned.
pub(super) fn plan(seed: u64, month: &Month, catalogue: &Catalogue, outages: &Outages) -> Vec<Change> {
    let mut dice = Dice::new(seed, Part::Changes);
    let weights: Vec<i64> = catalogue.services.iter().map(|service| weight(service.tier, &service.customers)).collect();
    let mut changes = Vec::new();
    for burst in outages.bursts.iter().step_by(BURSTS_PER_FAILED_CHANGE) {
        let started = burst.at - dice.between(2 * MINUTE, 20 * MINUTE);
        changes.push(change(&mut dice, burst.root, started, Outcome::Failed));
    }
    while i64::try_from(changes.len()).unwrap_or(i64::MAX) < month.days() * CHANGES_PER_DAY {
        let day = month.start + dice.below(month.days()) * DAY;
        let hour = i64::try_from(dice.weighted(&HOUR_WEIGHTS)).unwrap_or(0) * HOUR;
        // Work begins at a quarter of an hour.
        let started = day + hour + dice.below(4) * 15 * MINUTE;
        let outcome = if dice.permille(FAILED_PERMILLE) { Outcome::Failed } else { Outcome::Success };
        let service = dice.weighted(&weights);
        changes.push(change(&mut dice, service, started, outcome));
    }
    changes.sort_by_key(|change| (change.planned, change.started, change.service));
    changes
}

/// Platforms change most, bronze services least.
fn weight(tier: Tier, customers: &[usize]) -> i64 {
    match (customers.is_empty(), tier) {
        (true, _) => 12,
        (false, Tier::Gold) => 8,
        (false, Tier::Silver) => 4,
        (false, Tier::Bronze) => 2,
    }
}

fn change(dice: &mut Dice, service: usize, planned_start: i64, outcome: Outcome) -> Change {
    let emergency = dice.permille(EMERGENCY_PERMILLE);
    let planned_end = planned_start + dice.between(1, 8) * 30 * MINUTE;
    let planned =
        planned_start - if emergency { dice.between(20 * MINUTE, HOUR) } else { dice.between(2 * DAY, 12 * DAY) };
    let approved = planned + (planned_start - planned) * dice.between(200, 900) / 1_000;
    let started = planned_start + dice.below(4 * MINUTE);
    let length = planned_end - planned_start;
    // A failed change takes longer, because it is undone.
    let finished = match outcome {
        Outcome::Success => started + length * dice.between(300, 950) / 1_000,
        Outcome::Failed => started + length * dice.between(900, 1_600) / 1_000,
    };
    Change { service, planned_start, planned_end, emergency, outcome, planned, approved, started, finished }
}

/// Adds every step that falls into the month to the plan.
pub(super) fn schedule(month: &Month, changes: &[Change], plan: &mut Vec<Planned>) {
    for (number, change) in (0..).zip(changes) {
        let steps = [
            (change.planned, Action::Planned),
            (change.approved, Action::Approved),
            (change.started, Action::Started),
            (change.finished, Action::Finished),
        ];
        for (time, action) in steps {
            if (month.start..month.end).contains(&time) {
                plan.push(Planned { arrival: time + 2, time, body: Body::ChangeStep { change: number, action } });
            }
        }
    }
}
