//! Files as a source: newline-delimited JSON, CSV and Parquet, the first two plain or packed by gzip or zstd.
//!
//! What comes in: a path and the source that maps it. What goes out: deliveries of at most `BATCH_ROWS_MAX` records,
//! in order; after the last of them the file is complete for ever. The topic is its name without the folder and the
//! partition is 0. A record's offset is the number of its (first) line, counted from 1 as editors do, or of its row in a
//! Parquet file.
//!
//! Packing and Parquet are recognised by a file's first bytes, whatever its name; the source says whether text is JSON
//! or CSV. Memory is bounded by the batch and by `RECORD_BYTES_MAX`, whatever the file.
//!
//! A file that cannot be read to its end is an error, after the records before that place were handed on.
//!
//! Modules in reading order: `lines` cuts a text into records; `rows` writes the rows of a Parquet file as records.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::nearest;
use plimsoll_schemas::definition::source::{Format, Mapping, Origin, Source};
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::EventColumn;

use crate::decode::{BYTE_ORDER_MARK, Decoder, Record, Rejection, column_names};
use crate::error::IngestError;

mod lines;
mod rows;

use lines::Lines;
use rows::Rows;

/// How much of a file is read at once: large enough that system calls vanish.
const READ_BYTES: usize = 256 * 1024;

/// How many characters of a first line a message repeats.
const NAMES_CHARS_MAX: usize = 200;

/// A column that the source maps and the file does not have. It may be meant, because not every file has every column;
/// or it is a slip of the pen, because of which a field of all its events is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumn {
    /// Its name in the mapping.
    pub name: String,
    /// The field that it would fill.
    pub field: &'static str,
    /// The file's column that is called most like it.
    pub nearest: Option<String>,
}

impl fmt::Display for MissingColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no column {}, which its source maps to {}", self.name, self.field)?;
        self.nearest.iter().try_for_each(|nearest| write!(formatter, "; perhaps {nearest} is meant"))
    }
}

/// Reads a whole file through `source` and hands each delivery on before it reads further. Returns the columns that a
/// CSV or Parquet file lacks, each once, in the order of the fields; of the plain form, which no file has in full,
/// none.
///
/// # Errors
/// Those of `on_delivery`, at once; and `IngestError` when the file cannot be read or is damaged. Records that cannot
/// be used are dead letters in the deliveries.
pub fn read_file<E: From<IngestError>>(
    path: &Path,
    source: &Arc<Source>,
    on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
) -> Result<Vec<MissingColumn>, E> {
    let opened = Opened::new(path, source)?;
    match opened.content()? {
        Content::Parquet(file) => opened.read_parquet(file, on_delivery),
        Content::Text(text) => opened.read_text(text, on_delivery),
    }
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
    Text(Text),
}

/// A text and the program that packed it, if any did.
struct Text {
    reader: Box<dyn BufRead>,
    packed_by: Option<&'static str>,
}

