//! The loop: plan, compute, choose.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stepwell_models::{Model, Tokenizer};

use super::choices::{self, Allowed, Choice};
use super::error::{EngineError, Refused};
use super::event::{Event, Finished};
use super::options::EngineOptions;
use super::request::Request;
use super::schedule::Schedule;
use super::sequence::Sequence;
use crate::cache::{BLOCK_TOKENS, BlockLayout, Blocks, Node, Pool};
use crate::cpu::Instructions;
use crate::kernels::{CacheForm, Workers};
use crate::network::{Forward, Network, Sizes, Source, Span, Wanted};
use crate::sampling::{FormState, Format, Seen, StopScanner, TokenBytes, logprobs};

/// Logits of so many tokens are computed at a time; each has as many as the vocabulary.
const LOGIT_ROWS: usize = 32;

/// A model, and the requests that it completes.
pub struct Engine<'m> {
    workers: Workers,
    network: Network,
    forward: Forward,
    pool: Pool,
    schedule: Schedule<'m>,
    tokenizer: Option<&'m Tokenizer>,
    /// Tokens that end texts of the model.
    eos: Vec<u32>,
    /// Tokens that never follow, and the number of those that may.
    suppressed: Vec<u32>,
    tokens: usize,
    /// Bytes of each token; empty until a text must have a form.
    token_bytes: Vec<TokenBytes>,
    context: usize,
    arrivals: u64,
    /// Completions of each request that have not ended.
    open: HashMap<u64, usize>,
    stats: Stats,
}

/// Numbers since the engine started, and of this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub running: usize,
    pub waiting: usize,
    pub blocks_used: usize,
    pub blocks: usize,
    pub steps: u64,
    /// Tokens of prompts that were computed.
    pub prompt_tokens: u64,
    pub generated_tokens: u64,
    /// Tokens of prompts that the prefix cache had.
    pub cached_tokens: u64,
    pub preemptions: u64,
}

impl<'m> Engine<'m> {
    /// Packs the weights of a model.
    ///
    /// # Errors
    /// [`EngineError`] if an option is out of range, or memory is short.
    pub fn new(model: &'m Model, options: &EngineOptions) -> Result<Self, EngineError> {
        let mut engine = Engine::from_source(model, model.special.eos.clone(), options)?;
        engine.suppressed.clone_from(&model.defaults.suppressed);
        engine.speak(&model.tokenizer);
        Ok(engine)
    }

    /// Gives the engine a tokenizer.
    pub(super) fn speak(&mut self, tokenizer: &'m Tokenizer) {
        // Further rows of the embedding stand for no token.
        self.tokens = self.tokens.min(tokenizer.vocab());
        self.tokenizer = Some(tokenizer);
    }

    /// An engine without a tokenizer.
    pub(super) fn from_source(
        source: &dyn Source,
        eos: Vec<u32>,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        options.validate()?;
        let instructions = options.instructions.map_or_else(Instructions::best, Ok)?;
        let workers = Workers::new(options.threads, instructions);
        let sizes = Sizes::of(source.shape())?;
        let context = options.context.unwrap_or(usize::MAX).min(source.shape().context);
        let form = CacheForm::beside(options.dtype);
        let layout = BlockLayout { heads: sizes.heads, layers: sizes.layers, form };
        let pool = Pool::new(options.cache_bytes, layout, workers.lanes())?;
        let shared = (options.shared_cache_bytes / layout.bytes()).clamp(1, pool.blocks());
        let network = Network::load(&workers, options.dtype, source, context)?;
        let schedule = Schedule {
            waiting: VecDeque::new(),
            running: Vec::new(),
            blocks: Blocks::new(pool.blocks(), shared),
            slots: options.slots,
            prefill_chunk: options.prefill_chunk,
            prefix_cache: options.prefix_cache,
            preemptions: 0,
        };
        Ok(Engine {
            workers,
            network,
            forward: Forward::default(),
            pool,
            schedule,
            tokenizer: None,
            eos,
            suppressed: Vec::new(),
            tokens: sizes.vocab,
            token_bytes: Vec::new(),
            context,
            arrivals: 0,
            open: HashMap::new(),
            stats: Stats::default(),
        })
    }

