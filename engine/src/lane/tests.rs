//! Laws of the whole group: order, duplication, cutting, lanes and restarts do not matter (R21).

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, StringBuilder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use plimsoll_schemas::definition::{File, load};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::{Action, EventBatch, EventColumn, EventKind, Status, event_schema};
use proptest::prelude::*;

use super::*;

const DEFINITIONS: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
spec: {state: {stale_after: 2h}}
---
apiVersion: plimsoll/v1
kind: Service
metadata: {id: mail}
spec: {state: {from: incidents}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-01, until: 1970-01-08}
  objectives:
    - {id: availability, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: outages, indicator: {signal: outage_count, unknown: hold}, target: {at_most: 1}, window: {calendar: week}}
    - {id: resolution, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: lately, indicator: {signal: availability, unknown: hold}, target: {at_least: 90 %}, window: {rolling: 36h}}
    - id: burning
      indicator: {signal: availability}
      target: {at_least: 91 %}
      window: {calendar: month}
      burn_rate_warnings: true
      min_coverage: 20 %
    - id: total
      indicator: {signal: downtime, unknown: bad, degraded: 50 %}
      target: {at_most: 9h}
      window: {calendar: day}
      min_coverage: 40 %
    - id: longest
      indicator: {signal: longest_outage}
      target: {at_most: 3h}
      window: {calendar: day}
      min_coverage: 0 %
    - {id: opinions, indicator: {signal: satisfaction}, target: {at_least: 50 %}, window: {rolling: 90m}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla, version: 1}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-01}
  objectives:
    - id: resolution
      indicator: {signal: resolution_time, within: 30h, reopening: new_cycle}
      target: {at_least: 90 %}
      window: {calendar: week}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla, version: 2}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-04, until: 1970-01-08}
  objectives:
    - id: resolution
      indicator: {signal: resolution_time, within: 10h, reopening: new_cycle}
      target: {at_least: 80 %}
      window: {calendar: week}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [t], lateness: 1h}
";

const HOUR: i64 = 3_600_000_000;

/// An event of the small world: what happens in which half hour.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Probe(i64, Status),
    Ticket(i64, u8, Action),
    Score(i64, i64),
}

fn portfolio_of(text: &str) -> Arc<Portfolio> {
    let definitions = load(&[File { name: "world.yaml", text }]).expect("no problems");
    Arc::new(Portfolio::new(&definitions))
}

fn portfolio() -> Arc<Portfolio> {
    portfolio_of(DEFINITIONS)
}

fn words(column: EventColumn, keys: Vec<Option<i8>>) -> ArrayRef {
    Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from(keys), Arc::new(StringArray::from(column.words()))))
}

