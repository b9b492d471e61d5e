//! Between which values the columns of a file's rows lie, chunk by chunk: what a scan need not look at for a filter.
//!
//! Parquet says the same of pages, but only to who opens the file; a question about one of many would open all of them
//! and walk through every row that is current, to read a handful.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::concat;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;

/// Rows of a chunk at most: about as many as of a page of a table that is sorted.
const CHUNK_ROWS: usize = 1024;

/// The chunks of a file, or of several.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// Behind the last row of each.
    ends: Vec<usize>,
    bounds: Vec<Bounds>,
}

/// Of one column, the least and the greatest value of each chunk; null where it has none.
#[derive(Debug)]
struct Bounds {
    column: String,
    least: ArrayRef,
    greatest: ArrayRef,
}

/// Gathers them from batches.
#[derive(Default)]
pub(crate) struct ChunksBuilder {
    ends: Vec<usize>,
    columns: Vec<(String, Vec<ScalarValue>, Vec<ScalarValue>)>,
}

impl ChunksBuilder {
    /// Takes the next rows of the file.
    ///
    /// # Errors
    /// When values of a column have no order.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let starts = (0..batch.num_rows()).step_by(CHUNK_ROWS);
        starts
            .map(|start| batch.slice(start, CHUNK_ROWS.min(batch.num_rows() - start)))
            .try_for_each(|rows| self.chunk(&rows))
    }

    fn chunk(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        if self.columns.is_empty() {
            self.columns = schema.fields().iter().map(|field| (field.name().clone(), vec![], vec![])).collect();
        }
        for ((_, least, greatest), values) in self.columns.iter_mut().zip(batch.columns()) {
            let of = std::slice::from_ref(values);
            let (mut min, mut max) =
                (MinAccumulator::try_new(values.data_type())?, MaxAccumulator::try_new(values.data_type())?);
            min.update_batch(of)?;
            max.update_batch(of)?;
            least.push(min.evaluate()?);
            greatest.push(max.evaluate()?);
        }
        self.ends.push(self.ends.last().unwrap_or(&0) + batch.num_rows());
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// None that is known of: values of a column are of one type.
    pub(crate) fn finish(self) -> Result<Chunks> {
        let columns = self.columns.into_iter().filter(|(_, least, _)| !least.is_empty());
        let bounds = columns.map(|(column, least, greatest)| {
            Ok(Bounds {
                column,
                least: ScalarValue::iter_to_array(least)?,
                greatest: ScalarValue::iter_to_array(greatest)?,
            })
        });
        Ok(Chunks { bounds: bounds.collect::<Result<_>>()?, ends: self.ends })
    }
}

impl Chunks {
    /// Those of several files with the same columns, one file after the other.
    ///
    /// # Errors
    /// When the columns are not the same.
    pub(crate) fn of_all(files: &[Arc<Chunks>]) -> Result<Chunks> {
        let mut all = Chunks::default();
        for file in files {
            let rows = *all.ends.last().unwrap_or(&0);
            all.ends.extend(file.ends.iter().map(|end| rows + end));
        }
        let with_rows: Vec<&Chunks> = files.iter().map(AsRef::as_ref).filter(|file| !file.bounds.is_empty()).collect();
        let columns = with_rows.first().map_or(0, |file| file.bounds.len());
        for column in 0..columns {
            let least: Vec<&dyn Array> = with_rows.iter().map(|file| &*file.bounds[column].least).collect();
            let greatest: Vec<&dyn Array> = with_rows.iter().map(|file| &*file.bounds[column].greatest).collect();
            all.bounds.push(Bounds {
                column: with_rows[0].bounds[column].column.clone(),
                least: concat(&least)?,
                greatest: concat(&greatest)?,
            });
        }
        Ok(all)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The rows of each.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| start..*end)
    }

    fn bounds(&self, column: &Column) -> Option<&Bounds> {
        self.bounds.iter().find(|bounds| bounds.column == column.name)
    }
}

impl PruningStatistics for Chunks {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.bounds(column)?.least.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.bounds(column)?.greatest.clone())
    }

    fn num_containers(&self) -> usize {
        self.count()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
