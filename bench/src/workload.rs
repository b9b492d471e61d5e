//! Workload W1: a week of monitoring results as some monitoring system writes them, with its own field names.
//!
//! Every event is a pure function of the seed and its number, so that any run, of any size, can be repeated to the
//! byte. Services are checked in turn; a service is down 0.2 % of the time, in bursts of ten minutes.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Timelike};
use plimsoll_schemas::definition::source::{Field, Mapping, Origin, Source};
use plimsoll_schemas::event::EventColumn;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

/// How much event time the workload spans.
pub const DAYS: u64 = 7;

/// Monday, 2026-03-02T00:00:00Z, in milliseconds since 1970.
const START_MS: u64 = 1_772_409_600_000;

/// The span in which a service has at most one burst, and the burst: 0.6 % of spans x 10 of 30 minutes = 0.2 %.
const SPAN_MS: u64 = 30 * 60_000;
const BURST_MS: u64 = 10 * 60_000;
const BURST_PER_MILLE: u64 = 6;

/// Of the results that are not down, how many in a thousand are slow.
const WARNING_PER_MILLE: u64 = 5;

/// How long the producer may take to hand over what is left, and the broker to answer.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// The size and seed of the workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How many events.
    pub events_count: u64,
    /// How many services they are about.
    pub services_count: u32,
    /// How many partitions they are spread over, by service.
    pub partitions_count: i32,
    /// The same seed gives the same bytes.
    pub seed: u64,
}

