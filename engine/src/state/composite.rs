//! The state of a service that follows from those of its parts (R32), by the three-valued logic of R3.
//!
//! Where all parts are known, with `n` parts of which `up` and `degraded` many are so:
//!
//! ```text
//!            up when      degraded when            k
//! all_of     up >= k      up + degraded >= k       n
//! any_of     up >= k      up + degraded >= k       1
//! k_of_n     up >= k      up + degraded >= k       at_least
//! weighted   c >= u * w   c > 0 and c >= d * w
//! ```
//!
//! and down otherwise. `w` is the sum of all shares; `c` is the capacity: the shares of the parts that are up, and of
//! those that are degraded the part that `degraded` says; `u` is `up_from` and `d` is `degraded_from`. Shares are whole
//! numbers and percentages billionths, so both sides are integers.
//!
//! A part that is unknown may be anything. No part that works better makes the whole work worse, so the whole is at
//! worst what it is with all unknown parts down, and at best what it is with all of them up. Where the two agree that
//! is its state, and otherwise it is unknown. For checks this is the table of R3 (`state/service.rs`).
//!
//! What is known of the composite itself, by checks and incidents of its own, is one more part of which all are needed.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Composition, CompositionRule};
use plimsoll_schemas::ratio::Share;

use super::followed::{Caused, Followed};
use super::service::Bounded;
use super::{Bounds, State};
use crate::Name;

/// The shares of the parts in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shares {
    up: i64,
    degraded: i64,
    down: i64,
    unknown: i64,
}

impl Shares {
    fn of(&mut self, state: State) -> &mut i64 {
        match state {
            State::Up => &mut self.up,
            State::Degraded => &mut self.degraded,
            State::Down => &mut self.down,
            // No service is excluded by itself.
            State::Unknown | State::Excluded => &mut self.unknown,
        }
    }

    /// What the state of the whole may be.
    fn bounds(&self, rule: CompositionRule) -> Bounds {
        Bounds {
            worst: known_state(rule, self.up, self.degraded, self.down + self.unknown),
            best: known_state(rule, self.up + self.unknown, self.degraded, self.down),
        }
    }
}

/// The state of the whole where every part is known; see the head of this module.
fn known_state(rule: CompositionRule, up: i64, degraded: i64, down: i64) -> State {
    let whole = up + degraded + down;
    let (is_up, is_degraded) = match rule {
        CompositionRule::AllOf => (up >= whole, up + degraded >= whole),
        CompositionRule::AnyOf => (up >= 1, up + degraded >= 1),
        CompositionRule::AtLeast(least) => (up >= least, up + degraded >= least),
        CompositionRule::Weighted { up_from, degraded_from, degraded_good } => {
            let times = |count: i64, share: Share| i128::from(count) * i128::from(share.0);
            let capacity = times(up, Share(Share::WHOLE)) + times(degraded, degraded_good);
            (capacity >= times(whole, up_from), capacity > 0 && capacity >= times(whole, degraded_from))
        }
    };
    match (is_up, is_degraded) {
        (true, _) => State::Up,
        (false, true) => State::Degraded,
        (false, false) => State::Down,
    }
}

/// The state of a composite whose parts have these states.
pub fn state_of(composition: &Composition, states: impl Iterator<Item = State>) -> State {
    let mut shares = Shares::default();
    for (part, state) in composition.parts.iter().zip(states) {
        *shares.of(state) += part.share;
    }
    shares.bounds(composition.rule).state()
}

/// Whether a part in this state helps to bring the composite's bad state about.
pub fn is_cause(rule: CompositionRule, whole: State, part: State) -> bool {
    match (whole, part) {
        (State::Down | State::Degraded, State::Down) | (State::Degraded, State::Degraded) => match rule {
            CompositionRule::Weighted { degraded_good, .. } if part == State::Degraded => {
                degraded_good.0 < Share::WHOLE
            }
            _ => true,
        },
        (State::Down, State::Degraded) => {
            matches!(rule, CompositionRule::Weighted { degraded_good, .. } if degraded_good.0 < Share::WHOLE)
        }
        _ => false,
    }
}

