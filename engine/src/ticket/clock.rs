//! In: what happened to a ticket, and one objective's rule. Out: the clocks it ran (R14-R18, R37). The choices are
//! listed at the head of `ticket`.

use plimsoll_schemas::definition::{Attribution, ClockRule, PriorityChange, Reopening};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::history::{Attributes, Cycle, Pause, Segment, TicketHistory, earliest};
use crate::Name;
use crate::calendar::Calendar;
use crate::window::Window;

/// What a clock waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClockKind {
    /// The first response: the acknowledgement, or the resolution of a ticket that was never acknowledged.
    Response,
    /// The resolution.
    Resolution,
}

/// How a clock stands or ended. The order is that in which cycles are judged under `largest` (R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClockVerdict {
    /// The objective ceased to apply (R37), or its version ended (R13), before the clock was settled.
    Moved,
    /// The ticket was cancelled (R17).
    Cancelled,
    /// It stopped within its target.
    Met,
    /// It has not stopped and is within its target.
    Running,
    /// It went beyond its target.
    Breached,
}

impl ClockVerdict {
    /// As tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ClockVerdict::Moved => "moved",
            ClockVerdict::Cancelled => "cancelled",
            ClockVerdict::Met => "met",
            ClockVerdict::Running => "running",
            ClockVerdict::Breached => "breached",
        }
    }
}

/// One clock of a ticket under one objective.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockResult {
    /// 0, and one more for each reopening under `new_cycle` (R16).
    pub cycle: u32,
    /// The ticket's priority while the clock last ran.
    pub priority: Option<Name>,
    /// When it started.
    pub started_at: Instant,
    /// When it stopped, or the objective ceased to apply; `None` while it runs.
    pub stopped_at: Option<Instant>,
    /// When its target is or was used up, or would have been had it gone on; `None` while it is paused, and when the
    /// calendar has not so much agreed time.
    pub due_at: Option<Instant>,
    /// Agreed time from the start until the stop, or until now, without pauses (R14).
    pub elapsed: Micros,
    /// Agreed time in pauses between them.
    pub paused: Micros,
    /// Agreed time allowed.
    pub target: Micros,
    /// How it stands or ended.
    pub verdict: ClockVerdict,
    /// The instant whose window it belongs to (R18); `None` while that is undecided, and when it belongs to none.
    pub attributed_at: Option<Instant>,
    /// True when it moved because its version ended while it was open: the version that follows goes on with it.
    pub handed_over: bool,
}

impl ClockResult {
    /// When it is due, or was, if it has not stopped; `None` when it has, and when it is due at no known instant.
    pub fn open_due_at(&self) -> Option<Instant> {
        self.due_at.filter(|_| self.stopped_at.is_none())
    }

    /// The instant from which nothing more is expected of the clock: the one it belongs to, or, when it belongs to
    /// none, its end.
    pub fn settled_at(&self) -> Option<Instant> {
        match self.verdict {
            ClockVerdict::Cancelled | ClockVerdict::Moved => self.stopped_at,
            ClockVerdict::Met | ClockVerdict::Breached | ClockVerdict::Running => self.attributed_at,
        }
    }
}

/// One version of an agreement, as far as clocks know it.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// When the version is in force.
    pub in_force: Window,
    /// What became of the ticket's clocks under the versions before it.
    pub before: &'a Passed,
}

impl Term<'static> {
    /// A version that was always in force.
    pub const ALWAYS: Term<'static> = {
        const NOTHING: Passed =
            Passed { began_at: None, known: Vec::new(), open: Vec::new(), settled: Vec::new(), overdue: Vec::new() };
        Term { in_force: Window { start: Instant(i64::MIN), end: Instant(i64::MAX) }, before: &NOTHING }
    };
}

/// What became of a ticket's clocks under the versions of an agreement up to one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// When the first of these versions came into force; `None` before the first.
    pub began_at: Option<Instant>,
    /// The cycles of which these versions had a clock.
    pub known: Vec<u32>,
    /// The cycles that were still open when the last of these versions ended.
    pub open: Vec<u32>,
    /// The cycles whose result one of these versions has.
    pub settled: Vec<u32>,
    /// Since when cycles are overdue, had the last of these versions gone on.
    pub overdue: Vec<(u32, Instant)>,
}

