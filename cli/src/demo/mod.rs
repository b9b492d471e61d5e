//! The generated month: `generator` makes it up, `broker` is the Kafka in this process (over `mock`), `summary` is what
//! a service level manager wants to see at its end.

pub mod broker;
pub mod generator;
mod mock;
pub mod summary;
