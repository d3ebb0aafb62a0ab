//! Any model, imported or trained here, on the CPU. Also in builds without burn.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;

use super::scorer::{Prompt, Scorer, Sequence};
use crate::evaluation::samples::SampleArguments;
use crate::handler::{StepContext, StepError};
use crate::infer::{Dtype, Memory, start};
use stepwell_base::failure::Failure;
use stepwell_base::rng::derive_seed;
use stepwell_inference::{Engine, Event, Finished, Reason, Refused, Request, SamplingOptions, StopCause};
use stepwell_models::Model;

/// Sequences that are computed together.
const AT_ONCE: usize = 16;

pub struct EngineScorer<'m> {
    engine: Engine<'m>,
    model: &'m Model,
    /// Tokens before a text that the tokenizer does not put there itself.
    before: Vec<u32>,
    start: Option<u32>,
    window: usize,
    next: u64,
}

/// Whether the tokenizer came with the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenizerOf {
    /// It puts before a text what the model is used to.
    Model,
    /// It is that of a training here, which puts the start token before each document itself.
    Training,
}

/// A text that the model wrote.
#[derive(Clone, PartialEq, Debug)]
pub struct Written {
    pub tokens: Vec<u32>,
    pub text: String,
    /// The model ended it, not the limit of its length.
    pub ended: bool,
}

impl<'m> EngineScorer<'m> {
    /// Loads the weights. `context` limits the tokens that the model sees at once.
    ///
    /// # Errors
    /// When there is too little memory, or the context holds no two tokens.
    pub fn open(
        model: &'m Model,
        tokenizer: TokenizerOf,
        dtype: Dtype,
        context: Option<NonZeroUsize>,
    ) -> Result<EngineScorer<'m>, Failure> {
        // Scores need all positions of a text, so what earlier texts left behind is of no use.
        let memory = Memory { keeps_prompts: false, ..Memory::of_slots(AT_ONCE) };
        let (engine, _) = start(model, dtype, memory)?;
        // A prompt leaves room for one token.
        let window = engine.context().saturating_sub(1).min(context.map_or(usize::MAX, NonZeroUsize::get));
        if window < 2 {
            return Err(Failure::fatal("a context of one token predicts nothing").with_hint("raise `context`"));
        }
        let own = model.tokenizer.encode_text("").map_err(|error| Failure::fatal(error.to_string()))?;
        let special = &model.special;
        let before = match (tokenizer, special.bos) {
            (TokenizerOf::Training, Some(bos)) if own.is_empty() => vec![bos],
            _ => Vec::new(),
        };
        let start = special.bos.or_else(|| special.eos.first().copied());
        Ok(EngineScorer { engine, model, before, start, window, next: 0 })
    }

    /// Draws samples `numbers`, each with a seed of its own.
    ///
    /// # Errors
    /// When an option is out of its bounds, or the engine asks to stop.
    pub fn write(
        &mut self,
        context: &StepContext<'_>,
        arguments: &SampleArguments,
        numbers: Range<u64>,
    ) -> Result<Vec<Written>, StepError> {
        let mut prompt = self.encode(&arguments.prompt)?;
        if prompt.is_empty() {
            prompt.extend(self.start);
        }
        let request = |number: u64| {
            let sampling = SamplingOptions {
                max_tokens: Some(arguments.max_new_tokens),
                temperature: arguments.temperature,
                top_k: arguments.top_k,
                top_p: arguments.top_p.unwrap_or(1.0),
                seed: derive_seed(arguments.seed, "sample", number),
                ..SamplingOptions::default()
            };
            (prompt.clone(), sampling)
        };
        let requests: Vec<_> = numbers.map(request).collect();
        let mut written: BTreeMap<usize, Written> = BTreeMap::new();
        self.run(context, requests, |number, event| {
            if let Event::Finished(Finished { tokens, text, reason, .. }) = event {
                let ended = matches!(reason, Reason::Stop(StopCause::Eos(_)));
                written.insert(number, Written { tokens, text, ended });
            }
        })?;
        Ok(written.into_values().collect())
    }

    /// Number of tokens that the model knows.
    pub fn vocab(&self) -> u32 {
        u32::try_from(self.model.shape.vocab).unwrap_or(u32::MAX)
    }

    /// Runs requests to their end, and hands on what happens to the request of each number.
    fn run(
        &mut self,
        context: &StepContext<'_>,
        requests: Vec<(Vec<u32>, SamplingOptions)>,
        mut happened: impl FnMut(usize, Event),
    ) -> Result<(), StepError> {
        let first = self.next;
        for (prompt, sampling) in requests {
            self.engine.submit(Request { id: self.next, prompt, sampling }).map_err(|refused| refusal(&refused))?;
            self.next += 1;
        }
        let mut open = self.next - first;
        while open > 0 {
            if let Err(stop) = context.check_interrupt() {
                for id in first..self.next {
                    self.engine.cancel(id);
                }
                return Err(stop);
            }
            for event in self.engine.step() {
                let id = match &event {
                    Event::Prompt { id, .. } | Event::Token { id, .. } => *id,
                    Event::Finished(Finished { id, reason, .. }) => {
                        open -= 1;
                        if let Reason::Failed(why) = reason {
                            return Err(Failure::fatal(format!("the model cannot score a text: {why}")).into());
                        }
                        *id
                    }
                };
                happened((id - first) as usize, event);
            }
        }
        Ok(())
    }

    fn failed(error: &impl std::fmt::Display) -> Failure {
        Failure::fatal(error.to_string())
    }
}

