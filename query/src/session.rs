//! The query service: one read-only session over one lake, and its limits.
//!
//! In comes a statement or a plan; out goes a stream of record batches that ends with the last row or with an error,
//! never silently short.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::TryStreamExt;
use plimsoll_lake::Lake;
use plimsoll_schemas::table::Table;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::error::QueryError;
use crate::lossy::lossy_text;
use crate::metrics::{Counters, Running};
use crate::provider::LakeTable;
use crate::views::VIEWS;

/// The name of the database, as tools that list databases show it.
const CATALOG: &str = "plimsoll";
/// Where statements find current rows without naming a schema.
const CURRENT: &str = "public";
/// Where every revision is.
const HISTORY: &str = "history";
/// The session's only store. A name of our own instead of `file://` or `s3://`, so that no other address leads
/// anywhere.
const STORE: &str = "plimsoll://lake";
/// How many of the greediest operators an out-of-memory error names.
const NAMED_CONSUMERS: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(2);

/// Length of a statement at most, in bytes. Parser and planner recurse along chains such as `1+1+1+...`, about 7 kB of
/// stack for each two bytes; `STACK_BYTES` holds the longest.
const STATEMENT_BYTES_MAX: usize = 8 * 1024;

/// Functions that make something of any size out of a number, which no accounting sees before it is there. Series are
/// made row by row by the table function `generate_series`, which stays.
const UNBOUNDED_FUNCTIONS: [&str; 7] =
    ["repeat", "lpad", "rpad", "array_repeat", "array_resize", "range", "generate_series"];

/// The stack that a thread needs to plan any statement, in bytes: give it to the runtime that answers questions.
pub const STACK_BYTES: usize = 128 << 20;

/// What one service spends on questions at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all running questions together, in bytes, as far as DataFusion accounts for it.
    pub memory_bytes_max: usize,
    /// Disk space for sorts and joins that do not fit into it, in bytes.
    pub spill_bytes_max: u64,
    /// Time from the arrival of a question to its last row.
    pub time_max: Duration,
    /// Rows of one answer; one with more is an error, not a shorter answer.
    pub rows_max: usize,
    /// Questions answered at the same time; others wait, which counts as their time.
    pub concurrent_max: usize,
}

impl Default for Limits {
    /// For a service that shares a small machine with a worker: half a gibibyte holds the groups of a few million rows,
    /// a minute is what a person or a proxy waits, a million rows is what a spreadsheet opens.
    fn default() -> Limits {
        Limits {
            memory_bytes_max: 512 << 20,
            spill_bytes_max: 4 << 30,
            time_max: Duration::from_secs(60),
            rows_max: 1_000_000,
            concurrent_max: 16,
        }
    }
}

/// Answers questions about one lake. Cheap to share behind an `Arc`; keeps no state of its own but file footers.
pub struct QueryService {
    context: SessionContext,
    limits: Limits,
    gate: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl QueryService {
    /// Opens a session over the lake, with the tables in schema `history` and the views in schema `public`.
    ///
    /// # Errors
    /// `Internal` when a view does not fit the tables, which is a defect of this crate.
    pub async fn open(lake: Lake, limits: Limits) -> Result<QueryService, QueryError> {
        let mut config =
            SessionConfig::new().with_default_catalog_and_schema(CATALOG, CURRENT).with_information_schema(true);
        // A recursion holds all its rows, unaccounted, and nothing here is recursive but what a person would ask twice.
        config.options_mut().execution.enable_recursive_ctes = false;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime(&lake, &limits)?)
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        for function in UNBOUNDED_FUNCTIONS {
            context.deregister_udf(function);
        }
        let defect = |error: DataFusionError| QueryError::Internal(error.strip_backtrace());

        let history = MemorySchemaProvider::new();
        let store = ObjectStoreUrl::parse(STORE).map_err(defect)?;
        for table in Table::ALL {
            let provider = LakeTable::new(lake.clone(), store.clone(), table);
            history.register_table(table.name().to_owned(), Arc::new(provider)).map_err(defect)?;
        }
        let catalog = context.catalog(CATALOG).ok_or_else(|| QueryError::Internal("no catalog".to_owned()))?;
        catalog.register_schema(HISTORY, Arc::new(history)).map_err(defect)?;
        context.register_udf(lossy_text());
        for view in VIEWS {
            let plan = context.sql(view.sql).await.map_err(defect)?;
            context.register_table(TableReference::bare(view.name), plan.into_view()).map_err(defect)?;
        }
        let gate = Arc::new(Semaphore::new(limits.concurrent_max));
        Ok(QueryService { context, limits, gate, counters: Arc::default() })
    }

