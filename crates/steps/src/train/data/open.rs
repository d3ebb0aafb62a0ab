//! Opens the token files of every phase.

use std::collections::HashMap;
use std::sync::Arc;

use super::mixture::used;
use super::sources::Sources;
use crate::tokenize::Encoder;
use crate::train::arguments::{Arguments, SourceArguments};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::token_file::Unit;
use stepwell_train::data::{DataError, RowShape, Sampler, TokenShard, TokenStream};
use stepwell_train::training::phase::Phase;
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
    let stream = open_files(artifacts, files)?;
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

/// Opens token files as one stream, whatever tokenizer made them. Checks every byte.
///
/// # Errors
/// When a file is missing or damaged.
pub fn open_files(artifacts: &ArtifactStore, files: &[ArtifactRef]) -> Result<TokenStream, Failure> {
    let mut shards = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let name = format!("token file {} of {} ({})", index + 1, files.len(), file.digest);
        let path = artifacts.verified_path(file)?;
        shards.push(TokenShard::open(&path, &name).map_err(data_failure)?);
    }
    TokenStream::new(shards).map_err(data_failure)
}

/// Makes one sampler per phase. Phases with the same token files share the open files.
///
/// # Errors
/// Those of [`open_stream`], and a context that is longer than the whole text.
pub fn samplers(
    artifacts: &ArtifactStore,
    arguments: &Arguments,
    tokenizer: &Encoder,
    plan: &Plan,
) -> Result<Vec<Sampler>, Failure> {
    let mut open = Opened { artifacts, tokenizer, streams: HashMap::new() };
    let sampler = |phase: &Phase| {
        let (seed, order, context) = (plan.seed, phase.order(), phase.context);
        let shape = RowShape { context, packing: arguments.row_packing() };
        let unit = arguments.examples();
        let sampler = match arguments.sources(plan, phase) {
            Sources::One(files) => Sampler::new(seed, &order, open.stream(files, shape, unit)?, shape),
            Sources::Mixed(sources) => {
                let stream = |source: &SourceArguments| Ok((open.stream(&source.tokens, shape, unit)?, source.weight));
                let streams = used(&sources).map(stream).collect::<Result<_, Failure>>()?;
                Sampler::mixed(seed, &order, streams, shape)
            }
        };
        sampler.map_err(data_failure)
    };
    plan.phases.iter().map(sampler).collect()
}

/// Streams that are open, by the digests of their files.
struct Opened<'a> {
    artifacts: &'a ArtifactStore,
    tokenizer: &'a Encoder,
    streams: HashMap<Vec<String>, Arc<TokenStream>>,
}

impl Opened<'_> {
    fn stream(&mut self, files: &[ArtifactRef], shape: RowShape, unit: Unit) -> Result<Arc<TokenStream>, Failure> {
        let key = files.iter().map(|file| file.digest.to_string()).collect::<Vec<_>>();
        let stream = match self.streams.get(&key) {
            Some(stream) => Arc::clone(stream),
            None => {
                let stream = Arc::new(open_stream(self.artifacts, files, self.tokenizer)?);
                Arc::clone(self.streams.entry(key).or_insert(stream))
            }
        };
        let (tokens, context) = (stream.tokens(), shape.context);
        check_unit(stream.header().unit, unit)?;
        if stream.is_masked() && shape.packing.is_default() {
            return Err(Failure::fatal("`packing = \"wrapped\"` would cut the examples of `sft.tokenize` in two")
                .with_hint("set `packing = \"best-fit\"`, or `none` for one example per row"));
        }
        if shape.packing.is_default() && context as u64 > tokens {
            return Err(data_failure(DataError::ContextTooLong { context, tokens }));
        }
        Ok(stream)
    }
}

/// Refuses examples of another kind than the objective learns from.
fn check_unit(found: Unit, wanted: Unit) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    let name = |unit: Unit| match unit {
        Unit::Document => "single documents",
        Unit::Pair => "pairs of answers",
        Unit::Labelled => "answers with a label",
    };
    let hint = match wanted {
        Unit::Document => "set `preference = {}`, or give the output of `tokenize` or `sft.tokenize`",
        Unit::Pair => "`preferences.tokenize` makes pairs of rows with `prompt`, `chosen` and `rejected`",
        Unit::Labelled => "`preferences.tokenize` makes them of rows with `prompt`, `completion` and `label`",
    };
    Err(Failure::fatal(format!("the token files hold {}, this training learns from {}", name(found), name(wanted)))
        .with_hint(hint))
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
