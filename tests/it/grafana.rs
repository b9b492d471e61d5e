//! The dashboards: whether they hold together, and whether what they ask has answers of a real Prometheus and of our wire.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prometheus::{Watched, tools};
use crate::support::repository;

const DASHBOARDS: [&str; 4] = ["portfolio", "agreement", "service", "pipeline"];

/// Panels that may show nothing, because nothing is wrong: in the last hour of the demo's month no budget burns.
const MAY_BE_EMPTY: [&str; 1] = ["Burning now"];

fn dashboard(name: &str) -> Value {
    let text = std::fs::read_to_string(repository(&format!("deploy/grafana/{name}.json"))).expect("a dashboard");
    serde_json::from_str(&text).expect("JSON")
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().expect("panels")
}

#[test]
fn the_dashboards_are_those_that_the_script_makes() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("make.py");
    std::fs::copy(repository("deploy/grafana/make.py"), &script).expect("a copy");
    let Ok(made) = Command::new("python3").arg(&script).status() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3 is not there");
        return;
    };
    assert!(made.success());
    for name in DASHBOARDS {
        let made = std::fs::read_to_string(folder.path().join(format!("{name}.json"))).expect("a dashboard");
        let kept = std::fs::read_to_string(repository(&format!("deploy/grafana/{name}.json"))).expect("a dashboard");
        assert_eq!(made, kept, "{name}: run deploy/grafana/make.py");
    }
}

#[test]
fn the_dashboards_hold_together() {
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        assert_eq!(dashboard["uid"], format!("plimsoll-{name}"));
        assert!(dashboard["schemaVersion"].as_i64() >= Some(39), "that of Grafana 11");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let variables: BTreeSet<&str> = variables.iter().map(|one| one["name"].as_str().expect("a name")).collect();
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_i64().expect("an id")), "{name}/{title}: its id is there twice");
            assert!(
                panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{name}/{title}: no description"
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}/{title}: no unit");
            let place = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
            let [x, y, width, height] = place;
            assert!(width > 0 && height > 0 && x + width <= 24, "{name}/{title}: {place:?}");
            for spot in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(spot), "{name}/{title} lies over another panel at {spot:?}");
            }
            for target in panel["targets"].as_array().expect("targets") {
                let source = target["datasource"]["uid"].as_str().expect("a data source");
                assert!(["${prometheus}", "${postgres}"].contains(&source), "{name}/{title}: {source} is no variable");
                assert_eq!(target["datasource"], panel["datasource"], "{name}/{title}");
                for used in used_variables(&target.to_string()) {
                    assert!(variables.contains(used.as_str()), "{name}/{title}: ${used} is not defined");
                }
            }
        }
        assert!(ids.len() > 5, "{name} has panels");
    }
}

/// The names behind dollar signs.
fn used_variables(text: &str) -> Vec<String> {
    let name = |rest: &str| {
        rest.trim_start_matches('{')
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect()
    };
    text.split('$').skip(1).map(name).collect()
}

#[test]
fn each_question_of_a_dashboard_has_an_answer() {
    let Some(tools) = tools() else { return };
    if Command::new("psql").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "psql is not there");
        eprintln!("skipped: psql is not there");
        return;
    }
    let watched = Watched::start(&tools);
    // One that something is to be told of: much of its budget is spent, and a ticket of it is open.
    let missed = "plimsoll_objective_error_budget_remaining_ratio{objective=\"availability\"} < 0.5 and on (agreement, service) plimsoll_ticket_seconds_to_due";
    let worst = format!("bottomk(1, {missed})");
    watched.wait_for(&worst);
    let missed = watched.query(&worst);
    let label = |name: &str| missed[0]["metric"][name].as_str().expect("a label").to_owned();
    let (agreement, service) = (label("agreement"), label("service"));
    let mut asked = 0;
    for name in DASHBOARDS {
        for panel in panels(&dashboard(name)) {
            let title = panel["title"].as_str().expect("a title");
            for target in panel["targets"].as_array().expect("targets") {
                let chosen = |text: &str| text.replace("$agreement", &agreement).replace("$service", &service);
                let rows = match (target["expr"].as_str(), target["rawSql"].as_str()) {
                    (Some(expression), None) => series(&watched, &chosen(expression), MAY_BE_EMPTY.contains(&title)),
                    (None, Some(statement)) => sql(&watched.postgres, &chosen(statement)),
                    _ => panic!("{name}/{title}: expected one question"),
                };
                assert!(
                    rows > 0 || MAY_BE_EMPTY.contains(&title),
                    "{name}/{title}: no answer for {agreement}, {service}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 30, "{asked}");
}

/// How many series Prometheus answers. Where everything is busy a scrape may come too late, and nothing is known until the
/// next.
fn series(watched: &Watched, expression: &str, may_be_empty: bool) -> usize {
    let deadline = Instant::now() + Duration::from_secs(if may_be_empty { 0 } else { 30 });
    loop {
        let found = watched.query(expression).len();
        if found > 0 || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// How many rows the Postgres wire answers.
fn sql(address: &str, statement: &str) -> usize {
    let done = Command::new("psql").args(["-X", "-A", "-t", "-c", statement, address]).output().expect("psql");
    assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).lines().count()
}
