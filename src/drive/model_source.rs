//! Finds the model that a person names: a path, a run, or an artifact.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::CliError;
use crate::session::Session;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::shell;
use stepwell_models::ModelFiles;
use stepwell_store::{Reader, StepRow};

/// A step kind and the name of an output.
type OutputOfKind = (&'static str, &'static str);

/// Outputs that are models, each with the output that brings the tokenizer where the model has none.
const MODELS: [(OutputOfKind, Option<OutputOfKind>); 3] = [
    (("model.import", "model"), None),
    (("export", "folder"), None),
    (("train", "model"), Some(("tokenizer.train", "tokenizer"))),
];
/// Names the newest run of a workflow, as in `quickstart@last`.
const NEWEST: &str = "@last";

#[derive(Clone, PartialEq, Debug)]
pub struct ModelSource {
    pub place: Place,
    /// Set for a model whose files have none.
    pub tokenizer: Option<ArtifactRef>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// Absolute path of a Hugging Face folder or of a GGUF file.
    Path(PathBuf),
    Output(ArtifactRef),
}

impl ModelSource {
    /// As the argument of a step.
    pub fn argument(&self) -> Value {
        match &self.place {
            Place::Path(path) => json!(path),
            Place::Output(artifact) => json!(artifact),
        }
    }
}

/// Finds a model by path, run, `WORKFLOW@last`, or artifact.
///
/// # Errors
/// `NotFound` when nothing has the name, or it is no model.
pub fn find_model(session: &Session, name: &str) -> Result<ModelSource, CliError> {
    let path = Path::new(name);
    if path.exists() {
        let absolute = path.canonicalize().map_err(|error| CliError::io("read", path, error))?;
        return Ok(ModelSource { place: Place::Path(absolute), tokenizer: None });
    }
    let unknown = || {
        CliError::not_found(format!("there is no model `{name}`"))
            .hint("name a Hugging Face folder, a GGUF file, a run with a model, or one of its outputs (RUN/STEP/NAME)")
    };
    if !session.state_dir().exists() {
        return Err(unknown());
    }
    let reader = session.reader()?;
    if let Ok(run) = reader.resolve_run(name.strip_suffix(NEWEST).unwrap_or(name)) {
        return model_of_steps(&reader.steps(run)?).ok_or_else(|| {
            let show = shell::stepwell("show", [name]);
            CliError::not_found(format!("run `{name}` has no model yet")).hint(format!("{show} tells how far it is"))
        });
    }
    let found = of_artifact(&reader, name).ok_or_else(unknown)?;
    Ok(found)
}

/// The files of a model, verified if they are in the store.
pub fn model_files(session: &Session, source: &ModelSource) -> Result<ModelFiles, CliError> {
    let store = || ArtifactStore::open(session.state_dir());
    let mut files: Vec<(String, PathBuf)> = match &source.place {
        Place::Path(path) => return ModelFiles::at(path).map_err(CliError::failed),
        Place::Output(artifact) if artifact.is_tree() => {
            let store = store()?;
            let tree = store.read_tree(artifact)?;
            let file = |(name, entry): (&String, _)| Ok::<_, CliError>((name.clone(), store.verified_path(entry)?));
            tree.entries.iter().map(file).collect::<Result<_, _>>()?
        }
        Place::Output(artifact) => vec![("model.gguf".to_owned(), store()?.verified_path(artifact)?)],
    };
    if let Some(tokenizer) = &source.tokenizer {
        files.push(("tokenizer.json".to_owned(), store()?.verified_path(tokenizer)?));
    }
    Ok(files.into_iter().collect())
}

fn of_artifact(reader: &Reader, name: &str) -> Option<ModelSource> {
    let (run, rest) = name.split_once('/')?;
    let (step, output) = rest.rsplit_once('/')?;
    let run = reader.resolve_run(run.strip_suffix(NEWEST).unwrap_or(run)).ok()?;
    let artifact = reader.output(run, step, output).ok()??.artifact;
    let tokenizer = model_of_steps(&reader.steps(run).ok()?).and_then(|model| model.tokenizer);
    Some(ModelSource { place: Place::Output(artifact), tokenizer })
}

/// The model of a run: of several, the one that needs nothing else; of those, the last one.
pub fn model_of_steps(steps: &[StepRow]) -> Option<ModelSource> {
    let output = |(kind, name): OutputOfKind| {
        let of_kind = steps.iter().rev().filter(|step| step.kind == kind);
        of_kind.filter_map(|step| step.outputs.as_ref()?.artifacts.get(name).cloned()).next()
    };
    MODELS.into_iter().find_map(|(model, tokenizer)| {
        Some(ModelSource { place: Place::Output(output(model)?), tokenizer: tokenizer.and_then(output) })
    })
}
