//! A real Kafka broker for as long as a value lives: its own process, free ports, a temporary folder.
//!
//! The jars come from `tests/fetch-broker.sh`. Where they are absent, tests that need them are skipped with one line;
//! where `CI=true` they fail instead, because a skipped test is no proof there.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

/// How long a broker may take to answer: it takes 4 s on two idle cores, and tests share theirs with a compiler.
const START_WAIT_MAX: Duration = Duration::from_secs(90);

/// How often a broker is started anew when it ends at once, which happens when another process takes its port first.
const START_ATTEMPTS_MAX: usize = 3;

/// How long one request to a running broker may take.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(30);

/// The id of the cluster that `tests/fetch-broker.sh` formats a folder for.
const CLUSTER_ID: &str = "UGxpbXNvbGwtdGVzdHMtMQ";

/// What every broker is told, besides its ports and its folder.
const PROPERTIES: &str = include_str!("../broker/server.properties");

/// Java for a broker that lives for seconds: it starts sooner, and answers more slowly.
const SHORT_LIVED: &[&str] = &["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Who may come in where the broker asks who is there.
pub const USER: &str = "plimsoll";
/// The user's password, and that of the broker's keystore.
pub const PASSWORD: &str = "load-line";

/// A running broker. Dropping it, also while a test panics, ends its process and removes its folder.
#[derive(Debug)]
pub struct Broker {
    process: Child,
    port: u16,
    secured_port: Option<u16>,
    folder: TempDir,
    /// What Java is told.
    options: &'static [&'static str],
}

/// Where the broker's jars are: `$PLIMSOLL_BROKER_DIR`, or `broker` in the target folder.
pub fn jars_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("PLIMSOLL_BROKER_DIR") {
        return PathBuf::from(folder);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("broker")
}

impl Broker {
    /// Starts a broker that is to be fast, and waits until it answers.
    ///
    /// # Errors
    /// When the jars or Java are absent, or when it does not answer in time; the end of its log is in the message.
    pub fn start() -> Result<Broker> {
        Broker::start_with(false, &[])
    }

