//! The consumer against librdkafka's mock cluster, and its parts by themselves.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::event::EventColumn;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::partition::{DELIVERY_WAIT_MAX, PartitionReader, Range};
use super::queue::Push;
use super::trouble::{Cause, Troubles, UNAVAILABLE_AFTER};
use super::*;
use crate::decode::Record;

const TOPIC: &str = "checks";
const PATIENCE: Duration = Duration::from_secs(60);

fn source() -> Arc<Source> {
    Arc::new(Source { topics: vec![TOPIC.to_owned()], ..Source::plain("plain") })
}

fn id(partition: i32) -> PartitionId {
    PartitionId { topic: TOPIC.into(), partition }
}

fn payload(event: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"{event}","time":"2026-01-31T08:00:00Z","kind":"monitoring","service":"shop","check":"http","status":"up"}}"#
    )
    .into_bytes()
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("mock cluster");
    cluster.create_topic(TOPIC, 4, 1).expect("topic");
    cluster
}

/// Appends the events with these numbers, the remainder by four being the partition.
fn produce(bootstrap: &str, numbers: std::ops::Range<i32>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("producer");
    for number in numbers {
        let (event, partition) = (payload(&number.to_string()), number % 4);
        let record = BaseRecord::<(), [u8]>::to(TOPIC).partition(partition).payload(&event);
        producer.send(record).map_err(|(error, _)| error).expect("room for a record");
    }
    producer.flush(PATIENCE).expect("records are stored");
}

fn consume(bootstrap: &str, starts: &[(i32, i64)]) -> KafkaSource {
    let mut settings = KafkaSettings::new(bootstrap, "group");
    settings.caught_up_interval = Duration::from_millis(200);
    // The mock cluster lets a group that was left by its last member wait for a session timeout, which a real broker
    // does not; and a timeout below its 3 s for the first rebalance would never let anybody in.
    for (property, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")] {
        settings.properties.insert(property.to_owned(), value.to_owned());
    }
    let starts = starts.iter().map(|(partition, offset)| (id(*partition), *offset)).collect();
    start(settings, &[source()], starts, BTreeMap::new()).expect("settings are right")
}

/// The ids of each partition's events, in order, until every partition of `counts` has as many and is caught up.
/// Checks on the way that deliveries cover each offset once and stand between `Assigned` and the end.
fn read(kafka: &KafkaSource, starts: &[(i32, i64)], counts: [usize; 4]) -> [Vec<String>; 4] {
    let mut found: [Vec<String>; 4] = Default::default();
    let mut positions = [0; 4];
    starts.iter().for_each(|(partition, offset)| positions[*partition as usize] = *offset);
    let mut caught_up = [false; 4];
    let deadline = Moment::now() + PATIENCE;
    while !caught_up.iter().all(|caught_up| *caught_up) || (0..4).any(|place| found[place].len() < counts[place]) {
        assert!(Moment::now() < deadline, "only {found:?} came, caught up: {caught_up:?}");
        match kafka.events().receive(Duration::from_secs(1)) {
            Some(KafkaEvent::Delivery(delivery)) => {
                let place = delivery.partition.partition as usize;
                assert_eq!(delivery.from_offset, positions[place], "each offset is covered once");
                assert_eq!(delivery.until_offset - delivery.from_offset, delivery.events.num_rows() as i64);
                positions[place] = delivery.until_offset;
                caught_up[place] = delivery.complete_until.is_some();
                found[place].extend(delivery.events.text(EventColumn::Id).iter().flatten().map(str::to_owned));
            }
            Some(KafkaEvent::Assigned(ids)) => assert_eq!(ids.len(), 4),
            Some(other) => panic!("unexpected: {other:?}"),
            None => {}
        }
    }
    found
}

fn numbers(partition: i32, range: std::ops::Range<i32>) -> Vec<String> {
    range.filter(|number| number % 4 == partition).map(|number| number.to_string()).collect()
}

