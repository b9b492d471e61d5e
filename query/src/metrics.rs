//! What the service counts about itself: questions and their errors in, Prometheus text out.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::QueryError;

/// Counters of one service. They never go back; `running` is a level.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    queries: AtomicU64,
    running: AtomicI64,
    rows: AtomicU64,
    micros: AtomicU64,
    errors: [AtomicU64; QueryError::KINDS.len()],
}

impl Counters {
    /// One more question; it counts as running until the guard is dropped, which is when its last row was handed
    /// on, it failed or the client went away.
    pub(crate) fn start(self: &Arc<Counters>) -> Running {
        self.queries.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running { counters: self.clone(), started: Instant::now() }
    }

    /// A question failed; hands the error on. What the operator has to mend goes to the log, too.
    pub(crate) fn count_error(&self, error: QueryError) -> QueryError {
        if matches!(error, QueryError::Unavailable(_) | QueryError::Internal(_)) {
            tracing::warn!(kind = error.kind(), "a question was not answered: {error}");
        }
        let counters = QueryError::KINDS.iter().zip(&self.errors);
        for (_, counter) in counters.filter(|(kind, _)| **kind == error.kind()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        error
    }

    /// The counters in the Prometheus text format.
    pub(crate) fn prometheus_text(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP plimsoll_query_{name} {help}\n# TYPE plimsoll_query_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "plimsoll_query_{name}{labels} {value}");
            }
        };
        let plain = |value: String| [(String::new(), value)];
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        family("requests_total", "counter", "Questions asked.", &plain(read(&self.queries).to_string()));
        let errors: Vec<_> = QueryError::KINDS
            .iter()
            .zip(&self.errors)
            .map(|(kind, counter)| (format!("{{kind=\"{kind}\"}}"), read(counter).to_string()))
            .collect();
        family("errors_total", "counter", "Questions that got no answer, by kind of error.", &errors);
        family("rows_total", "counter", "Rows answered.", &plain(read(&self.rows).to_string()));
        let seconds = Duration::from_micros(read(&self.micros)).as_secs_f64();
        family("seconds_total", "counter", "Time spent answering.", &plain(seconds.to_string()));
        let running = self.running.load(Ordering::Relaxed);
        family("running", "gauge", "Questions being answered now.", &plain(running.to_string()));
        text
    }
}

/// One question on its way.
#[derive(Debug)]
pub(crate) struct Running {
    counters: Arc<Counters>,
    started: Instant,
}

impl Running {
    /// That many more rows went out.
    pub(crate) fn count_rows(&self, rows: usize) {
        self.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// It failed; hands the error on.
    pub(crate) fn count_error(&self, error: QueryError) -> QueryError {
        self.counters.count_error(error)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.micros.fetch_add(micros, Ordering::Relaxed);
        self.counters.running.fetch_sub(1, Ordering::Relaxed);
    }
}
