//! What nobody should send: the corpus of records, as it is, broken in every way, and made up, under any mapping.
//!
//! The records are in `tests/corpus/records`; one that ever did harm is kept there.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant as Moment};

use plimsoll_schemas::delivery::DEAD_LETTER_PAYLOAD_BYTES_MAX;
use plimsoll_schemas::event::TEXT_BYTES_MAX;
use proptest::sample::{Index, select};

use super::*;

/// How long a dead letter's detail may be, in bytes: two excerpts of 120 characters, each written as up to ten bytes, and
/// what is said around them.
const DETAIL_BYTES_MAX: usize = 4_096;

/// The corpus, in the order of its names.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/records");
    let entries = fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    assert!(paths.len() > 10, "the corpus was found");
    paths.iter().map(|path| fs::read(path).expect("a record")).collect()
}

/// One way to break a text.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    Remove(Index, Index),
}

/// What is put into records: what other programs stumble over.
fn spice() -> impl Strategy<Value = Vec<u8>> {
    let known: [&[u8]; 24] = [
        b"\0",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xff",
        b"\r",
        b"\r\n",
        b"\n",
        b"\"",
        b"\\",
        b"\\ud800",
        b"\\u0000",
        b",",
        b"{",
        b"[",
        b"]}",
        b"null",
        b"\"time\":\"2026-01-31T23:59:60Z\",",
        b"\"time\":{\"time\":[]},",
        b"1e999999999",
        b"-0.000e-999999999999",
        b"2026-02-30T25:61:61.9999999999+99:99",
        b"\xe2\x80\xae\xcd\x8f\xf4\x8f\xbf\xbf",
        b"%s%Q",
    ];
    prop_oneof![
        8 => select(known.map(<[u8]>::to_vec).to_vec()),
        1 => (select(vec![b'[', b'9', b'x', b'"', 0xc3]), 1_usize..6_000).prop_map(|(byte, times)| vec![byte; times]),
        1 => prop::collection::vec(any::<u8>(), 1..8),
    ]
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        2 => (place(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => place().prop_map(Damage::Cut),
        3 => (place(), spice()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place(), place()).prop_map(|(from, until)| Damage::Repeat(from, until)),
        1 => (place(), place()).prop_map(|(from, until)| Damage::Remove(from, until)),
    ]
}

impl Damage {
    /// Does it to a text.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let place = |index: &Index| index.index(length + 1);
        let range = |one: &Index, other: &Index| place(one).min(place(other))..place(one).max(place(other));
        match self {
            Damage::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Damage::Flip(..) => {}
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Insert(at, what) => {
                let at = place(at);
                drop(bytes.splice(at..at, what.iter().copied()));
            }
            Damage::Repeat(from, until) => {
                let range = range(from, until);
                let again = bytes[range.clone()].to_vec();
                drop(bytes.splice(range.end..range.end, again));
            }
            Damage::Remove(from, until) => drop(bytes.drain(range(from, until))),
        }
    }
}

/// A record: one of the corpus, broken up to four times; or any JSON.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let broken = (select(corpus()), prop::collection::vec(damage(), 0..4)).prop_map(|(mut record, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut record));
        record
    });
    prop_oneof![4 => broken, 1 => any_json().prop_map(|json| json.to_string().into_bytes())]
}

/// A pointer to what records of the corpus have, or have not.
fn pointer() -> impl Strategy<Value = Vec<String>> {
    let mut tokens = ["a", "b", "0", "1", "check", "results", "rev", "ts", "svc~name", "", "00", "-1", "é"].to_vec();
    tokens.extend(EventColumn::ALL.map(EventColumn::field_name));
    prop::collection::vec(select(tokens).prop_map(str::to_owned), 0..4)
}

/// A text that a mapping may hold.
fn word() -> impl Strategy<Value = String> {
    let words = ["", "x", "web", "up", "down", "incident", "monitoring", "feedback", "opened", "snapshot", "true", "5"];
    let times = ["2026-01-31T08:00:00Z", "1767225600", "-1", "1e30", "?", "é\u{202e}\0"];
    select([words.as_slice(), &times].concat()).prop_map(str::to_owned)
}

