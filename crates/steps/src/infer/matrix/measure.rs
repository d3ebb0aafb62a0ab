//! Step kind `infer.measure`: one cell.

use std::num::NonZeroU64;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::cell::Measured;
use super::clock::Clock;
use super::machine::{alone, forget_peak, peak_memory};
use super::requests::Requests;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, arguments};
use crate::infer::arguments::{Dtype, Source};
use crate::infer::backend::{Backend, Happened};
use crate::infer::engine::ModelBackend;
use crate::infer::memory::Memory;
use crate::infer::model;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_models::Model;
use stepwell_workflow::catalog::{Given, Gives};

/// Most requests, and most at once.
const MOST: u64 = 100_000;
const MOST_AT_ONCE: u64 = 4096;
/// Most words of a prompt and tokens of an answer that are made here.
const MOST_LENGTH: u64 = 100_000;
/// The category of requests whose model could not be loaded.
const NOT_LOADED: &str = "model_not_loaded";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output of a step that gives a model, or the path of a Hugging Face folder or of a GGUF file.
    model: Source,
    /// Tokenizer of a model that has none in its files, such as the output of `train`.
    #[serde(default)]
    tokenizer: Option<ArtifactRef>,
    /// Type in which the weights are kept and multiplied.
    #[serde(default)]
    dtype: Dtype,
    /// Number of requests.
    batch: NonZeroU64,
    /// Number of requests that are computed at once.
    concurrency: NonZeroU64,
    /// File of requests as for `infer`, an output or a path. Default: texts that are made here.
    #[serde(default)]
    requests: Option<Source>,
    /// Words of each text that is made here.
    #[serde(default = "default_words")]
    prompt_words: NonZeroU64,
    /// Tokens of each answer to a text that is made here.
    #[serde(default = "default_tokens")]
    max_tokens: NonZeroU64,
    /// Memory for the keys and values of all rows together, in MiB.
    #[serde(default)]
    cache_mib: Option<NonZeroU64>,
}

fn default_words() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(63)
}

fn default_tokens() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(31)
}

pub struct Measure;
pub static MEASURE: Measure = Measure;

impl Arguments {
    /// # Errors
    /// Names the argument that is too large.
    fn check(&self) -> Result<(), Failure> {
        let bounds = [
            ("batch", self.batch, MOST),
            ("concurrency", self.concurrency, MOST_AT_ONCE),
            ("prompt_words", self.prompt_words, MOST_LENGTH),
            ("max_tokens", self.max_tokens, MOST_LENGTH),
        ];
        match bounds.iter().find(|(_, value, most)| value.get() > *most) {
            Some((name, _, most)) => Err(Failure::fatal(format!("`{name}` is at most {most}"))),
            None => Ok(()),
        }
    }

    fn requests(&self, context: &StepContext<'_>) -> Result<Requests, Failure> {
        match &self.requests {
            Some(Source::Output(artifact)) => Requests::read(&context.artifacts.verified_path(artifact)?),
            Some(Source::Path(path)) if !path.is_empty() => Requests::read(&context.request.project_dir.join(path)),
            _ => Ok(Requests::Made { words: self.prompt_words.get(), tokens: self.max_tokens.get() }),
        }
    }
}

