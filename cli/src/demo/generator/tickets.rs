//! Incidents from opening to closing, and what users say of them.
//!
//! Times to respond and to resolve are drawn as a part of the offering's limit in agreed time, so that how often a
//! limit is missed is a matter of the service's temper, not of the hour at which a ticket comes in.

use chrono::{Datelike, Weekday};
use plimsoll_schemas::event::Action;

use super::catalogue::{Catalogue, Temper, Tier};
use super::dice::{Dice, Part};
use super::hours::german_holidays;
use super::outages::{Outage, Outages};
use super::{Body, HOUR, MINUTE, Month, Planned, start_of_day};

/// An incident and all that happens to it, also after the month.
pub(super) struct Ticket {
    pub(super) service: usize,
    /// A place in `CUSTOMERS`.
    pub(super) customer: Option<usize>,
    pub(super) steps: Vec<Step>,
    /// When a user scored it, and how.
    feedback: Option<(i64, u8)>,
}

/// One step in the life of an incident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) time: i64,
    pub(super) action: Action,
    /// 1 to 4.
    pub(super) priority: u8,
    /// What the step says of the service being down, if anything.
    pub(super) outage: Option<bool>,
}

/// Incidents that have nothing to do with an outage, at least and at most, on a working day and on a day of rest.
const WORKDAY_TICKETS: (i64, i64) = (105, 155);
const REST_DAY_TICKETS: (i64, i64) = (8, 26);
/// The hour (UTC) at which they are opened: the European morning.
const HOUR_WEIGHTS: [i64; 24] = [2, 1, 1, 1, 2, 5, 18, 62, 70, 58, 34, 22, 20, 26, 24, 18, 10, 6, 5, 4, 4, 3, 3, 2];
/// P1 to P4 among them, of a thousand.
const PRIORITY_WEIGHTS: [i64; 4] = [25, 165, 610, 200];
/// Tenths of all times to respond and to resolve, in thousandths of the limit, where the limit is kept.
const RESPONSE_PERMILLE: [i64; 11] = [10, 30, 60, 100, 150, 210, 290, 390, 520, 700, 930];
const RESOLUTION_PERMILLE: [i64; 11] = [40, 90, 140, 200, 270, 340, 420, 520, 640, 790, 950];
/// Where it is missed.
const MISSED_PERMILLE: (i64, i64) = (1_050, 2_600);
/// Tenths of all times to resolve P3 and P4, in agreed minutes: nobody promises anything there.
const UNHURRIED_MINUTES: [i64; 11] = [8, 45, 110, 210, 360, 600, 900, 1_300, 2_000, 3_600, 11_000];
/// Of a thousand tickets, how many wait for somebody else, become more urgent, come back, or should never have been.
const PAUSED_PERMILLE: i64 = 230;
const ESCALATED_PERMILLE: i64 = 40;
const REOPENED_PERMILLE: i64 = 11;
const CANCELLED_PERMILLE: i64 = 20;
/// Outages shorter than this are over before anybody declares one.
const DECLARED_OUTAGE_MIN: i64 = 10 * MINUTE;
/// Incidents that are open at the month's end with little time left.
const ABOUT_TO_BREACH: usize = 9;

/// All incidents of the month, by opening.
pub(super) fn plan(seed: u64, month: &Month, catalogue: &Catalogue, outages: &Outages) -> Vec<Ticket> {
    let dice = Dice::new(seed, Part::Tickets);
    let mut desk = Desk { dice, catalogue, tickets: Vec::new() };
    for outage in &outages.outages {
        desk.take_outage(outage);
    }
    let weights: Vec<i64> = catalogue.services.iter().map(|service| service.weight).collect();
    for date in month.dates() {
        let weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
        let rest = weekend || german_holidays(date.year()).contains(&date);
        let (least, most) = if rest { REST_DAY_TICKETS } else { WORKDAY_TICKETS };
        for _ in 0..desk.dice.between(least, most) {
            let hour = i64::try_from(desk.dice.weighted(&HOUR_WEIGHTS)).unwrap_or(0);
            let opened = start_of_day(date) + hour * HOUR + desk.dice.below(HOUR);
            let service = desk.dice.weighted(&weights);
            let priority = 1 + desk.dice.weighted(&PRIORITY_WEIGHTS) as u8;
            desk.take_call(service, opened, priority);
        }
    }
    desk.leave_open(month);
    desk.tickets.sort_by_key(|ticket| (ticket.steps.first().map(|step| step.time), ticket.service));
    desk.tickets
}

