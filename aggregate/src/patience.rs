//! Storage that is away for a while: a full disk, a bucket that does not answer, a folder that is not mounted.
//!
//! In: a step that may be repeated. Out: what it comes to, after as many attempts as it takes within some minutes. Meanwhile
//! nothing else is written, so the queues fill and Kafka keeps the records. Trouble is said once when it begins and once
//! when it is over; `/metrics` shows it all the while.

use std::time::{Duration, Instant as Moment};

use plimsoll_lake::LakeError;

use crate::live::Live;

/// The wait before the first repetition; each next one is twice as long.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest wait: so long the tables lag at most behind storage that is back.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// How long storage may be away before the worker ends with the error: longer than a failover or a remount takes, and short
/// enough that whoever watches processes hears of it.
const AWAY_MAX: Duration = Duration::from_secs(10 * 60);
/// How often a wait looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long to go on trying.
pub struct Patience {
    wait_min: Duration,
    wait_max: Duration,
    away_max: Duration,
    is_stopping: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Patience {
    /// Goes on for minutes, unless the process is to end.
    pub fn new(is_stopping: impl Fn() -> bool + Send + Sync + 'static) -> Patience {
        let is_stopping = Box::new(is_stopping);
        Patience { wait_min: WAIT_MIN, wait_max: WAIT_MAX, away_max: AWAY_MAX, is_stopping }
    }

    /// The same, but the first wait is `least`, and each next one twice as long, up to `most`; nothing is no wait.
    pub fn waiting(self, least: Duration, most: Duration) -> Patience {
        Patience { wait_min: least, wait_max: most, ..self }
    }

    /// Repeats a step as long as storage is unavailable.
    ///
    /// # Errors
    /// Those of the step; its `Unavailable` when that lasts too long, or the process is to end.
    pub(crate) async fn repeat<T>(
        &self,
        live: &Live,
        step: impl AsyncFn() -> Result<T, LakeError>,
    ) -> Result<T, LakeError> {
        let mut why = match step().await {
            Err(LakeError::Unavailable(why)) => why,
            done => return done,
        };
        let began = Moment::now();
        let mut wait = self.wait_min;
        live.lake_is_away(true);
        tracing::warn!("{why}; trying again for {} seconds, meanwhile records wait", self.away_max.as_secs());
        while began.elapsed() < self.away_max && !(self.is_stopping)() {
            if !wait.is_zero() {
                let _ = tokio::time::timeout(wait, self.stopping()).await;
            }
            wait = (wait * 2).min(self.wait_max);
            live.lake_is_tried_again();
            let done = tokio::select! {
                biased;
                done = step() => done,
                () = self.stopping() => break,
            };
            match done {
                Err(LakeError::Unavailable(still)) => why = still,
                done => {
                    live.lake_is_away(false);
                    if done.is_ok() {
                        tracing::warn!("the tables can be written again, after {} seconds", began.elapsed().as_secs());
                    }
                    return done;
                }
            }
        }
        Err(LakeError::Unavailable(why))
    }

    /// Resolves once the process is to end.
    async fn stopping(&self) {
        while !(self.is_stopping)() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A patience of a test's time, and what ends it.
    fn patience(away_max: Duration) -> (Patience, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let (wait_min, wait_max) = (Duration::from_millis(1), Duration::from_millis(2));
        let is_stopping = Box::new(move || asked.load(Ordering::Relaxed));
        (Patience { wait_min, wait_max, away_max, is_stopping }, stop)
    }

    fn away() -> Result<u8, LakeError> {
        Err(LakeError::Unavailable("cannot write x: the disk is full".to_owned()))
    }

    #[tokio::test]
    async fn a_step_is_repeated_until_storage_is_back_and_every_time_is_counted() {
        let (live, tries) = (Live::default(), Cell::new(0));
        let (patience, _) = patience(Duration::from_secs(60));
        let step = async || {
            tries.set(tries.get() + 1);
            let (is_away, retries) = live.pipeline().lake;
            assert_eq!((is_away, retries), (tries.get() > 1, tries.get() - 1), "as /metrics shows it meanwhile");
            if tries.get() < 4 { away() } else { Ok(7) }
        };
        assert_eq!(patience.repeat(&live, step).await.expect("it is back"), 7);
        assert_eq!((tries.get(), live.pipeline().lake), (4, (false, 3)));
    }

    #[tokio::test]
    async fn what_no_patience_mends_is_told_at_once() {
        let (live, tries) = (Live::default(), Cell::new(0));
        let (patience, _) = patience(Duration::from_secs(60));
        let step = async || {
            tries.set(tries.get() + 1);
            Err::<u8, _>(LakeError::Corrupt("x is missing".to_owned()))
        };
        assert!(matches!(patience.repeat(&live, step).await, Err(LakeError::Corrupt(_))));
        assert_eq!((tries.get(), live.pipeline().lake), (1, (false, 0)));
    }

    #[tokio::test]
    async fn patience_ends_after_its_time_or_when_the_process_is_to_end() {
        let live = Live::default();
        let (short, _) = patience(Duration::from_millis(20));
        assert!(matches!(short.repeat(&live, async || away()).await, Err(LakeError::Unavailable(_))));
        // One that would never answer again, and one that would be waited for.
        for hangs in [true, false] {
            let (long, stop) = patience(Duration::from_secs(3600));
            let tries = Cell::new(0);
            let step = async || {
                tries.set(tries.get() + 1);
                if tries.get() == 3 {
                    stop.store(true, Ordering::Relaxed);
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                }
                away()
            };
            assert!(matches!(long.repeat(&live, step).await, Err(LakeError::Unavailable(_))));
            assert_eq!(tries.get(), 3, "no further one");
        }
    }
}
