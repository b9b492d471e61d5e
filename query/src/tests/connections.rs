//! The doors over a network, with clients that behave and clients that do not.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::{More, Patience, router, serve};

/// What no test waits for by design.
const LONG: Duration = Duration::from_secs(120);
/// What a test waits for.
const SHORT: Duration = Duration::from_millis(200);
/// Far more text than a socket's buffers take, and little to compute.
const LARGE: &str = "SELECT value, 'some text that makes the answer large' FROM generate_series(1, 900000)";

/// Patience that no test tries by accident.
const PATIENT: Patience = Patience { head_max: LONG, kept_max: LONG, rest_max: LONG, stop_max: LONG };

struct Server {
    _folder: TempDir,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start(patience: Patience) -> Server {
        let (folder, lake, _) = service(limits()).await;
        let service = QueryService::open(lake, limits(), thread()).await.expect("service");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = oneshot::channel();
        let doors = router(Arc::new(service), Arc::new(|| Ok(())), More::default());
        let running = tokio::spawn(serve(listener, doors, None, patience, async { stopped.await.unwrap_or_default() }));
        Server { _folder: folder, address, stop, running }
    }

    /// A connection on which this much of a request was sent.
    async fn send(&self, begun: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.expect("connection");
        connection.write_all(begun.as_bytes()).await.expect("request");
        connection
    }

    /// A connection that asks for much and has read the beginning of the answer.
    async fn ask_for_much(&self) -> TcpStream {
        let mut connection = self.send(&post(LARGE)).await;
        connection.read_exact(&mut [0; 15]).await.expect("the answer begins");
        connection
    }

    /// Stops the server; fails when it takes long.
    async fn stop(self) -> Duration {
        let asked = Instant::now();
        self.stop.send(()).expect("server is there");
        timeout(LONG / 2, self.running).await.expect("it ends in time").expect("no panic");
        asked.elapsed()
    }
}

fn post(statement: &str) -> String {
    format!("POST /v1/sql HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{statement}", statement.len())
}

/// Reads until the server closes the connection; fails when it does not do so soon.
async fn read_to_the_end(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is broken off ends with an error, perhaps.
    let _ = timeout(LONG / 2, connection.read_to_end(&mut answer)).await.expect("the server closes the connection");
    String::from_utf8(answer).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_until_it_is_told_to_stop() {
    let server = Server::start(PATIENT).await;
    for (path, part) in [("/healthz", "\r\n\r\nok\n"), ("/readyz", "ready\n"), ("/", "GET  /v1/trend?agreement=")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let answer = read_to_the_end(&mut server.send(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(part), "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_their_way_are_given_time_when_the_server_stops() {
    let server = Server::start(PATIENT).await;
    let mut reading = server.ask_for_much().await;
    let mut idle = server.send("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await;
    idle.read_exact(&mut [0; 15]).await.expect("the answer begins");
    let stopping = tokio::spawn(server.stop());
    assert!(read_to_the_end(&mut idle).await.ends_with("ok\n"), "a connection without a request ends at once");
    let answer = read_to_the_end(&mut reading).await;
    assert!(answer.contains("\"value\":900000,") && answer.ends_with("0\r\n\r\n"), "a whole answer");
    stopping.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_with_their_position() {
    let server = Server::start(PATIENT).await;
    let mut streaming = server.send("GET /v1/stream HTTP/1.1\r\nHost: test\r\n\r\n").await;
    streaming.read_exact(&mut [0; 15]).await.expect("the answer begins");
    let stopping = tokio::spawn(server.stop());
    let answer = read_to_the_end(&mut streaming).await;
    assert_eq!(answer.matches("event: position").count(), 2, "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "a whole answer: {answer}");
    assert!(stopping.await.expect("it stops") < LONG / 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_client() {
    let server = Server::start(Patience { stop_max: SHORT, ..PATIENT }).await;
    // Clients that say nothing, half a head, a head without its body, and one that does not read its answer.
    let _silent = server.send("").await;
    let _half = server.send("GET / HT").await;
    let _bodiless = server.send("POST /v1/sql HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n").await;
    let _deaf = server.ask_for_much().await;
    let _curious = server.send(&post(ENGROSSING)).await;
    tokio::time::sleep(SHORT).await;
    let taken = server.stop().await;
    assert!(taken >= SHORT, "they were given their time: {taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_its_connection() {
    let server = Server::start(Patience { head_max: SHORT, ..PATIENT }).await;
    for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: test\r\n"] {
        let answer = read_to_the_end(&mut server.send(begun).await).await;
        assert!(!answer.contains("200"), "{begun:?}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_an_age() {
    let server = Server::start(Patience { kept_max: SHORT, rest_max: SHORT, ..PATIENT }).await;
    let bodiless = "POST /v1/sql HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(read_to_the_end(&mut server.send(bodiless).await).await, "");
    let mut deaf = server.ask_for_much().await;
    tokio::time::sleep(3 * SHORT).await;
    let answer = read_to_the_end(&mut deaf).await;
    assert!(!answer.ends_with("0\r\n\r\n"), "half an answer is not taken for a whole one");
    server.stop().await;
}
