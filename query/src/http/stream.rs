//! Server-sent events: each change of a verdict, once it is committed (`GET /v1/stream`).
//!
//! ```text
//!   tables ── each second: epochs behind the position ──▶ rows whose verdict is another ──▶ verdict, verdict, ... position
//! ```
//! A position is the last epoch of each shard of which all was told, and the id of the event that says so: who comes back
//! with it misses nothing. What is told stands in the tables, so it is never taken back but by a further row. A stream ends
//! after a minute, as any connection does (`serve`), and who goes on with it is asked for a token again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::lit;
use datafusion::prelude::{DataFrame, col};
use futures::future::{BoxFuture, Shared, select};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use plimsoll_schemas::table::Table;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant as Moment, sleep};

use crate::error::QueryError;
use crate::format::{Format, encode_batch};
use crate::http::doors::STREAM;
use crate::http::wish::Wish;
use crate::http::{Asker, Parameters, Problem};
use crate::known::between;
use crate::session::QueryService;

/// How often the tables are looked at, however many streams there are.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a stream lasts; its connection does not last much longer.
const LASTS: Duration = Duration::from_secs(60);

/// Streams of one process at most.
const STREAMS_MAX: usize = 64;

/// After how long whoever reads it may come back.
const RETRY: Duration = Duration::from_secs(1);

/// The header with the id of the last event that came.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The last epoch of each shard of which all was told.
type Position = Vec<i64>;

/// Resolves when the server is to stop, which ends streams.
#[derive(Clone)]
pub(super) struct Stopping(pub(super) Shared<BoxFuture<'static, ()>>);

/// What all streams of a process share.
pub(super) struct Lookout {
    places: Arc<Semaphore>,
    /// Up to where the tables were complete when they were last looked at.
    last: Mutex<Option<(Moment, Position)>>,
}

impl Lookout {
    pub(super) fn new() -> Lookout {
        Lookout { places: Arc::new(Semaphore::new(STREAMS_MAX)), last: Mutex::new(None) }
    }

    /// Up to where the tables are complete.
    async fn last(&self, service: &QueryService) -> Result<Position, QueryError> {
        let mut last = self.last.lock().await;
        if let Some((_, position)) = last.as_ref().filter(|(looked, _)| looked.elapsed() < LOOK_EVERY) {
            return Ok(position.clone());
        }
        let position = service.last_epochs(Table::Attainment).await?;
        *last = Some((Moment::now(), position.clone()));
        Ok(position)
    }
}

/// Serves `GET /v1/stream`.
pub(super) async fn stream(
    lookout: Arc<Lookout>,
    State(service): State<Arc<QueryService>>,
    asker: Asker,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    check_accepted(&headers)?;
    let Query(parameters) = parameters.map_err(|error| QueryError::Invalid(error.body_text()))?;
    if let Some((name, _)) = parameters.iter().find(|(name, _)| !STREAM.filters.contains(&name.as_str())) {
        let allowed = STREAM.filters.join(", ");
        return Err(QueryError::Invalid(format!("found parameter {name}, allowed are {allowed}")).into());
    }
    let wish = Arc::new(Wish::read(&STREAM, &parameters)?);
    let Ok(place) = lookout.places.clone().try_acquire_owned() else {
        let detail = format!("there are {STREAMS_MAX} streams, which is as many as may be; come back later");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail));
    };
    let last = lookout.last(&service).await?;
    let told = match headers.get(LAST_EVENT_ID) {
        Some(id) => position(id.to_str().unwrap_or_default(), &last)?,
        None => last,
    };
    let stopped = async move {
        match stopping {
            Some(Extension(Stopping(stopping))) => stopping.await,
            None => std::future::pending().await,
        }
    };
    let ends = select(Box::pin(sleep(LASTS)), Box::pin(stopped)).map(drop).boxed().shared();
    let watch = Watch { lookout, service: asker.sees(&service), wish, told, ends, _place: place };
    // Proxies are not to collect what is told.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    Ok(([unbuffered], Sse::new(events(watch)).keep_alive(KeepAlive::default())).into_response())
}

/// Refuses those who accept no events.
fn check_accepted(headers: &HeaderMap) -> Result<(), Problem> {
    let accept = headers.get(header::ACCEPT).map_or(Some("*/*"), |value| value.to_str().ok()).unwrap_or("not text");
    let ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    if ranges.map(str::to_ascii_lowercase).any(|range| matches!(&*range, "text/event-stream" | "text/*" | "*/*" | "")) {
        return Ok(());
    }
    let detail = format!("found Accept: {accept}, allowed is text/event-stream");
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "invalid", detail))
}

