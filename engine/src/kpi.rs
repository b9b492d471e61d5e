//! Key performance indicators: how well agreements are measured, kept and looked after (R35).
//!
//! In: definitions, current results, and an instant `t`, or the first moment of a civil day in the zone of each agreement.
//! Out: shares, each with what it counts. A span of `n` months holds the results whose segment ended within the `n` civil
//! months before `t`, in the zone of their agreement. A result says something when its verdict is `met` or `breached`.
//!
//! ```text
//! measured_in_time          agreements of whose results of a month all are final and say something / with results
//! breached                  agreements with a breach in a month / with a result that says something
//! overdue_for_review        agreements whose last review, or first day, is longer ago than agreed / to be reviewed
//! reported                  agreements whose last report is not longer ago than agreed / to be reported on
//! without_targets           services that no agreement in force covers / services
//! service_quality_index     sum of w * q / sum of w, over objectives; q = results met / results that say something
//! improvement_productivity  (N + C) / (O + C), of improvements: N entered and C closed in the span, O open at t
//! ```
//!
//! Agreements are those in force at `t`, each once, however many services it covers. Results count under the version by
//! which they were judged, `w` is the weight of the objective there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Months, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use plimsoll_schemas::civil::{instant_of_local, local_of_instant};
use plimsoll_schemas::definition::{Agreement, Definitions, Due};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::AttainmentRow;
use plimsoll_schemas::{Instant, Micros};

/// One indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kpi {
    /// Its name, as the head of this module writes it.
    pub name: &'static str,
    /// The months that it looks back; `None` where it is of the instant alone.
    pub span_months: Option<u32>,
    /// How many are so. Of the service quality index: results that were met.
    pub part_count: i64,
    /// Of how many. Of the service quality index: results that say something.
    pub whole_count: i64,
    /// The share, rounded down to nine decimals; `None` of nothing. Improvement productivity may exceed the whole.
    pub ratio: Option<Share>,
}

impl Kpi {
    /// The names that there are.
    pub const NAMES: [&'static str; 7] = [
        "measured_in_time",
        "breached",
        "overdue_for_review",
        "reported",
        "without_targets",
        "service_quality_index",
        "improvement_productivity",
    ];
}

/// The months over which results are looked at, and over which an index is taken.
const MONTH: u32 = 1;
const INDEX_SPANS: [u32; 2] = [3, 12];

/// So many results that are alike in what indicators look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Judged {
    /// The end of their segment.
    pub segment_end: Instant,
    /// The agreement, its version, the service and the objective.
    pub of: (Arc<str>, i32, Arc<str>, Arc<str>),
    /// Whether they are final.
    pub is_final: bool,
    /// Whether they were met; `None` when they do not say.
    pub is_met: Option<bool>,
    /// How many they are.
    pub count: i64,
}

impl Judged {
    /// What a verdict says: `Judged::is_met`.
    pub fn said(verdict: &str) -> Option<bool> {
        match verdict {
            "met" => Some(true),
            "breached" => Some(false),
            _ => None,
        }
    }
}

impl From<&AttainmentRow> for Judged {
    fn from(row: &AttainmentRow) -> Judged {
        Judged {
            segment_end: row.segment_end,
            of: (row.agreement.clone(), row.agreement_version, row.service.clone(), row.objective.clone()),
            is_final: &*row.finality == "final",
            is_met: Judged::said(&row.verdict),
            count: 1,
        }
    }
}

/// When indicators are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At an instant.
    Instant(Instant),
    /// At the first moment of a civil day, in the zone of each agreement.
    Day(NaiveDate),
}

impl At {
    /// The instant that it is for an agreement of this zone.
    pub fn in_zone(self, zone: Tz) -> Instant {
        match self {
            At::Instant(t) => t,
            At::Day(day) => instant_of_local(zone, day.and_time(NaiveTime::MIN)),
        }
    }

    /// What clocks show then.
    fn local(self, zone: Tz) -> NaiveDateTime {
        match self {
            At::Instant(t) => local_of_instant(zone, t),
            At::Day(day) => day.and_time(NaiveTime::MIN),
        }
    }