fn time_format() -> impl Strategy<Value = TimeFormat> {
    use TimeFormat::*;
    let patterns =
        ["%d/%m/%Y %H:%M", "%Q", "%", "%s", "%s%z", "%Y-%jT%H", "%G-W%V-%u", "%y%I%p", "%.f", "%+", "%C%n%t"];
    prop_oneof![
        select(vec![Rfc3339, Seconds, Milliseconds, Microseconds, Nanoseconds]),
        select(patterns.to_vec()).prop_map(|pattern| Pattern(pattern.to_owned())),
    ]
}

fn any_field() -> impl Strategy<Value = Field> {
    let origin = prop_oneof![
        6 => pointer().prop_map(Origin::Pointer),
        2 => word().prop_map(Origin::Constant),
        1 => (prop::collection::vec(pointer(), 0..3), word())
            .prop_map(|(parts, separator)| Origin::Joined { parts, separator }),
    ];
    let otherwise = prop::option::of(prop_oneof![
        Just(Otherwise::Keep),
        Just(Otherwise::Missing),
        word().prop_map(Otherwise::Value),
    ]);
    let values = prop_oneof![
        3 => Just(std::collections::BTreeMap::new()),
        1 => prop::collection::btree_map(word(), word(), 0..4),
    ];
    let zone = select(vec![chrono_tz::Tz::UTC, chrono_tz::Tz::Europe__Berlin, chrono_tz::Tz::Pacific__Apia]);
    (origin, prop::collection::vec(word(), 0..2), values, otherwise, time_format(), zone).prop_map(
        |(origin, missing, values, otherwise, time_format, time_zone)| Field {
            origin,
            missing,
            values,
            otherwise,
            time_format,
            time_zone,
        },
    )
}

/// Any mapping: of the plain form's fields some are found elsewhere, and some not at all.
fn any_source() -> impl Strategy<Value = Source> {
    let columns = EventColumn::ALL.into_iter().filter(|column| *column >= Source).collect::<Vec<_>>();
    let other = prop::collection::vec((select(columns.clone()), prop::option::of(any_field())), 0..8);
    let names = prop::collection::vec(pointer().prop_map(|tokens| tokens.concat()), 0..6);
    (other, names, any::<bool>()).prop_map(|(other, csv_columns, is_csv)| {
        let mut mapping = Mapping::plain();
        for (column, field) in other {
            match field {
                Some(field) => drop(mapping.fields.insert(column, field)),
                None => drop(mapping.fields.remove(&column)),
            }
        }
        mapping.csv_columns = csv_columns;
        Source { mapping, format: if is_csv { Format::Csv } else { Format::Json }, ..plain() }
    })
}

/// What became of each record, by its offset: its row or its dead letter, which must keep what came.
fn outcomes(delivery: &Delivery, from: i64, records: &[Vec<u8>]) -> Vec<String> {
    let mut outcomes = vec![String::new(); records.len()];
    let offsets = delivery.events.integers(Offset).values();
    for (number, offset) in offsets.iter().enumerate() {
        outcomes[(offset - from) as usize] += &format!("row {}", row(&delivery.events, number));
    }
    for letter in &delivery.dead_letters {
        let record = &records[(letter.offset - from) as usize];
        assert_eq!(letter.payload, record[..record.len().min(DEAD_LETTER_PAYLOAD_BYTES_MAX)]);
        assert_eq!(letter.payload_bytes, record.len() as i64);
        assert!(!letter.detail.is_empty() && letter.detail.len() <= DETAIL_BYTES_MAX, "{}", letter.detail);
        assert!(!letter.detail.contains(char::is_control), "{:?}", letter.detail);
        outcomes[(letter.offset - from) as usize] += &format!("letter {}: {}", letter.reason.code(), letter.detail);
    }
    outcomes
}

