//! Streams that are worked off by other threads: those of questions, which compute for long without a break.
//!
//! A thread that computes neither takes a request nor looks at a clock nor hears a signal. A join by comparison, say, is
//! asked for its next rows once and may be at it for minutes. So nothing that waits may share threads with it.

use std::panic::resume_unwind;
use std::pin::pin;

use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The items of `stream`, fetched by a task on these threads, which is one or two of them ahead. Dropping what this
/// returns ends the task at the next item.
pub(crate) fn ahead<Item: Send + 'static>(
    stream: impl Stream<Item = Item> + Send + 'static,
    threads: &Handle,
) -> impl Stream<Item = Item> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    let mut task = JoinSet::new();
    let fetch = async move {
        let mut stream = pin!(stream);
        while let Some(item) = stream.next().await {
            if sender.send(item).await.is_err() {
                return;
            }
        }
    };
    task.spawn_on(fetch, threads);
    futures::stream::unfold((receiver, task), |(mut receiver, mut task)| async move {
        if let Some(item) = receiver.recv().await {
            return Some((item, (receiver, task)));
        }
        // The end of a task that panicked is not the end of the stream.
        match task.join_next().await {
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            _ => None,
        }
    })
}
