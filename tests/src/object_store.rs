//! A real S3-compatible server for as long as a value lives: its own process, a free port, a temporary folder, one bucket.
//!
//! It is moto, which `tests/fetch-object-store.sh` brings, with conditional puts made one step
//! (`tests/object-store/serve.py`). Where it is absent, tests that need it are skipped with one
//! line; where `CI=true` they fail instead. Where `PLIMSOLL_VERSITYGW` names the program versitygw, it is that one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// How long it may take to answer: moto takes 2 s on two idle cores, and tests share theirs with a compiler.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

/// The bucket that is there.
pub const BUCKET: &str = "lakes";

/// The key that it accepts; moto accepts any.
const KEY: &str = "plimsoll";
/// The key's secret.
const SECRET: &str = "load-line-of-ships";

/// A running store. Dropping it, also while a test panics, ends its process and removes its folder.
#[derive(Debug)]
pub struct ObjectStore {
    process: Child,
    port: u16,
    /// True when it looks at keys.
    pub checks_keys: bool,
    folder: TempDir,
}

/// Where moto is: `$PLIMSOLL_OBJECT_STORE_DIR`, or `object-store` in the target folder.
fn moto_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("PLIMSOLL_OBJECT_STORE_DIR") {
        return PathBuf::from(folder);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("object-store")
}

impl ObjectStore {
    /// Starts a store for a test; `None`, after one line that says so, where there is none and `CI` is not `true`.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer in time; the end of its log is in the message.
    pub fn start_or_skip() -> Result<Option<ObjectStore>> {
        if let Some(versitygw) = std::env::var_os("PLIMSOLL_VERSITYGW") {
            return ObjectStore::start(Path::new(&versitygw), true).map(Some);
        }
        let folder = moto_folder();
        if !folder.join("complete").exists() {
            let absent = format!("moto is not in {}; run tests/fetch-object-store.sh", folder.display());
            ensure!(std::env::var("CI").as_deref() != Ok("true"), "{absent}");
            eprintln!("skipped: {absent}");
            return Ok(None);
        }
        ObjectStore::start(&folder.join("venv/bin/python"), false).map(Some)
    }

    fn start(program: &Path, is_versitygw: bool) -> Result<ObjectStore> {
        let folder = tempfile::Builder::new().prefix("plimsoll-object-store-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(folder.path().join("store.log"))?;
        let mut command = Command::new(program);
        let address = format!("127.0.0.1:{port}");
        if is_versitygw {
            let buckets = folder.path().join("buckets");
            fs::create_dir_all(buckets.join(BUCKET))?;
            command.env("ROOT_ACCESS_KEY", KEY).env("ROOT_SECRET_KEY", SECRET);
            command.args(["--port", &address, "posix"]).arg(buckets);
        } else {
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/object-store/serve.py"));
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let mut store = ObjectStore { process, port, checks_keys: is_versitygw, folder };
        store.wait_until_ready()?;
        if !is_versitygw {
            store.create_bucket()?;
        }
        Ok(store)
    }

    /// The settings by which a program finds the store, as environment variables.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }

    /// Stops it from answering, or lets it go on.
    pub fn pause(&self, is_paused: bool) {
        let signal = if is_paused { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the store cannot be paused");
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_WAIT_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait()? {
                bail!("the store ended with {status}: {}", self.log());
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the store does not answer: {}", self.log())
    }

    fn create_bucket(&self) -> Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        write!(stream, "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "the bucket cannot be made: {answer}");
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("store.log")).unwrap_or_default()
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
