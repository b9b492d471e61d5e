//! One service: its checks and the outages that tickets declare, combined into one state at each instant (R3).
//!
//! The combination is three-valued: what the known sources decide stands, only otherwise is the service unknown. An
//! outage that a ticket declares is down whatever the checks say. With `n` checks of which `down`, `unknown` and
//! `degraded` many are so, and `k` the number that must be down:
//!
//! ```text
//! down >= k                        down: decided
//! down + unknown >= k              unknown: it may be down
//! down + degraded >= k             degraded
//! down + degraded + unknown >= k   unknown: it may be degraded
//! otherwise                        up
//! ```
//!
//! That is: down, degraded or up by what is down and degraded, where it is the same whether all that are unknown are down or
//! up. What it may be is kept until all that a composite needs is put together.
//!
//! A composite's state follows from those of its parts as well (`composite`).

use std::collections::BTreeMap;

use plimsoll_schemas::definition::{DownWhen, Evidence, StateRule};
use plimsoll_schemas::event::Status;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::check::{CheckHistory, Observed};
use super::composite::{both, composed, state_of};
use super::followed::{Caused, Followed};
use super::{Bounds, State};
use crate::Name;

/// A stretch of time in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its first instant.
    pub start: Instant,
    /// The first instant after it.
    pub end: Instant,
    /// The state.
    pub state: State,
    /// Checks and tickets that brought a bad state about, sorted; empty when up or unknown.
    pub causes: Vec<Name>,
}

/// A stretch of time and what the state may be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// Its first instant.
    pub start: Instant,
    /// The first instant after it.
    pub end: Instant,
    /// What the state may be.
    pub bounds: Bounds,
    /// As of a segment with that state.
    pub causes: Vec<Name>,
}

/// An outage that a ticket declares: from, until (`None` while it lasts).
pub type Claim = (Instant, Option<Instant>);

/// All that is remembered of one service's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHistory {
    /// By the check's name.
    checks: Vec<(Name, CheckHistory)>,
    /// By the ticket's id.
    claims: BTreeMap<Name, Vec<Claim>>,
    /// The states of the services that it follows, by their ids.
    followed: BTreeMap<Name, Followed>,
    /// The first and the last instant at which states may differ from what was last read.
    changed: Option<(Instant, Instant)>,
    /// How far states were read and results may have been stated.
    read_until: Option<Instant>,
    /// Observations that came too late to be applied before all are observed again.
    deferred: u64,
    /// The longest `stale_after` by which runs were made whose observations may no longer be kept.
    runs_by: Micros,
    /// States before this are forgotten; `None` while none are.
    kept_from: Option<Instant>,
}

impl ServiceHistory {
    /// The place of a check, which is made when it is new. Places never change.
    pub fn check(&mut self, name: &str) -> usize {
        match self.checks.iter().position(|(known, _)| known.as_ref() == name) {
            Some(place) => place,
            None => {
                self.checks.push((name.into(), CheckHistory::default()));
                self.checks.len() - 1
            }
        }
    }

    /// Takes one observation of the check at `place`.
    pub fn observe(&mut self, place: usize, time: Instant, status: Status, rule: &StateRule) {
        match self.checks[place].1.observe(time, status, rule.stale_after) {
            // What came late may fill a stretch that was read as unknown, even if it says nothing new.
            Observed::Extended if self.read_until.is_some_and(|read| time < read) => self.touch(time, time),
            Observed::Extended => {}
            Observed::ChangedFrom(from) => self.touch(from, time),
            Observed::BeyondHistory => self.deferred += 1,
        }
    }

    /// Replaces the outages that a ticket declares.
    pub fn claim(&mut self, ticket: &Name, mut claims: Vec<Claim>) {
        claims.retain(|(_, end)| end.is_none_or(|end| Some(end) > self.kept_from));
        let before = self.claims.get(ticket).map_or(&[][..], Vec::as_slice);
        let first_difference =
            (0..before.len().max(claims.len())).find(|&index| before.get(index) != claims.get(index));
        let Some(index) = first_difference else { return };
        let differing = || before.iter().skip(index).chain(claims.iter().skip(index));
        let from = differing().map(|claim| claim.0).min();
        // What lies beyond what was read stays to be read.
        let until = differing().map(|claim| claim.1.unwrap_or(claim.0)).max();
        if claims.is_empty() {
            self.claims.remove(ticket);
        } else {
            self.claims.insert(ticket.clone(), claims);
        }
        if let Some((from, until)) = from.zip(until) {
            self.touch(from, until.max(from));
        }
    }

