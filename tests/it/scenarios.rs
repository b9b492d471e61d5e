//! Scenarios: definitions, events and the rows expected of them, one readable file a case. `tests/scenarios/README.md`
//! tells how they are written.
//!
//! Each runs through `plimsoll judge` twice, the second time with its events in reverse order: the same tables must
//! come out (R21). A scenario in which something arrives later than it happens, or that says what was known at a time, is
//! told to tables instead, and these are asked (R25). What `judge` does not answer is asked of the command that does.
//! `PLIMSOLL_SCENARIO=part-of-a-name` runs those alone whose file names contain it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use plimsoll_schemas::definition::parse_duration;
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Instant, Micros};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::support::{current, repository, run};
use crate::tables::{self, Tables};

/// A file of `tests/scenarios`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    title: String,
    /// The calculation by hand that the expected rows come from.
    why: String,
    pub(crate) definitions: Vec<Map<String, Value>>,
    #[serde(default)]
    events: Vec<Value>,
    #[serde(default)]
    as_of: String,
    #[serde(default)]
    pub(crate) expect: BTreeMap<Expected, Vec<Value>>,
    /// What other commands answer.
    #[serde(default)]
    pub(crate) ask: Vec<Question>,
    /// What was known at each of these instants, where events come later than they happen.
    #[serde(default)]
    known_at: BTreeMap<String, BTreeMap<Expected, Vec<Value>>>,
    /// What results stand on.
    #[serde(default)]
    audit: Vec<Audit>,
}

/// A result by its key, and what an audit must show of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Audit {
    of: BTreeMap<String, Value>,
    expect: BTreeMap<Expected, Vec<Value>>,
}

/// A question to a command that answers with rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) command: Asked,
    /// Its options by their names; true for one that has no value.
    #[serde(default)]
    with: Map<String, Value>,
    /// The definitions in the file that it takes.
    #[serde(default)]
    pub(crate) draft: Vec<Map<String, Value>>,
    pub(crate) expect: Vec<Value>,
}

/// The commands that a scenario may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    Gate,
    Backtest,
    Kpi,
}

/// Whose rows are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsOf {
    Problems,
    Table(Table),
    Answer(Asked),
}

impl RowsOf {
    pub(crate) fn name(self) -> &'static str {
        match self {
            RowsOf::Problems => "problems",
            RowsOf::Table(table) => table.name(),
            RowsOf::Answer(Asked::Gate) => "gate",
            RowsOf::Answer(Asked::Backtest) => "backtest",
            RowsOf::Answer(Asked::Kpi) => "kpi",
        }
    }
}

/// What a scenario may expect something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expected {
    /// What is wrong with the definitions; then nothing else is expected.
    Problems,
    Attainment,
    Credits,
    Watermelons,
    Clocks,
    Outages,
    Breaches,
    Attributions,
    Transitions,
    DeadLetters,
    /// Which only tables have: nothing is corrected in what is judged once.
    Corrections,
    /// Which only audits show.
    Events,
}

/// The tables that are shown for every scenario.
const SHOWN: &str = "attainment,credits,watermelons,clocks,outages,breaches,attributions,transitions,dead_letters";

impl Expected {
    pub(crate) fn rows(self) -> RowsOf {
        RowsOf::Table(match self {
            Expected::Problems => return RowsOf::Problems,
            Expected::Attainment => Table::Attainment,
            Expected::Credits => Table::Credits,
            Expected::Watermelons => Table::Watermelons,
            Expected::Clocks => Table::Clocks,
            Expected::Outages => Table::Outages,
            Expected::Breaches => Table::Breaches,
            Expected::Attributions => Table::Attributions,
            Expected::Transitions => Table::Transitions,
            Expected::DeadLetters => Table::DeadLetters,
            Expected::Corrections => Table::Corrections,
            Expected::Events => Table::Events,
        })
    }
}

