//! Alertmanager's API, version 2: alerts are told again and again while they stand, and are over when that ends.

use std::time::Duration;

use plimsoll_schemas::table::BreachRow;
use plimsoll_schemas::{Instant, Micros};
use reqwest::Url;
use serde_json::{Value, json};

use crate::alert::{evidence, labels, summary};
use crate::book::Change;
use crate::receiver::{Http, NotifyError};

/// How often what stands is told again.
pub const REPEAT_EVERY: Duration = Duration::from_secs(60);

/// For how long an alert is told to stand: when nobody tells it any more, it is over after that.
const STANDS_FOR: Micros = Micros(5 * Micros::MINUTE.0);

/// Alerts of one request.
const ALERTS_MAX: usize = 500;

/// Tells an Alertmanager what changed, and what stands besides.
pub async fn post(
    http: &Http,
    address: &Url,
    changes: &[Change],
    standing: impl Iterator<Item = &BreachRow>,
    (base, now): (Option<&str>, Instant),
) -> Result<(), NotifyError> {
    let until = |ended: Option<Instant>| ended.map_or(now + STANDS_FOR, |ended| ended.min(now));
    let changed = changes.iter().map(|change| alert(&change.row, until(change.ended_at), base));
    let alerts: Vec<Value> = changed.chain(standing.map(|row| alert(row, until(None), base))).collect();
    for some in alerts.chunks(ALERTS_MAX) {
        http.post(address, "application/json", json!(some).to_string().into_bytes(), &[]).await?;
    }
    Ok(())
}

fn alert(row: &BreachRow, ends_at: Instant, base: Option<&str>) -> Value {
    let link = base.and_then(|base| evidence(row, base));
    let mut annotations = json!({"summary": summary(row), "description": row.detail});
    if let Some(link) = &link {
        annotations["evidence"] = link.clone().into();
    }
    // It may not end before it starts.
    let starts_at = row.at.min(ends_at);
    json!({
        "labels": labels(row),
        "annotations": annotations,
        "startsAt": starts_at.to_string(),
        "endsAt": ends_at.to_string(),
        "generatorURL": link.unwrap_or_default(),
    })
}
