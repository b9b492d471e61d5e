//! Tickets are written as lines of text: `08:00 opened priority=P1; 6/09:30 =resolved resolved_at=09:00`. A time is UTC
//! in January 2026, with the day before a slash; without one it is Monday the 5th. `=state` is a snapshot.

use std::sync::LazyLock;

use chrono::{NaiveTime, Weekday};
use plimsoll_schemas::definition::{self, Attribution, ClockRule, DaySpan, PriorityChange, Reopening};
use plimsoll_schemas::event::{Action, TicketState, TicketType, Vocabulary};
use plimsoll_schemas::{Instant, Micros};

use super::*;
use crate::calendar::Calendar;
use crate::window::Window;

mod edges;
mod laws;
mod warnings;

/// Monday to Friday, 08:00 to 17:00 UTC.
static BUSINESS_HOURS: LazyLock<Calendar> = LazyLock::new(|| {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
    let working_days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    Calendar::compile(&[definition::Calendar {
        time_zone: chrono_tz::UTC,
        hours: working_days.map(|day| (day, DaySpan { from: time(8), until: time(17) })).to_vec(),
        ..definition::Calendar::default()
    }])
});

/// The term of a version that was and will always be in force.
const ALWAYS: Term<'static> = Term::ALWAYS;

fn rule(minutes: i64) -> ClockRule {
    ClockRule {
        ticket_type: TicketType::Incident,
        priorities: Vec::new(),
        within: Micros(minutes * Micros::MINUTE.0),
        priority_change: PriorityChange::Retarget,
        reopening: Reopening::SameCycle,
        attribution: Attribution::Outcome,
    }
}

fn at(text: &str) -> Instant {
    let (day, time) = text.split_once('/').unwrap_or(("5", text));
    Instant::parse_rfc3339(&format!("2026-01-{day:0>2}T{time}:00Z")).expect("a time such as 6/08:30")
}

fn show(instant: Instant) -> String {
    let text = instant.to_utc().format("%-d/%H:%M").to_string();
    text.strip_prefix("5/").unwrap_or(&text).to_owned()
}

fn show_or_nothing(instant: Option<Instant>) -> String {
    instant.map(show).unwrap_or_default()
}

fn blank(time: Instant, action: Action) -> TicketRecord {
    TicketRecord {
        time,
        sequence: i64::MIN,
        action,
        state: None,
        service: None,
        customer: None,
        priority: None,
        outage: None,
        opened_at: None,
        acknowledged_at: None,
        resolved_at: None,
        closed_at: None,
        good_count: None,
        total_count: None,
        ticket_type: None,
    }
}

fn record(line: &str) -> TicketRecord {
    let mut words = line.split_whitespace();
    let mut record = blank(at(words.next().expect("a time")), Action::Snapshot);
    for word in words {
        match word.split_once('=') {
            None => record.action = Action::parse(word).expect("an action"),
            Some(("", state)) => record.state = Some(TicketState::parse(state).expect("a state")),
            Some(("sequence", value)) => record.sequence = value.parse().expect("a number"),
            Some(("service", value)) => record.service = Some(value.into()),
            Some(("customer", value)) => record.customer = Some(value.into()),
            Some(("priority", value)) => record.priority = Some(value.into()),
            Some(("outage", value)) => record.outage = Some(value.parse().expect("true or false")),
            Some(("opened_at", value)) => record.opened_at = Some(at(value)),
            Some(("acknowledged_at", value)) => record.acknowledged_at = Some(at(value)),
            Some(("resolved_at", value)) => record.resolved_at = Some(at(value)),
            Some(("closed_at", value)) => record.closed_at = Some(at(value)),
            Some(("good", value)) => record.good_count = Some(value.parse().expect("a number")),
            Some(("total", value)) => record.total_count = Some(value.parse().expect("a number")),
            Some(("type", value)) => record.ticket_type = Some(TicketType::parse(value).expect("a type")),
            Some((field, _)) => panic!("unknown field {field}"),
        }
    }
    record
}

fn log(lines: &str) -> TicketLog {
    let mut log = TicketLog::default();
    for line in lines.split(';') {
        log.insert(record(line));
    }
    log
}

fn history(lines: &str) -> TicketHistory {
    log(lines).history(Instant::LATEST).expect("at least one record")
}

/// `[opened ack first_response resolved resolution]` for each cycle, then pauses, closing and cancellation.
fn check_history(lines: &str, expected: &str) {
    let history = history(lines);
    let mut parts = Vec::new();
    for cycle in history.cycles() {
        let acknowledged = cycle.acknowledged_at.map(|instant| format!(" ack {}", show(instant))).unwrap_or_default();
        let resolved = cycle.resolved_at.map(|instant| format!(" resolved {}", show(instant))).unwrap_or_default();
        parts.push(format!("[{}{acknowledged}{resolved}]", show(cycle.started_at)));
    }
    for pause in &history.pauses {
        parts.push(format!("paused {}-{}", show(pause.paused_at), show_or_nothing(pause.resumed_at)));
    }
    parts.extend(history.closed_at.map(|instant| format!("closed {}", show(instant))));
    parts.extend(history.cancelled_at.map(|instant| format!("cancelled {}", show(instant))));
    assert_eq!(parts.join(" "), expected, "{lines}");
}

