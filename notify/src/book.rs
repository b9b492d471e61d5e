//! What stands by the tables, what one receiver was told, and how the two differ.
//!
//! A **warning** stands until its window is over, its ticket's clock has stopped, its budget burns too fast no longer, or
//! it is taken back. So does a **breach**. Of what stands of one subject only the worst is told: a breach for all,
//! otherwise the highest share that is used up, and the shortest span that burns.
//!
//! - What stands is told once, as `firing`.
//! - What stood and was told is told once more: as `resolved` when it is over, as `retracted` when it was taken back, as
//!   `superseded` when worse stands.
//! - A warning that was over before it could be told is not: there is nothing to be warned of any more.
//! - A breach that was over before it could be told is told all the same, for an hour, if it was over for no more than a
//!   day when it became known.
//!
//! **No flapping**: a budget burns no longer once it has not done so for five minutes. When it begins again before,
//! nothing is told. A breach that was told is remembered for 100 days, so that it is not told again when its row is
//! written again, and is told as `retracted` if it is taken back after all.

use std::collections::BTreeMap;

use plimsoll_schemas::table::{BreachRow, ClockRow};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use crate::alert::{Level, Subject};

#[cfg(test)]
mod tests;

/// For how long a budget must not have burnt too fast until that is over.
pub const CALM: Micros = Micros(5 * Micros::MINUTE.0);

/// For how long a breach is told that was over before it could be.
pub const SHOWN: Micros = Micros::HOUR;

/// How long a breach may have been over when it became known, so that it is told.
pub const LATE_MAX: Micros = Micros::DAY;

/// How long a breach that was told is remembered.
pub const REMEMBERED: Micros = Micros(100 * Micros::DAY.0);

/// For how long it is remembered that a clock stopped: rows of an epoch are in `clocks` a moment before they are in
/// `breaches`.
const STOPS_KEPT: Micros = Micros(10 * Micros::MINUTE.0);

/// A row that stands, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    row: BreachRow,
    /// When the clock stopped.
    stopped_at: Option<Instant>,
}

impl Standing {
    /// When it was over, or is going to be; `None` while nobody knows.
    fn over_at(&self) -> Option<Instant> {
        match Level::of(&self.row) {
            _ if self.row.ticket.is_some() => self.stopped_at,
            Level::Burning(_) => self.row.ended_at.map_or(self.row.window_end, |ended| Some(ended + CALM)),
            _ => self.row.window_end,
        }
    }

    /// When it ended, of what is over.
    fn ended_at(&self, now: Instant) -> Instant {
        let ended_at = self.row.ended_at.filter(|_| matches!(Level::of(&self.row), Level::Burning(_)));
        ended_at.or(self.over_at()).map_or(now, |over| over.min(now))
    }

    fn is_over(&self, now: Instant) -> bool {
        self.over_at().is_some_and(|over| over <= now)
    }

    /// Whether it is told though it is over: a breach that became known late, not too late.
    fn is_news(&self) -> bool {
        let known_late_by = self.over_at().map(|over| self.row.recorded_at - over);
        Level::of(&self.row) == Level::Breached && known_late_by.is_none_or(|late| late <= LATE_MAX)
    }
}

/// What the receiver was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    row: BreachRow,
    /// Since when it is told.
    since: Instant,
    /// When it was told to be over.
    until: Option<Instant>,
    /// Whether it was taken back, and that is not told yet.
    is_retracted: bool,
}

/// Under what a row stands.
type Key = (Subject, Level);

/// Of one receiver. See the head of this module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Book {
    standing: BTreeMap<Key, Standing>,
    told: BTreeMap<Key, Told>,
    /// When clocks stopped, and when that became known.
    stops: BTreeMap<Subject, (Instant, Instant)>,
}

/// A book as it is saved: the keys follow from the rows.
#[derive(Serialize, Deserialize)]
struct Saved {
    standing: Vec<Standing>,
    told: Vec<Told>,
}

