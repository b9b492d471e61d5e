//! The only unsafe code: librdkafka's batch interface, wrapped so that the rest need not know a pointer.
//!
//! The safe bindings hand over one message a call, each with an allocation and an event of its own;
//! `rd_kafka_consume_batch_queue` costs about half the processor time for each message. What comes in: a configuration,
//! topics, assignments. What goes out: borrowed `Item`s, and `News` that librdkafka's callbacks left behind. The
//! callbacks only take notes; the poll loop acts on them after the batch, so that everything happens on one thread and
//! in one order.
#![allow(unsafe_code, reason = "librdkafka's batch interface has no safe binding")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::Instant;
use plimsoll_schemas::delivery::PartitionId;
use rdkafka::bindings::*;
use rdkafka::error::KafkaError;
use rdkafka::types::{
    RDKafka, RDKafkaErrorCode, RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr, RDKafkaTopic, RDKafkaTopicPartitionList,
    RDKafkaType,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::decode::Record;
use crate::error::IngestError;

/// How many messages one batch takes: enough that the call itself costs nothing, few enough that a batch of small
/// records is decoded within some milliseconds.
const BATCH_MESSAGES_MAX: usize = 8_192;

/// How long a question to the brokers may take before it counts as unanswered.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// One thing in a batch. What it borrows lives until the batch has been visited.
pub(super) enum Item<'batch> {
    /// A record.
    Record {
        /// Its topic.
        topic: Topic<'batch>,
        /// Its partition.
        partition: i32,
        /// The record.
        record: Record<'batch>,
    },
    /// An empty fetch at `offset` said that nothing is left to read.
    End {
        /// The partition's topic.
        topic: Topic<'batch>,
        /// The partition.
        partition: i32,
        /// The first offset that does not exist yet.
        offset: i64,
    },
    /// Something is wrong with a topic, a partition or the group.
    Error {
        /// The topic, if it concerns one.
        topic: Option<Topic<'batch>>,
        /// The partition, if it concerns one; negative otherwise.
        partition: i32,
        /// What.
        code: RDKafkaErrorCode,
        /// librdkafka's words for it.
        text: String,
    },
}

/// A message's topic.
#[derive(Clone, Copy)]
pub(super) struct Topic<'batch>(*mut RDKafkaTopic, PhantomData<&'batch ()>);

impl<'batch> Topic<'batch> {
    /// The same for two messages of one topic, as long as no partition is assigned or revoked.
    pub fn key(self) -> usize {
        self.0 as usize
    }

    /// Its name.
    pub fn name(self) -> &'batch str {
        // SAFETY: the handle comes from a message of the batch and is not null (see `item`); librdkafka keeps the
        // name, a C string, as long as the handle.
        let name = unsafe { CStr::from_ptr(rd_kafka_topic_name(self.0)) };
        // Kafka allows only ASCII letters, digits, dots, dashes and underscores in a topic's name.
        name.to_str().unwrap_or_default()
    }
}

/// What librdkafka's callbacks told.
#[derive(Debug)]
pub(super) enum News {
    /// The group gives us these partitions; `assign` must follow.
    Assign(Vec<PartitionId>),
    /// The group takes these partitions away; `unassign` must follow.
    Revoke(Vec<PartitionId>),
    /// The client as a whole has trouble.
    ClientError(RDKafkaErrorCode, String),
}

/// An offset of each partition, or why it is not known.
pub(super) type Offsets = Vec<(PartitionId, Result<i64, RDKafkaErrorCode>)>;

/// The id of each topic, if it has one, or why it is not known.
pub(super) type TopicIds = Vec<(String, Result<Option<String>, RDKafkaErrorCode>)>;

/// What became of a question to the brokers.
#[derive(Debug)]
pub(super) enum Answer {
    /// An offset of each partition, or why it is not known: where it ends or where it begins, as was asked.
    Offsets(Offsets),
    /// The id of each topic, `None` where the broker gives none, or why it is not known.
    Topics(TopicIds),
    /// The ids of topics are not told, and librdkafka's words for why.
    NoTopics(String),
    /// Somebody is there.
    Alive,
    /// There is no answer, and librdkafka's words for why.
    Refused(RDKafkaErrorCode, String),
}

