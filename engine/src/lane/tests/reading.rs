//! What of a delivery's columns is taken, from when, and by whom.

use super::*;

/// The same delivery with another column.
fn with(read: Delivery, column: EventColumn, values: ArrayRef) -> Delivery {
    let batch = read.events.record_batch();
    let mut columns = batch.columns().to_vec();
    columns[column as usize] = values;
    let batch = RecordBatch::try_new(batch.schema(), columns).expect("the event schema");
    Delivery { events: EventBatch::try_new(batch).expect("vocabularies"), ..read }
}

fn integers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// `web` with a check, `mail` without; what single events count of each kind, by the day, without grace.
const COUNTED: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {from: checks, stale_after: 2h}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [t], lateness: 0s}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-01}
  objectives:
    - {id: incidents, indicator: {signal: error_count, kind: incident}, target: {at_most: 9}, window: {calendar: day}}
    - {id: changes, indicator: {signal: error_count, kind: change}, target: {at_most: 9}, window: {calendar: day}}
    - {id: results, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 9}, window: {calendar: day}}
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 50 %}, window: {calendar: day}}
    - {id: opened, indicator: {signal: resolution_time, within: 4h, attribution: opened}, target: {at_least: 50 %}, window: {calendar: day}}
    - {id: at-last, indicator: {signal: resolution_time, within: 200h, attribution: opened}, target: {at_least: 50 %}, window: {calendar: day}}
";

const MINUTE: i64 = HOUR / 60;

/// Good and total of a day of an objective of a service, as this step writes them.
fn counts(facts: &Facts, service: &str, objective: &str, day: i64) -> Option<(i64, i64)> {
    let mut rows = facts.attainment.iter().filter(|row| &*row.service == service && &*row.objective == objective);
    rows.find(|row| row.window_start.0 == day * 24 * HOUR).map(|row| (row.good_count, row.total_count))
}

#[test]
fn r23_a_time_more_than_five_minutes_ahead_is_taken_to_be_the_ticks() {
    let taken = |tick: i64| {
        let mut group = LaneGroup::new(portfolio_of(COUNTED), 1);
        // One of 9:30, and one of 10:00.
        let events = [(0, Happening::Score(19, 5)), (1, Happening::Score(20, 5))];
        let folded = group.fold(&delivery(&events, 0, false), Instant(tick));
        let newest = group.watermarks().partitions().next().and_then(|(_, progress)| progress.newest);
        (folded.accepted, folded.clamped, newest.map(|at| at.0))
    };
    let ten = 10 * HOUR;
    assert_eq!(taken(ten), (None, 0, Some(ten)));
    assert_eq!(taken(ten - 5 * MINUTE), (None, 0, Some(ten)));
    assert_eq!(taken(ten - 5 * MINUTE - 1), (None, 1, Some(ten - 5 * MINUTE - 1)));
    // Both are from the future then, and of the same instant.
    assert_eq!(taken(9 * HOUR), (None, 2, Some(9 * HOUR)));
}

#[test]
fn r22_what_lies_before_the_edge_is_counted_as_too_late_and_what_lies_at_it_is_taken() {
    let day = 48;
    let mut group = LaneGroup::new(portfolio_of(COUNTED), 3);
    assert_eq!(group.remembered(), None);
    group.remember(Micros(24 * HOUR));
    assert_eq!(group.remembered(), Some(Micros(24 * HOUR)));
    let mut offset = 0;
    let mut said = |group: &mut LaneGroup, day: i64, events: &[Happening]| {
        let numbered: Vec<_> = (offset..).zip(events).map(|(number, event)| (number as usize, *event)).collect();
        group.fold(&delivery(&numbered, offset, true), Instant(day * 24 * HOUR));
        offset += events.len() as i64;
        let facts = group.close(offset, Instant(day * 24 * HOUR), true);
        (facts, group.beyond_history())
    };
    // A ticket and a change that are over on day 0, and a ticket that is not.
    let first = [
        Happening::Ticket(2, 1, Action::Opened),
        Happening::Ticket(3, 1, Action::Closed),
        Happening::Ticket(2, 2, Action::Opened),
        Happening::Change(4, 1, Said::Planned(5, 6)),
    ];
    assert_eq!(said(&mut group, 1, &first).1, 0);
    // At the end of day 5 the days until the start of day 4 are closed: both are forgotten.
    assert_eq!(said(&mut group, 5, &[]).1, 0);
    let edge = [Happening::Score(4 * day, 5), Happening::Score(4 * day - 1, 5)];
    let (facts, beyond) = said(&mut group, 5, &edge);
    assert_eq!(
        (counts(&facts, "mail", "scores", 4), counts(&facts, "mail", "scores", 3), beyond),
        (Some((1, 1)), None, 1)
    );
    // One record each of what was forgotten.
    assert_eq!(said(&mut group, 5, &[Happening::Ticket(4 * day, 1, Action::Reopened)]).1, 2);
    assert_eq!(said(&mut group, 5, &[Happening::Change(4 * day, 1, Said::Finished)]).1, 3);
    // The ticket that was open is resolved in its 200 hours, which counts on day 0.
    assert_eq!(said(&mut group, 5, &[Happening::Ticket(4 * day, 2, Action::Resolved)]).1, 4);
}

