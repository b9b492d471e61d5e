//! A second, naive computation of what a planned change takes of what is left (R30), half hour by half hour: April as it
//! went until now, untroubled from then on, once without the change and once with every outage that it may have.

use std::ops::Range;

use super::reference::{CAP, DAY, EPOCH, NOTICE, Tick, WEEK, maintained, smoothed, states};
use super::*;
use crate::gate::PlannedChange;
use crate::verdict::Value;
use crate::window::Window;

/// The half hours until 2001-04-01, a Sunday, when this world begins, and those of April.
const APRIL: i64 = EPOCH + 90 * DAY as i64;
const MONTH: usize = 30 * DAY;

/// What is promised; a share in percent, or a limit in half hours or a number.
#[derive(Clone, Copy, Debug)]
struct Promise {
    signal: &'static str,
    target: i64,
    window: &'static str,
    office: bool,
    excluded: &'static str,
    unknown: &'static str,
    /// In half hours; 1 is what no outage of this world is shorter than.
    min_outage: usize,
}

impl Promise {
    fn all() -> Vec<Promise> {
        let mut all = Vec::new();
        for (signal, target, min_outage) in
            [("availability", 97, 1), ("downtime", 20, 1), ("longest_outage", 8, 4), ("outage_count", 2, 1)]
        {
            for window in ["day", "week", "month"] {
                for (office, excluded, unknown) in [
                    (false, "remove", "remove"),
                    (false, "count_good", "hold"),
                    (true, "count_actual", "good"),
                    (true, "remove", "hold"),
                ] {
                    all.push(Promise { signal, target, window, office, excluded, unknown, min_outage });
                }
            }
        }
        all
    }

    fn definition(self, number: usize) -> String {
        let Promise { signal, target, window, office, excluded, unknown, min_outage } = self;
        let target = match signal {
            "availability" => format!("at_least: {target} %"),
            "outage_count" => format!("at_most: {target}"),
            _ => format!("at_most: {}m", target * 30),
        };
        let calendar = if office { "office" } else { "24x7" };
        format!(
            "    - {{id: o{number:02}, indicator: {{signal: {signal}, calendar: {calendar}, excluded: {excluded}, unknown: \
             {unknown}, min_outage: {}m}}, target: {{{target}}}, window: {{calendar: {window}}}}}\n",
            min_outage * 30
        )
    }

    fn is_agreed(self, tick: usize) -> bool {
        !self.office || (16..32).contains(&(tick % DAY))
    }

    /// The windows that share time with a stretch, as far as they lie in April, which begins on a Sunday.
    fn windows(self, stretch: Range<usize>) -> Vec<Range<usize>> {
        let edges: Vec<usize> = match self.window {
            "day" => (0..=30).map(|day| day * DAY).collect(),
            "week" => [0, DAY, DAY + WEEK, DAY + 2 * WEEK, DAY + 3 * WEEK, DAY + 4 * WEEK, MONTH].into(),
            _ => vec![0, MONTH],
        };
        let windows = edges.windows(2).map(|two| two[0]..two[1]);
        windows.filter(|window| window.start < stretch.end && stretch.start < window.end).collect()
    }
}

/// Which half hours of a window are excluded: agreed ones of approved changes, until the cap is used up.
fn excluded(promise: Promise, maintained: &[bool], window: &Range<usize>) -> Vec<bool> {
    let mut left = CAP;
    let mut excluded = vec![false; window.end];
    for tick in window.clone() {
        excluded[tick] = maintained[tick] && promise.is_agreed(tick) && left > 0;
        left -= usize::from(excluded[tick]);
    }
    excluded
}

/// What is left of a promise in a window in microseconds or as a number, if anything was measured.
fn left(promise: Promise, states: &[Tick], excluded: &[bool], window: &Range<usize>) -> Option<i64> {
    let smooth = smoothed(states, promise.min_outage);
    let (mut agreed, mut good, mut bad, mut removed) = (0_i64, 0_i64, 0_i64, 0_i64);
    let (mut outage, mut longest, mut count) = (0_i64, 0_i64, 0_i64);
    for tick in window.clone() {
        let length = i64::from(promise.is_agreed(tick));
        agreed += length;
        let known = smooth[..=tick].iter().rev().find(|state| **state != Tick::Unknown).copied();
        let below = match (smooth[tick], promise.unknown) {
            (Tick::Unknown, "hold") => known.unwrap_or(Tick::Unknown),
            (state, _) => state,
        };
        let counted = match promise.excluded {
            "remove" if excluded[tick] => None,
            "count_good" if excluded[tick] => Some(Tick::Up),
            _ => Some(below),
        };
        match counted {
            Some(Tick::Down) => bad += length,
            Some(Tick::Up | Tick::Degraded) => good += length,
            Some(Tick::Unknown) if promise.unknown == "good" => good += length,
            _ => removed += length,
        }
        if counted == Some(Tick::Down) {
            count += i64::from(outage == 0 && length > 0);
            outage += length;
            longest = longest.max(outage);
        } else if !(counted.is_none() && below == Tick::Down) {
            outage = 0;
        }
    }
    let half_hours = |ticks: i64| ticks * HOUR / 2;
    let left = match promise.signal {
        "availability" => ((100 - promise.target) * half_hours(agreed - removed)).div_euclid(100) - half_hours(bad),
        "downtime" => half_hours(promise.target - bad),
        "longest_outage" => half_hours(promise.target - longest),
        _ => promise.target - count,
    };
    (good + bad > 0).then_some(left)
}

