//! Things that a step can wait for, and the decisions that end a wait.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use stepwell_base::ids::RunId;

/// Something outside the engine that a step waits for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// A person's answer: `stepwell approve RUN STEP`.
    Approval {
        prompt: String,
        /// Facts for the decision, shown with the prompt.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        inputs: Value,
    },
    /// Sent by `stepwell signal RUN NAME`.
    Signal { name: String },
    /// The end of a child run.
    Run { run: RunId },
}

impl Wait {
    /// Describes what the step waits for, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Wait::Approval { .. } => "a person".to_owned(),
            Wait::Signal { name } => format!("the signal `{name}`"),
            Wait::Run { run } => format!("the child run {run}"),
        }
    }
}

/// A decision of a gate or a person, with the facts needed to review it later.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ruling {
    /// The expression of a gate, or the question that a person was asked.
    pub rule: String,
    pub inputs: Value,
    pub verdict: Verdict,
    /// The person who decided; `None` for a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approved,
    Rejected,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Approved => "approved",
            Verdict::Rejected => "rejected",
        }
    }
}
