//! The rows of a Parquet file as records: JSON objects.
//!
//! A null is a field that is not there, a time is RFC 3339, and bytes are the UTF-8 text that they hold, because many
//! programs write their texts as bytes without more ado; only what is declared a UUID is written as one. What is no
//! number (`NaN`) is a text, so that it is refused like one unless the mapping says that it means nothing. Columns that no
//! rule of the mapping names are not even read.

use std::fmt::Debug;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{
    Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StructArray, make_array,
};
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::LogicalType;
use plimsoll_schemas::delivery::DeadLetterReason;
use plimsoll_schemas::guard::guarded;

use super::{Found, Records};
use crate::decode::Rejection;

/// Rows that are turned into JSON at once. Their text must stay in cache, and a row may be wide.
const BATCH_ROWS: usize = 1_024;

/// How much text is written at once, apart from its last row: a file may refer to one long text from many rows, and is much
/// smaller than what it says then.
const TEXT_BYTES: usize = 4 << 20;

/// The rows of a file, one after the other.
pub(super) struct Rows {
    reader: ParquetRecordBatchReader,
    /// What is not yet written of the batch that was read last.
    rest: Option<RecordBatch>,
    /// How a column is written, and how one of UUIDs is.
    options: [EncoderOptions; 2],
    uuids: Vec<String>,
    /// The rows that were written last.
    text: Vec<u8>,
    /// Where each of them ends in the text, and what is wrong with it.
    rows: Vec<(usize, Option<Rejection>)>,
    /// How many of them were read.
    read: usize,
    count: i64,
    failure: Option<ArrowError>,
}

impl Rows {
    /// The rows of a file of whose columns `pointers` need some.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(super) fn new(file: ParquetRecordBatchReaderBuilder<File>, pointers: &[&[String]]) -> Result<Rows, ArrowError> {
        let leaves = file.parquet_schema().columns();
        let uuids = leaves.iter().filter(|leaf| leaf.logical_type_ref() == Some(&LogicalType::Uuid));
        let uuids = uuids.map(|leaf| leaf.path().string()).collect();
        let paths = pointers.iter().filter_map(|tokens| path(file.schema().fields(), tokens));
        let paths: Vec<_> = paths.collect();
        let wanted = (0..leaves.len()).filter(|leaf| {
            let parts = leaves[*leaf].path().parts();
            paths.iter().any(|path| parts.starts_with(path))
        });
        let mask = ProjectionMask::leaves(file.parquet_schema(), wanted);
        let reader = guarded(|| file.with_projection(mask).with_batch_size(BATCH_ROWS).build())?;
        let options = [Bytes::Text, Bytes::Uuid];
        let options = options.map(|bytes| EncoderOptions::default().with_encoder_factory(Arc::new(bytes)));
        let (text, rows) = (Vec::new(), Vec::new());
        Ok(Rows { reader, rest: None, options, uuids, text, rows, read: 0, count: 0, failure: None })
    }

    /// Why the rows could not be read to their end, if so.
    pub(super) fn into_failure(self) -> Option<ArrowError> {
        self.failure
    }

    /// Writes rows of what is left of a batch, or of the next one; false at the file's end.
    fn write_next(&mut self) -> Result<bool, ArrowError> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.reader.next() {
                Some(batch) => batch?,
                None => return Ok(false),
            },
        };
        self.write(&batch).map(|()| true)
    }

    /// Writes rows of a batch and keeps the rest.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let schema = batch.schema();
        let arrays = batch.columns().iter().map(with_numeric_zones).collect::<Result<Vec<_>, _>>()?;
        let columns = schema.fields().iter().zip(&arrays).map(|(field, array)| {
            let options = &self.options[usize::from(self.uuids.contains(field.name()))];
            Ok((field.name().as_str(), make_encoder(field, array, options)?))
        });
        let mut columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        for row in 0..batch.num_rows() {
            let fault = write_row(row, &mut columns, &mut self.text);
            self.rows.push((self.text.len(), fault));
            if self.text.len() >= TEXT_BYTES {
                break;
            }
        }
        let written = self.rows.len();
        self.rest = (written < batch.num_rows()).then(|| batch.slice(written, batch.num_rows() - written));
        Ok(())
    }
}

impl Records for Rows {
    fn advance(&mut self) -> Option<Found> {
        while self.read == self.rows.len() && self.failure.is_none() {
            self.text.clear();
            self.rows.clear();
            self.read = 0;
            match guarded(|| self.write_next()) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => self.failure = Some(error),
            }
        }
        let (_, fault) = self.rows.get_mut(self.read)?;
        let fault = fault.take();
        self.read += 1;
        self.count += 1;
        Some(Found { offset: self.count, bytes: self.text().len() as i64, fault })
    }

    fn text(&self) -> &[u8] {
        let end = |rows: usize| rows.checked_sub(1).map_or(0, |last| self.rows[last].0);
        &self.text[end(self.read.saturating_sub(1))..end(self.read)]
    }

    fn count(&self) -> i64 {
        self.count
    }

    fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

