//! `to_char`, `to_timestamp` and `to_date` with patterns as Postgres has them.
//!
//! In: a pattern such as `YYYY-MM-DD HH24:MI`. A pattern with a `%` is one of DataFusion's, and left to it. Times
//! without a zone are in UTC.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::timezone::Tz;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Date32Array, PrimitiveArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, TimeUnit};
use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use datafusion::arrow::compute::cast;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::functions::datetime::{to_char, to_date, to_timestamp};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;
use plimsoll_schemas::event::timestamp_type;

use crate::error::QueryError;

type Result<Value> = std::result::Result<Value, DataFusionError>;

/// Registers the functions in place of DataFusion's.
pub(crate) fn register(context: &SessionContext) {
    let options = context.copied_config().options().clone();
    let signature = Signature::variadic_any(Volatility::Immutable);
    for (which, inner, signature) in [
        (Which::Char, to_char(), to_char().signature().clone()),
        (Which::Timestamp, to_timestamp(&options), signature.clone()),
        (Which::Date, to_date(), signature),
    ] {
        context.register_udf(ScalarUDF::new_from_impl(Patterned { which, inner, signature }));
    }
}

/// Which function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Char,
    Timestamp,
    Date,
}

/// One of the functions, and that which it stands for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Patterned {
    which: Which,
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Patterned {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.which, types) {
            (Which::Timestamp, [_, _]) => Ok(timestamp_type()),
            _ => self.inner.inner().return_type(types),
        }
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        Some(ScalarUDF::new_from_impl(Patterned { inner, which: self.which, signature: self.signature.clone() }))
    }

    fn invoke_with_args(&self, called: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let patterned = match &called.args[..] {
            [value, pattern] => self.patterned(value, pattern, called.number_rows)?,
            _ => None,
        };
        if let Some(answer) = patterned {
            return Ok(answer);
        }
        let of = called.return_field.data_type().clone();
        self.inner.invoke_with_args(called)?.cast_to(&of, None)
    }
}

impl Patterned {
    /// The answer, where the pattern is one of Postgres'.
    fn patterned(&self, value: &ColumnarValue, pattern: &ColumnarValue, rows: usize) -> Result<Option<ColumnarValue>> {
        let is_one = matches!((value, pattern), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let is_text = |of: &ColumnarValue| of.data_type().is_string();
        let is_ours = match self.which {
            Which::Char => !matches!(value.data_type(), DataType::Duration(_)),
            Which::Timestamp | Which::Date => is_text(value),
        };
        if !is_ours || !is_text(pattern) {
            return Ok(None);
        }
        let rows = if is_one { 1 } else { rows };
        let patterns = cast(&pattern.to_array(rows)?, &DataType::Utf8)?;
        let patterns = patterns.as_string::<i32>();
        if patterns.iter().flatten().any(|pattern| pattern.contains('%')) {
            return Ok(None);
        }
        let mut known = HashMap::new();
        for pattern in patterns.iter().flatten() {
            if !known.contains_key(pattern) {
                known.insert(pattern, pieces(pattern)?);
            }
        }
        let each = patterns.iter().map(|pattern| pattern.and_then(|pattern| Some((pattern, known.get(pattern)?))));
        let values = value.to_array(rows)?;
        let answer: ArrayRef = match self.which {
            Which::Char => written(&values, each.map(|pattern| pattern.map(|(_, pieces)| pieces)))?,
            Which::Timestamp | Which::Date => read(&values, each, self.which == Which::Date)?,
        };
        Ok(Some(match is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        }))
    }
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// What stands there as it is.
    Text(String),
    /// A part of a time, and whether it is written without zeros and blanks that fill it up.
    Part(Part, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    ShortYear,
    IsoYear,
    Quarter,
    Month,
    MonthName(Letters),
    ShortMonth(Letters),
    WeekOfMonth,
    WeekOfYear,
    IsoWeek,
    Day,
    DayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayName(Letters),
    ShortDay(Letters),
    Hour,
    HalfDayHour,
    Minute,
    Second,
    Milliseconds,
    Microseconds,
    HalfDay(Letters),
    Zone,
}

/// How words are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    Upper,
    Lower,
    First,
}

