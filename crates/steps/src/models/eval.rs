//! `model.eval`: how well any model predicts texts, imported or trained here. Also in builds without burn.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::store::open_model;
use crate::corpus_documents::{DocumentReader, document_files};
use crate::handler::{Highlight, StepContext, StepError, StepHandler};
use crate::infer::{Dtype, Memory, start};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_inference::{Engine, Event, Reason, Request, SamplingOptions};
use stepwell_workflow::catalog::{Better, Figure, Given, Gives};

pub struct ModelEval;
pub static MODEL_EVAL: ModelEval = ModelEval;

/// Windows that are computed together, and time between two checkpoints.
const AT_ONCE: usize = 16;
const PAUSE: Duration = Duration::from_secs(10);

const VALUES: [Figure; 5] = [
    Figure::new("bits_per_byte", "loss on the texts, comparable between models with different tokenizers")
        .better(Better::Lower),
    Figure::new("perplexity", "perplexity per token").better(Better::Lower),
    Figure::new("documents", "number of documents"),
    Figure::new("tokens", "tokens that were predicted"),
    Figure::new("bytes", "bytes of the texts"),
];

/// Arguments of the `model.eval` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `model` of `model.import` or `train`, or `folder` of `export`.
    model: ArtifactRef,
    /// Tokenizer of a model that has none in its files, such as the output of `train`.
    #[serde(default)]
    tokenizer: Option<ArtifactRef>,
    /// Documents, such as the output `validation` of `corpus.clean`.
    documents: ArtifactRef,
    /// Tokens that the model sees at once. Default: its context.
    #[serde(default)]
    context: Option<NonZeroUsize>,
    /// Type in which the weights are kept and multiplied.
    #[serde(default)]
    dtype: Dtype,
}

/// Sums over the documents measured so far; also the state of a checkpoint.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Sum {
    documents: u64,
    tokens: u64,
    bytes: u64,
    /// Bits of the sum of negative log-likelihoods, because a number in JSON may lose the last one.
    nats: u64,
}

impl Sum {
    fn add(&mut self, nats: f64) {
        self.nats = (f64::from_bits(self.nats) + nats).to_bits();
    }

    fn values(&self) -> Value {
        let nats = f64::from_bits(self.nats);
        json!({
            "bits_per_byte": nats / std::f64::consts::LN_2 / self.bytes as f64,
            "perplexity": (nats / self.tokens as f64).exp(),
            "documents": self.documents,
            "tokens": self.tokens,
            "bytes": self.bytes,
        })
    }
}

impl StepHandler for ModelEval {
    fn kind(&self) -> &'static str {
        "model.eval"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "measure how well a model predicts texts"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::Named(&[("results", "JSON of the values")]), values: Given::Figures(&VALUES) }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let earlier = context.request.checkpoints.iter();
        let mut sum: Sum = earlier
            .filter_map(|checkpoint| serde_json::from_value(checkpoint.state.clone()).ok())
            .next()
            .unwrap_or_default();
        let files = document_files(context.artifacts, &arguments.documents, None)?;
        let mut counted = DocumentReader::new(files.clone());
        let mut total = 0;
        while counted.next_document()?.is_some() {
            total += 1;
        }
        let mut reader = DocumentReader::new(files);
        reader.skip_documents(sum.documents)?;
        let model = open_model(context.artifacts, &arguments.model, arguments.tokenizer.as_ref())?;
        let (engine, _) = start(&model, arguments.dtype, Memory { keeps_prompts: false, ..Memory::of_slots(AT_ONCE) })?;
        // A prompt leaves room for one token.
        let most = engine.context().saturating_sub(1).min(arguments.context.map_or(usize::MAX, NonZeroUsize::get));
        if most < 2 {
            return Err(Failure::fatal("a context of one token predicts nothing").with_hint("raise `context`").into());
        }
        let mut scorer = Scorer { engine, next: 0 };
        let (mut windows, mut saved) = (Vec::new(), Instant::now());
        loop {
            let document = reader.next_document()?;
            if let Some(document) = &document {
                let tokens = model.tokenizer.encode_text(&document.text);
                let tokens = tokens.map_err(|error| Failure::fatal(format!("document {}: {error}", document.id)))?;
                windows.extend(self::windows(&tokens, most));
                sum.documents += 1;
                sum.tokens += (tokens.len() as u64).saturating_sub(1);
                sum.bytes += document.text.len() as u64;
            }
            if windows.len() >= AT_ONCE || document.is_none() {
                scorer.score(context, std::mem::take(&mut windows), &mut sum)?;
                context.report(sum.documents, total, "documents", "")?;
                if saved.elapsed() >= PAUSE && document.is_some() {
                    saved = Instant::now();
                    context.reporter.checkpoint(checkpoint(&sum)?)?;
                }
            }
            if document.is_none() {
                break;
            }
        }
        if sum.tokens == 0 {
            return Err(Failure::fatal("the documents have no token that could be predicted").into());
        }
        let values = sum.values();
        let results = context.publish_json("the results", &values)?;
        Ok(Outputs::of([("results", results)], values))
    }
}

