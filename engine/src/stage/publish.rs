//! Results: one objective judged in each of its windows, said once, and said again when it changes (R13, R22).
//!
//! A window's result is provisional until the watermark passes its end plus the grace; then it is final. A provisional
//! result is written when the step publishes, its verdict changed, or there is news to warn of. A final result is written
//! once, and once more for each later change, as revision n+1 beside a correction row that says what it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use plimsoll_schemas::definition::{Target, WindowKind};
use plimsoll_schemas::table::{AttainmentRow, Decimal};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::attribution::Attributions;
use super::breach::{Breach, Subject, Warning, breach_row};
use super::known::Known;
use super::outlook::{Outlook, Sight, Told};
use super::tally::Tally;
use super::{Contribution, Facts, Step};
use crate::Name;
use crate::attribution::{Evidence, Spent, attribute, attribute_counts};
use crate::budget::{Allowed, CountedCourse, Course, Recent, Spending, headroom};
use crate::ledger::Ledger;
use crate::portfolio::{Feed, ObjectivePlan};
use crate::timeline::Timeline;
use crate::verdict::{Judged, Level, Levels, Measured, Value, Verdict, in_a_column, judge, undecided_outage};
use crate::window::{Window, uncut_stretch, window_containing, windows_from};

mod ahead;
mod correction;
mod warnings;

use ahead::{look_at, look_at_counts};
use warnings::{in_time_of, of_window, used, warnings};

/// What is remembered of one objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectiveState {
    /// What was counted.
    tally: Tally,
    /// What was counted lately, where some of it may be bad (R27).
    recent: Option<Box<Recent>>,
    /// How often the versions before this one had counted when warnings were last looked at; `None` when that is not known.
    #[serde(skip)]
    edition_before: Option<u64>,
    /// How many things were bad at each instant, where that is split among those that brought it about (R33), and where one
    /// too many is a breach.
    bad: BTreeMap<Instant, i64>,
    /// What was last written, by the start of the window.
    written: Timeline<Written>,
    /// What was last said of breaches, by the start of the window.
    breaches: Ledger<Instant, Breach>,
    /// What was last said of warnings, by the start of the window.
    warnings: Ledger<(Instant, Warning), Breach>,
    /// Whether warnings were looked at since results were last published.
    warned_since: bool,
    /// What was last said of who spent the budget, by the start of the window (R33).
    attributions: Attributions,
    /// Results of windows that reach beyond this instant may differ from what was written.
    touched_from: Option<Instant>,
    /// When it is to be looked at though nothing arrives.
    look_at: Option<Instant>,
    /// The end of the earliest segment that is not final.
    next_end: Instant,
    /// The instant from which `newest` is the newest of its windows.
    next_start: Instant,
    /// The window that was the newest when results were last stated.
    newest: Window,
    /// The stretch into which something was last counted; most counting happens in order.
    last_stretch: Window,
    /// The digest of the definition by which results were last stated; `None` when it was left out of the definitions since.
    stated_by: Option<u64>,
    /// What rows told of that definition, as a digest, and the target among it.
    shown: (u64, Name),
    /// What its open window may come to.
    outlook: Outlook,
    /// No window that is the newest before this is stated: it is not all remembered.
    stated_from: Instant,
    /// What was last written of that, with the start of the window.
    told: (Instant, Option<Told>),
}

/// A result as it was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    window: Window,
    segment: Window,
    judged: Judged,
    measured: Measured,
    breached_at: Option<Instant>,
    revision: i32,
    /// Whether the segment had passed.
    over: bool,
    last: bool,
    /// True when it was taken back: by the definition that holds now, the window is none of this version's.
    retracted: bool,
}

/// A window that is to be judged, the segment of it in which the version is in force, and whether the result is final.
#[derive(Clone, Copy)]
struct Judging {
    window: Window,
    segment: Window,
    last: bool,
    /// From when on something may differ from what was found before; `None` when nothing does.
    touched: Option<Instant>,
    /// The instant until which everything is known.
    now: Instant,
    /// Whether the step publishes.
    publish: bool,
}

