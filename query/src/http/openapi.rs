//! What the doors are, as OpenAPI 3.1 describes it: from the table of doors, the columns of their views, and what the
//! dictionary says of these, so that no description can differ from what is served.

use arrow_schema::{DataType, Field};
use serde_json::{Map, Value, json};

use crate::dictionary::Meaning;
use crate::error::QueryError;
use crate::format::Format;
use crate::http::doors::{DOORS, Door, STREAM};
use crate::http::wish::{CURSOR, KNOWN_AT, LIMIT_DEFAULT, LIMIT_MAX};
use crate::provider::VALUES_MAX;
use crate::session::{CURRENT, QueryService};

/// Where it is served.
pub(super) const PATH: &str = "/v1/openapi.json";

/// Describes every address of the service, and these.
///
/// # Errors
/// `Internal` when a view is not there, which is a defect.
pub(super) async fn describe(service: &QueryService, mut paths: Map<String, Value>) -> Result<Value, QueryError> {
    let mut schemas = Map::new();
    for door in DOORS {
        let fields = service.columns(door.view, door.shape).await?;
        let (path, name) = (door.path.to_owned(), door.path.trim_start_matches("/v1/").to_owned());
        paths.insert(path, json!({"get": operation(door, &name, &fields)}));
        schemas.insert(name, row(door, &fields));
    }
    paths.insert(STREAM.path.to_owned(), json!({"get": stream()}));
    paths.insert("/v1/sql".to_owned(), json!({"post": sql()}));
    paths.insert(PATH.to_owned(), json!({"get": plain("this description", "application/json")}));
    for (path, what) in [
        ("/", "every address, for people"),
        ("/healthz", "whether the process answers"),
        ("/readyz", "whether questions are answered from the tables"),
    ] {
        let mut get = plain(what, "text/plain");
        get["security"] = json!([]);
        paths.insert(path.to_owned(), json!({"get": get}));
    }
    schemas.insert("problem".to_owned(), problem());
    let problem = json!({"description": "what is wrong, and what to do (RFC 9457)",
                         "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}});
    Ok(json!({
        "openapi": "3.1.0",
        "info": {"title": "Plimsoll", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                 "description": "Service levels as they were, are and are likely to be: what was promised, measured and missed."},
        // Where users are given (`--users`), each sends a token; where none are, anybody may ask.
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"problem": problem},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }))
}

/// Where the schema of a problem is.
pub const PROBLEM: &str = "#/components/responses/problem";

/// A GET door: its parameters and its answers.
fn operation(door: &Door, name: &str, fields: &[Field]) -> Value {
    let meaning = Meaning::of(CURRENT, door.view);
    let parameters: Vec<Value> = door.parameters().iter().map(|name| parameter(door, name, fields)).collect();
    let rows = json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{name}")}});
    let told = json!({
        "ETag": {"description": "what the answer is known by: If-None-Match", "schema": {"type": "string"}},
        "Link": {"description": "the next page, when there is one (RFC 8288)", "schema": {"type": "string"}},
    });
    json!({
        "operationId": name.replace('-', "_"),
        "summary": format!("Each row: {}", meaning.of_table().unwrap_or_default()),
        "parameters": parameters,
        "responses": {
            "200": {"description": "a page of rows", "headers": told, "content": content(rows)},
            "304": {"description": "the rows are those of the tag in If-None-Match"},
            "default": {"$ref": PROBLEM},
        },
    })
}

fn parameter(door: &Door, name: &str, fields: &[Field]) -> Value {
    let columns = |prefixes: &[&str]| -> Vec<String> {
        fields.iter().flat_map(|field| prefixes.iter().map(move |prefix| format!("{prefix}{}", field.name()))).collect()
    };
    let list = |words: Vec<String>, are_unique: bool| json!({"type": "array", "items": {"enum": words}, "minItems": 1, "uniqueItems": are_unique});
    let (schema, what) = match name {
        "from" => (instant(), format!("{} at this instant or later", door.time.unwrap_or_default())),
        "until" => (instant(), format!("{} before this instant", door.time.unwrap_or_default())),
        KNOWN_AT => (instant(), "the answer as it was known then (R25)".to_owned()),
        "fields" => (list(columns(&[""]), true), "the columns to show, in this order".to_owned()),
        "sort" => (
            list(columns(&["", "-"]), false),
            "the columns to order by, of those named twice the first; a - puts the greatest values first".to_owned(),
        ),
        "limit" => {
            let schema = json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT});
            (schema, "rows of a page".to_owned())
        }
        CURSOR => {
            (json!({"type": "string"}), "the page after another, as its Link tells it; empty for the first".to_owned())
        }
        column => {
            let items = match door.words(column) {
                Some(words) => json!({"type": "string", "enum": words}),
                None => json!({"type": "string"}),
            };
            let meaning = Meaning::of(CURRENT, door.view).of_column(column).unwrap_or_default();
            (
                json!({"type": "array", "items": items, "minItems": 1, "maxItems": VALUES_MAX}),
                format!("any of these: {meaning}"),
            )
        }
    };
    let is_list = matches!(name, "fields" | "sort");
    json!({"name": name, "in": "query", "description": what, "schema": schema, "style": "form", "explode": !is_list})
}

