//! Composite services (R32): which parts they have, and how their state follows from those of the parts.

use std::collections::BTreeMap;

use super::catalogue::id_of;
use super::document::Node;
use super::index::{Edge, Index, Kind};
use super::model::Service;
use super::problem::Problems;
use super::scalar;
use crate::ratio::Share;

/// What a service is composed of (R32).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Composition {
    /// The services; at least one, each once.
    pub parts: Vec<Part>,
    /// How many of them must work.
    pub rule: CompositionRule,
}

impl Composition {
    /// Whether a service is one of its parts.
    pub fn has(&self, service: &str) -> bool {
        self.parts.iter().any(|part| part.service == service)
    }
}

/// A service that another is composed of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Its id.
    pub service: String,
    /// Its share of the whole capacity, in the unit of all parts; 1 where parts are only counted.
    pub share: i64,
}

/// How the state of a composite follows from those of its parts (R32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompositionRule {
    /// Up when all parts are.
    AllOf,
    /// Up when any part is.
    AnyOf,
    /// Up when at least this many parts are, 1 to all of them.
    AtLeast(i64),
    /// By the share of the capacity that works.
    Weighted {
        /// Up from this share on.
        up_from: Share,
        /// Degraded from this share on, if any works at all; down below it. Not above `up_from`.
        degraded_from: Share,
        /// How much of its capacity a degraded part has.
        degraded_good: Share,
    },
}

/// What a degraded part of a weighted composite counts unless told: half.
const DEGRADED_GOOD: Share = Share(Share::WHOLE / 2);

/// The largest share of one part: with a million parts their sum, in billionths, stays far below 2^127.
const SHARE_MAX: i64 = 1_000_000_000;

/// The most ways on which a composite may be reached from its parts' parts: what brought its state about is told by
/// the way, and compositions of compositions can have more ways than anybody can read.
const WAYS_MAX: u64 = 100_000;

/// What a service is composed of. `None` when nothing sound is said; a problem has been told then.
pub(super) fn composition<'a>(node: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Option<Composition> {
    let (name, value) = node.entries().into_iter().next()?;
    let counted = |parts: Vec<Node<'a>>, problems: &mut Problems| -> Vec<Part> {
        let service = |node: &Node<'a>| index.reference(node, Kind::Service, problems);
        parts.iter().filter_map(service).map(|service| Part { service, share: 1 }).collect()
    };
    let (parts, rule) = match name {
        "all_of" => (counted(value.items(), problems), CompositionRule::AllOf),
        "any_of" => (counted(value.items(), problems), CompositionRule::AnyOf),
        "k_of_n" => {
            let parts = value.list("of");
            let count = i64::try_from(parts.len()).unwrap_or(i64::MAX).max(1);
            let least = value.get("at_least").and_then(|node| scalar::integer(&node, 1..=count, problems));
            (counted(parts, problems), CompositionRule::AtLeast(least?))
        }
        "weighted" => (weighted_parts(&value, index, problems), weighted_rule(&value, problems)),
        _ => return None,
    };
    (!parts.is_empty()).then_some(Composition { parts, rule })
}

fn weighted_parts<'a>(node: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for node in node.list("parts") {
        let share = node.get("share").and_then(|node| scalar::integer(&node, 1..=SHARE_MAX, problems));
        let Some(id) = node.get("service") else { continue };
        let Some(service) = index.reference(&id, Kind::Service, problems) else { continue };
        if parts.iter().any(|part| part.service == service) {
            problems.found(&id, format!("{} twice", id.found()), "each service once");
        }
        parts.extend(share.map(|share| Part { service, share }));
    }
    parts
}

fn weighted_rule(node: &Node<'_>, problems: &mut Problems) -> CompositionRule {
    let mut share = |name| node.get(name).and_then(|node| scalar::positive_share(&node, problems));
    let (up_from, degraded_from) = (share("up_from").unwrap_or(Share(Share::WHOLE)), share("degraded_from"));
    if let (Some(from), Some(place)) = (degraded_from, node.get("degraded_from"))
        && from > up_from
    {
        problems.wrong(&place, format!("a share of at most {up_from}, from which on it is up"));
    }
    let degraded_good = node.get("degraded").map(|node| scalar::degraded_good(&node, problems));
    CompositionRule::Weighted {
        up_from,
        degraded_from: degraded_from.unwrap_or(Share(0)),
        degraded_good: degraded_good.unwrap_or(DEGRADED_GOOD),
    }
}

/// Where a service names its parts.
pub(super) fn edges<'a>(root: &Node<'a>) -> Vec<Edge<'a>> {
    let Some(node) = root.path(&["spec", "composed_of"]) else { return Vec::new() };
    let counted =
        [node.list("all_of"), node.list("any_of"), node.get("k_of_n").map_or(Vec::new(), |node| node.list("of"))];
    let weighted = node.get("weighted").map_or(Vec::new(), |node| node.list("parts"));
    let parts = counted.into_iter().flatten().chain(weighted.iter().filter_map(|part| part.get("service")));
    let edge = |node: Node<'a>| Some(Edge { from: id_of(root), to: node.text()?.to_owned(), node });
    parts.filter_map(edge).collect()
}

/// Tells the composites that more ways lead to than can be told. There must be no circle.
pub(super) fn check_ways(services: &BTreeMap<String, Service>, roots: &[Node<'_>], problems: &mut Problems) {
    let parts = |id: &str| {
        let composition = services.get(id).and_then(|service| service.state.composition.as_ref());
        composition.into_iter().flat_map(|composition| &composition.parts)
    };
    let mut ways: BTreeMap<&str, u64> = BTreeMap::new();
    for root in roots {
        let id = root.path(&["metadata", "id"]).and_then(|node| node.text()).unwrap_or_default();
        let mut waiting = vec![id];
        while let Some(id) = waiting.last().copied() {
            let unknown: Vec<&str> =
                parts(id).map(|part| part.service.as_str()).filter(|part| !ways.contains_key(part)).collect();
            if unknown.is_empty() {
                let below = parts(id).map(|part| ways[part.service.as_str()]).fold(0, u64::saturating_add);
                ways.insert(id, below.max(1));
                waiting.pop();
            } else {
                waiting.extend(unknown);
            }
        }
        if ways[id] > WAYS_MAX
            && parts(id).all(|part| ways[part.service.as_str()] <= WAYS_MAX)
            && let Some(node) = root.path(&["spec", "composed_of"])
        {
            let allowed = format!("at most {WAYS_MAX}; compose it of fewer services that share their parts");
            problems.found(&node, format!("{} ways to its parts and their parts", ways[id]), allowed);
        }
    }
}
