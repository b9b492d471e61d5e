//! The raw limit: librdkafka's batch interface and a decode of six fields into borrowed strings, on as many threads as
//! there are processors, and nothing else. What Plimsoll adds to this is its cost.
#![allow(unsafe_code, reason = "librdkafka's batch interface, the fastest there is, has no safe binding")]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_message_destroy, rd_kafka_message_t, rd_kafka_queue_destroy,
    rd_kafka_queue_get_consumer, rd_kafka_resp_err_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;

use crate::measure::Measurement;
use crate::workload::Workload;

const BATCH_MESSAGES_MAX: usize = 8_192;

/// How long a thread waits for the next message before the run counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The six fields that Plimsoll's source maps.
#[derive(Deserialize)]
struct Probe<'record> {
    ts: &'record str,
    svc: &'record str,
    probe: &'record str,
    state: &'record str,
    rtt_ms: f64,
    uid: &'record str,
}

/// Reads and decodes the whole topic.
///
/// # Errors
/// When the broker falls silent or an event cannot be decoded.
pub fn measure(bootstrap: &str, topic: &str, workload: &Workload, threads_count: usize) -> Result<Measurement> {
    let ends = workload.ends(bootstrap, topic)?;
    Measurement::of(format!("raw limit, {threads_count} threads"), || {
        thread::scope(|scope| {
            let shares = (0..threads_count).map(|thread| {
                let share: Vec<_> = (0..).zip(ends.iter().copied()).skip(thread).step_by(threads_count).collect();
                scope.spawn(move || read(bootstrap, topic, &share))
            });
            let threads: Vec<_> = shares.collect();
            let counts = threads.into_iter().map(|thread| thread.join().ok().context("a reading thread panicked")?);
            counts.sum::<Result<u64>>()
        })
    })
}

/// Reads partitions, given with their ends, on this thread; returns how many events there were.
fn read(bootstrap: &str, topic: &str, share: &[(i32, i64)]) -> Result<u64> {
    let wanted_count = share.iter().map(|(_, end)| *end as u64).sum();
    if wanted_count == 0 {
        return Ok(0);
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "raw-limit")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "1000000")
        .create()?;
    let mut list = TopicPartitionList::new();
    for (partition, _) in share {
        list.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut count, mut sum, mut heard_at) = (0, 0.0, Instant::now());
    // SAFETY: the client outlives the queue, which is destroyed below.
    let queue = unsafe { rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    let mut messages: Vec<*mut rd_kafka_message_t> = vec![std::ptr::null_mut(); BATCH_MESSAGES_MAX];
    let mut outcome = Ok(());
    while count < wanted_count && outcome.is_ok() {
        // SAFETY: the queue is valid and the array has room for as many messages as are asked for.
        let found = unsafe { rd_kafka_consume_batch_queue(queue, 50, messages.as_mut_ptr(), messages.len()) };
        for message in &messages[..usize::try_from(found)?] {
            // SAFETY: the call filled this place with a message that is ours until it is destroyed here; payload and
            // length of a message without an error belong together.
            unsafe {
                let fields = &**message;
                if fields.err == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !fields.payload.is_null() {
                    match sonic_rs::from_slice(std::slice::from_raw_parts(fields.payload.cast(), fields.len)) {
                        Ok(probe) => sum += use_all(&probe),
                        Err(error) => outcome = Err(error),
                    }
                    count += 1;
                }
                rd_kafka_message_destroy(*message);
            }
        }
        if found > 0 {
            heard_at = Instant::now();
        }
        ensure!(heard_at.elapsed() < SILENCE_MAX, "the broker fell silent after {count} of {wanted_count} events");
    }
    // SAFETY: the queue came from `rd_kafka_queue_get_consumer` and is not used any more.
    unsafe { rd_kafka_queue_destroy(queue) };
    std::hint::black_box(sum);
    outcome.context("an event cannot be decoded")?;
    Ok(count)
}

/// Touches every field, so that none can be left out.
fn use_all(probe: &Probe<'_>) -> f64 {
    let length = probe.ts.len() + probe.svc.len() + probe.probe.len() + probe.state.len() + probe.uid.len();
    probe.rtt_ms + length as f64
}