#[test]
fn r4_a_result_without_a_status_counts_and_tells_no_state() {
    let mut group = LaneGroup::new(portfolio_of(COUNTED), 1);
    let read = delivery(&[(0, Happening::Probe(2, Status::Up))], 0, true);
    let read = with(read, EventColumn::Status, words(EventColumn::Status, vec![None]));
    group.fold(&read, Instant(HOUR + 1));
    let facts = group.close(1, Instant(HOUR + 1), true);
    assert_eq!((facts.transitions.len(), facts.outages.len()), (0, 0));
    // At 1:00, the second half hour, 2 of 3 were good.
    assert_eq!(counts(&facts, "web", "results", 0), Some((2, 3)));
}

#[test]
fn r10_what_tickets_and_changes_count_is_their_services_whatever_lane_they_are_in() {
    for lanes in 1..6 {
        let mut group = LaneGroup::new(portfolio_of(COUNTED), lanes);
        // Odd numbers are of `mail`, even ones of `web`.
        let events = [
            Happening::Ticket(2, 1, Action::Opened),
            Happening::Ticket(2, 2, Action::Opened),
            Happening::Change(2, 3, Said::Finished),
            Happening::Change(2, 4, Said::Finished),
            Happening::Score(2, 5),
        ];
        let numbered: Vec<_> = events.into_iter().enumerate().collect();
        let goods = integers(&[Some(1), Some(2), Some(3), Some(4), Some(5)]);
        let read = with(delivery(&numbered, 0, true), EventColumn::GoodCount, goods);
        let read = with(read, EventColumn::TotalCount, integers(&[Some(10), Some(20), Some(30), None, Some(50)]));
        group.fold(&read, Instant(5 * HOUR));
        let facts = group.close(1, Instant(5 * HOUR), true);
        let found = |service, objective| counts(&facts, service, objective, 0);
        let of = |service| ["incidents", "changes", "results"].map(|objective| found(service, objective));
        // A good count alone is no count.
        assert_eq!(of("mail"), [Some((1, 10)), Some((3, 30)), Some((0, 0))], "{lanes} lanes");
        assert_eq!(of("web"), [Some((2, 20)), Some((0, 0)), Some((0, 0))], "{lanes} lanes");
    }
}

#[test]
fn r20_a_copy_is_recognised_while_the_watermark_is_at_most_a_day_further() {
    let score = [(0, Happening::Score(2, 5))];
    let copies = |days: i64| {
        let mut group = LaneGroup::new(portfolio_of(COUNTED), 1);
        let day = |day: i64| Instant(day * 24 * HOUR + 12 * HOUR);
        group.fold(&delivery(&score, 0, true), day(0));
        group.close(1, day(0), true);
        // Time goes on, and something else is read, so that the next delivery comes later.
        group.fold(&delivery(&[(1, Happening::Score(48 * days, 5))], 1, true), day(days));
        group.close(2, day(days), true);
        group.fold(&delivery(&score, 2, true), day(days)).duplicates
    };
    assert_eq!([0, 1, 2, 3].map(copies), [1, 1, 0, 0]);
}

