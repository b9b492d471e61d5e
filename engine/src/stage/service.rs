//! The second stage: services, their states, and the counts of the objectives that are judged on them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::definition::{CountRule, Evidence, Signal, StateRule, Target};
use plimsoll_schemas::event::{EventKind, Status};
use plimsoll_schemas::table::{OutageRow, TransitionRow};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::known::Known;
use super::measure::IndicatorState;
use super::outlook::Forecasts;
use super::publish::ObjectiveState;
use super::{Contribution, Derived, Facts, Step, sort_attainment};
use crate::Name;
use crate::budget::Allowed;
use crate::gate::{Effect, Impact, PlannedChange, impacts};
use crate::histogram::Bin;
use crate::ledger::Ledger;
use crate::memory::Edge;
use crate::portfolio::{
    Feed, IndicatorKey, ObjectiveIndex, ObjectiveKey, ObjectivePlan, Portfolio, ServiceIndex, ServicePlan,
};
use crate::state::State;
use crate::state::exclusion::{ApprovedWindow, ApprovedWindows};
use crate::state::followed::Caused;
use crate::state::service::{Segment, ServiceHistory};
use crate::window::window_containing;

/// What is remembered of one service besides its objectives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ServiceEntry {
    history: ServiceHistory,
    maintenance: ApprovedWindows,
    /// The digest of the rule by which states were last read; `None` when the catalogue has lacked it since.
    read_by: Option<u64>,
    /// Whether the stored events hold observations that were never taken: the catalogue lacked it then.
    is_partial: bool,
    /// By the instant of the change.
    transitions: Ledger<Instant, Caused>,
    /// By the start of the outage: its end, its causes.
    outages: Ledger<Instant, Outage>,
    /// By the indicator's name for good.
    indicators: BTreeMap<IndicatorKey, IndicatorState>,
    /// The states that were last read; they are the same when they are read again.
    #[serde(skip)]
    states: Vec<Segment>,
}

/// The end of an outage, if it has one, and its causes.
type Outage = (Option<Instant>, Vec<Name>);

/// What a single event counts.
#[derive(Clone, Debug)]
pub struct Counts {
    /// The kind of event.
    pub kind: EventKind,
    /// Its time.
    pub time: Instant,
    /// Whom it concerns.
    pub customer: Option<Name>,
    /// Good and total, when it counts things.
    pub counted: Option<(i64, i64)>,
    /// The score, when it is feedback.
    pub score: Option<i64>,
    /// How long a check took, when it was measured.
    pub latency: Option<Micros>,
}

impl Counts {
    /// Good and total under one objective; `None` when it does not count there.
    pub fn under(&self, plan: &ObjectivePlan) -> Option<(i64, i64)> {
        if !(plan.agreement.in_force.contains(self.time) && plan.agreement.concerns(self.customer.as_ref())) {
            return None;
        }
        match &plan.objective.indicator.signal {
            Signal::GoodRatio(rule) if rule.count == CountRule::EachEvent => self.counted_of(rule.kind),
            Signal::ErrorCount { kind } => self.counted_of(*kind),
            Signal::Throughput { kind, .. } if plan.calendar.is_agreed(self.time) => self.counted_of(*kind),
            Signal::Satisfaction { good_from } => self.score.map(|score| (i64::from(score >= *good_from), 1)),
            Signal::NetPromoterScore => match self.score? {
                0..=6 => Some((-1, 1)),
                7..=8 => Some((0, 1)),
                9..=10 => Some((1, 1)),
                // A score on another scale says nothing about this one.
                _ => None,
            },
            Signal::Latency { within } => self.latency_within(*within),
            Signal::LatencyPercentile { .. } => match plan.objective.target {
                Target::AtMostTime(limit) => self.latency_within(limit),
                // Nothing else can be promised of a latency; definitions that do are refused.
                _ => None,
            },
            _ => None,
        }
    }

    fn latency_within(&self, limit: Micros) -> Option<(i64, i64)> {
        self.latency.map(|latency| (i64::from(latency <= limit), 1))
    }

    fn counted_of(&self, kind: EventKind) -> Option<(i64, i64)> {
        self.counted.filter(|_| self.kind == kind)
    }
}

