//! The log of dead letters that are to be taken again, between the command that asks for it and the workers that do it.
//!
//! A request names the definitions by which its letters are mapped: those by which the command found that they can be used.
//! So whoever takes it, and takes it again after a crash, comes to the same events. `run` reads the log itself. Where roles
//! stand apart, `ingest` looks for new requests and mentions them in the exchange, as deliveries of the log without
//! records; a shard that meets one reads the request from the log. So all shards take it at one place among the records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result};
use plimsoll_aggregate::{AggregateError, definitions};
use plimsoll_ingest::retry;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_query::QueryError;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::table::DeadLetterRow;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::pipeline::sources;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many dead letters one request holds.
const LETTERS_MAX: usize = 1_000;

/// How many bytes their records have.
const BYTES_MAX: usize = 16 << 20;

/// Dead letters of one partition in the order of their offsets, with their whole records.
pub type Letters = Vec<DeadLetterRow>;

/// What is to be taken again.
#[derive(Serialize, Deserialize)]
pub struct Request {
    /// The digest of the definitions by which they are mapped.
    pub definitions: String,
    /// The dead letters.
    pub letters: Letters,
}

/// Cuts dead letters into those of a request each.
pub fn requests(letters: Vec<DeadLetterRow>) -> Vec<Letters> {
    let mut of_partition: BTreeMap<(String, i32), Letters> = BTreeMap::new();
    for letter in letters {
        of_partition.entry((letter.topic.clone(), letter.partition)).or_default().push(letter);
    }
    let mut requests: Vec<Letters> = Vec::new();
    for (_, mut letters) in of_partition {
        letters.sort_by_key(|letter| letter.offset);
        let mut bytes = 0;
        for (place, letter) in letters.into_iter().enumerate() {
            bytes += letter.payload.len();
            match requests.last_mut().filter(|last| place > 0 && last.len() < LETTERS_MAX && bytes <= BYTES_MAX) {
                Some(last) => last.push(letter),
                None => {
                    bytes = letter.payload.len();
                    requests.push(vec![letter]);
                }
            }
        }
    }
    requests
}

/// The request of a number; `None` when there is none yet.
pub async fn read(lake: &Lake, number: i64) -> Result<Option<Request>> {
    let Some(bytes) = lake.retry(number).await? else { return Ok(None) };
    let unreadable = || format!("request {number} for dead letters to be taken again is not understood");
    serde_json::from_slice(&bytes).with_context(unreadable).map(Some)
}

/// Puts a request under a number. False when another has the number.
pub async fn put(lake: &Lake, number: i64, request: &Request) -> Result<bool> {
    Ok(lake.put_retry(number, serde_json::to_vec(request)?.into()).await?)
}

/// The request of a number, mapped; `None` while there is none, or the storage is away.
///
/// # Errors
/// When the request is damaged or cannot be understood.
pub fn delivery(lake: &Lake, runtime: &Handle, number: i64) -> Result<Option<Delivery>> {
    let mapped = async {
        let Some(Request { definitions, letters }) = read(lake, number).await? else { return Ok(None) };
        let definitions = definitions::recall(lake, &definitions).await?;
        Ok(Some(retry(&sources(&definitions), number, letters)?))
    };
    match runtime.block_on(mapped) {
        // Whoever writes the tables says that the storage is away, and for how long that is borne.
        Err(error) if is_unavailable(&error) => Ok(None),
        mapped => mapped,
    }
}

/// Whether the storage is away.
pub fn is_unavailable(error: &anyhow::Error) -> bool {
    let is = |error: &LakeError| matches!(error, LakeError::Unavailable(_));
    error.downcast_ref().is_some_and(is)
        || matches!(error.downcast_ref(), Some(AggregateError::Lake(error)) if is(error))
        || matches!(error.downcast_ref(), Some(QueryError::Unavailable(_)))
}

/// Reads the log as one more partition.
pub struct Retries {
    lake: Lake,
    runtime: Handle,
    next: i64,
    looked_at: Option<Moment>,
}

impl Retries {
    /// From this number on.
    pub fn new(lake: Lake, runtime: Handle, next: i64) -> Retries {
        Retries { lake, runtime, next, looked_at: None }
    }

    /// The next request, mapped; `None` while there is none, or the storage is away. When there was none a moment ago, it is
    /// not looked again.
    ///
    /// # Errors
    /// When a request is damaged or cannot be understood.
    pub fn take(&mut self) -> Result<Option<Delivery>> {
        if self.looked_at.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(None);
        }
        let found = delivery(&self.lake, &self.runtime, self.next)?;
        match found {
            Some(_) => self.next += 1,
            None => self.looked_at = Some(Moment::now()),
        }
        Ok(found)
    }
}

/// Looks for new requests, in the background: storage that is slow to answer does not hold up what is passed on.
pub struct Mentions {
    /// The first number that was not mentioned.
    next: i64,
    /// The first number that has no request, as far as is known.
    free: Arc<AtomicI64>,
    looking: JoinHandle<()>,
}

impl Mentions {
    /// From this number on.
    pub fn start(lake: Lake, runtime: &Handle, next: i64) -> Mentions {
        let free = Arc::new(AtomicI64::new(next));
        let found = free.clone();
        let looking = runtime.spawn(async move {
            for number in next.. {
                // One that is damaged is mentioned, too: whoever takes it says so.
                while matches!(lake.retry(number).await, Ok(None) | Err(LakeError::Unavailable(_))) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                found.store(number + 1, Ordering::Relaxed);
            }
        });
        Mentions { next, free, looking }
    }

    /// Those that were found since the last call, as a delivery without records.
    pub fn take(&mut self) -> Option<Delivery> {
        let (from_offset, until) = (self.next, self.free.load(Ordering::Relaxed));
        self.next = until;
        (from_offset < until).then(|| Delivery { from_offset, ..Delivery::news(PartitionId::retries(), until, None) })
    }
}

impl Drop for Mentions {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_of_one_partition_in_order_and_bounded() {
        let letter = |topic: &str, partition, offset, bytes: usize| DeadLetterRow {
            topic: topic.to_owned(),
            partition,
            offset,
            payload: vec![0; bytes],
            ..DeadLetterRow::default()
        };
        let third = BYTES_MAX / 3;
        let letters = vec![letter("b", 0, 7, 1), letter("a", 1, 5, 1), letter("a", 1, 2, 1), letter("a", 0, 9, 1)];
        let told = |letters| {
            let of = |letters: &Letters| letters.iter().map(|letter| letter.offset).collect::<Vec<_>>();
            requests(letters).iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(told(letters), [vec![9], vec![2, 5], vec![7]], "a/0, a/1, b/0");
        // Three thirds of the most bytes fit, a fourth does not.
        let large = (0..4).map(|offset| letter("a", 0, offset, third)).collect();
        assert_eq!(told(large), [vec![0, 1, 2], vec![3]]);
        let many = (0..=LETTERS_MAX as i64).map(|offset| letter("a", 0, offset, 0)).collect();
        assert_eq!(requests(many).iter().map(Vec::len).collect::<Vec<_>>(), [LETTERS_MAX, 1]);
    }
}
