//! The indicators by hand, and the worked example of docs/rules/r35-kpis.md.

use super::*;
use crate::portfolio::tests::definitions_of;

mod naive;

const PAGE: &str = include_str!("../../../docs/rules/r35-kpis.md");

fn instant(text: &str) -> Instant {
    Instant::parse_rfc3339(text).expect("an instant")
}

/// The definitions that stand on the page.
fn definitions() -> Definitions {
    let text = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("definitions");
    definitions_of(text)
}

/// A result: agreement, objective, the days from and until which its window lasts, finality and verdict.
fn result(agreement: &str, objective: &str, days: (&str, &str), finality: &str, verdict: &str) -> AttainmentRow {
    let day = |day: &str| instant(&format!("{day}T00:00:00Z"));
    let (start, end) = (day(days.0), day(days.1));
    AttainmentRow {
        agreement: agreement.into(),
        agreement_version: 1,
        objective: objective.into(),
        service: "web".into(),
        window_start: start,
        window_end: end,
        segment_start: start,
        segment_end: end,
        finality: finality.into(),
        verdict: verdict.into(),
        ..AttainmentRow::default()
    }
}

const DECEMBER: (&str, &str) = ("2025-12-01", "2026-01-01");
const JANUARY: (&str, &str) = ("2026-01-01", "2026-02-01");
const FEBRUARY: (&str, &str) = ("2026-02-01", "2026-03-01");
const MARCH: (&str, &str) = ("2026-03-01", "2026-04-01");
const APRIL: (&str, &str) = ("2026-04-01", "2026-05-01");

/// The results of the page's table.
fn results() -> Vec<AttainmentRow> {
    [
        ("shop", "uptime", DECEMBER, "met"),
        ("shop", "uptime", FEBRUARY, "breached"),
        ("shop", "uptime", MARCH, "met"),
        ("shop", "resolution", FEBRUARY, "met"),
        ("shop", "resolution", MARCH, "breached"),
        ("mail", "uptime", FEBRUARY, "met"),
        ("mail", "uptime", MARCH, "met"),
        ("network", "uptime", MARCH, "no_data"),
    ]
    .map(|(agreement, objective, month, verdict)| result(agreement, objective, month, "final", verdict))
    .to_vec()
}

const T: &str = "2026-04-10T12:00:00Z";

fn found(results: &[AttainmentRow], t: &str) -> Vec<String> {
    let results: Vec<Judged> = results.iter().map(Judged::from).collect();
    let kpis = kpis(&definitions(), &results, Micros(5 * Micros::MINUTE.0), At::Instant(instant(t)));
    let line = |kpi: &Kpi| {
        let span = kpi.span_months.map_or("".to_owned(), |months| format!(" {months}"));
        let ratio = kpi.ratio.map_or("-".to_owned(), |ratio| ratio.to_string());
        format!("{}{span} {}/{} {ratio}", kpi.name, kpi.part_count, kpi.whole_count)
    };
    kpis.iter().map(line).collect()
}

#[test]
fn r35_the_worked_example_of_the_rules_page() {
    // uptime of the shop 2 of 3 (weight 3), resolution 1 of 2, uptime of mail 2 of 2: (3 x 0.666666666 + 0.5 + 1) / 5.
    // Of three months December is out: uptime of the shop 1 of 2: (3 x 0.5 + 0.5 + 1) / 5 = 0.6.
    let expected = [
        "measured_in_time 1 2/3 66.6666666 %",
        "breached 1 1/2 50 %",
        "overdue_for_review 1/2 50 %",
        "reported 1/2 50 %",
        "without_targets 1/4 25 %",
        "service_quality_index 3 4/6 60 %",
        "service_quality_index 12 5/7 69.9999999 %",
        "improvement_productivity 3 3/3 100 %",
        "improvement_productivity 12 7/4 175 %",
    ];
    assert_eq!(found(&results(), T), expected);
    let mut names: Vec<&str> = expected.iter().filter_map(|line| line.split(' ').next()).collect();
    names.dedup();
    assert_eq!(Kpi::NAMES.as_slice(), names);
    for line in expected {
        let (name, rest) = line.split_once(' ').expect("a name");
        let words: Vec<&str> = rest.split(' ').collect();
        let (counts, ratio) = match words.as_slice() {
            [counts, share, sign] | [_, counts, share, sign] => (counts, format!("{share} {sign}")),
            _ => panic!("{line}"),
        };
        let span = if words.len() == 4 { words[0] } else { "" };
        let (part, whole) = counts.split_once('/').expect("two counts");
        let row = format!("| `{name}` | {span} | {part} | {whole} | {ratio} |").replace("|  |", "| |");
        assert!(PAGE.contains(&row), "{row} does not stand on the page");
    }
}

#[test]
fn r35_a_result_that_is_not_final_was_not_measured_in_time_once_its_grace_is_over() {
    let of = |finality, t| found(&[result("shop", "uptime", MARCH, finality, "met")], t)[0].clone();
    assert_eq!(of("provisional", "2026-04-01T00:04:59Z"), "measured_in_time 1 0/0 -", "within the grace");
    assert_eq!(of("provisional", "2026-04-01T00:05:00Z"), "measured_in_time 1 0/1 0 %");
    assert_eq!(of("final", "2026-04-01T00:05:00Z"), "measured_in_time 1 1/1 100 %");
    // One that says nothing spoils an agreement, however many others there are.
    let mut results = results();
    results.push(result("shop", "uptime", ("2026-03-30", "2026-04-06"), "final", "insufficient_data"));
    assert_eq!(found(&results, T)[0], "measured_in_time 1 1/3 33.3333333 %");
}