/// Reads what a Parquet file says of itself.
///
/// # Errors
/// When the file is damaged.
pub(super) fn open(file: File) -> Result<ParquetRecordBatchReaderBuilder<File>, ArrowError> {
    // The writer's own schema says nothing that values need.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    guarded(|| Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?))
}

/// The part of a pointer that names columns: what follows a list or a map is found in each row.
fn path(fields: &Fields, tokens: &[String]) -> Option<Vec<String>> {
    let (token, rest) = tokens.split_first()?;
    let field = fields.iter().find(|field| field.name() == token)?;
    let below = match field.data_type() {
        DataType::Struct(fields) if !rest.is_empty() => path(fields, rest)?,
        _ => Vec::new(),
    };
    Some([vec![token.clone()], below].concat())
}

/// The same array with `+00:00` in place of its time zones' names, which the JSON writer need not know: the instants
/// stay the same.
fn with_numeric_zones(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let data_type = DataType::Timestamp(*unit, Some("+00:00".into()));
            Ok(make_array(array.to_data().into_builder().data_type(data_type).build()?))
        }
        DataType::Struct(fields) => {
            let structure = array.as_struct();
            let columns = structure.columns().iter().map(with_numeric_zones).collect::<Result<Vec<_>, _>>()?;
            let fields = fields.iter().zip(&columns);
            let fields =
                fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()));
            Ok(Arc::new(StructArray::try_new(fields.collect(), columns, structure.nulls().cloned())?))
        }
        _ => Ok(array.clone()),
    }
}

/// Writes one row of all columns, each with its name, and says if it is no text.
fn write_row(row: usize, columns: &mut [(&str, NullableEncoder<'_>)], text: &mut Vec<u8>) -> Option<Rejection> {
    let mut fault = None;
    let mut separator = b'{';
    for (name, encoder) in columns.iter_mut().filter(|(_, encoder)| !encoder.is_null(row)) {
        text.push(separator);
        separator = b',';
        write_text(name.as_bytes(), text);
        text.push(b':');
        let start = text.len();
        encoder.encode(row, text);
        if std::str::from_utf8(&text[start..]).is_err() {
            let detail = format!("column {name}: its bytes are not UTF-8; write it as text, e.g. in hexadecimal");
            fault = Some(Rejection { reason: DeadLetterReason::InvalidUtf8, detail });
        }
    }
    text.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
    fault
}

/// Writes bytes as a JSON text, which it is if the bytes are UTF-8.
fn write_text(bytes: &[u8], text: &mut Vec<u8>) {
    text.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            // Writing into a list of bytes cannot fail.
            0..0x20 => drop(write!(text, "\\u{byte:04x}")),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
}

/// How bytes are written.
#[derive(Clone, Copy, Debug)]
enum Bytes {
    /// As the text that they are.
    Text,
    /// As 32 hexadecimal digits in five groups.
    Uuid,
}

impl EncoderFactory for Bytes {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Binary => Box::new(BytesEncoder(*self, array.as_binary::<i32>())),
            DataType::LargeBinary => Box::new(BytesEncoder(*self, array.as_binary::<i64>())),
            DataType::BinaryView => Box::new(BytesEncoder(*self, array.as_binary_view())),
            DataType::FixedSizeBinary(_) => Box::new(BytesEncoder(*self, array.as_fixed_size_binary())),
            DataType::Float16 => Box::new(FloatEncoder(array.as_primitive::<Float16Type>())),
            DataType::Float32 => Box::new(FloatEncoder(array.as_primitive::<Float32Type>())),
            DataType::Float64 => Box::new(FloatEncoder(array.as_primitive::<Float64Type>())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct BytesEncoder<A>(Bytes, A);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for BytesEncoder<A> {
    fn encode(&mut self, row: usize, text: &mut Vec<u8>) {
        let BytesEncoder(bytes, array) = self;
        let value = array.value(row);
        match bytes {
            Bytes::Text => write_text(value, text),
            Bytes::Uuid => {
                text.push(b'"');
                for (place, byte) in value.iter().enumerate() {
                    let hyphen = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
                    // Writing into a list of bytes cannot fail.
                    let _ = write!(text, "{hyphen}{byte:02x}");
                }
                text.push(b'"');
            }
        }
    }
}

/// Writes what is no number (`NaN`, `inf`, `-inf`) as a text, of which JSON has no other word but null.
struct FloatEncoder<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

impl<T: ArrowPrimitiveType<Native: Debug>> Encoder for FloatEncoder<'_, T> {
    fn encode(&mut self, row: usize, text: &mut Vec<u8>) {
        let start = text.len();
        // Writing into a list of bytes cannot fail.
        let _ = write!(text, "{:?}", self.0.value(row));
        if matches!(text.last(), Some(b'N' | b'f')) {
            text.insert(start, b'"');
            text.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests;
