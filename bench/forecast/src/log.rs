//! The sites of a real log, with states as `tests/real/uptime` defines them: a result holds for 26 hours.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use plimsoll_engine::state::State;
use plimsoll_engine::state::service::Segment;
use plimsoll_schemas::{Instant, Micros};

use crate::replay::Service;

/// How long a result holds.
const STALE_AFTER: Micros = Micros(26 * Micros::HOUR.0);

/// Every site from its first observation until the log's last.
///
/// # Errors
/// When the log cannot be read.
pub fn sites(path: &Path) -> Result<Vec<Service>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut seen: BTreeMap<String, BTreeMap<Instant, State>> = BTreeMap::new();
    let mut end = Instant(i64::MIN);
    for record in csv::Reader::from_reader(MultiGzDecoder::new(file)).records() {
        let record = record.with_context(|| format!("cannot read {}", path.display()))?;
        let (Some(epoch), Some(slug), Some(status)) = (record.get(0), record.get(2), record.get(4)) else { continue };
        let at = Instant(epoch.parse::<i64>().with_context(|| format!("found epoch {epoch}"))? * Micros::SECOND.0);
        let state = if status == "down" { State::Down } else { State::Up };
        // Of several results of one instant the worst counts.
        let known = seen.entry(slug.to_owned()).or_default().entry(at).or_insert(state);
        *known = state.min(*known);
        end = end.max(at);
    }
    Ok(seen.into_values().map(|seen| Service { states: states(&seen, end), end }).collect())
}

fn states(seen: &BTreeMap<Instant, State>, end: Instant) -> Vec<Segment> {
    let next = seen.keys().skip(1).copied().chain([end]);
    let mut states = Vec::new();
    for ((&start, &state), next) in seen.iter().zip(next) {
        let stale = (start + STALE_AFTER).min(next);
        for (start, end, state) in [(start, stale, state), (stale, next, State::Unknown)] {
            if start < end {
                states.push(Segment { start, end, state, causes: Vec::new() });
            }
        }
    }
    states
}
