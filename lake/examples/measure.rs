use std::sync::Arc;
use std::time::Instant as Clock;
use arrow_array::*;
use arrow_array::types::Int32Type;
use plimsoll_lake::Lake;
use plimsoll_schemas::table::*;
use plimsoll_schemas::*;
fn events(count: usize, base: i64, epoch: i64) -> RecordBatch {
    let schema = Table::Events.schema();
    let interned = |v: Vec<String>| Arc::new(v.iter().map(|s| s.as_str()).collect::<DictionaryArray<Int32Type>>()) as ArrayRef;
    let times = |v: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(v).with_timezone("UTC")) as ArrayRef;
    let vocab = |c: plimsoll_schemas::event::EventColumn, k: i8| { let values = plimsoll_schemas::event::EventBatch::empty().words(c).values().clone();
        Arc::new(DictionaryArray::new(Int8Array::from(vec![k; count]), values)) as ArrayRef };
    let columns = schema.fields().iter().map(|f| match f.name().as_str() {
        "topic" | "source" => interned(vec!["monitoring".into(); count]),
        "partition" => Arc::new(Int32Array::from(vec![0; count])) as ArrayRef,
        "offset" => Arc::new(Int64Array::from_iter_values((base..).take(count))),
        "id" => Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("evt-{:016x}", (i as u64 + base as u64).wrapping_mul(0x9E3779B97F4A7C15))))),
        "time" => times((0..count as i64).map(|i| 1_769_900_000_000_000 + (base + i) * 60_480).collect()),
        "kind" => vocab(plimsoll_schemas::event::EventColumn::Kind, 1),
        "status" => vocab(plimsoll_schemas::event::EventColumn::Status, 0),
        "service" => interned((0..count).map(|i| format!("service-{:04}", (i * 7919) % 2000)).collect()),
        "check" => interned((0..count).map(|i| format!("check-{}", i % 3)).collect()),
        "latency_us" => Arc::new(Int64Array::from_iter_values((0..count as i64).map(|i| (i * 7919) % 500_000))),
        "recorded_at" => times(vec![1_769_900_000_000_000; count]),
        "epoch" => Arc::new(Int64Array::from(vec![epoch; count])),
        _ => new_null_array(f.data_type(), count),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}
#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let t = Clock::now();
    let lake = Lake::open(&folder).await.unwrap();
    println!("open {:?}", t.elapsed());
    let batches: Vec<_> = (0..64).map(|b| events(8192, b * 8192, 0)).collect();
    let t = Clock::now();
    let e = Lake::encode(Table::Events, &batches).unwrap();
    let n = e.rows();
    println!("encode {n} rows {:?} = {:.3} us/row, {} bytes/row", t.elapsed(), t.elapsed().as_secs_f64() * 1e6 / n as f64, e.size_bytes() as f64 / n as f64);
    let t = Clock::now();
    lake.commit(Table::Events, e, "lanes-0", 0).await.unwrap();
    println!("commit {:?}", t.elapsed());
    let small = Lake::encode(Table::Events, &[events(2000, 0, 0)]).unwrap();
    let t = Clock::now();
    for i in 1..=200 { lake.commit(Table::Events, small.clone(), "lanes-0", i).await.unwrap(); }
    println!("200 commits {:?} each", t.elapsed() / 200);
    let t = Clock::now();
    for _ in 0..1000 { lake.files(Table::Events).await.unwrap(); }
    println!("files {:?}", t.elapsed() / 1000);
    let row = AttainmentRow { agreement: "acme".into(), agreement_version: 1, agreement_type: "sla".into(), customer: None, offering: Some("gold".into()), service: "web".into(), objective: "availability".into(), signal: "availability".into(), calendar: "24x7".into(), window_kind: "month".into(), window_start: Instant(0), window_end: Instant(10), segment_start: Instant(0), segment_end: Instant(10), finality: "final".into(), verdict: "breached".into(), target: "at least 99.9 %".into(), target_ratio: Some(Decimal(ratio::Share(999_000_000))), target_us: None, target_count: None, attainment_ratio: Some(Decimal(ratio::Share(500_000_000))), good_us: 5, bad_us: 5, degraded_us: 0, excluded_us: 0, unknown_us: 0, agreed_us: 10, good_count: 0, total_count: 0, outage_count: 1, longest_outage_us: 5, budget_us: Some(0), budget_left_us: Some(-5), budget_left_ratio: Some(Decimal(ratio::Share(-2_500_000_001))), breached_at: Some(Instant(5)), revision: 1, recorded_at: Instant(20), epoch: 1 };
    lake.append(Table::Attainment, vec![to_batch(&[row]).unwrap()], "lanes-0", 1).await.unwrap();
    let t = Clock::now();
    let again = Lake::open(&folder).await.unwrap();
    println!("open again {:?}", t.elapsed());
    let t = Clock::now();
    again.maintain().await.unwrap();
    println!("maintain {:?}", t.elapsed());
    let t = Clock::now();
    Lake::open(&folder).await.unwrap();
    println!("open with checkpoint {:?}", t.elapsed());
}
