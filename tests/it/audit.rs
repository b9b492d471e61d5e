//! R26: from a result to what it stands on, and back to the result.

use std::path::Path;
use std::process::Output;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::access::token;
use crate::known::{World, after, definitions, world};
use crate::support::{Running, output, request, run};
use crate::tables::Tables;

/// The rows of an answer.
fn ask(lake: &Path, question: &str) -> Vec<Value> {
    let answer = output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "json", question]);
    serde_json::from_str(&answer).expect("rows")
}

/// Audits a row of `attainment` by its key and epoch.
fn audit(lake: &Path, row: &Value, more: &[&str]) -> Output {
    let text = |column: &str| row[column].as_str().map_or_else(|| row[column].to_string(), str::to_owned);
    let named = [
        ("--lake", lake.to_string_lossy().into_owned()),
        ("--agreement", text("agreement")),
        ("--agreement-version", text("agreement_version")),
        ("--service", text("service")),
        ("--objective", text("objective")),
        ("--window", text("window_start")),
        ("--epoch", text("epoch")),
    ];
    let named = named.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    run(&["audit"].into_iter().chain(named).chain(more.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn r26_every_row_that_was_ever_written_comes_out_of_the_stored_events_again() {
    let mut runner = TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
    let law = |world: World| {
        let mut tables = Tables::new(&world.definitions(0), &world.records);
        world.tell(&mut tables, |_, _| {});
        for (agreement, service) in [("gold", "shop"), ("gold", "mail"), ("network", "web")] {
            let written = tables.written(agreement, service);
            prop_assert!(!written.is_empty());
            prop_assert_eq!(tables.replayed(agreement, service), written, "{} of {}", service, agreement);
        }
        Ok(())
    };
    runner.run(&world(), law).unwrap_or_else(|failure| panic!("{failure}"));
}

/// The one result of three scores, of which none is good.
const SCORED: &str = "SELECT * FROM attainment WHERE objective = 'scores' AND service = 'mail'";

/// Tables with `SCORED`.
fn scored() -> Tables {
    let records = [1, 2, 3].map(|number| {
        format!(r#"{{"time":"2026-03-01T0{number}:00:00Z","kind":"feedback","service":"mail","customer":"acme","score":{number}}}"#)
    });
    let definitions = definitions(60);
    let mut tables = Tables::new(&definitions, &records);
    tables.epoch(&definitions, after(12 * 60), 3);
    tables.epoch(&definitions, after(13 * 60), 0);
    tables
}

/// Says that two thirds of them are good.
fn forge(tables: &mut Tables) {
    let mut forged =
        tables.written("gold", "mail").into_iter().rfind(|row| &*row.objective == "scores").expect("a row");
    forged.good_count = 2;
    tables.forge(forged);
}

/// A row of `attainment` that says other than what follows is found out, and so is one that nothing says.
#[test]
fn r26_a_row_that_does_not_follow_is_told() {
    let mut tables = scored();
    let lake = tables.lake();
    let rows = ask(&lake, SCORED);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(audit(&lake, row, &[]).status.success());
    forge(&mut tables);
    let forged = &ask(&lake, SCORED)[0];
    assert_eq!((&forged["good_count"], &row["good_count"]), (&Value::from(2), &Value::from(0)));
    let done = audit(&lake, forged, &[]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(said.contains("DIFFERENT") && said.contains("no such result follows"), "{said}");
    let mut unknown = row.clone();
    unknown["objective"] = "nope".into();
    let done = audit(&lake, &unknown, &[]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("error: no result of agreement gold, service mail, objective nope"), "{said}");
}

#[test]
fn r26_an_audit_over_http_says_what_the_command_says() {
    let mut tables = scored();
    let lake = tables.lake();
    let row = &ask(&lake, SCORED)[0];
    let ((all, all_line), (some, some_line)) = (token(&["all"]), token(&["some", "--customer", "acme"]));
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users").to_string_lossy().into_owned();
    std::fs::write(&users, all_line + &some_line).expect("a file");
    let running =
        Running::start(&["query", "--lake", &lake.to_string_lossy(), "--listen", "127.0.0.1:0", "--users", &users]);
    let line = running.wait_for("answering on http://");
    let address = line.split("http://").nth(1).expect("an address").trim();
    let get = |token: &str, accept: &str, parameters: &str| {
        let headers = format!("text/plain\r\nAuthorization: Bearer {token}\r\nAccept: {accept}");
        request(address, &format!("GET /v1/audit?{parameters}"), &headers, "")
    };
    let named = "agreement=gold&service=mail&objective=scores";
    let window = format!("&window={}", row["window_start"].as_str().expect("a time"));
    for (accept, format) in [("application/json", "json"), ("text/plain", "table")] {
        let answer = get(&all, accept, &(named.to_owned() + &window));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("plimsoll-audit: confirmed"), "{head}");
        assert_eq!(body.as_bytes(), audit(&lake, row, &["--format", format]).stdout);
    }
    for (parameters, status, why) in [
        (named.to_owned(), 400, "missing field `window`"),
        (format!("{named}&window=soon"), 400, "found window \\\"soon\\\", expected RFC 3339"),
        (format!("{named}{window}&revisions=1"), 400, "unknown field `revisions`"),
        (format!("{named}{window}&revision=7"), 404, "no result of agreement gold, service mail, objective scores"),
        (format!("{named}{window}&known_at=2020-01-01"), 404, "no result of agreement gold"),
    ] {
        let answer = get(&all, "application/json", &parameters);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(why), "{answer}");
    }
    let meant = named.to_owned() + &window;
    for (token, accept, status) in
        [(some.as_str(), "text/plain", 403), (&all, "text/csv", 406), ("nobodys", "text/plain", 401)]
    {
        let answer = get(token, accept, &meant);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    forge(&mut tables);
    let answer = get(&all, "text/plain", &meant);
    assert!(answer.contains("plimsoll-audit: different") && answer.contains("DIFFERENT: of 3 events"), "{answer}");
}

#[test]
fn r26_results_of_the_demo_are_confirmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo");
    output(&["demo", "--once", "--seed", "5", "--folder", &path.to_string_lossy(), "--listen", "127.0.0.1:0"]);
    let lake = path.join("lake");
    // One of each signal, its newest row; and one that was superseded, a clock's, a state's and a count's.
    let newest = "SELECT * EXCEPT (place) FROM (SELECT *, row_number() OVER (PARTITION BY signal ORDER BY total_count DESC, \
                  bad_us DESC, agreement, service, window_start, revision DESC, epoch DESC) AS place FROM history.attainment) \
                  WHERE place = 1 ORDER BY signal";
    let superseded = "SELECT * EXCEPT (place) FROM (SELECT first.*, row_number() OVER (PARTITION BY first.signal ORDER BY \
                      first.agreement, first.service, first.window_start, first.epoch) AS place FROM history.attainment AS first \
                      JOIN history.attainment AS next USING (agreement, agreement_version, service, objective, window_start) \
                      WHERE first.epoch < next.epoch) WHERE place = 1 ORDER BY signal";
    let rows = [ask(&lake, newest), ask(&lake, superseded)].concat();
    assert!(rows.len() > 8, "{rows:?}");
    for row in rows {
        let done = audit(&lake, &row, &["--format", "json"]);
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{row}: {said}{}", String::from_utf8_lossy(&done.stderr));
        let said: Value = serde_json::from_str(&said).expect("an object");
        assert_eq!(said["stored"][0]["epoch"], row["epoch"]);
        let measured = row["verdict"] != "no_data";
        assert!(
            !measured || said["events"].as_array().is_some_and(|events| !events.is_empty()),
            "{row} stands on nothing"
        );
    }
}
