//! What is under way on a connection: calls begin and end, and it follows whether the connection is good for more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant as Moment;

use crate::http::Patience;

/// How long a connection may be quiet on which somebody called.
const IDLE_MAX: Duration = Duration::from_hours(1);

/// The calls of a connection.
pub(super) struct Traffic {
    /// How long it may be quiet before the first of those who may.
    login_max: Duration,
    /// How long a call may take: more than its answer may, also when the client is slow to take it.
    call_max: Duration,
    state: Mutex<State>,
}

struct State {
    /// When each call began that has not ended.
    open: BTreeMap<u64, Moment>,
    /// Calls so far.
    count: u64,
    quiet_since: Moment,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is as it should be, and is to be looked at again then.
    Good(Moment),
    /// Nobody called for too long.
    Idle,
    /// Nobody logged in in time, or a call takes too long: its client does not take the answer, or does not end the
    /// question.
    Stuck,
}

/// A call; it ends when the last owner is gone.
pub(super) struct Call {
    traffic: Arc<Traffic>,
    number: u64,
}

impl Traffic {
    /// Of a connection that has just been made.
    pub(super) fn begin(patience: &Patience) -> Traffic {
        let state = State { open: BTreeMap::new(), count: 0, quiet_since: Moment::now() };
        Traffic { login_max: patience.head_max, call_max: patience.rest_max, state: Mutex::new(state) }
    }

    /// One more call of somebody who may.
    pub(super) fn call(traffic: &Arc<Traffic>, now: Moment) -> Arc<Call> {
        let mut state = traffic.state();
        let number = state.count;
        state.count += 1;
        state.open.insert(number, now);
        Arc::new(Call { traffic: traffic.clone(), number })
    }

    /// What is to be thought of the connection.
    pub(super) fn standing(&self, now: Moment) -> Standing {
        let state = self.state();
        let (quiet_max, quiet) =
            if state.count == 0 { (self.login_max, Standing::Stuck) } else { (IDLE_MAX, Standing::Idle) };
        let (until, otherwise) = match state.open.values().min() {
            Some(began) => (*began + self.call_max, Standing::Stuck),
            None => (state.quiet_since + quiet_max, quiet),
        };
        if now < until { Standing::Good(until) } else { otherwise }
    }

    /// A change of it is one step, so that one that panicked has left it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.traffic.state();
        state.open.remove(&self.number);
        state.quiet_since = Moment::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_good_while_calls_come_and_end() {
        let (login, call) = (Duration::from_secs(30), Duration::from_secs(90));
        let patience = Patience { head_max: login, rest_max: call, ..Patience::default() };
        let traffic = Arc::new(Traffic::begin(&patience));
        let start = traffic.state().quiet_since;
        assert_eq!(traffic.standing(start), Standing::Good(start + login));
        assert_eq!(traffic.standing(start + login), Standing::Stuck, "nobody logged in");
        let first = Traffic::call(&traffic, start + login);
        let second = Traffic::call(&traffic, start + login + login);
        assert_eq!(traffic.standing(start + login), Standing::Good(start + login + call));
        assert_eq!(traffic.standing(start + login + call), Standing::Stuck, "the first takes too long");
        drop(first);
        assert_eq!(traffic.standing(start + login + call), Standing::Good(start + login + login + call));
        drop(second);
        let quiet = traffic.state().quiet_since;
        assert_eq!(traffic.standing(quiet + call), Standing::Good(quiet + IDLE_MAX));
        assert_eq!(traffic.standing(quiet + IDLE_MAX), Standing::Idle);
    }
}