impl Workload {
    /// Writes event `number` into `record`, which is emptied first, and says into which partition it belongs.
    ///
    /// # Errors
    /// Never in practice: writing into memory does not fail.
    pub fn write(&self, number: u64, record: &mut Vec<u8>) -> Result<i32> {
        record.clear();
        let service = number % u64::from(self.services_count);
        let time_ms =
            START_MS + (number as u128 * u128::from(DAYS * 86_400_000) / u128::from(self.events_count)) as u64;
        let chance = mix(self.seed ^ mix(number));
        let (state, message, rtt_us) = self.result(service, time_ms, chance);
        let time = DateTime::from_timestamp_millis(time_ms as i64).context("the time is in range")?.naive_utc();
        write!(record, r#"{{"ts":"{}T"#, time.date())?;
        write!(record, "{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time_ms % 1_000)?;
        write!(
            record,
            r#"","host":"node-{:04}.eu-central.example.net","svc":"{}""#,
            service / 8,
            Workload::service(service as u32)
        )?;
        write!(
            record,
            r#","probe":"https-{}","state":"{state}","rtt_ms":{}.{:03}"#,
            service % 3,
            rtt_us / 1_000,
            rtt_us % 1_000
        )?;
        write!(
            record,
            r#","uid":"{chance:016x}{number:016x}","zone":"eu-c1-a","attempt":1,"agent":"probe/2.4.1","msg":"{message}"}}"#
        )?;
        Ok((service % self.partitions_count as u64) as i32)
    }

    /// The id of a service.
    pub fn service(number: u32) -> String {
        format!("svc-{number:05}")
    }

    /// State, message and round-trip time in microseconds of a service at a time.
    fn result(&self, service: u64, time_ms: u64, chance: u64) -> (&'static str, &'static str, u64) {
        let (span, within_ms) = (time_ms / SPAN_MS, time_ms % SPAN_MS);
        let fate = mix(self.seed ^ mix(service << 32 | span));
        let burst_ms = (fate >> 16) % (SPAN_MS - BURST_MS);
        if fate % 1_000 < BURST_PER_MILLE && (burst_ms..burst_ms + BURST_MS).contains(&within_ms) {
            return ("CRITICAL", "connect to address 10.20.30.40 and port 443: Connection refused", 10_000_000);
        }
        if chance % 1_000 < WARNING_PER_MILLE {
            return (
                "WARNING",
                "HTTP WARNING: HTTP/1.1 200 OK - 5123 bytes, response time above 1 s",
                1_000_000 + chance % 999_983,
            );
        }
        ("OK", "HTTP OK: HTTP/1.1 200 OK - 5123 bytes, response time within the limit", 3_000 + chance % 60_013)
    }

    /// How Plimsoll reads it: six foreign fields become the columns of a monitoring event.
    pub fn source(topic: &str) -> Source {
        let at = |column, name: &str| {
            (column, Field { origin: Origin::Pointer(vec![name.to_owned()]), ..Field::plain(column) })
        };
        let mut fields = std::collections::BTreeMap::from([
            at(EventColumn::Id, "uid"),
            at(EventColumn::Time, "ts"),
            at(EventColumn::Service, "svc"),
            at(EventColumn::Check, "probe"),
            at(EventColumn::Status, "state"),
            at(EventColumn::LatencyUs, "rtt_ms"),
            (EventColumn::Kind, Field::constant("monitoring")),
        ]);
        if let Some(status) = fields.get_mut(&EventColumn::Status) {
            let words = [("OK", "up"), ("WARNING", "degraded"), ("CRITICAL", "down")];
            status.values = words.map(|(found, meant)| (found.to_owned(), meant.to_owned())).into();
        }
        let mapping = Mapping { fields, csv_columns: Vec::new() };
        Source { topics: vec![topic.to_owned()], mapping, ..Source::plain("probes") }
    }

    /// Sends all events to an existing topic, as fast as the broker takes them; returns their bytes.
    ///
    /// # Errors
    /// When the broker does not store every event.
    pub fn produce(&self, bootstrap: &str, topic: &str) -> Result<u64> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "50")
            .set("batch.size", "1000000")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "500000");
        let producer: ThreadedProducer<_> = config.create_with_context(rdkafka::producer::DefaultProducerContext)?;
        let (mut record, mut bytes) = (Vec::with_capacity(512), 0);
        for number in 0..self.events_count {
            let partition = self.write(number, &mut record)?;
            bytes += record.len() as u64;
            let mut next = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&record);
            while let Err((error, unsent)) = producer.send(next) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error).context("an event cannot be sent");
                }
                std::thread::sleep(Duration::from_millis(5));
                next = unsent;
            }
        }
        producer.flush(WAIT_MAX)?;
        let stored_count: i64 = self.ends(bootstrap, topic)?.into_iter().sum();
        ensure!(
            stored_count as u64 == self.events_count,
            "only {stored_count} of {} events were stored",
            self.events_count
        );
        Ok(bytes)
    }

    /// Where each partition ends.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn ends(&self, bootstrap: &str, topic: &str) -> Result<Vec<i64>> {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
        let end = |partition| Ok(consumer.fetch_watermarks(topic, partition, WAIT_MAX)?.1);
        (0..self.partitions_count).map(end).collect()
    }
}

/// Sebastiano Vigna's SplitMix64 finaliser: neighbouring numbers become unrelated ones.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w1_has_the_stated_size_and_share_of_down_and_is_repeatable() {
        let workload = Workload { events_count: 1_000_000, services_count: 2_000, partitions_count: 4, seed: 1 };
        let (mut record, mut bytes, mut down_count) = (Vec::new(), 0, 0);
        for number in 0..workload.events_count {
            workload.write(number, &mut record).expect("written");
            bytes += record.len() as u64;
            down_count += u64::from(record.windows(10).any(|window| window == b"\"CRITICAL\""));
        }
        assert!((300..=320).contains(&(bytes / workload.events_count)), "{}", bytes / workload.events_count);
        assert!((1_700..=2_300).contains(&down_count), "{down_count}"); // 0.2 % of 1,000,000 is 2,000.
        let (mut one, mut other) = (Vec::new(), Vec::new());
        workload.write(4_711, &mut one).expect("written");
        workload.clone().write(4_711, &mut other).expect("written");
        assert_eq!(one, other);
    }
}
