//! Second, naive computations of what is told ahead of time and among agreements: budgets and warnings minute by minute
//! from the events (R27, R28), watermelons half hour by half hour from the results (R36).

use std::collections::BTreeMap;

use plimsoll_schemas::table::{AttainmentRow, BreachRow};

use super::reference::{DAY, EPOCH, Tick, WEEK, states};
use super::*;

/// The half hours until 2001-04-01, a Sunday, when this world begins. April has 30 days.
const APRIL: i64 = EPOCH + 90 * DAY as i64;

const MINUTE: i64 = HOUR / 60;
const WHOLE: i128 = 1_000_000_000;

/// What the agreement excludes: half hours of the second day.
const STORM: std::ops::Range<usize> = DAY + 13..DAY + 18;

/// Long and short span in minutes, percent of the budget, severity: table 5-8 of the SRE workbook, chapter 5, and the
/// pair over a day.
const PAIRS: [(i64, i64, i128, &str); 4] =
    [(60, 5, 2, "page"), (360, 30, 5, "page"), (1_440, 120, 10, "ticket"), (4_320, 360, 10, "ticket")];

/// What is promised of April, on a calendar around the clock or from 08:00 to 16:00.
#[derive(Clone, Copy, Debug)]
struct Promise {
    office: bool,
    unknown: &'static str,
    /// How much of degraded time is bad, in percent.
    degraded_bad: i128,
    /// The share that may be bad in billionths, or the minutes.
    allowed: Result<i128, i64>,
}

impl Promise {
    fn all() -> Vec<Promise> {
        let mut all = Vec::new();
        for office in [false, true] {
            for (unknown, degraded_bad) in [("remove", 0), ("bad", 50), ("good", 100)] {
                for allowed in [Ok(1_000_000), Ok(50_000_000), Ok(300_000_000), Err(90), Err(2_000)] {
                    all.push(Promise { office, unknown, degraded_bad, allowed });
                }
            }
        }
        all
    }

    fn definition(self, number: usize) -> String {
        let (signal, target) = match self.allowed {
            Ok(bad) => (
                "availability",
                format!("at_least: {}.{} %", (WHOLE - bad) / 10_000_000, (WHOLE - bad) / 1_000_000 % 10),
            ),
            Err(minutes) => ("downtime", format!("at_most: {minutes}m")),
        };
        let calendar = if self.office { "office" } else { "24x7" };
        format!(
            "    - id: o{number:02}\n      indicator: {{signal: {signal}, calendar: {calendar}, unknown: {}, degraded: {} %}}\n\
             \x20     target: {{{target}}}\n      window: {{calendar: month}}\n      burn_rate_warnings: true\n      \
             min_coverage: 0 %\n",
            self.unknown,
            100 - self.degraded_bad
        )
    }

    fn is_agreed(self, tick: usize) -> bool {
        !self.office || (16..32).contains(&(tick % DAY))
    }

    /// The agreed minutes of April.
    fn agreed(self) -> i64 {
        if self.office { 30 * 480 } else { 30 * 1_440 }
    }

    /// The bad time that is allowed where so much time can be measured, in billionths of what it is given in.
    fn allowance(self, measurable: i128) -> i128 {
        match self.allowed {
            Ok(bad) => bad * measurable,
            Err(minutes) => i128::from(minutes * MINUTE) * WHOLE,
        }
    }
}

/// The agreed minutes that have passed, one after another: how much of each is bad in billionths, and whether it is
/// removed.
struct Minutes {
    /// Sums before each minute, and after the last.
    sums: Vec<(i128, i128)>,
}

impl Minutes {
    fn of(promise: Promise, states: &[Tick]) -> Minutes {
        let mut sums = vec![(0, 0)];
        let (mut bad, mut removed) = (0, 0);
        for (tick, state) in states.iter().enumerate().filter(|(tick, _)| promise.is_agreed(*tick)) {
            let (is_bad, is_removed) = match state {
                _ if STORM.contains(&tick) => (0, 1),
                Tick::Up => (0, 0),
                Tick::Down => (WHOLE, 0),
                Tick::Degraded => (promise.degraded_bad * 10_000_000, 0),
                Tick::Unknown if promise.unknown == "bad" => (WHOLE, 0),
                Tick::Unknown if promise.unknown == "good" => (0, 0),
                Tick::Unknown => (0, 1),
            };
            for _ in 0..30 {
                (bad, removed) = (bad + is_bad, removed + is_removed);
                sums.push((bad, removed));
            }
        }
        Minutes { sums }
    }

    fn count(&self) -> i64 {
        self.sums.len() as i64 - 1
    }

