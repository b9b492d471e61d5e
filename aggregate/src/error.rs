//! What can go wrong in the worker, by what the operator has to do.

use plimsoll_engine::lane::SnapshotError;
use plimsoll_engine::shards::PlacementError;
use plimsoll_lake::LakeError;

/// Why the worker stopped.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// The tables could not be read or written; the lake's message says what to do.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Another lane group keeps these tables.
    #[error(
        "these tables are kept by group {found}; group {group} would store every event a second time: go on as group \
         {found}, or choose another lake"
    )]
    OtherGroup {
        /// The group of this worker.
        group: String,
        /// The group whose epochs are in the lake.
        found: String,
    },
    /// These tables are kept by one process, not by shards.
    #[error(
        "these tables are kept by group {found} as a whole; shards of group {group} would store every event a second time: \
         go on with `plimsoll run --group {found}`, or choose another lake"
    )]
    WholeGroup {
        /// The group of this worker.
        group: String,
        /// The group whose epochs are in the lake.
        found: String,
    },
    /// These tables are kept by shards, not by one process.
    #[error(
        "these tables are kept by {shards} shards of group {found}; group {group} as a whole would store every event a \
         second time: go on with `plimsoll ingest` and `plimsoll aggregate --group {found}`, or choose another lake"
    )]
    ShardedGroup {
        /// The group of this worker.
        group: String,
        /// The group whose epochs are in the lake.
        found: String,
        /// How many shards it has.
        shards: u32,
    },
    /// These tables are kept by another number of shards.
    #[error("these tables are kept by {found} shards, not by {asked}; the number is for good: give --shards {found}")]
    OtherShards {
        /// As recorded.
        found: u32,
        /// As asked for.
        asked: u32,
    },
    /// The record of what is measured where is not understood.
    #[error(
        "the record of what each shard measures, in _plimsoll/shards, is not understood ({0}); restore it from a backup"
    )]
    Placement(String),
    /// Definitions cannot be measured by the shards as they are.
    #[error(transparent)]
    Joined(#[from] PlacementError),
    /// The state could not be restored; the message says what to do.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A saved state is not what was written, or of another version of the program.
    #[error("{path} in the lake: {cause}")]
    Saved {
        /// The file in the lake.
        path: String,
        /// What is wrong with it, and what to do.
        cause: SnapshotError,
    },
    /// The definitions under which recorded epochs were folded are no longer understood.
    #[error(
        "the definitions under which the last epochs were recorded cannot be read ({0}); start and stop the version of \
         plimsoll that recorded them once, then this one"
    )]
    Texts(String),
    /// Rows could not be made into columns. A defect of Plimsoll: report it.
    #[error("facts cannot be written as columns: {0}")]
    Columns(#[from] arrow_schema::ArrowError),
    /// A thread could not be started; the machine has too few resources.
    #[error("the thread {name} cannot be started: {cause}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The writer thread ended before the worker. A defect of Plimsoll: report it.
    #[error("the writer thread ended unexpectedly")]
    WriterGone,
}

impl AggregateError {
    /// True when others keep the tables.
    pub fn is_of_others(&self) -> bool {
        use AggregateError::{OtherGroup, OtherShards, ShardedGroup, WholeGroup};
        matches!(self, OtherGroup { .. } | WholeGroup { .. } | ShardedGroup { .. } | OtherShards { .. })
    }

    /// True when another worker keeps the lane group: nothing is wrong but that there are two.
    pub fn is_fenced(&self) -> bool {
        matches!(self, AggregateError::Lake(LakeError::Fenced { .. }))
    }
}
