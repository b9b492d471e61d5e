//! The consumer against a real broker: what the mock cluster of its own tests cannot show.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_ingest::kafka::{CAUGHT_UP_INTERVAL, KafkaEvent, KafkaSettings, KafkaSource, start};
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::{Delivery, PartitionId};
use plimsoll_schemas::event::EventColumn;
use plimsoll_tests::broker::Broker;
use rdkafka::producer::{BaseRecord, Producer};

const PATIENCE: Duration = Duration::from_secs(90);

fn source(topics: &[&str]) -> Arc<Source> {
    Arc::new(Source { topics: topics.iter().map(|topic| topic.to_string()).collect(), ..Source::plain("plain") })
}

fn events(ids: std::ops::Range<i32>) -> impl Iterator<Item = String> {
    ids.map(|id| {
        format!(r#"{{"id":"{id}","time":"2026-01-31T08:00:00Z","kind":"monitoring","service":"shop","status":"up"}}"#)
    })
}

fn consume(broker: &Broker, topics: &[&str], starts: &[(&str, i32, i64)]) -> KafkaSource {
    let starts = starts.iter().map(|(topic, number, offset)| (partition(topic, *number), *offset)).collect();
    start(KafkaSettings::new(broker.bootstrap(), "group"), &[source(topics)], starts, BTreeMap::new())
        .expect("settings are right")
}

/// The next event for which `wanted` has an answer.
fn wait_for<T>(kafka: &KafkaSource, mut wanted: impl FnMut(KafkaEvent) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the event did not come");
        if let Some(found) = kafka.events().receive(Duration::from_secs(1)).and_then(&mut wanted) {
            return found;
        }
    }
}

