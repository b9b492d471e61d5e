//! Which rows of a table are the newest of their key, kept from one question to the next.
//!
//! Tables only grow: a result that is said anew is one more row, and what is current is found among all of them. To sort
//! them for each question would take as long as there is history. Here a table is read once, and after that the files that
//! are new: of each key it is kept which row of which file is the newest, and of each file which rows those are. A scan
//! is told to read these alone, so filters, statistics and the choice of columns work as on any table. Of stretches of rows
//! it is kept, too, between which values their keys lie, so a question about a few keys opens the files that have them.
//!
//! ```text
//!   files            rows of a key k, by (order, epoch)         kept
//!   f1 (epoch 1..8)  k (0, 3)   k (0, 7)                        k -> (1, 9) in f2, row 5
//!   f2 (epoch 9)     k (1, 9)                                   f1: neither of its two, f2: row 5
//! ```
//! Files never change. When some were merged, the new one has the same rows, which take the place of theirs; when one went
//! away without that, all is read again.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::{DataType, SchemaRef};
use datafusion::arrow::compute::cast;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use plimsoll_lake::{ActiveFile, TableFiles};
use plimsoll_schemas::table::Table;
use tokio::sync::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use crate::chunks::{Chunks, ChunksBuilder};
use crate::error::QueryError;
use crate::provider::LakeTable;

/// Which row of a key a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Rows with the same values of these expressions are of one key.
    pub(crate) key: &'static [&'static str],
    /// The column that is greatest in the newest of them; of those that are alike the one of the last epoch.
    pub(crate) order: &'static str,
    /// Whether that row is shown, or the key has none; all are shown unless said.
    pub(crate) shown: Option<&'static str>,
}

impl Choice {
    /// The query that it stands for: the rows of a table that it shows, with all their columns.
    pub(crate) fn sql(&self, table: Table) -> String {
        let shown = self.shown.map_or(String::new(), |shown| format!(" AND {shown}"));
        format!(
            "SELECT * EXCEPT (place) FROM (
                 SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {} DESC, epoch DESC) AS place
                 FROM history.{})
             WHERE place <= 1{shown}",
            self.key.join(", "),
            self.order,
            table.name()
        )
    }
}

/// The newest rows of one table by one choice.
#[derive(Debug)]
pub(crate) struct CurrentRows {
    /// What it means, for questions about rows that were known earlier.
    pub(crate) definition: LogicalPlan,
    reader: KeyReader,
    keys_max: usize,
    kept: Mutex<Kept>,
}

/// A table's files at one version, and the rows of each that are the newest.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) files: Arc<TableFiles>,
    /// By path, and behind how many chunks of other files. A file of which no row is the newest is not there.
    rows: Arc<HashMap<String, (usize, Rows)>>,
    /// Those of all files.
    chunks: Arc<Chunks>,
}

/// The newest rows of a file.
#[derive(Clone, Debug)]
struct Rows {
    count: usize,
    /// Which they are.
    shown: BooleanBuffer,
    /// The same, for who reads all of them.
    selection: Arc<OnceLock<RowSelection>>,
    chunks: Arc<Chunks>,
}

