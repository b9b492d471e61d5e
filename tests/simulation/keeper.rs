//! Who looks after the tables and who reads them, beside the processes that aggregate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use plimsoll_lake::{ActiveFile, Lake, LakeError};
use plimsoll_schemas::table::Table;

use crate::chance::Dice;
use crate::process::{Common, url};
use crate::requests::ask_again;
use crate::store::{Disk, SimulatedStore};
use crate::tables::{bytes, counted, rows};

/// What somebody does besides.
#[derive(Clone, Copy, Debug)]
pub enum Errand {
    /// Merges files, writes checkpoints, and removes what nobody needs, as `plimsoll maintain` does.
    Upkeep,
    /// Asks for dead letters, as `plimsoll dead-letters replay` does.
    Replay,
}

/// Runs an errand, which may fail at any point.
pub async fn run(errand: Errand, store: SimulatedStore, common: &Common, mut dice: Dice) -> Result<(), LakeError> {
    let lake = Lake::open_in(Arc::new(store.clone()), url()).await?;
    match errand {
        Errand::Replay => ask_again(&lake).await,
        Errand::Upkeep => {
            for _ in 0..dice.between(1, 3) {
                lake.maintain().await?;
                store.pause().await;
                if dice.permille(200) {
                    lake.checkpoint(*dice.pick(&Table::ALL)).await?;
                    store.pause().await;
                }
                let oldest = common.oldest();
                lake.vacuum_before(oldest, oldest).await?;
            }
            Ok(())
        }
    }
}

/// The lake as somebody finds it to whom nothing happens; none when its tables are not there yet.
pub async fn open(disk: &Disk) -> Option<Lake> {
    for table in Table::ALL {
        let first = Path::from(format!("{}/_delta_log/{:020}.json", table.name(), 0));
        let last = Path::from(format!("{}/_delta_log/_last_checkpoint", table.name()));
        if disk.objects().head(&first).await.is_err() && disk.objects().head(&last).await.is_err() {
            return None;
        }
    }
    Some(Lake::open_in(disk.objects(), url()).await.expect("a lake"))
}

/// Somebody who asks something, and takes its time: it has found which files there are, and reads them later.
pub struct Reader {
    lake: Lake,
    files: Vec<Arc<ActiveFile>>,
    table: Table,
    /// What the table said then, a row each, with how often.
    said: BTreeMap<String, usize>,
}

/// Of one of these tables a reader keeps what it said: facts, results and what is told of them.
const KEPT: [Table; 5] = [Table::Events, Table::DeadLetters, Table::Attainment, Table::Breaches, Table::Corrections];

impl Reader {
    /// Begins to read what there is; none when the tables are not there yet.
    pub async fn begin(disk: &Disk, dice: &mut Dice) -> Option<Reader> {
        let lake = open(disk).await?;
        let (mut files, table) = (Vec::new(), *dice.pick(&KEPT));
        for table in Table::ALL {
            files.extend(lake.files(table).await.expect("files").files.iter().cloned());
        }
        let said = counted(&rows(&lake, table).await.expect("rows"));
        Some(Reader { lake, files, table, said })
    }

    /// Reads what it found at its beginning: everything is there still.
    pub async fn misses_no_file(&self) {
        for file in &self.files {
            bytes(&self.lake, file).await.unwrap_or_else(|error| panic!("a reader misses {}: {error}", file.path));
        }
    }

    /// What it was told is history: it stands in the tables for ever (R25), as often as it did.
    pub async fn what_was_said_stands(&self, lake: &Lake) {
        let now = counted(&rows(lake, self.table).await.expect("rows"));
        let gone = self.said.iter().filter(|(row, count)| now.get(*row).is_none_or(|now| now < count));
        let gone: BTreeSet<&String> = gone.map(|(row, _)| row).collect();
        assert!(gone.is_empty(), "{} no longer says: {gone:?}", self.table.name());
    }
}