impl<'f> Opened<'f> {
    fn new(path: &'f Path, source: &'f Source) -> Result<Opened<'f>, IngestError> {
        let Some(name) = path.file_name() else {
            return Err(IngestError::Format { path: path.to_owned(), detail: "it names no file; name one".to_owned() });
        };
        let partition = PartitionId { topic: name.to_string_lossy().into(), partition: 0 };
        Ok(Opened { path, source, partition })
    }

    fn unusable(&self, detail: String) -> IngestError {
        IngestError::Format { path: self.path.to_owned(), detail }
    }

    /// A text that ends for `cause` after so many lines.
    fn cut_off(&self, line: i64, packed_by: Option<&str>, cause: io::Error) -> IngestError {
        let advice = match packed_by {
            // Only the operating system's errors have a number; the others are those of the decompressor.
            Some(program) if cause.raw_os_error().is_none() => {
                format!(
                    "its {program} data seems damaged or cut off: test it with {program} -t, and get an intact copy"
                )
            }
            _ => "check the disk or the network, and try again".to_owned(),
        };
        IngestError::CutOff { path: self.path.to_owned(), line, cause, advice }
    }

    /// Opens the file and looks at its first bytes.
    fn content(&self) -> Result<Content, IngestError> {
        let broken = |cause| IngestError::File { path: self.path.to_owned(), cause };
        let mut file = File::open(self.path).map_err(broken)?;
        let magic = first_bytes(&mut file).map_err(broken)?;
        if magic == b"PAR1" {
            let advice = "it is Parquet, which is not read from a pipe; save it as a file";
            file.rewind().map_err(|_| self.unusable(advice.to_owned()))?;
            return Ok(Content::Parquet(file));
        }
        let file = Cursor::new(magic.clone()).chain(file);
        let (unpacked, packed_by): (Box<dyn Read>, _) = match magic.as_slice() {
            [0x1f, 0x8b, ..] => (Box::new(flate2::read::MultiGzDecoder::new(file)), Some("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                (Box::new(zstd::stream::read::Decoder::new(file).map_err(broken)?), Some("zstd"))
            }
            _ => (Box::new(file), None),
        };
        let mut reader = BufReader::with_capacity(READ_BYTES, unpacked);
        let mut start = first_bytes(&mut reader).map_err(|cause| self.cut_off(0, packed_by, cause))?;
        match start.as_slice() {
            b"PAR1" => return Err(self.unusable("it is a packed Parquet file; unpack it first".to_owned())),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(self.unusable("it is UTF-16 text; save it as UTF-8".to_owned()));
            }
            _ if start.starts_with(BYTE_ORDER_MARK) => drop(start.drain(..BYTE_ORDER_MARK.len())),
            _ => {}
        }
        Ok(Content::Text(Text { reader: Box::new(Cursor::new(start).chain(reader)), packed_by }))
    }

    fn read_text<E: From<IngestError>>(
        &self,
        text: Text,
        on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
    ) -> Result<Vec<MissingColumn>, E> {
        let format = self.source.format;
        let mut lines = Lines::new(text.reader, format == Format::Csv);
        let names = if format == Format::Csv { self.header(&mut lines)? } else { Vec::new() };
        let decoder = Decoder::with_format(self.source, self.partition.clone(), format, &names);
        deliver(&mut lines, decoder, on_delivery)?;
        let line = lines.count();
        match lines.into_failure() {
            Some(cause) => Err(self.cut_off(line, text.packed_by, cause).into()),
            None => Ok(self.missing_columns(&names)),
        }
    }

    /// The names in the first line of a CSV file; none when the file is empty.
    fn header(&self, lines: &mut Lines) -> Result<Vec<String>, IngestError> {
        let unusable = |what: &str| self.unusable(format!("its first line {what}"));
        let Some(found) = lines.advance() else { return Ok(Vec::new()) };
        if let Some(fault) = found.fault {
            return Err(unusable(&format!("does not name its columns: {}; correct that line", fault.detail)));
        }
        let names = column_names(lines.text()).map_err(unusable)?;
        self.check_names(&names, "its first line does not name", "add that line, or correct the source")?;
        let twice = names.iter().enumerate().find(|(place, name)| self.wants(name) && names[..*place].contains(name));
        match twice {
            Some((_, name)) => Err(unusable(&format!("names the column {name} twice; give one of them another name"))),
            None => Ok(names),
        }
    }

    /// Whether the columns of these names are those of the source: among them must be that of the time, without which
    /// there is no event, or any of them when the time stands in none.
    fn check_names(&self, names: &[String], complaint: &str, advice: &str) -> Result<(), IngestError> {
        let is_named = |tokens: &&[String]| tokens.first().is_some_and(|token| names.contains(token));
        let time = self.source.mapping.fields.get(&EventColumn::Time).map(|field| pointers(&field.origin));
        let mut wanted = time.unwrap_or_default();
        wanted.retain(|tokens| !is_named(tokens));
        let pointers = self.pointers();
        if wanted.is_empty() {
            if pointers.iter().any(is_named) {
                return Ok(());
            }
            wanted = pointers;
        }
        let wanted: Vec<_> = wanted.iter().filter_map(|tokens| tokens.first().cloned()).collect();
        let excerpt = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", ").chars().take(NAMES_CHARS_MAX).collect(),
        };
        let (wanted, found) = (excerpt(&wanted), excerpt(names));
        let source = &self.source.id;
        Err(self.unusable(format!(
            "{complaint} the columns that source {source} maps: expected {wanted} among them, found {found}; {advice}"
        )))
    }

    /// The columns of the mapping that are not among these names; none when there are no names.
    fn missing_columns(&self, names: &[String]) -> Vec<MissingColumn> {
        let fields = &self.source.mapping.fields;
        let mut missing: Vec<MissingColumn> = Vec::new();
        if names.is_empty() || fields.len() == Mapping::plain().fields.len() {
            return missing;
        }
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        for (column, field) in fields {
            for name in pointers(&field.origin).iter().filter_map(|tokens| tokens.first()) {
                if !names.contains(name) && missing.iter().all(|known| known.name != *name) {
                    let nearest = nearest(name, &words).map(str::to_owned);
                    missing.push(MissingColumn { name: name.clone(), field: column.field_name(), nearest });
                }
            }
        }
        missing
    }

    fn wants(&self, name: &str) -> bool {
        self.pointers().iter().any(|tokens| tokens.len() == 1 && tokens[0] == name)
    }

    /// Every pointer of the mapping.
    fn pointers(&self) -> Vec<&[String]> {
        self.source.mapping.fields.values().flat_map(|field| pointers(&field.origin)).collect()
    }

    fn read_parquet<E: From<IngestError>>(
        &self,
        file: File,
        on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
    ) -> Result<Vec<MissingColumn>, E> {
        let damaged = |row: i64, error: &dyn fmt::Display| {
            self.unusable(format!(
                "not readable as Parquet beyond row {row}: {error}; write it again or convert it to CSV"
            ))
        };
        let file = rows::open(file).map_err(|error| damaged(0, &error))?;
        let names: Vec<_> = file.schema().fields().iter().map(|field| field.name().clone()).collect();
        self.check_names(&names, "it does not have", "correct the source")?;
        let mut rows = Rows::new(file, &self.pointers()).map_err(|error| damaged(0, &error))?;
        let decoder = Decoder::with_format(self.source, self.partition.clone(), Format::Json, &[]);
        deliver(&mut rows, decoder, on_delivery)?;
        let row = rows.count();
        match rows.into_failure() {
            Some(error) => Err(damaged(row, &error).into()),
            None => Ok(self.missing_columns(&names)),
        }
    }
}

