//! Small files made large ones, so that a table stays quick to read however often it is written to.
//!
//! ```text
//!   files of one day and lane group in the order of their epochs, by their rows:
//!       300000 | 9000 | 70 | 4 2 1 1 2 1 1 1
//!   the newest eight are a run: none is larger than twice all behind it; 70 is, and 300000 is large. They become one:
//!       300000 | 9000 | 70 | 13
//! ```
//! In: the active files of a table, by date and lane group. Out: one commit for each run of small files that is due, which
//! takes them away and adds one with the same rows, and says that no data changed. Rows keep the table's order: where it is
//! sorted, the files of a run are read side by side; elsewhere it is that of epochs, and they are read one after the other.
//! Either way a run is read and written batch by batch, however long its texts are.
//!
//! Appends go on meanwhile and are not looked at. When a file is gone by the time of the commit, another has merged it, or
//! a program has deleted rows: then this is given up, and what was written is litter for `vacuum`. Whoever reads the files
//! that were taken away goes on reading them, for `vacuum` leaves them where they are for a day.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures::future::try_join_all;
use object_store::path::Path as StorePath;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use plimsoll_schemas::table::Table;
use serde_json::{Value, json};

use crate::Lake;
use crate::append::{OTHER_BYTES, RACES_MAX, Span, merged_path};
use crate::compact::merge::{Merge, SIDE_BY_SIDE_ROWS, Stop};
use crate::encode::{EncodedFile, ROW_GROUP_ROWS, encode_file};
use crate::error::LakeError;
use crate::files::ActiveFile;
use crate::log::entry_text;
use crate::snapshot::compute;
use crate::table::{DATE, engine_info};

mod merge;

/// Rows that are merged into one file at most: four row groups, as many as the largest epoch.
const MERGED_ROWS_MAX: u64 = 4 * ROW_GROUP_ROWS as u64;
/// Bytes of files that are merged at most, for rows that are large.
const MERGED_BYTES_MAX: u64 = 64 << 20;
/// A file with half of that is large, and stays as it is.
const LARGE_SHARE: u64 = 2;

/// How many small files of a day that is still written to wait for company.
const FILES_OF_OPEN_DAY: usize = 8;
/// And of a day before, or of one to which something late comes.
const FILES_OF_PAST_DAY: usize = 2;
/// How many of the newest days are taken to be still written to.
const OPEN_DAYS: usize = 2;

/// A file joins those behind it when it is at most so many times as large as they are together. What is left alone grows at
/// least by this factor from file to file, so there are few; and a row is written anew few times.
const GROWTH: u64 = 2;

/// Rows that are read at once where nothing is sorted.
const BATCH_ROWS: usize = 8 * 1024;
/// The same of dead letters, whose payload may be a megabyte each.
const PAYLOAD_BATCH_ROWS: usize = 64;

/// How long after its file was written a merge is committed at most: whoever hung for longer may find that the file was
/// removed, as one that nobody names (see `vacuum::KEPT_MIN`).
const COMMIT_MAX: TimeDelta = TimeDelta::minutes(30);

impl Lake {
    /// Merges the small files of a table that are due. Returns how many files went into others.
    ///
    /// # Errors
    /// `Unavailable` when the storage does not let it; `Corrupt` when a file cannot be read. What was merged before stays.
    pub async fn compact(&self, table: Table) -> Result<usize, LakeError> {
        let files = self.files(table).await?;
        let mut merged = 0;
        for run in due(&files.files) {
            if self.merge(table, &run).await? {
                merged += run.len();
            }
        }
        Ok(merged)
    }

    /// Puts one file in the place of several; false when it cannot be, or others were faster.
    pub(crate) async fn merge(&self, table: Table, run: &[Arc<ActiveFile>]) -> Result<bool, LakeError> {
        let read = run.iter().map(async |file| self.root().get(&StorePath::from(file.path.as_str())).await);
        let Some(contents) = try_join_all(read).await?.into_iter().collect::<Option<Vec<Bytes>>>() else {
            // Taken away since, and removed; or lost, which is told to whoever needs it.
            return Ok(false);
        };
        let inputs: Vec<_> = run.iter().map(|file| file.path.clone()).zip(contents).collect();
        let date = run.first().and_then(|file| file.date);
        let Some(file) = compute(move || merged(table, date, &inputs)).await?? else { return Ok(false) };
        let rows: Option<u64> = run.iter().map(|file| file.rows).sum();
        if rows != Some(file.rows) {
            let name = table.name();
            return Err(LakeError::Internal(format!(
                "files of {name} with {rows:?} rows were merged to {}",
                file.rows
            )));
        }
        let Some((group, epochs)) = span_of(run) else { return Ok(false) };
        let path = merged_path(group, epochs, &file);
        let written_at = Utc::now();
        self.root().put(&StorePath::from(format!("{}/{path}", table.name())), file.bytes.clone()).await?;
        self.replace(table, run, (&path, written_at), &file).await
    }

