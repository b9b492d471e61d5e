//! The live numbers: the newest result of every objective, what falls due next, and the pipeline's own counts.
//!
//! The worker writes after each epoch, `/metrics` and progress displays read. One lock guards everything: it is held
//! for microseconds a few times a second, and a reader never sees half an epoch. A scrape holds it while it writes: some
//! twenty milliseconds for a hundred thousand time series.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_engine::budget::{BurnPair, Spending};
use plimsoll_engine::lane::{Folded, LaneGroup};
use plimsoll_engine::past::{Known, TouchesThePast};
use plimsoll_engine::portfolio::ObjectiveKey;
use plimsoll_engine::stage::Facts;
use plimsoll_engine::watermark::BEGINNING;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{AttainmentRow, ClockRow};
use plimsoll_schemas::{Instant, Micros};

use crate::levels::Levels;
use crate::questions::Questions;
use crate::shown::Shown;
use crate::worker::Progress;

/// Of how many clocks that fall due next the instants are shown, and of how many that did so last and have not stopped: more
/// tell an on-call person nothing, and each is a time series. They are counted apart, so that tickets which nobody ever
/// stops hide none that can still be kept.
pub const DUE_SHOWN_MAX: usize = 1_000;

/// See the head of this module.
#[derive(Debug, Default)]
pub struct Live {
    state: Mutex<State>,
    /// What is asked of the worker's state.
    pub questions: Questions,
    /// Which objectives a scrape sees.
    pub shown: Shown,
}

/// Agreement, its version, service and objective, as rows of tables carry them.
type ObjectiveName = (Arc<str>, i32, Arc<str>, Arc<str>);

/// The same of all versions.
type VersionKey = (Arc<str>, Arc<str>, Arc<str>);

/// What is behind the lock.
#[derive(Debug, Default)]
pub struct State {
    /// In the order of the portfolio.
    pub objectives: Vec<LiveObjective>,
    places: HashMap<ObjectiveName, usize>,
    /// The last that was added of each agreement, service and objective, whatever the version.
    versions: HashMap<VersionKey, usize>,
    /// The versions that the worker knew when it was opened.
    known: Known,
    /// The lane group of which the worker knows all that is recorded.
    group: Option<String>,
    /// The first due instant of each objective that has a clock which has not stopped, of its versions together: place,
    /// instant.
    pub due: Vec<(usize, Instant)>,
    /// The same of clocks that are not overdue.
    pub due_next: Vec<(usize, Instant)>,
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
    /// How the budget of that window is being spent, which tables do not tell.
    pub spending: Option<Spending>,
    /// The agreement's version.
    pub version: i32,
    /// The place of the same objective of a version that was added before.
    pub earlier: Option<usize>,
    /// At which levels it warns; `None` where no definitions are at hand.
    pub levels: Option<Levels>,
    /// By which pairs of spans it warns in its newest window.
    pub pairs: Vec<BurnPair>,
}

impl LiveObjective {
    /// An objective of which nothing is known but its labels.
    pub fn new(labels: String) -> LiveObjective {
        LiveObjective {
            labels,
            newest: None,
            spending: None,
            version: 1,
            earlier: None,
            levels: None,
            pairs: Vec::new(),
        }
    }

    /// Takes the result of its newest window.
    pub fn show(&mut self, result: LiveResult) {
        let (start, end) = result.segment;
        if self.newest.as_ref().is_none_or(|newest| newest.segment != result.segment) {
            self.pairs = self.levels.as_ref().map_or_else(Vec::new, |levels| levels.pairs(start, end));
        }
        self.newest = Some(result);
    }
}

/// The result of an objective's newest window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveResult {
    /// The start of the window.
    pub window_start: Instant,
    /// The part of it in which the version is in force: start and end.
    pub segment: (Instant, Instant),
    /// The verdict.
    pub verdict: Arc<str>,
    /// The good share; `None` when nothing was measured.
    pub attainment: Option<Share>,
    /// What is left of the error budget, as a share of it.
    pub budget_left_share: Option<Share>,
    /// What is left of it, negative when it is overspent.
    pub budget_left: Option<Micros>,
    /// How long an outage could last that starts now.
    pub headroom: Option<Micros>,
    /// How likely the window ends breached.
    pub breach_probability: Option<Share>,
    /// When the error budget is expected to be spent.
    pub exhaustion_at: Option<Instant>,
}

