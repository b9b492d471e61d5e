//! One message of the exchange as bytes, and back.
//!
//! ```text
//! version (1 byte) | checksum of all that follows (8 bytes, XXH3) | length of the head (4 bytes) | head (postcard)
//!                  | events (Arrow IPC stream), if any                     numbers are little-endian
//! ```
//! Nothing of a message is believed, and no memory taken for it, before its checksum is right: readers of Arrow trust the
//! lengths and places that they find. Not compressed: Kafka's client does that for whole batches of messages.

use std::borrow::Cow;
use std::io::Cursor;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason, Delivery, PartitionId};
use plimsoll_schemas::event::{EventBatch, EventColumn};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::IngestError;

/// The first byte of every message. Another version of Plimsoll may write another one.
const VERSION: u8 = 3;

/// Where the checksum ends.
const CHECKED_FROM: usize = 9;

/// The bytes before the head.
const PREFIX_BYTES: usize = CHECKED_FROM + 4;

/// How large a message may be, in bytes: a delivery that comes to more is cut in two. Many times a delivery as it is
/// usually cut, and a fraction of what clients and brokers take at once.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// What an ingest worker says to all aggregators.
#[derive(Clone, Debug)]
pub enum Message {
    /// Partitions that there are: each holds the watermark until it is heard from (R23).
    Partitions(Vec<PartitionId>),
    /// Records of one partition.
    Delivery {
        /// The records.
        delivery: Delivery,
        /// True when the partition has none before them: who knows nothing of it may begin here.
        is_beginning: bool,
    },
}

/// A message without its events.
#[derive(Serialize, Deserialize)]
enum Head<'a> {
    Partitions(Cow<'a, [PartitionId]>),
    Delivery {
        partition: Cow<'a, PartitionId>,
        from_offset: i64,
        until_offset: i64,
        complete_until: Option<Instant>,
        is_lost: bool,
        topic_id: Option<Cow<'a, str>>,
        read_at: Option<Instant>,
        is_beginning: bool,
        dead_letters: Vec<Letter<'a>>,
    },
}

#[derive(Serialize, Deserialize)]
struct Letter<'a> {
    offset: i64,
    source: Cow<'a, str>,
    reason: Cow<'a, str>,
    detail: Cow<'a, str>,
    payload: Cow<'a, [u8]>,
    payload_bytes: i64,
    record_time: Option<Instant>,
}

impl Message {
    /// The messages as bytes, in their order: one, or several where one would be too large.
    ///
    /// # Errors
    /// When a single record is too large.
    pub fn encode(self) -> Result<Vec<Vec<u8>>, IngestError> {
        let mut encoded = Vec::new();
        let mut waiting = vec![self];
        while let Some(message) = waiting.pop() {
            let bytes = message.to_bytes()?;
            if bytes.len() <= MESSAGE_BYTES_MAX {
                encoded.push(bytes);
                continue;
            }
            let (first, second) = message.cut().ok_or_else(|| {
                IngestError::Exchange(format!("a message of {} bytes cannot be cut; report it", bytes.len()))
            })?;
            waiting.extend([second, first]);
        }
        Ok(encoded)
    }

