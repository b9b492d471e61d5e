//! Parameters: of which types they are, and the values that a client binds to them.
//!
//! A client that gives a value a type (psycopg, JDBC) means what it says: a number is that number, to the last digit,
//! whatever it is compared with, and DataFusion finds what both sides can be. A value without a type is a text, which
//! is read as what it is compared with or cast to, as in Postgres.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_pg::datatypes::df::deserialize_parameters;
use arrow_pg::datatypes::into_pg_type;
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType, Field, IntervalUnit, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Cast, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr as Planned, LogicalPlan};
use datafusion::sql::sqlparser::ast::{Expr, LimitClause, Query, Statement, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::api::stmt::StoredStatement;
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::extendedquery::Bind;
use plimsoll_schemas::event::timestamp_type;

use crate::postgres::refused;
use crate::postgres::session::{Prepared, told};

/// Parameters of a statement at most: as many as the protocol can bind.
const PARAMETERS_MAX: u32 = 65_535;

/// A statement whose parameters say what they are where DataFusion would take them for something else.
pub(super) fn statement(mut statement: Statement, said: &[Option<Type>]) -> Statement {
    let _ = VisitMut::visit(&mut statement, &mut Cases { said });
    statement
}

struct Cases<'a> {
    said: &'a [Option<Type>],
}

impl Cases<'_> {
    /// The type that a client gave to a parameter, where an expression is one.
    fn of(&self, expr: &Expr) -> Option<Option<&Type>> {
        let Expr::Value(value) = expr else { return None };
        let Value::Placeholder(id) = &value.value else { return None };
        Some(said_of(self.said, id))
    }

    fn cast(expr: &mut Expr, data_type: &str) {
        let text = format!("CAST({expr} AS {data_type})");
        if let Ok(cast) = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).and_then(|mut text| text.parse_expr())
        {
            *expr = cast;
        }
    }
}

impl VisitorMut for Cases<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // Added to a time, it would be taken for a time.
        let is_interval = self.of(expr) == Some(Some(&Type::INTERVAL));
        match expr {
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if self.of(right) == Some(None) => {
                Cases::cast(right, "TEXT[]");
            }
            _ if is_interval => Cases::cast(expr, "INTERVAL"),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            let offset = offset.as_mut().map(|offset| &mut offset.value);
            for count in limit.iter_mut().chain(offset) {
                if self.of(count).is_some() {
                    Cases::cast(count, "BIGINT");
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The type that a client gave to a parameter.
fn said_of<'a>(said: &'a [Option<Type>], id: &str) -> Option<&'a Type> {
    let place = number(id).checked_sub(1)?;
    said.get(place as usize)?.as_ref().filter(|said| **said != Type::UNKNOWN)
}

fn number(id: &str) -> u32 {
    id.trim_start_matches('$').parse().unwrap_or(u32::MAX)
}

/// A plan in which each parameter has a type: that of what it is compared with, or else the one that a client gave to
/// it, or else that of what it is cast to, or else text.
pub(super) fn typed(plan: LogicalPlan, said: &[Option<Type>]) -> Result<LogicalPlan, DataFusionError> {
    let known = parameters(&plan)?;
    if known.is_empty() {
        return Ok(plan);
    }
    plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        let typed = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let typed = expr.transform_down(|expr| Ok(with_type(expr, &known, said)))?;
            Ok(typed.update_data(|expr| name.restore(expr)))
        })?;
        // What is above a parameter has its type.
        typed.map_data(LogicalPlan::recompute_schema)
    })
    .map(|typed| typed.data)
}

fn with_type(expr: Planned, known: &BTreeMap<u32, Option<DataType>>, said: &[Option<Type>]) -> Transformed<Planned> {
    let give = |parameter: Placeholder, otherwise: DataType| {
        let elsewhere = known.get(&number(&parameter.id)).cloned().flatten();
        let data_type = elsewhere.or_else(|| said_of(said, &parameter.id).map(data_type_of)).unwrap_or(otherwise);
        let field = Arc::new(Field::new("", data_type, true));
        Planned::Placeholder(Placeholder::new_with_field(parameter.id, Some(field)))
    };
    match expr {
        Planned::Cast(Cast { expr, field }) => match *expr {
            Planned::Placeholder(parameter) if parameter.field.is_none() => {
                let typed = give(parameter, field.data_type().clone());
                Transformed::yes(Planned::Cast(Cast { expr: Box::new(typed), field }))
            }
            other => Transformed::no(Planned::Cast(Cast { expr: Box::new(other), field })),
        },
        Planned::Placeholder(parameter) if parameter.field.is_none() => {
            Transformed::yes(give(parameter, DataType::Utf8))
        }
        other => Transformed::no(other),
    }
}

