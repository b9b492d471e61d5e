//! What nobody should ask: statements and parameters that are broken, or larger than they look. Each gets an answer or an
//! error, writes nothing and reads nothing else.
//!
//! The statements are in `tests/corpus/statements`; one that ever did harm is kept there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use axum::http::StatusCode;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use plimsoll_schemas::event::EventBatch;

use super::doors::get;
use super::*;
use crate::events::Stored;

/// What stands in a file beside the lake, and must never be in an answer.
const CANARY: &str = "canary-4711";

static CORPUS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/statements");
    let entries = std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.collect();
    paths.sort();
    assert!(paths.len() > 10, "the corpus was found");
    paths.iter().map(|path| std::fs::read_to_string(path).expect("a statement")).collect()
});

/// All files below a folder, with their contents.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

/// The words of a statement, and what stands between them.
fn words(statement: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in statement.chars() {
        match words.last_mut() {
            Some(word) if letter.is_alphanumeric() && word.ends_with(char::is_alphanumeric) => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

/// A statement of the corpus with some words left out, put elsewhere, or taken from another one.
fn statement(canary: String) -> impl Strategy<Value = String> {
    let mut spice: Vec<String> = CORPUS.iter().flat_map(|statement| words(statement)).collect();
    spice.extend(
        [
            "'",
            "\"",
            "--",
            "/*",
            "\0",
            "🦀",
            "\u{202e}",
            "9223372036854775808",
            "-1",
            "1e999",
            "NULL",
            "*",
            "((",
            "$1",
            "@@x",
            "x'zz'",
            " UNION ALL SELECT ",
            " FROM read_csv('/etc/passwd')",
            " INTO x",
            "; DROP TABLE services",
            " CAST(x AS BINARY)",
        ]
        .map(str::to_owned),
    );
    spice.push(format!(" FROM '{canary}' "));
    spice.push(format!(" FROM \"file://{canary}\" "));
    let change = (any::<Index>(), 0..2_usize, prop::option::of(select(spice)));
    (select(CORPUS.clone()), prop::collection::vec(change, 0..4)).prop_map(|(statement, changes)| {
        let mut words = words(&statement);
        for (at, removed, put) in changes {
            let at = at.index(words.len() + 1);
            let removed = removed.min(words.len() - at);
            drop(words.splice(at..at + removed, put));
        }
        words.concat()
    })
}

#[test]
fn no_statement_writes_or_reads_another_file() {
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK_BYTES).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let limits = Limits { time_max: Duration::from_secs(20), rows_max: 1_000, memory_bytes_max: 64 << 20, ..limits() };
    let (folder, _lake, service) = runtime.block_on(service(limits));
    let beside = TempDir::new().expect("a folder");
    let canary = beside.path().join("canary.csv");
    std::fs::write(&canary, CANARY).expect("a canary");
    let before = files(folder.path());
    let mut runner = TestRunner::new(Config { cases: Config::default().cases / 4, ..Config::default() });
    let tried = runner.run(&statement(canary.display().to_string()), |statement| {
        match runtime.block_on(ask(&service, &statement, Format::Json)) {
            Ok(answer) => prop_assert!(!answer.contains(CANARY)),
            Err(error) => {
                let text = error.to_string();
                prop_assert!(error.kind() != "internal" && error.kind() != "unavailable", "{error:?}");
                prop_assert!(!text.contains(CANARY) && !text.contains('\n'), "{text}");
            }
        }
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(files(folder.path()), before, "nothing was written");
    assert_eq!(files(beside.path()).len(), 1);
}

#[test]
fn any_parameters_have_an_answer_or_a_problem() {
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK_BYTES).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (_folder, _lake, service) = runtime.block_on(service(limits()));
    let name =
        select(vec!["service", "agreement", "verdict", "window_kind", "from", "until", "limit", "known_at", "x", ""]);
    let value = select(vec![
        "web",
        "acme",
        "met",
        "month",
        "2026-01-31",
        "2026-01-31T08:00:00%2B01:00",
        "1",
        "10000",
        "10001",
        "0",
        "-1",
        "",
        "%ff",
        "%00",
        "%27%20OR%20%271%27=%271",
        "*",
        "9999-12-31",
        "0000-01-01",
        "1e9",
        "%F0%9F%A6%80",
        "%",
        "%2",
        "+2026-01-31",
        "2026-01-31T08:00:00.999999999999Z",
    ]);
    let address = select(vec!["attainment", "clocks", "breaches", "outages", "trend", "credits", "agreements", "sql"]);
    let mut runner = TestRunner::new(Config { cases: Config::default().cases / 4, ..Config::default() });
    let tried = runner.run(&(address, prop::collection::vec((name, value), 0..5)), |(address, parameters)| {
        let list: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (status, body) = runtime.block_on(get(&service, &format!("/v1/{address}?{}", list.join("&"))));
        let is_answer = status == StatusCode::OK && body.as_array().is_some_and(|rows| rows.len() <= 10_000);
        let is_problem = status.is_client_error() && body["detail"].is_string();
        prop_assert!(is_answer || is_problem, "{status} {body}");
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    // Bounds are given once: thousands of them would be as many steps of one plan.
    let (status, body) = runtime.block_on(get(&service, "/v1/attainment?from=2026-01-01&from=2026-01-01"));
    assert_eq!((status, &body["detail"]), (StatusCode::BAD_REQUEST, &json!("found from twice, expected it once")));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_not_what_was_written_are_not_judged_anew() {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    for (epoch, service) in [(1, "web"), (2, "mail")] {
        let row =
            format!(r#"{{"id":"e{epoch}","service":"{service}","kind":"feedback","time":"2026-01-01T08:00:00Z"}}"#);
        append(&lake, Table::Events, epoch, &row).await;
    }
    let service = QueryService::open(lake.clone(), limits(), Handle::current()).await.expect("service");
    let count = async |day: &str| {
        let found = service.events_of(day, &Stored::All).await?;
        Ok::<_, QueryError>(found.iter().map(EventBatch::num_rows).sum::<usize>())
    };
    assert_eq!(count("2026-01-01").await.expect("events"), 2);
    // A file that can be read well, but is another.
    let files = lake.files(Table::Events).await.expect("files");
    let path = |place: usize| folder.path().join(&files.files[place].path);
    std::fs::copy(path(1), path(0)).expect("a copy");
    let error = count("2026-01-01").await.expect_err("another file").to_string();
    let named =
        format!("{}: the file holds other bytes than were written; restore it from a backup", files.files[0].path);
    assert!(error.contains(&named), "{error}");
    assert_eq!(count("2026-01-02").await.expect("another day"), 0);
    std::fs::remove_file(path(0)).expect("removed");
    let error = count("2026-01-01").await.expect_err("no file").to_string();
    assert!(error.contains(&format!("{}: the file is missing", files.files[0].path)), "{error}");
}

/// What cannot be decoded is told with the file it is in, also where many were read, and what to do.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_with_its_repair() {
    type Damage = fn(&mut Vec<u8>);
    // The pages, all but the footer; the footer; the end; all of it.
    let damages: [Damage; 4] = [
        |bytes| bytes[4..400].fill(0xff),
        |bytes| {
            let end = bytes.len() - 8;
            bytes[end - 200..end].fill(0xff);
        },
        |bytes| bytes.truncate(bytes.len() - 5),
        Vec::clear,
    ];
    let asked = [
        (Table::Events, "SELECT * FROM history.events", "restore it from a backup"),
        (Table::Breaches, "SELECT * FROM breaches", "plimsoll rebuild"),
        (Table::Breaches, "SELECT * FROM history.breaches WHERE epoch > 0", "plimsoll rebuild"),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        for (table, question, repair) in asked {
            let (folder, lake, service) = service(limits()).await;
            let of_table = lake.files(table).await.expect("files");
            let path = &of_table.files.last().expect("a file").path;
            let place = folder.path().join(path);
            let mut bytes = std::fs::read(&place).expect("a file");
            damage(&mut bytes);
            std::fs::write(&place, &bytes).expect("a file");
            let error = ask(&service, question, Format::Json).await.expect_err("damaged");
            let QueryError::Unavailable(said) = &error else { panic!("{number}: {question}: {error:?}") };
            assert!(said.contains(path.as_str()) && said.contains(repair), "{number}: {question}: {said}");
        }
    }
}
