//! What nobody should promise or send: definitions that are sound and odd, numbers and times at their limits, and states
//! that are not those that were saved. Nothing of it ends the process.

use plimsoll_schemas::definition::{File, load};
use proptest::sample::{Index, select};

use super::*;

/// Values at the edge of what their fields take.
const EDGES: [&str; 24] = [
    "1ms",
    "1m",
    "36500d",
    "1d",
    "31d",
    "0 %",
    "100 %",
    "0.0000001 %",
    "0",
    "1",
    "1000000",
    "999999999",
    "1970-01-01",
    "1970-01-08",
    "2199-12-31",
    "hold",
    "bad",
    "good",
    "full_window",
    "count_good",
    "month",
    "year",
    "largest",
    "mail",
];

/// The places of a text at which a value stands, with its field's name.
fn values(text: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let of_colon = |(colon, _): (usize, &str)| {
        let before: &str = &text[..colon];
        let name = &before[before.rfind(|letter| !is_name(letter)).map_or(0, |place| place + 1)..];
        let start = colon + 2;
        let length = text.get(start..)?.find([',', '}', ']', '\n', '{', '['])?;
        (length > 0).then_some((name, start..start + length))
    };
    text.match_indices(": ").filter_map(of_colon).collect()
}

/// The small world with some values taken from elsewhere: from a field of the same name, or from the edge.
fn odd_definitions() -> impl Strategy<Value = String> {
    let change = (
        any::<Index>(),
        prop_oneof![any::<Index>().prop_map(Ok::<Index, &str>), select(EDGES.to_vec()).prop_map(Err::<Index, &str>),],
    );
    prop::collection::vec(change, 1..4).prop_map(|changes| {
        let mut text = DEFINITIONS.to_owned();
        for (place, other) in changes {
            let places = values(&text);
            let (name, range) = place.get(&places).clone();
            let same: Vec<&str> =
                places.iter().filter(|(known, _)| *known == name).map(|(_, range)| &text[range.clone()]).collect();
            let value = other.map_or_else(str::to_owned, |index| (*index.get(&same)).to_owned());
            text.replace_range(range, &value);
        }
        text
    })
}

/// A number that a record may carry, often at the edge of 64 bits.
fn number(least: i64) -> impl Strategy<Value = i64> {
    prop_oneof![select(vec![least, least.max(-1), 0, 1, i64::MAX - 1, i64::MAX]), least..=i64::MAX]
}

/// Numbers of a record: latency, good of total, sequence, priority, score.
fn numbers() -> impl Strategy<Value = [Option<i64>; 6]> {
    let pair = prop::option::of((number(0), number(0)));
    (
        prop::option::of(number(0)),
        pair,
        prop::option::of(number(i64::MIN)),
        prop::option::of(number(i64::MIN)),
        prop::option::of(number(i64::MIN)),
    )
        .prop_map(|(latency, pair, sequence, priority, score)| {
            let (good, total) = pair.unzip();
            [latency, good.min(total), good.max(total), sequence, priority, score]
        })
}

/// The same delivery with other numbers in its rows.
fn with_numbers(mut delivery: Delivery, numbers: &[[Option<i64>; 6]]) -> Delivery {
    use EventColumn::{GoodCount, LatencyUs, Priority, Score, Sequence, TotalCount};
    let batch = delivery.events.record_batch();
    let mut columns = batch.columns().to_vec();
    for (place, column) in [LatencyUs, GoodCount, TotalCount, Sequence, Priority, Score].into_iter().enumerate() {
        let values: Vec<Option<i64>> = numbers.iter().map(|row| row[place]).collect();
        let array: ArrayRef = match columns[column as usize].data_type() {
            arrow_schema::DataType::Int64 => Arc::new(Int64Array::from(values)),
            _ => continue,
        };
        columns[column as usize] = array;
    }
    let batch = RecordBatch::try_new(event_schema(), columns).expect("the event schema");
    delivery.events = EventBatch::try_new(batch).expect("vocabularies");
    delivery
}

/// A happening, now and then at the end of all time.
fn any_happening() -> impl Strategy<Value = Happening> {
    const END: i64 = Instant::LATEST.0 / (HOUR / 2) - 1;
    prop_oneof![
        8 => happening(),
        1 => select(vec![END, 0, 1]).prop_map(|time| Happening::Probe(time, Status::Down)),
        1 => (0..6_u8).prop_map(|ticket| Happening::Ticket(END, ticket, Action::Resolved)),
        1 => (0..300_i64).prop_map(|time| Happening::Change(time, 1, Said::Planned(0, END))),
        1 => (0..300_i64).prop_map(|time| Happening::Change(time, 1, Said::Planned(END, 0))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn whatever_loads_can_be_measured_and_saved(
        text in odd_definitions(),
        events in prop::collection::vec((any_happening(), numbers()), 1..30),
        cut in 1_usize..30,
    ) {
        let Ok(definitions) = load(&[File { name: "odd.yaml", text: &text }]) else { return Ok(()) };
        let portfolio = Arc::new(Portfolio::new(&definitions));
        let mut group = LaneGroup::new(portfolio.clone(), 2);
        let (happenings, numbers): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let happenings: Vec<_> = happenings.into_iter().enumerate().collect();
        let mut offset = 0;
        for (epoch, (part, numbers)) in (1..).zip(happenings.chunks(cut).zip(numbers.chunks(cut))) {
            group.fold(&with_numbers(delivery(part, offset, true), numbers), NOW);
            offset += part.len() as i64;
            group.close(epoch, NOW, true);
            let saved = group.snapshot().expect("a snapshot");
            group = LaneGroup::restore(portfolio.clone(), 2, &saved).expect("restored");
        }
    }

    #[test]
    fn a_state_that_is_not_what_was_saved_is_refused(
        events in prop::collection::vec(happening(), 1..20), at in any::<Index>(), bit in 0_u8..8, cut in any::<Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut group = LaneGroup::new(portfolio(), 1);
        let numbered: Vec<_> = events.into_iter().enumerate().collect();
        group.fold(&delivery(&numbered, 0, true), NOW);
        group.close(1, NOW, true);
        let saved = group.snapshot().expect("a snapshot");
        let mut flipped = saved.clone();
        flipped[at.index(saved.len())] ^= 1 << bit;
        let longer = [saved.as_slice(), &[0]].concat();
        for damaged in [flipped.as_slice(), &saved[..cut.index(saved.len())], &longer, &noise] {
            let refused = LaneGroup::restore(portfolio(), 1, damaged);
            prop_assert!(matches!(refused, Err(SnapshotError::Damaged)));
        }
    }
}
