//! Sources and their mappings.

use chrono_tz::Tz;

use super::{check, document, good};
use crate::definition::source::{Field, Format, Mapping, Origin, Otherwise, Source, TimeFormat};
use crate::event::EventColumn;
use crate::time::Micros;

/// A source of topic `t` with this map, whose entries start on line 7.
fn mapped(entries: &str) -> String {
    let entries: Vec<String> = entries.trim_matches('\n').lines().map(|line| format!("  {line}")).collect();
    document("Source", &format!("topics: [t]\nmap:\n{}", entries.join("\n")))
}

fn tokens(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_plain_source_finds_each_field_under_its_name() {
    let definitions = good(&document("Source", "topics: [t]\nfiles: ['events-*.json', 'x?.csv']\n"));
    let source = definitions.source_of_topic("t").expect("there");
    assert_eq!((source.format, source.lateness), (Format::Json, Micros(300_000_000)));
    assert_eq!(source.mapping, Mapping::plain());
    assert_eq!(source.mapping.fields.len(), 27);
    let latency = &source.mapping.fields[&EventColumn::LatencyUs];
    assert_eq!(latency.origin, Origin::Pointer(tokens(&["latency_ms"])));
    assert_eq!(latency.time_format, TimeFormat::Milliseconds);
    assert_eq!(definitions.source_of_topic("other"), None);
    for (name, fits) in [
        ("events-.json", true),
        ("events-a.json.json", true),
        ("x1.csv", true),
        ("x12.csv", false),
        ("x.csv", false),
        ("events-a.csv", false),
        ("", false),
    ] {
        assert_eq!(definitions.source_of_file(name).is_some(), fits, "{name}");
    }
}

#[test]
fn a_mapping_means_what_it_says() {
    let text = document(
        "Source",
        "
topics: [t]
kind: incident
records: snapshots
lateness: 1h
map:
  id: {join: {pointers: [/a~1b/c~0d, /e], separator: '-'}}
  time: {pointer: /t, time: '%d/%m/%Y %H:%M', time_zone: Europe/Berlin}
  ticket: /number
  state: {pointer: /s, values: {1: new, true: closed}, otherwise: missing, missing: ['?', -100]}
  total_count: {constant: 1}
  good_count: {pointer: /ok, values: {yes: 1}, otherwise: {value: 0}}
  latency_ms: {pointer: /l, time: s}
",
    );
    let definitions = good(&text);
    let fields = &definitions.sources["tested"].mapping.fields;
    let joined = Origin::Joined { parts: vec![tokens(&["a/b", "c~d"]), tokens(&["e"])], separator: "-".to_owned() };
    assert_eq!(fields[&EventColumn::Id].origin, joined);
    let time = &fields[&EventColumn::Time];
    assert_eq!(time.time_format, TimeFormat::Pattern("%d/%m/%Y %H:%M".to_owned()));
    assert_eq!(time.time_zone, Tz::Europe__Berlin);
    let state = &fields[&EventColumn::State];
    assert_eq!(state.missing, ["?", "-100"]);
    assert_eq!(state.values["1"], "new");
    assert_eq!(state.values["true"], "closed");
    assert_eq!(state.otherwise, Some(Otherwise::Missing));
    assert_eq!(fields[&EventColumn::GoodCount].otherwise, Some(Otherwise::Value("0".to_owned())));
    assert_eq!(fields[&EventColumn::LatencyUs].time_format, TimeFormat::Seconds);
    for (column, constant) in [
        (EventColumn::Kind, "incident"),
        (EventColumn::Action, "snapshot"),
        (EventColumn::Source, "tested"),
        (EventColumn::TotalCount, "1"),
    ] {
        assert_eq!(fields[&column], Field::constant(constant), "{column:?}");
    }
    assert_eq!(fields.len(), 10);
    assert_eq!(Source::plain("x").id, "x");
}

#[test]
fn a_source_has_records_and_knows_their_columns() {
    check(&document("Source", "format: json\n"), &["4: spec.topics: found nothing, expected topics or files"]);
    check(
        &document("Source", "topics: [a/b, .., ok]\nfiles: [x/y.csv]\nformat: xml\nlateness: -5m\n"),
        &[
            "5: spec.topics[0]: found \"a/b\", expected a Kafka topic name",
            "5: spec.topics[1]: found \"..\", expected a Kafka topic name",
            "6: spec.files[0]: found \"x/y.csv\", expected a file name without a folder",
            "7: spec.format: found \"xml\", expected how a record is written: json (unless told) or csv: one of json",
            "8: spec.lateness: found \"-5m\", expected a duration",
        ],
    );
    check(
        &document("Source", "topics: [t]\nformat: csv\n"),
        &["4: spec.columns: found nothing, expected the names of the columns, because a Kafka record has no header"],
    );
    check(
        &document("Source", "topics: [t]\ncolumns: [a]\n"),
        &["6: spec.columns: found a list, expected no such field: it belongs to the format csv"],
    );
    check(
        &document(
            "Source",
            "files: [f]\nformat: csv\ncolumns: [at, kind]\nmap:\n  time: /att\n  kind: {pointer: /a/b}\n  id: {join: \
             {pointers: [/kind, /x]}}\n",
        ),
        &[
            "9: spec.map.time: found \"/att\", expected / and the name of a column in spec.columns: one of at, kind",
            "10: spec.map.kind.pointer: found \"/a/b\", expected / and the name of a CSV column",
            "11: spec.map.id.join.pointers[1]: found \"/x\", expected / and the name of a column in spec.columns",
        ],
    );
}

#[test]
fn topics_and_files_have_one_source() {
    let source = |id| {
        format!(
            "---\n{{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: {id}}},\nspec: {{topics: [t], files: [f]}}}}\n"
        )
    };
    check(
        &(source("a") + &source("b")),
        &[
            "6: spec.files[0]: found \"f\", expected a file name that no other source claims, as test.yaml:3 does",
            "6: spec.topics[0]: found \"t\", expected a topic that no other source claims, as test.yaml:3 does",
        ],
    );
}

#[test]
fn a_mapping_fills_what_its_events_need() {
    check(
        &mapped("service: /s"),
        &[
            "6: spec.map.kind: found nothing, expected a rule for the kind of event, or spec.kind",
            "6: spec.map.time: found nothing, expected a rule for when it happened",
        ],
    );
    check(
        &mapped("time: /t\nkind: {constant: monitoring}\nservice: /s"),
        &[
            "6: spec.map.status: found nothing, expected a rule for status or good_count or latency_ms, which monitoring",
        ],
    );
    check(
        &mapped("time: /t\nkind: {constant: change}\nticket: /s"),
        &["6: spec.map.action: found nothing, expected a rule for what happened to the ticket, or spec.records"],
    );
    check(
        &mapped("time: /t\nkind: /k\ngood_count: /s"),
        &["6: spec.map.total_count: found nothing, expected a rule beside good_count"],
    );
    check(
        &document(
            "Source",
            "topics: [t]\nkind: change\nrecords: snapshots\nmap: {time: /t, kind: /k, action: /a, ticket: /n}",
        ),
        &[
            "8: spec.map.action: found a second rule, expected either this field or spec.records",
            "8: spec.map.kind: found a second rule, expected either this field or spec.kind",
        ],
    );
}

#[test]
fn rules_say_where_a_value_stands() {
    check(
        &mapped(
            "
time: t
kind: {pointer: k}
id: {join: {pointers: [/a~2, '']}}
service: {pointer: /a, constant: b}
customer: {missing: ['']}
chek: /c
offset: /o
status: {pointer: /s, value: up}
score: 5
",
        ),
        &[
            "7: spec.map.time: found \"t\", expected a JSON Pointer such as /event/time",
            "8: spec.map.kind.pointer: found \"k\", expected a JSON Pointer",
            "9: spec.map.id.join.pointers[0]: found \"/a~2\", expected a JSON Pointer",
            "9: spec.map.id.join.pointers[1]: found \"\", expected a JSON Pointer",
            "10: spec.map.service: found pointer and constant, expected only one of pointer, constant and join",
            "11: spec.map.customer: found a mapping with missing, expected one of pointer, constant and join",
            "12: spec.map.chek: found the unknown field \"chek\"",
            "13: spec.map.offset: found the unknown field \"offset\"",
            "14: spec.map.status.value: found the unknown field \"value\"",
            "15: spec.map.score: found 5, expected a pointer such as /event/time, or a mapping",
        ],
    );
}

#[test]
fn what_values_mean_fits_their_column() {
    check(
        &mapped(
            "
time: /t
kind: {constant: incidents}
ticket: /n
action: {pointer: /a, values: {1: opend, 2: closed}, otherwise: {value: gone}}
outage: {pointer: /o, values: {Y: yes, N: false}}
score: {pointer: /s, values: {good: five}}
status: {pointer: /s, otherwise: keep}
state: {pointer: /s, values: {a: new}, otherwise: drop}
",
        ),
        &[
            "8: spec.map.kind.constant: found \"incidents\", expected a word for kind: one of incident, monitoring, \
             change, feedback; perhaps \"incident\" is meant",
            "10: spec.map.action.otherwise.value: found \"gone\", expected a word for action",
            "10: spec.map.action.values.1: found \"opend\", expected a word for action",
            "11: spec.map.outage.values.Y: found \"yes\", expected true or false for outage",
            "12: spec.map.score.values.good: found \"five\", expected a number for score",
            "13: spec.map.status.otherwise: found \"keep\", expected no such field without `values`",
            "14: spec.map.state.otherwise: found \"drop\", expected",
        ],
    );
}

#[test]
fn times_have_a_format_that_can_be_read() {
    check(
        &mapped(
            "
time: {pointer: /t, time: d/m/yyyy}
opened_at: {pointer: /t, time: '%d/%m/%Y'}
closed_at: {pointer: /t, time: '%d/%m/%Y %H:%Q'}
resolved_at: {pointer: /t, time: ms, time_zone: UTC}
planned_start: {pointer: /t, time_zone: Mars}
latency_ms: {pointer: /l, time: rfc3339}
service: {pointer: /l, time: s}
kind: /k
",
        ),
        &[
            "7: spec.map.time.time: found \"d/m/yyyy\", expected rfc3339, s, ms, us, ns or a strftime pattern",
            "8: spec.map.opened_at.time: found \"%d/%m/%Y\", expected rfc3339, s, ms, us, ns or a strftime pattern \
             such as %d/%m/%Y %H:%M; this pattern lacks a part of the date or the time of day",
            "9: spec.map.closed_at.time: found \"%d/%m/%Y %H:%Q\", expected rfc3339, s, ms, us, ns or a strftime \
             pattern such as %d/%m/%Y %H:%M; this pattern has a field that does not exist",
            "10: spec.map.resolved_at.time_zone: found \"UTC\", expected no such field",
            "11: spec.map.planned_start.time_zone: found \"Mars\", expected an IANA time zone",
            "12: spec.map.latency_ms.time: found \"rfc3339\", expected the unit of latency_ms",
            "13: spec.map.service.time: found \"s\", expected no such field: service is not a time",
        ],
    );
    for pattern in ["%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y %I:%M %p", "%s", "%m/%d/%y %T", "%Y-%m-%d %H:%M:%S%.f"] {
        good(&mapped(&format!("time: {{pointer: /t, time: '{pattern}'}}\nkind: /k")));
    }
}
