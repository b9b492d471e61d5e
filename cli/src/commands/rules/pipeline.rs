//! The rules of the pipeline: whether what is told of promises is told in time, and of everything.

use super::{Alert, Rule, Severity};

/// What tells one process from another.
const BY: &str = "by (instance, job)";

/// What is watched of the processes that this job scrapes.
pub(super) fn rules(job: &str) -> Vec<Rule> {
    let recorded = [
        ("topic:plimsoll_events:rate5m", "sum by (topic) (rate(plimsoll_events_total[5m]))"),
        ("topic:plimsoll_dead_letters:rate5m", "sum by (topic) (rate(plimsoll_dead_letters_total[5m]))"),
        ("topic:plimsoll_kafka_lag_records:sum", "sum by (topic) (plimsoll_kafka_lag_records)"),
    ];
    let mut rules: Vec<Rule> =
        recorded.map(|(name, expression)| Rule::Record { name, expression: expression.to_owned() }).into();
    let groups = [present(job), reading(), tables(), definitions()];
    rules.extend(groups.into_iter().flatten().map(Rule::Alert));
    rules
}

/// An alert without links, for what an operator sees in the log and by `plimsoll doctor`.
fn alert(
    name: &'static str,
    expression: impl Into<String>,
    lasting: &'static str,
    severity: Severity,
    [summary, description]: [&'static str; 2],
) -> Alert {
    let (expression, description) = (expression.into(), description.to_owned());
    Alert { name, expression, lasting, severity, labels: Vec::new(), summary, description, evidence: None }
}

fn present(job: &str) -> Vec<Alert> {
    let job = job.replace('\\', "\\\\").replace('"', "\\\"");
    vec![
        alert(
            "PlimsollTargetDown",
            format!("up{{job=\"{job}\"}} == 0"),
            "5m",
            Severity::Page,
            [
                "{{ $labels.instance }} does not answer",
                "Prometheus cannot scrape this process of Plimsoll, so no alert of its promises can come.",
            ],
        ),
        alert(
            "PlimsollAbsent",
            "absent(plimsoll_watermark_delay_seconds)",
            "10m",
            Severity::Page,
            [
                "nobody says how far the results of Plimsoll are",
                "No process is scraped that keeps the tables, or it has not heard from all of its topics yet.",
            ],
        ),
    ]
}

fn reading() -> Vec<Alert> {
    let lost = "sum by (partition, topic) (plimsoll_lost_records_total)";
    // The counter appears with its first loss, which is no increase for Prometheus.
    let lost = format!(
        "({lost} unless {lost_before}) > 0\nor\nsum by (partition, topic) (increase(plimsoll_lost_records_total[1h])) > 0",
        lost_before = "sum by (partition, topic) (plimsoll_lost_records_total offset 1h)"
    );
    let dead = "sum by (topic) (rate(plimsoll_dead_letters_total[15m]))";
    let share = format!("{dead}\n  / ({dead} + sum by (topic) (rate(plimsoll_events_total[15m]))) > 0.01");
    let lag = "topic:plimsoll_kafka_lag_records:sum";
    vec![
        alert(
            "PlimsollBehind",
            format!("max {BY} (plimsoll_watermark_delay_seconds) > 300"),
            "5m",
            Severity::Page,
            [
                "{{ $labels.instance }} is behind",
                "What happened in the last {{ $value | humanizeDuration }} is not known: a broker, a topic or a partition cannot \
                 be read, or more comes than is processed. Alerts of promises are as late.",
            ],
        ),
        alert(
            "PlimsollKafkaLagGrowing",
            format!("{lag} > 10000\nand\ndelta({lag}[15m]) > 0"),
            "15m",
            Severity::Ticket,
            [
                "{{ $labels.topic }} is read more slowly than it is written",
                "{{ $value | humanize }} records wait in Kafka, and more than a quarter of an hour ago.",
            ],
        ),
        alert(
            "PlimsollRecordsLost",
            lost,
            "",
            Severity::Page,
            [
                "records of {{ $labels.topic }} were deleted before they were read",
                "Kafka deleted at most {{ $value | humanize }} records of partition {{ $labels.partition }} unread within the last \
                 hour. Results lack them; view gaps names their offsets.",
            ],
        ),
        alert(
            "PlimsollDeadLetters",
            share,
            "15m",
            Severity::Ticket,
            [
                "records of {{ $labels.topic }} cannot be used",
                "{{ $value | humanizePercentage }} of what comes is set aside. plimsoll dead-letters list says why; mend the \
                 mapping, and have them taken again.",
            ],
        ),
        alert(
            "PlimsollExchangeIncomplete",
            format!("max {BY} (plimsoll_exchange_incomplete_partitions) > 0"),
            "5m",
            Severity::Page,
            [
                "the exchange lacks records",
                "{{ $labels.instance }} misses records of {{ $value }} partitions in the exchange: start plimsoll ingest anew.",
            ],
        ),
    ]
}

fn tables() -> Vec<Alert> {
    vec![
        alert(
            "PlimsollLakeUnavailable",
            format!("max {BY} (plimsoll_lake_unavailable) == 1"),
            "1m",
            Severity::Page,
            [
                "{{ $labels.instance }} cannot write its tables",
                "It tries again for ten minutes, and ends then. Look at the disk or the bucket.",
            ],
        ),
        alert(
            "PlimsollLakeDamaged",
            format!("max {BY} (plimsoll_lake_damaged_files) > 0"),
            "",
            Severity::Page,
            [
                "files of tables are missing or damaged",
                "{{ $value }} files are not as they were written. plimsoll doctor names them, and says what to do.",
            ],
        ),
    ]
}

fn definitions() -> Vec<Alert> {
    vec![
        alert(
            "PlimsollDefinitionsRefused",
            format!("min {BY} (plimsoll_definitions_last_reload_successful) == 0"),
            "5m",
            Severity::Ticket,
            [
                "{{ $labels.instance }} goes on by old definitions",
                "What the folder of definitions holds was refused: plimsoll check names every problem in it.",
            ],
        ),
        alert(
            "PlimsollObjectivesLeftOut",
            format!("max {BY} (plimsoll_objectives_left_out) > 0"),
            "15m",
            Severity::Ticket,
            [
                "{{ $labels.instance }} does not show all objectives",
                "{{ $value | humanize }} objectives have no series, and so no alert: raise --metrics-objectives-max.",
            ],
        ),
    ]
}
