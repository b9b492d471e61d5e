//! Offerings, agreements and their objectives.

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::{check, document, good};
use crate::definition::{
    AgreementType, Attribution, ClockRule, CountRule, Denominator, Every, ExcludedPolicy, Objective, PriorityChange,
    RatioRule, Reopening, Signal, StatePolicy, Target, UnknownPolicy, WindowKind,
};
use crate::event::{EventKind, TicketType};
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
        denominator: Denominator::FullWindow,
        min_outage: Micros(5 * Micros::MINUTE.0),
        degraded_good: Share(500_000_000),
        min_duration: Micros::ZERO,
    };
    let clock = ClockRule {
        ticket_type: TicketType::Incident,
        priorities: vec!["P1".to_owned()],
        within: Micros(4 * Micros::HOUR.0),
        priority_change: PriorityChange::Restart,
        reopening: Reopening::Largest,
        attribution: Attribution::Closed,
    };
    let requests = ClockRule { ticket_type: TicketType::Request, ..ClockRule::default() };
    let plain = StatePolicy::default();
    let down = StatePolicy { degraded_good: Share(0), unknown: UnknownPolicy::Bad, ..plain };
    let ratio = RatioRule { kind: EventKind::Incident, count: CountRule::OncePerTicketAtClosing };
    let share = Target::AtLeast(Share(950_000_000));
    for (indicator, target, expected) in [
        ("signal: availability", "at_least: 95 %", (Signal::Availability(plain), share)),
        (
            "signal: availability, unknown: hold, excluded: count_actual, degraded: 50 %, denominator: full_window, min_outage: 5m",
            "at_least: 0.95",
            (Signal::Availability(half), share),
        ),
        (
            "signal: downtime, degraded: down, unknown: bad",
            "at_most: 4h",
            (Signal::Downtime(down), Target::AtMostTime(Micros(4 * Micros::HOUR.0))),
        ),
        ("signal: longest_outage", "at_most: 0s", (Signal::LongestOutage(plain), Target::AtMostTime(Micros::ZERO))),
        ("signal: mtbf", "at_least: 200h", (Signal::Mtbf(plain), Target::AtLeastTime(Micros(200 * Micros::HOUR.0)))),
        ("signal: mtbsi", "at_least: 8d", (Signal::Mtbsi(plain), Target::AtLeastTime(Micros(8 * Micros::DAY.0)))),
        ("signal: mtrs", "at_most: 1h", (Signal::Mtrs(plain), Target::AtMostTime(Micros::HOUR))),
        ("signal: outage_count", "at_most: 3", (Signal::OutageCount(plain), Target::AtMostCount(3))),
        (
            "signal: outage_count, min_duration: 5m",
            "at_most: 3",
            (Signal::OutageCount(StatePolicy { min_duration: Micros(300_000_000), ..plain }), Target::AtMostCount(3)),
        ),
        (
            "signal: resolution_time, priorities: [P1], within: 4h, priority_change: restart, reopening: largest, attribution: closed",
            "at_least: 95%",
            (Signal::ResolutionTime(clock), share),
        ),
        (
            "signal: response_time, within: 1h, ticket_type: request",
            "at_least: 95 %",
            (Signal::ResponseTime(requests.clone()), share),
        ),
        ("signal: fulfilment_time, within: 1h", "at_least: 95 %", (Signal::FulfilmentTime(requests), share)),
        ("signal: response_time, within: 1h", "at_least: 95 %", (Signal::ResponseTime(ClockRule::default()), share)),
        (
            "signal: good_ratio, kind: incident, count: once_per_ticket_at_closing",
            "at_least: 95 %",
            (Signal::GoodRatio(ratio), share),
        ),
        ("signal: change_success", "at_least: 95 %", (Signal::ChangeSuccess, share)),
        ("signal: satisfaction", "at_least: 95 %", (Signal::Satisfaction { good_from: 4 }, share)),
        ("signal: net_promoter_score", "at_least: -20", (Signal::NetPromoterScore, Target::AtLeastCount(-20))),
        ("signal: latency, within: 300ms", "at_least: 95 %", (Signal::Latency { within: Micros(300_000) }, share)),
        (
            "signal: throughput, kind: monitoring, per: 1h",
            "at_least: 1000",
            (Signal::Throughput { kind: EventKind::Monitoring, per: Micros::HOUR }, Target::AtLeastCount(1_000)),
        ),
        (
            "signal: error_count, kind: change",
            "at_most: 0",
            (Signal::ErrorCount { kind: EventKind::Change }, Target::AtMostCount(0)),
        ),
        ("signal: changes_on_time", "at_least: 95 %", (Signal::ChangesOnTime, share)),
        (
            "signal: emergency_change_share",
            "at_most: 5 %",
            (Signal::EmergencyChangeShare, Target::AtMost(Share(50_000_000))),
        ),
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
    assert!(!objective.met_when_empty && !objective.burn_rate_warnings);
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
            "8: spec.objectives[0].target.at_least: found \"102 %\", expected a share of more than 0 %, up to 100 %",
        ),
        (
            "signal: availability",
            "at_least: 99.9",
            "8: spec.objectives[0].target.at_least: found 99.9, expected a share of more than 0 %, up to 100 %; write a percentage with its sign",
        ),
        (
            "signal: availability",
            "at_least: 0 %",
            "8: spec.objectives[0].target.at_least: found \"0 %\", expected a share of more than 0 %, up to 100 %",
        ),
        (
            "signal: availability",
            "at_least: -5 %",
            "8: spec.objectives[0].target.at_least: found \"-5 %\", expected a share",
        ),
        (
            "signal: availability",
            "at_least: -0.5",
            "8: spec.objectives[0].target.at_least: found -0.5, expected a share from 0 % to 100 %, with at most 7 decimals",
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
            "8: spec.objectives[0].target: found an empty mapping, expected either at_least or at_most, with a share",
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
            "8: spec.objectives[0].target.at_most: found \"-4h\", expected a duration such as 90s, 15m, 4h",
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
            "signal: mtbf",
            "at_most: 4h",
            "8: spec.objectives[0].target.at_most: found \"4h\", expected at_least with a duration such as 200h: mtbf cannot be measured otherwise",
        ),
        (
            "signal: mtbsi",
            "at_least: 99 %",
            "8: spec.objectives[0].target.at_least: found \"99 %\", expected at_least with a duration such as 200h: mtbsi",
        ),
        (
            "signal: mtbf",
            "at_least: 0s",
            "8: spec.objectives[0].target.at_least: found \"0s\", expected a duration longer",
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
            "signal: net_promoter_score",
            "at_least: 101",
            "8: spec.objectives[0].target.at_least: found 101, expected a whole number from -100 to 100",
        ),
        (
            "signal: emergency_change_share",
            "at_least: 5 %",
            "8: spec.objectives[0].target.at_least: found \"5 %\", expected at_most with a share such as 5 %",
        ),
        (
            "signal: throughput, kind: monitoring, per: 1h",
            "at_least: 99 %",
            "8: spec.objectives[0].target.at_least: found \"99 %\", expected at_least with a whole number such as 30",
        ),
        (
            "signal: throughput, kind: monitoring",
            "at_least: 9",
            "7: spec.objectives[0].indicator.per: found nothing, expected the unit of agreed time",
        ),
        (
            "signal: latency",
            "at_least: 99 %",
            "7: spec.objectives[0].indicator.within: found nothing, expected the longest latency that is good",
        ),
        (
            "signal: error_count",
            "at_most: 9",
            "7: spec.objectives[0].indicator.kind: found nothing, expected the kind of event",
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
            "7: spec.objectives[0].indicator.count: found \"once_per_ticket_at_closing\", expected each_event: once_per_ticket_at_closing belongs to the kind incident",
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
            "7: spec.objectives[0].indicator.kind: found \"change\", expected no such field: it belongs to the signals \
             good_ratio, throughput and error_count",
            "7: spec.objectives[0].indicator.priorities: found a list, expected no such field: it belongs to the \
             signals response_time, resolution_time, fulfilment_time and overdue_count",
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
fn settings_belong_to_their_signals() {
    const STATES: &str = "availability, downtime, longest_outage, outage_count, mtbf, mtbsi and mtrs";
    const SHARES: &str = "response_time, resolution_time and fulfilment_time";
    const CLOCKS: &str = "response_time, resolution_time, fulfilment_time and overdue_count";
    const AGREED: &str = "availability, downtime, longest_outage, outage_count, mtbf, mtbsi, mtrs, response_time, \
                          resolution_time, fulfilment_time, overdue_count and throughput";
    const BUDGETS: &str = "availability, downtime, response_time, resolution_time, fulfilment_time, good_ratio, \
                           change_success, satisfaction, latency, latency_percentile, error_count, changes_on_time and \
                           emergency_change_share";
    const WARNED_OF: &str = "availability, downtime, longest_outage, outage_count, mtbf, mtbsi, mtrs, response_time, resolution_time, fulfilment_time, overdue_count and error_count";
    let signals = [
        ("availability", "at_least: 9 %"),
        ("downtime", "at_most: 1h"),
        ("longest_outage", "at_most: 1h"),
        ("outage_count", "at_most: 1"),
        ("mtbf", "at_least: 1h"),
        ("mtbsi", "at_least: 1h"),
        ("mtrs", "at_most: 1h"),
        ("response_time, within: 1h", "at_least: 9 %"),
        ("resolution_time, within: 1h", "at_least: 9 %"),
        ("fulfilment_time, within: 1h", "at_least: 9 %"),
        ("overdue_count, within: 1h", "at_most: 9"),
        ("good_ratio, kind: change", "at_least: 9 %"),
        ("change_success", "at_least: 9 %"),
        ("satisfaction", "at_least: 9 %"),
        ("net_promoter_score", "at_least: 30"),
        ("latency, within: 300ms", "at_least: 9 %"),
        ("latency_percentile, percentile: 95 %", "at_most: 300ms"),
        ("throughput, kind: monitoring, per: 1h", "at_least: 9"),
        ("error_count, kind: monitoring", "at_most: 9"),
        ("changes_on_time", "at_least: 9 %"),
        ("emergency_change_share", "at_most: 9 %"),
    ];
    for (setting, value, found, belongs) in [
        ("min_coverage", "9 %", "\"9 %\"", STATES),
        ("warn_at", "[]", "an empty list", WARNED_OF),
        ("burn_rate_warnings", "true", "true", BUDGETS),
        ("indicator.calendar", "office", "\"office\"", AGREED),
        ("indicator.priority_change", "restart", "\"restart\"", CLOCKS),
        ("indicator.unknown", "hold", "\"hold\"", STATES),
        ("indicator.excluded", "remove", "\"remove\"", STATES),
        ("indicator.denominator", "elapsed", "\"elapsed\"", STATES),
        ("indicator.min_outage", "5m", "\"5m\"", STATES),
        ("indicator.degraded", "down", "\"down\"", "availability and downtime"),
        ("indicator.attribution", "opened", "\"opened\"", SHARES),
        ("indicator.min_duration", "5m", "\"5m\"", "outage_count"),
    ] {
        for (signal, target) in signals {
            let (line, text) = match setting.strip_prefix("indicator.") {
                Some(name) => (7, objective(&format!("signal: {signal}, {name}: {value}"), target)),
                None => (10, objective(&format!("signal: {signal}"), target) + &format!("      {setting}: {value}\n")),
            };
            let name = signal.split(',').next().unwrap_or_default();
            if belongs.split([',', ' ']).any(|other| other == name) {
                good(&text);
            } else {
                let place = format!("{line}: spec.objectives[0].{setting}: found {found}");
                let signals = if belongs.contains(' ') { "signals" } else { "signal" };
                check(&text, &[&format!("{place}, expected no such field: it belongs to the {signals} {belongs}")]);
            }
        }
    }
}

#[test]
fn words_belong_to_their_signals() {
    for (indicator, target, expected) in [
        (
            "signal: outage_count, unknown: bad",
            "at_most: 1",
            "unknown: found \"bad\", expected remove, good or hold: bad belongs to the signals availability and downtime",
        ),
        (
            "signal: response_time, within: 1h, reopening: largest",
            "at_least: 9 %",
            "reopening: found \"largest\", expected same_cycle, new_cycle or first_only: largest belongs to the signals \
             resolution_time and fulfilment_time",
        ),
        (
            "signal: good_ratio, kind: change, count: once_per_ticket_at_closing",
            "at_least: 9 %",
            "count: found \"once_per_ticket_at_closing\", expected each_event: once_per_ticket_at_closing belongs to the \
             kind incident",
        ),
    ] {
        check(&objective(indicator, target), &[&format!("7: spec.objectives[0].indicator.{expected}")]);
    }
    // What does not belong at all is told so, whatever else is wrong with it.
    check(
        &(objective("signal: availability", "at_least: 9 %") + "      min_sample: -1\n"),
        &[
            "10: spec.objectives[0].min_sample: found -1, expected no such field: it belongs to signals that count things, not to availability",
        ],
    );
}

#[test]
fn whole_numbers_are_taken_exactly_or_refused() {
    let count = |written: &str| signal("signal: outage_count", &format!("at_most: {written}")).1;
    for (written, number) in [("0", 0), ("017", 17), ("+5", 5), ("0x10", 16), ("9223372036854775807", i64::MAX)] {
        assert_eq!(count(written), Target::AtMostCount(number), "{written}");
    }
    let allowed = "a whole number from 0 to 9223372036854775807";
    for (written, how) in [
        ("9223372036854775808", ""),
        ("18446744073709551615", ""),
        ("1e20", ", in digits alone"),
        ("1e3", ", in digits alone"),
        ("3.0", ", in digits alone"),
        ("2.99999999999999999999", ", in digits alone"),
        ("1.5", ", in digits alone"),
        ("-1", ""),
    ] {
        let place = "8: spec.objectives[0].target.at_most";
        let expected = format!("{place}: found {written}, expected {allowed}{how}");
        check(&objective("signal: outage_count", &format!("at_most: {written}")), &[&expected]);
        let more = format!("      min_sample: {written}\n");
        let expected = format!("10: spec.objectives[0].min_sample: found {written}, expected {allowed}{how}");
        check(&(objective("signal: change_success", "at_least: 9 %") + &more), &[&expected]);
    }
    for written in ["\"3\"", "1_000", "0b11", ".inf"] {
        let found = format!("\"{}\"", written.trim_matches('"'));
        let more = format!("      min_sample: {written}\n");
        let expected = format!(
            "10: spec.objectives[0].min_sample: found {found}, expected {allowed}, in digits and without quotes"
        );
        check(&(objective("signal: change_success", "at_least: 9 %") + &more), &[&expected]);
    }
    check(
        &objective("signal: satisfaction, good_from: 1e20", "at_least: 9 %"),
        &[
            "7: spec.objectives[0].indicator.good_from: found 1e20, expected a whole number from -9223372036854775808 to \
           9223372036854775807, in digits alone",
        ],
    );
    for version in ["0", "1.0", "1000001", "1e20"] {
        let text = agreement("a", 7, "from: 2026-01-01", "").replace("version: 7", &format!("version: {version}"));
        let expected =
            |line| format!("{line}: metadata.version: found {version}, expected a whole number from 1 to 1000000");
        // What is no version twice is not the same version twice.
        check(&(text.clone() + &text), &[&expected(2), &expected(5)]);
    }
}

#[test]
fn limits_are_told() {
    let share = "a share from 0 % to 100 %, with at most 7 decimals, such as 99.9 %; or from 0 to 1, with at most 9 decimals, such as 0.999";
    let duration =
        "a duration such as 90s, 15m, 4h, 2d (of 24 hours), 1h 30m or 500ms; at most 36500d and in whole microseconds";
    for written in ["99.99999999999 %", "99.99999999 %", "0.12345678912", "0.99900000000000000001", "1e-1", "0x1"] {
        let found = if written.contains('%') { format!("\"{written}\"") } else { written.to_owned() };
        let expected = format!("8: spec.objectives[0].target.at_least: found {found}, expected {share}");
        check(&objective("signal: availability", &format!("at_least: {written}")), &[&expected]);
        let expected = format!("7: spec.objectives[0].indicator.degraded: found {found}, expected up, down or {share}");
        check(&objective(&format!("signal: availability, degraded: {written}"), "at_least: 9 %"), &[&expected]);
    }
    for written in ["400000d", "36501d", "0.0000001s", "4w", "PT4H"] {
        let expected = format!("7: spec.objectives[0].indicator.within: found \"{written}\", expected {duration}");
        check(&objective(&format!("signal: resolution_time, within: {written}"), "at_least: 9 %"), &[&expected]);
    }
    good(&objective("signal: resolution_time, within: 36500d", "at_least: 0.123456789"));
    let window = |window| objective("signal: availability", "at_least: 9 %").replace("{calendar: month}", window);
    check(&window("0"), &["9: spec.objectives[0].window: found 0, expected either a calendar window such as"]);
    check(
        &window("{calendar: 0}"),
        &[
            "9: spec.objectives[0].window.calendar: found 0, expected a civil day, ISO week, month, quarter or year in the \
           agreement's time zone: one of day, week, month, quarter, year",
        ],
    );
    for (written, expected) in [
        ("{}", "window.calendar: found nothing, expected a civil day"),
        (
            "{calendar: month, first_month: 4}",
            "window.first_month: found 4, expected no such field: it belongs to the windows",
        ),
        ("{calendar: year, first_month: 13}", "window.first_month: found 13, expected a whole number from 1 to 12"),
        (
            "{calendar: day, every: day}",
            "window.every: found \"day\", expected no such field: it belongs to rolling windows",
        ),
        (
            "{rolling: 1d, calendar: day}",
            "window.calendar: found \"day\", expected no such field: a rolling window has none",
        ),
        (
            "{rolling: 1d, first_month: 4}",
            "window.first_month: found 4, expected no such field: a rolling window has none",
        ),
        (
            "{rolling: 59s}",
            "window.rolling: found \"59s\", expected a duration of at least 1m, and of at most 1d where",
        ),
        (
            "{rolling: 25h, every: minute}",
            "window.rolling: found \"25h\", expected a duration of at least 1m, and of at",
        ),
        ("{rolling: 59m, every: hour}", "window.rolling: found \"59m\", expected a duration of at least 1h"),
        ("{rolling: 23h, every: day}", "window.rolling: found \"23h\", expected a duration of at least 1d"),
        ("{rolling: month}", "window.rolling: found \"month\", expected a duration"),
        ("{rolling: 1d, every: week}", "window.every: found \"week\", expected when rolling windows end"),
    ] {
        check(&window(written), &[&format!("9: spec.objectives[0].{expected}")]);
    }
    let rolling = |length, every| WindowKind::Rolling { length, every };
    for (written, expected) in [
        ("{calendar: year}", WindowKind::YEAR),
        ("{calendar: quarter, first_month: 2}", WindowKind::Quarter { first_month: 2 }),
        ("{rolling: 30d}", rolling(Micros(30 * Micros::DAY.0), Every::Day)),
        ("{rolling: 1d, every: hour}", rolling(Micros::DAY, Every::Hour)),
        ("{rolling: 1h}", rolling(Micros::HOUR, Every::Hour)),
        ("{rolling: 59m}", rolling(Micros(59 * Micros::MINUTE.0), Every::Minute)),
        ("{rolling: 1m}", rolling(Micros::MINUTE, Every::Minute)),
        ("{rolling: 1d, every: minute}", rolling(Micros::DAY, Every::Minute)),
    ] {
        assert_eq!(good(&window(written)).offerings["tested"].objectives[0].window, expected, "{written}");
    }
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
            "10: spec.objectives[0].warn_at[3]: found \"0 %\", expected a share of more than 0 %, up to 100 %",
            "10: spec.objectives[0].warn_at[4]: found \"110 %\", expected a share of more than 0 %, up to 100 %",
            "11: spec.objectives[0].min_coverage: found \"150 %\", expected a share from 0 % to 100 %",
            "12: spec.objectives[0].min_sample: found -1, expected no such field: it belongs to signals that count things, not to availability",
            "13: spec.objectives[0].when_empty: found \"breached\", expected the verdict",
            "14: spec.objectives[1].id: found \"one\" again, expected an id of its own; test.yaml:6 has this one",
            "17: spec.objectives[1].window.rolling: found \"0d\", expected a duration longer than 0s",
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
    assert_eq!(
        (agreement.time_zone, agreement.care.review.map(|review| review.every_months)),
        (Tz::Europe__Berlin, Some(24))
    );
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
fn r33_what_cannot_support_an_agreement_is_refused() {
    let agreement = |id: &str, kind: &str, service: &str, more: &str| {
        format!(
            "---\n{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: {id}}}, spec: {{type: {kind}, services: \
             [{service}], offering: gold, effective: {{from: 2026-01-01}}{more}}}}}\n"
        )
    };
    let services = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: disk}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: database}, spec: {composed_of: {any_of: [disk]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {depends_on: [database]}}
";
    // One on a service that a dependency is composed of, one on the shop itself, one on neither, and one to a customer.
    let text = services.to_owned()
        + &agreement("a", "sla", "shop", ", customer: acme, rests_on: [below, same, beside, other]")
        + &agreement("below", "uc", "disk", "")
        + &agreement("same", "ola", "shop", "")
        + &agreement("beside", "ola", "web", "")
        + &agreement("other", "sla", "shop", ", customer: acme");
    check(
        &text,
        &[
            "8: spec.rests_on[2]: found \"beside\", which covers web, expected an agreement on a service of this one, or on \
             one that these need (depends_on, composed_of)",
            "8: spec.rests_on[3]: found \"other\", an sla, expected the id of an ola or a uc",
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
    check(
        &agreement("a", 0, "from: 2026-01-01", ""),
        &["2: metadata.version: found 0, expected a whole number from 1 to 1000000"],
    );
}

#[test]
fn r34_a_mistake_in_a_ladder_is_told_once() {
    // The spec is line 4. With two lines of terms the objective stands on line 11, and its ladder on line 12.
    let agreement = |target: &str, step: &str, terms: &str| {
        document(
            "Agreement",
            &format!(
                "type: ola\nservices: [web]\neffective: {{from: 2026-02-01}}\n{terms}\nobjectives:\n  - {{id: a, indicator: \
                 {{signal: availability}}, target: {{{target}}}, window: {{calendar: month}},\n     credits: \
                 [{{{step}}}]}}\n  - {{id: b, indicator: {{signal: availability}}, target: {{at_least: 9 %}}, window: \
                 {{calendar: month}}}}\n"
            ),
        )
    };
    let charge = "charge: {amount: 1, currency: EUR}\ncredits: {rounding: down}";
    let wrong = |step: &str, expected: &[&str]| check(&agreement("at_least: 99 %", step, charge), expected);
    let below = "12: spec.objectives[0].credits[0].above: found \"99 %\", expected below with a share";
    wrong("above: 99 %, credit: 10 %", &[below]);
    let share = "12: spec.objectives[0].credits[0].credit: found \"0 %\", expected a share of more than 0 %";
    wrong("below: 99 %, credit: 0 %", &[share]);
    let target = "11: spec.objectives[0].target.at_most: found \"3h\", expected";
    check(&agreement("at_most: 3h", "below: 99 %, credit: 10 %", charge), &[target]);
    // A ladder that is mended will need a charge.
    let missing = "4: spec.charge: found nothing, expected what is charged a month";
    let share = "11: spec.objectives[0].credits[0].credit: found \"0 %\", expected a share of more than 0 %";
    check(&agreement("at_least: 99 %", "below: 99 %, credit: 0 %", "time_zone: UTC"), &[missing, share]);
}
