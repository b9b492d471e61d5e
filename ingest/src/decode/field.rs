//! One column's rule of a mapping, compiled: a raw value into a cell, or the reason why not.

use hashbrown::HashMap;
use plimsoll_schemas::definition::source::{Field, Origin, Otherwise};
use plimsoll_schemas::delivery::DeadLetterReason;
use plimsoll_schemas::event::{ColumnType, EventColumn, TEXT_BYTES_MAX};

use super::columns::Cell;
use super::decimal::{Scaled, scale};
use super::raw::{Raw, Written};
use super::rejection::{Rejection, excerpt};
use super::time::{TimeFault, TimeReader};

/// A field's result: a cell, nothing, or the reason why the record cannot be used.
pub(super) type Reading<'a> = Result<Option<Cell<'a>>, Box<Rejection>>;

/// How one column is filled.
#[derive(Clone, Debug)]
pub(super) struct FieldReader {
    /// The column.
    pub(super) column: EventColumn,
    /// Where its raw value is.
    place: Place,
    missing: Vec<String>,
    meanings: ValueMap,
    reader: TypeReader,
}

/// Where a raw value is found.
#[derive(Clone, Debug)]
enum Place {
    /// In one slot.
    Slot(usize),
    /// It is always this text.
    Constant(String),
    /// In several slots, joined by a separator.
    Joined(Vec<usize>, String),
}

/// What raw texts mean.
#[derive(Clone, Debug, Default)]
struct ValueMap {
    values: HashMap<String, Meaning>,
    otherwise: Option<Otherwise>,
}

#[derive(Clone, Debug)]
enum Meaning {
    Text(String),
    Word(i8),
}

#[derive(Clone, Debug)]
enum TypeReader {
    Text,
    /// A word of this vocabulary, which is short: trying its words one by one is fastest.
    Word(Vec<&'static str>),
    Time(TimeReader),
    /// A duration, with the power of ten from its unit to microseconds.
    Duration(i32),
    Integer {
        minimum: i64,
    },
    Boolean,
}

impl FieldReader {
    /// The reader of `column` by `field`, whose pointers are found in slots by `slot`.
    pub(super) fn new(column: EventColumn, field: &Field, mut slot: impl FnMut(&[String]) -> usize) -> FieldReader {
        let place = match &field.origin {
            Origin::Pointer(tokens) => Place::Slot(slot(tokens)),
            Origin::Constant(text) => Place::Constant(text.clone()),
            Origin::Joined { parts, separator } => {
                Place::Joined(parts.iter().map(|tokens| slot(tokens)).collect(), separator.clone())
            }
        };
        let reader = match (column, column.column_type()) {
            // A duration has no civil form: its field is called `latency_ms`, so that is what it holds then.
            (EventColumn::LatencyUs, _) => TypeReader::Duration(field.time_format.unit_power().unwrap_or(3)),
            (EventColumn::GoodCount | EventColumn::TotalCount, _) => TypeReader::Integer { minimum: 0 },
            (_, ColumnType::Interned | ColumnType::Text) => TypeReader::Text,
            (_, ColumnType::Word) => TypeReader::Word(column.words()),
            (_, ColumnType::Time) => TypeReader::Time(TimeReader::new(&field.time_format, field.time_zone)),
            (_, ColumnType::Integer | ColumnType::SmallInteger) => TypeReader::Integer { minimum: i64::MIN },
            (_, ColumnType::Boolean) => TypeReader::Boolean,
        };
        FieldReader { column, place, missing: field.missing.clone(), meanings: ValueMap::new(column, field), reader }
    }

    /// What every record holds in this column, when it is a constant.
    pub(super) fn constant(&self) -> Option<Reading<'_>> {
        match &self.place {
            Place::Constant(text) => Some(self.interpret(text, Written::Text)),
            Place::Slot(_) | Place::Joined(..) => None,
        }
    }

