//! Statements that are larger than they look, and answers that nobody waits for any more: they end, and leave the thread
//! that computes to the next question.

use std::time::Instant as Moment;

use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// How long one statement may keep the only thread; a second or two where nothing else is computed.
const SECONDS_MAX: u64 = 60;

/// Common tables of which each is made of the one before it.
fn chain(count: usize, first: &str, next: &str, last: &str) -> String {
    let next = (1..=count).map(|n| format!(", c{n} AS ({})", next.replace("$", &format!("c{}", n - 1))));
    format!("WITH c0 AS ({first}){} {}", next.collect::<String>(), last.replace("$", &format!("c{count}")))
}

fn nest(count: usize, before: &str, inner: &str, after: &str) -> String {
    format!("{}{inner}{}", before.repeat(count), after.repeat(count))
}

/// A statement of a size for each way in which one can grow.
fn growing(count: usize) -> Vec<String> {
    let joined = |items: &[&str], with: &str| vec![items; count.max(1)].concat().join(with);
    let numbered = |item: &str, with: &str| {
        let items = (0..count.max(1)).map(|n| item.replace('$', &n.to_string()));
        items.collect::<Vec<_>>().join(with)
    };
    let compared = "SELECT a.v FROM $ a JOIN $ b ON a.v < b.v";
    let epochs = "SELECT epoch AS v FROM history.epochs";
    vec![
        chain(count, "SELECT 1 AS v", "SELECT a.v FROM $ a, $ b", "SELECT count(*) FROM $"),
        chain(count, "SELECT 1 AS v", "SELECT v FROM $ UNION ALL SELECT v FROM $", "SELECT count(*) FROM $"),
        "EXPLAIN ".to_owned() + &chain(count, "SELECT service AS v FROM attainment", compared, "SELECT * FROM $"),
        chain(count, epochs, "SELECT v + v AS v FROM $", "SELECT v FROM $ WHERE v > 3"),
        chain(count, "SELECT 'xxxxxxxx' AS v", "SELECT v || v AS v FROM $", "SELECT length(v) FROM $"),
        chain(count, epochs, "SELECT * FROM $ WHERE v IN (SELECT v FROM $)", "SELECT * FROM $"),
        format!("SELECT 1 FROM history.epochs WHERE {}", nest(count, "(", "epoch > 3", " BETWEEN false AND true)")),
        format!("SELECT {} FROM history.epochs", nest(count, "coalesce(", "epoch", ", 1)")),
        format!(
            "SELECT 1 FROM history.epochs WHERE {}",
            nest(count, "CASE WHEN ", "epoch > 2", " THEN true ELSE epoch > 3 END")
        ),
        format!("SELECT 1 FROM history.epochs WHERE {}", nest(count, "(", "epoch > 2", " IN (true, false))")),
        format!("SELECT count(*) FROM history.epochs GROUP BY CUBE ({})", numbered("epoch + $", ", ")),
        nest(count, "SELECT v FROM (SELECT 1 AS v) WHERE EXISTS (", "SELECT 1", ")"),
        format!("SELECT {}", nest(count, "(SELECT max(service) FROM services WHERE service = ", "'x'", ")")),
        nest(count, "SELECT service FROM (", "SELECT service FROM services", ") WHERE service > 'a'"),
        format!("SELECT {}", nest(count, "(", "1", ")")),
        format!("SELECT {}", joined(&["1"], "+")),
        format!("SELECT {} FROM (SELECT epoch AS v FROM history.epochs)", joined(&["v"], "+")),
        format!("SELECT 1 FROM (SELECT epoch AS v FROM history.epochs) WHERE {} > 1", joined(&["v"], "+")),
        format!("SELECT 1 FROM history.epochs WHERE {}", joined(&["recounted"], " OR ")),
        format!("SELECT 1 FROM history.epochs WHERE {}", numbered("epoch=$", " OR ")),
        format!("SELECT 1 FROM history.epochs WHERE {}", numbered("(epoch>$ AND tick>'2026-01-01')", " OR ")),
        format!("SELECT {} FROM history.epochs", joined(&["recounted"], " AND ")),
        format!("SELECT {}", joined(&["NOT"], " ") + " true"),
        joined(&["SELECT 1"], " UNION "),
        joined(&["SELECT service FROM attainment"], " EXCEPT "),
        format!("EXPLAIN SELECT 1 FROM {}", numbered("attainment a$", ", ")),
        format!("EXPLAIN SELECT 1 FROM {}", numbered("availability('web', '2026-01-01', '2026-02-01') a$", ", ")),
        format!("EXPLAIN SELECT 1 FROM services s {}", numbered("JOIN services a$ ON s.service = a$.service", " ")),
        format!("SELECT 1 FROM history.epochs WHERE epoch IN ({})", numbered("$", ", ")),
        format!("SELECT CASE {} END FROM history.epochs", numbered("WHEN epoch > $ THEN $", " ")),
        format!("SELECT {} FROM history.epochs", numbered("sum(epoch) OVER (ORDER BY epoch + $)", ", ")),
    ]
}

