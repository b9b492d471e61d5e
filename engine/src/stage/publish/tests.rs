//! One objective over a life of windows: provisional, final, corrected.

use std::sync::Arc;

use plimsoll_schemas::ratio::Share;

use super::*;
use crate::portfolio::Portfolio;
use crate::portfolio::tests::portfolio_of;
use crate::stage::outlook::Forecasts;
use crate::state::State;
use crate::state::exclusion::ApprovedWindows;
use crate::state::service::Segment;

/// A portfolio of one service `web` with one objective of this signal, judged a day in UTC from 1970-01-01 on, with a
/// target of at least 90 %, and this grace in seconds.
pub fn portfolio(signal: &str, grace_seconds: i64) -> Portfolio {
    let kind = if signal == "good_ratio" { ", kind: monitoring" } else { "" };
    let text = format!(
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: web}}\n---\n\
         apiVersion: plimsoll/v1\nkind: Source\nmetadata: {{id: plain}}\nspec: {{topics: [t], lateness: {grace_seconds}s}}\n---\n\
         apiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: ola}}\nspec:\n  type: ola\n  services: [web]\n  \
         effective: {{from: 1970-01-01}}\n  objectives:\n  - id: promise\n    indicator: {{signal: {signal}{kind}}}\n    \
         target: {{at_least: 90 %}}\n    window: {{calendar: day}}\n"
    );
    portfolio_of(&text)
}

mod ahead;
mod forgets;
mod looks;
mod warns;

const DAY: i64 = 86_400_000_000;
const NO_MAINTENANCE: &ApprovedWindows = &ApprovedWindows::new();

fn step(epoch: i64, watermark: i64, publish: bool) -> Step {
    Step { epoch, tick: Instant(watermark), watermark: Instant(watermark), publish, closed_until: Instant(i64::MIN) }
}

fn said(facts: &Facts) -> Vec<String> {
    let rows = facts.attainment.iter().map(|row| {
        format!(
            "day {} {} {} {}/{} r{}",
            row.window_start.0 / DAY,
            row.finality,
            row.verdict,
            row.good_count,
            row.total_count,
            row.revision
        )
    });
    let corrections = facts.corrections.iter().map(|row| format!("correction r{}", row.revision));
    let breaches = facts.breaches.iter().map(|row| format!("{} at {}", row.event, row.at.0));
    rows.chain(corrections).chain(breaches).collect()
}

#[test]
fn r22_provisional_then_final_then_revised_with_a_correction() {
    let portfolio = Arc::new(portfolio("good_ratio", 60));
    let plan = &portfolio.objectives()[0];
    let objective = portfolio.services()[0].event_objectives[0];
    let mut state = ObjectiveState::new(plan);
    let close = |state: &mut ObjectiveState, step: Step| {
        let mut facts = Facts::default();
        state.publish(
            plan,
            portfolio.grace(),
            &step,
            &mut Known::new(&[], NO_MAINTENANCE, &mut Forecasts::default()),
            &[],
            &mut facts,
        );
        said(&facts)
    };
    let count = |at, good, total| Contribution { objective, at: Instant(at), good, total, speaks: false, bin: None };

    state.contribute(plan, count(10, 95, 100));
    assert_eq!(close(&mut state, step(1, 100, true)), ["day 0 provisional met 95/100 r0"]);
    assert_eq!(close(&mut state, step(2, 200, true)), Vec::<String>::new(), "nothing changed");
    state.contribute(plan, count(20, 0, 10));
    assert_eq!(close(&mut state, step(3, 300, false)), ["day 0 provisional at_risk 95/110 r0"], "the verdict changed");
    state.contribute(plan, count(30, 5, 5));
    assert_eq!(
        close(&mut state, step(4, 400, false)),
        Vec::<String>::new(),
        "the verdict is the same and nothing is published"
    );
    // The day is over, but not its grace of a minute: 100 of 115 are 86.9 %, below 90 %.
    let over = close(&mut state, step(5, DAY + 59_000_000, false));
    assert_eq!(
        over,
        ["day 0 provisional breached 100/115 r0", "day 1 provisional no_data 0/0 r0", &format!("breach at {DAY}")]
    );
    assert!(state.is_due(&step(6, DAY + 60_000_000, false), portfolio.grace()));
    assert_eq!(close(&mut state, step(6, DAY + 60_000_000, false)), ["day 0 final breached 100/115 r1"]);
    state.contribute(plan, count(40, 50, 50));
    // 150 of 165 are 90.9 %.
    let late = close(&mut state, step(7, DAY + 70_000_000, false));
    assert_eq!(late, ["day 0 final met 150/165 r2", "correction r2", &format!("retraction at {DAY}")]);
}