/// `service started-ended` for each declared outage.
fn check_outages(lines: &str, expected: &[&str]) {
    let outages = history(lines).outages();
    let shown: Vec<String> = outages
        .iter()
        .map(|outage| format!("{} {}-{}", outage.service, show(outage.started_at), show_or_nothing(outage.ended_at)))
        .collect();
    assert_eq!(shown, expected, "{lines}");
}

/// `cycle priority started-stopped due, elapsed, paused, verdict @attributed` for each clock of an objective on the
/// service `web`, as it stands at the time before the bar: `12:00 | 08:00 opened; ...`.
fn check_clocks(kind: ClockKind, rule: &ClockRule, calendar: &Calendar, lines: &str, expected: &[&str]) {
    let (now, records) = lines.split_once('|').expect("now, a bar, records");
    let now = at(now.trim());
    let history = log(records).history(now).expect("at least one record");
    let on_web = |attributes: &Attributes| attributes.service.as_deref().is_none_or(|service| service == "web");
    let shown: Vec<String> =
        clocks(&history, kind, rule, &on_web, calendar, ALWAYS, now).iter().map(show_clock).collect();
    assert_eq!(shown, expected, "{lines}");
}

fn show_clock(clock: &ClockResult) -> String {
    let due = clock.due_at.map(|instant| format!("due {}, ", show(instant))).unwrap_or_default();
    let attributed = clock.attributed_at.map(|instant| format!(" @{}", show(instant))).unwrap_or_default();
    format!(
        "{} {} {}-{} {due}{}, {} paused, {}{attributed}",
        clock.cycle,
        clock.priority.as_deref().unwrap_or("-"),
        show(clock.started_at),
        show_or_nothing(clock.stopped_at),
        clock.elapsed,
        clock.paused,
        clock.verdict.as_str(),
    )
}

fn check_resolution(rule: &ClockRule, lines: &str, expected: &[&str]) {
    check_clocks(ClockKind::Resolution, rule, &Calendar::always(), lines, expected);
}

fn check_response(rule: &ClockRule, lines: &str, expected: &[&str]) {
    check_clocks(ClockKind::Response, rule, &Calendar::always(), lines, expected);
}

#[test]
fn r21_a_record_is_kept_once_and_in_order() {
    let mut log = TicketLog::default();
    assert!(log.insert(record("09:00 resolved")));
    assert!(log.insert(record("08:00 opened")));
    assert!(!log.insert(record("09:00 resolved")));
    assert!(log.insert(record("09:00 resolved sequence=2")));
    assert_eq!(log.records().iter().map(|record| show(record.time)).collect::<Vec<_>>(), ["08:00", "09:00", "09:00"]);
    assert_eq!(log.history(at("07:59")), None);
    // At one instant the sequence decides, then the course of a ticket's life.
    check_history(
        "08:00 resolved sequence=1; 08:00 opened sequence=2; 09:00 reopened",
        "[08:00 resolved 08:00] [09:00]",
    );
    check_history(
        "08:00 opened; 09:00 =closed sequence=2; 09:00 =active sequence=1",
        "[08:00 ack 09:00 resolved 09:00] closed 09:00",
    );
    check_history("09:00 reopened; 09:00 resolved; 08:00 opened", "[08:00 resolved 09:00] [09:00]");
}

#[test]
fn r19_actions_make_a_history() {
    check_history(
        "08:00 opened; 08:10 acknowledged; 09:00 paused; 09:30 resumed; 11:00 resolved; 6/08:00 closed",
        "[08:00 ack 08:10 resolved 11:00] paused 09:00-09:30 closed 6/08:00",
    );
    check_history("08:00 opened; 09:00 paused", "[08:00] paused 09:00-");
    check_history("08:00 opened; 09:00 paused; 10:00 resolved", "[08:00 resolved 10:00] paused 09:00-10:00");
    check_history("08:00 opened; 09:00 resolved; 10:00 reopened", "[08:00 resolved 09:00] [10:00]");
    check_history("08:00 opened; 09:00 closed; 10:00 reopened", "[08:00 resolved 09:00] [10:00]");
    check_history("08:00 opened; 09:00 paused; 10:00 cancelled", "[08:00] paused 09:00-10:00 cancelled 10:00");
    // Pauses that touch are one, and an empty one is none.
    check_history(
        "08:00 opened; 09:00 paused; 10:00 resumed sequence=1; 10:00 paused sequence=2; 11:00 resumed",
        "[08:00] paused 09:00-11:00",
    );
    check_history("08:00 opened; 09:00 paused; 09:00 resumed", "[08:00]");
}