impl LiveResult {
    /// A verdict of a window of which nothing was measured.
    pub fn new(window_start: Instant, verdict: Arc<str>) -> LiveResult {
        LiveResult {
            window_start,
            segment: (window_start, window_start),
            verdict,
            attainment: None,
            budget_left_share: None,
            budget_left: None,
            headroom: None,
            breach_probability: None,
            exhaustion_at: None,
        }
    }
}

/// What became of a partition's records since the start of the process. When nothing is on its way, `read` is the sum of all
/// others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Taken by epochs, or sent again.
    pub read: u64,
    /// Stored as events.
    pub accepted: u64,
    /// Seen before under the same source and id.
    pub duplicates: u64,
    /// Events whose offset had been read before.
    pub already_read: u64,
    /// Set aside.
    pub dead_letters: u64,
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
    /// What became of the records of each partition.
    pub accounts: BTreeMap<PartitionId, Account>,
    /// Records that Kafka had deleted before they were read, at most.
    pub lost: BTreeMap<PartitionId, u64>,
    /// Events from the future.
    pub clamped: u64,
    /// Events and counts from before what is remembered.
    pub beyond_history: u64,
    /// Observations that the next start applies.
    pub deferred: u64,
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
    /// What waits for the next epoch: records, and about how many bytes they take.
    pub waiting: (usize, usize),
    /// How many epochs are with the writer.
    pub writing: usize,
    /// Whether they cannot be written at present, and how often that was tried again.
    pub lake: (bool, u64),
}

impl Live {
    /// Knows nothing yet, and will show so much of it.
    pub fn showing(shown: Shown) -> Live {
        Live { shown, ..Live::default() }
    }

    /// What is known now. A panic elsewhere does not hide it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pipeline's counts now.
    pub fn pipeline(&self) -> Pipeline {
        self.state().pipeline.clone()
    }

    /// So many observations wait for stored events to be taken again.
    pub fn defer(&self, count: u64) {
        self.state().pipeline.deferred = count;
    }

    /// How many observations wait for stored events to be taken again.
    pub fn deferred(&self) -> u64 {
        self.state().pipeline.deferred
    }

    /// How far the tables are.
    pub fn progress(&self) -> Progress {
        self.state().pipeline.progress.clone()
    }

    /// What the tables say now, for a process that keeps none of them: the newest result of each objective, and its clocks
    /// that have not stopped.
    pub fn of_tables(newest: &[AttainmentRow], open: &[ClockRow], shown: Shown, now: Instant) -> Live {
        let live = Live::showing(shown);
        let mut state = live.state();
        for row in newest {
            let labels = shown.labels.write([
                &row.agreement,
                &row.agreement_type,
                row.customer.as_deref().unwrap_or_default(),
                &row.objective,
                row.offering.as_deref().unwrap_or_default(),
                &row.service,
                &row.window_kind,
            ]);
            state.add(objective_of(row), labels, None);
            state.take(row);
        }
        let due = open.iter().filter_map(|clock| {
            let of = (
                clock.agreement.as_str().into(),
                clock.agreement_version,
                clock.service.as_str().into(),
                clock.objective.as_str().into(),
            );
            Some((of, clock.due_at?))
        });
        state.fall_due(due, now);
        drop(state);
        live
    }

    /// Counts records that were sent again after they had been read.
    pub fn read_again(&self, partition: &PartitionId, records: u64) {
        if records > 0 {
            let pipeline = &mut self.state().pipeline;
            pipeline.already_read += records;
            let account = pipeline.accounts.entry(partition.clone()).or_default();
            account.read += records;
            account.already_read += records;
        }
    }