/// A result as it stands now.
struct Found {
    now: Written,
    /// What there is to warn of; `None` when that cannot differ from what was said.
    warnings: Option<Vec<(Warning, Breach)>>,
    /// Whether it is written though its verdict is the same: the step publishes, or who is warned will look at it.
    publish: bool,
    /// How its budget is being spent; `None` when it is over, and when there is none.
    spending: Option<Spending>,
    /// What it may come to; `None` when it is over, when that is not forecast, and when the result is not written.
    told: Option<Told>,
    /// When there may be something to be said of it next, though nothing arrives.
    look_at: Option<Instant>,
    /// Who spent how much of the budget of a breach, where the agreement rests on others.
    spent: Vec<Spent>,
}

impl ObjectiveState {
    /// Nothing was measured yet.
    pub fn new(plan: &ObjectivePlan) -> ObjectiveState {
        let (start, first, end) = beginning(plan);
        ObjectiveState {
            tally: Tally::default(),
            recent: None,
            edition_before: None,
            bad: BTreeMap::new(),
            written: Timeline::default(),
            breaches: Ledger::default(),
            warnings: Ledger::default(),
            warned_since: false,
            attributions: Attributions::default(),
            touched_from: None,
            look_at: None,
            next_end: end,
            next_start: start,
            newest: first,
            last_stretch: uncut_stretch(plan.window_kind(), plan.agreement.time_zone, start),
            stated_by: Some(plan.digest),
            shown: (plan.shown, plan.labels.target.clone()),
            outlook: Outlook::default(),
            stated_from: Instant(i64::MIN),
            told: (start, None),
        }
    }

    /// Counts something into the windows of its instant, or takes it back, when this version may no longer be the one
    /// that is in force then.
    pub fn contribute(&mut self, plan: &ObjectivePlan, contribution: Contribution) {
        if plan.counts_levels() {
            // Also what was before this version: a ticket that was opened then may be open still.
            self.tally.step(contribution.at, contribution.good.into(), contribution.total.into());
            self.touch(contribution.at);
            return;
        }
        if !self.last_stretch.contains(contribution.at) {
            self.last_stretch = uncut_stretch(plan.window_kind(), plan.agreement.time_zone, contribution.at);
        }
        let Contribution { bin, good, total, .. } = contribution;
        self.tally.count(self.last_stretch.start, bin, good.into(), total.into());
        let bad = total.saturating_sub(good);
        if Allowed::of(&plan.objective).is_some() {
            self.recent.get_or_insert_default().count(&plan.calendar, contribution.at, bad, total);
        }
        if (plan.splits_counts() || plan.counts_errors()) && bad != 0 {
            let sum = self.bad.entry(contribution.at).or_default();
            *sum = sum.saturating_add(bad);
        }
        self.touch(contribution.at);
    }

    /// Takes up a remembered state under a definition that may have changed since (R24): then every result is stated
    /// anew that stands on nothing that was forgotten. Returns whether it has changed.
    pub fn resume(&mut self, plan: &ObjectivePlan, closed_until: Instant) -> bool {
        if self.is_shown_so(plan) {
            // One text for all that have the same.
            self.shown.1 = plan.labels.target.clone();
        }
        let is_changed = !self.is_stated_by(plan);
        if is_changed {
            // What was final may be open by now, so all is gone through again.
            (self.next_start, self.newest, self.next_end) = beginning(plan);
            self.begin_whole(plan, closed_until);
            self.touch(plan.agreement.in_force.start);
            self.outlook.forget();
            self.recent.as_deref_mut().into_iter().for_each(Recent::look_anew);
        }
        is_changed
    }

    /// Whether results were last stated by this very definition.
    fn is_stated_by(&self, plan: &ObjectivePlan) -> bool {
        self.stated_by == Some(plan.digest)
    }

