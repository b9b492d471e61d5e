//! A listener and what attends to a connection in; an end of all of them out, whatever clients do.

use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Attends to connections until `shutdown` resolves, and then for as long as `stop_max` to those that there are; what is
/// not done then is broken off. Who comes while there are `count_max` is turned away at once.
pub(crate) async fn attend_all<Attended: Future<Output = ()> + Send + 'static>(
    mut listener: TcpListener,
    count_max: usize,
    stop_max: Duration,
    shutdown: impl Future<Output = ()>,
    attend: impl Fn(TcpStream) -> Attended,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, _) = Listener::accept(&mut listener) => {
                if connections.len() < count_max {
                    connections.spawn(attend(stream));
                }
            }
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    // What is left when the set is dropped is aborted.
    let _ = timeout(stop_max, async { while connections.join_next().await.is_some() {} }).await;
}
