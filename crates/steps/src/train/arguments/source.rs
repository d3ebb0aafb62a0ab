//! Arguments of the sources of a mixture.

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::number_or_nan;
use stepwell_base::artifact::ArtifactRef;

/// One source of a mixture.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceArguments {
    /// Name for messages and results. Default: its number.
    #[serde(default)]
    pub name: Option<String>,
    /// Token files, read as one stream in this order.
    pub tokens: Vec<ArtifactRef>,
    /// Share of the samples, relative to the weights of the other sources.
    #[serde(deserialize_with = "number_or_nan")]
    pub weight: f64,
    /// Refuse a training that would see this source more often in one phase.
    #[serde(default)]
    pub max_epochs: Option<f64>,
}
