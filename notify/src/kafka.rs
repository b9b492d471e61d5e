//! A topic of warnings: each message once it is acknowledged by all replicas that are in sync.

use std::sync::Mutex;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::message::Message;
use crate::receiver::NotifyError;

/// How long a broker may take to acknowledge.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A producer to one topic.
pub struct Topic {
    producer: BaseProducer<Answers>,
    name: String,
}

/// Why the last message that was refused was.
#[derive(Default)]
struct Answers(Mutex<Option<String>>);

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility}: {line}");
    }

    fn error(&self, _: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{reason}");
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.put(Some(error.to_string()));
        }
    }
}

impl Answers {
    fn put(&self, refused: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner), refused)
    }
}

impl Topic {
    /// To the topic of this name; `config` says where the brokers are.
    ///
    /// # Errors
    /// When Kafka's client refuses a property.
    pub fn new(name: &str, mut config: ClientConfig) -> Result<Topic, NotifyError> {
        let wait = ANSWER_WAIT_MAX.as_millis().to_string();
        config.set("enable.idempotence", "true").set("message.timeout.ms", wait).set("linger.ms", "0");
        let producer = config.create_with_context(Answers::default());
        let producer = producer.map_err(|error: KafkaError| NotifyError::new(error.to_string()))?;
        Ok(Topic { producer, name: name.to_owned() })
    }

    /// Sends messages, and waits until all are acknowledged. It blocks for as long.
    ///
    /// # Errors
    /// When one of them was not.
    pub fn send(&self, messages: &[Message]) -> Result<(), NotifyError> {
        let refused = |why: &str| NotifyError::new(format!("topic {} takes nothing: {why}", self.name));
        self.producer.context().put(None);
        for message in messages {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "id", value: Some(&message.id) })
                .insert(Header { key: "content-type", value: Some("application/json") });
            let record = BaseRecord::to(&self.name).key(&message.key).payload(&message.body).headers(headers);
            self.producer.send(record).map_err(|(error, _)| refused(&error.to_string()))?;
            self.producer.poll(Duration::ZERO);
        }
        self.producer.flush(ANSWER_WAIT_MAX).map_err(|error| refused(&error.to_string()))?;
        self.producer.context().put(None).map_or(Ok(()), |why| Err(refused(&why)))
    }
}
