//! What agreements and offerings exclude.

use chrono::NaiveDate;

use super::{check, document, good};
use crate::definition::{ExcludedTime, MaintenanceTerms};
use crate::time::Micros;

/// An agreement with one objective and these exclusions, which stand on line 7; `offering` is a field with its comma.
fn agreement(offering: &str, exclusions: &str) -> String {
    format!(
        "---\n{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: a}},\nspec: {{type: ola, services: [web], {offering} \
         effective: {{from: 2026-01-01}},\n  objectives: [{{id: o, indicator: {{signal: availability}}, target: {{at_least: \
         9 %}},\n    window: {{calendar: month}}}}],\n  exclusions:\n    {{{exclusions}}}}}}}\n"
    )
}

const TERMS: MaintenanceTerms =
    MaintenanceTerms { notice: Micros(3 * Micros::DAY.0), at_most: Some(Micros(8 * Micros::HOUR.0)) };

#[test]
fn r9_terms_of_maintenance_are_an_agreements_or_its_offerings() {
    let terms = |text: &str| good(text).agreements[0].maintenance;
    assert_eq!(terms(&agreement("", "maintenance: {notice: 3d, at_most: 8h}")), Some(TERMS));
    assert_eq!(
        terms(&agreement("", "maintenance: {}")),
        Some(MaintenanceTerms { notice: Micros::ZERO, at_most: None })
    );
    assert_eq!(terms(&agreement("", "times: []")), None);
    let offering = document(
        "Offering",
        "exclusions: {maintenance: {notice: 3d, at_most: 8h}}\nobjectives: [{id: p, indicator: {signal: downtime}, \
         target: {at_most: 4h}, window: {calendar: month}}]",
    );
    let following = |exclusions: &str| terms(&(offering.clone() + &agreement("offering: tested,", exclusions)));
    assert_eq!(following("times: []"), Some(TERMS));
    let own = MaintenanceTerms { notice: Micros(Micros::HOUR.0), at_most: None };
    assert_eq!(following("maintenance: {notice: 1h}"), Some(own), "its own replace the offering's whole");
}

#[test]
fn r9_dated_times_are_civil() {
    let text = agreement(
        "",
        "times: [{from: 2026-03-01T08:30:15, until: 2026-03-02, reason: force majeure}, \
         {from: 2026-03-03T08:00, until: 2026-03-03T09:00, reason: moved by the customer, services: [web]}]",
    );
    let civil = |day, hour, minute, second| {
        NaiveDate::from_ymd_opt(2026, 3, day).and_then(|day| day.and_hms_opt(hour, minute, second)).expect("a time")
    };
    let majeure = ExcludedTime {
        from: civil(1, 8, 30, 15),
        until: civil(2, 0, 0, 0),
        reason: "force majeure".to_owned(),
        services: Vec::new(),
    };
    let moved = ExcludedTime {
        from: civil(3, 8, 0, 0),
        until: civil(3, 9, 0, 0),
        reason: "moved by the customer".to_owned(),
        services: vec!["web".to_owned()],
    };
    assert_eq!(good(&text).agreements[0].excluded_times, [majeure, moved]);
}

#[test]
fn r9_exclusions_that_cannot_be_meant_are_told() {
    for (exclusions, expected) in [
        ("maintenance: {at_most: 0s}", "maintenance.at_most: found \"0s\", expected a duration longer than 0s"),
        ("maintenance: {notice: -1d}", "maintenance.notice: found \"-1d\", expected a duration such as 90s"),
        ("maintenance: {notice: 3}", "maintenance.notice: found 3, expected a duration such as 90s"),
        (
            "maintenance: {cap: 8h}",
            "maintenance.cap: found the unknown field \"cap\", expected a field that exists here: one of notice, at_most",
        ),
        (
            "times: [{from: 2026-03-01, until: 2026-03-01T00:00, reason: x}]",
            "times[0].until: found \"2026-03-01T00:00\", expected a time after 2026-03-01T00:00:00, when it starts",
        ),
        (
            "times: [{from: 2026-02-30T08:00:00, until: 2026-03-02, reason: x}]",
            "times[0].from: found \"2026-02-30T08:00:00\", expected a civil time that exists, from 1970 to 2199",
        ),
        (
            "times: [{from: 2026-03-01 08:00, until: 2026-03-02, reason: x}]",
            "times[0].from: found \"2026-03-01 08:00\", expected a civil time such as 2026-01-31T08:00:00",
        ),
        (
            "times: [{from: 2026-03-01, until: 2026-03-02}]",
            "times[0].reason: found nothing, expected why it does not count, for people",
        ),
        (
            "times: [{from: 2026-03-01, until: 2026-03-02, reason: x, services: [wbe]}]",
            "times[0].services[0]: found \"wbe\", expected a service of this agreement: web; perhaps \"web\" is meant",
        ),
    ] {
        check(&agreement("", exclusions), &[&format!("7: spec.exclusions.{expected}")]);
    }
    let offering = document(
        "Offering",
        "exclusions: {times: []}\nobjectives: [{id: p, indicator: {signal: downtime}, \
         target: {at_most: 4h}, window: {calendar: month}}]",
    );
    check(
        &offering,
        &["5: spec.exclusions.times: found the unknown field \"times\", expected a field that exists here"],
    );
}
