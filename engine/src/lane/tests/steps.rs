//! What is said at a step that publishes and at one that does not, after a restart too, and before 1970.

use super::*;

/// `web`, of which a check tells, and what is promised of it by the day; `services` are others.
fn definitions(stale_after: &str, services: &str, objectives: &[&str]) -> String {
    let objectives = objectives.iter().map(|objective| format!("    - {{{objective}, window: {{calendar: day}}}}\n"));
    format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}, spec: {{state: {{from: checks, stale_after: \
         {stale_after}}}}}}}\n---\n{services}\
         {{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: plain}}, spec: {{topics: [t], lateness: 1h}}}}\n---\n\
         apiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: ola}}\nspec:\n  type: ola\n  services: [web]\n  \
         effective: {{from: 1970-01-01}}\n  objectives:\n{}",
        objectives.collect::<String>()
    )
}

fn world(stale_after: &str, services: &str, objectives: &[&str]) -> Arc<Portfolio> {
    portfolio_of(&definitions(stale_after, services, objectives))
}

const UP: &str = "id: up, indicator: {signal: availability}, target: {at_least: 90 %}";
const FLOW: &str = "id: flow, indicator: {signal: throughput, kind: monitoring, per: 1h}, target: {at_least: 1}";

fn transitions(facts: &Facts) -> Vec<String> {
    let row = |row: &plimsoll_schemas::table::TransitionRow| {
        let back = if row.retracted { " back" } else { "" };
        format!("{} {} at {}{back}", row.service, row.state, row.at.0 / HOUR)
    };
    facts.transitions.iter().map(row).collect()
}

/// Results of `web` that are up, one each half hour.
fn results(ticks: impl Iterator<Item = i64>) -> Vec<(usize, Happening)> {
    ticks.map(|tick| Happening::Probe(tick, Status::Up)).enumerate().collect()
}

#[test]
fn r22_what_time_alone_changes_is_said_when_results_are_published_and_when_they_are_final() {
    let mut group = LaneGroup::new(world("2h", "", &[UP, FLOW]), 1);
    // Until 2:00, with 17 things in five results: 5 an hour until 3:00.
    group.fold(&delivery(&results(0..5), 0, true), Instant(3 * HOUR));
    let mut close = |hour: i64, publish| {
        group.fold(&delivery(&[], 5, true), Instant(hour * HOUR));
        let facts = group.close(hour, Instant(hour * HOUR), publish);
        let day = |row: &&plimsoll_schemas::table::AttainmentRow| row.window_start == Instant(0);
        let rows = facts
            .attainment
            .iter()
            .filter(day)
            .map(|row| format!("{} {} {:?}", row.objective, row.finality, row.value_count));
        (rows.collect::<Vec<_>>(), transitions(&facts))
    };
    let rows = |flow: &str, up: &str| vec![format!("flow {flow}"), format!("up {up}")];
    let up = |hour: i64| vec![format!("web up at {hour}")];
    assert_eq!(close(3, true), (rows("provisional Some(5)", "provisional None"), up(0)));
    // Silent from 2:00 on, it is unknown from 4:00 on, and 17 things are 3 an hour then.
    assert_eq!(close(5, false), (vec![], vec![]));
    let unknown = vec!["web unknown at 4".to_owned()];
    assert_eq!(close(5, true), (rows("provisional Some(3)", "provisional None"), unknown));
    assert_eq!(close(24, false), (vec![], vec![]));
    assert_eq!(close(25, false), (rows("final Some(0)", "final None"), vec![]));
}

#[test]
fn r32_a_check_that_falls_silent_is_told_at_once_to_who_is_composed_of_it() {
    let shop =
        "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [web]}}}\n---\n";
    let mut group = LaneGroup::new(world("2h", shop, &[UP]), 2);
    group.fold(&delivery(&results(0..5), 0, true), Instant(3 * HOUR));
    assert_eq!(transitions(&group.close(1, Instant(3 * HOUR), true)), ["shop up at 0", "web up at 0"]);
    group.fold(&delivery(&[], 5, true), Instant(5 * HOUR));
    let facts = group.close(2, Instant(5 * HOUR), false);
    assert_eq!(transitions(&facts), ["shop unknown at 4", "web unknown at 4"]);
}

