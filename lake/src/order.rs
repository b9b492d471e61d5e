//! Rows in the order of their table: split by UTC date where it is partitioned, and sorted by texts and the time.
//!
//! In: batches as they came, and the table, which names the texts (`Table::sorted_by`) and the time (`partition_time`), if
//! there is one. Out: for each date, or once, the rows' places in order, and the rows themselves, a row group at a time.
//! Rows that are alike in all keep the order in which they came. The work per row is a counting sort by each text, one by
//! date and, where rows of the same texts and date are not in order of time yet, a sort of those; strings are compared once
//! per dictionary value, and per row only where a table has none.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::interleave::interleave;
use chrono::NaiveDate;
use plimsoll_schemas::table::Table;

/// Microseconds in a UTC day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// A row: the batch it is in, and its place there.
pub(crate) type Place = (usize, usize);

/// Rows of a date, or of a table without dates, in order.
pub(crate) type OfDate = (Option<NaiveDate>, Vec<Place>);

/// Batches of one schema whose dictionaries were made one, so that rows of all of them can be put in any order.
pub(crate) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: Vec<usize>,
    texts: Vec<usize>,
    time: Option<usize>,
}

enum Column {
    /// Null in every row.
    Null,
    /// One array a batch.
    Plain(Vec<ArrayRef>),
    /// One dictionary for all batches, sorted, and each batch's keys into it.
    Dictionary { values: ArrayRef, keys: Vec<Vec<Option<i32>>> },
}

impl Rows {
    /// Takes batches in a table's schema, which is sorted.
    ///
    /// # Errors
    /// When its texts are none, or the time no microseconds.
    pub(crate) fn new(table: Table, batches: &[RecordBatch]) -> Result<Rows, ArrowError> {
        let schema = table.schema();
        let texts = table.sorted_by().iter().map(|text| schema.index_of(text)).collect::<Result<Vec<_>, _>>()?;
        let time = table.partition_time().map(|time| schema.index_of(time)).transpose()?;
        let is_text =
            |index: &usize| matches!(schema.field(*index).data_type(), DataType::Dictionary(..) | DataType::Utf8);
        let is_time =
            |index: usize| matches!(schema.field(index).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _));
        if !texts.iter().all(is_text) || !time.is_none_or(is_time) {
            return Err(ArrowError::SchemaError(format!("{} cannot be sorted", table.name())));
        }
        let columns = (0..schema.fields().len()).map(|index| Column::new(schema.field(index), index, batches));
        let columns = columns.collect::<Result<_, _>>()?;
        let rows = batches.iter().map(RecordBatch::num_rows).collect();
        Ok(Rows { schema: unified(&schema), columns, rows, texts, time })
    }

    /// The places of all rows, in order; by date, where the table has a time.
    ///
    /// # Errors
    /// When a time lies beyond the calendar (year 262,000).
    pub(crate) fn by_date(&self) -> Result<Vec<OfDate>, ArrowError> {
        let places = (0..).zip(&self.rows).flat_map(|(batch, rows)| (0..*rows).map(move |row| (batch, row)));
        let mut places: Vec<Place> = places.collect();
        let texts: Vec<_> = self.texts.iter().map(|text| self.numbered_texts(*text)).collect();
        for (count, numbers) in texts.iter().rev() {
            places = stable_sort_by_number(places, *count, |&(batch, row)| numbers[batch][row] as usize);
        }
        let Some(time) = self.time else { return Ok(vec![(None, places)]) };

        let Column::Plain(times) = &self.columns[time] else { return Ok(Vec::new()) };
        let times: Vec<&[i64]> =
            times.iter().map(|times| &times.as_primitive::<TimestampMicrosecondType>().values()[..]).collect();
        let (days, day_numbers) = numbered_days(&times);
        let day = |&(batch, row): &Place| day_numbers[batch][row] as usize;
        let time = |&(batch, row): &Place| times[batch][row];
        let mut places = stable_sort_by_number(places, days.len(), day);
        let is_alike = |one: &Place, other: &Place| {
            texts.iter().all(|(_, numbers)| numbers[one.0][one.1] == numbers[other.0][other.1])
        };
        for run in places.chunk_by_mut(|one, other| day(one) == day(other) && is_alike(one, other)) {
            if !run.is_sorted_by_key(time) {
                run.sort_by_key(time);
            }
        }
        let by_day = places.chunk_by(|one, other| day(one) == day(other));
        days.iter().zip(by_day).map(|(day, places)| Ok((Some(date(*day)?), places.to_vec()))).collect()
    }

    /// The rows at these places.
    pub(crate) fn take(&self, places: &[Place]) -> Result<RecordBatch, ArrowError> {
        let columns = self.schema.fields().iter().zip(&self.columns).map(|(field, column)| match column {
            Column::Null => Ok(new_null_array(field.data_type(), places.len())),
            Column::Plain(arrays) => interleave(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>(), places),
            Column::Dictionary { values, keys } => {
                let keys: Int32Array = places.iter().map(|(batch, row)| keys[*batch][*row]).collect();
                Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values.clone())?) as ArrayRef)
            }
        });
        RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<_, _>>()?)
    }

    /// How many texts there are in a column, and each row's as a number that sorts like it, none first.
    fn numbered_texts(&self, column: usize) -> (usize, Vec<Vec<u32>>) {
        match &self.columns[column] {
            Column::Dictionary { values, keys } => {
                let number = |key: &Option<i32>| key.map_or(0, |key| key.unsigned_abs() + 1);
                (values.len() + 1, keys.iter().map(|keys| keys.iter().map(number).collect()).collect())
            }
            Column::Plain(texts) => numbered(texts),
            Column::Null => (1, self.rows.iter().map(|rows| vec![0; *rows]).collect()),
        }
    }
}

