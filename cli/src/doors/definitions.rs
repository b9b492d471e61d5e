//! The door to the definitions: what is in force, and files put into the folder or taken out of it.
//!
//! ```text
//! GET    /v1/definitions                  since when what is in force, its files, and what is wrong with the folder
//! POST   /v1/definitions?file=acme.yaml   the body becomes that file, if the whole folder has no problems then
//! DELETE /v1/definitions?file=acme.yaml   the same without that file
//! ```
//! A change needs a media type that no web page may send across origins unasked, so that a page which somebody on this
//! machine looks at cannot change what is promised. Neither can a page whose own name was made to mean this machine: where
//! changes are taken from this machine alone, the request has to name it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use plimsoll_query::{More, Problem, body_of, openapi};
use plimsoll_schemas::definition::Problem as Wrong;
use serde_json::{Map, Value, json};

use crate::definitions::counted;
use crate::doors::{check_media_type, invalid};
use crate::in_force::{InForce, Put};

/// The longest file that is taken: ten thousand agreements with some hundred lines each.
const FILE_BYTES_MAX: usize = 64 << 20;

/// The longest name of a file.
const NAME_BYTES_MAX: usize = 128;

/// What a body may be called.
pub(super) const MEDIA_TYPES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/calendar"];

/// From whom changes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// From nobody: what is in force can only be looked at.
    Nothing,
    /// From this machine, when the request names it as its host.
    FromHere,
    /// From whoever reaches the address.
    Everything,
}

/// The path of the door.
const PATH: &str = "/v1/definitions";

/// The door.
pub fn door(in_force: Arc<InForce>, accepts: Accepts) -> More {
    More { doors: router(in_force, accepts), paths: Map::from_iter([(PATH.to_owned(), described())]) }
}

fn router(in_force: Arc<InForce>, accepts: Accepts) -> Router {
    let door = match accepts {
        Accepts::Nothing => get(show).post(refuse).delete(refuse),
        Accepts::FromHere => get(show).post(put).delete(remove).layer(from_fn(named_as_here)),
        Accepts::Everything => get(show).post(put).delete(remove),
    };
    Router::new()
        .route(PATH, door)
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "allowed are GET, POST and DELETE")
        })
        .layer(DefaultBodyLimit::max(FILE_BYTES_MAX))
        .with_state(in_force)
}

fn described() -> Value {
    let text = json!({"type": "string"});
    // As `file_name` takes it.
    let name = json!({"type": "string", "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(yaml|yml|ics)$", "maxLength": NAME_BYTES_MAX});
    let file = json!({"name": "file", "in": "query", "required": true, "description": "a file of the folder: .yaml, .yml or .ics",
                      "schema": name});
    let problem = json!({"type": "object", "properties": {
        "file": text, "line": {"type": "integer"}, "field": text, "found": text, "allowed": text,
    }});
    let files = json!({"type": "array", "items": {"type": "object", "properties": {"file": text, "text": text}}});
    let standing = json!({"type": "object", "properties": {
        "since": openapi::instant(), "service_count": {"type": "integer"}, "agreement_count": {"type": "integer"},
        "files": files, "problems": {"type": "array", "items": problem},
    }});
    let done = json!({"type": "object", "properties": {"changed": {"type": "boolean"}}});
    let answer = |what: &str, schema: &Value| {
        json!({
            "200": {"description": what, "content": {"application/json": {"schema": schema}}},
            "default": {"$ref": openapi::PROBLEM},
        })
    };
    let of_type = |media_type: &str| (media_type.to_owned(), json!({"schema": text}));
    json!({
        "get": {"operationId": "definitions", "summary": "What is in force",
                "responses": answer("since when, in which files, and what is wrong with the folder", &standing)},
        "post": {"operationId": "put_definitions", "summary": "Puts a file into the folder, if it has no problems then",
                 "parameters": [file],
                 "requestBody": {"required": true, "content": Map::from_iter(MEDIA_TYPES.map(of_type))},
                 "responses": answer("whether anything changed", &done)},
        "delete": {"operationId": "delete_definitions", "summary": "Takes a file out, if the folder has no problems then",
                   "parameters": [file], "responses": answer("whether anything changed", &done)},
    })
}

async fn show(State(in_force): State<Arc<InForce>>) -> Response {
    let (_, definitions) = in_force.now();
    let (since, problems) = in_force.standing();
    let files: Vec<Value> = definitions.texts.iter().map(|(name, text)| json!({"file": name, "text": text})).collect();
    Json(json!({
        "since": since.to_string(),
        "service_count": definitions.services.len(),
        "agreement_count": definitions.agreements.len(),
        "files": files,
        "problems": written(&problems),
    }))
    .into_response()
}

async fn refuse() -> Problem {
    let detail = "definitions are changed from this machine only; start with --accept-definitions to take them from \
                  whoever reaches this address, or change the folder";
    Problem::new(StatusCode::FORBIDDEN, "refused", detail)
}

