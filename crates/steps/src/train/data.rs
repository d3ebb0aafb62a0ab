//! Opens the token files of every phase.

use std::sync::Arc;

use super::arguments::Arguments;
use crate::tokenize::Encoder;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::data::{DataError, Sampler, TokenShard, TokenStream};
use stepwell_train::training::plan::Plan;

/// Opens token files as one stream. Checks every byte, and that the tokenizer matches.
///
/// # Errors
/// When a file is missing or damaged, or another tokenizer made it.
pub fn open_stream(
    artifacts: &ArtifactStore,
    files: &[ArtifactRef],
    tokenizer: &Encoder,
) -> Result<TokenStream, Failure> {
    let mut shards = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let name = format!("token file {} of {} ({})", index + 1, files.len(), file.digest);
        let path = artifacts.verified_path(file)?;
        shards.push(TokenShard::open(&path, &name).map_err(data_failure)?);
    }
    let stream = TokenStream::new(shards).map_err(data_failure)?;
    let header = stream.header();
    let pairs = [
        ("vocabulary", tokenizer.vocab, header.vocab),
        ("bos", tokenizer.bos, header.bos),
        ("eos", tokenizer.eos, header.eos),
    ];
    for (what, expected, actual) in pairs {
        if expected != actual {
            let (name, other) = ("the token files".to_owned(), "`tokenizer`".to_owned());
            return Err(data_failure(DataError::Mismatch { name, other, what, expected, actual }));
        }
    }
    Ok(stream)
}

/// Makes one sampler per phase. Phases without their own token files share the run's.
///
/// # Errors
/// Those of [`open_stream`], and a context that is longer than the whole text.
pub fn samplers(
    artifacts: &ArtifactStore,
    arguments: &Arguments,
    tokenizer: &Encoder,
    plan: &Plan,
) -> Result<Vec<Sampler>, Failure> {
    let mut shared: Option<Arc<TokenStream>> = None;
    let mut samplers = Vec::with_capacity(plan.phases.len());
    for (index, phase) in plan.phases.iter().enumerate() {
        let own = arguments.phases.get(index).and_then(|phase| phase.tokens.as_ref());
        let stream = match (own, &shared) {
            (Some(files), _) => Arc::new(open_stream(artifacts, files, tokenizer)?),
            (None, Some(stream)) => Arc::clone(stream),
            (None, None) => {
                let stream = Arc::new(open_stream(artifacts, &arguments.tokens, tokenizer)?);
                Arc::clone(shared.insert(stream))
            }
        };
        let (context, tokens) = (phase.context, stream.tokens());
        if context as u64 > tokens {
            return Err(data_failure(DataError::ContextTooLong { context, tokens }));
        }
        samplers.push(Sampler::new(plan.seed, &phase.name, stream, phase.context).map_err(data_failure)?);
    }
    Ok(samplers)
}

/// Turns the error into a failure with its hint. Only a read error is worth a retry.
pub fn data_failure(error: DataError) -> Failure {
    let kind = if matches!(error, DataError::Io { .. }) { FailureKind::Retryable } else { FailureKind::Fatal };
    let failure = Failure::from_error(kind, &error);
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
