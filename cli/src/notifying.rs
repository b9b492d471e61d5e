//! Receivers are told of warnings and breaches: one task each, which looks at the tables, tells what differs from what it
//! told, and keeps that in the lake.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use plimsoll_aggregate::metrics::{family, labelled};
use plimsoll_ingest::kafka::KafkaSettings;
use plimsoll_lake::Lake;
use plimsoll_notify::{Book, Receiver, ReceiverSettings, Teller};
use plimsoll_query::{AlertPlace, AlertRows, QueryService};
use plimsoll_schemas::Instant;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, sleep};

use crate::shutdown::Shutdown;

/// How often the tables are looked at: on a disk that costs next to nothing, in a bucket each look is a request.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_EVERY_IN_A_BUCKET: Duration = Duration::from_secs(1);

/// How often it is looked for what is over, which no row says.
const LOOK_FOR_ENDS_EVERY: Duration = Duration::from_secs(1);

/// How long to wait after a failure at first, and at most.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How often it is kept how far tables were read, while nothing was to be told.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// Who is told.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Tell these of warnings and breaches: a file with one receiver a line
    #[arg(long, value_name = "FILE")]
    receivers: Option<PathBuf>,
    /// Where people reach this Plimsoll, for links to the evidence; unless said, where it listens
    #[arg(long, value_name = "URL", requires = "receivers")]
    url: Option<String>,
}

impl Arguments {
    /// Makes receivers ready; none when no file is named. `listening` is where evidence is to be seen unless said.
    ///
    /// # Errors
    /// When the file cannot be read, or what is wrong in it.
    pub fn receivers(&self, kafka: &KafkaSettings, listening: Option<String>) -> Result<Notifier> {
        let mut receivers = Vec::new();
        let teller = Teller { base: self.url.clone().or(listening), kafka: kafka.shared_config()? };
        if let Some(path) = &self.receivers {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let settings = ReceiverSettings::read(&text).map_err(|wrong| anyhow!("{}: {wrong}", path.display()))?;
            for settings in settings {
                let (name, receiver) = (settings.name().to_owned(), Receiver::new(settings, &teller));
                receivers.push(receiver.with_context(|| format!("receiver {name}"))?);
            }
        }
        let counts = receivers.iter().map(|receiver| (receiver.name().to_owned(), Counts::default())).collect();
        Ok(Notifier { receivers, base: teller.base, counts: Numbers(Arc::new(Mutex::new(counts))) })
    }
}

/// What one receiver was told, in numbers.
#[derive(Clone, Copy, Default)]
struct Counts {
    told: u64,
    failed: u64,
    firing: usize,
    is_failing: bool,
}

/// The numbers of all receivers. Cheap to clone.
#[derive(Clone)]
pub struct Numbers(Arc<Mutex<Vec<(String, Counts)>>>);

impl Numbers {
    fn change(&self, receiver: &str, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counts)) = counts.iter_mut().find(|(name, _)| name == receiver) {
            change(counts);
        }
    }

    /// For `/metrics`; nothing without a receiver.
    pub fn metrics(&self) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if counts.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        let mut put = |name, kind, help, value: &dyn Fn(&Counts) -> u64| {
            family(&mut text, name, kind, help);
            for (receiver, counts) in &counts {
                labelled(&mut text, name, &[("receiver", receiver)], value(counts));
            }
        };
        let told = "Alerts that receivers of warnings and breaches accepted.";
        put("plimsoll_notifications_total", "counter", told, &|counts| counts.told);
        let failed = "Attempts to tell a receiver that failed; each is made again.";
        put("plimsoll_notification_failures_total", "counter", failed, &|counts| counts.failed);
        let failing = "1 while a receiver cannot be told.";
        put("plimsoll_notification_failing", "gauge", failing, &|counts| counts.is_failing.into());
        let firing = "Warnings and breaches that stand, as the receiver was told.";
        put("plimsoll_alerts_firing", "gauge", firing, &|counts| counts.firing as u64);
        text
    }
}

/// Receivers that are ready.
pub struct Notifier {
    receivers: Vec<Receiver>,
    base: Option<String>,
    counts: Numbers,
}

impl Notifier {
    /// Their numbers.
    pub fn numbers(&self) -> Numbers {
        self.counts.clone()
    }

    /// How many there are.
    pub fn receivers_count(&self) -> usize {
        self.receivers.len()
    }

