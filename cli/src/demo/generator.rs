//! A believable month of a service provider, made up from a seed.
//!
//! What comes in: a seed and a month. What goes out: the definitions as YAML files, and the records that would have
//! arrived at the broker, in the order of their arrival. Only integers decide, so the same seed gives the same bytes
//! on every machine.
//!
//! Modules in reading order: `dice` is the only source of chance; `hours` is agreed time, coarse but enough to plan
//! with; `catalogue` says who uses which service under which promise; `outages` plans what breaks; `monitoring`,
//! `changes` and `tickets` (with the feedback on them) turn that into events; `faults` spoils a few of them;
//! `definitions` and `payload` write text.

mod dice;
mod hours;

mod catalogue;

mod outages;

mod changes;
mod monitoring;
mod tickets;

mod faults;

mod definitions;
mod payload;

#[cfg(test)]
mod tests;

use chrono::{Datelike, Months, NaiveDate};
use plimsoll_schemas::Instant;
use plimsoll_schemas::event::{Action, Status};

use catalogue::Catalogue;
use changes::Change;
use payload::DayLabels;
use tickets::Ticket;

#[cfg(test)]
use faults::FaultCounts;

/// One minute in the unit in which the generator plans: seconds.
const MINUTE: i64 = 60;
/// One hour.
const HOUR: i64 = 3_600;
/// Twenty-four hours.
const DAY: i64 = 86_400;

/// A seeded month: planned when it is made, written out record by record on demand.
pub struct Generator {
    month: Month,
    catalogue: Catalogue,
    tickets: Vec<Ticket>,
    changes: Vec<Change>,
    /// Everything that arrives, in the order of arrival.
    plan: Vec<Planned>,
    #[cfg(test)]
    faults: FaultCounts,
    day_labels: DayLabels,
}

/// One record as a producer would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoRecord {
    /// The topic: `monitoring`, `probes`, `incidents`, `changes` or `feedback`.
    pub topic: &'static str,
    /// The id of the service (monitoring) or of the ticket (all else).
    pub key: Vec<u8>,
    /// The event as JSON, or what is left of it.
    pub payload: Vec<u8>,
    /// When it reaches the broker; seldom much later than the time it tells of.
    pub arrival: Instant,
}

impl Generator {
    /// Plans the UTC month that `month` lies in.
    pub fn new(seed: u64, month: NaiveDate) -> Generator {
        let month = Month::of(month);
        let catalogue = Catalogue::new(seed, &month);
        let outages = outages::plan(seed, &month, &catalogue);
        let changes = changes::plan(seed, &month, &catalogue, &outages);
        let tickets = tickets::plan(seed, &month, &catalogue, &outages);

        let mut plan = Vec::new();
        monitoring::schedule(seed, &month, &catalogue, &outages, &mut plan);
        changes::schedule(&month, &changes, &mut plan);
        tickets::schedule(&month, &tickets, &mut plan);
        let _faults = faults::spoil(seed, &month, &mut plan);
        // Stable, so that records of one second keep the order in which they were planned.
        plan.sort_by_key(|planned| planned.arrival);

        let day_labels = DayLabels::new(month.first);
        Generator {
            month,
            catalogue,
            tickets,
            changes,
            plan,
            #[cfg(test)]
            faults: _faults,
            day_labels,
        }
    }

    /// The definitions as YAML files: name and text of each.
    pub fn definitions(&self) -> Vec<(String, String)> {
        definitions::files(&self.month, &self.catalogue)
    }

    /// All records, in the order in which they arrive at the broker: by time, but for the late ones and the repeated.
    pub fn records(&self) -> impl Iterator<Item = DemoRecord> + '_ {
        self.plan.iter().map(|planned| payload::write(self, planned))
    }

    /// How many records `records` gives.
    #[cfg(test)]
    pub fn records_count(&self) -> usize {
        self.plan.len()
    }

    /// How many of the records are faulty, by kind of fault.
    #[cfg(test)]
    pub fn faults(&self) -> FaultCounts {
        self.faults
    }
}

/// The month, in seconds since 1970.
struct Month {
    /// Its first day.
    first: NaiveDate,
    /// Its first second, UTC.
    start: i64,
    /// The first second after it.
    end: i64,
}

impl Month {
    fn of(day: NaiveDate) -> Month {
        let first = day.with_day(1).unwrap_or(day);
        let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
        Month { first, start: start_of_day(first), end: start_of_day(next) }
    }

    fn days(&self) -> i64 {
        (self.end - self.start) / DAY
    }

    /// The month's days from its first on.
    fn dates(&self) -> impl Iterator<Item = NaiveDate> {
        self.first.iter_days().take(usize::try_from(self.days()).unwrap_or(0))
    }
}

fn start_of_day(day: NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

/// One record to come: small, because a month holds some hundred thousand.
#[derive(Clone, Copy, Debug)]
struct Planned {
    /// When it reaches the broker, in seconds since 1970.
    arrival: i64,
    /// The time it tells of, in seconds since 1970.
    time: i64,
    /// What it tells.
    body: Body,
}

/// What a record tells; numbers are places in the generator's lists.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// The result of a check of a service; `number` makes its id unique.
    Check { service: u16, check: u8, status: Status, latency_ms: u32, number: u32 },
    /// One step in the life of a ticket.
    TicketStep { ticket: u32, step: u8 },
    /// One step in the life of a change.
    ChangeStep { change: u32, action: Action },
    /// A user's score of a resolved ticket.
    Feedback { ticket: u32, score: u8 },
    /// A record that nobody can use.
    Broken { sort: u8, number: u8 },
}