impl Current {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.rows.values().map(|(_, rows)| rows.count).sum()
    }

    /// Lets a scan of files read these rows of them alone, and of these only chunks that may have rows of interest. Files
    /// without any are left out. Says how many rows are left.
    pub(crate) fn narrow(&self, files: &mut Vec<PartitionedFile>, interest: Option<&PruningPredicate>) -> usize {
        // A filter that makes no sense here is an error later, where all rows are at hand; here it keeps every chunk.
        let kept = interest.and_then(|interest| interest.prune(&*self.chunks).ok());
        let mut left = 0;
        files.retain_mut(|file| {
            let count = self.narrow_file(file, kept.as_deref());
            left += count;
            count > 0
        });
        left
    }

    /// The same for one file, of which those chunks are read that are kept of all.
    fn narrow_file(&self, file: &mut PartitionedFile, kept: Option<&[bool]>) -> usize {
        let Some((before, rows)) = self.rows.get(file.object_meta.location.as_ref()) else { return 0 };
        let kept = kept.map(|kept| &kept[*before..][..rows.chunks.count()]);
        match kept.filter(|kept| kept.contains(&false)) {
            None => {
                if rows.count < rows.shown.len() {
                    let all = rows.selection.get_or_init(|| RowSelection::from(rows.shown.clone()));
                    file.extensions.insert(ParquetRowSelection::new(all.clone()));
                }
                rows.count
            }
            Some(kept) if !kept.contains(&true) => 0,
            Some(kept) => {
                let mut some = BooleanBufferBuilder::new(rows.shown.len());
                for (chunk, is_kept) in rows.chunks.rows().zip(kept) {
                    match is_kept {
                        true => some.append_buffer(&rows.shown.slice(chunk.start, chunk.len())),
                        false => some.append_n(chunk.len(), false),
                    }
                }
                let some = some.finish();
                let count = some.count_set_bits();
                file.extensions.insert(ParquetRowSelection::new(RowSelection::from(some)));
                count
            }
        }
    }
}

impl CurrentRows {
    /// Those of a table with these columns, as long as it has no more keys than this.
    ///
    /// # Errors
    /// When the choice does not fit the table, which is a defect of its view.
    pub(crate) async fn new(
        context: &SessionContext,
        table: Table,
        columns: &SchemaRef,
        choice: Choice,
        keys_max: usize,
    ) -> Result<CurrentRows> {
        let definition = context.sql(&choice.sql(table)).await?.logical_plan().clone();
        Ok(CurrentRows {
            definition,
            reader: KeyReader::new(context, columns, choice)?,
            keys_max,
            kept: Mutex::default(),
        })
    }

    /// What is current in the table now; `None` when there are too many keys to be kept.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn now(&self, table: &LakeTable, session: &dyn Session) -> Result<Option<Current>> {
        // Others who ask meanwhile would read the same.
        let mut kept = self.kept.lock().await;
        let files = table.files().await?;
        if let Some(newest) = kept.told.as_ref().filter(|newest| newest.files.version == files.version) {
            return Ok(Some(newest.clone()));
        }
        for is_anew in [false, true] {
            if is_anew {
                *kept = Kept::default();
            }
            for file in &files.files {
                if kept.is_full || kept.numbers.contains_key(&file.path) {
                    continue;
                }
                // Whoever asks may go away while a file is read, so what it has is taken at once when all is there.
                let (rows, chunks) = match self.read(table, session, file).await {
                    Ok(read) => read,
                    Err(error) => {
                        table.check_bytes(file).await?;
                        return Err(error);
                    }
                };
                kept.take(&file.path, (&rows, chunks), self.keys_max)?;
            }
            if kept.is_full {
                *kept = Kept { is_full: true, ..Kept::default() };
                return Ok(None);
            }
            if kept.forget_all_but(&files) {
                break;
            }
        }
        let newest = kept.tell(files)?;
        kept.told = Some(newest.clone());
        Ok(Some(newest))
    }

    /// What is to be known of each row of a file.
    async fn read(&self, table: &LakeTable, session: &dyn Session, file: &ActiveFile) -> Result<(Vec<KeyRow>, Chunks)> {
        let (mut rows, mut chunks) = (Vec::new(), ChunksBuilder::default());
        let mut batches = table.columns_of(session, file, &self.reader.columns)?;
        while let Some(batch) = batches.try_next().await? {
            self.reader.read(&batch, &mut rows)?;
            chunks.push(&batch)?;
        }
        Ok((rows, chunks.finish()?))
    }
}