    /// Commits that a file stands for others, if all of them are still there.
    pub(crate) async fn replace(
        &self,
        table: Table,
        run: &[Arc<ActiveFile>],
        (path, written_at): (&str, DateTime<Utc>),
        file: &EncodedFile,
    ) -> Result<bool, LakeError> {
        let mut log = self.log(table).await;
        log.refresh(self.root()).await?;
        for _ in 0..RACES_MAX {
            if log.has(path) {
                return Ok(true); // The answer to the put was lost.
            }
            let is_late = Utc::now() - written_at > COMMIT_MAX;
            if is_late || !run.iter().all(|file| log.has(path_in(table, file))) {
                return Ok(false);
            }
            log.check()?;
            if log.commit(self.root(), &entry(table, run, path, file)).await?.is_some() {
                return Ok(true);
            }
            self.lost_a_race();
        }
        Ok(false)
    }
}

/// Runs of files that are to be merged, each into one.
fn due(files: &[Arc<ActiveFile>]) -> Vec<Vec<Arc<ActiveFile>>> {
    let mut places: BTreeMap<(Option<NaiveDate>, &str), Vec<&Arc<ActiveFile>>> = BTreeMap::new();
    for file in files {
        // Files of other writers are theirs to merge.
        if let Some(span) = Span::of(&file.path) {
            places.entry((file.date, span.group)).or_default().push(file);
        }
    }
    let mut days: Vec<_> = files.iter().map(|file| file.date).collect();
    days.sort_unstable();
    days.dedup();
    let open = days.len().checked_sub(OPEN_DAYS).map_or(days.first(), |first| days.get(first)).copied().flatten();
    let of_place = |((date, _), files): ((Option<NaiveDate>, &str), Vec<&Arc<ActiveFile>>)| {
        runs(files, if date < open { FILES_OF_PAST_DAY } else { FILES_OF_OPEN_DAY })
    };
    places.into_iter().flat_map(of_place).collect()
}

fn is_small(file: &ActiveFile) -> bool {
    let rows = file.rows.is_some_and(|rows| rows < MERGED_ROWS_MAX / LARGE_SHARE);
    rows && file.size_bytes < MERGED_BYTES_MAX / LARGE_SHARE
}

/// Cuts files into runs, from the newest epochs back, and keeps those of at least so many files. A run is in the order of
/// epochs, and no other file's epochs lie between its own.
fn runs(mut files: Vec<&Arc<ActiveFile>>, least: usize) -> Vec<Vec<Arc<ActiveFile>>> {
    files.sort_by_key(|file| std::cmp::Reverse(Span::of(&file.path).map(|span| span.first)));
    let mut found = Vec::new();
    let (mut run, mut rows, mut bytes): (Vec<Arc<ActiveFile>>, u64, u64) = (Vec::new(), 0, 0);
    let mut close = |mut run: Vec<Arc<ActiveFile>>, least: usize| {
        run.reverse();
        found.extend(Some(run).filter(|run| run.len() >= least));
    };
    for file in files {
        let more = file.rows.unwrap_or(0);
        let is_full = rows + more > MERGED_ROWS_MAX || bytes + file.size_bytes > MERGED_BYTES_MAX;
        let is_apart = !is_small(file) || more > GROWTH * rows;
        if !run.is_empty() && (is_full || is_apart) {
            close(std::mem::take(&mut run), if is_full { FILES_OF_PAST_DAY } else { least });
            (rows, bytes) = (0, 0);
        }
        if is_small(file) {
            (rows, bytes) = (rows + more, bytes + file.size_bytes);
            run.push(file.clone());
        }
    }
    close(run, least);
    found
}

/// The rows of several files in the table's order; none when a file has columns or rows that are not the table's.
fn merged(table: Table, date: Option<NaiveDate>, inputs: &[(String, Bytes)]) -> Result<Option<EncodedFile>, LakeError> {
    let files = inputs.iter().map(|(path, bytes)| Input::open(table, path, bytes));
    let Some(files) = files.collect::<Result<Option<Vec<Input>>, _>>()? else { return Ok(None) };
    if table.sorted_by().is_empty() {
        let mut broken = None;
        let rows = files.iter().map(|file| file.rows).sum();
        let batches = files.into_iter().flat_map(|file| file.reader.map(move |batch| (file.path, batch)));
        let batches = batches.map_while(|(path, batch)| match batch {
            Ok(batch) => Some(Ok(batch)),
            Err(error) => {
                broken = Some(unreadable(path, &error));
                None
            }
        });
        let file = encode_file(table, date, rows, batches)?;
        return broken.map_or(Ok(Some(file)), Err);
    }
    side_by_side(table, date, files)
}

