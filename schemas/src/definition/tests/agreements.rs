//! Offerings, agreements and their objectives.

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::{check, document, good};
use crate::definition::{
    AgreementType, Attribution, ClockRule, CountRule, ExcludedPolicy, Objective, PriorityChange, RatioRule, Reopening,
    Signal, StatePolicy, Target, UnknownPolicy, WindowKind,
};
use crate::event::EventKind;
use crate::ratio::Share;
use crate::time::Micros;

/// An offering with one objective of this indicator and target, each on a line of its own: 7 and 8.
fn objective(indicator: &str, target: &str) -> String {
    let objective = "window: {calendar: month}";
    document(
        "Offering",
        &format!(
            "objectives:\n  - id: one\n    indicator: {{{indicator}}}\n    target: {{{target}}}\n    {objective}\n"
        ),
    )
}

fn signal(indicator: &str, target: &str) -> (Signal, Target) {
    let definitions = good(&objective(indicator, target));
    let objective = &definitions.offerings["tested"].objectives[0];
    (objective.indicator.signal.clone(), objective.target)
}

fn agreement(id: &str, version: u32, effective: &str, more: &str) -> String {
    format!(
        "---\n{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: {id}, version: {version}}},\nspec: {{type: \
         ola, services: [web], offering: gold, effective: {{{effective}}}{more}}}}}\n"
    )
}

#[test]
fn r10_signals_carry_their_rules() {
    let half = StatePolicy {
        unknown: UnknownPolicy::Hold,
        excluded: ExcludedPolicy::CountActual,
        degraded_good: Share(500_000_000),
    };
    let clock = ClockRule {
        priorities: vec!["P1".to_owned()],
        within: Micros(4 * Micros::HOUR.0),
        priority_change: PriorityChange::Restart,
        reopening: Reopening::Largest,
        attribution: Attribution::Closed,
    };
    let plain = StatePolicy::default();
    let down = StatePolicy { degraded_good: Share(0), unknown: UnknownPolicy::Bad, ..plain };
    let ratio = RatioRule { kind: EventKind::Incident, count: CountRule::OncePerTicketAtClosing };
    let share = Target::AtLeast(Share(950_000_000));
    for (indicator, target, expected) in [
        ("signal: availability", "at_least: 95 %", (Signal::Availability(plain), share)),
        (
            "signal: availability, unknown: hold, excluded: count_actual, degraded: 50 %",
            "at_least: 0.95",
            (Signal::Availability(half), share),
        ),
        (
            "signal: downtime, degraded: down, unknown: bad",
            "at_most: 4h",
            (Signal::Downtime(down), Target::AtMostTime(Micros(4 * Micros::HOUR.0))),
        ),
        ("signal: longest_outage", "at_most: 0s", (Signal::LongestOutage(plain), Target::AtMostTime(Micros::ZERO))),
        ("signal: outage_count", "at_most: 3", (Signal::OutageCount(plain), Target::AtMostCount(3))),
        (
            "signal: resolution_time, priorities: [P1], within: 4h, priority_change: restart, reopening: largest, attribution: closed",
            "at_least: 95%",
            (Signal::ResolutionTime(clock), share),
        ),
        ("signal: response_time, within: 1h", "at_least: 95 %", (Signal::ResponseTime(ClockRule::default()), share)),
        (
            "signal: good_ratio, kind: incident, count: once_per_ticket_at_closing",
            "at_least: 95 %",
            (Signal::GoodRatio(ratio), share),
        ),
        ("signal: change_success", "at_least: 95 %", (Signal::ChangeSuccess, share)),
        ("signal: satisfaction", "at_least: 95 %", (Signal::Satisfaction { good_from: 4 }, share)),
        ("signal: satisfaction, good_from: -1", "at_least: 95 %", (Signal::Satisfaction { good_from: -1 }, share)),
    ] {
        assert_eq!(signal(indicator, target), expected, "{indicator}");
    }
}

#[test]
fn objectives_have_defaults() {
    let definitions = good("");
    let objective = &definitions.offerings["gold"].objectives[0];
    assert_eq!(objective.indicator.calendar, "24x7");
    assert_eq!(objective.window, WindowKind::Month);
    assert_eq!(objective.warn_at, Objective::WARN_AT);
    assert_eq!((objective.min_coverage, objective.min_sample), (Share(900_000_000), 0));
    assert!(!objective.met_when_empty);
    for (target, text) in [
        (Target::AtLeast(Share(999_000_000)), "at least 99.9 %"),
        (Target::AtMostTime(Micros(4 * Micros::HOUR.0)), "at most 4h"),
        (Target::AtMostCount(3), "at most 3"),
    ] {
        assert_eq!(target.to_string(), text);
    }
}

