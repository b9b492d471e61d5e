//! The doors: HTTP requests in; rows as JSON, CSV, text or Arrow out; errors as problems of RFC 9457.
//!
//! A GET door is one view, the columns it filters by, and an order; `Door` holds these, and one function serves all of
//! them. Values of parameters become literals of a plan and never SQL text. `POST /v1/sql` is the door for the rest.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{SortExpr, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, Expr, col};
use futures::{StreamExt, TryStreamExt};
use plimsoll_schemas::Instant;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::QueryError;
use crate::format::Format;
use crate::http::trend::TREND;
use crate::known::time;
use crate::session::QueryService;
use crate::views::VIEWS;

pub use guard::guard;
pub use serve::{Patience, serve};

use guard::Asker;

mod guard;
mod serve;
mod trend;

/// Says whether this process can answer now: `Err` carries the reason why not, for people.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Rows of a GET answer unless `limit` says otherwise: what a page shows.
const LIMIT_DEFAULT: usize = 1_000;
/// Rows of a GET answer at most; who needs more asks in SQL.
const LIMIT_MAX: usize = 10_000;
/// The parameter that asks for an answer as it was known at an instant (R25).
const KNOWN_AT: &str = "known_at";
/// Length of a request's body at most, in bytes. Statements longer than this are made by accident.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Values of one parameter at most, because each becomes a comparison.
const VALUES_MAX: usize = 100;

/// A GET door.
struct Door {
    path: &'static str,
    view: &'static str,
    /// Text columns that parameters of the same name filter by.
    filters: &'static [&'static str],
    /// The column that `from` and `until` bound; `None` when the view has no time of its own.
    time: Option<&'static str>,
    /// Columns to order by; a leading `-` means newest first.
    order: &'static [&'static str],
    /// What becomes of the filtered rows before they are ordered.
    shape: fn(DataFrame) -> Result<DataFrame, DataFusionError>,
}

/// What both doors on promises have in common.
const OF_PROMISES: Door = Door {
    path: "",
    view: "",
    filters: &["scope", "agreement", "agreement_type", "customer", "service", "objective", "signal", "ticket"],
    time: Some("at"),
    order: &["-at", "agreement", "agreement_version", "service", "objective", "ticket", "cycle"],
    shape: Ok,
};

const DOORS: &[Door] = &[
    Door {
        path: "/v1/attainment",
        view: "attainment",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "offering",
            "service",
            "objective",
            "signal",
            "window_kind",
            "finality",
            "verdict",
        ],
        time: Some("window_start"),
        order: &["-window_start", "agreement", "agreement_version", "service", "objective"],
        shape: Ok,
    },
    Door {
        path: "/v1/credits",
        view: "credits",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "offering",
            "service",
            "window_kind",
            "finality",
            "currency",
            "limited_by",
        ],
        time: Some("window_start"),
        order: &["-window_start", "agreement", "agreement_version", "service", "window_end"],
        shape: Ok,
    },
    Door {
        path: "/v1/watermelons",
        view: "watermelons",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "offering",
            "service",
            "objective",
            "signal",
            "window_kind",
        ],
        time: Some("window_start"),
        order: &["-window_start", "agreement", "agreement_version", "service", "objective"],
        shape: Ok,
    },
    Door {
        path: "/v1/agreements",
        view: "agreements",
        filters: &["agreement", "agreement_type", "customer", "offering"],
        time: None,
        order: &["agreement", "agreement_version"],
        shape: Ok,
    },
    Door {
        path: "/v1/objectives",
        view: "objectives",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "offering",
            "service",
            "objective",
            "signal",
            "calendar",
            "window_kind",
        ],
        time: None,
        order: &["agreement", "agreement_version", "service", "objective"],
        shape: Ok,
    },
    Door { path: "/v1/breaches", view: "breaches", ..OF_PROMISES },
    Door { path: "/v1/warnings", view: "warnings", ..OF_PROMISES },
    Door {
        path: "/v1/attributions",
        view: "attributions",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "service",
            "objective",
            "signal",
            "supporting_agreement",
            "supporting_type",
            "supporting_service",
        ],
        time: Some("window_start"),
        order: &[
            "-window_start",
            "agreement",
            "agreement_version",
            "service",
            "objective",
            "supporting_agreement",
            "supporting_version",
            "supporting_service",
        ],
        shape: Ok,
    },
    Door {
        path: "/v1/clocks",
        view: "clocks",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "service",
            "objective",
            "signal",
            "ticket",
            "priority",
            "verdict",
        ],
        time: Some("started_at"),
        order: &["-started_at", "ticket", "agreement", "agreement_version", "service", "objective", "cycle"],
        shape: Ok,
    },
    Door {
        path: "/v1/outages",
        view: "outages",
        filters: &["service"],
        time: Some("started_at"),
        order: &["-started_at", "service"],
        shape: Ok,
    },
    TREND,
];

