//! Telling people of warnings and breaches, and of their end.
//!
//! ```text
//!   rows of breaches and clocks ──▶ Book: what stands ──changes──▶ Receiver: Alertmanager, webhook, Kafka topic
//!                                    ▲                                │
//!                                    └──────────── told ◀─────────────┘ accepted
//! ```
//! Each receiver has a book of its own: what stands by the tables, and what the receiver accepted. What differs is sent
//! until it is accepted, and only then taken to be told; a book is saved with the place up to which tables were read. So
//! everything is told at least once: after a crash between the two it is sent again, under the same id. A receiver that is
//! away keeps nobody waiting and fills no queue; when it is back it is told what differs then.

pub mod alert;
mod alertmanager;
pub mod book;
mod kafka;
mod message;
pub mod receiver;
mod webhook;

pub use alert::{Level, Subject};
pub use book::{Book, Change, Status};
pub use receiver::{NotifyError, Receiver, ReceiverSettings, Teller};
