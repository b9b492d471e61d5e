//! The first stage: tickets, the clocks they run, and what they tell the services.
//!
//! A ticket is read anew from its records whenever one arrives, whenever one of its clocks falls due (a breach is known
//! then even if no event arrives, R18), and whenever the watermark reaches a record that lay ahead of it. What follows
//! is compared with what was said before, and only the difference is said.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::definition::{ClockRule, CountRule, Signal};
use plimsoll_schemas::table::ClockRow;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::attribution::{self, Part, SpenderKey, first_spender};
use super::breach::{Breach, Subject, Warning, breach_row};
use super::{Derived, Facts, Step, Told, retell};
use crate::Name;
use crate::attribution::attribute_clock;
use crate::ledger::{Ledger, Writing};
use crate::memory::{Edge, Forgotten};
use crate::portfolio::{ObjectiveIndex, ObjectiveKey, ObjectivePlan, Portfolio, ServiceIndex};
use crate::state::service::Claim;
use crate::ticket::{
    Attributes, ClockKind, ClockResult, ClockVerdict, Passed, Term, TicketHistory, TicketLog, TicketRecord, clocks,
    exceeded, open_times, used_up, used_within,
};
use crate::window::{Window, window_containing};

/// A clock's name within its ticket: whose it is, and which run.
type ClockKey = (ObjectiveKey, u32);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct TicketEntry {
    log: TicketLog,
    clocks: Ledger<ClockKey, ClockResult>,
    breaches: Ledger<ClockKey, Breach>,
    warnings: Ledger<(ClockKey, Warning), Breach>,
    /// Who had the ticket while its breached clocks ran (R33).
    attributions: Ledger<(ClockKey, SpenderKey), Part>,
    /// What the second stage was told to count.
    told: Vec<Told>,
    /// The services that were told of outages.
    claimed: BTreeSet<Name>,
    /// When it is to be read again though nothing arrives.
    wake_at: Option<Instant>,
    /// True when it has no service that the catalogue knows (R38).
    unassigned: bool,
}

/// Every ticket of a lane.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TicketStage {
    tickets: BTreeMap<Name, TicketEntry>,
    touched: BTreeSet<Name>,
    waking: BTreeSet<(Instant, Name)>,
    unassigned: usize,
    /// Clocks that have not stopped and have a due instant, by that instant: no more than those of open tickets.
    due: BTreeSet<(Instant, ObjectiveKey, Name)>,
    /// Tickets that were over long ago and are forgotten.
    forgotten: Forgotten,
}

impl TicketStage {
    /// Takes one record, in any order.
    pub fn observe(&mut self, ticket: &str, record: TicketRecord) {
        if self.forgotten.knows(ticket) {
            return;
        }
        let name = self.tickets.get_key_value(ticket).map_or_else(|| Name::from(ticket), |(name, _)| name.clone());
        if self.tickets.entry(name.clone()).or_default().log.insert(record) {
            self.touched.insert(name);
        }
    }

    /// Makes every ticket be read anew; for a portfolio that changed.
    pub fn touch_all(&mut self) {
        self.touched.extend(self.tickets.keys().cloned());
    }

