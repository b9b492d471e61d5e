//! Which source a record belongs to: no topic and no file name may be claimed by two.
//!
//! Patterns of file names that have a name in common begin alike and end alike. So each is compared only with those whose
//! letters before the first `*` or `?` agree with its own, or with those whose letters after the last one do, whichever are
//! fewer. Many that differ in neither are not compared without end, but told to be too many.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::document::Node;
use super::index::{Index, Kind};
use super::problem::{Problems, quoted};

/// A longer pattern is no file name's, which the schema tells, and comparing two costs the product of their lengths.
const PATTERN_BYTES_MAX: usize = 4 * 255;

/// How many pairs of letters are compared at most in one set of definitions: a second's work. A thousand patterns of
/// thirty letters that all begin and end alike have 450 million.
const LETTER_PAIRS_MAX: usize = 100_000_000;

/// Tells topics and file names that two sources claim: a record must not be mapped in two ways.
pub(super) fn check_claims(index: &Index<'_>, problems: &mut Problems) {
    let mut topics: BTreeMap<&str, (usize, Node<'_>)> = BTreeMap::new();
    let mut patterns = Patterns::default();
    for (source, root) in index.of(Kind::Source).iter().enumerate() {
        let Some(spec) = root.get("spec") else { continue };
        for node in spec.list("topics") {
            let Some(topic) = node.text() else { continue };
            match topics.get(topic) {
                Some((owner, first)) if *owner != source => {
                    problems.wrong(&node, format!("a topic that no other source claims, as {} does", first.place()));
                }
                Some(_) => {}
                None => {
                    topics.insert(topic, (source, node));
                }
            }
        }
        for node in spec.list("files") {
            let Some(pattern) = node.text().filter(|pattern| pattern.len() <= PATTERN_BYTES_MAX) else { continue };
            match patterns.add(source, pattern, &node) {
                Found::Nothing => {}
                Found::TooMany => {
                    let allowed = "fewer patterns that begin and end alike, so that they can be compared: begin or end \
                                   those of each source in a way of its own";
                    return problems.wrong(&node, allowed);
                }
                Found::Clash(name, first) => {
                    let (other, place) = (first.found(), first.place());
                    let name = quoted(&name);
                    problems.wrong(
                        &node,
                        format!("file names that no other source claims; {other} at {place} fits {name} too"),
                    );
                }
            }
        }
    }
}

/// Patterns of file names, by how they begin and by how they end.
#[derive(Default)]
struct Patterns<'text> {
    /// Source, pattern and where it stands, in the order in which they stand.
    all: Vec<(usize, &'text str, Node<'text>)>,
    /// Places in `all` by the letters before the first wildcard, and by those after the last one, backwards.
    by_head: BTreeMap<String, Vec<usize>>,
    by_tail: BTreeMap<String, Vec<usize>>,
    /// How many pairs of letters were compared.
    compared: usize,
}

enum Found<'text> {
    Nothing,
    /// A file name that fits, and the first pattern that it fits, too.
    Clash(String, Node<'text>),
    TooMany,
}

impl<'text> Patterns<'text> {
    /// Takes a pattern, and says which one of another source has a file name in common with it.
    fn add(&mut self, source: usize, pattern: &'text str, node: &Node<'text>) -> Found<'text> {
        let is_wild = |letter: char| matches!(letter, '*' | '?');
        let head: String = pattern.chars().take_while(|letter| !is_wild(*letter)).collect();
        let tail: String = pattern.chars().rev().take_while(|letter| !is_wild(*letter)).collect();
        let (by_head, by_tail) = (agreeing(&self.by_head, &head), agreeing(&self.by_tail, &tail));
        let count = |places: &[&Vec<usize>]| places.iter().map(|places| places.len()).sum::<usize>();
        let (heads, tails) = (count(&by_head), count(&by_tail));
        let mut places: Vec<usize> =
            if heads <= tails { by_head } else { by_tail }.into_iter().flatten().copied().collect();
        places.sort_unstable();
        self.compared += places.len();
        let mut found = Found::Nothing;
        for (owner, other, first) in places.iter().filter_map(|place| self.all.get(*place)) {
            if *owner == source {
                continue;
            }
            self.compared += pattern.len() * other.len();
            if self.compared > LETTER_PAIRS_MAX {
                return Found::TooMany;
            }
            if let Some(name) = common_name(pattern, other) {
                found = Found::Clash(name, first.clone());
                break;
            }
        }
        self.by_head.entry(head).or_default().push(self.all.len());
        self.by_tail.entry(tail).or_default().push(self.all.len());
        self.all.push((source, pattern, node.clone()));
        found
    }
}

/// What stands under the beginnings of a text, and under texts that it is the beginning of.
fn agreeing<'map>(map: &'map BTreeMap<String, Vec<usize>>, text: &str) -> Vec<&'map Vec<usize>> {
    let shorter = text.char_indices().filter_map(|(end, _)| map.get(&text[..end]));
    let from = (Bound::Included(text), Bound::Unbounded);
    let longer = map.range::<str, _>(from).take_while(|(found, _)| found.starts_with(text));
    shorter.chain(longer.map(|(_, places)| places)).collect()
}

/// A file name that fits both patterns, in which `*` stands for any letters and `?` for one; `None` when there is none.
pub(super) fn common_name(left: &str, right: &str) -> Option<String> {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    // fits[i][j]: some text fits both the left pattern from its letter i on and the right one from its letter j on.
    let mut fits = vec![vec![false; right.len() + 1]; left.len() + 1];
    for i in (0..=left.len()).rev() {
        for j in (0..=right.len()).rev() {
            fits[i][j] = match (left.get(i), right.get(j)) {
                (None, None) => true,
                (Some('*'), Some(_)) => fits[i + 1][j] || fits[i][j + 1],
                (Some('*'), None) => fits[i + 1][j],
                (Some(_), Some('*')) => fits[i][j + 1] || fits[i + 1][j],
                (None, Some('*')) => fits[i][j + 1],
                (Some(one), Some(other)) => (one == other || *one == '?' || *other == '?') && fits[i + 1][j + 1],
                _ => false,
            };
        }
    }
    if !fits[0][0] {
        return None;
    }
    let (mut name, mut i, mut j) = (String::new(), 0, 0);
    while i < left.len() || j < right.len() {
        let (one, other) = (left.get(i), right.get(j));
        if one == Some(&'*') && fits[i + 1][j] {
            i += 1;
        } else if other == Some(&'*') && fits[i][j + 1] {
            j += 1;
        } else {
            // A letter that both take: the one that is named, if one of them names any.
            let named = [one, other].into_iter().flatten().find(|letter| !"*?".contains(**letter));
            name.push(*named.unwrap_or(&'x'));
            i += usize::from(one != Some(&'*'));
            j += usize::from(other != Some(&'*'));
        }
    }
    // Two patterns of stars alone fit the empty text, but no file is called so.
    Some(if name.is_empty() { "x".to_owned() } else { name })
}