impl Column {
    fn new(field: &Field, index: usize, batches: &[RecordBatch]) -> Result<Column, ArrowError> {
        let arrays: Vec<ArrayRef> = batches.iter().map(|batch| batch.column(index).clone()).collect();
        if arrays.iter().all(|array| array.null_count() == array.len()) {
            return Ok(Column::Null);
        }
        match field.data_type() {
            DataType::Dictionary(_, value) if **value == DataType::Utf8 => Ok(unify(&arrays)),
            DataType::Dictionary(..) => Err(ArrowError::SchemaError(format!("{} is no dictionary of strings", field))),
            _ => Ok(Column::Plain(arrays)),
        }
    }
}

/// How many texts there are, and each row's as a number that sorts like it, none first.
fn numbered(texts: &[ArrayRef]) -> (usize, Vec<Vec<u32>>) {
    let ranks = ranks(texts);
    let number = |text: Option<&str>| text.and_then(|text| ranks.get(text)).map_or(0, |rank| rank.unsigned_abs() + 1);
    let numbered = texts.iter().map(|texts| texts.as_string::<i32>().iter().map(number).collect());
    (ranks.len() + 1, numbered.collect())
}

/// The place of each text in the order of all.
fn ranks(texts: &[ArrayRef]) -> BTreeMap<&str, i32> {
    let mut ranks: BTreeMap<&str, i32> = BTreeMap::new();
    for texts in texts {
        ranks.extend(texts.as_string::<i32>().iter().flatten().map(|text| (text, 0)));
    }
    for (rank, slot) in (0..).zip(ranks.values_mut()) {
        *slot = rank;
    }
    ranks
}

/// Makes the dictionaries of several arrays one. Its values are sorted, so a key also says where its string sorts.
fn unify(arrays: &[ArrayRef]) -> Column {
    let dictionaries: Vec<_> = arrays.iter().map(|array| array.as_any_dictionary()).collect();
    let values: Vec<ArrayRef> = dictionaries.iter().map(|dictionary| dictionary.values().clone()).collect();
    let ranks = ranks(&values);
    let keys = dictionaries.iter().map(|dictionary| {
        let values = dictionary.values().as_string::<i32>();
        let new_keys: Vec<Option<i32>> =
            values.iter().map(|value| value.and_then(|value| ranks.get(value).copied())).collect();
        if new_keys.is_empty() {
            return vec![None; dictionary.len()];
        }
        let valid = dictionary.keys();
        let old_keys = dictionary.normalized_keys().into_iter().enumerate();
        old_keys.map(|(row, key)| if valid.is_valid(row) { new_keys[key] } else { None }).collect()
    });
    let keys = keys.collect();
    Column::Dictionary { values: Arc::new(StringArray::from_iter_values(ranks.keys())), keys }
}

fn unified(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, value) => {
            let data_type = DataType::Dictionary(Box::new(DataType::Int32), value.clone());
            Arc::new(field.as_ref().clone().with_data_type(data_type))
        }
        _ => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The days since 1970 in order, and each row's as its place among them.
fn numbered_days(times: &[&[i64]]) -> (Vec<i64>, Vec<Vec<u32>>) {
    let day_of = |time: &i64| time.div_euclid(DAY_US);
    // Neighbours mostly share a day, so most rows are gone before the days are sorted.
    let mut days: Vec<i64> = times.iter().flat_map(|times| times.iter().map(day_of)).collect();
    days.dedup();
    days.sort_unstable();
    days.dedup();
    let numbers: BTreeMap<i64, u32> = days.iter().copied().zip(0..).collect();
    let mut last = (i64::MIN, 0);
    let mut number = |time: &i64| {
        let day = day_of(time);
        if day != last.0 {
            last = (day, numbers.get(&day).copied().unwrap_or(0));
        }
        last.1
    };
    let numbered = times.iter().map(|times| times.iter().map(&mut number).collect()).collect();
    (days, numbered)
}

/// A counting sort by a number below `count`; rows of the same number keep their order.
fn stable_sort_by_number(places: Vec<Place>, count: usize, number: impl Fn(&Place) -> usize) -> Vec<Place> {
    let mut next = vec![0; count + 1];
    for place in &places {
        next[number(place) + 1] += 1;
    }
    for index in 1..next.len() {
        next[index] += next[index - 1];
    }
    let mut sorted = vec![(0, 0); places.len()];
    for place in places {
        let slot = &mut next[number(&place)];
        sorted[*slot] = place;
        *slot += 1;
    }
    sorted
}

fn date(day: i64) -> Result<NaiveDate, ArrowError> {
    let out_of_range = || ArrowError::InvalidArgumentError(format!("day {day} since 1970 is beyond the calendar"));
    let day = i32::try_from(day).map_err(|_| out_of_range())?;
    NaiveDate::from_epoch_days(day).ok_or_else(out_of_range)
}
