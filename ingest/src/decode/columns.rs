//! The columns of a batch while it grows.
//!
//! Rows are written cell by cell and a row that turns out wrong is taken back. A column that a row leaves empty is not
//! touched: it is padded when its next cell comes, or at the end. So empty columns cost nothing, and neither do those
//! that hold the same value in every row.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;
use hashbrown::{DefaultHashBuilder, HashTable};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::event::{ColumnType, EventBatch, EventColumn, event_schema};

/// How many different strings a column's dictionary may hold before it starts anew with the next batch. It bounds the
/// memory that a stream of ever new names can take; a catalogue of more services only loses the stability of its keys.
const INTERNED_STRINGS_MAX: usize = 65_536;

/// How many bytes those strings may hold together.
const INTERNED_BYTES_MAX: usize = 8 << 20;

/// One value of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// Of an interned or a text column.
    Text(&'a str),
    /// The key of a word.
    Word(i8),
    /// An integer, or a time in microseconds since 1970.
    Number(i64),
    /// True or false.
    Boolean(bool),
}

/// The growing columns.
pub(super) struct Columns {
    rows: usize,
    offsets: Vec<i64>,
    topic: ArrayRef,
    partition: i32,
    builders: Vec<Builder>,
}

/// A column's values and which of them are there; shorter than the batch when the last rows left it empty.
#[derive(Default)]
struct Sparse<T> {
    values: Vec<T>,
    validity: Validity,
}

struct Validity(NullBufferBuilder);

impl Default for Validity {
    fn default() -> Validity {
        Validity(NullBufferBuilder::new(0))
    }
}

enum Builder {
    /// Every row holds the same; the array is of one row.
    Constant(ArrayRef),
    Interned(Sparse<i32>, Interner),
    Word(Sparse<i8>, ArrayRef),
    Number(Sparse<i64>),
    Boolean(Sparse<bool>),
    /// Where each text ends, and all texts.
    Text(Sparse<usize>, Vec<u8>),
    /// Topic, partition and offset, which come from the delivery and not from the record.
    Elsewhere,
}

impl Columns {
    /// Empty columns of a partition.
    pub(super) fn new(partition: &PartitionId) -> Columns {
        let builders = EventColumn::ALL.map(|column| match column.column_type() {
            _ if column < EventColumn::Source => Builder::Elsewhere,
            ColumnType::Interned => Builder::Interned(Sparse::default(), Interner::default()),
            ColumnType::Text => Builder::Text(Sparse::default(), Vec::new()),
            ColumnType::Word => Builder::Word(Sparse::default(), Arc::new(StringArray::from(column.words()))),
            ColumnType::Boolean => Builder::Boolean(Sparse::default()),
            ColumnType::Time | ColumnType::Integer | ColumnType::SmallInteger => Builder::Number(Sparse::default()),
        });
        Columns {
            rows: 0,
            offsets: Vec::new(),
            topic: Arc::new(StringArray::from(vec![&*partition.topic])),
            partition: partition.partition,
            builders: Vec::from(builders),
        }
    }

    /// Lets every row hold the same `cell` in `column`.
    pub(super) fn set_constant(&mut self, column: EventColumn, cell: Cell<'_>) {
        self.push(column, cell);
        let builder = &mut self.builders[column as usize];
        if let Ok(array) = builder.finish(column, 1) {
            *builder = Builder::Constant(array);
        }
    }

    /// Writes a cell of the row that is not yet ended; a cell of another type than its column is not written.
    #[inline]
    pub(super) fn push(&mut self, column: EventColumn, cell: Cell<'_>) {
        let row = self.rows;
        match (&mut self.builders[column as usize], cell) {
            (Builder::Interned(keys, interner), Cell::Text(text)) => keys.push(row, interner.key(text)),
            (Builder::Word(keys, _), Cell::Word(key)) => keys.push(row, key),
            (Builder::Number(numbers), Cell::Number(number)) => numbers.push(row, number),
            (Builder::Boolean(flags), Cell::Boolean(flag)) => flags.push(row, flag),
            (Builder::Text(ends, bytes), Cell::Text(text)) => {
                // An empty row ends where the text before it does.
                ends.pad(row, bytes.len());
                bytes.extend_from_slice(text.as_bytes());
                ends.push(row, bytes.len());
            }
            _ => debug_assert!(false, "a cell of another type than column {}", column.name()),
        }
    }

