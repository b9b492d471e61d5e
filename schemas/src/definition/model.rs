//! What a folder of definitions means, once every check has passed. Immutable; ids resolve; targets can be measured.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::event::{EventKind, TicketType};
use crate::ratio::Share;
use crate::time::{Instant, Micros};

use super::care::Care;
use super::composition::Composition;
use super::money::{CreditRule, CreditStep, CreditTerms, Money};
use super::source::Source;

/// Everything that one folder of definitions says. Maps are by id, and every reference in them resolves.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// The service catalogue.
    pub services: BTreeMap<String, Service>,
    /// Those to whom services are provided.
    pub customers: BTreeMap<String, Customer>,
    /// Service hours: every version of each calendar, sorted by the day it takes effect; versions do not overlap.
    /// `24x7` is always there.
    pub calendars: BTreeMap<String, Vec<Calendar>>,
    /// Tiers and their objectives, out of the box.
    pub offerings: BTreeMap<String, Offering>,
    /// Every version of every agreement, sorted by id, then by the day it takes effect; versions do not overlap.
    pub agreements: Vec<Agreement>,
    /// Where events come from and how their fields map.
    pub sources: BTreeMap<String, Source>,
    /// The names and texts of the files that say all this, from which `load` reads it again.
    pub texts: Vec<(String, String)>,
}

impl Default for Definitions {
    /// No definitions but the calendar that is always there.
    fn default() -> Definitions {
        let calendar = Calendar::around_the_clock();
        Definitions {
            services: BTreeMap::new(),
            customers: BTreeMap::new(),
            calendars: BTreeMap::from([(calendar.id.clone(), vec![calendar])]),
            offerings: BTreeMap::new(),
            agreements: Vec::new(),
            sources: BTreeMap::new(),
            texts: Vec::new(),
        }
    }
}

impl Definitions {
    /// The source that maps the records of this topic; there is at most one.
    pub fn source_of_topic(&self, topic: &str) -> Option<&Source> {
        self.sources.values().find(|source| source.topics.iter().any(|known| known == topic))
    }

    /// The topics that are read.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.sources.values().flat_map(|source| &source.topics).map(String::as_str)
    }

    /// How long after a window's end its result stays provisional (R22): the greatest lateness of any source, and what a
    /// source has unless told when there is none.
    pub fn grace(&self) -> Micros {
        self.sources.values().map(|source| source.lateness).max().unwrap_or(Source::LATENESS)
    }

    /// The source that maps the records of the file with this name (without its folder); there is at most one.
    pub fn source_of_file(&self, name: &str) -> Option<&Source> {
        self.sources.values().find(|source| source.fits_file(name))
    }
}

/// A service of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its id, as events carry it.
    pub id: String,
    /// Its name for people; the id when none is given.
    pub name: String,
    /// Its tier, e.g. `gold`.
    pub tier: Option<String>,
    /// The team that answers for it.
    pub owner: Option<String>,
    /// The customers who use it.
    pub customers: Vec<String>,
    /// The services it needs; acyclic.
    pub depends_on: Vec<String>,
    /// What it costs a month, by tier.
    pub costs: BTreeMap<String, Money>,
    /// How its state follows from checks and incidents (R3).
    pub state: StateRule,
}

/// How the state of a service follows from what is known of it (R3, R4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateRule {
    /// Which kinds of event decide.
    pub evidence: Evidence,
    /// How many checks must be down before the service is.
    pub down_when: DownWhen,
    /// A check is unknown when it was not observed for this long (R4).
    pub stale_after: Micros,
    /// The services that it is composed of, if it is (R32).
    pub composition: Option<Composition>,
}

impl Default for StateRule {
    /// Checks and incidents decide, one check that is down is enough, and 15 minutes of silence make it unknown.
    fn default() -> StateRule {
        StateRule {
            evidence: Evidence::Both,
            down_when: DownWhen::AnyDown,
            stale_after: Micros(15 * Micros::MINUTE.0),
            composition: None,
        }
    }
}

/// Which events decide a service's state (R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Monitoring results only.
    Checks,
    /// Incidents that say `outage` only; without one the service is up.
    Incidents,
    /// Both; an incident's outage is down whatever the checks say.
    Both,
}

/// How many of a service's checks must be down (R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DownWhen {
    /// One is enough.
    AnyDown,
    /// All of them.
    AllDown,
    /// At least this many, 1 or more.
    AtLeast(u32),
}

/// Somebody to whom services are provided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id, as events carry it.
    pub id: String,
    /// Its name for people.
    pub name: String,
}

