//! The worker: deliveries through the engine into the lake, and the live numbers.
//!
//! What comes in: `Input`s from any source, on a bounded channel. What goes out: committed epochs, and `Live`, the
//! newest result of every objective for `/metrics`. A delivery's events are durable when the epoch that took them is
//! committed; `Progress` then says so.
//!
//! ```text
//! Input --> Collector --(epoch: deliveries + tick)--> LaneGroup --(facts)--> writer thread --> lake
//!           cuts live epochs by size and time,                               encodes, commits,
//!           recorded ones exactly as recorded                                reports progress
//! ```
//! Modules in reading order: `input`, `collector`, `definitions`, `shards`, `worker`, `writer`, `patience`, `questions`,
//! `live`, `levels`, `shown`, `metrics`; `replay` makes recorded epochs again for an audit, `rebuild` for tables that are
//! made anew.

pub mod collector;
pub mod definitions;
pub mod error;
pub mod input;
pub mod levels;
pub mod live;
pub mod metrics;
mod patience;
pub mod questions;
pub mod rebuild;
pub mod replay;
pub mod shards;
pub mod shown;
pub mod worker;
mod writer;

pub use error::AggregateError;
pub use input::Input;
pub use live::Live;
pub use patience::Patience;
pub use shown::Shown;
pub use worker::{Progress, Worker, WorkerSettings};
pub use writer::{Committer, ORDERS_MAX, Order};
