//! The same facts in every kind of file give the same events; broken files give errors or dead letters.

use std::fs;
use std::io::{self, Write};

use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use plimsoll_schemas::delivery::DeadLetterReason;
use plimsoll_schemas::event::EventColumn;

use super::*;
use crate::decode::tests::{at, constant, plain, row, source};
use crate::decode::{BATCH_ROWS_MAX, RECORD_BYTES_MAX};

mod hostile;

pub(super) fn incidents(format: Format) -> Arc<Source> {
    let mut source = source([
        (EventColumn::Id, at("/id")),
        (EventColumn::Time, at("/when")),
        (EventColumn::Kind, constant("incident")),
        (EventColumn::Ticket, at("/number")),
        (EventColumn::Action, constant("snapshot")),
        (EventColumn::Customer, at("/who")),
        (EventColumn::Sequence, at("/step")),
        (EventColumn::Outage, at("/outage")),
    ]);
    source.format = format;
    Arc::new(source)
}

const JSON: &str = r#"{"id":"a","when":"2026-01-31T08:00:00Z","number":1,"who":"Smith, \"J\"\nBern","step":5,"outage":true}
{"id":"b","when":"2026-01-31T08:00:01.5Z","number":2,"who":"","step":null,"outage":false}
{"id":"c","when":"never","number":3}
"#;

const CSV: &str = "id,when,number,who,step,outage,more\r
a,2026-01-31T08:00:00Z,1,\"Smith, \"\"J\"\"\nBern\",5,true,x\r
b,2026-01-31T08:00:01.5Z,2,,,false,x\r
c,never,3,,,,x";

pub(super) fn read(path: &Path, source: &Arc<Source>) -> Result<Vec<Delivery>, IngestError> {
    let mut deliveries = Vec::new();
    read_file(path, source, &mut |delivery| {
        deliveries.push(delivery);
        Ok::<(), IngestError>(())
    })?;
    Ok(deliveries)
}

/// All rows as text, then `offset code` of all dead letters.
pub(super) fn summary(path: &Path, source: &Arc<Source>) -> Vec<String> {
    let deliveries = read(path, source).expect("a readable file");
    let mut lines = Vec::new();
    for delivery in &deliveries {
        lines.extend((0..delivery.events.num_rows()).map(|number| row(&delivery.events, number)));
    }
    let letters = deliveries.iter().flat_map(|delivery| &delivery.dead_letters);
    lines.extend(letters.map(|letter| format!("{} {}", letter.offset, letter.reason.code())));
    lines
}

pub(super) fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a temporary file");
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("packing");
    encoder.finish().expect("packing")
}

pub(super) fn parquet_of_json(json: &str) -> Vec<u8> {
    parquet_with(json, None)
}

fn parquet_with(json: &str, properties: Option<WriterProperties>) -> Vec<u8> {
    let (schema, _) = arrow_json::reader::infer_json_schema(json.as_bytes(), None).expect("a schema");
    let schema = Arc::new(schema);
    let mut reader = arrow_json::ReaderBuilder::new(schema.clone()).build(json.as_bytes()).expect("a reader");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, properties).expect("a writer");
    for batch in &mut reader {
        writer.write(&batch.expect("a batch")).expect("written");
    }
    writer.into_inner().expect("a file")
}

#[test]
fn the_same_facts_in_every_file_give_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = [
        "source=test id=a time=2026-01-31T08:00:00Z kind=incident customer=Smith, \"J\"\nBern ticket=1 \
         action=snapshot sequence=5 outage=true",
        "source=test id=b time=2026-01-31T08:00:01.500Z kind=incident ticket=2 action=snapshot outage=false",
    ];
    let with =
        |letter: &str| [&events[..], &[letter]].concat().iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let (json, csv) = (incidents(Format::Json), incidents(Format::Csv));
    let zstd = zstd::encode_all(JSON.as_bytes(), 1).expect("packing");
    let members = [gzip(&JSON.as_bytes()[..100]), gzip(&JSON.as_bytes()[100..])].concat();
    let marked = [BYTE_ORDER_MARK, CSV.as_bytes()].concat();
    for (name, bytes, source, letter) in [
        ("plain.ndjson", JSON.as_bytes(), &json, "3 bad_time"),
        ("packed.gz", gzip(JSON.as_bytes()).as_slice(), &json, "3 bad_time"),
        ("two-members", members.as_slice(), &json, "3 bad_time"),
        ("packed.zst", zstd.as_slice(), &json, "3 bad_time"),
        ("rows.parquet", parquet_of_json(JSON).as_slice(), &json, "3 bad_time"),
        ("rows-by-csv-source.parquet", parquet_of_json(JSON).as_slice(), &csv, "3 bad_time"),
        // The header is line 1, and the first record takes two lines.
        ("plain.csv", CSV.as_bytes(), &csv, "5 bad_time"),
        ("packed.csv.gz", gzip(CSV.as_bytes()).as_slice(), &csv, "5 bad_time"),
        ("marked.csv", marked.as_slice(), &csv, "5 bad_time"),
    ] {
        assert_eq!(summary(&write(&folder, name, bytes), source), with(letter), "{name}");
    }
}