impl Passed {
    /// What passes on to the version that follows the one with this time and these clocks; `whole` are the clocks had it
    /// always been in force.
    pub fn after(mut self, in_force: Window, clocks: &[ClockResult], whole: &[ClockResult]) -> Passed {
        let overdue = |clock: &ClockResult| Some((clock.cycle, self.overdue_from(in_force, clock)?));
        self.overdue = whole.iter().filter_map(overdue).collect();
        let cycles = |wanted: fn(&&ClockResult) -> bool| clocks.iter().filter(wanted).map(|clock| clock.cycle);
        self.began_at.get_or_insert(in_force.start);
        self.known.extend(cycles(|_| true));
        self.settled.extend(cycles(|clock| clock.attributed_at.is_some()));
        self.open = cycles(|clock| clock.handed_over).collect();
        self
    }

    /// Since when a version's clock is or would be overdue: since its due instant, but no version finds a clock overdue
    /// before it is in force, unless those before it found the same; `None` when it is due at no known instant.
    pub fn overdue_from(&self, in_force: Window, clock: &ClockResult) -> Option<Instant> {
        let found = self.overdue.iter().find(|(cycle, _)| *cycle == clock.cycle);
        let first = found.map_or(in_force.start, |(_, found)| in_force.start.min(*found));
        clock.due_at.map(|due_at| due_at.max(first))
    }

    /// The first instant at which a version warns of a clock (R28): of what was used up before the version, an earlier
    /// one has warned if it had the clock; of what was used up before there was an agreement, none warns.
    pub fn warns_from(&self, in_force: Window, cycle: u32) -> Instant {
        self.began_at.filter(|_| !self.known.contains(&cycle)).unwrap_or(in_force.start)
    }
}

/// The clocks of one ticket under one rule as they stand at `now`, by cycle; none if the objective never applied.
///
/// `applies` says whether the objective applies to a ticket's service and customer; the rule's priorities are tested
/// here, and its type of ticket. `term` says when the version is in force that the rule belongs to. `now` is not before
/// the one that `history` was read at.
pub fn clocks(
    history: &TicketHistory,
    kind: ClockKind,
    rule: &ClockRule,
    applies: &dyn Fn(&Attributes) -> bool,
    calendar: &Calendar,
    term: Term<'_>,
    now: Instant,
) -> Vec<ClockResult> {
    let spans = spans(history, kind, rule);
    let judge = Judge { history, rule, applies, calendar, pauses: pauses_of(history, rule), now };
    let results = spans.into_iter().zip(0..).filter_map(|(span, cycle)| Some((judge.clock(cycle, span)?, span)));
    if rule.reopening != Reopening::Largest {
        return results.filter_map(|(result, span)| judge.within(&term, result, span)).collect();
    }
    // Of equals the first counts; its number is 0, for it is the ticket's only result.
    let largest = results.reduce(|best, next| if rank(&next.0) > rank(&best.0) { next } else { best });
    let largest = largest.map(|(result, span)| (ClockResult { cycle: 0, ..result }, span));
    largest.and_then(|(result, span)| judge.within(&term, result, span)).into_iter().collect()
}

/// From what starts each clock until what stops it, by cycle.
fn spans(history: &TicketHistory, kind: ClockKind, rule: &ClockRule) -> Vec<Span> {
    let stop = |cycle: &Cycle| match kind {
        ClockKind::Response => earliest(cycle.acknowledged_at, cycle.resolved_at),
        ClockKind::Resolution => cycle.resolved_at,
    };
    let span = |cycle: &Cycle| (cycle.started_at, stop(cycle));
    match (kind, rule.reopening) {
        (ClockKind::Resolution, Reopening::SameCycle) => vec![(history.opened_at, stop(&history.cycle))],
        (_, Reopening::NewCycle) | (ClockKind::Resolution, Reopening::Largest) => history.cycles().map(span).collect(),
        _ => history.cycles().take(1).map(span).collect(),
    }
}

/// A time in which a ticket was open and one rule applied to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTime {
    /// Its first instant.
    pub from: Instant,
    /// The instant after which more than the time allowed was used; `None` when it was not within this time, and lies
    /// at no known instant ahead. It may lie ahead while this time lasts.
    pub overdue_from: Option<Instant>,
    /// The first instant after it; `None` while it lasts.
    pub until: Option<Instant>,
}

