//! Laws of the whole group: order, duplication, cutting, lanes and restarts do not matter (R21).

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, StringBuilder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
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
kind: Service
metadata: {id: shop}
spec: {composed_of: {all_of: [web, mail]}}
---
apiVersion: plimsoll/v1
kind: Service
metadata: {id: whole}
spec: {composed_of: {weighted: {parts: [{service: shop, share: 2}, {service: web, share: 1}], degraded_from: 40 %}}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: composed}
spec:
  type: ola
  services: [shop, whole]
  effective: {from: 1970-01-01, until: 1970-01-08}
  exclusions: {maintenance: {notice: 12h, at_most: 5h}}
  objectives:
    - {id: availability, indicator: {signal: availability, unknown: hold}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: total, indicator: {signal: downtime, min_outage: 90m, degraded: 50 %}, target: {at_most: 9h}, window: {calendar: week}, min_coverage: 20 %}
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
    - {id: long-outages, indicator: {signal: outage_count, min_duration: 2h}, target: {at_most: 1}, window: {calendar: week}}
    - {id: mtbf, indicator: {signal: mtbf, unknown: good}, target: {at_least: 20h}, window: {calendar: week}}
    - {id: mtrs, indicator: {signal: mtrs}, target: {at_most: 90m}, window: {calendar: week}}
    - {id: resolution, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: untroubled, indicator: {signal: availability, min_outage: 90m, denominator: full_window}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: longest, indicator: {signal: longest_outage, min_outage: 4h, unknown: hold}, target: {at_most: 2h}, window: {calendar: day}}
    - {id: latency, indicator: {signal: latency, within: 250ms}, target: {at_least: 60 %}, window: {calendar: day}}
    - {id: slow, indicator: {signal: latency, within: 250ms}, target: {at_least: 93 %}, window: {calendar: month}, burn_rate_warnings: true}
    - {id: failing, indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 80 %}, window: {rolling: 5d}, burn_rate_warnings: true}
    - {id: errors-at-all, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 40}, window: {calendar: month}, burn_rate_warnings: true}
    - {id: slow-tickets, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: month}, burn_rate_warnings: true}
    - {id: fastest, indicator: {signal: latency_percentile, percentile: 80 %}, target: {at_most: 400ms}, window: {calendar: day}}
    - {id: median, indicator: {signal: latency_percentile, percentile: 50 %}, target: {at_most: 250ms}, window: {rolling: 36h}}
    - {id: flow, indicator: {signal: throughput, kind: monitoring, per: 1h}, target: {at_least: 1}, window: {calendar: day}}
    - {id: errors, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 9}, window: {calendar: day}}
    - {id: timely, indicator: {signal: changes_on_time}, target: {at_least: 90 %}, window: {calendar: week}}
    - {id: urgent, indicator: {signal: emergency_change_share}, target: {at_most: 20 %}, window: {calendar: week}}
    - {id: promoters, indicator: {signal: net_promoter_score}, target: {at_least: 0}, window: {calendar: day}}
    - {id: requests, indicator: {signal: fulfilment_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: overdue, indicator: {signal: overdue_count, within: 4h}, target: {at_most: 1}, window: {calendar: day}}
    - {id: overdue-at-all, indicator: {signal: overdue_count, within: 4h, ticket_type: incident}, target: {at_most: 0}, window: {calendar: month}}
    - {id: overdue-cycles, indicator: {signal: overdue_count, within: 3h, reopening: new_cycle}, target: {at_most: 0}, window: {rolling: 36h}}
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
    - {id: lasting, indicator: {signal: longest_outage}, target: {at_most: 3h}, window: {calendar: day}, min_coverage: 0 %}
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
    - {id: overdue, indicator: {signal: overdue_count, within: 6h}, target: {at_most: 1}, window: {calendar: week}}
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
    - {id: overdue, indicator: {signal: overdue_count, within: 6h}, target: {at_most: 2}, window: {calendar: week}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: maintained}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-01, until: 1970-01-08}
  exclusions:
    maintenance: {notice: 12h, at_most: 5h}
    times: [{from: 1970-01-02T06:30:00, until: 1970-01-02T09:00:00, reason: force majeure, services: [web]}]
  objectives:
    - {id: removed, indicator: {signal: availability, min_outage: 90m}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: actual, indicator: {signal: availability, excluded: count_actual, unknown: hold}, target: {at_least: 90 %}, window: {calendar: week}}
    - {id: good, indicator: {signal: outage_count, excluded: count_good}, target: {at_most: 1}, window: {calendar: week}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: paid}
