//! What comes back from storage and is not what was written: bits that flipped, ends that are missing, noise. Each gives
//! what can still be read, or an error that names the file or its table.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// The files of a small lake that are read to find out what is in it, with their contents.
fn told(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if ["_delta_log", "_plimsoll", "epochs"].iter().any(|part| path.iter().any(|name| name == *part)) {
            found.push((path.clone(), std::fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}

/// Reads all that a start reads; the first error, if there is one.
async fn read_all(folder: &Path, digest: &str) -> Result<(), LakeError> {
    let lake = Lake::open(folder.to_str().expect("UTF-8")).await?;
    lake.groups().await?;
    lake.newest_snapshot(GROUP).await?;
    lake.definitions(digest).await?;
    for table in [Table::Services, Table::Epochs] {
        lake.files(table).await?;
    }
    lake.epochs_after(GROUP, 0).await.map(drop)
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Noise(Vec<u8>),
}

#[test]
fn a_damaged_file_is_named_or_skipped_and_never_ends_the_process() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (folder, digest) = runtime.block_on(async {
        let (folder, lake) = lake().await;
        let digest = lake.keep_definitions(bytes::Bytes::from_static(b"what was promised")).await.expect("kept");
        for epoch in 1..=3 {
            lake.record_intent(GROUP, epoch, &[intent(epoch)]).await.expect("intent");
            append_services(&lake, GROUP, epoch).await.expect("rows");
            lake.put_snapshot(GROUP, epoch, bytes::Bytes::from(vec![7; 1_000])).await.expect("a snapshot");
        }
        lake.checkpoint(Table::Services).await.expect("a checkpoint");
        append_services(&lake, GROUP, 4).await.expect("rows");
        read_all(folder.path(), &digest).await.expect("a whole lake");
        (folder, digest)
    });
    let files = told(folder.path());
    let kinds = [".json", ".checkpoint.parquet", "_last_checkpoint", ".zst", ".parquet"];
    let has = |kind: &&str| files.iter().any(|(path, _)| path.to_string_lossy().ends_with(*kind));
    assert!(kinds.iter().all(has), "{files:?}");
    let damage = prop_oneof![
        4 => (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Damage::Noise),
    ];
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let tried = runner.run(&(any::<Index>(), damage), |(file, damage)| {
        let (path, content) = file.get(&files);
        let mut damaged = content.clone();
        match damage {
            Damage::Flip(at, bit) if !damaged.is_empty() => damaged[at.index(content.len())] ^= 1 << bit,
            Damage::Flip(..) => {}
            Damage::Cut(at) => damaged.truncate(at.index(content.len() + 1)),
            Damage::Noise(noise) => damaged = noise,
        }
        std::fs::write(path, damaged).expect("damaged");
        let read = runtime.block_on(read_all(folder.path(), &digest));
        std::fs::write(path, content).expect("mended");
        if let Err(error) = read {
            let text = error.to_string();
            let parts = path.strip_prefix(folder.path()).expect("within").iter();
            // An entry that lacks its end may hide that others follow: then the table is named, or the next entry.
            let is_named = parts.map(|part| part.to_string_lossy()).any(|part| text.contains(&*part));
            prop_assert!(is_named && !text.contains('\n'), "{}: {}", path.display(), text);
        }
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(read_all(folder.path(), &digest)).expect("a whole lake");
}

#[test]
fn versions_at_the_end_of_all_numbers_are_no_overflow() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (folder, lake) = lake().await;
        append_services(&lake, GROUP, 1).await.expect("rows");
        lake.checkpoint(Table::Services).await.expect("a checkpoint");
        let log = folder.path().join("services/_delta_log");
        let checkpoint = std::fs::read_dir(&log).expect("a log").map(|entry| entry.expect("an entry").path());
        let checkpoint = checkpoint.into_iter().find(|path| path.to_string_lossy().ends_with(".checkpoint.parquet"));
        let last = format!("{:020}.checkpoint.parquet", i64::MAX);
        std::fs::copy(checkpoint.expect("a checkpoint"), log.join(&last)).expect("a copy");
        let opened = Lake::open(folder.path().to_str().expect("UTF-8")).await;
        let read = match opened {
            Ok(lake) => lake.files(Table::Services).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            assert!(error.to_string().contains("services"), "{error}");
        }
    });
}
