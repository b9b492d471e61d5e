//! Definitions made ready to be measured: calendars compiled, ids turned into places, each objective of each version of
//! each agreement laid out for each service that it covers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use chrono::NaiveTime;
use chrono_tz::Tz;
use hashbrown::{HashMap, HashSet};
use plimsoll_schemas::civil::instant_of_local;
use plimsoll_schemas::definition::{
    Agreement, AgreementType, ClockRule, CreditTerms, Definitions, MaintenanceTerms, Objective, Signal, StatePolicy,
    StateRule, Target, UnknownPolicy, WindowKind,
};
use plimsoll_schemas::event::{EventKind, TicketType};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{AgreementRow, AttainmentRow, CalendarRow, ServiceRow};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::attribution::{Family, Support};
use crate::calendar::{self, Calendar};
use crate::state::State;
use crate::state::exclusion::{ApprovedWindows, excluded_time, union};
use crate::window::Window;
use crate::{Name, digest_of};

mod family;

/// The place of a service in its portfolio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceIndex(pub u32);

/// The place of an objective in its portfolio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectiveIndex(pub u32);

/// What names an objective for good, whatever portfolio it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectiveKey {
    /// The agreement's id.
    pub agreement: Name,
    /// The agreement's version.
    pub version: u32,
    /// The objective's id within the agreement.
    pub objective: Name,
    /// The service it is judged for.
    pub service: Name,
}

impl ObjectiveKey {
    /// The objective that a result is of.
    pub fn of(row: &AttainmentRow) -> ObjectiveKey {
        ObjectiveKey {
            agreement: row.agreement.clone(),
            version: row.agreement_version as u32,
            objective: row.objective.clone(),
            service: row.service.clone(),
        }
    }
}

/// One objective of one version of an agreement, for one service.
#[derive(Clone, Debug)]
pub struct ObjectivePlan {
    /// Its name for good.
    pub key: ObjectiveKey,
    /// The agreement's version it belongs to.
    pub agreement: Arc<AgreementPlan>,
    /// What is measured, promised and over which window.
    pub objective: Objective,
    /// The service it is judged for.
    pub service: ServiceIndex,
    /// The time that counts.
    pub calendar: Arc<Calendar>,
    /// Dated times that do not, in order, no two overlapping or touching (R9).
    pub excluded_times: Vec<Window>,
    /// The place of its indicator among those of its service.
    pub indicator: usize,
    /// What its rows say of it.
    pub labels: Labels,
    /// The same objective of the version that ends when this one's starts.
    pub continues: Option<ObjectiveIndex>,
    /// The agreements that its own rests on, where its breaches are split among them (R33).
    pub supports: Vec<Support>,
    /// Tells whether two objectives judge alike what was measured alike.
    pub promise: u64,
    /// Tells whether anything that results depend on was defined differently when they were made.
    pub digest: u64,
    /// Tells whether rows told something else of the definition.
    pub shown: u64,
}

/// Texts that every row of an objective shares.
#[derive(Clone, Debug, Hash)]
#[allow(missing_docs, reason = "each is the column of that name")]
pub struct Labels {
    pub agreement_type: Name,
    pub signal: Name,
    pub calendar: Name,
    pub window_kind: Name,
    pub target: Name,
}

/// What names an indicator of a service for good: its name, calendar, zone and customer.
pub type IndicatorKey = Arc<(String, String, String, Option<Name>)>;

/// What is measured of one service, whoever promises it: many objectives may share it.
#[derive(Clone, Debug)]
pub struct IndicatorPlan {
    /// Its name for good.
    pub key: IndicatorKey,
    /// What is measured and by which rule; `state` for everything that follows from the service's state.
    pub name: String,
    /// The id of the calendar.
    pub calendar_id: String,
    /// The time that counts.
    pub calendar: Arc<Calendar>,
    /// The zone of its days.
    pub time_zone: Tz,
    /// Whose things are counted; `None` for everybody's, and for state.
    pub customer: Option<Name>,
    /// True when it follows from the service's state, false when it is counted.
    pub is_state: bool,
    /// From the first instant at which any of its objectives is in force until the last.
    pub in_force: Window,
    /// The objectives that share it, in order.
    pub objectives: Vec<ObjectiveIndex>,
}

