//! What somebody sees who may see the agreements of one customer only: of every table what is theirs, and no trace of what
//! is not.

use std::collections::BTreeSet;

use plimsoll_schemas::definition::{File, load};

use super::*;
use crate::views::VIEWS;
use crate::visible::RowFilter;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/guide/definitions");

/// Rows of two customers. `north` has an agreement on `ticket-shop` and `mail`, by the box office's hours; `borealis` one on
/// `mail` and `vault`. All that only Borealis may see says so.
const ROWS: &[(Table, &str)] = &[
    (
        Table::Agreements,
        r#"{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"ticket-shop","objective":"availability","calendar":"box-office"}
{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","objective":"availability","calendar":"24x7"}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","objective":"availability","calendar":"24x7"}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"borealis-vault","objective":"availability","calendar":"borealis-hours"}
{"agreement":"borealis-ola","agreement_version":1,"service":"borealis-vault","objective":"availability"}"#,
    ),
    (
        Table::Attainment,
        r#"{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","objective":"availability","verdict":"met","good_us":7}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","objective":"availability","verdict":"breached","good_us":0}
{"agreement":"borealis-ola","agreement_version":1,"service":"mail","objective":"availability","verdict":"breached","good_us":0}"#,
    ),
    (
        Table::Credits,
        r#"{"agreement":"north","agreement_version":1,"customer":"north-theatre","currency":"EUR"}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","currency":"EUR"}"#,
    ),
    (
        Table::Watermelons,
        r#"{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","objective":"scores"}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","objective":"scores"}"#,
    ),
    (
        Table::Clocks,
        r#"{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","ticket":"INC1","verdict":"met"}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","ticket":"borealis-INC","verdict":"met"}"#,
    ),
    (
        Table::Breaches,
        r#"{"event":"breach","scope":"ticket","agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","ticket":"INC1"}
{"event":"warning","scope":"ticket","agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","ticket":"INC1"}
{"event":"breach","scope":"ticket","agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","ticket":"borealis-INC"}
{"event":"warning","scope":"ticket","agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","ticket":"borealis-INC"}"#,
    ),
    (
        Table::Attributions,
        r#"{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","objective":"availability"}
{"agreement":"north","agreement_version":1,"customer":"north-theatre","service":"mail","objective":"availability","supporting_agreement":"borealis-ola","supporting_version":1}
{"agreement":"borealis-sla","agreement_version":1,"customer":"borealis","service":"mail","objective":"availability"}"#,
    ),
    (
        Table::Corrections,
        r#"{"agreement":"north","agreement_version":1,"service":"mail","objective":"availability","reason":"late_event"}
{"agreement":"borealis-sla","agreement_version":1,"service":"mail","objective":"availability","reason":"late_event"}"#,
    ),
    (
        Table::Services,
        r#"{"service":"mail","name":"Mail"}
{"service":"ticket-shop","name":"Ticket shop"}
{"service":"borealis-vault","name":"Vault"}"#,
    ),
    (
        Table::Calendars,
        r#"{"calendar":"box-office","calendar_version":1}
{"calendar":"borealis-hours","calendar_version":1}"#,
    ),
    (
        Table::Outages,
        r#"{"service":"mail","started_at":"2026-03-03T11:30:00Z"}
{"service":"borealis-vault","started_at":"2026-03-03T11:30:00Z"}"#,
    ),
    (
        Table::Transitions,
        r#"{"service":"mail","at":"2026-03-03T11:30:00Z","state":"down"}
{"service":"borealis-vault","at":"2026-03-03T11:30:00Z","state":"down"}"#,
    ),
    (
        Table::Measures,
        r#"{"service":"mail","indicator":"resolution","good_count":1}
{"service":"mail","indicator":"resolution","customer":"north-theatre","good_count":1}
{"service":"mail","indicator":"resolution","customer":"borealis","good_count":1}
{"service":"borealis-vault","indicator":"resolution","good_count":1}"#,
    ),
    (Table::Events, r#"{"id":"borealis-e1","time":"2026-03-03T11:30:00Z","kind":"monitoring","service":"mail"}"#),
    (Table::DeadLetters, r#"{"topic":"borealis","offset":7,"reason":"not_json","payload":"7b","payload_bytes":1}"#),
];

/// Words that whoever is of the North Theatre must never meet.
const HIDDEN: &str = "borealis";

/// The service as somebody sees it who may see the agreements of these customers, and these agreements.
async fn service_for(customers: &[&str], agreements: &[&str]) -> (TempDir, Arc<QueryService>) {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    let texts = ["agreement.yaml", "shop.yaml", "sources.yaml"]
        .map(|name| (name, std::fs::read_to_string(format!("{GUIDE}/{name}")).expect("a file of the guide")));
    let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
    let record = load(&files).expect("definitions").to_record().expect("a record");
    let digest = lake.keep_definitions(record.into()).await.expect("kept");
    let epoch = format!(
        r#"{{"tick":"2026-03-04T00:01:00Z","known_until":"2026-03-04T00:00:00Z","topic":"borealis","definitions":"{digest}"}}"#
    );
    append(&lake, Table::Epochs, 1, &epoch).await;
    for (table, lines) in ROWS {
        append(&lake, *table, 1, lines).await;
    }
    let service = QueryService::open(lake, limits(), Handle::current()).await.expect("service");
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let rows = RowFilter { customers: set(customers), agreements: set(agreements) };
    (folder, Arc::new(service.seen_by(Some(Arc::new(rows)))))
}

/// How many of the rows above somebody of the North Theatre sees.
const SEEN: [(&str, usize); 21] = [
    ("agreements", 1),
    ("objectives", 2),
    ("attainment", 1),
    ("attainment_history", 1),
    ("credits", 1),
    ("watermelons", 1),
    ("clocks", 1),
    ("breaches", 1),
    ("warnings", 1),
    ("attributions", 1),
    ("corrections", 1),
    ("services", 2),
    ("calendars", 1),
    ("outages", 1),
    ("transitions", 1),
    ("measures", 2),
    ("customers", 1),
    ("history.breaches", 2),
    ("history.attributions", 1),
    ("history.agreements", 2),
    ("history.measures", 2),
];

#[tokio::test(flavor = "multi_thread")]
async fn of_every_table_they_see_what_is_theirs() {
    for asked in [service_for(&["north-theatre"], &[]).await, service_for(&[], &["north"]).await] {
        let (_folder, service) = asked;
        for (name, count) in SEEN {
            let rows = ask(&service, &format!("SELECT * FROM {name}"), Format::Csv).await.expect(name);
            assert_eq!((rows.lines().count() - 1, rows.contains(HIDDEN)), (count, false), "{name}: {rows}");
            let counted = ask(&service, &format!("SELECT count(*) FROM {name}"), Format::Csv).await;
            assert_eq!(counted, Ok(format!("count(*)\n{count}\n")), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_is_left_out() {
    let (_folder, service) = service_for(&["north-theatre"], &[]).await;
    let refused = ["events", "dead_letters", "epochs", "gaps", "kpi_monthly"];
    let views = VIEWS.iter().flat_map(|view| [view.name.to_owned(), format!("{}_known_at('2026-04-01')", view.name)]);
    let tables = Table::ALL.into_iter().map(|table| format!("history.{}", table.name()));
    let defined = ["customers", "calendar_days", "kpi_monthly"].map(str::to_owned);
    for name in views.chain(tables).chain(defined) {
        let answer = ask(&service, &format!("SELECT * FROM {name}"), Format::Json).await;
        if refused.iter().any(|refused| name.trim_start_matches("history.").starts_with(refused)) {
            let Err(QueryError::Refused(error)) = answer else { panic!("{name}: {answer:?}") };
            assert!(error.ends_with("is not for those who may see the agreements of some customers only"), "{error}");
            continue;
        }
        let rows = answer.expect(&name);
        assert!(rows.len() > 10 && !rows.contains(HIDDEN), "{name}: {rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_errors_nor_plans_tell_of_other_rows() {
    let (_folder, service) = service_for(&["north-theatre"], &[]).await;
    for statement in [
        // Each fails for a row that is hidden, if it is evaluated there.
        "SELECT agreement FROM attainment WHERE CAST(agreement AS INT) > 0 OR good_us = 7",
        "SELECT service FROM history.services WHERE CASE WHEN service = 'mail' THEN 1 ELSE CAST(service AS INT) END > 0",
        "SELECT sum(CAST(ticket AS BIGINT)) FROM clocks WHERE ticket <> 'INC1'",
        "SELECT 1 / good_us FROM attainment",
        "SELECT 1 / good_us FROM history.attainment WHERE 1 / good_us >= 0",
        "SELECT max(1 / good_us) FROM attainment GROUP BY service HAVING max(1 / good_us) >= 0",
        "SELECT a.agreement FROM attainment a JOIN clocks c ON CAST(a.agreement AS INT) = c.cycle",
        "SELECT agreement FROM attainment ORDER BY 1 / good_us LIMIT 1",
        "EXPLAIN SELECT * FROM attainment WHERE good_us = 0",
        "EXPLAIN VERBOSE SELECT min(agreement), count(*) FROM history.attainment",
        "EXPLAIN ANALYZE SELECT * FROM attainment",
        "SELECT min(agreement), max(agreement), count(*) FROM history.attainment",
        "SELECT max(customer), max(service) FROM history.measures",
        "SELECT (SELECT max(agreement) FROM history.attainment) AS found, EXISTS (SELECT 1 FROM history.clocks WHERE ticket LIKE 'bor%') AS is_there",
        "SELECT agreement FROM attainment UNION ALL SELECT agreement FROM history.credits UNION ALL SELECT customer FROM customers",
        "WITH found AS (SELECT * FROM history.agreements) SELECT * FROM found WHERE service IN (SELECT service FROM outages)",
        "SELECT * FROM attainment WHERE agreement = 'borealis' || '-sla'",
        "SELECT elapsed('borealis' || '-hours', '2026-03-03', '2026-03-04')",
        "SELECT elapsed('no calendar', '2026-03-03', '2026-03-04')",
        "SELECT down_us, outage_count FROM availability('borealis-vault', '2026-03-03', '2026-03-04')",
        "SELECT table_name FROM information_schema.tables UNION ALL SELECT comment FROM dictionary.columns",
    ] {
        let answer = ask(&service, statement, Format::Csv).await;
        let told = match &answer {
            Ok(rows) => rows.clone(),
            Err(error) => error.to_string(),
        };
        // A plan, and an error, may repeat the question.
        let told = told.replace("borealis-vault", "").replace("no calendar borealis-hours", "");
        let is_divided = statement.contains("1 /") && answer.is_err();
        assert!(!told.contains(HIDDEN) && !is_divided, "{statement}: {told}");
    }
    let vault = "SELECT down_us, unknown_us FROM availability('borealis-vault', '2026-03-03', '2026-03-04')";
    let day_us: i64 = 24 * 3_600 * 1_000_000;
    assert_eq!(ask(&service, vault, Format::Csv).await, Ok(format!("down_us,unknown_us\n0,{day_us}\n")));
    let mail = "SELECT down_us FROM availability('mail', '2026-03-03', '2026-03-04')";
    // From 11:30 to the end of the day.
    let down_us = 12 * 3_600 * 1_000_000_i64 + 30 * 60 * 1_000_000;
    assert_eq!(ask(&service, mail, Format::Csv).await, Ok(format!("down_us\n{down_us}\n")));
    for explain in ["EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN ANALYZE"] {
        let told =
            ask(&service, &format!("{explain} SELECT 1 FROM attainment WHERE agreement > 'm'"), Format::Csv).await;
        assert!(matches!(told, Err(QueryError::Refused(_))), "{explain}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_definitions_say_of_others_is_not_told_either() {
    let (_folder, service) = service_for(&["borealis"], &["borealis-ola"]).await;
    for (statement, expected) in [
        ("SELECT customer FROM customers", "customer\n"),
        ("SELECT DISTINCT calendar FROM calendar_days", "calendar\n24x7\n"),
        ("SELECT agreement FROM attainment ORDER BY agreement", "agreement\nborealis-ola\nborealis-sla\n"),
        ("SELECT count(*) AS rows FROM history.attributions", "rows\n1\n"),
        ("SELECT known_until() AS known", "known\n2026-03-04T00:00:00Z\n"),
    ] {
        assert_eq!(ask(&service, statement, Format::Csv).await.as_deref(), Ok(expected), "{statement}");
    }
    let error = ask(&service, "SELECT elapsed('box-office', '2026-03-03', '2026-03-04')", Format::Csv).await;
    let told = "there is no calendar box-office; there are 24x7".to_owned();
    assert_eq!(error, Err(QueryError::Invalid(told)));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_see_nothing_that_is_there_sees_nothing() {
    let (_folder, service) = service_for(&["nobody' OR '1' = '1"], &[]).await;
    for (name, _) in SEEN {
        let counted = ask(&service, &format!("SELECT count(*) AS rows FROM {name}"), Format::Csv).await;
        assert_eq!(counted.as_deref(), Ok("rows\n0\n"), "{name}");
    }
}
