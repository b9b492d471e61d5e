//! Flight SQL over a network, asked by the client of arrow-flight; the drivers that people use are asked in `tests/it`.

use std::net::SocketAddr;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, StringArray};
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetTables, SqlInfo};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::{Grant, Patience, Scope, Users, serve_flight};

/// What no test waits for by design.
const LONG: Duration = Duration::from_secs(120);
/// What a test waits for.
const SHORT: Duration = Duration::from_millis(200);
/// Far more than what waits on its way to a client that does not read, and little to compute.
const LARGE: &str = "SELECT value, 'some text that makes the answer large' FROM generate_series(1, 900000)";

/// Patience that no test tries by accident.
const PATIENT: Patience = Patience { head_max: LONG, kept_max: LONG, rest_max: LONG, stop_max: LONG };

type Client = FlightSqlServiceClient<Channel>;

struct Server {
    _folder: TempDir,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start(users: Option<&str>, patience: Patience) -> Server {
        let (folder, lake, _) = service(limits()).await;
        let service = Arc::new(QueryService::open(lake, limits(), thread()).await.expect("service"));
        let users = users.map(|users| Arc::new(Users::parse(users).expect("users")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = oneshot::channel();
        let ends = async { stopped.await.unwrap_or_default() };
        let running = tokio::spawn(serve_flight(listener, service, users, None, patience, ends));
        Server { _folder: folder, address, stop, running }
    }

    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        FlightSqlServiceClient::new(endpoint.connect().await.expect("a connection"))
    }

    /// Stops the server; fails when it takes long.
    async fn stop(self) -> Duration {
        let asked = Instant::now();
        self.stop.send(()).expect("server is there");
        tokio::time::timeout(LONG / 2, self.running).await.expect("it ends in time").expect("no panic");
        asked.elapsed()
    }
}

async fn rows(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, FlightError> {
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let rows = client.do_get(ticket).await?;
    rows.try_collect().await
}

async fn count(client: &mut Client, statement: &str) -> Result<usize, FlightError> {
    let info = client.execute(statement.to_owned(), None).await?;
    Ok(rows(client, info).await?.iter().map(RecordBatch::num_rows).sum())
}

fn wrong<Done: std::fmt::Debug>(done: Result<Done, FlightError>, words: &str) {
    let told = done.expect_err(words).to_string();
    assert!(told.contains(words), "{words}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_the_question_and_columns_are_those_that_were_told() {
    let server = Server::start(None, PATIENT).await;
    let mut client = server.client().await;
    for statement in [
        "SELECT agreement, verdict, window_start, attainment_ratio FROM attainment",
        "SELECT verdict, count(*), sum(good_us) FROM attainment GROUP BY verdict",
        "SELECT 1 AS n UNION ALL SELECT 2.5",
        "SELECT service FROM history.events WHERE false",
        "DESCRIBE attainment",
        "EXPLAIN SELECT 1",
        "SHOW datafusion.execution.time_zone",
    ] {
        let info = client.execute(statement.to_owned(), None).await.expect(statement);
        let told = info.clone().try_decode_schema().expect("columns");
        // Whoever has a ticket may redeem it again, on another connection.
        for client in [&mut client, &mut server.client().await] {
            for batch in rows(client, info.clone()).await.expect(statement) {
                assert_eq!(batch.schema().fields(), told.fields(), "{statement}");
            }
        }
    }
    assert_eq!(count(&mut client, LARGE).await.expect("rows"), 900_000);
    wrong(count(&mut client, "SELECT ?").await, "the statement has 1 parameters, but 0 values are bound");
    wrong(client.execute("SELECT 1".to_owned(), Some("t".into())).await, "there are no transactions");
    wrong(client.begin_transaction().await, "there are no transactions");
    wrong(client.execute_update("DELETE FROM attainment".to_owned(), None).await, "only read");
    let tables = CommandGetTables { db_schema_filter_pattern: Some("hist%".to_owned()), ..CommandGetTables::default() };
    let tables = client.get_tables(tables).await.expect("tables");
    let tables: usize = rows(&mut client, tables).await.expect("tables").iter().map(RecordBatch::num_rows).sum();
    assert_eq!(tables, Table::ALL.len());
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly]).await.expect("a fact");
    assert_eq!(rows(&mut client, info).await.expect("a fact")[0].num_rows(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_asked_with_one_value_after_the_other_until_it_is_closed() {
    let server = Server::start(None, PATIENT).await;
    let mut client = server.client().await;
    let statement = "SELECT count(*) AS n FROM attainment WHERE agreement = ? AND revision >= ?";
    let mut prepared = client.prepare(statement.to_owned(), None).await.expect("a statement");
    let types: Vec<_> =
        prepared.parameter_schema().expect("types").fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Int32]);
    assert_eq!(prepared.dataset_schema().expect("columns").field(0).name(), "n");
    wrong(prepared.execute().await, "the statement has 2 parameters, but 0 values are bound");
    // As `ROWS` has it: January in revision 2 and February in revision 0 are current of ACME.
    for (agreement, revision, expected) in [("acme", 0, 2), ("acme", 1, 1), ("acme", 3, 0), ("nobody", 0, 0)] {
        let values = RecordBatch::try_from_iter([
            ("1", Arc::new(StringArray::from(vec![agreement])) as arrow_array::ArrayRef),
            ("2", Arc::new(Int64Array::from(vec![revision]))),
        ]);
        prepared.set_parameters(values.expect("values")).expect("values");
        let info = prepared.execute().await.expect("an answer");
        let found = rows(&mut client, info).await.expect("rows");
        assert_eq!(found[0].column(0).as_primitive::<Int64Type>().value(0), expected, "{agreement} {revision}");
    }
    let info = prepared.execute().await.expect("an answer");
    prepared.close().await.expect("closed");
    wrong(rows(&mut client, info).await, "this statement was closed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_is_known_by_a_token_and_nobody_else_is_answered() {
    let line = |name: &str| Users::with_password(name, "pencil", Grant::default()).expect("a line");
    let monitor = Grant { scopes: [Scope::Metrics].into(), ..Grant::default() };
    let (scrapes, scraping) = Users::with_token("prometheus", monitor).expect("a token");
    let (token, drawn) = Users::with_token("drawn", Grant::default()).expect("a token");
    let hasty = line("hasty").replace('}', r#","requests_per_second":2}"#);
    let server = Server::start(Some(&[line("ana"), hasty, drawn, scraping].join("\n")), PATIENT).await;
    let mut client = server.client().await;
    wrong(count(&mut client, "SELECT 1").await, "log in with a name and a password");
    wrong(client.handshake("ana", "pencils").await, "nobody has this name and this password");
    wrong(client.handshake("drawn", "").await, "nobody has this name and this password");
    client.handshake("ana", "pencil").await.expect("ana");
    assert_eq!(count(&mut client, "SELECT 1").await.expect("a row"), 1);
    // What ana prepared is hers.
    let mut prepared = client.prepare("SELECT 1".to_owned(), None).await.expect("a statement");
    let info = prepared.execute().await.expect("an answer");
    for (given, words) in [(format!("{token}x"), "nobody has this token"), (scrapes, "this token has no scope read")] {
        client.set_token(given);
        wrong(count(&mut client, "SELECT 1").await, words);
    }
    client.set_token(token);
    assert_eq!(count(&mut client, "SELECT 1").await.expect("a row"), 1);
    wrong(rows(&mut client, info).await, "this statement was closed, or not used for an hour");
    let mut hasty = server.client().await;
    hasty.handshake("hasty", "pencil").await.expect("the first call");
    hasty.execute("SELECT 1".to_owned(), None).await.expect("the second call");
    wrong(count(&mut hasty, "SELECT 1").await, "too many calls with this token; ask again after 1 s");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_whatever_clients_do() {
    // Who says nothing, or is not let in, is not waited for.
    let line = Users::with_password("ana", "pencil", Grant::default()).expect("a line");
    let server = Server::start(Some(&line), Patience { head_max: SHORT, ..PATIENT }).await;
    let mut silent = TcpStream::connect(server.address).await.expect("connection");
    let ended = tokio::time::timeout(LONG / 2, silent.read_to_end(&mut Vec::new())).await;
    ended.expect("the server closes the connection").expect("it is closed");
    server.stop().await;

    // Nor who takes no answer, and a stop waits for nobody for long.
    let server = Server::start(None, Patience { rest_max: SHORT, ..PATIENT }).await;
    let mut client = server.client().await;
    let ticket = client.execute(LARGE.to_owned(), None).await.expect("a ticket").endpoint[0].ticket.clone();
    let mut answer = client.do_get(ticket.expect("a ticket")).await.expect("rows");
    answer.try_next().await.expect("rows").expect("a batch");
    let began = Instant::now();
    tokio::time::sleep(2 * SHORT).await;
    let found = answer.try_collect::<Vec<_>>().await;
    assert!(found.is_err(), "half an answer is not taken for a whole one, after {:?}", began.elapsed());
    server.stop().await;

    let server = Server::start(None, Patience { stop_max: SHORT, ..PATIENT }).await;
    let mut client = server.client().await;
    let ticket = client.execute(LARGE.to_owned(), None).await.expect("a ticket").endpoint[0].ticket.clone();
    let mut answer = client.do_get(ticket.expect("a ticket")).await.expect("rows");
    answer.try_next().await.expect("rows").expect("a batch");
    let taken = server.stop().await;
    assert!(taken >= SHORT, "it was given its time: {taken:?}");
}