    /// All that the second stage was told to count.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        self.tickets.values().flat_map(|entry| &entry.told)
    }

    /// The clocks that have not stopped and are due after an instant: the next first.
    pub fn due_after(&self, at: Instant) -> impl Iterator<Item = (Instant, &ObjectiveKey, &Name)> {
        self.due.range(first_after(at)..).map(|(at, objective, ticket)| (*at, objective, ticket))
    }

    /// The clocks that have not stopped and were due until an instant: the last first.
    pub fn due_until(&self, at: Instant) -> impl Iterator<Item = (Instant, &ObjectiveKey, &Name)> {
        self.due.range(..first_after(at)).rev().map(|(at, objective, ticket)| (*at, objective, ticket))
    }

    /// How many records came of tickets that were forgotten.
    pub fn beyond_history(&self) -> u64 {
        self.forgotten.records()
    }

    /// Forgets tickets that are over, of which all that was said and counted is closed.
    pub fn forget(&mut self, edge: &Edge) {
        self.forgotten.forget_before(edge.named_from);
        let TicketStage { tickets, touched, unassigned, forgotten, .. } = self;
        tickets.retain(|name, entry| {
            let last = entry.log.records().last().map(|record| record.time).filter(|last| *last < edge.closed_until);
            let Some(last) = last.filter(|_| !touched.contains(name) && entry.is_over(edge.closed_until)) else {
                return true;
            };
            *unassigned -= usize::from(entry.unassigned);
            forgotten.insert(name, last);
            false
        });
    }

    /// How many tickets have no service that the catalogue knows (R38).
    pub fn unassigned(&self) -> usize {
        self.unassigned
    }

    /// These tickets by name, each with the service that was named last.
    pub fn unassigned_tickets(&self) -> impl Iterator<Item = (&Name, Option<&Name>)> {
        let unassigned = self.tickets.iter().filter(|(_, entry)| entry.unassigned);
        unassigned.map(|(name, entry)| {
            let named = entry.log.records().iter().rev().find_map(|record| record.service.as_ref());
            (name, named)
        })
    }

    /// Says what changed up to the watermark.
    pub fn close(&mut self, portfolio: &Portfolio, step: &Step, facts: &mut Facts, derived: &mut Vec<Derived>) {
        let mut touched = std::mem::take(&mut self.touched);
        while let Some((at, name)) = self.waking.pop_first() {
            if at > step.watermark {
                self.waking.insert((at, name));
                break;
            }
            touched.insert(name);
        }
        for name in touched {
            self.close_ticket(portfolio, step, &name, facts, derived);
        }
    }

    fn close_ticket(
        &mut self,
        portfolio: &Portfolio,
        step: &Step,
        name: &Name,
        facts: &mut Facts,
        derived: &mut Vec<Derived>,
    ) {
        let Some(entry) = self.tickets.get_mut(name) else { return };
        if let Some(at) = entry.wake_at.take() {
            self.waking.remove(&(at, name.clone()));
        }
        for (key, clock) in entry.clocks.iter() {
            if let Some(due) = clock.open_due_at() {
                self.due.remove(&(due, key.0.clone(), name.clone()));
            }
        }
        let found = match entry.log.history(step.watermark) {
            Some(history) => Found::read(portfolio, &history, step.watermark),
            None => Found::default(),
        };
        for (key, clock) in &found.clocks {
            if let Some(due) = clock.open_due_at() {
                self.due.insert((due, key.0.clone(), name.clone()));
            }
        }
        self.unassigned = self.unassigned - usize::from(entry.unassigned) + usize::from(found.unassigned);
        entry.unassigned = found.unassigned;
        entry.wake_at = found.wake_at(&entry.log, step.watermark);
        if let Some(at) = entry.wake_at {
            self.waking.insert((at, name.clone()));
        }
        entry.say(portfolio, step, name, found, facts, derived);
    }
}

/// Before all clocks that are due after an instant, and behind all others.
fn first_after(at: Instant) -> (Instant, ObjectiveKey, Name) {
    (at + Micros(1), ObjectiveKey::default(), Name::default())
}

/// What a ticket amounts to as it stands.
#[derive(Default)]
struct Found {
    clocks: Vec<(ClockKey, ClockResult)>,
    breaches: Vec<(ClockKey, Breach)>,
    warnings: Vec<((ClockKey, Warning), Breach)>,
    attributions: Vec<((ClockKey, SpenderKey), Part)>,
    counts: Vec<(ObjectiveKey, Instant, i64, i64)>,
    claims: BTreeMap<Name, Vec<Claim>>,
    /// True when the catalogue does not know its present service.
    unassigned: bool,
    /// When something else would be found though nothing arrives: a running clock warns; it is breached, in the first
    /// agreed microsecond after it is due; a ticket is overdue; or another version comes into force.
    changes: Vec<Instant>,
}

