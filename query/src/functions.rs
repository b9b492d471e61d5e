//! Functions of service levels in SQL: `elapsed`, `due`, `known_until`, `share` and `burn_rate`.
//!
//! Agreed time is that of the engine's calendars, so that a statement says what results say. Which calendars there are
//! depends on what is known when the question is asked; `bind` puts that into its plan, once for all of it.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Decimal128Array, StringViewArray};
use arrow_schema::{DataType, IntervalUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use plimsoll_schemas::event::timestamp_type;
use plimsoll_schemas::{Instant, Micros};

use crate::arithmetic::SUM;
use crate::error::{OUT_OF_RANGE, QueryError};
use crate::in_force::InForce;

/// Digits of a share, with room for the largest of integers, and those after the point, as in the tables.
const SHARE: (u8, i8) = (28, 9);

/// The same of a burn rate, which may be a billion times as large.
const RATE: (u8, i8) = (38, 9);

/// A target, as the tables have it.
const TARGET: (u8, i8) = (18, 9);

/// One, in the last of the nine digits.
const ONE: i128 = 1_000_000_000;

type Result<Value> = std::result::Result<Value, DataFusionError>;

/// Which function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Elapsed,
    Due,
    KnownUntil,
    Share,
    BurnRate,
    /// For `availability` alone.
    StateBefore,
}

impl Which {
    /// Whether it says the same of the same, whatever is known.
    fn is_arithmetic(self) -> bool {
        matches!(self, Which::Share | Which::BurnRate)
    }
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    which: Which,
    signature: Signature,
    /// What it is computed by, once that is known; arithmetic needs nothing.
    in_force: Option<InForce>,
}

impl Function {
    fn udf(which: Which, in_force: Option<InForce>) -> ScalarUDF {
        let volatility = if which.is_arithmetic() { Volatility::Immutable } else { Volatility::Stable };
        let signature = match which {
            Which::KnownUntil => Signature::nullary(volatility),
            _ => Signature::user_defined(volatility),
        };
        ScalarUDF::new_from_impl(Function { which, signature, in_force })
    }
}

/// The functions, of which those that are not arithmetic have to be bound.
pub(crate) fn functions() -> [ScalarUDF; 5] {
    [Which::Elapsed, Which::Due, Which::KnownUntil, Which::Share, Which::BurnRate]
        .map(|which| Function::udf(which, None))
}

/// A function for the state of a service while nothing is known of it.
pub(crate) fn state_before() -> ScalarUDF {
    Function::udf(Which::StateBefore, None)
}