/// The rows of files, of a day where the table has days, in the table's order; none when they are not such as we write.
fn side_by_side(
    table: Table,
    date: Option<NaiveDate>,
    files: Vec<Input<'_>>,
) -> Result<Option<EncodedFile>, LakeError> {
    let rows = files.iter().map(|file| file.rows).sum();
    let readers = files.into_iter().map(|file| (file.path.to_owned(), file.reader));
    let mut merge = Merge::new(table, date, readers);
    let mut stopped = None;
    let batches = std::iter::from_fn(|| match merge.next_rows() {
        Ok(rows) => rows.map(Ok),
        Err(stop) => {
            stopped = Some(stop);
            None
        }
    });
    let file = encode_file(table, date, rows, batches)?;
    match stopped {
        None => Ok(Some(file)),
        // A file whose rows are in another order, or of other days than it says, is not ours to put right.
        Some(Stop::NotOurs) => Ok(None),
        Some(Stop::Unreadable(path, error)) => Err(unreadable(&path, &error)),
        Some(Stop::Failed(error)) => {
            Err(LakeError::Internal(format!("rows of {} cannot be put together: {error}", table.name())))
        }
    }
}

/// A file that is to be merged.
struct Input<'path> {
    path: &'path str,
    rows: usize,
    reader: ParquetRecordBatchReader,
}

impl Input<'_> {
    /// Opens a file in the table's own types; none when its columns are others.
    fn open<'path>(table: Table, path: &'path str, bytes: &Bytes) -> Result<Option<Input<'path>>, LakeError> {
        // What was damaged must not come into a file that is whole.
        if Span::of(path).is_none_or(|span| !span.is_of(bytes)) {
            return Err(unreadable(path, &format!("it {OTHER_BYTES}")));
        }
        let schema = table.schema();
        let found =
            ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|error| unreadable(path, &error))?;
        let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        if names(found.schema()) != names(&schema) {
            return Ok(None);
        }
        let options = ArrowReaderOptions::new().with_schema(schema);
        let Ok(typed) = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options) else {
            return Ok(None);
        };
        let rows = usize::try_from(typed.metadata().file_metadata().num_rows()).unwrap_or(0);
        let at_once = match table {
            Table::DeadLetters => PAYLOAD_BATCH_ROWS,
            _ if table.sorted_by().is_empty() => BATCH_ROWS,
            _ => SIDE_BY_SIDE_ROWS,
        };
        let reader = typed.with_batch_size(at_once).build().map_err(|error| unreadable(path, &error))?;
        Ok(Some(Input { path, rows, reader }))
    }
}

fn unreadable(path: &str, error: &dyn std::fmt::Display) -> LakeError {
    LakeError::Corrupt(format!("{path} cannot be read: {error}; restore it from a backup"))
}

/// The lane group of a run of files, and the first and the last epoch.
fn span_of(run: &[Arc<ActiveFile>]) -> Option<(&str, (i64, i64))> {
    let spans = run.iter().filter_map(|file| Span::of(&file.path));
    let spans = spans.map(|span| (span.group, (span.first, span.last)));
    spans.reduce(|(group, (first, last)), (_, (one, other))| (group, (first.min(one), last.max(other))))
}

/// A file's path within its table.
fn path_in(table: Table, file: &ActiveFile) -> &str {
    file.path.strip_prefix(table.name()).and_then(|path| path.strip_prefix('/')).unwrap_or(&file.path)
}

fn partition_values(date: Option<NaiveDate>) -> Value {
    Value::Object(date.map(|date| (DATE.to_owned(), json!(date.to_string()))).into_iter().collect())
}

