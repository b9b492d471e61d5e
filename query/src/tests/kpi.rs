//! The indicators of months, in SQL.

use axum::http::StatusCode;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{File, load};

use super::doors::{get, pick};
use super::*;

/// Two agreements in Berlin, one of which is to be reviewed every month, and a service for which nobody has promised
/// anything.
const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: wiki}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: shop}
spec:
  type: ola
  services: [web]
  time_zone: Europe/Berlin
  effective: {from: 2026-02-01}
  review: {every: 1 month}
  objectives: [{id: uptime, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}, weight: 3}]
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: mail}
spec:
  type: ola
  services: [web]
  time_zone: Europe/Berlin
  effective: {from: 2026-02-01}
  objectives: [{id: uptime, indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: day}}]
";

/// A lake that knows everything until the 15th of April, 12:00 UTC; of the second epoch until five minutes after the 31st of
/// March, 22:00 UTC, when March ended in Berlin and its grace was over, and of the first until a moment before.
async fn portfolio() -> (TempDir, QueryService) {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    let record = load(&[File { name: "all.yaml", text: DEFINITIONS }]).expect("definitions").to_record();
    let digest = lake.keep_definitions(record.expect("a record").into()).await.expect("kept");
    let row = |agreement: &str, start: &str, end: &str, verdict: &str, revision: i32| {
        format!(
            r#"{{"agreement":"{agreement}","agreement_version":1,"service":"web","objective":"uptime","window_start":"{start}","segment_end":"{end}","finality":"final","verdict":"{verdict}","revision":{revision}}}"#
        )
    };
    // February and March as Berlin has them. Of March the shop's uptime was met, until it was found that it was not.
    let known = [
        row("shop", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z", "met", 1),
        row("mail", "2026-02-27T23:00:00Z", "2026-02-28T23:00:00Z", "breached", 1),
        row("mail", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z", "met", 1),
        row("mail", "2026-03-30T22:00:00Z", "2026-03-31T22:00:00Z", "met", 1),
        row("mail", "2026-03-31T22:00:00Z", "2026-04-01T22:00:00Z", "breached", 1),
        row("shop", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "met", 1),
    ];
    let epochs = [
        ("2026-03-31T22:04:00Z", "2026-03-31T22:04:59.999999Z", known[..3].join("\n")),
        ("2026-04-02T00:01:00Z", "2026-03-31T22:05:00Z", known[3..].join("\n")),
        (
            "2026-04-15T12:01:00Z",
            "2026-04-15T12:00:00Z",
            row("shop", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "breached", 2),
        ),
    ];
    for (epoch, (tick, known_until, rows)) in (1..).zip(epochs) {
        let intent =
            format!(r#"{{"epoch":{epoch},"tick":"{tick}","known_until":"{known_until}","definitions":"{digest}"}}"#);
        append(&lake, Table::Epochs, epoch, &intent).await;
        append(&lake, Table::Attainment, epoch, &rows).await;
    }
    let service = QueryService::open(lake, limits(), Handle::current()).await.expect("service");
    (folder, service)
}

/// February: of two agreements mail was breached; the review of the shop, which began on the 1st, is due on the 1st of
/// March; nobody covers the wiki. Index: (3 x 1 + 1 x 0) / 4.
/// March: the shop was breached; its review is overdue. Index over both months: shop 1 of 2, mail 2 of 3, so
/// (3 x 0.5 + 0.666666666) / 4 = 0.5416666665, rounded down.
#[tokio::test(flavor = "multi_thread")]
async fn r35_each_month_has_its_indicators() {
    let (_folder, service) = portfolio().await;
    let statement = "SELECT month, kpi, span_months, part_count, whole_count, ratio FROM kpi_monthly
        WHERE kpi <> 'improvement_productivity' ORDER BY month, kpi, span_months";
    let expected = "month,kpi,span_months,part_count,whole_count,ratio
2026-02-01,breached,1,1,2,0.500000000
2026-02-01,measured_in_time,1,2,2,1.000000000
2026-02-01,overdue_for_review,,0,1,0.000000000
2026-02-01,reported,,0,0,
2026-02-01,service_quality_index,3,1,2,0.750000000
2026-02-01,service_quality_index,12,1,2,0.750000000
2026-02-01,without_targets,,1,2,0.500000000
2026-03-01,breached,1,1,2,0.500000000
2026-03-01,measured_in_time,1,2,2,1.000000000
2026-03-01,overdue_for_review,,1,1,1.000000000
2026-03-01,reported,,0,0,
2026-03-01,service_quality_index,3,3,5,0.541666666
2026-03-01,service_quality_index,12,3,5,0.541666666
2026-03-01,without_targets,,1,2,0.500000000
";
    assert_eq!(ask(&service, statement, Format::Csv).await.as_deref(), Ok(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_indicators_are_asked_for_over_http_by_their_months() {
    let (_folder, service) = portfolio().await;
    let service = Arc::new(service);
    // A month is taken at its beginning in UTC.
    for (span, expected) in [
        ("", json!([["2026-03-01", 1, 2], ["2026-02-01", 1, 2]])),
        ("&from=2026-03-01", json!([["2026-03-01", 1, 2]])),
        ("&until=2026-03-01T00:00:00Z", json!([["2026-02-01", 1, 2]])),
        ("&from=9999-12-31", json!([])),
    ] {
        let (status, rows) = get(&service, &format!("/v1/kpis?kpi=breached{span}")).await;
        assert_eq!(status, StatusCode::OK, "{span}: {rows}");
        assert_eq!(json!(pick(&rows, &["month", "part_count", "whole_count"])), expected, "{span}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_indicators_are_told_as_they_were_known_and_of_months_that_are_over() {
    let (_folder, service) = portfolio().await;
    let statement = "SELECT month, part_count FROM kpi_monthly WHERE kpi = 'breached' ORDER BY month";
    for (known_at, expected) in [
        ("2026-03-01T00:00:00Z", "month,part_count\n"),
        ("2026-04-01T00:00:00Z", "month,part_count\n2026-02-01,1\n"),
        ("2026-04-03T00:00:00Z", "month,part_count\n2026-02-01,1\n2026-03-01,0\n"),
        ("2026-05-01T00:00:00Z", "month,part_count\n2026-02-01,1\n2026-03-01,1\n"),
    ] {
        let answer = ask(&service.known_at(Instant::parse(known_at)), statement, Format::Csv).await;
        assert_eq!(answer.as_deref(), Ok(expected), "{known_at}");
    }
    let joined = "SELECT count(*) AS rows FROM kpi_monthly k JOIN kpi_monthly l USING (month, kpi) WHERE k.kpi IN (SELECT kpi FROM kpi_monthly)";
    // Two months, in each five indicators once, and two with two spans each: 5 + 2 x 4.
    assert_eq!(ask(&service, joined, Format::Csv).await.as_deref(), Ok("rows\n26\n"));
}
