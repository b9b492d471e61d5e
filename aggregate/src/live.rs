//! The live numbers: the newest result of every objective, what falls due next, and the pipeline's own counts.
//!
//! The worker writes after each epoch, `/metrics` and progress displays read. One lock guards everything: it is held for
//! microseconds a few times a second, and a reader never sees half an epoch.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_engine::lane::{Folded, LaneGroup};
use plimsoll_engine::portfolio::{ObjectiveKey, Portfolio};
use plimsoll_engine::stage::Facts;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::Delivery;
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::AttainmentRow;

use crate::worker::Progress;

/// Of how many running clocks the nearest due instants are shown: more tell an on-call person nothing, and each is a
/// time series.
pub const DUE_SHOWN_MAX: usize = 1_000;

/// See the head of this module.
#[derive(Debug, Default)]
pub struct Live(Mutex<State>);

/// What is behind the lock.
#[derive(Debug, Default)]
pub struct State {
    /// In the order of the portfolio.
    pub objectives: Vec<LiveObjective>,
    places: HashMap<(String, i32, String, String), usize>,
    /// The nearest due instant of each objective that has a running clock: place of the objective, instant.
    pub due: Vec<(usize, Instant)>,
    /// The pipeline's own counts.
    pub pipeline: Pipeline,
}

/// One objective and its newest window.
#[derive(Debug)]
pub struct LiveObjective {
    /// Its labels in the Prometheus text format, escaped, without braces: `agreement="..",objective="..",...`.
    pub labels: String,
    /// Its newest window.
    pub newest: Option<LiveResult>,
}

/// The result of an objective's newest window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveResult {
    /// The start of the window.
    pub window_start: Instant,
    /// The verdict.
    pub verdict: String,
    /// The good share; `None` when nothing was measured.
    pub attainment: Option<Share>,
    /// What is left of the error budget, as a share of it.
    pub budget_left: Option<Share>,
}

/// Counts since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// Accepted events by topic.
    pub events: BTreeMap<String, u64>,
    /// Dead letters by topic and reason.
    pub dead_letters: BTreeMap<(String, &'static str), u64>,
    /// Events seen before under the same source and id.
    pub duplicates: u64,
    /// Records whose offset had been read before.
    pub already_read: u64,
    /// Events from the future.
    pub clamped: u64,
    /// Observations that came too late to be applied to a state.
    pub beyond_history: u64,
    /// Tickets whose service the catalogue does not know (R38).
    pub unassigned: usize,
    /// The watermark; `None` before every partition was heard from.
    pub watermark: Option<Instant>,
    /// Epochs folded, and the time that took.
    pub folded: (u64, Duration),
    /// Epochs committed, and the time that took.
    pub committed: (u64, Duration),
    /// How far the tables are.
    pub progress: Progress,
}

impl Live {
    /// What is known now. A panic elsewhere does not hide it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pipeline's counts now.
    pub fn pipeline(&self) -> Pipeline {
        self.state().pipeline.clone()
    }

    /// How far the tables are.
    pub fn progress(&self) -> Progress {
        self.state().pipeline.progress.clone()
    }

    /// Makes room for the objectives of a portfolio.
    pub fn describe(&self, portfolio: &Portfolio) {
        let mut state = self.state();
        state.objectives.clear();
        state.places.clear();
        for (place, plan) in portfolio.objectives().iter().enumerate() {
            let mut labels = String::new();
            let customer = plan.agreement.customer.as_deref().unwrap_or_default();
            let offering = plan.agreement.offering.as_deref().unwrap_or_default();
            for (name, value) in [
                ("agreement", &*plan.key.agreement),
                ("agreement_type", plan.agreement.agreement_type.as_str()),
                ("customer", customer),
                ("objective", &*plan.key.objective),
                ("offering", offering),
                ("service", &*plan.key.service),
                ("window", plan.objective.window.as_str()),
            ] {
                if !labels.is_empty() {
                    labels.push(',');
                }
                crate::metrics::push_label(&mut labels, name, value);
            }
            state.objectives.push(LiveObjective { labels, newest: None });
            state.places.insert(place_key(&plan.key), place);
        }
    }

    /// Counts a delivery.
    pub fn count(&self, delivery: &Delivery, folded: &Folded) {
        let mut state = self.state();
        let pipeline = &mut state.pipeline;
        let accepted = folded.accepted.as_ref().map_or(delivery.events.num_rows(), Vec::len);
        let topic = &*delivery.partition.topic;
        if delivery.until_offset > delivery.from_offset {
            *pipeline.events.entry(topic.to_owned()).or_default() += accepted as u64;
        }
        for letter in &delivery.dead_letters {
            *pipeline.dead_letters.entry((topic.to_owned(), letter.reason.code())).or_default() += 1;
        }
        pipeline.duplicates += folded.duplicates;
        pipeline.already_read += folded.already_read;
        pipeline.clamped += folded.clamped;
    }

    /// Takes what an epoch found out.
    pub fn update(&self, facts: &Facts, group: &LaneGroup, tick: Instant) {
        let mut state = self.state();
        for row in &facts.attainment {
            state.take(row);
        }
        let mut nearest: BTreeMap<usize, Instant> = BTreeMap::new();
        for (at, key, _) in group.due().take(DUE_SHOWN_MAX) {
            if let Some(&place) = state.places.get(&place_key(key)) {
                nearest.entry(place).and_modify(|known| *known = at.min(*known)).or_insert(at);
            }
        }
        state.due = nearest.into_iter().collect();
        state.pipeline.beyond_history = group.beyond_history();
        state.pipeline.unassigned = group.unassigned();
        let watermark = group.watermarks().watermark();
        state.pipeline.watermark = (watermark.0 != i64::MIN).then_some(watermark.min(tick));
    }

    /// Counts a folded epoch.
    pub fn folded(&self, took: Duration) {
        let folded = &mut self.state().pipeline.folded;
        *folded = (folded.0 + 1, folded.1 + took);
    }

    /// Counts a committed epoch.
    pub fn committed(&self, took: Duration, progress: Progress) {
        let mut state = self.state();
        let committed = &mut state.pipeline.committed;
        *committed = (committed.0 + 1, committed.1 + took);
        state.pipeline.progress = progress;
    }
}

impl State {
    fn take(&mut self, row: &AttainmentRow) {
        let key = (row.agreement.clone(), row.agreement_version, row.service.clone(), row.objective.clone());
        let Some(objective) = self.places.get(&key).and_then(|&place| self.objectives.get_mut(place)) else { return };
        if objective.newest.as_ref().is_some_and(|newest| newest.window_start > row.window_start) {
            return;
        }
        objective.newest = Some(LiveResult {
            window_start: row.window_start,
            verdict: row.verdict.clone(),
            attainment: row.attainment_ratio.map(|decimal| decimal.0),
            budget_left: row.budget_left_ratio.map(|decimal| decimal.0),
        });
    }
}

fn place_key(key: &ObjectiveKey) -> (String, i32, String, String) {
    (key.agreement.to_string(), key.version as i32, key.service.to_string(), key.objective.to_string())
}
