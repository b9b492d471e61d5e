//! Where records of a text begin and end; `csv_core` reads the same text as a whole for comparison.

use csv_core::{ReadRecordResult, Reader as CsvCore};
use proptest::prelude::*;

use super::*;

/// `offset: text` of each record of a CSV text, with `! detail` when it cannot be decoded.
fn records(text: impl AsRef<[u8]>) -> Vec<String> {
    read(&mut Lines::new(Box::new(Cursor::new(text.as_ref().to_vec())), true))
}

fn read(lines: &mut Lines) -> Vec<String> {
    let mut records = Vec::new();
    while let Some(found) = lines.advance() {
        assert!(found.bytes >= lines.text().len() as i64);
        let fault = found.fault.map_or(String::new(), |fault| format!(" ! {}", fault.detail));
        records.push(format!("{}: {}{fault}", found.offset, String::from_utf8_lossy(lines.text())));
    }
    records
}

#[test]
fn a_quote_opens_a_field_at_its_beginning_only() {
    for (text, expected) in [
        ("a,5\" pipe,b\nc,5\",d\n", vec!["1: a,5\" pipe,b", "2: c,5\",d"]),
        ("a,\"b\" c\",d\ne", vec!["1: a,\"b\" c\",d", "2: e"]),
        ("a, \"b\nc\"\n", vec!["1: a, \"b", "2: c\""]),
        ("a,\"two\nlines\",b\n\"\"\nc", vec!["1: a,\"two\nlines\",b", "3: \"\"", "4: c"]),
        ("a,\"two\r\nlines\"\r\nb\r\n", vec!["1: a,\"two\r\nlines\"", "3: b"]),
        ("\"x\"\"\n\"\"y\n\n,\"\nb", vec!["1: \"x\"\"\n\"\"y\n\n,\"", "5: b"]),
        ("a,\"b\n\",\"c\nd\"\ne", vec!["1: a,\"b\n\",\"c\nd\"", "4: e"]),
        ("\u{feff}\"a\nb\"\nc", vec!["1: \u{feff}\"a\nb\"", "3: c"]),
        ("\n\n\"a\0\",\0\n", vec!["1: ", "2: ", "3: \"a\0\",\0"]),
    ] {
        assert_eq!(records(text), expected, "{text:?}");
    }
}

#[test]
fn a_quote_that_is_never_closed_ends_with_its_line() {
    for (text, expected) in [
        ("a,\"b\nc\nd", vec!["1: a,\"b ! the quote opened in line 1 was never closed", "2: c", "3: d"]),
        ("a\nb,\"", vec!["1: a", "2: b,\" ! the quote opened in line 2 was never closed"]),
        ("a\nb,\"\r\n", vec!["1: a", "2: b,\" ! the quote opened in line 2 was never closed"]),
        (
            "\"a\nc\nd,\"e\",f\ng",
            vec![
                "1: \"a ! the quote opened in line 1 was never closed: the next quote, in line 3, has text behind it",
                "2: c",
                "3: d,\"e\",f",
                "4: g",
            ],
        ),
        // The field of two lines is good, what begins behind it is not.
        ("\"a\nb\",\"c\nd\ne", vec!["1: \"a\nb\",\"c ! the quote opened in line 2 was never closed", "3: d", "4: e"]),
        // Each line opens a quote that the next one shows to be wrong.
        (
            "\"a\n\"b\n\"c\"\n",
            vec![
                "1: \"a ! the quote opened in line 1 was never closed: the next quote, in line 2, has text behind it",
                "2: \"b ! the quote opened in line 2 was never closed: the next quote, in line 3, has text behind it",
                "3: \"c\"",
            ],
        ),
    ] {
        assert_eq!(records(text), expected, "{text:?}");
    }
}

