//! What was known at an instant (R25).
//!
//! Every row of every table is written by an epoch, and every epoch has a tick: the instant at which its rows became
//! known. An answer as it was known at `t` is what the same question would have said when the last epoch with a tick of
//! at most `t` had been committed, and none after it:
//!
//! ```text
//! rows known at t   epoch <= max(epoch of history.epochs where tick <= t);  none, when there is no such epoch
//! ```
//! Where several shards keep the tables, each has epochs of its own, which they number in turn. Then this holds for the
//! epochs of each shard by themselves: an answer is what would have been said when each had committed its last epoch with a
//! tick of at most `t`.
//!
//! There is one mechanism: in the plan of a question, a filter on `epoch` stands above each table that is read. Views
//! pick the current rows out of what is left, as they do out of everything. Who asks for one table in a statement calls
//! a function (`attainment_known_at(t)`), who asks the whole question so binds the service (`QueryService::known_at`);
//! of two instants the earlier holds. Epochs and not ticks are compared row by row, because a clock may be set back,
//! and an epoch stands on all those before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source, source_as_provider};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, lit};
use datafusion::prelude::{DataFrame, SessionContext, col};
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::event::timestamp_type;
use plimsoll_schemas::table::Table;

use crate::defined;
use crate::error::QueryError;
use crate::functions;
use crate::in_force::{Finder, InForce};
use crate::kpi;
use crate::provider::LakeTable;
use crate::session::HISTORY;
use crate::visible::{Visible, not_of_some, restrict};

/// What is added to the name of a view for the function that gives it as it was known.
pub(crate) const SUFFIX: &str = "_known_at";

/// An instant as a literal of a plan.
pub(crate) fn time(instant: Instant) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(instant.0), Some("UTC".into())))
}

/// Registers the function of a view.
pub(crate) fn register(context: &SessionContext, view: &'static str, plan: LogicalPlan) {
    context.register_udtf(&format!("{view}{SUFFIX}"), Arc::new(KnownAt { view, plan }));
}

/// Up to which epoch tables are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// The last one that was known at this instant.
    pub(crate) known_at: Option<Instant>,
    /// At most this one, of those of its shard.
    pub(crate) last_epoch: Option<i64>,
    /// How many shards number their epochs in turn.
    pub(crate) shards: i64,
}

impl Default for Cut {
    fn default() -> Cut {
        Cut { known_at: None, last_epoch: None, shards: 1 }
    }
}

