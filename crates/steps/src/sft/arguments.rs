//! Arguments of `sft.tokenize`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::infer::Source;
use stepwell_base::artifact::ArtifactRef;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// JSON lines, a path or the output of a step. Each has `prompt` and `completion`, both texts or both lists of messages, or
    /// `messages`; the answers are `completion`, or the messages of the role `assistant`.
    pub rows: Source,
    /// Model with its tokenizer and chat template: the output `model` of `model.import`, or the path of a folder or GGUF file.
    pub model: Source,
    /// Tokenizer of a model that has none in its files, such as the output of `train`.
    #[serde(default)]
    pub tokenizer: Option<ArtifactRef>,
    /// What a row does that is no example, or whose answers cannot be told from the rest exactly: `fail`, or `skip` it and count it.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRow {
    #[default]
    Fail,
    Skip,
}

impl Arguments {
    /// The file of rows, if it is named by its path.
    pub fn rows_path(&self, project: &Path) -> Option<PathBuf> {
        self.rows.path(project)
    }
}