type Notes = Mutex<Vec<News>>;

/// A member of a consumer group.
pub(super) struct NativeConsumer {
    client: *mut RDKafka,
    messages_queue: *mut RDKafkaQueue,
    answers_queue: *mut RDKafkaQueue,
    /// Boxed, because librdkafka holds its address.
    notes: Box<Notes>,
    messages: Vec<*mut RDKafkaMessage>,
}

// SAFETY: librdkafka's handles may be used from any thread; `NativeConsumer` is moved to the poll thread and not
// shared.
unsafe impl Send for NativeConsumer {}

/// The messages of one batch, given back to librdkafka at its end, also if visiting them panics.
struct Batch<'consumer>(&'consumer [*mut RDKafkaMessage]);

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for message in self.0 {
            // SAFETY: each message was handed to us by this batch's call and is destroyed only here.
            unsafe { rd_kafka_message_destroy(*message) };
        }
    }
}

impl NativeConsumer {
    /// A client that has not joined its group yet.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(config: &ClientConfig) -> Result<NativeConsumer, IngestError> {
        let native_config = config.create_native_config().map_err(setting_error)?;
        let notes: Box<Notes> = Box::default();
        let mut reason = [0 as c_char; 512];
        // SAFETY: the duplicate belongs to us until `rd_kafka_new` takes it, which it does only if it succeeds. The
        // opaque pointer is the boxed notes, which `Drop` frees after the client, the only user, is destroyed.
        let client = unsafe {
            let config = rd_kafka_conf_dup(native_config.ptr());
            rd_kafka_conf_set_opaque(config, (&raw const *notes).cast_mut().cast());
            rd_kafka_conf_set_rebalance_cb(config, Some(note_rebalance));
            rd_kafka_conf_set_error_cb(config, Some(note_error));
            rd_kafka_conf_set_log_cb(config, Some(log_line));
            let client = rd_kafka_new(RDKafkaType::RD_KAFKA_CONSUMER, config, reason.as_mut_ptr(), reason.len());
            if client.is_null() {
                rd_kafka_conf_destroy(config);
                return Err(IngestError::KafkaSetting(text(reason.as_ptr())));
            }
            client
        };
        // SAFETY: the client is valid. Redirecting its main queue makes the batch call serve the callbacks too.
        let (messages_queue, answers_queue) = unsafe {
            rd_kafka_poll_set_consumer(client);
            (rd_kafka_queue_get_consumer(client), rd_kafka_queue_new(client))
        };
        let messages = vec![std::ptr::null_mut(); BATCH_MESSAGES_MAX];
        Ok(NativeConsumer { client, messages_queue, answers_queue, notes, messages })
    }

    /// Joins the group for these topics.
    pub fn subscribe<'name>(&self, topics: impl Iterator<Item = &'name str>) -> Result<(), IngestError> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_topic_unassigned(topic);
        }
        // SAFETY: both pointers are valid during the call; librdkafka copies the list.
        refused(unsafe { rd_kafka_subscribe(self.client, list.ptr()) })
    }

    /// Visits the messages that are there now or come within `wait`; callbacks leave their news meanwhile.
    pub fn poll(&mut self, wait: Duration, mut visit: impl FnMut(Item<'_>)) {
        let (queue, size) = (self.messages_queue, self.messages.len());
        // SAFETY: the array has room for `size` pointers.
        let count = unsafe { rd_kafka_consume_batch_queue(queue, millis(wait), self.messages.as_mut_ptr(), size) };
        let batch = Batch(&self.messages[..usize::try_from(count).unwrap_or(0)]);
        for message in batch.0 {
            // SAFETY: the call filled the first `count` places with messages that live until `batch` is dropped.
            visit(unsafe { item(*message) });
        }
    }

    /// What the callbacks told since the last call, in order.
    pub fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts reading these partitions at these offsets, or at their beginning.
    pub fn assign(&self, partitions: &[(PartitionId, Option<i64>)]) -> Result<(), IngestError> {
        let start = |offset: Option<i64>| offset.map_or(Offset::Beginning, Offset::Offset);
        let list = partition_list(partitions.iter().map(|(id, offset)| (id, start(*offset))))?;
        // SAFETY: client and list are valid during the call; librdkafka copies the list.
        unsafe {
            if self.is_cooperative() {
                return refused_error(rd_kafka_incremental_assign(self.client, list.ptr()));
            }
            refused(rd_kafka_assign(self.client, list.ptr()))
        }
    }

    /// Starts reading one of the partitions anew, at another offset. `all` are all that are read, each with the offset at
    /// which it goes on: without the cooperative protocol the assignment can be changed only as a whole.
    pub fn assign_anew(&self, id: &PartitionId, all: &[(PartitionId, Option<i64>)]) -> Result<(), IngestError> {
        if !self.is_cooperative() {
            return self.assign(all);
        }
        self.unassign(std::slice::from_ref(id))?;
        let anew: Vec<_> = all.iter().filter(|(other, _)| other == id).cloned().collect();
        self.assign(&anew)
    }

    /// Stops reading these partitions.
    pub fn unassign(&self, partitions: &[PartitionId]) -> Result<(), IngestError> {
        let list = partition_list(partitions.iter().map(|id| (id, Offset::Invalid)))?;
        // SAFETY: client and list are valid during the call; a null list means all partitions.
        unsafe {
            if self.is_cooperative() {
                return refused_error(rd_kafka_incremental_unassign(self.client, list.ptr()));
            }
            refused(rd_kafka_assign(self.client, std::ptr::null()))
        }
    }

    fn is_cooperative(&self) -> bool {
        // SAFETY: the client is valid; the answer is a static C string.
        unsafe { CStr::from_ptr(rd_kafka_rebalance_protocol(self.client)) == c"COOPERATIVE" }
    }

    /// Stops (or resumes) fetching partitions without giving them up.
    pub fn pause<'id>(
        &self,
        partitions: impl Iterator<Item = &'id PartitionId>,
        pause: bool,
    ) -> Result<(), IngestError> {
        let list = partition_list(partitions.map(|id| (id, Offset::Invalid)))?;
        // SAFETY: client and list are valid during the call.
        refused(unsafe {
            if pause {
                rd_kafka_pause_partitions(self.client, list.ptr())
            } else {
                rd_kafka_resume_partitions(self.client, list.ptr())
            }
        })
    }

    /// Tells the group, in the background, how far the tables are.
    pub fn commit(&self, offsets: &[(PartitionId, i64)]) -> Result<(), IngestError> {
        let list = partition_list(offsets.iter().map(|(id, offset)| (id, Offset::Offset(*offset))))?;
        // SAFETY: client and list are valid during the call; librdkafka copies the list.
        refused(unsafe { rd_kafka_commit(self.client, list.ptr(), 1) })
    }

    /// The high watermark as the last fetch saw it; `None` before the first.
    pub fn high_watermark(&self, id: &PartitionId) -> Option<i64> {
        let topic = CString::new(&*id.topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the name is a C string and both offsets may be written to.
        let code =
            unsafe { rd_kafka_get_watermark_offsets(self.client, topic.as_ptr(), id.partition, &mut low, &mut high) };
        (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
    }

    /// Asks the brokers where these partitions end now: at the high watermark, beyond what open transactions hold back.
    /// `take_answer` has the answer later.
    pub fn ask_ends<'id>(&self, partitions: impl Iterator<Item = &'id PartitionId>) -> Result<(), IngestError> {
        self.ask_offsets(partitions, Offset::End)
    }

    /// Asks the brokers for the first offset of each partition that they still hold; `take_answer` has the answer later.
    pub fn ask_beginnings<'id>(&self, partitions: impl Iterator<Item = &'id PartitionId>) -> Result<(), IngestError> {
        self.ask_offsets(partitions, Offset::Beginning)
    }

    fn ask_offsets<'id>(
        &self,
        partitions: impl Iterator<Item = &'id PartitionId>,
        wanted: Offset,
    ) -> Result<(), IngestError> {
        let list = partition_list(partitions.map(|id| (id, wanted)))?;
        self.ask(rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, |options| {
            // SAFETY: all pointers are valid during the call; librdkafka copies the list and answers on our queue.
            unsafe { rd_kafka_ListOffsets(self.client, list.ptr(), options, self.answers_queue) }
        });
        Ok(())
    }

    /// Asks the brokers for the ids of these topics; `take_answer` has the answer later.
    pub fn ask_topics<'name>(&self, topics: impl Iterator<Item = &'name str>) {
        self.describe(topics, false);
    }

    /// Asks the brokers for a sign of life, by a topic, which may be any; `take_answer` has the answer later.
    pub fn ask_alive(&self, topic: &str) {
        self.describe([topic].into_iter(), true);
    }

    /// Of topics and never of the cluster: a broker that just started may know neither topics nor brokers, and such an
    /// answer is one that librdkafka 2.12 does not survive (`rd_kafka_admin_response_parse` asserts a result).
    fn describe<'name>(&self, topics: impl Iterator<Item = &'name str>, is_for_life: bool) {
        let names: Vec<CString> = topics.filter_map(|topic| CString::new(topic).ok()).collect();
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        self.ask(rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, |options| {
            // SAFETY: all pointers are valid during the calls; librdkafka copies the names and answers on our queue. What
            // goes with the question comes back with the answer, and is never followed.
            unsafe {
                if is_for_life {
                    rd_kafka_AdminOptions_set_opaque(options, std::ptr::dangling_mut());
                }
                let topics = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                rd_kafka_DescribeTopics(self.client, topics, options, self.answers_queue);
                rd_kafka_TopicCollection_destroy(topics);
            }
        });
    }

    fn ask(&self, operation: rd_kafka_admin_op_t, put: impl FnOnce(*mut rd_kafka_AdminOptions_t)) {
        let mut reason = [0 as c_char; 256];
        // SAFETY: client and reason are valid during the calls; librdkafka copies the options within `put`.
        unsafe {
            let options = rd_kafka_AdminOptions_new(self.client, operation);
            let wait = millis(ANSWER_WAIT_MAX);
            rd_kafka_AdminOptions_set_request_timeout(options, wait, reason.as_mut_ptr(), reason.len());
            put(options);
            rd_kafka_AdminOptions_destroy(options);
        }
    }

    /// The answer to the last question; `None` while there is none.
    pub fn take_answer(&self) -> Option<Answer> {
        // SAFETY: the queue is valid; the event belongs to us until it is destroyed below, and what is read from it is
        // copied before.
        unsafe {
            let event = rd_kafka_queue_poll(self.answers_queue, 0);
            if event.is_null() {
                return None;
            }
            let code = rd_kafka_event_error(event);
            let is_for_life = !rd_kafka_event_opaque(event).is_null();
            let answer = if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                let reason = text(rd_kafka_event_error_string(event));
                if rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT && !is_for_life {
                    Answer::NoTopics(reason)
                } else {
                    Answer::Refused(code.into(), reason)
                }
            } else if let Some(offsets) = offsets(event) {
                Answer::Offsets(offsets)
            } else if let Some(topics) = topics(event).filter(|_| !is_for_life) {
                Answer::Topics(topics)
            } else {
                Answer::Alive
            };
            rd_kafka_event_destroy(event);
            Some(answer)
        }
    }

    /// Leaves the group, so that its other members take over at once; gives up after `wait`.
    pub fn close(&mut self, wait: Duration) {
        let deadline = Moment::now() + wait;
        // SAFETY: client and queue are valid. The answer is null or an error that belongs to us.
        if unsafe { refused_error(rd_kafka_consumer_close_queue(self.client, self.messages_queue)) }.is_err() {
            return;
        }
        // SAFETY: the client is valid.
        while unsafe { rd_kafka_consumer_closed(self.client) } == 0 && Moment::now() < deadline {
            self.poll(Duration::from_millis(10), |_| {});
            for news in self.take_news() {
                if let News::Revoke(partitions) = news
                    && let Err(error) = self.unassign(&partitions)
                {
                    tracing::debug!(%error, "giving up partitions at the end");
                }
            }
        }
    }
}