/// The first four bytes, or as many as there are.
fn first_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4);
    reader.take(4).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The pointers of one rule.
fn pointers(origin: &Origin) -> Vec<&[String]> {
    match origin {
        Origin::Pointer(tokens) => vec![tokens.as_slice()],
        Origin::Joined { parts, .. } => parts.iter().map(Vec::as_slice).collect(),
        Origin::Constant(_) => Vec::new(),
    }
}

/// The records of a file, one after the other.
trait Records {
    /// Goes to the next record; `None` at the end, and where reading fails.
    fn advance(&mut self) -> Option<Found>;

    /// The record's bytes; of one that is not decoded perhaps only the beginning.
    fn text(&self) -> &[u8];

    /// How many lines or rows the records so far had.
    fn count(&self) -> i64;

    /// True when the end is not that of the file.
    fn has_failed(&self) -> bool;
}

/// What is known of a record beside its bytes.
struct Found {
    /// The number of its first line or of its row, counted from 1.
    offset: i64,
    /// Its whole length in bytes.
    bytes: i64,
    /// Why it cannot be decoded, if that is known already.
    fault: Option<Rejection>,
}

/// Decodes records and hands them on whenever a batch is full, and at the end.
fn deliver<E: From<IngestError>>(
    records: &mut dyn Records,
    mut decoder: Decoder,
    on_delivery: &mut dyn FnMut(Delivery) -> Result<(), E>,
) -> Result<(), E> {
    let mut from_offset = 1;
    while let Some(found) = records.advance() {
        let record = Record { offset: found.offset, payload: Some(records.text()), record_time: None };
        match found.fault {
            None => decoder.decode(record),
            Some(fault) => decoder.reject(record, found.bytes, fault),
        }
        if decoder.is_full() {
            let until_offset = records.count() + 1;
            on_delivery(decoder.take(from_offset, until_offset, None)?)?;
            from_offset = until_offset;
        }
    }
    // Nothing is added to a file, whatever time it is.
    let complete_until = (!records.has_failed()).then_some(Instant(i64::MAX));
    on_delivery(decoder.take(from_offset, records.count() + 1, complete_until)?)
}

#[cfg(test)]
mod tests;
