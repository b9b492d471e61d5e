//! R25: what was known at an instant, of the rows in `ROWS`, whose epochs here have ticks.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use plimsoll_schemas::Instant;

use super::doors::{get, pick, send};
use super::*;

/// Epochs 1 to 4 were recorded on the 1st, the 3rd, the 2nd and the 4th of March: after the second the clock was set
/// back. So on the 2nd the first three were known: an epoch stands on those before it.
const EPOCHS: [(i64, &str); 4] = [
    (1, "2026-03-01T00:00:00Z"),
    (2, "2026-03-03T00:00:00Z"),
    (3, "2026-03-02T00:00:00Z"),
    (4, "2026-03-04T00:00:00Z"),
];

async fn service_with_epochs() -> (TempDir, Lake, Arc<QueryService>) {
    let (folder, lake, service) = service(limits()).await;
    for (epoch, tick) in EPOCHS {
        append(&lake, Table::Epochs, epoch, &format!(r#"{{"tick":"{tick}"}}"#)).await;
    }
    (folder, lake, service)
}

/// Statements whose table `VIEW` stands for a view, and what was known on the 1st, the 2nd and the 4th.
const KNOWN: [(&str, &str, [&str; 3]); 19] = [
    (
        "attainment",
        "SELECT agreement, date_part('month', window_start) AS month, verdict, revision FROM VIEW ORDER BY 1, 2",
        [
            "agreement,month,verdict,revision\nacme,1,at_risk,0\nbeta,1,no_data,0\n",
            "agreement,month,verdict,revision\nacme,1,met,1\nbeta,1,no_data,0\n",
            "agreement,month,verdict,revision\nacme,1,breached,2\nacme,2,met,0\nbeta,1,no_data,0\nbeta,2,at_risk,0\n",
        ],
    ),
    (
        "credits",
        "SELECT window_kind, credit_minor FROM VIEW ORDER BY 1",
        [
            "window_kind,credit_minor\nmonth,1000\nquarter,0\n",
            "window_kind,credit_minor\nmonth,1000\nquarter,0\n",
            "window_kind,credit_minor\nmonth,2500\nquarter,0\n",
        ],
    ),
    ("watermelons", "SELECT met_count FROM VIEW ORDER BY 1", ["met_count\n2\n3\n", "met_count\n3\n", "met_count\n3\n"]),
    (
        "clocks",
        "SELECT ticket, verdict FROM VIEW ORDER BY 1",
        ["ticket,verdict\nINC1,running\nINC2,breached\n", "ticket,verdict\nINC1,met\n", "ticket,verdict\nINC1,met\n"],
    ),
    (
        "outages",
        "SELECT date_part('day', started_at) AS day, duration_us FROM VIEW ORDER BY 1",
        ["day,duration_us\n10,\n11,\n", "day,duration_us\n10,1800000000\n", "day,duration_us\n10,1800000000\n"],
    ),
    (
        "transitions",
        "SELECT date_part('day', at) AS day FROM VIEW ORDER BY 1",
        ["day\n10\n11\n", "day\n10\n", "day\n10\n"],
    ),
    (
        "measures",
        "SELECT sum(good_us) AS good_us, sum(total_count) AS total_count FROM VIEW",
        // Three and one latencies were counted, one was taken back and two were added.
        [
            "good_us,total_count\n3600000000,0\n",
            "good_us,total_count\n3540000000,5\n",
            "good_us,total_count\n3540000000,5\n",
        ],
    ),
    (
        "breaches",
        "SELECT count(*) AS n FROM VIEW",
        // INC9's and January's.
        ["n\n3\n", "n\n2\n", "n\n2\n"],
    ),
    (
        "warnings",
        "SELECT count(*) AS n FROM VIEW",
        // INC8's at 50 % and two burn rates.
        ["n\n0\n", "n\n3\n", "n\n3\n"],
    ),
    ("attainment_history", "SELECT count(*) AS n FROM VIEW", ["n\n2\n", "n\n4\n", "n\n7\n"]),
    (
        "attributions",
        "SELECT supporting_service, spent_us FROM VIEW ORDER BY 1",
        [
            "supporting_service,spent_us\nmail,1\nnetwork,3600000000\n",
            "supporting_service,spent_us\nnetwork,1800000000\nweb,1800000000\n",
            "supporting_service,spent_us\nnetwork,1800000000\nweb,1800000000\n",
        ],
    ),
    ("corrections", "SELECT reason FROM VIEW", ["reason\n", "reason\n", "reason\nlate_event\n"]),
    (
        "objectives",
        "SELECT name, objective FROM VIEW",
        [
            "name,objective\nold,availability\n",
            "name,objective\n\"ACME's \"\"web\"\", shop\",availability\n",
            "name,objective\n\"ACME's \"\"web\"\", shop\",availability\n",
        ],
    ),
    (
        "agreements",
        "SELECT name FROM VIEW",
        ["name\nold\n", "name\n\"ACME's \"\"web\"\", shop\"\n", "name\n\"ACME's \"\"web\"\", shop\"\n"],
    ),
    ("services", "SELECT name FROM VIEW", ["name\nold\n", "name\nWeb shop\n", "name\nWeb shop\n"]),
    ("calendars", "SELECT definition FROM VIEW", ["definition\nalways\n"; 3]),
    ("events", "SELECT count(*) AS n FROM VIEW", ["n\n3\n"; 3]),
    ("dead_letters", "SELECT reason, payload_text FROM VIEW", ["reason,payload_text\nnot_json,{\n"; 3]),
    (
        "epochs",
        "SELECT max(epoch) AS epoch, count(*) AS n FROM VIEW",
        ["epoch,n\n1,1\n", "epoch,n\n3,3\n", "epoch,n\n4,4\n"],
    ),
];

const INSTANTS: [&str; 3] = ["2026-03-01T00:00:00Z", "2026-03-02T23:59:59.999999Z", "2026-03-04T00:00:00Z"];

#[tokio::test(flavor = "multi_thread")]
async fn r25_every_table_can_be_asked_as_it_was_known_by_a_function_and_by_the_whole_question() {
    let (_folder, _lake, service) = service_with_epochs().await;
    let tables: Vec<&str> = KNOWN.iter().map(|(view, ..)| *view).collect();
    assert!(Table::ALL.iter().all(|table| tables.contains(&table.name())), "each table is asked for");
    for (view, statement, expected) in KNOWN {
        for (known_at, expected) in INSTANTS.into_iter().zip(expected) {
            let function = statement.replace("VIEW", &format!("{view}_known_at('{known_at}')"));
            let whole = statement.replace("VIEW", view);
            let then = service.known_at(Instant::parse(known_at));
            assert_eq!(ask(&service, &function, Format::Csv).await.as_deref(), Ok(expected), "{function}");
            assert_eq!(ask(&then, &whole, Format::Csv).await.as_deref(), Ok(expected), "{whole} known at {known_at}");
        }
        let now = ask(&service, &statement.replace("VIEW", view), Format::Csv).await;
        assert_eq!(now.as_deref(), Ok(expected[2]), "on the 4th all of this was known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_an_instant_may_be_said_in_any_way_and_the_earlier_of_two_holds() {
    let (_folder, _lake, service) = service_with_epochs().await;
    let epochs = "SELECT coalesce(max(epoch), 0) AS epoch FROM";
    for (asked, epoch) in [
        ("epochs_known_at('2026-03-01')", 1),
        ("epochs_known_at('2026-02-28T23:59:59.999999Z')", 0),
        ("epochs_known_at('2026-03-01T01:00:00+01:00')", 1),
        ("epochs_known_at(TIMESTAMP '2026-03-02 12:00:00')", 3),
        ("epochs_known_at(TIMESTAMP '2026-03-05 00:00:00' - INTERVAL '2 days')", 3),
        ("epochs_known_at(DATE '2026-03-04')", 4),
        ("epochs_known_at(now())", 4),
        ("history.epochs", 4),
    ] {
        let answer = ask(&service, &format!("{epochs} {asked}"), Format::Csv).await;
        assert_eq!(answer.as_deref(), Ok(&*format!("epoch\n{epoch}\n")), "{asked}");
    }
    let early = service.known_at(Instant::parse("2026-03-02"));
    for (asked, epoch) in
        [("history.epochs", 3), ("epochs_known_at('2026-03-01')", 1), ("epochs_known_at('2027-01-01')", 3)]
    {
        let answer = ask(&early, &format!("{epochs} {asked}"), Format::Csv).await;
        assert_eq!(answer.as_deref(), Ok(&*format!("epoch\n{epoch}\n")), "{asked}");
    }
    let later = early.known_at(Instant::parse("2027-01-01"));
    assert_eq!(ask(&later, &format!("{epochs} epochs"), Format::Csv).await.as_deref(), Ok("epoch\n3\n"));
    for (until, epoch) in [(2, 2), (4, 3)] {
        let answer = ask(&early.until_epoch(until), &format!("{epochs} epochs"), Format::Csv).await;
        assert_eq!(answer.as_deref(), Ok(&*format!("epoch\n{epoch}\n")), "at most epoch {until}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_what_was_said_then_stands_beside_what_is_said_now() {
    let (_folder, _lake, service) = service_with_epochs().await;
    let statement = "SELECT today.agreement, before.verdict AS was, today.verdict AS is_now
        FROM attainment AS today JOIN attainment_known_at('2026-03-02') AS before USING (agreement, window_start)
        WHERE today.verdict <> before.verdict";
    let expected = Ok("agreement,was,is_now\nacme,met,breached\n");
    assert_eq!(ask(&service, statement, Format::Csv).await.as_deref(), expected);
    let nested = "SELECT (SELECT count(*) FROM corrections_known_at('2026-03-02')) AS early,
        (SELECT count(*) FROM corrections) AS late, (SELECT count(*) FROM credits) > 0 AS paid";
    assert_eq!(ask(&service, nested, Format::Csv).await.as_deref(), Ok("early,late,paid\n0,1,true\n"));
    let before = service.known_at(Instant::parse("2026-02-01"));
    assert_eq!(
        ask(&before, nested, Format::Csv).await.as_deref(),
        Ok("early,late,paid\n0,0,false\n"),
        "in subqueries too"
    );
    let explained = ask(&before, "EXPLAIN SELECT * FROM outages", Format::Csv).await.expect("a plan");
    assert!(explained.contains("epoch <= Int64(0)"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_what_is_no_instant_is_refused() {
    let (_folder, _lake, service) = service_with_epochs().await;
    for asked in ["", "'yesterday'", "7", "NULL", "'2026-03-01', '2026-03-02'", "true"] {
        let answer = ask(&service, &format!("SELECT * FROM clocks_known_at({asked})"), Format::Csv).await;
        let Err(QueryError::Invalid(error)) = answer else { panic!("{asked}: {answer:?}") };
        assert!(
            error.starts_with("clocks_known_at takes one instant: clocks_known_at('2026-01-31T08:00:00Z')"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_the_statement_of_the_rules_page_shows_what_changed_since() {
    const PAGE: &str = include_str!("../../../docs/rules/r20-r26-truth-over-time.md");
    let statement = PAGE.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a statement");
    let at_a_time = "attainment_known_at('2026-04-02')";
    assert!(statement.contains(at_a_time), "{statement}");
    let (_folder, _lake, service) = service_with_epochs().await;
    let asked = statement.replace(at_a_time, "attainment_known_at('2026-03-02')");
    // January was final and met; it was corrected on the 4th.
    let expected = "service,objective,window_start,was,is_now\nweb,availability,2026-01-01T00:00:00Z,met,breached\n";
    assert_eq!(ask(&service, &asked, Format::Csv).await.as_deref(), Ok(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_every_door_can_be_asked_as_it_was_known() {
    let (_folder, _lake, service) = service_with_epochs().await;
    let cases: [(&str, &[&str], Value); 11] = [
        ("/v1/attainment?agreement=acme", &["verdict", "revision"], json!([["met", 1]])),
        ("/v1/attainment?agreement=acme&verdict=breached", &["verdict"], json!([])),
        ("/v1/trend?offering=gold", &["attainment_count", "met_count", "no_data_count"], json!([[2, 1, 1]])),
        ("/v1/credits?window_kind=month", &["credit_minor"], json!([[1000]])),
        ("/v1/watermelons?agreement=acme", &["met_count"], json!([[3]])),
        ("/v1/agreements?limit=5", &["name"], json!([["ACME's \"web\", shop"]])),
        ("/v1/objectives?limit=5", &["objective"], json!([["availability"]])),
        ("/v1/breaches?scope=ticket", &["ticket"], json!([["INC9"]])),
        ("/v1/warnings?scope=ticket", &["ticket"], json!([["INC8"]])),
        ("/v1/clocks?limit=5", &["ticket"], json!([["INC1"]])),
        ("/v1/outages?limit=5", &["duration_us"], json!([[1_800_000_000]])),
    ];
    for (address, names, expected) in cases {
        let (status, rows) = get(&service, &format!("{address}&known_at=2026-03-02")).await;
        assert_eq!(status, StatusCode::OK, "{address}: {rows}");
        assert_eq!(json!(pick(&rows, names)), expected, "{address}");
        let (_, rows) = get(&service, &format!("{address}&known_at=2026-02-28")).await;
        assert_eq!(rows, json!([]), "{address}: nothing was known in February");
    }
    for (address, answered) in [
        ("/v1/sql?known_at=2026-03-02", "n\n0\n"),
        ("/v1/sql", "n\n1\n"),
        ("/v1/sql?known_at=2026-03-02&known_at=2026-03-02", "found known_at twice"),
        ("/v1/sql?as_of=2026-03-02", "found parameter as_of, allowed is known_at"),
    ] {
        let request = Request::post(address).header(header::ACCEPT, "text/csv");
        let response =
            send(&service, request.body(Body::from("SELECT count(*) AS n FROM corrections")).expect("request")).await;
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("body");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert!(text.contains(answered), "{address}: {text}");
    }
}
