//! Handler of `corpus.clean`. The first pass cleans into a scratch file; the second knows the total size, and divides
//! and shards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use whatlang::Lang;

use super::normalise::{Cleaner, Compatibility, Reason, Rules};
use super::split::Split;
use crate::corpus_documents::{
    Document, DocumentReader, NDJSON, document_files, total_size, write_document, write_failure,
};
use crate::handler::{StepContext, StepError, StepHandler, arguments};
use stepwell_artifact::{ArtifactStore, ArtifactWriter};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Given, Gives};

pub struct CorpusClean;
pub static CORPUS_CLEAN: CorpusClean = CorpusClean;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `documents` of a `corpus.import` step.
    documents: ArtifactRef,
    /// Normalise to Unicode form KC, which turns `x²` into `x2` and the ligature of `fi` into two letters. Prompts need
    /// the same normalisation.
    #[serde(default = "yes")]
    nfkc: bool,
    /// Remove HTML tags and Markdown marks.
    #[serde(default)]
    strip_markup: bool,
    #[serde(default)]
    strip_urls: bool,
    /// Minimum length of a document in characters; shorter ones are dropped.
    #[serde(default = "one")]
    min_chars: u64,
    /// Maximum length of a document in characters; longer ones are dropped.
    #[serde(default)]
    max_chars: Option<u64>,
    /// ISO 639-3 codes such as `eng`: documents in other languages are dropped. Empty keeps all.
    #[serde(default)]
    languages: Vec<String>,
    /// Drop documents whose text has occurred before.
    #[serde(default = "yes")]
    dedupe: bool,
    /// Method that selects the validation part.
    #[serde(default)]
    validation: Validation,
    /// Share of the documents (`hash`) or of the text (`tail`) that is held out for validation.
    #[serde(default = "tenth")]
    validation_fraction: f64,
    /// Size in bytes at which a training shard is closed.
    #[serde(default = "default_shard_bytes")]
    shard_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Validation {
    /// `hash` for 100 documents or more, otherwise `tail`.
    #[default]
    Auto,
    /// Select documents by a hash of their text.
    Hash,
    /// Hold out the end of the text; this may cut a document.
    Tail,
}

const AUTO_HASH_DOCUMENTS: u64 = 100;

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn tenth() -> f64 {
    0.1
}

fn default_shard_bytes() -> u64 {
    4 << 20
}

impl StepHandler for CorpusClean {
    fn kind(&self) -> &'static str {
        "corpus.clean"
    }

    fn version(&self) -> u32 {
        2
    }

    fn summary(&self) -> &'static str {
        "normalise, filter and deduplicate documents; split them into training shards and validation"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("train", "tree of training shards"),
                ("validation", "documents of the held-out part"),
            ]),
            values: Given::Named(&[
                ("shards", "number of training shards"),
                ("train_documents", "documents for training"),
                ("validation_documents", "documents held out"),
                ("train_bytes", "bytes of training text"),
                ("validation_bytes", "bytes of held-out text"),
                ("dropped", "number of dropped documents by reason"),
                ("nfkc", "true when the text has Unicode normalisation form KC"),
                ("nfkc_changed", "texts that the normalisation changed"),
            ]),
        }
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        rules(&arguments(with)?).map(drop)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let rules = rules(&arguments)?;
        let cleaned = clean(context, &arguments, rules)?;
        if let Some((from, to)) = &cleaned.compatibility.example {
            let texts = cleaned.compatibility.texts;
            let texts = if texts == 1 { "1 text".to_owned() } else { format!("{texts} texts") };
            context.reporter.note(format!(
                "NFKC changed {texts}, such as `{from}` to `{to}`; `nfkc = false` keeps text as it was written \
                 (with the workflow `pretrain`: `-S nfkc=false`)"
            ));
        }
        let split = split(&arguments, &cleaned);
        let outputs = divide(context, &arguments, &cleaned, split)?;
        remove_scratch(&cleaned.path);
        Ok(outputs)
    }
}