    /// Makes room for the objectives of a group that works by these definitions.
    pub fn describe(&self, group: &LaneGroup, definitions: &Definitions) {
        let mut state = self.state();
        state.objectives.clear();
        state.places.clear();
        state.versions.clear();
        state.group = None;
        state.known = Known { agreements: group.known_versions(), ..Known::of(definitions) };
        let watermark = group.watermarks().watermark();
        if watermark > BEGINNING {
            state.pipeline.watermark = Some(watermark);
        }
        for plan in group.portfolio().objectives() {
            let labels = self.shown.labels.write([
                &plan.key.agreement,
                plan.agreement.agreement_type.as_str(),
                plan.agreement.customer.as_deref().unwrap_or_default(),
                &plan.key.objective,
                plan.agreement.offering.as_deref().unwrap_or_default(),
                &plan.key.service,
                plan.objective.window.as_str(),
            ]);
            state.add(objective_named(&plan.key), labels, Some(Levels::of(plan)));
        }
    }

    /// Notes that the worker knows all that is recorded of its lane group.
    pub fn speak_for(&self, group: String) {
        self.state().group = Some(group);
    }

    /// The lane group of which it knows all that is recorded, once it does.
    pub fn spoken_for(&self) -> Option<String> {
        self.state().group.clone()
    }

    /// Tells of a new version in these definitions that touches the past without saying so (R24): a worker could not go on
    /// by them.
    ///
    /// # Errors
    /// The first such version.
    pub fn refuse_the_past(&self, definitions: &Definitions) -> Result<(), TouchesThePast> {
        let (known, watermark) = {
            let state = self.state();
            (state.known.clone(), state.pipeline.watermark)
        };
        match watermark {
            Some(known_until) => known.refuse(definitions, known_until),
            None => Ok(()),
        }
    }

    /// Takes the newest results that the tables hold: a worker that goes on from saved state says again only what
    /// changes.
    pub fn take(&self, newest: &[AttainmentRow]) {
        let mut state = self.state();
        for row in newest {
            state.take(row);
        }
    }

    /// Counts the records of a delivery that an epoch takes.
    pub fn read(&self, delivery: &Delivery) {
        let count = delivery.events.num_rows() + delivery.dead_letters.len();
        if count > 0 {
            self.state().pipeline.accounts.entry(delivery.partition.clone()).or_default().read += count as u64;
        }
    }

    /// Counts a delivery.
    pub fn count(&self, delivery: &Delivery, folded: &Folded) {
        let mut state = self.state();
        let pipeline = &mut state.pipeline;
        let accepted = folded.accepted.as_ref().map_or(delivery.events.num_rows(), Vec::len);
        let topic = &*delivery.retried.as_ref().map_or(&delivery.partition, |retried| &retried.partition).topic;
        if delivery.until_offset > delivery.from_offset {
            *pipeline.events.entry(topic.to_owned()).or_default() += accepted as u64;
        }
        for letter in &delivery.dead_letters {
            *pipeline.dead_letters.entry((topic.to_owned(), letter.reason.code())).or_default() += 1;
        }
        if delivery.until_offset > delivery.from_offset {
            let account = pipeline.accounts.entry(delivery.partition.clone()).or_default();
            account.accepted += accepted as u64;
            account.duplicates += folded.duplicates;
            account.already_read += folded.already_read;
            account.dead_letters += delivery.dead_letters.len() as u64;
        }
        pipeline.duplicates += folded.duplicates;
        pipeline.already_read += folded.already_read;
        pipeline.clamped += folded.clamped;
    }

    /// Counts what an epoch tells to be lost of a partition.
    pub fn lose(&self, partition: &PartitionId, count: i64) {
        *self.state().pipeline.lost.entry(partition.clone()).or_default() += u64::try_from(count).unwrap_or(0);
    }

    /// Takes what an epoch found out.
    pub fn update(&self, facts: &Facts, group: &LaneGroup, tick: Instant) {
        let mut state = self.state();
        for row in &facts.attainment {
            state.take(row);
        }
        for (index, spending) in &facts.spending {
            if let Some(objective) = state.objectives.get_mut(index.0 as usize) {
                objective.spending = *spending;
            }
        }
        let due = group.due_around(tick, DUE_SHOWN_MAX);
        state.fall_due(due.into_iter().map(|(at, key, _)| (objective_named(key), at)), tick);
        (state.pipeline.beyond_history, state.pipeline.deferred) = (group.beyond_history(), group.deferred());
        state.pipeline.unassigned = group.unassigned();
        let watermark = group.watermarks().watermark();
        state.pipeline.watermark = (watermark.0 != i64::MIN).then_some(watermark.min(tick));
    }