/// What is kept of a table.
#[derive(Debug, Default)]
struct Kept {
    newest: HashMap<Key, Place, BuildHasherDefault<AsItIs>>,
    files: HashMap<u32, FileRows>,
    numbers: HashMap<String, u32>,
    next_number: u32,
    /// What was said last.
    told: Option<Current>,
    /// Whether there are too many keys.
    is_full: bool,
}

/// A hash of a key; in halves, for which a map needs no gap between key and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64, u64);

/// Where the newest row of a key is.
#[derive(Clone, Copy, Debug)]
struct Place {
    order: i64,
    epoch: i64,
    file: u32,
    row: u32,
}

/// What is kept of a file.
#[derive(Debug)]
struct FileRows {
    path: String,
    /// Which rows are the newest of their key, and shown.
    shown: BooleanBufferBuilder,
    shown_count: usize,
    /// How many are the newest of their key.
    newest_count: usize,
    chunks: Arc<Chunks>,
    /// What was said of it last, until it changes.
    told: OnceLock<Rows>,
}

/// What is to be known of a row.
struct KeyRow {
    key: Key,
    order: i64,
    epoch: i64,
    is_shown: bool,
}

impl FileRows {
    fn rows(&self) -> Option<Rows> {
        if self.shown_count == 0 {
            return None;
        }
        let told = self.told.get_or_init(|| Rows {
            count: self.shown_count,
            shown: self.shown.finish_cloned(),
            selection: Arc::default(),
            chunks: self.chunks.clone(),
        });
        Some(told.clone())
    }

    fn add(&mut self, row: usize, is_shown: bool) {
        self.newest_count += 1;
        self.shown_count += usize::from(is_shown);
        self.shown.set_bit(row, is_shown);
        self.told.take();
    }

    fn remove(&mut self, row: usize) {
        self.newest_count -= 1;
        self.shown_count -= usize::from(self.shown.get_bit(row));
        self.shown.set_bit(row, false);
        self.told.take();
    }
}

impl Kept {
    /// Takes the rows of a file.
    fn take(&mut self, path: &str, (rows, chunks): (&[KeyRow], Chunks), keys_max: usize) -> Result<()> {
        let count = u32::try_from(rows.len()).map_err(|_| QueryError::Internal(format!("{path} has too many rows")))?;
        let number = self.next_number;
        self.next_number += 1;
        let mut shown = BooleanBufferBuilder::new(rows.len());
        shown.append_n(rows.len(), false);
        let (path, chunks) = (path.to_owned(), Arc::new(chunks));
        self.numbers.insert(path.clone(), number);
        let file = FileRows { path, shown, shown_count: 0, newest_count: 0, chunks, told: OnceLock::new() };
        self.files.insert(number, file);
        for (row, place) in rows.iter().zip(0..count) {
            let found = Place { order: row.order, epoch: row.epoch, file: number, row: place };
            let before = self.newest.get(&row.key).copied();
            // The same row of a file that others were merged into stands for theirs.
            if before.is_some_and(|before| (before.order, before.epoch) > (found.order, found.epoch)) {
                continue;
            }
            if before.is_none() && self.newest.len() >= keys_max {
                self.is_full = true;
                return Ok(());
            }
            if let Some(before) = before
                && let Some(file) = self.files.get_mut(&before.file)
            {
                file.remove(before.row as usize);
            }
            self.newest.insert(row.key, found);
            self.files.get_mut(&number).into_iter().for_each(|file| file.add(place as usize, row.is_shown));
        }
        Ok(())
    }

    /// What is current in these files.
    fn tell(&self, files: Arc<TableFiles>) -> Result<Current> {
        let (mut rows, mut chunks, mut chunks_count) = (HashMap::new(), Vec::new(), 0);
        for file in self.files.values() {
            let Some(of_file) = file.rows() else { continue };
            chunks.push(of_file.chunks.clone());
            let before = chunks_count;
            chunks_count += of_file.chunks.count();
            rows.insert(file.path.clone(), (before, of_file));
        }
        Ok(Current { files, rows: Arc::new(rows), chunks: Arc::new(Chunks::of_all(&chunks)?) })
    }

