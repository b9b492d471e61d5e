//! The exchange: deliveries on their way from ingest workers to the aggregators of other processes, through Kafka.
//!
//! ```text
//!  topics ──▶ ingest 1 ──┐                                        ┌──▶ shard 0 of 2 ──▶ tables
//!  topics ──▶ ingest 2 ──┴─▶ GROUP.exchange, one partition ───────┴──▶ shard 1 of 2 ──▶ tables
//!             decode,          deliveries in one order              each reads all of it, and
//!             Message::encode  for everybody                        keeps what is its own
//! ```
//! **One log.** The topic has one partition, so every reader sees all deliveries in the same order: copies are told apart
//! alike, and the watermark is everybody's. An ingest worker says which partitions there are before it says anything of
//! them, so that each holds the watermark until it is heard from (R23).
//!
//! **Nothing is lost or counted twice**, whoever dies. A reader takes of each source partition what follows on what it has
//! (`Sequence`): what it has read before, sent again by another worker or after a restart, is cut off. What leaves a hole is
//! not taken; then the beginning was wrong, and the log is read from its own beginning. An ingest worker begins each
//! partition where the shard that is least far goes on from, so whatever the exchange lacks is sent again at its next start:
//! the topic may be deleted at any time.
//!
//! Offsets of the exchange are stored nowhere. Where a reader begins is a hint that it commits to Kafka, and that a hole
//! gives the lie to.
//!
//! Modules in reading order: `message` is what is said, as bytes; `topics` makes the topics; `writer` and `reader` are the
//! two ends; `sequence` is what a reader takes.

mod message;
mod reader;
mod sequence;
mod topics;
mod writer;

pub use message::{MESSAGE_BYTES_MAX, Message};
pub use reader::{ExchangeReader, Heard};
pub use topics::{create_topics, exchange_topic, shards_topic};
pub use writer::ExchangeWriter;
