//! The bytes of records into the columns of an event batch.
//!
//! What comes in: a `Source`, whose mapping is compiled once into a `Decoder`, and records. What goes out: deliveries,
//! in which each record is a row or a dead letter. Decoding never fails and never panics, whatever the bytes.
//!
//! ```text
//! bytes -- json / csv --> raw values in slots -- field --> cells -- rules --> columns
//!                |                                 |                  |
//!                +----------------- rejection -----+------------------+----> dead letters
//! ```
//! A record costs no allocation in the usual case: raw values borrow from its bytes, the list that holds them is used
//! again, and cells go straight into the growing columns.

use std::fmt::Write;
use std::sync::Arc;

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::{Format, Source};
use plimsoll_schemas::delivery::{DEAD_LETTER_PAYLOAD_BYTES_MAX, DeadLetter, DeadLetterReason, Delivery, PartitionId};
use plimsoll_schemas::event::EventColumn;

use crate::error::IngestError;

mod columns;
mod csv;
mod decimal;
mod field;
mod json;
mod raw;
mod rejection;
mod rules;
#[cfg(test)]
pub(crate) mod tests;
mod time;

use columns::{Cell, Columns};
use csv::CsvReader;
pub(crate) use csv::{BYTE_ORDER_MARK, Place, column_names};
use field::FieldReader;
use raw::{Raw, recycle};
pub(crate) use rejection::Rejection;
use rules::Row;

/// The longest record that is decoded, in bytes: the default limit of a Kafka broker.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// The most rows that one batch should hold: enough to make the cost of a batch vanish, few enough to stay in cache.
pub const BATCH_ROWS_MAX: usize = 65_536;

/// The most record bytes that one batch should stand for, which bounds the memory that long records take.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// The name of a check that says none.
const DEFAULT_CHECK: &str = "default";

/// One record as it stands in a partition.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its bytes; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// The broker's timestamp of it, if it has one.
    pub record_time: Option<Instant>,
}

/// The decoder of one partition: record bytes into columns.
pub struct Decoder {
    partition: PartitionId,
    source_id: Arc<str>,
    syntax: Syntax,
    fields: Vec<FieldReader>,
    /// What every row has from the start: the columns that are constants.
    constants: Row,
    /// The beginning of an id that is made from the record's place: `topic/partition/`.
    id_prefix: String,
    columns: Columns,
    dead_letters: Vec<DeadLetter>,
    pending: Pending,
    scratch: Scratch,
}

/// How a record's text becomes raw values.
enum Syntax {
    Json(json::Node),
    Csv(Box<CsvReader>),
}

/// What was decoded since the last delivery.
#[derive(Clone, Copy, Default)]
struct Pending {
    records: usize,
    bytes: usize,
    /// The smallest and the greatest offset.
    offsets: Option<(i64, i64)>,
}

/// Memory that is used again for each record.
#[derive(Default)]
struct Scratch {
    slots: Vec<Raw<'static>>,
    slots_count: usize,
    unquoted: Vec<u8>,
    text: String,
}

impl Decoder {
    /// A decoder of the records of `partition`, written and mapped as `source` says.
    pub fn new(source: Arc<Source>, partition: PartitionId) -> Decoder {
        Decoder::with_format(&source, partition, source.format, &source.mapping.csv_columns)
    }

    /// The same for records of another format than the source's, or with other names of the CSV columns.
    pub(crate) fn with_format(
        source: &Source,
        partition: PartitionId,
        format: Format,
        csv_columns: &[String],
    ) -> Decoder {
        let mut pointers: Vec<Vec<String>> = Vec::new();
        let mut slot = |tokens: &[String]| {
            pointers.iter().position(|known| known == tokens).unwrap_or_else(|| {
                pointers.push(tokens.to_vec());
                pointers.len() - 1
            })
        };
        let mapping = source.mapping.fields.iter();
        let mut fields: Vec<_> = mapping.map(|(column, field)| FieldReader::new(*column, field, &mut slot)).collect();
        let mut columns = Columns::new(&partition);
        let mut constants = Row::default();
        // A constant that cannot be read stays a field, so that each record says what is wrong with it.
        fields.retain(|field| match field.constant() {
            Some(Ok(Some(cell))) => {
                constants.note(field.column, &cell);
                columns.set_constant(field.column, cell);
                false
            }
            Some(Ok(None)) => false,
            Some(Err(_)) | None => true,
        });
        if !source.mapping.fields.contains_key(&EventColumn::Source) {
            let cell = Cell::Text(&source.id);
            constants.note(EventColumn::Source, &cell);
            columns.set_constant(EventColumn::Source, cell);
        }
        let syntax = match format {
            Format::Json => Syntax::Json(json::Node::new(pointers.iter().map(Vec::as_slice))),
            Format::Csv => Syntax::Csv(Box::new(CsvReader::new(csv_columns, &pointers))),
        };
        Decoder {
            id_prefix: format!("{}/{}/", partition.topic, partition.partition),
            partition,
            source_id: source.id.as_str().into(),
            syntax,
            fields,
            constants,
            columns,
            dead_letters: Vec::new(),
            pending: Pending::default(),
            scratch: Scratch { slots_count: pointers.len(), ..Scratch::default() },
        }
    }

    /// Decodes one record into a row or a dead letter. Offsets must ascend.
    pub fn decode(&mut self, record: Record<'_>) {
        let payload = record.payload.unwrap_or_default();
        self.pending.add(record.offset, payload.len());
        if let Err(rejection) = self.decode_row(record.offset, payload) {
            self.set_aside(record, payload.len() as i64, *rejection);
        }
    }