/// Puts the filter above every table that a question reads, where it asks for what was known at an instant, or where the
/// whole of it is cut; and into its functions, and tables of definitions, what held then.
pub(crate) async fn resolve(
    context: &SessionContext,
    (lake, finder): (&Lake, &Finder),
    question: DataFrame,
    visible: Option<Arc<Visible>>,
    cut: Cut,
) -> Result<DataFrame, DataFusionError> {
    let is_cut = cut.known_at.is_some() || cut.last_epoch.is_some();
    let question = if is_cut { defined_by_history(question)? } else { question };
    let question = match &visible {
        Some(visible) => restrict(question, visible)?,
        None => question,
    };
    let (state, plan) = question.into_parts();
    let asks_what_holds = functions::are_in(&plan)? || defined::are_in(&plan)?;
    let mut last_epochs = BTreeMap::new();
    last_epochs.extend(cut.known_at.filter(|_| asks_what_holds).map(|instant| (instant, Vec::new())));
    plan.apply_with_subqueries(|node| {
        let instant = table(node).and_then(|table| earlier(table.known_at, cut.known_at));
        last_epochs.extend(instant.map(|instant| (instant, Vec::new())));
        Ok(TreeNodeRecursion::Continue)
    })?;
    for (instant, epochs) in &mut last_epochs {
        for shard in 0..cut.shards {
            epochs.push(last_epoch(context, *instant, of_shard(col("epoch"), shard, cut.shards)).await?);
        }
    }
    let last = |known_at: Option<Instant>| {
        let known = earlier(known_at, cut.known_at).map(|instant| last_epochs[&instant].clone());
        // Of other shards than that of the last epoch everything is known.
        let shard_of = |epoch: i64| (epoch - 1).rem_euclid(cut.shards);
        let until =
            |last: i64| (0..cut.shards).map(|shard| if shard == shard_of(last) { last } else { i64::MAX }).collect();
        let until: Option<Vec<i64>> = cut.last_epoch.map(until);
        match (known, until) {
            (Some(known), Some(until)) => {
                Some(known.into_iter().zip(until).map(|(one, other)| one.min(other)).collect())
            }
            (known, until) => known.or(until),
        }
    };
    let last_of = |table: &LakeTable| last(table.known_at);
    let filter = |node: LogicalPlan| match (&node, table(&node).and_then(|table| Some((last_of(&table)?, table)))) {
        (LogicalPlan::TableScan(scan), Some((last, mut table))) => {
            let epoch = Expr::Column(Column::new(Some(scan.table_name.clone()), "epoch"));
            table.known_at = None;
            let known = LogicalPlanBuilder::from(scan_of(scan, Arc::new(table))).filter(until(&epoch, &last))?;
            Ok(Transformed::yes(known.build()?))
        }
        _ => Ok(Transformed::no(node)),
    };
    // Upwards, so that what is put in is not looked at again.
    let mut plan = plan.transform_up_with_subqueries(filter)?.data;
    if asks_what_holds {
        let of_shards = (0..cut.shards).map(|shard| {
            let is_known = last(None).map_or(lit(true), |last| until(&col("epoch"), &last));
            of_shard(col("epoch"), shard, cut.shards).and(is_known)
        });
        let mut in_force = InForce { visible, ..finder.find(context, lake, of_shards.collect()).await? };
        if defined::asks_results(&plan)? {
            if in_force.visible.is_some() {
                return Err(not_of_some("kpi_monthly").into());
            }
            let results = kpi::results(context).await?;
            let results = Box::pin(resolve(context, (lake, finder), results, None, cut)).await?;
            in_force.judged = kpi::count(results, &in_force).await?;
        }
        plan = defined::bind(functions::bind(plan, &in_force)?, &in_force)?;
    }
    Ok(DataFrame::new(state, plan))
}

/// The same question, in which current rows are found among all that there are: which they were earlier is not kept.
fn defined_by_history(question: DataFrame) -> Result<DataFrame, DataFusionError> {
    let (state, plan) = question.into_parts();
    let defined = |node: LogicalPlan| match (&node, table(&node).and_then(|table| table.current)) {
        (LogicalPlan::TableScan(scan), Some(current)) => {
            let rows = LogicalPlanBuilder::from(current.definition.clone()).alias(scan.table_name.clone())?;
            Ok(Transformed::yes(rows.build()?))
        }
        _ => Ok(Transformed::no(node)),
    };
    Ok(DataFrame::new(state, plan.transform_up_with_subqueries(defined)?.data))
}

/// Whether an epoch is at most the last one of its shard.
fn until(epoch: &Expr, last: &[i64]) -> Expr {
    let shards = last.len() as i64;
    let of_shards = last.iter().zip(0..).map(|(last, shard)| {
        let is_known = epoch.clone().lt_eq(lit(*last));
        if shards == 1 { is_known } else { of_shard(epoch.clone(), shard, shards).and(is_known) }
    });
    of_shards.reduce(Expr::or).unwrap_or(lit(true))
}

/// Whether an epoch is of one of so many shards, which number theirs in turn from 1 on.
pub(crate) fn of_shard(epoch: Expr, shard: i64, shards: i64) -> Expr {
    ((epoch - lit(1_i64)) % lit(shards)).eq(lit(shard))
}