#[test]
fn a_missing_topic_is_announced_and_read_once_it_exists() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    let kafka = consume(&broker, &["later"], &[]);
    let why = wait_for(&kafka, |event| match event {
        KafkaEvent::Unavailable { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(why, "topic later does not exist; create it, or correct the topics of its source");
    broker.create_topic("later", 1).expect("topic");
    broker.produce("later", 0, events(0..3)).expect("records");
    let mut recovered = false;
    let mut rows_count = 0;
    wait_for(&kafka, |event| {
        match event {
            KafkaEvent::Recovered => recovered = true,
            KafkaEvent::Delivery(delivery) => rows_count += delivery.events.num_rows(),
            _ => {}
        }
        (recovered && rows_count == 3).then_some(())
    });
}

#[test]
fn r20_members_of_a_group_share_the_partitions_and_lose_no_record() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("shared", 4).expect("topic");
    for partition in 0..4 {
        broker.produce("shared", partition, events(partition * 1_000..partition * 1_000 + 500)).expect("records");
    }
    let first = consume(&broker, &["shared"], &[]);
    wait_for(&first, |event| matches!(event, KafkaEvent::Assigned(ids) if ids.len() == 4).then_some(()));
    let second = consume(&broker, &["shared"], &[]);
    for partition in 0..4 {
        broker
            .produce("shared", partition, events(partition * 1_000 + 500..partition * 1_000 + 1_000))
            .expect("records");
    }
    // Each member's deliveries must stand between the partition's `Assigned` and `Revoked`, and cover offsets in order.
    let mut ids = HashSet::new();
    let mut positions: [HashMap<PartitionId, Option<i64>>; 2] = Default::default();
    let deadline = Instant::now() + PATIENCE;
    while ids.len() < 4_000 || positions.iter().any(|positions| positions.len() != 2) {
        assert!(Instant::now() < deadline, "only {} events came, assigned: {positions:?}", ids.len());
        for (kafka, positions) in [&first, &second].into_iter().zip(&mut positions) {
            match kafka.events().receive(Duration::from_millis(20)) {
                // The first member's first assignment was seen above.
                Some(KafkaEvent::Assigned(gained)) => positions.extend(gained.into_iter().map(|id| (id, None))),
                Some(KafkaEvent::Revoked(lost)) => positions.retain(|id, _| !lost.contains(id)),
                Some(KafkaEvent::Delivery(delivery)) => {
                    let position = positions.entry(delivery.partition.clone()).or_default();
                    assert!(position.is_none_or(|position| position == delivery.from_offset));
                    *position = Some(delivery.until_offset);
                    ids.extend(delivery.events.text(EventColumn::Id).iter().flatten().map(str::to_owned));
                }
                Some(other) => panic!("unexpected: {other:?}"),
                None => {}
            }
        }
    }
    // The member that stops leaves at once: the other reads all four without waiting for a session to time out.
    second.stop();
    let mut assigned: HashSet<PartitionId> = positions[0].keys().cloned().collect();
    wait_for(&first, |event| {
        match event {
            KafkaEvent::Assigned(gained) => assigned.extend(gained),
            KafkaEvent::Revoked(lost) => assigned.retain(|id| !lost.contains(id)),
            _ => {}
        }
        (assigned.len() == 4).then_some(())
    });
}

#[test]
fn a_partition_that_comes_back_goes_on_where_it_was_left() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for strategy in ["range", "cooperative-sticky"] {
        broker.create_topic(strategy, 2).expect("topic");
        let member = || {
            let mut settings = KafkaSettings::new(broker.bootstrap(), strategy);
            settings.properties.insert("partition.assignment.strategy".to_owned(), strategy.to_owned());
            start(settings, &[source(&[strategy])], HashMap::new(), BTreeMap::new()).expect("settings are right")
        };
        let produce = |ids: std::ops::Range<i32>| {
            (0..2).for_each(|number| broker.produce(strategy, number, events(ids.clone())).expect("records"));
        };
        let first = member();
        let (mut next, mut assigned) = ([0, 0], HashSet::new());
        // Each offset is delivered once and in order, whoever had the partition in between.
        let mut read = |wanted: &dyn Fn(&[i64; 2], &HashSet<i32>) -> bool| {
            wait_for(&first, |event| {
                match event {
                    KafkaEvent::Assigned(gained) => assigned.extend(gained.iter().map(|id| id.partition)),
                    KafkaEvent::Revoked(lost) => {
                        assigned.retain(|number| lost.iter().all(|id| id.partition != *number))
                    }
                    KafkaEvent::Delivery(Delivery { partition, from_offset, until_offset, events, .. }) => {
                        let next = &mut next[partition.partition as usize];
                        assert_eq!(from_offset, *next, "{strategy}");
                        assert_eq!(
                            events.num_rows() as i64,
                            until_offset - from_offset,
                            "{strategy}: none is passed over"
                        );
                        *next = until_offset;
                    }
                    other => panic!("unexpected: {other:?}"),
                }
                wanted(&next, &assigned).then_some(())
            });
        };
        produce(0..10);
        read(&|next, _| *next == [10, 10]);
        // The other member reads something of its partition, from its beginning, and leaves again.
        let second = member();
        read(&|_, assigned| assigned.len() == 1);
        produce(10..20);
        wait_for(&second, |event| matches!(event, KafkaEvent::Delivery(read) if read.until_offset == 20).then_some(()));
        second.stop();
        read(&|next, assigned| *next == [20, 20] && assigned.len() == 2);
        // One that reads nothing, and a partition more.
        let third = member();
        read(&|_, assigned| assigned.len() == 1);
        third.stop();
        produce(20..30);
        read(&|next, _| *next == [30, 30]);
    }
}

#[test]
fn r23_a_partition_before_an_open_transaction_is_not_complete() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("held", 1).expect("topic");
    broker.produce("held", 0, events(0..1)).expect("a record");
    let transaction = broker.transaction("one").expect("a transaction");
    for event in events(1..11) {
        let record = BaseRecord::<(), str>::to("held").partition(0).payload(&event);
        transaction.send(record).map_err(|(error, _)| error).expect("room for a record");
    }
    transaction.flush(PATIENCE).expect("records are stored");
    let kafka = consume(&broker, &["held"], &[]);
    let delivery = |event| match event {
        KafkaEvent::Delivery(delivery) => Some((delivery.until_offset, delivery.complete_until)),
        _ => None,
    };
    assert_eq!(wait_for(&kafka, delivery), (1, None));
    let until = Instant::now() + 3 * CAUGHT_UP_INTERVAL;
    while Instant::now() < until {
        let event = kafka.events().receive(Duration::from_millis(100));
        assert!(event.is_none(), "ten records lie behind the last stable offset: {event:?}");
    }
    transaction.commit_transaction(PATIENCE).expect("committed");
    // Ten records and the transaction's mark.
    wait_for(&kafka, |event| matches!(delivery(event), Some((12, Some(_)))).then_some(()));
}

