//! `generate`: samples text from a trained model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handler::{Highlight, StepContext, StepError, StepHandler, arguments};
use super::sampling::{Sample, Sampling};
use super::text_codec::TextCodec;
use super::trained_model::TrainedModel;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::protocol::Progress;
use stepwell_train::inference::decoder::Decoder;
use stepwell_workflow::catalog::{Given, Gives};

#[cfg(test)]
mod tests;

pub struct Generate;
pub static GENERATE: Generate = Generate;

/// Maximum characters of a sample in the step's values; the artifact holds the full samples.
const SHORT: usize = 400;

/// Arguments of the `generate` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `model` of a `train` step.
    model: ArtifactRef,
    /// Tokenizer that the model was trained with.
    tokenizer: ArtifactRef,
    /// Texts to continue; an empty text starts a new document.
    #[serde(default = "one_empty_prompt")]
    prompts: Vec<String>,
    /// Number of samples per prompt.
    #[serde(default = "default_count")]
    count: u64,
    /// Maximum length of a continuation, in tokens.
    #[serde(default = "default_max_new_tokens")]
    max_new_tokens: usize,
    /// Sampling temperature; 0 always takes the likeliest token.
    #[serde(default = "default_temperature")]
    temperature: f32,
    /// Draw only from this many likeliest tokens.
    #[serde(default)]
    top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together hold this share of the probability.
    #[serde(default)]
    top_p: Option<f32>,
    /// Equal seeds give equal samples.
    #[serde(default = "default_seed")]
    seed: u64,
}

impl Arguments {
    fn sampling(&self) -> Sampling {
        let Arguments { max_new_tokens, temperature, top_k, top_p, seed, .. } = *self;
        Sampling { max_new_tokens, temperature, top_k, top_p, seed }
    }
}

fn one_empty_prompt() -> Vec<String> {
    vec![String::new()]
}

fn default_count() -> u64 {
    1
}

fn default_max_new_tokens() -> usize {
    64
}

fn default_temperature() -> f32 {
    0.8
}

fn default_seed() -> u64 {
    42
}

impl StepHandler for Generate {
    fn kind(&self) -> &'static str {
        "generate"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "sample text from a trained model"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("samples", "JSON of all samples")]),
            values: Given::Named(&[("samples", "texts of the samples, each up to 400 characters")]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Texts("samples")
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.sampling().validate()
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let sampling = arguments.sampling();
        sampling.validate()?;
        let codec = TextCodec::load(&context.artifacts.read(&arguments.tokenizer)?)?;
        let model = TrainedModel::read(context.artifacts, &arguments.model)?;
        model.check_tokenizer(&codec)?;
        let decoder = Decoder::new(&model.load("auto")?);

        let Arguments { prompts, count, .. } = &arguments;
        let total = (prompts.len() as u64).saturating_mul(*count);
        let mut samples: Vec<Sample> = Vec::new();
        while (samples.len() as u64) < total {
            context.check_interrupt()?;
            let first = samples.len() as u64;
            let numbers = (first..total).take(decoder.batch_size());
            let next: Vec<&str> = numbers.map(|number| prompts[(number / count) as usize].as_str()).collect();
            samples.extend(sampling.draw_each(&decoder, &codec, &next, first)?);
            let done = samples.len() as u64;
            context.reporter.progress(Progress { done, total, unit: "samples".to_owned(), message: String::new() });
        }
        Ok(outputs(context, &sampling, &samples)?)
    }
}

fn outputs(context: &StepContext<'_>, sampling: &Sampling, samples: &[Sample]) -> Result<Outputs, Failure> {
    #[derive(Serialize)]
    struct File<'a> {
        sampling: &'a Sampling,
        samples: &'a [Sample],
    }
    let file = context.publish_json("the samples", &File { sampling, samples })?;
    let short: Vec<String> = samples.iter().map(|sample| sample.short(SHORT)).collect();
    Ok(Outputs::of([("samples", file)], json!({ "samples": short })))
}
