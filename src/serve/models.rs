//! Models that requests can name: those that `serve --model` names, and those that runs have made.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use crate::drive::model_source::{ModelSource, Place, model_of_steps};
use crate::error::CliError;
use crate::session::Session;
use stepwell_http::ModelCard;

/// Ended runs that are searched for models, newest first.
const MOST_RUNS: usize = 200;
/// A model and where it is.
#[derive(Clone, PartialEq, Debug)]
pub struct ServedModel {
    pub name: String,
    pub created_at: Timestamp,
    pub source: ModelSource,
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
        let source = ModelSource { place: Place::Path(absolute), tokenizer: None };
        Ok(ServedModel { name, created_at: Timestamp::now(), source })
    }

    pub fn card(&self) -> ModelCard {
        ModelCard { id: self.name.clone(), created_at: self.created_at, context: None }
    }
}

fn stem(path: &str) -> String {
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_suffix(".gguf").map_or(name.clone(), str::to_owned)
}

/// All models: those of the command line first, then those of runs, newest first. A run gives its model its name. Only these
/// can be asked for: no request names a path.
pub fn models(session: &Session, given: &[ServedModel]) -> Result<Vec<ServedModel>, CliError> {
    let reader = session.reader()?;
    let mut found = given.to_vec();
    for run in reader.ended_runs(MOST_RUNS)?.readable {
        let source = model_of_steps(&reader.overview(run.id, 0)?);
        let created_at = run.finished_at.unwrap_or(run.created_at);
        found.extend(source.map(|source| ServedModel { name: run.name, created_at, source }));
    }
    let mut seen = BTreeSet::new();
    found.retain(|model| seen.insert(model.name.clone()));
    Ok(found)
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