fn rules(arguments: &Arguments) -> Result<Rules, Failure> {
    if !(arguments.validation_fraction > 0.0 && arguments.validation_fraction < 1.0) {
        let message =
            format!("`validation_fraction` is {}: it must lie between 0 and 1", arguments.validation_fraction);
        return Err(Failure::fatal(message)
            .with_hint("0.1 holds out a tenth; a run cannot be evaluated without validation text"));
    }
    if arguments.shard_bytes == 0 {
        return Err(Failure::fatal("`shard_bytes` is 0").with_hint("leave it out for shards of 4 MiB"));
    }
    if let Some(most) = arguments.max_chars.filter(|most| *most < arguments.min_chars) {
        let message = format!("`max_chars` ({most}) is less than `min_chars` ({})", arguments.min_chars);
        return Err(Failure::fatal(message).with_hint("swap them, or leave one out"));
    }
    let languages = arguments.languages.iter().map(|code| {
        Lang::from_code(code.as_str()).ok_or_else(|| {
            Failure::fatal(format!("unknown language `{code}` in `languages`"))
                .with_hint("use ISO 639-3 codes of three letters, such as `eng`, `deu`, `fra`, `spa`")
        })
    });
    Ok(Rules {
        strip_markup: arguments.strip_markup,
        strip_urls: arguments.strip_urls,
        nfkc: arguments.nfkc,
        min_chars: arguments.min_chars,
        max_chars: arguments.max_chars,
        languages: languages.collect::<Result<_, _>>()?,
        dedupe: arguments.dedupe,
    })
}

/// Result of the first pass.
struct Cleaned {
    path: PathBuf,
    documents: u64,
    text_bytes: u64,
    file_bytes: u64,
    dropped: BTreeMap<Reason, u64>,
    compatibility: Compatibility,
}

fn clean(context: &mut StepContext<'_>, arguments: &Arguments, rules: Rules) -> Result<Cleaned, StepError> {
    let files = document_files(context.artifacts, &arguments.documents, None)?;
    let total = total_size(&files)?;
    let path = context.scratch().join("cleaned.jsonl");
    let file = File::create(&path).map_err(|error| write_failure("the cleaned documents", &error))?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    let mut cleaner = Cleaner::new(rules);
    let dropped = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
    let compatibility = Compatibility::default();
    let mut cleaned = Cleaned { path, documents: 0, text_bytes: 0, file_bytes: 0, dropped, compatibility };
    let mut reader = DocumentReader::new(files).reporting(context, total, "cleaning");
    while let Some(document) = reader.next_document()? {
        match cleaner.clean(&document.text) {
            Ok(text) => {
                cleaned.documents += 1;
                cleaned.text_bytes += text.len() as u64;
                let written = write_document(&mut out, &Document { id: document.id, text });
                cleaned.file_bytes += written.map_err(|error| write_failure("the cleaned documents", &error))?;
            }
            Err(reason) => *cleaned.dropped.entry(reason).or_default() += 1,
        }
    }
    out.flush().map_err(|error| write_failure("the cleaned documents", &error))?;
    cleaned.compatibility = cleaner.compatibility().clone();
    if cleaned.documents == 0 {
        return Err(all_dropped(&cleaned.dropped, cleaner.invisible()).into());
    }
    Ok(cleaned)
}

fn all_dropped(dropped: &BTreeMap<Reason, u64>, invisible: &[String]) -> Failure {
    let most = dropped.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > 0);
    let Some((most, _)) = most else {
        return Failure::fatal("there is no document to clean").with_hint("check what `corpus.import` read");
    };
    let counts: Vec<String> = dropped
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{count} {}", reason.as_str().replace('_', " ")))
        .collect();
    let total: u64 = dropped.values().sum();
    let mut message = format!("all {total} documents were dropped: {}", counts.join(", "));
    if !invisible.is_empty() {
        message.push_str(&format!("; there are texts of {} only", invisible.join(", ")));
    }
    Failure::fatal(message).with_hint(most.remedy())
}

fn split(arguments: &Arguments, cleaned: &Cleaned) -> Split {
    let fraction = arguments.validation_fraction;
    let by_hash = match arguments.validation {
        Validation::Auto => cleaned.documents >= AUTO_HASH_DOCUMENTS,
        Validation::Hash => true,
        Validation::Tail => false,
    };
    if by_hash { Split::Hash { fraction } } else { Split::tail(fraction, cleaned.text_bytes) }
}

/// Number of documents and of text bytes in one part.
#[derive(Default)]
struct Part {
    documents: u64,
    text_bytes: u64,
}

impl Part {
    fn add(&mut self, text: &str) {
        self.documents += 1;
        self.text_bytes += text.len() as u64;
    }
}

