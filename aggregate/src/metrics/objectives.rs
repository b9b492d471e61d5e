//! The families of objectives. What is the same at each scrape is made once: an objective's labels when the portfolio is
//! laid out, and a family's name before its first sample. So a sample is three copies and the digits of one number.

use plimsoll_engine::budget::SPANS;
use plimsoll_schemas::Instant;
use plimsoll_schemas::ratio::Share;

use crate::live::{Live, LiveObjective, State};
use crate::metrics::family;
use crate::shown::shown;

/// About how long the name and the number of a sample are, in bytes.
const SAMPLE_BYTES: usize = 96;
/// About how many samples an objective has.
const SAMPLES: usize = 18;

/// A number of a sample.
#[derive(Clone, Copy)]
enum Number {
    /// With nine decimals.
    Share(Share),
    /// Microseconds, as seconds.
    Micros(i64),
    Whole(i64),
}

impl Number {
    fn write(self, text: &mut String) {
        match self {
            Number::Share(share) => push_decimal(text, share.0, 9),
            Number::Micros(micros) => push_decimal(text, micros, 6),
            Number::Whole(whole) => push_decimal(text, whole, 0),
        }
    }
}

/// What is known of the objectives alone, as a scrape at `now` sees it.
pub fn objectives(live: &Live, now: Instant) -> String {
    let state = live.state();
    let (objectives, left_out) = shown(&state.objectives, live.shown.objectives_max);
    let labels: usize = objectives.iter().map(|objective| objective.labels.len()).sum();
    let mut text = String::with_capacity((labels + SAMPLE_BYTES * (objectives.len() + 1)) * SAMPLES);
    results(&mut text, &objectives);
    spending(&mut text, &objectives);
    forecasts(&mut text, &objectives);
    levels(&mut text, &objectives);
    let name = "plimsoll_objective_verdict";
    family(&mut text, name, "gauge", "1 for the verdict of the newest window.");
    for objective in &objectives {
        if let Some(newest) = &objective.newest {
            let parts = [name, "{", &objective.labels, ",verdict=\"", &newest.verdict, "\"} 1\n"];
            parts.into_iter().for_each(|part| text.push_str(part));
        }
    }
    let name = "plimsoll_objectives_left_out";
    family(&mut text, name, "gauge", "Objectives that are not shown because there are too many: the least bad ones.");
    sample(&mut text, name, None, Number::Whole(left_out as i64));
    tickets(&mut text, &state, now);
    text
}

/// How the newest windows stand.
fn results(text: &mut String, objectives: &[&LiveObjective]) {
    let name = "plimsoll_objective_attainment_ratio";
    family(text, name, "gauge", "Good share of what was measured in the newest window.");
    samples(text, name, objectives, |objective| Some(Number::Share(objective.newest.as_ref()?.attainment?)));
    let name = "plimsoll_objective_error_budget_remaining_ratio";
    family(text, name, "gauge", "Share of the error budget left in the newest window; negative when overspent.");
    samples(text, name, objectives, |objective| Some(Number::Share(objective.newest.as_ref()?.budget_left_share?)));
    let name = "plimsoll_objective_error_budget_remaining_seconds";
    family(text, name, "gauge", "Bad agreed time left in the newest window; negative when overspent.");
    samples(text, name, objectives, |objective| Some(Number::Micros(objective.newest.as_ref()?.budget_left?.0)));
    let name = "plimsoll_objective_headroom_seconds";
    family(text, name, "gauge", "How long an outage could last that starts now, in agreed time.");
    samples(text, name, objectives, |objective| Some(Number::Micros(objective.newest.as_ref()?.headroom?.0)));
}

/// How budgets are being spent.
fn spending(text: &mut String, objectives: &[&LiveObjective]) {
    let name = "plimsoll_objective_error_budget_burn_rate";
    family(text, name, "gauge", "How many times faster than the target allows the budget was spent over a span.");
    let spans = SPANS.map(|span| format!(",span=\"{span}\"}} "));
    for objective in objectives {
        let rates = objective.spending.iter().flat_map(|spending| spending.burn_rates);
        for (span, rate) in spans.iter().zip(rates) {
            if let Some(rate) = rate {
                [name, "{", &objective.labels, span].into_iter().for_each(|part| text.push_str(part));
                push_decimal(text, rate.0, 9);
                text.push('\n');
            }
        }
    }
    let name = "plimsoll_objective_error_budget_remaining_things";
    family(text, name, "gauge", "Bad things left of what is allowed of those counted so far; negative when overspent.");
    samples(text, name, objectives, |objective| Some(Number::Share(objective.spending?.counts_left?.left)));
    let name = "plimsoll_objective_headroom_things";
    family(text, name, "gauge", "How many things could come now, all of them bad, and the promise still be kept.");
    samples(text, name, objectives, |objective| Some(Number::Whole(objective.spending?.counts_left?.headroom?)));
    let name = "plimsoll_objective_error_budget_exhaustion_timestamp_seconds";
    family(text, name, "gauge", "When the budget is spent if it goes on as over the last hour, or was.");
    samples(text, name, objectives, |objective| Some(Number::Micros(objective.spending?.spent_at?.0)));
}

