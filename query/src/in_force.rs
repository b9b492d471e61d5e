//! What holds when a question is asked: how far everything is known, and the definitions in force.
//!
//! Both stand in the newest epoch that the question may know: how far everything was known after it, or before it while its
//! rows are not written yet, and the digest of the definitions under which it was folded, which the lake keeps.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionContext, cast, col};
use plimsoll_engine::calendar::Calendar;
use plimsoll_engine::kpi::Judged;
use plimsoll_engine::state::State;
use plimsoll_engine::state::service::state_before;
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{AROUND_THE_CLOCK, Definitions};
use plimsoll_schemas::table::Table;

use crate::error::QueryError;
use crate::session::HISTORY;
use crate::visible::Visible;

/// Sets of definitions that are kept ready: those of now, and of an instant or two in the past.
const SETS_KEPT: usize = 4;

/// What holds for a question.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    /// Everything that happened before is known; `None` while nothing is, and where one of several shards knows nothing.
    pub(crate) known_until: Option<Instant>,
    /// `None` before the first epoch.
    pub(crate) set: Option<Arc<Set>>,
    /// What of it may be seen; `None` for all.
    pub(crate) visible: Option<Arc<Visible>>,
    /// The results, counted, where a question needs them.
    pub(crate) judged: Arc<[Judged]>,
}

/// A set of definitions, ready to be asked.
#[derive(Debug)]
pub(crate) struct Set {
    digest: String,
    pub(crate) definitions: Definitions,
    /// Tables that were made of them.
    pub(crate) made: Made,
    calendars: BTreeMap<String, Calendar>,
}

