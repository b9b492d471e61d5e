//! Problems of form: YAML, fields, types, words.

use serde_json::{Value, json};

use super::{BASE, check, document, good, listed};
use crate::definition::scalar::{DURATION, SHARE};
use crate::definition::{File, SCHEMAS, Signal, load, parse_duration};
use crate::event::{EventColumn, Vocabulary};
use crate::time::Micros;

#[test]
fn schemas_are_valid_json_schema_and_explain_every_property() {
    for (name, text) in SCHEMAS {
        let schema: Value = serde_json::from_str(text).expect(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        explained(name, &schema);
    }
}

/// Every property has a description, and examples or something that stands for them: a list of words, fields of its
/// own, or another schema that has them.
fn explained(place: &str, schema: &Value) {
    for (index, item) in schema.as_array().into_iter().flatten().enumerate() {
        explained(&format!("{place}[{index}]"), item);
    }
    for (name, below) in schema.as_object().into_iter().flatten() {
        let place = format!("{place}/{name}");
        if name == "properties" {
            for (property, schema) in below.as_object().into_iter().flatten() {
                let place = format!("{place}/{property}");
                // A property of a condition repeats one that is explained where it is declared.
                if !["/if/", "/then/", "/else/"].iter().any(|condition| place.contains(condition)) {
                    let examples = ["examples", "enum", "const", "properties", "$ref"];
                    assert!(schema.get("description").is_some(), "{place} has no description");
                    let shown = examples.iter().any(|keyword| schema.get(keyword).is_some());
                    assert!(shown || property == "spec", "{place} has no examples");
                }
                explained(&place, schema);
            }
        } else if !["examples", "enum", "const"].contains(&name.as_str()) {
            explained(&place, below);
        }
    }
}

#[test]
fn schema_of_a_mapping_knows_every_column_and_every_word() {
    let (_, text) = SCHEMAS.iter().find(|(name, _)| *name == "source.schema.json").expect("there");
    let schema: Value = serde_json::from_str(text).expect("valid");
    let mapped: Vec<&str> =
        schema["$defs"]["map"]["properties"].as_object().expect("map").keys().map(|k| &**k).collect();
    let columns = EventColumn::ALL.into_iter().map(EventColumn::field_name);
    assert_eq!(mapped, columns.filter(|name| EventColumn::from_field_name(name).is_some()).collect::<Vec<_>>());
    let kinds: Vec<Value> = crate::event::EventKind::WORDS.iter().map(|(word, _)| Value::from(*word)).collect();
    assert_eq!(schema["properties"]["spec"]["properties"]["kind"]["enum"], Value::from(kinds));
}

#[test]
fn nothing_is_a_problem() {
    let expected = "found no definitions, expected at least one YAML file";
    for files in [&[][..], &[File { name: "a.yaml", text: "# nothing yet\n---\n" }]] {
        let problems = load(files).expect_err("no definitions");
        assert!(listed(&problems)[0].starts_with(expected), "{problems:?}");
    }
}

#[test]
fn yaml_that_cannot_be_read_names_its_line() {
    check("kind: Service\nmetadata: {id: [}\n", &["2: found "]);
    check("kind: *nobody\n", &["1: found "]);
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    check(&deep, &["1: found more than 64 levels"]);
    let deeper = format!("a: {}", "[".repeat(1_000_000)); // The parser itself stops here.
    check(&deeper, &["1: found text that is not YAML: recursion limit"]);
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in ["ab", "bc", "cd", "de", "ef", "fg"].map(|pair| pair.split_at(1)) {
        bomb += &format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", "));
    }
    // Each line is ten times the one before and one more: 110 + 1,110 + 11,110 values until line 4, then 8 x 11,111.
    check(&bomb, &["5: found aliases that repeat 101218 values"]);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing() {
    let text = "\u{feff}apiVersion: plimsoll/v1\r\nkind: Customer\r\nmetadata:\r\n  id: a\r\n  x: 1\r\n";
    check(text, &["5: metadata.x: found the unknown field \"x\""]);
}