/// What all objectives of one version of an agreement share.
#[derive(Clone, Debug)]
pub struct AgreementPlan {
    /// The agreement's id.
    pub id: Name,
    /// Its version.
    pub version: u32,
    /// Its name for people.
    pub name: String,
    /// Its type.
    pub agreement_type: AgreementType,
    /// Whose tickets count; `None` for everybody's.
    pub customer: Option<Name>,
    /// The offering it follows.
    pub offering: Option<Name>,
    /// The zone of its windows' edges.
    pub time_zone: Tz,
    /// When this version is in force; its end is `i64::MAX` while nobody ended it.
    pub in_force: Window,
    /// On which terms maintenance does not count; `None` when it always does (R9).
    pub maintenance: Option<MaintenanceTerms>,
    /// Whether this version was declared to touch the past (R24).
    pub retroactive: bool,
    /// Whether this version or the one that ends it was.
    pub restated: bool,
    /// The services that it covers.
    pub services: Vec<Name>,
    /// The agreements that it rests on, in order (R33).
    pub rests_on: Vec<Name>,
    /// On which terms it gives credits; `None` when it gives none (R34).
    pub credits: Option<CreditTerms>,
}

/// What the versions of one agreement give back for missed promises (R34).
#[derive(Clone, Debug, Default)]
pub struct CreditPlan {
    /// The versions that give anything back.
    pub versions: BTreeMap<u32, Arc<AgreementPlan>>,
    /// Tells whether terms or ladders were others when credits were stated.
    pub digest: u64,
}

/// One service and what is judged on it.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    /// Its id.
    pub id: Name,
    /// How its state follows from what is known.
    pub rule: StateRule,
    /// The services whose states it is told of: those that it is composed of (R32), and all below it where an agreement
    /// on it rests on others (R33).
    pub follows: Vec<ServiceIndex>,
    /// It and all below it, where an agreement on it rests on others.
    pub family: Family,
    /// The services that are told of its states.
    pub followers: Vec<ServiceIndex>,
    /// Its state while nothing is known of it.
    pub before: State,
    /// Tells whether the rule, or that of a service that it follows, was another one when states were read.
    pub digest: u64,
    /// Objectives over its state.
    pub state_objectives: Vec<ObjectiveIndex>,
    /// Objectives over its tickets: clocks, and ratios counted once a ticket.
    pub ticket_objectives: Vec<ObjectiveIndex>,
    /// Objectives over its changes.
    pub change_objectives: Vec<ObjectiveIndex>,
    /// Objectives over counts that single events carry.
    pub event_objectives: Vec<ObjectiveIndex>,
    /// What is measured of it.
    pub indicators: Vec<IndicatorPlan>,
}

/// How an objective is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// By the service's state.
    State(StatePolicy),
    /// By the tickets of the service.
    Tickets,
    /// By the changes of the service.
    Changes,
    /// By single events.
    Events,
}

/// Everything that is measured.
#[derive(Clone, Debug, Default)]
pub struct Portfolio {
    services: Vec<ServicePlan>,
    service_places: HashMap<Name, ServiceIndex>,
    objectives: Vec<ObjectivePlan>,
    objective_places: HashMap<ObjectiveKey, ObjectiveIndex>,
    ranks: Vec<Vec<ServiceIndex>>,
    credit_plans: HashMap<Name, CreditPlan>,
    with_scores: HashMap<Name, BTreeSet<u32>>,
    window_kinds: HashSet<(WindowKind, Tz)>,
    /// Services that the catalogue knows and others measure.
    elsewhere: HashSet<Name>,
    grace: Micros,
}

