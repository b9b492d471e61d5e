//! Files as a source: newline-delimited JSON, CSV and Parquet, the first two plain or packed by gzip or zstd.
//!
//! What comes in: a path and the source that maps it. What goes out: deliveries of at most `BATCH_ROWS_MAX` records,
//! in order, the last of them caught up. The topic is the file's name without its folder and the partition is 0. A
//! record's offset is the number of its (first) line, counted from 1 as editors do, or of its row in a Parquet file.
//!
//! Packing and Parquet are recognised by a file's first bytes, whatever its name; the source says whether text is JSON
//! or CSV. Memory is bounded by the batch and by `RECORD_BYTES_MAX`, whatever the file.
//!
//! A Parquet row goes the way of JSON: it is written as one JSON object, in which a null is a field that is not there
//! and a time is RFC 3339, and decoded through the same mapping, so that the same facts give the same events.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, make_array};
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{ArrowError, DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_schemas::definition::source::{Format, Origin, Source};
use plimsoll_schemas::delivery::{Delivery, PartitionId};

use crate::decode::{Decoder, RECORD_BYTES_MAX, Record};
use crate::error::IngestError;

/// How much of a file is read at once: large enough that system calls vanish.
const READ_BYTES: usize = 256 * 1024;

/// Rows of a Parquet file that are turned into JSON at once. Their text must stay in cache, and a row may be wide.
const PARQUET_BATCH_ROWS: usize = 1_024;

/// What a text editor may put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a whole file through `source` and hands each delivery on before it reads further.
///
/// # Errors
/// Those of `on_delivery`, at once; and `IngestError` when the file cannot be read or is damaged. Records that cannot
/// be used are dead letters in the deliveries.
pub fn read_file<E: From<IngestError>>(
    path: &Path,
    source: &Arc<Source>,
    on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
) -> Result<(), E> {
    let opened = Opened::new(path, source)?;
    match opened.content()? {
        Content::Parquet(file) => opened.read_parquet(file, on_delivery),
        Content::Text(reader) => opened.read_text(reader, on_delivery),
    }
}

/// The first of `sources` that maps files called `name` (without the folder).
pub fn source_for_file<'a, S: Borrow<Source>>(sources: impl IntoIterator<Item = &'a S>, name: &str) -> Option<&'a S> {
    sources.into_iter().find(|source| (*source).borrow().fits_file(name))
}

/// A file with its source.
struct Opened<'f> {
    path: &'f Path,
    source: &'f Source,
    partition: PartitionId,
}

/// What a file holds.
enum Content {
    Parquet(File),
    Text(Box<dyn BufRead>),
}

