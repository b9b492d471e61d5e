//! A second, naive computation of the parts under all policies (R3-R9), half hour by half hour from the raw events. It
//! shares nothing with the engine but the events, so that the two can only agree by both being right.

use std::collections::BTreeMap;

use plimsoll_schemas::table::AttainmentRow;

use super::*;

/// The half hours from 1970 until 2001-01-01, a Monday, when this world begins: calendars with hours know nothing of
/// 1970.
pub(super) const EPOCH: i64 = 11_323 * 48;

/// Half hours in a day, and in the week in which everything happens.
pub(super) const DAY: usize = 48;
pub(super) const WEEK: usize = 7 * DAY;

/// Silence of so many half hours makes `web` unknown.
const STALE: i64 = 4;
/// Terms of the agreement: notice and cap in half hours, and the half hours of force majeure.
pub(super) const NOTICE: i64 = 24;
pub(super) const CAP: usize = 10;
const FORCE_MAJEURE: std::ops::Range<usize> = DAY + 13..DAY + 18;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tick {
    Unknown,
    Down,
    Degraded,
    Up,
}

/// One combination of policies. The target leaves no verdict to compare, only the parts and the share.
#[derive(Clone, Copy, Debug)]
struct Policies {
    excluded: &'static str,
    unknown: &'static str,
    denominator: &'static str,
    /// In half hours; 1 is what no outage of this world is shorter than.
    min_outage: usize,
    /// From 08:00 to 16:00 instead of around the clock.
    office: bool,
}

impl Policies {
    fn all() -> Vec<Policies> {
        let mut all = Vec::new();
        for excluded in ["remove", "count_good", "count_actual"] {
            for unknown in ["remove", "good", "bad", "hold"] {
                for (denominator, min_outage, office) in
                    [("elapsed", 1, false), ("full_window", 3, false), ("full_window", 1, true), ("elapsed", 5, true)]
                {
                    all.push(Policies { excluded, unknown, denominator, min_outage, office });
                }
            }
        }
        all
    }

    fn definition(number: usize, policies: Policies) -> String {
        let Policies { excluded, unknown, denominator, min_outage, office } = policies;
        let calendar = if office { "office" } else { "24x7" };
        format!(
            "    - id: o{number:02}\n      indicator: {{signal: availability, calendar: {calendar}, unknown: {unknown}, \
             excluded: {excluded}, denominator: {denominator}, min_outage: {}m}}\n      target: {{at_least: 50 %}}\n\
             \x20     window: {{calendar: day}}\n",
            min_outage * 30
        )
    }
}

fn world() -> Arc<Portfolio> {
    let terms = "  exclusions:\n    maintenance: {notice: 12h, at_most: 5h}\n    \
                 times: [{from: 2001-01-02T06:30:00, until: 2001-01-02T09:00:00, reason: force majeure}]\n";
    let objectives =
        Policies::all().into_iter().enumerate().map(|(number, policies)| Policies::definition(number, policies));
    office_world("state: {stale_after: 2h}", "from: 2001-01-01, until: 2001-01-08", terms, objectives)
}

/// What `web` was in each half hour before `now`.
pub(super) fn states(events: &[Happening], now: usize) -> Vec<Tick> {
    let mut results: Vec<(i64, Status)> = events
        .iter()
        .filter_map(|event| if let Happening::Probe(time, status) = *event { Some((time, status)) } else { None })
        .collect();
    // Of several results of one half hour the worst counts: down, degraded, unknown, up.
    let rank = |status| match status {
        Status::Up => 0,
        Status::Unknown => 1,
        Status::Degraded => 2,
        Status::Down => 3,
    };
    results.sort_by_key(|&(time, status)| (time, rank(status)));
    (0..now as i64)
        .map(|tick| match results.iter().rev().find(|(time, _)| *time <= tick) {
            Some((time, status)) if tick - time < STALE => match status {
                Status::Up => Tick::Up,
                Status::Degraded => Tick::Degraded,
                Status::Down => Tick::Down,
                Status::Unknown => Tick::Unknown,
            },
            _ => Tick::Unknown,
        })
        .collect()
}

/// Each run of `down` shorter than this in the state around it, if that is the same and known on both sides.
pub(super) fn smoothed(states: &[Tick], min_outage: usize) -> Vec<Tick> {
    let mut smooth = states.to_vec();
    for start in 0..states.len() {
        if states[start] != Tick::Down || start == 0 || states[start - 1] == Tick::Down {
            continue;
        }
        let length = states[start..].iter().take_while(|state| **state == Tick::Down).count();
        let (before, after) = (states[start - 1], states.get(start + length));
        if length < min_outage && after == Some(&before) && before != Tick::Unknown {
            smooth[start..start + length].fill(before);
        }
    }
    smooth
}