#[test]
fn documents_before_a_broken_one_are_checked() {
    let text = "{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: a, nam: A}}\n---\n[\n";
    check(text, &["1: metadata.nam: found the unknown field", "4: found "]);
}

#[test]
fn every_repeated_key_is_told() {
    let text =
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: a, id: b}\nspec:\n  tier: x\n  owner: y\n  tier: z\n";
    check(
        "apiVersion: plimsoll/v1\nkind: Customer\nmetadata: {id: a}\nkind: Customer\n",
        &[
            "4: kind: found the field \"kind\" twice, expected each field once, and --- on a line between two definitions",
        ],
    );
    check(
        text,
        &[
            "3: metadata.id: found the field \"id\" twice, expected each field once",
            "7: spec.tier: found the field \"tier\" twice",
        ],
    );
}

#[test]
fn anchors_and_json_are_yaml() {
    let text = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: one}
spec: &spec {tier: gold, customers: [acme]}
---
{\"apiVersion\": \"plimsoll/v1\", \"kind\": \"Service\", \"metadata\": {\"id\": \"two\"}}
";
    assert_eq!(good(text).services["one"].tier.as_deref(), Some("gold"));
    let twice = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: one}
spec:
  customers: &users [acme]
  depends_on: *users
";
    check(twice, &["6: spec.depends_on[0]: found \"acme\", expected the id of a service that is defined"]);
}

#[test]
fn a_document_is_a_definition_of_a_known_kind_and_version() {
    check("just a text\n", &["1: found \"just a text\", expected a mapping: one definition with apiVersion, kind"]);
    check(
        "apiVersion: plimsoll/v1\nkind: service\nmetadata: {name: a}\n",
        &[
            "2: kind: found \"service\", expected what is defined",
            "3: metadata.id: found nothing, expected its id, unique",
        ],
    );
    check(
        "{}",
        &[
            "1: apiVersion: found nothing, expected the version of the format, plimsoll/v1",
            "1: kind: found nothing, expected what is defined",
            "1: metadata: found nothing, expected who this is",
        ],
    );
    check(
        "apiVersion: plimsoll/v2\nkind: Agrement\nmetadata: {id: a}\n",
        &[
            "1: apiVersion: found \"plimsoll/v2\", expected \"plimsoll/v1\"",
            "2: kind: found \"Agrement\", expected what is defined: Service, Customer, Calendar, Offering, Agreement or \
             Source: one of Service, Customer, Calendar, Offering, Agreement, Source; perhaps \"Agreement\" is meant",
        ],
    );
    check(
        "apiVersion: plimsoll/v1\nkind: Customer\nmetadata:\n  id: 17\n  labels: {a: 1}\n",
        &["4: metadata.id: found 17, expected a text of 1 to 200", "5: metadata.labels.a: found 1, expected a text"],
    );
    check(
        "apiVersion: plimsoll/v1\nkind: Customer\nmetadata: {name: x}\n",
        &["3: metadata.id: found nothing, expected its id, unique"],
    );
    check("apiVersion: plimsoll/v1\nkind: Customer\nmetadata: {id: ' a'}\n", &["3: metadata.id: found \" a\""]);
    check(
        "apiVersion: plimsoll/v1\nkind: Customer\nmetadata: {id: \"a\\nb\"}\n",
        &[
            r#"3: metadata.id: found "a\nb", expected a text of 1 to 200 characters, in one line and without control characters"#,
        ],
    );
}

#[test]
fn unknown_fields_are_named_with_the_nearest_known_one() {
    check(
        &document("Service", "teir: gold\nowner: x\nflavour: y\n"),
        &[
            "5: spec.teir: found the unknown field \"teir\", expected a field that exists here: one of tier, owner, \
             customers, depends_on, costs, state, composed_of; perhaps \"tier\" is meant",
            "7: spec.flavour: found the unknown field \"flavour\", expected a field that exists here: one of tier, \
             owner, customers, depends_on, costs, state, composed_of",
        ],
    );
    check(
        "apiVersion: plimsoll/v1\nkind: Customer\nmetadata: {id: a}\nspecs: {}\n",
        &["4: specs: found the unknown field \"specs\""],
    );
}