/// The name of a table, and the last year that it tells of.
type Key = (&'static str, Option<i32>);

/// Tables that were made.
#[derive(Debug, Default)]
pub(crate) struct Made(Mutex<BTreeMap<Key, Arc<dyn TableProvider>>>);

impl Made {
    /// The table, which is made when it is not there.
    ///
    /// # Errors
    /// Those of making it.
    pub(crate) fn get_or_make(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Arc<dyn TableProvider>, DataFusionError>,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = made.get(&key) {
            return Ok(table.clone());
        }
        // That of another year is asked for no more.
        made.retain(|(name, _), _| *name != key.0);
        let table = make()?;
        made.insert(key, table.clone());
        Ok(table)
    }
}

impl Set {
    /// The calendar of this id.
    pub(crate) fn calendar(&self, id: &str) -> Option<&Calendar> {
        self.calendars.get(id)
    }

    /// The state of a service while nothing is known of it (R3, R32); `None` of one that is not in the catalogue.
    pub(crate) fn state_before(&self, service: &str) -> Option<State> {
        let rule = &self.definitions.services.get(service)?.state;
        // Of what a composite consists are services of the catalogue, in no circle.
        let parts = rule.composition.iter().flat_map(|composition| &composition.parts);
        Some(state_before(rule, parts.filter_map(|part| self.state_before(&part.service))))
    }
}

impl PartialEq for InForce {
    fn eq(&self, other: &InForce) -> bool {
        self.key() == other.key() && self.visible == other.visible
    }
}

impl Eq for InForce {}

impl Hash for InForce {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl InForce {
    /// The calendar of this id.
    ///
    /// # Errors
    /// `Invalid`, with the ids that there are.
    pub(crate) fn calendar(&self, id: &str) -> Result<&Calendar, QueryError> {
        let none = || QueryError::Invalid("no calendar is known yet, for nothing was recorded".to_owned());
        let set = self.set.as_ref().ok_or_else(none)?;
        set.calendar(id).filter(|_| self.sees_calendar(id)).ok_or_else(|| {
            let known = set.calendars.keys().map(String::as_str).filter(|id| self.sees_calendar(id));
            let known: Vec<&str> = known.take(20).collect();
            QueryError::Invalid(format!("there is no calendar {id}; there are {}", known.join(", ")))
        })
    }

    /// Whether a calendar may be seen. Everybody knows the one of all time.
    pub(crate) fn sees_calendar(&self, id: &str) -> bool {
        let is_known = |visible: &Arc<Visible>| visible.has_calendar(id) || id == AROUND_THE_CLOCK;
        self.visible.as_ref().is_none_or(is_known)
    }

    /// Whether a customer may be seen.
    pub(crate) fn sees_customer(&self, id: &str) -> bool {
        self.visible.as_ref().is_none_or(|visible| visible.has_customer(id))
    }

    /// The state of a service while nothing is known of it; `None` of one that is not in the catalogue, or not to be seen.
    pub(crate) fn state_before(&self, service: &str) -> Option<State> {
        let is_seen = self.visible.as_ref().is_none_or(|visible| visible.has_service(service));
        self.set.as_ref().filter(|_| is_seen)?.state_before(service)
    }

    fn key(&self) -> (Option<i64>, Option<&str>) {
        (self.known_until.map(|instant| instant.0), self.set.as_ref().map(|set| set.digest.as_str()))
    }
}

/// Finds what holds, and keeps definitions that were made ready.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finder {
    sets: Arc<Mutex<Vec<Arc<Set>>>>,
}

impl Finder {
    /// What holds after the newest of the epochs that each of these conditions lets through, one for each shard.
    pub(crate) async fn find(
        &self,
        context: &SessionContext,
        lake: &Lake,
        shards: Vec<Expr>,
    ) -> Result<InForce, DataFusionError> {
        let count = shards.len() as i64;
        let (mut known, mut newest): (Vec<Option<Instant>>, Option<(i64, String)>) = (Vec::new(), None);
        for condition in shards {
            let epochs = context.table(TableReference::partial(HISTORY, Table::Epochs.name())).await?;
            let epochs = epochs.filter(condition)?.sort(vec![col("epoch").sort(false, false)])?.limit(0, Some(1))?;
            let digest = cast(col("definitions"), DataType::Utf8).alias("digest");
            let answer =
                epochs.select(vec![col("epoch"), col("watermark"), col("known_until"), digest])?.collect().await?;
            let Some(row) = answer.iter().find(|batch| batch.num_rows() > 0) else {
                known.push(None);
                continue;
            };
            let epoch = row.column(0).as_primitive::<Int64Type>().value(0);
            // An epoch is recorded before its rows are written; those of the epoch before have been.
            let column = if lake.is_told(epoch, count).await.map_err(QueryError::from)? { 2 } else { 1 };
            let known_until = row.column(column).as_primitive::<TimestampMicrosecondType>().iter().next().flatten();
            known.push(known_until.map(Instant));
            newest = newest.max(Some((epoch, row.column(3).as_string::<i32>().value(0).to_owned())));
        }
        let known_until = known.into_iter().reduce(|one, other| Some(one?.min(other?))).flatten();
        let set = match newest {
            Some((_, digest)) => Some(self.set(lake, digest).await?),
            None => None,
        };
        Ok(InForce { known_until, set, visible: None, judged: Arc::default() })
    }

    async fn set(&self, lake: &Lake, digest: String) -> Result<Arc<Set>, QueryError> {
        let kept = |sets: &Vec<Arc<Set>>| sets.iter().find(|set| set.digest == digest).cloned();
        if let Some(set) = kept(&self.sets.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(set);
        }
        let definitions = Definitions::from_record(&lake.definitions(&digest).await?).map_err(|error| {
            QueryError::Unavailable(format!("the definitions in force cannot be read by this version: {error}"))
        })?;
        let calendars = definitions.calendars.iter();
        let calendars = calendars.map(|(id, versions)| (id.clone(), Calendar::compile(versions))).collect();
        let set = Arc::new(Set { digest, definitions, made: Made::default(), calendars });
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.insert(0, set.clone());
        sets.truncate(SETS_KEPT);
        Ok(set)
    }
}
