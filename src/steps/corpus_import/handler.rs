//! The handler: sources in, documents out.

use std::io::{BufWriter, Write};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::decode;
use super::sources::{self, SourceFiles};
use super::text::{Split, Texts};
use crate::artifact::ArtifactWriter;
use crate::core::artifact::Outputs;
use crate::core::failure::Failure;
use crate::core::protocol::Progress;
use crate::steps::corpus_documents::{Document, NDJSON, write_document, write_failure, write_line};
use crate::steps::grammar;
use crate::steps::handler::{StepContext, StepError, StepHandler, arguments};

/// The `corpus.import` step kind.
pub struct CorpusImport;
pub static CORPUS_IMPORT: CorpusImport = CorpusImport;

const GRAMMAR: &str = "builtin:grammar";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// A file, a folder, a glob, `builtin:grammar`, or a list of those.
    source: Source,
    /// Field of .jsonl objects that holds the text.
    #[serde(default = "default_text_field")]
    text_field: String,
    /// What one document of a .txt or .md file is.
    #[serde(default)]
    split: Split,
    /// Number of documents of `builtin:grammar`.
    #[serde(default = "default_documents")]
    documents: u64,
    /// Seed of `builtin:grammar`.
    #[serde(default = "default_seed")]
    seed: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Source {
    One(String),
    Many(Vec<String>),
}

impl Source {
    fn list(&self) -> &[String] {
        match self {
            Source::One(source) => std::slice::from_ref(source),
            Source::Many(sources) => sources,
        }
    }
}

fn default_text_field() -> String {
    "text".to_owned()
}

fn default_documents() -> u64 {
    4000
}

fn default_seed() -> u64 {
    1
}

impl StepHandler for CorpusImport {
    fn kind(&self) -> &'static str {
        "corpus.import"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "read text files, or the built-in grammar, as documents"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    /// Name and digest of every file, so that one changed byte is a new step.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        let found = files(&arguments)?;
        let digests = found.files.iter().map(|file| {
            let digest = decode::digest(&file.path)?;
            Ok(json!([file.name, digest.to_hex().as_str()]))
        });
        digests.collect::<Result<Vec<Value>, Failure>>().map(Value::from)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let found = files(&arguments)?;
        let mut import = Import::new(context)?;
        if arguments.source.list().iter().any(|source| source == GRAMMAR) {
            import.grammar(arguments.seed, arguments.documents)?;
        }
        import.files(&found, &arguments)?;
        import.finish(&arguments, &found)
    }
}

fn files(arguments: &Arguments) -> Result<SourceFiles, Failure> {
    let sources = arguments.source.list();
    if sources.is_empty() {
        return Err(Failure::fatal("`source` is an empty list").with_hint("name a file, a folder or a glob"));
    }
    let mut found = SourceFiles::default();
    for source in sources {
        if source == GRAMMAR {
            continue;
        }
        if let Some(name) = source.strip_prefix("builtin:") {
            return Err(Failure::fatal(format!("there is no built-in corpus `{name}`"))
                .with_hint(format!("the built-in corpus is `{GRAMMAR}`")));
        }
        sources::resolve(source, &mut found)?;
    }
    Ok(found)
}

/// One attempt in progress.
struct Import<'a, 'b> {
    context: &'a mut StepContext<'b>,
    documents: BufWriter<ArtifactWriter>,
    pairs: BufWriter<ArtifactWriter>,
    document_count: u64,
    text_bytes: u64,
}

impl<'a, 'b> Import<'a, 'b> {
    fn new(context: &'a mut StepContext<'b>) -> Result<Self, Failure> {
        let documents = BufWriter::new(context.artifacts.writer(NDJSON)?);
        let pairs = BufWriter::new(context.artifacts.writer(NDJSON)?);
        Ok(Import { context, documents, pairs, document_count: 0, text_bytes: 0 })
    }

    fn grammar(&mut self, seed: u64, documents: u64) -> Result<(), StepError> {
        let grammar = grammar::Grammar::new(seed);
        for index in 0..documents {
            let text = grammar.document(index);
            self.add(Document { id: format!("grammar:{index}"), text })?;
            if index % 64 == 0 {
                self.report(index, documents, "documents")?;
            }
        }
        for pair in grammar.minimal_pairs() {
            write_line(&mut self.pairs, &pair).map_err(|error| write_failure("the minimal pairs", &error))?;
        }
        Ok(())
    }

    fn files(&mut self, found: &SourceFiles, arguments: &Arguments) -> Result<(), StepError> {
        // Sizes on disk: for a compressed file the bar runs ahead of them, and is cut at the total.
        let sizes: Vec<u64> =
            found.files.iter().map(|file| file.path.metadata().map_or(0, |data| data.len())).collect();
        let total = sizes.iter().sum();
        let mut before = 0;
        for (file, size) in found.files.iter().zip(&sizes) {
            self.report(before, total, "bytes")?;
            let mut texts = Texts::open(file, arguments.split, &arguments.text_field)?;
            let mut reported = 0;
            let mut number = 0;
            while let Some(text) = texts.next_text()? {
                self.add(Document { id: format!("{}:{number}", file.name), text })?;
                number += 1;
                if texts.bytes_read() - reported >= 1 << 20 {
                    reported = texts.bytes_read();
                    self.report(before + reported.min(*size), total, "bytes")?;
                }
            }
            before += size;
        }
        Ok(())
    }

    fn add(&mut self, document: Document) -> Result<(), Failure> {
        self.document_count += 1;
        self.text_bytes += document.text.len() as u64;
        write_document(&mut self.documents, &document).map_err(|error| write_failure("the documents", &error))?;
        Ok(())
    }

    fn report(&mut self, done: u64, total: u64, unit: &str) -> Result<(), StepError> {
        self.context.check_interrupt()?;
        let message = format!("{} documents", self.document_count);
        self.context.reporter.progress(Progress { done, total, unit: unit.to_owned(), message });
        Ok(())
    }

    fn finish(self, arguments: &Arguments, found: &SourceFiles) -> Result<Outputs, StepError> {
        if self.document_count == 0 {
            let sources = arguments.source.list().join(", ");
            return Err(Failure::fatal(format!("the corpus is empty: no document with text in {sources}"))
                .with_hint("name files that hold text; blank files and blank lines make no document")
                .into());
        }
        let mut outputs = Outputs::default();
        for (name, writer) in [("documents", self.documents), ("minimal_pairs", self.pairs)] {
            let mut writer = writer.into_inner().map_err(|error| write_failure(name, error.error()))?;
            writer.flush().map_err(|error| write_failure(name, &error))?;
            outputs.artifacts.insert(name.to_owned(), writer.finish().map_err(Failure::from)?);
        }
        outputs.values = Map::from_iter([
            ("documents".to_owned(), json!(self.document_count)),
            ("bytes".to_owned(), json!(self.text_bytes)),
            ("files".to_owned(), json!(found.files.len())),
            ("skipped_files".to_owned(), json!(found.skipped)),
        ]);
        Ok(outputs)
    }
}
