//! Which facts and events stand behind a result, at the edges of its segment.

use plimsoll_schemas::table::ClockRow;

use super::*;
use crate::portfolio::tests::definitions_of;

/// A shop of two parts, one of them a part of another service's as well, and what is promised of it.
const WORLD: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {depends_on: [power]}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: power}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: other}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: front}, spec: {composed_of: {all_of: [web]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [front, mail]}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: promise}
spec:
  type: ola
  services: [shop]
  effective: {from: 1970-01-01}
  rests_on: [below]
  objectives:
    - {id: uptime, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: fix, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: overdue, indicator: {signal: overdue_count, within: 4h}, target: {at_most: 1}, window: {calendar: day}}
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 90 %}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: below}
spec:
  type: ola
  services: [web, other]
  effective: {from: 1970-01-01}
  objectives: [{id: uptime, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: aside}
spec:
  type: ola
  services: [shop]
  effective: {from: 1970-01-01}
  objectives: [{id: uptime, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}]
";

/// The segment of every test.
const SEGMENT: Window = Window { start: Instant(100), end: Instant(200) };

fn definitions() -> Definitions {
    definitions_of(WORLD)
}

/// What stands behind an objective, of these facts.
fn facts_of(objective: &str, all: Facts) -> Facts {
    let portfolio = Portfolio::new(&definitions());
    let place = place_of(&portfolio, objective);
    Evidence::new(&portfolio, place, SEGMENT).facts(all)
}

/// An objective of the promise.
fn place_of(portfolio: &Portfolio, objective: &str) -> ObjectiveIndex {
    let place = portfolio
        .objectives()
        .iter()
        .position(|plan| &*plan.key.agreement == "promise" && &*plan.key.objective == objective);
    ObjectiveIndex(place.expect("an objective") as u32)
}

fn transition(service: &str, at: i64) -> TransitionRow {
    TransitionRow {
        service: service.into(),
        at: Instant(at),
        state: "up".into(),
        causes: String::new(),
        revision: 0,
        retracted: false,
        recorded_at: Instant(0),
        epoch: 1,
    }
}

fn outage(service: &str, started_at: i64, ended_at: Option<i64>) -> OutageRow {
    OutageRow {
        service: service.into(),
        started_at: Instant(started_at),
        ended_at: ended_at.map(Instant),
        duration_us: None,
        causes: String::new(),
        revision: 0,
        retracted: false,
        recorded_at: Instant(0),
        epoch: 1,
    }
}

fn clock(objective: &str, ticket: &str, stopped_at: Option<i64>, attributed_at: Option<i64>) -> ClockRow {
    ClockRow {
        agreement: "promise".into(),
        agreement_version: 1,
        agreement_type: "ola".into(),
        customer: None,
        service: "shop".into(),
        objective: objective.into(),
        signal: String::new(),
        ticket: ticket.into(),
        cycle: 0,
        priority: None,
        started_at: Instant(50),
        stopped_at: stopped_at.map(Instant),
        due_at: None,
        elapsed_us: 0,
        paused_us: 0,
        target_us: 0,
        verdict: String::new(),
        attributed_at: attributed_at.map(Instant),
        revision: 0,
        retracted: false,
        recorded_at: Instant(0),
        epoch: 1,
    }
}

#[test]
fn r26_of_a_state_the_last_transition_before_the_segment_is_the_first_of_each_part() {
    let rows = [("shop", 99), ("shop", 100), ("shop", 199), ("shop", 200), ("web", 40), ("web", 60), ("web", 150)];
    let aside = [("power", 150), ("other", 150)];
    let transitions = rows.iter().chain(&aside).map(|(service, at)| transition(service, *at)).collect();
    let found = facts_of("uptime", Facts { transitions, ..Facts::default() }).transitions;
    let found: Vec<_> = found.iter().map(|row| (&*row.service, row.at.0)).collect();
    // That at 100 holds at the segment's first instant, and the one at 200 is after its last.
    assert_eq!(found, [("shop", 100), ("shop", 199), ("web", 60), ("web", 150)]);
}

#[test]
fn r26_of_a_state_those_outages_count_that_touch_the_segment() {
    let all = [
        ("shop", 10, Some(100)),
        ("shop", 20, Some(101)),
        ("shop", 30, None),
        ("shop", 199, Some(300)),
        ("shop", 200, None),
        ("mail", 120, Some(130)),
        ("other", 120, Some(130)),
    ];
    let outages = all.iter().map(|(service, from, until)| outage(service, *from, *until)).collect();
    let found = facts_of("uptime", Facts { outages, ..Facts::default() }).outages;
    let found: Vec<_> = found.iter().map(|row| (&*row.service, row.started_at.0)).collect();
    assert_eq!(found, [("mail", 120), ("shop", 20), ("shop", 30), ("shop", 199)]);
}

#[test]
fn r26_clocks_belong_where_they_are_attributed_and_overdue_tickets_to_all_that_they_touch() {
    let all = |objective: &str| Facts {
        clocks: vec![
            clock(objective, "before", Some(99), Some(99)),
            clock(objective, "first", Some(100), Some(100)),
            clock(objective, "last", Some(250), Some(199)),
            clock(objective, "after", Some(200), Some(200)),
            clock(objective, "running", None, None),
            clock("else", "other", Some(150), Some(150)),
            ClockRow { agreement: "aside".into(), ..clock(objective, "another's", Some(150), Some(150)) },
            ClockRow { agreement_version: 2, ..clock(objective, "later", Some(150), Some(150)) },
            ClockRow { service: "web".into(), ..clock(objective, "elsewhere", Some(150), Some(150)) },
            ClockRow { started_at: Instant(200), ..clock(objective, "ahead", None, None) },
        ],
        transitions: vec![transition("shop", 150)],
        ..Facts::default()
    };
    let tickets = |objective: &str| {
        let found = facts_of(objective, all(objective));
        assert_eq!(found.transitions, [], "states are not what clocks stand on");
        found.clocks.into_iter().map(|row| row.ticket).collect::<Vec<_>>()
    };
    assert_eq!(tickets("fix"), ["first", "last"]);
    assert_eq!(tickets("overdue"), ["after", "last", "running"], "one that stops as the segment begins is not in it");
    assert_eq!(facts_of("scores", all("scores")), Facts::default(), "single events are their own facts");
}

#[test]
fn r26_of_a_composite_its_parts_at_any_depth_are_looked_at_and_what_it_depends_on_is_not() {
    let portfolio = Portfolio::new(&definitions());
    let evidence = Evidence::new(&portfolio, place_of(&portfolio, "uptime"), SEGMENT);
    assert_eq!(evidence.services().iter().map(|id| &**id).collect::<Vec<_>>(), ["front", "mail", "shop", "web"]);
}

#[test]
fn r26_what_a_result_can_depend_on_is_what_its_service_is_made_of_and_its_agreement_rests_on() {
    let all = definitions();
    let behind = services_behind(std::iter::once(&all), "shop");
    assert_eq!(Vec::from_iter(behind.iter().map(String::as_str)), ["front", "mail", "power", "shop", "web"]);
    let part = part_of(&all, "promise", &behind);
    let agreements: Vec<&str> = part.agreements.iter().map(|agreement| &*agreement.id).collect();
    assert_eq!(agreements, ["below", "promise"]);
    assert_eq!(part.services.keys().collect::<BTreeSet<_>>(), behind.iter().collect());
    // What an earlier definition had below counts as well.
    let mut before = definitions();
    before.services.retain(|id, _| id == "other" || id == "shop");
    if let Some(shop) = before.services.get_mut("shop") {
        shop.depends_on = vec!["other".to_owned()];
        shop.state.composition = None;
    }
    assert!(services_behind([&all, &before].into_iter(), "shop").contains("other"));
}

#[test]
fn r26_causes_are_named_with_and_without_their_way() {
    let mut row = outage("shop", 1, None);
    row.causes = "T1,front/web/ping,mail/T2".into();
    let facts = Facts { outages: vec![row], ..Facts::default() };
    let named = ["T1", "T2", "front/web/ping", "mail/T2", "ping"];
    assert_eq!(causes(&facts), BTreeSet::from(named));
}
