//! Planned records as bytes: plain JSON, another system's own JSON, and what is broken.

use chrono::{Days, NaiveDate};
use plimsoll_schemas::Instant;
use plimsoll_schemas::event::{Action, Status};

use super::catalogue::CUSTOMERS;
use super::faults::BROKEN_SORTS;
use super::{Body, DAY, DemoRecord, Generator, Planned, start_of_day};

/// Where checks look from, by the number of the check.
const LOCATIONS: [&str; 2] = ["frankfurt", "vienna"];
/// Days around the month for which a written form is kept ready: events lie within the month.
const DAYS_BEFORE: u64 = 31;
const DAYS_AFTER: usize = 62;

/// Writes times fast: dates are written once, times of day from integers.
pub(super) struct DayLabels {
    first_day_start: i64,
    labels: Vec<String>,
}

impl DayLabels {
    pub(super) fn new(month: NaiveDate) -> DayLabels {
        let first = month.checked_sub_days(Days::new(DAYS_BEFORE)).unwrap_or(month);
        let labels = first.iter_days().take(DAYS_AFTER + 31).map(|day| day.format("%Y-%m-%dT").to_string()).collect();
        DayLabels { first_day_start: start_of_day(first), labels }
    }

    /// RFC 3339 in UTC, to the second.
    fn text(&self, time: i64) -> String {
        let since = time - self.first_day_start;
        let day = usize::try_from(since.div_euclid(DAY)).ok().and_then(|day| self.labels.get(day));
        let Some(day) = day else { return Instant(time * 1_000_000).to_string() };
        let second = since.rem_euclid(DAY);
        let mut text = String::with_capacity(20);
        text.push_str(day);
        for (value, after) in [(second / 3_600, ':'), (second / 60 % 60, ':'), (second % 60, 'Z')] {
            text.push(digit(value / 10));
            text.push(digit(value % 10));
            text.push(after);
        }
        text
    }
}

fn digit(value: i64) -> char {
    u32::try_from(value).ok().and_then(|value| char::from_digit(value, 10)).unwrap_or('0')
}

/// The record as it is sent.
pub(super) fn write(generator: &Generator, planned: &Planned) -> DemoRecord {
    let time = generator.day_labels.text(planned.time);
    let (topic, key, payload) = match planned.body {
        Body::Check { service, check, status, latency_ms, number } => {
            let place = usize::from(service);
            let location = LOCATIONS[usize::from(check) % LOCATIONS.len()];
            if generator.catalogue.services[place].foreign {
                probe_result(generator, place, planned.time, location, (status, latency_ms, number))
            } else {
                check_result(generator, place, &time, location, (status, latency_ms, number))
            }
        }
        Body::TicketStep { ticket, step } => ticket_step(generator, ticket, step, &time),
        Body::ChangeStep { change, action } => change_step(generator, change, action, &time),
        Body::Feedback { ticket, score } => feedback(generator, ticket, score, &time),
        Body::Broken { sort, number } => broken(generator, (sort, number), planned.time, &time),
    };
    DemoRecord { topic, key: key.into_bytes(), payload, arrival: Instant(planned.arrival * 1_000_000) }
}

