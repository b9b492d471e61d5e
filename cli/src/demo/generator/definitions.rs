//! The catalogue as the YAML files that a user of Plimsoll would write.

use chrono::{Datelike, NaiveDate, Weekday};

use super::Month;
use super::catalogue::{Agreement, CUSTOMERS, CalendarId, Catalogue, OFFERINGS, Offering, Service, Tier};
use super::hours::{american_holidays, german_holidays};

/// How late a record may come after a newer one before windows stop waiting for it.
const LATENESS: &str = "10m";
/// The day of the month from which tightened agreements are in force.
const TIGHTENED_FROM_DAY: u32 = 16;
/// A tightened agreement allows three quarters of the offering's time.
const TIGHTENED_PERCENT: i64 = 75;

/// The plain form on four topics, and another system's form on a fifth.
const SOURCES: [(&str, &str, &str); 5] = [
    ("watchtower", "Watchtower, checks of web addresses", "monitoring"),
    ("service-desk", "Service desk", "incidents"),
    ("change-calendar", "Change calendar", "changes"),
    ("survey", "Survey after each ticket", "feedback"),
    ("netprobe", "Netprobe, checks of network ports in its own words", "probes"),
];
const PROBES_MAP: &str = r"  kind: monitoring
  map:
    id: /uid
    time: {pointer: /timestamp, time: ms}
    service: /labels/service
    check: /labels/probe
    status: {pointer: /state, values: {OK: up, WARNING: degraded, CRITICAL: down, UNKNOWN: unknown}}
    latency_ms: /perf/rtt
";

/// Name and text of each file.
pub(super) fn files(month: &Month, catalogue: &Catalogue) -> Vec<(String, String)> {
    let services = catalogue.services.iter().map(|service| service_document(service, catalogue));
    let customers = CUSTOMERS.iter().map(|(id, name, american)| {
        let region = if *american { "us" } else { "eu" };
        format!("{}spec: {{}}\n", head("Customer", id, name, &format!(", labels: {{region: {region}}}")))
    });
    let year = month.first.year();
    let calendars = [CalendarId::BusinessHours, CalendarId::ExtendedHours, CalendarId::UsEast]
        .map(|calendar| calendar_document(calendar, year));
    let agreements = catalogue.agreements.iter().flat_map(|agreement| agreement_documents(month, agreement, catalogue));
    let sources = SOURCES.iter().map(|source| source_document(*source));
    vec![
        file("services.yaml", services),
        file("customers.yaml", customers),
        file("calendars.yaml", calendars.into_iter()),
        file("offerings.yaml", OFFERINGS.iter().map(offering_document)),
        file("agreements.yaml", agreements),
        file("sources.yaml", sources),
    ]
}

fn file(name: &str, documents: impl Iterator<Item = String>) -> (String, String) {
    (name.to_owned(), documents.collect::<Vec<_>>().join("---\n"))
}

fn head(kind: &str, id: &str, name: &str, more: &str) -> String {
    format!("apiVersion: plimsoll/v1\nkind: {kind}\nmetadata: {{id: {id}, name: \"{name}\"{more}}}\n")
}

fn service_document(service: &Service, catalogue: &Catalogue) -> String {
    let tier = service.tier.as_str();
    let customers = list(service.customers.iter().map(|&place| CUSTOMERS[place].0));
    let depends_on = list(service.depends_on.iter().map(|&place| catalogue.services[place].id.as_str()));
    let amount = match service.tier {
        Tier::Gold => "4800.00",
        Tier::Silver => "1900.00",
        Tier::Bronze => "650.00",
    };
    let state = if service.unchecked {
        "{from: incidents}".to_owned()
    } else {
        // A gold service is checked from two places, and trouble that only one of them has is that place's own. A check
        // is trusted until two of its results are missing.
        let down_when = if service.tier.checks() > 1 { "all_down" } else { "any_down" };
        let stale_minutes = service.tier.check_interval() * 2 / 60 + 5;
        format!("{{from: both, down_when: {down_when}, stale_after: {stale_minutes}m}}")
    };
    format!(
        "{}spec:\n  tier: {tier}\n  owner: {}\n  customers: {customers}\n  depends_on: {depends_on}\n  \
         costs: {{{tier}: {{amount: {amount}, currency: EUR}}}}\n  state: {state}\n",
        head("Service", &service.id, &service.name, ""),
        service.owner
    )
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn calendar_document(calendar: CalendarId, year: i32) -> String {
    let (name, holidays): (_, fn(i32) -> Vec<NaiveDate>) = match calendar {
        CalendarId::Always => ("Around the clock", |_| Vec::new()),
        CalendarId::BusinessHours => ("Business hours, Germany", german_holidays),
        CalendarId::ExtendedHours => ("Extended hours, Germany", german_holidays),
        CalendarId::UsEast => ("Extended hours, US East", american_holidays),
    };
    let mut text = head("Calendar", calendar.as_str(), name, "");
    text += &format!("spec:\n  time_zone: {}\n  hours:\n", calendar.zone());
    for line in calendar.lines() {
        let (first, last) = (weekday(line.days.0), weekday(line.days.1));
        let days = if first == last { first.to_owned() } else { format!("{first}-{last}") };
        let (from, until) = line.hours;
        text += &format!("    - {{days: {days}, from: \"{from:02}:00\", until: \"{until:02}:00\"}}\n");
    }
    text += "  holidays:\n";
    for day in [year - 1, year, year + 1].into_iter().flat_map(holidays) {
        text += &format!("    - {day}\n");
    }
    text
}

fn weekday(day: Weekday) -> &'static str {
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][day.num_days_from_monday() as usize]
}

