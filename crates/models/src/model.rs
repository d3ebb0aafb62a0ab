//! A model: its shape, weights, tokenizer and chat template.

use std::collections::BTreeMap;
use std::path::Path;

use crate::chat::ChatTemplate;
use crate::error::{ModelError, Problem};
use crate::hf;
use crate::shape::{Place, Shape};
use crate::source::ModelFiles;
use crate::tensor::{Tensor, Weights};
use crate::tokenizer::Tokenizer;

/// A model from a folder of Hugging Face `transformers` or a GGUF file. Weights stay in their mapped files.
#[derive(Debug)]
pub struct Model {
    pub shape: Shape,
    pub special: SpecialTokens,
    pub defaults: GenerationDefaults,
    pub tokenizer: Tokenizer,
    pub chat: Option<ChatTemplate>,
    /// What was found in the files and not used, a sentence each.
    pub remarks: Vec<String>,
    pub(crate) weights: Weights,
}

/// Ids of the special tokens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpecialTokens {
    pub bos: Option<u32>,
    /// Tokens that end a text. The padding token is one of them only if the model says so.
    pub eos: Vec<u32>,
    pub pad: Option<u32>,
}

/// Sampling that the authors of a model propose in `generation_config.json`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GenerationDefaults {
    /// False asks for the likeliest token.
    pub sample: Option<bool>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<usize>,
    pub min_p: Option<f64>,
    pub repetition_penalty: Option<f64>,
    /// Tokens that never follow, such as rows of the embedding without a token.
    pub suppressed: Vec<u32>,
}

impl Model {
    /// Opens a folder with `config.json`, or a GGUF file. Nobody may change the files while the model is in use.
    ///
    /// # Errors
    /// What is missing, damaged, too large or not known, by name.
    pub fn open(path: &Path) -> Result<Model, ModelError> {
        Model::from_files(&ModelFiles::at(path)?)
    }

    /// Opens files that lie anywhere, such as those of an artifact.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_files(files: &ModelFiles) -> Result<Model, ModelError> {
        hf::read(files)
    }

    /// A tensor; the head of a tied model is its embedding.
    ///
    /// # Errors
    /// `MissingTensor` when the shape has none there, see [`Shape::size`].
    pub fn tensor(&self, place: Place) -> Result<Tensor<'_>, ModelError> {
        let place = if place == Place::Head && self.shape.tied { Place::Embedding } else { place };
        let tensor = self.shape.size(place).and_then(|_| self.weights.get(place));
        tensor.ok_or_else(|| Problem::MissingTensor(format!("{place:?}")).in_file("weights"))
    }

    /// Gives the memory of weights that were read back to the system, for callers that have copied them. Tensors can be
    /// read again.
    pub fn release_pages(&self) {
        self.weights.release_pages();
    }

    /// Bytes of all weights as they are stored.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Element types of the weights, each with its number of tensors.
    pub fn stored_types(&self) -> BTreeMap<&'static str, usize> {
        self.weights.stored_types()
    }
}
