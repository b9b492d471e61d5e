//! Who is who: the ids of all documents, so that references can be followed.

use std::collections::BTreeMap;

use super::document::{Document, Node};
use super::model::AROUND_THE_CLOCK;
use super::problem::{Problems, quoted};
use super::versions::version_of;

/// The kinds of definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Service,
    Customer,
    Calendar,
    Offering,
    Agreement,
    Source,
}

impl Kind {
    /// Every kind, as definitions write it and as messages do.
    const WORDS: [(&'static str, &'static str, Kind); 6] = [
        ("Service", "a service", Kind::Service),
        ("Customer", "a customer", Kind::Customer),
        ("Calendar", "a calendar", Kind::Calendar),
        ("Offering", "an offering", Kind::Offering),
        ("Agreement", "an agreement", Kind::Agreement),
        ("Source", "a source", Kind::Source),
    ];

    fn of(document: &Document) -> Option<Kind> {
        let kind = document.value.get("kind")?.as_str()?;
        Self::WORDS.iter().find(|(word, _, _)| *word == kind).map(|(_, _, kind)| *kind)
    }

    /// With its article, for messages.
    pub(super) fn phrase(self) -> &'static str {
        Self::WORDS[self as usize].1
    }
}

/// The documents by kind, in the order of files, and their ids.
#[derive(Default)]
pub(super) struct Index<'a> {
    documents: BTreeMap<Kind, Vec<Node<'a>>>,
    ids: BTreeMap<Kind, BTreeMap<&'a str, Node<'a>>>,
}

impl<'a> Index<'a> {
    /// Collects the ids and tells which are there twice.
    pub(super) fn collect(documents: &'a [Document], problems: &mut Problems) -> Index<'a> {
        let mut index = Index::default();
        let mut versions: BTreeMap<(Kind, &str, u32), Node<'a>> = BTreeMap::new();
        for document in documents {
            let (Some(kind), root) = (Kind::of(document), document.root()) else { continue };
            index.documents.entry(kind).or_default().push(root.clone());
            let Some(node) = root.path(&["metadata", "id"]) else { continue };
            let Some(id) = node.text() else { continue };
            let ids = index.ids.entry(kind).or_default();
            let first = match kind {
                Kind::Calendar if id == AROUND_THE_CLOCK => {
                    problems.wrong(&node, "another id: this calendar is built in");
                    None
                }
                Kind::Agreement | Kind::Calendar => version_of(&root, problems).and_then(|version| {
                    let first = versions.insert((kind, id, version), node.clone())?;
                    Some((first, format!(" version {version}")))
                }),
                _ => ids.get(id).map(|first| (first.clone(), String::new())),
            };
            if let Some((first, version)) = first {
                let found = format!("{}{version} again", quoted(id));
                problems.found(&node, found, format!("an id of its own; {} has this one already", first.place()));
            }
            ids.entry(id).or_insert(node);
        }
        index
    }

    /// The documents of a kind.
    pub(super) fn of(&self, kind: Kind) -> &[Node<'a>] {
        self.documents.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// The id that stands at a node, which must be that of something of this kind.
    pub(super) fn reference(&self, node: &Node<'a>, kind: Kind, problems: &mut Problems) -> Option<String> {
        let id = node.text()?;
        let ids = self.ids.get(&kind);
        let built_in = (kind == Kind::Calendar).then_some(AROUND_THE_CLOCK);
        if built_in != Some(id) && ids.is_none_or(|ids| !ids.contains_key(id)) {
            let known = ids.into_iter().flat_map(|ids| ids.keys().copied()).chain(built_in);
            problems.unknown(node, id, known, &format!("the id of {} that is defined", kind.phrase()));
        }
        Some(id.to_owned())
    }

    /// All ids of a list field, which must be those of things of this kind.
    pub(super) fn references(&self, parent: &Node<'a>, name: &str, kind: Kind, problems: &mut Problems) -> Vec<String> {
        parent.list(name).iter().filter_map(|node| self.reference(node, kind, problems)).collect()
    }
}

/// A reference from one id to another, and where it stands.
pub(super) struct Edge<'a> {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) node: Node<'a>,
}

/// Tells every circle among references, with its members, where the reference stands that closes it. Returns whether
/// there is any.
pub(super) fn check_cycles(edges: &[Edge<'_>], verb: &str, problems: &mut Problems) -> bool {
    let mut found = false;
    let mut below: BTreeMap<&str, Vec<&Edge<'_>>> = BTreeMap::new();
    for edge in edges {
        below.entry(&edge.from).or_default().push(edge);
    }
    let mut finished: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
    for &start in below.keys() {
        // A walk in depth: each step is an id and how many of its references have been followed.
        let mut way: Vec<(&str, usize)> = if finished.contains(start) { Vec::new() } else { vec![(start, 0)] };
        while let Some((id, followed)) = way.last_mut() {
            let Some(edge) = below.get(*id).and_then(|edges| edges.get(*followed)) else {
                finished.insert(*id);
                way.pop();
                continue;
            };
            *followed += 1;
            let to = edge.to.as_str();
            if let Some(place) = way.iter().position(|(id, _)| *id == to) {
                let circle = way[place..].iter().map(|(id, _)| *id).chain([to]).collect::<Vec<_>>().join(" -> ");
                problems.found(&edge.node, format!("the circle {circle}"), format!("nothing that {verb} itself"));
                found = true;
            } else if !finished.contains(to) {
                way.push((to, 0));
            }
        }
    }
    found
}
