//! The worked example of docs/rules/r30-r31-before-signing.md: what is computed must stand there.

use super::*;

const PAGE: &str = include_str!("../../../../docs/rules/r30-r31-before-signing.md");

#[test]
fn r30_the_worked_example_of_the_rules_page() {
    let three = change("03-20T01:00", "03-20T04:00");
    let half = PlannedChange { downtime: Some(Micros(30 * MINUTE)), ..three.clone() };
    let late = PlannedChange { approved_at: Some(at("03-17T01:01")), ..three.clone() };
    let eight = change("03-20T01:00", "03-20T09:00");
    for (downtime, terms, change) in [
        ("all of it", TERMS, three),
        ("30 min", TERMS, half),
        ("all of it, approved too late", TERMS, late),
        ("all of eight hours, without such terms", "", eight),
    ] {
        let promise = portfolio(terms, AVAILABILITY);
        let found = impacts(&promise.objectives()[0], &states(&[]), &ApprovedWindows::new(), &change, changed(), now());
        let [impact] = found.as_slice() else { panic!("one window, not {found:?}") };
        let (before, after) = impact.left.expect("something is measured");
        assert!(PAGE.contains("744 h x 1 % = 7 h 26 min 24 s") && before.to_string() == "7h 26m 24s", "{before}");
        let taken = impact.taken().expect("of one unit");
        let begins = format!("| {downtime} | {} | {taken}", impact.excluded);
        let ends = format!("| {after} | {} |", if impact.go { "go" } else { "no-go" });
        let mut lines = PAGE.lines();
        let stands = lines.any(|line| line.starts_with(&begins) && line.ends_with(&ends));
        assert!(stands, "{begins} ... {ends} does not stand on the page");
    }
}
