//! Tables of the constitution: what is sampled, judged and decided, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stop::{Code, Stop};

/// Most tokens of a text that is generated.
const MOST_TOKENS: u32 = 4_096;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principle {
    pub name: String,
    pub text: String,
}

/// A prompt whose continuation says something about the model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentinelRow {
    pub name: String,
    pub prompt: String,
    /// The sentinel passes if its continuation has one of these, without regard to case.
    pub contains: Vec<String>,
    /// Group of the sentinel: rates of groups are compared with those of the baseline.
    pub group: String,
}

/// How a text is sampled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    pub max_tokens: u32,
    pub temperature: f64,
    pub top_p: f64,
    pub repetition_penalty: f64,
}

impl Sampling {
    pub(super) fn of_instructions() -> Sampling {
        Sampling { max_tokens: 48, temperature: 0.8, top_p: 0.95, repetition_penalty: 1.0 }
    }

    pub(super) fn of_responses() -> Sampling {
        Sampling { max_tokens: 80, temperature: 0.4, top_p: 0.9, repetition_penalty: 1.1 }
    }

    /// Always the likeliest token.
    #[must_use]
    pub fn greedy(&self) -> Sampling {
        Sampling { temperature: 0.0, top_p: 1.0, ..self.clone() }
    }

    pub(super) fn check(&self, name: &str) -> Result<(), Stop> {
        let wrong = |field: &str, rule: &str| {
            Err(invalid(&format!("`{name}.{field}` must be {rule}"), "leave the table out to have the defaults"))
        };
        if !(1..=MOST_TOKENS).contains(&self.max_tokens) {
            return wrong("max_tokens", "1 to 4,096");
        }
        if !(0.0..=2.0).contains(&self.temperature) {
            return wrong("temperature", "0 to 2");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("top_p", "more than 0 and at most 1");
        }
        if !(0.5..=2.0).contains(&self.repetition_penalty) {
            return wrong("repetition_penalty", "0.5 to 2");
        }
        Ok(())
    }
}

/// When a critic counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CriticRules {
    /// Least difference of the log-probabilities of the labels, in nats.
    pub min_margin: f64,
    /// Prior of the labels, in nats: logp(A) - logp(B) at which the critic counts as undecided. A small model prefers one label
    /// whatever it reads.
    pub bias: f64,
}

impl Default for CriticRules {
    fn default() -> Self {
        CriticRules { min_margin: 1.0, bias: 0.0 }
    }
}

/// Thresholds of quality control.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QualityRules {
    /// Rows at least; fewer say nothing.
    pub min_rows: u64,
    /// Share of answers that repeat themselves, less than.
    pub runaway: f64,
    /// Share of answers that were cut off, less than.
    pub token_limit: f64,
    /// Answers with a delimiter or the spelling of a special token, at most.
    pub leaks: u64,
    /// Median tokens of an answer, less than.
    pub median_tokens: f64,
    /// Share of instructions that their critic accepts, at least.
    pub instruction_acceptance: f64,
    /// Share of answers that their critic accepts, at least.
    pub pair_acceptance: f64,
}

impl Default for QualityRules {
    fn default() -> Self {
        QualityRules {
            min_rows: 20,
            runaway: 0.05,
            token_limit: 0.10,
            leaks: 0,
            median_tokens: 40.0,
            instruction_acceptance: 0.5,
            pair_acceptance: 0.5,
        }
    }
}

/// When the gate says proceed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GateRules {
    /// Largest p of McNemar's test of the training.
    pub p: f64,
    /// Expected share of false alarms among types that are called worse or better.
    pub false_discovery_rate: f64,
}

impl Default for GateRules {
    fn default() -> Self {
        GateRules { p: 0.01, false_discovery_rate: 0.10 }
    }
}

pub(super) fn invalid(why: &str, hint: &str) -> Stop {
    Stop::new(Code::InvalidConstitution, format!("the constitution cannot be used: {why}"), hint)
}