    /// Says that the definitions lack it: should it return, events have passed it by.
    pub fn leave(&mut self) {
        self.stated_by = None;
    }

    /// Leaves out the windows that begin in time that is closed: not all that they stand on is remembered.
    pub fn begin_whole(&mut self, plan: &ObjectivePlan, closed_until: Instant) {
        if closed_until == Instant(i64::MIN) {
            return;
        }
        let newest = window_containing(plan.window_kind(), plan.agreement.time_zone, closed_until);
        self.stated_from = match plan.window_kind() {
            _ if newest.start >= closed_until => closed_until,
            WindowKind::Rolling { length, .. } => closed_until + length,
            _ => newest.end,
        };
        if plan.agreement.in_force.end <= self.stated_from {
            self.next_end = Instant(i64::MAX);
        }
    }

    /// Forgets the windows that are closed, and what only they stood on. The plan is missing where the definitions lack
    /// the objective.
    pub fn forget(&mut self, plan: Option<&ObjectivePlan>, closed_until: Instant) {
        self.written.retain(|written| written.window.end > closed_until);
        let first_written = self.written.iter().next().map_or(closed_until, |(start, _)| start.min(closed_until));
        let first = plan.map_or(first_written, |plan| self.window_at(plan, closed_until).start.min(first_written));
        match plan {
            Some(plan) if plan.counts_levels() => self.tally.merge_before(first),
            Some(_) => self.tally.forget_before(first),
            // Whether it counts levels cannot be known.
            None => {}
        }
        self.bad = self.bad.split_off(&first);
        if let (Some(plan), Some(recent)) = (plan, &mut self.recent) {
            recent.forget_before(&plan.calendar, first);
        }
        self.breaches.forget_before(&first);
        self.warnings.forget_before(&of_window(first).start);
        self.attributions.forget_before(first);
    }

    /// Whether all that was said of it lies in windows that are closed.
    pub fn is_closed(&self) -> bool {
        self.written.iter().next().is_none()
    }

    /// Forgets what was counted; it is counted anew.
    pub fn forget_counts(&mut self, plan: &ObjectivePlan) {
        self.tally = Tally::default();
        self.recent = None;
        self.bad.clear();
        self.last_stretch = uncut_stretch(plan.window_kind(), plan.agreement.time_zone, plan.agreement.in_force.start);
        self.touch(plan.agreement.in_force.start);
    }

    /// Says that results of windows that reach beyond `from` may differ.
    pub fn touch(&mut self, from: Instant) {
        self.touched_from = Some(self.touched_from.map_or(from, |earlier| earlier.min(from)));
    }

    /// True when something has to be looked at even though the step does not publish.
    pub fn is_due(&self, step: &Step, grace: Micros) -> bool {
        self.touched_from.is_some_and(|from| from < step.watermark)
            || self.look_at.is_some_and(|at| at <= step.watermark)
            || (self.next_end.0 != i64::MAX && self.next_end + grace <= step.watermark)
    }

    /// The earliest instant whose states are needed to state the results anew; `None` when none can differ.
    pub fn next_from(&self, plan: &ObjectivePlan, step: &Step) -> Option<Instant> {
        let window = self.window_at(plan, self.stated_until(plan.agreement.in_force, step));
        let segment = window.clip(plan.agreement.in_force)?;
        (segment.start < step.watermark).then_some(segment.start)
    }

    /// The window that is the newest at an instant: mostly the one that was the newest before.
    fn window_at(&self, plan: &ObjectivePlan, at: Instant) -> Window {
        if self.next_start <= at && at < self.newest.end {
            return self.newest;
        }
        window_containing(plan.window_kind(), plan.agreement.time_zone, at)
    }