impl From<Book> for Saved {
    fn from(book: Book) -> Saved {
        Saved { standing: book.standing.into_values().collect(), told: book.told.into_values().collect() }
    }
}

impl From<Saved> for Book {
    fn from(saved: Saved) -> Book {
        let standing = saved.standing.into_iter().map(|standing| (key(&standing.row), standing)).collect();
        let told = saved.told.into_iter().map(|told| (key(&told.row), told)).collect();
        Book { standing, told, stops: BTreeMap::new() }
    }
}

fn key(row: &BreachRow) -> Key {
    (Subject::of(row), Level::of(row))
}

/// What is to be told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It stands.
    Firing,
    /// It is over.
    Resolved,
    /// It was taken back: by what is known now it never was so.
    Retracted,
    /// Worse stands of the same subject.
    Superseded,
}

impl Status {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
            Status::Retracted => "retracted",
            Status::Superseded => "superseded",
        }
    }
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row that says it.
    pub row: BreachRow,
    /// What of it.
    pub status: Status,
    /// When it was over; `None` while it stands.
    pub ended_at: Option<Instant>,
    /// When it was told to be over before, if it was.
    pub told_until: Option<Instant>,
}

impl Book {
    /// Takes what tables say newly: rows of `breaches` in the order of their epochs, and of `clocks`.
    pub fn fold(&mut self, breaches: Vec<BreachRow>, clocks: &[ClockRow]) {
        for clock in clocks {
            self.fold_clock(clock);
        }
        for row in breaches {
            self.fold_breach(row);
        }
        if let Some(newest) = self.stops.values().map(|(_, known)| *known).max() {
            self.stops.retain(|_, (_, known)| newest - *known < STOPS_KEPT);
        }
    }

    fn fold_breach(&mut self, row: BreachRow) {
        let key = key(&row);
        if row.event == "retraction" {
            // Each time that a budget burns too fast is told apart by when it began; the last one stands here.
            let is_last = |standing: &Standing| !matches!(key.1, Level::Burning(_)) || standing.row.at == row.at;
            if self.standing.get(&key).is_none_or(is_last) {
                self.standing.remove(&key);
                self.told.get_mut(&key).into_iter().for_each(|told| told.is_retracted = true);
            }
            return;
        }
        let before = self.standing.get(&key);
        if matches!(key.1, Level::Burning(_)) && before.is_some_and(|before| before.row.at > row.at) {
            return;
        }
        if let Some(told) = self.told.get_mut(&key) {
            told.is_retracted = false;
        }
        let stopped_at = self.stops.get(&key.0).map(|(stopped_at, _)| *stopped_at);
        self.standing.insert(key, Standing { row, stopped_at });
    }

    fn fold_clock(&mut self, clock: &ClockRow) {
        let subject = Subject {
            agreement: clock.agreement.clone(),
            agreement_version: clock.agreement_version,
            service: clock.service.clone(),
            objective: clock.objective.clone(),
            clock: Some((clock.ticket.clone(), clock.cycle)),
            window_start: None,
        };
        let runs = !clock.retracted && clock.stopped_at.is_none() && matches!(&*clock.verdict, "running" | "breached");
        let stopped_at = (!runs).then(|| clock.stopped_at.unwrap_or(clock.recorded_at));
        let levels = (subject.clone(), Level::Used(i64::MIN))..=(subject.clone(), Level::Breached);
        self.standing.range_mut(levels).for_each(|(_, standing)| standing.stopped_at = stopped_at);
        // It was reopened, and what was missed is missed again.
        let breach = (subject.clone(), Level::Breached);
        if let (None, Some(told)) = (stopped_at, self.told.get(&breach).filter(|_| clock.verdict == "breached")) {
            let row = told.row.clone();
            self.standing.entry(breach).or_insert(Standing { row, stopped_at: None });
        }
        match stopped_at {
            Some(stopped_at) => self.stops.insert(subject, (stopped_at, clock.recorded_at)),
            None => self.stops.remove(&subject),
        };
    }

