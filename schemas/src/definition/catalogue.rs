//! Services and customers: document in, checked value out.

use std::collections::BTreeMap;

use super::composition::composition;
use super::credit::money;
use super::document::Node;
use super::index::{Edge, Index, Kind};
use super::model::{Customer, DownWhen, Evidence, Service, StateRule};
use super::problem::Problems;
use super::scalar;

/// The id of a document; empty when it has none, which the schema tells.
pub(super) fn id_of(root: &Node<'_>) -> String {
    scalar::optional_text(root.path(&["metadata", "id"])).unwrap_or_default()
}

/// Where a document is defined: file and line.
pub(super) fn place_of(root: &Node<'_>) -> String {
    root.get("metadata").map_or_else(|| root.place(), |metadata| metadata.place())
}

/// The name of a document for people: its id when it has none.
pub(super) fn name_of(root: &Node<'_>) -> String {
    scalar::optional_text(root.path(&["metadata", "name"])).unwrap_or_else(|| id_of(root))
}

/// The labels of a document.
pub(super) fn labels_of(root: &Node<'_>) -> BTreeMap<String, String> {
    let labels = root.path(&["metadata", "labels"]).map(|labels| labels.entries()).unwrap_or_default();
    labels.into_iter().filter_map(|(name, label)| Some((name.to_owned(), label.text()?.to_owned()))).collect()
}

/// A customer has only its metadata.
pub(super) fn customer(root: &Node<'_>) -> Customer {
    Customer { id: id_of(root), name: name_of(root) }
}

/// A service, and what it depends on.
pub(super) fn service<'a>(
    root: &Node<'a>,
    index: &Index<'a>,
    edges: &mut Vec<Edge<'a>>,
    problems: &mut Problems,
) -> Service {
    let mut service = Service { id: id_of(root), name: name_of(root), ..Service::default() };
    let Some(spec) = root.get("spec") else { return service };
    service.tier = scalar::optional_text(spec.get("tier"));
    service.owner = scalar::optional_text(spec.get("owner"));
    service.customers = index.references(&spec, "customers", Kind::Customer, problems);
    service.depends_on = index.references(&spec, "depends_on", Kind::Service, problems);
    for node in spec.list("depends_on") {
        if let Some(to) = node.text() {
            edges.push(Edge { from: service.id.clone(), to: to.to_owned(), node });
        }
    }
    for (tier, cost) in spec.get("costs").map(|costs| costs.entries()).unwrap_or_default() {
        if let Some(cost) = money(&cost, problems) {
            service.costs.insert(tier.to_owned(), cost);
        }
    }
    if let Some(state) = spec.get("state") {
        service.state = state_rule(&state, problems);
    }
    service.state.composition = spec.get("composed_of").and_then(|node| composition(&node, index, problems));
    service
}

/// More checks than this of one service are a slip of the finger.
const CHECKS_MAX: i64 = 1_000_000;

fn state_rule(node: &Node<'_>, problems: &mut Problems) -> StateRule {
    let default = StateRule::default();
    let evidence = [("checks", Evidence::Checks), ("incidents", Evidence::Incidents), ("both", Evidence::Both)];
    let words = [("any_down", DownWhen::AnyDown), ("all_down", DownWhen::AllDown)];
    let down_when = match node.path(&["down_when", "at_least"]) {
        Some(count) => {
            let count = scalar::integer(&count, 1..=CHECKS_MAX, problems).and_then(|count| u32::try_from(count).ok());
            count.map_or(default.down_when, DownWhen::AtLeast)
        }
        None => scalar::word(node.get("down_when"), &words, default.down_when, problems),
    };
    let stale_after = node.get("stale_after").and_then(|node| scalar::positive_duration(&node, problems));
    StateRule {
        evidence: scalar::word(node.get("from"), &evidence, default.evidence, problems),
        down_when,
        stale_after: stale_after.unwrap_or(default.stale_after),
        composition: None,
    }
}
