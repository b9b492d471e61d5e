//! What can go wrong with the lake, by what the operator has to do about it.

use plimsoll_schemas::table::Table;

/// Whatever went wrong, before it is told what has to be done about it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the lake. Callers decide on the kind alone; the message is one line for people.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// What was asked for cannot be: a wrong path, an unknown scheme, columns of another version. Trying again does not
    /// help; the operator corrects what the message names.
    #[error("{0}")]
    Invalid(String),
    /// The storage does not let us now: disk full, no permission, read-only, not reachable. Nothing is half-written;
    /// the operator puts right what the message names, and the same step may be tried again.
    #[error("{0}")]
    Unavailable(String),
    /// Another worker has taken over the lane group. This worker must stop working on the group; nothing is lost, and
    /// the operator has nothing to do.
    #[error(
        "lane group {group} is kept by another worker, which has recorded epoch {found} (table {table}, where this one was \
         to write {epoch}); nothing is lost. One process keeps a group: let the other go on, or stop it and start this one",
        table = .table.name()
    )]
    Fenced {
        /// The table that showed it.
        table: Table,
        /// The lane group.
        group: String,
        /// The epoch that was to be written.
        epoch: i64,
        /// The epoch that the table holds already.
        found: i64,
    },
    /// What is stored cannot be read. The operator restores the file that the message names from a backup.
    #[error("{0}")]
    Corrupt(String),
    /// A defect of Plimsoll. The operator reports it.
    #[error("{0}; this is a defect, please report it")]
    Internal(String),
}
