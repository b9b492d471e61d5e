//! The split of bad time, and the worked example of docs/rules/r32-r33-among-agreements.md: its table must stand on the
//! page as it is found here.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::portfolio::tests::portfolio_of;
use crate::portfolio::{Feed, ObjectivePlan, Portfolio};
use crate::verdict::stretches;

const PAGE: &str = include_str!("../../../docs/rules/r32-r33-among-agreements.md");

/// The shop of the page. `state` is how `shop` and what it needs are defined, `rests_on` what its agreement rests on.
fn portfolio(services: &str, rests_on: &str, supports: &str, indicator: &str) -> Portfolio {
    let text = format!(
        "{services}
---
{{apiVersion: plimsoll/v1, kind: Customer, metadata: {{id: acme}}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: sla-shop}}
spec:
  type: sla
  customer: acme
  services: [shop]
  effective: {{from: 2026-03-02}}
  rests_on: [{rests_on}]
  objectives: [{{id: uptime, indicator: {{signal: availability{indicator}}}, target: {{at_least: 99 %}}, window: {{calendar: day}}}}]
{supports}"
    );
    portfolio_of(&text)
}

fn service(id: &str, spec: &str) -> String {
    format!("---\n{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {id}}}, spec: {{{spec}}}}}\n")
}

/// A supporting agreement over the services, in force over these days of March.
fn support(id: &str, kind: &str, services: &str, in_force: &str) -> String {
    format!(
        "---\n{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: {id}}}, spec: {{type: {kind}, services: [{services}], \
         effective: {{{in_force}}}, objectives: [{{id: any, indicator: {{signal: downtime}}, target: {{at_most: 1h}}, \
         window: {{calendar: day}}}}]}}}}\n"
    )
}

/// A minute of 2 March 2026, or of a day after it.
fn at(hour: i64, minute: i64) -> Instant {
    let midnight = Instant::parse_rfc3339("2026-03-02T00:00:00Z").expect("an instant");
    midnight + Micros((hour * 60 + minute) * Micros::MINUTE.0)
}

/// Stretches of trouble of each service: from, until, and d for down or g for degraded; it is up at any other time.
type Troubles<'a> = &'a [(&'a str, &'a [(Instant, Instant, char)])];

fn changes(troubles: &[(Instant, Instant, char)]) -> Vec<(Instant, State)> {
    let mut changes = vec![(at(-48, 0), State::Up)];
    for &(from, until, letter) in troubles {
        changes.retain(|change| change.0 != from);
        changes.push((from, if letter == 'd' { State::Down } else { State::Degraded }));
        changes.push((until, State::Up));
    }
    changes
}

/// `agreement service minutes` for each part of the bad time of 2 March.
fn split(portfolio: &Portfolio, troubles: Troubles<'_>) -> Vec<String> {
    let (plan, parts) = parts(portfolio, troubles);
    let told = |part: &Spent| {
        let agreement = part.support.map_or("-", |place| plan.supports[place].agreement.as_ref());
        format!("{agreement} {} {}", part.service, part.amount / Micros::MINUTE.0)
    };
    parts.iter().map(told).collect()
}

fn parts<'a>(portfolio: &'a Portfolio, troubles: Troubles<'_>) -> (&'a ObjectivePlan, Vec<Spent>) {
    let plan = portfolio.objectives().iter().find(|plan| plan.key.agreement.as_ref() == "sla-shop").expect("there");
    let Feed::State(policy) = plan.feed() else { panic!("availability is fed by state") };
    let (mut followed, mut states) = (BTreeMap::new(), Vec::new());
    for (name, troubles) in troubles {
        let changes = changes(troubles);
        if *name == "shop" {
            let ends = changes.iter().skip(1).map(|change| change.0).chain([at(24, 0)]);
            let segment = |((start, state), end): (&(Instant, State), Instant)| Segment {
                start: *start,
                end,
                state: *state,
                causes: Vec::new(),
            };
            states = changes.iter().zip(ends).map(segment).collect();
        } else {
            let mut told = Followed::new(State::Unknown);
            told.restate(at(-48, 0), changes.into_iter().map(|(at, state)| (at, (state, Vec::new()))).collect());
            followed.insert(Name::from(*name), told);
        }
    }
    let day = Window { start: at(0, 0), end: at(24, 0) };
    let stretches = stretches(&states, &[], &policy, day, day.end);
    let family = &portfolio.service(plan.service).family;
    let evidence = Evidence { family, supports: &plan.supports, states: &states, followed: &followed };
    let parts = attribute(&evidence, &stretches, &policy, &plan.calendar);
    let bad: i128 = stretches
        .iter()
        .map(|stretch| {
            i128::from(plan.calendar.elapsed(stretch.start, stretch.end).0) * weights(&policy, stretch.counted).1
        })
        .sum();
    let sum: i64 = parts.iter().map(|part| part.amount).sum();
    assert_eq!(i128::from(sum), bad / WHOLE, "the parts add up to the whole");
    (plan, parts)
}

