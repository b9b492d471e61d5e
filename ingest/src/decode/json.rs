//! One JSON record's text into raw values, in one pass over its bytes.
//!
//! The pointers of a mapping form a tree of object keys and list places. The record is walked along that tree; what
//! the tree does not know is checked for syntax and skipped. Scalars are kept as the record writes them.

use std::borrow::Cow;
use std::fmt;

use plimsoll_schemas::delivery::DeadLetterReason;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::{Deserializer, LazyValue};

use super::raw::Raw;
use super::rejection::{Rejection, excerpt};

/// How deep objects and lists may be nested. No event needs more than a few, and the parser recurses.
pub(super) const DEPTH_MAX: usize = 64;

/// A key's place in a node's table of keys: few enough to stay in cache, many enough that most keys a
/// mapping does not know are told apart at once.
const SIGNATURES: usize = 64;

/// A node of the tree of pointers. `Node::default()` knows no pointer.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where the value of this very pointer goes.
    slot: Option<usize>,
    /// Longer pointers, sorted by their next token's signature.
    children: Vec<Child>,
    /// For each signature, the first child with it; `children.len()` when there is none.
    first_child: [u16; SIGNATURES],
    /// The slots of all longer pointers.
    slots_below: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Child {
    token: Box<str>,
    signature: usize,
    /// The token as a place in a list (RFC 6901: digits without leading zero).
    index: Option<usize>,
    node: Node,
}

impl Default for Node {
    fn default() -> Node {
        Node { slot: None, children: Vec::new(), first_child: [0; SIGNATURES], slots_below: Vec::new() }
    }
}

fn signature(token: &str) -> usize {
    let bytes = token.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => (bytes.len() + 7 * usize::from(first) + 13 * usize::from(last)) % SIGNATURES,
        _ => 0,
    }
}

impl Node {
    /// The tree of these pointers: the value of `pointers[n]` goes to slot `n`.
    pub(super) fn new<'p>(pointers: impl IntoIterator<Item = &'p [String]>) -> Node {
        let mut root = Node::default();
        for (slot, tokens) in pointers.into_iter().enumerate() {
            root.insert(tokens, slot);
        }
        root.finish();
        root
    }

    fn insert(&mut self, tokens: &[String], slot: usize) {
        let Some((token, rest)) = tokens.split_first() else {
            self.slot = Some(slot);
            return;
        };
        self.slots_below.push(slot);
        let known = self.children.iter().position(|child| *child.token == **token);
        let place = known.unwrap_or_else(|| {
            let plain = token == "0" || !token.starts_with(['0', '+']);
            let index = token.parse().ok().filter(|_| plain);
            let child =
                Child { token: token.as_str().into(), signature: signature(token), index, node: Node::default() };
            self.children.push(child);
            self.children.len() - 1
        });
        self.children[place].node.insert(rest, slot);
    }

    fn finish(&mut self) {
        self.children.sort_by_key(|child| child.signature);
        let none = u16::try_from(self.children.len()).unwrap_or(u16::MAX);
        self.first_child = [none; SIGNATURES];
        for (place, child) in self.children.iter_mut().enumerate().rev() {
            self.first_child[child.signature] = u16::try_from(place).unwrap_or(u16::MAX);
            child.node.finish();
        }
    }

    #[inline]
    fn child(&self, key: &str) -> Option<&Node> {
        let signature = signature(key);
        let first = usize::from(self.first_child[signature]);
        let same = self.children.get(first..)?.iter().take_while(|child| child.signature == signature);
        same.into_iter().find(|child| *child.token == *key).map(|child| &child.node)
    }

    fn child_at(&self, index: usize) -> Option<&Node> {
        self.children.iter().find(|child| child.index == Some(index)).map(|child| &child.node)
    }
}