/// Whether a plan has functions that have to be bound.
pub(crate) fn are_in(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found |= unbound(expr).is_some();
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// The same plan, whose functions are computed by what holds.
pub(crate) fn bind(plan: LogicalPlan, in_force: &InForce) -> Result<LogicalPlan> {
    let bound = |expr: Expr| match (unbound(&expr), expr) {
        (Some(which), Expr::ScalarFunction(mut called)) => {
            called.func = Arc::new(Function::udf(which, Some(in_force.clone())));
            Ok(Transformed::yes(Expr::ScalarFunction(called)))
        }
        (_, expr) => Ok(Transformed::no(expr)),
    };
    let plan = plan.transform_up_with_subqueries(|node| node.map_expressions(|expr| expr.transform_up(bound)))?;
    Ok(plan.data)
}

fn unbound(expr: &Expr) -> Option<Which> {
    let Expr::ScalarFunction(called) = expr else { return None };
    let function = called.func.inner().downcast_ref::<Function>()?;
    (function.in_force.is_none() && !function.which.is_arithmetic()).then_some(function.which)
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        match self.which {
            Which::Elapsed => "elapsed",
            Which::Due => "due",
            Which::KnownUntil => "known_until",
            Which::Share => "share",
            Which::BurnRate => "burn_rate",
            Which::StateBefore => "state_before",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.which {
            Which::Elapsed => DataType::Int64,
            Which::Due | Which::KnownUntil => timestamp_type(),
            Which::Share => DataType::Decimal128(SHARE.0, SHARE.1),
            Which::BurnRate => DataType::Decimal128(RATE.0, RATE.1),
            Which::StateBefore => DataType::Utf8View,
        })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |of: &DataType| of.is_string() || of.is_null();
        let is_instant = |of: &DataType| is_text(of) || matches!(of, DataType::Timestamp(..) | DataType::Date32);
        let is_number = |of: &DataType| of.is_integer() || of.is_null() || matches!(of, DataType::Decimal128(_, 0));
        let is_interval = |of: &DataType| matches!(of, DataType::Interval(_));
        let wanted = match (self.which, types) {
            (Which::Elapsed, [calendar, from, until]) if is_text(calendar) && is_instant(from) && is_instant(until) => {
                Some(vec![DataType::Utf8View, timestamp_type(), timestamp_type()])
            }
            (Which::Due, [calendar, start, amount]) if is_text(calendar) && is_instant(start) => {
                let amount = match amount {
                    amount if is_number(amount) => Some(DataType::Int64),
                    amount if is_interval(amount) => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
                    _ => None,
                };
                amount.map(|amount| vec![DataType::Utf8View, timestamp_type(), amount])
            }
            (Which::Share, [part, whole]) if is_number(part) && is_number(whole) => Some(vec![SUM, SUM]),
            (Which::BurnRate, [bad, measured, target])
                if is_number(bad) && is_number(measured) && (target.is_numeric() || target.is_null()) =>
            {
                Some(vec![SUM, SUM, DataType::Decimal128(TARGET.0, TARGET.1)])
            }
            (Which::StateBefore, [service]) if is_text(service) => Some(vec![DataType::Utf8View]),
            _ => None,
        };
        wanted.ok_or_else(|| {
            let example = match self.which {
                Which::Elapsed => "elapsed('24x7', '2026-01-05T08:00:00Z', now())",
                Which::Due => "due('24x7', '2026-01-05T08:00:00Z', INTERVAL '4 hours')",
                Which::Share => "share(good_us, good_us + bad_us)",
                Which::BurnRate => "burn_rate(bad_us, good_us + bad_us, 0.999)",
                Which::KnownUntil => "known_until()",
                Which::StateBefore => "state_before('web')",
            };
            QueryError::Invalid(format!("{} is called otherwise, such as {example}", self.name())).into()
        })
    }

    fn invoke_with_args(&self, called: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let in_force = || {
            let unbound = || QueryError::Internal(format!("{} was called before it was known by what", self.name()));
            self.in_force.as_ref().ok_or_else(unbound)
        };
        if self.which == Which::KnownUntil {
            let known_until = in_force()?.known_until.map(|instant| instant.0);
            return Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(known_until, Some("UTC".into()))));
        }
        let is_one = called.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let columns = ColumnarValue::values_to_arrays(&called.args)?;
        let answer = match (self.which, &columns[..]) {
            (Which::Elapsed, [calendars, from, until]) => elapsed(in_force()?, calendars, from, until)?,
            (Which::Due, [calendars, starts, amounts]) => due(in_force()?, calendars, starts, amounts)?,
            (Which::StateBefore, [services]) => states_before(in_force()?, services),
            (Which::Share, [parts, wholes]) => shares(parts, wholes)?,
            (Which::BurnRate, [bad, measured, targets]) => burn_rates(bad, measured, targets)?,
            _ => return Err(QueryError::Internal(format!("{} has other arguments", self.name())).into()),
        };
        Ok(match is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        })
    }
}

/// The agreed time between instants, in microseconds; null where one of them is.
fn elapsed(in_force: &InForce, calendars: &ArrayRef, from: &ArrayRef, until: &ArrayRef) -> Result<ArrayRef> {
    let (names, from) = (calendars.as_string_view(), from.as_primitive::<TimestampMicrosecondType>());
    let until = until.as_primitive::<TimestampMicrosecondType>();
    let mut answer = Int64Builder::with_capacity(names.len());
    for ((name, from), until) in names.iter().zip(from).zip(until) {
        let (Some(name), Some(from), Some(until)) = (name, from, until) else {
            answer.append_null();
            continue;
        };
        answer.append_value(in_force.calendar(name)?.elapsed(Instant(from), Instant(until)).0);
    }
    Ok(Arc::new(answer.finish()))
}

