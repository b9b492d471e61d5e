//! Questions to a small lake with revisions and retractions, whose answers were worked out by hand beside its rows.

mod connections;
mod current;
mod doors;
mod flight;
mod formats;
mod functions;
mod hostile;
mod kept;
mod known;
mod kpi;
mod limits;
mod pages;
mod statements;
mod stream;
mod tokens;
mod visible;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, Schema};
use datafusion::arrow::compute::cast;
use futures::TryStreamExt;
use plimsoll_lake::Lake;
use plimsoll_schemas::table::Table;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Format, Limits, QueryError, QueryService, STACK_BYTES, encode};

/// The rows of the lake: table, epoch and the columns that matter to the tests; the others are empty, zero or null.
const ROWS: &[(Table, i64, &str)] = &[
    // January of ACME's web shop: provisional twice in revision 0, final, then corrected. Revision 2 is current.
    (
        Table::Attainment,
        1,
        r#"{"agreement":"acme","service":"web","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"provisional","verdict":"at_risk","attainment_ratio":"0.999000000","revision":0}
{"agreement":"beta","service":"mail","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"provisional","verdict":"no_data","revision":0}"#,
    ),
    (
        Table::Attainment,
        2,
        r#"{"agreement":"acme","service":"web","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"provisional","verdict":"met","attainment_ratio":"0.999500000","revision":0}"#,
    ),
    (
        Table::Attainment,
        3,
        r#"{"agreement":"acme","service":"web","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"final","verdict":"met","attainment_ratio":"0.999500000","revision":1}"#,
    ),
    (
        Table::Attainment,
        4,
        r#"{"agreement":"acme","service":"web","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"final","verdict":"breached","attainment_ratio":"0.998571428","good_us":998571428,"bad_us":1428572,"revision":2}
{"agreement":"acme","service":"web","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-02-01T00:00:00Z","window_end":"2026-03-01T00:00:00Z","finality":"provisional","verdict":"met","attainment_ratio":"1.000000000","good_us":500,"breach_probability_ratio":"0.100000000","revision":0}
{"agreement":"beta","service":"mail","objective":"availability","offering":"gold","signal":"availability","window_kind":"month","window_start":"2026-02-01T00:00:00Z","window_end":"2026-03-01T00:00:00Z","finality":"provisional","verdict":"at_risk","attainment_ratio":"0.999000000","good_us":999,"bad_us":1,"breach_probability_ratio":"0.250000000","revision":0}"#,
    ),
    // INC1 ran, then met its target; the result of INC2 was taken back. INC1 is current.
    (
        Table::Clocks,
        1,
        r#"{"agreement":"acme","service":"web","objective":"resolution","ticket":"INC1","priority":"P1","started_at":"2026-01-05T08:00:00Z","due_at":"2026-01-05T12:00:00Z","target_us":14400000000,"verdict":"running","revision":0}
{"agreement":"acme","service":"web","objective":"resolution","ticket":"INC2","started_at":"2026-01-06T08:00:00Z","verdict":"breached","revision":1}"#,
    ),
    (
        Table::Clocks,
        2,
        r#"{"agreement":"acme","service":"web","objective":"resolution","ticket":"INC1","priority":"P1","started_at":"2026-01-05T08:00:00Z","stopped_at":"2026-01-05T09:00:00Z","due_at":"2026-01-05T12:00:00Z","elapsed_us":3600000000,"target_us":14400000000,"verdict":"met","revision":1}
{"agreement":"acme","service":"web","objective":"resolution","ticket":"INC2","started_at":"2026-01-06T08:00:00Z","verdict":"breached","revision":2,"retracted":true}"#,
    ),
    // The first outage ended; the second never was.
    (
        Table::Outages,
        1,
        r#"{"service":"web","started_at":"2026-01-10T10:00:00Z","causes":"ping","revision":0}
{"service":"web","started_at":"2026-01-11T10:00:00Z","causes":"ping","revision":0}"#,
    ),
    (
        Table::Outages,
        2,
        r#"{"service":"web","started_at":"2026-01-10T10:00:00Z","ended_at":"2026-01-10T10:30:00Z","duration_us":1800000000,"causes":"INC1,ping","revision":1}
{"service":"web","started_at":"2026-01-11T10:00:00Z","causes":"ping","revision":1,"retracted":true}"#,
    ),
    (
        Table::Transitions,
        1,
        r#"{"service":"web","at":"2026-01-10T10:00:00Z","state":"down","revision":0}
{"service":"web","at":"2026-01-11T10:00:00Z","state":"down","revision":0}"#,
    ),
    (
        Table::Transitions,
        2,
        r#"{"service":"web","at":"2026-01-11T10:00:00Z","state":"down","revision":1,"retracted":true}"#,
    ),
    // An hour up, of which a minute turned out to be down: 3540 s and 60 s.
    (
        Table::Measures,
        1,
        r#"{"service":"web","signal":"availability","calendar":"24x7","time_zone":"UTC","bucket_start":"2026-01-10T00:00:00Z","bucket_end":"2026-01-11T00:00:00Z","good_us":3600000000}"#,
    ),
    (
        Table::Measures,
        2,
        r#"{"service":"web","signal":"availability","calendar":"24x7","time_zone":"UTC","bucket_start":"2026-01-10T00:00:00Z","bucket_end":"2026-01-11T00:00:00Z","good_us":-60000000,"bad_us":60000000}"#,
    ),
    // Of five latencies in three bins one was counted twice at first.
    (
        Table::Measures,
        3,
        r#"{"service":"mail","indicator":"latency_percentile at most 0.3s","bucket_start":"2026-01-10T00:00:00Z","latency_at_most_us":100,"total_count":3}
{"service":"mail","indicator":"latency_percentile at most 0.3s","bucket_start":"2026-01-10T00:00:00Z","latency_at_most_us":301055,"total_count":1}
{"service":"mail","indicator":"latency_percentile at most 0.3s","bucket_start":"2026-01-11T00:00:00Z","latency_at_most_us":100,"total_count":-1}
{"service":"mail","indicator":"latency_percentile at most 0.3s","bucket_start":"2026-01-11T00:00:00Z","latency_at_most_us":200,"total_count":2}"#,
    ),
    // January was missed, was not, and was after all, at another instant; INC2 and INC8 were not (INC8
    // within one epoch), though INC8 was warned of at 50 %, and at 75 % until that was taken back; INC9 was, half an
    // hour earlier than first said. January's budget burnt too fast twice, and once not.
    (
        Table::Breaches,
        1,
        r#"{"event":"breach","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-20T00:00:00Z"}
{"event":"breach","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC2","cycle":0,"at":"2026-01-06T12:00:00Z"}
{"event":"breach","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC9","cycle":0,"at":"2026-01-07T12:30:00Z"}"#,
    ),
    (
        Table::Breaches,
        2,
        r#"{"event":"retraction","retracts":"breach","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-20T00:00:00Z","revision":1}
{"event":"breach","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-21T00:00:00Z","revision":2}
{"event":"breach","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC8","cycle":0,"at":"2026-01-06T12:00:00Z"}
{"event":"retraction","retracts":"breach","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC8","cycle":0,"at":"2026-01-06T12:00:00Z","revision":1}
{"event":"breach","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC9","cycle":0,"at":"2026-01-07T12:00:00Z","revision":1}
{"event":"warning","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC8","cycle":0,"at":"2026-01-06T11:00:00Z","threshold_ratio":"0.500000000"}
{"event":"warning","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC8","cycle":0,"at":"2026-01-06T11:30:00Z","threshold_ratio":"0.750000000"}
{"event":"retraction","retracts":"warning","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC8","cycle":0,"at":"2026-01-06T11:30:00Z","threshold_ratio":"0.750000000","revision":1}
{"event":"warning","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-19T00:00:00Z","threshold_ratio":"14.400000000","span_us":3600000000,"severity":"page"}
{"event":"warning","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-20T00:00:00Z","threshold_ratio":"14.400000000","span_us":3600000000,"severity":"page"}
{"event":"warning","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-20T12:00:00Z","threshold_ratio":"14.400000000","span_us":3600000000,"severity":"page"}
{"event":"retraction","retracts":"warning","scope":"objective","agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","at":"2026-01-20T12:00:00Z","threshold_ratio":"14.400000000","span_us":3600000000,"severity":"page","revision":1}
{"event":"retraction","retracts":"breach","scope":"ticket","agreement":"acme","service":"web","objective":"resolution","ticket":"INC2","cycle":0,"at":"2026-01-06T12:00:00Z","revision":1}"#,
    ),
    // January's breach was the network's for an hour, of which half turned out to be nobody's.
    (
        Table::Attributions,
        1,
        r#"{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","supporting_agreement":"ola","supporting_version":1,"supporting_service":"network","spent_us":3600000000,"total_us":3600000000}
{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","supporting_service":"mail","spent_us":1,"total_us":1}"#,
    ),
    (
        Table::Attributions,
        2,
        r#"{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","supporting_agreement":"ola","supporting_version":1,"supporting_service":"network","spent_us":1800000000,"total_us":3600000000,"revision":1}
{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","supporting_service":"mail","spent_us":1,"total_us":1,"revision":1,"retracted":true}
{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","supporting_service":"web","spent_us":1800000000,"total_us":3600000000}"#,
    ),
    // A credit of all services, revised; and one of each of two windows that begin together.
    (
        Table::Credits,
        1,
        r#"{"agreement":"acme","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"final","currency":"EUR","credit_ratio":"0.100000000","credit_minor":1000,"revision":1}
{"agreement":"acme","window_kind":"quarter","window_start":"2026-01-01T00:00:00Z","window_end":"2026-04-01T00:00:00Z","finality":"provisional","currency":"EUR","credit_ratio":"0.000000000","credit_minor":0}"#,
    ),
    (
        Table::Credits,
        4,
        r#"{"agreement":"acme","window_kind":"month","window_start":"2026-01-01T00:00:00Z","window_end":"2026-02-01T00:00:00Z","finality":"final","currency":"EUR","credit_ratio":"0.250000000","credit_minor":2500,"revision":2}"#,
    ),
    // January's scores were a watermelon until an outage became known, those of February are.
    (
        Table::Watermelons,
        1,
        r#"{"agreement":"acme","service":"web","objective":"scores","window_start":"2026-01-01T00:00:00Z","met_count":2}
{"agreement":"acme","service":"web","objective":"scores","window_start":"2026-02-01T00:00:00Z","met_count":3}"#,
    ),
    (
        Table::Watermelons,
        2,
        r#"{"agreement":"acme","service":"web","objective":"scores","window_start":"2026-01-01T00:00:00Z","met_count":2,"revision":1,"retracted":true}"#,
    ),
    (
        Table::Corrections,
        4,
        r#"{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-01-01T00:00:00Z","revision":2,"reason":"late_event","before":"met","after":"breached"}"#,
    ),
    // Definitions were loaded twice, the second time with another name.
    (
        Table::Agreements,
        1,
        r#"{"agreement":"acme","agreement_version":1,"service":"web","objective":"availability","name":"old","recorded_at":"2026-01-01T00:00:00Z"}"#,
    ),
    (
        Table::Agreements,
        2,
        r#"{"agreement":"acme","agreement_version":1,"service":"web","objective":"availability","name":"ACME's \"web\", shop","recorded_at":"2026-01-02T00:00:00Z"}"#,
    ),
    (Table::Services, 1, r#"{"service":"web","name":"old","recorded_at":"2026-01-01T00:00:00Z"}"#),
    (Table::Services, 2, r#"{"service":"web","name":"Web shop","recorded_at":"2026-01-02T00:00:00Z"}"#),
    (Table::Calendars, 1, r#"{"calendar":"24x7","calendar_version":1,"time_zone":"UTC","definition":"always"}"#),
    (
        Table::Events,
        1,
        r#"{"id":"e1","time":"2026-01-10T10:00:00Z","kind":"monitoring","service":"web","status":"down"}
{"id":"e2","time":"2026-01-11T10:00:00Z","kind":"monitoring","service":"web","status":"up"}
{"id":"e3","time":"2026-01-11T10:00:00Z","kind":"monitoring","service":"mail","status":"up"}"#,
    ),
    (Table::DeadLetters, 1, r#"{"topic":"t","offset":7,"reason":"not_json","payload":"7b","payload_bytes":1}"#),
];

/// A lake with `ROWS` and a service over it. The folder lives as long as the first value.
async fn service(limits: Limits) -> (TempDir, Lake, Arc<QueryService>) {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    for (table, epoch, lines) in ROWS {
        append(&lake, *table, *epoch, lines).await;
    }
    let service = QueryService::open(lake.clone(), limits, Handle::current()).await.expect("service");
    (folder, lake, Arc::new(service))
}

/// Appends rows, one JSON object a line, in one epoch.
async fn append(lake: &Lake, table: Table, epoch: i64, lines: &str) {
    let rows = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    lake.append(table, vec![batch(table, epoch, rows)], "group-0", epoch).await.expect("append");
}

/// Rows as columns of their table; missing columns are null, or empty where they may not be.
fn batch(table: Table, epoch: i64, mut rows: Vec<Value>) -> RecordBatch {
    let schema = table.schema();
    for row in &mut rows {
        let row = row.as_object_mut().expect("object");
        row.entry("epoch").or_insert(json!(epoch));
        for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
            row.entry(field.name()).or_insert_with(|| match field.data_type() {
                DataType::Utf8 | DataType::Dictionary(..) => json!(""),
                DataType::Boolean => json!(false),
                DataType::Timestamp(..) => json!("1970-01-01T00:00:00Z"),
                _ => json!(0),
            });
        }
    }
    let plain = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(..) => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        _ => field.as_ref().clone(),
    });
    let plain = Arc::new(Schema::new(plain.collect::<Vec<_>>()));
    let mut decoder = ReaderBuilder::new(plain).build_decoder().expect("decoder");
    decoder.serialize(&rows).expect("rows");
    let plain = decoder.flush().expect("columns").expect("some rows");
    let columns = plain.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>().expect("casts")).expect("batch")
}

/// The whole answer to a statement, in a format.
async fn ask(service: &QueryService, statement: &str, format: Format) -> Result<String, QueryError> {
    let answer = service.sql(statement).await?;
    let chunks: Vec<_> = encode(answer, format).try_collect().await?;
    Ok(String::from_utf8(chunks.concat()).expect("UTF-8"))
}

/// A thread that computes and may never be free again: only the end of the process ends it.
fn thread() -> Handle {
    let thread = Builder::new_multi_thread().worker_threads(1).thread_stack_size(STACK_BYTES).build();
    let thread: &Runtime = Box::leak(Box::new(thread.expect("a thread")));
    thread.handle().clone()
}

/// A question that keeps the threads that compute it for minutes without a break.
const ENGROSSING: &str = "SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b
    WHERE a.value < b.value";

/// Limits that no test meets by accident.
fn limits() -> Limits {
    Limits { time_max: Duration::from_secs(300), ..Limits::default() }
}
