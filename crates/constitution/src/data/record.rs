//! Records that travel through the pipeline. The schemas of these types are in `specs/schemas/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepwell_base::artifact::Digest;

use super::trim::Flags;
use crate::file::Sampling;
use crate::guard::GuardResult;
use crate::judge::Critique;
use crate::stop::{Code, Stop};

/// Longest line of a file of records.
const LONGEST_LINE: usize = 1 << 20;
/// Most lines of such a file.
const MOST_LINES: usize = 1_000_000;

/// An instruction, and what the steps made of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema: u32,
    /// Unique in its file.
    pub id: String,
    pub instruction: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_critique: Option<Critique>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair_critique: Option<Critique>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Prompt and completion of the row that is learned, once it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    pub metadata: Metadata,
}

impl Record {
    /// The answer as it is now: the revision if that is clean, else the first answer.
    pub fn answer(&self) -> Option<&str> {
        let revised = self.revision.as_ref().filter(|revision| revision.flags.is_clean());
        revised.map(|revision| &*revision.response).or(self.response.as_deref())
    }
}

/// A rewritten answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Name of the principle.
    pub principle: String,
    pub response: String,
    pub flags: Flags,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Result of each step, in order.
    pub steps: Vec<Provenance>,
}

/// One request to a model, so that it can be repeated to the bit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Kind of the step.
    pub step: String,
    /// BLAKE3 of the bytes of the prompt.
    #[schemars(with = "String")]
    pub prompt: Digest,
    pub prompt_tokens: u64,
    /// Digest of the files of the model.
    pub model: String,
    /// Version of the engine and type of the weights.
    pub engine: String,
    /// Digest of the constitution.
    #[schemars(with = "String")]
    pub constitution: Digest,
    pub seed: u64,
    pub sampling: Sampling,
    pub completion_tokens: u64,
    /// `stop` or `length`.
    pub finish_reason: String,
    pub guard: GuardResult,
}

/// A row for `sft.tokenize`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SftRow {
    pub prompt: String,
    pub completion: String,
}

/// Reads lines of JSON, such as records. Empty lines are passed over.
///
/// # Errors
/// `InvalidRecord` with the number of the line.
pub fn read_lines<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<Vec<T>, Stop> {
    let refuse = |number: usize, why: &str| {
        let message = format!("line {number} of {what} cannot be used: {why}");
        Stop::new(Code::InvalidRecord, message, "`specs/constitutional.md` describes its fields")
    };
    let mut found = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.len() > LONGEST_LINE || found.len() >= MOST_LINES {
            return Err(refuse(index + 1, "lines have at most 1 MiB, files at most 1,000,000 lines"));
        }
        if !line.trim_ascii().is_empty() {
            found.push(serde_json::from_slice(line).map_err(|error| refuse(index + 1, &error.to_string()))?);
        }
    }
    Ok(found)
}

/// Writes lines of JSON.
///
/// # Panics
/// Never: keys of records are texts and their numbers are finite.
pub fn write_lines<T: Serialize>(rows: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        // Fails for maps whose keys are no texts only; records have none.
        bytes.extend(serde_json::to_vec(row).unwrap_or_default());
        bytes.push(b'\n');
    }
    bytes
}
