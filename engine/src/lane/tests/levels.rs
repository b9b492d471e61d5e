//! A second, naive computation of open and overdue tickets, half hour by half hour from the raw events (R10, R14, R16,
//! R17). It shares nothing with the engine but the events.

use plimsoll_schemas::table::AttainmentRow;

use super::reference::{DAY, EPOCH, WEEK};
use super::*;

/// One way to count. Limits are in half hours.
#[derive(Clone, Copy, Debug)]
struct Rule {
    within: usize,
    reopening: &'static str,
    requests: bool,
    /// From 08:00 to 16:00 instead of around the clock.
    office: bool,
    at_most: i64,
}

impl Rule {
    fn all() -> Vec<Rule> {
        let mut all = Vec::new();
        for reopening in ["same_cycle", "new_cycle", "first_only"] {
            for (within, requests, office, at_most) in
                [(8, false, false, 1), (3, false, true, 0), (5, true, false, 2), (16, false, true, 1)]
            {
                all.push(Rule { within, reopening, requests, office, at_most });
            }
        }
        all
    }

    fn definition(self, number: usize) -> String {
        let Rule { within, reopening, requests, office, at_most } = self;
        let (calendar, of) = (if office { "office" } else { "24x7" }, if requests { "request" } else { "incident" });
        format!(
            "    - id: o{number:02}\n      indicator: {{signal: overdue_count, calendar: {calendar}, within: {}m, \
             reopening: {reopening}, ticket_type: {of}}}\n      target: {{at_most: {at_most}}}\n      window: \
             {{calendar: day}}\n",
            within * 30
        )
    }

    fn is_agreed(self, tick: usize) -> bool {
        !self.office || (16..32).contains(&(tick % DAY))
    }
}

fn world() -> Arc<Portfolio> {
    let objectives = Rule::all().into_iter().enumerate().map(|(number, rule)| rule.definition(number));
    office_world("", "from: 2001-01-01, until: 2001-01-08", "", objectives)
}

/// A ticket in each half hour before `now`.
#[derive(Default)]
struct Life {
    /// The run since the opening or a reopening in which it is unresolved, from 0.
    cycle: Vec<Option<usize>>,
    paused: Vec<bool>,
    is_request: Vec<bool>,
    opened: usize,
    cancelled: bool,
}

impl Life {
    fn of(records: &[(usize, Action)], now: usize) -> Life {
        let mut records: Vec<_> = records.iter().copied().filter(|(time, _)| *time <= now).collect();
        records.sort_by_key(|(time, action)| (*time, *action as i8));
        let Some(first) = records.first().copied() else { return Life { opened: now, ..Life::default() } };
        let opened = records.iter().find(|(_, action)| *action == Action::Opened).unwrap_or(&first).0;
        let mut life = Life {
            cycle: vec![None; now],
            paused: vec![false; now],
            is_request: vec![false; now],
            opened,
            cancelled: false,
        };
        let (mut cycle, mut is_open, mut paused, mut cancelled_at) = (0, true, false, None);
        for (time, action) in std::iter::once((opened, Action::Opened)).chain(records.iter().copied()) {
            let at = time.max(opened);
            let workable = is_open && cancelled_at.is_none();
            match action {
                Action::Paused if workable => paused = true,
                Action::Resumed => paused = false,
                Action::Resolved if workable => (is_open, paused) = (false, false),
                Action::Closed if workable => (is_open, paused) = (false, false),
                Action::Cancelled if cancelled_at.is_none() => (cancelled_at, paused) = (Some(at), false),
                Action::Reopened => {
                    if let (Some(from), true) = (cancelled_at.take(), is_open) {
                        (from..at.min(now)).for_each(|tick| life.paused[tick] = true);
                    }
                    if !is_open {
                        (is_open, cycle) = (true, cycle + 1);
                    }
                }
                _ => {}
            }
            for tick in at..now {
                life.cycle[tick] = is_open.then_some(cycle);
                life.paused[tick] = paused;
            }
        }
        life.cancelled = cancelled_at.is_some();
        // What `delivery` says of types: every third half hour, by whether it is odd.
        let said: Vec<_> = records.iter().filter(|(time, _)| time % 3 == 0).collect();
        for tick in 0..now {
            let last = said.iter().rev().find(|(time, _)| *time <= tick).or(said.first());
            life.is_request[tick] = last.is_some_and(|(time, _)| time % 2 == 1);
        }
        life
    }

    /// Whether it is open in a half hour, and if so whether it is overdue, under a rule.
    fn at(&self, rule: Rule, tick: usize) -> Option<bool> {
        if self.cancelled || tick < self.opened || self.is_request[tick] != rule.requests {
            return None;
        }
        let cycle = self.cycle[tick].filter(|cycle| rule.reopening != "first_only" || *cycle == 0)?;
        let is_of_clock = |other: usize| match rule.reopening {
            "same_cycle" => self.cycle[other].is_some(),
            _ => self.cycle[other] == Some(cycle),
        };
        let used = (self.opened..=tick).filter(|&other| is_of_clock(other) && !self.paused[other]);
        Some(used.filter(|&other| rule.is_agreed(other)).count() > rule.within)
    }
}