/// A version of an agreement as it is laid out.
struct Version<'a> {
    agreement: &'a Agreement,
    /// The version that ends where this one starts.
    follows: Option<u32>,
    plan: Arc<AgreementPlan>,
}

/// Texts, each kept once however many objectives have it: rows share them, and what is shared lies near.
#[derive(Default)]
struct Names(HashSet<Name>);

impl Names {
    fn of(&mut self, text: &str) -> Name {
        self.0.get_or_insert_with(text, |text| text.into()).clone()
    }
}

/// Calendars by id, each with a digest of its time; how they are written, and what their holidays are called, does not
/// matter to any result.
type Calendars<'a> = BTreeMap<&'a str, (Arc<Calendar>, u64)>;

/// The kinds of window that anything of an agreement is measured over. Measures of indicators are of days, and what
/// credits may come to is limited by the year.
fn window_kinds(agreement: &Agreement) -> impl Iterator<Item = WindowKind> {
    let year_max = agreement.credits.as_ref().and_then(|terms| terms.rule.year_max.as_ref());
    let year = year_max.map(|max| WindowKind::Year { first_month: max.first_month });
    let of_objectives = agreement.objectives.iter().map(|objective| objective.window);
    of_objectives.chain([WindowKind::Day]).chain(year)
}

/// A number that differs when a definition does.
fn digest(definition: &impl Debug) -> u64 {
    xxh3_64(format!("{definition:?}").as_bytes())
}

impl Portfolio {
    /// Lays out checked definitions. Cost is proportional to objectives x services covered.
    pub fn new(definitions: &Definitions) -> Portfolio {
        let mut portfolio = Portfolio { grace: definitions.grace(), ..Portfolio::default() };
        for service in definitions.services.values() {
            let index = ServiceIndex(portfolio.services.len() as u32);
            let id: Name = service.id.as_str().into();
            portfolio.service_places.insert(id.clone(), index);
            portfolio.services.push(ServicePlan {
                id,
                rule: service.state.clone(),
                follows: Vec::new(),
                family: Family::default(),
                followers: Vec::new(),
                before: State::Unknown,
                digest: digest(&service.state),
                state_objectives: Vec::new(),
                ticket_objectives: Vec::new(),
                change_objectives: Vec::new(),
                event_objectives: Vec::new(),
                indicators: Vec::new(),
            });
        }
        portfolio.compose(definitions);
        let mut calendars: Calendars<'_> = definitions
            .calendars
            .iter()
            .map(|(id, versions)| {
                let calendar = Calendar::compile(versions);
                let digest = digest_of(&calendar);
                (id.as_str(), (Arc::new(calendar), digest))
            })
            .collect();
        calendars.entry(ALWAYS).or_insert_with(|| (Arc::new(Calendar::always()), digest_of(&Calendar::always())));
        // Sorted by id and day, so the version that this one follows stands just before it.
        let (mut versions, mut promised) = (Vec::with_capacity(definitions.agreements.len()), Vec::new());
        for (place, agreement) in definitions.agreements.iter().enumerate() {
            let (before, after) = (place.checked_sub(1), place + 1);
            let of_same = |place: usize| definitions.agreements.get(place).filter(|other| other.id == agreement.id);
            let follows =
                before.and_then(of_same).filter(|before| before.effective_until == Some(agreement.effective_from));
            let plan = portfolio.add_agreement(agreement, follows, of_same(after));
            versions.push(Version { agreement, follows: follows.map(|before| before.version), plan });
            let services = agreement.services.iter().filter_map(|id| portfolio.service_place(id));
            promised.extend(services.map(|service| (service, place)));
        }
        // Those of one service beside each other, for they are looked at together.
        promised.sort_unstable();
        let mut names = Names::default();
        for (service, place) in promised {
            portfolio.add_objectives(service, &versions[place], &calendars, &mut names);
        }
        portfolio.support();
        portfolio
    }

