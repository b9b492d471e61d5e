//! Which rows are current, as it is kept from one question to the next.

use std::collections::BTreeMap;

use plimsoll_lake::Lake;
use plimsoll_schemas::table::Table;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{append, ask, limits};
use crate::{Format, Limits, QueryService};

/// The rows of an epoch: of some of six agreements a revision, and whether it takes the result back.
type Epoch = BTreeMap<u8, (i32, bool)>;

fn lines(epoch: &Epoch) -> String {
    let line = |(agreement, (revision, retracted)): (&u8, &(i32, bool))| {
        json!({"agreement": format!("a{agreement}"), "revision": revision, "retracted": retracted}).to_string()
    };
    epoch.iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn told(service: &QueryService) -> Vec<(u8, i32, i64)> {
    let statement = "SELECT agreement, revision, epoch FROM attainment ORDER BY agreement";
    let answer = ask(service, statement, Format::Csv).await.expect("an answer");
    let count = ask(service, "SELECT count(*) FROM attainment", Format::Csv).await.expect("an answer");
    let row = |line: &str| {
        let mut parts = line.trim_start_matches('a').split(',');
        let mut next = || parts.next().expect("three columns").parse::<i64>().expect("a number");
        (next() as u8, next() as i32, next())
    };
    let rows: Vec<_> = answer.lines().skip(1).map(row).collect();
    assert_eq!(count.lines().nth(1), Some(&*rows.len().to_string()));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// The model: of each agreement the row of the greatest (revision, epoch), unless that takes the result back.
    #[test]
    fn of_each_key_the_newest_row_is_shown_whatever_was_merged(
        epochs in prop::collection::vec(
            (prop::collection::btree_map(0_u8..6, (0_i32..4, any::<bool>()), 1..5), 0_u8..4), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = TempDir::new().expect("folder");
            let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
            let service = QueryService::open(lake.clone(), limits(), Handle::current()).await.expect("service");
            let mut newest: BTreeMap<u8, (i32, i64, bool)> = BTreeMap::new();
            for ((rows, then), epoch) in epochs.iter().zip(1..) {
                append(&lake, Table::Attainment, epoch, &lines(rows)).await;
                for (agreement, (revision, retracted)) in rows {
                    let row = (*revision, epoch, *retracted);
                    let before = newest.entry(*agreement).or_insert(row);
                    if (before.0, before.1) < (row.0, row.1) {
                        *before = row;
                    }
                }
                if *then == 0 {
                    lake.compact(Table::Attainment).await.expect("merged");
                }
                // Not after each epoch, so that several files are new at once.
                if *then < 3 {
                    let shown = newest.iter().filter(|(_, (.., retracted))| !retracted);
                    let shown: Vec<_> = shown.map(|(agreement, (revision, epoch, _))| (*agreement, *revision, *epoch)).collect();
                    assert_eq!(told(&service).await, shown);
                    // And who looks for the first time, or may keep two keys only, finds the same.
                    for kept_keys_max in [limits().kept_keys_max, 2] {
                        let limits = Limits { kept_keys_max, ..limits() };
                        let anew = QueryService::open(lake.clone(), limits, Handle::current()).await.expect("service");
                        assert_eq!(told(&anew).await, shown);
                    }
                }
            }
        });
    }
}

/// Thousands of rows, so that a file has several chunks, before and after files are merged: a filter leaves out no row of
/// interest, whatever it says of agreements, and lets none through that is not current.
#[tokio::test]
async fn chunks_that_a_filter_rules_out_have_no_row_of_interest() {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    let service = QueryService::open(lake.clone(), limits(), Handle::current()).await.expect("service");
    // Epoch e says something of each e-th agreement; of each seventh, the fifth takes it back.
    let mut newest: BTreeMap<u32, (i64, bool)> = BTreeMap::new();
    for epoch in 1..=8_i64 {
        let said = (0..3_000_u32).filter(|number| i64::from(*number) % epoch == 0);
        let said: Vec<(u32, bool)> = said.map(|number| (number, epoch == 5 && number % 7 == 0)).collect();
        let line = |(number, retracted): &(u32, bool)| {
            json!({"agreement": format!("a{number}"), "revision": epoch, "retracted": retracted}).to_string()
        };
        append(&lake, Table::Attainment, epoch, &said.iter().map(line).collect::<Vec<_>>().join("\n")).await;
        newest.extend(said.into_iter().map(|(number, retracted)| (number, (epoch, retracted))));
        if epoch != 4 && epoch != 8 {
            continue;
        }
        for is_merged in [false, true] {
            if is_merged {
                lake.compact(Table::Attainment).await.expect("merged");
            }
            type Test = fn(&str, i64) -> bool;
            let questions: [(&str, Test); 9] = [
                ("agreement = 'a1234'", |agreement, _| agreement == "a1234"),
                ("agreement = 'a2520' AND epoch > 2", |agreement, epoch| agreement == "a2520" && epoch > 2),
                ("agreement IN ('a7', 'a2999', 'no')", |agreement, _| agreement == "a7" || agreement == "a2999"),
                ("agreement < 'a1002'", |agreement, _| agreement < "a1002"),
                ("agreement >= 'a99' AND agreement < 'b'", |agreement, _| agreement >= "a99"),
                ("agreement LIKE 'a29%'", |agreement, _| agreement.starts_with("a29")),
                ("agreement = 'a5' OR epoch = 3", |agreement, epoch| agreement == "a5" || epoch == 3),
                ("agreement = 'no'", |_, _| false),
                ("revision % 2 = 1 AND agreement <> 'a9'", |agreement, epoch| epoch % 2 == 1 && agreement != "a9"),
            ];
            for (filter, is_meant) in questions {
                let statement = format!("SELECT agreement, epoch FROM attainment WHERE {filter} ORDER BY agreement");
                let answer = ask(&service, &statement, Format::Csv).await.expect("an answer");
                let shown = newest.iter().filter(|(_, (_, retracted))| !retracted);
                let shown = shown.map(|(number, (epoch, _))| (format!("a{number}"), *epoch));
                let mut shown: Vec<_> = shown.filter(|(agreement, epoch)| is_meant(agreement, *epoch)).collect();
                shown.sort();
                let lines: Vec<String> =
                    shown.iter().map(|(agreement, epoch)| format!("{agreement},{epoch}")).collect();
                assert_eq!(answer.lines().skip(1).collect::<Vec<_>>(), lines, "{filter}, epoch {epoch}");
            }
        }
    }
}

#[tokio::test]
async fn a_row_that_somebody_deleted_is_no_longer_current() {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    append(&lake, Table::Attainment, 1, &lines(&Epoch::from([(1, (0, false)), (2, (0, false))]))).await;
    append(&lake, Table::Attainment, 2, &lines(&Epoch::from([(1, (1, true)), (2, (1, false))]))).await;
    let service = QueryService::open(lake.clone(), limits(), Handle::current()).await.expect("service");
    assert_eq!(told(&service).await, [(2, 1, 2)]);

    // Another program takes the file of the second epoch away, as Delta's DELETE does.
    let files = lake.files(Table::Attainment).await.expect("files");
    let second = files.files.iter().find(|file| file.path.contains("-000000000002-")).expect("its file");
    let path = second.path.strip_prefix("attainment/").expect("below the table");
    let removal = json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true}});
    let entry = folder.path().join(format!("attainment/_delta_log/{:020}.json", files.version + 1));
    std::fs::write(entry, removal.to_string() + "\n").expect("written");
    assert_eq!(told(&service).await, [(1, 0, 1), (2, 0, 1)]);
}
