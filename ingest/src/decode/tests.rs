//! The decoder as a whole: every reason for a dead letter, every way to fill a column, and what must hold for any
//! bytes.

use std::sync::Arc;

use arrow_array::Array;
use plimsoll_schemas::definition::source::{Field, Format, Mapping, Origin, Otherwise, Source, TimeFormat};
use plimsoll_schemas::delivery::DeadLetterReason::*;
use plimsoll_schemas::event::EventColumn::*;
use plimsoll_schemas::event::{EventBatch, Vocabulary};
use proptest::prelude::*;

use super::*;

pub(crate) mod hostile;

/// A field that is found at a pointer, e.g. `/a/b/0`.
pub(crate) fn at(pointer: &str) -> Field {
    field(Origin::Pointer(pointer.split('/').skip(1).map(str::to_owned).collect()))
}

/// A field that is always this text.
pub(crate) fn constant(text: &str) -> Field {
    Field::constant(text)
}

fn field(origin: Origin) -> Field {
    Field { origin, ..Field::constant("") }
}

/// A source called `test` of these fields.
pub(crate) fn source(fields: impl IntoIterator<Item = (EventColumn, Field)>) -> Source {
    let mapping = Mapping { fields: fields.into_iter().collect(), csv_columns: Vec::new() };
    Source { mapping, ..Source::plain("test") }
}

/// The source called `test` of events in their plain form.
pub(crate) fn plain() -> Source {
    Source::plain("test")
}

fn decoder(source: &Source) -> Decoder {
    Decoder::new(Arc::new(source.clone()), PartitionId { topic: "events".into(), partition: 3 })
}

/// One delivery of these records, at offsets from 10 on.
pub(crate) fn decode(source: &Source, records: &[&[u8]]) -> Delivery {
    let mut decoder = decoder(source);
    for (offset, record) in (10..).zip(records) {
        decoder.decode(Record { offset, payload: Some(record), record_time: Some(Instant(1)) });
    }
    decoder.take(10, 10 + records.len() as i64, None).expect("a delivery")
}

/// A row as text, its columns in order, without what comes from the delivery: `kind=incident score=5`.
pub(crate) fn row(events: &EventBatch, row: usize) -> String {
    let mut cells = Vec::new();
    for column in EventColumn::ALL.into_iter().filter(|column| *column >= Source) {
        let array = events.record_batch().column(column as usize);
        if array.is_null(row) {
            continue;
        }
        use plimsoll_schemas::event::ColumnType::{Boolean, Integer, Interned, SmallInteger, Text, Time, Word};
        let value = match column.column_type() {
            Interned => {
                let dictionary = events.interned(column);
                let key = dictionary.keys().value(row) as usize;
                arrow_array::cast::AsArray::as_string::<i32>(dictionary.values()).value(key).to_owned()
            }
            Word => column.words()[events.words(column).keys().value(row) as usize].to_owned(),
            Text => events.text(column).value(row).to_owned(),
            Time => Instant(events.times(column).value(row)).to_string(),
            Integer | SmallInteger => events.integers(column).value(row).to_string(),
            Boolean => events.booleans(column).value(row).to_string(),
        };
        cells.push(format!("{}={value}", column.name()));
    }
    cells.join(" ")
}

/// What becomes of one record: its row, or `code: detail`.
fn outcome(source: &Source, record: &[u8]) -> String {
    let delivery = decode(source, &[record]);
    match (delivery.events.num_rows(), delivery.dead_letters.as_slice()) {
        (1, []) => row(&delivery.events, 0),
        (0, [letter]) => format!("{}: {}", letter.reason.code(), letter.detail),
        (rows, letters) => panic!("{rows} rows and {} dead letters of one record", letters.len()),
    }
}