/// Every service of a lane, by its place in the portfolio, and every objective.
#[derive(Clone, Debug)]
pub struct ServiceStage {
    services: Vec<ServiceEntry>,
    objectives: Vec<ObjectiveState>,
    /// What the portfolio lacks. It may come back, and what was said of it must not be said again then.
    absent: Absent,
    /// Objectives fed by single events of which what was counted is not what their definition counts now.
    recounting: BTreeSet<ObjectiveIndex>,
    /// Objectives fed by tickets or changes of which it was counted where another definition has it, and is forgotten.
    retelling: BTreeSet<ObjectiveIndex>,
    /// Services of which what was observed is not all that there is, or not as their rule reads it now.
    reobserving: BTreeSet<ServiceIndex>,
    /// Nothing before this is counted any more.
    closed_until: Instant,
    /// Counts that came too late.
    beyond_history: u64,
    /// Services that are new, or were defined in another way, and were not told yet what those that they follow were.
    uninformed: BTreeSet<ServiceIndex>,
}

/// Services and objectives that a portfolio lacks, by names.
#[derive(Clone, Debug, Default)]
struct Absent {
    services: Vec<(Name, ServiceEntry)>,
    objectives: Vec<(ObjectiveKey, ObjectiveState)>,
}

/// A `ServiceStage` by names instead of places, so that it outlives its portfolio.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceSnapshot<'a> {
    services: Vec<(Name, Cow<'a, ServiceEntry>)>,
    objectives: Vec<(ObjectiveKey, Cow<'a, ObjectiveState>)>,
    closed_until: Instant,
    beyond_history: u64,
}

impl ServiceSnapshot<'_> {
    /// The names of all objectives in it.
    pub fn objective_keys(&self) -> impl Iterator<Item = &ObjectiveKey> {
        self.objectives.iter().map(|(key, _)| key)
    }
}

impl ServiceStage {
    /// Nothing is known of any service.
    pub fn new(portfolio: &Portfolio) -> ServiceStage {
        ServiceStage {
            services: portfolio.services().iter().map(|plan| ServiceEntry::new(portfolio, plan)).collect(),
            objectives: portfolio.objectives().iter().map(ObjectiveState::new).collect(),
            absent: Absent::default(),
            recounting: BTreeSet::new(),
            retelling: BTreeSet::new(),
            reobserving: BTreeSet::new(),
            closed_until: Instant(i64::MIN),
            beyond_history: 0,
            uninformed: BTreeSet::new(),
        }
    }

