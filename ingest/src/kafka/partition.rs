//! One assigned partition: its decoder, its position, when its next delivery is cut, and until when it is complete.
//!
//! What comes in: records, empty fetches and the brokers' word where the partition ends. What goes out: deliveries that
//! cover every offset exactly once. Pure but for the decoder.
//!
//! **The proof** that a partition is complete (R23) takes two witnesses: an empty fetch that found its end, and the
//! brokers' answer that it ends where we are. It holds for the instant at which the brokers were asked: what came later
//! may lie there unread. An empty fetch alone proves nothing: before an open transaction it comes too, and it may have
//! waited in a queue.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};

use crate::decode::{BATCH_ROWS_MAX, Decoder, Record};
use crate::error::IngestError;

/// The payload bytes after which a delivery is cut: large enough for columns to pay off, small enough that a few of
/// them in the queue are no burden.
pub(super) const DELIVERY_BYTES_MAX: usize = 8 << 20;

/// How long a record waits for others before its delivery is cut.
pub(super) const DELIVERY_WAIT_MAX: Duration = Duration::from_millis(100);

/// How long nothing may come of a partition that was not read to its end, before the brokers are asked whether there is
/// something to come: ten times as long while others are busy. Twice as long after each time that it was read anew in vain.
const SILENCE_MIN: Duration = Duration::from_secs(30);

/// How long that wait becomes.
const SILENCE_MAX: Duration = Duration::from_secs(10 * 60);

/// The reader of one partition.
pub struct PartitionReader {
    /// Which one it reads.
    pub id: PartitionId,
    decoder: Decoder,
    /// The first offset not read yet; unknown before the first word from a partition that is read from its beginning.
    position: Option<i64>,
    /// The first offset not delivered yet.
    delivered_until: Option<i64>,
    pending_since: Option<Moment>,
    last_cut_at: Option<Moment>,
    /// An empty fetch found the end, and nothing was read since.
    is_at_end: bool,
    /// When the brokers were last asked where it ends; `None` when that was before the empty fetch.
    asked_at: Option<Moment>,
    /// A proof that is newer than the last delivery.
    complete_until: Option<Instant>,
    range: Range,
    /// For how long nothing came, and for how long nothing may.
    silent: Duration,
    silent_max: Duration,
    /// Where the brokers' word was that more is there, and nothing had come.
    waited_at: Option<i64>,
    /// Where reading began again because of that.
    waited_out_at: Option<i64>,
    /// The position when the topic's id was asked for.
    identified_at: Option<i64>,
    /// Whether it was asked for since the topic was said to be gone.
    is_identity_asked: bool,
    /// Up to where all that was read is known to be of the topic of that id.
    identified_until: Option<i64>,
}

/// What is known of a position at which Kafka stopped reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// It did not stop.
    Inside,
    /// Nobody has said where the partition begins.
    Unknown,
    /// The partition begins at or before the position, and nobody has said where it ends.
    BeginsBefore(i64),
    /// What came lies behind the end that was found, or nothing comes though more is there, so records may have been passed
    /// over: it is to be read from the position again.
    PassedOver,
    /// Its topic was said to be gone: nothing is read before the one of this name is known to be the one that was read.
    Withheld,
}

impl PartitionReader {
    /// A reader that starts at `start`, or at the beginning.
    pub fn new(source: Arc<Source>, id: PartitionId, start: Option<i64>) -> PartitionReader {
        PartitionReader {
            decoder: Decoder::new(source, id.clone()),
            id,
            position: start,
            delivered_until: start,
            pending_since: None,
            last_cut_at: None,
            is_at_end: false,
            asked_at: None,
            complete_until: None,
            range: Range::Inside,
            silent: Duration::ZERO,
            silent_max: SILENCE_MIN,
            waited_at: None,
            waited_out_at: None,
            identified_at: start,
            is_identity_asked: false,
            identified_until: start,
        }
    }

    /// The first offset not read yet, if it is known.
    pub fn position(&self) -> Option<i64> {
        self.position
    }

    /// The first offset not delivered yet, if it is known: where to begin again.
    pub fn delivered_until(&self) -> Option<i64> {
        self.delivered_until
    }

    /// Decodes a record; a record that was read before is passed over, and so is everything while it is to be found out
    /// where to read.
    ///
    /// librdkafka takes an empty fetch at offset 7 for a message with that offset. When it pauses the partition then, for a
    /// rebalance or for us, it goes on at 8, and what arrives at 7 in the meantime is never seen. So a record behind the
    /// end, or a further end, is believed only when it comes a second time.
    pub fn read(&mut self, record: Record<'_>, now: Moment) {
        if self.position.is_some_and(|position| record.offset < position) || self.range != Range::Inside {
            return;
        }
        if self.seems_passed_over(record.offset) {
            return;
        }
        self.delivered_until.get_or_insert(record.offset);
        self.position = Some(record.offset + 1);
        self.decoder.decode(record);
        self.pending_since.get_or_insert(now);
        self.is_at_end = false;
        self.heard();
    }

    /// Notes that an empty fetch at `offset` found the partition's end. Offsets up to there that held no record (what
    /// compaction removed, the marks of transactions) are covered.
    pub fn reach_end(&mut self, offset: i64) {
        if self.range != Range::Inside || self.seems_passed_over(offset) {
            return;
        }
        self.delivered_until.get_or_insert(offset);
        let position = self.position.map_or(offset, |position| position.max(offset));
        self.position = Some(position);
        self.is_at_end = position == offset;
        self.heard();
    }

    fn heard(&mut self) {
        self.asked_at = None;
        (self.silent, self.silent_max) = (Duration::ZERO, SILENCE_MIN);
    }

