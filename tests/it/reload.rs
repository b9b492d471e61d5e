//! Definitions that change while `run` runs: the folder, and the door over HTTP.

use std::time::Duration;

use plimsoll_tests::broker::Broker;

use crate::recovery::{World, ask, change_definitions, changes, wait_for_answer};
use crate::support::{get, request};

#[test]
fn r24_definitions_that_change_while_it_runs_restate_results_as_after_a_restart() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for (topic, numbers) in [("old", 0..5), ("new", 5..10)] {
        broker.create_topic(topic, 1).expect("topic");
        broker.produce(topic, 0, changes(numbers)).expect("records");
    }
    let results = "SELECT revision, finality, verdict, target, good_count, total_count FROM attainment";
    // Of five changes one was bad, 80 %; of ten one, 90 %.
    let world = World::new(&change_definitions(80, "old", "failed"));
    let lake = world.lake("lake");
    let (mut running, address) = world.run(&broker.bootstrap(), "lake", &[]);
    wait_for_answer(&lake, results, "1,final,met,at least 80 %,4,5");

    // An edited file is taken over.
    world.define(&change_definitions(85, "old", "failed"));
    wait_for_answer(&lake, results, "2,final,breached,at least 85 %,4,5");
    assert_eq!(ask(&lake, "SELECT revision, reason FROM corrections"), "2,definition_change");

    // A folder with problems is refused whole, and told.
    let wrong = change_definitions(85, "old", "failed").replace("services: [web]", "services: [wbe]");
    world.define(&wrong);
    assert!(running.wait_for("spec.services[0]: found \"wbe\"").starts_with("all.yaml:"));
    running.wait_for("warning: 1 problem in ");
    let is_successful = |value: u8| {
        let line = format!("plimsoll_definitions_last_reload_successful {value}\n");
        (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            get(&address, "/metrics").contains(&line)
        })
    };
    assert!(is_successful(0));

    // Over HTTP: what is wrong is refused, what is right mends the folder, and the topic that it adds is read.
    let post = |file: &str, media_type: &str, text: &str| {
        request(&address, &format!("POST /v1/definitions?file={file}"), media_type, text)
    };
    let refused = post("all.yaml", "application/yaml", &wrong);
    assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains(r#""field":"spec.services[0]""#), "{refused}");
    let right = change_definitions(90, "old, new", "failed");
    assert!(post("all.yaml", "text/plain", &right).starts_with("HTTP/1.1 415 "), "no web page may send this unasked");
    assert!(post("../all.yaml", "application/yaml", &right).starts_with("HTTP/1.1 400 "));
    let taken = post("all.yaml", "application/yaml", &right);
    assert!(taken.starts_with("HTTP/1.1 200 ") && taken.ends_with(r#"{"changed":true}"#), "{taken}");
    assert_eq!(std::fs::read_to_string(world.definitions().join("all.yaml")).expect("a file"), right);
    wait_for_answer(&lake, "SELECT verdict, target, good_count, total_count FROM attainment", "met,at least 90 %,9,10");
    assert!(is_successful(1));
    assert!(get(&address, "/v1/definitions").contains("at_least: 90 %"));
    let gone = request(&address, "DELETE /v1/definitions?file=all.yaml", "", "");
    assert!(gone.starts_with("HTTP/1.1 422 ") && gone.contains("no definitions"), "{gone}");

    // A new version that touches the past without saying so is a problem, though nothing is wrong with the folder alone.
    let second = "
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: releases, version: 2}
spec:
  type: ola
  services: [web]
  effective: {from: 2026-04-01, until: 2026-05-01}
  objectives:
    - {id: changes, indicator: {signal: change_success}, target: {at_least: 50 %}, window: {calendar: month}}
";
    let second_file = world.definitions().join("second.yaml");
    let refused = post("second.yaml", "application/yaml", second);
    let place = r#"{"file":"second.yaml","line":4,"field":"spec.effective.from""#;
    assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains(place), "{refused}");
    assert!(!second_file.exists());
    std::fs::write(&second_file, second).expect("a file");
    let told = running.wait_for("second.yaml:4: spec.effective.from: ");
    assert!(told.contains("version 2 of agreement releases") && told.contains("`retroactive: true`"), "{told}");
    assert!(is_successful(0));
    let retroactive = second.replace("{from:", "{retroactive: true, from:");
    assert!(post("second.yaml", "application/yaml", &retroactive).starts_with("HTTP/1.1 200 "));
    assert!(is_successful(1));
    wait_for_answer(&lake, "SELECT DISTINCT agreement_version FROM attainment ORDER BY 1", "1\n2");

    running.signal("TERM");
    assert!(running.end().success());
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT id) FROM events"), "10,10");
}
