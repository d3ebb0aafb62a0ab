//! Runs the step: reads the inputs, measures, writes `results.json`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::minimal_pairs::{self, Pair};
use super::results::{Findings, Measured};
use super::{baseline, repetition};
use crate::handler::{Highlight, StepContext, StepError, StepHandler, arguments};
use crate::sampling::{Sample, Sampling};
use crate::text_codec::TextCodec;
use crate::train::open_stream;
use crate::trained_model::TrainedModel;
use crate::tuning_file::TuningFile;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::protocol::Progress;
use stepwell_train::data::TokenStream;
use stepwell_train::device;
use stepwell_train::device::tuning;
use stepwell_train::evaluation::likelihood;
use stepwell_train::inference::decoder::Decoder;
use stepwell_train::model::Transformer;
use stepwell_workflow::catalog::{Better, Figure, Given, Gives};

pub struct Eval;
pub static EVAL: Eval = Eval;

/// Pairs to score between two checks of the interrupt flag.
const PAIRS_AT_ONCE: usize = 64;

const VALUES: [Figure; 9] = [
    Figure::new("bits_per_byte", "loss on held-out text").better(Better::Lower),
    Figure::new("perplexity", "perplexity per token of held-out text").better(Better::Lower),
    Figure::new("minimal_pairs_accuracy", "share of pairs judged right; null without pairs").better(Better::Higher),
    Figure::new("trigram_bits_per_byte", "that of a trigram model; null without `train_tokens`")
        .label("baseline (trigram) bits per byte")
        .baseline_of("bits_per_byte"),
    Figure::new("trigram_minimal_pairs_accuracy", "that of a trigram model; null without pairs")
        .label("baseline (trigram) accuracy")
        .baseline_of("minimal_pairs_accuracy"),
    Figure::new("distinct_1", "share of different tokens in samples").label("different tokens in samples"),
    Figure::new("distinct_2", "share of different pairs of tokens in samples").label("different pairs of tokens"),
    Figure::new("repetition_4", "share of repeated sequences of 4 tokens in samples")
        .label("repeated sequences of 4 tokens")
        .better(Better::Lower),
    Figure::new("samples", "texts of the first samples"),
];

/// Arguments of the `eval` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `model` of a `train` step.
    model: ArtifactRef,
    /// Tokenizer that the model was trained with.
    tokenizer: ArtifactRef,
    /// Token file of the held-out split.
    validation: ArtifactRef,
    /// Token files of the training split for the trigram baseline. Without any, there is no baseline.
    #[serde(default)]
    train_tokens: Vec<ArtifactRef>,
    /// Number of tokens, from the start, that the baseline learns from. Its counts are held in memory.
    #[serde(default = "default_trigram_tokens")]
    trigram_tokens: u64,
    /// NDJSON of `{"phenomenon", "good", "bad"}`. An empty file counts as none.
    #[serde(default)]
    minimal_pairs: Option<ArtifactRef>,
    /// `auto`, `flex` (CPU), `wgpu`, `vulkan`, `metal` or `cuda`.
    #[serde(default = "default_device")]
    device: String,
    #[serde(default)]
    samples: SampleArguments,
}

/// Samples for the measures of variety. Three of them are shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct SampleArguments {
    /// Number of samples.
    count: u64,
    /// Maximum length of a sample, in tokens.
    max_new_tokens: usize,
    /// Sampling temperature; 0 always takes the likeliest token.
    temperature: f32,
    /// Draw only from this many likeliest tokens.
    top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together hold this share of the probability.
    top_p: Option<f32>,
    /// Text that every sample continues; empty for a new document.
    prompt: String,
    seed: u64,
}

fn default_trigram_tokens() -> u64 {
    2_000_000
}

fn default_device() -> String {
    "auto".to_owned()
}

impl Default for SampleArguments {
    fn default() -> Self {
        SampleArguments {
            count: 10,
            max_new_tokens: 60,
            temperature: 0.8,
            top_k: None,
            top_p: None,
            prompt: String::new(),
            seed: 42,
        }
    }
}

