//! The rules of the house, read off the manifests and the sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::repository;

/// Which of the house's crates each crate may use.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("schemas", &[]),
    ("engine", &["schemas"]),
    ("lake", &["engine", "schemas"]),
    ("ingest", &["schemas"]),
    ("aggregate", &["lake", "engine", "schemas"]),
    ("query", &["lake", "engine", "schemas"]),
    ("notify", &["schemas"]),
    ("cli", &["notify", "query", "aggregate", "ingest", "lake", "engine", "schemas"]),
];

/// What the pure crates must not pull in, however indirectly.
const FORBIDDEN_IN_PURE: [&str; 8] =
    ["tokio", "rdkafka", "deltalake", "deltalake-core", "datafusion", "object_store", "axum", "rdkafka-sys"];

/// Letters of a comment's line: rustfmt keeps code within 120 and leaves comments alone, which may stand out a little.
const COMMENT_LETTERS_MAX: usize = 125;

/// Lines of a source file, so that one can be read in one sitting.
const FILE_LINES_MAX: usize = 800;

#[test]
fn crates_use_only_what_lies_before_them() {
    for (name, allowed) in MAY_USE {
        let manifest = std::fs::read_to_string(repository(name).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for (other, _) in MAY_USE {
            let used = dependencies.contains(&format!("\nplimsoll-{other}.workspace"));
            assert!(!used || allowed.contains(&other), "{name} uses {other}, which it must not");
        }
    }
}

#[test]
fn the_pure_crates_stay_pure() {
    for name in ["plimsoll-schemas", "plimsoll-engine"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--package", name])
            .current_dir(repository("."))
            .output()
            .expect("cargo starts");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8_lossy(&tree.stdout);
        let crates: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(crates.contains(&name), "cargo tree prints the crate itself");
        for forbidden in FORBIDDEN_IN_PURE {
            assert!(!crates.contains(&forbidden), "{name} pulls in {forbidden}");
        }
    }
}

#[test]
fn there_is_one_arrow() {
    let lock = std::fs::read_to_string(repository("Cargo.lock")).expect("Cargo.lock");
    for name in ["arrow-array", "arrow-schema", "parquet", "datafusion", "object_store"] {
        assert_eq!(lock.matches(&format!("\nname = \"{name}\"\n")).count(), 1, "{name} is in the lock file once");
    }
}

#[test]
fn no_source_file_is_too_long_or_too_wide_to_read() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines; which two things is it?", path.display());
        let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > COMMENT_LETTERS_MAX;
        let wide = text.lines().position(is_wide).map(|line| line + 1);
        assert_eq!(wide, None, "{} has a comment that is too wide at this line; wrap it", path.display());
    }
}

#[test]
fn each_promise_is_shown_by_a_test_that_there_is() {
    let page = std::fs::read_to_string(repository("docs/reliability.md")).expect("the page");
    let texts: String = sources().iter().map(|path| std::fs::read_to_string(path).expect("a source file")).collect();
    let metrics = std::fs::read_to_string(repository("docs/reference/metrics.md")).expect("the page");
    let is_head = |line: &str| ["| promise ", "| fault "].iter().any(|head| line.starts_with(head));
    let rows = page.lines().filter(|line| line.starts_with("| ") && !is_head(line));
    let mut shown = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let (promise, tests) = match cells[..] {
            [promise, _, tests] => (promise, tests),
            [fault, metric, _, _, tests] => {
                let named = metric.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
                for name in named.filter(|name| name.starts_with("plimsoll_")) {
                    assert!(
                        metrics.contains(&format!("`{name}`")),
                        "{name} is not among the metrics, which is to tell {fault}"
                    );
                }
                (fault, tests)
            }
            _ => panic!("three cells are in a row, or five in one of faults: {row}"),
        };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || tests.trim() == "the same", "no test shows that {promise}");
        for name in names {
            assert!(texts.contains(&format!("fn {name}(")), "there is no test {name}, which is to show that {promise}");
            shown += 1;
        }
    }
    assert!(shown > 5, "the page has rows");
}

/// All files of Rust.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["schemas", "engine", "lake", "ingest", "aggregate", "query", "notify", "cli", "bench", "tests"] {
        rust_files(&repository(folder), &mut files);
    }
    assert!(files.len() > 50, "the sources were found");
    files
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
