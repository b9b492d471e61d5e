//! What the generated month promises: the same bytes for the same seed, the shape of a real month, faults as counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use plimsoll_schemas::definition::{File, load};
use serde_json::Value;

use super::catalogue::{Temper, Tier};
use super::*;

const SEED: u64 = 7;

fn january() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date")
}

/// One generator for all tests that only look at it.
static JANUARY: LazyLock<Generator> = LazyLock::new(|| Generator::new(SEED, january()));

/// By topic and id: the event, and how often it came.
type Events = BTreeMap<(&'static str, String), (Value, usize)>;

/// Every record of `JANUARY` that is not broken.
static EVENTS: LazyLock<Events> = LazyLock::new(|| {
    let mut events = Events::new();
    for (planned, record) in JANUARY.plan.iter().zip(JANUARY.records()) {
        if !matches!(planned.body, Body::Broken { .. }) {
            let event: Value = serde_json::from_slice(&record.payload).expect("it is JSON");
            let id = event.get("uid").or_else(|| event.get("id")).and_then(Value::as_str).expect("it has an id");
            events.entry((record.topic, id.to_owned())).or_insert((event, 0)).1 += 1;
        }
    }
    events
});

/// FNV-1a (Fowler, Noll and Vo) over the definitions and every hundredth record.
fn fingerprint(generator: &Generator) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (_, text) in generator.definitions() {
        add(text.as_bytes());
    }
    for record in generator.records().step_by(100) {
        add(&record.key);
        add(&record.payload);
        add(&record.arrival.0.to_le_bytes());
    }
    hash
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert!(JANUARY.records().eq(Generator::new(SEED, january()).records()));
    // Taken down once: every machine must come to it.
    assert_eq!(fingerprint(&JANUARY), 5_682_685_442_961_342_356);
    assert_ne!(fingerprint(&Generator::new(SEED + 1, january())), fingerprint(&JANUARY));
}

#[test]
fn a_month_has_the_promised_size() {
    let generator = &*JANUARY;
    assert_eq!(generator.records().count(), generator.records_count());
    assert!((250_000..=350_000).contains(&generator.records_count()), "{}", generator.records_count());
    assert_eq!(generator.catalogue.services.len(), 200);
    let count_of = |wanted: &str| {
        generator.catalogue.agreements.iter().filter(|agreement| agreement.agreement_type == wanted).count()
    };
    assert_eq!([count_of("sla"), count_of("ola"), count_of("uc")], [200, 60, 40]);
    let topics: BTreeSet<&str> = generator.records().map(|record| record.topic).collect();
    assert_eq!(topics, BTreeSet::from(["monitoring", "probes", "incidents", "changes", "feedback"]));
}

#[test]
fn records_come_in_order_of_arrival_and_never_before_they_happen() {
    let generator = &*JANUARY;
    let arrivals: Vec<Instant> = generator.records().map(|record| record.arrival).collect();
    assert!(arrivals.is_sorted());
    assert!(generator.plan.iter().all(|planned| planned.time <= planned.arrival));
    assert!(generator.plan.iter().all(|planned| (generator.month.start..generator.month.end).contains(&planned.time)));
}

#[test]
fn r20_faults_are_as_counted() {
    let generator = &*JANUARY;
    let faults = generator.faults();
    let events = &*EVENTS;
    assert_eq!(events.values().map(|(_, times)| times - 1).sum::<usize>(), faults.duplicates);
    assert_eq!(faults.duplicates, events.len() / 200);
    assert_eq!(faults.late, events.len() / 100);
    assert_eq!((faults.late_by_days, faults.broken), (20, 25));
    assert_eq!(generator.records_count(), events.len() + faults.duplicates + faults.broken);
    let days_late = generator.plan.iter().filter(|planned| planned.arrival - planned.time >= DAY).count();
    // A record that is late by days may be sent twice.
    assert!((20..=22).contains(&days_late), "{days_late}");
}

#[test]
fn events_are_plain_and_complete() {
    let generator = &*JANUARY;
    let services: BTreeSet<&str> = generator.catalogue.services.iter().map(|service| service.id.as_str()).collect();
    for ((topic, id), (event, _)) in &*EVENTS {
        let (service, time) = if *topic == "probes" {
            (&event["labels"]["service"], event["timestamp"].as_i64().map(|time| Instant(time * 1_000)))
        } else {
            (&event["service"], event["time"].as_str().and_then(Instant::parse_rfc3339))
        };
        assert!(service.as_str().is_some_and(|service| services.contains(service)), "{topic} {id}: {event}");
        assert!(time.is_some(), "{topic} {id}: {event}");
        let kind = ["monitoring", "incident", "change", "feedback"];
        assert!(*topic == "probes" || event["kind"].as_str().is_some_and(|word| kind.contains(&word)), "{event}");
    }
}