    /// Results of windows that are the newest before this instant stand.
    fn stated_until(&self, in_force: Window, step: &Step) -> Instant {
        let changed = self.touched_from.map_or(self.next_start, |touched| touched.min(self.next_start));
        changed.max(in_force.start).max(self.stated_from).max(step.closed_until)
    }

    /// Writes the results that changed. `known` covers the service from `next_from` to the watermark where the
    /// objective is fed by state, and is not read where it is fed by counts. `before` are the versions of the agreement
    /// before this one that looked at the same indicator, the newest first. Returns how the budget of the newest window is
    /// being spent.
    pub fn publish(
        &mut self,
        plan: &ObjectivePlan,
        grace: Micros,
        step: &Step,
        known: &mut Known<'_>,
        before: &[&ObjectiveState],
        facts: &mut Facts,
    ) -> Option<Spending> {
        let mut spending = None;
        // Which windows are stated matters where others are to be taken back.
        let (is_restated, mut stated) = (!self.is_stated_by(plan), BTreeSet::new());
        let from = self.stated_until(plan.agreement.in_force, step);
        let (touched, look_at) = (self.touched_from, self.look_at.take());
        self.touched_from = self.touched_from.filter(|touched| *touched >= step.watermark);
        let first = (from < step.watermark).then(|| self.window_at(plan, from));
        for window in windows_from(plan.window_kind(), plan.agreement.time_zone, first, step.watermark) {
            let Some(segment) = window.clip(plan.agreement.in_force) else { break };
            if segment.start >= step.watermark {
                break;
            }
            let last = segment.end.0.saturating_add(grace.0) <= step.watermark.0;
            let judging = Judging { window, segment, last, touched, now: step.watermark, publish: step.publish };
            let found = self.find(plan, judging, known, before);
            self.warn(plan, &found, step, facts);
            self.warned_since |= found.warnings.is_some();
            let (before, judged) = (self.written.get(window.start), &found.now.judged);
            if found.publish || last || before.map(|written| written.judged.verdict) != Some(judged.verdict) {
                self.attributions.restate(plan, window.start, judged.budget, &found.spent, step, facts);
            }
            self.write(plan, &found, step, facts);
            spending = found.spending;
            self.look_at = found.look_at.into_iter().chain(self.look_at).min();
            if is_restated {
                stated.insert(window.start);
            }
            if last && window.end > self.next_start {
                let next = window_containing(plan.window_kind(), plan.agreement.time_zone, window.end);
                (self.next_start, self.newest) = (window.end, next);
                // A version that ended has no further segment, or one that ended before its rolling window is the
                // newest.
                let segment = next.clip(plan.agreement.in_force);
                self.next_end = segment.map_or(Instant(i64::MAX), |segment| segment.end.max(window.end + Micros(1)));
            }
        }
        self.recent.as_deref_mut().into_iter().for_each(|recent| recent.looked(step.watermark));
        self.warned_since &= !step.publish;
        facts.rescheduled |= self.look_at != look_at;
        if let Feed::State(policy) = plan.feed() {
            // Whether it counts decides itself after windows that may be final by then.
            undecided_outage(known.states, &policy).into_iter().for_each(|from| self.touch(from));
        }
        if is_restated {
            self.retract_all_but(&stated, plan, step, facts);
            self.stated_by = Some(plan.digest);
            self.shown = (plan.shown, plan.labels.target.clone());
        }
        spending
    }