impl Found {
    fn read(portfolio: &Portfolio, history: &TicketHistory, now: Instant) -> Found {
        let mut found = Found::default();
        // A cancelled ticket should never have been (R17), and neither should its outages.
        let outages = if history.cancelled_at.is_some() { Vec::new() } else { history.outages() };
        for outage in outages {
            found.claims.entry(outage.service.clone()).or_default().push((outage.started_at, outage.ended_at));
        }
        let present = history.attributes.last().and_then(|(_, attributes)| attributes.service.as_ref());
        found.unassigned = !present.is_some_and(|service| portfolio.knows(service));
        // An agreement's versions stand in their order, so that each passes on to the next.
        let mut passed: BTreeMap<ObjectiveIndex, Passed> = BTreeMap::new();
        for objective in objectives_of(portfolio, history) {
            let plan = portfolio.objective(objective);
            let before = plan.continues.and_then(|before| passed.remove(&before)).unwrap_or_default();
            if let Signal::GoodRatio(rule) = &plan.objective.indicator.signal {
                match rule.count {
                    CountRule::EachEvent => found.count_each_record(plan, history),
                    CountRule::OncePerTicketAtClosing => found.count_at_closing(plan, history),
                }
            } else if let Signal::OverdueCount(rule) = &plan.objective.indicator.signal {
                let in_force = portfolio.service(plan.service).indicators[plan.indicator].in_force;
                found.count_levels(plan, rule, history, in_force, now);
            } else if let Some((kind, rule)) = clock_rule(&plan.objective.indicator.signal) {
                passed.insert(objective, found.run_clocks(plan, kind, rule, history, before, now));
            }
        }
        found
    }

    /// Counts what each record of the ticket counted, for what the ticket was and under the version in force then
    /// (R13).
    fn count_each_record(&mut self, plan: &ObjectivePlan, history: &TicketHistory) {
        // A cancelled ticket should never have been (R17).
        for counted in history.counted.iter().filter(|_| history.cancelled_at.is_none()) {
            if applies(plan, &counted.attributes) && plan.agreement.in_force.contains(counted.at) {
                self.counts.push((plan.key.clone(), counted.at, counted.good, counted.total));
            }
        }
    }

    /// Counts what the ticket counted at its last closing, under the version in force then (R13).
    fn count_at_closing(&mut self, plan: &ObjectivePlan, history: &TicketHistory) {
        let last = history.attributes.last().is_some_and(|(_, attributes)| applies(plan, attributes));
        if let (Some(closing), true) = (history.last_closing, last)
            && let (Some(good), Some(total)) = (closing.counts.good, closing.counts.total)
            && plan.agreement.in_force.contains(closing.closed_at)
        {
            // Two records may each have told one of the two: together they are believed as far as they make sense.
            self.counts.push((plan.key.clone(), closing.closed_at, good.min(total), total));
        }
    }

    /// Counts the ticket as open and, until it is overdue, as in time, as steps of both levels: those that lie before
    /// `now`, for what lies at it has not lasted yet. `in_force` is when any objective over the same levels is.
    fn count_levels(
        &mut self,
        plan: &ObjectivePlan,
        rule: &ClockRule,
        history: &TicketHistory,
        in_force: Window,
        now: Instant,
    ) {
        let mut steps: BTreeMap<Instant, (i64, i64)> = BTreeMap::new();
        let mut step = |at: Instant, in_time: i64, open: i64| {
            let sums = steps.entry(at.max(in_force.start)).or_default();
            *sums = (sums.0 + in_time, sums.1 + open);
        };
        for time in open_times(history, rule, &|attributes| applies(plan, attributes), &plan.calendar, now) {
            step(time.from, 1, 1);
            time.overdue_from.into_iter().for_each(|at| step(at, -1, 0));
            time.until.into_iter().for_each(|at| step(at, -i64::from(time.overdue_from.is_none()), -1));
        }
        for (at, (in_time, open)) in steps.into_iter().filter(|(at, step)| *at < in_force.end && *step != (0, 0)) {
            if at < now {
                self.counts.push((plan.key.clone(), at, in_time, open));
            } else {
                self.changes.push(at + Micros(1));
            }
        }
    }