#[test]
fn every_kind_in_its_plain_form() {
    for (record, expected) in [
        (
            r#"{"id":"m1","time":"2026-01-31T08:00:00+01:00","kind":"monitoring","service":"web","status":"down",
                "latency_ms":12.5004,"unknown":[{"a":1}]}"#,
            "source=test id=m1 time=2026-01-31T07:00:00Z kind=monitoring service=web check=default status=down \
             latency_us=12501",
        ),
        (
            r#"{"time":"2026-01-31T08:00:00Z","kind":"monitoring","source":"probe","service":"web",
                "good_count":9,"total_count":"10"}"#,
            "source=probe id=events/3/10 time=2026-01-31T08:00:00Z kind=monitoring service=web good_count=9 \
             total_count=10",
        ),
        (
            r#"{"time":"2026-01-31T08:00:00Z","kind":"incident","ticket":5,"action":"snapshot","state":"paused",
                "sequence":3,"priority":1,"outage":true,"opened_at":"2026-01-30T00:00:00Z","service":null,
                "customer":""}"#,
            "source=test id=events/3/10 time=2026-01-31T08:00:00Z kind=incident ticket=5 action=snapshot \
             state=paused sequence=3 priority=1 outage=true opened_at=2026-01-30T00:00:00Z",
        ),
        (
            r#"{"time":"2026-01-31T08:00:00Z","kind":"change","ticket":"C1","action":"finished","outcome":"failed",
                "emergency":"False"}"#,
            "source=test id=events/3/10 time=2026-01-31T08:00:00Z kind=change ticket=C1 action=finished \
             outcome=failed emergency=false",
        ),
        (
            r#"{"time":"2026-01-31T08:00:00Z","kind":"feedback","score":-1,"id":"a","id":"b"}"#,
            "source=test id=b time=2026-01-31T08:00:00Z kind=feedback score=-1",
        ),
    ] {
        assert_eq!(outcome(&plain(), record.as_bytes()), expected);
    }
}