    /// Forgets the files that are no longer; false when one of them had a row that is now missing.
    fn forget_all_but(&mut self, files: &TableFiles) -> bool {
        let active: HashSet<&str> = files.files.iter().map(|file| &*file.path).collect();
        let mut is_whole = true;
        self.files.retain(|_, file| {
            let is_active = active.contains(&*file.path);
            is_whole &= is_active || file.newest_count == 0;
            is_active
        });
        self.numbers.retain(|path, _| active.contains(&**path));
        is_whole
    }
}

/// Finds keys in rows.
#[derive(Debug)]
struct KeyReader {
    /// The places of the columns that are needed, of which the others speak.
    columns: Vec<usize>,
    key: Vec<Arc<dyn PhysicalExpr>>,
    order: Arc<dyn PhysicalExpr>,
    epoch: Arc<dyn PhysicalExpr>,
    shown: Option<Arc<dyn PhysicalExpr>>,
}

impl KeyReader {
    fn new(context: &SessionContext, columns: &SchemaRef, choice: Choice) -> Result<KeyReader> {
        let all = DFSchema::try_from(columns.clone())?;
        let parsed = |text: &&str| context.parse_sql_expr(text, &all);
        let key: Vec<Expr> = choice.key.iter().map(parsed).collect::<Result<_>>()?;
        let (order, epoch) = (parsed(&choice.order)?, parsed(&"epoch")?);
        let shown = choice.shown.as_ref().map(parsed).transpose()?;
        let planned = |expr: &Expr, schema: &DFSchema| context.create_physical_expr(expr.clone(), schema);
        let mut needed = Vec::new();
        for expr in key.iter().chain([&order, &epoch]).chain(&shown) {
            needed.extend(collect_columns(&planned(expr, &all)?).iter().map(|column| column.index()));
        }
        needed.sort_unstable();
        needed.dedup();
        let schema = DFSchema::try_from(columns.project(&needed)?)?;
        let key = key.iter().map(|expr| planned(expr, &schema)).collect::<Result<_>>()?;
        let shown = shown.map(|expr| planned(&expr, &schema)).transpose()?;
        Ok(KeyReader {
            columns: needed,
            key,
            order: planned(&order, &schema)?,
            epoch: planned(&epoch, &schema)?,
            shown,
        })
    }

    /// Appends what is to be known of the rows of a batch.
    fn read(&self, batch: &RecordBatch, rows: &mut Vec<KeyRow>) -> Result<()> {
        let values = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
        let key: Vec<ArrayRef> = self.key.iter().map(values).collect::<Result<_>>()?;
        let converter = RowConverter::new(key.iter().map(|array| SortField::new(array.data_type().clone())).collect())?;
        let keys = converter.convert_columns(&key)?;
        let numbers = |expr| cast(&values(expr)?, &DataType::Int64).map_err(DataFusionError::from);
        let (order, epoch) = (numbers(&self.order)?, numbers(&self.epoch)?);
        let (order, epoch) = (order.as_primitive::<Int64Type>(), epoch.as_primitive::<Int64Type>());
        let shown = self.shown.as_ref().map(values).transpose()?;
        let shown = shown.as_ref().map(|shown| shown.as_boolean());
        for (row, key) in keys.iter().enumerate() {
            let is_shown = shown.is_none_or(|shown| shown.is_valid(row) && shown.value(row));
            let (order, epoch) = (order.value(row), epoch.value(row));
            let hash = xxh3_128(key.as_ref());
            rows.push(KeyRow { key: Key(hash as u64, (hash >> 64) as u64), order, epoch, is_shown });
        }
        Ok(())
    }
}

/// Takes numbers that are hashes for what they are.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 ^= hash;
    }
}
