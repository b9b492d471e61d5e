//! Arithmetic that is exact or an error, as in Postgres.
//!
//! DataFusion's sums and products of integers begin again from below when they get too large, and its shares of
//! decimals end after four places. Here `sum` of integers is a decimal, which no sum overflows; `+`, `-` and `*` of
//! integers are errors beyond their type; a quotient of decimals is rounded and has at least twelve places. A literal
//! beside a float is a float, everywhere else it is the decimal that is written. Expressions get this when their
//! question is analyzed, after which they are simplified, so also constants are exact.

use std::sync::Arc;

use arrow_array::builder::Decimal128Builder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use arrow_array::{ArrayRef, IntervalMonthDayNanoArray};
use arrow_buffer::i256;
use arrow_schema::{ArrowError, DECIMAL128_MAX_PRECISION, DataType, FieldRef, IntervalUnit};
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, BinaryExpr, ColumnarValue, Expr, ExprSchemable, GroupsAccumulator,
    Operator, ReversedUDAF, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use datafusion::physical_expr_common::datum::apply;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::QueryError;

/// Digits after the point that a quotient of decimals has at least.
const QUOTIENT_PLACES: i8 = 12;

/// Any integer as a decimal.
const WHOLE: DataType = DataType::Decimal128(20, 0);

/// A sum of integers.
pub(crate) const SUM: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Days of a month and nanoseconds of a day, where a part of one is asked for, as Postgres counts them.
const DAYS_OF_MONTH: f64 = 30.0;
const NANOS_OF_DAY: f64 = 86_400e9;

type Result<Value> = std::result::Result<Value, DataFusionError>;

/// Lets a session compute so.
///
/// # Errors
/// When it takes no such functions, which is a defect.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(ExactSum::new())))?;
    state.register_function_rewrite(Arc::new(Exact))?;
    state.register_expr_planner(Arc::new(Exact))
}

/// What is computed otherwise than DataFusion does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    /// Of integers.
    Plus,
    Minus,
    Times,
    /// Of decimals, or of one and an integer.
    Quotient,
    /// An interval so many times.
    Multiple,
    /// So many times an interval.
    MultipleOf,
    /// An interval, divided by a number.
    Fraction,
}

impl Which {
    /// Which one an operator is between two types.
    fn of(operator: Operator, left: &DataType, right: &DataType) -> Option<Which> {
        let is_interval = |of: &DataType| matches!(of, DataType::Interval(_));
        let is_exact = |of: &DataType| of.is_integer() || matches!(of, DataType::Decimal128(_, places) if *places >= 0);
        let are_integers = left.is_integer() && right.is_integer();
        match operator {
            // An unsigned and a signed one become decimals.
            Operator::Plus | Operator::Minus | Operator::Multiply if are_integers => {
                let same = BinaryTypeCoercer::new(left, &operator, right).get_result_type().ok()?;
                same.is_integer().then_some(match operator {
                    Operator::Plus => Which::Plus,
                    Operator::Minus => Which::Minus,
                    _ => Which::Times,
                })
            }
            Operator::Divide if is_exact(left) && is_exact(right) && !are_integers => Some(Which::Quotient),
            Operator::Multiply if is_interval(left) && right.is_numeric() => Some(Which::Multiple),
            Operator::Multiply if left.is_numeric() && is_interval(right) => Some(Which::MultipleOf),
            Operator::Divide if is_interval(left) && right.is_numeric() => Some(Which::Fraction),
            _ => None,
        }
    }

    fn operator(self) -> Operator {
        match self {
            Which::Plus => Operator::Plus,
            Which::Minus => Operator::Minus,
            Which::Times | Which::Multiple | Which::MultipleOf => Operator::Multiply,
            Which::Quotient | Which::Fraction => Operator::Divide,
        }
    }

    fn call(self, left: Expr, right: Expr) -> Expr {
        let function = Arithmetic { which: self, signature: Signature::user_defined(Volatility::Immutable) };
        let function = Arc::new(ScalarUDF::new_from_impl(function));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]))
    }
}

/// Puts exact arithmetic into expressions.
#[derive(Debug)]
struct Exact;

impl FunctionRewrite for Exact {
    fn name(&self) -> &'static str {
        "exact_arithmetic"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        // Parameters may have no type yet.
        let of = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
        let expr = floats(expr, &of)?;
        Ok(match expr.data {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match Which::of(op, &of(&left), &of(&right)) {
                Some(which) => Transformed::yes(which.call(*left, *right)),
                None => {
                    let same = Expr::BinaryExpr(BinaryExpr { left, op, right });
                    Transformed::new_transformed(same, expr.transformed)
                }
            },
            Expr::Negative(inner) if of(&inner).is_signed_integer() => {
                let zero = lit(ScalarValue::new_zero(&of(&inner))?);
                Transformed::yes(Which::Minus.call(zero, *inner))
            }
            Expr::AggregateFunction(mut called) if KEEPERS.contains(&called.func.name()) => {
                let owned = |value: Expr| match of(&value) {
                    DataType::Utf8View => cast(value, DataType::Utf8),
                    DataType::BinaryView => cast(value, DataType::Binary),
                    _ => value,
                };
                called.params.args = called.params.args.into_iter().map(owned).collect();
                Transformed::yes(Expr::AggregateFunction(called))
            }
            same => Transformed::new_transformed(same, expr.transformed),
        })
    }
}

