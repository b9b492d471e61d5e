//! What the next start takes from the stored events again (R22, R38): observations that came too late for the history of
//! their check, and those of services that the catalogue did not have yet.

use plimsoll_engine::lane::LaneGroup;
use plimsoll_engine::portfolio::Portfolio;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::{Instant, Micros};
use serde_json::{Value, json};

use crate::tables::{Tables, defined};

const START: Instant = Instant(1_772_409_600_000_000); // 2026-03-02T00:00:00Z, a Monday
const HOUR: Micros = Micros(3_600_000_000);

fn hours(count: i64) -> Instant {
    Instant(START.0 + count * HOUR.0)
}

/// `web` and, if it is there, `mail`, whose checks are believed for an hour.
fn definitions(with_mail: bool) -> Definitions {
    let service = |id: &str| {
        format!(
            "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {id}}}, spec: {{state: {{stale_after: 1h}}}}}}\n---"
        )
    };
    let (mail, covered) = if with_mail { (service("mail"), "web, mail") } else { (String::new(), "web") };
    defined(&format!(
        "{}\n{mail}
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: promise}}
spec:
  type: ola
  services: [{covered}]
  effective: {{from: 2026-03-02, until: 2026-03-23}}
  objectives:
    - {{id: uptime, indicator: {{signal: availability}}, target: {{at_least: 99.9 %}}, window: {{calendar: week}}, min_coverage: 0 %}}
",
        service("web")
    ))
    .expect("good definitions")
}

/// The result of a check, so many hours after the start.
fn result(service: &str, hour: i64, status: &str) -> String {
    json!({"id": format!("{service}-{hour}"), "time": hours(hour).to_string(), "kind": "monitoring", "service": service,
           "status": status})
    .to_string()
}

const WEEKS: &str = "SELECT service, good_us / 3600000000 AS good, bad_us / 3600000000 AS bad, \
                     unknown_us / 3600000000 AS unknown, verdict, revision FROM attainment ORDER BY service, window_start";
const CORRECTIONS: &str = "SELECT reason, revision FROM corrections";

fn week(service: &str, parts: [i64; 3], verdict: &str, revision: i64) -> Value {
    let [good, bad, unknown] = parts;
    json!({"service": service, "good": good, "bad": bad, "unknown": unknown, "verdict": verdict, "revision": revision})
}

/// `web` was up every hour of three weeks but at 10:00 of the first day, when it was down. That comes last of all.
fn with_a_late_one() -> (Definitions, Tables) {
    let on_time = (0..21 * 24).filter(|hour| *hour != 10).map(|hour| result("web", hour, "up"));
    let records: Vec<String> = on_time.chain([result("web", 10, "down")]).collect();
    let definitions = definitions(false);
    let mut tables = Tables::new(&definitions, &records);
    tables.epoch(&definitions, hours(22 * 24), records.len() - 1);
    // Of the result that is missing nothing was known for the hour of 10:00.
    let whole = week("web", [168, 0, 0], "met", 1);
    let expected = [week("web", [167, 0, 1], "met", 1), whole.clone(), whole];
    assert_eq!(tables.ask(WEEKS, None), expected);
    tables.epoch(&definitions, hours(22 * 24 + 1), 1);
    assert_eq!(tables.ask(WEEKS, None), expected, "twenty days behind the newest: it is stored and not applied");
    (definitions, tables)
}

/// An hour of a week's 168 h is 0.6 %.
fn assert_made_good(tables: &Tables) {
    let whole = week("web", [168, 0, 0], "met", 1);
    let expected = [week("web", [167, 1, 0], "breached", 2), whole.clone(), whole];
    assert_eq!(tables.ask(WEEKS, None), expected);
    assert_eq!(tables.ask(CORRECTIONS, None), [json!({"reason": "late_event", "revision": 2})]);
    let outages = "SELECT service, started_at, duration_us FROM outages";
    let outage = json!({"service": "web", "started_at": "2026-03-02T10:00:00Z", "duration_us": HOUR.0});
    assert_eq!(tables.ask(outages, None), [outage]);
    // And so says an audit (R26).
    assert_eq!(tables.replayed("promise", "web"), tables.written("promise", "web"));
}

