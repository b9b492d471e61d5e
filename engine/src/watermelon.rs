//! Watermelons: green outside and red inside, promises kept while those they were made to are not satisfied (R36).
//!
//! In: the results of one version of an agreement. Out: each result over scores (`satisfaction`, `net_promoter_score`)
//! that is final and breached, while every other result that shares time with its segment is green as far as is known:
//! one at least is met, and none is breached or at risk. Those that say nothing (`no_data`, `insufficient_data`) are
//! counted, so that who wants certainty can ask for none of them.

use std::collections::BTreeMap;

use plimsoll_schemas::Instant;
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::verdict::Verdict;
use crate::window::Window;

/// What names a result within its version: service, objective, start of the window.
pub type ResultKey = (Name, Name, Instant);

/// A result, as far as colours need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The window.
    pub window: Window,
    /// The segment of it that was judged.
    pub segment: Window,
    /// Whether it is over scores that people gave.
    pub is_of_scores: bool,
    /// Its verdict.
    pub verdict: Verdict,
    /// Whether it is final (R22).
    pub is_final: bool,
}

/// A result over scores that is red while all around it is green.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermelon {
    /// The results that share time with it and are met.
    pub met_count: i64,
    /// The results that share time with it and say nothing.
    pub unknown_count: i64,
}

/// The watermelons among the results of one version of an agreement.
pub fn watermelons(results: &BTreeMap<ResultKey, Outcome>) -> BTreeMap<ResultKey, Watermelon> {
    let is_red = |result: &Outcome| result.is_of_scores && result.is_final && result.verdict == Verdict::Breached;
    let red = results.iter().filter(|(_, result)| is_red(result));
    red.filter_map(|(key, red)| {
        let around = results.values().filter(|other| !other.is_of_scores && other.segment.clip(red.segment).is_some());
        let mut found = Watermelon { met_count: 0, unknown_count: 0 };
        for other in around {
            match other.verdict {
                Verdict::Met => found.met_count += 1,
                Verdict::NoData | Verdict::InsufficientData => found.unknown_count += 1,
                Verdict::AtRisk | Verdict::Breached => return None,
            }
        }
        (found.met_count > 0).then(|| (key.clone(), found))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(days: (i64, i64), is_of_scores: bool, verdict: Verdict) -> Outcome {
        let segment = Window { start: Instant(days.0), end: Instant(days.1) };
        Outcome { window: segment, segment, is_of_scores, verdict, is_final: true }
    }

    /// The watermelons among a month of scores and these results beside it, as (met, unknown).
    fn beside(scores: Outcome, others: &[Outcome]) -> Vec<(i64, i64)> {
        let key = |objective: &str, start| ("web".into(), objective.into(), start);
        let mut results: BTreeMap<ResultKey, Outcome> = others
            .iter()
            .enumerate()
            .map(|(number, one)| (key(&format!("o{number}"), one.segment.start), *one))
            .collect();
        results.insert(key("scores", scores.segment.start), scores);
        watermelons(&results).values().map(|found| (found.met_count, found.unknown_count)).collect()
    }

    #[test]
    fn r36_the_edge_cases_of_the_rules_page() {
        const PAGE: &str = include_str!("../../docs/rules/r36-watermelons.md");
        let (_, table) = PAGE.split_once("| around them |").expect("the table");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), 6);
        for row in rows {
            let around = row[0].split(", ").filter_map(Verdict::parse).map(|verdict| outcome((0, 30), false, verdict));
            let around: Vec<_> = around.collect();
            assert_eq!(around.len(), if row[0] == "nothing" { 0 } else { row[0].split(", ").count() });
            let counts = |cell: &str| cell.parse::<i64>().expect("a number");
            let expected = if row[1] == "yes" { vec![(counts(row[2]), counts(row[3]))] } else { vec![] };
            assert_eq!(beside(outcome((0, 30), true, Verdict::Breached), &around), expected, "{row:?}");
        }
    }

    #[test]
    fn r36_only_final_and_breached_scores_are_red() {
        use Verdict::{AtRisk, Breached, InsufficientData, Met, NoData};
        let red = outcome((0, 30), true, Breached);
        let other = |verdict| outcome((0, 30), false, verdict);
        for verdict in [Met, AtRisk, NoData, InsufficientData] {
            assert_eq!(beside(outcome((0, 30), true, verdict), &[other(Met)]), [], "{verdict:?} is not red");
        }
        assert_eq!(beside(Outcome { is_final: false, ..red }, &[other(Met)]), [], "it may change yet");
        // Other scores are no promise of operations, neither green nor red.
        assert_eq!(beside(red, &[other(Met), outcome((0, 30), true, Met)]), [(1, 0)]);
    }

    #[test]
    fn r36_what_shares_time_with_the_scores_is_looked_at() {
        use Verdict::{Breached, Met};
        let red = outcome((30, 60), true, Breached);
        let days = |verdict, from, until| outcome((from, until), false, verdict);
        // A quarter around it, weeks within it and across its edges.
        assert_eq!(beside(red, &[days(Met, 0, 90), days(Met, 25, 32), days(Met, 58, 65)]), [(3, 0)]);
        assert_eq!(beside(red, &[days(Met, 0, 90), days(Breached, 58, 65)]), []);
        assert_eq!(beside(red, &[days(Met, 0, 90), days(Breached, 60, 67), days(Breached, 23, 30)]), [(1, 0)]);
    }
}