/// When a ticket was open under a rule, and when it was overdue: when its resolution clock, as it ran then, had used more
/// than the time allowed (R10). None for a cancelled ticket (R17). In order, without overlap.
///
/// Unlike a clock's result, this is about each instant by itself: a ticket that moves away or is resolved is overdue no
/// longer, and again where it returns (R37) or is reopened (R16). The arguments are those of [`clocks`].
pub fn open_times(
    history: &TicketHistory,
    rule: &ClockRule,
    applies: &dyn Fn(&Attributes) -> bool,
    calendar: &Calendar,
    now: Instant,
) -> Vec<OpenTime> {
    let judge = Judge { history, rule, applies, calendar, pauses: pauses_of(history, rule), now };
    let mut times = Vec::new();
    for (start, stop) in spans(history, ClockKind::Resolution, rule) {
        for (started_at, segment) in judge.covered(start, stop) {
            let overdue_from = judge.exceeded(&Stretch { started_at, until: segment.until, priority: None });
            // Under `same_cycle` the times spent resolved lie within the span.
            for cycle in history.cycles() {
                let from = segment.from.max(cycle.started_at);
                let until = earliest(segment.until, cycle.resolved_at);
                let is_before_end = |at: &Instant| until.is_none_or(|until| *at < until);
                if is_before_end(&from) {
                    let overdue_from = overdue_from.map(|at| at.max(from)).filter(is_before_end);
                    times.push(OpenTime { from, overdue_from, until });
                }
            }
        }
    }
    times.retain(|_| history.cancelled_at.is_none());
    times
}

/// The instant after which a clock has used more than its target, or will have if it goes on; `None` when that lies at no
/// known instant. `now` is the one that the clock was read at.
pub fn exceeded(
    history: &TicketHistory,
    rule: &ClockRule,
    calendar: &Calendar,
    clock: &ClockResult,
    now: Instant,
) -> Option<Instant> {
    let judge = Judge { history, rule, applies: &|_| true, calendar, pauses: pauses_of(history, rule), now };
    judge.exceeded(&Stretch { started_at: clock.started_at, until: clock.stopped_at, priority: None })
}

/// The time that a clock used between two instants: agreed time without pauses (R14).
pub fn used_within(history: &TicketHistory, rule: &ClockRule, calendar: &Calendar, run: Window) -> Micros {
    let judge = Judge { history, rule, applies: &|_| true, calendar, pauses: pauses_of(history, rule), now: run.end };
    judge.elapsed(&Stretch { started_at: run.start, until: Some(run.end), priority: None })
}

/// When each of these shares of a clock's target is or was used up while it ran (R28), in their order; shares that
/// are not reached before it stopped, or not at any known instant, are left out. The instants of a running clock may
/// lie ahead.
/// `now` is the one that the clock was read at.
pub fn used_up(
    history: &TicketHistory,
    rule: &ClockRule,
    calendar: &Calendar,
    clock: &ClockResult,
    shares: &[Share],
    now: Instant,
) -> Vec<(Share, Instant)> {
    if clock.verdict == ClockVerdict::Cancelled {
        return Vec::new();
    }
    let pauses = pauses_of(history, rule);
    let judge = Judge { history, rule, applies: &|_| true, calendar, pauses, now };
    let stretch = Stretch { started_at: clock.started_at, until: clock.stopped_at, priority: None };
    let reached = |&share: &Share| {
        let at = judge.reached(&stretch, share_of(share, clock.target))?;
        // At the instant at which it stops it no longer runs.
        stretch.until.is_none_or(|until| at < until).then_some((share, at))
    };
    shares.iter().filter_map(reached).collect()
}

/// A share of a length, rounded up: the first microsecond at which so much of it is used.
fn share_of(share: Share, length: Micros) -> Micros {
    const WHOLE: i128 = Share::WHOLE as i128;
    let micros = (i128::from(share.0) * i128::from(length.0) + WHOLE - 1).div_euclid(WHOLE);
    Micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// What makes one cycle count before another under `largest`: a running one may still become larger than those met.
fn rank(result: &ClockResult) -> (ClockVerdict, Micros) {
    (result.verdict, result.elapsed)
}

/// The pauses as a rule counts them; in order and disjoint.
fn pauses_of(history: &TicketHistory, rule: &ClockRule) -> Vec<Pause> {
    match rule.reopening {
        Reopening::SameCycle => pauses_and_resolved_times(history),
        _ => history.pauses.clone(),
    }
}

/// The pauses with the times spent resolved among them, as `same_cycle` counts them (R16); in order and disjoint.
fn pauses_and_resolved_times(history: &TicketHistory) -> Vec<Pause> {
    let next_starts = history.cycles().skip(1).map(|cycle| cycle.started_at);
    let resolved_times = history.earlier_cycles.iter().zip(next_starts).filter_map(|(cycle, reopened_at)| {
        cycle.resolved_at.map(|paused_at| Pause { paused_at, resumed_at: Some(reopened_at) })
    });
    let mut all: Vec<Pause> = history.pauses.iter().copied().chain(resolved_times).collect();
    all.sort_unstable();
    let mut merged: Vec<Pause> = Vec::with_capacity(all.len());
    for pause in all {
        match merged.last_mut() {
            Some(last) if last.resumed_at.is_none_or(|resumed_at| pause.paused_at <= resumed_at) => {
                last.resumed_at = last.resumed_at.zip(pause.resumed_at).map(|(one, other)| one.max(other));
            }
            _ => merged.push(pause),
        }
    }
    merged
}

/// A time in which the objective applied, under one start; a time away from it that ended is part of it.
struct Stretch<'a> {
    started_at: Instant,
    until: Option<Instant>,
    priority: Option<&'a Name>,
}

