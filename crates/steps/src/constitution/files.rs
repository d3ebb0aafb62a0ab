//! Files of a pipeline: outputs of steps, files by path, and built-in ones.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::builtin;
use crate::corpus_documents::NDJSON;
use crate::handler::StepContext;
use crate::infer::Source;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_constitution::{Constitution, Stop, read_lines, write_lines};

/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// The failure of a step for a reason with a code.
pub fn stopped(stop: Stop) -> Failure {
    let Stop { code, message, hint } = stop;
    // People read the code, too: it is what the documentation lists.
    Failure::fatal(format!("{message} ({})", code.as_str())).with_hint(hint).with_code(code.as_str())
}

/// Reads a file.
///
/// # Errors
/// When it is not there, damaged, or larger than 1 GiB.
pub fn read(context: &StepContext<'_>, source: &Source) -> Result<Vec<u8>, Failure> {
    match source {
        Source::Output(artifact) if artifact.size > LARGEST => {
            Err(Failure::fatal(format!("an output of {} bytes is too large, the limit is 1 GiB", artifact.size)))
        }
        Source::Output(artifact) => Ok(context.artifacts.read(artifact)?),
        Source::Path(path) => read_path(path, &context.request.project_dir),
    }
}

/// Reads a file that is named by its path, or a built-in one.
///
/// # Errors
/// As [`read`].
pub fn read_path(path: &str, project: &Path) -> Result<Vec<u8>, Failure> {
    if let Some(text) = builtin::find(path) {
        return Ok(text.as_bytes().to_vec());
    }
    if path.starts_with(builtin::PREFIX) {
        return Err(Failure::fatal(format!("there is no built-in file `{path}`"))
            .with_hint("there are `builtin:constitution`, `builtin:evaluation` and `builtin:gold`"));
    }
    let path = project.join(path);
    let failed = |error| Failure::io(format!("cannot read `{}`", path.display()), &error);
    let mut bytes = Vec::new();
    File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::fatal(format!("`{}` is larger than 1 GiB", path.display())));
    }
    Ok(bytes)
}

pub fn constitution(context: &StepContext<'_>, source: &Source) -> Result<Constitution, Failure> {
    Constitution::parse(&read(context, source)?).map_err(stopped)
}

/// Reads lines of JSON; `what` names them in messages.
pub fn lines<T: DeserializeOwned>(context: &StepContext<'_>, what: &str, source: &Source) -> Result<Vec<T>, Failure> {
    read_lines(what, &read(context, source)?).map_err(stopped)
}

pub fn publish_lines<T: serde::Serialize>(context: &StepContext<'_>, rows: &[T]) -> Result<ArtifactRef, Failure> {
    Ok(context.artifacts.put_bytes(&write_lines(rows), NDJSON)?)
}
