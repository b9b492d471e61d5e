//! Definitions as rows, and indicators that objectives share.

use plimsoll_schemas::definition::{File, load};

use super::*;

const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web, name: Web shop}, spec: {tier: gold, owner: team-web}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {id: office, version: 2}
spec:
  time_zone: Europe/Berlin
  effective: {from: 2026-03-01, until: 2026-04-01}
  hours: [{days: mon, from: \"08:00\", until: \"12:00\"}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: shop, name: The shop, version: 1}
spec:
  type: sla
  customer: acme
  services: [web]
  time_zone: Europe/Berlin
  effective: {from: 2026-03-01}
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 99.5 %}, window: {calendar: month}}
    - {id: down, indicator: {signal: downtime}, target: {at_most: 4h}, window: {calendar: month}}
    - {id: down-office, indicator: {signal: downtime, calendar: office}, target: {at_most: 4h}, window: {calendar: month}}
    - {id: held, indicator: {signal: availability, unknown: hold}, target: {at_least: 99.5 %}, window: {calendar: month}}
    - {id: outages, indicator: {signal: outage_count}, target: {at_most: 3}, window: {calendar: month}}
    - {id: p1, indicator: {signal: resolution_time, within: 4h, priorities: [P1, P2]}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: p1-strict, indicator: {signal: resolution_time, within: 4h, priorities: [P1, P2]}, target: {at_least: 95 %}, window: {calendar: month}}
    - {id: asked, indicator: {signal: response_time, within: 30m, ticket_type: request, reopening: new_cycle}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: good, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: fast, indicator: {signal: latency, within: 300ms}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: p95, indicator: {signal: latency_percentile, percentile: 95 %}, target: {at_most: 300ms}, window: {calendar: month}}
    - {id: p99, indicator: {signal: latency_percentile, percentile: 99 %}, target: {at_most: 300ms}, window: {calendar: month}}
    - {id: late, indicator: {signal: overdue_count, within: 4h}, target: {at_most: 5}, window: {calendar: month}}
    - {id: late-asked, indicator: {signal: overdue_count, within: 4h, ticket_type: request}, target: {at_most: 5}, window: {calendar: month}}
    - {id: flow, indicator: {signal: throughput, kind: change, per: 1h}, target: {at_least: 5}, window: {calendar: month}}
    - {id: wrong, indicator: {signal: error_count, kind: feedback}, target: {at_most: 5}, window: {calendar: month}}
    - {id: liked, indicator: {signal: satisfaction}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: changed, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: month}}
";

/// The definitions of a text, ready to be measured.
pub fn portfolio_of(text: &str) -> Portfolio {
    Portfolio::new(&definitions_of(text))
}

