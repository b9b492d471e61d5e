//! The door to audits (R26): `GET /v1/audit` shows what a result stands on, and computes it anew from that.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use plimsoll_query::{Asker, Format, Limits, More, Problem, QueryService, accepted_format, content_type, openapi};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::auditing::{NotOne, Question, audit};
use crate::doors::{Turns, failed, invalid, time};

const PATH: &str = "/v1/audit";

/// Says whether the result follows from what is stored.
const OUTCOME: &str = "plimsoll-audit";

/// How long each of its questions to the tables may take.
const TIME_MAX: Duration = Duration::from_secs(300);

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    agreement: String,
    service: String,
    objective: String,
    window: String,
    agreement_version: Option<i32>,
    revision: Option<i32>,
    epoch: Option<i64>,
    known_at: Option<String>,
}

struct Door {
    service: Arc<QueryService>,
    /// An audit makes epochs again, which may be all of them.
    turns: Turns,
}

/// The door to the results of a service.
pub fn door(service: Arc<QueryService>) -> More {
    let door = Arc::new(Door { service, turns: Turns::of("audit") });
    let doors = Router::new().route(PATH, get(ask)).method_not_allowed_fallback(|| async {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "allowed is GET")
    });
    More { doors: doors.with_state(door), paths: Map::from_iter([(PATH.to_owned(), json!({"get": described()}))]) }
}

async fn ask(
    State(door): State<Arc<Door>>,
    asker: Asker,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Problem> {
    asker.check_sees_all("an audit")?;
    let format = accepted_format(&headers)?;
    if !matches!(format, Format::Table | Format::Json) {
        let detail = "an audit is one object; allowed are application/json and text/plain";
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "invalid", detail));
    }
    let Query(parameters) = parameters.map_err(|error| invalid(error.body_text()))?;
    let question = parameters.question()?;
    // It computes for long, which keeps none of those waiting who only pass answers on.
    let threads = Handle::current();
    let audited = tokio::task::spawn_blocking(move || threads.block_on(door.audit(&question, format))).await;
    let (is_confirmed, text) = audited.map_err(|error| failed(error.into()))??;
    let outcome = if is_confirmed { "confirmed" } else { "different" };
    let told = [(header::CONTENT_TYPE.as_str(), content_type(format)), (OUTCOME, outcome.to_owned())];
    Ok((told, text).into_response())
}

impl Parameters {
    fn question(self) -> Result<Question, Problem> {
        Ok(Question {
            window: time("window", &self.window)?,
            known_at: self.known_at.map(|text| time("known_at", &text)).transpose()?,
            agreement: self.agreement,
            service: self.service,
            objective: self.objective,
            agreement_version: self.agreement_version,
            revision: self.revision,
            epoch: self.epoch,
        })
    }
}

impl Door {
    async fn audit(&self, question: &Question, format: Format) -> Result<(bool, Vec<u8>), Problem> {
        let _turn = self.turns.take().await?;
        // All that was ever stored of a service may be one answer.
        let limits = Limits { rows_max: usize::MAX, time_max: TIME_MAX, ..Limits::default() };
        let service = self.service.with_limits(limits).await?;
        let audited = audit(question, &service).await.map_err(problem)?;
        let mut text = Vec::new();
        audited.write(&mut text, format).map_err(failed)?;
        Ok((audited.is_confirmed(), text))
    }
}

fn problem(error: anyhow::Error) -> Problem {
    if let Some(not_one) = error.downcast_ref::<NotOne>() {
        let status = if not_one.found.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        let kind = if not_one.found.is_empty() { "not_found" } else { "invalid" };
        return Problem::new(status, kind, not_one.to_string());
    }
    failed(error)
}

fn described() -> Value {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer", "format": "int32"});
    let parameter = |name: &str, schema: &Value, is_required: bool, what: &str| json!({"name": name, "in": "query", "required": is_required, "description": what, "schema": schema});
    let told = json!({
        "Plimsoll-Audit": {"description": "whether the result follows", "schema": {"enum": ["confirmed", "different"]}},
    });
    json!({
        "operationId": "audit",
        "summary": "What a result stands on (definition, facts, events), and what follows from that (R26)",
        "parameters": [
            parameter("agreement", &text, true, "the agreement"),
            parameter("service", &text, true, "the service"),
            parameter("objective", &text, true, "the objective"),
            parameter("window", &openapi::instant(), true, "the start of the window, or an instant within it"),
            parameter("agreement_version", &number, false, "where several versions have results for the window"),
            parameter("revision", &number, false, "unless said the newest"),
            parameter("epoch", &json!({"type": "integer", "format": "int64"}), false, "the row that it wrote; unless said the newest"),
            parameter("known_at", &openapi::instant(), false, "the row as it was known then (R25)"),
        ],
        "responses": {
            "200": {"description": "the result, and what it stands on", "headers": told, "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/plain": {},
            }},
            "default": {"$ref": openapi::PROBLEM},
        },
    })
}
