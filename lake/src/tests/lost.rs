//! Tables that are gone or have lost what was committed to them, and logs that say something else than was written.

use super::*;

const EPOCHS: i64 = 3;

/// A lake with three epochs, each with a row of `services`; the state after the last one is saved or not.
async fn worked(is_saved: bool) -> (TempDir, Lake) {
    let (folder, lake) = lake().await;
    for epoch in 1..=EPOCHS {
        record(&lake, epoch).await;
        append_services(&lake, GROUP_OF_ONE, epoch).await.expect("rows");
    }
    if is_saved {
        lake.put_snapshot(GROUP_OF_ONE, EPOCHS, "state".into()).await.expect("a snapshot");
    }
    (folder, lake)
}

const GROUP_OF_ONE: &str = "plimsoll";

/// Records an epoch under definitions that are kept.
async fn record(lake: &Lake, epoch: i64) {
    let definitions = lake.keep_definitions("gold".into()).await.expect("kept");
    let row = EpochRow { definitions, ..intent(epoch) };
    lake.record_intent(GROUP_OF_ONE, epoch, &[row]).await.expect("intent");
}

fn place(folder: &Path) -> &str {
    folder.to_str().expect("UTF-8")
}

/// What a start says, and the paths and texts of an inspection.
async fn told(folder: &Path) -> (Option<String>, Vec<(String, String)>) {
    let start = async { Lake::open(place(folder)).await?.recovery(GROUP_OF_ONE).await };
    let start = start.await.err().map(|error| {
        assert!(matches!(error, LakeError::Corrupt(_)), "{error:?}");
        error.to_string()
    });
    let found = inspect(place(folder), true).await.expect("an inspection").damages;
    (start, found.into_iter().map(|damage| (damage.path, damage.what)).collect())
}

#[tokio::test]
async fn a_whole_lake_is_gone_on_from() {
    for is_saved in [true, false] {
        let (folder, lake) = worked(is_saved).await;
        assert_eq!(told(folder.path()).await, (None, Vec::new()));
        let found = lake.recovery(GROUP_OF_ONE).await.expect("a recovery");
        assert_eq!(found.snapshot, is_saved.then(|| (EPOCHS, "state".into())));
        let first = if is_saved { EPOCHS } else { 1 };
        let epochs: Vec<i64> = found.intents.iter().map(|row| row.epoch).collect();
        assert_eq!(epochs, (first..=EPOCHS).collect::<Vec<_>>());
        assert_eq!(damaged_sources(place(folder.path())).await.expect("an inspection"), []);
    }
}

#[tokio::test]
async fn a_table_that_is_gone_is_not_made_anew_once_anything_was_committed() {
    let (folder, lake) = worked(false).await;
    std::fs::remove_dir_all(folder.path().join("attainment")).expect("a folder");
    for opened in [Lake::open(place(folder.path())).await, Lake::open_existing(place(folder.path())).await] {
        let error = opened.expect_err("attainment is gone").to_string();
        assert!(error.contains("the tables attainment are gone") && error.ends_with("plimsoll rebuild"), "{error}");
    }
    assert!(!folder.path().join("attainment").exists());
    let (_, found) = told(folder.path()).await;
    assert_eq!(found, [("attainment/_delta_log".to_owned(), "table attainment has no log".to_owned())]);
    std::fs::remove_dir_all(folder.path().join("events/_delta_log")).expect("a folder");
    let error = Lake::open(place(folder.path())).await.expect_err("events are gone").to_string();
    assert!(error.contains("the tables events, attainment are gone") && error.contains("if Kafka has all"), "{error}");

    // All of them are gone, and a state is saved.
    lake.put_snapshot(GROUP_OF_ONE, EPOCHS, "state".into()).await.expect("a snapshot");
    for table in Table::ALL {
        let _ = std::fs::remove_dir_all(folder.path().join(table.name()));
    }
    let error = Lake::open(place(folder.path())).await.expect_err("all are gone").to_string();
    assert!(error.contains("epochs") && error.contains("are gone"), "{error}");
}

