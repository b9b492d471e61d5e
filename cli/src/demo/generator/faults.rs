//! What goes wrong on the way to the broker: records sent twice, records that come late, and records nobody can use.

use super::dice::{Dice, Part};
use super::{Body, DAY, HOUR, MINUTE, Month, Planned};

/// How many of a generator's records are faulty, by kind of fault. No record has two faults, but a late one may be
/// among those sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Records sent a second time, byte for byte.
    pub duplicates: usize,
    /// Records that arrive minutes to days after their time.
    pub late: usize,
    /// Those of the late ones that are days late.
    pub late_by_days: usize,
    /// Records that cannot be used: dead letters to be.
    pub broken: usize,
}

/// One record in so many is sent twice.
const DUPLICATE_ONE_IN: usize = 200;
/// One record in so many is late.
const LATE_ONE_IN: usize = 100;
/// How many of the late records are days late.
const LATE_BY_DAYS: usize = 20;
/// Records of the month's first days that may be days late, so that they arrive within the month.
const LATE_BY_DAYS_BEFORE: i64 = 20 * DAY;
/// How many records are broken: each sort two or three times.
const BROKEN: u8 = 25;
/// The sorts of broken records, in `payload`.
pub(super) const BROKEN_SORTS: u8 = 10;

/// Delays some of the planned records, repeats some, and adds broken ones.
pub(super) fn spoil(seed: u64, month: &Month, plan: &mut Vec<Planned>) -> FaultCounts {
    let mut dice = Dice::new(seed, Part::Faults);
    let mut counts = FaultCounts::default();
    for place in dice.spread(plan.len() / LATE_ONE_IN, plan.len()) {
        let planned = &mut plan[place];
        let by_days = counts.late_by_days < LATE_BY_DAYS && planned.time < month.start + LATE_BY_DAYS_BEFORE;
        // Most of the rest are late by minutes, one in five by hours.
        let delay = if by_days {
            counts.late_by_days += 1;
            dice.between(DAY, 8 * DAY)
        } else if dice.permille(200) {
            dice.between(HOUR, 9 * HOUR)
        } else {
            dice.between(2 * MINUTE, 50 * MINUTE)
        };
        planned.arrival += delay;
        counts.late += 1;
    }
    for place in dice.spread(plan.len() / DUPLICATE_ONE_IN, plan.len()) {
        let mut again = plan[place];
        again.arrival += dice.between(MINUTE, 6 * HOUR);
        plan.push(again);
        counts.duplicates += 1;
    }
    for number in 0..BROKEN {
        let time = month.start + dice.below(month.end - month.start);
        plan.push(Planned { arrival: time, time, body: Body::Broken { sort: number % BROKEN_SORTS, number } });
        counts.broken += 1;
    }
    counts
}