#[test]
fn r3_an_outage_that_ends_at_the_watermark_has_ended() {
    let mail =
        "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}\n---\n";
    let mut group = LaneGroup::new(world("2h", mail, &[UP]), 1);
    let events = [(0, Happening::Ticket(2, 1, Action::Opened)), (1, Happening::Ticket(6, 1, Action::Resolved))];
    let mut outages = |hour: i64, events: &[(usize, Happening)], offset: i64| {
        group.fold(&delivery(events, offset, true), Instant(hour * HOUR));
        let facts = group.close(hour, Instant(hour * HOUR), true);
        let rows =
            facts.outages.iter().map(|row| (row.started_at.0 / HOUR, row.ended_at.map(|at| at.0 / HOUR), row.revision));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(outages(2, &events[..1], 0), [(1, None, 0)]);
    assert_eq!(outages(3, &events[1..], 1), [(1, Some(3), 1)]);
}

fn restored(group: &LaneGroup, portfolio: Arc<Portfolio>) -> LaneGroup {
    LaneGroup::restore(portfolio, 1, &group.snapshot().expect("a snapshot")).expect("restored")
}

#[test]
fn r24_what_lies_before_1970_is_read_and_restated_like_all_else() {
    let held = "id: held, indicator: {signal: outage_count, min_outage: 3h, unknown: hold}, target: {at_most: 0}";
    // In Tokyo 1970 began nine hours earlier.
    let stale = |stale_after: &str| {
        let text = definitions(stale_after, "", &[UP, held]);
        portfolio_of(&text.replace("services: [web]\n", "services: [web]\n  time_zone: Asia/Tokyo\n"))
    };
    let mut group = LaneGroup::new(stale("1h"), 1);
    // In half hours since 1970: up from -40 on, down from -16 to -8, though nothing is said at -12, and nothing from -7
    // to -1.
    let ticks = (-40..-6).filter(|tick| *tick != -12).chain(-1..34);
    let status = |tick: i64| if (-16..-8).contains(&tick) { Status::Down } else { Status::Up };
    let events: Vec<_> = ticks.map(|tick| Happening::Probe(tick, status(tick))).enumerate().collect();
    // At -2:00 and at -1:00 of the new year, when nothing had changed but the time.
    let until = events.partition_point(|(_, event)| event.time() < -4);
    let mut early = LaneGroup::new(stale("1h"), 1);
    early.fold(&delivery(&events[..until], 0, true), Instant(-2 * HOUR));
    for (epoch, unknown) in [(1, 1), (2, 3)] {
        let now = Instant((epoch - 3) * HOUR);
        early.fold(&delivery(&[], until as i64, true), now);
        let facts = early.close(epoch, now, true);
        let row = facts.attainment.iter().find(|row| &*row.objective == "up").expect("a result");
        // Of the half hours since -9:00 five were up and eight down.
        let parts = [row.good_us, row.bad_us, row.unknown_us].map(|time| time * 2 / HOUR);
        assert_eq!(parts, [5, 8, unknown], "{epoch}");
    }
    group.fold(&delivery(&events, 0, true), Instant(17 * HOUR));
    let facts = group.close(1, Instant(17 * HOUR), true);
    let said = |facts: &Facts| {
        let rows = facts.transitions.iter().map(|row| (row.at.0 * 2 / HOUR, row.state.clone(), row.retracted));
        rows.collect::<Vec<_>>()
    };
    let at = |tick: i64, state: &str, retracted| (tick, state.to_owned(), retracted);
    let expected = [(-40, "up"), (-16, "down"), (-8, "up"), (-5, "unknown"), (-1, "up")];
    assert_eq!(said(&facts), expected.map(|(tick, state)| at(tick, state, false)));
    // Verdict, outages, half hours that are bad and unknown, and revision of the first day.
    let day = |facts: &Facts, objective: &str| {
        let mut rows = facts.attainment.iter().filter(|row| row.window_start == Instant(-9 * HOUR));
        rows.find(|row| &*row.objective == objective).map(|row| {
            let half_hours = |time: i64| time * 2 / HOUR;
            (
                row.verdict.to_string(),
                row.outage_count,
                half_hours(row.bad_us),
                half_hours(row.unknown_us),
                row.revision,
            )
        })
    };
    let breached = |outages, bad, unknown, revision| Some(("breached".to_owned(), outages, bad, unknown, revision));
    assert_eq!(day(&facts, "up"), breached(1, 8, 4, 1));
    // Four hours are not passed over.
    assert_eq!(day(&facts, "held").map(|(verdict, outages, ..)| (verdict, outages)), Some(("breached".to_owned(), 1)));
    // Believed for two hours, it is unknown an hour later.
    let mut group = restored(&group, stale("2h"));
    let facts = group.close(2, Instant(17 * HOUR), false);
    assert_eq!(said(&facts), [at(-5, "unknown", true), at(-3, "unknown", false)]);
    assert_eq!(day(&facts, "up"), breached(1, 8, 2, 2));
    // It was up at -12: what is left are outages of 2 and of 1.5 hours.
    group.fold(&delivery(&[(900, Happening::Probe(-12, Status::Up))], events.len() as i64, true), Instant(17 * HOUR));
    let facts = group.close(3, Instant(17 * HOUR), false);
    assert_eq!(said(&facts), [at(-12, "up", false), at(-11, "down", false)]);
    assert_eq!(day(&facts, "up"), breached(2, 7, 2, 3));
    assert_eq!(day(&facts, "held").map(|(verdict, outages, ..)| (verdict, outages)), Some(("met".to_owned(), 0)));
}

#[test]
fn r24_events_are_counted_again_for_what_counts_otherwise_and_for_nothing_else() {
    let scores = |good_from: i64| {
        let score = |id: &str, good_from: i64| {
            format!("id: {id}, indicator: {{signal: satisfaction, good_from: {good_from}}}, target: {{at_least: 50 %}}")
        };
        let (strict, lax) = (score("strict", good_from), score("lax", 4));
        let text = DEFINITIONS_OF_MAIL.replace("STRICT", &strict).replace("LAX", &lax);
        portfolio_of(&text)
    };
    let events = [(0, Happening::Score(2, 4)), (1, Happening::Score(3, 5)), (2, Happening::Score(4, 3))];
    let stored = delivery(&events, 0, true);
    let mut group = LaneGroup::new(scores(5), 1);
    group.fold(&stored, Instant(5 * HOUR));
    let told = |facts: &Facts| {
        let rows =
            facts.attainment.iter().map(|row| format!("{} {}/{}", row.objective, row.good_count, row.total_count));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(told(&group.close(1, Instant(5 * HOUR), true)), ["lax 2/3", "strict 1/3"]);
    assert!(!restored(&group, scores(5)).wants_recount(), "nothing counts otherwise");
    let mut group = restored(&group, scores(3));
    assert!(group.wants_recount());
    group.begin_recount();
    group.recount(&stored.events);
    group.end_recount();
    assert!(!group.wants_recount());
    assert_eq!(told(&group.close(2, Instant(5 * HOUR), true)), ["strict 3/3"]);
    let again = [(3, Happening::Score(5, 5))];
    group.fold(&delivery(&again, 3, true), Instant(5 * HOUR));
    assert_eq!(told(&group.close(3, Instant(5 * HOUR), true)), ["lax 3/4", "strict 4/4"]);
}

/// An agreement over scores of `mail`.
const DEFINITIONS_OF_MAIL: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: liked}
spec:
  type: ola
  services: [mail]
  effective: {from: 1970-01-01}
  objectives:
    - {STRICT, window: {calendar: day}}
    - {LAX, window: {calendar: day}}
";

#[test]
fn r38_what_left_the_catalogue_is_observed_again_when_it_returns() {
    let (known, unknown) = (
        world("2h", "", &[UP]),
        portfolio_of(
            &DEFINITIONS_OF_MAIL
                .replace("{STRICT", "{id: a, indicator: {signal: satisfaction}, target: {at_least: 50 %}")
                .replace("{LAX", "{id: b, indicator: {signal: satisfaction}, target: {at_least: 60 %}"),
        ),
    );
    let (first, second) =
        (results(0..5), [(100, Happening::Probe(6, Status::Down)), (101, Happening::Probe(8, Status::Up))]);
    let stored = [delivery(&first, 0, true), delivery(&second, 5, true)];
    let mut group = LaneGroup::new(known.clone(), 1);
    group.fold(&stored[0], Instant(3 * HOUR));
    group.close(1, Instant(3 * HOUR), true);
    assert!(!restored(&group, known.clone()).wants_recount());
    // Without it, nobody takes what its check says.
    let mut group = restored(&group, unknown);
    group.fold(&stored[1], Instant(5 * HOUR));
    assert_eq!(transitions(&group.close(2, Instant(5 * HOUR), true)), [""; 0]);
    let mut group = restored(&group, known);
    assert!(group.wants_recount());
    group.begin_recount();
    stored.iter().for_each(|events| group.recount(&events.events));
    group.end_recount();
    assert!(!group.wants_recount());
    assert_eq!(transitions(&group.close(3, Instant(5 * HOUR), true)), ["web down at 3", "web up at 4"]);
}

#[test]
fn r29_who_promises_the_same_later_has_seen_less() {
    let agreement = |id: &str, day: u32| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: {id}}}\nspec:\n  type: ola\n  services: [web]\n  \
             effective: {{from: 1970-01-0{day}}}\n  objectives:\n    - {{id: down, indicator: {{signal: downtime}}, \
             target: {{at_most: 2h}}, window: {{calendar: day}}}}\n"
        )
    };
    let told = |agreements: &[String]| {
        let service =
            "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {stale_after: 2h}}}\n";
        let mut group = LaneGroup::new(portfolio_of(&format!("{service}{}", agreements.concat())), 1);
        // Down from 6:00 to 7:00 on three days and on the fourth, of which half has passed.
        let status = |tick: i64| if matches!(tick % 48, 12 | 13) { Status::Down } else { Status::Up };
        let events: Vec<_> = (0..168).map(|tick| (tick as usize, Happening::Probe(tick, status(tick)))).collect();
        group.fold(&delivery(&events, 0, true), Instant(84 * HOUR));
        let facts = group.close(1, Instant(84 * HOUR), true);
        let open = facts.attainment.iter().filter(|row| row.window_start == Instant(72 * HOUR));
        open.map(|row| row.breach_probability_ratio.expect("a forecast").0.0).collect::<Vec<_>>()
    };
    let (early, late) = (agreement("early", 1), agreement("late", 4));
    let (one, other) = (told(std::slice::from_ref(&early)), told(std::slice::from_ref(&late)));
    assert_ne!(one, other);
    assert_eq!(told(&[early, late]), [one, other].concat());
}