fn checkpoint(sum: &Sum) -> Result<Checkpoint, Failure> {
    let state = serde_json::to_value(sum).map_err(|error| Failure::fatal(format!("cannot describe it: {error}")))?;
    Ok(Checkpoint { state, tokens_so_far: Some(sum.tokens), keep: Some(1), ..Checkpoint::default() })
}

/// Tokens that the model sees together, and the first of them that counts.
struct Window {
    tokens: Vec<u32>,
    counts_from: usize,
}

/// Windows that advance by half a context. Every token but the first of a text counts once, with at least half a context
/// or its whole text before it.
fn windows(tokens: &[u32], most: usize) -> Vec<Window> {
    let stride = (most / 2).max(1);
    let mut windows = Vec::new();
    let (mut from, mut done) = (0, 1);
    while done < tokens.len() {
        let to = (from + most).min(tokens.len());
        windows.push(Window { tokens: tokens[from..to].to_vec(), counts_from: done - from });
        (done, from) = (to, from + stride);
    }
    windows
}

struct Scorer<'m> {
    engine: Engine<'m>,
    next: u64,
}

impl Scorer<'_> {
    /// Adds the likelihoods of windows, in their order.
    fn score(&mut self, context: &StepContext<'_>, windows: Vec<Window>, sum: &mut Sum) -> Result<(), StepError> {
        let sampling = SamplingOptions {
            max_tokens: Some(1),
            temperature: 0.0,
            ignore_eos: true,
            prompt_logprobs: Some(0),
            ..SamplingOptions::default()
        };
        let first = self.next;
        let mut counts_from = Vec::with_capacity(windows.len());
        for window in windows {
            counts_from.push(window.counts_from);
            let request = Request { id: self.next, prompt: window.tokens, sampling: sampling.clone() };
            self.engine.submit(request).map_err(|refused| Failure::fatal(refused.to_string()))?;
            self.next += 1;
        }
        let mut nats: BTreeMap<u64, f64> = BTreeMap::new();
        let mut open = counts_from.len();
        while open > 0 {
            context.check_interrupt()?;
            for event in self.engine.step() {
                match event {
                    Event::Prompt { id, logprobs } => {
                        let counted = logprobs.iter().skip(counts_from[(id - first) as usize]).flatten();
                        nats.insert(id, counted.map(|logprobs| -f64::from(logprobs.chosen.logprob)).sum());
                    }
                    Event::Token { .. } => {}
                    Event::Finished(finished) => {
                        open -= 1;
                        if let Reason::Failed(why) = finished.reason {
                            return Err(Failure::fatal(format!("the model cannot score a text: {why}")).into());
                        }
                    }
                }
            }
        }
        nats.into_values().for_each(|nats| sum.add(nats));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::tests::{Recorder, StepLab};
    use crate::{INFER, MODEL_IMPORT};

    #[test]
    fn every_token_but_the_first_counts_once_with_half_a_context_before_it() {
        for length in 0..40_u32 {
            let tokens: Vec<u32> = (0..length).collect();
            let mut counted: Vec<u32> = Vec::new();
            for window in windows(&tokens, 8) {
                assert!(window.tokens.len() <= 8 && (window.counts_from >= 4 || window.tokens[0] == 0), "{length}");
                counted.extend(&window.tokens[window.counts_from..]);
            }
            assert_eq!(counted, (1..length).collect::<Vec<_>>());
        }
    }

    /// A lab with an imported model and documents, and the arguments of an evaluation.
    fn lab() -> (StepLab, Value) {
        let lab = StepLab::new();
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
        let model = lab.run(&MODEL_IMPORT, &json!({ "source": tiny })).unwrap().artifacts["model"].clone();
        let line = |n: usize| json!({ "id": format!("d:{n}"), "text": "The teacher sees 12 cats. ".repeat(1 + n % 7) });
        let lines: Vec<String> = (0..30).map(|n| line(n).to_string()).collect();
        let documents = lab.artifacts.put_bytes((lines.join("\n") + "\n").as_bytes(), "application/x-ndjson").unwrap();
        (lab, json!({ "model": model, "documents": documents, "context": 24 }))
    }

    #[test]
    fn the_sum_is_that_of_the_scores_of_a_batch() {
        let (lab, mut with) = lab();
        let text = "The teacher sees 12 cats.";
        let one = json!({ "id": "a", "text": text }).to_string() + "\n";
        with["documents"] = json!(lab.artifacts.put_bytes(one.as_bytes(), "application/x-ndjson").unwrap());
        let values = lab.run(&MODEL_EVAL, &with).unwrap().values;
        let body = json!({ "model": "m", "prompt": text, "max_tokens": 0, "echo": true, "logprobs": 0 });
        let row = json!({ "custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body }).to_string();
        let requests = lab.directory.path().join("requests.jsonl");
        std::fs::write(&requests, row).unwrap();
        let outputs = lab.run(&INFER, &json!({ "model": with["model"], "requests": requests })).unwrap();
        let line: Value = serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["output"]).unwrap()).unwrap();
        let scores = line["response"]["body"]["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap().clone();
        let nats: f64 = scores.iter().filter_map(Value::as_f64).map(|score| -score).sum();
        let perplexity = (nats / (scores.len() - 1) as f64).exp();
        assert!((values["perplexity"].as_f64().unwrap() / perplexity - 1.0).abs() < 1e-6, "{values:?} {perplexity}");
    }

    #[test]
    fn an_evaluation_that_resumes_gives_the_same_bits() {
        let (lab, with) = lab();
        let whole = lab.run(&MODEL_EVAL, &with).unwrap();
        assert_eq!((&whole.values["documents"], whole.values["tokens"].as_u64() > Some(30)), (&json!(30), true));
        // The state after some documents, as a checkpoint has it.
        let mut part = with.clone();
        let text = lab.artifacts.read(&serde_json::from_value(with["documents"].clone()).unwrap()).unwrap();
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').take(11).collect();
        part["documents"] = json!(lab.artifacts.put_bytes(&lines.concat(), "application/x-ndjson").unwrap());
        let values = lab.run(&MODEL_EVAL, &part).unwrap().values;
        let number = |name: &str| values[name].as_f64().unwrap();
        let nats = number("bits_per_byte") * std::f64::consts::LN_2 * number("bytes");
        let sum =
            Sum { documents: 11, tokens: number("tokens") as u64, bytes: number("bytes") as u64, nats: nats.to_bits() };
        let mut recorder = Recorder::default();
        recorder.checkpoints.push(checkpoint(&sum).unwrap());
        let resumed = lab.attempt_of(&MODEL_EVAL, &with, &mut recorder).unwrap();
        let close = |name: &str| {
            let pair = [&whole, &resumed].map(|outputs| outputs.values[name].as_f64().unwrap());
            assert!((pair[0] / pair[1] - 1.0).abs() < 1e-12, "{name}: {pair:?}");
        };
        ["bits_per_byte", "perplexity", "documents", "tokens", "bytes"].into_iter().for_each(close);
        assert_eq!(serde_json::from_value::<Sum>(serde_json::to_value(sum).unwrap()).unwrap(), sum);
    }
}
