//! Back-tests (R31) over HTTP: they say what the command says.

use plimsoll_tests::broker::Broker;

use crate::gate::{Asked, SPENT, rows, send};
use crate::recovery::wait_for_answer;
use crate::support::{get, output, request};

/// 95 % of a day: 72 minutes may be bad, and 40 are. Of the 99 % that are in force it is 14.
const DRAFT: &str = "
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: care-for-web, version: 2}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 2030-01-01}
  objectives:
  - {id: day, indicator: {signal: availability}, target: {at_least: 95 %}, window: {calendar: day}}
";

#[test]
fn r31_a_back_test_over_http_says_what_the_command_says() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let Asked { world, _running, address, all, some } = Asked::start(&broker);
    let (folder, lake) = (world.definitions(), world.lake("lake"));
    let post = |token: &str, parameters: &str, accept: &str, body: &str| {
        let headers = format!("application/yaml\r\nAuthorization: Bearer {token}\r\nAccept: {accept}");
        request(&address, &format!("POST /v1/backtest{parameters}"), &headers, body)
    };
    let answer = post(&all, "", "text/csv", DRAFT);
    assert!(
        answer.starts_with("HTTP/1.1 422 ") && answer.contains("there is no event to judge the draft by"),
        "{answer}"
    );
    send(&broker);
    wait_for_answer(&lake, "SELECT count(*) FROM events", "6");
    wait_for_answer(&lake, SPENT, "2");

    // Until the day before yesterday at noon it was up, and 40 minutes down: 97.2 % of that day, of which 99 % are promised.
    let today = chrono::Utc::now().date_naive();
    let (as_of, day) = (format!("{today}T00:00:00Z"), today - chrono::Days::new(2));
    let asked = format!("?as_of={as_of}&from={day}");
    let answer = post(&all, &asked, "text/csv", DRAFT);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("plimsoll-not-judged: 0\r\n"), "{answer}");
    let verdicts =
        |line: &str| line.split(',').filter(|cell| ["met", "breached"].contains(cell)).collect::<Vec<_>>().join(" ");
    let of_day: Vec<String> =
        rows(&answer).lines().filter(|line| line.starts_with(&day.to_string())).map(verdicts).collect();
    assert_eq!(of_day, ["met breached"], "{answer}");
    let draft = world.lake("draft.yaml");
    std::fs::write(&draft, DRAFT).expect("a file");
    for (accept, format) in [("text/csv", "csv"), ("application/json", "json"), ("text/plain", "table")] {
        let answer = post(&all, &asked, accept, DRAFT);
        let (draft, folder, lake) = (draft.to_string_lossy(), folder.to_string_lossy(), lake.to_string_lossy());
        let settings = ["backtest", &draft, "-d", &folder, "--lake", &lake, "--format", format];
        let day = day.to_string();
        assert_eq!(rows(&answer), output(&[&settings[..], &["--as-of", &as_of, "--from", &day]].concat()));
    }
    let known = post(&all, &format!("{asked}&known_at=2026-01-01"), "text/csv", DRAFT);
    assert!(known.contains("there is no event to judge the draft by"), "{known}");

    // What cannot be judged, and who is not to know.
    let nothing = "{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: other}}";
    for (parameters, body, status, why) in [
        ("", nothing, 422, "the draft has no agreement beside those in force"),
        ("", "kind: Agreement", 422, "\"file\":\"draft.yaml\""),
        ("?from=soon", DRAFT, 400, "found from \\\"soon\\\", expected a civil day"),
        ("?as_of=soon", DRAFT, 400, "found as_of \\\"soon\\\", expected RFC 3339"),
        ("?until=2026-01-01", DRAFT, 400, "unknown field `until`"),
    ] {
        let answer = post(&all, parameters, "application/json", body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(why), "{answer}");
    }
    let json = format!("application/json\r\nAuthorization: Bearer {all}");
    assert!(request(&address, "POST /v1/backtest", &json, DRAFT).starts_with("HTTP/1.1 415 "));
    let answer = post(&some, "", "text/csv", DRAFT);
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("a back-test is not for those"), "{answer}");
    assert!(get(&address, "/").contains("POST /v1/backtest?from=&as_of=&known_at="));
}