/// The doors over one service, to be merged with others (`/metrics`) and served.
pub fn router(service: Arc<QueryService>, readiness: Readiness) -> Router {
    let mut router = Router::new();
    for door in DOORS {
        router = router.route(
            door.path,
            get(
                move |State(service): State<Arc<QueryService>>,
                      asker: Asker,
                      headers: HeaderMap,
                      parameters: Parameters| async move {
                    let service = asker.sees(&service);
                    look_through(door, &service, &headers, parameters).await.unwrap_or_else(IntoResponse::into_response)
                },
            ),
        );
    }
    router
        .route("/v1/sql", post(sql))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ready(&readiness) }))
        .route("/", get(|| async { index() }))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found", "no such address; / lists them all") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address has another method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(service)
}

type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Serves a GET door.
async fn look_through(
    door: &'static Door,
    service: &QueryService,
    headers: &HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let format = accepted_format(headers)?;
    let Query(parameters) = parameters.map_err(|error| QueryError::Invalid(error.body_text()))?;
    let wish = Wish::read(door, parameters)?;
    let service = &service.known_at(wish.known_at);
    let answer = service.view(door.view, move |rows| {
        let rows = wish.conditions.into_iter().try_fold(rows, DataFrame::filter)?;
        let order = door.order.iter().map(|name| order_by(name)).collect();
        (door.shape)(rows)?.sort(order)?.limit(0, Some(wish.limit))
    });
    respond(service, answer.await?, format).await
}

/// What the parameters of a request ask for.
struct Wish {
    conditions: Vec<Expr>,
    limit: usize,
    known_at: Option<Instant>,
}

impl Wish {
    /// Reads the parameters of a door. A filter that is given several times takes any of its values.
    fn read(door: &Door, parameters: Vec<(String, String)>) -> Result<Wish, QueryError> {
        let (mut limit, mut known_at, mut from, mut until) = (None, None, None, None);
        let mut conditions = Vec::new();
        let mut values: Vec<(&'static str, Vec<Expr>)> = Vec::new();
        for (name, value) in parameters {
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(QueryError::Invalid(format!("found bytes that are not UTF-8 in {name}, expected text")));
            }
            if let Some(column) = door.filters.iter().find(|column| **column == name) {
                allowed_word(door, column, &value)?;
                match values.iter_mut().find(|(known, _)| known == column) {
                    Some((_, values)) if values.len() == VALUES_MAX => {
                        return Err(QueryError::Invalid(format!("found more than {VALUES_MAX} values of {name}")));
                    }
                    Some((_, values)) => values.push(lit(value)),
                    None => values.push((column, vec![lit(value)])),
                }
                continue;
            }
            match (name.as_str(), door.time) {
                ("from", Some(column)) => once(&name, &mut from, col(column).gt_eq(time(instant(&name, &value)?)))?,
                ("until", Some(column)) => once(&name, &mut until, col(column).lt(time(instant(&name, &value)?)))?,
                ("limit", _) => once(&name, &mut limit, rows(&value)?)?,
                (KNOWN_AT, _) => once(&name, &mut known_at, instant(&name, &value)?)?,
                _ => return Err(unknown_parameter(door, &name)),
            }
        }
        conditions.extend(from.into_iter().chain(until));
        conditions.extend(values.into_iter().map(|(column, values)| col(column).in_list(values, false)));
        Ok(Wish { conditions, limit: limit.unwrap_or(LIMIT_DEFAULT), known_at })
    }
}

