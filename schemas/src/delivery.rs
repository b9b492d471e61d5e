//! The message from a source to a lane: a run of consecutive records of one partition, decoded.

use std::sync::Arc;

use crate::event::{EventBatch, EventColumn};
use crate::table::DeadLetterRow;
use crate::time::Instant;

/// One partition of one topic; for a file, the file and partition 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct PartitionId {
    /// The topic, or the file's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

/// The name, which no topic can have, of the log of dead letters that are taken again; it has one partition.
const RETRIES: &str = "plimsoll/retries";

impl PartitionId {
    /// The log of dead letters that are taken again: each of its offsets is a request.
    pub fn retries() -> PartitionId {
        PartitionId { topic: RETRIES.into(), partition: 0 }
    }

    /// True for the log of dead letters that are taken again.
    pub fn is_retries(&self) -> bool {
        &*self.topic == RETRIES
    }
}

/// Dead letters that a delivery takes again, all of one partition.
#[derive(Clone, Debug)]
pub struct Retried {
    /// Where their records stood.
    pub partition: PartitionId,
    /// As they were recorded, with their whole records, in offset order.
    pub rows: Vec<DeadLetterRow>,
}

/// Records `[from_offset, until_offset)` of one partition: each is an event or a dead letter, none is both or neither.
/// With `from_offset == until_offset` it carries no record, only the news up to when the partition is complete.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where the records stood.
    pub partition: PartitionId,
    /// The first offset covered.
    pub from_offset: i64,
    /// The first offset no longer covered. Offsets in between that hold no record (compaction, transactions) are
    /// covered too.
    pub until_offset: i64,
    /// The events, in offset order.
    pub events: EventBatch,
    /// The records that could not be used, in offset order.
    pub dead_letters: Vec<DeadLetter>,
    /// Everything that the partition held at this instant has been read: position = high watermark, and an empty fetch
    /// said so (R23). `None` when that is not proved anew.
    pub complete_until: Option<Instant>,
    /// Kafka had deleted its records before they were read: there is none, and there may have been one at each offset.
    pub is_lost: bool,
    /// The id that Kafka gave the topic when it was created; `None` where it tells none.
    pub topic_id: Option<Arc<str>>,
    /// When they were read, where another process did: an event from the future is taken to be from then (R23), whoever
    /// counts it. `None` where they are counted by whoever reads them; then it is the tick of the epoch.
    pub read_at: Option<Instant>,
    /// The dead letters that are taken again. Then events and dead letters have the offsets at which their records stood,
    /// and the delivery is one request of the log.
    pub retried: Option<Retried>,
}

impl Delivery {
    /// No record, only how far the partition was read and until when it is complete.
    pub fn news(partition: PartitionId, offset: i64, complete_until: Option<Instant>) -> Delivery {
        let (events, dead_letters) = (EventBatch::empty(), Vec::new());
        Delivery {
            partition,
            from_offset: offset,
            until_offset: offset,
            events,
            dead_letters,
            complete_until,
            is_lost: false,
            topic_id: None,
            read_at: None,
            retried: None,
        }
    }

    /// Offsets whose records Kafka had deleted before they were read.
    pub fn lost(partition: PartitionId, from_offset: i64, until_offset: i64) -> Delivery {
        Delivery { from_offset, is_lost: true, ..Delivery::news(partition, until_offset, None) }
    }

