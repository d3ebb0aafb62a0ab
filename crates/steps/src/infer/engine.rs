//! The model that answers: its tokenizer, its template, and the engine that computes.

use std::collections::HashMap;

use super::arguments::Dtype;
use super::backend::{Backend, Happened};
use super::memory::{Memory, start};
use super::prompt::Prompts;
use super::sampling::sampling;
use stepwell_base::failure::Failure;
use stepwell_batch::body::{Body, Prompt};
use stepwell_batch::results::{Choice, FinishReason, PromptLogprob, TokenLogprob, Usage};
use stepwell_batch::{Code, RowError};
use stepwell_constitution::{self as constitution, PromptGuard};
use stepwell_inference::{
    self as inference, Engine, Event, Finished, Logprob, Logprobs, Reason, Refused, Request, SamplingOptions,
};
use stepwell_models::{GenerationDefaults, Model, Tokenizer};

/// Grows when equal requests get other answers than before.
pub(super) const VERSION: &str = "2";

pub(super) struct ModelBackend<'m> {
    engine: Engine<'m>,
    smaller_cache: Option<usize>,
    prompts: Prompts<'m>,
    defaults: &'m GenerationDefaults,
    tokenizer: &'m Tokenizer,
    /// Rules for prompts, checked before each of them is computed.
    guard: Option<PromptGuard>,
    /// What is wanted of each prompt, by id.
    wanted: HashMap<u64, Wanted>,
    /// Tokens that the engine had computed after the last step.
    computed: u64,
}

/// Text that a step has added to a completion.
pub(super) struct Piece {
    pub id: u64,
    pub number: usize,
    pub text: String,
    /// Present if the request asks for log-probabilities.
    pub logprob: Option<TokenLogprob>,
}

/// A prompt, ready for the engine.
pub(super) struct Job {
    prompt: Vec<u32>,
    sampling: SamplingOptions,
    wanted: Wanted,
}

/// What an answer has beside its text.
struct Wanted {
    /// Text of the prompt, if it starts the answer, and the log-probabilities of its tokens.
    echo: Option<String>,
    /// Likeliest tokens beside each token of an echo.
    echoed: Option<usize>,
    prompt_logprobs: Vec<TokenLogprob>,
    /// Likeliest tokens beside each token of the prompt, and what was found.
    prompt_scores: Option<(usize, Vec<Vec<PromptLogprob>>)>,
    /// Tokens of the prompt, if their log-probabilities are wanted.
    prompt: Vec<u32>,
    /// Log-probabilities of each completion so far; `None` if nobody asked.
    logprobs: Option<Vec<Vec<TokenLogprob>>>,
    /// No token was asked for: the one that the engine needs is dropped.
    is_score: bool,
    left: usize,
}

impl<'m> ModelBackend<'m> {
    /// Loads the weights; `now` is the time for templates that print the date.
    ///
    /// # Errors
    /// When there is too little memory, or an option is out of its limits.
    pub(super) fn open(model: &'m Model, dtype: Dtype, memory: Memory, now: i64) -> Result<ModelBackend<'m>, Failure> {
        let (engine, smaller_cache) = start(model, dtype, memory)?;
        let Model { tokenizer, chat, defaults, .. } = model;
        let prompts = Prompts::new(tokenizer, chat.as_ref(), engine.context(), now);
        let (wanted, guard) = (HashMap::new(), None);
        Ok(ModelBackend { engine, smaller_cache, prompts, defaults, tokenizer, guard, wanted, computed: 0 })
    }

    /// Lets only prompts of token ids through, and only those that the guard allows.
    pub(super) fn guarded(self, guard: PromptGuard) -> Self {
        ModelBackend { guard: Some(guard), ..self }
    }

    /// Bytes of keys and values, if the system refused what was asked for.
    pub(super) fn smaller_cache(&self) -> Option<usize> {
        self.smaller_cache
    }

    /// A step, with the pieces of text that it has made certain.
    pub(super) fn step_with_texts(&mut self) -> (Vec<String>, Vec<Happened>) {
        let (pieces, happened) = self.step_with_pieces();
        let texts = pieces.into_iter().map(|piece| piece.text).filter(|text| !text.is_empty());
        (texts.collect(), happened)
    }

    /// A step, with what it has added to each completion.
    pub(super) fn step_with_pieces(&mut self) -> (Vec<Piece>, Vec<Happened>) {
        let (mut pieces, mut happened) = (Vec::new(), Vec::new());
        for event in self.engine.step() {
            match event {
                Event::Prompt { id, logprobs } => self.prompt(id, &logprobs),
                Event::Token { id, choice, text, logprobs, .. } => {
                    self.token(id, choice, logprobs);
                    let logprob = self.newest_logprob(id, choice);
                    pieces.push(Piece { id, number: choice, text, logprob });
                }
                Event::Finished(finished) => {
                    let Finished { id, choice: number, ref last_text, .. } = finished;
                    pieces.push(Piece { id, number, text: last_text.clone(), logprob: None });
                    happened.push(self.finished(finished));
                }
            }
        }
        let stats = self.engine.stats();
        let computed = stats.prompt_tokens + stats.generated_tokens;
        happened.push(Happened::Tokens { computed: computed - self.computed });
        self.computed = computed;
        pieces.retain(|piece| !piece.text.is_empty() || piece.logprob.is_some());
        (pieces, happened)
    }

    /// Used part of the cache of keys and values, from 0 to 1.
    pub(super) fn cache_usage(&self) -> f64 {
        let stats = self.engine.stats();
        stats.blocks_used as f64 / stats.blocks.max(1) as f64
    }

    fn newest_logprob(&self, id: u64, number: usize) -> Option<TokenLogprob> {
        self.wanted.get(&id)?.logprobs.as_ref()?.get(number)?.last().cloned()
    }

    fn token(&mut self, id: u64, number: usize, logprobs: Option<Logprobs>) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        if let (Some(lists), Some(logprobs), false) = (&mut wanted.logprobs, logprobs, wanted.is_score) {
            lists[number].push(shown(self.tokenizer, &logprobs, usize::MAX));
        }
    }