const MARCH: &str = "from: 2026-03-01";

#[test]
fn r33_the_worked_example_of_the_page() {
    let services = service("web", "")
        + &service("network", "")
        + &service("db-1", "")
        + &service("db-2", "")
        + &service("database", "composed_of: {any_of: [db-1, db-2]}")
        + &service("shop", "composed_of: {all_of: [web, database]}, depends_on: [network]");
    let supports = support("uc-cloud", "uc", "db-1, db-2", MARCH) + &support("ola-network", "ola", "network", MARCH);
    let portfolio = portfolio(&services, "uc-cloud, ola-network", &supports, "");
    let (plan, parts) = parts(
        &portfolio,
        &[
            ("db-1", &[(at(8, 0), at(12, 0), 'd')]),
            ("db-2", &[(at(10, 0), at(10, 30), 'd')]),
            ("database", &[(at(10, 0), at(10, 30), 'd')]),
            ("network", &[(at(10, 20), at(11, 0), 'd')]),
            ("web", &[(at(14, 0), at(14, 5), 'd')]),
            ("shop", &[(at(10, 0), at(11, 10), 'd'), (at(14, 0), at(14, 5), 'd')]),
        ],
    );
    assert_eq!(parts.len(), 4);
    for part in parts {
        let agreement = part.support.map_or("none".to_owned(), |place| format!("`{}`", plan.supports[place].agreement));
        let row = format!("| {agreement} | `{}` | {} |", part.service, part.amount / Micros::MINUTE.0);
        assert!(PAGE.contains(&row), "{row} does not stand on the page");
    }
}

/// A shop that needs `a`, `b` and `c`, of which each has an agreement.
fn three() -> Portfolio {
    let services =
        service("a", "") + &service("b", "") + &service("c", "") + &service("shop", "composed_of: {all_of: [a, b, c]}");
    let supports = support("ola-a", "ola", "a", MARCH)
        + &support("ola-b", "ola", "b", MARCH)
        + &support("ola-c", "ola", "c", MARCH);
    portfolio(&services, "ola-c, ola-b, ola-a", &supports, "")
}

#[test]
fn r33_the_first_that_went_down_keeps_the_time_until_it_recovers() {
    let found = split(
        &three(),
        &[
            ("a", &[(at(9, 10), at(9, 40), 'd')]),
            ("b", &[(at(9, 0), at(9, 20), 'd')]),
            ("c", &[(at(9, 5), at(9, 50), 'd')]),
            ("shop", &[(at(9, 0), at(9, 50), 'd')]),
        ],
    );
    // `b` until 9:20, then `c`, which went down before `a` and outlasts it.
    assert_eq!(found, ["ola-c c 30", "ola-b b 20"]);
}

#[test]
fn r33_of_two_at_one_microsecond_the_first_by_id_has_the_time() {
    let found = split(
        &three(),
        &[
            ("a", &[(at(9, 0), at(9, 20), 'd')]),
            ("b", &[(at(9, 0), at(9, 30), 'd')]),
            ("c", &[]),
            ("shop", &[(at(9, 0), at(9, 30), 'd')]),
        ],
    );
    assert_eq!(found, ["ola-b b 10", "ola-a a 20"]);
    // One microsecond earlier is first.
    let earlier = at(9, 0) - Micros(1);
    let found = split(
        &three(),
        &[
            ("a", &[(at(9, 0), at(9, 20), 'd')]),
            ("b", &[(earlier, at(9, 30), 'd')]),
            ("c", &[]),
            ("shop", &[(earlier, at(9, 30), 'd')]),
        ],
    );
    assert_eq!(found, ["ola-b b 30"]);
}