#[test]
fn r19_snapshots_are_diffed_into_actions() {
    check_history(
        "08:00 =new; 08:10 =active; 08:20 =active; 09:00 =paused; 09:30 =paused; 10:00 =active; 11:00 =resolved; \
         12:00 =closed",
        "[08:00 ack 08:10 resolved 11:00] paused 09:00-10:00 closed 12:00",
    );
    check_history("08:00 =new; 09:00 =paused", "[08:00 ack 09:00] paused 09:00-");
    check_history("08:00 =new; 09:00 =paused; 10:00 =new", "[08:00 ack 09:00] paused 09:00-10:00");
    // Reopened by any state of work; `new` has not been taken up again.
    check_history("08:00 =new; 09:00 =resolved; 10:00 =new; 11:00 =active", "[08:00 resolved 09:00] [10:00 ack 11:00]");
    check_history(
        "08:00 =active; 09:00 =closed; 10:00 =paused",
        "[08:00 ack 08:00 resolved 09:00] [10:00 ack 10:00] paused 10:00-",
    );
    // From closed back to resolved is not a reopening.
    check_history("08:00 =new; 09:00 =closed; 10:00 =resolved", "[08:00 resolved 09:00]");
    check_history("08:00 =new; 09:00 =closed; 10:00 =resolved; 11:00 =closed", "[08:00 resolved 09:00] closed 11:00");
    // A state that nobody mapped says nothing of the state.
    check_history("08:00 =new; 09:00 priority=P1; 10:00 =resolved", "[08:00 resolved 10:00]");
    // Actions and snapshots of one ticket may mix.
    check_history(
        "08:00 opened; 08:30 =active; 09:00 paused; 10:00 =active; 11:00 resolved; 12:00 =closed",
        "[08:00 ack 08:30 resolved 11:00] paused 09:00-10:00 closed 12:00",
    );
}

#[test]
fn r19_a_time_named_explicitly_counts_in_its_own_past() {
    // The opening: the last that names one, else the action, else the first record. What came before is clamped to it.
    check_history("08:10 =active opened_at=08:00; 09:00 =active opened_at=07:30", "[07:30 ack 08:10]");
    check_history("07:00 updated; 08:00 opened", "[08:00]");
    check_history("07:00 =active opened_at=08:00; 09:00 =active opened_at=08:00", "[08:00 ack 08:00]");
    check_history("07:00 =active opened_at=08:00", "[07:00 ack 07:00]");
    // The first response: its own word, in whatever state.
    check_history("08:00 =new; 09:00 =active acknowledged_at=08:20", "[08:00 ack 08:20]");
    check_history("08:00 =new; 09:00 =new acknowledged_at=08:20", "[08:00 ack 08:20]");
    check_history("08:00 =new; 09:00 =active acknowledged_at=10:00", "[08:00 ack 09:00]");
    check_history("08:00 opened; 09:00 acknowledged; 10:00 acknowledged", "[08:00 ack 09:00]");
    // The resolution: ignored before it, and when it lies ahead; the last of one resolution wins.
    check_history("08:00 =new resolved_at=07:00; 09:00 =resolved resolved_at=08:30", "[08:00 resolved 08:30]");
    check_history("08:00 =new; 09:00 =resolved resolved_at=12:00", "[08:00 resolved 09:00]");
    check_history("08:00 =new; 09:00 =resolved; 10:00 =closed", "[08:00 resolved 09:00] closed 10:00");
    check_history(
        "08:00 =new; 09:00 =resolved resolved_at=08:50; 10:00 =closed resolved_at=08:40; 11:00 =closed",
        "[08:00 resolved 08:40] closed 10:00",
    );
    check_history("08:00 =new; 09:00 =resolved resolved_at=07:00", "[08:00 resolved 08:00]");
    // After a reopening the old resolution is a leftover.
    check_history(
        "08:00 =new; 09:00 =resolved; 10:00 =active; 11:00 =resolved resolved_at=09:00",
        "[08:00 resolved 09:00] [10:00 ack 10:00 resolved 11:00]",
    );
    check_history(
        "08:00 =new; 09:00 =resolved acknowledged_at=08:30; 10:00 =new acknowledged_at=08:30",
        "[08:00 ack 08:30 resolved 09:00] [10:00]",
    );
    // Closed without a resolution: resolved by its closing.
    check_history("08:00 =new; 12:00 =closed closed_at=11:30", "[08:00 resolved 11:30] closed 11:30");
    check_history("08:00 =new; 12:00 =closed closed_at=11:30 resolved_at=11:00", "[08:00 resolved 11:00] closed 11:30");
}

#[test]
fn r19_what_makes_no_sense_changes_nothing() {
    check_history("08:00 opened; 09:00 resumed; 09:30 reopened; 10:00 opened", "[08:00]");
    check_history(
        "08:00 opened; 09:00 resolved; 10:00 resolved; 10:10 paused; 10:20 acknowledged; 10:30 resumed",
        "[08:00 resolved 09:00]",
    );
    check_history("08:00 closed; 09:00 opened", "[09:00 resolved 09:00] closed 09:00");
    check_history(
        "08:00 opened; 09:00 cancelled; 10:00 paused; 11:00 closed; 12:00 cancelled",
        "[08:00] cancelled 09:00",
    );
    check_history("08:00 opened; 09:00 planned; 10:00 approved; 11:00 started; 12:00 finished", "[08:00]");
    // A cancellation that is withdrawn was a pause; after a resolution it ends in a reopening all the same.
    check_history("08:00 opened; 09:00 paused; 10:00 cancelled; 11:00 =active", "[08:00 ack 11:00] paused 09:00-11:00");
    check_history("08:00 opened; 09:00 resolved; 10:00 cancelled; 11:00 reopened", "[08:00 resolved 09:00] [11:00]");
}

