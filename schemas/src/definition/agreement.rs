//! Agreements and their versions: documents in, checked values out.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::care::care;
use super::catalogue::{id_of, labels_of, name_of, place_of};
use super::credit;
use super::document::Node;
use super::index::{Edge, Index, Kind};
use super::model::{Agreement, AgreementType, Definitions, ExcludedTime, MaintenanceTerms, Offering};
use super::objective::objectives;
use super::problem::Problems;
use super::scalar;
use super::versions::{Version, effective, is_retroactive, version_of};
use crate::time::Micros;

/// An offering.
pub(super) fn offering<'a>(root: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Offering {
    let spec = root.get("spec");
    let maintenance = spec.as_ref().and_then(|spec| maintenance_terms(spec, problems));
    let objectives = spec.as_ref().map(|spec| objectives(spec, index, problems)).unwrap_or_default();
    let credits = spec.and_then(|spec| credit::rule(&spec, &objectives, problems));
    Offering { id: id_of(root), name: name_of(root), maintenance, credits, objectives }
}

/// One version of an agreement, and what it rests on; services and offerings are known already. `None` when it lacks what
/// its place among the versions depends on; a problem has been told then.
pub(super) fn agreement<'a>(
    root: &Node<'a>,
    index: &Index<'a>,
    known: &Definitions,
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
    let care = care(&spec, problems);
    let offering = spec.get("offering").and_then(|node| index.reference(&node, Kind::Offering, problems));
    let followed = offering.as_ref().and_then(|id| known.offerings.get(id));
    let objectives = merged(&spec, followed, index, problems);
    let maintenance = maintenance_terms(&spec, problems).or_else(|| followed.and_then(|offering| offering.maintenance));
    let excluded_times = excluded_times(&spec, &services, problems);
    let rule = credit::rule(&spec, &objectives, problems).or_else(|| followed.and_then(|offering| offering.credits));
    let covered: Vec<_> = services.iter().filter_map(|id| known.services.get(id)).collect();
    let credits = credit::terms(&spec, rule, &objectives, (&covered, offering.as_deref()), problems);

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
        retroactive: is_retroactive(&spec),
        rests_on,
        care,
        maintenance,
        excluded_times,
        credits,
        objectives,
        place: place_of(root),
    })
}

/// On which terms maintenance does not count (R9).
fn maintenance_terms(spec: &Node<'_>, problems: &mut Problems) -> Option<MaintenanceTerms> {
    let terms = spec.path(&["exclusions", "maintenance"])?;
    let notice = terms.get("notice").and_then(|node| scalar::duration(&node, problems));
    let at_most = terms.get("at_most").and_then(|node| scalar::positive_duration(&node, problems));
    Some(MaintenanceTerms { notice: notice.unwrap_or(Micros::ZERO), at_most })
}

/// The times that do not count.
fn excluded_times(spec: &Node<'_>, services: &[String], problems: &mut Problems) -> Vec<ExcludedTime> {
    let Some(exclusions) = spec.get("exclusions") else { return Vec::new() };
    let mut times = Vec::new();
    for node in exclusions.list("times") {
        let from = node.get("from").and_then(|node| scalar::date_time(&node, problems));
        let until_node = node.get("until");
        let until = until_node.as_ref().and_then(|node| scalar::date_time(node, problems));
        let concerned = node.list("services");
        for service in &concerned {
            let name = service.text().unwrap_or_default();
            if !services.iter().any(|known| known == name) {
                let known = services.iter().map(String::as_str);
                problems.unknown(service, name, known, "a service of this agreement");
            }
        }
        let (Some(from), Some(until), Some(until_node)) = (from, until, until_node) else { continue };
        if until <= from {
            problems.wrong(&until_node, format!("a time after {}, when it starts", from.format("%Y-%m-%dT%H:%M:%S")));
        }
        times.push(ExcludedTime {
            from,
            until,
            reason: scalar::optional_text(node.get("reason")).unwrap_or_default(),
            services: concerned.iter().filter_map(|node| Some(node.text()?.to_owned())).collect(),
        });
    }
    times
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

/// Tells of agreements that cannot support the one that rests on them (R33): those that are promised to customers, and
/// those that cover nothing that the agreement's services need.
pub(super) fn check_supports(definitions: &Definitions, roots: &[Node<'_>], problems: &mut Problems) {
    for root in roots {
        let Some(spec) = root.get("spec") else { continue };
        let own: Vec<&str> = spec.list("services").iter().filter_map(|node| node.text()).collect();
        let needed = needed(definitions, &own);
        for node in spec.list("rests_on") {
            let id = node.text().unwrap_or_default();
            let versions: Vec<&Agreement> =
                definitions.agreements.iter().filter(|agreement| agreement.id == id).collect();
            let covered: BTreeSet<&str> =
                versions.iter().flat_map(|version| &version.services).map(String::as_str).collect();
            if versions.iter().any(|version| version.agreement_type == AgreementType::Sla) {
                problems.found(&node, format!("{}, an sla", node.found()), "the id of an ola or a uc");
            } else if !versions.is_empty() && covered.is_disjoint(&needed) {
                let covered = covered.into_iter().collect::<Vec<_>>().join(", ");
                let allowed =
                    "an agreement on a service of this one, or on one that these need (depends_on, composed_of)";
                problems.found(&node, format!("{}, which covers {covered}", node.found()), allowed);
            }
        }
    }
}

/// Services with all that they depend on and are composed of, at any depth.
fn needed<'a>(definitions: &'a Definitions, services: &[&'a str]) -> BTreeSet<&'a str> {
    let (mut known, mut waiting) = (BTreeSet::new(), services.to_vec());
    while let Some(id) = waiting.pop() {
        if let (true, Some(service)) = (known.insert(id), definitions.services.get(id)) {
            let parts = service.state.composition.iter().flat_map(|composition| &composition.parts);
            waiting.extend(parts.map(|part| part.service.as_str()));
            waiting.extend(service.depends_on.iter().map(String::as_str));
        }
    }
    known
}

impl Version for Agreement {
    fn key(&self) -> (&str, Option<NaiveDate>, u32) {
        (&self.id, Some(self.effective_from), self.version)
    }

    fn until(&mut self) -> &mut Option<NaiveDate> {
        &mut self.effective_until
    }

    fn is_retroactive(&self) -> bool {
        self.retroactive
    }
}
