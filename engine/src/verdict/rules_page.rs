//! The worked example of docs/rules/r03-r09-state.md, worked out. Its parts are from the tables on that page, added up
//! by hand; its shares must stand on the page as they are found here.

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Denominator, ExcludedPolicy, File, load};

use super::*;
use crate::portfolio::{Feed, ObjectivePlan, Portfolio};
use crate::state::State;
use crate::state::exclusion::{ApprovedWindow, ApprovedWindows};
use crate::state::service::Segment;
use crate::window::Window;

const PAGE: &str = include_str!("../../../docs/rules/r03-r09-state.md");

const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: a}
spec:
  type: ola
  services: [web]
  effective: {from: 2026-06-01}
  exclusions: {maintenance: {notice: 3d, at_most: 4h}}
  objectives:
    - {id: a, indicator: {signal: availability, min_outage: 5m}, target: {at_least: 99.9 %}, window: {calendar: month}}
";

/// An instant of June 2026 (July, for day 31), given as day, hour and minute.
fn june(day: i64, hour: i64, minute: i64) -> Instant {
    let first = Instant::parse_rfc3339("2026-06-01T00:00:00Z").expect("an instant");
    first + Micros(((day - 1) * 24 * 60 + hour * 60 + minute) * Micros::MINUTE.0)
}

const fn minutes(number: i64) -> Micros {
    Micros(number * Micros::MINUTE.0)
}

fn happened(until: Instant) -> Vec<Segment> {
    let changes = [
        (june(1, 0, 0), State::Up),
        (june(6, 22, 30), State::Down),
        (june(7, 1, 30), State::Up),
        (june(13, 10, 0), State::Down),
        (june(13, 10, 40), State::Up),
        (june(20, 22, 30), State::Down),
        (june(20, 23, 30), State::Up),
        (june(25, 9, 0), State::Down),
        (june(25, 9, 3), State::Up),
        (june(28, 0, 0), State::Unknown),
        (june(28, 6, 0), State::Up),
        (june(31, 0, 0), State::Up),
    ];
    let segment = |pair: &[(Instant, State)]| Segment {
        start: pair[0].0,
        end: pair[1].0.min(until),
        state: pair[0].1,
        causes: Vec::new(),
    };
    changes.windows(2).map(segment).filter(|segment| segment.start < segment.end).collect()
}

fn measured(plan: &ObjectivePlan, policy: &StatePolicy, now: Instant) -> Measured {
    let change = |(name, approved_at, start, end): (&str, Instant, Instant, Instant)| {
        let window = Window { start, end };
        (name.into(), ApprovedWindow { window, approved_at, customer: None })
    };
    let changes: ApprovedWindows = [
        ("C1", june(1, 9, 0), june(6, 22, 0), june(7, 1, 0)),
        ("C2", june(10, 12, 0), june(13, 10, 0), june(13, 12, 0)),
        ("C3", june(12, 9, 0), june(20, 22, 0), june(21, 0, 0)),
    ]
    .map(change)
    .into();
    let month = Window { start: june(1, 0, 0), end: june(31, 0, 0) };
    let found = stretches(&happened(now), &plan.excluded_time(&changes, month), policy, month, now);
    measure_states(&found, policy, &plan.calendar, month.end - month.start)
}

fn stands_on_the_page(share: Option<Share>) {
    let share = share.expect("something was measured").to_string();
    assert!(PAGE.contains(&share), "{share} does not stand on the page");
}

#[test]
fn r9_the_worked_example_of_the_rules_page() {
    let definitions = load(&[File { name: "example.yaml", text: DEFINITIONS }]).expect("no problems");
    let portfolio = Portfolio::new(&definitions);
    let plan = &portfolio.objectives()[0];
    let Feed::State(policy) = plan.feed() else { panic!("availability is fed by state") };
    let end = june(31, 0, 0);
    for (excluded, good, of) in [
        (ExcludedPolicy::Remove, 42_500, 42_600),
        (ExcludedPolicy::CountGood, 42_740, 42_840),
        (ExcludedPolicy::CountActual, 42_560, 42_840),
    ] {
        let policy = StatePolicy { excluded, ..policy };
        let parts = measured(plan, &policy, end);
        assert_eq!(
            (parts.good, parts.bad, parts.excluded, parts.unknown),
            (minutes(42_500), minutes(100), minutes(240), minutes(360))
        );
        assert_eq!(parts.below, [minutes(60), minutes(180), Micros::ZERO, Micros::ZERO]);
        assert_eq!(parts.attainment(&policy), Share::of(good, of));
        stands_on_the_page(parts.attainment(&policy));
    }
    let parts = measured(plan, &policy, end);
    stands_on_the_page(Share::of(parts.good.0 + parts.bad.0, parts.passed().0 - parts.excluded.0));
    let judged = judge(&plan.objective, &parts, true);
    // 0.1 % of 43,200 - 240 - 360 minutes are 42.6, of which 100 are spent.
    assert_eq!((judged.budget, judged.budget_left), (Some(Micros(42_600_000 * 60)), Some(Micros(-57_400_000 * 60))));
    assert_eq!((parts.outage_count, parts.longest_outage), (3, minutes(40)));

    let whole = StatePolicy { denominator: Denominator::FullWindow, ..policy };
    let parts = measured(plan, &policy, june(15, 0, 0));
    assert_eq!((parts.good, parts.bad, parts.excluded), (minutes(19_910), minutes(70), minutes(180)));
    for (policy, share) in [(policy, Share::of(19_910, 19_980)), (whole, Share::of(42_950, 43_020))] {
        assert_eq!(parts.attainment(&policy), share);
        stands_on_the_page(share);
    }
}