#[test]
fn r20_every_record_is_delivered_once_and_in_order_also_after_a_restart() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..1_000);
    let kafka = consume(&bootstrap, &[]);
    let found = read(&kafka, &[], [250; 4]);
    for partition in 0..4 {
        assert_eq!(found[partition as usize], numbers(partition, 0..1_000));
    }
    assert_eq!(kafka.metrics().records_count, 1_000);
    // A hint that the next start must not follow: the tables are behind it.
    kafka.commit((0..4).map(|partition| (id(partition), 250)).collect());
    kafka.stop();

    let starts = [(0, 100), (1, 250), (2, 0)]; // Of partition 3 the tables know nothing: it starts at its beginning.
    let kafka = consume(&bootstrap, &starts);
    let found = read(&kafka, &starts, [150, 0, 250, 250]);
    assert_eq!(found[0], numbers(0, 0..1_000)[100..]);
    assert_eq!(found[1], [""; 0]);
    assert_eq!(found[2], numbers(2, 0..1_000));
    assert_eq!(found[3], numbers(3, 0..1_000));
}

#[test]
fn r23_being_complete_is_proved_again_while_idle() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..8);
    let kafka = consume(&bootstrap, &[]);
    read(&kafka, &[], [2; 4]);
    // Nothing new: each partition proves its end again and again, with no record, each time until a later instant.
    let mut proofs = [0; 4];
    let mut newest = [None; 4];
    let deadline = Moment::now() + PATIENCE;
    while proofs.iter().any(|proofs| *proofs < 3) {
        assert!(Moment::now() < deadline, "proofs: {proofs:?}");
        if let Some(KafkaEvent::Delivery(delivery)) = kafka.events().receive(Duration::from_secs(1)) {
            let place = delivery.partition.partition as usize;
            assert!(delivery.complete_until > newest[place] && delivery.from_offset == delivery.until_offset);
            newest[place] = delivery.complete_until;
            proofs[place] += 1;
        }
    }
    // Something new is read before the end is proved again.
    produce(&bootstrap, 8..12);
    let starts = [(0, 2), (1, 2), (2, 2), (3, 2)];
    let found = read(&kafka, &starts, [1; 4]);
    assert_eq!(found.concat(), ["8", "9", "10", "11"]);
}

#[test]
fn a_full_queue_makes_the_consumer_wait_and_loses_nothing() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..1_000);
    let settings = KafkaSettings { queue_bytes_max: 1, ..KafkaSettings::new(&bootstrap, "group") };
    let kafka = start(settings, &[source()], HashMap::new(), BTreeMap::new()).expect("settings are right");
    std::thread::sleep(Duration::from_secs(1));
    assert!(kafka.metrics().queue_depth_count <= 1);
    let found = read(&kafka, &[], [250; 4]);
    assert_eq!(found.map(|ids| ids.len()), [250; 4]);
}

/// The client remembers that a partition is paused, whoever has it meanwhile.
#[test]
fn r20_partitions_that_go_and_come_back_while_a_full_queue_pauses_them_are_read_on() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..1_000);
    let mut settings = KafkaSettings { queue_bytes_max: 1, ..KafkaSettings::new(&bootstrap, "group") };
    for (property, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")] {
        settings.properties.insert(property.to_owned(), value.to_owned());
    }
    let kafka = start(settings, &[source()], HashMap::new(), BTreeMap::new()).expect("settings are right");
    // Nobody receives for so long that it pauses, and another member takes some of the partitions.
    std::thread::sleep(Duration::from_secs(8));
    let mut other = Some(consume(&bootstrap, &[]));
    let mut positions = [0; 4];
    let (deadline, began) = (Moment::now() + 2 * PATIENCE, Moment::now());
    while positions != [500; 4] {
        assert!(Moment::now() < deadline, "it is at {positions:?}");
        if let Some(member) = &other {
            member.events().receive(Duration::from_millis(10));
            if began.elapsed() >= Duration::from_secs(10) {
                other.take().expect("it is there").stop();
                produce(&bootstrap, 1_000..2_000);
            }
        }
        if let Some(KafkaEvent::Delivery(delivery)) = kafka.events().receive(Duration::from_millis(10)) {
            let position = &mut positions[delivery.partition.partition as usize];
            assert_eq!(delivery.from_offset, *position, "each offset is covered once");
            *position = delivery.until_offset;
        }
    }
}

#[test]
fn an_offset_that_kafka_does_not_have_ends_the_source_and_says_what_to_do() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..8);
    let kafka = consume(&bootstrap, &[(2, 1_000)]);
    let deadline = Moment::now() + PATIENCE;
    let error = loop {
        assert!(Moment::now() < deadline, "no error came");
        if let Some(KafkaEvent::Fatal(error)) = kafka.events().receive(Duration::from_secs(1)) {
            break error;
        }
    };
    assert!(matches!(&error, IngestError::KafkaOffset { partition: 2, offset: 1_000, .. }), "{error}");
    assert!(error.to_string().contains("give the tables a fresh folder"), "{error}");
    assert!(kafka.events().receive(PATIENCE).is_none() && kafka.events().is_finished());
}

