//! The rules' pages: what `docs/rules` shows is what happens, and no rule in force is without its page and its proofs.
//!
//! A table of a page that follows a paragraph with a link to a scenario shows rows that the scenario expects: all of
//! them, in order. A column that is headed by a name in backticks is that column of the table named in the paragraph;
//! other columns are for people. As scenarios are run, such numbers are recomputed by the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::scenarios::{Expected, RowsOf, Scenario, files, plain};
use crate::support::repository;

/// Where the rules stand.
const PAGES: &str = "docs/rules";

/// The last rule's number.
const LAST_RULE: u32 = 38;

/// Pieces of a page between empty lines.
fn paragraphs(text: &str) -> Vec<&str> {
    text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository(PAGES)).expect("the folder of rules");
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    pages.sort();
    pages
}

/// The cells of a table's line, without the spaces around them.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// The targets of the links in a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The words in backticks of a text.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn tables_of_the_pages_are_what_their_scenarios_expect() {
    let mut shown = 0;
    for page in pages() {
        let text = read(&page);
        for pair in paragraphs(&text).windows(2) {
            let scenario = links(pair[0]).find(|target| target.contains("tests/scenarios/"));
            let Some(scenario) = scenario.filter(|_| pair[1].starts_with('|')) else { continue };
            let place = || format!("{}: the table after the link to {scenario}", page.display());
            let scenario = Scenario::parse(&read(&page.with_file_name(scenario))).unwrap_or_else(|error| {
                panic!("{}: {error}", place());
            });
            let tables = scenario.expect.iter().map(|(what, rows)| (what.rows(), rows));
            let answers = scenario.ask.iter().map(|question| (RowsOf::Answer(question.command), &question.expect));
            let (what, rows) = (tables.chain(answers))
                .find(|(what, _)| named(pair[0]).any(|name| what.name() == name))
                .unwrap_or_else(|| panic!("{}: name in backticks which of its tables it shows", place()));
            if let Err(difference) = shows(what, rows, pair[1]) {
                panic!("{}: {difference}", place());
            }
            shown += 1;
        }
    }
    assert!(shown > 5, "the pages show tables");
}

/// Whether a table shows these rows.
fn shows(what: RowsOf, rows: &[Value], shown: &str) -> Result<(), String> {
    let mut lines = shown.lines();
    let header = cells(lines.next().unwrap_or_default());
    let lines: Vec<_> = lines.skip(1).map(cells).collect();
    if lines.len() != rows.len() {
        return Err(format!("shows {} rows, the scenario expects {}", lines.len(), rows.len()));
    }
    for (line, row) in lines.iter().zip(rows) {
        for (head, cell) in header.iter().zip(line) {
            let Some(column) = named(head).next() else { continue };
            let wanted = row.get(column).ok_or_else(|| format!("the scenario does not name {column} in {row}"))?;
            let cell = if cell.is_empty() { Value::Null } else { Value::from(*cell) };
            let (cell, wanted) = (plain(what, column, &cell)?, plain(what, column, wanted)?);
            if cell != wanted {
                return Err(format!("shows {column} {cell}, the scenario expects {wanted} in {row}"));
            }
        }
    }
    Ok(())
}

/// One line of the index.
struct Indexed {
    rules: Vec<u32>,
    in_force: String,
    line: String,
}

/// Every line of the index that is about rules, and says in its second cell whether they are in force.
fn index() -> Vec<Indexed> {
    let text = read(&repository(PAGES).join("README.md"));
    let lines = text.lines().filter(|line| line.starts_with("| R")).map(|line| {
        let cells = cells(line);
        let rules = rules_in(cells[0]).collect();
        Indexed { rules, in_force: cells[1].to_owned(), line: line.to_owned() }
    });
    lines.collect()
}

/// The numbers of the rules that a text names, such as 14 of "R14".
fn rules_in(text: &str) -> impl Iterator<Item = u32> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter_map(|word| word.strip_prefix('R')?.parse().ok())
}

/// The section of a page under the heading that an anchor names, until the next heading of its level or above.
fn section(page: &str, anchor: &str) -> Option<String> {
    let level = |line: &str| line.chars().take_while(|letter| *letter == '#').count();
    let mut lines = page.lines().skip_while(|line| level(line) == 0 || slug(line) != anchor);
    let heading = lines.next()?;
    let is_within = |line: &&str| level(line) == 0 || level(line) > level(heading);
    let below: Vec<&str> = lines.take_while(is_within).collect();
    Some(format!("{heading}\n{}", below.join("\n")))
}