/// The half hours for which a change is approved in time, change by change: what its last plan says, if it was approved
/// after that and early enough, and if it is neither cancelled nor, by the last word, an emergency.
pub(super) fn maintained(events: &[Happening]) -> Vec<bool> {
    let mut changes: BTreeMap<u8, Vec<(i64, Said)>> = BTreeMap::new();
    for event in events {
        if let Happening::Change(time, change, said) = *event {
            changes.entry(change).or_default().push((time, said));
        }
    }
    let mut maintained = vec![false; 2 * WEEK];
    for mut records in changes.into_values() {
        let order = |said: &Said| match *said {
            Said::Planned(start, end) => (0, start, end),
            Said::Approved => (1, 0, 0),
            Said::Cancelled => (2, 0, 0),
            Said::Emergency(said) => (3, i64::from(said), 0),
            Said::Finished => (4, 0, 0),
        };
        records.sort_by_key(|(time, said)| (*time, order(said)));
        let (mut plan, mut approved, mut emergency) = (None, None, false);
        for (time, said) in &records {
            match *said {
                Said::Planned(start, end) if plan != Some((start, end)) => {
                    (plan, approved) = (Some((start, end)), None)
                }
                Said::Planned(..) => {}
                Said::Approved if plan.is_some() && approved.is_none() => approved = Some(*time),
                Said::Approved | Said::Finished => {}
                Said::Emergency(said) => emergency = said,
                Said::Cancelled => approved = None,
            }
        }
        let cancelled = records.iter().any(|(_, said)| matches!(said, Said::Cancelled));
        let (Some((start, end)), Some(approved)) = (plan, approved) else { continue };
        if !cancelled && !emergency && approved + NOTICE <= start {
            (start..end).for_each(|tick| maintained[tick as usize] = true);
        }
    }
    maintained
}

/// The row of one objective for one day as it should be: (good, bad, degraded, excluded, unknown) half hours, and the
/// good share in billionths.
fn expected(events: &[Happening], policies: Policies, day: usize, now: usize) -> ([usize; 5], Option<i64>) {
    let agreed = |tick: usize| !policies.office || (16..32).contains(&(tick % DAY));
    let smooth = smoothed(&states(events, now), policies.min_outage);
    let maintained = maintained(events);
    let mut left = CAP;
    let mut parts = [0; 5];
    let (mut good, mut total) = (0, 0);
    for tick in (day * DAY..(day + 1) * DAY).filter(|tick| agreed(*tick)) {
        let by_change = maintained[tick] && !FORCE_MAJEURE.contains(&tick) && left > 0;
        left -= usize::from(by_change);
        let excluded = by_change || FORCE_MAJEURE.contains(&tick);
        let Some(&state) = smooth.get(tick) else {
            if policies.denominator == "full_window" {
                (good, total) = (good + 1, total + 1);
            }
            continue;
        };
        let part = match state {
            _ if excluded => 3,
            Tick::Up => 0,
            Tick::Down => 1,
            Tick::Degraded => 2,
            Tick::Unknown => 4,
        };
        parts[part] += 1;
        let known = smooth[..=tick].iter().rev().find(|state| **state != Tick::Unknown);
        let is_good = match (policies.excluded, policies.unknown, state) {
            ("remove", _, _) if excluded => None,
            ("count_good", _, _) if excluded => Some(true),
            (_, "good", Tick::Unknown) => Some(true),
            (_, "bad", Tick::Unknown) => Some(false),
            (_, "hold", Tick::Unknown) => known.map(|state| *state != Tick::Down),
            (_, _, Tick::Unknown) => None,
            _ => Some(state != Tick::Down),
        };
        if let Some(is_good) = is_good {
            (good, total) = (good + i64::from(is_good), total + 1);
        }
    }
    let passed = (day * DAY..((day + 1) * DAY).min(now)).filter(|tick| agreed(*tick)).count();
    let ahead = (day * DAY..(day + 1) * DAY).filter(|tick| agreed(*tick)).count() - passed;
    let measured = if policies.denominator == "full_window" { total - ahead as i64 } else { total };
    (parts, (measured > 0).then(|| good * 1_000_000_000 / total))
}

fn half_hours(row: &AttainmentRow) -> [usize; 5] {
    [row.good_us, row.bad_us, row.degraded_us, row.excluded_us, row.unknown_us]
        .map(|time| usize::try_from(time * 2 / HOUR).expect("not negative"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r5_r6_r7_r9_agree_with_a_count_of_half_hours(
        events in prop::collection::vec(happening(), 1..80),
        probed in 0..300_i64,
        now in 30..WEEK + 10,
    ) {
        // A stretch of good results, without which nearly everything would be unknown.
        let probes = (probed..probed + 60).map(|time| Happening::Probe(time, Status::Up));
        let relevant = events.iter().copied().chain(probes).filter_map(|event| match event {
            Happening::Probe(..) => Some(event),
            // Those with even numbers are of `web`.
            Happening::Change(time, change, said) => Some(Happening::Change(time, change * 2, said)),
            _ => None,
        });
        let events: Vec<Happening> = relevant.filter(|event| event.time() <= now as i64).collect();
        let tick = Instant((EPOCH + now as i64) * HOUR / 2);
        let mut group = LaneGroup::new(world(), 1);
        let numbered: Vec<_> = events.iter().map(|event| event.later(EPOCH)).enumerate().collect();
        group.fold(&delivery(&numbered, 0, true), tick);
        let rows = group.close(1, tick, true).attainment;
        prop_assert_eq!(rows.len(), Policies::all().len() * now.min(WEEK).div_ceil(DAY));
        for row in rows {
            let number: usize = row.objective[1..].parse().expect("a number");
            let day = (row.window_start.0 * 2 / HOUR - EPOCH) as usize / DAY;
            let policies = Policies::all()[number];
            let (parts, share) = expected(&events, policies, day, now);
            prop_assert_eq!(half_hours(&row), parts, "day {} of {:?}", day, policies);
            let found = row.attainment_ratio.map(|share| share.0.0);
            prop_assert_eq!(found, share, "day {} of {:?}", day, policies);
        }
    }
}
