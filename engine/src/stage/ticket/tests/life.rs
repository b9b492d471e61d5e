//! What a ticket's life leaves: levels, what is not said twice, and what is forgotten.

use super::*;
use crate::ticket::ClockVerdict;

/// For a customer, on two services from 1970-01-01 to 1970-01-03: an answer in 1 h, a solution in 4 h, none overdue.
const PROMISES: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: a}
spec:
  type: sla
  customer: acme
  services: [web, mail]
  effective: {from: 1970-01-01, until: 1970-01-03}
  objectives:
    - {id: answer, indicator: {signal: response_time, within: 1h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: fix, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: late, indicator: {signal: overdue_count, within: 4h}, target: {at_most: 0}, window: {calendar: day}}
";

/// What a step at this microsecond says, and tells to count.
fn close(stage: &mut TicketStage, portfolio: &Portfolio, at: i64) -> (Facts, Vec<Derived>) {
    let now = Instant(at);
    let step = Step { epoch: 1, tick: now, watermark: now, publish: false, closed_until: Instant(i64::MIN) };
    let (mut facts, mut derived) = (Facts::default(), Vec::new());
    stage.close(portfolio, &step, &mut facts, &mut derived);
    (facts, derived)
}

fn opened(hour: i64) -> TicketRecord {
    record(hour, Action::Opened, None, None)
}

#[test]
fn r10_a_ticket_is_a_level_from_when_it_is_open_until_the_agreement_ends() {
    let portfolio = portfolio_of(PROMISES);
    let only_levels = |counts: Vec<(String, i64, i64, i64)>| {
        let counts = counts.into_iter().filter(|(objective, ..)| objective == "late");
        counts.map(|(_, hour, good, total)| (hour, good, total)).collect::<Vec<_>>()
    };
    let mut stage = TicketStage::default();
    stage.observe("T1", opened(2));
    // What lies at the watermark has not lasted yet; it is told without an event.
    assert_eq!(only_levels(told(&mut stage, &portfolio, 2)), []);
    assert_eq!(only_levels(told(&mut stage, &portfolio, 3)), [(2, 1, 1)]);
    assert_eq!(only_levels(told(&mut stage, &portfolio, 6)), []);
    assert_eq!(only_levels(told(&mut stage, &portfolio, 7)), [(6, -1, 0)]);
    stage.observe("T1", record(9, Action::Resolved, None, None));
    assert_eq!(only_levels(told(&mut stage, &portfolio, 10)), [(9, 0, -1)]);
    // One that is opened and resolved at once was never open.
    stage.observe("T2", opened(10));
    stage.observe("T2", record(10, Action::Resolved, None, None));
    assert_eq!(only_levels(told(&mut stage, &portfolio, 11)), []);
    // The agreement ends with the hour 48, at which this one is overdue, and another is resolved.
    stage.observe("T3", opened(44));
    stage.observe("T4", opened(46));
    stage.observe("T4", record(48, Action::Resolved, None, None));
    assert_eq!(only_levels(told(&mut stage, &portfolio, 60)), [(44, 1, 1), (46, 1, 1)]);
}

#[test]
fn r18_clocks_of_an_objective_run_on_its_service_and_for_its_customer() {
    let portfolio = portfolio_of(PROMISES);
    let clocks = |service: &str, customer: Option<&str>| {
        let mut stage = TicketStage::default();
        let (service, customer) = (Some(service.into()), customer.map(Name::from));
        stage.observe("T1", TicketRecord { service, customer, ..opened(2) });
        stage.observe("T1", record(3, Action::Updated, None, None));
        stage.observe("T1", record(4, Action::Acknowledged, None, None));
        let (facts, _) = close(&mut stage, &portfolio, 5 * HOUR);
        let shown = facts.clocks.iter().map(|row| format!("{} {} {}", row.service, row.objective, row.verdict));
        let mut shown: Vec<String> = shown.collect();
        shown.sort_unstable();
        shown
    };
    // The later records are about `web`, where the ticket goes over. It was answered after 2 hours.
    assert_eq!(clocks("web", Some("acme")), ["web answer breached", "web fix running"]);
    assert_eq!(clocks("web", None), ["web answer breached", "web fix running"]);
    assert_eq!(clocks("web", Some("other")), [""; 0]);
    assert_eq!(
        clocks("mail", Some("acme")),
        ["mail answer moved", "mail fix moved", "web answer breached", "web fix running"]
    );
}

#[test]
fn r22_a_clock_that_only_grew_is_not_said_again() {
    let portfolio = portfolio_of(PROMISES);
    let mut stage = TicketStage::default();
    let mut said = |hour: i64, record: Option<TicketRecord>| {
        record.into_iter().for_each(|record| stage.observe("T1", record));
        let (facts, _) = close(&mut stage, &portfolio, hour * HOUR);
        let rows = facts.clocks.iter().filter(|row| row.objective == "fix");
        let shown = rows
            .map(|row| (row.elapsed_us / HOUR, row.paused_us / HOUR, row.due_at.map(|at| at.0 / HOUR), row.revision));
        shown.collect::<Vec<_>>()
    };
    let updated = |hour| Some(record(hour, Action::Updated, None, None));
    assert_eq!(said(2, Some(opened(1))), [(1, 0, Some(5), 0)]);
    assert_eq!(said(3, updated(2)), []);
    assert_eq!(said(4, Some(record(3, Action::Paused, None, None))), [(2, 1, None, 1)]);
    // It goes on being paused.
    assert_eq!(said(6, updated(5)), []);
    // Five hours were paused, from 3:00 to 8:00.
    assert_eq!(said(9, Some(record(8, Action::Resumed, None, None))), [(3, 5, Some(10), 2)]);
    assert_eq!(said(10, Some(record(9, Action::Resolved, None, None))), [(3, 5, Some(10), 3)]);
}

#[test]
fn r33_time_is_split_only_where_an_agreement_rests_on_others() {
    let portfolio = portfolio_of(PROMISES);
    let mut stage = TicketStage::default();
    stage.observe("T1", opened(1));
    let (facts, _) = close(&mut stage, &portfolio, 9 * HOUR);
    assert_eq!(facts.breaches.iter().filter(|row| row.event == "breach").count(), 2);
    assert_eq!(facts.attributions, []);
}

#[test]
fn r21_a_ticket_is_read_again_only_when_something_else_would_be_found() {
    let portfolio = portfolio_of(PROMISES);
    let mut stage = TicketStage::default();
    stage.observe("T1", opened(1));
    stage.observe("T1", record(3, Action::Closed, None, None));
    let wakes = |stage: &TicketStage| (stage.tickets["T1"].wake_at.map(|at| at.0), stage.waking.len());
    // 50 % of the hour in which an answer is due are used up at 1:30, and the record of 3:00 lies ahead.
    close(&mut stage, &portfolio, HOUR);
    assert_eq!(wakes(&stage), (Some(HOUR + 1), 1), "it is a level from 1:00 on");
    close(&mut stage, &portfolio, HOUR + 1);
    assert_eq!(wakes(&stage), (Some(HOUR + HOUR / 2), 1));
    close(&mut stage, &portfolio, 5 * HOUR / 2);
    assert_eq!(wakes(&stage), (Some(3 * HOUR), 1));
    // At 3:00 itself it is still open to those who count levels, and not a microsecond later.
    close(&mut stage, &portfolio, 3 * HOUR);
    assert_eq!(wakes(&stage), (Some(3 * HOUR + 1), 1));
    close(&mut stage, &portfolio, 3 * HOUR + 1);
    assert_eq!(wakes(&stage), (None, 0));
}

/// What is forgotten until an hour.
fn edge(hour: i64) -> Edge {
    let at = Instant(hour * HOUR);
    Edge { closed_until: at, kept_from: at, named_from: Instant(i64::MIN) }
}

/// The tickets that are remembered.
fn known(stage: &TicketStage) -> Vec<&str> {
    stage.tickets.keys().map(|name| &**name).collect()
}

#[test]
fn r21_a_ticket_is_forgotten_once_it_is_over_and_all_of_it_is_closed() {
    let portfolio = portfolio_of(PROMISES);
    let mut stage = TicketStage::default();
    // Closed at 3:00; open; closed at 3:00 with a service that nobody knows; closed and not yet read.
    let unknown = TicketRecord { service: Some("wbe".into()), ..opened(1) };
    for (ticket, first) in [("T1", opened(1)), ("T2", opened(1)), ("T3", unknown)] {
        stage.observe(ticket, first);
    }
    for ticket in ["T1", "T3"] {
        let service = (ticket == "T3").then(|| "wbe".into());
        stage.observe(ticket, TicketRecord { service, ..record(3, Action::Closed, None, None) });
    }
    close(&mut stage, &portfolio, 60 * HOUR);
    stage.observe("T4", opened(1));
    stage.observe("T4", record(2, Action::Closed, None, None));
    assert_eq!((known(&stage), stage.unassigned()), (vec!["T1", "T2", "T3", "T4"], 1));
    stage.forget(&edge(3));
    assert_eq!(known(&stage), ["T1", "T2", "T3", "T4"], "the last of it is not before the edge");
    stage.forget(&edge(4));
    assert_eq!((known(&stage), stage.unassigned()), (vec!["T2", "T4"], 0));
    stage.observe("T1", record(5, Action::Updated, None, None));
    assert_eq!((known(&stage), stage.beyond_history()), (vec!["T2", "T4"], 1));
    close(&mut stage, &portfolio, 60 * HOUR);
    stage.forget(&edge(4));
    assert_eq!(known(&stage), ["T2"], "it is open");
}

#[test]
fn r21_a_ticket_is_kept_while_anything_of_it_goes_on() {
    let portfolio = portfolio_of(PROMISES);
    let mut stage = TicketStage::default();
    stage.observe("T1", opened(1));
    stage.observe("T1", record(3, Action::Closed, None, None));
    close(&mut stage, &portfolio, 60 * HOUR);
    let entry = stage.tickets["T1"].clone();
    let closed_until = Instant(4 * HOUR);
    assert!(entry.is_over(closed_until));
    // It counted as open from 1:00 to 3:00, and its clocks where they stopped.
    assert!(!entry.is_over(Instant(3 * HOUR)), "at the edge itself it is not closed");
    assert!(!TicketEntry { wake_at: Some(Instant(90 * HOUR)), ..entry.clone() }.is_over(closed_until));
    let mut runs = entry.clone();
    let (key, clock) = entry.clocks.iter().next().expect("a clock");
    let running = ClockResult { verdict: ClockVerdict::Running, ..clock.clone() };
    runs.clocks.put(key.clone(), Some(running));
    assert!(!runs.is_over(closed_until));
    let mut open = entry.clone();
    open.log.insert(record(5, Action::Reopened, None, None));
    assert!(!open.is_over(closed_until));
}