impl Drop for NativeConsumer {
    fn drop(&mut self) {
        // SAFETY: each handle was created in `new` and is destroyed only here; no message is held, because a batch ends
        // within `poll`. Without the flag a consumer that could not close would block here for ever.
        unsafe {
            rd_kafka_queue_destroy(self.answers_queue);
            rd_kafka_queue_destroy(self.messages_queue);
            rd_kafka_destroy_flags(self.client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// The offsets that an answer tells; `None` when it tells of something else.
///
/// # Safety
/// The event must be valid.
unsafe fn offsets(event: *mut rd_kafka_event_t) -> Option<Offsets> {
    // SAFETY: the caller vouches for the event, from which everything is copied.
    unsafe {
        let result = rd_kafka_event_ListOffsets_result(event);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let infos = rd_kafka_ListOffsets_result_infos(result, &mut count);
        let infos = if count == 0 { &[] } else { std::slice::from_raw_parts(infos, count) };
        let partitions = infos.iter().map(|info| &*rd_kafka_ListOffsetsResultInfo_topic_partition(*info));
        let offset = |partition: &rd_kafka_topic_partition_t| match partition.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR if partition.offset >= 0 => Ok(partition.offset),
            // A leader that did not answer leaves no other trace.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Err(RDKafkaErrorCode::OperationTimedOut),
            code => Err(code.into()),
        };
        Some(partitions.map(|partition| (partition_id(partition), offset(partition))).collect())
    }
}

/// The ids of topics that an answer tells; `None` when it tells of something else.
///
/// # Safety
/// The event must be valid.
unsafe fn topics(event: *mut rd_kafka_event_t) -> Option<TopicIds> {
    // SAFETY: the caller vouches for the event, from which everything is copied.
    unsafe {
        let result = rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let found = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let found = if count == 0 { &[] } else { std::slice::from_raw_parts(found, count) };
        let id = |topic: *const rd_kafka_TopicDescription_t| {
            let code = rd_kafka_error_code(rd_kafka_TopicDescription_error(topic));
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(code.into());
            }
            let id = rd_kafka_TopicDescription_topic_id(topic);
            let bits = (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id));
            // Brokers before Kafka 2.8 tell no id, which arrives as zero.
            Ok((bits != (0, 0)).then(|| text(rd_kafka_Uuid_base64str(id))))
        };
        Some(found.iter().map(|topic| (text(rd_kafka_TopicDescription_name(*topic)), id(*topic))).collect())
    }
}

/// Reads one message.
///
/// # Safety
/// The message must be valid for `'batch`.
unsafe fn item<'batch>(message: *const RDKafkaMessage) -> Item<'batch> {
    // SAFETY: the caller vouches for the message.
    let fields = unsafe { &*message };
    let topic = Topic(fields.rkt, PhantomData);
    match fields.err {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
            // SAFETY: librdkafka fills payload and length of a message together.
            let payload = (!fields.payload.is_null())
                .then(|| unsafe { std::slice::from_raw_parts(fields.payload.cast::<u8>(), fields.len) });
            let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            // SAFETY: message and kind are valid during the call.
            let time_ms = unsafe { rd_kafka_message_timestamp(message, &mut kind) };
            let record_time = (time_ms >= 0).then(|| Instant(time_ms.saturating_mul(1_000)));
            let record = Record { offset: fields.offset, payload, record_time };
            Item::Record { topic, partition: fields.partition, record }
        }
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
            Item::End { topic, partition: fields.partition, offset: fields.offset }
        }
        code => Item::Error {
            topic: (!fields.rkt.is_null()).then_some(topic),
            partition: fields.partition,
            code: code.into(),
            // SAFETY: the message is valid and an error's payload is a C string, or null.
            text: unsafe { text(rd_kafka_message_errstr(message)) },
        },
    }
}

