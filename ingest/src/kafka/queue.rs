//! The bounded queue between the poll thread and whoever folds events. Its bound is in payload bytes, because records
//! differ in size by orders of magnitude, and no library's channel can be bounded so.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::KafkaEvent;

/// The receiving end of a consumer's events.
#[derive(Clone)]
pub struct KafkaEvents(Arc<Shared>);

struct Shared {
    bytes_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<(KafkaEvent, usize)>,
    bytes: usize,
    closed: bool,
}

/// What became of an event that was to be queued.
pub(super) enum Push {
    /// It is in the queue.
    Done,
    /// The queue stayed full; here it is again.
    Full(Box<KafkaEvent>),
    /// Nobody will ever receive it.
    Closed,
}

impl KafkaEvents {
    pub(super) fn new(bytes_max: usize) -> KafkaEvents {
        KafkaEvents(Arc::new(Shared { bytes_max, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// The next event, waiting for it up to `timeout`; `None` when none came in that time or none will ever come.
    pub fn receive(&self, timeout: Duration) -> Option<KafkaEvent> {
        let idle = |state: &mut State| state.events.is_empty() && !state.closed;
        let waited = self.0.changed.wait_timeout_while(self.state(), timeout, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (event, bytes) = state.events.pop_front()?;
        state.bytes -= bytes;
        drop(state);
        self.0.changed.notify_all();
        Some(event)
    }

    /// True when the source has ended and everything it said was received.
    pub fn is_finished(&self) -> bool {
        let state = self.state();
        state.closed && state.events.is_empty()
    }

    /// How many events wait.
    pub fn depth_count(&self) -> usize {
        self.state().events.len()
    }

    /// How many payload bytes wait.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Queues an event that stands for `bytes`, waiting up to `timeout` for room. An event larger than the whole bound
    /// is let into an empty queue, or it would never pass.
    pub(super) fn push(&self, event: KafkaEvent, bytes: usize, timeout: Duration) -> Push {
        let full = |state: &State| !state.events.is_empty() && state.bytes + bytes > self.0.bytes_max;
        let waited = self.0.changed.wait_timeout_while(self.state(), timeout, |state| full(state) && !state.closed);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Push::Closed;
        }
        if full(&state) {
            return Push::Full(event.into());
        }
        state.bytes += bytes;
        state.events.push_back((event, bytes));
        drop(state);
        self.0.changed.notify_all();
        Push::Done
    }

    /// From now on nothing is queued and receivers no longer wait.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.0.changed.notify_all();
    }

    /// A poisoned lock is taken all the same: each change of the state is complete before anything could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
