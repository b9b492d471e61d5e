//! What a service is told of the states of another: its transitions, never its samples (R32).

use std::collections::BTreeMap;

use plimsoll_schemas::Instant;
use serde::{Deserialize, Serialize};

use super::State;
use crate::Name;

/// A state and what brought it about.
pub type Caused = (State, Vec<Name>);

/// The states of another service, as far as they were told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// What it is before its first change.
    before: Caused,
    /// What it is from an instant on.
    changes: BTreeMap<Instant, Caused>,
    /// What it was before is forgotten.
    kept_from: Instant,
}

impl Followed {
    /// Nothing was told yet of a service that is `before` while nothing is known of it.
    pub fn new(before: State) -> Followed {
        Followed { before: (before, Vec::new()), changes: BTreeMap::new(), kept_from: Instant(i64::MIN) }
    }

    /// The same, of a service that is `before` while nothing is known of it.
    pub fn with_before(self, before: State) -> Followed {
        Followed { before: (before, Vec::new()), ..self }
    }

    /// Forgets what it was before `from`, but for the last time until then that it was up: what is asked of an instant
    /// is how long a service has been otherwise.
    pub fn forget_before(&mut self, from: Instant) {
        let up = self.changes.range(..=from).rev().find(|(_, (state, _))| *state == State::Up).map(|(at, _)| *at);
        if let Some(up) = up {
            self.changes = self.changes.split_off(&up);
            self.kept_from = up;
        }
    }

    /// Replaces all changes from `from` on, as far as they are not forgotten. Returns the first and the last instant of
    /// those that differ; `None` when none does.
    pub fn restate(&mut self, from: Instant, changes: Vec<(Instant, Caused)>) -> Option<(Instant, Instant)> {
        let from = from.max(self.kept_from);
        let now: BTreeMap<Instant, Caused> = changes.into_iter().filter(|(at, _)| *at >= from).collect();
        let before = self.changes.split_off(&from);
        let gone = before.iter().filter(|(at, caused)| now.get(at) != Some(caused)).map(|(at, _)| *at);
        let new = now.iter().filter(|(at, caused)| before.get(at) != Some(caused)).map(|(at, _)| *at);
        let (first, last) =
            gone.chain(new).fold((None, None), |(first, last): (Option<Instant>, Option<Instant>), at| {
                (Some(first.map_or(at, |first| first.min(at))), last.max(Some(at)))
            });
        self.changes.extend(now);
        first.zip(last)
    }

    /// The first change that was told.
    pub fn first(&self) -> Option<Instant> {
        self.changes.keys().next().copied()
    }

    /// What it is at an instant.
    pub fn at(&self, time: Instant) -> &Caused {
        self.changes.range(..=time).next_back().map_or(&self.before, |(_, caused)| caused)
    }

    /// Since when its state has been such at an instant at which it is.
    pub fn since(&self, time: Instant, is_such: impl Fn(State) -> bool) -> Instant {
        let back = self.changes.range(..=time).rev();
        back.take_while(|(_, (state, _))| is_such(*state)).last().map_or(time, |(at, _)| *at)
    }

    /// The changes after `from` and before `until`.
    pub fn changes(&self, from: Instant, until: Instant) -> impl Iterator<Item = (Instant, &Caused)> {
        use std::ops::Bound::Excluded;
        let within = (from < until).then(|| self.changes.range((Excluded(from), Excluded(until))));
        within.into_iter().flatten().map(|(at, caused)| (*at, caused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Down, Unknown, Up};

    fn told(changes: &[(i64, State)]) -> Vec<(Instant, Caused)> {
        changes.iter().map(|&(at, state)| (Instant(at), (state, Vec::new()))).collect()
    }

    #[test]
    fn r4_what_a_service_is_before_anything_is_known_may_be_said_anew() {
        let mut followed = Followed::new(Unknown);
        followed.restate(Instant(10), told(&[(10, Down)]));
        let followed = followed.with_before(Up);
        assert_eq!([9, 10].map(|at| followed.at(Instant(at)).0), [Up, Down]);
    }

    #[test]
    fn r32_what_is_told_again_from_an_instant_on_replaces_what_was_told() {
        let mut followed = Followed::new(Unknown);
        let first = told(&[(10, Up), (20, Down), (30, Up)]);
        assert_eq!(followed.restate(Instant(10), first.clone()), Some((Instant(10), Instant(30))));
        assert_eq!(followed.restate(Instant(10), first.clone()), None);
        assert_eq!(followed.restate(Instant(20), first[1..].to_vec()), None);
        let later = told(&[(20, Down), (40, Up)]);
        assert_eq!(followed.restate(Instant(15), later), Some((Instant(30), Instant(40))));
        let states = [9, 10, 19, 20, 39, 40].map(|at| followed.at(Instant(at)).0);
        assert_eq!(states, [Unknown, Up, Up, Down, Down, Up]);
        let between: Vec<i64> = followed.changes(Instant(10), Instant(40)).map(|(at, _)| at.0).collect();
        assert_eq!((between, followed.first()), (vec![20], Some(Instant(10))));
        assert_eq!(followed.restate(Instant(0), Vec::new()), Some((Instant(10), Instant(40))));
        assert_eq!((followed.at(Instant(50)).0, followed.changes(Instant(5), Instant(5)).count()), (Unknown, 0));
    }

    #[test]
    fn r32_what_was_before_the_last_time_up_is_forgotten_and_stays_so() {
        let changes = told(&[(10, Up), (20, Down), (30, Up), (40, Down), (50, Unknown)]);
        let after = |from: i64| {
            let mut followed = Followed::new(Unknown);
            followed.restate(Instant(0), changes.clone());
            followed.forget_before(Instant(from));
            followed
        };
        // Since when it has been down at 45 must stay known: it is asked for from the last time up on.
        let first = [9, 10, 29, 30, 45, 99].map(|from| after(from).first().map(|at| at.0));
        assert_eq!(first, [10, 10, 10, 30, 30, 30].map(Some));
        // What was before 30 is not told again; from there on all is.
        let mut followed = after(45);
        let told_again = told(&[(10, Down), (30, Up), (40, Down), (60, Up)]);
        assert_eq!(followed.restate(Instant(0), told_again), Some((Instant(50), Instant(60))));
        assert_eq!(followed.first(), Some(Instant(30)));
        assert_eq!(followed.since(Instant(45), |state| state == Down), Instant(40));
    }
}
