//! Sources and their mappings.

use chrono_tz::Tz;

use super::{check, document, good};
use crate::definition::claims::common_name;
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
    assert_eq!(source.mapping.fields.len(), 28);
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
            "6: spec.files[0]: found \"x/y.csv\", expected a file name of at most 255 characters without a folder",
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
        &document("Source", "files: [f]\nformat: csv\ncolumns: [time, kind]\n"),
        &["7: spec.columns: found a list, expected no such field without `topics`"],
    );
    check(
        &document("Source", "topics: [t]\nformat: csv\ncolumns: [when, what]\nkind: change\n"),
        &["7: spec.columns: found a list, expected time and kind among the columns, or a `map` that says where they"],
    );
    check(
        &document("Source", "topics: [t]\nkind: change\nrecords: snapshots\n"),
        &["7: spec.records: found \"snapshots\", expected no such field: only records of incidents are compared"],
    );
    check(
        &document(
            "Source",
            "topics: [t]\nformat: csv\ncolumns: [at, kind]\nmap:\n  time: /att\n  kind: {pointer: /a/b}\n  id: {join: \
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
            "6: spec.files[0]: found \"f\", expected file names that no other source claims; \"f\" at test.yaml:3 fits \"f\" too",
            "6: spec.topics[0]: found \"t\", expected a topic that no other source claims, as test.yaml:3 does",
        ],
    );
}

/// A source of these file names.
fn of_files(id: &str, files: &str) -> String {
    format!("---\n{{apiVersion: plimsoll/v1, kind: Source, metadata: {{id: {id}}},\nspec: {{files: [{files}]}}}}\n")
}

#[test]
fn no_file_name_fits_two_sources() {
    check(
        &(of_files("a", "'*.csv', 'b*.json'") + &of_files("b", "tickets*.csv, 'a*.json'")),
        &[
            "6: spec.files[0]: found \"tickets*.csv\", expected file names that no other source claims; \"*.csv\" at test.yaml:3 \
           fits \"tickets.csv\" too",
        ],
    );
    check(
        &(of_files("a", "'*'") + &of_files("b", "'**'")),
        &[
            "6: spec.files[0]: found \"**\", expected file names that no other source claims; \"*\" at test.yaml:3 fits \"x\" too",
        ],
    );
    // One source may say the same twice over, and one topic twice is told by the schema.
    good(&of_files("a", "'*.csv', 'tickets*.csv'"));
}

#[test]
fn patterns_have_a_name_in_common_or_not() {
    for (one, other, common) in [
        ("a*", "*b", Some("ab")),
        ("?", "x", Some("x")),
        ("??", "?*", Some("xx")),
        ("a?c", "abd", None),
        ("*.csv", "*.csv.gz", None),
        ("tickets*.csv", "checks*.csv", None),
        ("*a*", "b?c", Some("bac")),
        ("*a*", "b?", Some("ba")),
        ("*aa*", "b?", None),
        ("a", "aa", None),
        ("a*a", "a", None),
        ("*x*y*", "y*x", Some("yxyx")),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let found = common_name(one, other);
            assert_eq!(found.is_some(), common.is_some(), "{one} and {other} have {found:?}");
            // The name that is shown fits both: the matcher of file names is another algorithm.
            for pattern in [one, other] {
                let source = Source { files: vec![pattern.to_owned()], ..Source::plain("s") };
                assert!([&found, &common.map(str::to_owned)].into_iter().flatten().all(|name| source.fits_file(name)));
            }
        }
    }
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
        &["6: spec.map.status: found nothing, expected a rule for status or good_count or latency_ms; monitoring"],
    );
    check(
        &mapped("time: /t\nkind: {constant: change}\nticket: /s"),
        &[
            "6: spec.map.action: found nothing, expected a rule for what happened to the change, such as {constant: finished}",
        ],
    );
    check(
        &mapped("time: /t\nkind: {constant: monitoring}\nstatus: /s"),
        &["6: spec.map.service: found nothing, expected a rule for the service; monitoring events need one"],
    );
    check(
        &mapped("time: /t\nkind: {constant: incident}\naction: /a\ngood_count: /g\ntotal_count: /n"),
        &["6: spec.map.ticket: found nothing, expected a rule for the ticket's number; incident events need one"],
    );
    check(
        &mapped("time: /t\nkind: {constant: feedback}\nservice: /a\ngood_count: /g\ntotal_count: /n"),
        &["6: spec.map.score: found nothing, expected a rule for what the user thinks; feedback events need one"],
    );
    check(
        &document("Source", "topics: [t]\nkind: incident\nrecords: snapshots\nmap: {time: /t, ticket: /n}"),
        &[
            "8: spec.map.state: found nothing, expected a rule for where the ticket stands; snapshots are compared by it",
        ],
    );
    check(
        &mapped("time: /t\nkind: /k\ngood_count: /s"),
        &["6: spec.map.total_count: found nothing, expected a rule beside good_count"],
    );
    check(
        &document(
            "Source",
            "topics: [t]\nkind: incident\nrecords: snapshots\nmap: {time: /t, kind: /k, action: /a, ticket: /n, state: /s}",
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
            "12: spec.map.score.values.good: found \"five\", expected a whole number from",
            "13: spec.map.status.otherwise: found \"keep\", expected no such field without `values`",
            "14: spec.map.state.otherwise: found \"drop\", expected",
        ],
    );
}

