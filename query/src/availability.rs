//! The table function `availability(service, from, until [, calendar])`: how long a service was in which state, over any
//! interval (R3).
//!
//! In: the current rows of `transitions`, from which the states of a service follow. Out: one row with the agreed time in
//! each state, to the microsecond. No agreement is looked at, and so no exclusion and no short outage: what these make of it
//! stands in `attainment`. A row of `transitions` may tell other causes of the same state, which is no change here.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF, Volatility, create_udf, lit};
use datafusion::prelude::SessionContext;
use plimsoll_schemas::definition::Calendar;
use plimsoll_schemas::event::timestamp_type;

use crate::error::QueryError;
use crate::functions::state_before;
use crate::known::{instant, time};

/// The name of the function.
pub(crate) const NAME: &str = "availability";

/// What it stands for. Its arguments are written as functions, in whose places they are put.
const STATEMENT: &str = "
    WITH states AS (
        SELECT at, state FROM transitions WHERE service = asked_service() AND at < asked_until()
        UNION ALL SELECT to_timestamp_micros(-62135596800000000), state_before(asked_service())),
    changes AS (
        SELECT at, state FROM (SELECT at, state, lag(state) OVER (ORDER BY at) AS before FROM states)
        WHERE state IS DISTINCT FROM before),
    known AS (
        SELECT state,
            greatest(at, asked_from()) AS since,
            least(lead(at) OVER (ORDER BY at), asked_until(), coalesce(known_until(), asked_from())) AS until
        FROM changes),
    spent AS (
        SELECT state, elapsed(asked_calendar(), since, until) AS spent_us FROM known WHERE since < until),
    parts AS (
        SELECT
            CAST(coalesce(sum(spent_us) FILTER (WHERE state = 'up'), 0) AS BIGINT) AS up_us,
            CAST(coalesce(sum(spent_us) FILTER (WHERE state = 'degraded'), 0) AS BIGINT) AS degraded_us,
            CAST(coalesce(sum(spent_us) FILTER (WHERE state = 'down'), 0) AS BIGINT) AS down_us,
            count(*) FILTER (WHERE state = 'down' AND spent_us > 0) AS outage_count,
            coalesce(max(spent_us) FILTER (WHERE state = 'down'), 0) AS longest_outage_us,
            elapsed(asked_calendar(), asked_from(), asked_until()) AS agreed_us,
            elapsed(asked_calendar(), asked_from(),
                greatest(asked_from(), least(asked_until(), coalesce(known_until(), asked_from())))) AS passed_us
        FROM spent)
    SELECT asked_service() AS service, asked_calendar() AS calendar, asked_from() AS interval_start, asked_until() AS interval_end,
        agreed_us, up_us, degraded_us, down_us, passed_us - up_us - degraded_us - down_us AS unknown_us,
        share(up_us + degraded_us, up_us + degraded_us + down_us) AS availability_ratio,
        outage_count, longest_outage_us
    FROM parts";

/// Its arguments as the statement writes them.
const ASKED: [&str; 4] = ["asked_service", "asked_from", "asked_until", "asked_calendar"];

/// Registers it in a session that has the views and the functions of service levels.
///
/// # Errors
/// When the statement does not fit them, which is a defect.
pub(crate) async fn register(context: &SessionContext) -> Result<(), DataFusionError> {
    let types = [DataType::Utf8View, timestamp_type(), timestamp_type(), DataType::Utf8View];
    ASKED.into_iter().zip(types).for_each(|(name, of)| context.register_udf(argument(name, of)));
    context.register_udf(state_before());
    let plan = context.sql(STATEMENT).await?.logical_plan().clone();
    ASKED.into_iter().chain([state_before().name()]).for_each(|name| context.deregister_udf(name));
    context.register_udtf(NAME, Arc::new(Availability { plan }));
    Ok(())
}

fn argument(name: &'static str, of: DataType) -> ScalarUDF {
    let none = move |_: &[_]| Err(QueryError::Internal(format!("nothing was put in place of {name}")).into());
    create_udf(name, Vec::new(), of, Volatility::Volatile, Arc::new(none))
}

#[derive(Debug)]
struct Availability {
    plan: LogicalPlan,
}

impl TableFunctionImpl for Availability {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let values = values(arguments.exprs()).ok_or_else(|| {
            let wrong = "availability takes a service, an instant and one that is not before it, and perhaps a calendar: availability('web', '2026-01-01', \
                         '2026-02-01', 'office')";
            QueryError::Invalid(wrong.to_owned())
        })?;
        let put = |expr: Expr| match &expr {
            Expr::ScalarFunction(called) => match ASKED.iter().position(|name| *name == called.name()) {
                Some(place) => Ok(Transformed::yes(values[place].clone())),
                None => Ok(Transformed::no(expr)),
            },
            _ => Ok(Transformed::no(expr)),
        };
        let plan = self.plan.clone();
        let plan = plan.transform_up_with_subqueries(|node| node.map_expressions(|expr| expr.transform_up(put)))?;
        Ok(Arc::new(ViewTable::new(plan.data, None)))
    }
}

/// The arguments in the order of `ASKED`, if they are such.
fn values(arguments: &[Expr]) -> Option<[Expr; 4]> {
    let value = |place: usize| match arguments.get(place) {
        Some(Expr::Literal(value, _)) => Some(value),
        _ => None,
    };
    let text = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
    let calendar = match arguments.len() {
        3 => text(&Calendar::around_the_clock().id),
        4 => text(value(3)?.try_as_str()??),
        _ => return None,
    };
    let service = text(value(0)?.try_as_str()??);
    let (from, until) = (instant(value(1)?)?, instant(value(2)?)?);
    (from <= until).then(|| [service, time(from), time(until), calendar])
}