    fn add_agreement(
        &mut self,
        agreement: &Agreement,
        follows: Option<&Agreement>,
        ended_by: Option<&Agreement>,
    ) -> Arc<AgreementPlan> {
        let plan = Arc::new(AgreementPlan {
            id: agreement.id.as_str().into(),
            version: agreement.version,
            name: agreement.name.clone(),
            agreement_type: agreement.agreement_type,
            customer: agreement.customer.as_deref().map(Name::from),
            offering: agreement.offering.as_deref().map(Name::from),
            time_zone: agreement.time_zone,
            in_force: in_force(agreement, follows),
            maintenance: agreement.maintenance,
            retroactive: agreement.retroactive,
            restated: agreement.retroactive || ended_by.is_some_and(|after| after.retroactive),
            services: agreement.services.iter().map(|id| id.as_str().into()).collect(),
            rests_on: agreement.rests_on.iter().map(|id| id.as_str().into()).collect(),
            credits: agreement.credits.clone(),
        });
        if plan.credits.is_some() {
            let credits = self.credit_plans.entry(plan.id.clone()).or_default();
            let ladders: Vec<_> = agreement.objectives.iter().map(|one| (&one.id, &one.credits)).collect();
            credits.digest = digest(&(credits.digest, plan.version, &plan.credits, plan.time_zone, ladders));
            credits.versions.insert(plan.version, plan.clone());
        }
        let is_of_scores = |one: &Objective| Signal::OF_SCORES.contains(&one.indicator.signal.as_str());
        if agreement.objectives.iter().any(is_of_scores) {
            self.with_scores.entry(plan.id.clone()).or_default().insert(plan.version);
        }
        self.window_kinds.extend(window_kinds(agreement).map(|kind| (kind, plan.time_zone)));
        plan
    }

    /// Lays out the objectives of a version of an agreement for one of its services.
    fn add_objectives(
        &mut self,
        service: ServiceIndex,
        version: &Version<'_>,
        calendars: &Calendars<'_>,
        names: &mut Names,
    ) {
        let Version { agreement, follows, plan } = version;
        let excluded_times = excluded_times(agreement, &self.services[service.0 as usize].id);
        for objective in &agreement.objectives {
            let Some((calendar, calendar_digest)) = calendars.get(objective.indicator.calendar.as_str()) else {
                continue;
            };
            let service_plan = &mut self.services[service.0 as usize];
            let key = ObjectiveKey {
                agreement: plan.id.clone(),
                version: plan.version,
                objective: names.of(&objective.id),
                service: service_plan.id.clone(),
            };
            let index = ObjectiveIndex(self.objectives.len() as u32);
            match feed(&objective.indicator.signal) {
                Feed::State(_) => service_plan.state_objectives.push(index),
                Feed::Tickets => service_plan.ticket_objectives.push(index),
                Feed::Changes => service_plan.change_objectives.push(index),
                Feed::Events => service_plan.event_objectives.push(index),
            }
            let indicator = service_plan.indicator(objective, plan, calendar, index);
            let labels = Labels::of(plan, objective, names);
            let shown = digest_of(&(&labels, &plan.customer, &plan.offering));
            let of_definition = digest(&(
                objective,
                &plan.customer,
                plan.time_zone,
                plan.in_force,
                plan.maintenance,
                &excluded_times,
                calendar_digest,
                service_plan.digest,
                shown,
            ));
            let before = follows.map(|version| ObjectiveKey { version, ..key.clone() });
            self.objective_places.insert(key.clone(), index);
            self.objectives.push(ObjectivePlan {
                key,
                agreement: plan.clone(),
                objective: objective.clone(),
                service,
                calendar: calendar.clone(),
                excluded_times: excluded_times.clone(),
                indicator,
                labels,
                continues: before.and_then(|before| self.objective_place(&before)),
                supports: Vec::new(),
                promise: digest(&Objective { id: String::new(), ..objective.clone() }),
                digest: of_definition,
                shown,
            });
        }
    }

    /// All services.
    pub fn services(&self) -> &[ServicePlan] {
        &self.services
    }

    /// The service at this place.
    pub fn service(&self, index: ServiceIndex) -> &ServicePlan {
        &self.services[index.0 as usize]
    }

