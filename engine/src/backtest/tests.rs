//! Drafts of several versions, and what stands beside what.

use super::*;
use crate::portfolio::tests::definitions_of;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).expect("an instant")
}

/// Versions of the agreement `p`, each from a day until another.
fn versions(days: &[(&str, Option<&str>)]) -> Vec<Agreement> {
    let version = |(number, (from, until)): (usize, &(&str, Option<&str>))| {
        let until = until.map(|until| format!(", until: {until}")).unwrap_or_default();
        format!(
            "---\n{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: p, version: {}}}, spec: {{type: ola, services: \
             [web], time_zone: Europe/Berlin, effective: {{from: {from}{until}}}, objectives: [{{id: o, indicator: {{signal: \
             availability}}, target: {{at_least: 99 %}}, window: {{calendar: month}}}}]}}}}\n",
            number + 1
        )
    };
    let text = "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}\n".to_owned()
        + &days.iter().enumerate().map(version).collect::<String>();
    definitions_of(&text).agreements
}

/// What is judged of a draft whose first event is of 3 March, in Berlin, as of 2 May: (version, from, until).
fn judged(days: &[(&str, Option<&str>)], from: Option<&str>) -> Vec<(u32, String, Option<String>)> {
    let (first, as_of) = (at("2026-03-02T23:30:00Z"), at("2026-05-02T00:00:00Z"));
    let draft = as_if_in_force(versions(days), from.map(day), first, as_of);
    let all = draft.agreements.len() + draft.not_judged.len();
    assert_eq!(all, days.len(), "each version is judged or named");
    let text = |day: NaiveDate| day.to_string();
    let told = |one: &Agreement| (one.version, text(one.effective_from), one.effective_until.map(text));
    draft.agreements.iter().map(told).collect()
}

#[test]
fn r31_all_versions_of_a_draft_are_judged_in_their_days() {
    let of = |version: u32, from: &str, until: Option<&str>| (version, from.to_owned(), until.map(str::to_owned));
    // One is judged from the first event on, whatever day it says.
    assert_eq!(judged(&[("2026-07-01", None)], None), [of(1, "2026-03-03", None)]);
    assert_eq!(judged(&[("2025-01-01", Some("2025-06-01"))], None), [of(1, "2026-03-03", None)]);
    // Of two the second takes over on its day.
    let two = [("2026-03-01", Some("2026-03-16")), ("2026-03-16", None)];
    let halves = [of(1, "2026-03-03", Some("2026-03-16")), of(2, "2026-03-16", None)];
    assert_eq!(judged(&two, None), halves);
    // One that is to take effect later begins with the first event all the same, and the next on its own day.
    let later = [("2026-03-10", Some("2026-04-01")), ("2026-04-01", None)];
    assert_eq!(judged(&later, None), [of(1, "2026-03-03", Some("2026-04-01")), of(2, "2026-04-01", None)]);
    // From the 20th on the first is over.
    assert_eq!(judged(&two, Some("2026-03-20")), [of(2, "2026-03-20", None)]);
    assert_eq!(judged(&two, Some("2026-03-16")), [of(2, "2026-03-16", None)]);
    // The third takes effect after all that is judged.
    let three = [("2026-03-01", Some("2026-03-16")), ("2026-03-16", Some("2026-06-01")), ("2026-06-01", None)];
    let ended = [of(1, "2026-03-03", Some("2026-03-16")), of(2, "2026-03-16", Some("2026-06-01"))];
    assert_eq!(judged(&three, None), ended);
}

#[test]
fn r31_versions_that_are_not_judged_are_named() {
    let days = [("2026-03-01", Some("2026-03-16")), ("2026-03-16", Some("2026-06-01")), ("2026-06-01", None)];
    let (first, as_of) = (at("2026-03-02T23:30:00Z"), at("2026-05-02T00:00:00Z"));
    let draft = as_if_in_force(versions(&days), Some(day("2026-03-20")), first, as_of);
    let named: Vec<_> = draft.not_judged.iter().map(|one| (one.version, one.because.as_str())).collect();
    let expected = [
        (1, "a later one is in force on 2026-03-20, when what is judged begins"),
        (3, "it takes effect on 2026-06-01, which is not before 2026-05-02T00:00:00Z"),
    ];
    assert_eq!(named, expected);
}

/// A result of an agreement's version for a customer, in March from one day on until another.
fn row(agreement: &str, version: i32, customer: Option<&str>, days: (i64, i64)) -> AttainmentRow {
    AttainmentRow {
        agreement: agreement.into(),
        agreement_version: version,
        customer: customer.map(Into::into),
        service: "web".into(),
        objective: "up".into(),
        window_start: Instant(1),
        window_end: Instant(31),
        segment_start: Instant(days.0),
        segment_end: Instant(days.1),
        ..AttainmentRow::default()
    }
}

#[test]
fn r31_beside_a_draft_stands_all_that_is_in_force_of_the_same_promise() {
    let in_force = [
        row("a", 1, Some("acme"), (1, 16)),
        row("a", 2, Some("acme"), (16, 31)),
        row("b", 1, Some("acme"), (1, 31)),
        row("c", 1, Some("other"), (1, 31)),
        row("cloud", 1, None, (1, 31)),
        AttainmentRow { objective: "other".into(), ..row("a", 1, Some("acme"), (1, 31)) },
        AttainmentRow { service: "mail".into(), ..row("a", 1, Some("acme"), (1, 31)) },
        AttainmentRow { window_end: Instant(91), ..row("a", 1, Some("acme"), (1, 31)) },
    ];
    let beside_of = |draft: AttainmentRow| -> Vec<(String, i32)> {
        let compared = beside(vec![draft], &in_force).remove(0);
        compared.in_force.iter().map(|row| (row.agreement.to_string(), row.agreement_version)).collect()
    };
    let named =
        |names: &[(&str, i32)]| names.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect::<Vec<_>>();
    // Both versions of the same agreement, and none of another one of the customer.
    assert_eq!(beside_of(row("a", 3, Some("acme"), (1, 31))), named(&[("a", 1), ("a", 2)]));
    // Of a new agreement all those of the customer.
    assert_eq!(beside_of(row("new", 1, Some("acme"), (1, 31))), named(&[("a", 1), ("a", 2), ("b", 1)]));
    // No customer is not the same customer.
    assert_eq!(beside_of(row("new", 1, None, (1, 31))), []);
    assert_eq!(beside_of(row("cloud", 2, None, (1, 31))), named(&[("cloud", 1)]));
}

#[test]
fn r31_what_stands_beside_two_segments_of_a_draft_is_one_result() {
    let in_force = [row("a", 1, None, (1, 16)), row("a", 2, None, (16, 31))];
    let compared = beside(vec![row("a", 3, None, (1, 10)), row("a", 4, None, (10, 31))], &in_force);
    assert_eq!(compared.iter().map(|one| one.in_force.len()).collect::<Vec<_>>(), [2, 2]);
    let once: Vec<i32> = in_force_of(compared.iter()).iter().map(|row| row.agreement_version).collect();
    assert_eq!(once, [1, 2]);
}
