//! Kafka with TLS and passwords, for builds with the feature `kafka-tls`:
//! `cargo test -p plimsoll --features kafka-tls --test it kafka_tls`.

use std::process::Output;

use plimsoll_tests::broker::{Broker, PASSWORD, USER};

use crate::support::{output, run};

const DEFINITIONS: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [events]}
";

/// Reads the topic to its end with these properties, which are given in a file as passwords should be.
fn read(broker: &Broker, lake: &str, properties: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("all.yaml"), DEFINITIONS).expect("a file");
    let lines: Vec<String> = properties.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    std::fs::write(path("kafka.properties"), lines.concat()).expect("a file");
    let bootstrap = broker.secured_bootstrap().expect("a secured listener");
    run(&[
        "run",
        "--until-caught-up",
        "--listen",
        "127.0.0.1:0",
        "--bootstrap",
        &bootstrap,
        "--definitions",
        &folder.path().to_string_lossy(),
        "--lake",
        lake,
        "--properties-file",
        &path("kafka.properties"),
    ])
}

#[test]
fn tls_with_scram_and_plain_reads_and_a_wrong_password_or_certificate_says_so() {
    let broker = Broker::start_secured().expect("a broker; tests/fetch-broker.sh brings it");
    broker.create_topic("events", 1).expect("topic");
    let event =
        r#"{"id":"1","time":"2026-03-01T00:00:00Z","kind":"monitoring","service":"web","check":"a","status":"up"}"#;
    broker.produce("events", 0, [event]).expect("a record");
    let certificate = broker.certificate().to_string_lossy().into_owned();
    let secured = [("security.protocol", "SASL_SSL"), ("sasl.username", USER)];
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let lake = tempfile::tempdir().expect("a folder");
        let lake = lake.path().to_string_lossy();
        let trusted = [("ssl.ca.location", certificate.as_str()), ("sasl.mechanism", mechanism)];
        let done = read(&broker, &lake, &[&secured[..], &trusted, &[("sasl.password", PASSWORD)]].concat());
        assert!(done.status.success(), "{mechanism}: {}", String::from_utf8_lossy(&done.stderr));
        let counted = output(&["sql", "--lake", &lake, "--format", "csv", "SELECT count(*) AS n FROM events"]);
        assert_eq!(counted, "n\n1\n", "{mechanism}");
    }
    let lake = tempfile::tempdir().expect("a folder");
    let lake = lake.path().to_string_lossy();
    let scram = ("sasl.mechanism", "SCRAM-SHA-512");
    let trusted = [("ssl.ca.location", certificate.as_str()), scram, ("sasl.password", "guessed")];
    let refused = read(&broker, &lake, &[&secured[..], &trusted].concat());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && told.contains("sasl"), "a wrong password: {told}");
    let untrusted = read(&broker, &lake, &[&secured[..], &[scram, ("sasl.password", PASSWORD)]].concat());
    let told = String::from_utf8_lossy(&untrusted.stderr);
    assert!(untrusted.status.code() == Some(1) && told.contains("ssl"), "an unknown certificate: {told}");
}
