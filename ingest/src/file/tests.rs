//! The same facts in every kind of file give the same events; broken files give errors or dead letters.

use std::fs;
use std::io::Write;

use parquet::arrow::ArrowWriter;
use plimsoll_schemas::delivery::DeadLetterReason;
use plimsoll_schemas::event::EventColumn;

use super::*;
use crate::decode::BATCH_ROWS_MAX;
use crate::decode::tests::{at, constant, plain, row, source};

fn incidents(format: Format) -> Arc<Source> {
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

fn read(path: &Path, source: &Arc<Source>) -> Result<Vec<Delivery>, IngestError> {
    let mut deliveries = Vec::new();
    read_file(path, source, &mut |delivery| {
        deliveries.push(delivery);
        Ok::<(), IngestError>(())
    })?;
    Ok(deliveries)
}

/// All rows as text, then `offset code` of all dead letters.
fn summary(path: &Path, source: &Arc<Source>) -> Vec<String> {
    let deliveries = read(path, source).expect("a readable file");
    let mut lines = Vec::new();
    for delivery in &deliveries {
        lines.extend((0..delivery.events.num_rows()).map(|number| row(&delivery.events, number)));
    }
    let letters = deliveries.iter().flat_map(|delivery| &delivery.dead_letters);
    lines.extend(letters.map(|letter| format!("{} {}", letter.offset, letter.reason.code())));
    lines
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a temporary file");
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("packing");
    encoder.finish().expect("packing")
}

fn parquet_of_json(json: &str) -> Vec<u8> {
    let (schema, _) = arrow_json::reader::infer_json_schema(json.as_bytes(), None).expect("a schema");
    let schema = Arc::new(schema);
    let mut reader = arrow_json::ReaderBuilder::new(schema.clone()).build(json.as_bytes()).expect("a reader");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a writer");
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
fn parquet_keeps_times_and_numbers() {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    let times = TimestampMicrosecondArray::from(vec![1_767_225_600_000_001]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 4] = [
        ("when", Arc::new(times)),
        ("number", Arc::new(StringArray::from(vec!["INC1"]))),
        ("step", Arc::new(Int64Array::from(vec![i64::MAX]))),
        ("unmapped", Arc::new(StringArray::from(vec![None::<&str>]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(&folder, "typed", &writer.into_inner().expect("a file"));
    assert_eq!(
        summary(&path, &incidents(Format::Json)),
        ["source=test id=typed/0/1 time=2026-01-01T00:00:00.000001Z kind=incident ticket=INC1 action=snapshot \
          sequence=9223372036854775807"]
    );
}

#[test]
fn batches_are_cut_and_cover_every_line() {
    let line = r#"{"time":"2026-01-31T08:00:00Z","kind":"feedback","score":1}"#;
    let text = format!("{line}\n").repeat(BATCH_ROWS_MAX + 1);
    let folder = tempfile::tempdir().expect("a folder");
    let deliveries = read(&write(&folder, "many", text.as_bytes()), &Arc::new(plain())).expect("readable");
    let cuts: Vec<_> = deliveries.iter().map(|one| (one.from_offset, one.until_offset, one.caught_up)).collect();
    assert_eq!(cuts, [(1, 65_537, false), (65_537, 65_538, true)]);
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
fn a_quote_that_never_closes_ends_with_the_file_or_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = incidents(Format::Csv);
    let open = "id,when,number\na,\"2026-01-31T08:00:00Z,1\nb,2026-01-31T08:00:00Z,2\n";
    assert_eq!(summary(&write(&folder, "open.csv", open.as_bytes()), &csv), ["2 malformed"]);
    let lines = "b,2026-01-31T08:00:00Z,2\n".repeat(60_000); // 1.5 MB
    let found = summary(&write(&folder, "long.csv", format!("{open}{lines}").as_bytes()), &csv);
    assert_eq!(found.last().map(String::as_str), Some("2 too_large"));
    assert!(found.len() > 10_000, "what follows the limit is read again");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = incidents(Format::Json);
    let packed = gzip(JSON.as_bytes());
    let damaged = write(&folder, "damaged.gz", &packed[..packed.len() / 2]);
    let other = write(&folder, "other.csv", b"x,y,z\n1,2,3\n");
    let broken = write(&folder, "broken.parquet", b"PAR1 and no more");
    for (path, source, expected) in [
        (folder.path().join("absent"), &json, "cannot read"),
        (folder.path().to_owned(), &json, "cannot read"),
        (damaged, &json, "cannot read"),
        (other, &incidents(Format::Csv), "its first line names none of the columns that source test maps, found: x, y"),
        (broken, &json, "not readable as Parquet"),
    ] {
        let error = read(&path, source).expect_err("no readable file").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let empty = read(&write(&folder, "empty", b""), &json).expect("an empty file is fine");
    assert_eq!((empty.len(), empty[0].from_offset, empty[0].until_offset, empty[0].caught_up), (1, 1, 1, true));
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
fn a_name_finds_its_source() {
    let mut sources = [plain(), plain()];
    sources[1].files = vec!["*.x".to_owned(), "b?".to_owned()];
    assert_eq!(source_for_file(&sources, "b1"), Some(&sources[1]));
    assert_eq!(source_for_file(&sources, "b"), None);
}