/// What the states of `[from, until)` may be that follow from those of the parts: stretches without gap or overlap. A part
/// of which nothing was ever told is unknown.
///
/// Cost is that of sorting the parts' changes, and of naming the causes of each stretch in a bad state.
pub fn composed(
    composition: &Composition,
    followed: &BTreeMap<Name, Followed>,
    from: Instant,
    until: Instant,
) -> Vec<Bounded> {
    let nothing: Caused = (State::Unknown, Vec::new());
    let parts: Vec<_> = composition.parts.iter().map(|part| (part, followed.get(part.service.as_str()))).collect();
    let mut current: Vec<&Caused> = Vec::with_capacity(parts.len());
    let mut shares = Shares::default();
    let mut troubled = BTreeSet::new();
    let mut changes = Vec::new();
    for (place, (part, followed)) in parts.iter().enumerate() {
        let caused = followed.map_or(&nothing, |followed| followed.at(from));
        *shares.of(caused.0) += part.share;
        troubled.extend((caused.0 != State::Up).then_some(place));
        current.push(caused);
        let later = followed.iter().flat_map(|followed| followed.changes(from, until));
        changes.extend(later.map(|(at, caused)| (at, place, caused)));
    }
    changes.sort_unstable_by_key(|&(at, place, _)| (at, place));
    let mut changes = changes.into_iter().peekable();
    let mut stretches: Vec<Bounded> = Vec::new();
    let mut start = from;
    while start < until {
        while let Some((_, place, caused)) = changes.next_if(|change| change.0 <= start) {
            let share = composition.parts[place].share;
            *shares.of(current[place].0) -= share;
            *shares.of(caused.0) += share;
            if caused.0 == State::Up {
                troubled.remove(&place)
            } else {
                troubled.insert(place)
            };
            current[place] = caused;
        }
        let end = changes.peek().map_or(until, |change| change.0);
        let bounds = shares.bounds(composition.rule);
        let state = bounds.state();
        let culprits = troubled.iter().filter(|place| is_cause(composition.rule, state, current[**place].0));
        let mut causes: Vec<Name> = culprits.flat_map(|place| current[*place].1.iter().cloned()).collect();
        causes.sort_unstable();
        causes.dedup();
        stretches.push(Bounded { start, end, bounds, causes });
        start = end;
    }
    stretches
}

/// What the states may be where two things are needed. Both lists cover the same time without gap.
pub fn both(one: &[Bounded], other: &[Bounded]) -> Vec<Bounded> {
    let mut stretches: Vec<Bounded> = Vec::new();
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let (start, end) = (a.start.max(b.start), a.end.min(b.end));
        let bounds = a.bounds.and(b.bounds);
        let state = bounds.state();
        let bad = [a, b].into_iter().filter(|half| half.bounds.state() == state && state != State::Unknown);
        let mut causes: Vec<Name> = bad.flat_map(|half| half.causes.iter().cloned()).collect();
        causes.sort_unstable();
        causes.dedup();
        stretches.push(Bounded { start, end, bounds, causes });
        left.next_if(|stretch| stretch.end == end);
        right.next_if(|stretch| stretch.end == end);
    }
    stretches
}

#[cfg(test)]
mod rules_page;
#[cfg(test)]
mod tests {
    use super::super::service::{Segment, merged};
    use super::*;
    use plimsoll_schemas::definition::Part;

    fn composition(rule: CompositionRule, shares: &[i64]) -> Composition {
        let part = |(place, share): (usize, &i64)| Part { service: format!("p{place}"), share: *share };
        Composition { parts: shares.iter().enumerate().map(part).collect(), rule }
    }

    fn states(letters: &str) -> Vec<State> {
        letters
            .chars()
            .map(|letter| match letter {
                'u' => State::Up,
                'g' => State::Degraded,
                'd' => State::Down,
                _ => State::Unknown,
            })
            .collect()
    }

