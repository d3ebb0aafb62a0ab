//! What became of one item: a line of `items.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of scores.
pub mod score {
    /// The likeliest choice is the right one.
    pub const ACC: &str = "acc";
    /// The same, with log-likelihoods per character of the choice, as lm-eval calls it.
    pub const ACC_NORM: &str = "acc_norm";
    /// The same per UTF-8 byte.
    pub const ACC_BYTES: &str = "acc_bytes";
    /// The answer is exact.
    pub const EXACT_MATCH: &str = "exact_match";
    /// Negative log-likelihood of a text, its predicted tokens, and its UTF-8 bytes.
    pub const NATS: &str = "nats";
    pub const TOKENS: &str = "tokens";
    pub const BYTES: &str = "bytes";
}

/// Result of one item. Two models are compared by these lines.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub task: String,
    /// Number of its line, or of the document, from 1.
    pub item: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Equal for equal questions.
    pub digest: String,
    pub scores: BTreeMap<String, f64>,
    /// Negative log-likelihoods of the choices, or of the good and the bad sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nats: Vec<f64>,
    /// What the model wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}