    /// All services in the order in which they are to be read: each rank follows only services of those before it.
    pub fn ranks(&self) -> &[Vec<ServiceIndex>] {
        &self.ranks
    }

    /// The place of the service with this id; `None` when the catalogue lacks it (R38).
    pub fn service_place(&self, id: &str) -> Option<ServiceIndex> {
        self.service_places.get(id).copied()
    }

    /// All objectives.
    pub fn objectives(&self) -> &[ObjectivePlan] {
        &self.objectives
    }

    /// The objective at this place.
    pub fn objective(&self, index: ObjectiveIndex) -> &ObjectivePlan {
        &self.objectives[index.0 as usize]
    }

    /// The place of the objective with this name.
    pub fn objective_place(&self, key: &ObjectiveKey) -> Option<ObjectiveIndex> {
        self.objective_places.get(key).copied()
    }

    /// Whether an objective speaks for its indicator at an instant: it is the first of those that share it and are in
    /// force then. A level is the sum of all its steps, so one objective speaks for it at all times.
    pub fn speaks(&self, index: ObjectiveIndex, at: Instant) -> bool {
        let plan = self.objective(index);
        let sharing = &self.service(plan.service).indicators[plan.indicator].objectives;
        let may_speak =
            |other: &&ObjectiveIndex| plan.counts_levels() || self.objective(**other).agreement.in_force.contains(at);
        sharing.iter().find(may_speak) == Some(&index)
    }

    /// What the agreement with this id gives back; `None` when none of its versions does.
    pub fn credit_plan(&self, agreement: &str) -> Option<&CreditPlan> {
        self.credit_plans.get(agreement)
    }

    /// Whether this version of the agreement has objectives over scores (R36).
    pub fn has_scores(&self, agreement: &str, version: u32) -> bool {
        self.with_scores.get(agreement).is_some_and(|versions| versions.contains(&version))
    }

    /// Whether any agreement has objectives over scores (R36).
    pub fn has_any_scores(&self) -> bool {
        !self.with_scores.is_empty()
    }

    /// Every kind of window that anything is measured over, with its zone.
    pub fn window_kinds(&self) -> &HashSet<(WindowKind, Tz)> {
        &self.window_kinds
    }

    /// Makes this a part of another portfolio: time is closed as it is there (see `memory`), and services that only the
    /// whole has are known to the catalogue.
    pub fn be_part_of(&mut self, whole: &Portfolio) {
        self.window_kinds = whole.window_kinds.clone();
        let ids = whole.services.iter().map(|plan| &plan.id);
        self.elsewhere = ids.filter(|id| !self.service_places.contains_key(*id)).cloned().collect();
    }

    /// Whether the catalogue has a service of this id, whoever measures it (R38).
    pub fn knows(&self, id: &str) -> bool {
        self.service_places.contains_key(id) || self.elsewhere.contains(id)
    }

    /// How long after a window's end its result stays provisional (R22): the greatest lateness of any
    /// source, and what a source has unless told when there is none.
    pub fn grace(&self) -> Micros {
        self.grace
    }
}

impl ServicePlan {
    /// The place of the indicator that this objective measures, which is made when it is new.
    fn indicator(
        &mut self,
        objective: &Objective,
        agreement: &AgreementPlan,
        calendar: &Arc<Calendar>,
        index: ObjectiveIndex,
    ) -> usize {
        let is_state = matches!(feed(&objective.indicator.signal), Feed::State(_));
        let name = if is_state { "state".to_owned() } else { counted_name(objective) };
        let customer = if is_state { None } else { agreement.customer.clone() };
        let place = self.indicators.iter().position(|known| {
            (&known.name, &known.calendar_id, known.time_zone, &known.customer)
                == (&name, &objective.indicator.calendar, agreement.time_zone, &customer)
        });
        let place = place.unwrap_or_else(|| {
            let (calendar_id, zone) = (objective.indicator.calendar.clone(), agreement.time_zone.name().to_owned());
            self.indicators.push(IndicatorPlan {
                key: Arc::new((name.clone(), calendar_id, zone, customer.clone())),
                name,
                calendar_id: objective.indicator.calendar.clone(),
                calendar: calendar.clone(),
                time_zone: agreement.time_zone,
                customer,
                is_state,
                in_force: agreement.in_force,
                objectives: Vec::new(),
            });
            self.indicators.len() - 1
        });
        let indicator = &mut self.indicators[place];
        indicator.in_force.start = indicator.in_force.start.min(agreement.in_force.start);
        indicator.in_force.end = indicator.in_force.end.max(agreement.in_force.end);
        indicator.objectives.push(index);
        place
    }
}