    fn prompt(&mut self, id: u64, logprobs: &[Option<Logprobs>]) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        let tokenizer = self.tokenizer;
        if let Some(most) = wanted.echoed {
            let entry = |(logprobs, token): (&Option<Logprobs>, &u32)| match logprobs {
                Some(logprobs) => shown(tokenizer, logprobs, most),
                // Nothing comes before the first token.
                None => TokenLogprob { logprob: None, ..one(tokenizer, Logprob { token: *token, logprob: 0.0 }) },
            };
            wanted.prompt_logprobs = logprobs.iter().zip(&wanted.prompt).map(entry).collect();
        }
        if let Some((most, scores)) = &mut wanted.prompt_scores {
            let place = |logprobs: &Option<Logprobs>| logprobs.as_ref().map(|found| scored(tokenizer, found, *most));
            *scores = logprobs.iter().map(|logprobs| place(logprobs).unwrap_or_default()).collect();
        }
    }

    fn finished(&mut self, finished: Finished) -> Happened {
        let Finished { id, choice: number, generated, prompt_tokens, text, reason, .. } = finished;
        let failure = |error: &inference::Failure| {
            RowError::new(Code::InternalError, format!("The model cannot answer this request: {error}."))
        };
        let finish_reason = match &reason {
            Reason::Stop(_) => FinishReason::Stop,
            Reason::Length => FinishReason::Length,
            Reason::Failed(error) => return Happened::Failed { id, error: failure(error) },
        };
        let Some(wanted) = self.wanted.get_mut(&id) else {
            return Happened::Failed { id, error: RowError::new(Code::InternalError, "an answer without a request") };
        };
        let mut choice = Choice { text, finish_reason, logprobs: None, prompt_logprobs: None };
        let mut generated = generated as u64;
        if wanted.is_score {
            (choice.text, generated) = (String::new(), 0);
            choice.finish_reason = FinishReason::Length;
        }
        if let Some(echo) = &wanted.echo {
            choice.text.insert_str(0, echo);
        }
        if let Some(lists) = &mut wanted.logprobs {
            let own = std::mem::take(&mut lists[number]);
            choice.logprobs = Some(wanted.prompt_logprobs.iter().cloned().chain(own).collect());
        }
        if number == 0 {
            choice.prompt_logprobs = wanted.prompt_scores.take().map(|(_, scores)| scores);
        }
        // The prompt counts once, however many completions it has.
        let prompt_tokens = if number == 0 { prompt_tokens as u64 } else { 0 };
        wanted.left -= 1;
        if wanted.left == 0 {
            self.wanted.remove(&id);
        }
        let usage = Usage { prompt_tokens, completion_tokens: generated };
        Happened::Finished { id, number, choice, usage }
    }
}