#[test]
fn stopping_is_prompt_while_the_receiver_stalls() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..100);
    let settings = KafkaSettings { queue_bytes_max: 1, ..KafkaSettings::new(&bootstrap, "group") };
    let kafka = start(settings, &[source()], HashMap::new(), BTreeMap::new()).expect("settings are right");
    let deadline = Moment::now() + PATIENCE;
    while kafka.metrics().queue_depth_count == 0 {
        assert!(Moment::now() < deadline, "nothing came");
        std::thread::sleep(Duration::from_millis(10));
    }
    let events = kafka.events().clone();
    kafka.stop();
    while events.receive(Duration::ZERO).is_some() {}
    assert!(events.is_finished());
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_hint() {
    let check = |properties: &[(&str, &str)], hint: &str| {
        let mut settings = KafkaSettings::new("localhost:1", "group");
        settings.properties = properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let error = start(settings, &[source()], HashMap::new(), BTreeMap::new()).err().expect("refused").to_string();
        assert!(error.contains(hint), "{error}");
    };
    check(&[("enable.auto.commit", "true")], "enable.auto.commit cannot be set");
    check(&[("no.such.property", "1")], "no.such.property");
    check(&[("fetch.wait.max.ms", "soon")], "fetch.wait.max.ms");
    check(&[("security.protocol", "SASL_PLAINTEXT")], "set one of PLAIN");
    if !cfg!(feature = "kafka-tls") {
        check(&[("security.protocol", "sasl_ssl"), ("sasl.mechanism", "PLAIN")], "--features kafka-tls");
        check(&[("security.protocol", "ssl")], "--features kafka-tls");
        check(
            &[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "SCRAM-SHA-512")],
            "SCRAM-SHA-512 needs OpenSSL",
        );
    }
    let settings = KafkaSettings::new("localhost:1", "group");
    let twice = start(settings.clone(), &[source(), source()], HashMap::new(), BTreeMap::new()).err().expect("refused");
    assert!(twice.to_string().contains("mapped by source plain and by source plain"), "{twice}");
    let none = start(settings, &[], HashMap::new(), BTreeMap::new()).err().expect("refused");
    assert!(none.to_string().contains("no source names a topic"), "{none}");
}

#[test]
fn sasl_plain_needs_no_further_library() {
    let mut settings = KafkaSettings::new("localhost:1", "group");
    let properties = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
    ];
    settings.properties = properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert!(start(settings, &[source()], HashMap::new(), BTreeMap::new()).is_ok());
}

#[test]
fn a_queue_is_bounded_by_bytes() {
    let events = KafkaEvents::new(100);
    let push = |bytes| events.push(KafkaEvent::Recovered, bytes, Duration::ZERO);
    assert!(matches!(push(1_000), Push::Done), "too large for the bound, but alone");
    assert!(matches!(push(1), Push::Full(event) if matches!(*event, KafkaEvent::Recovered)));
    assert!(events.receive(Duration::ZERO).is_some());
    assert!(matches!(push(60), Push::Done));
    assert!(matches!(push(40), Push::Done));
    assert!(matches!(push(1), Push::Full(_)));
    assert_eq!((events.depth_count(), events.bytes()), (2, 100));
    events.close();
    assert!(matches!(push(0), Push::Closed));
    assert!(events.receive(PATIENCE).is_some() && events.receive(PATIENCE).is_some());
    assert!(events.receive(PATIENCE).is_none() && events.is_finished());
}