#[tokio::test]
async fn a_lake_whose_making_was_broken_off_is_made_whole() {
    let (folder, _) = lake().await;
    for gone in ["attainment", "events", "epochs"] {
        std::fs::remove_dir_all(folder.path().join(gone)).expect("a folder");
    }
    let lake = Lake::open(place(folder.path())).await.expect("it goes on");
    append_services(&lake, GROUP_OF_ONE, 1).await.expect("rows");
    // A hint at a checkpoint that there never was.
    let hint = folder.path().join("services/_delta_log/_last_checkpoint");
    std::fs::write(hint, r#"{"version":900,"size":1}"#).expect("a file");
    assert_eq!(rows(&open(folder.path()).await, Table::Services).await, 1);
}

#[tokio::test]
async fn a_log_that_lost_its_newest_entry_is_found_at_the_start() {
    for (table, is_saved, start) in [
        (Table::Services, true, Some("table services: its log had epoch 3 of group plimsoll when the state was saved")),
        (Table::Epochs, true, Some("table epochs: its log had epoch 3 of group plimsoll when the state was saved")),
        (Table::Epochs, false, Some("table epochs: epoch 3 of group plimsoll is missing, of which table services")),
        // Recovery commits it again.
        (Table::Services, false, None),
    ] {
        let (folder, _) = worked(is_saved).await;
        std::fs::remove_file(folder.path().join(entry_path(table, EPOCHS).as_ref())).expect("an entry");
        let (said, found) = told(folder.path()).await;
        assert_eq!(said.is_some(), start.is_some(), "{said:?}");
        assert!(said.is_none_or(|said| said.starts_with(start.unwrap_or_default())), "{start:?}");
        let paths: Vec<_> = found.into_iter().map(|(path, _)| path).collect();
        let expected: Vec<_> = start.iter().map(|_| format!("{}/_delta_log", table.name())).collect();
        assert_eq!(paths, expected, "saved: {is_saved}");
        let sources = damaged_sources(place(folder.path())).await.expect("an inspection");
        assert_eq!(!sources.is_empty(), table == Table::Epochs, "{sources:?}");
    }
}

#[tokio::test]
async fn what_went_on_behind_a_lost_entry_is_found() {
    // `services` lost epoch 2 and was written to again, as older versions did; its file is still there.
    let (folder, lake) = worked(false).await;
    for epoch in [2, 3] {
        std::fs::remove_file(folder.path().join(entry_path(Table::Services, epoch).as_ref())).expect("an entry");
    }
    drop(lake);
    append_services(&open(folder.path()).await, GROUP_OF_ONE, 3).await.expect("rows");
    let (_, found) = told(folder.path()).await;
    let [(path, what)] = &found[..] else { panic!("{found:?}") };
    assert!(path == "services/_delta_log" && what.contains("does not know services/plimsoll-000000000002-"), "{what}");

    // The same of `epochs`, whose rows are missing.
    let (folder, lake) = lake_with_hole().await;
    let said = lake.recovery(GROUP_OF_ONE).await.expect_err("a hole").to_string();
    assert!(said.starts_with("table epochs: epoch 3 of group plimsoll is missing before epoch 4; restore"), "{said}");
    let sources = damaged_sources(place(folder.path())).await.expect("an inspection");
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0].what, "epoch 3 of group plimsoll is missing before epoch 4");
}

async fn lake_with_hole() -> (TempDir, Lake) {
    let (folder, lake) = lake().await;
    for epoch in [1, 2, 4] {
        record(&lake, epoch).await;
    }
    (folder, lake)
}

/// Replaces a text in an entry. Without its hash it is as one that a checkpoint tells, or another program wrote.
fn change(folder: &Path, table: Table, from: &str, to: &str, is_hashed: bool) {
    let path = folder.join(entry_path(table, EPOCHS).as_ref());
    let text = std::fs::read_to_string(&path).expect("an entry");
    assert!(text.contains(from), "{text}");
    let text = text.replace(from, to);
    std::fs::write(path, if is_hashed { text } else { text.replace("actionsXxh3", "other") }).expect("an entry");
}

