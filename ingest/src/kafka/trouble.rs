//! What is wrong with Kafka, since when, and when that is worth an announcement. A client that reconnects within
//! seconds is everyday life; one that cannot for `UNAVAILABLE_AFTER` is news, once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use chrono::Utc;
use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;

use super::KafkaEvent;

/// How long something must be wrong before it is announced: longer than a broker's restart with a hot standby, shorter
/// than an operator's patience.
pub const UNAVAILABLE_AFTER: Duration = Duration::from_secs(10);

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The group has not said yet what this member reads.
    Start,
    /// No broker can be talked to.
    Connection,
    /// The group cannot be joined.
    Group,
    /// A topic cannot be read.
    Topic(String),
    /// The broker that leads a partition does not say where it ends.
    Partition(PartitionId),
}

struct Trouble {
    began: Moment,
    why: String,
    announced: bool,
}

/// Everything that is wrong at present.
#[derive(Default)]
pub(super) struct Troubles {
    present: BTreeMap<Cause, Trouble>,
    announced_one_ended: bool,
}

impl Troubles {
    /// True when all is well.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// True when this is wrong at present.
    pub fn has(&self, cause: &Cause) -> bool {
        self.present.contains_key(cause)
    }

    /// Notes that something is wrong since `now`, or still is; the newest reason is kept.
    pub fn begin(&mut self, cause: Cause, why: String, now: Moment) {
        match self.present.get_mut(&cause) {
            Some(trouble) => trouble.why = why,
            None => {
                self.present.insert(cause, Trouble { began: now, why, announced: false });
            }
        }
    }

    /// Notes that it is no longer wrong.
    pub fn end(&mut self, cause: &Cause) {
        if let Some(trouble) = self.present.remove(cause) {
            self.announced_one_ended |= trouble.announced;
        }
    }

    /// What is to be announced now. That nothing has been assigned yet is announced only when nothing else explains it.
    pub fn announcements(&mut self, now: Moment) -> Vec<KafkaEvent> {
        let mut events = Vec::new();
        let explained = self.present.keys().any(|cause| *cause != Cause::Start);
        for (cause, trouble) in &mut self.present {
            let due = now.duration_since(trouble.began) >= UNAVAILABLE_AFTER && !(explained && *cause == Cause::Start);
            if due && !trouble.announced {
                trouble.announced = true;
                let since = Utc::now() - now.duration_since(trouble.began);
                events.push(KafkaEvent::Unavailable { since: Instant::from(since), why: trouble.why.clone() });
            }
        }
        if self.announced_one_ended && !self.present.values().any(|trouble| trouble.announced) {
            self.announced_one_ended = false;
            events.push(KafkaEvent::Recovered);
        }
        events
    }
}