impl Backend for ModelBackend<'_> {
    type Job = Job;

    fn prepare(&self, body: &Body, seed: u64) -> Result<Vec<Job>, RowError> {
        let options = &body.options;
        let base = sampling(self.defaults, body, seed)?;
        let prompts = self.prompts.of(body)?;
        if let Some(guard) = &self.guard {
            let Prompt::Tokens { .. } = &body.prompt else { return Err(forbidden(constitution::Stop::not_ids())) };
            prompts.iter().try_for_each(|prompt| guard.check(&prompt.ids)).map_err(forbidden)?;
        }
        let jobs = prompts.into_iter().enumerate().map(|(number, prompt)| {
            let echo = prompt.echo;
            let logprobs = options.logprobs.map(|_| vec![Vec::new(); base.n]);
            let echoed = base.logprobs.filter(|_| echo.is_some());
            let scores_prompt = echoed.is_some() || base.prompt_logprobs.is_some();
            let wanted = Wanted {
                echoed,
                prompt_logprobs: Vec::new(),
                prompt_scores: base.prompt_logprobs.map(|most| (most, Vec::new())),
                prompt: if scores_prompt { prompt.ids.clone() } else { Vec::new() },
                logprobs,
                is_score: options.max_tokens == Some(0),
                left: base.n,
                echo,
            };
            let sampling = SamplingOptions {
                // Prompts of one request draw different samples.
                seed: seed.wrapping_add((number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
                prompt_logprobs: base.prompt_logprobs.max(wanted.echoed),
                ..base.clone()
            };
            Job { prompt: prompt.ids, sampling, wanted }
        });
        Ok(jobs.collect())
    }

    fn submit(&mut self, id: u64, job: Job) -> Result<(), RowError> {
        let Job { prompt, sampling, wanted } = job;
        self.engine.submit(Request { id, prompt, sampling }).map_err(refusal)?;
        self.wanted.insert(id, wanted);
        Ok(())
    }

    fn step(&mut self) -> Vec<Happened> {
        self.step_with_texts().1
    }

    fn cancel(&mut self, id: u64) {
        self.engine.cancel(id);
        self.wanted.remove(&id);
    }
}

/// The error of a prompt that the guard does not let through; its code stands where others name a parameter.
fn forbidden(stop: constitution::Stop) -> RowError {
    RowError::about(stop.code.as_str(), Code::InvalidValue, stop.message)
}

fn refusal(refused: Refused) -> RowError {
    let message = refused.to_string();
    match refused {
        Refused::PromptTooLong { .. } => RowError::about("messages", Code::ContextLengthExceeded, message),
        Refused::CacheTooSmall { .. } => RowError::new(Code::OutOfMemory, message),
        Refused::Option(invalid) => RowError::about(invalid.option, Code::InvalidValue, message),
        Refused::EmptyPrompt | Refused::Token { .. } => RowError::about("prompt", Code::InvalidValue, message),
        Refused::NoTokenizer { option } => RowError::about(option, Code::UnsupportedParameter, message),
        Refused::DuplicateId { .. } => RowError::new(Code::InternalError, message),
    }
}

/// A token of a prompt, and the likeliest ones at its place.
fn scored(tokenizer: &Tokenizer, logprobs: &Logprobs, most: usize) -> Vec<PromptLogprob> {
    let entry = |Logprob { token, logprob }: Logprob, rank| {
        let shown = one(tokenizer, Logprob { token, logprob });
        PromptLogprob { id: token, token: shown.token, logprob, rank }
    };
    let top = logprobs.top.iter().take(most).zip(1..).map(|(logprob, rank)| entry(*logprob, rank));
    [entry(logprobs.chosen, logprobs.rank)].into_iter().chain(top).collect()
}

fn shown(tokenizer: &Tokenizer, logprobs: &Logprobs, most: usize) -> TokenLogprob {
    let top = logprobs.top.iter().take(most).map(|logprob| one(tokenizer, *logprob)).collect();
    TokenLogprob { top, ..one(tokenizer, logprobs.chosen) }
}

fn one(tokenizer: &Tokenizer, Logprob { token, logprob }: Logprob) -> TokenLogprob {
    let mut bytes = tokenizer.token_bytes(token);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if bytes.is_empty() {
        text = tokenizer.name_of(token).unwrap_or_default();
        bytes = text.clone().into_bytes();
    }
    TokenLogprob { token: text, bytes, logprob: Some(logprob), top: Vec::new() }
}
