//! What may be asked in SQL, what is answered, and what is refused.

use std::collections::BTreeSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn r22_views_show_what_is_current_and_history_shows_all() {
    let (_folder, _lake, service) = service(limits()).await;
    let cases = [
        (
            "SELECT agreement, window_start, finality, verdict, attainment_ratio, revision FROM attainment ORDER BY 1, 2",
            "agreement,window_start,finality,verdict,attainment_ratio,revision\n\
             acme,2026-01-01T00:00:00Z,final,breached,0.998571428,2\n\
             acme,2026-02-01T00:00:00Z,provisional,met,1.000000000,0\n\
             beta,2026-01-01T00:00:00Z,provisional,no_data,,0\n\
             beta,2026-02-01T00:00:00Z,provisional,at_risk,0.999000000,0\n",
        ),
        ("SELECT count(*) AS n FROM history.attainment", "n\n7\n"),
        ("SELECT ticket, verdict, elapsed_us FROM clocks", "ticket,verdict,elapsed_us\nINC1,met,3600000000\n"),
        (
            "SELECT started_at, ended_at, duration_us, causes FROM outages",
            "started_at,ended_at,duration_us,causes\n\
             2026-01-10T10:00:00Z,2026-01-10T10:30:00Z,1800000000,\"INC1,ping\"\n",
        ),
        ("SELECT at, state FROM transitions", "at,state\n2026-01-10T10:00:00Z,down\n"),
        (
            "SELECT good_us, bad_us, bucket_end FROM measures WHERE service = 'web'",
            "good_us,bad_us,bucket_end\n3540000000,60000000,2026-01-11T00:00:00Z\n",
        ),
        (
            "SELECT date_part('day', bucket_start) AS day, latency_at_most_us, total_count FROM measures \
             WHERE service = 'mail' ORDER BY 1, 2",
            "day,latency_at_most_us,total_count\n10,100,3\n10,301055,1\n11,100,-1\n11,200,2\n",
        ),
        (
            "SELECT event, ticket, at FROM breaches ORDER BY at",
            "event,ticket,at\nbreach,INC9,2026-01-07T12:00:00Z\nbreach,,2026-01-21T00:00:00Z\n",
        ),
        (
            "SELECT event, ticket, at, severity FROM warnings ORDER BY at",
            "event,ticket,at,severity\nwarning,INC8,2026-01-06T11:00:00Z,\n\
             warning,,2026-01-19T00:00:00Z,page\nwarning,,2026-01-20T00:00:00Z,page\n",
        ),
        ("SELECT count(*) AS n FROM attainment_history", "n\n7\n"),
        (
            "SELECT name, service_count, objective_count FROM agreements",
            "name,service_count,objective_count\n\"ACME's \"\"web\"\", shop\",1,1\n",
        ),
        (
            "SELECT supporting_agreement, supporting_service, spent_us FROM attributions ORDER BY 2",
            "supporting_agreement,supporting_service,spent_us\nola,network,1800000000\n,web,1800000000\n",
        ),
        (
            "SELECT window_kind, credit_minor, revision FROM credits ORDER BY 1",
            "window_kind,credit_minor,revision\nmonth,2500,2\nquarter,0,0\n",
        ),
        ("SELECT met_count FROM watermelons", "met_count\n3\n"),
        ("SELECT reason, before, after FROM corrections", "reason,before,after\nlate_event,met,breached\n"),
        ("SELECT name FROM objectives", "name\n\"ACME's \"\"web\"\", shop\"\n"),
        ("SELECT name FROM services", "name\nWeb shop\n"),
        ("SELECT definition FROM calendars", "definition\nalways\n"),
        ("SELECT reason, payload_bytes FROM dead_letters", "reason,payload_bytes\nnot_json,1\n"),
        ("SELECT count(*) AS n FROM epochs", "n\n0\n"),
        (
            "SELECT date, id, status FROM events ORDER BY id",
            "date,id,status\n2026-01-10,e1,down\n2026-01-11,e2,up\n2026-01-11,e3,up\n",
        ),
        ("SELECT id FROM events WHERE time >= '2026-01-11T00:00:00Z' AND service = 'mail'", "id\ne3\n"),
        ("SELECT count(*) AS n FROM events WHERE date = '2026-01-10'", "n\n1\n"),
    ];
    for (statement, expected) in cases {
        assert_eq!(ask(&service, statement, Format::Csv).await.as_deref(), Ok(expected), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_stands_beside_what_is_computed_from_it() {
    let (_folder, _lake, service) = service(limits()).await;
    // DataFusion refuses these as soon as the column alone has a comment.
    for (statement, expected) in [
        (
            "WITH one AS (SELECT coalesce(revision, 0) AS v FROM history.attainment),
                  both AS (SELECT v FROM one UNION SELECT v + 100 FROM one) SELECT count(*) AS n FROM both",
            "n\n6\n",
        ),
        ("SELECT max(v) AS v FROM (SELECT revision AS v FROM attainment UNION ALL SELECT 7)", "v\n7\n"),
    ] {
        assert_eq!(ask(&service, statement, Format::Csv).await.expect(statement), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_exact_or_an_error() {
    let (_folder, _lake, service) = service(limits()).await;
    for (expression, expected) in [
        // By hand: the largest bigint and one; 998571428 of a billion, as in January of the rows.
        ("(SELECT sum(x) FROM (VALUES (9223372036854775807), (1)) t(x))", "9223372036854775808"),
        ("(SELECT sum(good_us) * 100 / sum(good_us + bad_us) FROM attainment WHERE revision = 2)", "99.857142800000"),
        ("(SELECT sum(DISTINCT x) FROM (VALUES (2), (2), (3)) t(x))", "5"),
        ("(SELECT max(s) FROM (SELECT sum(x) OVER (ORDER BY x) AS s FROM (VALUES (2), (3)) t(x)))", "5"),
        ("(SELECT sum(x) FROM (VALUES (0.5::float), (0.25::float)) t(x))", "0.75"),
        ("0.1 + 0.2 = 0.3", "true"),
        ("9223372036854775806 + 1", "9223372036854775807"),
        ("-9223372036854775807 - 1", "-9223372036854775808"),
        ("7 / 2", "3"),
        // Rounded half away from zero, as Postgres rounds numeric.
        ("2.0 / 3", "0.666666666667"),
        ("-2.0 / 3", "-0.666666666667"),
        ("1.5e3", "1500"),
        ("0.5::float = 0.5", "true"),
        ("1e300::float > 0.5", "true"),
        ("coalesce(CAST(NULL AS DOUBLE), 0.5)", "0.5"),
        ("(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2)) t(x))", "1.5"),
        ("(SELECT share(sum(x), 3) FROM (VALUES (1), (1)) t(x))", "0.666666666"),
        ("(SELECT burn_rate(sum(x), 60000, 0.999) FROM (VALUES (860), (4)) t(x))", "14.400000000"),
    ] {
        let answer = ask(&service, &format!("SELECT {expression} AS x"), Format::Csv).await;
        assert_eq!(answer, Ok(format!("x\n{expected}\n")), "{expression}");
    }
    for expression in [
        "9223372036854775807 + 1",
        "-9223372036854775807 - 2",
        "9223372036854775807 * 2",
        "-(-9223372036854775807 - 1)",
        "max(revision) + 9223372036854775807 FROM attainment",
    ] {
        let error = ask(&service, &format!("SELECT {expression}"), Format::Csv).await.expect_err(expression);
        assert!(error.kind() == "invalid" && error.to_string().starts_with("numeric value out of range"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_written_and_read_as_postgres_does() {
    let (_folder, _lake, service) = service(limits()).await;
    // The first of October 2026 is a Thursday: day 274 of the year, in the 40th week that begins on a Monday.
    let at = "TIMESTAMP '2026-10-01 15:04:05.006007'";
    for (expression, expected) in [
        (format!("to_char({at}, 'YYYY-MM-DD HH24:MI:SS.US')"), "2026-10-01 15:04:05.006007"),
        (format!("to_char({at}, 'FMHH12:MI AM, Dy DD Mon YY')"), "\"3:04 PM, Thu 01 Oct 26\""),
        (format!("to_char({at}, 'IYYY-\"W\"IW-ID Q DDD WW W MS')"), "2026-W40-4 4 274 40 1 006"),
        (format!("to_char({at}, 'Month|FMDay|yyyy')"), "October  |Thursday|2026"),
        ("to_char('2026-10-01 00:00:00+02'::timestamptz, 'YYYY-MM-DD HH24 TZ')".to_owned(), "2026-09-30 22 UTC"),
        (format!("to_char({at}, '%Y')"), "2026"),
        ("to_char(NULL::timestamp, 'YYYY') IS NULL".to_owned(), "true"),
        ("to_timestamp('2026-10-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')".to_owned(), "2026-10-01T00:00:00Z"),
        ("to_timestamp(1790812800)".to_owned(), "2026-10-01T00:00:00Z"),
        ("to_date('2026-10-01', 'YYYY-MM-DD')".to_owned(), "2026-10-01"),
        ("to_date('10/2026', 'MM/YYYY')".to_owned(), "2026-10-01"),
        ("arrow_typeof(now())".to_owned(), "\"Timestamp(ns, \"\"UTC\"\")\""),
        ("'2026-10-01 00:00:00+02'::timestamptz".to_owned(), "2026-09-30T22:00:00Z"),
        (format!("{at} + INTERVAL '15 minutes' * 3"), "2026-10-01T15:49:05.006007Z"),
        (
            "date_trunc('hour', TIMESTAMP '2026-10-01 15:40:00')
             + INTERVAL '15 minutes' * floor(extract(minute FROM TIMESTAMP '2026-10-01 15:40:00') / 15)"
                .to_owned(),
            "2026-10-01T15:30:00Z",
        ),
        ("TIMESTAMP '2026-10-01 00:00:00' + INTERVAL '1 day' / 2".to_owned(), "2026-10-01T12:00:00Z"),
    ] {
        let answer = ask(&service, &format!("SELECT {expression} AS x"), Format::Csv).await;
        assert_eq!(answer.map(|text| text.trim_end().replace("x\n", "")), Ok(expected.to_owned()), "{expression}");
    }
    // A comparison with an instant still leaves out files.
    let plan = "EXPLAIN SELECT * FROM events WHERE time < '2026-10-11T02:00:00+02'::timestamptz AND time < now()";
    let plan = ask(&service, plan, Format::Csv).await.expect("a plan");
    assert!(!plan.contains("CAST"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_one_name_are_answered() {
    let (_folder, _lake, service) = service(limits()).await;
    for (statement, expected) in [
        ("SELECT count(*) AS count, count(*), count(*) FROM services", "count,count(*),count_2\n1,1,1\n"),
        ("SELECT at, at::date FROM transitions", "at,at_2\n2026-01-10T10:00:00Z,2026-01-10\n"),
    ] {
        assert_eq!(ask(&service, statement, Format::Csv).await.as_deref(), Ok(expected), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_column_has_a_comment() {
    let (_folder, _lake, service) = service(limits()).await;
    let silent = "SELECT schema_name, table_name, column_name FROM dictionary.columns
         WHERE comment IS NULL OR comment = '' ORDER BY 1, 2, number";
    let expected = "schema_name,table_name,column_name\n";
    assert_eq!(ask(&service, silent, Format::Csv).await.as_deref(), Ok(expected));
    let own = "SELECT count(*) AS n FROM dictionary.columns WHERE schema_name = 'dictionary'";
    assert_eq!(ask(&service, own, Format::Csv).await.as_deref(), Ok("n\n6\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_sees_the_newest_version() {
    let (_folder, lake, service) = service(limits()).await;
    let names = "SELECT name FROM services ORDER BY name";
    assert_eq!(ask(&service, names, Format::Csv).await.as_deref(), Ok("name\nWeb shop\n"));
    append(&lake, Table::Services, 3, r#"{"service":"mail","name":"Mail"}"#).await;
    assert_eq!(ask(&service, names, Format::Csv).await.as_deref(), Ok("name\nMail\nWeb shop\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_not_utf_8_hides_no_other() {
    let (_folder, lake, service) = service(limits()).await;
    // "{" is the same in ISO 8859-1 and in UTF-8; the last letter of "Caf\u{e9}" is not.
    let latin = r#"{"topic":"t","offset":8,"reason":"invalid_utf8","payload":"436166e921","payload_bytes":5}
{"topic":"t","offset":9,"reason":"empty"}"#;
    append(&lake, Table::DeadLetters, 2, latin).await;
    let statement = "SELECT \"offset\", payload_text FROM dead_letters ORDER BY 1";
    let expected = "offset,payload_text\n7,{\n8,Caf\u{fffd}!\n9,\n";
    assert_eq!(ask(&service, statement, Format::Csv).await.as_deref(), Ok(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_have_the_columns_of_their_tables() {
    let (_folder, _lake, service) = service(limits()).await;
    for table in Table::ALL {
        // Agreements are recorded with each of their objectives.
        let view = if table == Table::Agreements { "objectives" } else { table.name() };
        let rows = service.sql(&format!("SELECT * FROM {view} LIMIT 0")).await.expect("view").schema();
        let mut expected: Vec<_> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
        expected.retain(|name| name != "retracted");
        expected.extend(table.partition_time().map(|_| "date".to_owned()));
        expected.extend((table == Table::DeadLetters).then(|| "payload_text".to_owned()));
        let mut found: Vec<_> = rows.fields().iter().map(|field| field.name().clone()).collect();
        if table == Table::Measures {
            expected.sort();
            found.sort();
        }
        assert_eq!(found, expected, "{}", table.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_can_be_explored() {
    let (_folder, _lake, service) = service(limits()).await;
    for (statement, part) in [
        ("SHOW TABLES", "plimsoll,public,attainment,VIEW"),
        ("SHOW TABLES", "plimsoll,history,attainment,BASE TABLE"),
        ("DESCRIBE outages", "started_at,\"Timestamp(µs, \"\"UTC\"\")\",NO"),
        ("SHOW COLUMNS FROM outages", "duration_us"),
        ("EXPLAIN SELECT * FROM outages WHERE service = 'web'", "DataSourceExec"),
        ("EXPLAIN ANALYZE SELECT * FROM outages", "output_rows"),
        ("SELECT column_name FROM information_schema.columns WHERE table_name = 'clocks'", "paused_us"),
        ("SELECT 1 AS one;", "one\n1"),
    ] {
        let answer = ask(&service, statement, Format::Csv).await.expect(statement);
        assert!(answer.contains(part), "{statement}: {part} is not in\n{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_outside_a_filter_are_not_read() {
    let (_folder, _lake, service) = service(limits()).await;
    for (filter, days) in [
        ("true", &["10", "11"] as &[&str]),
        ("time < '2026-01-11'", &["10"]),
        ("time <= '2026-01-11'", &["10", "11"]),
        ("time > '2026-01-10T23:59:59Z' AND service = 'web'", &["10", "11"]),
        ("date = '2026-01-11' AND status = 'up'", &["11"]),
        ("date IN ('2026-01-10', '2026-01-12')", &["10"]),
        ("time > '2026-01-12'", &[]),
    ] {
        let plan =
            ask(&service, &format!("EXPLAIN SELECT * FROM events WHERE {filter}"), Format::Csv).await.expect("plan");
        let read: Vec<_> =
            ["10", "11"].into_iter().filter(|day| plan.contains(&format!("date=2026-01-{day}/"))).collect();
        assert_eq!(read, days, "{filter}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_more_than_a_question_is_refused() {
    let (folder, _lake, service) = service(limits()).await;
    let target = folder.path().join("out.csv");
    let copy = format!("COPY (SELECT 1) TO '{}'", target.display());
    for statement in [
        copy.as_str(),
        &format!("EXPLAIN ANALYZE {copy}"),
        "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE TABLE mine AS SELECT 1",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE SCHEMA mine",
        "DROP VIEW attainment",
        "DROP TABLE history.attainment",
        "INSERT INTO history.services SELECT * FROM history.services",
        "SET datafusion.execution.batch_size = 1",
        "PREPARE plan AS SELECT 1",
    ] {
        let error = service.sql(statement).await.err().expect(statement);
        assert_eq!(error.kind(), "refused", "{statement}: {error}");
    }
    assert!(!target.exists());
    assert!(service.sql("SELECT count(*) FROM attainment").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_get_one_clear_line() {
    let (_folder, _lake, service) = service(limits()).await;
    for (statement, part) in [
        ("SELEC 1", "syntax error: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1"),
        ("SELECT 1; SELECT 2", "found more than one statement; send them one by one"),
        ("", "found no statement"),
        ("-- nothing", "found no statement"),
        ("SELECT verdct FROM attainment", "'attainment.verdict'"),
        ("SELECT * FROM attainmet", "table 'plimsoll.public.attainmet' not found"),
        ("SELECT * FROM '/etc/passwd'", "not found"),
        ("SELECT * FROM 'file:///etc/passwd'", "not found"),
        ("BEGIN", "not supported"),
        ("SELECT nosuch(1)", "nosuch"),
        ("SELECT regexp_replace(name, ')', 'x') FROM services", "regex parse error"),
        ("SELECT regexp_replace(name, '((x{99}){99}){99}', 'x') FROM services", "Compiled regex exceeds"),
        ("SELECT repeat('x', 2000000000)", "repeat"),
        ("SELECT lpad('x', 2000000000)", "lpad"),
        ("SELECT approx_percentile_cont(revision, 0.5, 99999999999) FROM attainment", "approx_percentile_cont"),
        ("SELECT list_repeat(1, 2000000000)", "list_repeat"),
        ("SELECT range(0, 2000000000)", "range"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", "ecursive"),
        ("SELECT 1/0", "Divide by zero"),
        ("SELECT * FROM services TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE is not supported; leave it out"),
        ("SELECT name FROM (SELECT name FROM services FOR UPDATE)", "FOR UPDATE would lock rows; leave it out"),
        ("SELECT to_char(now(), 'YYYY-XX')", "the pattern \"YYYY-XX\" has \"XX\", of which nothing is known here"),
        ("SELECT to_date('soon', 'YYYY-MM-DD')", "\"soon\" is no time of the pattern \"YYYY-MM-DD\""),
        ("SELECT sum(name) FROM services", "sum takes numbers and intervals"),
        ("UPDATE history.services SET name = 'x'", ""),
        ("DELETE FROM history.services", ""),
    ] {
        let error = ask(&service, statement, Format::Csv).await.expect_err(statement);
        let text = error.to_string();
        assert!(matches!(error.kind(), "invalid" | "refused"), "{statement}: {error:?}");
        assert!(text.contains(part) && !text.contains('\n'), "{statement}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let (_folder, lake, service) = service(Limits { rows_max: 3, ..limits() }).await;
    assert!(ask(&service, "SELECT * FROM generate_series(1, 3)", Format::Csv).await.is_ok());
    let error = ask(&service, "SELECT * FROM generate_series(1, 4)", Format::Csv).await.expect_err("rows");
    let told = error.to_string();
    assert!(
        told.starts_with("the answer has more than 3 rows; add a LIMIT") && told.contains("--question-rows"),
        "{told}"
    );

    // Ten trillion pairs cannot be summed in a tenth of a second, nor can their query be awaited by the next one.
    let limits = Limits { time_max: Duration::from_millis(100), concurrent_max: 1, ..limits() };
    let service = QueryService::open(lake.clone(), limits, Handle::current()).await.expect("service");
    let endless = "SELECT sum(a.value + b.value) FROM generate_series(1, 10000000) a, generate_series(1, 1000000) b";
    let error = ask(&service, endless, Format::Csv).await.expect_err("time");
    assert_eq!(error.kind(), "exhausted", "{error}");
    let told = error.to_string();
    assert!(told.starts_with("no complete answer within 0.1 s") && told.contains("--question-time"), "{told}");
    assert!(service.metrics().contains("plimsoll_query_errors_total{kind=\"exhausted\"} 1\n"), "{}", service.metrics());
    assert!(service.metrics().contains("plimsoll_query_running 0\n"), "{}", service.metrics());

    let limits = Limits { memory_bytes_max: 1 << 20, spill_bytes_max: 0, ..super::limits() };
    let service = QueryService::open(lake, limits, Handle::current()).await.expect("service");
    let wide = "SELECT value, count(*) FROM generate_series(1, 1000000) GROUP BY value ORDER BY 2 LIMIT 1";
    let error = ask(&service, wide, Format::Csv).await.expect_err("memory");
    assert_eq!(error.kind(), "exhausted", "{error}");
    assert!(error.to_string().contains("of the service raises the limit"), "{error}");
    assert!(!error.to_string().contains("datafusion."), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_the_percentile_of_any_days_is_read_from_the_bins_as_the_page_says() {
    const PAGE: &str = include_str!("../../../docs/rules/r10-indicators.md");
    let statement = PAGE.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a statement");
    let (_folder, _lake, service) = service(limits()).await;
    // Two of 100 us, two of 200 us, one in the bin until 301,055 us. 95 % of 5 are 4.75, so the 5th; 80 % are the 4th,
    // 40 % the 2nd.
    for (percent, expected) in [(95, 301_055), (80, 200), (40, 100)] {
        let asked = statement
            .replace("'web'", "'mail'")
            .replace("2026-11-01", "2026-01-10")
            .replace("95 * n", &format!("{percent} * n"));
        let answer = ask(&service, &asked, Format::Csv).await.expect("an answer");
        assert_eq!(answer.lines().nth(1), Some(expected.to_string().as_str()), "{percent} %");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_in_time_also_when_nobody_takes_its_answer() {
    let limits = Limits { time_max: Duration::from_secs(2), concurrent_max: 1, ..limits() };
    let (_folder, _lake, service) = service(limits).await;
    let answer = service.sql("SELECT value FROM generate_series(1, 900000)").await.expect("an answer begins");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(ask(&service, "SELECT 1 AS one", Format::Csv).await.as_deref(), Ok("one\n1\n"));
    let rest: Result<Vec<_>, _> = answer.try_collect().await;
    let error = QueryError::from(rest.expect_err("it was not complete in time"));
    assert_eq!(error.kind(), "exhausted", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_metrics_show_waits_for_no_question() {
    let (_folder, lake, _) = service(limits()).await;
    let limits = Limits { concurrent_max: 1, ..limits() };
    let service = QueryService::open(lake, limits, thread()).await.expect("service");
    let waiting = service.sql(ENGROSSING).await.expect("it is begun");
    let minute = Duration::from_secs(60);
    let newest = tokio::time::timeout(minute, service.newest_attainment()).await.expect("no waiting");
    // ACME's and Beta's windows of February.
    assert_eq!(newest.map(|rows| rows.len()), Ok(2));
    let due = tokio::time::timeout(minute, service.clocks_due()).await.expect("no waiting");
    assert_eq!(due.map(|rows| rows.len()), Ok(0));
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_clocks_are_due_until_they_stop_and_those_overdue_hide_none_that_are_ahead() {
    let (_folder, lake, service) = service(limits()).await;
    let clock = |ticket: &str, due: &str, verdict: &str, more: &str| {
        format!(
            r#"{{"agreement":"acme","service":"web","objective":"resolution","ticket":"{ticket}","due_at":"{due}","verdict":"{verdict}"{more}}}"#
        )
    };
    let stopped = r#","stopped_at":"2026-01-08T12:00:00Z""#;
    let mut rows = vec![
        clock("next", "2026-01-09T12:00:00Z", "running", ""),
        clock("met", "2026-01-09T12:00:00Z", "met", stopped),
        clock("late", "2026-01-08T11:00:00Z", "breached", stopped),
        clock("cancelled", "2026-01-08T11:00:00Z", "cancelled", stopped),
        clock("paused", "", "running", "").replace(r#""due_at":"","#, ""),
    ];
    // Of a thousand and one that are overdue the first is left out: it was due a year before.
    rows.extend((0..1_001).map(|number| clock(&number.to_string(), &overdue(number), "breached", "")));
    append(&lake, Table::Clocks, 5, &rows.join("\n")).await;
    let due = service.clocks_due().await.expect("clocks");
    let tickets: BTreeSet<&str> = due.iter().map(|row| row.ticket.as_str()).collect();
    let numbers: Vec<String> = (1..1_001).map(|number| number.to_string()).collect();
    let expected = numbers.iter().map(String::as_str).chain(["next"]).collect::<BTreeSet<_>>();
    assert_eq!((due.len(), tickets), (1_001, expected));
}

/// When the clock of this number was due: all but the first within one minute.
fn overdue(number: i32) -> String {
    match number {
        0 => "2025-01-07T12:00:00Z".to_owned(),
        other => format!("2026-01-07T12:00:{:02}.{:03}Z", other / 1_000, other % 1_000),
    }
}