/// From what starts a clock until what stops it, if anything did.
type Span = (Instant, Option<Instant>);

/// Everything that judging one ticket under one rule needs.
struct Judge<'a> {
    history: &'a TicketHistory,
    rule: &'a ClockRule,
    applies: &'a dyn Fn(&Attributes) -> bool,
    calendar: &'a Calendar,
    pauses: Vec<Pause>,
    now: Instant,
}

impl<'a> Judge<'a> {
    /// The clock of one cycle, were the version always in force; `None` if the objective never applied.
    fn clock(&self, cycle: u32, (start, stop): Span) -> Option<ClockResult> {
        let stop = earliest(stop, self.history.cancelled_at);
        let mut stretches = self.stretches(start, stop);
        // A breach stands whatever the ticket becomes afterwards; otherwise what it became last decides.
        let first_breached = stretches.iter().position(|stretch| self.elapsed(stretch) > self.rule.within);
        if let Some(index) = first_breached {
            stretches.truncate(index + 1);
        }
        let judged = stretches.pop()?;
        let breached = first_breached.is_some();
        let verdict = if judged.until.is_some() && judged.until != stop && !breached {
            ClockVerdict::Moved
        } else if self.history.cancelled_at.is_some() {
            ClockVerdict::Cancelled
        } else if breached {
            ClockVerdict::Breached
        } else if judged.until.is_some() {
            ClockVerdict::Met
        } else {
            ClockVerdict::Running
        };
        Some(self.result(cycle, &judged, verdict))
    }

    /// What of a result falls to a version (R13, R24): a clock is that of the version in force at the instant it
    /// belongs to, and of the first for which this is so. One that is still open when a version ends has moved, and is
    /// handed over to the version that follows. `None` when the result never was this version's.
    fn within(&self, term: &Term<'_>, result: ClockResult, (start, stop): Span) -> Option<ClockResult> {
        let Window { start: first, end } = term.in_force;
        if self.now < first || term.before.settled.contains(&result.cycle) {
            return None;
        }
        let stop = earliest(stop, self.history.cancelled_at);
        match result.settled_at() {
            // The version finds a clock overdue that was open until now, or that began to apply in its own time (R37):
            // so it is from the version's first instant on.
            Some(at) if at < first => {
                let is_new = || start >= first || self.stretches(start, earliest(stop, Some(first))).is_empty();
                let is_its_own = term.before.open.contains(&result.cycle) || is_new();
                let attributed_at = result.attributed_at.filter(|_| is_its_own)?;
                return Some(ClockResult { attributed_at: Some(attributed_at.max(first)), ..result });
            }
            Some(at) if at < end => return Some(result),
            _ if self.now < end => return Some(result),
            _ if start >= end => return None,
            _ => {}
        }
        let open = self.stretches(start, earliest(stop, Some(end))).pop()?;
        Some(ClockResult { handed_over: true, ..self.result(result.cycle, &open, ClockVerdict::Moved) })
    }

    fn result(&self, cycle: u32, judged: &Stretch<'_>, verdict: ClockVerdict) -> ClockResult {
        let due_at = self.reached(judged, self.rule.within);
        ClockResult {
            cycle,
            priority: judged.priority.cloned(),
            started_at: judged.started_at,
            stopped_at: judged.until,
            due_at,
            elapsed: self.elapsed(judged),
            paused: self.paused(judged),
            target: self.rule.within,
            verdict,
            attributed_at: self.attributed_at(verdict, judged.until, due_at),
            handed_over: false,
        }
    }