#[test]
fn mapped_columns_that_a_file_lacks_are_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = |bytes: &[u8], source: &Arc<Source>| {
        let missing = read_file(&write(&folder, "file", bytes), source, &mut |_| Ok::<(), IngestError>(()));
        missing.expect("a readable file").iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let csv = incidents(Format::Csv);
    assert_eq!(missing(CSV.as_bytes(), &csv), [""; 0]);
    let told = [
        "no column who, which its source maps to customer; perhaps whom is meant",
        "no column step, which its source maps to sequence; perhaps stepp is meant",
    ];
    assert_eq!(missing(b"when,id,number,stepp,outage,whom\n", &csv), told);
    let rows = parquet_of_json(
        "{\"when\":\"2026-01-31T08:00:00Z\",\"id\":1,\"number\":1,\"stepp\":1,\"whom\":\"x\",\"outage\":true}\n",
    );
    assert_eq!(missing(&rows, &csv), told);
    // No names to miss one among, records that name their fields themselves, and the form that names all fields.
    assert_eq!(missing(b"", &csv), [""; 0]);
    assert_eq!(missing(b"{}\n", &incidents(Format::Json)), [""; 0]);
    let plain = Source { format: Format::Csv, ..plain() };
    assert_eq!(missing(b"time,kind,service\n", &Arc::new(plain)), [""; 0]);
}

#[test]
fn batches_are_cut_and_cover_every_line() {
    let line = r#"{"time":"2026-01-31T08:00:00Z","kind":"feedback","score":1}"#;
    let text = format!("{line}\n").repeat(BATCH_ROWS_MAX + 1);
    let folder = tempfile::tempdir().expect("a folder");
    let deliveries = read(&write(&folder, "many", text.as_bytes()), &Arc::new(plain())).expect("readable");
    let cuts: Vec<_> = deliveries.iter().map(|one| (one.from_offset, one.until_offset, one.complete_until)).collect();
    assert_eq!(cuts, [(1, 65_537, None), (65_537, 65_538, Some(Instant(i64::MAX)))]);
    assert_eq!(deliveries[0].partition, PartitionId { topic: "many".into(), partition: 0 });
    assert_eq!(deliveries[1].events.text(EventColumn::Id).value(0), "many/0/65537");
}

#[test]
fn a_line_too_long_is_a_dead_letter() {
    let good = r#"{"time":"2026-01-31T08:00:00Z","kind":"feedback","score":1}"#;
    let folder = tempfile::tempdir().expect("a folder");
    for (length, reason) in [
        (RECORD_BYTES_MAX, DeadLetterReason::Malformed),
        (RECORD_BYTES_MAX + 1, DeadLetterReason::TooLarge),
        (3 * RECORD_BYTES_MAX, DeadLetterReason::TooLarge),
    ] {
        let text = format!("{good}\r\n{}\n\n{good}", "x".repeat(length));
        let deliveries = read(&write(&folder, "long", text.as_bytes()), &Arc::new(plain())).expect("readable");
        let [delivery] = deliveries.as_slice() else { panic!("one delivery") };
        assert_eq!(delivery.events.integers(EventColumn::Offset).values(), &[1, 4]);
        let [long, blank] = delivery.dead_letters.as_slice() else { panic!("two dead letters") };
        assert_eq!((long.offset, long.reason, long.payload_bytes), (2, reason, length as i64));
        assert_eq!((blank.offset, blank.reason), (3, DeadLetterReason::Empty));
    }
}

