//! The live numbers in the Prometheus text format, version 0.0.4: `objectives` those of promises, and here the pipeline's.

use std::fmt::Write;
use std::time::Duration;

use plimsoll_schemas::Instant;

use crate::live::{Live, Pipeline, State};

mod objectives;

pub use objectives::objectives;

/// Everything that the worker knows, as a scrape at `now` sees it.
pub fn render(live: &Live, now: Instant) -> String {
    let mut text = objectives(live, now);
    pipeline(&mut text, &live.state(), now);
    text
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
    let mut text = String::new();
    objectives::push_decimal(&mut text, micros, 6);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn labels_are_escaped() {
        let mut text = String::new();
        labelled(&mut text, "x_total", &[("a", "quote \" slash \\ line\nend")], 3);
        assert_eq!(text, "x_total{a=\"quote \\\" slash \\\\ line\\nend\"} 3\n");
    }
}
