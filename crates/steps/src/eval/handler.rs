//! Runs the step: reads the inputs, measures, writes `results.json`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::arguments::{Arguments, sampling};
use super::baseline;
use super::minimal_pairs::{self, Pair, Scores};
use super::results::{self, Text};
use super::scorer::TrainedScorer;
use crate::evaluation::outcome::{Report, TaskReport, score_counts};
use crate::evaluation::samples::{Novelty, SHOWN, SampleArguments, generation};
use crate::evaluation::scoring::{Counts, Order};
use crate::evaluation::tasks::{digests, load};
use crate::evaluation::{Progress, run_tasks};
use crate::handler::{Highlight, StepContext, StepError, StepHandler, Surroundings, arguments};
use crate::sampling::Sample;
use crate::text_codec::TextCodec;
use crate::train::open_stream;
use crate::trained_model::TrainedModel;
use crate::tuning_file::TuningFile;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind};
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

const VALUES: [Figure; 15] = [
    Figure::new("bits_per_byte", "loss on held-out text").better(Better::Lower),
    Figure::new("perplexity", "perplexity per token of held-out text").better(Better::Lower),
    Figure::new("minimal_pairs_accuracy", "share of pairs judged right; null without pairs").better(Better::Higher),
    Figure::new("unigram_bits_per_byte", "that of a unigram model; null without `train_tokens`")
        .label("baseline (unigram) bits per byte"),
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
    Figure::new("longest_repeat", "tokens of the longest sequence that occurs twice in a sample").better(Better::Lower),
    Figure::new("eos_rate", "share of samples that the model ended").label("samples that the model ended"),
    Figure::new(
        "novelty_4",
        "share of sequences of 4 tokens in samples that the training text lacks; null without `train_tokens`",
    )
    .label("new sequences of 4 tokens"),
    Figure::new("novelty_8", "the same for 8 tokens").label("new sequences of 8 tokens"),
    Figure::new("samples", "texts of the first samples"),
    Figure::new("tasks", "numbers of each task and source, such as `tasks.NAME.acc` and `tasks.NAME.acc_low`"),
];

impl StepHandler for Eval {
    fn kind(&self) -> &'static str {
        "eval"
    }

    fn version(&self) -> u32 {
        2
    }

    fn summary(&self) -> &'static str {
        "measure a trained model on held-out text"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("results", "`results.json`, in the shape of the LM Evaluation Harness"),
                ("items", "NDJSON of the result of each item of `tasks`, for `eval.compare`"),
            ]),
            values: Given::Figures(&VALUES),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.check().map(drop)
    }

    /// Another backend rounds differently. Files that are named by path are told by their digests.
    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        let backend =
            device::resolve(&arguments.device).map_err(|error| Failure::from_error(FailureKind::Fatal, &error))?;
        let mut fingerprint = digests(&arguments.check()?, surroundings.project)?;
        fingerprint.insert("backend".to_owned(), json!(backend));
        Ok(Value::Object(fingerprint))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let tasks = load(context, arguments.check()?, &context.request.fingerprint)?;
        let artifacts = context.artifacts;
        let codec = TextCodec::load(&artifacts.read(&arguments.tokenizer)?)?;
        let saved = TrainedModel::read(artifacts, &arguments.model)?;
        saved.check_tokenizer(&codec)?;
        let mut texts: Vec<(String, TokenStream)> = Vec::new();
        for (name, file) in arguments.texts() {
            texts.push((name.to_owned(), open_stream(artifacts, std::slice::from_ref(file), codec.encoder())?));
        }
        let pairs = read_pairs(context, &arguments, &codec, saved.config.context + 1)?;

        let model = saved.load(&arguments.device)?;
        let kernels = TuningFile::of(&context.request.state_dir);
        kernels.adopt(context.reporter);
        let decoder = Decoder::new(&model);
        let mut progress = Progress::resume(context);
        let mut scorer = TrainedScorer { model: &model, decoder: &decoder, codec: &codec };
        let mut of_tasks = run_tasks(context, &tasks, &mut scorer, &mut progress)?;
        let mut measured = Vec::new();
        for (name, stream) in &texts {
            let of_stream =
                likelihood::of_stream(&model, stream, |done, total| context.report(done, total, "windows", name))?;
            let (documents, bytes) = (stream.documents(), stream.text_bytes());
            measured.push(Text { name: name.clone(), documents, bytes, model: of_stream, baselines: BTreeMap::new() });
        }
        let of_pairs = measure_pairs(context, &model, &pairs)?;
        kernels.keep(&tuning::current(), context.reporter);
        let samples = draw(context, &arguments.samples, &decoder, &codec)?;
        let tokens: Vec<Vec<u32>> = samples.iter().map(|sample| sample.tokens.clone()).collect();
        let mut novelty = Vec::new();
        let mut pair_baselines = BTreeMap::new();
        if !arguments.train_tokens.is_empty() {
            if !tokens.is_empty() {
                novelty = Novelty::usual(&tokens);
            }
            let training = open_stream(artifacts, &arguments.train_tokens, codec.encoder())?;
            let go_on = || context.check_interrupt();
            let counts = baseline::read(&training, codec.vocab(), arguments.trigram_tokens, &mut novelty, go_on)?;
            for order in Order::ALL {
                for (text, (_, stream)) in measured.iter_mut().zip(&texts) {
                    text.baselines.insert(order.name(), baseline::of_stream(&counts, order, stream, go_on)?);
                }
                pair_baselines
                    .insert(order.name(), minimal_pairs::score(&pairs, baseline::of_pairs(&counts, order, &pairs)));
                let mut judge = Counts { counts: &counts, order, model: &scorer };
                for (task, report) in tasks.iter().zip(&mut of_tasks) {
                    if let Some(tally) = score_counts(context, task, &mut judge)? {
                        report.add_baseline(order.name(), &tally);
                    }
                }
            }
        }
        let mut reports: Vec<TaskReport> = measured.iter().map(Text::report).collect();
        if !pairs.is_empty() {
            reports.push(results::pairs(&of_pairs, &pair_baselines));
        }
        reports.extend(of_tasks);
        // A sample that is shorter than it might be was ended by the model.
        let ended = tokens.iter().filter(|tokens| tokens.len() < arguments.samples.max_new_tokens).count() as u64;
        reports.push(results::generation(generation(&tokens, ended, &novelty), tokens.len()));
        let report =
            Report { tasks: reports, model: json!(saved.config), samples: json!(&samples[..samples.len().min(SHOWN)]) };
        let file = context.publish_json("the results", &report.to_json())?;
        let items = progress.ledger.publish(context)?;
        Ok(Outputs::of([("results", file), ("items", items)], results::values(&report, &samples).into()))
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

fn measure_pairs(context: &mut StepContext<'_>, model: &Transformer, pairs: &[Pair]) -> Result<Scores, StepError> {
    let mut nats = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(PAIRS_AT_ONCE) {
        let sentences: Vec<&[u32]> = chunk.iter().flat_map(|pair| [pair.good.as_slice(), &pair.bad]).collect();
        let found = likelihood::of_sequences(model, &sentences);
        nats.extend(found.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        context.report(nats.len() as u64, pairs.len() as u64, "pairs", "minimal pairs")?;
    }
    Ok(minimal_pairs::score(pairs, nats))
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
        context.report(samples.len() as u64, arguments.count, "samples", "samples")?;
    }
    Ok(samples)
}