/// Passes on what only looks, and what names this machine as its host.
async fn named_as_here(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if request.method().is_safe() || is_here(host) {
        return next.run(request).await;
    }
    let detail = format!(
        "found host {host}, but definitions are changed from this machine only: ask localhost, or start with \
         --accept-definitions"
    );
    Problem::new(StatusCode::FORBIDDEN, "refused", detail).into_response()
}

/// Whether a host, with or without its port, is this machine.
fn is_here(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn put(
    State(in_force): State<Arc<InForce>>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let name = file_name(parameters)?;
    let text = text_of(&headers, body_of(body, FILE_BYTES_MAX)?, &name)?;
    if text.trim().is_empty() {
        return Err(invalid(format!(
            "found an empty body, which would take away all that {name} says; DELETE does that"
        )));
    }
    change(in_force, name, Some(text)).await
}

/// The text of a body that becomes a file.
pub(super) fn text_of(headers: &HeaderMap, body: Bytes, name: &str) -> Result<String, Problem> {
    check_media_type(headers, &MEDIA_TYPES)?;
    String::from_utf8(body.into())
        .map_err(|error| invalid(format!("{name} is not UTF-8 ({error}); save it in that encoding")))
}

async fn remove(
    State(in_force): State<Arc<InForce>>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    let name = file_name(parameters)?;
    if !in_force.now().1.texts.iter().any(|(known, _)| *known == name) {
        let detail = format!("there is no file {name} among the definitions in force");
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    change(in_force, name, None).await
}

async fn change(in_force: Arc<InForce>, name: String, text: Option<String>) -> Result<Response, Problem> {
    let changing = tokio::task::spawn_blocking(move || in_force.put(&name, text.as_deref())).await;
    match changing.map_err(|error| anyhow::anyhow!("the change was aborted: {error}")).flatten() {
        Ok(Put::Taken(changed)) => Ok(Json(json!({ "changed": changed })).into_response()),
        Ok(Put::Refused(problems)) => Err(refused(&problems, "nothing was changed")),
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("{error:#}"))),
    }
}

/// What is told of definitions that have problems, and what was not done therefore.
pub(super) fn refused(problems: &[Wrong], undone: &str) -> Problem {
    let detail = format!("{}; {undone}", counted(problems.len(), "problem"));
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "definitions", detail).with("problems", written(problems))
}

/// The file that a request is about: a plain name with an ending by which the folder knows definitions.
fn file_name(parameters: Result<Query<Vec<(String, String)>>, QueryRejection>) -> Result<String, Problem> {
    let Query(parameters) = parameters.map_err(|error| invalid(error.body_text()))?;
    let [(parameter, name)] = parameters.as_slice() else {
        return Err(invalid("expected ?file=NAME, e.g. ?file=acme.yaml".to_owned()));
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_definition = [".yaml", ".yml", ".ics"].iter().any(|ending| name.ends_with(ending));
    let fits = name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain) && !name.starts_with('.') && is_definition;
    if parameter != "file" {
        return Err(invalid(format!("found parameter {parameter}, allowed is file")));
    }
    if !fits {
        let expected = "letters, digits, -, _ and . with the ending .yaml, .yml or .ics";
        return Err(invalid(format!("found file={name}, expected {expected}")));
    }
    Ok(name.clone())
}

fn written(problems: &[Wrong]) -> Value {
    let one = |Wrong { file, line, field, found, allowed }: &Wrong| json!({"file": file, "line": line, "field": field, "found": found, "allowed": allowed});
    problems.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_taken_from_this_machine_when_it_is_named() {
        for host in ["localhost", "LOCALHOST:7373", "127.0.0.1:7373", "127.1.2.3", "[::1]:7373", "[::1]"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:7373", "10.0.0.1", "127.0.0.1.evil.example", "[::2]"] {
            assert!(!is_here(host), "{host}");
        }
    }

    #[test]
    fn a_name_leads_to_no_other_folder() {
        let named = |name: &str| file_name(Ok(Query(vec![("file".to_owned(), name.to_owned())])));
        for name in ["acme.yaml", "a-B_9.yml", "holidays.ics", "a..yaml", &format!("{}.yaml", "x".repeat(123))] {
            assert!(named(name).is_ok_and(|taken| taken == name), "{name}");
        }
        for name in [
            "",
            ".yaml",
            "..yaml",
            "../acme.yaml",
            "a/../acme.yaml",
            "/etc/acme.yaml",
            "a\\acme.yaml",
            "C:acme.yaml",
            "acme.yaml/",
            "acme.yaml\0",
            "acme.yaml\n",
            "acme.yaml ",
            "acme.YAML",
            "acme",
            "acme.yaml.exe",
            "%2e%2e%2facme.yaml",
            "\u{e9}.yaml",
            "a\u{202e}.yaml",
            "~.yaml",
            "$HOME.yaml",
            &format!("{}.yaml", "x".repeat(124)),
        ] {
            assert!(named(name).is_err(), "{name:?}");
        }
        let pair = |name: &str| (name.to_owned(), "acme.yaml".to_owned());
        for parameters in [vec![], vec![pair("name")], vec![pair("file"), pair("file")]] {
            assert!(file_name(Ok(Query(parameters))).is_err());
        }
    }
}