    /// The same in two; `None` when it is a single record.
    fn cut(self) -> Option<(Message, Message)> {
        match self {
            Message::Partitions(mut ids) if ids.len() > 1 => {
                let rest = ids.split_off(ids.len() / 2);
                Some((Message::Partitions(ids), Message::Partitions(rest)))
            }
            Message::Delivery { delivery, is_beginning } => {
                let mut offsets: Vec<i64> = delivery.events.integers(EventColumn::Offset).values().to_vec();
                offsets.extend(delivery.dead_letters.iter().map(|letter| letter.offset));
                offsets.sort_unstable();
                let middle = *offsets.get(offsets.len() / 2).filter(|_| offsets.len() > 1)?;
                let (head, tail) = delivery.split_at(middle);
                Some((
                    Message::Delivery { delivery: head, is_beginning },
                    Message::Delivery { delivery: tail, is_beginning: false },
                ))
            }
            Message::Partitions(_) => None,
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, IngestError> {
        let head = match self {
            Message::Partitions(ids) => Head::Partitions(Cow::Borrowed(ids)),
            Message::Delivery { delivery, is_beginning } => Head::Delivery {
                partition: Cow::Borrowed(&delivery.partition),
                from_offset: delivery.from_offset,
                until_offset: delivery.until_offset,
                complete_until: delivery.complete_until,
                is_lost: delivery.is_lost,
                topic_id: delivery.topic_id.as_deref().map(Cow::Borrowed),
                read_at: delivery.read_at,
                is_beginning: *is_beginning,
                dead_letters: delivery.dead_letters.iter().map(Letter::of).collect(),
            },
        };
        let head = postcard::to_stdvec(&head).map_err(|error| IngestError::Exchange(error.to_string()))?;
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + head.len());
        bytes.push(VERSION);
        bytes.extend([0; CHECKED_FROM - 1]); // It is known in the end.
        bytes.extend((head.len() as u32).to_le_bytes());
        bytes.extend(head);
        if let Message::Delivery { delivery, .. } = self
            && delivery.events.num_rows() > 0
        {
            let batch = delivery.events.record_batch();
            let mut writer = StreamWriter::try_new(bytes, batch.schema_ref())?;
            writer.write(batch)?;
            bytes = writer.into_inner()?;
        }
        let checksum = checksum(&bytes[CHECKED_FROM..]);
        bytes[1..CHECKED_FROM].copy_from_slice(&checksum);
        Ok(bytes)
    }

    /// A message from its bytes.
    ///
    /// # Errors
    /// Why they are no message of this version.
    pub fn decode(bytes: &[u8]) -> Result<Message, String> {
        let version = bytes.first().ok_or("it is empty")?;
        if *version != VERSION {
            return Err(format!("it begins with {version}, and messages of this version of plimsoll with {VERSION}"));
        }
        let (prefix, checked) = bytes.split_at_checked(CHECKED_FROM).ok_or("it is cut off")?;
        if prefix[1..] != checksum(checked) {
            return Err("it is not what was written: its checksum is wrong".to_owned());
        }
        let (length, rest) = checked.split_first_chunk().ok_or("it has no head")?;
        let (head, events) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("it has no whole head")?;
        let head: Head<'_> = postcard::from_bytes(head).map_err(|error| error.to_string())?;
        match head {
            Head::Partitions(ids) => Ok(Message::Partitions(ids.into_owned())),
            Head::Delivery {
                partition,
                from_offset,
                until_offset,
                complete_until,
                is_lost,
                topic_id,
                read_at,
                is_beginning,
                dead_letters,
            } => {
                let events = events_of(events).map_err(|error| error.to_string())?;
                let dead_letters = dead_letters.into_iter().map(Letter::into_dead_letter).collect::<Option<_>>();
                let dead_letters = dead_letters.ok_or("a reason of dead letters is not known")?;
                let news = Delivery::news(partition.into_owned(), until_offset, complete_until);
                let topic_id = topic_id.map(|id| id.as_ref().into());
                let delivery = Delivery { from_offset, events, dead_letters, is_lost, topic_id, read_at, ..news };
                Ok(Message::Delivery { delivery, is_beginning })
            }
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKED_FROM - 1] {
    xxh3_64(bytes).to_le_bytes()
}

fn events_of(bytes: &[u8]) -> Result<EventBatch, arrow_schema::ArrowError> {
    if bytes.is_empty() {
        return Ok(EventBatch::empty());
    }
    match StreamReader::try_new(Cursor::new(bytes), None)?.next() {
        Some(batch) => EventBatch::try_new(batch?),
        None => Ok(EventBatch::empty()),
    }
}

impl<'a> Letter<'a> {
    fn of(letter: &'a DeadLetter) -> Letter<'a> {
        Letter {
            offset: letter.offset,
            source: Cow::Borrowed(&letter.source),
            reason: Cow::Borrowed(letter.reason.code()),
            detail: Cow::Borrowed(&letter.detail),
            payload: Cow::Borrowed(&letter.payload),
            payload_bytes: letter.payload_bytes,
            record_time: letter.record_time,
        }
    }

    /// `None` when its reason is not known.
    fn into_dead_letter(self) -> Option<DeadLetter> {
        Some(DeadLetter {
            offset: self.offset,
            source: self.source.as_ref().into(),
            reason: DeadLetterReason::of_code(&self.reason)?,
            detail: self.detail.into_owned(),
            payload: self.payload.into_owned(),
            payload_bytes: self.payload_bytes,
            record_time: self.record_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_schemas::definition::source::Source;
    use proptest::prelude::*;

    use super::*;
    use crate::decode::{Decoder, Record};

    fn partition(number: i32) -> PartitionId {
        PartitionId { topic: "t".into(), partition: number }
    }

    /// What these records decode to, from offset 10 on.
    fn delivery(records: &[String], complete_until: Option<i64>) -> Delivery {
        let mut decoder = Decoder::new(Arc::new(Source::plain("plain")), partition(3));
        for (offset, record) in (10..).zip(records) {
            let record_time = (offset % 2 == 0).then_some(Instant(offset));
            decoder.decode(Record { offset, payload: Some(record.as_bytes()), record_time });
        }
        let until = 10 + records.len() as i64;
        decoder.take(10, until, complete_until.map(Instant)).expect("a delivery")
    }

    fn record() -> impl Strategy<Value = String> {
        let event =
            (0..1_000_u32, "[a-c]{1,3}", prop::option::of(0..5_000_000_i64)).prop_map(|(id, service, latency)| {
                let latency = latency.map_or(String::new(), |latency| format!(", \"latency_us\": {latency}"));
                format!(
                    "{{\"id\": \"{id}\", \"time\": \"2026-03-02T08:00:00Z\", \"kind\": \"monitoring\", \"service\": \
                 \"{service}\", \"status\": \"up\"{latency}}}"
                )
            });
        prop_oneof![4 => event, 1 => ".{0,60}"]
    }

    fn round_trip(message: Message) -> Vec<Message> {
        let encoded = message.encode().expect("bytes");
        assert!(encoded.iter().all(|bytes| bytes.len() <= MESSAGE_BYTES_MAX));
        encoded.iter().map(|bytes| Message::decode(bytes).expect("a message")).collect()
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            records in prop::collection::vec(record(), 0..40),
            complete_until in prop::option::of(any::<i64>()),
            (cut, is_beginning) in (0..50_i64, any::<bool>()),
        ) {
            // Also of parts of batches, which share dictionaries with the rest.
            let (head, tail) = delivery(&records, complete_until).split_at(10 + cut);
            for mut written in [head, tail] {
                (written.is_lost, written.topic_id) = (is_beginning, complete_until.map(|_| "an id".into()));
                written.read_at = Some(Instant(cut));
                let read = round_trip(Message::Delivery { delivery: written.clone(), is_beginning });
                let [Message::Delivery { delivery: read, is_beginning: read_beginning }] = read.as_slice() else {
                    panic!("{read:?}")
                };
                prop_assert_eq!(&read.partition, &written.partition);
                prop_assert_eq!((read.from_offset, read.until_offset), (written.from_offset, written.until_offset));
                prop_assert_eq!((read.complete_until, read.read_at), (written.complete_until, written.read_at));
                prop_assert_eq!((read.is_lost, &read.topic_id), (written.is_lost, &written.topic_id));
                prop_assert_eq!(&read.dead_letters, &written.dead_letters);
                prop_assert_eq!(read.events.record_batch(), written.events.record_batch());
                prop_assert_eq!(*read_beginning, is_beginning);
            }
        }

        /// Bytes of others, also with our first byte, and even with the right checksum where nothing but the head is.
        #[test]
        fn bytes_that_are_no_message_are_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            (is_version, is_checked) in (any::<bool>(), any::<bool>()),
        ) {
            let mut bytes = bytes;
            if is_version && let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if is_checked && bytes.len() >= PREFIX_BYTES {
                let head = (bytes.len() - PREFIX_BYTES) as u32;
                bytes[CHECKED_FROM..PREFIX_BYTES].copy_from_slice(&head.to_le_bytes());
                let checksum = checksum(&bytes[CHECKED_FROM..]);
                bytes[1..CHECKED_FROM].copy_from_slice(&checksum);
            }
            match Message::decode(&bytes) {
                // A head of a few bytes may say something.
                Ok(_) => prop_assert!(is_version && is_checked),
                Err(why) => prop_assert!(!why.is_empty()),
            }
        }

        /// Whatever becomes of a message on its way is noticed, in its head as in its events, and before anything of it is
        /// believed: no length in it makes anybody take memory.
        #[test]
        fn a_message_that_was_damaged_is_refused(
            records in prop::collection::vec(record(), 1..20),
            (place, bits, length) in (any::<prop::sample::Index>(), 1..=255_u8, any::<prop::sample::Index>()),
            (from, more) in (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..40)),
        ) {
            let message = Message::Delivery { delivery: delivery(&records, None), is_beginning: false };
            let bytes = message.encode().expect("bytes").remove(0);
            prop_assert!(Message::decode(&bytes).is_ok());
            let mut flipped = bytes.clone();
            flipped[place.index(bytes.len())] ^= bits;
            let cut = bytes[..length.index(bytes.len())].to_vec();
            let mut cut_out = bytes.clone();
            cut_out.remove(from.index(bytes.len()));
            let mut overwritten = bytes.clone();
            let from = from.index(bytes.len());
            let until = bytes.len().min(from + more.len());
            overwritten[from..until].copy_from_slice(&more[..until - from]);
            let longer = [bytes.clone(), more].concat();
            for damaged in [flipped, cut, cut_out, overwritten, longer] {
                if damaged != bytes {
                    prop_assert!(Message::decode(&damaged).is_err(), "{:?}", damaged);
                }
            }
        }
    }

    #[test]
    fn one_that_is_too_large_is_cut_so_that_every_record_is_there_once() {
        // 600 dead letters of 16 KiB are more than twice what a message may have.
        let mut records = vec!["x".repeat(16 * 1024); 600];
        records.insert(
            300,
            r#"{"id": "1", "time": "2026-03-02T08:00:00Z", "kind": "feedback", "score": 3, "service": "a"}"#.to_owned(),
        );
        let read = round_trip(Message::Delivery { delivery: delivery(&records, Some(7)), is_beginning: true });
        assert!(read.len() > 2);
        let (mut next, mut letters, mut events) = (10, 0, 0);
        for (number, message) in read.iter().enumerate() {
            let Message::Delivery { delivery, is_beginning } = message else { panic!("{message:?}") };
            assert_eq!((delivery.from_offset, *is_beginning), (next, number == 0));
            assert_eq!(delivery.complete_until, (number + 1 == read.len()).then_some(Instant(7)));
            next = delivery.until_offset;
            letters += delivery.dead_letters.len();
            events += delivery.events.num_rows();
        }
        assert_eq!((next, letters, events), (611, 600, 1));
    }

    #[test]
    fn partitions_are_told_and_what_is_no_message_is_refused_with_its_reason() {
        let ids = vec![partition(0), partition(1)];
        let read = round_trip(Message::Partitions(ids.clone()));
        assert!(matches!(&read[..], [Message::Partitions(read)] if *read == ids), "{read:?}");
        let told = |bytes: &[u8]| Message::decode(bytes).expect_err("refused");
        assert_eq!(told(&[1, 0, 0, 0, 0]), "it begins with 1, and messages of this version of plimsoll with 3");
        assert_eq!(told(b"{\"id\": 1}"), "it begins with 123, and messages of this version of plimsoll with 3");
        assert_eq!(told(&[]), "it is empty");
        assert_eq!(told(&[VERSION, 0, 0]), "it is cut off");
    }
}