/// What values of a type of Postgres are here.
fn data_type_of(said: &Type) -> DataType {
    let list = |element: DataType| DataType::List(Arc::new(Field::new_list_field(element, true)));
    match *said {
        Type::BOOL => DataType::Boolean,
        Type::CHAR => DataType::Int8,
        Type::INT2 => DataType::Int16,
        Type::INT4 | Type::OID => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 9),
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Nanosecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => timestamp_type(),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        Type::BOOL_ARRAY => list(DataType::Boolean),
        Type::INT2_ARRAY => list(DataType::Int16),
        Type::INT4_ARRAY => list(DataType::Int32),
        Type::INT8_ARRAY => list(DataType::Int64),
        Type::FLOAT4_ARRAY => list(DataType::Float32),
        Type::FLOAT8_ARRAY => list(DataType::Float64),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => list(DataType::Utf8),
        _ => DataType::Utf8,
    }
}

/// The types of the parameters of a plan, in their order, as a client is told.
pub(super) fn of_wire(plan: &LogicalPlan) -> PgWireResult<Vec<Type>> {
    let types = parameters(plan).map_err(|error| told(error.into()))?;
    (1..=last(&types)?).map(|number| told_of(types.get(&number).and_then(Option::as_ref))).collect()
}

fn told_of(known: Option<&DataType>) -> PgWireResult<Type> {
    known.map_or(Ok(Type::TEXT), into_pg_type)
}

/// The largest number of a parameter. There may be others below it that nothing is compared with.
fn last(types: &BTreeMap<u32, Option<DataType>>) -> PgWireResult<u32> {
    match types.keys().next_back() {
        Some(last) if *last > PARAMETERS_MAX => {
            Err(refused("54023", format!("parameters are numbered from $1 to ${PARAMETERS_MAX}")))
        }
        last => Ok(last.copied().unwrap_or(0)),
    }
}

