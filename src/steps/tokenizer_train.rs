//! `tokenizer.train`: a byte-level BPE tokenizer, as Hugging Face's `tokenizer.json`.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

use super::corpus_documents::{DocumentReader, document_files, total_size};
use super::handler::{StepContext, StepError, StepHandler, arguments};
use super::tokenize::byte_bpe::{LONGEST_WORD, Words, byte_char};
use super::tokenize::pieces;
use crate::core::artifact::{ArtifactRef, Outputs};
use crate::core::catalog::{Given, Gives};
use crate::core::failure::Failure;
use crate::core::protocol::Progress;

#[cfg(test)]
mod tests;

/// The `tokenizer.train` step kind.
pub struct TokenizerTrain;
pub static TOKENIZER_TRAIN: TokenizerTrain = TokenizerTrain;

pub const PAD: &str = "<pad>";
pub const BOS: &str = "<bos>";
pub const EOS: &str = "<eos>";

/// The special tokens and one token for each byte.
const SMALLEST_VOCABULARY: u32 = 3 + 256;

/// Text between two looks at the interrupt flag.
const CHUNK_BYTES: usize = 4 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Documents, or a tree of shards of them.
    documents: ArtifactRef,
    /// Tokens, with the 3 special ones and the 256 bytes.
    vocab_size: u32,
    /// Pairs that occur less often are not merged.
    #[serde(default = "two")]
    min_frequency: u64,
    /// Only the first so many bytes of text are looked at.
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
}

fn two() -> u64 {
    2
}

fn default_max_bytes() -> u64 {
    64 << 20
}

impl StepHandler for TokenizerTrain {
    fn kind(&self) -> &'static str {
        "tokenizer.train"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "train a byte-level BPE tokenizer (tokenizer.json)"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("tokenizer", "`tokenizer.json`")]),
            values: Given::Named(&[
                ("vocab_size", "number of tokens"),
                ("pad", "id of the padding token"),
                ("bos", "id of the token before a document"),
                ("eos", "id of the token after a document"),
            ]),
        }
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        check_smallest(arguments::<Arguments>(with)?.vocab_size)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        check_smallest(arguments.vocab_size)?;
        let words = count_words(context, &arguments)?;
        let tokenizer = train(&words, arguments.vocab_size, arguments.min_frequency)?;
        let json = tokenizer.to_string(false).map_err(|error| library_failure("write the tokenizer", &*error))?;
        let artifact = context.artifacts.put_bytes(json.as_bytes(), "application/json").map_err(Failure::from)?;
        Ok(Outputs {
            artifacts: BTreeMap::from([("tokenizer".to_owned(), artifact)]),
            values: Map::from_iter([
                ("vocab_size".to_owned(), json!(tokenizer.get_vocab_size(true))),
                ("pad".to_owned(), id(&tokenizer, PAD)),
                ("bos".to_owned(), id(&tokenizer, BOS)),
                ("eos".to_owned(), id(&tokenizer, EOS)),
            ]),
        })
    }
}

fn id(tokenizer: &Tokenizer, token: &str) -> Value {
    json!(tokenizer.token_to_id(token))
}

fn check_smallest(vocab_size: u32) -> Result<(), Failure> {
    if vocab_size >= SMALLEST_VOCABULARY {
        return Ok(());
    }
    let message = format!("`vocab_size` is {vocab_size}: the smallest is {SMALLEST_VOCABULARY}");
    Err(Failure::fatal(message).with_hint("3 special tokens and 256 bytes are always part of the vocabulary"))
}

/// How often each word occurs, in byte-level characters.
type WordCounts = HashMap<String, u64>;

