//! Upkeep of the tables while `run` runs, in a task of its own: small files merged, checkpoints written, old files
//! removed and missing ones noticed.

use std::time::Duration;

use plimsoll_lake::{Lake, LakeError};
use tokio::time::{Instant as Moment, sleep};

use crate::definitions::counted;
use crate::shutdown::Shutdown;

/// How often small files are merged, unless said.
pub const MAINTAIN_EVERY: Duration = Duration::from_mins(1);

/// How often old files are looked for, and missing ones: that lists all there are.
const VACUUM_EVERY: Duration = Duration::from_hours(1);

/// Keeps the tables small until the shutdown. `every` is how often small files are merged, `kept` how long files stay after
/// that. When it fails it is said once, and tried again.
pub async fn keep_small(lake: Lake, every: Duration, kept: Duration, shutdown: Shutdown) {
    let mut next_vacuum = Moment::now() + every;
    let mut is_failing = false;
    loop {
        let work = async {
            sleep(every).await;
            let is_due = Moment::now() >= next_vacuum;
            (is_due, upkeep(&lake, is_due.then_some(kept)).await)
        };
        let (was_due, done) = tokio::select! {
            done = work => done,
            () = shutdown.requested() => return,
        };
        if was_due {
            next_vacuum = Moment::now() + VACUUM_EVERY;
        }
        match done {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                eprintln!("warning: no upkeep of the tables: {error}; still trying");
                is_failing = true;
            }
            Err(_) => {}
        }
    }
}

async fn upkeep(lake: &Lake, vacuum: Option<Duration>) -> Result<(), LakeError> {
    // What cannot be merged is no reason to keep what is old.
    let merged = lake.maintain().await;
    if let Some(kept) = vacuum {
        let removed = lake.vacuum(kept).await?;
        tracing::debug!(removed.files, removed.log_entries, "old files removed");
        let known = lake.damaged_count();
        if let Some(path) = lake.look_for_damage().await?
            && lake.damaged_count() > known
        {
            let files = counted(lake.damaged_count(), "file");
            eprintln!(
                "warning: the tables lack {files} or have them damaged, such as {path}; `plimsoll doctor` says what to do"
            );
        }
    }
    tracing::debug!(merged = merged?, "small files merged");
    Ok(())
}
