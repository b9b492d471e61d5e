//! Answers as text and bytes: a stream of record batches in, a stream of byte chunks out.
//!
//! Times are RFC 3339 in UTC, decimals keep all their digits, nothing measured is null (an empty field in CSV). Every
//! format but the text table is written batch by batch, so an answer of any length needs the memory of one batch.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_csv::WriterBuilder as CsvBuilder;
use arrow_ipc::writer::StreamWriter;
use arrow_json::WriterBuilder as JsonBuilder;
use arrow_json::writer::{JsonArray, LineDelimited, Writer as JsonWriter};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::arrow::compute::cast;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, TryStreamExt};

use crate::error::QueryError;

/// How times without a zone are written: all instants are UTC (R1).
const INSTANT: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// An aligned table for people. It needs the whole answer before its first line.
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    NdJson,
    /// Comma-separated values under a line of names.
    Csv,
    /// An Arrow IPC stream.
    ArrowStream,
}

impl Format {
    /// Every format: its name on the command line, and its media type.
    pub const ALL: [(Format, &'static str, &'static str); 5] = [
        (Format::Table, "table", "text/plain"),
        (Format::Json, "json", "application/json"),
        (Format::NdJson, "ndjson", "application/x-ndjson"),
        (Format::Csv, "csv", "text/csv"),
        (Format::ArrowStream, "arrow", "application/vnd.apache.arrow.stream"),
    ];

    /// Its media type, without parameters.
    pub fn media_type(self) -> &'static str {
        Format::ALL[self as usize].2
    }

    /// Every format, in the order in which ranges of media types are taken to mean them.
    const PREFERRED: [Format; 5] = [Format::Json, Format::Table, Format::NdJson, Format::Csv, Format::ArrowStream];

    /// The format that an `Accept` header likes best; of equals the one whose range stands first, and of those of one
    /// range JSON or else the table. `None` when nothing fits. What a header says of a format is what its most specific
    /// range says, wherever that stands (RFC 9110, 12.5.1).
    pub fn accepted(accept: &str) -> Option<Format> {
        let accept = accept.to_ascii_lowercase();
        let ranges: Vec<(&str, f32)> = accept.split(',').map(media_range).collect();
        let liked = Format::PREFERRED.into_iter().filter_map(|format| {
            let says = |(place, (range, quality)): (usize, &(&str, f32))| Some((format.fits(range)?, place, *quality));
            let said = ranges.iter().enumerate().filter_map(says);
            let (_, place, quality) = said.max_by_key(|(closeness, ..)| *closeness)?;
            (quality > 0.0).then_some((format, place, quality))
        });
        let best = liked.min_by(|(_, place, quality), (_, other_place, other_quality)| {
            other_quality.total_cmp(quality).then(place.cmp(other_place))
        });
        best.map(|(format, ..)| format)
    }

    /// How closely a range of media types tells it; `None` when it is not among them.
    fn fits(self, range: &str) -> Option<u8> {
        let media_type = self.media_type();
        match range {
            "*/*" | "" => Some(0),
            "application/jsonl" | "application/jsonlines" => (self == Format::NdJson).then_some(2),
            range if range == media_type => Some(2),
            range => {
                range.strip_suffix('*').filter(|kind| kind.ends_with('/') && media_type.starts_with(kind)).map(|_| 1)
            }
        }
    }
}

/// A range of an `Accept` header, and how well it is liked; what cannot be read as that is not.
fn media_range(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    (name, quality.map_or(1.0, |quality| quality.parse().unwrap_or_default()))
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(Format::ALL[*self as usize].1)
    }
}

impl FromStr for Format {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Format, QueryError> {
        Format::ALL.iter().find(|(_, name, _)| *name == text).map(|(format, ..)| *format).ok_or_else(|| {
            let names: Vec<_> = Format::ALL.iter().map(|(_, name, _)| *name).collect();
            QueryError::Invalid(format!("found format {text}, allowed are {}", names.join(", ")))
        })
    }
}

/// Writes an answer in a format, chunk by chunk. The chunks put together are one complete document. The first has
/// rows, if there are any.
///
/// # Errors
/// The stream ends with an error where the answer does; what came before is then an incomplete document.
pub fn encode(
    answer: SendableRecordBatchStream,
    format: Format,
) -> impl Stream<Item = Result<Bytes, QueryError>> + Send + 'static {
    enum Step {
        Begin(SendableRecordBatchStream),
        Rows(SendableRecordBatchStream, Box<Encoder>),
        Done,
    }
    futures::stream::try_unfold(Step::Begin(answer), move |step| async move {
        let (chunk, step) = match step {
            Step::Begin(answer) => {
                let encoder = Encoder::new(format, &answer.schema()).map_err(unwritable)?;
                (Vec::new(), Step::Rows(answer, Box::new(encoder)))
            }
            Step::Rows(mut answer, mut encoder) => match answer.try_next().await? {
                Some(batch) => {
                    encoder.write(&batch).map_err(unwritable)?;
                    (encoder.take(), Step::Rows(answer, encoder))
                }
                None => (encoder.finish().map_err(unwritable)?, Step::Done),
            },
            Step::Done => return Ok(None),
        };
        Ok(Some((Bytes::from(chunk), step)))
    })
    .try_filter(|chunk| std::future::ready(!chunk.is_empty()))
}

