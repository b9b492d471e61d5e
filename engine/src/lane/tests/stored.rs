//! What came too late for a check's history is made good from the stored events at the next start (R21, R22, R24).

use super::composites::NAMES;
use super::*;

/// Six weeks in half hours: much longer than single observations are kept.
const SIX_WEEKS: i64 = 6 * 7 * 48;
const END: Instant = Instant(44 * 24 * HOUR);

/// Services with these places, each of which believes its checks for so many half hours, and `s4`, which needs any of
/// them.
fn world(stale_after: &[(usize, i64)]) -> Arc<Portfolio> {
    let mut text = String::new();
    for (place, half_hours) in stale_after {
        text.push_str(&format!(
            "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {}}}, spec: {{state: {{stale_after: {}m}}}}}}\n---\n",
            NAMES[*place],
            half_hours * 30
        ));
    }
    let names = stale_after.iter().map(|(place, _)| NAMES[*place]).collect::<Vec<_>>().join(", ");
    text.push_str(&format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: s4}}, spec: {{composed_of: {{any_of: [{names}]}}}}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: ola}}
spec:
  type: ola
  services: [{names}, s4]
  effective: {{from: 1970-01-01, until: 1970-02-12}}
  objectives:
    - {{id: uptime, indicator: {{signal: availability}}, target: {{at_least: 50 %}}, window: {{calendar: week}}, min_coverage: 0 %}}
    - {{id: held, indicator: {{signal: outage_count, unknown: hold}}, target: {{at_most: 3}}, window: {{rolling: 10d}}}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {{id: plain}}
spec: {{topics: [t], lateness: 1h}}
"
    ));
    portfolio_of(&text)
}

/// Services that are there, with how long each believes its checks, and whether that is all of them.
fn rules() -> impl Strategy<Value = Vec<(usize, i64)>> {
    (prop::collection::vec(1..8_i64, 3), 1..4_usize)
        .prop_map(|(stale_after, count)| stale_after.into_iter().enumerate().take(count).collect())
}

fn check() -> impl Strategy<Value = Happening> {
    let status = prop::sample::select(vec![Status::Up, Status::Up, Status::Up, Status::Down, Status::Degraded]);
    // Close enough to each other that many make runs, over a time that is much longer than is kept.
    let time = (0..SIX_WEEKS / 60, 0..12_i64).prop_map(|(place, more)| place * 60 + more);
    (time, 0..3_u8, status).prop_map(|(time, service, status)| Happening::Check(time, service, status))
}

/// Restores the group as the next process does after a clean stop, with all that was accepted.
fn started_again(group: &mut LaneGroup, portfolio: Arc<Portfolio>, lanes: usize, stored: &[Delivery]) -> LaneGroup {
    group.rest();
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio, lanes, &bytes).expect("restored");
    if group.wants_recount() {
        group.begin_recount();
        stored.iter().for_each(|events| group.recount(&events.events));
        group.end_recount();
    }
    assert_eq!(group.deferred(), 0, "all was made up for");
    group
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r22_after_the_next_start_no_order_of_a_first_load_matters(
        (before, after, same) in (rules(), rules(), any::<bool>()),
        events in prop::collection::vec(check(), 1..250),
        cut in 1..60_usize,
        lanes in 1..4_usize,
    ) {
        let after = if same { before.clone() } else { after };
        let numbered: Vec<_> = events.iter().copied().enumerate().collect();
        let mut batch = LaneGroup::new(world(&after), 1);
        batch.fold(&delivery(&numbered, 0, true), END);
        let expected = current(&[batch.close(1, END, true)]);

        let mut group = LaneGroup::new(world(&before), lanes);
        let (mut all, mut stored, mut offset) = (Vec::new(), Vec::new(), 0);
        for part in numbered.chunks(cut) {
            let read = delivery(part, offset, true);
            group.fold(&read, END);
            offset += part.len() as i64;
            all.push(group.close(offset, END, true));
            stored.insert(stored.len() / 2, read);
        }
        let mut group = started_again(&mut group, world(&after), lanes, &stored);
        all.push(group.close(offset + 1, END, false));
        all.push(group.close(offset + 2, END, true));
        // What was measured of a service that is no more stands, which is another law.
        let is_left = |row: &&String| (after.len()..3).any(|place| row.contains(&format!(" {} ", NAMES[place])));
        let found: Vec<_> = current(&all).into_iter().filter(|row| !is_left(&row)).collect();
        let lacking: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        let added: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        prop_assert!(lacking.is_empty() && added.is_empty(), "lacking {lacking:#?}, added {added:#?}");
        let again = started_again(&mut group, world(&after), lanes, &[]).close(offset + 3, END, true);
        prop_assert!(!again.has_rows(), "nothing is said twice: {again:?}");
    }
}

/// One result of `s0` every half hour for six weeks, up but for the half hours that are left out.
fn every_half_hour(without: impl Fn(i64) -> bool) -> Vec<(usize, Happening)> {
    let times = (0..SIX_WEEKS).filter(|time| !without(*time));
    times.map(|time| (time as usize, Happening::Check(time, 0, Status::Up))).collect()
}

/// Week, verdict, unknown hours, revision.
type Week = (i64, String, i64, i32);

