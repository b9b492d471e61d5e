//! Kafka in this process: librdkafka's mock cluster, filled with the generated records.
//!
//! The mock keeps at most 5 MB of each partition and silently drops what is older. So the records of one key go to one
//! partition, as a producer's would, but which one is chosen so that no partition gets more than it can keep.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::generator::Generator;
use super::mock::MockCluster;

/// How much a partition gets: three quarters of what the mock keeps, which leaves room for Kafka's own framing.
const PARTITION_BYTES_MAX: usize = 5 * 1024 * 1024 * 3 / 4;
/// How many records a partition gets at most; the mock keeps 100,000.
const PARTITION_RECORDS_MAX: usize = 75_000;
/// How many partitions a topic has at most.
const PARTITIONS_MAX: usize = 128;

/// A broker with all records in it.
pub struct DemoBroker {
    cluster: MockCluster,
    /// How many records it holds.
    pub records: usize,
}

/// A key's place: its partition.
type Places = HashMap<(&'static str, Vec<u8>), i32>;

impl DemoBroker {
    /// Starts the cluster and produces everything that the generator has, telling `progress` how many records are in;
    /// `None` when that says not to go on.
    ///
    /// # Errors
    /// When the cluster cannot be started or takes no records.
    pub fn start(generator: &Generator, mut progress: impl FnMut(usize) -> bool) -> Result<Option<DemoBroker>> {
        let cluster = MockCluster::start().context("cannot start the broker in this process")?;
        let (topics, places) = lay_out(generator)?;
        for (topic, partitions) in topics {
            cluster.create_topic(topic, partitions).with_context(|| format!("cannot create the topic {topic}"))?;
        }
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap())
            .set("queue.buffering.max.messages", "500000")
            .set("linger.ms", "5")
            .create()
            .context("cannot start a producer")?;
        let mut records = 0;
        for record in generator.records() {
            let place = places.get(&(record.topic, record.key.clone())).copied().unwrap_or(0);
            let mut message = BaseRecord::to(record.topic)
                .partition(place)
                .key(&record.key)
                .payload(&record.payload)
                .timestamp(record.arrival.0 / 1_000);
            while let Err((error, refused)) = producer.send(message) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error).context("cannot produce to the broker in this process");
                }
                producer.poll(Duration::from_millis(10));
                message = refused;
            }
            records += 1;
            if records % 20_000 == 0 {
                producer.poll(Duration::ZERO);
                if !progress(records) {
                    return Ok(None);
                }
            }
        }
        producer.flush(Duration::from_secs(60)).context("the broker in this process did not take all records")?;
        Ok(Some(DemoBroker { cluster, records }))
    }

    /// Where it listens.
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }
}

/// How many partitions each topic needs, and where each key goes: the heaviest keys first, each to the partition that
/// is lightest so far.
fn lay_out(generator: &Generator) -> Result<(BTreeMap<&'static str, i32>, Places)> {
    let mut weights: BTreeMap<&'static str, BTreeMap<Vec<u8>, (usize, usize)>> = BTreeMap::new();
    for record in generator.records() {
        let weight = weights.entry(record.topic).or_default().entry(record.key).or_default();
        weight.0 += record.payload.len() + KEY_AND_FRAME_BYTES;
        weight.1 += 1;
    }
    let (mut topics, mut places) = (BTreeMap::new(), Places::new());
    for (topic, keys) in weights {
        let mut heaviest: Vec<_> = keys.into_iter().collect();
        heaviest.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let Some((count, placed)) = (1..=PARTITIONS_MAX).find_map(|count| Some((count, fit(&heaviest, count)?))) else {
            bail!(
                "the records of topic {topic} do not fit into {PARTITIONS_MAX} partitions of the broker in this process"
            );
        };
        topics.insert(topic, count as i32);
        places.extend(heaviest.into_iter().zip(placed).map(|((key, _), place)| ((topic, key), place as i32)));
    }
    Ok((topics, places))
}

/// What a record takes besides its payload.
const KEY_AND_FRAME_BYTES: usize = 64;

/// The partition of each key when there are `count` of them; `None` when one gets too much.
fn fit(keys: &[(Vec<u8>, (usize, usize))], count: usize) -> Option<Vec<usize>> {
    let mut loads = vec![(0, 0); count];
    let mut placed = Vec::with_capacity(keys.len());
    for (_, (bytes, records)) in keys {
        let lightest = (0..count).min_by_key(|partition| loads[*partition])?;
        loads[lightest].0 += bytes;
        loads[lightest].1 += records;
        if loads[lightest].0 > PARTITION_BYTES_MAX || loads[lightest].1 > PARTITION_RECORDS_MAX {
            return None;
        }
        placed.push(lightest);
    }
    Some(placed)
}