#[test]
fn every_reason_for_a_dead_letter() {
    let monitoring = |rest: &str| format!(r#"{{"time":"2026-01-31T08:00:00Z","kind":"monitoring",{rest}}}"#);
    let long = "x".repeat(RECORD_BYTES_MAX + 1);
    let deep = format!(r#"{{"ignored":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let bomb = format!(r#"{{"ignored":{}"#, "[".repeat(1_000_000));
    let name = "n".repeat(5_000);
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "empty: "),
        (" \r\n\t".to_owned(), "empty: "),
        (long, "too_large: the record has 1048577 bytes, at most 1048576"),
        ("{".to_owned(), "malformed: not JSON"),
        ("{} {}".to_owned(), "malformed: not JSON"),
        ("[1]".to_owned(), "malformed: a record is one JSON object, found \"[1]\""),
        ("nonsense".to_owned(), "malformed: "),
        (r#"{"time":"\ud800"}"#.to_owned(), "malformed: "),
        (r#"{"ignored":"tab	inside"}"#.to_owned(), "malformed: "),
        (r#"{"ignored":01}"#.to_owned(), "malformed: "),
        (r#"{"time":"2026-01-31T08:00:00Z",}"#.to_owned(), "malformed: "),
        (deep, "too_deep: "),
        (bomb, "too_deep: "),
        ("{}".to_owned(), "missing_field: kind: missing, but every event needs it"),
        (r#"{"kind":"incident"}"#.to_owned(), "missing_field: time: missing, but every event needs it"),
        (r#"{"kind":"","time":"2026-01-31T08:00:00Z"}"#.to_owned(), "missing_field: kind"),
        (monitoring(r#""status":"up""#), "missing_field: service: missing, but monitoring needs it"),
        (monitoring(r#""service":"web""#), "missing_field: status, good_count with total_count, or latency_ms"),
        (monitoring(r#""service":"web","status":"on""#), "unknown_word: status: found \"on\", expected one of up, deg"),
        (monitoring(r#""service":"web","status":1"#), "wrong_type: status: found \"1\", expected one of up, degraded"),
        (monitoring(r#""service":{"name":"web"}"#), "wrong_type: service: found an object or a list, expected a text"),
        (monitoring(r#""service":true"#), "wrong_type: service: found \"true\""),
        (monitoring(&format!(r#""service":"{name}""#)), "out_of_range: service: found \"nnn"),
        (monitoring(r#""service":"web","latency_ms":"fast""#), "wrong_type: latency_ms: found \"fast\""),
        (monitoring(r#""service":"web","latency_ms":-1"#), "out_of_range: latency_ms: found \"-1\""),
        (monitoring(r#""service":"web","good_count":1.5"#), "wrong_type: good_count: found \"1.5\""),
        (monitoring(r#""service":"web","good_count":-1"#), "out_of_range: good_count: found \"-1\""),
        (monitoring(r#""service":"web","good_count":1e30"#), "out_of_range: good_count: found \"1e30\""),
        (monitoring(r#""service":"web","good_count":3,"total_count":2"#), "out_of_range: good_count: found 3, expe"),
        (monitoring(r#""outage":"maybe""#), "wrong_type: outage: found \"maybe\", expected true or false"),
        (r#"{"kind":"weather"}"#.to_owned(), "unknown_kind: "),
        (r#"{"time":"soon"}"#.to_owned(), "bad_time: time: found \"soon\", expected RFC 3339"),
        (r#"{"time":1767225600}"#.to_owned(), "wrong_type: time: found \"1767225600\", expected RFC 3339"),
        (r#"{"time":"2300-01-01T00:00:00Z"}"#.to_owned(), "absurd_time: time: found \"2300-01-01T00:00:00Z\""),
        (
            r#"{"time":"2026-01-31T08:00:00Z","kind":"incident","action":"opened"}"#.to_owned(),
            "missing_field: ticket: missing, but incident needs it",
        ),
        (
            r#"{"time":"2026-01-31T08:00:00Z","kind":"change","ticket":"C"}"#.to_owned(),
            "missing_field: action: missing, but change needs it",
        ),
        (r#"{"time":"2026-01-31T08:00:00Z","kind":"feedback"}"#.to_owned(), "missing_field: score"),
    ];
    for (record, expected) in cases {
        let found = outcome(&plain(), record.as_bytes());
        assert!(found.starts_with(expected), "{}: {found}", &record[..record.len().min(100)]);
        assert!(found.len() < 700, "{found}");
    }
    assert_eq!(outcome(&plain(), b"{\"a\":\"\xff\"}"), "invalid_utf8: not UTF-8 after 6 bytes");
}

#[test]
fn counts_come_in_pairs_but_for_incidents() {
    let event = |kind: &str, counts: &str| {
        let fields = r#""service":"web","status":"up","ticket":"T","action":"updated","score":1"#;
        let record = format!(r#"{{"time":"2026-01-31T08:00:00Z","kind":"{kind}",{fields},{counts}}}"#);
        outcome(&plain(), record.as_bytes())
    };
    for kind in ["monitoring", "feedback", "change"] {
        assert_eq!(
            event(kind, r#""good_count":1"#),
            "missing_field: total_count: missing, but good_count needs it",
            "{kind}"
        );
        assert_eq!(
            event(kind, r#""total_count":1,"good_count":null"#),
            "missing_field: good_count: missing, but total_count needs it",
            "{kind}"
        );
        assert!(event(kind, r#""good_count":0,"total_count":0"#).contains(" good_count=0 total_count=0 "), "{kind}");
    }
    // A change's counts are those of this record alone, so nothing else says whose they are.
    let change = r#"{"time":"2026-01-31T08:00:00Z","kind":"change","ticket":"C","action":"updated","good_count":1,"total_count":1}"#;
    let expected = "missing_field: service: missing, but a change with good_count and total_count needs it";
    assert_eq!(outcome(&plain(), change.as_bytes()), expected);
    // What a record of a ticket leaves out stays as it was.
    assert!(
        outcome(&plain(), change.replace("change", "incident").as_bytes()).contains(" good_count=1 total_count=1 ")
    );
    assert!(event("incident", r#""good_count":1"#).contains(" good_count=1 ticket=T"));
    assert!(event("incident", r#""total_count":1"#).contains(" total_count=1 ticket=T"));
    for kind in ["monitoring", "feedback", "change", "incident"] {
        let found = event(kind, r#""good_count":2,"total_count":1"#);
        assert_eq!(found, "out_of_range: good_count: found 2, expected at most the total_count, 1", "{kind}");
        let found = event(kind, r#""good_count":-2,"total_count":-1"#);
        assert!(found.starts_with("out_of_range: good_count: found \"-2\""), "{kind}: {found}");
    }
}

#[test]
fn a_dead_letter_keeps_what_came() {
    let mut decoder = decoder(&plain());
    decoder.decode(Record { offset: 7, payload: None, record_time: Some(Instant(5)) });
    decoder.decode(Record { offset: 9, payload: Some(&[b'x'; 20_000]), record_time: None });
    assert_eq!((decoder.pending_records(), decoder.pending_bytes()), (2, 20_000));
    let delivery = decoder.take(7, 10, None).expect("a delivery");
    let [tombstone, long] = delivery.dead_letters.as_slice() else { panic!("two dead letters") };
    assert_eq!((tombstone.reason, tombstone.offset, tombstone.record_time), (Empty, 7, Some(Instant(5))));
    assert_eq!((long.reason, long.payload.len(), long.payload_bytes), (Malformed, 16_384, 20_000));
    assert_eq!((decoder.pending_records(), decoder.pending_bytes()), (0, 0));
    let nothing = decoder.take(10, 10, Some(Instant(5))).expect("a delivery of nothing");
    assert!(nothing.events.num_rows() == 0 && nothing.dead_letters.is_empty());
    assert_eq!(nothing.complete_until, Some(Instant(5)));
    decoder.decode(Record { offset: 12, payload: None, record_time: None });
    assert!(matches!(decoder.take(10, 12, None), Err(IngestError::Offsets { last: 12, .. })));
}

#[test]
fn foreign_fields_find_their_columns() {
    let mut status = at("/check/results/1");
    status.values = [("OK", "up"), ("2", "down"), ("true", "up"), ("odd", "sideways")]
        .map(|(raw, word)| (raw.to_owned(), word.to_owned()))
        .into();
    let mut time = at("/ts");
    time.time_format = TimeFormat::Seconds;
    let mut service = at("/svc~name");
    service.missing = vec!["?".to_owned()];
    let joined = Origin::Joined {
        parts: vec![vec!["ticket".to_owned()], vec!["check".to_owned(), "rev".to_owned()]],
        separator: "#".to_owned(),
    };
    let foreign = source([
        (Id, field(joined)),
        (Time, time),
        (Kind, constant("monitoring")),
        (Service, service),
        (Status, status),
    ]);
    let record = |rest: &str| format!(r#"{{"ts":"1767225600.25","ticket":"T\u00e41","svc~name":"web",{rest}}}"#);
    for (rest, expected) in [
        (
            r#""check":{"results":["x","OK","y"],"rev":2}"#,
            "id=Tä1#2 time=2026-01-01T00:00:00.250Z kind=monitoring service=web check=default status=up",
        ),
        (
            r#""check":{"results":[0,2]}"#,
            "id=events/3/10 time=2026-01-01T00:00:00.250Z kind=monitoring service=web check=default status=down",
        ),
        (
            r#""check":{"results":[[],true]}"#,
            "id=events/3/10 time=2026-01-01T00:00:00.250Z kind=monitoring service=web check=default status=up",
        ),
        (r#""check":{"results":["x","OK"]},"check":5"#, "missing_field: status"),
        (
            r#""check":{"results":["x","FINE"]}"#,
            "unknown_word: status: found \"FINE\", expected one of \"2, OK, odd, true\"",
        ),
        (r#""check":{"results":["x","odd"]}"#, "unknown_word: status: found \"sideways\""),
        (r#""check":{"results":["x","OK"]},"svc~name":"?""#, "missing_field: service"),
    ] {
        let found = outcome(&foreign, record(rest).as_bytes()).replace("source=test ", "");
        assert!(found.starts_with(expected), "{rest}: {found}");
    }
}

#[test]
fn a_place_may_be_wanted_whole_and_in_parts() {
    let both = source([
        (Time, at("/t")),
        (Kind, constant("feedback")),
        (Score, constant("1")),
        (Customer, at("/who")),
        (Service, at("/who/service")),
    ]);
    let time = r#""t":"2026-01-31T08:00:00Z""#;
    assert!(outcome(&both, format!(r#"{{{time},"who":12.50}}"#).as_bytes()).contains(" customer=12.50 "));
    let nested = outcome(&both, format!(r#"{{{time},"who":{{"service":"a"}}}}"#).as_bytes());
    assert!(nested.starts_with("wrong_type: customer: found an object or a list"), "{nested}");
}

#[test]
fn what_a_value_map_does_not_know() {
    let with = |otherwise| {
        let mut priority = at("/p");
        priority.values = [("1 - Critical".to_owned(), "P1".to_owned())].into();
        priority.otherwise = otherwise;
        source([
            (Time, constant("2026-01-31T08:00:00Z")),
            (Kind, constant("feedback")),
            (Score, constant("1")),
            (Priority, priority),
        ])
    };
    for (otherwise, expected) in [
        (Some(Otherwise::Keep), "priority=9 score=1"),
        (Some(Otherwise::Missing), "kind=feedback score=1"),
        (Some(Otherwise::Value("P5".to_owned())), "priority=P5 score=1"),
        (None, "unknown_word: priority: found \"9\", expected one of \"1 - Critical\""),
    ] {
        let source = with(otherwise);
        assert!(outcome(&source, br#"{"p":9}"#).contains(expected), "{}", outcome(&source, br#"{"p":9}"#));
        assert!(outcome(&source, br#"{"p":"1 - Critical"}"#).contains("priority=P1"));
        assert!(outcome(&source, br#"{"p":""}"#).ends_with("kind=feedback score=1"));
    }
}

#[test]
fn a_constant_that_cannot_be_read_is_named_by_every_record() {
    let wrong = source([(Time, constant("today")), (Kind, constant("feedback")), (Score, constant("1"))]);
    assert!(outcome(&wrong, b"{}").starts_with("bad_time: time: found \"today\""));
}

#[test]
fn texts_come_out_as_they_are_meant() {
    let said = |text: &str| {
        let record =
            format!(r#"{{"time":"2026-01-31T08:00:00Z","kind":"feedback","score":1,"customer":{text},"id":{text}}}"#);
        outcome(&plain(), record.as_bytes())
    };
    for (written, meant) in [
        (r#""plain""#, "plain"),
        (r#""\"\\\/\b\n""#, "\"\\/\u{8}\n"),
        (r#""\u00e9\ud83d\ude00""#, "é😀"),
        (r#""naïve 😀""#, "naïve 😀"),
        ("1.50", "1.50"),
    ] {
        let expected =
            format!("source=test id={meant} time=2026-01-31T08:00:00Z kind=feedback customer={meant} score=1");
        assert_eq!(said(written), expected);
    }
}

#[test]
fn csv_records_of_one_line() {
    let mut csv = source([
        (Time, at("/when")),
        (Kind, constant("incident")),
        (Ticket, at("/number")),
        (Action, constant("snapshot")),
        (Customer, at("/who")),
    ]);
    csv.format = Format::Csv;
    csv.mapping.csv_columns = ["number", "other", "who", "when"].map(str::to_owned).to_vec();
    for (record, expected) in [
        ("INC1,x,\"Smith, \"\"J\"\"\",2026-01-31T08:00:00Z", "customer=Smith, \"J\" ticket=INC1 action=snapshot"),
        ("INC1,x,,2026-01-31T08:00:00Z\r\n", "kind=incident ticket=INC1 action=snapshot"),
        ("INC1,x,2026-01-31T08:00:00Z", "malformed: 3 columns, expected 4"),
        ("INC1,x,y,z,2026-01-31T08:00:00Z", "malformed: at least 5 columns, expected 4"),
        ("INC1,x,y,2026-01-31T08:00:00Z\nINC2,x,y,2026-01-31T08:00:00Z", "malformed: more than one line"),
        ("INC1,x,\"y\nz\"", "malformed: 3 columns in 2 lines, expected 4"),
        (",x,y,2026-01-31T08:00:00Z", "missing_field: ticket"),
        ("INC1,x,\"y,2026-01-31T08:00:00Z", "malformed: a quoted field is never closed"),
        ("INC1,x,y,\"2026-01-31T08:00:00Z", "malformed: a quoted field is never closed"),
        ("INC1,\"x\n\",5\" pipe,2026-01-31T08:00:00Z", "customer=5\" pipe ticket=INC1"),
        ("INC1,x,\"5\"\" pipe\",\"2026-01-31T08:00:00Z\"", "customer=5\" pipe ticket=INC1"),
        ("   ", "empty: "),
    ] {
        let found = outcome(&csv, record.as_bytes());
        assert!(found.contains(expected), "{record}: {found}");
    }
}

#[test]
fn what_a_longer_csv_record_left_behind_is_not_read() {
    let mut csv =
        source([(Time, at("/when")), (Kind, constant("monitoring")), (Service, at("/who")), (Status, constant("up"))]);
    csv.format = Format::Csv;
    csv.mapping.csv_columns = ["when", "who", "note"].map(str::to_owned).to_vec();
    let mut decoder = decoder(&csv);
    // The second record ends within the bytes of the first one's last character.
    for (offset, note) in ["\u{e9}\u{e9}\u{e9}", "a", ""].into_iter().enumerate() {
        let record = format!("2026-01-31T08:00:00Z,s,{note}");
        decoder.decode(Record { offset: offset as i64, payload: Some(record.as_bytes()), record_time: None });
    }
    let delivery = decoder.take(0, 3, None).expect("a delivery");
    assert_eq!((delivery.events.num_rows(), delivery.dead_letters), (3, Vec::new()));
}

#[test]
fn keys_stay_until_there_are_too_many() {
    let record = |service: usize| {
        format!(r#"{{"time":"2026-01-31T08:00:00Z","kind":"monitoring","service":"s{service}","status":"up"}}"#)
    };
    let mut decoder = decoder(&plain());
    let mut batch = |services: std::ops::Range<usize>| {
        let rows = services.len() as i64;
        for (offset, service) in (0..).zip(services) {
            decoder.decode(Record { offset, payload: Some(record(service).as_bytes()), record_time: None });
        }
        let events = decoder.take(0, rows, None).expect("a delivery").events;
        let services = events.interned(Service).clone();
        let first = services.keys().iter().next().flatten();
        (first, services.values().clone(), row(&events, events.num_rows() - 1))
    };
    let (_, first_strings, _) = batch(0..3);
    let (key, strings, _) = batch(2..3);
    assert_eq!(key, Some(2));
    assert!(Arc::ptr_eq(&first_strings, &strings), "no new string, no new array");
    let (_, strings, last) = batch(0..65_600);
    assert_eq!(strings.len(), 65_600);
    assert!(last.contains("service=s65599"));
    let (key, strings, _) = batch(65_000..65_001);
    assert_eq!((key, strings.len()), (Some(0), 1), "the dictionary began anew");
}

#[test]
fn a_full_batch_says_so() {
    let mut decoder = decoder(&plain());
    for offset in 0..BATCH_ROWS_MAX as i64 {
        assert!(!decoder.is_full());
        decoder.decode(Record { offset, payload: None, record_time: None });
    }
    assert!(decoder.is_full());
}

/// Any JSON, with the field names of the plain form among its keys.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let names = EventColumn::ALL.map(|column| column.field_name().to_owned()).to_vec();
    let text = prop_oneof![
        Just("2026-01-31T08:00:00Z".to_owned()),
        Just("monitoring".to_owned()),
        Just("up".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 40, 12, move |inner| {
        let key = prop_oneof![4 => proptest::sample::select(names.clone()), 1 => ".{0,6}"];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            3 => prop::collection::vec((key, inner), 0..12)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Each record is one row or one dead letter, in order.
fn accounted_for(source: &Source, records: &[Vec<u8>]) {
    let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let delivery = decode(source, &slices);
    let rows = delivery.events.integers(Offset).values().to_vec();
    let letters: Vec<i64> = delivery.dead_letters.iter().map(|letter| letter.offset).collect();
    assert!(rows.is_sorted() && letters.is_sorted());
    let mut all = [rows, letters].concat();
    all.sort_unstable();
    assert_eq!(all, (10..10 + records.len() as i64).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn any_bytes_are_accounted_for(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
        accounted_for(&plain(), &records);
        let mut csv = plain();
        csv.format = Format::Csv;
        csv.mapping.csv_columns = vec!["time".to_owned(), "kind".to_owned()];
        accounted_for(&csv, &records);
    }

    #[test]
    fn any_json_is_accounted_for(records in prop::collection::vec(any_json(), 0..20), cut in 0_usize..80) {
        let mut texts: Vec<_> = records.iter().map(|record| record.to_string().into_bytes()).collect();
        if let Some(last) = texts.last_mut() {
            last.truncate(cut);
        }
        accounted_for(&plain(), &texts);
    }

    #[test]
    fn a_plain_event_comes_back(
        service in "[^\\p{C}]{1,20}", ticket in "[^\\p{C}]{1,20}", micros in 0_i64..7_258_118_400_000_000,
        action in 0_usize..14, sequence in any::<i64>(), outage in any::<bool>(),
    ) {
        let action = plimsoll_schemas::event::Action::WORDS[action].0;
        let record = serde_json::json!({
            "time": Instant(micros).to_string(), "kind": "incident", "service": service, "ticket": ticket,
            "action": action, "sequence": sequence, "outage": outage, "id": "i",
        });
        let expected = format!(
            "source=test id=i time={} kind=incident service={service} ticket={ticket} action={action} \
             sequence={sequence} outage={outage}", Instant(micros)
        );
        prop_assert_eq!(outcome(&plain(), record.to_string().as_bytes()), expected);
    }
}