    /// Says which services it follows, each with the state that it has while nothing is known of it. What was told of
    /// others is forgotten.
    pub fn follow(&mut self, services: impl Iterator<Item = (Name, State)>) {
        let mut before = std::mem::take(&mut self.followed);
        let kept = |(name, state): (Name, State)| {
            let known = before.remove(&name).map(|known| known.with_before(state));
            (name, known.unwrap_or_else(|| Followed::new(state)))
        };
        self.followed = services.map(kept).collect();
    }

    /// Takes what a service that it follows was from `from` on, and nothing else. Returns the first instant at which
    /// that differs from what was known.
    pub fn hear(
        &mut self,
        rule: &StateRule,
        service: &Name,
        from: Instant,
        changes: Vec<(Instant, Caused)>,
    ) -> Option<Instant> {
        let (first, last) = self.followed.get_mut(service)?.restate(from, changes)?;
        if rule.composition.as_ref().is_some_and(|composition| composition.has(service)) {
            self.touch(first, last);
        }
        Some(first)
    }

    /// What is known of the services that it follows.
    pub fn followed(&self) -> &BTreeMap<Name, Followed> {
        &self.followed
    }

    /// True when the state after what was last read, until and at `watermark`, may be another although nothing was
    /// observed: a check falls silent. What else changes is told.
    pub fn moves_by(&self, rule: &StateRule, watermark: Instant) -> bool {
        let silent_at = self.checks.iter().filter_map(|(_, check)| Some(check.last_seen()? + rule.stale_after));
        self.read_until.is_some_and(|read| silent_at.into_iter().any(|at| read < at && at <= watermark))
    }

    fn touch(&mut self, from: Instant, until: Instant) {
        let (first, last) = self.changed.unwrap_or((from, until));
        self.changed = Some((first.min(from), last.max(until)));
    }

    /// The first instant before `watermark` from which states may differ from what was last read.
    pub fn changed_from(&self, watermark: Instant) -> Option<Instant> {
        self.changed.map(|(first, _)| first).filter(|first| *first < watermark)
    }

    /// Says that states were read up to `watermark`; what was observed beyond it stays to be read.
    pub fn read_until(&mut self, watermark: Instant) {
        self.read_until = self.read_until.max(Some(watermark));
        self.changed =
            self.changed.filter(|(_, last)| *last >= watermark).map(|(first, last)| (first.max(watermark), last));
    }

    /// Forgets what cannot matter from `from` on.
    pub fn forget_before(&mut self, from: Instant) {
        self.kept_from = self.kept_from.max(Some(from));
        self.checks.iter_mut().for_each(|(_, check)| check.forget_before(from));
        for claims in self.claims.values_mut() {
            claims.retain(|(_, end)| end.is_none_or(|end| end > from));
        }
        self.claims.retain(|_, claims| !claims.is_empty());
        self.followed.values_mut().for_each(|followed| followed.forget_before(from));
    }

    /// States before this are forgotten; `None` while none are.
    pub fn kept_from(&self) -> Option<Instant> {
        self.kept_from
    }

    /// How many observations came too late to be applied before all are observed again.
    pub fn deferred(&self) -> u64 {
        self.deferred
    }

    /// Whether runs whose observations are no longer kept may lack the gaps that this rule finds in them.
    pub fn must_observe_anew(&self, rule: &StateRule) -> bool {
        rule.stale_after < self.runs_by && self.checks.iter().any(|(_, check)| check.has_frozen())
    }

    /// Forgets what checks observed, for all of it is to be observed again, in any order, before it is settled.
    pub fn forget_observations(&mut self) {
        self.checks.clear();
        (self.deferred, self.runs_by) = (0, Micros::ZERO);
    }

    /// The first instant of which anything is known; `None` while nothing is.
    pub fn known_from(&self, rule: &StateRule) -> Option<Instant> {
        let parts = rule.composition.iter().flat_map(|composition| &composition.parts);
        let first_heard = parts.filter_map(|part| self.followed.get(part.service.as_str())?.first()).min();
        self.own_from().into_iter().chain(first_heard).min()
    }

    /// The same, by any rule.
    pub fn told_from(&self) -> Option<Instant> {
        let first_heard = self.followed.values().filter_map(Followed::first).min();
        self.own_from().into_iter().chain(first_heard).min()
    }

    /// The first instant of which its own checks and claims say anything.
    fn own_from(&self) -> Option<Instant> {
        let first_seen = self.checks.iter().filter_map(|(_, check)| check.first_seen()).min();
        let first_claimed = self.claims.values().filter_map(|claims| claims.first()).map(|claim| claim.0).min();
        first_seen.into_iter().chain(first_claimed).min()
    }

