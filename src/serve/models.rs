//! Models that requests can name: those that `serve --model` names, and those that runs have made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::session::Session;
use stepwell_base::artifact::ArtifactRef;
use stepwell_http::ModelCard;
use stepwell_store::{Reader, RunRow};

/// Ended runs that are searched for models, newest first.
const MOST_RUNS: usize = 200;
/// Step kinds that give a model which needs nothing else, and the name of that output.
const GIVES_MODEL: [(&str, &str); 2] = [("export", "folder"), ("model.import", "model")];

/// A model and where it is.
#[derive(Clone, PartialEq, Debug)]
pub struct ServedModel {
    pub name: String,
    pub created_at: Timestamp,
    pub place: Place,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// A Hugging Face folder, or a GGUF file.
    Path(PathBuf),
    Output(ArtifactRef),
}

impl Place {
    /// As a step takes it.
    pub fn argument(&self) -> Value {
        match self {
            Place::Path(path) => json!(path),
            Place::Output(artifact) => json!(artifact),
        }
    }
}

impl ServedModel {
    /// `NAME=PATH`, or a path whose last part is the name.
    ///
    /// # Errors
    /// When there is nothing at the path.
    pub fn named(text: &str) -> Result<ServedModel, CliError> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) if !name.is_empty() => (name.to_owned(), Path::new(path)),
            _ => (stem(text), Path::new(text)),
        };
        let absolute = std::fs::canonicalize(path).map_err(|error| {
            CliError::usage(format!("cannot read the model `{}`: {error}", path.display()))
                .hint("`--model NAME=PATH` takes a Hugging Face folder or a GGUF file")
        })?;
        Ok(ServedModel { name, created_at: Timestamp::now(), place: Place::Path(absolute) })
    }

    pub fn card(&self) -> ModelCard {
        ModelCard { id: self.name.clone(), created_at: self.created_at, context: None }
    }
}

fn stem(path: &str) -> String {
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_suffix(".gguf").map_or(name.clone(), str::to_owned)
}

/// All models: those of the command line first, then those of runs, newest first. A run with one model gives it its name;
/// of several, each is `RUN/STEP`.
pub fn models(session: &Session, given: &[ServedModel]) -> Result<Vec<ServedModel>, CliError> {
    let reader = session.reader()?;
    let mut found = given.to_vec();
    for run in reader.ended_runs(MOST_RUNS)?.readable {
        found.extend(models_of(&reader, &run)?);
    }
    let mut seen = BTreeSet::new();
    found.retain(|model| seen.insert(model.name.clone()));
    Ok(found)
}

fn models_of(reader: &Reader, run: &RunRow) -> Result<Vec<ServedModel>, CliError> {
    let mut outputs = Vec::new();
    for step in reader.overview(run.id, 0)? {
        let name = GIVES_MODEL.iter().find(|(kind, _)| *kind == step.kind).map(|(_, name)| *name);
        let artifact = name.and_then(|name| step.outputs.as_ref()?.artifacts.get(name));
        outputs.extend(artifact.map(|artifact| (step.id.clone(), artifact.clone())));
    }
    let is_only = outputs.len() == 1;
    let model = |(step, artifact)| ServedModel {
        name: if is_only { run.name.clone() } else { format!("{}/{step}", run.name) },
        created_at: run.finished_at.unwrap_or(run.created_at),
        place: Place::Output(artifact),
    };
    Ok(outputs.into_iter().map(model).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_after_its_file_unless_it_has_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.gguf");
        std::fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(ServedModel::named(path).unwrap().name, "small");
        assert_eq!(ServedModel::named(&format!("mine={path}")).unwrap().name, "mine");
        assert!(ServedModel::named("mine=/nowhere/at/all").is_err());
    }
}
