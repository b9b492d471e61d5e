//! Results of checks: at fixed intervals while nothing happens, at once when a state changes, and every few minutes
//! while a service is not up, as monitoring systems do.

use plimsoll_schemas::event::Status;

use super::catalogue::{Catalogue, Service, Tier};
use super::dice::{Dice, Part};
use super::outages::Outages;
use super::{Body, HOUR, MINUTE, Month, Planned};

/// How often a check that sees a service down looks again.
const RETRY: i64 = 5 * MINUTE;
/// In so many of a thousand services a spell of slowness is seen.
const SLOW_SPELL_PERMILLE: i64 = 350;
/// In so many of a thousand services with two checks one of them alone has trouble at some time.
const BLIP_PERMILLE: i64 = 700;

impl Tier {
    /// Seconds between two regular results of one check.
    pub(super) fn check_interval(self) -> i64 {
        match self {
            Tier::Gold => 20 * MINUTE,
            Tier::Silver => 30 * MINUTE,
            Tier::Bronze => 60 * MINUTE,
        }
    }

    /// From how many places a service is checked. Two places take turns, so that gold is seen every ten minutes.
    pub(super) fn checks(self) -> u8 {
        if self == Tier::Gold { 2 } else { 1 }
    }
}

/// A stretch of time in which checks see something else than `up`.
#[derive(Clone, Copy, Debug)]
struct Spell {
    from: i64,
    until: i64,
    status: Status,
    /// The one check that sees it; `None` for all.
    check: Option<u8>,
}

/// Adds every result of every check of the month to the plan.
pub(super) fn schedule(seed: u64, month: &Month, catalogue: &Catalogue, outages: &Outages, plan: &mut Vec<Planned>) {
    let mut dice = Dice::new(seed, Part::Monitoring);
    let mut downtimes = vec![Vec::new(); catalogue.services.len()];
    for outage in &outages.outages {
        let spell = Spell { from: outage.from, until: outage.until, status: Status::Down, check: None };
        downtimes[outage.service].push(spell);
    }
    for (place, (service, mut spells)) in catalogue.services.iter().zip(downtimes).enumerate() {
        if service.unchecked {
            continue;
        }
        add_harmless_spells(&mut dice, month, service, &mut spells);
        let mut series = Series {
            service: u16::try_from(place).unwrap_or(0),
            latency_usual_ms: dice.between(15, 220),
            number: 0,
            gap: service.unobserved,
            month,
        };
        let interval = service.tier.check_interval();
        let phase = dice.below(interval);
        for check in 0..service.tier.checks() {
            let shift = interval / i64::from(service.tier.checks()) * i64::from(check);
            let first = month.start + (phase + shift) % interval;
            series.regular(&mut dice, check, (first, interval), &spells, plan);
            series.spells(&mut dice, check, &spells, plan);
        }
    }
}

/// Slowness, and trouble that only one of two places has. Neither touches an outage.
fn add_harmless_spells(dice: &mut Dice, month: &Month, service: &Service, spells: &mut Vec<Spell>) {
    let mut candidates = Vec::new();
    if dice.permille(SLOW_SPELL_PERMILLE) {
        candidates.push((Status::Degraded, None, dice.between(15, 150) * MINUTE));
    }
    if service.tier.checks() > 1 && dice.permille(BLIP_PERMILLE) {
        candidates.push((Status::Down, Some(dice.index(2) as u8), dice.between(4, 25) * MINUTE));
    }
    for (status, check, duration) in candidates {
        let from = month.start + HOUR + dice.below(month.end - month.start - 6 * HOUR);
        let spell = Spell { from, until: from + duration, status, check };
        if spells.iter().all(|other| spell.until + HOUR < other.from || other.until + HOUR < spell.from) {
            spells.push(spell);
            spells.sort_by_key(|spell| spell.from);
        }
    }
}

/// The results of one service's checks.
struct Series<'a> {
    service: u16,
    latency_usual_ms: i64,
    number: u32,
    gap: Option<(i64, i64)>,
    month: &'a Month,
}

impl Series<'_> {
    /// Results at fixed intervals, but for the spells, which have their own.
    fn regular(
        &mut self,
        dice: &mut Dice,
        check: u8,
        (first, interval): (i64, i64),
        spells: &[Spell],
        plan: &mut Vec<Planned>,
    ) {
        let mut next_spell = spells.iter().filter(|spell| spell.check.is_none_or(|only| only == check)).peekable();
        let mut beat = first;
        while beat < self.month.end {
            while next_spell.next_if(|spell| spell.until < beat).is_some() {}
            if next_spell.peek().is_none_or(|spell| beat < spell.from) {
                self.push(dice, beat, check, Status::Up, plan);
            }
            beat += interval;
        }
    }

    /// The first result of each spell, its repetitions, and the first good one after it.
    fn spells(&mut self, dice: &mut Dice, check: u8, spells: &[Spell], plan: &mut Vec<Planned>) {
        for spell in spells.iter().filter(|spell| spell.check.is_none_or(|only| only == check)) {
            // The second place sees it a few seconds after the first.
            let mut beat = spell.from + i64::from(check) * 3;
            while beat < spell.until {
                self.push(dice, beat, check, spell.status, plan);
                beat += RETRY;
            }
            self.push(dice, spell.until + i64::from(check) * 3, check, Status::Up, plan);
        }
    }

    fn push(&mut self, dice: &mut Dice, time: i64, check: u8, status: Status, plan: &mut Vec<Planned>) {
        if time >= self.month.end || self.gap.is_some_and(|gap| (gap.0..gap.1).contains(&time)) {
            return;
        }
        let latency = match status {
            Status::Down => 5_000,
            Status::Degraded => self.latency_usual_ms * dice.between(6, 20),
            Status::Up | Status::Unknown => self.latency_usual_ms * dice.between(80, 160) / 100,
        };
        self.number += 1;
        let body = Body::Check {
            service: self.service,
            check,
            status,
            latency_ms: u32::try_from(latency).unwrap_or(0),
            number: self.number,
        };
        plan.push(Planned { arrival: time + 1, time, body });
    }
}
