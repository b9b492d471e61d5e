//! The query service: one read-only session over one lake, and its limits.
//!
//! In comes a statement or a plan; out goes a stream of record batches that ends with the last row or with an error,
//! never silently short.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::{ParamValues, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use futures::{Stream, StreamExt, TryStreamExt};
use plimsoll_lake::{Lake, of_lane_group};
use plimsoll_schemas::Instant;
use plimsoll_schemas::guard::words_of;
use plimsoll_schemas::table::Table;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant as Moment, timeout, timeout_at};
use url::Url;

use crate::ahead::ahead;
use crate::arithmetic;
use crate::availability;
use crate::damaged;
use crate::defined;
use crate::dictionary;
use crate::error::QueryError;
use crate::format::{Format, encode};
use crate::functions::functions;
use crate::in_force::Finder;
use crate::known::{self, Cut};
use crate::lossy::lossy_text;
use crate::metrics::{Counters, Running};
use crate::patterns;
use crate::postgres;
use crate::provider::LakeTable;
use crate::size;
use crate::statement;
use crate::stop::stoppable;
use crate::views::VIEWS;
use crate::visible::RowFilter;

/// The name of the database, as tools that list databases show it.
pub(crate) const CATALOG: &str = "plimsoll";
/// Where statements find current rows without naming a schema.
pub(crate) const CURRENT: &str = "public";
/// Where every revision is.
pub(crate) const HISTORY: &str = "history";
/// The session's only store. A name of our own instead of `file://` or `s3://`, so that no other address leads
/// anywhere.
const STORE: &str = "plimsoll://lake";
/// How many of the greediest operators an out-of-memory error names.
const NAMED_CONSUMERS: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(2);

/// Length of a statement at most, in bytes. Parser and planner recurse along chains such as `1+1+1+...`, about 7 kB of
/// stack for each two bytes; `STACK_BYTES` holds the longest.
pub(crate) const STATEMENT_BYTES_MAX: usize = 8 * 1024;

/// What is told of a question that takes longer than it may begins so.
pub(crate) const TOO_SLOW: &str = "no complete answer within";

/// Functions that make something of any size out of a number, which no accounting sees before it is there. Series are
/// made row by row by the table function `generate_series`, which stays.
const UNBOUNDED_FUNCTIONS: [&str; 8] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "array_resize",
    "range",
    "generate_series",
    // It doubles what it is given, and again.
    "encode",
];

/// Aggregates of the same kind: their sketch is made as large as an argument says. `median` and `percentile_cont` are
/// exact.
const UNBOUNDED_AGGREGATES: [&str; 2] = ["approx_percentile_cont", "approx_percentile_cont_with_weight"];

/// The stack that a thread needs to plan any statement, in bytes.
pub const STACK_BYTES: usize = 128 << 20;

/// What one service spends on questions at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all running questions together, in bytes, as far as DataFusion accounts for it.
    pub memory_bytes_max: usize,
    /// Disk space for sorts and joins that do not fit into it, in bytes.
    pub spill_bytes_max: u64,
    /// Time from the arrival of a question to its last row, also when that waits for the client.
    pub time_max: Duration,
    /// Rows of one answer; one with more is an error, not a shorter answer.
    pub rows_max: usize,
    /// Questions answered at the same time; others wait, which counts as their time.
    pub concurrent_max: usize,
    /// Keys of a table of which it is kept which row is current. Those of a table with more are found for each question.
    pub kept_keys_max: usize,
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
            // Of 40 bytes each and one more, where an eighth of the places is free: 172 MB.
            kept_keys_max: (1 << 22) / 8 * 7,
        }
    }
}

