//! Reads the questions of tasks.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::arguments::{From, Planned};
use super::item::Item;
use super::lines::{self, MOST_BYTES};
use crate::handler::StepContext;
use crate::infer::Source;
use stepwell_base::artifact::Digest;
use stepwell_base::failure::Failure;

/// A task with its questions.
pub struct Task {
    pub planned: Planned,
    pub items: Vec<Item>,
    /// Digest of its file; `None` for a generated one.
    pub digest: Option<Digest>,
}

impl Task {
    pub fn name(&self) -> &str {
        &self.planned.name
    }
}

/// Digests of files that are named by path, by task.
///
/// # Errors
/// When a file cannot be read, or is too large.
pub fn digests(tasks: &[Planned], project: &Path) -> Result<Map<String, Value>, Failure> {
    let mut digests = Map::new();
    for task in tasks {
        if let Some(path) = task.from.file().and_then(|file| file.path(project)) {
            let digest = Digest::of(&read(&path, &task.name)?);
            digests.insert(task.name.clone(), json!(digest));
        }
    }
    Ok(digests)
}

/// Reads all tasks. A file that is named by path must be the one whose digest the step has: `known` is that of [`digests`].
///
/// # Errors
/// Names bad lines, and a file that has changed.
pub fn load(context: &StepContext<'_>, tasks: Vec<Planned>, known: &Value) -> Result<Vec<Task>, Failure> {
    tasks.into_iter().map(|planned| load_one(context, planned, known)).collect()
}

fn load_one(context: &StepContext<'_>, planned: Planned, known: &Value) -> Result<Task, Failure> {
    let name = &planned.name;
    let bytes = match planned.from.file() {
        None => Vec::new(),
        Some(Source::Output(artifact)) => read(&context.artifacts.verified_path(artifact)?, name)?,
        Some(Source::Path(path)) => {
            let bytes = read(&context.request.project_dir.join(path), name)?;
            let is_known = known.get(name).is_none_or(|known| *known == json!(Digest::of(&bytes)));
            if !is_known {
                return Err(Failure::fatal(format!(
                    "the file of task `{name}` has changed since the step was started"
                ))
                .with_hint("start the run again: its results then belong to the file as it is"));
            }
            bytes
        }
    };
    let (items, digest) = match &planned.from {
        From::Choices { .. } => (lines::choices(name, &bytes)?, Some(Digest::of(&bytes))),
        From::Pairs(_) => (lines::pairs(name, &bytes)?, Some(Digest::of(&bytes))),
        From::Generated { recipe, count } => ((1..=*count).map(|number| recipe.item(number)).collect(), None),
    };
    Ok(Task { planned, items, digest })
}

fn read(path: &Path, task: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: &std::io::Error| {
        Failure::io(format!("cannot read {}, the file of task `{task}`", path.display()), error)
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("{}, the file of task `{task}`, has more than {MOST_BYTES} bytes", path.display());
        return Err(Failure::fatal(message).with_hint("divide the file, and make a task of each part"));
    }
    Ok(bytes)
}
