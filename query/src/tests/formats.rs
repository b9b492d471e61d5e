//! One small answer in every format.

use arrow_ipc::reader::StreamReader;

use super::*;

/// Every kind of value that tables hold: text with quotes, time with a fraction, decimal, integer, bytes, null.
const VALUES: &str = "SELECT 'a \"b\", c' AS text, to_timestamp_micros(1767225600000001) AS plain_time,
    window_start AS time, attainment_ratio AS ratio, 9007199254740993 AS integer, true AS flag, breached_at AS nothing
    FROM attainment WHERE verdict = 'breached'";

#[tokio::test(flavor = "multi_thread")]
async fn values_are_exact_in_every_format() {
    let (_folder, _lake, service) = service(limits()).await;
    // 1767225600 is 2026-01-01T00:00:00Z; 9007199254740993 is 2^53 + 1, which no float holds.
    for (format, expected) in [
        (
            Format::Json,
            "[{\"text\":\"a \\\"b\\\", c\",\"plain_time\":\"2026-01-01T00:00:00.000001Z\",\
             \"time\":\"2026-01-01T00:00:00Z\",\"ratio\":0.998571428,\"integer\":9007199254740993,\"flag\":true,\
             \"nothing\":null}]\n",
        ),
        (
            Format::NdJson,
            "{\"text\":\"a \\\"b\\\", c\",\"plain_time\":\"2026-01-01T00:00:00.000001Z\",\
             \"time\":\"2026-01-01T00:00:00Z\",\"ratio\":0.998571428,\"integer\":9007199254740993,\"flag\":true,\
             \"nothing\":null}\n",
        ),
        (
            Format::Csv,
            "text,plain_time,time,ratio,integer,flag,nothing\n\
             \"a \"\"b\"\", c\",2026-01-01T00:00:00.000001Z,2026-01-01T00:00:00Z,0.998571428,9007199254740993,true,\n",
        ),
        (
            Format::Table,
            "+----------+-----------------------------+----------------------+-------------+------------------+------+---------+\n\
             | text     | plain_time                  | time                 | ratio       | integer          | flag | nothing |\n\
             +----------+-----------------------------+----------------------+-------------+------------------+------+---------+\n\
             | a \"b\", c | 2026-01-01T00:00:00.000001Z | 2026-01-01T00:00:00Z | 0.998571428 | 9007199254740993 | true |         |\n\
             +----------+-----------------------------+----------------------+-------------+------------------+------+---------+\n",
        ),
    ] {
        assert_eq!(ask(&service, VALUES, format).await.as_deref(), Ok(expected), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_are_a_whole_document_too() {
    let (_folder, _lake, service) = service(limits()).await;
    for (format, expected) in [
        (Format::Json, "[]\n"),
        (Format::NdJson, ""),
        (Format::Csv, "service\n"),
        (Format::Table, "+---------+\n| service |\n+---------+\n+---------+\n"),
    ] {
        let answer = ask(&service, "SELECT service FROM outages WHERE service = 'none'", format).await;
        assert_eq!(answer.as_deref(), Ok(expected), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arrow_stream_holds_plain_strings() {
    let (_folder, _lake, service) = service(limits()).await;
    let answer = service.sql("SELECT topic, payload FROM dead_letters").await.expect("answer");
    let chunks: Vec<_> = encode(answer, Format::ArrowStream).try_collect().await.expect("chunks");
    let bytes = chunks.concat();
    let mut reader = StreamReader::try_new(bytes.as_slice(), None).expect("stream");
    let types: Vec<_> = reader.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Binary]);
    assert_eq!(reader.next().expect("a batch").expect("readable").num_rows(), 1);
}

#[test]
fn formats_are_found_by_name_and_by_media_type() {
    for (format, name, media_type) in Format::ALL {
        assert_eq!(name.parse(), Ok(format));
        assert_eq!(format.media_type(), media_type);
        assert_eq!(Format::accepted(&format!("image/png, {media_type}, */*;q=0.9")), Some(format));
        assert_eq!(Format::accepted(&media_type.to_ascii_uppercase()), Some(format));
    }
    assert_eq!(Format::accepted("*/*"), Some(Format::Json));
    assert_eq!(Format::accepted("image/png"), None);
    assert_eq!(Format::accepted("application/json;q=0.1, text/csv;q=0.9, text/*;q=0.9"), Some(Format::Csv));
    assert_eq!(Format::accepted("text/csv;q=0.9, */*"), Some(Format::Json), "anything is liked better");
    assert_eq!(Format::accepted("application/json; charset=utf-8;q=0"), None);
    // What is said of one type holds against what is said of many, wherever it stands.
    assert_eq!(Format::accepted("application/json;q=0, */*"), Some(Format::Table));
    assert_eq!(Format::accepted("*/*, application/json;q=0"), Some(Format::Table));
    assert_eq!(Format::accepted("application/*, application/json;q=0.5"), Some(Format::NdJson));
    assert_eq!(Format::accepted("text/*;q=0.3, text/plain;q=0.2"), Some(Format::Csv));
    assert_eq!(Format::accepted("text/*;q=0, */*;q=0.1"), Some(Format::Json));
    assert_eq!(Format::accepted("text/*, text/plain;q=0, text/csv;q=0"), None);
    assert_eq!(
        "xml".parse::<Format>(),
        Err(QueryError::Invalid("found format xml, allowed are table, json, ndjson, csv, arrow".to_owned()))
    );
}
