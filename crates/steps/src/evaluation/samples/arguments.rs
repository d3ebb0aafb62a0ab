//! Arguments for texts that a model writes.

use schemars::JsonSchema;
use serde::Deserialize;

use stepwell_base::failure::Failure;

/// Most samples, and most tokens of one.
const MOST_SAMPLES: u64 = 10_000;
const MOST_TOKENS: usize = 1 << 16;

/// Samples for the measures of variety. Three of them are shown.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SampleArguments {
    /// Number of samples.
    pub count: u64,
    /// Maximum length of a sample, in tokens.
    pub max_new_tokens: usize,
    /// Sampling temperature; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Draw only from this many likeliest tokens.
    pub top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together hold this share of the probability.
    pub top_p: Option<f32>,
    /// Text that every sample continues; empty for a new document.
    pub prompt: String,
    pub seed: u64,
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

impl SampleArguments {
    /// # Errors
    /// Names the number that is out of its bounds.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |what: &str, most: u64| Err(Failure::fatal(format!("`samples.{what}` is at most {most}")));
        if self.count > MOST_SAMPLES {
            return wrong("count", MOST_SAMPLES);
        }
        if self.max_new_tokens > MOST_TOKENS {
            return wrong("max_new_tokens", MOST_TOKENS as u64);
        }
        Ok(())
    }
}
