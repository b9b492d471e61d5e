//! Scores: the mean squared difference between the probability and what became of it (G. W. Brier, Monthly Weather
//! Review 78, 1950), 0 at best, beside those of two simple forecasters; and how often what was said with a probability
//! came true.

use std::collections::BTreeMap;

use crate::replay::Said;

/// Prints the scores of every promise, of all together, and of what was open when it was said.
pub fn print(said: &[Said]) {
    let mut by_promise: BTreeMap<&str, Vec<&Said>> = BTreeMap::new();
    for one in said {
        by_promise.entry(&one.promise).or_default().push(one);
    }
    println!("| forecasts of | count | breached | forecast | base rate | straight line |");
    println!("|---|---|---|---|---|---|");
    for (promise, said) in &by_promise {
        print_scores(promise, said);
    }
    let open: Vec<&Said> = said.iter().filter(|one| one.open).collect();
    print_scores("all", &said.iter().collect::<Vec<_>>());
    print_scores("all that were open", &open);
    print_reliability(&open);
}

fn print_scores(name: &str, said: &[&Said]) {
    let count = said.len() as f64;
    let breached = said.iter().filter(|one| one.breached).count();
    let rate = breached as f64 / count;
    let score = |probability: &dyn Fn(&Said) -> f64| {
        let square = |one: &&Said| (probability(one) - outcome(one)).powi(2);
        said.iter().map(square).sum::<f64>() / count
    };
    println!(
        "| {name} | {} | {breached} | {:.4} | {:.4} | {:.4} |",
        said.len(),
        score(&|one| one.probability),
        score(&|_| rate),
        score(&|one| f64::from(u8::from(one.straight_line)))
    );
}

fn outcome(said: &Said) -> f64 {
    f64::from(u8::from(said.breached))
}

/// Forecasts in tenths of their probability: how often they came true.
fn print_reliability(said: &[&Said]) {
    println!("\n| probability | count | mean forecast | breached |");
    println!("|---|---|---|---|");
    for tenth in 0..10 {
        let within: Vec<&&Said> =
            said.iter().filter(|one| ((one.probability * 10.0) as usize).min(9) == tenth).collect();
        if within.is_empty() {
            continue;
        }
        let mean =
            |value: &dyn Fn(&Said) -> f64| within.iter().map(|one| value(one)).sum::<f64>() / within.len() as f64;
        println!(
            "| {} to {} % | {} | {:.1} % | {:.1} % |",
            tenth * 10,
            tenth * 10 + 10,
            within.len(),
            100.0 * mean(&|one| one.probability),
            100.0 * mean(&outcome)
        );
    }
}
