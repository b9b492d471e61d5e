//! What the parameters of a GET door ask for. Their values become literals of a plan and never SQL text.

use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::{DataFrame, col};
use plimsoll_schemas::Instant;
use plimsoll_schemas::event::timestamp_type;

use crate::error::QueryError;
use crate::http::doors::Door;
use crate::http::page::{Cursor, Order};
use crate::known::time;
use crate::provider::VALUES_MAX;

/// Rows of an answer unless `limit` says otherwise: what a page shows.
pub(super) const LIMIT_DEFAULT: usize = 1_000;
/// Rows of an answer at most; further ones are on the next page.
pub(super) const LIMIT_MAX: usize = 10_000;
/// The parameter that asks for an answer as it was known at an instant (R25).
pub(super) const KNOWN_AT: &str = "known_at";
/// The parameter that asks for the page after another.
pub(super) const CURSOR: &str = "cursor";
/// The parameters that every door has, whatever it shows.
pub(super) const OF_ALL: [&str; 5] = ["fields", "sort", "limit", CURSOR, KNOWN_AT];

/// What a request asks for.
pub(super) struct Wish {
    conditions: Vec<Expr>,
    /// The columns to show; all when there are none.
    fields: Vec<String>,
    order: Vec<Order>,
    cursor: Option<Cursor>,
    pub(super) limit: usize,
    pub(super) known_at: Option<Instant>,
}

impl Wish {
    /// Reads the parameters of a door. A filter that is given several times takes any of its values.
    pub(super) fn read(door: &Door, parameters: &[(String, String)]) -> Result<Wish, QueryError> {
        let (mut limit, mut known_at, mut from, mut until) = (None, None, None, None);
        let (mut fields, mut sort, mut cursor) = (None, None, None);
        let mut conditions = Vec::new();
        let mut values: Vec<(&'static str, Vec<Expr>)> = Vec::new();
        for (name, value) in parameters {
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(QueryError::Invalid(format!("found bytes that are not UTF-8 in {name}, expected text")));
            }
            if let Some(column) = door.filters.iter().find(|column| *column == name) {
                allowed_word(door, column, value)?;
                match values.iter_mut().find(|(known, _)| known == column) {
                    Some((_, values)) if values.len() == VALUES_MAX => {
                        return Err(QueryError::Invalid(format!("found more than {VALUES_MAX} values of {name}")));
                    }
                    Some((_, values)) => values.push(lit(value)),
                    None => values.push((column, vec![lit(value)])),
                }
                continue;
            }
            match (name.as_str(), door.time) {
                ("from", Some(column)) => once(name, &mut from, begin(column).gt_eq(time(instant(name, value)?)))?,
                ("until", Some(column)) => once(name, &mut until, begin(column).lt(time(instant(name, value)?)))?,
                ("fields", _) => once(name, &mut fields, columns_once(list(value))?)?,
                ("sort", _) => once(name, &mut sort, list(value))?,
                ("limit", _) => once(name, &mut limit, rows(value)?)?,
                (CURSOR, _) => once(name, &mut cursor, Cursor::parse(value)?)?,
                (KNOWN_AT, _) => once(name, &mut known_at, instant(name, value)?)?,
                _ => return Err(unknown_parameter(door, name)),
            }
        }
        conditions.extend(from.into_iter().chain(until));
        conditions.extend(values.into_iter().map(|(column, values)| col(column).in_list(values, false)));
        let order = order(door, &sort.unwrap_or_default());
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        let (fields, cursor) = (fields.unwrap_or_default(), cursor.flatten());
        Ok(Wish { conditions, fields, order, cursor, limit, known_at })
    }

    /// The rows that the filters leave.
    pub(super) fn filter(&self, view: DataFrame) -> Result<DataFrame, DataFusionError> {
        self.conditions.iter().cloned().try_fold(view, DataFrame::filter)
    }

