//! Requests that wait for a model, oldest first. Their number is bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stepwell_batch::body::Body;
use stepwell_http::{CompletionSink, InferenceLoad};

/// Most requests that wait.
const MOST_WAITING: usize = 256;

/// A request and where its answer goes.
pub(super) struct Asked {
    pub body: Body,
    pub sink: CompletionSink,
    pub at: Instant,
}

/// The queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{MOST_WAITING} requests wait for a model")]
pub struct Full;

#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Asked>,
    load: InferenceLoad,
    closing: bool,
}

/// Requests in the queue for a model.
pub(super) enum Next {
    /// Requests for this model; none if nothing has come while it waited.
    Take(Vec<Asked>),
    /// The oldest request is for another model.
    Other,
    Closing,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// When too many requests wait already.
    pub fn push(&self, body: Body, sink: CompletionSink) -> Result<(), Full> {
        let mut state = self.state();
        if state.waiting.len() >= MOST_WAITING {
            return Err(Full);
        }
        state.waiting.push_back(Asked { body, sink, at: Instant::now() });
        self.0.changed.notify_all();
        Ok(())
    }

    /// Waits for a request and returns the model that it is for; `None` when the server stops.
    pub fn next_model(&self) -> Option<String> {
        let mut state = self.state();
        loop {
            if state.closing {
                return None;
            }
            if let Some(asked) = state.waiting.front() {
                return Some(asked.body.model.clone());
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Up to `most` of the oldest requests, as long as they are for `model`. Waits for `patience` if there is none.
    pub fn take(&self, model: &str, most: usize, patience: Duration) -> Next {
        let mut state = self.state();
        if state.waiting.is_empty() && !state.closing && !patience.is_zero() {
            let waited = self.0.changed.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closing {
            return Next::Closing;
        }
        if state.waiting.front().is_some_and(|asked| asked.body.model != model) {
            return Next::Other;
        }
        let fits = state.waiting.iter().take(most).take_while(|asked| asked.body.model == model).count();
        Next::Take(state.waiting.drain(..fits).collect())
    }

    /// Ends the thread of the model.
    pub fn close(&self) {
        self.state().closing = true;
        self.0.changed.notify_all();
    }

    pub fn load(&self) -> InferenceLoad {
        let state = self.state();
        InferenceLoad { waiting: state.waiting.len() as u64, ..state.load.clone() }
    }

    pub fn note(&self, change: impl FnOnce(&mut InferenceLoad)) {
        change(&mut self.state().load);
    }
}