impl<'f> Opened<'f> {
    fn new(path: &'f Path, source: &'f Source) -> Result<Opened<'f>, IngestError> {
        let Some(name) = path.file_name() else {
            return Err(IngestError::Format { path: path.to_owned(), detail: "it names no file; name one".to_owned() });
        };
        let partition = PartitionId { topic: name.to_string_lossy().into(), partition: 0 };
        Ok(Opened { path, source, partition })
    }

    fn broken(&self, cause: io::Error) -> IngestError {
        IngestError::File { path: self.path.to_owned(), cause }
    }

    fn unusable(&self, detail: String) -> IngestError {
        IngestError::Format { path: self.path.to_owned(), detail }
    }

    /// Opens the file and looks at its first bytes.
    fn content(&self) -> Result<Content, IngestError> {
        let open = || -> io::Result<(File, Vec<u8>)> {
            let mut file = File::open(self.path)?;
            let mut magic = Vec::with_capacity(4);
            file.by_ref().take(4).read_to_end(&mut magic)?;
            file.rewind()?;
            Ok((file, magic))
        };
        let (file, magic) = open().map_err(|cause| self.broken(cause))?;
        let buffered = |reader: Box<dyn Read>| Box::new(BufReader::with_capacity(READ_BYTES, reader));
        let mut text = match magic.as_slice() {
            b"PAR1" => return Ok(Content::Parquet(file)),
            [0x1f, 0x8b, ..] => buffered(Box::new(flate2::read::MultiGzDecoder::new(file))),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let unpacked = zstd::stream::read::Decoder::new(file).map_err(|cause| self.broken(cause))?;
                buffered(Box::new(unpacked))
            }
            _ => buffered(Box::new(file)),
        };
        let start = text.fill_buf().map_err(|cause| self.broken(cause))?;
        if start.starts_with(b"PAR1") {
            return Err(self.unusable("it is a packed Parquet file; unpack it first".to_owned()));
        }
        if start.starts_with(BYTE_ORDER_MARK) {
            text.consume(BYTE_ORDER_MARK.len());
        }
        Ok(Content::Text(text))
    }

    fn read_text<E: From<IngestError>>(
        &self,
        reader: Box<dyn BufRead>,
        on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
    ) -> Result<(), E> {
        let csv = self.source.format == Format::Csv;
        let mut lines = Lines { reader, quotes: csv, text: Vec::new(), bytes: 0, count: 0 };
        let mut names = Vec::new();
        if csv && lines.advance().map_err(|cause| self.broken(cause))?.is_some() {
            names = self.column_names(&lines.text)?;
        }
        let decoder = Decoder::with_format(self.source, self.partition.clone(), self.source.format, &names);
        let mut deliveries = Deliveries { decoder, from_offset: 1, on_delivery };
        while let Some(offset) = lines.advance().map_err(|cause| self.broken(cause))? {
            let record = Record { offset, payload: Some(&lines.text), record_time: None };
            if lines.bytes > RECORD_BYTES_MAX as i64 {
                deliveries.decoder.decode_too_large(record, lines.bytes);
            } else {
                deliveries.decoder.decode(record);
            }
            deliveries.advance(lines.count + 1)?;
        }
        deliveries.finish(lines.count + 1)
    }

    /// The names in the first line of a CSV file.
    fn column_names(&self, line: &[u8]) -> Result<Vec<String>, IngestError> {
        let names = crate::decode::csv_fields(line)
            .ok_or_else(|| self.unusable("its first line is not UTF-8 text; save it as UTF-8".to_owned()))?;
        let wanted = self.pointers();
        if names.iter().any(|name| wanted.iter().any(|tokens| tokens.len() == 1 && tokens[0] == *name)) {
            return Ok(names);
        }
        let found = names.join(", ").chars().take(200).collect::<String>();
        let source = &self.source.id;
        Err(self.unusable(format!(
            "its first line names none of the columns that source {source} maps, found: {found}; correct the source or \
             add the line"
        )))
    }

    /// Every pointer of the mapping.
    fn pointers(&self) -> Vec<&[String]> {
        let origins = self.source.mapping.fields.values().map(|field| &field.origin);
        let pointers = origins.flat_map(|origin| match origin {
            Origin::Pointer(tokens) => vec![tokens.as_slice()],
            Origin::Joined { parts, .. } => parts.iter().map(Vec::as_slice).collect(),
            Origin::Constant(_) => Vec::new(),
        });
        pointers.collect()
    }

    fn read_parquet<E: From<IngestError>>(
        &self,
        file: File,
        on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
    ) -> Result<(), E> {
        let damaged = |error: &dyn std::fmt::Display| {
            self.unusable(format!("not readable as Parquet: {error}; write it again or convert it to CSV"))
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(&error))?;
        // Columns that no rule of the mapping names are not even read.
        let wanted = self.pointers();
        let roots = builder.schema().fields().iter().enumerate().filter_map(|(index, field)| {
            wanted.iter().any(|tokens| tokens.first().is_some_and(|token| token == field.name())).then_some(index)
        });
        let roots: Vec<usize> = roots.collect();
        if roots.is_empty() {
            let source = &self.source.id;
            Err(self.unusable(format!("it has none of the columns that source {source} maps; correct the source")))?;
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder.with_projection(mask).with_batch_size(PARQUET_BATCH_ROWS).build();
        let decoder = Decoder::with_format(self.source, self.partition.clone(), Format::Json, &[]);
        let mut deliveries = Deliveries { decoder, from_offset: 1, on_delivery };
        let mut rows = 0;
        let mut text = Vec::new();
        for batch in reader.map_err(|error| damaged(&error))? {
            let batch = batch.and_then(|batch| with_numeric_zones(&batch)).map_err(|error| damaged(&error))?;
            text.clear();
            let mut writer = WriterBuilder::new().with_explicit_nulls(false).build::<_, LineDelimited>(&mut text);
            writer.write(&batch).and_then(|()| writer.finish()).map_err(|error| damaged(&error))?;
            drop(writer);
            for line in text.split(|byte| *byte == b'\n').take(batch.num_rows()) {
                rows += 1;
                deliveries.decoder.decode(Record { offset: rows, payload: Some(line), record_time: None });
                deliveries.advance(rows + 1)?;
            }
        }
        deliveries.finish(rows + 1)
    }
}