/// A counted signal with its rule, so that two rules never share a name: `resolution_time P1,P2 within 4h (...)`.
fn counted_name(objective: &Objective) -> String {
    let signal = &objective.indicator.signal;
    let name = signal.as_str();
    match signal {
        Signal::ResponseTime(rule) | Signal::ResolutionTime(rule) | Signal::FulfilmentTime(rule) => {
            let priorities = priorities_of(rule);
            let modes = format!("{:?}, {:?}, {:?}", rule.priority_change, rule.reopening, rule.attribution);
            let of = match (signal, rule.ticket_type) {
                (Signal::ResponseTime(_), TicketType::Request) => " of requests",
                _ => "",
            };
            format!("{name}{of} {priorities} within {} ({})", rule.within, modes.to_lowercase())
        }
        Signal::OverdueCount(rule) => {
            let priorities = priorities_of(rule);
            let of = if rule.ticket_type == TicketType::Request { " of requests" } else { "" };
            let modes = format!("{:?}, {:?}", rule.priority_change, rule.reopening).to_lowercase();
            format!("{name}{of} {priorities} within {} ({modes})", rule.within)
        }
        Signal::GoodRatio(rule) => {
            format!("{name} of {} ({})", rule.kind.as_str(), format!("{:?}", rule.count).to_lowercase())
        }
        Signal::Latency { within } => format!("{name} within {within}"),
        // Every percentile follows from the same counts.
        Signal::LatencyPercentile { .. } => format!("{name} {}", objective.target),
        Signal::Throughput { kind, .. } | Signal::ErrorCount { kind } => format!("{name} of {}", kind.as_str()),
        Signal::Satisfaction { good_from } => format!("{name} from {good_from}"),
        _ => name.to_owned(),
    }
}

/// The priorities of a rule as its name has them.
fn priorities_of(rule: &ClockRule) -> String {
    if rule.priorities.is_empty() { "all".to_owned() } else { rule.priorities.join(",") }
}

/// The id of the calendar that needs no definition: every hour of every day.
pub const ALWAYS: &str = "24x7";

/// How a signal is fed.
pub fn feed(signal: &Signal) -> Feed {
    match signal {
        Signal::Availability(policy)
        | Signal::Downtime(policy)
        | Signal::LongestOutage(policy)
        | Signal::OutageCount(policy)
        | Signal::Mtbf(policy)
        | Signal::Mtbsi(policy)
        | Signal::Mtrs(policy) => Feed::State(*policy),
        Signal::ResponseTime(_) | Signal::ResolutionTime(_) | Signal::FulfilmentTime(_) | Signal::OverdueCount(_) => {
            Feed::Tickets
        }
        Signal::GoodRatio(rule) if rule.kind == EventKind::Incident => Feed::Tickets,
        Signal::ChangeSuccess | Signal::ChangesOnTime | Signal::EmergencyChangeShare => Feed::Changes,
        Signal::GoodRatio(_)
        | Signal::Satisfaction { .. }
        | Signal::NetPromoterScore
        | Signal::Latency { .. }
        | Signal::LatencyPercentile { .. }
        | Signal::Throughput { .. }
        | Signal::ErrorCount { .. } => Feed::Events,
    }
}

