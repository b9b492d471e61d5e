//! Dead letters that are taken again: the log of requests, as `plimsoll dead-letters replay` writes it and `plimsoll run`
//! reads it. What is decided here is only which letters are asked for; the log, the mapping and the folding are real.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_aggregate::{Input, Worker};
use plimsoll_ingest::retry;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::DeadLetterRow;

use crate::chance::Dice;
use crate::tables::dead_letters;

/// The log, as one more partition.
pub struct Requests {
    lake: Lake,
    sources: Vec<Arc<Source>>,
    next: i64,
}

impl Requests {
    /// From where a worker goes on, mapped by these sources.
    pub fn new(lake: Lake, sources: Vec<Arc<Source>>, worker: &Worker) -> Requests {
        let next = worker.start_offsets().get(&PartitionId::retries()).copied().unwrap_or(0);
        Requests { lake, sources, next }
    }

    /// The next request, if there is one.
    pub async fn take(&mut self) -> Result<Option<Input>, LakeError> {
        let Some(bytes) = self.lake.retry(self.next).await? else { return Ok(None) };
        let rows = serde_json::from_slice(&bytes).expect("a request");
        let delivery = retry(&self.sources, self.next, rows).expect("a delivery");
        self.next += 1;
        Ok(Some(Input::Delivery(delivery)))
    }

    /// Begins some requests before where it is, as an exchange in which they are mentioned twice.
    pub fn go_back(&mut self, dice: &mut Dice) {
        self.next = (self.next - dice.between(1, 3)).max(0);
    }

    /// All that there are.
    pub async fn take_all(&mut self) -> Result<Vec<Input>, LakeError> {
        let mut inputs = Vec::new();
        while let Some(input) = self.take().await? {
            inputs.push(input);
        }
        Ok(inputs)
    }
}

/// A letter: where its record stood, and the epoch of its newest row.
type Named = (String, i32, i64, i64);

fn name(letter: &DeadLetterRow) -> Named {
    (letter.topic.clone(), letter.partition, letter.offset, letter.epoch)
}

/// Asks for all dead letters that are open and that nobody has asked for, a request for each partition.
pub async fn ask_again(lake: &Lake) -> Result<(), LakeError> {
    'again: loop {
        let letters = dead_letters(lake).await?;
        let next = lake.next_retry().await?;
        let taken: BTreeSet<i64> = letters.iter().filter_map(|letter| letter.retry).collect();
        let mut asked_for = BTreeSet::new();
        for number in (0..next).filter(|number| !taken.contains(number)) {
            // A listing may know a request that was refused, or not know one yet.
            let Some(bytes) = lake.retry(number).await? else { return Ok(()) };
            let rows: Vec<DeadLetterRow> = serde_json::from_slice(&bytes).expect("a request");
            asked_for.extend(rows.iter().map(name));
        }
        let mut requests: BTreeMap<(String, i32), Vec<DeadLetterRow>> = BTreeMap::new();
        for letter in newest(letters).into_values() {
            if letter.outcome.is_none() && !asked_for.contains(&name(&letter)) {
                requests.entry((letter.topic.clone(), letter.partition)).or_default().push(letter);
            }
        }
        for (number, request) in (next..).zip(requests.values()) {
            let bytes = serde_json::to_vec(request).expect("a request");
            if !lake.put_retry(number, bytes.into()).await? {
                // Another has the number, or this one had it: it is looked anew what is open.
                continue 'again;
            }
        }
        return Ok(());
    }
}

/// Of each letter its newest row, in the order of their places.
pub fn newest(letters: Vec<DeadLetterRow>) -> BTreeMap<(PartitionId, i64), DeadLetterRow> {
    let mut newest: BTreeMap<(PartitionId, i64), DeadLetterRow> = BTreeMap::new();
    for letter in letters {
        let place = (PartitionId { topic: letter.topic.as_str().into(), partition: letter.partition }, letter.offset);
        if newest.get(&place).is_none_or(|known| (known.epoch, known.retry) < (letter.epoch, letter.retry)) {
            newest.insert(place, letter);
        }
    }
    newest
}