/// Aggregates that keep all values that they are given. Of views of texts they count the views alone, and not the
/// texts.
const KEEPERS: [&str; 2] = ["array_agg", "string_agg"];

/// The same expression, with floats in place of decimals that are written beside floats, as Postgres has it.
fn floats(expr: Expr, of: &impl Fn(&Expr) -> DataType) -> Result<Transformed<Expr>> {
    let (mut has_decimals, mut has_floats) = (false, false);
    expr.apply_children(|child| {
        has_decimals |= decimal(child).is_some();
        Ok(TreeNodeRecursion::Continue)
    })?;
    if has_decimals {
        expr.apply_children(|child| {
            has_floats |= of(child).is_floating();
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if !has_floats {
        return Ok(Transformed::no(expr));
    }
    expr.map_children(|child| match decimal(&child) {
        Some(value) => Ok(Transformed::yes(lit(value.cast_to(&DataType::Float64)?))),
        None => Ok(Transformed::no(child)),
    })
}

fn decimal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) if value.data_type().is_decimal() => Some(value),
        _ => None,
    }
}

impl ExprPlanner for Exact {
    /// Multiples of intervals, which have no type otherwise.
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let operator = match expr.op {
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let of = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
        Ok(match Which::of(operator, &of(&expr.left), &of(&expr.right)) {
            Some(which @ (Which::Multiple | Which::MultipleOf | Which::Fraction)) => {
                PlannerResult::Planned(which.call(expr.left, expr.right))
            }
            _ => PlannerResult::Original(expr),
        })
    }
}

/// A function that stands for an operator.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    which: Which,
    signature: Signature,
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &'static str {
        match self.which {
            Which::Plus => "plus",
            Which::Minus => "minus",
            Which::Times => "times",
            Which::Quotient => "quotient",
            Which::Multiple => "multiple",
            Which::MultipleOf => "multiple_of",
            Which::Fraction => "fraction",
        }
    }

    /// That of the operator, so that columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names = args.iter().map(|argument| argument.schema_name().to_string());
        Ok(names.collect::<Vec<_>>().join(&format!(" {} ", self.which.operator())))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = types else { return Err(other_arguments(self.name())) };
        let exact = |of: &DataType| if of.is_integer() { WHOLE } else { of.clone() };
        Ok(match self.which {
            Which::Plus | Which::Minus | Which::Times => {
                let (left, right) = BinaryTypeCoercer::new(left, &self.which.operator(), right).get_input_types()?;
                vec![left, right]
            }
            Which::Quotient => vec![exact(left), exact(right)],
            Which::Multiple | Which::Fraction => vec![INTERVAL, DataType::Float64],
            Which::MultipleOf => vec![DataType::Float64, INTERVAL],
        })
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.which, types) {
            (Which::Plus | Which::Minus | Which::Times, [left, _]) => Ok(left.clone()),
            (Which::Quotient, [DataType::Decimal128(_, left), DataType::Decimal128(_, right)]) => {
                Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, (*left).max(*right).max(QUOTIENT_PLACES)))
            }
            (Which::Multiple | Which::MultipleOf | Which::Fraction, _) => Ok(INTERVAL),
            _ => Err(other_arguments(self.name())),
        }
    }

    fn invoke_with_args(&self, called: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = &called.args[..] else { return Err(other_arguments(self.name())) };
        match self.which {
            Which::Plus => return apply(left, right, add),
            Which::Minus => return apply(left, right, sub),
            Which::Times => return apply(left, right, mul),
            _ => {}
        }
        let is_one = called.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let columns = ColumnarValue::values_to_arrays(&called.args)?;
        let answer = match (self.which, &columns[..]) {
            (Which::Quotient, [left, right]) => quotients(left, right, called.return_field.data_type())?,
            (Which::Multiple, [interval, by]) | (Which::MultipleOf, [by, interval]) => {
                multiples(interval, by, |by| by)?
            }
            (Which::Fraction, [interval, by]) => multiples(interval, by, f64::recip)?,
            _ => return Err(other_arguments(self.name())),
        };
        Ok(match is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        })
    }
}

fn other_arguments(name: &str) -> DataFusionError {
    QueryError::Internal(format!("{name} has other arguments")).into()
}

fn overflow(what: impl std::fmt::Display) -> DataFusionError {
    ArrowError::ArithmeticOverflow(format!("Overflow happened on: {what}")).into()
}

