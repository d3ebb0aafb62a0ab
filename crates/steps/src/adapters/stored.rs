//! Adapters in the artifact store: a tree of PEFT's two files.

use std::collections::BTreeMap;

use crate::handler::JSON;
use crate::train::SAFETENSORS;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::error_chain::error_chain;
use stepwell_base::failure::Failure;
use stepwell_train::model::lora::{LoraConfig, PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE, PeftConfig};
use stepwell_train::model::weights::{self, NamedTensor};

/// Most bytes of `adapter_config.json`.
pub const MOST_CONFIG: u64 = 1 << 20;

/// Adapters, read and checked.
pub struct StoredAdapter {
    pub lora: LoraConfig,
    pub tensors: BTreeMap<String, NamedTensor>,
}

impl StoredAdapter {
    /// Reads the output `adapter` of `train` or `adapter.import`.
    ///
    /// # Errors
    /// When the artifact holds no adapters that Stepwell knows, or is damaged.
    pub fn read(artifacts: &ArtifactStore, adapter: &ArtifactRef) -> Result<Self, Failure> {
        let tree = artifacts.read_tree(adapter)?;
        let file = |name: &str, most: u64| {
            let entry = tree.entries.get(name).ok_or_else(|| unusable(format!("it has no file `{name}`")))?;
            if entry.size > most {
                return Err(unusable(format!("`{name}` has {} bytes, at most {most} are read", entry.size)));
            }
            artifacts.read(entry).map_err(Failure::from)
        };
        StoredAdapter::from_files(&file(PEFT_CONFIG_FILE, MOST_CONFIG)?, &file(PEFT_WEIGHTS_FILE, u64::MAX)?)
    }

    /// Reads the bytes of PEFT's two files.
    ///
    /// # Errors
    /// When they are no adapters that Stepwell knows.
    pub fn from_files(config: &[u8], weights: &[u8]) -> Result<Self, Failure> {
        let tensors = weights::load(weights).map_err(|error| unusable(error_chain(&error)))?;
        let names = tensors.keys().map(String::as_str);
        let lora = PeftConfig::read(config, names).map_err(|error| unusable(error_chain(&error)))?;
        Ok(StoredAdapter { lora, tensors })
    }
}

/// Publishes adapters as a tree of PEFT's files. `weights` are the bytes of the second one.
///
/// # Errors
/// When the artifact store cannot be written.
pub fn publish(
    artifacts: &ArtifactStore,
    lora: &LoraConfig,
    weights: ArtifactRef,
    base: Option<String>,
) -> Result<ArtifactRef, Failure> {
    let config = artifacts.put_bytes(&PeftConfig::new(lora, base).to_file(), JSON)?;
    let files = BTreeMap::from([
        (PEFT_CONFIG_FILE.to_owned(), config),
        (PEFT_WEIGHTS_FILE.to_owned(), ArtifactRef { media_type: SAFETENSORS.to_owned(), ..weights }),
    ]);
    Ok(artifacts.put_tree(&files)?)
}

pub fn unusable(why: String) -> Failure {
    Failure::fatal(format!("the adapter cannot be used: {why}")).with_hint(
        "an adapter is the output `adapter` of `train` or `adapter.import`: LoRA of whole blocks, as PEFT saves it",
    )
}
