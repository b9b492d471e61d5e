//! Dead letters mapped once more: a request of the log becomes a delivery of the log's partition, whose events keep the
//! places where their records stood.

use std::sync::Arc;

use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{DeadLetter, DeadLetterReason, Delivery, PartitionId, Retried};
use plimsoll_schemas::table::DeadLetterRow;

use crate::decode::{Decoder, Record};
use crate::error::IngestError;

/// Maps the dead letters of a request, all of one partition, in the order of their offsets and with their whole records,
/// by the source of their topic. Where no source has the topic, they stay dead letters.
///
/// # Errors
/// Those of `Decoder::take`.
pub fn retry(sources: &[Arc<Source>], number: i64, rows: Vec<DeadLetterRow>) -> Result<Delivery, IngestError> {
    let news = Delivery::news(PartitionId::retries(), number + 1, None);
    let Some((first, last)) = rows.first().zip(rows.last()) else {
        return Ok(Delivery { from_offset: number, ..news });
    };
    let partition = PartitionId { topic: first.topic.as_str().into(), partition: first.partition };
    let (from_offset, until_offset) = (first.offset, last.offset + 1);
    let of_topic = sources.iter().find(|source| source.topics.contains(&first.topic));
    let read = match of_topic {
        Some(source) => {
            let mut decoder = Decoder::new(source.clone(), partition.clone());
            for row in &rows {
                let (offset, record_time) = (row.offset, row.record_time);
                decoder.decode(Record { offset, payload: Some(&row.payload), record_time });
            }
            decoder.take(from_offset, until_offset, None)?
        }
        None => Delivery {
            dead_letters: rows.iter().map(without_source).collect(),
            ..Delivery::news(partition.clone(), until_offset, None)
        },
    };
    let (events, dead_letters) = (read.events, read.dead_letters);
    let retried = Some(Retried { partition, rows });
    Ok(Delivery { from_offset: number, events, dead_letters, retried, ..news })
}

fn without_source(row: &DeadLetterRow) -> DeadLetter {
    DeadLetter {
        offset: row.offset,
        source: row.source.as_str().into(),
        reason: DeadLetterReason::of_code(&row.reason).unwrap_or(DeadLetterReason::Malformed),
        detail: format!("no source reads the topic {} any more; name it in a source and replay again", row.topic),
        payload: row.kept_payload().to_vec(),
        payload_bytes: row.payload_bytes,
        record_time: row.record_time,
    }
}
