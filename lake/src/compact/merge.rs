//! Files that are each in the table's order, read side by side and written as one: in the same order, with little of each
//! in memory.
//!
//! In: files whose rows are sorted as `order` says, of one day where the table has days. Out: batches of all their rows in
//! that order. Rows that are alike in it come in the order of the files, and within a file as they stand. That is how all
//! of them would be sorted at once, without the memory for it.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::ArrowError;
use arrow_select::dictionary::garbage_collect_any_dictionary;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use plimsoll_schemas::table::Table;

use crate::order::{DAY_US, Place, Rows};

/// Rows of each file that are in memory at the same time, and rows of a batch: with texts of 4 KiB in each column, 50 MiB.
pub(super) const SIDE_BY_SIDE_ROWS: usize = 1024;

/// Texts by which a table is sorted, at most.
const TEXTS_MAX: usize = 2;

/// Why files are not merged after all.
#[derive(Debug)]
pub(super) enum Stop {
    /// The one at this path cannot be read.
    Unreadable(String, ArrowError),
    /// Their rows cannot be put together.
    Failed(ArrowError),
    /// Rows are in another order, or of another day, than files of ours have.
    NotOurs,
}

/// Several files that are being merged.
pub(super) struct Merge {
    table: Table,
    /// The microseconds of the day.
    day: Option<std::ops::Range<i64>>,
    files: Vec<Reading>,
}

/// One of them, and the batch that is in memory.
struct Reading {
    path: String,
    reader: ParquetRecordBatchReader,
    batch: Option<Batch>,
    /// The last row of the batch before it.
    last: Option<([Option<String>; TEXTS_MAX], i64)>,
}

struct Batch {
    rows: RecordBatch,
    /// The next row.
    row: usize,
    /// Of each column by which rows are sorted.
    texts: Vec<Texts>,
    times: Option<TimestampMicrosecondArray>,
}

/// What comes before what: the texts of a row, where it has any, and its time.
type Key<'text> = ([Option<&'text str>; TEXTS_MAX], i64);

struct Texts {
    texts: StringArray,
    /// Each row's place in `texts`; none for a row without one.
    keys: Vec<Option<usize>>,
}

/// The texts of a column.
fn texts_of(column: &ArrayRef) -> Option<Texts> {
    let (texts, places) = match column.as_any_dictionary_opt() {
        // Keys of nulls lead nowhere.
        Some(dictionary) if dictionary.values().is_empty() => (dictionary.values().clone(), vec![0; column.len()]),
        Some(dictionary) => (dictionary.values().clone(), dictionary.normalized_keys()),
        None => (column.clone(), (0..column.len()).collect()),
    };
    let keys = places.into_iter().enumerate().map(|(row, place)| column.is_valid(row).then_some(place));
    Some(Texts { texts: texts.as_string_opt::<i32>()?.clone(), keys: keys.collect() })
}

fn times_of(column: &ArrayRef) -> Option<TimestampMicrosecondArray> {
    column.as_primitive_opt::<TimestampMicrosecondType>().cloned()
}

impl Batch {
    /// The rows as they are compared; none when their columns are of other types than ours.
    fn new(rows: RecordBatch, table: Table) -> Result<Option<Batch>, ArrowError> {
        // A dictionary is of a whole row group, and is looked through whenever rows are taken.
        let column = |column: &ArrayRef| match column.as_any_dictionary_opt() {
            Some(dictionary) => garbage_collect_any_dictionary(dictionary),
            None => Ok(column.clone()),
        };
        let columns = rows.columns().iter().map(column).collect::<Result<_, _>>()?;
        let rows = RecordBatch::try_new(rows.schema(), columns)?;
        let texts = table.sorted_by().iter().map(|text| rows.column_by_name(text).and_then(texts_of));
        let times = table.partition_time().map(|time| rows.column_by_name(time).and_then(times_of));
        Ok(match (texts.collect(), times) {
            (None, _) | (_, Some(None)) => None,
            (Some(texts), times) => Some(Batch { rows, row: 0, texts, times: times.flatten() }),
        })
    }

