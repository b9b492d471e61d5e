//! The Postgres wire: what `psql`, drivers and BI tools speak. Statements come in, rows as text or binary go out.
//!
//! ```text
//! client ── users (who is it) ── session ─┬─ settings: SET, SHOW, BEGIN ...: kept by the connection, change nothing
//!                                         └─ statement ── QueryService (limits, read-only) ── rows
//! ```
//! The protocol is pgwire's, the encoding of values arrow-pg's. Tools ask `pg_catalog` what tables there are, which
//! datafusion-pg-catalog answers; it also rewrites what Postgres understands and DataFusion does not. What is asked goes
//! through the same service as every other question, with the same limits and the same refusals.

use std::sync::Arc;

use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use pgwire::api::ConnectionManager;
use pgwire::api::PgWireServerHandlers;
use pgwire::api::auth::StartupHandler;
use pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::tokio::process_socket;
use tokio::net::{TcpListener, TcpStream};

use crate::connections::attend_all;
use crate::http::Patience;
use crate::session::QueryService;

use session::Session;
pub use tls::Tls;
pub(crate) use tools::functions;
pub use users::Users;

mod rewrite;
mod session;
mod settings;
mod tls;
mod tools;
mod users;

/// How many connections there are at most: those of a pool or two. Who comes beyond is turned away at once.
const CONNECTIONS_MAX: usize = 200;

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
    users: Users,
    tls: Option<Tls>,
    patience: Patience,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (users, parser) = (Arc::new(users), Arc::new(PostgresCompatibilityParser::new()));
    let door = Door { service, users, parser, tls, connections: Arc::new(ConnectionManager::new()) };
    // Connections are kept for long, so most are idle when all is to stop.
    attend_all(listener, CONNECTIONS_MAX, patience.stop_max, shutdown, |stream| attend(stream, door.clone())).await;
}

/// An error as Postgres tells it; the codes are those of its manual, appendix A.
fn refused(code: &str, message: String) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message)))
}

/// Answers one connection until its client goes.
async fn attend(stream: TcpStream, door: Door) {
    let tls = door.tls.as_ref().map(Tls::acceptor);
    let handlers = Handlers {
        startup: Arc::new(users::startup(&door)),
        session: Arc::new(Session::new(&door)),
        cancel: Arc::new(DefaultCancelHandler::new(door.connections.clone())),
    };
    // An error is the client's, who went away or does not speak the protocol.
    let _ = process_socket(stream, tls, handlers).await;
}

/// What answers one connection.
struct Handlers<Startup> {
    startup: Arc<Startup>,
    session: Arc<Session>,
    cancel: Arc<DefaultCancelHandler>,
}

impl<Startup: StartupHandler + 'static> PgWireServerHandlers for Handlers<Startup> {
    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        self.startup.clone()
    }

    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.session.clone()
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        self.session.clone()
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        self.cancel.clone()
    }
}