    /// What is remembered, by names.
    pub fn snapshot(&self, portfolio: &Portfolio) -> ServiceSnapshot<'_> {
        let services = portfolio.services().iter().map(|plan| &plan.id).zip(&self.services);
        let services = services.chain(self.absent.services.iter().map(|(id, entry)| (id, entry)));
        let objectives = portfolio.objectives().iter().map(|plan| &plan.key).zip(&self.objectives);
        let objectives = objectives.chain(self.absent.objectives.iter().map(|(key, state)| (key, state)));
        ServiceSnapshot {
            services: services.map(|(id, entry)| (id.clone(), Cow::Borrowed(entry))).collect(),
            objectives: objectives.map(|(key, state)| (key.clone(), Cow::Borrowed(state))).collect(),
            closed_until: self.closed_until,
            beyond_history: self.beyond_history,
        }
    }

    /// The names of all objectives that it knows, also those that the portfolio lacks.
    pub fn objective_keys<'a>(&'a self, portfolio: &'a Portfolio) -> impl Iterator<Item = &'a ObjectiveKey> {
        portfolio.objectives().iter().map(|plan| &plan.key).chain(self.absent.objectives.iter().map(|(key, _)| key))
    }

    /// What was remembered, laid out for a portfolio. What the portfolio lacks is kept aside; what it defines in
    /// another way is read anew. `heard_until` is the newest event, `None` before any; `at_rest` says that observations
    /// that were deferred are to be made up for now.
    pub fn restore(
        snapshot: ServiceSnapshot<'_>,
        portfolio: &Portfolio,
        heard_until: Option<Instant>,
        at_rest: bool,
    ) -> ServiceStage {
        let mut stage = ServiceStage::new(portfolio);
        (stage.closed_until, stage.beyond_history) = (snapshot.closed_until, snapshot.beyond_history);
        for (state, plan) in stage.objectives.iter_mut().zip(portfolio.objectives()) {
            state.begin_whole(plan, snapshot.closed_until);
        }
        let event_objectives = portfolio.services().iter().flat_map(|service| &service.event_objectives);
        let begun = |index: &ObjectiveIndex| Some(portfolio.objective(*index).agreement.in_force.start) <= heard_until;
        stage.recounting = event_objectives.copied().filter(begun).collect();
        stage.uninformed = (0..portfolio.services().len() as u32).map(ServiceIndex).collect();
        stage.services.iter_mut().for_each(|entry| entry.is_partial = heard_until.is_some());
        for (id, entry) in snapshot.services {
            let mut entry = entry.into_owned();
            match portfolio.service_place(&id) {
                Some(place) => {
                    if !entry.resume(portfolio, portfolio.service(place)) {
                        stage.uninformed.remove(&place);
                    }
                    stage.services[place.0 as usize] = entry;
                }
                None => stage.absent.services.push((id, ServiceEntry { read_by: None, is_partial: true, ..entry })),
            }
        }
        for (key, state) in snapshot.objectives {
            let mut state = state.into_owned();
            match portfolio.objective_place(&key) {
                Some(place) => {
                    let plan = portfolio.objective(place);
                    match (state.resume(plan, snapshot.closed_until), plan.feed()) {
                        (false, _) => _ = stage.recounting.remove(&place),
                        (true, Feed::Tickets | Feed::Changes) => {
                            state.forget_counts(plan);
                            stage.retelling.insert(place);
                        }
                        // What is counted anew is forgotten then; of what is not in force yet nothing will be.
                        (true, Feed::Events) if !stage.recounting.contains(&place) => state.forget_counts(plan),
                        (true, Feed::Events | Feed::State(_)) => {}
                    }
                    stage.objectives[place.0 as usize] = state;
                }
                None => {
                    state.leave();
                    stage.absent.objectives.push((key, state));
                }
            }
        }
        for (place, (entry, plan)) in stage.services.iter().zip(portfolio.services()).enumerate() {
            if entry.wants_observations(plan, at_rest) {
                stage.reobserving.insert(ServiceIndex(place as u32));
            }
        }
        stage
    }

    /// Takes what one check saw of a service. This is the hot path: a few nanoseconds when it comes in order.
    pub fn observe(&mut self, plan: &ServicePlan, service: ServiceIndex, check: &str, time: Instant, status: Status) {
        let history = &mut self.services[service.0 as usize].history;
        let place = history.check(check);
        history.observe(place, time, status, &plan.rule);
    }

    /// Takes what a single event counts.
    pub fn count(&mut self, portfolio: &Portfolio, service: ServiceIndex, event: &Counts) {
        for &objective in &portfolio.service(service).event_objectives {
            let plan = portfolio.objective(objective);
            let Some((good, total)) = event.under(plan) else { continue };
            let bin = plan.percentile().and(event.latency).map(Bin::of);
            let speaks = portfolio.speaks(objective, event.time);
            self.contribute(portfolio, Contribution { objective, at: event.time, bin, good, total, speaks });
        }
    }

    /// Whether single events must be counted anew for objectives, because their definition is new or was another one when
    /// they were counted, or observed anew for services, because not all was, or another `stale_after` held then.
    pub fn wants_recount(&self) -> bool {
        !(self.recounting.is_empty() && self.reobserving.is_empty())
    }

    /// Whether there are objectives of which what tickets and changes told is forgotten.
    pub fn wants_retelling(&self) -> bool {
        !self.retelling.is_empty()
    }

    /// Takes what a ticket or a change told before, for those objectives alone of which that was forgotten.
    pub fn retell(&mut self, portfolio: &Portfolio, told: Contribution) {
        let plan = portfolio.objective(told.objective);
        let counts = told.at >= self.closed_until || plan.counts_levels();
        if counts && self.retelling.contains(&told.objective) {
            self.objectives[told.objective.0 as usize].contribute(plan, told);
        }
    }

    /// Says that all was told.
    pub fn end_retelling(&mut self) {
        self.retelling.clear();
    }

    /// Forgets what those objectives counted and what those services observed.
    pub fn begin_recount(&mut self, portfolio: &Portfolio) {
        for &index in &self.recounting {
            self.objectives[index.0 as usize].forget_counts(portfolio.objective(index));
        }
        for &index in &self.reobserving {
            let entry = &mut self.services[index.0 as usize];
            entry.history.restate(entry.told_or_said_from());
            entry.history.forget_observations();
            entry.states.clear();
        }
    }

    /// Takes what a check saw, for those services alone.
    pub fn reobserve(&mut self, plan: &ServicePlan, service: ServiceIndex, check: &str, time: Instant, status: Status) {
        if self.reobserving.contains(&service) {
            self.observe(plan, service, check, time, status);
        }
    }

    /// Puts all that was observed again in its place. What is older than what is remembered is forgotten.
    pub fn end_recount(&mut self, portfolio: &Portfolio) {
        self.recounting.clear();
        for index in std::mem::take(&mut self.reobserving) {
            let entry = &mut self.services[index.0 as usize];
            entry.is_partial = false;
            entry.history.settle(&portfolio.service(index).rule);
            let kept_from = entry.history.kept_from().unwrap_or(self.closed_until);
            if kept_from > Instant(i64::MIN) {
                entry.history.forget_before(kept_from);
            }
        }
    }

    /// Counts an event that was counted before, for those objectives alone.
    pub fn recount(&mut self, portfolio: &Portfolio, service: ServiceIndex, event: &Counts) {
        for &objective in &portfolio.service(service).event_objectives {
            let plan = portfolio.objective(objective);
            let Some((good, total)) = event.under(plan) else { continue };
            if self.recounting.contains(&objective) && event.time >= self.closed_until {
                let bin = plan.percentile().and(event.latency).map(Bin::of);
                let contribution = Contribution { objective, at: event.time, bin, good, total, speaks: false };
                self.objectives[objective.0 as usize].contribute(plan, contribution);
            }
        }
    }

    /// Takes what the first stage found out.
    pub fn derive(&mut self, portfolio: &Portfolio, derived: Derived) {
        match derived {
            Derived::Claims { service, ticket, claims } => {
                self.services[service.0 as usize].history.claim(&ticket, claims)
            }
            Derived::Maintenance { service, change, approved } => {
                let Some(from) = self.services[service.0 as usize].maintain(change, approved) else { return };
                for &index in &portfolio.service(service).state_objectives {
                    if portfolio.objective(index).agreement.maintenance.is_some() {
                        self.objectives[index.0 as usize].touch(from);
                    }
                }
            }
            Derived::Contribution(contribution) => self.contribute(portfolio, contribution),
            Derived::States { follower, service, from, changes } => {
                let (plan, name) = (portfolio.service(follower), &portfolio.service(service).id);
                let history = &mut self.services[follower.0 as usize].history;
                let Some(from) = history.hear(&plan.rule, name, from, changes) else { return };
                for &index in plan.state_objectives.iter().chain(&plan.event_objectives) {
                    // Who spent the budget may be another, even if the service itself was the same (R33).
                    if !portfolio.objective(index).supports.is_empty() {
                        self.objectives[index.0 as usize].touch(from);
                    }
                }
            }
        }
    }

    /// Services that were not told yet what those that they follow were; whoever takes them tells them.
    pub fn take_uninformed(&mut self) -> BTreeSet<ServiceIndex> {
        std::mem::take(&mut self.uninformed)
    }

    /// All that a service was until and at `known_until`, for those that begin to follow it.
    pub fn history_of(
        &self,
        portfolio: &Portfolio,
        service: ServiceIndex,
        known_until: Instant,
    ) -> Vec<(Instant, Caused)> {
        let (plan, entry) = (portfolio.service(service), &self.services[service.0 as usize]);
        let known_from = entry.history.known_from(&plan.rule);
        known_from.map_or(Vec::new(), |from| entry.changes(plan, from, known_until))
    }

    /// What a planned change does to the objectives over the state of a service that feels it, of which all is known until
    /// `now` (R30).
    pub fn gate(
        &self,
        portfolio: &Portfolio,
        effect: Effect,
        change: &PlannedChange,
        now: Instant,
    ) -> Vec<(ObjectiveIndex, Impact)> {
        let (plan, entry) = (portfolio.service(effect.service), &self.services[effect.service.0 as usize]);
        let of = |&index: &ObjectiveIndex| {
            let objective = portfolio.objective(index);
            let zone = objective.agreement.time_zone;
            let first = window_containing(objective.window_kind(), zone, change.window.start).start;
            let from = entry.deciding_from(portfolio, plan, first.max(objective.agreement.in_force.start).min(now));
            let states = entry.history.segments(&plan.rule, from, now);
            let impacts = impacts(objective, &states, &entry.maintenance, change, effect, now);
            impacts.into_iter().map(move |impact| (index, impact)).collect::<Vec<_>>()
        };
        plan.state_objectives.iter().flat_map(of).collect()
    }

    /// Counts something for an objective, and for the indicator that it shares with others if it speaks for that.
    fn contribute(&mut self, portfolio: &Portfolio, contribution: Contribution) {
        let plan = portfolio.objective(contribution.objective);
        // Who is open longer than is remembered is part of later levels.
        if contribution.at < self.closed_until && !plan.counts_levels() {
            self.beyond_history += 1;
            return;
        }
        self.objectives[contribution.objective.0 as usize].contribute(plan, contribution);
        if contribution.speaks {
            let indicator = &portfolio.service(plan.service).indicators[plan.indicator];
            let indicators = &mut self.services[plan.service.0 as usize].indicators;
            indicators.entry(indicator.key.clone()).or_default().count(indicator, contribution);
        }
    }

    /// How many counts came too late to be applied.
    pub fn beyond_history(&self) -> u64 {
        self.beyond_history
    }

    /// How many observations came too late to be applied before all are observed again.
    pub fn deferred(&self) -> u64 {
        self.services.iter().map(|entry| entry.history.deferred()).sum()
    }

    /// Forgets what no window that is not closed stands on.
    pub fn forget(&mut self, portfolio: &Portfolio, edge: &Edge) {
        self.closed_until = edge.closed_until;
        for (entry, plan) in self.services.iter_mut().zip(portfolio.services()) {
            entry.forget(portfolio, plan, edge);
        }
        for (state, plan) in self.objectives.iter_mut().zip(portfolio.objectives()) {
            state.forget(Some(plan), edge.closed_until);
        }
        self.absent.objectives.iter_mut().for_each(|(_, state)| state.forget(None, edge.closed_until));
        self.absent.objectives.retain(|(_, state)| !state.is_closed());
    }

    /// States what is now known of these services, of which none follows another, and tells those that follow them.
    pub fn close(
        &mut self,
        portfolio: &Portfolio,
        step: &Step,
        services: impl Iterator<Item = ServiceIndex>,
        forecasts: &mut Forecasts,
        facts: &mut Facts,
        derived: &mut Vec<Derived>,
    ) {
        for service in services {
            let before = facts.attainment.len();
            self.close_counted(portfolio, service, step, forecasts, facts);
            self.close_observed(portfolio, service, step, forecasts, facts, derived);
            sort_attainment(&mut facts.attainment[before..]);
        }
    }

    /// States what was counted of a service.
    fn close_counted(
        &mut self,
        portfolio: &Portfolio,
        service: ServiceIndex,
        step: &Step,
        forecasts: &mut Forecasts,
        facts: &mut Facts,
    ) {
        let plan = portfolio.service(service);
        let entry = &mut self.services[service.0 as usize];
        let counted = [&plan.ticket_objectives, &plan.change_objectives, &plan.event_objectives];
        for &index in counted.into_iter().flatten() {
            let (state, before) = versions(portfolio, &mut self.objectives, index);
            if step.publish || state.is_due(step, portfolio.grace()) {
                let objective = portfolio.objective(index);
                let from = state.next_from(objective, step).filter(|_| objective.splits_counts());
                let states = from.map(|from| entry.history.segments(&plan.rule, from, step.watermark));
                let states = states.unwrap_or_default();
                let mut known = Known::new(&states, &entry.maintenance, forecasts);
                known.below = Some((&plan.family, entry.history.followed()));
                let plan = objective;
                let spending = state.publish(plan, portfolio.grace(), step, &mut known, &before, facts);
                facts.spending.extend(Allowed::of(&plan.objective).map(|_| (index, spending)));
            }
        }
        if step.publish {
            for indicator in plan.indicators.iter().filter(|indicator| !indicator.is_state) {
                if let Some(state) = entry.indicators.get_mut(&indicator.key) {
                    state.write_counts(plan, indicator, step, facts);
                }
            }
        }
    }

    /// States what a service was, and what follows from it.
    fn close_observed(
        &mut self,
        portfolio: &Portfolio,
        service: ServiceIndex,
        step: &Step,
        forecasts: &mut Forecasts,
        facts: &mut Facts,
        derived: &mut Vec<Derived>,
    ) {
        let plan = portfolio.service(service);
        let entry = &mut self.services[service.0 as usize];
        let changed_from = entry.history.changed_from(step.watermark);
        let is_due = |index: &ObjectiveIndex| self.objectives[index.0 as usize].is_due(step, portfolio.grace());
        // Who follows it must know of a check that fell silent as soon as it is read itself.
        let moves = !plan.followers.is_empty() && entry.history.moves_by(&plan.rule, step.watermark);
        if !(step.publish || changed_from.is_some() || moves || plan.state_objectives.iter().any(is_due)) {
            return;
        }
        entry.history.settle(&plan.rule);
        let anchor = entry.anchor(&plan.rule, changed_from.unwrap_or(step.watermark));
        // What was told of the watermark itself may never have been said, and may no longer hold.
        if let Some(from) = anchor.or(changed_from) {
            derived.extend(entry.tell(plan, service, from, step.watermark));
        }
        if let Some(from) = changed_from {
            for &index in &plan.state_objectives {
                // An outage that began so long before is short or not by what changed (R7).
                self.objectives[index.0 as usize].touch(from - portfolio.objective(index).lead());
            }
            for &index in plan.event_objectives.iter().filter(|index| portfolio.objective(**index).splits_counts()) {
                self.objectives[index.0 as usize].touch(from);
            }
            entry.indicators.values_mut().for_each(|indicator| indicator.touch(from));
        }
        let indicators = || plan.indicators.iter().filter(|indicator| indicator.is_state);
        let indicators_from = indicators().filter_map(|indicator| {
            entry.indicators.entry(indicator.key.clone()).or_default().next_from(indicator, step)
        });
        let indicators_from = indicators_from.min();
        entry.history.read_until(step.watermark);
        let objectives_from = plan
            .state_objectives
            .iter()
            .filter_map(|&index| self.objectives[index.0 as usize].next_from(portfolio.objective(index), step));
        // Where nothing can be stated, what was said may still have to be taken back.
        let from = objectives_from.chain(anchor).chain(indicators_from).min().unwrap_or(step.watermark);
        let from = entry.deciding_from(portfolio, plan, from);
        // What holds just before the anchor says whether the state at the anchor is a change.
        let from = anchor.map_or(from, |anchor| from.min(Instant(anchor.0 - 1)));
        let unchanged_until = changed_from.unwrap_or(step.watermark);
        let known = std::mem::take(&mut entry.states);
        let states = entry.history.extend(&plan.rule, known, unchanged_until, (from, step.watermark));
        for indicator in indicators() {
            let state = entry.indicators.entry(indicator.key.clone()).or_default();
            state.write_states(plan, indicator, step, portfolio.grace(), &states, facts);
        }
        if let Some(anchor) = anchor {
            entry.state_changes(plan, &states, anchor, step, facts);
        }
        let mut known = Known::new(&states, &entry.maintenance, forecasts);
        known.below = Some((&plan.family, entry.history.followed()));
        for &index in &plan.state_objectives {
            let plan = portfolio.objective(index);
            let (state, before) = versions(portfolio, &mut self.objectives, index);
            // What is said of one never depends on whether another is due, or who follows the service: it may be computed
            // anew without these (R26).
            if step.publish || state.is_due(step, portfolio.grace()) {
                let spending = state.publish(plan, portfolio.grace(), step, &mut known, &before, facts);
                facts.spending.push((index, spending));
            }
        }
        entry.states = states;
    }
}