    /// Starts a broker that also listens with TLS and asks for `USER` and `PASSWORD` by SCRAM-SHA-512 or PLAIN.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_secured() -> Result<Broker> {
        Broker::start_with(true, SHORT_LIVED)
    }

    fn start_with(secured: bool, options: &'static [&'static str]) -> Result<Broker> {
        let jars = jars_folder();
        ensure!(
            jars.join("complete").exists(),
            "the broker's jars are not in {}; run tests/fetch-broker.sh",
            jars.display()
        );
        let mut failure = None;
        for _ in 0..START_ATTEMPTS_MAX {
            match Broker::start_once(&jars, secured, options) {
                Ok(broker) => return Ok(broker),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("the broker was never started")))
    }

    /// Starts a broker for a test; `None`, after one line that says so, where its jars are absent and `CI` is not
    /// `true`.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_or_skip() -> Result<Option<Broker>> {
        let jars = jars_folder();
        if !jars.join("complete").exists() && std::env::var("CI").as_deref() != Ok("true") {
            eprintln!("skipped: the broker's jars are not in {}; run tests/fetch-broker.sh", jars.display());
            return Ok(None);
        }
        Broker::start_with(false, SHORT_LIVED).map(Some)
    }

    fn start_once(jars: &Path, secured: bool, options: &'static [&'static str]) -> Result<Broker> {
        let folder = tempfile::Builder::new().prefix("plimsoll-broker-").tempdir()?;
        let [port, controller_port, secured_port] = free_ports()?;
        let properties = folder.path().join("server.properties");
        let (log, data) = (folder.path().join("broker.log"), folder.path().join("data"));
        let secured_port = secured.then_some(secured_port);
        fs::write(&properties, server_properties([port, controller_port], secured_port, folder.path()))?;
        match secured {
            true => {
                make_certificate(folder.path())?;
                format_with_user(jars, &properties, &log)?;
            }
            false => copy_files(&jars.join("formatted"), &data)?,
        }
        let process = java(jars, options, &log)?.arg("kafka.Kafka").arg(&properties).spawn();
        let process = process.context("java cannot be started; install Java 17 or later")?;
        let mut broker = Broker { process, port, secured_port, folder, options };
        broker.wait_until_ready(&log)?;
        Ok(broker)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        let deadline = Instant::now() + START_WAIT_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait()? {
                bail!("the broker ended with {status}: {}", log_end(log));
            }
            // A connection is tried first, because a client that is refused one waits longer and longer.
            if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
                && self.admin()?.inner().fetch_metadata(None, Duration::from_secs(2)).is_ok()
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the broker did not answer within {} s: {}", START_WAIT_MAX.as_secs(), log_end(log))
    }

    /// `host:port`, for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` of the listener with TLS; `None` when there is none.
    pub fn secured_bootstrap(&self) -> Option<String> {
        self.secured_port.map(|port| format!("127.0.0.1:{port}"))
    }

    /// The certificate, in PEM, that the listener with TLS shows and that clients have to trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// The broker's process id, for measuring it.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The folder that goes with the broker.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates an empty topic.
    ///
    /// # Errors
    /// When it exists already or the broker does not answer.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_WAIT_MAX));
        let admin = self.admin()?;
        let results = block_on(admin.create_topics([&topic], &options))?
            .with_context(|| format!("topic {name} cannot be created"))?;
        for result in results {
            result.map_err(|(topic, code)| anyhow::anyhow!("topic {topic} cannot be created: {code}"))?;
        }
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// When it does not exist or the broker does not answer.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_WAIT_MAX));
        let results = block_on(admin.delete_topics(&[name], &options))??;
        let refused = results.into_iter().find_map(Result::err);
        refused.map_or(Ok(()), |(topic, code)| bail!("topic {topic} cannot be deleted: {code}"))
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// When it has as many already or the broker does not answer.
    pub fn add_partitions(&self, topic: &str, count: usize) -> Result<()> {
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_WAIT_MAX));
        let results = block_on(admin.create_partitions([&NewPartitions::new(topic, count)], &options))??;
        let refused = results.into_iter().find_map(Result::err);
        refused.map_or(Ok(()), |(topic, code)| bail!("topic {topic} does not get {count} partitions: {code}"))
    }

    /// Lets the broker hang (or go on): its process stands still and its connections stay open.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn hang(&self, hang: bool) -> Result<()> {
        let signal = if hang { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        ensure!(sent.success(), "the broker got no {signal}");
        Ok(())
    }

    /// Kills the broker's process and starts another on what it left on the disk; nobody is answered meanwhile.
    ///
    /// # Errors
    /// When the other does not answer in time.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        let log = self.folder.path().join("broker.log");
        let properties = self.folder.path().join("server.properties");
        self.process = java(&jars_folder(), self.options, &log)?.arg("kafka.Kafka").arg(properties).spawn()?;
        self.wait_until_ready(&log)
    }

    /// A producer whose records nobody reads before its transaction is committed. One is begun already.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn transaction(&self, id: &str) -> Result<BaseProducer> {
        let producer: BaseProducer = self.client_config().set("transactional.id", id).create()?;
        producer.init_transactions(REQUEST_WAIT_MAX)?;
        producer.begin_transaction()?;
        Ok(producer)
    }

    /// Deletes the records of a partition before `offset`, as retention does.
    ///
    /// # Errors
    /// When the partition does not exist or the broker does not answer.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_WAIT_MAX));
        let admin = self.admin()?;
        block_on(admin.delete_records(&list, &options))??;
        Ok(())
    }

    /// Appends records without keys to one partition, in order, and waits until all are stored.
    ///
    /// # Errors
    /// When a record is refused or the broker does not answer.
    pub fn produce<R: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        records: impl IntoIterator<Item = R>,
    ) -> Result<()> {
        let receipts = Arc::new(Receipts::default());
        let mut config = self.client_config();
        config.set("enable.idempotence", "true").set("linger.ms", "5").set("compression.type", "lz4");
        let producer: BaseProducer<_> = config.create_with_context(ReceiptsContext(receipts.clone()))?;
        let mut sent_count = 0;
        for record in records {
            let mut next = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(record.as_ref());
            while let Err((error, unsent)) = producer.send(next) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error).with_context(|| format!("a record cannot be sent to {topic}/{partition}"));
                }
                producer.poll(Duration::from_millis(10));
                next = unsent;
            }
            sent_count += 1;
            producer.poll(Duration::ZERO);
        }
        producer.flush(REQUEST_WAIT_MAX)?;
        let stored_count = receipts.stored_count.load(Ordering::Relaxed);
        ensure!(stored_count == sent_count, "only {stored_count} of {sent_count} records of {topic} were stored");
        Ok(())
    }

    /// The offset that a consumer group has committed for a partition.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn committed_offset(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
        let consumer: BaseConsumer = self.client_config().set("group.id", group).create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = consumer.committed_offsets(list, REQUEST_WAIT_MAX)?;
        Ok(committed.find_partition(topic, partition).and_then(|found| match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client_config().create()?)
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // An error means that the process has ended already. Its folder is removed after this, when nobody writes
        // there.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How many records the broker confirmed.
#[derive(Default)]
struct Receipts {
    stored_count: AtomicU64,
}

struct ReceiptsContext(Arc<Receipts>);

impl ClientContext for ReceiptsContext {}

impl ProducerContext for ReceiptsContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if result.is_ok() {
            self.0.stored_count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(future))
}