/// Answers questions about one lake. Cheap to clone; from one question to the next it keeps footers of files, and which rows
/// are current.
#[derive(Clone)]
pub struct QueryService {
    context: SessionContext,
    pub(crate) lake: Lake,
    /// How many shards keep the lake, once anybody does: that is for good.
    shards: Arc<OnceLock<u32>>,
    cut: Cut,
    /// Whose rows may be seen; `None` for all.
    rows: Option<Arc<RowFilter>>,
    /// Finds which definitions are in force.
    finder: Finder,
    limits: Limits,
    desk: Desk,
    /// That of what the service asks itself, one question after the other: others must not keep it waiting.
    own_desk: Desk,
    counters: Arc<Counters>,
}

/// How many shards keep a lake; 1 while nobody does.
async fn count(lake: &Lake, known: &OnceLock<u32>) -> Result<u32, QueryError> {
    if let Some(count) = known.get() {
        return Ok(*count);
    }
    let found = lake.claimed().await?;
    Ok(found.map_or(1, |claim| *known.get_or_init(|| claim.shards)))
}

/// Where questions wait for their turn and are computed.
#[derive(Clone)]
struct Desk {
    gate: Arc<Semaphore>,
    threads: Handle,
}

impl QueryService {
    /// Opens a session over the lake, with the tables in schema `history` and the views in schema `public`. `threads`
    /// compute the answers and nothing else, with stacks of `STACK_BYTES`: a question may occupy one for minutes. What
    /// the service asks itself is computed where it is opened.
    ///
    /// # Errors
    /// `Internal` when a view does not fit the tables, which is a defect of this crate.
    pub async fn open(lake: Lake, limits: Limits, threads: Handle) -> Result<QueryService, QueryError> {
        let mut config =
            SessionConfig::new().with_default_catalog_and_schema(CATALOG, CURRENT).with_information_schema(true);
        // A recursion holds all its rows, unaccounted, and nothing here is recursive but what a person would ask twice.
        config.options_mut().execution.enable_recursive_ctes = false;
        // How many rows a scan has at most is known well enough to leave few of them to one task.
        config.options_mut().execution.use_row_number_estimates_to_optimize_partitioning = true;
        // Instants are in UTC, and literals are what they say.
        config.options_mut().execution.time_zone = Some("UTC".to_owned());
        config.options_mut().sql_parser.parse_float_as_decimal = true;
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime(&lake, &limits)?)
            .with_default_features()
            .build();
        let defect = |error: DataFusionError| QueryError::Internal(error.strip_backtrace());
        arithmetic::register(&mut state).map_err(defect)?;
        let context = SessionContext::new_with_state(state);
        patterns::register(&context);
        for function in UNBOUNDED_FUNCTIONS {
            context.deregister_udf(function);
        }
        for aggregate in UNBOUNDED_AGGREGATES {
            context.deregister_udaf(aggregate);
        }
        let history = MemorySchemaProvider::new();
        let store = ObjectStoreUrl::parse(STORE).map_err(defect)?;
        for table in Table::ALL {
            let provider = LakeTable::new(lake.clone(), store.clone(), table);
            history.register_table(table.name().to_owned(), Arc::new(provider)).map_err(defect)?;
        }
        let catalog = context.catalog(CATALOG).ok_or_else(|| QueryError::Internal("no catalog".to_owned()))?;
        catalog.register_schema(HISTORY, Arc::new(history)).map_err(defect)?;
        context.register_udf(lossy_text());
        functions().into_iter().for_each(|function| context.register_udf(function));
        for view in VIEWS {
            let plan = context.sql(&view.sql()).await.map_err(defect)?.into_parts().1;
            known::register(&context, view.name, plan.clone());
            let plan = match view.choice() {
                Some(choice) => {
                    let table = LakeTable::new(lake.clone(), store.clone(), view.table);
                    table.current(&context, (choice, view.hidden()), limits.kept_keys_max).await.map_err(defect)?
                }
                None => plan,
            };
            context.register_table(view.name, Arc::new(ViewTable::new(plan, None))).map_err(defect)?;
        }
        defined::register(&context).map_err(defect)?;
        availability::register(&context).await.map_err(defect)?;
        setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| defect(*error))?;
        dictionary::register(&context, &catalog, &[CURRENT, HISTORY]).await.map_err(defect)?;
        postgres::functions().into_iter().for_each(|function| context.register_udf(function));
        let desk = Desk { gate: Arc::new(Semaphore::new(limits.concurrent_max)), threads };
        let own_desk = Desk { gate: Arc::new(Semaphore::new(1)), threads: Handle::current() };
        let (cut, finder, shards, counters, rows) = Default::default();
        Ok(QueryService { context, lake, shards, cut, rows, finder, limits, desk, own_desk, counters })
    }

    /// The same service for what was known at an instant: every answer is what it would have been when the last epoch
    /// with a tick of at most that instant had been committed (R25). `None` changes nothing.
    pub fn known_at(&self, instant: Option<Instant>) -> QueryService {
        let known_at = known::earlier(self.cut.known_at, instant);
        QueryService { cut: Cut { known_at, ..self.cut }, ..self.clone() }
    }

    /// Another service over the same lake, for what was known at the same instant, with limits of its own.
    ///
    /// # Errors
    /// As `open`.
    pub async fn with_limits(&self, limits: Limits) -> Result<QueryService, QueryError> {
        let other = QueryService::open(self.lake.clone(), limits, self.desk.threads.clone()).await?;
        Ok(QueryService { cut: self.cut, ..other })
    }

    /// How long a question may take.
    pub fn time_max(&self) -> Duration {
        self.limits.time_max
    }

    /// The lake.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The last epoch of each shard whose rows are in a table; 0 of one that has none.
    ///
    /// # Errors
    /// `Unavailable` when the lake cannot be read.
    pub(crate) async fn last_epochs(&self, table: Table) -> Result<Vec<i64>, QueryError> {
        let mut last = vec![0; count(&self.lake, &self.shards).await? as usize];
        for group in self.lake.groups().await? {
            let epoch = self.lake.last_epoch(table, &group).await?;
            let place = last.get_mut(of_lane_group(&group).1 as usize);
            place.into_iter().zip(epoch).for_each(|(place, epoch)| *place = epoch);
        }
        Ok(last)
    }

    /// Whose rows are seen; `None` for all.
    pub(crate) fn rows_seen(&self) -> Option<Arc<RowFilter>> {
        self.rows.clone()
    }

    /// The same service for somebody who may see these rows only.
    pub(crate) fn seen_by(&self, rows: Option<Arc<RowFilter>>) -> QueryService {
        QueryService { rows, ..self.clone() }
    }

    /// The same service for what was known when an epoch had been committed.
    pub fn until_epoch(&self, epoch: i64) -> QueryService {
        let last_epoch = self.cut.last_epoch.map_or(epoch, |last| last.min(epoch));
        QueryService { cut: Cut { last_epoch: Some(last_epoch), ..self.cut }, ..self.clone() }
    }

    /// Answers one statement: a query, `SHOW`, `DESCRIBE` or `EXPLAIN`.
    ///
    /// # Errors
    /// `Invalid` for a statement that cannot be understood, `Refused` for one that is more than a question,
    /// `Exhausted` beyond a limit, `Unavailable` when the lake cannot be read. Later errors end the stream; they are
    /// a `QueryError` inside `DataFusionError::External` or convert into one.
    pub async fn sql(&self, statement: &str) -> Result<SendableRecordBatchStream, QueryError> {
        self.statement(&self.desk, statement).await
    }

    /// Answers a statement of the service itself, which waits for no other question than such.
    pub(crate) async fn own(&self, statement: &str) -> Result<SendableRecordBatchStream, QueryError> {
        self.statement(&self.own_desk, statement).await
    }

    async fn statement(&self, desk: &Desk, statement: &str) -> Result<SendableRecordBatchStream, QueryError> {
        QueryService::check_length(statement)?;
        let (context, statement) = (self.context.clone(), statement.to_owned());
        self.answer(desk, async move {
            let state = context.state();
            let plan = question(&state, parsed(&state, &statement)?).await?;
            Ok(context.execute_logical_plan(plan).await?)
        })
        .await
    }

    /// Whether a statement is short enough to be read.
    ///
    /// # Errors
    /// `Invalid` when it is not.
    pub(crate) fn check_length(statement: &str) -> Result<(), QueryError> {
        let length = statement.len();
        if length <= STATEMENT_BYTES_MAX {
            return Ok(());
        }
        Err(QueryError::Invalid(format!(
            "the statement has {length} bytes, allowed are {STATEMENT_BYTES_MAX}; shorten it, or ask in parts"
        )))
    }

    /// The same service for questions that may take less time.
    pub(crate) fn within(&self, time_max: Option<Duration>) -> QueryService {
        let time_max = time_max.map_or(self.limits.time_max, |time| time.min(self.limits.time_max));
        QueryService { limits: Limits { time_max, ..self.limits.clone() }, ..self.clone() }
    }

    /// Plans a statement whose columns and parameters are asked for before its rows.
    ///
    /// # Errors
    /// Those of `sql`.
    pub(crate) async fn plan(&self, statement: Statement) -> Result<LogicalPlan, QueryError> {
        let context = self.context.clone();
        self.compute(async move { question(&context.state(), statement).await }).await
    }

    /// Plans a statement that is text, with the values of its parameters, where it has any; and says what columns the answer
    /// has, as far as that is known while there are no values.
    ///
    /// # Errors
    /// Those of `sql`.
    pub(crate) async fn plan_text(
        &self,
        statement: String,
        values: Option<ParamValues>,
    ) -> Result<(LogicalPlan, SchemaRef), QueryError> {
        QueryService::check_length(&statement)?;
        let context = self.context.clone();
        self.compute(async move {
            let state = context.state();
            let plan = question(&state, parsed(&state, &statement)?).await?;
            let plan = match values {
                Some(values) => plan.replace_params_with_values(&values)?,
                None => plan,
            };
            // Types of columns may follow from one another, which is found out behind the plan.
            let columns = state.optimize(&plan).as_ref().unwrap_or(&plan).schema().inner().clone();
            Ok((plan, columns))
        })
        .await
    }

    /// The tables of a schema by their names.
    ///
    /// # Errors
    /// `Internal` when a table is gone that there was, which is a defect.
    pub(crate) async fn tables(&self, schema: &str) -> Result<Vec<(String, Arc<dyn TableProvider>)>, QueryError> {
        let provider = self.context.catalog(CATALOG).and_then(|catalog| catalog.schema(schema));
        let provider = provider.ok_or_else(|| QueryError::Internal(format!("there is no schema {schema}")))?;
        let (mut names, mut tables) = (provider.table_names(), Vec::new());
        names.sort();
        for name in names {
            let table = provider.table(&name).await?;
            tables.extend(table.map(|table| (name, table)));
        }
        Ok(tables)
    }

    /// Answers a question that was planned before.
    ///
    /// # Errors
    /// Those of `sql`.
    pub(crate) async fn planned(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream, QueryError> {
        let context = self.context.clone();
        self.answer(&self.desk, async move { Ok(context.execute_logical_plan(plan).await?) }).await
    }

    /// Waits for something as long as for a question.
    ///
    /// # Errors
    /// `Exhausted` when it takes longer, and its own.
    pub(crate) async fn in_time<Done, Wrong: From<QueryError>>(
        &self,
        work: impl Future<Output = Result<Done, Wrong>>,
    ) -> Result<Done, Wrong> {
        let done = timeout(self.limits.time_max, work).await;
        done.unwrap_or_else(|_| Err(self.counters.count_error(too_slow(&self.limits)).into()))
    }

    /// Whether answers are what was known at an instant, which a clock that is set back may change.
    pub(crate) fn is_known_at(&self) -> bool {
        self.cut.known_at.is_some()
    }

    /// Lets the threads of questions work at something, for as long as a question may take.
    pub(crate) async fn compute<Done: Send + 'static>(
        &self,
        work: impl Future<Output = Result<Done, QueryError>> + Send + 'static,
    ) -> Result<Done, QueryError> {
        let gate = self.desk.gate.clone();
        let work = async move {
            let _permit = gate.acquire_owned().await.map_err(|error| internal(&error))?;
            work.await
        };
        let mut working = pin!(self.compute_rows(futures::stream::once(work)));
        let gone = || Err(QueryError::Internal("a question went away while it was planned".to_owned()));
        self.in_time(async { working.next().await.unwrap_or_else(gone) }).await
    }

    /// Lets them fetch the items of a stream.
    pub(crate) fn compute_rows<Item: Send + 'static>(
        &self,
        stream: impl Stream<Item = Item> + Send + 'static,
    ) -> impl Stream<Item = Item> + Send + 'static {
        ahead(stream, &self.desk.threads)
    }

    /// The columns of what becomes of a view's rows.
    ///
    /// # Errors
    /// `Internal` when it has no such view or cannot become that, which is a defect.
    pub(crate) async fn columns(
        &self,
        name: &str,
        shape: fn(DataFrame) -> Result<DataFrame, DataFusionError>,
    ) -> Result<Vec<arrow_schema::Field>, QueryError> {
        let shaped = shape(self.context.table(name).await?)?;
        Ok(shaped.schema().fields().iter().map(|field| field.as_ref().clone()).collect())
    }

    /// Answers a question that is built from a view instead of parsed from text.
    pub(crate) async fn view(
        &self,
        name: &'static str,
        question: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError> + Send + 'static,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        self.view_at(&self.desk, name.into(), question).await
    }

    /// The same for the service itself, as `own`.
    pub(crate) async fn own_view(
        &self,
        name: TableReference,
        question: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError> + Send + 'static,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        self.view_at(&self.own_desk, name, question).await
    }

    async fn view_at(
        &self,
        desk: &Desk,
        name: TableReference,
        question: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError> + Send + 'static,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let context = self.context.clone();
        self.answer(desk, async move { Ok(question(context.table(name).await?)?) }).await
    }

    /// Writes an answer in a format.
    pub(crate) fn write(
        &self,
        answer: SendableRecordBatchStream,
        format: Format,
    ) -> impl Stream<Item = Result<Bytes, QueryError>> + Send + 'static {
        self.compute_rows(encode(answer, format))
    }

    /// The session, to look at plans.
    #[cfg(test)]
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// What this service counts about itself, in the Prometheus text format; ends with a line break.
    pub fn metrics(&self) -> String {
        self.counters.prometheus_text()
    }

    /// Plans and starts a question within the limits, which then hold for its stream as well. A task of its own takes
    /// the rows, so that a question ends in time also when nobody takes its answer. Dropping the answer ends it at once.
    async fn answer(
        &self,
        desk: &Desk,
        plan: impl Future<Output = Result<DataFrame, QueryError>> + Send + 'static,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let running = self.counters.start();
        let deadline = Moment::now() + self.limits.time_max;
        let gate = desk.gate.clone();
        let (context, cut, rows) = (self.context.clone(), self.cut, self.rows.clone());
        let (lake, shards, finder) = (self.lake.clone(), self.shards.clone(), self.finder.clone());
        // Whoever waits for the answer owns it.
        let question = Arc::new(());
        let asked = Arc::downgrade(&question);
        let start = async move {
            let permit = gate.acquire_owned().await.map_err(|error| internal(&error))?;
            let cut = Cut { shards: count(&lake, &shards).await?.into(), ..cut };
            let visible = match rows {
                Some(rows) => Some(Arc::new(rows.resolve(&context).await?)),
                None => None,
            };
            let answer = known::resolve(&context, (&lake, &finder), plan.await?, visible, cut).await?;
            let task = Arc::new(answer.task_ctx());
            let plan = stoppable(answer.create_physical_plan().await?, &asked)?;
            let rows = execute_stream(plan.clone(), task)?;
            // The permit is given back when the rows are dropped.
            let rows = rows.inspect(move |_| _ = &permit);
            let steps = rows.map(|batch| batch.map(Step::Rows).map_err(QueryError::from));
            Ok::<_, QueryError>(futures::stream::iter([Ok(Step::Begun(plan))]).chain(steps))
        };
        let steps = AssertUnwindSafe(futures::stream::once(start).try_flatten()).catch_unwind();
        let steps = steps.map(|step| step.unwrap_or_else(|panic| Err(QueryError::panicked(words_of(&*panic)))));
        let mut steps = Box::pin(ahead(steps, &desk.threads));
        let begun = match timeout_at(deadline, steps.next()).await {
            Ok(Some(Ok(Step::Begun(plan)))) => Ok(plan),
            Ok(Some(Err(error))) => Err(error),
            _ => Err(too_slow(&self.limits)),
        };
        let plan = begun.map_err(|error| running.count_error(error))?;
        let mut answer = RecordBatchReceiverStreamBuilder::new(plan.schema(), 1);
        let (taker, limits, lake) = (answer.tx(), self.limits.clone(), self.lake.clone());
        answer.spawn(async move {
            let _question = question;
            let passed = async {
                let passed = pass_on(steps, &limits, &running, taker).await;
                match passed {
                    Err(error) => Err(damaged::named(error, &lake, &plan).await),
                    passed => passed,
                }
            };
            let passed = timeout_at(deadline, passed).await;
            passed.unwrap_or_else(|_| Err(too_slow(&limits))).map_err(|error| running.count_error(error).into())
        });
        Ok(answer.build())
    }
}