/// The position that an id tells.
fn position(id: &str, last: &[i64]) -> Result<Position, QueryError> {
    let told: Option<Position> = id.split(',').map(|epoch| epoch.parse().ok()).collect();
    told.filter(|told| told.len() == last.len() && told.iter().zip(last).all(|(told, last)| (0..=*last).contains(told)))
        .ok_or_else(|| {
            let wrong = format!(
                "found Last-Event-ID: {id}, which is no place in these tables; without it the stream begins with what \
                 comes next"
            );
            QueryError::Invalid(wrong)
        })
}

/// What one stream watches.
struct Watch {
    lookout: Arc<Lookout>,
    service: QueryService,
    wish: Arc<Wish>,
    told: Position,
    ends: Shared<BoxFuture<'static, ()>>,
    _place: OwnedSemaphorePermit,
}

/// Where a stream is.
enum Step {
    Begin,
    Wait,
    /// Rows up to this position.
    Tell(SendableRecordBatchStream, Position),
    Done,
}

/// Its events: a position at the beginning, behind what is told, and at the end.
fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    let steps = futures::stream::unfold((watch, Step::Begin), |(mut watch, step)| async move {
        let (events, step) = watch.go_on(step).await.unwrap_or_else(|error| {
            let problem = Problem::from(error).json().to_string();
            Some((vec![Event::default().event("problem").data(problem)], Step::Done))
        })?;
        Some((futures::stream::iter(events.into_iter().map(Ok)), (watch, step)))
    });
    steps.flatten()
}

impl Watch {
    /// What is told next, and the step after it; `None` at the end.
    async fn go_on(&mut self, step: Step) -> Result<Option<(Vec<Event>, Step)>, QueryError> {
        Ok(match step {
            Step::Begin => Some((vec![self.position().retry(RETRY)], Step::Wait)),
            Step::Wait => {
                if tokio::time::timeout(LOOK_EVERY, self.ends.clone()).await.is_ok() {
                    return Ok(Some((vec![self.position()], Step::Done)));
                }
                let last = self.lookout.last(&self.service).await?;
                // Before anybody keeps the tables it is not known how many will.
                self.told.resize(last.len(), 0);
                if last == self.told {
                    return Ok(Some((Vec::new(), Step::Wait)));
                }
                let (wish, told, until) = (self.wish.clone(), self.told.clone(), last.clone());
                let changes = move |rows| changes(wish.filter(rows)?, &told, &until);
                Some((Vec::new(), Step::Tell(self.service.view("history.attainment", changes).await?, last)))
            }
            Step::Tell(mut rows, until) => match rows.try_next().await? {
                Some(batch) => {
                    let lines = encode_batch(&batch, Format::NdJson)?;
                    let lines = String::from_utf8_lossy(&lines);
                    let events = lines.lines().map(|row| Event::default().event("verdict").data(row)).collect();
                    Some((events, Step::Tell(rows, until)))
                }
                None => {
                    self.told = until;
                    Some((vec![self.position()], Step::Wait))
                }
            },
            Step::Done => None,
        })
    }

    fn position(&self) -> Event {
        let epochs: Vec<String> = self.told.iter().map(i64::to_string).collect();
        let id = epochs.join(",");
        Event::default().event("position").id(&*id).data(id)
    }
}

/// The rows of results between two positions that have another verdict than those before them, or none before.
fn changes(rows: DataFrame, told: &[i64], until: &[i64]) -> Result<DataFrame, DataFusionError> {
    let are_new = between(told, until).unwrap_or(lit(false));
    let before = col("verdict_before");
    let are_changes = before.clone().is_null().or(before.not_eq(col("verdict"))).or(col("retracted"));
    let order = ["epoch", "agreement", "agreement_version", "service", "objective", "window_start"];
    rows.filter(are_new)?.filter(are_changes)?.sort(order.map(|name| col(name).sort(true, false)).to_vec())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn each_shard_has_its_place_in_a_position() {
        // Shards number their epochs in turn: odd ones are of the first.
        let results =
            "SELECT value AS epoch, 'met' AS verdict, CAST(NULL AS TEXT) AS verdict_before, false AS retracted,
            'a' AS agreement, 1 AS agreement_version, 'w' AS service, 'o' AS objective, 1 AS window_start
            FROM generate_series(1, 12)";
        let results = SessionContext::new().sql(results).await.expect("rows");
        let told = changes(results, &[3, 8], &[7, 10]).expect("a plan").collect().await.expect("rows");
        let epochs = told.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        assert_eq!(epochs.collect::<Vec<i64>>(), [5, 7, 10]);
    }

    #[test]
    fn a_position_is_one_of_the_tables() {
        assert_eq!(position("3,8", &[3, 10]).expect("a position"), [3, 8]);
        for wrong in ["", "3", "3,8,0", "4,8", "-1,8", "3,x", "3, 8"] {
            let told = position(wrong, &[3, 10]).expect_err("no position").to_string();
            assert!(told.starts_with(&format!("found Last-Event-ID: {wrong}, which is no place")), "{told}");
        }
    }
}