    /// Ends the row: it was the record at `offset`.
    #[inline]
    pub(super) fn end_row(&mut self, offset: i64) {
        self.offsets.push(offset);
        self.rows += 1;
    }

    /// Takes back the cells of the row that is not yet ended.
    pub(super) fn take_back_row(&mut self) {
        let rows = self.rows;
        for builder in &mut self.builders {
            match builder {
                Builder::Interned(keys, _) => keys.truncate(rows),
                Builder::Word(keys, _) => keys.truncate(rows),
                Builder::Number(numbers) => numbers.truncate(rows),
                Builder::Boolean(flags) => flags.truncate(rows),
                Builder::Text(ends, bytes) => {
                    ends.truncate(rows);
                    bytes.truncate(ends.values.last().copied().unwrap_or(0));
                }
                Builder::Constant(_) | Builder::Elsewhere => {}
            }
        }
    }

    /// All ended rows as a batch; the columns are empty afterwards.
    ///
    /// # Errors
    /// When one column holds more than 2 GiB of text.
    pub(super) fn finish(&mut self) -> Result<EventBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let mut arrays = Vec::with_capacity(EventColumn::ALL.len());
        for column in EventColumn::ALL {
            arrays.push(match column {
                EventColumn::Topic => dictionary(ScalarBuffer::from(vec![0; rows]), None, self.topic.clone())?,
                EventColumn::Partition => Arc::new(Int32Array::from_value(self.partition, rows)),
                EventColumn::Offset => {
                    let next = Vec::with_capacity(self.offsets.len());
                    Arc::new(Int64Array::from(std::mem::replace(&mut self.offsets, next)))
                }
                _ => self.builders[column as usize].finish(column, rows)?,
            });
        }
        EventBatch::try_new(RecordBatch::try_new(event_schema(), arrays)?)
    }
}

fn dictionary(keys: ScalarBuffer<i32>, nulls: Option<NullBuffer>, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::try_new(keys, nulls)?, values)?))
}

impl Builder {
    /// The column as an array of `rows` rows.
    fn finish(&mut self, column: EventColumn, rows: usize) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::Constant(array) => repeat(array, column, rows)?,
            Builder::Word(keys, words) => {
                let (keys, nulls) = keys.finish(rows);
                let keys = Int8Array::try_new(ScalarBuffer::from(keys), nulls)?;
                Arc::new(DictionaryArray::<Int8Type>::try_new(keys, words.clone())?)
            }
            _ if self.is_untouched() => new_null_array(event_schema().field(column as usize).data_type(), rows),
            Builder::Interned(keys, interner) => {
                let (keys, nulls) = keys.finish(rows);
                dictionary(ScalarBuffer::from(keys), nulls, interner.finish()?)?
            }
            Builder::Number(numbers) => {
                let (numbers, nulls) = numbers.finish(rows);
                match column.column_type() {
                    ColumnType::Time => {
                        let times = TimestampMicrosecondArray::try_new(ScalarBuffer::from(numbers), nulls)?;
                        Arc::new(times.with_timezone("UTC"))
                    }
                    _ => Arc::new(Int64Array::try_new(ScalarBuffer::from(numbers), nulls)?),
                }
            }
            Builder::Boolean(flags) => {
                let (flags, nulls) = flags.finish(rows);
                Arc::new(BooleanArray::new(BooleanBuffer::from(flags), nulls))
            }
            Builder::Text(ends, bytes) => {
                ends.pad(rows, bytes.len());
                let (ends, nulls) = ends.finish(rows);
                let next = Vec::with_capacity(bytes.len());
                Arc::new(strings(&ends, std::mem::replace(bytes, next), nulls)?)
            }
            Builder::Elsewhere => new_null_array(event_schema().field(column as usize).data_type(), rows),
        })
    }

    fn is_untouched(&self) -> bool {
        match self {
            Builder::Interned(keys, _) => keys.values.is_empty(),
            Builder::Word(keys, _) => keys.values.is_empty(),
            Builder::Number(numbers) => numbers.values.is_empty(),
            Builder::Boolean(flags) => flags.values.is_empty(),
            Builder::Text(ends, _) => ends.values.is_empty(),
            Builder::Constant(_) | Builder::Elsewhere => false,
        }
    }
}

impl<T: Copy + Default> Sparse<T> {
    #[inline]
    fn push(&mut self, row: usize, value: T) {
        if self.values.len() < row {
            self.pad(row, T::default());
        }
        self.values.push(value);
        self.validity.0.append_non_null();
    }