impl StepHandler for Eval {
    fn kind(&self) -> &'static str {
        "eval"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "measure a trained model on held-out text"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("results", "`results.json`, in the shape of the LM Evaluation Harness")]),
            values: Given::Figures(&VALUES),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        let arguments: Arguments = arguments(with)?;
        sampling(&arguments.samples).validate()
    }

    /// Another backend rounds differently.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        let backend =
            device::resolve(&arguments.device).map_err(|error| Failure::from_error(FailureKind::Fatal, &error))?;
        Ok(json!({"backend": backend}))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let artifacts = context.artifacts;
        let codec = TextCodec::load(&artifacts.read(&arguments.tokenizer)?)?;
        let saved = TrainedModel::read(artifacts, &arguments.model)?;
        saved.check_tokenizer(&codec)?;
        let validation = open_stream(artifacts, std::slice::from_ref(&arguments.validation), codec.encoder())?;
        let pairs = read_pairs(context, &arguments, &codec, saved.config.context + 1)?;

        let model = saved.load(&arguments.device)?;
        let kernels = TuningFile::of(&context.request.state_dir);
        kernels.adopt(context.reporter);
        let measured = measure_model(context, &model, &validation, &pairs)?;
        kernels.keep(&tuning::current(), context.reporter);
        let trigram = measure_trigram(context, &arguments, &codec, &validation, &pairs)?;
        let samples = draw(context, &arguments.samples, &Decoder::new(&model), &codec)?;
        let tokens: Vec<Vec<u32>> = samples.iter().map(|sample| sample.tokens.clone()).collect();
        let findings = Findings {
            config: &saved.config,
            text_bytes: validation.text_bytes(),
            documents: validation.documents(),
            model: measured,
            trigram,
            samples: &samples,
            distinct_1: repetition::distinct(&tokens, 1),
            distinct_2: repetition::distinct(&tokens, 2),
            repetition_4: repetition::repeated(&tokens, 4),
        };
        let results = context.publish_json("the results", &findings.to_json())?;
        Ok(Outputs::of([("results", results)], findings.values().into()))
    }
}

fn read_pairs(
    context: &StepContext<'_>,
    arguments: &Arguments,
    codec: &TextCodec,
    longest: usize,
) -> Result<Vec<Pair>, Failure> {
    match &arguments.minimal_pairs {
        Some(file) => minimal_pairs::read(&context.artifacts.read(file)?, codec, longest),
        None => Ok(Vec::new()),
    }
}

fn measure_model(
    context: &mut StepContext<'_>,
    model: &Transformer,
    validation: &TokenStream,
    pairs: &[Pair],
) -> Result<Measured, StepError> {
    let validation = likelihood::of_stream(model, validation, |done, total| {
        report(context, done, total, "windows", "held-out text")
    })?;
    let mut nats = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(PAIRS_AT_ONCE) {
        let sentences: Vec<&[u32]> = chunk.iter().flat_map(|pair| [pair.good.as_slice(), &pair.bad]).collect();
        let found = likelihood::of_sequences(model, &sentences);
        nats.extend(found.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        report(context, nats.len() as u64, pairs.len() as u64, "pairs", "minimal pairs")?;
    }
    Ok(Measured { validation, pairs: (!pairs.is_empty()).then(|| minimal_pairs::score(pairs, nats)) })
}

fn measure_trigram(
    context: &StepContext<'_>,
    arguments: &Arguments,
    codec: &TextCodec,
    validation: &TokenStream,
    pairs: &[Pair],
) -> Result<Option<Measured>, StepError> {
    if arguments.train_tokens.is_empty() {
        return Ok(None);
    }
    let training = open_stream(context.artifacts, &arguments.train_tokens, codec.encoder())?;
    let go_on = || context.check_interrupt();
    let trigram = baseline::train(&training, codec.vocab(), arguments.trigram_tokens, go_on)?;
    let validation = baseline::of_stream(&trigram, validation, go_on)?;
    let scores = (!pairs.is_empty()).then(|| minimal_pairs::score(pairs, baseline::of_pairs(&trigram, pairs)));
    Ok(Some(Measured { validation, pairs: scores }))
}

fn sampling(arguments: &SampleArguments) -> Sampling {
    let SampleArguments { max_new_tokens, temperature, top_k, top_p, seed, .. } = *arguments;
    Sampling { max_new_tokens, temperature, top_k, top_p, seed }
}

fn draw(
    context: &mut StepContext<'_>,
    arguments: &SampleArguments,
    decoder: &Decoder,
    codec: &TextCodec,
) -> Result<Vec<Sample>, StepError> {
    let sampling = sampling(arguments);
    sampling.validate()?;
    let mut samples = Vec::new();
    while (samples.len() as u64) < arguments.count {
        let first = samples.len() as u64;
        let prompts: Vec<&str> =
            (first..arguments.count).take(decoder.batch_size()).map(|_| &*arguments.prompt).collect();
        samples.extend(sampling.draw_each(decoder, codec, &prompts, first)?);
        report(context, samples.len() as u64, arguments.count, "samples", "samples")?;
    }
    Ok(samples)
}

/// Reports progress, and fails when the engine asks to stop.
fn report(
    context: &mut StepContext<'_>,
    done: u64,
    total: u64,
    unit: &'static str,
    message: &'static str,
) -> Result<(), StepError> {
    let progress = Progress { done, total, unit: unit.to_owned(), message: message.to_owned() };
    context.reporter.progress(progress);
    context.check_interrupt()
}
