//! One conversation at a time, with its text as it comes.

use std::ops::ControlFlow;
use std::time::Instant;

use super::arguments::Dtype;
use super::backend::{Backend, Happened};
use super::engine::ModelBackend;
use super::memory::Memory;
use stepwell_base::failure::Failure;
use stepwell_batch::body::Body;
use stepwell_batch::results::{FinishReason, Usage};
use stepwell_batch::{Code, RowError};
use stepwell_models::Model;

/// A model that answers one request after another. The prefix cache keeps what they have in common.
pub struct ChatModel<'m> {
    backend: ModelBackend<'m>,
    next: u64,
}

/// A whole answer.
pub struct Reply {
    pub text: String,
    pub finish_reason: FinishReason,
    pub usage: Usage,
    pub seconds: f64,
}

impl<'m> ChatModel<'m> {
    /// Loads the weights in the type of this name.
    ///
    /// # Errors
    /// When the type is not known, or there is too little memory.
    pub fn open(model: &'m Model, dtype: &str) -> Result<ChatModel<'m>, Failure> {
        Ok(ChatModel { backend: ModelBackend::open(model, Dtype::named(dtype)?, Memory::of_slots(1), 0)?, next: 0 })
    }

    /// Answers a request. `see` gets the text in pieces, and may stop the answer; what there is of it is returned.
    ///
    /// # Errors
    /// When the model cannot do what the request asks for.
    pub fn reply(
        &mut self,
        body: &Body,
        seed: u64,
        mut see: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Reply, RowError> {
        let started = Instant::now();
        let mut jobs = self.backend.prepare(body, seed)?;
        let (Some(job), true) = (jobs.pop(), jobs.is_empty() && body.options.n == 1) else {
            return Err(RowError::about("n", Code::UnsupportedParameter, "a conversation has one answer at a time"));
        };
        self.next += 1;
        let id = self.next;
        self.backend.submit(id, job)?;
        let mut so_far = String::new();
        loop {
            let (pieces, happened) = self.backend.step_with_texts();
            for piece in pieces {
                so_far.push_str(&piece);
                if see(&piece).is_break() {
                    self.backend.cancel(id);
                    let seconds = started.elapsed().as_secs_f64();
                    return Ok(Reply {
                        text: so_far,
                        finish_reason: FinishReason::Length,
                        usage: Usage::default(),
                        seconds,
                    });
                }
            }
            for happened in happened {
                match happened {
                    Happened::Tokens { .. } => {}
                    Happened::Finished { choice, usage, .. } => {
                        let seconds = started.elapsed().as_secs_f64();
                        return Ok(Reply { text: choice.text, finish_reason: choice.finish_reason, usage, seconds });
                    }
                    Happened::Failed { error, .. } => return Err(error),
                }
            }
        }
    }
}
