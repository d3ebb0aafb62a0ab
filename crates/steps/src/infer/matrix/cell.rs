//! A cell of the matrix, and what was measured in it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::infer::arguments::Dtype;

/// Settings of a cell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Setting {
    /// Path of a Hugging Face folder or of a GGUF file.
    pub model: String,
    pub dtype: Dtype,
    /// Number of requests.
    pub batch: NonZeroU64,
    /// Number of requests that are computed at once.
    pub concurrency: NonZeroU64,
}

/// Results of a cell.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Measured {
    /// Requests that were answered.
    pub completed: u64,
    /// Requests without an answer, and their number by category.
    pub failed: u64,
    pub failures: BTreeMap<String, u64>,
    /// The first reason, for people.
    pub error: Option<String>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub load_seconds: f64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Generated tokens per second.
    pub tokens_per_second: f64,
    pub requests_per_second: f64,
    /// From the start of a request to its first text.
    pub first_token_seconds: Quantiles,
    /// From the start of a request to its whole answer.
    pub latency_seconds: Quantiles,
    /// Largest memory of the process, with the weights.
    pub peak_memory_bytes: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl Quantiles {
    /// Of values in any order: the smallest value that so many of them do not exceed. Zero without values.
    pub(super) fn of(mut values: Vec<f64>) -> Quantiles {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1)).or(values.last()).copied().unwrap_or(0.0)
        };
        Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

impl Setting {
    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.model.trim_end_matches('/').rsplit('/').next().unwrap_or(&self.model)
    }
}
