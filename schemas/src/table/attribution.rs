//! The columns of `attributions` and the row type that mirrors them.

use serde::{Deserialize, Serialize};

use super::Type::{Integer, Ratio, SmallInteger, Text, Time};
use super::rows::{
    AGREEMENT, AGREEMENT_TYPE, AGREEMENT_VERSION, CUSTOMER, EPOCH, OBJECTIVE, RECORDED_AT, RETRACTED, REVISION,
    SERVICE, SIGNAL,
};
use super::{Column, Decimal, OPTIONAL, REQUIRED, Table, TableRow};
use crate::time::Instant;

pub(super) const ATTRIBUTIONS: &[Column] = &[
    AGREEMENT,
    AGREEMENT_VERSION,
    AGREEMENT_TYPE,
    CUSTOMER,
    SERVICE,
    OBJECTIVE,
    SIGNAL,
    ("ticket", Text, OPTIONAL, "ticket whose clock went beyond its target; null for the window as a whole"),
    ("cycle", SmallInteger, OPTIONAL, "which run of that clock, from 0; null for the window as a whole"),
    ("window_start", Time, REQUIRED, "window that was missed, or to which the result of the clock belongs, UTC"),
    (
        "supporting_agreement",
        Text,
        OPTIONAL,
        "id of the agreement that covers the service which has the time or the things (R33); null where none does",
    ),
    ("supporting_version", SmallInteger, OPTIONAL, "its version; null where none does"),
    ("supporting_type", Text, OPTIONAL, "its type: ola or uc; null where none does"),
    (
        "supporting_service",
        Text,
        REQUIRED,
        "id of the service which has the time or the things; the judged service itself where no other brought it about",
    ),
    (
        "spent_us",
        Integer,
        OPTIONAL,
        "bad time that it has, or time of the clock, in microseconds of agreed time; degraded time by its weight (R8); null \
         where things are counted",
    ),
    (
        "total_us",
        Integer,
        OPTIONAL,
        "bad time of the window, or time of the clock, in all, in microseconds: the sum of its parts; null where things are \
         counted",
    ),
    ("spent_count", Integer, OPTIONAL, "bad things that it has; null where it is time"),
    ("total_count", Integer, OPTIONAL, "bad things of the window in all: the sum of its parts; null where it is time"),
    ("spent_ratio", Ratio, OPTIONAL, "what it has as a share of all, rounded down"),
    (
        "budget_us",
        Integer,
        OPTIONAL,
        "bad time that the target allows in the whole segment, or time that a ticket may take, in microseconds; null without a \
         budget of time",
    ),
    REVISION,
    RETRACTED,
    RECORDED_AT,
    EPOCH,
];

/// A row of `attributions`; its key is (agreement, version, service, objective, ticket, cycle, window_start, supporting
/// agreement, supporting version, supporting service).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of ATTRIBUTIONS, described there")]
pub struct AttributionRow {
    pub agreement: String,
    pub agreement_version: i32,
    pub agreement_type: String,
    pub customer: Option<String>,
    pub service: String,
    pub objective: String,
    pub signal: String,
    pub ticket: Option<String>,
    pub cycle: Option<i32>,
    pub window_start: Instant,
    pub supporting_agreement: Option<String>,
    pub supporting_version: Option<i32>,
    pub supporting_type: Option<String>,
    pub supporting_service: String,
    pub spent_us: Option<i64>,
    pub total_us: Option<i64>,
    pub spent_count: Option<i64>,
    pub total_count: Option<i64>,
    pub spent_ratio: Option<Decimal>,
    pub budget_us: Option<i64>,
    pub revision: i32,
    pub retracted: bool,
    pub recorded_at: Instant,
    pub epoch: i64,
}

impl TableRow for AttributionRow {
    const TABLE: Table = Table::Attributions;
}