    /// Bad time in billionths of microseconds, and microseconds that were removed, before an agreed microsecond.
    fn until(&self, place: i64) -> (i128, i128) {
        let place = place.max(0);
        let (minute, rest) = ((place / MINUTE) as usize, i128::from(place % MINUTE));
        let before = self.sums[minute];
        let next = self.sums.get(minute + 1).copied().unwrap_or(before);
        let at = |before: i128, next: i128| before * i128::from(MINUTE) + (next - before) * rest;
        (at(before.0, next.0), at(before.1, next.1))
    }

    /// Whether the budget burns too fast over both spans of a pair.
    fn is_burning(&self, promise: Promise, (long, short, percent, _): (i64, i64, i128, &str), place: i64) -> bool {
        let whole = i128::from(promise.agreed() * MINUTE);
        [long, short].into_iter().all(|span| {
            let (until, from) = (self.until(place), self.until(place - span * MINUTE));
            let (bad, measured) = (until.0 - from.0, i128::from(span * MINUTE) - (until.1 - from.1));
            // bad / measured / (allowance / whole) >= percent / 100 * whole / long
            bad > 0 && bad * 100 * i128::from(long * MINUTE) >= percent * promise.allowance(whole) * measured
        })
    }

    /// Whether a percentage of the budget is used up.
    fn is_used_up(&self, promise: Promise, percent: i128, place: i64) -> bool {
        let (bad, removed) = self.until(place);
        100 * bad >= percent * promise.allowance(i128::from(promise.agreed() * MINUTE) - removed)
    }

    /// The agreed microseconds of April before an instant.
    fn place(promise: Promise, at: Instant) -> i64 {
        let since = at.0 - APRIL * HOUR / 2;
        let (tick, rest) = ((since / (HOUR / 2)) as usize, since % (HOUR / 2));
        let before = (0..tick).filter(|tick| promise.is_agreed(*tick)).count() as i64 * HOUR / 2;
        before + if promise.is_agreed(tick) { rest } else { 0 }
    }

    /// Whether these are the microseconds in which something begins to hold: in each minute at whose end it holds and at
    /// whose start it does not there is one; where it holds all the time, or ceases to, there is none.
    fn begins_at(&self, places: &[i64], holds: impl Fn(i64) -> bool) -> Result<(), String> {
        for place in places {
            if !holds(*place) || (*place > 0 && holds(place - 1)) {
                return Err(format!("{place} us is not where it begins"));
            }
        }
        for minute in 1..=self.count() {
            let (start, end) = ((minute - 1) * MINUTE, minute * MINUTE);
            let found = places.iter().filter(|place| (start + 1..=end).contains(*place)).count();
            let wanted = match (holds(start), holds(end)) {
                (false, true) => 1..=1,
                // Between the two it may hold for a while.
                (false, false) => 0..=1,
                (true, _) => 0..=0,
            };
            if !wanted.contains(&found) {
                return Err(format!("{found} in minute {minute}, expected {wanted:?}"));
            }
        }
        Ok(())
    }

    /// Whether what begins to hold with each of these warnings holds until it is said to have ended, and then no longer.
    fn ends_at(&self, promise: Promise, warnings: &[&&BreachRow], holds: impl Fn(i64) -> bool) -> Result<(), String> {
        for row in warnings {
            let now = self.count() * MINUTE;
            let start = Minutes::place(promise, row.at);
            let end = row.ended_at.map(|ended_at| Minutes::place(promise, ended_at));
            let is_right_end = end.map_or(holds(now), |end| !holds(end) && holds(end - 1));
            let mut between = (start / MINUTE + 1..=end.unwrap_or(now) / MINUTE).map(|minute| minute * MINUTE);
            if !is_right_end || end.is_some_and(|end| end <= start) {
                return Err(format!("what begins at {start} us does not end at {end:?}"));
            }
            if let Some(place) = between.find(|place| Some(*place) != end && !holds(*place)) {
                return Err(format!("what begins at {start} us ended before {place} us"));
            }
        }
        Ok(())
    }
}