fn divide(
    context: &mut StepContext<'_>,
    arguments: &Arguments,
    cleaned: &Cleaned,
    split: Split,
) -> Result<Outputs, StepError> {
    let artifacts = context.artifacts;
    let mut shards = Shards::new(artifacts, arguments.shard_bytes);
    let validation_writer = artifacts.writer(NDJSON)?;
    let mut validation_out = BufWriter::new(validation_writer);
    let (mut train, mut validation) = (Part::default(), Part::default());
    let mut start = 0;
    let mut reader =
        DocumentReader::new(vec![cleaned.path.clone()]).reporting(context, cleaned.file_bytes, "splitting");
    while let Some(document) = reader.next_document()? {
        let (train_text, validation_text) = split.divide(&document.text, start);
        start += document.text.len() as u64;
        if !train_text.is_empty() {
            train.add(train_text);
            shards.add(&Document { id: document.id.clone(), text: train_text.to_owned() })?;
        }
        if !validation_text.is_empty() {
            validation.add(validation_text);
            let held_out = Document { id: document.id, text: validation_text.to_owned() };
            write_document(&mut validation_out, &held_out)
                .map_err(|error| write_failure("the validation set", &error))?;
        }
    }
    check_parts(&train, &validation, arguments, cleaned)?;
    let shard_count = shards.closed.len() + usize::from(shards.open.is_some());
    let validation_ref = finish(validation_out)?;
    let train_ref = shards.finish()?;
    let dropped: Map<String, Value> =
        cleaned.dropped.iter().map(|(reason, count)| (reason.as_str().to_owned(), json!(count))).collect();
    let values = json!({
        "shards": shard_count,
        "train_documents": train.documents,
        "validation_documents": validation.documents,
        "train_bytes": train.text_bytes,
        "validation_bytes": validation.text_bytes,
        "dropped": dropped,
        "nfkc": arguments.nfkc,
        "nfkc_changed": cleaned.compatibility.texts,
    });
    Ok(Outputs::of([("train", train_ref), ("validation", validation_ref)], values))
}

fn check_parts(train: &Part, validation: &Part, arguments: &Arguments, cleaned: &Cleaned) -> Result<(), Failure> {
    let (empty, hint) = match (train.documents, validation.documents) {
        (0, _) => ("training", "lower `validation_fraction`, set `validation = \"tail\"`, or import more text"),
        (_, 0) => ("validation", "raise `validation_fraction`, set `validation = \"tail\"`, or import more text"),
        _ => return Ok(()),
    };
    let message = format!(
        "the {empty} set would be empty: {} documents with {} bytes of text, validation fraction {}",
        cleaned.documents, cleaned.text_bytes, arguments.validation_fraction
    );
    Err(Failure::fatal(message).with_hint(hint))
}

/// Writes the training shards; one is open at a time.
struct Shards<'a> {
    artifacts: &'a ArtifactStore,
    shard_bytes: u64,
    closed: BTreeMap<String, ArtifactRef>,
    open: Option<BufWriter<ArtifactWriter>>,
    open_bytes: u64,
}

impl<'a> Shards<'a> {
    fn new(artifacts: &'a ArtifactStore, shard_bytes: u64) -> Self {
        Shards { artifacts, shard_bytes, closed: BTreeMap::new(), open: None, open_bytes: 0 }
    }

    fn add(&mut self, document: &Document) -> Result<(), Failure> {
        let out = match &mut self.open {
            Some(out) => out,
            None => self.open.insert(BufWriter::new(self.artifacts.writer(NDJSON)?)),
        };
        self.open_bytes += write_document(out, document).map_err(|error| write_failure("a training shard", &error))?;
        if self.open_bytes >= self.shard_bytes { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), Failure> {
        if let Some(out) = self.open.take() {
            let name = format!("shard-{:05}.jsonl", self.closed.len());
            self.closed.insert(name, finish(out)?);
            self.open_bytes = 0;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ArtifactRef, Failure> {
        self.close()?;
        Ok(self.artifacts.put_tree(&self.closed)?)
    }
}

fn finish(out: BufWriter<ArtifactWriter>) -> Result<ArtifactRef, Failure> {
    let writer = out.into_inner().map_err(|error| write_failure("documents", error.error()))?;
    Ok(writer.finish()?)
}

/// Frees space early: the scratch directory is removed with the step anyway.
fn remove_scratch(path: &std::path::Path) {
    let _ = std::fs::remove_file(path);
}
