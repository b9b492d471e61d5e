//! Services, customers and calendars: document in, checked value out.

use std::collections::BTreeMap;

use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;

use super::document::Node;
use super::index::{Edge, Index, Kind};
use super::model::{Calendar, Cost, Customer, DaySpan, DownWhen, Evidence, Service, StateRule};
use super::problem::Problems;
use super::scalar;

/// The id of a document; empty when it has none, which the schema tells.
pub(super) fn id_of(root: &Node<'_>) -> String {
    scalar::optional_text(root.path(&["metadata", "id"])).unwrap_or_default()
}

/// The name of a document for people: its id when it has none.
pub(super) fn name_of(root: &Node<'_>) -> String {
    scalar::optional_text(root.path(&["metadata", "name"])).unwrap_or_else(|| id_of(root))
}

/// The labels of a document.
pub(super) fn labels_of(root: &Node<'_>) -> BTreeMap<String, String> {
    let labels = root.path(&["metadata", "labels"]).map(|labels| labels.entries()).unwrap_or_default();
    labels.into_iter().filter_map(|(name, label)| Some((name.to_owned(), label.text()?.to_owned()))).collect()
}

/// A customer has only its metadata.
pub(super) fn customer(root: &Node<'_>) -> Customer {
    Customer { id: id_of(root), name: name_of(root) }
}

/// A service, and what it depends on.
pub(super) fn service<'a>(
    root: &Node<'a>,
    index: &Index<'a>,
    edges: &mut Vec<Edge<'a>>,
    problems: &mut Problems,
) -> Service {
    let mut service = Service { id: id_of(root), name: name_of(root), ..Service::default() };
    let Some(spec) = root.get("spec") else { return service };
    service.tier = scalar::optional_text(spec.get("tier"));
    service.owner = scalar::optional_text(spec.get("owner"));
    service.customers = index.references(&spec, "customers", Kind::Customer, problems);
    service.depends_on = index.references(&spec, "depends_on", Kind::Service, problems);
    for node in spec.list("depends_on") {
        if let Some(to) = node.text() {
            edges.push(Edge { from: service.id.clone(), to: to.to_owned(), node });
        }
    }
    for (tier, cost) in spec.get("costs").map(|costs| costs.entries()).unwrap_or_default() {
        if let Some(cost) = cost_of(&cost, problems) {
            service.costs.insert(tier.to_owned(), cost);
        }
    }
    if let Some(state) = spec.get("state") {
        service.state = state_rule(&state, problems);
    }
    service
}

fn cost_of(node: &Node<'_>, problems: &mut Problems) -> Option<Cost> {
    let amount = node.get("amount")?;
    let currency = scalar::optional_text(node.get("currency"))?;
    let hundredths = amount.scalar().and_then(|text| {
        let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
        let cents = (cents.len() <= 2).then(|| format!("{cents:0<2}"))?;
        format!("{whole}{cents}").parse::<i64>().ok()
    });
    if hundredths.is_none() {
        problems.wrong(&amount, "an amount in digits with at most two decimals, such as 1200.00");
    }
    Some(Cost { amount_hundredths: hundredths?, currency })
}

/// More checks than this of one service are a slip of the finger.
const CHECKS_MAX: i64 = 1_000_000;

fn state_rule(node: &Node<'_>, problems: &mut Problems) -> StateRule {
    let default = StateRule::default();
    let evidence = [("checks", Evidence::Checks), ("incidents", Evidence::Incidents), ("both", Evidence::Both)];
    let words = [("any_down", DownWhen::AnyDown), ("all_down", DownWhen::AllDown)];
    let down_when = match node.path(&["down_when", "at_least"]) {
        Some(count) => {
            let count = scalar::integer(&count, 1..=CHECKS_MAX, problems).and_then(|count| u32::try_from(count).ok());
            count.map_or(default.down_when, DownWhen::AtLeast)
        }
        None => scalar::word(node.get("down_when"), &words, default.down_when, problems),
    };
    let stale_after = node.get("stale_after").and_then(|node| scalar::positive_duration(&node, problems));
    StateRule {
        evidence: scalar::word(node.get("from"), &evidence, default.evidence, problems),
        down_when,
        stale_after: stale_after.unwrap_or(default.stale_after),
    }
}