    /// Reads the slots' values; `joined` is a buffer to be used again.
    #[inline]
    pub(super) fn read<'s>(&'s self, slots: &'s [Raw<'_>], joined: &'s mut String) -> Reading<'s> {
        match &self.place {
            Place::Slot(slot) => match &slots[*slot] {
                Raw::Absent | Raw::Null => Ok(None),
                Raw::Nested => Err(self.reject(DeadLetterReason::WrongType, "an object or a list", &self.expects())),
                raw => raw.scalar().map_or(Ok(None), |(text, written)| self.interpret(text, written)),
            },
            Place::Constant(text) => self.interpret(text, Written::Text),
            Place::Joined(parts, separator) => {
                joined.clear();
                for (place, part) in parts.iter().enumerate() {
                    match slots[*part].scalar() {
                        Some((text, _)) if !text.is_empty() => {
                            joined.push_str(if place > 0 { separator } else { "" });
                            joined.push_str(text);
                        }
                        // With a part missing the whole is: half an id would not be one.
                        _ => return Ok(None),
                    }
                }
                self.interpret(joined, Written::Text)
            }
        }
    }

    /// What a raw text means for this column.
    #[inline]
    fn interpret<'s>(&'s self, text: &'s str, written: Written) -> Reading<'s> {
        if self.missing.iter().any(|missing| missing == text) {
            return Ok(None);
        }
        if self.meanings.values.is_empty() {
            return if text.is_empty() { Ok(None) } else { self.convert(text, written) };
        }
        match self.meanings.values.get(text) {
            Some(Meaning::Word(key)) => return Ok(Some(Cell::Word(*key))),
            Some(Meaning::Text(meaning)) => return self.convert(meaning, Written::Text),
            None if text.is_empty() => return Ok(None),
            None => {}
        }
        match &self.meanings.otherwise {
            Some(Otherwise::Missing) => Ok(None),
            Some(Otherwise::Keep) => self.convert(text, written),
            Some(Otherwise::Value(meaning)) => self.convert(meaning, Written::Text),
            None => Err(self.reject(self.unknown(), &excerpt(text), &self.expects())),
        }
    }

    /// Reads a text by the column's type; an empty one means that there is none.
    #[inline]
    fn convert<'s>(&'s self, text: &'s str, written: Written) -> Reading<'s> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |reason| Err(self.reject(reason, &excerpt(text), &self.expects()));
        match &self.reader {
            TypeReader::Text if written == Written::Boolean => wrong(DeadLetterReason::WrongType),
            TypeReader::Text if text.len() > TEXT_BYTES_MAX => wrong(DeadLetterReason::OutOfRange),
            TypeReader::Text => Ok(Some(Cell::Text(text))),
            TypeReader::Word(words) => match key(words, text) {
                Some(key) => Ok(Some(Cell::Word(key))),
                None if written != Written::Text => wrong(DeadLetterReason::WrongType),
                None => wrong(self.unknown()),
            },
            TypeReader::Time(reader) => match reader.read(text, written) {
                Ok(micros) => Ok(Some(Cell::Number(micros))),
                Err(TimeFault::Absurd) => Err(self.reject(
                    DeadLetterReason::AbsurdTime,
                    &excerpt(text),
                    &format!("a time from 1970 to 2200 as {}", reader.expects()),
                )),
                Err(TimeFault::WrongType) => wrong(DeadLetterReason::WrongType),
                Err(TimeFault::Unreadable) if written == Written::Boolean => wrong(DeadLetterReason::WrongType),
                Err(TimeFault::Unreadable) => wrong(DeadLetterReason::BadTime),
            },
            TypeReader::Duration(power) => self.number(scale(text, *power), true, 0, text),
            TypeReader::Integer { minimum } => self.number(scale(text, 0), false, *minimum, text),
            TypeReader::Boolean => match text {
                "1" => Ok(Some(Cell::Boolean(true))),
                "0" => Ok(Some(Cell::Boolean(false))),
                _ if text.eq_ignore_ascii_case("true") => Ok(Some(Cell::Boolean(true))),
                _ if text.eq_ignore_ascii_case("false") => Ok(Some(Cell::Boolean(false))),
                _ => wrong(DeadLetterReason::WrongType),
            },
        }
    }

    /// A number within 64 bits. What is `rounded` is rounded up: a duration just above a limit stays above it.
    fn number<'s>(&self, scaled: Scaled, rounded: bool, minimum: i64, text: &str) -> Reading<'s> {
        let reason = match scaled {
            Scaled::Whole { value, exact } if exact || rounded => {
                if value >= minimum {
                    return Ok(Some(Cell::Number(value.saturating_add(i64::from(!exact)))));
                }
                DeadLetterReason::OutOfRange
            }
            Scaled::OutOfRange => DeadLetterReason::OutOfRange,
            Scaled::Whole { .. } | Scaled::NotANumber => DeadLetterReason::WrongType,
        };
        Err(self.reject(reason, &excerpt(text), &self.expects()))
    }

    fn unknown(&self) -> DeadLetterReason {
        match self.column {
            EventColumn::Kind => DeadLetterReason::UnknownKind,
            _ => DeadLetterReason::UnknownWord,
        }
    }

    #[cold]
    fn reject(&self, reason: DeadLetterReason, found: &str, expected: &str) -> Box<Rejection> {
        Rejection::new(reason, format!("{}: found {found}, expected {expected}", self.column.field_name()))
    }

    /// What the column takes, for messages.
    fn expects(&self) -> String {
        if !self.meanings.values.is_empty() && self.meanings.otherwise.is_none() {
            let mut known: Vec<&str> = self.meanings.values.keys().map(String::as_str).collect();
            known.sort_unstable();
            return format!("one of {}", excerpt(&known.join(", ")));
        }
        match &self.reader {
            TypeReader::Text => format!("a text or a number of at most {TEXT_BYTES_MAX} bytes"),
            TypeReader::Word(words) => format!("one of {}", words.join(", ")),
            TypeReader::Time(reader) => reader.expects().into_owned(),
            TypeReader::Duration(power) => {
                let factor = 10_i128.pow(power.unsigned_abs());
                let longest = i128::from(i64::MAX);
                format!("a number from 0 to {}", if *power < 0 { longest * factor } else { longest / factor })
            }
            TypeReader::Integer { minimum: 0 } => format!("a whole number from 0 to {}", i64::MAX),
            TypeReader::Integer { .. } => "a whole number of at most 64 bits".to_owned(),
            TypeReader::Boolean => "true or false".to_owned(),
        }
    }
}

impl ValueMap {
    /// A field's value map, in which what is meant for a word column is already its word. A meaning that is no word
    /// stays a text, so that the records which need it say so.
    fn new(column: EventColumn, field: &Field) -> ValueMap {
        let words = column.words();
        let meaning = |text: &String| key(&words, text).map_or_else(|| Meaning::Text(text.clone()), Meaning::Word);
        let values = field.values.iter().map(|(raw, text)| (raw.clone(), meaning(text))).collect();
        ValueMap { values, otherwise: field.otherwise.clone() }
    }
}

/// The key of a word of a vocabulary.
fn key(words: &[&str], text: &str) -> Option<i8> {
    words.iter().position(|word| *word == text).and_then(|place| i8::try_from(place).ok())
}
