//! Connections: a listener and a router in, answers out, and an end of each connection, whatever clients do.
//!
//! A client that sends slowly, reads slowly or does nothing holds one connection, and that not for long: a request's head
//! has its time, a connection is kept for further requests for a while and then only until the answer on its way is
//! taken, for which there is a time, too. Time limits of single requests would not do: while a client does not read,
//! nothing above the connection is asked whether it is late.

use std::pin::pin;
use std::time::Duration;

use axum::{Extension, Router};
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::connections::attend_all;
use crate::http::stream::Stopping;
use crate::tls::Tls;

/// How long clients are waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time for the head of a request, which is also how long a connection may be idle between two.
    pub head_max: Duration,
    /// Age up to which a connection takes further requests.
    pub kept_max: Duration,
    /// Time that a connection of that age has to end what it began. More than an answer may take.
    pub rest_max: Duration,
    /// Time that everything on its way has to end once the server is to stop.
    pub stop_max: Duration,
}

impl Default for Patience {
    /// Half a minute for a head, as is usual; a minute for what comes on one connection, and what an answer may take and
    /// half of it again for the last of it; five seconds to stop, half of what a container is given.
    fn default() -> Patience {
        Patience {
            head_max: Duration::from_secs(30),
            kept_max: Duration::from_secs(60),
            rest_max: Duration::from_secs(90),
            stop_max: Duration::from_secs(5),
        }
    }
}

impl Patience {
    /// That for answers which may take so long.
    pub fn with_answers(time_max: Duration) -> Patience {
        let usual = Patience::default();
        Patience { rest_max: usual.rest_max.max(time_max + time_max / 2), ..usual }
    }
}

/// Serves the router until `shutdown` resolves, over TLS where that is given. Requests that are then on their way are still
/// answered, but no longer than `stop_max` after it; what is not done then is broken off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    patience: Patience,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let shutdown = shutdown.boxed().shared();
    let router = router.layer(Extension(Stopping(shutdown.clone())));
    attend_all(listener, usize::MAX, patience.stop_max, shutdown.clone(), |stream| {
        let (tls, router, patience, shutdown) = (tls.clone(), router.clone(), patience.clone(), shutdown.clone());
        async move {
            let Some(tls) = tls else { return attend(stream, router, patience, shutdown).await };
            // Who does not speak it, or not in time, is turned away.
            if let Ok(Ok(stream)) = timeout(patience.head_max, tls.acceptor().accept(stream)).await {
                attend(stream, router, patience, shutdown).await;
            }
        }
    })
    .await;
}

/// Answers the requests of one connection.
async fn attend(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    patience: Patience,
    shutdown: impl Future<Output = ()>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head_max)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        // An error is the client's, who went away or does not speak HTTP.
        _ = &mut connection => return,
        () = sleep(patience.kept_max) => {}
        () = shutdown => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(patience.rest_max, connection).await;
}