    /// Queues a request.
    ///
    /// # Errors
    /// [`Refused`] if it can never be completed as asked.
    pub fn submit(&mut self, request: Request) -> Result<(), Refused> {
        let Request { id, prompt, sampling } = request;
        let limit = self.check(id, &prompt, &sampling)?;
        if let Some(tokenizer) = self.tokenizer.filter(|_| sampling.format != Format::Text)
            && self.token_bytes.is_empty()
        {
            self.token_bytes = (0..self.tokens as u32).map(|token| tokenizer.token_bytes(token).into()).collect();
        }
        let options = Arc::new(sampling);
        self.open.insert(id, options.n);
        let extended = self.network.extends(limit);
        for choice in 0..options.n {
            self.arrivals += 1;
            self.schedule.waiting.push_back(Sequence {
                arrival: self.arrivals,
                id,
                choice,
                tokens: prompt.clone(),
                prompt_len: prompt.len(),
                limit,
                computed: 0,
                blocks: Vec::new(),
                published: 0,
                node: Node::root(extended),
                extended,
                cached_tokens: None,
                seen: Seen::of(&options, &prompt, &[]),
                prompt_logprobs: Vec::new(),
                stream: self.tokenizer.map(Tokenizer::stream),
                scanner: StopScanner::default(),
                form: FormState::start(&options.format),
                options: options.clone(),
            });
        }
        Ok(())
    }

    /// Most tokens of the sequence, or why it is refused.
    fn check(&self, id: u64, prompt: &[u32], sampling: &crate::SamplingOptions) -> Result<usize, Refused> {
        let vocab = self.network.sizes().vocab;
        sampling.validate(vocab)?;
        if prompt.is_empty() {
            return Err(Refused::EmptyPrompt);
        }
        if let Some(position) = prompt.iter().position(|token| *token as usize >= vocab) {
            return Err(Refused::Token { token: prompt[position], position, vocab });
        }
        if prompt.len() >= self.context {
            return Err(Refused::PromptTooLong { prompt: prompt.len(), context: self.context });
        }
        let limit = prompt.len().saturating_add(sampling.max_tokens.unwrap_or(self.context)).min(self.context);
        // The last token is never computed.
        if (limit - 1).div_ceil(BLOCK_TOKENS) > self.schedule.blocks.total() {
            return Err(Refused::CacheTooSmall {
                tokens: limit,
                capacity: self.schedule.blocks.total() * BLOCK_TOKENS,
            });
        }
        if self.tokenizer.is_none() && !sampling.stop.is_empty() {
            return Err(Refused::NoTokenizer { option: "stop" });
        }
        if self.tokenizer.is_none() && sampling.format != Format::Text {
            return Err(Refused::NoTokenizer { option: "response_format" });
        }
        if self.open.contains_key(&id) { Err(Refused::DuplicateId { id }) } else { Ok(limit) }
    }

    /// Drops a request. Events of it that were not returned yet are lost. False if there is no such request.
    pub fn cancel(&mut self, id: u64) -> bool {
        if self.open.remove(&id).is_none() {
            return false;
        }
        self.schedule.waiting.retain(|sequence| sequence.id != id);
        let running = std::mem::take(&mut self.schedule.running);
        for mut sequence in running {
            if sequence.id == id {
                self.schedule.release(&mut sequence);
            } else {
                self.schedule.running.push(sequence);
            }
        }
        true
    }

    /// True if there is nothing to compute.
    pub fn is_idle(&self) -> bool {
        self.schedule.waiting.is_empty() && self.schedule.running.is_empty()
    }

    /// Tokens of the prompts that are not computed yet, of waiting and running requests.
    pub fn tokens_waiting(&self) -> usize {
        self.schedule.waiting.iter().chain(&self.schedule.running).map(Sequence::pending).sum()
    }

    /// Most tokens of a sequence, prompt and answer together.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Bytes of weights that one decoding step reads.
    pub fn weight_bytes(&self) -> usize {
        self.network.bytes()
    }

    /// Multiplications for one token of a prompt, without those of attention and of the head.
    pub fn products_per_token(&self) -> usize {
        self.network.products()
    }

    pub fn stats(&self) -> Stats {
        let blocks = self.schedule.blocks.total();
        Stats {
            running: self.schedule.running.len(),
            waiting: self.schedule.waiting.len(),
            blocks_used: blocks - self.schedule.blocks.available(),
            blocks,
            preemptions: self.schedule.preemptions,
            ..self.stats
        }
    }

    /// Computes the next tokens of all running requests. Returns what happened, by request in the order of arrival; nothing
    /// if the engine is idle, or if only parts of prompts were computed.
    pub fn step(&mut self) -> Vec<Event> {
        let counts = self.schedule.plan();
        if counts.is_empty() {
            return Vec::new();
        }
        self.compute(&counts);
        let mut events = Vec::new();
        let choices = self.choose(&counts, &mut events);
        self.stats.steps += 1;
        let mut ended = Vec::new();
        for (index, (count, choice)) in counts.iter().zip(choices).enumerate() {
            let sequence = &self.schedule.running[index];
            let prompt = sequence.prompt_len.saturating_sub(sequence.computed).min(*count);
            self.stats.prompt_tokens += prompt as u64;
            self.schedule.advance(index, *count);
            let Some(choice) = choice else { continue };
            let tokens = allowed(&self.eos, &self.suppressed, self.tokens, &self.token_bytes);
            let (event, end) = choices::append(&mut self.schedule.running[index], choice, tokens);
            self.stats.generated_tokens += 1;
            events.extend(event);
            if let Some((reason, stopped)) = end {
                ended.push((index, reason, stopped, events.len()));
            }
        }
        // From the last to the first, so that indices stay valid.
        for (index, reason, stopped, place) in ended.into_iter().rev() {
            let mut sequence = self.schedule.running.remove(index);
            self.schedule.release(&mut sequence);
            let finished: Finished = sequence.finish(reason, stopped);
            if let Some(left) = self.open.get_mut(&finished.id) {
                *left -= 1;
                if *left == 0 {
                    self.open.remove(&finished.id);
                }
            }
            self.stats.cached_tokens += finished.cached_tokens as u64;
            events.insert(place, Event::Finished(finished));
        }
        events
    }