/// The clocks of a ticket under two versions, the first of which ends when the second starts, each with the target in
/// hours; those of the first version, then those of the second.
fn check_versions(attribution: Attribution, [first, second]: [i64; 2], change: &str, lines: &str, expected: [&str; 2]) {
    let (now, records) = lines.split_once('|').expect("now, a bar, records");
    let (now, change) = (at(now.trim()), at(change));
    let history = log(records).history(now).expect("at least one record");
    let rule = |hours: i64| ClockRule { attribution, ..rule(hours * 60) };
    let run = |hours, in_force, before: &Passed| {
        let term = Term { in_force, before };
        clocks(&history, ClockKind::Resolution, &rule(hours), &|_| true, &Calendar::always(), term, now)
    };
    let until = Window { end: change, ..ALWAYS.in_force };
    let earlier = run(first, until, &Passed::default());
    let passed = Passed::default().after(until, &earlier, &[]);
    let later = run(second, Window { start: change, ..ALWAYS.in_force }, &passed);
    let shown = [earlier, later].map(|clocks| clocks.iter().map(show_clock).collect::<Vec<_>>().join("; "));
    assert_eq!(shown, expected, "{lines}");
}

#[test]
fn r13_r24_of_two_versions_one_alone_has_the_result() {
    // Allowed 5 days by the first version, 1 day by the second, from the 7th on. Open from the 5th 12:00 to the 17th
    // 12:00, 12 days. By the first it would be due on the 10th, when that is over; by the second it was due on the 6th,
    // before that began: so it is breached from the second's first instant on. At its end, the first had run 36 h.
    check_versions(
        Attribution::Outcome,
        [120, 24],
        "7/00:00",
        "20/00:00 | 12:00 opened; 17/12:00 resolved",
        [
            "0 - 12:00-7/00:00 due 10/12:00, 1d 12h, 0s paused, moved",
            "0 - 12:00-17/12:00 due 6/12:00, 12d, 0s paused, breached @7/00:00",
        ],
    );
    // The other way round: 1 day by the first, 5 days by the second. It was due on the 6th under the first: breached,
    // whatever the second would have allowed.
    check_versions(
        Attribution::Outcome,
        [24, 120],
        "7/00:00",
        "20/00:00 | 12:00 opened; 8/12:00 resolved",
        ["0 - 12:00-8/12:00 due 6/12:00, 3d, 0s paused, breached @6/12:00", ""],
    );
    // Neither due nor stopped before the change, and stopped in time by the second version's own target of 3 days.
    check_versions(
        Attribution::Outcome,
        [120, 72],
        "7/00:00",
        "20/00:00 | 12:00 opened; 7/06:00 resolved",
        [
            "0 - 12:00-7/00:00 due 10/12:00, 1d 12h, 0s paused, moved",
            "0 - 12:00-7/06:00 due 8/12:00, 1d 18h, 0s paused, met @7/06:00",
        ],
    );
    // Until the second is in force, it has no clock; a ticket that was settled before it never has one.
    check_versions(
        Attribution::Outcome,
        [120, 24],
        "7/00:00",
        "6/18:00 | 12:00 opened",
        ["0 - 12:00- due 10/12:00, 1d 6h, 0s paused, running", ""],
    );
    check_versions(
        Attribution::Outcome,
        [120, 24],
        "7/00:00",
        "20/00:00 | 12:00 opened; 6/18:00 resolved",
        ["0 - 12:00-6/18:00 due 10/12:00, 1d 6h, 0s paused, met @6/18:00", ""],
    );
    // By the opening it is the first version's alone, by the closing the second's alone.
    let lines = "20/00:00 | 12:00 opened; 6/06:00 resolved; 8/06:00 closed";
    let met = |at: &str| format!("0 - 12:00-6/06:00 due 6/12:00, 18h, 0s paused, met @{at}");
    check_versions(Attribution::Opened, [24, 24], "7/00:00", lines, [&met("12:00"), ""]);
    let moved = "0 - 12:00-6/06:00 due 6/12:00, 18h, 0s paused, moved";
    check_versions(Attribution::Closed, [24, 24], "7/00:00", lines, [moved, &met("8/06:00")]);
}

#[test]
fn r37_attributes_are_what_was_said_last() {
    let attributes = |lines: &str| {
        let history = history(lines);
        let show_name = |name: &Option<Name>| name.as_deref().unwrap_or("-").to_owned();
        let show_one = |(since, it): &(Instant, Attributes)| {
            [show(*since), show_name(&it.service), show_name(&it.customer), show_name(&it.priority)].join(" ")
        };
        history.attributes.iter().map(show_one).collect::<Vec<_>>()
    };
    assert_eq!(attributes("08:00 opened"), ["08:00 - - -"]);
    // What is said for the first time has held since the opening; repeating it is no change; absence is as before.
    assert_eq!(
        attributes("08:00 opened; 08:10 =new service=web; 09:00 =new priority=P3; 10:00 =new priority=P3 service=web"),
        ["08:00 web - P3"]
    );
    assert_eq!(
        attributes(
            "08:00 opened service=web customer=acme priority=P3; 09:00 updated priority=P1; 10:00 updated service=shop"
        ),
        ["08:00 web acme P3", "09:00 web acme P1", "10:00 shop acme P1"]
    );
    // At one instant the last record decides, even if it takes a change back.
    assert_eq!(
        attributes(
            "08:00 opened priority=P3; 09:00 updated priority=P1 sequence=1; 09:00 updated priority=P3 sequence=2"
        ),
        ["08:00 - - P3"]
    );
}