/// When a version is in force: from local midnight of its first day, or from the end of the version that it follows if
/// that is in another zone, until local midnight of the first day after it.
pub(crate) fn in_force(agreement: &Agreement, follows: Option<&Agreement>) -> Window {
    let midnight = |zone, date: chrono::NaiveDate| instant_of_local(zone, date.and_time(NaiveTime::MIN));
    Window {
        start: midnight(follows.map_or(agreement.time_zone, |before| before.time_zone), agreement.effective_from),
        end: agreement.effective_until.map_or(Instant(i64::MAX), |date| midnight(agreement.time_zone, date)),
    }
}

/// The dated times that do not count for one of the agreement's services.
fn excluded_times(agreement: &Agreement, service: &str) -> Vec<Window> {
    let instant = |civil| instant_of_local(agreement.time_zone, civil);
    let concerning = |services: &[String]| services.is_empty() || services.iter().any(|known| known == service);
    let times = agreement.excluded_times.iter().filter(|time| concerning(&time.services));
    let windows = times.map(|time| Window { start: instant(time.from), end: instant(time.until) });
    // A time within an hour that the clocks skip or repeat may come out empty or reversed.
    union(windows.filter(|window| window.start < window.end))
}

impl AgreementPlan {
    /// Whether something that concerns this customer, or everybody (`None`), counts under this agreement.
    pub fn concerns(&self, customer: Option<&Name>) -> bool {
        match (&self.customer, customer) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => true,
        }
    }
}

impl Labels {
    fn of(agreement: &AgreementPlan, objective: &Objective, names: &mut Names) -> Labels {
        Labels {
            agreement_type: names.of(agreement.agreement_type.as_str()),
            signal: names.of(objective.indicator.signal.as_str()),
            calendar: names.of(&objective.indicator.calendar),
            window_kind: names.of(objective.window.as_str()),
            target: names.of(&objective.target.to_string()),
        }
    }
}

impl ObjectivePlan {
    /// How it is fed.
    pub fn feed(&self) -> Feed {
        feed(&self.objective.indicator.signal)
    }

    /// True when unknown time takes the state before it (R4), so that states before a window matter within it.
    pub fn holds_unknown(&self) -> bool {
        matches!(self.feed(), Feed::State(StatePolicy { unknown: UnknownPolicy::Hold, .. }))
    }

    /// The share of latencies that the target is promised for; `None` when it is no percentile.
    pub fn percentile(&self) -> Option<Share> {
        match self.objective.indicator.signal {
            Signal::LatencyPercentile { percentile } => Some(percentile),
            _ => None,
        }
    }

    /// Whether it looks at the same things as another version of it, so that what was seen then tells of it, too (R29).
    pub fn looks_as(&self, other: &ObjectivePlan) -> bool {
        // What is within the limit of a percentile depends on the target.
        let is_same_limit = self.percentile().is_none() || self.objective.target == other.objective.target;
        is_same_limit
            && self.objective.indicator == other.objective.indicator
            && self.agreement.customer == other.agreement.customer
    }

    /// Whether its breaches can be split among those that brought them about (R33): events say who was down, when a
    /// measurement was bad, and which service a ticket was on.
    pub fn is_split(&self) -> bool {
        match &self.objective.indicator.signal {
            Signal::OverdueCount(_) | Signal::Throughput { .. } => false,
            Signal::GoodRatio(rule) => rule.kind == EventKind::Monitoring,
            Signal::ErrorCount { kind } => *kind == EventKind::Monitoring,
            Signal::Latency { .. } | Signal::LatencyPercentile { .. } => true,
            Signal::ResponseTime(_) | Signal::ResolutionTime(_) | Signal::FulfilmentTime(_) => true,
            signal => matches!(feed(signal), Feed::State(_)),
        }
    }

    /// Whether it rests on agreements among which its bad things are split.
    pub fn splits_counts(&self) -> bool {
        !self.supports.is_empty() && self.feed() == Feed::Events
    }