#[test]
fn scenarios_come_out_as_worked_out_by_hand() {
    let wanted = std::env::var("PLIMSOLL_SCENARIO").unwrap_or_default();
    let files: Vec<PathBuf> = files().into_iter().filter(|path| name_of(path).contains(&wanted)).collect();
    assert!(!files.is_empty(), "no file in tests/scenarios has {wanted:?} in its name; see PLIMSOLL_SCENARIO");
    let mut failures = String::new();
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a scenario can be read");
        if let Err(failure) = check(&text) {
            let _ = writeln!(failures, "\n{}: {}", name_of(path), failure.trim_end());
        }
    }
    assert!(failures.is_empty(), "- is expected, + is found\n{failures}");
}

#[test]
fn a_wrong_scenario_says_what_is_wrong_with_it() {
    let good = "title: t\nwhy: w\ndefinitions: []\nexpect: {}\n";
    for (text, said) in [
        ("title: [", "not YAML"),
        ("title: t\ntitle: t\n", "not YAML"),
        ("title: t\n", "missing field `why`"),
        (&format!("{good}event: []\n"), "unknown field `event`"),
        (&good.replace("{}", "{clock: []}"), "unknown variant `clock`"),
        (
            &good.replace("{}", "{problems: []}").replace("title: t", "title: ' '"),
            "title, why and expect say something",
        ),
        (good, "title, why and expect say something"),
        (&good.replace("{}", "{clocks: []}"), "as_of is needed"),
        (
            &good.replace("{}", "{corrections: []}\nas_of: 2026-03-02T12:00:00Z"),
            "only tables have corrections and events",
        ),
        (&good.replace("{}", "{}\nask: [{command: kpi, expect: []}]"), "as_of is needed"),
        (&good.replace("{}", "{}\nask: [{command: run, expect: []}]"), "unknown variant `run`"),
        (
            &good.replace(
                "{}",
                "{}\nas_of: 2026-03-02T12:00:00Z\nask: [{command: kpi, expect: []}]\nevents: [{arrives: x}]",
            ),
            "ask goes with what is judged at once",
        ),
        (
            &good.replace("{}", "{clocks: []}\nas_of: 2026-03-02T12:00:00Z\nknown_at: {2026-03-03: {clocks: []}}"),
            "as_of 2026-03-02T12:00:00Z is the last instant",
        ),
        (
            &good.replace("{}", "{clocks: []}\nas_of: 2026-03-02T12:00:00Z\nknown_at: {then: {}}"),
            "found then, expected",
        ),
    ] {
        let failure = check(text).expect_err(text);
        assert!(failure.contains(said), "{text:?} said {failure:?}");
    }
}

#[test]
fn a_wrong_expectation_is_shown_beside_what_was_found() {
    // The outage lasts from 10:00 until 10:30.
    let scenario = |rows: &str| {
        format!(
            "title: t
why: w
as_of: 2026-03-02T12:00:00Z
definitions: [{{kind: Service, metadata: {{id: web}}}}]
events:
  - {{time: 2026-03-02T10:00:00Z, kind: incident, service: web, ticket: T1, action: opened, outage: true}}
  - {{time: 2026-03-02T10:30:00Z, kind: incident, ticket: T1, action: resolved}}
expect: {{outages: {rows}}}"
        )
    };
    assert_eq!(check(&scenario("[{started_at: '2026-03-02T11:00:00+01:00', duration_us: 30m}]")), Ok(()));
    for (rows, said) in [
        (
            "[{service: web, duration_us: 31m}]",
            "- {service: web, duration_us: 31m}\n    + {service: web, duration_us: 30m}",
        ),
        ("[{duration_us: 30m}, {service: web}]", "      {duration_us: 30m}\n    - {service: web}\n"),
        ("[]", "    + {service: web, started_at: 2026-03-02T10:00:00Z"),
        ("[{duration: 30m}]", "outages has no column \"duration\""),
        ("[{duration_us: half an hour}]", "expected a duration such as 1h 30m"),
        ("[{started_at: soon}]", "expected RFC 3339"),
    ] {
        let failure = check(&scenario(rows)).expect_err(rows);
        assert!(failure.contains(said), "{rows} said {failure}");
    }
}

#[test]
fn the_example_for_authors_comes_out_as_well() {
    let page = std::fs::read_to_string(repository("tests/scenarios/README.md")).expect("the page for authors");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert_eq!(check(example), Ok(()));
}

