//! Questions about the state, which its worker answers between two steps: who asks waits for milliseconds, and reads
//! nothing that a step is about to change.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_engine::lane::LaneGroup;
use tokio::sync::oneshot;

/// How many may wait: the worker answers one a step, and has more to do.
const WAITING_MAX: usize = 64;

type Question = Box<dyn FnOnce(&LaneGroup) + Send>;

/// Those that wait for an answer. They also wait for the next worker, where one hands over to it.
#[derive(Default)]
pub struct Questions(Mutex<VecDeque<Question>>);

impl Questions {
    /// Asks the state as it is after the newest step. Who does not wait any longer is not answered; `None` when too many
    /// others wait, or the process ends.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&LaneGroup) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= WAITING_MAX {
                return None;
            }
            waiting.push_back(Box::new(move |group| {
                if !answer.is_closed() {
                    let _ = answer.send(question(group)); // Who asked may be gone by now.
                }
            }));
        }
        answered.await.ok()
    }

    /// Answers the one that has waited longest.
    pub(crate) fn answer(&self, group: &LaneGroup) {
        let first = self.waiting().pop_front();
        if let Some(question) = first {
            question(group);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Questions({})", self.waiting().len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use plimsoll_engine::portfolio::Portfolio;
    use plimsoll_schemas::definition::Definitions;

    use super::*;

    #[test]
    fn each_is_answered_once_by_the_state_and_too_many_are_refused() {
        let group = LaneGroup::new(Arc::new(Portfolio::new(&Definitions::default())), 1);
        let questions = Questions::default();
        let count = |group: &LaneGroup| group.portfolio().objectives().len();
        let mut asked: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(questions.ask(count))).collect();
        assert!(asked.iter_mut().all(|asked| asked.now_or_never().is_none()), "nobody has answered yet");
        assert_eq!(questions.ask(count).now_or_never(), Some(None), "one too many");
        // Who is gone makes room when it would be its turn.
        drop(asked.remove(0));
        questions.answer(&group);
        questions.answer(&group);
        assert_eq!(asked.remove(0).now_or_never(), Some(Some(0)));
        assert_eq!(asked.remove(0).now_or_never(), None, "its turn has not come");
        assert_eq!(questions.ask(count).now_or_never(), None, "there is room again");
        assert_eq!(format!("{questions:?}"), format!("Questions({})", WAITING_MAX - 1));
    }
}
