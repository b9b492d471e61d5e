//! Kafka and files in, columns out.
//!
//! What comes in: records, which are bytes with an offset, from the partitions of Kafka topics or from files; and the
//! `Source` definitions that say how a record's fields map to the columns of an event. What goes out: `Delivery`, a
//! run of consecutive records of one partition, each of them a row of an `EventBatch` or a dead letter. Nothing here
//! knows agreements, lanes or tables, and nothing here decides when a record is durable: whoever takes a delivery
//! commits its offsets together with the results.
//!
//! Modules in reading order: `decode` turns the bytes of records into columns; `file` reads files through it; `kafka`
//! consumes topics through it; `exchange` passes deliveries on to other processes; `retry` maps dead letters once more;
//! `error` is what can stop any of them. A record that cannot be used never does.

pub mod decode;
pub mod exchange;
pub mod file;
pub mod kafka;
mod retry;

pub mod error;

pub use decode::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Decoder, RECORD_BYTES_MAX, Record};
pub use error::{ErrorKind, IngestError};
pub use retry::retry;