#[test]
fn r23_a_deleted_topic_is_told_of_and_no_longer_complete() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for topic in ["kept", "gone"] {
        broker.create_topic(topic, 1).expect("topic");
        broker.produce(topic, 0, events(0..1)).expect("a record");
    }
    let kafka = consume(&broker, &["kept", "gone"], &[]);
    let mut complete = HashSet::new();
    wait_for(&kafka, |event| {
        if let KafkaEvent::Delivery(Delivery { partition, complete_until: Some(_), .. }) = event {
            complete.insert(partition.topic.to_string());
        }
        (complete.len() == 2).then_some(())
    });
    broker.delete_topic("gone").expect("deleted");
    let deleted = plimsoll_schemas::Instant::from(chrono::Utc::now());
    let why = wait_for(&kafka, |event| match event {
        KafkaEvent::Delivery(Delivery { partition, complete_until, .. }) if &*partition.topic == "gone" => {
            assert!(complete_until < Some(deleted), "nobody can know that");
            None
        }
        KafkaEvent::Unavailable { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(why, "topic gone does not exist; create it, or correct the topics of its source");
    wait_for(&kafka, |event| match event {
        KafkaEvent::Delivery(delivery) => (&*delivery.partition.topic == "kept").then_some(()),
        _ => None,
    });
}

#[test]
fn records_that_retention_deleted_unread_are_told_and_reading_goes_on_behind_them() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    for strategy in ["range", "cooperative-sticky"] {
        broker.create_topic(strategy, 2).expect("topic");
        broker.produce(strategy, 0, events(0..10)).expect("records");
        broker.produce(strategy, 1, events(10..20)).expect("records");
        broker.delete_records(strategy, 0, 5).expect("deleted");
        let read = |starts: &[(&str, i32, i64)]| {
            let mut settings = KafkaSettings::new(broker.bootstrap(), strategy);
            settings.properties.insert("partition.assignment.strategy".to_owned(), strategy.to_owned());
            let starts = starts.iter().map(|(topic, number, offset)| (partition(topic, *number), *offset)).collect();
            let kafka = start(settings, &[source(&[strategy])], starts, BTreeMap::new()).expect("settings are right");
            let mut found = BTreeMap::from([(0, Vec::new()), (1, Vec::new())]);
            wait_for(&kafka, |event| {
                if let KafkaEvent::Delivery(delivery) = event
                    && delivery.until_offset > delivery.from_offset
                {
                    let Delivery { partition, from_offset, until_offset, is_lost, events, .. } = delivery;
                    assert_eq!(events.num_rows() as i64, if is_lost { 0 } else { until_offset - from_offset });
                    found.get_mut(&partition.partition).expect("one of two").push((from_offset, until_offset, is_lost));
                }
                let is_read = |parts: &Vec<(i64, i64, bool)>| parts.last().is_some_and(|(_, until, _)| *until == 10);
                found.values().all(is_read).then_some(())
            });
            found.into_values().collect::<Vec<_>>()
        };
        // Where nothing was read before, a partition is read from what is there, and nothing is lost.
        assert_eq!(read(&[]), [vec![(5, 10, false)], vec![(0, 10, false)]], "{strategy}");
        // 3 and 4 were to be read and are gone. The other partition is not disturbed.
        let behind = [(strategy, 0, 3), (strategy, 1, 8)];
        assert_eq!(read(&behind), [vec![(3, 5, true), (5, 10, false)], vec![(8, 10, false)]], "{strategy}");
    }
}

fn partition(topic: &str, partition: i32) -> PartitionId {
    PartitionId { topic: topic.into(), partition }
}

#[test]
fn commits_are_a_hint_for_lag_monitors_and_lag_is_measured() {
    let Some(broker) = Broker::start_or_skip().expect("broker") else { return };
    broker.create_topic("hinted", 1).expect("topic");
    broker.produce("hinted", 0, events(0..10)).expect("records");
    let kafka = consume(&broker, &["hinted"], &[]);
    wait_for(&kafka, |event| {
        matches!(event, KafkaEvent::Delivery(delivery) if delivery.complete_until.is_some()).then_some(())
    });
    let id = PartitionId { topic: "hinted".into(), partition: 0 };
    let deadline = Instant::now() + PATIENCE;
    while kafka.metrics().lag_count != BTreeMap::from([(id.clone(), 0)]) {
        assert!(Instant::now() < deadline, "lag: {:?}", kafka.metrics().lag_count);
        std::thread::sleep(Duration::from_millis(50));
    }
    kafka.commit(HashMap::from([(id, 7)]));
    kafka.stop();
    assert_eq!(broker.committed_offset("group", "hinted", 0).expect("answer"), Some(7));
}