/// The outages that a change may have in a window: where only their sum matters its downtime in the half hours that
/// count, else every single one that is not too long.
fn outages(
    promise: Promise,
    planned: &Range<usize>,
    downtime: usize,
    excluded: &[bool],
    window: &Range<usize>,
) -> Vec<Vec<usize>> {
    if ["availability", "downtime"].contains(&promise.signal) {
        let counts =
            |tick: &usize| promise.is_agreed(*tick) && (!excluded[*tick] || promise.excluded == "count_actual");
        let within = planned.clone().filter(|tick| window.contains(tick));
        return vec![within.filter(counts).take(downtime).collect()];
    }
    let until = |start: usize| (start + 1..=planned.end.min(start + downtime)).map(move |end| (start..end).collect());
    planned.clone().flat_map(until).collect()
}

fn world() -> Arc<Portfolio> {
    let terms = "  exclusions: {maintenance: {notice: 12h, at_most: 5h}}\n";
    let objectives = Promise::all().into_iter().enumerate().map(|(number, promise)| promise.definition(number));
    office_world("state: {stale_after: 2h}", "from: 2001-04-01, until: 2001-05-01", terms, objectives)
}

/// Objective, start of the window, what is left before and after, half hours that are excluded, whether it is a go.
type Told = (String, Instant, Option<(i64, i64)>, usize, bool);

fn told(group: &LaneGroup, change: &PlannedChange, from: Instant) -> Vec<Told> {
    let service = group.portfolio().service_place("web").expect("a service");
    let number = |value: Value| match value {
        Value::Time(time) => time.0,
        Value::Count(count) => count,
        Value::Share(share) => share.0,
    };
    let impacts = group.gate(service, change).into_iter().map(|(plan, impact)| {
        let left = impact.left.map(|(before, after)| (number(before), number(after)));
        let excluded = (impact.excluded.0 * 2 / HOUR) as usize;
        (plan.key.objective.to_string(), impact.window.start.max(from), left, excluded, impact.go)
    });
    let mut impacts: Vec<Told> = impacts.collect();
    impacts.sort();
    impacts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn r30_a_planned_change_takes_what_a_count_of_half_hours_says(
        events in prop::collection::vec(happening(), 1..60),
        now in 30..WEEK,
        // A change that begins at once may or may not prolong an outage of now, which lies between half hours.
        ahead in 1..100_usize,
        length in 1..14_usize,
        downtime in prop::option::of(1..14_usize),
        is_emergency in any::<bool>(),
    ) {
        let planned = now + ahead..now + ahead + length;
        let relevant = events.iter().copied().filter_map(|event| match event {
            Happening::Probe(..) => Some(event),
            // Those with even numbers are of `web`.
            Happening::Change(time, change, said) => Some(Happening::Change(time, change * 2, said)),
            _ => None,
        });
        let events: Vec<Happening> = relevant.filter(|event| event.time() <= now as i64).collect();
        let at = |tick: usize| Instant((APRIL + tick as i64) * HOUR / 2);
        let numbered: Vec<_> = events.iter().map(|event| event.later(APRIL)).enumerate().collect();
        let mut group = LaneGroup::new(world(), 1);
        group.fold(&delivery(&numbered, 0, true), at(now));
        group.close(1, at(now), true);
        let change = PlannedChange {
            id: "".into(),
            window: Window { start: at(planned.start), end: at(planned.end) },
            downtime: downtime.map(|ticks| Micros(ticks as i64 * HOUR / 2)),
            approved_at: (!is_emergency).then_some(at(now)),
            customer: None,
        };
        let found = told(&group, &change, at(0));

        let mut without = states(&events, now);
        without.resize(MONTH + DAY, Tick::Up);
        let mut approved = maintained(&events);
        approved.resize(MONTH + DAY, false);
        let mut approved_too = approved.clone();
        if !is_emergency && now + NOTICE as usize <= planned.start {
            approved_too[planned.clone()].fill(true);
        }
        let downtime = downtime.unwrap_or(length).min(length);
        let mut expected: Vec<(Promise, Told)> = Vec::new();
        for (number, promise) in Promise::all().into_iter().enumerate() {
            for window in promise.windows(planned.clone()) {
                let before = left(promise, &without, &excluded(promise, &approved, &window), &window);
                let excluded = excluded(promise, &approved_too, &window);
                let after = outages(promise, &planned, downtime, &excluded, &window).into_iter().map(|outage| {
                    let mut with = without.clone();
                    outage.into_iter().for_each(|tick| with[tick] = Tick::Down);
                    left(promise, &with, &excluded, &window)
                });
                let after = after.min().expect("an outage");
                let go = after.is_none_or(|after| after >= 0 || before.is_some_and(|before| before < 0 && after >= before));
                let of_change = planned.clone().filter(|tick| window.contains(tick) && excluded[*tick]).count();
                expected.push((promise, (format!("o{number:02}"), at(window.start), before.zip(after), of_change, go)));
            }
        }
        expected.sort_by(|(_, one), (_, other)| one.cmp(other));
        prop_assert_eq!(found.len(), expected.len());
        for (found, (promise, expected)) in found.into_iter().zip(expected) {
            // Parts of an outage that excluded time leaves may count however short they are.
            if promise.signal == "outage_count" && promise.excluded == "count_good" && found != expected {
                let after = |told: &Told| told.2.map(|(_, after)| after);
                prop_assert!(after(&found) < after(&expected), "{:?}: {:?}, {:?}", promise, found, expected);
                continue;
            }
            prop_assert_eq!(found, expected, "{:?} planned for {:?}, now {}", promise, planned, now);
        }
    }
}
