//! YAML text in, documents with their lines out.
//!
//! The parser's events are folded here, not by its own loader, because that stops at the first repeated key, and all
//! problems of a file are to be told at once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr::{Scalar, ScalarStyle};
use saphyr_parser::{Event, Parser, Tag};
use serde_json::{Map, Number, Value};

use super::document::{Document, escape};
use super::problem::{Problem, Problems, field_below, quoted};
use super::resolve::File;

/// How deep lists and mappings may be nested. A definition needs eight levels; what is deeper is a mistake or an
/// attack.
const DEPTH_MAX: usize = 64;
/// How many values the aliases of one file may repeat, and its anchors keep, so that nested anchors cannot grow without
/// end. A long text counts as several values.
const ALIASED_VALUES_MAX: usize = 100_000;
/// How many bytes of a text count as one value.
const VALUE_BYTES: usize = 64;
/// How many bytes the paths of all values of a file may take for each byte of the file: a long name with many values
/// below it costs once for each of them. An ordinary file has ten.
const PATH_BYTES_MAX: usize = 32;
/// How many bytes those paths may take whatever the file.
const PATH_BYTES_ALWAYS: usize = 1 << 20;

/// A parsed value and what is known of its extent.
#[derive(Clone)]
struct Tree {
    line: usize,
    depth: usize,
    size: usize,
    content: Content,
}

#[derive(Clone)]
enum Content {
    /// A value, and the text that it was read from unless it is a text itself.
    Scalar(Value, Option<String>),
    List(Vec<Tree>),
    Mapping(Vec<(String, Tree)>),
}

/// A list or mapping that is not yet closed.
struct Open {
    line: usize,
    anchor: usize,
    content: Content,
    /// The key, with its line, whose value comes next.
    key: Option<(String, usize)>,
    /// All keys so far.
    keys: HashSet<String>,
}

/// All documents of a file that can be read; what cannot be read becomes a problem.
pub(super) fn parse(file: &File<'_>, problems: &mut Problems) -> Vec<Document> {
    let mut builder =
        Builder { file: file.name, problems, open: Vec::new(), anchors: HashMap::new(), aliased: 0, anchored: 0 };
    let mut path_bytes_left = PATH_BYTES_ALWAYS + PATH_BYTES_MAX * file.text.len();
    let mut documents = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(file.text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let line = error.marker().line();
                builder.problem(line, "", format!("text that is not YAML: {}", error.info()), "valid YAML");
                break;
            }
        };
        let line = span.start.line();
        if event == Event::DocumentEnd {
            builder.anchors.clear();
            let Some(tree) = root.take() else { continue };
            let Some(left) = path_bytes_left.checked_sub(path_bytes(&tree, 0)) else {
                let found = format!("more than {PATH_BYTES_MAX} bytes of paths for each byte of the file");
                builder.problem(tree.line, "", found, "shorter names of fields, or fewer values below them");
                break;
            };
            path_bytes_left = left;
            documents.extend(document(file.name, tree));
        } else {
            match builder.take(event, line) {
                Ok(Some(tree)) => root = Some(tree),
                Ok(None) => {}
                Err(TooLarge) => break,
            }
        }
    }
    documents
}

/// The rest of the file is not worth reading; the problem has been told.
struct TooLarge;

struct Builder<'a> {
    file: &'a str,
    problems: &'a mut Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Tree>,
    aliased: usize,
    anchored: usize,
}

impl Builder<'_> {
    /// Folds one event in; gives the document's value when it is complete.
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<Option<Tree>, TooLarge> {
        match event {
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Content::Mapping(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let tree = measured(open.line, open.content);
                    self.insert(tree, open.anchor)
                }
                None => Ok(None),
            },
            Event::Scalar(text, style, anchor, tag) => match &mut self.open.last_mut() {
                // A key is taken as it is written: `0`, `true` and `~` are names of fields and raw values.
                Some(Open { content: Content::Mapping(_), key: key @ None, .. }) => {
                    *key = Some((text.into_owned(), line));
                    Ok(None)
                }
                _ => {
                    let size = size_of(&text);
                    self.insert(Tree { line, depth: 1, size, content: scalar(text, style, tag.as_ref()) }, anchor)
                }
            },
            Event::Alias(anchor) => self.alias(anchor, line),
            _ => Ok(None),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, content: Content) -> Result<Option<Tree>, TooLarge> {
        self.check_depth(1, line)?;
        self.open.push(Open { line, anchor, content, key: None, keys: HashSet::new() });
        Ok(None)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<Option<Tree>, TooLarge> {
        let Some(tree) = self.anchors.get(&anchor) else {
            self.problem(
                line,
                "",
                "an alias without its anchor".to_owned(),
                "an anchor with & before its alias with *",
            );
            return Err(TooLarge);
        };
        let (depth, size) = (tree.depth, tree.size);
        self.aliased += size;
        self.check_depth(depth, line)?;
        if self.aliased > ALIASED_VALUES_MAX {
            let found = format!("aliases that repeat {} values", self.aliased);
            self.problem(line, "", found, &format!("at most {ALIASED_VALUES_MAX} repeated values in a file"));
            return Err(TooLarge);
        }
        match self.anchors.get(&anchor).cloned() {
            Some(tree) => self.insert(tree, 0),
            None => Ok(None),
        }
    }

    fn check_depth(&mut self, depth: usize, line: usize) -> Result<(), TooLarge> {
        if self.open.len() + depth <= DEPTH_MAX {
            return Ok(());
        }
        let found = format!("more than {DEPTH_MAX} levels of lists and mappings");
        self.problem(line, "", found, &format!("at most {DEPTH_MAX} levels"));
        Err(TooLarge)
    }

    /// Puts a complete value where it belongs.
    fn insert(&mut self, mut tree: Tree, anchor: usize) -> Result<Option<Tree>, TooLarge> {
        if anchor > 0 {
            self.anchored += tree.size;
            if self.anchored > ALIASED_VALUES_MAX {
                let found = format!("anchors that keep {} values", self.anchored);
                self.problem(tree.line, "", found, &format!("at most {ALIASED_VALUES_MAX} kept values in a file"));
                return Err(TooLarge);
            }
            self.anchors.insert(anchor, tree.clone());
        }
        let Some(open) = self.open.last_mut() else { return Ok(Some(tree)) };
        let mut wrong = None;
        match &mut open.content {
            Content::List(items) => items.push(tree),
            Content::Mapping(fields) => match open.key.take() {
                Some((key, line)) if !open.keys.insert(key.clone()) => {
                    wrong = Some((line, format!("the field {} twice", quoted(&key)), Some(key)));
                }
                Some((key, line)) => {
                    tree.line = line;
                    fields.push((key, tree));
                }
                None => {
                    wrong = Some((tree.line, "a list or mapping as a key".to_owned(), None));
                    open.key = Some((String::new(), tree.line));
                }
            },
            Content::Scalar(..) => {}
        }
        match wrong {
            Some((line, found, Some(key))) => {
                // Two definitions that nothing separates look like one with every field twice.
                let allowed = match self.open.len() {
                    1 => "each field once, and --- on a line between two definitions",
                    _ => "each field once",
                };
                self.problem(line, &field_below(&self.path(), &key), found, allowed)
            }
            Some((line, found, None)) => self.problem(line, &self.path(), found, "a text as a key"),
            None => {}
        }
        Ok(None)
    }

    /// The path of the list or mapping that is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match (&open.content, &open.key) {
                (Content::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some((key, _))) => path = field_below(&path, key),
                _ => {}
            }
        }
        path
    }

    fn problem(&mut self, line: usize, field: &str, found: String, allowed: &str) {
        self.problems.add(Problem {
            file: self.file.to_owned(),
            line,
            field: field.to_owned(),
            found,
            allowed: allowed.to_owned(),
        });
    }
}