/// Reads the values that `root` names from `text`, a JSON object, into `slots`.
///
/// # Errors
/// `TooDeep` and `Malformed`; the slots are then of no use.
pub(super) fn read<'a>(root: &Node, text: &'a str, slots: &mut [Raw<'a>]) -> Result<(), Box<Rejection>> {
    let bytes = text.as_bytes();
    if brackets(bytes) > DEPTH_MAX && depth(bytes) > DEPTH_MAX {
        let detail = format!("objects and lists are nested deeper than {DEPTH_MAX}, which is the most allowed");
        return Err(Rejection::new(DeadLetterReason::TooDeep, detail));
    }
    let malformed = |detail: String| Rejection::new(DeadLetterReason::Malformed, detail);
    if !text.trim_ascii_start().starts_with('{') {
        return Err(malformed(format!("a record is one JSON object, found {}", excerpt(text))));
    }
    if let Some(slot) = root.slot {
        slots[slot] = Raw::Nested;
    }
    let mut deserializer = Deserializer::from_str(text);
    let walked = deserializer.deserialize_map(NodeVisitor { node: root, slots });
    walked.and_then(|()| deserializer.end()).map_err(|error| {
        // The library's message goes on for several lines with a drawing of the place.
        let message = error.to_string();
        malformed(format!("not JSON: {}", message.lines().next().unwrap_or("syntax error").trim()))
    })
}

/// How many brackets open, inside texts too: a record with few of them cannot be deep, and counting is cheap.
fn brackets(bytes: &[u8]) -> usize {
    // `[` and `{` differ in one bit. Chunks short enough that eight bits count them let the compiler use wide
    // registers.
    let opens = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).fold(0, u8::wrapping_add);
    bytes.chunks(128).map(|chunk| usize::from(opens(chunk))).sum()
}

/// How deep objects and lists are nested, for text that may be malformed.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for &byte in bytes {
        if in_text {
            in_text = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Walks an object or a list along a node's children; a scalar has none of them.
struct NodeVisitor<'node, 'slots, 'a> {
    node: &'node Node,
    slots: &'slots mut [Raw<'a>],
}

impl<'a> Visitor<'a> for NodeVisitor<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(known) = map.next_key_seed(KeySeed(self.node))? {
            match known {
                Some(node) => map.next_value_seed(ValueSeed { node, slots: self.slots })?,
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        for index in 0.. {
            let more = match self.node.child_at(index) {
                Some(node) => list.next_element_seed(ValueSeed { node, slots: self.slots })?,
                None => list.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Looks a key up among a node's children.
struct KeySeed<'node>(&'node Node);

impl<'a, 'node> DeserializeSeed<'a> for KeySeed<'node> {
    type Value = Option<&'node Node>;

    #[inline]
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'node> Visitor<'_> for KeySeed<'node> {
    type Value = Option<&'node Node>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    #[inline]
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.child(key))
    }
}

/// Reads the value at a node: into its slot, and into those of its children.
struct ValueSeed<'node, 'slots, 'a> {
    node: &'node Node,
    slots: &'slots mut [Raw<'a>],
}

impl<'a> DeserializeSeed<'a> for ValueSeed<'_, '_, 'a> {
    type Value = ();

    #[inline]
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let ValueSeed { node, slots } = self;
        for &slot in &node.slots_below {
            // The same key may come twice, and the last one wins: what an earlier one left is forgotten.
            slots[slot] = Raw::Absent;
        }
        let Some(slot) = node.slot else {
            return deserializer.deserialize_any(NodeVisitor { node, slots });
        };
        let raw = LazyValue::deserialize(deserializer)?.as_raw_cow();
        if let (false, Cow::Borrowed(text)) = (node.children.is_empty(), &raw) {
            // A place that is wanted both whole and in parts is read twice.
            let parts = Deserializer::from_str(text).deserialize_any(NodeVisitor { node, slots: &mut *slots });
            parts.map_err(serde::de::Error::custom)?;
        }
        slots[slot] = scalar(raw).map_err(serde::de::Error::custom)?;
        Ok(())
    }
}

/// The raw value of one JSON value.
#[inline]
fn scalar(raw: Cow<'_, str>) -> Result<Raw<'_>, sonic_rs::Error> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => match raw {
            Cow::Borrowed(quoted) => Raw::Text(Cow::Borrowed(&quoted[1..quoted.len() - 1])),
            // The library owns a raw text only when something in it is escaped.
            Cow::Owned(quoted) => Raw::Text(Cow::Owned(sonic_rs::from_str::<String>(&quoted)?)),
        },
        Some(b'{' | b'[') => Raw::Nested,
        Some(b't') => Raw::Boolean(true),
        Some(b'f') => Raw::Boolean(false),
        Some(b'n') => Raw::Null,
        _ => match raw {
            Cow::Borrowed(number) => Raw::Number(number),
            Cow::Owned(_) => Raw::Nested,
        },
    })
}