/// Quotients of decimals, rounded half away from zero to the places of a type.
fn quotients(left: &ArrayRef, right: &ArrayRef, of: &DataType) -> Result<ArrayRef> {
    let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let DataType::Decimal128(precision, places) = *of else { return Err(other_arguments("quotient")) };
    let shift = places - left.scale() + right.scale();
    let shift = i256::from_i128(10).checked_pow(shift.unsigned_abs().into()).ok_or_else(|| overflow("a quotient"))?;
    let most = 10_u128.pow(DECIMAL128_MAX_PRECISION.into());
    let mut answer = Decimal128Builder::with_capacity(left.len()).with_precision_and_scale(precision, places)?;
    for (left, right) in left.iter().zip(right) {
        let (Some(left), Some(right)) = (left, right) else {
            answer.append_null();
            continue;
        };
        if right == 0 {
            return Err(ArrowError::DivideByZero.into());
        }
        let quotient = rounded(left, shift, right).filter(|quotient| quotient.unsigned_abs() < most);
        answer.append_value(quotient.ok_or_else(|| overflow(format_args!("{left} / {right}")))?);
    }
    Ok(Arc::new(answer.finish()))
}

/// `left * shift / right`, rounded half away from zero.
fn rounded(left: i128, shift: i256, right: i128) -> Option<i128> {
    let quick = shift.to_i128().and_then(|shift| left.checked_mul(shift));
    if let Some(left) = quick {
        let (whole, rest) = (left / right, left % right);
        let is_more = rest.unsigned_abs() >= right.unsigned_abs() - rest.unsigned_abs();
        return whole.checked_add(if is_more { left.signum() * right.signum() } else { 0 });
    }
    let (left, right) = (i256::from_i128(left).checked_mul(shift)?, i256::from_i128(right));
    let (whole, rest) = (left.checked_div(right)?, left.checked_rem(right)?.checked_abs()?);
    let is_more = rest >= right.checked_abs()?.checked_sub(rest)?;
    let away = if is_more { left.signum().checked_mul(right.signum())? } else { i256::ZERO };
    whole.checked_add(away)?.to_i128()
}

/// Intervals so many times, as Postgres has them: parts of months become days of thirty a month, parts of days become
/// time.
fn multiples(intervals: &ArrayRef, by: &ArrayRef, factor: fn(f64) -> f64) -> Result<ArrayRef> {
    let (intervals, by) = (intervals.as_primitive::<IntervalMonthDayNanoType>(), by.as_primitive::<Float64Type>());
    let multiple = |(interval, by): (Option<IntervalMonthDayNano>, Option<f64>)| {
        let (Some(interval), Some(by)) = (interval, by) else { return Ok(None) };
        let by = factor(by);
        if by.is_infinite() {
            return Err(ArrowError::DivideByZero.into());
        }
        let told = || overflow("an interval that is multiplied");
        multiple(interval, by).ok_or_else(told).map(Some)
    };
    let multiples: Result<IntervalMonthDayNanoArray> = intervals.iter().zip(by).map(multiple).collect();
    Ok(Arc::new(multiples?))
}

fn multiple(interval: IntervalMonthDayNano, by: f64) -> Option<IntervalMonthDayNano> {
    let within = |value: f64, most: f64| (value.abs() < most).then_some(value);
    let months = within(f64::from(interval.months) * by, 2_147_483_648.0)?;
    let days_of_months = months.fract() * DAYS_OF_MONTH;
    let days = within(f64::from(interval.days) * by, 2_147_483_648.0)?;
    let nanos = match by.fract() == 0.0 && by.abs() < 9e15 {
        true => interval.nanoseconds.checked_mul(by as i64)?,
        false => within((interval.nanoseconds as f64 * by / 1e3).round() * 1e3, 9.2e18)? as i64,
    };
    let rest = ((days.fract() + days_of_months.fract()) * NANOS_OF_DAY / 1e3).round() * 1e3;
    Some(IntervalMonthDayNano {
        months: months as i32,
        days: (days as i32).checked_add(days_of_months as i32)?,
        nanoseconds: nanos.checked_add(rest as i64)?,
    })
}

/// `sum`, of integers as a decimal.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    inner: Sum,
    signature: Signature,
}

impl ExactSum {
    fn new() -> ExactSum {
        ExactSum { inner: Sum::new(), signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [of] if of.is_integer() || of.is_null() => Ok(vec![SUM]),
            [of] if of.is_floating() => Ok(vec![DataType::Float64]),
            [of] if of.is_decimal() || matches!(of, DataType::Duration(_) | DataType::Interval(_)) => {
                Ok(vec![of.clone()])
            }
            [of] => Err(QueryError::Invalid(format!(
                "sum takes numbers and intervals, not {of}; convert what is summed, such as sum(CAST(text AS BIGINT))"
            ))
            .into()),
            _ => Err(QueryError::Invalid("sum takes one argument, such as sum(good_us)".to_owned()).into()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, called: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(called)
    }

    fn state_fields(&self, called: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(called)
    }

    fn groups_accumulator_supported(&self, called: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(called)
    }

    fn create_groups_accumulator(&self, called: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(called)
    }

    fn create_sliding_accumulator(&self, called: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(called)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }
}