/// The definitions of a text.
pub fn definitions_of(text: &str) -> Definitions {
    load(&[File { name: "test.yaml", text }]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn definitions() -> Definitions {
    definitions_of(DEFINITIONS)
}

fn instant(text: &str) -> Instant {
    Instant::parse_rfc3339(text).expect("an instant")
}

#[test]
fn definitions_are_rows_with_their_versions_and_midnights() {
    let definitions = definitions();
    let portfolio = Portfolio::new(&definitions);
    let (agreements, calendars, services) = definition_rows(&definitions, &portfolio, Instant(7), 3);
    assert_eq!(agreements.len(), 18, "a row for each objective of the one service");
    let first = AgreementRow {
        agreement: "shop".to_owned(),
        agreement_version: 1,
        name: "The shop".to_owned(),
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        offering: None,
        service: "web".to_owned(),
        objective: "up".to_owned(),
        signal: "availability".to_owned(),
        calendar: "24x7".to_owned(),
        window_kind: "month".to_owned(),
        target: "at least 99.5 %".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        // Midnight in Berlin is 23:00 UTC in winter.
        effective_from: instant("2026-02-28T23:00:00Z"),
        effective_until: None,
        recorded_at: Instant(7),
        epoch: 3,
    };
    assert_eq!(agreements.iter().find(|row| row.objective == "up"), Some(&first));
    let office: Vec<_> = calendars.iter().filter(|row| row.calendar == "office").collect();
    assert_eq!(office.len(), 1);
    assert_eq!((office[0].calendar_version, &*office[0].time_zone), (2, "Europe/Berlin"));
    // The 1st of April begins in summer time.
    assert_eq!(
        (office[0].effective_from, office[0].effective_until),
        (Some(instant("2026-02-28T23:00:00Z")), Some(instant("2026-03-31T22:00:00Z")))
    );
    let web = ServiceRow {
        service: "web".to_owned(),
        name: "Web shop".to_owned(),
        tier: Some("gold".to_owned()),
        owner: Some("team-web".to_owned()),
        recorded_at: Instant(7),
        epoch: 3,
    };
    assert_eq!(services, [web]);
}

#[test]
fn objectives_share_an_indicator_when_they_measure_the_same() {
    let portfolio = Portfolio::new(&definitions());
    let web = portfolio.service(portfolio.service_place("web").expect("web"));
    let mut shared: Vec<(String, Vec<String>)> = Vec::new();
    for indicator in &web.indicators {
        let names = indicator.objectives.iter().map(|&index| portfolio.objective(index).key.objective.to_string());
        shared.push((format!("{} {}", indicator.name, indicator.calendar_id), names.collect()));
    }
    shared.sort();
    let expected = [
        ("change_success 24x7", &["changed"][..]),
        ("error_count of feedback 24x7", &["wrong"]),
        ("good_ratio of monitoring (eachevent) 24x7", &["good"]),
        ("latency within 0.3s 24x7", &["fast"]),
        ("latency_percentile at most 0.3s 24x7", &["p95", "p99"]),
        ("overdue_count all within 4h (retarget, samecycle) 24x7", &["late"]),
        ("overdue_count of requests all within 4h (retarget, samecycle) 24x7", &["late-asked"]),
        ("resolution_time P1,P2 within 4h (retarget, samecycle, outcome) 24x7", &["p1", "p1-strict"]),
        ("response_time of requests all within 30m (retarget, newcycle, outcome) 24x7", &["asked"]),
        ("satisfaction from 4 24x7", &["liked"]),
        ("state 24x7", &["up", "down", "held", "outages"]),
        ("state office", &["down-office"]),
        ("throughput of change 24x7", &["flow"]),
    ];
    let expected = expected.map(|(name, objectives)| {
        (name.to_owned(), objectives.iter().map(|&objective| objective.to_owned()).collect::<Vec<_>>())
    });
    assert_eq!(shared, expected);
}

#[test]
fn an_objective_knows_what_it_needs() {
    let portfolio = Portfolio::new(&definitions());
    let place = |objective: &str| {
        let place = portfolio.objectives().iter().position(|plan| &*plan.key.objective == objective);
        ObjectiveIndex(place.expect("an objective") as u32)
    };
    let plan = |objective| portfolio.objective(place(objective));
    assert_eq!(["up", "held", "p1"].map(|objective| plan(objective).holds_unknown()), [false, true, false]);
    let percentiles = ["p95", "p99", "fast"].map(|objective| plan(objective).percentile());
    assert_eq!(percentiles, [Some(Share(950_000_000)), Some(Share(990_000_000)), None]);
    assert_eq!(["late", "p1"].map(|objective| plan(objective).counts_levels()), [true, false]);
    // The first of those that share an indicator speaks for it while it is in force, and of a level at all times.
    let (before, within) = (instant("2026-02-28T22:59:59Z"), instant("2026-02-28T23:00:00Z"));
    let speaks = |objective| [before, within].map(|at| portfolio.speaks(place(objective), at));
    assert_eq!([speaks("p1"), speaks("p1-strict"), speaks("late")], [[false, true], [false, false], [true, true]]);
    assert!(portfolio.has_scores("shop", 1) && !portfolio.has_scores("shop", 2) && !portfolio.has_scores("other", 1));
    let concerns = |customer: Option<&str>| plan("up").agreement.concerns(customer.map(Name::from).as_ref());
    assert_eq!([None, Some("acme"), Some("other")].map(concerns), [true, true, false]);
}

#[test]
fn a_target_is_a_share_a_time_or_a_count() {
    let portfolio = Portfolio::new(&definitions());
    let columns = |objective: &str| {
        let plan = portfolio.objectives().iter().find(|plan| &*plan.key.objective == objective).expect("an objective");
        plan.target_columns()
    };
    assert_eq!(columns("up"), (Some(Share(995_000_000)), None, None));
    assert_eq!(columns("down"), (None, Some(4 * 3_600_000_000), None));
    assert_eq!(columns("outages"), (None, None, Some(3)));
}

/// A shop of a database, with an agreement that rests on another, and one that stands alone.
const AMONG: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: database}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [database]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla, version: 1}
spec:
  type: ola
  services: [shop]
  effective: {from: 2026-01-01}
  rests_on: [ola]
  charge: {amount: 100.00, currency: EUR, for: all_services}
  credits: {at_most: {window: 50 %, year: 10 %, first_month: 4}}
  exclusions: {times: [{from: 2026-01-02T06:00:00, until: 2026-01-02T09:00:00, reason: flood, services: [shop]}]}
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: quarter}, credits: [{below: 99 %, credit: 5 %}]}
    - {id: fixed, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: good, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: steps, indicator: {signal: good_ratio, kind: incident}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: errors, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 9}, window: {calendar: month}}
    - {id: complaints, indicator: {signal: error_count, kind: feedback}, target: {at_most: 9}, window: {calendar: month}}
    - {id: fast, indicator: {signal: latency, within: 1s}, target: {at_least: 90 %}, window: {calendar: month}}
    - {id: late, indicator: {signal: overdue_count, within: 4h}, target: {at_most: 5}, window: {calendar: month}}
    - {id: flow, indicator: {signal: throughput, kind: monitoring, per: 1h}, target: {at_least: 5}, window: {calendar: month}}
    - {id: changed, indicator: {signal: change_success}, target: {at_least: 90 %}, window: {calendar: month}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla, version: 2}