/// Every final row of an objective of `s0`, and the reasons of corrections.
fn weeks(facts: &Facts) -> (Vec<Week>, Vec<String>) {
    let rows = facts.attainment.iter().filter(|row| &*row.service == "s0" && &*row.objective == "uptime");
    let rows = rows.map(|row| {
        // 1970-01-01 was a Thursday, so the first week has begun three days before.
        let week = (row.window_start.0 + 3 * 24 * HOUR) / (7 * 24 * HOUR);
        (week, row.verdict.to_string(), row.unknown_us / HOUR, row.revision)
    });
    let reasons = facts.corrections.iter();
    let reasons =
        reasons.filter(|row| row.service.as_deref() == Some("s0") && row.objective.as_deref() == Some("uptime"));
    (rows.collect(), reasons.map(|row| row.reason.clone()).collect())
}

#[test]
fn r4_a_shorter_stale_after_holds_for_all_of_history() {
    // Every second result is missing: an hour between two. Believed for an hour, the service is always up; believed for
    // half an hour, it is unknown for half of the time: of the 96 h until the first Monday 48, of each week's 168 h 84.
    // The last week ends on Thursday, 1970-02-12, after 72 h: 36.
    let events = every_half_hour(|time| time % 2 == 1);
    let stored = [delivery(&events, 0, true)];
    let mut group = LaneGroup::new(world(&[(0, 2)]), 1);
    group.fold(&stored[0], END);
    let (rows, _) = weeks(&group.close(1, END, true));
    let met = |week, revision| (week, "met".to_owned(), 0, revision);
    assert_eq!(rows, (0..7).map(|week| met(week, 1)).collect::<Vec<_>>());
    let mut group = started_again(&mut group, world(&[(0, 1)]), 1, &stored);
    let (rows, reasons) = weeks(&group.close(2, END, true));
    let unknown = [48, 84, 84, 84, 84, 84, 36];
    let expected = unknown.iter().enumerate().map(|(week, hours)| (week as i64, "met".to_owned(), *hours, 2));
    assert_eq!((rows, reasons), (expected.collect(), vec!["definition_change".to_owned(); 7]));
    // The longer one again: the runs of the shorter one are fine enough for it.
    group.rest();
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(world(&[(0, 2)]), 1, &bytes).expect("restored");
    assert!(!group.wants_recount());
    assert_eq!(weeks(&group.close(3, END, true)).0, (0..7).map(|week| met(week, 3)).collect::<Vec<_>>());
}

#[test]
fn r22_observations_beyond_history_are_made_good_at_the_next_start_after_a_stop() {
    // Down from 1:00 to 1:30 of the first day, which is told after all the rest.
    let events = every_half_hour(|time| time == 2);
    let late = [(5_000, Happening::Check(2, 0, Status::Down))];
    let stored = [delivery(&events, 0, true), delivery(&late, events.len() as i64, true)];
    let mut group = LaneGroup::new(world(&[(0, 1)]), 1);
    group.fold(&stored[0], END);
    group.close(1, END, true);
    let (rows, _) = (group.fold(&stored[1], END), group.close(2, END, true));
    assert_eq!((rows.duplicates, group.deferred(), group.wants_rest()), (0, 1, true));
    // A process that did not stop in order has perhaps recorded further steps, made without: they come first.
    let bytes = group.snapshot().expect("a snapshot");
    let unordered = LaneGroup::restore(world(&[(0, 1)]), 1, &bytes).expect("restored");
    assert_eq!((unordered.wants_recount(), unordered.wants_rest(), unordered.deferred()), (false, true, 1));
    // Where the next step is recorded, it says what it was made from, whichever of the two states is found.
    group.rest();
    for bytes in [bytes, group.snapshot().expect("a snapshot")] {
        for recounted in [false, true] {
            let before = LaneGroup::restore_before(world(&[(0, 1)]), 1, &bytes, Some(recounted)).expect("restored");
            assert_eq!((before.wants_recount(), before.wants_rest()), (recounted, !recounted));
        }
    }
    let mut group = started_again(&mut group, world(&[(0, 1)]), 1, &stored);
    assert!(!group.wants_rest());
    let facts = group.close(3, END, true);
    assert_eq!(weeks(&facts), (vec![(0, "met".to_owned(), 0, 2)], vec!["late_event".to_owned()]));
    let outages = facts.outages.iter().map(|row| (&*row.service, row.started_at.0 / (HOUR / 2), row.duration_us));
    assert_eq!(outages.collect::<Vec<_>>(), [("s0", 2, Some(HOUR / 2)), ("s4", 2, Some(HOUR / 2))]);
}

#[test]
fn r38_a_service_that_is_new_to_the_catalogue_has_the_history_that_was_stored_of_it() {
    let events = every_half_hour(|time| time < 48);
    let stored = [delivery(&events, 0, true)];
    let mut group = LaneGroup::new(world(&[(1, 1)]), 1);
    group.fold(&stored[0], END);
    group.close(1, END, true);
    let mut group = started_again(&mut group, world(&[(0, 1), (1, 1)]), 1, &stored);
    let (rows, reasons) = weeks(&group.close(2, END, true));
    // Nothing was heard of it on the first day.
    let expected =
        [24, 0, 0, 0, 0, 0, 0].iter().enumerate().map(|(week, hours)| (week as i64, "met".to_owned(), *hours, 1));
    assert_eq!((rows, reasons), (expected.collect(), Vec::new()));
}
