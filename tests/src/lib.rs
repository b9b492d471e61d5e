//! What integration tests and benchmarks share: the real servers they need.
//!
//! What comes in: nothing but the programs that `tests/fetch-*.sh` brought. What goes out: servers that run on free
//! loopback ports in folders of their own and are gone with the value that stands for them.

pub mod alertmanager;
pub mod broker;
pub mod object_store;
