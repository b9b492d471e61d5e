//! Measures: what each indicator measured, a day at a time, for trends that no objective's window answers.
//!
//! A row carries a sign: rows of one day add up, so a correction is one more row. Days are stored sparsely. Of a
//! service's state a day is written when it is over (R22), unless all of its agreed time was good or nothing of it
//! was known; what a late event changes is written as the difference. Counts are written when a step publishes, as
//! what came since the last time; those of latencies whose percentile is wanted bin by bin, so that the histogram of
//! any stretch of days is a sum of rows. What an agreement excludes is not excluded here: other agreements count it,
//! and so does a trend.

use std::collections::BTreeMap;

use plimsoll_schemas::definition::{StatePolicy, WindowKind};
use plimsoll_schemas::table::MeasureRow;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::{Contribution, Facts, Step};
use crate::histogram::Bin;
use crate::portfolio::{IndicatorPlan, ServicePlan};
use crate::state::service::Segment;
use crate::verdict::{Measured, in_a_column, measure_states, stretches};
use crate::window::{Window, window_containing, windows_from};

/// What is remembered of one indicator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorState {
    /// Counts that were not written yet, by the start of the day and the bin of the latency: (good, total), signed.
    pending: BTreeMap<(Instant, Option<Bin>), (i128, i128)>,
    /// The parts of the days that were written, by the start of the day.
    written: BTreeMap<Instant, Parts>,
    /// The first day that is not over; `None` before any day was looked at.
    next_day: Option<Window>,
    /// Days that reach beyond this instant may differ from what was written.
    touched_from: Option<Instant>,
}

/// Time in each state, in the order good, bad, degraded, excluded, unknown.
type Parts = [Micros; 5];

const NOTHING: Parts = [Micros::ZERO; 5];

impl IndicatorState {
    /// Counts something at its instant.
    pub fn count(&mut self, plan: &IndicatorPlan, counted: Contribution) {
        let day = window_containing(WindowKind::Day, plan.time_zone, counted.at).start;
        let pending = self.pending.entry((day, counted.bin)).or_default();
        *pending = (pending.0 + i128::from(counted.good), pending.1 + i128::from(counted.total));
    }

    /// Says that states from this instant on may differ.
    pub fn touch(&mut self, from: Instant) {
        self.touched_from = Some(self.touched_from.map_or(from, |earlier| earlier.min(from)));
    }

    /// Forgets the days that are closed.
    pub fn forget(&mut self, closed_until: Instant) {
        // A day lasts 25 hours at most, and one that is kept too long does no harm.
        self.written = self.written.split_off(&(closed_until - Micros(2 * 24 * Micros::HOUR.0)));
    }

    /// The earliest instant whose states are needed; `None` when no day can be over.
    pub fn next_from(&self, plan: &IndicatorPlan, step: &Step) -> Option<Instant> {
        self.first_day(plan, step).map(|day| day.start)
    }

    /// The first day that may be over and not be written as it is.
    fn first_day(&self, plan: &IndicatorPlan, step: &Step) -> Option<Window> {
        let next = self.next_day.map_or(plan.in_force.start, |day| day.start);
        let from = self.touched_from.map_or(next, |touched| touched.min(next));
        let from = from.max(plan.in_force.start).max(step.closed_until);
        let known = self.next_day.filter(|day| day.contains(from));
        let day = known.unwrap_or_else(|| window_containing(WindowKind::Day, plan.time_zone, from));
        (plan.is_state && day.start < step.watermark && from < plan.in_force.end).then_some(day)
    }

    /// Writes the days that are over and were not written, or differ from what was.
    pub fn write_states(
        &mut self,
        service: &ServicePlan,
        plan: &IndicatorPlan,
        step: &Step,
        grace: Micros,
        states: &[Segment],
        facts: &mut Facts,
    ) {
        let Some(first) = self.first_day(plan, step) else { return };
        self.touched_from = self.touched_from.filter(|touched| *touched >= step.watermark);
        self.next_day.get_or_insert(first);
        for day in windows_from(WindowKind::Day, plan.time_zone, Some(first), step.watermark) {
            let Some(segment) = day.clip(plan.in_force) else { break };
            if day.end + grace > step.watermark {
                break;
            }
            let policy = StatePolicy::default();
            let stretches = stretches(states, &[], &policy, segment, step.watermark);
            let agreed = plan.calendar.elapsed(segment.start, segment.end);
            let found = measure_states(&stretches, &policy, &plan.calendar, agreed);
            let now =
                if found.good == found.passed() || found.unknown == found.passed() { NOTHING } else { parts(&found) };
            let before = self.written.insert(day.start, now).unwrap_or(NOTHING);
            if now == NOTHING && before == NOTHING {
                self.written.remove(&day.start);
            } else if now != before {
                facts.measures.push(row(service, plan, day, difference(&now, &before), (None, (0, 0)), step));
            }
            self.next_day = self.next_day.max(Some(window_containing(WindowKind::Day, plan.time_zone, day.end)));
        }
    }

    /// Writes what was counted since the last time.
    pub fn write_counts(&mut self, service: &ServicePlan, plan: &IndicatorPlan, step: &Step, facts: &mut Facts) {
        for ((day, bin), mut counts) in std::mem::take(&mut self.pending) {
            // What no row can hold is said in several.
            while counts != (0, 0) {
                let (good, total) = (in_a_column(counts.0), in_a_column(counts.1));
                let day = window_containing(WindowKind::Day, plan.time_zone, day);
                facts.measures.push(row(service, plan, day, NOTHING, (bin, (good, total)), step));
                counts = (counts.0 - i128::from(good), counts.1 - i128::from(total));
            }
        }
    }
}

fn parts(found: &Measured) -> Parts {
    [found.good, found.bad, found.degraded, found.excluded, found.unknown]
}

fn difference(now: &Parts, before: &Parts) -> Parts {
    std::array::from_fn(|place| now[place] - before[place])
}

fn row(
    service: &ServicePlan,
    plan: &IndicatorPlan,
    day: Window,
    parts: Parts,
    (bin, counts): (Option<Bin>, (i64, i64)),
    step: &Step,
) -> MeasureRow {
    MeasureRow {
        service: service.id.to_string(),
        indicator: plan.name.clone(),
        calendar: plan.calendar_id.clone(),
        time_zone: plan.time_zone.name().to_owned(),
        customer: plan.customer.as_deref().map(str::to_owned),
        bucket_start: day.start,
        bucket_end: day.end,
        latency_at_most_us: bin.map(|bin| bin.last().0),
        good_us: parts[0].0,
        bad_us: parts[1].0,
        degraded_us: parts[2].0,
        excluded_us: parts[3].0,
        unknown_us: parts[4].0,
        good_count: counts.0,
        total_count: counts.1,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

#[cfg(test)]
mod tests;