    /// Takes back the results of windows that are none of this version's by the definition that holds now: those after
    /// the start of a retroactive version that ends it, or all when it is judged over windows of another kind (R24).
    /// What is closed stands.
    fn retract_all_but(&mut self, stated: &BTreeSet<Instant>, plan: &ObjectivePlan, step: &Step, facts: &mut Facts) {
        let from = self.stated_from.max(step.closed_until);
        let may_be_stated = |written: &Written| !written.retracted && written.window.end > from;
        let wrong = |(start, written): &(Instant, &Written)| may_be_stated(written) && !stated.contains(start);
        let wrong: Vec<(Instant, Written)> =
            self.written.iter().filter(wrong).map(|(start, written)| (start, *written)).collect();
        for (start, before) in wrong {
            let now = Written { revision: before.revision + i32::from(before.last), retracted: true, ..before };
            for writing in self.warnings.restate_within(of_window(start), Vec::new()) {
                let (_, warning) = writing.key;
                facts.breaches.push(breach_row(plan, Subject::Window(now.window), Some(warning), writing.entry, step));
            }
            if let Some(entry) = self.breaches.put(start, None) {
                facts.breaches.push(breach_row(plan, Subject::Window(now.window), None, entry, step));
            }
            self.attributions.restate(plan, start, None, &[], step, facts);
            if before.last {
                facts.corrections.push(self.correction(plan, &before, &now, step));
            }
            facts.attainment.push(row(plan, &now, Some(&before), None, step));
            self.written.insert(start, now);
        }
    }

    fn find(
        &mut self,
        plan: &ObjectivePlan,
        judging: Judging,
        known: &mut Known<'_>,
        before: &[&ObjectiveState],
    ) -> Found {
        let Feed::State(policy) = plan.feed() else { return self.find_counted(plan, judging, known, before) };
        let Judging { window, segment, touched, now, .. } = judging;
        let over = segment.end <= now;
        let (states, below) = (known.states, known.below);
        let (reading, forecasts) = known.reading(plan, &policy, segment, now);
        let measured = reading.measured;
        let judged = reading.judged(plan, over);
        let breached_at = match judged.verdict {
            Verdict::Breached => reading.breached_at(plan, &policy),
            _ => None,
        };
        let has_budget = judged.budget.is_some() && judged.budget_left_share.is_some();
        let spending = match (has_budget && !over, measured.is_all_good(&policy)) {
            (true, true) => Some(Spending::NONE),
            (true, false) => reading.spending(plan, &policy, segment),
            (false, _) => None,
        };
        let warnings = self.may_warn_anew(plan, window, (&measured, &judged), touched).then(|| {
            let course = Course::new(&plan.objective, &policy, reading.stretches(), &plan.calendar, segment);
            warnings(plan, &course, window, (measured.agreed, over.then_some(segment.end)))
        });
        let look_at =
            if over { None } else { look_at(plan, &policy, reading, (&judging, judged.verdict), warnings.as_deref()) };
        let found = judging.written(measured, judged, breached_at, over);
        let publish = judging.publish || self.warns_anew(window, warnings.as_deref());
        let mut told = None;
        if over {
            self.outlook.remember(plan.window_kind(), segment.start, reading.seen(plan, &policy));
        } else if self.may_be_written(plan, &found, publish) {
            let sight = Sight { segment, now, measured: &measured, judged: &judged };
            let before = before.iter().map(|version| &version.outlook);
            told = reading.told(plan, &policy, &sight, &self.outlook.and(before), forecasts);
        }
        let spent = match below.filter(|_| judged.verdict == Verdict::Breached && !plan.supports.is_empty()) {
            Some((family, followed)) => {
                let evidence = Evidence { family, supports: &plan.supports, states, followed };
                attribute(&evidence, reading.stretches(), &policy, &plan.calendar)
            }
            None => Vec::new(),
        };
        Found { now: found, warnings, publish, spending, told, look_at, spent }
    }

