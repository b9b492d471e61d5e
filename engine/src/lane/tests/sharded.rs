//! Shards beside one group that measures everything: in random small worlds they say together, step by step, the very
//! rows that it says, and store the very events (R20, R24, R32, R33, R37).

use std::collections::BTreeSet;

use super::composites::{Composite, NAMES, arriving, composites, services};
use super::*;
use crate::portfolio::tests::definitions_of;
use crate::shards::{Placement, Shard};
use arrow_array::UInt32Array;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::event::Vocabulary;

/// An agreement: the services that it covers, as bits; what it promises of them; and whether it rests on the one before
/// it, and on the first.
#[derive(Clone, Debug)]
struct Promise {
    covers: u32,
    kind: usize,
    rests: (bool, bool),
}

#[derive(Clone, Debug)]
struct World {
    composites: Vec<Composite>,
    depends_on: Vec<u32>,
    promises: Vec<Promise>,
    /// How many of the promises there are at first.
    at_first: usize,
}

/// All services; few lines join them, so that there is something to be cut.
fn worlds() -> impl Strategy<Value = World> {
    let depends_on =
        (0..NAMES.len()).map(|place| (0..1_u32 << place).prop_map(|bits| bits & (bits >> 1) & (bits >> 2)));
    let covers = (0..ALL.len(), 0..ALL.len()).prop_map(|(one, other)| 1 << one | 1 << other);
    let rests = (prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    let promise = (covers, 0..PROMISES.len(), rests).prop_map(|(covers, kind, rests)| Promise { covers, kind, rests });
    let promises = prop::collection::vec(promise, 1..6);
    (composites(), depends_on.collect::<Vec<_>>(), promises, 1..6_usize)
        .prop_map(|(composites, depends_on, promises, at_first)| World { composites, depends_on, promises, at_first })
}

/// Those of `composites`, and two of which tickets, changes and scores tell.
const ALL: [&str; 9] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "web", "mail"];

/// Objectives of each kind, with what else an agreement over them says.
const PROMISES: [&str; 4] = [
    "    - {id: up, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}, min_coverage: 0 %}
    - {id: outages, indicator: {signal: outage_count, unknown: hold}, target: {at_most: 1}, window: {calendar: week}}
    - {id: burning, indicator: {signal: availability}, target: {at_least: 91 %}, window: {calendar: month}, burn_rate_warnings: true, min_coverage: 20 %}
",
    "    - {id: fix, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: overdue, indicator: {signal: overdue_count, within: 4h}, target: {at_most: 1}, window: {calendar: week}}
    - {id: scores, indicator: {signal: satisfaction}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: urgent, indicator: {signal: emergency_change_share}, target: {at_most: 20 %}, window: {calendar: week}}
",
    "    - {id: hours, indicator: {signal: downtime, unknown: good}, target: {at_most: 2h}, window: {calendar: month}, credits: [{above: 2h, credit: 10 %}, {above: 9h, credit: 25 %}]}
    - {id: fix, indicator: {signal: resolution_time, within: 4h}, target: {at_least: 90 %}, window: {calendar: month}, credits: [{below: 90 %, credit: 10 %}]}
",
    "    - {id: latency, indicator: {signal: latency, within: 250ms}, target: {at_least: 60 %}, window: {calendar: day}}
    - {id: errors, indicator: {signal: error_count, kind: monitoring}, target: {at_most: 9}, window: {calendar: day}}
    - {id: median, indicator: {signal: latency_percentile, percentile: 50 %}, target: {at_most: 250ms}, window: {rolling: 36h}}
    - {id: down, indicator: {signal: downtime}, target: {at_most: 3h}, window: {calendar: day}, min_coverage: 0 %}
",
];