#[test]
fn r10_a_ticket_counts_with_its_last_closing() {
    let closing = |lines: &str| {
        let closing = history(lines).last_closing;
        closing.map(|closing| (show(closing.closed_at), closing.counts.good, closing.counts.total))
    };
    let at_ten = |good| Some(("10:00".to_owned(), Some(good), Some(1)));
    assert_eq!(closing("08:00 =new good=1 total=1"), None);
    assert_eq!(closing("08:00 =new good=1 total=1; 10:00 =closed"), at_ten(1));
    // Several closed rows are one closing; the last of them says what it counts.
    assert_eq!(closing("08:00 =new good=1 total=1; 10:00 =closed good=1; 11:00 =closed good=0"), at_ten(0));
    // A closing stands until there is another one.
    assert_eq!(closing("08:00 =new; 10:00 =closed good=1 total=1; 11:00 =active good=0"), at_ten(1));
    assert_eq!(
        closing("08:00 =new; 10:00 =closed good=1 total=1; 11:00 =active good=0; 12:00 =closed"),
        Some(("12:00".to_owned(), Some(0), Some(1)))
    );
    // R17
    assert_eq!(closing("08:00 =new; 10:00 =closed good=1 total=1; 11:00 =cancelled"), None);
}

#[test]
fn r3_a_ticket_declares_outages_of_its_service() {
    // Said by the first record, it began with the ticket; said later, it began then.
    check_outages("08:10 =new opened_at=08:00 outage=true service=web", &["web 08:00-"]);
    check_outages("08:00 opened service=web; 08:10 updated outage=true", &["web 08:10-"]);
    // It ends with the resolution, the cancellation, or when it is taken back.
    check_outages(
        "08:00 opened outage=true service=web; 10:00 resolved resolved_at=09:00; 11:00 closed",
        &["web 08:00-09:00"],
    );
    check_outages("08:00 opened outage=true service=web; 10:00 cancelled", &["web 08:00-10:00"]);
    check_outages(
        "08:00 opened outage=true service=web; 09:00 updated outage=false; 10:00 resolved",
        &["web 08:00-09:00"],
    );
    check_outages("08:00 opened outage=true service=web; 08:00 resolved", &[]);
    // It goes on through pauses and changes of anything but the service, and begins anew with a reopening.
    check_outages(
        "08:00 opened outage=true service=web priority=P2; 09:00 paused; 09:30 updated priority=P1",
        &["web 08:00-"],
    );
    check_outages(
        "08:00 opened outage=true service=web; 09:00 updated service=shop; 10:00 resolved",
        &["web 08:00-09:00", "shop 09:00-10:00"],
    );
    check_outages(
        "08:00 opened outage=true service=web; 09:00 resolved; 10:00 reopened",
        &["web 08:00-09:00", "web 10:00-"],
    );
    // R38: without a service nothing is down.
    check_outages("08:00 opened outage=true", &[]);
}

#[test]
fn r14_elapsed_is_agreed_time_without_pauses() {
    // 08:00 to 11:00 is 3 h, of them 30 m paused. Target 4 h: 12:00 plus the pause.
    check_resolution(
        &rule(240),
        "12:00 | 08:00 opened; 09:00 paused; 09:30 resumed; 11:00 resolved",
        &["0 - 08:00-11:00 due 12:30, 2h 30m, 30m paused, met @11:00"],
    );
    // Monday 16:00 to Tuesday 10:00 is 1 h + 2 h of business hours; the pause from 16:30 to 08:30 is 1 h of them.
    // Target 4 h: 30 m before the pause, 8.5 h left on Tuesday after it, so 3.5 h after 08:30 is 12:00.
    let overnight = "16:00 opened; 16:30 paused; 6/08:30 resumed; 6/10:00 resolved";
    check_clocks(
        ClockKind::Resolution,
        &rule(240),
        &BUSINESS_HOURS,
        &format!("7/00:00 | {overnight}"),
        &["0 - 16:00-6/10:00 due 6/12:00, 2h, 1h paused, met @6/10:00"],
    );
    // Nothing but closed hours: Friday 17:00 to Monday 08:00.
    check_clocks(
        ClockKind::Resolution,
        &rule(60),
        &BUSINESS_HOURS,
        "12/08:00 | 9/17:00 opened",
        &["0 - 9/17:00- due 12/09:00, 0s, 0s paused, running"],
    );
}

#[test]
fn r14_a_paused_clock_has_no_due_instant() {
    let paused = "08:00 opened; 09:00 paused; 11:00 resumed";
    let expect = |now: &str, expected| check_resolution(&rule(120), &format!("{now} | {paused}"), &[expected]);
    expect("08:59", "0 - 08:00- due 10:00, 59m, 0s paused, running");
    expect("09:00", "0 - 08:00- 1h, 0s paused, running");
    expect("10:59", "0 - 08:00- 1h, 1h 59m paused, running");
    expect("11:00", "0 - 08:00- due 12:00, 1h, 2h paused, running");
    // A pause that begins when the clock is due, or later, does not move the due instant.
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 09:00 paused",
        &["0 - 08:00- due 09:00, 1h, 3h paused, running"],
    );
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 09:01 paused",
        &["0 - 08:00- due 09:00, 1h 1m, 2h 59m paused, breached @09:00"],
    );
    // Resolved while paused: the pause counts until the resolution.
    check_resolution(
        &rule(120),
        "12:00 | 08:00 opened; 09:00 paused; 10:00 resolved",
        &["0 - 08:00-10:00 due 11:00, 1h, 1h paused, met @10:00"],
    );
    // The record of the resolution came after the resolution, and so did half of the pause.
    check_resolution(
        &rule(120),
        "12:00 | 08:00 opened; 09:00 paused; 10:00 resolved resolved_at=09:30",
        &["0 - 08:00-09:30 due 10:30, 1h, 30m paused, met @09:30"],
    );
}