/// What patterns are made of, longer ones before those that they begin with.
const PARTS: &[(&str, Part)] = &[
    ("YYYY", Part::Year),
    ("YY", Part::ShortYear),
    ("IYYY", Part::IsoYear),
    ("IW", Part::IsoWeek),
    ("ID", Part::IsoDayOfWeek),
    ("Q", Part::Quarter),
    ("MONTH", Part::MonthName(Letters::Upper)),
    ("Month", Part::MonthName(Letters::First)),
    ("month", Part::MonthName(Letters::Lower)),
    ("MON", Part::ShortMonth(Letters::Upper)),
    ("Mon", Part::ShortMonth(Letters::First)),
    ("mon", Part::ShortMonth(Letters::Lower)),
    ("MM", Part::Month),
    ("MI", Part::Minute),
    ("MS", Part::Milliseconds),
    ("WW", Part::WeekOfYear),
    ("W", Part::WeekOfMonth),
    ("DDD", Part::DayOfYear),
    ("DD", Part::Day),
    ("DAY", Part::DayName(Letters::Upper)),
    ("Day", Part::DayName(Letters::First)),
    ("day", Part::DayName(Letters::Lower)),
    ("DY", Part::ShortDay(Letters::Upper)),
    ("Dy", Part::ShortDay(Letters::First)),
    ("dy", Part::ShortDay(Letters::Lower)),
    ("D", Part::DayOfWeek),
    ("HH24", Part::Hour),
    ("HH12", Part::HalfDayHour),
    ("HH", Part::HalfDayHour),
    ("SS", Part::Second),
    ("US", Part::Microseconds),
    ("AM", Part::HalfDay(Letters::Upper)),
    ("PM", Part::HalfDay(Letters::Upper)),
    ("am", Part::HalfDay(Letters::Lower)),
    ("pm", Part::HalfDay(Letters::Lower)),
    ("TZ", Part::Zone),
];