#[test]
fn r22_what_changes_no_number_makes_no_revision() {
    let text = "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [t], lateness: 0s}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01}
  objectives:
    - {id: promise, indicator: {signal: overdue_count, within: 20m}, target: {at_most: 2}, window: {calendar: day}}
";
    let portfolio = portfolio_of(text);
    let plan = &portfolio.objectives()[0];
    let mut state = ObjectiveState::new(plan);
    let mut close = |steps: &[(i64, i64, i64)], watermark| {
        for (at, good, total) in steps {
            let (at, objective) = (Instant(*at), portfolio.objective_place(&plan.key).expect("it is there"));
            let count = Contribution { objective, at, good: *good, total: *total, speaks: false, bin: None };
            state.contribute(plan, count);
        }
        let mut facts = Facts::default();
        let (grace, mut forecasts) = (portfolio.grace(), Forecasts::default());
        let known = &mut Known::new(&[], NO_MAINTENANCE, &mut forecasts);
        state.publish(plan, grace, &step(1, watermark, true), known, &[], &mut facts);
        said(&facts)
    };
    // A ticket is opened on the first day and overdue from then on: at the most one of one is.
    let opened = close(&[(100, 1, 1), (200, -1, 0)], 2 * DAY);
    assert_eq!(opened[..2], ["day 0 final met 0/1 r1", "day 1 final met 0/1 r1"]);
    // That it was resolved in the middle of the second day comes late: one was overdue at its beginning all the same.
    assert_eq!(close(&[(DAY + 50, 0, -1)], 2 * DAY + 1), ["day 2 provisional no_data 0/0 r0"]);
}

#[test]
fn r11_nothing_measured_is_no_data() {
    let portfolio = portfolio("good_ratio", 0);
    let plan = &portfolio.objectives()[0];
    let mut facts = Facts::default();
    ObjectiveState::new(plan).publish(
        plan,
        portfolio.grace(),
        &step(1, 3 * DAY, true),
        &mut Known::new(&[], NO_MAINTENANCE, &mut Forecasts::default()),
        &[],
        &mut facts,
    );
    assert_eq!(
        said(&facts),
        ["day 0 final no_data 0/0 r1", "day 1 final no_data 0/0 r1", "day 2 final no_data 0/0 r1"]
    );
    assert!(facts.attainment.iter().all(|row| row.attainment_ratio.is_none()));
}

#[test]
fn counts_beyond_the_largest_number_stay_there_and_stop_nobody() {
    let portfolio = portfolio("good_ratio", 0);
    let plan = &portfolio.objectives()[0];
    let objective = portfolio.services()[0].event_objectives[0];
    let mut state = ObjectiveState::new(plan);
    for _ in 0..2 {
        state.contribute(
            plan,
            Contribution { objective, at: Instant(10), good: 0, total: i64::MAX, speaks: false, bin: None },
        );
    }
    let mut facts = Facts::default();
    state.publish(
        plan,
        portfolio.grace(),
        &step(1, 100, true),
        &mut Known::new(&[], NO_MAINTENANCE, &mut Forecasts::default()),
        &[],
        &mut facts,
    );
    assert_eq!(said(&facts), [format!("day 0 provisional at_risk 0/{} r0", i64::MAX)]);
}

