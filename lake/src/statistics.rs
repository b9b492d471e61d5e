//! Delta's statistics of a file, from those that Parquet's writer has gathered anyway.

use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, SecondsFormat};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// Decimals of more digits than this do not survive the way through the floats that readers of JSON use, so their
/// bounds are left out: below it, the nearest float prints as the very same decimal.
const DECIMAL_MAX: i64 = 1_000_000_000_000_000;

/// `numRecords`, `minValues`, `maxValues` and `nullCount` of a file whose columns are top-level and primitive. A bound
/// that Parquet does not know for every row group is left out.
pub(crate) fn delta_statistics(schema: &Schema, metadata: &ParquetMetaData) -> Value {
    let (mut minima, mut maxima, mut null_counts) = (Map::new(), Map::new(), Map::new());
    for (index, field) in schema.fields().iter().enumerate() {
        let groups = metadata.row_groups().iter().map(|group| group.column(index).statistics());
        let Some(groups) = groups.collect::<Option<Vec<&Statistics>>>() else { continue };
        if let Some(count) = groups.iter().map(|group| group.null_count_opt()).sum::<Option<u64>>() {
            null_counts.insert(field.name().clone(), count.into());
        }
        // A group of nulls has no bounds, and bounds nothing.
        let rows = metadata.row_groups().iter().map(|group| group.num_rows());
        let bounded =
            groups.iter().zip(rows).filter(|(group, rows)| group.null_count_opt() != u64::try_from(*rows).ok());
        let bounds: Option<Vec<_>> = bounded.map(|(group, _)| bounds(group)).collect();
        let Some((minimum, maximum)) = bounds.and_then(|bounds| bounds.into_iter().reduce(wider)) else { continue };
        if let (Some(minimum), Some(maximum)) = (minimum.to_json(field), maximum.to_json(field)) {
            minima.insert(field.name().clone(), minimum);
            maxima.insert(field.name().clone(), maximum);
        }
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": minima,
        "maxValues": maxima,
        "nullCount": null_counts,
    })
}

/// A bound of a column: Parquet stores times and decimals as integers too.
#[derive(Clone, PartialEq, PartialOrd)]
enum Bound {
    Integer(i64),
    Text(String),
}

fn bounds(statistics: &Statistics) -> Option<(Bound, Bound)> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| Bound::Text(text.to_owned()));
    match statistics {
        Statistics::Int32(values) => {
            Some((Bound::Integer((*values.min_opt()?).into()), Bound::Integer((*values.max_opt()?).into())))
        }
        Statistics::Int64(values) => Some((Bound::Integer(*values.min_opt()?), Bound::Integer(*values.max_opt()?))),
        Statistics::ByteArray(values) => Some((text(values.min_opt()?.data())?, text(values.max_opt()?.data())?)),
        _ => None,
    }
}

fn wider(one: (Bound, Bound), other: (Bound, Bound)) -> (Bound, Bound) {
    let minimum = if other.0 < one.0 { other.0 } else { one.0 };
    let maximum = if other.1 > one.1 { other.1 } else { one.1 };
    (minimum, maximum)
}

impl Bound {
    fn to_json(&self, field: &Field) -> Option<Value> {
        match (self, field.data_type()) {
            (Bound::Integer(micros), DataType::Timestamp(..)) => {
                let time = DateTime::from_timestamp_micros(*micros)?;
                Some(time.to_rfc3339_opts(SecondsFormat::Micros, true).into())
            }
            (Bound::Integer(unscaled), DataType::Decimal128(_, scale)) => {
                (unscaled.abs() < DECIMAL_MAX).then(|| (*unscaled as f64 / 10_f64.powi(i32::from(*scale))).into())
            }
            (Bound::Integer(value), _) => Some((*value).into()),
            (Bound::Text(_), DataType::Binary) => None,
            (Bound::Text(text), _) => Some(text.as_str().into()),
        }
    }
}
