//! How a running process ends: the first SIGTERM or Ctrl-C lets it finish its epoch, a second one stops it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Told once that everything is to end; heard by everybody who holds a clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    requested: AtomicBool,
    changed: Notify,
}

impl Shutdown {
    /// A shutdown that signals request.
    ///
    /// # Errors
    /// When the system does not let us listen to signals.
    pub fn on_signals(runtime: &tokio::runtime::Handle) -> Result<Shutdown> {
        let shutdown = Shutdown::default();
        let told = shutdown.clone();
        let _entered = runtime.enter();
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to Ctrl-C")?;
        runtime.spawn(async move {
            let mut heard = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            heard().await;
            eprintln!("ending what is under way; once more stops at once");
            told.request();
            heard().await;
            eprintln!("stopped at once; the next start goes on from the last committed epoch");
            std::process::exit(1);
        });
        Ok(shutdown)
    }

    /// Requests the end.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }

    /// True once the end was requested.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Resolves once the end was requested.
    pub async fn requested(&self) {
        let changed = self.0.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !self.is_requested() {
            changed.await;
        }
    }
}