    /// Whether one bad thing too many breaks its promise for good.
    pub fn counts_errors(&self) -> bool {
        matches!(self.objective.indicator.signal, Signal::ErrorCount { .. })
    }

    /// Whether its counts are steps of levels, which last beyond the window in which they lie.
    pub fn counts_levels(&self) -> bool {
        matches!(self.objective.indicator.signal, Signal::OverdueCount(_))
    }

    /// How long before a window states matter within it, besides those that are held (R7).
    pub fn lead(&self) -> Micros {
        match self.feed() {
            Feed::State(policy) => policy.min_outage,
            _ => Micros::ZERO,
        }
    }

    /// What is excluded of a segment of its windows (R9).
    pub fn excluded_time(&self, maintenance: &ApprovedWindows, segment: Window) -> Vec<Window> {
        let concerning = maintenance.values().filter(|change| self.agreement.concerns(change.customer.as_ref()));
        excluded_time(&self.excluded_times, self.agreement.maintenance, concerning, &self.calendar, segment)
    }

    /// The kind of its windows.
    pub fn window_kind(&self) -> WindowKind {
        self.objective.window
    }

    /// The target as the tables hold it: (share, time, count), of which exactly one is there.
    pub fn target_columns(&self) -> (Option<Share>, Option<i64>, Option<i64>) {
        match self.objective.target {
            Target::AtLeast(share) | Target::AtMost(share) => (Some(share), None, None),
            Target::AtLeastTime(time) | Target::AtMostTime(time) => (None, Some(time.0), None),
            Target::AtLeastCount(count) | Target::AtMostCount(count) => (None, None, Some(count)),
        }
    }
}

/// The definitions as rows of the tables `agreements`, `calendars` and `services`, recorded at `tick` in `epoch`.
pub fn definition_rows(
    definitions: &Definitions,
    portfolio: &Portfolio,
    tick: Instant,
    epoch: i64,
) -> (Vec<AgreementRow>, Vec<CalendarRow>, Vec<ServiceRow>) {
    let agreements = portfolio.objectives.iter().map(|plan| AgreementRow {
        agreement: plan.key.agreement.to_string(),
        agreement_version: plan.key.version as i32,
        name: plan.agreement.name.clone(),
        agreement_type: plan.agreement.agreement_type.as_str().to_owned(),
        customer: plan.agreement.customer.as_deref().map(str::to_owned),
        offering: plan.agreement.offering.as_deref().map(str::to_owned),
        service: plan.key.service.to_string(),
        objective: plan.key.objective.to_string(),
        signal: plan.objective.indicator.signal.as_str().to_owned(),
        calendar: plan.objective.indicator.calendar.clone(),
        window_kind: plan.objective.window.as_str().to_owned(),
        target: plan.objective.target.to_string(),
        time_zone: plan.agreement.time_zone.name().to_owned(),
        effective_from: plan.agreement.in_force.start,
        effective_until: (plan.agreement.in_force.end.0 != i64::MAX).then_some(plan.agreement.in_force.end),
        recorded_at: tick,
        epoch,
    });
    let versions =
        definitions.calendars.values().flat_map(|versions| versions.iter().zip(calendar::in_force(versions)));
    let calendars = versions.map(|(calendar, in_force)| CalendarRow {
        calendar: calendar.id.clone(),
        calendar_version: calendar.version as i32,
        time_zone: calendar.time_zone.name().to_owned(),
        definition: calendar::text(calendar),
        effective_from: (in_force.start.0 != i64::MIN).then_some(in_force.start),
        effective_until: (in_force.end.0 != i64::MAX).then_some(in_force.end),
        recorded_at: tick,
        epoch,
    });
    let services = definitions.services.values().map(|service| ServiceRow {
        service: service.id.clone(),
        name: service.name.clone(),
        tier: service.tier.clone(),
        owner: service.owner.clone(),
        recorded_at: tick,
        epoch,
    });
    (agreements.collect(), calendars.collect(), services.collect())
}

#[cfg(test)]
pub(crate) mod tests;
