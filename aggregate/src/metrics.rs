//! The live numbers in the Prometheus text format, version 0.0.4. An objective's labels are escaped and joined once,
//! when the portfolio is laid out; a scrape only appends them and a number.

use std::fmt::Write;
use std::time::Duration;

use plimsoll_engine::budget::SPANS;
use plimsoll_schemas::Instant;
use plimsoll_schemas::ratio::Share;

use crate::live::{Live, LiveObjective, Pipeline, State};

/// Everything that the worker knows, as a scrape at `now` sees it.
pub fn render(live: &Live, now: Instant) -> String {
    let mut text = objectives(live, now);
    pipeline(&mut text, &live.state(), now);
    text
}

/// What is known of the objectives alone, as a scrape at `now` sees it.
pub fn objectives(live: &Live, now: Instant) -> String {
    let state = &live.state();
    let mut buffer = String::with_capacity(512 * (state.objectives.len() + 16));
    let text = &mut buffer;
    family(
        text,
        "plimsoll_objective_attainment_ratio",
        "gauge",
        "Good share of what was measured in the newest window.",
    );
    shares(text, "plimsoll_objective_attainment_ratio", state, |objective| objective.newest.as_ref()?.attainment);
    let budget = "plimsoll_objective_error_budget_remaining_ratio";
    family(text, budget, "gauge", "Share of the error budget left in the newest window; negative when overspent.");
    shares(text, budget, state, |objective| objective.newest.as_ref()?.budget_left_share);
    let budget = "plimsoll_objective_error_budget_remaining_seconds";
    family(text, budget, "gauge", "Bad agreed time left in the newest window; negative when overspent.");
    times(text, budget, state, |objective| Some(objective.newest.as_ref()?.budget_left?.0));
    let headroom = "plimsoll_objective_headroom_seconds";
    family(text, headroom, "gauge", "How long an outage could last that starts now, in agreed time.");
    times(text, headroom, state, |objective| Some(objective.newest.as_ref()?.headroom?.0));
    spending(text, state);
    let probability = "plimsoll_objective_breach_probability_ratio";
    family(text, probability, "gauge", "Forecast: how likely the newest window ends breached.");
    shares(text, probability, state, |objective| objective.newest.as_ref()?.breach_probability);
    let expected = "plimsoll_objective_error_budget_expected_exhaustion_timestamp_seconds";
    family(text, expected, "gauge", "Forecast: when the error budget of the newest window is expected to be spent.");
    times(text, expected, state, |objective| Some(objective.newest.as_ref()?.exhaustion_at?.0));
    family(text, "plimsoll_objective_verdict", "gauge", "1 for the verdict of the newest window.");
    for objective in &state.objectives {
        if let Some(newest) = &objective.newest {
            let _ =
                writeln!(text, "plimsoll_objective_verdict{{{},verdict=\"{}\"}} 1", objective.labels, newest.verdict);
        }
    }
    let due = "plimsoll_ticket_seconds_to_due";
    family(
        text,
        due,
        "gauge",
        "Seconds until the nearest running clock of the objective is due; negative when overdue.",
    );
    for &(place, at) in &state.due {
        if let Some(objective) = state.objectives.get(place) {
            let _ = writeln!(text, "{due}{{{}}} {}", objective.labels, seconds((at - now).0));
        }
    }
    buffer
}

/// How budgets are being spent.
fn spending(text: &mut String, state: &State) {
    let rate = "plimsoll_objective_error_budget_burn_rate";
    family(text, rate, "gauge", "How many times faster than the target allows the budget was spent over a span.");
    let spans = SPANS.map(|span| span.to_string());
    for objective in &state.objectives {
        let rates = objective.spending.iter().flat_map(|spending| spending.burn_rates);
        for (span, rate_over) in spans.iter().zip(rates) {
            if let Some(burn) = rate_over {
                let _ = writeln!(text, "{rate}{{{},span=\"{span}\"}} {}", objective.labels, decimal(burn));
            }
        }
    }
    let left = "plimsoll_objective_error_budget_remaining_count";
    family(text, left, "gauge", "Bad things left of what is allowed of those counted so far; negative when overspent.");
    shares(text, left, state, |objective| Some(objective.spending?.counts_left?.left));
    let headroom = "plimsoll_objective_headroom_count";
    family(text, headroom, "gauge", "How many things could come now, all of them bad, and the promise still be kept.");
    for objective in &state.objectives {
        if let Some(count) = objective.spending.and_then(|spending| spending.counts_left?.headroom) {
            let _ = writeln!(text, "{headroom}{{{}}} {count}", objective.labels);
        }
    }
    let spent_at = "plimsoll_objective_error_budget_exhaustion_timestamp_seconds";
    family(text, spent_at, "gauge", "When the budget is spent if it goes on as over the last hour, or was.");
    times(text, spent_at, state, |objective| Some(objective.spending?.spent_at?.0));
}

