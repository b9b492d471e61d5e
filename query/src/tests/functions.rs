//! The functions of service levels, as their page shows them, and by which definitions they are computed.

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Definitions, File, load};

use super::*;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/guide/definitions");
const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/sql.md"));

/// The definitions of the guide, with a text in them that is another.
fn definitions(from: &str, to: &str) -> Definitions {
    let texts = ["agreement.yaml", "shop.yaml", "sources.yaml"].map(|name| {
        let text = std::fs::read_to_string(format!("{GUIDE}/{name}")).expect("a file of the guide");
        (name, text.replace(from, to))
    });
    let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
    load(&files).expect("definitions")
}

/// The ticket shop of the guide: up from 08:45 on, and down from 11:30 to 11:52. Two epochs later its box office closed an
/// hour earlier, which the second epoch knows and the first does not.
async fn theatre() -> (TempDir, QueryService) {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    let states = r#"{"service":"ticket-shop","at":"2026-03-03T08:45:00Z","state":"up"}
{"service":"ticket-shop","at":"2026-03-03T11:30:00Z","state":"down"}
{"service":"ticket-shop","at":"2026-03-03T11:52:00Z","state":"up"}"#;
    append(&lake, Table::Transitions, 1, states).await;
    let sets = [("no text", ""), (r#"until: "20:00""#, r#"until: "19:00""#)].map(|(from, to)| definitions(from, to));
    for (epoch, set) in (1..).zip(sets) {
        let digest = lake.keep_definitions(set.to_record().expect("a record").into()).await.expect("kept");
        record(&lake, epoch, &digest).await;
        told(&lake, epoch).await;
    }
    let service = QueryService::open(lake, limits(), Handle::current()).await.expect("service");
    (folder, service)
}

/// Records an epoch, of which there is one every two hours.
async fn record(lake: &Lake, epoch: i64, definitions: &str) {
    let hour = |epoch: i64| format!("2026-03-04T{:02}:00:00Z", 2 * epoch - 2);
    let watermark = if epoch > 1 { format!(r#""watermark":"{}","#, hour(epoch - 1)) } else { String::new() };
    let row = format!(
        r#"{{"epoch":{epoch},"tick":"2026-03-04T{:02}:01:00Z",{watermark}"known_until":"{}","definitions":"{definitions}"}}"#,
        2 * epoch - 2,
        hour(epoch)
    );
    append(lake, Table::Epochs, epoch, &row).await;
}

/// Writes a result of an epoch.
async fn told(lake: &Lake, epoch: i64) {
    append(lake, Table::Attainment, epoch, r#"{"agreement":"north-theatre-shop"}"#).await;
}

/// The statements of the page and their answers as the page prints them.
fn examples() -> Vec<(&'static str, &'static str)> {
    let block = |text: &'static str| text.split_once("```").expect("the end of a block");
    let (mut rest, mut found) = (PAGE, Vec::new());
    while let Some((_, after)) = rest.split_once("```sql\n") {
        let (statement, after) = block(after);
        let (_, after) = after.split_once("```text\n").expect("what it prints");
        let (printed, after) = block(after);
        found.push((statement, printed));
        rest = after;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_page_prints_what_the_page_says() {
    let (_folder, service) = theatre().await;
    let service = service.known_at(Instant::parse("2026-03-04T01:00:00Z"));
    let examples = examples();
    assert!(examples.len() >= 7, "{} examples", examples.len());
    for (statement, printed) in examples {
        let answer = ask(&service, statement.trim(), Format::Csv).await;
        assert_eq!(answer.as_deref(), Ok(printed), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r24_r25_functions_are_computed_by_the_definitions_that_were_in_force_when_it_was_known() {
    let (_folder, service) = theatre().await;
    // Of 10:00 to 19:00 in Berlin, 22 minutes less: 518 of 540 minutes. With 20:00 it is what the guide shows.
    let statement =
        "SELECT agreed_us / 60000000 AS agreed, up_us / 60000000 AS up, availability_ratio, known_until() AS known
         FROM availability('ticket-shop', '2026-03-02T23:00:00Z', '2026-03-03T23:00:00Z', 'box-office')";
    for (known_at, expected) in [
        (None, "540,518,0.959259259,2026-03-04T02:00:00Z"),
        (Instant::parse("2026-03-04T01:00:00Z"), "600,578,0.963333333,2026-03-04T00:00:00Z"),
    ] {
        let answer = ask(&service.known_at(known_at), statement, Format::Csv).await;
        assert_eq!(answer, Ok(format!("agreed,up,availability_ratio,known\n{expected}\n")));
    }
    // Before anything was recorded there was no calendar.
    let before = service.known_at(Instant::parse("2026-03-01"));
    let error = ask(&before, "SELECT elapsed('24x7', now(), now())", Format::Csv).await.expect_err("no calendar");
    assert_eq!(error, QueryError::Invalid("no calendar is known yet, for nothing was recorded".to_owned()));
    assert_eq!(ask(&before, "SELECT count(*) AS n FROM customers", Format::Csv).await.as_deref(), Ok("n\n0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r23_what_is_recorded_and_not_written_yet_is_not_known() {
    let (folder, service) = theatre().await;
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    let digest = "SELECT max(definitions) AS digest FROM epochs WHERE epoch = 2";
    let digest = ask(&service, digest, Format::Csv).await.expect("a digest");
    record(&lake, 3, digest.lines().nth(1).expect("a digest")).await;
    let known = async || ask(&service, "SELECT known_until() AS known", Format::Csv).await;
    assert_eq!(known().await.as_deref(), Ok("known\n2026-03-04T02:00:00Z\n"));
    told(&lake, 3).await;
    assert_eq!(known().await.as_deref(), Ok("known\n2026-03-04T04:00:00Z\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_time_that_is_not_known_is_not_up() {
    let (_folder, service) = theatre().await;
    let parts = "SELECT agreed_us / 60000000 AS agreed, up_us / 60000000 AS up, down_us / 60000000 AS down,
         unknown_us / 60000000 AS unknown, availability_ratio, outage_count, longest_outage_us / 60000000 AS longest FROM ";
    for (function, expected) in [
        // From midnight on, of which 08:45 to 02:00 of the next day are known: 1035 minutes and 525 before; up but for 22.
        ("availability('ticket-shop', '2026-03-03', '2026-03-05')", "2880,1013,22,525,0.978743961,1,22"),
        // Cut within the outage, on either side.
        ("availability('ticket-shop', '2026-03-03T11:40:00Z', '2026-03-03T11:50:00Z')", "10,0,10,0,0.000000000,1,10"),
        ("availability('ticket-shop', '2026-03-03T11:50:00Z', '2026-03-03T12:00:00Z')", "10,8,2,0,0.800000000,1,2"),
        // All before anything, all after everything, a service that is none, and no time at all.
        ("availability('ticket-shop', '2026-03-01', '2026-03-02')", "1440,0,0,1440,,0,0"),
        ("availability('ticket-shop', '2026-04-01', '2026-04-02')", "1440,0,0,0,,0,0"),
        ("availability('nobody', '2026-03-03', '2026-03-04')", "1440,0,0,1440,,0,0"),
        ("availability('ticket-shop', '2026-03-03', '2026-03-03')", "0,0,0,0,,0,0"),
    ] {
        let answer = ask(&service, &format!("{parts}{function}"), Format::Csv).await;
        let expected = format!("agreed,up,down,unknown,availability_ratio,outage_count,longest\n{expected}\n");
        assert_eq!(answer, Ok(expected), "{function}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_are_not_given_is_one_clear_line() {
    let (_folder, service) = theatre().await;
    for (expression, part) in [
        ("elapsed('office', now(), now())", "there is no calendar office; there are 24x7, box-office"),
        (
            "elapsed('24x7', 1, 2)",
            "elapsed is called otherwise, such as elapsed('24x7', '2026-01-05T08:00:00Z', now())",
        ),
        ("elapsed('24x7', 'soon', now())", "soon"),
        ("due('24x7', now())", "due is called otherwise, such as due('24x7'"),
        ("due('24x7', now(), INTERVAL '2 days')", "agreed time has no days or months of a certain length"),
        ("burn_rate(1, 2)", "burn_rate is called otherwise, such as burn_rate(bad_us, good_us + bad_us, 0.999)"),
        ("share('much', 2)", "share is called otherwise, such as share(good_us, good_us + bad_us)"),
    ] {
        let error = ask(&service, &format!("SELECT {expression}"), Format::Csv).await.expect_err(expression);
        assert!(error.kind() == "invalid" && error.to_string().contains(part), "{expression}: {error:?}");
    }
    for arguments in
        ["", "'web'", "'web', '2026-01-02', '2026-01-01'", "'web', 1, 2", "service, '2026-01-01', '2026-01-02'"]
    {
        let statement = format!("SELECT * FROM availability({arguments})");
        let error = ask(&service, &statement, Format::Csv).await.expect_err(arguments);
        assert_eq!(error.kind(), "invalid", "{arguments}: {error:?}");
    }
    // Null in, null out; and numbers at the end of all numbers.
    for (expression, expected) in [
        ("elapsed('24x7', NULL, now()) IS NULL AND due(NULL, now(), 1) IS NULL AND share(1, 0) IS NULL", "true"),
        ("share(9223372036854775807, 1)", "9223372036854775807.000000000"),
        ("share(-1, 3)", "-0.333333334"),
        // 864 of 60,000 seconds are 1.44 %, and 0.1 % may be: the rate that pages within an hour.
        ("burn_rate(864, 60000, 0.999)", "14.400000000"),
        // A third over a tenth; and the largest counts under the closest target.
        ("burn_rate(1, 3, CAST('0.9' AS DECIMAL(18, 9)))", "3.333333333"),
        ("burn_rate(9223372036854775807, 1, 0.999999999)", "9223372036854775807000000000.000000000"),
        ("burn_rate(1, 0, 0.9) IS NULL AND burn_rate(1, 2, 1) IS NULL AND burn_rate(1, 2, NULL) IS NULL", "true"),
        ("due('box-office', '2026-03-03', 9223372036854775807) IS NULL", "true"),
    ] {
        let answer = ask(&service, &format!("SELECT {expression} AS x"), Format::Csv).await;
        assert_eq!(answer, Ok(format!("x\n{expected}\n")), "{expression}");
    }
}
