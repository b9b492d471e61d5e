//! Bytes as text for people: the scalar function `lossy_text`.
//!
//! DataFusion reads bytes as text by `CAST` and `decode`, and each ends the whole answer at the first byte that is not
//! UTF-8. Records are often set aside because of just that, so here such bytes become U+FFFD and the rest stays.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringViewArray};
use arrow_schema::DataType;
use datafusion::common::utils::take_function_args;
use datafusion::error::DataFusionError;
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::{ScalarUDF, Volatility, create_udf};

/// Its name in SQL.
const LOSSY_TEXT: &str = "lossy_text";

/// The function: binary in, text out, null for null.
pub(crate) fn lossy_text() -> ScalarUDF {
    let read = make_scalar_function(as_text, Vec::new());
    create_udf(LOSSY_TEXT, vec![DataType::BinaryView], DataType::Utf8View, Volatility::Immutable, Arc::new(read))
}

fn as_text(arguments: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [bytes] = take_function_args(LOSSY_TEXT, arguments)?;
    let texts = bytes.as_binary_view().iter().map(|bytes| bytes.map(String::from_utf8_lossy));
    Ok(Arc::new(texts.collect::<StringViewArray>()))
}
