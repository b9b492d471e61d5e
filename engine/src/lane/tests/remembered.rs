//! What is remembered beyond a step, a window or a restart: the watermark, history, and tickets that nobody could assign.

use super::*;

#[test]
fn a_snapshot_that_does_not_fit_is_refused_with_what_to_do() {
    let group = LaneGroup::new(portfolio(), 2);
    assert_eq!(group.portfolio().objectives().len(), portfolio().objectives().len());
    let bytes = group.snapshot().expect("a snapshot");
    let refused = |lanes, bytes: &[u8]| LaneGroup::restore(portfolio(), lanes, bytes).expect_err("refused").to_string();
    assert_eq!(refused(3, &bytes), "the snapshot has 2 lanes, the settings say 3; set the number of lanes back to 2");
    let damaged = "the snapshot is damaged, or of an earlier version of the program; remove it and those beside it, and the \
                   state is rebuilt from the input";
    assert_eq!(refused(2, &bytes[..3]), damaged);
    let other = [b"whole, and something else".as_slice(), &checksum(b"whole, and something else")].concat();
    assert!(refused(2, &other).ends_with("remove it and the state is rebuilt from the input"));
}

#[test]
fn r23_a_recorded_watermark_is_taken_up_and_never_goes_back() {
    let mut group = LaneGroup::new(portfolio(), 1);
    group.resume(Instant(5 * HOUR));
    group.resume(Instant(3 * HOUR));
    assert_eq!(group.watermarks().watermark(), Instant(5 * HOUR));
}

#[test]
fn r23_until_a_topic_was_heard_of_steps_say_nothing_and_afterwards_all_of_it() {
    let events: Vec<_> = (0..48_usize).map(|number| (number, Happening::Probe(number as i64, Status::Up))).collect();
    let delivery = delivery(&events, 0, true);
    let mut expected = LaneGroup::new(portfolio(), 1);
    expected.fold(&delivery, NOW);
    let mut group = LaneGroup::new(portfolio(), 2);
    group.remember(Micros(40 * 24 * HOUR));
    group.follow(&["nowhere".into(), "t".into()].into());
    group.fold(&delivery, NOW);
    for epoch in 1..=3 {
        assert_eq!(group.close(epoch, NOW, epoch != 2), Facts::default(), "the topic nowhere holds the watermark");
    }
    group.follow(&["t".into()].into());
    assert_eq!(group.close(4, NOW, true), expected.close(4, NOW, true));
}

#[test]
fn r22_an_observation_beyond_the_kept_history_counts_only_if_it_contradicts() {
    let day = 48;
    let at = |time, status| Happening::Probe(time, status);
    let events: Vec<_> = [at(0, Status::Up), at(2, Status::Up), at(4, Status::Up), at(9 * day, Status::Up)].into();
    let mut group = LaneGroup::new(portfolio(), 1);
    let later = Instant(10 * 24 * HOUR);
    group.fold(&delivery(&events.into_iter().enumerate().collect::<Vec<_>>(), 0, true), later);
    group.close(1, later, false);
    // More than eight days behind the newest: one agrees with what is remembered, one does not.
    group.fold(&delivery(&[(10, at(1, Status::Up)), (11, at(3, Status::Down))], 4, true), later);
    assert_eq!(group.deferred(), 1);
    assert!(group.close(2, later, false).transitions.is_empty(), "it is not applied before the next start");
}

#[test]
fn r22_what_is_settled_after_its_window_is_final_revises_it() {
    let definitions = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: a}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01, until: 1970-01-02}
  objectives:
    - id: fix
      indicator: {signal: resolution_time, within: 4h, attribution: opened}
      target: {at_least: 90 %}
      window: {calendar: day}
";
    let mut group = LaneGroup::new(portfolio_of(definitions), 1);
    let mut said = |hour: i64, delivery: Option<Delivery>| {
        delivery.iter().for_each(|delivery| drop(group.fold(delivery, Instant(hour * HOUR))));
        let facts = group.close(hour, Instant(hour * HOUR), true);
        let rows = facts.attainment.iter().map(|row| format!("{} r{}", row.verdict, row.revision));
        rows.chain(facts.corrections.iter().map(|row| row.reason.clone())).collect::<Vec<_>>()
    };
    // Opened at 22:00, so it belongs to the first day; that is final at 1:00, when nothing has come of the ticket.
    let opened = delivery(&[(0, Happening::Ticket(44, 0, Action::Opened))], 0, true);
    assert_eq!(said(25, Some(opened)), ["no_data r1"]);
    assert_eq!(said(26, None), [""; 0], "it is due now, and may still be met");
    assert_eq!(said(27, None), ["breached r2", "late_event"]);
}

#[test]
fn r38_a_ticket_counts_where_it_belongs_once_the_catalogue_knows_its_service() {
    let agreement = "
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: a}
spec:
  type: ola
  services: [SERVICE]
  effective: {from: 1970-01-01, until: 1970-01-03}
  objectives:
    - {id: fix, indicator: {signal: resolution_time, within: 90m}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: up, indicator: {signal: availability}, target: {at_least: 95 %}, window: {calendar: day}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: SERVICE}, spec: {state: {from: incidents}}}
";
    // T1 is mail's: opened at 1:00 with an outage, resolved at 3:00.
    let events = [(0, Happening::Ticket(2, 1, Action::Opened)), (1, Happening::Ticket(6, 1, Action::Resolved))];
    let mut group = LaneGroup::new(portfolio_of(&agreement.replace("SERVICE", "web")), 2);
    group.fold(&delivery(&events, 0, true), NOW);
    let facts = group.close(1, NOW, true);
    assert_eq!((group.unassigned(), facts.clocks.len(), facts.outages.len()), (1, 0, 0));

    let bytes = group.snapshot().expect("a snapshot");
    let mut group =
        LaneGroup::restore(portfolio_of(&agreement.replace("SERVICE", "mail")), 2, &bytes).expect("restored");
    let facts = group.close(2, NOW, true);
    assert_eq!(group.unassigned(), 0);
    let clocks: Vec<_> = facts.clocks.iter().map(|row| (&*row.ticket, &*row.verdict, row.elapsed_us / HOUR)).collect();
    assert_eq!(clocks, [("T1", "breached", 2)]);
    let outages: Vec<_> = facts.outages.iter().map(|row| (&*row.service, row.duration_us)).collect();
    assert_eq!(outages, [("mail", Some(2 * HOUR))]);
    // The first day is final and has it all: one late ticket of one, 22 h of 24 h.
    let day = |row: &&plimsoll_schemas::table::AttainmentRow| row.window_start == Instant(0);
    let rows = facts.attainment.iter().filter(day).map(|row| {
        (&*row.objective, &*row.finality, &*row.verdict, (row.good_count, row.total_count), row.good_us / HOUR)
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [("fix", "final", "breached", (0, 1), 0), ("up", "final", "breached", (0, 0), 22)]
    );
}
