//! What one row of `breaches` warns of, and how it is named to people and programs.

use std::collections::BTreeMap;

use plimsoll_schemas::table::BreachRow;
use plimsoll_schemas::{Instant, Micros};

/// What a promise was about: a window of an objective, or one run of a ticket's clock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The agreement.
    pub agreement: String,
    /// Its version.
    pub agreement_version: i32,
    /// The service.
    pub service: String,
    /// The objective.
    pub objective: String,
    /// The ticket, and which run of its clock.
    pub clock: Option<(String, i32)>,
    /// The start of the window, where it is not a ticket's.
    pub window_start: Option<Instant>,
}

impl Subject {
    /// That of a row.
    pub fn of(row: &BreachRow) -> Subject {
        Subject {
            agreement: row.agreement.clone(),
            agreement_version: row.agreement_version,
            service: row.service.clone(),
            objective: row.objective.clone(),
            clock: row.ticket.clone().zip(row.cycle),
            window_start: row.window_start,
        }
    }
}

/// How bad it is. Of shares that are used the highest matters, and a breach more than any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// This share is used up, in billionths (R28).
    Used(i64),
    /// The budget burns too fast over this long span, in microseconds (R27).
    Burning(i64),
    /// It is missed.
    Breached,
}

impl Level {
    /// That of a row, also of one that takes it back.
    pub fn of(row: &BreachRow) -> Level {
        match (row.retracts.as_deref().unwrap_or(&row.event), row.span_us, row.threshold_ratio) {
            ("breach", ..) => Level::Breached,
            (_, Some(span), _) => Level::Burning(span),
            (_, None, share) => Level::Used(share.map_or(0, |share| share.0.0)),
        }
    }

    /// The name of the alert.
    fn name(self, is_ticket: bool) -> &'static str {
        match (self, is_ticket) {
            (Level::Used(_), true) => "PlimsollTicketNearDue",
            (Level::Used(_), false) => "PlimsollErrorBudgetUsed",
            (Level::Burning(_), _) => "PlimsollErrorBudgetBurn",
            (Level::Breached, true) => "PlimsollTicketOverdue",
            (Level::Breached, false) => "PlimsollObjectiveBreached",
        }
    }
}

/// How urgent a row is: `page` or `ticket`, as the row says; a ticket that is overdue is to page, what else is missed or
/// used up is not.
pub fn severity(row: &BreachRow) -> &str {
    match (Level::of(row), &row.severity) {
        (_, Some(severity)) => severity,
        (Level::Breached, None) if row.ticket.is_some() => "page",
        _ => "ticket",
    }
}

/// What it comes from, and by what messages are put together: the ticket, or the service.
pub fn cause(row: &BreachRow) -> String {
    match &row.ticket {
        Some(ticket) => format!("ticket:{ticket}"),
        None => format!("service:{}", row.service),
    }
}

/// Who it is: the same for as long as it is the same alert.
pub fn labels(row: &BreachRow) -> BTreeMap<&'static str, String> {
    let level = Level::of(row);
    let mut labels = BTreeMap::from([
        ("agreement", row.agreement.clone()),
        ("agreement_type", row.agreement_type.clone()),
        ("agreement_version", row.agreement_version.to_string()),
        ("alertname", level.name(row.ticket.is_some()).to_owned()),
        ("cause", cause(row)),
        ("objective", row.objective.clone()),
        ("service", row.service.clone()),
        ("severity", severity(row).to_owned()),
        ("signal", row.signal.clone()),
    ]);
    labels.extend(row.customer.clone().map(|customer| ("customer", customer)));
    labels.extend(row.ticket.clone().map(|ticket| ("ticket", ticket)));
    labels.extend(row.cycle.map(|cycle| ("cycle", cycle.to_string())));
    labels.extend(row.window_start.map(|start| ("window_start", start.to_string())));
    match level {
        Level::Used(_) => labels.extend(row.threshold_ratio.map(|share| ("used", share.0.to_string()))),
        Level::Burning(span) => labels.extend([("span", Micros(span).to_string())]),
        Level::Breached => {}
    }
    labels
}

/// One line for people.
pub fn summary(row: &BreachRow) -> String {
    let of = format!("{} of {} for {}", row.objective, row.service, row.agreement);
    let about = match (&row.ticket, row.window_start) {
        (Some(ticket), _) => format!("ticket {ticket}: {of}"),
        (None, Some(start)) => format!("{of}, window from {start}"),
        (None, None) => of,
    };
    let share = row.threshold_ratio.map(|share| share.0.to_string()).unwrap_or_default();
    match Level::of(row) {
        Level::Breached => format!("Missed: {about}"),
        Level::Used(_) if row.ticket.is_some() => format!("{share} of the time is used: {about}"),
        Level::Used(_) => format!("{share} of what is allowed is used: {about}"),
        Level::Burning(span) => format!("The error budget burns too fast over {}: {about}", Micros(span)),
    }
}

/// Where the facts behind a row are to be seen, below the address of a Plimsoll that answers over HTTP.
pub fn evidence(row: &BreachRow, base: &str) -> Option<String> {
    let mut parameters = vec![("agreement", &row.agreement), ("service", &row.service), ("objective", &row.objective)];
    let window = row.window_start.map(|start| start.to_string());
    let path = match (&row.ticket, &window) {
        (Some(ticket), _) => {
            parameters.push(("ticket", ticket));
            "clocks"
        }
        (None, Some(window)) => {
            parameters.push(("window", window));
            "audit"
        }
        (None, None) => return None,
    };
    let base = format!("{}/v1/{path}", base.trim_end_matches('/'));
    reqwest::Url::parse_with_params(&base, parameters).ok().map(String::from)
}