#[tokio::test]
async fn an_entry_that_says_something_else_than_was_written_is_not_believed() {
    let (rows, epoch) = (r#"\"numRecords\":1"#, r#""version":3"#);
    for (table, from, to) in [
        (Table::Services, rows, r#"\"numRecords\":3"#),
        (Table::Services, epoch, r#""version":7"#),
        (Table::Epochs, epoch, r#""version":7"#),
        (Table::Services, r#"\"web\""#, r#"\"wed\""#),
    ] {
        let (folder, _) = worked(true).await;
        change(folder.path(), table, from, to, true);
        let (said, found) = told(folder.path()).await;
        let expected = format!("table {}: ", table.name());
        let is_named =
            |said: &str| said.starts_with(&expected) && said.contains("it holds something else than was written");
        assert!(said.as_deref().is_some_and(is_named), "{said:?}");
        assert!(found.len() == 1 && is_named(&found[0].1) && !found[0].1.contains("restore"), "{found:?}");

        let (folder, _) = worked(true).await;
        change(folder.path(), table, from, to, false);
        let (said, found) = told(folder.path()).await;
        // Nobody else has recorded epoch 7.
        let blames =
            "table epochs: its log says that epoch 7 of group plimsoll is recorded, but it has rows of epochs up to 3";
        assert_eq!(said.is_some_and(|said| said.starts_with(blames)), table == Table::Epochs);
        assert!(found.len() == 1 && found[0].0.starts_with(table.name()), "{found:?}");
    }
}

#[tokio::test]
async fn a_checkpoint_says_of_every_file_what_is_in_it() {
    let (folder, lake) = lake().await;
    for epoch in 1..=12 {
        record(&lake, epoch).await;
        let of_days = events(&[("web", LAST_OF_JANUARY, "1"), ("web", FIRST_OF_FEBRUARY, "2")], epoch);
        for (table, batch) in [(Table::Events, of_days), (Table::Attainment, attainment(epoch))] {
            lake.append(table, vec![batch], GROUP_OF_ONE, epoch).await.expect("rows");
        }
    }
    lake.maintain().await.expect("merged");
    for table in [Table::Events, Table::Attainment, Table::Epochs] {
        lake.checkpoint(table).await.expect("a checkpoint");
    }
    assert_eq!(told(folder.path()).await, (None, Vec::new()));
}

#[tokio::test]
async fn definitions_that_are_there_are_not_written_again() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use faulty::{Fault, Faulty};

    let is_full = Arc::new(AtomicBool::new(false));
    let full = is_full.clone();
    let objects = Faulty::new(move |_| match full.load(Ordering::Relaxed) {
        true => Fault::Refused(std::io::ErrorKind::StorageFull),
        false => Fault::None,
    });
    let lake = Lake::open_in(Arc::new(objects), Url::parse("memory:///").expect("a URL")).await.expect("a lake");
    let digest = lake.keep_definitions("gold".into()).await.expect("kept");
    is_full.store(true, Ordering::Relaxed);
    assert_eq!(lake.keep_definitions("gold".into()).await.expect("they are there"), digest);
    assert!(matches!(lake.keep_definitions("silver".into()).await, Err(LakeError::Unavailable(_))));
}

/// All files below a folder, by their paths.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        match path.is_dir() {
            true => waiting.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("one").path())),
            false => drop(found.insert(path.clone(), std::fs::read(&path).expect("a file"))),
        }
    }
    found
}