/// Whether the warnings of a promise are those that the minutes give.
fn warnings_agree(promise: Promise, minutes: &Minutes, warnings: &[&BreachRow]) -> Result<(), String> {
    let mut seen = 0;
    for percent in [50, 75, 90] {
        let of_share = warnings.iter().filter(|row| row.span_us.is_none());
        let of_share = of_share
            .filter(|row| row.threshold_ratio.is_some_and(|share| i128::from(share.0.0) == percent * WHOLE / 100));
        let places: Vec<i64> = of_share.map(|row| Minutes::place(promise, row.at)).collect();
        seen += places.len();
        minutes
            .begins_at(&places, |place| minutes.is_used_up(promise, percent, place))
            .map_err(|error| format!("{percent} %: {error}"))?;
    }
    for pair in PAIRS {
        let (long, _, percent, severity) = pair;
        let (part, whole) = (percent * i128::from(promise.agreed()), 100 * i128::from(long));
        let of_pair = warnings.iter().filter(|row| row.span_us == Some(long * MINUTE));
        let of_pair: Vec<_> = of_pair.collect();
        let places: Vec<i64> = of_pair.iter().map(|row| Minutes::place(promise, row.at)).collect();
        seen += places.len();
        if part < whole {
            if !places.is_empty() {
                return Err(format!("{pair:?} warns of a rate at which the budget lasts"));
            }
            continue;
        }
        minutes
            .begins_at(&places, |place| minutes.is_burning(promise, pair, place))
            .map_err(|error| format!("{pair:?}: {error}"))?;
        minutes
            .ends_at(promise, &of_pair, |place| minutes.is_burning(promise, pair, place))
            .map_err(|error| format!("{pair:?}: {error}"))?;
        let factor = part * WHOLE / whole;
        let is_told = |row: &&&BreachRow| {
            row.severity.as_deref() == Some(severity)
                && row.threshold_ratio.is_some_and(|rate| i128::from(rate.0.0) == factor)
        };
        if let Some(row) = of_pair.iter().find(|row| !is_told(row)) {
            return Err(format!("{pair:?} says {row:?}"));
        }
    }
    if seen == warnings.len() {
        Ok(())
    } else {
        Err(format!("{} warnings, of which {seen} were looked for", warnings.len()))
    }
}

/// What a row says of the budget: allowed, left, headroom, verdict.
fn budget(row: &AttainmentRow) -> (Option<i64>, Option<i64>, Option<i64>, &str) {
    (row.budget_us, row.budget_left_us, row.headroom_us, &row.verdict)
}

/// The same from the minutes.
fn expected_budget(promise: Promise, minutes: &Minutes) -> (Option<i64>, Option<i64>, Option<i64>, &'static str) {
    let passed = minutes.count() * MINUTE;
    let (bad, removed) = minutes.until(passed);
    let allowance = promise.allowance(i128::from(promise.agreed() * MINUTE) - removed);
    let down = |scaled: i128| i64::try_from(scaled.div_euclid(WHOLE)).expect("microseconds");
    let left = down(allowance - bad);
    let verdict = match () {
        () if removed == i128::from(passed) => "no_data",
        () if bad > allowance => "breached",
        () if bad > 0 && 10 * bad >= 9 * allowance => "at_risk",
        () => "met",
    };
    (Some(down(allowance)), Some(left), Some(left.clamp(0, promise.agreed() * MINUTE - passed)), verdict)
}

fn world() -> Arc<Portfolio> {
    let terms = "  exclusions:\n    times: [{from: 2001-04-02T06:30:00, until: 2001-04-02T09:00:00, reason: storm}]\n";
    let objectives = Promise::all().into_iter().enumerate().map(|(number, promise)| promise.definition(number));
    office_world("state: {stale_after: 2h}", "from: 2001-04-01, until: 2001-05-01", terms, objectives)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn r27_r28_budgets_and_warnings_agree_with_a_count_of_minutes(
        events in prop::collection::vec(happening(), 1..50),
        probed in 0..200_i64,
        length in 1..160_i64,
        now in 30..WEEK + 10,
    ) {
        // A stretch of good results, without which nearly everything would be unknown.
        let probes = (probed..probed + length).map(|time| Happening::Probe(time, Status::Up));
        let relevant = events.iter().copied().chain(probes).filter(|event| matches!(event, Happening::Probe(..)));
        let events: Vec<Happening> = relevant.filter(|event| event.time() <= now as i64).collect();
        let tick = Instant((APRIL + now as i64) * HOUR / 2);
        let numbered: Vec<_> = events.iter().map(|event| event.later(APRIL)).enumerate().collect();
        let mut group = LaneGroup::new(world(), 1);
        group.fold(&delivery(&numbered, 0, true), tick);
        let facts = group.close(1, tick, true);
        let states = states(&events, now);
        for (number, promise) in Promise::all().into_iter().enumerate() {
            let id = format!("o{number:02}");
            let minutes = Minutes::of(promise, &states);
            let warnings = facts.breaches.iter().filter(|row| row.objective == id && row.event == "warning");
            let agree = warnings_agree(promise, &minutes, &warnings.collect::<Vec<_>>());
            prop_assert!(agree.is_ok(), "{:?}: {:?}", promise, agree);
            let row = facts.attainment.iter().find(|row| *row.objective == *id).expect("a result");
            prop_assert_eq!(budget(row), expected_budget(promise, &minutes), "{:?}", promise);
        }
    }
}