/// Called by librdkafka from within `poll` when the group gives or takes partitions.
unsafe extern "C" fn note_rebalance(
    _client: *mut RDKafka,
    code: RDKafkaRespErr,
    partitions: *mut RDKafkaTopicPartitionList,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a valid list or null, and the opaque pointer that `new` set.
    let (partitions, notes) = unsafe {
        let list = partitions.as_ref();
        let count = list.map_or(0, |list| usize::try_from(list.cnt).unwrap_or(0));
        let elements = list.filter(|_| count > 0).map_or(&[][..], |list| std::slice::from_raw_parts(list.elems, count));
        (elements.iter().map(|element| partition_id(element)).collect(), &*opaque.cast::<Notes>())
    };
    let news = match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => News::Assign(partitions),
        // Whatever else it is, librdkafka wants the partitions given up.
        _ => News::Revoke(partitions),
    };
    notes.lock().unwrap_or_else(PoisonError::into_inner).push(news);
}

/// Called by librdkafka from within `poll` when the client as a whole has trouble.
unsafe extern "C" fn note_error(_client: *mut RDKafka, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    let code = RDKafkaRespErr::try_from(code).map_or(RDKafkaErrorCode::Unknown, RDKafkaErrorCode::from);
    // SAFETY: the reason is a C string or null, and the opaque pointer is the one that `new` set.
    let (reason, notes) = unsafe { (text(reason), &*opaque.cast::<Notes>()) };
    notes.lock().unwrap_or_else(PoisonError::into_inner).push(News::ClientError(code, reason));
}

