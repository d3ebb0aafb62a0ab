//! Digests of the files that a command reads, as part of the step's key.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use walkdir::WalkDir;

use crate::core::artifact::Digest;
use crate::core::failure::{Failure, FailureKind};

/// `{"PATH": "DIGEST"}` for files; for a folder, an object of its files.
///
/// # Errors
/// A fatal failure that names the path which is missing or unreadable.
pub(super) fn digests(inputs: &[PathBuf]) -> Result<Value, Failure> {
    let mut all = Map::new();
    for path in inputs {
        let digest = digest(path).map_err(|error| {
            let cause = Failure::from_error(FailureKind::Fatal, &error).message;
            let at = std::env::current_dir().unwrap_or_default();
            Failure::fatal(format!("cannot read the input `{}`: {cause}", path.display()))
                .with_hint(format!("`inputs` are relative to the directory of the engine, `{}`", at.display()))
        })?;
        all.insert(path.display().to_string(), digest);
    }
    Ok(Value::Object(all))
}

fn digest(path: &Path) -> io::Result<Value> {
    if !path.is_dir() {
        return file_digest(path).map(|digest| Value::from(digest.as_str()));
    }
    let mut files = Map::new();
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(path).unwrap_or(entry.path()).display().to_string();
            files.insert(name, Value::from(file_digest(entry.path())?.as_str()));
        }
    }
    Ok(Value::Object(files))
}

fn file_digest(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}
