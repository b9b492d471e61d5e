//! The change gate (R30) as it is asked on the command line and over HTTP: which plans make sense, and what the answer
//! looks like.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use plimsoll_engine::gate::{Impact, PlannedChange};
use plimsoll_engine::portfolio::ObjectivePlan;
use plimsoll_engine::verdict::Value;
use plimsoll_query::{Format, encode_batch};
use plimsoll_schemas::definition::parse_duration;
use plimsoll_schemas::{Instant, Micros};

/// What a change does to a promise in one window.
type Row<'a> = (&'a ObjectivePlan, Impact);

/// An expected downtime such as `20m`.
///
/// # Errors
/// What was expected.
pub fn downtime(text: &str) -> Result<Micros, String> {
    let time = parse_duration(text).filter(|time| *time > Micros::ZERO);
    time.ok_or_else(|| "expected a duration such as 90s, 20m or 1h 30m".to_owned())
}

/// Refuses a plan of which nothing could be said.
///
/// # Errors
/// What is wrong with it.
pub fn check(change: &PlannedChange, now: Instant) -> Result<(), String> {
    let (from, until) = (change.window.start, change.window.end);
    if from >= until {
        return Err(format!("the end, {until}, is not after the start, {from}"));
    }
    if from < now {
        return Err(format!("the start, {from}, has passed at {now}; give a change that is still to come"));
    }
    match change.downtime {
        Some(downtime) if downtime > until - from => {
            Err(format!("a downtime of {downtime} is longer than the planned time, {}", until - from))
        }
        _ => Ok(()),
    }
}

/// Whether every promise stays kept, or was missed anyhow.
pub fn is_go(impacts: &[Row<'_>]) -> bool {
    impacts.iter().all(|(_, impact)| impact.go)
}

/// A verdict as programs read it.
pub fn word(go: bool) -> &'static str {
    if go { "go" } else { "no_go" }
}

/// Writes a row for each promise and window: for people under the verdict, for programs with units in the names.
///
/// # Errors
/// When the columns do not fit together, which is a defect.
pub fn write(impacts: &[Row<'_>], format: Format) -> Result<Vec<u8>> {
    Ok(match format {
        Format::Table if impacts.is_empty() => b"go: no promise is touched\n".to_vec(),
        Format::Table => {
            let verdict = if is_go(impacts) { "go" } else { "no-go" };
            [format!("{verdict}\n").as_bytes(), &encode_batch(&for_people(impacts)?, format)?].concat()
        }
        _ => encode_batch(&columns(impacts)?, format)?.to_vec(),
    })
}

/// What people read: values in words.
fn for_people(impacts: &[Row<'_>]) -> Result<RecordBatch> {
    let shown = |value: Option<Value>| value.map(|value| value.to_string());
    Ok(RecordBatch::try_from_iter([
        ("verdict", text(impacts, |(_, impact)| word(impact.go).to_owned())),
        ("agreement", text(impacts, |(plan, _)| plan.key.agreement.to_string())),
        ("service", text(impacts, |(plan, _)| plan.key.service.to_string())),
        ("objective", text(impacts, |(plan, _)| plan.key.objective.to_string())),
        ("window_start", time(impacts, |(_, impact)| impact.window.start)),
        ("target", text(impacts, |(plan, _)| plan.objective.target.to_string())),
        ("left_before", maybe_text(impacts, |(_, impact)| shown(impact.left.map(|(before, _)| before)))),
        ("taken", maybe_text(impacts, |(_, impact)| shown(impact.taken()))),
        ("left_after", maybe_text(impacts, |(_, impact)| shown(impact.left.map(|(_, after)| after)))),
        ("excluded", text(impacts, |(_, impact)| impact.excluded.to_string())),
    ])?)
}

/// What programs read: units in the names.
fn columns(impacts: &[Row<'_>]) -> Result<RecordBatch> {
    let before = |impact: &Impact| impact.left.map(|(before, _)| before);
    let after = |impact: &Impact| impact.left.map(|(_, after)| after);
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("verdict", text(impacts, |(_, impact)| word(impact.go).to_owned()), false),
        ("agreement", text(impacts, |(plan, _)| plan.key.agreement.to_string()), false),
        ("agreement_version", integers(impacts, |(plan, _)| Some(plan.key.version.into())), false),
        ("service", text(impacts, |(plan, _)| plan.key.service.to_string()), false),
        ("objective", text(impacts, |(plan, _)| plan.key.objective.to_string()), false),
        ("window_start", time(impacts, |(_, impact)| impact.window.start), false),
        ("window_end", time(impacts, |(_, impact)| impact.window.end), false),
        ("target", text(impacts, |(plan, _)| plan.objective.target.to_string()), false),
        ("left_before_us", integers(impacts, |(_, impact)| micros(before(impact))), true),
        ("taken_us", integers(impacts, |(_, impact)| micros(impact.taken())), true),
        ("left_after_us", integers(impacts, |(_, impact)| micros(after(impact))), true),
        ("left_before_count", integers(impacts, |(_, impact)| count(before(impact))), true),
        ("taken_count", integers(impacts, |(_, impact)| count(impact.taken())), true),
        ("left_after_count", integers(impacts, |(_, impact)| count(after(impact))), true),
        ("excluded_us", integers(impacts, |(_, impact)| Some(impact.excluded.0)), false),
    ])?)
}

fn micros(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Time(time) => Some(time.0),
        _ => None,
    }
}

fn count(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Count(count) => Some(count),
        _ => None,
    }
}

fn text(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(impacts.iter().map(of)))
}

fn maybe_text(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(impacts.iter().map(of)))
}

fn integers(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> Option<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(impacts.iter().map(of)))
}

fn time(impacts: &[Row<'_>], of: impl Fn(&Row<'_>) -> Instant) -> ArrayRef {
    let times = impacts.iter().map(|row| of(row).0);
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}