#[test]
fn r33_what_redundancy_bears_has_no_time() {
    let services = service("a", "")
        + &service("b", "")
        + &service("web", "")
        + &service("pair", "composed_of: {any_of: [a, b]}")
        + &service("shop", "composed_of: {all_of: [pair, web]}");
    let supports = support("uc-a", "uc", "a", MARCH) + &support("ola-web", "ola", "web", MARCH);
    // `a` has been down since the day before, but `b` is up: `web` alone takes the shop down.
    let found = split(
        &portfolio(&services, "uc-a, ola-web", &supports, ""),
        &[
            ("a", &[(at(-5, 0), at(20, 0), 'd')]),
            ("b", &[]),
            ("pair", &[]),
            ("web", &[(at(9, 0), at(9, 30), 'd')]),
            ("shop", &[(at(9, 0), at(9, 30), 'd')]),
        ],
    );
    assert_eq!(found, ["ola-web web 30"]);
}

#[test]
fn r33_what_a_service_below_explains_is_not_the_time_of_the_one_above() {
    let services = service("disk", "")
        + &service("database", "composed_of: {all_of: [disk]}")
        + &service("shop", "composed_of: {all_of: [database]}");
    let supports = support("ola-db", "ola", "database", MARCH)
        + &support("uc-disk", "uc", "disk", "from: 2026-03-01, until: 2026-03-02");
    let troubles: Troubles<'_> = &[
        ("disk", &[(at(9, 0), at(9, 30), 'd')]),
        // Twenty minutes longer by a ticket of its own.
        ("database", &[(at(9, 0), at(9, 50), 'd')]),
        ("shop", &[(at(9, 0), at(9, 50), 'd')]),
    ];
    // The contract on the disk has ended: whoever covers the database has it all.
    assert_eq!(split(&portfolio(&services, "ola-db, uc-disk", &supports, ""), troubles), ["ola-db database 50"]);
    let supports = supports.replace(", until: 2026-03-02", "");
    assert_eq!(
        split(&portfolio(&services, "ola-db, uc-disk", &supports, ""), troubles),
        ["ola-db database 20", "uc-disk disk 30"]
    );
}

#[test]
fn r33_a_dependency_has_the_time_while_both_are_down_and_the_rest_is_the_services_own() {
    let services = service("carrier", "")
        + &service("network", "depends_on: [carrier]")
        + &service("shop", "depends_on: [network]");
    let supports = support("uc-carrier", "uc", "carrier", MARCH);
    let troubles: Troubles<'_> = &[
        ("carrier", &[(at(9, 10), at(9, 20), 'd'), (at(10, 0), at(10, 10), 'd'), (at(11, 0), at(11, 10), 'g')]),
        // Up while the carrier is down for the second time: that did not get through.
        ("network", &[(at(9, 10), at(9, 30), 'd')]),
        ("shop", &[(at(9, 0), at(9, 40), 'd'), (at(10, 0), at(10, 10), 'd'), (at(11, 0), at(11, 10), 'd')]),
    ];
    let expected = ["uc-carrier carrier 10", "- network 10", "- shop 40"];
    assert_eq!(split(&portfolio(&services, "uc-carrier", &supports, ""), troubles), expected);
    // An agreement on the shop itself has what nobody below explains; the network still has none.
    let supports = supports + &support("ola-shop", "ola", "shop", MARCH);
    let expected = ["uc-carrier carrier 10", "ola-shop shop 40", "- network 10"];
    assert_eq!(split(&portfolio(&services, "uc-carrier, ola-shop", &supports, ""), troubles), expected);
}