/// Takes the value of a parameter that may be given once.
fn once<Value>(name: &str, place: &mut Option<Value>, value: Value) -> Result<(), QueryError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError::Invalid(format!("found {name} twice, expected it once"))),
    }
}

/// Refuses a value that no row can have, which would look like an answer of nothing.
fn allowed_word(door: &Door, column: &str, value: &str) -> Result<(), QueryError> {
    let view = VIEWS.iter().find(|view| view.name == door.view);
    match view.and_then(|view| view.table.words(column)) {
        Some(words) if !words.contains(&value) => {
            Err(QueryError::Invalid(format!("found {column}={value}, allowed are {}", words.join(", "))))
        }
        _ => Ok(()),
    }
}

fn unknown_parameter(door: &Door, name: &str) -> QueryError {
    let mut allowed = door.filters.to_vec();
    if door.time.is_some() {
        allowed.extend(["from", "until"]);
    }
    allowed.extend(["limit", KNOWN_AT]);
    QueryError::Invalid(format!("found parameter {name}, allowed are {}", allowed.join(", ")))
}

/// An instant, given as RFC 3339 or as a date, which means its first instant in UTC.
fn instant(name: &str, value: &str) -> Result<Instant, QueryError> {
    Instant::parse(value).ok_or_else(|| {
        QueryError::Invalid(format!("found {name}={value}, expected 2026-01-31T08:00:00Z or 2026-01-31"))
    })
}

fn rows(value: &str) -> Result<usize, QueryError> {
    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| QueryError::Invalid(format!("found limit={value}, allowed are 1 to {LIMIT_MAX}")))
}

fn order_by(name: &str) -> SortExpr {
    match name.strip_prefix('-') {
        Some(name) => col(name).sort(false, false),
        None => col(name).sort(true, false),
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
    let body = body.map_err(|error| Problem::new(error.status(), "invalid", error.body_text()))?;
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

fn accepted_format(headers: &HeaderMap) -> Result<Format, Problem> {
    let accept = headers.get(header::ACCEPT).map_or(Some("*/*"), |value| value.to_str().ok());
    accept.and_then(Format::accepted).ok_or_else(|| {
        let types: Vec<_> = Format::ALL.iter().map(|(.., media_type)| *media_type).collect();
        let detail = format!("found Accept: {}, allowed are {}", accept.unwrap_or("not text"), types.join(", "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "invalid", detail)
    })
}

/// Sends an answer. The status waits for the first rows, because most errors show by then; a later one breaks the
/// transfer off, so that no client takes half an answer for a whole one.
async fn respond(
    service: &QueryService,
    mut answer: SendableRecordBatchStream,
    format: Format,
) -> Result<Response, Problem> {
    let first = answer.try_next().await.map_err(QueryError::from)?;
    let schema = answer.schema();
    let answer = futures::stream::iter(first.map(Ok)).chain(answer);
    let answer: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, answer));
    let media_type = match format {
        Format::Table | Format::Csv => format!("{}; charset=utf-8", format.media_type()),
        _ => format.media_type().to_owned(),
    };
    Ok(([(header::CONTENT_TYPE, media_type)], Body::from_stream(service.write(answer, format))).into_response())
}

fn ready(readiness: &Readiness) -> Response {
    match readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", reason).into_response(),
    }
}

/// What a person sees who opens the root address.
fn index() -> String {
    let mut text = String::from("Plimsoll answers at\n\n");
    for door in DOORS {
        let times: &[&str] = if door.time.is_some() { &["from", "until"] } else { &[] };
        let parameters = [door.filters, times, &["limit", KNOWN_AT]].concat();
        text.push_str(&format!("GET  {}?{}=\n", door.path, parameters.join("=&")));
    }
    text.push_str(
        "POST /v1/sql?known_at=      a statement as text, or {\"sql\": \"...\"}\n\
         GET, POST, DELETE /v1/definitions?file=     where plimsoll run answers\nGET  /healthz\nGET  /readyz\nGET  /metrics\n",
    );
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
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
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
    }
}
