//! A model: its shape, weights, tokenizer and chat template.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::chat::ChatTemplate;
use crate::error::{ModelError, Problem};
use crate::shape::{Place, Shape};
use crate::source::ModelFiles;
use crate::special::{GenerationDefaults, SpecialTokens};
use crate::tensor::{Tensor, Weights};
use crate::tokenizer::Tokenizer;
use crate::{gguf, hf};

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
        match files.gguf() {
            Some(name) => gguf::read(files, name),
            None => hf::read(files),
        }
    }

    /// The files that belong to a model; a folder may have others beside them.
    ///
    /// # Errors
    /// When there is neither a GGUF file nor a `config.json`, or the index of the weights is damaged.
    pub fn own_files(files: &ModelFiles) -> Result<ModelFiles, ModelError> {
        let names = match files.gguf() {
            Some(name) => BTreeSet::from([name.to_owned()]),
            None => hf::file_names(files)?,
        };
        Ok(files.only(&names))
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