#[test]
fn r21_a_breach_that_moves_is_said_again_with_the_next_revision() {
    let portfolio = portfolio("good_ratio", 60);
    let plan = &portfolio.objectives()[0];
    let objective = portfolio.services()[0].event_objectives[0];
    let mut state = ObjectiveState::new(plan);
    let mut close = |good, total, step: Step| {
        let mut facts = Facts::default();
        state.contribute(plan, Contribution { objective, at: Instant(10), good, total, speaks: false, bin: None });
        state.publish(
            plan,
            portfolio.grace(),
            &step,
            &mut Known::new(&[], NO_MAINTENANCE, &mut Forecasts::default()),
            &[],
            &mut facts,
        );
        let shown =
            |row: &plimsoll_schemas::table::BreachRow| format!("{} r{}: {}", row.event, row.revision, row.detail);
        facts.breaches.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(close(1, 2, step(1, DAY + 1, true)), ["breach r0: promised at least 90 %, attained 50 %"]);
    // 3 of 4, then 28 of 30, then 28 of 40.
    assert_eq!(close(2, 2, step(2, DAY + 2, true)), ["breach r1: promised at least 90 %, attained 75 %"]);
    assert_eq!(close(25, 26, step(3, DAY + 3, true)), ["retraction r2: promised at least 90 %, attained 75 %"]);
    assert_eq!(close(0, 10, step(4, DAY + 4, true)), ["breach r3: promised at least 90 %, attained 70 %"]);
}

#[test]
fn r27_burn_rates_go_on_while_nothing_arrives() {
    const MINUTE: i64 = 60_000_000;
    let portfolio = portfolio("availability", 60);
    let plan = &portfolio.objectives()[0];
    let mut objective = ObjectiveState::new(plan);
    // Of a day's 24 h a tenth may be bad, 144 min. The half hour from 10:00 on is.
    let mut spending = |now: i64| {
        let state = |start, end, state| Segment { start: Instant(start), end: Instant(end), state, causes: Vec::new() };
        let (down, up) = (600 * MINUTE, 630 * MINUTE);
        let all =
            [state(0, down.min(now), State::Up), state(down, up.min(now), State::Down), state(up, now, State::Up)];
        let states: Vec<Segment> = all.into_iter().filter(|state| state.start < state.end).collect();
        let forecasts = &mut Forecasts::default();
        let mut known = Known::new(&states, NO_MAINTENANCE, forecasts);
        objective.publish(plan, portfolio.grace(), &step(1, now, true), &mut known, &[], &mut Facts::default())
    };
    let rates = |shares: [i64; 7]| shares.map(|share| Some(Share(share)));
    assert_eq!(spending(600 * MINUTE), Some(Spending::NONE));
    // At 10:30 the last half hour is all bad, ten times what a tenth allows; of an hour 30 min, of 2 h 25 %, of 6 h
    // 1/12, of a day 1/48, of three 1/144. The 114 min that are left last 228 min at the hour's half.
    assert_eq!(
        spending(630 * MINUTE),
        Some(Spending {
            burn_rates: rates([
                10_000_000_000,
                10_000_000_000,
                5_000_000_000,
                2_500_000_000,
                833_333_333,
                208_333_333,
                69_444_444,
            ]),
            spent_at: Some(Instant(858 * MINUTE)),
            counts_left: None,
        })
    );
    // At 11:15 there are 15 min of it in the last hour, a quarter: the rest lasts 456 min.
    assert_eq!(
        spending(675 * MINUTE),
        Some(Spending {
            burn_rates: rates([0, 0, 2_500_000_000, 2_500_000_000, 833_333_333, 208_333_333, 69_444_444]),
            spent_at: Some(Instant(1_131 * MINUTE)),
            counts_left: None,
        })
    );
    // The next day has a budget of its own.
    assert_eq!(spending(DAY + MINUTE), Some(Spending::NONE));
}

#[test]
fn r12_a_sum_of_counts_beyond_a_column_is_judged_and_taken_back_exactly() {
    let portfolio = portfolio("good_ratio", 60);
    let plan = &portfolio.objectives()[0];
    let objective = portfolio.services()[0].event_objectives[0];
    let mut state = ObjectiveState::new(plan);
    let mut told = |epoch: i64, counts: &[(i64, i64)]| {
        for (good, total) in counts {
            let (at, good, total) = (Instant(epoch), *good, *total);
            state.contribute(plan, Contribution { objective, at, good, total, speaks: false, bin: None });
        }
        let mut facts = Facts::default();
        let mut forecasts = Forecasts::default();
        let known = &mut Known::new(&[], NO_MAINTENANCE, &mut forecasts);
        state.publish(plan, portfolio.grace(), &step(epoch, 100 * epoch, true), known, &[], &mut facts);
        let row = &facts.attainment[0];
        (row.verdict.to_string(), row.attainment_ratio.map(|ratio| ratio.0), row.good_count, row.total_count)
    };
    const MANY: i64 = 9_000_000_000_000_000_000;
    // Half of 18 x 10^18 is good. A column holds 9.22 x 10^18 at the most.
    let half = ("at_risk".to_owned(), Some(Share(500_000_000)), MANY, i64::MAX);
    assert_eq!(told(1, &[(MANY, MANY), (0, MANY)]), half);
    // What turns out not to have been leaves no trace.
    assert_eq!(told(2, &[(0, -MANY)]), ("met".to_owned(), Some(Share(Share::WHOLE)), MANY, MANY));
}

#[test]
fn r29_a_budget_that_is_spent_tells_when_it_was() {
    const MINUTE: i64 = 60_000_000;
    let portfolio = portfolio("availability", 60);
    let plan = &portfolio.objectives()[0];
    // Down from 10:00 to 12:30. A day may be down for 144 min, which are spent at 12:24, minute 744.
    let exhaustion_at = |now: i64| {
        let edges = [(0, 600, State::Up), (600, 750, State::Down), (750, 1_440, State::Up)];
        let states = edges.map(|(start, end, state)| {
            let at = |minute: i64| Instant(minute.min(now) * MINUTE);
            Segment { start: at(start), end: at(end), state, causes: Vec::new() }
        });
        let states: Vec<Segment> = states.into_iter().filter(|state| state.start < state.end).collect();
        let (mut objective, mut facts) = (ObjectiveState::new(plan), Facts::default());
        let mut forecasts = Forecasts::default();
        let known = &mut Known::new(&states, NO_MAINTENANCE, &mut forecasts);
        objective.publish(plan, portfolio.grace(), &step(1, now * MINUTE, true), known, &[], &mut facts);
        facts.attainment[0].exhaustion_at
    };
    for now in [744, 745, 760, 1_400] {
        assert_eq!(exhaustion_at(now), Some(Instant(744 * MINUTE)), "minute {now}");
    }
    assert!(exhaustion_at(740) >= Some(Instant(740 * MINUTE)), "it is not spent yet");
    assert_eq!(exhaustion_at(599), None, "none of it is");
}

#[test]
fn r29_a_forecast_is_the_same_however_often_it_was_asked_for() {
    const MINUTE: i64 = 60_000_000;
    let portfolio = portfolio("availability", 60);
    let plan = &portfolio.objectives()[0];
    // Down from 10:00 to 10:30 on each day.
    let states = |now: i64| {
        let day = |day: i64| {
            [(0, 600, State::Up), (600, 630, State::Down), (630, 1_440, State::Up)].map(|(from, until, state)| {
                let at = |minute: i64| Instant((day * DAY + minute * MINUTE).min(now));
                Segment { start: at(from), end: at(until), state, causes: Vec::new() }
            })
        };
        (0..4).flat_map(day).filter(|state| state.start < state.end).collect::<Vec<_>>()
    };
    let told = |minutes: &mut dyn Iterator<Item = i64>| {
        let (mut objective, mut facts) = (ObjectiveState::new(plan), Facts::default());
        let mut forecasts = Forecasts::default();
        for (epoch, minute) in minutes.enumerate() {
            let (now, states) = (minute * MINUTE, states(minute * MINUTE));
            let known = &mut Known::new(&states, NO_MAINTENANCE, &mut forecasts);
            objective.publish(plan, portfolio.grace(), &step(epoch as i64, now, true), known, &[], &mut facts);
        }
        facts
            .attainment
            .into_iter()
            .map(|row| (row.window_start, row.finality, row.breach_probability_ratio, row.exhaustion_at))
            .collect::<Vec<_>>()
    };
    // Until the fourth day at 12:00, each minute and at once.
    let until = 3 * 1_440 + 720;
    let (often, once) = (told(&mut (1..=until)), told(&mut std::iter::once(until)));
    let last = often.last().expect("a row");
    assert_eq!(Some(last), once.last());
    // There were four episodes of half an hour in three and a half days; 114 min are left, and half a day to come.
    let probability = last.2.expect("a forecast").0.0;
    assert!(probability > 0 && probability < Share::WHOLE / 10, "{probability}");
    assert_eq!(last.3, None, "at half an hour a day, 114 minutes last longer than the day");
    // What is over is no longer forecast.
    assert!(once[..3].iter().all(|row| (row.2, row.3) == (None, None)), "{once:?}");
}

/// Days in UTC of one service under two versions of an agreement, the second from the fourth day on; or under one.
fn versions_of(objective: &str, second: Option<&str>) -> Portfolio {
    let version = |number: u32, until: &str, id: &str, objective: &str| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: ola, version: {number}}}\nspec:\n  type: ola\n  \
             services: [web]\n  effective: {{from: {until}}}\n  objectives: [{{id: {id}, {objective}, window: {{calendar: day}}}}]\n"
        )
    };
    let mut text = "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: web}\n".to_owned();
    match second {
        Some(second) => {
            text += &version(1, "1970-01-01, until: 1970-01-04", "promise", objective);
            text += &version(2, "1970-01-04", "promise", second);
        }
        None => text += &version(1, "1970-01-01", "promise", objective),
    }
    portfolio_of(&text)
}

