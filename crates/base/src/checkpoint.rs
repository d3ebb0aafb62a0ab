//! Points inside a step from which a later attempt resumes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::artifact::ArtifactRef;

/// A committed point from which a later attempt of the same step resumes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Manifest of the checkpoint's files; `None` when `state` is enough.
    pub artifact: Option<ArtifactRef>,
    /// Small state owned by the step kind.
    #[serde(default)]
    pub state: Value,
    #[serde(default)]
    pub last_step: Option<u64>,
    #[serde(default)]
    pub last_doc_index: Option<u64>,
    #[serde(default)]
    pub tokens_so_far: Option<u64>,
    #[serde(default)]
    pub loss: Option<f64>,
    #[serde(default)]
    pub phase: Option<String>,
    /// Never dropped, whatever `keep` says; set at the end of a phase.
    #[serde(default)]
    pub permanent: bool,
    /// The commit drops all but the newest `keep` checkpoints that are not permanent.
    #[serde(default)]
    pub keep: Option<u32>,
}