/// An objective, and those of the versions of its agreement before it that looked at the same indicator, the newest first.
fn versions<'a>(
    portfolio: &Portfolio,
    objectives: &'a mut [ObjectiveState],
    index: ObjectiveIndex,
) -> (&'a mut ObjectiveState, Vec<&'a ObjectiveState>) {
    // Versions stand in their order.
    let (earlier, rest) = objectives.split_at_mut(index.0 as usize);
    let (mut before, mut plan) = (Vec::new(), portfolio.objective(index));
    while let Some(place) = plan.continues.filter(|place| plan.looks_as(portfolio.objective(*place))) {
        before.push(&earlier[place.0 as usize]);
        plan = portfolio.objective(place);
    }
    (&mut rest[0], before)
}

impl ServiceEntry {
    /// Nothing is known yet.
    fn new(portfolio: &Portfolio, plan: &ServicePlan) -> ServiceEntry {
        let mut entry = ServiceEntry { read_by: Some(plan.digest), ..ServiceEntry::default() };
        entry.history.follow(followed(portfolio, plan));
        entry
    }

    /// Takes up what is remembered under definitions that may have changed since: then all that was known, is known or
    /// was said of it may differ. Returns whether they have changed.
    fn resume(&mut self, portfolio: &Portfolio, plan: &ServicePlan) -> bool {
        let is_changed = self.read_by != Some(plan.digest);
        if is_changed {
            let from = self.told_or_said_from();
            self.history.follow(followed(portfolio, plan));
            self.history.read_anew(&plan.rule, from);
            self.read_by = Some(plan.digest);
        }
        is_changed
    }