    /// Cuts it in two at an offset: what lies before, and what lies at or after it. `complete_until` goes with the latter.
    pub fn split_at(self, offset: i64) -> (Delivery, Delivery) {
        let cut = offset.clamp(self.from_offset, self.until_offset);
        if self.retried.is_some() {
            let nothing = Delivery::news(self.partition.clone(), cut, None);
            return if cut == self.until_offset { (self, nothing) } else { (nothing, self) };
        }
        let offsets = self.events.integers(EventColumn::Offset).values();
        let rows = offsets.partition_point(|row| *row < cut);
        let mut before = self.dead_letters;
        let after = before.split_off(before.partition_point(|letter| letter.offset < cut));
        let rest = self.events.num_rows() - rows;
        let head = Delivery {
            partition: self.partition.clone(),
            from_offset: self.from_offset,
            until_offset: cut,
            events: self.events.slice(0, rows),
            dead_letters: before,
            complete_until: None,
            is_lost: self.is_lost,
            topic_id: self.topic_id.clone(),
            read_at: self.read_at,
            retried: None,
        };
        let tail = Delivery {
            partition: self.partition,
            from_offset: cut,
            until_offset: self.until_offset,
            events: self.events.slice(rows, rest),
            dead_letters: after,
            complete_until: self.complete_until,
            is_lost: self.is_lost,
            topic_id: self.topic_id,
            read_at: self.read_at,
            retried: None,
        };
        (head, tail)
    }
}

/// A record that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its offset in the delivery's partition.
    pub offset: i64,
    /// The source that tried to map it.
    pub source: Arc<str>,
    /// Why, as a code that never changes its meaning.
    pub reason: DeadLetterReason,
    /// Why, for people: the field, the value found, what is allowed.
    pub detail: String,
    /// The record's bytes, cut at `DEAD_LETTER_PAYLOAD_BYTES_MAX`.
    pub payload: Vec<u8>,
    /// The length of the whole record in bytes.
    pub payload_bytes: i64,
    /// The broker's timestamp of the record, if it has one.
    pub record_time: Option<Instant>,
}

/// How much of a dead letter's record is kept.
pub const DEAD_LETTER_PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Why a record could not be used. The codes are part of the table's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadLetterReason {
    /// There is no payload: a tombstone, or nothing but blanks.
    Empty,
    /// The record is longer than the limit.
    TooLarge,
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The bytes are not the source's format.
    Malformed,
    /// Objects and lists are nested deeper than the limit.
    TooDeep,
    /// A field that is needed is not there.
    MissingField,
    /// A field holds another type than its column.
    WrongType,
    /// A time cannot be read.
    BadTime,
    /// A time can be read but lies outside 1970 to 2200.
    AbsurdTime,
    /// The kind is none of the four.
    UnknownKind,
    /// A word is not in its vocabulary.
    UnknownWord,
    /// A number is outside its range.
    OutOfRange,
}

impl DeadLetterReason {
    /// All of them.
    pub const ALL: [DeadLetterReason; 12] = [
        DeadLetterReason::Empty,
        DeadLetterReason::TooLarge,
        DeadLetterReason::InvalidUtf8,
        DeadLetterReason::Malformed,
        DeadLetterReason::TooDeep,
        DeadLetterReason::MissingField,
        DeadLetterReason::WrongType,
        DeadLetterReason::BadTime,
        DeadLetterReason::AbsurdTime,
        DeadLetterReason::UnknownKind,
        DeadLetterReason::UnknownWord,
        DeadLetterReason::OutOfRange,
    ];

    /// The reason with a code; `None` when there is no such reason.
    pub fn of_code(code: &str) -> Option<DeadLetterReason> {
        DeadLetterReason::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The code, as the table holds it.
    pub fn code(self) -> &'static str {
        match self {
            DeadLetterReason::Empty => "empty",
            DeadLetterReason::TooLarge => "too_large",
            DeadLetterReason::InvalidUtf8 => "invalid_utf8",
            DeadLetterReason::Malformed => "malformed",
            DeadLetterReason::TooDeep => "too_deep",
            DeadLetterReason::MissingField => "missing_field",
            DeadLetterReason::WrongType => "wrong_type",
            DeadLetterReason::BadTime => "bad_time",
            DeadLetterReason::AbsurdTime => "absurd_time",
            DeadLetterReason::UnknownKind => "unknown_kind",
            DeadLetterReason::UnknownWord => "unknown_word",
            DeadLetterReason::OutOfRange => "out_of_range",
        }
    }
}
