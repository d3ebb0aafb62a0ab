//! Arguments of `eval`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::evaluation::samples::SampleArguments;
use crate::evaluation::tasks::{Planned, TaskArgument, check_name, plan};
use crate::sampling::Sampling;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Names in results that no source and no task may have.
pub const VALIDATION: &str = "validation";
pub const MINIMAL_PAIRS: &str = "minimal_pairs";
pub const GENERATION: &str = "generation";
/// Most sources of a step.
const MOST_SOURCES: usize = 100;

/// Arguments of the `eval` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Output `model` of a `train` step.
    pub model: ArtifactRef,
    /// Tokenizer that the model was trained with.
    pub tokenizer: ArtifactRef,
    /// Token file of the held-out split.
    pub validation: ArtifactRef,
    /// Further token files by name, each measured for itself.
    #[serde(default)]
    pub sources: BTreeMap<String, ArtifactRef>,
    /// Token files of the training split, for the baselines and for the share of samples that is new. Without any, there is neither.
    #[serde(default)]
    pub train_tokens: Vec<ArtifactRef>,
    /// Number of tokens, from the start, that the baselines learn from. Their counts are held in memory.
    #[serde(default = "default_trigram_tokens")]
    pub trigram_tokens: u64,
    /// NDJSON of `{"phenomenon", "good", "bad"}`. An empty file counts as none.
    #[serde(default)]
    pub minimal_pairs: Option<ArtifactRef>,
    /// Questions: files of choices or of minimal pairs, and generated ones.
    #[serde(default)]
    pub tasks: Vec<TaskArgument>,
    /// `auto`, `flex` (CPU), `wgpu`, `vulkan`, `metal` or `cuda`.
    #[serde(default = "default_device")]
    pub device: String,
    #[serde(default)]
    pub samples: SampleArguments,
}

fn default_trigram_tokens() -> u64 {
    2_000_000
}

fn default_device() -> String {
    "auto".to_owned()
}

impl Arguments {
    /// # Errors
    /// Names the argument that is wrong.
    pub fn check(&self) -> Result<Vec<Planned>, Failure> {
        self.samples.check()?;
        sampling(&self.samples).validate()?;
        if self.sources.len() > MOST_SOURCES {
            let message = format!("{} sources are too many: a step has at most {MOST_SOURCES}", self.sources.len());
            return Err(Failure::fatal(message));
        }
        let own = [VALIDATION, MINIMAL_PAIRS, GENERATION];
        for name in self.sources.keys() {
            check_name(name)?;
            if own.contains(&name.as_str()) {
                return Err(
                    Failure::fatal(format!("the name `{name}` is taken")).with_hint("name the source otherwise")
                );
            }
        }
        let taken: Vec<&str> = self.sources.keys().map(String::as_str).chain(own).collect();
        plan(&self.tasks, &taken)
    }
}

impl Arguments {
    /// All token files by their name in results, in order.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &ArtifactRef)> {
        let named = self.sources.iter().map(|(name, file)| (name.as_str(), file));
        std::iter::once((VALIDATION, &self.validation)).chain(named)
    }
}

pub fn sampling(arguments: &SampleArguments) -> Sampling {
    let SampleArguments { max_new_tokens, temperature, top_k, top_p, seed, .. } = *arguments;
    Sampling { max_new_tokens, temperature, top_k, top_p, seed }
}