#[test]
fn r18_a_breach_is_known_without_an_event() {
    let expect = |now: &str, expected| check_resolution(&rule(60), &format!("{now} | 08:00 opened"), &[expected]);
    expect("09:00", "0 - 08:00- due 09:00, 1h, 0s paused, running");
    expect("09:01", "0 - 08:00- due 09:00, 1h 1m, 0s paused, breached @09:00");
    // Stopped exactly when due is met.
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 09:00 resolved",
        &["0 - 08:00-09:00 due 09:00, 1h, 0s paused, met @09:00"],
    );
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 09:01 resolved",
        &["0 - 08:00-09:01 due 09:00, 1h 1m, 0s paused, breached @09:00"],
    );
    // Used up at 17:00: still to be met at night, breached when agreed time goes on.
    let night = |now: &str, expected| {
        let lines = format!("{now} | 16:00 opened; 6/08:01 resolved");
        check_clocks(ClockKind::Resolution, &rule(60), &BUSINESS_HOURS, &lines, &[expected]);
    };
    night("23:00", "0 - 16:00- due 17:00, 1h, 0s paused, running");
    night("6/08:01", "0 - 16:00-6/08:01 due 17:00, 1h 1m, 0s paused, breached @17:00");
    // Nothing allowed is used up at the start.
    check_resolution(&rule(0), "08:00 | 08:00 opened", &["0 - 08:00- due 08:00, 0s, 0s paused, running"]);
    check_resolution(
        &rule(0),
        "12:00 | 08:00 opened; 09:00 closed",
        &["0 - 08:00-09:00 due 08:00, 1h, 0s paused, breached @08:00"],
    );
    check_resolution(
        &rule(0),
        "11:00 | 09:00 closed; 10:00 opened",
        &["0 - 10:00-10:00 due 10:00, 0s, 0s paused, met @10:00"],
    );
}

#[test]
fn r18_attribution_chooses_the_window() {
    let lines = "6/00:00 | 08:00 opened; 09:30 resolved; 20:00 closed";
    let outcome = |attribution, minutes| ClockRule { attribution, ..rule(minutes) };
    for (attribution, met_at, breached_at) in [
        (Attribution::Outcome, "09:30", "09:00"),
        (Attribution::Opened, "08:00", "08:00"),
        (Attribution::Closed, "20:00", "20:00"),
    ] {
        let met = format!("0 - 08:00-09:30 due 10:00, 1h 30m, 0s paused, met @{met_at}");
        check_resolution(&outcome(attribution, 120), lines, &[&met]);
        let breached = format!("0 - 08:00-09:30 due 09:00, 1h 30m, 0s paused, breached @{breached_at}");
        check_resolution(&outcome(attribution, 60), lines, &[&breached]);
    }
    // Undecided until closed.
    check_resolution(
        &outcome(Attribution::Closed, 60),
        "12:00 | 08:00 opened; 09:30 resolved",
        &["0 - 08:00-09:30 due 09:00, 1h 30m, 0s paused, breached"],
    );
}

#[test]
fn r14_the_first_response_is_the_acknowledgement_or_the_resolution() {
    let expect =
        |lines: &str, expected: &str| check_response(&rule(30), &format!("12:00 | 08:00 opened; {lines}"), &[expected]);
    expect("08:10 acknowledged; 09:00 resolved", "0 - 08:00-08:10 due 08:30, 10m, 0s paused, met @08:10");
    expect("09:00 resolved", "0 - 08:00-09:00 due 08:30, 1h, 0s paused, breached @08:30");
    expect("08:20 closed; 08:25 acknowledged", "0 - 08:00-08:20 due 08:30, 20m, 0s paused, met @08:20");
    expect("08:10 paused; 08:20 resumed; 08:35 acknowledged", "0 - 08:00-08:35 due 08:40, 25m, 10m paused, met @08:35");
    expect("08:10 acknowledged; 08:15 paused", "0 - 08:00-08:10 due 08:30, 10m, 0s paused, met @08:10");
    // Only the first cycle has a first response, unless each cycle counts by itself.
    let lines = "12:00 | 08:00 opened; 08:10 acknowledged; 09:00 resolved; 10:00 reopened; 10:20 acknowledged";
    let first = "0 - 08:00-08:10 due 08:30, 10m, 0s paused, met @08:10";
    for reopening in [Reopening::SameCycle, Reopening::FirstOnly, Reopening::Largest] {
        check_response(&ClockRule { reopening, ..rule(30) }, lines, &[first]);
    }
    let second = "1 - 10:00-10:20 due 10:30, 20m, 0s paused, met @10:20";
    check_response(&ClockRule { reopening: Reopening::NewCycle, ..rule(30) }, lines, &[first, second]);
}

