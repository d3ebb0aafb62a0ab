//! Handler of `model.eval`.

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, DOCUMENTS, GENERATION};
use super::{documents, training};
use crate::evaluation::outcome::{Numbers, Part, Report, Sums, TaskReport};
use crate::evaluation::samples::{Novelty, SHOWN, SampleArguments, generation};
use crate::evaluation::scoring::{EngineScorer, TokenizerOf, Written};
use crate::evaluation::tasks::{digests, load};
use crate::evaluation::{Progress, run_tasks};
use crate::handler::{Highlight, StepContext, StepError, StepHandler, Surroundings, arguments};
use crate::models::open_model;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_models::Model;
use stepwell_workflow::catalog::{Better, Figure, Given, Gives};

pub struct ModelEval;
pub static MODEL_EVAL: ModelEval = ModelEval;

const VALUES: [Figure; 6] = [
    Figure::new("bits_per_byte", "loss on `documents`, comparable between models with different tokenizers")
        .better(Better::Lower),
    Figure::new("perplexity", "perplexity per token of `documents`").better(Better::Lower),
    Figure::new("documents", "number of `documents`"),
    Figure::new("tokens", "tokens of `documents` that were predicted"),
    Figure::new("bytes", "bytes of `documents`"),
    Figure::new("tasks", "numbers of each task and source, such as `tasks.NAME.acc` and `tasks.NAME.acc_low`"),
];

impl StepHandler for ModelEval {
    fn kind(&self) -> &'static str {
        "model.eval"
    }

    fn version(&self) -> u32 {
        2
    }

    fn summary(&self) -> &'static str {
        "measure any model on texts and tasks"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("results", "`results.json`, in the shape of lm-eval"),
                ("items", "NDJSON of the result of each item, for `eval.compare`"),
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

    /// Digests of files that are named by path.
    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let planned = arguments::<Arguments>(with)?.check()?;
        Ok(Value::Object(digests(&planned, surroundings.project)?))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let tasks = load(context, arguments.check()?, &context.request.fingerprint)?;
        let model = open_model(context.artifacts, &arguments.model, arguments.tokenizer.as_ref())?;
        let tokenizer = if arguments.tokenizer.is_some() { TokenizerOf::Training } else { TokenizerOf::Model };
        let mut scorer = EngineScorer::open(&model, tokenizer, arguments.dtype, arguments.context)?;
        let mut progress = Progress::resume(context);
        let mut reports = Vec::new();
        for source in arguments.sources() {
            documents::measure(context, source, &mut scorer, &mut progress)?;
            let tally = progress.tallies.get(source.0).cloned().unwrap_or_default();
            if tally.whole.total(Part::Tokens) == 0.0 {
                let message = format!("`{}` has no token that could be predicted", source.0);
                return Err(Failure::fatal(message).into());
            }
            reports.push(TaskReport::of(source.0, &tally, 0, json!({ "output_type": "loglikelihood_rolling" })));
        }
        reports.extend(run_tasks(context, &tasks, &mut scorer, &mut progress)?);
        let written = match &arguments.samples {
            Some(samples) => write(context, samples, &mut scorer)?,
            None => Vec::new(),
        };
        let tokens: Vec<Vec<u32>> = written.iter().map(|written| written.tokens.clone()).collect();
        let mut novelty = Vec::new();
        if !arguments.training.is_empty() {
            if !tokens.is_empty() {
                novelty = Novelty::usual(&tokens);
            }
            let (most, vocab) = (arguments.baseline_tokens, scorer.vocab());
            let counts = training::read(context, &arguments.training, most, &scorer, vocab, &mut novelty)?;
            training::add_baselines(context, &mut reports, &counts, &scorer, arguments.sources(), &tasks)?;
        }
        if arguments.samples.is_some() {
            let ended = written.iter().filter(|written| written.ended).count() as u64;
            reports.push(TaskReport {
                name: GENERATION.to_owned(),
                model: Numbers { metrics: generation(&tokens, ended, &novelty), ..Numbers::default() },
                items: tokens.len() as u64,
                shots: 0,
                config: json!({ "output_type": "generate_until" }),
                baselines: Default::default(),
            });
        }
        let shown: Vec<&str> = written.iter().take(SHOWN).map(|written| written.text.as_str()).collect();
        let samples = arguments.samples.is_some().then_some(shown);
        let report = Report { tasks: reports, model: described(&model, &arguments), samples: json!(samples) };
        let results = context.publish_json("the results", &report.to_json())?;
        let items = progress.ledger.publish(context)?;
        let values = values(&report, progress.tallies.get(DOCUMENTS).map(|tally| &tally.whole));
        Ok(Outputs::of([("results", results), ("items", items)], values.into()))
    }
}

/// Samples that are drawn between two checks of the interrupt flag.
const SAMPLES_AT_ONCE: u64 = 16;

fn write(
    context: &mut StepContext<'_>,
    samples: &SampleArguments,
    scorer: &mut EngineScorer<'_>,
) -> Result<Vec<Written>, StepError> {
    let mut written = Vec::new();
    while (written.len() as u64) < samples.count {
        let first = written.len() as u64;
        let numbers = first..samples.count.min(first + SAMPLES_AT_ONCE);
        written.extend(scorer.write(context, samples, numbers)?);
        context.report(written.len() as u64, samples.count, "samples", GENERATION)?;
    }
    Ok(written)
}

fn described(model: &Model, arguments: &Arguments) -> Value {
    let shape = &model.shape;
    json!({
        "model": arguments.model.digest,
        "parameters": shape.parameters(),
        "layers": shape.layers,
        "hidden": shape.hidden,
        "vocab": shape.vocab,
        "dtype": arguments.dtype,
        "context": arguments.context,
    })
}

fn values(report: &Report, documents: Option<&Sums>) -> Map<String, Value> {
    let metrics = documents.map(Sums::metrics).unwrap_or_default();
    let metric = |name: &str| json!(metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value));
    let count = |part: Part| json!(documents.map(|sums| sums.total(part) as u64));
    let entries = [
        ("bits_per_byte", metric("bits_per_byte")),
        ("perplexity", metric("perplexity")),
        ("documents", json!(documents.map(|sums| sums.items))),
        ("tokens", count(Part::Tokens)),
        ("bytes", count(Part::Bytes)),
        ("tasks", report.values()),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