#[test]
fn trouble_is_announced_once_and_its_end_too() {
    let start = Moment::now();
    let mut troubles = Troubles::default();
    let mut at = |millis: u64, change: &dyn Fn(&mut Troubles, Moment)| -> Vec<String> {
        let now = start + Duration::from_millis(millis);
        change(&mut troubles, now);
        let events = troubles.announcements(now);
        let word = |event: &KafkaEvent| match event {
            KafkaEvent::Unavailable { why, .. } => why.clone(),
            _ => "recovered".to_owned(),
        };
        events.iter().map(word).collect()
    };
    let limit = UNAVAILABLE_AFTER.as_millis() as u64;
    let begin = |cause: Cause, why: &'static str| {
        move |troubles: &mut Troubles, now| troubles.begin(cause.clone(), why.to_owned(), now)
    };
    let topic = || Cause::Topic("t".to_owned());
    let none: [String; 0] = [];
    assert_eq!(at(0, &begin(Cause::Start, "nothing yet")), none);
    assert_eq!(at(1, &begin(Cause::Connection, "no broker")), none);
    assert_eq!(at(limit, &|_, _| {}), none, "the start is explained by the connection");
    assert_eq!(at(limit + 1, &begin(Cause::Connection, "still no broker")), ["still no broker"]);
    assert_eq!(at(limit + 2, &begin(topic(), "no topic")), none);
    assert_eq!(at(2 * limit + 2, &|_, _| {}), ["no topic"]);
    assert_eq!(at(2 * limit + 3, &|troubles, _| troubles.end(&Cause::Connection)), none, "the topic is still missing");
    assert_eq!(at(2 * limit + 4, &|troubles, _| troubles.end(&topic())), ["nothing yet"]);
    assert_eq!(at(2 * limit + 5, &|troubles, _| troubles.end(&Cause::Start)), ["recovered"]);
    // What passes by itself is never mentioned.
    assert_eq!(at(3 * limit, &begin(Cause::Group, "group")), none);
    assert_eq!(at(3 * limit + 1, &|troubles, _| troubles.end(&Cause::Group)), none);
}

#[test]
fn r23_a_partition_is_complete_until_its_position_was_proved_to_be_its_end() {
    let start = Moment::now();
    let at = |millis| start + Duration::from_millis(millis);
    let wait = DELIVERY_WAIT_MAX.as_millis() as u64;
    let mut reader = PartitionReader::new(source(), id(0), None);
    let event = payload("a");
    let record = |offset| Record { offset, payload: Some(&event), record_time: None };
    let cut = |reader: &mut PartitionReader, millis| {
        reader.is_due(at(millis)).then(|| {
            let (delivery, _) = reader.cut(at(millis)).expect("something was read").expect("columns");
            (delivery.from_offset, delivery.until_offset, delivery.complete_until.map(|proof| proof.0))
        })
    };
    assert_eq!(cut(&mut reader, 0), None);
    reader.read(record(7), at(0)); // The beginning was deleted: it starts at 7.
    reader.read(record(7), at(0)); // The same again is passed over.
    reader.read(record(9), at(0)); // 8 was compacted away.
    assert_eq!(cut(&mut reader, wait - 1), None);
    assert_eq!(cut(&mut reader, wait), Some((7, 10, None)));
    reader.reach_end(12); // 10 and 11 are marks of a transaction.
    assert_eq!(cut(&mut reader, 9 * wait), None, "an empty fetch alone is no proof");
    let interval = Duration::from_millis(wait);
    assert!(reader.needs_proof(interval, at(wait)), "the brokers are asked at once");
    reader.ask(at(wait));
    assert!(!reader.needs_proof(interval, at(2 * wait - 1)) && reader.needs_proof(interval, at(2 * wait)));
    reader.confirm_end(14, Instant(1)); // An open transaction holds 12 and 13 back, or they are on their way.
    assert_eq!(cut(&mut reader, 9 * wait), None);
    reader.confirm_end(12, Instant(2));
    assert_eq!(cut(&mut reader, 2 * wait - 1), None, "ten deliveries a second are enough");
    assert_eq!(cut(&mut reader, 2 * wait), Some((10, 12, Some(2))));
    reader.confirm_end(12, Instant(3));
    reader.confirm_end(12, Instant(4));
    assert_eq!(cut(&mut reader, 3 * wait), Some((12, 12, Some(4))));
    assert_eq!(cut(&mut reader, 9 * wait), None, "a proof is told once");
    reader.confirm_end(12, Instant(5));
    reader.read(record(12), at(4 * wait)); // What comes later does not undo the proof.
    assert_eq!(cut(&mut reader, 5 * wait), Some((12, 13, Some(5))));
    reader.read(record(13), at(5 * wait));
    reader.confirm_end(14, Instant(6)); // The brokers' word alone is no proof: no empty fetch has said so.
    assert_eq!(cut(&mut reader, 6 * wait), Some((13, 14, None)));
}

