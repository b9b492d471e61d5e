//! What breaks: outages in bursts through what services share, each service's total steered to its temper.
//!
//! The shape is that of public status histories: median 15 minutes, 90 % within the hour, three in four beginning
//! within five minutes of another.

use super::catalogue::{Catalogue, Temper};
use super::dice::{Dice, Part};
use super::{DAY, HOUR, MINUTE, Month};

/// One interval in which a service does not work, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) service: usize,
    pub(super) from: i64,
    pub(super) until: i64,
    /// The number of the burst it belongs to; outages of their own have none.
    pub(super) burst: Option<usize>,
}

/// Every outage of the month, by start, and the moments at which something shared gave way.
pub(super) struct Outages {
    pub(super) outages: Vec<Outage>,
    pub(super) bursts: Vec<Burst>,
}

/// A moment at which something shared gave way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    pub(super) at: i64,
    pub(super) root: usize,
}

/// Minutes at each tenth of all durations.
const DURATION_MINUTES: [i64; 11] = [3, 5, 8, 11, 13, 16, 21, 30, 43, 66, 200];
/// Bursts and outages of their own for each ten days.
const BURSTS_PER_TEN_DAYS: i64 = 24;
const SINGLES_PER_TEN_DAYS: i64 = 34;
/// Those that one burst takes along, at least and at most, before those that have no room left say no.
const VICTIMS: (i64, i64) = (3, 8);
/// How often a place for one outage is looked for.
const TRIES: usize = 16;
/// A service is left alone for so long after an outage and before the next.
const DISTANCE: i64 = 3 * HOUR;
/// Even where nobody counts the time, a service that does fine is not down more often than this.
const FINE_OUTAGES_MAX: usize = 3;
/// Nothing breaks so shortly before the month's end: what is open then are tickets, not outages.
const QUIET_END: i64 = 5 * HOUR;

pub(super) fn plan(seed: u64, month: &Month, catalogue: &Catalogue) -> Outages {
    let mut planner = Planner {
        dice: Dice::new(seed, Part::Outages),
        month,
        catalogue,
        spent: vec![0; catalogue.services.len()],
        outages: Vec::new(),
        dependents: vec![Vec::new(); catalogue.services.len()],
    };
    for (place, service) in catalogue.services.iter().enumerate() {
        service.depends_on.iter().for_each(|&needed| planner.dependents[needed].push(place));
    }
    let bursts: Vec<Burst> = (0..month.days() * BURSTS_PER_TEN_DAYS / 10).map(|_| planner.burst()).collect();
    for (number, burst) in bursts.iter().enumerate() {
        planner.strike(number, *burst);
    }
    for _ in 0..month.days() * SINGLES_PER_TEN_DAYS / 10 {
        planner.single();
    }
    for service in 0..catalogue.services.len() {
        if catalogue.services[service].temper != Temper::Fine {
            planner.top_up(service, &bursts);
        }
    }
    planner.outages.sort_by_key(|outage| (outage.from, outage.service));
    Outages { outages: planner.outages, bursts }
}

struct Planner<'a> {
    dice: Dice,
    month: &'a Month,
    catalogue: &'a Catalogue,
    /// Agreed seconds each service has been down so far.
    spent: Vec<i64>,
    outages: Vec<Outage>,
    /// Those that directly need each service.
    dependents: Vec<Vec<usize>>,
}

impl Planner<'_> {
    /// Something shared that gives way at a moment: half of the times when people work on it.
    fn burst(&mut self) -> Burst {
        let dependents = self.dependents.iter().enumerate();
        let shared: Vec<usize> = dependents.filter(|(_, users)| !users.is_empty()).map(|(root, _)| root).collect();
        let root = shared.get(self.dice.index(shared.len())).copied().unwrap_or(0);
        Burst { at: self.moment(), root }
    }

    fn moment(&mut self) -> i64 {
        let day = self.dice.below(self.month.days()) * DAY;
        let second =
            if self.dice.permille(500) { self.dice.between(7 * HOUR, 17 * HOUR) } else { self.dice.below(DAY) };
        (self.month.start + day + second).min(self.month.end - QUIET_END - HOUR)
    }

    /// Takes down the root, if it has room left, and some of those that depend on it.
    fn strike(&mut self, number: usize, burst: Burst) {
        let duration = self.duration();
        self.place(burst.root, burst.at, duration, Some(number));
        for _ in 0..self.dice.between(VICTIMS.0, VICTIMS.1) {
            let from = burst.at + self.dice.between(5, 4 * MINUTE);
            let duration = self.duration();
            for _ in 0..TRIES {
                let users = &self.dependents[burst.root];
                let victim = users[self.dice.index(users.len())];
                if self.place(victim, from, duration, Some(number)) {
                    break;
                }
            }
        }
    }

    /// Takes one service down on its own.
    fn single(&mut self) {
        let duration = self.duration();
        for _ in 0..TRIES {
            let from = self.moment();
            let service = self.dice.index(self.catalogue.services.len());
            if self.place(service, from, duration, None) {
                return;
            }
        }
    }

    /// Lets a service that shall not do fine take part in further bursts until it is as bad as it shall be.
    fn top_up(&mut self, service: usize, bursts: &[Burst]) {
        let wanted = self.catalogue.services[service].downtime_wanted;
        let mut order: Vec<usize> = (0..bursts.len()).collect();
        self.dice.shuffle(&mut order);
        for number in order {
            let rest = wanted - self.spent[service];
            if rest < 2 * MINUTE {
                return;
            }
            let from = bursts[number].at + self.dice.between(5, 4 * MINUTE);
            let duration = self.dice.between(12 * MINUTE, 70 * MINUTE).min(rest);
            let counted = self.catalogue.hours_of(service).agreed(from, from + duration);
            if counted == duration {
                self.place(service, from, duration, Some(number));
            }
        }
    }

    fn duration(&mut self) -> i64 {
        let minutes = self.dice.quantile(&DURATION_MINUTES);
        minutes * MINUTE + self.dice.below(MINUTE)
    }

    /// Puts an outage into the plan if the service has room for it; says whether it did.
    fn place(&mut self, service: usize, from: i64, duration: i64, burst: Option<usize>) -> bool {
        let until = from + duration;
        let known = &self.catalogue.services[service];
        let counted = self.catalogue.hours_of(service).agreed(from, until);
        let others = self.outages.iter().filter(|outage| outage.service == service);
        let near = others.clone().any(|outage| from < outage.until + DISTANCE && outage.from < until + DISTANCE);
        let often = known.temper == Temper::Fine && others.count() >= FINE_OUTAGES_MAX;
        let unseen = known.unobserved.is_some_and(|gap| from < gap.1 && gap.0 < until);
        if self.spent[service] + counted > known.downtime_wanted
            || near
            || often
            || unseen
            || until > self.month.end - QUIET_END
        {
            return false;
        }
        self.spent[service] += counted;
        self.outages.push(Outage { service, from, until, burst });
        true
    }
}