/// Whether an epoch lies between two places, which are the last epochs of each shard; `None` where nothing does. A shard of
/// which nothing was read begins with its first epoch.
pub(crate) fn between(told: &[i64], until: &[i64]) -> Option<Expr> {
    let shards = until.len() as i64;
    let told = told.iter().copied().chain(std::iter::repeat(0));
    let of_shards = told.zip(until).zip(0..).filter(|((told, until), _)| told < until);
    let of_shards = of_shards.map(|((told, until), shard)| {
        let is_new = col("epoch").gt(lit(told)).and(col("epoch").lt_eq(lit(*until)));
        if shards == 1 { is_new } else { of_shard(col("epoch"), shard, shards).and(is_new) }
    });
    of_shards.reduce(Expr::or)
}

/// The last of these epochs with a tick of at most an instant; 0, which no epoch has, when there is none.
async fn last_epoch(context: &SessionContext, known_at: Instant, which: Expr) -> Result<i64, DataFusionError> {
    let epochs = context.table(TableReference::partial(HISTORY, Table::Epochs.name())).await?;
    let known = epochs.filter(col("tick").lt_eq(time(known_at)).and(which))?;
    let known = known.aggregate(Vec::new(), vec![max(col("epoch"))])?;
    let answer = known.collect().await?;
    let epochs = answer.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten());
    Ok(epochs.max().unwrap_or(0))
}

/// The table that a node reads.
pub(crate) fn table(node: &LogicalPlan) -> Option<LakeTable> {
    let LogicalPlan::TableScan(scan) = node else { return None };
    source_as_provider(&scan.source).ok()?.downcast_ref::<LakeTable>().cloned()
}

/// The earlier of two instants, if there is any.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// The same scan of another table with its columns.
pub(crate) fn scan_of(scan: &TableScan, table: Arc<dyn TableProvider>) -> LogicalPlan {
    LogicalPlan::TableScan(TableScan { source: provider_as_source(table), ..scan.clone() })
}

/// The table function `VIEW_known_at(instant)`.
#[derive(Debug)]
struct KnownAt {
    view: &'static str,
    plan: LogicalPlan,
}

impl TableFunctionImpl for KnownAt {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let instant = match arguments.exprs() {
            [Expr::Literal(value, _)] => instant(value),
            _ => None,
        };
        let Some(known_at) = instant else {
            let name = format!("{}{SUFFIX}", self.view);
            let wrong = format!(
                "{name} takes one instant: {name}('2026-01-31T08:00:00Z'), or '2026-01-31' for its midnight UTC"
            );
            return Err(QueryError::Invalid(wrong).into());
        };
        let mark = |node: LogicalPlan| match (&node, table(&node)) {
            (LogicalPlan::TableScan(scan), Some(mut table)) => {
                table.known_at = Some(known_at);
                Ok(Transformed::yes(scan_of(scan, Arc::new(table))))
            }
            _ => Ok(Transformed::no(node)),
        };
        let plan = self.plan.clone().transform_up_with_subqueries(mark)?.data;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// An instant as people give it in SQL: a text, a date or a time.
pub(crate) fn instant(value: &ScalarValue) -> Option<Instant> {
    if let Some(text) = value.try_as_str() {
        return Instant::parse(text?);
    }
    match value.cast_to(&timestamp_type()).ok()? {
        ScalarValue::TimestampMicrosecond(Some(micros), _) if value.data_type().is_temporal() => Some(Instant(micros)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_its_place() {
        let between = |told: &[i64], until: &[i64]| between(told, until).map(|expr| expr.to_string());
        assert_eq!(between(&[7], &[7]), None);
        let seven = "epoch > Int64(3) AND epoch <= Int64(7)";
        assert_eq!(between(&[3], &[7]).as_deref(), Some(seven));
        // Of a lake that nobody kept before, the place is empty.
        assert_eq!(between(&[], &[7]), Some(seven.replace('3', "0")));
        let of = |shard: i64| format!("(epoch - Int64(1)) % Int64(2) = Int64({shard}) AND ");
        let two = format!("{}{seven} OR {}epoch > Int64(8) AND epoch <= Int64(10)", of(0), of(1));
        assert_eq!(between(&[3, 8], &[7, 10]), Some(two));
        // Where one shard has nothing new, nothing is asked of it.
        assert_eq!(between(&[3, 10], &[7, 10]), Some(of(0) + seven));
    }
}
