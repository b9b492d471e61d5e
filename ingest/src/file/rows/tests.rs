//! Every type that a column of texts or times may have gives the same events.

use arrow_array::types::Int32Type;
use arrow_array::{
    BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array,
    Int64Array, LargeBinaryArray, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use plimsoll_schemas::definition::source::Format;
use plimsoll_schemas::event::EventColumn;

use super::*;
use crate::decode::tests::{at, constant, source};
use crate::file::tests::{incidents, read, summary, write};

fn file<'a>(columns: impl IntoIterator<Item = (&'a str, ArrayRef)>, with_arrow_schema: bool) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(!with_arrow_schema);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a file")
}

#[test]
fn parquet_keeps_times_and_numbers() {
    let times = TimestampMicrosecondArray::from(vec![1_767_225_600_000_001]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 4] = [
        ("when", Arc::new(times)),
        ("number", Arc::new(StringArray::from(vec!["INC1"]))),
        ("step", Arc::new(Int64Array::from(vec![i64::MAX]))),
        ("unmapped", Arc::new(StringArray::from(vec![None::<&str>]))),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(&folder, "typed", &file(columns, true));
    assert_eq!(
        summary(&path, &incidents(Format::Json)),
        ["source=test id=typed/0/1 time=2026-01-01T00:00:00.000001Z kind=incident ticket=INC1 action=snapshot \
          sequence=9223372036854775807"]
    );
}

#[test]
fn what_is_no_number_is_refused_or_means_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let latencies = [0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 2.0];
    let narrow: Vec<f32> = latencies.iter().map(|latency| *latency as f32).collect();
    let kinds: [(&str, ArrayRef); 2] = [
        ("double", Arc::new(Float64Array::from(latencies.to_vec()))),
        ("single", Arc::new(Float32Array::from(narrow))),
    ];
    for (name, column) in kinds {
        let times = StringArray::from(vec!["2026-01-31T08:00:00Z"; latencies.len()]);
        let columns: [(&str, ArrayRef); 2] = [("time", Arc::new(times)), ("took", column)];
        let path = write(&folder, name, &file(columns, true));
        let mut took = at("/took");
        let mapping = |took| {
            Arc::new(source([
                (EventColumn::Time, at("/time")),
                (EventColumn::Kind, constant("monitoring")),
                (EventColumn::Service, constant("web")),
                (EventColumn::Status, constant("up")),
                (EventColumn::LatencyUs, took),
            ]))
        };
        let letters = |source| -> Vec<(i64, String)> {
            let deliveries = read(&path, &source).expect("readable");
            let letters = deliveries.into_iter().flat_map(|delivery| delivery.dead_letters);
            letters.map(|letter| (letter.offset, letter.detail.to_string())).collect()
        };
        // 2^63 - 1 microseconds are 9223372036854775.807 milliseconds.
        let refused =
            |found: &str| format!("latency_ms: found \"{found}\", expected a number from 0 to 9223372036854775");
        let huge = if name == "double" { "1e300" } else { "inf" };
        let refusals = [(2, refused("NaN")), (3, refused("inf")), (4, refused("-inf")), (5, refused(huge))];
        assert_eq!(letters(mapping(took.clone())), refusals, "{name}");
        took.missing = vec!["NaN".to_owned(), "inf".to_owned(), "-inf".to_owned()];
        let left = if name == "double" { vec![refusals[3].clone()] } else { Vec::new() };
        assert_eq!(letters(mapping(took)), left, "{name}");
    }
}

#[test]
fn bytes_are_the_text_that_they_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let ids: [&[u8]; 3] = ["é\"\n".as_bytes(), b"b\xff\xfe\0", b"cccc"];
    let dictionary = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![2, 0, 1]),
        Arc::new(BinaryArray::from(vec![ids[1], ids[2], ids[0]])),
    );
    let kinds: [(&str, ArrayRef); 5] = [
        ("binary", Arc::new(BinaryArray::from(ids.to_vec()))),
        ("large", Arc::new(LargeBinaryArray::from(ids.to_vec()))),
        ("view", Arc::new(BinaryViewArray::from(ids.to_vec()))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter(ids.iter()).expect("of one length"))),
        ("dictionary", Arc::new(dictionary)),
    ];
    for ((kind, ids), with_arrow_schema) in kinds.iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let columns: [(&str, ArrayRef); 4] = [
            ("id", ids.clone()),
            ("when", Arc::new(BinaryArray::from(vec![b"2026-01-31T08:00:00Z".as_slice(); 3]))),
            ("number", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            // Nobody asks for it.
            ("unmapped", Arc::new(BinaryArray::from(vec![b"\xff".as_slice(); 3]))),
        ];
        let path = write(&folder, kind, &file(columns, with_arrow_schema));
        let rest = "time=2026-01-31T08:00:00Z kind=incident ticket";
        assert_eq!(
            summary(&path, &incidents(Format::Json)),
            [
                format!("source=test id=é\"\n {rest}=1 action=snapshot"),
                format!("source=test id=cccc {rest}=3 action=snapshot"),
                "2 invalid_utf8".to_owned()
            ],
            "{kind}"
        );
        let letters = &read(&path, &incidents(Format::Json)).expect("readable")[0].dead_letters;
        assert!(letters[0].detail.starts_with("column id: its bytes are not UTF-8; "), "{}", letters[0].detail);
        assert!(letters[0].payload.starts_with(b"{\"id\":\"b\xff\xfe\\u0000\",\"when\":"));
    }
}