    /// The first instant of which anything was told, by any rule, or said.
    fn told_or_said_from(&self) -> Option<Instant> {
        let said_from = self.transitions.iter().next().map(|(&at, _)| at);
        said_from.into_iter().chain(self.history.told_from()).min()
    }

    /// Whether the stored events are to be observed again.
    fn wants_observations(&self, plan: &ServicePlan, at_rest: bool) -> bool {
        let is_deferred = at_rest && self.history.deferred() > 0;
        let wants = self.is_partial || is_deferred || self.history.must_observe_anew(&plan.rule);
        wants && plan.rule.evidence != Evidence::Incidents
    }

    /// The instant from which states decide what counts from `from` on: short outages (R7) and held states (R4) begin
    /// before it.
    fn deciding_from(&self, portfolio: &Portfolio, plan: &ServicePlan, from: Instant) -> Instant {
        let objectives = || plan.state_objectives.iter().map(|&index| portfolio.objective(index));
        let from = from - objectives().map(ObjectivePlan::lead).max().unwrap_or(Micros::ZERO);
        let held_from =
            objectives().any(ObjectivePlan::holds_unknown).then(|| self.history.last_known_before(&plan.rule, from));
        let from = held_from.flatten().map_or(from, |held| held.min(from));
        // Of what is forgotten nothing is known, neither that it was held.
        self.history.kept_from().map_or(from, |kept_from| from.max(kept_from))
    }

