//! What a batch needs from a model. Tests have a model of their own.

use stepwell_batch::RowError;
use stepwell_batch::body::Body;
use stepwell_batch::results::{Choice, Usage};

/// A model that answers several requests at once.
pub(super) trait Backend {
    /// A prompt, ready to run.
    type Job;

    /// Splits a request into its prompts. Each gets `n` completions. `seed` is that of the request, or stands for one that
    /// it does not name.
    ///
    /// # Errors
    /// When the model cannot do what the request asks for, such as a prompt that is longer than its context.
    fn prepare(&self, body: &Body, seed: u64) -> Result<Vec<Self::Job>, RowError>;

    /// Accepts a prompt under an id that is free.
    ///
    /// # Errors
    /// When it does not fit into the memory that the model may use, even alone.
    fn submit(&mut self, id: u64, job: Self::Job) -> Result<(), RowError>;

    /// Computes a while and returns what has happened.
    fn step(&mut self) -> Vec<Happened>;

    /// Forgets a prompt; nothing more happens to it.
    fn cancel(&mut self, id: u64);
}

pub(super) enum Happened {
    /// So many tokens were computed, of prompts and of answers.
    Tokens {
        computed: u64,
    },
    Finished {
        id: u64,
        number: usize,
        choice: Choice,
        usage: Usage,
    },
    Failed {
        id: u64,
        error: RowError,
    },
}