#[test]
fn constants_fit_their_column() {
    check(
        &mapped(
            "
time: {constant: soon}
kind: {constant: tickets}
status: {constant: UP}
action: {constant: done}
state: {constant: open}
outcome: {constant: ok}
good_count: {constant: -1}
total_count: {constant: 1e3}
sequence: {constant: 9223372036854775808}
score: {constant: five}
outage: {constant: yes}
emergency: {constant: 2}
latency_ms: {constant: fast}
customer: {constant: ''}
opened_at: {constant: 9999999999999, time: s}
closed_at: {constant: 2026-01-31, time: '%d/%m/%Y %H:%M'}
resolved_at: {constant: 2026-02-30T08:00:00Z}
planned_start: {pointer: /p, values: {none: never}, otherwise: {value: later}}
planned_end: {constant: 04/03/2026, time: '%d/%m/%Y'}
service: {constant: a, values: {a: b}, missing: [a], otherwise: keep}
",
        ),
        &[
            "7: spec.map.time.constant: found \"soon\", expected a time from 1970 to 2199 such as 2026-03-04T05:06:07Z for time",
            "8: spec.map.kind.constant: found \"tickets\", expected a word for kind: one of incident, monitoring, change, feedback",
            "9: spec.map.status.constant: found \"UP\", expected a word for status: one of up, degraded, down, unknown; perhaps \"up\"",
            "10: spec.map.action.constant: found \"done\", expected a word for action: one of opened, acknowledged, paused, resumed, \
             resolved, reopened, closed, cancelled, updated, snapshot, planned, approved, started, finished",
            "11: spec.map.state.constant: found \"open\", expected a word for state: one of new, active, paused, resolved, closed, cancelled",
            "12: spec.map.outcome.constant: found \"ok\", expected a word for outcome: one of success, failed",
            "13: spec.map.good_count.constant: found -1, expected a whole number from 0 to 9223372036854775807 for good_count",
            "14: spec.map.total_count.constant: found 1e3, expected a whole number from 0 to 9223372036854775807 for total_count, in digits",
            "15: spec.map.sequence.constant: found 9223372036854775808, expected a whole number from -9223372036854775808 to",
            "16: spec.map.score.constant: found \"five\", expected a whole number from -9223372036854775808 to",
            "17: spec.map.outage.constant: found \"yes\", expected true or false for outage",
            "18: spec.map.emergency.constant: found 2, expected true or false for emergency",
            "19: spec.map.latency_ms.constant: found \"fast\", expected a number that is not negative for latency_ms",
            "20: spec.map.customer.constant: found \"\", expected a value; leave the field out if there is none",
            "21: spec.map.opened_at.constant: found 9999999999999, expected seconds since 1970, from 1970 to 2199",
            "22: spec.map.closed_at.constant: found \"2026-01-31\", expected a time from 1970 to 2199 written like 04/03/2026 05:06",
            "23: spec.map.resolved_at.constant: found \"2026-02-30T08:00:00Z\", expected a time",
            "24: spec.map.planned_start.otherwise.value: found \"later\", expected a time",
            "24: spec.map.planned_start.values.none: found \"never\", expected a time",
            "25: spec.map.planned_end.time: found \"%d/%m/%Y\", expected rfc3339, s, ms, us, ns or a strftime pattern",
            "26: spec.map.service.missing: found a list, expected no such field: a constant is the same in every record",
            "26: spec.map.service.otherwise: found \"keep\", expected no such field: a constant is the same",
            "26: spec.map.service.values: found a mapping with a, expected no such field: a constant is the same",
        ],
    );
}

#[test]
fn constants_of_every_type_are_taken_as_they_are_written() {
    let text = mapped(
        "
kind: {constant: incident}
time: {constant: 2026-03-04 05:06:07}
opened_at: {constant: 1772600767.5, time: s}
closed_at: {constant: 04/03/2026 05:06, time: '%d/%m/%Y %H:%M'}
resolved_at: {constant: 2026-03-04}
ticket: {constant: 007}
action: {constant: opened}
good_count: {constant: +1}
total_count: {constant: 9223372036854775807}
sequence: {constant: -9223372036854775808}
outage: {constant: True}
emergency: {constant: 0}
latency_ms: {constant: 0.25}
priority: {pointer: /p, missing: [1.10, False], values: {x: 1.50}}
",
    );
    let definitions = good(&text);
    let fields = &definitions.sources["tested"].mapping.fields;
    for (column, constant) in [
        (EventColumn::Time, "2026-03-04 05:06:07"),
        (EventColumn::OpenedAt, "1772600767.5"),
        (EventColumn::ResolvedAt, "2026-03-04"),
        (EventColumn::Ticket, "007"),
        (EventColumn::GoodCount, "+1"),
        (EventColumn::TotalCount, "9223372036854775807"),
        (EventColumn::Sequence, "-9223372036854775808"),
        (EventColumn::Outage, "True"),
        (EventColumn::LatencyUs, "0.25"),
    ] {
        assert_eq!(fields[&column].origin, Origin::Constant(constant.to_owned()), "{column:?}");
    }
    let priority = &fields[&EventColumn::Priority];
    assert_eq!((priority.missing.clone(), priority.values["x"].as_str()), (tokens(&["1.10", "False"]), "1.50"));
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
