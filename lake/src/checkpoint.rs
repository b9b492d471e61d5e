//! Checkpoints of a table's log: which there are, what they say, and whether that is what was written.
//!
//! delta-rs writes them; a program that reads the table begins with the one that `_last_checkpoint` announces. A power
//! failure may leave any part of one unwritten, or none of it, and upkeep removes entries of the log because a checkpoint
//! stands for them. So the announcement is given a digest of the state that the checkpoint is to say, among the tags that
//! other readers pass over: one that says something else is not believed.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_json::LineDelimitedWriter;
use bytes::Bytes;
use object_store::path::Path as StorePath;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_schemas::table::Table;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::LakeError;
use crate::log::ACTIONS;
use crate::store::Store;

/// The tag that holds the digest, and how it is made.
const DIGEST: &str = "plimsoll.state.1";

/// The checkpoint that `_last_checkpoint` announces; there may be a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) version: i64,
    /// A digest of what it says; another program tells none.
    pub(crate) digest: Option<String>,
}

/// The content of `_last_checkpoint`, as far as it matters here.
#[derive(Deserialize)]
struct LastCheckpoint {
    version: i64,
    tags: Option<HashMap<String, String>>,
}

/// Where a table's newest checkpoint is announced.
pub(crate) fn announcement(table: Table) -> StorePath {
    StorePath::from(format!("{}/_delta_log/_last_checkpoint", table.name()))
}

/// The name of a checkpoint in one part.
pub(crate) fn file_name(version: i64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

/// The checkpoint that is announced; `None` when there is none, or its announcement is not understood.
pub(crate) async fn announced(store: &Store, table: Table) -> Result<Option<Announced>, LakeError> {
    let bytes = store.get(&announcement(table)).await?;
    let last = bytes.and_then(|bytes| serde_json::from_slice::<LastCheckpoint>(&bytes).ok());
    Ok(last.map(|LastCheckpoint { version, tags }| {
        let digest = tags.and_then(|mut tags| tags.remove(DIGEST));
        Announced { version, digest }
    }))
}

/// Adds the digest of what a checkpoint says to its announcement, and waits until both have reached the disk.
pub(crate) async fn announce(store: &Store, table: Table, version: i64, digest: &str) -> Result<(), LakeError> {
    let path = announcement(table);
    store.sync(&StorePath::from(format!("{}/_delta_log/{}", table.name(), file_name(version)))).await?;
    let bytes = store.get(&path).await?.unwrap_or_default();
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut last) if last["version"] == version => {
            last["tags"] = json!({DIGEST: digest});
            store.put(&path, last.to_string().into()).await
        }
        // Somebody else announced another one meanwhile.
        _ => Ok(()),
    }
}

/// The newest checkpoint all of whose parts are there: `V.checkpoint.parquet` or `V.checkpoint.PART.PARTS.parquet`.
pub(crate) fn newest<'a>(names: &[&'a str]) -> Option<(i64, Vec<&'a str>)> {
    let mut checkpoints: BTreeMap<(i64, usize), Vec<&'a str>> = BTreeMap::new();
    for name in names {
        let pieces: Vec<&str> = name.split('.').collect();
        let (version, parts) = match pieces[..] {
            [version, "checkpoint", "parquet"] => (version.parse(), Ok(1)),
            [version, "checkpoint", _, parts, "parquet"] => (version.parse(), parts.parse()),
            _ => continue,
        };
        if let (Ok(version), Ok(parts)) = (version, parts) {
            checkpoints.entry((version, parts)).or_default().push(name);
        }
    }
    let complete = checkpoints.into_iter().rev().find(|((_, parts), names)| names.len() == *parts);
    complete.map(|((version, _), names)| (version, names))
}

/// What a part of a checkpoint says, as the lines of an entry.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn lines(bytes: Bytes) -> Result<Vec<u8>, String> {
    // The reader of Parquet may panic over what is damaged.
    let read = catch_unwind(AssertUnwindSafe(|| read_lines(bytes).map_err(|error| error.to_string())));
    read.unwrap_or_else(|_| Err("its data is damaged".to_owned()))
}

fn read_lines(bytes: Bytes) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let wanted = ProjectionMask::columns(reader.parquet_schema(), ACTIONS);
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for batch in reader.with_projection(wanted).build()? {
        lines.write(&batch?)?;
    }
    lines.finish()?;
    Ok(lines.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_checkpoint_counts() {
        let names = [
            "00000000000000000100.checkpoint.parquet",
            "00000000000000000100.json",
            "00000000000000000200.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000200.checkpoint.0000000002.0000000002.parquet",
            "00000000000000000300.checkpoint.0000000001.0000000002.parquet",
            "_last_checkpoint",
        ];
        assert_eq!(newest(&names), Some((200, vec![names[2], names[3]])));
        assert_eq!(newest(&names[1..2]), None);
        assert_eq!(file_name(100), names[0]);
    }
}
