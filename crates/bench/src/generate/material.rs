//! The model and the prompts that both sides continue.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::hf_config::{SavedModel, SpecialTokens, saved_model_json};
use stepwell_train::model::weight_specs;
use stepwell_train::model::weights;

const SEED: u64 = 1;
const MODEL: &str = "model";
const PROMPTS: &str = "prompts.json";
const SPECIAL: SpecialTokens = SpecialTokens { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };

/// Content of `prompts.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Prompts {
    /// Token ids; all prompts are equally long.
    pub prompts: Vec<Vec<u32>>,
    /// Number of tokens to add to each prompt.
    pub new_tokens: usize,
}

impl Prompts {
    /// Draws `count` prompts of `length` tokens without special tokens.
    pub fn draw(count: usize, length: usize, new_tokens: usize, vocab: usize) -> Prompts {
        let mut rng = Rng::new(derive_seed(SEED, "bench/prompts", 0));
        let mut token = || 3 + rng.below(vocab as u64 - 3) as u32;
        Prompts { prompts: (0..count).map(|_| (0..length).map(|_| token()).collect()).collect(), new_tokens }
    }
}

/// Writes an untrained model and prompts into `folder`.
pub(super) fn write(folder: &Path, shape: &ModelConfig, prompts: &Prompts) -> Result<(), BenchError> {
    let model = folder.join(MODEL);
    fs::create_dir_all(&model).map_err(BenchError::system("make a temporary folder"))?;
    let tensors: Vec<_> = weight_specs(shape).iter().map(|spec| spec.generate(SEED)).collect();
    let prompts = serde_json::to_vec(prompts).map_err(|error| BenchError::system("write JSON")(error.into()))?;
    for (path, bytes) in [
        (model.join("config.json"), saved_model_json(shape, SPECIAL)),
        (model.join("model.safetensors"), weights::save(tensors)),
        (folder.join(PROMPTS), prompts),
    ] {
        fs::write(path, bytes).map_err(BenchError::system("write the temporary folder"))?;
    }
    Ok(())
}

/// Reads what [`write`] has written: the shape, the bytes of the weights, the prompts.
pub(super) fn read(folder: &Path) -> Result<(ModelConfig, Vec<u8>, Prompts), BenchError> {
    let file = |path| fs::read(folder.join(path)).map_err(BenchError::system("read the temporary folder"));
    let json = |error: serde_json::Error| BenchError::system("read JSON")(error.into());
    let saved: SavedModel = serde_json::from_slice(&file("model/config.json")?).map_err(json)?;
    let prompts = serde_json::from_slice(&file(PROMPTS)?).map_err(json)?;
    Ok((saved.stepwell, file("model/model.safetensors")?, prompts))
}
