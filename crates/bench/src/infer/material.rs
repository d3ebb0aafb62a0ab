//! The model and the prompts that all sides continue.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_models::{GgufType, Model};

const FILE: &str = "infer.json";
const SEED: u64 = 1;

/// Content of `infer.json`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Material {
    /// A model folder or GGUF file.
    pub model: PathBuf,
    /// The model as llama.cpp reads it, if it takes part.
    pub gguf: Option<PathBuf>,
    /// Token ids; all prompts are equally long.
    pub prompts: Vec<Vec<u32>>,
    pub long_prompt: Vec<u32>,
    /// Number of tokens that follow each prompt and the token after it.
    pub new_tokens: usize,
}

impl Material {
    /// Draws `rows` prompts of `prompt` tokens and one of `long_prompt` tokens.
    #[must_use]
    pub fn with_prompts(self, rows: usize, [prompt, long_prompt]: [usize; 2], vocab: usize) -> Material {
        let prompts = (0..rows as u64).map(|index| draw(index, prompt, vocab)).collect();
        Material { prompts, long_prompt: draw(rows as u64, long_prompt, vocab), ..self }
    }

    pub fn write(&self, folder: &Path) -> Result<(), BenchError> {
        let json = serde_json::to_vec(self).map_err(|error| BenchError::system("write JSON")(error.into()))?;
        fs::write(folder.join(FILE), json).map_err(BenchError::system("write the temporary folder"))
    }

    pub fn read(folder: &Path) -> Result<Material, BenchError> {
        let bytes = fs::read(folder.join(FILE)).map_err(BenchError::system("read the temporary folder"))?;
        serde_json::from_slice(&bytes).map_err(|error| BenchError::system("read JSON")(error.into()))
    }
}

/// Draws tokens, without the first ones of the vocabulary, which are special in most.
fn draw(index: u64, count: usize, vocab: usize) -> Vec<u32> {
    let first = (vocab / 10).min(100) as u64;
    let mut rng = Rng::new(derive_seed(SEED, "bench/infer", index));
    (0..count).map(|_| (first + rng.below(vocab as u64 - first)) as u32).collect()
}

/// Writes a model in q8_0 for llama.cpp.
pub(super) fn write_gguf(model: &Model, folder: &Path) -> Result<PathBuf, BenchError> {
    let path = folder.join("model.gguf");
    let create = BenchError::system("write the model as a GGUF file");
    let mut file = BufWriter::new(File::create(&path).map_err(create)?);
    model.write_gguf(GgufType::Q8_0, &mut file)?;
    file.flush().map_err(BenchError::system("write the model as a GGUF file"))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_equally_long_differ_and_avoid_special_tokens() {
        let material = Material::default().with_prompts(4, [8, 20], 500);
        assert!(material.prompts.iter().all(|prompt| prompt.len() == 8) && material.long_prompt.len() == 20);
        assert!(material.prompts.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(material.prompts.iter().flatten().all(|token| (50..500).contains(token)));
        assert_eq!(Material::default().with_prompts(4, [8, 20], 500), material, "the same for every side");
    }
}