    /// Fills up to `rows` rows with nulls, whose values are `value`.
    fn pad(&mut self, rows: usize, value: T) {
        if let Some(missing) = rows.checked_sub(self.values.len()).filter(|missing| *missing > 0) {
            self.values.resize(rows, value);
            self.validity.0.append_n_nulls(missing);
        }
    }

    fn truncate(&mut self, rows: usize) {
        if self.values.len() > rows {
            self.values.truncate(rows);
            self.validity.0.truncate(rows);
        }
    }

    fn finish(&mut self, rows: usize) -> (Vec<T>, Option<NullBuffer>) {
        self.pad(rows, T::default());
        let next = Vec::with_capacity(self.values.len());
        (std::mem::replace(&mut self.values, next), self.validity.0.finish())
    }
}

/// The strings that end at `ends` in `bytes`.
fn strings(ends: &[usize], bytes: Vec<u8>, nulls: Option<NullBuffer>) -> Result<StringArray, ArrowError> {
    let offsets = std::iter::once(Ok(0)).chain(ends.iter().map(|end| i32::try_from(*end)));
    let offsets: Vec<i32> =
        offsets.collect::<Result<_, _>>().map_err(|_| ArrowError::OffsetOverflowError(bytes.len()))?;
    StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes), nulls)
}

/// `array`, which has one row, as `rows` equal rows.
fn repeat(array: &ArrayRef, column: EventColumn, rows: usize) -> Result<ArrayRef, ArrowError> {
    Ok(match column.column_type() {
        ColumnType::Interned => {
            let values = array.as_dictionary::<Int32Type>().values().clone();
            dictionary(ScalarBuffer::from(vec![0; rows]), None, values)?
        }
        ColumnType::Word => {
            let word = array.as_dictionary::<Int8Type>();
            let keys = Int8Array::from_value(word.keys().value(0), rows);
            Arc::new(DictionaryArray::<Int8Type>::try_new(keys, word.values().clone())?)
        }
        ColumnType::Text => {
            let text = array.as_string::<i32>().value(0);
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
        }
        ColumnType::Time => {
            let time = array.as_primitive::<TimestampMicrosecondType>().value(0);
            Arc::new(TimestampMicrosecondArray::from_value(time, rows).with_timezone("UTC"))
        }
        ColumnType::Integer | ColumnType::SmallInteger => {
            Arc::new(Int64Array::from_value(array.as_primitive::<Int64Type>().value(0), rows))
        }
        ColumnType::Boolean => Arc::new(BooleanArray::from(vec![array.as_boolean().value(0); rows])),
    })
}

/// The strings of one interned column, each with its key. Keys stay the same from batch to batch until the limits are
/// reached, and the array of strings is the same one until a new string comes.
#[derive(Default)]
struct Interner {
    hasher: DefaultHashBuilder,
    keys: HashTable<i32>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
    array: Option<ArrayRef>,
}

impl Interner {
    /// The key of a text. There are never so many that a key overflows, because `finish` forgets beyond its limits and
    /// one batch holds fewer rows than there are keys.
    #[inline]
    fn key(&mut self, text: &str) -> i32 {
        let Interner { hasher, keys, ends, bytes, array } = self;
        let hash = hasher.hash_one(text.as_bytes());
        if let Some(key) = keys.find(hash, |&key| text_of(ends, bytes, key) == text.as_bytes()) {
            return *key;
        }
        let key = ends.len() as i32;
        bytes.extend_from_slice(text.as_bytes());
        ends.push(bytes.len());
        keys.insert_unique(hash, key, |&key| hasher.hash_one(text_of(ends, bytes, key)));
        *array = None;
        key
    }

    /// The strings in the order of their keys.
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let array = match self.array.take() {
            Some(array) => array,
            None => Arc::new(strings(&self.ends, self.bytes.clone(), None)?),
        };
        if self.ends.len() > INTERNED_STRINGS_MAX || self.bytes.len() > INTERNED_BYTES_MAX {
            *self = Interner::default();
        } else {
            self.array = Some(array.clone());
        }
        Ok(array)
    }
}

#[inline]
fn text_of<'b>(ends: &[usize], bytes: &'b [u8], key: i32) -> &'b [u8] {
    let key = key as usize;
    let start = if key == 0 { 0 } else { ends[key - 1] };
    &bytes[start..ends[key]]
}
