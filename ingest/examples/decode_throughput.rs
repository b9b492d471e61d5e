//! How fast one core decodes: monitoring results of about 310 bytes of JSON with foreign field names, mapped by a
//! source, into event batches. Prints records per second and, beside it, the cost of parsing the same fields with
//! sonic-rs into borrowed strings and nothing else; and what it costs to write the batches as messages of the exchange, and
//! to read them.
//!
//! `cargo run --release -p plimsoll-ingest --example decode_throughput`

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use plimsoll_ingest::exchange::Message;
use plimsoll_ingest::{BATCH_ROWS_MAX, Decoder, Record};
use plimsoll_schemas::definition::source::{Field, Mapping, Origin, Source, TimeFormat};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::EventColumn;

const RECORDS: usize = BATCH_ROWS_MAX;
const ROUNDS: usize = 40;

/// The fields that both ways read.
#[derive(serde::Deserialize)]
struct Raw<'a> {
    uuid: &'a str,
    ts: &'a str,
    #[serde(rename = "serviceName")]
    service: &'a str,
    #[serde(rename = "checkName")]
    check: &'a str,
    state: &'a str,
    #[serde(rename = "responseMillis")]
    response_millis: f64,
}

fn record(number: usize) -> String {
    let second = number % 86_400;
    let state = if number.is_multiple_of(97) { "CRITICAL" } else { "OK" };
    format!(
        "{{\"uuid\":\"{:08x}-7c1b-4f0e-9d52-{:012x}\",\"ts\":\"2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z\",\
         \"serviceName\":\"svc-{:04}\",\"checkName\":\"http-{}\",\"host\":\"node-{:03}.eu-central.example.net\",\
         \"state\":\"{state}\",\"responseMillis\":{}.{:02},\"attempt\":{},\"tags\":[\"prod\",\"blackbox\"],\
         \"probe\":{{\"region\":\"fra\",\"version\":\"4.11.2\"}},\"output\":\"HTTP/1.1 200 OK - 5124 bytes\"}}",
        number * 2_654_435 % 0xffff_ffff,
        number,
        1 + number % 7,
        second / 3_600,
        second / 60 % 60,
        second % 60,
        number % 1_000,
        number * 7_919 % 2_000,
        number % 3,
        number % 500,
        20 + number % 400,
        number % 100,
        1 + number % 3,
    )
}

fn source() -> Source {
    let pointer = |name: &str| Field { origin: Origin::Pointer(vec![name.to_owned()]), ..Field::constant("") };
    let mut status = pointer("state");
    status.values = [("OK", "up"), ("WARNING", "degraded"), ("CRITICAL", "down"), ("UNKNOWN", "unknown")]
        .map(|(raw, word)| (raw.to_owned(), word.to_owned()))
        .into();
    let mut latency = pointer("responseMillis");
    latency.time_format = TimeFormat::Milliseconds;
    let fields = BTreeMap::from([
        (EventColumn::Id, pointer("uuid")),
        (EventColumn::Time, pointer("ts")),
        (EventColumn::Kind, Field::constant("monitoring")),
        (EventColumn::Service, pointer("serviceName")),
        (EventColumn::Check, pointer("checkName")),
        (EventColumn::Status, status),
        (EventColumn::LatencyUs, latency),
    ]);
    Source { mapping: Mapping { fields, csv_columns: Vec::new() }, ..Source::plain("blackbox") }
}

/// Runs `round` so many times and reports the fastest, which is the one that nobody else on the machine disturbed.
fn measure<E>(name: &str, bytes: usize, mut round: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
    let mut seconds = f64::MAX;
    for number in 0..ROUNDS {
        let started = Instant::now();
        round(number)?;
        seconds = seconds.min(started.elapsed().as_secs_f64());
    }
    let count = RECORDS as f64;
    println!(
        "{name:<28} {:>6.2} M records/s  {:>5.0} ns each  {:>5.0} MB/s",
        count / seconds / 1e6,
        seconds / count * 1e9,
        bytes as f64 / seconds / 1e6
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    let bytes: usize = records.iter().map(String::len).sum();
    println!("{RECORDS} records of {} bytes on average, the best of {ROUNDS} rounds", bytes / RECORDS);
    println!("{}", records[0]);

    measure("sonic-rs, borrowed fields", bytes, |_| {
        for record in &records {
            let raw: Raw<'_> = sonic_rs::from_slice(record.as_bytes())?;
            black_box((raw.uuid, raw.ts, raw.service, raw.check, raw.state, raw.response_millis));
        }
        Ok::<(), sonic_rs::Error>(())
    })?;

    let partition = PartitionId { topic: "checks".into(), partition: 0 };
    let mut decoder = Decoder::new(Arc::new(source()), partition);
    let mut dead_letters = 0;
    measure("plimsoll, event batches", bytes, |round| {
        let first = (round * RECORDS) as i64;
        for (offset, record) in (first..).zip(&records) {
            decoder.decode(Record { offset, payload: Some(record.as_bytes()), record_time: None });
        }
        let delivery = decoder.take(first, first + RECORDS as i64, None)?;
        dead_letters += delivery.dead_letters.len();
        black_box(delivery);
        Ok::<(), plimsoll_ingest::IngestError>(())
    })?;
    println!("{dead_letters} dead letters");

    for (offset, record) in (0..).zip(&records) {
        decoder.decode(Record { offset, payload: Some(record.as_bytes()), record_time: None });
    }
    let delivery = decoder.take(0, RECORDS as i64, None)?;
    let message = Message::Delivery { delivery, is_beginning: true };
    let encoded = message.clone().encode()?;
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    println!("{} messages of the exchange, {} bytes a record", encoded.len(), bytes / RECORDS);
    measure("exchange, written", bytes, |_| message.clone().encode().map(|encoded| _ = black_box(encoded)))?;
    measure("exchange, read", bytes, |_| {
        encoded.iter().try_for_each(|bytes| Message::decode(bytes).map(|message| _ = black_box(message)))
    })?;
    Ok(())
}
