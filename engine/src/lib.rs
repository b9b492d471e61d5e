//! The mathematics of service levels: events in, facts out, exact to the microsecond.
//!
//! What comes in: a checked set of definitions, deliveries of decoded events, and ticks. What goes out: rows of facts
//! (transitions, outages, clocks, attainment, credits, breaches, corrections). A lane group is a pure function
//! `(state, deliveries, tick) -> (state, facts)`: nothing here reads a file, asks the clock, draws a random number or
//! waits. The same input gives the same rows, in any order of arrival (R21).
//!
//! Modules in reading order: `calendar` and `window` turn civil time into instants; `portfolio` is the definitions
//! made ready to be measured; `state` holds what is known of a service; `ticket` the life of a ticket and its clocks;
//! `histogram` the percentiles of latencies; `verdict` compares; `budget` and `forecast` look ahead; `attribution` says
//! who spent a budget, `credit` what misses give back, `kpi` how well all of it goes, `watermelon` who is not satisfied all
//! the same; `ledger` and `timeline` remember what was said; `stage` folds events; `gate` asks what a planned change would
//! cost; `evidence` what a result stands on; `lane` puts it together; `shards` cuts what is measured into parts that are
//! folded alone.

use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3;

pub mod attribution;
pub mod backtest;
pub mod budget;
pub mod calendar;
pub mod credit;
pub mod dedup;
pub mod evidence;
pub mod forecast;
pub mod gate;
pub mod histogram;
pub mod kpi;
pub mod lane;
pub mod ledger;
pub mod memory;
pub mod past;
pub mod portfolio;
pub mod shards;
pub mod stage;
pub mod state;
pub mod ticket;
pub mod timeline;
pub mod verdict;
pub mod watermark;
pub mod watermelon;
pub mod window;

/// A name that many rows share: a service, a customer, a ticket.
pub type Name = std::sync::Arc<str>;

/// Tells apart what differs; 64 bits are far more than there are things to confuse.
pub(crate) fn digest_of(seen: &impl Hash) -> u64 {
    let mut hasher = Xxh3::new();
    seen.hash(&mut hasher);
    hasher.finish()
}