    /// The rows of a page and one more, if there is one: the columns to show, and then others by which they are ordered.
    pub(super) fn rows(&self, door: &Door, view: DataFrame) -> Result<DataFrame, DataFusionError> {
        let rows = (door.shape)(self.filter(view)?)?;
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let asked = self.fields.iter().map(|name| ("fields", name));
        for (parameter, name) in asked.chain(self.order.iter().map(|order| ("sort", &order.column))) {
            if !names.contains(name) {
                let wrong = format!("found column {name} in {parameter}, allowed are {}", names.join(", "));
                return Err(QueryError::Invalid(wrong).into());
            }
        }
        let rows = match &self.cursor {
            Some(cursor) => {
                let after = cursor.after(&self.order, rows.schema())?;
                rows.filter(after)?
            }
            None => rows,
        };
        let sorted = rows.sort(self.order.iter().map(Order::expr).collect())?;
        let page = sorted.limit(0, Some(self.limit + 1))?;
        if self.fields.is_empty() {
            return Ok(page); // Planning a choice of all of fifty columns takes longer than reading them.
        }
        let others = self.order.iter().map(|order| &order.column).filter(|name| !self.fields.contains(name));
        page.select(self.fields.iter().chain(others).map(|name| col(format!("\"{name}\""))).collect::<Vec<_>>())
    }

    /// How many columns are shown of those that `rows` has, if not all.
    pub(super) fn shown(&self) -> Option<usize> {
        Some(self.fields.len()).filter(|count| *count > 0)
    }

    /// By what the rows are ordered.
    pub(super) fn order(&self) -> &[Order] {
        &self.order
    }
}

/// The order that is asked for, and then that of the door, by which no two rows are alike. By a column that is named again
/// rows are ordered already.
fn order(door: &Door, asked: &[String]) -> Vec<Order> {
    let mut order: Vec<Order> = Vec::new();
    for one in asked.iter().map(String::as_str).chain(door.order.iter().copied()).map(Order::parse) {
        if order.iter().all(|known| known.column != one.column) {
            order.push(one);
        }
    }
    order
}

/// The instants of a column; a civil day is taken at its beginning in UTC.
fn begin(column: &str) -> Expr {
    cast(col(column), timestamp_type())
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The columns to show, of which none is shown twice.
fn columns_once(fields: Vec<String>) -> Result<Vec<String>, QueryError> {
    match fields.iter().enumerate().find(|(place, name)| fields[..*place].contains(name)) {
        None => Ok(fields),
        Some((_, twice)) => Err(QueryError::Invalid(format!("found {twice} twice in fields, expected it once"))),
    }
}

/// Takes the value of a parameter that may be given once.
pub(super) fn once<Value>(name: &str, place: &mut Option<Value>, value: Value) -> Result<(), QueryError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError::Invalid(format!("found {name} twice, expected it once"))),
    }
}

/// Refuses a value that no row can have, which would look like an answer of nothing.
fn allowed_word(door: &Door, column: &str, value: &str) -> Result<(), QueryError> {
    match door.words(column) {
        Some(words) if !words.contains(&value) => {
            Err(QueryError::Invalid(format!("found {column}={value}, allowed are {}", words.join(", "))))
        }
        _ => Ok(()),
    }
}

fn unknown_parameter(door: &Door, name: &str) -> QueryError {
    QueryError::Invalid(format!("found parameter {name}, allowed are {}", door.parameters().join(", ")))
}

/// An instant, given as RFC 3339 or as a date, which means its first instant in UTC.
pub(super) fn instant(name: &str, value: &str) -> Result<Instant, QueryError> {
    Instant::parse(value).ok_or_else(|| {
        QueryError::Invalid(format!("found {name}={value}, expected 2026-01-31T08:00:00Z or 2026-01-31"))
    })
}

fn rows(value: &str) -> Result<usize, QueryError> {
    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| QueryError::Invalid(format!("found limit={value}, allowed are 1 to {LIMIT_MAX}")))
}