    #[test]
    fn r32_all_any_and_some_of_three() {
        // u up, g degraded, d down, ? unknown: all of them, any of them, at least two of them.
        use State::{Degraded, Down, Unknown, Up};
        for (letters, all, any, two) in [
            ("uuu", Up, Up, Up),
            ("uug", Degraded, Up, Up),
            ("ugg", Degraded, Up, Degraded),
            ("ggg", Degraded, Degraded, Degraded),
            ("uud", Down, Up, Up),
            ("ugd", Down, Up, Degraded),
            ("udd", Down, Up, Down),
            ("ggd", Down, Degraded, Degraded),
            ("gdd", Down, Degraded, Down),
            ("ddd", Down, Down, Down),
            ("uu?", Unknown, Up, Up),
            ("ug?", Unknown, Up, Unknown),
            ("gg?", Unknown, Unknown, Degraded),
            ("ud?", Down, Up, Unknown),
            ("gd?", Down, Unknown, Unknown),
            ("dd?", Down, Unknown, Down),
            ("u??", Unknown, Up, Unknown),
            ("d??", Down, Unknown, Unknown),
            ("???", Unknown, Unknown, Unknown),
        ] {
            for (rule, expected) in
                [(CompositionRule::AllOf, all), (CompositionRule::AnyOf, any), (CompositionRule::AtLeast(2), two)]
            {
                let found = state_of(&composition(rule, &[1, 1, 1]), states(letters).into_iter());
                assert_eq!(found, expected, "{letters} {rule:?}");
            }
        }
    }

    #[test]
    fn r32_a_weighted_composite_is_compared_by_integers_at_its_thresholds() {
        let rule = |up: i64, degraded: i64, half: i64| CompositionRule::Weighted {
            up_from: Share(up),
            degraded_from: Share(degraded),
            degraded_good: Share(half),
        };
        let of = |rule, shares: &[i64], letters| state_of(&composition(rule, shares), states(letters).into_iter());
        use State::{Degraded, Down, Unknown, Up};
        // Of 60 + 40: up from 60 % on, degraded from 40 % on.
        let usual = rule(600_000_000, 400_000_000, 500_000_000);
        for (letters, expected) in [
            ("uu", Up),
            ("ud", Up),
            ("du", Degraded),
            ("dd", Down),
            // 30 + 40 and 30 + 20 and 60 + 20 and 30 + 0 and 0 + 20.
            ("gu", Up),
            ("gg", Degraded),
            ("ug", Up),
            ("gd", Down),
            ("dg", Down),
            // 60 to 100; 40 to 100; 0 to 40; 30 to 70.
            ("u?", Up),
            ("?u", Unknown),
            ("d?", Unknown),
            ("g?", Unknown),
        ] {
            assert_eq!(of(usual, &[60, 40], letters), expected, "{letters}");
        }
        // One billionth more than 60 % is more than 60 of 100.
        assert_eq!(of(rule(600_000_001, 1, 0), &[60, 40], "ud"), Degraded);
        // A third is less than 33.3333334 % and more than 33.3333333 %.
        assert_eq!(of(rule(333_333_334, 1, 0), &[1, 1, 1], "udd"), Degraded);
        assert_eq!(of(rule(333_333_333, 1, 0), &[1, 1, 1], "udd"), Up);
        // From any capacity on, however small; of none it is down.
        let any = rule(Share::WHOLE, 0, 500_000_000);
        assert_eq!(of(any, &[1, 1_000_000_000], "gd"), Degraded);
        assert_eq!(of(any, &[1, 1_000_000_000], "dd"), Down);
        assert_eq!(of(rule(Share::WHOLE, 0, 0), &[1, 1], "gd"), Down);
        assert_eq!(of(rule(Share::WHOLE, 0, Share::WHOLE), &[1, 1], "ug"), Up);
    }