    /// Runs the ticket's clocks under one objective of one version; `before` is what became of them under the versions
    /// before it. Returns what passes on to the next.
    fn run_clocks(
        &mut self,
        plan: &ObjectivePlan,
        kind: ClockKind,
        rule: &ClockRule,
        history: &TicketHistory,
        before: Passed,
        now: Instant,
    ) -> Passed {
        let in_force = plan.agreement.in_force;
        if history.closed_at.is_none() {
            self.changes.push(in_force.start);
        }
        let applies = |attributes: &Attributes| applies(plan, attributes);
        let under = |term| clocks(history, kind, rule, &applies, &plan.calendar, term, now);
        let clocks = under(Term { in_force, before: &before });
        // A version that is over has its say by how things went on: a cancelled ticket should never have been (R17).
        let whole = if in_force.end <= now { under(Term::ALWAYS) } else { clocks.clone() };
        for clock in &clocks {
            if clock.settled_at().is_none() {
                self.changes.push(in_force.end);
            }
            if let Some(at) = clock.attributed_at {
                let good = match clock.verdict {
                    ClockVerdict::Met => Some(1),
                    ClockVerdict::Breached => Some(0),
                    ClockVerdict::Running | ClockVerdict::Cancelled | ClockVerdict::Moved => None,
                };
                self.counts.extend(good.map(|good| (plan.key.clone(), at, good, 1)));
            }
            if clock.verdict == ClockVerdict::Running {
                let exceeded = exceeded(history, rule, &plan.calendar, clock, now);
                self.changes.extend(exceeded.map(|at| at + Micros(1)));
            }
            if clock.verdict == ClockVerdict::Breached {
                let at = before.overdue_from(in_force, clock).unwrap_or(clock.started_at);
                self.breaches.push(((plan.key.clone(), clock.cycle), breach(clock, at)));
            }
            if let Some(whole) = whole.iter().find(|whole| whole.cycle == clock.cycle) {
                let end = if clock.handed_over { in_force.end } else { Instant(i64::MAX) };
                let warns = Window { start: before.warns_from(in_force, clock.cycle), end };
                self.warn(plan, rule, history, whole, warns, now);
            }
            self.attribute(plan, rule, history, clock);
        }
        let passed = before.after(in_force, &clocks, &whole);
        self.clocks.extend(clocks.into_iter().map(|clock| ((plan.key.clone(), clock.cycle), clock)));
        passed
    }

    /// Finds the warnings that a clock gave in the time in which its version is the one to warn (R28).
    fn warn(
        &mut self,
        plan: &ObjectivePlan,
        rule: &ClockRule,
        history: &TicketHistory,
        clock: &ClockResult,
        warns: Window,
        now: Instant,
    ) {
        let used_up = used_up(history, rule, &plan.calendar, clock, &plan.objective.warn_at, now);
        for (share, at) in used_up.into_iter().filter(|(_, at)| warns.contains(*at)) {
            if at > now {
                self.changes.push(at);
            } else {
                let key = ((plan.key.clone(), clock.cycle), Warning::Used(share));
                self.warnings
                    .push((key, Breach { at, ended_at: None, detail: format!("{share} of {} used", clock.target) }));
            }
        }
    }

    /// Splits the time of a clock that was breached by the services that the ticket was on, where the agreement rests on
    /// others (R33): that until it stopped, or, while it has not, that until it was due.
    fn attribute(&mut self, plan: &ObjectivePlan, rule: &ClockRule, history: &TicketHistory, clock: &ClockResult) {
        let end = clock.stopped_at.or(clock.due_at);
        let (Some(at), Some(end)) = (clock.attributed_at, end) else { return };
        if plan.supports.is_empty() || clock.verdict != ClockVerdict::Breached {
            return;
        }
        let on = history.attributes.iter().map(|(at, attributes)| (*at, attributes.service.as_ref()));
        let on: Vec<(Instant, Option<&Name>)> = on.collect();
        let run = Window { start: clock.started_at, end };
        let used = |run| used_within(history, rule, &plan.calendar, run);
        let spent = attribute_clock(&plan.supports, &plan.key.service, &on, run, used);
        let window = window_containing(plan.window_kind(), plan.agreement.time_zone, at);
        let parts = attribution::parts(plan, window.start, (Some(clock.target), false), &spent);
        let of_clock = |(spender, part)| (((plan.key.clone(), clock.cycle), spender), part);
        self.attributions.extend(parts.into_iter().map(of_clock));
    }

