//! Tables that stay small: what merging and removing keep, and what they must not touch.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, TimeDelta, Utc};
use deltalake_core::DeltaTable;
use deltalake_core::logstore::{StorageConfig, logstore_with};
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::PageIndexPolicy;
use serde_json::json;

use super::faulty::{Fault, Faulty};
use super::*;
use crate::log::entry_text;

/// The Monday whose week is simulated.
const MONDAY: i64 = 1_769_990_400_000_000; // 2026-02-02T00:00:00Z
const MINUTE: i64 = 60_000_000;
/// An epoch each ten minutes.
const EPOCHS_OF_DAY: i64 = 144;

async fn in_memory() -> (Arc<InMemory>, Lake) {
    let objects = Arc::new(InMemory::new());
    (objects.clone(), again(objects).await)
}

/// The same lake as another process opens it.
async fn again(objects: Arc<dyn ObjectStore>) -> Lake {
    Lake::open_in(objects, Url::parse("memory:///").expect("a URL")).await.expect("a lake")
}

/// A row of `events`: service, time, id.
type Event = (String, i64, String);

/// The rows of a file of events, in its order.
async fn events_of(lake: &Lake, file: &ActiveFile) -> Vec<Event> {
    let bytes = lake.root().get(&file.path.as_str().into()).await.expect("a store").expect("the file is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("a reader");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("a batch");
        let text = |name: &str| batch.column_by_name(name).expect(name).as_string::<i32>().clone();
        let (services, ids) = (text("service"), text("id"));
        let times = batch.column_by_name("time").expect("time").as_primitive::<TimestampMicrosecondType>().clone();
        let row = |at: usize| (services.value(at).to_owned(), times.value(at), ids.value(at).to_owned());
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}

async fn all_events(lake: &Lake, files: &TableFiles) -> Vec<Event> {
    let mut rows = Vec::new();
    for file in &files.files {
        rows.extend(events_of(lake, file).await);
    }
    rows.sort();
    rows
}

/// What happens in an epoch of the week: three probes in no order, and now and then one that is days late.
fn events_at(epoch: i64) -> Vec<Event> {
    let now = MONDAY + epoch * 10 * MINUTE;
    let mut rows: Vec<Event> = ["web", "api", "db"]
        .into_iter()
        .map(|service| (service.to_owned(), now, format!("{service}-{epoch}")))
        .collect();
    if epoch % 50 == 0 {
        rows.push(("web".to_owned(), (now - 3 * 24 * 60 * MINUTE).max(MONDAY), format!("late-{epoch}")));
    }
    rows
}

async fn commit_epoch(lake: &Lake, group: &str, epoch: i64) -> Vec<Event> {
    let rows = events_at(epoch);
    lake.record_intent(group, epoch, &[intent(epoch)]).await.expect("an intent");
    let columns: Vec<(&str, i64, &str)> = rows.iter().map(|row| (&*row.0, row.1, &*row.2)).collect();
    let encoded = Lake::encode(Table::Events, &[events(&columns, epoch)]).expect("columns");
    lake.commit_epoch(group, epoch, vec![(Table::Events, encoded)]).await.expect("a commit");
    rows
}

fn soon() -> DateTime<Utc> {
    Utc::now() + TimeDelta::minutes(1)
}

async fn count(objects: &InMemory, folder: &str) -> usize {
    use futures::TryStreamExt;
    objects.list(Some(&folder.into())).try_collect::<Vec<_>>().await.expect("a list").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_of_small_epochs_ends_with_few_files_and_the_same_rows() {
    let (objects, lake) = in_memory().await;
    let mut expected = Vec::new();
    let mut before = None;
    for epoch in 1..=7 * EPOCHS_OF_DAY {
        expected.extend(commit_epoch(&lake, GROUP, epoch).await);
        if epoch == 150 {
            before = Some((lake.files(Table::Events).await.expect("files"), expected.clone()));
        }
        if epoch % 60 == 0 {
            lake.maintain().await.expect("upkeep");
        }
        if epoch == 180 {
            // A question that began before its files were merged reads them to the end: a day is not over.
            lake.vacuum(KEPT_MAX).await.expect("nothing is old");
            let (files, mut rows) = before.take().expect("a question");
            rows.sort();
            assert_eq!(all_events(&lake, &files).await, rows);
            assert_ne!(
                lake.files(Table::Events).await.expect("files").files.len(),
                files.files.len(),
                "they were merged"
            );
        }
        if epoch % 250 == 0 {
            lake.vacuum_before(soon(), soon()).await.expect("as if a day had passed");
        }
    }
    lake.maintain().await.expect("upkeep");
    lake.vacuum_before(soon(), soon()).await.expect("as if a day had passed");
    expected.sort();

    // Of 1,008 commits. A day has 432 rows and some that are late, an epoch at least one, and files grow twofold: at most 9
    // on each of the six days that are over (2^8 < 432 < 2^9), and 7 of each size on the two newest.
    let files = lake.files(Table::Events).await.expect("files");
    assert!(files.files.len() <= 6 * 9 + 2 * 7 * 9, "{} files", files.files.len());
    assert!(count(&objects, "events").await < files.files.len() + 250, "data, and entries since the last checkpoint");
    assert!(count(&objects, "epochs").await < 8 * 3 + 250);
    assert_eq!(all_events(&lake, &files).await, expected);
    for file in &files.files {
        let rows = events_of(&lake, file).await;
        assert!(rows.is_sorted_by_key(|(service, time, _)| (service.clone(), *time)), "{}", file.path);
        let day = Some((rows[0].1, file.date)).map(|(time, _)| DateTime::from_timestamp_micros(time).expect("a time"));
        assert_eq!(day.map(|day| day.date_naive()), file.date);
        assert_eq!(file.rows, Some(rows.len() as u64));
    }
    let intents: Vec<_> = (1..=7 * EPOCHS_OF_DAY).map(intent).collect();
    assert_eq!(lake.epochs_after(GROUP, 0).await.expect("intents"), intents);
    assert_eq!(lake.epochs_after(GROUP, 900).await.expect("intents"), intents[900..]);
    assert_eq!(lake.groups().await.expect("groups").into_iter().collect::<Vec<_>>(), [GROUP]);

    // Another process sees the same, and goes on; delta-rs sees as many rows.
    let other = again(objects).await;
    assert_eq!(other.files(Table::Events).await.expect("files"), files);
    assert_eq!(other.last_epoch(Table::Events, GROUP).await.expect("an epoch"), Some(7 * EPOCHS_OF_DAY));
    let fenced = other.record_intent(GROUP, 7, &[intent(7)]).await;
    assert!(matches!(fenced, Err(LakeError::Fenced { found: 1008, .. })), "{fenced:?}");
    commit_epoch(&other, GROUP, 7 * EPOCHS_OF_DAY + 1).await;
    let url = Url::parse("memory:///events/").expect("a URL");
    let log = logstore_with(lake.store(), &url, StorageConfig::default()).expect("a log");
    let mut opened = DeltaTable::new(log);
    opened.load().await.expect("delta-rs reads it");
    let files = opened.snapshot().expect("state").log_data();
    let rows = files.iter().map(|file| file.num_records().expect("statistics"));
    assert_eq!(rows.sum::<usize>(), expected.len() + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_merge_and_two_append_at_once_and_nothing_is_lost_or_there_twice() {
    let (objects, lake) = in_memory().await;
    let other = again(objects.clone()).await;
    let appending = AtomicUsize::new(2);
    let append = async |lake: &Lake, group: &str| {
        let mut rows = Vec::new();
        for epoch in 1..=60 {
            rows.extend(commit_epoch(lake, group, epoch).await);
        }
        appending.fetch_sub(1, Ordering::Relaxed);
        rows
    };
    let merge = async |lake: &Lake| {
        let mut merged = 0;
        while appending.load(Ordering::Relaxed) > 0 {
            merged += lake.compact(Table::Events).await.expect("merged");
            merged += lake.compact(Table::Epochs).await.expect("merged");
            tokio::task::yield_now().await;
        }
        merged
    };
    let (mut expected, more, one, two) =
        futures::join!(append(&lake, "one"), append(&other, "two"), merge(&lake), merge(&other));
    assert!(one + two > 0, "something was merged");
    expected.extend(more);
    expected.sort();
    let reader = again(objects).await;
    let files = reader.files(Table::Events).await.expect("files");
    assert_eq!(all_events(&reader, &files).await, expected);
    for group in ["one", "two"] {
        let intents: Vec<_> = (1..=60).map(intent).collect();
        assert_eq!(reader.epochs_after(group, 0).await.expect("intents"), intents);
    }
}

#[tokio::test]
async fn who_merges_what_another_has_merged_gives_up() {
    let (objects, lake) = in_memory().await;
    for epoch in 1..=8 {
        append_services(&lake, GROUP, epoch).await.expect("an append");
    }
    let run = lake.files(Table::Services).await.expect("files").files.clone();
    let other = again(objects).await;
    assert_eq!(other.compact(Table::Services).await.expect("merged"), 8);
    assert!(!lake.merge(Table::Services, &run).await.expect("no harm"), "its files are gone");
    let files = lake.files(Table::Services).await.expect("files");
    assert_eq!((files.files.len(), rows(&lake, Table::Services).await), (1, 8));
    assert_eq!(
        lake.vacuum_before(soon(), soon()).await.expect("removed").files,
        8 + 1,
        "what was merged, and the litter"
    );
    assert_eq!(lake.files(Table::Services).await.expect("files").files, files.files);
    assert!(lake.root().get(&files.files[0].path.as_str().into()).await.expect("a store").is_some());
}

#[tokio::test]
async fn who_hung_for_half_an_hour_does_not_commit_a_merge_whose_file_may_be_gone() {
    let (_, lake) = in_memory().await;
    for epoch in 1..=2 {
        append_services(&lake, GROUP, epoch).await.expect("an append");
    }
    let before = lake.files(Table::Services).await.expect("files");
    let rows = Lake::encode(Table::Services, &[services(&["web"], 1), services(&["web"], 2)]).expect("encoded");
    let replace = async |minutes| {
        let written = ("lanes-000000000001-000000000002_merged.parquet", Utc::now() - TimeDelta::minutes(minutes));
        lake.replace(Table::Services, &before.files, written, &rows.files[0]).await.expect("no harm")
    };
    assert!(!replace(31).await);
    assert_eq!(lake.files(Table::Services).await.expect("files"), before);
    assert!(replace(29).await);
    assert_eq!(lake.files(Table::Services).await.expect("files").files.len(), 1);
}

#[tokio::test]
async fn a_merge_whose_answer_was_lost_is_not_made_twice() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = is_lost.clone();
    let objects = Faulty::new(move |path| match path.ends_with(".json") && lost.swap(false, Ordering::Relaxed) {
        true => Fault::TriedTwice,
        false => Fault::None,
    });
    let lake = again(Arc::new(objects)).await;
    for epoch in 1..=8 {
        append_services(&lake, GROUP, epoch).await.expect("an append");
    }
    is_lost.store(true, Ordering::Relaxed);
    assert_eq!(lake.compact(Table::Services).await.expect("merged"), 8);
    let files = lake.files(Table::Services).await.expect("files");
    assert_eq!((files.version, files.files.len(), rows(&lake, Table::Services).await), (9, 1, 8));
}

#[tokio::test]
async fn rows_of_merged_files_are_in_the_order_of_epochs_however_they_were_merged() {
    let (_, lake) = in_memory().await;
    // Epochs 1 to 8 and 10 to 17 have one row each, 9 has twenty.
    for epoch in 1..=17 {
        let names: Vec<String> = (0..if epoch == 9 { 20 } else { 1 }).map(|name| format!("{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        lake.append(Table::Services, vec![services(&names, epoch)], GROUP, epoch).await.expect("an append");
        if epoch == 8 || epoch == 17 {
            lake.compact(Table::Services).await.expect("merged");
        }
    }
    let files = lake.files(Table::Services).await.expect("files");
    for file in &files.files {
        let bytes = lake.root().get(&file.path.as_str().into()).await.expect("a store").expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("a reader");
        let mut epochs = Vec::new();
        for batch in reader {
            let batch = batch.expect("a batch");
            epochs.extend(batch.column_by_name("epoch").expect("epoch").as_primitive::<Int64Type>().values().to_vec());
        }
        assert!(epochs.is_sorted(), "{}: {epochs:?}", file.path);
    }
    // After the eighth: 8. Then, from the newest back: eight ones are 8, and 20 is more than twice that.
    assert_eq!((files.files.len(), rows(&lake, Table::Services).await), (3, 36));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_asked_for_a_day_reads_on_from_a_checkpoint() {
    let (objects, lake) = in_memory().await;
    append_services(&lake, GROUP, 1).await.expect("an append");
    let sleeper = again(objects).await;
    for epoch in 2..=120 {
        append_services(&lake, GROUP, epoch).await.expect("an append");
    }
    lake.maintain().await.expect("upkeep");
    let removed = lake.vacuum_before(soon(), soon()).await.expect("as if a day had passed");
    assert!(removed.log_entries >= 120, "{removed:?}");
    let path = entry_path(Table::Services, 2);
    assert!(lake.root().get(&path).await.expect("a store").is_none(), "the entry that it would read next is gone");
    sleeper.log(Table::Services).await.seen.moment -= std::time::Duration::from_hours(1);
    let files = lake.files(Table::Services).await.expect("files");
    assert_eq!(sleeper.files(Table::Services).await.expect("files"), files);
    assert_eq!(
        sleeper.file_counts().find(|(table, _)| *table == Table::Services),
        Some((Table::Services, files.files.len()))
    );
    assert_eq!(sleeper.last_epoch(Table::Services, GROUP).await.expect("an epoch"), Some(120));
}

#[tokio::test]
async fn only_what_no_commit_can_name_is_litter() {
    let (objects, lake) = in_memory().await;
    append_services(&lake, GROUP, 5).await.expect("an append");
    let put = async |name: &str| {
        let path = StorePath::from(format!("services/{name}"));
        lake.root().put(&path, "rows".into()).await.expect("a file");
        path
    };
    let past = put("lanes-0-000000000005-0000-00000000deadbeef.parquet").await;
    let ahead = put("lanes-0-000000000006-0000-00000000deadbeef.parquet").await;
    let of_nobody = put("lanes-9-000000000001-0000-00000000deadbeef.parquet").await;
    let merged = put("lanes-0-000000000001_000000000009-0000-00000000deadbeef.parquet").await;
    let foreign = put("part-00001-c0ffee.parquet").await;
    let staged = StorePath::from(format!("{}/x", store::STAGING));
    lake.root().put(&staged, "half".into()).await.expect("a file");
    let other = again(objects).await;
    // Nothing is old.
    assert_eq!(lake.vacuum(KEPT_MIN).await.expect("removed"), Removed::default());
    assert_eq!(lake.vacuum_before(soon(), soon()).await.expect("removed"), Removed { files: 4, log_entries: 0 });
    let is_there = async |path: &StorePath| lake.root().get(path).await.expect("a store").is_some();
    // Its epoch may yet be made again, and then it is put again and committed.
    assert!(is_there(&ahead).await && is_there(&of_nobody).await);
    for gone in [&past, &merged, &foreign, &staged] {
        assert!(!is_there(gone).await, "{gone}");
    }
    assert_eq!(rows(&lake, Table::Services).await, 1);
    // Who was about to commit one of them looks again, and finds that it is late.
    let entry = entry_text(json!({"txnId": "an id"}), []);
    let mut log = other.log(Table::Services).await;
    assert_eq!(log.commit(other.root(), &entry).await.expect("a store"), None);
    assert_eq!(log.commit(other.root(), &entry).await.expect("a store"), Some(3));
    // Who only slept goes on.
    log.seen.moment -= std::time::Duration::from_hours(1);
    assert_eq!(log.commit(other.root(), &entry).await.expect("a store"), Some(4));
    assert!(matches!(lake.vacuum(KEPT_MIN / 2).await, Err(LakeError::Invalid(_))));
    assert!(matches!(lake.vacuum(KEPT_MAX * 2).await, Err(LakeError::Invalid(_))));
}

#[tokio::test]
async fn files_of_long_texts_are_merged_whatever_they_come_to() {
    let (_, lake) = in_memory().await;
    // 8 files of 9,000 ids of 4,000 letters are 288 MB before they are compressed.
    let (files, rows, letters) = (8, 9_000, 4_000);
    for epoch in 1..=files {
        let ids: Vec<String> = (0..rows).map(|row| format!("{:>letters$}", row * files + epoch)).collect();
        let rows: Vec<(&str, i64, &str)> = (0..rows)
            .zip(&ids)
            .map(|(row, id)| (if row % 2 == 0 { "web" } else { "api" }, MONDAY + row * files + epoch, id.as_str()))
            .collect();
        lake.append(Table::Events, vec![events(&rows, epoch)], "group", epoch).await.expect("appended");
    }
    assert_eq!(lake.compact(Table::Events).await.expect("merged"), 8);
    let left = lake.files(Table::Events).await.expect("files");
    assert_eq!(left.files.len(), 1);
    let found = events_of(&lake, &left.files[0]).await;
    assert_eq!(found.len(), 72_000);
    assert!(found.is_sorted_by_key(|(service, time, _)| (service.clone(), *time)));
    let numbers: BTreeSet<i64> = found.iter().map(|(_, _, id)| id.trim().parse().expect("a number")).collect();
    assert_eq!(numbers.len(), 72_000, "each is there once");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 32, ..Default::default() })]

    /// Merging side by side gives what sorting all rows at once would, and rows that say the same keep the order of epochs;
    /// also where batches end between them.
    #[test]
    fn files_merged_side_by_side_are_as_if_sorted_at_once(
        files in proptest::collection::vec((0_usize..2_500, 1_i64..40, 0_usize..4), 2..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (found, expected) = runtime.block_on(async {
            let (_, lake) = in_memory().await;
            let mut expected: Vec<Event> = Vec::new();
            for ((count, step, services), epoch) in files.iter().zip(1..) {
                let row = |number: usize| {
                    let service = ["web", "api", "db", "mail"][number % (services + 1)];
                    // Times that several files have, in no order.
                    let time = MONDAY + (number as i64 * step * 7) % 1_000;
                    (service.to_owned(), time, format!("{epoch}-{number}"))
                };
                let rows: Vec<Event> = (0..=*count).map(row).collect();
                let columns: Vec<(&str, i64, &str)> = rows.iter().map(|row| (&*row.0, row.1, &*row.2)).collect();
                lake.append(Table::Events, vec![events(&columns, epoch)], "group", epoch).await.expect("appended");
                expected.extend(rows);
            }
            // A stable sort: what is equal stays in the order of epochs and of rows.
            expected.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
            let run = lake.files(Table::Events).await.expect("files").files.clone();
            assert!(lake.merge(Table::Events, &run).await.expect("merged"));
            let left = lake.files(Table::Events).await.expect("files");
            (events_of(&lake, &left.files[0]).await, expected)
        });
        proptest::prop_assert_eq!(found, expected);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 16, ..Default::default() })]

    /// The model: a stable sort of all rows as they came, final results before others, then by agreement. Files are merged
    /// as it falls due, and once more all into one.
    #[test]
    fn final_rows_of_an_agreement_stand_together_in_the_order_in_which_they_came_and_so_do_others(
        epochs in proptest::collection::vec((0_usize..700, 1_usize..900), 2..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (found, expected) = runtime.block_on(async {
            let (_, lake) = in_memory().await;
            let mut expected: Vec<(String, i32)> = Vec::new();
            for ((count, agreements), epoch) in epochs.iter().zip(1..) {
                let row = |number: usize| (format!("a{}", number * 7 % agreements), (expected.len() + number) as i32);
                let rows: Vec<(String, i32)> = (0..=*count).map(row).collect();
                lake.append(Table::Attainment, vec![revisions(&rows, epoch)], GROUP, epoch).await.expect("an append");
                expected.extend(rows);
                lake.compact(Table::Attainment).await.expect("merged");
            }
            expected.sort_by_key(|(agreement, revision)| (finality(*revision), agreement.clone()));
            let mut files = lake.files(Table::Attainment).await.expect("files").files.clone();
            files.sort_by(|one, other| one.path.cmp(&other.path));
            assert!(files.len() == 1 || lake.merge(Table::Attainment, &files).await.expect("merged"));
            let left = lake.files(Table::Attainment).await.expect("files");
            (revisions_of(&lake, &left.files[0]).await, expected)
        });
        proptest::prop_assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn files_of_which_few_rows_are_looked_for_are_soon_opened() {
    let (_, lake) = in_memory().await;
    let rows: Vec<(String, i32)> = (0..20_000).map(|number| (format!("a{number:06}"), number)).collect();
    lake.append(Table::Attainment, vec![revisions(&rows, 1)], GROUP, 1).await.expect("an append");
    let files = lake.files(Table::Attainment).await.expect("files");
    let bytes = lake.root().get(&files.files[0].path.as_str().into()).await.expect("a store").expect("the file");
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let opened = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).expect("Parquet");
    let pages = opened.metadata().offset_index().expect("an index");
    let columns = opened.metadata().row_group(0).columns();
    assert!(columns.iter().all(|column| column.compression() == Compression::SNAPPY));
    // Of 20,000 texts of seven bytes and their lengths, a dictionary would have 220 kB.
    let agreement = columns.iter().position(|column| column.column_path().string() == "agreement").expect("agreement");
    assert!(pages[0].iter().all(|column| column.page_locations().len() >= 20_000 / 2_048));
    let dictionary = columns[agreement].dictionary_page_offset().expect("a dictionary");
    let bytes = columns[agreement].data_page_offset() - dictionary;
    assert!((1..=64 * 1024).contains(&bytes), "{bytes}");
}

/// Of each third row it is final.
fn finality(revision: i32) -> &'static str {
    if revision % 3 == 0 { "final" } else { "provisional" }
}

/// Rows of these agreements, told apart by their revision.
fn revisions(rows: &[(String, i32)], epoch: i64) -> RecordBatch {
    let row = from_batch::<AttainmentRow>(&attainment(epoch)).expect("rows").remove(0);
    let row = |(agreement, revision): &(String, i32)| AttainmentRow {
        agreement: agreement.as_str().into(),
        revision: *revision,
        finality: finality(*revision).into(),
        ..row.clone()
    };
    to_batch(&rows.iter().map(row).collect::<Vec<_>>()).expect("columns")
}

async fn revisions_of(lake: &Lake, file: &ActiveFile) -> Vec<(String, i32)> {
    let bytes = lake.root().get(&file.path.as_str().into()).await.expect("a store").expect("the file is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("a reader");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("a batch");
        let agreements = batch.column_by_name("agreement").expect("agreement").as_string::<i32>().clone();
        let revisions = batch.column_by_name("revision").expect("revision").as_primitive::<Int32Type>().clone();
        rows.extend((0..batch.num_rows()).map(|row| (agreements.value(row).to_owned(), revisions.value(row))));
    }
    rows
}

#[tokio::test]
async fn who_hung_where_entries_were_removed_commits_where_the_log_goes_on() {
    for by_moment in [true, false] {
        let (objects, lake) = in_memory().await;
        append_services(&lake, "other", 1).await.expect("an append");
        let (sleeper, second) = (again(objects.clone()).await, again(objects.clone()).await);
        for epoch in 2..=9 {
            append_services(&lake, "other", epoch).await.expect("an append");
        }
        lake.checkpoint(Table::Services).await.expect("a checkpoint");
        lake.vacuum_before(soon(), soon()).await.expect("as if a day had passed");
        // It had just read the log when it fell asleep, or when its machine did, and wakes before it puts its entry.
        {
            let mut log = sleeper.log(Table::Services).await;
            let hour = std::time::Duration::from_hours(1);
            match by_moment {
                true => log.seen.moment -= hour,
                false => log.seen.time -= hour,
            }
            assert_eq!(log.next_version(), 2, "that name is free again");
        }
        let entry = json!({"txn": {"appId": GROUP, "version": 1}});
        let entry = entry_text(json!({"txnId": "an id"}), [entry]);
        let appended = sleeper.put_entry(Table::Services, entry, "an id", GROUP, 1).await.expect("an append");
        assert_eq!(appended, Appended::Written { version: 10 });
        // Who slept as well, and finds what the first one left where nobody reads, is not led astray.
        let stray = entry_path(Table::Services, 2);
        assert!(lake.root().get(&stray).await.expect("a store").is_some());
        let mut log = second.log(Table::Services).await;
        log.seen.moment -= std::time::Duration::from_hours(1);
        log.refresh(second.root()).await.expect("a log");
        assert_eq!(log.version, Some(10));
        for lake in [&lake, &sleeper, &again(objects).await] {
            assert_eq!(lake.last_epoch(Table::Services, GROUP).await.expect("an epoch"), Some(1));
            assert_eq!(lake.last_epoch(Table::Services, "other").await.expect("an epoch"), Some(9));
        }
    }
}

#[tokio::test]
async fn what_was_damaged_does_not_come_into_a_file_that_is_whole() {
    let (_objects, lake) = in_memory().await;
    for epoch in 1..=8 {
        commit_epoch(&lake, GROUP, epoch).await;
    }
    let files = lake.files(Table::Events).await.expect("files");
    let path = files.files[3].path.as_str();
    let whole = lake.root().get(&path.into()).await.expect("a store").expect("the file is there");
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 1;
        lake.root().put(&path.into(), damaged.into()).await.expect("a store");
        let error = lake.compact(Table::Events).await.expect_err("damage").to_string();
        let told = format!("{path} cannot be read: it holds other bytes than were written; restore it from a backup");
        assert_eq!(error, told);
    }
    lake.root().put(&path.into(), whole).await.expect("a store");
    assert_eq!(lake.compact(Table::Events).await.expect("whole files"), 8);
}

/// The damaged files of the one table that these tests write; no epoch of it is recorded.
async fn damaged(lake: &Lake) -> Vec<String> {
    let damages = lake.inspect(true).await.expect("an inspection").damages;
    damages.into_iter().map(|damage| damage.path).filter(|path| path.starts_with("services/")).collect()
}

#[tokio::test]
async fn a_checkpoint_that_is_torn_is_passed_over_while_entries_say_the_same() {
    let (objects, lake) = in_memory().await;
    append_services(&lake, GROUP, 1).await.expect("an append");
    lake.checkpoint(Table::Services).await.expect("a checkpoint");
    append_services(&lake, GROUP, 2).await.expect("an append");
    let before = lake.files(Table::Services).await.expect("files");
    let path = StorePath::from("services/_delta_log/00000000000000000001.checkpoint.parquet");
    let whole = lake.root().get(&path).await.expect("a store").expect("a checkpoint");
    for torn in [&whole[..whole.len() / 2], &whole[..0]] {
        lake.root().put(&path, torn.to_vec().into()).await.expect("a store");
        let other = again(objects.clone()).await;
        assert_eq!(other.files(Table::Services).await.expect("files"), before);
        assert_eq!(damaged(&other).await, [path.as_ref()]);
    }
    // No entry is removed for it. Whoever starts then writes another one, and the torn one goes when it is old.
    let upkeep = again(objects.clone()).await;
    upkeep.vacuum_before(soon(), soon()).await.expect("nothing to remove");
    assert!(lake.root().get(&entry_path(Table::Services, 0)).await.expect("a store").is_some());
    upkeep.maintain().await.expect("maintenance");
    assert!(lake.root().get(&path).await.expect("a store").is_some(), "nobody removes it by its name");
    upkeep.vacuum_before(soon(), soon()).await.expect("removed");
    assert!(lake.root().get(&path).await.expect("a store").is_none());
    assert!(lake.root().get(&entry_path(Table::Services, 1)).await.expect("a store").is_none(), "entries are removed");
    let other = again(objects.clone()).await;
    assert_eq!(other.files(Table::Services).await.expect("files"), before);
    assert_eq!(damaged(&other).await, [""; 0]);
    let newest = StorePath::from("services/_delta_log/00000000000000000002.checkpoint.parquet");
    // Whoever finds a torn one when it starts does not wait for a hundred commits.
    append_services(&lake, GROUP, 3).await.expect("an append");
    let third = StorePath::from("services/_delta_log/00000000000000000003.checkpoint.parquet");
    lake.root().put(&third, whole[..9].to_vec().into()).await.expect("a store");
    again(objects.clone()).await.maintain().await.expect("maintenance");
    assert_eq!(damaged(&again(objects.clone()).await).await, [""; 0]);
    // What announces it is not needed either.
    let announcement = StorePath::from("services/_delta_log/_last_checkpoint");
    let announced = lake.root().get(&announcement).await.expect("a store").expect("an announcement");
    lake.root().put(&announcement, "{\"version\": ".into()).await.expect("a store");
    let other = again(objects.clone()).await;
    assert_eq!(other.files(Table::Services).await.expect("files").version, 3);
    assert_eq!(damaged(&other).await, [announcement.as_ref()]);
    lake.root().put(&announcement, announced).await.expect("a store");
    // Where nothing says the same any more, it is told which file is damaged.
    for path in [&newest, &third] {
        lake.root().put(path, whole[..9].to_vec().into()).await.expect("a store");
    }
    let error =
        Lake::open_in(objects, Url::parse("memory:///").expect("a URL")).await.expect_err("damaged").to_string();
    assert!(error.contains("checkpoint 00000000000000000003.checkpoint.parquet of table services cannot"), "{error}");
}

#[tokio::test]
async fn a_checkpoint_that_is_lost_or_says_something_else_costs_nothing_while_entries_say_the_same() {
    let (objects, lake) = in_memory().await;
    append_services(&lake, GROUP, 1).await.expect("an append");
    lake.checkpoint(Table::Services).await.expect("a checkpoint");
    let folder = StorePath::from("services/_delta_log");
    let path = |version: i64| StorePath::from(format!("{folder}/{version:020}.checkpoint.parquet"));
    let old = lake.root().get(&path(1)).await.expect("a store").expect("a checkpoint");
    append_services(&lake, GROUP, 2).await.expect("an append");
    lake.checkpoint(Table::Services).await.expect("a checkpoint");
    let before = lake.files(Table::Services).await.expect("files");
    let hint = StorePath::from(format!("{folder}/_last_checkpoint"));
    let announced = lake.root().get(&hint).await.expect("a store").expect("an announcement");
    let wrong = String::from_utf8(announced.to_vec()).expect("text").replace("\"version\":2", "\"version\":944");
    // Lost, one that can be read and is that of an earlier version, and announced with a number that is none.
    let faults: [(StorePath, Option<bytes::Bytes>, i64); 3] =
        [(path(2), None, 2), (path(2), Some(old), 2), (hint.clone(), Some(wrong.into()), 944)];
    for (damaged_path, bytes, announced) in faults {
        match bytes {
            Some(bytes) => lake.root().put(&damaged_path, bytes).await.expect("a store"),
            None => lake.root().delete(&damaged_path).await.expect("a store"),
        }
        let other = again(objects.clone()).await;
        assert_eq!(other.files(Table::Services).await.expect("files"), before);
        assert_eq!(damaged(&other).await, [path(announced).as_ref()]);
        other.maintain().await.expect("maintenance");
        let other = again(objects.clone()).await;
        assert_eq!(damaged(&other).await, [""; 0]);
        assert!(lake.root().get(&path(2)).await.expect("a store").is_some(), "there is one again");
    }
    // One that nobody announced is not believed either.
    let old = lake.root().get(&path(1)).await.expect("a store").expect("a checkpoint");
    lake.root().put(&path(2), old).await.expect("a store");
    lake.root().put(&hint, r#"{"version":1,"size":1}"#.into()).await.expect("a store");
    let other = again(objects.clone()).await;
    assert_eq!(other.files(Table::Services).await.expect("files"), before);
    other.maintain().await.expect("maintenance");
    assert_eq!(damaged(&again(objects.clone()).await).await, [""; 0]);
    // Nobody removes an entry because of a checkpoint that says something else.
    append_services(&lake, GROUP, 3).await.expect("an append");
    lake.checkpoint(Table::Services).await.expect("a checkpoint");
    let before = lake.files(Table::Services).await.expect("files");
    let second = lake.root().get(&path(2)).await.expect("a store").expect("a checkpoint");
    lake.root().put(&path(3), second.clone()).await.expect("a store");
    let upkeep = again(objects.clone()).await;
    upkeep.vacuum_before(soon(), soon()).await.expect("removed");
    let is_there = async |version| lake.root().get(&entry_path(Table::Services, version)).await.expect("a store");
    assert!(is_there(1).await.is_none() && is_there(2).await.is_some(), "the second checkpoint says what it should");
    upkeep.maintain().await.expect("maintenance");
    upkeep.vacuum_before(soon(), soon()).await.expect("removed");
    assert!(is_there(2).await.is_none(), "now the third does");
    assert_eq!(again(objects.clone()).await.files(Table::Services).await.expect("files"), before);
    // Where nothing says the same any more, the checkpoint is named, not the entries that it stood for.
    for (bytes, what) in [(Some(second), "says something else than was written"), (None, "is announced and not there")]
    {
        match bytes {
            Some(bytes) => lake.root().put(&path(3), bytes).await.expect("a store"),
            None => lake.root().delete(&path(3)).await.expect("a store"),
        }
        lake.root().delete(&path(2)).await.expect("a store");
        let error =
            Lake::open_in(objects.clone(), Url::parse("memory:///").expect("a URL")).await.expect_err("damaged");
        let expected = format!("checkpoint {:020}.checkpoint.parquet of table services {what}", 3);
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn what_another_program_wrote_is_kept_and_stands_in_our_checkpoint() {
    let (objects, lake) = in_memory().await;
    append_services(&lake, GROUP, 1).await.expect("an append");
    let first = entry_path(Table::Services, 0);
    let text = lake.root().get(&first).await.expect("a store").expect("an entry");
    let text = String::from_utf8(text.to_vec()).expect("text");
    let told = r#""format":{"options":{"a":null},"provider":"parquet"},"unknown":{"x":1}"#;
    let text = text.replace(r#""format":{"provider":"parquet","options":{}}"#, told);
    let text =
        text.replace(r#""configuration":{"#, r#""configuration":{"other":null,"#).replace("actionsXxh3", "other");
    assert!(text.contains(told) && text.contains(r#"{"other":null,"#), "{text}");
    lake.root().put(&first, text.into()).await.expect("a store");
    // As the protocol says, a path in the log is written as in a URL.
    let file = StorePath::from("services/part 1.parquet");
    let bytes = Lake::encode(Table::Services, &[services(&["mail"], 1)]).expect("encoded").files[0].bytes.clone();
    let add = json!({"add": {"path": "part%201.parquet", "size": bytes.len(), "partitionValues": {}, "dataChange": true,
        "modificationTime": 5, "tags": {"a": "b"}}});
    lake.root().put(&file, bytes).await.expect("a store");
    let entry = format!("{}\n{add}\n", json!({"commitInfo": {}}));
    lake.root().put(&entry_path(Table::Services, 2), entry.into()).await.expect("a store");

    let lake = again(objects.clone()).await;
    let before = lake.files(Table::Services).await.expect("files");
    assert_eq!(before.files.len(), 2);
    lake.checkpoint(Table::Services).await.expect("a checkpoint");
    lake.vacuum_before(soon(), soon()).await.expect("as if a day had passed");
    assert!(lake.root().get(&first).await.expect("a store").is_none(), "entries are removed");
    assert!(lake.root().get(&file).await.expect("a store").is_some(), "it is active");
    let other = again(objects).await;
    assert_eq!(other.files(Table::Services).await.expect("files"), before);
    assert_eq!(damaged(&other).await, [""; 0]);
}