/// Two versions of an agreement over scores and what else there is, over windows that are not the same.
fn liked() -> Arc<Portfolio> {
    let version = |number: usize, effective: &str| {
        format!(
            "---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: liked, version: {number}}}
spec:
  type: ola
  services: [mail, web]
  effective: {{{effective}}}
  objectives:
    - {{id: day-scores, indicator: {{signal: satisfaction, good_from: 8}}, target: {{at_least: 60 %}}, window: {{calendar: day}}}}
    - {{id: week-scores, indicator: {{signal: net_promoter_score}}, target: {{at_least: 0}}, window: {{calendar: week}}}}
    - {{id: lately-scores, indicator: {{signal: satisfaction, good_from: 9}}, target: {{at_least: 60 %}}, window: {{rolling: 36h}}}}
    - {{id: uptime, indicator: {{signal: availability}}, target: {{at_least: 80 %}}, window: {{calendar: day}}}}
    - {{id: outages, indicator: {{signal: outage_count}}, target: {{at_most: 2}}, window: {{calendar: week}}}}
    - {{id: fix, indicator: {{signal: resolution_time, within: 9h}}, target: {{at_least: 50 %}}, window: {{rolling: 2d}}}}
"
        )
    };
    portfolio_of(&format!(
        "
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}, spec: {{state: {{stale_after: 2h}}}}}}
---
{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: mail}}, spec: {{state: {{from: incidents}}}}}}
{}{}",
        version(1, "from: 2001-01-01, until: 2001-01-05"),
        version(2, "from: 2001-01-05, until: 2001-01-08")
    ))
}

/// Version, service, objective and start of the window.
type ResultKey = (i32, String, String, Instant);

/// The results that stand after everything.
fn standing(all: &[Facts]) -> BTreeMap<ResultKey, AttainmentRow> {
    let mut standing = BTreeMap::new();
    for row in all.iter().flat_map(|facts| &facts.attainment) {
        let key = (row.agreement_version, row.service.to_string(), row.objective.to_string(), row.window_start);
        standing.insert(key, row.clone());
    }
    standing.retain(|_, row| !row.retracted);
    standing
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r36_watermelons_agree_with_a_look_at_every_half_hour(
        events in prop::collection::vec(happening(), 0..12),
        scores in prop::collection::vec((0..WEEK as i64, 0..11_i64), 1..20),
        cut in any::<prop::sample::Index>(),
        now in DAY..WEEK + 60,
    ) {
        let scores = scores.iter().map(|(time, score)| Happening::Score(*time, *score));
        let known = events.iter().copied().chain(scores).filter(|event| event.time() <= now as i64);
        let numbered: Vec<_> = known.map(|event| event.later(EPOCH)).enumerate().collect();
        let (early, late) = numbered.split_at(cut.index(numbered.len() + 1));
        let tick = Instant((EPOCH + now as i64) * HOUR / 2);
        let mut group = LaneGroup::new(liked(), 1);
        let mut all = Vec::new();
        for part in [early, late] {
            group.fold(&delivery(part, all.len() as i64 * 1_000, true), tick);
            all.push(group.close(all.len() as i64 + 1, tick, true));
        }
        let mut found = BTreeMap::new();
        for row in all.iter().flat_map(|facts| &facts.watermelons) {
            let key = (row.agreement_version, row.service.clone(), row.objective.clone(), row.window_start);
            found.insert(key, (!row.retracted).then_some((row.met_count, row.unknown_count)));
        }
        found.retain(|_, counts| counts.is_some());

        let standing = standing(&all);
        let shared = |one: &AttainmentRow, other: &AttainmentRow| {
            let ticks = (one.segment_start.0..one.segment_end.0).step_by((HOUR / 2) as usize);
            ticks.into_iter().any(|at| (other.segment_start.0..other.segment_end.0).contains(&at))
        };
        let is_other = |other: &ResultKey, key: &ResultKey| other.0 == key.0 && !other.2.ends_with("scores");
        let mut expected = BTreeMap::new();
        for (key, red) in &standing {
            if !key.2.ends_with("scores") || &*red.verdict != "breached" || &*red.finality != "final" {
                continue;
            }
            let is_around = |(other, row): &(&ResultKey, &AttainmentRow)| is_other(other, key) && shared(red, row);
            let around = standing.iter().filter(is_around);
            let verdicts: Vec<&str> = around.map(|(_, row)| &*row.verdict).collect();
            let count = |words: &[&str]| verdicts.iter().filter(|verdict| words.contains(verdict)).count() as i64;
            if count(&["met"]) > 0 && count(&["breached", "at_risk"]) == 0 {
                expected.insert(key.clone(), Some((count(&["met"]), count(&["no_data", "insufficient_data"]))));
            }
        }
        let found: BTreeMap<_, _> = found.into_iter().map(|((version, service, objective, start), counts)| {
            ((version, service.to_string(), objective.to_string(), start), counts)
        }).collect();
        prop_assert_eq!(found, expected);
    }
}
