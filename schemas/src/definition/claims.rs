//! Which source a record belongs to: no topic and no file name may be claimed by two.

use std::collections::BTreeMap;

use super::document::Node;
use super::index::{Index, Kind};
use super::problem::{Problems, quoted};

/// A longer pattern is no file name's, which the schema tells, and comparing two costs the product of their lengths.
const PATTERN_BYTES_MAX: usize = 4 * 255;

/// Tells topics and file names that two sources claim: a record must not be mapped in two ways.
pub(super) fn check_claims(index: &Index<'_>, problems: &mut Problems) {
    let mut topics: BTreeMap<&str, (usize, Node<'_>)> = BTreeMap::new();
    let mut patterns: Vec<(usize, &str, Node<'_>)> = Vec::new();
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
            let others = patterns.iter().filter(|(owner, _, _)| *owner != source);
            let clash = others.into_iter().find_map(|(_, other, first)| Some((common_name(pattern, other)?, first)));
            if let Some((name, first)) = clash {
                let (other, place) = (first.found(), first.place());
                let name = quoted(&name);
                problems.wrong(
                    &node,
                    format!("file names that no other source claims; {other} at {place} fits {name} too"),
                );
            }
            patterns.push((source, pattern, node));
        }
    }
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
