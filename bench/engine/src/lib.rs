//! A world of services under any number of agreements, and what checks see of it: input for the benchmarks.
//!
//! The services are always the same two thousand; agreements are laid over them in turn, each with one promise of
//! availability a month. So what grows with their number is the cost of agreements alone.

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use chrono::{NaiveTime, Weekday};
use plimsoll_engine::calendar::Calendar;
use plimsoll_engine::lane::{Folded, LaneGroup, SnapshotError};
use plimsoll_engine::portfolio::Portfolio;
use plimsoll_engine::stage::Facts;
use plimsoll_schemas::definition::{self, DaySpan, Definitions, File, load};
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::{EventBatch, EventColumn, EventKind, Status, Vocabulary, event_schema};
use plimsoll_schemas::{Instant, Micros};

/// How many services there are.
pub const SERVICES: usize = 2_000;
/// How far apart two samples of one service are.
pub const SAMPLE_EVERY: Micros = Micros::MINUTE;
/// When the agreements begin: 2026-03-01T00:00:00Z.
pub const START: Instant = Instant(1_772_323_200_000_000);

const PATTERN: &str = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: pattern}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: pattern}
spec:
  type: ola
  services: [pattern]
  effective: {from: 2026-03-01}
  objectives:
    - {id: availability, indicator: {signal: availability}, target: {at_least: 99.9 %}, window: {calendar: month}}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: checks}
spec: {topics: [checks]}
";

/// The services under this many agreements.
///
/// # Panics
/// When the pattern is not sound, which is a defect of this benchmark.
pub fn group(agreements: usize) -> LaneGroup {
    let Ok(pattern) = load(&[File { name: "pattern.yaml", text: PATTERN }]) else { panic!("the pattern is not sound") };
    let mut definitions = Definitions { sources: pattern.sources, ..Definitions::default() };
    for number in 0..SERVICES {
        let id = service(number);
        definitions
            .services
            .insert(id.clone(), definition::Service { name: id.clone(), id, ..pattern.services["pattern"].clone() });
    }
    for number in 0..agreements {
        let mut agreement = pattern.agreements[0].clone();
        agreement.id = format!("agreement-{number:06}");
        agreement.services = vec![service(number % SERVICES)];
        definitions.agreements.push(agreement);
    }
    LaneGroup::new(Arc::new(Portfolio::new(&definitions)), 1)
}

fn service(number: usize) -> String {
    format!("service-{number:04}")
}

/// Samples of all services at consecutive minutes, from a minute of the month on; `rows` of them, in order of time.
/// Each service is down for one minute in about four hundred.
///
/// # Panics
/// When the columns do not fit the schema of events, which is a defect of this benchmark.
pub fn samples(first: usize, rows: usize) -> Delivery {
    let numbers = first..first + rows;
    let mut columns: Vec<ArrayRef> =
        event_schema().fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
    let one = |text: &str| interned(vec![0; rows], vec![text.to_owned()]);
    let word = |column: EventColumn, keys: Vec<Option<i8>>| {
        let words = Arc::new(StringArray::from(column.words()));
        Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from(keys), words)) as ArrayRef
    };
    let key_of = |status: Status| Status::WORDS.iter().position(|(_, known)| *known == status).map(|key| key as i8);
    let time = |number: usize| START.0 + (number / SERVICES) as i64 * SAMPLE_EVERY.0 + (number % SERVICES) as i64;
    let status =
        |number: usize| if number.wrapping_mul(0x9e37_79b9).is_multiple_of(401) { Status::Down } else { Status::Up };
    for (column, array) in [
        (EventColumn::Topic, one("checks")),
        (EventColumn::Partition, Arc::new(Int32Array::from(vec![0; rows])) as ArrayRef),
        (EventColumn::Offset, Arc::new(Int64Array::from_iter_values(numbers.clone().map(|number| number as i64)))),
        (EventColumn::Source, one("checks")),
        (EventColumn::Id, Arc::new(StringArray::from_iter_values(numbers.clone().map(|number| format!("e{number}"))))),
        (
            EventColumn::Time,
            Arc::new(TimestampMicrosecondArray::from_iter_values(numbers.clone().map(time)).with_timezone("UTC")),
        ),
        (EventColumn::Kind, word(EventColumn::Kind, vec![Some(EventKind::Monitoring as i8); rows])),
        (
            EventColumn::Service,
            interned(
                numbers.clone().map(|number| (number % SERVICES) as i32).collect(),
                (0..SERVICES).map(service).collect(),
            ),
        ),
        (EventColumn::Check, one("http")),
        (EventColumn::Status, word(EventColumn::Status, numbers.map(|number| key_of(status(number))).collect())),
    ] {
        columns[column as usize] = array;
    }
    for column in [EventColumn::Action, EventColumn::State, EventColumn::Outcome, EventColumn::TicketType] {
        columns[column as usize] = word(column, vec![None; rows]);
    }
    let batch = RecordBatch::try_new(event_schema(), columns).ok().and_then(|batch| EventBatch::try_new(batch).ok());
    let Some(events) = batch else { panic!("the columns do not fit the schema of events") };
    let partition = PartitionId { topic: "checks".into(), partition: 0 };
    Delivery { from_offset: first as i64, events, ..Delivery::news(partition, (first + rows) as i64, None) }
}