fn offering_document(offering: &Offering) -> String {
    let calendar = offering.calendar.as_str();
    let (whole, thousandths) = (offering.availability_thousandths / 1_000, offering.availability_thousandths % 1_000);
    let availability = format!("{whole}.{thousandths:03}");
    let share = availability.trim_end_matches('0').trim_end_matches('.');
    let state_signal = format!("signal: availability, calendar: {calendar}");
    let mut text = head("Offering", offering.id, offering.name, "") + "spec:\n  objectives:\n";
    text += &objective("availability", &state_signal, &format!("{share} %"), "month");
    if let Some(share) = offering.daily_availability {
        text += &objective("availability-daily", &state_signal, share, "day");
    }
    let minutes = offering.response_minutes[0];
    let signal = format!("signal: response_time, calendar: {calendar}, priorities: [P1, P2], within: {minutes}m");
    text += &objective("response", &signal, offering.response_share, "month");
    for (priority, minutes) in ["P1", "P2"].into_iter().zip(offering.resolution_minutes) {
        text += &resolution(offering, priority, minutes);
    }
    if let Some(share) = offering.satisfaction {
        text += &objective("satisfaction", "signal: satisfaction, good_from: 4", share, "month");
        text += "      min_sample: 5\n";
    }
    if let Some(share) = offering.change_success {
        text += &objective("change-success", "signal: change_success", share, "week");
        text += "      min_sample: 2\n";
    }
    text
}

fn resolution(offering: &Offering, priority: &str, minutes: i64) -> String {
    let calendar = offering.calendar.as_str();
    let id = format!("resolution-{}", priority.to_lowercase());
    let signal = format!("signal: resolution_time, calendar: {calendar}, priorities: [{priority}], within: {minutes}m");
    objective(&id, &signal, offering.resolution_share, "month") + "      warn_at: [50 %, 75 %, 90 %]\n"
}

fn objective(id: &str, indicator: &str, at_least: &str, window: &str) -> String {
    format!(
        "    - id: {id}\n      indicator: {{{indicator}}}\n      target: {{at_least: {at_least}}}\n      \
         window: {{calendar: {window}}}\n"
    )
}

/// One document for each version: agreements that are tightened have two.
fn agreement_documents(month: &Month, agreement: &Agreement, catalogue: &Catalogue) -> Vec<String> {
    let tightened_from = month.first.with_day(TIGHTENED_FROM_DAY).filter(|_| agreement.tightened);
    // Measuring begins with the month, so that no window before it stands empty.
    let since = month.first;
    match tightened_from {
        None => vec![agreement_document(agreement, catalogue, 1, &format!("from: {since}"), "")],
        Some(change) => {
            let offering = agreement.offering.get();
            let minutes = offering.resolution_minutes[1] * TIGHTENED_PERCENT / 100;
            let objectives = format!("  objectives:\n{}", resolution(offering, "P2", minutes));
            let (before, after) = (format!("from: {since}, until: {change}"), format!("from: {change}"));
            vec![
                agreement_document(agreement, catalogue, 1, &before, ""),
                agreement_document(agreement, catalogue, 2, &after, &objectives),
            ]
        }
    }
}

fn agreement_document(
    agreement: &Agreement,
    catalogue: &Catalogue,
    version: u32,
    effective: &str,
    objectives: &str,
) -> String {
    let region = agreement.customer.map_or("", |place| if CUSTOMERS[place].2 { "us" } else { "eu" });
    let labels = if region.is_empty() { String::new() } else { format!(", labels: {{region: {region}}}") };
    let customer = agreement.customer.map_or(String::new(), |place| format!("  customer: {}\n", CUSTOMERS[place].0));
    let services = list(agreement.services.iter().map(|&place| catalogue.services[place].id.as_str()));
    let rests_on = list(agreement.rests_on.iter().map(String::as_str));
    format!(
        "{}spec:\n  type: {}\n{customer}  services: {services}\n  offering: {}\n  time_zone: UTC\n  \
         effective: {{{effective}}}\n  rests_on: {rests_on}\n  review: {{every: 3 months}}\n{objectives}",
        head("Agreement", &agreement.id, &agreement.name, &format!(", version: {version}{labels}")),
        agreement.agreement_type,
        agreement.offering.get().id,
    )
}

fn source_document((id, name, topic): (&str, &str, &str)) -> String {
    let map = if topic == "probes" { PROBES_MAP } else { "" };
    format!("{}spec:\n  topics: [{topic}]\n  format: json\n  lateness: {LATENESS}\n{map}", head("Source", id, name, ""))
}
