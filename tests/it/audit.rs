//! R26: from a result to what it stands on, and back to the result.

use std::path::Path;
use std::process::Output;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::known::{World, after, definitions, world};
use crate::support::{output, run};
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

/// A row of `attainment` that says other than what follows is found out, and so is one that nothing says.
#[test]
fn r26_a_row_that_does_not_follow_is_told() {
    let records = [1, 2, 3].map(|number| {
        format!(r#"{{"time":"2026-03-01T0{number}:00:00Z","kind":"feedback","service":"mail","customer":"acme","score":{number}}}"#)
    });
    let definitions = definitions(60);
    let mut tables = Tables::new(&definitions, &records);
    tables.epoch(&definitions, after(12 * 60), 3);
    tables.epoch(&definitions, after(13 * 60), 0);
    let lake = tables.lake();
    let question = "SELECT * FROM attainment WHERE objective = 'scores' AND service = 'mail'";
    let rows = ask(&lake, question);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(audit(&lake, row, &[]).status.success());
    // Two thirds of the scores are said to be good, which none is.
    let mut forged =
        tables.written("gold", "mail").into_iter().rfind(|row| &*row.objective == "scores").expect("a row");
    forged.good_count = 2;
    tables.forge(forged);
    let forged = &ask(&lake, question)[0];
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
