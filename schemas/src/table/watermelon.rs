//! The columns of `watermelons` and the row type that mirrors them.

use serde::{Deserialize, Serialize};

use super::Type::{Integer, Text, Time};
use super::rows::{
    AGREEMENT, AGREEMENT_TYPE, AGREEMENT_VERSION, CUSTOMER, EPOCH, OFFERING, RECORDED_AT, RETRACTED, REVISION, SERVICE,
};
use super::{Column, REQUIRED, Table, TableRow};
use crate::time::Instant;

pub(super) const WATERMELONS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    OFFERING,
    SERVICE,
    ("objective", Text, REQUIRED, "id of the objective over scores"),
    ("signal", Text, REQUIRED, "satisfaction or net_promoter_score (R10)"),
    ("window_kind", Text, REQUIRED, "day, week, month, quarter, year or rolling (R13)"),
    ("window_start", Time, REQUIRED, "first instant of the window of the scores, UTC"),
    ("window_end", Time, REQUIRED, "first instant after it, UTC"),
    ("segment_start", Time, REQUIRED, "first instant of the window in which this version was in force, UTC (R13)"),
    ("segment_end", Time, REQUIRED, "first instant after that, UTC"),
    ("target", Text, REQUIRED, "what was promised of the scores, e.g. at least 80 %"),
    ("met_count", Integer, REQUIRED, "other results of the agreement that share time with the segment and are met"),
    ("unknown_count", Integer, REQUIRED, "other results that share time with it and say nothing; 0 where all is known"),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `watermelons`; its key is (agreement, version, service, objective, window_start).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of WATERMELONS, described there")]
pub struct WatermelonRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub offering: Option<String>,
    pub service: String,
    pub objective: String,
    pub signal: String,
    pub window_kind: String,
    pub window_start: Instant,
    pub window_end: Instant,
    pub segment_start: Instant,
    pub segment_end: Instant,
    pub target: String,
    pub met_count: i64,
    pub unknown_count: i64,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for WatermelonRow {
    const TABLE: Table = Table::Watermelons;
}
