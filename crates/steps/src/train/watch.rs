//! Makes what a training measures of itself from its arguments and files.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::arguments::Arguments;
use super::arguments::SamplePlan;
use super::data::{data_failure, open_stream};
use crate::sampling::{Sample, Sampling};
use crate::text_codec::TextCodec;
use stepwell_artifact::ArtifactStore;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{LONGEST_SAMPLE, SampleText};
use stepwell_train::inference::decoder::Decoder;
use stepwell_train::model::Transformer;
use stepwell_train::training::{Validation, Watch, Writing};

/// Sampling temperature: lively, and still mostly what the model believes.
const TEMPERATURE: f32 = 0.8;

/// Opens the held-out text and prepares the prompts. `context` is that of the model.
///
/// # Errors
/// When the arguments do not fit each other, or the file is damaged or of another tokenizer.
pub fn watch(
    artifacts: &ArtifactStore,
    arguments: &Arguments,
    tokenizer: &Arc<TextCodec>,
    context: usize,
) -> Result<Watch, Failure> {
    let validation = match (&arguments.validation, arguments.validation_plan()?) {
        (Some(file), Some(plan)) => {
            let stream = open_stream(artifacts, std::slice::from_ref(file), tokenizer.encoder())
                .map_err(|failure| Failure { message: format!("`validation`: {}", failure.message), ..failure })?;
            let bytes = tokenizer.token_bytes();
            let bytes_of = |token: u32| bytes.get(token as usize).copied().unwrap_or(0);
            let part = Validation::new(&stream, context, plan.tokens, plan.every, bytes_of).map_err(data_failure)?;
            Some(Arc::new(part))
        }
        _ => None,
    };
    let writing = match arguments.sample_plan()? {
        Some(plan) => Some(writing(plan, arguments.seed, Arc::clone(tokenizer))?),
        None => None,
    };
    let (stop_when, layers_every) = (arguments.stop_rule(), NonZeroU64::new(arguments.layer_stats_every));
    let weights = arguments.watched_weights();
    Ok(Watch { validation, stop_when, writing, layers_every, weights })
}

fn writing(plan: SamplePlan, seed: u64, tokenizer: Arc<TextCodec>) -> Result<Writing, Failure> {
    let SamplePlan { every, prompts, max_new_tokens } = plan;
    let sampling = Sampling { max_new_tokens, temperature: TEMPERATURE, top_k: None, top_p: None, seed };
    sampling.validate()?;
    let writer = move |model: &Transformer| {
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let texts = sampling.draw_each(&Decoder::new(model), &tokenizer, &prompts, 0);
        texts.map(|texts| texts.into_iter().map(bounded).collect()).map_err(|failure| failure.message)
    };
    Ok(Writing { every, writer: Arc::new(writer) })
}

/// A row of the database, not longer than it may be.
fn bounded(sample: Sample) -> SampleText {
    let Sample { prompt, mut text, .. } = sample;
    text.truncate(text.floor_char_boundary(LONGEST_SAMPLE));
    SampleText { prompt, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let sample = |text: String| bounded(Sample { prompt: "p".to_owned(), text, tokens: Vec::new() }).text;
        let cut = sample("x".to_owned() + &"\u{e9}".repeat(LONGEST_SAMPLE));
        assert_eq!(cut.len(), LONGEST_SAMPLE - 1);
        assert_eq!(sample("short".to_owned()), "short");
    }
}
