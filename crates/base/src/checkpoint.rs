//! Points inside a step from which a later attempt resumes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::artifact::ArtifactRef;

/// A committed point from which a later attempt of the same step resumes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
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
    /// The commit drops all but the newest `keep` checkpoints that are not permanent, and the best.
    #[serde(default)]
    pub keep: Option<u32>,
    /// Loss on held-out text, if it was measured at this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Set if that loss is the lowest so far. The newest checkpoint with this mark is never dropped.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub best: bool,
}

fn is_unset(mark: &bool) -> bool {
    !mark
}
