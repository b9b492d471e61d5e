//! The doors: HTTP requests in; rows as JSON, CSV, text or Arrow out; errors as problems of RFC 9457.
//!
//! A GET door is one view, the columns it filters by, and an order; `Door` holds these, one function serves all of them,
//! page by page, and one describes them. `POST /v1/sql` is the door for the rest.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::QueryError;
use crate::format::Format;
use crate::session::QueryService;

pub use guard::{Asker, guard};
pub use serve::{Patience, serve};

use doors::{DOORS, Door, STREAM};
use kept::{Answer, Asked, KeptAnswers};
use page::Page;
use stream::Lookout;
use wish::{CURSOR, KNOWN_AT, Wish, instant, once};

mod doors;
mod guard;
mod kept;
pub mod openapi;
mod page;
mod serve;
mod stream;
mod trend;
mod wish;

/// Says whether this process can answer now: `Err` carries the reason why not, for people.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Length of a request's body at most, in bytes, but for files of definitions. What is longer is made by accident.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Doors besides those over the tables.
#[derive(Default)]
pub struct More {
    /// What answers.
    pub doors: Router,
    /// What OpenAPI says of them: the operations of each path.
    pub paths: Map<String, Value>,
}

impl More {
    /// These and others.
    pub fn and(mut self, more: More) -> More {
        self.paths.extend(more.paths);
        More { doors: self.doors.merge(more.doors), ..self }
    }
}

/// The doors over one service, and more.
pub fn router(service: Arc<QueryService>, readiness: Readiness, more: More) -> Router {
    let mut router = Router::new();
    let More { doors: others, paths } = more;
    let kept = Arc::new(KeptAnswers::new());
    for door in DOORS {
        let kept = kept.clone();
        router = router.route(
            door.path,
            get(
                move |State(service): State<Arc<QueryService>>,
                      asker: Asker,
                      headers: HeaderMap,
                      parameters: Parameters| async move {
                    let service = asker.sees(&service);
                    let answer = look_through(door, &service, &kept, &headers, parameters).await;
                    answer.unwrap_or_else(IntoResponse::into_response)
                },
            ),
        );
    }
    let lookout = Arc::new(Lookout::new());
    let addresses = index(&paths);
    let stream =
        move |state: State<Arc<QueryService>>, asker: Asker, stopping, headers: HeaderMap, parameters: Parameters| {
            stream::stream(lookout.clone(), state, asker, stopping, headers, parameters)
        };
    router
        .route(STREAM.path, get(stream))
        .route("/v1/sql", post(sql))
        .route(openapi::PATH, get(move |State(service)| described(service, paths.clone())))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ready(&readiness) }))
        .route("/", get(move || async move { addresses }))
        .with_state(service)
        .merge(others)
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found", "no such address; / lists them all") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address has another method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The body of a request, which may have so many bytes.
///
/// # Errors
/// When it has more, or does not come.
pub fn body_of(body: Result<Bytes, BytesRejection>, bytes_max: usize) -> Result<Bytes, Problem> {
    body.map_err(|error| {
        let detail = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => format!("the body is longer than {} MiB, send less", bytes_max >> 20),
            _ => error.body_text(),
        };
        Problem::new(error.status(), "invalid", detail)
    })
}

type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Serves a GET door.
async fn look_through(
    door: &'static Door,
    service: &QueryService,
    kept: &KeptAnswers,
    headers: &HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let format = accepted_format(headers)?;
    let Query(parameters) = parameters.map_err(|error| QueryError::Invalid(error.body_text()))?;
    let wish = Arc::new(Wish::read(door, &parameters)?);
    let answer = service.in_time(async {
        let asked = Asked::now(service, (door, &wish, format), &parameters).await?;
        let found = async { Ok(Arc::new(find(door, service, wish, format, &parameters).await?)) };
        match &asked {
            Some(asked) => kept.get(asked, found).await,
            None => found.await,
        }
    });
    let answer = answer.await?;
    Ok(answer.respond(is_known(headers, &answer.tag)))
}

/// Finds the answer of a GET door.
async fn find(
    door: &'static Door,
    service: &QueryService,
    wish: Arc<Wish>,
    format: Format,
    parameters: &[(String, String)],
) -> Result<Answer, Problem> {
    let service = &service.known_at(wish.known_at);
    let asked = wish.clone();
    let answer = service.view(door.view, move |view| asked.rows(door, view)).await?;
    let Page { rows, next } = Page::take(answer, (wish.order(), wish.shown()), wish.limit).await?;
    let rows: SendableRecordBatchStream =
        Box::pin(RecordBatchStreamAdapter::new(rows.schema(), futures::stream::iter([Ok(rows)])));
    let body: Vec<Bytes> = service.write(rows, format).try_collect().await?;
    let body = Bytes::from(body.concat());
    let mut headers = HeaderMap::new();
    let tag = format!("\"{:032x}\"", xxh3_128(&body));
    for (name, value) in [
        (header::CONTENT_TYPE, content_type(format)),
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::VARY, "Accept, Authorization".to_owned()),
    ] {
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
    if let Some(next) = next {
        let link = format!("<{}>; rel=\"next\"", next_page(door, parameters, &next));
        headers.extend(HeaderValue::try_from(link).ok().map(|link| (header::LINK, link)));
    }
    Ok(Answer { headers, tag, body })
}

/// Whether the client has the answer of this tag already (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    known.flat_map(|tags| tags.split(',')).map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// The address of the next page.
fn next_page(door: &Door, parameters: &[(String, String)], cursor: &str) -> String {
    let kept =
        parameters.iter().filter(|(name, _)| name != CURSOR).map(|(name, value)| (name.as_str(), value.as_str()));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept.chain([(CURSOR, cursor)]));
    format!("{}?{}", door.path, query.finish())
}