#[test]
fn r20_a_record_behind_the_end_is_believed_only_when_it_comes_a_second_time() {
    let now = Moment::now();
    let mut reader = PartitionReader::new(source(), id(0), Some(5));
    let event = payload("a");
    let record = |offset| Record { offset, payload: Some(&event), record_time: None };
    reader.read(record(5), now);
    reader.reach_end(6);
    // 6 came while the partition was paused, and the client goes on behind it.
    reader.read(record(7), now);
    assert_eq!((reader.position(), reader.range()), (Some(6), Range::PassedOver));
    reader.read(record(8), now);
    assert_eq!(reader.position(), Some(6), "nothing is read before it begins again");
    reader.read_again();
    reader.read(record(6), now);
    reader.read(record(7), now);
    assert_eq!((reader.position(), reader.range()), (Some(8), Range::Inside));
    // The marks of a transaction: what is behind the end comes a second time, and nothing else.
    reader.reach_end(8);
    reader.read(record(10), now);
    assert_eq!(reader.range(), Range::PassedOver);
    reader.read_again();
    reader.read(record(10), now);
    assert_eq!((reader.position(), reader.range()), (Some(11), Range::Inside));
    let (delivery, _) = reader.cut(now).expect("something was read").expect("columns");
    assert_eq!((delivery.from_offset, delivery.until_offset, delivery.events.num_rows()), (5, 11, 4));
}

#[test]
fn r20_nothing_is_read_of_a_topic_that_was_gone_before_it_is_known_to_be_the_same() {
    let (now, event) = (Moment::now(), payload("a"));
    let read = |reader: &mut PartitionReader, offset| {
        reader.read(Record { offset, payload: Some(&event), record_time: None }, now);
    };
    let mut reader = PartitionReader::new(source(), id(0), Some(5));
    read(&mut reader, 5);
    assert_eq!(reader.unidentified_from(), Some(5), "its id was never asked for since");
    reader.ask_identity();
    read(&mut reader, 6);
    reader.identify();
    assert_eq!((reader.position(), reader.unidentified_from()), (Some(7), Some(6)));

    // It is gone. What comes under its name is left where it is, and so is what Kafka says of it.
    reader.ask_identity();
    reader.withhold();
    read(&mut reader, 7);
    reader.reach_end(9);
    reader.confirm_end(9, Instant(0));
    reader.set_range(Range::Unknown);
    assert_eq!((reader.position(), reader.range()), (Some(7), Range::Withheld));
    reader.identify();
    assert_eq!(reader.range(), Range::Withheld, "that was asked before it was gone");
    // It is the same after all, and is read from where it was left.
    reader.ask_identity();
    reader.identify();
    assert_eq!((reader.range(), reader.unidentified_from()), (Range::PassedOver, None));
    reader.read_again();
    read(&mut reader, 7);
    assert_eq!((reader.position(), reader.unidentified_from()), (Some(8), Some(7)));
}

#[test]
fn r20_a_further_end_is_believed_only_when_it_is_found_a_second_time() {
    let now = Moment::now();
    let mut reader = PartitionReader::new(source(), id(0), Some(5));
    let event = payload("a");
    let record = |offset| Record { offset, payload: Some(&event), record_time: None };
    reader.reach_end(5);
    // 5 came while the partition was paused, and the client finds the end behind it.
    reader.reach_end(6);
    assert_eq!((reader.position(), reader.range()), (Some(5), Range::PassedOver));
    reader.reach_end(6);
    assert_eq!(reader.position(), Some(5), "nothing is covered before it begins again");
    reader.read_again();
    // The end is found where it was, and then the same happens again.
    reader.reach_end(5);
    reader.read(record(6), now);
    reader.reach_end(7);
    assert_eq!((reader.position(), reader.range()), (Some(5), Range::PassedOver));
    reader.read_again();
    reader.read(record(5), now);
    reader.read(record(6), now);
    reader.reach_end(7);
    assert_eq!((reader.position(), reader.range()), (Some(7), Range::Inside));
    // An aborted transaction: the end behind it is found a second time.
    reader.reach_end(9);
    assert_eq!((reader.position(), reader.range()), (Some(7), Range::PassedOver));
    reader.read_again();
    reader.reach_end(9);
    assert_eq!((reader.position(), reader.range()), (Some(9), Range::Inside));
    let (delivery, _) = reader.cut(now).expect("something was read").expect("columns");
    assert_eq!((delivery.from_offset, delivery.until_offset, delivery.events.num_rows()), (5, 9, 2));
}