fn names(bits: u32) -> String {
    let chosen = ALL.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
    chosen.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

impl World {
    /// The promises that one rests on.
    fn rests_on(&self, number: usize) -> BTreeSet<usize> {
        let (on_the_one_before, on_the_first) = self.promises[number].rests;
        let before = number.checked_sub(1).filter(|_| on_the_one_before);
        before.into_iter().chain((on_the_first && number > 0).then_some(0)).collect()
    }

    /// What a promise covers: one service at least of each that it rests on.
    fn covered(&self, number: usize) -> u32 {
        let first = |bits: u32| bits & bits.wrapping_neg();
        let shared = self.rests_on(number).into_iter().map(|one| first(self.covered(one)));
        shared.fold(self.promises[number].covers, |bits, one| bits | one)
    }

    fn definitions(&self, promises: usize) -> Definitions {
        let mut text = services(&self.composites, |place| format!(", depends_on: [{}]", names(self.depends_on[place])));
        text.push_str(
            "{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {stale_after: 2h}}}\n---\n\
             {apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}\n---\n\
             {apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [t], lateness: 1h}}\n",
        );
        for (number, promise) in self.promises.iter().take(promises).enumerate() {
            let rests = self.rests_on(number).into_iter().map(|one| format!("a{one}")).collect::<Vec<_>>().join(", ");
            let paid = "  charge: {amount: 100.00, currency: EUR, for: all_services}\n  credits: {combine: sum, at_most: \
                        {window: 60 %, year: 5 %}}\n";
            let paid = if promise.kind == 2 { paid } else { "" };
            text.push_str(&format!(
                "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: a{number}}}\nspec:\n  type: ola\n  services: \
                 [{}]\n  effective: {{from: 1970-01-01, until: 1970-01-08}}\n  exclusions: {{maintenance: {{notice: 12h}}}}\n  \
                 rests_on: [{rests}]\n{paid}  objectives:\n{}",
                names(self.covered(number)),
                PROMISES[promise.kind]
            ));
        }
        definitions_of(&text)
    }
}

/// The same events, of which tickets and changes are on a service that follows from their time: so they move (R37), also
/// to one that the catalogue lacks (R38).
fn moving(mut read: Delivery) -> Delivery {
    let kinds = read.events.words(EventColumn::Kind).keys().clone();
    let services = read.events.interned(EventColumn::Service).clone();
    let names = services.downcast_dict::<StringArray>().expect("texts");
    let mut moved = StringDictionaryBuilder::<Int32Type>::new();
    for row in 0..read.events.num_rows() {
        let is_ticket = matches!(EventKind::from_key(kinds.value(row)), Some(EventKind::Incident | EventKind::Change));
        let half_hour = read.events.times(EventColumn::Time).value(row) / (HOUR / 2);
        match (is_ticket, half_hour % 7) {
            (true, 1) => moved.append_value("nowhere"),
            (true, 2) => moved.append_null(),
            (true, hour) if hour > 2 => moved.append_value(ALL[(half_hour % 9) as usize]),
            _ => moved.append_value(names.values().value(services.key(row).expect("a service"))),
        }
    }
    let mut columns = read.events.record_batch().columns().to_vec();
    columns[EventColumn::Service as usize] = Arc::new(moved.finish());
    let batch = RecordBatch::try_new(event_schema(), columns).expect("the event schema");
    read.events = EventBatch::try_new(batch).expect("vocabularies");
    read
}

/// A lane group that measures all of it, or what is placed in a shard.
struct Measured {
    shard: Shard,
    group: LaneGroup,
}

impl Measured {
    fn portfolio(placement: &Placement, definitions: &Definitions, shard: Shard) -> Arc<Portfolio> {
        let whole = Portfolio::new(definitions);
        if shard.is_whole() {
            return Arc::new(whole);
        }
        let mut part = Portfolio::new(&placement.part_of(definitions, shard));
        part.be_part_of(&whole);
        Arc::new(part)
    }

    fn new(placement: &Placement, definitions: &Definitions, shard: Shard, lanes: usize) -> Measured {
        let group = LaneGroup::new(Measured::portfolio(placement, definitions, shard), lanes);
        Measured { shard, group }
    }

    /// Stopped in order and started again, as the worker does.
    fn start_again(&mut self, placement: &Placement, definitions: &Definitions, lanes: usize, stored: &[Delivery]) {
        self.group.rest();
        let bytes = self.group.snapshot().expect("a snapshot");
        let portfolio = Measured::portfolio(placement, definitions, self.shard);
        self.group = LaneGroup::restore(portfolio, lanes, &bytes).expect("restored");
        if self.group.wants_recount() {
            self.group.begin_recount();
            stored.iter().for_each(|read| self.group.recount(&read.events));
            self.group.end_recount();
        }
    }
}

/// How budgets are spent, by names.
fn spending(group: &LaneGroup, facts: &mut Facts) -> Vec<String> {
    let spent = std::mem::take(&mut facts.spending).into_iter();
    spent.map(|(index, spending)| format!("{:?} {spending:?}", group.portfolio().objective(index).key)).collect()
}

fn happening_to_all() -> impl Strategy<Value = Happening> {
    prop_oneof![3 => happening(), 2 => arriving().prop_map(|(event, _)| event)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r21_r24_r32_r33_r37_shards_say_together_what_one_group_says(
        world in worlds(),
        events in prop::collection::vec(happening_to_all(), 1..120),
        repeated in any::<prop::sample::Index>(),
        (cut, stop) in (1..40_usize, 0..6_usize),
        (shards, lanes) in (2..5_u32, 1..3_usize),
        remembered in prop::option::of(1..4_i64),
    ) {
        let (before, after) = (world.definitions(world.at_first), world.definitions(usize::MAX));
        let mut placement = Placement::new(shards);
        placement.place(&before).expect("places");
        // What joins two shards is refused, and the world stays as it was.
        let after = if placement.place(&after).is_ok() { after } else { before.clone() };
        let shards = (0..shards).map(|number| Shard::new(number, shards).expect("a shard"));
        let all = [Shard::WHOLE].into_iter().chain(shards);
        let mut all: Vec<_> = all.map(|shard| Measured::new(&placement, &before, shard, lanes)).collect();
        for measured in &mut all {
            remembered.into_iter().for_each(|days| measured.group.remember(Micros(days * 24 * HOUR)));
        }
        let mut numbered: Vec<_> = events.iter().copied().enumerate().collect();
        let place = repeated.index(events.len());
        numbered.insert(place + 1, numbered[place]);
        let (mut stored, mut offset) = (Vec::<Delivery>::new(), 0);
        for (number, part) in numbered.chunks(cut).chain([&[] as &[_]]).enumerate() {
            if number == stop {
                all.iter_mut().for_each(|measured| measured.start_again(&placement, &after, lanes, &stored));
            }
            let read = moving(delivery(part, offset, number % 2 == 1));
            let tick = if part.is_empty() { NOW } else { Instant(NOW.0 - 2 * HOUR) };
            offset += part.len() as i64;
            let (mut facts, mut spent, mut rows, mut unassigned) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for Measured { shard, group } in &mut all {
                let folded = group.fold(&read, tick);
                rows.push(shard.stored(&read.events, folded.accepted.as_deref()));
                let mut said = group.close(number as i64 + 1, tick, number % 3 != 1);
                spent.push(spending(group, &mut said));
                facts.push(said);
                unassigned.push((group.unassigned(), group.beyond_history() > 0));
            }
            let expected = facts.remove(0);
            let mut together = Facts::default();
            for part in facts {
                together.transitions.extend(part.transitions);
                together.outages.extend(part.outages);
                together.clocks.extend(part.clocks);
                together.measures.extend(part.measures);
                together.attainment.extend(part.attainment);
                together.credits.extend(part.credits);
                together.watermelons.extend(part.watermelons);
                together.breaches.extend(part.breaches);
                together.attributions.extend(part.attributions);
                together.corrections.extend(part.corrections);
                together.rescheduled |= part.rescheduled;
            }
            together.sort();
            prop_assert_eq!(&together, &expected);
            let (whole, mut parts) = (spent.remove(0), spent.concat());
            parts.sort();
            prop_assert_eq!(parts, { let mut whole = whole; whole.sort(); whole });
            let (whole, mut parts) = (rows.remove(0), rows.concat());
            parts.sort_unstable();
            prop_assert_eq!(&parts, &whole, "each event that counts is stored once");
            prop_assert!(unassigned.iter().all(|count| *count == unassigned[0]), "{:?}", unassigned);
            if !whole.is_empty() {
                let kept = read.events.record_batch();
                let kept = arrow_select::take::take_record_batch(kept, &UInt32Array::from(whole)).expect("rows");
                stored.push(Delivery { events: EventBatch::try_new(kept).expect("vocabularies"), ..read });
            }
        }
    }
}