/// Writes rows that are at hand in a format, as one complete document.
///
/// # Errors
/// When a value cannot be written in the format.
pub fn encode_batch(batch: &RecordBatch, format: Format) -> Result<Vec<u8>, QueryError> {
    let mut encoder = Encoder::new(format, &batch.schema()).map_err(unwritable)?;
    encoder.write(batch).map_err(unwritable)?;
    let mut written = encoder.take();
    written.extend(encoder.finish().map_err(unwritable)?);
    Ok(written)
}

/// The values of a row as people read them; nothing is empty.
///
/// # Errors
/// When a value has no words, such as a map.
pub fn texts(batch: &RecordBatch, row: usize) -> Result<Vec<String>, QueryError> {
    let options = FormatOptions::default().with_timestamp_format(Some(INSTANT));
    let text = |column: &ArrayRef| Ok(ArrayFormatter::try_new(column, &options)?.value(row).to_string());
    batch.columns().iter().map(text).collect::<Result<_, ArrowError>>().map_err(unwritable)
}

/// The writer of one format, with what it has written since it was last emptied.
enum Encoder {
    Table(Vec<RecordBatch>),
    Json(JsonWriter<Vec<u8>, JsonArray>),
    NdJson(JsonWriter<Vec<u8>, LineDelimited>),
    Csv(Vec<u8>),
    ArrowStream(StreamWriter<Vec<u8>>, SchemaRef),
}

impl Encoder {
    /// A writer that has written what stands before the first row.
    fn new(format: Format, schema: &SchemaRef) -> Result<Encoder, ArrowError> {
        // Nulls are written out, so that every object of an answer has the same members.
        let json = JsonBuilder::new().with_explicit_nulls(true).with_timestamp_format(INSTANT.to_owned());
        Ok(match format {
            // The table's head, also when no batch follows.
            Format::Table => Encoder::Table(vec![RecordBatch::new_empty(schema.clone())]),
            Format::Json => Encoder::Json(json.build(Vec::new())),
            Format::NdJson => Encoder::NdJson(json.build(Vec::new())),
            Format::Csv => {
                let mut lines = Vec::new();
                csv(true).build(&mut lines).write(&RecordBatch::new_empty(schema.clone()))?;
                Encoder::Csv(lines)
            }
            Format::ArrowStream => {
                let schema = plain_schema(schema);
                Encoder::ArrowStream(StreamWriter::try_new(Vec::new(), &schema)?, schema)
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match self {
            Encoder::Table(batches) => batches.push(batch.clone()),
            Encoder::Json(writer) => writer.write(batch)?,
            Encoder::NdJson(writer) => writer.write(batch)?,
            Encoder::Csv(lines) => csv(false).build(lines).write(batch)?,
            Encoder::ArrowStream(writer, schema) => writer.write(&plain_batch(batch, schema)?)?,
        }
        Ok(())
    }

    /// What was written since the last call.
    fn take(&mut self) -> Vec<u8> {
        match self {
            Encoder::Table(_) => Vec::new(),
            Encoder::Json(writer) => std::mem::take(writer.get_mut()),
            Encoder::NdJson(writer) => std::mem::take(writer.get_mut()),
            Encoder::Csv(lines) => std::mem::take(lines),
            Encoder::ArrowStream(writer, _) => std::mem::take(writer.get_mut()),
        }
    }

    /// What stands after the last row.
    fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        match &mut self {
            Encoder::Table(batches) => {
                let options = FormatOptions::default().with_timestamp_format(Some(INSTANT));
                return Ok(format!("{}\n", pretty_format_batches_with_options(batches, &options)?).into_bytes());
            }
            Encoder::Json(writer) => {
                writer.finish()?;
                writer.get_mut().push(b'\n');
            }
            Encoder::NdJson(writer) => writer.finish()?,
            Encoder::Csv(_) => {}
            Encoder::ArrowStream(writer, _) => writer.finish()?,
        }
        Ok(self.take())
    }
}

fn csv(header: bool) -> CsvBuilder {
    CsvBuilder::new().with_header(header).with_timestamp_format(INSTANT.to_owned())
}

/// The schema with plain strings for views, which clients older than Arrow 1.4 of the format cannot read.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8View => field.as_ref().clone().with_data_type(DataType::Utf8),
        DataType::BinaryView => field.as_ref().clone().with_data_type(DataType::Binary),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The same of rows.
///
/// # Errors
/// When the schema is not theirs.
pub(crate) fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

/// A type that a format has no words for, such as a map in CSV.
fn unwritable(error: ArrowError) -> QueryError {
    QueryError::Invalid(format!("the answer cannot be written in this format: {error}"))
}
