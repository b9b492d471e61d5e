//! What a source tells the worker.

use plimsoll_schemas::delivery::{Delivery, PartitionId};

/// One message from a source.
#[derive(Clone, Debug)]
pub enum Input {
    /// Records of one partition, decoded.
    Delivery(Delivery),
    /// Partitions that are read from now on; each holds the watermark until it is heard from (R23).
    Assigned(Vec<PartitionId>),
    /// Another member of the consumer group reads some of the partitions: an epoch is to be recorded even if it has nothing
    /// to say, so that of two workers one finds out that it is not alone.
    Contested,
}