/// One version of service hours and holidays in a time zone (R1, R2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// Its id; all its versions share it.
    pub id: String,
    /// 1 for the first version.
    pub version: u32,
    /// The first civil day it is in force, in its time zone; `None` when it was so ever since.
    pub effective_from: Option<NaiveDate>,
    /// The first civil day it is no longer in force; `None` while nobody ended it.
    pub effective_until: Option<NaiveDate>,
    /// Whether it may begin in the past, so that what is known is restated (R24).
    pub retroactive: bool,
    /// The zone in which its hours are civil time.
    pub time_zone: Tz,
    /// Spans of agreed time by the weekday on which they start, in order.
    pub hours: Vec<(Weekday, DaySpan)>,
    /// Days on which no span starts, and their names for people; empty where none is known.
    pub holidays: BTreeMap<NaiveDate, String>,
    /// Days whose spans are these, whatever the weekday or a holiday says.
    pub exceptions: BTreeMap<NaiveDate, Vec<DaySpan>>,
    /// Stretches of time that are taken out of all spans, in no order.
    pub closures: Vec<Closure>,
    /// Where it is defined: file and line.
    pub place: String,
}

/// A stretch of time that no calendar's hours reach into, half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// The first instant that does not count.
    pub from: Instant,
    /// The first instant that may count again.
    pub until: Instant,
    /// Its name for people; empty when none is known.
    pub name: String,
}

/// The id of the calendar in which all time is agreed time.
pub const AROUND_THE_CLOCK: &str = "24x7";

impl Calendar {
    /// The calendar `24x7`: every hour of every day, in UTC.
    pub fn around_the_clock() -> Calendar {
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        let whole_day = DaySpan { from: NaiveTime::MIN, until: NaiveTime::MIN };
        Calendar {
            id: AROUND_THE_CLOCK.to_owned(),
            version: 1,
            hours: [Mon, Tue, Wed, Thu, Fri, Sat, Sun].map(|day| (day, whole_day)).to_vec(),
            ..Calendar::default()
        }
    }
}

/// One span of a day's hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaySpan {
    /// The first civil time that counts.
    pub from: NaiveTime,
    /// The first civil time that no longer counts. At or before `from` it lies on the next day; `24:00` is written
    /// as 00:00 and therefore does.
    pub until: NaiveTime,
}

/// A tier's objectives, out of the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// Its id, e.g. `gold`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The terms on which maintenance does not count; `None` where it always does.
    pub maintenance: Option<MaintenanceTerms>,
    /// The terms of its credits; `None` where it says none (R34).
    pub credits: Option<CreditRule>,
    /// What it promises.
    pub objectives: Vec<Objective>,
}

/// One version of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Its id; all its versions share it.
    pub id: String,
    /// 1 for the first version.
    pub version: u32,
    /// Its name for people.
    pub name: String,
    /// Free labels for grouping.
    pub labels: BTreeMap<String, String>,
    /// To whom or from whom the promise is.
    pub agreement_type: AgreementType,
    /// The customer of an SLA; whose tickets count. `None` counts everybody's.
    pub customer: Option<String>,
    /// The services it covers; each objective is judged for each of them.
    pub services: Vec<String>,
    /// The offering it follows.
    pub offering: Option<String>,
    /// The zone of its windows' edges.
    pub time_zone: Tz,
    /// The first civil day it is in force, in its time zone.
    pub effective_from: NaiveDate,
    /// The first civil day it is no longer in force; `None` while nobody ended it.
    pub effective_until: Option<NaiveDate>,
    /// Whether this version may touch the past: it ends the one before it whenever that was to end (R24).
    pub retroactive: bool,
    /// The agreements it rests on; acyclic.
    pub rests_on: Vec<String>,
    /// How it is looked after (R35).
    pub care: Care,
    /// The terms on which maintenance does not count, its own or the offering's; `None` where it always does (R9).
    pub maintenance: Option<MaintenanceTerms>,
    /// Times that do not count, whatever happened in them.
    pub excluded_times: Vec<ExcludedTime>,
    /// On which terms it gives credits; `None` when none of its objectives has any (R34).
    pub credits: Option<CreditTerms>,
    /// The offering's objectives with this agreement's own over them, by id.
    pub objectives: Vec<Objective>,
    /// The file and line where it is defined: `agreements.yaml:12`.
    pub place: String,
}

/// On which terms the time of approved changes does not count (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaintenanceTerms {
    /// How long before its planned start a change must have been approved. Real time, not agreed time.
    pub notice: Micros,
    /// The most agreed time that maintenance may take in one window of an objective; `None` for no limit.
    pub at_most: Option<Micros>,
}

