//! Three logs that nobody of this project wrote, through Kafka and through `judge`, beside computations in Python that
//! share no code with Plimsoll. Skipped, with a line that says so, where the logs are absent.

use std::path::PathBuf;

use crate::support::repository;

/// Where the logs are: `$PLIMSOLL_DATA`, or `shared/data` beside the repository.
pub fn data(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PLIMSOLL_DATA").map_or_else(|| repository("../shared/data"), PathBuf::from);
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("skipped: {} is not there; PLIMSOLL_DATA names the folder of the logs", found.display());
    None
}