    /// Sets a record aside with which its reader found fault: `record` may have its beginning only, and
    /// `payload_bytes` is its whole length.
    pub(crate) fn reject(&mut self, record: Record<'_>, payload_bytes: i64, rejection: Rejection) {
        self.pending.add(record.offset, record.payload.unwrap_or_default().len());
        self.set_aside(record, payload_bytes, rejection);
    }

    /// How many records were decoded since the last delivery.
    pub fn pending_records(&self) -> usize {
        self.pending.records
    }

    /// How many bytes those records had.
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes
    }

    /// True when a delivery should be taken before the next record is decoded.
    pub fn is_full(&self) -> bool {
        self.pending.records >= BATCH_ROWS_MAX || self.pending.bytes >= BATCH_BYTES_MAX
    }

    /// Everything since the last call as one delivery that covers `[from_offset, until_offset)`, of a partition that is
    /// complete until then.
    ///
    /// # Errors
    /// When a decoded record's offset is not covered, or when the batch holds more than 2 GiB of text, which `is_full`
    /// prevents. What was decoded is lost then.
    pub fn take(
        &mut self,
        from_offset: i64,
        until_offset: i64,
        complete_until: Option<Instant>,
    ) -> Result<Delivery, IngestError> {
        let pending = std::mem::take(&mut self.pending);
        let dead_letters = std::mem::take(&mut self.dead_letters);
        let events = self.columns.finish()?;
        let (first, last) = pending.offsets.unwrap_or((from_offset, until_offset - 1));
        if from_offset > until_offset || first < from_offset || last >= until_offset {
            return Err(IngestError::Offsets { from_offset, until_offset, first, last });
        }
        let partition = self.partition.clone();
        Ok(Delivery { from_offset, events, dead_letters, ..Delivery::news(partition, until_offset, complete_until) })
    }

    #[inline]
    fn decode_row(&mut self, offset: i64, payload: &[u8]) -> Result<(), Box<Rejection>> {
        let text = text_of(payload)?;
        // The buffers leave the decoder for as long as values borrow from them.
        let mut unquoted = std::mem::take(&mut self.scratch.unquoted);
        let mut slots = recycle(std::mem::take(&mut self.scratch.slots));
        slots.resize_with(self.scratch.slots_count, || Raw::Absent);
        let read = match &mut self.syntax {
            Syntax::Json(root) => json::read(root, text, &mut slots),
            Syntax::Csv(reader) => reader.read(text, &mut unquoted, &mut slots),
        };
        let written = read.and_then(|()| self.write_row(offset, &slots));
        self.scratch.slots = recycle(slots);
        self.scratch.unquoted = unquoted;
        written
    }

    /// Writes a record's values into the columns.
    #[inline]
    fn write_row(&mut self, offset: i64, slots: &[Raw<'_>]) -> Result<(), Box<Rejection>> {
        let mut row = self.constants;
        for field in &self.fields {
            if let Some(cell) = field.read(slots, &mut self.scratch.text)? {
                row.note(field.column, &cell);
                self.columns.push(field.column, cell);
            }
        }
        row.check()?;
        if !row.has(EventColumn::Id) {
            self.scratch.text.clear();
            self.scratch.text.push_str(&self.id_prefix);
            // Writing into a text cannot fail.
            let _ = write!(self.scratch.text, "{offset}");
            self.columns.push(EventColumn::Id, Cell::Text(&self.scratch.text));
        }
        if !row.has(EventColumn::Source) {
            self.columns.push(EventColumn::Source, Cell::Text(&self.source_id));
        }
        if row.lacks_check() {
            self.columns.push(EventColumn::Check, Cell::Text(DEFAULT_CHECK));
        }
        self.columns.end_row(offset);
        Ok(())
    }

    #[cold]
    fn set_aside(&mut self, record: Record<'_>, payload_bytes: i64, rejection: Rejection) {
        self.columns.take_back_row();
        let payload = record.payload.unwrap_or_default();
        self.dead_letters.push(DeadLetter {
            offset: record.offset,
            source: self.source_id.clone(),
            reason: rejection.reason,
            detail: rejection.detail,
            payload: payload[..payload.len().min(DEAD_LETTER_PAYLOAD_BYTES_MAX)].to_vec(),
            payload_bytes,
            record_time: record.record_time,
        });
    }
}

impl Pending {
    fn add(&mut self, offset: i64, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
        let (first, last) = self.offsets.unwrap_or((offset, offset));
        self.offsets = Some((first.min(offset), last.max(offset)));
    }
}

/// A payload as text, when there is any, of a length that is decoded.
#[inline]
fn text_of(payload: &[u8]) -> Result<&str, Box<Rejection>> {
    if payload.len() > RECORD_BYTES_MAX {
        return Err(Box::new(too_large(payload.len() as i64)));
    }
    if payload.trim_ascii_start().is_empty() {
        let detail = "the record is empty: a tombstone, or nothing but blanks".to_owned();
        return Err(Rejection::new(DeadLetterReason::Empty, detail));
    }
    std::str::from_utf8(payload).map_err(|error| {
        let detail = format!("not UTF-8 after {} bytes", error.valid_up_to());
        Rejection::new(DeadLetterReason::InvalidUtf8, detail)
    })
}

/// Why a record of so many bytes is not decoded.
pub(crate) fn too_large(payload_bytes: i64) -> Rejection {
    let detail = format!("the record has {payload_bytes} bytes, at most {RECORD_BYTES_MAX} are allowed");
    Rejection { reason: DeadLetterReason::TooLarge, detail }
}
