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
