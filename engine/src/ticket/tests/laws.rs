//! Laws that hold for any ticket, and a second implementation that counts minute by minute.

use proptest::prelude::*;

use super::*;

/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: Instant = Instant(1_767_571_200_000_000);
/// Random tickets live within a week.
const MINUTES: i64 = 7 * 1_440;

fn minute(minute: i64) -> Instant {
    MONDAY + Micros(minute * Micros::MINUTE.0)
}

fn name(choices: &'static [&'static str]) -> impl Strategy<Value = Option<Name>> {
    proptest::option::weighted(0.3, proptest::sample::select(choices).prop_map(Name::from))
}

prop_compose! {
    fn any_record()(
        time in 0..MINUTES / 30,
        sequence in prop_oneof![Just(i64::MIN), 0..3_i64],
        action in proptest::sample::select(Action::WORDS),
        snapshot in any::<bool>(),
        state in proptest::option::weighted(0.9, proptest::sample::select(TicketState::WORDS)),
        attributes in (name(&["web", "shop"]), name(&["acme", "zeta"]), name(&["P1", "P2", "P3"])),
        outage in proptest::option::weighted(0.2, any::<bool>()),
        ticket_type in proptest::option::weighted(0.2, proptest::sample::select(TicketType::WORDS)),
        times in proptest::array::uniform4(proptest::option::weighted(0.2, 0..MINUTES / 30)),
        counts in (proptest::option::of(0..3_i64), proptest::option::of(0..3_i64)),
    ) -> TicketRecord {
        let [opened_at, acknowledged_at, resolved_at, closed_at] = times.map(|time| time.map(|time| minute(time * 30)));
        let (service, customer, priority) = attributes;
        let (good_count, total_count) = counts;
        let (action, state) = if snapshot { (Action::Snapshot, state.map(|word| word.1)) } else { (action.1, None) };
        let time = minute(time * 30);
        TicketRecord {
            sequence, state, service, customer, priority, outage,
            opened_at, acknowledged_at, resolved_at, closed_at, good_count, total_count,
            ticket_type: ticket_type.map(|word| word.1),
            ..blank(time, action)
        }
    }
}

fn any_records() -> impl Strategy<Value = Vec<TicketRecord>> {
    proptest::collection::vec(any_record(), 1..14)
}

prop_compose! {
    fn any_rule()(
        hours in 0..60_i64,
        priorities in proptest::sample::select(vec![vec![], vec!["P1"], vec!["P1", "P2"]]),
        priority_change in proptest::sample::select(vec![PriorityChange::Retarget, PriorityChange::Restart]),
        reopening in proptest::sample::select(vec![
            Reopening::SameCycle, Reopening::NewCycle, Reopening::FirstOnly, Reopening::Largest,
        ]),
        attribution in proptest::sample::select(vec![Attribution::Outcome, Attribution::Opened, Attribution::Closed]),
    ) -> ClockRule {
        let priorities = priorities.into_iter().map(str::to_owned).collect();
        let within = Micros(hours * Micros::HOUR.0);
        ClockRule { ticket_type: TicketType::Incident, within, priorities, priority_change, reopening, attribution }
    }
}

fn any_kind() -> impl Strategy<Value = ClockKind> {
    proptest::sample::select(vec![ClockKind::Response, ClockKind::Resolution])
}

fn log_of(records: &[TicketRecord]) -> TicketLog {
    let mut log = TicketLog::default();
    for record in records {
        log.insert(record.clone());
    }
    log
}

fn judged(log: &TicketLog, kind: ClockKind, rule: &ClockRule, calendar: &Calendar, now: Instant) -> Vec<ClockResult> {
    let on_web = |attributes: &Attributes| attributes.service.as_deref() != Some("shop");
    log.history(now).map(|history| clocks(&history, kind, rule, &on_web, calendar, ALWAYS, now)).unwrap_or_default()
}