#[test]
fn a_quote_that_never_closes_costs_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = incidents(Format::Csv);
    let row = |number: i64| format!("i{number},2026-01-31T08:00:00Z,{number},\"Smith, J\"\n");
    // Line 7 of 9,001 has a stray quote. The header is line 1, so row n stands in line n + 1.
    let rows: String =
        (1..=9_000).map(|number| if number == 6 { "x,\"y,6,z\n".to_owned() } else { row(number) }).collect();
    let path = write(&folder, "stray.csv", format!("id,when,number,who\n{rows}").as_bytes());
    let deliveries = read(&path, &csv).expect("readable");
    let [delivery] = deliveries.as_slice() else { panic!("one delivery") };
    let expected: Vec<i64> = (2..=9_001).filter(|line| *line != 7).collect();
    assert_eq!(delivery.events.integers(EventColumn::Offset).values(), expected.as_slice());
    let [letter] = delivery.dead_letters.as_slice() else { panic!("one dead letter") };
    assert_eq!((letter.offset, letter.reason), (7, DeadLetterReason::Malformed));
    assert_eq!(
        letter.detail,
        "the quote opened in line 7 was never closed: the next quote, in line 8, has text behind it"
    );
    assert_eq!((letter.payload.as_slice(), letter.payload_bytes), (b"x,\"y,6,z".as_slice(), 8));
    assert_eq!((delivery.from_offset, delivery.until_offset), (1, 9_002));
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, csv) = (incidents(Format::Json), incidents(Format::Csv));
    let file = |name: &str, bytes: &[u8]| write(&folder, name, bytes);
    let wide: String = (0..20_000).map(|number| format!("column{number},")).collect();
    let long = "x".repeat(RECORD_BYTES_MAX + 1);
    let utf16: Vec<u8> = CSV.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let columns = "expected when among them, found";
    for (path, source, expected) in [
        (folder.path().join("absent"), &json, "cannot read"),
        (folder.path().to_owned(), &json, "Is a directory (os error 21); check the path"),
        (
            file("other.csv", b"x,y,z\n1,2,3\n"),
            &csv,
            &*format!("does not name the columns that source test maps: {columns} x, y, z; add that line"),
        ),
        (file("no-header.csv", b"a,2026-01-31T08:00:00Z,1"), &csv, "found a, 2026-01-31T08:00:00Z, 1; add that line"),
        (
            file("named-by-chance.csv", b"id,2026-01-31T08:00:00Z,1"),
            &csv,
            "found id, 2026-01-31T08:00:00Z, 1; add that",
        ),
        (
            file("blank.csv", b"\n\nid,when\n"),
            &csv,
            &*format!("its first line does not name the columns that source test maps: {columns} none; add that line"),
        ),
        (file("wide.csv", wide.as_bytes()), &csv, "its first line does not name the columns"),
        (file("long.csv", long.as_bytes()), &csv, "does not name its columns: the record has 1048577 bytes"),
        (file("open.csv", b"id,\"when,number\na,b,1\n"), &csv, "columns: the quote opened in line 1 was never closed"),
        (file("twice.csv", b"id,when,number,id\n"), &csv, "its first line names the column id twice"),
        (file("returns.csv", b"id,when,number\ra,b,1\r"), &csv, "its first line is ended by a carriage return alone"),
        (file("latin1.csv", b"id,when,number,stra\xdfe\n"), &csv, "its first line is not UTF-8 text"),
        (file("utf16.csv", &[b"\xff\xfe", utf16.as_slice()].concat()), &csv, "it is UTF-16 text; save it as UTF-8"),
        (file("utf16", b"\xfe\xff\0{\0}"), &json, "it is UTF-16 text; save it as UTF-8"),
        (file("packed", &gzip(b"PAR1...")), &json, "it is a packed Parquet file; unpack it first"),
        (file("broken.parquet", b"PAR1 and no more"), &json, "not readable as Parquet beyond row 0"),
        (
            file("foreign.parquet", &parquet_of_json(r#"{"x":1}"#)),
            &json,
            &*format!("it does not have the columns that source test maps: {columns} x;"),
        ),
    ] {
        let error = read(&path, source).expect_err("no readable file").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.len() < 700, "{error}");
    }
}

#[test]
fn text_is_read_from_a_pipe_and_parquet_is_not() {
    let piped = |bytes: &[u8]| {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(bytes).expect("it fits");
        drop(writer);
        let path = std::path::PathBuf::from(format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader)));
        (reader, path)
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, format) in [(JSON.as_bytes().to_vec(), Format::Json), (gzip(CSV.as_bytes()), Format::Csv)] {
        let (_open, path) = piped(&bytes);
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(summary(&path, &incidents(format)), summary(&write(&folder, &name, &bytes), &incidents(format)));
    }
    let (_open, path) = piped(&parquet_of_json(r#"{"id":"a"}"#));
    let error = read(&path, &incidents(Format::Json)).expect_err("it cannot seek").to_string();
    assert!(error.ends_with("it is Parquet, which is not read from a pipe; save it as a file"), "{error}");
}

#[test]
fn files_without_records_are_no_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, csv) = (incidents(Format::Json), incidents(Format::Csv));
    for (name, bytes, source, until) in [
        ("empty", b"".as_slice(), &json, 1),
        ("empty.csv", b"", &csv, 1),
        ("mark", BYTE_ORDER_MARK, &json, 1),
        ("mark.csv", BYTE_ORDER_MARK, &csv, 1),
        ("empty.gz", &gzip(b""), &json, 1),
        ("header.csv", b"id,when,number\n", &csv, 2),
        ("unended.csv", b"\xef\xbb\xbfid,when,number", &csv, 2),
        ("twice-but-unmapped.csv", b"id,when,x,x\r\n", &csv, 2),
    ] {
        let deliveries = read(&write(&folder, name, bytes), source).expect("readable");
        let [delivery] = deliveries.as_slice() else { panic!("{name}: one delivery") };
        let told = (delivery.from_offset, delivery.until_offset, delivery.complete_until);
        assert_eq!(told, (1, until, Some(Instant(i64::MAX))), "{name}");
        assert_eq!((delivery.events.num_rows(), delivery.dead_letters.len()), (0, 0), "{name}");
    }
}