#[test]
fn r33_what_is_degraded_degrades_but_takes_nothing_down() {
    let services = service("network", "") + &service("shop", "depends_on: [network]");
    let supports = support("ola-network", "ola", "network", MARCH);
    // Half of degraded time is bad: 5 of 10 minutes are the network's. What is down later is down by itself.
    let troubles: Troubles<'_> = &[
        ("network", &[(at(9, 0), at(9, 10), 'g'), (at(10, 0), at(10, 10), 'g')]),
        ("shop", &[(at(9, 0), at(9, 10), 'g'), (at(10, 0), at(10, 10), 'd')]),
    ];
    let found = split(&portfolio(&services, "ola-network", &supports, ", degraded: 0.5"), troubles);
    assert_eq!(found, ["ola-network network 5", "- shop 10"]);
}

#[test]
fn r33_what_was_down_before_it_was_degraded_was_the_first() {
    let services = service("a", "") + &service("b", "") + &service("shop", "composed_of: {all_of: [a, b]}");
    let supports = support("ola-a", "ola", "a", MARCH) + &support("ola-b", "ola", "b", MARCH);
    // `b` is down for 30 minutes and then degraded for 40, of which 20 are bad. `a` is degraded from before that on.
    let troubles: Troubles<'_> = &[
        ("a", &[(at(9, 0), at(9, 45), 'g')]),
        ("b", &[(at(8, 35), at(9, 5), 'd'), (at(9, 5), at(9, 45), 'g')]),
        ("shop", &[(at(8, 35), at(9, 5), 'd'), (at(9, 5), at(9, 45), 'g')]),
    ];
    let found = split(&portfolio(&services, "ola-a, ola-b", &supports, ", degraded: 0.5"), troubles);
    assert_eq!(found, ["ola-b b 50"]);
}