/// The anchor that GitHub gives to a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn every_rule_is_in_the_index_once() {
    let mut rules: Vec<u32> = index().iter().flat_map(|indexed| indexed.rules.clone()).collect();
    rules.sort_unstable();
    assert_eq!(rules, (1..=LAST_RULE).collect::<Vec<_>>());
}

#[test]
fn every_rule_in_force_has_a_page_tests_and_scenarios() {
    let mut missing = Vec::new();
    for Indexed { rules, in_force, line } in index() {
        assert!(["yes", "partly", "no"].contains(&&*in_force), "{line}: say yes, partly or no");
        for rule in rules.into_iter().filter(|_| in_force != "no") {
            let file = |target: &str| read(&repository(PAGES).join(target));
            let is_explained = links(&line).filter_map(|target| target.split_once('#')).any(|(page, anchor)| {
                section(&file(page), anchor).is_some_and(|section| rules_in(&section).any(|named| named == rule))
            });
            let sources = links(&line).filter(|target| target.ends_with(".rs"));
            let is_tested = sources.map(file).any(|text| text.contains(&format!("fn r{rule}_")));
            let is_shown = links(&line).any(|target| target.contains(&format!("/scenarios/r{rule}_")));
            for (is_there, what) in [
                (is_explained, "no section of a page that names it"),
                (is_tested, "no source with a test that is named after it, such as r14_..."),
                (is_shown, "no scenario that is named after it, such as r14_..."),
            ] {
                if !is_there {
                    missing.push(format!("R{rule}: its line links to {what}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn links_of_the_pages_and_of_the_scenarios_lead_somewhere() {
    let mut pages = pages();
    pages.push(repository("tests/scenarios/README.md"));
    for page in pages {
        let text = read(&page);
        for target in links(&text).filter(|target| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
            assert!(path.exists(), "{} links to {target}, which is not there", page.display());
            let is_there = anchor.is_empty() || section(&read(&path), anchor).is_some();
            assert!(is_there, "{} links to {target}, a heading that is not there", page.display());
        }
    }
}

#[test]
fn every_term_of_a_contract_is_in_a_scenario() {
    let mut used = BTreeSet::new();
    for path in files() {
        let scenario = Scenario::parse(&read(&path)).expect("a scenario");
        let is_refused = scenario.expect.contains_key(&Expected::Problems);
        let drafts = scenario.ask.iter().flat_map(|question| &question.draft);
        for definition in scenario.definitions.iter().chain(drafts).filter(|_| !is_refused) {
            pairs(definition, &mut used);
        }
    }
    let schema = |name: &str| -> Value {
        let text = read(&repository("schemas/definitions").join(name));
        serde_json::from_str(&text).expect("a JSON Schema")
    };
    let (agreement, common) = (schema("agreement.schema.json"), schema("common.schema.json"));
    let mut terms = BTreeSet::new();
    terms_of(&agreement["properties"]["spec"], &mut terms);
    for part in ["objective", "indicator", "target", "window", "maintenance"] {
        terms_of(&common["$defs"][part], &mut terms);
    }
    assert!(terms.len() > 50, "the terms were found");
    let missing: Vec<_> = terms.difference(&used).collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
}

/// Every field and its value, where that is a text; and the field alone.
fn pairs(fields: &Map<String, Value>, used: &mut BTreeSet<(String, String)>) {
    for (name, value) in fields {
        used.insert((name.clone(), String::new()));
        for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            match value {
                Value::Object(fields) => pairs(fields, used),
                Value::String(text) => drop(used.insert((name.clone(), text.clone()))),
                _ => {}
            }
        }
    }
}

/// Every field that a schema allows, alone and with each word that is allowed for it.
fn terms_of(schema: &Value, terms: &mut BTreeSet<(String, String)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        terms.insert((name.clone(), String::new()));
        let words = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        terms.extend(words.map(|word| (name.clone(), word.to_owned())));
        terms_of(field, terms);
        terms_of(&field["items"], terms);
    }
}
