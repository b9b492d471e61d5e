//! Pages of a GET door: by what rows are ordered, and where the next page begins.
//!
//! A cursor has the values of the last row of a page by which rows are ordered. The next page is what comes after them, so
//! that rows which came or went meanwhile make none be passed over or shown twice. Nulls come last, in either direction.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, SortExpr, lit};
use datafusion::prelude::col;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::error::QueryError;

/// One column by which rows are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) column: String,
    is_descending: bool,
}

impl Order {
    /// A column, with a `-` before it when the greatest comes first.
    pub(super) fn parse(text: &str) -> Order {
        let (column, is_descending) = text.strip_prefix('-').map_or((text, false), |column| (column, true));
        Order { column: column.to_owned(), is_descending }
    }

    fn text(&self) -> String {
        format!("{}{}", if self.is_descending { "-" } else { "" }, self.column)
    }

    fn column(&self) -> Expr {
        col(format!("\"{}\"", self.column))
    }

    pub(super) fn expr(&self) -> SortExpr {
        self.column().sort(!self.is_descending, false)
    }
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// By what the rows are ordered.
    sort: Vec<String>,
    /// The values of its last row.
    last: Vec<Option<String>>,
}

impl Cursor {
    /// Reads what `Page::next` gave; nothing stands for the first page.
    pub(super) fn parse(text: &str) -> Result<Option<Cursor>, QueryError> {
        if text.is_empty() {
            return Ok(None);
        }
        let cursor = URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice::<Cursor>(&json).ok());
        let cursor = cursor.filter(|cursor| cursor.sort.len() == cursor.last.len());
        let wrong = || QueryError::Invalid("found a cursor that no page gave; take that of its Link".to_owned());
        cursor.map(Some).ok_or_else(wrong)
    }

    fn text(&self) -> Result<String, QueryError> {
        let json = serde_json::to_vec(self).map_err(|error| QueryError::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// Whether a row comes after the last one of the page.
    pub(super) fn after(&self, order: &[Order], schema: &DFSchema) -> Result<Expr, DataFusionError> {
        if !order.iter().map(Order::text).eq(self.sort.iter().cloned()) {
            let wrong = "found a cursor of another sort; ask for a page with the sort of the first".to_owned();
            return Err(QueryError::Invalid(wrong).into());
        }
        let (mut after, mut same) = (lit(false), lit(true));
        for (order, last) in order.iter().zip(&self.last) {
            let column = order.column();
            let data_type = schema.field_with_unqualified_name(&order.column)?.data_type();
            let (is_after, is_same) = match last {
                None => (lit(false), column.is_null()),
                Some(text) => {
                    let value = ScalarValue::try_from_string(text.clone(), data_type).map_err(|_| {
                        QueryError::Invalid("found a cursor that no page gave; take that of its Link".to_owned())
                    })?;
                    let further = match order.is_descending {
                        true => column.clone().lt(lit(value.clone())),
                        false => column.clone().gt(lit(value.clone())),
                    };
                    (further.or(column.clone().is_null()), column.eq(lit(value)))
                }
            };
            after = after.or(same.clone().and(is_after));
            same = same.and(is_same);
        }
        Ok(after)
    }
}

/// The rows of a page.
pub(super) struct Page {
    pub(super) rows: RecordBatch,
    /// The cursor of the next one, if there is one.
    pub(super) next: Option<String>,
}

impl Page {
    /// Takes an answer that has, after so many columns to show, others by which it is ordered, and perhaps a row too many.
    pub(super) async fn take(
        answer: SendableRecordBatchStream,
        (order, shown): (&[Order], Option<usize>),
        limit: usize,
    ) -> Result<Page, QueryError> {
        let schema = answer.schema();
        let batches: Vec<RecordBatch> = answer.try_collect().await?;
        let unfit = |error: arrow_schema::ArrowError| QueryError::Internal(error.to_string());
        let rows = concat_batches(&schema, &batches).map_err(unfit)?;
        let shown: Vec<usize> = (0..shown.unwrap_or(schema.fields().len())).collect();
        let next = match rows.num_rows() > limit {
            true => {
                let value = |order: &Order| -> Result<Option<String>, QueryError> {
                    let place = schema.index_of(&order.column).map_err(unfit)?;
                    let last = rows.column(place).slice(limit - 1, 1);
                    let last = cast(&last, &DataType::Utf8).map_err(unfit)?;
                    Ok(last.as_string::<i32>().iter().next().flatten().map(str::to_owned))
                };
                let last = order.iter().map(value).collect::<Result<Vec<_>, _>>()?;
                Some(Cursor { sort: order.iter().map(Order::text).collect(), last }.text()?)
            }
            false => None,
        };
        let rows = rows.slice(0, rows.num_rows().min(limit)).project(&shown).map_err(unfit)?;
        Ok(Page { rows, next })
    }
}