/// Events with their numbers as ids, in this order, as one delivery of partition 0 from this offset on.
fn delivery(events: &[(usize, Happening)], from_offset: i64, caught_up: bool) -> Delivery {
    let rows = events.len();
    let mut columns: Vec<ArrayRef> =
        event_schema().fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
    let (mut ids, mut times, mut services) =
        (StringBuilder::new(), TimestampMicrosecondBuilder::new(), StringDictionaryBuilder::<Int32Type>::new());
    let (mut tickets, mut outages, mut scores) = (StringBuilder::new(), BooleanBuilder::new(), Int64Builder::new());
    let (mut kinds, mut states, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    for &(number, happening) in events {
        ids.append_value(number.to_string());
        let (time, service, kind) = match happening {
            Happening::Probe(time, _) => (time, "web", EventKind::Monitoring),
            Happening::Ticket(time, ticket, _) => {
                (time, if ticket % 2 == 0 { "web" } else { "mail" }, EventKind::Incident)
            }
            Happening::Score(time, _) => (time, "mail", EventKind::Feedback),
        };
        times.append_value(time * HOUR / 2);
        services.append_value(service);
        kinds.push(Some(kind as i8));
        states.push(if let Happening::Probe(_, status) = happening { Some(status as i8) } else { None });
        actions.push(if let Happening::Ticket(_, _, action) = happening { Some(action as i8) } else { None });
        tickets.append_option(if let Happening::Ticket(_, ticket, _) = happening {
            Some(format!("T{ticket}"))
        } else {
            None
        });
        outages.append_option(if let Happening::Ticket(_, ticket, _) = happening {
            Some(ticket % 2 == 1)
        } else {
            None
        });
        scores.append_option(if let Happening::Score(_, score) = happening { Some(score) } else { None });
    }
    let text = |value: &str| {
        let keys = Int32Array::from(vec![0; rows]);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec![value])))) as ArrayRef
    };
    for (column, array) in [
        (EventColumn::Topic, text("t")),
        (EventColumn::Partition, Arc::new(Int32Array::from(vec![0; rows])) as ArrayRef),
        (EventColumn::Offset, Arc::new(Int64Array::from_iter_values(from_offset..from_offset + rows as i64))),
        (EventColumn::Source, text("plain")),
        (EventColumn::Id, Arc::new(ids.finish())),
        (EventColumn::Time, Arc::new(times.finish().with_timezone("UTC"))),
        (EventColumn::Kind, words(EventColumn::Kind, kinds)),
        (EventColumn::Service, Arc::new(services.finish())),
        (EventColumn::Check, text("http")),
        (EventColumn::Status, words(EventColumn::Status, states)),
        (EventColumn::Ticket, Arc::new(tickets.finish())),
        (EventColumn::Action, words(EventColumn::Action, actions)),
        (EventColumn::Outage, Arc::new(outages.finish())),
        (EventColumn::Score, Arc::new(scores.finish())),
    ] {
        columns[column as usize] = array;
    }
    for column in [EventColumn::State, EventColumn::Outcome] {
        columns[column as usize] = words(column, vec![None; rows]);
    }
    let batch = RecordBatch::try_new(event_schema(), columns).expect("the event schema");
    Delivery {
        partition: PartitionId { topic: "t".into(), partition: 0 },
        from_offset,
        until_offset: from_offset + rows as i64,
        events: EventBatch::try_new(batch).expect("vocabularies"),
        dead_letters: Vec::new(),
        caught_up,
    }
}

/// The day after the week in which everything happens.
const NOW: Instant = Instant(8 * 24 * HOUR);

/// What is current after everything: the last row written under each key that was not taken back, as text without the
/// bookkeeping of when and how often it was written.
fn current(all: &[Facts]) -> Vec<String> {
    let mut rows = std::collections::BTreeMap::new();
    for facts in all {
        for row in &facts.attainment {
            let place = format!("{} {} {}", row.agreement, row.agreement_version, row.service);
            let key = format!("attainment {place} {} {}", row.objective, row.window_start);
            let told = plimsoll_schemas::table::AttainmentRow {
                revision: 0,
                epoch: 0,
                recorded_at: Instant(0),
                ..row.clone()
            };
            rows.insert(key, Some(format!("{told:?}")));
        }
        for row in &facts.clocks {
            let mut told =
                plimsoll_schemas::table::ClockRow { revision: 0, epoch: 0, recorded_at: Instant(0), ..row.clone() };
            if told.stopped_at.is_none() {
                // It grows by itself and is not written again for that alone.
                (told.elapsed_us, told.paused_us) = (0, 0);
            }
            rows.insert(
                format!(
                    "clock {} {} {} {} {}",
                    row.agreement, row.agreement_version, row.objective, row.ticket, row.cycle
                ),
                (!row.retracted).then(|| format!("{told:?}")),
            );
        }
        for row in &facts.breaches {
            let place = format!("{} {} {}", row.agreement, row.agreement_version, row.service);
            let about = (&row.ticket, row.cycle, row.window_start);
            let said = row.retracts.as_ref().unwrap_or(&row.event);
            // Each time that a budget burns too fast is a warning of its own.
            let warned = (row.threshold_ratio, row.span_us, row.span_us.map(|_| row.at));
            rows.insert(
                format!("{said} {place} {} {about:?} {warned:?}", row.objective),
                (row.event != "retraction").then(|| format!("{} {} {:?}", row.at, row.detail, row.severity)),
            );
        }
        for row in &facts.outages {
            let told = format!("{} {:?} {}", row.started_at, row.ended_at, row.causes);
            rows.insert(format!("outage {} {}", row.service, row.started_at), (!row.retracted).then_some(told));
        }
        for row in &facts.transitions {
            let told = format!("{} {} {}", row.at, row.state, row.causes);
            rows.insert(format!("transition {} {}", row.service, row.at), (!row.retracted).then_some(told));
        }
    }
    let mut measures = std::collections::BTreeMap::<String, [i64; 6]>::new();
    for row in all.iter().flat_map(|facts| &facts.measures) {
        let sums =
            measures.entry(format!("measure {} {} {}", row.service, row.indicator, row.bucket_start)).or_default();
        let parts = [row.good_us, row.bad_us, row.degraded_us, row.unknown_us, row.good_count, row.total_count];
        (0..6).for_each(|place| sums[place] += parts[place]);
    }
    measures.retain(|_, sums| *sums != [0; 6]);
    rows.extend(measures.into_iter().map(|(key, sums)| (key, Some(format!("{sums:?}")))));
    rows.into_iter().filter_map(|(key, row)| row.map(|row| format!("{key}: {row}"))).collect()
}