    /// The start of the last stretch before `time` in which the state was known; `None` when there is none. Under
    /// `unknown: hold` (R4) that state holds on, however long ago it was.
    pub fn last_known_before(&self, rule: &StateRule, time: Instant) -> Option<Instant> {
        // A composite may be known before anything is known of its parts.
        let before = self.segments(rule, self.known_from(rule)? - Micros(1), time);
        before.iter().rev().find(|segment| segment.state != State::Unknown).map(|segment| segment.start)
    }

    /// Puts late observations in their place; to be called before `segments`.
    pub fn settle(&mut self, rule: &StateRule) {
        self.runs_by = self.runs_by.max(rule.stale_after);
        for (_, check) in &mut self.checks {
            check.settle(rule.stale_after);
        }
    }

    /// Takes up another rule: every state may differ from `from` on, before which nothing is known or was said.
    pub fn read_anew(&mut self, rule: &StateRule, from: Option<Instant>) {
        for (_, check) in &mut self.checks {
            check.read_anew(rule.stale_after);
        }
        self.restate(from);
    }

    /// Says that every state may differ from `from` on.
    pub fn restate(&mut self, from: Option<Instant>) {
        from.into_iter().for_each(|from| self.touch(from, from));
    }

    /// The states of `[from, until)`: segments without gap or overlap, neighbours of different states or causes.
    pub fn segments(&self, rule: &StateRule, from: Instant, until: Instant) -> Vec<Segment> {
        if from >= until {
            return Vec::new();
        }
        let stretches = match &rule.composition {
            None => self.own_states(rule, from, until),
            Some(parts) if self.checks.is_empty() && self.claims.is_empty() => {
                composed(parts, &self.followed, from, until)
            }
            Some(parts) => both(&composed(parts, &self.followed, from, until), &self.own_states(rule, from, until)),
        };
        merged(stretches)
    }

    /// The same, where `known` were the states up to some instant, and those before `unchanged_until` still are: only what
    /// follows is read, so that a step costs what is new and not what its windows have behind them.
    pub fn extend(
        &self,
        rule: &StateRule,
        mut known: Vec<Segment>,
        unchanged_until: Instant,
        (from, until): (Instant, Instant),
    ) -> Vec<Segment> {
        if unchanged_until <= from || known.first().is_none_or(|first| first.start > from) {
            return self.segments(rule, from, until);
        }
        // Mostly there is nothing to be cut off, and neither end is far.
        while known.pop_if(|last| last.start >= unchanged_until.min(until)).is_some() {}
        known.drain(..known.iter().take_while(|segment| segment.end <= from).count());
        if let Some(first) = known.first_mut() {
            first.start = from;
        }
        let Some(last) = known.last_mut() else { return self.segments(rule, from, until) };
        last.end = last.end.min(unchanged_until).min(until);
        let mut new = self.segments(rule, last.end, until).into_iter().peekable();
        if let Some(goes_on) = new.next_if(|next| next.state == last.state && next.causes == last.causes) {
            last.end = goes_on.end;
        }
        known.extend(new);
        debug_assert_eq!(known, self.segments(rule, from, until), "what was read before no longer holds");
        known
    }

    /// What the states may be that follow from the service's own checks and claims.
    fn own_states(&self, rule: &StateRule, from: Instant, until: Instant) -> Vec<Bounded> {
        let mut sweep = Sweep::new(self, rule, from, until);
        let mut stretches = Vec::new();
        let mut start = from;
        while start < until {
            sweep.advance(start);
            let end = sweep.next_change().min(until);
            let (bounds, causes) = sweep.combine(rule);
            stretches.push(Bounded { start, end, bounds, causes });
            start = end;
        }
        stretches
    }
}

/// Stretches as segments.
pub fn merged(stretches: Vec<Bounded>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::with_capacity(stretches.len());
    for Bounded { start, end, bounds, causes } in stretches {
        let state = bounds.state();
        match segments.last_mut() {
            Some(last) if last.state == state && last.causes == causes => last.end = end,
            _ => segments.push(Segment { start, end, state, causes }),
        }
    }
    segments
}

/// One source of state as it changes over the swept time: ascending instants and what holds from each on.
struct Track<'a> {
    cause: &'a Name,
    /// (from when, status); a check that has not been seen yet takes no part, which is `None`.
    changes: Vec<(Instant, Option<Status>)>,
    next: usize,
    current: Option<Status>,
}

/// A walk over all sources at once, from change to change.
struct Sweep<'a> {
    checks: Vec<Track<'a>>,
    claims: Vec<Track<'a>>,
}