spec:
  type: ola
  services: [web, mail]
  effective: {from: 1970-01-01, until: 1970-01-08}
  charge: {amount: 100.00, currency: EUR, for: all_services}
  credits: {combine: sum, at_most: {window: 60 %, year: 1 %}}
  objectives:
    - id: hours
      indicator: {signal: downtime, unknown: good}
      target: {at_most: 2h}
      window: {calendar: month}
      credits: [{above: 2h, credit: 10 %}, {above: 9h, credit: 25 %}]
    - id: outages
      indicator: {signal: outage_count, unknown: hold}
      target: {at_most: 1}
      window: {calendar: month}
      credits: [{above: 1, credit: 5 %}, {above: 3, credit: 15 %}]
    - id: tickets
      indicator: {signal: resolution_time, within: 4h}
      target: {at_least: 90 %}
      window: {calendar: quarter}
      credits: [{below: 90 %, credit: 10 %}, {below: 50 %, credit: 30 %}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: liked}
spec:
  type: ola
  services: [mail]
  effective: {from: 1970-01-01, until: 1970-01-08}
  objectives:
    - {id: errors, indicator: {signal: outage_count}, target: {at_most: 2}, window: {calendar: day}}
    - {id: scores, indicator: {signal: satisfaction, good_from: 9}, target: {at_least: 60 %}, window: {calendar: week}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [t], lateness: 1h}
";

const HOUR: i64 = 3_600_000_000;

/// Tickets from this number on are outages of `web` and `mail` in turn.
const OUTAGES: u8 = 250;

/// An event of the small world: what happens in which half hour.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Probe(i64, Status),
    /// Tickets with odd numbers, and those from [`OUTAGES`] on, are outages.
    Ticket(i64, u8, Action),
    Score(i64, i64),
    Change(i64, u8, Said),
    /// What a check of the service of this number saw.
    Check(i64, u8, Status),
}

/// What a record of a change says; times are in half hours.
#[derive(Clone, Copy, Debug)]
enum Said {
    Planned(i64, i64),
    Approved,
    Finished,
    Cancelled,
    Emergency(bool),
}

impl Said {
    fn action(self) -> Action {
        match self {
            Said::Planned(..) => Action::Planned,
            Said::Approved => Action::Approved,
            Said::Finished => Action::Finished,
            Said::Cancelled => Action::Cancelled,
            Said::Emergency(_) => Action::Updated,
        }
    }
}

impl Happening {
    /// What a record of a change says of its plan: planned start and end in microseconds, and whether it is an
    /// emergency.
    fn plan(self) -> (Option<i64>, Option<i64>, Option<bool>) {
        match self {
            Happening::Change(_, _, Said::Planned(start, end)) => (Some(start * HOUR / 2), Some(end * HOUR / 2), None),
            Happening::Change(_, _, Said::Emergency(said)) => (None, None, Some(said)),
            _ => (None, None, None),
        }
    }

    /// The same so many half hours later.
    fn later(self, by: i64) -> Happening {
        match self {
            Happening::Probe(time, status) => Happening::Probe(time + by, status),
            Happening::Ticket(time, ticket, action) => Happening::Ticket(time + by, ticket, action),
            Happening::Score(time, score) => Happening::Score(time + by, score),
            Happening::Change(time, change, Said::Planned(start, end)) => {
                Happening::Change(time + by, change, Said::Planned(start + by, end + by))
            }
            Happening::Change(time, change, said) => Happening::Change(time + by, change, said),
            Happening::Check(time, service, status) => Happening::Check(time + by, service, status),
        }
    }