fn times(text: &mut String, name: &str, state: &State, micros: impl Fn(&LiveObjective) -> Option<i64>) {
    for objective in &state.objectives {
        if let Some(micros) = micros(objective) {
            let _ = writeln!(text, "{name}{{{}}} {}", objective.labels, seconds(micros));
        }
    }
}

fn shares(text: &mut String, name: &str, state: &State, share: impl Fn(&LiveObjective) -> Option<Share>) {
    for objective in &state.objectives {
        if let Some(share) = share(objective) {
            let _ = writeln!(text, "{name}{{{}}} {}", objective.labels, decimal(share));
        }
    }
}

fn pipeline(text: &mut String, state: &State, now: Instant) {
    let pipeline = &state.pipeline;
    family(text, "plimsoll_events_total", "counter", "Events accepted, by topic.");
    for (topic, count) in &pipeline.events {
        labelled(text, "plimsoll_events_total", &[("topic", topic)], count);
    }
    family(text, "plimsoll_dead_letters_total", "counter", "Records that could not be used, by topic and reason.");
    for ((topic, reason), count) in &pipeline.dead_letters {
        labelled(text, "plimsoll_dead_letters_total", &[("topic", topic), ("reason", reason)], count);
    }
    accounts(text, pipeline);
    let lost = "plimsoll_lost_records_total";
    family(text, lost, "counter", "Records that Kafka had deleted before they were read, at most, by partition.");
    for (id, count) in &pipeline.lost {
        labelled(text, lost, &[("partition", &*id.partition.to_string()), ("topic", &*id.topic)], count);
    }
    for (name, help, count) in [
        ("plimsoll_duplicates_total", "Events seen before under the same source and id.", pipeline.duplicates),
        ("plimsoll_already_read_total", "Records whose offset had been read before.", pipeline.already_read),
        ("plimsoll_future_events_total", "Events from the future, taken to be from now.", pipeline.clamped),
        ("plimsoll_epochs_total", "Epochs committed.", pipeline.committed.0),
    ] {
        family(text, name, "counter", help);
        let _ = writeln!(text, "{name} {count}");
    }
    let (is_away, retries) = pipeline.lake;
    family(text, "plimsoll_lake_unavailable", "gauge", "1 while the tables cannot be written and it is tried again.");
    let _ = writeln!(text, "plimsoll_lake_unavailable {}", u8::from(is_away));
    family(text, "plimsoll_lake_retries_total", "counter", "Attempts to write to tables that could not be written.");
    let _ = writeln!(text, "plimsoll_lake_retries_total {retries}");
    let (beyond, deferred) = ("plimsoll_observations_beyond_history", "plimsoll_observations_deferred");
    family(text, beyond, "gauge", "Events and counts that came too late to be applied to what is remembered.");
    let _ = writeln!(text, "{beyond} {}", pipeline.beyond_history);
    family(text, deferred, "gauge", "Observations that came so late that they are applied at the next start.");
    let _ = writeln!(text, "{deferred} {}", pipeline.deferred);
    family(text, "plimsoll_unassigned_tickets", "gauge", "Tickets whose service the catalogue does not know.");
    let _ = writeln!(text, "plimsoll_unassigned_tickets {}", pipeline.unassigned);
    if let Some(watermark) = pipeline.watermark {
        let delay = "plimsoll_watermark_delay_seconds";
        family(text, delay, "gauge", "How far the watermark is behind the clock.");
        let _ = writeln!(text, "{delay} {}", seconds((now - watermark).0));
    }
    summary(text, "plimsoll_epoch_fold_seconds", "Time to fold an epoch into state.", pipeline.folded);
    summary(text, "plimsoll_epoch_commit_seconds", "Time to encode and commit an epoch.", pipeline.committed);
}

/// What became of the records of each partition: read is the sum of the outcomes when nothing is on its way.
fn accounts(text: &mut String, pipeline: &Pipeline) {
    let (read, outcomes) = ("plimsoll_records_read_total", "plimsoll_record_outcomes_total");
    family(text, read, "counter", "Records that epochs took or that were sent again, by partition.");
    for (id, account) in &pipeline.accounts {
        labelled(text, read, &[("partition", &*id.partition.to_string()), ("topic", &*id.topic)], account.read);
    }
    family(
        text,
        outcomes,
        "counter",
        "What became of records, by partition; what is missing to those read is on its way.",
    );
    for (id, account) in &pipeline.accounts {
        for (outcome, count) in [
            ("accepted", account.accepted),
            ("already_read", account.already_read),
            ("dead_letter", account.dead_letters),
            ("duplicate", account.duplicates),
        ] {
            let labels = [("outcome", outcome), ("partition", &*id.partition.to_string()), ("topic", &*id.topic)];
            labelled(text, outcomes, &labels, count);
        }
    }
}

fn summary(text: &mut String, name: &str, help: &str, (count, total): (u64, Duration)) {
    family(text, name, "summary", help);
    let _ = writeln!(text, "{name}_sum {}\n{name}_count {count}", total.as_secs_f64());
}