#[tokio::test]
async fn tables_are_made_anew_only_where_nothing_else_is() {
    let (folder, lake) = worked(true).await;
    let beside = tempfile::tempdir().expect("folder");
    let at = |name: &str| beside.path().join(name);
    // Where nothing is, and where it was broken off: before any epoch was recorded, and after the first two.
    for _ in 0..2 {
        lake.open_anew(place(&at("new"))).await.expect("a place");
    }
    let begun = open(&at("new")).await;
    for epoch in 1..EPOCHS {
        let rows = lake.epochs_after(GROUP_OF_ONE, epoch - 1).await.expect("rows");
        begun.record_intent(GROUP_OF_ONE, epoch, &rows[..1]).await.expect("an intent");
    }
    lake.open_anew(place(&at("new"))).await.expect("a place");

    let refused = async |location: &Path, told: &str| {
        let before = files_below(beside.path());
        let error = lake.open_anew(place(location)).await.expect_err(told).to_string();
        assert!(error.contains(told) && error.ends_with("; name a place where nothing is yet"), "{error}");
        assert_eq!(files_below(beside.path()), before, "{told}");
    };
    let itself = "is the lake itself, or lies within it or around it";
    for location in
        [folder.path(), &folder.path().join("x/y"), &folder.path().join("."), folder.path().parent().expect("one")]
    {
        refused(location, itself).await;
    }
    std::fs::create_dir(at("notes")).expect("a folder");
    std::fs::write(at("notes/all.yaml"), "kind: Service").expect("a file");
    refused(&at("notes"), "is not empty, and holds no tables").await;
    // Another group, another epoch under the same name, and one that went on.
    let other = open(&at("other")).await;
    other.record_intent("other", 1, &[intent(1)]).await.expect("an intent");
    refused(&at("other"), "holds tables with another history, from epoch 1 of group other on").await;
    begun.record_intent(GROUP_OF_ONE, EPOCHS, &[intent(EPOCHS)]).await.expect("an intent");
    refused(&at("new"), "holds tables with another history, from epoch 3 of group plimsoll on").await;
    let whole = open(&at("whole")).await;
    for epoch in 1..=EPOCHS {
        let rows = lake.epochs_after(GROUP_OF_ONE, epoch - 1).await.expect("rows");
        whole.record_intent(GROUP_OF_ONE, epoch, &rows[..1]).await.expect("an intent");
    }
    lake.open_anew(place(&at("whole"))).await.expect("a place");
    whole.record_intent(GROUP_OF_ONE, EPOCHS + 1, &[intent(EPOCHS + 1)]).await.expect("an intent");
    refused(&at("whole"), "holds tables with another history, from epoch 4 of group plimsoll on").await;
}

#[tokio::test]
async fn requests_for_dead_letters_that_somebody_needs_are_missed_and_no_number_is_given_twice() {
    let (folder, lake) = worked(false).await;
    let file = |number: i64| folder.path().join(format!("_plimsoll/retries/{number:020}.zst"));
    for number in 0..3 {
        assert!(lake.put_retry(number, "letters".into()).await.expect("a store"));
    }
    let reads = async |epoch: i64, until: i64| {
        let definitions = lake.keep_definitions("gold".into()).await.expect("kept");
        let topic = Some(plimsoll_schemas::delivery::PartitionId::retries().topic.to_string());
        let row = EpochRow { topic, from_offset: Some(0), until_offset: Some(until), definitions, ..intent(epoch) };
        lake.record_intent(GROUP_OF_ONE, epoch, &[row]).await.expect("an intent");
    };
    // The first was read and its state saved; the second was read; nobody has read the third.
    reads(EPOCHS + 1, 1).await;
    lake.put_snapshot(GROUP_OF_ONE, EPOCHS + 1, "state".into()).await.expect("a snapshot");
    reads(EPOCHS + 2, 2).await;
    assert_eq!(told(folder.path()).await, (None, Vec::new()));
    for number in 0..3 {
        let whole = std::fs::read(file(number)).expect("a file");
        let path = format!("_plimsoll/retries/{number:020}.zst");
        std::fs::write(file(number), &whole[..whole.len() - 3]).expect("damaged");
        let (start, found) = told(folder.path()).await;
        let expected = if number == 0 { None } else { Some(&path) };
        assert_eq!((start, found.iter().map(|(path, _)| path).next()), (None, expected), "{found:?}");
        std::fs::remove_file(file(number)).expect("a file");
        let (_, found) = told(folder.path()).await;
        // One that nobody has read, and that is gone without one after it, was never there.
        let expected =
            if number == 1 { vec![(path, "dead letters to take again are missing".to_owned())] } else { Vec::new() };
        assert_eq!(found, expected);
        assert_eq!(lake.next_retry().await.expect("a number"), if number == 2 { 2 } else { 3 });
        std::fs::write(file(number), whole).expect("restored");
    }
    for number in 0..3 {
        std::fs::remove_file(file(number)).expect("a file");
    }
    assert_eq!(lake.next_retry().await.expect("a number"), 2, "two were read");
}