/// Every scenario's file, by name.
pub(crate) fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository("tests/scenarios")).expect("the folder of scenarios");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs one scenario; the error tells how it differs, or what is wrong with the file.
fn check(text: &str) -> Result<(), String> {
    let mut scenario = Scenario::parse(text)?;
    let title = |failure| format!("{}\n{failure}", scenario.title);
    let compare = |scenario: &Scenario| match scenario.is_told_to_tables() {
        true => scenario.compare_tables(),
        false => scenario.compare(),
    };
    compare(&scenario).map_err(title)?;
    // Where a record stands is what is said of a dead letter.
    if scenario.expect.contains_key(&Expected::DeadLetters) || scenario.events.len() < 2 {
        return Ok(());
    }
    scenario.events.reverse();
    compare(&scenario).map_err(|failure| title(format!("  with the events in reverse order (R21):\n{failure}")))
}

impl Scenario {
    pub(crate) fn parse(text: &str) -> Result<Scenario, String> {
        let documents = Yaml::load_from_str(text).map_err(|error| format!("this is not YAML: {error}"))?;
        let [document] = documents.as_slice() else { return Err("expected one document".to_owned()) };
        let scenario: Scenario = serde_json::from_value(json(document)?).map_err(|error| error.to_string())?;
        let expects_nothing = scenario.expect.is_empty() && scenario.ask.is_empty();
        if scenario.title.trim().is_empty() || scenario.why.trim().is_empty() || expects_nothing {
            return Err("title, why and expect say something".to_owned());
        }
        let of_tables = [Expected::Corrections, Expected::Events];
        if !scenario.is_told_to_tables() && of_tables.iter().any(|expected| scenario.expect.contains_key(expected)) {
            return Err("only tables have corrections and events: let something arrive, or ask for known_at or audit"
                .to_owned());
        }
        if scenario.is_told_to_tables() && !scenario.ask.is_empty() {
            return Err("ask goes with what is judged at once: let nothing arrive, and leave known_at out".to_owned());
        }
        let is_judged = |expected: &Expected| *expected != Expected::Problems;
        if scenario.as_of.is_empty() && (scenario.expect.keys().any(is_judged) || !scenario.ask.is_empty()) {
            return Err("as_of is needed, such as 2026-03-02T12:00:00Z".to_owned());
        }
        Ok(scenario)
    }

    /// Whether it matters when something arrives.
    fn is_told_to_tables(&self) -> bool {
        let arrives = |entry: &Map<String, Value>| entry.contains_key("arrives");
        let mut events = self.events.iter().filter_map(Value::as_object);
        let is_asked = !self.known_at.is_empty() || !self.audit.is_empty();
        is_asked || events.any(arrives) || self.definitions.iter().any(arrives)
    }