spec:
  type: ola
  services: [shop]
  effective: {from: 2026-03-01, retroactive: true}
  objectives: [{id: up, indicator: {signal: availability}, target: {at_least: 98 %}, window: {calendar: quarter}}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola, version: 1}
spec:
  type: ola
  services: [database, mail]
  effective: {from: 2026-01-01}
  objectives: [{id: up, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola, version: 2}
spec:
  type: ola
  services: [database]
  effective: {from: 2026-03-01}
  objectives: [{id: up, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}}]
";

fn objective<'a>(portfolio: &'a Portfolio, agreement: &str, version: u32, objective: &str) -> &'a ObjectivePlan {
    let is_it = |plan: &&ObjectivePlan| {
        *plan.key.agreement == *agreement && plan.key.version == version && *plan.key.objective == *objective
    };
    portfolio.objectives().iter().find(is_it).expect("an objective")
}

#[test]
fn r33_what_events_tell_of_is_split_where_an_agreement_rests_on_another() {
    let portfolio = portfolio_of(AMONG);
    let plan = |name: &str| objective(&portfolio, "sla", 1, name);
    let all = ["up", "fixed", "good", "steps", "errors", "complaints", "fast", "late", "flow", "changed"];
    let split: Vec<&str> = all.into_iter().filter(|name| plan(name).is_split()).collect();
    assert_eq!(split, ["up", "fixed", "good", "errors", "fast"]);
    let with_supports: Vec<&str> = all.into_iter().filter(|name| plan(name).supports.len() == 2).collect();
    assert_eq!(with_supports, split, "both versions of `ola`");
    let counted: Vec<&str> = all.into_iter().filter(|name| plan(name).splits_counts()).collect();
    assert_eq!(counted, ["good", "errors", "fast"], "by what single events count");
    let of_errors: Vec<&str> = all.into_iter().filter(|name| plan(name).counts_errors()).collect();
    assert_eq!(of_errors, ["errors", "complaints"]);
    let alone = objective(&portfolio, "sla", 2, "up");
    assert!(alone.is_split() && alone.supports.is_empty() && !alone.splits_counts());
    // Only a service that such an agreement covers needs to know what is below it.
    let service = |id| portfolio.service(portfolio.service_place(id).expect("a service"));
    let members = ["shop", "database", "mail"].map(|id| service(id).family.members.len());
    assert_eq!(members, [2, 0, 0]);
}

#[test]
fn r24_versions_are_restated_by_one_that_touches_the_past_and_by_no_other() {
    let portfolio = portfolio_of(AMONG);
    let restated = |agreement, version| objective(&portfolio, agreement, version, "up").agreement.restated;
    assert!(restated("sla", 1), "the second version is retroactive");
    assert!(restated("sla", 2), "it is itself");
    assert!(!restated("ola", 1) && !restated("ola", 2));
}