/// A service whose questions have one thread, and that thread.
fn alone(limits: Limits) -> (Runtime, TempDir, Arc<QueryService>) {
    let waiting = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (folder, lake, _) = waiting.block_on(service(limits.clone()));
    let service = waiting.block_on(QueryService::open(lake, limits, thread())).expect("service");
    (waiting, folder, Arc::new(service))
}

/// Asks, and then whether the thread is free again: both within the time.
fn ends(waiting: &Runtime, service: &QueryService, statement: &str) -> Result<Option<QueryError>, String> {
    let begun = Moment::now();
    let short: String = statement.chars().take(200).collect();
    let asked = async {
        let error = ask(service, statement, Format::Json).await.err();
        let next = ask(service, "SELECT 1 AS one", Format::Csv).await;
        (error, next)
    };
    let within = Duration::from_secs(SECONDS_MAX);
    let (error, next) = waiting
        .block_on(async { tokio::time::timeout(within, asked).await })
        .map_err(|_| format!("it keeps the thread: {short}"))?;
    if next.as_deref() != Ok("one\n1\n") {
        return Err(format!("{next:?} after {short}"));
    }
    println!("{:?} {} {short}", begun.elapsed(), error.as_ref().map_or("answered", QueryError::kind));
    match error {
        Some(error) if matches!(error.kind(), "internal" | "unavailable") => Err(format!("{error:?}: {short}")),
        error => Ok(error),
    }
}

#[test]
fn a_statement_that_grows_is_answered_or_refused_before_it_keeps_a_thread() {
    let (waiting, _folder, service) = alone(Limits { rows_max: 100_000, ..limits() });
    // Small ones are answered.
    for statement in growing(2) {
        assert_eq!(ends(&waiting, &service, &statement), Ok(None), "{statement}");
    }
    let mut sizes = [7, 11, 30, 120, 1_500].into_iter();
    let found = sizes.try_for_each(|count| {
        growing(count).iter().try_for_each(|statement| ends(&waiting, &service, statement).map(drop))
    });
    assert_eq!(found, Ok(()));
}

#[test]
fn what_is_refused_says_what_is_too_much_and_what_to_do() {
    let (waiting, _folder, service) = alone(limits());
    let refused = |statement: &str| {
        let error = ends(&waiting, &service, statement).expect("the thread is free").expect(statement);
        assert_eq!(error.kind(), "invalid");
        error.to_string()
    };
    // 1 + 2 + ... + 128 planned by themselves, and 128 named.
    let joined = "SELECT a.v FROM $ a, $ b";
    assert_eq!(
        refused(&chain(7, "SELECT 1 AS v", joined, "SELECT count(*) FROM $")),
        "the statement reads 383 tables once common tables and queries within expressions are written out, allowed are 64; \
         name them less often, or ask in parts"
    );
    assert!(refused(&chain(100, "SELECT 1 AS v", joined, "SELECT 1 FROM $")).contains("reads endlessly many tables"));
    let told = refused(&chain(40, "SELECT 'x' AS v", "SELECT v || v AS v FROM $", "SELECT length(v) FROM $"));
    assert!(told.contains("expressions once columns are replaced by what they are computed from"), "{told}");
    // A chain of 300 values is one deep for each of 299 signs and one for the innermost.
    assert_eq!(
        refused(&format!("SELECT {}", vec!["1"; 300].join("+"))),
        "the statement has an expression of 300 operators within each other, allowed are 200; shorten it, or compute parts \
         of it in a common table"
    );
}

