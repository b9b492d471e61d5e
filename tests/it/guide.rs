//! The guide shows what happens: its commands are run as they stand there, and say what it says they do.
//!
//! A command is a `sh` block, its answers are the `text` blocks that follow until the next `sh` block. Each answer is
//! all of standard output or all of standard error. A table may be shown without its borders and with some columns left
//! out; what it shows of a row must be what the program says. So it is with what the pages of the reference ask of the
//! guide's tables.

use std::path::Path;
use std::process::{Command, Output};

use plimsoll_tests::broker::Broker;

use crate::support::{Running, output, repository, run_until_caught_up};

/// A command of the guide and the answers it shows.
struct Example {
    command: String,
    answers: Vec<String>,
}

/// The examples of a page. A statement that stands alone has an answer of its own.
fn examples_of(page: &str) -> Vec<Example> {
    let page = std::fs::read_to_string(repository(page)).expect("the page");
    let (mut examples, mut is_of_command): (Vec<Example>, bool) = (Vec::new(), false);
    // Every second piece between fences is a block, which begins with the name of its language.
    for block in page.split("```").skip(1).step_by(2) {
        let Some((language, text)) = block.split_once('\n') else { continue };
        match language {
            "sh" => examples.push(Example { command: text.to_owned(), answers: Vec::new() }),
            "text" if is_of_command => {
                examples.last_mut().into_iter().for_each(|example| example.answers.push(text.to_owned()));
            }
            _ => {}
        }
        is_of_command = language != "sql" && (is_of_command || language == "sh");
    }
    examples
}

/// The guide's examples that call the program with this subcommand.
fn examples(subcommand: &str) -> Vec<Example> {
    let mut examples = examples_of("docs/guide.md");
    examples.retain(|example| example.command.starts_with(&format!("plimsoll {subcommand} ")));
    examples
}

impl Example {
    /// Runs the command from the repository's root; the folder `plimsoll-lake` is that one.
    fn run(&self, lake: &Path) -> Output {
        let command = self.command.replace("--lake plimsoll-lake ", "--lake \"$LAKE\" ");
        Command::new("sh")
            .args(["-c", &format!("plimsoll() {{ \"$PROGRAM\" \"$@\"; }}\n{command}")])
            .current_dir(repository("."))
            .env("PROGRAM", env!("CARGO_BIN_EXE_plimsoll"))
            .env("LAKE", lake)
            .env_remove("PLIMSOLL_LOG")
            .output()
            .expect("a shell starts")
    }

    /// Fails unless each answer is what was said on one of the streams.
    fn assert_answered_by(&self, said: &Output) {
        let (out, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let streams = [parts(&out), parts(&errors)];
        let is_said = |answer: &String| streams.iter().any(|stream| shows(&parts(answer), stream));
        assert!(
            !self.answers.is_empty() && self.answers.iter().all(is_said),
            "{}said on standard output\n{out}and on standard error\n{errors}but the guide shows\n{}",
            self.command,
            self.answers.join("and\n")
        );
    }
}

/// A piece of what a command says.
#[derive(Debug, PartialEq)]
enum Part {
    Line(String),
    /// Rows of cells, the names of the columns first.
    Table(Vec<Vec<String>>),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("+-")) {
        match (line.strip_prefix('|'), parts.last_mut()) {
            (None, _) => parts.push(Part::Line(line.to_owned())),
            (Some(row), Some(Part::Table(rows))) => rows.push(cells(row)),
            (Some(row), _) => parts.push(Part::Table(vec![cells(row)])),
        }
    }
    parts
}

