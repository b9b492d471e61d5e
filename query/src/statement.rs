//! A statement made ready for the planner, so that it is answered as Postgres answers it, or refused.
//!
//! The planner passes over a sample of a table and over locks, so they are refused here. It refuses columns that it
//! would call the same, so the later ones are given names: that which Postgres gives, and a number. Numbers that are
//! written with an exponent are written out, and those of more digits than a decimal has become floats.

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow_schema::DECIMAL128_MAX_PRECISION;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Ident, Query, Select, SelectItem, TableFactor, Value, VisitMut, VisitorMut,
};

use crate::error::QueryError;

/// Makes a statement ready.
///
/// # Errors
/// `Invalid` when it asks for a sample, `Refused` when it asks for locks.
pub(crate) fn prepare(statement: &mut Statement) -> Result<(), QueryError> {
    let mut statement = statement;
    while let Statement::Explain(explained) = statement {
        statement = &mut explained.statement;
    }
    let Statement::Statement(statement) = statement else { return Ok(()) };
    match statement.visit(&mut Preparing) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Preparing;

impl VisitorMut for Preparing {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<QueryError>> {
        match query.locks.first() {
            None => ControlFlow::Continue(()),
            Some(lock) => ControlFlow::Break(Box::new(QueryError::Refused(format!(
                "{lock} would lock rows; leave it out: tables are only read here"
            )))),
        }
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Box<QueryError>> {
        match table {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                ControlFlow::Break(Box::new(QueryError::Invalid(
                    "TABLESAMPLE is not supported; leave it out, or take some rows with WHERE random() < 0.1"
                        .to_owned(),
                )))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Box<QueryError>> {
        if select.projection.len() > 1 {
            name_apart(&mut select.projection);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<QueryError>> {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Number(text, _) = &mut value.value else { return ControlFlow::Continue(()) };
        match written_out(text) {
            Some(plain) => *text = plain,
            None => {
                let text = Value::SingleQuotedString(text.replace('_', ""));
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(Expr::Value(text.into())),
                    data_type: DataType::DoublePrecision,
                    array: false,
                    format: None,
                };
            }
        }
        ControlFlow::Continue(())
    }
}

/// A number without an exponent; `None` when a decimal has too few digits for it.
fn written_out(text: &str) -> Option<String> {
    let plain = text.replace('_', "");
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (&*plain, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let places = (part.len() as i64).checked_sub(exponent)?;
    let significant = digits.trim_start_matches('0').len();
    let after = usize::try_from(places).unwrap_or(0);
    let zeros = usize::try_from(places.checked_neg()?).unwrap_or(0);
    if significant.checked_add(zeros)?.max(after) > DECIMAL128_MAX_PRECISION.into() {
        return None;
    }
    if exponent == 0 {
        return Some(plain);
    }
    let digits = format!("{digits:0>after$}{:0>zeros$}", "");
    let (whole, part) = digits.split_at(digits.len() - after);
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") })
}

/// Gives names to those columns without one that the planner would call as it calls an earlier one.
fn name_apart(columns: &mut [SelectItem]) {
    let mut names: HashSet<String> = columns
        .iter()
        .filter_map(|column| match column {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
            SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
            _ => None,
        })
        .collect();
    let mut met = HashSet::new();
    for column in columns {
        let SelectItem::UnnamedExpr(expr) = column else { continue };
        if met.insert(without_casts(expr)) {
            continue;
        }
        let name = name_of(expr);
        let numbered = (2..).map(|number| format!("{name}_{number}")).find(|name| names.insert(name.clone()));
        let Some(numbered) = numbered else { continue };
        let expr = expr.clone();
        *column = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', numbered) };
    }
}

/// An expression as the planner names it, which tells of no casts.
fn without_casts(expr: &Expr) -> String {
    struct Bare;
    impl VisitorMut for Bare {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            while let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = expr {
                let null = Box::new(Expr::Value(Value::Null.into()));
                *expr = *std::mem::replace(inner, null);
            }
            ControlFlow::Continue(())
        }
    }
    let mut bare = expr.clone();
    let _ = bare.visit(&mut Bare);
    bare.to_string().to_lowercase()
}

/// The name that Postgres gives to a column of an expression.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.to_lowercase(),
        Expr::CompoundIdentifier(names) => names.last().map_or_else(String::new, |name| name.value.to_lowercase()),
        Expr::Function(function) => function.name.to_string().to_lowercase(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => name_of(expr),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Case { .. } => "case".to_owned(),
        _ => "?column?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    #[test]
    fn numbers_are_written_out_as_long_as_decimals_hold_them() {
        for (text, plain) in [
            ("1", Some("1")),
            ("0.10", Some("0.10")),
            ("1e3", Some("1000")),
            ("1.25E1", Some("12.5")),
            ("1.25e+2", Some("125")),
            ("12e-3", Some("0.012")),
            ("1_000.5", Some("1000.5")),
            ("5e37", Some(concat!("5000000000", "0000000000", "0000000000", "00000000"))),
            ("5e38", None),
            ("1e-39", None),
            ("1e999999999999999999999", None),
        ] {
            assert_eq!(written_out(text).as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn columns_that_would_have_one_name_are_numbered() {
        for (asked, prepared) in [
            (
                "SELECT count(*), COUNT(*), count(*) FROM t",
                "SELECT count(*), COUNT(*) AS \"count_2\", count(*) AS \"count_3\" FROM t",
            ),
            ("SELECT at, at::DATE FROM t", "SELECT at, at::DATE AS \"at_2\" FROM t"),
            (
                "SELECT t.at, CAST(t.at AS DATE), at_2 FROM t",
                "SELECT t.at, CAST(t.at AS DATE) AS \"at_3\", at_2 FROM t",
            ),
            ("SELECT 1, 1", "SELECT 1, 1 AS \"?column?_2\""),
            ("SELECT a, b AS a FROM t", "SELECT a, b AS a FROM t"),
        ] {
            let mut statement = DFParser::parse_sql(asked).expect(asked).pop_front().expect("a statement");
            prepare(&mut statement).expect(asked);
            assert_eq!(statement.to_string(), prepared);
        }
    }
}