    /// Answers one statement: a query, `SHOW`, `DESCRIBE` or `EXPLAIN`.
    ///
    /// # Errors
    /// `Invalid` for a statement that cannot be understood, `Refused` for one that is more than a question,
    /// `Exhausted` beyond a limit, `Unavailable` when the lake cannot be read. Later errors end the stream; they are
    /// a `QueryError` inside `DataFusionError::External` or convert into one.
    pub async fn sql(&self, statement: &str) -> Result<SendableRecordBatchStream, QueryError> {
        if statement.len() > STATEMENT_BYTES_MAX {
            let length = statement.len();
            return Err(QueryError::Invalid(format!(
                "the statement has {length} bytes, allowed are {STATEMENT_BYTES_MAX}; shorten it, or ask in parts"
            )));
        }
        self.answer(async {
            let plan = self.context.state().create_logical_plan(statement).await.map_err(more_than_one)?;
            SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false)
                .verify_plan(&plan)
                .map_err(|error| QueryError::Refused(format!("{}; tables are only read here", error.message())))?;
            Ok(self.context.execute_logical_plan(plan).await?)
        })
        .await
    }

    /// Answers a question that is built from a view instead of parsed from text.
    pub(crate) async fn view(
        &self,
        name: &'static str,
        question: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError>,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        self.answer(async { Ok(question(self.context.table(name).await?)?) }).await
    }

    /// What this service counts about itself, in the Prometheus text format; ends with a line break.
    pub fn metrics(&self) -> String {
        self.counters.prometheus_text()
    }

    /// Plans and starts a question within the limits, which then hold for its stream as well.
    async fn answer(
        &self,
        plan: impl Future<Output = Result<DataFrame, QueryError>>,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let running = self.counters.start();
        let deadline = Instant::now() + self.limits.time_max;
        let started = timeout_at(deadline, async {
            let permit = self.gate.clone().acquire_owned().await.map_err(|error| internal(&error))?;
            let rows = plan.await?.execute_stream().await?;
            Ok((permit, rows))
        });
        let (permit, rows) = started
            .await
            .unwrap_or_else(|_| Err(too_slow(&self.limits)))
            .map_err(|error| running.count_error(error))?;
        let schema = rows.schema();
        let answer = Answer {
            rows,
            rows_left: self.limits.rows_max,
            deadline,
            limits: self.limits.clone(),
            running,
            _permit: permit,
        };
        let batches = futures::stream::try_unfold(answer, |mut answer| async move {
            Ok(answer.next().await?.map(|batch| (batch, answer)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

/// An answer on its way to the client. Dropping it ends the question.
struct Answer {
    rows: SendableRecordBatchStream,
    rows_left: usize,
    deadline: Instant,
    limits: Limits,
    running: Running,
    _permit: OwnedSemaphorePermit,
}

impl Answer {
    /// The next batch; `None` after the last row.
    async fn next(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        let batch = match timeout_at(self.deadline, self.rows.try_next()).await {
            Ok(batch) => batch.map_err(QueryError::from),
            Err(_) => Err(too_slow(&self.limits)),
        };
        let batch = batch.and_then(|batch| {
            let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
            self.rows_left = self.rows_left.checked_sub(rows).ok_or_else(|| too_many(&self.limits))?;
            self.running.count_rows(rows);
            Ok(batch)
        });
        batch.map_err(|error| self.running.count_error(error).into())
    }
}

/// The resources of every question: bounded memory and disk, and the lake's store as the only one.
fn runtime(lake: &Lake, limits: &Limits) -> Result<Arc<RuntimeEnv>, QueryError> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(limits.memory_bytes_max), NAMED_CONSUMERS);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_max_temp_directory_size(limits.spill_bytes_max)
        .build_arc()?;
    // DataFusion registers the local disk by itself. Statements have no way to name a file, and now no way to read one.
    let parse = |text: &str| Url::parse(text).map_err(|error| internal(&error));
    runtime.deregister_object_store(&parse("file://")?)?;
    runtime.register_object_store(&parse(STORE)?, lake.store());
    Ok(runtime)
}

/// DataFusion's word on several statements speaks of a context that users do not know.
fn more_than_one(error: DataFusionError) -> QueryError {
    match &error {
        DataFusionError::NotImplemented(text) if text.contains("single SQL statement") => {
            QueryError::Invalid("found more than one statement; send them one by one".to_owned())
        }
        DataFusionError::Plan(text) if text.contains("No SQL statements") => {
            QueryError::Invalid("found no statement; send one, such as SELECT * FROM attainment LIMIT 10".to_owned())
        }
        _ => error.into(),
    }
}

fn too_slow(limits: &Limits) -> QueryError {
    let seconds = limits.time_max.as_secs_f64();
    QueryError::Exhausted(format!("no complete answer within {seconds} s; narrow the question, or ask in parts"))
}

fn too_many(limits: &Limits) -> QueryError {
    let rows = limits.rows_max;
    QueryError::Exhausted(format!("the answer has more than {rows} rows; add a LIMIT, aggregate, or ask in parts"))
}

fn internal(error: &dyn std::error::Error) -> QueryError {
    QueryError::Internal(error.to_string())
}
