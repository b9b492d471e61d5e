//! Files of one day, each in the table's order, read side by side and written as one: in the same order, with little of
//! each in memory.
//!
//! In: files whose rows are sorted by (service, time). Out: batches of all their rows in that order. Rows of equal service
//! and time come in the order of the files, and within a file as they stand. That is how all of them would be sorted at
//! once, without the memory for it.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, SchemaRef};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::order::{DAY_US, Place, Rows, SERVICE};

/// Rows of each file that are in memory at the same time, and rows of a batch: with texts of 4 KiB in each column, 50 MiB.
pub(super) const SIDE_BY_SIDE_ROWS: usize = 1024;

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
    schema: SchemaRef,
    time_column: &'static str,
    /// The microseconds of the day.
    day: std::ops::Range<i64>,
    files: Vec<Reading>,
}

/// One of them, and the batch that is in memory.
struct Reading {
    path: String,
    reader: ParquetRecordBatchReader,
    batch: Option<Batch>,
    /// The last row of the batch before it.
    last: Option<(Option<String>, i64)>,
}

struct Batch {
    rows: RecordBatch,
    row: usize,
    services: StringArray,
    /// Each row's place in `services`; none for a row without one.
    keys: Vec<Option<usize>>,
    times: TimestampMicrosecondArray,
}

impl Batch {
    fn new(rows: RecordBatch, time_column: &str) -> Option<Batch> {
        let service = rows.column_by_name(SERVICE)?.as_any_dictionary_opt()?;
        let services = service.values().as_string_opt::<i32>()?.clone();
        let of_rows = if services.is_empty() { vec![0; service.len()] } else { service.normalized_keys() };
        let keys = of_rows.into_iter().enumerate();
        let keys = keys.map(|(row, key)| service.keys().is_valid(row).then_some(key)).collect();
        let times = rows.column_by_name(time_column)?.as_primitive_opt::<TimestampMicrosecondType>()?.clone();
        Some(Batch { rows, row: 0, services, keys, times })
    }

    /// What row comes before which; rows without a service come first.
    fn key(&self, row: usize) -> (Option<&str>, i64) {
        (self.keys[row].map(|key| self.services.value(key)), self.times.value(row))
    }

    /// Whether its rows are in order and of one day.
    fn is_ours(&self, day: &std::ops::Range<i64>) -> bool {
        (0..self.keys.len()).all(|row| {
            let is_after = row == 0 || self.key(row - 1) <= self.key(row);
            is_after && self.times.is_valid(row) && day.contains(&self.times.value(row))
        })
    }
}

impl Merge {
    /// Merges files of a day in the order in which they are given.
    pub(super) fn new(
        schema: SchemaRef,
        time_column: &'static str,
        date: NaiveDate,
        readers: impl Iterator<Item = (String, ParquetRecordBatchReader)>,
    ) -> Merge {
        let first = i64::from(date.to_epoch_days()) * DAY_US;
        let files = readers.map(|(path, reader)| Reading { path, reader, batch: None, last: None }).collect();
        Merge { schema, time_column, day: first..first + DAY_US, files }
    }

    /// The next rows; none when all have come.
    pub(super) fn next_rows(&mut self) -> Result<Option<RecordBatch>, Stop> {
        for file in &mut self.files {
            file.fill(self.time_column, &self.day)?;
        }
        let mut batches: Vec<&mut Batch> = self.files.iter_mut().filter_map(|file| file.batch.as_mut()).collect();
        if batches.is_empty() {
            return Ok(None);
        }
        // As far as the batches in memory say which row is next: until one of them ends.
        let mut places: Vec<Place> = Vec::new();
        while places.len() < SIDE_BY_SIDE_ROWS && batches.iter().all(|batch| batch.row < batch.keys.len()) {
            let next = batches.iter().enumerate().min_by_key(|(_, batch)| batch.key(batch.row));
            let Some(next) = next.map(|(next, _)| next) else { break };
            places.push((next, batches[next].row));
            batches[next].row += 1;
        }
        let rows: Vec<RecordBatch> = batches.iter().map(|batch| batch.rows.clone()).collect();
        let taken = Rows::new(&self.schema, self.time_column, &rows).and_then(|rows| rows.take(&places));
        taken.map(Some).map_err(Stop::Failed)
    }
}

impl Reading {
    /// Reads the next batch where the one in memory has ended.
    fn fill(&mut self, time_column: &str, day: &std::ops::Range<i64>) -> Result<(), Stop> {
        while self.batch.as_ref().is_none_or(|batch| batch.row == batch.keys.len()) {
            if let Some(batch) = self.batch.take().filter(|batch| batch.row > 0) {
                let (service, time) = batch.key(batch.row - 1);
                self.last = Some((service.map(str::to_owned), time));
            }
            let Some(rows) = self.reader.next() else { return Ok(()) };
            let rows = rows.map_err(|error| Stop::Unreadable(self.path.clone(), error))?;
            let batch = Batch::new(rows, time_column).filter(|batch| batch.is_ours(day)).ok_or(Stop::NotOurs)?;
            let last = self.last.as_ref().map(|(service, time)| (service.as_deref(), *time));
            if !batch.keys.is_empty() && last.is_some_and(|last| last > batch.key(0)) {
                return Err(Stop::NotOurs);
            }
            self.batch = Some(batch);
        }
        Ok(())
    }
}
