//! The topics that roles need between them, made by whoever comes first.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use super::MESSAGE_BYTES_MAX;
use crate::error::IngestError;
use crate::kafka::KafkaSettings;

/// How long a broker may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long the exchange keeps what is in it: for aggregators that are away over a weekend, and a holiday.
const RETENTION: Duration = Duration::from_hours(7 * 24);

/// The topic of deliveries.
pub fn exchange_topic(group: &str) -> String {
    format!("{group}.exchange")
}

/// The topic without records whose partitions stand for shards: who is given one keeps that shard.
pub fn shards_topic(group: &str) -> String {
    format!("{group}.shards")
}

/// Makes the exchange, and the topic of so many shards where that is asked for. What is there stays as it is, and must be
/// as it is needed.
///
/// # Errors
/// When no broker answers, a topic may not be made, or one is there with another number of partitions.
pub async fn create_topics(settings: &KafkaSettings, shards: Option<u32>) -> Result<(), IngestError> {
    let client: AdminClient<DefaultClientContext> =
        settings.shared_config()?.create().map_err(|error| IngestError::KafkaSetting(error.to_string()))?;
    let retention = RETENTION.as_millis().to_string();
    // Room for what batches add to a message.
    let bytes = (2 * MESSAGE_BYTES_MAX).to_string();
    let exchange = (exchange_topic(&settings.group), 1);
    let shards = shards.map(|shards| (shards_topic(&settings.group), shards as i32));
    let wanted: Vec<(String, i32)> = [exchange].into_iter().chain(shards).collect();
    let topics = wanted.iter().map(|(name, partitions)| {
        NewTopic::new(name, *partitions, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "delete")
            .set("retention.ms", &retention)
            .set("max.message.bytes", &bytes)
    });
    let topics: Vec<NewTopic<'_>> = topics.collect();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT_MAX)).request_timeout(Some(ANSWER_WAIT_MAX));
    let unanswered = |error: &dyn std::fmt::Display| {
        IngestError::KafkaClient(format!("no broker answers at {}: {error}; check the address", settings.bootstrap))
    };
    for made in client.create_topics(&topics, &options).await.map_err(|error| unanswered(&error))? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            // Perhaps it is there, and needs not be made.
            Err((_, RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)) => {}
            Err((name, code)) => {
                return Err(IngestError::Exchange(format!("topic {name} cannot be made: {code}; make it by hand")));
            }
        }
    }
    for (name, partitions) in wanted {
        // A topic that was just made is not everywhere at once.
        for attempt in 0.. {
            let metadata = client.inner().fetch_metadata(Some(&name), ANSWER_WAIT_MAX);
            let metadata = metadata.map_err(|error| unanswered(&error))?;
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            match found.map_or(0, |topic| topic.partitions().len() as i32) {
                found if found == partitions => break,
                0 if attempt < 50 => std::thread::sleep(Duration::from_millis(100)),
                0 => {
                    return Err(IngestError::Exchange(format!(
                        "topic {name} is not there and may not be made; make it with {partitions} partitions, \
                         cleanup.policy=delete and max.message.bytes={bytes}, or grant this user CREATE"
                    )));
                }
                found => {
                    return Err(IngestError::Exchange(format!(
                        "topic {name} has {found} partitions and must have {partitions}; if that is not the `--shards` of \
                         the first start, give that; if it is, delete the topic while no role runs, and it is made anew"
                    )));
                }
            }
        }
    }
    Ok(())
}
