//! What can stop ingest. A record that cannot be used is not among it: that is a dead letter.

use std::path::PathBuf;

use arrow_schema::ArrowError;
use thiserror::Error;

/// What whoever runs ingest must do about an error; loops match on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request or the definition is wrong: correct it. Trying again is of no use.
    Invalid,
    /// Something outside is not there or not ready: try again later.
    Unavailable,
    /// The input is damaged: get an intact copy.
    Corrupt,
    /// A defect of Plimsoll: report it.
    Internal,
}

/// What can stop ingest.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A file cannot be opened.
    #[error("cannot read {path}: {cause}; check the path and its permissions", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// A file cannot be read to its end. The records that stood before that place were handed on.
    #[error("{path} cannot be read beyond line {line}: {cause}; {advice}", path = path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The last line that was read as a whole; 0 if there is none.
        line: i64,
        /// What the operating system or the decompressor said.
        #[source]
        cause: std::io::Error,
        /// What to do.
        advice: String,
    },
    /// A file is not what its first bytes or its source say.
    #[error("{path} cannot be used: {detail}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A delivery was asked for that does not cover the records decoded since the last one.
    #[error(
        "a delivery of offsets {from_offset} to {until_offset} does not cover the decoded offsets {first} to {last}"
    )]
    Offsets {
        /// The first offset asked for.
        from_offset: i64,
        /// The first offset no longer asked for.
        until_offset: i64,
        /// The smallest decoded offset.
        first: i64,
        /// The greatest decoded offset.
        last: i64,
    },
    /// The decoded columns do not make a batch.
    #[error("the decoded columns do not make a batch: {0}; take smaller batches")]
    Columns(#[from] ArrowError),
    /// A setting of the Kafka consumer cannot be used.
    #[error("kafka: {0}")]
    KafkaSetting(String),
    /// librdkafka refuses to work.
    #[error("the kafka client cannot work: {0}")]
    KafkaClient(String),
    /// The exchange between roles does not work.
    #[error("the exchange: {0}")]
    Exchange(String),
    /// The consumer's thread ended in a panic.
    #[error("the kafka poll thread ended in a panic; please report it with the lines above")]
    KafkaPanic,
    /// A partition ends before the offset that the tables need next.
    #[error(
        "partition {partition} of topic {topic} is to be read from offset {offset} on and has no such record, though it \
         begins at {beginning}: the topic was created anew, or its newest records were lost; nothing was read of it. Let \
         producers write to a topic of another name and name that in the source, or give the tables a fresh folder"
    )]
    KafkaOffset {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was to be read.
        offset: i64,
        /// The first offset that the partition holds.
        beginning: i64,
    },
    /// A topic is not the one that was read under this name.
    #[error(
        "topic {topic} was deleted and created anew: its id is {found} and was {known}, so its offsets are others than \
         those that were read; {read}. Let producers write to a topic of another name and name that in the \
         source, or give the tables a fresh folder"
    )]
    KafkaTopic {
        /// The topic.
        topic: String,
        /// The id of the topic that was read.
        known: String,
        /// The id that it has now.
        found: String,
        /// What was read of it, in words.
        read: String,
    },
}

impl IngestError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            IngestError::File { cause, .. } => match cause.kind() {
                std::io::ErrorKind::NotFound
                | std::io::ErrorKind::PermissionDenied
                | std::io::ErrorKind::IsADirectory => ErrorKind::Invalid,
                _ => ErrorKind::Unavailable,
            },
            // Only the operating system's errors have a number; the others are those of a decompressor.
            IngestError::CutOff { cause, .. } if cause.raw_os_error().is_some() => ErrorKind::Unavailable,
            IngestError::CutOff { .. } => ErrorKind::Corrupt,
            IngestError::Format { .. } | IngestError::KafkaSetting(_) => ErrorKind::Invalid,
            IngestError::KafkaClient(_) | IngestError::Exchange(_) => ErrorKind::Unavailable,
            IngestError::KafkaOffset { .. } | IngestError::KafkaTopic { .. } => ErrorKind::Corrupt,
            IngestError::Offsets { .. } | IngestError::Columns(_) | IngestError::KafkaPanic => ErrorKind::Internal,
        }
    }
}
