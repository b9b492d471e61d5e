//! The door to the change gate (R30): `POST /v1/change-gate` takes a planned change, and answers from the state that
//! workers keep what it takes of each promise.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use plimsoll_aggregate::Live;
use plimsoll_engine::gate::PlannedChange;
use plimsoll_engine::lane::LaneGroup;
use plimsoll_engine::watermark::BEGINNING;
use plimsoll_engine::window::Window;
use plimsoll_query::{Asker, BODY_BYTES_MAX, Format, More, Problem, accepted_format, body_of, content_type, openapi};
use plimsoll_schemas::Instant;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::commands::instant;
use crate::doors::{check_media_type, invalid};
use crate::gating::{check, downtime, is_go, word, write};
use crate::in_force::InForce;

const PATH: &str = "/v1/change-gate";

/// How long a worker may take to answer: it does so between two steps, unless it has to make recorded epochs again.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Says whether all promises allow the change.
const VERDICT: &str = "plimsoll-verdict";

/// Says up to when what happened is known to the answer.
const KNOWN_UNTIL: &str = "plimsoll-known-until";

/// A question as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    service: String,
    from: String,
    until: String,
    downtime: Option<String>,
    approved_at: Option<String>,
    #[serde(default)]
    emergency: bool,
    customer: Option<String>,
    #[serde(default)]
    change: String,
}

/// What a worker says.
enum Answer {
    /// It does not measure the service.
    Elsewhere,
    /// It knows nothing until all that it reads was heard from.
    Unread,
    /// What the change takes.
    Impacts { is_go: bool, known_until: Instant, rows: Result<Vec<u8>> },
}

struct Door {
    in_force: Arc<InForce>,
    lives: Box<dyn Fn() -> Vec<Arc<Live>> + Send + Sync>,
}

/// The door. `lives` are the workers of this process.
pub fn door(in_force: Arc<InForce>, lives: impl Fn() -> Vec<Arc<Live>> + Send + Sync + 'static) -> More {
    let door = Arc::new(Door { in_force, lives: Box::new(lives) });
    let doors = Router::new().route(PATH, post(ask)).method_not_allowed_fallback(|| async {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "allowed is POST")
    });
    More { doors: doors.with_state(door), paths: Map::from_iter([(PATH.to_owned(), json!({"post": described()}))]) }
}

async fn ask(
    State(door): State<Arc<Door>>,
    asker: Asker,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    asker.check_sees_all("the change gate")?;
    let format = accepted_format(&headers)?;
    check_media_type(&headers, &["application/json"])?;
    let body = body_of(body, BODY_BYTES_MAX)?;
    let question: Question = serde_json::from_slice(&body).map_err(|error| {
        invalid(format!(
            "expected {{\"service\": ID, \"from\": TIME, \"until\": TIME}}, with downtime, approved_at, emergency, customer \
             and change where that is needed: {error}"
        ))
    })?;
    let change = question.change(chrono::Utc::now().into())?;
    door.check_names(&question)?;
    let Answer::Impacts { is_go, known_until, rows } = door.answer(question.service, change, format).await? else {
        let detail = "not all that is read was heard from since the first start; ask again in some seconds";
        return Err(unavailable(detail.to_owned()));
    };
    let rows = rows.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("the answer cannot be written: {error:#}"))
    })?;
    let told = [
        (header::CONTENT_TYPE.as_str(), content_type(format)),
        (VERDICT, word(is_go).to_owned()),
        (KNOWN_UNTIL, known_until.to_string()),
    ];
    Ok((told, rows).into_response())
}

impl Question {
    /// The change that is asked about.
    fn change(&self, now: Instant) -> Result<PlannedChange, Problem> {
        let time = |name: &str, text: &str| {
            instant(text).map_err(|expected| invalid(format!("found {name} {text:?}, {expected}")))
        };
        if self.emergency && self.approved_at.is_some() {
            return Err(invalid(
                "found approved_at and emergency; give one of them: no time of an emergency is excluded".to_owned(),
            ));
        }
        let downtime = self
            .downtime
            .as_deref()
            .map(|text| downtime(text).map_err(|expected| invalid(format!("found downtime {text:?}, {expected}"))));
        let approved_at = self.approved_at.as_deref().map_or(Ok(now), |text| time("approved_at", text))?;
        let change = PlannedChange {
            id: self.change.as_str().into(),
            window: Window { start: time("from", &self.from)?, end: time("until", &self.until)? },
            downtime: downtime.transpose()?,
            approved_at: (!self.emergency).then_some(approved_at),
            customer: self.customer.as_deref().map(Into::into),
        };
        check(&change, now).map_err(invalid)?;
        Ok(change)
    }
}