fn refusal(refused: &Refused) -> Failure {
    Failure::fatal(refused.to_string())
}

impl Scorer for EngineScorer<'_> {
    fn window(&self) -> usize {
        self.window
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let tokens = self.model.tokenizer.encode_text(text).map_err(|error| Self::failed(&error))?;
        Ok(self.before.iter().copied().chain(tokens).collect())
    }

    fn encode_part(&self, text: &str) -> Result<Vec<u32>, Failure> {
        self.model.tokenizer.encode_fragment(text).map_err(|error| Self::failed(&error))
    }

    fn start(&self) -> Option<u32> {
        self.start
    }

    fn score(&mut self, context: &StepContext<'_>, sequences: Vec<Sequence>) -> Result<Vec<f64>, StepError> {
        let sampling = SamplingOptions {
            max_tokens: Some(1),
            temperature: 0.0,
            ignore_eos: true,
            prompt_logprobs: Some(0),
            ..SamplingOptions::default()
        };
        let from: Vec<usize> = sequences.iter().map(|sequence| sequence.from).collect();
        let requests = sequences.into_iter().map(|sequence| (sequence.tokens, sampling.clone())).collect();
        let mut nats = vec![0.0; from.len()];
        self.run(context, requests, |number, event| {
            if let Event::Prompt { logprobs, .. } = event {
                let counted = logprobs.iter().skip(from[number]).flatten();
                nats[number] = counted.map(|logprobs| -f64::from(logprobs.chosen.logprob)).sum();
            }
        })?;
        Ok(nats)
    }

    fn answer(&mut self, context: &StepContext<'_>, prompts: Vec<Prompt>) -> Result<Vec<String>, StepError> {
        let request = |prompt: Prompt| {
            let sampling = SamplingOptions {
                max_tokens: Some(prompt.most_tokens),
                temperature: 0.0,
                stop: vec!["\n".to_owned()],
                ..SamplingOptions::default()
            };
            (prompt.tokens, sampling)
        };
        let count = prompts.len();
        let mut texts: BTreeMap<usize, String> = BTreeMap::new();
        self.run(context, prompts.into_iter().map(request).collect(), |number, event| {
            if let Event::Finished(finished) = event {
                texts.insert(number, finished.text);
            }
        })?;
        Ok((0..count).map(|number| texts.remove(&number).unwrap_or_default()).collect())
    }
}