/// Takes a pattern apart.
///
/// # Errors
/// `Invalid` with what is not known of it.
fn pieces(pattern: &str) -> Result<Vec<Piece>> {
    let (mut found, mut rest) = (Vec::new(), pattern);
    while let Some(letter) = rest.chars().next() {
        if letter == '"' {
            let (text, after) = rest[1..].split_once('"').unwrap_or((&rest[1..], ""));
            found.push(Piece::Text(text.to_owned()));
            rest = after;
            continue;
        }
        let is_bare = rest.starts_with("FM") || rest.starts_with("fm");
        let part = if is_bare { &rest[2..] } else { rest };
        let begins = |name: &str| part.get(..name.len()).is_some_and(|beginning| beginning == name);
        // Where letters say nothing about how words are written, small ones are the same.
        let is_same = |name: &str| part.get(..name.len()).is_some_and(|beginning| beginning == name.to_lowercase());
        let exact = PARTS.iter().find(|(name, _)| begins(name));
        match exact.or_else(|| PARTS.iter().find(|(name, _)| is_same(name))) {
            Some((name, kind)) => {
                found.push(Piece::Part(*kind, is_bare));
                rest = &part[name.len()..];
            }
            None if letter.is_alphabetic() => return Err(unknown(pattern, rest)),
            None => {
                found.push(Piece::Text(letter.to_string()));
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    Ok(found)
}

fn unknown(pattern: &str, rest: &str) -> DataFusionError {
    let word: String = rest.chars().take_while(|letter| letter.is_alphanumeric()).collect();
    let mut names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
    names.retain(|name| !name.chars().any(char::is_lowercase));
    let known = names.join(" ");
    QueryError::Invalid(format!(
        "the pattern {pattern:?} has {word:?}, of which nothing is known here; known are {known}, FM before one of them, and \
         \"text\" in quotes"
    ))
    .into()
}

/// Times as their patterns write them.
fn written<'a>(values: &ArrayRef, patterns: impl Iterator<Item = Option<&'a Vec<Piece>>>) -> Result<ArrayRef> {
    let zone = match values.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let instants = match values.data_type() {
        DataType::Time32(_) | DataType::Time64(_) => {
            cast(&cast(values, &DataType::Time64(TimeUnit::Microsecond))?, &DataType::Int64)?
        }
        _ => values.clone(),
    };
    let instants = cast(&instants, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
    let instants: &PrimitiveArray<TimestampMicrosecondType> = instants.as_primitive();
    let zone: Option<Tz> = zone.map(|zone| zone.parse()).transpose()?;
    let (mut answer, mut text) = (StringBuilder::new(), String::new());
    for (row, pattern) in patterns.enumerate() {
        let Some(pattern) = pattern.filter(|_| instants.is_valid(row)) else {
            answer.append_null();
            continue;
        };
        let shown = match zone {
            None => instants.value_as_datetime(row).map(|time| (time, "UTC".to_owned())),
            Some(zone) => instants
                .value_as_datetime_with_tz(row, zone)
                .map(|time| (time.naive_local(), time.format("%Z").to_string().replace("+00:00", "UTC"))),
        };
        let wrong = || QueryError::Invalid("to_char was given a time that no calendar has".to_owned());
        let (time, zone) = shown.ok_or_else(wrong)?;
        text.clear();
        pattern.iter().for_each(|piece| piece.write(time, &zone, &mut text));
        answer.append_value(&text);
    }
    Ok(Arc::new(answer.finish()))
}

impl Piece {
    fn write(&self, time: NaiveDateTime, zone: &str, to: &mut String) {
        let (part, is_bare) = match self {
            Piece::Text(text) => return to.push_str(text),
            Piece::Part(part, is_bare) => (*part, *is_bare),
        };
        let (value, digits) = part.number(time);
        if digits > 0 {
            let digits = if is_bare { 0 } else { digits };
            _ = write!(to, "{value:0digits$}");
            return;
        }
        let (word, letters, width) = match part {
            Part::MonthName(letters) => (time.format("%B").to_string(), letters, 9),
            Part::ShortMonth(letters) => (time.format("%b").to_string(), letters, 0),
            Part::DayName(letters) => (time.format("%A").to_string(), letters, 9),
            Part::ShortDay(letters) => (time.format("%a").to_string(), letters, 0),
            Part::HalfDay(letters) => (time.format("%p").to_string(), letters, 0),
            _ => (zone.to_owned(), Letters::First, 0),
        };
        let word = match letters {
            Letters::Upper => word.to_uppercase(),
            Letters::Lower => word.to_lowercase(),
            Letters::First => word,
        };
        let width = if is_bare { 0 } else { width };
        _ = write!(to, "{word:width$}");
    }
}

impl Part {
    /// What it is of a time, and how many digits it has; none where it is a word.
    fn number(self, time: NaiveDateTime) -> (i64, usize) {
        let (value, digits) = match self {
            Part::Year => (i64::from(time.year()), 4),
            Part::ShortYear => (i64::from(time.year().rem_euclid(100)), 2),
            Part::IsoYear => (i64::from(time.iso_week().year()), 4),
            Part::Quarter => (i64::from(time.month0() / 3 + 1), 1),
            Part::Month => (time.month().into(), 2),
            Part::WeekOfMonth => (i64::from(time.day0() / 7 + 1), 1),
            Part::WeekOfYear => (i64::from(time.ordinal0() / 7 + 1), 2),
            Part::IsoWeek => (time.iso_week().week().into(), 2),
            Part::Day => (time.day().into(), 2),
            Part::DayOfYear => (time.ordinal().into(), 3),
            Part::DayOfWeek => (time.weekday().number_from_sunday().into(), 1),
            Part::IsoDayOfWeek => (time.weekday().number_from_monday().into(), 1),
            Part::Hour => (time.hour().into(), 2),
            Part::HalfDayHour => (time.hour12().1.into(), 2),
            Part::Minute => (time.minute().into(), 2),
            Part::Second => (time.second().into(), 2),
            Part::Milliseconds => (i64::from(time.nanosecond() / 1_000_000), 3),
            Part::Microseconds => (i64::from(time.nanosecond() / 1_000), 6),
            _ => (0, 0),
        };
        (value, digits)
    }

    /// How chrono writes it in patterns of its own by which times are read; `None` when no time follows from it.
    fn read_as(self) -> Option<&'static str> {
        Some(match self {
            Part::Year => "%Y",
            Part::ShortYear => "%y",
            Part::IsoYear => "%G",
            Part::Month => "%m",
            Part::MonthName(_) => "%B",
            Part::ShortMonth(_) => "%b",
            Part::IsoWeek => "%V",
            Part::Day => "%d",
            Part::DayOfYear => "%j",
            Part::IsoDayOfWeek => "%u",
            Part::DayName(_) => "%A",
            Part::ShortDay(_) => "%a",
            Part::Hour => "%H",
            Part::HalfDayHour => "%I",
            Part::Minute => "%M",
            Part::Second => "%S",
            Part::Milliseconds => "%3f",
            Part::Microseconds => "%6f",
            Part::HalfDay(_) => "%p",
            Part::Quarter | Part::WeekOfMonth | Part::WeekOfYear | Part::DayOfWeek | Part::Zone => return None,
        })
    }
}

/// Times as their patterns read them: instants, or days.
fn read<'a>(
    values: &ArrayRef,
    patterns: impl Iterator<Item = Option<(&'a str, &'a Vec<Piece>)>>,
    are_days: bool,
) -> Result<ArrayRef> {
    let texts = cast(values, &DataType::Utf8)?;
    let times = texts.as_string::<i32>().iter().zip(patterns).map(|row| match row {
        (Some(text), Some((pattern, pieces))) => time_of(text, pieces, pattern).map(Some),
        _ => Ok(None),
    });
    let times = times.collect::<Result<Vec<Option<NaiveDateTime>>>>()?.into_iter();
    if are_days {
        let days = times.map(|time| Some(Date32Type::from_naive_date(time?.date())));
        return Ok(Arc::new(days.collect::<Date32Array>()));
    }
    let instants = times.map(|time| Some(time?.and_utc().timestamp_micros()));
    Ok(Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC")))
}

/// The time that a text tells; the first of what it says nothing of.
fn time_of(text: &str, pieces: &[Piece], pattern: &str) -> Result<NaiveDateTime> {
    let mut format = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => format.push_str(text),
            Piece::Part(part, _) => match part.read_as() {
                Some(item) => format.push_str(item),
                None => {
                    let wrong = format!("no time can be read by the pattern {pattern:?}; leave out Q, W, WW, D and TZ");
                    return Err(QueryError::Invalid(wrong).into());
                }
            },
        }
    }
    let told = || -> Option<NaiveDateTime> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text.trim(), StrftimeItems::new(&format)).ok()?;
        let date = parsed.to_naive_date().ok().or_else(|| {
            let (year, month) = (parsed.year()?, parsed.month().unwrap_or(1));
            let is_first = parsed.day().is_none() && parsed.ordinal().is_none();
            is_first.then(|| NaiveDate::from_ymd_opt(year, month, 1)).flatten()
        });
        // Minutes and seconds that are not told are none.
        if parsed.hour_mod_12().is_some() && parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        if parsed.hour_mod_12().is_some() && parsed.hour_div_12().is_none() {
            parsed.set_ampm(false).ok()?;
        }
        let is_timed = parsed.hour_mod_12().is_some() || parsed.minute().is_some();
        let time = if is_timed { parsed.to_naive_time().ok()? } else { NaiveTime::MIN };
        Some(date?.and_time(time))
    };
    let wrong =
        || QueryError::Invalid(format!("{text:?} is no time of the pattern {pattern:?}; correct one of the two"));
    Ok(told().ok_or_else(wrong)?)
}