impl Door {
    /// Refuses names that nothing in force has.
    fn check_names(&self, question: &Question) -> Result<(), Problem> {
        let (_, definitions) = self.in_force.now();
        let unknown =
            |what: &str, id: &str| Err(invalid(format!("found the {what} {id}, expected one that is defined")));
        match &question.customer {
            _ if !definitions.services.contains_key(&question.service) => unknown("service", &question.service),
            Some(customer) if !definitions.customers.contains_key(customer) => unknown("customer", customer),
            _ => Ok(()),
        }
    }

    /// Asks all workers at once: the first that measures the service answers.
    async fn answer(&self, service: String, change: PlannedChange, format: Format) -> Result<Answer, Problem> {
        let lives = (self.lives)();
        let mut answers: FuturesUnordered<_> = lives
            .iter()
            .map(|live| {
                let (service, change) = (service.clone(), change.clone());
                let answer = live.questions.ask(move |group| answer(group, &service, &change, format));
                tokio::time::timeout(ANSWER_WAIT_MAX, answer)
            })
            .collect();
        let mut is_busy = false;
        while let Some(answer) = answers.next().await {
            match answer.ok().flatten() {
                None => is_busy = true,
                Some(Answer::Elsewhere) => {}
                Some(found) => return Ok(found),
            }
        }
        Err(unavailable(match is_busy {
            true => "the state cannot be asked at present: it is being restored, or too many others ask; try again"
                .to_owned(),
            false => format!(
                "no shard that is kept here measures {service}; ask the other processes of `plimsoll aggregate`, or, when it was \
                 defined just now, again in some seconds"
            ),
        }))
    }
}

fn answer(group: &LaneGroup, service: &str, change: &PlannedChange, format: Format) -> Answer {
    let Some(service) = group.portfolio().service_place(service) else { return Answer::Elsewhere };
    let known_until = group.watermarks().watermark();
    if known_until == BEGINNING {
        return Answer::Unread;
    }
    let impacts = group.gate(service, change);
    Answer::Impacts { is_go: is_go(&impacts), known_until, rows: write(&impacts, format) }
}

fn unavailable(detail: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}

fn described() -> Value {
    let id = |what: &str| json!({"type": "string", "minLength": 1, "description": what});
    let duration =
        |what: &str| json!({"type": "string", "pattern": r"^\s*([0-9.]+\s*(ms|s|m|h|d)\s*)+$", "description": what});
    let time = |what: &str| {
        let mut instant = openapi::instant();
        instant["description"] = what.into();
        instant
    };
    let planned = json!({
        "type": "object",
        "properties": {
            "service": id("the service that is changed"),
            "from": time("the planned start"),
            "until": time("the planned end"),
            "downtime": duration("how much downtime is expected within it, e.g. 20m; unless said all of it"),
            "approved_at": time("when the change was or will be approved; unless said now"),
            "emergency": {"type": "boolean", "description": "whether no time of it is excluded as maintenance"},
            "customer": id("whom it concerns; unless said everybody"),
            "change": {"type": "string", "description": "its id, where events tell of it: this plan stands in for theirs"},
        },
        "required": ["service", "from", "until"],
        "additionalProperties": false,
    });
    let rows = json!({"type": "array", "items": {"type": "object"}});
    let told = json!({
        "Plimsoll-Verdict": {"description": "whether all promises allow it", "schema": {"enum": ["go", "no_go"]}},
        "Plimsoll-Known-Until": {"description": "up to when what happened is known", "schema": openapi::instant()},
    });
    json!({
        "operationId": "change_gate",
        "summary": "What the downtime of a planned change takes of each promise, in each window that it touches (R30)",
        "requestBody": {"required": true, "content": {"application/json": {"schema": planned}}},
        "responses": {
            "200": {"description": "a row for each promise and window", "headers": told, "content": openapi::content(rows)},
            "default": {"$ref": openapi::PROBLEM},
        },
    })
}