/// A time that does not count: force majeure, or what the customer brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcludedTime {
    /// The first civil time that does not count, in the agreement's time zone.
    pub from: NaiveDateTime,
    /// The first civil time after it that counts again.
    pub until: NaiveDateTime,
    /// Why, for people.
    pub reason: String,
    /// The services whose time it is; empty for all services of the agreement.
    pub services: Vec<String>,
}

/// The kinds of agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementType {
    /// To a customer.
    Sla,
    /// Between the provider's own teams.
    Ola,
    /// Underpinning contract: from a supplier.
    Uc,
}

impl AgreementType {
    /// As definitions and tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            AgreementType::Sla => "sla",
            AgreementType::Ola => "ola",
            AgreementType::Uc => "uc",
        }
    }
}

/// One line of an agreement: an indicator, a target, a window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Objective {
    /// Its id, unique within the agreement.
    pub id: String,
    /// What is measured.
    pub indicator: Indicator,
    /// What is promised.
    pub target: Target,
    /// Over which time it is judged.
    pub window: WindowKind,
    /// Shares of the target's time or budget at which to warn (R28), ascending.
    pub warn_at: Vec<Share>,
    /// Whether to warn when the error budget burns too fast (R27).
    pub burn_rate_warnings: bool,
    /// Below this share of known agreed time the verdict is `insufficient_data` (R4).
    pub min_coverage: Share,
    /// With fewer measurements than this the verdict is `insufficient_data` (R10); 0 for no minimum.
    pub min_sample: i64,
    /// The verdict is `met`, not `no_data`, when there was nothing to measure (R11).
    pub met_when_empty: bool,
    /// How much it counts in a service quality index, 1 or more (R35).
    pub weight: i64,
    /// The ladder of its credits, from the mildest miss to the worst; empty where it gives none (R34).
    pub credits: Vec<CreditStep>,
}

impl Objective {
    /// When to warn unless told: at 50, 75 and 90 % (R28).
    pub const WARN_AT: [Share; 3] = [Share(500_000_000), Share(750_000_000), Share(900_000_000)];
    /// The least coverage unless told: 90 % (R4).
    pub const MIN_COVERAGE: Share = Share(900_000_000);
}

/// What is measured, apart from the service it is measured on (R10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Indicator {
    /// The quantity.
    pub signal: Signal,
    /// The id of the calendar whose time counts.
    pub calendar: String,
}

/// The quantities that can be measured (R10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Good share of agreed time.
    Availability(StatePolicy),
    /// Bad agreed time in total.
    Downtime(StatePolicy),
    /// The longest bad run, in agreed time.
    LongestOutage(StatePolicy),
    /// How many outages touch the window in agreed time, for at least the policy's `min_duration`.
    OutageCount(StatePolicy),
    /// Mean time between failures: time up / outages.
    Mtbf(StatePolicy),
    /// Mean time between service incidents: measured time / outages.
    Mtbsi(StatePolicy),
    /// Mean time to restore service: time down / outages.
    Mtrs(StatePolicy),
    /// Share of tickets first responded to within a limit.
    ResponseTime(ClockRule),
    /// Share of tickets resolved within a limit.
    ResolutionTime(ClockRule),
    /// Share of requests fulfilled within a limit: the resolution time of requests.
    FulfilmentTime(ClockRule),
    /// The most tickets that were open at once beyond the limit of their resolution.
    OverdueCount(ClockRule),
    /// Share of good among counted things that events of one kind carry.
    GoodRatio(RatioRule),
    /// Share of finished changes that succeeded.
    ChangeSuccess,
    /// Share of feedback scores of at least this value.
    Satisfaction {
        /// The lowest score that is good.
        good_from: i64,
    },
    /// Promoters less detractors among feedback scores from 0 to 10, in hundredths of all of them.
    NetPromoterScore,
    /// Share of measured latencies of at most this.
    Latency {
        /// The longest latency that is good.
        within: Micros,
    },
    /// The latency that this share of measured latencies does not exceed, by nearest rank.
    LatencyPercentile {
        /// The share, such as 95 %.
        percentile: Share,
    },
    /// How many things events of one kind count in each unit of agreed time.
    Throughput {
        /// The kind of event whose `total_count` is summed.
        kind: EventKind,
        /// The unit of agreed time.
        per: Micros,
    },
    /// How many of the things that events of one kind count were not good.
    ErrorCount {
        /// The kind of event whose `good_count` and `total_count` are summed.
        kind: EventKind,
    },
    /// Share of finished changes that were finished by their planned end.
    ChangesOnTime,
    /// Share of finished changes that were emergency changes.
    EmergencyChangeShare,
}