/// The parameters of a plan by their numbers, with the types that they have where they are compared first.
fn parameters(plan: &LogicalPlan) -> Result<BTreeMap<u32, Option<DataType>>, DataFusionError> {
    let mut found: BTreeMap<u32, Option<DataType>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Planned::Placeholder(Placeholder { id, field }) = expr {
                    let known = found.entry(number(id)).or_default();
                    *known = known.take().or_else(|| field.as_ref().map(|field| field.data_type().clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// The question with the values that a client has bound to its parameters.
pub(super) fn with_values(plan: &LogicalPlan, portal: &Portal<Prepared>) -> PgWireResult<LogicalPlan> {
    let types = parameters(plan).map_err(|error| told(error.into()))?;
    if types.is_empty() {
        return Ok(plan.clone());
    }
    let (asked, bound) = (last(&types)?, portal.parameter_len());
    if bound < asked as usize {
        return Err(refused(
            "08P01",
            format!("the statement has {asked} parameters, and {bound} values are bound to it"),
        ));
    }
    let known = (1..).map(|number| types.get(&number).and_then(Option::as_ref));
    let values = (0..bound).zip(known).map(|(place, known)| value(portal, place, known).map(Into::into));
    let values = ParamValues::List(values.collect::<PgWireResult<_>>()?);
    plan.clone().replace_params_with_values(&values).map_err(|error| told(error.into()))
}

/// One value.
fn value(portal: &Portal<Prepared>, place: usize, known: Option<&DataType>) -> PgWireResult<ScalarValue> {
    let bytes = portal.parameters.get(place).ok_or(PgWireError::ParameterIndexOutOfBound(place))?;
    let Some(bytes) = bytes else {
        return ScalarValue::try_from(known.unwrap_or(&DataType::Utf8)).map_err(|error| told(error.into()));
    };
    let said = portal.statement.parameter_types.get(place).and_then(Option::as_ref);
    let said = said.filter(|said| **said != Type::UNKNOWN);
    let of = match said {
        Some(said) => said.clone(),
        None => told_of(known)?,
    };
    let format = portal.parameter_format.format_for(place).value();
    let read = |known: Option<&DataType>| -> PgWireResult<Option<ScalarValue>> {
        let bind = Bind::new(None, None, vec![format], vec![Some(bytes.clone())], Vec::new());
        let statement = StoredStatement::new(String::new(), (), vec![Some(of.clone())]);
        match deserialize_parameters(&Portal::try_new(&bind, Arc::new(statement))?, &[known])? {
            ParamValues::List(values) => Ok(values.into_iter().next().map(|value| value.value)),
            ParamValues::Map(_) => Ok(None),
        }
    };
    let is_family = |kinds: fn(&DataType) -> bool| known.filter(|known| kinds(known));
    let found = match of {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => {
            read(None)?.map(|value| exact(value, known))
        }
        Type::INTERVAL => read(is_family(|known| matches!(known, DataType::Interval(_) | DataType::Duration(_))))?,
        Type::TIMESTAMP => read(is_family(|known| matches!(known, DataType::Timestamp(..))))?,
        Type::TIMESTAMPTZ | Type::DATE => {
            let known = is_family(|known| matches!(known, DataType::Timestamp(..)));
            let text = std::str::from_utf8(bytes).ok().filter(|_| said.is_none() && format == 0);
            match (read(known.or(Some(&timestamp_type()))), text) {
                (Err(error), Some(text)) => Some(day(text, known).ok_or(error)?),
                (read, _) => read?,
            }
        }
        _ => read(known)?,
    };
    found.ok_or_else(|| refused("22023", format!("parameter ${} has a value that is not read here", place + 1)))
}

/// A number as it is, to the last digit: as what it is compared with where it can be that, and else as itself.
fn exact(value: ScalarValue, known: Option<&DataType>) -> ScalarValue {
    let value = match (&value, known) {
        // The shortest text that is read as the same number again is the number that was meant.
        (ScalarValue::Float32(Some(number)), Some(DataType::Decimal128(..))) => decimal(&number.to_string()),
        (ScalarValue::Float64(Some(number)), Some(DataType::Decimal128(..))) => decimal(&number.to_string()),
        (ScalarValue::Decimal128(Some(number), _, scale), _) => of_digits(*number, *scale),
        _ => None,
    }
    .unwrap_or(value);
    let as_known = known.filter(|known| known.is_integer()).and_then(|known| {
        let whole = value.cast_to(known).ok()?;
        (whole.cast_to(&value.data_type()).ok()? == value).then_some(whole)
    });
    as_known.unwrap_or(value)
}

/// A decimal of a text of digits, if it has not too many.
fn decimal(text: &str) -> Option<ScalarValue> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    of_digits(format!("{whole}{fraction}").parse().ok()?, i8::try_from(fraction.len()).ok()?)
}

fn of_digits(number: i128, scale: i8) -> Option<ScalarValue> {
    let digits = number.unsigned_abs().checked_ilog10().map_or(1, |digits| digits + 1);
    let precision = u8::try_from(digits).ok()?.max(scale.unsigned_abs());
    (precision <= DECIMAL128_MAX_PRECISION).then_some(ScalarValue::Decimal128(Some(number), precision, scale))
}

/// A day as it is written with or without a zone, as JDBC does: its midnight, where an instant is meant.
fn day(text: &str, known: Option<&DataType>) -> Option<ScalarValue> {
    let (date, zone) = text.split_at_checked("2026-10-01".len())?;
    let text = match known {
        Some(_) => format!("{date} 00:00:00{}", zone.trim_start()),
        None => date.to_owned(),
    };
    ScalarValue::Utf8(Some(text)).cast_to(known.unwrap_or(&DataType::Date32)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let ratio = DataType::Decimal128(18, 9);
        for (value, known, expected) in [
            (ScalarValue::Float64(Some(0.999)), Some(&ratio), ScalarValue::Decimal128(Some(999), 3, 3)),
            (ScalarValue::Float64(Some(-0.1)), Some(&ratio), ScalarValue::Decimal128(Some(-1), 1, 1)),
            (ScalarValue::Float32(Some(0.1)), Some(&ratio), ScalarValue::Decimal128(Some(1), 1, 1)),
            (ScalarValue::Float64(Some(1e-300)), Some(&ratio), ScalarValue::Float64(Some(1e-300))),
            (ScalarValue::Int16(Some(1)), Some(&ratio), ScalarValue::Int16(Some(1))),
            (ScalarValue::Float64(Some(5.5)), Some(&DataType::Int64), ScalarValue::Float64(Some(5.5))),
            (ScalarValue::Float64(Some(5.0)), Some(&DataType::Int64), ScalarValue::Int64(Some(5))),
            (ScalarValue::Int64(Some(1 << 40)), Some(&DataType::Int32), ScalarValue::Int64(Some(1 << 40))),
            (ScalarValue::Int16(Some(7)), Some(&DataType::Int64), ScalarValue::Int64(Some(7))),
            // 0.001, of which arrow-pg says that it has one digit.
            (ScalarValue::Decimal128(Some(1), 1, 3), Some(&ratio), ScalarValue::Decimal128(Some(1), 3, 3)),
            (ScalarValue::Decimal128(Some(55), 2, 1), Some(&DataType::Int64), ScalarValue::Decimal128(Some(55), 2, 1)),
            (ScalarValue::Float64(Some(2.5)), None, ScalarValue::Float64(Some(2.5))),
        ] {
            assert_eq!(exact(value.clone(), known), expected, "{value:?}");
        }
    }

    #[test]
    fn a_day_is_its_midnight() {
        let midnight = |micros| Some(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        // 2026-10-01T00:00:00Z is 1790812800 seconds after 1970, by `date -u -d 2026-10-01 +%s`.
        assert_eq!(day("2026-10-01 +00", Some(&timestamp_type())), midnight(1_790_812_800_000_000));
        assert_eq!(day("2026-10-01 +02", Some(&timestamp_type())), midnight(1_790_805_600_000_000));
        assert_eq!(day("2026-10-01", Some(&timestamp_type())), midnight(1_790_812_800_000_000));
        assert_eq!(day("2026-10-01 +02", None), Some(ScalarValue::Date32(Some(20_727))));
        assert_eq!(day("soon", Some(&timestamp_type())), None);
    }
}