    /// What stands now and is to be told: of each subject the worst. Keys of one subject stand together: shares in their
    /// order, then spans, then the breach.
    fn worst(&self, now: Instant) -> BTreeMap<&Key, &Standing> {
        let mut worst: Vec<(&Key, &Standing)> = Vec::new();
        for (key, standing) in self.standing.iter().filter(|(key, standing)| self.is_told_of(key, standing, now)) {
            let is_replaced = |(before, _): &mut (&Key, &Standing)| {
                before.0 == key.0
                    && (key.1 == Level::Breached || matches!((before.1, key.1), (Level::Used(_), Level::Used(_))))
            };
            while worst.pop_if(is_replaced).is_some() {}
            let is_worse = matches!(worst.last(), Some(((of, Level::Burning(_)), _)) if *of == key.0);
            if !is_worse {
                worst.push((key, standing));
            }
        }
        worst.into_iter().collect()
    }

    fn is_told_of(&self, key: &Key, standing: &Standing, now: Instant) -> bool {
        match self.told.get(key) {
            _ if !standing.is_over(now) => true,
            None => standing.is_news(),
            // It was over when it was told, and is shown for a while.
            Some(told) => told.until.is_none() && standing.is_over(told.since) && now - told.since < SHOWN,
        }
    }

    /// What the receiver is to be told now.
    pub fn changes(&self, now: Instant) -> Vec<Change> {
        let worst = self.worst(now);
        let before = |key: &Key| self.told.get(key);
        let is_untold = |key: &Key| before(key).is_none_or(|told| told.until.is_some());
        let firing = worst.iter().filter(|(key, _)| is_untold(key)).map(|(key, standing)| Change {
            row: standing.row.clone(),
            status: Status::Firing,
            ended_at: None,
            told_until: before(key).and_then(|told| told.until),
        });
        let ended = self.told.iter().filter_map(|(key, told)| {
            let standing = self.standing.get(key);
            let over = standing.filter(|standing| standing.is_over(now));
            let (status, ended_at) = match (told.is_retracted, told.until, over) {
                (true, ..) => (Status::Retracted, now),
                (false, Some(_), _) => return None,
                _ if worst.contains_key(key) => return None,
                (false, None, Some(over)) => (Status::Resolved, over.ended_at(now)),
                (false, None, None) => (Status::Superseded, now),
            };
            // It is who it was when it was told, whatever was found out since.
            let detail = standing.map_or(&told.row, |standing| &standing.row).detail.clone();
            let row = BreachRow { detail, ..told.row.clone() };
            Some(Change { row, status, ended_at: Some(ended_at), told_until: told.until })
        });
        // What is over goes first, so that nobody sees two levels of one subject.
        ended.chain(firing).collect()
    }

    /// Takes these changes to be told, and forgets what is over.
    pub fn told(&mut self, changes: &[Change], now: Instant) {
        for change in changes {
            let key = key(&change.row);
            match change.status {
                Status::Firing => {
                    let told = Told { row: change.row.clone(), since: now, until: None, is_retracted: false };
                    self.told.insert(key, told);
                }
                Status::Resolved if key.1 == Level::Breached => {
                    self.told.get_mut(&key).into_iter().for_each(|told| told.until = Some(now));
                }
                Status::Resolved | Status::Superseded | Status::Retracted => {
                    self.told.remove(&key);
                }
            }
        }
        let is_firing = |told: Option<&Told>| told.is_some_and(|told| told.until.is_none());
        self.standing.retain(|key, standing| !standing.is_over(now) || is_firing(self.told.get(key)));
        self.told.retain(|_, told| told.until.is_none_or(|until| now - until < REMEMBERED));
    }

    /// What the receiver was told and was not told to be over.
    pub fn firing(&self) -> impl Iterator<Item = &BreachRow> {
        let firing = self.told.iter().filter(|(_, told)| told.until.is_none());
        firing.map(|(key, told)| self.standing.get(key).map_or(&told.row, |standing| &standing.row))
    }
}
