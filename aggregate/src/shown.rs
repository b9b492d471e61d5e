//! Which of the objectives `/metrics` shows, and by which labels: so that the number of time series has a bound.

use std::str::FromStr;

use plimsoll_schemas::ratio::Share;

use crate::live::LiveObjective;
use crate::metrics::push_label;

/// Of how many objectives numbers are shown unless told: at some dozen series each, about as many as a small Prometheus
/// bears from one target.
pub const OBJECTIVES_SHOWN_MAX: usize = 50_000;

/// See the head of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// By which labels objectives are told apart.
    pub labels: Labels,
    /// Of how many objectives, the worst first.
    pub objectives_max: usize,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown { labels: Labels::ALL, objectives_max: OBJECTIVES_SHOWN_MAX }
    }
}

/// Every label of an objective, in the order in which they are written.
pub const LABELS: [&str; 7] = ["agreement", "agreement_type", "customer", "objective", "offering", "service", "window"];

/// Which of [`LABELS`] there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels([bool; LABELS.len()]);

impl Labels {
    /// All of them.
    pub const ALL: Labels = Labels([true; LABELS.len()]);

    /// Those without which two objectives would have the same series.
    const NEEDED: [&'static str; 3] = ["agreement", "objective", "service"];

    /// In the Prometheus text format, escaped, without braces, from the values of all of them in the order of their names.
    pub fn write(self, values: [&str; LABELS.len()]) -> String {
        let mut text = String::new();
        for ((name, value), _) in LABELS.into_iter().zip(values).zip(self.0).filter(|(_, is_there)| *is_there) {
            if !text.is_empty() {
                text.push(',');
            }
            push_label(&mut text, name, value);
        }
        text
    }
}

impl FromStr for Labels {
    type Err = String;

    /// Reads names with commas between them. Those that are needed are there also when they are not named.
    fn from_str(text: &str) -> Result<Labels, String> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        if let Some(unknown) = names.iter().find(|name| !LABELS.contains(name)) {
            return Err(format!("found {unknown:?}, expected some of {}", LABELS.join(",")));
        }
        Ok(Labels(LABELS.map(|name| names.contains(&name) || Labels::NEEDED.contains(&name))))
    }
}

/// The objectives to show, in their order, and how many are left out. Of an agreement's versions it is the one with the
/// newest window, the later one of two with the same.
pub fn shown(objectives: &[LiveObjective], objectives_max: usize) -> (Vec<&LiveObjective>, usize) {
    let mut speaks = vec![true; objectives.len()];
    // By the last of the versions so far, the one that speaks for them.
    let mut speaker: Vec<usize> = Vec::with_capacity(objectives.len());
    for (place, objective) in objectives.iter().enumerate() {
        let rank = |place: usize| objectives[place].newest.as_ref().map(|newest| newest.window_start);
        let earlier = objective.earlier.map(|earlier| speaker[earlier]);
        let replaces = |earlier: &usize| {
            let is_later = objective.version > objectives[*earlier].version;
            rank(place) > rank(*earlier) || (rank(place) == rank(*earlier) && is_later)
        };
        let (speaking, silent) = match earlier {
            Some(earlier) if replaces(&earlier) => (place, Some(earlier)),
            Some(earlier) => (earlier, Some(place)),
            None => (place, None),
        };
        silent.into_iter().for_each(|silent| speaks[silent] = false);
        speaker.push(speaking);
    }
    let mut all: Vec<(usize, &LiveObjective)> = objectives.iter().enumerate().filter(|(at, _)| speaks[*at]).collect();
    let left_out = all.len().saturating_sub(objectives_max);
    if left_out > 0 {
        if objectives_max > 0 {
            all.select_nth_unstable_by_key(objectives_max - 1, |(place, objective)| (badness(objective), *place));
        }
        all.truncate(objectives_max);
        all.sort_unstable_by_key(|(place, _)| *place);
    }
    (all.into_iter().map(|(_, objective)| objective).collect(), left_out)
}

/// Less is worse: what is breached first, then by what is left of the error budget.
fn badness(objective: &LiveObjective) -> (bool, Share) {
    const NO_BUDGET: Share = Share(i64::MAX);
    match &objective.newest {
        Some(newest) => (&*newest.verdict != "breached", newest.budget_left_share.unwrap_or(NO_BUDGET)),
        None => (true, NO_BUDGET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LiveResult;
    use plimsoll_schemas::Instant;

    /// The version that came before, the start of the newest window, its verdict and the percentage of the budget left.
    fn objective(version: i32, earlier: Option<usize>, newest: Option<(i64, &str, i64)>) -> LiveObjective {
        let newest = newest.map(|(start, verdict, left)| LiveResult {
            budget_left_share: Some(Share(left * 10_000_000)),
            ..LiveResult::new(Instant(start), verdict.into())
        });
        LiveObjective { version, earlier, newest, ..LiveObjective::new(String::new()) }
    }

    fn places(objectives: &[LiveObjective], objectives_max: usize) -> (Vec<usize>, usize) {
        let (shown, left_out) = shown(objectives, objectives_max);
        let place = |shown: &LiveObjective| objectives.iter().position(|objective| std::ptr::eq(objective, shown));
        (shown.into_iter().map(|shown| place(shown).expect("one of them")).collect(), left_out)
    }

    #[test]
    fn the_version_with_the_newest_window_speaks() {
        let of = |windows: [Option<i64>; 3]| {
            let result = |start: Option<i64>| start.map(|start| (start, "met", 0));
            let [first, second, third] = windows.map(result);
            let objectives = [objective(1, None, first), objective(2, Some(0), second), objective(3, Some(1), third)];
            places(&objectives, 9).0
        };
        assert_eq!(of([Some(1), None, None]), [0], "the others are not in force yet");
        assert_eq!(of([Some(1), Some(1), None]), [1], "it began within the window");
        assert_eq!(of([Some(1), Some(2), Some(3)]), [2]);
        // As tables give them: in no order of versions.
        let (newer, older) = (objective(2, None, Some((1, "met", 0))), objective(1, Some(0), Some((1, "met", 0))));
        assert_eq!(places(&[newer, older], 9), (vec![0], 0));
    }

    #[test]
    fn the_worst_are_shown_and_the_others_counted() {
        let verdicts = [("met", 90), ("met", 10), ("breached", 20), ("at_risk", -5)];
        let mut objectives: Vec<_> =
            verdicts.map(|(verdict, left)| objective(1, None, Some((1, verdict, left)))).into();
        objectives.push(objective(1, None, None));
        assert_eq!(places(&objectives, 5), (vec![0, 1, 2, 3, 4], 0));
        assert_eq!(places(&objectives, 3), (vec![1, 2, 3], 2));
        assert_eq!(places(&objectives, 1), (vec![2], 4));
        assert_eq!(places(&objectives, 0), (vec![], 5));
    }

    #[test]
    fn labels_that_tell_objectives_apart_stay() {
        let values = ["a", "sla", "c", "o", "g", "s", "month"];
        for text in ["service, agreement,objective,window", "window", "window,agreement"] {
            let labels: Labels = text.parse().expect("sound labels");
            assert_eq!(labels.write(values), "agreement=\"a\",objective=\"o\",service=\"s\",window=\"month\"");
        }
        let refused = |text: &str| text.parse::<Labels>().expect_err("refused");
        assert!(refused("agreement,objective,service,tier").contains("found \"tier\", expected some of agreement,"));
    }
}
