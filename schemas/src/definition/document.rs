//! One YAML document as a JSON value that remembers its lines, and a cursor over it.

use std::collections::HashMap;

use serde_json::Value;

use super::problem::{excerpt, quoted};

/// A document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// The file's name, as the caller gave it.
    pub(super) file: String,
    /// Its contents.
    pub(super) value: Value,
    /// The line of each value by its JSON Pointer; that of its key, where it has one.
    pub(super) lines: HashMap<String, usize>,
    /// The numbers and truth values as they are written, by their JSON Pointers.
    pub(super) written: HashMap<String, String>,
}

impl Document {
    /// The whole document.
    pub(super) fn root(&self) -> Node<'_> {
        Node { document: self, pointer: String::new(), value: &self.value }
    }

    /// The value at a JSON Pointer, or the nearest one above it that exists.
    pub(super) fn at(&self, pointer: &str) -> Node<'_> {
        let mut pointer = pointer;
        loop {
            if let Some(value) = self.value.pointer(pointer) {
                return Node { document: self, pointer: pointer.to_owned(), value };
            }
            pointer = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}

/// A value in a document, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    document: &'a Document,
    pointer: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// The value of a mapping's field.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.value.as_object()?.get(name).map(|value| self.below(name, value))
    }

    /// The value that several fields lead to.
    pub(super) fn path(&self, names: &[&str]) -> Option<Node<'a>> {
        names.iter().try_fold(self.clone(), |node, name| node.get(name))
    }

    /// The entries of a list field; none when it is absent or no list.
    pub(super) fn list(&self, name: &str) -> Vec<Node<'a>> {
        self.get(name).map(|list| list.items()).unwrap_or_default()
    }

    /// The entries of this list; none when it is none.
    pub(super) fn items(&self) -> Vec<Node<'a>> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| self.below(&index.to_string(), value)).collect()
    }

    /// The fields of this mapping; none when it is none.
    pub(super) fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.as_str(), self.below(name, value))).collect()
    }

    fn below(&self, token: &str, value: &'a Value) -> Node<'a> {
        Node { document: self.document, pointer: format!("{}/{}", self.pointer, escape(token)), value }
    }

    /// The text that stands here.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// The text, number or truth value that stands here, as it is written.
    pub(super) fn scalar(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => self.document.written.get(&self.pointer).map(String::as_str),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The value that stands here.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The file's name.
    pub(super) fn file(&self) -> &'a str {
        &self.document.file
    }

    /// The line on which it stands.
    pub(super) fn line(&self) -> usize {
        self.document.lines.get(&self.pointer).copied().unwrap_or(1)
    }

    /// `file:line`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file(), self.line())
    }

    /// Its path as people write it: `spec.objectives[1].id`.
    pub(super) fn field(&self) -> String {
        let mut field = String::new();
        let mut value = Some(&self.document.value);
        for token in self.pointer.split('/').skip(1).map(unescape) {
            if value.is_some_and(Value::is_array) {
                field.push_str(&format!("[{token}]"));
                value = token.parse::<usize>().ok().and_then(|index| value?.get(index));
            } else {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(&token);
                value = value.and_then(|value| value.get(&token));
            }
        }
        field
    }

    /// Its value in a few words.
    pub(super) fn found(&self) -> String {
        match self.value {
            Value::Null => "nothing".to_owned(),
            Value::String(text) => quoted(text),
            Value::Number(_) | Value::Bool(_) => self.scalar().unwrap_or_default().to_owned(),
            Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(fields) if fields.is_empty() => "an empty mapping".to_owned(),
            Value::Object(fields) => {
                excerpt(&format!("a mapping with {}", fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

/// A token as it stands in a JSON Pointer (RFC 6901).
pub(super) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// A token of a JSON Pointer as it is meant (RFC 6901).
pub(super) fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