    /// Runs the model over the next `counts` tokens of the running sequences.
    fn compute(&mut self, counts: &[usize]) {
        let sequences = self.schedule.running.iter().zip(counts).filter(|(_, count)| **count > 0);
        let spans: Vec<Span<'_>> = sequences
            .map(|(sequence, count)| Span {
                tokens: &sequence.tokens[sequence.computed..][..*count],
                first: sequence.computed,
                blocks: &sequence.blocks,
                wanted: wanted(sequence, *count),
                extended: sequence.extended,
            })
            .collect();
        self.forward.run(&self.workers, &self.network, &mut self.pool, &spans);
    }

    /// Reads the logits of the step: one entry per sequence, `None` if it has more tokens to compute first.
    fn choose(&mut self, counts: &[usize], events: &mut Vec<Event>) -> Vec<Option<Choice>> {
        // The sequence of each row, and the position that the row's logits are for.
        let mut rows = Vec::new();
        for (index, (sequence, count)) in self.schedule.running.iter().zip(counts).enumerate() {
            let end = sequence.computed + count;
            match wanted(sequence, *count) {
                Wanted::Nothing => {}
                Wanted::Last => rows.push((index, end)),
                Wanted::All => rows.extend((sequence.computed + 1..=end).map(|position| (index, position))),
            }
        }
        let mut choices: Vec<Option<Choice>> = counts.iter().map(|_| None).collect();
        for (part, rows) in rows.chunks(LOGIT_ROWS).enumerate() {
            let first = part * LOGIT_ROWS;
            let logits = self.forward.logits(&self.workers, &self.network, first..first + rows.len());
            let (running, instructions) = (&self.schedule.running, self.workers.instructions());
            let tokens = allowed(&self.eos, &self.suppressed, self.tokens, &self.token_bytes);
            let items = rows.iter().zip(logits.iter());
            let found = self.workers.team().map(items, |((index, position), logits)| {
                let sequence = &running[*index];
                let scored = sequence.scores_prompt().then(|| sequence.tokens.get(*position)).flatten();
                let scored = scored.zip(sequence.options.prompt_logprobs).filter(|_| *position < sequence.prompt_len);
                let scored = scored.map(|(token, count)| logprobs(instructions, logits, *token, (count, &[])));
                let choice =
                    (*position == sequence.tokens.len()).then(|| choices::next(instructions, sequence, tokens, logits));
                (scored, choice)
            });
            for ((index, _), (scored, choice)) in rows.iter().zip(found) {
                let sequence = &mut self.schedule.running[*index];
                if let Some(scored) = scored {
                    if sequence.prompt_logprobs.is_empty() {
                        sequence.prompt_logprobs.push(None);
                    }
                    sequence.prompt_logprobs.push(Some(scored));
                }
                if choice.is_some() {
                    choices[*index] = choice;
                }
            }
        }
        for (index, choice) in choices.iter().enumerate() {
            let sequence = &mut self.schedule.running[index];
            if choice.is_some() && sequence.options.prompt_logprobs.is_some() && sequence.generated() == 0 {
                if sequence.prompt_logprobs.is_empty() {
                    sequence.prompt_logprobs.push(None);
                }
                if sequence.choice == 0 {
                    events.push(Event::Prompt { id: sequence.id, logprobs: sequence.prompt_logprobs.clone() });
                }
            }
        }
        choices
    }
}

/// Tokens whose logits a step needs.
fn wanted(sequence: &Sequence<'_>, count: usize) -> Wanted {
    match () {
        () if count == 0 => Wanted::Nothing,
        () if sequence.scores_prompt() => Wanted::All,
        () if count == sequence.pending() => Wanted::Last,
        () => Wanted::Nothing,
    }
}

fn allowed<'a>(eos: &'a [u32], suppressed: &'a [u32], tokens: usize, bytes: &'a [TokenBytes]) -> Allowed<'a> {
    Allowed { eos, suppressed, tokens, bytes }
}