    fn find_counted(
        &mut self,
        plan: &ObjectivePlan,
        judging: Judging,
        known: &Known<'_>,
        before: &[&ObjectiveState],
    ) -> Found {
        let Judging { window, segment, touched, now, .. } = judging;
        let levels = self.levels(plan, segment, now);
        let (good_count, total_count) = match levels.as_ref().filter(|_| plan.counts_levels()).map(Levels::worst) {
            Some(worst) => (worst.in_time, worst.open),
            None => self.tally.sums(window),
        };
        let percentile = plan.percentile().and_then(|share| self.tally.latencies(window).percentile(share));
        let measured = Measured {
            good_count,
            total_count,
            percentile: percentile.unwrap_or_default(),
            is_counted: self.tally.is_counted(window),
            agreed: plan.calendar.elapsed(segment.start, segment.end),
            elapsed: plan.calendar.elapsed(segment.start, segment.end.min(now)),
            ..Measured::default()
        };
        let over = segment.end <= now;
        let judged = judge(&plan.objective, &measured, over);
        let mut breached_at = (judged.verdict == Verdict::Breached).then_some(segment.end);
        let (mut warnings, mut spending, mut told, mut look_at) = (None, None, None, None);
        if let Some(allowed) = Allowed::of(&plan.objective) {
            let earlier = before.iter().filter_map(|version| version.recent.as_deref());
            let versions = self.recent.as_deref().into_iter().chain(earlier.clone());
            let course = CountedCourse::new(&plan.objective, allowed, versions, &plan.calendar, segment);
            let edition = earlier.fold(0, |sum: u64, recent| sum.wrapping_add(recent.edition()));
            let is_as_looked_at = before.is_empty() || self.edition_before == Some(edition);
            self.edition_before = Some(edition);
            let nothing = Recent::default();
            let unsure_from = match is_as_looked_at {
                true => self.recent.as_deref().unwrap_or(&nothing).unsure_from(&plan.calendar, touched),
                false => segment.start,
            };
            warnings = self.burning(plan, &course, window, unsure_from, now);
            let is_spent = !over && self.recent.is_some();
            let (bad, total) = (in_a_column(total_count - good_count), in_a_column(total_count));
            spending = is_spent.then(|| course.spending(now, bad, total));
            if !over {
                look_at = look_at_counts(plan, &course, warnings.as_deref(), now);
                let versions = self.recent.as_deref().into_iter();
                let versions = versions.chain(before.iter().filter_map(|version| version.recent.as_deref()));
                let sight = Sight { segment, now, measured: &measured, judged: &judged };
                told = self.outlook.look_at_counts(plan, allowed, &sight, versions);
            }
        }
        if let (Some(levels), Target::AtMostCount(limit)) = (levels, plan.objective.target) {
            let exceeded_at = levels.exceeds(limit);
            breached_at = breached_at.and(exceeded_at);
            self.forget_errors(plan, window, exceeded_at);
            if warnings.is_some() || self.may_warn_anew(plan, window, (&measured, &judged), touched) {
                let used = used(plan, |share| levels.used_up(share, limit)).filter(in_time_of(plan, window));
                warnings = Some(used.chain(warnings.into_iter().flatten()).collect());
            }
        }
        let spent = match known.below.filter(|_| judged.verdict == Verdict::Breached && plan.splits_counts()) {
            Some((family, followed)) => {
                let evidence = Evidence { family, supports: &plan.supports, states: known.states, followed };
                attribute_counts(&evidence, self.bad.range(segment.start..segment.end))
            }
            None => Vec::new(),
        };
        let now = judging.written(measured, judged, breached_at, over);
        let publish = judging.publish || self.warns_anew(window, warnings.as_deref());
        Found { now, warnings, publish, spending, told, look_at, spent }
    }

    /// How what must not exceed a number stood in a segment, as far as is known; `None` where none is promised.
    fn levels(&self, plan: &ObjectivePlan, segment: Window, now: Instant) -> Option<Levels> {
        if plan.counts_levels() {
            return Some(self.tally.levels(Window { end: segment.end.min(now), ..segment }));
        }
        let bad = self.bad.range(segment.start..segment.end).map(|(at, bad)| (*at, (0, i128::from(*bad))));
        plan.counts_errors().then(|| Levels::new(segment.start, Level::default(), bad))
    }