    /// What those that follow it are to be told: its states from an instant on, until and at the watermark. Causes go by
    /// the name of the service that they leave.
    fn tell(&self, plan: &ServicePlan, service: ServiceIndex, from: Instant, watermark: Instant) -> Vec<Derived> {
        if plan.followers.is_empty() {
            return Vec::new();
        }
        let changes = self.changes(plan, from, watermark);
        let states = |follower| Derived::States { follower, service, from, changes: changes.clone() };
        plan.followers.iter().copied().map(states).collect()
    }

    /// Its changes of state from an instant on, until and at the watermark.
    fn changes(&self, plan: &ServicePlan, from: Instant, watermark: Instant) -> Vec<(Instant, Caused)> {
        // What holds just before says whether the state there is a change.
        let states = self.history.segments(&plan.rule, Instant(from.0 - 1), watermark + Micros(1));
        let changes = states.into_iter().filter(|segment| segment.start >= from);
        changes.map(|segment| (segment.start, (segment.state, leaving(plan, &segment.causes)))).collect()
    }

    /// Replaces the approved window of a change. Returns the first instant that may be excluded or no longer is, or
    /// `None` when nothing changed.
    fn maintain(&mut self, change: Name, approved: Option<ApprovedWindow>) -> Option<Instant> {
        let approved = approved.filter(|approved| Some(approved.window.end) > self.history.kept_from());
        let before = self.maintenance.get(&change);
        if before == approved.as_ref() {
            return None;
        }
        let from = before.into_iter().chain(&approved).map(|approved| approved.window.start).min();
        match approved {
            Some(approved) => self.maintenance.insert(change, approved),
            None => self.maintenance.remove(&change),
        };
        from
    }