/// What is told of the fourth day at noon, when each version takes over what those before it saw as `inherits` says.
fn told_at_noon(portfolio: &Portfolio, inherits: bool) -> Option<i64> {
    const HOUR: i64 = 3_600_000_000;
    let now = 3 * DAY + 12 * HOUR;
    let mut told = None;
    let mut before: Option<ObjectiveState> = None;
    for (place, plan) in portfolio.objectives().iter().enumerate() {
        let objective = crate::portfolio::ObjectiveIndex(place as u32);
        let mut state = ObjectiveState::new(plan);
        let mut states = Vec::new();
        for day in 0..4 {
            // Down from 6:00 to 7:00 each day, and three of twenty counted at 8:00 bad.
            let edges = [(0, 6, State::Up), (6, 7, State::Down), (7, 24, State::Up)];
            states.extend(edges.map(|(from, until, state)| Segment {
                start: Instant(day * DAY + from * HOUR),
                end: Instant((day * DAY + until * HOUR).min(now)),
                state,
                causes: Vec::new(),
            }));
            let at = Instant(day * DAY + 8 * HOUR);
            if plan.agreement.in_force.contains(at) && plan.feed() == Feed::Events {
                let counted = Contribution { objective, at, good: 17, total: 20, speaks: false, bin: None };
                state.contribute(plan, counted);
            }
        }
        states.retain(|state| state.start < state.end);
        let mut facts = Facts::default();
        let before_it: Vec<&ObjectiveState> = before.iter().filter(|_| inherits).collect();
        let forecasts = &mut Forecasts::default();
        let mut known = Known::new(&states, NO_MAINTENANCE, forecasts);
        state.publish(plan, portfolio.grace(), &step(1, now, true), &mut known, &before_it, &mut facts);
        told = facts.attainment.last().and_then(|row| row.breach_probability_ratio).map(|told| told.0.0);
        before = Some(state);
    }
    told
}