impl StepHandler for Measure {
    fn kind(&self) -> &'static str {
        "infer.measure"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "measure how fast a model answers a batch, and what memory it needs"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::NOTHING,
            values: Given::Named(&[
                ("completed", "requests with an answer"),
                ("failed", "requests without one"),
                ("failures", "number of failed requests by category"),
                ("error", "the first reason, or null"),
                ("prompt_tokens", "tokens of all prompts"),
                ("completion_tokens", "tokens of all answers"),
                ("load_seconds", "time to load the model"),
                ("seconds", "time from the first request to the last answer"),
                ("tokens_per_second", "generated tokens per second"),
                ("requests_per_second", "answered requests per second"),
                ("first_token_seconds", "`p50`, `p90`, `p99` and `max` until the first text of a request"),
                ("latency_seconds", "the same until its whole answer"),
                ("peak_memory_bytes", "largest memory of the process, or null"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.check()
    }

    /// A speed is that of this machine at this time.
    fn reusable(&self, _with: &Value) -> bool {
        false
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        arguments.check()?;
        let project = context.request.project_dir.clone();
        let named = (&arguments.model, arguments.tokenizer.as_ref());
        let files = model::files(named, context.artifacts, &project)?;
        let requests = arguments.requests(context)?;
        let batch = arguments.batch.get();
        let _turn = alone(context, batch)?;
        forget_peak();
        context.report(0, batch, "requests", "loads the model")?;
        let start = Instant::now();
        let slots = usize::try_from(arguments.concurrency.get()).unwrap_or(usize::MAX);
        let cache = arguments.cache_mib.map(|mib| usize::try_from(mib.get() << 20).unwrap_or(usize::MAX));
        let memory = Memory { slots, cache, keeps_prompts: true };
        let model = Model::from_files(&files).map_err(model::unusable)?;
        // A cell that does not fit into the memory is a result, too.
        let mut measured = match ModelBackend::open(&model, arguments.dtype, memory, 0) {
            Ok(backend) => {
                let load_seconds = start.elapsed().as_secs_f64();
                Measured { load_seconds, ..answer(context, backend, &requests, (batch, slots))? }
            }
            Err(failure) => Measured {
                failed: batch,
                failures: [(NOT_LOADED.to_owned(), batch)].into(),
                error: Some(failure.message),
                ..Measured::default()
            },
        };
        measured.peak_memory_bytes = peak_memory();
        let values = serde_json::to_value(&measured)
            .map_err(|error| Failure::fatal(format!("cannot write the measurement as JSON: {error}")))?;
        Ok(Outputs::of([], values))
    }
}

/// Answers all requests, `slots` at once.
fn answer(
    context: &mut StepContext<'_>,
    mut backend: ModelBackend<'_>,
    requests: &Requests,
    (batch, slots): (u64, usize),
) -> Result<Measured, StepError> {
    warm_up(&mut backend, requests)?;
    let mut clock = Clock::start();
    // Prompts of one request share its number; ids of the engine are their own.
    let (mut next, mut next_id) = (0, 0);
    loop {
        context.report(clock.done(), batch, "requests", "")?;
        while next < batch && clock.open() < slots {
            let id = next_id;
            next += 1;
            next_id += 1;
            match prepare(&backend, requests, next - 1)? {
                Ok((job, completions)) => {
                    clock.started(id, completions);
                    if let Err(error) = backend.submit(id, job) {
                        clock.failed(id, &error);
                    }
                }
                Err(error) => clock.failed(id, &error),
            }
        }
        if clock.open() == 0 {
            return Ok(clock.measured());
        }
        let (pieces, happened) = backend.step_with_pieces();
        for piece in pieces {
            clock.text(piece.id);
        }
        for one in happened {
            match one {
                Happened::Tokens { .. } => {}
                Happened::Finished { id, usage, .. } => clock.finished(id, usage),
                Happened::Failed { id, error } => {
                    backend.cancel(id);
                    clock.failed(id, &error);
                }
            }
        }
    }
}

type Prepared<'m> = Result<(<ModelBackend<'m> as Backend>::Job, usize), stepwell_batch::RowError>;

/// The prompt of a request, and the number of its completions. One with several prompts counts as its first.
fn prepare<'m>(backend: &ModelBackend<'m>, requests: &Requests, number: u64) -> Result<Prepared<'m>, Failure> {
    Ok(requests.get(number)?.and_then(|(body, seed)| {
        let job = backend.prepare(&body, seed)?.into_iter().next();
        let nothing = || stepwell_batch::RowError::new(stepwell_batch::Code::InvalidValue, "the request has no prompt");
        Ok((job.ok_or_else(nothing)?, body.options.n as usize))
    }))
}

/// Computes one request before the clock starts: the first one touches pages that no other one has to.
fn warm_up(backend: &mut ModelBackend<'_>, requests: &Requests) -> Result<(), Failure> {
    let Ok((job, completions)) = prepare(backend, requests, 0)? else { return Ok(()) };
    if backend.submit(u64::MAX, job).is_err() {
        return Ok(());
    }
    let mut left = completions;
    while left > 0 {
        for happened in backend.step() {
            match happened {
                Happened::Tokens { .. } => {}
                Happened::Finished { .. } => left -= 1,
                Happened::Failed { .. } => left = 0,
            }
        }
    }
    Ok(())
}
