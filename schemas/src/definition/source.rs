//! Where events come from and how a foreign record's fields become the columns of an event.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::event::EventColumn;
use crate::time::Micros;

/// A mapping from the records of some topics or files to events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its id; the `source` of its events unless the mapping says otherwise.
    pub id: String,
    /// Kafka topics whose records it maps.
    pub topics: Vec<String>,
    /// File names (with `*` and `?`, matched against the name without its folder) whose records it maps.
    pub files: Vec<String>,
    /// How a record is written.
    pub format: Format,
    /// How late an event may come after a newer one of the same partition: the watermark trails by this (R22).
    pub lateness: Micros,
    /// How each column of an event is found, for the columns this source knows.
    /// The plain form, where each field is named like its column, is `Mapping::plain()`.
    pub mapping: Mapping,
}

impl Source {
    /// How late an event may come unless told.
    pub const LATENESS: Micros = Micros(5 * Micros::MINUTE.0);

    /// A source of plain JSON events that claims no topic and no file.
    pub fn plain(id: impl Into<String>) -> Source {
        Source {
            id: id.into(),
            topics: Vec::new(),
            files: Vec::new(),
            format: Format::Json,
            lateness: Source::LATENESS,
            mapping: Mapping::plain(),
        }
    }

    /// True when one of `files` fits this file name (without its folder): `*` stands for any letters, `?` for one.
    pub fn fits_file(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.files.iter().any(|pattern| {
            // ends[i]: the pattern so far can end just before letter i of the name.
            let mut ends = vec![false; name.len() + 1];
            ends[0] = true;
            for letter in pattern.chars() {
                if letter == '*' {
                    let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
                    ends[first..].fill(true);
                } else {
                    ends.rotate_right(1);
                    ends[0] = false;
                    for (end, found) in ends[1..].iter_mut().zip(&name) {
                        *end &= letter == '?' || letter == *found;
                    }
                }
            }
            ends[name.len()]
        })
    }
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON object a record; in a file, one a line.
    Json,
    /// Comma-separated values. In a file the first line names the columns; a Kafka record carries one line.
    Csv,
}

/// How the columns of an event are found in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// One rule for each column that the source fills.
    pub fields: BTreeMap<EventColumn, Field>,
    /// Names of a CSV record's columns, where no header line gives them (Kafka records).
    pub csv_columns: Vec<String>,
}

impl Mapping {
    /// The plain form: each field stands under its own name at the top of the record, times in RFC 3339, `latency_ms`
    /// in milliseconds.
    pub fn plain() -> Mapping {
        let columns = EventColumn::ALL.into_iter().filter(|column| *column >= EventColumn::Source);
        let fields = columns.map(|column| (column, Field::plain(column))).collect();
        Mapping { fields, csv_columns: Vec::new() }
    }
}

/// How one column of an event is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where the raw value stands.
    pub origin: Origin,
    /// Raw values that mean "there is none", e.g. `?` or an empty text.
    pub missing: Vec<String>,
    /// Raw value -> the value it means; applied to the raw value as text.
    pub values: BTreeMap<String, String>,
    /// What a value outside `values` means; `None` makes the record a dead letter if `values` is not empty.
    pub otherwise: Option<Otherwise>,
    /// How a time or a duration is written.
    pub time_format: TimeFormat,
    /// The zone of a time that names none.
    pub time_zone: Tz,
}

impl Field {
    /// The value stands under the column's own field name.
    pub fn plain(column: EventColumn) -> Field {
        let origin = Origin::Pointer(vec![column.field_name().to_owned()]);
        Field { origin, time_format: TimeFormat::of(column), ..Field::constant("") }
    }

    /// The same value in every record.
    pub fn constant(value: impl Into<String>) -> Field {
        Field {
            origin: Origin::Constant(value.into()),
            missing: Vec::new(),
            values: BTreeMap::new(),
            otherwise: None,
            time_format: TimeFormat::Rfc3339,
            time_zone: Tz::UTC,
        }
    }
}

/// Where a raw value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The tokens of a JSON Pointer (RFC 6901), unescaped; a CSV column is a pointer of one token.
    Pointer(Vec<String>),
    /// The same text in every record.
    Constant(String),
    /// Several pointers' texts joined, e.g. a ticket number and its revision as the event's id.
    Joined {
        /// The parts, in order.
        parts: Vec<Vec<String>>,
        /// What stands between two parts.
        separator: String,
    },
}

/// What a value that the value map does not know means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The raw value itself.
    Keep,
    /// Nothing: the column is empty.
    Missing,
    /// This value.
    Value(String),
}

/// How a time (or, for `latency_us`, a duration) is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TimeFormat {
    /// RFC 3339, with or without fraction; a space may stand for the `T`; without an offset the field's zone applies.
    Rfc3339,
    /// Numbers since 1970 (or a duration) in seconds, fractions allowed.
    Seconds,
    /// In milliseconds, fractions allowed.
    Milliseconds,
    /// In microseconds.
    Microseconds,
    /// In nanoseconds, rounded down.
    Nanoseconds,
    /// A chrono strftime pattern, e.g. `%d/%m/%Y %H:%M`.
    Pattern(String),
}

impl TimeFormat {
    /// How a column's values are written unless told: milliseconds for `latency_us`, RFC 3339 for times. Columns that
    /// are no times do not look at it.
    pub fn of(column: EventColumn) -> TimeFormat {
        if column == EventColumn::LatencyUs { TimeFormat::Milliseconds } else { TimeFormat::Rfc3339 }
    }

    /// The power of ten that turns a number in this format's unit into microseconds; `None` for texts.
    pub fn unit_power(&self) -> Option<i32> {
        match self {
            TimeFormat::Seconds => Some(6),
            TimeFormat::Milliseconds => Some(3),
            TimeFormat::Microseconds => Some(0),
            TimeFormat::Nanoseconds => Some(-3),
            TimeFormat::Rfc3339 | TimeFormat::Pattern(_) => None,
        }
    }
}
