//! What tools of Postgres ask that neither DataFusion nor its catalog answers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray, StringViewArray, new_null_array};
use arrow_schema::{DataType, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::common::utils::take_function_args;
use datafusion::error::DataFusionError;
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use pgwire::api::Type;

use crate::postgres::settings;

/// The version of Postgres whose protocol and catalog are meant.
pub(super) const POSTGRES_VERSION: &str = "16.6";
pub(super) const POSTGRES_VERSION_NUMBER: &str = "160006";

/// The numbers of Postgres' own types are smaller.
const OID_MAX: u32 = 10_000;

/// The functions of Postgres that tools call and that nobody else brings.
pub(crate) fn functions() -> [ScalarUDF; 3] {
    [version(), to_regtype(), current_setting()]
}

/// The table `pg_settings`, with the columns of one that is there: what a connection is unless its client says otherwise.
///
/// # Errors
/// When it has other columns, which is a defect.
pub(crate) fn settings_table(known: Option<Arc<dyn TableProvider>>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let columns = known.map_or_else(|| Arc::new(Schema::empty()), |known| known.schema());
    let texts = |of: fn((&'static str, &'static str)) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(settings::defaults().map(of)))
    };
    let values = columns.fields().iter().map(|field| match field.name().as_str() {
        "name" => texts(|(name, _)| name),
        "setting" => texts(|(_, value)| value),
        _ => new_null_array(field.data_type(), settings::defaults().count()),
    });
    let rows = RecordBatch::try_new(columns.clone(), values.collect())?;
    Ok(Arc::new(MemTable::try_new(columns, vec![vec![rows]])?))
}

/// The function `to_regtype(name)`: the number of a type of Postgres' own, null for any other.
fn to_regtype() -> ScalarUDF {
    let find = make_scalar_function(numbers, Vec::new());
    create_udf("to_regtype", vec![DataType::Utf8View], DataType::Int32, Volatility::Immutable, Arc::new(find))
}

fn numbers(arguments: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [names] = take_function_args("to_regtype", arguments)?;
    let number = |name: &str| {
        let known = (1..OID_MAX).filter_map(Type::from_oid).find(|known| known.name() == name)?;
        i32::try_from(known.oid()).ok()
    };
    let numbers = names.as_string_view().iter().map(|name| name.and_then(number));
    Ok(Arc::new(numbers.collect::<Int32Array>()))
}

/// The function `current_setting(name)`, for the settings that no client can change or has changed.
fn current_setting() -> ScalarUDF {
    let find = make_scalar_function(defaults, Vec::new());
    create_udf("current_setting", vec![DataType::Utf8View], DataType::Utf8View, Volatility::Stable, Arc::new(find))
}

fn defaults(arguments: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [names] = take_function_args("current_setting", arguments)?;
    let values = names.as_string_view().iter().map(|name| name.and_then(settings::default_of));
    Ok(Arc::new(values.collect::<StringViewArray>()))
}

/// The function `version()`, by which drivers decide what they may ask.
fn version() -> ScalarUDF {
    let text = format!("PostgreSQL {POSTGRES_VERSION}, as Plimsoll {} speaks it", env!("CARGO_PKG_VERSION"));
    let version = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.clone()))));
    create_udf("version", Vec::new(), DataType::Utf8, Volatility::Immutable, Arc::new(version))
}
