//! Handler of the step kind `corpus.import`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, GRAMMAR};
use super::import::{Import, Pace};
use super::read;
use super::remote::fetch;
use crate::command::Project;
use crate::finding::{Finding, Weight};
use crate::handler::{StepContext, StepError, StepHandler, Surroundings, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Given, Gives};
use stepwell_workflow::template::is_literal;

pub struct CorpusImport;
pub static CORPUS_IMPORT: CorpusImport = CorpusImport;

impl StepHandler for CorpusImport {
    fn kind(&self) -> &'static str {
        "corpus.import"
    }

    fn version(&self) -> u32 {
        3
    }

    fn summary(&self) -> &'static str {
        "read text, JSON, Parquet and Arrow files, from this machine or from servers, or the built-in grammar, as documents"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("documents", "NDJSON of all documents"),
                ("minimal_pairs", "NDJSON of the sentence pairs of `builtin:grammar`; empty for other sources"),
            ]),
            values: Given::Named(&[
                ("documents", "number of documents"),
                ("bytes", "bytes of their text"),
                ("files", "files that were read"),
                ("skipped_files", "files of a folder that are no text"),
                ("passed_over", "entries of folders that cannot be read, or were read under another name"),
                ("bad_lines", "JSON lines passed over by `on_bad_line = \"skip\"`"),
                ("null_texts", "text fields that are null"),
                ("blank_texts", "texts of white space only"),
                ("lone_surrogates", "texts with half of a surrogate pair, read as U+FFFD"),
                ("fetched", "address, size, SHA-256 and entity tag or commit of every file from a server"),
                ("notes", "what was passed over or looks odd, the first ten of each kind by name"),
            ]),
        }
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        let arguments = arguments::<Arguments>(with)?;
        arguments.remote(Project(Path::new("")))?;
        arguments.encoding().map(drop)
    }

    /// Finds sources that name nothing, so that a wrong path is refused before the run.
    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        let project = Project(project);
        let known = with.get("source").is_some_and(is_literal);
        let parsed = arguments::<Arguments>(&Value::Object(with.clone()));
        let Some(arguments) = parsed.ok().filter(|_| known) else { return Vec::new() };
        let is_unset = arguments.sources(project).iter().all(|source| source.trim().is_empty());
        let failure = arguments.files(project).and_then(|_| arguments.remote(project)).err();
        let finding = |failure: Failure| Finding {
            argument: "source".to_owned(),
            weight: if is_unset { Weight::Unset } else { Weight::Missing },
            message: failure.message,
            hint: failure.hint.unwrap_or_else(|| "name a file, a folder or a glob".to_owned()),
        };
        failure.map(finding).into_iter().collect()
    }

    /// Returns name and digest of every file on this machine, so that one changed byte makes a new step, and what pins
    /// each source on a server.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        self.fingerprint_in(with, &Surroundings { project: Path::new(""), file: None, earlier: None })
    }

    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        arguments.encoding()?;
        let found = arguments.files(Project(surroundings.project))?;
        let digests = found.files.iter().map(|file| {
            let digest = read::digest(&file.path)?;
            Ok(json!([file.name, digest.to_hex().as_str()]))
        });
        let mut known = digests.collect::<Result<Vec<Value>, Failure>>()?;
        // A key must not depend on the network: what is not pinned is whatever the server had when it was imported.
        known.extend(
            arguments
                .remote(Project(surroundings.project))?
                .iter()
                .map(|(source, place)| json!([source, place.pinned()])),
        );
        Ok(known.into())
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        run_with(context, Pace::default())
    }
}

pub(super) fn run_with(context: &mut StepContext<'_>, pace: Pace) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let project_dir = context.request.project_dir.clone();
    let project = Project(&project_dir);
    let found = arguments.files(project)?;
    let mut fetched = Vec::new();
    for (source, place) in arguments.remote(project)? {
        fetched.extend(fetch(context, &source, &place, &arguments.access(project))?);
    }
    let mut import = Import::new(context, &arguments, found.findings.clone(), &fetched, pace)?;
    if arguments.sources(project).iter().any(|source| source == GRAMMAR) {
        import.grammar()?;
    }
    import.files(&found.files, &fetched)?;
    import.finish(&found, &fetched)
}
