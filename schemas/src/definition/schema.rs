//! The form of a definition: the embedded JSON Schemas, and their errors in the words of a user.

use std::collections::HashSet;
use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Registry, ValidationError, Validator};
use serde_json::Value;

use super::document::{Document, Node};
use super::problem::{Problem, Problems, field_below, one_of, quoted};
use super::scalar::whole_number;

/// The JSON Schemas of definitions by file name. `definitions.schema.json` fits every kind.
pub const SCHEMAS: [(&str, &str); 8] = [
    ("definitions.schema.json", include_str!("../../definitions/definitions.schema.json")),
    ("common.schema.json", include_str!("../../definitions/common.schema.json")),
    ("service.schema.json", include_str!("../../definitions/service.schema.json")),
    ("customer.schema.json", include_str!("../../definitions/customer.schema.json")),
    ("calendar.schema.json", include_str!("../../definitions/calendar.schema.json")),
    ("offering.schema.json", include_str!("../../definitions/offering.schema.json")),
    ("agreement.schema.json", include_str!("../../definitions/agreement.schema.json")),
    ("source.schema.json", include_str!("../../definitions/source.schema.json")),
];

/// Where the schemas live for their references to each other; nothing is ever fetched from there.
const BASE: &str = "plimsoll:///definitions/";

struct Compiled {
    validator: Validator,
    schemas: Vec<(&'static str, Value)>,
}

/// `Err` when an embedded schema is defective, which a test rules out.
static COMPILED: LazyLock<Result<Compiled, String>> = LazyLock::new(|| compile().map_err(|error| error.to_string()));

fn compile() -> Result<Compiled, Box<dyn std::error::Error>> {
    let mut schemas = Vec::new();
    for (name, text) in SCHEMAS {
        schemas.push((name, serde_json::from_str::<Value>(text)?));
    }
    let validator = {
        let mut registry = Registry::new();
        for (name, schema) in &schemas {
            registry = registry.add(format!("{BASE}{name}"), schema)?;
        }
        let registry = registry.prepare()?;
        let entry = format!("{BASE}{}", SCHEMAS[0].0);
        jsonschema::options().with_base_uri(entry).with_registry(&registry).build(&schemas[0].1)?
    };
    Ok(Compiled { validator, schemas })
}

/// Adds everything that the document's form gets wrong.
pub(super) fn check(document: &Document, problems: &mut Problems) {
    match &*COMPILED {
        Ok(compiled) => {
            let mut errors: Vec<_> = compiled.validator.iter_errors(&document.value).collect();
            // What should not stand there at all is not worth a complaint about its form.
            errors.sort_by_key(|error| !matches!(error.kind(), ValidationErrorKind::Not { .. }));
            for error in &errors {
                compiled.report(document, error, problems);
            }
        }
        Err(defect) => problems.wrong(&document.root(), format!("sound embedded schemas, but: {defect}")),
    }
}

impl Compiled {
    fn report(&self, document: &Document, error: &ValidationError<'_>, problems: &mut Problems) {
        let node = document.at(error.instance_path().as_str());
        let schema = self.schema_of(error);
        let description = schema.and_then(|schema| schema["description"].as_str());
        let names =
            || schema.and_then(|schema| schema["properties"].as_object()).into_iter().flat_map(|map| map.keys());
        let allowed = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for name in unexpected {
                    unknown_field(&node, name, names().map(String::as_str), problems);
                }
                return;
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let description = schema.and_then(|schema| schema["properties"][name]["description"].as_str());
                problems.missing(&node, name, description.unwrap_or("a value"));
                return;
            }
            ValidationErrorKind::Enum { options } => {
                let words = options.as_array().into_iter().flatten().filter_map(Value::as_str);
                one_of(node.text().unwrap_or_default(), words, description.unwrap_or("a word"))
            }
            ValidationErrorKind::Constant { expected_value } => expected_value.to_string(),
            ValidationErrorKind::Pattern { .. } | ValidationErrorKind::Not { .. } => {
                description.unwrap_or("another text").to_owned()
            }
            ValidationErrorKind::Type { .. }
            | ValidationErrorKind::Minimum { .. }
            | ValidationErrorKind::Maximum { .. } => {
                schema.map_or_else(|| error.to_string(), |schema| values_allowed(schema, &node))
            }
            ValidationErrorKind::MinItems { .. } => "at least one entry".to_owned(),
            ValidationErrorKind::UniqueItems => {
                let mut known = HashSet::new();
                let repeated = node.items().into_iter().find(|item| !known.insert(item.value().to_string()));
                let found = repeated.as_ref().unwrap_or(&node).found();
                problems.found(&node, format!("{found} twice"), "each entry once");
                return;
            }
            ValidationErrorKind::MinProperties { .. } | ValidationErrorKind::MaxProperties { .. } => {
                description.unwrap_or("another number of fields").to_owned()
            }
            _ => error.to_string(),
        };
        problems.wrong(&node, allowed);
    }

    /// The schema whose keyword raised the error.
    fn schema_of(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let location = error.absolute_keyword_location()?.as_str();
        let (uri, pointer) = location.split_once('#')?;
        let name = uri.rsplit('/').next()?;
        let (_, schema) = self.schemas.iter().find(|(known, _)| *known == name)?;
        schema.pointer(pointer.rsplit_once('/')?.0)
    }
}

/// True when a schema's description says what its values look like, rather than what the field is for: then it also
/// has a pattern or is a choice between forms.
fn describes_its_values(schema: &Value) -> bool {
    schema.get("pattern").is_some() || schema.get("if").is_some() || schema["type"].is_array()
}

fn unknown_field<'a>(node: &Node<'_>, name: &str, known: impl Iterator<Item = &'a str>, problems: &mut Problems) {
    let line = node.get(name).map_or(node.line(), |field| field.line());
    problems.add(Problem {
        file: node.file().to_owned(),
        line,
        field: field_below(&node.field(), name),
        found: format!("the unknown field {}", quoted(name)),
        allowed: one_of(name, known, "a field that exists here"),
    });
}

/// What values a schema takes: its description where that says so, else its type and range and what the field is for.
fn values_allowed(schema: &Value, node: &Node<'_>) -> String {
    let description = schema["description"].as_str().unwrap_or_default();
    if describes_its_values(schema) {
        return description.to_owned();
    }
    let json_type = match schema["type"].as_str().unwrap_or_default() {
        "integer" => {
            let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            return whole_number(node, least.unwrap_or(i64::MIN)..=most.unwrap_or(i64::MAX));
        }
        "number" => format!("a number from {} to {}", schema["minimum"], schema["maximum"]),
        "array" => "a list".to_owned(),
        "object" => "a mapping".to_owned(),
        "boolean" => "true or false".to_owned(),
        _ => "a text (in quotes, if it looks like a number or a truth value)".to_owned(),
    };
    if description.is_empty() { json_type } else { format!("{json_type}: {description}") }
}