/// Adds every step and every score that falls into the month to the plan.
pub(super) fn schedule(month: &Month, tickets: &[Ticket], plan: &mut Vec<Planned>) {
    let span = month.start..month.end;
    for (number, ticket) in (0..).zip(tickets) {
        for (place, step) in (0..).zip(&ticket.steps).filter(|(_, step)| span.contains(&step.time)) {
            let body = Body::TicketStep { ticket: number, step: place };
            plan.push(Planned { arrival: step.time + 2, time: step.time, body });
        }
        if let Some((time, score)) = ticket.feedback.filter(|(time, _)| span.contains(time)) {
            plan.push(Planned { arrival: time + 3, time, body: Body::Feedback { ticket: number, score } });
        }
    }
}

/// Where incidents are taken in and worked on.
struct Desk<'a> {
    dice: Dice,
    catalogue: &'a Catalogue,
    tickets: Vec<Ticket>,
}

impl Desk<'_> {
    /// The incident that an outage is declared by, and calls of those who notice.
    fn take_outage(&mut self, outage: &Outage) {
        let service = &self.catalogue.services[outage.service];
        let unchecked = service.unchecked;
        if unchecked || outage.until - outage.from >= DECLARED_OUTAGE_MIN {
            // Where nothing is checked, the caller's word says since when.
            let delay = if unchecked { 0 } else { self.dice.between(30, 4 * MINUTE) };
            let priority = if service.tier == Tier::Bronze { 2 } else { 1 };
            self.declare(outage, outage.from + delay, priority);
        }
        let calls = if outage.burst.is_some() { self.dice.below(4) } else { self.dice.below(2) };
        for _ in 0..calls {
            let opened = outage.from + self.dice.between(3 * MINUTE, 25 * MINUTE);
            let priority = if self.dice.permille(250) { 2 } else { 3 };
            self.take_call(outage.service, opened, priority);
        }
    }

    /// Opens an incident that says `outage` and takes that back, or is resolved, when the outage is over.
    fn declare(&mut self, outage: &Outage, opened: i64, priority: u8) {
        let acknowledged = (opened + self.dice.between(MINUTE, 9 * MINUTE)).min(outage.until - 1);
        let mut life = Life::opened(opened, priority, true);
        life.then(acknowledged, Action::Acknowledged);
        let resolved = if self.dice.permille(500) {
            life.then(outage.until, Action::Updated);
            life.says_outage(false);
            outage.until + self.dice.between(5 * MINUTE, 45 * MINUTE)
        } else {
            outage.until
        };
        life.then(resolved, Action::Resolved);
        let closed = resolved + self.dice.between(HOUR, 30 * HOUR);
        life.then(closed, Action::Closed);
        self.file(outage.service, life);
    }

    /// An incident that somebody reports, from opening to closing.
    fn take_call(&mut self, service: usize, opened: i64, priority: u8) {
        let mut life = Life::opened(opened, priority, false);
        if self.dice.permille(CANCELLED_PERMILLE) {
            let cancelled = opened + self.dice.between(5 * MINUTE, 3 * HOUR);
            life.then(cancelled, Action::Cancelled);
        } else {
            self.work(service, &mut life);
        }
        self.file(service, life);
    }

    /// Acknowledges, perhaps waits, resolves and closes.
    fn work(&mut self, service: usize, life: &mut Life) {
        let hours = self.catalogue.hours_of(service);
        let opened = life.last_time();
        let escalated = life.priority == 3 && self.dice.permille(ESCALATED_PERMILLE);
        let final_priority = if escalated { 2 } else { life.priority };
        let response = self.response(service, life.priority);
        // Nobody resolves what nobody has looked at.
        let resolution = self.resolution(service, final_priority).max(response + 2 * MINUTE);

        life.then(hours.advance(opened, response), Action::Acknowledged);
        if escalated {
            life.priority = final_priority;
            life.then(life.last_time() + 30, Action::Updated);
        }
        let mut rest = resolution - response;
        if self.dice.permille(PAUSED_PERMILLE) {
            let before = rest * self.dice.between(100, 700) / 1_000;
            life.then(hours.advance(life.last_time(), before), Action::Paused);
            life.then(life.last_time() + self.dice.between(20 * MINUTE, 40 * HOUR), Action::Resumed);
            rest -= before;
        }
        for _ in 0..self.dice.below(3) {
            let part = rest * self.dice.between(100, 500) / 1_000;
            life.then(hours.advance(life.last_time(), part), Action::Updated);
            rest -= part;
        }
        life.then(hours.advance(life.last_time(), rest), Action::Resolved);
        if self.dice.permille(REOPENED_PERMILLE) {
            life.then(life.last_time() + self.dice.between(HOUR, 20 * HOUR), Action::Reopened);
            let again = self.dice.between(15 * MINUTE, 100 * MINUTE);
            life.then(hours.advance(life.last_time(), again), Action::Resolved);
        }
        life.then(life.last_time() + self.dice.between(HOUR, 72 * HOUR), Action::Closed);
    }

    /// Agreed seconds until somebody takes a ticket up.
    fn response(&mut self, service: usize, priority: u8) -> i64 {
        let limits = self.catalogue.services[service].offering.get().response_minutes;
        let limit = limits[usize::from(priority > 2)];
        limit * MINUTE * self.part_of_limit(service, &RESPONSE_PERMILLE) / 1_000
    }

    /// Agreed seconds until a ticket is solved.
    fn resolution(&mut self, service: usize, priority: u8) -> i64 {
        let limits = self.catalogue.services[service].offering.get().resolution_minutes;
        match limits.get(usize::from(priority - 1)) {
            Some(limit) => limit * MINUTE * self.part_of_limit(service, &RESOLUTION_PERMILLE) / 1_000,
            None => self.dice.quantile(&UNHURRIED_MINUTES) * MINUTE + self.dice.below(MINUTE),
        }
    }

    /// Thousandths of a limit; above 1,000 as often as the service's temper has it.
    fn part_of_limit(&mut self, service: usize, table: &[i64]) -> i64 {
        let missed_permille = match self.catalogue.services[service].temper {
            Temper::Fine => 3,
            Temper::Near => 40,
            Temper::Below => 170,
        };
        if self.dice.permille(missed_permille) {
            self.dice.between(MISSED_PERMILLE.0, MISSED_PERMILLE.1)
        } else {
            self.dice.quantile(table)
        }
    }

    /// Keeps a ticket, with the customer who called and what they say in the end.
    fn file(&mut self, service: usize, life: Life) {
        let customers = &self.catalogue.services[service].customers;
        let customer = customers.get(self.dice.index(customers.len())).copied();
        let resolved = life.steps.iter().rfind(|step| step.action == Action::Resolved).map(|step| step.time);
        let feedback = customer.and(resolved).and_then(|time| self.feedback(service, time));
        self.tickets.push(Ticket { service, customer, steps: life.steps, feedback });
    }

    fn feedback(&mut self, service: usize, resolved: i64) -> Option<(i64, u8)> {
        let service = &self.catalogue.services[service];
        let (answers_permille, score_weights) = match (service.watermelon, service.temper) {
            (true, _) => (550, [28, 30, 24, 12, 6]),
            (false, Temper::Below) => (420, [8, 14, 24, 32, 22]),
            (false, _) => (350, [1, 1, 5, 34, 59]),
        };
        self.dice.permille(answers_permille).then(|| {
            let score = 1 + self.dice.weighted(&score_weights) as u8;
            (resolved + self.dice.between(10 * MINUTE, 30 * HOUR), score)
        })
    }

    /// Incidents of gold services that are open at the month's end with most of their time gone.
    fn leave_open(&mut self, month: &Month) {
        let services = &self.catalogue.services;
        let mut gold: Vec<usize> = (0..services.len())
            .filter(|&service| services[service].tier == Tier::Gold && !services[service].customers.is_empty())
            .collect();
        self.dice.shuffle(&mut gold);
        for (order, service) in gold.into_iter().take(ABOUT_TO_BREACH).enumerate() {
            let place = usize::from(order % 3 != 0);
            let offering = services[service].offering.get();
            let (resolution, response) = (offering.resolution_minutes[place], offering.response_minutes[0]);
            let age = resolution * MINUTE * self.dice.between(700, 985) / 1_000;
            let priority = if place == 0 { 1 } else { 2 };
            let mut life = Life::opened(month.end - age, priority, false);
            life.then(month.end - age + response * MINUTE * self.dice.between(100, 900) / 1_000, Action::Acknowledged);
            self.file(service, life);
        }
    }
}

/// The life of one ticket while it is made up.
struct Life {
    steps: Vec<Step>,
    priority: u8,
}

impl Life {
    fn opened(time: i64, priority: u8, outage: bool) -> Life {
        Life { steps: vec![Step { time, action: Action::Opened, priority, outage: Some(outage) }], priority }
    }

    fn then(&mut self, time: i64, action: Action) {
        self.steps.push(Step { time, action, priority: self.priority, outage: None });
    }

    /// Lets the last step say whether the service is down.
    fn says_outage(&mut self, outage: bool) {
        if let Some(step) = self.steps.last_mut() {
            step.outage = Some(outage);
        }
    }

    fn last_time(&self) -> i64 {
        self.steps.last().map_or(0, |step| step.time)
    }
}
