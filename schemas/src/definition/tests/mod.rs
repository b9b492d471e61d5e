//! Every problem a definition can have, by its text; and what sound definitions mean.

mod agreements;
mod calendars;
mod catalogue;
mod compositions;
mod examples;
mod exclusions;
mod form;
mod holidays;
mod hostile;
mod sources;

use super::{Definitions, File, load};

/// Sound definitions that the documents under test may refer to.
const BASE: &str = "
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: network}}
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {id: office}
spec: {time_zone: Europe/Berlin, hours: [{days: mon-fri, from: 08:00, until: 17:00}]}
---
apiVersion: plimsoll/v1
kind: Offering
metadata: {id: gold}
spec:
  objectives:
    - {id: availability, indicator: {signal: availability}, target: {at_least: 99.9 %}, window: {calendar: month}}
";

/// Loads one file beside the base.
fn load_with_base(text: &str) -> Result<Definitions, Vec<super::Problem>> {
    load(&[File { name: "base.yaml", text: BASE }, File { name: "test.yaml", text }])
}

/// The definitions of a file that has no problem.
fn good(text: &str) -> Definitions {
    load_with_base(text).unwrap_or_else(|problems| panic!("{text}\n{}", listed(&problems).join("\n")))
}

/// Checks that a file has exactly these problems, in this order: each expectation is a part of the problem's text from
/// the line number on, `line: field: found what, expected beginning`.
fn check(text: &str, expected: &[&str]) {
    let problems = load_with_base(text).err().unwrap_or_default();
    let found = listed(&problems);
    let as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(&format!("test.yaml:{expected}")));
    assert!(as_expected, "in{text}\nfound\n{}\nexpected\n{}", found.join("\n"), expected.join("\n"));
}

fn listed(problems: &[super::Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// A document of a kind; its spec's first line is line 5 of the file.
fn document(kind: &str, spec: &str) -> String {
    let spec: Vec<String> = spec.trim_matches('\n').lines().map(|line| format!("  {line}")).collect();
    format!("apiVersion: plimsoll/v1\nkind: {kind}\nmetadata: {{id: tested}}\nspec:\n{}\n", spec.join("\n"))
}
