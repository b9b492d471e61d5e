//! What webhooks and topics get: one message for each agreement and cause of which something changed, as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::alert::{cause, evidence, labels, summary};
use crate::book::{Change, Status};

/// A message, and what says whether it is the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same for as long as it tells the same, however often it is sent.
    pub id: String,
    /// The agreement and the cause: messages of one key are in order.
    pub key: String,
    /// The JSON.
    pub body: Vec<u8>,
}

/// The messages that tell these changes; `base` is where evidence is to be seen.
pub fn messages(changes: &[Change], base: Option<&str>) -> Vec<Message> {
    // Whoever reads of what is worse knows that it was not so bad before.
    let changes = changes.iter().filter(|change| change.status != Status::Superseded);
    let mut groups: BTreeMap<(&str, String), Vec<&Change>> = BTreeMap::new();
    for change in changes {
        groups.entry((&change.row.agreement, cause(&change.row))).or_default().push(change);
    }
    groups.into_iter().map(|((agreement, cause), changes)| message(agreement, &cause, &changes, base)).collect()
}

fn message(agreement: &str, cause: &str, changes: &[&Change], base: Option<&str>) -> Message {
    let id = id(agreement, cause, changes);
    let alerts: Vec<Value> = changes.iter().map(|change| alert(change, base)).collect();
    let body = json!({"id": id, "agreement": agreement, "cause": cause, "alerts": alerts});
    Message { id, key: format!("{agreement}/{cause}"), body: body.to_string().into_bytes() }
}

/// A digest of what is told. Neither what was measured since nor when it is sent has a part in it.
fn id(agreement: &str, cause: &str, changes: &[&Change]) -> String {
    let mut digest = Sha256::new();
    digest.update(json!([agreement, cause]).to_string());
    for change in changes {
        let who: Vec<(&str, String)> = labels(&change.row).into_iter().collect();
        let told_until = change.told_until.map(|until| until.0);
        digest
            .update(json!([who, change.row.at.0, change.row.revision, change.status.as_str(), told_until]).to_string());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn alert(change: &Change, base: Option<&str>) -> Value {
    let row = &change.row;
    let mut alert: Map<String, Value> =
        labels(row).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    alert.insert("status".to_owned(), change.status.as_str().into());
    alert.insert("starts_at".to_owned(), row.at.to_string().into());
    alert.insert("ended_at".to_owned(), change.ended_at.map(|at| at.to_string()).into());
    alert.insert("window_end".to_owned(), row.window_end.map(|at| at.to_string()).into());
    alert.insert("summary".to_owned(), summary(row).into());
    alert.insert("detail".to_owned(), row.detail.clone().into());
    alert.insert("evidence".to_owned(), base.and_then(|base| evidence(row, base)).into());
    Value::Object(alert)
}
