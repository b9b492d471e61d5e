//! The records of a text: its lines, and in CSV as many lines as a quoted field takes.
//!
//! A quote that is never closed must not swallow the rest of a file. So lines are joined only while a quoted field is
//! open, and when it turns out that its quote is never closed, the record ends with the line in which it was opened:
//! that much is a dead letter, and the lines after it are read again as records of their own. A quote is never closed
//! when the text ends before, when the record becomes longer than `RECORD_BYTES_MAX`, or when the first quote in a
//! later line has text behind it, where RFC 4180 allows a comma or the line's end alone: then it is the opening quote
//! of another field.
//!
//! Memory is bounded by one record, which is also all that is ever read again; and since the lines read again open no
//! quote but perhaps in the last of them, no line is read more than twice.

use std::io::{self, BufRead, Chain, Cursor, Read};

use plimsoll_schemas::delivery::DeadLetterReason;

use super::{Found, Records};
use crate::decode::{BYTE_ORDER_MARK, Place, RECORD_BYTES_MAX, Rejection, too_large};

/// The records of a text, one after the other.
pub(super) struct Lines {
    reader: Reader,
    csv: bool,
    text: Vec<u8>,
    count: i64,
    failure: Option<io::Error>,
}

/// What is to be read again, then what was never read.
type Reader = Chain<Cursor<Vec<u8>>, Box<dyn BufRead>>;

impl Lines {
    /// The records of what `reader` reads, in CSV or a line each.
    pub(super) fn new(reader: Box<dyn BufRead>, csv: bool) -> Lines {
        let reader = Cursor::new(Vec::new()).chain(reader);
        Lines { reader, csv, text: Vec::new(), count: 0, failure: None }
    }

    /// Why the text could not be read to its end, if so. The line in which that happened is in no record.
    pub(super) fn into_failure(self) -> Option<io::Error> {
        self.failure
    }

    /// Reads a line behind the text, or as much of it as a record may have; true when it came to the line's end.
    fn read_line(&mut self) -> bool {
        let start = self.text.len();
        // Room for the line end, and for one byte that shows that the record is too long.
        let room = (RECORD_BYTES_MAX + 3).saturating_sub(start) as u64;
        if let Err(error) = self.reader.by_ref().take(room).read_until(b'\n', &mut self.text) {
            // Nobody knows how the line went on.
            self.text.truncate(start);
            self.fail(error);
        }
        self.text[start..].ends_with(b"\n")
    }

    /// Reads on to the end of the line without keeping it; returns how many bytes that were.
    fn skip_line(&mut self) -> i64 {
        let mut skipped = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.fail(error);
                    return skipped;
                }
            };
            let line_end = chunk.iter().position(|byte| *byte == b'\n');
            let length = line_end.unwrap_or(chunk.len());
            let done = line_end.is_some() || chunk.is_empty();
            skipped += length as i64;
            self.reader.consume(length + usize::from(line_end.is_some()));
            if done {
                return skipped;
            }
        }
    }

    /// Ends the text here.
    fn fail(&mut self, error: io::Error) {
        self.failure = Some(error);
        self.reader = Cursor::new(Vec::new()).chain(Box::new(io::empty()));
    }

    /// Lets `bytes`, which were the last ones read, be read again.
    fn read_again(&mut self, mut bytes: Vec<u8>) {
        let nothing: Reader = Cursor::new(Vec::new()).chain(Box::new(io::empty()));
        let (again, never_read) = std::mem::replace(&mut self.reader, nothing).into_inner();
        bytes.extend(again.get_ref().iter().skip(again.position() as usize));
        self.reader = Cursor::new(bytes).chain(never_read);
    }

    /// The record that ends with the last line read.
    fn whole(&mut self, offset: i64, ended: bool) -> Found {
        let skipped = if ended { 0 } else { self.skip_line() };
        self.strip_line_end();
        let bytes = self.text.len() as i64 + skipped;
        let fault = (bytes > RECORD_BYTES_MAX as i64).then(|| too_large(bytes));
        Found { offset, bytes, fault }
    }

    /// The record that ends with the line in which a quote was opened that is never closed; what follows that line is
    /// read again.
    fn unclosed(&mut self, offset: i64, quotes: &Quotes, why: &str) -> Found {
        let again = self.text.split_off(quotes.line_end);
        self.read_again(again);
        self.count = quotes.line;
        self.strip_line_end();
        let detail = format!("the quote opened in line {} was never closed{why}", quotes.line);
        let fault = Some(Rejection { reason: DeadLetterReason::Malformed, detail });
        Found { offset, bytes: self.text.len() as i64, fault }
    }

    fn strip_line_end(&mut self) {
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
            if self.text.last() == Some(&b'\r') {
                self.text.pop();
            }
        }
    }
}

impl Records for Lines {
    fn advance(&mut self) -> Option<Found> {
        self.text.clear();
        let offset = self.count + 1;
        let mut quotes = Quotes::default();
        loop {
            let start = self.text.len();
            let ended = self.read_line();
            let line = &self.text[start..];
            if line.is_empty() {
                return (start > 0).then(|| self.unclosed(offset, &quotes, ""));
            }
            self.count += 1;
            if self.csv && !quotes.follow(line, self.count, self.text.len()) {
                let why = format!(": the next quote, in line {}, has text behind it", self.count);
                return Some(self.unclosed(offset, &quotes, &why));
            }
            let too_long = self.text.len() > RECORD_BYTES_MAX;
            match (quotes.are_open(), ended, too_long) {
                (true, true, false) => {}
                (true, false, false) => return Some(self.unclosed(offset, &quotes, "")),
                // A quote opened in this very line leaves nothing to be read again.
                (true, _, true) if quotes.line < self.count => {
                    let why = format!(" within the {RECORD_BYTES_MAX} bytes that a record may have");
                    return Some(self.unclosed(offset, &quotes, &why));
                }
                _ => return Some(self.whole(offset, ended)),
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.text
    }

    fn count(&self) -> i64 {
        self.count
    }

    fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

/// How far the quotes of a CSV record were followed.
#[derive(Default)]
struct Quotes {
    place: Place,
    /// The line in which the last quoted field began.
    line: i64,
    /// Where in the record's text that line ends.
    line_end: usize,
}

impl Quotes {
    fn are_open(&self) -> bool {
        self.place == Place::Quoted
    }

    /// Follows the quotes of one more line, which ends at `line_end` of the record's text. False when a quote of an
    /// earlier line is not closed properly in this one.
    fn follow(&mut self, text: &[u8], line: i64, line_end: usize) -> bool {
        if !self.are_open() && !text.contains(&b'"') {
            return true;
        }
        let text = if line_end == text.len() { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
        for byte in text {
            let next = self.place.after(*byte);
            match (self.place, next) {
                (Place::FieldStart, Place::Quoted) => (self.line, self.line_end) = (line, line_end),
                (Place::QuoteInQuoted, Place::Bare) if self.line < line => return false,
                _ => {}
            }
            self.place = next;
        }
        true
    }
}

#[cfg(test)]
mod tests;