/// When amounts of agreed time have passed since instants; null where that is never, or something of it is null.
fn due(in_force: &InForce, calendars: &ArrayRef, starts: &ArrayRef, amounts: &ArrayRef) -> Result<ArrayRef> {
    let (names, starts) = (calendars.as_string_view(), starts.as_primitive::<TimestampMicrosecondType>());
    let mut answer = TimestampMicrosecondBuilder::with_capacity(names.len()).with_timezone("UTC");
    for (place, (name, start)) in names.iter().zip(starts).enumerate() {
        let due = match (name, start, amount(amounts, place)?) {
            (Some(name), Some(start), Some(amount)) => in_force.calendar(name)?.due(Instant(start), amount),
            _ => None,
        };
        answer.append_option(due.map(|instant| instant.0));
    }
    Ok(Arc::new(answer.finish()))
}

/// An amount of agreed time: a number of microseconds, or an interval of hours and what is less.
fn amount(amounts: &ArrayRef, place: usize) -> Result<Option<Micros>> {
    if amounts.is_null(place) {
        return Ok(None);
    }
    if let Some(amounts) = amounts.as_primitive_opt::<Int64Type>() {
        return Ok(Some(Micros(amounts.value(place))));
    }
    let interval = amounts.as_primitive::<IntervalMonthDayNanoType>().value(place);
    if (interval.months, interval.days) != (0, 0) {
        let wrong =
            "agreed time has no days or months of a certain length; give an interval in hours, minutes or seconds";
        return Err(QueryError::Invalid(wrong.to_owned()).into());
    }
    Ok(Some(Micros(interval.nanoseconds / 1_000)))
}

/// The states of services while nothing is known of them; null of what is none.
fn states_before(in_force: &InForce, services: &ArrayRef) -> ArrayRef {
    let state = |service: &str| in_force.state_before(service).map(|state| state.as_str());
    Arc::new(services.as_string_view().iter().map(|service| service.and_then(state)).collect::<StringViewArray>())
}

/// Parts of wholes, rounded down to nine places as in the tables; null of nothing (R11).
fn shares(parts: &ArrayRef, wholes: &ArrayRef) -> Result<ArrayRef> {
    let (parts, wholes) = (parts.as_primitive::<Decimal128Type>(), wholes.as_primitive::<Decimal128Type>());
    let share = |(part, whole): (Option<i128>, Option<i128>)| match (part, whole) {
        (Some(part), Some(whole)) if whole != 0 => {
            let billionths = part.checked_mul(ONE * whole.signum()).ok_or_else(|| too_large("share", part))?;
            Ok(Some(billionths.div_euclid(whole.abs())))
        }
        _ => Ok(None),
    };
    let shares: Result<Decimal128Array> = parts.iter().zip(wholes).map(share).collect();
    decimals(shares?, SHARE)
}

/// Decimals of so many digits.
fn decimals(values: Decimal128Array, digits: (u8, i8)) -> Result<ArrayRef> {
    let values = values.with_precision_and_scale(digits.0, digits.1)?;
    values.validate_decimal_precision(digits.0)?;
    Ok(Arc::new(values))
}

fn too_large(function: &str, count: i128) -> DataFusionError {
    QueryError::Invalid(format!("{OUT_OF_RANGE}: {function} of {count}; give counts below 10^19")).into()
}

/// How many times faster than targets allow budgets were spent (R27), rounded down to nine places: the bad share of what was
/// measured, over the share that may be bad. Null where nothing was measured, and where a target allows nothing.
fn burn_rates(bad: &ArrayRef, measured: &ArrayRef, targets: &ArrayRef) -> Result<ArrayRef> {
    let (bad, measured) = (bad.as_primitive::<Decimal128Type>(), measured.as_primitive::<Decimal128Type>());
    let rate = |((bad, measured), target): ((Option<i128>, Option<i128>), Option<i128>)| {
        let (Some(bad), Some(measured), Some(target)) = (bad, measured, target) else { return Ok(None) };
        let allowed = ONE - target;
        if measured <= 0 || allowed <= 0 {
            return Ok(None);
        }
        let bad = bad.checked_mul(ONE * ONE).ok_or_else(|| too_large("burn_rate", bad))?;
        let measured = measured.checked_mul(allowed).ok_or_else(|| too_large("burn_rate", measured))?;
        Ok(Some(bad.div_euclid(measured)))
    };
    let rates: Result<Decimal128Array> =
        bad.iter().zip(measured).zip(targets.as_primitive::<Decimal128Type>()).map(rate).collect();
    decimals(rates?, RATE)
}
