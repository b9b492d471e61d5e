//! One CSV record's text into raw values.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader};
use plimsoll_schemas::delivery::DeadLetterReason;

use super::raw::Raw;
use super::rejection::Rejection;

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
            return Err(wrong(format!("{at_least}{count} columns, expected {expected}, one for each column's name")));
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

/// The fields of one CSV record as texts; `None` when they are not UTF-8.
pub(crate) fn csv_fields(line: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new();
    let mut unquoted = vec![0; line.len() + 1];
    let mut ends = vec![0; line.len() + 2];
    let (_, _, written, count) = reader.read_record(line, &mut unquoted, &mut ends);
    let more = reader.read_record(&[], &mut unquoted[written..], &mut ends[count..]).3;
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let spans = starts.zip(&ends).take(count + more);
    spans.map(|(start, &end)| String::from_utf8(unquoted[start..end].to_vec()).ok()).collect()
}