    /// Tells whether the tables cannot be written.
    pub fn lake_is_away(&self, is_away: bool) {
        self.state().pipeline.lake.0 = is_away;
    }

    /// Counts an attempt to write to tables that could not be written.
    pub fn lake_is_tried_again(&self) {
        self.state().pipeline.lake.1 += 1;
    }

    /// What waits for the next epoch, and how many are with the writer.
    pub fn wait_for_epochs(&self, rows: usize, bytes: usize, writing: usize) {
        let pipeline = &mut self.state().pipeline;
        (pipeline.waiting, pipeline.writing) = ((rows, bytes), writing);
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
    fn add(&mut self, objective: ObjectiveName, labels: String, levels: Option<Levels>) {
        let (place, version) = (self.objectives.len(), objective.1);
        let whatever_version = (objective.0.clone(), objective.2.clone(), objective.3.clone());
        let earlier = self.versions.insert(whatever_version, place);
        self.places.insert(objective, place);
        self.objectives.push(LiveObjective { version, earlier, levels, ..LiveObjective::new(labels) });
    }

    /// The last version of an objective that was added: clocks of two versions are one time series.
    fn last_version(&self, (agreement, _, service, objective): &ObjectiveName) -> Option<usize> {
        self.versions.get(&(agreement.clone(), service.clone(), objective.clone())).copied()
    }

    /// Keeps the first due instant of each objective, and the first that lies ahead.
    fn fall_due(&mut self, due: impl Iterator<Item = (ObjectiveName, Instant)>, now: Instant) {
        // By the last version, the version whose clock is due first, and when.
        let (mut first, mut next) = (BTreeMap::new(), BTreeMap::new());
        let keep = |nearest: &mut BTreeMap<usize, (Instant, usize)>, last: usize, found: (Instant, usize)| {
            nearest.entry(last).and_modify(|known| *known = found.min(*known)).or_insert(found);
        };
        for (objective, at) in due {
            if let Some((&place, last)) = self.places.get(&objective).zip(self.last_version(&objective)) {
                keep(&mut first, last, (at, place));
                if at > now {
                    keep(&mut next, last, (at, place));
                }
            }
        }
        let placed = |nearest: BTreeMap<usize, (Instant, usize)>| -> Vec<(usize, Instant)> {
            nearest.into_values().map(|(at, place)| (place, at)).collect()
        };
        (self.due, self.due_next) = (placed(first), placed(next));
    }

    fn take(&mut self, row: &AttainmentRow) {
        let Some(objective) = self.places.get(&objective_of(row)).and_then(|&place| self.objectives.get_mut(place))
        else {
            return;
        };
        if objective.newest.as_ref().is_some_and(|newest| newest.window_start > row.window_start) {
            return;
        }
        // The window before it may stand, but of an earlier version; that one has results of its own.
        if row.retracted {
            objective.newest = None;
            objective.pairs.clear();
            return;
        }
        objective.show(LiveResult {
            window_start: row.window_start,
            segment: (row.segment_start, row.segment_end),
            verdict: row.verdict.clone(),
            attainment: row.attainment_ratio.map(|decimal| decimal.0),
            budget_left_share: row.budget_left_ratio.map(|decimal| decimal.0),
            budget_left: row.budget_left_us.map(Micros),
            headroom: row.headroom_us.map(Micros),
            breach_probability: row.breach_probability_ratio.map(|decimal| decimal.0),
            exhaustion_at: row.exhaustion_at,
        });
    }
}

fn objective_named(key: &ObjectiveKey) -> ObjectiveName {
    (key.agreement.clone(), key.version as i32, key.service.clone(), key.objective.clone())
}

fn objective_of(row: &AttainmentRow) -> ObjectiveName {
    (row.agreement.clone(), row.agreement_version, row.service.clone(), row.objective.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::objectives;
    use plimsoll_engine::portfolio::{ObjectiveIndex, Portfolio};
    use plimsoll_schemas::definition::{File, load};

    #[test]
    fn r20_records_that_are_sent_again_are_read_and_known() {
        let (live, id) = (Live::default(), PartitionId { topic: "t".into(), partition: 0 });
        live.read_again(&id, 3);
        live.read_again(&id, 0);
        let pipeline = live.pipeline();
        let account = Account { read: 3, already_read: 3, ..Account::default() };
        assert_eq!((pipeline.already_read, &pipeline.accounts[&id]), (3, &account));
    }

    #[test]
    fn r28_a_ticket_is_shown_as_overdue_until_its_clock_stops() {
        let text = "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: web}\n---\napiVersion: plimsoll/v1\n\
                    kind: Agreement\nmetadata: {id: ola}\nspec:\n  type: ola\n  services: [web]\n  \
                    effective: {from: 2026-01-01}\n  objectives:\n  \
                    - {id: fix, indicator: {signal: resolution_time, within: 10m}, target: {at_least: 90 %}, \
                    window: {calendar: day}, warn_at: [75 %, 90 %]}\n";
        let definitions = load(&[File { name: "test.yaml", text }]).expect("sound definitions");
        let group = LaneGroup::new(Arc::new(Portfolio::new(&definitions)), 1);
        let live = Live::default();
        live.describe(&group, &definitions);
        let key = group.portfolio().objectives()[0].key.clone();
        let noon = Instant::parse("2026-03-02T12:00:00Z").expect("an instant");
        let second = |count: i64| noon + Micros(count * 1_000_000);
        // What is shown at this second of clocks that are due at those.
        let shown = |now: i64, due: &[i64]| {
            let due = due.iter().map(|&at| (objective_named(&key), second(at)));
            live.state().fall_due(due, second(now));
            let text = objectives(&live, second(now));
            let lines = text.lines().filter(|line| line.starts_with("plimsoll_ticket_"));
            lines.map(|line| line.rsplit_once("} ").expect("labels").1.to_owned()).collect::<Vec<_>>()
        };
        // Of the ten minutes of the one nine are used at 0; of those of the other seven and a half at 120.
        assert_eq!(shown(0, &[270, 60]), ["60.000000", "0.900000000"]);
        assert_eq!(shown(60, &[270, 60]), ["0.000000"]);
        assert_eq!(shown(120, &[270, 60]), ["-60.000000", "0.750000000"]);
        // It stops: the other is the first.
        assert_eq!(shown(150, &[270]), ["120.000000", "0.750000000"]);
        // The other falls due before the worker looks again.
        live.state().fall_due([(objective_named(&key), second(270))].into_iter(), second(240));
        let text = objectives(&live, second(300));
        assert!(text.contains("} -30.000000\n") && !text.contains("plimsoll_ticket_warned_ratio{"), "{text}");
    }

    #[test]
    fn r27_spending_goes_to_its_objective_and_ends_with_its_window() {
        let text = "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: web}\n---\napiVersion: plimsoll/v1\n\
                    kind: Agreement\nmetadata: {id: ola}\nspec:\n  type: ola\n  services: [web]\n  \
                    effective: {from: 2026-01-01}\n  objectives:\n  \
                    - {id: one, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: day}}\n  \
                    - {id: two, indicator: {signal: downtime}, target: {at_most: 1h}, window: {calendar: day}}\n";
        let definitions = load(&[File { name: "test.yaml", text }]).expect("sound definitions");
        let group = LaneGroup::new(Arc::new(Portfolio::new(&definitions)), 1);
        let live = Live::default();
        live.describe(&group, &definitions);
        let burning = |spending| {
            let facts = Facts { spending: vec![(ObjectiveIndex(1), spending)], ..Facts::default() };
            live.update(&facts, &group, Instant(0));
            let text = objectives(&live, Instant(0));
            let rates = text.lines().filter(|line| line.contains("burn_rate{"));
            rates.map(|line| line.contains("objective=\"two\"")).collect::<Vec<_>>()
        };
        assert_eq!(burning(Some(Spending::NONE)), [true; 7]);
        assert_eq!(burning(None), [false; 0]);
    }
}