proptest! {
    #[test]
    fn r21_order_and_duplication_do_not_matter(
        (records, other) in any_records().prop_flat_map(|records| {
            let twice = [records.clone(), records.clone()].concat();
            (Just(records), Just(twice).prop_shuffle())
        }),
    ) {
        let (one, other) = (log_of(&records), log_of(&other));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.history(Instant::LATEST), other.history(Instant::LATEST));
    }

    #[test]
    fn r14_a_history_is_well_formed(records in any_records()) {
        let history = log_of(&records).history(Instant::LATEST).expect("at least one record");
        let (cycles, pauses): (Vec<_>, _) = (history.cycles().copied().collect(), &history.pauses);
        prop_assert_eq!(cycles[0].started_at, history.opened_at);
        prop_assert_eq!(history.attributes[0].0, history.opened_at);
        for cycle in &cycles {
            prop_assert!(cycle.acknowledged_at.is_none_or(|at| at >= cycle.started_at));
            prop_assert!(cycle.resolved_at.is_none_or(|at| at >= cycle.started_at));
        }
        prop_assert!(cycles.windows(2).all(|two| two[0].resolved_at.is_some_and(|at| at <= two[1].started_at)));
        prop_assert!(pauses.iter().all(|pause| pause.resumed_at.is_none_or(|resumed_at| pause.paused_at < resumed_at)));
        prop_assert!(pauses.windows(2).all(|two| two[0].resumed_at.is_some_and(|at| at < two[1].paused_at)));
        prop_assert!(history.attributes.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 != two[1].1));
        prop_assert!(history.closed_at.is_none() || history.cancelled_at.is_none());
        for outage in history.outages() {
            prop_assert!(outage.ended_at.is_none_or(|ended_at| outage.started_at < ended_at));
        }
    }

    #[test]
    fn r14_r18_a_clock_adds_up(
        records in any_records(),
        rule in any_rule(),
        kind in any_kind(),
        business in any::<bool>(),
    ) {
        let calendar = if business { BUSINESS_HOURS.clone() } else { Calendar::always() };
        let now = minute(MINUTES);
        for clock in judged(&log_of(&records), kind, &rule, &calendar, now) {
            let end = clock.stopped_at.unwrap_or(now);
            prop_assert_eq!(clock.elapsed + clock.paused, calendar.elapsed(clock.started_at, end));
            prop_assert!(clock.elapsed >= Micros::ZERO && clock.paused >= Micros::ZERO);
            let within = clock.elapsed <= clock.target;
            match clock.verdict {
                ClockVerdict::Met => prop_assert!(within && clock.stopped_at.is_some()),
                ClockVerdict::Breached => prop_assert!(!within && clock.due_at.is_some_and(|due_at| due_at < end)),
                ClockVerdict::Running => prop_assert!(within && clock.stopped_at.is_none()),
                ClockVerdict::Moved => prop_assert!(within && clock.stopped_at.is_some()),
                ClockVerdict::Cancelled => prop_assert!(clock.stopped_at.is_some()),
            }
        }
    }

    #[test]
    fn r13_each_result_is_one_versions_alone(
        records in any_records(),
        rules in proptest::array::uniform2(any_rule()),
        kind in any_kind(),
        change in 0..MINUTES,
    ) {
        // Versions of one agreement that differ in how much time they allow, as new versions do.
        let (now, change) = (minute(2 * MINUTES), minute(change));
        let [first, second] = [rules[0].clone(), ClockRule { within: rules[1].within, ..rules[0].clone() }];
        let Some(history) = log_of(&records).history(now) else { return Ok(()) };
        let calendar = Calendar::always();
        let under = |rule: &ClockRule, term| clocks(&history, kind, rule, &|_| true, &calendar, term, now);
        let until = Window { end: change, ..ALWAYS.in_force };
        let earlier = under(&first, Term { in_force: until, ..ALWAYS });
        let passed = Passed::default().after(until, &earlier, &[]);
        let in_force = Window { start: change, ..ALWAYS.in_force };
        let later = under(&second, Term { in_force, before: &passed });
        prop_assert!(earlier.iter().all(|clock| clock.attributed_at.is_none_or(|at| at < change)));
        prop_assert!(later.iter().all(|clock| clock.attributed_at.is_none_or(|at| at >= change)));
        if rules[0].reopening == Reopening::Largest {
            return Ok(()); // Which cycle is the largest depends on the target.
        }
        for alone in under(&second, ALWAYS) {
            let counted = |clocks: &[ClockResult]| {
                clocks.iter().filter(|clock| clock.cycle == alone.cycle && clock.attributed_at.is_some()).count()
            };
            let times = counted(&earlier) + counted(&later);
            // Under the earlier version the objective ceased to apply before the later one was in force (R37): that one
            // never applied either, and its own target has no say in what was before it.
            let has_moved = earlier.iter().any(|clock| {
                clock.cycle == alone.cycle && clock.verdict == ClockVerdict::Moved && !clock.handed_over
            });
            if alone.stopped_at.is_some() && alone.attributed_at.is_some() {
                match (has_moved, first.attribution) {
                    (false, _) => prop_assert_eq!(times, 1),
                    (true, Attribution::Closed) => prop_assert!(times <= 1),
                    (true, _) => prop_assert_eq!(times, 0),
                }
            }
            if alone.verdict == ClockVerdict::Cancelled {
                prop_assert_eq!(times, 0);
            }
        }
    }

    #[test]
    fn r12_a_stricter_target_never_mends_a_breach(
        records in any_records(),
        rule in any_rule(),
        kind in any_kind(),
        less in 0..40_i64,
    ) {
        let now = minute(MINUTES);
        let log = log_of(&records);
        let stricter = ClockRule { within: Micros((rule.within.0 - less * Micros::HOUR.0).max(0)), ..rule.clone() };
        let looser = judged(&log, kind, &rule, &BUSINESS_HOURS, now);
        let strict = judged(&log, kind, &stricter, &BUSINESS_HOURS, now);
        prop_assert_eq!(looser.len(), strict.len());
        for (before, after) in looser.iter().zip(&strict) {
            prop_assert!(before.verdict != ClockVerdict::Breached || after.verdict == ClockVerdict::Breached);
            prop_assert!(after.verdict != ClockVerdict::Met || before.verdict == ClockVerdict::Met);
        }
    }

    #[test]
    fn r18_time_alone_never_mends_a_breach(
        records in any_records(),
        rule in any_rule(),
        kind in any_kind(),
        later in 0..MINUTES,
    ) {
        let log = log_of(&records);
        let before = judged(&log, kind, &rule, &BUSINESS_HOURS, minute(MINUTES));
        let after = judged(&log, kind, &rule, &BUSINESS_HOURS, minute(MINUTES + later));
        prop_assert!(rule.reopening == Reopening::Largest || before.len() == after.len());
        for (before, after) in before.iter().zip(&after) {
            if before.verdict == ClockVerdict::Breached {
                prop_assert_eq!(after.verdict, ClockVerdict::Breached);
                prop_assert!(rule.reopening == Reopening::Largest || before.due_at == after.due_at);
            }
        }
    }

    #[test]
    fn r2_r14_minutes_counted_one_by_one_agree(
        edges in proptest::collection::btree_set(0..MINUTES, 1..8),
        resolved in any::<bool>(),
        target in 0..3_000_i64,
    ) {
        let edges: Vec<i64> = edges.into_iter().collect();
        let slow = Slow { edges: &edges, resolved: resolved && edges.len() > 1, target };
        let mut log = TicketLog::default();
        for (index, &edge) in edges.iter().enumerate() {
            let last = index + 1 == edges.len();
            let action = match index {
                0 => Action::Opened,
                _ if last && slow.resolved => Action::Resolved,
                _ if index % 2 == 1 => Action::Paused,
                _ => Action::Resumed,
            };
            log.insert(blank(minute(edge), action));
        }
        let found = judged(&log, ClockKind::Resolution, &rule(target), &BUSINESS_HOURS, minute(MINUTES));
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].elapsed.0, slow.elapsed() * Micros::MINUTE.0);
        prop_assert_eq!(found[0].due_at, slow.due().map(minute));
    }
}