/// Everything in one delivery and one step.
fn at_once(events: &[Happening]) -> Vec<String> {
    let mut group = LaneGroup::new(portfolio(), 1);
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    group.fold(&delivery(&numbered, 0, true), NOW);
    current(&[group.close(1, NOW, true)])
}

/// The events in another order, some twice, cut into steps, over several lanes, with a restart after each step.
fn bit_by_bit(events: &[(usize, Happening)], cut: usize, lanes: usize, restart: bool) -> Vec<String> {
    let mut group = LaneGroup::new(portfolio(), lanes);
    let (mut all, mut offset) = (Vec::new(), 0);
    let parts: Vec<_> = events.chunks(cut).collect();
    for (number, part) in parts.iter().enumerate() {
        group.fold(&delivery(part, offset, number + 1 == parts.len()), NOW);
        offset += part.len() as i64;
        all.push(group.close(number as i64 + 1, NOW, number % 2 == 0));
        if restart {
            let bytes = group.snapshot().expect("a snapshot");
            group = LaneGroup::restore(portfolio(), lanes, &bytes).expect("restored");
        }
    }
    all.push(group.close(parts.len() as i64 + 1, NOW, true));
    current(&all)
}

fn happening() -> impl Strategy<Value = Happening> {
    let status =
        prop::sample::select(vec![Status::Up, Status::Up, Status::Up, Status::Down, Status::Degraded, Status::Unknown]);
    let action = prop::sample::select(vec![
        Action::Opened,
        Action::Acknowledged,
        Action::Paused,
        Action::Resumed,
        Action::Resolved,
        Action::Reopened,
        Action::Closed,
        Action::Cancelled,
    ]);
    prop_oneof![
        6 => (0..330_i64, status).prop_map(|(time, status)| Happening::Probe(time, status)),
        3 => (0..330_i64, 0..6_u8, action).prop_map(|(time, ticket, action)| Happening::Ticket(time, ticket, action)),
        1 => (0..330_i64, 1..6_i64).prop_map(|(time, score)| Happening::Score(time, score)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r21_order_duplication_cuts_lanes_and_restarts_do_not_matter(
        events in prop::collection::vec(happening(), 1..60),
        order in any::<prop::sample::Index>(),
        repeated in any::<prop::sample::Index>(),
        cut in 1..20_usize,
        lanes in 1..4_usize,
        restart in any::<bool>(),
    ) {
        let expected = at_once(&events);
        let mut shuffled: Vec<_> = events.iter().copied().enumerate().collect();
        shuffled.rotate_left(order.index(events.len()));
        // A duplicate follows its original within the horizon in which it is recognised.
        let place = repeated.index(events.len());
        shuffled.insert(place + 1, shuffled[place]);
        let found = bit_by_bit(&shuffled, cut, lanes, restart);
        let lacking: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        let added: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        prop_assert!(lacking.is_empty() && added.is_empty(), "lacking {lacking:#?}, added {added:#?}");
    }

    #[test]
    fn the_parts_add_up_to_the_agreed_time_that_has_passed(events in prop::collection::vec(happening(), 1..60)) {
        let mut group = LaneGroup::new(portfolio(), 1);
        let numbered: Vec<_> = events.iter().copied().enumerate().collect();
        group.fold(&delivery(&numbered, 0, true), NOW);
        for row in group.close(1, NOW, true).attainment {
            if row.signal == "availability" {
                prop_assert_eq!(row.good_us + row.bad_us + row.degraded_us + row.excluded_us + row.unknown_us, row.agreed_us);
            }
        }
    }
}

#[test]
fn r20_what_was_read_before_counts_neither_again_nor_as_a_duplicate() {
    let mut group = LaneGroup::new(portfolio(), 1);
    let events = [(0, Happening::Score(1, 5)), (1, Happening::Score(2, 1)), (0, Happening::Score(1, 5))];
    let first = group.fold(&delivery(&events, 10, false), NOW);
    assert_eq!((first.accepted, first.duplicates, first.already_read), (Some(vec![0, 1]), 1, 0));
    let again = group.fold(&delivery(&events, 10, false), NOW);
    assert_eq!((again.accepted, again.duplicates, again.already_read), (Some(vec![]), 0, 3));
}

#[test]
fn r20_the_same_id_34_days_apart_is_two_events_wherever_epochs_are_cut() {
    // Half hours: two scores of one id on day 1 and day 35, the first of which is sent twice, and one between them.
    let (first, second) = ((0, Happening::Score(48, 5)), (0, Happening::Score(35 * 48, 1)));
    let events = [first, first, (1, Happening::Score(20 * 48, 3)), second];
    for cut in 1..=events.len() {
        let mut group = LaneGroup::new(portfolio(), 1);
        let (mut offset, mut duplicates) = (0, 0);
        for part in events.chunks(cut) {
            duplicates += group.fold(&delivery(part, offset, false), Instant(40 * 24 * HOUR)).duplicates;
            offset += part.len() as i64;
            group.close(offset, Instant(40 * 24 * HOUR), false);
        }
        assert_eq!(duplicates, 1, "cut after each {cut}");
    }
}

#[test]
fn r24_an_edited_definition_restates_final_results_and_says_why() {
    // Day 0 of `web`: up from 0:00 to 20:00 (the last result is of 18:00 and stale two hours later), so 4 h are
    // unknown.
    let mut events: Vec<_> =
        (0..=18).map(|hour| Happening::Probe(hour * 2, if hour < 2 { Status::Down } else { Status::Up })).collect();
    events.push(Happening::Score(2, 4));
    let events: Vec<_> = events.into_iter().enumerate().collect();
    let mut group = LaneGroup::new(portfolio(), 2);
    group.fold(&delivery(&events, 0, true), NOW);
    group.close(1, NOW, true);
    let bytes = group.snapshot().expect("a snapshot");
    let restated = |text: &str| {
        let mut group = LaneGroup::restore(portfolio_of(text), 2, &bytes).expect("restored");
        let facts = group.close(2, NOW, false);
        let day = |row: &&plimsoll_schemas::table::CorrectionRow| {
            row.window_start == Instant(0) && row.objective == "availability"
        };
        let shown = |row: &plimsoll_schemas::table::CorrectionRow| {
            let verdict = |text: &str| text.split(", bad").next().unwrap_or_default().to_owned();
            format!("{} {} {} -> {}", row.objective, row.reason, verdict(&row.before), verdict(&row.after))
        };
        facts.corrections.iter().filter(day).map(shown).collect::<Vec<_>>()
    };
    assert_eq!(restated(DEFINITIONS), [""; 0], "nothing was edited");
    // 2 h of 20 h were down: 90 %, which is met. But of 24 h only 20 h are known, 83 %, which was too little.
    let target = "{signal: availability}, target: {at_least: 90 %}";
    assert_eq!(
        restated(&DEFINITIONS.replace(target, &format!("{target}, min_coverage: 80 %"))),
        ["availability definition_change insufficient_data: good_us 64800000000 -> met: good_us 64800000000"]
    );
    // Stale after 4 h: up until 22:00, so 22 h are known, 91.7 %, of which 20 h are good.
    assert_eq!(
        restated(&DEFINITIONS.replace("stale_after: 2h", "stale_after: 4h")),
        ["availability definition_change insufficient_data: good_us 64800000000 -> met: good_us 72000000000"]
    );
}

/// What a step says of breaches and warnings of one objective, in short.
fn said(facts: &Facts, objective: &str) -> Vec<String> {
    let rows = facts.breaches.iter().filter(|row| row.objective == objective);
    let show = |row: &plimsoll_schemas::table::BreachRow| {
        let threshold = row.threshold_ratio.map(|decimal| format!(" {}", decimal.0)).unwrap_or_default();
        let retracts = row.retracts.as_ref().map(|word| format!(" of {word}")).unwrap_or_default();
        format!("{}{retracts}{threshold} at {} min r{}", row.event, row.at.0 / (HOUR / 60), row.revision)
    };
    rows.map(show).collect()
}

#[test]
fn r28_a_clock_warns_without_an_event_and_a_late_stop_takes_that_back() {
    let mut group = LaneGroup::new(portfolio(), 1);
    // 4 h are allowed: 2 h, 3 h and 3 h 36 min. One is opened at 0:00, one at 0:30 on the other service.
    let opened = [(0, Happening::Ticket(0, 0, Action::Opened)), (1, Happening::Ticket(1, 1, Action::Opened))];
    group.fold(&delivery(&opened, 0, true), Instant(HOUR));
    let close = |group: &mut LaneGroup, epoch, minute| {
        said(&group.close(epoch, Instant(minute * HOUR / 60), false), "resolution")
    };
    assert_eq!(close(&mut group, 1, 119), [""; 0]);
    assert_eq!(close(&mut group, 2, 120), ["warning 50 % at 120 min r0"]);
    assert_eq!(close(&mut group, 3, 121), [""; 0], "once");
    assert_eq!(
        close(&mut group, 4, 240),
        [
            "warning 50 % at 150 min r0",
            "warning 75 % at 210 min r0",
            "warning 75 % at 180 min r0",
            "warning 90 % at 216 min r0",
        ]
    );
    // The first ticket was resolved at 3:00 already: it did not run there any more.
    group.fold(&delivery(&[(2, Happening::Ticket(6, 0, Action::Resolved))], 2, true), Instant(4 * HOUR));
    assert_eq!(
        close(&mut group, 5, 241),
        ["retraction of warning 75 % at 180 min r1", "retraction of warning 90 % at 216 min r1",]
    );
    // Its target is used up at 4:30, and a microsecond later it is breached.
    assert_eq!(close(&mut group, 6, 271), ["breach at 270 min r0", "warning 90 % at 246 min r0"]);
}

#[test]
fn r28_budgets_warn_when_they_are_used_up_and_stay_unless_facts_change() {
    let mut group = LaneGroup::new(portfolio(), 1);
    // At most 3 h for the longest outage of the day: 50 % after 1 h 30 min, 75 % after 2 h 15 min, 90 % after 2 h 42
    // min.
    let probes = (0..5).map(|hour| Happening::Probe(2 * hour, if hour < 3 { Status::Down } else { Status::Up }));
    group.fold(&delivery(&probes.enumerate().collect::<Vec<_>>(), 0, true), Instant(5 * HOUR));
    assert_eq!(
        said(&group.close(1, Instant(5 * HOUR), true), "longest"),
        ["warning 50 % at 90 min r0", "warning 75 % at 135 min r0", "warning 90 % at 162 min r0",]
    );
    // The week ends, and nothing is heard any more: they were given.
    assert_eq!(said(&group.close(2, NOW, true), "longest"), [""; 0]);
    // It was up at 1:30 and down again at 2:00 until 3:00: no outage was longer than 1 h 30 min.
    group.fold(&delivery(&[(90, Happening::Probe(3, Status::Up))], 5, true), NOW);
    assert_eq!(
        said(&group.close(3, NOW, true), "longest"),
        ["retraction of warning 75 % at 135 min r1", "retraction of warning 90 % at 162 min r1",]
    );
}
