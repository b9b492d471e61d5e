//! Arrow Flight SQL: what the ADBC and JDBC drivers of Arrow speak. Statements come in, record batches go out as they are
//! computed.
//!
//! ```text
//! client ── TLS ── HTTP/2 (hyper) ── login (who calls) ── calls ─┬─ statement ── QueryService ── record batches
//!                  traffic: what is under way                    ├─ prepared: statements that wait for values
//!                                                                └─ metadata: what there is; facts: about us
//! ```
//! The protocol is that of arrow-flight and tonic; connections are accepted here, as at the other doors, so that they have
//! the same certificate, bounds and end. A ticket holds the statement itself and is planned again when it is redeemed: there
//! is nothing to keep for who never comes back, and a ticket opens nothing that its bearer could not ask for. What is asked
//! goes through the same service as every other question, with the same limits and the same refusals.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use axum::http::{Request, Response};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant as Moment, sleep_until, timeout};
use tonic::Status;
use tonic::body::Body;

use crate::connections::attend_all;
use crate::error::QueryError;
use crate::format::plain_schema;
use crate::http::Patience;
use crate::session::QueryService;
use crate::tls::Tls;
use crate::users::Users;

use calls::Calls;
use login::{Entrance, Turn};
use traffic::{Standing, Traffic};

mod calls;
mod facts;
mod kept;
mod login;
mod metadata;
mod prepared;
mod traffic;

/// How many connections there are at most: those of a pool or two. Who comes beyond is turned away at once.
const CONNECTIONS_MAX: usize = 200;

/// Calls at once on a connection; a driver makes a few.
const CALLS_MAX: u32 = 100;

/// Bytes of a call that a client may send before they are taken, and of all calls of a connection: who has not logged in has
/// no more of our memory than this.
const CALL_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes of a message at most: a statement, and the values of its parameters.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// How often a client that says nothing is asked whether it is there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(60);
const PONG_MAX: Duration = Duration::from_secs(20);

/// How often what is under way on a connection is looked at, at least; or as often as a call may take, if that is less.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Bytes of an error's text at most: it travels in a header, of which clients take 8 KiB, and what is not ASCII is three
/// times as long in it.
const TEXT_BYTES_MAX: usize = 2_000;

/// The call by which drivers log in.
const LOGIN: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// What every connection shares.
#[derive(Clone)]
struct Door {
    entrance: Arc<Entrance>,
    calls: FlightServiceServer<Calls>,
    patience: Patience,
}

/// Serves Arrow Flight SQL until `shutdown` resolves, over TLS where that is given; what is on its way then has as long as
/// `patience` says to end. Who calls has to be one of the `users`, where there are such.
pub async fn serve_flight(
    listener: TcpListener,
    service: Arc<QueryService>,
    users: Option<Arc<Users>>,
    tls: Option<Tls>,
    patience: Patience,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let stop_max = patience.stop_max;
    let calls = FlightServiceServer::new(Calls::new(service)).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let door = Door { entrance: Arc::new(Entrance::new(users)), calls, patience };
    let acceptor = tls.as_ref().map(Tls::http2_acceptor);
    let shutdown = shutdown.boxed().shared();
    attend_all(listener, CONNECTIONS_MAX, stop_max, shutdown.clone(), |stream: TcpStream| {
        let (door, acceptor, shutdown) = (door.clone(), acceptor.clone(), shutdown.clone());
        // What is written is a message or part of one, which is not to wait for more.
        let _ = stream.set_nodelay(true);
        async move {
            let Some(acceptor) = acceptor else { return attend(stream, door, shutdown).await };
            // Who does not speak it, or not in time, is turned away.
            if let Ok(Ok(stream)) = timeout(door.patience.head_max, acceptor.accept(stream)).await {
                attend(stream, door, shutdown).await;
            }
        }
    })
    .await;
}

/// Answers the calls of one connection until its client goes, or is not let in, or asks nothing for too long, or takes no
/// answers.
async fn attend(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    door: Door,
    shutdown: impl Future<Output = ()>,
) {
    let (patience, turn) = (door.patience.clone(), Arc::new(Turn::default()));
    let traffic = Arc::new(Traffic::begin(&patience));
    let look_every = LOOK_EVERY.min(patience.rest_max);
    let answering = service_fn({
        let traffic = traffic.clone();
        move |request| answer(door.clone(), traffic.clone(), turn.clone(), request)
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS_MAX)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_MAX)
        .serve_connection(TokioIo::new(stream), answering);
    let mut connection = pin!(connection);
    let mut shutdown = pin!(shutdown);
    loop {
        let look_at = match traffic.standing(Moment::now()) {
            Standing::Good(until) => until.min(Moment::now() + look_every),
            Standing::Idle => break,
            Standing::Stuck => return,
        };
        tokio::select! {
            // An error is the client's, who went away or does not speak HTTP/2.
            _ = &mut connection => return,
            () = sleep_until(look_at) => {}
            () = &mut shutdown => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(patience.rest_max, connection).await;
}

/// Answers one call.
async fn answer(
    door: Door,
    traffic: Arc<Traffic>,
    turn: Arc<Turn>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let is_login = request.uri().path() == LOGIN;
    // Before anything of it but its head is read.
    let asker = match door.entrance.admit(request.headers(), is_login, &turn).await {
        Ok(asker) => asker,
        Err(status) => return Ok(status.into_http()),
    };
    let call = Traffic::call(&traffic, Moment::now());
    request.extensions_mut().insert(asker);
    request.extensions_mut().insert(call.clone());
    let answered = TowerToHyperService::new(door.calls).call(request).await;
    drop(call);
    answered
}

/// The columns as they are sent: without types that not every client reads.
fn sent(columns: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Dictionary(_, of) => field.as_ref().clone().with_data_type(of.as_ref().clone()),
        _ => field.as_ref().clone(),
    };
    plain_schema(&Schema::new(columns.fields().iter().map(field).collect::<Vec<_>>()))
}

/// An error of a question, as gRPC tells it.
fn told(error: QueryError) -> Status {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    match error {
        QueryError::Invalid(_) => Status::invalid_argument(text),
        QueryError::Refused(_) => Status::permission_denied(text),
        QueryError::Exhausted(_) => Status::resource_exhausted(text),
        QueryError::Unavailable(_) => Status::unavailable(text),
        QueryError::Internal(_) => Status::internal(text),
    }
}

/// A defect.
fn internal(error: &dyn std::error::Error) -> Status {
    told(QueryError::Internal(error.to_string()))
}
