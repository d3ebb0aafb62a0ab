//! Arguments of `corpus.import`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::read::{self, Encoding, Options, Split};
use super::source::{self, SourceFiles};
use crate::command::Project;
use stepwell_base::failure::Failure;
use stepwell_workflow::document::{Assigned, read_value};

pub const GRAMMAR: &str = "builtin:grammar";

/// Maximum size of a document in bytes: import, cleaning and tokenising hold one document in memory.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// A file, a folder, a glob, `builtin:grammar`, or a list of these. A relative path starts at the folder of the workflow file if it
    /// is there, else at the directory of the engine.
    source: Source,
    /// Field of JSON objects that holds the text; `outer.inner` leads into an object.
    #[serde(default = "default_text_field")]
    text_field: String,
    /// Unit of a .txt or .md file that becomes one document.
    #[serde(default)]
    split: Split,
    /// Encoding of the files by its WHATWG name, such as `utf-16le`, `windows-1252` or `shift_jis`.
    #[serde(default = "default_encoding")]
    encoding: String,
    /// Reaction to JSON lines that give no text.
    #[serde(default)]
    pub on_bad_line: OnBadLine,
    /// Number of documents from `builtin:grammar`.
    #[serde(default = "default_documents")]
    pub documents: u64,
    /// Seed of `builtin:grammar`.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Source {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadLine {
    /// Fail the step and name the first such line.
    #[default]
    Fail,
    /// Skip and count such lines, and name the first ten.
    Skip,
}

fn default_text_field() -> String {
    "text".to_owned()
}

fn default_encoding() -> String {
    "utf-8".to_owned()
}

fn default_documents() -> u64 {
    4000
}

fn default_seed() -> u64 {
    1
}

impl Arguments {
    /// Returns the sources. Parses text that is a list, as on the command line; no file or glob looks like that.
    pub fn sources(&self, project: Project<'_>) -> Vec<String> {
        match &self.source {
            Source::Many(sources) => sources.clone(),
            Source::One(text) => list(text, project).unwrap_or_else(|| vec![text.clone()]),
        }
    }

    /// Finds the files that the sources name.
    ///
    /// # Errors
    /// When a source is missing or unreadable, or names nothing that can be imported.
    pub fn files(&self, project: Project<'_>) -> Result<SourceFiles, Failure> {
        let sources = self.sources(project);
        if sources.is_empty() {
            return Err(Failure::fatal("`source` is an empty list").with_hint("name a file, a folder or a glob"));
        }
        let mut found = SourceFiles::default();
        for source in &sources {
            if source == GRAMMAR {
                continue;
            }
            if let Some(name) = source.strip_prefix("builtin:") {
                return Err(Failure::fatal(format!("there is no built-in corpus `{name}`"))
                    .with_hint(format!("the built-in corpus is `{GRAMMAR}`")));
            }
            source::resolve(source, project, &mut found)?;
        }
        Ok(found)
    }

    /// # Errors
    /// When the encoding is unknown.
    pub fn options(&self) -> Result<Options<'_>, Failure> {
        Ok(Options {
            split: self.split,
            text_field: &self.text_field,
            encoding: self.encoding()?,
            max_document_bytes: MAX_DOCUMENT_BYTES,
        })
    }

    /// # Errors
    /// When the encoding is unknown.
    pub fn encoding(&self) -> Result<Encoding, Failure> {
        read::named(&self.encoding)
    }
}

/// Parses `["a.txt", "b.txt"]` as TOML or JSON, unless a file has that name.
fn list(text: &str, project: Project<'_>) -> Option<Vec<String>> {
    if !text.trim_start().starts_with('[') || project.find(Path::new(text)).exists() {
        return None;
    }
    let Assigned::Value(Value::Array(items)) = read_value(text.trim()) else { return None };
    items.into_iter().map(|item| if let Value::String(item) = item { Some(item) } else { None }).collect()
}
