//! The lake as its callers use it, on a folder of its own for each test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use plimsoll_schemas::event::EventBatch;
use plimsoll_schemas::table::{AttainmentRow, Decimal, EpochRow, ServiceRow, Table, from_batch, to_batch};
use plimsoll_schemas::{Instant, ratio::Share};
use tempfile::TempDir;

use super::*;

pub mod faulty;
mod hostile;
mod lost;
mod upkeep;

const GROUP: &str = "lanes-0";

/// 2026-01-31T23:59:59Z and the second after: the border between two dates.
const LAST_OF_JANUARY: i64 = 1_769_903_999_000_000;
const FIRST_OF_FEBRUARY: i64 = LAST_OF_JANUARY + 1_000_000;

async fn lake() -> (TempDir, Lake) {
    let folder = tempfile::tempdir().expect("folder");
    let lake = open(folder.path()).await;
    (folder, lake)
}

async fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().expect("UTF-8")).await.expect("lake")
}

fn services(names: &[&str], epoch: i64) -> RecordBatch {
    let rows: Vec<ServiceRow> = names
        .iter()
        .map(|name| ServiceRow {
            service: (*name).to_owned(),
            name: format!("service {name}"),
            tier: None,
            owner: Some("team".to_owned()),
            recorded_at: Instant(1_769_903_999_000_001),
            epoch,
        })
        .collect();
    to_batch(&rows).expect("columns")
}

fn intent(epoch: i64) -> EpochRow {
    EpochRow {
        epoch,
        tick: Instant(epoch * 1_000_000),
        publish: true,
        watermark: None,
        topic: Some("events".to_owned()),
        partition: Some(0),
        from_offset: Some(epoch * 10),
        until_offset: Some(epoch * 10 + 10),
        complete_until: None,
        definitions: String::new(),
        ..EpochRow::default()
    }
}

/// Events of (service, time, id), as the aggregate hands them over; every other column is null or constant.
fn events(rows: &[(&str, i64, &str)], epoch: i64) -> RecordBatch {
    let schema = Table::Events.schema();
    let count = rows.len();
    let interned = |values: Vec<&str>| Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef;
    let times = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let kinds = {
        let vocabulary = EventBatch::empty().words(plimsoll_schemas::event::EventColumn::Kind).values().clone();
        let keys = arrow_array::Int8Array::from(vec![1; count]);
        Arc::new(DictionaryArray::new(keys, vocabulary)) as ArrayRef
    };
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "topic" | "source" => interned(vec!["monitoring"; count]),
        "partition" => Arc::new(Int32Array::from(vec![0; count])),
        "offset" => Arc::new(Int64Array::from_iter_values((0..).take(count))),
        "id" => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
        "time" => times(rows.iter().map(|row| row.1).collect()),
        "kind" => kinds.clone(),
        "service" => interned(rows.iter().map(|row| row.0).collect()),
        "read_at" | "recorded_at" => times(vec![FIRST_OF_FEBRUARY; count]),
        "epoch" => Arc::new(Int64Array::from(vec![epoch; count])),
        _ => new_null_array(field.data_type(), count),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("events")
}

fn attainment(epoch: i64) -> RecordBatch {
    let row = AttainmentRow {
        agreement: "acme".into(),
        agreement_version: 1,
        agreement_type: "sla".into(),
        customer: None,
        offering: Some("gold".into()),
        service: "web".into(),
        objective: "availability".into(),
        signal: "availability".into(),
        calendar: "24x7".into(),
        window_kind: "month".into(),
        window_start: Instant(0),
        window_end: Instant(10),
        segment_start: Instant(0),
        segment_end: Instant(10),
        finality: "final".into(),
        verdict: "breached".into(),
        verdict_before: Some("met".into()),
        target: "at least 99.9 %".into(),
        target_ratio: Some(Decimal(Share(999_000_000))),
        target_us: None,
        target_count: None,
        value_ratio: Some(Decimal(Share(500_000_000))),
        value_us: None,
        value_count: None,
        attainment_ratio: Some(Decimal(Share(500_000_000))),
        good_us: 5,
        bad_us: 5,
        degraded_us: 0,
        excluded_us: 0,
        unknown_us: 0,
        agreed_us: 10,
        good_count: 0,
        total_count: 0,
        outage_count: 1,
        longest_outage_us: 5,
        budget_us: Some(0),
        budget_left_us: Some(-5),
        budget_left_ratio: Some(Decimal(Share(-2_500_000_001))),
        headroom_us: Some(0),
        breach_probability_ratio: Some(Decimal(Share(250_000_000))),
        exhaustion_at: Some(Instant(7)),
        breached_at: Some(Instant(5)),
        credit_ratio: None,
        retracted: false,
        revision: 1,
        recorded_at: Instant(20),
        epoch,
    };
    to_batch(&[row]).expect("columns")
}

