//! Reasons that end a run. Scripts read the code, people the message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reason for the end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// `constitution.toml` is not what it must be.
    InvalidConstitution,
    /// A line of a file of records, items or gold answers is not what it must be.
    InvalidRecord,
    /// The model that was named as a base model has a chat template.
    ChatTunedModel,
    /// A request for the base model goes through a chat template.
    ChatRequest,
    /// The tokenizer adds special tokens that the policy for BOS does not name.
    SpecialTokensAdded,
    /// A text spells a special token.
    LiteralSpecialToken,
    /// A prompt has a special token where the policy allows none.
    SpecialTokenInPrompt,
    /// The policy asks for a BOS token, and the model or the prompt has none.
    BosMissing,
    /// A label of a critic is not exactly one token.
    LabelNotOneToken,
    /// A request has no answer.
    Unanswered,
    /// A sentinel is not where the baseline has it.
    SentinelDrift,
    /// A training row equals an evaluation item.
    OverlapExact,
    /// They are equal without case, punctuation and space.
    OverlapNormalised,
    /// They share a sequence of 13 words.
    OverlapNgram,
    /// The data did not pass quality control.
    QualityRefused,
    /// The scorer did not pass its calibration set.
    ScorerNotCalibrated,
    /// Evaluations are of other items, another scorer or the wrong arms.
    ArmsDiffer,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidConstitution => "invalid_constitution",
            Code::InvalidRecord => "invalid_record",
            Code::ChatTunedModel => "chat_tuned_model",
            Code::ChatRequest => "chat_request",
            Code::SpecialTokensAdded => "special_tokens_added",
            Code::LiteralSpecialToken => "literal_special_token",
            Code::SpecialTokenInPrompt => "special_token_in_prompt",
            Code::BosMissing => "bos_missing",
            Code::LabelNotOneToken => "label_not_one_token",
            Code::Unanswered => "unanswered",
            Code::SentinelDrift => "sentinel_drift",
            Code::OverlapExact => "overlap_exact",
            Code::OverlapNormalised => "overlap_normalised",
            Code::OverlapNgram => "overlap_ngram",
            Code::QualityRefused => "quality_refused",
            Code::ScorerNotCalibrated => "scorer_not_calibrated",
            Code::ArmsDiffer => "arms_differ",
        }
    }
}

/// A reason to end the run, with what a person can do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    pub code: Code,
    pub message: String,
    pub hint: String,
}

impl Stop {
    /// The refusal of a request that is not made of token ids.
    pub fn not_ids() -> Stop {
        Stop::new(
            Code::ChatRequest,
            "a request for a base model is a conversation or a text, not token ids",
            "a base model has no chat interface: its prompts are encoded by the steps of the constitution",
        )
    }

    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Stop {
        Stop { code, message: message.into(), hint: hint.into() }
    }
}

/// Most characters of a text that a message quotes.
const QUOTED: usize = 80;

/// A text as messages show it.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
