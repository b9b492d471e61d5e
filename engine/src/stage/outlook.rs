//! What an open window may come to (R29), from what its objective saw in earlier windows.
//!
//! A forecast is a function of the facts and of how far the window is, which is taken in a thousandth of its agreed time:
//! so it is the same whenever it is asked for, and made anew only when something happened or such a step has passed.

use std::collections::BTreeMap;

use plimsoll_schemas::definition::{StatePolicy, WindowKind};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::known::Reading;
use crate::forecast::{Past, Spell, forecast};
use crate::portfolio::ObjectivePlan;
use crate::verdict::{Judged, Measured};
use crate::window::Window;

/// How many earlier windows are remembered: nearly three years of months, a month of days.
const WINDOWS_MAX: usize = 32;

/// In how many steps of agreed time a window passes.
const STEPS: i64 = 1_000;

/// Probabilities are told in hundredths of a percent; more would be false precision.
const PRECISION: f64 = 10_000.0;

/// What is remembered of one objective.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// What was seen in the windows that are over, by their start.
    earlier: BTreeMap<Instant, Past>,
    /// The last forecast.
    last: Option<Said>,
}

/// A forecast and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    basis: Basis,
    spells: Vec<Spell>,
    probability: Share,
    /// After how much agreed time the budget is spent.
    spent_after: Option<Micros>,
}

/// Everything that a forecast depends on besides the earlier windows and the spells of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Basis {
    segment: Window,
    passed: Micros,
    measured: Micros,
    current: Option<Micros>,
    left: Option<Micros>,
    outage_count: i64,
    longest_outage: Micros,
}

/// A forecast as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The probability that the window ends breached.
    pub breach_probability: Share,
    /// When the budget is expected to be spent; `None` when that is not within the window.
    pub exhaustion_at: Option<Instant>,
}

/// A window that is looked at.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Its segment.
    pub segment: Window,
    /// The instant until which it is known.
    pub now: Instant,
    /// What was measured.
    pub measured: &'a Measured,
    /// How it is judged.
    pub judged: &'a Judged,
}

impl Outlook {
    /// Remembers a window that is over, and forecasts one that is not.
    pub fn look(
        &mut self,
        plan: &ObjectivePlan,
        policy: &StatePolicy,
        sight: &Sight<'_>,
        reading: &mut Reading,
    ) -> Option<Told> {
        let past = reading.past(plan, policy);
        if sight.segment.end <= sight.now {
            self.remember(plan.window_kind(), sight.segment.start, past);
            return None;
        }
        let agreed = sight.measured.agreed;
        let basis = Basis {
            segment: sight.segment,
            passed: in_steps(past.agreed, agreed),
            measured: in_steps(past.measured, agreed),
            current: past.current,
            left: sight.judged.budget_left.zip(sight.judged.budget).map(|(left, budget)| in_steps(left, budget)),
            outage_count: sight.measured.outage_count,
            longest_outage: sight.measured.longest_outage,
        };
        if !self.last.as_ref().is_some_and(|last| last.basis == basis && last.spells == past.spells) {
            self.last = self.say(plan, sight.measured, basis, past);
        }
        let said = self.last.as_ref()?;
        let spent_at = said.spent_after.and_then(|after| plan.calendar.due(sight.segment.start, basis.passed + after));
        // Since the last step some time has passed.
        Some(Told { breach_probability: said.probability, exhaustion_at: spent_at.map(|at| at.max(sight.now)) })
    }

    fn say(&self, plan: &ObjectivePlan, measured: &Measured, basis: Basis, past: &Past) -> Option<Said> {
        let earlier = self.earlier.range(..basis.segment.start).rev().map(|(_, past)| past);
        let past = Past { agreed: basis.passed, measured: basis.measured, ..past.clone() };
        let rest = measured.agreed - basis.passed;
        let said = forecast(&plan.objective, measured, basis.left, rest, &past, earlier)?;
        let probability = rounded(said.breach_probability);
        Some(Said { basis, spells: past.spells, probability, spent_after: said.spent_after })
    }

    /// Rolling windows overlap, so each is its own past.
    fn remember(&mut self, kind: WindowKind, start: Instant, past: &Past) {
        if matches!(kind, WindowKind::Rolling { .. }) {
            return;
        }
        if self.earlier.get(&start) == Some(past) {
            return;
        }
        self.earlier.insert(start, past.clone());
        self.last = None;
        if self.earlier.len() > WINDOWS_MAX {
            self.earlier.pop_first();
        }
    }
}

/// Rounded down to a thousandth of a whole.
fn in_steps(time: Micros, whole: Micros) -> Micros {
    let step = (whole.0 / STEPS).max(1);
    Micros(time.0.div_euclid(step) * step)
}

fn rounded(probability: f64) -> Share {
    Share((probability * PRECISION).round() as i64 * (Share::WHOLE / PRECISION as i64))
}