async fn append_services(lake: &Lake, group: &str, epoch: i64) -> Result<Appended, LakeError> {
    lake.append(Table::Services, vec![services(&["web"], epoch)], group, epoch).await
}

async fn rows(lake: &Lake, table: Table) -> u64 {
    lake.files(table).await.expect("files").files.iter().map(|file| file.rows.expect("statistics")).sum()
}

/// Every file below a folder with its bytes, except the logs, whose entries tell the wall clock.
fn data_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            let below = data_files(&path).into_iter();
            found.extend(
                below.map(|(name, bytes)| (path.file_name().map(PathBuf::from).expect("name").join(name), bytes)),
            );
        } else if path.is_file() {
            found.insert(path.file_name().map(PathBuf::from).expect("name"), std::fs::read(&path).expect("bytes"));
        }
    }
    found
}

#[test]
fn tables_know_their_own_place() {
    for (index, table) in Table::ALL.into_iter().enumerate() {
        assert_eq!(table as usize, index);
    }
}

#[tokio::test]
async fn a_lake_is_created_once_and_opened_twice() {
    let (folder, lake) = lake().await;
    assert_eq!(append_services(&lake, GROUP, 0).await.expect("append"), Appended::Written { version: 1 });
    let again = Lake::open(lake.url(Table::Events).join("..").expect("root").as_str()).await.expect("by URL");
    assert_eq!(again.last_epoch(Table::Services, GROUP).await.expect("epoch"), Some(0));
    let reader = Lake::open_existing(folder.path().to_str().expect("UTF-8")).await.expect("reader");
    assert_eq!(rows(&reader, Table::Services).await, 1);
    assert_eq!(reader.files(Table::Events).await.expect("files").version, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_may_run_on_any_thread() {
    let folder = tempfile::tempdir().expect("folder");
    let location = folder.path().to_str().expect("UTF-8").to_owned();
    let work = tokio::spawn(async move {
        let lake = Lake::open(&location).await?;
        lake.record_intent(GROUP, 1, &[intent(1)]).await?;
        lake.commit_epoch(GROUP, 1, vec![(Table::Services, Lake::encode(Table::Services, &[services(&["web"], 1)])?)])
            .await?;
        lake.put_snapshot(GROUP, 1, "state".into()).await?;
        lake.maintain().await?;
        let reader = Lake::open_existing(&location).await?;
        Ok::<_, LakeError>((reader.newest_snapshot(GROUP).await?, reader.epochs_after(GROUP, 0).await?))
    });
    assert_eq!(work.await.expect("task").expect("lake"), (Some((1, "state".into())), vec![intent(1)]));
    let staged = folder.path().join(store::STAGING);
    assert_eq!(std::fs::read_dir(staged).expect("folder").count(), 0);
}

#[tokio::test]
async fn a_wrong_location_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(at("file"), "x").expect("file");
    std::fs::create_dir(at("empty")).expect("folder");
    for (error, words) in [
        (Lake::open_existing(&at("nothing")).await, "there is no lake at"),
        (Lake::open_existing(&at("empty")).await, "there is no lake at"),
        (Lake::open(&at("file")).await, "is a file; name a folder"),
        (Lake::open("").await, "is empty; name a folder"),
        (Lake::open("gs://bucket/lake").await, "the scheme gs, which this version cannot store to"),
    ] {
        let error = error.expect_err(words);
        assert!(matches!(error, LakeError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(words) && !error.to_string().contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn a_read_only_folder_is_one_clear_line() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).expect("permissions");
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        eprintln!(
            "skipped: permissions do not bind this user; the test of a store that takes nothing has the same error"
        );
        return;
    }
    let error = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect_err("read-only");
    assert!(matches!(&error, LakeError::Unavailable(line) if line.contains("no permission")), "{error}");
}

#[tokio::test]
async fn an_append_is_idempotent() {
    let (folder, lake) = lake().await;
    for _ in 0..2 {
        // The second time it is known to be ours, as after an answer that was lost.
        assert_eq!(append_services(&lake, GROUP, 3).await.expect("first"), Appended::Written { version: 1 });
    }
    assert_eq!(append_services(&lake, GROUP, 2).await.expect("earlier"), Appended::AlreadyThere);
    let other = open(folder.path()).await;
    assert_eq!(append_services(&other, GROUP, 3).await.expect("another's"), Appended::AlreadyThere);
    assert_eq!(append_services(&lake, "lanes-1", 3).await.expect("other group"), Appended::Written { version: 2 });
    assert_eq!(rows(&lake, Table::Services).await, 2);
    assert_eq!(lake.last_epoch(Table::Services, GROUP).await.expect("epoch"), Some(3));
    assert_eq!(lake.last_epoch(Table::Services, "nobody").await.expect("epoch"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_groups_race_and_all_commits_land() {
    const COMMITS: i64 = 20;
    let (folder, first) = lake().await;
    let writers = [(first, "lanes-0"), (open(folder.path()).await, "lanes-1")].map(|(lake, group)| {
        tokio::spawn(async move {
            for epoch in 0..COMMITS {
                let appended = append_services(&lake, group, epoch).await.expect("append");
                assert!(matches!(appended, Appended::Written { .. }));
            }
        })
    });
    for writer in writers {
        writer.await.expect("writer");
    }
    let reader = open(folder.path()).await;
    let files = reader.files(Table::Services).await.expect("files");
    assert_eq!((files.version, files.files.len(), rows(&reader, Table::Services).await), (40, 40, 40));
}

#[tokio::test]
async fn the_later_of_two_workers_of_a_group_fences_the_earlier() {
    let (folder, early) = lake().await;
    let late = open(folder.path()).await;
    early.record_intent(GROUP, 0, &[intent(0)]).await.expect("intent");
    append_services(&early, GROUP, 0).await.expect("epoch 0");

    // The late worker replays epoch 0, which changes nothing, and goes on.
    assert_eq!(late.epochs_after(GROUP, -1).await.expect("intents"), [intent(0)]);
    assert_eq!(append_services(&late, GROUP, 0).await.expect("replay"), Appended::AlreadyThere);
    late.record_intent(GROUP, 1, &[intent(1)]).await.expect("intent");

    let error = early.record_intent(GROUP, 1, &[intent(1)]).await.expect_err("fenced");
    assert!(matches!(error, LakeError::Fenced { table: Table::Epochs, epoch: 1, found: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_race_lost_to_a_later_epoch_of_the_same_group_is_fenced() {
    let (folder, early) = lake().await;
    let late = open(folder.path()).await;
    // The early worker has looked and put its file; its entry is written only after the late worker's.
    append_services(&late, GROUP, 7).await.expect("late");
    let error = early.put_entry(Table::Services, "{}".to_owned(), "mine", GROUP, 6).await.expect_err("fenced");
    assert!(matches!(error, LakeError::Fenced { epoch: 6, found: 7, .. }), "{error:?}");
    let same = open(folder.path()).await;
    append_services(&late, GROUP, 8).await.expect("late");
    let appended = same.put_entry(Table::Services, "{}".to_owned(), "mine", GROUP, 8).await.expect("the same epoch");
    assert_eq!(appended, Appended::AlreadyThere);
}

#[tokio::test]
async fn a_replayed_epoch_writes_the_same_bytes_and_leaves_no_litter() {
    let batches = |epoch| {
        vec![
            events(&[("web", FIRST_OF_FEBRUARY, "1"), ("api", LAST_OF_JANUARY, "2")], epoch),
            events(&[("api", LAST_OF_JANUARY - 5, "3")], epoch),
        ]
    };
    let write = async |folder: &Path| {
        let lake = open(folder).await;
        let events = Lake::encode(Table::Events, &batches(1)).expect("events");
        let services = Lake::encode(Table::Services, &[services(&["web", "api"], 1)]).expect("services");
        let nothing = Lake::encode(Table::Outages, &[]).expect("nothing");
        let tables = vec![(Table::Services, services), (Table::Outages, nothing), (Table::Events, events)];
        lake.commit_epoch(GROUP, 1, tables).await.expect("commit")
    };
    let (one, other) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    assert_eq!((write(one.path()).await, write(other.path()).await), (2, 2));
    let files = data_files(one.path());
    assert_eq!(files.len(), 3); // services, and events of two dates
    assert_eq!(files, data_files(other.path()));

    // A crash between the tables: the services' entry is lost, its file is not.
    std::fs::remove_file(one.path().join(entry_path(Table::Services, 1).as_ref())).expect("entry");
    assert_eq!(write(one.path()).await, 1);
    assert_eq!(data_files(one.path()), files);
    assert_eq!(write(one.path()).await, 0);
}

#[tokio::test]
async fn a_table_twice_in_an_epoch_is_refused() {
    let (_folder, lake) = lake().await;
    let encoded = Lake::encode(Table::Services, &[services(&["web"], 1)]).expect("services");
    let twice = vec![(Table::Services, encoded.clone()), (Table::Services, encoded.clone())];
    assert!(matches!(lake.commit_epoch(GROUP, 1, twice).await, Err(LakeError::Invalid(_))));
    assert!(matches!(lake.commit(Table::Clocks, encoded.clone(), GROUP, 1).await, Err(LakeError::Invalid(_))));
    assert!(matches!(lake.commit(Table::Services, encoded, GROUP, -1).await, Err(LakeError::Invalid(_))));
    assert!(matches!(Lake::encode(Table::Clocks, &[services(&["web"], 1)]), Err(LakeError::Invalid(_))));
}

#[tokio::test]
async fn files_sees_only_what_is_new() {
    let (folder, writer) = lake().await;
    let reader = Lake::open_existing(folder.path().to_str().expect("UTF-8")).await.expect("reader");
    let before = reader.files(Table::Services).await.expect("files");
    assert_eq!((before.version, before.files.len()), (0, 0));
    append_services(&writer, GROUP, 1).await.expect("append");
    let after = reader.files(Table::Services).await.expect("files");
    assert_eq!((after.version, after.files.len()), (1, 1));
    assert!(Arc::ptr_eq(&after, &reader.files(Table::Services).await.expect("nothing new")));
    let file = &after.files[0];
    let bytes = reader.root().get(&file.path.as_str().into()).await.expect("read").expect("the path is the store's");
    assert_eq!((file.size_bytes, file.rows, file.date), (bytes.len() as u64, Some(1), None));
}

#[tokio::test]
async fn events_are_split_by_utc_date_and_sorted_by_service_and_time() {
    use arrow_array::cast::AsArray;
    let (_folder, lake) = lake().await;
    let first =
        events(&[("web", FIRST_OF_FEBRUARY, "e"), ("web", LAST_OF_JANUARY, "c"), ("api", LAST_OF_JANUARY, "b")], 1);
    let second =
        events(&[("api", LAST_OF_JANUARY - 1, "a"), ("web", LAST_OF_JANUARY, "d"), ("db", FIRST_OF_FEBRUARY, "f")], 1);
    lake.append(Table::Events, vec![first, second], GROUP, 1).await.expect("append");
    let files = lake.files(Table::Events).await.expect("files");
    let mut found = Vec::new();
    for file in &files.files {
        let bytes = lake.root().get(&file.path.as_str().into()).await.expect("read").expect("file");
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes);
        for batch in reader.expect("Parquet").build().expect("reader") {
            let batch = batch.expect("batch");
            assert!(batch.column_by_name("date").is_none());
            let ids = batch.column_by_name("id").expect("id").as_string::<i32>();
            let kinds = batch.column_by_name("kind").expect("kind").as_string::<i32>();
            assert!(kinds.iter().all(|kind| kind == Some("monitoring")));
            found.push((file.date.expect("date").to_string(), ids.iter().flatten().collect::<String>()));
        }
    }
    // By hand: January holds api (a at -1 us, then b) and web (c came before d at the same instant); February db, web.
    assert_eq!(found, [("2026-01-31".to_owned(), "abcd".to_owned()), ("2026-02-01".to_owned(), "fe".to_owned())]);

    let statistics: serde_json::Value =
        serde_json::from_str(files.files[0].stats.as_deref().expect("statistics")).expect("JSON");
    assert_eq!(statistics["numRecords"], 4);
    assert_eq!(statistics["minValues"]["time"], "2026-01-31T23:59:58.999999Z");
    assert_eq!(statistics["maxValues"]["time"], "2026-01-31T23:59:59.000000Z");
    assert_eq!(
        (&statistics["minValues"]["service"], &statistics["maxValues"]["service"]),
        (&"api".into(), &"web".into())
    );
    assert_eq!((&statistics["nullCount"]["customer"], &statistics["nullCount"]["id"]), (&4.into(), &0.into()));
}

#[tokio::test]
async fn delta_rs_reads_the_tables() {
    let (_folder, lake) = lake().await;
    for epoch in 0..3 {
        lake.append(Table::Attainment, vec![attainment(epoch)], GROUP, epoch).await.expect("attainment");
        let batch = events(&[("web", LAST_OF_JANUARY, "1"), ("web", FIRST_OF_FEBRUARY, "2")], epoch);
        lake.append(Table::Events, vec![batch], GROUP, epoch).await.expect("events");
    }
    assert_delta_rs_reads(&lake).await;
    for table in Table::ALL {
        let version = lake.files(table).await.expect("files").version;
        lake.checkpoint(table).await.expect("a checkpoint");
        for version in 0..=version {
            lake.root().delete(&entry_path(table, version)).await.expect("only the checkpoint is left");
        }
    }
    assert_delta_rs_reads(&lake).await;
}

async fn assert_delta_rs_reads(lake: &Lake) {
    for table in Table::ALL {
        let opened = deltalake_core::open_table(lake.url(table).clone()).await.expect("delta-rs");
        let state = opened.snapshot().expect("state");
        let expected = rows(lake, table).await;
        let found: usize = state.log_data().iter().map(|file| file.num_records().expect("statistics")).sum();
        assert_eq!(found as u64, expected, "{}", table.name());
        let schema = state.snapshot().arrow_schema();
        let names = |schema: &arrow_schema::Schema| schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut columns: Vec<String> = names(&table.schema());
        columns.extend(table.partition_time().map(|_| "date".to_owned()));
        assert_eq!(columns, names(&schema) as Vec<String>, "{}", table.name());
        for field in table.schema().fields() {
            let comment = schema.field_with_name(field.name()).expect("column").metadata().get("comment");
            assert_eq!(comment, field.metadata().get("comment"), "{}.{}", table.name(), field.name());
        }
    }
    let opened = deltalake_core::open_table(lake.url(Table::Events).clone()).await.expect("delta-rs");
    let found = opened.snapshot().expect("state").transaction_version(opened.log_store().as_ref(), GROUP).await;
    assert_eq!(found.expect("transaction"), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_says_the_same_as_the_log_whoever_wrote_it() {
    let (folder, lake) = lake().await;
    for epoch in 0..101 {
        let batch = events(&[("web", LAST_OF_JANUARY, "1"), ("web", FIRST_OF_FEBRUARY, "2")], epoch);
        lake.append(Table::Events, vec![batch], GROUP, epoch).await.expect("events");
    }
    lake.maintain().await.expect("maintenance");
    let before = lake.files(Table::Events).await.expect("files");
    assert_eq!(before.files.len(), 2, "one a day");
    // 101 appends, and two merges.
    assert_eq!(last_checkpoint(&lake, Table::Events).await, Some(103));
    assert_eq!(last_checkpoint(&lake, Table::Services).await, None);
    // Only the checkpoint is left to read from.
    for version in 0..=103 {
        std::fs::remove_file(folder.path().join(entry_path(Table::Events, version).as_ref())).expect("entry");
    }
    let again = open(folder.path()).await;
    assert_eq!(again.files(Table::Events).await.expect("files"), before);
    assert_eq!(again.last_epoch(Table::Events, GROUP).await.expect("epoch"), Some(100));
    let batch = events(&[("web", LAST_OF_JANUARY, "1")], 101);
    let appended = again.append(Table::Events, vec![batch], GROUP, 101).await.expect("append");
    assert_eq!(appended, Appended::Written { version: 104 });
    assert_eq!(rows(&again, Table::Events).await, 203);
    let opened = deltalake_core::open_table(lake.url(Table::Events).clone()).await.expect("delta-rs");
    deltalake_core::checkpoints::create_checkpoint(&opened, None).await.expect("its checkpoint");
    std::fs::remove_file(folder.path().join(entry_path(Table::Events, 104).as_ref())).expect("entry");
    let before = again.files(Table::Events).await.expect("files");
    assert_eq!((before.version, open(folder.path()).await.files(Table::Events).await.expect("files")), (104, before));
}

async fn last_checkpoint(lake: &Lake, table: Table) -> Option<i64> {
    checkpoint::announced(lake.root(), table).await.expect("checkpoint")
}

#[tokio::test]
async fn a_table_with_other_columns_is_refused() {
    let (folder, lake) = lake().await;
    let entry = folder.path().join(entry_path(Table::Services, 0).as_ref());
    let text = std::fs::read_to_string(&entry).expect("entry").replace("\\\"owner\\\"", "\\\"keeper\\\"");
    // Another program does not tell a hash of its actions.
    std::fs::write(&entry, text.replace("actionsXxh3", "other")).expect("entry");
    let error = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect_err("other columns");
    assert!(matches!(&error, LakeError::Invalid(line) if line.contains("column owner")), "{error}");

    // Another program gives the table a feature while it is open: the next append stops.
    let feature = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":[]}}"#;
    std::fs::write(folder.path().join(entry_path(Table::Services, 1).as_ref()), feature).expect("entry");
    let error = append_services(&lake, GROUP, 1).await.expect_err("feature");
    assert!(matches!(&error, LakeError::Invalid(line) if line.contains("reader of version 3")), "{error}");
}

#[tokio::test]
async fn a_log_that_makes_no_sense_is_corrupt() {
    let (folder, lake) = lake().await;
    let entry = folder.path().join(entry_path(Table::Services, 1).as_ref());
    for content in ["", "{\"add\":{\"path\"", "{\"add\":{\"path\":\"x\",\"size\":-1}}"] {
        std::fs::write(&entry, content).expect("entry");
        let error = lake.files(Table::Services).await.expect_err(content);
        assert!(matches!(&error, LakeError::Corrupt(line) if line.contains("00000001.json")), "{error}");
    }
    std::fs::rename(&entry, folder.path().join(entry_path(Table::Services, 2).as_ref())).expect("entry");
    let error = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect_err("a gap");
    assert!(matches!(&error, LakeError::Corrupt(line) if line.contains("00000001.json is missing")), "{error}");
}

#[tokio::test]
async fn intents_are_those_of_the_group_in_order() {
    let (_folder, lake) = lake().await;
    for epoch in 1..=12 {
        let mut second = intent(epoch);
        second.partition = Some(1);
        lake.record_intent(GROUP, epoch, &[intent(epoch), second]).await.expect("intent");
        lake.record_intent("lanes-1", epoch * 2, &[intent(epoch * 2)]).await.expect("intent");
    }
    let found = lake.epochs_after(GROUP, 9).await.expect("intents");
    let found: Vec<_> = found.iter().map(|row| (row.epoch, row.partition.expect("partition"))).collect();
    assert_eq!(found, [(10, 0), (10, 1), (11, 0), (11, 1), (12, 0), (12, 1)]);
    assert_eq!(lake.epochs_after("lanes-1", 22).await.expect("intents"), [intent(24)]);
    let groups = lake.groups().await.expect("groups");
    assert_eq!(groups.iter().map(String::as_str).collect::<Vec<_>>(), [GROUP, "lanes-1"]);
    assert!(matches!(lake.record_intent(GROUP, 13, &[]).await, Err(LakeError::Invalid(_))));
    assert!(matches!(lake.record_intent(GROUP, 13, &[intent(12)]).await, Err(LakeError::Invalid(_))));
}

#[tokio::test]
async fn a_torn_snapshot_is_skipped() {
    let (folder, lake) = lake().await;
    assert_eq!(lake.newest_snapshot(GROUP).await.expect("none"), None);
    let state = |epoch: u8| bytes::Bytes::from(vec![epoch; 100_000]);
    for epoch in 1..=5 {
        lake.put_snapshot(GROUP, epoch.into(), state(epoch)).await.expect("snapshot");
    }
    let path = |epoch: i64| folder.path().join(format!("_plimsoll/snapshots/{GROUP}/{epoch:020}.zst"));
    assert!(!path(2).exists() && path(3).exists());
    assert_eq!(lake.newest_snapshot(GROUP).await.expect("newest"), Some((5, state(5))));

    let whole = std::fs::read(path(5)).expect("bytes");
    let mut damaged = whole.clone();
    *damaged.last_mut().expect("checksum") ^= 1;
    for torn in [whole[..whole.len() - 3].to_vec(), whole[..0].to_vec(), damaged, b"no zstd".to_vec()] {
        std::fs::write(path(5), torn).expect("torn");
        assert_eq!(lake.newest_snapshot(GROUP).await.expect("the one before"), Some((4, state(4))));
    }
    // What to do about it is told by what the next start finds.
    let repairs = async || -> Vec<String> {
        let damages = lake.inspect(false).await.expect("an inspection").damages;
        damages.into_iter().filter(|damage| damage.path.ends_with(".zst")).map(|damage| damage.repair).collect()
    };
    assert_eq!(repairs().await, ["remove it; the next start goes on from the state after epoch 4"]);
    std::fs::remove_file(path(4)).expect("removed");
    std::fs::remove_file(path(3)).expect("removed");
    assert_eq!(repairs().await, ["remove it; the next start makes the state anew from all recorded epochs"]);
    assert!(matches!(lake.put_snapshot("../x", 1, state(1)).await, Err(LakeError::Invalid(_))));
}

#[tokio::test]
async fn r24_definitions_are_found_by_their_digest_or_not_at_all() {
    let (folder, lake) = lake().await;
    let digest = lake.keep_definitions("gold".into()).await.expect("kept");
    assert_eq!(lake.keep_definitions("gold".into()).await.expect("kept again"), digest);
    let other = lake.keep_definitions("silver".into()).await.expect("kept");
    assert_ne!(digest, other);
    assert_eq!(lake.definitions(&digest).await.expect("there"), "gold");
    let path = |digest: &str| folder.path().join(format!("_plimsoll/definitions/{digest}.zst"));
    std::fs::copy(path(&other), path(&digest)).expect("a file");
    let error = lake.definitions(&digest).await.expect_err("another's").to_string();
    assert!(error.contains("holds something else; restore it from a backup"), "{error}");
    std::fs::write(path(&digest), b"torn").expect("a file");
    let error = lake.definitions(&digest).await.expect_err("torn").to_string();
    assert!(error.contains("is damaged"), "{error}");
    std::fs::remove_file(path(&digest)).expect("gone");
    let error = lake.definitions(&digest).await.expect_err("gone").to_string();
    assert!(error.contains(&format!("_plimsoll/definitions/{digest}.zst")) && error.contains("is missing"), "{error}");
}

#[tokio::test]
async fn a_lake_in_a_store_of_objects_keeps_what_one_in_a_folder_keeps() {
    let store = || (Arc::new(object_store::memory::InMemory::new()), Url::parse("memory:///").expect("a URL"));
    let (objects, url) = store();
    let lake = Lake::open_in(objects.clone(), url.clone()).await.expect("a lake");
    let intent = [EpochRow { epoch: 1, ..EpochRow::default() }];
    lake.record_intent("lanes", 1, &intent).await.expect("a free epoch");
    let again = Lake::open_in(objects, url).await.expect("the same lake");
    assert_eq!(again.epochs_after("lanes", 0).await.expect("epochs"), intent);
    let fenced = again.record_intent("lanes", 1, &intent).await;
    assert!(matches!(fenced, Err(LakeError::Fenced { epoch: 1, found: 1, .. })), "{fenced:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_written_where_the_lake_is() {
    let (objects, url) = (Arc::new(object_store::memory::InMemory::new()), Url::parse("s3://lakes/of/acme/"));
    let objects = Arc::new(object_store::prefix::PrefixStore::new(objects, "of/acme"));
    let lake = Lake::open_in(objects.clone(), url.clone().expect("a URL")).await.expect("a lake");
    for epoch in 1..=100 {
        append_services(&lake, GROUP, epoch).await.expect("append");
    }
    lake.maintain().await.expect("maintenance");
    // 100 appends, and a merge.
    assert_eq!(last_checkpoint(&lake, Table::Services).await, Some(101));
    for version in 0..=101 {
        lake.root().delete(&entry_path(Table::Services, version)).await.expect("only the checkpoint is left");
    }
    let again = Lake::open_in(objects, url.expect("a URL")).await.expect("the same lake");
    let files = |lake: Lake| async move { lake.files(Table::Services).await.expect("files") };
    assert_eq!(files(again).await, files(lake).await);
}

#[tokio::test]
async fn r20_a_commit_whose_answer_was_lost_is_known_to_be_ours() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use faulty::{Fault, Faulty};

    let url = || Url::parse("memory:///").expect("a URL");
    for fault in [Fault::AnswerLost, Fault::TriedTwice] {
        let is_first = AtomicBool::new(true);
        let once = move |path: &str| match path.ends_with("_delta_log/00000000000000000001.json") {
            true if path.starts_with("epochs") && is_first.swap(false, Ordering::Relaxed) => fault,
            _ => Fault::None,
        };
        let objects = Arc::new(Faulty::new(once));
        let lake = Lake::open_in(objects.clone(), url()).await.expect("a lake");
        let other = Lake::open_in(objects, url()).await.expect("another process");
        let first = lake.record_intent(GROUP, 1, &[intent(1)]).await;
        match fault {
            Fault::AnswerLost => assert!(matches!(first, Err(LakeError::Unavailable(_))), "{first:?}"),
            _ => first.expect("refused by its own entry, which it knows"),
        }
        // The other would do the very same and did not: its intent is not the one that is there.
        let fenced = other.record_intent(GROUP, 1, &[intent(1)]).await;
        assert!(matches!(fenced, Err(LakeError::Fenced { epoch: 1, found: 1, .. })), "{fenced:?}");
        lake.record_intent(GROUP, 1, &[intent(1)]).await.expect("it is there, and ours");
        let mut another = intent(1);
        another.until_offset = Some(99);
        let fenced = lake.record_intent(GROUP, 1, &[another]).await;
        assert!(matches!(fenced, Err(LakeError::Fenced { epoch: 1, found: 1, .. })), "{fenced:?}");
        assert_eq!(lake.epochs_after(GROUP, 0).await.expect("intents"), [intent(1)], "once");
        // Once the other has gone on, ours is over whoever wrote it.
        other.record_intent(GROUP, 2, &[intent(2)]).await.expect("the next epoch is free");
        let fenced = lake.record_intent(GROUP, 1, &[intent(1)]).await;
        assert!(matches!(fenced, Err(LakeError::Fenced { epoch: 1, found: 2, .. })), "{fenced:?}");
    }
}

#[tokio::test]
async fn a_store_that_takes_nothing_for_a_while_is_unavailable_and_then_takes_the_same_commit() {
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicBool, Ordering};

    use faulty::{Fault, Faulty};

    for (kind, told) in [
        (ErrorKind::StorageFull, "the disk is full; free some space"),
        (ErrorKind::ReadOnlyFilesystem, "the file system is read-only"),
        (ErrorKind::PermissionDenied, "no permission"),
        (ErrorKind::TimedOut, "cannot write"),
    ] {
        // First no data file can be written, then no entry of a log, then everything.
        let (files, entries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (no_files, no_entries) = (files.clone(), entries.clone());
        let objects = Faulty::new(move |path| match path.ends_with(".json") {
            true if no_entries.load(Ordering::Relaxed) => Fault::Refused(kind),
            false if no_files.load(Ordering::Relaxed) => Fault::Refused(kind),
            _ => Fault::None,
        });
        let lake = Lake::open_in(Arc::new(objects), Url::parse("memory:///").expect("a URL")).await.expect("a lake");
        for (no_files, no_entries) in [(true, true), (false, true)] {
            files.store(no_files, Ordering::Relaxed);
            entries.store(no_entries, Ordering::Relaxed);
            let refused = append_services(&lake, GROUP, 1).await;
            assert!(matches!(&refused, Err(LakeError::Unavailable(line)) if line.contains(told)), "{refused:?}");
        }
        entries.store(false, Ordering::Relaxed);
        assert_eq!(append_services(&lake, GROUP, 1).await.expect("taken"), Appended::Written { version: 1 });
        assert_eq!(rows(&lake, Table::Services).await, 1);
    }
}
