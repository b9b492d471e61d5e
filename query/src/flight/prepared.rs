//! Statements that clients prepare, and the values that they bind to their parameters.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_schema::{DataType, Field, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use futures::{FutureExt, Stream, TryStreamExt};
use tokio::time::Instant as Moment;
use tonic::Status;
use uuid::Uuid;

use crate::error::QueryError;
use crate::flight::kept::{Bounds, Kept};
use crate::flight::login::Asker;
use crate::flight::{sent, told};

/// Statements that are kept. Each takes at most what a statement and `VALUES_BYTES_MAX` do.
const STATEMENTS: Bounds =
    Bounds { of_one_max: 200, in_all_max: 2_000, idle_max: IDLE_MAX, age_max: Duration::from_hours(24) };

/// How long a statement is kept that nobody uses.
pub(super) const IDLE_MAX: Duration = Duration::from_hours(1);

/// Bytes of the values of a statement at most.
const VALUES_BYTES_MAX: usize = 64 << 10;

/// What is asked: a statement, and the values of its parameters in their order.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) statement: Arc<str>,
    pub(super) values: Arc<[ScalarValue]>,
}

/// The statements of all clients.
pub(super) struct Statements {
    kept: Kept<Vec<u8>, Asked>,
}

impl Asked {
    /// A statement without values.
    pub(super) fn plain(statement: &str) -> Asked {
        Asked { statement: statement.into(), values: Arc::from([]) }
    }

    /// The values, for the parameters of its plan.
    ///
    /// # Errors
    /// `Invalid` when there are more or fewer of them than parameters.
    pub(super) fn values_for(&self, plan: &LogicalPlan) -> Result<Option<ParamValues>, QueryError> {
        let (bound, expected) = (self.values.len(), parameters(plan)?.fields().len());
        if bound != expected {
            return Err(QueryError::Invalid(format!(
                "the statement has {expected} parameters, but {bound} values are bound; bind one row with a value for each"
            )));
        }
        Ok((expected > 0).then(|| ParamValues::from(self.values.to_vec())))
    }
}

impl Statements {
    /// None.
    pub(super) fn new() -> Statements {
        Statements { kept: Kept::new(STATEMENTS) }
    }

    /// Keeps a statement, and gives the handle for it.
    pub(super) fn keep(&self, asker: &Asker, statement: &str) -> Vec<u8> {
        let handle = Uuid::new_v4().into_bytes().to_vec();
        self.kept.put(handle.clone(), asker.name(), Asked::plain(statement), Moment::now());
        handle
    }

    /// The statement of a handle.
    ///
    /// # Errors
    /// `NotFound` when there is none any more.
    pub(super) fn find(&self, asker: &Asker, handle: &[u8]) -> Result<Asked, Status> {
        self.kept.get(&handle.to_vec(), Some(asker.name()), Moment::now()).ok_or_else(forgotten)
    }

    /// Binds values to the parameters of a statement.
    ///
    /// # Errors
    /// As `find`.
    pub(super) fn bind(&self, asker: &Asker, handle: &[u8], values: Arc<[ScalarValue]>) -> Result<(), Status> {
        let bind = |asked: &mut Asked| asked.values = values;
        self.kept.change(&handle.to_vec(), Some(asker.name()), Moment::now(), bind).ok_or_else(forgotten)
    }

    /// Forgets a statement.
    pub(super) fn close(&self, asker: &Asker, handle: &[u8]) {
        self.kept.remove(&handle.to_vec(), asker.name());
    }
}

fn forgotten() -> Status {
    Status::not_found("this statement was closed, or not used for an hour; prepare it again")
}

/// The parameters of a plan in their order: `$1` and so on, each with what it is compared with, as far as that is known.
///
/// # Errors
/// `Invalid` when one has no number, or a number has none.
pub(super) fn parameters(plan: &LogicalPlan) -> Result<Schema, QueryError> {
    let (mut found, counts) = (Vec::new(), counts(plan)?);
    for (name, of) in plan.get_parameter_types()? {
        let of = of.or(counts.contains(&name).then_some(DataType::Int64));
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let wrong = || QueryError::Invalid(format!("found parameter {name}; write $1, $2 and so on, or ?"));
        found.push((number.ok_or_else(wrong)?, of.unwrap_or(DataType::Utf8)));
    }
    found.sort_by_key(|(number, _)| *number);
    if let Some((expected, _)) = (1..).zip(&found).find(|(expected, (number, _))| expected != number) {
        return Err(QueryError::Invalid(format!("there is no parameter ${expected}, though there are later ones")));
    }
    let fields = found.into_iter().map(|(number, of)| Field::new(format!("${number}"), of, true));
    Ok(sent(&Schema::new(fields.collect::<Vec<_>>())).as_ref().clone())
}