#[test]
fn outages_have_the_shape_of_real_ones() {
    for seed in 1..=5 {
        let month = Month::of(january());
        let outages = outages::plan(seed, &month, &Catalogue::new(seed, &month)).outages;
        let mut minutes: Vec<i64> = outages.iter().map(|outage| (outage.until - outage.from) / MINUTE).collect();
        minutes.sort_unstable();
        let (median, p90) = (minutes[minutes.len() / 2], minutes[minutes.len() * 9 / 10]);
        let starts: Vec<i64> = outages.iter().map(|outage| outage.from).collect();
        let near = |place: usize, other: Option<usize>| {
            other.and_then(|other| starts.get(other)).is_some_and(|start| (start - starts[place]).abs() <= 5 * MINUTE)
        };
        let together = (0..starts.len())
            .filter(|&place| near(place, place.checked_sub(1)) || near(place, Some(place + 1)))
            .count();
        let percent = together * 100 / starts.len();
        println!("seed {seed}: {} outages, median {median}, p90 {p90}, {percent} % together", starts.len());
        // shared/data: median 13-20 min, p90 55-72 min, 75 % within five minutes of another.
        assert!((12..=20).contains(&median), "{median}");
        assert!((50..=72).contains(&p90), "{p90}");
        assert!((70..=85).contains(&percent), "{percent}");
    }
}

#[test]
fn services_keep_their_temper() {
    for seed in 1..=5 {
        let month = Month::of(january());
        let catalogue = Catalogue::new(seed, &month);
        let mut down = vec![0; catalogue.services.len()];
        for outage in outages::plan(seed, &month, &catalogue).outages {
            down[outage.service] += catalogue.hours_of(outage.service).agreed(outage.from, outage.until);
        }
        let mut counts = BTreeMap::new();
        for (place, service) in catalogue.services.iter().enumerate() {
            let offering = service.offering.get();
            let agreed = catalogue.hours_of(place).agreed(month.start, month.end);
            let permille = down[place] * 1_000 / (agreed * offering.downtime_ppm() / 1_000_000);
            let judged = match permille {
                0..700 => "fine",
                700..1_000 => "near",
                1_000..1_200 => "just below",
                _ => "below",
            };
            *counts.entry((format!("{:?}", service.temper), judged)).or_insert(0) += 1;
            assert_eq!(judged == "below", service.temper == Temper::Below, "{}: {permille}", service.id);
            assert_eq!(judged == "near", service.temper == Temper::Near, "{}: {permille}", service.id);
        }
        println!("seed {seed}: {counts:?}");
    }
}

#[test]
fn r36_two_watermelons_are_green_outside_and_red_inside() {
    let generator = &*JANUARY;
    let services = &generator.catalogue.services;
    let melons: Vec<&str> =
        services.iter().filter(|service| service.watermelon).map(|service| service.id.as_str()).collect();
    assert_eq!(melons.len(), 2);
    let events = &*EVENTS;
    let scores_of = |wanted: &dyn Fn(&str) -> bool| -> (usize, usize) {
        let scores = events
            .iter()
            .filter(|((topic, _), (event, _))| *topic == "feedback" && event["service"].as_str().is_some_and(wanted));
        scores.fold((0, 0), |(good, all), (_, (event, _))| {
            (good + usize::from(event["score"].as_i64() >= Some(4)), all + 1)
        })
    };
    for melon in &melons {
        let (good, all) = scores_of(&|service| service == *melon);
        assert!(all >= 15 && good * 2 < all, "{melon}: {good} of {all}");
        let service = services.iter().find(|service| service.id == *melon).expect("it is there");
        assert_eq!((service.temper, service.tier), (Temper::Fine, Tier::Gold));
    }
    let (good, all) = scores_of(&|service| !melons.contains(&service));
    assert!(good * 100 > all * 85, "{good} of {all}");
}

#[test]
fn incidents_and_changes_are_as_frequent_as_in_a_real_month() {
    let events = &*EVENTS;
    let of = |topic: &str, field: &str, word: &str| {
        events.iter().filter(|((from, _), (event, _))| *from == topic && event[field] == word).count()
    };
    let incidents = events.keys().filter(|(topic, _)| *topic == "incidents").count();
    let (opened, resolved) = (of("incidents", "action", "opened"), of("incidents", "action", "resolved"));
    let reopened = of("incidents", "action", "reopened");
    println!("{opened} opened, {resolved} resolved, {reopened} reopened, {incidents} events");
    assert!((110..=150).contains(&(opened / 31)), "{opened}");
    assert!((4..=7).contains(&(incidents / opened)), "{incidents}");
    assert!((5..=20).contains(&(reopened * 1_000 / opened)), "{reopened}");
    let (finished, failed) = (of("changes", "action", "finished"), of("changes", "outcome", "failed"));
    println!("{finished} changes finished, {failed} failed");
    assert!((35..=45).contains(&(finished / 31)), "{finished}");
    assert!((20..=60).contains(&(failed * 1_000 / finished)), "{failed}");
}

#[test]
fn the_definitions_pass_every_check() {
    let leap_day = NaiveDate::from_ymd_opt(2024, 2, 29).expect("a date");
    for texts in [JANUARY.definitions(), Generator::new(SEED, leap_day).definitions()] {
        let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
        let definitions = load(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!((definitions.services.len(), definitions.customers.len()), (200, 25));
        assert_eq!((definitions.calendars.len(), definitions.sources.len()), (4, 5));
        // 300 agreements, two of them in two versions.
        assert_eq!(definitions.agreements.len(), 302);
    }
}
