//! The columns of `epochs` and the row type that mirrors them.

use serde::{Deserialize, Serialize};

use super::Type::{Boolean, Integer, SmallInteger, Text, Time};
use super::rows::EPOCH;
use super::{Column, OPTIONAL, REQUIRED, Table, TableRow};
use crate::time::Instant;

pub(super) const EPOCHS: &[Column] = &[
    EPOCH,
    ("tick", Time, REQUIRED, "wall-clock time of the epoch, the only one its results know, UTC"),
    ("publish", Boolean, REQUIRED, "true when the epoch also wrote provisional results"),
    ("watermark", Time, OPTIONAL, "watermark before the epoch, UTC (R23); null when nothing was known yet"),
    (
        "known_until",
        Time,
        OPTIONAL,
        "watermark after the epoch: what happened before it is known, UTC (R23); null when nothing was known yet",
    ),
    ("definitions", Text, REQUIRED, "digest of the definitions under which it was folded"),
    (
        "remembered_us",
        Integer,
        REQUIRED,
        "how far behind the watermark results could be restated, in microseconds of real time (R21)",
    ),
    ("recounted", Boolean, REQUIRED, "true when stored events were taken again before it (R22, R24)"),
    ("topic", Text, OPTIONAL, "topic or file read from; null when the epoch read nothing"),
    ("partition", SmallInteger, OPTIONAL, "partition read from"),
    ("from_offset", Integer, OPTIONAL, "first offset of the range"),
    ("until_offset", Integer, OPTIONAL, "first offset after the range; the same when it holds no record"),
    (
        "complete_until",
        Time,
        OPTIONAL,
        "everything that the partition held at this time had been read, UTC (R23); null when that was not proved",
    ),
    (
        "lost_count",
        Integer,
        OPTIONAL,
        "how many records Kafka had deleted before they were read, at most: such a part of a range has a row of its own; \
         null for a range that was read",
    ),
    ("topic_id", Text, OPTIONAL, "id that Kafka gave the topic when it was created; null where it tells none"),
];

/// A row of `epochs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of EPOCHS, described there")]
pub struct EpochRow {
    pub epoch: i64,
    pub tick: Instant,
    pub publish: bool,
    pub watermark: Option<Instant>,
    pub known_until: Option<Instant>,
    pub definitions: String,
    pub remembered_us: i64,
    pub recounted: bool,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub from_offset: Option<i64>,
    pub until_offset: Option<i64>,
    pub complete_until: Option<Instant>,
    pub lost_count: Option<i64>,
    pub topic_id: Option<String>,
}

impl TableRow for EpochRow {
    const TABLE: Table = Table::Epochs;
}
