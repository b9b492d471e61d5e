//! Raw values: what a record holds at the places its mapping names, before anybody knows what they mean.

use std::borrow::Cow;

/// One raw value, borrowed from the record wherever the record holds it as it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// The record has no such place.
    #[default]
    Absent,
    /// JSON's `null`.
    Null,
    /// A text; owned only when the record escapes some of its characters.
    Text(Cow<'a, str>),
    /// A number as the record writes it, so that no digit is lost.
    Number(&'a str),
    /// True or false.
    Boolean(bool),
    /// An object or a list.
    Nested,
}

/// What kind of raw value a text came from; it decides which types may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// As a text.
    Text,
    /// As a number.
    Number,
    /// As true or false.
    Boolean,
}

impl Raw<'_> {
    /// The value as text, with how it was written; `None` when there is none or when it is nested.
    pub(super) fn scalar(&self) -> Option<(&str, Written)> {
        match self {
            Raw::Text(text) => Some((text, Written::Text)),
            Raw::Number(text) => Some((text, Written::Number)),
            Raw::Boolean(true) => Some(("true", Written::Boolean)),
            Raw::Boolean(false) => Some(("false", Written::Boolean)),
            Raw::Absent | Raw::Null | Raw::Nested => None,
        }
    }
}

/// An empty list with the memory of a used one, so that a record's values need no allocation of their own although
/// each record lives for another lifetime (collecting in place keeps the memory).
pub(super) fn recycle<'new>(mut used: Vec<Raw<'_>>) -> Vec<Raw<'new>> {
    used.clear();
    used.into_iter().map(|_| Raw::Absent).collect()
}
