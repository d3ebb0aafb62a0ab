//! Our contestant: the generation of the `generate` step.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::material::{self, Prompts};
use crate::contest::Host;
use crate::error::BenchError;
use stepwell_train::device;
use stepwell_train::inference::decoder::Decoder;
use stepwell_train::inference::{GenerateOptions, generate_each};
use stepwell_train::model::Transformer;
use stepwell_train::model::weights;

/// An id outside every vocabulary, so that generation continues to the last token.
const NEVER: u32 = u32::MAX;

/// Answer of a contestant after one turn.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Generated {
    pub seconds: f64,
    /// New tokens of each prompt.
    pub tokens: Vec<Vec<u32>>,
}

/// Generates from the material in a folder whenever standard input asks for it, until the input ends.
///
/// # Errors
/// When the material cannot be read.
pub fn work(folder: &Path) -> Result<(), BenchError> {
    let (shape, bytes, Prompts { prompts, new_tokens }) = material::read(folder)?;
    let model = Transformer::from_named(&shape, &weights::load(&bytes)?, &device::open("flex")?)?;
    drop(bytes);
    let decoder = Decoder::new(&model);
    drop(model);
    let options = GenerateOptions { max_new_tokens: new_tokens, ..GenerateOptions::default() };
    let answer = BenchError::system("answer");
    let serve = || {
        let host = Host::ready()?;
        while let Some(request) = host.request()? {
            let batch = request.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(1);
            let started = Instant::now();
            let chosen: Vec<_> = prompts.iter().take(batch).map(|prompt| (prompt.as_slice(), &options)).collect();
            let tokens = generate_each(&decoder, &chosen, NEVER);
            host.answer(&Generated { seconds: started.elapsed().as_secs_f64(), tokens })?;
        }
        Ok(())
    };
    serve().map_err(answer)
}