    /// When it happens, in half hours.
    fn time(self) -> i64 {
        match self {
            Happening::Probe(time, _)
            | Happening::Ticket(time, _, _)
            | Happening::Score(time, _)
            | Happening::Change(time, _, _)
            | Happening::Check(time, _, _) => time,
        }
    }
}

mod attributions;
mod audited;
mod composites;
mod counts;
mod edited;
mod evidence;
mod gated;
mod hostile;
mod laws;
mod levels;
mod memory;
mod naive;
mod publications;
mod reading;
mod redefined;
mod reference;
mod remembered;
mod replayed;
mod rows;
mod sharded;
mod steps;
mod stored;
mod versions;

fn portfolio_of(text: &str) -> Arc<Portfolio> {
    Arc::new(crate::portfolio::tests::portfolio_of(text))
}

fn portfolio() -> Arc<Portfolio> {
    portfolio_of(DEFINITIONS)
}

/// One agreement over `web`, with a calendar `office` from 08:00 to 16:00. `spec` is that of the service, `in_force` and
/// `terms` are lines of the agreement's, `objectives` are told as they stand in definitions.
fn office_world(spec: &str, in_force: &str, terms: &str, objectives: impl Iterator<Item = String>) -> Arc<Portfolio> {
    let objectives: String = objectives.collect();
    portfolio_of(&format!(
        "
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}, spec: {{{spec}}}}}
---
apiVersion: plimsoll/v1
kind: Calendar
metadata: {{id: office}}
spec: {{time_zone: UTC, hours: [{{days: mon-sun, from: \"08:00\", until: \"16:00\"}}]}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: ola}}
spec:
  type: ola
  services: [web]
  effective: {{{in_force}}}
{terms}  objectives:
{objectives}"
    ))
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
    let (mut latencies, mut goods, mut totals) = (Int64Builder::new(), Int64Builder::new(), Int64Builder::new());
    let (mut starts, mut ends) = (TimestampMicrosecondBuilder::new(), TimestampMicrosecondBuilder::new());
    let mut emergencies = BooleanBuilder::new();
    let (mut kinds, mut states, mut actions, mut types) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut outcomes = Vec::new();
    for &(number, happening) in events {
        ids.append_value(number.to_string());
        let time = happening.time();
        times.append_value(time * HOUR / 2);
        let by_number = |number: u8| if number.is_multiple_of(2) { "web" } else { "mail" };
        let (service, kind) = match happening {
            Happening::Probe(..) => ("web", EventKind::Monitoring),
            Happening::Ticket(_, ticket, _) => (by_number(ticket), EventKind::Incident),
            Happening::Score(..) => ("mail", EventKind::Feedback),
            Happening::Change(_, change, _) => (by_number(change), EventKind::Change),
            Happening::Check(_, service, _) => (composites::NAMES[usize::from(service)], EventKind::Monitoring),
        };
        services.append_value(service);
        kinds.push(Some(kind as i8));
        states.push(match happening {
            Happening::Probe(_, status) | Happening::Check(_, _, status) => Some(status as i8),
            _ => None,
        });
        let (ticket, action, outage) = match happening {
            Happening::Ticket(_, ticket, action) => {
                (Some(format!("T{ticket}")), Some(action), Some(ticket % 2 == 1 || ticket >= OUTAGES))
            }
            Happening::Change(_, change, said) => (Some(format!("C{change}")), Some(said.action()), None),
            _ => (None, None, None),
        };
        tickets.append_option(ticket);
        actions.push(action.map(|action| action as i8));
        outages.append_option(outage);
        types.push(match happening {
            Happening::Ticket(time, ..) if time % 3 == 0 => Some((time % 2) as i8),
            _ => None,
        });
        outcomes.push(match happening {
            Happening::Change(time, _, Said::Finished) => Some((time % 2) as i8),
            _ => None,
        });
        // What else there is to say follows from the hour, so that the same happening always says the same.
        let is_probe = matches!(happening, Happening::Probe(..));
        latencies.append_option(is_probe.then_some(time * 37_000 % 500_000));
        goods.append_option(is_probe.then_some(time % 4));
        totals.append_option(is_probe.then_some(3 + time % 2));
        scores.append_option(if let Happening::Score(_, score) = happening { Some(score) } else { None });
        let (start, end, emergency) = happening.plan();
        starts.append_option(start);
        ends.append_option(end);
        emergencies.append_option(emergency);
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
        (EventColumn::TicketType, words(EventColumn::TicketType, types)),
        (EventColumn::Action, words(EventColumn::Action, actions)),
        (EventColumn::Outage, Arc::new(outages.finish())),
        (EventColumn::Score, Arc::new(scores.finish())),
        (EventColumn::LatencyUs, Arc::new(latencies.finish())),
        (EventColumn::GoodCount, Arc::new(goods.finish())),
        (EventColumn::TotalCount, Arc::new(totals.finish())),
        (EventColumn::PlannedStart, Arc::new(starts.finish().with_timezone("UTC"))),
        (EventColumn::PlannedEnd, Arc::new(ends.finish().with_timezone("UTC"))),
        (EventColumn::Emergency, Arc::new(emergencies.finish())),
    ] {
        columns[column as usize] = array;
    }
    columns[EventColumn::State as usize] = words(EventColumn::State, vec![None; rows]);
    columns[EventColumn::Outcome as usize] = words(EventColumn::Outcome, outcomes);
    let batch = RecordBatch::try_new(event_schema(), columns).expect("the event schema");
    let partition = PartitionId { topic: "t".into(), partition: 0 };
    let read = Delivery::news(partition, from_offset + rows as i64, caught_up.then_some(Instant(i64::MAX)));
    Delivery { from_offset, events: EventBatch::try_new(batch).expect("vocabularies"), ..read }
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
                verdict_before: None,
                revision: 0,
                epoch: 0,
                recorded_at: Instant(0),
                ..row.clone()
            };
            rows.insert(key, (!row.retracted).then(|| format!("{told:?}")));
        }
        for row in &facts.credits {
            let key = format!("credit {} {:?} {}", row.agreement, row.service, row.window_end);
            let (amount, limit) = ((row.credit_ratio, row.charge_minor, row.credit_minor), &row.limited_by);
            let told = format!("{amount:?} {limit:?} {} {}", row.finality, row.detail);
            rows.insert(key, (!row.retracted).then_some(told));
        }
        for row in &facts.watermelons {
            let key = format!("watermelon {} {} {}", row.agreement, row.objective, row.window_start);
            rows.insert(key, (!row.retracted).then(|| format!("{} {}", row.met_count, row.unknown_count)));
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
                (row.event != "retraction")
                    .then(|| format!("{} {} {:?} {:?}", row.at, row.detail, row.severity, row.ended_at)),
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
        let sums = measures
            .entry(format!(
                "measure {} {} {} {:?}",
                row.service, row.indicator, row.bucket_start, row.latency_at_most_us
            ))
            .or_default();
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
        1 => (0..330_i64, 0..11_i64).prop_map(|(time, score)| Happening::Score(time, score)),
        3 => (0..200_i64, 0..4_u8, said()).prop_map(|(time, change, said)| Happening::Change(time, change, said)),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => (20..330_i64, 0..20_i64).prop_map(|(start, length)| Said::Planned(start, start + length)),
        4 => Just(Said::Approved),
        2 => Just(Said::Finished),
        1 => Just(Said::Cancelled),
        1 => any::<bool>().prop_map(Said::Emergency),
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
            if &*row.signal == "availability" || &*row.signal == "longest_outage" || &*row.signal == "outage_count" {
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
            let key = (row.agreement.as_str(), row.objective.as_deref(), row.window_start);
            key == ("ola", Some("availability"), Instant(0))
        };
        let shown = |row: &plimsoll_schemas::table::CorrectionRow| {
            let verdict = |text: &str| text.split(", bad").next().unwrap_or_default().to_owned();
            format!("{} {} -> {}", row.reason, verdict(&row.before), verdict(&row.after))
        };
        facts.corrections.iter().filter(day).map(shown).collect::<Vec<_>>()
    };
    assert_eq!(restated(DEFINITIONS), [""; 0], "nothing was edited");
    // 2 h of 20 h were down: 90 %, which is met. But of 24 h only 20 h are known, 83 %, which was too little.
    let target = "{signal: availability}, target: {at_least: 90 %}";
    assert_eq!(
        restated(&DEFINITIONS.replace(target, &format!("{target}, min_coverage: 80 %"))),
        ["definition_change insufficient_data: good_us 64800000000 -> met: good_us 64800000000"]
    );
    // Stale after 4 h: up until 22:00, so 22 h are known, 91.7 %, of which 20 h are good.
    assert_eq!(
        restated(&DEFINITIONS.replace("stale_after: 2h", "stale_after: 4h")),
        ["definition_change insufficient_data: good_us 64800000000 -> met: good_us 72000000000"]
    );
}

