//! The end of the exchange that an ingest worker has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::{MESSAGE_BYTES_MAX, Message, exchange_topic};
use crate::error::IngestError;
use crate::kafka::KafkaSettings;

/// How long to wait for room before it is tried again.
const ROOM_WAIT: Duration = Duration::from_millis(20);

/// How many bytes may wait for the broker, in KiB.
const QUEUE_KIB_MAX: usize = 64 * 1024;

/// Appends messages, each once and in order however often it has to be sent.
pub struct ExchangeWriter {
    producer: ThreadedProducer<Answers>,
    topic: String,
    /// When what it sends was read.
    clock: Arc<dyn Fn() -> Instant + Send + Sync>,
}

/// How far a source partition is in the exchange when a message is.
type Position = Option<(PartitionId, i64)>;

/// What the broker said.
#[derive(Default)]
struct Answers(Mutex<Answered>);

#[derive(Default)]
struct Answered {
    stored: HashMap<PartitionId, i64>,
    messages_count: u64,
    bytes: u64,
    failure: Option<String>,
}

impl Answers {
    fn state(&self) -> MutexGuard<'_, Answered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility}: {line}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.state().failure = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<Position>;

    fn delivery(&self, result: &DeliveryResult<'_>, position: Box<Position>) {
        let mut state = self.state();
        match result {
            Ok(message) => {
                state.messages_count += 1;
                state.bytes += message.payload_len() as u64;
                state.stored.extend(*position);
            }
            Err((error, _)) => state.failure = Some(error.to_string()),
        }
    }
}

impl ExchangeWriter {
    /// To the exchange of the settings' group.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &KafkaSettings) -> Result<ExchangeWriter, IngestError> {
        let mut config = settings.shared_config()?;
        config
            .set("enable.idempotence", "true")
            // While no broker answers, it waits as reading does.
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", (2 * MESSAGE_BYTES_MAX).to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string())
            .set("compression.type", "lz4")
            .set("linger.ms", "5");
        let producer = config
            .create_with_context(Answers::default())
            .map_err(|error: KafkaError| IngestError::KafkaSetting(error.to_string()))?;
        Ok(ExchangeWriter { producer, topic: exchange_topic(&settings.group), clock: settings.clock.clone() })
    }

    /// Appends a message, in the background; waits while too many do, until it is told to stop. A delivery says that it was
    /// read now, to all shards the same.
    ///
    /// # Errors
    /// When it cannot be encoded, or the broker refused this or an earlier one for good.
    pub fn send(&self, mut message: Message, is_stopped: impl Fn() -> bool) -> Result<(), IngestError> {
        let position = match &mut message {
            Message::Delivery { delivery, .. } => {
                delivery.read_at = Some((self.clock)());
                Some((delivery.partition.clone(), delivery.until_offset))
            }
            Message::Partitions(_) => None,
        };
        let encoded = message.encode()?;
        let last = encoded.len() - 1;
        for (number, bytes) in encoded.iter().enumerate() {
            let position = position.clone().filter(|_| number == last);
            let mut record: BaseRecord<'_, (), Vec<u8>, _> =
                BaseRecord::with_opaque_to(&self.topic, Box::new(position)).partition(0).payload(bytes);
            loop {
                self.check()?;
                match self.producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) if is_stopped() => {
                        return Ok(());
                    }
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) => {
                        record = same;
                        std::thread::sleep(ROOM_WAIT);
                    }
                    Err((error, _)) => return Err(self.refused(&error.to_string())),
                }
            }
        }
        Ok(())
    }

    /// How far each source partition is in the exchange, as far as that changed since the last call.
    ///
    /// # Errors
    /// When the broker refused a message for good.
    pub fn stored(&self) -> Result<HashMap<PartitionId, i64>, IngestError> {
        self.check()?;
        Ok(std::mem::take(&mut self.producer.context().state().stored))
    }

    /// How many messages are in the exchange, and how many bytes they have.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.producer.context().state();
        (state.messages_count, state.bytes)
    }

    /// How many messages wait for the broker.
    pub fn waiting(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Waits until all are in the exchange, or for so long. Returns whether they are.
    pub fn flush(&self, wait: Duration) -> bool {
        let flushed = self.producer.flush(wait);
        if let Err(error) = &flushed {
            tracing::warn!(%error, "not all that was read is in the exchange; it is sent again at the next start");
        }
        flushed.is_ok()
    }

    fn check(&self) -> Result<(), IngestError> {
        match self.producer.context().state().failure.take() {
            Some(why) => Err(self.refused(&why)),
            None => Ok(()),
        }
    }

    fn refused(&self, why: &str) -> IngestError {
        IngestError::Exchange(format!(
            "topic {} does not take what was read: {why}; check the topic and this user's rights, and start again",
            self.topic
        ))
    }
}