#[test]
fn r20_the_brokers_word_brings_a_last_record_that_was_passed_over() {
    let now = Moment::now();
    let mut reader = PartitionReader::new(source(), id(0), Some(5));
    let event = payload("a");
    let record = |offset| Record { offset, payload: Some(&event), record_time: None };
    // More is there, but we were not at the end.
    reader.confirm_end(6, Instant(1));
    reader.confirm_end(6, Instant(2));
    assert_eq!(reader.range(), Range::Inside);
    reader.reach_end(5);
    // It may be on its way when they say so for the first time.
    reader.confirm_end(6, Instant(3));
    assert_eq!(reader.range(), Range::Inside);
    reader.confirm_end(6, Instant(4));
    assert_eq!(reader.range(), Range::PassedOver);
    reader.read_again();
    reader.read(record(5), now);
    reader.reach_end(6);
    // An open transaction holds what comes back: there is nothing to be read however often one looks.
    reader.confirm_end(9, Instant(5));
    reader.confirm_end(9, Instant(6));
    assert_eq!(reader.range(), Range::PassedOver);
    reader.read_again();
    reader.reach_end(6);
    (7..12).for_each(|asked| reader.confirm_end(9, Instant(asked)));
    assert_eq!((reader.position(), reader.range()), (Some(6), Range::Inside));
}

#[test]
fn r23_a_partition_that_went_silent_though_more_is_there_is_read_anew() {
    let now = Moment::now();
    let mut reader = PartitionReader::new(source(), id(0), Some(5));
    let event = payload("a");
    let seconds = Duration::from_secs;
    // Nothing has come for half a minute, and the brokers say whether something is to come.
    reader.wait(seconds(29));
    assert!(!reader.wants_end() && !reader.needs_proof(Duration::ZERO, now));
    reader.confirm_end(6, Instant(1));
    assert_eq!(reader.range(), Range::Inside);
    reader.wait(seconds(1));
    assert!(reader.needs_proof(Duration::ZERO, now));
    reader.confirm_end(5, Instant(2));
    assert!(reader.range() == Range::Inside && !reader.wants_end(), "nothing is there; it is asked again later");
    assert!(reader.cut(now).expect("a position").expect("columns").0.complete_until.is_none(), "one witness of two");
    reader.wait(seconds(30));
    reader.confirm_end(6, Instant(3));
    assert_eq!(reader.range(), Range::PassedOver);
    // In vain: the next time it takes twice as long.
    reader.read_again();
    reader.wait(seconds(59));
    reader.confirm_end(6, Instant(4));
    assert_eq!(reader.range(), Range::Inside);
    reader.wait(seconds(1));
    reader.confirm_end(6, Instant(5));
    assert_eq!(reader.range(), Range::PassedOver);
    // Whatever comes ends the silence.
    reader.read_again();
    reader.wait(seconds(100));
    reader.read(Record { offset: 5, payload: Some(&event), record_time: None }, now);
    assert!(!reader.wants_end());
    reader.wait(seconds(30));
    assert!(reader.wants_end());
    reader.reach_end(6);
    reader.confirm_end(6, Instant(6));
    let (delivery, _) = reader.cut(now).expect("something was read").expect("columns");
    assert_eq!((delivery.until_offset, delivery.complete_until), (6, Some(Instant(6))));
}

#[test]
fn r23_a_broker_that_does_not_answer_proves_nothing_and_is_told_of() {
    let cluster = cluster();
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, 0..8);
    let kafka = consume(&bootstrap, &[]);
    read(&kafka, &[], [2; 4]);
    // Every answer comes later than anybody waits for.
    cluster.broker_round_trip_time(1, Duration::from_secs(3_600)).expect("a broker");
    let hung = Moment::now();
    // Proofs that were on their way.
    while hung.elapsed() < Duration::from_secs(2) {
        kafka.events().receive(Duration::from_millis(100));
    }
    let told = loop {
        assert!(hung.elapsed() < PATIENCE, "no trouble was told");
        match kafka.events().receive(Duration::from_secs(1)) {
            Some(KafkaEvent::Unavailable { why, .. }) => break why,
            Some(KafkaEvent::Delivery(delivery)) => assert_eq!(delivery.complete_until, None, "nobody can know that"),
            _ => {}
        }
    };
    assert!(told.starts_with(&format!("no broker answers at {bootstrap}")), "{told}");
    assert!(hung.elapsed() < UNAVAILABLE_AFTER + Duration::from_secs(20), "{:?}", hung.elapsed());
}
