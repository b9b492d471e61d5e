//! Composites in random small worlds, beside a naive computation: half hour by half hour, every part that is unknown
//! tried in every state. It shares nothing with the engine but the events (R32, R21).

use std::collections::BTreeMap;

use super::*;
use crate::state::State;

/// Three services with checks, one that only incidents could take down (there are none, so it is up), and three
/// composites, each of services before it.
pub(super) const NAMES: [&str; 7] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6"];

/// The first composite.
pub(super) const FIRST: usize = 4;

/// Silence of so many half hours makes a check unknown.
const STALE: i64 = 4;

/// How a composite follows from its parts; percentages are whole.
#[derive(Clone, Copy, Debug)]
enum Rule {
    All,
    Any,
    AtLeast(usize),
    Weighted { up_from: i64, degraded_from: i64, degraded: i64 },
}

#[derive(Clone, Debug)]
pub(super) struct Composite {
    parts: Vec<(usize, i64)>,
    rule: Rule,
}

/// A composite of some of the services before `place`.
fn composite(place: usize) -> impl Strategy<Value = Composite> {
    let rule = (0..4_u8, 1..100_usize, 1..=100_i64, 1..=100_i64, 0..=100_i64);
    let shares = prop::collection::vec(1..10_i64, place);
    (1..1_u32 << place, shares, rule).prop_map(
        move |(chosen, shares, (kind, least, up_from, degraded_from, degraded))| {
            let is_chosen = |part: &usize| chosen >> part & 1 == 1;
            let parts: Vec<_> = (0..place).filter(is_chosen).map(|part| (part, shares[part])).collect();
            let rule = match kind {
                0 => Rule::All,
                1 => Rule::Any,
                2 => Rule::AtLeast(1 + least % parts.len()),
                _ => Rule::Weighted { up_from, degraded_from: degraded_from.min(up_from), degraded },
            };
            Composite { parts, rule }
        },
    )
}

pub(super) fn composites() -> impl Strategy<Value = Vec<Composite>> {
    (composite(FIRST), composite(FIRST + 1), composite(FIRST + 2)).prop_map(|(one, two, three)| vec![one, two, three])
}

impl Composite {
    pub(super) fn definition(&self) -> String {
        let names = self.parts.iter().map(|(part, _)| NAMES[*part]).collect::<Vec<_>>().join(", ");
        match self.rule {
            Rule::All => format!("{{all_of: [{names}]}}"),
            Rule::Any => format!("{{any_of: [{names}]}}"),
            Rule::AtLeast(least) => format!("{{k_of_n: {{at_least: {least}, of: [{names}]}}}}"),
            Rule::Weighted { up_from, degraded_from, degraded } => {
                let part = |(part, share): &(usize, i64)| format!("{{service: {}, share: {share}}}", NAMES[*part]);
                let parts = self.parts.iter().map(part).collect::<Vec<_>>().join(", ");
                format!(
                    "{{weighted: {{parts: [{parts}], up_from: {up_from} %, degraded_from: {degraded_from} %, degraded: \
                     {degraded} %}}}}"
                )
            }
        }
    }

    /// Its state if each of its parts is in a known one.
    fn known(&self, states: &[State]) -> State {
        let count = |state| states.iter().filter(|known| **known == state).count();
        let (up, degraded) = (count(State::Up), count(State::Degraded));
        let of_least = |least: usize| match () {
            () if up >= least => State::Up,
            () if up + degraded >= least => State::Degraded,
            () => State::Down,
        };
        match self.rule {
            Rule::All => of_least(states.len()),
            Rule::Any => of_least(1),
            Rule::AtLeast(least) => of_least(least),
            Rule::Weighted { up_from, degraded_from, degraded } => {
                let (mut works, mut whole) = (0, 0);
                for (state, (_, share)) in states.iter().zip(&self.parts) {
                    whole += share;
                    works += share
                        * match state {
                            State::Up => 100,
                            State::Degraded => degraded,
                            _ => 0,
                        };
                }
                match () {
                    () if works >= up_from * whole => State::Up,
                    () if works > 0 && works >= degraded_from * whole => State::Degraded,
                    () => State::Down,
                }
            }
        }
    }

    /// One of its parts.
    pub(super) fn needs(&self) -> usize {
        self.parts[0].0
    }

