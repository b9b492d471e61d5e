//! The Postgres wire: what `psql`, drivers and BI tools speak. Statements come in, rows as text or binary go out.
//!
//! ```text
//! client ── users (who is it) ── session ─┬─ settings: SET, SHOW, BEGIN ...: kept by the connection, change nothing
//!                                         └─ statement ── parameters ── QueryService (limits, read-only) ── rows
//! ```
//! The protocol is pgwire's, the encoding of values arrow-pg's. Tools ask `pg_catalog` what tables there are, which
//! datafusion-pg-catalog answers; it also rewrites what Postgres understands and DataFusion does not. What is asked goes
//! through the same service as every other question, with the same limits and the same refusals.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::StreamExt;
use pgwire::api::auth::StartupHandler;
use pgwire::api::cancel::DefaultCancelHandler;
use pgwire::api::{ClientInfo, ConnectionManager, METADATA_USER, NoopHandler, PgWireConnectionState};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireFrontendMessage;
use pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls, process_error, process_message};
use tokio::io::{AsyncReadExt, Join, ReadHalf, Take, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant as Moment, sleep, timeout, timeout_at};
use tokio_util::codec::{Framed, FramedParts};

use crate::connections::attend_all;
use crate::http::Patience;
use crate::session::QueryService;
use crate::tls::Tls;
use crate::users::Users;

use session::{Prepared, Session};
pub(crate) use tools::{functions, settings_table};

mod arrays;
mod parameters;
mod rewrite;
mod session;
mod settings;
mod tools;
mod users;

/// How many connections there are at most: those of a pool or two. Who comes beyond is turned away at once.
const CONNECTIONS_MAX: usize = 200;

/// How long a client may take to say who it is.
const LOGIN_MAX: Duration = Duration::from_secs(30);

/// How long one that is in may say nothing, before another gets its place.
const IDLE_MAX: Duration = Duration::from_hours(1);

/// How long one that is not let in waits for the answer.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// Bytes of a message at most, about, before a client is in: a name and a password.
const LOGIN_BYTES_MAX: u64 = 16 << 10;

/// The same afterwards: a statement and the values of its parameters.
const MESSAGE_BYTES_MAX: u64 = 4 << 20;

/// A connection as messages.
type Socket = Framed<Join<Take<ReadHalf<MaybeTls>>, WriteHalf<MaybeTls>>, PgWireMessageServerCodec<Prepared>>;

/// What every connection shares.
#[derive(Clone)]
struct Door {
    service: Arc<QueryService>,
    users: Arc<Users>,
    /// Reads what tools ask of the catalog.
    parser: Arc<PostgresCompatibilityParser>,
    tls: Option<Tls>,
    /// Which connections there are, for whoever asks for an answer to be broken off.
    connections: Arc<ConnectionManager>,
}

/// Serves the Postgres wire until `shutdown` resolves; what is on its way then has as long as `patience` says to end.
/// Who connects has to be one of the `users`.
pub async fn serve_postgres(
    listener: TcpListener,
    service: Arc<QueryService>,
    users: Arc<Users>,
    tls: Option<Tls>,
    patience: Patience,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let parser = Arc::new(PostgresCompatibilityParser::new());
    let door = Door { service, users, parser, tls, connections: Arc::new(ConnectionManager::new()) };
    // Connections are kept for long, so most are idle when all is to stop.
    attend_all(listener, CONNECTIONS_MAX, patience.stop_max, shutdown, |stream| attend(stream, door.clone())).await;
}

/// An error as Postgres tells it; the codes are those of its manual, appendix A.
fn refused(code: &str, message: String) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message)))
}

/// The same of an error that ends the connection.
fn fatal(code: &str, message: String) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message)))
}

/// Answers one connection until its client goes, or is not let in, or says nothing for too long.
async fn attend(stream: TcpStream, door: Door) {
    let handlers = Handlers {
        startup: Arc::new(users::startup(&door)),
        session: Arc::new(Session::new(&door)),
        cancel: Arc::new(DefaultCancelHandler::new(door.connections.clone())),
        copy: Arc::new(NoopHandler),
    };
    let login_by = Moment::now() + LOGIN_MAX;
    let socket = timeout_at(login_by, negotiate_tls(stream, door.tls.as_ref().map(Tls::acceptor))).await;
    if let Ok(Ok(Some(socket))) = socket
        && let Some(mut socket) = metered(socket)
    {
        socket.set_state(PgWireConnectionState::AwaitingStartup);
        // An error is the client's, who went away or does not speak the protocol.
        let _ = converse(&mut socket, &handlers, login_by).await;
    }
}

/// The same connection, of which no more bytes are read than are allowed; none when something came in clear before what is
/// to be secret, which may be somebody else's.
fn metered(socket: Framed<MaybeTls, PgWireMessageServerCodec<Prepared>>) -> Option<Socket> {
    if socket.is_secure() && !socket.read_buffer().is_empty() {
        return None;
    }
    let parts = socket.into_parts();
    let (reader, writer) = tokio::io::split(parts.io);
    let mut metered = FramedParts::new(tokio::io::join(reader.take(LOGIN_BYTES_MAX), writer), parts.codec);
    metered.read_buf = parts.read_buf;
    Some(Framed::from_parts(metered))
}

/// Takes message after message.
async fn converse<Startup: StartupHandler + 'static>(
    socket: &mut Socket,
    handlers: &Handlers<Startup>,
    login_by: Moment,
) -> io::Result<()> {
    use PgWireConnectionState::{AuthenticationInProgress, AwaitingStartup};
    loop {
        let is_in = !matches!(socket.state(), AwaitingStartup | AuthenticationInProgress);
        let (bytes_max, until) = match is_in {
            true => (MESSAGE_BYTES_MAX, Moment::now() + IDLE_MAX),
            false => (LOGIN_BYTES_MAX, login_by),
        };
        socket.get_mut().reader_mut().set_limit(bytes_max);
        let message = match timeout_at(until, socket.next()).await {
            Ok(Some(Ok(PgWireFrontendMessage::Terminate(_))) | Some(Err(_)) | None) => return Ok(()),
            Ok(Some(Ok(message))) => message,
            Err(_) if !is_in => return Ok(()),
            Err(_) => {
                let told = "nothing was asked for an hour; connect again".to_owned();
                return process_error(socket, fatal("57P05", told), false).await;
            }
        };
        let is_extended = message.is_extended_query();
        let done = process_message(
            message,
            socket,
            handlers.startup.clone(),
            handlers.session.clone(),
            handlers.session.clone(),
            handlers.copy.clone(),
            handlers.cancel.clone(),
        );
        // Nobody may leave an answer untaken for ever either.
        let Ok(done) = timeout(IDLE_MAX, done).await else { return Ok(()) };
        let Err(mut error) = done else { continue };
        if let PgWireError::InvalidPassword(name) = &mut error {
            // Within the exchange of the password clients leave the name out.
            *name = socket.metadata().get(METADATA_USER).cloned().unwrap_or_default();
        }
        if !is_in {
            // Whoever guesses a password has to wait, and to connect again.
            sleep(REFUSAL_DELAY).await;
        }
        match timeout(IDLE_MAX, process_error(socket, error, is_in && is_extended)).await {
            Ok(told) if is_in => told?,
            _ => return Ok(()),
        }
    }
}

/// What answers one connection.
struct Handlers<Startup> {
    startup: Arc<Startup>,
    session: Arc<Session>,
    cancel: Arc<DefaultCancelHandler>,
    /// Nothing is copied.
    copy: Arc<NoopHandler>,
}