    /// The next instant at which reading the ticket again would give something else.
    fn wake_at(&self, log: &TicketLog, now: Instant) -> Option<Instant> {
        let ahead = log.records().iter().map(|record| record.time);
        self.changes.iter().copied().chain(ahead).filter(|at| *at > now && at.0 != i64::MAX).min()
    }
}

/// The clock that a signal asks for; `None` when it asks for none.
fn clock_rule(signal: &Signal) -> Option<(ClockKind, &ClockRule)> {
    match signal {
        Signal::ResponseTime(rule) => Some((ClockKind::Response, rule)),
        Signal::ResolutionTime(rule) | Signal::FulfilmentTime(rule) => Some((ClockKind::Resolution, rule)),
        _ => None,
    }
}

/// Whether an objective applies to a ticket with these attributes, whatever its priority.
fn applies(plan: &ObjectivePlan, attributes: &Attributes) -> bool {
    attributes.service.as_ref() == Some(&plan.key.service) && plan.agreement.concerns(attributes.customer.as_ref())
}

/// The services of the catalogue that the ticket ever was about, be it for no time at all: a record counts for the
/// service that it was written for, also when another took its place at the same instant or before the opening.
fn services_of<'a>(portfolio: &'a Portfolio, history: &'a TicketHistory) -> impl Iterator<Item = ServiceIndex> + 'a {
    let lasting = history.attributes.iter().map(|(_, attributes)| attributes);
    let counted = history.counted.iter().map(|counted| &counted.attributes);
    let services = lasting.chain(counted).filter_map(|attributes| attributes.service.as_ref());
    services.filter_map(|service| portfolio.service_place(service))
}

/// The objectives of every service that the ticket ever was about, once each.
fn objectives_of(portfolio: &Portfolio, history: &TicketHistory) -> BTreeSet<ObjectiveIndex> {
    services_of(portfolio, history)
        .flat_map(|place| portfolio.service(place).ticket_objectives.iter().copied())
        .collect()
}

impl TicketEntry {
    /// Whether nothing of it goes on, and all that it counts was counted before an instant.
    fn is_over(&self, closed_until: Instant) -> bool {
        let is_open = || self.log.history(Instant(i64::MAX)).is_some_and(|history| history.is_open());
        let runs = || self.clocks.iter().any(|(_, clock)| clock.verdict == ClockVerdict::Running);
        let counts = || self.told.iter().any(|told| told.at >= closed_until);
        self.wake_at.is_none() && !runs() && !counts() && !is_open()
    }