    /// The parts that bring its state about, among the states of all services, if that is what follows from the parts.
    pub(super) fn causes(&self, whole: State, states: &[State]) -> Vec<usize> {
        let parts: Vec<State> = self.parts.iter().map(|(part, _)| states[*part]).collect();
        let is_cause = |part: State| match self.rule {
            Rule::Weighted { degraded, .. } => part == State::Down || (part == State::Degraded && degraded < 100),
            _ => part == State::Down || (part == State::Degraded && whole == State::Degraded),
        };
        if !matches!(whole, State::Down | State::Degraded) || self.state(&parts) != whole {
            return Vec::new();
        }
        self.parts.iter().map(|(part, _)| *part).filter(|part| is_cause(states[*part])).collect()
    }

    /// Its state, as far as that follows from the parts.
    fn state(&self, parts: &[State]) -> State {
        whatever(parts, &|parts| self.known(parts))
    }

    /// Its state, where its own checks are needed as well: the worse of both.
    fn whole(&self, parts: &[State], own: State) -> State {
        let with_own = [parts, &[own]].concat();
        whatever(&with_own, &|states| states.split_last().map_or(own, |(own, parts)| self.known(parts).min(*own)))
    }
}

/// What follows from these states whatever the unknown ones are, if that is the same for all they may be.
fn whatever(states: &[State], known: &dyn Fn(&[State]) -> State) -> State {
    let Some(unknown) = states.iter().position(|state| *state == State::Unknown) else { return known(states) };
    let may_be = [State::Down, State::Degraded, State::Up].map(|state| {
        let mut tried = states.to_vec();
        tried[unknown] = state;
        whatever(&tried, known)
    });
    if may_be.iter().all(|state| *state == may_be[0]) { may_be[0] } else { State::Unknown }
}

/// The definitions of all services, each with what `more` says of it.
pub(super) fn services(composites: &[Composite], more: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (place, name) in NAMES.iter().enumerate() {
        let composed = place.checked_sub(FIRST).map(|place| composites[place].definition());
        let composed = composed.map_or(String::new(), |composed| format!(", composed_of: {composed}"));
        let state = if place == 3 { "{from: incidents}" } else { "{stale_after: 2h}" };
        text.push_str(&format!(
            "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {name}}}, spec: {{state: {state}{composed}{}}}}}\n---\n",
            more(place)
        ));
    }
    text
}

fn world(composites: &[Composite]) -> Arc<Portfolio> {
    let mut text = services(composites, |_| String::new());
    text.push_str(
        "apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: ola}
spec:
  type: ola
  services: [s4, s5, s6]
  effective: {from: 1970-01-01}
  objectives:
    - {id: uptime, indicator: {signal: availability}, target: {at_least: 50 %}, window: {calendar: day}, min_coverage: 0 %}
---
apiVersion: plimsoll/v1
kind: Source
metadata: {id: plain}
spec: {topics: [t], lateness: 1h}
",
    );
    portfolio_of(&text)
}

/// What a service's own checks say in a half hour; `before` until anything was observed.
fn observed(events: &[Happening], service: usize, tick: i64, before: State) -> State {
    let own = events.iter().filter_map(|event| match *event {
        Happening::Check(time, number, status) if usize::from(number) == service && time <= tick => {
            Some((time, status))
        }
        _ => None,
    });
    let rank = |status| match status {
        Status::Up => 0,
        Status::Unknown => 1,
        Status::Degraded => 2,
        Status::Down => 3,
    };
    match own.max_by_key(|(time, status)| (*time, rank(*status))) {
        None => before,
        Some((time, status)) if tick - time < STALE => match status {
            Status::Up => State::Up,
            Status::Degraded => State::Degraded,
            Status::Down => State::Down,
            Status::Unknown => State::Unknown,
        },
        Some(_) => State::Unknown,
    }
}

/// The state of every service in one half hour.
pub(super) fn states(events: &[Happening], composites: &[Composite], tick: i64) -> Vec<State> {
    let mut states = Vec::new();
    for place in 0..NAMES.len() {
        let state = match place.checked_sub(FIRST).map(|place| &composites[place]) {
            None if place == 3 => State::Up,
            None => observed(events, place, tick, State::Unknown),
            Some(composite) => {
                let parts: Vec<State> = composite.parts.iter().map(|(part, _)| states[*part]).collect();
                let own = observed(events, place, tick, State::Up);
                composite.whole(&parts, own)
            }
        };
        states.push(state);
    }
    states
}

/// Outages of every service as (service, start, end) and parts of each day of every composite as (service, day, half
/// hours up, down, degraded, unknown).
type Tables = (Vec<(usize, i64, Option<i64>)>, Vec<(usize, i64, [i64; 4])>);

