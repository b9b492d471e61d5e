//! The door to back-tests (R31): `POST /v1/backtest` takes the draft of an agreement, and answers from all stored events
//! what it would have come to, beside what is in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::NaiveDate;
use plimsoll_query::{
    Asker, BODY_BYTES_MAX, Format, Limits, More, Problem, QueryService, accepted_format, body_of, content_type, openapi,
};
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::backtesting::{Nothing, Question};
use crate::definitions::parse;
use crate::doors::definitions::{MEDIA_TYPES, refused, text_of};
use crate::doors::{Turns, failed, invalid, time};
use crate::history::History;
use crate::in_force::InForce;

const PATH: &str = "/v1/backtest";

/// What the draft is called in problems.
const DRAFT: &str = "draft.yaml";

/// Says how many of its agreements are not judged, for no day of them has passed.
const NOT_JUDGED: &str = "plimsoll-not-judged";

/// How long each question to the tables may take; whoever asks does not wait much longer either.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    from: Option<String>,
    as_of: Option<String>,
    known_at: Option<String>,
}

struct Door {
    in_force: Arc<InForce>,
    service: Arc<QueryService>,
    turns: Turns,
}

/// The door. Drafts are compared with what is in force, and judged by the events of the service's tables.
pub fn door(in_force: Arc<InForce>, service: Arc<QueryService>) -> More {
    let door = Arc::new(Door { in_force, service, turns: Turns::of("back-test") });
    let doors = Router::new().route(PATH, post(ask)).method_not_allowed_fallback(|| async {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "allowed is POST")
    });
    More { doors: doors.with_state(door), paths: Map::from_iter([(PATH.to_owned(), json!({"post": described()}))]) }
}

/// What is asked, but for the definitions.
struct Wish {
    from: Option<NaiveDate>,
    as_of: Instant,
    known_at: Option<Instant>,
}

async fn ask(
    State(door): State<Arc<Door>>,
    asker: Asker,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    asker.check_sees_all("a back-test")?;
    let format = accepted_format(&headers)?;
    let Query(parameters) = parameters.map_err(|error| invalid(error.body_text()))?;
    let wish = parameters.read()?;
    let draft = text_of(&headers, body_of(body, BODY_BYTES_MAX)?, DRAFT)?;
    let (_, in_force) = door.in_force.now();
    let texts = in_force.texts.iter().cloned().chain([(DRAFT.to_owned(), draft)]).collect::<Vec<_>>();
    let drafted = parse(&texts).map_err(|problems| refused(&problems, "nothing was judged"))?;
    let _turn = door.turns.take().await?;
    let unwanted = Unwanted::default();
    let is_unwanted = unwanted.0.clone();
    let is_wanted = move || {
        ensure!(!is_unwanted.load(Ordering::Acquire), "nobody waits for it any more");
        Ok(())
    };
    let (service, threads) = (door.service.clone(), Handle::current());
    let judging = move || answer(&threads, &service, (drafted, &in_force), wish, format, is_wanted);
    let judged = tokio::task::spawn_blocking(judging).await;
    let (not_judged, rows) = judged.map_err(|error| failed(error.into()))?.map_err(problem)?;
    let told = [(header::CONTENT_TYPE.as_str(), content_type(format)), (NOT_JUDGED, not_judged.to_string())];
    Ok((told, rows).into_response())
}

/// Says when it is dropped that the answer is wanted no more.
#[derive(Default)]
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// How many agreements are not judged, and the windows of the others.
fn answer(
    threads: &Handle,
    service: &QueryService,
    (drafted, in_force): (Definitions, &Definitions),
    Wish { from, as_of, known_at }: Wish,
    format: Format,
    is_wanted: impl Fn() -> Result<()>,
) -> Result<(usize, Vec<u8>)> {
    // The events of a day are one answer.
    let limits = Limits { rows_max: usize::MAX, time_max: TIME_MAX, ..Limits::default() };
    let service = threads.block_on(service.with_limits(limits))?.known_at(known_at);
    let days = threads.block_on(service.event_days())?;
    let history = History::Tables(threads.clone(), Box::new(service), days);
    let backtest = Question { drafted, in_force, from, as_of }.judge(&history, is_wanted)?.compare();
    Ok((backtest.not_judged.len(), backtest.write(format)?))
}

fn problem(error: anyhow::Error) -> Problem {
    match error.downcast_ref::<Nothing>() {
        Some(nothing) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", nothing.to_string()),
        None => failed(error),
    }
}

impl Parameters {
    fn read(self) -> Result<Wish, Problem> {
        let day = |text: String| {
            text.parse().map_err(|_| invalid(format!("found from {text:?}, expected a civil day such as 2026-01-31")))
        };
        let as_of = self.as_of.map(|text| time("as_of", &text)).transpose()?;
        Ok(Wish {
            from: self.from.map(day).transpose()?,
            as_of: as_of.unwrap_or_else(|| chrono::Utc::now().into()),
            known_at: self.known_at.map(|text| time("known_at", &text)).transpose()?,
        })
    }
}

fn described() -> Value {
    let parameter = |name: &str, schema: Value, what: &str| json!({"name": name, "in": "query", "description": what, "schema": schema});
    let day = json!({"type": "string", "format": "date"});
    let draft = |media_type: &str| (media_type.to_owned(), json!({"schema": {"type": "string"}}));
    let told = json!({
        "Plimsoll-Not-Judged": {"description": "how many agreements of the draft are not judged, as no day of theirs has passed",
                                "schema": {"type": "integer"}},
    });
    let rows = json!({"type": "array", "items": {"type": "object"}});
    json!({
        "operationId": "backtest",
        "summary": "What the draft of an agreement would have come to, beside what was in force (R31)",
        "parameters": [
            parameter("from", day, "the first civil day of the draft; unless said, that of the first event"),
            parameter("as_of", openapi::instant(), "judge as if it were then; unless said now"),
            parameter("known_at", openapi::instant(), "the events as they were known then (R25)"),
        ],
        "requestBody": {"required": true, "content": Map::from_iter(MEDIA_TYPES[..3].iter().copied().map(draft))},
        "responses": {
            "200": {"description": "a row for each window of the draft and each that stands beside it", "headers": told,
                    "content": openapi::content(rows)},
            "default": {"$ref": openapi::PROBLEM},
        },
    })
}