/// A group that has read samples up to some minute.
#[derive(Debug)]
pub struct History {
    group: LaneGroup,
    /// How many samples were taken.
    taken: usize,
    epoch: i64,
}

impl History {
    /// So many days of samples under so many agreements, in steps of an hour that do not publish.
    pub fn new(agreements: usize, days: usize) -> History {
        let mut history = History { group: group(agreements), taken: 0, epoch: 0 };
        for _ in 0..days * 24 {
            let hour = history.delivery(60 * SERVICES);
            history.fold(&hour);
            history.close(false);
        }
        history
    }

    /// The next so many samples.
    pub fn delivery(&self, samples_count: usize) -> Delivery {
        samples(self.taken, samples_count)
    }

    /// Takes a delivery at the time of its newest sample: what lies in the future would be taken to be from now.
    pub fn fold(&mut self, delivery: &Delivery) -> Folded {
        self.taken += delivery.events.num_rows();
        let now = self.now();
        self.group.fold(delivery, now)
    }

    /// Takes a sample of every service.
    pub fn minute(&mut self) {
        let delivery = self.delivery(SERVICES);
        self.fold(&delivery);
    }

    /// Ends a step.
    pub fn close(&mut self, publish: bool) -> Facts {
        self.epoch += 1;
        let now = self.now();
        self.group.close(self.epoch, now, publish)
    }

    /// The whole state as bytes.
    ///
    /// # Errors
    /// When it cannot be encoded, which is a defect.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        self.group.snapshot()
    }

    fn now(&self) -> Instant {
        START + Micros((self.taken / SERVICES) as i64 * SAMPLE_EVERY.0 + Micros::MINUTE.0)
    }
}

/// Business hours in Berlin with a lunch break, as definitions have them: with all their holidays and years.
///
/// # Errors
/// When a zone or a time is not known, which is a defect of this benchmark.
pub fn business_hours() -> Result<Calendar, String> {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
    let days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let spans = [DaySpan { from: time(8), until: time(12) }, DaySpan { from: time(13), until: time(17) }];
    Ok(Calendar::compile(&[definition::Calendar {
        time_zone: "Europe/Berlin".parse().map_err(|_| "Europe/Berlin is not known")?,
        hours: days.into_iter().flat_map(|day| spans.map(|span| (day, span))).collect(),
        ..definition::Calendar::default()
    }]))
}

/// An instant of the five years from 2024 on; the next lies in another place: round and round in steps of a prime number
/// of microseconds.
pub fn question(number: i64) -> Instant {
    const FROM: i64 = 1_704_067_200_000_000;
    const FIVE_YEARS: i64 = 5 * 365 * Micros::DAY.0;
    Instant(FROM + number.wrapping_mul(86_028_121_000_003).rem_euclid(FIVE_YEARS))
}

fn interned(keys: Vec<i32>, values: Vec<String>) -> ArrayRef {
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(keys), Arc::new(StringArray::from(values))))
}
