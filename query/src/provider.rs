//! One table of the lake as DataFusion sees it.
//!
//! In come a projection and filters; out goes a Parquet scan over the files that are active at that moment. The list of
//! files is taken afresh by each scan, so every question sees the newest committed version, and a question that is
//! already running keeps reading the files it began with.

use std::fmt;
use std::sync::Arc;

use arrow_array::types::Date32Type;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics, TableReference};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::provider_as_source;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::prelude::SessionContext;
use plimsoll_lake::{ActiveFile, Lake, TableFiles};
use plimsoll_schemas::Instant;
use plimsoll_schemas::table::Table;

use crate::barrier;
use crate::current::{Choice, CurrentRows};
use crate::error::QueryError;
use crate::footers::Footers;
use crate::session::HISTORY;

/// Name of the partition column of tables that are partitioned by day.
const DATE: &str = "date";
/// Microseconds of a UTC day.
const DAY_US: i64 = 86_400_000_000;
/// Bytes fetched from the end of a file at once: a footer with the page index of a row group or two fits, so that opening
/// most files on object storage costs one request.
const FOOTER_BYTES: usize = 256 * 1024;

/// Of so many values of a column at most it is found out where they may be, and a parameter of a door has no more.
pub(crate) const VALUES_MAX: usize = 100;
/// A question about few rows in so many files at most is one task's.
const FEW_FILES: usize = 4;
/// A question that may be about fewer of all rows than one of so many is about few.
const FEW_SHARE: usize = 64;

/// One table of the lake, every row of it.
#[derive(Clone)]
pub(crate) struct LakeTable {
    lake: Lake,
    store: ObjectStoreUrl,
    table: Table,
    schema: TableSchema,
    /// When its rows are to be known (R25). `known` makes a filter of it before anything is read.
    pub(crate) known_at: Option<Instant>,
    /// Which of its rows may be seen; `None` for all.
    pub(crate) only: Option<Expr>,
    /// What is kept of which rows are current, where it is asked for these alone.
    pub(crate) current: Option<Arc<CurrentRows>>,
}

impl LakeTable {
    /// The table, whose files the session finds under `store`.
    pub(crate) fn new(lake: Lake, store: ObjectStoreUrl, table: Table) -> LakeTable {
        let partition_columns = match table.partition_time() {
            Some(_) => vec![Arc::new(Field::new(DATE, DataType::Date32, false))],
            None => Vec::new(),
        };
        let schema =
            TableSchema::builder(query_schema(&table.schema())).with_table_partition_cols(partition_columns).build();
        LakeTable { lake, store, table, schema, known_at: None, only: None, current: None }
    }