/// A calendar.
pub(super) fn calendar(root: &Node<'_>, problems: &mut Problems) -> Calendar {
    let zone = root.path(&["spec", "time_zone"]).and_then(|node| scalar::time_zone(&node, problems));
    let mut calendar =
        Calendar { id: id_of(root), time_zone: zone.unwrap_or(Tz::UTC), hours: Vec::new(), holidays: Vec::new() };
    let Some(spec) = root.get("spec") else { return calendar };
    let mut occupied = Vec::new();
    for node in spec.list("hours") {
        let Some((from, until)) = span(&node, problems) else { continue };
        for day in days(&node, problems) {
            check_overlap(&node, day, from, until, &mut occupied, problems);
            let span = DaySpan { from: time_at(from), until: time_at(until) };
            calendar.hours.push((day, span));
        }
    }
    calendar.hours.sort_by_key(|(day, span)| (day.num_days_from_monday(), span.from));
    calendar.holidays = spec.list("holidays").iter().filter_map(|node| scalar::date(node, problems)).collect();
    calendar.holidays.sort();
    calendar.holidays.dedup();
    calendar
}

/// The seconds of the day at which hours start and end.
fn span(node: &Node<'_>, problems: &mut Problems) -> Option<(u32, u32)> {
    let (from_node, until_node) = (node.get("from")?, node.get("until")?);
    let from = scalar::second_of_day(&from_node, problems);
    let until = scalar::second_of_day(&until_node, problems);
    let (from, until) = (from?, until?);
    if from == SECONDS_OF_DAY {
        problems.wrong(&from_node, "a time of day before 24:00");
        return None;
    }
    if from == until {
        problems.wrong(&until_node, "an end that differs from the start; a whole day is 00:00 to 24:00");
        return None;
    }
    Some((from, until))
}

fn days(node: &Node<'_>, problems: &mut Problems) -> Vec<Weekday> {
    match node.get("days") {
        Some(days) if days.text().is_some() => scalar::weekdays(&days, problems),
        _ => node.list("days").iter().flat_map(|day| scalar::weekdays(day, problems)).collect(),
    }
}

const SECONDS_OF_DAY: u32 = 86_400;

/// 24:00 becomes 00:00, which as an end lies on the next day.
fn time_at(second: u32) -> NaiveTime {
    NaiveTime::from_num_seconds_from_midnight_opt(second % SECONDS_OF_DAY, 0).unwrap_or(NaiveTime::MIN)
}

/// A span of the week in seconds since Monday 00:00, and the entry that says so.
type Occupied<'a> = (u32, u32, Node<'a>);

fn check_overlap<'a>(
    node: &Node<'a>,
    day: Weekday,
    from: u32,
    until: u32,
    occupied: &mut Vec<Occupied<'a>>,
    problems: &mut Problems,
) {
    const SECONDS_OF_WEEK: u32 = 7 * SECONDS_OF_DAY;
    let start = day.num_days_from_monday() * SECONDS_OF_DAY + from;
    let length = if until > from { until - from } else { until + SECONDS_OF_DAY - from };
    // Two spans on a circle overlap when one starts within the other.
    let within = |at: u32, start: u32, length: u32| (at + SECONDS_OF_WEEK - start) % SECONDS_OF_WEEK < length;
    let other = occupied
        .iter()
        .find(|(other, other_length, _)| within(start, *other, *other_length) || within(*other, start, length));
    if let Some((_, _, other)) = other {
        let found = format!("hours on {} that overlap", scalar::WEEKDAYS[day.num_days_from_monday() as usize].0);
        problems.found(node, found, format!("hours apart from those of {} ({})", other.field(), other.place()));
    }
    occupied.push((start, length, node.clone()));
}
