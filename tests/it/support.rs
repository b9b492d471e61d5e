//! Running the program, and comparing what it says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use plimsoll_tests::broker::Broker;

/// How long a run of the program may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// The program.
pub fn plimsoll() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let ours = ["PLIMSOLL_LAKE", "PLIMSOLL_BOOTSTRAP"].map(OsString::from);
    let stores = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("AWS_"));
    ours.into_iter().chain(stores).for_each(|name| {
        command.env_remove(name);
    });
    command.stdin(Stdio::null());
    command
}

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The whole answer to a request of a running program.
pub fn get(address: &str, path: &str) -> String {
    request(address, &format!("GET {path}"), "", "")
}

/// The whole answer to a request with a body: its method and path, its media type, the body.
pub fn request(address: &str, method_and_path: &str, media_type: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the door is open");
    let length = body.len();
    write!(
        stream,
        "{method_and_path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {media_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    plimsoll().args(arguments).output().expect("the program starts")
}

/// Runs the program to its end, which must be a good one, and returns its standard output.
pub fn output(arguments: &[&str]) -> String {
    let done = run(arguments);
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "plimsoll {} ended with {}: {out}{errors}", arguments.join(" "), done.status);
    out.into_owned()
}

/// Reads everything that the definitions' topics hold into the tables, and ends.
pub fn run_until_caught_up(broker: &Broker, definitions: &Path, lake: &Path, more: &[&str]) -> String {
    let (bootstrap, definitions, lake) = (broker.bootstrap(), definitions.to_string_lossy(), lake.to_string_lossy());
    let mut arguments = vec!["run", "--until-caught-up", "--listen", "127.0.0.1:0", "--bootstrap", &bootstrap];
    arguments.extend(["--definitions", &definitions, "--lake", &lake]);
    arguments.extend(more);
    output(&arguments)
}

/// A program that keeps running until it is stopped; killed when the test ends in whatever way.
pub struct Running {
    pub process: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        Running::of(plimsoll().args(arguments))
    }

    /// The same of a command that becomes the program.
    pub fn of(command: &mut Command) -> Running {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let (sender, lines) = std::sync::mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(process.stdout.take().expect("piped")), Box::new(process.stderr.take().expect("piped"))];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Running { process, lines }
    }

    /// The next line, of either stream, that contains this text.
    pub fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if line.contains(text) {
                return line;
            }
            said += &format!("{line}\n");
        }
        panic!("the program did not say {text:?}, but:\n{said}")
    }

    /// The next line of either stream; none once both have ended.
    pub fn next_line(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// What it has said since the last line that was waited for.
    pub fn rest(&self) -> String {
        self.lines.try_iter().map(|line| line + "\n").collect()
    }

    /// Sends a signal by number and process id.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits for its end.
    pub fn end(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.process.try_wait().expect("it can be waited for") {
                Some(status) => return status,
                None if Instant::now() > deadline => panic!("the program did not end"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the program said last:\n{}", self.rest());
        }
    }
}

/// The columns that say when and how often something was said, not what: they depend on how the input was cut.
const BOOKKEEPING: [&str; 6] = ["verdict_before", "revision", "read_at", "recorded_at", "epoch", "retracted"];

/// A CSV's rows without the bookkeeping, as a set: each row with how often it stands there. The elapsed time of a clock
/// that has not stopped is left out too: it says how much had passed when the row was written.
pub fn rows(csv: &str) -> BTreeMap<String, usize> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names: Vec<String> = reader.headers().expect("a line of names").iter().map(str::to_owned).collect();
    let mut rows = BTreeMap::new();
    for record in reader.records() {
        let record = record.expect("a row");
        let stopped = names.iter().zip(record.iter()).any(|(name, value)| name == "stopped_at" && !value.is_empty());
        let grows = |name: &str| !stopped && (name == "elapsed_us" || name == "paused_us");
        let told = names.iter().zip(record.iter());
        let told = told.filter(|(name, _)| !BOOKKEEPING.contains(&name.as_str()) && !grows(name));
        let row = told.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        *rows.entry(row).or_default() += 1;
    }
    rows
}

/// The question for the current rows of a table; of `breaches` with the warnings, which are there too.
pub fn current(name: &str) -> String {
    let warnings = if name == "breaches" { " UNION ALL SELECT * FROM warnings" } else { "" };
    format!("SELECT * FROM {name}{warnings}")
}

/// The current rows of a table.
pub fn table(lake: &Path, name: &str) -> BTreeMap<String, usize> {
    rows(&output(&["sql", "--lake", &lake.to_string_lossy(), "--format", "csv", &current(name)]))
}

/// What `judge` says of one table.
pub fn judged(definitions: &Path, events: &[PathBuf], name: &str) -> BTreeMap<String, usize> {
    let definitions = definitions.to_string_lossy();
    let events: Vec<_> = events.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut arguments = vec!["judge", "--definitions", &definitions, "--format", "csv", "--show", name, "--events"];
    arguments.extend(events.iter().map(String::as_str));
    rows(&output(&arguments))
}

/// Fails with the first differences when two sets of rows are not the same.
pub fn assert_same(what: &str, one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>) {
    let missing: Vec<_> = one.iter().filter(|(row, count)| other.get(*row) != Some(count)).take(5).collect();
    let more: Vec<_> = other.iter().filter(|(row, count)| one.get(*row) != Some(count)).take(5).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "{what} differ: only in the first {missing:#?}, only in the second {more:#?}"
    );
    assert!(!one.is_empty(), "{what}: nothing was compared");
}