#[test]
fn r15_a_new_priority_retargets_or_restarts() {
    let with = |priority_change, minutes| ClockRule { priority_change, ..rule(minutes) };
    let lines = "12:00 | 08:00 opened priority=P2; 09:00 updated priority=P1; 10:30 resolved";
    check_resolution(
        &with(PriorityChange::Retarget, 120),
        lines,
        &["0 P1 08:00-10:30 due 10:00, 2h 30m, 0s paused, breached @10:00"],
    );
    check_resolution(
        &with(PriorityChange::Restart, 120),
        lines,
        &["0 P1 09:00-10:30 due 11:00, 1h 30m, 0s paused, met @10:30"],
    );
    // A breach before the change stands.
    check_resolution(
        &with(PriorityChange::Restart, 59),
        lines,
        &["0 P2 08:00-09:00 due 08:59, 1h, 0s paused, breached @08:59"],
    );
    // To learn the priority is not to change it, and other changes do not restart.
    let learned = "12:00 | 08:00 opened; 09:00 updated priority=P1; 09:30 updated customer=acme; 10:00 resolved";
    check_resolution(
        &with(PriorityChange::Restart, 120),
        learned,
        &["0 P1 08:00-10:00 due 10:00, 2h, 0s paused, met @10:00"],
    );
    // A change at the instant of the stop, or after it, is too late.
    for change in ["10:00", "11:00"] {
        let late = format!("12:00 | 08:00 opened priority=P2; 10:00 resolved; {change} updated priority=P1");
        check_resolution(
            &with(PriorityChange::Restart, 120),
            &late,
            &["0 P2 08:00-10:00 due 10:00, 2h, 0s paused, met @10:00"],
        );
    }
    // Pauses before a restart do not count, one that lasts over it does.
    let paused =
        "12:00 | 08:00 opened priority=P2; 08:30 paused; 09:00 updated priority=P1; 09:30 resumed; 10:30 resolved";
    check_resolution(
        &with(PriorityChange::Restart, 120),
        paused,
        &["0 P1 09:00-10:30 due 11:30, 1h, 30m paused, met @10:30"],
    );
}

#[test]
fn r16_reopening_has_four_modes() {
    let lines = "13:00 | 08:00 opened; 09:00 resolved; 11:00 reopened; 11:30 paused; 11:40 resumed; 12:00 resolved";
    let with = |reopening, minutes| ClockRule { reopening, ..rule(minutes) };
    // 1 h, 2 h resolved, 1 h with a pause of 10 m.
    check_resolution(
        &with(Reopening::SameCycle, 120),
        lines,
        &["0 - 08:00-12:00 due 12:10, 1h 50m, 2h 10m paused, met @12:00"],
    );
    let first = "0 - 08:00-09:00 due 10:00, 1h, 0s paused, met @09:00";
    let second = "1 - 11:00-12:00 due 13:10, 50m, 10m paused, met @12:00";
    check_resolution(&with(Reopening::NewCycle, 120), lines, &[first, second]);
    check_resolution(&with(Reopening::FirstOnly, 120), lines, &[first]);
    check_resolution(&with(Reopening::Largest, 120), lines, &[first]);
    check_resolution(
        &with(Reopening::Largest, 55),
        lines,
        &["0 - 08:00-09:00 due 08:55, 1h, 0s paused, breached @08:55"],
    );
    // Of cycles that took equally long the first counts.
    check_resolution(
        &with(Reopening::Largest, 120),
        "13:00 | 08:00 opened; 09:00 resolved; 11:00 reopened; 12:00 resolved",
        &[first],
    );
    // A cycle that still runs may become the largest.
    let running = "11:10 | 08:00 opened; 09:00 resolved; 11:00 reopened";
    check_resolution(&with(Reopening::Largest, 120), running, &["0 - 11:00- due 13:00, 10m, 0s paused, running"]);
    check_resolution(&with(Reopening::SameCycle, 120), running, &["0 - 08:00- due 12:00, 1h 10m, 2h paused, running"]);
    // A pause that ended after the resolution it was corrected to, and the time resolved, are one pause.
    check_resolution(
        &with(Reopening::SameCycle, 120),
        "12:00 | 08:00 opened; 08:30 paused; 10:00 resolved resolved_at=09:00; 11:00 reopened; 11:30 resolved",
        &["0 - 08:00-11:30 due 12:30, 1h, 2h 30m paused, met @11:30"],
    );
}

#[test]
fn r17_cancelled_tickets_do_not_count() {
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 08:30 cancelled",
        &["0 - 08:00-08:30 due 09:00, 30m, 0s paused, cancelled"],
    );
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 10:00 cancelled",
        &["0 - 08:00-10:00 due 09:00, 2h, 0s paused, cancelled"],
    );
    check_resolution(
        &ClockRule { attribution: Attribution::Opened, ..rule(60) },
        "12:00 | 08:00 opened; 08:30 resolved; 10:00 cancelled",
        &["0 - 08:00-08:30 due 09:00, 30m, 0s paused, cancelled"],
    );
    // Withdrawn: the time cancelled was a pause.
    check_resolution(
        &rule(60),
        "12:00 | 08:00 opened; 08:30 cancelled; 11:00 reopened; 11:10 resolved",
        &["0 - 08:00-11:10 due 11:30, 40m, 2h 30m paused, met @11:10"],
    );
}