fn measured(line: usize, content: Content) -> Tree {
    let (depth, size) = match &content {
        Content::Scalar(..) => (0, 0),
        Content::List(items) => extent(items.iter()),
        Content::Mapping(fields) => {
            let (depth, size) = extent(fields.iter().map(|(_, tree)| tree));
            (depth, size + fields.iter().map(|(key, _)| size_of(key) - 1).sum::<usize>())
        }
    };
    Tree { line, depth: depth + 1, size: size + 1, content }
}

/// As how many values a text counts.
fn size_of(text: &str) -> usize {
    1 + text.len() / VALUE_BYTES
}

/// How many bytes the paths of a value and of all below it take, when that of the value takes `above`.
fn path_bytes(tree: &Tree, above: usize) -> usize {
    /// A place in a list has at most so many bytes, with its slash.
    const PLACE_BYTES: usize = 8;
    let below: usize = match &tree.content {
        Content::Scalar(..) => 0,
        Content::List(items) => items.iter().map(|item| path_bytes(item, above + PLACE_BYTES)).sum(),
        Content::Mapping(fields) => fields.iter().map(|(key, tree)| path_bytes(tree, above + 1 + key.len())).sum(),
    };
    above + below
}

fn extent<'a>(trees: impl Iterator<Item = &'a Tree>) -> (usize, usize) {
    trees.fold((0, 0), |(depth, size), tree| (depth.max(tree.depth), size + tree.size))
}

/// A scalar by YAML's core schema; what the schema cannot express stays a text. The text of a number is kept, because
/// not every number that can be written is one of 64 bits.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Content {
    let value = match Scalar::parse_from_cow_and_metadata(text.clone(), style, tag) {
        Some(Scalar::Null) => Some(Value::Null),
        Some(Scalar::Boolean(value)) => Some(Value::Bool(value)),
        Some(Scalar::Integer(value)) => Some(Value::from(value)),
        Some(Scalar::FloatingPoint(value)) => Number::from_f64(value.into_inner()).map(Value::Number),
        Some(Scalar::String(_)) | None => None,
    };
    let text = text.into_owned();
    match value {
        Some(value) => Content::Scalar(value, Some(text)),
        None => Content::Scalar(Value::String(text), None),
    }
}

/// A complete document; `None` when it holds nothing, as between two `---`.
fn document(file: &str, tree: Tree) -> Option<Document> {
    let (mut lines, mut written) = (HashMap::new(), HashMap::new());
    let value = flatten(tree, String::new(), &mut lines, &mut written);
    (!value.is_null()).then(|| Document { file: file.to_owned(), value, lines, written })
}

/// Recursion is as deep as the document, which `DEPTH_MAX` bounds.
fn flatten(
    tree: Tree,
    pointer: String,
    lines: &mut HashMap<String, usize>,
    written: &mut HashMap<String, String>,
) -> Value {
    let value = match tree.content {
        Content::Scalar(value, text) => {
            written.extend(text.map(|text| (pointer.clone(), text)));
            value
        }
        Content::List(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| flatten(item, format!("{pointer}/{index}"), lines, written))
            .collect(),
        Content::Mapping(fields) => {
            let mut map = Map::new();
            for (name, field) in fields {
                let below = format!("{pointer}/{}", escape(&name));
                map.insert(name, flatten(field, below, lines, written));
            }
            Value::Object(map)
        }
    };
    lines.insert(pointer, tree.line);
    value
}