    /// So many civil months earlier, at the same time of day; of a day that a month lacks, the last that it has.
    fn months_before(self, zone: Tz, months: u32) -> Instant {
        instant_of_local(zone, self.local(zone) - Months::new(months))
    }
}

/// All indicators then; `results` are current revisions, and `grace` how long after its end a result is final.
pub fn kpis(definitions: &Definitions, results: &[Judged], grace: Micros, at: At) -> Vec<Kpi> {
    let world = World { definitions, results, at };
    let mut kpis = vec![
        world.measured_in_time(grace),
        world.breached(),
        world.overdue_for_review(),
        world.reported(),
        world.without_targets(),
    ];
    kpis.extend(INDEX_SPANS.map(|months| world.service_quality_index(months)));
    kpis.extend(INDEX_SPANS.map(|months| world.improvement_productivity(months)));
    kpis
}

/// The instant after which results must have ended to matter then anywhere: a day more than the longest span, for zones.
pub fn since(at: At) -> Instant {
    at.months_before(Tz::UTC, INDEX_SPANS[1]) - Micros::DAY
}

struct World<'a> {
    definitions: &'a Definitions,
    results: &'a [Judged],
    at: At,
}

impl World<'_> {
    fn measured_in_time(&self, grace: Micros) -> Kpi {
        let mut agreements: BTreeMap<&str, bool> = BTreeMap::new();
        let in_force = self.in_force().map(|agreement| (agreement.id.as_str(), self.at.in_zone(agreement.time_zone)));
        let in_force: BTreeMap<&str, Instant> = in_force.collect();
        for result in self.of_span(MONTH) {
            let agreement = &*result.of.0;
            if in_force.get(agreement).is_some_and(|t| result.segment_end + grace <= *t) {
                let is_measured = result.is_final && result.is_met.is_some();
                agreements.entry(agreement).and_modify(|all| *all &= is_measured).or_insert(is_measured);
            }
        }
        share_of("measured_in_time", Some(MONTH), agreements.values().copied())
    }

    fn breached(&self) -> Kpi {
        let mut agreements: BTreeMap<&str, bool> = BTreeMap::new();
        let in_force: BTreeSet<&str> = self.in_force().map(|agreement| agreement.id.as_str()).collect();
        for (result, is_met) in self.telling(MONTH) {
            if in_force.contains(&*result.of.0) {
                *agreements.entry(&result.of.0).or_default() |= !is_met;
            }
        }
        share_of("breached", Some(MONTH), agreements.values().copied())
    }

    fn overdue_for_review(&self) -> Kpi {
        let reviewed = self.in_force().filter_map(|agreement| {
            let due = agreement.care.review?;
            let first = self.first_day(agreement);
            Some(!is_recent(due, Some(first), self.today(agreement.time_zone)))
        });
        share_of("overdue_for_review", None, reviewed)
    }

    fn reported(&self) -> Kpi {
        let reported = self.in_force().filter_map(|agreement| {
            let due = agreement.care.reports?;
            Some(is_recent(due, None, self.today(agreement.time_zone)))
        });
        share_of("reported", None, reported)
    }

    fn without_targets(&self) -> Kpi {
        let covered: BTreeSet<&String> = self.in_force().flat_map(|agreement| &agreement.services).collect();
        let services = self.definitions.services.keys();
        share_of("without_targets", None, services.map(|service| !covered.contains(service)))
    }

    fn service_quality_index(&self, months: u32) -> Kpi {
        let mut objectives: BTreeMap<_, (i64, i64)> = BTreeMap::new();
        for (result, is_met) in self.telling(months) {
            let (met, judged) = objectives.entry(&result.of).or_default();
            *met += if is_met { result.count } else { 0 };
            *judged += result.count;
        }
        let (mut quality, mut weights) = (0, 0);
        for ((agreement, version, _, objective), (met, judged)) in &objectives {
            let weight = i128::from(self.weight(agreement, *version, objective));
            let share = Share::of(*met, *judged).map_or(0, |share| share.0);
            quality += weight * i128::from(share);
            weights += weight;
        }
        let sum = |count: fn(&(i64, i64)) -> i64| objectives.values().map(count).sum::<i64>();
        Kpi {
            name: "service_quality_index",
            span_months: Some(months),
            part_count: sum(|(met, _)| *met),
            whole_count: sum(|(_, judged)| *judged),
            // Not more than the whole, of which each share is a part.
            ratio: (weights > 0).then(|| Share((quality / weights) as i64)),
        }
    }

    fn improvement_productivity(&self, months: u32) -> Kpi {
        let (mut new, mut closed, mut open) = (0, 0, 0);
        for agreement in self.in_force() {
            let today = self.today(agreement.time_zone);
            let start = today - Months::new(months);
            let is_in_span = |day: NaiveDate| start < day && day <= today;
            for improvement in agreement.care.improvements.iter().filter(|one| one.opened <= today) {
                let is_closed = improvement.closed.is_some_and(|day| day <= today);
                new += i64::from(is_in_span(improvement.opened));
                closed += i64::from(improvement.closed.is_some_and(is_in_span));
                open += i64::from(!is_closed);
            }
        }
        let (part_count, whole_count) = (new + closed, open + closed);
        let ratio = Share::of(part_count, whole_count);
        Kpi { name: "improvement_productivity", span_months: Some(months), part_count, whole_count, ratio }
    }

    /// The version of each agreement that is in force.
    fn in_force(&self) -> impl Iterator<Item = &Agreement> {
        self.definitions.agreements.iter().filter(|agreement| {
            let today = self.today(agreement.time_zone);
            agreement.effective_from <= today && agreement.effective_until.is_none_or(|until| today < until)
        })
    }

    /// The first day of the first version of an agreement.
    fn first_day(&self, agreement: &Agreement) -> NaiveDate {
        let versions = self.definitions.agreements.iter().filter(|version| version.id == agreement.id);
        versions.map(|version| version.effective_from).min().unwrap_or(agreement.effective_from)
    }

    fn today(&self, zone: Tz) -> NaiveDate {
        self.at.local(zone).date()
    }

    /// The results whose segment ended in a span. Those of an agreement that is defined no more are of nobody's zone.
    fn of_span(&self, months: u32) -> impl Iterator<Item = &Judged> {
        let zones: BTreeMap<&str, Tz> =
            self.definitions.agreements.iter().map(|agreement| (agreement.id.as_str(), agreement.time_zone)).collect();
        let span = |zone: Tz| (self.at.months_before(zone, months), self.at.in_zone(zone));
        let spans: BTreeMap<&str, (Instant, Instant)> = zones.into_iter().map(|(id, zone)| (id, span(zone))).collect();
        self.results.iter().filter(move |result| {
            let span = spans.get(&*result.of.0);
            span.is_some_and(|(start, end)| *start < result.segment_end && result.segment_end <= *end)
        })
    }

    /// Those of a span that say something, and whether they were met.
    fn telling(&self, months: u32) -> impl Iterator<Item = (&Judged, bool)> {
        self.of_span(months).filter_map(|result| Some((result, result.is_met?)))
    }

    /// How much an objective counts; 1 when its version is defined no more.
    fn weight(&self, agreement: &str, version: i32, objective: &str) -> i64 {
        let of_version = |one: &&Agreement| one.id == agreement && i64::from(one.version) == i64::from(version);
        let version = self.definitions.agreements.iter().find(of_version);
        let objective = version.and_then(|version| version.objectives.iter().find(|one| one.id == objective));
        objective.map_or(1, |objective| objective.weight)
    }
}

/// Whether something was last done, or began, no longer ago than agreed: the day on which it is due is still in time.
fn is_recent(due: Due, began: Option<NaiveDate>, today: NaiveDate) -> bool {
    let last = due.last.filter(|last| *last <= today).into_iter().chain(began).max();
    last.is_some_and(|last| today <= last + Months::new(due.every_months))
}

/// How many of some are so.
fn share_of(name: &'static str, span_months: Option<u32>, are_so: impl Iterator<Item = bool>) -> Kpi {
    let (mut part_count, mut whole_count) = (0, 0);
    for is_so in are_so {
        part_count += i64::from(is_so);
        whole_count += 1;
    }
    Kpi { name, span_months, part_count, whole_count, ratio: Share::of(part_count, whole_count) }
}

#[cfg(test)]
mod tests;