/// How time in each state counts (R4-R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatePolicy {
    /// What unknown time counts as (R4).
    pub unknown: UnknownPolicy,
    /// What excluded time counts as (R5).
    pub excluded: ExcludedPolicy,
    /// Over which time the good share is taken (R6).
    pub denominator: Denominator,
    /// An outage shorter than this takes the state of its neighbours where they agree (R7); zero takes every outage as
    /// it is. Real time, not agreed time.
    pub min_outage: Micros,
    /// How much of degraded time is good (R8): all is `up`, nothing is `down`.
    pub degraded_good: Share,
    /// An outage counts when it took at least so much agreed time within the window; zero counts all.
    pub min_duration: Micros,
}

impl Default for StatePolicy {
    /// Unknown and excluded time is removed, degraded time is good, every outage counts, what is to come does not.
    fn default() -> StatePolicy {
        StatePolicy {
            unknown: UnknownPolicy::Remove,
            excluded: ExcludedPolicy::Remove,
            denominator: Denominator::Elapsed,
            min_outage: Micros::ZERO,
            degraded_good: Share(Share::WHOLE),
            min_duration: Micros::ZERO,
        }
    }
}

/// What unknown time counts as (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnknownPolicy {
    /// It counts neither as good nor as bad.
    Remove,
    /// As good.
    Good,
    /// As bad.
    Bad,
    /// As the last known state; before the first observation it is removed.
    Hold,
}

/// What excluded time counts as (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExcludedPolicy {
    /// It counts neither as good nor as bad.
    Remove,
    /// As good.
    CountGood,
    /// As what the service really was.
    CountActual,
}

/// Over which time the good share of an open window is taken (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denominator {
    /// Over what was measured so far.
    Elapsed,
    /// Over that and all agreed time still to come, which is good until it is known not to be.
    FullWindow,
}

/// How a ticket's clock runs (R14-R18).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClockRule {
    /// The tickets it applies to.
    pub ticket_type: TicketType,
    /// The priorities it applies to; empty for all.
    pub priorities: Vec<String>,
    /// The agreed time allowed.
    pub within: Micros,
    /// What a change of priority does (R15).
    pub priority_change: PriorityChange,
    /// What reopening does (R16).
    pub reopening: Reopening,
    /// To which window a result belongs (R18).
    pub attribution: Attribution,
}

impl Default for ClockRule {
    /// Incidents of all priorities; a limit of an hour, which every definition states itself; `retarget`, `same_cycle`,
    /// `outcome`.
    fn default() -> ClockRule {
        ClockRule {
            ticket_type: TicketType::Incident,
            priorities: Vec::new(),
            within: Micros::HOUR,
            priority_change: PriorityChange::Retarget,
            reopening: Reopening::SameCycle,
            attribution: Attribution::Outcome,
        }
    }
}

/// What a change of priority does to a clock (R15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PriorityChange {
    /// The start stays, the new target applies.
    Retarget,
    /// The clock starts anew at the change.
    Restart,
}

/// What reopening a ticket does to its clock (R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reopening {
    /// The clock goes on; the time spent resolved counts as paused.
    SameCycle,
    /// Each reopening starts a clock of its own.
    NewCycle,
    /// Only the first resolution counts.
    FirstOnly,
    /// Every cycle is measured, the largest elapsed time is judged.
    Largest,
}

/// To which window a clock's result belongs (R18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribution {
    /// Met where it stopped, breached where it was due.
    Outcome,
    /// Where the ticket was opened.
    Opened,
    /// Where the ticket was closed.
    Closed,
}

/// What a good ratio counts (R10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RatioRule {
    /// The kind of event whose `good_count` and `total_count` are summed.
    pub kind: EventKind,
    /// When a ticket's counts are taken.
    pub count: CountRule,
}

/// When an event's counts are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountRule {
    /// Every event counts, at its time.
    EachEvent,
    /// Each ticket counts once, with the counts and at the time of its last closing.
    OncePerTicketAtClosing,
}

/// What is promised (R12). Shares and amounts are integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The good share of what was measured must be at least this.
    AtLeast(Share),
    /// The share must be at most this.
    AtMost(Share),
    /// The duration must be at least this.
    AtLeastTime(Micros),
    /// The duration must be at most this.
    AtMostTime(Micros),
    /// The number must be at least this.
    AtLeastCount(i64),
    /// The number must be at most this.
    AtMostCount(i64),
}