    /// Judges the events and compares everything that is expected.
    fn compare(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let (definitions, events) = (folder.path().join("definitions"), folder.path().join("events.ndjson"));
        std::fs::create_dir(&definitions).expect("a folder for definitions");
        std::fs::write(definitions.join("definitions.yaml"), text_of(&self.definitions)).expect("definitions");
        std::fs::write(&events, self.events_text()).expect("events");
        let (definitions, events) = (definitions.to_string_lossy(), events.to_string_lossy());
        let mut arguments = vec!["judge", "-d", &definitions, "-e", &events, "--format", "json", "--show", SHOWN];
        if !self.as_of.is_empty() {
            arguments.extend(["--as-of", &self.as_of]);
        }
        let done = run(&arguments);
        let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        let problems: Vec<Value> = errors.lines().filter_map(problem).collect();
        if problems.is_empty() && !done.status.success() {
            return Err(format!("  judge ended with {}: {errors}", done.status));
        }
        let expected = self.expect.get(&Expected::Problems).map_or(&[][..], Vec::as_slice);
        let mut differences = difference(RowsOf::Problems, expected, &problems)?;
        if problems.is_empty() {
            let found: BTreeMap<String, Vec<Value>> = serde_json::from_str(&out).expect("judge shows lists of rows");
            for (&expected, rows) in &self.expect {
                let RowsOf::Table(table) = expected.rows() else { continue };
                differences += &difference(expected.rows(), rows, &found[table.name()])?;
            }
            for question in &self.ask {
                let found =
                    question.answer(folder.path(), &["-d", &definitions, "-e", &events, "--as-of", &self.as_of])?;
                differences += &difference(RowsOf::Answer(question.command), &question.expect, &found)?;
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// Tells the events to tables as they come, and compares what these say of each instant that is asked for.
    fn compare_tables(&self) -> Result<(), String> {
        let mut events = Vec::new();
        for event in &self.events {
            let mut event = event.clone();
            let arrives = event.as_object_mut().and_then(|event| event.remove("arrives"));
            let arrives = arrives.as_ref().or_else(|| event.get("time")).and_then(Value::as_str).map(instant);
            let record = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
            events
                .push((arrives.ok_or_else(|| format!("{event} says neither when it arrives nor its time"))??, record));
        }
        events.sort_by_key(|(arrives, _)| *arrives);
        let end = instant(&self.as_of)?;
        let asked =
            self.known_at.iter().map(|(text, rows)| Ok((instant(text)?, rows))).collect::<Result<Vec<_>, String>>()?;
        let defined = self.definitions.iter().filter_map(|definition| definition.get("arrives")?.as_str());
        let defined = defined.map(instant).collect::<Result<Vec<_>, String>>()?;
        let instants = events.iter().map(|(arrives, _)| *arrives).chain(asked.iter().map(|(instant, _)| *instant));
        let instants: BTreeSet<Instant> = instants.chain(defined).chain([end]).collect();
        if instants.last() != Some(&end) {
            return Err(format!("  as_of {end} is the last instant; let nothing arrive or be asked for after it"));
        }
        let records: Vec<String> = events.iter().map(|(_, record)| record.clone()).collect();
        let mut tables = Tables::new(&tables::defined(&text_of(&self.defined_at(Instant(i64::MIN))?))?, &records);
        for &tick in &instants {
            let definitions = tables::defined(&text_of(&self.defined_at(tick)?))?;
            tables.epoch(&definitions, tick, events.iter().filter(|(arrives, _)| *arrives == tick).count());
        }
        let mut differences = String::new();
        for (known_at, expect) in asked.into_iter().chain([(end, &self.expect)]) {
            for (&expected, rows) in expect {
                let RowsOf::Table(table) = expected.rows() else {
                    return Err("  problems are not told to tables".to_owned());
                };
                let found = tables.ask(&in_order(table), Some(known_at));
                let difference = difference(expected.rows(), rows, &found)?;
                if !difference.is_empty() {
                    let _ = write!(differences, "  known at {known_at}:\n{difference}");
                }
            }
        }
        for audit in &self.audit {
            differences += &audit.compare(&tables)?;
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// The definitions that have arrived by an instant; a later one replaces that of its kind, id and version.
    fn defined_at(&self, tick: Instant) -> Result<Vec<Map<String, Value>>, String> {
        let mut defined: Vec<Map<String, Value>> = Vec::new();
        for definition in &self.definitions {
            let mut definition = definition.clone();
            let arrives = definition.remove("arrives").as_ref().and_then(Value::as_str).map(instant).transpose()?;
            if arrives.is_some_and(|arrives| arrives > tick) {
                continue;
            }
            let name = |of: &Map<String, Value>| {
                let metadata = of.get("metadata").cloned().unwrap_or_default();
                (of.get("kind").cloned(), metadata.get("id").cloned(), metadata.get("version").cloned())
            };
            defined.retain(|other| name(other) != name(&definition));
            defined.push(definition);
        }
        Ok(defined)
    }

    /// The events, one a line; a text is a record as it stands.
    fn events_text(&self) -> String {
        let records = self.events.iter().map(|event| event.as_str().map_or_else(|| event.to_string(), str::to_owned));
        records.map(|record| record + "\n").collect()
    }
}

impl Audit {
    /// Audits the result, which must be confirmed, and compares what is shown.
    fn compare(&self, tables: &Tables) -> Result<String, String> {
        let lake = tables.lake();
        let mut arguments = vec!["audit".to_owned(), "--format".to_owned(), "json".to_owned()];
        arguments.extend(["--lake".to_owned(), lake.to_string_lossy().into_owned()]);
        for (name, value) in &self.of {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            arguments.extend([format!("--{}", name.replace('_', "-")), value]);
        }
        let done = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        let of = format!("  audit of {}", Value::from_iter(self.of.clone()));
        let found: BTreeMap<String, Vec<Value>> =
            serde_json::from_str(&out).map_err(|_| format!("{of} ended with {}: {errors}", done.status))?;
        let mut differences = String::new();
        if !done.status.success() {
            let _ = writeln!(differences, "  {}", found["verdict"][0]["detail"]);
        }
        for (&expected, rows) in &self.expect {
            let part = match expected.rows() {
                RowsOf::Table(Table::Attainment) => "stored",
                other => other.name(),
            };
            let found = found.get(part).ok_or_else(|| format!("{of} does not show {expected:?}"))?;
            differences += &difference(expected.rows(), rows, found)?;
        }
        Ok(if differences.is_empty() { differences } else { format!("{of}:\n{differences}") })
    }
}

impl Question {
    /// What the command answers; `common` are the options that every question has.
    fn answer(&self, folder: &Path, common: &[&str]) -> Result<Vec<Value>, String> {
        let name = RowsOf::Answer(self.command).name();
        let mut arguments = vec![name.to_owned()];
        if !self.draft.is_empty() {
            let draft = folder.join("draft.yaml");
            std::fs::write(&draft, text_of(&self.draft)).expect("a draft");
            arguments.push(draft.to_string_lossy().into_owned());
        }
        arguments.extend(common.iter().chain(&["--format", "json"]).map(|argument| (*argument).to_owned()));
        for (option, value) in &self.with {
            arguments.push(format!("--{}", option.replace('_', "-")));
            if *value != Value::Bool(true) {
                arguments.push(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        let done = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let is_no_go = self.command == Asked::Gate && done.status.code() == Some(3);
        if !done.status.success() && !is_no_go {
            return Err(format!("  {name} ended with {}: {}", done.status, String::from_utf8_lossy(&done.stderr)));
        }
        serde_json::from_slice(&done.stdout).map_err(|error| format!("  {name} does not answer with rows: {error}"))
    }
}

/// Definitions as documents of one file, each on a line: what is JSON is YAML.
fn text_of(definitions: &[Map<String, Value>]) -> String {
    let documents = definitions.iter().map(|document| {
        let mut document = document.clone();
        document.entry("apiVersion").or_insert_with(|| "plimsoll/v1".into());
        document.entry("spec").or_insert_with(|| Map::new().into());
        Value::from(document).to_string()
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| format!("  found {text}, expected RFC 3339, e.g. 2026-03-02T12:00:00Z"))
}

/// Asks for the rows of a table in the order in which `judge` shows them.
fn in_order(table: Table) -> String {
    let names = match table {
        Table::Attainment => "service, agreement, objective, agreement_version, window_start".to_owned(),
        Table::Clocks => "service, agreement, objective, agreement_version, ticket, cycle".to_owned(),
        _ => {
            let schema = table.schema();
            let names = schema.fields().iter().map(|field| field.name()).filter(|name| *name != "retracted");
            names.map(|name| format!("\"{name}\" NULLS FIRST")).collect::<Vec<_>>().join(", ")
        }
    };
    format!("SELECT * FROM ({}) ORDER BY {names}", current(table.name()))
}

/// What a line of standard error says of the definitions, without the place.
fn problem(line: &str) -> Option<Value> {
    let (_, said) = line.strip_prefix("definitions.yaml:")?.split_once(": ")?;
    Some(said.into())
}

/// A YAML value as a JSON value; YAML's tags and aliases are not needed here.
fn json(node: &Yaml<'_>) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        Yaml::Mapping(entries) => {
            let named = |(key, value): (&Yaml<'_>, &Yaml<'_>)| {
                let name = key.as_str().ok_or_else(|| format!("found the key {key:?}, expected a text"))?;
                Ok((name.to_owned(), json(value)?))
            };
            entries.iter().map(named).collect::<Result<Map<_, _>, String>>()?.into()
        }
        other => return Err(format!("found {other:?}, expected a text, a number, a list or a mapping")),
    })
}

/// Expected and found rows, line by line where they differ; empty when they do not. Of a found row those columns are
/// looked at that the expected one names.
fn difference(what: RowsOf, expected: &[Value], found: &[Value]) -> Result<String, String> {
    let (mut lines, mut differs) = (String::new(), false);
    for index in 0..expected.len().max(found.len()) {
        let (wanted, row) = (expected.get(index), found.get(index));
        let columns = wanted.or_else(|| expected.last()).and_then(Value::as_object);
        let wanted = wanted.map(|wanted| told(what, wanted, columns)).transpose()?;
        let row = row.map(|row| told(what, row, columns)).transpose()?;
        // What a problem allows may be long: its beginning is enough.
        let begins = || {
            what == RowsOf::Problems
                && row.as_deref().zip(wanted.as_deref()).is_some_and(|(row, wanted)| row.starts_with(wanted))
        };
        if wanted == row || begins() {
            let _ = writeln!(lines, "      {}", row.unwrap_or_default());
            continue;
        }
        differs = true;
        for (sign, row) in [("-", wanted), ("+", row)] {
            let _ = row.map(|row| writeln!(lines, "    {sign} {row}"));
        }
    }
    Ok(if differs { format!("  {}:\n{lines}", what.name()) } else { String::new() })
}

/// A row as a scenario writes it: these columns, or every one that is not null.
fn told(what: RowsOf, row: &Value, columns: Option<&Map<String, Value>>) -> Result<String, String> {
    if what == RowsOf::Problems {
        return Ok(row.as_str().map_or_else(|| row.to_string(), str::to_owned));
    }
    let cells = row.as_object().ok_or_else(|| format!("{}: found {row}, expected columns", what.name()))?;
    let filled = || cells.iter().filter(|(_, value)| !value.is_null()).map(|(column, _)| column);
    let columns: Vec<&String> = columns.map_or_else(|| filled().collect(), |columns| columns.keys().collect());
    let cell = |column: &String| {
        let value = cells.get(column).unwrap_or(&Value::Null);
        Ok(format!("{column}: {}", plain(what, column, value)?))
    };
    let cells = columns.into_iter().map(cell).collect::<Result<Vec<_>, String>>()?;
    Ok(format!("{{{}}}", cells.join(", ")))
}

/// One value in the one way in which it is compared and shown, whether it was written by hand or by the program.
pub(crate) fn plain(what: RowsOf, column: &str, value: &Value) -> Result<String, String> {
    let wrong = |allowed: &str| format!("{}.{column}: found {value}, expected {allowed}", what.name());
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_time = match what {
        RowsOf::Table(table) => {
            let schema = table.schema();
            let field = schema.field_with_name(column);
            field.map_err(|_| format!("{} has no column {column:?}", table.name()))?.data_type().is_temporal()
        }
        // No schema tells of an answer; a text that is no time is compared as it stands.
        _ => Instant::parse_rfc3339(&text).is_some(),
    };
    if value.is_null() {
        return Ok(text);
    }
    let (sign, size) = text.strip_prefix('-').map_or(("", text.as_str()), |size| ("-", size));
    if column.ends_with("_us") {
        // The program writes a number of microseconds; people write durations.
        let length = if value.is_number() { size.parse().ok().map(Micros) } else { parse_duration(size) };
        return Ok(format!("{sign}{}", length.ok_or_else(|| wrong("a duration such as 1h 30m"))?));
    }
    if column == "ratio" || column.ends_with("_ratio") {
        return Ok(format!("{sign}{}", Share::parse(size).ok_or_else(|| wrong("a share such as 99.9 %"))?));
    }
    if is_time {
        return Ok(Instant::parse_rfc3339(&text)
            .ok_or_else(|| wrong("RFC 3339, e.g. 2026-03-02T12:00:00Z"))?
            .to_string());
    }
    Ok(text)
}