fn count_words(context: &mut StepContext<'_>, arguments: &Arguments) -> Result<WordCounts, StepError> {
    let files = document_files(context.artifacts, &arguments.documents, None)?;
    let total = total_size(&files)?.min(arguments.max_bytes);
    let mut reader = DocumentReader::new(files);
    let mut words = WordCounts::new();
    let (mut left, mut done) = (arguments.max_bytes, 0);
    while left > 0 {
        let chunk = next_chunk(&mut reader, &mut left)?;
        if chunk.is_empty() {
            break;
        }
        done += chunk.iter().map(|text| text.len() as u64).sum::<u64>();
        add_words(&mut words, &chunk)?;
        context.check_interrupt()?;
        let message = format!("{} different words", words.len());
        context.reporter.progress(Progress { done, total, unit: "bytes".to_owned(), message });
    }
    Ok(words)
}

/// Up to `CHUNK_BYTES` of whole documents; the last one is cut when `left` bytes are used up.
fn next_chunk(reader: &mut DocumentReader, left: &mut u64) -> Result<Vec<String>, Failure> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while bytes < CHUNK_BYTES && *left > 0 {
        let Some(mut document) = reader.next_document()? else { break };
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        document.text.truncate(document.text.floor_char_boundary(most));
        *left = if document.text.is_empty() { 0 } else { *left - document.text.len() as u64 };
        bytes += document.text.len();
        chunk.push(document.text);
    }
    Ok(chunk)
}

fn add_words(words: &mut WordCounts, chunk: &[String]) -> Result<(), Failure> {
    let parts: Vec<&str> = chunk.iter().flat_map(|text| pieces::pieces(text)).collect();
    let counted: Vec<WordCounts> = parts.par_iter().map(|part| words_of(part)).collect::<Result<_, _>>()?;
    for part in counted {
        for (word, count) in part {
            *words.entry(word).or_default() += count;
        }
    }
    Ok(())
}

fn words_of(text: &str) -> Result<WordCounts, Failure> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for word in Words::new(text) {
        if word.len() > LONGEST_WORD {
            return library_words_of(text);
        }
        *counts.entry(word).or_default() += 1;
    }
    let characters = |word: &str| word.bytes().map(byte_char).collect();
    Ok(counts.into_iter().map(|(word, count)| (characters(word), count)).collect())
}

fn library_words_of(text: &str) -> Result<WordCounts, Failure> {
    let mut split = PreTokenizedString::from(text);
    pre_tokenizer().pre_tokenize(&mut split).map_err(|error| library_failure("split the text", &*error))?;
    let mut words = WordCounts::new();
    for (word, ..) in split.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
        *words.entry(word.to_owned()).or_default() += 1;
    }
    Ok(words)
}

/// GPT-2's: splits by its regular expression, spaces belong to the word after them, bytes become characters.
fn pre_tokenizer() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// Trains on word counts. The library orders merges by (count, pair), so the order of the map does not show.
///
/// # Errors
/// When the words allow fewer than `vocab_size` tokens.
fn train(words: &WordCounts, vocab_size: u32, min_frequency: u64) -> Result<Tokenizer, Failure> {
    let specials: Vec<AddedToken> = [PAD, BOS, EOS].map(|token| AddedToken::from(token, true)).into();
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size as usize)
        .min_frequency(min_frequency)
        .show_progress(false)
        .special_tokens(specials.clone())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut model = BPE::default();
    let counts = words.iter().map(|(word, count)| (word.as_str().into(), *count)).collect();
    trainer.do_train(&counts, &mut model).map_err(|error| library_failure("train the tokenizer", &*error))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer()));
    tokenizer.with_decoder(Some(pre_tokenizer()));
    tokenizer.add_special_tokens(specials).map_err(|error| library_failure("add the special tokens", &*error))?;
    let largest = tokenizer.get_vocab_size(true);
    if largest < vocab_size as usize {
        let message = format!(
            "`vocab_size` is {vocab_size}, but the corpus allows at most {largest} tokens with `min_frequency` {min_frequency}"
        );
        return Err(
            Failure::fatal(message).with_hint(format!("set `vocab_size` to {largest} or less, or import more text"))
        );
    }
    Ok(tokenizer)
}

fn library_failure(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::fatal(format!("cannot {what}: {error}"))
}