impl<'a> Sweep<'a> {
    fn new(history: &'a ServiceHistory, rule: &StateRule, from: Instant, until: Instant) -> Sweep<'a> {
        let mut sweep = Sweep { checks: Vec::new(), claims: Vec::new() };
        if rule.evidence != Evidence::Incidents {
            for (cause, check) in &history.checks {
                sweep.checks.push(Track {
                    cause,
                    changes: check_changes(check, rule, from, until),
                    next: 0,
                    current: None,
                });
            }
        }
        if rule.evidence != Evidence::Checks {
            for (cause, claims) in &history.claims {
                let mut changes = Vec::new();
                for &(start, end) in
                    claims.iter().filter(|claim| claim.0 < until && claim.1.is_none_or(|end| end > from))
                {
                    changes.push((start, Some(Status::Down)));
                    changes.extend(end.map(|end| (end, None)));
                }
                if !changes.is_empty() {
                    sweep.claims.push(Track { cause, changes, next: 0, current: None });
                }
            }
        }
        sweep
    }

    /// Makes `current` what holds at `time`, which never goes back.
    fn advance(&mut self, time: Instant) {
        for track in self.checks.iter_mut().chain(&mut self.claims) {
            while let Some(&(at, status)) = track.changes.get(track.next).filter(|change| change.0 <= time) {
                debug_assert!(at <= time);
                track.current = status;
                track.next += 1;
            }
        }
    }

    /// The next instant at which any source changes.
    fn next_change(&self) -> Instant {
        let upcoming = self.checks.iter().chain(&self.claims).filter_map(|track| track.changes.get(track.next));
        upcoming.map(|change| change.0).min().unwrap_or(Instant(i64::MAX))
    }

    /// What the state may be by what holds now (see the head of this module), and what brings a bad one about.
    fn combine(&self, rule: &StateRule) -> (Bounds, Vec<Name>) {
        let claiming = || self.claims.iter().filter(|track| track.current.is_some());
        let having = |status| self.checks.iter().filter(move |track| track.current == Some(status));
        let causes_of = |statuses: &[Status]| {
            let checks = statuses.iter().flat_map(|status| having(*status));
            let mut causes: Vec<Name> = claiming().chain(checks).map(|track| track.cause.clone()).collect();
            causes.sort_unstable();
            causes
        };
        if claiming().next().is_some() {
            return (Bounds::of(State::Down), causes_of(&[Status::Down]));
        }
        if rule.evidence == Evidence::Incidents {
            return (Bounds::of(State::Up), Vec::new());
        }
        let seen = self.checks.iter().filter(|track| track.current.is_some()).count();
        if seen == 0 {
            return (Bounds::of(before_anything_is_seen(rule)), Vec::new());
        }
        let needed = match rule.down_when {
            DownWhen::AnyDown => 1,
            DownWhen::AllDown => seen,
            DownWhen::AtLeast(count) => count as usize,
        };
        let (down, unknown, degraded) =
            (having(Status::Down).count(), having(Status::Unknown).count(), having(Status::Degraded).count());
        let known = |down, degraded| match (down >= needed, down + degraded >= needed) {
            (true, _) => State::Down,
            (false, true) => State::Degraded,
            (false, false) => State::Up,
        };
        let bounds = Bounds { worst: known(down + unknown, degraded), best: known(down, degraded) };
        let causes = match bounds.state() {
            State::Down => causes_of(&[Status::Down]),
            State::Degraded => causes_of(&[Status::Down, Status::Degraded]),
            _ => Vec::new(),
        };
        (bounds, causes)
    }
}

/// What checks and claims say of a service of which nothing was seen yet. A composite does without any.
fn before_anything_is_seen(rule: &StateRule) -> State {
    match rule.evidence {
        _ if rule.composition.is_some() => State::Up,
        Evidence::Incidents => State::Up,
        Evidence::Checks | Evidence::Both => State::Unknown,
    }
}

/// The state of a service while nothing is known, where its parts are in these states then.
pub fn state_before(rule: &StateRule, parts: impl Iterator<Item = State>) -> State {
    rule.composition.as_ref().map_or_else(|| before_anything_is_seen(rule), |composition| state_of(composition, parts))
}

/// When a check's status changes within `[from, until)`; it goes unknown `stale_after` after an unrepeated observation.
fn check_changes(
    check: &CheckHistory,
    rule: &StateRule,
    from: Instant,
    until: Instant,
) -> Vec<(Instant, Option<Status>)> {
    let mut changes: Vec<(Instant, Option<Status>)> = Vec::new();
    let mut runs = check.runs_from(from).peekable();
    while let Some(run) = runs.next() {
        if run.first >= until {
            break;
        }
        changes.push((run.first, Some(run.status)));
        let stale_at = run.last + rule.stale_after;
        if runs.peek().is_none_or(|next| next.first > stale_at) {
            changes.push((stale_at, Some(Status::Unknown)));
        }
    }
    changes
}

#[cfg(test)]
mod tests;
