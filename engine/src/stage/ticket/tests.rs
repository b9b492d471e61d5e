//! What tickets count for objectives, and which of their clocks are due next.

use plimsoll_schemas::event::Action;

use super::*;
use crate::portfolio::tests::portfolio_of;

mod life;
mod versions;

const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: a}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01, until: 1970-01-03}
  objectives:
    - {id: each, indicator: {signal: good_ratio, kind: incident}, target: {at_least: 90 %}, window: {calendar: day}}
    - id: closing
      indicator: {signal: good_ratio, kind: incident, count: once_per_ticket_at_closing}
      target: {at_least: 90 %}
      window: {calendar: day}
    - {id: fix, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
";

const HOUR: i64 = 3_600_000_000;

fn portfolio() -> Portfolio {
    portfolio_of(DEFINITIONS)
}

/// A record of web's ticket at this hour, with what it counts.
fn record(hour: i64, action: Action, good: Option<i64>, total: Option<i64>) -> TicketRecord {
    TicketRecord {
        time: Instant(hour * HOUR),
        sequence: i64::MIN,
        action,
        state: None,
        service: Some("web".into()),
        customer: None,
        priority: None,
        outage: None,
        opened_at: None,
        acknowledged_at: None,
        resolved_at: None,
        closed_at: None,
        good_count: good,
        total_count: total,
        ticket_type: None,
    }
}

/// What the stage tells to count once the watermark is at this hour: objective, hour, good, total.
fn told(stage: &mut TicketStage, portfolio: &Portfolio, hour: i64) -> Vec<(String, i64, i64, i64)> {
    let now = Instant(hour * HOUR);
    let step = Step { epoch: hour, tick: now, watermark: now, publish: false, closed_until: Instant(i64::MIN) };
    let mut derived = Vec::new();
    stage.close(portfolio, &step, &mut Facts::default(), &mut derived);
    let counted = derived.iter().filter_map(|derived| match derived {
        Derived::Contribution(one) => {
            let objective = portfolio.objective(one.objective).key.objective.to_string();
            Some((objective, one.at.0 / HOUR, one.good, one.total))
        }
        _ => None,
    });
    counted.collect()
}

fn count(objective: &str, hour: i64, good: i64, total: i64) -> (String, i64, i64, i64) {
    (objective.to_owned(), hour, good, total)
}

#[test]
fn r10_each_record_counts_or_the_ticket_once_at_its_closing() {
    let (portfolio, mut stage) = (portfolio(), TicketStage::default());
    stage.observe("T1", record(1, Action::Opened, Some(3), Some(4)));
    assert_eq!(told(&mut stage, &portfolio, 1), [count("each", 1, 3, 4)]);
    // A total alone is no count of a record, but part of what the ticket counts when it is closed.
    stage.observe("T1", record(2, Action::Updated, None, Some(2)));
    assert_eq!(told(&mut stage, &portfolio, 2), []);
    stage.observe("T1", record(3, Action::Closed, None, None));
    // Of 2 things no more than 2 are good. The ticket was resolved by its closing, within 4 hours.
    assert_eq!(told(&mut stage, &portfolio, 3), [count("closing", 3, 2, 2), count("fix", 3, 1, 1)]);
}

#[test]
fn r17_what_a_cancelled_ticket_counted_is_taken_back() {
    let (portfolio, mut stage) = (portfolio(), TicketStage::default());
    stage.observe("T1", record(1, Action::Opened, Some(3), Some(4)));
    stage.observe("T1", record(2, Action::Closed, None, None));
    let counted = [count("each", 1, 3, 4), count("closing", 2, 3, 4), count("fix", 2, 1, 1)];
    assert_eq!(told(&mut stage, &portfolio, 2), counted);
    stage.observe("T1", record(3, Action::Cancelled, None, None));
    let taken_back = counted.map(|(objective, hour, good, total)| (objective, hour, -good, -total));
    assert_eq!(told(&mut stage, &portfolio, 3), taken_back);
}

#[test]
fn r13_a_ticket_counts_under_the_version_in_force_and_under_no_other() {
    let (portfolio, mut stage) = (portfolio(), TicketStage::default());
    // The agreement ends with the hour 48.
    stage.observe("T1", record(47, Action::Opened, Some(1), Some(1)));
    stage.observe("T1", record(48, Action::Closed, Some(1), Some(1)));
    assert_eq!(told(&mut stage, &portfolio, 50), [count("each", 47, 1, 1)]);
}

#[test]
fn r18_clocks_are_due_in_order_until_they_stop() {
    let (portfolio, mut stage) = (portfolio(), TicketStage::default());
    // Those overdue at this hour, and those due after it.
    let due = |stage: &TicketStage, hour: i64| {
        let names = |(at, _, ticket): (Instant, &ObjectiveKey, &Name)| format!("{ticket} {}", at.0 / HOUR);
        let now = Instant(hour * HOUR);
        let overdue: Vec<String> = stage.due_until(now).map(names).collect();
        (overdue.join(", "), stage.due_after(now).map(names).collect::<Vec<_>>().join(", "))
    };
    let both = |overdue: &str, ahead: &str| (overdue.to_owned(), ahead.to_owned());
    for (ticket, hour) in [("T1", 2), ("T2", 1), ("T3", 2)] {
        stage.observe(ticket, record(hour, Action::Opened, None, None));
    }
    told(&mut stage, &portfolio, 2);
    assert_eq!(due(&stage, 2), both("", "T2 5, T1 6, T3 6"));
    stage.observe("T2", record(3, Action::Paused, None, None));
    told(&mut stage, &portfolio, 3);
    assert_eq!(due(&stage, 3), both("", "T1 6, T3 6"), "a paused clock is due at no known instant");
    told(&mut stage, &portfolio, 6);
    assert_eq!(due(&stage, 6), both("T3 6, T1 6", ""), "the first instant at which nothing is left");
    // Four hours since 1, and four in which it was paused: it is due at 9.
    stage.observe("T2", record(7, Action::Resumed, None, None));
    told(&mut stage, &portfolio, 8);
    assert_eq!(due(&stage, 8), both("T3 6, T1 6", "T2 9"), "they are breached, and have not stopped");
    stage.observe("T1", record(8, Action::Resolved, None, None));
    stage.observe("T3", record(8, Action::Paused, None, None));
    told(&mut stage, &portfolio, 10);
    assert_eq!(due(&stage, 10), both("T2 9, T3 6", ""), "a pause does not make up for anything");
    stage.observe("T2", record(10, Action::Cancelled, None, None));
    stage.observe("T3", record(10, Action::Resolved, None, None));
    told(&mut stage, &portfolio, 10);
    assert_eq!(stage.due.len(), 0, "nothing is kept of those that have stopped");
}

#[test]
fn r38_a_ticket_that_leaves_the_catalogue_is_unassigned() {
    let (portfolio, mut stage) = (portfolio(), TicketStage::default());
    let named = |hour, service: &str| TicketRecord {
        service: (!service.is_empty()).then(|| service.into()),
        ..record(hour, Action::Updated, None, None)
    };
    let unassigned = |stage: &TicketStage| -> Vec<String> {
        assert_eq!(stage.unassigned(), stage.unassigned_tickets().count());
        let told = stage.unassigned_tickets();
        told.map(|(ticket, service)| format!("{ticket} {}", service.map_or("", |id| &**id))).collect()
    };
    for (ticket, hour, service) in [("T1", 1, "wbe"), ("T2", 1, ""), ("T3", 1, "web"), ("T4", 1, "web")] {
        stage.observe(ticket, named(hour, service));
    }
    told(&mut stage, &portfolio, 1);
    assert_eq!(unassigned(&stage), ["T1 wbe", "T2 "]);
    // T1 comes to a service that is known, T3 to one that is not, T4 names none again and stays.
    for (ticket, hour, service) in [("T1", 2, "web"), ("T3", 2, "wbe"), ("T4", 2, "")] {
        stage.observe(ticket, named(hour, service));
    }
    told(&mut stage, &portfolio, 2);
    assert_eq!(unassigned(&stage), ["T2 ", "T3 wbe"]);
}

#[test]
fn r10_counts_are_kept_for_a_service_that_the_ticket_had_for_no_time_at_all() {
    let (portfolio, mut stage) = (portfolio(), TicketStage::default());
    let moved = |hour, sequence, action| TicketRecord {
        sequence,
        service: Some("elsewhere".into()),
        ..record(hour, action, None, None)
    };
    // At one instant: 3 of 7 for web, then the ticket is elsewhere.
    stage.observe("T1", TicketRecord { sequence: 1, ..record(1, Action::Opened, Some(3), Some(7)) });
    stage.observe("T1", moved(1, 2, Action::Updated));
    assert_eq!(told(&mut stage, &portfolio, 1), [count("each", 1, 3, 7)]);
    // Before the opening, to which all that is earlier is put off.
    stage.observe("T2", record(2, Action::Acknowledged, Some(2), Some(5)));
    stage.observe("T2", moved(3, 1, Action::Opened));
    assert_eq!(told(&mut stage, &portfolio, 3), [count("each", 2, 2, 5)]);
}