#[test]
fn r22_what_came_too_late_for_the_history_of_its_check_is_made_good_at_the_next_start() {
    let (definitions, mut tables) = with_a_late_one();
    tables.epoch(&definitions, hours(22 * 24 + 2), 0);
    assert_made_good(&tables);
    tables.epoch(&definitions, hours(22 * 24 + 3), 0);
    assert_made_good(&tables);
    // An audit knows of that start (R26).
    let written = tables.written("promise", "web");
    assert_eq!(written.last().map(|row| (row.revision, &*row.verdict)), Some((2, "breached")));
    assert_eq!(tables.replayed("promise", "web"), written);
}

#[test]
fn r22_a_start_after_a_crash_first_finishes_what_was_recorded_without_it() {
    let (definitions, mut tables) = with_a_late_one();
    // What a process leaves that is killed after it saved its state.
    tables.change_state(|bytes| {
        let portfolio = std::sync::Arc::new(Portfolio::new(&definitions));
        let mut group = LaneGroup::restore(portfolio, 1, bytes).expect("a state");
        assert_eq!((group.deferred(), group.wants_recount()), (1, true));
        group.close(99, hours(22 * 24 + 1), false);
        group.snapshot().expect("bytes")
    });
    assert!(tables.is_former(&definitions), "its steps were made without");
    tables.epoch(&definitions, hours(22 * 24 + 2), 0);
    assert_eq!(tables.ask(CORRECTIONS, None), [Value::Null; 0]);
    assert!(!tables.is_former(&definitions));
    tables.epoch(&definitions, hours(22 * 24 + 3), 0);
    assert_made_good(&tables);
}

#[test]
fn r38_r23_a_service_that_is_new_has_what_was_stored_of_it_at_the_times_by_which_it_would_have_counted() {
    // `mail` is up every hour of the first week until Friday, 12:00, when its clock jumps ahead by two days and tells that
    // it is down; an hour later all is well. Read at 12:00, that is taken to be from then.
    let until_then = (0..4 * 24 + 12).map(|hour| result("mail", hour, "up"));
    let jumped = result("mail", 6 * 24 + 12, "down");
    let afterwards = (4 * 24 + 13..21 * 24).map(|hour| result("mail", hour, "up").replace("mail-", "mail-later-"));
    let records: Vec<String> = until_then.chain([jumped]).chain(afterwards).collect();
    let before = definitions(false);
    let mut tables = Tables::new(&before, &records);
    tables.epoch(&before, hours(4 * 24 + 12), 4 * 24 + 13);
    tables.epoch(&before, hours(22 * 24), records.len() - (4 * 24 + 13));
    let after = definitions(true);
    tables.epoch(&after, hours(22 * 24 + 1), 0);
    let of_mail: Vec<Value> = tables.ask(WEEKS, None).into_iter().filter(|row| row["service"] == "mail").collect();
    let whole = week("mail", [168, 0, 0], "met", 1);
    assert_eq!(of_mail, [week("mail", [167, 1, 0], "breached", 1), whole.clone(), whole]);
}

#[test]
fn r24_definitions_are_told_when_they_change_and_not_at_each_start() {
    // Were they told at a start, that epoch, made again after a crash, would not have the rows that it had.
    let (before, after) = (definitions(false), definitions(true));
    let records: Vec<String> = (1..=4).map(|hour| result("web", hour, "up")).collect();
    let mut tables = Tables::new(&before, &records);
    for (hour, definitions) in [(2, &before), (3, &before), (4, &after), (5, &after)] {
        tables.epoch(definitions, hours(hour), 1);
    }
    let told = tables.ask("SELECT service, epoch FROM history.services ORDER BY epoch, service", None);
    let row = |service: &str, epoch: i64| json!({"service": service, "epoch": epoch});
    assert_eq!(told, [row("web", 1), row("mail", 3), row("web", 3)]);
    assert_eq!(tables.ask("SELECT count(*) AS epochs FROM epochs", None), [json!({"epochs": 4})]);
}
