//! Who is told: a file has one receiver a line, as an object of JSON, as files of users have.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_schemas::Instant;
use plimsoll_schemas::table::BreachRow;
use rdkafka::ClientConfig;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::alert::severity;
use crate::alertmanager;
use crate::book::{Book, Change};
use crate::kafka::Topic;
use crate::message::messages;
use crate::webhook::{self, Secret};

/// How long a receiver may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Characters of an answer that are told.
const ANSWER_SHOWN: usize = 200;

/// Why something was not told.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotifyError(String);

impl NotifyError {
    pub(crate) fn new(why: String) -> NotifyError {
        NotifyError(why)
    }
}

/// What a line says.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    alertmanager: Option<String>,
    webhook: Option<String>,
    topic: Option<String>,
    secret: Option<String>,
    bearer: Option<String>,
    severities: Option<BTreeSet<String>>,
}

/// A receiver as its line says.
#[derive(Clone)]
pub struct ReceiverSettings {
    name: String,
    severities: Option<BTreeSet<String>>,
    bearer: Option<String>,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Alertmanager(Url),
    Webhook(Url, Secret),
    Topic(String),
}

impl fmt::Debug for ReceiverSettings {
    /// Without its secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl ReceiverSettings {
    /// Those of a file. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// What is wrong in which line.
    pub fn read(text: &str) -> Result<Vec<ReceiverSettings>, String> {
        let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
        let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let mut receivers: Vec<ReceiverSettings> = Vec::new();
        for (line, number) in lines {
            let receiver = receiver(line).map_err(|wrong| format!("line {number}: {wrong}"))?;
            if receivers.iter().any(|other| other.name == receiver.name) {
                return Err(format!("line {number}: {} is the name of another receiver", receiver.name));
            }
            receivers.push(receiver);
        }
        match receivers.is_empty() {
            true => Err("there is no receiver in it".to_owned()),
            false => Ok(receivers),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn receiver(line: &str) -> Result<ReceiverSettings, String> {
    // What serde tells of a line never shows its values, which may be secrets.
    let line: Line = serde_json::from_str(line).map_err(|error| {
        format!("not an object with name and one of alertmanager, webhook and topic ({})", in_words(&error))
    })?;
    let Line { name, alertmanager, webhook, topic, secret, bearer, severities } = line;
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        return Err("expected as name 1 to 64 letters, digits, - and _".to_owned());
    }
    if let Some(unknown) = severities.iter().flatten().find(|severity| !matches!(&***severity, "page" | "ticket")) {
        return Err(format!("found severity {unknown:?}, allowed are page and ticket"));
    }
    if secret.is_some() != webhook.is_some() {
        return Err("a webhook, and no other, has a secret, by which it knows who sends".to_owned());
    }
    if bearer.is_some() && topic.is_some() {
        return Err("a topic has no bearer; Kafka's properties say who sends".to_owned());
    }
    let way = match (alertmanager, webhook, topic) {
        (Some(address), None, None) => {
            let base = address_of(&address)?;
            let api = format!("{}/api/v2/alerts", base.as_str().trim_end_matches('/'));
            Way::Alertmanager(Url::parse(&api).map_err(|error| error.to_string())?)
        }
        (None, Some(address), None) => {
            let secret = secret.as_deref().and_then(Secret::read);
            let secret = secret.ok_or("expected as secret whsec_ and base64 of 24 to 64 bytes")?;
            Way::Webhook(address_of(&address)?, secret)
        }
        (None, None, Some(topic)) => Way::Topic(topic),
        _ => return Err("expected one of alertmanager, webhook and topic".to_owned()),
    };
    Ok(ReceiverSettings { name, severities, bearer, way })
}

/// What is wrong with JSON, without its values.
fn in_words(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "a field is unknown, missing or of another type".to_owned(),
        _ => format!("column {}", error.column()),
    }
}

fn address_of(text: &str) -> Result<Url, String> {
    let wrong = "expected as address http://HOST:PORT/... or https://, without user and password; say bearer instead";
    let url = Url::parse(text).map_err(|_| wrong)?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && is_plain { Ok(url) } else { Err(wrong.to_owned()) }
}

/// A client of HTTP, and who it says to be.
pub(crate) struct Http {
    client: Client,
    bearer: Option<String>,
}

impl Http {
    pub(crate) async fn post(
        &self,
        address: &Url,
        media_type: &str,
        body: Vec<u8>,
        headers: &[(&str, String)],
    ) -> Result<(), NotifyError> {
        let mut request = self.client.post(address.clone()).header("content-type", media_type).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        let answer = request.send().await.map_err(|error| NotifyError::new(chain(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        let text: String = text.trim().chars().take(ANSWER_SHOWN).collect();
        Err(NotifyError::new(format!("{address} answers {status}: {text}")))
    }
}

/// An error and what caused it, which `reqwest` leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// One who tells a receiver.
pub struct Receiver {
    settings: ReceiverSettings,
    http: Http,
    topic: Option<Arc<Topic>>,
}

/// With what, besides the receiver's own line, it is told.
#[derive(Clone)]
pub struct Teller {
    /// Where the evidence is to be seen.
    pub base: Option<String>,
    /// Where Kafka's brokers are.
    pub kafka: ClientConfig,
}

impl Receiver {
    /// Made ready; nothing is sent yet.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn new(settings: ReceiverSettings, teller: &Teller) -> Result<Receiver, NotifyError> {
        let client = Client::builder().timeout(ANSWER_WAIT_MAX).redirect(Policy::none()).user_agent("plimsoll");
        let client = client.build().map_err(|error| NotifyError::new(chain(&error)))?;
        let topic = match &settings.way {
            Way::Topic(name) => Some(Arc::new(Topic::new(name, teller.kafka.clone())?)),
            _ => None,
        };
        Ok(Receiver { http: Http { client, bearer: settings.bearer.clone() }, settings, topic })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it is told of such.
    pub fn wants(&self, row: &BreachRow) -> bool {
        self.settings.severities.as_ref().is_none_or(|wanted| wanted.contains(severity(row)))
    }

    /// How often it is told again what stands; `None` for one that remembers.
    pub fn repeat_every(&self) -> Option<Duration> {
        matches!(self.settings.way, Way::Alertmanager(_)).then_some(alertmanager::REPEAT_EVERY)
    }

    /// Tells it of changes, and, where it is to be told again, what stands besides.
    ///
    /// # Errors
    /// When it has not accepted all of it: then all of it is to be told again.
    pub async fn tell(
        &self,
        changes: &[Change],
        standing: Option<&Book>,
        base: Option<&str>,
        now: Instant,
    ) -> Result<(), NotifyError> {
        match &self.settings.way {
            Way::Alertmanager(address) => {
                let changed: BTreeSet<&BreachRow> = changes.iter().map(|change| &change.row).collect();
                let standing = standing.into_iter().flat_map(Book::firing).filter(|row| !changed.contains(*row));
                alertmanager::post(&self.http, address, changes, standing, (base, now)).await
            }
            Way::Webhook(address, secret) => {
                for message in messages(changes, base) {
                    webhook::post(&self.http, address, secret, &message, now).await?;
                }
                Ok(())
            }
            Way::Topic(_) => {
                let (Some(topic), messages) = (self.topic.clone(), messages(changes, base)) else { return Ok(()) };
                let sent = tokio::task::spawn_blocking(move || topic.send(&messages)).await;
                sent.map_err(|error| NotifyError::new(error.to_string()))?
            }
        }
    }
}
