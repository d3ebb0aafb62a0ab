//! Log-probabilities of a reference, as a file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Most bytes of the file that are read.
const MOST_BYTES: u64 = 1 << 30;

/// Output of `preferences.reference`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownLogps {
    pub schema: u32,
    /// Digests of the token files.
    pub tokens: Vec<String>,
    /// Tokens of a row, beyond which answers are cut.
    pub context: usize,
    /// Digest of the model, and of its adapter.
    pub model: String,
    pub adapter: Option<String>,
    /// Sum over the tokens of each answer, in the order of the file; 0 for those that are left out.
    pub logps: Vec<f64>,
}

impl KnownLogps {
    /// Reads the log-probabilities of all answers of these token files.
    ///
    /// # Errors
    /// When they are those of other files or of another context.
    pub fn read(
        artifacts: &ArtifactStore,
        reference: &ArtifactRef,
        tokens: &[ArtifactRef],
        context: usize,
        answers: u64,
    ) -> Result<Arc<[f64]>, Failure> {
        let unusable = |why: String| {
            Failure::fatal(format!("`preference.reference` cannot be used: {why}"))
                .with_hint("give `preferences.reference` the `tokens` and the `context` of this training")
        };
        if reference.size > MOST_BYTES {
            return Err(unusable(format!("it has {} bytes, at most {MOST_BYTES} are read", reference.size)));
        }
        let known: KnownLogps =
            serde_json::from_slice(&artifacts.read(reference)?).map_err(|error| unusable(error.to_string()))?;
        let digests: Vec<String> = tokens.iter().map(|file| file.digest.to_string()).collect();
        if known.schema != 1 {
            return Err(unusable(format!("it has schema {}, this build reads 1", known.schema)));
        }
        if known.tokens != digests {
            return Err(unusable("it was made from other token files".to_owned()));
        }
        if known.context != context {
            return Err(unusable(format!("it has a context of {} tokens, the training {context}", known.context)));
        }
        if known.logps.len() as u64 != answers {
            return Err(unusable(format!("it has {} answers, the token files {answers}", known.logps.len())));
        }
        Ok(known.logps.into())
    }
}