#[test]
fn r29_a_new_version_takes_over_what_those_before_it_saw() {
    for objective in [
        "indicator: {signal: downtime}, target: {at_most: 2h}",
        "indicator: {signal: outage_count}, target: {at_most: 2}",
        "indicator: {signal: good_ratio, kind: monitoring}, target: {at_least: 84 %}",
        "indicator: {signal: error_count, kind: monitoring}, target: {at_most: 4}",
    ] {
        let one = told_at_noon(&versions_of(objective, None), false).expect("a forecast");
        let two = versions_of(objective, Some(objective));
        assert_eq!(told_at_noon(&two, true), Some(one), "{objective}");
        assert_ne!(told_at_noon(&two, false), Some(one), "{objective}: else there is nothing to be taken over");
    }
}

#[test]
fn r29_only_versions_that_look_at_the_same_take_over() {
    let looks = |first: &str, second: &str| {
        let portfolio = versions_of(first, Some(second));
        let [one, other] = portfolio.objectives() else { panic!("two versions") };
        assert_eq!(other.continues, Some(crate::portfolio::ObjectiveIndex(0)));
        other.looks_as(one)
    };
    let availability = "indicator: {signal: availability}, target: {at_least: 99 %}";
    assert!(looks(availability, "indicator: {signal: availability}, target: {at_least: 90 %}"));
    assert!(!looks(availability, "indicator: {signal: availability, unknown: bad}, target: {at_least: 99 %}"));
    let percentile = |limit: &str| {
        format!("indicator: {{signal: latency_percentile, percentile: 95 %}}, target: {{at_most: {limit}}}")
    };
    assert!(looks(&percentile("1s"), &percentile("1s")));
    assert!(!looks(&percentile("1s"), &percentile("2s")), "what is within the limit was counted by the other one");
}