/// One delivery of records that stand at offsets from `from` on.
fn delivery_from(source: &Source, from: i64, records: &[Vec<u8>]) -> Delivery {
    let mut decoder = decoder(source);
    for (offset, record) in (from..).zip(records) {
        decoder.decode(Record { offset, payload: Some(record), record_time: None });
    }
    decoder.take(from, from + records.len() as i64, None).expect("a delivery")
}

#[test]
fn each_record_of_the_corpus_is_an_event_or_a_dead_letter() {
    let corpus = corpus();
    let delivery = delivery_from(&plain(), 0, &corpus);
    assert!(outcomes(&delivery, 0, &corpus).iter().all(|outcome| !outcome.is_empty()));
    assert!(delivery.events.num_rows() >= 5 && delivery.dead_letters.len() >= 10);
}

proptest! {
    #[test]
    fn a_poison_record_is_one_event_or_one_dead_letter_and_changes_nothing_of_its_neighbours(
        source in any_source(), records in prop::collection::vec(record(), 1..8)
    ) {
        let together = outcomes(&delivery_from(&source, 10, &records), 10, &records);
        for (offset, (record, outcome)) in (10..).zip(records.iter().zip(together)) {
            let one = std::slice::from_ref(record);
            // Alone, a record becomes the same, which is one thing.
            let alone = outcomes(&delivery_from(&source, offset, one), offset, one);
            prop_assert!(!outcome.is_empty());
            prop_assert_eq!(&alone[0], &outcome);
        }
    }

    #[test]
    fn any_text_is_a_time_or_none(text in "\\PC{0,40}|[0-9TZ:+. /-]{0,30}|[0-9]{1,40}(\\.[0-9]{0,40})?(e[+-]?[0-9]{0,12})?", format in time_format()) {
        for zone in [chrono_tz::Tz::UTC, chrono_tz::Tz::America__St_Johns, chrono_tz::Tz::Pacific__Apia] {
            for written in [raw::Written::Text, raw::Written::Number] {
                let read = time::TimeReader::new(&format, zone).read(&text, written);
                prop_assert!(read.is_err() || read.is_ok_and(|at| (0..Instant::LATEST.0).contains(&at)));
            }
        }
    }

    #[test]
    fn any_number_scales_as_a_naive_reading_does(
        negative in any::<bool>(), whole in 0_u64..1_000_000, zeros in 0_usize..1_200, digits in "[0-9]{0,5}", shift in -3_i32..4, power in -3_i32..7,
    ) {
        // The value is whole.digits times 10^(shift + power); `zeros` are put behind the point, and the exponent takes
        // them back.
        let sign = if negative { "-" } else { "" };
        let exponent = zeros as i32 + shift + whole.to_string().len() as i32;
        let text = format!("{sign}0.{}{whole}{digits}e{exponent}", "0".repeat(zeros));
        let mantissa: i128 = format!("{whole}{digits}").parse().expect("a number");
        let shift = shift + power - digits.len() as i32;
        let factor = 10_i128.pow(shift.unsigned_abs());
        let signed = if negative { -mantissa } else { mantissa };
        let (value, exact) = match shift >= 0 {
            true => (signed * factor, true),
            false => (signed.div_euclid(factor), signed.rem_euclid(factor) == 0),
        };
        let expected = i64::try_from(value).map_or(decimal::Scaled::OutOfRange, |value| decimal::Scaled::Whole { value, exact });
        prop_assert_eq!(decimal::scale(&text, power), expected);
    }
}

