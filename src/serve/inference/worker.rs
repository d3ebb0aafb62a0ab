//! The thread that has the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::drive::{Driven, drive};
use super::queue::{Full, Next, Queue};
use crate::drive::model_source::{ModelSource, model_files};
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::error_chain::error_chain;
use stepwell_batch::body::Body;
use stepwell_batch::{Code, RowError};
use stepwell_http::{CompletionSink, InferenceLoad, Piece};
use stepwell_models::Model;
use stepwell_steps::AnsweringModel;

/// How models are loaded and driven.
#[derive(Clone, Debug)]
pub struct InferenceOptions {
    /// `f32`, `bf16` or `q8_0`.
    pub dtype: String,
    /// Requests that are answered at once.
    pub slots: usize,
}

/// Finds a model by the name that requests have for it.
pub type Find = Box<dyn Fn(&str) -> Result<Option<ModelSource>, CliError> + Send>;

/// A queue and its thread. The thread starts with the first request.
pub struct Inference {
    queue: Queue,
    worker: Mutex<Option<Worker>>,
}

impl Inference {
    pub fn new(session: &Session, options: InferenceOptions, find: Find) -> Inference {
        let queue = Queue::default();
        let worker = Worker { queue: queue.clone(), session: session.silent(), options, find };
        Inference { queue, worker: Mutex::new(Some(worker)) }
    }

    /// Queues a request, whose answer goes to the sink.
    ///
    /// # Errors
    /// When too many wait.
    pub fn ask(&self, body: Body, sink: CompletionSink) -> Result<(), Full> {
        self.queue.push(body, sink)?;
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && let Err(error) = std::thread::Builder::new().name("model".to_owned()).spawn(move || worker.run())
        {
            tracing::warn!("cannot start the thread of the model: {error}");
        }
        Ok(())
    }

    pub fn load(&self) -> InferenceLoad {
        self.queue.load()
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // The thread may be in the middle of a step; the process ends anyway.
        self.queue.close();
    }
}

struct Worker {
    queue: Queue,
    session: Session,
    options: InferenceOptions,
    find: Find,
}

impl Worker {
    fn run(self) {
        while let Some(name) = self.queue.next_model() {
            // A request that panics must not end the thread: its clients see that the answer stops.
            match catch_unwind(AssertUnwindSafe(|| self.serve(&name))) {
                Ok(Ok(Driven::Other)) => {}
                Ok(Ok(Driven::Closing)) => return,
                Ok(Err(error)) => self.refuse(&name, &error),
                Err(_) => tracing::warn!("the model `{name}` has panicked; it is loaded again for the next request"),
            }
            self.queue.note(|load| (load.running, load.cache_usage, load.model) = (0, 0.0, None));
        }
    }

    fn serve(&self, name: &str) -> Result<Driven, RowError> {
        let internal = |what: &str, error: &dyn std::fmt::Display| {
            tracing::warn!("the model `{name}`: {error}");
            RowError::new(Code::InternalError, format!("the model `{name}` cannot be {what}: {error}"))
        };
        let source = (self.find)(name).map_err(|error| internal("looked up", &error.message()))?;
        let source = source.ok_or_else(|| missing(name))?;
        let files = model_files(&self.session, &source).map_err(|error| internal("read", &error.message()))?;
        let model = Model::from_files(&files).map_err(|error| internal("read", &error_chain(&error)))?;
        let InferenceOptions { dtype, slots } = &self.options;
        let now = jiff::Timestamp::now().as_second();
        let mut answering =
            AnsweringModel::open(&model, dtype, *slots, now).map_err(|failure| internal("loaded", &failure.message))?;
        self.queue.note(|load| load.model = Some(name.to_owned()));
        Ok(drive(&self.queue, name, *slots, &mut answering))
    }

    /// Refuses everything that waits for a model that cannot answer.
    fn refuse(&self, name: &str, error: &RowError) {
        while let Next::Take(asked) = self.queue.take(name, usize::MAX, Duration::ZERO) {
            if asked.is_empty() {
                return;
            }
            for asked in asked {
                asked.sink.send(Piece::Failed(error.clone()));
            }
        }
    }
}

fn missing(name: &str) -> RowError {
    let shown: String = name.chars().take(80).collect();
    let message = format!("there is no model `{shown}`: `GET /v1/models` lists them");
    RowError::about("model", Code::ModelNotFound, message)
}