fn entry(table: Table, run: &[Arc<ActiveFile>], path: &str, file: &EncodedFile) -> String {
    let now_ms = Utc::now().timestamp_millis();
    let commit_info = json!({
        "timestamp": now_ms,
        "operation": "OPTIMIZE",
        "operationParameters": {"targetSize": MERGED_BYTES_MAX.to_string()},
        "operationMetrics": {"numRemovedFiles": run.len().to_string(), "numAddedFiles": "1"},
        "isBlindAppend": false,
        "engineInfo": engine_info(),
    });
    let removes = run.iter().map(|old| {
        json!({"remove": {
            "path": path_in(table, old),
            "deletionTimestamp": now_ms,
            "dataChange": false,
            "extendedFileMetadata": true,
            "partitionValues": partition_values(old.date),
            "size": old.size_bytes,
        }})
    });
    let add = json!({"add": {
        "path": path,
        "partitionValues": partition_values(file.date),
        "size": file.bytes.len(),
        "modificationTime": now_ms,
        "dataChange": false,
        "stats": file.statistics,
    }});
    entry_text(commit_info, removes.chain([add]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: u64, date: Option<&str>, epoch: i64) -> Arc<ActiveFile> {
        let folder = date.map(|date| format!("date={date}/")).unwrap_or_default();
        Arc::new(ActiveFile {
            path: format!("events/{folder}lanes-{epoch:012}-0000-00000000deadbeef.parquet"),
            size_bytes: rows * 40,
            rows: Some(rows),
            date: date.map(|date| date.parse().expect("a date")),
            modified_ms: 0,
            stats: None,
        })
    }

    /// The rows of the files of each run.
    fn due_rows(files: &[Arc<ActiveFile>]) -> Vec<Vec<u64>> {
        let rows = |run: Vec<Arc<ActiveFile>>| run.iter().filter_map(|file| file.rows).collect();
        due(files).into_iter().map(rows).collect()
    }

    #[test]
    fn small_files_wait_for_company_and_large_ones_are_left_alone() {
        let files =
            |rows: &[u64]| rows.iter().zip(1..).map(|(rows, epoch)| file(*rows, None, epoch)).collect::<Vec<_>>();
        assert_eq!(due_rows(&files(&[1; 7])), [[0; 0]; 0], "seven wait");
        assert_eq!(due_rows(&files(&[1; 8])), [[1; 8]], "eight do not");
        // From the newest back: 1 1 1 2 1 1 2 4 are 13, and each was at most twice what is behind it; 70 is more than twice.
        assert_eq!(due_rows(&files(&[300_000, 9_000, 70, 4, 2, 1, 1, 2, 1, 1, 1])), [[4, 2, 1, 1, 2, 1, 1, 1]]);
        assert_eq!(due_rows(&files(&[300_000, 9_000, 26, 4, 2, 1, 1, 2, 1, 1, 1])), [[26, 4, 2, 1, 1, 2, 1, 1, 1]]);
        // A large one stands between, so there are four and four.
        assert_eq!(due_rows(&files(&[1, 1, 1, 1, 300_000, 1, 1, 1, 1])), [[0; 0]; 0]);
        // More than fits into one file, 524,288 rows: 200,000 + 200,000, and the third would be one too many.
        assert_eq!(due_rows(&files(&[200_000; 3])), [[200_000; 2]]);
    }

    #[test]
    fn days_that_are_over_are_put_in_order_at_once() {
        let files = [
            file(5, Some("2026-01-01"), 1),
            file(5, Some("2026-01-01"), 2),
            file(9, Some("2026-01-02"), 3),
            file(9, Some("2026-01-03"), 4),
            file(8, Some("2026-01-02"), 5),
        ];
        assert_eq!(due_rows(&files), [[5, 5]]);
    }

    #[test]
    fn files_of_other_origin_and_of_other_groups_are_not_merged_with_ours() {
        let mut files: Vec<_> = (1..=8).map(|epoch| file(1, None, epoch)).collect();
        let foreign = ActiveFile { path: "events/part-00001-c0ffee.parquet".to_owned(), ..(*files[0]).clone() };
        files[0] = Arc::new(foreign);
        assert!(due(&files).is_empty());
    }

    proptest::proptest! {
        /// However many files there are, few small ones stay between two large ones: 7 in a run that waits, and each run is
        /// followed by a file that is larger than twice the whole run, so 19 of them reach from one row to what is large
        /// (2^18 rows).
        #[test]
        fn few_small_files_stay(rows in proptest::collection::vec((0_u32..19, 0_u64..300_000), 0..400)) {
            let rows = rows.into_iter().map(|(bits, rows)| 1 + (rows >> bits));
            let mut files: Vec<_> = rows.zip(1..).map(|(rows, epoch)| file(rows, None, epoch)).collect();
            let whole: u64 = files.iter().filter_map(|file| file.rows).sum();
            loop {
                let runs = due(&files);
                if runs.is_empty() {
                    break;
                }
                for run in runs {
                    let sum: u64 = run.iter().filter_map(|file| file.rows).sum();
                    proptest::prop_assert!(run.len() > 1 && sum <= MERGED_ROWS_MAX);
                    let place = files.iter().position(|file| file.path == run[0].path).expect("it is there");
                    let gone: Vec<_> = files.drain(place..place + run.len()).collect();
                    proptest::prop_assert_eq!(&gone, &run, "side by side, in the order of epochs");
                    files.insert(place, file(sum, None, Span::of(&run[0].path).expect("a span").first));
                }
            }
            proptest::prop_assert_eq!(files.iter().filter_map(|file| file.rows).sum::<u64>(), whole);
            let longest = files.split(|file| !is_small(file)).map(<[_]>::len).max().unwrap_or(0);
            proptest::prop_assert!(longest <= 7 * 19, "{} small files", longest);
        }
    }
}
