//! Which services follow which others, in which order they are read, and who supports whom (R32, R33).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_schemas::definition::Definitions;

use super::{AgreementPlan, Portfolio, ServiceIndex, digest};
use crate::Name;
use crate::attribution::{Family, Member, Support};
use crate::state::service::state_before;

/// What each service needs, by its place: the parts that it is composed of, in their order, and what it depends on.
type Needs = Vec<(Vec<ServiceIndex>, Vec<ServiceIndex>)>;

impl Portfolio {
    /// Lays out who follows whom, and in which order: each service after all that it follows. No circle is left in
    /// definitions that were checked.
    pub(super) fn compose(&mut self, definitions: &Definitions) {
        let needs: Needs = definitions
            .services
            .values()
            .map(|service| {
                let parts = service.state.composition.iter().flat_map(|composition| &composition.parts);
                let parts = parts.filter_map(|part| self.service_place(&part.service));
                let needed = service.depends_on.iter().filter_map(|id| self.service_place(id));
                (parts.collect(), needed.collect())
            })
            .collect();
        let resting = definitions.agreements.iter().filter(|agreement| !agreement.rests_on.is_empty());
        let supported: BTreeSet<&str> = resting.flat_map(|agreement| &agreement.services).map(String::as_str).collect();
        for place in 0..self.services.len() {
            let mut follows = needs[place].0.clone();
            if supported.contains(self.services[place].id.as_ref()) {
                let (family, below) = self.family(ServiceIndex(place as u32), &needs);
                self.services[place].family = family;
                let further: Vec<_> = below.into_iter().filter(|index| !follows.contains(index)).collect();
                follows.extend(further);
            }
            for &followed in &follows {
                self.services[followed.0 as usize].followers.push(ServiceIndex(place as u32));
            }
            self.services[place].follows = follows;
        }
        let all: Vec<ServiceIndex> = (0..self.services.len() as u32).map(ServiceIndex).collect();
        let followers = |index: ServiceIndex| self.services[index.0 as usize].followers.clone();
        self.ranks = ranks(&all, followers);
        for index in self.ranks.clone().into_iter().flatten() {
            self.follow_up(index);
        }
    }

    /// Works out what of a service depends on those that it follows, which are worked out already.
    fn follow_up(&mut self, index: ServiceIndex) {
        let plan = self.service(index);
        let followed = || plan.follows.iter().map(|followed| self.service(*followed));
        // Its parts stand first among those that it follows.
        let before = state_before(&plan.rule, followed().map(|followed| followed.before));
        let digest = digest(&(plan.digest, followed().map(|followed| followed.digest).collect::<Vec<_>>()));
        let plan = &mut self.services[index.0 as usize];
        plan.before = before;
        if !plan.follows.is_empty() {
            plan.digest = digest;
        }
    }

    /// A service with all below it, and these.
    fn family(&self, root: ServiceIndex, needs: &Needs) -> (Family, BTreeSet<ServiceIndex>) {
        let below = |index: ServiceIndex| {
            let (parts, needed) = &needs[index.0 as usize];
            parts.iter().chain(needed).copied().collect::<Vec<_>>()
        };
        let (mut known, mut waiting) = (BTreeSet::from([root]), vec![root]);
        while let Some(index) = waiting.pop() {
            waiting.extend(below(index).into_iter().filter(|index| known.insert(*index)));
        }
        let all: Vec<ServiceIndex> = known.iter().copied().collect();
        let order: Vec<ServiceIndex> = ranks(&all, below).into_iter().flatten().collect();
        let places: BTreeMap<ServiceIndex, usize> =
            order.iter().enumerate().map(|(place, index)| (*index, place)).collect();
        let member = |index: &ServiceIndex| {
            let (parts, needed) = &needs[index.0 as usize];
            let plan = self.service(*index);
            Member {
                service: plan.id.clone(),
                composition: plan.rule.composition.clone(),
                parts: parts.iter().map(|part| places[part]).collect(),
                depends_on: needed.iter().map(|needed| places[needed]).collect(),
            }
        };
        let family = Family { members: order.iter().map(member).collect() };
        known.remove(&root);
        (family, known)
    }

    /// Says of each objective whose breaches are split which versions of which agreements its own rests on.
    pub(super) fn support(&mut self) {
        let mut versions: BTreeMap<Name, BTreeMap<u32, Arc<AgreementPlan>>> = BTreeMap::new();
        for plan in &self.objectives {
            let agreement = &plan.agreement;
            versions.entry(agreement.id.clone()).or_default().insert(agreement.version, agreement.clone());
        }
        for plan in self.objectives.iter_mut().filter(|plan| plan.is_split()) {
            let resting = plan.agreement.rests_on.iter().filter_map(|id| versions.get(id));
            plan.supports = resting.flat_map(BTreeMap::values).map(|agreement| support(agreement)).collect();
            if !plan.supports.is_empty() {
                plan.digest = digest(&(plan.digest, &plan.supports));
            }
        }
    }
}

fn support(agreement: &AgreementPlan) -> Support {
    Support {
        agreement: agreement.id.clone(),
        version: agreement.version,
        agreement_type: agreement.agreement_type,
        in_force: agreement.in_force,
        services: agreement.services.clone(),
    }
}

/// Services in ranks, each rank after those from which ways lead to it.
fn ranks(services: &[ServiceIndex], ways: impl Fn(ServiceIndex) -> Vec<ServiceIndex>) -> Vec<Vec<ServiceIndex>> {
    let mut waiting: BTreeMap<ServiceIndex, usize> = services.iter().map(|index| (*index, 0)).collect();
    for to in services.iter().flat_map(|index| ways(*index)) {
        *waiting.entry(to).or_default() += 1;
    }
    let mut next: Vec<ServiceIndex> = services.iter().copied().filter(|index| waiting[index] == 0).collect();
    let mut ranks = Vec::new();
    while !next.is_empty() {
        let mut after = Vec::new();
        for to in next.iter().flat_map(|index| ways(*index)) {
            if let Some(left) = waiting.get_mut(&to) {
                *left -= 1;
                after.extend((*left == 0).then_some(to));
            }
        }
        ranks.push(std::mem::replace(&mut next, after));
    }
    ranks
}