    /// The instant from which transitions and outages are to be stated anew when states from `changed_from` on may
    /// differ: the last transition before it to a state that is not down, so that no outage is cut. `None` while
    /// nothing is known of the service and nothing was said.
    fn anchor(&self, rule: &StateRule, changed_from: Instant) -> Option<Instant> {
        let before = Instant(changed_from.0.saturating_sub(1));
        let settled = self.transitions.last_where(&before, |(state, _)| *state != State::Down).map(|(&at, _)| at);
        let said = self.transitions.iter().next().map(|(&at, _)| at);
        let known_from = self.history.known_from(rule);
        let first = known_from.into_iter().chain(said).min()?;
        let anchor = settled.unwrap_or(first.min(changed_from));
        // What holds just before it must be known too.
        Some(self.history.kept_from().map_or(anchor, |kept_from| anchor.max(kept_from + Micros(1))))
    }

    /// Forgets what no window that is not closed stands on.
    fn forget(&mut self, portfolio: &Portfolio, plan: &ServicePlan, edge: &Edge) {
        let from = self.deciding_from(portfolio, plan, edge.kept_from);
        let anchor = self.anchor(&plan.rule, edge.kept_from);
        let from = anchor.map_or(from, |anchor| from.min(Instant(anchor.0 - 1)));
        self.history.forget_before(from);
        self.forget_said(from);
        self.indicators.values_mut().for_each(|indicator| indicator.forget(edge.closed_until));
    }