    /// Forgets the errors of a window after the one that was too many, where no other window and nobody else looks at them.
    fn forget_errors(&mut self, plan: &ObjectivePlan, window: Window, exceeded_at: Option<Instant>) {
        let is_rolling = matches!(plan.window_kind(), WindowKind::Rolling { .. });
        let Some(at) = exceeded_at.filter(|_| plan.counts_errors() && !plan.splits_counts() && !is_rolling) else {
            return;
        };
        let after: Vec<Instant> = self.bad.range(at + Micros(1)..window.end).map(|(at, _)| *at).collect();
        for at in after {
            self.bad.remove(&at);
        }
    }

    /// Whether rows told the same of the definition. One that tells of another promise, or of another kind of window, is
    /// another result whatever its numbers are.
    fn is_shown_so(&self, plan: &ObjectivePlan) -> bool {
        self.shown.0 == plan.shown
    }

    /// Whether a result may be news, as far as that can be told without a forecast.
    fn may_be_written(&self, plan: &ObjectivePlan, now: &Written, publish: bool) -> bool {
        if !self.is_shown_so(plan) {
            return true;
        }
        match self.written.get(now.window.start) {
            Some(before) if before.last => Written { revision: before.revision, ..*now } != *before,
            Some(before) if !now.last && !before.retracted => publish || now.judged.verdict != before.judged.verdict,
            _ => true,
        }
    }

    /// Writes a result that is news: final or different from a final one; otherwise different where it is to be published,
    /// or of another verdict.
    fn write(&mut self, plan: &ObjectivePlan, found: &Found, step: &Step, facts: &mut Facts) {
        let mut now = found.now;
        if !self.may_be_written(plan, &now, found.publish) {
            return;
        }
        let before = self.written.get(now.window.start);
        // A window that was final and is open again goes on under the revision that said so.
        now.revision = before.filter(|before| !before.last).map_or(0, |before| before.revision);
        if self.is_shown_so(plan) && !now.last && before == Some(&now) && !self.is_told_anew(found) {
            return;
        }
        match before.filter(|before| before.last) {
            Some(before) => {
                now.revision = before.revision + 1;
                facts.corrections.push(self.correction(plan, before, &now, step));
            }
            None => now.revision = now.revision.max(i32::from(now.last)),
        }
        // While a window is open, what is said of its breach depends on the target and on this alone.
        let of_breach =
            |written: &Written| (written.over, written.retracted, written.judged.verdict, written.breached_at);
        let is_said = !now.over && self.is_stated_by(plan) && before.map(of_breach) == Some(of_breach(&now));
        let breach = if is_said { None } else { self.breaches.put(now.window.start, now.breach(plan)) };
        if let Some(entry) = breach {
            facts.breaches.push(breach_row(plan, Subject::Window(now.window), None, entry, step));
        }
        facts.attainment.push(row(plan, &now, before, found.told, step));
        self.written.insert(now.window.start, now);
        self.told = (now.window.start, found.told);
    }

    /// Whether what the newest window may come to is not what was written of it.
    fn is_told_anew(&self, found: &Found) -> bool {
        self.told.0 == found.now.window.start && self.told.1 != found.told
    }
}

/// Where the first segment starts, its window, and where it ends.
fn beginning(plan: &ObjectivePlan) -> (Instant, Window, Instant) {
    let in_force = plan.agreement.in_force;
    let first = window_containing(plan.window_kind(), plan.agreement.time_zone, in_force.start);
    // A version that a retroactive one replaces whole is never in force.
    let end = first.clip(in_force).map_or(Instant(i64::MAX), |segment| segment.end);
    (in_force.start, first, end)
}

impl Judging {
    /// The result as it is to be written. That time passes is no change, nor is that something was counted at all; where the
    /// result depends on it, the result changes.
    fn written(self, measured: Measured, judged: Judged, breached_at: Option<Instant>, over: bool) -> Written {
        let Judging { window, segment, last, .. } = self;
        let measured = Measured { elapsed: Micros::ZERO, is_counted: false, ..measured };
        Written { window, segment, judged, measured, breached_at, revision: 0, over, last, retracted: false }
    }
}