#[test]
fn r38_tickets_and_changes_of_nobody_are_found_in_every_lane() {
    for lanes in 1..4 {
        let mut group = LaneGroup::new(world("2h", "", &[UP]), lanes);
        // `mail`, of which the odd numbers are, is not in the catalogue.
        let events = [
            Happening::Ticket(1, 1, Action::Opened),
            Happening::Ticket(1, 2, Action::Opened),
            Happening::Ticket(1, 3, Action::Opened),
            Happening::Change(1, 5, Said::Approved),
            Happening::Change(1, 6, Said::Approved),
        ];
        group.fold(&delivery(&events.into_iter().enumerate().collect::<Vec<_>>(), 0, true), Instant(HOUR));
        group.close(1, Instant(HOUR), true);
        let mut tickets: Vec<_> =
            group.unassigned_tickets().map(|(name, service)| (&**name, service.map(|id| &**id))).collect();
        tickets.sort_unstable();
        assert_eq!((tickets, group.unassigned()), (vec![("T1", Some("mail")), ("T3", Some("mail"))], 2));
        let changes: Vec<_> =
            group.unassigned_changes().map(|(name, service)| (&**name, service.map(|id| &**id))).collect();
        assert_eq!(changes, [("C5", Some("mail"))]);
    }
}

#[test]
fn keys_are_spread_over_all_lanes() {
    let lanes: BTreeSet<usize> = (0..100).map(|number| lane_of(&format!("T{number}"), 4)).collect();
    assert_eq!((lanes, lane_of("T1", 1)), (BTreeSet::from([0, 1, 2, 3]), 0));
}