#[test]
fn only_the_part_of_a_structure_that_is_mapped_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let nested = StructArray::from(vec![
        (
            Arc::new(arrow_schema::Field::new("name", DataType::Binary, true)),
            Arc::new(BinaryArray::from(vec![b"T1".as_slice()])) as ArrayRef,
        ),
        (
            Arc::new(arrow_schema::Field::new("address", DataType::Binary, true)),
            Arc::new(BinaryArray::from(vec![b"\xff\xff".as_slice()])) as ArrayRef,
        ),
        (
            Arc::new(arrow_schema::Field::new(
                "seen",
                DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("Europe/Zurich".into())),
                true,
            )),
            Arc::new(TimestampMicrosecondArray::from(vec![1_767_225_600_000_000]).with_timezone("Europe/Zurich"))
                as ArrayRef,
        ),
    ]);
    let mapped = source([
        (EventColumn::Id, at("/id")),
        (EventColumn::Time, at("/host.a/seen")),
        (EventColumn::Kind, constant("incident")),
        (EventColumn::Ticket, at("/host.a/name")),
        (EventColumn::Customer, at("/host.a/absent")),
        (EventColumn::Action, constant("snapshot")),
    ]);
    let columns: [(&str, ArrayRef); 2] = [("host.a", Arc::new(nested)), ("id", Arc::new(StringArray::from(vec!["a"])))];
    assert_eq!(
        summary(&write(&folder, "nested", &file(columns, true)), &Arc::new(mapped)),
        ["source=test id=a time=2026-01-01T00:00:00Z kind=incident ticket=T1 action=snapshot"]
    );
}

#[test]
fn a_uuid_is_written_as_one() {
    let schema = "message m { required fixed_len_byte_array(16) id (UUID); required binary when (STRING);
                              required binary number; }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    // RFC 9562, appendix A.1.
    let uuid = 0xc232_ab00_9414_11ec_b3c8_9f6b_dece_d846_u128.to_be_bytes();
    let mut column = group.next_column().expect("no error").expect("a column");
    let ids = [FixedLenByteArray::from(ByteArray::from(uuid.to_vec()))];
    column.typed::<FixedLenByteArrayType>().write_batch(&ids, None, None).expect("written");
    column.close().expect("closed");
    for text in ["2026-01-31T08:00:00Z", "7"] {
        let mut column = group.next_column().expect("no error").expect("a column");
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(text)], None, None).expect("written");
        column.close().expect("closed");
    }
    group.close().expect("closed");
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        summary(&write(&folder, "uuid", &writer.into_inner().expect("a file")), &incidents(Format::Json)),
        ["source=test id=c232ab00-9414-11ec-b3c8-9f6bdeced846 time=2026-01-31T08:00:00Z kind=incident ticket=7 \
          action=snapshot"]
    );
}

#[test]
fn rows_before_the_damage_are_handed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let numbers = 1..=200_000_i64;
    let columns: [(&str, ArrayRef); 2] = [
        ("when", Arc::new(TimestampMicrosecondArray::from(vec![1_767_225_600_000_000; 200_000]))),
        ("number", Arc::new(StringArray::from_iter_values(numbers.map(|number| format!("T{number}"))))),
    ];
    let mut bytes = file(columns, true);
    let middle = bytes.len() * 2 / 3;
    bytes[middle..middle + 20_000].fill(0xff);
    let mut rows = 0;
    let result =
        super::super::read_file(&write(&folder, "damaged", &bytes), &incidents(Format::Json), &mut |delivery| {
            rows += delivery.events.num_rows();
            Ok::<(), crate::IngestError>(())
        });
    let error = result.expect_err("damaged").to_string();
    assert!(rows > 0 && rows < 200_000, "{rows}");
    assert!(error.contains(&format!("not readable as Parquet beyond row {rows}: ")), "{error}");
}

#[test]
fn rows_of_long_texts_are_written_a_few_at_a_time() {
    // 60 rows of 300 kB: 18 MB of text, of which never more than 4 MiB and a row are there.
    let long = "x".repeat(300_000);
    let folder = tempfile::tempdir().expect("a folder");
    let columns: [(&str, ArrayRef); 1] = [("when", Arc::new(StringArray::from(vec![long.as_str(); 60])))];
    let path = write(&folder, "long", &file(columns, true));
    let opened = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet");
    let mut rows = Rows::new(opened, &[&["when".to_owned()]]).expect("rows");
    let expected = format!("{{\"when\":\"{long}\"}}");
    for offset in 1..=60 {
        let found = rows.advance().expect("a row");
        assert!(found.offset == offset && found.fault.is_none());
        assert!(rows.text() == expected.as_bytes());
        assert!(rows.text.len() <= (4 << 20) + expected.len(), "{}", rows.text.len());
    }
    assert!(rows.advance().is_none() && rows.into_failure().is_none());
}
