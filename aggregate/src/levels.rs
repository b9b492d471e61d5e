//! At which levels an objective warns, for those who watch numbers instead of rows: the definition of an objective and its
//! calendar in, burn rates and shares out. The formulas are the engine's (R27, R28).

use std::sync::Arc;

use plimsoll_engine::budget::BurnPair;
use plimsoll_engine::calendar::Calendar;
use plimsoll_engine::portfolio::ObjectivePlan;
use plimsoll_schemas::definition::{Objective, Signal};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};

/// See the head of this module.
#[derive(Clone, Debug)]
pub struct Levels {
    calendar: Arc<Calendar>,
    burns: bool,
    warn_at: Vec<Share>,
    used: Used,
}

/// Of what shares are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    /// Of what a window allows, which is known in advance.
    Allowance,
    /// Of the agreed time that a ticket may take.
    Limit(Micros),
    /// Of nothing that is known before the window is over.
    Nothing,
}

impl Levels {
    /// Those of an objective.
    pub fn of(plan: &ObjectivePlan) -> Levels {
        let Objective { warn_at, burn_rate_warnings, indicator, .. } = &plan.objective;
        let used = match &indicator.signal {
            Signal::Availability(_) | Signal::Downtime(_) | Signal::LongestOutage(_) | Signal::OutageCount(_) => {
                Used::Allowance
            }
            Signal::OverdueCount(_) | Signal::ErrorCount { .. } => Used::Allowance,
            Signal::ResponseTime(rule) | Signal::ResolutionTime(rule) | Signal::FulfilmentTime(rule) => {
                Used::Limit(rule.within)
            }
            _ => Used::Nothing,
        };
        Levels { calendar: plan.calendar.clone(), burns: *burn_rate_warnings, warn_at: warn_at.clone(), used }
    }

    /// Whether it warns of burn rates.
    pub fn watch_burn_rates(&self) -> bool {
        self.burns
    }

    /// Whether it warns of shares of what a window allows.
    pub fn watch_budgets(&self) -> bool {
        self.used == Used::Allowance && !self.warn_at.is_empty()
    }

    /// Whether it has clocks of tickets.
    pub fn watch_tickets(&self) -> bool {
        matches!(self.used, Used::Limit(_))
    }

    /// By which pairs of spans it warns in a segment of a window, `[start, end)`; none unless it is to.
    pub fn pairs(&self, start: Instant, end: Instant) -> Vec<BurnPair> {
        if self.burns { BurnPair::of(self.calendar.elapsed(start, end)) } else { Vec::new() }
    }

    /// The greatest share to warn at that is used up of what a window allows, of which this share is left.
    pub fn used_of_budget(&self, left: Share) -> Option<Share> {
        let is_used = |share: &&Share| self.used == Used::Allowance && share.0 <= Share::WHOLE - left.0;
        self.warn_at.iter().rev().find(is_used).copied()
    }

    /// The greatest share to warn at that is used up now of the time of a ticket whose clock runs and is due then.
    pub fn used_of_time(&self, now: Instant, due: Instant) -> Option<Share> {
        let Used::Limit(within) = self.used else { return None };
        let used = i128::from(within.0) - i128::from(self.calendar.elapsed(now, due).0);
        let is_used = |share: &&Share| used * i128::from(Share::WHOLE) >= i128::from(share.0) * i128::from(within.0);
        self.warn_at.iter().rev().find(is_used).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_engine::portfolio::Portfolio;
    use plimsoll_schemas::definition::{File, load};

    const HOURS: &str = "apiVersion: plimsoll/v1\nkind: Calendar\nmetadata: {id: office}\nspec:\n  time_zone: UTC\n  \
                         hours: [{days: mon-fri, from: \"08:00\", until: \"16:00\"}]\n---\n";

    fn levels(objective: &str) -> Levels {
        let text = format!(
            "{HOURS}apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: web}}\n---\napiVersion: plimsoll/v1\n\
             kind: Agreement\nmetadata: {{id: ola}}\nspec:\n  type: ola\n  services: [web]\n  \
             effective: {{from: 2026-01-01}}\n  objectives: [{{id: one, {objective}}}]\n"
        );
        let definitions = load(&[File { name: "test.yaml", text: &text }]).expect("sound definitions");
        Levels::of(&Portfolio::new(&definitions).objectives()[0])
    }

    fn at(text: &str) -> Instant {
        Instant::parse(text).expect("an instant")
    }

    #[test]
    fn r27_the_pairs_are_those_of_the_window() {
        let objective = "indicator: {signal: availability}, target: {at_least: 99.9 %}, window: {calendar: month}";
        let factors = |levels: &Levels, start, end| {
            let pairs = levels.pairs(at(start), at(end));
            pairs.iter().map(|pair| pair.factor.0).collect::<Vec<_>>()
        };
        let burning = levels(&format!("{objective}, burn_rate_warnings: true"));
        // 2 % of 720 hours in one, 5 % in six, 10 % in 24 and in 72; February's 672 hours lack the last, for it is below 1.
        let billion = 1_000_000_000;
        let expected = [14_400_000_000, 6 * billion, 3 * billion, billion];
        assert_eq!(factors(&burning, "2026-04-01", "2026-05-01"), expected);
        assert_eq!(factors(&burning, "2026-02-01", "2026-03-01"), [13_440_000_000, 5_600_000_000, 2_800_000_000]);
        assert_eq!(factors(&levels(objective), "2026-04-01", "2026-05-01"), [0; 0]);
    }

    #[test]
    fn r28_shares_are_used_up_from_their_first_billionth_on() {
        let objective = "target: {at_least: 99 %}, window: {calendar: month}";
        let budget = levels(&format!("indicator: {{signal: availability}}, {objective}"));
        let shares = [(500_000_001, None), (500_000_000, Some(50)), (100_000_000, Some(90)), (-1, Some(90))];
        for (left, used) in shares {
            assert_eq!(budget.used_of_budget(Share(left)), used.map(|percent| Share(percent * 10_000_000)), "{left}");
        }
        let counted = levels(&format!("indicator: {{signal: change_success}}, {objective}"));
        assert_eq!(counted.used_of_budget(Share(0)), None);
        // Four hours of office time, due on Monday at 10:00: two are used on Friday at 16:00, and on all of the weekend.
        let clock = "indicator: {signal: resolution_time, within: 4h, calendar: office}";
        let clock = levels(&format!("{clock}, {objective}, warn_at: [50 %, 75 %]"));
        let due = at("2026-03-09T10:00:00Z");
        for (now, used) in [
            ("2026-03-06T15:59:59Z", None),
            ("2026-03-06T16:00:00Z", Some(50)),
            ("2026-03-08T12:00:00Z", Some(50)),
            ("2026-03-09T09:00:00Z", Some(75)),
            ("2026-03-09T11:00:00Z", Some(75)),
        ] {
            assert_eq!(clock.used_of_time(at(now), due), used.map(|percent| Share(percent * 10_000_000)), "{now}");
        }
        assert_eq!((budget.used_of_time(due, due), clock.used_of_budget(Share(0))), (None, None));
    }
}