#[test]
fn whatever_statements_are_made_of_they_end() {
    let (waiting, _folder, service) = alone(Limits { rows_max: 100_000, time_max: Duration::from_secs(2), ..limits() });
    let first =
        select(vec!["SELECT 1 AS v", "SELECT epoch AS v FROM history.epochs", "SELECT count(*) AS v FROM attainment"]);
    let next = select(vec![
        "SELECT a.v FROM $ a, $ b",
        "SELECT a.v FROM $ a JOIN $ b USING (v)",
        "SELECT a.v FROM $ a LEFT JOIN $ b ON a.v < b.v WHERE b.v IS NULL OR a.v > 0",
        "SELECT v FROM $ UNION SELECT v + 1 FROM $",
        "SELECT v + v AS v FROM $ WHERE v BETWEEN 0 AND v * v",
        "SELECT coalesce(v, (SELECT max(v) FROM $)) AS v FROM $",
        "SELECT sum(v) OVER (ORDER BY v) AS v FROM $ WHERE EXISTS (SELECT 1 FROM $)",
        "SELECT max(v) AS v FROM $ GROUP BY v HAVING v IN (1, 2)",
        "SELECT CASE WHEN v > 1 THEN v ELSE -v END AS v FROM $ ORDER BY v LIMIT 5",
    ]);
    let strategy = (first, prop::collection::vec(next, 0..12));
    let mut runner = TestRunner::new(Config { cases: Config::default().cases / 4, ..Config::default() });
    let tried = runner.run(&strategy, |(first, next)| {
        let count = next.len();
        let next =
            next.iter().zip(1..).map(|(next, n)| format!(", c{n} AS ({})", next.replace('$', &format!("c{}", n - 1))));
        let statement = format!("WITH c0 AS ({first}){} SELECT count(*) FROM c{count}", next.collect::<String>());
        prop_assert_eq!(ends(&waiting, &service, &statement).map(drop), Ok(()));
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_answer_that_is_too_late_leaves_its_thread_to_the_next_question() {
    let (waiting, _folder, service) = alone(Limits { time_max: Duration::from_secs(1), ..limits() });
    let numbers = "generate_series(1, 100000000) a, generate_series(1, 1000000) b";
    for statement in [
        ENGROSSING.to_owned(),
        // No pair is a row, so the join never has any to give.
        format!("SELECT count(*) FROM {numbers} WHERE a.value + b.value < 0"),
        format!("SELECT sum(a.value + b.value) FROM {numbers}"),
        format!("SELECT count(*) FROM {numbers} WHERE EXISTS (SELECT 1 FROM services WHERE length(name) < a.value)"),
    ] {
        let error = ends(&waiting, &service, &statement).expect("the thread is free").expect("no answer");
        assert_eq!(error.kind(), "exhausted", "{statement}: {error}");
    }
}

#[tokio::test]
async fn each_view_reads_one_table() {
    use datafusion::common::tree_node::TreeNodeRecursion;
    use datafusion::logical_expr::LogicalPlan;
    use datafusion::prelude::SessionContext;

    let (_folder, lake, _) = service(limits()).await;
    let service = QueryService::open(lake, limits(), thread()).await.expect("service");
    let context: &SessionContext = service.context();
    for view in crate::views::VIEWS {
        let (mut scans, plan) =
            (0, context.table(view.name).await.expect("a view").into_optimized_plan().expect("a plan"));
        plan.apply_with_subqueries(|node| {
            scans += usize::from(matches!(node, LogicalPlan::TableScan(_)));
            Ok(TreeNodeRecursion::Continue)
        })
        .expect("it is looked at");
        assert_eq!(scans, 1, "{}", view.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_panics_is_an_error_and_others_go_on() {
    let (_folder, _lake, service) = service(limits()).await;
    let panics = |_: &[ColumnarValue]| -> datafusion::error::Result<ColumnarValue> { panic!("a length below zero") };
    let function = create_udf("panics", vec![DataType::Utf8], DataType::Utf8, Volatility::Volatile, Arc::new(panics));
    service.context().register_udf(function);
    let whole = "SELECT count(DISTINCT panics(name)) FROM services";
    for question in ["SELECT panics(name) FROM services", whole, "SELECT panics('while planning')"] {
        let error = ask(&service, question, Format::Csv).await.expect_err("a panic");
        let text = error.to_string();
        assert!(error.kind() == "internal" && text.contains("ended in a panic"), "{error:?}");
        assert!(text.contains("a length below zero"), "{text}");
    }
    assert_eq!(ask(&service, "SELECT name FROM services", Format::Csv).await.expect("rows"), "name\nWeb shop\n");
}
