//! `export`: writes a trained model as a folder that Hugging Face `transformers` opens.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::processors::template::TemplateProcessing;

use super::handler::{Highlight, JSON, StepContext, StepError, StepHandler, arguments};
use super::models::open_model;
use super::text_codec::TextCodec;
use super::tokenizer_train::{BOS, EOS, PAD};
use super::train::{CONFIG_FILE, MODEL_FILE};
use super::trained_model::TrainedModel;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::model::hf_config::{HfConfig, SpecialTokens};
use stepwell_workflow::catalog::{Given, Gives};

#[cfg(test)]
mod tests;

pub struct Export;
pub static EXPORT: Export = Export;

/// Arguments of the `export` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `model` of a `train` step.
    model: ArtifactRef,
    /// Tokenizer that the model was trained with.
    #[serde(default)]
    tokenizer: Option<ArtifactRef>,
    /// In place of `tokenizer`, for a training that continued an imported model: the output `model` of `model.import`. Its tokenizer,
    /// chat template and sampling become those of the folder.
    #[serde(default)]
    base: Option<ArtifactRef>,
}

impl Arguments {
    fn tokens(&self) -> Result<Tokens<'_>, Failure> {
        match (&self.tokenizer, &self.base) {
            (Some(tokenizer), None) => Ok(Tokens::Own(tokenizer)),
            (None, Some(base)) => Ok(Tokens::Of(base)),
            _ => Err(Failure::fatal("`export` needs either `tokenizer` or `base`")
                .with_hint("`base` is the imported model that a training continued; otherwise give the `tokenizer` of the training")),
        }
    }
}

/// Where the tokenizer of the folder comes from.
#[derive(Clone, Copy)]
enum Tokens<'a> {
    Own(&'a ArtifactRef),
    Of(&'a ArtifactRef),
}

impl StepHandler for Export {
    fn kind(&self) -> &'static str {
        "export"
    }

    /// 2: the exported tokenizer puts `BOS` before a text.
    fn version(&self) -> u32 {
        2
    }

    fn summary(&self) -> &'static str {
        "write a trained model as a Hugging Face folder"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("folder", "Hugging Face folder")]),
            values: Given::Named(&[
                ("architecture", "name of the architecture in `transformers`"),
                ("parameters", "number of weights"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Folder("folder")
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.tokens().map(drop)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let model = TrainedModel::read(context.artifacts, &arguments.model)?;
        let config = HfConfig::new(&model.config, model.special).map_err(|error| {
            Failure::from_error(FailureKind::Fatal, &error)
                .with_hint("train a model with `swiglu`, or use the output `model` of the `train` step as it is")
        })?;
        let mut entries = match arguments.tokens()? {
            Tokens::Own(tokenizer) => tokenizer_files(context.artifacts, tokenizer, &model)?,
            Tokens::Of(base) => files_of(context.artifacts, base, &model)?,
        };
        for (name, bytes, media_type) in
            [(CONFIG_FILE, pretty(&config)?, JSON), (MODEL_FILE, model.weights, super::train::SAFETENSORS)]
        {
            entries.insert(name.to_owned(), context.artifacts.put_bytes(&bytes, media_type)?);
        }
        let folder = context.artifacts.put_tree(&entries)?;
        let values =
            json!({ "architecture": config.architecture(), "parameters": model.config.parameter_counts().total });
        Ok(Outputs::of([("folder", folder)], values))
    }
}

/// Files of a tokenizer that was trained here.
fn tokenizer_files(
    artifacts: &ArtifactStore,
    tokenizer: &ArtifactRef,
    model: &TrainedModel,
) -> Result<BTreeMap<String, ArtifactRef>, Failure> {
    let tokenizer = artifacts.read(tokenizer)?;
    let codec = TextCodec::load(&tokenizer)?;
    model.check_tokenizer(&codec)?;
    let generation = GenerationConfig::new(model.special, codec.vocab(), model.config.vocab_size);
    let files = [
        ("tokenizer.json", with_bos(&tokenizer, codec.special.bos_token_id)?),
        ("tokenizer_config.json", pretty(&TokenizerConfig::new(model.config.context))?),
        ("special_tokens_map.json", pretty(&SpecialTokenNames::ALL)?),
        ("generation_config.json", pretty(&generation)?),
    ];
    files.into_iter().map(|(name, bytes)| Ok((name.to_owned(), artifacts.put_bytes(&bytes, JSON)?))).collect()
}

/// Files of an imported model, without its weights and shape.
fn files_of(
    artifacts: &ArtifactStore,
    base: &ArtifactRef,
    model: &TrainedModel,
) -> Result<BTreeMap<String, ArtifactRef>, Failure> {
    let shape = open_model(artifacts, base, None)?.shape;
    let (ours, theirs) = (&model.config, (shape.vocab, shape.layers, shape.hidden));
    if (ours.vocab_size, ours.layers, ours.d_model) != theirs {
        return Err(Failure::fatal("the model does not have the shape of `base`, so it was not trained from it")
            .with_hint("give the `model` that the training had as `from`"));
    }
    let mut entries = artifacts.read_tree(base)?.entries;
    if entries.keys().any(|name| name.ends_with(".gguf")) {
        return Err(Failure::fatal("`base` is a GGUF file, which has no files of a tokenizer")
            .with_hint("import the model as a Hugging Face folder"));
    }
    let is_weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    entries.retain(|name, _| name != CONFIG_FILE && !is_weights(name));
    Ok(entries)
}

/// Returns the tokenizer with a template that puts `BOS` before a text, as in training. Stepwell's own steps add it
/// themselves.
fn with_bos(tokenizer: &[u8], bos: u32) -> Result<Vec<u8>, Failure> {
    let failure = |error: &dyn std::fmt::Display| Failure::fatal(format!("cannot export the tokenizer: {error}"));
    let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(|error| failure(&error))?;
    let template = TemplateProcessing::builder()
        .try_single(format!("{BOS} $A"))
        .and_then(|builder| builder.try_pair(format!("{BOS} $A {BOS}:1 $B:1")))
        .map_err(|error| failure(&error))?
        .special_tokens(vec![(BOS, bos)])
        .build()
        .map_err(|error| failure(&error))?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer.to_string(false).map_err(|error| failure(&error))?.into_bytes())
}