/// The parameters that say how many rows there are to be.
fn counts(plan: &LogicalPlan) -> Result<BTreeSet<String>, QueryError> {
    let mut counts = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            let bounds = [&limit.skip, &limit.fetch].into_iter().flatten();
            counts.extend(bounds.filter_map(|bound| match bound.as_ref() {
                Expr::Placeholder(placeholder) => Some(placeholder.id.clone()),
                _ => None,
            }));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(counts)
}

/// The same statement with each `?`, which is how JDBC and ODBC write a parameter, as one with a number.
pub(super) fn numbered(statement: &str) -> String {
    // What cannot be read is told by who reads it next.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, statement).tokenize_with_location() else {
        return statement.to_owned();
    };
    let is_one = |found: &&TokenWithSpan| matches!(&found.token, Token::Placeholder(name) if name == "?");
    let mut text = String::with_capacity(statement.len());
    let (mut places, mut number) = (tokens.iter().filter(is_one).map(|found| found.span.start).peekable(), 0);
    for (line, content) in (1..).zip(statement.split_inclusive('\n')) {
        for (column, letter) in (1..).zip(content.chars()) {
            if places.next_if(|place| (place.line, place.column) == (line, column)).is_some() {
                number += 1;
                text += &format!("${number}");
            } else {
                text.push(letter);
            }
        }
    }
    text
}

/// The values of the one row that a client sends.
///
/// # Errors
/// `InvalidArgument` when there are more rows or bytes than that, or they cannot be read.
pub(super) async fn values(
    parts: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Arc<[ScalarValue]>, Status> {
    let mut bytes_left = VALUES_BYTES_MAX;
    let parts = parts.map_err(|status| FlightError::Tonic(Box::new(status))).and_then(move |part| {
        let bytes = part.data_header.len() + part.data_body.len();
        std::future::ready(match bytes_left.checked_sub(bytes) {
            Some(left) => {
                bytes_left = left;
                Ok(part)
            }
            None => Err(FlightError::Tonic(Box::new(Status::invalid_argument(format!(
                "the values of the parameters have more than {} KiB",
                VALUES_BYTES_MAX >> 10
            ))))),
        })
    });
    let rows = FlightRecordBatchStream::new_from_flight_data(parts);
    // The bytes are a client's, and whoever reads them takes for true what they say of themselves.
    let read = std::panic::AssertUnwindSafe(async move {
        let mut row = None;
        let mut rows = std::pin::pin!(rows.try_filter(|batch| std::future::ready(batch.num_rows() > 0)));
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() > 1 || row.is_some() {
                return Err(FlightError::Tonic(Box::new(Status::invalid_argument(
                    "more than one row of values is bound; bind one, and ask again with the next",
                ))));
            }
            row = Some(of_row(&batch)?);
        }
        Ok(row.unwrap_or_default())
    });
    match read.catch_unwind().await {
        Ok(Ok(values)) => Ok(values.into()),
        Ok(Err(FlightError::Tonic(status))) => Err(*status),
        Ok(Err(error)) => Err(told(QueryError::Invalid(format!("the values cannot be read: {error}")))),
        Err(_) => Err(Status::invalid_argument("the values cannot be read: they are damaged")),
    }
}

fn of_row(batch: &RecordBatch) -> Result<Vec<ScalarValue>, FlightError> {
    let value = |column: &ArrayRef| {
        ScalarValue::try_from_array(column, 0).map_err(|error| FlightError::DecodeError(error.to_string()))
    };
    batch.columns().iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_are_parameters_where_they_are_no_text() {
        for (statement, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT ?", "SELECT $1"),
            ("SELECT '?', \"?\", ? -- ?\n, /* ? */ ?\r\n\n,?", "SELECT '?', \"?\", $1 -- ?\n, /* ? */ $2\r\n\n,$3"),
            ("SELECT 'ä\nö?', ?, 'it''s?',?", "SELECT 'ä\nö?', $1, 'it''s?',$2"),
            ("SELECT $1, $2", "SELECT $1, $2"),
            ("SELECT 'open, ?", "SELECT 'open, ?"),
        ] {
            assert_eq!(numbered(statement), expected);
        }
    }
}
