//! A real Alertmanager for as long as a value lives: its own process, a free port, a temporary folder.
//!
//! It is Debian's package `prometheus-alertmanager`, or the program that `$PLIMSOLL_ALERTMANAGER` names. Where it is absent,
//! tests that need it are skipped with one line; where `CI=true` they fail instead.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// Where Debian's package has it.
const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";

/// How long it may take to answer.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

/// It notifies nobody itself.
const SETTINGS: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// A running Alertmanager. Dropping it, also while a test panics, ends its process and removes its folder.
#[derive(Debug)]
pub struct Alertmanager {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Alertmanager {
    /// Starts one for a test; `None`, after one line that says so, where there is none and `CI` is not `true`.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer in time; its log is in the message.
    pub fn start_or_skip() -> Result<Option<Alertmanager>> {
        let program = std::env::var_os("PLIMSOLL_ALERTMANAGER").map_or_else(|| PathBuf::from(PROGRAM), PathBuf::from);
        if !program.exists() {
            let absent = format!("{} is not there; apt-get install prometheus-alertmanager", program.display());
            ensure!(std::env::var("CI").as_deref() != Ok("true"), "{absent}");
            eprintln!("skipped: {absent}");
            return Ok(None);
        }
        Alertmanager::start(&program).map(Some)
    }

    fn start(program: &Path) -> Result<Alertmanager> {
        let folder = tempfile::Builder::new().prefix("plimsoll-alertmanager-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let settings = folder.path().join("alertmanager.yml");
        fs::write(&settings, SETTINGS)?;
        let log = File::create(folder.path().join("log"))?;
        let process = Command::new(program)
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut server = Alertmanager { process, port, folder };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_WAIT_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait()? {
                bail!("alertmanager ended with {status}: {}", self.log());
            }
            if self.alerts().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("alertmanager does not answer: {}", self.log())
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The alerts that fire, as its API tells them: a JSON array.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn alerts(&self) -> Result<String> {
        self.alerts_of("")
    }

    /// Those that parameters of its API ask for, in a query.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn alerts_of(&self, query: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        // The older protocol knows no chunks.
        write!(stream, "GET /api/v2/alerts?active=true&{query} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.0 200"), "alertmanager answers {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        Ok(body.to_owned())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