#[test]
fn impossible_targets_are_told() {
    for (indicator, target, expected) in [
        (
            "signal: availability",
            "at_least: 102 %",
            "8: spec.objectives[0].target.at_least: found \"102 %\", expected a share from 0 % to 100 %",
        ),
        (
            "signal: availability",
            "at_least: 99.9",
            "8: spec.objectives[0].target.at_least: found 99.9, expected a share from 0 % to 100 %; write a percentage with its sign",
        ),
        (
            "signal: availability",
            "at_least: 0 %",
            "8: spec.objectives[0].target.at_least: found \"0 %\", expected a share of more than 0 %",
        ),
        (
            "signal: availability",
            "at_least: -5 %",
            "8: spec.objectives[0].target.at_least: found \"-5 %\", expected a share",
        ),
        (
            "signal: availability",
            "at_least: -0.5",
            "8: spec.objectives[0].target.at_least: found -0.5, expected 0 or more",
        ),
        (
            "signal: availability",
            "at_least: 99.99999999 %",
            "8: spec.objectives[0].target.at_least: found \"99.99999999 %\", expected a share from 0 % to 100 %, with at most 7 decimals",
        ),
        (
            "signal: availability",
            "at_least: most",
            "8: spec.objectives[0].target.at_least: found \"most\", expected a share",
        ),
        (
            "signal: availability",
            "",
            "8: spec.objectives[0].target: found an empty mapping, expected either at_least with a share, or at_most",
        ),
        (
            "signal: availability",
            "at_least: 99 %, at_most: 1h",
            "8: spec.objectives[0].target: found a mapping with at_least, at_most, expected either",
        ),
        (
            "signal: availability",
            "atleast: 99 %",
            "8: spec.objectives[0].target.atleast: found the unknown field \"atleast\", expected a field that exists here: one of at_least, at_most; perhaps \"at_least\"",
        ),
        (
            "signal: downtime",
            "at_most: -4h",
            "8: spec.objectives[0].target.at_most: found \"-4h\", expected a duration such as 4h",
        ),
        ("signal: outage_count", "at_most: -1", "8: spec.objectives[0].target.at_most: found -1, expected 0 or more"),
        (
            "signal: outage_count",
            "at_most: 1.5",
            "8: spec.objectives[0].target.at_most: found 1.5, expected a duration such as 4h (downtime, longest_outage) or a whole number",
        ),
        (
            "signal: resolution_time, within: 0s",
            "at_least: 95 %",
            "7: spec.objectives[0].indicator.within: found \"0s\", expected a duration longer than 0s",
        ),
        (
            "signal: resolution_time, within: 4",
            "at_least: 95 %",
            "7: spec.objectives[0].indicator.within: found 4, expected a duration such as",
        ),
        (
            "signal: availability, degraded: 120 %",
            "at_least: 95 %",
            "7: spec.objectives[0].indicator.degraded: found \"120 %\", expected up, down or a share",
        ),
    ] {
        check(&objective(indicator, target), &[expected]);
    }
}

#[test]
fn targets_that_cannot_be_measured_are_told() {
    for (indicator, target, expected) in [
        (
            "signal: downtime",
            "at_least: 99 %",
            "8: spec.objectives[0].target.at_least: found \"99 %\", expected at_most with a duration such as 4h: downtime cannot be measured otherwise",
        ),
        (
            "signal: downtime",
            "at_most: 4",
            "8: spec.objectives[0].target.at_most: found 4, expected at_most with a duration",
        ),
        (
            "signal: outage_count",
            "at_most: 4h",
            "8: spec.objectives[0].target.at_most: found \"4h\", expected at_most with a whole number such as 3",
        ),
        (
            "signal: availability",
            "at_most: 4h",
            "8: spec.objectives[0].target.at_most: found \"4h\", expected at_least with a share such as 99.9 %",
        ),
        (
            "signal: satisfaction",
            "at_most: 4",
            "8: spec.objectives[0].target.at_most: found 4, expected at_least with a share",
        ),
        (
            "signal: mood",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.signal: found \"mood\", expected the quantity that is measured: one of availability",
        ),
        (
            "calendar: 24x7",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.signal: found nothing, expected the quantity",
        ),
        (
            "signal: availability, calendar: offce",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.calendar: found \"offce\", expected the id of a calendar that is defined: one of office, 24x7; perhaps \"office\"",
        ),
        (
            "signal: resolution_time",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.within: found nothing, expected the agreed time that a ticket may take",
        ),
        (
            "signal: good_ratio",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.kind: found nothing, expected the kind of event",
        ),
        (
            "signal: good_ratio, kind: feedback, count: once_per_ticket_at_closing",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.count: found \"once_per_ticket_at_closing\", expected each_event, because feedback events have no ticket",
        ),
    ] {
        check(&objective(indicator, target), &[expected]);
    }
}