#[test]
fn a_damaged_packing_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let line =
        |number: usize| format!(r#"{{"id":"{}","when":"2026-01-31T08:00:00Z","number":{number}}}"#, number * 7_919);
    let text = (1..=20_000).map(|number| line(number) + "\n").collect::<String>();
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("packing");
    let mut flipped = gzip(text.as_bytes());
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    for (name, bytes, least, advice) in [
        ("cut.gz", &gzip(text.as_bytes())[..60_000], 1_000, "its gzip data seems damaged or cut off: test it with "),
        ("header.gz", &gzip(text.as_bytes())[..8], 0, "its gzip data seems damaged or cut off: test it with "),
        ("checksum.gz", &flipped, 20_000, "its gzip data seems damaged or cut off: test it with "),
        ("cut.zst", &zstd[..zstd.len() / 2], 1_000, "its zstd data seems damaged or cut off: test it with "),
    ] {
        let path = write(&folder, name, bytes);
        let mut rows = 0;
        let mut until = 1;
        let result = read_file(&path, &incidents(Format::Json), &mut |delivery| {
            rows += delivery.events.num_rows();
            until = delivery.until_offset;
            assert!(delivery.dead_letters.is_empty() && delivery.complete_until.is_none(), "{name}");
            Ok::<(), IngestError>(())
        });
        let error = result.expect_err("damaged");
        assert!(rows >= least && until == rows as i64 + 1, "{name}: {rows}, {until}");
        let place = format!("{name} cannot be read beyond line {rows}: ");
        assert!(error.to_string().contains(&place) && error.to_string().contains(advice), "{error}");
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    }
}

#[test]
fn an_error_of_the_taker_ends_the_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(&folder, "some", JSON.as_bytes());
    let refused = read_file(&path, &incidents(Format::Json), &mut |_| {
        Err(IngestError::Format { path: path.clone(), detail: "refused".to_owned() })
    });
    assert!(refused.is_err_and(|error| error.to_string().ends_with("refused")));
}

#[test]
fn every_line_of_a_hostile_file_is_accounted_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let names: String = (0..5_000).map(|number| format!(",c{number}")).collect();
    let commas = ",".repeat(5_000);
    let long = "x".repeat(2 << 20);
    let lines = [
        format!("id,when,number{names}").into_bytes(),
        format!("a\0,2026-01-31T08:00:00Z,1{commas}").into_bytes(),
        format!("b,2026-01-31T08:00:00Z,2{commas}\rc,2026-01-31T08:00:00Z,3{commas}").into_bytes(),
        Vec::new(),
        format!("\"d\"\"\"e,2026-01-31T08:00:00Z,5\"{commas}").into_bytes(),
        b"f,2026-01-31T08:00:00Z,6".to_vec(),
        [b"g\xff,2026-01-31T08:00:00Z,7".as_slice(), commas.as_bytes()].concat(),
        long.into_bytes(),
        format!("i,2026-01-31T08:00:00Z,9{commas}\r").into_bytes(),
        format!("j,2026-01-31T08:00:00Z,10{commas}\"").into_bytes(),
    ];
    let path = write(&folder, "hostile.csv", &lines.join(&b'\n'));
    let rest = "time=2026-01-31T08:00:00Z kind=incident ticket";
    assert_eq!(
        summary(&path, &incidents(Format::Csv)),
        [
            &format!("source=test id=a\0 {rest}=1 action=snapshot"),
            &format!("source=test id=d\"e {rest}=5\" action=snapshot"),
            &format!("source=test id=i {rest}=9 action=snapshot"),
            "3 malformed",
            "4 empty",
            "6 malformed",
            "7 invalid_utf8",
            "8 too_large",
            "10 malformed",
        ]
    );
}