#[test]
fn r9_r13_a_portfolio_knows_its_windows_its_scores_and_what_is_excluded() {
    let portfolio = portfolio_of(AMONG);
    let mut kinds: Vec<String> =
        portfolio.window_kinds().iter().map(|(kind, zone)| format!("{kind:?} {zone}")).collect();
    kinds.sort();
    let expected = [WindowKind::Day, WindowKind::Month, WindowKind::QUARTER, WindowKind::Year { first_month: 4 }];
    assert_eq!(kinds, expected.map(|kind| format!("{kind:?} UTC")));
    let mut part = portfolio_of("{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}");
    let known = |part: &Portfolio| ["web", "shop", "nowhere"].map(|id| part.knows(id));
    assert_eq!(known(&part), [true, false, false]);
    part.be_part_of(&portfolio);
    assert_eq!(part.window_kinds(), portfolio.window_kinds());
    assert_eq!(known(&part), [true, true, false]);
    assert!(Portfolio::new(&definitions()).has_any_scores() && !portfolio.has_any_scores());
    let excluded = &objective(&portfolio, "sla", 1, "up").excluded_times;
    let flood = Window { start: instant("2026-01-02T06:00:00Z"), end: instant("2026-01-02T09:00:00Z") };
    assert_eq!((excluded, objective(&portfolio, "sla", 2, "up").excluded_times.len()), (&vec![flood], 0));
}

#[test]
fn r24_digests_differ_when_anything_that_matters_is_defined_otherwise() {
    let portfolio = portfolio_of(AMONG);
    let of_service =
        |portfolio: &Portfolio, id| portfolio.service(portfolio.service_place(id).expect("a service")).digest;
    let of_objective = |portfolio: &Portfolio, name| objective(portfolio, "sla", 1, name).digest;
    let services = |portfolio: &Portfolio| ["database", "shop", "mail"].map(|id| of_service(portfolio, id));
    let objectives = |portfolio: &Portfolio| ["up", "late", "changed"].map(|name| of_objective(portfolio, name));
    assert_eq!(services(&portfolio), services(&portfolio_of(AMONG)));
    assert_eq!(objectives(&portfolio), objectives(&portfolio_of(AMONG)));
    let differing = |from: &str, to: &str| {
        assert!(AMONG.contains(from), "{from}");
        let other = portfolio_of(&AMONG.replacen(from, to, 1));
        let differs = |one: [u64; 3], other: [u64; 3]| [0, 1, 2].map(|place| one[place] != other[place]);
        (differs(services(&portfolio), services(&other)), differs(objectives(&portfolio), objectives(&other)))
    };
    // The rule of a part is one of the whole's, and a state is what `up` is about; tickets and changes are not.
    let (by_services, _) = differing("{from: incidents}", "{from: checks}");
    assert_eq!(by_services, [true, true, false]);
    let (by_services, by_objectives) =
        differing("within: 4h}, target: {at_most: 5}", "within: 5h}, target: {at_most: 5}");
    assert_eq!((by_services, by_objectives), ([false; 3], [false, true, false]));
    // What a supporting agreement covers matters to what is split among such.
    let (by_services, by_objectives) = differing("services: [database, mail]", "services: [database]");
    assert_eq!((by_services, by_objectives), ([false; 3], [true, false, false]));
    // What is promised is the same under another name.
    let renamed = portfolio_of(&AMONG.replace("id: changed", "id: altered"));
    let promise = |portfolio: &Portfolio, name| objective(portfolio, "sla", 1, name).promise;
    assert_eq!(promise(&renamed, "altered"), promise(&portfolio, "changed"));
    assert_ne!(promise(&portfolio, "changed"), promise(&portfolio, "late"));
    // The time that counts matters to those that are measured in it.
    let longer = portfolio_of(&DEFINITIONS.replace("until: \"12:00\"", "until: \"13:00\""));
    let of_calendar = |portfolio: &Portfolio, name| objective(portfolio, "shop", 1, name).digest;
    let before = Portfolio::new(&definitions());
    let differs = ["down", "down-office"].map(|name| of_calendar(&longer, name) != of_calendar(&before, name));
    assert_eq!(differs, [false, true]);
}
