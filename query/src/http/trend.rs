//! The trend door: attainment over time, one row per objective and window, whatever set of agreements is asked for.

use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{avg, count, max, min, sum};
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::prelude::{DataFrame, col};

use super::doors::Door;

pub(super) const TREND: Door = Door {
    path: "/v1/trend",
    view: "attainment",
    filters: &["agreement", "agreement_type", "customer", "offering", "service", "objective", "signal", "window_kind"],
    time: Some("window_start"),
    order: &["window_start", "window_kind", "signal", "objective"],
    shape: trend,
};

/// Groups judged windows of the same objective: how many there are by verdict, their worst and mean attainment, and the
/// sums of their parts. For one objective of one agreement and service, worst and mean are its attainment.
pub(super) fn trend(rows: DataFrame) -> Result<DataFrame, DataFusionError> {
    let verdicts = ["met", "at_risk", "breached", "no_data", "insufficient_data"];
    let mut parts = vec![max(col("window_end")).alias("window_end"), count(lit(1)).alias("attainment_count")];
    for verdict in verdicts {
        parts.push(sum(one_if(verdict)?).alias(format!("{verdict}_count")));
    }
    parts.push(min(col("attainment_ratio")).alias("attainment_min_ratio"));
    parts.push(avg(col("attainment_ratio")).alias("attainment_mean_ratio"));
    for part in ["good_us", "bad_us", "excluded_us", "unknown_us", "good_count", "total_count", "outage_count"] {
        parts.push(sum(col(part)).alias(part));
    }
    let groups = ["signal", "objective", "window_kind", "window_start"].map(col).to_vec();
    rows.aggregate(groups, parts)
}

/// 1 for rows with that verdict, else 0.
fn one_if(verdict: &str) -> Result<Expr, DataFusionError> {
    when(col("verdict").eq(lit(verdict)), lit(1_i64)).otherwise(lit(0_i64))
}