/// A ticket opened at the first edge, paused at the second, resumed at the third and so on, and resolved at the last
/// one or not at all; everything is found out by walking through its minutes.
struct Slow<'a> {
    edges: &'a [i64],
    resolved: bool,
    target: i64,
}

impl Slow<'_> {
    fn end(&self) -> i64 {
        if self.resolved { self.edges[self.edges.len() - 1] } else { MINUTES }
    }

    fn paused(&self, minute: i64) -> bool {
        let actions = if self.resolved { &self.edges[..self.edges.len() - 1] } else { self.edges };
        actions.iter().filter(|edge| **edge <= minute).count() % 2 == 0
    }

    /// Monday to Friday, 08:00 to 17:00.
    fn agreed(minute: i64) -> bool {
        minute / 1_440 % 7 < 5 && (8 * 60..17 * 60).contains(&(minute % 1_440))
    }

    fn elapsed(&self) -> i64 {
        let minutes = self.edges[0]..self.end();
        minutes.filter(|&minute| Self::agreed(minute) && !self.paused(minute)).count() as i64
    }

    fn due(&self) -> Option<i64> {
        let (mut left, mut minute) = (self.target, self.edges[0]);
        while left > 0 {
            let known = minute < self.end();
            if !known && !self.resolved && self.paused(minute) {
                return None;
            }
            left -= i64::from(Self::agreed(minute) && !(known && self.paused(minute)));
            minute += 1;
        }
        Some(minute)
    }
}
