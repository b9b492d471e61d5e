//! The log of dead letters that are to be taken again, between the command that asks for it and the `run` that does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use anyhow::{Context, Result};
use plimsoll_ingest::retry;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::Delivery;
use plimsoll_schemas::table::DeadLetterRow;
use tokio::runtime::Handle;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many dead letters one request holds.
const LETTERS_MAX: usize = 1_000;

/// How many bytes their records have.
const BYTES_MAX: usize = 16 << 20;

/// A request: dead letters of one partition in the order of their offsets, with their whole records.
pub type Request = Vec<DeadLetterRow>;

/// Cuts dead letters into requests.
pub fn requests(letters: Vec<DeadLetterRow>) -> Vec<Request> {
    let mut of_partition: BTreeMap<(String, i32), Request> = BTreeMap::new();
    for letter in letters {
        of_partition.entry((letter.topic.clone(), letter.partition)).or_default().push(letter);
    }
    let mut requests: Vec<Request> = Vec::new();
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

/// Reads the log as one more partition, mapped by these sources.
pub struct Retries {
    lake: Lake,
    runtime: Handle,
    sources: Vec<Arc<Source>>,
    next: i64,
    looked_at: Option<Moment>,
}

impl Retries {
    /// From this number on.
    pub fn new(lake: Lake, runtime: Handle, sources: Vec<Arc<Source>>, next: i64) -> Retries {
        Retries { lake, runtime, sources, next, looked_at: None }
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
        let found = match self.runtime.block_on(read(&self.lake, self.next)) {
            // Whoever writes the tables says that the storage is away, and for how long that is borne.
            Err(error) if matches!(error.downcast_ref(), Some(LakeError::Unavailable(_))) => None,
            found => found?,
        };
        match found {
            Some(request) => {
                let delivery = retry(&self.sources, self.next, request)?;
                self.next += 1;
                Ok(Some(delivery))
            }
            None => {
                self.looked_at = Some(Moment::now());
                Ok(None)
            }
        }
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
            let of = |request: &Request| request.iter().map(|letter| letter.offset).collect::<Vec<_>>();
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
