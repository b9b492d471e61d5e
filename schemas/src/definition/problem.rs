//! What is wrong with a definition: where it stands, what was found, what is allowed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::document::Node;

/// One thing that is wrong with the definitions.
///
/// It reads `agreements/acme.yaml:17: spec.target.at_least: found "102 %", expected a share of more than 0 %, up to
/// 100 %`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the caller named it; empty when the folder as a whole is meant.
    pub file: String,
    /// The line, 1 for the first; for a missing field, the line of what should hold it.
    pub line: usize,
    /// The path of the field, e.g. `spec.objectives[1].target.at_least`; empty for a whole document.
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What may stand there, or what to do.
    pub allowed: String,
}

impl fmt::Display for Problem {
    /// One line: what a file's author wrote cannot break it or steer the terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(formatter, "{}:{}: ", printable(&self.file), self.line)?;
        }
        if !self.field.is_empty() {
            write!(formatter, "{}: ", printable(&self.field))?;
        }
        write!(formatter, "found {}, expected {}", printable(&self.found), printable(&self.allowed))
    }
}

impl std::error::Error for Problem {}

/// Problems as they are found. Of several at one field the first stays: the checks run from form to meaning, and what
/// has the wrong form has no meaning worth a second complaint.
#[derive(Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
    places: HashSet<(String, usize, String)>,
    /// How many words were looked up among those that are defined.
    looked_up: usize,
}

/// How many misspelt words are told what was perhaps meant: each is compared with every word that is defined, and who
/// misspelt a hundred has something else to mend first.
const LOOKED_UP_MAX: usize = 100;

impl Problems {
    /// Adds a problem, unless its field already has one.
    pub(super) fn add(&mut self, problem: Problem) {
        if self.places.insert((problem.file.clone(), problem.line, problem.field.clone())) {
            self.list.push(problem);
        }
    }

    /// Says that this node's value is not what is allowed.
    pub(super) fn wrong(&mut self, node: &Node<'_>, allowed: impl Into<String>) {
        self.found(node, node.found(), allowed);
    }

    /// Says what was found at this node, where its value alone would not tell.
    pub(super) fn found(&mut self, node: &Node<'_>, found: impl Into<String>, allowed: impl Into<String>) {
        self.add(Problem {
            file: node.file().to_owned(),
            line: node.line(),
            field: node.field(),
            found: found.into(),
            allowed: allowed.into(),
        });
    }

    /// Says that this node's word is none of those that are defined.
    pub(super) fn unknown<'a>(
        &mut self,
        node: &Node<'_>,
        found: &str,
        words: impl IntoIterator<Item = &'a str>,
        what: &str,
    ) {
        self.looked_up += 1;
        let is_looked_up = self.looked_up <= LOOKED_UP_MAX;
        let allowed = if is_looked_up { one_of(found, words, what) } else { what.to_owned() };
        self.wrong(node, allowed);
    }

    /// Says that this node lacks a field.
    pub(super) fn missing(&mut self, parent: &Node<'_>, name: &str, allowed: impl Into<String>) {
        self.add(Problem {
            file: parent.file().to_owned(),
            line: parent.line(),
            field: field_below(&parent.field(), name),
            found: "nothing".to_owned(),
            allowed: allowed.into(),
        });
    }

    /// True when nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, by file, line and field.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort();
        self.list
    }
}

/// A text without control characters: each is shown as its escape, e.g. `\n`.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// The beginning of a text that is too long for a message.
pub(super) fn excerpt(text: &str) -> String {
    /// Longer than any value that is right, and short enough for a line.
    const LETTERS_SHOWN_MAX: usize = 120;
    match text.char_indices().nth(LETTERS_SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text in quotes, as messages show it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text).replace('"', "\\\""))
}

/// The path of a field of a mapping whose own path is given.
pub(super) fn field_below(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// A word of more letters is not one that somebody misspelt: the longest id has 200.
const LIKE_LETTERS_MAX: usize = 255;

/// The allowed words, with the one that was perhaps meant in front: `"gold"? (one of bronze, gold, silver)`.
pub(super) fn one_of<'a>(found: &str, words: impl IntoIterator<Item = &'a str>, what: &str) -> String {
    /// A list that is longer no longer helps; the description or the suggestion alone does.
    const WORDS_SHOWN_MAX: usize = 30;
    let words: Vec<&str> = words.into_iter().collect();
    let list = match words.as_slice() {
        [] => format!("{what}, of which there is none"),
        [word] => format!("{what}: {word}"),
        _ if words.len() > WORDS_SHOWN_MAX => what.to_owned(),
        _ => format!("{what}: one of {}", words.join(", ")),
    };
    match nearest(found, &words) {
        Some(word) => format!("{list}; perhaps \"{word}\" is meant"),
        None => list,
    }
}

/// The word that is most like the one found, if any is like it at all: at most a third of its letters differ.
pub fn nearest<'a>(found: &str, words: &[&'a str]) -> Option<&'a str> {
    let (found, letters) = (found.to_lowercase(), found.chars().count());
    let like = words.iter().filter_map(|word| {
        let word_letters = word.chars().count();
        let differ_max = word_letters.div_ceil(3);
        // Each letter too many or too few is a difference, and comparing costs the product of both lengths.
        let may_be = letters.abs_diff(word_letters) <= differ_max && word_letters <= LIKE_LETTERS_MAX;
        let distance = may_be.then(|| strsim::damerau_levenshtein(&found, &word.to_lowercase()))?;
        (distance <= differ_max).then_some((distance, *word))
    });
    like.min().map(|(_, word)| word)
}