#[test]
fn r10_fulfilment_is_the_resolution_of_requests_and_a_ticket_is_an_incident_unless_said() {
    let requests = ClockRule { ticket_type: TicketType::Request, ..rule(120) };
    let met = "0 - 08:00-09:00 due 10:00, 1h, 0s paused, met @09:00";
    for (lines, of_incidents, of_requests) in [
        ("12:00 | 08:00 opened; 09:00 resolved", &[met][..], &[][..]),
        ("12:00 | 08:00 opened type=incident; 09:00 resolved", &[met], &[]),
        ("12:00 | 08:00 opened type=request; 09:00 resolved", &[], &[met]),
        // What is said for the first time has held since the opening.
        ("12:00 | 08:00 opened; 08:30 updated type=request; 09:00 resolved", &[], &[met]),
        // An incident that turns out to be a request moves, and is a request since its opening.
        (
            "12:00 | 08:00 opened type=incident; 08:30 updated type=request; 09:00 resolved",
            &["0 - 08:00-08:30 due 10:00, 30m, 0s paused, moved"],
            &[met],
        ),
    ] {
        check_resolution(&rule(120), lines, of_incidents);
        check_resolution(&requests, lines, of_requests);
    }
}

#[test]
fn r37_clocks_follow_the_tickets_service_and_priority() {
    let moved = "0 - 08:00-09:00 due 10:00, 1h, 0s paused, moved";
    check_resolution(&rule(120), "09:00 | 08:00 opened service=web; 09:00 updated service=shop", &[moved]);
    check_resolution(
        &rule(120),
        "18:00 | 08:00 opened service=web; 09:00 updated service=shop; 11:00 resolved",
        &[moved],
    );
    check_resolution(&rule(120), "12:00 | 08:00 opened service=shop", &[]);
    // Breached or stopped before: the ticket's later life does not change that.
    check_resolution(
        &rule(30),
        "12:00 | 08:00 opened service=web; 09:00 updated service=shop",
        &["0 - 08:00-09:00 due 08:30, 1h, 0s paused, breached @08:30"],
    );
    check_resolution(
        &rule(120),
        "12:00 | 08:00 opened service=web; 09:00 resolved; 10:00 updated service=shop",
        &["0 - 08:00-09:00 due 10:00, 1h, 0s paused, met @09:00"],
    );
    // Newly applying: from the ticket's start; the clock may be late at once.
    let arriving = "09:30 | 08:00 opened service=shop; 09:30 updated service=web";
    check_resolution(&rule(120), arriving, &["0 - 08:00- due 10:00, 1h 30m, 0s paused, running"]);
    check_resolution(&rule(60), arriving, &["0 - 08:00- due 09:00, 1h 30m, 0s paused, breached @09:00"]);
    // A ticket that leaves and comes back has one clock.
    check_resolution(
        &rule(240),
        "12:00 | 08:00 opened service=web; 09:00 updated service=shop; 10:00 updated service=web; 11:00 resolved",
        &["0 - 08:00-11:00 due 12:00, 3h, 0s paused, met @11:00"],
    );
    // Breached, gone and back again: still one clock, breached when it was.
    check_resolution(
        &rule(30),
        "12:00 | 08:00 opened service=web; 09:00 updated service=shop; 10:00 updated service=web; 11:00 resolved",
        &["0 - 08:00-11:00 due 08:30, 3h, 0s paused, breached @08:30"],
    );
    // Reopened as a ticket of another service: the new cycle was never this objective's.
    check_resolution(
        &ClockRule { reopening: Reopening::NewCycle, ..rule(120) },
        "12:00 | 08:00 opened service=web; 09:00 resolved; 10:00 reopened service=shop",
        &["0 - 08:00-09:00 due 10:00, 1h, 0s paused, met @09:00"],
    );
    // By priority, with R15 for the start of the objective that newly applies.
    let upgraded = "12:00 | 08:00 opened priority=P3; 09:00 updated priority=P1; 10:30 resolved";
    let of = |priority: &str, priority_change| ClockRule {
        priorities: vec![priority.to_owned(), "P0".to_owned()],
        priority_change,
        ..rule(120)
    };
    let left = "0 P3 08:00-09:00 due 10:00, 1h, 0s paused, moved";
    for change in [PriorityChange::Retarget, PriorityChange::Restart] {
        check_resolution(&of("P3", change), upgraded, &[left]);
        check_resolution(&of("P2", change), upgraded, &[]);
    }
    check_resolution(
        &of("P1", PriorityChange::Retarget),
        upgraded,
        &["0 P1 08:00-10:30 due 10:00, 2h 30m, 0s paused, breached @10:00"],
    );
    check_resolution(
        &of("P1", PriorityChange::Restart),
        upgraded,
        &["0 P1 09:00-10:30 due 11:00, 1h 30m, 0s paused, met @10:30"],
    );
    // R17: what moved away has moved, even if the ticket is cancelled later.
    check_resolution(
        &rule(120),
        "12:00 | 08:00 opened service=web; 09:00 updated service=shop; 10:00 cancelled",
        &[moved],
    );
}