/// Revision and longest outage in minutes of day 0 as this step writes them, with the number of corrections to that
/// day.
fn longest_of_day_zero(facts: &Facts, service: &str) -> (Vec<(i32, i64)>, usize) {
    let rows = facts.attainment.iter().filter(|row| &*row.objective == "longest" && row.window_start == Instant(0));
    let rows = rows.filter(|row| &*row.service == service).map(|row| (row.revision, row.longest_outage_us * 60 / HOUR));
    let corrections = facts.corrections.iter().filter(|row| row.objective.as_deref() == Some("longest"));
    let corrections = corrections.filter(|row| row.service.as_deref() == Some(service));
    (rows.collect(), corrections.filter(|row| row.window_start == Instant(0)).count())
}

#[test]
fn r7_what_ends_an_outage_early_restates_the_window_in_which_it_began() {
    // `web` is down from 23:30 until 4:00 for all that is known: longer than 4 hours, of which 30 minutes are of day 0.
    let mut events: Vec<_> = (0..47).map(|tick| Happening::Probe(tick, Status::Up)).collect();
    events.extend([47, 50, 53].map(|tick| Happening::Probe(tick, Status::Down)));
    events.push(Happening::Probe(56, Status::Up));
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    let mut group = LaneGroup::new(portfolio(), 1);
    group.fold(&delivery(&numbered, 0, true), NOW);
    assert_eq!(longest_of_day_zero(&group.close(1, NOW, true), "web"), (vec![(1, 30)], 0));
    // It was up at 0:30 on day 1: down for one hour until then, and for three hours from 1:00 on.
    group.fold(&delivery(&[(99, Happening::Probe(49, Status::Up))], events.len() as i64, true), NOW);
    assert_eq!(longest_of_day_zero(&group.close(2, NOW, true), "web"), (vec![(2, 0)], 1));
}