/// The same batch with `+00:00` in place of its time zones' names, which the JSON writer need not know: the instants
/// stay the same.
fn with_numeric_zones(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if let DataType::Timestamp(unit, Some(_)) = field.data_type() {
            let data_type = DataType::Timestamp(*unit, Some("+00:00".into()));
            let data = column.to_data().into_builder().data_type(data_type.clone()).build()?;
            fields.push(field.as_ref().clone().with_data_type(data_type));
            columns.push(make_array(data));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Hands decoded records on whenever a batch is full.
struct Deliveries<'d, E> {
    decoder: Decoder,
    from_offset: i64,
    on_delivery: &'d mut dyn FnMut(Delivery) -> Result<(), E>,
}

impl<E: From<IngestError>> Deliveries<'_, E> {
    fn advance(&mut self, until_offset: i64) -> Result<(), E> {
        if self.decoder.is_full() {
            let delivery = self.decoder.take(self.from_offset, until_offset, false)?;
            self.from_offset = until_offset;
            (self.on_delivery)(delivery)?;
        }
        Ok(())
    }

    fn finish(mut self, until_offset: i64) -> Result<(), E> {
        let delivery = self.decoder.take(self.from_offset, until_offset, true)?;
        (self.on_delivery)(delivery)
    }
}

/// The records of a text: its lines, or with `quotes` (CSV) as many lines as it takes to close a quote.
struct Lines {
    reader: Box<dyn BufRead>,
    quotes: bool,
    /// The record without its line end; of one that is longer than `RECORD_BYTES_MAX`, the beginning.
    text: Vec<u8>,
    /// The record's whole length.
    bytes: i64,
    /// How many lines were read.
    count: i64,
}

impl Lines {
    /// Reads the next record; its offset is the number of its first line.
    fn advance(&mut self) -> io::Result<Option<i64>> {
        self.text.clear();
        let first = self.count + 1;
        let mut quoted = false;
        loop {
            let start = self.text.len();
            // Room for the line end, and for one byte that shows that the record is too long.
            let room = (RECORD_BYTES_MAX + 3).saturating_sub(start) as u64;
            let read = self.reader.by_ref().take(room).read_until(b'\n', &mut self.text)?;
            if read == 0 && start == 0 {
                return Ok(None);
            }
            let ended = self.text.last() == Some(&b'\n');
            self.count += i64::from(read > 0);
            quoted ^= self.quotes && quotes(&self.text[start..]) % 2 == 1;
            if read > 0 && ended && quoted && self.text.len() <= RECORD_BYTES_MAX {
                continue;
            }
            let skipped = if ended { 0 } else { self.skip_line()? };
            self.strip_line_end(ended);
            self.bytes = self.text.len() as i64 + skipped;
            return Ok(Some(first));
        }
    }

    fn strip_line_end(&mut self, ended: bool) {
        if ended {
            self.text.pop();
            if self.text.last() == Some(&b'\r') {
                self.text.pop();
            }
        }
    }

    /// Reads on to the end of the line without keeping it; returns how many bytes that were.
    fn skip_line(&mut self) -> io::Result<i64> {
        let mut skipped = 0;
        loop {
            let chunk = self.reader.fill_buf()?;
            let line_end = chunk.iter().position(|byte| *byte == b'\n');
            let length = line_end.unwrap_or(chunk.len());
            let done = line_end.is_some() || chunk.is_empty();
            skipped += length as i64;
            self.reader.consume(length + usize::from(line_end.is_some()));
            if done {
                return Ok(skipped);
            }
        }
    }
}

fn quotes(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'"').count()
}

#[cfg(test)]
mod tests;