/// Records that grow in one way each, of about so many bytes.
fn growing(bytes: usize) -> Vec<(&'static str, String)> {
    let fill = |unit: &str| unit.repeat(bytes / unit.len());
    let json = |inner: String| format!("{{\"kind\":\"feedback\",{inner}\"score\":1}}");
    vec![
        ("unknown keys", json(fill("\"unknown\":[1,{\"b\":null}],"))),
        ("one key again and again", json(fill("\"service\":{\"a\":1},"))),
        ("the same escaped", json(fill("\"\\u0073ervice\":\"\\u00e4\","))),
        ("one long text", json(format!("\"service\":\"{}\",", fill("é")))),
        ("one long escaped text", json(format!("\"service\":\"{}\",", fill("\\ud83d\\ude00")))),
        ("one long number", json(format!("\"sequence\":0.{}1,", fill("0")))),
        ("one long time", json(format!("\"time\":\"2026-01-31T08:00:00.{}Z\",", fill("0")))),
        ("brackets in a text", json(format!("\"service\":\"{}\",", fill("[{\\\"")))),
        ("brackets that never close", json(format!("\"a\":{}", fill("[")))),
        ("a long list", json(format!("\"a\":[{}0],", fill("{\"b\":[0]},")))),
        ("blanks", format!("{}{{", fill(" "))),
        ("columns of CSV", fill("\"\",")),
        ("quotes of CSV", format!("\"{}", fill("\"\""))),
        ("carriage returns of CSV", fill("\r")),
    ]
}

/// How long this thread has computed so far: what other threads do does not count, where the system tells it.
fn computed() -> Duration {
    static START: LazyLock<Moment> = LazyLock::new(Moment::now);
    // The system counts what a thread computes when it gives way.
    std::thread::yield_now();
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// The least of a few measurements of how long a record takes.
fn time_of(source: &Source, record: &str) -> Duration {
    let measure = |_| {
        let mut decoder = decoder(source);
        let start = computed();
        decoder.decode(Record { offset: 0, payload: Some(record.as_bytes()), record_time: None });
        computed() - start
    };
    (0..5).map(measure).min().expect("a measurement")
}

#[test]
fn the_time_of_a_record_grows_as_its_length() {
    let mut deep = plain();
    deep.mapping.fields.insert(Customer, at("/a/100/b/0"));
    deep.mapping.fields.insert(Ticket, at("/a"));
    let mut csv = plain();
    (csv.format, csv.mapping.csv_columns) = (Format::Csv, vec!["time".to_owned(), "kind".to_owned()]);
    for ((what, short), (_, long)) in growing(60_000).iter().zip(&growing(960_000)) {
        for source in [&deep, &csv] {
            // Sixteen times the length; what is quadratic takes 256 times as long.
            let (short, long) = (time_of(source, short), time_of(source, long));
            let allowed = 80 * short.max(Duration::from_micros(200));
            assert!(long <= allowed, "{what} as {:?}: {short:?}, then {long:?}", source.format);
        }
    }
}

#[test]
fn a_batch_holds_no_more_than_its_records_brought() {
    let mut decoder = decoder(&plain());
    let text = "x".repeat(TEXT_BYTES_MAX);
    let fields = |text: &str| {
        let fields = ["id", "source", "service", "customer", "check", "ticket", "team"];
        fields.map(|field| format!("\"{field}\":\"{text}\",")).concat()
    };
    let good = format!("{{{}\"time\":\"2026-01-31T08:00:00Z\",\"kind\":\"feedback\",\"score\":1}}", fields(&text));
    let long = format!("{{{}\"kind\":\"feedback\"}}", fields(&"y".repeat(140_000)));
    assert!(long.len() < RECORD_BYTES_MAX);
    for offset in 0..100 {
        let record = if offset % 2 == 0 { &good } else { &long };
        decoder.decode(Record { offset, payload: Some(record.as_bytes()), record_time: None });
    }
    let delivery = decoder.take(0, 100, None).expect("a delivery");
    assert_eq!((delivery.events.num_rows(), delivery.dead_letters.len()), (50, 50));
    // Vectors may have twice the room that they need.
    let rows_bytes = delivery.events.record_batch().get_array_memory_size();
    assert!(rows_bytes < 3 * 50 * good.len(), "{rows_bytes} bytes");
    let letters_bytes: usize =
        delivery.dead_letters.iter().map(|letter| letter.payload.capacity() + letter.detail.capacity()).sum();
    assert!(letters_bytes <= 50 * (DEAD_LETTER_PAYLOAD_BYTES_MAX + DETAIL_BYTES_MAX), "{letters_bytes} bytes");
}