/// The type of an answer's content.
pub fn content_type(format: Format) -> String {
    match format {
        Format::Table | Format::Csv => format!("{}; charset=utf-8", format.media_type()),
        _ => format.media_type().to_owned(),
    }
}

/// The body of `POST /v1/sql` as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    sql: String,
}

/// Serves `POST /v1/sql`.
async fn sql(
    State(service): State<Arc<QueryService>>,
    asker: Asker,
    headers: HeaderMap,
    parameters: Parameters,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let format = accepted_format(&headers)?;
    let Query(parameters) = parameters.map_err(|error| QueryError::Invalid(error.body_text()))?;
    let mut known_at = None;
    for (name, value) in parameters {
        if name != KNOWN_AT {
            return Err(QueryError::Invalid(format!("found parameter {name}, allowed is {KNOWN_AT}")).into());
        }
        once(&name, &mut known_at, instant(&name, &value)?)?;
    }
    let service = asker.sees(&service).known_at(known_at);
    let body = body_of(body, BODY_BYTES_MAX)?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/plain");
    let statement = match media_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => {
            let request: SqlRequest = serde_json::from_slice(&body)
                .map_err(|error| QueryError::Invalid(format!("expected {{\"sql\": \"...\"}}: {error}")))?;
            request.sql
        }
        // `application/sql` is the registered type; the form type is what curl -d sends when told nothing.
        "text/plain" | "application/sql" | "application/x-www-form-urlencoded" => String::from_utf8(body.into())
            .map_err(|error| QueryError::Invalid(format!("the statement is not UTF-8: {error}")))?,
        other => {
            let detail =
                format!("found content type {other}, allowed are application/json, application/sql, text/plain");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail));
        }
    };
    respond(&service, service.sql(&statement).await?, format).await
}

/// The format that an answer is to have.
///
/// # Errors
/// When none of them is accepted.
pub fn accepted_format(headers: &HeaderMap) -> Result<Format, Problem> {
    let accept = headers.get(header::ACCEPT).map_or(Some("*/*"), |value| value.to_str().ok());
    accept.and_then(Format::accepted).ok_or_else(|| {
        let types: Vec<_> = Format::ALL.iter().map(|(.., media_type)| *media_type).collect();
        let detail = format!("found Accept: {}, allowed are {}", accept.unwrap_or("not text"), types.join(", "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "invalid", detail)
    })
}

/// Sends an answer. The status waits for the first rows to be written, because most errors show by then; a later one
/// breaks the transfer off, so that no client takes half an answer for a whole one.
async fn respond(
    service: &QueryService,
    answer: SendableRecordBatchStream,
    format: Format,
) -> Result<Response, Problem> {
    let mut chunks = Box::pin(service.write(answer, format));
    let first = chunks.try_next().await?;
    let body = Body::from_stream(futures::stream::iter(first.map(Ok)).chain(chunks));
    Ok(([(header::CONTENT_TYPE, content_type(format))], body).into_response())
}

/// Serves the description of all addresses.
async fn described(service: Arc<QueryService>, more: Map<String, Value>) -> Result<Response, Problem> {
    Ok(Json(openapi::describe(&service, more).await?).into_response())
}

fn ready(readiness: &Readiness) -> Response {
    match readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", reason).into_response(),
    }
}

/// What a person sees who opens the root address: the doors of the service and these, as OpenAPI describes them.
fn index(others: &Map<String, Value>) -> String {
    let mut text = String::from("Plimsoll answers at\n\n");
    for door in DOORS {
        text.push_str(&format!("GET  {}?{}=\n", door.path, door.parameters().join("=&")));
    }
    text.push_str(&format!("GET  {}?{}=\n", STREAM.path, STREAM.filters.join("=&")));
    text.push_str("POST /v1/sql?known_at=     a statement as text, or {\"sql\": \"...\"}\n");
    for (path, methods) in others {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names: Vec<&str> = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
            let query = if names.is_empty() { String::new() } else { format!("?{}=", names.join("=&")) };
            let summary = operation["summary"].as_str().unwrap_or_default();
            text.push_str(&format!("{:4} {path}{query}     {summary}\n", method.to_uppercase()));
        }
    }
    text.push_str("GET  /v1/openapi.json     all of this for programs\nGET  /healthz\nGET  /readyz\n");
    text
}

/// An error as RFC 9457 writes it.
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    more: Option<Box<(&'static str, Value)>>,
}

impl Problem {
    /// A status, one word for the kind of error, and what is wrong, for people.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, kind, detail: detail.into(), more: None }
    }

    /// The same with one member more, which tells it to programs.
    pub fn with(mut self, name: &'static str, value: Value) -> Problem {
        self.more = Some(Box::new((name, value)));
        self
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        let status = match error {
            QueryError::Invalid(_) => StatusCode::BAD_REQUEST,
            QueryError::Refused(_) => StatusCode::FORBIDDEN,
            // Too much was asked for: asking the same again does not help.
            QueryError::Exhausted(_) => StatusCode::UNPROCESSABLE_ENTITY,
            QueryError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            QueryError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, error.kind(), error.to_string())
    }
}

impl Problem {
    fn json(self) -> Value {
        let mut problem = json!({
            "type": format!("urn:plimsoll:problem:{}", self.kind),
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(more) = self.more {
            let (name, value) = *more;
            problem[name] = value;
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self.json())).into_response()
    }
}