#[test]
fn r35_spans_end_with_the_instant_and_begin_after_the_same_time_months_before() {
    let index = |days, t| found(&[result("shop", "uptime", days, "final", "met")], t)[5].clone();
    let (inside, outside) = ("service_quality_index 3 1/1 100 %", "service_quality_index 3 0/0 -");
    assert_eq!(index(MARCH, "2026-04-01T00:00:00Z"), inside, "ended at that very instant");
    assert_eq!(index(MARCH, "2026-03-31T23:59:59Z"), outside, "not over yet");
    assert_eq!(index(JANUARY, "2026-04-30T23:59:59Z"), inside);
    assert_eq!(index(JANUARY, "2026-05-01T00:00:00Z"), outside, "three months ago to the second");
    // Three months before the 31st of May is the last day of February.
    assert_eq!(index(("2026-02-01", "2026-02-28"), "2026-05-28T00:00:00Z"), outside);
    assert_eq!(index(("2026-02-01", "2026-03-01"), "2026-05-31T23:00:00Z"), inside);
}

#[test]
fn r35_an_improvement_falls_out_of_a_span_on_the_same_day_months_later() {
    let productivity = |t| found(&[], t)[7].clone();
    // Closed in three months: on 2026-02-20 and 2026-03-31, and from 2026-05-20 on the second alone. One is open.
    assert_eq!(productivity("2026-05-19T23:59:59Z"), "improvement_productivity 3 2/3 66.6666666 %");
    assert_eq!(productivity("2026-05-20T00:00:00Z"), "improvement_productivity 3 1/2 50 %");
}

#[test]
fn r35_results_of_a_year_and_a_day_are_asked_for() {
    assert_eq!(since(At::Instant(instant(T))), instant("2025-04-09T12:00:00Z"));
}

#[test]
fn r35_agreements_count_while_they_are_in_force_and_results_of_their_past_too() {
    // The shop's agreement ends with June: then it is neither breached nor to be reviewed, but its quality was.
    let results = [result("shop", "uptime", APRIL, "final", "breached")];
    assert_eq!(found(&results, "2026-05-10T00:00:00Z")[1], "breached 1 1/1 100 %");
    let later = found(&results, "2026-07-01T00:00:00Z");
    assert_eq!(later[1], "breached 1 0/0 -");
    assert_eq!(later[5], "service_quality_index 3 0/1 0 %");
    assert_eq!(later[4], "without_targets 2/4 50 %", "the shop has no target any more");
}

#[test]
fn r35_a_review_is_overdue_on_the_day_after_it_was_due() {
    let overdue = |t| found(&[], t)[2].clone();
    // The shop was reviewed on 2026-01-15 and is every three months; mail never was, and began on 2026-01-01.
    assert_eq!(overdue("2026-03-01T00:00:00Z"), "overdue_for_review 0/2 0 %");
    assert_eq!(overdue("2026-04-01T23:00:00Z"), "overdue_for_review 0/2 0 %", "mail is due today");
    assert_eq!(overdue("2026-04-02T00:00:00Z"), "overdue_for_review 1/2 50 %");
    assert_eq!(overdue("2026-04-15T23:59:59Z"), "overdue_for_review 1/2 50 %");
    assert_eq!(overdue("2026-04-16T00:00:00Z"), "overdue_for_review 2/2 100 %");
    // Looked at from before it took place, the shop's review does not count: it was due three months after 2025-10-01.
    assert_eq!(overdue("2026-01-10T00:00:00Z"), "overdue_for_review 1/2 50 %");
}

/// On the first of April in Berlin, at 22:00 UTC of the day before, what New York still has of March is not over.
#[test]
fn r35_a_month_ends_where_the_agreement_is() {
    let zones = [("berlin", "Europe/Berlin"), ("york", "America/New_York")];
    let agreement = |(id, zone): (&str, &str)| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: {id}}}\nspec:\n  type: ola\n  services: [web]\n  \
             effective: {{from: 2026-01-01}}\n  time_zone: {zone}\n  objectives:\n    - {{id: uptime, indicator: \
             {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: month}}}}\n"
        )
    };
    let text =
        format!("{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n{}", zones.map(agreement).concat());
    let definitions = definitions_of(&text);
    // March ends there at 22:00 UTC and 04:00 UTC; a day later a window of April ends.
    let ends = [("berlin", "2026-03-31T22:00:00Z"), ("york", "2026-04-01T04:00:00Z"), ("york", "2026-04-02T04:00:00Z")];
    let results = ends.map(|(agreement, end)| Judged {
        segment_end: instant(end),
        of: (agreement.into(), 1, "web".into(), "uptime".into()),
        is_final: true,
        is_met: Some(end != "2026-04-02T04:00:00Z"),
        count: 1,
    });
    let breached = |at: At| {
        let kpi = kpis(&definitions, &results, Micros(0), at)[1];
        (kpi.part_count, kpi.whole_count)
    };
    let first = |month: u32| At::Day(NaiveDate::from_ymd_opt(2026, month, 1).expect("a day"));
    assert_eq!([breached(first(3)), breached(first(4)), breached(first(5))], [(0, 0), (0, 2), (1, 1)]);
    assert_eq!(breached(At::Instant(instant("2026-03-31T22:00:00Z"))), (0, 1), "one instant is one everywhere");
    assert_eq!(first(4).in_zone(chrono_tz::America::New_York), instant("2026-04-01T04:00:00Z"));
}
