//! One CSV record's text into raw values.
//!
//! Records are those of RFC 4180, read as leniently as the `csv` crate reads them: a quote opens a quoted field where
//! the field begins and nowhere else, so that the one in `5" pipe` is a letter like any other. [`Place`] says the same
//! byte by byte, for those who must know where a record ends.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader};
use plimsoll_schemas::delivery::DeadLetterReason;

use super::raw::Raw;
use super::rejection::Rejection;

/// What an editor may put before the first line of a text, and `csv_core` does not count among a record's letters.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where in a record a byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the first byte of a field.
    #[default]
    FieldStart,
    /// In a field without quotes, or behind the quotes of one that has them.
    Bare,
    /// Between the quotes of a field.
    Quoted,
    /// Behind a quote in a quoted field: the one that closes it, or the first of two that stand for one.
    QuoteInQuoted,
}

impl Place {
    /// Where the byte after `byte` stands.
    #[inline]
    pub(crate) fn after(self, byte: u8) -> Place {
        match (self, byte) {
            (Place::FieldStart | Place::QuoteInQuoted, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::QuoteInQuoted,
            (Place::Quoted, _) => Place::Quoted,
            (_, b',' | b'\r' | b'\n') => Place::FieldStart,
            _ => Place::Bare,
        }
    }
}

/// True when a quoted field of the record `text` is never closed.
fn ends_quoted(text: &[u8]) -> bool {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // The search for a quote is much faster than the walk, and most records have none.
    text.contains(&b'"') && text.iter().fold(Place::default(), |place, byte| place.after(*byte)) == Place::Quoted
}

/// A reader of single CSV records whose columns have these names.
#[derive(Clone, Debug)]
pub(super) struct CsvReader {
    /// For each column of the record, the slot that wants it.
    slots: Vec<Option<usize>>,
    reader: Reader,
    ends: Vec<usize>,
}

impl CsvReader {
    /// A reader of the columns `names`; the value of the column that is called like the one token of `pointers[n]`
    /// goes to slot `n`.
    pub(super) fn new(names: &[String], pointers: &[Vec<String>]) -> CsvReader {
        let slot = |name: &String| pointers.iter().position(|tokens| tokens.len() == 1 && tokens[0] == *name);
        let slots: Vec<_> = names.iter().map(slot).collect();
        // One more than needed, so that a record with too many columns shows itself.
        let ends = vec![0; slots.len() + 1];
        CsvReader { slots, reader: Reader::new(), ends }
    }

    /// Reads the record `text` into `slots`, whose values borrow from `unquoted`, a buffer to be used again.
    ///
    /// # Errors
    /// `Malformed` when it is not one record of as many columns as there are names.
    pub(super) fn read<'b>(
        &mut self,
        text: &str,
        unquoted: &'b mut Vec<u8>,
        slots: &mut [Raw<'b>],
    ) -> Result<(), Box<Rejection>> {
        let wrong = |what: String| Rejection::new(DeadLetterReason::Malformed, what);
        if ends_quoted(text.as_bytes()) {
            return Err(wrong("a quoted field is never closed".to_owned()));
        }
        unquoted.resize(text.len().max(unquoted.len()), 0);
        self.reader.reset();
        let (result, read, mut written, mut count) = self.reader.read_record(text.as_bytes(), unquoted, &mut self.ends);
        if result == ReadRecordResult::Record && !text[read..].trim_ascii().is_empty() {
            return Err(wrong("more than one line, where a record is one".to_owned()));
        }
        if result == ReadRecordResult::InputEmpty {
            // An empty input says that the text is over, which ends its last column.
            let (_, _, last_written, last_count) =
                self.reader.read_record(&[], &mut unquoted[written..], &mut self.ends[count..]);
            written += last_written;
            count += last_count;
        }
        if count != self.slots.len() {
            let at_least = if count > self.slots.len() { "at least " } else { "" };
            let expected = self.slots.len();
            // A quote may have taken in more lines than were meant.
            let lines = text.trim_ascii_end().lines().count();
            let within = if lines > 1 { format!(" in {lines} lines") } else { String::new() };
            return Err(wrong(format!(
                "{at_least}{count} columns{within}, expected {expected}, one for each column's name"
            )));
        }
        // Beyond that stand the ends of earlier, longer records.
        let Ok(unquoted) = std::str::from_utf8(&unquoted[..written]) else {
            return Err(wrong("a quote splits a character".to_owned()));
        };
        let mut start = 0;
        for (slot, &end) in self.slots.iter().zip(&self.ends) {
            if let Some(slot) = *slot {
                slots[slot] = Raw::Text(Cow::Borrowed(&unquoted[start..end]));
            }
            start = end;
        }
        Ok(())
    }
}

/// The names in the first line of a CSV file.
///
/// # Errors
/// What is wrong with the line and what to do.
pub(crate) fn column_names(line: &[u8]) -> Result<Vec<String>, &'static str> {
    let mut reader = Reader::new();
    let mut unquoted = vec![0; line.len() + 1];
    let mut ends = vec![0; line.len() + 2];
    let (_, read, written, count) = reader.read_record(line, &mut unquoted, &mut ends);
    let more = reader.read_record(&[], &mut unquoted[written..], &mut ends[count..]).3;
    if !line[read..].trim_ascii().is_empty() {
        return Err("is ended by a carriage return alone; save the file with line feeds");
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let names = starts.zip(&ends).take(count + more).map(|(start, &end)| unquoted[start..end].to_vec());
    names.map(String::from_utf8).collect::<Result<_, _>>().map_err(|_| "is not UTF-8 text; save the file as UTF-8")
}
