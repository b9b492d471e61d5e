//! The two keyed stages of a lane. Tickets are keyed by ticket, services by service, because a ticket may change its
//! service. What the first stage finds out enters the second as derived events:
//!
//! ```text
//! incidents --> TicketStage --+-- Claim: this ticket says this service is out, from, until ---> ServiceStage --> facts
//! changes ----> ChangeStage --+-- Contribution: this objective gains or loses so much there -->    ^  |
//!                             +-- Maintenance: this change has this approved window of this service --+  |
//! monitoring, feedback -------------------------------------------------------------------------------+  |
//!                                States: a part of this composite was so from then on (R32) <------------+
//! ```
//!
//! The services of a step are read by rank: a composite after all of its parts, so that it knows the parts up to the
//! watermark. It is told of their transitions, never of samples, whatever lane they are in.
//!
//! What an agreement gives back for its misses, and whether its customers are satisfied with what is kept, depends on
//! all its services, so `CreditStage` and `WatermelonStage` come after both.

pub mod attribution;
pub mod breach;
pub mod change;
pub mod credit;
mod known;
pub mod measure;
pub mod outlook;
pub mod publish;
pub mod service;
pub mod tally;
pub mod ticket;
pub mod watermelon;

use std::cmp::Ordering;
use std::sync::Arc;

use plimsoll_schemas::Instant;
use plimsoll_schemas::table::{
    AttainmentRow, AttributionRow, BreachRow, ClockRow, CorrectionRow, CreditRow, MeasureRow, OutageRow, TransitionRow,
    WatermelonRow,
};
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::budget::Spending;
use crate::histogram::Bin;
use crate::portfolio::{ObjectiveIndex, ObjectiveKey, Portfolio, ServiceIndex};
use crate::state::exclusion::ApprovedWindow;
use crate::state::followed::Caused;
use crate::state::service::Claim;

/// One durable step: everything that its results know of the world besides the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The epoch's number.
    pub epoch: i64,
    /// The wall-clock time of the epoch.
    pub tick: Instant,
    /// The event time up to which input is believed complete.
    pub watermark: Instant,
    /// True when provisional results are to be written, not only changes of verdict.
    pub publish: bool,
    /// Results of windows that end until then stand, whatever becomes known (R22).
    pub closed_until: Instant,
}

/// What a step found out, as rows of the tables, sorted; and how budgets are being spent, which no table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the rows of the table of that name")]
pub struct Facts {
    pub transitions: Vec<TransitionRow>,
    pub outages: Vec<OutageRow>,
    pub clocks: Vec<ClockRow>,
    pub measures: Vec<MeasureRow>,
    pub attainment: Vec<AttainmentRow>,
    pub credits: Vec<CreditRow>,
    pub watermelons: Vec<WatermelonRow>,
    pub breaches: Vec<BreachRow>,
    pub attributions: Vec<AttributionRow>,
    pub corrections: Vec<CorrectionRow>,
    /// Of each objective over states, or over counted things of which some may be bad, that was looked at; `None` where its
    /// newest window has no budget to be spent.
    pub spending: Vec<(ObjectiveIndex, Option<Spending>)>,
    /// Whether an objective is to be looked at at another instant than before. Such a step is to be recorded whatever it has
    /// to say, so that whoever makes the recorded ones again looks when this one does.
    pub rescheduled: bool,
}

impl Facts {
    /// True when there is a row for any table.
    pub fn has_rows(&self) -> bool {
        let Facts {
            transitions,
            outages,
            clocks,
            measures,
            attainment,
            credits,
            watermelons,
            breaches,
            attributions,
            corrections,
            spending: _,
            rescheduled: _,
        } = self;
        let lengths = [transitions.len(), outages.len(), clocks.len(), measures.len(), attainment.len()];
        let others = [credits.len(), watermelons.len(), breaches.len(), attributions.len(), corrections.len()];
        lengths.into_iter().chain(others).any(|length| length > 0)
    }

    /// Puts the rows in the order of their tables, which does not depend on the number of lanes.
    pub fn sort(&mut self) {
        self.transitions.sort_unstable();
        self.outages.sort_unstable();
        self.clocks.sort_unstable_by(|one, other| clock_order(one).cmp(&clock_order(other)));
        self.measures.sort_unstable();
        // A row of each objective may be there: those of one service in order already, the services but for the seams
        // between lanes and ranks.
        self.attainment.sort_by(|one, other| name_order(&one.service, &other.service));
        self.credits.sort_unstable();
        self.watermelons.sort_unstable();
        self.breaches.sort_unstable();
        self.attributions.sort_unstable();
        self.corrections.sort_unstable();
        self.spending.sort_by_key(|(objective, _)| *objective);
    }
}