    fn say(
        &mut self,
        portfolio: &Portfolio,
        step: &Step,
        name: &Name,
        found: Found,
        facts: &mut Facts,
        derived: &mut Vec<Derived>,
    ) {
        let Some(first) = self
            .clocks
            .iter()
            .next()
            .map(|(key, _)| key.clone())
            .into_iter()
            .chain(found.clocks.iter().map(|(key, _)| key.clone()))
            .min()
        else {
            self.tell(portfolio, name, found.counts, found.claims, derived);
            return;
        };
        // The elapsed time of a clock that has not stopped grows by itself; a row is written again only when something
        // happened.
        let not_stopped = |key: &ClockKey, clock: &mut ClockResult| {
            let Some(before) = self.clocks.get(key).filter(|_| clock.stopped_at.is_none()) else { return };
            let grown = ClockResult { elapsed: before.elapsed, paused: before.paused, ..clock.clone() };
            if grown == *before {
                *clock = grown;
            }
        };
        let mut clocks = found.clocks;
        for (key, clock) in &mut clocks {
            not_stopped(key, clock);
        }
        for writing in self.breaches.restate(&first, found.breaches) {
            let (objective, cycle) = writing.key;
            let Some(place) = portfolio.objective_place(&objective) else { continue };
            let subject = Subject::Clock(name, cycle);
            facts.breaches.push(breach_row(portfolio.objective(place), subject, None, writing.entry, step));
        }
        for writing in self.warnings.restate(&(first.clone(), Warning::FIRST), found.warnings) {
            let ((objective, cycle), warning) = writing.key;
            let Some(place) = portfolio.objective_place(&objective) else { continue };
            let subject = Subject::Clock(name, cycle);
            facts.breaches.push(breach_row(portfolio.objective(place), subject, Some(warning), writing.entry, step));
        }
        let first_part = (first.clone(), first_spender(Instant(i64::MIN)));
        for writing in self.attributions.restate(&first_part, found.attributions) {
            let ((objective, cycle), spender) = writing.key;
            let Some(place) = portfolio.objective_place(&objective) else { continue };
            let plan = portfolio.objective(place);
            facts.attributions.push(attribution::row(plan, Some((name, cycle)), spender, writing.entry, step));
        }
        for writing in self.clocks.restate(&first, clocks) {
            let Some(place) = portfolio.objective_place(&writing.key.0) else { continue };
            facts.clocks.push(clock_row(portfolio.objective(place), name, writing, step));
        }
        self.tell(portfolio, name, found.counts, found.claims, derived);
    }

    fn tell(
        &mut self,
        portfolio: &Portfolio,
        name: &Name,
        counts: Vec<(ObjectiveKey, Instant, i64, i64)>,
        mut claims: BTreeMap<Name, Vec<Claim>>,
        derived: &mut Vec<Derived>,
    ) {
        derived.extend(retell(portfolio, &mut self.told, counts));
        for service in std::mem::take(&mut self.claimed) {
            claims.entry(service).or_default();
        }
        for (service, claims) in claims {
            let Some(place) = portfolio.service_place(&service) else { continue };
            if !claims.is_empty() {
                self.claimed.insert(service);
            }
            derived.push(Derived::Claims { service: place, ticket: name.clone(), claims });
        }
    }
}

fn clock_row(plan: &ObjectivePlan, ticket: &Name, writing: Writing<ClockKey, ClockResult>, step: &Step) -> ClockRow {
    let clock = writing.entry.row;
    ClockRow {
        agreement: plan.key.agreement.to_string(),
        agreement_version: plan.key.version as i32,
        agreement_type: plan.agreement.agreement_type.as_str().to_owned(),
        customer: plan.agreement.customer.as_deref().map(str::to_owned),
        service: plan.key.service.to_string(),
        objective: plan.key.objective.to_string(),
        signal: plan.objective.indicator.signal.as_str().to_owned(),
        ticket: ticket.to_string(),
        cycle: clock.cycle as i32,
        priority: clock.priority.as_deref().map(str::to_owned),
        started_at: clock.started_at,
        stopped_at: clock.stopped_at,
        due_at: clock.due_at,
        elapsed_us: clock.elapsed.0,
        paused_us: clock.paused.0,
        target_us: clock.target.0,
        verdict: clock.verdict.as_str().to_owned(),
        attributed_at: clock.attributed_at,
        revision: writing.entry.revision,
        retracted: writing.entry.retracted,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

/// The breach, at this instant, that a breached clock is.
fn breach(clock: &ClockResult, at: Instant) -> Breach {
    let used = match clock.stopped_at {
        Some(_) => format!("used {}", clock.elapsed),
        // It grows by itself, and how much it is when a breach is said would be chance.
        None => "not stopped".to_owned(),
    };
    Breach { at, ended_at: None, detail: format!("allowed {}, {used}", clock.target) }
}

#[cfg(test)]
mod tests;