/// Three ports that were free a moment ago.
fn free_ports() -> Result<[u16; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let [one, other, third] = [bind()?, bind()?, bind()?];
    Ok([one.local_addr()?.port(), other.local_addr()?.port(), third.local_addr()?.port()])
}

const KEYSTORE: &str = "broker.p12";
const CERTIFICATE: &str = "broker.pem";

/// A key and a certificate that signs itself, for 127.0.0.1, by the keytool that comes with Java.
fn make_certificate(folder: &Path) -> Result<()> {
    let keytool = |arguments: &[&str]| {
        let mut command = Command::new("keytool");
        command.args(arguments).args(["-alias", "broker", "-keystore", KEYSTORE, "-storepass", PASSWORD]);
        let output = command.current_dir(folder).stdin(Stdio::null()).output().context("keytool cannot be started")?;
        ensure!(output.status.success(), "keytool failed: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    };
    let subject = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-validity", "2"];
    keytool(&[&["-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12"], subject.as_slice()].concat())?;
    keytool(&["-exportcert", "-rfc", "-file", CERTIFICATE])
}

/// Formats the folder of a broker that knows `USER` and `PASSWORD`.
fn format_with_user(jars: &Path, properties: &Path, log: &Path) -> Result<()> {
    let mut format = java(jars, SHORT_LIVED, log)?;
    format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(properties);
    format.arg("--add-scram").arg(format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]"));
    let formatted = format.status().context("java cannot be started; install Java 17 or later")?;
    ensure!(formatted.success(), "the broker's folder cannot be formatted: {}", log_end(log));
    Ok(())
}

/// Copies the files of a folder that has no others in it.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    let files = fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))?;
    for file in files {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// Java on the broker's jars, in a small heap, with everything it says in `log`.
fn java(jars: &Path, options: &[&str], log: &Path) -> Result<Command> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new("java");
    let classes = format!("-XX:SharedArchiveFile={}", jars.join("broker.jsa").display());
    command.args(options).args([&*classes, "-Xmx512m", "-cp"]).arg(jars.join("*"));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn log_end(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// The properties of a broker in a folder; with a listener that speaks TLS and asks who is there, where it has a port.
fn server_properties([port, controller_port]: [u16; 2], secured_port: Option<u16>, folder: &Path) -> String {
    let secured = secured_port.map_or(String::new(), |port| format!(",SECURED://127.0.0.1:{port}"));
    let mut text = format!(
        "{PROPERTIES}listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{secured}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{secured}
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={}
",
        folder.join("data").display()
    );
    if secured_port.is_some() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule";
        text += &format!(
            "listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.secured.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.secured.plain.sasl.jaas.config={plain} required user_{USER}=\"{PASSWORD}\";
ssl.keystore.type=PKCS12
ssl.keystore.location={}
ssl.keystore.password={PASSWORD}
",
            folder.join(KEYSTORE).display()
        );
    }
    text
}
