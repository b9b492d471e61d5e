//! Files that nobody should send: broken in every way, and much larger than they look.

use std::sync::LazyLock;

use plimsoll_schemas::delivery::DEAD_LETTER_PAYLOAD_BYTES_MAX;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::decode::tests::hostile::damage;

/// Good files of every kind.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let properties = WriterProperties::builder();
    let zstd = parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::default());
    let packed = properties.set_compression(zstd).set_data_page_size_limit(64).build();
    vec![
        JSON.as_bytes().to_vec(),
        CSV.as_bytes().to_vec(),
        gzip(CSV.as_bytes()),
        zstd::encode_all(JSON.as_bytes(), 1).expect("packing"),
        parquet_of_json(JSON),
        parquet_with(JSON, Some(packed.clone())),
        parquet_with(
            "{\"id\":\"a\",\"when\":{\"x\":[1,null]},\"number\":{\"deep\":[{\"a\":[\"b\"]}]},\"who\":[\"x\"],\"step\":0.5}\n",
            Some(packed),
        ),
    ]
});

proptest! {
    #[test]
    fn a_broken_file_is_read_as_far_as_it_goes(
        file in select(FILES.clone()), damages in prop::collection::vec(damage(), 1..4),
        format in select(vec![Format::Json, Format::Csv]),
    ) {
        let mut bytes = file;
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(&folder, "broken", &bytes);
        let mut next = 1;
        let result = read_file(&path, &incidents(format), &mut |delivery| {
            assert_eq!(delivery.from_offset, next);
            next = delivery.until_offset;
            let records = delivery.events.num_rows() + delivery.dead_letters.len();
            assert!(records as i64 <= delivery.until_offset - delivery.from_offset);
            Ok::<(), IngestError>(())
        });
        if let Err(error) = result {
            let text = error.to_string();
            prop_assert!(text.contains("broken") && text.len() < 2_000, "{}", text);
        }
    }
}

#[test]
fn parquet_that_says_more_than_it_has_is_damaged() {
    // Of 100 rows every other number is null: 13 groups of eight levels, packed as bits, follow their header 13 * 2 + 1.
    let rows: String = (0..100)
        .map(|row| match row % 2 {
            0 => "{\"when\":\"2026-01-31T08:00:00Z\",\"number\":1}\n",
            _ => "{\"when\":\"2026-01-31T08:00:00Z\"}\n",
        })
        .collect();
    let good = parquet_of_json(&rows);
    let mut levels = vec![14, 0, 0, 0, 13 * 2 + 1];
    levels.extend([0x55; 12]);
    let place = good.windows(levels.len()).position(|window| window == levels).expect("the levels of the numbers");
    let mut broken = good.clone();
    // One group of eight; after it 0x55 = 42 * 2 + 1 is a header of 42 groups, of which 11 are there: 96 levels of 100.
    broken[place + 4] = 3;
    let folder = tempfile::tempdir().expect("a folder");
    assert!(read(&write(&folder, "good", &good), &incidents(Format::Json)).is_ok());
    let error = read(&write(&folder, "broken", &broken), &incidents(Format::Json)).expect_err("damaged");
    let text = error.to_string();
    assert!(text.contains("broken cannot be used: not readable as Parquet beyond row 0: "), "{text}");
    assert!(text.ends_with("write it again or convert it to CSV"), "{text}");
}

#[test]
fn a_bomb_is_read_a_record_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = r#"{"id":"a","when":"2026-01-31T08:00:00Z","number":1}"#;
    // 256 MiB in about 24 KiB: one line, and then a good one.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&zeros).expect("packing");
    }
    encoder.write_all(format!("\n{good}").as_bytes()).expect("packing");
    let bomb = encoder.finish().expect("packing");
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    let deliveries = read(&write(&folder, "bomb", &bomb), &incidents(Format::Json)).expect("readable");
    let [delivery] = deliveries.as_slice() else { panic!("one delivery") };
    assert_eq!(delivery.events.integers(EventColumn::Offset).values(), &[2]);
    let [letter] = delivery.dead_letters.as_slice() else { panic!("one dead letter") };
    assert_eq!((letter.reason, letter.payload_bytes), (DeadLetterReason::TooLarge, 256 << 20));
    assert_eq!(letter.payload.capacity(), DEAD_LETTER_PAYLOAD_BYTES_MAX);
}
