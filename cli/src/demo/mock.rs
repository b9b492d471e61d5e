//! librdkafka's mock cluster, by its own functions: the crate's wrapper has no way to say how long a new consumer group
//! waits for members, and the default of three seconds is most of what a first look can afford.

#![allow(unsafe_code, reason = "the mock cluster's functions are foreign; each call says why it is sound")]

use std::ffi::{CStr, CString};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::bindings::{
    rd_kafka_mock_cluster_bootstraps, rd_kafka_mock_cluster_destroy, rd_kafka_mock_cluster_new,
    rd_kafka_mock_group_initial_rebalance_delay_ms, rd_kafka_mock_topic_create, rd_kafka_resp_err_t,
};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaMockCluster;

/// How long a new group waits for more members; there is only one here.
const GROUP_DELAY_MS: i32 = 50;

/// A cluster of one broker on a free port of the loopback interface.
pub struct MockCluster {
    cluster: *mut RDKafkaMockCluster,
    /// The client that the cluster lives in; it must outlive the cluster.
    _client: BaseProducer,
}

// SAFETY: librdkafka's mock functions take the cluster's own lock, so the pointer may be used from any one thread.
unsafe impl Send for MockCluster {}

impl MockCluster {
    /// Starts it.
    ///
    /// # Errors
    /// When librdkafka cannot open a socket.
    pub fn start() -> Result<MockCluster> {
        let client: BaseProducer = ClientConfig::new().create().context("cannot make a kafka client")?;
        // SAFETY: the client is alive, and is kept alive by the value that this makes.
        let cluster = unsafe { rd_kafka_mock_cluster_new(client.client().native_ptr(), 1) };
        if cluster.is_null() {
            bail!("librdkafka cannot start its mock cluster");
        }
        // SAFETY: the cluster was just made.
        unsafe { rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, GROUP_DELAY_MS) };
        Ok(MockCluster { cluster, _client: client })
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let text = CString::new(name)?;
        // SAFETY: the cluster is alive, and the name ends with a zero byte.
        let code = unsafe { rd_kafka_mock_topic_create(self.cluster, text.as_ptr(), partitions, 1) };
        if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            bail!("librdkafka refuses topic {name}: {code:?}");
        }
        Ok(())
    }

    /// `host:port` of the broker.
    pub fn bootstrap(&self) -> String {
        // SAFETY: the cluster is alive, and the text is its own and ends with a zero byte.
        unsafe { CStr::from_ptr(rd_kafka_mock_cluster_bootstraps(self.cluster)) }.to_string_lossy().into_owned()
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        // SAFETY: the cluster was made by `start` and is destroyed once, before its client.
        unsafe { rd_kafka_mock_cluster_destroy(self.cluster) };
    }
}