#[test]
fn r7_an_outage_open_when_its_window_became_final_is_looked_at_again() {
    // `mail` is out from 23:30 until 1:00. At 1:00 day 0 is final, and what is down until then may go on being so.
    let events = [(0, Happening::Ticket(47, 1, Action::Opened)), (1, Happening::Ticket(50, 1, Action::Resolved))];
    let mut group = LaneGroup::new(portfolio(), 1);
    let at = |tick: i64| Instant(tick * HOUR / 2);
    group.fold(&delivery(&events, 0, true), at(50));
    assert_eq!(longest_of_day_zero(&group.close(1, at(50), true), "mail"), (vec![(1, 30)], 0));
    // Time goes on without an event, and the outage has ended after 90 minutes.
    group.fold(&delivery(&[], 2, true), at(51));
    assert_eq!(longest_of_day_zero(&group.close(2, at(51), false), "mail"), (vec![(2, 0)], 1));
}

#[test]
fn r22_a_late_approval_or_cancellation_restates_final_windows() {
    // `web` on day 0: up, but down from 12:00 to 16:00. A change is planned for 11:00 to 18:00, of which the agreement
    // `maintained` lets 5 hours be excluded: 11:00 to 16:00. It was approved at 21:00 the day before that day, in time.
    let day = 24 * 2;
    let down = |hour| if (12..16).contains(&hour) { Status::Down } else { Status::Up };
    let mut events: Vec<Happening> = (-24..24)
        .map(|hour| Happening::Probe(day + hour * 2, if hour < 0 { Status::Up } else { down(hour) }))
        .collect();
    events.push(Happening::Change(10, 0, Said::Planned(day + 22, day + 36)));
    let said = |group: &mut LaneGroup, epoch, events: &[(usize, Happening)], offset| {
        group.fold(&delivery(events, offset, true), NOW);
        let facts = group.close(epoch, NOW, true);
        let day_one = Instant(24 * HOUR);
        let rows = facts.attainment.iter().filter(|row| &*row.objective == "removed" && row.window_start == day_one);
        let rows = rows.filter(|row| &*row.service == "web").map(|row| {
            let hours = |time: i64| time as f64 / HOUR as f64;
            let parts = [row.good_us, row.bad_us, row.excluded_us].map(hours);
            format!("{} r{} {parts:?}", row.verdict, row.revision)
        });
        let corrections = facts.corrections.iter().filter(|row| row.objective.as_deref() == Some("removed"));
        let corrections =
            corrections.filter(|row| row.window_start == day_one && row.service.as_deref() == Some("web"));
        rows.chain(corrections.map(|row| row.reason.clone())).collect::<Vec<_>>()
    };
    let mut group = LaneGroup::new(portfolio(), 2);
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    // The last result is of 23:00 and holds until midnight; 6:30 to 9:00 are force majeure: 2.5 hours.
    let at_first = said(&mut group, 1, &numbered, 0);
    assert_eq!(at_first, ["breached r1 [17.5, 4.0, 2.5]"]);
    let offset = events.len() as i64;
    let approval = [(1_000, Happening::Change(day - 6, 0, Said::Approved))];
    // 5 more hours excluded: 1 of 11:00-12:00 and the whole outage.
    assert_eq!(said(&mut group, 2, &approval, offset), ["met r2 [16.5, 0.0, 7.5]", "late_event"]);
    let cancelled = [(1_001, Happening::Change(day - 1, 0, Said::Cancelled))];
    assert_eq!(said(&mut group, 3, &cancelled, offset + 1), ["breached r3 [17.5, 4.0, 2.5]", "late_event"]);
    let facts = group.close(4, NOW, true);
    assert!(facts.outages.is_empty() && facts.transitions.is_empty(), "what happened to the service never changed");
}

/// What a step says of breaches and warnings of one objective, in short.
fn told(facts: &Facts, objective: &str) -> Vec<String> {
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
        told(&group.close(epoch, Instant(minute * HOUR / 60), false), "resolution")
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
        told(&group.close(1, Instant(5 * HOUR), true), "lasting"),
        ["warning 50 % at 90 min r0", "warning 75 % at 135 min r0", "warning 90 % at 162 min r0",]
    );
    // The week ends, and nothing is heard any more: they were given.
    assert_eq!(told(&group.close(2, NOW, true), "lasting"), [""; 0]);
    // It was up at 1:30 and down again at 2:00 until 3:00: no outage was longer than 1 h 30 min.
    group.fold(&delivery(&[(90, Happening::Probe(3, Status::Up))], 5, true), NOW);
    assert_eq!(
        told(&group.close(3, NOW, true), "lasting"),
        ["retraction of warning 75 % at 135 min r1", "retraction of warning 90 % at 162 min r1",]
    );
}