/// The one statement that a text is.
fn parsed(state: &SessionState, text: &str) -> Result<Statement, QueryError> {
    let dialect = state.config_options().sql_parser.dialect;
    state.sql_to_statement(text, &dialect).map_err(more_than_one)
}

/// The plan of a statement that is a question, and not too large.
async fn question(state: &SessionState, mut statement: Statement) -> Result<LogicalPlan, QueryError> {
    size::check(&statement)?;
    statement::prepare(&mut statement)?;
    let plan = state.statement_to_plan(statement).await?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| QueryError::Refused(format!("{}; tables are only read here", error.message())))?;
    Ok(plan)
}

/// What comes of a question.
enum Step {
    /// It was planned so, and its rows follow.
    Begun(Arc<dyn ExecutionPlan>),
    /// Some of its rows.
    Rows(RecordBatch),
}

/// Hands the batches of an answer on until it is complete, or nobody takes them.
async fn pass_on(
    mut steps: impl Stream<Item = Result<Step, QueryError>> + Unpin,
    limits: &Limits,
    running: &Running,
    taker: Sender<Result<RecordBatch, DataFusionError>>,
) -> Result<(), QueryError> {
    let mut rows_left = limits.rows_max;
    while let Some(step) = steps.try_next().await? {
        let Step::Rows(batch) = step else { continue };
        rows_left = rows_left.checked_sub(batch.num_rows()).ok_or_else(|| too_many(limits))?;
        running.count_rows(batch.num_rows());
        if taker.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
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
    QueryError::Exhausted(format!(
        "{TOO_SLOW} {seconds} s; narrow the question, or ask in parts; --question-time of the service raises the limit, and \
         --questions how many are answered at a time, of which {} are",
        limits.concurrent_max
    ))
}

fn too_many(limits: &Limits) -> QueryError {
    let rows = limits.rows_max;
    QueryError::Exhausted(format!(
        "the answer has more than {rows} rows; add a LIMIT, aggregate, or ask in parts; --question-rows of the service raises \
         the limit"
    ))
}

fn internal(error: &dyn std::error::Error) -> QueryError {
    QueryError::Internal(error.to_string())
}