fn clock_order(row: &ClockRow) -> (&str, &str, &str, i32, &str, i32, i32) {
    (&row.service, &row.agreement, &row.objective, row.agreement_version, &row.ticket, row.cycle, row.revision)
}

/// Puts the rows of one service in the order of their table. What is in order already costs little.
fn sort_attainment(rows: &mut [AttainmentRow]) {
    rows.sort_by(|one, other| {
        let rest = |row: &AttainmentRow| (row.agreement_version, row.window_start, row.revision);
        name_order(&one.agreement, &other.agreement)
            .then_with(|| name_order(&one.objective, &other.objective))
            .then_with(|| rest(one).cmp(&rest(other)))
    });
}

/// Names that many rows share are mostly the same piece of memory.
fn name_order(one: &Name, other: &Name) -> Ordering {
    if Arc::ptr_eq(one, other) { Ordering::Equal } else { one.cmp(other) }
}

/// What the first stage tells the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Derived {
    /// A ticket declares these outages of this service, and no others.
    Claims {
        /// The service.
        service: ServiceIndex,
        /// The ticket.
        ticket: Name,
        /// From, until.
        claims: Vec<Claim>,
    },
    /// A change has this approved window of this service, or none (R9).
    Maintenance {
        /// The service.
        service: ServiceIndex,
        /// The change.
        change: Name,
        /// The window, when it was approved and is not void.
        approved: Option<ApprovedWindow>,
    },
    /// An objective's counts change at an instant.
    Contribution(Contribution),
    /// A service that another follows was so from an instant on, until and at the watermark, and nothing else (R32).
    States {
        /// The one that follows it.
        follower: ServiceIndex,
        /// The service.
        service: ServiceIndex,
        /// From when on.
        from: Instant,
        /// Its changes, in order.
        changes: Vec<(Instant, Caused)>,
    },
}

/// A signed change of what an objective counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contribution {
    /// Whose counts.
    pub objective: ObjectiveIndex,
    /// The instant whose window they belong to.
    pub at: Instant,
    /// The bin of the latency that is counted, where a percentile is wanted of it.
    pub bin: Option<Bin>,
    /// Good things more, or fewer.
    pub good: i64,
    /// Things more, or fewer.
    pub total: i64,
    /// Whether they count for the indicator that several objectives share: one of them speaks for it.
    pub speaks: bool,
}

/// What a ticket or a change was told to count for one objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    objective: ObjectiveKey,
    at: Instant,
    good: i64,
    total: i64,
    speaks: bool,
}

impl Told {
    /// The same once more for the objective alone, whose counts were forgotten; `None` when the portfolio lacks it.
    pub fn again(&self, portfolio: &Portfolio) -> Option<Contribution> {
        let Told { at, good, total, .. } = *self;
        let objective = portfolio.objective_place(&self.objective)?;
        Some(Contribution { objective, at, bin: None, good, total, speaks: false })
    }
}

