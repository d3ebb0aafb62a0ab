//! `tokenizer.train`: learns a byte-level BPE tokenizer and writes it as Hugging Face's `tokenizer.json`.

use std::collections::HashMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFKC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use self::merge_learner::{MergeLearner, Vocabulary};
use super::corpus_documents::{DocumentReader, document_files, total_size};
use super::handler::{JSON, StepContext, StepError, StepHandler, arguments};
use super::tokenize::byte_bpe::{Words, is_left_to_library};
use super::tokenize::pieces;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::protocol::Progress;
use stepwell_workflow::catalog::{Given, Gives};

mod merge_learner;
#[cfg(test)]
mod tests;

pub struct TokenizerTrain;
pub static TOKENIZER_TRAIN: TokenizerTrain = TokenizerTrain;

pub const PAD: &str = "<pad>";
pub const BOS: &str = "<bos>";
pub const EOS: &str = "<eos>";

/// Sorted by id.
const SPECIALS: [&str; 3] = [PAD, BOS, EOS];

/// Three special tokens and one token for each byte.
const SMALLEST_VOCABULARY: u32 = 3 + 256;

/// Bytes of text between two checks of the interrupt flag.
const CHUNK_BYTES: usize = 4 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Documents in one file, or in a tree of shards.
    documents: ArtifactRef,
    /// Number of tokens, including the 3 special ones and the 256 bytes.
    vocab_size: u32,
    /// Minimum number of occurrences of a pair that is merged.
    #[serde(default = "two")]
    min_frequency: u64,
    /// Maximum bytes of text to learn from, counted from the start.
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
    /// Normalise every text to NFKC before encoding: prompts and, with the exported tokenizer, texts in Python. Set
    /// this if `corpus.clean` normalises the documents.
    #[serde(default)]
    nfkc: bool,
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
        let mut tokenizer = tokenizer(&learn(context, &words, &arguments)?)?;
        if arguments.nfkc {
            let normalised = tokenizer.with_normalizer(Some(NFKC));
            normalised.map_err(|error| library_failure("normalise text", &*error))?;
        }
        let json = tokenizer.to_string(false).map_err(|error| library_failure("write the tokenizer", &*error))?;
        let artifact = context.artifacts.put_bytes(json.as_bytes(), JSON)?;
        let values = json!({
            "vocab_size": tokenizer.get_vocab_size(true),
            "pad": tokenizer.token_to_id(PAD),
            "bos": tokenizer.token_to_id(BOS),
            "eos": tokenizer.token_to_id(EOS),
        });
        Ok(Outputs::of([("tokenizer", artifact)], values))
    }
}

fn check_smallest(vocab_size: u32) -> Result<(), Failure> {
    if vocab_size >= SMALLEST_VOCABULARY {
        return Ok(());
    }
    let message = format!("`vocab_size` is {vocab_size}: the smallest is {SMALLEST_VOCABULARY}");
    Err(Failure::fatal(message).with_hint("3 special tokens and 256 bytes are always part of the vocabulary"))
}

type WordCounts = HashMap<Box<str>, u64>;

fn count_words(context: &mut StepContext<'_>, arguments: &Arguments) -> Result<WordCounts, StepError> {
    let files = document_files(context.artifacts, &arguments.documents, None)?;
    let total = total_size(&files)?.min(arguments.max_bytes);
    let mut reader = DocumentReader::new(files);
    let mut words = WordCounts::new();
    let (mut left, mut done) = (arguments.max_bytes, 0);
    while left > 0 {
        let mut chunk = next_chunk(&mut reader, &mut left)?;
        if chunk.is_empty() {
            break;
        }
        done += chunk.iter().map(|text| text.len() as u64).sum::<u64>();
        if arguments.nfkc {
            chunk.par_iter_mut().filter(|text| !is_nfkc(text)).for_each(|text| *text = text.nfkc().collect());
        }
        add_words(&mut words, &chunk)?;
        context.report(done, total, "bytes", format!("{} different words", words.len()))?;
    }
    Ok(words)
}

/// Reads whole documents until they hold `CHUNK_BYTES`; cuts the last one when `left` bytes are used up.
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
        if is_left_to_library(word) {
            return library_words_of(text);
        }
        *counts.entry(word).or_default() += 1;
    }
    Ok(counts.into_iter().map(|(word, count)| (word.into(), count)).collect())
}

fn library_words_of(text: &str) -> Result<WordCounts, Failure> {
    let mut split = PreTokenizedString::from(text);
    pre_tokenizer().pre_tokenize(&mut split).map_err(|error| library_failure("split the text", &*error))?;
    let mut words = WordCounts::new();
    for (_, (start, end), _) in split.get_splits(OffsetReferential::Original, OffsetType::Byte) {
        *words.entry(text[start..end].into()).or_default() += 1;
    }
    Ok(words)
}

/// GPT-2's pre-tokenizer: splits by its regular expression, keeps a space with the word after it, maps bytes to
/// characters.
fn pre_tokenizer() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// Merges until the vocabulary has `vocab_size` tokens; fails if the words allow only fewer.
fn learn(context: &mut StepContext<'_>, words: &WordCounts, arguments: &Arguments) -> Result<Vocabulary, StepError> {
    let Arguments { vocab_size, min_frequency, .. } = *arguments;
    let mut learner = MergeLearner::new(&SPECIALS, words);
    while learner.vocabulary().len() < vocab_size as usize {
        context.check_interrupt()?;
        if !learner.merge_next(min_frequency) {
            return Err(too_few(learner.vocabulary().len(), arguments).into());
        }
        let done = learner.vocabulary().len() as u64;
        let (unit, message) = ("tokens".to_owned(), String::new());
        context.reporter.progress(Progress { done, total: vocab_size.into(), unit, message });
    }
    Ok(learner.into_vocabulary())
}

fn too_few(largest: usize, arguments: &Arguments) -> Failure {
    let Arguments { vocab_size, min_frequency, .. } = arguments;
    let message = format!(
        "`vocab_size` is {vocab_size}, but the corpus allows at most {largest} tokens with `min_frequency` {min_frequency}"
    );
    Failure::fatal(message).with_hint(format!("set `vocab_size` to {largest} or less, or import more text"))
}

fn tokenizer(vocabulary: &Vocabulary) -> Result<Tokenizer, Failure> {
    let tokens: Vocab = vocabulary.tokens().collect();
    let model = BPE::builder().vocab_and_merges(tokens, vocabulary.merges().collect()).build();
    let model = model.map_err(|error| library_failure("build the tokenizer", &*error))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer()));
    tokenizer.with_decoder(Some(pre_tokenizer()));
    let specials: Vec<AddedToken> = SPECIALS.map(|token| AddedToken::from(token, true)).into();
    tokenizer.add_special_tokens(specials).map_err(|error| library_failure("add the special tokens", &*error))?;
    Ok(tokenizer)
}

fn library_failure(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::fatal(format!("cannot {what}: {error}"))
}
