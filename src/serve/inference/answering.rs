//! What the worker needs from a model. Tests have one of their own.

use stepwell_batch::RowError;
use stepwell_batch::body::Body;
use stepwell_steps::{AnsweringModel, Told};

/// A model that answers several requests at once.
pub trait Answering {
    /// Accepts a request under an id that is free.
    ///
    /// # Errors
    /// When the model cannot do what it asks for, such as a prompt that is longer than its context.
    fn submit(&mut self, request: u64, body: &Body, seed: u64) -> Result<(), RowError>;

    /// Computes a while and returns what has happened.
    fn step(&mut self) -> Vec<Told>;

    /// Forgets a request; nothing more is told of it.
    fn cancel(&mut self, request: u64);

    /// Used part of the cache of keys and values, from 0 to 1.
    fn cache_usage(&self) -> f64;
}

impl Answering for AnsweringModel<'_> {
    fn submit(&mut self, request: u64, body: &Body, seed: u64) -> Result<(), RowError> {
        AnsweringModel::submit(self, request, body, seed)
    }

    fn step(&mut self) -> Vec<Told> {
        AnsweringModel::step(self)
    }

    fn cancel(&mut self, request: u64) {
        AnsweringModel::cancel(self, request);
    }

    fn cache_usage(&self) -> f64 {
        AnsweringModel::cache_usage(self)
    }
}