/// Puts what a ticket or a change counts now, each as (objective, instant, good, total), in place of what it was told
/// to count before. Returns the difference: what is gone is subtracted, what is new is added. Equal counts are told
/// apart by their number: a ticket may have several. What was told of an objective that the portfolio lacks still
/// counts there, should it come back.
pub fn retell(
    portfolio: &Portfolio,
    told: &mut Vec<Told>,
    now: impl IntoIterator<Item = (ObjectiveKey, Instant, i64, i64)>,
) -> Vec<Derived> {
    let contribution = |told: &Told, sign: i64| {
        let Told { at, good, total, speaks, .. } = *told;
        let objective = portfolio.objective_place(&told.objective)?;
        Some(Derived::Contribution(Contribution {
            objective,
            at,
            bin: None,
            good: sign * good,
            total: sign * total,
            speaks,
        }))
    };
    let (mut gone, mut holding) = (std::mem::take(told), Vec::new());
    let mut changes = Vec::new();
    for (objective, at, good, total) in now {
        let Some(place) = portfolio.objective_place(&objective) else { continue };
        let one = Told { objective, at, good, total, speaks: portfolio.speaks(place, at) };
        match gone.iter().position(|known| *known == one) {
            Some(place) => {
                gone.remove(place);
            }
            None => changes.extend(contribution(&one, 1)),
        }
        holding.push(one);
    }
    let (absent, gone): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|told| portfolio.objective_place(&told.objective).is_none());
    changes.splice(0..0, gone.iter().filter_map(|told| contribution(told, -1)));
    holding.extend(absent);
    *told = holding;
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r21_equal_contributions_of_one_ticket_count_each() {
        let portfolio = publish::tests::portfolio("resolution_time, within: 4h", 0);
        let objective = ObjectiveIndex(0);
        let one = (portfolio.objective(objective).key.clone(), Instant(5), 1, 1);
        let added = Contribution { objective, at: Instant(5), good: 1, total: 1, speaks: true, bin: None };
        let taken = Contribution { good: -1, total: -1, ..added };
        let mut told = Vec::new();
        let mut retold = |times: usize| retell(&portfolio, &mut told, vec![one.clone(); times]);
        assert_eq!(retold(1), [Derived::Contribution(added)]);
        assert_eq!(retold(2), [Derived::Contribution(added)]);
        assert_eq!(retold(2), []);
        assert_eq!(retold(1), [Derived::Contribution(taken)]);
    }
    /// One that is told apart by its key alone.
    fn clock([service, agreement, objective, ticket]: [&str; 4], [version, cycle, revision]: [i32; 3]) -> ClockRow {
        ClockRow {
            agreement: agreement.to_owned(),
            agreement_version: version,
            agreement_type: String::new(),
            customer: None,
            service: service.to_owned(),
            objective: objective.to_owned(),
            signal: String::new(),
            ticket: ticket.to_owned(),
            cycle,
            priority: None,
            started_at: Instant(0),
            stopped_at: None,
            due_at: None,
            elapsed_us: 0,
            paused_us: 0,
            target_us: 0,
            verdict: String::new(),
            attributed_at: None,
            revision,
            retracted: false,
            recorded_at: Instant(0),
            epoch: 0,
        }
    }

    #[test]
    fn r21_rows_are_in_the_order_of_their_keys_whoever_found_them() {
        // Service, agreement, objective and version, then ticket, cycle and revision, or the window and the revision: each
        // row is greater than the one before in one of these and smaller in all that follow.
        let clocks = [
            clock(["a", "a", "a", "a"], [1, 1, 2]),
            clock(["a", "a", "a", "a"], [1, 2, 1]),
            clock(["a", "a", "a", "b"], [1, 1, 1]),
            clock(["a", "a", "a", "a"], [2, 0, 0]),
            clock(["a", "a", "b", "a"], [1, 0, 0]),
            clock(["a", "b", "a", "a"], [1, 0, 0]),
            clock(["b", "a", "a", "a"], [1, 0, 0]),
        ];
        let attained =
            |[service, agreement, objective]: [&str; 3], [version, revision]: [i32; 2], start| AttainmentRow {
                service: service.into(),
                agreement: agreement.into(),
                objective: objective.into(),
                agreement_version: version,
                window_start: Instant(start),
                revision,
                ..AttainmentRow::default()
            };
        let attainment = [
            attained(["a", "a", "a"], [1, 1], 5),
            attained(["a", "a", "a"], [1, 2], 5),
            attained(["a", "a", "a"], [1, 1], 6),
            attained(["a", "a", "a"], [2, 1], 5),
            attained(["a", "a", "b"], [1, 1], 5),
            attained(["a", "b", "a"], [1, 1], 5),
            attained(["b", "a", "a"], [1, 1], 5),
        ];
        let (mut clocks_found, mut attainment_found) = (clocks.to_vec(), attainment.to_vec());
        clocks_found.reverse();
        // A service sorts its own rows.
        attainment_found[..6].reverse();
        sort_attainment(&mut attainment_found[..6]);
        attainment_found.rotate_right(1);
        let mut facts = Facts { clocks: clocks_found, attainment: attainment_found, ..Facts::default() };
        facts.sort();
        assert_eq!((facts.clocks.as_slice(), facts.attainment.as_slice()), (&clocks[..], &attainment[..]));
        assert_eq!((facts.has_rows(), Facts::default().has_rows()), (true, false));
    }
}
