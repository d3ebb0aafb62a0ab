//! Puts the results where a person wants them, each at once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::ids::RunId;

pub(super) struct ResultFiles {
    output: PathBuf,
    errors: PathBuf,
    /// A person wants the second file in any case.
    errors_are_named: bool,
}

impl ResultFiles {
    pub(super) fn new(output: &Path, errors: Option<&Path>) -> ResultFiles {
        ResultFiles {
            output: output.to_owned(),
            errors: errors.map_or_else(|| beside(output), Path::to_owned),
            errors_are_named: errors.is_some(),
        }
    }

    /// Refuses what would fail hours later.
    pub(super) fn check(&self, requests: &Path) -> Result<(), CliError> {
        if self.output == self.errors {
            return Err(CliError::usage("answers and errors cannot be one file")
                .hint("vLLM mixes them; here a row is in one of two files"));
        }
        for path in [&self.output, &self.errors] {
            let same = path.canonicalize().ok().is_some_and(|path| requests.canonicalize().ok() == Some(path));
            if same {
                return Err(CliError::usage(format!("`{}` is the file of requests", path.display())));
            }
            if path.is_dir() {
                return Err(CliError::usage(format!("`{}` is a folder", path.display())).hint("name a file in it"));
            }
            let folder = folder(path);
            if !folder.is_dir() {
                return Err(
                    CliError::usage(format!("there is no folder `{}`", folder.display())).hint("create it first")
                );
            }
        }
        Ok(())
    }
}

/// `out.jsonl` becomes `out.errors.jsonl`.
fn beside(output: &Path) -> PathBuf {
    let ending = output.extension().map(|ending| ending.to_string_lossy().into_owned());
    output.with_extension(ending.map_or_else(|| "errors".to_owned(), |ending| format!("errors.{ending}")))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the files of a batch that has ended, and tells what became of its rows.
pub(super) fn write(session: &Session, run: RunId, files: &ResultFiles) -> Result<Exit, CliError> {
    let steps = session.reader()?.steps(run)?;
    let outputs: Option<Outputs> = steps.into_iter().find_map(|step| step.outputs);
    let outputs = outputs.ok_or_else(|| CliError::not_found(format!("run {run} has no results")))?;
    let artifact = |name: &str| {
        let found = outputs.artifacts.get(name).cloned();
        found.ok_or_else(|| CliError::not_found(format!("run {run} has no output `{name}`")))
    };
    let count = |name: &str| outputs.values.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (completed, failed) = (count("completed"), count("failed"));
    put(session, &artifact("output")?, &files.output)?;
    // An old file would be taken for that of this batch.
    let wants_errors = failed > 0 || files.errors_are_named || files.errors.exists();
    if wants_errors {
        put(session, &artifact("errors")?, &files.errors)?;
    }
    let mut text = format!("{completed} of {} rows answered: {}\n", count("total"), files.output.display());
    if failed > 0 {
        text.push_str(&format!("{failed} failed: {}\n", files.errors.display()));
        for (code, count) in outputs.values.get("failures").and_then(Value::as_object).into_iter().flatten() {
            text.push_str(&format!("  {count:>8}  {code}\n"));
        }
    }
    let value = json!({
        "type": "batch",
        "run": { "id": run },
        "values": outputs.values,
        "output": files.output,
        "errors": wants_errors.then_some(&files.errors),
    });
    session.out.document(&text, value)?;
    Ok(if failed > 0 { Exit::Failed } else { Exit::Ok })
}

/// Replaces a file in one step: whoever reads it sees the old one or the whole new one.
fn put(session: &Session, artifact: &ArtifactRef, path: &Path) -> Result<(), CliError> {
    let source = session.artifacts()?.verified_path(artifact)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder(path).join(format!(".{name}.stepwell-{}", std::process::id()));
    // No failpoint: the same command writes the files again.
    let written = copy(&source, &temporary).and_then(|()| fs::rename(&temporary, path));
    written.and_then(|()| File::open(folder(path))?.sync_all()).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        CliError::io("write", path, error)
    })
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let mut file = File::create(target)?;
    io::copy(&mut File::open(source)?, &mut file)?;
    // No failpoint: as above.
    file.sync_all()
}