#[test]
fn a_quote_must_close_within_the_limit() {
    let line = "b,\"\",c,2026-01-31T08:00:00Z\n";
    let lines = line.repeat(60_000); // 1.6 MB
    let found = records(format!("a,\"open\n{lines}"));
    assert_eq!(found.len(), 60_001);
    let detail = "the quote opened in line 1 was never closed within the 1048576 bytes that a record may have";
    assert_eq!(found[0], format!("1: a,\"open ! {detail}"));
    assert!(found.iter().skip(1).zip(2..).all(|(found, number)| *found == format!("{number}: {}", line.trim_end())));
    // A line of its own that is too long stays too long, whatever its quotes.
    let long = format!("\"{}\nb\n", "x".repeat(RECORD_BYTES_MAX * 2));
    let found = records(&long);
    assert!(found[0].ends_with(" ! the record has 2097153 bytes, at most 1048576 are allowed"));
    assert_eq!(found[1..], ["2: b"]);
    // Behind an open quote, too.
    let found = records(format!("a,\"open\n{}\nb", "x".repeat(RECORD_BYTES_MAX * 2)));
    assert_eq!((found[0].as_str(), found.len()), (format!("1: a,\"open ! {detail}").as_str(), 3));
    assert!(found[1].ends_with(" ! the record has 2097152 bytes, at most 1048576 are allowed"));
    assert_eq!(found[2], "3: b");
    // As long as a record may be.
    let whole = format!("\"{}\n\"", "x".repeat(RECORD_BYTES_MAX - 3));
    assert_eq!(records(format!("{whole}\nb")), [format!("1: {whole}"), "3: b".to_owned()]);
}

/// Fails after some bytes.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.0.read(bytes)? {
            0 => Err(io::Error::other("broken")),
            read => Ok(read),
        }
    }
}

#[test]
fn all_lines_before_a_failure_are_read() {
    for (text, expected) in [
        ("", vec![]),
        ("a\nb\n", vec!["1: a", "2: b"]),
        ("a\nb\nc", vec!["1: a", "2: b"]),
        ("a,\"b\nc\nd\"", vec!["1: a,\"b ! the quote opened in line 1 was never closed", "2: c"]),
        ("a,\"b\nc\n\"d,", vec!["1: a,\"b ! the quote opened in line 1 was never closed", "2: c"]),
    ] {
        let mut lines = Lines::new(Box::new(io::BufReader::new(Failing(Cursor::new(text.into())))), true);
        assert_eq!(read(&mut lines), expected, "{text:?}");
        assert_eq!(lines.count() as usize, expected.len());
        assert!(lines.has_failed() && lines.into_failure().is_some_and(|error| error.to_string() == "broken"));
    }
}

/// The fields of all records that `csv_core` finds in a text.
fn fields(text: &[u8]) -> Vec<Vec<String>> {
    let mut reader = CsvCore::new();
    let (mut output, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 2]);
    let mut records = Vec::new();
    let (mut rest, mut written, mut count) = (text, 0, 0);
    loop {
        let (result, read, bytes, fields) = reader.read_record(rest, &mut output[written..], &mut ends[count..]);
        (rest, written, count) = (&rest[read..], written + bytes, count + fields);
        match result {
            ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let spans = starts.zip(&ends).take(count);
                records.push(spans.map(|(start, end)| String::from_utf8_lossy(&output[start..*end]).into()).collect());
                (written, count) = (0, 0);
            }
            ReadRecordResult::End => return records,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn records_are_those_of_csv_core(parts in prop::collection::vec(0_usize..7, 0..40)) {
        let text: String = parts.iter().map(|part| ["\"", "\"", ",", "a", "\n", "\r\n", "\u{e9}"][*part]).collect();
        let mut lines = Lines::new(Box::new(Cursor::new(text.clone().into_bytes())), true);
        let (mut found, mut faults) = (Vec::new(), 0);
        while let Some(record) = lines.advance() {
            faults += usize::from(record.fault.is_some());
            found.extend(fields(lines.text()));
        }
        if faults == 0 {
            prop_assert_eq!(found, fields(text.as_bytes()));
        }
    }

    #[test]
    fn every_line_is_in_one_record(parts in prop::collection::vec(0_usize..6, 0..60)) {
        let mut text: String = parts.iter().map(|part| ["\"", "\"", ",", "a", "\n", "\n"][*part]).collect();
        let mut lines = Lines::new(Box::new(Cursor::new(text.clone().into_bytes())), true);
        let (mut joined, mut next) = (String::new(), 1);
        while let Some(record) = lines.advance() {
            prop_assert_eq!(record.offset, next);
            prop_assert_eq!(record.bytes, lines.text().len() as i64);
            joined += &(String::from_utf8_lossy(lines.text()).into_owned() + "\n");
            next = joined.lines().count() as i64 + 1;
            prop_assert_eq!(lines.count() + 1, next);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        prop_assert_eq!(joined, text);
    }
}
