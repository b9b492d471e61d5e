//! The threads of a process that are not of its own making: those that wait, and those that compute answers.

use std::time::Duration;

use plimsoll_query::STACK_BYTES;
use tokio::runtime::{Builder, Handle, Runtime};

/// How long what was broken off may take to clear up behind itself.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// Two runtimes with as many threads as processors, because a question leaves the thread that computes it no time for
/// requests, commits and signals.
pub struct Threads {
    /// For everything that waits.
    pub waiting: Runtime,
    questions: Runtime,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start() -> std::io::Result<Threads> {
        let waiting = Builder::new_multi_thread().enable_all().build()?;
        let questions =
            Builder::new_multi_thread().enable_all().thread_name("questions").thread_stack_size(STACK_BYTES).build()?;
        Ok(Threads { waiting, questions })
    }

    /// Where a query service computes.
    pub fn questions(&self) -> Handle {
        self.questions.handle().clone()
    }

    /// Ends them. A question that still computes then is not waited for.
    pub fn end(self) {
        self.waiting.shutdown_timeout(LINGER_MAX);
        self.questions.shutdown_timeout(LINGER_MAX);
    }
}