/// The same families of several, such as shards, as one text: each sample says by this label whose it is.
pub fn together(label: &str, texts: &[(String, String)]) -> String {
    // Of each family what introduces it, and its samples.
    let mut families: Vec<(&str, String, String)> = Vec::new();
    for (whose, text) in texts {
        let (mut place, mut is_new) = (0, false);
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(told) = line.strip_prefix("# HELP ") {
                let name = told.split(' ').next().unwrap_or_default();
                let known = families.iter().position(|(known, ..)| *known == name);
                (place, is_new) = (known.unwrap_or(families.len()), known.is_none());
                if is_new {
                    families.push((name, String::new(), String::new()));
                }
            }
            let Some((_, head, samples)) = families.get_mut(place) else { continue };
            if line.starts_with('#') {
                if is_new {
                    let _ = writeln!(head, "{line}");
                }
                continue;
            }
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
            samples.push_str(name);
            samples.push('{');
            push_label(samples, label, whose);
            let _ = match rest.strip_prefix('{') {
                Some(labels) => writeln!(samples, ",{labels}"),
                None => writeln!(samples, "}}{rest}"),
            };
        }
    }
    families.into_iter().map(|(_, head, samples)| head + &samples).collect()
}

/// The two lines that introduce a family.
pub fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One sample with labels, or with none.
pub fn labelled(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    text.push_str(name);
    for (index, (label, of)) in labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        push_label(text, label, of);
    }
    if !labels.is_empty() {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// Appends `name="value"`, escaped as the text format asks.
pub fn push_label(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Microseconds as seconds, exactly.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000)
}

fn decimal(share: Share) -> String {
    let sign = if share.0 < 0 { "-" } else { "" };
    format!("{sign}{}.{:09}", share.0.unsigned_abs() / 1_000_000_000, share.0.unsigned_abs() % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LiveResult;
    use plimsoll_engine::budget::{CountsLeft, Spending};
    use plimsoll_schemas::Micros;

    #[test]
    fn r27_budgets_are_shown_as_they_are_spent() {
        let live = Live::default();
        let result = LiveResult {
            window_start: Instant(0),
            verdict: "met".into(),
            attainment: None,
            budget_left_share: None,
            budget_left: Some(Micros(-1_500_000)),
            headroom: Some(Micros(0)),
            breach_probability: Some(Share(62_500_000)),
            exhaustion_at: Some(Instant(1_772_323_200_000_000)),
        };
        let mut burn_rates = [None; SPANS.len()];
        burn_rates[..2].copy_from_slice(&[Some(Share(14_400_000_000)), Some(Share(0))]);
        let spending = Spending { burn_rates, spent_at: Some(Instant(1_772_323_200_000_001)), counts_left: None };
        let counts_left = Some(CountsLeft { left: Share(-1_250_000_000), headroom: Some(0) });
        let counted = Spending { burn_rates: [None; SPANS.len()], spent_at: None, counts_left };
        live.state().objectives = vec![
            LiveObjective { labels: "objective=\"a\"".to_owned(), newest: Some(result), spending: Some(spending) },
            LiveObjective { labels: "objective=\"b\"".to_owned(), newest: None, spending: None },
            LiveObjective { labels: "objective=\"c\"".to_owned(), newest: None, spending: Some(counted) },
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
                "plimsoll_objective_error_budget_remaining_count{objective=\"c\"} -1.250000000",
                "plimsoll_objective_headroom_count{objective=\"c\"} 0",
                "plimsoll_objective_error_budget_exhaustion_timestamp_seconds{objective=\"a\"} 1772323200.000001",
                "plimsoll_objective_breach_probability_ratio{objective=\"a\"} 0.062500000",
                "plimsoll_objective_error_budget_expected_exhaustion_timestamp_seconds{objective=\"a\"} \
                 1772323200.000000",
                "plimsoll_objective_verdict{objective=\"a\",verdict=\"met\"} 1",
            ]
        );
    }

    #[test]
    fn families_of_several_are_told_once_and_samples_say_whose_they_are() {
        let text =
            |family_of: &str, sample: &str| format!("# HELP {family_of} Help.\n# TYPE {family_of} gauge\n{sample}\n");
        let first = text("a", "a{x=\"{ }\"} 1") + &text("b", "b 2");
        let second = text("b", "b 3") + &text("c", "c 4") + &text("a", "");
        let told = together("shard", &[("0".to_owned(), first), ("1".to_owned(), second)]);
        let expected = text("a", "a{shard=\"0\",x=\"{ }\"} 1")
            + &text("b", "b{shard=\"0\"} 2\nb{shard=\"1\"} 3")
            + &text("c", "c{shard=\"1\"} 4");
        assert_eq!(told, expected);
    }

    #[test]
    fn labels_are_escaped_and_numbers_exact() {
        let mut text = String::new();
        labelled(&mut text, "x_total", &[("a", "quote \" slash \\ line\nend")], 3);
        assert_eq!(text, "x_total{a=\"quote \\\" slash \\\\ line\\nend\"} 3\n");
        assert_eq!((seconds(-1_500_000), decimal(Share(-1))), ("-1.500000".to_owned(), "-0.000000001".to_owned()));
    }
}