    /// The segments of `[start, stop)` in which the objective applied, with the start that R15 gives to each.
    fn covered(&self, start: Instant, stop: Option<Instant>) -> impl Iterator<Item = (Instant, Segment<'a>)> {
        let mut started_at = start;
        let mut before: Option<&'a Name> = None;
        let started = move |segment: Segment<'a>| {
            let priority = segment.attributes.priority.as_ref();
            if self.rule.priority_change == PriorityChange::Restart && priority != before {
                started_at = segment.from;
            }
            before = priority;
            (started_at, segment)
        };
        self.history.segments(start, stop).map(started).filter(|(_, segment)| self.covers(segment.attributes))
    }

    /// The times within `[start, stop)` in which the objective applied, under one start each.
    fn stretches(&self, start: Instant, stop: Option<Instant>) -> Vec<Stretch<'_>> {
        let mut stretches: Vec<Stretch<'_>> = Vec::new();
        for (started_at, segment) in self.covered(start, stop) {
            let priority = segment.attributes.priority.as_ref();
            match stretches.last_mut() {
                Some(last) if last.started_at == started_at => {
                    (last.until, last.priority) = (segment.until, priority);
                }
                _ => stretches.push(Stretch { started_at, until: segment.until, priority }),
            }
        }
        stretches
    }

    fn covers(&self, attributes: &Attributes) -> bool {
        let priorities = &self.rule.priorities;
        let named = |priority: &Name| priorities.iter().any(|allowed| **allowed == **priority);
        attributes.ticket_type == self.rule.ticket_type
            && (priorities.is_empty() || attributes.priority.as_ref().is_some_and(named))
            && (self.applies)(attributes)
    }

    /// Agreed time within the stretch, without pauses (R14).
    fn elapsed(&self, stretch: &Stretch<'_>) -> Micros {
        self.calendar.elapsed(stretch.started_at, self.end(stretch)) - self.paused(stretch)
    }

    /// Agreed time of the pauses within the stretch.
    fn paused(&self, stretch: &Stretch<'_>) -> Micros {
        self.pauses.iter().fold(Micros::ZERO, |sum, pause| sum + self.paused_by(pause, stretch))
    }

    /// Agreed time of one pause within the stretch.
    fn paused_by(&self, pause: &Pause, stretch: &Stretch<'_>) -> Micros {
        let end = self.end(stretch);
        let from = pause.paused_at.max(stretch.started_at);
        let until = pause.resumed_at.map_or(end, |resumed_at| resumed_at.min(end));
        self.calendar.elapsed(from, until).max(Micros::ZERO)
    }

    /// Until when the stretch is known: its end, or now; never before its start.
    fn end(&self, stretch: &Stretch<'_>) -> Instant {
        stretch.until.unwrap_or(self.now).max(stretch.started_at)
    }

    /// The earliest instant at which an amount is used: C⁻¹(C(start) + amount + pauses that begin before it) (R2).
    fn reached(&self, stretch: &Stretch<'_>, amount: Micros) -> Option<Instant> {
        let mut allowed = amount;
        let mut due_at = self.calendar.due(stretch.started_at, allowed)?;
        for pause in &self.pauses {
            if pause.paused_at >= due_at {
                break;
            }
            if stretch.until.is_none() && pause.resumed_at.is_none() {
                return None;
            }
            allowed = Micros(allowed.0.saturating_add(self.paused_by(pause, stretch).0));
            due_at = self.calendar.due(stretch.started_at, allowed)?;
        }
        Some(due_at)
    }

    /// The instant after which more than the target is used: with the first microsecond from there on the clock is
    /// breached. It is later than the due instant where agreed time pauses there.
    fn exceeded(&self, stretch: &Stretch<'_>) -> Option<Instant> {
        self.reached(stretch, self.rule.within + Micros(1)).map(|at| at - Micros(1))
    }

    /// The instant whose window a result belongs to (R18).
    fn attributed_at(&self, verdict: ClockVerdict, stop: Option<Instant>, due_at: Option<Instant>) -> Option<Instant> {
        match (verdict, self.rule.attribution) {
            (ClockVerdict::Cancelled | ClockVerdict::Moved, _) => None,
            (_, Attribution::Opened) => Some(self.history.opened_at),
            (_, Attribution::Closed) => self.history.closed_at,
            (ClockVerdict::Met, Attribution::Outcome) => stop,
            (ClockVerdict::Breached, Attribution::Outcome) => due_at,
            (ClockVerdict::Running, Attribution::Outcome) => None,
        }
    }
}