/// Called by librdkafka from any of its threads. What matters is announced as an event; these lines are for whoever
/// looks closer.
unsafe extern "C" fn log_line(_client: *const RDKafka, level: c_int, facility: *const c_char, line: *const c_char) {
    // SAFETY: both are C strings or null.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    match level {
        0..=2 => tracing::error!(target: "librdkafka", "{facility}: {line}"),
        3..=4 => tracing::info!(target: "librdkafka", "{facility}: {line}"),
        _ => tracing::debug!(target: "librdkafka", "{facility}: {line}"),
    }
}

/// # Safety
/// The element's topic must be a C string.
unsafe fn partition_id(element: &rd_kafka_topic_partition_t) -> PartitionId {
    // SAFETY: the caller vouches for the name.
    PartitionId { topic: unsafe { text(element.topic) }.into(), partition: element.partition }
}

/// # Safety
/// The pointer must be null or a C string.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for the pointer.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn partition_list<'id>(
    partitions: impl Iterator<Item = (&'id PartitionId, Offset)>,
) -> Result<TopicPartitionList, IngestError> {
    let mut list = TopicPartitionList::new();
    for (id, offset) in partitions {
        list.add_partition_offset(&id.topic, id.partition, offset)
            .map_err(|error| IngestError::KafkaClient(format!("offset of {}/{}: {error}", id.topic, id.partition)))?;
    }
    Ok(list)
}

fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

fn setting_error(error: KafkaError) -> IngestError {
    IngestError::KafkaSetting(match error {
        KafkaError::ClientConfig(_, reason, property, _) => format!("property {property}: {reason}"),
        other => other.to_string(),
    })
}

fn refused(code: RDKafkaRespErr) -> Result<(), IngestError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(IngestError::KafkaClient(code.to_string())),
    }
}

/// # Safety
/// The pointer must be null or an error that belongs to the caller, who gives it away.
unsafe fn refused_error(error: *mut rd_kafka_error_t) -> Result<(), IngestError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller vouches for the error, which is read before it is destroyed.
    let reason = unsafe { text(rd_kafka_error_string(error)) };
    // SAFETY: as above.
    unsafe { rd_kafka_error_destroy(error) };
    Err(IngestError::KafkaClient(reason))
}