#[test]
fn r20_a_delivery_of_nothing_makes_no_copy_a_new_event() {
    // Events of day 1 and day 2, and a copy of the first when the watermark is two days further. Steps that read nothing are
    // not recorded, so what is read in none of them may not matter.
    let duplicates = |reads_nothing: bool| {
        let mut group = LaneGroup::new(portfolio_of(COUNTED), 1);
        let day = |day: i64| Instant(day * 24 * HOUR + 12 * HOUR);
        let scores = [(0, Happening::Score(50, 5)), (1, Happening::Score(98, 5))];
        group.fold(&delivery(&scores, 0, true), day(2));
        group.close(1, day(2), true);
        if reads_nothing {
            group.fold(&delivery(&[], 2, true), day(2));
        }
        group.close(2, day(4), true);
        assert_eq!(group.watermarks().watermark(), day(4));
        group.fold(&delivery(&scores[..1], 2, true), day(4)).duplicates
    };
    assert_eq!([false, true].map(duplicates), [1, 1]);
}

#[test]
fn r26_the_events_that_count_are_told_with_what_they_count() {
    let portfolio = portfolio_of(COUNTED);
    let events = [
        Happening::Score(2, 5),
        Happening::Probe(3, Status::Up),
        Happening::Score(4, 1),
        Happening::Probe(6, Status::Up),
        Happening::Ticket(7, 1, Action::Opened),
    ];
    let numbered: Vec<_> = events.into_iter().enumerate().collect();
    let batch = delivery(&numbered, 0, true).events;
    let told = |service: &str, objective: &str| {
        let place = portfolio
            .objectives()
            .iter()
            .position(|plan| &*plan.key.service == service && &*plan.key.objective == objective);
        let index = crate::portfolio::ObjectiveIndex(place.expect("an objective") as u32);
        let counted = counted(&portfolio, index, &batch).into_iter();
        counted.map(|(row, at, counts)| (row, at.0 / (HOUR / 2), counts)).collect::<Vec<_>>()
    };
    assert_eq!(told("mail", "scores"), [(0, 2, (1, 1)), (2, 4, (0, 1))]);
    assert_eq!(told("web", "scores"), []);
    // 3 of 4 in the third half hour, 2 of 3 in the sixth.
    assert_eq!(told("web", "results"), [(1, 3, (3, 4)), (3, 6, (2, 3))]);
    assert_eq!(told("mail", "results"), []);
}

#[test]
fn r23_progress_can_be_told_without_events() {
    let mut group = LaneGroup::new(portfolio_of(COUNTED), 1);
    let partition = |topic: &str| PartitionId { topic: topic.into(), partition: 0 };
    group.follow(&BTreeSet::from(["t".into(), "u".into()]));
    group.read(&partition("t"), 7, Some(Instant(50)), Some(Instant(90)));
    group.close(1, Instant(100), true);
    assert_eq!(group.watermarks().watermark(), Instant(i64::MIN), "nothing was heard of the other topic");
    group.read(&partition("u"), 1, Some(Instant(60)), None);
    group.close(2, Instant(100), true);
    assert_eq!(group.watermarks().watermark(), Instant(60));
    assert_eq!(group.watermarks().next_offset(&partition("t")), Some(7));
    assert!(!group.wants_rest(), "nothing was deferred");
}

#[test]
fn r18_clocks_are_due_whatever_lane_their_tickets_are_in() {
    let mut group = LaneGroup::new(portfolio_of(COUNTED), 3);
    let opened: Vec<_> =
        (0..4).map(|ticket| Happening::Ticket(10 + i64::from(ticket), ticket, Action::Opened)).enumerate().collect();
    group.fold(&delivery(&opened, 0, true), Instant(7 * HOUR));
    group.close(1, Instant(7 * HOUR), true);
    let due = |hour: i64, most: usize| {
        let due = group.due_around(Instant(hour * HOUR), most).into_iter();
        let due = due.filter(|(_, key, _)| &*key.objective == "opened");
        due.map(|(at, key, ticket)| (at.0 / (HOUR / 2), &*key.service, &**ticket)).collect::<Vec<_>>()
    };
    // Four hours after the tenth half hour and those that follow.
    let all = [(18, "web", "T0"), (19, "mail", "T1"), (20, "web", "T2"), (21, "mail", "T3")];
    assert_eq!(due(7, 100), all);
    assert_eq!(due(7, 2), all[..2]);
    // At the twentieth half hour one is ahead, and three are overdue, of which two were due last.
    assert_eq!(due(10, 2), [all[3], all[2], all[1]]);
}
