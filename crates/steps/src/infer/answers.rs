//! Several requests at once, with their texts as they come. A server answers its clients with it.

use std::collections::HashMap;

use super::arguments::Dtype;
use super::backend::{Backend, Happened};
use super::engine::ModelBackend;
use super::memory::Memory;
use stepwell_base::failure::Failure;
use stepwell_batch::RowError;
use stepwell_batch::body::Body;
use stepwell_batch::results::{Answer, Choice, FinishReason, TokenLogprob, Usage};
use stepwell_models::Model;

/// A model that answers several requests at once.
pub struct AnsweringModel<'m> {
    backend: ModelBackend<'m>,
    requests: HashMap<u64, Open>,
    /// The request of each prompt that the engine works on, and the place of its first choice.
    prompts: HashMap<u64, (u64, usize)>,
    next: u64,
}

/// A request that has not ended.
struct Open {
    choices: Vec<Option<Choice>>,
    usage: Usage,
    prompts: Vec<u64>,
}

/// News of a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Text {
        request: u64,
        choice: usize,
        text: String,
        logprobs: Vec<TokenLogprob>,
    },
    Finished {
        request: u64,
        choice: usize,
        reason: FinishReason,
    },
    /// All choices have finished.
    Done {
        request: u64,
        answer: Answer,
    },
    Failed {
        request: u64,
        error: RowError,
    },
}

impl<'m> AnsweringModel<'m> {
    /// Loads the weights in the type of this name.
    ///
    /// # Errors
    /// When the type is not known, or there is too little memory.
    pub fn open(model: &'m Model, dtype: &str, slots: usize, now: i64) -> Result<AnsweringModel<'m>, Failure> {
        let dtype = Dtype::named(dtype)?;
        let backend = ModelBackend::open(model, dtype, Memory::of_slots(slots), now)?;
        Ok(AnsweringModel { backend, requests: HashMap::new(), prompts: HashMap::new(), next: 0 })
    }

    /// Accepts a request under an id that is free.
    ///
    /// # Errors
    /// When the model cannot do what it asks for, such as a prompt that is longer than its context.
    pub fn submit(&mut self, request: u64, body: &Body, seed: u64) -> Result<(), RowError> {
        let jobs = self.backend.prepare(body, seed)?;
        let each = body.options.n as usize;
        let mut open = Open { choices: vec![None; jobs.len() * each], usage: Usage::default(), prompts: Vec::new() };
        for (index, job) in jobs.into_iter().enumerate() {
            self.next += 1;
            if let Err(error) = self.backend.submit(self.next, job) {
                self.forget(&open.prompts);
                return Err(error);
            }
            open.prompts.push(self.next);
            self.prompts.insert(self.next, (request, index * each));
        }
        self.requests.insert(request, open);
        Ok(())
    }

    /// Computes a while and returns what has happened.
    pub fn step(&mut self) -> Vec<Told> {
        let (pieces, happened) = self.backend.step_with_pieces();
        let mut told = Vec::new();
        for piece in pieces {
            if let Some(&(request, first)) = self.prompts.get(&piece.id) {
                let logprobs = piece.logprob.into_iter().collect();
                told.push(Told::Text { request, choice: first + piece.number, text: piece.text, logprobs });
            }
        }
        for happened in happened {
            match happened {
                Happened::Tokens { .. } => {}
                Happened::Finished { id, number, choice, usage } => self.finished(id, number, choice, usage, &mut told),
                Happened::Failed { id, error } => {
                    if let Some(&(request, _)) = self.prompts.get(&id) {
                        self.cancel(request);
                        told.push(Told::Failed { request, error });
                    }
                }
            }
        }
        told
    }

    fn finished(&mut self, id: u64, number: usize, choice: Choice, usage: Usage, told: &mut Vec<Told>) {
        let Some(&(request, first)) = self.prompts.get(&id) else { return };
        let Some(open) = self.requests.get_mut(&request) else { return };
        told.push(Told::Finished { request, choice: first + number, reason: choice.finish_reason });
        open.usage.add(usage);
        if let Some(place) = open.choices.get_mut(first + number) {
            *place = Some(choice);
        }
        if open.choices.iter().all(Option::is_some)
            && let Some(open) = self.requests.remove(&request)
        {
            for prompt in &open.prompts {
                self.prompts.remove(prompt);
            }
            let choices = open.choices.into_iter().flatten().collect();
            told.push(Told::Done { request, answer: Answer { choices, usage: open.usage } });
        }
    }

    /// Forgets a request; nothing more is told of it.
    pub fn cancel(&mut self, request: u64) {
        if let Some(open) = self.requests.remove(&request) {
            self.forget(&open.prompts);
        }
    }

    fn forget(&mut self, prompts: &[u64]) {
        for prompt in prompts {
            self.backend.cancel(*prompt);
            self.prompts.remove(prompt);
        }
    }

    /// Used part of the cache of keys and values, from 0 to 1.
    pub fn cache_usage(&self) -> f64 {
        self.backend.cache_usage()
    }
}