#[test]
fn types_and_words_are_named() {
    check(
        &document("Service", "customers: acme\nowner: [x]\nstate: {from: check, down_when: some, stale_after: 15}"),
        &[
            "5: spec.customers: found \"acme\", expected a list: the ids of the customers who use it",
            "6: spec.owner: found a list, expected a text that is not empty",
            "7: spec.state.down_when: found \"some\", expected",
            "7: spec.state.from: found \"check\", expected which events decide: checks, incidents that say outage, or \
             both (unless told): one of checks, incidents, both; perhaps \"checks\" is meant",
            "7: spec.state.stale_after: found 15, expected a duration such as 90s",
        ],
    );
    check(
        &document("Service", "customers: [acme, acme]\nstate: {down_when: {at_least: 0}}"),
        &[
            "5: spec.customers: found \"acme\" twice, expected each entry once",
            "6: spec.state.down_when.at_least: found 0, expected a whole number from 1 to 1000000",
        ],
    );
}

#[test]
fn a_problem_is_one_line_of_bounded_length() {
    let text = format!(
        "apiVersion: plimsoll/v1\nkind: Customer\nmetadata: {{id: a, \"x\\e[2J\\ny\": 1, labels: {}}}\n",
        "z".repeat(500)
    );
    check(
        &text,
        &[
            &format!(
                "3: metadata.labels: found \"{}...\", expected a mapping: free labels for grouping",
                "z".repeat(120)
            ),
            "3: metadata.x\\u{1b}[2J\\ny: found the unknown field \"x\\u{1b}[2J\\ny\", expected a field",
        ],
    );
}

#[test]
fn messages_and_schemas_say_the_same() {
    let (_, text) = SCHEMAS.iter().find(|(name, _)| *name == "common.schema.json").expect("there");
    let schema: Value = serde_json::from_str(text).expect("valid");
    for (name, said) in [("duration", DURATION), ("share", SHARE)] {
        assert_eq!(schema["$defs"][name]["description"], said);
    }
    for place in ["indicator", "is_known"] {
        assert_eq!(schema["$defs"][place]["properties"]["signal"]["enum"], json!(Signal::NAMES), "{place}");
    }
}

#[test]
fn problems_stand_in_the_order_of_files_and_lines() {
    let a = "{apiVersion: plimsoll/v1, kind: Customer,\nmetadata: {id: a},\nspec: {x: 1}, other: 2}";
    let problems = load(&[
        File { name: "z.yaml", text: a },
        File { name: "b.yaml", text: "kind: 1" },
        File { name: "base.yaml", text: BASE },
    ])
    .expect_err("problems");
    let places: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    assert_eq!(places, [("b.yaml", 1), ("b.yaml", 1), ("b.yaml", 1), ("z.yaml", 3), ("z.yaml", 3)], "{problems:?}");
}

#[test]
fn durations_are_read_exactly() {
    for (text, micros) in [
        ("90s", 90_000_000),
        ("500ms", 500_000),
        ("15m", 900_000_000),
        ("4h", 14_400_000_000),
        ("2d", 172_800_000_000),
        ("1h 30m", 5_400_000_000),
        ("1h30m", 5_400_000_000),
        ("1.5h", 5_400_000_000),
        ("4 h", 14_400_000_000),
        ("0s", 0),
        ("0.000001s", 1),
    ] {
        assert_eq!(parse_duration(text), Some(Micros(micros)), "{text}");
        assert_eq!(parse_duration(&Micros(micros).to_string()), Some(Micros(micros)), "{text}");
    }
    for text in ["", "4", "h", "-4h", "4x", "4h-", "1.s", "0.0000001s", "1e3s", "999999999d", "1..2s", "４h"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}