#[test]
fn fields_belong_to_their_signals() {
    check(
        &objective("signal: availability, within: 4h, priorities: [P1], kind: change, good_from: 3", "at_least: 99 %"),
        &[
            "7: spec.objectives[0].indicator.good_from: found 3, expected no such field: it belongs to the signal \
             satisfaction",
            "7: spec.objectives[0].indicator.kind: found \"change\", expected no such field: it belongs to the signal \
             good_ratio",
            "7: spec.objectives[0].indicator.priorities: found a list, expected no such field: it belongs to the \
             signals response_time and resolution_time",
            "7: spec.objectives[0].indicator.within: found \"4h\", expected no such field",
        ],
    );
    check(
        &objective("signal: change_success, unknown: hold", "at_least: 99 %"),
        &[
            "7: spec.objectives[0].indicator.unknown: found \"hold\", expected no such field: it belongs to the signals \
           availability",
        ],
    );
}

#[test]
fn warnings_rise_and_windows_are_known() {
    let text = document(
        "Offering",
        "
objectives:
  - id: one
    indicator: {signal: availability}
    target: {at_least: 99 %}
    window: {calendar: 0}
    warn_at: [50 %, 90 %, 75 %, 0 %, 110 %]
    min_coverage: 150 %
    min_sample: -1
    when_empty: breached
  - id: one
    indicator: {signal: availability}
    target: {at_least: 99 %}
    window: {rolling: 0d}
  - id: two
",
    );
    check(
        &text,
        &[
            "9: spec.objectives[0].window.calendar: found 0, expected a civil day, ISO week, month, quarter or year",
            "10: spec.objectives[0].warn_at[2]: found \"75 %\", expected rising shares: more than 90 % here",
            "10: spec.objectives[0].warn_at[3]: found \"0 %\", expected a share of more than 0 %",
            "10: spec.objectives[0].warn_at[4]: found \"110 %\", expected a share from 0 % to 100 %",
            "11: spec.objectives[0].min_coverage: found \"150 %\", expected a share from 0 % to 100 %",
            "12: spec.objectives[0].min_sample: found -1, expected 0 or more",
            "13: spec.objectives[0].when_empty: found \"breached\", expected the verdict",
            "14: spec.objectives[1].id: found \"one\" again, expected an id of its own; test.yaml:6 has this one",
            "17: spec.objectives[1].window.calendar: found nothing, expected a civil day",
            "17: spec.objectives[1].window.rolling: found the unknown field \"rolling\"",
            "18: spec.objectives[2].indicator: found nothing, expected what is measured",
            "18: spec.objectives[2].target: found nothing, expected what is promised",
            "18: spec.objectives[2].window: found nothing, expected the window",
        ],
    );
    check(&document("Offering", "objectives: []"), &["5: spec.objectives: found an empty list"]);
}

#[test]
fn an_agreement_overrides_its_offering() {
    let text = document(
        "Agreement",
        "
type: sla
customer: acme
services: [web, network]
offering: gold
time_zone: Europe/Berlin
effective: {from: 2026-01-01, until: 2027-01-01}
review: {every: 2 years}
objectives:
  - {id: count, indicator: {signal: outage_count}, target: {at_most: 3}, window: {calendar: week}}
  - {id: availability, indicator: {signal: availability}, target: {at_least: 99.95 %}, window: {calendar: day}}
",
    );
    let agreement = good(&text).agreements.remove(0);
    assert_eq!((agreement.agreement_type, agreement.version), (AgreementType::Sla, 1));
    assert_eq!((agreement.customer.as_deref(), agreement.offering.as_deref()), (Some("acme"), Some("gold")));
    assert_eq!((agreement.time_zone, agreement.review_every_months), (Tz::Europe__Berlin, Some(24)));
    assert_eq!(agreement.effective_until, NaiveDate::from_ymd_opt(2027, 1, 1));
    let objectives: Vec<_> =
        agreement.objectives.iter().map(|objective| (objective.id.as_str(), objective.target.to_string())).collect();
    assert_eq!(objectives, [("availability", "at least 99.95 %".to_owned()), ("count", "at most 3".to_owned())]);
}

