//! Agreements and their versions: documents in, checked values out.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::catalogue::{id_of, labels_of, name_of};
use super::document::Node;
use super::index::{Edge, Index, Kind};
use super::model::{Agreement, AgreementType, Offering};
use super::objective::objectives;
use super::problem::Problems;
use super::scalar;
use super::versions::{Version, effective, version_of};

/// An offering.
pub(super) fn offering<'a>(root: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Offering {
    let objectives = root.get("spec").map(|spec| objectives(&spec, index, problems)).unwrap_or_default();
    Offering { id: id_of(root), name: name_of(root), objectives }
}

/// One version of an agreement, and what it rests on. `None` when it lacks what its place among the versions depends
/// on; a problem has been told then.
pub(super) fn agreement<'a>(
    root: &Node<'a>,
    index: &Index<'a>,
    offerings: &BTreeMap<String, Offering>,
    edges: &mut Vec<Edge<'a>>,
    problems: &mut Problems,
) -> Option<Agreement> {
    let id = id_of(root);
    let version = version_of(root, problems);
    let spec = root.get("spec")?;
    let types = [("sla", AgreementType::Sla), ("ola", AgreementType::Ola), ("uc", AgreementType::Uc)];
    let agreement_type = scalar::word(spec.get("type"), &types, AgreementType::Sla, problems);
    let customer = spec.get("customer").and_then(|node| index.reference(&node, Kind::Customer, problems));
    let services = index.references(&spec, "services", Kind::Service, problems);
    let rests_on = index.references(&spec, "rests_on", Kind::Agreement, problems);
    for node in spec.list("rests_on") {
        if let Some(to) = node.text() {
            edges.push(Edge { from: id.clone(), to: to.to_owned(), node });
        }
    }
    let time_zone = spec.get("time_zone").and_then(|node| scalar::time_zone(&node, problems)).unwrap_or(Tz::UTC);
    let review_every_months = spec.path(&["review", "every"]).and_then(|node| months(&node, problems));
    let offering = spec.get("offering").and_then(|node| index.reference(&node, Kind::Offering, problems));
    let objectives = merged(&spec, offering.as_ref().and_then(|id| offerings.get(id)), index, problems);

    let (from, until) = effective(&spec, problems);
    Some(Agreement {
        id,
        version: version?,
        name: name_of(root),
        labels: labels_of(root),
        agreement_type,
        customer,
        services,
        offering,
        time_zone,
        effective_from: from?,
        effective_until: until,
        rests_on,
        review_every_months,
        objectives,
    })
}

/// The offering's objectives with the agreement's own over them, by id.
fn merged<'a>(
    spec: &Node<'a>,
    offering: Option<&Offering>,
    index: &Index<'a>,
    problems: &mut Problems,
) -> Vec<super::model::Objective> {
    let mut merged = offering.map(|offering| offering.objectives.clone()).unwrap_or_default();
    for own in objectives(spec, index, problems) {
        match merged.iter_mut().find(|objective| objective.id == own.id) {
            Some(objective) => *objective = own,
            None => merged.push(own),
        }
    }
    if spec.get("objectives").is_none() && spec.get("offering").is_none() {
        problems.missing(spec, "objectives", "at least one objective, its own or those of an offering");
    }
    merged
}

/// The months in `3 months` or `1 year`.
fn months(node: &Node<'_>, problems: &mut Problems) -> Option<u32> {
    let months = node.text().and_then(|text| text.split_once(' ')).and_then(|(count, unit)| {
        let count = count.parse::<u32>().ok().filter(|count| *count > 0)?;
        match unit {
            "month" | "months" => Some(count),
            "year" | "years" => count.checked_mul(12),
            _ => None,
        }
    });
    if months.is_none() {
        problems.wrong(node, "a number of months or years such as 3 months");
    }
    months
}

impl Version for Agreement {
    fn key(&self) -> (&str, Option<NaiveDate>, u32) {
        (&self.id, Some(self.effective_from), self.version)
    }

    fn until(&mut self) -> &mut Option<NaiveDate> {
        &mut self.effective_until
    }
}