/// Contents of `generation_config.json`.
#[derive(Serialize)]
struct GenerationConfig {
    #[serde(flatten)]
    special: SpecialTokens,
    /// Ids of rows that only pad the embedding and belong to no token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppress_tokens: Vec<u32>,
}

impl GenerationConfig {
    fn new(special: SpecialTokens, tokens: u32, rows: usize) -> Self {
        GenerationConfig { special, suppress_tokens: (tokens..).take_while(|id| (*id as usize) < rows).collect() }
    }
}

/// Contents of `special_tokens_map.json`.
#[derive(Serialize)]
struct SpecialTokenNames {
    bos_token: &'static str,
    eos_token: &'static str,
    pad_token: &'static str,
}

impl SpecialTokenNames {
    const ALL: SpecialTokenNames = SpecialTokenNames { bos_token: BOS, eos_token: EOS, pad_token: PAD };
}

/// Contents of `tokenizer_config.json`.
#[derive(Serialize)]
struct TokenizerConfig {
    tokenizer_class: &'static str,
    bos_token: &'static str,
    eos_token: &'static str,
    pad_token: &'static str,
    /// Repeats the template in `tokenizer.json`, because `transformers` 5 builds its own template from this flag.
    add_bos_token: bool,
    add_eos_token: bool,
    /// Text that spells a special token stays text, as in training and in `generate`.
    split_special_tokens: bool,
    model_max_length: usize,
    clean_up_tokenization_spaces: bool,
}

impl TokenizerConfig {
    fn new(context: usize) -> Self {
        let SpecialTokenNames { bos_token, eos_token, pad_token } = SpecialTokenNames::ALL;
        TokenizerConfig {
            tokenizer_class: "PreTrainedTokenizerFast",
            bos_token,
            eos_token,
            pad_token,
            add_bos_token: true,
            add_eos_token: false,
            split_special_tokens: true,
            model_max_length: context,
            // Byte-level tokenizers decode exactly; the clean-up would change spaces before punctuation.
            clean_up_tokenization_spaces: false,
        }
    }
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::fatal(format!("cannot write JSON: {error}")))
}
