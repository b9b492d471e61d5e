//! Answers of GET doors, given again for as long as the tables that they tell of are what they were: many who look at
//! the same page, and a page that asks every second, cost one question for each change of a table.
//!
//! What is asked, by whom as far as it matters, and the versions of the tables are the key. So nothing is ever old, and
//! what is not asked for any more makes room for what is. Of several who ask the same at once one computes the answer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use plimsoll_schemas::table::Table;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::QueryError;
use crate::format::Format;
use crate::http::Problem;
use crate::http::doors::Door;
use crate::http::wish::Wish;
use crate::session::QueryService;
use crate::views::VIEWS;
use crate::visible::RowFilter;

/// Bytes of all answers that are kept, about.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// What an answer takes beside its body: its key and headers, about.
const ANSWER_BYTES: usize = 1_024;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    /// What `ETag` says of it.
    pub(super) tag: String,
    pub(super) body: Bytes,
}

impl Answer {
    /// What is sent to somebody who has it already, or not.
    pub(super) fn respond(&self, is_known: bool) -> Response {
        if is_known {
            return (StatusCode::NOT_MODIFIED, self.headers.clone()).into_response();
        }
        (self.headers.clone(), self.body.clone()).into_response()
    }
}

/// What an answer is to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    path: &'static str,
    parameters: Vec<(String, String)>,
    format: Format,
    rows: Option<Arc<RowFilter>>,
    versions: Vec<i64>,
}

impl Asked {
    /// What is asked now; `None` where an answer says more than what is in tables: what definitions say changes with time.
    ///
    /// # Errors
    /// `Unavailable` when the tables cannot be read.
    pub(super) async fn now(
        service: &QueryService,
        (door, wish, format): (&Door, &Wish, Format),
        parameters: &[(String, String)],
    ) -> Result<Option<Asked>, QueryError> {
        let Some(view) = VIEWS.iter().find(|view| view.name == door.view) else { return Ok(None) };
        let rows = service.rows_seen();
        let mut tables = vec![view.table];
        tables.extend(rows.is_some().then_some(Table::Agreements));
        let is_known_at = wish.known_at.is_some() || service.is_known_at();
        tables.extend(is_known_at.then_some(Table::Epochs));
        let mut versions = Vec::with_capacity(tables.len());
        for table in tables {
            versions.push(service.lake().files(table).await?.version);
        }
        let parameters = parameters.to_vec();
        Ok(Some(Asked { path: door.path, parameters, format, rows, versions }))
    }
}

/// How much an answer takes.
#[derive(Clone)]
struct ByBytes;

impl Weighter<Asked, Arc<Answer>> for ByBytes {
    fn weight(&self, asked: &Asked, answer: &Arc<Answer>) -> u64 {
        let parameters: usize = asked.parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
        (ANSWER_BYTES + parameters + answer.body.len()) as u64
    }
}

/// Those that are kept.
pub(super) struct KeptAnswers(Cache<Asked, Arc<Answer>, ByBytes>);

impl KeptAnswers {
    pub(super) fn new() -> KeptAnswers {
        KeptAnswers(Cache::with_weighter(KEPT_BYTES_MAX as usize / 4 / ANSWER_BYTES, KEPT_BYTES_MAX, ByBytes))
    }

    /// The one that is kept, or else the one that is found, which is kept then.
    pub(super) async fn get(
        &self,
        asked: &Asked,
        find: impl Future<Output = Result<Arc<Answer>, Problem>>,
    ) -> Result<Arc<Answer>, Problem> {
        self.0.get_or_insert_async(asked, find).await
    }
}