/// What may come.
fn forecasts(text: &mut String, objectives: &[&LiveObjective]) {
    let name = "plimsoll_objective_breach_probability_ratio";
    family(text, name, "gauge", "Forecast: how likely the newest window ends breached.");
    samples(text, name, objectives, |objective| Some(Number::Share(objective.newest.as_ref()?.breach_probability?)));
    let name = "plimsoll_objective_error_budget_expected_exhaustion_timestamp_seconds";
    family(text, name, "gauge", "Forecast: when the error budget of the newest window is expected to be spent.");
    samples(text, name, objectives, |objective| Some(Number::Micros(objective.newest.as_ref()?.exhaustion_at?.0)));
}

/// At which levels objectives warn, and which of them are reached: what a rule cannot know that is the same for all.
fn levels(text: &mut String, objectives: &[&LiveObjective]) {
    let name = "plimsoll_objective_error_budget_burn_rate_limit";
    family(text, name, "gauge", "The burn rate over the long span of a pair from which the objective warns.");
    for objective in objectives {
        for pair in &objective.pairs {
            [name, "{", &objective.labels, ",span=\""].into_iter().for_each(|part| text.push_str(part));
            text.push_str(&pair.long.to_string());
            text.push_str("\"} ");
            push_decimal(text, pair.factor.0, 9);
            text.push('\n');
        }
    }
    let name = "plimsoll_objective_error_budget_warned_ratio";
    family(text, name, "gauge", "The greatest share to warn at that is used up of what the newest window allows.");
    samples(text, name, objectives, |objective| {
        let newest = objective.newest.as_ref().filter(|newest| &*newest.verdict != "insufficient_data")?;
        objective.levels.as_ref()?.used_of_budget(newest.budget_left_share?).map(Number::Share)
    });
}

/// The tickets that are due first, and of those that are not overdue the next.
fn tickets(text: &mut String, state: &State, now: Instant) {
    let placed = |&(place, at): &(usize, Instant)| Some((state.objectives.get(place)?, at));
    let name = "plimsoll_ticket_seconds_to_due";
    let help = "Seconds until the first clock of the objective that has not stopped is due; negative when overdue.";
    family(text, name, "gauge", help);
    for (objective, at) in state.due.iter().filter_map(placed) {
        sample(text, name, Some(objective), Number::Micros((at - now).0));
    }
    let name = "plimsoll_ticket_warned_ratio";
    let help = "The greatest share to warn at that is used up of the time of the next clock that is not overdue.";
    family(text, name, "gauge", help);
    for (objective, at) in state.due_next.iter().filter_map(placed).filter(|(_, at)| *at > now) {
        let used = objective.levels.as_ref().and_then(|levels| levels.used_of_time(now, at));
        used.into_iter().for_each(|share| sample(text, name, Some(objective), Number::Share(share)));
    }
}

fn samples(
    text: &mut String,
    name: &str,
    objectives: &[&LiveObjective],
    number: impl Fn(&LiveObjective) -> Option<Number>,
) {
    for &objective in objectives {
        if let Some(number) = number(objective) {
            sample(text, name, Some(objective), number);
        }
    }
}

fn sample(text: &mut String, name: &str, of: Option<&LiveObjective>, number: Number) {
    text.push_str(name);
    match of {
        Some(objective) => ["{", &objective.labels, "} "].into_iter().for_each(|part| text.push_str(part)),
        None => text.push(' '),
    }
    number.write(text);
    text.push('\n');
}