fn expected(events: &[Happening], composites: &[Composite], now: i64) -> Tables {
    let all: Vec<Vec<State>> = (0..=now).map(|tick| states(events, composites, tick)).collect();
    let (mut outages, mut days) = (Vec::new(), Vec::new());
    for (service, _) in NAMES.iter().enumerate() {
        let is_down = |tick: i64| (0..=now).contains(&tick) && all[tick as usize][service] == State::Down;
        for start in (0..now).filter(|tick| is_down(*tick) && !is_down(*tick - 1)) {
            outages.push((service, start, (start..=now).find(|tick| !is_down(*tick))));
        }
        for day in 0..(now + 47) / 48 {
            let ticks = day * 48..now.min((day + 1) * 48);
            let count = |state| ticks.clone().filter(|tick| all[*tick as usize][service] == state).count() as i64;
            if service >= FIRST {
                let parts = [State::Up, State::Down, State::Degraded, State::Unknown].map(count);
                days.push((service, day, parts));
            }
        }
    }
    (outages, days)
}

/// What is current after these facts.
fn found(all: &[Facts]) -> Tables {
    let (mut outages, mut days) = (BTreeMap::new(), BTreeMap::new());
    let place = |name: &str| NAMES.iter().position(|known| *known == name).expect("a service");
    let half_hours = |time: i64| time * 2 / HOUR;
    for facts in all {
        for row in &facts.outages {
            let end = row.ended_at.map(|end| half_hours(end.0));
            outages.insert((place(&row.service), half_hours(row.started_at.0)), (!row.retracted).then_some(end));
        }
        for row in &facts.attainment {
            let parts = [row.good_us, row.bad_us, row.degraded_us, row.unknown_us].map(half_hours);
            days.insert((place(&row.service), half_hours(row.window_start.0) / 48), parts);
        }
    }
    let outages = outages.into_iter().filter_map(|((service, start), end)| Some((service, start, end?)));
    let days = days.into_iter().map(|((service, day), parts)| (service, day, parts));
    (outages.collect(), days.collect())
}