#[test]
fn agreements_are_sound() {
    let text = document(
        "Agreement",
        "
type: sla
services: [wob]
offering: golden
time_zone: CET+1
effective: {from: 2026-01-01, until: 2026-01-01}
rests_on: [ola]
review: {every: 3 weeks}
",
    );
    check(
        &text,
        &[
            "4: spec.customer: found nothing, expected the id of the customer, which an sla needs",
            "6: spec.services[0]: found \"wob\", expected the id of a service that is defined: one of network, web; \
             perhaps \"web\" is meant",
            "7: spec.offering: found \"golden\", expected the id of an offering that is defined: gold; perhaps",
            "8: spec.time_zone: found \"CET+1\", expected an IANA time zone",
            "9: spec.effective.until: found \"2026-01-01\", expected a date after 2026-01-01, the first day in force",
            "10: spec.rests_on[0]: found \"ola\", expected the id of an agreement that is defined: tested",
            "11: spec.review.every: found \"3 weeks\", expected a number of months or years such as 3 months",
        ],
    );
    check(
        &document("Agreement", "type: contract\nservices: []\neffective: {}\nobjectives: []"),
        &[
            "5: spec.type: found \"contract\", expected sla (to a customer), ola (between own teams) or uc",
            "6: spec.services: found an empty list, expected at least one entry",
            "7: spec.effective.from: found nothing, expected the first day it is in force",
            "8: spec.objectives: found an empty list, expected at least one entry",
        ],
    );
    check(
        &document("Agreement", "type: uc\nservices: [web]\neffective: {from: 2026-13-01}"),
        &[
            "4: spec.objectives: found nothing, expected at least one objective, its own or those of an offering",
            "7: spec.effective.from: found \"2026-13-01\", expected a date that exists",
        ],
    );
}

#[test]
fn circles_of_support_are_named() {
    let text = agreement("a", 1, "from: 2026-01-01", ", rests_on: [b]")
        + &agreement("b", 1, "from: 2026-01-01", ", rests_on: [a]");
    check(&text, &["6: spec.rests_on[0]: found the circle a -> b -> a, expected nothing that rests on itself"]);
}

#[test]
fn r24_the_next_version_ends_an_open_one() {
    let text = agreement("a", 2, "from: 2026-07-01", "") + &agreement("a", 1, "from: 2026-01-01", "");
    let agreements = good(&text).agreements;
    let date = |month| NaiveDate::from_ymd_opt(2026, month, 1).expect("valid");
    let versions: Vec<_> = agreements.iter().map(|a| (a.version, a.effective_from, a.effective_until)).collect();
    assert_eq!(versions, [(1, date(1), Some(date(7))), (2, date(7), None)]);
}

#[test]
fn r24_versions_are_distinct_and_do_not_overlap() {
    let first = agreement("a", 1, "from: 2026-01-01, until: 2026-06-01", "");
    check(
        &(first.clone() + &agreement("a", 2, "from: 2026-05-01", "")),
        &["6: spec.effective.from: found \"2026-05-01\", expected 2026-06-01 or later, when version 1 ends"],
    );
    check(
        &(first.clone() + &agreement("a", 1, "from: 2026-07-01", "")),
        &["5: metadata.id: found \"a\" version 1 again, expected an id of its own; test.yaml:2 has this one already"],
    );
    let open = agreement("a", 1, "from: 2026-01-01", "");
    check(
        &(open + &agreement("a", 2, "from: 2026-01-01", "")),
        &["6: spec.effective.from: found \"2026-01-01\", expected a day after 2026-01-01, when version 1 starts"],
    );
    check(&agreement("a", 0, "from: 2026-01-01", ""), &["2: metadata.version: found 0, expected 1 or more"]);
}