    /// A plan that reads the rows of the table that a choice shows, but for a column. Which rows those are is kept of as
    /// many keys.
    ///
    /// # Errors
    /// When the choice does not fit the table, which is a defect of its view.
    pub(crate) async fn current(
        self,
        context: &SessionContext,
        (choice, hidden): (Choice, Option<&str>),
        keys_max: usize,
    ) -> Result<LogicalPlan> {
        let current = CurrentRows::new(context, self.table, &self.schema(), choice, keys_max).await?;
        let current = Arc::new(current);
        let name = TableReference::partial(HISTORY, self.table.name());
        let table = LakeTable { current: Some(current), ..self };
        let rows = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?;
        let shown: Vec<usize> = rows
            .schema()
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| Some(field.name().as_str()) != hidden)
            .map(|(place, _)| place)
            .collect();
        rows.select(shown)?.build()
    }

    /// Which one it is.
    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// The files that may hold rows of interest: those of days that the filters do not rule out. Within a file, the
    /// scan itself skips row groups and pages.
    fn prune(&self, interest: Option<&PruningPredicate>, files: &[Arc<ActiveFile>]) -> Vec<PartitionedFile> {
        if files.is_empty() {
            return Vec::new(); // Of no files there are no statistics, of which DataFusion would warn.
        }
        let kept = interest.filter(|_| self.table.partition_time().is_some()).and_then(|interest| {
            let days = files.iter().map(|file| Arc::new(self.day_statistics(file))).collect();
            interest.prune(&PrunableStatistics::new(days, self.schema())).ok()
        });
        // A filter that makes no sense here is an error later, where all rows are at hand; here it keeps every file.
        let kept = kept.unwrap_or_else(|| vec![true; files.len()]);
        files.iter().zip(kept).filter(|(_, kept)| *kept).map(|(file, _)| partitioned_file(file)).collect()
    }

    /// What filters say of where rows of interest may be; `None` when that is everywhere.
    fn interest(&self, session: &dyn Session, filters: &[Expr]) -> Option<Arc<PruningPredicate>> {
        let columns = DFSchema::try_from(self.schema()).ok()?;
        let predicate = session.create_physical_expr(conjunction(filters.iter().cloned())?, &columns).ok()?;
        let builder = PruningPredicateBuilder::new().with_max_in_list_size(VALUES_MAX);
        builder.with_file_schema(self.schema()).build(predicate)
    }

    /// What a file's date says of its rows: the date itself, and that their times lie within that day.
    fn day_statistics(&self, file: &ActiveFile) -> Statistics {
        let schema = self.schema();
        let mut statistics = Statistics::new_unknown(&schema);
        let (Some(time), Some(date)) = (self.table.partition_time(), file.date) else {
            return statistics;
        };
        let day = Date32Type::from_naive_date(date);
        let start = i64::from(day) * DAY_US;
        let instant = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
        let bounds = [
            (time, instant(start), instant(start + DAY_US - 1)),
            (DATE, ScalarValue::Date32(Some(day)), ScalarValue::Date32(Some(day))),
        ];
        for (name, low, high) in bounds {
            if let Some((column, _)) = schema.column_with_name(name) {
                statistics.column_statistics[column] = ColumnStatistics::new_unknown()
                    .with_min_value(Precision::Exact(low))
                    .with_max_value(Precision::Exact(high));
            }
        }
        statistics
    }
}

/// A file as the scan wants it: where it is, and its partition value.
fn partitioned_file(file: &ActiveFile) -> PartitionedFile {
    let values = file.date.map(|date| ScalarValue::Date32(Some(Date32Type::from_naive_date(date))));
    PartitionedFile::new(file.path.clone(), file.size_bytes).with_partition_values(values.into_iter().collect())
}

impl fmt::Debug for LakeTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LakeTable").field("table", &self.table).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters only skip files, row groups and pages, hence inexact; the physical optimizer hands them to the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.known_at.is_some() {
            return Err(QueryError::Internal("rows were to be read before it was known which".to_owned()).into());
        }
        if let Some(only) = &self.only {
            return self.scan_only(only, session, projection, filters).await;
        }
        let interest = match self.table.partition_time().is_some() || self.current.is_some() {
            true => self.interest(session, filters),
            false => None,
        };
        let mut is_about_few = false;
        // Counting all rows needs no file to be opened, if each says how many it has. With filters it is an estimate.
        let (files, rows) = match &self.current {
            None => {
                let active = self.files().await?;
                let rows: Option<u64> = active.files.iter().map(|file| file.rows).sum();
                (self.prune(interest.as_deref(), &active.files), rows.and_then(|rows| usize::try_from(rows).ok()))
            }
            Some(current) => match current.now(self, session).await? {
                None => return self.scan_definition(&current.definition, session, projection).await,
                Some(now) => {
                    let mut files = self.prune(interest.as_deref(), &now.files.files);
                    let left = now.narrow(&mut files, interest.as_deref());
                    is_about_few = left <= now.count() / FEW_SHARE;
                    (files, Some(left))
                }
            },
        };
        if files.is_empty() {
            let columns: Vec<_> = projection.cloned().unwrap_or_else(|| (0..self.schema().fields().len()).collect());
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema().project(&columns)?))));
        }
        let rows_known = if filters.is_empty() { Precision::Exact } else { Precision::Inexact };
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = rows.map_or(Precision::Absent, rows_known);
        // To divide few rows takes longer than to read them.
        let tasks = if is_about_few && files.len() <= FEW_FILES { 1 } else { session.config().target_partitions() };
        let groups = FileGroup::new(files).split_files(tasks);
        let scan = self.scan_files(session, groups, is_about_few)?.with_statistics(statistics);
        let scan = scan.with_projection_indices(projection.cloned())?.with_limit(limit).build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