    /// Whether what comes at `offset` comes behind the end that was found: then it is to be read again from the position,
    /// where no end is known any more, and believed.
    fn seems_passed_over(&mut self, offset: i64) -> bool {
        let is_behind_end = self.is_at_end && self.position.is_some_and(|position| offset > position);
        if is_behind_end {
            self.range = Range::PassedOver;
        }
        is_behind_end
    }

    /// Notes that nothing came for so long.
    pub fn wait(&mut self, silent: Duration) {
        self.silent += silent;
    }

    /// True when the brokers' word where it ends is of use: an empty fetch found the end and nothing was read since, so that
    /// it would be a proof; or nothing has come for long, so that it tells whether something is to come. librdkafka may stop
    /// to fetch a partition whose leader was away for a while.
    pub fn wants_end(&self) -> bool {
        self.is_at_end || self.silent >= self.silent_max
    }

    /// True when the brokers are to be asked where it ends, and were not for `interval`.
    pub fn needs_proof(&self, interval: Duration, now: Moment) -> bool {
        self.wants_end() && self.asked_at.is_none_or(|asked| now.duration_since(asked) >= interval)
    }

    /// Notes that the brokers are being asked where it ends.
    pub fn ask(&mut self, now: Moment) {
        self.asked_at = Some(now);
    }

    /// Notes the brokers' answer that the partition ended at `end` at some time after `asked`.
    ///
    /// An end that is further than we are, twice, is that of a record which the client passed over: it would come only with
    /// the next one.
    pub fn confirm_end(&mut self, end: i64, asked: Instant) {
        if self.range == Range::Withheld {
            return;
        }
        if !self.is_at_end {
            return self.look_again(end);
        }
        let Some(position) = self.position else { return };
        if position == end {
            self.complete_until = self.complete_until.max(Some(asked));
        } else if position < end && self.range == Range::Inside {
            if self.waited_at == self.position && self.waited_out_at != self.position {
                self.waited_out_at = self.position;
                self.range = Range::PassedOver;
            }
            self.waited_at = self.position;
        }
    }

    /// Reads a partition anew of which nothing came for long, though it ends further on.
    fn look_again(&mut self, end: i64) {
        if self.silent < self.silent_max {
            return;
        }
        self.silent = Duration::ZERO;
        if self.range == Range::Inside && self.position.unwrap_or(0) < end {
            self.silent_max = (2 * self.silent_max).min(SILENCE_MAX);
            self.range = Range::PassedOver;
        }
    }

    /// Notes that it is read from the position again, as if nothing had come from there yet.
    pub fn read_again(&mut self) {
        self.range = Range::Inside;
        self.is_at_end = false;
    }

    /// Notes that Kafka says that there is no such topic.
    pub fn withhold(&mut self) {
        self.range = Range::Withheld;
        self.is_identity_asked = false;
    }

    /// Notes what is known of the position; nothing is asked of one whose topic is gone.
    pub fn set_range(&mut self, range: Range) {
        if self.range != Range::Withheld {
            self.range = range;
        }
    }

    /// Notes that the topic's id is being asked for.
    pub fn ask_identity(&mut self) {
        self.identified_at = self.position;
        self.is_identity_asked = true;
    }

    /// Notes that the topic was the one that was read when its id was asked for. What was withheld since is read from the
    /// position.
    pub fn identify(&mut self) {
        self.identified_until = self.identified_at;
        if self.range == Range::Withheld && self.is_identity_asked {
            self.range = Range::PassedOver;
        }
    }

    /// From which offset on what was read may be of another topic; `None` when nothing was read since the last look.
    pub fn unidentified_from(&self) -> Option<i64> {
        let from = self.identified_until.unwrap_or(0);
        self.position.is_some_and(|position| position > from).then_some(from)
    }

    /// What is known of the position.
    pub fn range(&self) -> Range {
        self.range
    }

    /// Goes on at the beginning of what the partition still holds. What lies before was deleted unread: a delivery says
    /// so, unless this reader never had a claim to it. Everything that was read is to be cut before.
    pub fn begin_again(&mut self, beginning: i64) -> Option<Delivery> {
        self.range = Range::Inside;
        self.is_at_end = false;
        let position = self.position?;
        self.position = Some(beginning);
        self.delivered_until = Some(beginning);
        Some(Delivery::lost(self.id.clone(), position, beginning))
    }

    /// True when the next delivery cannot wait for the end of the batch.
    pub fn is_full(&self) -> bool {
        self.decoder.pending_records() >= BATCH_ROWS_MAX
            || self.decoder.pending_bytes() >= DELIVERY_BYTES_MAX
            || self.decoder.is_full()
    }

    /// True when a delivery is to be cut now: it is full, its first record has waited long enough, or there is a
    /// proof. A proof waits too if a delivery was just cut, so that a trickle of records makes ten a second at most.
    pub fn is_due(&self, now: Moment) -> bool {
        let waited = |since: Option<Moment>| since.is_none_or(|since| now.duration_since(since) >= DELIVERY_WAIT_MAX);
        self.is_full()
            || (self.pending_since.is_some() && waited(self.pending_since))
            || (self.complete_until.is_some() && waited(self.last_cut_at))
    }

    /// Everything since the last cut, and its payload bytes; `None` when nothing was read yet.
    pub fn cut(&mut self, now: Moment) -> Option<Result<(Delivery, usize), IngestError>> {
        let (from_offset, until_offset) = (self.delivered_until?, self.position?);
        let bytes = self.decoder.pending_bytes();
        let delivery = self.decoder.take(from_offset, until_offset, self.complete_until.take());
        self.delivered_until = Some(until_offset);
        self.pending_since = None;
        self.last_cut_at = Some(now);
        Some(delivery.map(|delivery| (delivery, bytes)))
    }
}