    /// Tells all of them until the shutdown.
    pub async fn tell(self, service: Arc<QueryService>, lake: Lake, shutdown: Shutdown) {
        let mut tasks = JoinSet::new();
        for receiver in self.receivers {
            let telling = Telling {
                receiver,
                base: self.base.clone(),
                service: service.clone(),
                lake: lake.clone(),
                counts: self.counts.clone(),
                state: None,
                kept_at: Moment::now(),
                looked_for_ends_at: None,
                repeated_at: None,
            };
            tasks.spawn(telling.run(shutdown.clone()));
        }
        tasks.join_all().await;
    }
}

/// What is kept of a receiver.
#[derive(Serialize, Deserialize)]
struct State {
    place: AlertPlace,
    book: Book,
}

/// One receiver as it is told.
struct Telling {
    receiver: Receiver,
    base: Option<String>,
    service: Arc<QueryService>,
    lake: Lake,
    counts: Numbers,
    /// `None` until it is read.
    state: Option<State>,
    kept_at: Moment,
    /// When it was last looked for what is over; `None` after a failure, too.
    looked_for_ends_at: Option<Moment>,
    /// When all that stands was last told; `None` when it never was since the start.
    repeated_at: Option<Moment>,
}

impl Telling {
    async fn run(mut self, shutdown: Shutdown) {
        let look_every = if self.lake.is_in_a_bucket() { LOOK_EVERY_IN_A_BUCKET } else { LOOK_EVERY };
        let (mut wait, mut is_failing) = (look_every, false);
        loop {
            tokio::select! {
                () = sleep(wait) => {}
                () = shutdown.requested() => break,
            }
            let failed = self.look().await.err();
            if failed.is_some() {
                self.looked_for_ends_at = None;
            }
            let name = self.receiver.name().to_owned();
            self.counts.change(&name, |counts| {
                counts.failed += u64::from(failed.is_some());
                counts.is_failing = failed.is_some();
            });
            wait = match &failed {
                Some(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        eprintln!("warning: receiver {name} is not told: {error:#}; still trying");
                    }
                    (2 * wait).clamp(WAIT_MIN, WAIT_MAX)
                }
                None => {
                    is_failing = false;
                    look_every
                }
            };
        }
        if let Err(error) = self.keep().await {
            tracing::warn!(%error, "what was told is not kept; some of it is told again");
        }
    }

    /// Looks once, and tells what is to be told.
    async fn look(&mut self) -> Result<()> {
        if self.state.is_none() {
            self.state = Some(self.restored().await?);
        }
        let Some(state) = &mut self.state else { return Ok(()) };
        if let Some(AlertRows { mut breaches, clocks, place }) = self.service.alerts_since(&state.place).await? {
            breaches.retain(|row| self.receiver.wants(row));
            state.book.fold(breaches, &clocks);
            state.place = place;
        } else if self.looked_for_ends_at.is_some_and(|at| at.elapsed() < LOOK_FOR_ENDS_EVERY) {
            return Ok(());
        }
        let now = Instant::from(chrono::Utc::now());
        let changes = state.book.changes(now);
        let every = self.receiver.repeat_every();
        let is_repeated = every.is_some_and(|every| self.repeated_at.is_none_or(|at| at.elapsed() >= every));
        if !changes.is_empty() || is_repeated {
            let standing = is_repeated.then_some(&state.book);
            self.receiver.tell(&changes, standing, self.base.as_deref(), now).await?;
        }
        if is_repeated {
            self.repeated_at = Some(Moment::now());
        }
        state.book.told(&changes, now);
        self.looked_for_ends_at = Some(Moment::now());
        let firing = state.book.firing().count();
        self.counts.change(self.receiver.name(), |counts| {
            counts.told += changes.len() as u64;
            counts.firing = firing;
        });
        if !changes.is_empty() || self.kept_at.elapsed() >= KEEP_EVERY {
            self.keep().await?;
        }
        Ok(())
    }

    /// What was kept; otherwise what stands now, none of it told.
    async fn restored(&self) -> Result<State> {
        if let Some(bytes) = self.lake.told(self.receiver.name()).await? {
            let state = serde_json::from_slice(&bytes);
            return state.context("what was kept of it is of another version; delete it, and what stands is told anew");
        }
        let AlertRows { mut breaches, clocks, place } = self.service.alerts().await?;
        breaches.retain(|row| self.receiver.wants(row));
        let mut book = Book::default();
        book.fold(breaches, &clocks);
        Ok(State { place, book })
    }

    async fn keep(&mut self) -> Result<()> {
        let Some(state) = &self.state else { return Ok(()) };
        self.lake.keep_told(self.receiver.name(), serde_json::to_vec(state)?.into()).await?;
        self.kept_at = Moment::now();
        Ok(())
    }
}