#[test]
fn r33_degraded_time_is_spent_by_its_weight_and_parts_add_up_to_the_microsecond() {
    // A third of a microsecond a microsecond: 3 x 1 us of each of two services is 1 us each; 5 and 4 are 1.67 and 1.33
    // together 3.
    let services = service("a", "") + &service("b", "") + &service("shop", "composed_of: {all_of: [a, b]}");
    let supports = support("ola-a", "ola", "a", MARCH) + &support("ola-b", "ola", "b", MARCH);
    let portfolio = portfolio(&services, "ola-a, ola-b", &supports, ", degraded: 0.666666667");
    let micros = |from: i64, until: i64| (at(9, 0) + Micros(from), at(9, 0) + Micros(until), 'g');
    let spent = |one: i64, other: i64| {
        let (_, parts) = parts(
            &portfolio,
            &[("a", &[micros(0, one)]), ("b", &[micros(one, one + other)]), ("shop", &[micros(0, one + other)])],
        );
        parts.iter().map(|part| (part.service.to_string(), part.amount)).collect::<Vec<_>>()
    };
    // 0.333333333 of 5 and of 4 are 1.67 and 1.33, together 2.999999997: 2, of which 1 is of the first.
    assert_eq!(spent(5, 4), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    // Of 7 and 3: 2.33 and 1, together 3.33: 2 and 1. Of 1 and 3: 0.33 and 1, together 1.33: nothing and 1.
    assert_eq!(spent(7, 3), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(spent(1, 3), [("b".to_owned(), 1)]);
}

#[test]
fn r33_bad_things_are_of_who_would_have_the_time_at_their_instants() {
    let services = service("carrier", "")
        + &service("network", "depends_on: [carrier]")
        + &service("shop", "depends_on: [network]");
    let supports = support("uc-carrier", "uc", "carrier", MARCH) + &support("ola-shop", "ola", "shop", MARCH);
    let portfolio = portfolio(&services, "uc-carrier, ola-shop", &supports, "");
    let plan = portfolio.objectives().iter().find(|plan| plan.key.agreement.as_ref() == "sla-shop").expect("there");
    let mut followed = BTreeMap::new();
    for (name, troubles) in [("carrier", [(at(9, 10), at(9, 20), 'd')]), ("network", [(at(9, 10), at(9, 30), 'd')])] {
        let mut told = Followed::new(State::Unknown);
        let changes = changes(&troubles).into_iter().map(|(at, state)| (at, (state, Vec::new())));
        told.restate(at(-48, 0), changes.collect());
        followed.insert(Name::from(name), told);
    }
    let family = &portfolio.service(plan.service).family;
    let evidence = Evidence { family, supports: &plan.supports, states: &[], followed: &followed };
    // Before, with the carrier down and no longer down, with the network down and no longer down.
    let bad = [(at(9, 9), 1), (at(9, 10), 20), (at(9, 20), 300), (at(9, 29), 4_000), (at(9, 30), 50_000)];
    let parts = attribute_counts(&evidence, bad.iter().map(|(at, count)| (at, count)));
    let told: Vec<_> = parts.iter().map(|part| (part.support, part.service.as_ref(), part.amount)).collect();
    assert_eq!(told, [(Some(0), "carrier", 20), (Some(1), "shop", 50_001), (None, "network", 4_300)]);
}

/// A support of these services over these minutes.
fn covering(id: &str, services: &[&str], from: i64, until: i64) -> Support {
    Support {
        agreement: id.into(),
        version: 1,
        agreement_type: AgreementType::Ola,
        in_force: Window { start: at(0, from), end: at(0, until) },
        services: services.iter().map(|service| Name::from(*service)).collect(),
    }
}

/// The length of a run in minutes, without a pause from 0:40 to 0:50.
fn used(run: Window) -> Micros {
    let paused = run.clip(Window { start: at(0, 40), end: at(0, 50) });
    run.end - run.start - paused.map_or(Micros::ZERO, |paused| paused.end - paused.start)
}

#[test]
fn r33_the_time_of_a_clock_is_of_the_services_that_its_ticket_was_on() {
    let supports = [covering("ola-a", &["a"], 0, 20), covering("ola-ab", &["a", "b"], 0, 600)];
    let (a, b, c) = (Name::from("a"), Name::from("b"), Name::from("c"));
    let on = [(at(0, 10), Some(&a)), (at(0, 30), Some(&b)), (at(0, 70), None)];
    let parts = attribute_clock(&supports, &c, &on, Window { start: at(0, 5), end: at(1, 40) }, used);
    let told: Vec<_> =
        parts.iter().map(|part| (part.support, part.service.as_ref(), part.amount / Micros::MINUTE.0)).collect();
    // On a from 10 to 20 under its own agreement and until 30 under that of both; on b for 40 less 10; before and after on
    // none, which is the judged service's: 5 and 30.
    assert_eq!(told, [(Some(0), "a", 10), (Some(1), "a", 10), (Some(1), "b", 30), (None, "c", 35)]);
}

proptest! {
    #[test]
    fn r33_the_parts_of_a_clock_add_up_to_its_time(
        moves in prop::collection::btree_map(0..120_i64, 0..4_usize, 0..6),
        start in 0..60_i64,
        length in 0..90_i64,
        force in prop::collection::vec((0..60_i64, 0..60_i64), 3),
    ) {
        let names = ["a", "b", "c"].map(Name::from);
        let covers = [&["a"][..], &["b", "c"], &["a", "b"]];
        let supports: Vec<Support> = force
            .iter()
            .zip(covers)
            .map(|((from, length), services)| covering("o", services, *from, from + length))
            .collect();
        let on: Vec<_> = moves.iter().map(|(minute, service)| (at(0, *minute), names.get(*service))).collect();
        let run = Window { start: at(0, start), end: at(0, start + length) };
        let parts = attribute_clock(&supports, &names[2], &on, run, used);
        let sum: i64 = parts.iter().map(|part| part.amount).sum();
        prop_assert_eq!(sum, used(run).0);
        // Minute by minute.
        let mut expected: BTreeMap<(usize, Name), i64> = BTreeMap::new();
        for minute in start..start + length {
            let now = at(0, minute);
            let service = moves.range(..=minute).next_back().and_then(|(_, service)| names.get(*service)).unwrap_or(&names[2]);
            let is_in_force = |support: &Support| support.in_force.contains(now) && support.services.contains(service);
            let support = supports.iter().position(is_in_force).unwrap_or(supports.len());
            if !(40..50).contains(&minute) {
                *expected.entry((support, service.clone())).or_default() += Micros::MINUTE.0;
            }
        }
        let found: BTreeMap<(usize, Name), i64> = parts
            .into_iter()
            .map(|part| ((part.support.unwrap_or(supports.len()), part.service), part.amount))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
