//! What a service level manager wants to see: each part is one question in SQL, asked of the tables like anybody's.

use std::io::Write;

use anyhow::Result;
use futures::TryStreamExt;
use plimsoll_query::{Format, QueryService, encode};

/// Title and question.
const PARTS: [(&str, &str); 5] = [
    (
        "Attainment by offering and month",
        "SELECT offering, date_trunc('month', window_start) AS month, objective, count(*) AS judged,
                sum(CASE WHEN verdict = 'met' THEN 1 ELSE 0 END) AS met,
                sum(CASE WHEN verdict = 'at_risk' THEN 1 ELSE 0 END) AS at_risk,
                sum(CASE WHEN verdict = 'breached' THEN 1 ELSE 0 END) AS breached,
                sum(CASE WHEN verdict IN ('no_data', 'insufficient_data') THEN 1 ELSE 0 END) AS not_known,
                CAST(100 * avg(attainment_ratio) AS DECIMAL(7, 3)) AS mean_percent
         FROM attainment WHERE window_kind = 'month' AND offering IS NOT NULL
         GROUP BY offering, date_trunc('month', window_start), objective ORDER BY offering, objective",
    ),
    (
        "The worst agreements: error budget most overspent this month",
        "SELECT agreement, customer, service, objective, target, CAST(100 * attainment_ratio AS DECIMAL(7, 3)) AS percent,
                CAST(100 * budget_left_ratio AS DECIMAL(12, 1)) AS budget_left_percent, outage_count, breached_at
         FROM attainment WHERE window_kind = 'month' AND signal = 'availability' AND verdict = 'breached'
         ORDER BY budget_left_ratio, agreement, service LIMIT 10",
    ),
    (
        "About to breach: windows with little error budget left",
        "SELECT agreement, customer, service, objective, target, CAST(100 * attainment_ratio AS DECIMAL(7, 3)) AS percent,
                CAST(100 * budget_left_ratio AS DECIMAL(12, 1)) AS budget_left_percent
         FROM attainment WHERE verdict = 'at_risk' AND window_kind = 'month' AND budget_left_ratio >= 0
         ORDER BY budget_left_ratio, agreement, service LIMIT 10",
    ),
    (
        "About to breach: tickets due next",
        "SELECT ticket, priority, service, agreement, objective, due_at
         FROM clocks WHERE verdict = 'running' AND due_at IS NOT NULL ORDER BY due_at, ticket, agreement LIMIT 10",
    ),
    (
        "Records set aside",
        "SELECT reason, count(*) AS records, min(topic) AS topic, min(detail) AS example
         FROM dead_letters GROUP BY reason ORDER BY records DESC, reason",
    ),
];

/// Prints all parts.
///
/// # Errors
/// When a question cannot be answered or the answer not be printed.
pub async fn print(service: &QueryService, output: &mut impl Write) -> Result<()> {
    for (title, question) in PARTS {
        writeln!(output, "\n{title}")?;
        let mut chunks = Box::pin(encode(service.sql(question).await?, Format::Table));
        while let Some(chunk) = chunks.try_next().await? {
            output.write_all(&chunk)?;
        }
    }
    Ok(())
}
