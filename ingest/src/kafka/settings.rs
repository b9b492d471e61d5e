//! What librdkafka is told: our own choices, the user's pass-through properties, and what both may not be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use plimsoll_schemas::Instant;
use rdkafka::ClientConfig;

use crate::error::IngestError;

/// How many payload bytes may wait between the poll thread and the receiver, unless settings say otherwise: half a
/// minute of 10,000 small records a second, and no more than a fraction of what the lanes themselves need.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// How often an idle partition at its end proves again that it is complete, unless settings say otherwise: the
/// watermark, and so a breach without an event, is about this late.
pub const CAUGHT_UP_INTERVAL: Duration = Duration::from_millis(250);

/// How a consumer is set up.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port` of one or more brokers, with commas between them.
    pub bootstrap: String,
    /// The consumer group; members of one group share the partitions.
    pub group: String,
    /// Passed to librdkafka as they are: `security.protocol`, `sasl.*`, `ssl.*`, `client.id` and the like.
    pub properties: BTreeMap<String, String>,
    /// How many payload bytes may wait between the poll thread and the receiver.
    pub queue_bytes_max: usize,
    /// How often an idle partition at its end proves again that it is complete (R23).
    pub caught_up_interval: Duration,
    /// The clock by which proofs are dated: that of whoever folds the events.
    pub clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// Whether no topic is read before the brokers have told its id, or that it has none. Otherwise those are that were
    /// never read before. Who passes records on waits: the next in line knows a topic by nothing else.
    pub identifies: bool,
}

/// Properties that the guarantees of this consumer rest on, and why a user may not set them.
const OWN_PROPERTIES: [(&str, &str); 6] = [
    ("bootstrap.servers", "it is the bootstrap setting"),
    ("group.id", "it is the group setting"),
    ("enable.auto.commit", "the tables say how far they are, and committed offsets only follow them"),
    ("enable.auto.offset.store", "the tables say how far they are, and committed offsets only follow them"),
    ("enable.partition.eof", "the watermark needs to know when a partition is read to its end"),
    ("auto.offset.reset", "an offset that kafka no longer has must stop the source, not skip records silently"),
];

/// Our choices where librdkafka's defaults do not fit; a user's property replaces them.
const DEFAULTS: [(&str, &str); 5] = [
    // A full local queue is looked at again after this; the default of a second would leave the thread idle.
    ("fetch.queue.backoff.ms", "5"),
    // An empty fetch, which is the proof of being caught up, is answered after this instead of half a second.
    ("fetch.wait.max.ms", "100"),
    // The local queue is bounded by its bytes alone, which are the next line.
    ("queued.min.messages", "1000000"),
    ("queued.max.messages.kbytes", "65536"),
    // A topic that is created later is found after this instead of five minutes.
    ("topic.metadata.refresh.interval.ms", "10000"),
];

impl KafkaSettings {
    /// Settings with the default limits, the system's clock and no further property.
    pub fn new(bootstrap: impl Into<String>, group: impl Into<String>) -> KafkaSettings {
        KafkaSettings {
            bootstrap: bootstrap.into(),
            group: group.into(),
            properties: BTreeMap::new(),
            queue_bytes_max: QUEUE_BYTES_MAX,
            identifies: false,
            caught_up_interval: CAUGHT_UP_INTERVAL,
            clock: Arc::new(|| Instant::from(Utc::now())),
        }
    }

    /// What librdkafka is told.
    ///
    /// # Errors
    /// When a property is one of our own, or asks for what this build has not.
    pub(super) fn client_config(&self) -> Result<ClientConfig, IngestError> {
        let mut config = self.shared_config()?;
        for (property, value) in DEFAULTS {
            if !self.properties.contains_key(property) {
                config.set(property, value);
            }
        }
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error");
        Ok(config)
    }

    /// What every client of the process is told: where the brokers are, and the user's properties.
    ///
    /// # Errors
    /// As `client_config`.
    pub fn shared_config(&self) -> Result<ClientConfig, IngestError> {
        for (property, why) in OWN_PROPERTIES {
            if self.properties.contains_key(property) {
                return Err(IngestError::KafkaSetting(format!("{property} cannot be set: {why}; remove it")));
            }
        }
        self.check_security()?;
        let mut config = ClientConfig::new();
        config.set("client.id", "plimsoll");
        for (property, value) in &self.properties {
            config.set(property, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        Ok(config)
    }

    /// Refuses what needs a library that this build leaves out. librdkafka always has SASL PLAIN; SCRAM and OAUTHBEARER
    /// come with OpenSSL, and GSSAPI (its default mechanism) with Cyrus SASL, which no build of ours contains.
    fn check_security(&self) -> Result<(), IngestError> {
        let property = |names: &[&str]| names.iter().find_map(|name| self.properties.get(*name));
        let with_tls = cfg!(feature = "kafka-tls");
        let protocol = property(&["security.protocol"]).map_or("plaintext", String::as_str);
        if protocol.to_ascii_lowercase().ends_with("ssl") && !with_tls {
            return Err(IngestError::KafkaSetting(format!(
                "security.protocol = {protocol} needs TLS, which this build leaves out; build with --features kafka-tls"
            )));
        }
        if !protocol.to_ascii_lowercase().starts_with("sasl") {
            return Ok(());
        }
        let mechanism = property(&["sasl.mechanism", "sasl.mechanisms"]).map_or("GSSAPI", String::as_str);
        let have = if with_tls { "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER" } else { "PLAIN" };
        match mechanism {
            "PLAIN" => Ok(()),
            "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER" if with_tls => Ok(()),
            "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER" => Err(IngestError::KafkaSetting(format!(
                "sasl.mechanism = {mechanism} needs OpenSSL, which this build leaves out (it has {have}); build with \
                 --features kafka-tls"
            ))),
            _ => Err(IngestError::KafkaSetting(format!(
                "sasl.mechanism = {mechanism} is not in this build; set one of {have}"
            ))),
        }
    }
}
