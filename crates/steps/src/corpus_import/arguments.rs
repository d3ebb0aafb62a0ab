//! Arguments of `corpus.import`.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::read::{self, Encoding, Options, Split};
use super::remote::{Access, Place, Reach, Token, endpoint};
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
    /// A file, a folder, a glob, an address (`https://...`), a path on the Hugging Face hub
    /// (`hf://datasets/OWNER/NAME@REVISION/PATH`), `builtin:grammar`, or a list of these. A relative path starts at the folder of the
    /// workflow file if it is there, else at the directory of the engine.
    source: Source,
    /// Field of JSON objects that holds the text; `outer.inner` leads into an object.
    #[serde(default = "default_text_field")]
    text_field: String,
    /// Column of Parquet and Arrow files that holds the text, if it is not `text_field`; `outer.inner` leads into a structure.
    #[serde(default)]
    column: Option<String>,
    /// Unit of a .txt or .md file that becomes one document.
    #[serde(default)]
    split: Split,
    /// Encoding of the files by its WHATWG name, such as `utf-16le`, `windows-1252` or `shift_jis`.
    #[serde(default = "default_encoding")]
    encoding: String,
    /// Secret for sources on a server: `{ env = "HF_TOKEN" }` or `{ file = "..." }`. Only that server sees it.
    #[serde(default)]
    token: Option<Token>,
    /// Allow addresses of private networks and of this machine.
    #[serde(default)]
    allow_private: bool,
    /// Most bytes of one file on a server.
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
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

/// 64 GiB.
fn default_max_bytes() -> u64 {
    64 << 30
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

    /// The sources on servers, in order.
    ///
    /// # Errors
    /// When an address is malformed, or a token would be sent to several servers.
    pub fn remote(&self, project: Project<'_>) -> Result<Vec<(String, Place)>, Failure> {
        let mut remote = Vec::new();
        for source in self.sources(project) {
            remote.extend(Place::parse(&source)?.map(|place| (source, place)));
        }
        let servers: BTreeSet<String> = remote.iter().map(|(_, place)| place.server()).collect();
        if self.token.is_some() && servers.len() > 1 {
            let servers = servers.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Failure::fatal(format!("`token` would be sent to several servers: {servers}"))
                .with_hint("import from each server in a step of its own; `corpus.clean` takes a list of documents"));
        }
        Ok(remote)
    }

    /// How sources on servers are read. The file of a token is found like other files.
    pub fn access(&self, project: Project<'_>) -> Access {
        let reach = if self.allow_private { Reach::Any } else { Reach::Public };
        let token = self.token.clone().map(|token| match token {
            Token::File(path) => Token::File(project.find(Path::new(&path)).to_string_lossy().into_owned()),
            token @ Token::Env(_) => token,
        });
        Access { reach, token, max_bytes: self.max_bytes, endpoint: endpoint() }
    }

    /// Finds the files on this machine that the sources name.
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
            if source == GRAMMAR || Place::parse(source)?.is_some() {
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
            column: self.column.as_deref().unwrap_or(&self.text_field),
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