/// A result of a check of a service, and so many half hours until it arrives.
pub(super) fn arriving() -> impl Strategy<Value = (Happening, i64)> {
    let status =
        prop::sample::select(vec![Status::Up, Status::Up, Status::Up, Status::Down, Status::Degraded, Status::Unknown]);
    // Composites have few checks of their own.
    let service = prop::sample::select(vec![0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 6_u8]);
    let check =
        (0..120_i64, service, status).prop_map(|(time, service, status)| Happening::Check(time, service, status));
    (check, prop::sample::select(vec![0, 0, 0, 0, 1, 5, 60]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn r32_nested_composites_agree_with_a_count_of_half_hours_at_each_step(
        composites in composites(),
        events in prop::collection::vec(arriving(), 1..120),
        every in 1..40_i64,
        lanes in 1..4_usize,
        restart in any::<bool>(),
    ) {
        let portfolio = world(&composites);
        let mut group = LaneGroup::new(portfolio.clone(), lanes);
        let (mut all, mut offset) = (Vec::new(), 0);
        let mut waiting: Vec<_> = events.iter().copied().enumerate().collect();
        let mut arrived = Vec::new();
        for number in 1..=150 / every + 1 {
            let now = number * every;
            let new: Vec<_> = waiting.extract_if(.., |(_, (event, delay))| event.time() + *delay <= now).collect();
            let new: Vec<_> = new.into_iter().map(|(number, (event, _))| (number, event)).collect();
            let tick = Instant(now * HOUR / 2);
            group.fold(&delivery(&new, offset, true), tick);
            offset += new.len() as i64;
            arrived.extend(new.into_iter().map(|(_, event)| event));
            let publish = number % 3 != 1;
            all.push(group.close(number, tick, publish));
            if restart {
                let bytes = group.snapshot().expect("a snapshot");
                group = LaneGroup::restore(portfolio.clone(), lanes, &bytes).expect("restored");
            }
            if publish {
                prop_assert_eq!(found(&all), expected(&arrived, &composites, now), "at {}", now);
            }
        }
    }
}

fn two_parts() -> Vec<Composite> {
    let all = Composite { parts: vec![(0, 1), (1, 1)], rule: Rule::All };
    vec![all, Composite { parts: vec![(4, 1)], rule: Rule::All }, Composite { parts: vec![(5, 1)], rule: Rule::Any }]
}

#[test]
fn r32_a_composite_whose_window_ends_knows_of_a_part_that_fell_silent() {
    // `s0` is last heard of at 20:00, so it is unknown from 22:00 on; nothing is promised of it, so nothing but the
    // composites asks for it. Day 0 of these is final at 1:00, in a step that publishes nothing.
    let mut group = LaneGroup::new(world(&two_parts()), 2);
    let check = |time, service| Happening::Check(time, service, Status::Up);
    let events: Vec<_> = (0..42).map(|time| check(time, 1)).chain((0..=40).map(|time| check(time, 0))).collect();
    let numbered: Vec<_> = events.iter().copied().enumerate().collect();
    group.fold(&delivery(&numbered, 0, true), Instant(21 * HOUR));
    group.close(1, Instant(21 * HOUR), true);
    let later: Vec<_> = (42..50).map(|time| (100 + time as usize, check(time, 1))).collect();
    group.fold(&delivery(&later, numbered.len() as i64, true), Instant(25 * HOUR));
    let facts = group.close(2, Instant(25 * HOUR), false);
    let last = facts.attainment.iter().filter(|row| row.window_start == Instant(0));
    let last: Vec<_> = last.map(|row| (&*row.service, row.revision, row.unknown_us / HOUR)).collect();
    assert_eq!(last, [("s4", 1, 2), ("s5", 1, 2), ("s6", 1, 2)]);
    let facts = group.close(3, Instant(25 * HOUR), true);
    assert!(facts.corrections.is_empty(), "{:?}", facts.corrections);
}

#[test]
fn r32_a_late_result_of_a_part_restates_the_composites_above_it_with_a_correction() {
    let mut group = LaneGroup::new(world(&two_parts()), 3);
    let check = |time, service| Happening::Check(time, service, Status::Up);
    let events: Vec<_> = (0..96).flat_map(|time| [check(time, 0), check(time, 1)]).enumerate().collect();
    group.fold(&delivery(&events, 0, true), Instant(48 * HOUR));
    group.close(1, Instant(48 * HOUR), true);
    // Down from 5:00 to 5:30.
    let late = [(1_000, Happening::Check(10, 0, Status::Down))];
    group.fold(&delivery(&late, events.len() as i64, true), Instant(48 * HOUR));
    let facts = group.close(2, Instant(48 * HOUR), false);
    let corrected: Vec<_> = facts
        .corrections
        .iter()
        .map(|row| (row.service.as_deref().unwrap_or_default(), row.revision, row.reason.as_str()))
        .collect();
    assert_eq!(corrected, [("s4", 2, "late_event"), ("s5", 2, "late_event"), ("s6", 2, "late_event")]);
    let outages: Vec<_> = facts.outages.iter().map(|row| (row.service.as_str(), row.causes.as_str())).collect();
    assert_eq!(outages, [("s0", "http"), ("s4", "s0/http"), ("s5", "s4/s0/http"), ("s6", "s5/s4/s0/http")]);
}

#[test]
fn r24_a_composite_that_gets_another_part_knows_what_that_part_was() {
    let of = |parts: &[usize]| {
        let mut composites = two_parts();
        composites[0].parts = parts.iter().map(|part| (*part, 1)).collect();
        world(&composites)
    };
    let mut group = LaneGroup::new(of(&[0]), 2);
    let result = |time| Happening::Check(time, 1, if time < 20 { Status::Down } else { Status::Up });
    let events: Vec<_> = (0..96).flat_map(|time| [Happening::Check(time, 0, Status::Up), result(time)]).collect();
    let numbered: Vec<_> = events.into_iter().enumerate().collect();
    group.fold(&delivery(&numbered, 0, true), Instant(48 * HOUR));
    assert_eq!(found(&[group.close(1, Instant(48 * HOUR), true)]).1[0], (4, 0, [48, 0, 0, 0]));
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(of(&[0, 1]), 2, &bytes).expect("restored");
    let facts = group.close(2, Instant(48 * HOUR), false);
    assert_eq!(facts.corrections[0].reason, "definition_change");
    assert_eq!(found(&[facts]).1[0], (4, 0, [28, 20, 0, 0]));
}

#[test]
fn r32_what_was_told_of_the_watermark_itself_can_be_taken_back() {
    // The part goes down at the very watermark, which is told to the composite and said nowhere else; then it turns out
    // that it did not.
    let of_tickets = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [mail]}}}
";
    let mut group = LaneGroup::new(portfolio_of(of_tickets), 1);
    let opened = [(0, Happening::Ticket(20, 1, Action::Opened))];
    group.fold(&delivery(&opened, 0, true), Instant(10 * HOUR));
    group.close(1, Instant(10 * HOUR), true);
    group.fold(&delivery(&[(1, Happening::Ticket(19, 1, Action::Cancelled))], 1, true), Instant(11 * HOUR));
    let facts = group.close(2, Instant(11 * HOUR), true);
    assert!(facts.outages.is_empty() && facts.transitions.is_empty(), "{:?}", facts.outages);
}