    /// Whether all its rows were taken.
    fn is_over(&self) -> bool {
        self.row == self.rows.num_rows()
    }

    /// What row comes before which; rows without a text come first.
    fn key(&self, row: usize) -> Key<'_> {
        let mut key = [None; TEXTS_MAX];
        for (text, Texts { texts, keys }) in key.iter_mut().zip(&self.texts) {
            *text = keys[row].map(|key| texts.value(key));
        }
        (key, self.times.as_ref().map_or(0, |times| times.value(row)))
    }

    /// Whether its rows are in order and of the day.
    fn is_ours(&self, day: Option<&std::ops::Range<i64>>) -> bool {
        let is_of_day = |row| match (&self.times, day) {
            (Some(times), Some(day)) => times.is_valid(row) && day.contains(&times.value(row)),
            _ => true,
        };
        (0..self.rows.num_rows()).all(|row| (row == 0 || self.key(row - 1) <= self.key(row)) && is_of_day(row))
    }
}

impl Merge {
    /// Merges files of a table that is sorted, and of a day where it has days, in the order in which they are given.
    pub(super) fn new(
        table: Table,
        date: Option<NaiveDate>,
        readers: impl Iterator<Item = (String, ParquetRecordBatchReader)>,
    ) -> Merge {
        let first = date.map(|date| i64::from(date.to_epoch_days()) * DAY_US);
        let files = readers.map(|(path, reader)| Reading { path, reader, batch: None, last: None }).collect();
        Merge { table, day: first.map(|first| first..first + DAY_US), files }
    }

    /// The next rows; none when all have come.
    pub(super) fn next_rows(&mut self) -> Result<Option<RecordBatch>, Stop> {
        for file in &mut self.files {
            file.fill(self.table, self.day.as_ref())?;
        }
        let mut batches: Vec<&mut Batch> = self.files.iter_mut().filter_map(|file| file.batch.as_mut()).collect();
        if batches.is_empty() {
            return Ok(None);
        }
        // As far as the batches in memory say which row is next: until one of them ends.
        let mut places: Vec<Place> = Vec::new();
        while places.len() < SIDE_BY_SIDE_ROWS && batches.iter().all(|batch| !batch.is_over()) {
            let next = batches.iter().enumerate().min_by_key(|(_, batch)| batch.key(batch.row));
            let Some(next) = next.map(|(next, _)| next) else { break };
            places.push((next, batches[next].row));
            batches[next].row += 1;
        }
        let rows: Vec<RecordBatch> = batches.iter().map(|batch| batch.rows.clone()).collect();
        let taken = Rows::new(self.table, &rows).and_then(|rows| rows.take(&places));
        taken.map(Some).map_err(Stop::Failed)
    }
}

impl Reading {
    /// Reads the next batch where the one in memory has ended.
    fn fill(&mut self, table: Table, day: Option<&std::ops::Range<i64>>) -> Result<(), Stop> {
        while self.batch.as_ref().is_none_or(Batch::is_over) {
            if let Some(batch) = self.batch.take().filter(|batch| batch.row > 0) {
                let (texts, time) = batch.key(batch.row - 1);
                self.last = Some((texts.map(|text| text.map(str::to_owned)), time));
            }
            let Some(rows) = self.reader.next() else { return Ok(()) };
            let rows = rows.map_err(|error| Stop::Unreadable(self.path.clone(), error))?;
            let batch = Batch::new(rows, table).map_err(Stop::Failed)?;
            let batch = batch.filter(|batch| batch.is_ours(day)).ok_or(Stop::NotOurs)?;
            let last = self.last.as_ref().map(|(texts, time)| (texts.each_ref().map(Option::as_deref), *time));
            if !batch.is_over() && last.is_some_and(|last| last > batch.key(0)) {
                return Err(Stop::NotOurs);
            }
            self.batch = Some(batch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_of_a_table_are_compared() {
        assert!(Table::ALL.iter().all(|table| table.sorted_by().len() <= TEXTS_MAX));
    }
}
