//! The tables as another program reads them: Polars, with its reader of Delta.

use std::process::{Command, Stdio};

use plimsoll_schemas::table::Table;
use plimsoll_tests::broker::Broker;

use crate::end_to_end::{World, produce};
use crate::postgres::clients;
use crate::support::{output, repository, run_until_caught_up};

/// What SQL says of the same: a line `TABLE COLUMN SUM` for each.
fn sums(lake: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut tables = Table::ALL;
    tables.sort_by_key(|table| table.name());
    for table in tables {
        let schema = table.schema();
        let summed = schema.fields().iter().filter_map(|field| match field.data_type().to_string().as_str() {
            "Int32" | "Int64" => Some((field.name(), "DECIMAL(38, 0)")),
            of if of.starts_with("Decimal") => Some((field.name(), "DECIMAL(38, 9)")),
            _ => None,
        });
        let columns: Vec<String> =
            summed.map(|(name, of)| format!("coalesce(sum(CAST(\"{name}\" AS {of})), 0) AS \"{name}\"")).collect();
        let question = format!("SELECT count(*) AS \"rows\", {} FROM history.{}", columns.join(", "), table.name());
        let answer = output(&["sql", "--lake", lake, "--format", "csv", &question]);
        let (names, values) = answer.trim().split_once('\n').expect("names and values");
        let told = names.split(',').zip(values.split(','));
        found.extend(told.map(|(name, value)| format!("{} {name} {value}", table.name())));
    }
    found
}

/// The same whether a share of nothing is written with places or without.
fn plain(line: &str) -> String {
    line.strip_suffix(" 0.000000000").map_or_else(|| line.to_owned(), |rest| format!("{rest} 0"))
}

#[test]
fn polars_reads_the_tables_while_they_are_written_and_sums_them_as_we_do() {
    let (Some(broker), Some(python)) = (Broker::start_or_skip().expect("broker"), clients()) else { return };
    let world = World::new();
    broker.create_topic("events", 2).expect("topic");
    let lake = world.lake("lake");
    let location = lake.to_string_lossy().into_owned();
    let mut parts = world.events.chunks(world.events.len() / 3 + 1);
    produce(&broker, "events", 2, parts.next().expect("a part"));
    run_until_caught_up(&broker, &world.definitions, &lake, &[]);
    let end = world.lake("end");
    let script = repository("tests/clients/open_tables.py");
    let mut reading = Command::new(python);
    let reading = reading.arg(script).arg(&lake).arg(&end).stdout(Stdio::piped()).stderr(Stdio::piped());
    let reading = reading.spawn().expect("python");
    for part in parts {
        produce(&broker, "events", 2, part);
        run_until_caught_up(&broker, &world.definitions, &lake, &["--epoch-interval", "10ms"]);
        output(&["maintain", "--lake", &location]);
    }
    std::fs::write(end, "").expect("a file");
    let read = reading.wait_with_output().expect("it ends");
    let (found, told) = (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
    assert!(read.status.success(), "{told}");
    let mut found: Vec<String> = found.lines().map(plain).collect();
    let mut expected: Vec<String> = sums(&location).iter().map(|line| plain(line)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{told}");
    assert!(found.len() > 100, "{found:#?}");
}