impl fmt::Display for Target {
    /// For people: `at least 99.9 %`, `at least 200h`, `at most 4h`, `at most 3`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(share) => write!(formatter, "at least {share}"),
            Target::AtMost(share) => write!(formatter, "at most {share}"),
            Target::AtLeastCount(count) => write!(formatter, "at least {count}"),
            Target::AtLeastTime(duration) => write!(formatter, "at least {duration}"),
            Target::AtMostTime(duration) => write!(formatter, "at most {duration}"),
            Target::AtMostCount(count) => write!(formatter, "at most {count}"),
        }
    }
}

/// The window over which an objective is judged (R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowKind {
    /// A civil day.
    Day,
    /// An ISO week, from Monday.
    Week,
    /// A civil month.
    Month,
    /// A quarter of a year that begins with this month.
    Quarter {
        /// 1 to 12; 1 for the civil year.
        first_month: u32,
    },
    /// A year that begins with this month.
    Year {
        /// 1 to 12; 1 for the civil year.
        first_month: u32,
    },
    /// The last stretch of this length, looked at again and again.
    Rolling {
        /// How long it is; at least as long as it is between two looks.
        length: Micros,
        /// When it ends.
        every: Every,
    },
}

/// When rolling windows end, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Every {
    /// At each full minute of UTC.
    Minute,
    /// At each full hour of UTC.
    Hour,
    /// At each end of a civil day.
    Day,
}

impl WindowKind {
    /// A quarter of the civil year.
    pub const QUARTER: WindowKind = WindowKind::Quarter { first_month: 1 };
    /// The civil year.
    pub const YEAR: WindowKind = WindowKind::Year { first_month: 1 };
    /// Every kind as `as_str` writes it.
    pub const NAMES: [&'static str; 6] = ["day", "week", "month", "quarter", "year", "rolling"];

    /// The months of a window of this kind; `None` where it does not consist of months.
    pub fn months(self) -> Option<i64> {
        match self {
            WindowKind::Month => Some(1),
            WindowKind::Quarter { .. } => Some(3),
            WindowKind::Year { .. } => Some(12),
            WindowKind::Day | WindowKind::Week | WindowKind::Rolling { .. } => None,
        }
    }

    /// As tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            WindowKind::Day => "day",
            WindowKind::Week => "week",
            WindowKind::Month => "month",
            WindowKind::Quarter { .. } => "quarter",
            WindowKind::Year { .. } => "year",
            WindowKind::Rolling { .. } => "rolling",
        }
    }
}

impl Signal {
    /// The lowest satisfaction score that is good unless told, on the usual scale from 1 to 5.
    pub const GOOD_FROM: i64 = 4;

    /// The signals over scores that people gave, as `as_str` writes them.
    pub const OF_SCORES: [&'static str; 2] = ["satisfaction", "net_promoter_score"];

    /// Every signal as `as_str` writes it.
    pub const NAMES: [&'static str; 21] = [
        "availability",
        "downtime",
        "longest_outage",
        "outage_count",
        "mtbf",
        "mtbsi",
        "mtrs",
        "response_time",
        "resolution_time",
        "fulfilment_time",
        "overdue_count",
        "good_ratio",
        "change_success",
        "satisfaction",
        "net_promoter_score",
        "latency",
        "latency_percentile",
        "throughput",
        "error_count",
        "changes_on_time",
        "emergency_change_share",
    ];

    /// As definitions and tables write it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Signal::Availability(_) => "availability",
            Signal::Downtime(_) => "downtime",
            Signal::LongestOutage(_) => "longest_outage",
            Signal::OutageCount(_) => "outage_count",
            Signal::Mtbf(_) => "mtbf",
            Signal::Mtbsi(_) => "mtbsi",
            Signal::Mtrs(_) => "mtrs",
            Signal::ResponseTime(_) => "response_time",
            Signal::ResolutionTime(_) => "resolution_time",
            Signal::FulfilmentTime(_) => "fulfilment_time",
            Signal::OverdueCount(_) => "overdue_count",
            Signal::GoodRatio(_) => "good_ratio",
            Signal::ChangeSuccess => "change_success",
            Signal::Satisfaction { .. } => "satisfaction",
            Signal::NetPromoterScore => "net_promoter_score",
            Signal::Latency { .. } => "latency",
            Signal::LatencyPercentile { .. } => "latency_percentile",
            Signal::Throughput { .. } => "throughput",
            Signal::ErrorCount { .. } => "error_count",
            Signal::ChangesOnTime => "changes_on_time",
            Signal::EmergencyChangeShare => "emergency_change_share",
        }
    }
}
