//! The worked example of docs/rules/r34-service-credits.md, worked out. What was measured is from the table on that
//! page; the definitions are those of the page, and what is found must stand there.

use plimsoll_schemas::{Instant, Micros};

use super::*;
use crate::portfolio::Portfolio;
use crate::portfolio::tests::portfolio_of;
use crate::verdict::{Measured, judge};

const PAGE: &str = include_str!("../../../docs/rules/r34-service-credits.md");

/// The definitions on the page, as those of an agreement that is in force as the example says.
fn portfolio() -> Portfolio {
    let spec = PAGE.split("```yaml\nspec:\n").nth(1).and_then(|rest| rest.split("```").next()).expect("definitions");
    let text = format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\napiVersion: plimsoll/v1\nkind: \
         Agreement\nmetadata: {{id: a}}\nspec:\n  type: ola\n  services: [web]\n  effective: {{from: 2026-01-01, until: \
         2026-03-16}}\n{spec}"
    );
    portfolio_of(&text)
}

#[test]
fn r34_the_worked_example_of_the_rules_page() {
    let portfolio = portfolio();
    let [availability, resolution] = portfolio.objectives() else { panic!("two objectives") };
    let instant = |date: &str| Instant::parse_rfc3339(&format!("{date}T00:00:00Z")).expect("an instant");
    let mut missed = BTreeMap::new();
    for (from, until, window_end, down_hours, in_time, tickets) in [
        ("2026-01-01", "2026-02-01", "2026-02-01", 8, 19, 20),
        ("2026-02-01", "2026-03-01", "2026-03-01", 1, 18, 20),
        ("2026-03-01", "2026-03-16", "2026-04-01", 30, 7, 10),
    ] {
        let segment = Window { start: instant(from), end: instant(until) };
        let window = Window { start: segment.start, end: instant(window_end) };
        let (agreed, bad) = (segment.end - segment.start, Micros(down_hours * Micros::HOUR.0));
        let times = Measured { good: agreed - bad, bad, agreed, elapsed: agreed, ..Measured::default() };
        let counts = Measured { good_count: in_time, total_count: tickets, ..Measured::default() };
        let ladders = [(availability, times), (resolution, counts)].map(|(plan, measured)| {
            let judged = judge(&plan.objective, &measured, true);
            let share = judged.credit.expect("a ladder");
            ((plan.key.service.clone(), plan.key.objective.clone()), Reached { share, is_final: true })
        });
        let attained = Share::of(times.good.0, agreed.0).expect("time").to_string();
        assert!(PAGE.contains(&attained), "{attained} does not stand on the page");
        let place = WindowOfVersion { window, version: 1 };
        missed.insert(place, Missed { segment, months: 1, ladders: ladders.into() });
    }
    let terms = availability.agreement.credits.as_ref().expect("terms");
    let found = credits(&missed, |_| Some((terms, Tz::UTC)));
    let found: Vec<_> = found.values().map(|one| (one.charge, one.share.0, one.amount, one.limited_by)).collect();
    // 1,200.00 x 360 / 744 = 580.645; 15 % of 1,200.00; 576.00 - 300.00 - 180.00.
    let expected = [
        (120_000, 250_000_000, 30_000, None),
        (120_000, 150_000_000, 18_000, None),
        (58_065, 300_000_000, 9_600, Some(Limit::Year)),
    ];
    assert_eq!(found, expected);
    for (heading, numbers) in [
        ("`charge_minor`", "120000 | 120000 | 58065 (58064.516)"),
        ("`credit_minor`", "30000 | 18000 | 9600, `limited_by` `year`"),
    ] {
        assert!(PAGE.contains(&format!("| {heading} | {numbers} |")), "{heading} {numbers}");
    }
}