/// Appends a whole number of parts of which ten to the power of `decimals` are one, exactly.
pub(super) fn push_decimal(text: &mut String, parts: i64, decimals: usize) {
    // A sign, nineteen digits and a point, and a zero before it.
    let mut letters = [b'0'; 22];
    let (mut at, mut rest, mut digits) = (letters.len(), parts.unsigned_abs(), 0);
    while rest > 0 || digits <= decimals {
        if digits == decimals && digits > 0 {
            at -= 1;
            letters[at] = b'.';
        }
        at -= 1;
        letters[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        digits += 1;
    }
    if parts < 0 {
        at -= 1;
        letters[at] = b'-';
    }
    text.push_str(std::str::from_utf8(&letters[at..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::live::LiveResult;
    use plimsoll_engine::budget::{CountsLeft, Spending};
    use plimsoll_engine::lane::LaneGroup;
    use plimsoll_engine::portfolio::Portfolio;
    use plimsoll_schemas::Micros;
    use plimsoll_schemas::definition::{File, load};

    #[test]
    fn r27_budgets_are_shown_as_they_are_spent() {
        let live = Live::default();
        let result = LiveResult {
            budget_left: Some(Micros(-1_500_000)),
            headroom: Some(Micros(0)),
            breach_probability: Some(Share(62_500_000)),
            exhaustion_at: Some(Instant(1_772_323_200_000_000)),
            ..LiveResult::new(Instant(0), "met".into())
        };
        let mut burn_rates = [None; SPANS.len()];
        burn_rates[..2].copy_from_slice(&[Some(Share(14_400_000_000)), Some(Share(0))]);
        let spending = Spending { burn_rates, spent_at: Some(Instant(1_772_323_200_000_001)), counts_left: None };
        let counts_left = Some(CountsLeft { left: Share(-1_250_000_000), headroom: Some(0) });
        let counted = Spending { burn_rates: [None; SPANS.len()], spent_at: None, counts_left };
        let labelled = |labels: &str| LiveObjective::new(labels.to_owned());
        live.state().objectives = vec![
            LiveObjective { newest: Some(result), spending: Some(spending), ..labelled("objective=\"a\"") },
            labelled("objective=\"b\""),
            LiveObjective { spending: Some(counted), ..labelled("objective=\"c\"") },
        ];
        let text = objectives(&live, Instant(0));
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "plimsoll_objective_error_budget_remaining_seconds{objective=\"a\"} -1.500000",
                "plimsoll_objective_headroom_seconds{objective=\"a\"} 0.000000",
                "plimsoll_objective_error_budget_burn_rate{objective=\"a\",span=\"5m\"} 14.400000000",
                "plimsoll_objective_error_budget_burn_rate{objective=\"a\",span=\"30m\"} 0.000000000",
                "plimsoll_objective_error_budget_remaining_things{objective=\"c\"} -1.250000000",
                "plimsoll_objective_headroom_things{objective=\"c\"} 0",
                "plimsoll_objective_error_budget_exhaustion_timestamp_seconds{objective=\"a\"} 1772323200.000001",
                "plimsoll_objective_breach_probability_ratio{objective=\"a\"} 0.062500000",
                "plimsoll_objective_error_budget_expected_exhaustion_timestamp_seconds{objective=\"a\"} \
                 1772323200.000000",
                "plimsoll_objective_verdict{objective=\"a\",verdict=\"met\"} 1",
                "plimsoll_objectives_left_out 0",
            ]
        );
    }

    #[test]
    fn r27_levels_are_shown_where_they_are_asked_for() {
        let text = "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {id: web}\n---\napiVersion: plimsoll/v1\n\
                    kind: Agreement\nmetadata: {id: ola}\nspec:\n  type: ola\n  services: [web]\n  \
                    effective: {from: 2026-01-01}\n  objectives:\n  \
                    - {id: one, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: week},\
                    burn_rate_warnings: true}\n";
        let definitions = load(&[File { name: "test.yaml", text }]).expect("sound definitions");
        let group = LaneGroup::new(Arc::new(Portfolio::new(&definitions)), 1);
        let live = Live::default();
        live.describe(&group, &definitions);
        let monday = Instant::parse("2026-03-02").expect("a day");
        let result = |verdict: &str, left| LiveResult {
            budget_left_share: Some(Share(left)),
            segment: (monday, monday + Micros(7 * Micros::DAY.0)),
            ..LiveResult::new(monday, verdict.into())
        };
        let shown = |verdict, left| {
            live.state().objectives[0].show(result(verdict, left));
            let text = objectives(&live, monday);
            let is_level = |line: &&str| line.contains("_limit{") || line.contains("_warned_ratio{");
            let numbers = text.lines().filter(is_level).map(|line| line.rsplit_once(['}']).expect("labels").1.trim());
            numbers.map(str::to_owned).collect::<Vec<_>>()
        };
        // A week has 168 hours: 2 % of them in one hour, 5 % in six.
        assert_eq!(shown("met", 500_000_001), ["3.360000000", "1.400000000"]);
        assert_eq!(shown("at_risk", 200_000_000), ["3.360000000", "1.400000000", "0.750000000"]);
        assert_eq!(shown("insufficient_data", 200_000_000), ["3.360000000", "1.400000000"]);
    }

    #[test]
    fn numbers_are_exact() {
        for (parts, decimals, expected) in [
            (0, 0, "0"),
            (-7, 0, "-7"),
            (0, 6, "0.000000"),
            (-1_500_000, 6, "-1.500000"),
            (-1, 9, "-0.000000001"),
            (12_000_000_345, 9, "12.000000345"),
            (i64::MIN, 9, "-9223372036.854775808"),
            (i64::MAX, 0, "9223372036854775807"),
        ] {
            let mut text = String::new();
            push_decimal(&mut text, parts, decimals);
            assert_eq!(text, expected);
        }
    }
}
