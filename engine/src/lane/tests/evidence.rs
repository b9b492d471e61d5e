//! R26: which events a result stands on, each beside those that it does not.

use super::*;
use crate::evidence::{Evidence, Facts as Behind};
use crate::portfolio::ObjectiveIndex;
use crate::window::Window;

/// The second day of the small world: from half hour 48 until 96.
const SECOND: Window = Window { start: Instant(24 * HOUR), end: Instant(48 * HOUR) };

/// Of each batch the rows on which the second day of a promise stands, by what a group found out from all of them.
fn stands_on(
    portfolio: &Arc<Portfolio>,
    (agreement, objective, service): (&str, &str, &str),
    batches: &[EventBatch],
) -> Vec<Vec<usize>> {
    let mut group = LaneGroup::new(portfolio.clone(), 1);
    for (number, events) in batches.iter().enumerate() {
        let (from_offset, rows) = (number as i64 * 100, events.num_rows() as i64);
        let news = delivery(&[], from_offset, false);
        group.fold(&Delivery { events: events.clone(), until_offset: from_offset + rows, ..news }, NOW);
    }
    group.fold(&delivery(&[], 1_000, true), NOW);
    let found = group.close(1, NOW, true);
    let all = Behind { transitions: found.transitions, outages: found.outages, clocks: found.clocks };
    let is_asked = |plan: &ObjectivePlan| {
        (&*plan.key.agreement, &*plan.key.objective, &*plan.key.service) == (agreement, objective, service)
    };
    let place = portfolio.objectives().iter().position(is_asked).expect("an objective");
    let evidence = Evidence::new(portfolio, ObjectiveIndex(place as u32), SECOND);
    evidence.events(&evidence.facts(all), batches)
}

fn batch(events: &[Happening]) -> EventBatch {
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    delivery(&numbered, 0, false).events
}

#[test]
fn r26_a_state_stands_on_results_of_checks_and_on_tickets_and_changes_that_matter_in_its_segment() {
    use Action::{Closed, Opened};
    use Said::{Approved, Finished, Planned};
    let before = batch(&[
        Happening::Probe(30, Status::Up),
        // The last result before the day holds as it begins.
        Happening::Probe(47, Status::Up),
        // T1 is an outage of `mail` that reaches into the day, T3 one that was over before.
        Happening::Ticket(20, 1, Opened),
        Happening::Ticket(10, 3, Opened),
        Happening::Ticket(15, 3, Closed),
        // C0 is planned for the day, C2 for its end, C4 until its start, and C6 from just before its end on.
        Happening::Change(10, 0, Planned(60, 62)),
        Happening::Change(11, 0, Approved),
        Happening::Change(12, 2, Planned(96, 98)),
        Happening::Change(13, 4, Planned(40, 48)),
        Happening::Change(14, 6, Planned(95, 200)),
        Happening::Score(50, 9),
        // Of another service's check, which is as if it had not been.
        Happening::Check(48, 0, Status::Up),
    ]);
    let within = batch(&[
        Happening::Probe(49, Status::Down),
        Happening::Probe(95, Status::Up),
        Happening::Probe(96, Status::Up),
        Happening::Ticket(60, 1, Closed),
        // Another service, and a ticket that is no outage.
        Happening::Check(50, 0, Status::Down),
        Happening::Ticket(70, 2, Opened),
        Happening::Change(97, 0, Finished),
    ]);
    let portfolio = portfolio();
    let shop = ("composed", "availability", "shop");
    let rows = |promise, batches: &[EventBatch]| stands_on(&portfolio, promise, batches);
    let both = [before.clone(), within.clone()];
    assert_eq!(rows(shop, &both), [vec![1, 2, 5, 6, 9], vec![0, 1, 3, 6]]);
    // A result at the very start holds there instead of the one before.
    let at_start = [before, within.clone(), batch(&[Happening::Probe(48, Status::Up)])];
    assert_eq!(rows(shop, &at_start), [vec![2, 5, 6, 9], vec![0, 1, 3, 6], vec![0]]);
    // `web` has no part in T1, and no maintenance is excluded of this promise.
    assert_eq!(rows(("ola", "availability", "web"), &both), [vec![1], vec![0, 1]]);
    // What only counts things and tells no status says nothing of the state.
    let mut columns = within.record_batch().columns().to_vec();
    columns[EventColumn::Status as usize] = words(EventColumn::Status, vec![None; within.num_rows()]);
    let mute = RecordBatch::try_new(event_schema(), columns).expect("the event schema");
    let mute = EventBatch::try_new(mute).expect("vocabularies");
    assert_eq!(rows(("ola", "availability", "web"), &[mute])[0].len(), 0);
}

#[test]
fn r26_tickets_changes_and_single_events_stand_on_what_counts_in_the_segment() {
    use Action::{Closed, Opened, Updated};
    use Said::{Finished, Planned};
    let portfolio = portfolio();
    let first = batch(&[
        // Of `mail`, with four hours for a resolution: T1 was breached on the first day, T5 is on the second.
        Happening::Ticket(20, 1, Opened),
        Happening::Ticket(70, 5, Opened),
        // Of `web`, C8 has a record on the second day and C0 has none; C9 is of `mail`.
        Happening::Change(10, 0, Planned(60, 62)),
        Happening::Change(48, 8, Planned(20, 30)),
        Happening::Change(51, 9, Planned(20, 30)),
        Happening::Score(47, 9),
        Happening::Score(50, 9),
        Happening::Score(96, 9),
    ]);
    let second = batch(&[
        Happening::Ticket(98, 5, Closed),
        Happening::Change(97, 8, Finished),
        Happening::Change(96, 0, Finished),
        Happening::Probe(60, Status::Up),
    ]);
    let both = [first, second];
    let rows = |promise| stands_on(&portfolio, promise, &both);
    assert_eq!(rows(("ola", "resolution", "mail")), [vec![1], vec![0]]);
    assert_eq!(rows(("ola", "timely", "web")), [vec![3], vec![1]]);
    assert_eq!(rows(("ola", "scores", "mail")), [vec![6], vec![]]);
    assert_eq!(rows(("ola", "errors", "web")), [vec![], vec![3]]);
    // Counts of tickets stand on all records of those that have one on the second day: T6 as it begins, T2 within; not T4,
    // which has one before and one as it ends, and not T7, which is of `mail`.
    let tickets = office_world(
        "",
        "from: 1970-01-01",
        "",
        ["    - {id: steps, indicator: {signal: good_ratio, kind: incident}, target: {at_least: 90 %}, window: {calendar: day}}\n".to_owned()]
            .into_iter(),
    );
    let counted = batch(&[
        Happening::Ticket(30, 6, Opened),
        Happening::Ticket(48, 6, Closed),
        Happening::Ticket(47, 4, Opened),
        Happening::Ticket(96, 4, Closed),
        Happening::Ticket(70, 2, Opened),
        Happening::Ticket(99, 2, Updated),
        Happening::Ticket(70, 7, Opened),
        Happening::Change(70, 4, Planned(20, 30)),
    ]);
    assert_eq!(stands_on(&tickets, ("ola", "steps", "web"), &[counted]), [vec![0, 1, 4, 5]]);
}
