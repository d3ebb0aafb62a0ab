//! Arguments of `model.eval`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::evaluation::samples::SampleArguments;
use crate::evaluation::tasks::{Planned, TaskArgument, check_name, plan};
use crate::infer::Dtype;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Name of `documents` in results.
pub const DOCUMENTS: &str = "documents";
/// Most sources of a step.
const MOST_SOURCES: usize = 100;

/// Name of the measures of samples in results.
pub const GENERATION: &str = "generation";

fn default_baseline_tokens() -> u64 {
    2_000_000
}

/// Arguments of the `model.eval` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Output `model` of `model.import` or `train`, or `folder` of `export`.
    pub model: ArtifactRef,
    /// Tokenizer of a model that has none in its files, such as the output of `train`.
    #[serde(default)]
    pub tokenizer: Option<ArtifactRef>,
    /// Documents, such as the output `validation` of `corpus.clean`.
    #[serde(default)]
    pub documents: Option<ArtifactRef>,
    /// Further documents by name, each measured for itself.
    #[serde(default)]
    pub sources: BTreeMap<String, ArtifactRef>,
    /// Questions: files of choices or of minimal pairs, and generated ones.
    #[serde(default)]
    pub tasks: Vec<TaskArgument>,
    /// Texts that the model writes, for measures of variety.
    #[serde(default)]
    pub samples: Option<SampleArguments>,
    /// Documents that the model was trained on: for the baselines, and for the share of samples that is new.
    #[serde(default)]
    pub training: Vec<ArtifactRef>,
    /// Number of tokens, from the start, that the baselines learn from. Their counts are held in memory.
    #[serde(default = "default_baseline_tokens")]
    pub baseline_tokens: u64,
    /// Tokens that the model sees at once. Default: its context.
    #[serde(default)]
    pub context: Option<NonZeroUsize>,
    /// Type in which the weights are kept and multiplied.
    #[serde(default)]
    pub dtype: Dtype,
}

impl Arguments {
    /// # Errors
    /// Names the argument that is wrong.
    pub fn check(&self) -> Result<Vec<Planned>, Failure> {
        if self.sources.len() > MOST_SOURCES {
            let message = format!("{} sources are too many: a step has at most {MOST_SOURCES}", self.sources.len());
            return Err(Failure::fatal(message));
        }
        for name in self.sources.keys() {
            check_name(name)?;
            if [DOCUMENTS, GENERATION].contains(&name.as_str()) {
                return Err(
                    Failure::fatal(format!("the name `{name}` is taken")).with_hint("name the source otherwise")
                );
            }
        }
        if self.documents.is_none() && self.sources.is_empty() && self.tasks.is_empty() && self.samples.is_none() {
            return Err(Failure::fatal("there is nothing to be measured")
                .with_hint("give the step `documents`, `sources`, `tasks` or `samples`"));
        }
        if let Some(samples) = &self.samples {
            samples.check()?;
        }
        let taken: Vec<&str> = self.sources.keys().map(String::as_str).chain([DOCUMENTS, GENERATION]).collect();
        plan(&self.tasks, &taken)
    }

    /// All documents by their name in results, in order.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &ArtifactRef)> + Clone {
        let named = self.sources.iter().map(|(name, documents)| (name.as_str(), documents));
        self.documents.iter().map(|documents| (DOCUMENTS, documents)).chain(named)
    }
}