    /// From when on, the state's letter, its cause.
    type Change<'a> = (i64, char, &'a str);

    fn followed(changes: &[(&str, &[Change<'_>])]) -> BTreeMap<Name, Followed> {
        let told = |(name, changes): &(&str, &[Change<'_>])| {
            let mut followed = Followed::new(State::Unknown);
            let change = |&(at, letter, cause): &Change<'_>| {
                let causes = if cause.is_empty() { Vec::new() } else { vec![cause.into()] };
                (Instant(at), (states(&letter.to_string())[0], causes))
            };
            followed.restate(Instant(0), changes.iter().map(change).collect());
            ((*name).into(), followed)
        };
        changes.iter().map(told).collect()
    }

    fn shown(stretches: Vec<Bounded>) -> String {
        let one = |segment: &Segment| {
            let causes = segment.causes.iter().map(|cause| cause.as_ref()).collect::<Vec<_>>().join("+");
            format!("{} {}-{} {causes}", segment.state.as_str(), segment.start.0, segment.end.0).trim_end().to_owned()
        };
        merged(stretches).iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn r32_a_composite_changes_at_the_microsecond_of_its_parts_and_names_them() {
        let parts = followed(&[
            ("p0", &[(10, 'u', ""), (30, 'd', "p0/ping"), (50, 'u', "")]),
            ("p1", &[(20, 'u', ""), (40, 'd', "p1/ping"), (60, 'u', "")]),
        ]);
        let check = |rule, expected: &str| {
            assert_eq!(shown(composed(&composition(rule, &[1, 1]), &parts, Instant(0), Instant(70))), expected);
        };
        let all =
            "unknown 0-20, up 20-30, down 30-40 p0/ping, down 40-50 p0/ping+p1/ping, down 50-60 p1/ping, up 60-70";
        check(CompositionRule::AllOf, all);
        check(CompositionRule::AnyOf, "unknown 0-10, up 10-40, down 40-50 p0/ping+p1/ping, up 50-70");
        let late = composed(&composition(CompositionRule::AllOf, &[1, 1]), &parts, Instant(35), Instant(45));
        assert_eq!(shown(late), "down 35-40 p0/ping, down 40-45 p0/ping+p1/ping", "whose trouble is older");
    }

    #[test]
    fn r32_what_is_known_of_the_composite_itself_is_needed_as_well() {
        let within = |start, end, bounds, cause: &str| Bounded {
            start: Instant(start),
            end: Instant(end),
            bounds,
            causes: if cause.is_empty() { Vec::new() } else { vec![cause.into()] },
        };
        let stretch = |start, end, letter: &str, cause| within(start, end, Bounds::of(states(letter)[0]), cause);
        let parts = [stretch(0, 20, "u", ""), stretch(20, 40, "d", "p0/ping"), stretch(40, 60, "?", "")];
        let own = [stretch(0, 10, "?", ""), stretch(10, 30, "g", "slow"), stretch(30, 60, "d", "T1")];
        let expected = "unknown 0-10, degraded 10-20 slow, down 20-30 p0/ping, down 30-40 T1+p0/ping, down 40-60 T1";
        assert_eq!(shown(both(&parts, &own)), expected);
        // What is degraded at the worst cannot take the whole down: with what is degraded anyway it is degraded, with what
        // is down at the worst it may be that, with what is up it may be up.
        let parts = [within(0, 40, Bounds { worst: State::Degraded, best: State::Up }, "")];
        let own = [
            stretch(0, 10, "g", "slow"),
            stretch(10, 20, "?", ""),
            stretch(20, 30, "u", ""),
            stretch(30, 40, "d", "T1"),
        ];
        assert_eq!(shown(both(&parts, &own)), "degraded 0-10 slow, unknown 10-30, down 30-40 T1");
    }

    #[test]
    fn r32_what_costs_no_capacity_is_no_cause() {
        let weighted = |good| CompositionRule::Weighted {
            up_from: Share(Share::WHOLE),
            degraded_from: Share(0),
            degraded_good: Share(good),
        };
        use State::{Degraded, Down, Unknown, Up};
        assert!(is_cause(weighted(500_000_000), Down, Degraded));
        assert!(is_cause(weighted(500_000_000), Degraded, Degraded));
        assert!(!is_cause(weighted(Share::WHOLE), Degraded, Degraded));
        assert!(is_cause(weighted(Share::WHOLE), Down, Down) && is_cause(weighted(Share::WHOLE), Degraded, Down));
        assert!(!is_cause(CompositionRule::AllOf, Down, Degraded), "what is only degraded takes nothing down");
        assert!(is_cause(CompositionRule::AllOf, Degraded, Degraded));
        assert!(is_cause(CompositionRule::AtLeast(2), Degraded, Down));
        assert!(!is_cause(CompositionRule::AnyOf, Unknown, Down) && !is_cause(CompositionRule::AnyOf, Up, Down));
    }
}