/// An instant, or a date, which means its first instant in UTC.
pub fn instant() -> Value {
    json!({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]})
}

/// A row, as JSON has it.
fn row(door: &Door, fields: &[Field]) -> Value {
    let meaning = Meaning::of(CURRENT, door.view);
    let properties = fields.iter().map(|field| {
        let mut column = match field.data_type() {
            DataType::Boolean => json!({"type": "boolean"}),
            DataType::Date32 => json!({"type": "string", "format": "date"}),
            DataType::Timestamp(..) => json!({"type": "string", "format": "date-time"}),
            of if of.is_integer() => json!({"type": "integer"}),
            of if of.is_numeric() => json!({"type": "number"}),
            _ => json!({"type": "string"}),
        };
        if field.is_nullable() {
            column["type"] = json!([column["type"], "null"]);
        }
        if let Some(comment) = meaning.of_column(field.name()) {
            column["description"] = comment.into();
        }
        (field.name().clone(), column)
    });
    // `fields` leaves columns out, so none is required.
    json!({"type": "object", "properties": properties.collect::<Map<_, _>>(), "additionalProperties": false})
}

/// The formats of an answer, of which JSON has a schema.
pub fn content(json: Value) -> Value {
    let of = |(format, _, media_type): &(Format, &str, &str)| {
        let schema = if *format == Format::Json { json!({"schema": json}) } else { json!({}) };
        ((*media_type).to_owned(), schema)
    };
    Value::Object(Format::ALL.iter().map(of).collect())
}

fn stream() -> Value {
    let mut parameters: Vec<Value> = STREAM.filters.iter().map(|name| parameter(&STREAM, name, &[])).collect();
    let what = "the id of the last event that came: it goes on behind it; without it, with what comes next";
    parameters
        .push(json!({"name": "Last-Event-ID", "in": "header", "description": what, "schema": {"type": "string"}}));
    let events = json!({"text/event-stream": {"schema": {"type": "string"}}});
    json!({
        "operationId": "stream",
        "summary": "Each change of a verdict as it is committed, for a minute",
        "parameters": parameters,
        "responses": {
            "200": {"description": "events: verdict with a row, position with an id, problem at an end", "content": events},
            "default": {"$ref": PROBLEM},
        },
    })
}

fn sql() -> Value {
    let statement = json!({"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"], "additionalProperties": false});
    let rows = json!({"type": "array", "items": {"type": "object"}});
    json!({
        "operationId": "sql",
        "summary": "The answer to one statement, which only reads",
        "parameters": [{"name": KNOWN_AT, "in": "query", "description": "the answer as it was known then (R25)", "schema": instant()}],
        "requestBody": {"required": true, "content": {
            "application/json": {"schema": statement},
            "application/sql": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string"}},
        }},
        "responses": {"200": {"description": "its rows", "content": content(rows)}, "default": {"$ref": PROBLEM}},
    })
}

/// An address without parameters.
pub fn plain(what: &str, media_type: &str) -> Value {
    let answer = json!({"description": what, "content": {media_type: {}}});
    json!({"summary": what, "responses": {"200": answer, "default": {"$ref": PROBLEM}}})
}

fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string", "description": "urn:plimsoll:problem:, and a word for the kind of error"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what is wrong and what to do, for people"},
        },
        "required": ["type", "title", "status", "detail"],
    })
}