fn cells(row: &str) -> Vec<String> {
    row.trim_end().trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Whether what is shown is what was said, but for columns left out and for `recorded_at`, which is the day's own.
fn shows(shown: &[Part], said: &[Part]) -> bool {
    let matches = |(shown, said): (&Part, &Part)| match (shown, said) {
        (Part::Table(shown), Part::Table(said)) => shown.len() == said.len() && shows_columns(shown, said),
        (shown, said) => shown == said,
    };
    shown.len() == said.len() && shown.iter().zip(said).all(matches)
}

fn shows_columns(shown: &[Vec<String>], said: &[Vec<String>]) -> bool {
    let column = |(place, name): (usize, &String)| Some((place, said[0].iter().position(|known| known == name)?));
    let columns: Option<Vec<(usize, usize)>> = shown[0].iter().enumerate().map(column).collect();
    let agree = |(left, right): (usize, usize)| {
        shown[0][left] == "recorded_at"
            || shown.iter().zip(said).all(|(shown, said)| shown.get(left) == said.get(right))
    };
    columns.is_some_and(|columns| columns.into_iter().all(agree))
}

#[test]
fn commands_on_files_say_what_the_guide_shows() {
    let examples: Vec<_> = ["check", "judge", "kpi", "gate", "backtest"].into_iter().flat_map(examples).collect();
    assert_eq!(
        examples.len(),
        8,
        "the guide checks twice, judges three times, and asks for indicators, of a change and of a draft"
    );
    for example in examples {
        example.assert_answered_by(&example.run(Path::new("nowhere")));
    }
}

#[test]
fn r31_questions_to_the_tables_and_stored_events_are_answered_as_the_guide_shows() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    let produce = |topic, file: &str| {
        let text = std::fs::read_to_string(repository("docs/examples/guide").join(file)).expect("events");
        broker.produce(topic, 0, text.lines().map(str::to_owned)).expect("records");
    };
    broker.create_topic("shop.checks", 1).expect("topic");
    broker.create_topic("shop.tickets", 1).expect("topic");
    produce("shop.checks", "checks.ndjson");
    produce("shop.tickets", "tickets.ndjson");
    // One epoch for each run: how provisional results come and go depends on when epochs are cut.
    let run = || {
        let definitions = repository("docs/examples/guide/definitions");
        run_until_caught_up(&broker, &definitions, &lake, &["--epoch-interval", "1h"]);
    };
    let [attained, revised, known, set_aside] =
        <[Example; 4]>::try_from(examples("sql")).map_err(|_| ()).expect("four");
    run();
    attained.assert_answered_by(&attained.run(&lake));
    // The events that the tables hold say of the change and of the draft what the files do.
    let files = "--events docs/examples/guide/checks.ndjson docs/examples/guide/tickets.ndjson";
    let ask_tables = |of: &str, known_at: &str| {
        let [example] = <[Example; 1]>::try_from(examples(of)).map_err(|_| ()).expect("one");
        assert!(example.command.contains(files), "{}", example.command);
        let command = example.command.replace(files, &format!("--lake plimsoll-lake {known_at} "));
        let stored = Example { command, ..example };
        stored.assert_answered_by(&stored.run(&lake));
    };
    ask_tables("gate", "");
    ask_tables("backtest", "");
    produce("shop.checks", "late.ndjson");
    run();
    // The instants of the guide are those of another day.
    let lake_name = lake.to_string_lossy();
    let first = "SELECT min(recorded_at) AS tick FROM history.attainment WHERE revision = 1";
    let tick = output(&["sql", "--lake", &lake_name, "--format", "csv", first]);
    let tick = tick.lines().nth(1).expect("a tick");
    assert!(known.command.contains("2026-11-22T12:43:10Z"), "{}", known.command);
    // What came late was not known then.
    ask_tables("gate", &format!("--known-at {tick}"));
    ask_tables("backtest", &format!("--known-at {tick}"));
    let known = Example { command: known.command.replace("2026-11-22T12:43:10Z", tick), ..known };
    let [audited] = <[Example; 1]>::try_from(examples("audit")).map_err(|_| ()).expect("one");
    let letters =
        |question: &[&str]| output(&[&["dead-letters"], question, &["--lake", &lake_name, "--format", "csv"]].concat());
    let counted = letters(&["list"]);
    assert_eq!(counted.lines().count(), 2, "{counted}");
    assert!(counted.contains(",shop.checks,bad_time,1,"), "{counted}");
    let shown = letters(&["show", "--reason", "bad_time", "--topic", "shop.checks", "--limit", "5"]);
    assert!(shown.contains("shop.checks,0,5,") && shown.contains("expected seconds since 1970"), "{shown}");
    let none = letters(&["show", "--reason", "it's none"]);
    assert!(none.lines().count() <= 1, "{none}");
    for example in [revised, known, audited, set_aside] {
        example.assert_answered_by(&example.run(&lake));
    }
    assert_answered_as_the_reference_shows(&lake);
}

/// The pages on SQL, tables and HTTP begin with a question to the guide's tables; that on HTTP has three more.
fn assert_answered_as_the_reference_shows(lake: &Path) {
    let running = Running::start(&["query", "--listen", "127.0.0.1:0", "--lake", &lake.to_string_lossy()]);
    let line = running.wait_for("http://");
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
    let mut asked = Vec::new();
    for page in ["sql", "tables", "http"] {
        let examples = examples_of(&format!("docs/reference/{page}.md"));
        let is_question = |(place, example): &(usize, Example)| {
            *place == 0 || ["/v1/trend?", "/v1/audit?", "nope="].iter().any(|part| example.command.contains(part))
        };
        for (_, example) in examples.into_iter().enumerate().filter(is_question) {
            let command = example.command.replace("http://127.0.0.1:7373", address);
            let example = Example { command, ..example };
            example.assert_answered_by(&example.run(lake));
            asked.push(page);
        }
    }
    assert_eq!(asked, ["sql", "tables", "http", "http", "http", "http"]);
}

#[test]
fn a_table_may_be_shown_in_part_and_not_otherwise() {
    let said = parts("2 rows\n+---+---+\n| a | b |\n+---+---+\n| 1 | 2 |\n| 3 | 4 |\n+---+---+\n");
    let shown = |text: &str| shows(&parts(text), &said);
    assert!(shown("2 rows\n| b |\n| 2 |\n| 4 |\n") && shown("2 rows\n| b | a |\n| 2 | 1 |\n| 4 | 3 |\n"));
    for wrong in [
        "2 rows\n| b |\n| 2 |\n",
        "2 rows\n| b |\n| 2 |\n| 5 |\n",
        "2 rows\n| c |\n| 2 |\n| 4 |\n",
        "| b |\n| 2 |\n| 4 |\n",
    ] {
        assert!(!shown(wrong), "{wrong}");
    }
}