    /// Forgets what was said of states before an instant.
    fn forget_said(&mut self, from: Instant) {
        self.transitions.forget_before(&from);
        self.outages.forget_before(&from);
        self.maintenance.retain(|_, approved| approved.window.end > from);
    }

    /// Writes the transitions and outages from `anchor` on that are new, differ or no longer hold.
    fn state_changes(
        &mut self,
        plan: &ServicePlan,
        states: &[Segment],
        anchor: Instant,
        step: &Step,
        facts: &mut Facts,
    ) {
        let known = states.iter().filter(|segment| segment.start >= anchor);
        let transitions =
            known.clone().map(|segment| (segment.start, (segment.state, segment.causes.clone()))).collect();
        for writing in self.transitions.restate(&anchor, transitions) {
            let (state, causes) = writing.entry.row;
            facts.transitions.push(TransitionRow {
                service: plan.id.to_string(),
                at: writing.key,
                state: state.as_str().to_owned(),
                causes: join(&causes),
                revision: writing.entry.revision,
                retracted: writing.entry.retracted,
                recorded_at: step.tick,
                epoch: step.epoch,
            });
        }
        // What is down until the watermark may be up from that very instant on.
        let is_down = |segments: &[Segment]| segments.last().is_some_and(|segment| segment.state == State::Down);
        let next = || self.history.segments(&plan.rule, step.watermark, step.watermark + Micros(1));
        let lasting = (is_down(states) && is_down(&next())).then_some(step.watermark);
        let outages = outages(known, lasting);
        for writing in self.outages.restate(&anchor, outages) {
            let (ended_at, causes) = writing.entry.row;
            facts.outages.push(OutageRow {
                service: plan.id.to_string(),
                started_at: writing.key,
                ended_at,
                duration_us: ended_at.map(|end| (end - writing.key).0),
                causes: join(&causes),
                revision: writing.entry.revision,
                retracted: writing.entry.retracted,
                recorded_at: step.tick,
                epoch: step.epoch,
            });
        }
    }
}

/// The services that a service follows, each with its state while nothing is known of it.
fn followed<'a>(portfolio: &'a Portfolio, plan: &'a ServicePlan) -> impl Iterator<Item = (Name, State)> + 'a {
    plan.follows.iter().map(|index| portfolio.service(*index)).map(|followed| (followed.id.clone(), followed.before))
}

/// A service's causes as those of the services that follow it: `database/ping`.
fn leaving(plan: &ServicePlan, causes: &[Name]) -> Vec<Name> {
    causes.iter().map(|cause| format!("{}/{cause}", plan.id).into()).collect()
}

/// Maximal stretches of `down`: (start, (end, causes)); one that reaches `lasting` is still open.
fn outages<'a>(states: impl Iterator<Item = &'a Segment>, lasting: Option<Instant>) -> Vec<(Instant, Outage)> {
    let mut outages: Vec<(Instant, Outage)> = Vec::new();
    let mut down_until = None;
    for segment in states.filter(|segment| segment.state == State::Down) {
        match outages.last_mut() {
            Some((_, (end, causes))) if down_until == Some(segment.start) => {
                *end = Some(segment.end);
                causes.extend(segment.causes.iter().cloned());
            }
            _ => outages.push((segment.start, (Some(segment.end), segment.causes.clone()))),
        }
        down_until = Some(segment.end);
    }
    for (_, (end, causes)) in &mut outages {
        causes.sort_unstable();
        causes.dedup();
        *end = end.filter(|end| Some(*end) != lasting);
    }
    outages
}

fn join(causes: &[Name]) -> String {
    causes.join(",")
}

#[cfg(test)]
mod tests;