/// A record's topic, key and payload.
type Parts = (&'static str, String, Vec<u8>);

fn check_result(
    generator: &Generator,
    place: usize,
    time: &str,
    location: &str,
    (status, latency_ms, number): (Status, u32, u32),
) -> Parts {
    let service = &generator.catalogue.services[place];
    let id = &service.id;
    let status = status.as_str();
    let payload = format!(
        r#"{{"id":"chk-{place:03}-{number:06}","source":"watchtower","time":"{time}","kind":"monitoring","service":"{id}","check":"http-{location}","status":"{status}","latency_ms":{latency_ms}}}"#
    );
    ("monitoring", id.clone(), payload.into_bytes())
}

/// The same in the words of another system, whose clock writes milliseconds since 1970.
fn probe_result(
    generator: &Generator,
    place: usize,
    time: i64,
    location: &str,
    (status, latency_ms, number): (Status, u32, u32),
) -> Parts {
    let id = &generator.catalogue.services[place].id;
    let state = match status {
        Status::Up => "OK",
        Status::Degraded => "WARNING",
        Status::Down => "CRITICAL",
        Status::Unknown => "UNKNOWN",
    };
    let time_ms = time * 1_000;
    let payload = format!(
        r#"{{"uid":"{place:03}-{number:06}","timestamp":{time_ms},"labels":{{"service":"{id}","probe":"tcp-{location}","region":"eu"}},"state":"{state}","perf":{{"rtt":{latency_ms}}}}}"#
    );
    ("probes", id.clone(), payload.into_bytes())
}

fn ticket_step(generator: &Generator, number: u32, place: u8, time: &str) -> Parts {
    let ticket = &generator.tickets[number as usize];
    let step = ticket.steps[usize::from(place)];
    let id = ticket_id(number);
    let service = &generator.catalogue.services[ticket.service].id;
    let customer = customer_field(ticket.customer);
    let (action, priority) = (step.action.as_str(), step.priority);
    let outage = step.outage.map_or(String::new(), |outage| format!(r#","outage":{outage}"#));
    let payload = format!(
        r#"{{"id":"{id}-{place}","source":"service-desk","time":"{time}","kind":"incident","service":"{service}"{customer},"ticket":"{id}","action":"{action}","priority":"P{priority}"{outage}}}"#
    );
    ("incidents", id, payload.into_bytes())
}

fn change_step(generator: &Generator, number: u32, action: Action, time: &str) -> Parts {
    let change = &generator.changes[number as usize];
    let id = format!("CHG{:05}", number + 1);
    let service = &generator.catalogue.services[change.service].id;
    let (start, end) = (generator.day_labels.text(change.planned_start), generator.day_labels.text(change.planned_end));
    let outcome =
        if action == Action::Finished { format!(r#","outcome":"{}""#, change.outcome.as_str()) } else { String::new() };
    let (action, emergency) = (action.as_str(), change.emergency);
    let payload = format!(
        r#"{{"id":"{id}-{action}","source":"change-calendar","time":"{time}","kind":"change","service":"{service}","ticket":"{id}","action":"{action}","planned_start":"{start}","planned_end":"{end}","emergency":{emergency}{outcome}}}"#
    );
    ("changes", id, payload.into_bytes())
}

fn feedback(generator: &Generator, number: u32, score: u8, time: &str) -> Parts {
    let ticket = &generator.tickets[number as usize];
    let id = ticket_id(number);
    let service = &generator.catalogue.services[ticket.service].id;
    let customer = customer_field(ticket.customer);
    let payload = format!(
        r#"{{"id":"score-{id}","source":"survey","time":"{time}","kind":"feedback","service":"{service}"{customer},"ticket":"{id}","score":{score}}}"#
    );
    ("feedback", id, payload.into_bytes())
}

fn ticket_id(number: u32) -> String {
    format!("INC{:06}", number + 1)
}

fn customer_field(customer: Option<usize>) -> String {
    customer.map_or(String::new(), |place| format!(r#","customer":"{}""#, CUSTOMERS[place].0))
}

/// A record that nobody can use; `sort` says why.
fn broken(generator: &Generator, (sort, number): (u8, u8), instant: i64, time: &str) -> Parts {
    let services = &generator.catalogue.services;
    let service = services[usize::from(number) * 7 % services.len()].id.clone();
    let head = format!(r#""id":"odd-{number}","source":"watchtower""#);
    let good = format!(r#""kind":"monitoring","service":"{service}","check":"http-frankfurt""#);
    let text = match sort {
        // Cut off in the middle, as by a buffer that was too small.
        0 => format!(r#"{{{head},"time":"{time}",{good},"stat"#),
        // Another format altogether.
        1 => format!("<result service=\"{service}\" at=\"{time}\">ok</result>"),
        // No time.
        2 => format!(r#"{{{head},{good},"status":"up"}}"#),
        // No such state, in the other system's words.
        3 if number > BROKEN_SORTS => {
            let time_ms = instant * 1_000;
            let text = format!(
                r#"{{"uid":"odd-{number}","timestamp":{time_ms},"labels":{{"service":"{service}"}},"state":"FLAPPING"}}"#
            );
            return ("probes", service, text.into_bytes());
        }
        // No such status.
        3 => format!(r#"{{{head},"time":"{time}",{good},"status":"wobbly"}}"#),
        // A time that no event can have.
        4 => format!(r#"{{{head},"time":"9999-12-31T23:59:59Z",{good},"status":"up"}}"#),
        // A time that is none.
        5 => format!(r#"{{{head},"time":"yesterday at noon",{good},"status":"up"}}"#),
        // Words where a number belongs.
        6 => format!(r#"{{{head},"time":"{time}",{good},"status":"up","latency_ms":{{"p50":12}}}}"#),
        // Nothing at all.
        7 => String::new(),
        // No such kind.
        8 => format!(r#"{{{head},"time":"{time}","kind":"weather","service":"{service}","status":"up"}}"#),
        // Text in an encoding that is not UTF-8.
        _ => {
            let mut bytes =
                format!(r#"{{{head},"time":"{time}","kind":"monitoring","status":"up","service":"gesch"#).into_bytes();
            bytes.extend_from_slice(b"\xE4ft\"}");
            return ("monitoring", service, bytes);
        }
    };
    ("monitoring", service, text.into_bytes())
}