/// What a row should say: verdict, open tickets in time, open tickets, and the half hour of the breach.
fn expected(lives: &[Life], rule: Rule, day: usize, now: usize) -> (&'static str, i64, i64, Option<usize>) {
    let ticks = day * DAY..((day + 1) * DAY).min(now);
    let level = |tick: usize| {
        let open: Vec<bool> = lives.iter().filter_map(|life| life.at(rule, tick)).collect();
        (open.iter().filter(|overdue| **overdue).count() as i64, open.len() as i64)
    };
    let (overdue, open) = ticks.clone().map(level).max().expect("a day that has begun");
    let breached = ticks.clone().find(|tick| level(*tick).0 > rule.at_most);
    let verdict = match open {
        0 => "no_data",
        _ if breached.is_some() => "breached",
        // 90 % of one is one, of two is two.
        _ if now < (day + 1) * DAY && overdue > 0 && overdue == rule.at_most => "at_risk",
        _ => "met",
    };
    (verdict, open - overdue, open, breached)
}

fn found(row: &AttainmentRow) -> (&str, i64, i64, Option<usize>) {
    let tick = |at: Instant| (at.0 * 2 / HOUR - EPOCH) as usize;
    (&row.verdict, row.good_count, row.total_count, row.breached_at.map(tick))
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![
        Action::Opened,
        Action::Opened,
        Action::Paused,
        Action::Resumed,
        Action::Resolved,
        Action::Reopened,
        Action::Closed,
        Action::Cancelled,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r10_overdue_tickets_agree_with_a_count_of_half_hours(
        records in prop::collection::vec((0..WEEK, 0..5_u8, action()), 1..40),
        now in 30..WEEK + 10,
        step in 1..40_usize,
    ) {
        let shown: Vec<_> = records.iter().copied().filter(|(time, ..)| *time <= now).collect();
        // Those with even numbers are of `web`.
        let happening = |&(time, ticket, action): &(usize, u8, Action)| {
            Happening::Ticket(time as i64 + EPOCH, 2 * ticket, action)
        };
        let numbered: Vec<_> = shown.iter().map(happening).enumerate().collect();
        let at = |tick: usize| Instant((EPOCH + tick as i64) * HOUR / 2);
        // Once with every event at its time, step by step, and once all at the end: what is known without an event must
        // be the same.
        let mut live = LaneGroup::new(world(), 1);
        let (mut newest, mut offset, mut from) = (std::collections::BTreeMap::new(), 0, 0);
        for tick in (0..now).step_by(step).chain([now]) {
            let is_new = |event: &Happening| (from..=tick as i64).contains(&(event.time() - EPOCH));
            let part: Vec<_> = numbered.iter().copied().filter(|(_, event)| is_new(event)).collect();
            from = tick as i64 + 1;
            live.fold(&delivery(&part, offset, true), at(tick));
            offset += part.len() as i64;
            for row in live.close(offset, at(tick), tick == now).attainment {
                newest.insert((row.objective.clone(), row.window_start), row);
            }
        }
        let mut batch = LaneGroup::new(world(), 1);
        batch.fold(&delivery(&numbered, 0, true), at(now));
        let rows = batch.close(1, at(now), true).attainment;
        prop_assert_eq!(rows.len(), Rule::all().len() * now.min(WEEK).div_ceil(DAY));
        let lives: Vec<Life> = (0..5)
            .map(|ticket| {
                let own = shown.iter().filter(|(_, of, _)| *of == ticket).map(|(time, _, action)| (*time, *action));
                Life::of(&own.collect::<Vec<_>>(), now)
            })
            .collect();
        for row in rows {
            let number: usize = row.objective[1..].parse().expect("a number");
            let day = (row.window_start.0 * 2 / HOUR - EPOCH) as usize / DAY;
            let rule = Rule::all()[number];
            let expected = expected(&lives, rule, day, now);
            prop_assert_eq!(found(&row), expected, "day {} of {:?}", day, rule);
            let live = &newest[&(row.objective.clone(), row.window_start)];
            prop_assert_eq!(found(live), expected, "step by step, day {} of {:?}", day, rule);
        }
    }
}

#[test]
fn r18_a_clock_paused_just_when_it_is_due_is_breached_without_an_event_once_it_goes_on() {
    let mut group = LaneGroup::new(
        portfolio_of(
            "
apiVersion: plimsoll/v1
kind: Service
metadata: {id: web}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01}
  objectives:
    - {id: resolution, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}, warn_at: []}
",
        ),
        1,
    );
    // Opened at 0:00, paused at 4:00, when just the four hours are used up, and resumed at 6:00.
    let life = [(0, Action::Opened), (8, Action::Paused), (12, Action::Resumed)];
    let mut close = |offset, minute| {
        let events = life.iter().map(|&(time, action)| Happening::Ticket(time, 0, action)).enumerate();
        let events: Vec<_> = events.filter(|(_, event)| event.time() * 30 == minute).collect();
        group.fold(&delivery(&events, offset, true), Instant(minute * HOUR / 60));
        told(&group.close(minute, Instant(minute * HOUR / 60), false), "resolution")
    };
    for (offset, minute) in [(0, 0), (1, 240), (2, 360)] {
        assert_eq!(close(offset, minute), [""; 0], "minute {minute}");
    }
    assert_eq!(close(3, 361), ["breach at 240 min r0"]);
}