impl Written {
    /// The breach that this result is; `None` when it is none.
    fn breach(&self, plan: &ObjectivePlan) -> Option<Breach> {
        if self.judged.verdict != Verdict::Breached {
            return None;
        }
        let measured = match self.judged.value {
            // The share of an open window changes all the time, and what it is when a breach is said would be chance.
            _ if !self.over => "can no longer be kept".to_owned(),
            Some(Value::Share(share)) => format!("attained {share}"),
            Some(value) => format!("measured {value}"),
            None => "nothing measured".to_owned(),
        };
        Some(Breach {
            at: self.breached_at.unwrap_or(self.segment.end),
            ended_at: None,
            detail: format!("promised {}, {measured}", plan.objective.target),
        })
    }
}

/// Whether a result is final, as tables write it.
fn finality(last: bool) -> Name {
    static WORDS: LazyLock<[Name; 2]> = LazyLock::new(|| ["provisional".into(), "final".into()]);
    WORDS[usize::from(last)].clone()
}

fn row(
    plan: &ObjectivePlan,
    now: &Written,
    before: Option<&Written>,
    told: Option<Told>,
    step: &Step,
) -> AttainmentRow {
    let (target_share, target_us, target_count) = plan.target_columns();
    let Written { window, segment, measured, judged, .. } = now;
    let (value_ratio, value_us, value_count) = match judged.value {
        Some(Value::Share(share)) => (Some(Decimal(share)), None, None),
        Some(Value::Time(time)) => (None, Some(time.0), None),
        Some(Value::Count(count)) => (None, None, Some(count)),
        None => (None, None, None),
    };
    let rest = plan.calendar.elapsed(step.watermark.clamp(segment.start, segment.end), segment.end);
    AttainmentRow {
        agreement: plan.key.agreement.clone(),
        agreement_version: plan.key.version as i32,
        agreement_type: plan.labels.agreement_type.clone(),
        customer: plan.agreement.customer.clone(),
        offering: plan.agreement.offering.clone(),
        service: plan.key.service.clone(),
        objective: plan.key.objective.clone(),
        signal: plan.labels.signal.clone(),
        calendar: plan.labels.calendar.clone(),
        window_kind: plan.labels.window_kind.clone(),
        window_start: window.start,
        window_end: window.end,
        segment_start: segment.start,
        segment_end: segment.end,
        finality: finality(now.last),
        verdict: judged.verdict.name(),
        verdict_before: before.filter(|before| !before.retracted).map(|before| before.judged.verdict.name()),
        target: plan.labels.target.clone(),
        target_ratio: target_share.map(Decimal),
        target_us,
        target_count,
        value_ratio,
        value_us,
        value_count,
        attainment_ratio: judged.attainment.map(Decimal),
        good_us: measured.good.0,
        bad_us: measured.bad.0,
        degraded_us: measured.degraded.0,
        excluded_us: measured.excluded.0,
        unknown_us: measured.unknown.0,
        agreed_us: measured.agreed.0,
        good_count: in_a_column(measured.good_count),
        total_count: in_a_column(measured.total_count),
        outage_count: measured.outage_count,
        longest_outage_us: measured.longest_outage.0,
        budget_us: judged.budget.map(i64::from),
        budget_left_us: judged.budget_left.map(i64::from),
        budget_left_ratio: judged.budget_left_share.map(Decimal),
        headroom_us: headroom(judged, rest).map(i64::from),
        breach_probability_ratio: told.map(|told| Decimal(told.breach_probability)),
        exhaustion_at: told.and_then(|told| told.exhaustion_at),
        breached_at: now.breached_at,
        credit_ratio: judged.credit.map(Decimal),
        revision: now.revision,
        retracted: now.retracted,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

#[cfg(test)]
pub mod tests;