impl LakeTable {
    /// Its files at the newest version.
    pub(crate) async fn files(&self) -> Result<Arc<TableFiles>> {
        Ok(self.lake.files(self.table).await.map_err(QueryError::from)?)
    }

    /// A scan of groups of its files. Where few rows are looked for, the columns by which they are filtered are read first,
    /// and the others of what is left.
    fn scan_files(
        &self,
        session: &dyn Session,
        groups: Vec<FileGroup>,
        is_about_few: bool,
    ) -> Result<FileScanConfigBuilder> {
        // Files never change, so their footers are kept from one question to the next.
        let runtime = session.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let kept = CachedParquetFileReaderFactory::new(runtime.object_store(&self.store)?, footers);
        let reader = Footers { kept, folder: self.lake.folder() };
        let mut options = TableParquetOptions {
            global: session.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        if is_about_few {
            // What chunks have not ruled out, row groups and pages do not either.
            options.global.pruning = false;
            options.global.enable_page_index = false;
            // To keep what filters read, whole batches are read, also of rows that nobody looks for.
            options.global.max_predicate_cache_size = Some(0);
        }
        let source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_metadata_size_hint(FOOTER_BYTES)
            .with_pushdown_filters(is_about_few)
            .with_bloom_filter_on_read(false)
            .with_parquet_file_reader_factory(Arc::new(reader));
        Ok(FileScanConfigBuilder::new(self.store.clone(), Arc::new(source)).with_file_groups(groups))
    }

    /// Compares one of its files with what was written.
    ///
    /// # Errors
    /// When it is something else, with its name and repair.
    pub(crate) async fn check_bytes(&self, file: &Arc<ActiveFile>) -> Result<()> {
        let checked = self.lake.check_bytes(self.table, std::slice::from_ref(file)).await;
        Ok(checked.map_err(QueryError::from)?)
    }

    /// Columns of one of its files, row by row as they stand.
    pub(crate) fn columns_of(
        &self,
        session: &dyn Session,
        file: &ActiveFile,
        columns: &[usize],
    ) -> Result<SendableRecordBatchStream> {
        let scan = self.scan_files(session, vec![FileGroup::new(vec![partitioned_file(file)])], false)?;
        let scan = scan.with_projection_indices(Some(columns.to_vec()))?.build();
        DataSourceExec::from_data_source(scan).execute(0, session.task_ctx())
    }

    /// Scans the current rows where there are too many to be kept. No filter is put here, in front of what may be seen: an
    /// error of one tells of the row.
    async fn scan_definition(
        &self,
        definition: &LogicalPlan,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut rows = LogicalPlanBuilder::from(definition.clone());
        if let Some(projection) = projection {
            rows = rows.select(projection.iter().copied())?;
        }
        session.create_physical_plan(&rows.build()?).await
    }

    /// Scans the rows that may be seen, in front of which there is a barrier.
    async fn scan_only(
        &self,
        only: &Expr,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let mut columns = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let asked = columns.len();
        for column in only.column_refs() {
            let column = schema.index_of(&column.name)?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let condition = DFSchema::try_from(schema.project(&columns)?)?;
        let condition = session.create_physical_expr(only.clone(), &condition)?;
        let filters: Vec<Expr> = filters.iter().chain([only]).cloned().collect();
        let all = LakeTable { only: None, ..self.clone() };
        let all = all.scan(session, Some(&columns), &filters, None).await?;
        barrier::only(all, condition, asked)
    }
}

/// A table's columns as questions see them. Strings are views, whatever the files hold: DataFusion reads, compares and
/// groups them without copying, and a query's columns do not depend on how a writer chose to encode them. What they mean
/// stands in the dictionary: DataFusion refuses plans of which one step carries a comment on and another does not.
fn query_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::Dictionary(..) => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
