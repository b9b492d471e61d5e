//! The worked example of docs/rules/r29-forecast.md: what is computed must stand there.

use super::*;

const PAGE: &str = include_str!("../../../../docs/rules/r29-forecast.md");

/// Fails unless a row of the page begins with this and ends with that.
fn assert_row(begins: &str, ends: &str) {
    let mut rows = PAGE.lines().filter(|line| line.starts_with(&format!("| {begins} | ")));
    assert!(rows.any(|row| row.ends_with(&format!("{ends} |"))), "no row {begins} ... {ends} stands on the page");
}

#[test]
fn r29_the_worked_example_of_the_rules_page() {
    let none = |objective: &Objective, past: &Past| {
        format!("= {:.2} %", 100.0 * (1.0 - say(objective, 0, 30, past).breach_probability))
    };
    let lasts = |minutes: i64, past: &Past| {
        let lasts = say(&downtime(), minutes, 30, past).spent_after;
        lasts.map(|lasts| (lasts.0 as f64 / DAY as f64 * 100.0).round() / 100.0)
    };
    let nothing = Past::default();
    assert_row("nothing at all happens in 30 days", &none(&count(0), &nothing));
    let days = |lasts: Option<f64>| format!("{} days", lasts.expect("within the window"));
    assert_row("a budget of 20 min is expected to last", &days(lasts(20, &nothing)));
    assert_eq!(lasts(43, &nothing), None);
    assert_row("a budget of 43 min 12 s is expected to last", "longer than the window: `exhaustion_at` is null");

    let spell = |day: i64| Spell { ended: Micros(day * DAY), length: Micros(10 * MINUTE) };
    let two = Past { spells: vec![spell(40), spell(60)], ..past(60, &[]) };
    // Two were seen in this window, so a promise of two at most leaves none.
    assert_row("nothing at all happens in 30 days", &none(&count(2), &two));
    assert_row("no outage of more than 20 min begins in 30 days", &none(&longest(20 * MINUTE), &two));
    assert_row("a budget of 14 min is expected to last", &days(lasts(14, &two)));
}
